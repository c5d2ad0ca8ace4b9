// Package pg is the only way to SQL. Holding a *Tx means: one transaction, one caller, one municipality, one instant.
// It knows no table.
package pg

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

// RiverSchema is where River's tables lie.
const RiverSchema = "river"

// Config says how the three logins reach the database. A process opens only those it needs: frist serve has no
// worker's address, frist worker has none of the others. An operator's request is served from the operator's pool
// only, so that no code path of it can become anybody else.
type Config struct {
	Web, Operator, Worker string           // connection strings; empty: this process does not have that login
	Clock                 func() time.Time // the one clock (D8); nil is the real one
	MaxConns              int32            // per pool; 0 is 10
	Tracer                pgx.QueryTracer  // sees every statement: for tests and measurements that count them
}

// DB holds the pools. It has no method that runs SQL outside a transaction.
type DB struct {
	pools map[string]*pgxpool.Pool // by group role
	all   []*pgxpool.Pool
	clock func() time.Time
	jobs  *river.Client[pgx.Tx]

	// Refused is told of every refusal after the rollback, so that it can be recorded in a transaction of its own
	// (D25). Set once, before use.
	Refused func(ctx context.Context, caller access.Caller, refusal problem.Forbidden)
}

// Open makes the pools and checks that each one that was asked for answers.
func Open(ctx context.Context, config Config) (*DB, error) {
	db := &DB{pools: map[string]*pgxpool.Pool{}, clock: config.Clock}
	if db.clock == nil {
		db.clock = time.Now
	}
	for _, login := range []struct {
		dsn     string
		timeout string
		roles   []string
	}{
		{config.Web, "30s", []string{"frist_signin", "frist_municipality", "frist_support", "frist_visitor", "frist_platform"}},
		{config.Operator, "30s", []string{"frist_supplier"}},
		{config.Worker, "10min", []string{"frist_purger"}},
	} {
		if login.dsn == "" {
			continue
		}
		pool, err := openPool(ctx, login.dsn, login.timeout, config)
		if err != nil {
			db.Close()
			return nil, err
		}
		db.all = append(db.all, pool)
		for _, role := range login.roles {
			db.pools[role] = pool
		}
	}
	var err error
	db.jobs, err = river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: RiverSchema})
	return db, err
}

func openPool(ctx context.Context, dsn, statementTimeout string, wanted Config) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("pg: the connection string is not understood") // err would repeat the password
	}
	config.MaxConns = wanted.MaxConns
	if config.MaxConns == 0 {
		config.MaxConns = 10
	}
	config.ConnConfig.Tracer = wanted.Tracer
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "frist"
	params["lock_timeout"] = "5s"
	params["statement_timeout"] = statementTimeout
	params["idle_in_transaction_session_timeout"] = "60s"
	params["timezone"] = "UTC"
	params["search_path"] = "public, pg_temp" // a temporary table that was left on the connection takes no table's place
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap()) // as bytes; without it every id of a chunk is written as text, for every statement
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("pg: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("pg: the database does not answer: %w", err)
	}
	return pool, nil
}

// Close ends all connections.
func (db *DB) Close() {
	for _, p := range db.all {
		p.Close()
	}
}

// Ping reports whether every pool's database answers.
func (db *DB) Ping(ctx context.Context) error {
	for _, p := range db.all {
		if err := p.Ping(ctx); err != nil {
			return problem.Unavailable{What: "database"}
		}
	}
	return nil
}

// Now is the instant by the one clock. Inside a transaction use tx.Now.
func (db *DB) Now() time.Time { return db.clock() }

// InTx runs fn in one transaction as caller, in the caller's municipality, at one instant. The transaction's begin and
// its settings travel with fn's first statement, and what fn left with Later travels with the commit. fn's error rolls
// everything back; a refusal (problem.Forbidden) is recorded after that. Database errors come back translated
// (Translate). Transactions do not nest: fn passes its tx on.
func (db *DB) InTx(ctx context.Context, caller access.Caller, fn func(tx *Tx) error) error {
	return db.in(ctx, caller, caller.Database(), fn)
}

// SignIn runs fn under the role that may read accounts and sessions and nothing else: before it is known who asks.
func (db *DB) SignIn(ctx context.Context, fn func(tx *Tx) error) error {
	return db.in(ctx, access.Caller{}, "frist_signin", fn)
}

// SignInAs is SignIn for somebody who is known: what they change of accounts stands in their own municipality (0: processor
// and supplier), in their name, and a refusal is recorded as theirs.
func (db *DB) SignInAs(ctx context.Context, caller access.Caller, fn func(tx *Tx) error) error {
	return db.in(ctx, caller, "frist_signin", fn)
}

func (db *DB) in(ctx context.Context, caller access.Caller, role string, fn func(tx *Tx) error) error {
	pool, ok := db.pools[role]
	if !ok {
		return problem.Forbidden{Code: "no_role"}
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return Translate(err)
	}
	defer conn.Release()
	tx := &Tx{Caller: caller, db: db, role: role, conn: conn.Conn(), now: db.clock().Truncate(time.Microsecond)}
	err = fn(tx)
	if err == nil {
		err = tx.commit(ctx)
	}
	if err != nil {
		tx.rollback()
		err = Translate(err)
		if tx.instead != nil {
			conn.Release()
			if err := db.in(ctx, caller, role, tx.instead); err != nil {
				return err
			}
		}
		var refusal problem.Forbidden
		var attempt problem.Attempt
		switch {
		case errors.As(err, new(problem.StepUp)):
			refusal.Code = "step_up"
		case errors.As(err, &attempt):
			refusal.Code = attempt.Code()
		}
		if (refusal.Code != "" || errors.As(err, &refusal)) && db.Refused != nil {
			conn.Release()
			db.Refused(context.WithoutCancel(ctx), caller, refusal)
		}
	}
	return err
}

// Tx is one transaction of one caller in one municipality at one instant.
type Tx struct {
	Caller  access.Caller
	db      *DB
	role    string
	conn    *pgx.Conn
	now     time.Time
	begun   bool
	later   pgx.Batch
	beside  func() error
	instead func(tx *Tx) error
	turn    *reader // while reads go Together: whose turn it is
}

// Now is the transaction's instant: everything that happens in it happens then (D8).
func (tx *Tx) Now() time.Time { return tx.now }

// Municipality is the one municipality this transaction sees.
func (tx *Tx) Municipality() int { return tx.Caller.Municipality }

// Require refuses (problem.Forbidden) unless the caller has the permission. It is the first line of every exported
// function of the domain.
func (tx *Tx) Require(p access.Permission) error {
	if tx.Caller.Can(p) {
		return nil
	}
	if tx.Caller.Visiting() && tx.Caller.Outside().Can(p) {
		return problem.Forbidden{Code: "visiting"} // support's own work waits until they have left
	}
	return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(p)}}
}

// RequireFresh is Require for acts that ask for a fresh proof of who the caller is (problem.StepUp when there is none).
func (tx *Tx) RequireFresh(p access.Permission) error {
	if err := tx.Require(p); err != nil {
		return err
	}
	if !tx.Caller.Fresh(tx.now) {
		return problem.StepUp{}
	}
	return nil
}

// Later keeps a statement for the end: it is sent together with the commit, in the same round trip. For records that
// must stand or fall with the transaction and whose answer nobody needs.
func (tx *Tx) Later(sql string, args ...any) { tx.later.Queue(sql, args...) }

// Beside keeps work for the time in which the database writes what was left with Later, and commits: to make an answer
// that is sent when InTx has given no error, and not before. It gets no SQL; its error is InTx's, when the database has none.
func (tx *Tx) Beside(work func() error) { tx.beside = work }

// Instead gives err, for fn to end with, and has work done when the transaction was rolled back because of it, in a
// transaction of its own: what a refusal leaves behind (a task for those who can lift it).
func (tx *Tx) Instead(err error, work func(tx *Tx) error) error {
	tx.instead = work
	return err
}

// Enqueue inserts a job in this transaction: no job without its decision, no decision without its job. Arguments hold
// ids only (D26).
func (tx *Tx) Enqueue(ctx context.Context, args ...river.JobArgs) error {
	if len(args) == 0 {
		return nil
	}
	if err := tx.begin(ctx); err != nil {
		return err
	}
	params := make([]river.InsertManyParams, len(args))
	for i, a := range args {
		params[i].Args = a
	}
	_, err := tx.db.jobs.InsertManyFastTx(ctx, raw{tx}, params)
	return err
}

// Complete marks a River job as done in this transaction, so that the work and its completion are one (PROOF 0.1).
func Complete[T river.JobArgs](ctx context.Context, tx *Tx, job *river.Job[T]) error {
	if err := tx.begin(ctx); err != nil {
		return err
	}
	_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, pgx.Tx(raw{tx}), job)
	return err
}

const settings = `SELECT set_config('role', $1, true), set_config('frist.municipality', $2, true),
	set_config('frist.account', $3, true), set_config('frist.now', $4, true), set_config('frist.visit', $5, true)`

func (tx *Tx) opening() *pgx.Batch {
	municipality := ""
	if tx.Caller.Municipality > 0 || tx.role == "frist_signin" || tx.Caller.Blind() { // 0 is the installation itself
		municipality = strconv.Itoa(tx.Caller.Municipality)
	}
	b := &pgx.Batch{}
	b.Queue("begin")
	b.Queue(settings, tx.role, municipality, strconv.FormatInt(tx.Caller.Account, 10), tx.now.Format(time.RFC3339Nano), tx.Caller.Visit.ID)
	return b
}

// begin sends the opening alone, for statements that cannot travel in a batch.
func (tx *Tx) begin(ctx context.Context) error {
	if tx.begun {
		return nil
	}
	tx.begun = true
	return tx.conn.SendBatch(ctx, tx.opening()).Close()
}

// SendBatch sends several statements in one round trip, the opening first when this is the transaction's start.
func (tx *Tx) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	if tx.turn != nil {
		return tx.turn.ask(&question{batch: batch}).results
	}
	if tx.begun {
		return tx.conn.SendBatch(ctx, batch)
	}
	tx.begun = true
	all := tx.opening()
	all.QueuedQueries = append(all.QueuedQueries, batch.QueuedQueries...)
	results := tx.conn.SendBatch(ctx, all)
	for range 2 {
		if _, err := results.Exec(); err != nil {
			_ = results.Close()
			return failed{err}
		}
	}
	return results
}

// Query runs one statement.
func (tx *Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if tx.turn != nil {
		q := tx.turn.ask(&question{sql: sql, args: args})
		return q.rows, q.err
	}
	if tx.begun {
		return tx.conn.Query(ctx, sql, args...)
	}
	batch := &pgx.Batch{}
	batch.Queue(sql, args...)
	results := tx.SendBatch(ctx, batch)
	rows, err := results.Query()
	if err != nil {
		_ = results.Close()
		return rows, err
	}
	return &firstRows{Rows: rows, results: results}, nil
}

// QueryRow runs one statement that gives one row.
func (tx *Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := tx.Query(ctx, sql, args...)
	return row{rows, err}
}

// OnlyRow is QueryRow for a transaction of one statement: its end travels with it, so that all is one round trip. What
// follows on the same Tx, statements left with Later among it, is a transaction of its own.
func (tx *Tx) OnlyRow(ctx context.Context, sql string, args ...any) pgx.Row {
	batch := tx.opening()
	batch.Queue(sql, args...)
	batch.Queue("commit")
	results := tx.conn.SendBatch(ctx, batch)
	only := &onlyRow{tx: tx, results: results}
	for range 2 {
		if _, only.err = results.Exec(); only.err != nil {
			return only
		}
	}
	only.rows, only.err = results.Query()
	return only
}

type onlyRow struct {
	tx      *Tx
	results pgx.BatchResults
	rows    pgx.Rows
	err     error
}

func (r *onlyRow) Scan(dest ...any) error {
	err := r.err
	if err == nil {
		err = row{rows: r.rows}.Scan(dest...)
	}
	if closed := r.results.Close(); closed != nil {
		r.tx.begun = true // its end was not reached: it is rolled back like any other
		return closed
	}
	return err
}

// Exec runs one statement and gives the number of rows that it touched.
func (tx *Tx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	rows.Close()
	return rows.CommandTag().RowsAffected(), rows.Err()
}

// CopyFrom brings rows in by COPY. A table with row-level security refuses it: copy into a temporary table first.
func (tx *Tx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, source pgx.CopyFromSource) (int64, error) {
	if err := tx.begin(ctx); err != nil {
		return 0, err
	}
	return tx.conn.CopyFrom(ctx, table, columns, source)
}

func (tx *Tx) commit(ctx context.Context) error {
	beside := tx.beside
	if beside == nil {
		beside = func() error { return nil }
	}
	if !tx.begun && tx.later.Len() == 0 {
		return beside()
	}
	tx.later.Queue("commit")
	results := tx.SendBatch(ctx, &tx.later) // it is on its way; the answer is read below
	err := beside()
	var tag string
	for range tx.later.Len() {
		t, err := results.Exec()
		if err != nil {
			_ = results.Close()
			return err
		}
		tag = t.String()
	}
	if err := results.Close(); err != nil {
		return err
	}
	if tag != "COMMIT" { // a failed transaction answers COMMIT with ROLLBACK and no error
		return errors.New("pg: the transaction was rolled back")
	}
	tx.begun = false
	return err
}

func (tx *Tx) rollback() {
	if !tx.begun || tx.conn.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := tx.conn.Exec(ctx, "rollback"); err != nil {
		_ = tx.conn.Close(ctx) // never hand a half-open transaction to the next caller
	}
}

// failed answers every question of a batch with the error of its opening.
type failed struct{ err error }

func (f failed) Exec() (commandTag, error) { return commandTag{}, f.err }
func (f failed) Query() (pgx.Rows, error)  { return nil, f.err }
func (f failed) QueryRow() pgx.Row         { return row{nil, f.err} }
func (f failed) Close() error              { return f.err }
func (f failed) Tx() pgx.Tx                { return nil }

type firstRows struct {
	pgx.Rows
	results pgx.BatchResults
	closed  bool
	err     error
}

func (r *firstRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *firstRows) Close() {
	r.Rows.Close()
	if !r.closed {
		r.closed = true
		r.err = r.results.Close()
	}
}

func (r *firstRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

type row struct {
	rows pgx.Rows
	err  error
}

func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
