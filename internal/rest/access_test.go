package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
)

func TestProposalsAndAccountsThroughTheAPI(t *testing.T) {
	s := newStage(t)
	admin, worker := s.As(access.Administrator, s.A), s.As(access.Caseworker, s.A).Account
	propose := func() {
		t.Helper()
		if err := account.ProposeRoles(t.Context(), s.DB, admin, worker, []access.Role{access.Caseworker, access.Approver}); err != nil {
			t.Fatal(err)
		}
	}
	propose()
	if err := account.ProposeRange(t.Context(), s.DB, admin, "10.0.0.0/8", "Rådhuset"); err != nil {
		t.Fatal(err)
	}
	err := s.DB.InTx(t.Context(), admin, func(tx *pg.Tx) error {
		return retention.ProposeRule(t.Context(), tx, retention.Change{Class: retention.AlarmLog, PeriodMonths: 9, Outcome: retention.Destroy, Authority: "x", ValidFrom: calendar.DateOf(s.Now()).AddDays(1)})
	})
	if err != nil {
		t.Fatal(err)
	}
	open := s.do(approver, "GET", "/proposals", nil)
	for _, want := range []string{`"kind":"roles"`, `"roles":["caseworker","approver"]`, `"act":"add"`, `"subject":"10.0.0.0/8"`, `"period_months":9`, admin.Name} {
		if !strings.Contains(string(open.body), want) {
			t.Errorf("%s is not in %s", want, open.body)
		}
	}
	at := func(kind, act string) string {
		return fmt.Sprintf("/proposals/%d/%s", s.Count(t, `SELECT id FROM proposal WHERE kind = $1 AND outcome IS NULL`, kind), act)
	}
	if a := s.do(administrator, "POST", at("roles", "acceptance"), nil); a.status != 403 || a.code() != "own_proposal" {
		t.Errorf("one's own: %d %s", a.status, a.body)
	}
	for _, c := range []string{at("roles", "acceptance"), at("rule", "acceptance"), at("ranges", "rejection")} {
		if a := s.do(approver, "POST", c, nil); a.status != 204 {
			t.Errorf("%s: %d %s", c, a.status, a.body)
		}
	}
	if s.Count(t, `SELECT count(*) FROM account WHERE id = $1 AND roles = '{caseworker,approver}'`, worker) != 1 ||
		s.Count(t, `SELECT count(*) FROM retention_rule WHERE version = 2 AND period_months = 9`) != 1 || s.Count(t, `SELECT count(*) FROM address_range WHERE network = '10.0.0.0/8'`) != 0 {
		t.Error("what was decided did not happen, or what was rejected did")
	}
	people := s.do(administrator, "GET", "/accounts", nil)
	if people.status != 200 || strings.Count(string(people.body), `"staff_number"`) != 5 {
		t.Errorf("%d %s", people.status, people.body)
	}
	gone := s.As(access.PrivacyOfficer, s.A).Account
	if a := s.do(administrator, "POST", fmt.Sprintf("/accounts/%d/disabling", gone), nil); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.do(administrator, "POST", fmt.Sprintf("/accounts/%d/disabling", s.As(access.Caseworker, s.B).Account), nil); a.status != 404 {
		t.Errorf("another municipality's: %d %s", a.status, a.body)
	}
}
