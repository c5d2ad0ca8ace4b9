package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// byCode is the device that a person names by its code.
func byCode(ctx context.Context, tx *pg.Tx, code string) (device.Device, error) {
	if code == "" {
		return device.Device{}, problem.InvalidField("code", "required", nil)
	}
	d, err := device.FindCode(ctx, tx, code)
	if errors.As(err, new(problem.NotFound)) {
		err = problem.InvalidField("code", "unknown_device", nil)
	}
	return d, err
}

// connectDevice gives a device in stock to the client or to the address.
func (s *Server) connectDevice(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		d, err := byCode(ctx, tx, f.text("code"))
		if err != nil {
			return err
		}
		locked, err := client.Lock(ctx, tx, id)
		if err != nil {
			return err
		}
		target := device.Target{Client: id}
		if f.Get("target") == "address" {
			if locked.AddressID == nil {
				return problem.InvalidField("target", "unknown", nil)
			}
			target = device.Target{Address: *locked.AddressID}
		}
		return device.Connect(ctx, tx, d.ID, target)
	})
	if err != nil {
		return s.devicesAgain(w, r, f, err)
	}
	return to(w, r, clientPath(id, "enheter"), edge.Flash{Key: "client.devices.connected"})
}
