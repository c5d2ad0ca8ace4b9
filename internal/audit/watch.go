package audit

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// What the watch finds (ADR 10).
const (
	ManyInAnHour = "many_hour"   // more records opened one by one in an hour than the municipality allows
	ManyInADay   = "many_day"    // the same of a day
	UnlikeSelf   = "unlike_self" // four times as many in a day as the same person's median of 30 days
	Namesake     = "namesake"    // the client has the family name of whoever looked
	Kin          = "kin"         // one of the client's next of kin is called like whoever looked
	AtNight      = "night"       // from 23 to 06, by somebody who does not work at night
	Protected    = "protected"   // a protected client (D21)
)

const (
	watchSettles = 2 * time.Minute // a row is looked at when nothing older than it can still be written
	watchChunk   = 5000
	usualDays    = 30
	usualTimes   = 4  // so many times the own median is unlike oneself,
	usualLeast   = 20 // but never so few
	usualOf      = 5  // and never when there are fewer days to know somebody by
	nightsKnown  = 3  // whoever looked on so many nights of the last 30 days works at night
)

// finding is one that a part of the log gives rise to.
type finding struct {
	kind    string
	account int64
	role    string
	day     calendar.Date
	hour    int
	client  uuid.UUID // zero: it is about many
	count   int
	usual   int
	adds    bool // count is only what this part of the log adds
	first   time.Time
	last    time.Time
}

// look is a row of the access log as the watch reads it.
type look struct {
	ID      int64
	At      time.Time
	Account int64 `db:"account_id"`
	Role    string
	Client  *uuid.UUID // the one that was opened; nil of a list
}

// Watch reads on in the access log of one municipality, from where it stopped, and writes down what is unusual: each row
// counts once, however often the watch is started or killed, and it does not matter in how many parts the log is read.
// more says that there is more to read. zone is the municipality's. It never learns a name: what two people have in common
// the database tells it by their ids (access_relations). By the sweep.
func Watch(ctx context.Context, tx *pg.Tx, zone *time.Location) (more bool, err error) {
	return watch(ctx, tx, zone, watchChunk)
}

func watch(ctx context.Context, tx *pg.Tx, zone *time.Location, most int) (more bool, err error) {
	if err := tx.Require(access.RoundSweep); err != nil {
		return false, err
	}
	m := tx.Municipality()
	if _, err := tx.Exec(ctx, `INSERT INTO access_watch (municipality_id, last_at, last_id) VALUES ($1, '2000-01-01', 0) ON CONFLICT DO NOTHING`, m); err != nil {
		return false, err
	}
	var from struct {
		at time.Time
		id int64
	}
	if err := tx.QueryRow(ctx, `SELECT last_at, last_id FROM access_watch WHERE municipality_id = $1 FOR UPDATE`, m).Scan(&from.at, &from.id); err != nil {
		return false, err
	}
	rows, err := tx.Query(ctx, `SELECT id, at, account_id, role, CASE WHEN cardinality(client_ids) = 1 THEN client_ids[1] END AS client FROM access_log
		WHERE municipality_id = $1 AND (at, id) > ($2, $3) AND at <= $4 ORDER BY at, id LIMIT $5`, m, from.at, from.id, tx.Now().Add(-watchSettles), most)
	if err != nil {
		return false, err
	}
	looks, err := pgx.CollectRows(rows, pgx.RowToStructByName[look])
	if err != nil || len(looks) == 0 {
		return false, err
	}
	last := looks[len(looks)-1]
	own := slices.DeleteFunc(looks, func(l look) bool { return l.Account == 0 || l.Client == nil }) // Frist itself, and lists
	var found []finding
	for _, part := range []func(context.Context, *pg.Tx, *time.Location, []look, look) ([]finding, error){related, protectedOnes, many, atNight} {
		some, err := part(ctx, tx, zone, own, last)
		if err != nil {
			return false, err
		}
		found = append(found, some...)
	}
	if err := keep(ctx, tx, found); err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `UPDATE access_watch SET last_at = $2, last_id = $3 WHERE municipality_id = $1`, m, last.At, last.ID)
	return true, err
}

// keep writes findings down: one of each kind for a person, a day and a client. One that stands and is not assessed counts on.
func keep(ctx context.Context, tx *pg.Tx, found []finding) error {
	if len(found) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	for _, f := range found {
		clients := []uuid.UUID{}
		if f.client != uuid.Nil {
			clients = append(clients, f.client)
		}
		batch.Queue(`INSERT INTO access_finding AS f (municipality_id, kind, account_id, role, on_day, hour, client_ids, count, usual, first_at, last_at, found_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
			ON CONFLICT (municipality_id, kind, account_id, on_day, hour, client_ids) DO UPDATE
			SET count = CASE WHEN $13 THEN f.count + excluded.count ELSE excluded.count END, usual = excluded.usual, last_at = greatest(f.last_at, excluded.last_at)
			WHERE f.outcome IS NULL`,
			tx.Municipality(), f.kind, f.account, f.role, f.day, f.hour, clients, f.count, f.usual, f.first, f.last, tx.Now(), f.adds)
	}
	return tx.SendBatch(ctx, batch).Close()
}

// pair is somebody who looked, at whom, on which day.
type pair struct {
	account int64
	client  uuid.UUID
	day     calendar.Date
}

// perPair adds the looks of each pair up to a finding without a kind.
func perPair(looks []look, zone *time.Location) map[pair]finding {
	sums := map[pair]finding{}
	for _, l := range looks {
		p := pair{l.Account, *l.Client, calendar.DateOf(l.At.In(zone))}
		f, ok := sums[p]
		if !ok {
			f = finding{account: l.Account, role: l.Role, day: p.day, hour: -1, client: p.client, adds: true, first: l.At}
		}
		f.count++
		f.last = l.At
		sums[p] = f
	}
	return sums
}

// ordered gives the findings in an order, so that two workers that write the same ones do not wait for each other crosswise.
func ordered(found map[pair]finding) []finding {
	return slices.SortedFunc(maps.Values(found), func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.account, b.account), a.day.Compare(b.day), cmp.Compare(a.client.String(), b.client.String()))
	})
}

func related(ctx context.Context, tx *pg.Tx, zone *time.Location, looks []look, _ look) ([]finding, error) {
	sums := perPair(looks, zone)
	asked := map[pair]bool{}
	var accounts []int64
	var clients []uuid.UUID
	for p := range sums {
		if p.day = (calendar.Date{}); !asked[p] {
			asked[p] = true
			accounts, clients = append(accounts, p.account), append(clients, p.client)
		}
	}
	if len(accounts) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `SELECT kind, account_id, client FROM access_relations($1, $2)`, accounts, clients)
	if err != nil {
		return nil, err
	}
	var found []finding
	var kind string
	var p pair
	_, err = pgx.ForEachRow(rows, []any{&kind, &p.account, &p.client}, func() error {
		some := map[pair]finding{}
		for of, f := range sums {
			if of.account == p.account && of.client == p.client {
				f.kind = kind
				some[of] = f
			}
		}
		found = append(found, ordered(some)...)
		return nil
	})
	return found, err
}

func protectedOnes(ctx context.Context, tx *pg.Tx, zone *time.Location, looks []look, _ look) ([]finding, error) {
	var ids []uuid.UUID
	for _, l := range looks {
		ids = append(ids, *l.Client)
	}
	// client lies above this package; it is read here by id because the question belongs to the log.
	rows, err := tx.Query(ctx, `SELECT id FROM client WHERE municipality_id = $1 AND id = ANY ($2) AND protected ORDER BY id`, tx.Municipality(), ids)
	if err != nil {
		return nil, err
	}
	hidden, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, err
	}
	sums := perPair(looks, zone)
	maps.DeleteFunc(sums, func(p pair, _ finding) bool { return !slices.Contains(hidden, p.client) })
	for p, f := range sums {
		f.kind = Protected
		sums[p] = f
	}
	return ordered(sums), nil
}

// many counts the records that somebody has opened in each hour and day that this part of the log touches, as far as it has
// been read, and holds the day against the municipality's limits and the person's own habit.
func many(ctx context.Context, tx *pg.Tx, zone *time.Location, looks []look, last look) ([]finding, error) {
	days := map[pair]bool{}
	for _, l := range looks {
		days[pair{account: l.Account, day: calendar.DateOf(l.At.In(zone))}] = true
	}
	var accounts []int64
	var starts, ends, before []time.Time
	var on []calendar.Date
	for p := range days {
		accounts, on = append(accounts, p.account), append(on, p.day)
		starts, ends, before = append(starts, p.day.In(zone)), append(ends, p.day.AddDays(1).In(zone)), append(before, p.day.AddDays(-usualDays).In(zone))
	}
	if len(accounts) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `WITH rule AS (SELECT looks_per_hour, looks_per_day FROM municipality_policy WHERE municipality_id = $1),
		asked AS (SELECT a.account, a.day, a.start, a.stop, a.before FROM unnest($2::bigint[], $3::date[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[]) AS a (account, day, start, stop, before))
		SELECT 'day' AS span, a.account, a.day, -1 AS hour, d.role, d.records, d.first, d.last, u.days, coalesce(u.usual, 0) AS usual, rule.looks_per_day AS most
		FROM rule, asked a
		CROSS JOIN LATERAL (
			SELECT count(DISTINCT l.client_ids[1])::int AS records, min(l.role) AS role, min(l.at) AS first, max(l.at) AS last FROM access_log l
			WHERE l.municipality_id = $1 AND l.account_id = a.account AND l.at >= a.start AND l.at < a.stop AND (l.at, l.id) <= ($8, $9) AND cardinality(l.client_ids) = 1) d
		CROSS JOIN LATERAL (
			SELECT count(*)::int AS days, percentile_disc(0.5) WITHIN GROUP (ORDER BY p.records) AS usual FROM (
				SELECT count(DISTINCT l.client_ids[1])::int AS records FROM access_log l
				WHERE l.municipality_id = $1 AND l.account_id = a.account AND l.at >= a.before AND l.at < a.start AND cardinality(l.client_ids) = 1
				GROUP BY (l.at AT TIME ZONE $7)::date) p) u
		UNION ALL
		SELECT 'hour', a.account, a.day, h.hour, h.role, h.records, h.first, h.last, 0, 0, rule.looks_per_hour
		FROM rule, asked a
		CROSS JOIN LATERAL (
			SELECT extract(hour FROM l.at AT TIME ZONE $7)::int AS hour, count(DISTINCT l.client_ids[1])::int AS records, min(l.role) AS role, min(l.at) AS first, max(l.at) AS last FROM access_log l
			WHERE l.municipality_id = $1 AND l.account_id = a.account AND l.at >= a.start AND l.at < a.stop AND (l.at, l.id) <= ($8, $9) AND cardinality(l.client_ids) = 1
			GROUP BY 1) h
		WHERE h.records > rule.looks_per_hour
		ORDER BY 2, 3, 4`, tx.Municipality(), accounts, on, starts, ends, before, zone.String(), last.At, last.ID)
	if err != nil {
		return nil, err
	}
	var found []finding
	var span string
	var days30, most int
	var f finding
	_, err = pgx.ForEachRow(rows, []any{&span, &f.account, &f.day, &f.hour, &f.role, &f.count, &f.first, &f.last, &days30, &f.usual, &most}, func() error {
		usual := f.usual
		if span == "hour" {
			f.kind, f.usual = ManyInAnHour, most
			found = append(found, f)
			return nil
		}
		if f.count > most {
			f.kind, f.usual = ManyInADay, most
			found = append(found, f)
		}
		if days30 >= usualOf && f.count > max(usualTimes*usual, usualLeast) {
			f.kind, f.usual = UnlikeSelf, usual
			found = append(found, f)
		}
		return nil
	})
	return found, err
}

// atNight finds who opened records between 23 and 06 without having done so on several nights before.
func atNight(ctx context.Context, tx *pg.Tx, zone *time.Location, looks []look, last look) ([]finding, error) {
	nights := map[pair]bool{}
	for _, l := range looks {
		if local := l.At.In(zone); local.Hour() >= 23 || local.Hour() < 6 {
			nights[pair{account: l.Account, day: calendar.DateOf(local.Add(-6 * time.Hour))}] = true
		}
	}
	if len(nights) == 0 {
		return nil, nil
	}
	var accounts []int64
	var on []calendar.Date
	for p := range nights {
		accounts, on = append(accounts, p.account), append(on, p.day)
	}
	// A night is called after the day on which it began: six hours back.
	rows, err := tx.Query(ctx, `SELECT a.account, a.day, n.role, n.records, n.first, n.last
		FROM unnest($2::bigint[], $3::date[]) AS a (account, day)
		CROSS JOIN LATERAL (
			SELECT count(DISTINCT l.client_ids[1])::int AS records, min(l.role) AS role, min(l.at) AS first, max(l.at) AS last FROM access_log l
			WHERE l.municipality_id = $1 AND l.account_id = a.account AND l.at >= (a.day + time '23:00') AT TIME ZONE $4 AND l.at < (a.day + 1 + time '06:00') AT TIME ZONE $4
				AND (l.at, l.id) <= ($5, $6) AND cardinality(l.client_ids) = 1) n
		WHERE (SELECT count(DISTINCT ((l.at AT TIME ZONE $4) - interval '6 hours')::date) FROM access_log l
			WHERE l.municipality_id = $1 AND l.account_id = a.account AND l.at >= (a.day - $7::int + time '23:00') AT TIME ZONE $4 AND l.at < (a.day + time '23:00') AT TIME ZONE $4
				AND (extract(hour FROM l.at AT TIME ZONE $4) >= 23 OR extract(hour FROM l.at AT TIME ZONE $4) < 6)) < $8
		ORDER BY a.account, a.day`, tx.Municipality(), accounts, on, zone.String(), last.At, last.ID, usualDays, nightsKnown)
	if err != nil {
		return nil, err
	}
	var found []finding
	f := finding{kind: AtNight, hour: -1, usual: nightsKnown}
	_, err = pgx.ForEachRow(rows, []any{&f.account, &f.day, &f.role, &f.count, &f.first, &f.last}, func() error {
		found = append(found, f)
		return nil
	})
	return found, err
}

// Finding is one line of the privacy officer's worklist: codes, ids and counts.
type Finding struct {
	ID          int64
	Kind        string
	Account     int64 `db:"account_id"`
	StaffNumber string
	Name        string // of the own municipality's people
	Role        string
	OnDay       calendar.Date
	Hour        int         // of many_hour, else -1
	Clients     []uuid.UUID `db:"client_ids"`
	Count       int
	Usual       int
	FirstAt     time.Time
	LastAt      time.Time
	Outcome     string // empty: not assessed
	AssessedBy  int64
	AssessedAt  *time.Time
}

// Organisation is for whom the person worked, as the database derives it for the logs.
func (f Finding) Organisation() string {
	switch access.Role(f.Role) {
	case access.Support, access.PlatformAdministrator:
		return "processor"
	case access.Operator:
		return "supplier"
	default:
		return "municipality"
	}
}

// Assessed is when somebody assessed it; zero when nobody has.
func (f Finding) Assessed() (at time.Time) {
	if f.AssessedAt != nil {
		at = *f.AssessedAt
	}
	return at
}

// Findings gives the worklist: those that nobody has assessed, or those that somebody has, newest first, at most limit
// older than the finding before (0: from the newest). Needs AccessLogRead.
func Findings(ctx context.Context, tx *pg.Tx, assessed bool, before int64, limit int) ([]Finding, error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return nil, err
	}
	w := where{args: []any{tx.Municipality()}, sql: `f.municipality_id = $1 AND f.outcome IS NULL`}
	if assessed {
		w.sql = `f.municipality_id = $1 AND f.outcome IS NOT NULL`
	}
	if before != 0 {
		w.and(`f.id < %s`, before)
	}
	rows, err := tx.Query(ctx, `SELECT f.id, f.kind, f.account_id, coalesce(staff_number(f.account_id), '') AS staff_number, coalesce(s.name, '') AS name, f.role, f.on_day, f.hour, f.client_ids,
			f.count, f.usual, f.first_at, f.last_at, coalesce(f.outcome, '') AS outcome, coalesce(f.assessed_by, 0) AS assessed_by, f.assessed_at
		FROM access_finding f LEFT JOIN staff() s ON s.id = f.account_id WHERE `+w.sql+w.limit(` ORDER BY f.id DESC`, limit), w.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Finding])
}

// WaitingFindings is how many nobody has assessed. Needs AccessLogRead.
func WaitingFindings(ctx context.Context, tx *pg.Tx) (n int, err error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT count(*) FROM access_finding WHERE municipality_id = $1 AND outcome IS NULL`, tx.Municipality()).Scan(&n)
	return n, err
}

// Outcomes of an assessment: there was a good reason, or it is reported as a deviation (avvik).
var Outcomes = []string{"explained", "deviation"}

// Assess says what became of a finding. It is made once and stands. Errors: problem.NotFound; problem.Invalid of "outcome"
// (choice); problem.Conflict "assessed"; problem.Forbidden "own_finding" for whoever explains their own. Needs FindingAssess, the
// only thing that the privacy officer writes.
func Assess(ctx context.Context, tx *pg.Tx, id int64, outcome string) error {
	if err := tx.Require(access.FindingAssess); err != nil {
		return err
	}
	if !slices.Contains(Outcomes, outcome) {
		return problem.InvalidField("outcome", "choice", nil)
	}
	var was *string
	var about int64
	err := tx.QueryRow(ctx, `SELECT outcome, account_id FROM access_finding WHERE municipality_id = $1 AND id = $2 FOR UPDATE`, tx.Municipality(), id).Scan(&was, &about)
	if errors.Is(err, pgx.ErrNoRows) {
		return problem.NotFound{What: "finding"}
	}
	if err != nil {
		return err
	}
	if about == tx.Caller.Account && outcome == "explained" { // to report oneself is to let others judge
		return problem.Forbidden{Code: "own_finding"}
	}
	if was != nil {
		return problem.Conflict{Code: "assessed"}
	}
	_, err = tx.Exec(ctx, `UPDATE access_finding SET outcome = $3, assessed_by = $4, assessed_at = $5 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, outcome, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	Write(tx, access.FindingAssess, Record{Act: "finding_assessed", Subject: "finding", SubjectID: strconv.FormatInt(id, 10), Detail: map[string]any{"outcome": outcome}})
	return nil
}
