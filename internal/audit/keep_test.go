package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// Whoever it is: no role of Frist, not the tables' owner, and not a superuser in replica mode, where triggers sleep.
func TestNobodyRewritesALog(t *testing.T) {
	w := pgtest.NewWorld(t)
	for m := 0; m <= w.B; m++ {
		w.Exec(t, `INSERT INTO access_log (municipality_id, id, at, account_id, role, page, purpose, client_ids) VALUES ($1, 1, $2, 1, 'x', 'x', 'x', $3)`, m, w.Now(), ids[:1])
		w.Exec(t, `INSERT INTO audit (municipality_id, id, at, account_id, role, act, subject, subject_id) VALUES ($1, 1, $2, 1, 'x', 'x', 'x', 'x')`, m, w.Now())
	}
	w.Exec(t, `DROP ROLE IF EXISTS log_owner`)
	w.Exec(t, `CREATE ROLE log_owner`)
	t.Cleanup(func() { // roles belong to the whole cluster
		if _, err := w.Admin.Exec(context.Background(), `REASSIGN OWNED BY log_owner TO CURRENT_USER; DROP OWNED BY log_owner; DROP ROLE log_owner`); err != nil {
			t.Error(err)
		}
	})
	w.Exec(t, `GRANT USAGE, CREATE ON SCHEMA public TO log_owner; GRANT SELECT ON municipality, retention_rule, installation TO log_owner; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO log_owner`)
	w.Exec(t, `ALTER TABLE audit OWNER TO log_owner; ALTER TABLE access_log OWNER TO log_owner`)
	roles := []string{"", "log_owner", "frist_signin", "frist_municipality", "frist_support", "frist_supplier", "frist_platform", "frist_purger", "frist_jobs", "frist_definer", "frist_web", "frist_operator", "frist_worker"}
	for _, role := range roles {
		for _, replica := range []string{"origin", "replica"} {
			for _, log := range []string{"audit", "access_log"} {
				for _, sql := range []string{
					`UPDATE %s SET role = 'y'`, `UPDATE %s SET at = at - interval '20 years'`, `DELETE FROM %s`, `DELETE FROM %s WHERE id = 1`, `TRUNCATE %s`, `TRUNCATE %s CASCADE`,
					`INSERT INTO %[1]s SELECT * FROM %[1]s ON CONFLICT (municipality_id, id) DO UPDATE SET role = 'y'`,
					`MERGE INTO %[1]s USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE`,
				} {
					sql = fmt.Sprintf(sql, log)
					tx, err := w.Admin.Begin(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					_, err = tx.Exec(t.Context(), `SELECT set_config('session_replication_role', $1, true), set_config('frist.municipality', '1', true), set_config('frist.now', '2023-09-19', true)`, replica)
					if err == nil && role != "" {
						_, err = tx.Exec(t.Context(), `SET LOCAL ROLE `+role)
					}
					if err != nil {
						t.Fatal(err)
					}
					_, err = tx.Exec(t.Context(), sql)
					if err == nil || !strings.Contains(err.Error(), "FR009") && !strings.Contains(err.Error(), "42501") && !strings.Contains(err.Error(), "428C9") {
						t.Errorf("%s as %q in mode %s: %v", sql, role, replica, err)
					}
					_ = tx.Rollback(t.Context())
				}
			}
		}
	}
}

func expire(t *testing.T, w *pgtest.World, m int) {
	t.Helper()
	for more := true; more; {
		err := in(t, w, access.SystemFor(m), func(tx *pg.Tx) (err error) {
			more, err = Expire(t.Context(), tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A row goes on the first day on which the municipality's rule lets it, not the day before; of each municipality by its own
// rule, and only by the sweep's own DELETE.
func TestALogRowGoesOnItsDay(t *testing.T) {
	w := pgtest.NewWorld(t)
	// In A the rules are 60 and 120 months; B has decided on a month for the one, and to keep the other for the archive.
	w.Exec(t, `INSERT INTO retention_rule (municipality_id, class, version, start_event, period_months, inclusive, outcome, authority, valid_from) VALUES
		($1, 'access_log', 2, 'event', 1, false, 'destroy', 'test', '2023-01-01'), ($1, 'audit', 2, 'event', 1, true, 'preserve', 'test', '2023-01-01'),
		($1, 'access_log', 3, 'event', 0, true, 'destroy', 'test', '2023-09-20')`, w.B) // the third is not in force yet
	at := func(s string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04:05", s, oslo)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		m         int
		log, when string
		goes      bool
	}{
		{w.A, "access_log", "2018-09-19 23:59:59", true},
		{w.A, "access_log", "2018-09-20 00:00:00", false},
		{w.A, "audit", "2013-09-19 23:59:59", true},
		{w.A, "audit", "2013-09-20 00:00:00", false},
		{w.B, "access_log", "2023-08-18 23:59:59", true},
		{w.B, "access_log", "2023-08-19 00:00:00", false},
		{w.B, "audit", "2003-01-01 00:00:00", false},
		{0, "audit", "2013-09-19 23:59:59", true},
		{0, "audit", "2013-09-20 00:00:00", false},
	} {
		if c.log == "audit" {
			w.Exec(t, `INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id, refused) VALUES ($1, $2, 1, 'x', 'x', 'x', 'x', $3)`, c.m, at(c.when), c.goes)
		} else {
			w.Exec(t, `INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids) VALUES ($1, $2, 1, 'x', $3, 'x', $4)`, c.m, at(c.when), fmt.Sprint(c.goes), ids[:1])
		}
		if c.goes {
			continue
		}
		// Not even the sweep's role takes it, by whatever statement.
		err := in(t, w, access.SystemFor(c.m), func(tx *pg.Tx) error {
			_, err := tx.Exec(t.Context(), `SELECT set_config('frist.municipality', $1, true)`, fmt.Sprint(c.m))
			if err == nil {
				_, err = tx.Exec(t.Context(), `DELETE FROM `+c.log+` WHERE municipality_id = $1 AND at = $2`, c.m, at(c.when))
			}
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "append_only") {
			t.Errorf("%s of %s in %d: %v", c.log, c.when, c.m, err)
		}
	}
	for m := 0; m <= w.B; m++ {
		expire(t, w, m)
	}
	if n := w.Count(t, `SELECT count(*) FROM access_log WHERE page = 'true'`) + w.Count(t, `SELECT count(*) FROM audit WHERE act = 'x' AND refused`); n != 0 {
		t.Errorf("%d rows that were due are left", n)
	}
	if a, b := w.Count(t, `SELECT count(*) FROM access_log`), w.Count(t, `SELECT count(*) FROM audit WHERE act = 'x'`); a != 2 || b != 3 {
		t.Errorf("%d and %d rows are left", a, b)
	}
	// How many went is on record, in the municipality's own trail; nothing of what they were.
	for m, want := range map[int]string{0: "audit 1", w.A: "access_log 1,audit 1", w.B: "access_log 1"} {
		var got string
		if err := w.Admin.QueryRow(t.Context(), `SELECT string_agg((detail ->> 'class') || ' ' || (detail ->> 'count'), ',' ORDER BY detail ->> 'class') FROM audit
			WHERE municipality_id = $1 AND act = 'log_expired' AND role = 'system' AND detail - 'class' - 'count' = '{}'`, m).Scan(&got); err != nil || got != want {
			t.Errorf("of %d is on record: %s, %v", m, got, err)
		}
	}
	// Without a rule everything stays (D6).
	w.Exec(t, `ALTER TABLE retention_rule DISABLE TRIGGER append_only`)
	w.Exec(t, `DELETE FROM retention_rule WHERE municipality_id = $1`, w.A)
	w.Exec(t, `INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id) VALUES ($1, '1999-01-01', 1, 'x', 'x', 'x', 'x')`, w.A)
	expire(t, w, w.A)
	if w.Count(t, `SELECT count(*) FROM audit WHERE at = '1999-01-01'`) != 1 {
		t.Error("a row went without a rule")
	}
}

// staffed gives the world's people names, and three clients: a namesake, one whose next of kin is the caseworker, and one
// who is protected.
type staffed struct {
	*pgtest.World
	caller                        access.Caller
	namesake, kin, hidden, nobody uuid.UUID
}

func newStaffed(t *testing.T) *staffed {
	w := &staffed{World: pgtest.NewWorld(t)}
	w.caller = w.As(access.Caseworker, w.A)
	w.Exec(t, `UPDATE account SET name = 'Kåre Ødegård' WHERE id = $1`, w.caller.Account)
	for m := w.A; m <= w.B; m++ {
		for _, c := range []struct {
			id   *uuid.UUID
			name string
		}{{&w.namesake, "OEDEGAARD"}, {&w.kin, "Moen"}, {&w.hidden, "Vik"}, {&w.nobody, "Ødegaardstuen"}} {
			id := w.Add(t, pgtest.Person{Municipality: m})
			w.Exec(t, `UPDATE client SET family_name = $2, protected = $3 WHERE id = $1`, id, c.name, c.name == "Vik")
			if c.name == "Moen" {
				w.Exec(t, `INSERT INTO next_of_kin (municipality_id, client_id, name, relation, phone) VALUES ($1, $2, 'kåre  ødegaard', 'x', 'x')`, m, id)
			}
			if m == w.A {
				*c.id = id
			}
		}
	}
	return w
}

func (w *staffed) look(t testing.TB, at time.Time, clients ...uuid.UUID) {
	t.Helper()
	w.Exec(t, `INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids) VALUES ($1, $2, $3, 'caseworker', 'client', 'record', $4)`, w.A, at, w.caller.Account, clients)
}

func (w *staffed) watch(t testing.TB, most int) {
	t.Helper()
	for m := w.A; m <= w.B; m++ {
		for more := true; more; {
			err := in(t, w.World, access.SystemFor(m), func(tx *pg.Tx) (err error) {
				more, err = watch(t.Context(), tx, oslo, most)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (w *staffed) found(t testing.TB) (lines []string) {
	t.Helper()
	var all []Finding
	err := in(t, w.World, w.As(access.PrivacyOfficer, w.A), func(tx *pg.Tx) (err error) {
		all, err = Findings(t.Context(), tx, false, 0, 1000)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		lines = append(lines, fmt.Sprint(f.Kind, " ", f.OnDay, " ", f.Hour, " ", f.Count, " ", f.Usual, " ", f.Account == w.caller.Account, " ", len(f.Clients)))
	}
	slices.Sort(lines)
	return lines
}

func day(d int, clock string) time.Time {
	at, err := time.ParseInLocation("2006-01-02 15:04", fmt.Sprintf("2023-09-%02d %s", d, clock), oslo)
	if err != nil {
		panic(err)
	}
	return at
}

func TestTheWatchFindsWhatIsUnusual(t *testing.T) {
	w := newStaffed(t)
	w.SetNow(day(30, "12:00"))
	w.look(t, day(11, "10:00"), w.namesake)
	w.look(t, day(11, "11:00"), w.namesake)
	w.look(t, day(12, "10:00"), w.kin)
	w.look(t, day(12, "10:01"), w.hidden)
	w.look(t, day(12, "10:02"), w.nobody)
	w.look(t, day(12, "10:03"), w.namesake, w.kin, w.hidden) // a list is no opening
	w.look(t, day(14, "22:59"), w.nobody)
	w.look(t, day(15, "06:00"), w.nobody)
	w.look(t, day(15, "05:59"), w.nobody) // the night of the 14th
	w.look(t, day(16, "23:00"), w.nobody)
	w.look(t, day(17, "02:00"), w.nobody) // the same one
	w.look(t, day(18, "00:30"), w.nobody) // the night of the 17th, a third
	w.look(t, day(19, "00:30"), w.nobody) // by now nights are usual
	for n := range 41 {                   // one more than allowed in an hour; with those before, and twice the same, fewer than a day's hundred
		w.look(t, day(20, "13:00").Add(time.Duration(n)*time.Minute), uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%d", n)))
		w.look(t, day(20, "13:00").Add(time.Duration(n)*time.Minute), uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%d", n)))
	}
	for n := range 40 {
		w.look(t, day(22, "13:00").Add(time.Duration(n)*time.Minute), uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%d", n)))
	}
	for n := range 101 {
		w.look(t, day(26, "08:00").Add(time.Duration(n)*5*time.Minute), uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%d", n)))
	}
	w.look(t, w.Now().Add(-time.Minute), w.hidden) // too young to be sure that nothing older comes
	want := []string{
		"kin 2023-09-12 -1 1 0 true 1", "many_day 2023-09-26 -1 101 100 true 0", "many_hour 2023-09-20 13 41 40 true 0", "namesake 2023-09-11 -1 2 0 true 1",
		"night 2023-09-14 -1 1 3 true 0", "night 2023-09-16 -1 1 3 true 0", "night 2023-09-17 -1 1 3 true 0", "protected 2023-09-12 -1 1 0 true 1",
		"unlike_self 2023-09-20 -1 41 1 true 0", "unlike_self 2023-09-22 -1 40 1 true 0", "unlike_self 2023-09-26 -1 101 1 true 0",
	}
	w.watch(t, 7)
	if got := w.found(t); !slices.Equal(got, want) {
		t.Errorf("found\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	w.watch(t, 7) // once more finds nothing more
	if got := w.found(t); !slices.Equal(got, want) {
		t.Errorf("a second time: %v", got)
	}
	w.SetNow(w.Now().Add(2 * time.Minute))
	w.watch(t, 7)
	if got := w.found(t); len(got) != len(want)+1 || !slices.Contains(got, "protected 2023-09-30 -1 1 0 true 1") {
		t.Errorf("the young row is forgotten: %v", got)
	}
	if n := w.Count(t, `SELECT count(*) FROM access_finding WHERE municipality_id <> $1`, w.A); n != 0 {
		t.Errorf("%d findings in the other municipality", n)
	}
}

// It does not matter in how many parts the log is read.
func TestTheWatchCountsEachRowOnce(t *testing.T) {
	w := newStaffed(t)
	w.SetNow(day(30, "12:00"))
	w.Exec(t, `UPDATE municipality_policy SET looks_per_hour = 3, looks_per_day = 5`)
	clients := append([]uuid.UUID{w.namesake, w.kin, w.hidden, w.nobody}, ids...)
	rapid.Check(t, func(r *rapid.T) {
		w.EmptyLogs(t)
		batch := &pgx.Batch{}
		for range rapid.IntRange(1, 60).Draw(r, "looks") {
			at := day(1, "00:00").Add(time.Duration(rapid.IntRange(0, 5*24*4).Draw(r, "quarter")) * 15 * time.Minute)
			batch.Queue(`INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids) VALUES ($1, $2, $3, 'caseworker', 'client', 'record', $4)`,
				w.A, at, w.caller.Account+int64(rapid.IntRange(0, 1).Draw(r, "who")*50), []uuid.UUID{rapid.SampledFrom(clients).Draw(r, "whom")})
		}
		if err := w.Admin.SendBatch(t.Context(), batch).Close(); err != nil {
			r.Fatal(err)
		}
		var whole []string
		for _, most := range []int{1000, rapid.IntRange(1, 20).Draw(r, "rows at a time")} {
			w.Exec(t, `DELETE FROM access_finding`)
			w.Exec(t, `DELETE FROM access_watch`)
			w.watch(t, most)
			got := w.found(t)
			if whole == nil {
				whole = append([]string{}, got...)
			} else if !slices.Equal(got, whole) {
				r.Fatalf("in parts of %d:\n%s\nin one:\n%s", most, strings.Join(got, "\n"), strings.Join(whole, "\n"))
			}
		}
	})
}

func TestAnAssessmentIsMadeOnce(t *testing.T) {
	w := newStaffed(t)
	w.SetNow(day(30, "12:00"))
	w.look(t, day(11, "10:00"), w.namesake)
	w.watch(t, 100)
	ctx := t.Context()
	officer, oneself := w.As(access.PrivacyOfficer, w.A), w.caller
	oneself.Roles = []access.Role{access.Caseworker, access.PrivacyOfficer}
	var id int64
	if err := w.Admin.QueryRow(ctx, `SELECT id FROM access_finding`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	assess := func(c access.Caller, outcome string) error {
		return in(t, w.World, c, func(tx *pg.Tx) error { return Assess(ctx, tx, id, outcome) })
	}
	for _, c := range []struct {
		caller  access.Caller
		outcome string
		want    string
	}{
		{w.As(access.PrivacyOfficer, w.B), "explained", "not found"},
		{w.caller, "explained", "forbidden"},
		{officer, "x", "invalid"},
		{oneself, "explained", "forbidden: own_finding"},
		{officer, "explained", ""},
		{officer, "deviation", "conflict: assessed"},
	} {
		err := assess(c.caller, c.outcome)
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) && c.want != "" {
			t.Errorf("%s by %v: %v", c.outcome, c.caller.Roles, err)
		}
	}
	for _, sql := range []string{`UPDATE access_finding SET outcome = 'deviation'`, `UPDATE access_finding SET count = 0`, `DELETE FROM access_finding`, `UPDATE access_finding SET outcome = NULL, assessed_by = NULL, assessed_at = NULL`} {
		if err := in(t, w.World, officer, func(tx *pg.Tx) error { _, err := tx.Exec(ctx, sql); return err }); err == nil {
			t.Errorf("%s went through", sql)
		}
	}
	// What comes after it does not change what was assessed.
	w.look(t, day(11, "10:05"), w.namesake)
	w.SetNow(day(30, "13:00"))
	w.watch(t, 100)
	if n := w.Count(t, `SELECT count(*) FROM access_finding WHERE count = 1 AND outcome = 'explained' AND assessed_by = $1`, officer.Account); n != 1 {
		t.Error("the assessed finding is another")
	}
	if n := w.Count(t, `SELECT count(*) FROM audit WHERE act = 'finding_assessed' AND detail = '{"outcome": "explained"}'`); n != 1 {
		t.Errorf("%d assessments are on record", n)
	}
}

// The worker learns that two people have a name in common, and not which.
func TestTheWorkerLearnsNoName(t *testing.T) {
	w := newStaffed(t)
	err := in(t, w.World, access.SystemFor(w.A), func(tx *pg.Tx) error { _, err := tx.Exec(t.Context(), `SELECT name FROM account`); return err })
	if err == nil {
		t.Error("the worker reads accounts")
	}
	for _, m := range []int{w.A, w.B} { // somebody of another municipality has nothing in common with anybody here
		err := in(t, w.World, access.SystemFor(m), func(tx *pg.Tx) error {
			rows, err := tx.Query(t.Context(), `SELECT kind, account_id, client FROM access_relations($1, $2) ORDER BY kind`,
				[]int64{w.caller.Account, w.caller.Account, w.caller.Account}, []uuid.UUID{w.namesake, w.kin, w.nobody})
			if err != nil {
				return err
			}
			type relation struct {
				Kind    string
				Account int64 `db:"account_id"`
				Client  uuid.UUID
			}
			got, err := pgx.CollectRows(rows, pgx.RowToStructByName[relation])
			want := []relation{{"kin", w.caller.Account, w.kin}, {"namesake", w.caller.Account, w.namesake}}
			if m == w.B {
				want = nil
			}
			if !slices.Equal(got, want) {
				t.Errorf("in %d: %v", m, got)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
