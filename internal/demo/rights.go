package demo

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/rights"
	"github.com/google/uuid"
)

// asks lets people ask for their rights in the weeks before the start: one waits near its day, one has its answer, and one
// client is restricted.
func (p *play) asks(s *stage) []step {
	quiet := slices.DeleteFunc(s.of(steady), func(i int) bool { return s.people[i].protected })
	if len(quiet) < 12 {
		return nil
	}
	// Those with the highest numbers, who are there to show nothing else.
	slices.SortFunc(quiet, func(a, b int) int { return strings.Compare(s.people[b].number, s.people[a].number) })
	person := func(i int) client.ID { return s.people[quiet[i]].id }
	day := func(back int) calendar.Date { return p.days.today.AddDays(-back) }
	var answered, restricted uuid.UUID
	// The people of the demo have just proved who they are, as at their screens.
	fresh := func(c access.Caller, at time.Time) access.Caller {
		c.FreshUntil = at.Add(time.Minute)
		return c
	}
	receive := func(who int, back int, n rights.New, into *uuid.UUID) step {
		n.ReceivedOn = day(back)
		return step{p.days.at(day(back), 10, 15), "a request of the person", func(ctx context.Context) error {
			return p.as(ctx, s.caseworkers[0], func(tx *pg.Tx) (err error) {
				id, err := rights.Receive(ctx, tx, person(who), n)
				if into != nil {
					*into = id
				}
				return err
			})
		}}
	}
	prepare := func(back int, id *uuid.UUID, in rights.Preparation) step {
		return step{p.days.at(day(back), 13, 5), "an answer prepared", func(ctx context.Context) error {
			return p.as(ctx, s.caseworkers[1], func(tx *pg.Tx) error { return rights.Prepare(ctx, tx, *id, in) })
		}}
	}
	release := func(back int, id *uuid.UUID) step {
		at := p.days.at(day(back), 14, 30)
		return step{at, "an answer released", func(ctx context.Context) error {
			return p.as(ctx, fresh(s.approvers[0], at), func(tx *pg.Tx) error { return rights.Release(ctx, tx, *id, calendar.Date{}) })
		}}
	}
	return []step{
		receive(0, 27, rights.New{Kind: rights.Access, Channel: "letter", Reference: "23/4471", Wish: "Jeg vil vite hvem som har lest om meg siden i vår."}, nil),
		receive(1, 20, rights.New{Kind: rights.Access, Channel: "portal", Reference: "23/4502"}, &answered),
		prepare(16, &answered, rights.Preparation{Answer: "Utdraget er vedlagt."}),
		release(15, &answered),
		receive(2, 12, rights.New{Kind: rights.Restriction, Channel: "visit", Reference: "23/4533", Wish: "Opplysningen om fall i mai er feil, og jeg vil ikke at den brukes."}, &restricted),
		prepare(11, &restricted, rights.Preparation{Answer: "Behandlingen begrenses til opplysningen er avklart.", RestrictionGround: "contested"}),
		release(11, &restricted),
		receive(3, 6, rights.New{Kind: rights.Rectification, Channel: "phone", Reference: "23/4560", Wish: "Telefonnummeret til datteren min er feil."}, nil),
	}
}
