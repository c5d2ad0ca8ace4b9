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

// start starts the round whose number the operator typed.
func (s *Server) start(w http.ResponseWriter, r *http.Request) error {
	if _, err := parse(r); err != nil {
		return err
	}
	typed := r.PostForm.Get("number")
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := tx.Require(access.RoundOperate); err != nil {
			return err
		}
		return deletion.Start(ctx, tx, round.ID, typed)
	})
	return s.operated(w, r, err, typed, edge.Flash{Key: "operator.flash.started"})
}

// operated shows the round again: with the line about what went well, or with what was wrong.
func (s *Server) operated(w http.ResponseWriter, r *http.Request, err error, typed string, done edge.Flash) error {
	if err == nil {
		return to(w, r, "/drift/"+chi.URLParam(r, "number"), done)
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.operatorRoundPage(r)
	if again != nil {
		return again
	}
	page.Typed, page.Starting = typed, page.MayStart
	if page.State == deletion.Approved {
		page.Undone = "operator.not_started"
	}
	return edge.Render(w, r, page.Fail(inWords(page.Page, err)), "operator-round", page)
}
