package privacy

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/jackc/pgx/v5"
)

// Sections are the parts of a privacy statement, in their order. Each has a text of the product's, which a municipality may
// replace by its own.
var Sections = []string{"about", "purposes", "data", "basis", "rights", "access", "deletion", "recipients", "security", "complaint"}

// Languages are those that a statement is written in.
var Languages = []string{"nb", "en"}

// sectionLength is how long a text of the municipality's own may be, in characters.
const sectionLength = 3500

// Texts are a municipality's own texts, by language and section: plain paragraphs with an empty line between them.
type Texts map[string]map[string]string

// In is the own text of a section; empty when the product's stands.
func (t Texts) In(lang, section string) string { return t[lang][section] }

// StatementDraft is what the administrator writes on.
type StatementDraft struct {
	Controller string // how to reach the municipality
	Officer    string // and its privacy officer's office, as an address of an office and not of a person
	Sections   Texts
	ChangedAt  time.Time
}

// Published is one version of a statement.
type Published struct {
	Version     int
	Controller  string
	Officer     string
	Sections    Texts
	ValidFrom   calendar.Date
	PublishedBy int64
	PublishedAt time.Time
}

// Statement is a privacy statement with what stands in it of its own accord: the periods in force and the companies in use.
type Statement struct {
	Municipality municipality.Municipality
	Published
	Rules      []retention.Rule
	Recipients []Subprocessor
}

// DraftOf is the draft; empty when nobody has begun. Needs PrivacyRead.
func DraftOf(ctx context.Context, tx *pg.Tx) (StatementDraft, error) {
	if err := tx.Require(access.PrivacyRead); err != nil {
		return StatementDraft{}, err
	}
	rows, err := tx.Query(ctx, `SELECT controller, officer, sections, changed_at FROM privacy_draft WHERE municipality_id = $1`, tx.Municipality())
	if err != nil {
		return StatementDraft{}, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[StatementDraft])
	if err != nil || len(all) == 0 {
		return StatementDraft{Sections: Texts{}}, err
	}
	return all[0], nil
}

// SaveDraft keeps what the administrator wrote; problem.Invalid names the field as "nb.about". Needs PrivacyWrite.
func SaveDraft(ctx context.Context, tx *pg.Tx, d StatementDraft) error {
	if err := tx.Require(access.PrivacyWrite); err != nil {
		return err
	}
	var wrong problem.Collector
	prose(&wrong, "controller", &d.Controller, 500, true)
	prose(&wrong, "officer", &d.Officer, 500, true)
	kept := Texts{}
	for _, lang := range slices.Sorted(maps.Keys(d.Sections)) {
		for _, section := range slices.Sorted(maps.Keys(d.Sections[lang])) {
			text, field := d.Sections[lang][section], lang+"."+section
			if !slices.Contains(Languages, lang) || !slices.Contains(Sections, section) {
				wrong.Add(field, "choice", nil)
				continue
			}
			prose(&wrong, field, &text, sectionLength, false)
			if text != "" {
				if kept[lang] == nil {
					kept[lang] = map[string]string{}
				}
				kept[lang][section] = text
			}
		}
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO privacy_draft (municipality_id, controller, officer, sections, changed_by, changed_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (municipality_id) DO UPDATE SET controller = EXCLUDED.controller, officer = EXCLUDED.officer, sections = EXCLUDED.sections,
			changed_by = EXCLUDED.changed_by, changed_at = EXCLUDED.changed_at`, tx.Municipality(), d.Controller, d.Officer, kept, tx.Caller.Account, tx.Now())
	audit.Write(tx, access.PrivacyWrite, audit.Record{Act: "statement.drafted", Subject: "municipality", SubjectID: strconv.Itoa(tx.Municipality())})
	return err
}

// Publish makes the draft the next version, in force from a day that is today or later, and gives its number. Needs
// PrivacyWrite.
func Publish(ctx context.Context, tx *pg.Tx, from calendar.Date) (int, error) {
	if err := tx.Require(access.PrivacyWrite); err != nil {
		return 0, err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return 0, err
	}
	d, err := DraftOf(ctx, tx)
	if err != nil {
		return 0, err
	}
	switch {
	case d.Controller == "" || d.Officer == "":
		return 0, problem.Conflict{Code: "statement_empty"}
	case from.IsZero():
		return 0, problem.InvalidField("in_force", "required", nil)
	case from.Before(today):
		return 0, problem.InvalidField("in_force", "past", problem.Params{"today": today})
	}
	if _, err := tx.Exec(ctx, `SELECT FROM privacy_draft WHERE municipality_id = $1 FOR UPDATE`, tx.Municipality()); err != nil { // one publishes at a time
		return 0, err
	}
	var version int
	err = tx.QueryRow(ctx, `INSERT INTO privacy_statement (municipality_id, version, controller, officer, sections, valid_from, published_by, published_at)
		SELECT d.municipality_id, 1 + coalesce((SELECT max(s.version) FROM privacy_statement s WHERE s.municipality_id = d.municipality_id), 0), d.controller, d.officer, d.sections, $2, $3, $4
		FROM privacy_draft d WHERE d.municipality_id = $1 RETURNING version`, tx.Municipality(), from, tx.Caller.Account, tx.Now()).Scan(&version)
	audit.Write(tx, access.PrivacyWrite, audit.Record{Act: "statement.published", Subject: "municipality", SubjectID: strconv.Itoa(tx.Municipality()), Detail: map[string]any{"version": version}})
	return version, err
}

// Statements are all published versions, the newest first. Needs PrivacyRead.
func Statements(ctx context.Context, tx *pg.Tx) ([]Published, error) {
	if err := tx.Require(access.PrivacyRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT version, controller, officer, sections, valid_from, published_by, published_at FROM privacy_statement
		WHERE municipality_id = $1 ORDER BY version DESC`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Published])
}

// Preview is the draft as it would look in public today. Needs PrivacyRead.
func Preview(ctx context.Context, tx *pg.Tx) (s Statement, err error) {
	if err := tx.Require(access.PrivacyRead); err != nil {
		return s, err
	}
	d, err := DraftOf(ctx, tx)
	if err != nil {
		return s, err
	}
	if s.Municipality, err = municipality.Current(ctx, tx); err != nil {
		return s, err
	}
	s.Published = Published{Controller: d.Controller, Officer: d.Officer, Sections: d.Sections, ValidFrom: calendar.DateOf(tx.Now().In(s.Municipality.Zone))}
	return s, s.surround(ctx, tx)
}

var fourDigits = regexp.MustCompile(`^[0-9]{4}$`)

// Public is the statement in force of the municipality with this number: a public fact, which asks for no permission and is
// read before it is known who asks (pg.DB.SignIn). problem.NotFound where there is none, whatever the reason.
func Public(ctx context.Context, tx *pg.Tx, number string) (s Statement, err error) {
	missing := problem.NotFound{What: "statement"}
	if !fourDigits.MatchString(number) {
		return s, missing
	}
	all, err := municipality.List(ctx, tx)
	if err != nil {
		return s, err
	}
	at := slices.IndexFunc(all, func(m municipality.Municipality) bool { return m.Number == number })
	if at < 0 {
		return s, missing
	}
	s.Municipality = all[at]
	today := calendar.DateOf(tx.Now().In(s.Municipality.Zone))
	rows, err := tx.Query(ctx, `SELECT version, controller, officer, sections, valid_from FROM privacy_statement WHERE municipality_id = $1 AND valid_from <= $2
		ORDER BY version DESC LIMIT 1`, s.Municipality.ID, today)
	if err != nil {
		return s, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Published, err error) {
		return p, row.Scan(&p.Version, &p.Controller, &p.Officer, &p.Sections, &p.ValidFrom)
	})
	if err != nil {
		return s, err
	}
	if len(found) == 0 {
		return s, missing
	}
	s.Published = found[0]
	return s, s.surround(ctx, tx)
}

// PublicStatements are the municipalities that have a statement in force, by number. It asks for no permission, like Public.
func PublicStatements(ctx context.Context, tx *pg.Tx) ([]municipality.Municipality, error) {
	all, err := municipality.List(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT DISTINCT municipality_id FROM privacy_statement ORDER BY municipality_id`) // the policy lets through what is in force
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	return slices.DeleteFunc(all, func(m municipality.Municipality) bool { return !slices.Contains(ids, m.ID) }), err
}

// surround adds what stands in a statement of its own accord.
func (s *Statement) surround(ctx context.Context, tx *pg.Tx) error {
	today := calendar.DateOf(tx.Now().In(s.Municipality.Zone))
	rows, err := tx.Query(ctx, `SELECT DISTINCT ON (class) class, version, start_event, period_months, period_days, inclusive, alignment, outcome FROM retention_rule
		WHERE municipality_id = $1 AND valid_from <= $2 ORDER BY class, version DESC`, s.Municipality.ID, today)
	if err != nil {
		return err
	}
	s.Rules, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r retention.Rule, err error) {
		return r, row.Scan(&r.Class, &r.Version, &r.StartEvent, &r.PeriodMonths, &r.PeriodDays, &r.Inclusive, &r.Alignment, &r.Outcome)
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(s.Rules, func(a, b retention.Rule) int { return classOrder(string(a.Class)) - classOrder(string(b.Class)) })
	all, err := versions(ctx, tx)
	if err != nil {
		return err
	}
	uses, err := usesOf(ctx, tx, s.Municipality.ID)
	if err != nil {
		return err
	}
	for _, e := range entriesOn(all, uses, today) {
		if e.Used {
			s.Recipients = append(s.Recipients, *e.Current)
		}
	}
	return nil
}
