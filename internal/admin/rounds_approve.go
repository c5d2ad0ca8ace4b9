package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// approve freezes the list that the approver has seen: when it has changed since, they look again.
func (s *Server) approve(w http.ResponseWriter, r *http.Request) error {
	if _, err := parse(r); err != nil {
		return err
	}
	form := decisionForm{Remark: r.PostForm.Get("remark"), AcceptBrake: r.PostForm.Get("accept_brake") != ""}
	var frozen int
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		err := deletion.Approve(ctx, tx, round.ID, deletion.Approval{Remark: form.Remark, AcceptBrake: form.AcceptBrake})
		if err != nil {
			return err
		}
		tally, err := deletion.Tally(ctx, tx, round.ID)
		if err != nil {
			return err
		}
		frozen = deletion.Count(tally, deletion.ItemReady)
		if seen := r.PostForm.Get("seen"); seen != "" && seen != strconv.Itoa(frozen) {
			return problem.Conflict{Code: "list_moved", Params: problem.Params{"now": frozen}} // and nothing is approved
		}
		return nil
	})
	return s.decided(w, r, err, decideApprove, form, edge.Flash{Key: "rounds.flash.approved", N: frozen})
}

// decided shows the round again: with the line about what went well, or with the form and what was wrong in it.
func (s *Server) decided(w http.ResponseWriter, r *http.Request, err error, open decision, form decisionForm, done edge.Flash) error {
	if err == nil {
		return to(w, r, roundPath(r), done)
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.roundPage(r, open)
	if again != nil {
		return again
	}
	page.Form, page.Undone = form, "rounds.undone."+string(open)
	status := page.Fail(inWords(page.Page, whyWords(err)))
	return edge.Render(w, r, status, "round", page)
}

// whyWords says of the missing reason of a decision what to do about it: elsewhere a field "code" is a device's.
func whyWords(err error) error {
	var invalid problem.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	fields := slices.Clone(invalid.Fields)
	for i, f := range fields {
		if f.Name == "code" && f.Code == "required" {
			fields[i].Code = "choose_reason"
		}
	}
	return problem.Invalid{Fields: fields}
}
