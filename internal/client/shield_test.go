package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// secrets are what must not be seen: one in each place that tells where somebody is.
var secrets = []string{
	"Hemmeligveien", "91234567", "gerd@hidden.example", "Kodelås7788", "notatord", "egenskapsord", "slektsord", "92345678", "fagord", "93456789", "medisinord", "planord", "loggord",
	"samtaleord", "opptaksord", "alarmord", "hendelsesord",
}

// shielded is a world with Gerd, who is protected, and Arne, who lives with her. The second caseworker is the only one of
// the named few.
type shielded struct {
	*pgtest.World
	gerd, arne client.ID
	address    uuid.UUID
}

func (w *shielded) reader(m int) access.Caller {
	c := w.As(access.Caseworker, m)
	c.Account += 50
	c.StaffNumber = fmt.Sprintf("S-%05d", c.Account)
	return c
}

func (w *shielded) name(t testing.TB, m int) {
	t.Helper()
	var id int64
	must(t, in(t, w.Env, w.As(access.Administrator, m), func(ctx context.Context, tx *pg.Tx) (err error) {
		id, err = client.NameReader(ctx, tx, w.reader(m).Account, calendar.Date{})
		return err
	}))
	must(t, in(t, w.Env, w.As(access.Approver, m), func(ctx context.Context, tx *pg.Tx) error { return client.ConfirmReader(ctx, tx, id) }))
}

func newShielded(t testing.TB) *shielded {
	t.Helper()
	w := &shielded{World: pgtest.NewWorld(t)}
	home := client.Address{Street: "Hemmeligveien 1", Postcode: "0953"}
	worker := w.As(access.Caseworker, w.A)
	must(t, in(t, w.Env, worker, func(ctx context.Context, tx *pg.Tx) (err error) {
		w.gerd, err = client.Create(ctx, tx, client.New{GivenName: "Gerd", FamilyName: "Fossum", Phone: "912 34 567", Email: "gerd@hidden.example", Address: home, Status: client.Active})
		if err != nil {
			return err
		}
		w.arne, err = client.Create(ctx, tx, client.New{GivenName: "Arne", FamilyName: "Fossum", Phone: "900 00 172", Address: home, Status: client.Active})
		return err
	}))
	w.address = w.AddressOf(t, w.gerd)
	w.Exec(t, `UPDATE address SET note = 'Kodelås7788' WHERE id = $1`, w.address)
	for _, sql := range strings.Split(`INSERT INTO note (municipality_id, client_id, at, text, entered_by) VALUES (1, $1, now(), 'notatord', 0);
		INSERT INTO property VALUES (1, $1, 'Nøkkel', 'egenskapsord');
		INSERT INTO next_of_kin (municipality_id, client_id, name, relation, phone) VALUES (1, $1, 'slektsord', 'sønn', '92345678');
		WITH p AS (INSERT INTO professional (municipality_id, name, profession, phone) VALUES (1, 'fagord', 'lege', '93456789') RETURNING id) INSERT INTO client_professional SELECT 1, $1, id FROM p;
		INSERT INTO medical_entry (municipality_id, client_id, at, text, entered_by) VALUES (1, $1, now(), 'medisinord', 0);
		WITH p AS (INSERT INTO care_plan (municipality_id, client_id, goal, since) VALUES (1, $1, 'planord', now()) RETURNING id)
			INSERT INTO care_plan_entry (municipality_id, client_id, care_plan_id, at, text, entered_by) SELECT 1, $1, id, now(), 'loggord', 0 FROM p;
		INSERT INTO communication (municipality_id, client_id, at, channel, text, entered_by) VALUES (1, $1, now(), 'phone', 'samtaleord', 0);
		INSERT INTO recording (municipality_id, client_id, at, seconds, blob_key) VALUES (1, $1, now(), 2, 'opptaksord');
		INSERT INTO alarm_event (municipality_id, client_id, at, kind, text) VALUES (1, $1, now(), 'fall', 'alarmord');
		INSERT INTO address_event (municipality_id, address_id, at, kind, text, names_clients) SELECT 1, address_id, now(), 'door', 'hendelsesord', false FROM client WHERE id = $1;
		WITH d AS (INSERT INTO device (municipality_id, code, kind, stock_state) VALUES (1, '300412', 'alarm', 'connected') RETURNING id)
			INSERT INTO device_connection (municipality_id, device_id, address_id, connected_at) SELECT 1, d.id, c.address_id, now() FROM d, client c WHERE c.id = $1`, ";") {
		w.Exec(t, sql, w.gerd)
	}
	// A change of what is hidden leaves its values in the history; then she is marked.
	must(t, in(t, w.Env, worker, func(ctx context.Context, tx *pg.Tx) error {
		return client.Change(ctx, tx, w.gerd, 1, client.Changes{Phone: ptr("91234567"), Address: &client.Address{Street: "Forrige vei 2", Postcode: "1430"}})
	}))
	must(t, in(t, w.Env, worker, func(ctx context.Context, tx *pg.Tx) error {
		return client.Change(ctx, tx, w.gerd, 2, client.Changes{Address: &client.Address{Street: "Hemmeligveien 1", Postcode: "0953"}, Protected: ptr(true)})
	}))
	return w
}

// seen is everything that the package shows the caller.
func (w *shielded) seen(t testing.TB, c access.Caller) string {
	t.Helper()
	var b strings.Builder
	show := func(what string, v any, err error) error {
		if errors.As(err, new(problem.NotFound)) {
			err = nil
		}
		fmt.Fprintf(&b, "%s: %+v\n", what, v)
		return err
	}
	for _, id := range []client.ID{w.gerd, w.arne} {
		for _, read := range []func(ctx context.Context, tx *pg.Tx) error{
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.Find(ctx, tx, id)
				return show("find", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.Notes(ctx, tx, id)
				return show("notes", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.Properties(ctx, tx, id)
				return show("properties", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.NextOfKin(ctx, tx, id)
				return show("kin", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.Professionals(ctx, tx, id)
				return show("professionals", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.Medical(ctx, tx, id)
				return show("medical", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.CarePlans(ctx, tx, id)
				return show("plans", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.Communications(ctx, tx, id)
				return show("talks", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.Recordings(ctx, tx, id)
				return show("recordings", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				v, err := client.Alarms(ctx, tx, id, client.EventCursor{}, 50)
				return show("alarms", v, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				log, err := client.ChangeLog(ctx, tx, id, client.EventCursor{}, 50)
				for _, h := range log {
					if h.To != nil {
						_ = show("change "+h.Field, *h.To, nil)
					}
				}
				return err
			},
			func(ctx context.Context, tx *pg.Tx) error {
				d, err := client.FindAddress(ctx, tx, w.AddressOf(t, id))
				return show("address", d, err)
			},
			func(ctx context.Context, tx *pg.Tx) error {
				d, err := client.AddressEvents(ctx, tx, w.AddressOf(t, id))
				return show("events", d, err)
			},
		} {
			must(t, in(t, w.Env, c, read))
		}
	}
	must(t, in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) error {
		v, err := client.List(ctx, tx, client.Filter{}, client.Cursor{}, 50)
		return show("list", v, err)
	}))
	return b.String()
}

func (w *shielded) found(t testing.TB, c access.Caller, text string) (numbers []string) {
	t.Helper()
	must(t, in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) error {
		search, err := client.SaveSearch(ctx, tx, text)
		if err != nil {
			return err
		}
		page, err := client.List(ctx, tx, client.Filter{Search: &search}, client.Cursor{}, 50)
		for _, r := range page.Rows {
			numbers = append(numbers, r.Name())
		}
		return err
	}))
	return numbers
}

func TestWhereAProtectedClientIsOnlyTheNamedFewSee(t *testing.T) { // D21
	w := newShielded(t)
	for _, c := range []access.Caller{w.As(access.Caseworker, w.A), w.As(access.Approver, w.A), w.reader(w.A)} {
		seen := w.seen(t, c)
		for _, s := range secrets {
			if strings.Contains(seen, s) {
				t.Errorf("%s sees %s", c.Main(), s)
			}
		}
		for _, s := range []string{"912 34 567", "91234567", "hemmelig", "gerd@hidden", "0953"} {
			if names := w.found(t, c, s); len(names) != 0 {
				t.Errorf("%s finds %v by %s", c.Main(), names, s)
			}
		}
		if names := w.found(t, c, "fossum"); len(names) != 2 {
			t.Errorf("by name: %v", names)
		}
		if names := w.found(t, c, "300 412"); slices.Contains(names, "Fossum, Gerd") {
			t.Errorf("the dwelling's device finds %v", names)
		}
		must(t, in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) error {
			page, err := client.List(ctx, tx, client.Filter{Postcode: "0953"}, client.Cursor{}, 10)
			if len(page.Rows) != 0 {
				t.Errorf("the postal code finds %+v", page.Rows)
			}
			return err
		}))
	}
	must(t, in(t, w.Env, w.As(access.Caseworker, w.A), func(ctx context.Context, tx *pg.Tx) error {
		g, err := client.Find(ctx, tx, w.gerd)
		if err != nil || !g.Protected || !g.Hidden || !g.HomeHidden || g.Shown {
			t.Errorf("%+v, %v", g, err)
		}
		a, err := client.Find(ctx, tx, w.arne)
		if err != nil || a.Protected || a.Hidden || !a.HomeHidden || a.AddressID != nil || a.Phone != "900 00 172" {
			t.Errorf("who lives with her: %+v, %v", a, err)
		}
		log, err := client.ChangeLog(ctx, tx, w.gerd, client.EventCursor{}, 50)
		hidden := 0
		for _, h := range log {
			if h.Hidden {
				hidden++
			}
		}
		if err != nil || hidden != 3 {
			t.Errorf("that it was changed is not hidden: %d of %+v, %v", hidden, log, err)
		}
		return nil
	}))

	w.name(t, w.A)
	seen := w.seen(t, w.reader(w.A))
	for _, s := range secrets {
		if !strings.Contains(seen, s) {
			t.Errorf("the named one does not see %s", s)
		}
	}
	if n := w.Count(t, `SELECT count(*) FROM access_log WHERE account_id = $1 AND purpose = 'protected' AND client_ids = ARRAY[$2::uuid]`, w.reader(w.A).Account, w.gerd); n == 0 {
		t.Error("the look at what is hidden is not written down as one")
	}
	if n := w.Count(t, `SELECT count(*) FROM access_log WHERE account_id <> $1 AND purpose = 'protected'`, w.reader(w.A).Account); n != 0 {
		t.Errorf("%d looks of others", n)
	}
	if seen := w.seen(t, w.As(access.Caseworker, w.A)); strings.Contains(seen, "Hemmelig") {
		t.Error("another sees it too")
	}
}

// TestTheDatabaseHidesByItself asks every table, as the role that serves people of a municipality, for whole rows.
func TestTheDatabaseHidesByItself(t *testing.T) {
	w := newShielded(t)
	w.name(t, w.A)
	look := func(c access.Caller) (found []string) {
		t.Helper()
		rows, err := w.Admin.Query(t.Context(), `SELECT c.relname, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND has_column_privilege('frist_municipality', c.oid, a.attnum, 'SELECT') GROUP BY 1 ORDER BY 1`)
		must(t, err)
		tables := map[string]string{}
		for rows.Next() {
			var name, columns string
			must(t, rows.Scan(&name, &columns))
			tables[name] = columns
		}
		must(t, rows.Err())
		if len(tables) < 30 {
			t.Fatalf("only %d tables", len(tables))
		}
		must(t, in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) error {
			for name, columns := range tables {
				var text string
				if err := tx.QueryRow(ctx, `SELECT coalesce(string_agg(ROW(`+columns+`)::text, ' '), '') FROM `+name).Scan(&text); err != nil {
					return err
				}
				for _, s := range append(slices.Clone(secrets), "912 34 567") {
					if strings.Contains(text, s) && name != "professional" {
						found = append(found, name+" "+s)
					}
				}
			}
			return nil
		}))
		return found
	}
	for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator} {
		if found := look(w.As(role, w.A)); len(found) > 0 {
			t.Errorf("%s: %v", role, found)
		}
	}
	if found := look(w.reader(w.A)); len(found) < len(secrets)-3 {
		t.Errorf("this test sees nothing: %v", found)
	}
	// Support, whatever it is let in to see: the same policies stand before it.
	if n := w.Count(t, `SELECT count(*) FROM pg_policy WHERE polname = 'shielded' AND NOT 'frist_support'::regrole::oid = ANY (polroles)`); n != 0 {
		t.Errorf("%d policies do not name support", n)
	}
	for _, sql := range []string{
		`UPDATE client SET protected = false WHERE municipality_id = 1 AND id = $1`,
		`UPDATE client_search SET text = 'gerd fossum 91234567' WHERE municipality_id = 1 AND client_id = $1`,
		`INSERT INTO protected_reader (municipality_id, account_id, granted_by, granted_at, confirmed_by, confirmed_at) SELECT 1, 101, 104, now(), 102, now() WHERE $1::uuid IS NOT NULL`,
		`INSERT INTO protected_reader (municipality_id, account_id, granted_by, granted_at) SELECT 1, 999, 101, now() WHERE $1::uuid IS NOT NULL`,
		`UPDATE protected_reader SET confirmed_by = 101, confirmed_at = now() WHERE $1::uuid IS NOT NULL`,
		`INSERT INTO protected_release (municipality_id, client_id, asked_by, asked_at) VALUES (1, $1, 102, now())`,
	} {
		err := in(t, w.Env, w.As(access.Caseworker, w.A), func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.Exec(ctx, sql, w.gerd)
			return err
		})
		if !errors.As(err, new(problem.Conflict)) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	// A telephone that some code writes into the row does not stay there.
	must(t, in(t, w.Env, w.As(access.Caseworker, w.A), func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE client SET phone = '94567890' WHERE municipality_id = 1 AND id = $1`, w.gerd)
		return err
	}))
	if n := w.Count(t, `SELECT count(*) FROM client c JOIN protected_contact p ON p.client_id = c.id WHERE c.id = $1 AND c.phone = '' AND p.phone = '94567890'`, w.gerd); n != 1 {
		t.Error("it stays")
	}
}

func TestTheMarkIsTakenAwayByTwo(t *testing.T) {
	w := newShielded(t)
	worker, approver := w.As(access.Caseworker, w.A), w.As(access.Approver, w.A)
	both := worker
	both.Roles = []access.Role{access.Caseworker, access.Approver}
	forbidden := func(err error, code string) {
		t.Helper()
		var refusal problem.Forbidden
		if !errors.As(err, &refusal) || refusal.Code != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	ask := func(c access.Caller) error {
		return in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) error { return client.AskUnshield(ctx, tx, w.gerd) })
	}
	decide := func(c access.Caller, remove bool) error {
		return in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) error { return client.DecideUnshield(ctx, tx, w.gerd, remove) })
	}
	change := func(c access.Caller, ch client.Changes) error {
		return in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) error {
			l, err := client.Lock(ctx, tx, w.gerd)
			if err != nil {
				return err
			}
			return client.Change(ctx, tx, w.gerd, l.Version, ch)
		})
	}
	forbidden(change(worker, client.Changes{Protected: ptr(false)}), "second_person")
	for _, ch := range []client.Changes{{Phone: ptr("1")}, {Email: ptr("")}, {Address: &client.Address{}}} {
		forbidden(change(worker, ch), "shielded")
	}
	forbidden(in(t, w.Env, worker, func(ctx context.Context, tx *pg.Tx) error { return client.AddNote(ctx, tx, w.gerd, "x") }), "shielded")
	must(t, change(worker, client.Changes{GivenName: ptr("Gerda")}))
	wantConflict(t, decide(approver, true), "not_asked")
	must(t, ask(worker))
	wantConflict(t, ask(worker), "already_asked")
	forbidden(decide(both, true), "second_person")
	forbidden(decide(w.reader(w.A), true), "shielded") // not named yet
	stale := approver
	stale.FreshUntil = w.Now()
	if err := decide(stale, true); !errors.As(err, new(problem.StepUp)) {
		t.Errorf("without a fresh proof: %v", err)
	}
	must(t, decide(approver, false))
	must(t, ask(worker))
	w.name(t, w.A)
	must(t, change(w.reader(w.A), client.Changes{Phone: ptr("955 55 555"), Email: ptr("")}))
	if n := w.Count(t, `SELECT count(*) FROM client WHERE id = $1 AND phone = '' AND email = '' AND protected`, w.gerd); n != 1 {
		t.Error("what the named one writes stands in the row")
	}
	must(t, decide(approver, true))
	g := func() (c client.Client) {
		must(t, in(t, w.Env, worker, func(ctx context.Context, tx *pg.Tx) (err error) { c, err = client.Find(ctx, tx, w.gerd); return err }))
		return c
	}()
	if g.Protected || g.Phone != "955 55 555" || g.Email != "" || g.Address.Street != "Hemmeligveien 1" || g.AddressID == nil {
		t.Errorf("after it: %+v", g)
	}
	if names := w.found(t, worker, "95555555"); len(names) != 1 {
		t.Errorf("found %v", names)
	}
	wantConflict(t, ask(worker), "not_protected")
	if n := w.Count(t, `SELECT count(*) FROM audit WHERE act IN ('unshield_asked', 'unshield_refused', 'unshielded') AND subject_id = $1`, w.gerd.String()); n != 4 {
		t.Errorf("%d lines in audit", n)
	}
}

func TestNobodyNamesOrConfirmsOneself(t *testing.T) {
	w := newShielded(t)
	admin, approver := w.As(access.Administrator, w.A), w.As(access.Approver, w.A)
	everything := approver
	everything.Roles = []access.Role{access.Caseworker, access.Approver, access.Administrator}
	name := func(c access.Caller, account int64, last calendar.Date) (id int64, err error) {
		err = in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) (err error) {
			id, err = client.NameReader(ctx, tx, account, last)
			return err
		})
		return id, err
	}
	confirm := func(c access.Caller, id int64) error {
		return in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) error { return client.ConfirmReader(ctx, tx, id) })
	}
	revoke := func(c access.Caller, id int64) error {
		return in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) error { return client.RevokeReader(ctx, tx, id) })
	}
	forbidden := func(err error, code string) {
		t.Helper()
		var refusal problem.Forbidden
		if !errors.As(err, &refusal) || refusal.Code != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	reads := func(c access.Caller) (yes bool) {
		must(t, in(t, w.Env, c, func(ctx context.Context, tx *pg.Tx) (err error) {
			yes, err = client.ReadsProtected(ctx, tx)
			return err
		}))
		return yes
	}
	_, err := name(everything, everything.Account, calendar.Date{})
	forbidden(err, "own_right")
	_, err = name(w.As(access.Caseworker, w.A), 151, calendar.Date{})
	forbidden(err, "permission")
	_, err = name(approver, 151, calendar.Date{})
	forbidden(err, "permission")
	_, err = name(admin, 999, calendar.Date{})
	wantField(t, err, "account", "unknown")
	_, err = name(admin, 251, calendar.Date{}) // of the other municipality
	wantField(t, err, "account", "unknown")
	_, err = name(admin, w.As(access.PrivacyOfficer, w.A).Account, calendar.Date{})
	wantField(t, err, "account", "no_client_role")
	_, err = name(admin, 151, calendar.On(2023, 9, 18))
	wantField(t, err, "last_day", "past")
	stale := admin
	stale.FreshUntil = w.Now()
	if _, err = name(stale, 151, calendar.Date{}); !errors.As(err, new(problem.StepUp)) {
		t.Errorf("without a fresh proof: %v", err)
	}

	id, err := name(admin, 151, calendar.On(2023, 9, 19))
	must(t, err)
	_, err = name(admin, 151, calendar.Date{})
	wantConflict(t, err, "already_named")
	if reads(w.reader(w.A)) {
		t.Error("named and not confirmed is enough")
	}
	forbidden(confirm(admin, id), "approver_only")
	self := w.reader(w.A)
	self.Roles = []access.Role{access.Approver}
	forbidden(confirm(self, id), "own_right")
	if err := confirm(w.As(access.Approver, w.B), id); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("from the other municipality: %v", err)
	}
	other, err := name(everything, 101, calendar.Date{})
	must(t, err)
	forbidden(confirm(everything, other), "second_person")
	must(t, revoke(admin, other))
	must(t, confirm(approver, id))
	must(t, confirm(approver, id))
	if !reads(w.reader(w.A)) || reads(w.As(access.Caseworker, w.A)) {
		t.Error("who is confirmed reads, and nobody else")
	}
	w.SetNow(w.Now().AddDate(0, 0, 1))
	if reads(w.reader(w.A)) {
		t.Error("the last day is over")
	}
	id, err = name(admin, 151, calendar.Date{})
	must(t, err)
	must(t, confirm(approver, id))
	must(t, revoke(admin, id))
	if reads(w.reader(w.A)) {
		t.Error("revoked, and still reads")
	}
	if err := confirm(approver, id); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("a revoked one: %v", err)
	}
}

// TestAHiddenDwellingOpensAgain: when the protected one has moved, is unmarked or gone, and somebody has been registered at
// the same place meanwhile, without learning anything.
func TestAHiddenDwellingOpensAgain(t *testing.T) {
	w := newShielded(t)
	w.name(t, w.A)
	worker := w.As(access.Caseworker, w.A)
	var bente client.ID
	must(t, in(t, w.Env, worker, func(ctx context.Context, tx *pg.Tx) (err error) {
		bente, err = client.Create(ctx, tx, client.New{GivenName: "Bente", FamilyName: "Moe", Address: client.Address{Street: "hemmeligveien 1", Postcode: "0953"}, Status: client.Active})
		if err != nil {
			return err
		}
		b, err := client.Find(ctx, tx, bente)
		if err != nil || b.AddressID == nil || *b.AddressID == w.address || b.Address.Street != "hemmeligveien 1" {
			t.Errorf("who is registered at the same place: %+v, %v", b, err)
		}
		residents, err := client.Residents(ctx, tx, *b.AddressID)
		if len(residents) != 1 {
			t.Errorf("lives with %+v", residents)
		}
		return err
	}))
	must(t, in(t, w.Env, w.reader(w.A), func(ctx context.Context, tx *pg.Tx) error {
		l, err := client.Lock(ctx, tx, w.gerd)
		if err != nil {
			return err
		}
		return client.Change(ctx, tx, w.gerd, l.Version, client.Changes{Address: &client.Address{Street: "Ny vei 9", Postcode: "1430"}})
	}))
	if n := w.Count(t, `SELECT count(*) FROM address WHERE protected AND street = 'Ny vei 9'`); n != 1 {
		t.Error("the new dwelling is open")
	}
	if arne := w.AddressOf(t, w.arne); arne != w.AddressOf(t, bente) {
		t.Error("two dwellings at one place")
	}
	if n := w.Count(t, `SELECT (SELECT count(*) FROM device_connection WHERE address_id = $1) + (SELECT count(*) FROM address_event WHERE address_id = $1)`, w.AddressOf(t, bente)); n != 2 {
		t.Errorf("%d things went along", n)
	}
	must(t, in(t, w.Env, worker, func(ctx context.Context, tx *pg.Tx) error {
		a, err := client.Find(ctx, tx, w.arne)
		if a.HomeHidden || a.Address.Postcode != "0953" {
			t.Errorf("who lived with her: %+v", a)
		}
		return err
	}))
}

// TestWhatIsHiddenMakesNoDifference: the two municipalities differ in nothing but what is hidden of one client. Whatever a
// caseworker does who is not one of the named few, both answer alike.
func TestWhatIsHiddenMakesNoDifference(t *testing.T) {
	w := pgtest.NewWorld(t)
	streets := []string{"Storgata 1", "Lillegata 2", "Hemmeligveien 3"}
	postcodes := []string{"1430", "0953"}
	phones := []string{"90000001", "91234567", "92222222"}
	hidden := [3]client.New{
		{},
		{Phone: phones[1], Email: "a@a.no", Address: client.Address{Street: streets[2], Postcode: "0953"}},
		{Phone: phones[2], Address: client.Address{Street: streets[0], Postcode: "1430"}},
	}
	for m := 1; m <= 2; m++ {
		n := hidden[m]
		n.GivenName, n.FamilyName, n.Status, n.Protected = "Gerd", "Fossum", client.Active, true
		must(t, in(t, w.Env, w.As(access.Caseworker, m), func(ctx context.Context, tx *pg.Tx) error {
			id, err := client.Create(ctx, tx, n)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `WITH d AS (INSERT INTO device (municipality_id, code, kind, stock_state) VALUES ($1, '300412', 'alarm', 'connected') RETURNING id)
				INSERT INTO device_connection (municipality_id, device_id, address_id, connected_at) SELECT $1, d.id, c.address_id, now() FROM d, client c WHERE c.id = $2`, m, id)
			return err
		}))
	}
	registered := 0
	rapid.Check(t, func(r *rapid.T) {
		registered++
		act := rapid.SampledFrom([]string{"search", "search", "postcode", "list", "register", "page"}).Draw(r, "act")
		street, postcode, phone := rapid.SampledFrom(streets).Draw(r, "street"), rapid.SampledFrom(postcodes).Draw(r, "postcode"), rapid.SampledFrom(phones).Draw(r, "phone")
		word := rapid.SampledFrom([]string{phone, phone[:5], strings.ToLower(street), postcode, "fossum", "ge", "300412", "a@a"}).Draw(r, "word")
		protected := rapid.Bool().Draw(r, "protected")
		letter := rapid.SampledFrom([]string{"A", "Å"}).Draw(r, "letter")
		var answers [3]string
		for m := 1; m <= 2; m++ {
			err := w.DB.InTx(t.Context(), w.As(access.Caseworker, m), func(tx *pg.Tx) error {
				ctx := t.Context()
				var f client.Filter
				switch act {
				case "search":
					id, err := client.SaveSearch(ctx, tx, word)
					if err != nil {
						return err
					}
					f.Search = &id
				case "postcode":
					f.Postcode = postcode
				case "register":
					id, err := client.Create(ctx, tx, client.New{
						GivenName: "Ny", FamilyName: fmt.Sprintf("Person%s%04d", letter, registered), Phone: phone, Address: client.Address{Street: street, Postcode: postcode}, Protected: protected, Status: client.Active,
					})
					if err != nil {
						return err
					}
					c, err := client.Find(ctx, tx, id)
					if err != nil {
						return err
					}
					counts, err := client.Counts(ctx, tx, id)
					if err != nil {
						return err
					}
					var devices int
					err = tx.QueryRow(ctx, `SELECT count(*) FROM client c JOIN device_connection k ON k.municipality_id = c.municipality_id AND k.address_id = c.address_id
						WHERE c.municipality_id = $1 AND c.id = $2`, m, id).Scan(&devices)
					answers[m] = fmt.Sprintf("%s %v %v %v %d %d", c.Number, c.Address, c.Hidden, c.HomeHidden, counts.Residents, devices)
					return err
				}
				total, capped, err := client.Count(ctx, tx, f)
				if err != nil {
					return err
				}
				answers[m] = fmt.Sprint(total, capped)
				at := client.Cursor{}
				for {
					page, err := client.List(ctx, tx, f, at, 3)
					if err != nil {
						return err
					}
					for _, row := range page.Rows {
						answers[m] += fmt.Sprintf("|%s %s %s %s %s %v %v", row.Number, row.Name(), row.Street, row.Postcode, row.Phone, row.Protected, row.HomeHidden)
					}
					if !page.HasNext {
						return nil
					}
					at = page.Next
				}
			})
			if err != nil {
				answers[m] += "error " + err.Error()
			}
		}
		if answers[1] != answers[2] {
			r.Fatalf("%s %q tells them apart:\n%s\n%s", act, word, answers[1], answers[2])
		}
	})
}
