package proof

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	token2 "go/token"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// pitfall is one way past row-level security (PROOF 3.1). attack is tried by a role of the product, in municipality A,
// against the product as it is, where it must get nothing; and after the sin that would open the way, where it must get
// something, or the attack proves nothing; and the rule must see that sin in the catalogue.
type pitfall struct {
	name   string
	attack string // gives one number: how much it got of municipality B, or did to it
	role   string // "" is frist_municipality
	sin    string
	rule   string
	undone string // the state (or states) with which the product as it is refuses; empty: it answers 0
}

func pitfalls(a, b uuid.UUID) []pitfall {
	foreign := `SELECT count(*) FROM client WHERE municipality_id = 2`
	return []pitfall{
		{
			name: "an owner whom nothing forces", role: "frist_purger", attack: foreign,
			sin:  `GRANT CREATE ON SCHEMA public TO frist_purger; ALTER TABLE client OWNER TO frist_purger; REVOKE CREATE ON SCHEMA public FROM frist_purger; ALTER TABLE client NO FORCE ROW LEVEL SECURITY; GRANT SELECT ON client TO frist_purger`,
			rule: "wall",
		},
		{name: "a wall that is not enabled", attack: foreign, sin: `ALTER TABLE client DISABLE ROW LEVEL SECURITY`, rule: "wall"},
		{name: "a role that bypasses", attack: foreign, sin: `ALTER ROLE frist_municipality BYPASSRLS`, rule: "role"},
		{
			name: "a view with its owner's eyes", attack: `SELECT count(*) FROM everybody WHERE municipality_id = 2`, undone: "42P01",
			sin: `CREATE VIEW everybody AS SELECT * FROM client; GRANT SELECT ON everybody TO frist_municipality`, rule: "view",
		},
		{
			name: "a definer function", attack: `SELECT peep()`, undone: "42883",
			sin: `CREATE FUNCTION peep() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS 'SELECT count(*) FROM client WHERE municipality_id = 2'; GRANT EXECUTE ON FUNCTION peep() TO frist_municipality`, rule: "definer",
		},
		{
			name: "a materialized view", attack: `SELECT count(*) FROM everybody WHERE municipality_id = 2`, undone: "42P01",
			sin: `CREATE MATERIALIZED VIEW everybody AS SELECT * FROM client; GRANT SELECT ON everybody TO frist_municipality`, rule: "view",
		},
		{
			name: "a key that tells whether somebody exists", undone: "23503",
			attack: `WITH x AS (INSERT INTO device_connection (municipality_id, device_id, client_id, connected_at) SELECT 1, (SELECT id FROM device LIMIT 1), '` + b.String() + `', now() RETURNING 1) SELECT count(*) FROM x`,
			sin: `CREATE UNIQUE INDEX client_id ON client (id); ALTER TABLE device_connection DROP CONSTRAINT device_connection_municipality_id_client_id_fkey;
				ALTER TABLE device_connection ADD FOREIGN KEY (client_id) REFERENCES client (id)`, rule: "foreign key",
		},
		{
			name: "a cascade into another municipality", role: "frist_purger", attack: `WITH x AS (DELETE FROM professional WHERE id = 7 RETURNING 1) SELECT count(*) - 1 + 0 * count(*) FROM x`,
			sin: ``, rule: "",
		},
		{
			name: "a number that is unique everywhere", undone: "",
			attack: `WITH x AS (INSERT INTO client (municipality_id, id, number, given_name, family_name, national_id, address_id, status, status_since, created_by, created_at, changed_by, changed_at)
				SELECT 1, gen_random_uuid(), '99', 'x', 'x', '13097248022', address_id, 'active', now(), 0, now(), 0, now() FROM client LIMIT 1 ON CONFLICT DO NOTHING RETURNING 1) SELECT 1 - count(*) FROM x`,
			sin: `CREATE UNIQUE INDEX everybodys ON client (national_id)`, rule: "unique",
		},
		{name: "TRUNCATE", attack: `DO $$ BEGIN TRUNCATE note; END $$; SELECT 1`, undone: "42501", sin: `GRANT TRUNCATE ON note TO frist_municipality`, rule: "grant"},
		{
			name: "a policy that casts what is empty", role: "frist_municipality_nowhere", attack: `SELECT count(*) FROM note`,
			sin: `ALTER POLICY own_municipality ON note USING (municipality_id = coalesce(nullif(current_setting('frist.municipality', true), '')::int, municipality_id))`, rule: "policy",
		},
		{
			name: "a policy for some commands only", attack: `WITH x AS (UPDATE device SET kind = 'x' WHERE municipality_id = 2 RETURNING 1) SELECT count(*) FROM x`,
			sin: `DROP POLICY own_municipality ON device; CREATE POLICY own_municipality ON device USING (true)`, rule: "policy",
		},
		{name: "a second policy beside the wall", attack: foreign, sin: `CREATE POLICY also ON client USING (true)`, rule: "policy"},
		{
			name: "rows written for another", attack: `WITH x AS (INSERT INTO device (municipality_id, id, code, kind, stock_state) VALUES (2, gen_random_uuid(), '1', 'x', 'in_stock') RETURNING 1) SELECT count(*) FROM x`, undone: "42501",
			sin: `ALTER POLICY own_municipality ON device WITH CHECK (true)`, rule: "policy",
		},
		{name: "a right of everybody", role: "frist_platform", attack: foreign, undone: "42501", sin: `GRANT SELECT ON client TO PUBLIC; ALTER TABLE client DISABLE ROW LEVEL SECURITY`, rule: "grant"},
		{name: "the role of another trust", attack: `DO $$ BEGIN SET LOCAL ROLE frist_purger; END $$; SELECT 1`, undone: "42501", sin: `GRANT frist_purger TO frist_web`, rule: "member"},
		{name: "a hidden column in a filter", role: "frist_support", attack: `SELECT count(*) FROM device WHERE serial LIKE '%'`, undone: "42501", sin: `GRANT SELECT (serial) ON device TO frist_support; UPDATE device SET serial = 'x'`, rule: "grants"},
		{name: "the statistics of a table", attack: `SELECT count(*) FROM pg_stats WHERE tablename = 'client' AND attname = 'family_name'`, sin: `ALTER TABLE client DISABLE ROW LEVEL SECURITY`, rule: "wall"},
		// Since CVE-2024-4317 only the owner of a table is shown these, walled or not.
		{name: "statistics over several columns", attack: `SELECT count(*) FROM pg_stats_ext WHERE tablename = 'client'`},
		{name: "the raw statistics", attack: `SELECT count(*) FROM pg_statistic`, undone: "42501", sin: `GRANT SELECT ON pg_statistic TO frist_municipality`, rule: "grants"},
		{name: "a sequence's last number", attack: `SELECT last_value FROM client_change_id_seq`, undone: "42501", sin: `GRANT SELECT ON SEQUENCE client_change_id_seq TO frist_municipality`, rule: "grants"},
		{name: "large objects", attack: `SELECT lo_from_bytea(0, 'x')`, undone: "42501", sin: `GRANT EXECUTE ON FUNCTION lo_from_bytea(oid, bytea) TO PUBLIC`, rule: "large objects"},
		{name: "replication's own door", attack: `SELECT count(*) FROM pg_create_logical_replication_slot('x', 'test_decoding')`, undone: "42501", sin: ``, rule: ""},
		{
			name: "an operator that tells what it compares", attack: `SELECT 1 FROM client WHERE municipality_id = 2 AND pg_temp.tells(family_name)`, undone: "",
			sin: `ALTER TABLE client DISABLE ROW LEVEL SECURITY`, rule: "wall",
		},
	}
}

// TestPitfallsOneByOne commits each sin in a transaction of the administrator, attacks, looks, and takes it back.
func TestPitfallsOneByOne(t *testing.T) {
	w := pgtest.NewWorld(t)
	ctx := t.Context()
	a := w.Add(t, pgtest.Person{Municipality: w.A})
	b := w.Add(t, pgtest.Person{Municipality: w.B, NationalID: "13097248022"})
	w.AddDevice(t, w.A, uuid.Nil, uuid.Nil)
	w.AddDevice(t, w.B, uuid.Nil, uuid.Nil)
	for range 20 {
		w.Add(t, pgtest.Person{Municipality: w.B, FamilyName: "Zq7-family", GivenName: "Zq7"})
	}
	w.Exec(t, `CREATE STATISTICS together (mcv) ON family_name, given_name FROM client`)
	w.Exec(t, `ANALYZE`)
	w.Exec(t, `DROP STATISTICS together`) // the catalogue test would ask about it
	w.Exec(t, `CREATE STATISTICS client_names (mcv) ON family_name, given_name FROM client`)
	w.Exec(t, `ANALYZE client`)
	base := inspectAll(t, w.Admin)
	if len(base) > 0 {
		t.Fatalf("there are sins before any is committed: %v", base)
	}
	attack := func(tx pgx.Tx, p pitfall) (int64, string) {
		role, municipality := p.role, "1"
		if role == "" {
			role = "frist_municipality"
		}
		if name, nowhere := strings.CutSuffix(role, "_nowhere"); nowhere {
			role, municipality = name, ""
		}
		save, err := tx.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer save.Rollback(ctx) //nolint:errcheck // nothing of an attack stays
		if strings.Contains(p.attack, "pg_temp.tells") {
			if _, err := save.Exec(ctx, `CREATE FUNCTION pg_temp.tells(x text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS 'BEGIN RAISE ''%'', x; END'; GRANT EXECUTE ON FUNCTION pg_temp.tells TO PUBLIC`); err != nil {
				t.Fatal(err)
			}
		}
		// The administrator becomes the product's login, and that takes its role: what SET ROLE asks is the session's user.
		login := map[string]string{"frist_purger": "frist_worker", "frist_supplier": "frist_operator"}[role]
		if login == "" {
			login = "frist_web"
		}
		for _, sql := range []string{"SET LOCAL SESSION AUTHORIZATION " + login, "SET LOCAL ROLE " + role, fmt.Sprintf("SELECT set_config('frist.municipality', '%s', true), set_config('frist.account', '101', true), set_config('frist.now', '2023-09-19T07:12:00Z', true)", municipality)} {
			if _, err := save.Exec(ctx, sql); err != nil {
				t.Fatalf("%v in %s", err, sql)
			}
		}
		results, err := save.Conn().PgConn().Exec(ctx, p.attack).ReadAll()
		if err != nil {
			if state(err) == "P0001" { // it told what it was shown
				return 1, ""
			}
			return 0, state(err)
		}
		last := results[len(results)-1]
		if len(last.Rows) == 0 {
			return 0, ""
		}
		n, err := strconv.ParseInt(string(last.Rows[0][0]), 10, 64)
		if err != nil {
			t.Fatalf("%s: %q", p.name, last.Rows[0][0])
		}
		return n, ""
	}
	tried := 0
	for _, p := range pitfalls(a, b) {
		if p.attack == "" || p.name == "a cascade into another municipality" {
			continue // below
		}
		tried++
		tx, err := w.Admin.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n, code := attack(tx, p); n > 0 || code != p.undone {
			t.Errorf("%s: as the product is, the attack gets %d (%s)", p.name, n, code)
		}
		if p.sin != "" {
			if _, err := tx.Exec(ctx, p.sin); err != nil {
				t.Errorf("%s: %v", p.name, err)
			} else {
				found := inspectAll(t, tx)
				if n, code := attack(tx, p); n == 0 {
					t.Errorf("%s: after the sin the attack gets nothing either (%s): it proves nothing", p.name, code)
				}
				switch p.rule {
				case "grants":
					if grantLines(&inspect{t: t, q: tx}) == grantLines(&inspect{t: t, q: w.Admin}) && !strings.Contains(p.sin, "pg_statistic") {
						t.Errorf("%s: the list of grants does not show it", p.name)
					}
				default:
					if !slices.ContainsFunc(found, func(s sin) bool { return s.rule == p.rule }) {
						t.Errorf("%s: rule %q does not see it: %v", p.name, p.rule, found)
					}
				}
			}
		}
		_ = tx.Rollback(ctx)
	}
	if tried < 22 {
		t.Errorf("only %d pitfalls", tried)
	}
}

// A key between two tenants' tables that forgets the municipality cascades past every wall: with the product's keys a
// delete in one municipality cannot reach a row of the other, whatever ids it holds.
func TestCascadesStayInTheirMunicipality(t *testing.T) {
	w := pgtest.NewWorld(t)
	ctx := t.Context()
	a := w.Add(t, pgtest.Person{Municipality: w.A})
	// Both municipalities have a client with the same id; only a key without the municipality confuses them.
	w.Add(t, pgtest.Person{Municipality: w.B, ID: a})
	count := func(q querier, m int) (n int) {
		rows, err := q.Query(ctx, `SELECT (SELECT count(*) FROM note WHERE municipality_id = $1) + (SELECT count(*) FROM hold WHERE municipality_id = $1)`, m)
		if err != nil {
			t.Fatal(err)
		}
		n, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, m := range []int{w.A, w.B} {
		w.Exec(t, `INSERT INTO hold (municipality_id, id, client_id, reason, authority, placed_by, placed_at, review_on) VALUES ($1, gen_random_uuid(), $2, 'police', 'x', 0, now(), '2024-01-01')`, m, a)
	}
	tx, err := w.Admin.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // nothing shall stay
	before := count(tx, w.B)
	if _, err := tx.Exec(ctx, `ALTER TABLE client DISABLE TRIGGER client_gone_guard; DELETE FROM client WHERE municipality_id = 1`); err != nil {
		t.Fatal(err)
	}
	if got := count(tx, w.A); got != 0 {
		t.Errorf("%d rows of the client are left: the test proves nothing", got)
	}
	if got := count(tx, w.B); got != before || before < 2 {
		t.Errorf("a delete in A left %d of %d rows in B", got, before)
	}
}

var errNotHis = errors.New("refused as it should be")

// mixed are the callers that one pooled connection serves in turn.
func mixed(w *pgtest.World) []access.Caller {
	return []access.Caller{
		w.As(access.Caseworker, w.A), w.As(access.Caseworker, w.B), w.As(access.Approver, w.A), w.As(access.PrivacyOfficer, w.B), w.As(access.Administrator, w.A),
		w.As(access.Support, w.A), w.As(access.Support, w.B), w.As(access.PlatformAdministrator, 0), w.As(access.PlatformAdministrator, w.B), w.As(access.Caseworker, 0),
	}
}

// TestTenThousandSwitchesOnOneConnection gives one connection to a random mix of roles and municipalities, always with the
// same statements, so that plans made for one are met by the next. In between something goes wrong in every way there is,
// and what a session setting could leave is left. No row is ever another's, and nobody is ever somebody else.
func TestTenThousandSwitchesOnOneConnection(t *testing.T) {
	w := pgtest.NewWorld(t)
	for _, m := range []int{w.A, w.B} {
		for range 2 {
			w.Add(t, pgtest.Person{Municipality: m})
		}
		w.AddDevice(t, m, uuid.Nil, uuid.Nil)
	}
	db, err := pg.Open(t.Context(), pg.Config{Web: w.DSN("frist_web", "web"), Clock: w.Now, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	callers := mixed(w)
	statements := []struct {
		sql string
		may []string // the roles that get rows
	}{
		{`SELECT municipality_id, id::text FROM client ORDER BY id`, []string{"frist_municipality"}},
		{`SELECT municipality_id, id::text FROM device ORDER BY id`, []string{"frist_municipality", "frist_support"}},
		{`SELECT municipality_id, document_reference FROM instruction ORDER BY document_reference`, []string{"frist_municipality", "frist_support", "frist_platform"}},
		{`SELECT municipality_id, text FROM note ORDER BY id`, []string{"frist_municipality"}},
		{`SELECT coalesce(municipality_id, 0), name FROM account ORDER BY id`, nil},
	}
	switches := 10_000
	if long {
		switches *= 10
	}
	last, changed, rowsSeen, refused, broken := -1, 0, 0, 0, 0
	for n := range switches {
		caller := callers[rand.IntN(len(callers))]
		if caller.Municipality != last {
			changed++
		}
		last = caller.Municipality
		way := rand.IntN(60)
		if caller.Database() != "frist_municipality" {
			way = 99
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = io.EOF
				}
			}()
			return db.InTx(ctx, caller, func(tx *pg.Tx) error {
				one := statements[rand.IntN(len(statements))]
				var of int
				var id string
				got := 0
				rows, err := tx.Query(ctx, one.sql)
				if err == nil {
					_, err = pgx.ForEachRow(rows, []any{&of, &id}, func() error {
						got++
						if of != caller.Municipality {
							t.Errorf("switch %d: as %s of %d a row of %d by %s", n, caller.Database(), caller.Municipality, of, one.sql)
						}
						return nil
					})
				}
				may := slices.Contains(one.may, caller.Database())
				if state(err) == "42501" && !may {
					refused++
					return errNotHis
				}
				if err != nil {
					return err
				}
				rowsSeen += got
				if !may || caller.Municipality != 0 && got == 0 {
					t.Errorf("switch %d: %s of %d sees %d rows by %s", n, caller.Database(), caller.Municipality, got, one.sql)
				}
				var role, municipality string
				if err := tx.QueryRow(ctx, `SELECT current_user, current_setting('frist.municipality')`).Scan(&role, &municipality); err != nil {
					return err
				}
				if want := strconv.Itoa(caller.Municipality); role != caller.Database() || municipality != want && (want != "0" || municipality != "") {
					t.Errorf("switch %d: %s of %q is %s of %q", n, caller.Database(), want, role, municipality)
				}
				other := strconv.Itoa(3 - max(1, caller.Municipality))
				switch way {
				case 0:
					return io.EOF
				case 1:
					panic("a handler fails")
				case 2:
					_, err = tx.Exec(ctx, `SELECT 1 / 0`)
				case 3:
					cancel()
				case 4: // a setting of the session, committed: it outlives the transaction
					_, err = tx.Exec(ctx, `SELECT set_config('frist.municipality', $1, false), set_config('frist.account', '999', false), set_config('frist.visit', gen_random_uuid()::text, false)`, other)
				case 5: // the role of the session
					_, err = tx.Exec(ctx, `SET ROLE frist_signin`)
				case 6: // a role and a municipality inside a savepoint that is released leak into the transaction, and no further
					for _, sql := range []string{`SAVEPOINT a`, `SET LOCAL ROLE frist_platform`, `SELECT set_config('frist.municipality', '` + other + `', true)`, `RELEASE a`} {
						if _, err = tx.Exec(ctx, sql); err != nil {
							break
						}
					}
				case 7: // a table that takes another's place for whoever comes next
					_, err = tx.Exec(ctx, `CREATE TEMP TABLE IF NOT EXISTS client AS SELECT 2 AS municipality_id, gen_random_uuid() AS id FROM generate_series(1, 5)`)
				case 8: // a session setting, and then the end is an error: it goes with the transaction
					if _, err = tx.Exec(ctx, `SET ROLE frist_support`); err == nil {
						err = io.EOF
					}
				case 9:
					_, err = tx.Exec(ctx, `SELECT set_config('row_security', 'off', true)`)
				case 10:
					_, err = tx.Exec(ctx, `PREPARE mine_`+strconv.Itoa(n)+` AS SELECT * FROM client`)
				case 11:
					time.AfterFunc(time.Millisecond, cancel)
					_, err = tx.Exec(ctx, `SELECT pg_sleep(1)`)
				}
				return err
			})
		}()
		cancel()
		if err != nil {
			broken++
			if errors.Is(err, errNotHis) {
				continue
			}
			if way > 11 {
				t.Errorf("switch %d, way %d: %v", n, way, err)
			}
		}
		if t.Failed() && n > 100 {
			break
		}
	}
	if changed < switches/2 || rowsSeen < switches/2 || refused < switches/20 || broken < switches/50 {
		t.Errorf("%d switches, %d rows, %d refusals, %d broken off: the test would prove little", changed, rowsSeen, refused, broken)
	}
	t.Logf("%d transactions on one connection, %d changes of municipality, %d rows, %d refused, %d broken off", switches, changed, rowsSeen, refused, broken)
}

// What others of the same login are doing stays theirs: support sees no statement of a municipality's session, nor does one
// municipality by the name of the other's connection.
func TestOneRoleDoesNotSeeWhatAnotherAsks(t *testing.T) {
	w := pgtest.NewWorld(t)
	k := newToken("asked", "statement")
	busy := session(t, w.Env, "frist_web", "frist_municipality", "1")
	if _, err := busy.Exec(t.Context(), `SELECT 1 /* `+k.value+` */`); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ login, role string }{
		{"frist_web", "frist_support"}, {"frist_web", "frist_signin"}, {"frist_web", "frist_platform"}, {"frist_web", "frist_municipality"}, {"frist_operator", "frist_supplier"}, {"frist_worker", "frist_purger"}, {"frist_worker", "frist_jobs"},
	} {
		conn := session(t, w.Env, c.login, c.role, "2")
		look := newScanner([]token{k})
		for _, sql := range []string{`SELECT a::text FROM pg_stat_activity a`, `SELECT l::text FROM pg_locks l`, `SELECT p::text FROM pg_prepared_statements p`, `SELECT c::text FROM pg_cursors c`, `SELECT s::text FROM pg_stat_progress_copy s`, `SELECT x::text FROM pg_prepared_xacts x`} {
			answer, err := run(t.Context(), conn, sql)
			if err != nil {
				t.Errorf("%s: %v in %s", c.role, err, sql)
			}
			look.look(c.role+" by "+sql, []byte(answer))
		}
		for _, h := range look.hits {
			t.Errorf("%s sees %s", h.where, h.token)
		}
	}
	// The administrator does: the value was there to be seen.
	look := newScanner([]token{k})
	conn, err := pgx.Connect(t.Context(), w.AdminDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // nothing is pending on it
	answer, err := run(t.Context(), conn, `SELECT a::text FROM pg_stat_activity a`)
	if look.look("admin", []byte(answer)); err != nil || len(look.hits) == 0 {
		t.Errorf("nobody sees the statement, the test proves nothing: %v", err)
	}
}

// COPY gives what SELECT gives, and takes nothing past a policy.
func TestCopyRespectsTheWalls(t *testing.T) {
	w := pgtest.NewWorld(t)
	a, b := w.Add(t, pgtest.Person{Municipality: w.A}), w.Add(t, pgtest.Person{Municipality: w.B})
	conn := session(t, w.Env, "frist_web", "frist_municipality", "1")
	for _, sql := range []string{`COPY (SELECT * FROM client) TO STDOUT`, `COPY client TO STDOUT`} {
		answer, err := run(t.Context(), conn, sql)
		if err != nil || !strings.Contains(answer, a.String()) || strings.Contains(answer, b.String()) {
			t.Errorf("%s: %q, %v", sql, answer, err)
		}
	}
	_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("2\t"+uuid.NewString()+"\t1\tx\tin_stock\n"), `COPY device (municipality_id, id, code, kind, stock_state) FROM STDIN`)
	if err == nil {
		t.Error("COPY wrote a row for another municipality")
	}
}

// Whoever listens to the channels of the database hears that there is work, and never for whom.
func TestNotificationsNameNobody(t *testing.T) {
	s := newStage(t)
	listener, err := pgx.Connect(t.Context(), s.DSN("frist_operator", "operator"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close(context.Background()) //nolint:errcheck // a listener
	for _, channel := range []string{"river.river_insert", "river.river_leadership", "river.river_control", "river_insert", "river_leadership", "river_control"} {
		if _, err := listener.Exec(t.Context(), `LISTEN `+pgx.Identifier{channel}.Sanitize()); err != nil {
			t.Fatal(err)
		}
	}
	s.populate(0)
	var tokens []token
	tokens = append(tokens, s.tokens...)
	for _, p := range s.people {
		tokens = append(tokens, token{p.name, "client id", p.id.String(), p.id.String()})
	}
	look := newScanner(tokens)
	heard := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		note, err := listener.WaitForNotification(ctx)
		cancel()
		if err != nil {
			break
		}
		heard++
		look.look("channel "+note.Channel, []byte(note.Payload))
	}
	for _, h := range look.hits {
		t.Errorf("%s names %s", h.where, h.token)
	}
	t.Logf("%d notifications", heard)
}

// sessionWide are statements whose effect outlives a transaction: the next borrower of the connection would stand in it.
var sessionWide = map[string]*regexp.Regexp{
	"a setting of the session":           regexp.MustCompile(`(?i)\bset_config\([^)]*,\s*false\s*\)`),
	"SET without LOCAL":                  regexp.MustCompile(`(?im)(^|[;"` + "`" + `]\s*)SET\s+(SESSION|ROLE|search_path|frist\.|timezone|row_security)`),
	"a lock of the session":              regexp.MustCompile(`(?i)\bpg_(try_)?advisory_lock(_shared)?\(`),
	"LISTEN":                             regexp.MustCompile(`(?i)(^|["` + "`" + `])\s*LISTEN\s`),
	"a temporary table that stays":       regexp.MustCompile(`(?i)CREATE\s+TEMP(ORARY)?\s+(TABLE|VIEW|SEQUENCE)`),
	"PREPARE":                            regexp.MustCompile(`(?i)(^|["` + "`" + `])\s*PREPARE\s`),
	"a large object":                     regexp.MustCompile(`(?i)\blo_(create|creat|from_bytea|import|put)\(`),
	"the simple protocol, with literals": regexp.MustCompile(`QueryExecModeSimpleProtocol`),
}

// The product's own code leaves nothing behind on a connection: every statement in it is looked at. What the tests of the
// switches leave on purpose it never does.
func TestNoStatementOutlivesItsTransaction(t *testing.T) {
	root := filepath.Join("..", "..")
	looked := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".." && rel != "." || slices.Contains([]string{"internal/demo", "internal/pgtest", "internal/localpg", "internal/bench", "internal/proof", "internal/tools"}, rel)) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		files := token2.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == "QueryExecModeSimpleProtocol" {
				t.Errorf("%s: the simple protocol writes values into the statement", files.Position(n.Pos()))
			}
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token2.STRING {
				return true
			}
			looked++
			for what, shape := range sessionWide {
				if !shape.MatchString(literal.Value) {
					continue
				}
				if what == "a temporary table that stays" && regexp.MustCompile(`(?is)ON COMMIT DROP`).MatchString(literal.Value) {
					continue
				}
				t.Errorf("%s: %s: %.60q", files.Position(n.Pos()), what, literal.Value)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 2000 {
		t.Errorf("only %d texts were looked at", looked)
	}
}
