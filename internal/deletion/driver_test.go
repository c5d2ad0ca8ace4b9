package deletion_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertest"
	"github.com/riverqueue/river/rivertype"
)

// size is how much of a random test is done: the second with `make proof`.
func size(normal, long int) int {
	if os.Getenv("FRIST_PROOF") == "long" {
		return long
	}
	return normal
}

// in is the same stage in a part of its test.
func (s *stage) in(t *testing.T) *stage {
	part := *s
	part.t = t
	return &part
}

// by runs fn as the person with the role in municipality m.
func (s *stage) by(m int, role access.Role, fn func(ctx context.Context, tx *pg.Tx) error) error {
	ctx := s.t.Context()
	return s.DB.InTx(ctx, s.As(role, m), func(tx *pg.Tx) error { return fn(ctx, tx) })
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

var people atomic.Int64

// crowd adds n clients to municipality m by SQL, disconnected since an instant, each at an address of its own (Gate and
// its number, 1430 Ås). The next sweep places them.
func (s *stage) crowd(m, n int, since string) []uuid.UUID {
	s.t.Helper()
	ctx := s.t.Context()
	tx, err := s.Admin.Begin(ctx)
	s.must(err)
	defer tx.Rollback(ctx) //nolint:errcheck // after a commit there is nothing to roll back
	_, err = tx.Exec(ctx, `SELECT set_config('frist.now', $1, true)`, s.Now().Format(time.RFC3339Nano))
	s.must(err)
	first := people.Add(int64(n)) - int64(n)
	rows, err := tx.Query(ctx, `
		WITH p AS MATERIALIZED (SELECT gen_random_uuid() AS id, gen_random_uuid() AS home, $3 + 300000000 + g AS nr FROM generate_series(1, $2::int) g),
		home AS (INSERT INTO address (municipality_id, id, street, postcode, town) SELECT $1, home, 'Gate ' || nr, '1430', 'Ås' FROM p),
		client AS (INSERT INTO client (municipality_id, id, number, given_name, family_name, address_id, status, status_since, unplaced_reason, created_by, created_at, changed_by, changed_at)
			SELECT $1, id, nr::text, 'Fornavn', 'Etternavn ' || nr, home, 'disconnected', $4, 'no_start_date', 0, $4, 0, $4 FROM p),
		search AS (INSERT INTO client_search (municipality_id, client_id, text) SELECT $1, id, 'etternavn ' || nr FROM p),
		history AS (INSERT INTO status_entry (municipality_id, client_id, at, status, entered_by, entered_at)
			SELECT $1, id, $4 - interval '1 year', 'active', 0, $4 FROM p UNION ALL SELECT $1, id, $4, 'disconnected', 0, $4 FROM p),
		note AS (INSERT INTO note (municipality_id, client_id, at, text, entered_by) SELECT $1, id, $4, 'Notat', 0 FROM p),
		alarm AS (INSERT INTO alarm_event (municipality_id, client_id, at, kind) SELECT $1, id, $4 - n * interval '1 day', 'test' FROM p, generate_series(1, 3) n)
		SELECT id FROM p ORDER BY id`, m, n, first, oslo(s.t, since))
	s.must(err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	s.must(err)
	s.must(tx.Commit(ctx))
	return ids
}

// roundOn is the id of a municipality's scheduled round.
func (s *stage) roundOn(m int, runOn string) int64 {
	s.t.Helper()
	return int64(s.Count(s.t, `SELECT id FROM deletion_round WHERE municipality_id = $1 AND run_on = $2 AND kind = 'scheduled'`, m, runOn))
}

func (s *stage) state(round int64) deletion.State {
	s.t.Helper()
	var state deletion.State
	s.must(s.Admin.QueryRow(s.t.Context(), `SELECT state FROM deletion_round WHERE id = $1`, round).Scan(&state))
	return state
}

// controlled takes a proposed round through the control, every device found in stock.
func (s *stage) controlled(m int, round int64) {
	s.t.Helper()
	s.must(s.by(m, access.Support, func(ctx context.Context, tx *pg.Tx) error { return deletion.RequestControl(ctx, tx, round) }))
	s.drain()
	s.must(s.by(m, access.Support, func(ctx context.Context, tx *pg.Tx) error {
		checks, err := deletion.SpotChecks(ctx, tx, round)
		for _, c := range checks {
			err = errors.Join(err, deletion.Find(ctx, tx, round, c.Position, deletion.FoundInStock))
		}
		return errors.Join(err, deletion.FinishControl(ctx, tx, round))
	}))
}

func (s *stage) approved(m int, round int64) {
	s.t.Helper()
	s.controlled(m, round)
	s.must(s.by(m, access.Approver, func(ctx context.Context, tx *pg.Tx) error {
		return deletion.Approve(ctx, tx, round, deletion.Approval{AcceptBrake: true})
	}))
}

func (s *stage) started(m int, round int64) error {
	var number string
	if err := s.Admin.QueryRow(s.t.Context(), `SELECT number FROM deletion_round WHERE id = $1`, round).Scan(&number); err != nil {
		return err
	}
	return s.by(m, access.Operator, func(ctx context.Context, tx *pg.Tx) error { return deletion.Start(ctx, tx, round, number) })
}

// running brings the people who are due on 01.10.23 into rounds that have been started, at their date.
func (s *stage) running(municipalities ...int) (rounds []int64) {
	s.t.Helper()
	s.at("2023-09-18 08:00")
	s.sweep()
	for _, m := range municipalities {
		round := s.roundOn(m, "2023-10-01")
		s.approved(m, round)
		rounds = append(rounds, round)
	}
	s.at("2023-10-01 07:00")
	for i, m := range municipalities {
		s.must(s.started(m, rounds[i]))
	}
	return rounds
}

// drain does all waiting jobs, oldest first, one at a time and in this goroutine, until there is none. A job that fails
// is tried again in turn, five times in all; what came of the last try is given back.
func (s *stage) drain() []error {
	s.t.Helper()
	return s.drainSome(1 << 30)
}

func (s *stage) drainSome(most int) (given []error) {
	s.t.Helper()
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: pg.RiverSchema})
	s.must(err)
	ctx := rivertest.WorkContext(s.t.Context(), client)
	for range most {
		row := &rivertype.JobRow{State: rivertype.JobStateRunning}
		err := s.Admin.QueryRow(ctx, `UPDATE river.river_job SET state = 'running', attempt = attempt + 1, attempted_at = now()
			WHERE id = (SELECT id FROM river.river_job WHERE state IN ('available', 'retryable') ORDER BY attempt, id LIMIT 1)
			RETURNING id, kind, args, attempt`).Scan(&row.ID, &row.Kind, &row.EncodedArgs, &row.Attempt)
		if errors.Is(err, pgx.ErrNoRows) {
			return given
		}
		s.must(err)
		if err := deletion.Work(ctx, s.deps, row); err == nil {
			continue
		} else if row.Attempt >= 5 {
			given = append(given, fmt.Errorf("%s: %w", row.Kind, err))
			s.Exec(s.t, `UPDATE river.river_job SET state = 'discarded', finalized_at = now() WHERE id = $1`, row.ID)
		} else {
			s.Exec(s.t, `UPDATE river.river_job SET state = 'retryable' WHERE id = $1`, row.ID)
		}
	}
	return given
}

// clean drains and wants no trouble.
func (s *stage) clean() {
	s.t.Helper()
	if err := errors.Join(s.drain()...); err != nil {
		s.t.Fatalf("jobs gave up: %v", err)
	}
}

// wherever is a client and its place as the database tells it.
type wherever struct {
	There     bool
	Status    string
	Unplaced  string
	ItemState string // in the round asked about
	Reasons   string
	Settled   bool
	NextOn    string // the run date of the group where the client lies now
	Carried   int
}

func (s *stage) whereabouts(round int64, id uuid.UUID) (w wherever) {
	s.t.Helper()
	s.must(s.Admin.QueryRow(s.t.Context(), `SELECT c.id IS NOT NULL, coalesce(c.status, ''), coalesce(c.unplaced_reason, ''),
			coalesce(i.state, ''), coalesce(array_to_string(i.reasons, ' '), ''), i.settled_at IS NOT NULL, coalesce(r.run_on::text, ''), coalesce(o.carried, 0)
		FROM (SELECT $2::uuid AS id) x
		LEFT JOIN client c ON c.id = x.id
		LEFT JOIN LATERAL (SELECT * FROM round_item i WHERE i.client_id = x.id AND i.round_id = $1 ORDER BY i.id DESC LIMIT 1) i ON true
		LEFT JOIN round_item o ON o.client_id = x.id AND o.state IN ('placed', 'ready', 'blocked')
		LEFT JOIN deletion_round r ON r.id = o.round_id`, round, id).
		Scan(&w.There, &w.Status, &w.Unplaced, &w.ItemState, &w.Reasons, &w.Settled, &w.NextOn, &w.Carried))
	return w
}

// remains counts what is left of clients that are gone, in every table that names a client and is not proof.
func (s *stage) remains(ids []uuid.UUID) string {
	s.t.Helper()
	rows, err := s.Admin.Query(s.t.Context(), `SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'client_id'
		AND table_name NOT IN ('round_item', 'access_subject') ORDER BY 1`)
	s.must(err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	if len(tables) < 19 {
		s.t.Fatalf("only %d tables name a client", len(tables))
	}
	var left []string
	for _, table := range tables {
		if n := s.Count(s.t, `SELECT count(*) FROM `+table+` WHERE client_id = ANY ($1)`, ids); n > 0 {
			left = append(left, fmt.Sprintf("%s %d", table, n))
		}
	}
	return strings.Join(left, ", ")
}

func busy(err error) bool { return conflict(err, "busy") }

func refusedAs[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func lost(err error) bool {
	return refusedAs[problem.NotFound](err) || refusedAs[problem.Conflict](err)
}

func eventually(t testing.TB, within time.Duration, what func() string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// personWith is a disconnected client who is due on 01.10.23, with recordings.
func personWith(keys ...string) pgtest.Person {
	return pgtest.Person{Status: "disconnected", Since: time.Date(2023, 3, 14, 14, 7, 0, 0, time.UTC), Alarms: 3, Recordings: keys}
}
