package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// liftBrake lets a round that Frist stopped go on; the operator resumes it.
func (s *Server) liftBrake(w http.ResponseWriter, r *http.Request) error {
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return deletion.LiftBrake(ctx, tx, round.ID)
	})
	return s.decided(w, r, err, decideBrake, decisionForm{}, edge.Flash{Key: "rounds.flash.brake_lifted"})
}
