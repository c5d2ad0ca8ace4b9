package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	pastRun   = "2023-10-01" // finished
	comingRun = "2024-04-01" // controlled
)

// populate makes the same in both municipalities: people of every kind, a finished round, one that waits for approval,
// an extra run that was asked for, and a row in every table. In the second one so many more go and will go.
func (s *stage) populate(more int) {
	t := s.t
	t.Helper()
	s.at("2023-03-14 12:00")
	if err := deletion.Sweep(t.Context(), s.DB); err != nil {
		t.Fatal(err)
	}
	var leaving []*person
	for _, m := range []int{s.A, s.B} {
		name := map[int]string{s.A: "A", s.B: "B"}[m]
		goes, waits, stays, selected := s.person("goes"+name, m), s.person("waits"+name, m), s.person("stays"+name, m), s.person("selected"+name, m)
		all := []*person{goes, waits, stays, selected}
		for n := range more {
			if m == s.B {
				goes, waits := s.person(fmt.Sprintf("goes%dB", n), m), s.person(fmt.Sprintf("waits%dB", n), m)
				goes.silent, waits.silent = true, true // files are counted apart from people
				all = append(all, goes, waits)
				leaving = append(leaving, waits)
			}
		}
		s.bring(m, all...)
		for _, p := range all {
			s.furnish(p)
			if strings.HasPrefix(p.name, "goes") {
				s.disconnect(p)
			}
		}
		leaving = append(leaving, waits, selected)
		s.as(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.PlaceHold(ctx, tx, retention.NewHold{ClientID: &stays.id, Reason: "police", Authority: stays.get("hold.authority"), ReviewOn: calendar.On(2024, 6, 1)})
			return err
		})
		admin := s.World.As(access.Administrator, m) // something that waits for a second person, and somebody gone through
		if err := account.ProposeRange(t.Context(), s.DB, admin, "10.0.0.0/8", "x"); err != nil {
			t.Fatal(err)
		}
		if err := account.Review(t.Context(), s.DB, admin, s.World.As(access.Caseworker, m).Account); err != nil {
			t.Fatal(err)
		}
	}
	s.work(false)
	s.at("2023-09-10 12:00")
	for _, p := range leaving { // due on 10.03.24
		s.disconnect(p)
	}
	advance := func(run string) {
		t.Helper()
		if err := deletion.Sweep(t.Context(), s.DB); err != nil {
			t.Fatal(err)
		}
		for _, m := range []int{s.A, s.B} {
			s.until(m, run, func(r deletion.Round) bool { return r.State == deletion.Proposed })
			s.control(m, run)
		}
	}
	s.at("2023-09-19 08:00")
	advance(pastRun)
	for _, m := range []int{s.A, s.B} {
		id := s.round(m, pastRun).ID
		remark := s.token(fmt.Sprintf("municipality%d", m), "round_event.remark")
		s.as(access.Approver, m, func(ctx context.Context, tx *pg.Tx) error {
			return deletion.Reject(ctx, tx, id, deletion.RejectCodes[len(deletion.RejectCodes)-1], remark.value)
		})
	}
	advance(pastRun)
	for _, m := range []int{s.A, s.B} {
		id := s.round(m, pastRun).ID
		s.as(access.Approver, m, func(ctx context.Context, tx *pg.Tx) error { return deletion.Approve(ctx, tx, id, deletion.Approval{}) })
	}
	s.at("2023-10-01 07:00")
	for _, m := range []int{s.A, s.B} {
		r := s.round(m, pastRun)
		s.as(access.Operator, m, func(ctx context.Context, tx *pg.Tx) error { return deletion.Start(ctx, tx, r.ID, r.Number) })
	}
	for _, m := range []int{s.A, s.B} {
		s.until(m, pastRun, func(r deletion.Round) bool { return r.State == deletion.Finished })
	}
	s.at("2024-03-10 08:00") // before the list is proposed: whom a proposed round has, no order takes
	selectedOrder := map[int]uuid.UUID{}
	for _, m := range []int{s.A, s.B} {
		for _, p := range s.people {
			if p.m == m && strings.HasPrefix(p.name, "selected") {
				s.as(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) (err error) {
					selectedOrder[m], err = deletion.AskOrder(ctx, tx, deletion.NewOrder{Scope: "selected", Clients: []uuid.UUID{p.id}, Reason: "other", Reference: "24/2", RunOn: calendar.On(2024, 3, 25)})
					return err
				})
			}
		}
	}
	s.at("2024-03-20 08:00")
	if err := deletion.Sweep(t.Context(), s.DB); err != nil {
		t.Fatal(err)
	}
	s.registers()
	for _, m := range []int{s.A, s.B} {
		late := s.person(fmt.Sprintf("late%d", m), m) // reports and searches of earlier have expired
		s.bring(m, late)
		s.as(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) error {
			_, err := client.SaveSearch(ctx, tx, late.get("stored_search.terms"))
			return err
		})
		group := s.round(m, "2024-07-01").ID
		s.as(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.AskOrder(ctx, tx, deletion.NewOrder{Scope: "group", GroupID: &group, Reason: "backlog", Reference: "24/1", RunOn: calendar.On(2024, 4, 2)})
			return err
		})
		s.as(access.Support, m, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.PlaceOrder(ctx, tx, selectedOrder[m])
			return err
		})
		s.until(m, comingRun, func(r deletion.Round) bool { return r.State == deletion.Proposed })
		s.control(m, comingRun)
		s.askAround(m)
	}
}

// a blind login, with the role it takes.
type blind struct{ login, role string }

func (b blind) String() string { return strings.TrimSpace(b.login + " " + b.role) }

// user is who PostgreSQL takes the session for.
func (b blind) user() string {
	if b.role != "" {
		return b.role
	}
	return b.login
}

var blinds = []blind{
	{"frist_operator", ""},
	{"frist_operator", "frist_supplier"},
	{"frist_web", ""},
	{"frist_web", "frist_support"},
	{"frist_web", "frist_signin"},
	{"frist_web", "frist_platform"},
	{"frist_worker", ""},
	{"frist_worker", "frist_jobs"},
}

// run runs sql and gives what it answered as text; each in a transaction that is rolled back.
func run(ctx context.Context, conn *pgx.Conn, sql string) (string, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return "", err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // nothing shall stay
	var out strings.Builder
	if strings.HasPrefix(sql, "COPY") {
		_, err = conn.PgConn().CopyTo(ctx, &out, sql)
		return out.String(), err
	}
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	for _, r := range results {
		for _, row := range r.Rows {
			for _, v := range row {
				out.Write(v)
				out.WriteByte('\n')
			}
		}
	}
	return out.String(), err
}

// ways are those on which a personal column could be reached. All of them are refused.
var ways = []string{
	`SELECT %[2]s FROM %[1]s`,
	`SELECT count(*) FROM %[1]s WHERE %[2]s::text LIKE 'Zq7%%'`,
	`SELECT count(%[2]s) FROM %[1]s`,
	`SELECT 1 FROM %[1]s ORDER BY %[2]s LIMIT 1`,
	`SELECT count(*) FROM %[1]s GROUP BY %[2]s`,
	`SELECT %[1]s FROM %[1]s`,
	`SELECT t::text FROM %[1]s t`,
	`SELECT row_to_json(t) FROM %[1]s t`,
	`SELECT to_jsonb(t)->>'%[2]s' FROM %[1]s t`,
	`SELECT hashtext(%[2]s::text) FROM %[1]s`,
	`SELECT * FROM %[1]s`,
	`TABLE %[1]s`,
	`COPY %[1]s (%[2]s) TO STDOUT`,
	`COPY (SELECT %[2]s FROM %[1]s) TO STDOUT`,
	`COPY %[1]s TO PROGRAM 'true'`,
	`DECLARE c CURSOR FOR SELECT %[2]s FROM %[1]s; FETCH ALL FROM c`,
	`DEALLOCATE ALL; PREPARE p AS SELECT %[2]s FROM %[1]s; EXECUTE p`,
	`CREATE TEMP TABLE mine AS SELECT %[2]s FROM %[1]s; SELECT * FROM mine`,
	`CREATE TEMP TABLE mine (LIKE %[1]s); INSERT INTO mine SELECT * FROM %[1]s; SELECT * FROM mine`,
	`CREATE TEMP VIEW mine AS SELECT %[2]s FROM %[1]s; SELECT * FROM mine`,
	`EXPLAIN SELECT 1 FROM %[1]s WHERE %[2]s::text = 'x'`,
	`EXPLAIN ANALYZE SELECT %[2]s FROM %[1]s`,
	`UPDATE %[1]s SET %[2]s = %[2]s`,
	`UPDATE %[1]s SET %[2]s = NULL RETURNING %[2]s`,
	`DELETE FROM %[1]s WHERE %[2]s::text LIKE 'Z%%'`,
	`SELECT %[2]s FROM %[1]s FOR UPDATE`,
	`SELECT query_to_xml('SELECT %[2]s FROM %[1]s', true, false, '')`,
	`SELECT table_to_xml('%[1]s', true, false, '')`,
	`SELECT (xpath('//text()', query_to_xml('SELECT %[2]s FROM %[1]s', true, false, '')))::text`,
	`DO $$ BEGIN PERFORM %[2]s FROM %[1]s; END $$`,
	`WITH x AS (SELECT %[2]s FROM %[1]s) SELECT * FROM x`,
	`SELECT x.* FROM %[1]s x TABLESAMPLE SYSTEM (100)`,
	`ALTER TABLE %[1]s NO FORCE ROW LEVEL SECURITY; SELECT %[2]s FROM %[1]s`,
	`GRANT SELECT ON %[1]s TO current_user; SELECT %[2]s FROM %[1]s`,
	`ANALYZE %[1]s; SELECT most_common_vals::text FROM pg_stats WHERE tablename = '%[1]s' AND attname = '%[2]s'; SELECT 1 / 0`,
}

// noPersonalColumn tries every way to every personal column with every blind login.
func (s *stage) noPersonalColumn(t *testing.T) {
	s.Exec(t, `ANALYZE`)
	ctx := t.Context()
	columns := explain.PersonalColumns()
	var ids []token
	for _, p := range s.people {
		ids = append(ids, token{p.name, "id", p.id.String(), p.id.String()})
	}
	look := newScanner(slices.Concat(s.tokens, ids))
	tried := 0
	for _, b := range blinds {
		for _, municipality := range []string{"1", "2"} {
			conn := session(t, s.World.Env, b.login, b.role, municipality)
			for _, c := range columns {
				for _, way := range ways {
					if municipality == "2" && way != ways[0] && !long {
						continue // whose it is makes no difference to who may
					}
					sql := fmt.Sprintf(way, c.Table, c.Name)
					answer, err := run(ctx, conn, sql)
					tried++
					look.look(b.String(), []byte(answer))
					warned := err != nil && state(err) == "22012" // ANALYZE of somebody else's table is a warning, and the statistics were empty
					if strings.HasPrefix(way, "ANALYZE") && warned && answer == "" {
						continue
					}
					if strings.HasPrefix(way, "ALTER") && state(err) == "42501" {
						continue
					}
					if state(err) != "42501" {
						t.Errorf("%s: %s answered %q, %v", b, sql, answer, err)
					}
				}
			}
			for _, sql := range []string{
				`SELECT most_common_vals::text || histogram_bounds::text FROM pg_stats WHERE schemaname IN ('public', 'river')`,
				`SELECT t::text FROM pg_stats t`, `SELECT t::text FROM pg_stats_ext t`, `SELECT t::text FROM pg_stat_activity t`,
				`SELECT t::text FROM pg_settings t`, `SELECT t::text FROM pg_roles t`,
			} {
				answer, err := run(ctx, conn, sql)
				if err != nil {
					t.Errorf("%s: %v in %s", b, err, sql)
				}
				look.look(b.String()+" by "+sql, []byte(answer))
			}
			for _, sql := range []string{
				`SELECT t::text FROM pg_statistic t`, `SELECT t::text FROM pg_authid t`, `SELECT t::text FROM pg_largeobject t`, `SELECT pg_read_file('postgresql.conf')`,
				`SELECT pg_ls_dir('.')`, `SELECT lo_import('/etc/passwd')`, `SELECT pg_ls_logdir()`, `COPY (SELECT 1) TO '/tmp/x'`, `CREATE TABLE public.mine ()`, `CREATE SCHEMA mine`,
				`CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`, `CREATE EXTENSION btree_gist`,
				`SET log_statement = 'all'`, `SET session_replication_role = replica`, `ALTER ROLE current_user BYPASSRLS`, `CREATE ROLE mine`,
				`SET ROLE postgres`, `SET SESSION AUTHORIZATION postgres`, `ALTER FUNCTION round_board(text[]) RESET search_path`,
			} {
				if answer, err := run(ctx, conn, sql); state(err) != "42501" {
					t.Errorf("%s: %s answered %q, %v", b, sql, answer, err)
				}
			}
			s.callEverything(conn, b, look)
		}
	}
	for _, h := range look.hits {
		t.Errorf("%s got %s as %s", h.where, h.token, h.encoding)
	}
	t.Logf("%d statements over %d personal columns as %d blind logins", tried, len(columns), len(blinds))

	for _, c := range []struct{ login, role string }{
		{"frist_operator", "frist_municipality"},
		{"frist_operator", "frist_support"},
		{"frist_operator", "frist_visitor"},
		{"frist_worker", "frist_visitor"},
		{"frist_operator", "frist_platform"},
		{"frist_operator", "frist_signin"},
		{"frist_operator", "frist_purger"},
		{"frist_operator", "frist_definer"},
		{"frist_operator", "frist_jobs"},
		{"frist_operator", "frist_web"},
		{"frist_operator", "frist_worker"},
		{"frist_web", "frist_purger"},
		{"frist_web", "frist_definer"},
		{"frist_web", "frist_supplier"},
		{"frist_web", "frist_jobs"},
		{"frist_worker", "frist_municipality"},
		{"frist_worker", "frist_signin"},
		{"frist_worker", "frist_definer"},
		{"frist_operator", "pg_read_all_data"},
	} {
		conn := session(t, s.World.Env, c.login, "", "1")
		if _, err := run(ctx, conn, "SET ROLE "+c.role); state(err) != "42501" {
			t.Errorf("%s can become %s: %v", c.login, c.role, err)
		}
	}
}

// callEverything calls each of our functions with plausible arguments and reads every table and column that may be read,
// in both municipalities. What comes out is looked through.
func (s *stage) callEverything(conn *pgx.Conn, b blind, look *scanner) {
	t, ctx := s.t, s.t.Context()
	t.Helper()
	arguments := map[string]string{
		"int4": "1", "int8": "(SELECT max(round_id) FROM round_directory)", "text": "'%'", "_uuid": "ARRAY['" + s.people[0].id.String() + "'::uuid]", "uuid": "'" + s.people[0].id.String() + "'", "_text": "'{open,proposed,controlled,approved,running,finished}'",
		"date": "current_date", "timestamptz": "now()", "bool": "true", "jsonb": "'{}'", "_int8": "ARRAY[101::bigint]", "bytea": `'\\x00'::bytea`,
	}
	rows, err := s.Admin.Query(ctx, `SELECT p.oid::regprocedure::text, p.proname, (SELECT coalesce(string_agg(a.typname, ' ' ORDER BY n.i), '') FROM unnest(p.proargtypes) WITH ORDINALITY AS n (t, i) JOIN pg_type a ON a.oid = n.t),
			p.prorettype::regtype::text, has_function_privilege($1, p.oid, 'EXECUTE')
		FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')`, b.user())
	if err != nil {
		t.Fatal(err)
	}
	var signature, name, types, returns string
	var may bool
	_, err = pgx.ForEachRow(rows, []any{&signature, &name, &types, &returns, &may}, func() error {
		if returns == "trigger" {
			return nil
		}
		var args []string
		for typ := range strings.FieldsSeq(types) {
			args = append(args, arguments[typ])
		}
		sql := fmt.Sprintf(`SELECT f::text FROM %s(%s) f`, name, strings.Join(args, ", "))
		if returns == "procedure" {
			sql = fmt.Sprintf(`CALL %s(%s)`, name, strings.Join(args, ", "))
		}
		answer, err := run(ctx, conn, sql)
		if !may && state(err) != "42501" {
			t.Errorf("%s: %s answered %q, %v", b, sql, answer, err)
		}
		if may && err != nil && state(err) != "42501" {
			t.Errorf("%s: %v in %s", b, err, sql)
		}
		look.look(b.String()+" by "+sql, []byte(answer))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err = s.Admin.Query(ctx, `SELECT c.oid::regclass::text, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relnamespace IN ('public'::regnamespace, 'river'::regnamespace) AND c.relkind IN ('r', 'p') AND has_column_privilege($1, c.oid, a.attnum, 'SELECT')
			AND has_schema_privilege($1, c.relnamespace, 'USAGE') GROUP BY 1`, b.user())
	if err != nil {
		t.Fatal(err)
	}
	var table, columns string
	_, err = pgx.ForEachRow(rows, []any{&table, &columns}, func() error {
		sql := `SELECT ` + columns + ` FROM ` + table
		answer, err := run(ctx, conn, sql)
		if err != nil {
			t.Errorf("%s: %v in %s", b, err, sql)
		}
		look.look(b.String()+" by "+table, []byte(answer))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tenants are the group roles that stand in one municipality, with a caller of each.
func (s *stage) tenants(m int) map[string]access.Caller {
	return map[string]access.Caller{
		"frist_municipality": s.World.As(access.Caseworker, m), "frist_support": s.World.As(access.Support, m), "frist_supplier": s.World.As(access.Operator, m),
		"frist_platform": s.World.As(access.PlatformAdministrator, m), "frist_purger": access.SystemFor(m),
	}
}

// tenantTables are those behind the one policy, each of which has rows of both municipalities.
func (s *stage) tenantTables() []string {
	s.t.Helper()
	var tables []string
	for _, table := range s.names(s.t, `SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid AND p.polname = 'own_municipality' ORDER BY 1`) {
		for _, m := range []int{s.A, s.B} {
			if s.Count(s.t, `SELECT count(*) FROM `+table+` WHERE municipality_id = $1`, m) == 0 {
				s.t.Errorf("%s has no row of municipality %d: the test would prove nothing", table, m)
			}
		}
		tables = append(tables, table)
	}
	return tables
}

// apart tries to see, to write and to tell anything of the other municipality as everybody of the one.
func (s *stage) apart(t *testing.T) {
	ctx := t.Context()
	tables := s.tenantTables()
	sum := func() string {
		var all strings.Builder
		for _, table := range tables {
			var hash string
			if err := s.Admin.QueryRow(ctx, `SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM `+table+` t WHERE municipality_id = 2`).Scan(&hash); err != nil {
				t.Fatal(err)
			}
			all.WriteString(table + " " + hash + "\n")
		}
		return all.String()
	}
	before := sum()
	seen, refused := 0, 0
	for role, caller := range s.tenants(s.A) {
		login := map[string]string{"frist_supplier": "frist_operator", "frist_purger": "frist_worker"}[role]
		if login == "" {
			login = "frist_web"
		}
		conn := session(t, s.World.Env, login, role, "1")
		none := session(t, s.World.Env, login, role, "")
		for _, table := range tables {
			var may, mayInsert, mayUpdate, mayDelete bool
			if err := s.Admin.QueryRow(ctx, `SELECT has_column_privilege($1, $2, 'municipality_id', 'SELECT'), has_column_privilege($1, $2, 'municipality_id', 'INSERT'),
				has_any_column_privilege($1, $2, 'UPDATE'), has_table_privilege($1, $2, 'DELETE')`, role, table).Scan(&may, &mayInsert, &mayUpdate, &mayDelete); err != nil {
				t.Fatal(err)
			}
			if may {
				seen++
				var foreign, own, without int
				err := conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE municipality_id <> 1), count(*) FROM `+table).Scan(&foreign, &own)
				closed := table == "protected_contact" && role == "frist_municipality" // to all but the named few (D21)
				if err != nil || foreign != 0 || (own == 0) != closed {
					t.Errorf("%s sees %d foreign rows of %d in %s: %v", role, foreign, own, table, err)
				}
				if err := none.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&without); err != nil || without != 0 {
					t.Errorf("%s sees %d rows of %s without a municipality: %v", role, without, table, err)
				}
				// The same by way of the code's own door, with the caller's municipality and with a lie about it.
				err = s.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
					return tx.QueryRow(ctx, `SELECT count(*) FROM `+table+` WHERE municipality_id = 2`).Scan(&foreign)
				})
				if err != nil || foreign != 0 {
					t.Errorf("%s asks for %s of another municipality and gets %d: %v", role, table, foreign, err)
				}
			}
			if mayInsert {
				refused++
				var row string
				if err := s.Admin.QueryRow(ctx, `SELECT to_jsonb(t)::text FROM `+table+` t WHERE municipality_id = 1 LIMIT 1`).Scan(&row); err != nil {
					t.Fatal(err)
				}
				for _, change := range []string{`{"municipality_id": 2, "round": 1}`, `{"municipality_id": 0, "round": 1}`} {
					if table == "deletion_round" { // a new one, so that its entry in the directory is new too
						change = strings.Replace(change, `"round": 1`, `"id": 987654321, "number": "x", "state": "open"`, 1)
					}
					columns := strings.Join(s.names(t, `SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '`+table+`'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`), ", ")
					_, err := conn.Exec(ctx, `INSERT INTO `+table+` (`+columns+`) SELECT `+columns+` FROM jsonb_populate_record(null::`+table+`, $1::jsonb || $2::jsonb)`, row, change)
					if got := state(err); got != "42501" && !strings.HasPrefix(got, "FR0") {
						t.Errorf("%s writes a foreign row into %s: %v", role, table, err)
					}
				}
			}
			if mayUpdate {
				refused++
				if _, err := conn.Exec(ctx, `UPDATE `+table+` SET municipality_id = 2`); state(err) != "42501" && !strings.HasPrefix(state(err), "FR0") {
					t.Errorf("%s gives rows of %s away: %v", role, table, err)
				}
			}
			if mayDelete {
				if tag, err := conn.Exec(ctx, `DELETE FROM `+table+` WHERE municipality_id = 2`); err != nil && state(err) != "42501" || tag.RowsAffected() != 0 {
					t.Errorf("%s deletes %d foreign rows of %s: %v", role, tag.RowsAffected(), table, err)
				}
			}
		}
	}
	for role, login := range map[string]string{"frist_municipality": "frist_web", "frist_support": "frist_web", "frist_purger": "frist_worker"} {
		conn := session(t, s.World.Env, login, role, "1")
		if _, err := conn.Exec(ctx, `INSERT INTO round_directory (round_id, number, municipality_id) VALUES (987654321, '5501-300101', 2)`); state(err) != "42501" {
			t.Errorf("%s writes down where another municipality's round lives: %v", role, err)
		}
	}
	if after := sum(); after != before {
		t.Error("something of the other municipality has changed")
	}
	if len(tables) < 40 || seen < 80 || refused < 30 {
		t.Errorf("only %d tables, %d reads, %d writes: the test would prove little", len(tables), seen, refused)
	}
	s.foreignKeysTellNothing(tables)
	s.foreignIsMissing()
}

// foreignKeysTellNothing points with every key that leads to another tenant table at a row of the other municipality, and
// at one that is nowhere: the database must answer both in the same words.
func (s *stage) foreignKeysTellNothing(tables []string) {
	t, ctx := s.t, s.t.Context()
	t.Helper()
	conn := session(t, s.World.Env, "frist_web", "frist_municipality", "1")
	rows, err := s.Admin.Query(ctx, `SELECT k.conrelid::regclass::text, k.confrelid::regclass::text, k.conname, a.attname, b.attname, format_type(a.atttypid, null)
		FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[cardinality(k.conkey)] JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[cardinality(k.confkey)]
		WHERE k.contype = 'f' AND cardinality(k.conkey) = 2 AND has_table_privilege('frist_municipality', k.conrelid, 'INSERT')`)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k [6]string, err error) {
		return k, row.Scan(&k[0], &k[1], &k[2], &k[3], &k[4], &k[5])
	})
	if err != nil || len(keys) < 10 {
		t.Fatalf("%d keys: %v", len(keys), err)
	}
	for _, k := range keys {
		if !slices.Contains(tables, k[1]) {
			continue
		}
		var row, foreign string
		if err := s.Admin.QueryRow(ctx, `SELECT (SELECT to_jsonb(t)::text FROM `+k[0]+` t WHERE municipality_id = 1 LIMIT 1), (SELECT `+k[4]+`::text FROM `+k[1]+` WHERE municipality_id = 2 LIMIT 1)`).Scan(&row, &foreign); err != nil {
			t.Fatal(err)
		}
		missing := uuid.NewString()
		if k[5] != "uuid" {
			missing = "999999999"
		}
		var said []string
		for _, target := range []string{foreign, missing} {
			fresh := map[string]any{k[3]: target}
			_, err := conn.Exec(ctx, `INSERT INTO `+k[0]+` SELECT (jsonb_populate_record(null::`+k[0]+`, $1::jsonb || $2)).*`, row, fresh)
			var pgErr *pgconn.PgError
			if !errors.As(err, &pgErr) {
				t.Errorf("%s: pointed at %s, and it was taken: %v", k[2], target, err)
				continue
			}
			said = append(said, pgErr.Code+" "+pgErr.ConstraintName+" "+strings.ReplaceAll(pgErr.Message, target, "…")+" "+strings.ReplaceAll(pgErr.Detail, target, "…"))
		}
		if len(said) == 2 && said[0] != said[1] {
			t.Errorf("%s tells a foreign row from a missing one: %q, %q", k[2], said[0], said[1])
		}
	}
}

// foreignIsMissing calls what takes an id with one of the other municipality and with one of nobody: the same error.
func (s *stage) foreignIsMissing() {
	t := s.t
	t.Helper()
	id := func(sql string) (found uuid.UUID) {
		if err := s.Admin.QueryRow(t.Context(), sql+` WHERE municipality_id = 2 LIMIT 1`).Scan(&found); err != nil {
			t.Fatalf("%v in %s", err, sql)
		}
		return found
	}
	clients, addresses, devices, holds, orders, runs, searches := id(`SELECT id FROM client`), id(`SELECT id FROM address`), id(`SELECT id FROM device`), id(`SELECT id FROM hold`),
		id(`SELECT id FROM deletion_order`), id(`SELECT id FROM import_run`), id(`SELECT id FROM stored_search`)
	round := s.round(s.B, pastRun).ID
	own := s.people[1].id
	var ownDevice uuid.UUID
	if err := s.Admin.QueryRow(t.Context(), `SELECT id FROM device WHERE municipality_id = 1 AND stock_state = 'in_stock' LIMIT 1`).Scan(&ownDevice); err != nil {
		t.Fatal(err)
	}
	type tx = *pg.Tx
	ctx := t.Context()
	drop := func(_ any, err error) error { return err }
	for _, c := range []struct {
		name    string
		role    access.Role
		foreign uuid.UUID
		call    func(tx tx, id uuid.UUID) error
	}{
		{"client.Find", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { return drop(client.Find(ctx, tx, id)) }},
		{"client.Lock", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { return drop(client.Lock(ctx, tx, id)) }},
		{"client.Notes", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { n, err := client.Notes(ctx, tx, id); return nothing(n, err) }},
		{"client.History", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { n, err := client.History(ctx, tx, id); return nothing(n, err) }},
		{"client.Medical", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { n, err := client.Medical(ctx, tx, id); return nothing(n, err) }},
		{"client.NextOfKin", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { n, err := client.NextOfKin(ctx, tx, id); return nothing(n, err) }},
		{"client.CarePlans", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { n, err := client.CarePlans(ctx, tx, id); return nothing(n, err) }},
		{"client.Recordings", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { n, err := client.Recordings(ctx, tx, id); return nothing(n, err) }},
		{"client.Alarms", access.Caseworker, clients, func(tx tx, id uuid.UUID) error {
			n, err := client.Alarms(ctx, tx, id, client.EventCursor{}, 10)
			return nothing(n, err)
		}},
		{"client.ChangeLog", access.PrivacyOfficer, clients, func(tx tx, id uuid.UUID) error {
			n, err := client.ChangeLog(ctx, tx, id, client.EventCursor{}, 10)
			return nothing(n, err)
		}},
		{"client.AddNote", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { return client.AddNote(ctx, tx, id, "x") }},
		{"client.Change", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { return client.Change(ctx, tx, id, 1, client.Changes{Phone: new("1")}) }},
		{"client.MarkReviewed", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { return client.MarkReviewed(ctx, tx, id, calendar.On(2025, 1, 1)) }},
		{"client.FindAddress", access.Caseworker, addresses, func(tx tx, id uuid.UUID) error { return drop(client.FindAddress(ctx, tx, id)) }},
		{"client.Residents", access.Caseworker, addresses, func(tx tx, id uuid.UUID) error { n, err := client.Residents(ctx, tx, id); return nothing(n, err) }},
		{"client.LockAddress", access.Caseworker, addresses, func(tx tx, id uuid.UUID) error { return client.LockAddress(ctx, tx, id) }},
		{"client.FindSearch", access.Caseworker, searches, func(tx tx, id uuid.UUID) error { return drop(client.FindSearch(ctx, tx, id)) }},
		{"device.Find", access.Caseworker, devices, func(tx tx, id uuid.UUID) error { return drop(device.Find(ctx, tx, id)) }},
		{"device.Connect", access.Caseworker, devices, func(tx tx, id uuid.UUID) error { return device.Connect(ctx, tx, id, device.Target{Client: own}) }},
		{"device.Connect to", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { return device.Connect(ctx, tx, ownDevice, device.Target{Client: id}) }},
		{"device.Connect at", access.Caseworker, addresses, func(tx tx, id uuid.UUID) error { return device.Connect(ctx, tx, ownDevice, device.Target{Address: id}) }},
		{"device.Disconnect", access.Caseworker, devices, func(tx tx, id uuid.UUID) error { return device.Disconnect(ctx, tx, id) }},
		{"device.Exchange", access.Caseworker, devices, func(tx tx, id uuid.UUID) error { return device.Exchange(ctx, tx, ownDevice, id) }},
		{"device.Prefer", access.Caseworker, devices, func(tx tx, id uuid.UUID) error { return device.Prefer(ctx, tx, id) }},
		{"device.OnClient", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { n, err := device.OnClient(ctx, tx, id); return nothing(n, err) }},
		{"retention.Holds", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { n, err := retention.Holds(ctx, tx, id); return nothing(n, err) }},
		{"retention.FindHold", access.Caseworker, holds, func(tx tx, id uuid.UUID) error { return drop(retention.FindHold(ctx, tx, id)) }},
		{"retention.AskRelease", access.Caseworker, holds, func(tx tx, id uuid.UUID) error { return retention.AskRelease(ctx, tx, id, "x") }},
		{"deletion.PlaceHold", access.Caseworker, clients, func(tx tx, id uuid.UUID) error {
			return drop(deletion.PlaceHold(ctx, tx, retention.NewHold{ClientID: &id, Reason: "police", Authority: "x", ReviewOn: calendar.On(2025, 1, 1)}))
		}},
		{"deletion.PlaceHold at", access.Caseworker, addresses, func(tx tx, id uuid.UUID) error {
			return drop(deletion.PlaceHold(ctx, tx, retention.NewHold{AddressID: &id, Reason: "police", Authority: "x", ReviewOn: calendar.On(2025, 1, 1)}))
		}},
		{"deletion.ReleaseHold", access.Approver, holds, func(tx tx, id uuid.UUID) error { return deletion.ReleaseHold(ctx, tx, id) }},
		{"deletion.Disconnect", access.Caseworker, clients, func(tx tx, id uuid.UUID) error {
			return drop(deletion.Disconnect(ctx, tx, id, deletion.StatusChange{To: client.Disconnected, Reason: "moved"}))
		}},
		{"deletion.PreviewDisconnect", access.Caseworker, clients, func(tx tx, id uuid.UUID) error {
			return drop(deletion.PreviewDisconnect(ctx, tx, id, deletion.StatusChange{To: client.Disconnected, Reason: "moved"}))
		}},
		{"deletion.Reactivate", access.Caseworker, clients, func(tx tx, id uuid.UUID) error {
			return deletion.Reactivate(ctx, tx, id, deletion.StatusChange{To: client.Active})
		}},
		{"deletion.PlacementOf", access.Caseworker, clients, func(tx tx, id uuid.UUID) error { return drop(deletion.PlacementOf(ctx, tx, id)) }},
		{"deletion.Move", access.Caseworker, clients, func(tx tx, id uuid.UUID) error {
			return deletion.Move(ctx, tx, id, s.round(s.A, "2024-07-01").ID, "x")
		}},
		{"deletion.AskOrder", access.Caseworker, clients, func(tx tx, id uuid.UUID) error {
			return drop(deletion.AskOrder(ctx, tx, deletion.NewOrder{Scope: "selected", Clients: []uuid.UUID{id}, Reason: "other", Reference: "1", RunOn: calendar.On(2024, 4, 2)}))
		}},
		{"deletion.FindOrder", access.Caseworker, orders, func(tx tx, id uuid.UUID) error { return drop(deletion.FindOrder(ctx, tx, id)) }},
		{"deletion.PlaceOrder", access.Support, orders, func(tx tx, id uuid.UUID) error { return drop(deletion.PlaceOrder(ctx, tx, id)) }},
		{"deletion.DeclineOrder", access.Support, orders, func(tx tx, id uuid.UUID) error { return deletion.DeclineOrder(ctx, tx, id) }},
		{"exchange.FindRun", access.Caseworker, runs, func(tx tx, id uuid.UUID) error { return drop(exchange.FindRun(ctx, tx, id)) }},
	} {
		var got []error
		for _, id := range []uuid.UUID{c.foreign, uuid.New()} {
			got = append(got, s.DB.InTx(ctx, s.World.As(c.role, s.A), func(tx tx) error { return c.call(tx, id) }))
		}
		if got[0] == nil || !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s tells a foreign id from a missing one: %v, %v", c.name, got[0], got[1])
		}
		if got[0] != nil && !problem.Public(got[0]) && !errors.Is(got[0], errNothing) {
			t.Errorf("%s answers neither with a problem: %v", c.name, got[0])
		}
	}
	for _, c := range []struct {
		name string
		role access.Role
		call func(tx tx, id int64) error
	}{
		{"FindRound", access.Approver, func(tx tx, id int64) error { return drop(deletion.FindRound(ctx, tx, id)) }},
		{"FindProtocol", access.Approver, func(tx tx, id int64) error { return drop(deletion.FindProtocol(ctx, tx, id)) }},
		{"Approve", access.Approver, func(tx tx, id int64) error { return deletion.Approve(ctx, tx, id, deletion.Approval{}) }},
		{"Reject", access.Approver, func(tx tx, id int64) error { return deletion.Reject(ctx, tx, id, "other", "x") }},
		{"Cancel", access.Approver, func(tx tx, id int64) error { return deletion.Cancel(ctx, tx, id, "other", "x") }},
		{"LiftBrake", access.Approver, func(tx tx, id int64) error { return deletion.LiftBrake(ctx, tx, id) }},
		{"RequestControl", access.Support, func(tx tx, id int64) error { return deletion.RequestControl(ctx, tx, id) }},
		{"FinishControl", access.Support, func(tx tx, id int64) error { return deletion.FinishControl(ctx, tx, id) }},
		{"Find", access.Support, func(tx tx, id int64) error { return deletion.Find(ctx, tx, id, 1, deletion.FoundInStock) }},
		{"SpotChecks", access.Support, func(tx tx, id int64) error { n, err := deletion.SpotChecks(ctx, tx, id); return nothing(n, err) }},
		{"Start", access.Operator, func(tx tx, id int64) error { return deletion.Start(ctx, tx, id, "3218-231001") }},
		{"Pause", access.Operator, func(tx tx, id int64) error { return deletion.Pause(ctx, tx, id) }},
		{"Tally", access.Operator, func(tx tx, id int64) error { n, err := deletion.Tally(ctx, tx, id); return nothing(n, err) }},
		{"Move to", access.Caseworker, func(tx tx, id int64) error { return deletion.Move(ctx, tx, s.people[1].id, id, "x") }},
	} {
		var got []error
		for _, id := range []int64{round, 999999999} {
			got = append(got, s.DB.InTx(ctx, s.World.As(c.role, s.A), func(tx tx) error { return c.call(tx, id) }))
		}
		if got[0] == nil || !reflect.DeepEqual(got[0], got[1]) {
			t.Errorf("%s tells a foreign round from a missing one: %v, %v", c.name, got[0], got[1])
		}
	}
}

var errNothing = errors.New("an empty list")

// nothing turns an empty list into an error, so that a list that is not empty shows.
func nothing[T any](list []T, err error) error {
	if err == nil && len(list) == 0 {
		return errNothing
	}
	return err
}

// TestManySwitchesOnFewConnections changes the municipality for every transaction of many goroutines on three connections,
// with transactions that fail, panic, are cancelled or end in an error of the database in between.
func TestManySwitchesOnFewConnections(t *testing.T) {
	s := newStage(t)
	for range 3 {
		s.Add(t, pgtest.Person{Municipality: s.A})
		s.Add(t, pgtest.Person{Municipality: s.B})
	}
	db, err := pg.Open(t.Context(), pg.Config{Web: s.DSN("frist_web", "web"), Operator: s.DSN("frist_operator", "operator"), Worker: s.DSN("frist_worker", "worker"), Clock: s.Now, MaxConns: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	const goroutines = 16
	times := 10000 / goroutines
	if long {
		times *= 20
	}
	var done, broken atomic.Int64
	var wait sync.WaitGroup
	for range goroutines {
		wait.Go(func() {
			for range times {
				m := 1 + rand.IntN(2)
				ctx, cancel := context.WithCancel(t.Context())
				way := rand.IntN(40)
				caller := s.World.As(access.Caseworker, m)
				if way == 7 {
					caller = s.World.As(access.Caseworker, 0) // somebody of nowhere
				}
				err := func() (err error) {
					defer func() {
						if p := recover(); p != nil {
							err = io.EOF
						}
					}()
					return db.InTx(ctx, caller, func(tx *pg.Tx) error {
						rows, err := tx.Query(ctx, `SELECT municipality_id, id FROM client`)
						if err != nil {
							return err
						}
						var of int
						var id uuid.UUID
						n := 0
						_, err = pgx.ForEachRow(rows, []any{&of, &id}, func() error {
							n++
							if of != m || way == 7 {
								t.Errorf("as municipality %d a row of %d", caller.Municipality, of)
							}
							return nil
						})
						if err == nil && n != 3 && way != 7 {
							t.Errorf("%d rows of 3", n)
						}
						switch way {
						case 1:
							return io.EOF
						case 2:
							_, err = tx.Exec(ctx, `SELECT 1 / 0`)
						case 3:
							time.AfterFunc(time.Millisecond, cancel)
							_, err = tx.Exec(ctx, `SELECT pg_sleep(1)`)
						case 4:
							_, err = tx.Exec(ctx, `SELECT set_config('frist.municipality', $1, true), set_config('role', 'frist_signin', true)`, fmt.Sprint(3-m))
						case 5:
							cancel()
						}
						return err
					})
				}()
				cancel()
				if err != nil {
					broken.Add(1)
					if way == 0 || way > 7 {
						t.Errorf("way %d: %v", way, err)
					}
				}
				done.Add(1)
			}
		})
	}
	wait.Wait()
	if broken.Load() < int64(goroutines) {
		t.Errorf("only %d transactions broke: the test would prove little", broken.Load())
	}
	t.Logf("%d transactions, %d of them broken off", done.Load(), broken.Load())
}
