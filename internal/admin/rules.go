package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/frist-app/frist/internal/retention"
	"github.com/go-chi/chi/v5"
)

// classes are the deletion classes in the order of the page.
var classes = []retention.Class{
	retention.ClientRecord, retention.AlarmLog, retention.Recording, retention.ChangeValues, retention.AccessLog, retention.AuditTrail, retention.RoundRecord,
	retention.PurgedRegistration, retention.ImportReport, retention.Deviation,
}

// rulesPage is /regler: how long each class is kept and why, and what the municipality demands of rounds and sign-ins.
type rulesPage struct {
	edge.Page
	Rules []ruleRow
	Terms municipality.Terms
}

type ruleRow struct {
	retention.Rule
	Coming  *retention.Rule // a newer version that does not hold yet
	Waiting bool            // a proposal waits
}

// rulePage is /regler/{class}: the form for a new version.
type rulePage struct {
	edge.Page
	Rule retention.Rule
	Form ruleForm
}

type ruleForm struct{ Months, Days, Outcome, Authority, ValidFrom string }

// termsPage is /regler/vilkar: the form for other terms.
type termsPage struct {
	edge.Page
	Form termsForm
}

type termsForm struct {
	CoolingOffHours, MaxShare, MaxError, SpotChecks, Chunk, Words, LooksPerHour, LooksPerDay, FirstNotice string
	HighestLevel, Pseudonymous                                                                            bool
}

func init() {
	rule := retention.Rule{Class: retention.ClientRecord, Version: 1, PeriodMonths: 6, Outcome: retention.Destroy, Authority: "GDPR", ValidFrom: calendar.On(2023, 1, 1)}
	edge.Pages["rules"] = rulesPage{Rules: []ruleRow{{Rule: rule, Coming: &rule, Waiting: true}}, Terms: municipality.Terms{PasswordWords: []string{"rådhus"}}}
	edge.Pages["rule"] = rulePage{Rule: rule}
	edge.Pages["terms"] = termsPage{}
}

func (s *Server) rules(w http.ResponseWriter, r *http.Request) error {
	page := rulesPage{Page: edge.NewPage(r)}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return page.fill(r.Context(), tx)
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "rules", page)
}

func (p *rulesPage) fill(ctx context.Context, tx *pg.Tx) error {
	now, err := readRules(ctx, tx)
	if err != nil {
		return err
	}
	p.Terms = now.terms
	all, err := retention.AllRules(ctx, tx)
	if err != nil {
		return err
	}
	waits := map[string]bool{}
	if tx.Caller.Can(access.ProposalMake) || tx.Caller.Can(access.ProposalDecide) {
		waiting, _, err := proposal.List(ctx, tx)
		if err != nil {
			return err
		}
		for _, w := range waiting {
			if w.Kind == proposal.Rule {
				waits[w.Subject] = true
			}
		}
	}
	for _, class := range classes {
		line := ruleRow{Rule: now.rules[class], Waiting: waits[string(class)]}
		line.Class = class
		if n := slices.IndexFunc(all, func(r retention.Rule) bool { return r.Class == class }); n >= 0 && all[n].Version > line.Version {
			line.Coming = &all[n]
		}
		p.Rules = append(p.Rules, line)
	}
	return nil
}

// Period is how long, in words.
func (p rulesPage) Period(r retention.Rule) string {
	return periodWords(p.Page, r.PeriodMonths, r.PeriodDays)
}

// CoolingOff is how long, in words.
func (p rulesPage) CoolingOff() string { return span(p.Page, seconds(p.Terms.CoolingOffSeconds)) }

// Words are the municipality's own that no password may be made of.
func (p rulesPage) Words() string { return strings.Join(p.Terms.PasswordWords, ", ") }

func (s *Server) rule(w http.ResponseWriter, r *http.Request) error {
	page, err := s.rulePage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "rule", page)
}

func (s *Server) rulePage(r *http.Request) (rulePage, error) {
	page := rulePage{Page: edge.NewPage(r)}
	class := retention.Class(chi.URLParam(r, "class"))
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		if err := tx.Require(access.ProposalMake); err != nil {
			return err
		}
		if !slices.Contains(classes, class) {
			return problem.NotFound{What: "row"}
		}
		rules, err := retention.LoadRules(r.Context(), tx)
		page.Rule = rules[class]
		return err
	})
	page.Rule.Class = class
	page.Form = ruleForm{strconv.Itoa(page.Rule.PeriodMonths), strconv.Itoa(page.Rule.PeriodDays), string(page.Rule.Outcome), page.Rule.Authority, page.Today().Short()}
	return page, err
}

// Outcomes is the choice of what becomes of the class.
func (p rulePage) Outcomes() edge.Input {
	var choices []edge.Option
	for _, o := range retention.Outcomes(p.Rule.Class) {
		choices = append(choices, edge.Option{Value: string(o), Label: p.Say("rules.outcome." + string(o))})
	}
	return p.Select("outcome", p.Form.Outcome, choices, "label=rules.outcome")
}

// Period is how long now, in words.
func (p rulePage) Period() string { return periodWords(p.Page, p.Rule.PeriodMonths, p.Rule.PeriodDays) }

// proposeRule proposes a new version.
func (s *Server) proposeRule(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	change := retention.Change{
		Class: retention.Class(chi.URLParam(r, "class")), PeriodMonths: f.number("period_months"), PeriodDays: f.number("period_days"),
		Outcome: retention.Outcome(f.Get("outcome")), Authority: f.text("rule_authority"), ValidFrom: f.date("valid_from"),
	}
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return f.check(retention.ProposeRule(r.Context(), tx, change))
	})
	if err == nil {
		return to(w, r, "/regler", edge.Flash{Key: "accounts.flash.proposed"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.rulePage(r)
	if again != nil {
		return again
	}
	page.Form = ruleForm{f.text("period_months"), f.text("period_days"), f.Get("outcome"), f.text("rule_authority"), f.text("valid_from")}
	page.Undone = "accounts.not_proposed"
	return edge.Render(w, r, page.Fail(err), "rule", page)
}

// number is a whole number; one that cannot be read is told at its field.
func (f *form) number(name string) int {
	text := f.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		f.wrong.Add(name, "whole_number", nil)
	}
	return n
}

func (s *Server) terms(w http.ResponseWriter, r *http.Request) error {
	page, err := s.termsPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "terms", page)
}

func (s *Server) termsPage(r *http.Request) (termsPage, error) {
	page := termsPage{Page: edge.NewPage(r)}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		if err := tx.Require(access.ProposalMake); err != nil {
			return err
		}
		t, err := municipality.TermsOf(r.Context(), tx)
		page.Form = termsForm{
			CoolingOffHours: hours(t.CoolingOffSeconds), MaxShare: strconv.Itoa(t.MaxSharePercent), MaxError: strconv.Itoa(t.MaxErrorPercent),
			SpotChecks: strconv.Itoa(t.SpotCheckSize), Chunk: strconv.Itoa(t.ChunkSize), Words: strings.Join(t.PasswordWords, "\n"), HighestLevel: t.HighestLevel,
			LooksPerHour: strconv.Itoa(t.LooksPerHour), LooksPerDay: strconv.Itoa(t.LooksPerDay), FirstNotice: strconv.Itoa(t.FirstNoticeHours), Pseudonymous: t.Pseudonymous,
		}
		return err
	})
	return page, err
}

// hours is a cooling-off period as it is typed: in hours, and with seconds ("s") when it is no whole number of them.
func hours(secs int) string {
	if secs%3600 != 0 {
		return strconv.Itoa(secs) + "s"
	}
	return strconv.Itoa(secs / 3600)
}

func (f *form) hours(name string) int {
	if secs, ok := strings.CutSuffix(f.text(name), "s"); ok {
		if n, err := strconv.Atoi(secs); err == nil {
			return n
		}
	}
	return f.number(name) * 3600
}

// proposeTerms proposes other terms.
func (s *Server) proposeTerms(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	t := municipality.Terms{
		CoolingOffSeconds: f.hours("cooling_off_seconds"), MaxSharePercent: f.number("max_share_percent"), MaxErrorPercent: f.number("max_error_percent"),
		SpotCheckSize: f.number("spot_check_size"), ChunkSize: f.number("chunk_size"), HighestLevel: f.Get("highest_level") != "",
		PasswordWords: strings.FieldsFunc(f.Get("password_words"), separates),
		LooksPerHour:  f.number("looks_per_hour"), LooksPerDay: f.number("looks_per_day"), FirstNoticeHours: f.number("first_notice_hours"), Pseudonymous: f.Get("pseudonymous") != "",
	}
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return f.check(municipality.ProposePolicy(r.Context(), tx, t))
	})
	if err == nil {
		return to(w, r, "/regler", edge.Flash{Key: "accounts.flash.proposed"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.termsPage(r)
	if again != nil {
		return again
	}
	page.Form = termsForm{
		CoolingOffHours: f.text("cooling_off_seconds"), MaxShare: f.text("max_share_percent"), MaxError: f.text("max_error_percent"), SpotChecks: f.text("spot_check_size"),
		Chunk: f.text("chunk_size"), Words: f.Get("password_words"), HighestLevel: t.HighestLevel, LooksPerHour: f.text("looks_per_hour"), LooksPerDay: f.text("looks_per_day"),
		FirstNotice: f.text("first_notice_hours"), Pseudonymous: t.Pseudonymous,
	}
	page.Undone = "accounts.not_proposed"
	return edge.Render(w, r, page.Fail(err), "terms", page)
}
