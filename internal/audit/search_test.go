package audit

import (
	"cmp"
	"context"
	"crypto/md5" // #nosec G501 -- names for made-up clients, as the database makes them
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var oslo = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		panic(err)
	}
	return zone
}()

func in(t testing.TB, w *pgtest.World, c access.Caller, fn func(tx *pg.Tx) error) error {
	t.Helper()
	return w.DB.InTx(t.Context(), c, fn)
}

// ids are clients that need not exist: a log outlives them.
var ids = func() (list []uuid.UUID) {
	for n := range 8 {
		list = append(list, uuid.NewSHA1(uuid.Nil, []byte(fmt.Sprint(n))))
	}
	return list
}()

// What a search gives is what a filter over the list of all rows gives, in the same order, however it is turned over; and
// each municipality has its own, in which the same people did the same things.
func TestASearchIsAFilterOfAllRows(t *testing.T) {
	w := pgtest.NewWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		w.EmptyLogs(t)
		var all []Row
		batch := &pgx.Batch{}
		for m := w.A; m <= w.B; m++ {
			all = nil
			for n := range 30 {
				row := Row{Kind: Kind(rapid.SampledFrom([]string{"act", "look"}).Draw(r, "kind")), At: pgtest.Start.Add(time.Duration(rapid.IntRange(0, 4).Draw(r, "at")) * time.Minute).UTC()}
				role := rapid.SampledFrom([]access.Role{access.Caseworker, access.Approver, access.Support}).Draw(r, "role")
				row.Account, row.Role, row.Organisation = w.As(role, m).Account, string(role), map[bool]string{true: "processor", false: "municipality"}[role == access.Support]
				if row.Kind == LooksAt {
					row.Page, row.Purpose = rapid.SampledFrom([]string{"client", "clients"}).Draw(r, "page"), rapid.SampledFrom([]string{"record", "list"}).Draw(r, "purpose")
					row.Clients = rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 1, 3, rapid.ID[uuid.UUID]).Draw(r, "clients")
					batch.Queue(`INSERT INTO access_log (municipality_id, id, at, account_id, role, page, purpose, client_ids) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
						m, 1_000_000+n, row.At, row.Account, row.Role, row.Page, row.Purpose, row.Clients)
				} else {
					row.Act, row.Subject = rapid.SampledFrom([]string{"changed", "refused"}).Draw(r, "act"), rapid.SampledFrom([]string{"client", "round"}).Draw(r, "subject")
					row.SubjectID, row.Refused = "3218-231001", row.Act == "refused"
					if row.Subject == "client" {
						row.SubjectID = rapid.SampledFrom(ids).Draw(r, "client").String()
					}
					batch.Queue(`INSERT INTO audit (municipality_id, id, at, account_id, role, act, subject, subject_id, refused) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
						m, 1_000_000+n, row.At, row.Account, row.Role, row.Act, row.Subject, row.SubjectID, row.Refused)
				}
				row.ID = int64(1_000_000 + n)
				all = append(all, row)
			}
		}
		if err := w.Admin.SendBatch(t.Context(), batch).Close(); err != nil {
			r.Fatal(err)
		}
		some := func(label string, of ...string) string {
			return rapid.SampledFrom(append(of, "", "", "")).Draw(r, label)
		}
		q := Query{
			Kind: Kind(some("only", "act", "look")), Role: some("by role", "caseworker", "support"), Organisation: some("by organisation", "processor", "municipality"), Page: some("by page", "client"),
			Purpose: some("by purpose", "list"), Act: some("by act", "changed"), SubjectID: some("by subject", "3218-231001"), Refused: rapid.IntRange(0, 5).Draw(r, "refused only") == 0,
		}
		if rapid.Bool().Draw(r, "by client") {
			q.Clients = rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 1, 3, rapid.ID[uuid.UUID]).Draw(r, "clients")
		}
		if rapid.IntRange(0, 3).Draw(r, "by account") == 0 {
			q.Accounts = []int64{w.As(access.Caseworker, w.B).Account}
		}
		if rapid.Bool().Draw(r, "since") {
			q.From = pgtest.Start.Add(time.Minute)
		}
		if rapid.Bool().Draw(r, "until") {
			q.Until = pgtest.Start.Add(3 * time.Minute)
		}
		want := slices.DeleteFunc(slices.Clone(all), func(row Row) bool { return !matches(q, row) })
		slices.SortFunc(want, func(a, b Row) int {
			return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.ID, a.ID))
		})
		var got []Row
		limit := rapid.IntRange(1, 15).Draw(r, "page size")
		after := Cursor{}
		for {
			var page []Row
			err := in(t, w, w.As(access.PrivacyOfficer, w.B), func(tx *pg.Tx) (err error) {
				page, err = Search(t.Context(), tx, q, after, limit)
				return err
			})
			if err != nil {
				r.Fatal(err)
			}
			got = append(got, page...)
			if len(page) < limit {
				break
			}
			if after, err = ParseCursor(page[len(page)-1].Cursor().String()); err != nil {
				r.Fatal(err)
			}
		}
		key := func(rows []Row) (keys []string) {
			for _, row := range rows {
				keys = append(keys, fmt.Sprint(row.Kind, row.ID, row.At.UTC(), row.Account, row.Role, row.Organisation, row.Page, row.Purpose, row.Act, row.SubjectID, row.Refused, len(row.Clients)))
			}
			return keys
		}
		if !slices.Equal(key(got), key(want)) {
			r.Fatalf("%+v gave\n%s\nand not\n%s", q, strings.Join(key(got), "\n"), strings.Join(key(want), "\n"))
		}
		for _, row := range got {
			if row.StaffNumber == "" || (row.Name == "") != (row.Organisation != "municipality") {
				r.Fatalf("by %q %q of %s", row.Name, row.StaffNumber, row.Organisation)
			}
		}
		// The export gives the same rows, and says how many.
		var e Export
		w.SetNow(pgtest.Start.Add(time.Hour))
		err := in(t, w, w.As(access.PrivacyOfficer, w.B), func(tx *pg.Tx) (err error) {
			e, err = BeginExport(t.Context(), tx, q, "csv")
			return err
		})
		w.SetNow(pgtest.Start)
		var out []Row
		if err = errors.Join(err, e.Each(t.Context(), w.DB, func(row Row) error { out = append(out, row); return nil })); err != nil {
			r.Fatal(err)
		}
		if e.Count != len(want) || !slices.Equal(key(out), key(want)) {
			r.Fatalf("the export of %+v counts %d and gave %d of %d rows", q, e.Count, len(out), len(want))
		}
	})
}

func matches(q Query, r Row) bool {
	about := func(id uuid.UUID) bool {
		return slices.Contains(r.Clients, id) || r.Kind == Acts && r.Subject == "client" && r.SubjectID == id.String()
	}
	return (q.Kind == "" || q.Kind == r.Kind) && (len(q.Clients) == 0 || slices.ContainsFunc(q.Clients, about)) && (len(q.Accounts) == 0 || slices.Contains(q.Accounts, r.Account)) &&
		(q.Role == "" || q.Role == r.Role) && (q.Organisation == "" || q.Organisation == r.Organisation) && (q.Page == "" || q.Page == r.Page) && (q.Purpose == "" || q.Purpose == r.Purpose) &&
		(q.Act == "" || q.Act == r.Act) && (q.SubjectID == "" || q.SubjectID == r.SubjectID) && (!q.Refused || r.Refused) && !r.At.Before(q.From) && (q.Until.IsZero() || r.At.Before(q.Until))
}

// crowd writes n rows into each log of both municipalities, a thousand people looking at ten thousand clients.
func crowd(t testing.TB, w *pgtest.World, n int) {
	t.Helper()
	for m := w.A; m <= w.B; m++ {
		w.Exec(t, `INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids)
			SELECT $1, $2::timestamptz - n * interval '1 minute', 1000 + n % 1000, 'caseworker', CASE WHEN n % 5 = 0 THEN 'clients' ELSE 'client' END, 'record',
				CASE WHEN n % 5 = 0 THEN (SELECT array_agg(md5('c' || (n * 7 + k) % 10000)::uuid) FROM generate_series(1, 20) k) ELSE ARRAY[md5('c' || n % 10000)::uuid] END
			FROM generate_series(1, $3::int) n`, m, pgtest.Start, n)
		w.Exec(t, `INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id, refused)
			SELECT $1, $2::timestamptz - n * interval '1 minute', 1000 + n % 1000, 'caseworker', 'act' || n % 40, 'client', md5('c' || n % 10000)::uuid::text, n % 1000 = 0
			FROM generate_series(1, $3::int) n`, m, pgtest.Start, n)
	}
	w.Exec(t, `VACUUM ANALYZE access_log, audit`)
}

// No question of the privacy officer reads a whole log, whether PostgreSQL plans it for these values or for all.
func TestNoQuestionReadsAWholeLog(t *testing.T) {
	w := pgtest.NewWorld(t)
	crowd(t, w, 50_000)
	one := []uuid.UUID{uuid.UUID(md5.Sum([]byte("c17")))}
	officer := w.As(access.PrivacyOfficer, w.A)
	for name, ask := range map[string]func(ctx context.Context, tx *pg.Tx) error{
		"the newest": func(ctx context.Context, tx *pg.Tx) error { return rows(Search(ctx, tx, Query{}, Cursor{}, 51)) },
		"further down": func(ctx context.Context, tx *pg.Tx) error {
			return rows(Search(ctx, tx, Query{}, Cursor{pgtest.Start.Add(-500 * time.Hour), LooksAt, 20000}, 51))
		},
		"of a client": func(ctx context.Context, tx *pg.Tx) error {
			return rows(Search(ctx, tx, Query{Clients: one}, Cursor{}, 51))
		},
		"of a person": func(ctx context.Context, tx *pg.Tx) error {
			return rows(Search(ctx, tx, Query{Accounts: []int64{1007}}, Cursor{}, 51))
		},
		"of an act": func(ctx context.Context, tx *pg.Tx) error {
			return rows(Search(ctx, tx, Query{Act: "act7"}, Cursor{}, 51))
		},
		"of no such act": func(ctx context.Context, tx *pg.Tx) error {
			return none(Search(ctx, tx, Query{Act: "nothing"}, Cursor{}, 51))
		},
		"of a number": func(ctx context.Context, tx *pg.Tx) error {
			return none(Search(ctx, tx, Query{SubjectID: "3218-231001"}, Cursor{}, 51))
		},
		"refusals": func(ctx context.Context, tx *pg.Tx) error {
			return rows(Search(ctx, tx, Query{Refused: true}, Cursor{}, 51))
		},
		"of an hour": func(ctx context.Context, tx *pg.Tx) error {
			return rows(Search(ctx, tx, Query{From: pgtest.Start.Add(-3 * time.Hour), Until: pgtest.Start.Add(-2 * time.Hour)}, Cursor{}, 51))
		},
		"client and hour": func(ctx context.Context, tx *pg.Tx) error {
			return none(Search(ctx, tx, Query{Clients: one, Until: pgtest.Start.Add(-90000 * time.Hour)}, Cursor{}, 51))
		},
		"grouped": func(ctx context.Context, tx *pg.Tx) error {
			found, err := Lookers(ctx, tx, one, time.Time{}, time.Time{})
			if err == nil && len(found) == 0 {
				err = errors.New("nobody looked")
			}
			return err
		},
		"the tab of a client": func(ctx context.Context, tx *pg.Tx) error { _, err := Looks(ctx, tx, one[0], 0, 51); return err },
		"the trail": func(ctx context.Context, tx *pg.Tx) error {
			_, err := Trail(ctx, tx, one[0].String(), 0, 51)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
				err := in(t, w, officer, func(tx *pg.Tx) error {
					ctx := t.Context()
					// auto_explain would be the straight way; the counts of the table say the same: whether it was ever read from end to end.
					if _, err := tx.Exec(ctx, `SELECT set_config('plan_cache_mode', $1, true)`, mode); err != nil {
						return err
					}
					before, err := scans(ctx, tx)
					if err != nil {
						return err
					}
					if err := ask(ctx, tx); err != nil {
						return err
					}
					after, err := scans(ctx, tx)
					if before != after {
						t.Errorf("%s: a log was read from end to end", mode)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	// The watch stick is no dead stick.
	err := in(t, w, officer, func(tx *pg.Tx) error {
		before, err := scans(t.Context(), tx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `SELECT count(*) FROM access_log WHERE page || '' = 'x'`); err != nil {
			return err
		}
		after, err := scans(t.Context(), tx)
		if before == after {
			t.Error("a whole log can be read without its being noticed")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// scans is how many times this transaction has read one of the logs from end to end.
func scans(ctx context.Context, tx *pg.Tx) (n int64, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce(sum(pg_stat_get_xact_numscans(c.oid)), 0)::bigint FROM pg_class c WHERE c.relname IN ('access_log', 'audit') AND c.relkind = 'r'`).Scan(&n)
	return n, err
}

func rows(found []Row, err error) error {
	if err == nil && len(found) == 0 {
		return errors.New("nothing is found")
	}
	return err
}

func none(found []Row, err error) error {
	if err == nil && len(found) > 0 {
		return fmt.Errorf("%d rows are found", len(found))
	}
	return err
}

func TestACursorIsOneOfOurs(t *testing.T) {
	c := Cursor{pgtest.Start, LooksAt, 7}
	if again, err := ParseCursor(c.String()); err != nil || again != c {
		t.Errorf("%v, %v", again, err)
	}
	for _, s := range []string{"x", "bG9vay0x", "bG9vay0xLTA", "YWN0LS0xLTE", strings.Repeat("A", 500), "Zm9yLTEtMQ"} {
		if _, err := ParseCursor(s); !errors.As(err, new(problem.NotFound)) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestWhoMayAskTheLogs(t *testing.T) {
	w := pgtest.NewWorld(t)
	w.Exec(t, `INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids) SELECT m, now(), 1, 'support', 'clients', 'list', $1 FROM unnest(ARRAY[1, 2]) m`, ids[:3])
	ctx := t.Context()
	asks := map[string]func(tx *pg.Tx) error{
		"search":   func(tx *pg.Tx) error { _, err := Search(ctx, tx, Query{}, Cursor{}, 1); return err },
		"lookers":  func(tx *pg.Tx) error { _, err := Lookers(ctx, tx, ids[:1], time.Time{}, time.Time{}); return err },
		"export":   func(tx *pg.Tx) error { _, err := BeginExport(ctx, tx, Query{}, "csv"); return err },
		"findings": func(tx *pg.Tx) error { _, err := Findings(ctx, tx, false, 0, 1); return err },
		"waiting":  func(tx *pg.Tx) error { _, err := WaitingFindings(ctx, tx); return err },
		"assess":   func(tx *pg.Tx) error { return Assess(ctx, tx, 1, "explained") },
		"expire":   func(tx *pg.Tx) error { _, err := Expire(ctx, tx); return err },
		"watch":    func(tx *pg.Tx) error { _, err := Watch(ctx, tx, oslo); return err },
	}
	for _, g := range access.Table {
		for name, ask := range asks {
			m := w.A
			if (access.Caller{Roles: []access.Role{g.Role}}).Blind() {
				m = 0
			}
			c := w.As(g.Role, m)
			if g.Role == access.System {
				c = access.SystemFor(w.A)
			}
			err := in(t, w, c, ask)
			system := name == "expire" || name == "watch"
			may := g.Role == access.PrivacyOfficer && !system || g.Role == access.System && system
			if refused := errors.As(err, new(problem.Forbidden)); refused == may || err != nil && !refused && !errors.As(err, new(problem.NotFound)) {
				t.Errorf("%s as %s: %v", name, g.Role, err)
			}
		}
	}
	stale := w.As(access.PrivacyOfficer, w.A)
	stale.FreshUntil = w.Now()
	if err := in(t, w, stale, asks["export"]); !errors.As(err, new(problem.StepUp)) {
		t.Errorf("an export without a fresh proof: %v", err)
	}
	// A person's extract is for those who handle it too, and names nobody else.
	for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator} {
		err := in(t, w, w.As(role, w.B), func(tx *pg.Tx) error {
			found, err := LooksOf(ctx, tx, ids[1:2], Cursor{}, 10)
			if err == nil && (len(found) != 1 || len(found[0].Clients) != 0 || found[0].Shown != 3 || found[0].Organisation != "processor") {
				t.Errorf("%+v", found)
			}
			return err
		})
		if (err == nil) != (role != access.Administrator) {
			t.Errorf("%s: %v", role, err)
		}
	}
}
