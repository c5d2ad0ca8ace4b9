package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// confirmOldRegistration says that the record is the old one of a person who has another (D21).
func (s *Server) confirmOldRegistration(w http.ResponseWriter, r *http.Request) error {
	id, _, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, _ *form) error {
		return client.ConfirmOldRegistration(ctx, tx, id)
	})
	if err == nil {
		return to(w, r, clientPath(id, ""), edge.Flash{Key: "client.old_confirmed"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := deletionPage{}
	page.Page = edge.NewPage(r)
	status := page.Fail(err)
	return s.showDeletion(w, r, status, &page)
}
