// Package municipality keeps the tenants: their dated numbers and names, how they want rounds to run, and what they have
// told the processor to do. A municipality is an internal id; number and name may change without touching a key (D23).
package municipality

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"weak"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// Municipality is a tenant under the number and the name that it has at the transaction's instant. They are public
// facts: reading them asks for no permission.
type Municipality struct {
	ID     int
	Number string // four digits
	Name   string // as in the register: "Ås", without "kommune"
	Zone   *time.Location
}

const valid = `SELECT m.id, n.number, n.name, m.time_zone FROM municipality m
	CROSS JOIN LATERAL (SELECT number, name FROM municipality_name n
		WHERE n.municipality_id = m.id AND n.valid_from <= ($1::timestamptz AT TIME ZONE m.time_zone)::date
		ORDER BY n.valid_from DESC LIMIT 1) n
	WHERE m.id > 0`

// Current is the municipality that the transaction stands in; problem.NotFound when it stands in none.
func Current(ctx context.Context, tx *pg.Tx) (Municipality, error) {
	return ByID(ctx, tx, tx.Municipality())
}

// ByID is one municipality; problem.NotFound when there is none, or when its first name is not valid yet.
func ByID(ctx context.Context, tx *pg.Tx, id int) (Municipality, error) {
	rows, err := tx.Query(ctx, valid+` AND m.id = $2`, tx.Now(), id)
	if err != nil {
		return Municipality{}, err
	}
	all, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return Municipality{}, err
	}
	if len(all) == 0 {
		return Municipality{}, problem.NotFound{What: "municipality"}
	}
	return all[0], nil
}

// List gives every municipality, by number.
func List(ctx context.Context, tx *pg.Tx) ([]Municipality, error) {
	rows, err := tx.Query(ctx, valid+` ORDER BY n.number, m.id`, tx.Now())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

func scan(row pgx.CollectableRow) (Municipality, error) {
	var m Municipality
	var zone string
	if err := row.Scan(&m.ID, &m.Number, &m.Name, &zone); err != nil {
		return m, err
	}
	var err error
	m.Zone, err = location(zone)
	return m, err
}

var locations sync.Map // name -> *time.Location: loading one reads a file

func location(name string) (*time.Location, error) {
	if zone, ok := locations.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("municipality: %w", err)
	}
	locations.Store(name, zone)
	return zone, nil
}

// zones remembers the zone of each living transaction, so that many questions for today cost one statement. It is not kept
// longer than its transaction: several databases may live in one process (tests), with the same ids.
var zones sync.Map

type zoneKey struct {
	tx weak.Pointer[pg.Tx]
	id int
}

// Zone is the time zone of the transaction's municipality, asked once for each transaction.
func Zone(ctx context.Context, tx *pg.Tx) (*time.Location, error) {
	key := zoneKey{weak.Make(tx), tx.Municipality()}
	if zone, ok := zones.Load(key); ok {
		return zone.(*time.Location), nil
	}
	var name string
	if err := tx.QueryRow(ctx, `SELECT time_zone FROM municipality WHERE id = $1`, tx.Municipality()).Scan(&name); err != nil {
		return nil, err
	}
	zone, err := location(name)
	if err != nil {
		return nil, err
	}
	zones.Store(key, zone)
	runtime.AddCleanup(tx, func(k zoneKey) { zones.Delete(k) }, key)
	return zone, nil
}

// Today is the day that the municipality's clocks show at the transaction's instant (D1, D8).
func Today(ctx context.Context, tx *pg.Tx) (calendar.Date, error) {
	zone, err := Zone(ctx, tx)
	if err != nil {
		return calendar.Date{}, err
	}
	return calendar.DateOf(tx.Now().In(zone)), nil
}

// Policy is what a municipality has decided about how rounds run in it.
type Policy struct {
	CoolingOff      time.Duration // between approval and start, whole seconds (D14)
	MaxSharePercent int           // the brake for a round that would purge too much (D16)
	MaxErrorPercent int           // the brake for a round that fails too often (D16)
	SpotCheckSize   int           // D27
	ChunkSize       int           // clients of one transaction
	Pseudonymous    bool          // Frist holds a pseudonym only (T10)
}

// DefaultPolicy is what a municipality has that decided nothing else.
var DefaultPolicy = Policy{CoolingOff: 72 * time.Hour, MaxSharePercent: 20, MaxErrorPercent: 2, SpotCheckSize: 10, ChunkSize: 500}

// PolicyOf is the policy of the transaction's municipality.
func PolicyOf(ctx context.Context, tx *pg.Tx) (Policy, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return Policy{}, err
	}
	var p Policy
	var seconds int
	err := tx.QueryRow(ctx, `SELECT cooling_off_seconds, max_share_percent, max_error_percent, spot_check_size, chunk_size, pseudonymous
		FROM municipality_policy WHERE municipality_id = $1`, tx.Municipality()).
		Scan(&seconds, &p.MaxSharePercent, &p.MaxErrorPercent, &p.SpotCheckSize, &p.ChunkSize, &p.Pseudonymous)
	p.CoolingOff = time.Duration(seconds) * time.Second
	return p, err
}

// Seeded with every municipality: the processor works under the data processing agreement until something else is
// written down, and an office decided it, not a person.
const (
	seededReference = "DPA-1"
	seededOffice    = "Kommunedirektøren"
)

var fourDigits = regexp.MustCompile(`^[0-9]{4}$`)

// Create makes a municipality with its name (valid from today), its policy (DefaultPolicy when zero) and the standing
// instruction PreRunControl, and turns the transaction to it, so that its caller can seed what else it needs (the
// retention rules). It answers problem.Invalid, and problem.Conflict when the number is taken.
func Create(ctx context.Context, tx *pg.Tx, number, name string, policy Policy) (int, error) {
	if err := tx.Require(access.PlatformManage); err != nil {
		return 0, err
	}
	if policy == (Policy{}) {
		policy = DefaultPolicy
	}
	name = strings.TrimSpace(name)
	if err := check(number, name, policy); err != nil {
		return 0, err
	}
	// Two who create the same number at once wait for each other.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('municipality'))`); err != nil {
		return 0, err
	}
	existing, err := List(ctx, tx)
	if err != nil {
		return 0, err
	}
	for _, m := range existing {
		if m.Number == number {
			return 0, problem.Conflict{Code: "municipality_exists", Params: problem.Params{"number": number}}
		}
	}
	var id int
	if err := tx.QueryRow(ctx, `INSERT INTO municipality DEFAULT VALUES RETURNING id`).Scan(&id); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `SELECT set_config('frist.municipality', $1, true)`, strconv.Itoa(id)); err != nil {
		return 0, err
	}
	tx.Caller.Municipality = id
	today, err := Today(ctx, tx)
	if err != nil {
		return 0, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO municipality_name (municipality_id, valid_from, number, name) VALUES ($1, $2, $3, $4)`, id, today, number, name)
	batch.Queue(`INSERT INTO municipality_policy (municipality_id, cooling_off_seconds, max_share_percent, max_error_percent, spot_check_size, chunk_size, pseudonymous)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, id, int(policy.CoolingOff/time.Second), policy.MaxSharePercent, policy.MaxErrorPercent, policy.SpotCheckSize, policy.ChunkSize, policy.Pseudonymous)
	var instruction int64
	batch.Queue(`INSERT INTO instruction (municipality_id, action, valid_from, document_reference, decided_by, entered_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		id, PreRunControl, today, seededReference, seededOffice, tx.Now()).QueryRow(func(row pgx.Row) error { return row.Scan(&instruction) })
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return 0, err
	}
	// The agreement that makes it a municipality of ours is also what covers making it.
	audit.Write(tx, access.PlatformManage, audit.Record{
		Act: "municipality_created", Subject: "municipality", SubjectID: strconv.Itoa(id), Basis: Cover{Instruction: &instruction}.Basis(),
	})
	return id, nil
}

func check(number, name string, p Policy) error {
	var wrong problem.Collector
	if !fourDigits.MatchString(number) {
		wrong.Add("number", "four_digits", nil)
	}
	if name == "" {
		wrong.Add("name", "required", nil)
	}
	between(&wrong, "cooling_off_seconds", int(p.CoolingOff/time.Second), 0, 90*24*3600)
	between(&wrong, "max_share_percent", p.MaxSharePercent, 1, 100)
	between(&wrong, "max_error_percent", p.MaxErrorPercent, 0, 100)
	between(&wrong, "spot_check_size", p.SpotCheckSize, 1, 1000)
	between(&wrong, "chunk_size", p.ChunkSize, 1, 5000)
	return wrong.Err()
}

func between(wrong *problem.Collector, field string, value, low, high int) {
	if value < low || value > high {
		wrong.Add(field, "between", problem.Params{"low": low, "high": high})
	}
}
