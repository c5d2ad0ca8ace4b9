package rights

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

func keys(m map[string]any) iter.Seq[string] { return maps.Keys(m) }

func itoa(n int) string { return strconv.Itoa(n) }

// step reads the request under lock and refuses what does not follow from its state.
func step(ctx context.Context, tx *pg.Tx, id uuid.UUID, from ...State) (Request, error) {
	r, err := hold(ctx, tx, id)
	if err != nil {
		return r, err
	}
	if !slices.Contains(from, r.State) {
		return r, problem.Conflict{Code: "rights_step", Params: problem.Params{"state": string(r.State)}}
	}
	return r, nil
}

// Preparation is what a caseworker lays before the approver.
type Preparation struct {
	Answer            string // what the person is told; required but for access
	Recipients        string // rectification: who was told of it (GDPR 19)
	Statement         string // rectification: the person's own words, for the case that it is refused
	RestrictionGround string // restriction: one of RestrictionGrounds
}

// Prepare lays the answer before an approver. Needs RightsPrepare; problem.Invalid, problem.Conflict "rights_step".
func Prepare(ctx context.Context, tx *pg.Tx, id uuid.UUID, p Preparation) error {
	if err := tx.Require(access.RightsPrepare); err != nil {
		return err
	}
	r, err := step(ctx, tx, id, Received)
	if err != nil {
		return err
	}
	var wrong problem.Collector
	wrong.Words("answer", &p.Answer, most, r.Kind != Access)
	wrong.Words("recipients", &p.Recipients, most, false)
	wrong.Words("statement", &p.Statement, most, false)
	var ground *string
	if r.Kind == Restriction {
		if !slices.Contains(RestrictionGrounds, p.RestrictionGround) {
			wrong.Add("restriction_ground", "required", nil)
		}
		ground = &p.RestrictionGround
	}
	if r.Kind != Rectification {
		p.Recipients, p.Statement = "", ""
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	r.audit(tx, access.RightsPrepare, "prepared", nil)
	return r.set(ctx, tx, map[string]any{
		"state": Prepared, "prepared_by": tx.Caller.Account, "prepared_at": tx.Now(), "answer": p.Answer, "recipients": p.Recipients, "statement": p.Statement,
		"restriction_ground": ground, "remark": "",
	})
}

// Return sends a prepared request back to the caseworker. Needs RightsRelease; problem.Invalid of "remark".
func Return(ctx context.Context, tx *pg.Tx, id uuid.UUID, remark string) error {
	if err := tx.Require(access.RightsRelease); err != nil {
		return err
	}
	r, err := step(ctx, tx, id, Prepared)
	if err != nil {
		return err
	}
	var wrong problem.Collector
	wrong.Words("remark", &remark, most, !r.Former)
	if err := wrong.Err(); err != nil {
		return err
	}
	r.audit(tx, access.RightsRelease, "returned", nil)
	return r.set(ctx, tx, map[string]any{"state": Received, "remark": remark})
}

// Extend gives two months more, for one of the two reasons that the regulation knows, when the person was told within the
// first month (GDPR 12(3)). Once. Needs RightsPrepare; problem.Invalid of "extension_reason" and "told_on".
func Extend(ctx context.Context, tx *pg.Tx, id uuid.UUID, reason string, told calendar.Date) error {
	if err := tx.Require(access.RightsPrepare); err != nil {
		return err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	r, err := step(ctx, tx, id, Received, Prepared)
	if err != nil {
		return err
	}
	if r.ExtensionReason != "" {
		return problem.Conflict{Code: "extended_already"}
	}
	var wrong problem.Collector
	if !slices.Contains(ExtensionReasons, reason) {
		wrong.Add("extension_reason", "required", nil)
	}
	switch {
	case told.IsZero():
		wrong.Add("told_on", "required", nil)
	case told.After(today):
		wrong.Add("told_on", "future", nil)
	case told.Before(r.ReceivedOn):
		wrong.Add("told_on", "before_request", problem.Params{"received": r.ReceivedOn})
	case told.After(r.DueOn):
		wrong.Add("told_on", "told_too_late", problem.Params{"due": r.DueOn})
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	r.audit(tx, access.RightsPrepare, "extended", map[string]any{"reason": reason})
	return r.set(ctx, tx, map[string]any{"extension_reason": reason, "extension_told_on": told, "due_on": Due(r.ReceivedOn, true)})
}

// Withdraw notes that the person does not ask any more; nothing keeps the client any longer. Needs RightsPrepare.
func Withdraw(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if err := tx.Require(access.RightsPrepare); err != nil {
		return err
	}
	r, err := step(ctx, tx, id, Received, Prepared)
	if err != nil {
		return err
	}
	r.audit(tx, access.RightsPrepare, "withdrawn", nil)
	if err := r.set(ctx, tx, map[string]any{"state": Withdrawn}); err != nil || r.Former {
		return err
	}
	return deletion.LetGo(ctx, tx, *r.ClientID)
}

// decide is the beginning of both decisions: by an approver who did not prepare (D13).
func decide(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Request, calendar.Date, error) {
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return Request{}, today, err
	}
	r, err := step(ctx, tx, id, Prepared)
	if errors.As(err, new(problem.Conflict)) {
		err = problem.Tried(err)
	}
	if err == nil && r.PreparedBy != nil && *r.PreparedBy == tx.Caller.Account {
		err = problem.Forbidden{Code: "own_preparation"}
	}
	return r, today, err
}

// clock is what of the clock is worth counting when the person is gone.
func (r Request) clock(today calendar.Date) map[string]any {
	return map[string]any{"days": today.DaysSince(r.ReceivedOn), "late": today.After(r.DueOn)}
}

// Release gives the person what was prepared: the extract can be made (access), what was corrected is listed
// (rectification), each class's date is told (erasure), the objection is upheld, or the record is restricted. Whoever was
// kept by the request is let go. run is the day of an extra run that is asked for with an erasure; zero for none (D17).
// Needs RightsRelease and a fresh proof of identity; problem.Forbidden "own_preparation" for whoever prepared it,
// problem.Conflict "rights_step" or "nothing_corrected", problem.Invalid of what the extra run's day is refused for.
func Release(ctx context.Context, tx *pg.Tx, id uuid.UUID, run calendar.Date) error {
	if err := tx.RequireFresh(access.RightsRelease); err != nil {
		return err
	}
	r, today, err := decide(ctx, tx, id)
	if err != nil {
		return err
	}
	change := map[string]any{"state": Released, "decided_by": tx.Caller.Account, "decided_at": tx.Now()}
	switch r.Kind {
	case Access, Objection, Restriction:
	case Rectification:
		corrected, err := Corrected(ctx, tx, r)
		if err != nil {
			return err
		}
		if len(corrected) == 0 {
			return problem.Conflict{Code: "nothing_corrected"}
		}
		change["corrected"] = corrected
	case Erasure:
		if change["outcome"], err = ErasureAnswer(ctx, tx, *r.ClientID); err != nil {
			return err
		}
		if !run.IsZero() {
			if _, err := deletion.AskOrder(ctx, tx, deletion.NewOrder{Scope: "selected", Clients: []uuid.UUID{*r.ClientID}, Reason: "other", Reference: r.Reference, RunOn: run}); err != nil {
				return err
			}
		}
	}
	r.audit(tx, access.RightsRelease, "released", r.clock(today))
	if err := r.set(ctx, tx, change); err != nil || r.Former {
		return err
	}
	if r.Kind == Restriction {
		if err := client.SetRestricted(ctx, tx, *r.ClientID, true); err != nil {
			return err
		}
		return deletion.Keep(ctx, tx, *r.ClientID, retention.Restricted)
	}
	return deletion.LetGo(ctx, tx, *r.ClientID)
}

// Refusal is a refusal with its ground in law and in words.
type Refusal struct {
	Ground   string // one of RefusalGrounds of the kind
	Decision string // what the person is told
}

// Refuse refuses what was prepared, with the ground. The person's own statement about what is not corrected is kept as a
// note on the record. Whoever was kept by the request is let go. Needs RightsRelease and a fresh proof of identity;
// problem.Forbidden "own_preparation", problem.Invalid, problem.Conflict "rights_step".
func Refuse(ctx context.Context, tx *pg.Tx, id uuid.UUID, f Refusal) error {
	if err := tx.RequireFresh(access.RightsRelease); err != nil {
		return err
	}
	r, today, err := decide(ctx, tx, id)
	if err != nil {
		return err
	}
	var wrong problem.Collector
	if !slices.Contains(refusals[r.Kind], f.Ground) {
		wrong.Add("refusal_ground", "required", nil)
	}
	wrong.Words("decision", &f.Decision, most, !r.Former)
	if err := wrong.Err(); err != nil {
		return err
	}
	change := map[string]any{"state": Refused, "decided_by": tx.Caller.Account, "decided_at": tx.Now(), "refusal_ground": f.Ground, "decision": f.Decision}
	if r.Kind == Erasure {
		if change["outcome"], err = ErasureAnswer(ctx, tx, *r.ClientID); err != nil {
			return err
		}
	}
	more := r.clock(today)
	more["ground"] = f.Ground
	r.audit(tx, access.RightsRelease, "refused", more)
	if err := r.set(ctx, tx, change); err != nil || r.Former {
		return err
	}
	if r.Kind == Rectification && r.Statement != "" {
		if err := client.Attach(ctx, tx, *r.ClientID, r.Statement); err != nil {
			return err
		}
	}
	return deletion.LetGo(ctx, tx, *r.ClientID)
}

// Lift ends a restriction. The person is told before it ends (GDPR 18(3)): told is the day on which that was done. Needs
// RightsRelease and a fresh proof of identity; problem.Invalid, problem.Conflict "not_restricted".
func Lift(ctx context.Context, tx *pg.Tx, id uuid.UUID, told calendar.Date, reason string) error {
	if err := tx.RequireFresh(access.RightsRelease); err != nil {
		return err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	r, err := hold(ctx, tx, id)
	if err != nil {
		return err
	}
	if !r.Restricts() {
		return problem.Conflict{Code: "not_restricted"}
	}
	zone, err := municipality.Zone(ctx, tx)
	if err != nil {
		return err
	}
	var wrong problem.Collector
	switch {
	case told.IsZero():
		wrong.Add("told_on", "required", nil)
	case told.After(today):
		wrong.Add("told_on", "future", nil)
	case told.Before(calendar.DateOf(r.DecidedAt.In(zone))):
		wrong.Add("told_on", "before_restriction", problem.Params{"since": calendar.DateOf(r.DecidedAt.In(zone))})
	}
	wrong.Words("lift_reason", &reason, most, true)
	if err := wrong.Err(); err != nil {
		return err
	}
	r.audit(tx, access.RightsRelease, "lifted", nil)
	if err := r.set(ctx, tx, map[string]any{"told_on": told, "lift_reason": reason, "lifted_by": tx.Caller.Account, "lifted_at": tx.Now()}); err != nil {
		return err
	}
	if err := client.SetRestricted(ctx, tx, *r.ClientID, false); err != nil {
		return err
	}
	return deletion.LetGo(ctx, tx, *r.ClientID)
}

// Corrected names the fields of the record that were changed since the request came, by the client's own history (D25).
func Corrected(ctx context.Context, tx *pg.Tx, r Request) ([]string, error) {
	if err := tx.Require(access.RightsRead); err != nil {
		return nil, err
	}
	if r.ClientID == nil {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `SELECT DISTINCT field FROM client_change WHERE municipality_id = $1 AND client_id = $2 AND at >= $3
		AND field NOT IN ('reviewed_on', 'next_review_on', 'restricted') ORDER BY field`, tx.Municipality(), r.ClientID, r.ReceivedAt)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// ErasureAnswer tells for each class of the client's data when it goes, and by which rule, or what keeps it (D17, D18):
// the same assessment that the purge asks. Needs RightsPrepare or RightsRelease.
func ErasureAnswer(ctx context.Context, tx *pg.Tx, id client.ID) ([]ClassAnswer, error) {
	if !tx.Caller.Can(access.RightsRelease) {
		if err := tx.Require(access.RightsPrepare); err != nil {
			return nil, err
		}
	}
	var place deletion.Placement
	var rules retention.Rules
	err := tx.Together(ctx,
		func() (err error) { place, err = deletion.PlacementOf(ctx, tx, id); return err },
		func() (err error) { rules, err = retention.LoadRules(ctx, tx); return err },
	)
	if err != nil {
		return nil, err
	}
	return answersOf(place, rules), nil
}

func answersOf(place deletion.Placement, rules retention.Rules) []ClassAnswer {
	a := place.Assessment
	due := map[retention.Class]retention.ClassDate{}
	for _, d := range a.Classes {
		due[d.Class] = d
	}
	var answers []ClassAnswer
	for _, class := range retention.ClientClasses {
		rule := rules[class]
		answer := ClassAnswer{Class: class, Months: rule.PeriodMonths, Days: rule.PeriodDays, Authority: rule.Authority, DueOn: due[class].DueOn}
		for _, b := range a.Blockers {
			if b.Code != retention.TooEarly && (b.Class == "" || b.Class == class) && !slices.Contains(answer.Kept, string(b.Code)) {
				answer.Kept = append(answer.Kept, string(b.Code))
			}
		}
		if place.Round != nil && len(answer.Kept) == 0 {
			answer.RunOn = place.Round.RunOn
		}
		answers = append(answers, answer)
	}
	return answers
}
