package demo

import (
	"context"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/visit"
	"github.com/google/uuid"
)

// visits are what a municipality has let support see: one visit that is over, one request that waits; and what it has told
// the processor to do without asking: one instruction in force beside the agreement's, one that waits for an approver.
func (p *play) visits(s *stage, add func(at time.Time, what string, do func(ctx context.Context) error)) {
	fresh := func(c access.Caller, at time.Time) access.Caller {
		c.FreshUntil = at.Add(time.Minute)
		return c
	}
	support := p.support.In(s.id)
	person := s.people[s.of(due)[0]]
	asked, granted := p.days.start.Add(-30*time.Hour), p.days.start.Add(-29*time.Hour)
	var first uuid.UUID
	ask := func(in visit.New, into *uuid.UUID) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			return p.as(ctx, support, func(tx *pg.Tx) (err error) {
				*into, err = visit.Ask(ctx, tx, in)
				return err
			})
		}
	}
	add(asked, "ask for a visit", ask(visit.New{
		Reason: "wrong_date", Words: "Datoen på siden stemmer ikke med avtalen", Reference: "E-post til kundestøtte, sak 4471", Scope: visit.OneClient, Page: "deletion", Minutes: 60,
	}, &first))
	add(granted, "grant the visit", func(ctx context.Context) error {
		return p.as(ctx, fresh(s.approvers[0], granted), func(tx *pg.Tx) error {
			return visit.Grant(ctx, tx, first, visit.Granting{Scope: visit.OneClient, Page: "deletion", Client: person.number, Minutes: 30})
		})
	})
	add(granted.Add(10*time.Minute), "go in and look", func(ctx context.Context) error {
		if err := p.as(ctx, support, func(tx *pg.Tx) error { return visit.Enter(ctx, tx, first) }); err != nil {
			return err
		}
		inside := support
		inside.Visit = access.Visit{ID: first.String(), Scope: visit.OneClient, Page: "deletion", Until: granted.Add(30 * time.Minute)}
		return p.as(ctx, inside, func(tx *pg.Tx) error { _, err := client.Find(ctx, tx, person.id); return err })
	})
	add(p.days.start.Add(-2*time.Hour), "ask for another", ask(visit.New{
		Reason: "device", Words: "En trygghetsalarm vises på feil klient", Reference: "Sak 4502", Scope: visit.OneClient, Page: "devices", Minutes: 60,
	}, new(uuid.UUID)))

	var instruction int64
	enter := func(in municipality.NewInstruction) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			return p.as(ctx, s.administrators[0], func(tx *pg.Tx) (err error) {
				if in.ValidFrom.IsZero() {
					if in.ValidFrom, err = municipality.Today(ctx, tx); err != nil {
						return err
					}
				}
				instruction, err = municipality.EnterInstruction(ctx, tx, in)
				return err
			})
		}
	}
	at := p.days.start.Add(-20 * 24 * time.Hour)
	add(at, "enter an instruction", enter(municipality.NewInstruction{
		Action: municipality.CorrectContactData, Scope: "Feil telefonnummer og e-post til pårørende, meldt av innbyggeren selv", DocumentReference: "Svar på høring, sak 23/882", DecidedBy: "Kommunedirektøren",
	}))
	add(at.Add(time.Hour), "confirm it", func(ctx context.Context) error {
		return p.as(ctx, fresh(s.approvers[1], at.Add(time.Hour)), func(tx *pg.Tx) error { return municipality.ConfirmInstruction(ctx, tx, instruction) })
	})
	add(p.days.start.Add(-3*time.Hour), "enter another", enter(municipality.NewInstruction{
		Action: municipality.PreRunControl, Scope: "Alle ordinære runder, ikke ekstra sletting", ValidTo: calendar.On(p.days.today.Year+1, 12, 31), DocumentReference: "Databehandleravtalen, vedlegg 2", DecidedBy: "Kommunedirektøren",
	}))
}
