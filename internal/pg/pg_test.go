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
