package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
)

// supportPage is /support: the rounds that wait for the control, those under way, and the extra runs asked for. Numbers,
// dates and counts; nobody's name.
type supportPage struct {
	edge.Page
	Control []supportLine
	Orders  []orderAsked
	Others  []supportLine
}

// supportLine is a round of some municipality.
type supportLine struct {
	deletion.BoardLine
	State string
}

// Goes is how many would be deleted, as far as is known.
func (l supportLine) Goes() int { return max(l.Ready, l.Frozen) }

// orderAsked is a municipality's request for an extra run.
type orderAsked struct {
	deletion.Order
	Municipality municipality.Municipality
}

func init() {
	line := supportLine{BoardLine: deletion.BoardLine{Number: "3218-231001", MunicipalityNumber: "3218", MunicipalityName: "Ås", Kind: "extra", RunOn: calendar.On(2023, 10, 1)}, State: "x"}
	edge.Pages["support"] = supportPage{Control: []supportLine{line}, Orders: []orderAsked{{Order: deletion.Order{State: "asked", Scope: "group", Reason: "backlog"}}}, Others: []supportLine{line}}
}

func (s *Server) support(w http.ResponseWriter, r *http.Request) error {
	page := supportPage{Page: edge.NewPage(r)}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.RoundControl); err != nil {
			return err
		}
		board, err := deletion.Board(r.Context(), tx, deletion.Proposed, deletion.Controlled, deletion.Approved, deletion.Running, deletion.Paused, deletion.Verifying)
		for _, b := range board {
			line := supportLine{b, boardWords(page.Page, b)}
			if b.State == deletion.Proposed {
				page.Control = append(page.Control, line)
			} else {
				page.Others = append(page.Others, line)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	if page.Orders, err = s.ordersEverywhere(r, page.Caller); err != nil {
		return err
	}
	page.Waiting = map[string]int{"control": len(page.Control), "orders": len(page.Orders)}
	return edge.Render(w, r, http.StatusOK, "support", page)
}

// boardWords is stateWords for a line of the board.
func boardWords(p edge.Page, b deletion.BoardLine) string {
	round := deletion.Round{State: b.State, RunOn: b.RunOn, CoolingOffUntil: b.CoolingOffUntil, Brake: b.Brake, Incident: b.Incident}
	if b.BrakeLifted {
		round.BrakeLiftedBy = new(int64)
	}
	return stateWords(p, round)
}

// ordersEverywhere lists the requests that wait for support, oldest first. Support turns to one municipality at a time, as
// everybody does.
func (s *Server) ordersEverywhere(r *http.Request, caller access.Caller) ([]orderAsked, error) {
	var asked []orderAsked
	err := s.everywhere(r, caller, func(ctx context.Context, tx *pg.Tx, m municipality.Municipality) error {
		orders, err := deletion.Orders(ctx, tx)
		for _, o := range orders {
			if o.State == "asked" {
				asked = append(asked, orderAsked{o, m})
			}
		}
		return err
	})
	slices.SortStableFunc(asked, func(a, b orderAsked) int { return a.AskedAt.Compare(b.AskedAt) })
	return asked, err
}

// findOrder finds the request with the id in the address, and the municipality that it came from.
func (s *Server) findOrder(r *http.Request, caller access.Caller, id uuid.UUID) (orderAsked, error) {
	var found orderAsked
	err := s.everywhere(r, caller, func(ctx context.Context, tx *pg.Tx, m municipality.Municipality) error {
		orders, err := deletion.Orders(ctx, tx)
		for _, o := range orders {
			if o.ID == id {
				found = orderAsked{o, m}
			}
		}
		return err
	})
	if err == nil && found.ID == uuid.Nil {
		err = problem.NotFound{What: "order"}
	}
	return found, err
}

// everywhere runs fn in each municipality, for people who work for all of them.
func (s *Server) everywhere(r *http.Request, caller access.Caller, fn func(ctx context.Context, tx *pg.Tx, m municipality.Municipality) error) error {
	if !caller.Blind() {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.RoundControl)}}
	}
	var all []municipality.Municipality
	err := s.DB.InTx(r.Context(), caller, func(tx *pg.Tx) (err error) {
		all, err = municipality.List(r.Context(), tx)
		return err
	})
	for _, m := range all {
		if err != nil {
			return err
		}
		err = s.DB.InTx(r.Context(), caller.In(m.ID), func(tx *pg.Tx) error { return fn(r.Context(), tx, m) })
	}
	return err
}
