package account

import (
	"context"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// What came of going through an account.
const (
	Confirmed = "confirmed"
	Changed   = "changed"
	Ended     = "disabled"
)

// reviewMonths is how often somebody looks at who has access.
const reviewMonths = 6

// ReviewDue is when somebody must have looked at the account: six months after the last time, or after it was made.
func (p Person) ReviewDue() time.Time {
	from := p.CreatedAt
	if p.ReviewedAt != nil {
		from = *p.ReviewedAt
	}
	return from.AddDate(0, reviewMonths, 0)
}

// Overdue reports whether the account is open and nobody has looked at it in time.
func (p Person) Overdue(now time.Time) bool {
	return p.DisabledAt == nil && !now.Before(p.ReviewDue())
}

// MayReview reports whether the caller may confirm this account: whoever looks after accounts may, but never their own;
// those of administrators another administrator or an approver.
func (p Person) MayReview(by access.Caller) bool {
	manages := by.Can(access.AccountManage) || by.Municipality == 0 && by.Can(access.PlatformManage)
	return p.ID != by.Account && (manages || administers(p.Roles) && by.Can(access.ProposalDecide))
}

// Review confirms that the account still needs what it has. Nobody confirms their own (problem.Forbidden, about_yourself).
func Review(ctx context.Context, db *pg.DB, by access.Caller, account int64) error {
	return db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := decides(tx); err != nil {
			return err
		}
		p, err := find(ctx, tx, account)
		switch {
		case err != nil:
			return err
		case p.ID == by.Account:
			return problem.Forbidden{Code: "about_yourself"}
		case !p.MayReview(by):
			return manage(tx)
		case p.DisabledAt != nil:
			return problem.Conflict{Code: "account_disabled"}
		}
		reviewed(tx, p, Confirmed)
		audit.Write(tx, access.AccountManage, audit.Record{Act: "access_confirmed", Subject: "account", SubjectID: strconv.FormatInt(account, 10), Detail: map[string]any{"roles": p.Roles}})
		return nil
	})
}

// reviewed writes down that the caller has gone through the account.
func reviewed(tx *pg.Tx, p Person, outcome string) {
	tx.Later(`INSERT INTO access_review (municipality_id, account_id, roles, outcome, reviewed_by, reviewed_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		tx.Municipality(), p.ID, p.Roles, outcome, tx.Caller.Account, tx.Now())
}
