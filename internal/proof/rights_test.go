package proof

import (
	"context"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/rights"
	"github.com/google/uuid"
)

// asks lets the person ask for a correction, which is refused: with a token in every word.
func (s *stage) asks(p *person) {
	s.t.Helper()
	get := func(name string) string { return p.get("rights_request." + name) }
	var id uuid.UUID
	s.as(access.Caseworker, p.m, func(ctx context.Context, tx *pg.Tx) error {
		today, err := municipality.Today(ctx, tx)
		if err != nil {
			return err
		}
		id, err = rights.Receive(ctx, tx, p.id, rights.New{Kind: rights.Rectification, ReceivedOn: today, Channel: "letter", Reference: get("reference"), Wish: get("wish")})
		return err
	})
	s.as(access.Caseworker, p.m, func(ctx context.Context, tx *pg.Tx) error {
		return rights.Prepare(ctx, tx, id, rights.Preparation{Answer: get("answer"), Recipients: get("recipients"), Statement: get("statement")})
	})
	s.as(access.Approver, p.m, func(ctx context.Context, tx *pg.Tx) error {
		return rights.Refuse(ctx, tx, id, rights.Refusal{Ground: "correct_as_is", Decision: get("decision")})
	})
	s.as(access.Caseworker, p.m, func(ctx context.Context, tx *pg.Tx) error {
		today, err := municipality.Today(ctx, tx)
		if err != nil {
			return err
		}
		_, err = rights.ReceiveFormer(ctx, tx, s.key, p.get("client.national_id"), rights.New{ReceivedOn: today, Channel: "letter", Reference: "1"})
		return err
	})
	// What another way through the steps would leave.
	s.Exec(s.t, `UPDATE rights_request SET remark = $2, lift_reason = $3 WHERE id = $1`, id, get("remark"), get("lift_reason"))
}
