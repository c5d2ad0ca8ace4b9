package rest

import (
	"context"

	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
)

// ListRules shows how long each class is kept and why.
func (s *Server) ListRules(ctx context.Context, _ ListRulesRequestObject) (ListRulesResponseObject, error) {
	var all []retention.Rule
	err := s.in(ctx, func(tx *pg.Tx) (err error) { all, err = retention.AllRules(ctx, tx); return err })
	return ListRules200JSONResponse{Rules: list(all, func(r retention.Rule) Rule {
		return Rule{
			Class: string(r.Class), Version: r.Version, StartEvent: r.StartEvent, PeriodMonths: r.PeriodMonths, PeriodDays: r.PeriodDays, Inclusive: r.Inclusive,
			Alignment: RuleAlignment(r.Alignment), Outcome: RuleOutcome(r.Outcome), Authority: r.Authority, ValidFrom: date(r.ValidFrom),
		}
	})}, err
}

// ProposeRule proposes a new version of one.
func (s *Server) ProposeRule(ctx context.Context, r ProposeRuleRequestObject) (ProposeRuleResponseObject, error) {
	b := r.Body
	err := s.in(ctx, func(tx *pg.Tx) error {
		return retention.ProposeRule(ctx, tx, retention.Change{
			Class: retention.Class(r.Class), PeriodMonths: b.PeriodMonths, PeriodDays: or(b.PeriodDays, 0), Outcome: retention.Outcome(b.Outcome), Authority: b.Authority, ValidFrom: day(&b.ValidFrom),
		})
	})
	return ProposeRule204Response{}, called(err, map[string]string{"rule_authority": "authority"})
}

// ReadTerms shows what the municipality demands of rounds, of signing in and of privacy.
func (s *Server) ReadTerms(ctx context.Context, _ ReadTermsRequestObject) (ReadTermsResponseObject, error) {
	var t municipality.Terms
	err := s.in(ctx, func(tx *pg.Tx) (err error) { t, err = municipality.TermsOf(ctx, tx); return err })
	return ReadTerms200JSONResponse(showTerms(t)), err
}

func showTerms(t municipality.Terms) Terms {
	return Terms{
		CoolingOffSeconds: t.CoolingOffSeconds, MaxSharePercent: t.MaxSharePercent, MaxErrorPercent: t.MaxErrorPercent, SpotCheckSize: t.SpotCheckSize, ChunkSize: t.ChunkSize,
		HighestLevel: t.HighestLevel, PasswordWords: list(t.PasswordWords, func(word string) string { return word }),
		LooksPerHour: t.LooksPerHour, LooksPerDay: t.LooksPerDay, FirstNoticeHours: t.FirstNoticeHours, Pseudonymous: t.Pseudonymous,
	}
}

// ProposeTerms proposes others.
func (s *Server) ProposeTerms(ctx context.Context, r ProposeTermsRequestObject) (ProposeTermsResponseObject, error) {
	b := r.Body
	err := s.in(ctx, func(tx *pg.Tx) error {
		return municipality.ProposePolicy(ctx, tx, municipality.Terms{
			CoolingOffSeconds: b.CoolingOffSeconds, MaxSharePercent: b.MaxSharePercent, MaxErrorPercent: b.MaxErrorPercent, SpotCheckSize: b.SpotCheckSize, ChunkSize: b.ChunkSize,
			HighestLevel: b.HighestLevel, PasswordWords: b.PasswordWords, LooksPerHour: b.LooksPerHour, LooksPerDay: b.LooksPerDay, FirstNoticeHours: b.FirstNoticeHours,
			Pseudonymous: b.Pseudonymous,
		})
	})
	return ProposeTerms204Response{}, err
}
