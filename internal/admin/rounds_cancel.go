package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// cancel calls a round off before it runs (avlyse): everybody in it moves on.
func (s *Server) cancel(w http.ResponseWriter, r *http.Request) error {
	if _, err := parse(r); err != nil {
		return err
	}
	form := decisionForm{Remark: r.PostForm.Get("remark"), Code: r.PostForm.Get("code")}
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return deletion.Cancel(ctx, tx, round.ID, form.Code, form.Remark)
	})
	return s.decided(w, r, err, decideCancel, form, edge.Flash{Key: "rounds.flash.cancelled"})
}
