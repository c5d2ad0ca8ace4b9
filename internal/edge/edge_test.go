package edge_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const password = "correct horse battery"

// home is a site with a few routes of every kind, and two municipalities with one caseworker each.
type home struct {
	*pgtest.Env
	t      *testing.T
	server *httptest.Server
	client *http.Client
	log    *lines
	kari   int64
	fresh  atomic.Pointer[url.Values] // what was posted to a form that asks for a fresh proof
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHome(t *testing.T, change ...func(*edge.Site)) *home {
	t.Helper()
	h := &home{Env: pgtest.New(t), t: t, log: new(lines)}
	h.Exec(t, `INSERT INTO municipality (id) VALUES (1), (2)`)
	h.Exec(t, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) SELECT m, '127.0.0.0/8', 'town hall', 0, now() FROM unnest('{0,1,2}'::int[]) m`)
	h.Exec(t, `INSERT INTO municipality_name VALUES (1, '2020-01-01', '3218', 'Ås'), (2, '2020-01-01', '5501', 'Tromsø')`)
	for m, login := range map[int]string{1: "kari", 2: "eva"} {
		id, _, err := account.CreateFirst(t.Context(), h.DB, account.New{Municipality: m, Login: login, Name: "Kari Nordmann", Password: password, Roles: []access.Role{access.Caseworker}})
		if err != nil {
			t.Fatal(err)
		}
		if m == 1 {
			h.kari = id
		}
	}
	site := edge.Site{DB: h.DB, Demo: true, Log: slog.New(slog.NewJSONHandler(h.log, nil)), Personas: []edge.Persona{
		{Login: "kari", Name: "Kari Nordmann", Role: access.Caseworker, Number: "3218", Municipality: "Ås"},
		{Login: "eva", Name: "Eva Strand", Role: access.Caseworker, Number: "5501", Municipality: "Tromsø"},
		{Login: "jonas", Name: "Jonas Lie", Role: access.Caseworker, Number: "3218", Municipality: "Ås"},
		{Login: "ida", Name: "Ida Berg", Role: access.Support},
	}}
	for _, c := range change {
		c(&site)
	}
	s, err := edge.New(site)
	if err != nil {
		t.Fatal(err)
	}
	mux := s.Mux()
	routes := func(r chi.Router) {
		r.Use(s.Signed)
		frisk := func(w http.ResponseWriter, r *http.Request) error {
			err := h.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error { return tx.RequireFresh(access.ClientRead) })
			if err != nil {
				return err
			}
			if r.Method == http.MethodGet {
				return edge.JSON(w, http.StatusOK, "ok")
			}
			if err := r.ParseForm(); err != nil {
				return err
			}
			h.fresh.Store(&r.PostForm)
			http.Redirect(w, r, "/ting/x", http.StatusSeeOther)
			return nil
		}
		r.Get("/frisk/x", edge.Handle(frisk))
		r.Post("/frisk", edge.Handle(frisk))
		r.Post("/borte", edge.Handle(func(http.ResponseWriter, *http.Request) error { return problem.Unavailable{What: "database"} }))
		r.Get("/ting/{id}", edge.Handle(func(w http.ResponseWriter, r *http.Request) error {
			switch chi.URLParam(r, "id") {
			case "missing":
				return problem.NotFound{What: "client"}
			case "foreign":
				return problem.NotFound{What: "device"}
			case "forbidden":
				return problem.Forbidden{Code: "own_hand"}
			case "invalid":
				return problem.Invalid{Fields: []problem.Field{{Name: "name", Code: "required"}, {Name: "zz", Code: "unheard_of"}}}
			case "conflict":
				return problem.Conflict{Code: "before_run_date"}
			case "unheard":
				return problem.Conflict{Code: "unheard_of"}
			case "blocked":
				return problem.Blocked{Reasons: []problem.Field{{Code: "held"}}}
			case "away":
				return problem.Unavailable{What: "database"}
			case "many":
				return problem.TooMany{RetryAfterSeconds: 2}
			case "internal":
				return errors.New("Ola Nordmann 01010112345")
			case "panic":
				panic("Ola Nordmann 01010112345")
			}
			return edge.JSON(w, http.StatusOK, map[string]any{"account": edge.Caller(r).Account, "key": edge.Caller(r).Key})
		}))
		r.Post("/ting", edge.Handle(func(w http.ResponseWriter, r *http.Request) error {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return err
			}
			return edge.JSON(w, http.StatusOK, "ok")
		}))
		r.With(edge.MaxBody(3<<20)).Post("/stor", edge.Handle(func(w http.ResponseWriter, r *http.Request) error {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return err
			}
			edge.SetFlash(w, r, edge.Flash{Key: "demo.title"})
			return edge.JSON(w, http.StatusOK, "ok")
		}))
	}
	mux.Group(routes)
	mux.Route("/api/v1", routes)
	h.server = httptest.NewServer(mux)
	t.Cleanup(h.server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.client = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return h
}

func (h *home) do(method, path string, body io.Reader, header ...string) (*http.Response, string) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return resp, string(raw)
}

func (h *home) get(path string, header ...string) (*http.Response, string) {
	h.t.Helper()
	return h.do(http.MethodGet, path, nil, header...)
}

func (h *home) post(path string, form url.Values, header ...string) (*http.Response, string) {
	h.t.Helper()
	return h.do(http.MethodPost, path, strings.NewReader(form.Encode()), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

func (h *home) signIn() {
	h.t.Helper()
	if resp, _ := h.post("/login", url.Values{"login": {"kari"}, "password": {password}}); resp.StatusCode != http.StatusSeeOther {
		h.t.Fatalf("sign-in answers %d", resp.StatusCode)
	}
}

func (h *home) key(scopes ...string) string {
	h.t.Helper()
	key, err := account.NewKey(h.t.Context(), h.DB, h.kari, scopes, time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	return "Bearer " + key
}

func TestSignIn(t *testing.T) {
	h := newHome(t)
	resp, _ := h.get("/ting/x?q=secret")
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || to != "/login?next=%2Fting%2Fx" {
		t.Errorf("without a session: %d %s", resp.StatusCode, to)
	}
	if resp, _ := h.get("/ting/x", "HX-Request", "true"); resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("HX-Redirect") != "/login" {
		t.Errorf("htmx without a session: %d", resp.StatusCode)
	}
	wrongPage := ""
	for _, login := range []string{"kari", "nobody"} {
		resp, body := h.post("/login", url.Values{"login": {login}, "password": {"wrong"}, "next": {"/ting/x"}})
		if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, "Brukernavn eller passord stemmer ikke.") || !strings.Contains(body, `value="`+login+`"`) || !strings.Contains(body, `value="/ting/x"`) {
			t.Errorf("%s: %d %s", login, resp.StatusCode, body)
		}
		body = strings.Replace(body, `type="text" value="`+login+`"`, "", 1)
		if wrongPage != "" && body != wrongPage {
			t.Error("an unknown login answers otherwise than a wrong password")
		}
		wrongPage = body
	}
	resp, _ = h.post("/login", url.Values{"login": {"kari"}, "password": {password}, "next": {"/ting/x"}})
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/ting/x" {
		t.Errorf("%d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	c := resp.Cookies()[0]
	if c.Name != "frist" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge != 0 {
		t.Errorf("%+v", c)
	}
	if resp, _ := h.get("/ting/x"); resp.StatusCode != http.StatusOK {
		t.Errorf("with a session: %d", resp.StatusCode)
	}
	for _, next := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "javascript:alert(1)", "", "\t//evil.example"} {
		resp, _ := h.post("/login", url.Values{"login": {"kari"}, "password": {password}, "next": {next}})
		if resp.Header.Get("Location") != "/" {
			t.Errorf("next %q leads to %s", next, resp.Header.Get("Location"))
		}
	}
	if n := h.Count(t, `SELECT count(*) FROM session`); n != 1 {
		t.Errorf("%d sessions for one browser", n)
	}
	h.SetNow(h.Now().Add(31 * time.Minute))
	if resp, _ := h.get("/ting/x"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("an idle session: %d", resp.StatusCode)
	}
	h.signIn()
	if resp, _ := h.post("/logout", nil); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login" {
		t.Errorf("sign-out: %d", resp.StatusCode)
	}
	if resp, _ := h.get("/ting/x"); resp.StatusCode != http.StatusSeeOther {
		t.Error("still signed in")
	}
}

func TestTooManySignIns(t *testing.T) {
	h := newHome(t)
	for range 3 {
		h.post("/login", url.Values{"login": {"kari"}, "password": {"wrong"}})
	}
	resp, body := h.post("/login", url.Values{"login": {"kari"}, "password": {password}})
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "2" || !strings.Contains(body, "Vent 2 sekunder") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	h.SetNow(h.Now().Add(2 * time.Second))
	h.signIn()
}

func TestPersonasAreForTheDemo(t *testing.T) {
	h := newHome(t)
	if _, body := h.get("/login"); !strings.Contains(body, `value="kari"`) || !strings.Contains(body, "Saksbehandler 2") || !strings.Contains(body, "Ida Berg") {
		t.Error("the personas are not on the page")
	}
	if resp, _ := h.post("/login", url.Values{"persona": {"kari"}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("one click answers %d", resp.StatusCode)
	}
	if resp, _ := h.post("/login", url.Values{"persona": {"stranger"}}); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a stranger: %d", resp.StatusCode)
	}
	h = newHome(t, func(s *edge.Site) { s.Demo = false })
	if _, body := h.get("/login"); strings.Contains(body, "persona") {
		t.Error("personas outside the demo")
	}
	if resp, _ := h.post("/login", url.Values{"persona": {"kari"}}); resp.StatusCode != http.StatusNotFound {
		t.Errorf("one click outside the demo answers %d", resp.StatusCode)
	}
}

func TestTheCookieIsBoundToTheHostUnderTLS(t *testing.T) {
	h := newHome(t, func(s *edge.Site) { s.TLS = true })
	resp, _ := h.post("/login", url.Values{"login": {"kari"}, "password": {password}})
	if c := resp.Cookies()[0]; c.Name != "__Host-frist" || !c.Secure || c.Path != "/" || c.Domain != "" {
		t.Errorf("%+v", c)
	}
	if resp.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS")
	}
}

func TestKeysOpenTheAPIAndSessionsThePages(t *testing.T) {
	h := newHome(t)
	resp, body := h.get("/api/v1/ting/x")
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Content-Type") != "application/problem+json" || resp.Header.Get("WWW-Authenticate") == "" || !strings.Contains(body, `"type":"urn:frist:problem:unauthenticated"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _ := h.get("/api/v1/ting/x", "Authorization", "Bearer frist_wrong"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong key: %d", resp.StatusCode)
	}
	if resp, body := h.get("/api/v1/ting/x", "Authorization", h.key()); resp.StatusCode != http.StatusOK || !strings.Contains(body, `"key":true`) {
		t.Errorf("a key: %d %s", resp.StatusCode, body)
	}
	if resp, _ := h.get("/ting/x", "Authorization", h.key()); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("a key opened a page: %d", resp.StatusCode)
	}
	h.signIn()
	if resp, _ := h.get("/api/v1/ting/x"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session opened the API: %d", resp.StatusCode)
	}
}

func TestCrossSitePostsAreRefused(t *testing.T) {
	h := newHome(t)
	h.signIn()
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		for _, path := range []string{"/ting", "/logout", "/login", "/innstillinger", "/api/v1/ting"} {
			resp, body := h.post(path, nil, header...)
			if resp.StatusCode != http.StatusForbidden || (path == "/ting" && !strings.Contains(body, "en annen nettside")) || resp.Header.Get("Content-Security-Policy") == "" {
				t.Errorf("%s with %v: %d", path, header, resp.StatusCode)
			}
		}
	}
	if resp, _ := h.post("/ting", nil, "Sec-Fetch-Site", "same-origin"); resp.StatusCode != http.StatusOK {
		t.Errorf("our own form: %d", resp.StatusCode)
	}
}

func TestEveryAnswerCarriesTheHeaders(t *testing.T) {
	h := newHome(t)
	h.signIn()
	_, login := h.get("/login")
	sheet := login[strings.Index(login, "/static/"):]
	sheet = sheet[:strings.Index(sheet, `"`)]
	for _, path := range []string{"/login", "/ting/x", "/ting/missing", "/ting/panic", "/nowhere", "/api/v1/nowhere", "/api/v1/ting/x", "/healthz", "/readyz", sheet, "/static/0/app.css", "/static/0/nothing.css", "/logout"} {
		resp, _ := h.get(path)
		for name, want := range map[string]string{
			"Content-Security-Policy": edge.Policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if resp.Header.Get(name) != want {
				t.Errorf("%s (%d): %s is %q", path, resp.StatusCode, name, resp.Header.Get(name))
			}
		}
		want := "no-store"
		switch path {
		case sheet:
			want = "public, max-age=31536000, immutable"
		case "/static/0/app.css":
			want = "no-cache"
		}
		if got := resp.Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
		if resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", path)
		}
	}
	if resp, _ := h.get("/logout"); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST" {
		t.Errorf("GET /logout: %d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

func TestErrorsAreAnsweredOnceInTwoForms(t *testing.T) {
	h := newHome(t)
	h.signIn()
	key := h.key()
	for _, c := range []struct {
		id     string
		status int
		typ    string
		says   string
	}{
		{"missing", 404, "not_found", "Vi finner ikke siden"},
		{"forbidden", 403, "own_hand", "Du kan ikke avgjøre denne runden"},
		{"invalid", 422, "invalid", "Rett 2 ting."},
		{"conflict", 409, "before_run_date", "Runden kan tidligst startes på kjøredatoen."},
		{"unheard", 409, "unheard_of", "Noen andre har endret dette"},
		{"blocked", 409, "blocked", "1 hinder å løse først."},
		{"away", 503, "unavailable", "Ingen sletting pågår"},
		{"many", 429, "wait", "Vent 2 sekunder"},
		{"internal", 500, "internal", "Ingenting er lagret"},
		{"panic", 500, "internal", "Ingenting er lagret"},
	} {
		resp, body := h.get("/ting/" + c.id)
		if resp.StatusCode != c.status || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || !strings.Contains(body, c.says) || !strings.Contains(body, "3218") || strings.Contains(body, "Ola Nordmann") {
			t.Errorf("%s as page: %d %s", c.id, resp.StatusCode, body)
		}
		if number := strings.Contains(body, resp.Header.Get("X-Request-Id")); number != (c.status >= 500) {
			t.Errorf("%s: the page shows its number: %v", c.id, number)
		}
		resp, body = h.get("/ting/"+c.id, "HX-Request", "true", "HX-Request-Type", "partial", "HX-Target", "div#x")
		if resp.StatusCode != c.status || strings.Contains(body, "<html") || !strings.Contains(body, `role="alert"`) {
			t.Errorf("%s as fragment: %d %s", c.id, resp.StatusCode, body)
		}
		resp, body = h.get("/api/v1/ting/"+c.id, "Authorization", key)
		var got struct {
			Type, Title, Detail string
			Status              int
			Errors              []struct{ Field, Code, Message string }
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != c.status || got.Status != c.status || got.Type != "urn:frist:problem:"+c.typ || got.Title == "" || got.Detail == "" ||
			resp.Header.Get("Content-Type") != "application/problem+json" || strings.Contains(body, "Ola Nordmann") {
			t.Errorf("%s as problem: %d %s %v", c.id, resp.StatusCode, body, err)
		}
		if c.id == "invalid" && (len(got.Errors) != 2 || got.Errors[0] != struct{ Field, Code, Message string }{"name", "required", "Navn mangler."}) {
			t.Errorf("%+v", got.Errors)
		}
		if c.status == 429 && resp.Header.Get("Retry-After") != "2" {
			t.Error("no Retry-After")
		}
	}
	_, missing := h.get("/ting/missing")
	_, foreign := h.get("/ting/foreign")
	_, missingAPI := h.get("/api/v1/ting/missing", "Authorization", key)
	_, foreignAPI := h.get("/api/v1/ting/foreign", "Authorization", key)
	// The address of the page stands in its settings form; everything else must be the same bytes.
	if strings.ReplaceAll(missing, "missing", "") != strings.ReplaceAll(foreign, "foreign", "") || missingAPI != foreignAPI {
		t.Error("a foreign id answers otherwise than a missing one")
	}
	h.post("/innstillinger", url.Values{"language": {"en"}})
	if _, body := h.get("/ting/missing"); !strings.Contains(body, "We cannot find the page") || !strings.Contains(body, `lang="en"`) {
		t.Error("the error page does not speak the person's language")
	}
	if _, body := h.get("/nowhere"); !strings.Contains(body, "We cannot find the page") {
		t.Error("the page for no route does not speak the person's language")
	}
}

// The database is away when somebody saves: the page keeps what they wrote, and sends it again. Nothing is kept of a
// password.
func TestWhatWasWrittenIsKept(t *testing.T) {
	edge.Several["kind"] = true
	h := newHome(t)
	h.signIn()
	resp, body := h.post("/borte?x=1", url.Values{"text": {`Nøkkel "hos" <naboen>`}, "kind": {"a", "b"}})
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(resp.Status)
	}
	for _, want := range []string{`action="/borte?x=1"`, `name="text" value="Nøkkel &#34;hos&#34; &lt;naboen&gt;"`, `name="kind" value="a"`, `name="kind" value="b"`, "Det du skrev, er tatt vare på her."} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s: %s", want, body)
		}
	}
	if _, body := h.post("/borte", url.Values{"password": {"hemmelig"}}); strings.Contains(body, "hemmelig") {
		t.Error("a password stands in the page")
	}
}

func TestTheLogHasNoPathsAndNoWords(t *testing.T) {
	h := newHome(t)
	h.signIn()
	for _, path := range []string{"/ting/hemmelig?q=Nordmann", "/ting/internal", "/ting/panic", "/hemmelig/sti", "/api/v1/ting/hemmelig"} {
		h.get(path)
	}
	h.post("/login", url.Values{"login": {"hemmelig"}, "password": {"hemmelig"}})
	log := h.log.String()
	for _, word := range []string{"hemmelig", "Nordmann", "01010112345", "kari"} {
		if strings.Contains(log, word) {
			t.Errorf("the log says %q: %s", word, log)
		}
	}
	for _, want := range []string{`"route":"/ting/{id}","status":200`, `"route":"none","status":404`, `"route":"/api/v1/*","status":401`, `"kind":"*errors.errorString"`, `"account":` + strconv.FormatInt(h.kari, 10), `"msg":"panic"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s: %s", want, log)
		}
	}
}

func TestBodiesAreLimited(t *testing.T) {
	h := newHome(t)
	h.signIn()
	for _, c := range []struct {
		path   string
		size   int
		status int
	}{{"/ting", edge.BodyLimit, 200}, {"/ting", edge.BodyLimit + 1, 413}, {"/stor", 3 << 20, 200}, {"/stor", 3<<20 + 1, 413}} {
		if resp, _ := h.do(http.MethodPost, c.path, bytes.NewReader(make([]byte, c.size)), "Content-Type", "multipart/form-data; boundary=x"); resp.StatusCode != c.status {
			t.Errorf("%d bytes to %s: %d", c.size, c.path, resp.StatusCode)
		}
	}
	if resp, _ := h.post("/login", url.Values{"login": {strings.Repeat("x", edge.BodyLimit)}}); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large form: %d", resp.StatusCode)
	}
}

func TestSettingsAndFlash(t *testing.T) {
	h := newHome(t)
	h.signIn()
	resp, _ := h.post("/innstillinger", url.Values{"scheme": {"dark"}, "next": {"/ting/missing?side=2"}})
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/ting/missing?side=2" {
		t.Errorf("%d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	if _, body := h.get("/ting/missing?side=2"); !strings.Contains(body, `data-color-scheme="dark"`) || !strings.Contains(body, `name="next" value="/ting/missing?side=2"`) {
		t.Error("the colours were not kept, or the way back is lost")
	}
	for _, form := range []url.Values{{"scheme": {"pink"}}, {"language": {"xx"}}} {
		if resp, _ := h.post("/innstillinger", form); resp.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d", form, resp.StatusCode)
		}
	}
	h.post("/stor", nil) // leaves a flash
	u, _ := url.Parse(h.server.URL)
	has := func() bool {
		for _, c := range h.client.Jar.Cookies(u) {
			if c.Name == "frist-flash" {
				return true
			}
		}
		return false
	}
	if !has() {
		t.Fatal("no flash")
	}
	h.get("/ting/missing")
	if has() {
		t.Error("the flash is shown twice")
	}
}

func TestHealth(t *testing.T) {
	h := newHome(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if resp, _ := h.get(path); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	h.DB.Close()
	if resp, _ := h.get("/healthz"); resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz without a database: %d", resp.StatusCode)
	}
	if resp, _ := h.get("/readyz"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz without a database: %d", resp.StatusCode)
	}
}

func TestIdempotent(t *testing.T) {
	h := newHome(t)
	caller := access.Caller{Account: 7, Municipality: 1, Roles: []access.Role{access.Caseworker}}
	var mu sync.Mutex
	done := 0
	run := func(c access.Caller, key, request string, fail error) (status int, body string, err error) {
		err = h.DB.InTx(t.Context(), c, func(tx *pg.Tx) error {
			s, b, err := edge.Idempotent(t.Context(), tx, key, []byte(request), func() (int, []byte, error) {
				mu.Lock()
				defer mu.Unlock()
				done++
				return 201, []byte(`{"id":1}`), fail
			})
			status, body = s, string(b)
			return err
		})
		return status, body, err
	}
	expect := func(what string, times, status int, err error, wantErr bool) {
		t.Helper()
		if done != times || (err != nil) != wantErr || (err == nil && status != 201) {
			t.Errorf("%s: done %d times, %d, %v", what, done, status, err)
		}
	}
	status, _, err := run(caller, "k", "order 1", errors.New("boom"))
	expect("failed work leaves no key", 1, status, err, true)
	status, body, err := run(caller, "k", "order 1", nil)
	expect("first", 2, status, err, false)
	status, again, err := run(caller, "k", "order 1", nil)
	expect("repeated", 2, status, err, false)
	if body != again {
		t.Errorf("%q, then %q", body, again)
	}
	_, _, err = run(caller, "k", "order 2", nil)
	expect("for something else", 2, 0, err, true)
	if !errors.As(err, new(problem.Invalid)) {
		t.Errorf("%v", err)
	}
	other := caller
	other.Account = 8
	status, _, err = run(other, "k", "order 2", nil)
	expect("somebody else's key", 3, status, err, false)
	status, _, err = run(caller, "", "order 1", nil)
	expect("without a key", 4, status, err, false)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if status, _, err := run(caller, "at once", "order 3", nil); err != nil || status != 201 {
				t.Errorf("at once: %d %v", status, err)
			}
		})
	}
	wg.Wait()
	expect("five at once", 5, 201, nil, false)
	h.SetNow(h.Now().Add(24*time.Hour - time.Second))
	status, _, err = run(caller, "k", "order 1", nil)
	expect("within a day", 5, status, err, false)
	h.SetNow(h.Now().Add(time.Second))
	status, _, err = run(caller, "k", "order 9", nil)
	expect("after a day", 6, status, err, false)
}
