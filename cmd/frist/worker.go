package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/pg"
)

type workerCommand struct {
	Home  string `env:"FRIST_HOME" help:"Folder with the key and the recordings (${env})."`
	Blobs string `env:"FRIST_BLOBS" help:"Folder of the recordings, when not in the home (${env})."`
}

// Run works until it is told to stop. It has one connection string: a worker can read no account and serve no page.
func (w *workerCommand) Run(ctx context.Context, c console) error {
	address, err := dsn("FRIST_WORKER_DSN", "the login frist_worker")
	if err != nil {
		return err
	}
	key, err := hashKey(w.Home)
	if err != nil {
		return err
	}
	blobs, err := openBlobs(w.Home, w.Blobs)
	if err != nil {
		return err
	}
	defer blobs.Close() //nolint:errcheck // a folder
	log := logger(c.err, slog.LevelInfo)
	stop, err := work(ctx, address, nil, blobs, key, log)
	if err != nil {
		return err
	}
	warn(ctx, address, log)
	log.InfoContext(ctx, "working")
	<-ctx.Done()
	return stop()
}

// work starts a worker; the function that it gives stops it.
func work(ctx context.Context, address string, clock func() time.Time, blobs *blob.Store, key []byte, log *slog.Logger) (stop func() error, err error) {
	db, err := pg.Open(ctx, pg.Config{Worker: address, Clock: clock})
	if err != nil {
		return nil, err
	}
	audit.RecordRefusals(db)
	runner, err := jobs.Start(ctx, jobs.Config{DSN: address, Log: log, Deps: deletion.Deps{DB: db, Blobs: blobs, Key: key, Log: log}})
	if err != nil {
		db.Close()
		return nil, err
	}
	return func() error {
		defer db.Close()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return runner.Stop(last)
	}, nil
}
