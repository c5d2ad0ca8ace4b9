package retention

import (
	"context"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// HoldReasons are the typed reasons of D24, in the order in which a form offers them.
var HoldReasons = []string{"service_rules", "police", "complaint", "damages", "own_request", "other"}

// Hold is a bevaringspålegg: a reason why a client, or everybody at an address, may not be deleted now.
type Hold struct {
	ID             uuid.UUID
	ClientID       *uuid.UUID
	AddressID      *uuid.UUID
	Reason         string
	Authority      string // who asks for it and their case number; empty when Confidential hides it
	ReviewOn       calendar.Date
	Confidential   bool
	PlacedBy       int64
	PlacedAt       time.Time
	ReleaseAskedBy *int64
	ReleaseAskedAt *time.Time
	ReleaseReason  *string
	ReleasedBy     *int64
	ReleasedAt     *time.Time
}

// NewHold is what a person fills in. Exactly one of ClientID and AddressID is set.
type NewHold struct {
	ClientID     *uuid.UUID
	AddressID    *uuid.UUID
	Reason       string
	Authority    string
	ReviewOn     calendar.Date
	Confidential bool
}

const holdColumns = `id, client_id, address_id, reason, authority, review_on, confidential, placed_by, placed_at,
	release_asked_by, release_asked_at, release_reason, released_by, released_at`

// Holds lists the holds on a client and on its address, standing ones first. The reason and authority of a confidential
// one are blank for all but its owner and approvers. Needs ClientRead.
func Holds(ctx context.Context, tx *pg.Tx, client uuid.UUID) ([]Hold, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT `+holdColumns+` FROM hold
		WHERE municipality_id = $1 AND (client_id = $2 OR address_id = (SELECT address_id FROM client WHERE municipality_id = $1 AND id = $2))
		ORDER BY released_at NULLS FIRST, placed_at, id`, tx.Municipality(), client)
	if err != nil {
		return nil, err
	}
	holds, err := pgx.CollectRows(rows, pgx.RowToStructByName[Hold])
	for i := range holds {
		holds[i].veil(tx.Caller)
	}
	return holds, err
}

// ReleasesAsked lists the standing holds whose release somebody asked for and an approver has to confirm. Needs HoldRelease.
func ReleasesAsked(ctx context.Context, tx *pg.Tx) ([]Hold, error) {
	if err := tx.Require(access.HoldRelease); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT `+holdColumns+` FROM hold
		WHERE municipality_id = $1 AND released_at IS NULL AND release_asked_at IS NOT NULL ORDER BY release_asked_at, id`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Hold])
}

// FindHold reads one hold and locks it. Needs ClientRead.
func FindHold(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Hold, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Hold{}, err
	}
	rows, err := tx.Query(ctx, `SELECT `+holdColumns+` FROM hold WHERE municipality_id = $1 AND id = $2 FOR NO KEY UPDATE`, tx.Municipality(), id)
	if err != nil {
		return Hold{}, err
	}
	hold, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Hold])
	if err != nil {
		return Hold{}, err
	}
	hold.veil(tx.Caller)
	return hold, nil
}

func (h *Hold) veil(caller access.Caller) {
	if h.Confidential && h.PlacedBy != caller.Account && !caller.Has(access.Approver) && !caller.Has(access.System) {
		h.Reason, h.Authority, h.ReleaseReason = "", "", nil
	}
}

// InsertHold places a hold at once (D24). The caller has locked the client or the address and takes the clients out of
// their groups: use deletion.PlaceHold. Needs HoldPlace; problem.Invalid names the fields.
func InsertHold(ctx context.Context, tx *pg.Tx, h NewHold) (uuid.UUID, error) {
	if err := tx.Require(access.HoldPlace); err != nil {
		return uuid.Nil, err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return uuid.Nil, err
	}
	var wrong problem.Collector
	known := false
	for _, r := range HoldReasons {
		known = known || r == h.Reason
	}
	if !known {
		wrong.Add("reason", "required", nil)
	}
	wrong.Words("authority", &h.Authority, 200, true)
	if h.ReviewOn.IsZero() {
		wrong.Add("review_on", "required", nil)
	} else if !h.ReviewOn.After(today) {
		wrong.Add("review_on", "date_passed", problem.Params{"today": today})
	}
	if err := wrong.Err(); err != nil {
		return uuid.Nil, err
	}
	id := uuid.New()
	_, err = tx.Exec(ctx, `INSERT INTO hold (municipality_id, id, client_id, address_id, reason, authority, review_on, confidential, placed_by, placed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		tx.Municipality(), id, h.ClientID, h.AddressID, h.Reason, h.Authority, h.ReviewOn, h.Confidential, tx.Caller.Account, tx.Now())
	if err != nil {
		return uuid.Nil, err
	}
	audit.Write(tx, access.HoldPlace, audit.Record{Act: "hold.placed", Subject: "hold", SubjectID: id.String(), Detail: map[string]any{"client": h.ClientID, "address": h.AddressID}})
	return id, nil
}

// AskRelease asks for the release of a hold; an approver confirms it (D13, D24). Needs HoldPlace.
func AskRelease(ctx context.Context, tx *pg.Tx, id uuid.UUID, reason string) error {
	if err := tx.Require(access.HoldPlace); err != nil {
		return err
	}
	hold, err := FindHold(ctx, tx, id)
	if err != nil {
		return err
	}
	switch {
	case hold.ReleasedAt != nil:
		return problem.Conflict{Code: "hold_released"}
	case hold.ReleaseAskedAt != nil:
		return problem.Conflict{Code: "release_asked_already"}
	}
	var wrong problem.Collector
	if !wrong.Words("reason", &reason, 500, true) {
		return wrong.Err()
	}
	_, err = tx.Exec(ctx, `UPDATE hold SET release_asked_by = $3, release_asked_at = $4, release_reason = $5 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, tx.Caller.Account, tx.Now(), reason)
	audit.Write(tx, access.HoldPlace, audit.Record{Act: "hold.release_asked", Subject: "hold", SubjectID: id.String()})
	return err
}

// ReleaseHold confirms a release that somebody else asked for. Use deletion.ReleaseHold, which places the clients anew in
// the same transaction (D15). Needs HoldRelease and a fresh proof of identity; problem.Forbidden
// "own_release" for the one who asked.
func ReleaseHold(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Hold, error) {
	if err := tx.RequireFresh(access.HoldRelease); err != nil {
		return Hold{}, err
	}
	hold, err := FindHold(ctx, tx, id)
	if err != nil {
		return Hold{}, err
	}
	switch {
	case hold.ReleasedAt != nil:
		return Hold{}, problem.Conflict{Code: "hold_released"}
	case hold.ReleaseAskedBy == nil:
		return Hold{}, problem.Conflict{Code: "release_not_asked"}
	case *hold.ReleaseAskedBy == tx.Caller.Account:
		return Hold{}, problem.Forbidden{Code: "own_release"}
	}
	_, err = tx.Exec(ctx, `UPDATE hold SET released_by = $3, released_at = $4 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, tx.Caller.Account, tx.Now())
	audit.Write(tx, access.HoldRelease, audit.Record{Act: "hold.released", Subject: "hold", SubjectID: id.String()})
	return hold, err
}
