package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

func init() {
	head := sampleHead("devices")
	at := head.Client.StatusSince
	d := device.Connection{Device: device.Device{Code: "300412", Serial: "TX4-0081", Kind: "safety_alarm", StockState: device.Connected}, AddressID: head.Client.AddressID, Preferred: true, ConnectedAt: at}
	old := d
	old.ClientID, old.AddressID, old.DisconnectedAt = &head.Client.ID, nil, &at
	page := devicesPage{
		clientHead: head, OnClient: []device.Connection{d}, OnDwelling: []device.Connection{d, d}, History: []device.Connection{d, old},
		Neighbours: []client.Resident{{GivenName: "Arne", FamilyName: "Hansen", Status: client.Active}}, Stock: []device.Device{d.Device},
	}
	edge.Pages["client-devices"] = page
	edge.Pages["client-exchange"] = exchangePage{clientHead: head, Old: d, Stock: page.Stock, Code: "1"}
}

// devicesPage is the tab Enheter: what the client has, what the address has, and what was (P31, P32).
type devicesPage struct {
	clientHead
	OnClient   []device.Connection
	OnDwelling []device.Connection
	History    []device.Connection
	Neighbours []client.Resident
	Stock      []device.Device // the first ones, to choose from
	Code       string
	Target     string
}

// Active are the neighbours to whom a device of the address can be handed (D19).
func (p devicesPage) Active() []client.Resident { return activeOf(p.Neighbours) }

// Targets are who can get a device.
func (p devicesPage) Targets() []edge.Option {
	options := []edge.Option{{Value: "client", Label: p.Say("client.devices.to_client"), Chosen: p.Target != "address"}}
	if p.Client.AddressID != nil {
		options = append(options, edge.Option{Value: "address", Label: p.Say("client.devices.to_address", "address", p.Client.Address.Street), Chosen: p.Target == "address"})
	}
	return options
}

// event is one line of the devices' history.
type event struct {
	At   time.Time
	Code string
	What string // the words are client.devices.<what>
}

// Events are the history, newest first: each connection's beginning and, where there is one, its end.
func (p devicesPage) Events() []event {
	var events []event
	for _, c := range p.History {
		place := "address"
		if c.ClientID != nil {
			place = "client"
		}
		events = append(events, event{c.ConnectedAt, c.Code, "on_" + place})
		if c.DisconnectedAt != nil {
			events = append(events, event{*c.DisconnectedAt, c.Code, "off_" + place})
		}
	}
	newestFirst(events, func(e event) time.Time { return e.At })
	return events
}

func (p *devicesPage) load(ctx context.Context, tx *pg.Tx) error {
	return tx.Together(ctx,
		func() (err error) { p.OnClient, err = device.OnClient(ctx, tx, p.Client.ID); return err },
		func() (err error) { p.OnDwelling, err = device.OnDwelling(ctx, tx, p.Client.ID); return err },
		func() (err error) { p.History, err = device.History(ctx, tx, p.Client.ID); return err },
		func() (err error) { p.Neighbours, err = neighbours(ctx, tx, p.Client); return err },
		func() (err error) { p.Stock, _, err = device.Stock(ctx, tx, "", 200); return err },
	)
}

func (s *Server) clientDevices(w http.ResponseWriter, r *http.Request) error {
	return s.showDevices(w, r, http.StatusOK, &devicesPage{})
}

func (s *Server) showDevices(w http.ResponseWriter, r *http.Request, status int, page *devicesPage) error {
	return s.showClient(w, r, status, "client-devices", page, "devices", page.load)
}

// devicesAgain shows the tab with what went wrong.
func (s *Server) devicesAgain(w http.ResponseWriter, r *http.Request, f *form, err error) error {
	if !edge.Fixable(err) {
		return err
	}
	page := devicesPage{Code: f.Get("code"), Target: f.Get("target")}
	page.Page = edge.NewPage(r)
	return s.showDevices(w, r, page.Fail(err), &page)
}

// held is the device of the address in the path, when the client or the client's dwelling has it.
func held(ctx context.Context, tx *pg.Tx, r *http.Request, id client.ID) (device.Connection, error) {
	of, err := device.ParseID(chi.URLParam(r, "device"))
	if err != nil {
		return device.Connection{}, err
	}
	for _, read := range []func(context.Context, *pg.Tx, client.ID) ([]device.Connection, error){device.OnClient, device.OnDwelling} {
		connections, err := read(ctx, tx, id)
		if err != nil {
			return device.Connection{}, err
		}
		for _, c := range connections {
			if c.ID == of {
				return c, nil
			}
		}
	}
	if _, err := device.Find(ctx, tx, of); err != nil {
		return device.Connection{}, err
	}
	return device.Connection{}, problem.Conflict{Code: "device_not_connected"}
}

// back is where a button on a device leads: to the tab that it stood on.
func back(id client.ID, f *form) string {
	if f.Get("fra") == "sletting" {
		return clientPath(id, "")
	}
	return clientPath(id, "enheter")
}
