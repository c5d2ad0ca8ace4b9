package admin

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pgtest"
)

// TestTermsOfPrivacyTakeTwo: the watch's limits, the first clock of a deviation and pseudonyms are proposed by one and
// accepted by another, who reads what would change; and what became of it stands in words.
func TestTermsOfPrivacyTakeTwo(t *testing.T) {
	p := open(t, nil)
	p.Add(t, pgtest.Person{})
	admin, approver := p.as(t, access.Administrator), p.as(t, access.Approver)
	terms := func(more ...string) []string {
		all := map[string]string{
			"cooling_off_seconds": "0", "max_share_percent": "100", "max_error_percent": "2", "spot_check_size": "3", "chunk_size": "4", "looks_per_hour": "40", "looks_per_day": "100",
			"first_notice_hours": "24",
		}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		var filled []string
		for name, value := range all {
			filled = append(filled, name, value)
		}
		return filled
	}
	admin.post("/regler/vilkar", terms()...).sees(t, http.StatusConflict)
	admin.post("/regler/vilkar", terms("first_notice_hours", "73", "looks_per_day", "0")...).sees(t, http.StatusUnprocessableEntity, "mellom 1 og 72", "mellom 1 og 10")
	admin.post("/regler/vilkar", terms("first_notice_hours", "12", "looks_per_hour", "15", "looks_per_day", "60", "pseudonymous", "1")...).sees(t, http.StatusSeeOther)
	if n := p.Count(t, `SELECT count(*) FROM municipality_policy WHERE looks_per_hour = 15 OR pseudonymous`); n != 0 {
		t.Fatal("one was enough")
	}
	waits := approver.do(http.MethodGet, "/forslag", nil)
	waits.sees(t, http.StatusOK, "Timer til første varsel om avvik", "Bare pseudonymer, ingen navn")
	at := regexp.MustCompile(`/forslag/\d+/godta`).FindString(waits.Body)
	admin.post(at, "kind", "policy").sees(t, http.StatusForbidden)
	// There are clients: nobody turns their names into pseudonyms.
	approver.post(at, "kind", "policy").sees(t, http.StatusConflict, "Kommunen har klienter.")
	approver.post(regexp.MustCompile(`godta$`).ReplaceAllString(at, "avvis")).sees(t, http.StatusSeeOther)
	admin.post("/regler/vilkar", terms("first_notice_hours", "12", "looks_per_hour", "15", "looks_per_day", "60")...).sees(t, http.StatusSeeOther)
	at = regexp.MustCompile(`/forslag/\d+/godta`).FindString(approver.do(http.MethodGet, "/forslag", nil).Body)
	approver.post(at, "kind", "policy").sees(t, http.StatusSeeOther)
	if n := p.Count(t, `SELECT count(*) FROM municipality_policy WHERE looks_per_hour = 15 AND looks_per_day = 60 AND first_notice_hours = 12 AND NOT pseudonymous`); n != 1 {
		t.Error("two were not enough")
	}
	decided := approver.do(http.MethodGet, "/forslag", nil)
	decided.sees(t, http.StatusOK, "Godtatt", "Avvist")
	decided.lacks(t, "the list", "proposals.outcome")
	admin.do(http.MethodGet, "/personvern/avvik", nil).sees(t, http.StatusOK, "Frist for første varsel: 12 timer.")
	admin.do(http.MethodGet, "/regler/deviation", nil).sees(t, http.StatusOK, "Avvik")
}
