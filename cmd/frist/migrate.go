package main

import (
	"context"
	"fmt"

	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/migrations"
)

type migrateCommand struct{}

// Run migrates as the database's owner, and gives the logins their passwords where FRIST_WEB_PASSWORD,
// FRIST_OPERATOR_PASSWORD or FRIST_WORKER_PASSWORD (or their _FILE) tell one.
func (*migrateCommand) Run(ctx context.Context, c console) error {
	address, err := dsn("FRIST_ADMIN_DSN", "the database's owner")
	if err != nil {
		return err
	}
	passwords := map[string]string{}
	for login, name := range map[string]string{"frist_web": "FRIST_WEB_PASSWORD", "frist_operator": "FRIST_OPERATOR_PASSWORD", "frist_worker": "FRIST_WORKER_PASSWORD"} {
		password, err := secret(name)
		if err != nil {
			return err
		}
		if password != "" {
			passwords[login] = password
		}
	}
	if err := pg.Migrate(ctx, address, migrations.FS, false); err != nil {
		return err
	}
	if err := pg.SetPasswords(ctx, address, passwords); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "The database is up to date.")
	if len(passwords) > 0 {
		fmt.Fprintf(c.out, "Passwords set: %d of 3 logins.\n", len(passwords))
	}
	return nil
}
