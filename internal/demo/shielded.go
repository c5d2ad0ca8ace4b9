package demo

import (
	"context"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
)

// shielded names the second caseworker as one of the few who see where protected clients are (D21), lets the naming of the
// first one wait for an approver, and asks for the mark of one client to be taken away.
func (p *play) shielded(ctx context.Context, s *stage) error {
	administrator, approver, reader := s.administrator, s.approvers[0], s.caseworkers[1]
	// People prove who they are before such acts; here they are taken at their word.
	administrator.FreshUntil, approver.FreshUntil = p.days.start, p.days.start
	var id int64
	err := p.as(ctx, administrator, func(tx *pg.Tx) (err error) {
		if id, err = client.NameReader(ctx, tx, reader.Account, calendar.Date{}); err != nil {
			return err
		}
		_, err = client.NameReader(ctx, tx, s.caseworkers[0].Account, p.days.today.AddMonths(3))
		return err
	})
	if err != nil {
		return err
	}
	if err := p.as(ctx, approver, func(tx *pg.Tx) error { return client.ConfirmReader(ctx, tx, id) }); err != nil {
		return err
	}
	for _, i := range s.of(steady) {
		if s.people[i].protected {
			return p.as(ctx, reader, func(tx *pg.Tx) error { return client.AskUnshield(ctx, tx, s.people[i].id) })
		}
	}
	return nil
}
