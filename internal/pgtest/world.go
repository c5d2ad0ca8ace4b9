package pgtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/google/uuid"
)

// World is two municipalities that hold the same people, so that every list test proves isolation too. Everything in it
// was written by SQL: it knows no package that it may be used to test.
type World struct {
	*Env
	A, B   int // the municipalities' ids
	number int
}

// Numbers of the world's municipalities.
const (
	NumberA = "3218"
	NumberB = "5501"
)

// NewWorld makes a database with two municipalities, their policies, instructions and rules (six months; the archive
// question answered), and accounts for every role.
func NewWorld(t testing.TB) *World {
	t.Helper()
	w := &World{Env: New(t), A: 1, B: 2, number: 200000000}
	for _, m := range []struct {
		id           int
		number, name string
	}{{w.A, NumberA, "Ås"}, {w.B, NumberB, "Tromsø"}} {
		w.Exec(t, `INSERT INTO municipality (id) VALUES ($1)`, m.id)
		w.Exec(t, `INSERT INTO municipality_name (municipality_id, valid_from, number, name) VALUES ($1, '2000-01-01', $2, $3)`, m.id, m.number, m.name)
		w.Exec(t, `INSERT INTO municipality_policy (municipality_id, cooling_off_seconds, spot_check_size, chunk_size, max_share_percent) VALUES ($1, 0, 3, 4, 100)`, m.id)
		w.Exec(t, `INSERT INTO instruction (municipality_id, action, valid_from, document_reference, decided_by) VALUES ($1, 'pre_run_control', '2000-01-01', 'DPA-1', 'chief executive')`, m.id)
		w.Exec(t, `INSERT INTO retention_rule (municipality_id, class, version, start_event, period_months, period_days, outcome, authority, valid_from)
			SELECT $1, c, 1, 'disconnected', p, d, 'destroy', 'test', '2000-01-01' FROM (VALUES ('client_record', 6, 0), ('alarm_log', 6, 0), ('recording', 6, 0),
				('change_values', 6, 0), ('access_log', 60, 0), ('audit', 120, 0), ('round', 120, 0), ('purged_registration', 24, 0), ('import_report', 0, 30), ('deviation', 120, 0)) AS r (c, p, d)`, m.id)
		for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator} {
			c := w.As(role, m.id)
			w.account(t, c, m.id)
		}
		other := w.As(access.Caseworker, m.id)
		other.Account += 50 // a second caseworker
		other.StaffNumber = fmt.Sprintf("S-%05d", other.Account)
		w.account(t, other, m.id)
	}
	// Passwords may be tried from this machine.
	w.Exec(t, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at)
		SELECT m, n, 'here', 0, $3 FROM unnest(ARRAY[0, $1, $2]::int[]) m, unnest(ARRAY['127.0.0.0/8', '::1/128']::cidr[]) n`, w.A, w.B, Start)
	for _, role := range []access.Role{access.Support, access.Operator, access.PlatformAdministrator} {
		w.account(t, w.As(role, 0), 0)
	}
	return w
}

func (w *World) account(t testing.TB, c access.Caller, municipality int) {
	t.Helper()
	var m *int
	if municipality > 0 {
		m = &municipality
	}
	w.Exec(t, `INSERT INTO account (id, municipality_id, login, name, staff_number, roles, password_hash) VALUES ($1, $2, $3, $4, $5, $6, 'x')`,
		c.Account, m, fmt.Sprintf("%s.%d.%d", c.Roles[0], municipality, c.Account), fmt.Sprintf("Ansatt %d", c.Account), c.StaffNumber, []string{string(c.Roles[0])})
}

// As is the world's person with a role in a municipality; support and operator stand in it as if they had turned to it.
func (w *World) As(role access.Role, municipality int) access.Caller {
	order := map[access.Role]int64{
		access.Caseworker: 1, access.Approver: 2, access.PrivacyOfficer: 3, access.Administrator: 4,
		access.Support: 901, access.Operator: 902, access.PlatformAdministrator: 903,
	}
	account := order[role]
	if account < 900 {
		account += int64(municipality) * 100
	}
	return access.Caller{Account: account, StaffNumber: fmt.Sprintf("S-%05d", account), Name: fmt.Sprintf("Ansatt %d", account), Roles: []access.Role{role}, Municipality: municipality, FreshUntil: fresh, Language: "nb"}
}

// fresh is later than any clock of a test: the world's people have always just proved who they are.
var fresh = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)

// Person is a client to be made. Zero values are filled in.
type Person struct {
	ID                    uuid.UUID
	Municipality          int
	GivenName, FamilyName string
	NationalID            string
	Status                string
	Since                 time.Time // of the status; the zero time is three years before the world's clock
	Address               uuid.UUID // the zero id: an address of its own
	Alarms                int
	Recordings            []string // blob keys
}

// Add makes a client by SQL, placed in no group and with the reason "no_start_date" when it is inactive; the next sweep
// finds it a group. It gives the client's id.
func (w *World) Add(t testing.TB, p Person) uuid.UUID {
	t.Helper()
	ctx := t.Context()
	w.number++
	if p.ID == uuid.Nil {
		p.ID = uuid.New()
	}
	if p.Municipality == 0 {
		p.Municipality = w.A
	}
	if p.GivenName == "" {
		p.GivenName, p.FamilyName = fmt.Sprintf("Fornavn%d", w.number), fmt.Sprintf("Etternavn%d", w.number)
	}
	if p.Status == "" {
		p.Status = "active"
	}
	if p.Since.IsZero() {
		p.Since = Start.AddDate(-3, 0, 0)
	}
	var nationalID, unplaced *string
	if p.NationalID != "" {
		nationalID = &p.NationalID
	}
	if p.Status == "disconnected" || p.Status == "cancelled" {
		reason := "no_start_date"
		unplaced = &reason
	}
	tx, err := w.Admin.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after a commit there is nothing to roll back
	do := func(sql string, args ...any) {
		t.Helper()
		if _, err := tx.Exec(ctx, sql, args...); err != nil {
			t.Fatalf("%v in %s", err, sql)
		}
	}
	do(`SELECT set_config('frist.now', $1, true)`, w.Now().Format(time.RFC3339Nano))
	if p.Address == uuid.Nil {
		p.Address = uuid.New()
		do(`INSERT INTO address (municipality_id, id, street, postcode, town) VALUES ($1, $2, $3, '1430', 'Ås')`, p.Municipality, p.Address, fmt.Sprintf("Gate %d", w.number))
	}
	do(`INSERT INTO client (municipality_id, id, number, given_name, family_name, national_id, address_id, status, status_since, unplaced_reason, created_by, created_at, changed_by, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $9, 0, $9)`,
		p.Municipality, p.ID, fmt.Sprint(w.number), p.GivenName, p.FamilyName, nationalID, p.Address, p.Status, p.Since, unplaced)
	do(`INSERT INTO client_search (municipality_id, client_id, text) VALUES ($1, $2, lower($3))`, p.Municipality, p.ID, p.GivenName+" "+p.FamilyName+" "+fmt.Sprint(w.number))
	if p.Status != "active" && p.Status != "ordered" {
		do(`INSERT INTO status_entry (municipality_id, client_id, at, status, entered_by, entered_at) VALUES ($1, $2, $3, 'active', 0, $3)`, p.Municipality, p.ID, p.Since.AddDate(-1, 0, 0))
	}
	do(`INSERT INTO status_entry (municipality_id, client_id, at, status, entered_by, entered_at) VALUES ($1, $2, $3, $4, 0, $3)`, p.Municipality, p.ID, p.Since, p.Status)
	do(`INSERT INTO note (municipality_id, client_id, at, text, entered_by) VALUES ($1, $2, $3, 'Notat', 0)`, p.Municipality, p.ID, p.Since)
	do(`INSERT INTO next_of_kin (municipality_id, client_id, name, relation) VALUES ($1, $2, 'Pårørende', 'datter')`, p.Municipality, p.ID)
	do(`INSERT INTO client_change (municipality_id, client_id, at, field, to_value, account_id) VALUES ($1, $2, $3, 'status', $4, 0)`, p.Municipality, p.ID, p.Since, p.Status)
	if p.Alarms > 0 {
		do(`INSERT INTO alarm_event (municipality_id, client_id, at, kind) SELECT $1, $2, $3::timestamptz - n * interval '1 day', 'test' FROM generate_series(1, $4::int) n`, p.Municipality, p.ID, p.Since, p.Alarms)
	}
	for _, key := range p.Recordings {
		do(`INSERT INTO recording (municipality_id, client_id, at, seconds, blob_key) VALUES ($1, $2, $3, 2, $4)`, p.Municipality, p.ID, p.Since, key)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// AddDevice makes a device: connected to the client or the address, or in stock when both are zero.
func (w *World) AddDevice(t testing.TB, municipality int, client, address uuid.UUID) uuid.UUID {
	t.Helper()
	w.number++
	id, state := uuid.New(), "in_stock"
	if client != uuid.Nil || address != uuid.Nil {
		state = "connected"
	}
	w.Exec(t, `INSERT INTO device (municipality_id, id, code, kind, stock_state) VALUES ($1, $2, $3, 'Trygghetsalarm', $4)`, municipality, id, fmt.Sprint(w.number), state)
	if state == "connected" {
		var c, a *uuid.UUID
		if client != uuid.Nil {
			c = &client
		} else {
			a = &address
		}
		w.Exec(t, `INSERT INTO device_connection (municipality_id, device_id, client_id, address_id, connected_at) VALUES ($1, $2, $3, $4, $5)`, municipality, id, c, a, w.Now())
	}
	return id
}

// AddressOf is where a client lives.
func (w *World) AddressOf(t testing.TB, client uuid.UUID) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	if err := w.Admin.QueryRow(t.Context(), `SELECT address_id FROM client WHERE id = $1`, client).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}
