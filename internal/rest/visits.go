package rest

import (
	"context"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/visit"
	"github.com/google/uuid"
)

// inVisits runs fn where a visit lies: support turns to the municipality of one of its own.
func (s *Server) inVisits(ctx context.Context, id uuid.UUID, fn func(tx *pg.Tx) error) error {
	caller := callerOf(ctx)
	if !caller.Has(access.Support) {
		return s.DB.InTx(ctx, caller, fn)
	}
	m := 0
	err := s.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
		found, err := visit.Board(ctx, tx, &id)
		if err == nil && len(found) != 1 {
			err = problem.NotFound{What: "visit"}
		}
		if err == nil {
			m = found[0].MunicipalityID
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, caller.In(m), fn)
}

// ListVisits shows the municipality's visits, or support's own.
func (s *Server) ListVisits(ctx context.Context, _ ListVisitsRequestObject) (ListVisitsResponseObject, error) {
	shown := Visits{Visits: []Visit{}}
	err := s.in(ctx, func(tx *pg.Tx) error {
		all, err := visits(ctx, tx)
		if err != nil {
			return err
		}
		numbers, err := numbersOf(ctx, tx)
		for _, v := range all {
			shown.Visits = append(shown.Visits, showVisit(tx, v, numbers))
		}
		return err
	})
	return ListVisits200JSONResponse(shown), err
}

func visits(ctx context.Context, tx *pg.Tx) ([]visit.Visit, error) {
	if tx.Caller.Has(access.Support) {
		return visit.Board(ctx, tx, nil)
	}
	return visit.List(ctx, tx)
}

func numbersOf(ctx context.Context, tx *pg.Tx) (map[int]string, error) {
	all, err := municipality.List(ctx, tx)
	numbers := map[int]string{}
	for _, m := range all {
		numbers[m.ID] = m.Number
	}
	return numbers, err
}

func showVisit(tx *pg.Tx, v visit.Visit, numbers map[int]string) Visit {
	shown := Visit{
		Id: v.ID, Municipality: numbers[v.MunicipalityID], State: VisitState(v.State(tx.Now())), Reason: VisitReason(v.Reason), Words: set(v.Words), Reference: v.Reference,
		Scope: VisitScope(v.Scope), Page: set(VisitKind(v.OnlyPage())), Minutes: v.Minutes, AskedBy: v.AskedByNumber, AskedAt: v.AskedAt, Visitor: set(v.VisitorNumber), Answer: set(v.Answer), EndsAt: v.EndsAt,
	}
	if v.EndsAt != nil {
		shown.StartsAt = v.AnsweredAt
	}
	if !tx.Caller.Blind() {
		shown.Looks = &v.Looks
	}
	return shown
}

// ReadVisit shows one.
func (s *Server) ReadVisit(ctx context.Context, r ReadVisitRequestObject) (ReadVisitResponseObject, error) {
	var shown Visit
	err := s.inVisits(ctx, r.Visit, func(tx *pg.Tx) error {
		v, err := visit.Find(ctx, tx, r.Visit)
		if err != nil {
			return err
		}
		numbers, err := numbersOf(ctx, tx)
		shown = showVisit(tx, v, numbers)
		return err
	})
	return ReadVisit200JSONResponse(shown), err
}

// AskVisit asks for one: support in the municipality that it names, people of a municipality in their own.
func (s *Server) AskVisit(ctx context.Context, r AskVisitRequestObject) (AskVisitResponseObject, error) {
	b := r.Body
	var made Created
	err := s.inOrders(ctx, b.Municipality, func(tx *pg.Tx) (err error) {
		made.Id, err = visit.Ask(ctx, tx, visit.New{
			Reason: string(b.Reason), Words: or(b.Words, ""), Reference: b.Reference, Scope: string(b.Scope), Page: string(or(b.Page, "")), Client: or(b.ClientNumber, ""), Minutes: b.Minutes,
		})
		return err
	})
	return AskVisit201JSONResponse(made), err
}

// ListVisitLooks tells what was looked at.
func (s *Server) ListVisitLooks(ctx context.Context, r ListVisitLooksRequestObject) (ListVisitLooksResponseObject, error) {
	limit := or(r.Params.Limit, 50)
	shown := VisitLooks{Looks: []VisitLook{}}
	err := s.in(ctx, func(tx *pg.Tx) error {
		if _, err := visit.Find(ctx, tx, r.Visit); err != nil {
			return err
		}
		looks, err := visit.Looks(ctx, tx, r.Visit, or(r.Params.After, 0), limit+1)
		if len(looks) > limit {
			looks = looks[:limit]
			shown.Next = &looks[limit-1].ID
		}
		for _, l := range looks {
			shown.Looks = append(shown.Looks, VisitLook{At: l.At, Page: l.Page, Clients: l.Clients})
		}
		return err
	})
	return ListVisitLooks200JSONResponse(shown), err
}

// GrantVisit lets support in.
func (s *Server) GrantVisit(ctx context.Context, r GrantVisitRequestObject) (GrantVisitResponseObject, error) {
	b := r.Body
	err := s.in(ctx, func(tx *pg.Tx) error {
		return visit.Grant(ctx, tx, r.Visit, visit.Granting{Scope: string(b.Scope), Page: string(or(b.Page, "")), Client: or(b.ClientNumber, ""), Minutes: b.Minutes})
	})
	return GrantVisit204Response{}, err
}

// RefuseVisit says no.
func (s *Server) RefuseVisit(ctx context.Context, r RefuseVisitRequestObject) (RefuseVisitResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return visit.Refuse(ctx, tx, r.Visit, r.Body.Answer) })
	return RefuseVisit204Response{}, err
}

// WithdrawVisit takes a request back.
func (s *Server) WithdrawVisit(ctx context.Context, r WithdrawVisitRequestObject) (WithdrawVisitResponseObject, error) {
	err := s.inVisits(ctx, r.Visit, func(tx *pg.Tx) error { return visit.Withdraw(ctx, tx, r.Visit) })
	return WithdrawVisit204Response{}, err
}

// TakeVisit goes in.
func (s *Server) TakeVisit(ctx context.Context, r TakeVisitRequestObject) (TakeVisitResponseObject, error) {
	err := s.inVisits(ctx, r.Visit, func(tx *pg.Tx) error { return visit.Enter(ctx, tx, r.Visit) })
	return TakeVisit204Response{}, err
}

// CutVisit ends it.
func (s *Server) CutVisit(ctx context.Context, r CutVisitRequestObject) (CutVisitResponseObject, error) {
	err := s.inVisits(ctx, r.Visit, func(tx *pg.Tx) error { return visit.CutOff(ctx, tx, r.Visit) })
	return CutVisit204Response{}, err
}
