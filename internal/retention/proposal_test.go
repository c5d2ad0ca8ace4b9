package retention_test

import (
	"errors"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/frist-app/frist/internal/retention"
)

func waiting(t *testing.T, w *pgtest.World, by access.Caller) (id int64) {
	t.Helper()
	err := w.DB.InTx(t.Context(), by, func(tx *pg.Tx) error {
		open, _, err := proposal.List(t.Context(), tx)
		if len(open) != 1 {
			t.Fatalf("%d wait: %v", len(open), err)
		}
		id = open[0].ID
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func code(err error) string {
	var forbidden problem.Forbidden
	var conflict problem.Conflict
	switch {
	case errors.As(err, &forbidden):
		return forbidden.Code
	case errors.As(err, &conflict):
		return conflict.Code
	case errors.As(err, new(problem.NotFound)):
		return "not_found"
	case errors.As(err, new(problem.StepUp)):
		return "step_up"
	case err != nil:
		return err.Error()
	}
	return ""
}

func TestARuleNeedsTwo(t *testing.T) {
	w := pgtest.NewWorld(t)
	audit.RecordRefusals(w.DB)
	admin, approver := w.As(access.Administrator, w.A), w.As(access.Approver, w.A)
	today := calendar.On(2023, 9, 19)
	good := retention.Change{Class: retention.AlarmLog, PeriodMonths: 12, Outcome: retention.Destroy, Authority: " Vedtak 12/23 ", ValidFrom: today}
	propose := func(by access.Caller, change func(*retention.Change)) error {
		c := good
		if change != nil {
			change(&c)
		}
		return w.DB.InTx(t.Context(), by, func(tx *pg.Tx) error { return retention.ProposeRule(t.Context(), tx, c) })
	}
	accept := func(by access.Caller, id int64) error {
		return w.DB.InTx(t.Context(), by, func(tx *pg.Tx) error { return retention.AcceptRule(t.Context(), tx, id) })
	}
	stale := admin
	stale.FreshUntil = time.Time{}
	for what, c := range map[string]struct {
		by     access.Caller
		change func(*retention.Change)
		want   string
	}{
		"an approver proposes":     {approver, nil, "permission"},
		"without a fresh proof":    {stale, nil, "step_up"},
		"no such class":            {admin, func(c *retention.Change) { c.Class = "diary" }, "not_found"},
		"no time":                  {admin, func(c *retention.Change) { c.PeriodMonths = 0 }, "invalid: period_months=too_short_period"},
		"the log is gone too soon": {admin, func(c *retention.Change) { c.Class, c.PeriodMonths = retention.AccessLog, 23 }, "invalid: period_months=too_short_period"},
		"less than nothing":        {admin, func(c *retention.Change) { c.PeriodDays = -1 }, "invalid: period_days=between"},
		"a log for the archive": {admin, func(c *retention.Change) {
			c.Class, c.PeriodMonths, c.Outcome = retention.AccessLog, 60, retention.Preserve
		}, "invalid: outcome=choice"},
		"no authority":   {admin, func(c *retention.Change) { c.Authority = " " }, "invalid: rule_authority=required"},
		"from yesterday": {admin, func(c *retention.Change) { c.ValidFrom = today.AddDays(-1) }, "invalid: valid_from=past"},
		"from never":     {admin, func(c *retention.Change) { c.ValidFrom = calendar.Date{} }, "invalid: valid_from=required"},
	} {
		if got := code(propose(c.by, c.change)); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
	if err := propose(admin, nil); err != nil {
		t.Fatal(err)
	}
	id := waiting(t, w, admin)
	for what, c := range map[string]struct {
		by   access.Caller
		want string
	}{
		"the proposer": {admin, "own_proposal"}, "a caseworker": {w.As(access.Caseworker, w.A), "permission"}, "another municipality": {w.As(access.Approver, w.B), "not_found"},
	} {
		if got := code(accept(c.by, id)); got != c.want {
			t.Errorf("%s accepts: %q, want %q", what, got, c.want)
		}
	}
	if n := w.Count(t, `SELECT count(*) FROM retention_rule WHERE version > 1`); n != 0 {
		t.Error("a proposal is a rule")
	}
	if got := code(w.DB.InTx(t.Context(), approver, func(tx *pg.Tx) error { return municipality.AcceptPolicy(t.Context(), tx, id) })); got != "not_found" {
		t.Errorf("accepted as something else: %q", got)
	}
	w.SetNow(w.Now().AddDate(0, 0, 2)) // it holds from the day on which it is decided, not before
	if err := accept(approver, id); err != nil {
		t.Fatal(err)
	}
	if n := w.Count(t, `SELECT count(*) FROM retention_rule WHERE municipality_id = $1 AND class = 'alarm_log' AND version = 2 AND period_months = 12 AND authority = 'Vedtak 12/23'
		AND valid_from = '2023-09-21' AND start_event = 'disconnected'`, w.A); n != 1 {
		t.Error("the rule was not written as proposed")
	}
	if n := w.Count(t, `SELECT count(*) FROM retention_rule WHERE municipality_id = $1 AND version > 1`, w.B); n != 0 {
		t.Error("the other municipality got a rule")
	}
	if got := code(accept(approver, id)); got != "proposal_settled" {
		t.Errorf("twice: %q", got)
	}
	if n := w.Count(t, `SELECT count(*) FROM audit WHERE municipality_id = $1 AND subject = 'retention_rule' AND act IN ('proposed', 'proposal_accepted')`, w.A); n != 2 {
		t.Errorf("%d acts recorded", n)
	}
}

func TestTermsNeedTwo(t *testing.T) {
	w := pgtest.NewWorld(t)
	admin, approver := w.As(access.Administrator, w.A), w.As(access.Approver, w.A)
	good := municipality.Terms{CoolingOffSeconds: 3600, MaxSharePercent: 10, MaxErrorPercent: 1, SpotCheckSize: 5, ChunkSize: 100, HighestLevel: true, PasswordWords: []string{" Rådhuset", "rådhuset", "ås kommune"}, LooksPerHour: 20, LooksPerDay: 60, FirstNoticeHours: 12, Pseudonymous: false}
	propose := func(change func(*municipality.Terms)) error {
		terms := good
		if change != nil {
			change(&terms)
		}
		return w.DB.InTx(t.Context(), admin, func(tx *pg.Tx) error { return municipality.ProposePolicy(t.Context(), tx, terms) })
	}
	for want, change := range map[string]func(*municipality.Terms){
		"invalid: max_share_percent=between":   func(m *municipality.Terms) { m.MaxSharePercent = 0 },
		"invalid: cooling_off_seconds=between": func(m *municipality.Terms) { m.CoolingOffSeconds = -1 },
		"invalid: password_words=word_length":  func(m *municipality.Terms) { m.PasswordWords = []string{"ås"} },
		"invalid: looks_per_hour=between":      func(m *municipality.Terms) { m.LooksPerHour = 0 },
		"invalid: looks_per_day=between":       func(m *municipality.Terms) { m.LooksPerDay = 10001 },
		"invalid: first_notice_hours=between":  func(m *municipality.Terms) { m.FirstNoticeHours = 73 },
		"unchanged": func(m *municipality.Terms) {
			*m = municipality.Terms{CoolingOffSeconds: 0, MaxSharePercent: 100, MaxErrorPercent: 2, SpotCheckSize: 3, ChunkSize: 4, LooksPerHour: 40, LooksPerDay: 100, FirstNoticeHours: 24}
		},
	} {
		if got := code(propose(change)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if err := propose(nil); err != nil {
		t.Fatal(err)
	}
	id := waiting(t, w, admin)
	accept := func(by access.Caller) error {
		return w.DB.InTx(t.Context(), by, func(tx *pg.Tx) error { return municipality.AcceptPolicy(t.Context(), tx, id) })
	}
	if got := code(accept(admin)); got != "own_proposal" {
		t.Errorf("alone: %q", got)
	}
	if err := accept(approver); err != nil {
		t.Fatal(err)
	}
	err := w.DB.InTx(t.Context(), admin, func(tx *pg.Tx) error {
		terms, err := municipality.TermsOf(t.Context(), tx)
		if terms.LooksPerHour != 20 || terms.LooksPerDay != 60 || terms.FirstNoticeHours != 12 || terms.Pseudonymous || terms.CoolingOffSeconds != 3600 || !terms.HighestLevel || len(terms.PasswordWords) != 2 || terms.PasswordWords[0] != "rådhuset" {
			t.Errorf("%+v", terms)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := w.Count(t, `SELECT count(*) FROM municipality_policy WHERE municipality_id = $1 AND cooling_off_seconds = 3600`, w.B); n != 0 {
		t.Error("the other municipality's terms changed")
	}
}

// What the watch, the clocks and the pseudonyms hang on changes by an accepted proposal that says so, also by plain SQL.
func TestNoTermChangesAlone(t *testing.T) {
	w := pgtest.NewWorld(t)
	for _, set := range []string{"looks_per_hour = 9000", "looks_per_day = 9000", "first_notice_hours = 72", "pseudonymous = true", "cooling_off_seconds = 1"} {
		for _, role := range []access.Role{access.Administrator, access.Approver} {
			err := w.DB.InTx(t.Context(), w.As(role, w.B), func(tx *pg.Tx) error {
				_, err := tx.Exec(t.Context(), `UPDATE municipality_policy SET `+set+` WHERE municipality_id = $1`, w.B)
				return err
			})
			if err == nil {
				t.Errorf("%s set %s alone", role, set)
			}
		}
	}
	// A proposal from before there were these terms leaves them as they are.
	admin, approver := w.As(access.Administrator, w.A), w.As(access.Approver, w.A)
	err := w.DB.InTx(t.Context(), admin, func(tx *pg.Tx) error {
		_, err := proposal.Make(t.Context(), tx, proposal.Policy, "policy", 0, map[string]any{
			"cooling_off_seconds": 60, "max_share_percent": 100, "max_error_percent": 2, "spot_check_size": 3, "chunk_size": 4, "highest_level": false, "password_words": []string{},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	id := waiting(t, w, approver)
	err = w.DB.InTx(t.Context(), approver, func(tx *pg.Tx) error { return municipality.AcceptPolicy(t.Context(), tx, id) })
	if n := w.Count(t, `SELECT count(*) FROM municipality_policy WHERE municipality_id = $1 AND cooling_off_seconds = 60 AND looks_per_hour = 40 AND first_notice_hours = 24`, w.A); err != nil || n != 1 {
		t.Errorf("an old proposal: %v, %d", err, n)
	}
}
