package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func list(t testing.TB, env *pgtest.Env, municipality int, f client.Filter, at client.Cursor, limit int) client.Page {
	t.Helper()
	var page client.Page
	must(t, in(t, env, caller(municipality), func(ctx context.Context, tx *pg.Tx) (err error) {
		page, err = client.List(ctx, tx, f, at, limit)
		return err
	}))
	return page
}

func names(rows []client.Row) string {
	list := make([]string, len(rows))
	for i, r := range rows {
		list[i] = r.FamilyName
	}
	return strings.Join(list, " ")
}

func TestTheListIsInNorwegianOrder(t *testing.T) {
	env := world(t)
	for m := 1; m <= 2; m++ {
		for _, name := range []string{"Ødegård", "Aasen", "Zahl", "Åberg", "Ærlig", "Andersen", "Hætta", "Haugen"} {
			create(t, env, m, client.New{GivenName: "A", FamilyName: name})
		}
	}
	if got, want := names(list(t, env, 1, client.Filter{}, client.Cursor{}, 50).Rows), "Andersen Haugen Hætta Zahl Ærlig Ødegård Åberg Aasen"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := env.Count(t, `SELECT cardinality(client_ids) FROM access_log WHERE municipality_id = 1 AND page = 'clients' AND purpose = 'list'`); n != 8 {
		t.Errorf("access names %d clients", n)
	}
	if n := env.Count(t, `SELECT count(*) FROM access_log l JOIN client c ON c.id = ANY (l.client_ids) WHERE c.municipality_id <> 1`); n != 0 {
		t.Errorf("%d clients of another municipality were shown", n)
	}
}

// Walking the pages in either direction gives each client of the municipality once, in the order of one long list.
func TestWalkingThePages(t *testing.T) {
	env := world(t)
	municipality := 10
	rapid.Check(t, func(rt *rapid.T) {
		municipality += 2
		given := rapid.SliceOfN(rapid.SampledFrom([]string{"Åse", "Aase", "Ane", "Øyvind", "ane", "Jon Ánde"}), 0, 30).Draw(rt, "given")
		family := rapid.SliceOfN(rapid.SampledFrom([]string{"Ås", "Aas", "Hansen", "hansen", "Hætta", "Øye", "Zahl"}), len(given), len(given)).Draw(rt, "family")
		for _, m := range []int{municipality, municipality + 1} { // the neighbour has the same people
			env.Exec(t, `INSERT INTO municipality (id) VALUES ($1)`, m)
			env.Exec(t, `INSERT INTO client (municipality_id, number, given_name, family_name, status, status_since, created_by, created_at, changed_by, changed_at)
				SELECT $1, n, g, f, CASE WHEN n % 3 = 0 THEN 'ordered' ELSE 'active' END, now(), 0, now(), 0, now()
				FROM unnest($2::text[], $3::text[]) WITH ORDINALITY u (g, f, n)`, m, given, family)
		}
		var filter client.Filter
		want := `SELECT id FROM client WHERE municipality_id = $1 ORDER BY family_name, given_name, id`
		if rapid.Bool().Draw(rt, "filtered") {
			filter.Statuses = []client.Status{client.Active}
			want = `SELECT id FROM client WHERE municipality_id = $1 AND status = 'active' ORDER BY family_name, given_name, id`
		}
		rows, err := env.Admin.Query(t.Context(), want, municipality)
		must(t, err)
		var all []client.ID
		for rows.Next() {
			var id client.ID
			must(t, rows.Scan(&id))
			all = append(all, id)
		}
		limit := rapid.IntRange(1, 12).Draw(rt, "limit")
		back := rapid.Bool().Draw(rt, "back")
		var got []client.ID
		at := client.Cursor{Back: back}
		for range len(all) + 2 {
			again, err := client.ParseCursor(at.String())
			if err != nil || again != at {
				rt.Fatalf("cursor %v became %v, %v", at, again, err)
			}
			page := list(t, env, municipality, filter, at, limit)
			ids := make([]client.ID, len(page.Rows))
			for i, r := range page.Rows {
				ids[i] = r.ID
			}
			if len(ids) > limit {
				rt.Fatalf("%d rows, limit %d", len(ids), limit)
			}
			if back {
				got = append(ids, got...)
			} else {
				got = append(got, ids...)
			}
			more := page.HasNext
			at = page.Next
			if back {
				more, at = page.HasPrev, page.Prev
			}
			if !more {
				break
			}
		}
		if !slices.Equal(got, all) {
			rt.Fatalf("walked %d clients, want %d\n%v\n%v", len(got), len(all), got, all)
		}
	})
}

func TestACursorWhoseClientIsGoneBeginsAnew(t *testing.T) {
	env := world(t)
	create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	foreign := create(t, env, 2, client.New{GivenName: "A", FamilyName: "A"})
	for _, id := range []client.ID{uuid.New(), foreign} {
		page := list(t, env, 1, client.Filter{}, client.Cursor{ID: id}, 5)
		if names(page.Rows) != "B" || page.HasPrev || page.HasNext || !page.Anew {
			t.Errorf("%+v", page)
		}
	}
	for _, s := range []string{"x", "a", "axyz", "c" + foreign.String()} {
		if _, err := client.ParseCursor(s); !errors.Is(err, problem.NotFound{What: "page"}) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestFilters(t *testing.T) {
	env := world(t)
	env.SetNow(time.Date(2023, 9, 1, 8, 0, 0, 0, time.UTC))
	day := func(d int) time.Time { return time.Date(2023, 8, d, 21, 59, 59, 0, time.UTC) } // one second before midnight in Oslo
	for m := 1; m <= 2; m++ {
		create(t, env, m, client.New{GivenName: "A", FamilyName: "Active", Address: skole, NextReviewOn: calendar.On(2023, 9, 1), StatusAt: day(10), AgreementStart: calendar.On(2023, 8, 10)})
		create(t, env, m, client.New{GivenName: "A", FamilyName: "Later", Address: client.Address{Street: "Storgata 1", Postcode: "953"}, NextReviewOn: calendar.On(2023, 9, 2), StatusAt: day(10).Add(time.Second), AgreementStart: calendar.On(2023, 8, 11)})
		create(t, env, m, client.New{GivenName: "A", FamilyName: "Ordered", Status: client.Ordered, StatusAt: day(1)})
		for i, name := range []string{"Unplaced", "Placed"} {
			id := create(t, env, m, client.New{GivenName: "A", FamilyName: name})
			placed := i == 1
			behind(t, env, fmt.Sprintf(`UPDATE client SET status = 'disconnected', agreement_end = '2023-08-10T21:59:59Z', unplaced_reason = CASE WHEN %t THEN NULL ELSE 'held' END WHERE id = '%s'`, placed, id))
			if placed {
				behind(t, env, fmt.Sprintf(`INSERT INTO deletion_round (municipality_id, id, kind, run_on, number, state_since) VALUES (%d, %d, 'scheduled', '2024-04-01', '%d-240401', now());
					INSERT INTO round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on) VALUES (%d, %d, '%s', 0, now(), 'system', '2024-03-01')`, m, m, m, m, m, id))
			}
		}
	}
	for _, c := range []struct {
		name   string
		filter client.Filter
		want   string
	}{
		{"all", client.Filter{}, "Active Later Ordered Placed Unplaced"},
		{"one status", client.Filter{Statuses: []client.Status{client.Ordered}}, "Ordered"},
		{"two statuses", client.Filter{Statuses: []client.Status{client.Ordered, client.Active}}, "Active Later Ordered"},
		{"group", client.Filter{Groups: []int64{1, 99}}, "Placed"},
		{"another municipality's group", client.Filter{Groups: []int64{2}}, ""},
		{"unplaced", client.Filter{Unplaced: true}, "Unplaced"},
		{"postal code", client.Filter{Postcode: "0953"}, "Later"},
		{"review", client.Filter{ReviewBy: calendar.On(2023, 9, 1)}, "Active"},
		{"status until the day", client.Filter{Period: client.Period{Of: client.PeriodStatus, To: calendar.On(2023, 8, 10)}}, "Active Ordered"},
		{"status from the day after", client.Filter{Period: client.Period{Of: client.PeriodStatus, From: calendar.On(2023, 8, 11)}}, "Later Placed Unplaced"},
		{"agreement start", client.Filter{Period: client.Period{Of: client.PeriodAgreementStart, From: calendar.On(2023, 8, 10), To: calendar.On(2023, 8, 10)}}, "Active"},
		{"agreement end", client.Filter{Period: client.Period{Of: client.PeriodAgreementEnd, From: calendar.On(2023, 8, 10), To: calendar.On(2023, 8, 10)}, Unplaced: true}, "Unplaced"},
		{"agreement end, the day after", client.Filter{Period: client.Period{Of: client.PeriodAgreementEnd, From: calendar.On(2023, 8, 11)}}, ""},
	} {
		if got := names(list(t, env, 1, c.filter, client.Cursor{}, 50).Rows); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
			n, capped, err := client.Count(ctx, tx, c.filter)
			if n != len(strings.Fields(c.want)) || capped {
				t.Errorf("%s: counted %d, %t", c.name, n, capped)
			}
			return err
		}))
	}
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		got, err := tally(ctx, tx)
		if want := (client.Totals{All: 5, Ordered: 1, Active: 2, Disconnected: 2, Unplaced: 1, ReviewDue: 1}); got != want {
			t.Errorf("%+v", got)
		}
		return err
	}))
	env.Exec(t, `INSERT INTO municipality (id) VALUES (3)`)
	must(t, in(t, env, caller(3), func(ctx context.Context, tx *pg.Tx) error {
		got, err := tally(ctx, tx)
		if got != (client.Totals{}) {
			t.Errorf("nobody lives there: %+v", got)
		}
		return err
	}))
}

func TestCountIsCapped(t *testing.T) {
	env := world(t)
	for m, n := range map[int]int{1: 1001, 2: 1000} {
		env.Exec(t, `INSERT INTO client (municipality_id, number, given_name, family_name, status, status_since, created_by, created_at, changed_by, changed_at)
			SELECT $1, n, 'A', 'B', 'active', now(), 0, now(), 0, now() FROM generate_series(1, $2::int) n`, m, n)
	}
	for m, want := range map[int]bool{1: true, 2: false} {
		must(t, in(t, env, caller(m), func(ctx context.Context, tx *pg.Tx) error {
			n, capped, err := client.Count(ctx, tx, client.Filter{})
			if n != 1000 || capped != want {
				t.Errorf("%d: %d, %t", m, n, capped)
			}
			return err
		}))
	}
	if page := list(t, env, 1, client.Filter{}, client.Cursor{}, 5000); len(page.Rows) != 200 {
		t.Errorf("a page of %d", len(page.Rows))
	}
}

func TestSearch(t *testing.T) {
	env := world(t)
	for m := 1; m <= 2; m++ {
		for _, n := range []client.New{
			{Number: "200051466", GivenName: "Solveig", FamilyName: "Hansen", Phone: "900 00 172"},
			{Number: "200051480", GivenName: "Jon Ánde", FamilyName: "Larsen", Phone: "900 00 230"},
			{Number: "200051481", GivenName: "Bo", FamilyName: "Li", Phone: ""},
			{Number: "200051482", GivenName: "Li", FamilyName: "Moe_100%", Phone: ""},
			{Number: "77", GivenName: "Odd", FamilyName: "Åsen", Phone: ""},
		} {
			create(t, env, m, n)
		}
		env.Exec(t, `WITH d AS (INSERT INTO device (municipality_id, code, kind, stock_state) VALUES ($1, '300398', 'alarm', 'connected') RETURNING id)
			INSERT INTO device_connection (municipality_id, device_id, client_id, connected_at)
			SELECT $1, d.id, c.id, now() FROM d, client c WHERE c.municipality_id = $1 AND c.number = '77'`, m)
	}
	for text, want := range map[string]string{
		"hansen":        "Hansen",
		"HANS solv":     "Hansen",
		"Hansen, S":     "Hansen",
		"ánde":          "Larsen",
		"lars jo":       "Larsen",
		"200051466":     "Hansen",
		"2000514":       "Hansen Larsen Li Moe_100%",
		"900 00 230":    "Larsen",
		"90000":         "Hansen Larsen",
		"li":            "Li Moe_100%",
		"LI":            "Li Moe_100%",
		"l":             "Larsen Li Moe_100%",
		"bo li":         "Li",
		"77":            "Åsen",
		"å":             "Åsen",
		"oe_":           "Moe_100%",
		"00%":           "Moe_100%",
		"%%%":           "",
		"___":           "",
		`\`:             "",
		"300398":        "Åsen",
		"3003":          "",
		"nobody":        "",
		"hansen nobody": "",
	} {
		must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
			id, err := client.SaveSearch(ctx, tx, text)
			if err != nil {
				return err
			}
			page, err := client.List(ctx, tx, client.Filter{Search: &id}, client.Cursor{}, 50)
			if got := names(page.Rows); got != want {
				t.Errorf("%q finds %q, want %q", text, got, want)
			}
			n, _, err2 := client.Count(ctx, tx, client.Filter{Search: &id, Statuses: []client.Status{client.Active}})
			if n != len(strings.Fields(want)) {
				t.Errorf("%q: counted %d", text, n)
			}
			if err == nil {
				err = err2
			}
			return err
		}))
	}
	if n := env.Count(t, `SELECT count(*) FROM access_log WHERE municipality_id <> 1`); n != 0 {
		t.Errorf("%d looks elsewhere", n)
	}
	if n := env.Count(t, `SELECT count(*) FROM access_log l, unnest(l.client_ids) i JOIN client c ON c.id = i WHERE c.municipality_id <> 1`); n != 0 {
		t.Errorf("%d clients of another municipality", n)
	}
}

func TestASearchIsTheAccountsOwn(t *testing.T) {
	env := world(t)
	var id uuid.UUID
	session := []byte("0123456789abcdef0123456789abcdef")
	env.Exec(t, `INSERT INTO session VALUES ($1, 7, now(), now(), now())`, session)
	own := caller(1)
	own.Session = session
	must(t, in(t, env, own, func(ctx context.Context, tx *pg.Tx) (err error) {
		id, err = client.SaveSearch(ctx, tx, "  Solveig\x00  Hansen ")
		return err
	}))
	must(t, in(t, env, own, func(ctx context.Context, tx *pg.Tx) error {
		if text, err := client.FindSearch(ctx, tx, id); err != nil || text != "Solveig Hansen" {
			t.Errorf("%q, %v", text, err)
		}
		for text, code := range map[string]string{"  ": "empty", strings.Repeat("å", 101): "too_long"} {
			_, err := client.SaveSearch(ctx, tx, text)
			wantField(t, err, "search", code)
		}
		return nil
	}))
	colleague := caller(1)
	colleague.Account = 99
	foreign := caller(2)
	foreign.Account = 7
	for _, c := range []struct {
		who  string
		in   int
		call func() error
	}{
		{"colleague", 1, func() error {
			return in(t, env, colleague, func(ctx context.Context, tx *pg.Tx) error {
				_, err := client.List(ctx, tx, client.Filter{Search: &id}, client.Cursor{}, 5)
				return err
			})
		}},
		{"elsewhere", 2, func() error {
			return in(t, env, foreign, func(ctx context.Context, tx *pg.Tx) error { _, err := client.FindSearch(ctx, tx, id); return err })
		}},
	} {
		if err := c.call(); !errors.Is(err, problem.NotFound{What: "search"}) {
			t.Errorf("%s: %v", c.who, err)
		}
	}
	env.Exec(t, `DELETE FROM session`)
	if n := env.Count(t, `SELECT count(*) FROM stored_search`); n != 0 {
		t.Errorf("%d searches outlive the sign-in", n)
	}
}

// behind runs statements without triggers, to make a state that takes a long way otherwise.
func behind(t testing.TB, env *pgtest.Env, sql string) {
	t.Helper()
	env.Exec(t, `BEGIN; SET LOCAL session_replication_role = replica; `+sql+`; COMMIT`)
}

func tally(ctx context.Context, tx *pg.Tx) (client.Totals, error) {
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return client.Totals{}, err
	}
	return client.Tally(ctx, tx, today)
}
