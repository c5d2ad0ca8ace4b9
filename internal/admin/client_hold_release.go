package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// releaseHold confirms the release that somebody else asked for; the client is placed anew at once (D15).
func (s *Server) releaseHold(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, _ *form) error {
		hold, err := ofClient(ctx, tx, r, id)
		if err != nil {
			return err
		}
		return deletion.ReleaseHold(ctx, tx, hold)
	})
	if err != nil {
		return s.holdsAgain(w, r, f, err)
	}
	return to(w, r, clientPath(id, "palegg"), edge.Flash{Key: "client.holds.released"})
}
