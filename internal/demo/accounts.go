package demo

import (
	"context"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/frist-app/frist/internal/retention"
)

// loopback are the networks of the demo: whoever sits at this machine may try a password.
var loopback = []string{"127.0.0.0/8", "::1/128"}

// networks lets everybody sign in by password from this machine.
func (p *play) networks(ctx context.Context) error {
	for _, network := range loopback {
		if err := account.AddRange(ctx, p.db, 0, network, "Denne maskinen"); err != nil {
			return err
		}
		for _, s := range p.towns {
			if err := account.AddRange(ctx, p.db, s.id, network, "Denne maskinen"); err != nil {
				return err
			}
		}
	}
	return nil
}

// access gives the first town what is to be seen on the pages about access: a
// program with a key, an account and two changes that wait for a second person, and a review that is half done.
func (p *play) access(ctx context.Context) error {
	admin, approver := p.towns[0].administrator, p.towns[0].approvers[0]
	for _, c := range []*access.Caller{&admin, &approver} {
		c.FreshUntil = p.days.start.Add(time.Hour)
	}
	p.set(p.days.start.AddDate(0, -1, 0))
	for _, seen := range p.towns[0].caseworkers {
		if err := account.Review(ctx, p.db, admin, seen.Account); err != nil {
			return err
		}
	}
	program, _, err := account.Invite(ctx, p.db, admin, account.New{Login: "journal.as", Name: "Journalsystemet", Machine: true, Roles: []access.Role{access.Caseworker}})
	if err != nil {
		return err
	}
	waiting, _, err := account.Proposals(ctx, p.db, approver)
	if err != nil {
		return err
	}
	for _, l := range waiting {
		if err := account.Accept(ctx, p.db, approver, l.ID, proposal.Roles); err != nil {
			return err
		}
	}
	wish := account.KeyWish{Name: "Nattlig uttrekk", Scopes: []string{string(access.ClientRead)}, Networks: []string{"10.20.0.0/16"}, Days: 180}
	if _, err := account.MakeKey(ctx, p.db, admin, program, wish); err != nil {
		return err
	}
	p.set(p.days.start.AddDate(0, 0, -2))
	if _, _, err := account.Invite(ctx, p.db, admin, account.New{Login: "vikar.as", Name: "Tone Vikar", Email: "vikar.as@example.invalid", Roles: []access.Role{access.Caseworker}}); err != nil {
		return err
	}
	if err := account.ProposeRange(ctx, p.db, admin, "10.20.0.0/16", "Responssenteret"); err != nil {
		return err
	}
	return p.as(ctx, admin, func(tx *pg.Tx) error {
		return retention.ProposeRule(ctx, tx, retention.Change{
			Class: retention.AccessLog, PeriodMonths: 120, Outcome: retention.Destroy, Authority: "Kommunens vedtak om 10 år",
			ValidFrom: calendar.DateOf(p.days.start.In(p.days.zone)).AddMonths(1),
		})
	})
}
