package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
)

// What is wrong in any entry under a client is rectified, what stood there stays in the client's own history, the log of
// acts has no value, and nobody reaches another client's or another municipality's entry (GDPR 16, T9).
func TestEveryKindOfEntryIsRectifiedWithHistory(t *testing.T) {
	w := pgtest.NewWorld(t)
	own, neighbour, over := w.Add(t, pgtest.Person{}), w.Add(t, pgtest.Person{}), w.Add(t, pgtest.Person{Municipality: w.B})
	for i, c := range []struct {
		m  int
		id client.ID
	}{{w.A, own}, {w.A, neighbour}, {w.B, over}} {
		for _, sql := range []string{
			`INSERT INTO note (municipality_id, client_id, id, at, text, entered_by) VALUES ($1, $2, $3, now(), 'galt', 1)`,
			`INSERT INTO property (municipality_id, client_id, name, value) VALUES ($1, $2, 'Bolig' || ($3::int - $3::int), 'galt')`,
			`INSERT INTO next_of_kin (municipality_id, client_id, id, name, relation, phone) VALUES ($1, $2, $3, 'Anne', 'Datter', '900 00 001')`,
			`INSERT INTO medical_entry (municipality_id, client_id, id, at, text, entered_by) VALUES ($1, $2, $3, now(), 'galt', 1)`,
			`INSERT INTO medication (municipality_id, client_id, id, name, dose) VALUES ($1, $2, $3, 'Galt', '1 mg')`,
			`INSERT INTO care_plan (municipality_id, client_id, id, goal, since) VALUES ($1, $2, $3, 'galt', now())`,
			`INSERT INTO care_plan_entry (municipality_id, client_id, id, care_plan_id, at, text, entered_by) VALUES ($1, $2, $3, $3, now(), 'galt', 1)`,
			`INSERT INTO communication (municipality_id, client_id, id, at, channel, text, entered_by) VALUES ($1, $2, $3, now(), 'phone', 'galt', 1)`,
		} {
			w.Exec(t, sql, c.m, c.id, 7000+i)
		}
	}
	var property int64
	if err := w.Admin.QueryRow(t.Context(), `SELECT hashtextextended('Bolig0', 0)`).Scan(&property); err != nil {
		t.Fatal(err)
	}
	caseworker := w.As(access.Caseworker, w.A)
	correct := func(by access.Caller, id client.ID, kind string, row int64, values map[string]string) error {
		return w.DB.InTx(t.Context(), by, func(tx *pg.Tx) error {
			return client.Correct(t.Context(), tx, id, kind, row, func(field string) string { return values[field] })
		})
	}
	type is struct {
		values   map[string]string
		from, to string
		row      int64
		now      string
	}
	all := map[string]is{
		"note":          {map[string]string{"entry": " rett "}, "galt", "rett", 7000, `SELECT count(*) FROM note WHERE text = 'rett'`},
		"property":      {map[string]string{"value": "rett"}, "galt", "rett", property, `SELECT count(*) FROM property WHERE value = 'rett'`},
		"kin":           {map[string]string{"name": "Anne", "relation": "Datter", "phone": "900 00 002"}, "Anne, Datter, 900 00 001", "Anne, Datter, 900 00 002", 7000, `SELECT count(*) FROM next_of_kin WHERE phone = '900 00 002'`},
		"medical":       {map[string]string{"entry": "rett"}, "galt", "rett", 7000, `SELECT count(*) FROM medical_entry WHERE text = 'rett'`},
		"medication":    {map[string]string{"medicine": "Rett", "dose": ""}, "Galt, 1 mg", "Rett", 7000, `SELECT count(*) FROM medication WHERE name = 'Rett' AND dose = ''`},
		"plan":          {map[string]string{"goal": "rett"}, "galt", "rett", 7000, `SELECT count(*) FROM care_plan WHERE goal = 'rett'`},
		"plan_entry":    {map[string]string{"entry": "rett"}, "galt", "rett", 7000, `SELECT count(*) FROM care_plan_entry WHERE text = 'rett'`},
		"communication": {map[string]string{"entry": "rett"}, "galt", "rett", 7000, `SELECT count(*) FROM communication WHERE text = 'rett'`},
	}
	for kind, c := range all {
		if err := correct(w.As(access.Approver, w.A), own, kind, c.row, c.values); !errors.As(err, new(problem.Forbidden)) {
			t.Errorf("%s by an approver: %v", kind, err)
		}
		if err := correct(caseworker, over, kind, c.row, c.values); !errors.As(err, new(problem.NotFound)) {
			t.Errorf("%s of another municipality: %v", kind, err)
		}
		if kind != "property" {
			if err := correct(caseworker, own, kind, 7001, c.values); !errors.As(err, new(problem.NotFound)) {
				t.Errorf("%s of another client: %v", kind, err)
			}
		}
		if err := correct(caseworker, own, kind, c.row, nil); !errors.As(err, new(problem.Invalid)) {
			t.Errorf("%s emptied: %v", kind, err)
		}
		for range 2 { // the second time it says what stands there, and leaves nothing
			if err := correct(caseworker, own, kind, c.row, c.values); err != nil {
				t.Fatal(kind, err)
			}
		}
		if n := w.Count(t, c.now); n != 1 {
			t.Errorf("%s: %d stand corrected", kind, n)
		}
		if n := w.Count(t, `SELECT count(*) FROM client_change WHERE client_id = $1 AND field = $2 AND from_value = $3 AND to_value = $4`, own, kind, c.from, c.to); n != 1 {
			t.Errorf("%s: %d lines of history", kind, n)
		}
		if n := w.Count(t, `SELECT count(*) FROM audit WHERE subject_id = $1 AND act = 'changed' AND fields = ARRAY[$2] AND NOT refused AND audit::text NOT LIKE '%galt%'`, own.String(), kind); n != 1 {
			t.Errorf("%s: %d acts", kind, n)
		}
	}
	if err := correct(caseworker, own, "alarm", 7000, nil); !errors.As(err, new(problem.Invalid)) {
		t.Errorf("what a device told: %v", err)
	}
	// Of a protected client nobody but the named few corrects, or reads in the history, what they do not see.
	w.Exec(t, `UPDATE client SET protected = true WHERE id = $1`, own)
	if err := correct(caseworker, own, "kin", 7000, map[string]string{"name": "x"}); !errors.As(err, new(problem.Forbidden)) {
		t.Errorf("hidden: %v", err)
	}
	err := w.DB.InTx(t.Context(), caseworker, func(tx *pg.Tx) error {
		list, err := client.ChangeLog(t.Context(), tx, own, client.EventCursor{}, 50)
		for _, c := range list {
			if _, ours := all[c.Field]; ours && c.Field != "medication" && (!c.Hidden || c.From != nil || c.To != nil) {
				err = errors.Join(err, fmt.Errorf("%s is told: %+v", c.Field, c))
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Where nothing but pseudonyms is held, no correction brings a word in, nor does the database take one.
func TestACorrectionBringsNoNameIn(t *testing.T) {
	w := pgtest.NewWorld(t)
	id := w.Add(t, pgtest.Person{})
	w.Exec(t, `INSERT INTO medication (municipality_id, client_id, id, name) VALUES ($1, $2, 1, 'x')`, w.A, id)
	w.Exec(t, `ALTER TABLE municipality_policy DISABLE TRIGGER pseudonymous_guard`)
	w.Exec(t, `UPDATE municipality_policy SET pseudonymous = true WHERE municipality_id = $1`, w.A)
	for name, act := range map[string]func(ctx context.Context, tx *pg.Tx) error{
		"by the program": func(ctx context.Context, tx *pg.Tx) error {
			return client.Correct(ctx, tx, id, "medication", 1, func(string) string { return "Solveig" })
		},
		"by SQL": func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE medication SET dose = 'Solveig' WHERE client_id = $1`, id)
			return err
		},
	} {
		err := w.DB.InTx(t.Context(), w.As(access.Caseworker, w.A), func(tx *pg.Tx) error { return act(t.Context(), tx) })
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
