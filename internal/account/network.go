package account

import (
	"context"
	"net/netip"
	"strconv"

	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// FirstNetwork approves a network for a municipality (0: processor and supplier) with nobody's permission, over the
// connection of the database's owner: for the command line and the demo. Without it nobody could sign in with a password
// to approve one. A network that is there already stays as it is. problem.Invalid of network: network.
func FirstNetwork(ctx context.Context, ownerDSN string, municipality int, network, place string) error {
	prefix, err := netip.ParsePrefix(network)
	if err != nil {
		return problem.InvalidField("network", "network", nil)
	}
	conn, err := pgx.Connect(ctx, ownerDSN)
	if err != nil {
		return pg.Translate(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	tx, err := conn.Begin(ctx)
	if err != nil {
		return pg.Translate(err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after a commit there is nothing to roll back
	if _, err := tx.Exec(ctx, `SELECT set_config('frist.municipality', $1, true)`, strconv.Itoa(municipality)); err != nil {
		return pg.Translate(err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES ($1, $2, $3, 0, now()) ON CONFLICT DO NOTHING`,
		municipality, prefix.Masked(), place); err != nil {
		return pg.Translate(err)
	}
	return pg.Translate(tx.Commit(ctx))
}

// AnyNetwork reports whether passwords work from anywhere at all for a municipality (0: processor and supplier).
func AnyNetwork(ctx context.Context, db *pg.DB, municipality int) (any bool, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		return tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM address_range WHERE municipality_id = $1)`, municipality).Scan(&any)
	})
	return any, err
}
