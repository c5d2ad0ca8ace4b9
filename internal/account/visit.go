package account

import (
	"context"
	"errors"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// LiveVisit is a visit of support that is going on in the own municipality, for the banner on its people's pages.
type LiveVisit struct {
	ID    uuid.UUID `json:"id"`
	Scope string    `json:"scope"`
	Page  string    `json:"page"`
	Until time.Time `json:"until"`
	Who   string    `json:"who"` // the staff number; empty as long as nobody has taken the visit
}

// Visits is what a signed-in person has to be told of visits, on every page.
type Visits struct {
	Here []LiveVisit // going on in the own municipality
	Over bool        // the one that the session stood in has ended: say so once (Leave)
}

func (d doorVisits) news(stood bool) *Visits {
	v := Visits{Here: d.Here, Over: stood && d.Own == nil}
	if len(v.Here) == 0 && !v.Over {
		return nil
	}
	return &v
}

// doorVisits is what visits_at_the_door answers.
type doorVisits struct {
	Own *struct {
		LiveVisit
		Municipality int `json:"municipality"`
	} `json:"own"`
	Here []LiveVisit `json:"here"`
}

// enter puts the caller where the visit is, if there is one.
func (d doorVisits) enter(caller *access.Caller) {
	if d.Own != nil && caller.Has(access.Support) {
		caller.Municipality = d.Own.Municipality
		caller.Visit = access.Visit{ID: d.Own.ID.String(), Scope: d.Own.Scope, Page: d.Own.Page, Until: d.Own.Until}
	}
}

// Enter lets the caller's session stand in a visit from the next request on. Whether it is granted to the caller, and
// lasts, is asked on every request; package visit has written down that they went in.
func Enter(ctx context.Context, db *pg.DB, caller access.Caller, municipality int, visit uuid.UUID) error {
	return stand(ctx, db, caller, &municipality, &visit)
}

// Leave takes the caller's session out of the visit that it stands in, or stood in.
func Leave(ctx context.Context, db *pg.DB, caller access.Caller) error {
	return stand(ctx, db, caller, nil, nil)
}

func stand(ctx context.Context, db *pg.DB, caller access.Caller, municipality *int, visit *uuid.UUID) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE session SET visit_municipality = $3, visit = $4 WHERE token_hash = $1 AND account_id = $2`,
			caller.Session, caller.Account, municipality, visit)
		return err
	})
}

// InVisit is the caller of a program standing in the visit that its request names. problem.Forbidden "visit_over" when it is not granted
// to the caller, or does not last: a visit of somebody else, one that is over and one that never was all answer alike.
func InVisit(ctx context.Context, db *pg.DB, caller access.Caller, named string) (access.Caller, error) {
	visit, err := uuid.Parse(named)
	if err == nil {
		err = db.SignIn(ctx, func(tx *pg.Tx) error {
			var visits doorVisits
			err := tx.OnlyRow(ctx, `SELECT visits_at_the_door($1, v.municipality_id, v.id, 0) FROM visit v WHERE v.id = $2`, caller.Account, visit).Scan(&visits)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			visits.enter(&caller)
			return err
		})
		if err != nil {
			return caller, err
		}
	}
	if !caller.Visiting() {
		return caller, db.InTx(ctx, caller, func(*pg.Tx) error { return problem.Forbidden{Code: "visit_over"} }) // so that the refusal is recorded
	}
	return caller, nil
}
