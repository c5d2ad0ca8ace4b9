package rest

import (
	"context"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/frist-app/frist/internal/retention"
)

// may refuses through a transaction of the caller's own, so that the refusal is recorded.
func (s *Server) may(ctx context.Context, p access.Permission) error {
	return s.in(ctx, func(tx *pg.Tx) error { return tx.Require(p) })
}

// ListAccounts shows the municipality's people and programs.
func (s *Server) ListAccounts(ctx context.Context, r ListAccountsRequestObject) (ListAccountsResponseObject, error) {
	if err := s.may(ctx, access.AccountManage); err != nil {
		return nil, err
	}
	people, err := account.People(ctx, s.DB, callerOf(ctx), or(r.Params.After, 0))
	if err != nil {
		return nil, err
	}
	shown := Accounts{Accounts: list(people, showAccount)}
	if len(people) == account.PageSize {
		shown.Next = &people[len(people)-1].ID
	}
	return ListAccounts200JSONResponse(shown), nil
}

func showAccount(p account.Person) Account {
	return Account{
		Id: p.ID, Name: p.Name, Login: p.Login, StaffNumber: p.StaffNumber, Roles: roles(p.Roles), State: AccountState(p.State()),
		CreatedAt: p.CreatedAt, LastUsedAt: p.LastSignInAt, ReviewedAt: p.ReviewedAt,
	}
}

func roles(of []access.Role) []Role { return list(of, func(r access.Role) Role { return Role(r) }) }

// DisableAccount ends an account at once.
func (s *Server) DisableAccount(ctx context.Context, r DisableAccountRequestObject) (DisableAccountResponseObject, error) {
	if err := s.may(ctx, access.AccountManage); err != nil {
		return nil, err
	}
	return DisableAccount204Response{}, account.Disable(ctx, s.DB, callerOf(ctx), r.Account)
}

// ListProposals shows what waits for a second person.
func (s *Server) ListProposals(ctx context.Context, _ ListProposalsRequestObject) (ListProposalsResponseObject, error) {
	if err := s.may(ctx, access.ProposalDecide); err != nil {
		return nil, err
	}
	waiting, _, err := account.Proposals(ctx, s.DB, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	shown := Proposals{Proposals: make([]Proposal, len(waiting))}
	for i, l := range waiting {
		if shown.Proposals[i], err = showProposal(l); err != nil {
			return nil, err
		}
	}
	return ListProposals200JSONResponse(shown), nil
}

func showProposal(l account.ProposalLine) (Proposal, error) {
	p := Proposal{Id: l.ID, Kind: ProposalKind(l.Kind), Subject: l.Subject, ProposedBy: l.Proposer, ProposedAt: l.ProposedAt, ExpiresAt: l.ExpiresAt}
	switch l.Kind {
	case proposal.Roles, proposal.Enable:
		said := roles(l.Roles)
		p.Roles = &said
	case proposal.Ranges:
		act := ProposalAct(l.Range.Act)
		p.Act, p.Place = &act, &l.Range.Place
	case proposal.Rule:
		c, err := retention.ReadChange(l.Proposal)
		if err != nil {
			return p, err
		}
		p.Rule = &ProposedRule{
			Version: c.Version, PeriodMonths: c.PeriodMonths, PeriodDays: c.PeriodDays, Outcome: ProposedRuleOutcome(c.Outcome), Authority: c.Authority, ValidFrom: date(c.ValidFrom),
		}
	}
	return p, nil
}

// AcceptProposal decides for it; the package that owns what it is about applies it.
func (s *Server) AcceptProposal(ctx context.Context, r AcceptProposalRequestObject) (AcceptProposalResponseObject, error) {
	if err := s.may(ctx, access.ProposalDecide); err != nil {
		return nil, err
	}
	waiting, _, err := account.Proposals(ctx, s.DB, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	for _, l := range waiting {
		if l.ID != r.Proposal {
			continue
		}
		switch l.Kind {
		case proposal.Rule:
			err = s.in(ctx, func(tx *pg.Tx) error { return retention.AcceptRule(ctx, tx, l.ID) })
		case proposal.Policy:
			err = s.in(ctx, func(tx *pg.Tx) error { return municipality.AcceptPolicy(ctx, tx, l.ID) })
		default:
			err = account.Accept(ctx, s.DB, callerOf(ctx), l.ID, l.Kind)
		}
		return AcceptProposal204Response{}, err
	}
	return nil, problem.NotFound{What: "row"}
}

// RejectProposal decides against it.
func (s *Server) RejectProposal(ctx context.Context, r RejectProposalRequestObject) (RejectProposalResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return proposal.Reject(ctx, tx, r.Proposal) })
	return RejectProposal204Response{}, err
}
