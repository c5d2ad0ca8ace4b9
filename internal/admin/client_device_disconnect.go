package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// disconnectDevice takes a device and puts it in stock (P31).
func (s *Server) disconnectDevice(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, _ *form) error {
		d, err := held(ctx, tx, r, id)
		if err != nil {
			return err
		}
		return device.Disconnect(ctx, tx, d.ID)
	})
	if err != nil {
		return s.devicesAgain(w, r, f, err)
	}
	return to(w, r, back(id, f), edge.Flash{Key: "client.devices.in_stock"})
}
