package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
)

// askRelease asks for the end of a hold; an approver confirms it (D13).
func (s *Server) askRelease(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		hold, err := ofClient(ctx, tx, r, id)
		if err != nil {
			return err
		}
		return retention.AskRelease(ctx, tx, hold, f.text("reason"))
	})
	if err != nil {
		return s.holdsAgain(w, r, f, err)
	}
	return to(w, r, clientPath(id, "palegg"), edge.Flash{Key: "client.holds.asked"})
}
