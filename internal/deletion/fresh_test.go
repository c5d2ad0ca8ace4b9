package deletion_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
)

// What cannot be taken back asks for a fresh proof of identity, to the very second; what is safe must be quick and asks
// for none. A key with the scope to decide is young enough by itself; any other key decides nothing anyway.
func TestWhatAsksForAFreshProof(t *testing.T) {
	w := pgtest.NewWorld(t)
	no := uuid.New()
	for _, c := range []struct {
		name  string
		role  access.Role
		fresh bool
		do    func(ctx context.Context, tx *pg.Tx) error
	}{
		{"approve", access.Approver, true, func(ctx context.Context, tx *pg.Tx) error { return deletion.Approve(ctx, tx, 1, deletion.Approval{}) }},
		{"lift a brake", access.Approver, true, func(ctx context.Context, tx *pg.Tx) error { return deletion.LiftBrake(ctx, tx, 1) }},
		{"start", access.Operator, true, func(ctx context.Context, tx *pg.Tx) error { return deletion.Start(ctx, tx, 1, "3218-240101") }},
		{"order", access.Support, true, func(ctx context.Context, tx *pg.Tx) error { _, err := deletion.PlaceOrder(ctx, tx, no); return err }},
		{"release a hold", access.Approver, true, func(ctx context.Context, tx *pg.Tx) error { return deletion.ReleaseHold(ctx, tx, no) }},
		{"release a hold, within", access.Approver, true, func(ctx context.Context, tx *pg.Tx) error { _, err := retention.ReleaseHold(ctx, tx, no); return err }},
		{"export a protocol", access.PrivacyOfficer, true, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.ExportProtocol(ctx, tx, 1)
			return err
		}},
		{"reject", access.Approver, false, func(ctx context.Context, tx *pg.Tx) error { return deletion.Reject(ctx, tx, 1, "other", "reason") }},
		{"cancel", access.Approver, false, func(ctx context.Context, tx *pg.Tx) error { return deletion.Cancel(ctx, tx, 1, "other", "reason") }},
		{"pause", access.Operator, false, func(ctx context.Context, tx *pg.Tx) error { return deletion.Pause(ctx, tx, 1) }},
		{"read a protocol", access.PrivacyOfficer, false, func(ctx context.Context, tx *pg.Tx) error { _, err := deletion.FindProtocol(ctx, tx, 1); return err }},
	} {
		for _, until := range []struct {
			at    time.Duration
			stale bool
		}{{0, true}, {-time.Second, true}, {time.Second, false}} {
			caller := w.As(c.role, w.A)
			caller.FreshUntil = w.Now().Add(until.at)
			err := w.DB.InTx(t.Context(), caller, func(tx *pg.Tx) error { return c.do(t.Context(), tx) })
			if got := errors.As(err, new(problem.StepUp)); got != (c.fresh && until.stale) {
				t.Errorf("%s, fresh for %s: %v", c.name, until.at, err)
			}
		}
	}
}
