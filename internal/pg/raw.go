package pg

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type commandTag = pgconn.CommandTag

// raw lends a Tx to River, which wants a pgx.Tx. River may use it, not end it, and transactions do not nest.
type raw struct{ tx *Tx }

var errNotYours = errors.New("pg: this transaction is ended by InTx only")

func (r raw) Begin(context.Context) (pgx.Tx, error) { return nil, errNotYours }
func (r raw) Commit(context.Context) error          { return errNotYours }
func (r raw) Rollback(context.Context) error        { return errNotYours }
func (r raw) LargeObjects() pgx.LargeObjects        { return pgx.LargeObjects{} }
func (r raw) Conn() *pgx.Conn                       { return r.tx.conn }
func (r raw) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, source pgx.CopyFromSource) (int64, error) {
	return r.tx.CopyFrom(ctx, table, columns, source)
}

func (r raw) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return r.tx.SendBatch(ctx, b)
}

func (r raw) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return r.tx.conn.Prepare(ctx, name, sql)
}

func (r raw) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return r.tx.conn.Exec(ctx, sql, args...)
}

func (r raw) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return r.tx.Query(ctx, sql, args...)
}

func (r raw) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return r.tx.QueryRow(ctx, sql, args...)
}
