package client_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
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
	return access.Caller{Account: int64(6 + municipality), Roles: roles, Municipality: municipality}
}

// world is two municipalities, each with one caseworker: account 7 in 1 and account 8 in 2.
func world(t testing.TB) *pgtest.Env {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1), (2)`)
	env.Exec(t, `INSERT INTO account (id, municipality_id, login, name, staff_number, roles, password_hash)
		SELECT 6 + m, m, 'kn' || m, 'Kari ' || m, 'S' || m, '{caseworker}', '' FROM generate_series(1, 2) m`)
	return env
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

func create(t testing.TB, env *pgtest.Env, municipality int, n client.New) client.ID {
	t.Helper()
	if n.Status == "" {
		n.Status = client.Active
	}
	var id client.ID
	must(t, in(t, env, caller(municipality), func(ctx context.Context, tx *pg.Tx) (err error) {
		id, err = client.Create(ctx, tx, n)
		return err
	}))
	return id
}

func find(t testing.TB, env *pgtest.Env, municipality int, id client.ID) client.Client {
	t.Helper()
	var c client.Client
	must(t, in(t, env, caller(municipality), func(ctx context.Context, tx *pg.Tx) (err error) {
		c, err = client.Find(ctx, tx, id)
		return err
	}))
	return c
}

func change(t testing.TB, env *pgtest.Env, municipality int, id client.ID, version int, ch client.Changes) error {
	t.Helper()
	return in(t, env, caller(municipality), func(ctx context.Context, tx *pg.Tx) error { return client.Change(ctx, tx, id, version, ch) })
}

func wantField(t *testing.T, err error, field, code string) {
	t.Helper()
	var invalid problem.Invalid
	if !errors.As(err, &invalid) || !slices.ContainsFunc(invalid.Fields, func(f problem.Field) bool { return f.Name == field && f.Code == code }) {
		t.Errorf("got %v, want %s=%s", err, field, code)
	}
}

func wantConflict(t *testing.T, err error, code string) {
	t.Helper()
	var conflict problem.Conflict
	if !errors.As(err, &conflict) || conflict.Code != code {
		t.Errorf("got %v, want conflict %s", err, code)
	}
}

func ptr[T any](v T) *T { return &v }

// person is somebody's national id who does not exist.
func person(t testing.TB, serial int) (string, calendar.Date) {
	t.Helper()
	id, ok := client.SyntheticNationalID(time.Date(1938, 5, 12, 0, 0, 0, 0, time.UTC), serial, true)
	if !ok {
		t.Fatal("no number")
	}
	return string(id), calendar.On(1938, 5, 12)
}

var skole = client.Address{Street: "Skoleveien 4 B", Postcode: "1430", Town: "Ås"}

func TestParseID(t *testing.T) {
	id := uuid.New()
	if got, err := client.ParseID(id.String()); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "x", "{" + id.String() + "}", strings.ReplaceAll(id.String(), "-", ""), "urn:uuid:" + id.String()} {
		if _, err := client.ParseID(s); !errors.Is(err, problem.NotFound{What: "client"}) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestFindIsTheMunicipalitysOwnAndLeavesOneRow(t *testing.T) {
	env := world(t)
	number, born := person(t, 1)
	var ids [3]client.ID
	for m := 1; m <= 2; m++ {
		ids[m] = create(t, env, m, client.New{GivenName: " Solveig ", FamilyName: "Hansen", NationalID: number, Gender: "K", Phone: "900 00 172", Email: "s@example.org", Address: skole})
	}
	c := find(t, env, 1, ids[1])
	if c.Name() != "Solveig Hansen" || c.NationalID != number || c.BirthDate != born || c.Number != "200000001" || c.Address != skole || c.AddressID == nil ||
		c.Status != client.Active || !c.StatusSince.Equal(env.Now()) || c.Version != 1 || c.CreatedByName != "Kari 1" || c.Phone != "900 00 172" || c.ChangedBy != 7 {
		t.Errorf("%+v", c)
	}
	if n := env.Count(t, `SELECT count(*) FROM access_log WHERE municipality_id = 1 AND page = 'client' AND client_ids = ARRAY[$1::uuid]`, ids[1]); n != 1 {
		t.Errorf("%d rows of access", n)
	}
	for _, id := range []client.ID{ids[2], uuid.New()} { // somebody else's and nobody's answer alike, and leave no look
		err := in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
			_, err := client.FindTab(ctx, tx, id, "notes")
			return err
		})
		if !errors.Is(err, problem.NotFound{What: "client"}) {
			t.Errorf("got %v", err)
		}
		err = in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
			_, err := client.Lock(ctx, tx, id)
			return err
		})
		if !errors.Is(err, problem.NotFound{What: "client"}) {
			t.Errorf("lock: got %v", err)
		}
		if err := change(t, env, 1, id, 1, client.Changes{}); !errors.Is(err, problem.NotFound{What: "client"}) {
			t.Errorf("change: got %v", err)
		}
	}
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		_, err := client.FindTab(ctx, tx, ids[1], "notes")
		return err
	}))
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error { return client.Opened(ctx, tx, ids[1], "status") }))
	if n := env.Count(t, `SELECT count(*) FROM access_log`); n != 3 {
		t.Errorf("%d rows of access, want 3", n)
	}
}

func TestWhoMayNot(t *testing.T) {
	env := world(t)
	id := create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	reads := map[string]func(ctx context.Context, tx *pg.Tx) error{
		"Find": func(ctx context.Context, tx *pg.Tx) error { _, err := client.Find(ctx, tx, id); return err },
		"List": func(ctx context.Context, tx *pg.Tx) error {
			_, err := client.List(ctx, tx, client.Filter{}, client.Cursor{}, 10)
			return err
		},
		"Count": func(ctx context.Context, tx *pg.Tx) error {
			_, _, err := client.Count(ctx, tx, client.Filter{})
			return err
		},
		"Tally":          func(ctx context.Context, tx *pg.Tx) error { _, err := tally(ctx, tx); return err },
		"SaveSearch":     func(ctx context.Context, tx *pg.Tx) error { _, err := client.SaveSearch(ctx, tx, "x"); return err },
		"FindSearch":     func(ctx context.Context, tx *pg.Tx) error { _, err := client.FindSearch(ctx, tx, id); return err },
		"Counts":         func(ctx context.Context, tx *pg.Tx) error { _, err := client.Counts(ctx, tx, id); return err },
		"History":        func(ctx context.Context, tx *pg.Tx) error { _, err := client.History(ctx, tx, id); return err },
		"CarePlans":      func(ctx context.Context, tx *pg.Tx) error { _, err := client.CarePlans(ctx, tx, id); return err },
		"Residents":      func(ctx context.Context, tx *pg.Tx) error { _, err := client.Residents(ctx, tx, id); return err },
		"FindAddress":    func(ctx context.Context, tx *pg.Tx) error { _, err := client.FindAddress(ctx, tx, id); return err },
		"FindRecording":  func(ctx context.Context, tx *pg.Tx) error { _, err := client.FindRecording(ctx, tx, id, 1); return err },
		"Lock":           func(ctx context.Context, tx *pg.Tx) error { _, err := client.Lock(ctx, tx, id); return err },
		"LockAddress":    func(ctx context.Context, tx *pg.Tx) error { return client.LockAddress(ctx, tx, id) },
		"Opened":         func(ctx context.Context, tx *pg.Tx) error { return client.Opened(ctx, tx, id, "") },
		"Unshieldings":   func(ctx context.Context, tx *pg.Tx) error { _, err := client.Unshieldings(ctx, tx); return err },
		"ReadsProtected": func(ctx context.Context, tx *pg.Tx) error { _, err := client.ReadsProtected(ctx, tx); return err },
		"LockDwelling":   func(ctx context.Context, tx *pg.Tx) error { return client.LockDwelling(ctx, tx, id) },
		"Changed":        func(ctx context.Context, tx *pg.Tx) error { return client.Changed(ctx, tx, id, "x", nil, nil) },
		"SetUnplaced":    func(ctx context.Context, tx *pg.Tx) error { return client.SetUnplaced(ctx, tx, id, nil) },
	}
	writes := map[string]func(ctx context.Context, tx *pg.Tx) error{
		"Create":       func(ctx context.Context, tx *pg.Tx) error { _, err := client.Create(ctx, tx, client.New{}); return err },
		"AskUnshield":  func(ctx context.Context, tx *pg.Tx) error { return client.AskUnshield(ctx, tx, id) },
		"Change":       func(ctx context.Context, tx *pg.Tx) error { return client.Change(ctx, tx, id, 1, client.Changes{}) },
		"MarkReviewed": func(ctx context.Context, tx *pg.Tx) error { return client.MarkReviewed(ctx, tx, id, calendar.Date{}) },
		"Confirm":      func(ctx context.Context, tx *pg.Tx) error { return client.ConfirmOldRegistration(ctx, tx, id) },
		"AddNote":      func(ctx context.Context, tx *pg.Tx) error { return client.AddNote(ctx, tx, id, "x") },
		"SetStatus": func(ctx context.Context, tx *pg.Tx) error {
			return client.SetStatus(ctx, tx, id, client.Disconnected, tx.Now(), "", nil)
		},
		"Erase": func(ctx context.Context, tx *pg.Tx) error {
			_, err := client.Erase(ctx, tx, []client.ID{id}, nil)
			return err
		},
		"Dwellings": func(ctx context.Context, tx *pg.Tx) error {
			_, err := client.Dwellings(ctx, tx, []client.ID{id})
			return err
		},
	}
	refuse := func(role access.Role, calls map[string]func(ctx context.Context, tx *pg.Tx) error) {
		for name, call := range calls {
			if err := in(t, env, caller(1, role), call); !errors.As(err, new(problem.Forbidden)) {
				t.Errorf("%s as %s: %v", name, role, err)
			}
		}
	}
	refuse(access.PrivacyOfficer, reads)
	refuse(access.Administrator, reads)
	refuse(access.PrivacyOfficer, writes)
	refuse(access.Approver, map[string]func(ctx context.Context, tx *pg.Tx) error{"Create": writes["Create"], "Change": writes["Change"], "Erase": writes["Erase"], "AddNote": writes["AddNote"]})
	refuse(access.Caseworker, map[string]func(ctx context.Context, tx *pg.Tx) error{"Erase": writes["Erase"], "Dwellings": writes["Dwellings"]})
}
