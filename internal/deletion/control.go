package deletion

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Findings of a spot check (D27), and what each means: only the first lets the round go on as it is.
const (
	FoundInStock      = "in_stock"
	FoundNot          = "not_found"
	FoundStillAnswers = "still_answers"
)

// sampleGrowth is how many more devices are drawn for each finding that is not "in stock".
const sampleGrowth = 5

// SpotCheck is one drawn device: its code, its kind and what the stock list says. No client belongs to it here.
type SpotCheck struct {
	Position   int
	Code       string
	Kind       string
	StockState string
	Finding    *string
	FoundAt    *time.Time
}

// RequestControl orders the pre-run control: the system checks every client of the round, not a sample, and draws the
// spot checks. Support sees the result as counts. Needs RoundControl, and a standing instruction of the municipality for
// it or a yes for this round (D27): without, the act becomes a task for the municipality (problem.Conflict "instruction_asked").
func RequestControl(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := tx.Require(access.RoundControl); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	if round.State != Proposed {
		return problem.Conflict{Code: "round_step", Params: problem.Params{"state": string(round.State)}}
	}
	if started(round, tx.Caller.Account) {
		return problem.Forbidden{Code: "two_acts"}
	}
	cover, err := covered(ctx, tx, round)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE deletion_round SET instruction_id = $3, request_id = $6, control_asked_by = $4, control_asked_at = $5,
		ready_count = NULL, controlled_by = NULL, controlled_at = NULL
		WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, cover.Instruction, tx.Caller.Account, tx.Now(), cover.Request)
	if err != nil {
		return err
	}
	event(tx, id, access.RoundControl, "control_asked", "", "")
	audit.Write(tx, access.RoundControl, audit.Record{Act: "round.control_asked", Subject: "round", SubjectID: round.Number, Basis: cover.Basis()})
	return tx.Enqueue(ctx, ControlArgs{RoundID: id})
}

// covered is what lets the processor control this round (D27). Without it the act is refused and the municipality gets a
// task, left in a transaction of its own.
func covered(ctx context.Context, tx *pg.Tx, round Round) (municipality.Cover, error) {
	cover, err := municipality.CoverFor(ctx, tx, municipality.PreRunControl, round.ID)
	if err != nil || cover.Basis() != "" {
		return cover, err
	}
	return cover, tx.Instead(problem.Conflict{Code: "instruction_asked"}, func(tx *pg.Tx) error {
		return municipality.AskInstruction(ctx, tx, municipality.PreRunControl, round.ID, round.Number)
	})
}

// Covered answers as every act of the control does when nothing covers it (problem.Conflict "instruction_asked", and the
// municipality's task); nil when the caller may go on. Needs RoundControl.
func Covered(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := tx.Require(access.RoundControl); err != nil {
		return err
	}
	round, err := findRound(ctx, tx, id, "")
	if err == nil {
		_, err = covered(ctx, tx, round)
	}
	return err
}

func started(round Round, account int64) bool {
	return (round.ApprovedBy != nil && *round.ApprovedBy == account) || (round.StartedBy != nil && *round.StartedBy == account)
}

// control is the control itself, by the system: every client of the round is assessed for the run date; what passed is
// ready, what did not is blocked with all its reasons; whoever may not lie in a group at all is taken out; and the spot
// checks are drawn with a stored seed. It may run again: only findings survive.
func control(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := tx.Require(access.RoundSweep); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil || round.State != Proposed || round.ControlAskedAt == nil {
		return err // asked for and meanwhile cancelled, or done already
	}
	if err := assessItems(ctx, tx, round); err != nil {
		return err
	}
	if err := blockDeviating(ctx, tx, id); err != nil {
		return err
	}
	policy, err := municipality.PolicyOf(ctx, tx)
	if err != nil {
		return err
	}
	seed := round.SampleSeed
	if seed == nil {
		fresh := int64(binary.BigEndian.Uint64(uuidBytes())>>1) % 1_000_000 // short enough to be read aloud
		seed = &fresh
	}
	size, err := drawSample(ctx, tx, id, *seed, policy.SpotCheckSize)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE deletion_round r SET sample_seed = $3, sample_size = $4, ready_count = t.ready, population = t.population,
			brake = CASE WHEN t.ready * 100 > t.population * $5::int THEN 'share' END
		FROM (SELECT (SELECT count(*) FROM round_item i WHERE i.municipality_id = $1 AND i.round_id = $2 AND i.state = 'ready') AS ready,
			(SELECT count(*) FROM client c WHERE c.municipality_id = $1) AS population) t
		WHERE r.municipality_id = $1 AND r.id = $2`, tx.Municipality(), id, seed, size, policy.MaxSharePercent)
	if err != nil {
		return err
	}
	event(tx, id, access.RoundSweep, "checked", "", "")
	return nil
}

func uuidBytes() []byte { u := uuid.New(); return u[:8] }

// assessItems asks the pure function about every open item, in pages of a thousand so that memory stays flat, and
// stores the answers set-based.
func assessItems(ctx context.Context, tx *pg.Tx, round Round) error {
	const pageSize = 1000
	last := uuid.Nil
	for {
		rows, err := tx.Query(ctx, `SELECT client_id FROM round_item WHERE municipality_id = $1 AND round_id = $2 AND client_id > $3
			AND state IN ('placed', 'ready', 'blocked') ORDER BY client_id LIMIT $4`, tx.Municipality(), round.ID, last, pageSize)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return nil
		}
		last = ids[len(ids)-1]
		facts, rules, today, zone, err := circumstances(ctx, tx, ids)
		if err != nil {
			return err
		}
		on := today
		if round.RunOn.After(on) {
			on = round.RunOn
		}
		verdicts := map[uuid.UUID]retention.Assessment{}
		for _, f := range facts {
			verdicts[f.Client] = retention.Assess(f, rules, on, zone)
		}
		if err := storeVerdicts(ctx, tx, round, ids, verdicts); err != nil {
			return err
		}
	}
}

func storeVerdicts(ctx context.Context, tx *pg.Tx, round Round, ids []uuid.UUID, verdicts map[uuid.UUID]retention.Assessment) error {
	var ready, out []uuid.UUID
	blocked := map[string]*struct {
		codes []string
		ids   []uuid.UUID
	}{}
	for _, id := range ids {
		a := verdicts[id]
		switch {
		case a.MayGo():
			ready = append(ready, id)
		case a.Has(retention.Reactivated) || unplacedReason(a) != "":
			out = append(out, id)
		default:
			codes := a.Codes()
			key := join(codes)
			if blocked[key] == nil {
				blocked[key] = &struct {
					codes []string
					ids   []uuid.UUID
				}{codes: codes}
			}
			blocked[key].ids = append(blocked[key].ids, id)
		}
	}
	batch := &pgx.Batch{}
	const update = `UPDATE round_item SET state = $4, reasons = $5 WHERE municipality_id = $1 AND round_id = $2 AND client_id = ANY ($3) AND state IN ('placed', 'ready', 'blocked')`
	if len(ready) > 0 {
		batch.Queue(update, tx.Municipality(), round.ID, ready, ItemReady, []string{})
	}
	for _, b := range blocked {
		batch.Queue(update, tx.Municipality(), round.ID, b.ids, ItemBlocked, b.codes)
	}
	if batch.Len() > 0 {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
	}
	for _, id := range out {
		if err := leave(ctx, tx, round, id, verdicts[id]); err != nil {
			return err
		}
	}
	return nil
}

// leave takes one client out of a round that it may not lie in: re-activated, held, or without a date or a rule. A
// re-activated one should have left with its re-activation, so finding it here is an incident (D10); one that left
// meanwhile, while we waited for its lock, is as it should be.
func leave(ctx context.Context, tx *pg.Tx, round Round, id uuid.UUID, a retention.Assessment) error {
	still, err := tx.Exec(ctx, `SELECT FROM round_item WHERE municipality_id = $1 AND round_id = $2 AND client_id = $3
		AND state IN ('placed', 'ready', 'blocked') FOR UPDATE`, tx.Municipality(), round.ID, id)
	if err != nil || still == 0 {
		return err
	}
	reason, unplaced := string(retention.Reactivated), (*string)(nil)
	if a.Has(retention.Reactivated) {
		event(tx, round.ID, access.RoundSweep, "incident", "reactivated_in_list", "")
		audit.Write(tx, access.RoundSweep, audit.Record{Act: "round.incident", Subject: "round", SubjectID: round.Number, Detail: map[string]any{"code": "reactivated_in_list"}})
		if err := privacy.Found(ctx, tx, round.ID, "reactivated_in_list"); err != nil {
			return err
		}
	} else {
		reason = unplacedReason(a)
		unplaced = &reason
	}
	if err := takeOut(ctx, tx, []uuid.UUID{id}, reason, ItemWithdrawn); err != nil {
		return err
	}
	if unplaced == nil {
		return nil
	}
	_, err = tx.Exec(ctx, `UPDATE client SET unplaced_reason = $3 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, unplaced)
	return err
}

func join(codes []string) string {
	var b bytes.Buffer
	for _, c := range codes {
		b.WriteString(c)
		b.WriteByte(' ')
	}
	return b.String()
}

// sampleQuery lists the devices that the round's ready clients had, or that hung at their addresses, and that were
// disconnected: what a person can look for on the shelf.
const sampleQuery = `
SELECT DISTINCT d.id FROM round_item i
JOIN client c ON c.municipality_id = i.municipality_id AND c.id = i.client_id
JOIN device_connection k ON k.municipality_id = c.municipality_id AND (k.client_id = c.id OR k.address_id = c.address_id)
JOIN device d ON d.municipality_id = k.municipality_id AND d.id = k.device_id
WHERE i.municipality_id = $1 AND i.round_id = $2 AND i.state = 'ready' AND k.disconnected_at IS NOT NULL AND d.stock_state <> 'connected'
  AND NOT EXISTS (SELECT FROM spot_check s WHERE s.municipality_id = $1 AND s.round_id = $2 AND s.device_id = d.id)
ORDER BY d.id`

// drawSample adds devices to the sample until it has the wanted size, in an order that only the seed decides. It gives the
// size that the sample then has: fewer when there are not more devices.
func drawSample(ctx context.Context, tx *pg.Tx, round, seed int64, wanted int) (int, error) {
	var have int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM spot_check WHERE municipality_id = $1 AND round_id = $2`, tx.Municipality(), round).Scan(&have); err != nil {
		return 0, err
	}
	if have >= wanted {
		return have, nil
	}
	rows, err := tx.Query(ctx, sampleQuery, tx.Municipality(), round)
	if err != nil {
		return 0, err
	}
	devices, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return 0, err
	}
	//nolint:gosec // the sample must be drawn again by anybody who has the seed, so a secret source would be wrong
	random := rand.New(rand.NewPCG(uint64(seed), uint64(have)))
	random.Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] })
	devices = devices[:min(len(devices), wanted-have)]
	if len(devices) == 0 {
		return have, nil
	}
	_, err = tx.Exec(ctx, `INSERT INTO spot_check (municipality_id, round_id, position, device_id)
		SELECT $1, $2, $3 + n, d FROM unnest($4::uuid[]) WITH ORDINALITY AS t (d, n)`, tx.Municipality(), round, have, devices)
	return have + len(devices), err
}

// SpotChecks lists the round's sample in the order in which it was drawn. Needs RoundRead; each view by support is
// logged under what covers it, and refused when nothing does (problem.Forbidden "no_instruction").
func SpotChecks(ctx context.Context, tx *pg.Tx, round int64) ([]SpotCheck, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	basis := ""
	if tx.Caller.Has(access.Support) {
		cover, err := municipality.CoverFor(ctx, tx, municipality.PreRunControl, round)
		if err != nil {
			return nil, err
		}
		if basis = cover.Basis(); basis == "" {
			return nil, problem.Forbidden{Code: "no_instruction"}
		}
	}
	rows, err := tx.Query(ctx, `SELECT s.position, d.code, d.kind, d.stock_state, s.finding, s.found_at
		FROM spot_check s JOIN device d ON d.municipality_id = s.municipality_id AND d.id = s.device_id
		WHERE s.municipality_id = $1 AND s.round_id = $2 ORDER BY s.position`, tx.Municipality(), round)
	if err != nil {
		return nil, err
	}
	checks, err := pgx.CollectRows(rows, pgx.RowToStructByName[SpotCheck])
	if err == nil && len(checks) > 0 && tx.Caller.Has(access.Support) {
		var number string // by which every other act on the round is found
		if err := tx.QueryRow(ctx, `SELECT number FROM round_directory WHERE round_id = $1`, round).Scan(&number); err != nil {
			return nil, err
		}
		audit.Write(tx, access.RoundControl, audit.Record{Act: "spotcheck.viewed", Subject: "round", SubjectID: number, Detail: map[string]any{"devices": len(checks)}, Basis: basis})
	}
	return checks, err
}

// Find records what a person found (D27). Anything but "in stock" carries the client over and enlarges the sample; the
// system does that next, and such a finding stands: the protocol could not tell otherwise why somebody stayed. "In stock" can
// be corrected until the control is finished. Needs RoundControl; problem.Conflict "finding_stands".
func Find(ctx context.Context, tx *pg.Tx, id int64, position int, finding string) error {
	if err := tx.Require(access.RoundControl); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	if round.State != Proposed || round.ReadyCount == nil {
		return problem.Conflict{Code: "round_step", Params: problem.Params{"state": string(round.State)}}
	}
	if finding != FoundInStock && finding != FoundNot && finding != FoundStillAnswers {
		return problem.InvalidField("finding", "required", nil)
	}
	cover, err := covered(ctx, tx, round)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE spot_check SET finding = $4, found_by = $5, found_at = $6 WHERE municipality_id = $1 AND round_id = $2 AND position = $3
		AND (finding IS NULL OR finding = 'in_stock')`,
		tx.Municipality(), id, position, finding, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	if n == 0 {
		var stands *string
		err := tx.QueryRow(ctx, `SELECT finding FROM spot_check WHERE municipality_id = $1 AND round_id = $2 AND position = $3`, tx.Municipality(), id, position).Scan(&stands)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return problem.NotFound{What: "spot check"}
		case err != nil:
			return err
		case stands != nil && *stands == finding:
			return nil
		}
		return problem.Conflict{Code: "finding_stands", Params: problem.Params{"position": position}}
	}
	audit.Write(tx, access.RoundControl, audit.Record{Act: "spotcheck.found", Subject: "round", SubjectID: round.Number, Detail: map[string]any{"position": position, "finding": finding}, Basis: cover.Basis()})
	if finding != FoundInStock {
		// Until the consequences are drawn the sample has no size, and the control cannot be finished.
		if _, err := tx.Exec(ctx, `UPDATE deletion_round SET sample_size = NULL WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id); err != nil {
			return err
		}
		return tx.Enqueue(ctx, DeviationArgs{RoundID: id})
	}
	return nil
}

// deviation draws the consequences of findings that are not "in stock": whoever had such a device is carried over, and
// the sample grows by five for each. It can run any number of times.
func deviation(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := tx.Require(access.RoundSweep); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil || round.State != Proposed || round.SampleSeed == nil {
		return err
	}
	policy, err := municipality.PolicyOf(ctx, tx)
	if err != nil {
		return err
	}
	var deviations int
	err = tx.QueryRow(ctx, `SELECT count(*) FROM spot_check WHERE municipality_id = $1 AND round_id = $2 AND finding <> 'in_stock'`, tx.Municipality(), id).Scan(&deviations)
	if err != nil {
		return err
	}
	if err := blockDeviating(ctx, tx, id); err != nil {
		return err
	}
	size, err := drawSample(ctx, tx, id, *round.SampleSeed, policy.SpotCheckSize+sampleGrowth*deviations)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE deletion_round SET sample_size = $3, ready_count = (SELECT count(*) FROM round_item i
		WHERE i.municipality_id = $1 AND i.round_id = $2 AND i.state = 'ready') WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, size)
	return err
}

// spotCheckReason is the typed reason of a client that is carried over because of what was found.
const spotCheckReason = "spot_check"

func blockDeviating(ctx context.Context, tx *pg.Tx, round int64) error {
	_, err := tx.Exec(ctx, `UPDATE round_item i SET state = 'blocked', reasons = ARRAY['`+spotCheckReason+`']
		FROM client c JOIN device_connection k ON k.municipality_id = c.municipality_id AND (k.client_id = c.id OR k.address_id = c.address_id)
		JOIN spot_check s ON s.municipality_id = k.municipality_id AND s.device_id = k.device_id AND s.finding <> 'in_stock'
		WHERE i.municipality_id = $1 AND i.round_id = $2 AND i.state = 'ready' AND c.municipality_id = $1 AND c.id = i.client_id
		  AND s.municipality_id = $1 AND s.round_id = $2`, tx.Municipality(), round)
	return err
}

// FinishControl ends the control when every spot check has its finding (problem.Conflict "spot_checks_missing" else).
// Needs RoundControl; the one who finishes it is the one who controlled.
func FinishControl(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := tx.Require(access.RoundControl); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	if round.State != Proposed || round.ReadyCount == nil {
		return problem.Conflict{Code: "round_step", Params: problem.Params{"state": string(round.State)}}
	}
	cover, err := covered(ctx, tx, round)
	if err != nil {
		return err
	}
	var missing, deviations, drawn int
	err = tx.QueryRow(ctx, `SELECT count(*) FILTER (WHERE finding IS NULL), count(*) FILTER (WHERE finding <> 'in_stock'), count(*)
		FROM spot_check WHERE municipality_id = $1 AND round_id = $2`, tx.Municipality(), id).Scan(&missing, &deviations, &drawn)
	if err != nil {
		return err
	}
	if missing > 0 {
		return problem.Conflict{Code: "spot_checks_missing", Params: problem.Params{"missing": missing}}
	}
	if round.SampleSize == nil {
		return problem.Conflict{Code: "spot_checks_growing"}
	}
	_, err = tx.Exec(ctx, `UPDATE deletion_round SET state = 'controlled', state_since = $3, controlled_by = $4, controlled_at = $3
		WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Now(), tx.Caller.Account)
	if err != nil {
		return err
	}
	hand(tx, id, "controlled", 1)
	event(tx, id, access.RoundControl, "controlled", "", "")
	audit.Write(tx, access.RoundControl, audit.Record{Act: "round.controlled", Subject: "round", SubjectID: round.Number, Detail: map[string]any{"spot_checks": drawn, "deviations": deviations}, Basis: cover.Basis()})
	return nil
}
