package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/frist-app/frist/internal/retention"
	"github.com/go-chi/chi/v5"
)

// proposalsPage is /forslag: what waits for a second person, and what was decided lately.
type proposalsPage struct {
	edge.Page
	Waiting []proposalLine
	Decided []proposalLine
}

// proposalLine is a proposal in words.
type proposalLine struct {
	account.ProposalLine
	What    string
	Changes []change
	Own     bool // the caller made it and may take it back
	Me      bool // it is about the caller
	Decides bool
}

// Became is what became of it; nothing as long as it waits.
func (l proposalLine) Became() proposal.Outcome { return deref(l.Outcome) }

// change is one thing that would be otherwise.
type change struct{ What, From, To string }

func init() {
	outcome, at := proposal.Accepted, time.Date(2023, 9, 1, 0, 0, 0, 0, time.UTC)
	edge.Pages["proposals"] = proposalsPage{
		Waiting: []proposalLine{{What: "Roller", Changes: []change{{"Roller", "a", "b"}}, Decides: true}, {What: "x", Own: true}, {What: "x", Me: true}},
		Decided: []proposalLine{{What: "Roller", ProposalLine: account.ProposalLine{Proposer: "Per", Decider: "Kari", Proposal: proposal.Proposal{Outcome: &outcome, DecidedAt: &at}}}},
	}
}

func (s *Server) proposals(w http.ResponseWriter, r *http.Request) error {
	page, err := s.proposalsPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "proposals", page)
}

func (s *Server) proposalsPage(r *http.Request) (proposalsPage, error) {
	page := proposalsPage{Page: edge.NewPage(r)}
	waiting, decided, err := account.Proposals(r.Context(), s.DB, page.Caller)
	if err != nil {
		return page, err
	}
	var now rulesNow
	if page.Caller.Municipality != 0 && !page.Caller.Blind() {
		err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) (err error) {
			now, err = readRules(r.Context(), tx)
			return err
		})
		if err != nil {
			return page, err
		}
	}
	for _, l := range waiting {
		line := proposalLine{ProposalLine: l, Own: l.ProposedBy == page.Caller.Account, Me: l.About != nil && *l.About == page.Caller.Account}
		line.Decides = page.Caller.Can(access.ProposalDecide) && !line.Own && !line.Me
		if line.What, line.Changes, err = page.words(l, now); err != nil {
			return page, err
		}
		page.Waiting = append(page.Waiting, line)
	}
	for _, l := range decided {
		line := proposalLine{ProposalLine: l}
		if line.What, _, err = page.words(l, now); err != nil {
			return page, err
		}
		page.Decided = append(page.Decided, line)
	}
	return page, nil
}

// rulesNow is what holds at the moment, to say what a proposal would change.
type rulesNow struct {
	rules map[retention.Class]retention.Rule
	terms municipality.Terms
}

func readRules(ctx context.Context, tx *pg.Tx) (now rulesNow, err error) {
	if now.terms, err = municipality.TermsOf(ctx, tx); err != nil {
		return now, err
	}
	now.rules, err = retention.LoadRules(ctx, tx)
	return now, err
}

// words say what a proposal is, and what it would change.
func (p proposalsPage) words(l account.ProposalLine, now rulesNow) (what string, changes []change, err error) {
	switch l.Kind {
	case proposal.Roles:
		if l.First {
			return p.Say("proposals.what.first", "name", l.Concerned), []change{{p.Say("field.roles"), p.Say("proposals.none"), roleWords(p.Page, l.Roles)}}, nil
		}
		return p.Say("proposals.what.roles", "name", l.Concerned), []change{{p.Say("field.roles"), roleWords(p.Page, l.Had), roleWords(p.Page, l.Roles)}}, nil
	case proposal.Enable:
		return p.Say("proposals.what.enable", "name", l.Concerned), []change{{p.Say("field.roles"), p.Say("proposals.none"), roleWords(p.Page, l.Roles)}}, nil
	case proposal.Ranges:
		if l.Range.Act == "remove" {
			return p.Say("proposals.what.range_remove", "network", l.Subject, "place", l.Range.Place), nil, nil
		}
		return p.Say("proposals.what.range_add", "network", l.Subject, "place", l.Range.Place), nil, nil
	case proposal.Rule:
		c, err := retention.ReadChange(l.Proposal)
		if err != nil {
			return "", nil, err
		}
		return p.Say("proposals.what.rule", "class", p.Say("rules.class."+string(c.Class)), "version", c.Version), ruleChanges(p.Page, now.rules[c.Class], c), nil
	case proposal.Policy:
		t, err := municipality.ReadTerms(l.Proposal, now.terms)
		if err != nil {
			return "", nil, err
		}
		return p.Say("proposals.what.policy"), termChanges(p.Page, now.terms, t), nil
	}
	return l.Subject, nil, nil
}

func ruleChanges(p edge.Page, old retention.Rule, c retention.Change) []change {
	var all []change
	add := func(key, from, to string) {
		if from != to {
			all = append(all, change{p.Say(key), from, to})
		}
	}
	add("rules.period", periodWords(p, old.PeriodMonths, old.PeriodDays), periodWords(p, c.PeriodMonths, c.PeriodDays))
	add("rules.outcome", p.Say("rules.outcome."+string(old.Outcome)), p.Say("rules.outcome."+string(c.Outcome)))
	add("rules.authority", old.Authority, c.Authority)
	add("rules.valid_from", old.ValidFrom.Short(), c.ValidFrom.Short())
	return all
}

func periodWords(p edge.Page, months, days int) string {
	var parts []string
	if months > 0 || days == 0 {
		parts = append(parts, p.SayN("rules.months", months))
	}
	if days > 0 {
		parts = append(parts, p.SayN("span.days", days))
	}
	return strings.Join(parts, " "+p.Say("span.and")+" ")
}

func termChanges(p edge.Page, old, t municipality.Terms) []change {
	var all []change
	add := func(key, from, to string) {
		if from != to {
			all = append(all, change{p.Say(key), from, to})
		}
	}
	yes := func(b bool) string {
		if b {
			return p.Say("rules.yes")
		}
		return p.Say("rules.no")
	}
	number := func(key string, from, to int) { add(key, p.Number(from), p.Number(to)) }
	add("rules.cooling_off", span(p, seconds(old.CoolingOffSeconds)), span(p, seconds(t.CoolingOffSeconds)))
	number("rules.max_share", old.MaxSharePercent, t.MaxSharePercent)
	number("rules.max_error", old.MaxErrorPercent, t.MaxErrorPercent)
	number("rules.spot_checks", old.SpotCheckSize, t.SpotCheckSize)
	number("rules.chunk", old.ChunkSize, t.ChunkSize)
	add("rules.highest_level", yes(old.HighestLevel), yes(t.HighestLevel))
	number("rules.looks_per_hour", old.LooksPerHour, t.LooksPerHour)
	number("rules.looks_per_day", old.LooksPerDay, t.LooksPerDay)
	number("rules.first_notice", old.FirstNoticeHours, t.FirstNoticeHours)
	add("rules.pseudonymous", yes(old.Pseudonymous), yes(t.Pseudonymous))
	add("rules.words", strings.Join(old.PasswordWords, ", "), strings.Join(t.PasswordWords, ", "))
	return all
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// acceptProposal decides for it; the package that owns what it is about applies it.
func (s *Server) acceptProposal(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	return s.decide(w, r, "proposals.flash.accepted", func(id int64) error {
		ctx, by := r.Context(), edge.Caller(r)
		switch kind := proposal.Kind(f.Get("kind")); kind {
		case proposal.Roles, proposal.Enable, proposal.Ranges:
			return account.Accept(ctx, s.DB, by, id, kind)
		case proposal.Rule:
			return s.DB.InTx(ctx, by, func(tx *pg.Tx) error { return retention.AcceptRule(ctx, tx, id) })
		case proposal.Policy:
			return s.DB.InTx(ctx, by, func(tx *pg.Tx) error { return municipality.AcceptPolicy(ctx, tx, id) })
		}
		return problem.NotFound{What: "row"}
	})
}

func (s *Server) rejectProposal(w http.ResponseWriter, r *http.Request) error {
	return s.decide(w, r, "proposals.flash.rejected", func(id int64) error {
		return s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error { return proposal.Reject(r.Context(), tx, id) })
	})
}

func (s *Server) withdrawProposal(w http.ResponseWriter, r *http.Request) error {
	return s.decide(w, r, "proposals.flash.withdrawn", func(id int64) error {
		return s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error { return proposal.Withdraw(r.Context(), tx, id) })
	})
}

func (s *Server) decide(w http.ResponseWriter, r *http.Request, flash string, act func(id int64) error) error {
	id, err := strconv.ParseInt(chi.URLParam(r, "proposal"), 10, 64)
	if err != nil {
		return problem.NotFound{What: "row"}
	}
	err = act(id)
	if err == nil {
		return to(w, r, "/forslag", edge.Flash{Key: flash})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.proposalsPage(r)
	if again != nil {
		return again
	}
	page.Undone = "proposals.not_decided"
	return edge.Render(w, r, page.Fail(err), "proposals", page)
}
