package pg_test

import (
	"errors"
	"os"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestATransactionIsOneCallerInOneMunicipality(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1), (2)`)
	env.Exec(t, `INSERT INTO municipality_policy (municipality_id) VALUES (1), (2)`)
	caller := access.Caller{Account: 7, Roles: []access.Role{access.Caseworker}, Municipality: 1}
	for range 3 { // the connection is used again: nothing of the last caller may stay on it
		err := env.DB.InTx(t.Context(), caller, func(tx *pg.Tx) error {
			var role, municipality, account string
			var n int
			if err := tx.QueryRow(t.Context(), `SELECT current_user, current_setting('frist.municipality'), current_setting('frist.account'), count(*) FROM municipality_policy`).
				Scan(&role, &municipality, &account, &n); err != nil {
				return err
			}
			if role != "frist_municipality" || municipality != "1" || account != "7" || n != 1 {
				t.Errorf("role %s, municipality %s, account %s, rows %d", role, municipality, account, n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = env.DB.InTx(t.Context(), access.Caller{Roles: []access.Role{access.Caseworker}}, func(tx *pg.Tx) error {
			var n int
			if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM municipality_policy`).Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("without a municipality %d rows are seen", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnErrorRollsBackAndLaterIsPartOfTheCommit(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	caller := access.Caller{Account: 7, Roles: []access.Role{access.Caseworker}, Municipality: 1}
	insert := `INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id) VALUES ($1, frist_now(), 7, 'caseworker', 'test', 'test', '1')`
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		fn   func(tx *pg.Tx) error
		rows int
		fail bool
	}{
		{"later alone", func(tx *pg.Tx) error { tx.Later(insert, 1); return nil }, 1, false},
		{"error", func(tx *pg.Tx) error { _, _ = tx.Exec(t.Context(), insert, 1); return boom }, 0, true},
		{"later of another municipality", func(tx *pg.Tx) error { _, _ = tx.Exec(t.Context(), insert, 1); tx.Later(insert, 0); return nil }, 0, true},
		{"swallowed database error", func(tx *pg.Tx) error {
			_, _ = tx.Exec(t.Context(), insert, 1)
			_, _ = tx.Exec(t.Context(), `SELECT 1/0`)
			return nil
		}, 0, true},
	} {
		before := env.Count(t, `SELECT count(*) FROM audit`)
		err := env.DB.InTx(t.Context(), caller, c.fn)
		if (err != nil) != c.fail {
			t.Errorf("%s: error %v", c.name, err)
		}
		if got := env.Count(t, `SELECT count(*) FROM audit`) - before; got != c.rows {
			t.Errorf("%s: %d rows, want %d", c.name, got, c.rows)
		}
	}
}

func TestWithoutARoleNothingIsPossible(t *testing.T) {
	env := pgtest.New(t)
	var forbidden problem.Forbidden
	err := env.DB.InTx(t.Context(), access.Caller{}, func(*pg.Tx) error { t.Error("ran"); return nil })
	if !errors.As(err, &forbidden) {
		t.Errorf("got %v", err)
	}
}

// A transaction of one statement is one round trip, leaves nothing behind, and what follows is a transaction of its own.
func TestOnlyRow(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	count := &trips{}
	db, err := pg.Open(t.Context(), pg.Config{Web: env.DSN("frist_web", "web"), MaxConns: 1, Tracer: count})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	caller := access.Caller{Account: 7, Roles: []access.Role{access.Caseworker}, Municipality: 1}
	insert := `INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id) VALUES (1, frist_now(), 7, 'caseworker', 'test', 'test', '1') RETURNING 1`
	for name, c := range map[string]struct {
		sql   string
		later bool
		trips int
		rows  int
		state string
	}{
		"a row":           {`SELECT 1`, false, 1, 0, ""},
		"no row":          {`SELECT 1 WHERE false`, false, 1, 0, "none"},
		"it is committed": {insert, false, 1, 1, ""},
		"what follows":    {`SELECT 1`, true, 2, 1, ""},
		"an error":        {`SELECT 1/0`, false, 2, 0, "22012"},
		"of no table":     {`SELECT 1 FROM nowhere`, false, 2, 0, "42P01"},
	} {
		before, n := env.Count(t, `SELECT count(*) FROM audit`), count.n
		err := db.InTx(t.Context(), caller, func(tx *pg.Tx) error {
			var one int
			if err := tx.OnlyRow(t.Context(), c.sql).Scan(&one); err != nil {
				return err
			}
			if c.later {
				tx.Later(insert)
			}
			return nil
		})
		var state pg.StateError
		var none problem.NotFound
		if c.state == "" && err != nil || c.state == "none" && !errors.As(err, &none) || len(c.state) == 5 && (!errors.As(err, &state) || state.State != c.state) {
			t.Errorf("%s: %v", name, err)
		}
		if got := env.Count(t, `SELECT count(*) FROM audit`) - before; got != c.rows {
			t.Errorf("%s: %d rows", name, got)
		}
		if got := count.n - n; got > c.trips {
			t.Errorf("%s: %d round trips", name, got)
		}
		// The one connection is nobody's afterwards.
		var role string
		if err := db.SignIn(t.Context(), func(tx *pg.Tx) error { return tx.QueryRow(t.Context(), `SELECT current_user`).Scan(&role) }); err != nil || role != "frist_signin" {
			t.Errorf("after %s: %s, %v", name, role, err)
		}
	}
}

// What is made beside the commit counts only when the commit has held, and spoils nothing when it fails.
func TestBeside(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	db, err := pg.Open(t.Context(), pg.Config{Web: env.DSN("frist_web", "web"), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	caller := access.Caller{Account: 7, Roles: []access.Role{access.Caseworker}, Municipality: 1}
	insert := `INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id) VALUES ($1, frist_now(), 7, 'caseworker', 'test', 'test', '1')`
	boom := errors.New("boom")
	for _, c := range []struct {
		name   string
		before func(tx *pg.Tx) error
		err    error
		panics bool
		fails  bool
		ran    bool
		rows   int
	}{
		{name: "alone", before: func(*pg.Tx) error { return nil }, ran: true},
		{name: "with a row", before: func(tx *pg.Tx) error { tx.Later(insert, 1); return nil }, ran: true, rows: 1},
		{name: "its own error", before: func(tx *pg.Tx) error { tx.Later(insert, 1); return nil }, err: boom, fails: true, ran: true, rows: 1},
		{name: "its panic", before: func(tx *pg.Tx) error { _, err := tx.Exec(t.Context(), `SELECT 1`); return err }, panics: true, fails: true, ran: true},
		{name: "the commit fails", before: func(tx *pg.Tx) error { tx.Later(insert, 0); return nil }, fails: true, ran: true},
		{name: "nothing to commit", before: func(*pg.Tx) error { return boom }, fails: true},
	} {
		before, ran := env.Count(t, `SELECT count(*) FROM audit`), false
		err := func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = boom
				}
			}()
			return db.InTx(t.Context(), caller, func(tx *pg.Tx) error {
				tx.Beside(func() error {
					if ran = true; c.panics {
						panic("in the template")
					}
					return c.err
				})
				return c.before(tx)
			})
		}()
		if (err != nil) != c.fails || c.err != nil && !errors.Is(err, c.err) || ran != c.ran {
			t.Errorf("%s: ran %v, error %v", c.name, ran, err)
		}
		if got := env.Count(t, `SELECT count(*) FROM audit`) - before; got != c.rows {
			t.Errorf("%s: %d rows, want %d", c.name, got, c.rows)
		}
		// The one connection is whole afterwards.
		if err := db.InTx(t.Context(), caller, func(tx *pg.Tx) error { _, err := tx.Exec(t.Context(), `SELECT 1`); return err }); err != nil {
			t.Errorf("after %s: %v", c.name, err)
		}
	}
}
