package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// preferDevice makes a device the preferred one (P32).
func (s *Server) preferDevice(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, _ *form) error {
		d, err := held(ctx, tx, r, id)
		if err != nil {
			return err
		}
		return device.Prefer(ctx, tx, d.ID)
	})
	if err != nil {
		return s.devicesAgain(w, r, f, err)
	}
	return to(w, r, clientPath(id, "enheter"), edge.Flash{Key: "client.devices.preferred_now"})
}
