// Package retention answers one question: may this client's data go, since when, and if not, why not? Rules are the
// municipality's own versioned rows; the answer is a pure function over facts and rules. It knows nothing of how
// deletion works.
package retention

import (
	"context"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/jackc/pgx/v5"
)

// Class is a cluster of personal data with one period and one start event (slettefristklasse, ISO/IEC 27555).
type Class string

// The deletion classes. The first four hang on the client and go with it, at the latest of their dates (D4).
const (
	ClientRecord Class = "client_record"
	AlarmLog     Class = "alarm_log"
	Recording    Class = "recording"
	ChangeValues Class = "change_values"

	AccessLog          Class = "access_log"
	AuditTrail         Class = "audit"
	RoundRecord        Class = "round"
	PurgedRegistration Class = "purged_registration"
	ImportReport       Class = "import_report"
	Deviation          Class = "deviation"
)

// ClientClasses are the classes that lie under a client and are purged with it.
var ClientClasses = []Class{ClientRecord, AlarmLog, Recording, ChangeValues}

// Alignment says what a period's end is moved to.
type Alignment string

// A period ends on its own day, at the next quarter, or counts from the end of the business year (D5).
const (
	NoAlignment     Alignment = "none"
	QuarterAligned  Alignment = "quarter"
	BusinessYearEnd Alignment = "business_year_end"
)

// Outcome is what becomes of a class when its period is over.
type Outcome string

// Destroy deletes. Preserve keeps for the archive. Review means that the archive question is not answered yet (D6):
// nothing of the client goes before it is.
const (
	Destroy  Outcome = "destroy"
	Preserve Outcome = "preserve"
	Review   Outcome = "review"
)

// Rule is one version of a municipality's rule for a class.
type Rule struct {
	Class        Class         `json:"class"`
	Version      int           `json:"version"`
	StartEvent   string        `json:"start_event"`
	PeriodMonths int           `json:"period_months"`
	PeriodDays   int           `json:"period_days"`
	Inclusive    bool          `json:"inclusive"`
	Alignment    Alignment     `json:"alignment"`
	Outcome      Outcome       `json:"outcome"`
	Authority    string        `json:"authority"`
	ValidFrom    calendar.Date `json:"valid_from"`
}

// DueOn is the first day on which data whose clock started on start may go (D1, D2, D5). Inclusive: from the day
// start + period; exclusive ("mer enn", P23): the day after.
func (r Rule) DueOn(start calendar.Date) calendar.Date {
	if r.Alignment == BusinessYearEnd {
		return start.BusinessYearEnd(time.December).AddMonths(r.PeriodMonths).AddDays(r.PeriodDays + 1)
	}
	due := start.AddMonths(r.PeriodMonths).AddDays(r.PeriodDays)
	if !r.Inclusive {
		due = due.AddDays(1)
	}
	if r.Alignment == QuarterAligned {
		due = due.QuarterOnOrAfter()
	}
	return due
}

// KeepUntil is the day on which a record of this class that was made on day is dropped. Without a rule it is kept: the
// answer is a hundred years (D6).
func (r Rule) KeepUntil(day calendar.Date) calendar.Date {
	if r.Version == 0 {
		return day.AddMonths(1200)
	}
	return r.DueOn(day)
}

// Rules are the versions in force on one day, by class. A class that is missing means keep (D6).
type Rules map[Class]Rule

// Versions gives class -> version, for protocols.
func (r Rules) Versions() map[Class]int {
	versions := make(map[Class]int, len(r))
	for class, rule := range r {
		versions[class] = rule.Version
	}
	return versions
}

const ruleColumns = `class, version, start_event, period_months, period_days, inclusive, alignment, outcome, authority, valid_from`

// LoadRules reads the municipality's rules in force today. Needs a transaction; anybody who may read rounds or clients
// may know the rules.
func LoadRules(ctx context.Context, tx *pg.Tx) (Rules, error) {
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return nil, err
	}
	return RulesOn(ctx, tx, today)
}

// RulesOn is LoadRules for a caller who knows the municipality's day already.
func RulesOn(ctx context.Context, tx *pg.Tx, today calendar.Date) (Rules, error) {
	rows, err := tx.Query(ctx, `SELECT DISTINCT ON (class) `+ruleColumns+` FROM retention_rule
		WHERE municipality_id = $1 AND valid_from <= $2 ORDER BY class, version DESC`, tx.Municipality(), today)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Rule])
	if err != nil {
		return nil, err
	}
	rules := make(Rules, len(list))
	for _, rule := range list {
		rules[rule.Class] = rule
	}
	return rules, nil
}

// Seed writes a new municipality's first rules (D4), valid from the given day. archiveAnswered false leaves the archive
// question for alarm log and recordings open, which blocks every purge until it is answered (D6). By the platform
// administrator who creates the municipality.
func Seed(ctx context.Context, tx *pg.Tx, from calendar.Date, archiveAnswered bool) error {
	if err := tx.Require(access.PlatformManage); err != nil {
		return err
	}
	log := Destroy
	if !archiveAnswered {
		log = Review
	}
	batch := &pgx.Batch{}
	for _, r := range []Rule{
		{ClientRecord, 1, "disconnected", 6, 0, true, NoAlignment, Destroy, "Databehandleravtalen: inaktive klienter slettes etter 6 måneder (GDPR art. 5 nr. 1 e)", from},
		{AlarmLog, 1, "disconnected", 6, 0, true, NoAlignment, log, "Databehandleravtalen: alarmlogg bevares 6 måneder for oppfølgingssak", from},
		{Recording, 1, "disconnected", 6, 0, true, NoAlignment, log, "Databehandleravtalen: lydlogg bevares 6 måneder for oppfølgingssak", from},
		{ChangeValues, 1, "disconnected", 6, 0, true, NoAlignment, Destroy, "Følger klienten", from},
		{AccessLog, 1, "event", 60, 0, true, NoAlignment, Destroy, "Pasientjournalloven § 22; kommunens vedtak om 5 år", from},
		{AuditTrail, 1, "event", 120, 0, true, NoAlignment, Destroy, "Dokumentasjonsplikt for sletting, 10 år", from},
		{RoundRecord, 1, "run", 120, 0, true, NoAlignment, Destroy, "Dokumentasjonsplikt for sletting, 10 år", from},
		{PurgedRegistration, 1, "run", 24, 0, true, NoAlignment, Destroy, "Hindrer at slettede registreringer kommer tilbake; aldri kortere enn sikkerhetskopiene", from},
		{ImportReport, 1, "upload", 0, 30, true, NoAlignment, Destroy, "Rapporten trengs til feil er rettet", from},
		{Deviation, 1, "event", 120, 0, true, NoAlignment, Destroy, "GDPR art. 33 nr. 5: avvik dokumenteres; 10 år etter at avviket er lukket", from},
	} {
		batch.Queue(`INSERT INTO retention_rule (municipality_id, `+ruleColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			tx.Municipality(), r.Class, r.Version, r.StartEvent, r.PeriodMonths, r.PeriodDays, r.Inclusive, r.Alignment, r.Outcome, r.Authority, r.ValidFrom)
	}
	return tx.SendBatch(ctx, batch).Close()
}
