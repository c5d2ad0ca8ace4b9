package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/frist-app/frist/internal/pg"
)

type checkCommand struct{}

// Run says by what the servers behind the connection strings that are set are weaker than Frist counts on. It changes
// nothing.
func (*checkCommand) Run(ctx context.Context, c console) error {
	asked, found := 0, 0
	for _, name := range []string{"FRIST_WEB_DSN", "FRIST_OPERATOR_DSN", "FRIST_WORKER_DSN"} {
		address, err := secret(name)
		if err != nil {
			return err
		}
		if address == "" {
			continue
		}
		asked++
		if err := safe(address); err != nil {
			fmt.Fprintf(c.out, "%s: %v\n", name, err)
			found++
			continue
		}
		weak, err := pg.Weaknesses(ctx, address)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, w := range weak {
			fmt.Fprintf(c.out, "%s: %s\n", name, w)
		}
		found += len(weak)
	}
	switch {
	case asked == 0:
		return errors.New("no connection string is set: FRIST_WEB_DSN, FRIST_OPERATOR_DSN or FRIST_WORKER_DSN")
	case found > 0:
		return fmt.Errorf("found %d weaknesses; docs/security/postgresql.md says what to set and why", found)
	}
	fmt.Fprintln(c.out, "nothing found")
	return nil
}
