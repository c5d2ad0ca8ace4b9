package account

import (
	"context"
	"errors"
	"strconv"

	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// keyRefused records that a key was refused that is somebody's: it has run out, or its account is disabled. A key that is
// nobody's leaves no row. It gives err back, or what kept the refusal from being recorded.
func keyRefused(ctx context.Context, db *pg.DB, key string, err error) error {
	if !errors.As(err, new(problem.Unauthenticated)) {
		return err
	}
	recorded := db.SignIn(ctx, func(tx *pg.Tx) error {
		var account int64
		var municipality int
		err := tx.QueryRow(ctx, `SELECT a.id, coalesce(a.municipality_id, 0) FROM api_key k JOIN account a ON a.id = k.account_id WHERE k.key_hash = $1`, hashToken(key)).
			Scan(&account, &municipality)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil { // nobody has proved to be the account's owner, so it is what the row is about, not who did it
			audit.WriteDoor(tx, audit.Door{Municipality: municipality, Refused: true}, audit.Record{Act: "key_refused", Subject: "account", SubjectID: strconv.FormatInt(account, 10)})
		}
		return err
	})
	if recorded != nil {
		return recorded
	}
	return err
}
