package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/riverqueue/river"
)

type provokeArgs struct {
	N   int    `json:"n"`
	How string `json:"how"`
}

func (provokeArgs) Kind() string                 { return "provoke" }
func (provokeArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

type provokeWorker struct {
	river.WorkerDefaults[provokeArgs]
	db    *pg.DB
	all   []pgtest.Provocation
	value func(n int) string
}

func (w *provokeWorker) Work(ctx context.Context, job *river.Job[provokeArgs]) error {
	value := w.value(job.Args.N)
	err := w.db.InTx(ctx, access.SystemFor(1), func(tx *pg.Tx) error {
		err := w.all[job.Args.N].Run(ctx, tx, value)
		switch job.Args.How {
		case "panic":
			panic(err)
		case "cancel":
			return river.JobCancel(fmt.Errorf("for %s: %w", value, err))
		}
		return err
	})
	if job.Args.How == "wrapped" {
		return fmt.Errorf("for %s: %w", value, err)
	}
	return err
}

// Every kind of error that the database can answer with, inside a job: River's row, with its errors, metadata and
// arguments, and the log hold none of the values (the pages are asked in package proof, with the same list).
func TestErrorsOfTheDatabaseLeaveNothingInAJob(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	var out syncBuffer
	worker := &provokeWorker{db: env.DB, all: env.Provocations(t), value: func(n int) string { return fmt.Sprintf("707707%06d414243", n) }}
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	runner, err := start(t.Context(), Config{DSN: env.DSN("frist_worker", "worker"), Log: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}, workers, nil)
	if err != nil {
		t.Fatal(err)
	}
	jobs := 0
	err = env.DB.InTx(t.Context(), access.SystemFor(1), func(tx *pg.Tx) error {
		for n := range worker.all {
			for _, how := range []string{"plain", "wrapped", "panic", "cancel"} {
				jobs++
				if err := tx.Enqueue(t.Context(), provokeArgs{n, how}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return env.Count(t, `SELECT count(*) FROM river.river_job WHERE finalized_at IS NOT NULL`) == jobs
	})
	if err := runner.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := env.Count(t, `SELECT count(*) FROM river.river_job WHERE state NOT IN ('discarded', 'cancelled') OR errors IS NULL`); n > 0 {
		t.Errorf("%d jobs failed at nothing: the test proves little", n)
	}
	rows, err := env.Admin.Query(t.Context(), `SELECT j::text FROM river.river_job j ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "707707") || strings.Contains(text, "414243") {
			t.Errorf("a value in a job: %s", text)
		}
	}
	if log := out.String(); strings.Contains(log, "707707") || strings.Contains(log, "414243") || !strings.Contains(log, "database: 23502") {
		t.Errorf("a value in the log, or nothing at all:\n%.2000s", log)
	}
}
