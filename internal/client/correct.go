package client

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// Correctable is a kind of entry under a client that can be rectified (GDPR 16, T9): what is wrong is written over, and what
// stood there stays in the client's own history, which goes with the client (D25).
type Correctable struct {
	Kind   string // as the history calls it
	Fields []CorrectableField
	read   string // one row of it: $1 municipality, $2 client, $3 which; gives its values in an array
	write  string // the same, with the values from $4 on
}

// CorrectableField is one of its texts.
type CorrectableField struct {
	Name     string
	Most     int // letters
	Required bool
}

const ofRow = ` WHERE municipality_id = $1 AND client_id = $2 AND id = $3`

var words = []CorrectableField{{"entry", 4000, true}}

// correctables are all. What came from a device, an alarm or a recording, is a fact that nobody rewrites.
var correctables = []Correctable{
	{"note", words, `SELECT ARRAY[text] FROM note` + ofRow, `UPDATE note SET text = $4` + ofRow},
	// A property is known by its name, and a name has no place in an address: its hash has.
	{
		"property",
		[]CorrectableField{{"value", 500, true}},
		`SELECT ARRAY[value] FROM property WHERE municipality_id = $1 AND client_id = $2 AND hashtextextended(name, 0) = $3`,
		`UPDATE property SET value = $4 WHERE municipality_id = $1 AND client_id = $2 AND hashtextextended(name, 0) = $3`,
	},
	{
		"kin",
		[]CorrectableField{{"name", 200, true}, {"relation", 100, false}, {"phone", 30, false}},
		`SELECT ARRAY[name, relation, phone] FROM next_of_kin` + ofRow,
		`UPDATE next_of_kin SET name = $4, relation = $5, phone = $6` + ofRow,
	},
	{"medical", words, `SELECT ARRAY[text] FROM medical_entry` + ofRow, `UPDATE medical_entry SET text = $4` + ofRow},
	{
		"medication",
		[]CorrectableField{{"medicine", 200, true}, {"dose", 500, false}},
		`SELECT ARRAY[name, dose] FROM medication` + ofRow,
		`UPDATE medication SET name = $4, dose = $5` + ofRow,
	},
	{"plan", []CorrectableField{{"goal", 500, true}}, `SELECT ARRAY[goal] FROM care_plan` + ofRow, `UPDATE care_plan SET goal = $4` + ofRow},
	{"plan_entry", words, `SELECT ARRAY[text] FROM care_plan_entry` + ofRow, `UPDATE care_plan_entry SET text = $4` + ofRow},
	{"communication", words, `SELECT ARRAY[text] FROM communication` + ofRow, `UPDATE communication SET text = $4` + ofRow},
}

// Entry gives what stands in one entry, a value for each of the kind's fields. problem.NotFound, also for what is hidden
// from this caller (D21), and problem.Invalid of "form" for a kind that there is not.
func Entry(ctx context.Context, tx *pg.Tx, id ID, kind string, row int64) (c Correctable, values []string, err error) {
	if err := tx.Require(access.ClientWrite); err != nil {
		return c, nil, err
	}
	i := slices.IndexFunc(correctables, func(c Correctable) bool { return c.Kind == kind })
	if i < 0 {
		return c, nil, problem.InvalidField("form", "unreadable", nil) // no page asks for another
	}
	c = correctables[i]
	err = tx.QueryRow(ctx, c.read, tx.Municipality(), id, row).Scan(&values)
	if errors.Is(err, pgx.ErrNoRows) {
		err = problem.NotFound{What: "row"}
	}
	return c, values, err
}

// Correct rectifies one entry by what value says of each of its fields. Values that are what stands there already change
// nothing and leave nothing. problem.Invalid of its fields (required, too_long) and as Entry, problem.NotFound, problem.Forbidden
// ("restricted", "shielded"), problem.Conflict "pseudonym_only".
func Correct(ctx context.Context, tx *pg.Tx, id ID, kind string, row int64, value func(field string) string) error {
	if err := tx.Require(access.ClientWrite); err != nil {
		return err
	}
	if err := lockForWords(ctx, tx, id); err != nil {
		return err
	}
	c, before, err := Entry(ctx, tx, id, kind, row)
	if err != nil {
		return err
	}
	var wrong problem.Collector
	args, after := []any{tx.Municipality(), id, row}, []string{}
	for _, f := range c.Fields {
		v := value(f.Name)
		wrong.Words(f.Name, &v, f.Most, f.Required)
		args, after = append(args, v), append(after, v)
	}
	if err := wrong.Err(); err != nil || slices.Equal(before, after) {
		return err
	}
	if _, err := tx.Exec(ctx, c.write, args...); err != nil {
		return err
	}
	from, to := told(before), told(after)
	changed(tx, id, c.Kind, &from, &to)
	audit.Write(tx, access.ClientWrite, audit.Record{Act: "changed", Subject: "client", SubjectID: id.String(), Fields: []string{c.Kind}})
	return nil
}

// told is an entry in one line of the history.
func told(values []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" }), ", ")
}
