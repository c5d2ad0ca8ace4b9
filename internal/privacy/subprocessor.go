// Package privacy keeps the controller's registers: the processor's own processors and what the municipality said to them
// (T22, T23), the records of processing made from the deletion classes (GDPR 30), deviations with their clocks (T25), and
// the privacy statement (T2). It knows no client.
package privacy

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// The codes of a subprocessor's columns, in the order in which forms offer them.
var (
	Services       = []string{"hosting", "backup", "response_centre", "gateway", "mobile_alarm", "camera", "video", "medicine_dispenser", "other"}
	AccessRules    = []string{"none", "role", "request", "logged"}
	TransferBases  = []string{"adequacy", "scc", "bcr"}
	Encryptions    = []string{"no_keys", "keys", "not_needed"}
	CopyKinds      = []string{"none", "backup", "copy"}
	ReviewOutcomes = []string{"fine", "remarks"}
)

// NotHeld is what the services around Frist make of people and Frist does not keep (T13-T15).
var NotHeld = []string{"camera", "arrival", "geofence", "meeting"}

// ObjectionDays is how long municipalities have to object to a new or changed subprocessor, unless more is given.
const ObjectionDays = 30

// The changes that a version can be. New and Changed are announced, with a last day to object; a Correction changes
// nothing that anybody could object to; Ended is the last version.
const (
	New        = "new"
	Changed    = "changed"
	Correction = "corrected"
	Ended      = "ended"
)

// Subprocessor is one version of one company's entry.
type Subprocessor struct {
	ID             int64
	Version        int
	Change         string
	Name           string
	Service        string
	Everywhere     bool // used by every municipality
	Purpose        string
	Data           string // the categories of data
	AccessRule     string
	Place          *string  // the country of storage; nil: stores nothing
	StaffCountries []string // from which its staff have access
	TransferBasis  *string  // due when one of the countries lies outside the EEA (GDPR 44)
	Encryption     string
	Copies         string
	CopiesDays     *int // after how many days what was deleted is gone there too (T24)
	ValidFrom      calendar.Date
	ObjectBy       *calendar.Date // the last day to object
	ChangedAt      time.Time
}

// Outside are the countries of storage and access that lie outside the EEA.
func (s Subprocessor) Outside() []Country {
	var outside []Country
	for _, code := range append(placeOf(s), s.StaffCountries...) {
		if c := Country(code); !c.EEA() && !slices.Contains(outside, c) {
			outside = append(outside, c)
		}
	}
	return outside
}

func placeOf(s Subprocessor) []string {
	if s.Place == nil {
		return nil
	}
	return []string{*s.Place}
}

// Review is that security was followed up (T22).
type Review struct {
	SubprocessorID int64
	ReviewedOn     calendar.Date
	NextDue        calendar.Date
	Outcome        string
	Reference      string
	ReviewedBy     int64
}

// Use is a period in which the municipality used the service; To is nil as long as it does.
type Use struct {
	SubprocessorID int64
	UsedFrom       calendar.Date
	UsedTo         *calendar.Date
}

// Answer is what the municipality said to an announced version.
type Answer struct {
	SubprocessorID int64
	Version        int
	Answer         string // noted or objected
	Reference      string
	Note           string
	AnsweredBy     int64
	AnsweredAt     time.Time
}

// Entry is one company in the register, as it is today.
type Entry struct {
	ID       int64
	Current  *Subprocessor  // in force today; nil when announced only, or ended
	Planned  *Subprocessor  // announced or ending, not in force yet
	Versions []Subprocessor // newest first
	Uses     []Use          // newest first; empty for one that is used everywhere
	Used     bool           // by this municipality, today
	Review   *Review        // the last one
	Overdue  bool           // the next review should have been
	Answers  []Answer
}

// Latest is the newest version.
func (e Entry) Latest() Subprocessor { return e.Versions[0] }

// AnswerTo is the municipality's answer to a version, or nil.
func (e Entry) AnswerTo(version int) *Answer {
	i := slices.IndexFunc(e.Answers, func(a Answer) bool { return a.Version == version })
	if i < 0 {
		return nil
	}
	return &e.Answers[i]
}

// Open is the announced version that waits for an answer on day, or nil.
func (e Entry) Open(day calendar.Date) *Subprocessor {
	for i, v := range e.Versions {
		if v.ObjectBy != nil && !v.ObjectBy.Before(day) && e.AnswerTo(v.Version) == nil {
			return &e.Versions[i]
		}
	}
	return nil
}

const subprocessorColumns = `id, version, change, name, service, everywhere, purpose, data, access_rule, place, staff_countries, transfer_basis, encryption, copies,
	copies_days, valid_from, object_by, changed_at`

// versions reads the list; it is the same for everybody.
func versions(ctx context.Context, tx *pg.Tx) ([]Subprocessor, error) {
	rows, err := tx.Query(ctx, `SELECT `+subprocessorColumns+` FROM subprocessor ORDER BY id, version DESC`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Subprocessor])
}

// entriesOn sorts versions into entries: which is in force on day, which comes.
func entriesOn(all []Subprocessor, uses []Use, day calendar.Date) []Entry {
	var list []Entry
	for _, v := range all {
		if len(list) == 0 || list[len(list)-1].ID != v.ID {
			list = append(list, Entry{ID: v.ID})
		}
		e := &list[len(list)-1]
		e.Versions = append(e.Versions, v)
	}
	for i := range list {
		e := &list[i]
		for j, v := range e.Versions { // newest first
			if v.ValidFrom.After(day) {
				e.Planned = &e.Versions[j]
				continue
			}
			if v.Change != Ended {
				e.Current = &e.Versions[j]
			}
			break
		}
		for _, u := range uses {
			if u.SubprocessorID == e.ID {
				e.Uses = append(e.Uses, u)
				e.Used = e.Used || !u.UsedFrom.After(day) && (u.UsedTo == nil || !u.UsedTo.Before(day))
			}
		}
		e.Used = e.Current != nil && (e.Used || e.Current.Everywhere)
	}
	slices.SortStableFunc(list, func(a, b Entry) int {
		x, y := a.Latest(), b.Latest()
		if by := slices.Index(Services, x.Service) - slices.Index(Services, y.Service); by != 0 {
			return by
		}
		return strings.Compare(x.Name, y.Name)
	})
	return list
}

func usesOf(ctx context.Context, tx *pg.Tx, municipality int) ([]Use, error) {
	rows, err := tx.Query(ctx, `SELECT subprocessor_id, used_from, used_to FROM subprocessor_use WHERE municipality_id = $1
		ORDER BY subprocessor_id, used_from DESC`, municipality)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Use])
}

// Register is the list with what the municipality uses and has answered, by service and name (T22, T23). Needs
// PrivacyRead.
func Register(ctx context.Context, tx *pg.Tx) ([]Entry, error) {
	if err := tx.Require(access.PrivacyRead); err != nil {
		return nil, err
	}
	list, err := listed(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT subprocessor_id, version, answer, reference, note, answered_by, answered_at FROM subprocessor_answer
		WHERE municipality_id = $1 ORDER BY subprocessor_id, version DESC`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByName[Answer])
	for i := range list {
		for _, a := range answers {
			if a.SubprocessorID == list[i].ID {
				list[i].Answers = append(list[i].Answers, a)
			}
		}
	}
	return list, err
}

// listed is the list with uses, where there is a municipality, and reviews.
func listed(ctx context.Context, tx *pg.Tx) ([]Entry, error) {
	day, err := municipality.Today(ctx, tx)
	if err != nil {
		return nil, err
	}
	all, err := versions(ctx, tx)
	if err != nil {
		return nil, err
	}
	var uses []Use
	if tx.Municipality() > 0 {
		if uses, err = usesOf(ctx, tx, tx.Municipality()); err != nil {
			return nil, err
		}
	}
	list := entriesOn(all, uses, day)
	rows, err := tx.Query(ctx, `SELECT DISTINCT ON (subprocessor_id) subprocessor_id, reviewed_on, next_due, outcome, reference, reviewed_by FROM subprocessor_review
		ORDER BY subprocessor_id, reviewed_on DESC, id DESC`)
	if err != nil {
		return nil, err
	}
	reviews, err := pgx.CollectRows(rows, pgx.RowToStructByName[Review])
	for i := range list {
		e := &list[i]
		if at := slices.IndexFunc(reviews, func(r Review) bool { return r.SubprocessorID == e.ID }); at >= 0 {
			e.Review = &reviews[at]
		}
		e.Overdue = e.Current != nil && (e.Review == nil || e.Review.NextDue.Before(day))
	}
	return list, err
}

// SharedAnswer is what the processor sees of a municipality's answer: that, when and under which case number. Why stays in
// the municipality.
type SharedAnswer struct {
	MunicipalityID int
	SubprocessorID int64
	Version        int
	Answer         string
	Reference      string
	AnsweredAt     time.Time
}

// Shared is the list as the processor keeps it, with what the municipalities answered. Needs PlatformManage.
func Shared(ctx context.Context, tx *pg.Tx) ([]Entry, []SharedAnswer, error) {
	if err := tx.Require(access.PlatformManage); err != nil {
		return nil, nil, err
	}
	list, err := listed(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	rows, err := tx.Query(ctx, `SELECT municipality_id, subprocessor_id, version, answer, reference, answered_at FROM subprocessor_answers()
		ORDER BY subprocessor_id, version DESC, answer DESC, municipality_id`)
	if err != nil {
		return nil, nil, err
	}
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByName[SharedAnswer])
	return list, answers, err
}

// Announce adds a version to the list: ID 0 is a new company. Change may be Changed (the default), Correction or Ended.
// What is new or changed takes effect after the municipalities have had time to object: ObjectBy is at least ObjectionDays
// from today, which is what it is when nothing is given, and ValidFrom after it (GDPR 28(2)). Needs PlatformManage;
// problem.Invalid tells what is wrong.
func Announce(ctx context.Context, tx *pg.Tx, s Subprocessor) (int64, error) {
	if err := tx.Require(access.PlatformManage); err != nil {
		return 0, err
	}
	if tx.Municipality() != 0 {
		return 0, problem.NotFound{What: "subprocessor"}
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('subprocessor'))`); err != nil {
		return 0, err
	}
	all, err := versions(ctx, tx)
	if err != nil {
		return 0, err
	}
	var before *Subprocessor
	s.Version = 1
	if s.ID == 0 {
		s.Change = New
		for _, v := range all {
			s.ID = max(s.ID, v.ID)
		}
		s.ID++
	} else {
		i := slices.IndexFunc(all, func(v Subprocessor) bool { return v.ID == s.ID })
		if i < 0 {
			return 0, problem.NotFound{What: "subprocessor"}
		}
		before = &all[i]
		s.Version = before.Version + 1
		if s.Change == "" || s.Change == New {
			s.Change = Changed
		}
	}
	if err := s.prepare(before, today); err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO subprocessor (`+subprocessorColumns+`, changed_by) VALUES (@id, @version, @change, @name, @service, @everywhere, @purpose, @data,
		@access_rule, @place, @staff_countries, @transfer_basis, @encryption, @copies, @copies_days, @valid_from, @object_by, @changed_at, @changed_by)`, pgx.StrictNamedArgs{
		"id": s.ID, "version": s.Version, "change": s.Change, "name": s.Name, "service": s.Service, "everywhere": s.Everywhere, "purpose": s.Purpose, "data": s.Data,
		"access_rule": s.AccessRule, "place": s.Place, "staff_countries": s.StaffCountries, "transfer_basis": s.TransferBasis, "encryption": s.Encryption, "copies": s.Copies,
		"copies_days": s.CopiesDays, "valid_from": s.ValidFrom, "object_by": s.ObjectBy, "changed_at": tx.Now(), "changed_by": tx.Caller.Account,
	})
	audit.Write(tx, access.PlatformManage, audit.Record{
		Act: "subprocessor." + s.Change, Subject: "subprocessor", SubjectID: strconv.FormatInt(s.ID, 10), Detail: map[string]any{"version": s.Version},
	})
	return s.ID, err
}

// prepare cleans and checks a version against the one before it.
func (s *Subprocessor) prepare(before *Subprocessor, today calendar.Date) error {
	var wrong problem.Collector
	if before != nil && before.Change == Ended {
		return problem.Conflict{Code: "subprocessor_ended"}
	}
	if s.Change == Ended { // it ends as it was
		last, from := *before, s.ValidFrom
		last.Version, last.Change, last.ObjectBy = s.Version, Ended, nil
		*s = last
		if s.ValidFrom = from; from.Before(today) {
			wrong.Add("in_force", "past", problem.Params{"today": today})
		}
		return wrong.Err()
	}
	line(&wrong, "name", &s.Name, 120, true)
	line(&wrong, "purpose", &s.Purpose, 500, true)
	line(&wrong, "data", &s.Data, 500, true)
	choice(&wrong, "service", s.Service, Services)
	choice(&wrong, "access_rule", s.AccessRule, AccessRules)
	choice(&wrong, "encryption", s.Encryption, Encryptions)
	choice(&wrong, "copies", s.Copies, CopyKinds)
	if s.Change != New && s.Change != Changed && s.Change != Correction {
		wrong.Add("change", "choice", nil)
	}
	if s.Place != nil && *s.Place == "" {
		s.Place = nil
	}
	if s.Place != nil && !Country(*s.Place).Known() {
		wrong.Add("storage", "country", problem.Params{"value": *s.Place})
	}
	if s.StaffCountries == nil {
		s.StaffCountries = []string{}
	}
	slices.Sort(s.StaffCountries)
	s.StaffCountries = slices.Compact(s.StaffCountries)
	for _, code := range s.StaffCountries {
		if !Country(code).Known() {
			wrong.Add("staff_countries", "country", problem.Params{"value": code})
			break
		}
	}
	if s.TransferBasis != nil && *s.TransferBasis == "" {
		s.TransferBasis = nil
	}
	switch outside := s.Outside(); {
	case s.TransferBasis != nil && !slices.Contains(TransferBases, *s.TransferBasis):
		wrong.Add("transfer_basis", "choice", nil)
	case s.TransferBasis == nil && len(outside) > 0:
		wrong.Add("transfer_basis", "transfer_basis_due", nil)
	case s.TransferBasis != nil && len(outside) == 0:
		s.TransferBasis = nil
	case s.TransferBasis != nil && *s.TransferBasis == "adequacy" && !slices.ContainsFunc(outside, Country.Adequate):
		wrong.Add("transfer_basis", "not_adequate", nil)
	}
	switch {
	case s.Copies == "none":
		s.CopiesDays = nil
	case s.CopiesDays == nil || *s.CopiesDays < 1 || *s.CopiesDays > 3660:
		wrong.Add("copies_days", "between", problem.Params{"low": 1, "high": 3660})
	}
	if s.Change == Correction {
		s.ObjectBy = nil
		if s.ValidFrom.IsZero() {
			s.ValidFrom = today
		}
		if before != nil && s.material(*before) {
			wrong.Add("change", "needs_notice", nil)
		}
		return wrong.Err()
	}
	first := today.AddDays(ObjectionDays)
	if s.ObjectBy == nil || s.ObjectBy.IsZero() {
		s.ObjectBy = &first
	}
	if s.ObjectBy.Before(first) {
		wrong.Add("object_by", "objection_short", problem.Params{"first": first})
	}
	if s.ValidFrom.IsZero() {
		s.ValidFrom = s.ObjectBy.AddDays(1)
	}
	if !s.ValidFrom.After(*s.ObjectBy) {
		wrong.Add("in_force", "before_objection", problem.Params{"first": s.ObjectBy.AddDays(1)})
	}
	return wrong.Err()
}

// material reports whether a version differs in something that a municipality could object to.
func (s Subprocessor) material(before Subprocessor) bool {
	same := s.Name == before.Name && s.Service == before.Service && s.Everywhere == before.Everywhere && s.Data == before.Data && s.AccessRule == before.AccessRule &&
		equal(s.Place, before.Place) && slices.Equal(s.StaffCountries, before.StaffCountries) && s.Encryption == before.Encryption && s.Copies == before.Copies &&
		equal(s.CopiesDays, before.CopiesDays)
	return !same
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// FollowUp records that security was followed up, with the day of the next time (T22). Needs PlatformManage.
func FollowUp(ctx context.Context, tx *pg.Tx, id int64, r Review) error {
	if err := tx.Require(access.PlatformManage); err != nil {
		return err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	var wrong problem.Collector
	line(&wrong, "reference", &r.Reference, 60, true)
	choice(&wrong, "review_outcome", r.Outcome, ReviewOutcomes)
	switch {
	case r.ReviewedOn.IsZero():
		wrong.Add("reviewed_on", "required", nil)
	case r.ReviewedOn.After(today):
		wrong.Add("reviewed_on", "future", problem.Params{"today": today})
	}
	if !r.NextDue.After(today) {
		wrong.Add("next_due", "past", problem.Params{"today": today})
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `INSERT INTO subprocessor_review (subprocessor_id, version, reviewed_on, next_due, outcome, reference, reviewed_by, entered_at)
		SELECT s.id, max(s.version), $2, $3, $4, $5, $6, $7 FROM subprocessor s WHERE s.id = $1 GROUP BY s.id`,
		id, r.ReviewedOn, r.NextDue, r.Outcome, r.Reference, tx.Caller.Account, tx.Now())
	if err == nil && n == 0 {
		return problem.NotFound{What: "subprocessor"}
	}
	audit.Write(tx, access.PlatformManage, audit.Record{Act: "subprocessor.reviewed", Subject: "subprocessor", SubjectID: strconv.FormatInt(id, 10), Detail: map[string]any{"outcome": r.Outcome}})
	return err
}

// StartUse records that the municipality uses the service from a day on. Needs PrivacyWrite.
func StartUse(ctx context.Context, tx *pg.Tx, id int64, from calendar.Date) error {
	if err := tx.Require(access.PrivacyWrite); err != nil {
		return err
	}
	e, err := find(ctx, tx, id)
	if err != nil {
		return err
	}
	first := e.Versions[len(e.Versions)-1].ValidFrom
	switch {
	case from.IsZero():
		return problem.InvalidField("used_from", "required", nil)
	case e.Latest().Change == Ended:
		return problem.Conflict{Code: "subprocessor_ended"}
	case e.Latest().Everywhere:
		return problem.Conflict{Code: "used_everywhere"}
	case from.Before(first):
		return problem.InvalidField("used_from", "before_objection", problem.Params{"first": first})
	}
	for _, u := range e.Uses {
		if u.UsedTo == nil {
			return problem.Conflict{Code: "used_already"}
		}
		if !u.UsedTo.Before(from) {
			return problem.InvalidField("used_from", "overlaps", problem.Params{"last": *u.UsedTo})
		}
	}
	_, err = tx.Exec(ctx, `INSERT INTO subprocessor_use (municipality_id, subprocessor_id, used_from, entered_by, entered_at) VALUES ($1, $2, $3, $4, $5)`,
		tx.Municipality(), id, from, tx.Caller.Account, tx.Now())
	audit.Write(tx, access.PrivacyWrite, audit.Record{Act: "subprocessor.used", Subject: "subprocessor", SubjectID: strconv.FormatInt(id, 10)})
	return err
}

// EndUse records the last day of use. Needs PrivacyWrite.
func EndUse(ctx context.Context, tx *pg.Tx, id int64, to calendar.Date) error {
	if err := tx.Require(access.PrivacyWrite); err != nil {
		return err
	}
	e, err := find(ctx, tx, id)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(e.Uses, func(u Use) bool { return u.UsedTo == nil })
	switch {
	case at < 0:
		return problem.Conflict{Code: "not_used"}
	case to.IsZero():
		return problem.InvalidField("used_to", "required", nil)
	case to.Before(e.Uses[at].UsedFrom):
		return problem.InvalidField("used_to", "before_use", problem.Params{"first": e.Uses[at].UsedFrom})
	}
	_, err = tx.Exec(ctx, `UPDATE subprocessor_use SET used_to = $3, ended_by = $4, ended_at = $5 WHERE municipality_id = $1 AND subprocessor_id = $2 AND used_to IS NULL`,
		tx.Municipality(), id, to, tx.Caller.Account, tx.Now())
	audit.Write(tx, access.PrivacyWrite, audit.Record{Act: "subprocessor.use_ended", Subject: "subprocessor", SubjectID: strconv.FormatInt(id, 10)})
	return err
}

// Respond is the municipality's answer to an announced version: noted, or objected with the reason, which stays in the
// municipality. It counts once, and until the last day to object. Needs PrivacyWrite.
func Respond(ctx context.Context, tx *pg.Tx, id int64, version int, a Answer) error {
	if err := tx.Require(access.PrivacyWrite); err != nil {
		return err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	e, err := find(ctx, tx, id)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(e.Versions, func(v Subprocessor) bool { return v.Version == version && v.ObjectBy != nil })
	if at < 0 {
		return problem.NotFound{What: "notice"}
	}
	if e.Versions[at].ObjectBy.Before(today) {
		return problem.Conflict{Code: "objection_late", Params: problem.Params{"last": *e.Versions[at].ObjectBy}}
	}
	var wrong problem.Collector
	choice(&wrong, "reply", a.Answer, []string{"noted", "objected"})
	line(&wrong, "reference", &a.Reference, 60, a.Answer == "objected")
	prose(&wrong, "note", &a.Note, 2000, a.Answer == "objected")
	if err := wrong.Err(); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO subprocessor_answer (municipality_id, subprocessor_id, version, answer, reference, note, answered_by, answered_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, tx.Municipality(), id, version, a.Answer, a.Reference, a.Note, tx.Caller.Account, tx.Now())
	audit.Write(tx, access.PrivacyWrite, audit.Record{Act: "subprocessor." + a.Answer, Subject: "subprocessor", SubjectID: strconv.FormatInt(id, 10), Detail: map[string]any{"version": version}})
	return err
}

// find is one entry for a change by the municipality.
func find(ctx context.Context, tx *pg.Tx, id int64) (Entry, error) {
	list, err := Register(ctx, tx)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range list {
		if e.ID == id {
			return e, nil
		}
	}
	return Entry{}, problem.NotFound{What: "subprocessor"}
}

// line checks a text of one line and takes the spaces from its ends.
func line(wrong *problem.Collector, field string, text *string, most int, required bool) {
	*text = strings.Join(strings.Fields(*text), " ")
	measure(wrong, field, *text, most, required)
}

// prose checks a text of paragraphs; line ends become those of Unix.
func prose(wrong *problem.Collector, field string, text *string, most int, required bool) {
	*text = strings.TrimSpace(strings.ReplaceAll(*text, "\r\n", "\n"))
	measure(wrong, field, *text, most, required)
}

func measure(wrong *problem.Collector, field, text string, most int, required bool) {
	switch {
	case text == "" && required:
		wrong.Add(field, "required", nil)
	case utf8.RuneCountInString(text) > most:
		wrong.Add(field, "too_long", problem.Params{"max": most})
	case !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }):
		wrong.Add(field, "unreadable", nil)
	}
}

func choice(wrong *problem.Collector, field, value string, choices []string) {
	if !slices.Contains(choices, value) {
		wrong.Add(field, "choice", nil)
	}
}
