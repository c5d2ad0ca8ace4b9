package deletion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Sweep is what the hourly tick does. It decides nothing by itself: rows are due or not, and whatever was missed is made
// up for. For each municipality, in its own transactions: the calendar reaches four quarters ahead; inactive clients
// without a group get one as soon as they can; a round within LeadDays of its date is proposed; a round that was not
// started by the next run date lapses; rounds that run are woken; what has expired is dropped; the logs are tended. One municipality's trouble
// does not keep the others waiting; all errors come back joined.
func Sweep(ctx context.Context, db *pg.DB) error {
	var all []municipality.Municipality
	err := db.InTx(ctx, access.SystemFor(0), func(tx *pg.Tx) (err error) {
		all, err = municipality.List(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	var problems []error
	err = db.InTx(ctx, access.SystemFor(0), func(tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM idempotency WHERE created_at < $1`, tx.Now().Add(-24*time.Hour))
		return err
	})
	if err != nil {
		problems = append(problems, err)
	}
	for _, m := range all {
		for _, step := range []func(context.Context, *pg.Tx) error{keepCalendar, placeForgotten, lapseOld, proposeDue, wake, expire, privacy.Expire, client.DropEmptyDwellings} {
			if err := db.InTx(ctx, access.SystemFor(m.ID), func(tx *pg.Tx) error { return step(ctx, tx) }); err != nil {
				problems = append(problems, fmt.Errorf("municipality %d: %w", m.ID, err))
			}
		}
	}
	for _, m := range append(all, municipality.Municipality{}) {
		if err := tendLogs(ctx, db, m); err != nil {
			problems = append(problems, fmt.Errorf("logs of municipality %d: %w", m.ID, err))
		}
	}
	return errors.Join(problems...)
}

func keepCalendar(ctx context.Context, tx *pg.Tx) error {
	return ensureGroups(ctx, tx, calendar.Date{})
}

// placeForgotten looks again at inactive clients that lie in no group: a rule may have come, a date may be known.
func placeForgotten(ctx context.Context, tx *pg.Tx) error {
	const pageSize = 1000
	last := uuid.Nil
	for {
		rows, err := tx.Query(ctx, `SELECT id FROM client WHERE municipality_id = $1 AND unplaced_reason IS NOT NULL AND id > $2
			ORDER BY id LIMIT $3 FOR NO KEY UPDATE`, tx.Municipality(), last, pageSize)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil || len(ids) == 0 {
			return err
		}
		last = ids[len(ids)-1]
		if err := place(ctx, tx, ids, "system"); err != nil {
			return err
		}
	}
}

func scheduledIn(ctx context.Context, tx *pg.Tx, before calendar.Date, states ...State) ([]Round, error) {
	rows, err := tx.Query(ctx, `SELECT `+roundColumns+` FROM deletion_round WHERE municipality_id = $1 AND kind = 'scheduled' AND run_on <= $2 AND state = ANY ($3)
		ORDER BY run_on`, tx.Municipality(), before, states)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Round])
}

// proposeDue proposes every round whose date is near.
func proposeDue(ctx context.Context, tx *pg.Tx) error {
	day, err := today(ctx, tx)
	if err != nil {
		return err
	}
	rounds, err := scheduledIn(ctx, tx, day.AddDays(LeadDays), Open)
	if err != nil {
		return err
	}
	for _, r := range rounds {
		locked, err := lockRound(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		if locked.State == Open {
			if err := propose(ctx, tx, locked); err != nil {
				return err
			}
		}
	}
	return nil
}

// propose closes the group and assesses everybody in it for the run date. The caller holds the round.
func propose(ctx context.Context, tx *pg.Tx, round Round) error {
	rules, err := retention.LoadRules(ctx, tx)
	if err != nil {
		return err
	}
	versions, err := json.Marshal(rules.Versions())
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE deletion_round SET state = 'proposed', state_since = $3, proposed_at = $3, rule_versions = $4,
		population = (SELECT count(*) FROM client WHERE municipality_id = $1) WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), round.ID, tx.Now(), versions)
	if err != nil {
		return err
	}
	if err := assessItems(ctx, tx, round); err != nil {
		return err
	}
	event(tx, round.ID, access.RoundSweep, "proposed", "", "")
	audit.Write(tx, access.RoundSweep, audit.Record{Act: "round.proposed", Subject: "round", SubjectID: round.Number})
	return nil
}

// lapseOld gives up on scheduled rounds that were not started by the next run date, and on extra ones that were not a
// quarter after theirs: every client moves on with the reason not_run, and it is reported (D11).
func lapseOld(ctx context.Context, tx *pg.Tx) error {
	day, err := today(ctx, tx)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT `+roundColumns+` FROM deletion_round WHERE municipality_id = $1 AND run_on <= $2
		AND state IN ('open', 'proposed', 'controlled', 'approved') ORDER BY run_on`, tx.Municipality(), day)
	if err != nil {
		return err
	}
	rounds, err := pgx.CollectRows(rows, pgx.RowToStructByName[Round])
	if err != nil {
		return err
	}
	for _, r := range rounds {
		next := r.RunOn.AddDays(1).QuarterOnOrAfter()
		if r.Kind == "extra" {
			next = r.RunOn.AddMonths(3)
		}
		if day.Before(next) {
			continue
		}
		locked, err := lockRound(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		if err := carryOver(ctx, tx, locked, carryNotRun); err != nil {
			return err
		}
		if err := moveTo(ctx, tx, r.ID, Lapsed); err != nil {
			return err
		}
		event(tx, r.ID, access.RoundSweep, "lapsed", "not_run", "")
		audit.Write(tx, access.RoundSweep, audit.Record{Act: "round.lapsed", Subject: "round", SubjectID: r.Number})
	}
	return nil
}

// wake asks the workers again for every round that should be moving: after a crash, a lost job or a discarded one. All
// these jobs may run any number of times.
func wake(ctx context.Context, tx *pg.Tx) error {
	rows, err := tx.Query(ctx, `SELECT `+roundColumns+` FROM deletion_round WHERE municipality_id = $1 AND
		(state IN ('running', 'verifying') OR (state = 'proposed' AND control_asked_at IS NOT NULL AND (ready_count IS NULL OR sample_size IS NULL)) OR (state = 'open' AND kind = 'extra'))
		ORDER BY id`, tx.Municipality())
	if err != nil {
		return err
	}
	rounds, err := pgx.CollectRows(rows, pgx.RowToStructByName[Round])
	if err != nil {
		return err
	}
	for _, r := range rounds {
		switch r.State {
		case Running:
			if err = reorderBlobs(ctx, tx, r.ID); err == nil {
				err = tx.Enqueue(ctx, BeginArgs{RoundID: r.ID})
			}
		case Verifying:
			if err = reorderBlobs(ctx, tx, r.ID); err == nil {
				err = tx.Enqueue(ctx, FinishArgs{RoundID: r.ID})
			}
		case Proposed:
			if r.ReadyCount == nil {
				err = tx.Enqueue(ctx, ControlArgs{RoundID: r.ID})
			} else {
				err = tx.Enqueue(ctx, DeviationArgs{RoundID: r.ID})
			}
		case Open:
			err = tx.Enqueue(ctx, FillArgs{RoundID: r.ID})
		default:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func reorderBlobs(ctx context.Context, tx *pg.Tx, round int64) error {
	rows, err := tx.Query(ctx, `SELECT batch FROM blob_deletion WHERE municipality_id = $1 AND round_id = $2 AND pending <> '{}' ORDER BY batch`, tx.Municipality(), round)
	if err != nil {
		return err
	}
	batches, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	for _, b := range batches {
		if err := tx.Enqueue(ctx, BlobArgs{RoundID: round, Batch: b}); err != nil {
			return err
		}
	}
	return nil
}

// expire drops what has outlived its own rule (D4, D28).
func expire(ctx context.Context, tx *pg.Tx) error {
	day, err := today(ctx, tx)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(`DELETE FROM purged_registration WHERE municipality_id = $1 AND expires_on <= $2`, tx.Municipality(), day)
	batch.Queue(`DELETE FROM access_subject WHERE municipality_id = $1 AND expires_on <= $2`, tx.Municipality(), day)
	batch.Queue(`DELETE FROM rights_former WHERE municipality_id = $1 AND expires_on <= $2`, tx.Municipality(), day) // of rights, which lies above
	batch.Queue(`DELETE FROM import_refusal r USING import_run i WHERE r.municipality_id = $1 AND i.municipality_id = $1 AND i.id = r.import_id AND i.expires_on <= $2`, tx.Municipality(), day)
	batch.Queue(`DELETE FROM import_run WHERE municipality_id = $1 AND expires_on <= $2`, tx.Municipality(), day)
	batch.Queue(`DELETE FROM stored_search WHERE municipality_id = $1 AND created_at < $2`, tx.Municipality(), tx.Now().AddDate(0, 0, -1))
	return tx.SendBatch(ctx, batch).Close()
}

// Alarm is something that a person must look at: a round that should have moved and did not.
type Alarm struct {
	Code   string // overdue, lapsed, braked, incident, nothing_deleted, verifying_long
	Number string
	RunOn  calendar.Date
}

// Alarms lists what is wrong with the municipality's rounds: due and not started, stopped by a brake or an incident, long
// in verification, or finished with candidates and nobody deleted. Needs RoundRead.
func Alarms(ctx context.Context, tx *pg.Tx) ([]Alarm, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	rounds, err := Rounds(ctx, tx)
	if err != nil {
		return nil, err
	}
	day, err := today(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT c.round_id FROM round_chunk c JOIN deletion_round r ON r.municipality_id = c.municipality_id AND r.id = c.round_id
		WHERE c.municipality_id = $1 AND r.state = 'finished' GROUP BY c.round_id HAVING sum(c.purged) > 0`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	deleted, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, err
	}
	var alarms []Alarm
	for _, r := range rounds {
		nothing := value(r.ReadyCount) > 0 && !slices.Contains(deleted, r.ID)
		if code := alarmOf(r, nothing, day, tx.Now()); code != "" {
			alarms = append(alarms, Alarm{code, r.Number, r.RunOn})
		}
	}
	return alarms, nil
}

// AlarmsEverywhere is Alarms for every municipality: what the platform administrator watches. Numbers, dates and codes. A
// round is late here when its day is over everywhere. Needs JobRead and a caller who works across municipalities.
func AlarmsEverywhere(ctx context.Context, tx *pg.Tx) ([]Alarm, error) {
	if err := tx.Require(access.JobRead); err != nil {
		return nil, err
	}
	lines, err := board(ctx, tx, Proposed, Controlled, Approved, Running, Paused, Verifying, Finished, Lapsed)
	if err != nil {
		return nil, err
	}
	day := calendar.DateOf(tx.Now().UTC()).AddDays(-1)
	var alarms []Alarm
	for _, l := range lines {
		r := Round{State: l.State, StateSince: l.StateSince, RunOn: l.RunOn, Brake: l.Brake, Incident: l.Incident}
		if l.BrakeLifted {
			r.BrakeLiftedBy = new(int64)
		}
		if code := alarmOf(r, l.Frozen > 0 && l.Purged == 0, day, tx.Now()); code != "" {
			alarms = append(alarms, Alarm{code, l.Number, l.RunOn})
		}
	}
	return alarms, nil
}

// alarmOf is what is wrong with a round on a day; empty when nothing is. nothing: there was somebody to delete, and nobody
// was.
func alarmOf(r Round, nothing bool, day calendar.Date, now time.Time) string {
	switch {
	case r.Incident != nil && r.State == Paused:
		return "incident"
	case r.Braked() && r.State == Paused:
		return "braked"
	case r.State == Lapsed && day.DaysSince(r.RunOn) < 200:
		return "lapsed"
	case r.State == Verifying && now.Sub(r.StateSince).Hours() > 1:
		return "verifying_long"
	case r.State == Finished && nothing && day.DaysSince(r.RunOn) < 200:
		return "nothing_deleted"
	case (r.State == Proposed || r.State == Controlled || r.State == Approved) && r.RunOn.Before(day):
		return "overdue"
	}
	return ""
}
