package rest

import (
	"context"
	"net/http"
	"slices"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// ListClientDevices shows the devices of a client and of the dwelling.
func (s *Server) ListClientDevices(ctx context.Context, r ListClientDevicesRequestObject) (ListClientDevicesResponseObject, error) {
	var connected []device.Connection
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		if _, err = client.FindTab(ctx, tx, r.Client, "devices"); err != nil {
			return err
		}
		connected, err = devicesOf(ctx, tx, r.Client)
		return err
	})
	return ListClientDevices200JSONResponse{Devices: list(connected, showConnection)}, err
}

func devicesOf(ctx context.Context, tx *pg.Tx, id client.ID) ([]device.Connection, error) {
	own, err := device.OnClient(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	shared, err := device.OnDwelling(ctx, tx, id)
	return append(own, shared...), err
}

func showDevice(d device.Device) Device {
	return Device{Id: d.ID, Code: d.Code, Serial: set(d.Serial), Kind: d.Kind, StockState: StockState(d.StockState)}
}

func showConnection(c device.Connection) ConnectedDevice {
	to := ConnectedDeviceConnectedToAddress
	if c.ClientID != nil {
		to = ConnectedDeviceConnectedToClient
	}
	return ConnectedDevice{Device: showDevice(c.Device), ConnectedTo: to, Preferred: c.Preferred, ConnectedAt: c.ConnectedAt}
}

// ConnectDevice connects a device from stock to the client.
func (s *Server) ConnectDevice(ctx context.Context, r ConnectDeviceRequestObject) (ConnectDeviceResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return device.Connect(ctx, tx, r.Body.Device, device.Target{Client: r.Client}) })
	return ConnectDevice204Response{}, err
}

// DisconnectDevice takes a device from the client or the dwelling.
func (s *Server) DisconnectDevice(ctx context.Context, r DisconnectDeviceRequestObject) (DisconnectDeviceResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error {
		if err := belongs(ctx, tx, r.Client, r.Device); err != nil {
			return err
		}
		return device.Disconnect(ctx, tx, r.Device)
	})
	return DisconnectDevice204Response{}, err
}

// ExchangeDevice puts another device in the place of this one.
func (s *Server) ExchangeDevice(ctx context.Context, r ExchangeDeviceRequestObject) (ExchangeDeviceResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error {
		if err := belongs(ctx, tx, r.Client, r.Device); err != nil {
			return err
		}
		return device.Exchange(ctx, tx, r.Device, r.Body.Device)
	})
	return ExchangeDevice204Response{}, err
}

// belongs makes sure that an address of a client's device tells the truth; anything else is not there.
func belongs(ctx context.Context, tx *pg.Tx, id client.ID, of device.ID) error {
	connected, err := devicesOf(ctx, tx, id)
	if err == nil && !slices.ContainsFunc(connected, func(c device.Connection) bool { return c.ID == of }) {
		err = problem.NotFound{What: "device"}
	}
	return err
}

// HandOverDevice moves a device from the address to the client (D19).
func (s *Server) HandOverDevice(ctx context.Context, r HandOverDeviceRequestObject) (HandOverDeviceResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return device.HandOver(ctx, tx, r.Device, r.Client) })
	return HandOverDevice204Response{}, err
}

// ListStock shows devices in stock.
func (s *Server) ListStock(ctx context.Context, r ListStockRequestObject) (ListStockResponseObject, error) {
	var page StockPage
	err := s.in(ctx, func(tx *pg.Tx) error {
		devices, next, err := device.Stock(ctx, tx, or(r.Params.After, ""), or(r.Params.Limit, 50))
		page = StockPage{Devices: list(devices, showDevice), Next: set(next)}
		return err
	})
	return ListStock200JSONResponse(page), err
}

// RegisterDevice takes a new device into stock.
func (s *Server) RegisterDevice(ctx context.Context, r RegisterDeviceRequestObject) (RegisterDeviceResponseObject, error) {
	var made Created
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		made, err = once(ctx, tx, access.DeviceWrite, r.Params.IdempotencyKey, "registerDevice", r.Body, http.StatusCreated, func() (Created, error) {
			id, err := device.Register(ctx, tx, r.Body.Code, or(r.Body.Serial, ""), r.Body.Kind)
			return Created{Id: id}, err
		})
		return err
	})
	return RegisterDevice201JSONResponse(made), err
}

// ReadAddress shows a dwelling with who lives there and what is connected.
func (s *Server) ReadAddress(ctx context.Context, r ReadAddressRequestObject) (ReadAddressResponseObject, error) {
	var shown Dwelling
	err := s.in(ctx, func(tx *pg.Tx) error {
		d, err := client.FindAddress(ctx, tx, r.Address)
		if err != nil {
			return err
		}
		residents, err := client.Residents(ctx, tx, r.Address)
		if err != nil {
			return err
		}
		devices, err := device.OnAddress(ctx, tx, r.Address)
		if err != nil {
			return err
		}
		d.LookedAt(tx, residents)
		shown = Dwelling{
			Id: d.ID, Address: showAddress(client.Address{Street: d.Street, Postcode: d.Postcode, Town: d.Town}), Note: set(d.Note), Hidden: d.Protected,
			Residents: list(residents, showResident), Devices: list(devices, showConnection),
		}
		return nil
	})
	return ReadAddress200JSONResponse(shown), err
}

func showResident(r client.Resident) Resident {
	return Resident{Id: r.ID, Number: r.Number, GivenName: r.GivenName, FamilyName: r.FamilyName, Status: ClientStatus(r.Status)}
}

// ConnectAddressDevice connects a device from stock to the address.
func (s *Server) ConnectAddressDevice(ctx context.Context, r ConnectAddressDeviceRequestObject) (ConnectAddressDeviceResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error {
		return device.Connect(ctx, tx, r.Body.Device, device.Target{Address: r.Address})
	})
	return ConnectAddressDevice204Response{}, err
}
