package rest

import (
	"context"
	"slices"

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

// ListProposals shows what waits for a second person, or what was decided lately.
func (s *Server) ListProposals(ctx context.Context, r ListProposalsRequestObject) (ListProposalsResponseObject, error) {
	lines, decided, err := account.Proposals(ctx, s.DB, callerOf(ctx))
	if err != nil {
		return nil, err
	}
	if or(r.Params.List, ListProposalsParamsListWaiting) == ListProposalsParamsListDecided {
		lines = decided
	}
	var now municipality.Terms // what a proposal that is older than a term is silent about
	if slices.ContainsFunc(lines, func(l account.ProposalLine) bool { return l.Kind == proposal.Policy }) {
		if err := s.in(ctx, func(tx *pg.Tx) (err error) { now, err = municipality.TermsOf(ctx, tx); return err }); err != nil {
			return nil, err
		}
	}
	shown := Proposals{Proposals: make([]Proposal, len(lines))}
	for i, l := range lines {
		if shown.Proposals[i], err = showProposal(l, now); err != nil {
			return nil, err
		}
	}
	return ListProposals200JSONResponse(shown), nil
}

func showProposal(l account.ProposalLine, now municipality.Terms) (Proposal, error) {
	p := Proposal{
		Id: l.ID, Kind: ProposalKind(l.Kind), Subject: l.Subject, ProposedBy: l.Proposer, ProposedAt: l.ProposedAt, ExpiresAt: l.ExpiresAt, Concerns: set(l.Concerned),
		DecidedBy: set(l.Decider), DecidedAt: l.DecidedAt,
	}
	if l.Outcome != nil {
		p.Outcome = set(ProposalOutcome(*l.Outcome))
	}
	switch l.Kind {
	case proposal.Roles, proposal.Enable:
		said, had := roles(l.Roles), roles(l.Had)
		p.Roles, p.Had, p.First = &said, &had, set(l.First)
	case proposal.Ranges:
		act := ProposalAct(l.Range.Act)
		p.Act, p.Place = &act, &l.Range.Place
	case proposal.Rule:
		c, err := retention.ReadChange(l.Proposal)
		if err != nil {
			return p, err
		}
		p.Rule = &ProposedRule{
			Version: c.Version, PeriodMonths: c.PeriodMonths, PeriodDays: c.PeriodDays, Outcome: RuleOutcome(c.Outcome), Authority: c.Authority, ValidFrom: date(c.ValidFrom),
		}
	case proposal.Policy:
		t, err := municipality.ReadTerms(l.Proposal, now)
		if err != nil {
			return p, err
		}
		terms := showTerms(t)
		p.Terms = &terms
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

// WithdrawProposal takes back what the caller has proposed.
func (s *Server) WithdrawProposal(ctx context.Context, r WithdrawProposalRequestObject) (WithdrawProposalResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return proposal.Withdraw(ctx, tx, r.Proposal) })
	return WithdrawProposal204Response{}, err
}
