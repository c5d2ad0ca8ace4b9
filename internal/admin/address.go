package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func init() {
	at := time.Date(2023, 3, 14, 14, 7, 0, 0, time.UTC)
	dwelling := client.Dwelling{ID: uuid.New(), Street: "Skoleveien 4 B", Postcode: "1430", Town: "Ås", Note: "Ring på"}
	edge.Pages["address"] = addressPage{
		Dwelling: dwelling, Residents: []client.Resident{{ID: uuid.New(), Number: "1", GivenName: "Arne", FamilyName: "Hansen", Status: client.Active}},
		Devices: []device.Connection{{Device: device.Device{Code: "300412", Kind: "safety_alarm"}, Preferred: true, ConnectedAt: at}},
		Events:  []client.AddressEvent{{At: at, Kind: "smoke_detected", Text: "Røyk", DeviceCode: "300412"}},
		Holds:   []retention.Hold{{Reason: "police", Authority: "x", ReviewOn: calendar.On(2023, 12, 1), PlacedAt: at}, {ReviewOn: calendar.On(2023, 12, 1), PlacedAt: at}},
	}
	edge.Pages["address-hold"] = addressHoldPage{Dwelling: dwelling}
}

// addressPage is a dwelling: who lives there, which devices hang on it, what keeps it (P31, D19).
type addressPage struct {
	edge.Page
	Dwelling  client.Dwelling
	Residents []client.Resident
	Devices   []device.Connection
	Events    []client.AddressEvent
	Holds     []retention.Hold // standing ones on the address itself
	Staff     map[int64]account.StaffMember
}

// By is who did it.
func (p addressPage) By(id int64) string { return nameOf(p.Page, p.Staff, id) }

// Keeps are the residents whom a device on the address keeps from being deleted.
func (p addressPage) Keeps() []client.Resident {
	var kept []client.Resident
	for _, r := range p.Residents {
		if r.Status.Inactive() {
			kept = append(kept, r)
		}
	}
	return kept
}

func addressID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(chi.URLParam(r, "address"))
	if err != nil {
		err = problem.NotFound{What: "address"}
	}
	return id, err
}

func (s *Server) address(w http.ResponseWriter, r *http.Request) error {
	id, err := addressID(r)
	if err != nil {
		return err
	}
	page := addressPage{Page: edge.NewPage(r)}
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error { return page.load(r.Context(), tx, id) })
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "address", page)
}

func (p *addressPage) load(ctx context.Context, tx *pg.Tx, id uuid.UUID) (err error) {
	if p.Dwelling, err = client.FindAddress(ctx, tx, id); err != nil {
		return err
	}
	if p.Residents, err = client.Residents(ctx, tx, id); err != nil {
		return err
	}
	if p.Devices, err = device.OnAddress(ctx, tx, id); err != nil {
		return err
	}
	if p.Events, err = client.AddressEvents(ctx, tx, id); err != nil {
		return err
	}
	if p.Staff, err = account.Staff(ctx, tx); err != nil {
		return err
	}
	p.Dwelling.LookedAt(tx, p.Residents)
	if len(p.Residents) == 0 {
		return nil
	}
	holds, err := retention.Holds(ctx, tx, p.Residents[0].ID)
	for _, h := range holds {
		if h.AddressID != nil && *h.AddressID == id && h.ReleasedAt == nil {
			p.Holds = append(p.Holds, h)
		}
	}
	return err
}
