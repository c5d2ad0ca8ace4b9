package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// exchangePage asks which device shall stand in the place of another (P32: Bytt enhet).
type exchangePage struct {
	clientHead
	Old   device.Connection
	Stock []device.Device
	Code  string
}

func (s *Server) exchangeForm(w http.ResponseWriter, r *http.Request) error {
	return s.showExchange(w, r, http.StatusOK, &exchangePage{})
}

func (s *Server) showExchange(w http.ResponseWriter, r *http.Request, status int, page *exchangePage) error {
	return s.showClient(w, r, status, "client-exchange", page, "devices", func(ctx context.Context, tx *pg.Tx) (err error) {
		if page.Old, err = held(ctx, tx, r, page.Client.ID); err != nil {
			return err
		}
		page.Stock, _, err = device.Stock(ctx, tx, "", 200)
		return err
	})
}

func (s *Server) exchangeDevice(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		old, err := held(ctx, tx, r, id)
		if err != nil {
			return err
		}
		replacement, err := byCode(ctx, tx, f.text("code"))
		if err != nil {
			return err
		}
		return device.Exchange(ctx, tx, old.ID, replacement.ID)
	})
	if err == nil {
		return to(w, r, clientPath(id, "enheter"), edge.Flash{Key: "client.devices.exchanged"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := exchangePage{Code: f.Get("code")}
	page.Page = edge.NewPage(r)
	return s.showExchange(w, r, page.Fail(err), &page)
}
