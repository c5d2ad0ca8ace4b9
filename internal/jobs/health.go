package jobs

import (
	"context"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/jackc/pgx/v5"
)

// Count is how many jobs of a queue are in a state.
type Count struct {
	Queue string
	State string // River's word: available, running, retryable, scheduled, completed, cancelled, discarded
	Jobs  int
}

// GivenUp is a job that failed at every attempt: a deletion that did not happen, unless somebody acts.
type GivenUp struct {
	ID      int64
	Kind    string
	Attempt int
	At      time.Time
	Code    string // what River kept of the last error: a code
}

// Report is what the platform administrator watches. Times are real ones also in a demo whose clock was turned.
type Report struct {
	Counts        []Count
	GivenUp       []GivenUp     // the newest hundred
	OldestWaiting time.Duration // how long the oldest job that could run has been waiting; zero when none does
	StuckRunning  int           // running for longer than a job may: their worker is gone, and they will be rescued
}

// Health reads the state of the queues. Needs JobRead. Ids, kinds and codes only.
func Health(ctx context.Context, tx *pg.Tx) (Report, error) {
	if err := tx.Require(access.JobRead); err != nil {
		return Report{}, err
	}
	var h Report
	// Statements of a batch are prepared before the first of them has taken the role, and the login itself may not look
	// into River's schema.
	if _, err := tx.Exec(ctx, `SELECT 1`); err != nil {
		return Report{}, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`SELECT queue, state::text AS state, count(*) AS jobs FROM river.river_job GROUP BY 1, 2 ORDER BY 1, 2`).
		Query(func(rows pgx.Rows) (err error) {
			h.Counts, err = pgx.CollectRows(rows, pgx.RowToStructByName[Count])
			return err
		})
	batch.Queue(`SELECT id, kind, attempt, finalized_at AS at, coalesce(errors[array_upper(errors, 1)] ->> 'error', '') AS code
		FROM river.river_job WHERE state = 'discarded' ORDER BY finalized_at DESC, id DESC LIMIT 100`).
		Query(func(rows pgx.Rows) (err error) {
			h.GivenUp, err = pgx.CollectRows(rows, pgx.RowToStructByName[GivenUp])
			return err
		})
	// River writes the server's own clock, so its own clock answers.
	batch.Queue(`SELECT coalesce(extract(epoch FROM now() - min(scheduled_at) FILTER (WHERE state IN ('available', 'retryable', 'scheduled') AND scheduled_at <= now())), 0)::float8,
		count(*) FILTER (WHERE state = 'running' AND attempted_at < now() - $1::interval)
		FROM river.river_job WHERE state IN ('available', 'retryable', 'scheduled', 'running')`, jobTimeout+time.Minute).
		QueryRow(func(row pgx.Row) error {
			var seconds float64
			err := row.Scan(&seconds, &h.StuckRunning)
			h.OldestWaiting = time.Duration(seconds * float64(time.Second))
			return err
		})
	return h, tx.SendBatch(ctx, batch).Close()
}
