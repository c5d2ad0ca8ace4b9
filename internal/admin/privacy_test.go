package admin

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/explain"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

var (
	writers  = []access.Role{access.Administrator}
	handlers = []access.Role{access.Approver, access.Administrator}
	platform = []access.Role{access.PlatformAdministrator}
	blind    = []access.Role{access.Support, access.Operator, access.PlatformAdministrator}
)

// Who may use which page of the registers; everybody else gets 403, whether what they ask for exists or not.
var allowedPrivacy = map[string][]access.Role{
	"GET /personvern": townHall,
	"GET /personvern/underleverandorer/{subprocessor}":            townHall,
	"POST /personvern/underleverandorer/{subprocessor}/bruk":      writers,
	"POST /personvern/underleverandorer/{subprocessor}/slutt":     writers,
	"POST /personvern/underleverandorer/{subprocessor}/svar":      writers,
	"GET /personvern/behandlinger":                                townHall,
	"GET /personvern/behandlinger.json":                           townHall,
	"GET /personvern/behandlinger.csv":                            townHall,
	"GET /personvern/avvik":                                       townHall,
	"POST /personvern/avvik":                                      townHall,
	"GET /personvern/avvik/nytt":                                  townHall,
	"GET /personvern/avvik/{deviation}":                           townHall,
	"GET /personvern/avvik/{deviation}/endre":                     handlers,
	"POST /personvern/avvik/{deviation}/endre":                    handlers,
	"POST /personvern/avvik/{deviation}/bekreft":                  handlers,
	"POST /personvern/avvik/{deviation}/forkast":                  handlers,
	"POST /personvern/avvik/{deviation}/varsel":                   handlers,
	"POST /personvern/avvik/{deviation}/beslutning":               handlers,
	"POST /personvern/avvik/{deviation}/lukk":                     handlers,
	"POST /personvern/avvik/{deviation}/gjenapne":                 handlers,
	"GET /personvern/avvik/{deviation}/melding":                   townHall,
	"GET /personvern/avvik/{deviation}/melding.json":              townHall,
	"GET /personvern/erklaering":                                  townHall,
	"POST /personvern/erklaering":                                 writers,
	"POST /personvern/erklaering/publiser":                        writers,
	"GET /personvern/erklaering/forhandsvis":                      townHall,
	"GET /avvik":                                                  append(blind, townHall...), // the municipality's are sent to their own
	"POST /avvik":                                                 blind,
	"GET /plattform/underleverandorer":                            platform,
	"POST /plattform/underleverandorer":                           platform,
	"GET /plattform/underleverandorer/ny":                         platform,
	"GET /plattform/underleverandorer/{subprocessor}":             platform,
	"GET /plattform/underleverandorer/{subprocessor}/endre":       platform,
	"POST /plattform/underleverandorer/{subprocessor}":            platform,
	"POST /plattform/underleverandorer/{subprocessor}/oppfolging": platform,
}

// company announces one on the platform administrator's page.
func (p *pages) company(t *testing.T, name string) {
	t.Helper()
	p.as(t, access.PlatformAdministrator).post("/plattform/underleverandorer", "once", name, "name", name, "service", "camera", "purpose", "Kamera", "data", "Bilde", "access_rule", "request",
		"staff_countries", "no, US", "transfer_basis", "scc", "encryption", "not_needed", "copies", "none").sees(t, http.StatusSeeOther)
}

var now = []string{"discovered_at", "19.09.23", "discovered_at_time", "08.00"}

// reported is a deviation of a caseworker's, and the address of its page.
func (p *pages) reported(t *testing.T, what string) string {
	t.Helper()
	day := calendar.DateOf(p.Now()).AddDays(-1).Short()
	a := p.as(t, access.Caseworker).post("/personvern/avvik", "once", what, "kind", "wrong_access", "discovered_at", day, "discovered_at_time", "8.05", "what", what, "persons", "clients")
	a.sees(t, http.StatusSeeOther)
	return a.Location
}

func TestEachRouteOfTheRegistersAsksForItsPermission(t *testing.T) {
	p := open(t, nil)
	p.company(t, "Kamerafirma")
	at := p.reported(t, "En liste lå framme.")
	existing := strings.NewReplacer("{subprocessor}", "1", "{deviation}", strings.TrimPrefix(at, "/personvern/avvik/"))
	nothing := strings.NewReplacer("{subprocessor}", "987", "{deviation}", uuid.NewString())
	nonsense := strings.NewReplacer("{subprocessor}", "x", "{deviation}", "x")
	browsers := map[access.Role]*browser{}
	for _, role := range append(slices.Clone(readers), access.PlatformAdministrator) {
		browsers[role] = p.as(t, role)
	}
	seen := 0
	err := chi.Walk(p.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		path := strings.ReplaceAll(route, "/*/", "/")
		if !slices.ContainsFunc([]string{"/personvern", "/avvik", "/plattform/underleverandorer"}, func(root string) bool { return path == root || strings.HasPrefix(path, root+"/") }) {
			return nil
		}
		roles, ok := allowedPrivacy[method+" "+path]
		if !ok {
			t.Errorf("%s %s is not in the table", method, path)
		}
		seen++
		for role, b := range browsers {
			for i, fill := range []*strings.Replacer{existing, nothing, nonsense} {
				var form url.Values
				if method == http.MethodPost {
					form = url.Values{}
				}
				a := b.do(method, fill.Replace(path), form)
				may := slices.Contains(roles, role)
				switch {
				case !may && a.Status != http.StatusForbidden:
					t.Errorf("%s %s as %s: %d, not 403", method, fill.Replace(path), role, a.Status)
				case may && (a.Status == http.StatusForbidden || a.Status >= 500):
					t.Errorf("%s %s as %s: %d\n%s", method, fill.Replace(path), role, a.Status, readable(a.Body))
				case may && i > 0 && strings.Contains(path, "{") && a.Status != http.StatusNotFound:
					t.Errorf("%s %s as %s: %d, and there is no such thing", method, fill.Replace(path), role, a.Status)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != len(allowedPrivacy) {
		t.Errorf("%d routes, %d in the table", seen, len(allowedPrivacy))
	}
}

// What people type comes back as text on every page where it stands.
func TestWhatIsTypedComesOutAsText(t *testing.T) {
	p := open(t, nil)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>`
	p.company(t, evil)
	at := p.reported(t, evil)
	admin := p.as(t, access.Administrator)
	admin.post(at+"/endre", append(slices.Clone(now), "version", "1", "kind", "wrong_access", "what", evil, "done", evil, "consequences", evil, "cause", evil, "measures", evil)...)
	day := calendar.DateOf(p.Now()).AddDays(-1).Short()
	admin.post(at+"/endre", "version", "1", "kind", "wrong_access", "discovered_at", day, "discovered_at_time", "08.05", "what", evil, "done", evil, "consequences", evil, "cause", evil, "measures", evil).sees(t, http.StatusSeeOther)
	admin.post(at+"/varsel", "party", "nsm", "told_at", day, "told_at_time", "09.00", "reference", evil, "note", evil).sees(t, http.StatusSeeOther)
	admin.post("/personvern/underleverandorer/1/svar", "version", "1", "reply", "objected", "reference", "23/1", "note", evil).sees(t, http.StatusSeeOther)
	form := []string{"controller", evil, "officer", evil}
	for _, lang := range []string{"nb", "en"} {
		for _, section := range []string{"about", "purposes", "data", "basis", "rights", "access", "deletion", "recipients", "security", "complaint"} {
			form = append(form, lang+"."+section, evil)
		}
	}
	admin.post("/personvern/erklaering", form...).sees(t, http.StatusSeeOther)
	admin.post("/personvern/erklaering/publiser", "in_force", calendar.DateOf(p.Now()).Short()).sees(t, http.StatusSeeOther)
	anybody := p.public(t)
	for path, b := range map[string]*browser{
		at: admin, at + "/endre": admin, at + "/melding": admin, "/personvern": admin, "/personvern/underleverandorer/1": admin, "/personvern/behandlinger": admin,
		"/personvern/erklaering": admin, "/personvern/erklaering/forhandsvis": admin, "/plattform/underleverandorer/1": p.as(t, access.PlatformAdministrator), "/plattform/underleverandorer/1/endre": p.as(t, access.PlatformAdministrator),
		"/personvernerklaring/3218": anybody, "/personvernerklaring/3218?sprak=en": anybody,
	} {
		a := b.do(http.MethodGet, path, nil)
		if a.Status != http.StatusOK || strings.Contains(a.Body, "<script>alert") || strings.Contains(a.Body, "<img src=x") {
			t.Errorf("%s: %d, or it runs", path, a.Status)
		}
		if path != "/personvern/behandlinger" && !strings.Contains(html.UnescapeString(a.Body), evil) {
			t.Errorf("%s does not show what was typed, so this proves nothing", path)
		}
	}
}

// public is somebody who is not signed in, in front of a site with the public pages.
func (p *pages) public(t *testing.T) *browser {
	t.Helper()
	site, err := edge.New(edge.Site{DB: p.DB, Demo: true})
	if err != nil {
		t.Fatal(err)
	}
	mux := site.Mux()
	(&Server{Site: site, DB: p.DB}).PublicRoutes(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &browser{t, server.URL, server.Client()}
}

func TestThePublicStatementIsTheSameForEverybody(t *testing.T) {
	p := open(t, nil)
	admin := p.as(t, access.Administrator)
	anybody := p.public(t)
	for _, number := range []string{"3218", "5501", "9999", "321", "x", "3218%27"} { // no statement, no municipality, no number
		anybody.do(http.MethodGet, "/personvernerklaring/"+number, nil).sees(t, http.StatusNotFound)
	}
	p.company(t, "Ubrukt firma")
	admin.post("/personvern/erklaering", "controller", "Rådhuset", "officer", "ombud@example.no", "nb.about", "Vi i Ås.\n\nAndre avsnitt.").sees(t, http.StatusSeeOther)
	admin.post("/personvern/erklaering/publiser", "in_force", calendar.DateOf(p.Now()).Short()).sees(t, http.StatusSeeOther)
	admin.post("/personvern/erklaering", "controller", "Rådhuset", "officer", "ombud@example.no", "nb.about", "Hemmelig kladd").sees(t, http.StatusSeeOther)
	a := anybody.do(http.MethodGet, "/personvernerklaring/3218", nil)
	a.sees(t, http.StatusOK, "Personvernerklæring for Ås kommune", "Vi i Ås.", "Andre avsnitt.", "ombud@example.no", "6 måneder etter frakobling", "datatilsynet.no")
	a.lacks(t, "the public page", "Hemmelig kladd", "Tromsø", "Ubrukt firma")
	if a.Header.Get("Cache-Control") != "public, max-age=300" || a.Header.Get("Set-Cookie") != "" || a.Header.Get("Vary") != "Accept-Language" {
		t.Errorf("%v", a.Header)
	}
	// With somebody's cookies, a flash among them, it is the same page to the last byte: a cache may keep it.
	token := admin.http.Jar.Cookies(&url.URL{Scheme: "http", Host: "127.0.0.1"})
	cookies := "frist-flash=eyJrIjoiZGVtby50aXRsZSJ9"
	for _, c := range token {
		cookies += "; " + c.String()
	}
	again := anybody.do(http.MethodGet, "/personvernerklaring/3218", nil, "Cookie", cookies)
	if again.Body != a.Body || again.Header.Get("Set-Cookie") != "" {
		t.Error("somebody with cookies gets another page")
	}
	anybody.do(http.MethodGet, "/personvernerklaring/3218", nil, "Accept-Language", "en").sees(t, http.StatusOK, "Privacy statement of Ås municipality", "6 months after disconnection")
	anybody.do(http.MethodGet, "/personvernerklaring/5501", nil).sees(t, http.StatusNotFound)
	index := anybody.do(http.MethodGet, "/personvernerklaring", nil)
	index.sees(t, http.StatusOK, "Ås kommune")
	index.lacks(t, "the list", "Tromsø")
}

func TestTheRecordOfProcessingShowsEveryClassAndColumn(t *testing.T) {
	p := open(t, nil)
	a := p.as(t, access.PrivacyOfficer).do(http.MethodGet, "/personvern/behandlinger", nil)
	a.sees(t, http.StatusOK)
	text, page := edge.T("nb"), processingPage{privacyHead: privacyHead{Page: edge.SamplePage("nb")}}
	for _, table := range explain.Catalogue() {
		if !strings.Contains(a.Body, `id="klasse-`+table.Class+`"`) || !strings.Contains(a.Body, ">"+table.Name+"<") {
			t.Errorf("%s of %s is not on the page", table.Name, table.Class)
		}
		personal, class := false, ""
		if _, after, ok := strings.Cut(a.Body, `id="klasse-`+table.Class+`"`); ok {
			class, _, _ = strings.Cut(after, "</section>")
		}
		if impersonal := !strings.Contains(class, "<dl"); impersonal != slices.Contains([]string{"import_report", "job_row", "none"}, table.Class) {
			t.Errorf("%s: without personal data: %v", table.Class, impersonal) // a voice, and an opaque id of a person, are personal data
		}
		row := a.Body[max(0, strings.Index(a.Body, `small">`+table.Name+"<")):]
		row, _, _ = strings.Cut(row, "</tr>")
		for _, c := range table.Columns {
			if c.Kind == explain.Personal || c.Kind == explain.Staff {
				personal = true
				if words, ok := page.column(c.Name); !ok || !strings.Contains(row, `<span title="`+c.Name+`">`+words+`</span>`) {
					t.Errorf("%s.%s is not on the page in words", table.Name, c.Name)
				}
			}
		}
		if personal { // what holds something of a person says why, by which right, and about whom
			for _, part := range []string{"class", "purpose", "basis", "persons"} {
				if !text.Has("processing." + part + "." + table.Class) {
					t.Errorf("nobody has written processing.%s.%s", part, table.Class)
				}
			}
		}
	}
}

func TestSupportHasNoFieldForWords(t *testing.T) {
	p := open(t, nil)
	for _, role := range blind {
		b := p.as(t, role)
		form := b.do(http.MethodGet, "/avvik", nil)
		form.sees(t, http.StatusOK)
		if strings.Contains(form.Body, "<textarea") {
			t.Errorf("%s has a field for words", role)
		}
		day := calendar.DateOf(p.Now()).AddDays(-1).Short()
		filled := []string{"once", "a", "for_municipality", "3218", "kind", "integrity", "discovered_at", day, "discovered_at_time", "08.00", "affected", "12"}
		b.post("/avvik", append(slices.Clone(filled), "what", "Kari Nordmann")...).sees(t, http.StatusForbidden)
		b.post("/avvik", filled...).sees(t, http.StatusSeeOther)
		b.post("/avvik", filled...).sees(t, http.StatusSeeOther) // pressed twice
		b.do(http.MethodGet, "/avvik", nil).sees(t, http.StatusOK, "3218 Ås", "Åpent")
		b.post("/avvik", "kind", "x").sees(t, http.StatusUnprocessableEntity, "Velg kommunen det gjelder.")
	}
	if n := p.Count(t, `SELECT count(*) FROM deviation WHERE affected = 12 AND source = 'support'`); n != 2 { // the processor's two; the operator is the supplier's
		t.Errorf("%d reports of two", n)
	}
}

func TestTheStoryOfADeviation(t *testing.T) {
	p := open(t, nil)
	at := p.reported(t, "Brev til feil adresse.")
	day := calendar.DateOf(p.Now()).AddDays(-1).Short()
	approver, admin := p.as(t, access.Approver), p.as(t, access.Administrator)
	approver.post(at+"/lukk").sees(t, http.StatusUnprocessableEntity, "Ikke lukket", "Skriv årsaken før avviket lukkes.")
	approver.post(at+"/varsel", "party", "datatilsynet", "told_at", day, "told_at_time", "7.00").sees(t, http.StatusUnprocessableEntity, "før avviket ble oppdaget")
	approver.post(at+"/varsel", "party", "datatilsynet", "told_at", day, "told_at_time", "x").sees(t, http.StatusUnprocessableEntity, "Skriv klokkeslettet som tt.mm")
	approver.post(at+"/varsel", "party", "datatilsynet", "told_at", day, "told_at_time", "9.30", "reference", "23/4").sees(t, http.StatusSeeOther)
	approver.post(at+"/beslutning", "not_party", "nsm").sees(t, http.StatusUnprocessableEntity, "Oppgi grunnen.")
	approver.post(at+"/beslutning", "not_party", "nsm", "reason", "Ikke et digitalt system.").sees(t, http.StatusSeeOther)
	admin.post(at+"/endre", "version", "1", "kind", "wrong_access", "discovered_at", day, "discovered_at_time", "8.05", "what", "Brev", "cause", "Tastefeil", "measures", "Oppslag").sees(t, http.StatusSeeOther)
	admin.post(at+"/endre", "version", "1", "kind", "wrong_access", "discovered_at", day, "discovered_at_time", "8.05", "what", "Annet").sees(t, http.StatusConflict)
	admin.post(at+"/lukk").sees(t, http.StatusSeeOther)
	page := p.as(t, access.PrivacyOfficer).do(http.MethodGet, at, nil)
	page.sees(t, http.StatusOK, "Lukket", "varslet "+day+" kl. 09.30", "besluttet å ikke varsle", "Tastefeil", "23/4", "Ikke et digitalt system.")
	if strings.Contains(page.Body, "<form method=\"post\" action=\"/personvern") {
		t.Error("the privacy officer, who changes nothing, has a form")
	}
	notice := p.as(t, access.PrivacyOfficer).do(http.MethodGet, at+"/melding.json", nil)
	notice.sees(t, http.StatusOK, `"what_happened":"Brev"`, `"likely_consequences"`, `"measures_taken"`, `"party":"datatilsynet"`, `"late":false`)
	p.as(t, access.PrivacyOfficer).do(http.MethodGet, at+"/melding", nil).sees(t, http.StatusOK, "Avviksmelding")
}
