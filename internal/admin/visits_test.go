package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/visit"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// fresh lets everybody who is signed in have proved a moment ago who they are.
func (p *pages) fresh(t *testing.T) {
	t.Helper()
	p.Exec(t, `UPDATE session SET fresh_until = '9000-01-01'`)
}

// asked has support ask on its page, and gives the visit.
func (p *pages) asked(t *testing.T, support *browser, fields ...string) string {
	t.Helper()
	form := append([]string{"municipality", pgtest.NumberA, "reason", "error", "reference", "23/114", "minutes", "60"}, fields...)
	support.post("/support/innsyn/ny", form...).sees(t, http.StatusSeeOther)
	var id uuid.UUID
	if err := p.Admin.QueryRow(t.Context(), `SELECT id FROM visit ORDER BY asked_at DESC, id DESC LIMIT 1`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// in grants a visit and takes support into it.
func (p *pages) in(t *testing.T, support, approver *browser, id string, grant ...string) {
	t.Helper()
	if a := approver.post("/tilgang/"+id+"/gi", append([]string{"minutes", "60"}, grant...)...); a.Status != http.StatusSeeOther {
		t.Fatalf("the grant: %d\n%s", a.Status, readable(a.Body))
	}
	if a := support.post("/support/innsyn/" + id + "/inn"); a.Location != "/klienter" {
		t.Fatalf("going in: %d\n%s", a.Status, readable(a.Body))
	}
}

// The municipality's people and support see the visit on every page, and support sees the one client, on the granted page,
// until an approver cuts it: the next page says so and support is support again.
func TestAVisitOnThePages(t *testing.T) {
	p := open(t, nil)
	one := p.Add(t, pgtest.Person{GivenName: "Xantippe", FamilyName: "Synlig", Alarms: 2})
	other := p.Add(t, pgtest.Person{GivenName: "Xantippe", FamilyName: "Usynlig"})
	foreign := p.Add(t, pgtest.Person{Municipality: p.B})
	var number string
	if err := p.Admin.QueryRow(t.Context(), `SELECT number FROM client WHERE id = $1`, one).Scan(&number); err != nil {
		t.Fatal(err)
	}
	support, approver, caseworker, administrator := p.as(t, access.Support), p.as(t, access.Approver), p.as(t, access.Caseworker), p.as(t, access.Administrator)
	p.fresh(t)
	if a := support.get("/klienter"); a.Status != http.StatusForbidden {
		t.Errorf("without a visit: %d", a.Status)
	}
	id := p.asked(t, support, "scope", "client")
	approver.get("/tilgang").sees(t, http.StatusOK, "1 forespørsel venter på svar", "23/114")
	if a := approver.post("/tilgang/"+id+"/gi", "scope", "client", "minutes", "480"); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("longer than asked for and of nobody: %d", a.Status)
	}
	p.in(t, support, approver, id, "scope", "client", "client_number", number, "page", "notes")

	head := "/klienter/" + one.String()
	list := support.get("/klienter")
	list.sees(t, http.StatusOK, "Synlig")
	list.holds(t, "the list", "Du er på innsyn hos Ås kommune", "Gå ut", "Én klient, siden Notater")
	list.lacks(t, "the list", "Usynlig", "/klienter/sok", "/adresser/")
	notes := support.get(head + "/notater")
	notes.sees(t, http.StatusOK, "Notat", "Synlig")
	notes.holds(t, "the notes", "Du er på innsyn hos Ås kommune")
	notes.lacks(t, "the notes", "/adresser/", head+"/status", "Ansatt 1")
	missing := support.get("/klienter/" + uuid.NewString() + "/notater")
	if missing.Status != http.StatusNotFound {
		t.Errorf("a missing client: %d", missing.Status)
	}
	for _, path := range []string{head, head + "/status", head + "/parorende", head + "/revisjonsspor", head + "/enheter", head + "/opptak/1", head + "/notater/1", head + "/xyz", "/klienter/" + other.String() + "/notater", "/klienter/" + foreign.String() + "/notater"} {
		if a := support.get(path); a.Status != http.StatusNotFound || same(a.Body) != same(missing.Body) {
			t.Errorf("%s: %d, and not like what is missing", path, a.Status)
		}
	}
	for _, path := range []string{"/support", "/runder", "/innsyn", "/tilgang", "/adresser/" + p.AddressOf(t, one).String(), "/bestillinger", "/import", "/protokoller"} {
		if a := support.get(path); a.Status != http.StatusForbidden {
			t.Errorf("%s in a visit: %d", path, a.Status)
		}
	}
	for _, path := range []string{head + "/notater", "/klienter/sok", head + "/status", "/klienter/ny", head + "/gruppe"} {
		if a := support.post(path, "text", "x", "q", "x"); a.Status != http.StatusForbidden {
			t.Errorf("POST %s in a visit: %d", path, a.Status)
		}
	}
	for name, b := range map[string]*browser{"a caseworker": caseworker, "an approver": approver} {
		a := b.get("/runder")
		a.holds(t, name, "har innsyn her nå", "S-00901", "/tilgang/"+id)
		if cut := strings.Contains(a.Body, "/tilgang/"+id+"/avbryt"); cut != (b == approver) {
			t.Errorf("%s sees the button that cuts: %t", name, cut)
		}
	}
	administrator.get("/runder").holds(t, "an administrator", "/tilgang/"+id+"/avbryt")
	page := approver.get("/tilgang/" + id)
	page.sees(t, http.StatusOK, "Pågår", "2 oppslag", "klientlisten", "Notater")
	if caseworker.post("/tilgang/"+id+"/avbryt").Status != http.StatusForbidden {
		t.Error("a caseworker cuts")
	}
	approver.post("/tilgang/"+id+"/avbryt").sees(t, http.StatusSeeOther)
	if a := support.get(head + "/notater"); a.Status != http.StatusSeeOther || a.Location != "/support/innsyn" {
		t.Errorf("after the cut: %d %s", a.Status, a.Location)
	}
	support.get("/support/innsyn").sees(t, http.StatusOK, "Innsynet er over", "Avbrutt")
	if a := support.get(head + "/notater"); a.Status != http.StatusForbidden {
		t.Errorf("after the end said: %d", a.Status)
	}
	support.get("/support").sees(t, http.StatusOK, "Kontroll")
	after := approver.get("/runder")
	after.lacks(t, "the pages after the cut", "har innsyn her nå")
	if a := support.post("/support/innsyn/" + id + "/inn"); a.Status != http.StatusForbidden {
		t.Errorf("going in again: %d", a.Status)
	}
}

// holds fails when a page lacks one of the words, its head among it.
func (a answer) holds(t *testing.T, where string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(a.Body, w) {
			t.Errorf("%s (%d) lacks %q", where, a.Status, w)
		}
	}
}

// same is a page without what differs from one request to the next: the way back and the clock.
func same(body string) string {
	i := strings.Index(body, `name="next" value="`)
	for i >= 0 {
		end := strings.Index(body[i+20:], `"`)
		body = body[:i] + body[i+20+end:]
		i = strings.Index(body, `name="next" value="`)
	}
	return body
}

// Every tab answers a visitor of the whole municipality, and none of one kind of page but that one: no missing grant
// hides behind a page that nobody opened.
func TestVisitorsOpenEveryGrantedPage(t *testing.T) {
	p := open(t, nil)
	client := p.Add(t, pgtest.Person{Status: "disconnected", Alarms: 2, Recordings: []string{"x"}})
	p.AddDevice(t, p.A, client, uuid.Nil)
	p.Exec(t, `INSERT INTO hold (municipality_id, client_id, reason, authority, review_on, placed_by, placed_at) VALUES (1, $1, 'police', 'a', '2030-01-01', 101, now())`, client)
	support, approver := p.as(t, access.Support), p.as(t, access.Approver)
	p.fresh(t)
	tabs := map[string]string{
		"": "deletion", "/opplysninger": "record", "/status": "status", "/enheter": "devices", "/notater": "notes", "/egenskaper": "properties", "/parorende": "kin", "/helsearbeidere": "professionals",
		"/medisinsk": "medical", "/medisinering": "medication", "/planer": "plans", "/alarmlogg": "alarms", "/opptak": "recordings", "/palegg": "holds", "/revisjonsspor": "trail",
	}
	try := func(of string, may func(kind string) bool) {
		t.Helper()
		support.get("/klienter").sees(t, http.StatusOK)
		support.get("/klienter?status=disconnected&gruppe=ingen&kontroll=1&postnr=1430&periode=status&fra=2020-01-01").sees(t, http.StatusOK)
		for path, kind := range tabs {
			want := http.StatusNotFound
			if may(kind) {
				want = http.StatusOK
			}
			a := support.get("/klienter/" + client.String() + path)
			if a.Status != want {
				t.Errorf("%s: %s answers %d, not %d\n%s", of, kind, a.Status, want, readable(a.Body))
			}
			a.lacks(t, of+" "+kind, "Ansatt 1", "/gammel-registrering", "/koble-fra", "be-om-oppheving")
		}
	}
	id := p.asked(t, support, "scope", "municipality")
	p.in(t, support, approver, id, "scope", "municipality")
	try("the municipality", func(string) bool { return true })
	support.post("/support/innsyn/"+id+"/avslutt").sees(t, http.StatusSeeOther)
	for _, kind := range visit.Pages {
		p.SetNow(p.Now().Add(time.Minute))
		id := p.asked(t, support, "scope", "page", "page", kind)
		p.in(t, support, approver, id, "scope", "page", "page", kind)
		try("the page "+kind, func(k string) bool { return k == kind })
		support.post("/support/innsyn/ut").sees(t, http.StatusSeeOther)
		if a := support.get("/klienter"); a.Status != http.StatusForbidden {
			t.Errorf("outside: %d", a.Status)
		}
	}
	if n := p.Count(t, `SELECT count(*) FROM access_log WHERE role = 'support' AND purpose NOT LIKE 'visit:%'`); n != 0 {
		t.Errorf("%d looks do not name their visit", n)
	}
}

// An instruction is entered by an administrator, confirmed by an approver, read by support, and revoked; what nothing covers
// becomes a task on the municipality's page, and its answer lets support go on.
func TestInstructionsOnThePages(t *testing.T) {
	r := rehearse(t, 2)
	support, approver, administrator := r.as(t, access.Support), r.as(t, access.Approver), r.as(t, access.Administrator)
	r.fresh(t)
	round := "/support/runder/" + theRound
	var first int64
	if err := r.Admin.QueryRow(t.Context(), `SELECT id FROM instruction WHERE municipality_id = 1`).Scan(&first); err != nil {
		t.Fatal(err)
	}
	approver.post(fmt.Sprintf("/tilgang/instrukser/%d/tilbakekall", first)).sees(t, http.StatusSeeOther)
	support.get(round).sees(t, http.StatusOK, "Kommunen må gi lov først")
	a := support.post(round + "/kontroll")
	a.sees(t, http.StatusConflict, "Kommunen er spurt")
	support.get(round).sees(t, http.StatusOK, "har ikke svart ennå")
	approver.get("/tilgang").sees(t, http.StatusOK, "Support vil kontrollere runde "+theRound)
	var question int64
	if err := r.Admin.QueryRow(t.Context(), `SELECT id FROM instruction_request`).Scan(&question); err != nil {
		t.Fatal(err)
	}
	answer := fmt.Sprintf("/tilgang/sporsmal/%d", question)
	if a := approver.post(answer, "answer_kind", "no"); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("no without a word: %d", a.Status)
	}
	approver.post(answer, "answer_kind", "once").sees(t, http.StatusSeeOther)
	support.post(round+"/kontroll").sees(t, http.StatusSeeOther)
	r.until("ready_count IS NOT NULL")
	support.get(round).sees(t, http.StatusOK, "har gitt lov for denne runden")

	if a := administrator.post("/tilgang/instrukser/ny", "action", "pre_run_control"); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("an empty instruction: %d", a.Status)
	}
	administrator.post("/tilgang/instrukser/ny", "action", "pre_run_control", "scope", "Alle runder", "valid_from", "20.12.23", "document_reference", "23/7", "decided_by", "Kommunedirektøren").sees(t, http.StatusSeeOther)
	var id int64
	if err := r.Admin.QueryRow(t.Context(), `SELECT max(id) FROM instruction`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	confirm := fmt.Sprintf("/tilgang/instrukser/%d/bekreft", id)
	if a := administrator.post(confirm); a.Status != http.StatusForbidden {
		t.Errorf("who entered confirms: %d", a.Status)
	}
	page := approver.get("/tilgang/instrukser")
	page.sees(t, http.StatusOK, "Venter på bekreftelse")
	page.holds(t, "an approver", confirm)
	approver.post(confirm).sees(t, http.StatusSeeOther)
	support.get("/support/instrukser?kommune="+pgtest.NumberA).sees(t, http.StatusOK, "Alle runder", "Gjelder")
	administrator.get(fmt.Sprintf("/tilgang/instrukser/ny?erstatter=%d", id)).holds(t, "the form that replaces", "Alle runder", "23/7", "Kommunedirektøren")
}

// Who may use which page of visits and instructions; everybody else gets 403.
var allowedVisits = map[string][]access.Role{
	"GET /tilgang":                                       townHall,
	"GET /tilgang/ny":                                    {access.Caseworker, access.Approver, access.Administrator},
	"POST /tilgang/ny":                                   {access.Caseworker, access.Approver, access.Administrator},
	"GET /tilgang/{visit}":                               townHall,
	"POST /tilgang/{visit}/gi":                           {access.Approver},
	"POST /tilgang/{visit}/avslag":                       {access.Approver},
	"POST /tilgang/{visit}/trekk":                        nil, // only who asked
	"POST /tilgang/{visit}/avbryt":                       {access.Approver, access.Administrator},
	"GET /tilgang/instrukser":                            {access.Approver, access.PrivacyOfficer, access.Administrator},
	"GET /tilgang/instrukser/ny":                         {access.Administrator},
	"POST /tilgang/instrukser/ny":                        {access.Administrator},
	"POST /tilgang/instrukser/{instruction}/bekreft":     {access.Approver},
	"POST /tilgang/instrukser/{instruction}/avvis":       {access.Approver},
	"POST /tilgang/instrukser/{instruction}/tilbakekall": {access.Approver, access.Administrator},
	"POST /tilgang/sporsmal/{question}":                  {access.Approver},
	"GET /support/instrukser":                            {access.Support},
	"GET /support/innsyn":                                {access.Support},
	"GET /support/innsyn/ny":                             {access.Support},
	"POST /support/innsyn/ny":                            {access.Support},
	"POST /support/innsyn/ut":                            {access.Support},
	"POST /support/innsyn/{visit}/inn":                   nil, // before the grant nobody
	"POST /support/innsyn/{visit}/trekk":                 {access.Support},
	"POST /support/innsyn/{visit}/avslutt":               {access.Support},
}

func TestEachRouteOfAVisitAsksForItsPermission(t *testing.T) {
	p := open(t, nil)
	browsers := map[access.Role]*browser{}
	for _, role := range append(slices.Clone(readers), access.PlatformAdministrator) {
		browsers[role] = p.as(t, role)
	}
	p.fresh(t)
	id := p.asked(t, browsers[access.Support], "scope", "municipality")
	fill := strings.NewReplacer("{visit}", id, "{instruction}", "987654", "{question}", "987654")
	seen := 0
	err := chi.Walk(p.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		name := method + " " + strings.ReplaceAll(route, "/*/", "/")
		path := strings.TrimPrefix(name, method+" ")
		if !strings.HasPrefix(path, "/tilgang") && !strings.HasPrefix(path, "/support/innsyn") && !strings.HasPrefix(path, "/support/instrukser") {
			return nil
		}
		roles, ok := allowedVisits[name]
		if !ok {
			t.Errorf("%s is not in the table", name)
		}
		seen++
		for role, b := range browsers {
			if role == access.Support && strings.HasSuffix(path, "/{visit}/trekk") && strings.HasPrefix(path, "/support") {
				continue // would take it back
			}
			var form url.Values
			if method == http.MethodPost {
				form = url.Values{}
			}
			a := b.do(method, fill.Replace(path), form)
			if may := slices.Contains(roles, role); may == (a.Status == http.StatusForbidden) || a.Status >= 500 {
				t.Errorf("%s as %s: %d", name, role, a.Status)
			}
		}
		return nil
	})
	if err != nil || seen != len(allowedVisits) {
		t.Errorf("%d routes, %d in the table: %v", seen, len(allowedVisits), err)
	}
}
