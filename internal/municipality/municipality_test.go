package municipality_test

import (
	"errors"
	"os"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var platform = access.Caller{Account: 1, Roles: []access.Role{access.PlatformAdministrator}}

func create(t *testing.T, env *pgtest.Env, number, name string) (id int) {
	t.Helper()
	err := env.DB.InTx(t.Context(), platform, func(tx *pg.Tx) (err error) {
		id, err = municipality.Create(t.Context(), tx, number, name, municipality.Policy{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func as(m int, role access.Role) access.Caller {
	return access.Caller{Account: 7, Roles: []access.Role{role}, Municipality: m}
}

func TestCreate(t *testing.T) {
	env := pgtest.New(t)
	as1, tromso := create(t, env, "3218", "Ås"), create(t, env, "5501", "Tromsø")
	err := env.DB.InTx(t.Context(), as(tromso, access.Approver), func(tx *pg.Tx) error {
		m, err := municipality.Current(t.Context(), tx)
		if err != nil || m.Number != "5501" || m.Name != "Tromsø" || m.Zone.String() != "Europe/Oslo" {
			t.Errorf("%+v, %v", m, err)
		}
		other, err := municipality.ByID(t.Context(), tx, as1)
		if err != nil || other.Name != "Ås" {
			t.Errorf("%+v, %v", other, err)
		}
		all, err := municipality.List(t.Context(), tx)
		if err != nil || len(all) != 2 || all[0].ID != as1 || all[1].ID != tromso {
			t.Errorf("%+v, %v", all, err)
		}
		policy, err := municipality.PolicyOf(t.Context(), tx)
		if err != nil || policy != municipality.DefaultPolicy {
			t.Errorf("%+v, %v", policy, err)
		}
		if _, ok, err := municipality.InstructionFor(t.Context(), tx, municipality.PreRunControl); err != nil || !ok {
			t.Errorf("no standing instruction: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := env.Count(t, `SELECT count(*) FROM audit WHERE municipality_id = $1 AND act = 'municipality_created'`, tromso); n != 1 {
		t.Errorf("%d rows of audit", n)
	}
	err = env.DB.InTx(t.Context(), platform, func(tx *pg.Tx) error {
		_, err := municipality.Create(t.Context(), tx, "5501", "Tromsø", municipality.Policy{})
		return err
	})
	if conflict := (problem.Conflict{}); !errors.As(err, &conflict) || conflict.Code != "municipality_exists" {
		t.Errorf("a number twice: %v", err)
	}
	err = env.DB.InTx(t.Context(), platform, func(tx *pg.Tx) error {
		_, err := municipality.Create(t.Context(), tx, "55", " ", municipality.Policy{MaxSharePercent: 101})
		return err
	})
	if invalid := (problem.Invalid{}); !errors.As(err, &invalid) || len(invalid.Fields) != 5 {
		t.Errorf("everything wrong: %v", err)
	}
	err = env.DB.InTx(t.Context(), as(as1, access.Administrator), func(tx *pg.Tx) error {
		_, err := municipality.Create(t.Context(), tx, "1580", "Haram", municipality.Policy{})
		return err
	})
	if !errors.As(err, new(problem.Forbidden)) {
		t.Errorf("an administrator created a municipality: %v", err)
	}
}

func TestTodayIsTheDayOfTheMunicipalitysClock(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id, time_zone) VALUES (1, 'Europe/Oslo'), (2, 'Atlantic/Azores')`)
	for _, c := range []struct {
		now  time.Time
		in   int
		want calendar.Date
	}{
		{time.Date(2023, 9, 30, 21, 59, 59, 999_999_000, time.UTC), 1, calendar.On(2023, 9, 30)},
		{time.Date(2023, 9, 30, 22, 0, 0, 0, time.UTC), 1, calendar.On(2023, 10, 1)}, // summer time: UTC+2
		{time.Date(2023, 12, 31, 22, 59, 59, 0, time.UTC), 1, calendar.On(2023, 12, 31)},
		{time.Date(2023, 12, 31, 23, 0, 0, 0, time.UTC), 1, calendar.On(2024, 1, 1)},
		{time.Date(2023, 12, 31, 23, 0, 0, 0, time.UTC), 2, calendar.On(2023, 12, 31)},
	} {
		env.SetNow(c.now)
		err := env.DB.InTx(t.Context(), as(c.in, access.Caseworker), func(tx *pg.Tx) error {
			for range 2 {
				if today, err := municipality.Today(t.Context(), tx); err != nil || today != c.want {
					t.Errorf("%s in %d: %s, want %s (%v)", c.now, c.in, today, c.want, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNumberAndNameAreDated(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1), (2)`)
	env.Exec(t, `INSERT INTO municipality_name VALUES (1, '2000-01-01', '3021', 'Ås'), (1, '2024-01-01', '3218', 'Ås'), (2, '2024-01-01', '1580', 'Haram')`)
	for _, c := range []struct {
		now    time.Time
		number string
		count  int
	}{
		{time.Date(2023, 12, 31, 22, 59, 59, 0, time.UTC), "3021", 1},
		{time.Date(2023, 12, 31, 23, 0, 0, 0, time.UTC), "3218", 2},
	} {
		env.SetNow(c.now)
		err := env.DB.InTx(t.Context(), as(1, access.Caseworker), func(tx *pg.Tx) error {
			m, err := municipality.Current(t.Context(), tx)
			all, listErr := municipality.List(t.Context(), tx)
			if err != nil || listErr != nil || m.Number != c.number || len(all) != c.count {
				t.Errorf("%s: %+v, %d in all, %v, %v", c.now, m, len(all), err, listErr)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnInstructionHoldsWhileItIsValid(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1), (2)`)
	env.Exec(t, `INSERT INTO instruction (municipality_id, id, action, valid_from, valid_to, document_reference, decided_by, revoked_at) VALUES
		(1, 10, 'pre_run_control', '2023-09-19', '2023-09-20', 'x', 'x', NULL), (2, 11, 'pre_run_control', '2023-01-01', NULL, 'x', 'x', '2023-09-19 08:00:00Z')`)
	for _, c := range []struct {
		now time.Time
		in  int
		ok  bool
	}{
		{time.Date(2023, 9, 18, 21, 59, 59, 0, time.UTC), 1, false},
		{time.Date(2023, 9, 18, 22, 0, 0, 0, time.UTC), 1, true},
		{time.Date(2023, 9, 20, 21, 59, 59, 0, time.UTC), 1, true},
		{time.Date(2023, 9, 20, 22, 0, 0, 0, time.UTC), 1, false},
		{time.Date(2023, 9, 19, 7, 59, 59, 0, time.UTC), 2, true},
		{time.Date(2023, 9, 19, 8, 0, 0, 0, time.UTC), 2, false},
	} {
		env.SetNow(c.now)
		support := access.Caller{Account: 3, Roles: []access.Role{access.Support}}.In(c.in)
		err := env.DB.InTx(t.Context(), support, func(tx *pg.Tx) error {
			id, ok, err := municipality.InstructionFor(t.Context(), tx, municipality.PreRunControl)
			if err != nil || ok != c.ok || (ok && id != int64(9+c.in)) {
				t.Errorf("%s in %d: %d %v %v", c.now, c.in, id, ok, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
