package deletion

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// OrderReasons are the typed reasons for an extra run (P45).
var OrderReasons = []string{"moved_system", "backlog", "wrong_group", "other"}

// NewOrder is what a municipality asks for.
type NewOrder struct {
	Scope     string // group: everybody in one open group; selected: the named clients
	GroupID   *int64
	Clients   []uuid.UUID
	Reason    string
	Reference string // the municipality's case number
	RunOn     calendar.Date
}

// Order is a request for an extra run and what became of it.
type Order struct {
	ID          uuid.UUID
	State       string // asked, ordered, declined
	Scope       string
	GroupID     *int64
	GroupRunOn  *calendar.Date
	Reason      string
	Reference   string
	RunOn       calendar.Date
	Clients     int // asked for; 0 for support, who sees the count in the round
	AskedBy     int64
	AskedAt     time.Time
	OrderedBy   *int64
	OrderedAt   *time.Time
	RoundID     *int64
	RoundNumber *string
}

// nationalID is what must not stand in a reference: support reads it, and sees nobody.
var nationalID = regexp.MustCompile(`(^|[^0-9])[0-9]{6} ?[0-9]{5}([^0-9]|$)`)

// AskOrder is the municipality's request (D17): support cannot invent one. The run is at most a quarter away: what can wait
// longer has a group. Of selected clients every one must be one that the run may take; the others are named. Needs OrderAsk;
// problem.Invalid per field.
func AskOrder(ctx context.Context, tx *pg.Tx, in NewOrder) (uuid.UUID, error) {
	if err := tx.Require(access.OrderAsk); err != nil {
		return uuid.Nil, err
	}
	day, err := today(ctx, tx)
	if err != nil {
		return uuid.Nil, err
	}
	var wrong problem.Collector
	if wrong.Words("reference", &in.Reference, 60, true) && nationalID.MatchString(in.Reference) {
		wrong.Add("reference", "national_id_here", nil)
	}
	known := false
	for _, r := range OrderReasons {
		known = known || r == in.Reason
	}
	if !known {
		wrong.Add("reason", "required", nil)
	}
	if in.RunOn.IsZero() {
		wrong.Add("run_on", "required", nil)
	} else if in.RunOn.Before(day) {
		wrong.Add("run_on", "date_passed", problem.Params{"today": day})
	} else if latest := day.AddMonths(3); in.RunOn.After(latest) {
		wrong.Add("run_on", "date_far", problem.Params{"latest": latest})
	}
	switch in.Scope {
	case "group":
		in.Clients = nil
		if in.GroupID == nil {
			wrong.Add("group", "required", nil)
		} else if group, err := findRound(ctx, tx, *in.GroupID, ""); err != nil || group.State != Open || group.Kind != "scheduled" {
			wrong.Add("group", "unknown", nil)
		}
	case "selected":
		in.GroupID = nil
		if len(in.Clients) == 0 {
			wrong.Add("clients", "required", nil)
		} else if len(in.Clients) > 1000 {
			wrong.Add("clients", "too_many", problem.Params{"max": 1000})
		}
	default:
		wrong.Add("scope", "required", nil)
	}
	if err := wrong.Err(); err != nil {
		return uuid.Nil, err
	}
	if in.Scope == "selected" {
		if err := takable(ctx, tx, in); err != nil {
			return uuid.Nil, err
		}
	}
	id := uuid.New()
	_, err = tx.Exec(ctx, `INSERT INTO deletion_order (municipality_id, id, scope, group_id, reason, reference, run_on, asked_by, asked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, tx.Municipality(), id, in.Scope, in.GroupID, in.Reason, in.Reference, in.RunOn, tx.Caller.Account, tx.Now())
	if err != nil {
		return uuid.Nil, err
	}
	if in.Scope == "selected" {
		_, err := tx.Exec(ctx, `INSERT INTO order_client (municipality_id, client_id, order_id) SELECT DISTINCT $1::int, c, $2::uuid FROM unnest($3::uuid[]) c`,
			tx.Municipality(), id, in.Clients)
		if err != nil {
			return uuid.Nil, err
		}
	}
	audit.Write(tx, access.OrderAsk, audit.Record{Act: "order.asked", Subject: "order", SubjectID: id.String(), Detail: map[string]any{"scope": in.Scope, "reason": in.Reason}})
	return id, nil
}

// takable refuses selected clients that the run could not take, by the reason: a run that quietly leaves somebody out is
// believed to have deleted them. The errors name the ids that were given, and no number: telling one would be a look that
// nobody wrote down. What changes until the run is met by the control.
func takable(ctx context.Context, tx *pg.Tx, in NewOrder) error {
	facts, rules, day, zone, err := circumstances(ctx, tx, in.Clients)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT i.client_id FROM round_item i JOIN deletion_round r ON r.municipality_id = i.municipality_id AND r.id = i.round_id
		WHERE i.municipality_id = $1 AND i.client_id = ANY ($2) AND i.state IN ('placed', 'ready', 'blocked') AND r.state <> 'open' ORDER BY 1`, tx.Municipality(), in.Clients)
	if err != nil {
		return err
	}
	proposed, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return err
	}
	if in.RunOn.After(day) {
		day = in.RunOn
	}
	asked := map[uuid.UUID]bool{}
	for _, id := range in.Clients {
		asked[id] = true
	}
	refused := map[string][]string{}
	for _, f := range facts {
		delete(asked, f.Client)
		a := retention.Assess(f, rules, day, zone)
		switch {
		case !f.Status.Inactive():
			refused["clients_not_inactive"] = append(refused["clients_not_inactive"], f.Client.String())
		case slices.Contains(proposed, f.Client):
			refused["clients_in_round"] = append(refused["clients_in_round"], f.Client.String())
		case unplacedReason(a) != "" || in.RunOn.Before(a.DueOn):
			refused["clients_not_deletable"] = append(refused["clients_not_deletable"], f.Client.String())
		}
	}
	var wrong problem.Collector
	if len(asked) > 0 { // another municipality's, or nobody's: both look alike
		wrong.Add("clients", "clients_missing", problem.Params{"n": len(asked)})
	}
	for _, code := range []string{"clients_not_inactive", "clients_in_round", "clients_not_deletable"} {
		if len(refused[code]) > 0 {
			wrong.Add("clients", code, problem.Params{"clients": refused[code], "run": in.RunOn})
		}
	}
	return wrong.Err()
}

const orderColumns = `o.id, o.state, o.scope, o.group_id, g.run_on AS group_run_on, o.reason, o.reference, o.run_on, o.asked_by, o.asked_at, o.ordered_by,
	o.ordered_at, o.round_id, r.number AS round_number`

const orderJoins = ` FROM deletion_order o
	LEFT JOIN deletion_round g ON g.municipality_id = o.municipality_id AND g.id = o.group_id
	LEFT JOIN deletion_round r ON r.municipality_id = o.municipality_id AND r.id = o.round_id`

// Orders lists the municipality's requests, newest first. Needs RoundRead.
func Orders(ctx context.Context, tx *pg.Tx) ([]Order, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	count := `(SELECT count(*) FROM order_client c WHERE c.municipality_id = o.municipality_id AND c.order_id = o.id)`
	if tx.Caller.Blind() {
		count = "0::bigint"
	}
	rows, err := tx.Query(ctx, `SELECT `+orderColumns+`, `+count+` AS clients`+orderJoins+` WHERE o.municipality_id = $1 ORDER BY o.asked_at DESC, o.id`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Order])
}

// AskedOrder is a request as support reads it, with the municipality that it came from.
type AskedOrder struct {
	MunicipalityID int
	Order
}

// OrdersEverywhere lists the requests of all municipalities that wait for support, oldest first; sought, when it is not
// nil, gives that one alone, whatever became of it. Needs OrderPlace and a caller who works across municipalities.
func OrdersEverywhere(ctx context.Context, tx *pg.Tx, sought *uuid.UUID) ([]AskedOrder, error) {
	if err := tx.Require(access.OrderPlace); err != nil {
		return nil, err
	}
	if !tx.Caller.Blind() {
		return nil, problem.Forbidden{Code: "permission"}
	}
	rows, err := tx.Query(ctx, `SELECT municipality_id, id, state, scope, group_id, group_run_on, reason, reference, run_on, clients, asked_by, asked_at,
			ordered_by, ordered_at, round_id, round_number FROM order_board($1) ORDER BY asked_at, id`, sought)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[AskedOrder])
}

// FindOrder reads one request. Needs RoundRead.
func FindOrder(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Order, error) {
	orders, err := Orders(ctx, tx)
	if err != nil {
		return Order{}, err
	}
	for _, o := range orders {
		if o.ID == id {
			return o, nil
		}
	}
	return Order{}, problem.NotFound{What: "order"}
}

// PlaceOrder orders the extra run that the municipality asked for (D17): the round is made, and the system fills it with
// the clients asked for that a run on that day may take; the rest stay where they are. From there on it is a round like
// any other: control, approval by the municipality, cooling-off, start, protocol. It gives the round's number. The order
// itself is what covers it; the control that follows needs its own cover. Needs OrderPlace and a fresh proof of identity.
func PlaceOrder(ctx context.Context, tx *pg.Tx, id uuid.UUID) (string, error) {
	if err := tx.RequireFresh(access.OrderPlace); err != nil {
		return "", err
	}
	// One extra run of a municipality and day at a time gets its number.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('order'), $1)`, tx.Municipality()); err != nil {
		return "", err
	}
	order, err := FindOrder(ctx, tx, id)
	if err != nil {
		return "", err
	}
	if order.State != "asked" {
		return "", problem.Conflict{Code: "order_" + order.State}
	}
	m, err := municipality.Current(ctx, tx)
	if err != nil {
		return "", err
	}
	var extra int
	err = tx.QueryRow(ctx, `SELECT count(*) FROM deletion_round WHERE municipality_id = $1 AND kind = 'extra' AND run_on = $2`, tx.Municipality(), order.RunOn).Scan(&extra)
	if err != nil {
		return "", err
	}
	number := fmt.Sprintf("%s-E%d", NumberOf(m.Number, order.RunOn), extra+1)
	var round int64
	err = tx.QueryRow(ctx, `INSERT INTO deletion_round (municipality_id, kind, run_on, number, state_since, order_id)
		VALUES ($1, 'extra', $2, $3, $4, $5) RETURNING id`, tx.Municipality(), order.RunOn, number, tx.Now(), id).Scan(&round)
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, `UPDATE deletion_order SET state = 'ordered', ordered_by = $3, ordered_at = $4, round_id = $5 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, tx.Caller.Account, tx.Now(), round)
	if err != nil {
		return "", err
	}
	hand(tx, round, "ordered", 1)
	tx.Later(`INSERT INTO round_hand (municipality_id, round_id, account_id, act, times, last_at) VALUES ($1, $2, $3, 'asked', 1, $4) ON CONFLICT DO NOTHING`,
		tx.Municipality(), round, order.AskedBy, order.AskedAt)
	tx.Later(`INSERT INTO round_event (municipality_id, round_id, at, account_id, role, act) VALUES ($1, $2, $3, $4, 'municipality', 'asked')`,
		tx.Municipality(), round, order.AskedAt, order.AskedBy)
	event(tx, round, access.OrderPlace, "ordered", order.Reason, "")
	audit.Write(tx, access.OrderPlace, audit.Record{Act: "order.placed", Subject: "round", SubjectID: number, Detail: map[string]any{"order": id, "reason": order.Reason}, Basis: "order:" + id.String()})
	return number, tx.Enqueue(ctx, FillArgs{RoundID: round})
}

// DeclineOrder says no to a request. Needs OrderPlace.
func DeclineOrder(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if err := tx.Require(access.OrderPlace); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE deletion_order SET state = 'declined', ordered_by = $3, ordered_at = $4 WHERE municipality_id = $1 AND id = $2 AND state = 'asked'`,
		tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	if n == 0 {
		return problem.NotFound{What: "order"}
	}
	audit.Write(tx, access.OrderPlace, audit.Record{Act: "order.declined", Subject: "order", SubjectID: id.String(), Basis: "order:" + id.String()})
	return nil
}

// fill moves the clients that an order asks for out of their groups into the extra round, as far as a run on its day may
// take them (a lawful day that has come; no waiver here), and proposes the round. Can run again.
func fill(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := tx.Require(access.RoundSweep); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil || round.State != Open || round.OrderID == nil {
		return err
	}
	// Locked in the one order, then read anew.
	rows, err := tx.Query(ctx, `SELECT c.id FROM client c JOIN deletion_order o ON o.municipality_id = c.municipality_id AND o.id = $2
		WHERE c.municipality_id = $1 AND c.status IN ('disconnected', 'cancelled') AND (
			(o.scope = 'selected' AND EXISTS (SELECT FROM order_client x WHERE x.municipality_id = $1 AND x.order_id = o.id AND x.client_id = c.id))
			OR (o.scope = 'group' AND EXISTS (SELECT FROM round_item i WHERE i.municipality_id = $1 AND i.round_id = o.group_id AND i.client_id = c.id
				AND i.state = 'placed')))
			AND NOT EXISTS (SELECT FROM round_item i WHERE i.municipality_id = $1 AND i.client_id = c.id AND i.state IN ('ready', 'blocked')) -- a proposed round keeps its own
		ORDER BY c.id FOR NO KEY UPDATE OF c`, tx.Municipality(), *round.OrderID)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return err
	}
	facts, rules, day, zone, err := circumstances(ctx, tx, ids)
	if err != nil {
		return err
	}
	on := day
	if round.RunOn.After(on) {
		on = round.RunOn
	}
	var take []uuid.UUID
	var dues []time.Time
	for _, f := range facts {
		a := retention.Assess(f, rules, on, zone)
		if unplacedReason(a) == "" && !a.DueOn.IsZero() && !round.RunOn.Before(a.DueOn) {
			take, dues = append(take, f.Client), append(dues, a.DueOn.UTC())
		}
	}
	if len(take) == 0 { // a run of nobody would end as one that has deleted
		if err := moveTo(ctx, tx, id, Cancelled); err != nil {
			return err
		}
		event(tx, id, access.RoundSweep, "cancelled", "nobody_taken", "")
		audit.Write(tx, access.RoundSweep, audit.Record{Act: "round.cancelled", Subject: "round", SubjectID: round.Number, Detail: map[string]any{"code": "nobody_taken"}})
		return nil
	}
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE round_item SET state = 'moved', reasons = ARRAY['extra_run'], settled_by = 0, settled_at = $3
		WHERE municipality_id = $1 AND client_id = ANY ($2) AND state = 'placed'`, tx.Municipality(), take, tx.Now())
	// The counter of carry-overs goes with the client (D15).
	batch.Queue(`INSERT INTO round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on, carried)
		SELECT $1, $2, p.client, 0, $3, 'order', p.due, coalesce((SELECT o.carried FROM round_item o WHERE o.municipality_id = $1 AND o.client_id = p.client
			AND o.state = 'moved' AND o.reasons = ARRAY['extra_run'] AND o.settled_at = $3 ORDER BY o.id DESC LIMIT 1), 0)
		FROM unnest($4::uuid[], $5::date[]) AS p (client, due)
		WHERE NOT EXISTS (SELECT FROM round_item o WHERE o.municipality_id = $1 AND o.client_id = p.client AND o.state IN ('placed', 'ready', 'blocked'))`,
		tx.Municipality(), id, tx.Now(), take, dues)
	batch.Queue(`UPDATE client SET unplaced_reason = NULL WHERE municipality_id = $1 AND id = ANY ($2) AND unplaced_reason IS NOT NULL
		AND EXISTS (SELECT FROM round_item o WHERE o.municipality_id = $1 AND o.client_id = client.id AND o.state IN ('placed', 'ready', 'blocked'))`, tx.Municipality(), take)
	batch.Queue(`INSERT INTO placement (municipality_id, client_id, round_id, act, at, account_id) SELECT $1, c, $2, 'selected', $3, 0 FROM unnest($4::uuid[]) c`,
		tx.Municipality(), id, tx.Now(), take)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return propose(ctx, tx, round)
}
