package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/problem"
)

type importCommand struct {
	File         string   `arg:"" type:"existingfile" help:"CSV or Excel."`
	Municipality string   `required:"" help:"Number of the municipality, four digits."`
	Map          []string `sep:"none" placeholder:"COLUMN=FIELD" help:"What a column tells, where its name is not understood; may be repeated. COLUMN is the name in the file's first row, FIELD one of ${fields}. Nothing after = leaves the column out."`
	DryRun       bool     `help:"Tell what would happen and change nothing."`
	Home         string   `env:"FRIST_HOME" help:"Folder with the key, or home of a demo (${env})."`
}

// importFields are the fields as the help lists them.
func importFields() string {
	names := make([]string, len(exchange.Fields))
	for i, f := range exchange.Fields {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

// Run imports on behalf of the system: whoever has the database's password has no need of an account. What was refused
// is listed by row, field and reason, without a value.
func (i *importCommand) Run(ctx context.Context, c console) error {
	text := speech()
	columns, err := i.columns(text)
	if err != nil {
		return err
	}
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
		return exchange.OfFile(err)
	}
	mapping := exchange.Guess(table.Header)
	if err = mapping.Choose(table.Header, columns); err == nil {
		err = mapping.Check(len(table.Header))
	}
	if err != nil {
		return errors.New(inWords(text, err) + " " + text.Say("cli.import.map", problem.Params{"columns": table.Header}))
	}
	db, err := openWeb(ctx, i.Home)
	if err != nil {
		return err
	}
	defer db.Close()
	id, err := findMunicipality(ctx, db, i.Municipality)
	if errors.As(err, new(problem.NotFound)) {
		return errors.New(text.Say("cli.no_municipality", problem.Params{"number": i.Municipality}))
	}
	if err != nil {
		return err
	}
	caller := access.Caller{StaffNumber: "system", Roles: []access.Role{access.Caseworker}, Municipality: id}
	report, err := exchange.Import(ctx, db, caller, table, mapping, exchange.Options{Key: key, DryRun: i.DryRun})
	if err != nil {
		return exchange.OfFile(err)
	}
	for _, r := range report.Refusals {
		fmt.Fprintln(c.out, reason(text, r))
	}
	if more := report.Refused + report.Flags - len(report.Refusals); more > 0 {
		fmt.Fprintln(c.out, text.SayN("cli.import.more", more, nil))
	}
	fmt.Fprintln(c.out, text.Say("cli.import.sum", problem.Params{
		"rows": report.Rows, "taken": report.Taken, "changed": report.Changed, "unchanged": report.Unchanged, "refused": report.Refused,
	}))
	if i.DryRun {
		fmt.Fprintln(c.out, text.Say("cli.import.trial", nil))
	}
	if report.Refused > 0 {
		return errors.New(text.Say("cli.import.some", nil))
	}
	return nil
}

// columns takes --map apart. A column's name may hold an equals sign, a field's does not.
func (i *importCommand) columns(text edge.Text) (map[string]string, error) {
	columns := map[string]string{}
	for _, m := range i.Map {
		at := strings.LastIndex(m, "=")
		if at < 1 {
			return nil, errors.New(text.Say("cli.import.map_form", nil))
		}
		column, field := m[:at], m[at+1:]
		if field != "" && !strings.Contains(", "+importFields()+",", ", "+field+",") {
			return nil, errors.New(text.Say("cli.import.field", problem.Params{"field": field, "fields": importFields()}))
		}
		columns[column] = field
	}
	return columns, nil
}

// reason says one refusal or flag as the page of the import does.
func reason(text edge.Text, r exchange.Refusal) string {
	field := text.Field(r.Field)
	if key := "import.field." + r.Field; text.Has(key) {
		field = text.Say(key, nil)
	}
	words := "import.code." + r.Code
	if !text.Has(words) {
		words = "problem." + r.Code
	}
	params := problem.Params{"row": strconv.Itoa(r.Row), "field": field, "words": text.Say(words, problem.Params{"field": field})}
	if r.Flag {
		return text.Say("cli.import.noticed", params)
	}
	return text.Say("cli.import.refused", params)
}
