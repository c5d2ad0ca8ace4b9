package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// LogSetting is a setting of the server by which its own log can hold the values of a row, and what it should be.
type LogSetting struct{ Name, Value, Want string }

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Talkative gives the settings by which the server's own log tells more than it may: the text of an error repeats what
// could not be read as a number or a day, its detail the whole row, and a statement its parameters (PROOF 3.3). Nothing
// is lost without them: Frist logs each error with its SQLSTATE. Nobody needs a right to ask.
func Talkative(ctx context.Context, tx querier) ([]LogSetting, error) {
	rows, err := tx.Query(ctx, `SELECT w.name, current_setting(w.name), w.want FROM (VALUES
			('log_min_messages', 'log', '{log,fatal,panic}'::text[]),
			('log_min_error_statement', 'panic', '{panic}'),
			('log_error_verbosity', 'terse', '{terse}'),
			('log_parameter_max_length', '0', '{0}'),
			('log_parameter_max_length_on_error', '0', '{0}'),
			('log_statement', 'none', '{none,ddl}'),
			('log_min_duration_statement', '-1', '{-1}')
		) AS w (name, want, good) WHERE NOT lower(current_setting(w.name)) = ANY (w.good) ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[LogSetting])
}

// patched is the first release of each major version in which statistics no longer tell a row that a policy hides
// (CVE-2025-8713).
var patched = map[int]int{15: 150014, 16: 160010, 17: 170006}

// Weaknesses says, in one English line each, by what the server at dsn, asked with the product's own login, is weaker than
// the product counts on: its log, its version, and what the login may. Empty is good.
func Weaknesses(ctx context.Context, dsn string) ([]string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, Translate(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	var weak []string
	settings, err := Talkative(ctx, conn)
	if err != nil {
		return nil, Translate(err)
	}
	for _, s := range settings {
		weak = append(weak, fmt.Sprintf("the server's log can hold personal values: %s is %s; set it to %s", s.Name, s.Value, s.Want))
	}
	var version int
	var login, attributes string
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, session_user, concat_ws(', ', CASE WHEN rolsuper THEN 'superuser' END,
			CASE WHEN rolbypassrls THEN 'bypassrls' END, CASE WHEN rolcreaterole THEN 'createrole' END, CASE WHEN rolinherit THEN 'inherit' END)
		FROM pg_roles WHERE rolname = session_user`).Scan(&version, &login, &attributes)
	if err != nil {
		return nil, Translate(err)
	}
	if attributes != "" {
		weak = append(weak, fmt.Sprintf("the login %s may look past the walls: it is %s", login, attributes))
	}
	if least := patched[version/10000]; version < least || version < 150000 {
		weak = append(weak, fmt.Sprintf("PostgreSQL %d.%d lacks the corrections that row-level security needs; use 15.14, 16.10, 17.6 or newer", version/10000, version%10000))
	}
	return weak, nil
}
