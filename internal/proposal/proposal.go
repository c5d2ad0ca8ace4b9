// Package proposal holds the four eyes (ADR 7): one person proposes a change of roles, address ranges, rules or policies,
// and another decides. It knows who may decide and that it is decided once; what is changed is the business of the package
// that owns it, which applies an accepted proposal in the same transaction.
package proposal

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// Kind is what is to be changed.
type Kind string

// The kinds. Account applies roles, ranges and enable; retention applies rule; municipality applies policy.
const (
	Roles  Kind = "roles"
	Ranges Kind = "ranges"
	Rule   Kind = "rule"
	Policy Kind = "policy"
	Enable Kind = "enable"
)

// Outcome is what became of a proposal.
type Outcome string

// Accepted and Rejected are another person's; Withdrawn is its maker's, or of an account that was disabled.
const (
	Accepted  Outcome = "accepted"
	Rejected  Outcome = "rejected"
	Withdrawn Outcome = "withdrawn"
	Expired   Outcome = "expired"
)

// lifetime is how long a proposal waits. After that the one who wants it proposes anew, knowing what is so then.
const lifetime = 30 * 24 * time.Hour

// Proposal is one, pending as long as Outcome is nil.
type Proposal struct {
	ID         int64
	Kind       Kind
	Subject    string // an account's id, a network, a class, or "policy"
	About      *int64 // the account that it concerns
	Payload    json.RawMessage
	ProposedBy int64
	ProposedAt time.Time
	ExpiresAt  time.Time
	DecidedBy  *int64
	DecidedAt  *time.Time
	Outcome    *Outcome
}

// Mine reports whether the account may not decide on it: it made it, or it is about it.
func (p Proposal) Mine(account int64) bool {
	return p.ProposedBy == account || p.About != nil && *p.About == account
}

// athome refuses whoever works for processor or supplier and stands in a municipality: its changes are its own people's.
func athome(tx *pg.Tx, p access.Permission) error {
	if tx.Caller.Blind() && tx.Municipality() != 0 {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(p)}}
	}
	return tx.Require(p)
}

const columns = `id, kind, subject, about, payload, proposed_by, proposed_at, expires_at, decided_by, decided_at, outcome`

// Municipal refuses whoever works for processor or supplier: they propose for their own, and rules and terms are a
// municipality's.
func Municipal(tx *pg.Tx) error {
	if tx.Caller.Blind() {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.ProposalMake)}}
	}
	return tx.RequireFresh(access.ProposalMake)
}

// Make proposes. payload is kept as JSON: codes and numbers. about is the account that it concerns, 0 for none. Nobody
// proposes anything for themselves (problem.Forbidden, about_yourself), and nothing twice (problem.Conflict,
// proposal_waits).
func Make(ctx context.Context, tx *pg.Tx, kind Kind, subject string, about int64, payload any) (int64, error) {
	if err := tx.RequireFresh(access.ProposalMake); err != nil {
		return 0, err
	}
	if err := athome(tx, access.ProposalMake); err != nil {
		return 0, err
	}
	if about == tx.Caller.Account {
		return 0, problem.Forbidden{Code: "about_yourself"}
	}
	raw, err := json.Marshal(payload)
	if err != nil {
		return 0, err
	}
	// What nobody decided in time makes room for the same again.
	if _, err := tx.Exec(ctx, `UPDATE proposal SET outcome = 'expired', decided_at = $4 WHERE municipality_id = $1 AND kind = $2 AND subject = $3
		AND outcome IS NULL AND expires_at <= $4`, tx.Municipality(), kind, subject, tx.Now()); err != nil {
		return 0, err
	}
	var concerned *int64
	if about != 0 {
		concerned = &about
	}
	rows, err := tx.Query(ctx, `INSERT INTO proposal (municipality_id, kind, subject, about, payload, proposed_by, proposed_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (municipality_id, kind, subject) WHERE outcome IS NULL DO NOTHING RETURNING id`,
		tx.Municipality(), kind, subject, concerned, raw, tx.Caller.Account, tx.Now(), tx.Now().Add(lifetime))
	if err != nil {
		return 0, err
	}
	made, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, err
	}
	if len(made) == 0 {
		return 0, problem.Conflict{Code: "proposal_waits"}
	}
	record(tx, access.ProposalMake, "proposed", Proposal{ID: made[0], Kind: kind, Subject: subject})
	return made[0], nil
}

// Accept decides for the proposal and lets the package that owns what is changed apply it, in this transaction. It is
// refused (problem.Forbidden) to whoever made it (own_proposal) and to whom it concerns (about_yourself), and too late
// (problem.Conflict, proposal_settled) when it is decided or has expired. A proposal of another kind is not found.
func Accept(ctx context.Context, tx *pg.Tx, id int64, kind Kind, apply func(p Proposal) error) error {
	p, err := decide(ctx, tx, id, Accepted)
	if err != nil {
		return err
	}
	if p.Kind != kind {
		return problem.NotFound{What: "row"}
	}
	return apply(p)
}

// Reject decides against the proposal; nothing changes. Refused like Accept.
func Reject(ctx context.Context, tx *pg.Tx, id int64) error {
	_, err := decide(ctx, tx, id, Rejected)
	return err
}

func decide(ctx context.Context, tx *pg.Tx, id int64, outcome Outcome) (Proposal, error) {
	if err := tx.RequireFresh(access.ProposalDecide); err != nil {
		return Proposal{}, err
	}
	if err := athome(tx, access.ProposalDecide); err != nil {
		return Proposal{}, err
	}
	p, err := pending(ctx, tx, id)
	switch {
	case err != nil:
		return p, err
	case p.ProposedBy == tx.Caller.Account:
		return p, problem.Forbidden{Code: "own_proposal"}
	case p.About != nil && *p.About == tx.Caller.Account:
		return p, problem.Forbidden{Code: "about_yourself"}
	}
	if err := settle(ctx, tx, id, outcome); err != nil {
		return p, err
	}
	record(tx, access.ProposalDecide, "proposal_"+string(outcome), p)
	return p, nil
}

// Withdraw takes the caller's own proposal back; anybody else's is not found.
func Withdraw(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := athome(tx, access.ProposalMake); err != nil {
		return err
	}
	p, err := pending(ctx, tx, id)
	if err == nil && p.ProposedBy != tx.Caller.Account {
		err = problem.NotFound{What: "row"}
	}
	if err != nil {
		return err
	}
	if err := settle(ctx, tx, id, Withdrawn); err != nil {
		return err
	}
	record(tx, access.ProposalMake, "proposal_withdrawn", p)
	return nil
}

// CallOff withdraws what a disabled account has proposed and what is proposed for it. By package account, which has asked
// whether the caller may disable.
func CallOff(ctx context.Context, tx *pg.Tx, account int64) error {
	rows, err := tx.Query(ctx, `UPDATE proposal SET outcome = 'withdrawn', decided_by = $3, decided_at = $4
		WHERE municipality_id = $1 AND outcome IS NULL AND (proposed_by = $2 OR about = $2) RETURNING `+columns,
		tx.Municipality(), account, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	off, err := pgx.CollectRows(rows, pgx.RowToStructByName[Proposal])
	for _, p := range off {
		record(tx, access.AccountManage, "proposal_withdrawn", p)
	}
	return err
}

// pending locks one that nobody has decided.
func pending(ctx context.Context, tx *pg.Tx, id int64) (Proposal, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM proposal WHERE municipality_id = $1 AND id = $2 FOR UPDATE`, tx.Municipality(), id)
	if err != nil {
		return Proposal{}, err
	}
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Proposal])
	if err == nil && (p.Outcome != nil || !tx.Now().Before(p.ExpiresAt)) {
		err = problem.Conflict{Code: "proposal_settled"}
	}
	return p, err
}

func settle(ctx context.Context, tx *pg.Tx, id int64, outcome Outcome) error {
	_, err := tx.Exec(ctx, `UPDATE proposal SET outcome = $3, decided_by = $4, decided_at = $5 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, outcome, tx.Caller.Account, tx.Now())
	return err
}

func record(tx *pg.Tx, permission access.Permission, act string, p Proposal) {
	subject := "account"
	switch p.Kind {
	case Ranges:
		subject = "address_range"
	case Rule:
		subject = "retention_rule"
	case Policy:
		subject = "municipality_policy"
	}
	audit.Write(tx, permission, audit.Record{Act: act, Subject: subject, SubjectID: p.Subject, Detail: map[string]any{"proposal": strconv.FormatInt(p.ID, 10), "kind": string(p.Kind)}})
}

// most is how many proposals a list shows. Older ones are in the audit trail.
const most = 50

// List gives what waits, oldest first, and what was decided lately, newest first. Whoever may propose or decide may read.
func List(ctx context.Context, tx *pg.Tx) (waiting, decided []Proposal, err error) {
	if athome(tx, access.ProposalMake) != nil {
		if err := athome(tx, access.ProposalDecide); err != nil {
			return nil, nil, err
		}
	}
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM proposal WHERE municipality_id = $1 AND outcome IS NULL AND expires_at > $2 ORDER BY id LIMIT $3`, tx.Municipality(), tx.Now(), 10*most)
	if err != nil {
		return nil, nil, err
	}
	if waiting, err = pgx.CollectRows(rows, pgx.RowToStructByName[Proposal]); err != nil {
		return nil, nil, err
	}
	rows, err = tx.Query(ctx, `SELECT `+columns+` FROM proposal WHERE municipality_id = $1 AND outcome IS NOT NULL ORDER BY decided_at DESC, id DESC LIMIT $2`, tx.Municipality(), most)
	if err != nil {
		return nil, nil, err
	}
	decided, err = pgx.CollectRows(rows, pgx.RowToStructByName[Proposal])
	return waiting, decided, err
}
