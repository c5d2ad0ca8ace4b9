package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/go-chi/chi/v5"
)

// reject sends a controlled round back to be proposed and controlled anew. Nobody is deleted.
func (s *Server) reject(w http.ResponseWriter, r *http.Request) error {
	if _, err := parse(r); err != nil {
		return err
	}
	form := decisionForm{Remark: r.PostForm.Get("remark"), Code: r.PostForm.Get("code")}
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return deletion.Reject(ctx, tx, round.ID, form.Code, form.Remark)
	})
	return s.decided(w, r, err, decideReject, form, edge.Flash{Key: "rounds.flash.rejected"})
}

// roundPath is the address of the round that the request is about.
func roundPath(r *http.Request) string { return "/runder/" + chi.URLParam(r, "number") }
