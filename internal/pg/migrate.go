package pg

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migrate brings a database up to the newest migration. dsn is an administrator's; demo is stamped into the database
// when it is new and never changes afterwards (D8). Several processes may call it at once.
func Migrate(ctx context.Context, dsn string, files fs.FS, demo bool) error {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return fmt.Errorf("pg: %w", err)
	}
	defer pool.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close() //nolint:errcheck // nothing is pending on it
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("pg: migration: %w", err)
	}
	_, err = pool.Exec(ctx, `INSERT INTO installation (demo) VALUES ($1) ON CONFLICT DO NOTHING`, demo)
	return err
}

// SetPasswords gives the three logins their passwords. dsn is an administrator's.
func SetPasswords(ctx context.Context, dsn string, passwords map[string]string) error {
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return fmt.Errorf("pg: %w", err)
	}
	defer pool.Close()
	for login, password := range passwords {
		var statement string
		err := pool.QueryRow(ctx, `SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)`, login, password).Scan(&statement)
		if err != nil {
			return err
		}
		if _, err := pool.Exec(ctx, statement); err != nil {
			return Translate(err)
		}
	}
	return nil
}
