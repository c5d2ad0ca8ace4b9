package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// pause stops a running round between two chunks.
func (s *Server) pause(w http.ResponseWriter, r *http.Request) error {
	return s.turn(w, r, deletion.Pause, "operator.flash.paused")
}

// resume lets a paused round go on.
func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	return s.turn(w, r, deletion.Resume, "operator.flash.resumed")
}

func (s *Server) turn(w http.ResponseWriter, r *http.Request, act func(context.Context, *pg.Tx, int64) error, said string) error {
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := tx.Require(access.RoundOperate); err != nil {
			return err
		}
		return act(ctx, tx, round.ID)
	})
	return s.operated(w, r, err, "", edge.Flash{Key: said})
}
