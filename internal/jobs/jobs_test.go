package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// OLA stands for a personal value that got into an error.
const token = "OLA-NORDMANN-T7"

type tryArgs struct {
	How string `json:"how"`
}

func (tryArgs) Kind() string                 { return "try" }
func (tryArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

type tryWorker struct {
	river.WorkerDefaults[tryArgs]
	mu   sync.Mutex
	done []string
}

func (w *tryWorker) Work(ctx context.Context, job *river.Job[tryArgs]) error {
	defer func() {
		w.mu.Lock()
		w.done = append(w.done, job.Args.How)
		w.mu.Unlock()
	}()
	switch job.Args.How {
	case "cast":
		return fmt.Errorf("for %s: %w", token, &pgconn.PgError{Code: "22P02", Message: "invalid input syntax: " + token, Detail: token})
	case "conflict":
		return fmt.Errorf("for %s: %w", token, problem.Conflict{Code: "busy", Params: problem.Params{"name": token}})
	case "plain":
		return errors.New(token)
	case "panic":
		panic(token)
	case "cancel":
		return river.JobCancel(errors.New(token))
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func TestNothingOfAnErrorIsKeptButACode(t *testing.T) {
	env := pgtest.New(t)
	var out syncBuffer
	worker := &tryWorker{}
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	runner, err := start(t.Context(), Config{DSN: env.DSN("frist_worker", "worker"), Log: slog.New(slog.NewJSONHandler(&out, nil))}, workers, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]string{
		"cast":     {"discarded", "database: 22P02"},
		"conflict": {"discarded", "problem: conflict: busy"},
		"plain":    {"discarded", "internal"},
		"panic":    {"discarded", "internal"},
		"cancel":   {"cancelled", "JobCancelError: internal"},
		"fine":     {"completed", ""},
	}
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	err = env.DB.InTx(t.Context(), access.SystemFor(1), func(tx *pg.Tx) error {
		for how := range want {
			if err := tx.Enqueue(t.Context(), tryArgs{how}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return env.Count(t, `SELECT count(*) FROM river.river_job WHERE finalized_at IS NOT NULL`) == len(want)
	})
	if err := runner.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for how, w := range want {
		var state, code string
		if err := env.Admin.QueryRow(t.Context(), `SELECT state, coalesce(errors[1] ->> 'error', '') FROM river.river_job WHERE args ->> 'how' = $1`, how).Scan(&state, &code); err != nil {
			t.Fatal(err)
		}
		if state != w[0] || code != w[1] {
			t.Errorf("%s: state %s, kept %q; want %s, %q", how, state, code, w[0], w[1])
		}
	}
	if n := env.Count(t, `SELECT count(*) FROM river.river_job j WHERE j::text LIKE '%'||$1||'%'`, token); n != 0 {
		t.Errorf("%d job rows hold the value", n)
	}
	log := out.String()
	if strings.Contains(log, token) {
		t.Errorf("the log holds the value:\n%s", log)
	}
	for _, text := range []string{`"code":"database: 22P02"`, `*pgconn.PgError`, `"kind":"try"`, `"attempt":1`, `a job panicked`} {
		if !strings.Contains(log, text) {
			t.Errorf("the log does not tell %s:\n%s", text, log)
		}
	}

	var report Report
	admin := access.Caller{Account: 3, Roles: []access.Role{access.PlatformAdministrator}}
	err = env.DB.InTx(t.Context(), admin, func(tx *pg.Tx) error {
		report, err = Health(t.Context(), tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.GivenUp) != 4 || report.GivenUp[0].Kind != "try" || len(report.Counts) != 3 || report.OldestWaiting != 0 {
		t.Errorf("health %+v", report)
	}
	err = env.DB.InTx(t.Context(), access.Caller{Account: 4, Roles: []access.Role{access.Operator}}, func(tx *pg.Tx) error {
		_, err := Health(t.Context(), tx)
		return err
	})
	if !errors.As(err, new(problem.Forbidden)) {
		t.Errorf("an operator asks for the jobs: %v", err)
	}
}

// A stop while a job works: it ends soon, and the job is there to be worked again, without a failed attempt.
func TestStopGivesRunningJobsBack(t *testing.T) {
	env := pgtest.New(t)
	workers := river.NewWorkers()
	worker := &tryWorker{}
	river.AddWorker(workers, worker)
	runner, err := start(t.Context(), Config{DSN: env.DSN("frist_worker", "worker")}, workers, nil)
	if err != nil {
		t.Fatal(err)
	}
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	if err := env.DB.InTx(t.Context(), access.SystemFor(1), func(tx *pg.Tx) error { return tx.Enqueue(t.Context(), tryArgs{"wait"}) }); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return env.Count(t, `SELECT count(*) FROM river.river_job WHERE state = 'running'`) == 1
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := runner.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if n := env.Count(t, `SELECT count(*) FROM river.river_job WHERE state = 'available' AND errors IS NULL`); n != 1 {
		t.Errorf("the job was not given back")
	}
}

// The machinery's own login can do nothing but River's work, and a worker started twice sweeps.
func TestTheTickSweeps(t *testing.T) {
	env := pgtest.New(t)
	db, err := pg.Open(t.Context(), pg.Config{Worker: env.DSN("frist_worker", "worker")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	runner, err := Start(t.Context(), Config{DSN: env.DSN("frist_worker", "worker"), Deps: deletion.Deps{DB: db, Key: []byte("k"), Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return env.Count(t, `SELECT count(*) FROM river.river_job WHERE kind = $1 AND state = 'completed'`, deletion.SweepArgs{}.Kind()) == 1
	})
	if _, err := runner.pool.Exec(t.Context(), `SELECT count(*) FROM client`); err == nil {
		t.Error("River's role reads clients")
	}
	if err := runner.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// River's own lines keep ids and codes and lose every other text.
func TestQuietLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(quiet{slog.NewJSONHandler(&out, nil)}).With("client_id", "c1", "dsn", token)
	log.Warn("a line", "err", errors.New(token), "error", "invalid input syntax: "+token, "job_id", 7, "queue", "purge", "args", map[string]string{"a": token})
	log.Warn("another", "err", fmt.Errorf("%s (SQLSTATE 57P01)", token), "error", token+": connection refused")
	log.Info("chatter", "job_id", 8)
	got := out.String()
	if strings.Contains(got, token) || strings.Contains(got, "chatter") {
		t.Errorf("the log says too much:\n%s", got)
	}
	for _, want := range []string{`"job_id":7`, `"queue":"purge"`, `"client_id":"c1"`, `SQLSTATE 57P01`, `connection refused`} {
		if !strings.Contains(got, want) {
			t.Errorf("the log does not tell %s:\n%s", want, got)
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen in 30 seconds")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
