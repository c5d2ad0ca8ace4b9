package demo

import (
	"context"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pg"
	"github.com/jackc/pgx/v5"
)

// Networks approves this machine's own addresses for every municipality and for processor and supplier, so that the
// passwords of demo.json work where the demo runs, and nowhere else. Those that are there stay.
func Networks(ctx context.Context, ownerDSN string) error {
	conn, err := pgx.Connect(ctx, ownerDSN)
	if err != nil {
		return pg.Translate(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	rows, err := conn.Query(ctx, `SELECT id FROM municipality ORDER BY id`)
	if err != nil {
		return pg.Translate(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return pg.Translate(err)
	}
	for _, id := range ids {
		for _, network := range []string{"127.0.0.0/8", "::1/128"} {
			if err := account.FirstNetwork(ctx, ownerDSN, id, network, "Demo"); err != nil {
				return err
			}
		}
	}
	return nil
}
