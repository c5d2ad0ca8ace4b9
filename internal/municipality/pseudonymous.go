package municipality

import (
	"context"
	"errors"

	"github.com/frist-app/frist/internal/pg"
	"github.com/jackc/pgx/v5"
)

// Pseudonymous reports whether Frist holds nothing but a pseudonym of the people of the transaction's municipality (T10).
// Like its zone it is a fact of the municipality: reading it asks for no permission.
func Pseudonymous(ctx context.Context, tx *pg.Tx) (is bool, err error) {
	err = tx.QueryRow(ctx, `SELECT pseudonymous FROM municipality_policy WHERE municipality_id = $1`, tx.Municipality()).Scan(&is)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return is, err
}
