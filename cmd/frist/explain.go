package main

import (
	"context"
	"fmt"
	"os"

	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/localpg"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/migrations"
	"github.com/jackc/pgx/v5"
)

type explainCommand struct{}

// Run explains the database of FRIST_ADMIN_DSN; without one, an empty one that it makes and throws away.
func (*explainCommand) Run(ctx context.Context, c console) error {
	address, err := secret("FRIST_ADMIN_DSN")
	if err != nil {
		return err
	}
	if address == "" {
		folder, err := os.MkdirTemp("", "frist-explain-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
		server, err := localpg.Start(ctx, localpg.Options{Dir: folder})
		if err != nil {
			return err
		}
		defer server.Stop() //nolint:errcheck // it is thrown away
		address = server.DSN("postgres")
		if err := pg.Migrate(ctx, address, migrations.FS, false); err != nil {
			return err
		}
	} else if err := safe(address); err != nil {
		return fmt.Errorf("FRIST_ADMIN_DSN: %w", err)
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return pg.Translate(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	if err := explain.Write(ctx, conn, c.out); err != nil {
		return fmt.Errorf("the declaration and the database differ:\n%w", err)
	}
	return nil
}
