package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// markReviewed notes that the record was checked today (P20).
func (s *Server) markReviewed(w http.ResponseWriter, r *http.Request) error {
	id, _, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, _ *form) error {
		return client.MarkReviewed(ctx, tx, id, calendar.Date{})
	})
	if err != nil {
		return err
	}
	return to(w, r, clientPath(id, "opplysninger"), edge.Flash{Key: "client.reviewed"})
}
