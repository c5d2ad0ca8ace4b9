package admin

import (
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// addressHoldPage is the form for a hold on an address, and so on everybody who lives there (D24).
type addressHoldPage struct {
	edge.Page
	holdForm
	Once     string
	Dwelling client.Dwelling
}

// Reasons are the choices of D24.
func (p addressHoldPage) Reasons() []edge.Option { return holdReasons(p.Page, p.Reason) }

func (s *Server) addressHoldForm(w http.ResponseWriter, r *http.Request) error {
	return s.showAddressHold(w, r, http.StatusOK, addressHoldPage{Page: edge.NewPage(r)})
}

func (s *Server) showAddressHold(w http.ResponseWriter, r *http.Request, status int, page addressHoldPage) error {
	id, err := addressID(r)
	if err != nil {
		return err
	}
	page.Once = newOnce()
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.HoldPlace); err != nil {
			return err
		}
		page.Dwelling, err = client.FindAddress(r.Context(), tx, id)
		if err != nil {
			return err
		}
		residents, err := client.Residents(r.Context(), tx, id)
		page.Dwelling.LookedAt(tx, residents) // where somebody lives stands on the form
		return err
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, status, "address-hold", page)
}

func (s *Server) placeAddressHold(w http.ResponseWriter, r *http.Request) error {
	id, err := addressID(r)
	if err != nil {
		return err
	}
	f, err := parse(r)
	if err != nil {
		return err
	}
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		_, err := f.once(r.Context(), tx, func() (string, error) {
			hold := typedHold(f).hold(f)
			hold.AddressID = &id
			_, err := deletion.PlaceHold(r.Context(), tx, hold)
			return "", err
		})
		return err
	})
	if err == nil {
		return to(w, r, "/adresser/"+id.String(), edge.Flash{Key: "client.holds.placed"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := addressHoldPage{Page: edge.NewPage(r), holdForm: typedHold(f)}
	return s.showAddressHold(w, r, page.Fail(err), page)
}
