package client_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5/pgconn"
)

// fill gives a client one or more rows in each table under it, a professional of its own and two events at its address:
// one that names it and one that names nobody.
func fill(t testing.TB, env *pgtest.Env, municipality int, id client.ID) {
	t.Helper()
	behind(t, env, strings.NewReplacer("$m", fmt.Sprint(municipality), "$c", "'"+id.String()+"'").Replace(`
		INSERT INTO note (municipality_id, client_id, at, text, entered_by) VALUES ($m, $c, '2021-01-01', 'x', 7);
		INSERT INTO protected_contact (municipality_id, client_id, phone) VALUES ($m, $c, '900 00 000');
		INSERT INTO protected_release (municipality_id, client_id, asked_by, asked_at) VALUES ($m, $c, 7, now());
		INSERT INTO property VALUES ($m, $c, 'key box', 'left');
		INSERT INTO next_of_kin (municipality_id, client_id, name, relation, has_key) VALUES ($m, $c, 'N', 'son', true);
		WITH p AS (INSERT INTO professional (municipality_id, name, profession) VALUES ($m, 'P', 'nurse') RETURNING id)
			INSERT INTO client_professional SELECT $m, $c, id FROM p;
		INSERT INTO medical_entry (municipality_id, client_id, at, text, entered_by) VALUES ($m, $c, now(), 'x', 7);
		INSERT INTO medication (municipality_id, client_id, name, until) VALUES ($m, $c, 'b', NULL), ($m, $c, 'a', '2022-01-01');
		WITH p AS (INSERT INTO care_plan (municipality_id, client_id, goal, since) VALUES ($m, $c, 'g', '2021-01-01') RETURNING id)
			INSERT INTO care_plan_entry (municipality_id, client_id, care_plan_id, at, text, entered_by) SELECT $m, $c, id, now(), 'ok', 7 FROM p;
		INSERT INTO communication (municipality_id, client_id, at, channel, text, entered_by) VALUES ($m, $c, now(), 'phone', 'x', 7);
		INSERT INTO recording (municipality_id, client_id, at, seconds, blob_key) VALUES ($m, $c, now(), 12.5, 'r' || $c);
		INSERT INTO alarm_event (municipality_id, client_id, at, kind) SELECT $m, $c, '2023-01-01'::timestamptz + n * interval '1 microsecond', 'alarm' FROM generate_series(1, 3) n;
		WITH e AS (INSERT INTO address_event (municipality_id, address_id, at, kind, blob_key, names_clients)
				SELECT $m, address_id, now(), 'door', k || $c, k = 'n' FROM client, (VALUES ('n'), ('u')) v (k) WHERE id = $c AND address_id IS NOT NULL RETURNING id, names_clients)
			INSERT INTO address_event_client SELECT $m, $c, id FROM e WHERE names_clients`))
}

// due makes clients ready to be erased: disconnected, in a running round, their items purged.
func due(t testing.TB, env *pgtest.Env, municipality int, ids ...client.ID) {
	t.Helper()
	for _, id := range ids {
		behind(t, env, fmt.Sprintf(`UPDATE client SET status = 'disconnected', status_since = '2023-01-01' WHERE id = '%[2]s';
			INSERT INTO deletion_round (municipality_id, id, kind, run_on, number, state, state_since, approved_by, approved_hash, cooling_off_until, started_by)
				VALUES (%[1]d, %[1]d, 'scheduled', '2023-07-01', 'R%[1]d', 'running', now(), 90, '\x00', now(), 91) ON CONFLICT DO NOTHING;
			INSERT INTO round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on, state, frozen)
				VALUES (%[1]d, %[1]d, '%[2]s', 0, now(), 'system', '2023-07-01', 'purged', true)`, municipality, id))
	}
}

func erase(t testing.TB, env *pgtest.Env, municipality int, ids ...client.ID) (client.Erased, error) {
	t.Helper()
	var erased client.Erased
	err := in(t, env, access.SystemFor(municipality), func(ctx context.Context, tx *pg.Tx) (err error) {
		if _, err = tx.Exec(ctx, `SELECT FROM client WHERE municipality_id = $1 AND id = ANY ($2) ORDER BY id FOR UPDATE`, tx.Municipality(), ids); err != nil {
			return err
		}
		dwellings, err := client.Dwellings(ctx, tx, ids)
		if err != nil {
			return err
		}
		erased, err = client.Erase(ctx, tx, ids, dwellings)
		return err
	})
	return erased, err
}

// rows counts the rows of every table with a municipality, for one of them.
func rows(t testing.TB, env *pgtest.Env, municipality int) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	tables, err := env.Admin.Query(t.Context(), `SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'municipality_id'
		WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace`)
	must(t, err)
	var names []string
	for tables.Next() {
		var name string
		must(t, tables.Scan(&name))
		names = append(names, name)
	}
	for _, name := range names {
		if n := env.Count(t, `SELECT count(*) FROM `+name+` WHERE municipality_id = $1`, municipality); n > 0 {
			counts[name] = int64(n)
		}
	}
	return counts
}

func TestEraseCountsWhatGoes(t *testing.T) {
	env := world(t)
	var gone, stays [3][]client.ID
	for m := 1; m <= 2; m++ {
		for i := range 3 {
			id := create(t, env, m, client.New{GivenName: "A", FamilyName: "Gone", Address: client.Address{Street: fmt.Sprintf("Storgata %d", i), Postcode: "0953"}})
			gone[m] = append(gone[m], id)
		}
		stays[m] = []client.ID{create(t, env, m, client.New{GivenName: "A", FamilyName: "Stays", Address: skole})}
		for _, id := range append(gone[m], stays[m]...) {
			fill(t, env, m, id)
			// closed connections and released holds, of the client and of the dwelling, go too
			behind(t, env, fmt.Sprintf(`WITH d AS (INSERT INTO device (municipality_id, code, kind, stock_state) VALUES (%[1]d, '%[2]s', 'alarm', 'in_stock') RETURNING id), a AS (SELECT address_id FROM client WHERE id = '%[2]s')
				INSERT INTO device_connection (municipality_id, device_id, client_id, address_id, connected_at, disconnected_at)
					SELECT %[1]d, d.id, v.c, v.a, now(), now() FROM d, a, LATERAL (VALUES ('%[2]s'::uuid, NULL::uuid), (NULL, a.address_id)) v (c, a);
				INSERT INTO hold (municipality_id, client_id, address_id, reason, authority, review_on, placed_by, placed_at, release_asked_by, released_by, released_at)
					SELECT %[1]d, v.c, v.a, 'police', 'x', now(), 7, now(), 1, 2, now() FROM client, LATERAL (VALUES ('%[2]s'::uuid, NULL::uuid), (NULL, address_id)) v (c, a) WHERE id = '%[2]s';
				INSERT INTO placement (municipality_id, client_id, act, at, account_id) VALUES (%[1]d, '%[2]s', 'placed', now(), 0);
				INSERT INTO order_client VALUES (%[1]d, '%[2]s', gen_random_uuid());
				INSERT INTO rights_request (municipality_id, client_id, kind, state, received_on, due_on, channel, reference, received_by, received_at) VALUES (%[1]d, '%[2]s', 'access', 'withdrawn', '2023-01-31', '2023-02-28', 'letter', '1', 7, now())`, m, id))
		}
		due(t, env, m, gone[m]...)
	}
	before, foreign := rows(t, env, 1), rows(t, env, 2)
	erased, err := erase(t, env, 1, gone[1]...)
	must(t, err)
	after := rows(t, env, 1)
	want := map[string]int64{}
	for table, n := range before {
		if n != after[table] {
			want[table] = n - after[table]
		}
	}
	if !maps.Equal(erased.Counts, want) {
		t.Errorf("counted %v\nwent %v", erased.Counts, want)
	}
	for _, table := range explain.Catalogue() {
		under := slices.ContainsFunc(table.Links, func(l explain.Link) bool { return l.Table == "client" })
		if under && table.Action != "outlives" && want[table.Name] == 0 {
			t.Errorf("nobody had a row in %s: this test has not seen it go", table.Name)
		}
	}
	if want["client"] != 3 || want["address"] != 3 || want["alarm_event"] != 9 || want["professional"] != 3 || want["hold"] != 6 || want["address_event"] != 6 {
		t.Errorf("went %v", want)
	}
	if !maps.Equal(rows(t, env, 2), foreign) {
		t.Error("rows of another municipality went")
	}
	var keys []string
	for _, id := range gone[1] {
		keys = append(keys, "r"+id.String(), "n"+id.String(), "u"+id.String())
	}
	slices.Sort(keys)
	if !slices.Equal(erased.BlobKeys, keys) || len(erased.Addresses) != 3 {
		t.Errorf("keys %v, want %v; addresses %v", erased.BlobKeys, keys, erased.Addresses)
	}
}

// A statement about a client that is not there is refused, as a key would refuse it, and so is one that a purge overtook.
func TestNothingHangsOnNobody(t *testing.T) {
	env := world(t)
	id := create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	for _, sql := range []string{
		`INSERT INTO note (municipality_id, client_id, at, text, entered_by) VALUES (1, gen_random_uuid(), now(), 'x', 7)`,
		`INSERT INTO note (municipality_id, client_id, at, text, entered_by) SELECT 1, c, now(), 'x', 7 FROM (VALUES ('` + id.String() + `'::uuid), (gen_random_uuid())) v (c)`,
		`INSERT INTO alarm_event (municipality_id, client_id, at, kind) VALUES (2, '` + id.String() + `', now(), 'alarm')`, // another municipality's
	} {
		_, err := env.Admin.Exec(t.Context(), sql)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.Code != "23503" {
			t.Errorf("got %v for %s", err, sql)
		}
	}
}

func TestWhatIsSharedGoesWithTheLast(t *testing.T) { // D19, D20
	env := world(t)
	a := create(t, env, 1, client.New{GivenName: "A", FamilyName: "Hansen", Address: skole})
	b := create(t, env, 1, client.New{GivenName: "B", FamilyName: "Hansen", Address: skole})
	away := create(t, env, 1, client.New{GivenName: "C", FamilyName: "Hansen", Address: client.Address{Street: "Storgata 1", Postcode: "0953"}})
	address := *find(t, env, 1, a).AddressID
	behind(t, env, fmt.Sprintf(`INSERT INTO address_event (municipality_id, id, address_id, at, kind, blob_key, names_clients) VALUES
			(1, 1, '%[1]s', now(), 'x', 'only a', true), (1, 2, '%[1]s', now(), 'x', 'a and b', true), (1, 3, '%[1]s', now(), 'x', 'nobody', false),
			(1, 4, '%[1]s', now(), 'x', 'a and c', true), (1, 5, '%[1]s', now(), 'x', NULL, false);
		INSERT INTO address_event_client VALUES (1, '%[2]s', 1), (1, '%[2]s', 2), (1, '%[3]s', 2), (1, '%[2]s', 4), (1, '%[4]s', 4);
		INSERT INTO professional (municipality_id, id, name, profession) VALUES (1, '%[1]s', 'P', 'nurse');
		INSERT INTO client_professional VALUES (1, '%[2]s', '%[1]s'), (1, '%[4]s', '%[1]s');
		INSERT INTO device (municipality_id, id, code, kind, stock_state) VALUES (1, '%[1]s', '1', 'alarm', 'connected');
		INSERT INTO device_connection (municipality_id, device_id, address_id, connected_at) VALUES (1, '%[1]s', '%[1]s', now());
		INSERT INTO hold (municipality_id, address_id, reason, authority, review_on, placed_by, placed_at) VALUES (1, '%[1]s', 'police', 'x', now(), 7, now())`, address, a, b, away))
	due(t, env, 1, a, b, away)

	step := func(id client.ID, keys string, events, professionals, addresses int64) {
		t.Helper()
		erased, err := erase(t, env, 1, id)
		must(t, err)
		if strings.Join(erased.BlobKeys, ", ") != keys || erased.Counts["address_event"] != events || erased.Counts["professional"] != professionals ||
			erased.Counts["address"] != addresses || int64(len(erased.Addresses)) != addresses {
			t.Errorf("keys %v, %v", erased.BlobKeys, erased.Counts)
		}
	}
	step(a, "only a", 1, 0, 0)          // b lives on there
	step(b, "a and b, nobody", 3, 0, 0) // the dwelling's last client; a device, a hold and c's event are left on it
	behind(t, env, `UPDATE device_connection SET disconnected_at = now(); UPDATE hold SET release_asked_by = 1, released_by = 2, released_at = now()`)
	step(away, "a and c", 1, 1, 2) // the last whom the event names, elsewhere: now both dwellings are empty
	for _, table := range []string{"client", "address", "address_event", "professional", "hold", "device_connection"} {
		if n := env.Count(t, `SELECT count(*) FROM `+table); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	if n := env.Count(t, `SELECT count(*) FROM device`); n != 1 {
		t.Errorf("%d devices", n)
	}
}

func TestTheDatabaseRefusesAnErasureThatNobodyDecided(t *testing.T) {
	env := world(t)
	id := create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	fill(t, env, 1, id)
	before := rows(t, env, 1)
	_, err := erase(t, env, 1, id)
	wantConflict(t, err, "not_to_be_deleted")
	due(t, env, 1, id)
	_, err = erase(t, env, 2, id) // another municipality's round
	wantConflict(t, err, "busy")
	got := rows(t, env, 1)
	delete(got, "deletion_round")
	delete(got, "round_item")
	if !maps.Equal(got, before) {
		t.Errorf("%v became %v", before, got)
	}
	if erased, err := erase(t, env, 1); err != nil || len(erased.Counts) != 0 {
		t.Errorf("nobody: %v, %v", erased, err)
	}
	err = in(t, env, caller(1, access.Caseworker, access.Approver), func(ctx context.Context, tx *pg.Tx) error {
		_, err := client.Erase(ctx, tx, []client.ID{id}, nil)
		return err
	})
	if !errors.As(err, new(problem.Forbidden)) {
		t.Errorf("got %v", err)
	}
	must(t, func() error { _, err := erase(t, env, 1, id); return err }())
}

// Two purges at the same time, each with one of the two clients that an event and a professional still have.
func TestTwoErasuresLeaveNothingBetweenThem(t *testing.T) {
	env := world(t)
	a := create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	b := create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	behind(t, env, fmt.Sprintf(`INSERT INTO professional (municipality_id, id, name, profession) VALUES (1, '%[1]s', 'P', 'nurse');
		INSERT INTO client_professional VALUES (1, '%[1]s', '%[1]s'), (1, '%[2]s', '%[1]s')`, a, b))
	due(t, env, 1, a, b)
	done := make(chan error, 1)
	must(t, in(t, env, access.SystemFor(1), func(ctx context.Context, tx *pg.Tx) error {
		if _, err := client.Erase(ctx, tx, []client.ID{a}, nil); err != nil {
			return err
		}
		go func() {
			_, err := erase(t, env, 1, b)
			done <- err
		}()
		select {
		case err := <-done:
			t.Errorf("the second did not wait: %v", err)
		case <-time.After(300 * time.Millisecond):
		}
		return nil
	}))
	must(t, <-done)
	if n := env.Count(t, `SELECT count(*) FROM professional`); n != 0 {
		t.Errorf("%d professionals whom nobody has", n)
	}
}
