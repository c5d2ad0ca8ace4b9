package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/go-chi/chi/v5"
)

// requestControl has everybody in the round checked, and the sample drawn.
func (s *Server) requestControl(w http.ResponseWriter, r *http.Request) error {
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := tx.Require(access.RoundControl); err != nil {
			return err
		}
		return deletion.RequestControl(ctx, tx, round.ID)
	})
	return s.controlled(w, r, err, nil, edge.Flash{Key: "support.flash.control"})
}

// controlled shows the control again: with the line about what went well, or with what was wrong and what was chosen.
func (s *Server) controlled(w http.ResponseWriter, r *http.Request, err error, chosen map[int]string, done edge.Flash) error {
	if err == nil {
		return to(w, r, "/support/runder/"+chi.URLParam(r, "number"), done)
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.supportRoundPage(r)
	if again != nil {
		return again
	}
	for i := range page.Checks {
		c := &page.Checks[i]
		for j := range c.Choices {
			if f, ok := chosen[c.Position]; ok {
				c.Choices[j].Chosen = c.Choices[j].Value == f
			}
		}
		if _, ok := chosen[c.Position]; !ok && chosen != nil && c.Finding == nil {
			c.Error = page.Say("support.choose_finding")
		}
	}
	page.Undone = "support.undone"
	status := page.Fail(inWords(page.Page, err))
	return edge.Render(w, r, status, "support-round", page)
}
