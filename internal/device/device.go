// Package device is the alarm device (enhet): what lies in stock and who has what, on the client or on the address. A
// connected device is what most often keeps a client from being deleted (P31, P33), so every change here takes the same
// locks as a purge does: clients by id, then addresses by id, then the devices' rows by id.
package device

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ID is a device's random id.
type ID = uuid.UUID

// ParseID reads an id as it stands in an address. Nonsense is a device that does not exist: problem.NotFound.
func ParseID(s string) (ID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return ID{}, notFound
	}
	return id, nil
}

var notFound = problem.NotFound{What: "device"}

// StockState is where a device is.
type StockState string

// In stock (på lager), connected to a client or an address, or lost.
const (
	InStock   StockState = "in_stock"
	Connected StockState = "connected"
	Lost      StockState = "lost"
)

// Device is one device (P32).
type Device struct {
	ID         ID
	Code       string // Enhetskode
	Serial     string
	Kind       string
	StockState StockState
}

// Connection is a device with the time in which a client or an address had it.
type Connection struct {
	Device
	ConnectionID   uuid.UUID
	ClientID       *client.ID // one of the two is not nil
	AddressID      *uuid.UUID // nil also when the caller may not see where it is (D21)
	Preferred      bool       // Forhåndsvalgt enhet
	ConnectedAt    time.Time
	DisconnectedAt *time.Time // nil: still connected
}

// Target is who gets a device: exactly one of the two.
type Target struct {
	Client  client.ID
	Address uuid.UUID
}

const (
	columns   = `d.id, d.code, d.serial, d.kind, d.stock_state`
	connected = columns + `, k.id AS connection_id, k.client_id, k.address_id, k.preferred, k.connected_at, k.disconnected_at
	FROM device_connection k JOIN device d ON d.municipality_id = k.municipality_id AND d.id = k.device_id `
)

// OnClient are the devices connected to the client, the preferred one first.
func OnClient(ctx context.Context, tx *pg.Tx, id client.ID) ([]Connection, error) {
	return connections(ctx, tx, `SELECT `+connected+`WHERE k.municipality_id = $1 AND k.client_id = $2 AND k.disconnected_at IS NULL
		ORDER BY k.preferred DESC, d.code`, id)
}

// OnAddress are the devices connected to the address, the preferred one first.
func OnAddress(ctx context.Context, tx *pg.Tx, address uuid.UUID) ([]Connection, error) {
	return connections(ctx, tx, `SELECT `+connected+`WHERE k.municipality_id = $1 AND k.address_id = $2 AND k.disconnected_at IS NULL
		ORDER BY k.preferred DESC, d.code`, address)
}

// OnDwelling are the devices connected to the address where the client lives. It works for a hidden address too (D21): the
// rows then do not tell which it is.
func OnDwelling(ctx context.Context, tx *pg.Tx, id client.ID) ([]Connection, error) {
	return connections(ctx, tx, `SELECT `+columns+`, k.id AS connection_id, k.client_id, (SELECT a.id FROM address a WHERE a.municipality_id = k.municipality_id AND a.id = k.address_id) AS address_id,
			k.preferred, k.connected_at, k.disconnected_at
		FROM client c JOIN device_connection k ON k.municipality_id = c.municipality_id AND k.address_id = c.address_id AND k.disconnected_at IS NULL
		JOIN device d ON d.municipality_id = k.municipality_id AND d.id = k.device_id
		WHERE c.municipality_id = $1 AND c.id = $2 ORDER BY k.preferred DESC, d.code`, id)
}

// History are all connections of the client and of the address where the client lives, newest first, also the closed ones.
func History(ctx context.Context, tx *pg.Tx, id client.ID) ([]Connection, error) {
	return connections(ctx, tx, `SELECT `+columns+`, k.id AS connection_id, k.client_id, (SELECT a.id FROM address a WHERE a.municipality_id = k.municipality_id AND a.id = k.address_id) AS address_id,
			k.preferred, k.connected_at, k.disconnected_at
		FROM client c JOIN device_connection k ON k.municipality_id = c.municipality_id AND (k.client_id = c.id OR k.address_id = c.address_id)
		JOIN device d ON d.municipality_id = k.municipality_id AND d.id = k.device_id
		WHERE c.municipality_id = $1 AND c.id = $2 ORDER BY k.connected_at DESC, k.id`, id)
}

func connections(ctx context.Context, tx *pg.Tx, sql string, of uuid.UUID) ([]Connection, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, sql, tx.Municipality(), of)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Connection])
}

// Count counts the open connections of the client and of the address where the client lives, for the tab.
func Count(ctx context.Context, tx *pg.Tx, id client.ID) (n int, err error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT count(*) FROM client c JOIN device_connection k ON k.municipality_id = c.municipality_id
		AND (k.client_id = c.id OR k.address_id = c.address_id) AND k.disconnected_at IS NULL WHERE c.municipality_id = $1 AND c.id = $2`,
		tx.Municipality(), id).Scan(&n)
	return n, err
}

// Stock are at most limit (1 to 200) devices in stock by code, from behind the code after. next is the code to go on
// from, empty at the end.
func Stock(ctx context.Context, tx *pg.Tx, after string, limit int) (devices []Device, next string, err error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return nil, "", err
	}
	limit = min(max(limit, 1), 200)
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM device d WHERE d.municipality_id = $1 AND d.stock_state = 'in_stock' AND d.code > $2
		ORDER BY d.code LIMIT $3`, tx.Municipality(), after, limit+1)
	if err != nil {
		return nil, "", err
	}
	devices, err = pgx.CollectRows(rows, pgx.RowToStructByName[Device])
	if len(devices) > limit {
		devices = devices[:limit]
		next = devices[limit-1].Code
	}
	return devices, next, err
}

// Find is the device with this id. problem.NotFound when there is none in this municipality.
func Find(ctx context.Context, tx *pg.Tx, id ID) (Device, error) {
	return find(ctx, tx, `d.id = $2`, id)
}

// FindCode is the device with this code. problem.NotFound when there is none in this municipality.
func FindCode(ctx context.Context, tx *pg.Tx, code string) (Device, error) {
	return find(ctx, tx, `d.code = $2`, strings.TrimSpace(code))
}

func find(ctx context.Context, tx *pg.Tx, where string, arg any) (Device, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Device{}, err
	}
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM device d WHERE d.municipality_id = $1 AND `+where, tx.Municipality(), arg)
	if err != nil {
		return Device{}, err
	}
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Device])
	if errors.Is(err, pgx.ErrNoRows) {
		return Device{}, notFound
	}
	return d, err
}

// Register takes a new device into stock. problem.Invalid of "code" (required, too_long, taken), "kind" (required,
// too_long), "serial" (too_long).
func Register(ctx context.Context, tx *pg.Tx, code, serial, kind string) (ID, error) {
	if err := tx.Require(access.DeviceWrite); err != nil {
		return ID{}, err
	}
	code, serial, kind = strings.Join(strings.Fields(code), ""), strings.TrimSpace(serial), strings.TrimSpace(kind)
	var wrong problem.Collector
	for _, f := range []struct {
		name, value string
		required    bool
	}{{"code", code, true}, {"serial", serial, false}, {"kind", kind, true}} {
		if f.required && f.value == "" {
			wrong.Add(f.name, "required", nil)
		}
		if utf8.RuneCountInString(f.value) > 100 {
			wrong.Add(f.name, "too_long", problem.Params{"max": 100})
		}
	}
	if err := wrong.Err(); err != nil {
		return ID{}, err
	}
	id := uuid.New()
	n, err := tx.Exec(ctx, `INSERT INTO device (municipality_id, id, code, serial, kind, stock_state) VALUES ($1, $2, $3, $4, $5, 'in_stock')
		ON CONFLICT (municipality_id, code) DO NOTHING`, tx.Municipality(), id, code, serial, kind)
	if err != nil {
		return ID{}, err
	}
	if n == 0 {
		return ID{}, problem.InvalidField("code", "taken", nil)
	}
	audit.Write(tx, access.DeviceWrite, audit.Record{Act: "device_registered", Subject: "device", SubjectID: id.String()})
	return id, nil
}

// Connect gives a device in stock to a client or an address. The first device of a client or address is the preferred one.
// problem.Conflict: "inactive_client" (the client is disconnected or cancelled), "no_active_resident" (all who live at the
// address are, and the device would only block their deletion), "device_connected", "device_lost"; problem.NotFound.
func Connect(ctx context.Context, tx *pg.Tx, id ID, to Target) error {
	if err := tx.Require(access.DeviceWrite); err != nil {
		return err
	}
	if (to.Client == uuid.Nil) == (to.Address == uuid.Nil) {
		return problem.InvalidField("target", "required", nil)
	}
	if err := lock(ctx, tx, to, client.LockAddress); err != nil {
		return err
	}
	devices, err := lockDevices(ctx, tx, id)
	if err != nil {
		return err
	}
	return open(ctx, tx, devices[0], to, nil)
}

// Disconnect takes a device from whoever has it and puts it in stock (P31: "kobles fra og legges på lager").
// problem.Conflict "device_not_connected", problem.NotFound.
func Disconnect(ctx context.Context, tx *pg.Tx, id ID) error {
	if err := tx.Require(access.DeviceWrite); err != nil {
		return err
	}
	at, err := place(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := lockPlace(ctx, tx, at); err != nil {
		return err
	}
	devices, err := lockDevices(ctx, tx, id)
	if err != nil {
		return err
	}
	_, err = shut(ctx, tx, devices[0], at)
	return err
}

// Exchange puts a device from stock in the place of another, which goes into stock (P32: Bytt enhet). The new one is
// preferred when the old one was. Errors of Disconnect for the old device and of Connect for the new one.
func Exchange(ctx context.Context, tx *pg.Tx, old, replacement ID) error {
	if err := tx.Require(access.DeviceWrite); err != nil {
		return err
	}
	if old == replacement {
		return problem.Conflict{Code: "same_device"}
	}
	at, err := place(ctx, tx, old)
	if err != nil {
		return err
	}
	if err := lock(ctx, tx, at, client.LockDwelling); err != nil {
		return err
	}
	devices, err := lockDevices(ctx, tx, old, replacement)
	if err != nil {
		return err
	}
	preferred, err := shut(ctx, tx, devices[0], at)
	if err != nil {
		return err
	}
	return open(ctx, tx, devices[1], at, &preferred)
}

// HandOver moves a device from an address to an active client who lives there (D19), so that a widow's alarm does not
// keep her husband's record for ever. problem.Conflict: "not_on_address", "client_not_active", "lives_elsewhere";
// problem.NotFound.
func HandOver(ctx context.Context, tx *pg.Tx, id ID, to client.ID) error {
	if err := tx.Require(access.DeviceWrite); err != nil {
		return err
	}
	at, err := place(ctx, tx, id)
	if err != nil && !errors.As(err, new(problem.Conflict)) {
		return err
	}
	resident, err := client.Lock(ctx, tx, to)
	switch {
	case err != nil:
		return err
	case at.Address == uuid.Nil:
		return problem.Conflict{Code: "not_on_address"}
	case resident.Status != client.Active:
		return problem.Conflict{Code: "client_not_active"}
	case resident.AddressID == nil || *resident.AddressID != at.Address:
		return problem.Conflict{Code: "lives_elsewhere"}
	}
	if err := client.LockDwelling(ctx, tx, at.Address); err != nil {
		return err
	}
	devices, err := lockDevices(ctx, tx, id)
	if err != nil {
		return err
	}
	if _, err := shut(ctx, tx, devices[0], at); err != nil {
		return err
	}
	devices[0].StockState = InStock
	return open(ctx, tx, devices[0], Target{Client: to}, nil)
}

// Prefer makes a connected device the preferred one of its client or address (P32: Forhåndsvalgt enhet).
// problem.Conflict "device_not_connected", problem.NotFound.
func Prefer(ctx context.Context, tx *pg.Tx, id ID) error {
	if err := tx.Require(access.DeviceWrite); err != nil {
		return err
	}
	at, err := place(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := lockPlace(ctx, tx, at); err != nil {
		return err
	}
	devices, err := lockDevices(ctx, tx, id)
	if err != nil {
		return err
	}
	if err := still(ctx, tx, id, at); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE device_connection SET preferred = (device_id = $4) WHERE municipality_id = $1 AND disconnected_at IS NULL
		AND (client_id = $2 OR address_id = $3) AND preferred <> (device_id = $4)`, tx.Municipality(), null(at.Client), null(at.Address), id)
	if err != nil || n == 0 {
		return err
	}
	return wrote(ctx, tx, "device_preferred", devices[0], at, "preferred_device", nil, &devices[0].Code)
}

// place is who has the device now, unlocked: it tells what to lock.
func place(ctx context.Context, tx *pg.Tx, id ID) (Target, error) {
	var at Target
	var someone, somewhere *uuid.UUID
	err := tx.QueryRow(ctx, `SELECT k.client_id, k.address_id FROM device d LEFT JOIN device_connection k
			ON k.municipality_id = d.municipality_id AND k.device_id = d.id AND k.disconnected_at IS NULL
		WHERE d.municipality_id = $1 AND d.id = $2`, tx.Municipality(), id).Scan(&someone, &somewhere)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return at, notFound
	case err != nil:
		return at, err
	case someone != nil:
		at.Client = *someone
	case somewhere != nil:
		at.Address = *somewhere
	default:
		return at, problem.Conflict{Code: "device_not_connected"}
	}
	return at, nil
}

// lock holds whoever shall have a device, and refuses those who may not. dwelling holds an address: one that the caller
// named, or one that a device hangs on.
func lock(ctx context.Context, tx *pg.Tx, to Target, dwelling func(context.Context, *pg.Tx, uuid.UUID) error) error {
	if to.Client != uuid.Nil {
		c, err := client.Lock(ctx, tx, to.Client)
		if err != nil {
			return err
		}
		if c.Status.Inactive() {
			return problem.Conflict{Code: "inactive_client"}
		}
		return nil
	}
	if err := dwelling(ctx, tx, to.Address); err != nil {
		return err
	}
	var lived bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM client WHERE municipality_id = $1 AND address_id = $2 AND status IN ('ordered', 'active'))`,
		tx.Municipality(), to.Address).Scan(&lived)
	if err == nil && !lived {
		return problem.Conflict{Code: "no_active_resident"}
	}
	return err
}

// lockPlace holds whoever has a device: taking one away is allowed from anybody.
func lockPlace(ctx context.Context, tx *pg.Tx, at Target) error {
	if at.Client != uuid.Nil {
		_, err := client.Lock(ctx, tx, at.Client)
		return err
	}
	return client.LockDwelling(ctx, tx, at.Address)
}

// lockDevices holds devices in the order of their ids and gives them in the order asked.
func lockDevices(ctx context.Context, tx *pg.Tx, ids ...ID) ([]Device, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM device d WHERE d.municipality_id = $1 AND d.id = ANY ($2) ORDER BY d.id FOR UPDATE`,
		tx.Municipality(), ids)
	if err != nil {
		return nil, err
	}
	devices, err := pgx.CollectRows(rows, pgx.RowToStructByName[Device])
	if err != nil {
		return nil, err
	}
	if len(devices) != len(ids) {
		return nil, notFound
	}
	slices.SortFunc(devices, func(a, b Device) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) })
	return devices, nil
}

// still makes sure, under the lock, that nobody moved the device since place.
func still(ctx context.Context, tx *pg.Tx, id ID, at Target) error {
	now, err := place(ctx, tx, id)
	if err == nil && now != at {
		return problem.Conflict{Code: "busy"}
	}
	return err
}

// open connects a locked device; preferred nil means: when the client or address has no other.
func open(ctx context.Context, tx *pg.Tx, d Device, to Target, preferred *bool) error {
	switch d.StockState {
	case Connected:
		return problem.Conflict{Code: "device_connected"}
	case Lost:
		return problem.Conflict{Code: "device_lost"}
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO device_connection (municipality_id, device_id, client_id, address_id, preferred, connected_at)
		SELECT $1, $2, $3, $4, coalesce($5, NOT EXISTS (SELECT FROM device_connection o WHERE o.municipality_id = $1 AND o.disconnected_at IS NULL
			AND (o.client_id = $3 OR o.address_id = $4) AND o.preferred)), $6`,
		tx.Municipality(), d.ID, null(to.Client), null(to.Address), preferred, tx.Now())
	batch.Queue(`UPDATE device SET stock_state = 'connected' WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), d.ID)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return wrote(ctx, tx, "device_connected", d, to, "device", nil, &d.Code)
}

// shut ends the open connection of a locked device, puts it in stock and tells whether it was the preferred one.
func shut(ctx context.Context, tx *pg.Tx, d Device, at Target) (preferred bool, err error) {
	if err := still(ctx, tx, d.ID, at); err != nil {
		return false, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE device_connection SET disconnected_at = $3 WHERE municipality_id = $1 AND device_id = $2 AND disconnected_at IS NULL
		RETURNING preferred`, tx.Municipality(), d.ID, tx.Now()).QueryRow(func(row pgx.Row) error { return row.Scan(&preferred) })
	batch.Queue(`UPDATE device SET stock_state = 'in_stock' WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), d.ID)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return false, err
	}
	return preferred, wrote(ctx, tx, "device_disconnected", d, at, "device", &d.Code, nil)
}

// wrote records a change of who has a device: under the client with the code, and in audit on the client or address with
// the device's id. A change of an address's device has no line under the residents: locking them here, after the address,
// would cross a purge.
func wrote(ctx context.Context, tx *pg.Tx, act string, d Device, at Target, field string, from, to *string) error {
	subject, id := "address", at.Address
	if at.Client != uuid.Nil {
		subject, id = "client", at.Client
		if err := client.Changed(ctx, tx, at.Client, field, from, to); err != nil {
			return err
		}
	}
	audit.Write(tx, access.DeviceWrite, audit.Record{
		Act: act, Subject: subject, SubjectID: id.String(), Fields: []string{field}, Detail: map[string]any{"device": d.ID.String()},
	})
	return nil
}

func null(id uuid.UUID) uuid.NullUUID { return uuid.NullUUID{UUID: id, Valid: id != uuid.Nil} }
