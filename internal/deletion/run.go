package deletion

import (
	"bytes"
	"context"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// Start starts an approved round. The operator types the round's number, which names the municipality and the date
// (problem.InvalidField "number" else). Refused before the run date (D7), inside the cooling-off period (D14), and for
// anybody who controlled or approved the round (D13); the database refuses the same. Needs RoundOperate and a fresh
// proof of identity.
func Start(ctx context.Context, tx *pg.Tx, id int64, typed string) error {
	if err := tx.RequireFresh(access.RoundOperate); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	if round.State != Approved {
		return problem.Tried(problem.Conflict{Code: "round_step", Params: problem.Params{"state": string(round.State)}})
	}
	if round.CoolingOff(tx.Now()) {
		return problem.Tried(problem.Conflict{Code: "cooling_off", Params: problem.Params{"until": *round.CoolingOffUntil}})
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	if today.Before(round.RunOn) {
		return problem.Tried(problem.Conflict{Code: "before_run_date", Params: problem.Params{"run": round.RunOn}})
	}
	if acted(round, tx.Caller.Account) {
		return problem.Forbidden{Code: "two_acts"}
	}
	if strings.TrimSpace(typed) != round.Number {
		return problem.InvalidField("number", "wrong_number", problem.Params{"number": round.Number})
	}
	_, err = tx.Exec(ctx, `UPDATE deletion_round SET state = 'running', state_since = $3, started_by = $4, started_at = $3
		WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Now(), tx.Caller.Account)
	if err != nil {
		return err
	}
	event(tx, id, access.RoundOperate, "started", "", "")
	audit.Write(tx, access.RoundOperate, audit.Record{Act: "round.started", Subject: "round", SubjectID: round.Number, Basis: approval(round)})
	return tx.Enqueue(ctx, BeginArgs{RoundID: id})
}

// approval is what covers the operator's acts: the municipality approved exactly this round.
func approval(round Round) string { return "approval:" + round.Number }

func acted(round Round, account int64) bool {
	return (round.ApprovedBy != nil && *round.ApprovedBy == account) || (round.ControlledBy != nil && *round.ControlledBy == account)
}

// Pause stops a running round between two chunks. What is deleted stays deleted. Needs RoundOperate.
func Pause(ctx context.Context, tx *pg.Tx, id int64) error {
	return turn(ctx, tx, id, Running, Paused, "paused")
}

// Resume lets a paused round go on; problem.Conflict when a brake stands that no approver lifted (D16), or after an
// incident. Needs RoundOperate.
func Resume(ctx context.Context, tx *pg.Tx, id int64) error {
	return turn(ctx, tx, id, Paused, Running, "resumed")
}

func turn(ctx context.Context, tx *pg.Tx, id int64, from, to State, act string) error {
	if err := tx.Require(access.RoundOperate); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil {
		return err
	}
	switch {
	case round.State != from:
		return problem.Conflict{Code: "round_step", Params: problem.Params{"state": string(round.State)}}
	case to == Running && round.Incident != nil:
		return problem.Tried(problem.Conflict{Code: "incident"})
	case to == Running && round.Braked():
		return problem.Tried(problem.Conflict{Code: "braked"})
	}
	if err := moveTo(ctx, tx, id, to); err != nil {
		return err
	}
	event(tx, id, access.RoundOperate, act, "", "")
	audit.Write(tx, access.RoundOperate, audit.Record{Act: "round." + act, Subject: "round", SubjectID: round.Number, Basis: approval(round)})
	if to == Running {
		return tx.Enqueue(ctx, BeginArgs{RoundID: id})
	}
	return nil
}

// Progress is how far a round has come, counted from its items.
type Progress struct {
	Frozen       int // approved
	Settled      int // purged, carried over or withdrawn since
	Purged       int
	Chunks       int
	ChunksDone   int
	BlobsPending int // not filled for the operator
}

// ProgressOf counts. Needs RoundRead.
func ProgressOf(ctx context.Context, tx *pg.Tx, id int64) (Progress, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return Progress{}, err
	}
	outcomes, err := Tally(ctx, tx, id)
	if err != nil {
		return Progress{}, err
	}
	var p Progress
	for _, o := range outcomes {
		if o.Frozen {
			p.Frozen += o.Items
			if o.State != ItemReady {
				p.Settled += o.Items
			}
		}
		if o.State == ItemPurged {
			p.Purged += o.Items
		}
	}
	err = tx.QueryRow(ctx, `SELECT count(*), count(done_at) FROM round_chunk WHERE municipality_id = $1 AND round_id = $2`, tx.Municipality(), id).
		Scan(&p.Chunks, &p.ChunksDone)
	if err == nil && !tx.Caller.Blind() {
		err = tx.QueryRow(ctx, `SELECT coalesce(sum(cardinality(pending)), 0) FROM blob_deletion WHERE municipality_id = $1 AND round_id = $2`, tx.Municipality(), id).
			Scan(&p.BlobsPending)
	}
	return p, err
}

// begin verifies the frozen set, puts the brakes on where they belong, and wakes a worker for each chunk that is not
// done. It runs at the start, at each resume, and from the sweep after a crash: any number of times is right.
func begin(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := tx.Require(access.RoundSweep); err != nil {
		return err
	}
	round, err := lockRound(ctx, tx, id)
	if err != nil || round.State != Running {
		return err
	}
	_, _, hash, err := hashFrozen(ctx, tx, round, nil)
	if err != nil {
		return err
	}
	if !bytes.Equal(hash, round.ApprovedHash) {
		return stop(ctx, tx, round, "incident", "list_changed")
	}
	policy, err := municipality.PolicyOf(ctx, tx)
	if err != nil {
		return err
	}
	brake, err := brakeOf(ctx, tx, round, policy)
	if err != nil {
		return err
	}
	if brake != "" {
		return stop(ctx, tx, round, "brake", brake)
	}
	if err := client.RememberNumbers(ctx, tx); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT chunk FROM round_chunk WHERE municipality_id = $1 AND round_id = $2 AND done_at IS NULL ORDER BY chunk`, tx.Municipality(), id)
	if err != nil {
		return err
	}
	chunks, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return err
	}
	jobs := make([]river.JobArgs, 0, len(chunks)+1)
	for _, chunk := range chunks {
		jobs = append(jobs, ChunkArgs{RoundID: id, Chunk: chunk})
	}
	if len(chunks) == 0 {
		jobs = append(jobs, FinishArgs{RoundID: id})
	}
	return tx.Enqueue(ctx, jobs...)
}

// brakeOf looks at a running round: more than the allowed share of the municipality's clients, more than was approved,
// or too many failures (D16). A brake that an approver has lifted does not come on again; accepting a large share does
// not lift the others.
func brakeOf(ctx context.Context, tx *pg.Tx, round Round, policy municipality.Policy) (string, error) {
	var purged, failed, handled, clients int
	err := tx.QueryRow(ctx, `SELECT coalesce(sum(purged), 0), coalesce(sum(failed), 0), coalesce(sum(size), 0) FROM round_chunk
		WHERE municipality_id = $1 AND round_id = $2 AND done_at IS NOT NULL`, tx.Municipality(), round.ID).Scan(&purged, &failed, &handled)
	if err != nil {
		return "", err
	}
	err = tx.QueryRow(ctx, `SELECT count(*) FROM client WHERE municipality_id = $1`, tx.Municipality()).Scan(&clients)
	if err != nil {
		return "", err
	}
	approved := value(round.ApprovedCount)
	population := max(value(round.Population), clients+purged)
	lifted := func(code string) bool {
		return round.BrakeLiftedBy != nil && round.Brake != nil && *round.Brake == code
	}
	switch {
	case purged > approved && !lifted("more_than_approved"):
		return "more_than_approved", nil
	case handled > 0 && failed*100 > handled*policy.MaxErrorPercent && !lifted("errors"):
		return "errors", nil
	case approved*100 > population*policy.MaxSharePercent && round.BrakeLiftedBy == nil: // the first to come on, if at all
		return "share", nil
	}
	return "", nil
}

// stop pauses a running round because of an incident or a brake, and says so to municipality and processor.
func stop(ctx context.Context, tx *pg.Tx, round Round, what, code string) error {
	set := "brake = $4, brake_lifted_by = NULL"
	if what == "incident" {
		set = "incident = $4"
	}
	_, err := tx.Exec(ctx, `UPDATE deletion_round SET state = 'paused', state_since = $3, `+set+` WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), round.ID, tx.Now(), code)
	event(tx, round.ID, access.RoundSweep, what, code, "")
	audit.Write(tx, access.RoundSweep, audit.Record{Act: "round." + what, Subject: "round", SubjectID: round.Number, Detail: map[string]any{"code": code}})
	if err != nil || what != "incident" {
		return err
	}
	return privacy.Found(ctx, tx, round.ID, code) // an incident may be a deviation (T25): somebody looks at it
}

// today is the municipality's day of this transaction, for expiry dates.
func today(ctx context.Context, tx *pg.Tx) (calendar.Date, error) { return municipality.Today(ctx, tx) }
