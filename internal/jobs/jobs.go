// Package jobs runs River: it wakes workers up, and nothing else. What there is to do stands in the domain's own tables
// (practices, sentence 4); a job's arguments are ids, and what River keeps about an error is a code (D26).
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
)

// Queues and how many of their jobs one process works on at a time. Two cores saturate with two purges (PERFORMANCE 1);
// blobs wait for the store, not for the database; everything else is small.
func queues(config Config) map[string]river.QueueConfig {
	purge := config.PurgeWorkers
	if purge == 0 {
		purge = 2
	}
	all := map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}, deletion.PurgeQueue: {MaxWorkers: purge}}
	if !config.NoBlobs {
		all[deletion.BlobQueue] = river.QueueConfig{MaxWorkers: 2}
	}
	return all
}

const (
	jobTimeout = 5 * time.Minute
	// A worker that was killed leaves its jobs running; they are taken up again after this, three timeouts later, when
	// no living worker can still be at them (PROOF 2.1).
	rescueAfter = 15 * time.Minute
	tick        = time.Hour
	softStop    = 20 * time.Second
)

// Config says where the jobs lie and what the workers need.
type Config struct {
	DSN  string // login frist_worker; River's own statements run as frist_jobs, which can reach no table but River's
	Deps deletion.Deps
	Log  *slog.Logger

	NoTick       bool // the caller sweeps itself: the demo, which turns the clock
	PurgeWorkers int  // chunks at a time; 0 is two
	NoBlobs      bool // another process empties the store
}

// Runner is a started worker.
type Runner struct {
	client *river.Client[pgx.Tx]
	pool   *pgxpool.Pool
}

// Start begins to work on jobs and returns when the queues are being read. ctx bounds the starting only: the work ends
// with Stop.
func Start(ctx context.Context, config Config) (*Runner, error) {
	workers := river.NewWorkers()
	deletion.AddWorkers(workers, config.Deps)
	if config.NoTick {
		return start(ctx, config, workers, nil)
	}
	return start(ctx, config, workers, []*river.PeriodicJob{
		// The tick knows nothing: due rows decide, so a missed hour is caught up by the next (HOUSE 4).
		river.NewPeriodicJob(river.PeriodicInterval(tick), func() (river.JobArgs, *river.InsertOpts) { return deletion.SweepArgs{}, nil },
			&river.PeriodicJobOpts{ID: "sweep", RunOnStart: true}),
	})
}

func start(ctx context.Context, config Config, workers *river.Workers, periodic []*river.PeriodicJob) (*Runner, error) {
	pool, err := openPool(ctx, config.DSN)
	if err != nil {
		return nil, err
	}
	log := config.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema:                      pg.RiverSchema,
		Workers:                     workers,
		Queues:                      queues(config),
		PeriodicJobs:                periodic,
		Middleware:                  []rivertype.Middleware{&veil{log: log}},
		ErrorHandler:                &reporter{log: log},
		Logger:                      slog.New(quiet{log.Handler()}),
		JobTimeout:                  jobTimeout,
		RescueStuckJobsAfter:        rescueAfter,
		SoftStopTimeout:             softStop,
		FetchCooldown:               5 * time.Millisecond,
		FetchPollInterval:           500 * time.Millisecond,
		CompletedJobRetentionPeriod: 24 * time.Hour,      // D4
		DiscardedJobRetentionPeriod: 90 * 24 * time.Hour, // D4: each of them is a missed deletion that somebody looks at
		ReindexerIndexNames:         []string{},          // only the tables' owner may, and frist_jobs is not
	})
	if err == nil {
		err = client.Start(context.WithoutCancel(ctx))
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return &Runner{client, pool}, nil
}

func openPool(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("jobs: the connection string is not understood") // err would repeat the password
	}
	config.MaxConns = 6
	for name, value := range map[string]string{
		"application_name": "frist jobs", "role": "frist_jobs", "timezone": "UTC",
		"lock_timeout": "10s", "statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s",
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("jobs: the database does not answer: %w", err)
	}
	return pool, nil
}

// Stop takes no new jobs and waits for those that run: first in peace, then with their contexts cancelled. What did not
// finish in its transaction is worked again later and has done nothing.
func (r *Runner) Stop(ctx context.Context) error {
	defer r.pool.Close()
	if err := r.client.Stop(ctx); err != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return r.client.StopAndCancel(last)
	}
	return nil
}
