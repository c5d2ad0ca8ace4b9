package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
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
		if err != nil {
			return err
		}
		page.Orders, err = ordersEverywhere(r.Context(), tx, nil)
		return err
	})
	if err != nil {
		return err
	}
	page.Waiting = map[string]int{"control": len(page.Control), "orders": len(page.Orders)}
	return edge.Render(w, r, http.StatusOK, "support", page)
}

// boardWords is stateWords for a line of the board.
func boardWords(p edge.Page, b deletion.BoardLine) string { return stateWords(p, roundOf(b)) }

func roundOf(b deletion.BoardLine) deletion.Round {
	round := deletion.Round{State: b.State, RunOn: b.RunOn, CoolingOffUntil: b.CoolingOffUntil, Brake: b.Brake, Incident: b.Incident}
	if b.BrakeLifted {
		round.BrakeLiftedBy = new(int64)
	}
	return round
}

// ordersEverywhere are the requests that wait for support, oldest first, or the one that is sought.
func ordersEverywhere(ctx context.Context, tx *pg.Tx, sought *uuid.UUID) ([]orderAsked, error) {
	orders, err := deletion.OrdersEverywhere(ctx, tx, sought)
	if err != nil {
		return nil, err
	}
	all, err := municipality.List(ctx, tx)
	if err != nil {
		return nil, err
	}
	at := map[int]municipality.Municipality{}
	for _, m := range all {
		at[m.ID] = m
	}
	asked := make([]orderAsked, len(orders))
	for i, o := range orders {
		asked[i] = orderAsked{o.Order, at[o.MunicipalityID]}
	}
	return asked, nil
}
