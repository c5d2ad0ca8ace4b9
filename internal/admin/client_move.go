package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// moveClient puts the client into another group (D10).
func (s *Server) moveClient(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		group, err := strconv.ParseInt(f.Get("group"), 10, 64)
		if err != nil {
			return problem.InvalidField("group", "unknown", nil)
		}
		return deletion.Move(ctx, tx, id, group, f.text("reason"))
	})
	if err == nil {
		return to(w, r, clientPath(id, ""), edge.Flash{Key: "client.moved"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := deletionPage{Group: f.Get("group"), Reason: f.Get("reason")}
	page.Page = edge.NewPage(r)
	status := page.Fail(err)
	return s.showDeletion(w, r, status, &page)
}
