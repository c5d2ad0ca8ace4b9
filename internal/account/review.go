package account

import (
	"context"
	"slices"
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

// ReviewLine is an open account in the review.
type ReviewLine struct {
	Person
	May, Late bool   // the caller may confirm it; nobody has in time
	By        string // who did last
}

// Reviews are the open accounts of the caller's organisation, the longest unseen first, and when anybody was gone through
// last. An approver, who looks after none, gets the administrators, whose own lines somebody else confirms.
func Reviews(ctx context.Context, db *pg.DB, by access.Caller) (lines []ReviewLine, last *time.Time, err error) {
	var people []Person
	for after := int64(0); ; {
		some, err := People(ctx, db, by, after)
		if err != nil {
			return nil, nil, err
		}
		if people = append(people, some...); len(some) < PageSize {
			break
		}
		after = some[len(some)-1].ID
	}
	of := map[int64]string{}
	for _, p := range people {
		of[p.ID] = p.Name
	}
	all := by.Can(access.AccountManage) || by.Can(access.PlatformManage)
	for _, p := range people {
		if p.ReviewedAt != nil && (last == nil || p.ReviewedAt.After(*last)) {
			last = p.ReviewedAt
		}
		if p.DisabledAt != nil || !all && !p.MayReview(by) {
			continue
		}
		l := ReviewLine{Person: p, May: p.MayReview(by), Late: p.Overdue(db.Now())}
		if p.ReviewedBy != nil {
			l.By = of[*p.ReviewedBy]
		}
		lines = append(lines, l)
	}
	slices.SortStableFunc(lines, func(a, b ReviewLine) int { return a.ReviewDue().Compare(b.ReviewDue()) })
	return lines, last, nil
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
