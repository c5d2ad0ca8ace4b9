// Package pgtest gives tests real databases: one private PostgreSQL for each test program, one migrated template in it,
// and a clone of that for each test.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/localpg"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/migrations"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	once     sync.Once
	server   *localpg.Server
	startErr error
	count    atomic.Int64
)

const template = "frist_template"

// Main runs a package's tests and stops the private server afterwards. Call it from TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if server != nil {
		_ = server.Stop()
		_ = os.RemoveAll(serverDir)
	}
	return code
}

var serverDir string

func start() {
	serverDir, startErr = os.MkdirTemp("", "frist-test-")
	if startErr != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, startErr = localpg.Start(ctx, localpg.Options{Dir: filepath.Join(serverDir, "pg")})
	if startErr != nil {
		return
	}
	if startErr = exec(ctx, "postgres", "CREATE DATABASE "+template); startErr != nil {
		return
	}
	startErr = pg.Migrate(ctx, server.DSN(template), migrations.FS, true)
	if startErr != nil {
		return
	}
	startErr = pg.SetPasswords(ctx, server.DSN(template), map[string]string{"frist_web": "web", "frist_operator": "operator", "frist_worker": "worker"})
}

func exec(ctx context.Context, database, sql string) error {
	conn, err := pgx.Connect(ctx, server.DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	_, err = conn.Exec(ctx, sql)
	return err
}

// Env is one test's own database, its three logins and its clock.
type Env struct {
	DB    *pg.DB
	Name  string
	Admin *pgxpool.Pool // an administrator, to look behind the walls; product code never has it

	mu     sync.Mutex
	now    time.Time
	frozen bool
}

// Start is the instant at which every test's clock stands first: Tuesday 19.09.23, 09.12 in Oslo.
var Start = time.Date(2023, 9, 19, 7, 12, 0, 0, time.UTC)

// New makes a database for t and drops it when t ends.
func New(t testing.TB) *Env {
	t.Helper()
	once.Do(start)
	if startErr != nil {
		t.Fatalf("no database for the tests: %v", startErr)
	}
	return from(t, template, Start)
}

// Copy makes another database that is what e's is now, with the same clock. From the first copy on e itself is only what
// copies are made of: its connections are closed, because PostgreSQL copies nothing that somebody uses.
func (e *Env) Copy(t testing.TB) *Env {
	t.Helper()
	if !e.frozen {
		e.frozen = true
		e.DB.Close()
		e.Admin.Close()
	}
	return from(t, e.Name, e.Now())
}

func from(t testing.TB, whole string, now time.Time) *Env {
	t.Helper()
	ctx := t.Context()
	env := &Env{Name: fmt.Sprintf("t%d", count.Add(1)), now: now}
	if err := exec(ctx, "postgres", fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s", env.Name, whole)); err != nil {
		t.Fatal(err)
	}
	var err error
	env.DB, err = pg.Open(ctx, pg.Config{
		Web: env.DSN("frist_web", "web"), Operator: env.DSN("frist_operator", "operator"), Worker: env.DSN("frist_worker", "worker"),
		Clock: env.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	env.Admin, err = pgxpool.New(ctx, server.DSN(env.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		env.DB.Close()
		env.Admin.Close()
		if err := exec(context.Background(), "postgres", "DROP DATABASE "+env.Name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return env
}

// DSN is the connection string of one of the three logins (frist_web, frist_operator, frist_worker).
func (e *Env) DSN(login, password string) string {
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", login, password, server.Host(), server.Port(), e.Name)
}

// AdminDSN is the administrator's connection string.
func (e *Env) AdminDSN() string { return server.DSN(e.Name) }

// Server is the private server, for tests that crash it.
func (e *Env) Server() *localpg.Server { return server }

// Now is the test's clock.
func (e *Env) Now() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

// SetNow turns the clock.
func (e *Env) SetNow(t time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = t
}

// Exec runs SQL as the administrator.
func (e *Env) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := e.Admin.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
}

// Count is one number asked as the administrator.
func (e *Env) Count(t testing.TB, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := e.Admin.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	return n
}
