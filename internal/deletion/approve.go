package deletion

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"
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

// Approval is what an approver says.
type Approval struct {
	Remark      string // stays in the municipality, never in the protocol
	AcceptBrake bool   // "yes, this many": lifts the brake on the share of the municipality's clients (D16)
}

// RejectCodes are the typed reasons for rejecting a round or calling it off.
var RejectCodes = []string{"to_keep", "spot_checks", "other"}

// MayApprove tells whether the caller may decide on this round: nil, or problem.Forbidden "own_hand" with what they did
// in it (D13). Needs RoundRead.
func MayApprove(ctx context.Context, tx *pg.Tx, round Round) error {
	if !tx.Caller.Can(access.RoundApprove) {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.RoundApprove)}}
	}
	hands, err := Hands(ctx, tx, round.ID)
	if err != nil {
		return err
	}
	for _, h := range hands {
		if h.AccountID == tx.Caller.Account {
			return problem.Forbidden{Code: "own_hand", Params: problem.Params{"act": h.Act, "times": h.Times, "at": calendar.DateOf(h.LastAt)}}
		}
	}
	return nil
}

// Approve freezes the set of ready clients by its hash; from here on the round can only shrink (D12). Those that did not
// pass are carried over to the next group, each with its reasons. The cooling-off period starts (D14). Needs
// RoundApprove, a fresh proof of identity, and an account with no hand in the list (D13); problem.Conflict "brake_share" unless the brake is accepted.
func Approve(ctx context.Context, tx *pg.Tx, id int64, in Approval) error {
	if err := tx.RequireFresh(access.RoundApprove); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	if round.State != Controlled {
		return problem.Tried(problem.Conflict{Code: "round_step", Params: problem.Params{"state": string(round.State)}})
	}
	if err := MayApprove(ctx, tx, round); err != nil {
		return err
	}
	var wrong problem.Collector
	if !wrong.Words("remark", &in.Remark, longestRemark, false) {
		return wrong.Err()
	}
	if round.Braked() && !in.AcceptBrake {
		return problem.Conflict{Code: "brake_share", Params: problem.Params{"ready": value(round.ReadyCount), "population": value(round.Population)}}
	}
	policy, err := municipality.PolicyOf(ctx, tx)
	if err != nil {
		return err
	}
	if err := carryOver(ctx, tx, round, carryNotReady); err != nil {
		return err
	}
	count, chunks, hash, err := freeze(ctx, tx, round, policy.ChunkSize)
	if err != nil {
		return err
	}
	var lifted *int64
	if round.Braked() {
		lifted = &tx.Caller.Account
	}
	_, err = tx.Exec(ctx, `UPDATE deletion_round SET state = 'approved', state_since = $3, approved_by = $4, approved_at = $3, approved_hash = $5,
			approved_count = $6, chunks = $7, cooling_off_until = $8, brake_lifted_by = coalesce($9, brake_lifted_by)
		WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, tx.Now(), tx.Caller.Account, hash, count, chunks, tx.Now().Add(policy.CoolingOff), lifted)
	if err != nil {
		return err
	}
	event(tx, id, access.RoundApprove, "approved", "", in.Remark)
	audit.Write(tx, access.RoundApprove, audit.Record{Act: "round.approved", Subject: "round", SubjectID: round.Number, Detail: map[string]any{"clients": count}})
	return nil
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// freeze marks the ready items as the approved set, deals them into chunks and gives the set's hash.
func freeze(ctx context.Context, tx *pg.Tx, round Round, chunkSize int) (count, chunks int, hash []byte, err error) {
	_, err = tx.Exec(ctx, `UPDATE round_item i SET frozen = true, chunk = n.chunk
		FROM (SELECT id, ((row_number() OVER (ORDER BY client_id) - 1) / $3::int + 1)::int AS chunk FROM round_item
			WHERE municipality_id = $1 AND round_id = $2 AND state = 'ready') n
		WHERE i.municipality_id = $1 AND i.id = n.id`, tx.Municipality(), round.ID, chunkSize)
	if err != nil {
		return 0, 0, nil, err
	}
	sizes, hashes, hash, err := hashFrozen(ctx, tx, round, nil)
	if err != nil {
		return 0, 0, nil, err
	}
	for _, size := range sizes {
		count += size
	}
	_, err = tx.Exec(ctx, `INSERT INTO round_chunk (municipality_id, round_id, chunk, size, hash)
		SELECT $1, $2, n, size, hash FROM unnest($3::int[], $4::bytea[]) WITH ORDINALITY AS t (size, hash, n)`, tx.Municipality(), round.ID, sizes, hashes)
	return count, len(sizes), hash, err
}

// hashFrozen computes the hash of each chunk of the frozen set (of the one chunk, when only is given) and of the whole:
// SHA-256 over the round's number, then each client's id and lawful day in the order of ids; the whole is the hash of the
// chunks' hashes. Whatever became of an item since, it stays in the set, so the hash still verifies (D12); it does not
// verify any more when an item was added beside the frozen ones, or one that had left the list lies in it again.
func hashFrozen(ctx context.Context, tx *pg.Tx, round Round, only *int) (sizes []int, hashes [][]byte, whole []byte, err error) {
	which, args := `(frozen OR state IN ('placed', 'ready', 'blocked'))`, []any{tx.Municipality(), round.ID}
	if only != nil {
		which, args = `frozen AND chunk = $3`, append(args, *only)
	}
	rows, err := tx.Query(ctx, `SELECT coalesce(chunk, -1) AS chunk, client_id, due_on, settled_at IS NOT NULL AND state IN ('placed', 'ready', 'blocked')
		FROM round_item WHERE municipality_id = $1 AND round_id = $2 AND `+which+` ORDER BY 1, client_id`, args...)
	if err != nil {
		return nil, nil, nil, err
	}
	all := sha256.New()
	all.Write([]byte(round.Number))
	current, digest := 0, sha256.New()
	finish := func() {
		if current != 0 {
			sum := digest.Sum(nil)
			hashes = append(hashes, sum)
			all.Write(sum)
		}
	}
	var chunk int
	var client uuid.UUID
	var due calendar.Date
	var back bool
	_, err = pgx.ForEachRow(rows, []any{&chunk, &client, &due, &back}, func() error {
		if chunk != current {
			finish()
			current = chunk
			digest.Reset()
			digest.Write([]byte(round.Number))
			sizes = append(sizes, 0)
		}
		sizes[len(sizes)-1]++
		digest.Write(client[:])
		digest.Write(binary.BigEndian.AppendUint32(nil, uint32(due.Year*10000+int(due.Month)*100+due.Day))) //nolint:gosec // a date
		if back {
			digest.Write([]byte("back"))
		}
		return nil
	})
	finish()
	return sizes, hashes, all.Sum(nil), err
}

// carry says which items move on, and whether that counts for the escalation (D15).
type carry struct {
	states []ItemState
	reason string // given to items that have none of their own
	counts bool
}

var (
	carryNotReady = carry{[]ItemState{ItemBlocked, ItemPlaced}, "late", true}
	carryNotRun   = carry{[]ItemState{ItemBlocked, ItemPlaced, ItemReady}, "not_run", false}
)

// carryOver moves items on to the first open group after this round (D15), keeping their reasons, set-based. The caller
// holds the round.
func carryOver(ctx context.Context, tx *pg.Tx, round Round, c carry) error {
	// Whoever re-activates, holds or moves one of them at this moment comes wholly before us or wholly after.
	_, err := tx.Exec(ctx, `SELECT FROM client WHERE municipality_id = $1 AND id IN (SELECT client_id FROM round_item
		WHERE municipality_id = $1 AND round_id = $2 AND state IN ('placed', 'ready', 'blocked')) ORDER BY id FOR NO KEY UPDATE`, tx.Municipality(), round.ID)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT client_id FROM round_item WHERE municipality_id = $1 AND round_id = $2 AND state = ANY ($3) ORDER BY client_id`,
		tx.Municipality(), round.ID, c.states)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil || len(ids) == 0 {
		return err
	}
	return carryClients(ctx, tx, round, ids, nil, c)
}

// carryClients moves the given clients on. reasons are what each one failed by; nil keeps the item's own, or c.reason.
func carryClients(ctx context.Context, tx *pg.Tx, round Round, ids []uuid.UUID, reasons map[uuid.UUID][]string, c carry) error {
	facts, rules, today, zone, err := circumstances(ctx, tx, ids)
	if err != nil {
		return err
	}
	after := today
	if round.RunOn.After(after) {
		after = round.RunOn
	}
	after = after.AddDays(1)
	furthest := after
	var stay []uuid.UUID
	var dues []time.Time
	var why []string
	for _, f := range facts {
		a := retention.Assess(f, rules, today, zone)
		if a.Has(retention.Reactivated) || unplacedReason(a) != "" {
			if err := leave(ctx, tx, round, f.Client, a); err != nil {
				return err
			}
			continue
		}
		if a.DueOn.After(furthest) {
			furthest = a.DueOn
		}
		stay, dues, why = append(stay, f.Client), append(dues, a.DueOn.UTC()), append(why, strings.Join(reasons[f.Client], " "))
	}
	if len(stay) == 0 {
		return nil
	}
	groups, err := openGroupsUpTo(ctx, tx, furthest)
	if err != nil {
		return err
	}
	targets := make([]int64, len(stay))
	for i := range stay {
		due := calendar.DateOf(dues[i])
		if after.After(due) {
			due = after
		}
		targets[i] = firstOn(groups, due).ID
	}
	step := 0
	if c.counts {
		step = 1
	}
	_, err = tx.Exec(ctx, `WITH moved AS (
			UPDATE round_item i SET state = 'carried', settled_by = $4, settled_at = $5,
				reasons = CASE WHEN p.why <> '' THEN string_to_array(p.why, ' ') WHEN i.reasons = '{}' OR $7 = 0 THEN ARRAY[$6] ELSE i.reasons END
			FROM unnest($3::uuid[], $8::text[]) AS p (client, why)
			WHERE i.municipality_id = $1 AND i.round_id = $2 AND i.client_id = p.client AND i.state IN ('placed', 'ready', 'blocked')
			RETURNING i.client_id, i.carried)
		SELECT count(*) FROM moved`, tx.Municipality(), round.ID, stay, tx.Caller.Account, tx.Now(), c.reason, step, why)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on, carried)
		SELECT $1, p.round, p.client, 0, $3, 'carried', p.due, i.carried + $4
		FROM unnest($5::uuid[], $6::date[], $7::bigint[]) AS p (client, due, round)
		JOIN LATERAL (SELECT carried FROM round_item i WHERE i.municipality_id = $1 AND i.round_id = $2 AND i.client_id = p.client AND i.state = 'carried'
			ORDER BY i.id DESC LIMIT 1) i ON true`, tx.Municipality(), round.ID, tx.Now(), step, stay, dues, targets)
	batch.Queue(`INSERT INTO placement (municipality_id, client_id, round_id, act, at, account_id)
		SELECT $1, p.client, p.round, 'carried', $2, $3 FROM unnest($4::uuid[], $5::bigint[]) AS p (client, round)`,
		tx.Municipality(), tx.Now(), tx.Caller.Account, stay, targets)
	return tx.SendBatch(ctx, batch).Close()
}

// Reject sends a controlled round back to proposal with a typed reason; it is controlled anew. Nobody is deleted. Needs
// RoundApprove and no hand in the list.
func Reject(ctx context.Context, tx *pg.Tx, id int64, code, remark string) error {
	if err := tx.Require(access.RoundApprove); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	if round.State != Controlled {
		return problem.Conflict{Code: "round_step", Params: problem.Params{"state": string(round.State)}}
	}
	if err := MayApprove(ctx, tx, round); err != nil {
		return err
	}
	if err := checkReason(code, &remark); err != nil {
		return err
	}
	// The findings belong to the control that is rejected: the same devices are looked for again.
	batch := &pgx.Batch{}
	batch.Queue(`UPDATE deletion_round SET state = 'proposed', state_since = $3, controlled_by = NULL, controlled_at = NULL,
		control_asked_by = NULL, control_asked_at = NULL, ready_count = NULL, brake = NULL, brake_lifted_by = NULL
		WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Now())
	batch.Queue(`UPDATE spot_check SET finding = NULL, found_by = NULL, found_at = NULL WHERE municipality_id = $1 AND round_id = $2`, tx.Municipality(), id)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	event(tx, id, access.RoundApprove, "rejected", code, remark)
	audit.Write(tx, access.RoundApprove, audit.Record{Act: "round.rejected", Subject: "round", SubjectID: round.Number, Detail: map[string]any{"code": code}})
	return nil
}

// longestRemark is in letters.
const longestRemark = 2000

func checkReason(code string, remark *string) error {
	var wrong problem.Collector
	known := false
	for _, c := range RejectCodes {
		known = known || c == code
	}
	if !known {
		wrong.Add("code", "required", nil)
	}
	wrong.Words("remark", remark, longestRemark, false)
	return wrong.Err()
}

// Cancel calls a round off before it runs (avlyse, D11): in the cooling-off period any approver of the municipality can.
// Every client moves on with the reason not_run. Needs RoundApprove.
func Cancel(ctx context.Context, tx *pg.Tx, id int64, code, remark string) error {
	if err := tx.Require(access.RoundApprove); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	switch round.State {
	case Proposed, Controlled, Approved:
	default:
		return problem.Conflict{Code: "round_step", Params: problem.Params{"state": string(round.State)}}
	}
	if err := checkReason(code, &remark); err != nil {
		return err
	}
	if err := carryOver(ctx, tx, round, carryNotRun); err != nil {
		return err
	}
	if err := moveTo(ctx, tx, id, Cancelled); err != nil {
		return err
	}
	event(tx, id, access.RoundApprove, "cancelled", code, remark)
	audit.Write(tx, access.RoundApprove, audit.Record{Act: "round.cancelled", Subject: "round", SubjectID: round.Number, Detail: map[string]any{"code": code}})
	return nil
}

// LiftBrake lets a paused round go on in spite of its brake (D16). The operator resumes it. Needs RoundApprove, a fresh
// proof of identity, and no hand in the list.
func LiftBrake(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := tx.RequireFresh(access.RoundApprove); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	if !round.Braked() || (round.State != Paused && round.State != Approved) {
		return problem.Conflict{Code: "no_brake"}
	}
	if err := MayApprove(ctx, tx, round); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE deletion_round SET brake_lifted_by = $3 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account)
	event(tx, id, access.RoundApprove, "brake_lifted", *round.Brake, "")
	audit.Write(tx, access.RoundApprove, audit.Record{Act: "round.brake_lifted", Subject: "round", SubjectID: round.Number, Detail: map[string]any{"brake": *round.Brake}})
	return err
}
