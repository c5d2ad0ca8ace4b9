package admin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/go-chi/chi/v5"
)

// TestNoPageTellsWhereAProtectedClientIs goes through every page with a protected client and who lives with her, as each
// role of the municipality; then the caseworker is named, and sees it (D21).
func TestNoPageTellsWhereAProtectedClientIs(t *testing.T) {
	p := open(t, nil)
	gerd := p.Add(t, pgtest.Person{GivenName: "Gerd", FamilyName: "Fossum", Status: "disconnected", Since: p.Now().AddDate(0, -3, 0), Recordings: []string{"1/aa/x"}, Alarms: 2})
	address := p.AddressOf(t, gerd)
	arne := p.Add(t, pgtest.Person{GivenName: "Arne", FamilyName: "Fossum", Address: address})
	p.AddDevice(t, p.A, [16]byte{}, address)
	p.Exec(t, `UPDATE address SET street = 'Hemmeligveien 1', postcode = '0953', town = 'Hemmelstad', note = 'Kodelås7788' WHERE id = $1`, address)
	for _, sql := range []string{
		`UPDATE client SET phone = '91234567', email = 'gerd@hidden.example', protected = true WHERE id = $1`,
		`UPDATE note SET text = 'notatord' WHERE client_id = $1`,
		`UPDATE next_of_kin SET name = 'slektsord', phone = '92345678' WHERE client_id = $1`,
		`UPDATE alarm_event SET text = 'alarmord' WHERE client_id = $1`,
		`INSERT INTO property VALUES (1, $1, 'Nøkkel', 'egenskapsord')`,
		`INSERT INTO medical_entry (municipality_id, client_id, at, text, entered_by) VALUES (1, $1, now(), 'medisinord', 0)`,
		`INSERT INTO communication (municipality_id, client_id, at, channel, text, entered_by) VALUES (1, $1, now(), 'phone', 'samtaleord', 0)`,
		`INSERT INTO client_change (municipality_id, client_id, at, field, from_value, to_value, account_id) VALUES (1, $1, now(), 'phone', '93456789', '91234567', 0)`,
		`INSERT INTO address_event (municipality_id, address_id, at, kind, text, names_clients) SELECT 1, address_id, now(), 'door', 'hendelsesord', false FROM client WHERE id = $1`,
	} {
		p.Exec(t, sql, gerd)
	}
	words := []string{"Hemmelig", "Hemmelstad", "0953", "Kodelås", "91234567", "gerd@hidden", "notatord", "slektsord", "92345678", "alarmord", "egenskapsord", "medisinord", "samtaleord", "93456789", "hendelsesord"}
	crawl := func(b *browser) (seen map[string]string) {
		t.Helper()
		seen = map[string]string{}
		look := func(path, body string) {
			for _, w := range words {
				if strings.Contains(body, w) {
					seen[w] = path
				}
			}
		}
		err := chi.Walk(p.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			if method != http.MethodGet || strings.Contains(route, "recording") {
				return nil
			}
			for _, id := range []string{gerd.String(), arne.String()} {
				path := strings.NewReplacer("/*", "", "{client}", id, "{address}", address.String()).Replace(route)
				if !strings.Contains(path, "{") {
					look(path, b.get(strings.TrimSuffix(path, "/")+"?").Body)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, search := range []string{"91234567", "hemmelig", "gerd@hidden", "0953", "notatord"} {
			if a := b.post("/klienter/sok", "q", search); a.Status == http.StatusSeeOther {
				if body := b.get(a.Location).Body; strings.Contains(body, "Fossum") {
					seen["search "+search] = a.Location
				}
			}
		}
		if body := b.get("/klienter?postnr=0953").Body; strings.Contains(body, "Fossum") {
			seen["postcode"] = "list"
		}
		return seen
	}
	for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator, access.Support, access.Operator, access.PlatformAdministrator} {
		if seen := crawl(p.as(t, role)); len(seen) > 0 {
			t.Errorf("%s sees %v", role, seen)
		}
	}
	worker := p.as(t, access.Caseworker)
	hidden, missing := worker.get("/adresser/"+address.String()), worker.get("/adresser/00000000-0000-4000-8000-000000000000")
	if hidden.Status != http.StatusNotFound || readable(hidden.Body) != readable(missing.Body) {
		t.Errorf("a hidden dwelling answers unlike a missing one: %d\n%s", hidden.Status, readable(hidden.Body))
	}
	p.Exec(t, `INSERT INTO protected_reader (municipality_id, account_id, granted_by, granted_at, confirmed_by, confirmed_at) VALUES (1, 101, 104, $1, 102, $1)`, p.Now())
	seen := crawl(worker)
	for _, w := range words {
		if seen[w] == "" {
			t.Errorf("the named one does not see %s", w)
		}
	}
	if seen["postcode"]+seen["search 91234567"] != "" || seen["91234567"] == "/klienter" {
		t.Errorf("lists show what is hidden: %v", seen)
	}
	if seen := crawl(p.as(t, access.Approver)); len(seen) > 0 {
		t.Errorf("another sees %v", seen)
	}
}

// TestAPseudonymousMunicipalityAsksForNoName: the pages of one leave out what is not held (T10).
func TestAPseudonymousMunicipalityAsksForNoName(t *testing.T) {
	p := open(t, nil)
	p.Exec(t, `UPDATE municipality_policy SET pseudonymous = true WHERE municipality_id = 1`)
	b := p.as(t, access.Caseworker)
	form := b.get("/klienter/ny")
	form.sees(t, 200, "Pseudonym")
	for _, field := range []string{"given_name", "national_id", "birth_date", "phone", "email", "street", "protected"} {
		if strings.Contains(form.Body, `name="`+field+`"`) {
			t.Errorf("the form asks for %s", field)
		}
	}
	b.post("/klienter/ny", "once", hidden(t, form.Body, "once"), "family_name", "Hansen", "given_name", "Solveig", "status", "active", "gender", "U").
		sees(t, 422, "Et pseudonym har 2 til 20 store bokstaver", "bare pseudonymer i Frist")
	made := b.post("/klienter/ny", "once", hidden(t, form.Body, "once"), "family_name", "tj-4711", "status", "active")
	if made.Status != http.StatusSeeOther {
		t.Fatalf("%d %s", made.Status, readable(made.Body))
	}
	record := b.get(made.Location)
	record.sees(t, 200, "TJ-4711", "Pseudonym")
	if strings.Contains(readable(record.Body), "Telefon") || strings.Contains(record.Body, `name="national_id"`) {
		t.Error("the record shows what is not held")
	}
	path, _ := url.Parse(made.Location)
	b.post(path.Path, "version", hidden(t, record.Body, "version"), "family_name", "TJ-4712").sees(t, 303)
	b.get("/klienter").sees(t, 200, "TJ-4712")
	if notes := b.get(strings.Replace(path.Path, "opplysninger", "notater", 1)); strings.Contains(notes.Body, "<textarea") {
		t.Error("there is a form for notes")
	}
	b.get("/import").sees(t, 200, "Bare nummer, pseudonym, status og datoer leses.")
}
