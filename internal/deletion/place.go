package deletion

import (
	"context"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Why an inactive client lies in no group (client.unplaced_reason).
const (
	unplacedNoStartDate = "no_start_date"
	unplacedMissingRule = "missing_rule"
	unplacedHeld        = "held"
	unplacedOpenRequest = "open_request"
	unplacedRestricted  = "restricted"
)

// Placement is where a client lies and why: today's assessment, with the group or the reason for none.
type Placement struct {
	Assessment retention.Assessment
	Round      *Round // the group; nil when the client lies in none
	Unplaced   string // why in none: no_start_date, missing_rule, held, open_request, restricted; empty for active clients and placed ones
	ItemState  ItemState
	PlacedHow  string
	PlacedAt   time.Time
	PlacedBy   int64
	Carried    int
}

// StatusChange is what a person says when a client's status changes.
type StatusChange struct {
	To           client.Status
	At           time.Time  // when it took effect; the zero time is now
	Reason       string     // why the agreement ended (client.end_reason); required for a disconnection
	AgreementEnd *time.Time // when it differs from At; the later of the two starts the clock (D3)
}

// Disconnect (or cancels) a client: the history gets its entry, the agreement's end is set (P18), the earliest lawful day
// is computed and the client is placed in the first open group on or after it, all in this transaction (D10). Needs
// ClientStatus; problem.Invalid for dates that D3 refuses, problem.Conflict "same_status" when nothing would change. Whoever
// was brought in as inactive without a date is disconnected so, too: the date that was missing is entered.
func Disconnect(ctx context.Context, tx *pg.Tx, id uuid.UUID, in StatusChange) (Placement, error) {
	if err := tx.Require(access.ClientStatus); err != nil {
		return Placement{}, err
	}
	if err := disconnect(ctx, tx, id, in); err != nil {
		return Placement{}, err
	}
	if err := place(ctx, tx, []uuid.UUID{id}, "system"); err != nil {
		return Placement{}, err
	}
	return placementOf(ctx, tx, id)
}

func disconnect(ctx context.Context, tx *pg.Tx, id uuid.UUID, in StatusChange) error {
	locked, err := client.Lock(ctx, tx, id)
	if err != nil {
		return err
	}
	if !in.To.Inactive() {
		return problem.InvalidField("status", "not_an_end", nil)
	}
	if in.At.IsZero() {
		in.At = tx.Now()
	}
	end := in.At
	if in.AgreementEnd != nil {
		end = *in.AgreementEnd
	}
	if locked.Status.Inactive() {
		// Cancelled and disconnected both are inactive: the newer entry moves the clock, so the client is placed anew.
		if err := takeOut(ctx, tx, []uuid.UUID{id}, "status", ItemMoved); err != nil {
			return err
		}
	}
	return client.SetStatus(ctx, tx, id, in.To, in.At, in.Reason, &end)
}

// PreviewDisconnect tells beforehand what Disconnect would do, and writes nothing. Needs ClientStatus.
func PreviewDisconnect(ctx context.Context, tx *pg.Tx, id uuid.UUID, in StatusChange) (Placement, error) {
	if err := tx.Require(access.ClientStatus); err != nil {
		return Placement{}, err
	}
	facts, rules, today, zone, err := circumstances(ctx, tx, []uuid.UUID{id})
	if err != nil {
		return Placement{}, err
	}
	if len(facts) == 0 {
		return Placement{}, problem.NotFound{What: "client"}
	}
	if in.At.IsZero() {
		in.At = tx.Now()
	}
	f := facts[0]
	f.Status = in.To
	f.History = append(f.History, retention.Entry{At: in.At, Status: in.To})
	f.AgreementEnd = &in.At
	if in.AgreementEnd != nil {
		f.AgreementEnd = in.AgreementEnd
	}
	p := Placement{Assessment: retention.Assess(f, rules, today, zone)}
	if p.Unplaced = unplacedReason(p.Assessment); p.Unplaced != "" {
		return p, nil
	}
	groups, err := OpenGroups(ctx, tx)
	if err != nil {
		return Placement{}, err
	}
	p.Round = firstOn(groups, p.Assessment.DueOn)
	return p, nil
}

// Reactivate makes a client active (or ordered) again and takes it out of its group at once (D10), whatever the round's
// state, unless the purge was first: then the client is not found. Needs ClientStatus.
func Reactivate(ctx context.Context, tx *pg.Tx, id uuid.UUID, in StatusChange) error {
	if err := tx.Require(access.ClientStatus); err != nil {
		return err
	}
	locked, err := client.Lock(ctx, tx, id)
	if err != nil {
		return err
	}
	if in.To.Inactive() {
		return problem.InvalidField("status", "not_a_start", nil)
	}
	if locked.Status == in.To {
		return problem.Conflict{Code: "same_status"}
	}
	if in.At.IsZero() {
		in.At = tx.Now()
	}
	if err := takeOut(ctx, tx, []uuid.UUID{id}, string(retention.Reactivated), ItemWithdrawn); err != nil {
		return err
	}
	return client.SetStatus(ctx, tx, id, in.To, in.At, in.Reason, nil)
}

// PlacementOf tells where a client lies today, and all that stands in the way. Needs ClientRead.
func PlacementOf(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Placement, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Placement{}, err
	}
	return placementOf(ctx, tx, id)
}

func placementOf(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Placement, error) {
	type placed struct {
		Round
		ItemState ItemState
		PlacedHow string
		PlacedAt  time.Time
		PlacedBy  int64
		Carried   int
	}
	var found []placed
	var facts []retention.Facts
	var rules retention.Rules
	var today calendar.Date
	var zone *time.Location
	err := tx.Together(ctx,
		func() (err error) {
			facts, rules, today, zone, err = circumstances(ctx, tx, []uuid.UUID{id})
			return err
		},
		func() error {
			rows, err := tx.Query(ctx, `SELECT `+prefixed("r", roundColumns)+`, i.state AS item_state, i.placed_how, i.placed_at, i.placed_by, i.carried
				FROM round_item i JOIN deletion_round r ON r.municipality_id = i.municipality_id AND r.id = i.round_id
				WHERE i.municipality_id = $1 AND i.client_id = $2 AND i.state IN ('placed', 'ready', 'blocked')`, tx.Municipality(), id)
			if err != nil {
				return err
			}
			found, err = pgx.CollectRows(rows, pgx.RowToStructByName[placed])
			return err
		},
	)
	if err != nil {
		return Placement{}, err
	}
	if len(facts) == 0 {
		return Placement{}, problem.NotFound{What: "client"}
	}
	var p Placement
	on := today
	if len(found) == 1 {
		f := found[0]
		p = Placement{Round: &f.Round, ItemState: f.ItemState, PlacedHow: f.PlacedHow, PlacedAt: f.PlacedAt, PlacedBy: f.PlacedBy, Carried: f.Carried}
		if f.RunOn.After(on) {
			on = f.RunOn // the question is what would stop the client on the run date
		}
	}
	p.Assessment = retention.Assess(facts[0], rules, on, zone)
	if p.Round == nil && facts[0].Status.Inactive() {
		p.Unplaced = unplacedReason(p.Assessment)
	}
	return p, nil
}

func prefixed(alias, columns string) string {
	names := strings.Split(columns, ",")
	for i, n := range names {
		names[i] = alias + "." + strings.TrimSpace(n)
	}
	return strings.Join(names, ", ")
}

// PlaceImported assesses and places inactive clients that were just brought in, set-based, in the transaction that
// brought them (the database refuses an inactive client with neither group nor reason at its end). Needs ImportRun.
func PlaceImported(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) error {
	if err := tx.Require(access.ImportRun); err != nil {
		return err
	}
	return place(ctx, tx, ids, "import")
}

// circumstances reads what an assessment needs. One call serves one client or a whole chunk.
func circumstances(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) (facts []retention.Facts, rules retention.Rules, today calendar.Date, zone *time.Location, err error) {
	err = tx.Together(ctx,
		func() (err error) { facts, err = retention.LoadFacts(ctx, tx, ids); return err },
		func() (err error) { // the zone first: the rules ask for it too
			if today, err = municipality.Today(ctx, tx); err != nil {
				return err
			}
			if zone, err = municipality.Zone(ctx, tx); err != nil {
				return err
			}
			rules, err = retention.RulesOn(ctx, tx, today)
			return err
		},
	)
	return facts, rules, today, zone, err
}

// unplacedReason is why a client cannot lie in a group at all; empty when it can. Devices and the like do not keep it out
// of the group: they stop the purge, and should be solved before.
func unplacedReason(a retention.Assessment) string {
	switch {
	case a.Has(retention.Held):
		return unplacedHeld
	case a.Has(retention.OpenRequest):
		return unplacedOpenRequest
	case a.Has(retention.Restricted):
		return unplacedRestricted
	case a.Has(retention.MissingRule):
		return unplacedMissingRule
	case a.DueOn.IsZero():
		return unplacedNoStartDate
	}
	return ""
}

func firstOn(groups []Round, due calendar.Date) *Round {
	for i := range groups {
		if !groups[i].RunOn.Before(due) {
			return &groups[i]
		}
	}
	return nil
}

// place puts inactive clients without a group into the first open one on or after their lawful day, or notes why not. The
// callers hold the clients' locks, or have just inserted them.
func place(ctx context.Context, tx *pg.Tx, ids []uuid.UUID, how string) error {
	facts, rules, today, zone, err := circumstances(ctx, tx, ids)
	if err != nil {
		return err
	}
	var furthest calendar.Date
	due := map[uuid.UUID]calendar.Date{}
	unplaced := map[string][]uuid.UUID{}
	for _, f := range facts {
		if !f.Status.Inactive() {
			continue
		}
		a := retention.Assess(f, rules, today, zone)
		if reason := unplacedReason(a); reason != "" {
			unplaced[reason] = append(unplaced[reason], f.Client)
			continue
		}
		due[f.Client] = a.DueOn
		if a.DueOn.After(furthest) {
			furthest = a.DueOn
		}
	}
	groups, err := openGroupsUpTo(ctx, tx, furthest)
	if err != nil {
		return err
	}
	var clients []uuid.UUID
	var dues []time.Time
	var rounds []int64
	for _, f := range facts { // in the order of ids: rows are locked in one order everywhere
		if d, ok := due[f.Client]; ok {
			clients, dues, rounds = append(clients, f.Client), append(dues, d.UTC()), append(rounds, firstOn(groups, d).ID)
		}
	}
	batch := &pgx.Batch{}
	if len(clients) > 0 {
		batch.Queue(`INSERT INTO round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on)
			SELECT $1, p.round, p.client, $2, $3, $4, p.due FROM unnest($5::uuid[], $6::date[], $7::bigint[]) AS p (client, due, round)`,
			tx.Municipality(), placer(tx, how), tx.Now(), how, clients, dues, rounds)
		batch.Queue(`INSERT INTO placement (municipality_id, client_id, round_id, act, at, account_id)
			SELECT $1, p.client, p.round, 'placed', $2, $3 FROM unnest($4::uuid[], $5::bigint[]) AS p (client, round)`,
			tx.Municipality(), tx.Now(), placer(tx, how), clients, rounds)
		batch.Queue(`UPDATE client SET unplaced_reason = NULL WHERE municipality_id = $1 AND id = ANY ($2) AND unplaced_reason IS NOT NULL`, tx.Municipality(), clients)
	}
	for reason, ids := range unplaced {
		batch.Queue(`UPDATE client SET unplaced_reason = $3 WHERE municipality_id = $1 AND id = ANY ($2)`, tx.Municipality(), ids, reason)
	}
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, batch).Close()
}

// placer is who a placement is put down to: what Frist works out by itself is nobody's hand (D13).
func placer(tx *pg.Tx, how string) int64 {
	if how == "system" || how == "import" || how == "carried" {
		return 0
	}
	return tx.Caller.Account
}

// openGroupsUpTo lists the open groups and makes those that are missing up to the day.
func openGroupsUpTo(ctx context.Context, tx *pg.Tx, day calendar.Date) ([]Round, error) {
	groups, err := OpenGroups(ctx, tx)
	if err != nil {
		return nil, err
	}
	if len(groups) == 0 || groups[len(groups)-1].RunOn.Before(day) {
		if err := ensureGroups(ctx, tx, day); err != nil {
			return nil, err
		}
		return OpenGroups(ctx, tx)
	}
	return groups, nil
}

// takeOut settles the open items of clients whose locks the caller holds.
func takeOut(ctx context.Context, tx *pg.Tx, ids []uuid.UUID, reason string, to ItemState) error {
	rows, err := tx.Query(ctx, `UPDATE round_item i SET state = CASE WHEN i.frozen THEN 'withdrawn' ELSE $3 END, reasons = ARRAY[$4], settled_by = $5, settled_at = $6
		WHERE i.municipality_id = $1 AND i.client_id = ANY ($2) AND i.state IN ('placed', 'ready', 'blocked') RETURNING i.round_id`,
		tx.Municipality(), ids, to, reason, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	rounds, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	byRound := map[int64]int{}
	for _, r := range rounds {
		byRound[r]++
	}
	act := "withdrawn"
	if to == ItemMoved {
		act = "moved"
	}
	for round, n := range byRound {
		hand(tx, round, map[string]string{"withdrawn": "withdrew", "moved": "moved"}[act], n)
	}
	if len(rounds) > 0 {
		tx.Later(`INSERT INTO placement (municipality_id, client_id, act, reason, at, account_id)
			SELECT $1, c.id, $2, $3, $4, $5 FROM client c WHERE c.municipality_id = $1 AND c.id = ANY ($6)`,
			tx.Municipality(), act, reason, tx.Now(), tx.Caller.Account, ids)
	}
	return nil
}

// Move puts a client into another open group (D10). A later one needs a reason and may be one quarter later than the
// first lawful one; an earlier one than lawful is refused with the date, here and by the database. Moving out of an
// approved round withdraws the client from it. Needs GroupPlace.
func Move(ctx context.Context, tx *pg.Tx, id uuid.UUID, round int64, reason string) error {
	if err := tx.Require(access.GroupPlace); err != nil {
		return err
	}
	if _, err := client.Lock(ctx, tx, id); err != nil {
		return err
	}
	p, err := placementOf(ctx, tx, id)
	if err != nil {
		return err
	}
	target, err := findRound(ctx, tx, round, "")
	if err != nil {
		return problem.InvalidField("group", "unknown", nil)
	}
	reason = strings.TrimSpace(reason)
	a := p.Assessment
	if p.Unplaced != "" {
		return problem.Conflict{Code: "unplaced_" + p.Unplaced}
	}
	if a.DueOn.IsZero() {
		return problem.Conflict{Code: "not_inactive"}
	}
	if target.RunOn.Before(a.DueOn) {
		return problem.InvalidField("group", "too_early", sum(a, a.DueOn.QuarterOnOrAfter()))
	}
	if target.State != Open || target.Kind != "scheduled" {
		return problem.InvalidField("group", "closed", problem.Params{"run": target.RunOn})
	}
	if p.Round != nil && p.Round.ID == round {
		return nil
	}
	groups, err := OpenGroups(ctx, tx)
	if err != nil {
		return err
	}
	first := firstOn(groups, a.DueOn)
	how := "by_hand"
	if first != nil && target.RunOn.After(first.RunOn) {
		how = "later"
		if reason == "" {
			return problem.InvalidField("reason", "required", nil)
		}
		if latest := first.RunOn.AddMonths(3); target.RunOn.After(latest) {
			return problem.InvalidField("group", "too_late", problem.Params{"latest": latest})
		}
	}
	var wrong problem.Collector
	if !wrong.Words("reason", &reason, 500, false) {
		return wrong.Err()
	}
	if err := takeOut(ctx, tx, []uuid.UUID{id}, "moved", ItemMoved); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on, carried)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, tx.Municipality(), round, id, tx.Caller.Account, tx.Now(), how, a.DueOn, p.Carried)
	if err != nil {
		return err
	}
	// Why there was no group may have ended before the sweep saw it.
	tx.Later(`UPDATE client SET unplaced_reason = NULL WHERE municipality_id = $1 AND id = $2 AND unplaced_reason IS NOT NULL`, tx.Municipality(), id)
	hand(tx, round, "placed", 1)
	tx.Later(`INSERT INTO placement (municipality_id, client_id, round_id, act, reason, at, account_id) VALUES ($1, $2, $3, 'moved', $4, $5, $6)`,
		tx.Municipality(), id, round, reason, tx.Now(), tx.Caller.Account)
	audit.Write(tx, access.GroupPlace, audit.Record{Act: "group.moved", Subject: "client", SubjectID: id.String(), Fields: []string{"group"}, Detail: map[string]any{"round": target.Number}})
	return nil
}

// sum is the parameters of the sentence "Frakoblet 14.03.23 + 6 måneder = 14.09.23 → slettes 01.10.23".
func sum(a retention.Assessment, run calendar.Date) problem.Params {
	return problem.Params{"start": a.StartOn, "months": a.Decides.Rule.PeriodMonths, "due": a.DueOn, "run": run}
}

// PlaceHold places a hold (D24) on a client, or on an address and so on everybody who lives there, and takes whom it
// keeps out of their groups in the same transaction. Needs HoldPlace.
func PlaceHold(ctx context.Context, tx *pg.Tx, h retention.NewHold) (uuid.UUID, error) {
	if err := tx.Require(access.HoldPlace); err != nil {
		return uuid.Nil, err
	}
	ids, err := lockHeld(ctx, tx, h.ClientID, h.AddressID)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := retention.InsertHold(ctx, tx, h)
	if err != nil {
		return uuid.Nil, err
	}
	if err := takeOut(ctx, tx, ids, string(retention.Held), ItemWithdrawn); err != nil {
		return uuid.Nil, err
	}
	_, err = tx.Exec(ctx, `UPDATE client SET unplaced_reason = 'held' WHERE municipality_id = $1 AND id = ANY ($2) AND status IN ('disconnected', 'cancelled')`,
		tx.Municipality(), ids)
	return id, err
}

// ReleaseHold confirms the release that somebody else asked for, and places the clients anew in the same transaction
// (D15). Needs HoldRelease and a fresh proof of identity; problem.Forbidden "own_release" for the one who asked.
func ReleaseHold(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if err := tx.RequireFresh(access.HoldRelease); err != nil {
		return err
	}
	hold, err := findHoldTarget(ctx, tx, id)
	if err != nil {
		return err
	}
	ids, err := lockHeld(ctx, tx, hold.ClientID, hold.AddressID)
	if err != nil {
		return err
	}
	if _, err := retention.ReleaseHold(ctx, tx, id); err != nil {
		return err
	}
	// Who moved here since lies in a group already.
	rows, err := tx.Query(ctx, `SELECT id FROM client WHERE municipality_id = $1 AND id = ANY ($2) AND unplaced_reason IS NOT NULL ORDER BY id`, tx.Municipality(), ids)
	if err != nil {
		return err
	}
	if ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID]); err != nil {
		return err
	}
	return place(ctx, tx, ids, "system")
}

func findHoldTarget(ctx context.Context, tx *pg.Tx, id uuid.UUID) (retention.NewHold, error) {
	var h retention.NewHold
	err := tx.QueryRow(ctx, `SELECT client_id, address_id FROM hold WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id).Scan(&h.ClientID, &h.AddressID)
	if err != nil {
		return h, problem.NotFound{What: "hold"}
	}
	return h, nil
}

// lockHeld locks the client, or all residents of the address and the address, in the one order.
func lockHeld(ctx context.Context, tx *pg.Tx, id, address *uuid.UUID) ([]uuid.UUID, error) {
	if id != nil {
		if _, err := client.Lock(ctx, tx, *id); err != nil {
			return nil, err
		}
		return []uuid.UUID{*id}, nil
	}
	rows, err := tx.Query(ctx, `SELECT id FROM client WHERE municipality_id = $1 AND address_id = $2 ORDER BY id FOR NO KEY UPDATE`, tx.Municipality(), address)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, err
	}
	found, err := tx.Exec(ctx, `SELECT 1 FROM address WHERE municipality_id = $1 AND id = $2 FOR NO KEY UPDATE`, tx.Municipality(), address)
	if err == nil && found == 0 {
		err = problem.NotFound{What: "address"}
	}
	return ids, err
}

// RunsOf gives the run date of each of the given clients that lies in a group, for a page of the list: one statement,
// however many they are. Needs ClientRead; the list itself has written the access row.
func RunsOf(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) (map[uuid.UUID]calendar.Date, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT i.client_id, r.run_on FROM round_item i JOIN deletion_round r ON r.municipality_id = i.municipality_id AND r.id = i.round_id
		WHERE i.municipality_id = $1 AND i.client_id = ANY ($2) AND i.state IN ('placed', 'ready', 'blocked') ORDER BY i.client_id`, tx.Municipality(), ids)
	if err != nil {
		return nil, err
	}
	runs := map[uuid.UUID]calendar.Date{}
	var id uuid.UUID
	var on calendar.Date
	_, err = pgx.ForEachRow(rows, []any{&id, &on}, func() error {
		runs[id] = on
		return nil
	})
	return runs, err
}
