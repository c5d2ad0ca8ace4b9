package pgtest

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Provocation is a statement that makes PostgreSQL answer with an error, and puts a value that nobody may see wherever
// such an error can carry one: message, detail, hint, the statement itself and its parameters.
type Provocation struct {
	State string
	sql   string
	args  int  // how many times the value is a parameter
	zero  bool // with a zero byte behind it
}

// Run provokes the error through what a transaction of the product offers.
func (p Provocation) Run(ctx context.Context, tx interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, value string,
) error {
	args := make([]any, p.args)
	for i := range args {
		args[i] = value
		if p.zero {
			args[i] = value + "\x00"
		}
	}
	rows, err := tx.Query(ctx, strings.ReplaceAll(p.sql, "{value}", value), args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if _, err := rows.Values(); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

// Provocations makes what they need in the test's database and gives them. Values are digits only, because some errors
// repeat nothing else, and 18 of them.
func (e *Env) Provocations(t testing.TB) []Provocation {
	t.Helper()
	e.Exec(t, `CREATE TABLE provoked (words text NOT NULL, must text, short varchar(5), small smallint, points_at text REFERENCES provoked (one), one text UNIQUE,
		CONSTRAINT not_bad CHECK (must <> 'bad'), CONSTRAINT apart EXCLUDE (must WITH =))`)
	e.Exec(t, `ALTER TABLE provoked ALTER must SET NOT NULL`)
	// Whoever raises an error may fill every field of it. Those below are raised only where the real thing needs a second
	// server, a full disk or a race.
	e.Exec(t, `CREATE FUNCTION provoke(state text, words text) RETURNS void LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION '%', words USING ERRCODE = state, DETAIL = 'detail ' || words, HINT = 'hint ' || words, COLUMN = words, TABLE = words; END $$`)
	e.Exec(t, `CREATE FUNCTION provoke_end(connection boolean) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$
		SELECT CASE WHEN $1 THEN pg_terminate_backend(pg_backend_pid()) ELSE pg_cancel_backend(pg_backend_pid()) END $$`)
	e.Exec(t, `GRANT SELECT, INSERT, UPDATE ON provoked TO frist_municipality, frist_purger; GRANT EXECUTE ON FUNCTION provoke, provoke_end TO frist_municipality, frist_purger`)
	raised := func(state string) Provocation {
		return Provocation{State: state, sql: `SELECT provoke('` + state + `', $1) /* {value} */`, args: 1}
	}
	all := []Provocation{
		{State: "23502", sql: `INSERT INTO provoked (words, must) VALUES ('{value}', NULL)`},
		{State: "23503", sql: `INSERT INTO provoked (words, must, points_at) VALUES ($1, gen_random_uuid()::text, $2) /* {value} */`, args: 2},
		{State: "23505", sql: `INSERT INTO provoked (words, must, one) SELECT $1, n::text, $2 FROM generate_series(1, 2) n /* {value} */`, args: 2},
		{State: "23514", sql: `INSERT INTO provoked (words, must) VALUES ('{value}', 'bad')`},
		{State: "23P01", sql: `INSERT INTO provoked (words, must) SELECT n::text, '{value}' FROM generate_series(1, 2) n`},
		{State: "22P02", sql: `SELECT ('x{value}')::uuid`},
		{State: "22001", sql: `INSERT INTO provoked (words, must, short) VALUES ('{value}', 'm', '{value}')`},
		{State: "22003", sql: `SELECT ('9{value}')::numeric::int`},
		{State: "22007", sql: `SELECT ($1::text || 'x')::date /* {value} */`, args: 1},
		{State: "22008", sql: `SELECT ('{value}-13-45')::timestamptz`},
		{State: "22012", sql: `SELECT {value} / 0`},
		{State: "22021", sql: `SELECT $1::text /* {value} */`, args: 1, zero: true},
		{State: "22023", sql: `SELECT set_config('timezone', '{value}/x', true)`},
		{State: "22P03", sql: `SELECT provoke('22P03', '{value}')`},
		{State: "2201B", sql: `SELECT 'x' ~ ('({value}')`},
		{State: "22032", sql: `SELECT provoke('22032', $1) /* {value} */`, args: 1},
		{State: "21000", sql: `SELECT (SELECT '{value}' FROM generate_series(1, 2))`},
		{State: "42501", sql: `SELECT '{value}' FROM account WHERE login = $1`, args: 1},
		{State: "42P01", sql: `SELECT 1 FROM "z{value}"`},
		{State: "42703", sql: `SELECT "z{value}" FROM provoked`},
		{State: "42601", sql: `SELECT FROM WHERE '{value}'`},
		{State: "42883", sql: `SELECT "z{value}"('{value}')`},
		{State: "42P18", sql: `SELECT provoke('42P18', '{value}')`},
		{State: "57014", sql: `SELECT provoke_end(false), pg_sleep(5), '{value}'`},
		{State: "P0001", sql: `DO $do$ BEGIN RAISE EXCEPTION '{value}'; END $do$`},
		{State: "57P01", sql: `SELECT provoke_end(true), pg_sleep(5), '{value}'`},
	}
	for _, state := range []string{"40001", "40P01", "55P03", "25006", "53300", "53100", "54000", "57P02", "57P03", "08006", "XX000", "FR001", "FR003", "FR009", "FR010", "FR011", "FR012", "FR013", "FR014", "FR015", "FR016", "FR099"} {
		all = append(all, raised(state))
	}
	return all
}
