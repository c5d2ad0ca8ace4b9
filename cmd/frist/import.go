package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/exchange"
)

type importCommand struct {
	File         string `arg:"" type:"existingfile" help:"CSV or Excel."`
	Municipality string `required:"" help:"Number of the municipality, four digits."`
	DryRun       bool   `help:"Tell what would happen and change nothing."`
	Home         string `env:"FRIST_HOME" help:"Folder with the key, or home of a demo (${env})."`
}

// Run imports on behalf of the system: whoever has the database's password has no need of an account. What was refused
// is listed by row, field and reason, without a value.
func (i *importCommand) Run(ctx context.Context, c console) error {
	key, err := hashKey(i.Home)
	if err != nil {
		return err
	}
	file, err := os.Open(i.File)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it is only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	table, err := exchange.Read(file, info.Size(), info.Name())
	if err != nil {
		return inWords(err)
	}
	db, err := openWeb(ctx, i.Home)
	if err != nil {
		return err
	}
	defer db.Close()
	id, err := findMunicipality(ctx, db, i.Municipality)
	if err != nil {
		return fmt.Errorf("the municipality %s is not in this installation", i.Municipality)
	}
	caller := access.Caller{StaffNumber: "system", Roles: []access.Role{access.Caseworker}, Municipality: id}
	report, err := exchange.Import(ctx, db, caller, table, exchange.Guess(table.Header), exchange.Options{Key: key, DryRun: i.DryRun})
	if err != nil {
		return inWords(err)
	}
	for _, r := range report.Refusals {
		what := "refused"
		if r.Flag {
			what = "noticed"
		}
		fmt.Fprintf(c.out, "row %d: %s: %s (%s)\n", r.Row, r.Field, r.Code, what)
	}
	if more := report.Refused + report.Flags - len(report.Refusals); more > 0 {
		fmt.Fprintf(c.out, "and %d more\n", more)
	}
	fmt.Fprintf(c.out, "%d rows: %d new, %d changed, %d as they were, %d refused.\n", report.Rows, report.Taken, report.Changed, report.Unchanged, report.Refused)
	if i.DryRun {
		fmt.Fprintln(c.out, "This was a trial: nothing was changed.")
	}
	if report.Refused > 0 {
		return errors.New("some rows were refused")
	}
	return nil
}
