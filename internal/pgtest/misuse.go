package pgtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// Script is something that somebody tries and may not.
type Script struct {
	Name string // a sentence: the name of the test
	By   int64  // whom the row of the refusal names: who did it, or whose key or account it was
	Code string // under which it is refused
	Do   func() error
}

// Misuse tries each script, as a test of its own with the sentence for its name. It must be refused under its code, leave
// exactly one row in the trail that says who was refused what, and change nothing else. A package's scripts stand in its
// TestMisuse, so that
//
//	go test ./internal/... -run '^TestMisuse$' -v
//
// lists them all.
func (e *Env) Misuse(t *testing.T, scripts []Script) {
	t.Helper()
	kept := e.kept(t)
	for _, c := range scripts {
		t.Run(c.Name, func(t *testing.T) {
			var last int64
			if err := e.Admin.QueryRow(t.Context(), `SELECT coalesce(max(id), 0) FROM audit`).Scan(&last); err != nil {
				t.Fatal(err)
			}
			before := e.contents(t, kept)
			err := c.Do()
			if err == nil {
				t.Error("it is done")
			}
			if code := refusalCode(err); code != "" && code != c.Code {
				t.Errorf("refused as %s: %v", code, err)
			}
			if e.contents(t, kept) != before {
				t.Error("something has changed")
			}
			type row struct {
				Named, Refused bool
				Said           string
			}
			rows, err := e.Admin.Query(t.Context(), `SELECT account_id = $2 OR account_id = 0 AND subject_id = $2::text AS named, refused, coalesce(detail ->> 'code', detail ->> 'why', detail ->> 'factor', '') AS said
				FROM audit WHERE id > $1 ORDER BY id`, last, c.By)
			if err != nil {
				t.Fatal(err)
			}
			written, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
			if err != nil {
				t.Fatal(err)
			}
			if len(written) != 1 || written[0] != (row{true, true, c.Code}) {
				t.Errorf("the trail says %v, and not once that account %d was refused: %s", written, c.By, c.Code)
			}
		})
	}
	t.Logf("%d scripts", len(scripts))
}

// refusalCode is the code of a refusal; empty when only the trail says why, as at the door.
func refusalCode(err error) string {
	var refusal problem.Forbidden
	var attempt problem.Attempt
	switch {
	case errors.As(err, &refusal):
		return refusal.Code
	case errors.As(err, &attempt):
		return attempt.Code()
	case errors.As(err, new(problem.StepUp)):
		return "step_up"
	}
	return ""
}

// counted are columns that tell that somebody was there, and tables that count tries: a refusal may write them.
var counted = map[string]string{"api_key": "{last_used_at,refused_at,refusals}", "session": "{seen_at}", "audit": "", "sign_in_failure": "", "rate_bucket": ""}

// kept is the statement that sums up everything that a refusal must leave alone.
func (e *Env) kept(t *testing.T) string {
	t.Helper()
	rows, err := e.Admin.Query(t.Context(), `SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace IN ('public'::regnamespace, 'river'::regnamespace)
		AND c.relname NOT LIKE 'river_%' OR c.oid = 'river.river_job'::regclass ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, table := range tables {
		columns, some := counted[table]
		if some && columns == "" {
			continue
		}
		if table == "river.river_job" { // workers write theirs; nothing new may be asked for
			parts = append(parts, `(SELECT max(id)::text FROM river.river_job)`)
			continue
		}
		if columns == "" {
			columns = "{}"
		}
		parts = append(parts, fmt.Sprintf(`(SELECT md5(string_agg(r, '' ORDER BY r)) FROM (SELECT (to_jsonb(t) - '%s'::text[])::text AS r FROM %s t) x)`, columns, table))
	}
	if len(parts) < 50 {
		t.Fatalf("only %d tables: this sees nothing", len(parts))
	}
	return `SELECT concat_ws(' ', ` + strings.Join(parts, `, `) + `)`
}

func (e *Env) contents(t *testing.T, kept string) (sum string) {
	t.Helper()
	if err := e.Admin.QueryRow(t.Context(), kept).Scan(&sum); err != nil {
		t.Fatal(err)
	}
	return sum
}
