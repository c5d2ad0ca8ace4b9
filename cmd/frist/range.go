package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/problem"
)

type rangeCommand struct {
	Network      string `arg:"" help:"As 10.0.0.0/8, or one address."`
	Place        string `required:"" help:"Where that is, as \"Rådhuset\"."`
	Municipality string `help:"Number of the municipality, four digits; none for processor and supplier."`
	Home         string `env:"FRIST_HOME" help:"Home of a demo (${env})."`
}

// Run approves a network, so that a first administrator can sign in by password from there. Every other network two people
// approve on the pages.
func (r *rangeCommand) Run(ctx context.Context, c console) error {
	db, err := openWeb(ctx, r.Home)
	if err != nil {
		return err
	}
	defer db.Close()
	id := 0
	if r.Municipality != "" {
		id, err = findMunicipality(ctx, db, r.Municipality)
		if errors.As(err, new(problem.NotFound)) {
			return errors.New(speech().Say("cli.range.no_municipality", problem.Params{"number": r.Municipality}))
		}
		if err != nil {
			return err
		}
	}
	if err := account.AddRange(ctx, db, id, r.Network, r.Place); err != nil {
		return err
	}
	fmt.Fprintln(c.out, speech().Say("cli.range.done", problem.Params{"network": r.Network}))
	return nil
}
