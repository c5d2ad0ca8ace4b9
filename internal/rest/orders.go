package rest

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	openapi_types "github.com/oapi-codegen/runtime/types"
)

// inOrders runs fn where the requests lie: support says whose they are, people of a municipality have their own only.
func (s *Server) inOrders(ctx context.Context, number *string, fn func(tx *pg.Tx) error) error {
	caller := callerOf(ctx)
	if caller.Blind() && number == nil {
		return badRequest(problem.Field{Name: "municipality", Code: "required"})
	}
	id := caller.Municipality
	err := s.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
		if number != nil {
			m, err := named(ctx, tx, *number)
			if err != nil {
				return err
			}
			id = m.ID
		}
		switch {
		case caller.Blind():
			return nil
		case id != caller.Municipality:
			return problem.NotFound{What: "municipality"}
		}
		return fn(tx)
	})
	if err != nil || !caller.Blind() {
		return err
	}
	return s.DB.InTx(ctx, caller.In(id), fn)
}

func named(ctx context.Context, tx *pg.Tx, number string) (municipality.Municipality, error) {
	all, err := municipality.List(ctx, tx)
	if err != nil {
		return municipality.Municipality{}, err
	}
	for _, m := range all {
		if m.Number == number {
			return m, nil
		}
	}
	return municipality.Municipality{}, problem.NotFound{What: "municipality"}
}

// ListOrders shows the requests in the caller's representation.
func (s *Server) ListOrders(ctx context.Context, r ListOrdersRequestObject) (ListOrdersResponseObject, error) {
	var shown AnyOrders
	err := s.inOrders(ctx, r.Params.Municipality, func(tx *pg.Tx) error {
		orders, err := deletion.Orders(ctx, tx)
		if err != nil {
			return err
		}
		if side(tx.Caller) == "support" {
			return shown.FromSupportOrders(SupportOrders{Orders: list(orders, showSupportOrder)})
		}
		return shown.FromMunicipalityOrders(MunicipalityOrders{Orders: list(orders, showOrder)})
	})
	return ListOrders200JSONResponse(shown), err
}

// ReadOrder shows one of them.
func (s *Server) ReadOrder(ctx context.Context, r ReadOrderRequestObject) (ReadOrderResponseObject, error) {
	var shown AnyOrder
	err := s.inOrders(ctx, r.Params.Municipality, func(tx *pg.Tx) error {
		order, err := deletion.FindOrder(ctx, tx, r.Order)
		if err != nil {
			return err
		}
		if side(tx.Caller) == "support" {
			return shown.FromSupportOrder(showSupportOrder(order))
		}
		return shown.FromMunicipalityOrder(showOrder(order))
	})
	return ReadOrder200JSONResponse(shown), err
}

func showOrder(o deletion.Order) MunicipalityOrder {
	return MunicipalityOrder{
		View: MunicipalityViewMunicipality, Id: o.ID, State: OrderState(o.State), Scope: OrderScope(o.Scope), GroupRunOn: groupDay(o), Reason: OrderReason(o.Reason),
		Reference: o.Reference, RunOn: date(o.RunOn), Clients: o.Clients, AskedAt: o.AskedAt, SettledAt: o.OrderedAt, Round: o.RoundNumber,
	}
}

func showSupportOrder(o deletion.Order) SupportOrder {
	return SupportOrder{
		View: SupportViewSupport, Id: o.ID, State: OrderState(o.State), Scope: OrderScope(o.Scope), GroupRunOn: groupDay(o), Reason: OrderReason(o.Reason),
		Reference: o.Reference, RunOn: date(o.RunOn), AskedAt: o.AskedAt, SettledAt: o.OrderedAt, Round: o.RoundNumber,
	}
}

func groupDay(o deletion.Order) *openapi_types.Date {
	if o.GroupRunOn == nil {
		return nil
	}
	return setDate(*o.GroupRunOn)
}

// AskOrder asks for an extra run.
func (s *Server) AskOrder(ctx context.Context, r AskOrderRequestObject) (AskOrderResponseObject, error) {
	b := r.Body
	var made Created
	err := s.inOrders(ctx, r.Params.Municipality, func(tx *pg.Tx) (err error) {
		made, err = once(ctx, tx, access.OrderAsk, r.Params.IdempotencyKey, "askOrder", b, http.StatusCreated, func() (Created, error) {
			in := deletion.NewOrder{Scope: string(b.Scope), Clients: or(b.Clients, nil), Reason: string(b.Reason), Reference: b.Reference, RunOn: day(&b.RunOn)}
			if b.Group != nil {
				group, err := groupOf(ctx, tx, *b.Group)
				if err != nil {
					return Created{}, err
				}
				in.GroupID = &group
			}
			id, err := deletion.AskOrder(ctx, tx, in)
			return Created{Id: id}, err
		})
		return err
	})
	return AskOrder201JSONResponse(made), err
}

// PlaceOrder orders the run that was asked for, once for each Idempotency-Key.
func (s *Server) PlaceOrder(ctx context.Context, r PlaceOrderRequestObject) (PlaceOrderResponseObject, error) {
	var placed PlacedOrder
	err := s.inOrders(ctx, r.Params.Municipality, func(tx *pg.Tx) (err error) {
		placed, err = once(ctx, tx, access.OrderPlace, &r.Params.IdempotencyKey, "placeOrder", r.Order, http.StatusCreated, func() (PlacedOrder, error) {
			number, err := deletion.PlaceOrder(ctx, tx, r.Order)
			return PlacedOrder{Round: number}, err
		})
		return err
	})
	return PlaceOrder201JSONResponse(placed), err
}

// DeclineOrder says no.
func (s *Server) DeclineOrder(ctx context.Context, r DeclineOrderRequestObject) (DeclineOrderResponseObject, error) {
	err := s.inOrders(ctx, r.Params.Municipality, func(tx *pg.Tx) error { return deletion.DeclineOrder(ctx, tx, r.Order) })
	return DeclineOrder204Response{}, err
}
