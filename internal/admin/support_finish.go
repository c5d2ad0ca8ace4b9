package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// finishControl keeps the findings and ends the control. A new deviation is dealt with first: the client stays and the
// sample grows, so the control goes on.
func (s *Server) finishControl(w http.ResponseWriter, r *http.Request) error {
	if _, err := parse(r); err != nil {
		return err
	}
	chosen := chosenFindings(r.PostForm)
	deviations := 0
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) (err error) {
		if _, deviations, err = keepFindings(ctx, tx, round.ID, chosen); err != nil || deviations > 0 {
			return err
		}
		return deletion.FinishControl(ctx, tx, round.ID)
	})
	done := edge.Flash{Key: "support.flash.finished"}
	if deviations > 0 {
		done = edge.Flash{Key: "support.flash.deviation", N: deviations}
	}
	return s.controlled(w, r, err, chosen, done)
}
