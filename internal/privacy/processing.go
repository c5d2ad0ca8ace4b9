package privacy

import (
	"cmp"
	"context"
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
)

// classes are the deletion classes in the order in which people look for them; those that are not named come last.
var classes = []string{
	"client_record", "alarm_log", "recording", "change_values", "access_log", "audit", "round", "purged_registration", "import_report", "deviation", "staff", "session", "job_row", "none",
}

func classOrder(class string) int {
	if i := slices.Index(classes, class); i >= 0 {
		return i
	}
	return len(classes) - 1 // before what holds nobody
}

// SecurityMeasures are what the product does, each with a sentence of its own (GDPR 30(1)(g)).
var SecurityMeasures = []string{"walls", "roles", "four_eyes", "logged", "encrypted", "deletion", "backups"}

// Processing is the record of processing activities (GDPR 30): made from the declaration of every table and column, which
// the database is held to, and from the municipality's own rules. Nobody writes it, so it cannot be out of date.
type Processing struct {
	Municipality string            `json:"municipality"`
	Number       string            `json:"municipality_number"`
	Controller   string            `json:"controller"`
	Officer      string            `json:"privacy_officer"`
	MadeAt       time.Time         `json:"made_at"`
	Classes      []ProcessingClass `json:"classes"`
	Recipients   []Recipient       `json:"recipients"`
	Measures     []string          `json:"security_measures"`
	NotHeld      []string          `json:"not_held"`
}

// ProcessingClass is one deletion class: one period, one start.
type ProcessingClass struct {
	Class  string            `json:"class"`
	Rule   *retention.Rule   `json:"rule"` // nil where no rule of the municipality decides
	Tables []ProcessingTable `json:"tables"`
}

// impersonal are the classes that hold nothing of a person. An opaque id is a person's all the same (GDPR 4(5)), and a voice
// stands in no column: a class is about people unless it is named here.
var impersonal = []string{"import_report", "job_row", "none"}

// Holds reports whether something of a person stands there.
func (c ProcessingClass) Holds() bool { return !slices.Contains(impersonal, c.Class) }

// ProcessingTable is one table: what of clients and those around them, and what of staff, stands in which column.
type ProcessingTable struct {
	Table    string   `json:"table"`
	Personal []string `json:"personal"`
	Staff    []string `json:"staff"`
	Action   string   `json:"action"` // how it goes: along, cascade, by name, outlives, none
}

// Recipient is a subprocessor in use.
type Recipient struct {
	Name           string   `json:"name"`
	Service        string   `json:"service"`
	Purpose        string   `json:"purpose"`
	Data           string   `json:"data"`
	Place          *string  `json:"place"`
	StaffCountries []string `json:"staff_countries"`
	OutsideEEA     []string `json:"outside_eea"`
	TransferBasis  *string  `json:"transfer_basis"`
	CopiesDays     *int     `json:"copies_days"`
}

// ProcessingOf makes the record as it is now. Needs PrivacyRead.
func ProcessingOf(ctx context.Context, tx *pg.Tx) (Processing, error) {
	if err := tx.Require(access.PrivacyRead); err != nil {
		return Processing{}, err
	}
	m, err := municipality.Current(ctx, tx)
	if err != nil {
		return Processing{}, err
	}
	rules, err := retention.LoadRules(ctx, tx)
	if err != nil {
		return Processing{}, err
	}
	d, err := DraftOf(ctx, tx)
	if err != nil {
		return Processing{}, err
	}
	p := Processing{
		Municipality: m.Name, Number: m.Number, Controller: d.Controller, Officer: d.Officer, MadeAt: tx.Now(), Classes: classesOf(explain.Catalogue(), rules),
		Recipients: []Recipient{}, Measures: SecurityMeasures, NotHeld: NotHeld,
	}
	list, err := Register(ctx, tx)
	for _, e := range list {
		if !e.Used {
			continue
		}
		s := e.Current
		r := Recipient{Name: s.Name, Service: s.Service, Purpose: s.Purpose, Data: s.Data, Place: s.Place, StaffCountries: s.StaffCountries, OutsideEEA: []string{}, TransferBasis: s.TransferBasis, CopiesDays: s.CopiesDays}
		for _, c := range s.Outside() {
			r.OutsideEEA = append(r.OutsideEEA, string(c))
		}
		p.Recipients = append(p.Recipients, r)
	}
	return p, err
}

// classesOf sorts the declared tables by their classes.
func classesOf(tables []explain.Table, rules retention.Rules) []ProcessingClass {
	var list []ProcessingClass
	for _, t := range tables {
		at := slices.IndexFunc(list, func(c ProcessingClass) bool { return c.Class == t.Class })
		if at < 0 {
			at = len(list)
			list = append(list, ProcessingClass{Class: t.Class})
			if rule, ok := rules[retention.Class(t.Class)]; ok {
				list[at].Rule = &rule
			}
		}
		row := ProcessingTable{Table: t.Name, Personal: []string{}, Staff: []string{}, Action: t.Action}
		for _, c := range t.Columns {
			switch c.Kind {
			case explain.Personal:
				row.Personal = append(row.Personal, c.Name)
			case explain.Staff:
				row.Staff = append(row.Staff, c.Name)
			case explain.ID, explain.Secret, explain.Fact, explain.Plain: // opaque, or about nobody
			}
		}
		list[at].Tables = append(list[at].Tables, row)
	}
	slices.SortStableFunc(list, func(a, b ProcessingClass) int { return cmp.Compare(classOrder(a.Class), classOrder(b.Class)) })
	return list
}

// WriteCSV writes the record a column to a line, with a semicolon between fields as spreadsheets in Norway read it.
func (p Processing) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	out.Comma = ';'
	rows := [][]string{{"class", "table", "column", "of", "action", "start_event", "period_months", "period_days", "outcome", "authority"}}
	for _, c := range p.Classes {
		rule := []string{"", "", "", "", ""}
		if c.Rule != nil {
			rule = []string{c.Rule.StartEvent, strconv.Itoa(c.Rule.PeriodMonths), strconv.Itoa(c.Rule.PeriodDays), string(c.Rule.Outcome), c.Rule.Authority}
		}
		for _, t := range c.Tables {
			add := func(column, of string) {
				rows = append(rows, append([]string{c.Class, t.Table, column, of, t.Action}, rule...))
			}
			for _, column := range t.Personal {
				add(column, "client")
			}
			for _, column := range t.Staff {
				add(column, "staff")
			}
			if len(t.Personal)+len(t.Staff) == 0 {
				add("", "")
			}
		}
	}
	for _, row := range rows {
		for i := range row {
			row[i] = harmless(row[i])
		}
	}
	return out.WriteAll(rows)
}

// harmless keeps a spreadsheet from taking a text for a formula.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
