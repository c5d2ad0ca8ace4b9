package admin

import (
	"net/http"
	"strings"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// supportOrderPage is /support/bestillinger/{order}: what a municipality asks for. How many it selected is seen in the
// round; whom, never.
type supportOrderPage struct {
	edge.Page
	Order   orderAsked
	Decline bool // the form for saying no stands open
	Policy  municipality.Policy
}

func init() {
	number := "3218-231009-E1"
	edge.Pages["support-order"] = supportOrderPage{Order: orderAsked{
		Order:        deletion.Order{State: "ordered", Scope: "group", Reason: "backlog", Reference: "2023/14", RunOn: calendar.On(2023, 10, 9), RoundNumber: &number},
		Municipality: municipality.Municipality{Number: "3218", Name: "Ås"},
	}, Decline: true}
}

func (s *Server) supportOrder(w http.ResponseWriter, r *http.Request) error {
	page, err := s.supportOrderPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "support-order", page)
}

// CoolingSpan is how long the municipality's cooling-off period is.
func (p supportOrderPage) CoolingSpan() string { return span(p.Page, p.Policy.CoolingOff) }

func (s *Server) supportOrderPage(r *http.Request) (supportOrderPage, error) {
	page := supportOrderPage{Page: edge.NewPage(r), Decline: strings.HasSuffix(r.URL.Path, "/avslag")}
	page.Path = "/support" // the entry of the menu
	id, err := orderID(r)
	if err != nil {
		return page, err
	}
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		found, err := ordersEverywhere(r.Context(), tx, &id)
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return problem.NotFound{What: "order"}
		}
		page.Order = found[0]
		return nil
	})
	if err != nil {
		return page, err
	}
	page.Zone = page.Order.Municipality.Zone
	err = s.DB.InTx(r.Context(), page.Caller.In(page.Order.Municipality.ID), func(tx *pg.Tx) (err error) {
		page.Policy, err = municipality.PolicyOf(r.Context(), tx)
		return err
	})
	return page, err
}

func orderID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(chi.URLParam(r, "order"))
	if err != nil {
		return id, problem.NotFound{What: "order"}
	}
	return id, nil
}

// placeOrder orders the extra run that the municipality asked for.
func (s *Server) placeOrder(w http.ResponseWriter, r *http.Request) error {
	page, err := s.supportOrderPage(r)
	if err != nil {
		return err
	}
	var number string
	err = s.DB.InTx(r.Context(), page.Caller.In(page.Order.Municipality.ID), func(tx *pg.Tx) (err error) {
		number, err = deletion.PlaceOrder(r.Context(), tx, page.Order.ID)
		return err
	})
	if edge.Fixable(err) {
		return edge.Render(w, r, page.Fail(inWords(page.Page, err)), "support-order", page)
	}
	if err != nil {
		return err
	}
	return to(w, r, "/support", edge.Flash{Key: "support.flash.ordered", Params: map[string]any{"number": number}})
}

// declineOrder says no to a request.
func (s *Server) declineOrder(w http.ResponseWriter, r *http.Request) error {
	page, err := s.supportOrderPage(r)
	if err != nil {
		return err
	}
	err = s.DB.InTx(r.Context(), page.Caller.In(page.Order.Municipality.ID), func(tx *pg.Tx) error {
		return deletion.DeclineOrder(r.Context(), tx, page.Order.ID)
	})
	if err != nil {
		return err
	}
	return to(w, r, "/support", edge.Flash{Key: "support.flash.declined"})
}
