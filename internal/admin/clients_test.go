package admin

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// pages is the world with a browser in front of it.
type pages struct {
	*pgtest.World
	URL    string
	blobs  *blob.Store
	routes chi.Routes
}

func open(t *testing.T, db func(*pgtest.World) *pg.DB) *pages {
	t.Helper()
	w := pgtest.NewWorld(t)
	at := w.DB
	if db != nil {
		at = db(w)
	}
	audit.RecordRefusals(at)
	if err := deletion.Sweep(t.Context(), w.DB); err != nil {
		t.Fatal(err)
	}
	site, err := edge.New(edge.Site{DB: at, Demo: true, Log: slog.New(slog.DiscardHandler), Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := blob.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mux := site.Mux()
	mux.Group(func(r chi.Router) {
		r.Use(site.Signed)
		(&Server{Site: site, DB: at, Blobs: blobs, Key: []byte("key of the tests")}).Routes(r)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &pages{World: w, URL: server.URL, blobs: blobs, routes: mux}
}

// browser is somebody who is signed in.
type browser struct {
	t    *testing.T
	url  string
	http *http.Client
}

func (p *pages) as(t *testing.T, role access.Role) *browser {
	t.Helper()
	municipality := p.A
	if role == access.Support || role == access.Operator || role == access.PlatformAdministrator {
		municipality = 0
	}
	caller := p.As(role, municipality)
	token, err := account.SignInDemo(t.Context(), p.DB, fmt.Sprintf("%s.%d.%d", role, municipality, caller.Account))
	if err != nil {
		t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil)
	u, _ := url.Parse(p.URL)
	jar.SetCookies(u, []*http.Cookie{{Name: "frist", Value: token, Path: "/"}})
	return &browser{t, p.URL, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is what came back.
type answer struct {
	Status   int
	Location string
	Header   http.Header
	Body     string
}

func (b *browser) do(method, path string, form url.Values, more ...string) answer {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	return b.send(r)
}

func (b *browser) send(r *http.Request) answer {
	b.t.Helper()
	response, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header.Get("Location"), response.Header, string(raw)}
}

func (b *browser) get(path string) answer { b.t.Helper(); return b.do(http.MethodGet, path, nil) }

func (b *browser) post(path string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.do(http.MethodPost, path, form)
}

// sees fails when the answer has another status or lacks one of the words.
func (a answer) sees(t *testing.T, status int, words ...string) {
	t.Helper()
	text := readable(a.Body)
	if a.Status != status {
		t.Fatalf("status %d, not %d:\n%s", a.Status, status, text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

func readable(html string) string {
	if _, main, ok := strings.Cut(html, "<main"); ok {
		html = main
	}
	text := tags.ReplaceAllString(strings.NewReplacer("</dt>", " ", "</p>", " ", "</h2>", " ", "</h3>", " ", "</td>", " ", "</th>", " ").Replace(html), "")
	return spaces.ReplaceAllString(strings.NewReplacer("&#34;", `"`, "&#43;", "+", "&amp;", "&").Replace(text), " ")
}

// hidden is the value of a hidden field.
func hidden(t *testing.T, html, name string) string {
	t.Helper()
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(html)
	if found == nil {
		t.Fatalf("no field %s", name)
	}
	return found[1]
}

func TestEveryPageRendersInEveryLanguage(t *testing.T) {
	if err := edge.TryPages(); err != nil {
		t.Fatal(err)
	}
}

// who may use which of these pages; everybody else gets 403. Every route under these roots stands here.
var allowed = map[string][]access.Role{
	"GET /klienter":                                          {access.Caseworker, access.Approver},
	"POST /klienter/sok":                                     {access.Caseworker, access.Approver},
	"GET /klienter/ny":                                       {access.Caseworker},
	"POST /klienter/ny":                                      {access.Caseworker},
	"GET /klienter/{client}/":                                {access.Caseworker, access.Approver},
	"POST /klienter/{client}/gruppe":                         {access.Caseworker},
	"POST /klienter/{client}/gammel-registrering":            {access.Caseworker},
	"GET /klienter/{client}/opplysninger":                    {access.Caseworker, access.Approver},
	"POST /klienter/{client}/opplysninger":                   {access.Caseworker},
	"POST /klienter/{client}/kontrollert":                    {access.Caseworker},
	"GET /klienter/{client}/status":                          {access.Caseworker, access.Approver},
	"POST /klienter/{client}/status":                         {access.Caseworker, access.Approver},
	"GET /klienter/{client}/enheter":                         {access.Caseworker, access.Approver},
	"POST /klienter/{client}/enheter":                        {access.Caseworker},
	"GET /klienter/{client}/rett":                            {access.Caseworker},
	"POST /klienter/{client}/rett":                           {access.Caseworker},
	"POST /klienter/{client}/enheter/{device}/koble-fra":     {access.Caseworker},
	"POST /klienter/{client}/enheter/{device}/flytt":         {access.Caseworker},
	"POST /klienter/{client}/enheter/{device}/forhandsvalgt": {access.Caseworker},
	"GET /klienter/{client}/enheter/{device}/bytt":           {access.Caseworker, access.Approver},
	"POST /klienter/{client}/enheter/{device}/bytt":          {access.Caseworker},
	"GET /klienter/{client}/notater":                         {access.Caseworker, access.Approver},
	"POST /klienter/{client}/notater":                        {access.Caseworker},
	"GET /klienter/{client}/egenskaper":                      {access.Caseworker, access.Approver},
	"GET /klienter/{client}/parorende":                       {access.Caseworker, access.Approver},
	"GET /klienter/{client}/helsearbeidere":                  {access.Caseworker, access.Approver},
	"GET /klienter/{client}/medisinsk":                       {access.Caseworker, access.Approver},
	"GET /klienter/{client}/medisinering":                    {access.Caseworker, access.Approver},
	"GET /klienter/{client}/planer":                          {access.Caseworker, access.Approver},
	"GET /klienter/{client}/alarmlogg":                       {access.Caseworker, access.Approver},
	"GET /klienter/{client}/opptak":                          {access.Caseworker, access.Approver},
	"GET /klienter/{client}/opptak/{recording}":              {access.Caseworker, access.Approver},
	"GET /klienter/{client}/palegg":                          {access.Caseworker, access.Approver},
	"GET /klienter/{client}/palegg/nytt":                     {access.Caseworker, access.Approver},
	"POST /klienter/{client}/palegg/nytt":                    {access.Caseworker, access.Approver},
	"POST /klienter/{client}/palegg/{hold}/be-om-oppheving":  {access.Caseworker, access.Approver},
	"POST /klienter/{client}/palegg/{hold}/opphev":           {access.Approver},
	"GET /klienter/{client}/revisjonsspor":                   {access.Caseworker, access.Approver},
	"POST /klienter/{client}/skjerming":                      {access.Caseworker},
	"POST /klienter/{client}/skjerming/opphev":               {access.Caseworker, access.Approver},
	"POST /klienter/{client}/skjerming/behold":               {access.Caseworker, access.Approver},
	"GET /klienter/{client}/rettigheter":                     {access.Caseworker},
	"POST /klienter/{client}/rettigheter":                    {access.Caseworker},
	"GET /adresser/{address}":                                {access.Caseworker, access.Approver},
	"GET /adresser/{address}/palegg/nytt":                    {access.Caseworker, access.Approver},
	"POST /adresser/{address}/palegg/nytt":                   {access.Caseworker, access.Approver},
	"GET /import":                                            {access.Caseworker},
	"POST /import":                                           {access.Caseworker},
	"GET /import/{run}":                                      {access.Caseworker},
	"GET /innsyn":                                            {access.PrivacyOfficer},
	"GET /innsyn/{client}":                                   {access.PrivacyOfficer},
	"GET /innsyn/person":                                     {access.PrivacyOfficer},
	"POST /innsyn/person":                                    {access.PrivacyOfficer},
	"POST /innsyn/sok":                                       {access.PrivacyOfficer},
	"POST /innsyn/eksport":                                   {access.PrivacyOfficer},
	"GET /innsyn/funn":                                       {access.PrivacyOfficer},
	"POST /innsyn/funn/{finding}":                            {access.PrivacyOfficer},
}

func mine(route string) bool {
	_, path, _ := strings.Cut(route, " ")
	return slices.ContainsFunc([]string{"/klienter", "/adresser", "/import", "/innsyn"}, func(root string) bool { return strings.HasPrefix(path, root) })
}

func TestEachRouteAsksForItsPermission(t *testing.T) {
	p := open(t, nil)
	id := p.Add(t, pgtest.Person{Recordings: []string{"1/aa/x"}})
	if err := p.blobs.Put(t.Context(), "1/aa/x", "audio/wav", append([]byte("RIFF\x00\x00\x00\x00WAVE"), make([]byte, 600)...)); err != nil {
		t.Fatal(err)
	}
	device, hold, run := uuid.New(), uuid.New(), uuid.New()
	p.Exec(t, `INSERT INTO device (municipality_id, id, code, serial, kind, stock_state) VALUES ($1, $2, '300412', '', 'Fallsensor', 'connected')`, p.A, device)
	p.Exec(t, `INSERT INTO device_connection (municipality_id, device_id, client_id, preferred, connected_at) VALUES ($1, $2, $3, true, $4)`, p.A, device, id, p.Now())
	p.Exec(t, `INSERT INTO hold (municipality_id, id, client_id, reason, authority, review_on, placed_by, placed_at, release_asked_by, release_asked_at, release_reason)
		VALUES ($1, $2, $3, 'police', 'x', '2024-01-01', 101, $4, 101, $4, 'x')`, p.A, hold, id, p.Now())
	p.Exec(t, `INSERT INTO import_run (municipality_id, id, started_by, started_at, finished_at, format, rows, expires_on) VALUES ($1, $2, 101, $3, $3, 'csv', 0, '2024-01-01')`, p.A, run, p.Now())
	p.Exec(t, `INSERT INTO note (municipality_id, client_id, id, at, text, entered_by) VALUES ($1, $2, 77, $3, 'x', 101)`, p.A, id, p.Now())
	address, recording := "", ""
	if err := p.Admin.QueryRow(t.Context(), `SELECT address_id::text, (SELECT id::text FROM recording WHERE client_id = c.id) FROM client c WHERE id = $1`, id).Scan(&address, &recording); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{client}", id.String(), "{device}", device.String(), "{hold}", hold.String(), "{address}", address, "{recording}", recording, "{run}", run.String())
	browsers := map[access.Role]*browser{}
	for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator, access.Support, access.Operator, access.PlatformAdministrator} {
		browsers[role] = p.as(t, role)
	}
	seen := 0
	err := chi.Walk(p.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		name := method + " " + strings.ReplaceAll(route, "/*/", "/")
		if !mine(name) {
			return nil
		}
		roles, ok := allowed[name]
		if !ok {
			t.Errorf("%s is not in the table", name)
		}
		seen++
		path := strings.TrimSuffix(fill.Replace(strings.TrimPrefix(name, method+" ")), "/")
		for role, b := range browsers {
			if slices.Contains(roles, role) {
				continue
			}
			form := url.Values{}
			if method == http.MethodGet {
				form = nil
			}
			if strings.HasSuffix(path, "/status") && form != nil { // a form that can be read, so that the domain is asked
				form = url.Values{"status": {"disconnected"}, "at": {"19.09.23"}}
			}
			if strings.HasSuffix(path, "/opplysninger") && form != nil {
				form = url.Values{"version": {"1"}}
			}
			if strings.HasSuffix(path, "/gruppe") {
				form = url.Values{"group": {"1"}}
			}
			if strings.HasSuffix(path, "/enheter") && form != nil || strings.HasSuffix(path, "/bytt") && form != nil {
				form = url.Values{"code": {"300412"}}
			}
			if strings.HasSuffix(path, "/rettigheter") && form != nil {
				form = url.Values{"kind": {"access"}, "received_on": {"19.09.23"}, "channel": {"letter"}, "reference": {"1"}}
			}
			if strings.HasSuffix(path, "/flytt") {
				form = url.Values{"resident": {id.String()}}
			}
			if a := b.do(method, path, form); a.Status != http.StatusForbidden {
				t.Errorf("%s %s as %s: %d", method, path, role, a.Status)
			}
		}
		if method == http.MethodGet {
			if strings.HasSuffix(path, "/rett") {
				path += "?hva=note&rad=77"
			}
			for _, role := range roles {
				if a := browsers[role].get(path); a.Status != http.StatusOK {
					t.Errorf("%s as %s: %d\n%s", path, role, a.Status, readable(a.Body))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != len(allowed) {
		t.Errorf("%d routes, %d in the table", seen, len(allowed))
	}
}

func TestAForeignIDAnswersLikeAMissingOne(t *testing.T) {
	p := open(t, nil)
	own := p.Add(t, pgtest.Person{})
	foreign := p.Add(t, pgtest.Person{Municipality: p.B, Recordings: []string{"2/bb/x"}})
	device, hold, run := uuid.New(), uuid.New(), uuid.New()
	p.Exec(t, `INSERT INTO device (municipality_id, id, code, serial, kind, stock_state) VALUES ($1, $2, '300412', '', 'Fallsensor', 'connected')`, p.B, device)
	p.Exec(t, `INSERT INTO device_connection (municipality_id, device_id, client_id, preferred, connected_at) VALUES ($1, $2, $3, true, $4)`, p.B, device, foreign, p.Now())
	p.Exec(t, `INSERT INTO hold (municipality_id, id, client_id, reason, authority, review_on, placed_by, placed_at) VALUES ($1, $2, $3, 'police', 'x', '2024-01-01', 201, $4)`, p.B, hold, foreign, p.Now())
	p.Exec(t, `INSERT INTO import_run (municipality_id, id, started_by, started_at, finished_at, format, rows, expires_on) VALUES ($1, $2, 201, $3, $3, 'csv', 0, '2024-01-01')`, p.B, run, p.Now())
	var address uuid.UUID
	var recording int64
	if err := p.Admin.QueryRow(t.Context(), `SELECT address_id, (SELECT id FROM recording WHERE client_id = c.id) FROM client c WHERE id = $1`, foreign).Scan(&address, &recording); err != nil {
		t.Fatal(err)
	}
	var theirs int64
	if err := p.Admin.QueryRow(t.Context(), `SELECT id FROM deletion_round WHERE municipality_id = $1 LIMIT 1`, p.B).Scan(&theirs); err != nil {
		t.Fatal(err)
	}
	b, approver := p.as(t, access.Caseworker), p.as(t, access.Approver)
	for name, roles := range allowed {
		if !slices.Contains(roles, access.Caseworker) && !slices.Contains(roles, access.Approver) || !strings.Contains(name, "{") {
			continue
		}
		by := b
		if !slices.Contains(roles, access.Caseworker) {
			by = approver
		}
		method, route, _ := strings.Cut(name, " ")
		ask := func(ids ...string) string {
			path := strings.TrimSuffix(strings.NewReplacer(append([]string{"{run}", ids[0]}, "{client}", ids[0], "{address}", ids[0], "{device}", ids[1], "{hold}", ids[2], "{recording}", ids[3])...).Replace(route), "/")
			var form url.Values
			if method == http.MethodPost {
				form = url.Values{"status": {"disconnected"}, "at": {"19.09.23"}, "version": {"1"}, "group": {"1"}, "code": {"x"}, "resident": {ids[0]}, "text": {"x"}, "reason": {"police"}, "authority": {"x"}, "review_on": {"01.01.24"}}
			}
			a := by.do(method, path, form)
			body := a.Body
			for _, id := range ids {
				if len(id) > 8 {
					body = strings.ReplaceAll(body, id, "ID")
				}
			}
			body = strings.ReplaceAll(body, "/opptak/"+ids[3], "/opptak/N")
			body = regexp.MustCompile(`name="once" value="[^"]*"`).ReplaceAllString(body, "")
			return fmt.Sprint(a.Status, " ", body)
		}
		first := foreign.String()
		switch {
		case strings.Contains(route, "{address}"):
			first = address.String()
		case strings.Contains(route, "{run}"):
			first = run.String()
		}
		there := ask(first, device.String(), hold.String(), fmt.Sprint(recording))
		missing := ask(uuid.NewString(), uuid.NewString(), uuid.NewString(), "999999")
		if there != missing {
			t.Errorf("%s tells a foreign id from a missing one:\n%.400s\n---\n%.400s", name, there, missing)
		}
		if !strings.HasPrefix(there, "404") && !strings.HasPrefix(there, "422") {
			t.Errorf("%s: %.60s", name, there)
		}
	}
	// Foreign things under an own client.
	for _, path := range []string{"/enheter/" + device.String() + "/koble-fra", "/palegg/" + hold.String() + "/be-om-oppheving"} {
		if a := b.post("/klienter/"+own.String()+path, "reason", "x"); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	if a := b.get(fmt.Sprintf("/klienter/%s/opptak/%d", own, recording)); a.Status != http.StatusNotFound {
		t.Errorf("a foreign recording: %d", a.Status)
	}
	old := p.Add(t, pgtest.Person{Status: "disconnected", Since: p.Now().AddDate(0, -2, 0)})
	if a := b.post("/klienter/"+old.String()+"/gruppe", "group", fmt.Sprint(theirs)); a.Status == http.StatusSeeOther {
		t.Error("a foreign group was taken")
	}
}

func TestWhoMayNotIsToldWhoTheyAreAndWhatToDo(t *testing.T) {
	p := open(t, nil)
	p.as(t, access.Caseworker).get("/drift").sees(t, 403, "Du er logget inn som", "(Saksbehandler), og den rollen har ikke lov til det.", "be en kollega med riktig rolle om å gjøre det.")
}

func TestAClientWithoutADateOfDisconnectionShowsNoOther(t *testing.T) {
	p := open(t, nil)
	undated := p.Add(t, pgtest.Person{Status: "disconnected", Since: p.Now().AddDate(0, -1, 0)})
	p.Exec(t, `DELETE FROM status_entry WHERE client_id = $1 AND status = 'disconnected'`, undated)
	a := p.as(t, access.Caseworker).get("/klienter")
	a.sees(t, 200, "Frakoblet", "Dato mangler")
	if strings.Contains(a.Body, "19.08.23") {
		t.Error("the day of the import stands there as the day of disconnection")
	}
}

func TestTheListTellsItsRows(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	b.get("/klienter").sees(t, 200, "Ingen klienter ennå", "Importer klienter")
	p.Add(t, pgtest.Person{GivenName: "Arne", FamilyName: "Hansen"})
	gone := p.Add(t, pgtest.Person{GivenName: "Solveig", FamilyName: "Aabel", Status: "disconnected", Since: time.Date(2023, 3, 14, 14, 0, 0, 0, time.UTC)})
	hidden := p.Add(t, pgtest.Person{GivenName: "Gerd", FamilyName: "Fossum"})
	p.Exec(t, `UPDATE client SET protected = true, phone = '90000999' WHERE id = $1`, hidden)
	p.Add(t, pgtest.Person{Municipality: p.B, GivenName: "Utenbys", FamilyName: "Fremmed"})
	a := b.get("/klienter")
	a.sees(t, 200, "Aabel, Solveig", "Frakoblet 14.03.23", "Skjermet", "3 klienter fra Fossum til Aabel")
	for _, never := range []string{"Fremmed", "90000999", "Gate 3"} {
		if strings.Contains(a.Body, never) {
			t.Errorf("the list shows %q", never)
		}
	}
	if !strings.Contains(a.Body, `<tr class="off"><th scope="row" class="name"><a class="ds-link" data-color="neutral" href="/klienter/`+gone.String()) {
		t.Error("an inactive client is not grey")
	}
	b.get("/klienter?status=active&status=ordered").sees(t, 200, "2 klienter fra")
	b.get("/klienter?gruppe=ingen").sees(t, 200, "1 klient fra Aabel")
	if err := deletion.Sweep(t.Context(), p.DB); err != nil { // finds her a group; that of 01.10.23 is being controlled already
		t.Fatal(err)
	}
	b.get("/klienter").sees(t, 200, "Frakoblet 14.03.23 01.01.24")
	b.get("/klienter?postnr=0001").sees(t, 200, "Ingen klienter passer til filteret", "Ta bort en del av filteret", "Nullstill filteret")

	searched := b.post("/klienter/sok", "q", "solveig", "status", "disconnected", "status", "")
	if searched.Status != http.StatusSeeOther || strings.Contains(searched.Location, "solveig") || !strings.Contains(searched.Location, "sok=") || !strings.Contains(searched.Location, "status=disconnected") {
		t.Fatalf("a search leads to %d %s", searched.Status, searched.Location)
	}
	b.get(searched.Location).sees(t, 200, "1 klient fra Aabel", "Søk: solveig")
	other := p.as(t, access.Approver)
	other.get(searched.Location).sees(t, 404)
	b.post("/klienter/sok", "q", strings.Repeat("x", 101)).sees(t, 422, "høyst 100 tegn")
	b.post("/klienter/sok", "periode", "status", "fra", "31.09.23").sees(t, 422, "31.09.23 finnes ikke")
}

func TestAFormKeepsWhatWasTypedAndSaysAllThatIsWrong(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	a := b.post("/klienter/ny", "given_name", "", "family_name", "Hansen", "national_id", "123", "birth_date", "31.09.1940", "postcode", "99999", "street", "Veien 1", "status", "active", "gender", "K")
	a.sees(t, 422, "Rett 4 ting", "Skriv fornavnet.", "Et fødselsnummer har 11 siffer", "31.09.1940 finnes ikke", "Et postnummer har fire sifre")
	for _, kept := range []string{`value="Hansen"`, `value="31.09.1940"`, `href="#f-birth-date"`, `id="f-birth-date"`, `aria-invalid="true"`, "ds-error-summary"} {
		if !strings.Contains(a.Body, kept) {
			t.Errorf("%s is missing", kept)
		}
	}
	if n := p.Count(t, `SELECT count(*) FROM client`); n != 0 {
		t.Errorf("%d clients", n)
	}
}

func TestOneFormSentTwiceDoesOneThing(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	once := hidden(t, b.get("/klienter/ny").Body, "once")
	form := []string{"once", once, "given_name", "Kari", "family_name", "Hansen", "status", "active", "gender", "K"}
	first, second := b.post("/klienter/ny", form...), b.post("/klienter/ny", form...)
	if first.Status != http.StatusSeeOther || first.Location != second.Location {
		t.Fatalf("%d %s and %d %s", first.Status, first.Location, second.Status, second.Location)
	}
	if n := p.Count(t, `SELECT count(*) FROM client`); n != 1 {
		t.Fatalf("%d clients", n)
	}
	path := strings.TrimSuffix(first.Location, "/opplysninger")
	once = hidden(t, b.get(path+"/notater").Body, "once")
	for range 2 {
		b.post(path+"/notater", "once", once, "text", "Ring datteren").sees(t, 303)
	}
	b.post(path+"/notater", "once", once, "text", "Ring sønnen").sees(t, 303) // after going back: another act
	if n := p.Count(t, `SELECT count(*) FROM note`); n != 2 {
		t.Errorf("%d notes", n)
	}
}

func TestThePreviewTellsTheDateThatIsSaved(t *testing.T) {
	p := open(t, nil)
	p.SetNow(time.Date(2024, 1, 10, 8, 0, 0, 0, time.UTC))
	if err := deletion.Sweep(t.Context(), p.DB); err != nil {
		t.Fatal(err)
	}
	approver := p.as(t, access.Approver) // may date back
	for _, v := range []struct{ at, due, run calendar.Date }{
		{calendar.On(2023, 8, 31), calendar.On(2024, 2, 29), calendar.On(2024, 4, 1)},
		{calendar.On(2023, 10, 1), calendar.On(2024, 4, 1), calendar.On(2024, 4, 1)},
		{calendar.On(2023, 10, 2), calendar.On(2024, 4, 2), calendar.On(2024, 7, 1)},
		{calendar.On(2023, 12, 31), calendar.On(2024, 6, 30), calendar.On(2024, 7, 1)},
		{calendar.On(2024, 1, 10), calendar.On(2024, 7, 10), calendar.On(2024, 10, 1)},
	} {
		if v.due != v.at.AddMonths(6) || v.run != v.due.QuarterOnOrAfter() {
			t.Fatalf("the vector %v is wrong", v)
		}
		path := "/klienter/" + p.Add(t, pgtest.Person{}).String()
		sentence := fmt.Sprintf("Frakoblet %s + 6 måneder = %s → slettes %s", v.at.Short(), v.due.Short(), v.run.Short())
		typed := fmt.Sprintf("%d.%d.%02d", v.at.Day, v.at.Month, v.at.Year%100) // 1.4.24
		told := approver.post(path+"/status", "step", "preview", "status", "disconnected", "at", typed, "reason", "moved")
		told.sees(t, 200, sentence, "Slettes "+v.run.Short())
		fragment := approver.do(http.MethodPost, path+"/status", url.Values{"step": {"preview"}, "status": {"disconnected"}, "at": {typed}}, "HX-Request", "true", "HX-Request-Type", "partial", "HX-Target", "div#forhandsvisning")
		if !strings.HasPrefix(strings.TrimSpace(fragment.Body), `<div id="forhandsvisning"`) || !strings.Contains(readable(fragment.Body), sentence) {
			t.Errorf("the fragment: %s", fragment.Body)
		}
		if n := p.Count(t, `SELECT count(*) FROM client WHERE status = 'disconnected' AND '/klienter/' || id = $1`, path); n != 0 {
			t.Fatal("a preview saved something")
		}
		form := []string{"status", "disconnected", "at", typed, "reason", "moved"}
		approver.post(path+"/status", form...).sees(t, 409, "Slettedatoen er en annen enn den du så", sentence)
		if n := p.Count(t, `SELECT count(*) FROM client WHERE status = 'disconnected' AND '/klienter/' || id = $1`, path); n != 0 {
			t.Fatal("saved what nobody had been told")
		}
		form = append(form, "told", hidden(t, told.Body, "told"), "once", hidden(t, told.Body, "once"))
		approver.post(path+"/status", form...).sees(t, 303)
		approver.post(path+"/status", form...).sees(t, 303) // pressed twice
		approver.get(path).sees(t, 200, "Klienten er frakoblet. Slettes "+v.run.Short(), sentence, "Ingen hinder")
		if n := p.Count(t, `SELECT count(*) FROM status_entry WHERE status = 'disconnected' AND '/klienter/' || client_id = $1`, path); n != 1 {
			t.Errorf("%d entries", n)
		}
	}
}

func TestStatusDatesAreJudgedAtTheField(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	path := "/klienter/" + p.Add(t, pgtest.Person{Since: p.Now().AddDate(0, 0, -3)}).String() + "/status"
	b.post(path, "status", "disconnected", "at", "31.09.23").sees(t, 422, "31.09.23 finnes ikke. September har 30 dager.")
	b.post(path, "status", "disconnected", "at", "i går").sees(t, 422, "som dd.mm.åå")
	b.post(path, "status", "disconnected", "at", "").sees(t, 422, "Skriv datoen.")
	b.post(path, "status", "disconnected", "at", "20.09.23").sees(t, 422, "kan ikke ligge fram i tid")
	b.post(path, "status", "disconnected", "at", "01.09.23").sees(t, 422, "Velg en dato på eller etter forrige status, 16.09.23.", "Velg status og dato, så ser du")
	b.post(path, "status", "", "at", "19.09.23").sees(t, 422)
	b.post(path, "status", "active", "at", "19.09.23").sees(t, 409, "denne statusen fra før")
	old := "/klienter/" + p.Add(t, pgtest.Person{}).String() + "/status"
	const far = "Mer enn 31 dager tilbake må en godkjenner føre. Tidligste dato for deg er 19.08.23."
	b.post(old, "status", "disconnected", "at", "18.08.23").sees(t, 403, "Rett 1 ting: "+far, "Fra og meddd.mm.åå "+far, "Velg status og dato, så ser du")
	// What saving would refuse is told beforehand, and promises nothing.
	b.post(old, "step", "preview", "status", "disconnected", "at", "18.08.23").sees(t, 200, far)
	b.post(old, "step", "preview", "status", "disconnected", "at", "19.08.23").sees(t, 200, "Slettes 01.04.24")
	p.as(t, access.Approver).post(old, "step", "preview", "status", "disconnected", "at", "18.08.23").sees(t, 200, "Slettes 01.04.24")
	b.post(path, "step", "preview", "status", "disconnected", "at", "01.09.23").sees(t, 200, "Velg en dato på eller etter forrige status, 16.09.23.")
	b.post(path, "step", "preview", "status", "disconnected", "at", "31.09.23").sees(t, 200, "31.09.23 finnes ikke. September har 30 dager.")
	// On the day of the entry before, the new one lies just after it.
	same := b.post(path, "step", "preview", "status", "disconnected", "at", "16.09.23")
	b.post(path, "status", "disconnected", "at", "16.09.23", "told", hidden(t, same.Body, "told")).sees(t, 303)
}

func TestReactivatingLeavesTheGroupAtOnce(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	id := p.Add(t, pgtest.Person{Status: "disconnected", Since: p.Now().AddDate(0, -1, 0)})
	if err := deletion.Sweep(t.Context(), p.DB); err != nil {
		t.Fatal(err)
	}
	path := "/klienter/" + id.String()
	b.get(path+"/status?til=active").sees(t, 200, "Klienten blir aktiv", "Klienten tas straks ut av slettegruppen 01.04.24")
	b.post(path+"/status", "status", "active", "at", "19.9.23").sees(t, 303)
	b.get(path).sees(t, 200, "Ingen slettedato", "Klienten er ikke frakoblet")
	if n := p.Count(t, `SELECT count(*) FROM round_item WHERE client_id = $1 AND state IN ('placed', 'ready', 'blocked')`, id); n != 0 {
		t.Error("still in a group")
	}
}

func TestAnEarlierGroupIsRefusedAndALaterNeedsAReason(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	id := p.Add(t, pgtest.Person{Status: "disconnected", Since: time.Date(2023, 8, 14, 10, 0, 0, 0, time.UTC)})
	if err := deletion.Sweep(t.Context(), p.DB); err != nil {
		t.Fatal(err)
	}
	path := "/klienter/" + id.String()
	b.get(path).sees(t, 200, "Frakoblet 14.08.23 + 6 måneder = 14.02.24 → slettes 01.04.24", "Utsett til 01.07.24", "Tjenestemottakere til sletting 01.04.24", "Satt av Frist")
	if body := b.get(path).Body; !strings.Contains(body, ">01.01.24 – for tidlig<") || !strings.Contains(body, " selected>01.07.24<") || !strings.Contains(body, ">01.10.24 – for sent<") {
		t.Error("the groups are not marked, or the first lawful one is not chosen")
	}
	group := func(day string) (g string) {
		if err := p.Admin.QueryRow(t.Context(), `SELECT id::text FROM deletion_round WHERE municipality_id = $1 AND run_on = $2`, p.A, day).Scan(&g); err != nil {
			t.Fatal(err)
		}
		return g
	}
	a := b.post(path+"/gruppe", "group", group("2024-01-01"), "reason", "haster")
	a.sees(t, 422, "For tidlig. Frakoblet 14.08.23 + 6 måneder = 14.02.24, så tidligste gruppe er 01.04.24.")
	if !strings.Contains(a.Body, `value="haster"`) {
		t.Error("the reason is lost")
	}
	b.post(path+"/gruppe", "group", group("2024-07-01")).sees(t, 422, "mangler")
	b.post(path+"/gruppe", "group", group("2024-10-01"), "reason", "x").sees(t, 422, "Seneste gruppe er 01.07.24")
	b.post(path+"/gruppe", "group", group("2024-07-01"), "reason", "Familien ber om det").sees(t, 303)
	b.get(path).sees(t, 200, "slettes 01.07.24", "Utsatt av Ansatt 101")
}

func TestSomebodyElsesSaveIsShownBesideMine(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	path := "/klienter/" + p.Add(t, pgtest.Person{GivenName: "Arne", FamilyName: "Hansen"}).String() + "/opplysninger"
	page := b.get(path).Body
	version := hidden(t, page, "version")
	fields := []string{"given_name", "Arne", "family_name", "Hansen", "gender", "M", "street", "Gate 1", "postcode", "1430", "town", "Ås"}
	b.post(path, append([]string{"version", version, "phone", "90000172"}, fields...)...).sees(t, 303)
	a := b.post(path, append([]string{"version", version, "phone", "90000173"}, fields...)...)
	a.sees(t, 409, "Ansatt 101 lagret denne klienten 19.09.23 kl. 09.12", "Telefon 90000173 90000172", "Ingenting av ditt er tapt")
	if !strings.Contains(a.Body, `value="90000173"`) {
		t.Error("what was typed is lost")
	}
	b.post(path, append([]string{"version", hidden(t, a.Body, "version"), "phone", "90000173"}, fields...)...).sees(t, 303)
	b.get(path).sees(t, 200, "90000173")
}

func TestAProtectedClientsAddressStaysAfterAnEdit(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	id := p.Add(t, pgtest.Person{})
	p.Exec(t, `UPDATE client SET protected = true, phone = '90000999' WHERE id = $1`, id)
	page := b.get("/klienter/" + id.String() + "/opplysninger")
	if strings.Contains(page.Body, "90000999") || strings.Contains(page.Body, `name="street"`) || strings.Contains(page.Body, `name="phone"`) {
		t.Error("the form shows what is protected")
	}
	b.post("/klienter/"+id.String()+"/opplysninger", "version", hidden(t, page.Body, "version"), "given_name", "Ny", "family_name", "Navn", "gender", "U", "protected", "1").sees(t, 303)
	if n := p.Count(t, `SELECT count(*) FROM client c JOIN protected_contact p ON p.client_id = c.id WHERE c.id = $1 AND given_name = 'Ny' AND p.phone = '90000999' AND address_id IS NOT NULL AND protected`, id); n != 1 {
		t.Error("the edit took the telephone or the address away")
	}
}

func TestDevicesFollowTheirButtons(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	dead := p.Add(t, pgtest.Person{GivenName: "Solveig", FamilyName: "Hansen", Status: "disconnected", Since: p.Now().AddDate(0, -7, 0)})
	address := p.AddressOf(t, dead)
	widower := p.Add(t, pgtest.Person{GivenName: "Arne", FamilyName: "Hansen"})
	p.Exec(t, `UPDATE client SET address_id = $2 WHERE id = $1`, widower, address)
	for _, code := range []string{"300412", "300413", "300414"} {
		p.Exec(t, `INSERT INTO device (municipality_id, id, code, serial, kind, stock_state) VALUES ($1, gen_random_uuid(), $2, '', 'Trygghetsalarm', 'in_stock')`, p.A, code)
	}
	if err := deletion.Sweep(t.Context(), p.DB); err != nil {
		t.Fatal(err)
	}
	a, d := "/klienter/"+widower.String(), "/klienter/"+dead.String()
	b.post(a+"/enheter", "code", "", "target", "client").sees(t, 422, "Kode mangler")
	b.post(a+"/enheter", "code", "999999", "target", "client").sees(t, 422, "Ingen enhet i kommunen har denne koden")
	b.post(d+"/enheter", "code", "300412", "target", "client").sees(t, 409, "frakoblet eller avbestilt")
	b.post(a+"/enheter", "code", "300412", "target", "address").sees(t, 303)
	b.post(a+"/enheter", "code", "300412", "target", "client").sees(t, 409, "koblet til noen andre")
	b.get(d).sees(t, 200, "1 hinder", "Trygghetsalarm 300412 er koblet til", "Arne Hansen (aktiv) bor samme sted", "Flytt til Arne Hansen")
	b.get("/klienter?status=disconnected").sees(t, 200, "Enhet på adressen")
	b.get("/adresser/"+address.String()).sees(t, 200, "2 klienter bor her", "1 enhet på adressen", "Hindrer sletting av Solveig Hansen")
	var id string
	if err := p.Admin.QueryRow(t.Context(), `SELECT id::text FROM device WHERE code = '300412'`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	b.get(a+"/enheter/"+id+"/bytt").sees(t, 200, "Bytt enhet 300412")
	b.post(a+"/enheter/"+id+"/bytt", "code", "").sees(t, 422, "Kode mangler")
	b.post(d+"/enheter/"+id+"/flytt", "resident", widower.String(), "fra", "sletting").sees(t, 303)
	b.get(d).sees(t, 200, "Enheten er flyttet til den som bor der", "Ingen hinder")
	b.post(a+"/enheter/"+id+"/bytt", "code", "300413").sees(t, 303)
	b.get(a+"/enheter").sees(t, 200, "Enheten er byttet", "300413")
	b.post(a+"/enheter/"+id+"/koble-fra").sees(t, 409, "ikke tilkoblet")
	page := b.post(a+"/status", "step", "preview", "status", "disconnected", "at", "19.09.23")
	page.sees(t, 200, "Koble fra 1 enhet på klienten")
	b.post(a+"/status", "status", "disconnected", "at", "19.09.23", "devices", "1", "told", hidden(t, page.Body, "told")).sees(t, 303)
	if n := p.Count(t, `SELECT count(*) FROM device WHERE stock_state = 'in_stock'`); n != 3 {
		t.Errorf("%d devices in stock", n)
	}
}

func TestAHoldIsPlacedByOneAndReleasedByTwo(t *testing.T) {
	p := open(t, nil)
	b, approver := p.as(t, access.Caseworker), p.as(t, access.Approver)
	id := p.Add(t, pgtest.Person{Status: "disconnected", Since: p.Now().AddDate(0, -7, 0)})
	if err := deletion.Sweep(t.Context(), p.DB); err != nil {
		t.Fatal(err)
	}
	path := "/klienter/" + id.String()
	b.post(path+"/palegg/nytt", "reason", "", "authority", "", "review_on", "31.12.22").sees(t, 422, "Rett 3 ting", "Velg en dag etter i dag, 19.09.23.")
	b.post(path+"/palegg/nytt", "reason", "police", "authority", "Øst politidistrikt, 15237844", "review_on", "1.4.24").sees(t, 303)
	b.get(path).sees(t, 200, "Ingen slettedato", "Klienten har et bevaringspålegg", "1 hinder")
	b.get(path+"/palegg").sees(t, 200, "Politiet etterforsker", "Øst politidistrikt, 15237844", "01.04.24", "Ansatt 101")
	var hold string
	if err := p.Admin.QueryRow(t.Context(), `SELECT id::text FROM hold`).Scan(&hold); err != nil {
		t.Fatal(err)
	}
	approver.post(path+"/palegg/"+hold+"/opphev").sees(t, 409, "Ingen har bedt om")
	b.post(path+"/palegg/"+hold+"/be-om-oppheving", "reason", "").sees(t, 422, "mangler")
	b.post(path+"/palegg/"+hold+"/be-om-oppheving", "reason", "Saken er henlagt").sees(t, 303)
	b.get(path+"/palegg").sees(t, 200, "Du ba om oppheving. En godkjenner må bekrefte den.")
	approver.get(path+"/palegg").sees(t, 200, "Bekreft oppheving", "Saken er henlagt")
	approver.post(path+"/palegg/"+hold+"/opphev").sees(t, 303)
	b.get(path).sees(t, 200, "slettes 01.01.24") // the round of 01.10.23 is being controlled already
	b.get(path+"/revisjonsspor").sees(t, 200, "Hvem gjorde hva")
}

func TestWhoLookedIsWrittenDown(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	id := p.Add(t, pgtest.Person{Recordings: []string{"1/aa/x"}})
	if err := p.blobs.Put(t.Context(), "1/aa/x", "audio/wav", append([]byte("RIFF\x00\x00\x00\x00WAVE"), make([]byte, 600)...)); err != nil {
		t.Fatal(err)
	}
	b.get("/klienter").sees(t, 200)
	b.get("/klienter/"+id.String()).sees(t, 200)
	b.get("/klienter/"+id.String()+"/notater").sees(t, 200)
	var number int64
	if err := p.Admin.QueryRow(t.Context(), `SELECT id FROM recording WHERE client_id = $1`, id).Scan(&number); err != nil {
		t.Fatal(err)
	}
	sound := b.do(http.MethodGet, fmt.Sprintf("/klienter/%s/opptak/%d", id, number), nil, "Range", "bytes=0-99")
	if sound.Status != http.StatusPartialContent || !strings.HasPrefix(sound.Header.Get("Content-Type"), "audio/") || len(sound.Body) != 100 || sound.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the sound: %d %v", sound.Status, sound.Header)
	}
	officer := p.as(t, access.PrivacyOfficer)
	officer.get("/innsyn/"+id.String()).sees(t, 200, "åpnet 3 ganger", "klientlisten", "klienten: notater", "oversikt over klienter", "avspilling av opptak", "Ansatt 101")
	officer.get("/innsyn").sees(t, 200, "Logget inn")
}

func TestAFileIsTriedBeforeItIsTaken(t *testing.T) {
	p := open(t, nil)
	b := p.as(t, access.Caseworker)
	upload := func(content, step string, more ...string) answer {
		var body bytes.Buffer
		m := multipart.NewWriter(&body)
		for i := 0; i+1 < len(more); i += 2 {
			_ = m.WriteField(more[i], more[i+1])
		}
		if content != "" {
			file, _ := m.CreateFormFile("file", "klienter.csv")
			_, _ = file.Write([]byte(content))
		}
		_ = m.WriteField("step", step)
		_ = m.Close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/import", &body)
		r.Header.Set("Content-Type", m.FormDataContentType())
		return b.send(r)
	}
	good := "Db nr.;Navn;Fødselsdato;Status;Farge\n900001;Nordmann, Ola;01.01.1940;Aktiv;blå\n900002;Nordmann, Eva;31.02.1941;Aktiv;rød\n"
	upload("", "try").sees(t, 422, "Velg en fil")
	upload("\x89PNG\r\n\x1a\n\x00\x00", "try").sees(t, 422, "Filen er verken CSV eller Excel")
	upload(good, "try").sees(t, 200, "1 ny klient ville blitt importert", "Ingenting er lagret ennå", "Datoen finnes ikke", "1 leses ikke")
	if n := p.Count(t, `SELECT count(*) FROM client`); n != 0 {
		t.Fatalf("a try saved %d clients", n)
	}
	done := upload(good, "import")
	done.sees(t, 303)
	b.get(done.Location).sees(t, 200, "1 ny klient er importert", "Fødselsdato Datoen finnes ikke")
	b.get("/import").sees(t, 200, "Tidligere importer", "Ansatt 101")
	upload("A;B\n900003;Nordmann, Per\n", "try").sees(t, 422, "Kolonnene i filen")
	upload("A;B\n900003;Nordmann, Per\n", "import", "columns", "2", "column-0", "number", "column-1", "name").sees(t, 303)
	if n := p.Count(t, `SELECT count(*) FROM client`); n != 2 {
		t.Errorf("%d clients", n)
	}
}

// counter is a wire between the pages and the database that counts the statements on it.
type counter struct {
	net.Listener
	statements atomic.Int64
}

func newCounter(t *testing.T, to string) *counter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{Listener: listener}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				return
			}
			go func() { _, _ = io.Copy(in, out); in.Close() }()
			go func() { c.copy(out, in); out.Close() }()
		}
	}()
	return c
}

// copy passes on what a client of PostgreSQL says: first a message without a type, then messages of type, length and rest.
func (c *counter) copy(to io.Writer, from io.Reader) {
	head := make([]byte, 5)
	for first := true; ; first = false {
		h := head
		if first {
			h = head[1:]
		}
		if _, err := io.ReadFull(from, h); err != nil {
			return
		}
		length := int64(head[1])<<24 | int64(head[2])<<16 | int64(head[3])<<8 | int64(head[4])
		if !first && (head[0] == 'E' || head[0] == 'Q') { // Execute, Query
			c.statements.Add(1)
		}
		if _, err := to.Write(h); err != nil {
			return
		}
		if _, err := io.CopyN(to, from, length-4); err != nil {
			return
		}
	}
}

func TestAPageAsksTheSameNumberOfTimesHoweverMuchThereIs(t *testing.T) {
	var wire *counter
	p := open(t, func(w *pgtest.World) *pg.DB {
		u, err := url.Parse(w.DSN("frist_web", "web"))
		if err != nil {
			t.Fatal(err)
		}
		wire = newCounter(t, u.Host)
		u.Host = wire.Addr().String()
		db, err := pg.Open(t.Context(), pg.Config{Web: u.String(), Clock: w.Now, MaxConns: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db
	})
	b := p.as(t, access.Caseworker)
	since := p.Now().AddDate(0, -2, 0)
	first := p.Add(t, pgtest.Person{Status: "disconnected", Since: since, Alarms: 1})
	if err := deletion.Sweep(t.Context(), p.DB); err != nil {
		t.Fatal(err)
	}
	paths := []string{"/klienter", "/klienter?status=disconnected"}
	for _, tab := range []string{"", "/opplysninger", "/status", "/enheter", "/notater", "/parorende", "/planer", "/alarmlogg", "/opptak", "/palegg", "/revisjonsspor"} {
		paths = append(paths, "/klienter/"+first.String()+tab)
	}
	count := func(path string) int64 {
		b.get(path).sees(t, 200) // plans and names are remembered
		before := wire.statements.Load()
		b.get(path).sees(t, 200)
		return wire.statements.Load() - before
	}
	few := map[string]int64{}
	for _, path := range paths {
		few[path] = count(path)
	}
	address := p.AddressOf(t, first)
	for i := range 60 {
		id := p.Add(t, pgtest.Person{Status: []string{"active", "disconnected"}[i%2], Since: since})
		p.Exec(t, `UPDATE client SET address_id = $2 WHERE id = $1`, id, address)
	}
	p.Exec(t, `INSERT INTO note (municipality_id, client_id, at, text, entered_by) SELECT $1, $2, now(), 'x', 101 FROM generate_series(1, 40)`, p.A, first)
	p.Exec(t, `INSERT INTO alarm_event (municipality_id, client_id, at, kind) SELECT $1, $2, now(), 'x' FROM generate_series(1, 100)`, p.A, first)
	p.Exec(t, `INSERT INTO client_change (municipality_id, client_id, at, field, account_id) SELECT $1, $2, now(), 'phone', 101 FROM generate_series(1, 100)`, p.A, first)
	p.Exec(t, `WITH d AS (INSERT INTO device (municipality_id, id, code, serial, kind, stock_state) SELECT $1, gen_random_uuid(), 'D' || n, '', 'x', 'connected' FROM generate_series(1, 20) n RETURNING id)
		INSERT INTO device_connection (municipality_id, device_id, address_id, preferred, connected_at) SELECT $1, id, $2, false, now() FROM d`, p.A, address)
	if err := deletion.Sweep(t.Context(), p.DB); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		// With neighbours there is one question for them and one row of access: two more, however many they are.
		if many := count(path); many > few[path]+2 {
			t.Errorf("%s: %d statements for few, %d for many", path, few[path], many)
		} else {
			t.Logf("%-60s %d, %d", strings.Replace(path, first.String(), "…", 1), few[path], many)
		}
	}
}
