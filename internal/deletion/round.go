// Package deletion is what Frist is for: the calendar of runs, the groups, the rounds from proposal to protocol, the
// purge itself, carry-over and extra runs. It knows no HTTP.
package deletion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// State is where a round stands (D11).
type State string

// The states; round_transition in the database holds which may follow which.
const (
	Open       State = "open"
	Proposed   State = "proposed"
	Controlled State = "controlled"
	Approved   State = "approved"
	Running    State = "running"
	Paused     State = "paused"
	Verifying  State = "verifying"
	Finished   State = "finished"
	Cancelled  State = "cancelled"
	Lapsed     State = "lapsed"
)

// ItemState is where one client of a round stands.
type ItemState string

// Placed, ready and blocked are open: the client is in the group. The others are settled for good.
const (
	ItemPlaced    ItemState = "placed"    // in the group, not assessed for this round yet
	ItemReady     ItemState = "ready"     // passed the control
	ItemBlocked   ItemState = "blocked"   // did not pass; is carried over at the approval
	ItemWithdrawn ItemState = "withdrawn" // re-activated, held or taken out
	ItemMoved     ItemState = "moved"     // put in another group by hand or order
	ItemCarried   ItemState = "carried"   // moved on to the next round, with its reasons
	ItemPurged    ItemState = "purged"
)

// Round is a deletion group and its round: one municipality, one date (D9). Its name «Tjenestemottakere til sletting
// DD.MM.YY» is computed from RunOn.
type Round struct {
	ID              int64
	Kind            string // scheduled or extra
	RunOn           calendar.Date
	Number          string
	State           State
	StateSince      time.Time
	InstructionID   *int64
	RequestID       *int64 // the yes for this round alone that the control ran under
	OrderID         *uuid.UUID
	Population      *int // the municipality's clients when the round was proposed
	ProposedAt      *time.Time
	ControlAskedBy  *int64
	ControlAskedAt  *time.Time
	ControlledBy    *int64
	ControlledAt    *time.Time
	SampleSeed      *int64
	SampleSize      *int
	ReadyCount      *int
	ApprovedBy      *int64
	ApprovedAt      *time.Time
	ApprovedHash    []byte
	ApprovedCount   *int
	Brake           *string
	BrakeLiftedBy   *int64
	CoolingOffUntil *time.Time
	Chunks          *int
	StartedBy       *int64
	StartedAt       *time.Time
	Incident        *string
	FinishedAt      *time.Time
}

// CoolingOff reports whether the cooling-off period (angrefrist, D14) still runs at now.
func (r Round) CoolingOff(now time.Time) bool {
	return r.State == Approved && r.CoolingOffUntil != nil && now.Before(*r.CoolingOffUntil)
}

// Braked reports whether a brake (D16) stands that no approver has lifted.
func (r Round) Braked() bool { return r.Brake != nil && r.BrakeLiftedBy == nil }

// LeadDays is how long before its run date a round is proposed: time for the control, the approval and the
// cooling-off period.
const LeadDays = 14

// CarryEscalates is the carry-over at which a client is brought to somebody's attention (D15).
const CarryEscalates = 3

// Column lists. The supplier's database role may not read all of a round, so its reads name fewer.
const (
	roundColumns = `id, kind, run_on, number, state, state_since, instruction_id, request_id, order_id, population, proposed_at,
	control_asked_by, control_asked_at, controlled_by, controlled_at, sample_seed, sample_size, ready_count, approved_by, approved_at,
	approved_hash, approved_count, brake, brake_lifted_by, cooling_off_until, chunks, started_by, started_at, incident, finished_at`
	supplierColumns = `id, kind, run_on, number, state, state_since, cooling_off_until, approved_at, approved_by, controlled_by, approved_hash, approved_count,
	brake, brake_lifted_by, incident, chunks, started_at, started_by, finished_at`
)

// NumberOf is a scheduled round's number: typing it names both the municipality and the date.
func NumberOf(municipalityNumber string, runOn calendar.Date) string {
	return fmt.Sprintf("%s-%02d%02d%02d", municipalityNumber, runOn.Year%100, runOn.Month, runOn.Day)
}

// Rounds lists the municipality's rounds and groups by date, newest last. Needs RoundRead.
func Rounds(ctx context.Context, tx *pg.Tx) ([]Round, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT `+roundColumns+` FROM deletion_round WHERE municipality_id = $1 ORDER BY run_on, id`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Round])
}

// OpenGroups lists the groups that clients can still be placed in, by date. Needs RoundRead.
func OpenGroups(ctx context.Context, tx *pg.Tx) ([]Round, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT `+roundColumns+` FROM deletion_round
		WHERE municipality_id = $1 AND state = 'open' AND kind = 'scheduled' ORDER BY run_on`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Round])
}

// Locate finds the municipality that a round number belongs to, for the people who work across municipalities. It holds
// numbers and ids only; problem.NotFound when there is none. Needs RoundRead. Turn to the municipality with
// caller.In(municipality) in a new transaction.
func Locate(ctx context.Context, tx *pg.Tx, number string) (municipality int, round int64, err error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return 0, 0, err
	}
	err = tx.QueryRow(ctx, `SELECT municipality_id, round_id FROM round_directory WHERE number = $1`, number).Scan(&municipality, &round)
	if err != nil || (!tx.Caller.Blind() && municipality != tx.Municipality()) {
		if err == nil {
			err = pgx.ErrNoRows
		}
		return 0, 0, notFound(err)
	}
	return municipality, round, nil
}

func notFound(err error) error {
	if errors.As(pg.Translate(err), new(problem.NotFound)) {
		return problem.NotFound{What: "round"}
	}
	return err
}

// FindRound reads one round of the caller's municipality; problem.NotFound for any other. For an operator only the
// fields that carry no trace of the municipality's own people are filled. Needs RoundRead.
func FindRound(ctx context.Context, tx *pg.Tx, id int64) (Round, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return Round{}, err
	}
	return findRound(ctx, tx, id, "")
}

func findRound(ctx context.Context, tx *pg.Tx, id int64, lock string) (Round, error) {
	columns, collect := roundColumns, pgx.RowToStructByName[Round]
	if tx.Caller.Has(access.Operator) {
		columns, collect = supplierColumns, pgx.RowToStructByNameLax[Round]
	}
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM deletion_round WHERE municipality_id = $1 AND id = $2 `+lock, tx.Municipality(), id)
	if err != nil {
		return Round{}, err
	}
	round, err := pgx.CollectExactlyOneRow(rows, collect)
	return round, notFound(err)
}

// lockRound takes the round for a decision. The advisory lock is what chunks share: it queues fairly, so a pause is
// never starved by chunks that follow one another.
func lockRound(ctx context.Context, tx *pg.Tx, id int64) (Round, error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, id); err != nil {
		return Round{}, err
	}
	return findRound(ctx, tx, id, "FOR NO KEY UPDATE")
}

// Outcome is one line of the table "who goes and who stays": items of one state and, for those that stay, one reason.
type Outcome struct {
	State  ItemState
	Reason string // the first blocker; empty for ready ones
	Frozen bool
	Items  int
}

// Tally counts a round's items by state and first reason. Counts only: support and operator may ask too (an operator's
// pages show fewer of them, and «<5» under five). Needs RoundRead.
func Tally(ctx context.Context, tx *pg.Tx, round int64) ([]Outcome, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT state, reason, frozen, items FROM round_tally($1) ORDER BY state, reason, frozen`, round)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Outcome])
}

// Count adds up the items of the given states.
func Count(outcomes []Outcome, states ...ItemState) int {
	n := 0
	for _, o := range outcomes {
		for _, s := range states {
			if o.State == s {
				n += o.Items
			}
		}
	}
	return n
}

// BoardLine is a round as support and operator see it in their lists: numbers, dates and counts.
type BoardLine struct {
	MunicipalityID     int
	MunicipalityNumber string
	MunicipalityName   string
	RoundID            int64
	Number             string
	Kind               string
	RunOn              calendar.Date
	State              State
	StateSince         time.Time
	CoolingOffUntil    *time.Time
	Brake              *string
	BrakeLifted        bool
	Incident           *string
	Items              int // in the group, ever
	Ready              int
	Purged             int
	Settled            int // of the frozen ones: purged, carried over or withdrawn
	Frozen             int
}

// Board lists the rounds of every municipality in the given states, for people who see nobody. Needs RoundRead and a
// caller who works across municipalities.
func Board(ctx context.Context, tx *pg.Tx, states ...State) ([]BoardLine, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	return board(ctx, tx, states...)
}

func board(ctx context.Context, tx *pg.Tx, states ...State) ([]BoardLine, error) {
	if !tx.Caller.Blind() {
		return nil, problem.Forbidden{Code: "permission"}
	}
	rows, err := tx.Query(ctx, `SELECT b.municipality_id, n.number AS municipality_number, n.name AS municipality_name, b.round_id, b.number, b.kind, b.run_on,
			b.state, b.state_since, b.cooling_off_until, b.brake, b.brake_lifted, b.incident, b.items, b.ready, b.purged, b.settled, b.frozen
		FROM round_board($1) b JOIN LATERAL (SELECT number, name FROM municipality_name n WHERE n.municipality_id = b.municipality_id
			AND n.valid_from <= $2::date ORDER BY valid_from DESC LIMIT 1) n ON true
		ORDER BY b.run_on, b.number`, states, calendar.DateOf(tx.Now()))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[BoardLine])
}

// Item is one client of a round, for people of the municipality: joined with the client while there is one.
type Item struct {
	ClientID  uuid.UUID
	State     ItemState
	PlacedBy  int64
	PlacedAt  time.Time
	PlacedHow string
	DueOn     calendar.Date
	Carried   int
	Frozen    bool
	Reasons   []string
	SettledAt *time.Time
	Name      *string // nil: deleted
	Number    *string
}

// Items lists a round's items in the given states, by name, at most limit from after (the last client id of the page
// before). Needs ClientRead; the caller writes the access row (audit.Looked) with the ids shown.
func Items(ctx context.Context, tx *pg.Tx, round int64, states []ItemState, after *uuid.UUID, limit int) ([]Item, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT i.client_id, i.state, i.placed_by, i.placed_at, i.placed_how, i.due_on, i.carried, i.frozen, i.reasons, i.settled_at,
			c.family_name || ', ' || c.given_name AS name, c.number
		FROM round_item i LEFT JOIN client c ON c.municipality_id = i.municipality_id AND c.id = i.client_id
		WHERE i.municipality_id = $1 AND i.round_id = $2 AND i.state = ANY ($3) AND ($4::uuid IS NULL OR i.client_id > $4)
		ORDER BY i.client_id LIMIT $5`, tx.Municipality(), round, states, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Item])
}

// Event is one step in a round's story. Remark is free text and is read inside the municipality only.
type Event struct {
	At        time.Time
	AccountID int64
	Role      string
	Act       string
	Code      string
	Remark    string
}

// Events tells the round's story, newest first. Support gets no remarks, operators neither remarks nor codes. Needs RoundRead.
func Events(ctx context.Context, tx *pg.Tx, round int64) ([]Event, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	columns := "at, account_id, role, act, code, remark"
	switch {
	case tx.Caller.Has(access.Operator):
		columns = "at, 0::bigint AS account_id, role, act, '' AS code, '' AS remark"
	case tx.Caller.Has(access.Support):
		columns = "at, account_id, role, act, code, '' AS remark"
	}
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM round_event WHERE municipality_id = $1 AND round_id = $2 ORDER BY id DESC`, tx.Municipality(), round)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Event])
}

func event(tx *pg.Tx, round int64, p access.Permission, act, code, remark string) {
	role := string(tx.Caller.RoleFor(p))
	tx.Later(`INSERT INTO round_event (municipality_id, round_id, at, account_id, role, act, code, remark) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		tx.Municipality(), round, tx.Now(), tx.Caller.Account, role, act, code, remark)
}

// Hand is what one person did with the list by hand: it keeps them from approving it (D13).
type Hand struct {
	AccountID int64
	Act       string
	Times     int
	LastAt    time.Time
}

// Hands lists who had a hand in the round's list. Needs RoundRead.
func Hands(ctx context.Context, tx *pg.Tx, round int64) ([]Hand, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT account_id, act, times, last_at FROM round_hand WHERE municipality_id = $1 AND round_id = $2 ORDER BY last_at, account_id, act`,
		tx.Municipality(), round)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Hand])
}

func hand(tx *pg.Tx, round int64, act string, times int) {
	if tx.Caller.Account == 0 || times == 0 {
		return
	}
	tx.Later(`INSERT INTO round_hand (municipality_id, round_id, account_id, act, times, last_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (municipality_id, round_id, account_id, act) DO UPDATE SET times = round_hand.times + excluded.times, last_at = excluded.last_at`,
		tx.Municipality(), round, tx.Caller.Account, act, times, tx.Now())
}

// moveTo takes a round to its next state. The database refuses steps that are not in its table.
func moveTo(ctx context.Context, tx *pg.Tx, round int64, state State) error {
	_, err := tx.Exec(ctx, `UPDATE deletion_round SET state = $3, state_since = $4 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), round, state, tx.Now())
	return err
}

// ensureGroups makes the quarterly groups from the first quarter after today up to the given day and at least four
// quarters ahead (D9, P44). What is there stays as it is.
func ensureGroups(ctx context.Context, tx *pg.Tx, upTo calendar.Date) error {
	m, err := municipality.Current(ctx, tx)
	if err != nil {
		return err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	first := today.AddDays(1).QuarterOnOrAfter()
	last := first.AddMonths(4 * 3)
	if upTo.After(last) {
		last = upTo.QuarterOnOrAfter()
	}
	batch := &pgx.Batch{}
	for day := first; !day.After(last); day = day.AddMonths(3) {
		batch.Queue(`INSERT INTO deletion_round (municipality_id, kind, run_on, number, state_since) SELECT $1, 'scheduled', $2, $3, $4
			WHERE NOT EXISTS (SELECT FROM deletion_round WHERE municipality_id = $1 AND kind = 'scheduled' AND run_on = $2)
			ON CONFLICT DO NOTHING`, tx.Municipality(), day, NumberOf(m.Number, day), tx.Now())
	}
	return tx.SendBatch(ctx, batch).Close()
}
