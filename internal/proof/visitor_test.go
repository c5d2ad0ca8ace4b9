package proof

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/visit"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

const never = "never" // the query of a page asks for it, and gets nothing

// shielded are the tables of which only the named few see a protected client's rows, and no visitor.
var shielded = []string{"note", "property", "next_of_kin", "client_professional", "professional", "medical_entry", "care_plan", "care_plan_entry", "communication", "recording", "alarm_event"}

// showing is for each table that visitors may read: the kinds of page that show it (none: every one), and whose a row is.
// It is written from what the pages are for, not from the policies.
var showing = map[string]struct{ pages, whose string }{
	"client":              {"", "t.id"},
	"address":             {"", "(SELECT c.id FROM client c WHERE c.address_id = t.id)"},
	"status_entry":        {"status deletion record", "t.client_id"},
	"municipality_policy": {"", ""},
	"protected_contact":   {never, "t.client_id"},
	"rights_request":      {never, "t.client_id"},
	"note":                {"notes", "t.client_id"},
	"property":            {"properties", "t.client_id"},
	"next_of_kin":         {"kin", "t.client_id"},
	"client_professional": {"professionals", "t.client_id"},
	"professional":        {"professionals", "(SELECT l.client_id FROM client_professional l WHERE l.professional_id = t.id)"},
	"medical_entry":       {"medical", "t.client_id"},
	"medication":          {"medication", "t.client_id"},
	"care_plan":           {"plans", "t.client_id"},
	"care_plan_entry":     {"plans", "t.client_id"},
	"communication":       {"plans", "t.client_id"},
	"recording":           {"recordings", "t.client_id"},
	"alarm_event":         {"alarms", "t.client_id"},
	"client_change":       {"trail", "t.client_id"},
	"round_item":          {"deletion", "t.client_id"},
	"hold":                {"holds deletion", "coalesce(t.client_id, (SELECT c.id FROM client c WHERE c.address_id = t.address_id))"},
	"device_connection":   {"devices deletion status", "coalesce(t.client_id, (SELECT c.id FROM client c WHERE c.address_id = t.address_id))"},
	"device":              {"devices deletion status", "(SELECT coalesce(k.client_id, (SELECT c.id FROM client c WHERE c.address_id = k.address_id)) FROM device_connection k WHERE k.device_id = t.id)"},
	"deletion_round":      {"", ""}, // of the municipality: dates and counts
	"retention_rule":      {"", ""},
}

// public are what everybody may read: whether this is a demo, and which municipalities there are.
var public = []string{"installation", "municipality", "municipality_name"}

// hamlet is two municipalities with four clients each, one of them protected, and a row of each in every table.
type hamlet struct {
	*pgtest.World
	t       *testing.T
	clients map[int][]uuid.UUID // the last of each municipality is protected
	owner   map[uuid.UUID]bool  // protected
}

func newHamlet(t *testing.T) *hamlet {
	t.Helper()
	h := &hamlet{World: pgtest.NewWorld(t), t: t, clients: map[int][]uuid.UUID{}, owner: map[uuid.UUID]bool{}}
	for _, m := range []int{h.A, h.B} {
		h.Exec(t, `INSERT INTO deletion_round (municipality_id, kind, run_on, number, state_since) VALUES ($1, 'scheduled', '2024-01-01', $2, now())`, m, fmt.Sprintf("%d-240101", m))
		for n := range 4 {
			id := h.Add(t, pgtest.Person{Municipality: m, Status: "disconnected", Alarms: 1, Recordings: []string{fmt.Sprintf("%d/%d", m, n)}})
			h.clients[m], h.owner[id] = append(h.clients[m], id), n == 3
			do := func(sql string, args ...any) { h.Exec(t, sql, append([]any{m, id}, args...)...) }
			do(`INSERT INTO property (municipality_id, client_id, name, value) VALUES ($1, $2, 'a', 'b')`)
			do(`WITH p AS (INSERT INTO professional (municipality_id, name, profession) VALUES ($1, 'a', 'b') RETURNING id) INSERT INTO client_professional SELECT $1, $2, id FROM p`)
			do(`INSERT INTO medical_entry (municipality_id, client_id, at, text, entered_by) VALUES ($1, $2, now(), 'a', 0)`)
			do(`INSERT INTO medication (municipality_id, client_id, name) VALUES ($1, $2, 'a')`)
			do(`WITH p AS (INSERT INTO care_plan (municipality_id, client_id, goal, since) VALUES ($1, $2, 'a', '2020-01-01') RETURNING id)
				INSERT INTO care_plan_entry (municipality_id, client_id, care_plan_id, at, text, entered_by) SELECT $1, $2, id, now(), 'a', 0 FROM p`)
			do(`INSERT INTO communication (municipality_id, client_id, at, channel, text, entered_by) VALUES ($1, $2, now(), 'phone', 'a', 0)`)
			if n%2 == 0 {
				do(`INSERT INTO hold (municipality_id, client_id, reason, authority, review_on, placed_by, placed_at) VALUES ($1, $2, 'other', 'a', '2030-01-01', 0, now())`)
				h.AddDevice(t, m, id, uuid.Nil)
			} else {
				do(`INSERT INTO hold (municipality_id, address_id, reason, authority, review_on, placed_by, placed_at)
					SELECT $1, address_id, 'other', 'a', '2030-01-01', 0, now() FROM client WHERE id = $2`)
				h.AddDevice(t, m, uuid.Nil, h.AddressOf(t, id))
			}
			h.Exec(t, `BEGIN; SELECT set_config('frist.now', '2023-09-19', true); UPDATE client SET unplaced_reason = NULL, protected = `+fmt.Sprint(n == 3)+` WHERE id = '`+id.String()+`';
				INSERT INTO round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on)
				SELECT `+fmt.Sprint(m)+`, id, '`+id.String()+`', 0, now(), 'system', '2023-01-01' FROM deletion_round WHERE municipality_id = `+fmt.Sprint(m)+`; COMMIT`)
		}
	}
	return h
}

// granted writes a visit as it may have come to be, past the guards: the question here is what its row lets through.
func (h *hamlet) granted(v aVisit) {
	h.t.Helper()
	ctx := h.t.Context()
	conn, err := h.Admin.Acquire(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Release()
	var page *string
	if v.page != "" {
		page = &v.page
	}
	var client *uuid.UUID
	if v.scope == "client" {
		client = &v.client
	}
	_, err = conn.Exec(ctx, `SET session_replication_role = replica`)
	if err == nil {
		answered := &v.start
		state, ends, by, cutBy, cutAt := "granted", v.start.Add(v.lasts), int64(102), (*int64)(nil), (*time.Time)(nil)
		if v.cut {
			state, cutBy, cutAt = "cut", &by, answered
		}
		_, err = conn.Exec(ctx, `INSERT INTO visit (municipality_id, id, state, reason, reference, scope, only_client, page, minutes, asked_by, asked_at, for_support, answer_by, answered_by, answered_at, ends_at, visitor, cut_by, cut_at)
			VALUES ($1, $2, $3, 'other', 'x', $4, $5, $6, $7, 1, $8, true, $8, $9, $8, $10, $11, $12, $13)`,
			v.m, v.id, state, v.scope, client, page, int(v.lasts/time.Minute), v.start, by, ends, v.visitor, cutBy, cutAt)
	}
	if _, reset := conn.Exec(ctx, `RESET session_replication_role`); err != nil || reset != nil {
		h.t.Fatal(err, reset)
	}
}

type aVisit struct {
	m           int
	id          uuid.UUID
	scope, page string
	client      uuid.UUID
	start       time.Time
	lasts       time.Duration
	visitor     int64
	cut         bool
}

// probe is a transaction of a visitor: where it stands, as whom, by which visit, when.
type probe struct {
	m       int
	account int64
	visit   string
	now     time.Time
}

// sees asks one table for whose rows there are.
func (h *hamlet) sees(conn *pgx.Conn, p probe, table string) []string {
	h.t.Helper()
	whose := showing[table].whose
	if whose == "" {
		whose = "NULL::uuid"
	}
	var got []string
	err := pgx.BeginFunc(h.t.Context(), conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(h.t.Context(), `SELECT set_config('role', 'none', true), set_config('role', 'frist_visitor', true), set_config('frist.municipality', $1, true),
			set_config('frist.account', $2, true), set_config('frist.visit', $3, true), set_config('frist.now', $4, true)`,
			fmt.Sprint(p.m), fmt.Sprint(p.account), p.visit, p.now.Format(time.RFC3339Nano)); err != nil {
			return err
		}
		ids := map[string]string{"client": "t.id", "address": "t.id"}[table]
		if ids == "" {
			ids = "t.municipality_id"
		}
		// Whose a row is cannot be told where the client itself is hidden: the row is then counted under no name.
		rows, err := tx.Query(h.t.Context(), `SELECT coalesce((`+whose+`)::text, '') || ' ' || t.municipality_id || CASE WHEN `+ids+` IS NULL THEN '?' ELSE '' END FROM `+table+` t`)
		if err != nil {
			return err
		}
		got, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		h.t.Fatalf("%s: %v", table, err)
	}
	slices.Sort(got)
	return slices.Compact(got)
}

// model is the rule in its own words: whose rows of a table somebody sees.
func (h *hamlet) model(all []aVisit, p probe, table string) []string {
	var want []string
	for _, v := range all {
		if showing[table].pages == never {
			continue
		}
		lives := v.id.String() == p.visit && v.m == p.m && v.visitor == p.account && !v.cut && p.now.Before(v.start.Add(v.lasts))
		pages := strings.Fields(showing[table].pages)
		if !lives || v.page != "" && len(pages) > 0 && !slices.Contains(pages, v.page) {
			continue
		}
		if showing[table].whose == "" {
			want = append(want, fmt.Sprintf(" %d", v.m))
			continue
		}
		for _, c := range h.clients[v.m] {
			if mine := v.scope == "client" && v.client == c; mine || v.scope != "client" && !h.owner[c] {
				if !h.owner[c] || table != "address" && !slices.Contains(shielded, table) { // where a protected person is, no visitor reads
					want = append(want, fmt.Sprintf("%s %d", c, v.m))
				}
			}
		}
	}
	slices.Sort(want)
	return want
}

// Whatever visits there have been, and whatever instant, account, municipality and visit a transaction names: the
// database shows the rows that the model says, in each table that the role can read.
func TestVisitorsSeeWhatTheModelSays(t *testing.T) {
	h := newHamlet(t)
	conn, err := pgx.Connect(t.Context(), h.DSN("frist_web", "web"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // at the end
	tables := readable(h)
	pages := []string{"deletion", "record", "status", "devices", "notes", "properties", "kin", "professionals", "medical", "medication", "plans", "alarms", "recordings", "holds", "trail"}
	start := h.Now()
	seen := 0
	rapid.Check(t, func(r *rapid.T) {
		h.Exec(t, `ALTER TABLE visit DISABLE TRIGGER visit_keeps; DELETE FROM visit; ALTER TABLE visit ENABLE ALWAYS TRIGGER visit_keeps`)
		var visits []aVisit
		for range rapid.IntRange(1, 4).Draw(r, "visits") {
			v := aVisit{
				m: rapid.IntRange(1, 2).Draw(r, "m"), id: uuid.New(), scope: rapid.SampledFrom([]string{"client", "page", "municipality"}).Draw(r, "scope"),
				start: start.Add(time.Duration(rapid.IntRange(-600, 60).Draw(r, "start")) * time.Minute), lasts: time.Duration(rapid.IntRange(15, 480).Draw(r, "minutes")) * time.Minute,
				visitor: rapid.SampledFrom([]int64{901, 904}).Draw(r, "visitor"), cut: rapid.IntRange(0, 5).Draw(r, "cut") == 0,
			}
			v.client = rapid.SampledFrom(h.clients[v.m]).Draw(r, "client")
			if v.scope == "page" || v.scope == "client" && rapid.Bool().Draw(r, "one page") {
				v.page = rapid.SampledFrom(pages).Draw(r, "page")
			}
			visits = append(visits, v)
			h.granted(v)
		}
		of := rapid.SampledFrom(visits).Draw(r, "of")
		p := probe{m: of.m, account: of.visitor, visit: of.id.String(), now: of.start.Add(of.lasts / 2)}
		switch rapid.IntRange(0, 8).Draw(r, "lie") {
		case 0:
			p.m = 3 - p.m
		case 1:
			p.account = 901 + 904 - p.account
		case 2:
			p.visit = uuid.NewString()
		case 3:
			p.now = of.start.Add(of.lasts)
		case 4:
			p.now = of.start.Add(of.lasts - time.Microsecond)
		case 5:
			p.visit = ""
		}
		for _, table := range tables {
			got, want := h.sees(conn, p, table), h.model(visits, p, table)
			seen += len(got)
			if !slices.Equal(got, want) {
				r.Fatalf("%+v in %s by %+v\nsees %v\nnot  %v", p, table, visits, got, want)
			}
		}
	})
	if seen == 0 {
		t.Error("nobody ever saw anything: the model was not tried")
	}
}

// readable are the tables that visitors may read any column of, by the catalogue; each is in the model.
func readable(h *hamlet) []string {
	h.t.Helper()
	rows, err := h.Admin.Query(h.t.Context(), `SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relnamespace IN ('public'::regnamespace, 'river'::regnamespace)
		AND has_any_column_privilege('frist_visitor', c.oid, 'SELECT') ORDER BY 1`)
	if err != nil {
		h.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		h.t.Fatal(err)
	}
	var tables []string
	for _, name := range all {
		if slices.Contains(public, name) {
			continue
		}
		if _, ok := showing[name]; !ok {
			h.t.Errorf("visitors may read %s, and nobody says when", name)
			continue
		}
		if showing[name].pages == never {
			if h.Count(h.t, `SELECT count(*) FROM pg_policy WHERE polrelid = $1::regclass AND polname = 'visitor' AND NOT polpermissive AND pg_get_expr(polqual, polrelid) = 'false'`, name) != 1 {
				h.t.Errorf("%s is not shut to visitors", name)
			}
			tables = append(tables, name)
			continue
		}
		if h.Count(h.t, `SELECT count(*) FROM pg_policy WHERE polrelid = $1::regclass AND polname = 'visitor' AND NOT polpermissive AND polroles = ARRAY['frist_visitor'::regrole::oid]
			AND pg_get_expr(polqual, polrelid) LIKE '%visit_client(%'`, name) != 1 {
			h.t.Errorf("%s asks nobody whether a visit lasts", name)
		}
		for _, m := range []int{1, 2} {
			if h.Count(h.t, `SELECT count(*) FROM `+name+` WHERE municipality_id = $1`, m) == 0 {
				h.t.Errorf("%s has no row of municipality %d: nothing is proved", name, m)
			}
		}
		tables = append(tables, name)
	}
	if len(tables) != len(showing) {
		h.t.Errorf("visitors read %d tables, %d are declared", len(tables), len(showing))
	}
	return tables
}

// When nothing is granted - ended, cut, somebody else's, elsewhere, or none named - every way to every table shows nobody,
// and no function helps.
func TestAnEndedVisitShowsNothingOnAnyWay(t *testing.T) {
	h := newHamlet(t)
	live := aVisit{m: 1, id: uuid.New(), scope: "municipality", start: h.Now(), lasts: time.Hour, visitor: 901}
	cut := live
	cut.id, cut.cut = uuid.New(), true
	h.granted(live)
	h.granted(cut)
	tables := readable(h)
	conn := session(t, h.Env, "frist_web", "frist_visitor", "1")
	set := func(p probe) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), `SELECT set_config('frist.municipality', $1, false), set_config('frist.account', $2, false), set_config('frist.visit', $3, false), set_config('frist.now', $4, false)`,
			fmt.Sprint(p.m), fmt.Sprint(p.account), p.visit, p.now.Format(time.RFC3339Nano)); err != nil {
			t.Fatal(err)
		}
	}
	ok := probe{m: 1, account: 901, visit: live.id.String(), now: h.Now().Add(time.Minute)}
	nobody := map[string]probe{}
	for name, change := range map[string]func(*probe){
		"ended": func(p *probe) { p.now = h.Now().Add(time.Hour) }, "cut": func(p *probe) { p.visit = cut.id.String() },
		"somebody else's": func(p *probe) { p.account = 904 }, "elsewhere": func(p *probe) { p.m = 2 }, "nowhere": func(p *probe) { p.m = 0 }, "none": func(p *probe) { p.visit = "" }, "another": func(p *probe) { p.visit = uuid.NewString() },
	} {
		p := ok
		change(&p)
		nobody[name] = p
	}
	waysIn := []string{
		`SELECT count(*) FROM %s HAVING count(*) > 0`, `SELECT row_to_json(t) FROM %s t`, `SELECT t::text FROM %s t`, `TABLE %s`, `COPY %s TO STDOUT`, `COPY (SELECT * FROM %s) TO STDOUT`,
		`DECLARE c CURSOR FOR SELECT * FROM %s; FETCH ALL FROM c`, `WITH x AS (SELECT * FROM %s) SELECT * FROM x`, `SELECT * FROM %s TABLESAMPLE SYSTEM (100)`, `SELECT 1 FROM %s LIMIT 1`,
		`CREATE TEMP VIEW mine AS SELECT * FROM %s; SELECT * FROM mine`, `SELECT string_agg(t::text, '') FROM %s t HAVING count(*) > 0`, `DO $$ BEGIN IF EXISTS (SELECT FROM %s) THEN RAISE EXCEPTION 'seen'; END IF; END $$`,
		`SELECT max(municipality_id) FROM %s HAVING count(*) > 0`,
	}
	for _, table := range tables {
		set(ok)
		some := slices.Contains([]string{"municipality_policy", "rights_request"}, table) // columns only: whoever asks for more is refused
		if answer, err := run(t.Context(), conn, fmt.Sprintf(waysIn[1], table)); !some && showing[table].pages != never && (err != nil || answer == "") {
			t.Errorf("%s shows nothing in a visit: %v", table, err)
		}
		for name, p := range nobody {
			set(p)
			for _, way := range waysIn {
				if answer, err := run(t.Context(), conn, fmt.Sprintf(way, table)); err != nil && !(some && state(err) == "42501") || answer != "" {
					t.Errorf("%s, %s: %q, %v", name, fmt.Sprintf(way, table), answer, err)
				}
			}
		}
	}
	set(ok)
	for sql, want := range map[string]string{
		`SELECT * FROM search_clients('%', 100)`: "42501", `SELECT * FROM staff() WHERE name <> staff_number`: "", `SELECT staff_number(101)`: "42501", `SELECT * FROM round_board('{open}')`: "42501", `SELECT * FROM visit_board(NULL)`: "42501",
		`SELECT * FROM visit`: "42501", `SELECT * FROM client_search`: "42501", `SELECT * FROM audit`: "42501", `SELECT * FROM access_log`: "42501", `SELECT * FROM account`: "42501", `SELECT * FROM session`: "42501",
		`SELECT * FROM placement`: "42501", `SELECT * FROM stored_search`: "42501", `SELECT * FROM river.river_job`: "42501", `UPDATE client SET phone = ''`: "42501", `DELETE FROM note`: "42501",
		`INSERT INTO note (municipality_id, client_id, at, text, entered_by) SELECT 1, id, now(), 'x', 0 FROM client LIMIT 1`: "42501", `SELECT * FROM client FOR UPDATE`: "42501", `UPDATE visit SET ends_at = ends_at + interval '1 day'`: "42501",
		`INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids) VALUES (1, now(), 101, 'support', 'x', 'visit:` + live.id.String() + `', '{}')`: "42501",
		`INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids) VALUES (1, now(), 901, 'support', 'x', 'record', '{}')`:                         "42501",
		`INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id) VALUES (1, now(), 901, 'support', 'x', 'client', 'x')`:                                "42501",
	} {
		if answer, err := run(t.Context(), conn, sql); state(err) != want || answer != "" {
			t.Errorf("%s answered %q, %v", sql, answer, err)
		}
	}
	// These are all the functions that the role may call, and none tells of anybody: of the protected it tells ids to hide.
	functions := h.names(t, `SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace IN ('public'::regnamespace, 'river'::regnamespace) AND has_function_privilege('frist_visitor', p.oid, 'EXECUTE')
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') ORDER BY 1`)
	if want := []string{"frist_hidden_clients()", "frist_hidden_homes()", "frist_now()", "frist_reads_protected()", "staff()", "visit_client(text[])"}; !slices.Equal(functions, want) {
		t.Errorf("visitors may call %v", functions)
	}
}

func (h *hamlet) names(t *testing.T, sql string) []string {
	t.Helper()
	rows, err := h.Admin.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A cut is felt by the next statement of a transaction that is under way.
func TestACutIsFeltInTheMiddle(t *testing.T) {
	h := newHamlet(t)
	v := aVisit{m: 1, id: uuid.New(), scope: "municipality", start: h.Now(), lasts: time.Hour, visitor: 901}
	h.granted(v)
	caller := h.World.As(access.Support, 1)
	caller.Visit = access.Visit{ID: v.id.String(), Scope: v.scope, Until: v.start.Add(v.lasts)}
	var before, after int
	err := h.DB.InTx(t.Context(), caller, func(tx *pg.Tx) error {
		ask := func(n *int) error { return tx.QueryRow(t.Context(), `SELECT count(*) FROM note`).Scan(n) }
		if err := ask(&before); err != nil {
			return err
		}
		approver := h.World.As(access.Approver, 1)
		if err := h.DB.InTx(context.WithoutCancel(t.Context()), approver, func(tx *pg.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE visit SET state = 'cut', cut_by = $1, cut_at = $2 WHERE municipality_id = 1`, approver.Account, tx.Now())
			return err
		}); err != nil {
			return err
		}
		return ask(&after)
	})
	if err != nil || before != 3 || after != 0 {
		t.Errorf("%d notes before the cut, %d after: %v", before, after, err)
	}
}

// askAround leaves what waits for an answer: a request for a visit, and a question about an instruction.
func (s *stage) askAround(m int) {
	s.t.Helper()
	for _, role := range []access.Role{access.Caseworker, access.Support} {
		s.as(role, m, func(ctx context.Context, tx *pg.Tx) error {
			_, err := visit.Ask(ctx, tx, visit.New{Reason: "other", Reference: "24/9", Scope: visit.OnePage, Page: "notes", Minutes: 60})
			return err
		})
	}
	s.Exec(s.t, `INSERT INTO instruction_request (municipality_id, action, round_id, round_number, asked_by, asked_at) SELECT $1, 'pre_run_control', id, number, 901, $2 FROM deletion_round
		WHERE municipality_id = $1 AND state = 'proposed' LIMIT 1`, m, s.Now())
	if s.Count(s.t, `SELECT count(*) FROM instruction_request WHERE municipality_id = $1`, m) == 0 {
		s.Exec(s.t, `INSERT INTO instruction_request (municipality_id, action, round_id, round_number, asked_by, asked_at) SELECT $1, 'pre_run_control', min(id), min(number), 901, $2 FROM deletion_round
			WHERE municipality_id = $1`, m, s.Now())
	}
}

// withoutCover are the acts of processor and supplier that touch no data of a municipality and so need no instruction.
// To report what went wrong is the processor's own duty (GDPR 33(2)).
var withoutCover = []string{"refused", "deviation.reported"}

// covered: after everybody of processor and supplier has done all that they can, each act in a municipality names the
// instruction, the order, the approval or the visit that covers it (GDPR 28(3)(a)).
func (h *house) covered(t *testing.T) {
	const acts = `SELECT DISTINCT act || ' as ' || role FROM audit WHERE municipality_id > 0 AND role IN ('support', 'operator', 'platform_administrator') AND NOT refused`
	all, bare := h.names(t, acts+` AND basis IS NOT NULL`), h.names(t, acts+` AND basis IS NULL`)
	for _, act := range bare {
		if name, _, _ := strings.Cut(act, " "); !slices.Contains(withoutCover, name) {
			t.Errorf("%s does not name what covers it", act)
		}
	}
	for prefix, column := range map[string]string{"act.": "act FROM audit", "subject.": "subject FROM audit", "look.": "page FROM access_log", "purpose.": "purpose FROM access_log"} {
		for _, code := range h.names(t, `SELECT DISTINCT `+column) { // whatever was put together, there are words for it
			for _, lang := range edge.Languages() {
				if edge.T(lang).Word(prefix, code) == code {
					t.Errorf("no words for %s%s in %s", prefix, code, lang)
				}
			}
		}
	}
	for _, act := range []string{"round.control_asked as support", "round.controlled as support", "spotcheck.viewed as support", "spotcheck.found as support", "order.placed as support", "visit.asked as support", "round.started as operator"} {
		if !slices.Contains(all, act) {
			t.Errorf("nobody did %q: the test would prove little (%v)", act, all)
		}
	}
	if n := h.Count(t, `SELECT count(*) FROM audit a WHERE basis LIKE 'instruction:%' AND NOT EXISTS (SELECT FROM instruction i WHERE i.municipality_id = a.municipality_id AND 'instruction:' || i.id = a.basis)`); n != 0 {
		t.Errorf("%d acts name an instruction that there is not", n)
	}
}
