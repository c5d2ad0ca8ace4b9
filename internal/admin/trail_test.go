package admin

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pgtest"
)

func TestWhoLookedAndWhyIsFoundWithoutANameInAnAddress(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	id := p.Add(t, pgtest.Person{GivenName: "Solveig", FamilyName: "Hansen", NationalID: "13097248022"})
	p.Add(t, pgtest.Person{GivenName: "Arne", FamilyName: "Hansen"})
	p.Add(t, pgtest.Person{GivenName: "Solveig", FamilyName: "Hansen", NationalID: "13097248022", Municipality: p.B})
	b.get("/klienter/"+id.String()+"/notater").sees(t, 200)
	officer := p.as(t, access.PrivacyOfficer)
	for _, typed := range []string{"Hansen Solveig", "130972 48022", id.String()} {
		a := officer.do(http.MethodPost, "/innsyn/person", url.Values{"person": {typed}})
		to := a.Location
		if a.Status != http.StatusSeeOther || strings.Contains(to, "Hansen") || strings.Contains(to, "1309") {
			t.Fatalf("%d to %s", a.Status, to)
		}
		a = officer.get(to)
		if a.Status != http.StatusSeeOther || a.Location != "/innsyn/"+id.String() {
			t.Fatalf("%q leads to %d %s", typed, a.Status, a.Location)
		}
	}
	officer.get("/innsyn/"+id.String()).sees(t, 200, "Ansatt 101", "Saksbehandler", "arbeid med klientens sak", "klienten: notater")
	to := officer.do(http.MethodPost, "/innsyn/person", url.Values{"person": {"hansen"}}).Location
	officer.get(to).sees(t, 200, "Hvem mener du?", "2 treff", "Hansen, Arne", "Hansen, Solveig")
	// Whom the officer was shown is on record too.
	if n := p.Count(t, `SELECT count(*) FROM access_log WHERE page = 'log.person' AND purpose = 'control' AND account_id = $1 AND $2 = ANY (client_ids)`, p.As(access.PrivacyOfficer, p.A).Account, id); n != 4 {
		t.Errorf("%d looks of the officer are on record", n)
	}
	// What one typed nobody else can open.
	other := p.as(t, access.Approver)
	if a := other.get(to); a.Status != http.StatusForbidden {
		t.Errorf("an approver opens it: %d", a.Status)
	}
	officer.do(http.MethodPost, "/innsyn/person", url.Values{"person": {" "}}).sees(t, 422, "Skriv hvem det gjelder.")
	officer.do(http.MethodPost, "/innsyn/sok", url.Values{"hvem": {"finnes ikke"}, "fra": {"31.02.23"}}).sees(t, 422, "Ingen treff", "finnes ikke", "28 dager")
	to = officer.do(http.MethodPost, "/innsyn/sok", url.Values{"hvem": {"ansatt 101"}, "hvilken_klient": {"13097248022"}, "fra": {"19.9.23"}, "logg": {"look"}}).Location
	if strings.Contains(to, "1309") || strings.Contains(strings.ToLower(to), "ansatt+101") {
		t.Errorf("the address tells whom: %s", to)
	}
	officer.get(to).sees(t, 200, "klienten: notater", "Ansatt: navn eller ansattnummer: Ansatt 101", "1 klient", "Fra og med: 19.09.23")
}

func TestTheLogIsHandedOutToWhoHasJustProvedWhoTheyAre(t *testing.T) {
	p := open(t, nil)
	id := p.Add(t, pgtest.Person{})
	p.as(t, access.Caseworker).get("/klienter/"+id.String()).sees(t, 200)
	officer := p.as(t, access.PrivacyOfficer)
	p.Exec(t, `UPDATE session SET fresh_until = NULL`)
	for _, form := range []string{"csv", "fhir"} {
		a := officer.post("/innsyn/eksport", "format", form)
		if a.Status != http.StatusForbidden || strings.Contains(a.Body, id.String()) {
			t.Errorf("%s without a fresh proof: %d", form, a.Status)
		}
	}
	if n := p.Count(t, `SELECT count(*) FROM audit WHERE refused AND detail ->> 'code' = 'step_up'`); n != 2 {
		t.Errorf("%d refusals are on record", n)
	}
	if a := p.as(t, access.PrivacyOfficer).post("/innsyn/eksport", "format", "exe"); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("another format: %d", a.Status)
	}
}

// Every act and every look that the product can write has words, in every language: a log of codes is not readable.
func TestEveryCodeOfTheLogsHasWords(t *testing.T) {
	files, err := filepath.Glob("../*/*.go")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	act, look := regexp.MustCompile(`Act: "([a-z_.]+)"`), regexp.MustCompile(`audit\.Looked\([a-z.]+, "([a-z_.]+)", "([a-z_]+)"`)
	tab := regexp.MustCompile(`showClient\(w, r, [^,]+, "[^"]+", [^,]+, "([a-z]*)"|FindTab\([^,]+, [^,]+, [^,]+, "([a-z]*)"|Opened\([^,]+, [^,]+, "([a-z]*)"`)
	refusal := regexp.MustCompile(`(?:Forbidden\{Code:|Tried\(problem\.Conflict\{Code:|Tried\(problem\.InvalidField\("[A-Za-z-]+",|beyond\.Add\("[a-z_]+",|refused[A-Z][a-z]+ +=) "([a-z_]+)"|code = "(role_[a-z_]+)"`)
	keys := map[string]bool{"refusal.rights_step": true, "refusal.step_up": true, "refusal.network": true, "refusal.ended": true}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.Contains(file, "/demo/") {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range act.FindAllStringSubmatch(string(raw), -1) {
			if !strings.HasSuffix(m[1], ".") && len(m[1]) > 1 && !slices.Contains([]string{"add", "asked", "found", "reopened", "told", "not_told", "closed", "reported", "dismissed", "confirmed"}, m[1]) { // put together, or what a page's sample and a step are called
				keys["act."+m[1]] = true
			}
		}
		for _, m := range refusal.FindAllStringSubmatch(string(raw), -1) {
			keys["refusal."+m[1]+m[2]] = true
		}
		for _, m := range look.FindAllStringSubmatch(string(raw), -1) {
			keys["look."+m[1]], keys["purpose."+m[2]] = true, true
		}
		for _, m := range tab.FindAllStringSubmatch(string(raw), -1) {
			keys[strings.TrimSuffix("look.client."+m[1]+m[2]+m[3], ".")] = true
		}
	}
	if len(keys) < 50 {
		t.Fatalf("only %d codes: this test sees nothing", len(keys))
	}
	for key := range keys {
		for _, lang := range edge.Languages() {
			if !edge.T(lang).Has(key) {
				t.Errorf("no words for %s in %s", key, lang)
			}
		}
	}
}
