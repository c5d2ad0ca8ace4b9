package proof

import (
	"context"
	"errors"
	"fmt"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/google/uuid"
)

// registers fills the controller's registers of both municipalities, with a token in every text that people wrote.
func (s *stage) registers() {
	s.t.Helper()
	today := calendar.DateOf(s.Now())
	var company int64
	s.as(access.PlatformAdministrator, 0, func(ctx context.Context, tx *pg.Tx) (err error) {
		company, err = privacy.Announce(ctx, tx, privacy.Subprocessor{
			Name: "Firma", Service: "camera", Purpose: "Kamera", Data: "Bilde", AccessRule: "request", StaffCountries: []string{"NO"}, Encryption: "not_needed", Copies: "none",
		})
		return err
	})
	for _, m := range []int{s.A, s.B} {
		who := fmt.Sprintf("municipality%d", m)
		word := func(field string) string { return s.token(who, field).value }
		s.as(access.Administrator, m, func(ctx context.Context, tx *pg.Tx) error {
			return errors.Join(
				privacy.Respond(ctx, tx, company, 1, privacy.Answer{Answer: "objected", Reference: "24/7", Note: word("subprocessor_answer.note")}),
				privacy.StartUse(ctx, tx, company, today.AddDays(privacy.ObjectionDays+1)),
				privacy.SaveDraft(ctx, tx, privacy.StatementDraft{Controller: "Rådhuset", Officer: "Ombudet", Sections: privacy.Texts{"nb": {"about": word("privacy_draft.sections")}}}),
			)
		})
		// What is published later is nobody's to read yet.
		s.as(access.Administrator, m, func(ctx context.Context, tx *pg.Tx) error {
			_, err := privacy.Publish(ctx, tx, today.AddDays(3650))
			return err
		})
		var id uuid.UUID
		s.as(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) (err error) {
			id, err = privacy.Report(ctx, tx, privacy.Facts{Kind: "wrong_access", DiscoveredAt: tx.Now()}, privacy.Account{
				What: word("deviation_text.what"), Done: word("deviation_text.done"), Consequences: word("deviation_text.consequences"), Cause: word("deviation_text.cause"), Measures: word("deviation_text.measures"),
			})
			return err
		})
		s.as(access.Approver, m, func(ctx context.Context, tx *pg.Tx) error {
			return privacy.DecideNot(ctx, tx, id, "nsm", word("deviation_event.note"))
		})
	}
}
