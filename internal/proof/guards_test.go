package proof

import (
	"errors"
	"testing"

	"github.com/frist-app/frist/internal/pgtest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// session is a connection with one of the three logins, perhaps with a role taken and a municipality set.
func session(t *testing.T, env *pgtest.Env, login, role, municipality string) *pgx.Conn {
	t.Helper()
	password := map[string]string{"frist_web": "web", "frist_operator": "operator", "frist_worker": "worker"}[login]
	conn, err := pgx.Connect(t.Context(), env.DSN(login, password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	if role != "" {
		if _, err := conn.Exec(t.Context(), "SET ROLE "+role); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), `SELECT set_config('frist.municipality', $1, false), set_config('frist.account', '902', false)`, municipality); err != nil {
		t.Fatal(err)
	}
	return conn
}

func state(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}

// A temporary table comes before a real one of the same name for whoever's path does not say otherwise, and everybody may
// make one. The guards must not read the caller's.
func TestGuardsReadNoTableOfTheirCallers(t *testing.T) {
	w := pgtest.NewWorld(t)
	active := w.Add(t, pgtest.Person{})
	gone := w.Add(t, pgtest.Person{Status: "disconnected"})
	must := func(conn *pgx.Conn, sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%v in %s", err, sql)
		}
	}

	purger := session(t, w.Env, "frist_worker", "frist_purger", "1")
	must(purger, `CREATE TEMP TABLE municipality AS SELECT 1 AS id, 'UTC' AS time_zone`)
	must(purger, `CREATE TEMP TABLE deletion_round AS SELECT 1 AS municipality_id, 1 AS id, 'running' AS state, 1 AS approved_by, current_date AS run_on`)
	must(purger, `CREATE TEMP TABLE round_item AS SELECT 1 AS municipality_id, $1::uuid AS client_id, 1 AS round_id, 'purged' AS state, true AS frozen, '2000-01-01'::date AS due_on`, gone)
	if _, err := purger.Exec(t.Context(), `DELETE FROM client WHERE id = $1`, gone); state(err) != "FR001" {
		t.Errorf("a client was deleted on the word of a temporary table: %v", err)
	}

	worker := session(t, w.Env, "frist_web", "frist_municipality", "1")
	must(worker, `CREATE TEMP TABLE status_entry (municipality_id int, client_id uuid, id bigint, at timestamptz, status text)`)
	must(worker, `CREATE TEMP TABLE client (municipality_id int, id uuid, status text, agreement_end timestamptz, unplaced_reason text)`)
	must(worker, `INSERT INTO client VALUES (1, $1, 'disconnected', '2001-01-01')`, active)
	must(worker, `INSERT INTO status_entry VALUES (1, $1, 1, '2001-01-01', 'disconnected')`, active)
	// The whole path of a deletion that is not due: an active client comes into an open group by what the guard is shown.
	must(worker, `INSERT INTO public.deletion_round (municipality_id, kind, run_on, number, state_since) VALUES (1, 'scheduled', '2023-10-01', '3218-231001', now())`)
	if _, err := worker.Exec(t.Context(), `INSERT INTO public.round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on)
		SELECT 1, id, $1, 0, now(), 'system', '2001-01-01' FROM public.deletion_round`, active); state(err) != "FR010" {
		t.Errorf("an active client was placed on the word of a temporary table: %v", err)
	}
	if _, err := worker.Exec(t.Context(), `INSERT INTO public.client_change (municipality_id, client_id, at, field, account_id) SELECT 1, gen_random_uuid(), now(), 'x', 0`); state(err) != "23503" {
		t.Errorf("a change of nobody: %v", err)
	}
}
