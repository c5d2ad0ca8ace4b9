package municipality

import (
	"context"
	"errors"
	"strconv"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
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

// SetPseudonymous turns the mode of the transaction's municipality, on or off, while it has no clients: names are not hidden
// afterwards, they never come. It is the second person's act: somebody else has proposed it, which the caller of this
// function has made sure of. Turned to what it is, nothing happens. problem.Conflict "has_clients".
func SetPseudonymous(ctx context.Context, tx *pg.Tx, on bool) error {
	if err := tx.RequireFresh(access.ProposalDecide); err != nil {
		return err
	}
	if err := tx.Require(access.PrivacyRead); err != nil { // the municipality's own people: it is theirs to decide (T10)
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE municipality_policy SET pseudonymous = $2 WHERE municipality_id = $1 AND pseudonymous <> $2`, tx.Municipality(), on)
	if err != nil || n == 0 {
		return err
	}
	audit.Write(tx, access.ProposalDecide, audit.Record{
		Act: "pseudonymous_set", Subject: "municipality", SubjectID: strconv.Itoa(tx.Municipality()), Fields: []string{"pseudonymous"}, Detail: map[string]any{"on": on},
	})
	return nil
}
