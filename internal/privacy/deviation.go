package privacy

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// The codes of a deviation, in the order in which forms offer them. A wrong deletion, and one that did not take place, are
// kinds of their own beside the three of GDPR 4(12).
var (
	DeviationKinds   = []string{"confidentiality", "integrity", "availability", "wrong_access", "wrong_deletion", "not_deleted"}
	PersonGroups     = []string{"clients", "kin", "staff", "others"}
	DataCategories   = []string{"identity", "contact", "health", "alarms", "recordings", "logs", "accounts"}
	DeviationParties = []string{"controller", "datatilsynet", "nsm", "persons", "kin"}
)

// AuthorityHours is how long the controller has to tell Datatilsynet (GDPR 33(1)).
const AuthorityHours = 72

// State is where a deviation stands.
type State string

// A draft is what the product found and nobody has looked at yet; it becomes open or is dismissed. A closed one can be
// opened again.
const (
	Draft     State = "draft"
	Open      State = "open"
	Closed    State = "closed"
	Dismissed State = "dismissed"
)

// Facts are what can be said about a deviation without a word about anybody.
type Facts struct {
	Kind          string
	DiscoveredAt  time.Time
	HappenedFrom  *time.Time
	HappenedTo    *time.Time
	Affected      *int // how many people; nil: not known yet
	AffectedExact bool // else an estimate
	Persons       []string
	Categories    []string
}

// Account is one version of what was written about it. It may hold personal data, and is the municipality's own.
type Account struct {
	Version      int
	What         string
	Done         string
	Consequences string
	Cause        string
	Measures     string
	WrittenBy    int64
	WrittenAt    time.Time
}

func (a Account) empty() bool { return a.What+a.Done+a.Consequences+a.Cause+a.Measures == "" }

// Deviation is one, as it is now.
type Deviation struct {
	ID uuid.UUID
	Facts
	Source      string // municipality, support, supplier or system
	State       State
	ReportedBy  int64
	ReportedAt  time.Time
	ConfirmedBy *int64
	RoundID     *int64
	Incident    *string
	SettledBy   *int64
	SettledAt   *time.Time
}

// Number is what people call it by: the beginning of its id, so that it tells nobody how many there are.
func (d Deviation) Number() string { return DeviationNumber(d.ID) }

// DeviationNumber is Number for an id.
func DeviationNumber(id uuid.UUID) string { return "A-" + strings.ToUpper(id.String()[:8]) }

// Act is one line of its story.
type Act struct {
	At        time.Time
	AccountID int64
	Role      string
	Act       string
	Party     *string
	ToldAt    *time.Time
	Reference string
	Note      string
}

// Case is a deviation with its story and everything that was written about it, newest first.
type Case struct {
	Deviation
	Acts     []Act
	Accounts []Account
	Clocks   []Clock
}

// Text is the account as it is now; empty when nothing is written.
func (c Case) Text() Account {
	if len(c.Accounts) == 0 {
		return Account{}
	}
	return c.Accounts[0]
}

// Told is whether a party was told, and when for the first time.
func (c Case) Told(party string) (time.Time, bool) {
	for _, a := range c.Acts {
		if a.Act == "told" && *a.Party == party {
			return *a.ToldAt, true
		}
	}
	return time.Time{}, false
}

// Clock is one of the two that run from the discovery.
type Clock struct {
	Name    string // first: the controller, or NSM; authority: Datatilsynet
	Due     time.Time
	Stopped *time.Time // when somebody was told, or it was decided not to
	Decided bool       // it was decided not to
	Late    bool       // stopped after Due, or running past it
	Left    time.Duration
}

// clocks tell, of a deviation found at discovered, how long is left at now. Each may be stopped up to and including its
// last instant.
func clocks(d Deviation, acts []Act, firstHours int, now time.Time) []Clock {
	make1 := func(name string, hours int, parties ...string) Clock {
		c := Clock{Name: name, Due: d.DiscoveredAt.Add(time.Duration(hours) * time.Hour)}
		for _, a := range acts {
			if a.Party == nil || !slices.Contains(parties, *a.Party) {
				continue
			}
			at, decided := a.At, a.Act == "not_told"
			if a.ToldAt != nil {
				at = *a.ToldAt
			}
			if decided && *a.Party == "controller" { // one does not decide that the controller need not know
				continue
			}
			if c.Stopped == nil || at.Before(*c.Stopped) {
				c.Stopped, c.Decided = &at, decided
			}
		}
		if c.Stopped == nil && d.State == Dismissed {
			c.Stopped, c.Decided = d.SettledAt, true
		}
		end := now
		if c.Stopped != nil {
			end = *c.Stopped
		}
		c.Late = end.After(c.Due)
		c.Left = c.Due.Sub(end)
		return c
	}
	first := []string{"nsm"}
	if d.Source != "municipality" {
		first = append(first, "controller")
	}
	return []Clock{make1("first", firstHours, first...), make1("authority", AuthorityHours, "datatilsynet")}
}

// FirstHours is within how many hours the controller, or NSM, is told in this municipality. Needs DeviationRead.
func FirstHours(ctx context.Context, tx *pg.Tx) (hours int, err error) {
	if err := tx.Require(access.DeviationRead); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT first_notice_hours FROM municipality_policy WHERE municipality_id = $1`, tx.Municipality()).Scan(&hours)
	return hours, err
}

// Report opens a deviation (T25). Whoever works for processor or supplier stands in the municipality that it is about, and
// tells kinds and counts only: words of theirs are refused (problem.Forbidden), because they could be about a person.
// Needs DeviationReport.
func Report(ctx context.Context, tx *pg.Tx, f Facts, text Account) (uuid.UUID, error) {
	if err := tx.Require(access.DeviationReport); err != nil {
		return uuid.Nil, err
	}
	if tx.Municipality() == 0 {
		return uuid.Nil, problem.InvalidField("for_municipality", "required", nil)
	}
	source, blind := "municipality", tx.Caller.Blind()
	if blind {
		source = map[bool]string{true: "supplier", false: "support"}[tx.Caller.RoleFor(access.DeviationReport) == access.Operator]
		if !text.empty() {
			return uuid.Nil, problem.Forbidden{Code: "no_free_text"}
		}
	}
	var wrong problem.Collector
	f.check(&wrong, tx.Now())
	if !blind {
		text.check(&wrong)
		if text.What == "" {
			wrong.Add("what", "required", nil)
		}
	}
	if err := wrong.Err(); err != nil {
		return uuid.Nil, err
	}
	id := uuid.New()
	if err := f.insert(ctx, tx, id, source); err != nil {
		return uuid.Nil, err
	}
	if !blind {
		if err := text.insert(ctx, tx, id, 1); err != nil {
			return uuid.Nil, err
		}
	}
	acted(tx, access.DeviationReport, id, Act{Act: "reported"}, map[string]any{"kind": f.Kind, "source": source})
	return id, nil
}

func (f Facts) insert(ctx context.Context, tx *pg.Tx, id uuid.UUID, source string) error {
	_, err := tx.Exec(ctx, `INSERT INTO deviation (municipality_id, id, kind, source, reported_by, reported_at, discovered_at, happened_from, happened_to, affected,
		affected_exact, persons, categories) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		tx.Municipality(), id, f.Kind, source, tx.Caller.Account, tx.Now(), f.DiscoveredAt, f.HappenedFrom, f.HappenedTo, f.Affected, f.AffectedExact, f.Persons, f.Categories)
	return err
}

func (a Account) insert(ctx context.Context, tx *pg.Tx, id uuid.UUID, version int) error {
	_, err := tx.Exec(ctx, `INSERT INTO deviation_text (municipality_id, deviation_id, version, what, done, consequences, cause, measures, written_by, written_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, tx.Municipality(), id, version, a.What, a.Done, a.Consequences, a.Cause, a.Measures, tx.Caller.Account, tx.Now())
	return err
}

// acted adds a line to the story, and one without words to the audit.
func acted(tx *pg.Tx, p access.Permission, id uuid.UUID, a Act, detail map[string]any) {
	role := string(tx.Caller.RoleFor(p))
	if a.Party == nil && a.Reference == "" && a.Note == "" { // all that processor and supplier may write
		tx.Later(`INSERT INTO deviation_event (municipality_id, deviation_id, at, account_id, role, act) VALUES ($1, $2, $3, $4, $5, $6)`,
			tx.Municipality(), id, tx.Now(), tx.Caller.Account, role, a.Act)
	} else {
		tx.Later(`INSERT INTO deviation_event (municipality_id, deviation_id, at, account_id, role, act, party, told_at, reference, note) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			tx.Municipality(), id, tx.Now(), tx.Caller.Account, role, a.Act, a.Party, a.ToldAt, a.Reference, a.Note)
	}
	audit.Write(tx, p, audit.Record{Act: "deviation." + a.Act, Subject: "deviation", SubjectID: id.String(), Detail: detail})
}

// check cleans the facts and tells what is wrong with them at now.
func (f *Facts) check(wrong *problem.Collector, now time.Time) {
	choice(wrong, "kind", f.Kind, DeviationKinds)
	switch {
	case f.DiscoveredAt.IsZero():
		wrong.Add("discovered_at", "required", nil)
	case f.DiscoveredAt.After(now):
		wrong.Add("discovered_at", "not_yet", nil)
	}
	if f.HappenedFrom != nil && f.HappenedFrom.After(now) {
		wrong.Add("happened_from", "not_yet", nil)
	}
	if f.HappenedTo != nil && (f.HappenedFrom == nil || f.HappenedTo.Before(*f.HappenedFrom)) {
		wrong.Add("happened_to", "before_from", nil)
	}
	if f.Affected != nil && (*f.Affected < 0 || *f.Affected > 10_000_000) {
		wrong.Add("affected", "between", problem.Params{"low": 0, "high": 10_000_000})
	}
	f.AffectedExact = f.AffectedExact && f.Affected != nil
	f.Persons, f.Categories = ordered(wrong, "persons", f.Persons, PersonGroups), ordered(wrong, "categories", f.Categories, DataCategories)
}

// ordered is what was chosen of the choices, in their order.
func ordered(wrong *problem.Collector, field string, chosen, choices []string) []string {
	list := []string{}
	for _, c := range choices {
		if slices.Contains(chosen, c) {
			list = append(list, c)
		}
	}
	for _, c := range chosen {
		if !slices.Contains(choices, c) {
			wrong.Add(field, "choice", nil)
			break
		}
	}
	return list
}

func (a *Account) check(wrong *problem.Collector) {
	for _, field := range []struct {
		name string
		text *string
	}{{"what", &a.What}, {"done", &a.Done}, {"consequences", &a.Consequences}, {"cause", &a.Cause}, {"measures", &a.Measures}} {
		prose(wrong, field.name, field.text, 4000, false)
	}
}

// Found drafts a deviation that the product itself came upon in a round: once for each round and incident. The clocks run
// from now, whether somebody has looked at the draft or not. Needs RoundSweep, which only the system has.
func Found(ctx context.Context, tx *pg.Tx, round int64, incident string) error {
	if err := tx.Require(access.RoundSweep); err != nil {
		return err
	}
	id := uuid.New()
	n, err := tx.Exec(ctx, `INSERT INTO deviation (municipality_id, id, kind, source, state, reported_by, reported_at, discovered_at, persons, round_id, incident)
		VALUES ($1, $2, 'integrity', 'system', 'draft', 0, $3, $3, '{clients}', $4, $5) ON CONFLICT (municipality_id, round_id, incident) WHERE round_id IS NOT NULL DO NOTHING`,
		tx.Municipality(), id, tx.Now(), round, incident)
	if err != nil || n == 0 {
		return err
	}
	acted(tx, access.RoundSweep, id, Act{Act: "found"}, map[string]any{"incident": incident})
	return nil
}

const deviationColumns = `id, kind, source, state, reported_by, reported_at, confirmed_by, discovered_at, happened_from, happened_to, affected, affected_exact, persons, categories,
	round_id, incident, settled_by, settled_at`

// DeviationsPerPage is how many Deviations gives at a time.
const DeviationsPerPage = 50

// Listed is a line of the list.
type Listed struct {
	Deviation
	Clocks []Clock
}

// Deviations lists them, the newest report first, with their clocks; more tells whether there are older ones than the last,
// whose id is where to go on (before; the zero id is the newest). Needs DeviationRead.
func Deviations(ctx context.Context, tx *pg.Tx, before uuid.UUID) (list []Listed, more bool, err error) {
	if err := tx.Require(access.DeviationRead); err != nil {
		return nil, false, err
	}
	hours, err := FirstHours(ctx, tx)
	if err != nil {
		return nil, false, err
	}
	rows, err := tx.Query(ctx, `SELECT `+deviationColumns+` FROM deviation WHERE municipality_id = $1 AND ($2 = '00000000-0000-0000-0000-000000000000'::uuid
			OR (reported_at, id) < (SELECT b.reported_at, b.id FROM deviation b WHERE b.municipality_id = $1 AND b.id = $2))
		ORDER BY reported_at DESC, id DESC LIMIT $3`, tx.Municipality(), before, DeviationsPerPage+1)
	if err != nil {
		return nil, false, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[Deviation])
	if err != nil {
		return nil, false, err
	}
	if more = len(all) > DeviationsPerPage; more {
		all = all[:DeviationsPerPage]
	}
	ids := make([]uuid.UUID, len(all))
	for i, d := range all {
		ids[i] = d.ID
	}
	type toldAct struct {
		DeviationID uuid.UUID
		At          time.Time
		Act         string
		Party       *string
		ToldAt      *time.Time
	}
	rows, err = tx.Query(ctx, `SELECT deviation_id, at, act, party, told_at FROM deviation_event WHERE municipality_id = $1 AND deviation_id = ANY ($2) AND party IS NOT NULL
		ORDER BY deviation_id, id`, tx.Municipality(), ids)
	if err != nil {
		return nil, false, err
	}
	told, err := pgx.CollectRows(rows, pgx.RowToStructByName[toldAct])
	by := map[uuid.UUID][]Act{}
	for _, a := range told {
		by[a.DeviationID] = append(by[a.DeviationID], Act{At: a.At, Act: a.Act, Party: a.Party, ToldAt: a.ToldAt})
	}
	for _, d := range all {
		list = append(list, Listed{d, clocks(d, by[d.ID], hours, tx.Now())})
	}
	return list, more, err
}

// OwnReport is what somebody of processor or supplier is told about a deviation that they reported: nothing of its words.
type OwnReport struct {
	MunicipalityID int
	ID             uuid.UUID
	Kind           string
	State          State
	ReportedAt     time.Time
}

// OwnReports lists the caller's own reports in all municipalities, the newest first. Needs DeviationReport, of somebody who
// works for processor or supplier.
func OwnReports(ctx context.Context, tx *pg.Tx) ([]OwnReport, error) {
	if err := tx.Require(access.DeviationReport); err != nil {
		return nil, err
	}
	if !tx.Caller.Blind() {
		return nil, problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.DeviationReport)}}
	}
	rows, err := tx.Query(ctx, `SELECT municipality_id, id, kind, state, reported_at FROM own_deviations() ORDER BY reported_at DESC, id LIMIT 200`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[OwnReport])
}

// FindDeviation gives one with everything about it. Needs DeviationRead.
func FindDeviation(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Case, error) {
	if err := tx.Require(access.DeviationRead); err != nil {
		return Case{}, err
	}
	return read(ctx, tx, id, false)
}

func read(ctx context.Context, tx *pg.Tx, id uuid.UUID, lock bool) (c Case, err error) {
	sql := `SELECT ` + deviationColumns + ` FROM deviation WHERE municipality_id = $1 AND id = $2`
	if lock {
		sql += ` FOR NO KEY UPDATE`
	}
	rows, err := tx.Query(ctx, sql, tx.Municipality(), id)
	if err != nil {
		return c, err
	}
	if c.Deviation, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Deviation]); err != nil {
		return c, pg.Translate(err)
	}
	rows, err = tx.Query(ctx, `SELECT at, account_id, role, act, party, told_at, reference, note FROM deviation_event WHERE municipality_id = $1 AND deviation_id = $2
		ORDER BY id`, tx.Municipality(), id)
	if err != nil {
		return c, err
	}
	if c.Acts, err = pgx.CollectRows(rows, pgx.RowToStructByName[Act]); err != nil {
		return c, err
	}
	rows, err = tx.Query(ctx, `SELECT version, what, done, consequences, cause, measures, written_by, written_at FROM deviation_text
		WHERE municipality_id = $1 AND deviation_id = $2 ORDER BY version DESC`, tx.Municipality(), id)
	if err != nil {
		return c, err
	}
	if c.Accounts, err = pgx.CollectRows(rows, pgx.RowToStructByName[Account]); err != nil {
		return c, err
	}
	hours, err := FirstHours(ctx, tx)
	c.Clocks = clocks(c.Deviation, c.Acts, hours, tx.Now())
	return c, err
}

// handled locks a deviation for somebody who handles it. open asks that it is not settled.
func handled(ctx context.Context, tx *pg.Tx, id uuid.UUID, states ...State) (Case, error) {
	if err := tx.Require(access.DeviationHandle); err != nil {
		return Case{}, err
	}
	c, err := read(ctx, tx, id, true)
	if err == nil && !slices.Contains(states, c.State) {
		err = problem.Conflict{Code: "deviation_step", Params: problem.Params{"state": string(c.State)}}
	}
	return c, err
}

// Describe writes the next version of the account, and corrects the facts. version is that of the account which the writer
// saw: problem.Conflict when somebody else was first. The discovery can be moved back only: a clock is not given more time.
// Needs DeviationHandle.
func Describe(ctx context.Context, tx *pg.Tx, id uuid.UUID, version int, f Facts, text Account) error {
	c, err := handled(ctx, tx, id, Draft, Open)
	if err != nil {
		return err
	}
	if c.Text().Version != version {
		return problem.Conflict{Code: "stale"}
	}
	var wrong problem.Collector
	f.check(&wrong, tx.Now())
	text.check(&wrong)
	if f.DiscoveredAt.After(c.DiscoveredAt) {
		wrong.Add("discovered_at", "discovered_later", problem.Params{"at": c.DiscoveredAt})
	}
	if text.What == "" {
		wrong.Add("what", "required", nil)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	fields := f.changed(c.Facts)
	old := c.Text()
	for _, t := range []struct{ name, now, before string }{
		{"what", text.What, old.What}, {"done", text.Done, old.Done}, {"consequences", text.Consequences, old.Consequences}, {"cause", text.Cause, old.Cause}, {"measures", text.Measures, old.Measures},
	} {
		if t.now != t.before {
			fields = append(fields, t.name)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	_, err = tx.Exec(ctx, `UPDATE deviation SET kind = $3, discovered_at = $4, happened_from = $5, happened_to = $6, affected = $7, affected_exact = $8, persons = $9, categories = $10
		WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, f.Kind, f.DiscoveredAt, f.HappenedFrom, f.HappenedTo, f.Affected, f.AffectedExact, f.Persons, f.Categories)
	if err != nil {
		return err
	}
	if err := text.insert(ctx, tx, id, version+1); err != nil {
		return err
	}
	acted(tx, access.DeviationHandle, id, Act{Act: "changed"}, map[string]any{"fields": fields})
	return nil
}

// changed names the facts that differ from before.
func (f Facts) changed(before Facts) []string {
	fields := []string{}
	same := func(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }
	for _, c := range []struct {
		name string
		same bool
	}{
		{"kind", f.Kind == before.Kind},
		{"discovered_at", f.DiscoveredAt.Equal(before.DiscoveredAt)},
		{"happened_from", same(f.HappenedFrom, before.HappenedFrom)},
		{"happened_to", same(f.HappenedTo, before.HappenedTo)},
		{"affected", equal(f.Affected, before.Affected) && f.AffectedExact == before.AffectedExact},
		{"persons", slices.Equal(f.Persons, before.Persons)},
		{"categories", slices.Equal(f.Categories, before.Categories)},
	} {
		if !c.same {
			fields = append(fields, c.name)
		}
	}
	return fields
}

// Notice is that a party was told.
type Notice struct {
	Party     string
	At        time.Time
	Reference string
	Note      string // why late, when Datatilsynet was told after the 72 hours (GDPR 33(1))
}

// Tell records that a party was told, and stops its clock. Needs DeviationHandle.
func Tell(ctx context.Context, tx *pg.Tx, id uuid.UUID, n Notice) error {
	c, err := handled(ctx, tx, id, Open)
	if err != nil {
		return err
	}
	var wrong problem.Collector
	choice(&wrong, "party", n.Party, DeviationParties)
	line(&wrong, "reference", &n.Reference, 60, false)
	late := n.Party == "datatilsynet" && n.At.After(c.DiscoveredAt.Add(AuthorityHours*time.Hour))
	prose(&wrong, "note", &n.Note, 2000, false)
	if late && n.Note == "" {
		wrong.Add("note", "why_late", nil)
	}
	switch {
	case n.At.IsZero():
		wrong.Add("told_at", "required", nil)
	case n.At.After(tx.Now()):
		wrong.Add("told_at", "not_yet", nil)
	case n.At.Before(c.DiscoveredAt):
		wrong.Add("told_at", "before_discovery", problem.Params{"at": c.DiscoveredAt})
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	acted(tx, access.DeviationHandle, id, Act{Act: "told", Party: &n.Party, ToldAt: &n.At, Reference: n.Reference, Note: n.Note}, map[string]any{"party": n.Party})
	return nil
}

// DecideNot records why a party is not told: Datatilsynet when there is hardly a risk (GDPR 33(1)), NSM when the service
// is not one that it asks about, the persons when the risk is not high (34). Needs DeviationHandle.
func DecideNot(ctx context.Context, tx *pg.Tx, id uuid.UUID, party, reason string) error {
	if _, err := handled(ctx, tx, id, Open); err != nil {
		return err
	}
	var wrong problem.Collector
	choice(&wrong, "party", party, slices.DeleteFunc(slices.Clone(DeviationParties), func(p string) bool { return p == "controller" }))
	prose(&wrong, "note", &reason, 2000, true)
	if err := wrong.Err(); err != nil {
		return err
	}
	acted(tx, access.DeviationHandle, id, Act{Act: "not_told", Party: &party, Note: reason}, map[string]any{"party": party})
	return nil
}

// Confirm makes a draft of the product's an open deviation. Whoever does so counts as its reporter. Needs DeviationHandle.
func Confirm(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if _, err := handled(ctx, tx, id, Draft); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE deviation SET state = 'open', confirmed_by = $3 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account)
	acted(tx, access.DeviationHandle, id, Act{Act: "confirmed"}, nil)
	return err
}

// Dismiss says why a draft of the product's is no deviation. Needs DeviationHandle.
func Dismiss(ctx context.Context, tx *pg.Tx, id uuid.UUID, reason string) error {
	if _, err := handled(ctx, tx, id, Draft); err != nil {
		return err
	}
	var wrong problem.Collector
	prose(&wrong, "note", &reason, 2000, true)
	if err := wrong.Err(); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE deviation SET state = 'dismissed', settled_by = $3, settled_at = $4 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account, tx.Now())
	acted(tx, access.DeviationHandle, id, Act{Act: "dismissed", Note: reason}, nil)
	return err
}

// Close settles a deviation. Cause and measures are written, and whether Datatilsynet was told is settled; and whoever
// reported it, or confirmed what the product found, does not close it: problem.Forbidden. Needs DeviationHandle.
func Close(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	c, err := handled(ctx, tx, id, Open)
	if err != nil {
		return err
	}
	if c.ReportedBy == tx.Caller.Account || c.ConfirmedBy != nil && *c.ConfirmedBy == tx.Caller.Account {
		return problem.Forbidden{Code: "own_deviation"}
	}
	var wrong problem.Collector
	if c.Text().Cause == "" {
		wrong.Add("cause", "required", nil)
	}
	if c.Text().Measures == "" {
		wrong.Add("measures", "required", nil)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	if !slices.ContainsFunc(c.Acts, func(a Act) bool { return a.Party != nil && *a.Party == "datatilsynet" }) {
		return problem.Conflict{Code: "deviation_undecided"}
	}
	_, err = tx.Exec(ctx, `UPDATE deviation SET state = 'closed', settled_by = $3, settled_at = $4 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account, tx.Now())
	acted(tx, access.DeviationHandle, id, Act{Act: "closed"}, nil)
	return err
}

// Reopen takes a closed one up again, with the reason. Needs DeviationHandle.
func Reopen(ctx context.Context, tx *pg.Tx, id uuid.UUID, reason string) error {
	if _, err := handled(ctx, tx, id, Closed); err != nil {
		return err
	}
	var wrong problem.Collector
	prose(&wrong, "note", &reason, 2000, true)
	if err := wrong.Err(); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE deviation SET state = 'open', settled_by = NULL, settled_at = NULL WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id)
	acted(tx, access.DeviationHandle, id, Act{Act: "reopened", Note: reason}, nil)
	return err
}

// Expire drops the deviations whose time is over: settled, and past the municipality's rule for them. Without a rule they
// stay (D6). Needs RoundSweep.
func Expire(ctx context.Context, tx *pg.Tx) error {
	if err := tx.Require(access.RoundSweep); err != nil {
		return err
	}
	day, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	zone, err := municipality.Zone(ctx, tx)
	if err != nil {
		return err
	}
	rules, err := retention.RulesOn(ctx, tx, day)
	if err != nil {
		return err
	}
	rule, ok := rules[retention.Deviation]
	if !ok || rule.Outcome != retention.Destroy {
		return nil
	}
	_, err = tx.Exec(ctx, `DELETE FROM deviation WHERE municipality_id = $1 AND state IN ('closed', 'dismissed')
		AND due_on((settled_at AT TIME ZONE $2)::date, $3, $4, $5, $6) <= $7`,
		tx.Municipality(), zone.String(), rule.PeriodMonths, rule.PeriodDays, rule.Inclusive, string(rule.Alignment), day)
	return err
}

// Waiting is how many drafts and running clocks want somebody: the number beside the menu's entry. Needs DeviationRead.
func Waiting(ctx context.Context, tx *pg.Tx) (n int, err error) {
	if err := tx.Require(access.DeviationRead); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT count(*) FROM deviation WHERE municipality_id = $1 AND state IN ('draft', 'open')`, tx.Municipality()).Scan(&n)
	return n, err
}

// NoticeDocument is what Datatilsynet's form asks for (GDPR 33(3)), for people and for programs.
type NoticeDocument struct {
	Version       int          `json:"-"` // of what was written
	Number        string       `json:"number"`
	Municipality  string       `json:"municipality"`
	Controller    string       `json:"controller"`      // how to reach it
	Officer       string       `json:"privacy_officer"` // and its privacy officer's office (33(3)(b))
	MadeAt        time.Time    `json:"made_at"`
	State         State        `json:"state"`
	Kind          string       `json:"kind"`
	Principles    []string     `json:"breached"` // confidentiality, integrity, availability
	ReportedBy    string       `json:"reported_from"`
	DiscoveredAt  time.Time    `json:"discovered_at"`
	HappenedFrom  *time.Time   `json:"happened_from"`
	HappenedTo    *time.Time   `json:"happened_to"`
	Affected      *int         `json:"affected"`
	AffectedExact bool         `json:"affected_exact"`
	Persons       []string     `json:"persons"`
	Categories    []string     `json:"data_categories"`
	What          string       `json:"what_happened"`
	Consequences  string       `json:"likely_consequences"`
	Done          string       `json:"measures_taken"`
	Cause         string       `json:"cause"`
	Measures      string       `json:"measures_planned"`
	Due           time.Time    `json:"due_at"`
	Late          bool         `json:"late"`
	WhyLate       string       `json:"why_late,omitempty"`
	Told          []NoticeTold `json:"told"`
}

// NoticeTold is one who was told, or about whom it was decided not to.
type NoticeTold struct {
	Party     string     `json:"party"`
	At        *time.Time `json:"at"`
	Decided   bool       `json:"decided_not_to"`
	Reference string     `json:"reference,omitempty"`
	Reason    string     `json:"reason,omitempty"`
}

// principles are what of GDPR 4(12) a kind breaks.
var principles = map[string][]string{
	"confidentiality": {"confidentiality"}, "integrity": {"integrity"}, "availability": {"availability"}, "wrong_access": {"confidentiality"},
	"wrong_deletion": {"integrity", "availability"}, "not_deleted": {"confidentiality"},
}

// NoticeOf makes the document from a deviation as it stands. Needs DeviationRead; what goes out is written in the audit.
func NoticeOf(ctx context.Context, tx *pg.Tx, id uuid.UUID) (NoticeDocument, error) {
	if err := tx.Require(access.DeviationRead); err != nil {
		return NoticeDocument{}, err
	}
	c, err := read(ctx, tx, id, false)
	if err != nil {
		return NoticeDocument{}, err
	}
	m, err := municipality.Current(ctx, tx)
	if err != nil {
		return NoticeDocument{}, err
	}
	d, err := DraftOf(ctx, tx)
	if err != nil {
		return NoticeDocument{}, err
	}
	text := c.Text()
	doc := NoticeDocument{
		Version: text.Version, Number: c.Number(), Municipality: m.Number + " " + m.Name, Controller: d.Controller, Officer: d.Officer, MadeAt: tx.Now(), State: c.State, Kind: c.Kind, Principles: principles[c.Kind],
		ReportedBy: c.Source, DiscoveredAt: c.DiscoveredAt, HappenedFrom: c.HappenedFrom, HappenedTo: c.HappenedTo, Affected: c.Affected, AffectedExact: c.AffectedExact,
		Persons: c.Persons, Categories: c.Categories, What: text.What, Consequences: text.Consequences, Done: text.Done, Cause: text.Cause, Measures: text.Measures,
		Due: c.Clocks[1].Due, Late: c.Clocks[1].Late, Told: []NoticeTold{},
	}
	for _, a := range c.Acts {
		if a.Party == nil {
			continue
		}
		doc.Told = append(doc.Told, NoticeTold{*a.Party, a.ToldAt, a.Act == "not_told", a.Reference, a.Note})
		if *a.Party == "datatilsynet" && a.Act == "told" && doc.Late {
			doc.WhyLate = cmp.Or(doc.WhyLate, a.Note)
		}
	}
	audit.Write(tx, access.DeviationRead, audit.Record{Act: "deviation.notice_made", Subject: "deviation", SubjectID: id.String()})
	return doc, nil
}
