package deletion

import (
	"context"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
)

// Keep takes a client whom an open request of the person, or a restriction, now keeps (D24, GDPR 18) out of its group, as a
// hold does, in the transaction that makes it so; code says which. What keeps it is found by the assessment: this only
// draws the consequence. For package rights; needs RightsPrepare or RightsRelease.
func Keep(ctx context.Context, tx *pg.Tx, id client.ID, code retention.Code) error {
	if err := ofRights(tx); err != nil {
		return err
	}
	locked, err := client.LockKept(ctx, tx, id)
	if err != nil || !locked.Status.Inactive() {
		return err
	}
	if err := takeOut(ctx, tx, []uuid.UUID{id}, string(code), ItemWithdrawn); err != nil {
		return err
	}
	return anew(ctx, tx, id)
}

// LetGo places a client anew whom a request or a restriction kept, when nothing else keeps it (D15). For package rights;
// needs RightsPrepare or RightsRelease.
func LetGo(ctx context.Context, tx *pg.Tx, id client.ID) error {
	if err := ofRights(tx); err != nil {
		return err
	}
	locked, err := client.LockKept(ctx, tx, id)
	if err != nil || !locked.Status.Inactive() {
		return err
	}
	var unplaced bool
	err = tx.QueryRow(ctx, `SELECT coalesce(unplaced_reason IN ('held', 'open_request', 'restricted'), false) FROM client WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id).Scan(&unplaced)
	if err != nil || !unplaced {
		return err // it lies in a group, or in none for another reason
	}
	return anew(ctx, tx, id)
}

// anew says where a client lies now that it lies in no group: why in none, or the first group on or after its day.
func anew(ctx context.Context, tx *pg.Tx, id client.ID) error {
	return place(ctx, tx, []uuid.UUID{id}, "system")
}

func ofRights(tx *pg.Tx) error {
	if tx.Caller.Can(access.RightsRelease) {
		return nil
	}
	return tx.Require(access.RightsPrepare)
}
