package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// handOverDevice moves a device of the address to an active client who lives there (D19).
func (s *Server) handOverDevice(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		d, err := held(ctx, tx, r, id)
		if err != nil {
			return err
		}
		resident, err := client.ParseID(f.Get("resident"))
		if err != nil {
			return err
		}
		return device.HandOver(ctx, tx, d.ID, resident)
	})
	if err != nil {
		return s.devicesAgain(w, r, f, err)
	}
	return to(w, r, back(id, f), edge.Flash{Key: "client.devices.handed_over"})
}
