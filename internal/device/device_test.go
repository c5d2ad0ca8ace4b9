package device_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func caller(municipality int, roles ...access.Role) access.Caller {
	if len(roles) == 0 {
		roles = []access.Role{access.Caseworker}
	}
	return access.Caller{Account: 7, Roles: roles, Municipality: municipality}
}

func in(t testing.TB, env *pgtest.Env, c access.Caller, fn func(ctx context.Context, tx *pg.Tx) error) error {
	t.Helper()
	return env.DB.InTx(t.Context(), c, func(tx *pg.Tx) error { return fn(t.Context(), tx) })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantConflict(t *testing.T, err error, code string) {
	t.Helper()
	var conflict problem.Conflict
	if !errors.As(err, &conflict) || conflict.Code != code {
		t.Errorf("got %v, want conflict %s", err, code)
	}
}

// home is one municipality's couple on one address, somebody who lives alone, and three devices in stock.
type home struct {
	solveig, arne, alone client.ID
	address              uuid.UUID
	devices              [3]device.ID
}

// world is two municipalities with the same people and devices.
func world(t testing.TB) (*pgtest.Env, [3]home) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1), (2)`)
	var homes [3]home
	for m := 1; m <= 2; m++ {
		h := &homes[m]
		must(t, in(t, env, caller(m), func(ctx context.Context, tx *pg.Tx) error {
			for _, n := range []struct {
				id *client.ID
				client.New
			}{
				{&h.solveig, client.New{GivenName: "Solveig", FamilyName: "Hansen", Address: client.Address{Street: "Skoleveien 4 B", Postcode: "1430"}}},
				{&h.arne, client.New{GivenName: "Arne", FamilyName: "Hansen", Address: client.Address{Street: "Skoleveien 4 B", Postcode: "1430"}}},
				{&h.alone, client.New{GivenName: "Ruth", FamilyName: "Knutsen", Address: client.Address{Street: "Storgata 1", Postcode: "0953"}}},
			} {
				n.Status = client.Active
				var err error
				if *n.id, err = client.Create(ctx, tx, n.New); err != nil {
					return err
				}
			}
			c, err := client.Find(ctx, tx, h.arne)
			if err != nil {
				return err
			}
			h.address = *c.AddressID
			for i := range h.devices {
				if h.devices[i], err = device.Register(ctx, tx, fmt.Sprintf("30%d", i), "TX4", "Trygghetsalarm"); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return env, homes
}

func inactive(t testing.TB, env *pgtest.Env, id client.ID) {
	t.Helper()
	env.Exec(t, `UPDATE client SET status = 'disconnected', unplaced_reason = 'held' WHERE id = $1`, id)
}

func connect(t testing.TB, env *pgtest.Env, municipality int, id device.ID, to device.Target) error {
	t.Helper()
	return in(t, env, caller(municipality), func(ctx context.Context, tx *pg.Tx) error { return device.Connect(ctx, tx, id, to) })
}

// shows gives "code" or "code*" for the preferred one.
func shows(t testing.TB, env *pgtest.Env, municipality int, read func(ctx context.Context, tx *pg.Tx) ([]device.Connection, error)) string {
	t.Helper()
	var got []string
	must(t, in(t, env, caller(municipality), func(ctx context.Context, tx *pg.Tx) error {
		list, err := read(ctx, tx)
		for _, c := range list {
			star := ""
			if c.Preferred {
				star = "*"
			}
			got = append(got, c.Code+star)
		}
		return err
	}))
	return strings.Join(got, " ")
}

func onClient(id client.ID) func(ctx context.Context, tx *pg.Tx) ([]device.Connection, error) {
	return func(ctx context.Context, tx *pg.Tx) ([]device.Connection, error) { return device.OnClient(ctx, tx, id) }
}

func onAddress(id uuid.UUID) func(ctx context.Context, tx *pg.Tx) ([]device.Connection, error) {
	return func(ctx context.Context, tx *pg.Tx) ([]device.Connection, error) {
		return device.OnAddress(ctx, tx, id)
	}
}

func onDwelling(id client.ID) func(ctx context.Context, tx *pg.Tx) ([]device.Connection, error) {
	return func(ctx context.Context, tx *pg.Tx) ([]device.Connection, error) {
		return device.OnDwelling(ctx, tx, id)
	}
}

func history(id client.ID) func(ctx context.Context, tx *pg.Tx) ([]device.Connection, error) {
	return func(ctx context.Context, tx *pg.Tx) ([]device.Connection, error) { return device.History(ctx, tx, id) }
}

func TestRegisterAndStock(t *testing.T) {
	env, homes := world(t)
	must(t, connect(t, env, 1, homes[1].devices[1], device.Target{Client: homes[1].arne}))
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		first, next, err := device.Stock(ctx, tx, "", 1)
		must(t, err)
		if len(first) != 1 || first[0].ID != homes[1].devices[0] || next != "300" {
			t.Errorf("%+v, %q", first, next)
		}
		second, next, err := device.Stock(ctx, tx, next, 1)
		must(t, err)
		if len(second) != 1 || second[0].ID != homes[1].devices[2] || next != "" {
			t.Errorf("%+v, %q", second, next)
		}
		d, err := device.Find(ctx, tx, homes[1].devices[1])
		if want := (device.Device{ID: homes[1].devices[1], Code: "301", Serial: "TX4", Kind: "Trygghetsalarm", StockState: device.Connected}); err != nil || d != want {
			t.Errorf("%+v, %v", d, err)
		}
		if by, err := device.FindCode(ctx, tx, " 301 "); err != nil || by != d {
			t.Errorf("%+v, %v", by, err)
		}
		for _, id := range []device.ID{homes[2].devices[1], uuid.New()} {
			if _, err := device.Find(ctx, tx, id); !errors.Is(err, problem.NotFound{What: "device"}) {
				t.Errorf("got %v", err)
			}
		}
		return nil
	}))
	for code, want := range map[string]string{"300": "taken", " ": "required", strings.Repeat("1", 101): "too_long"} {
		err := in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
			_, err := device.Register(ctx, tx, code, "", "x")
			return err
		})
		var invalid problem.Invalid
		if !errors.As(err, &invalid) || !slices.ContainsFunc(invalid.Fields, func(f problem.Field) bool { return f.Name == "code" && f.Code == want }) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestConnectAndDisconnect(t *testing.T) { // P31, P32
	env, homes := world(t)
	h := homes[1]
	must(t, connect(t, env, 1, h.devices[1], device.Target{Client: h.solveig}))
	must(t, connect(t, env, 1, h.devices[0], device.Target{Client: h.solveig}))
	must(t, connect(t, env, 1, h.devices[2], device.Target{Address: h.address}))
	if got := shows(t, env, 1, onClient(h.solveig)); got != "301* 300" {
		t.Errorf("on the client: %s", got)
	}
	if a, d := shows(t, env, 1, onAddress(h.address)), shows(t, env, 1, onDwelling(h.arne)); a != "302*" || d != a {
		t.Errorf("on the address: %s, %s", a, d)
	}
	for read, got := range map[string]string{
		"client": shows(t, env, 2, onClient(h.solveig)), "address": shows(t, env, 2, onAddress(h.address)),
		"dwelling": shows(t, env, 2, onDwelling(h.solveig)), "history": shows(t, env, 2, history(h.solveig)), "same people": shows(t, env, 2, onClient(homes[2].solveig)),
	} {
		if got != "" {
			t.Errorf("another municipality sees by %s: %s", read, got)
		}
	}
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		for id, want := range map[client.ID]int{h.solveig: 3, h.arne: 1, h.alone: 0, homes[2].solveig: 0} {
			if n, err := device.Count(ctx, tx, id); err != nil || n != want {
				t.Errorf("%d devices, want %d, %v", n, want, err)
			}
		}
		return device.Prefer(ctx, tx, h.devices[0])
	}))
	if got := shows(t, env, 1, onClient(h.solveig)); got != "300* 301" {
		t.Errorf("preferred: %s", got)
	}
	disconnect := func(id device.ID) error {
		return in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error { return device.Disconnect(ctx, tx, id) })
	}
	inactive(t, env, h.solveig)
	must(t, disconnect(h.devices[0])) // also from the inactive: that is what unblocks them
	must(t, disconnect(h.devices[2]))
	if got := shows(t, env, 1, onClient(h.solveig)) + shows(t, env, 1, onAddress(h.address)); got != "301" {
		t.Errorf("left: %s", got)
	}
	if got := shows(t, env, 1, history(h.solveig)); len(strings.Fields(got)) != 3 {
		t.Errorf("history: %s", got)
	}
	wantConflict(t, disconnect(h.devices[0]), "device_not_connected")
	if n := env.Count(t, `SELECT count(*) FROM device WHERE municipality_id = 1 AND stock_state = 'in_stock'`); n != 2 {
		t.Errorf("%d in stock", n)
	}
	if n := env.Count(t, `SELECT count(*) FROM client_change WHERE client_id = $1 AND field = 'device'`, h.solveig); n != 3 {
		t.Errorf("%d changes under the client", n)
	}
	if n := env.Count(t, `SELECT count(*) FROM audit WHERE act IN ('device_connected', 'device_disconnected') AND subject_id IN ($1, $2) AND role = 'caseworker'`, h.solveig.String(), h.address.String()); n != 5 {
		t.Errorf("%d rows of audit", n)
	}
}

func TestConnectRefuses(t *testing.T) {
	env, homes := world(t)
	h := homes[1]
	must(t, connect(t, env, 1, h.devices[0], device.Target{Client: h.arne}))
	wantConflict(t, connect(t, env, 1, h.devices[0], device.Target{Client: h.alone}), "device_connected")
	env.Exec(t, `UPDATE device SET stock_state = 'lost' WHERE id = $1`, h.devices[1])
	wantConflict(t, connect(t, env, 1, h.devices[1], device.Target{Client: h.alone}), "device_lost")
	inactive(t, env, h.solveig)
	wantConflict(t, connect(t, env, 1, h.devices[2], device.Target{Client: h.solveig}), "inactive_client")
	must(t, connect(t, env, 1, h.devices[2], device.Target{Address: h.address})) // Arne is active
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error { return device.Disconnect(ctx, tx, h.devices[2]) }))
	inactive(t, env, h.arne)
	wantConflict(t, connect(t, env, 1, h.devices[2], device.Target{Address: h.address}), "no_active_resident")
	for _, to := range []device.Target{{}, {Client: h.alone, Address: h.address}} {
		if err := connect(t, env, 1, h.devices[2], to); !errors.As(err, new(problem.Invalid)) {
			t.Errorf("%+v: %v", to, err)
		}
	}
	for what, tos := range map[string][]device.Target{
		"client":  {{Client: uuid.New()}, {Client: homes[2].alone}},
		"address": {{Address: uuid.New()}, {Address: homes[2].address}},
	} {
		for _, to := range tos {
			if err := connect(t, env, 1, h.devices[2], to); !errors.Is(err, problem.NotFound{What: what}) {
				t.Errorf("%+v: %v", to, err)
			}
		}
	}
	for _, id := range []device.ID{uuid.New(), homes[2].devices[0]} {
		for name, call := range map[string]func(ctx context.Context, tx *pg.Tx) error{
			"Connect": func(ctx context.Context, tx *pg.Tx) error {
				return device.Connect(ctx, tx, id, device.Target{Client: h.alone})
			},
			"Disconnect": func(ctx context.Context, tx *pg.Tx) error { return device.Disconnect(ctx, tx, id) },
			"Exchange":   func(ctx context.Context, tx *pg.Tx) error { return device.Exchange(ctx, tx, id, h.devices[2]) },
			"HandOver":   func(ctx context.Context, tx *pg.Tx) error { return device.HandOver(ctx, tx, id, h.alone) },
			"Prefer":     func(ctx context.Context, tx *pg.Tx) error { return device.Prefer(ctx, tx, id) },
		} {
			if err := in(t, env, caller(1), call); !errors.Is(err, problem.NotFound{What: "device"}) {
				t.Errorf("%s: %v", name, err)
			}
			if err := in(t, env, caller(1, access.Approver), call); !errors.As(err, new(problem.Forbidden)) {
				t.Errorf("%s as approver: %v", name, err)
			}
		}
	}
}

func TestExchange(t *testing.T) { // P32
	env, homes := world(t)
	h := homes[1]
	exchange := func(old, replacement device.ID) error {
		return in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error { return device.Exchange(ctx, tx, old, replacement) })
	}
	must(t, connect(t, env, 1, h.devices[0], device.Target{Client: h.arne}))
	must(t, connect(t, env, 1, h.devices[1], device.Target{Client: h.arne}))
	must(t, exchange(h.devices[0], h.devices[2]))
	if got := shows(t, env, 1, onClient(h.arne)); got != "302* 301" {
		t.Errorf("after the exchange: %s", got)
	}
	wantConflict(t, exchange(h.devices[1], h.devices[2]), "device_connected")
	wantConflict(t, exchange(h.devices[0], h.devices[1]), "device_not_connected")
	wantConflict(t, exchange(h.devices[1], h.devices[1]), "same_device")
	if err := exchange(h.devices[1], homes[2].devices[0]); !errors.Is(err, problem.NotFound{What: "device"}) {
		t.Errorf("another municipality's device: %v", err)
	}
	inactive(t, env, h.arne)
	wantConflict(t, exchange(h.devices[1], h.devices[0]), "inactive_client")
	if got := shows(t, env, 1, onClient(h.arne)); got != "302* 301" {
		t.Errorf("after the refusals: %s", got)
	}
}

func TestHandOver(t *testing.T) { // D19
	env, homes := world(t)
	h := homes[1]
	hand := func(id device.ID, to client.ID) error {
		return in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error { return device.HandOver(ctx, tx, id, to) })
	}
	must(t, connect(t, env, 1, h.devices[0], device.Target{Address: h.address}))
	must(t, connect(t, env, 1, h.devices[1], device.Target{Client: h.arne}))
	inactive(t, env, h.solveig)
	wantConflict(t, hand(h.devices[0], h.solveig), "client_not_active")
	wantConflict(t, hand(h.devices[0], h.alone), "lives_elsewhere")
	wantConflict(t, hand(h.devices[1], h.arne), "not_on_address")
	wantConflict(t, hand(h.devices[2], h.arne), "not_on_address")
	for _, id := range []client.ID{uuid.New(), homes[2].arne} {
		if err := hand(h.devices[0], id); !errors.Is(err, problem.NotFound{What: "client"}) {
			t.Errorf("got %v", err)
		}
	}
	env.Exec(t, `UPDATE client SET status = 'ordered' WHERE id = $1`, h.arne)
	wantConflict(t, hand(h.devices[0], h.arne), "client_not_active")
	env.Exec(t, `UPDATE client SET status = 'active' WHERE id = $1`, h.arne)
	must(t, hand(h.devices[0], h.arne))
	if got := shows(t, env, 1, onClient(h.arne)) + "," + shows(t, env, 1, onAddress(h.address)); got != "301* 300," {
		t.Errorf("after: %s", got)
	}
	if n := env.Count(t, `SELECT count(*) FROM device WHERE id = $1 AND stock_state = 'connected'`, h.devices[0]); n != 1 {
		t.Error("the device is not connected")
	}
	if n := env.Count(t, `SELECT count(*) FROM device_connection WHERE municipality_id = 1 AND device_id = $1`, h.devices[0]); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestAProtectedClientsDwellingIsNotTold(t *testing.T) { // D21
	env, homes := world(t)
	h := homes[1]
	must(t, connect(t, env, 1, h.devices[0], device.Target{Address: h.address}))
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		yes := true
		return client.Change(ctx, tx, h.solveig, 1, client.Changes{Protected: &yes})
	}))
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		for _, read := range []func(context.Context, *pg.Tx) ([]device.Connection, error){onDwelling(h.solveig), history(h.solveig)} {
			list, err := read(ctx, tx)
			if err != nil || len(list) != 1 || list[0].Code != "300" || list[0].AddressID != nil {
				t.Errorf("%+v, %v", list, err)
			}
		}
		return device.Disconnect(ctx, tx, h.devices[0]) // and still it can be solved from there
	}))
}
