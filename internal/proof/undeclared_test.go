package proof

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/admin"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// gate is the site as cmd/frist puts it together, with its counters, before an empty world.
type gate struct {
	*pgtest.World
	t       *testing.T
	mux     *chi.Mux
	server  *httptest.Server
	log     *lines
	metrics *edge.Metrics
	cookies map[access.Role]string
	keys    map[access.Role]string
}

func newGate(t *testing.T, change ...func(*edge.Site)) *gate {
	t.Helper()
	g := &gate{World: pgtest.NewWorld(t), t: t, log: new(lines), metrics: edge.NewMetrics(), cookies: map[access.Role]string{}, keys: map[access.Role]string{}}
	audit.RecordRefusals(g.DB)
	site := edge.Site{DB: g.DB, Demo: true, Metrics: g.metrics, Unlimited: true, Log: slog.New(slog.NewJSONHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range change {
		c(&site)
	}
	s, err := edge.New(site)
	if err != nil {
		t.Fatal(err)
	}
	g.mux = s.Mux()
	key := []byte("a key that lies outside the database")
	(&rest.Server{DB: g.DB, Site: s, Key: key}).Routes(g.mux)
	g.mux.Group(func(r chi.Router) {
		r.Use(s.Signed)
		(&admin.Server{Site: s, DB: g.DB, Key: key}).Routes(r)
	})
	(&admin.Server{Site: s, DB: g.DB}).PublicRoutes(g.mux)
	g.server = httptest.NewServer(g.mux)
	t.Cleanup(g.server.Close)
	for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator, access.Support, access.Operator, access.PlatformAdministrator} {
		m := g.A
		if (access.Caller{Roles: []access.Role{role}}).Blind() {
			m = 0
		}
		who := g.World.As(role, m)
		var login string
		if err := g.Admin.QueryRow(t.Context(), `SELECT login FROM account WHERE id = $1`, who.Account).Scan(&login); err != nil {
			t.Fatal(err)
		}
		if g.cookies[role], err = account.SignInDemo(t.Context(), g.DB, login); err != nil {
			t.Fatal(err)
		}
		if g.keys[role], err = account.NewKey(t.Context(), g.DB, who.Account, nil, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func (g *gate) ask(role access.Role, method, path string, body io.Reader, header ...string) (*http.Response, []byte) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.server.URL, body)
	if err != nil {
		g.t.Fatal(err)
	}
	r.URL.Opaque = path // as it is, without being put right
	if strings.HasPrefix(path, "/api/") {
		r.Header.Set("Authorization", "Bearer "+g.keys[role])
	} else {
		r.AddCookie(&http.Cookie{Name: "frist", Value: g.cookies[role]})
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	response, err := noRedirect.Do(r)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response, raw
}

// counted is how many refusals the counters know.
func (g *gate) counted() (n float64) {
	g.t.Helper()
	families, err := g.metrics.Registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "frist_refusals_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// Requests that no page and no program makes: each is refused in words, counted, and nothing of it comes back or is kept.
func TestRequestsNobodyDeclared(t *testing.T) {
	g := newGate(t)
	id := g.Add(t, pgtest.Person{})
	client, operation := "/klienter/"+id.String(), "/api/v1/clients/"+id.String()
	const form, asJSON = "application/x-www-form-urlencoded", "application/json"
	k := newToken("stranger", "request")
	v := k.value
	type c struct {
		name, method, path, contentType, body string
		header                                []string
		status                                []int
	}
	cases := []c{
		{"TRACE", "TRACE", client, "", "", nil, []int{405}},
		{"OPTIONS", "OPTIONS", client, "", "", nil, []int{405}},
		{"HEAD of a page", "HEAD", "/klienter", "", "", nil, []int{405}},
		{"a method of nobody's", "FRIST", client, "", v, nil, []int{405}},
		{"PUT on a page", "PUT", client, asJSON, `{"a":"` + v + `"}`, nil, []int{405}},
		{"DELETE of a client", "DELETE", operation, "", "", nil, []int{405}},
		{"a method in a header", "POST", client + "/notater", form, "text=x", []string{"X-HTTP-Method-Override", "DELETE"}, []int{303, 422}},
		{"JSON to a page", "POST", client + "/notater", asJSON, `{"text":"` + v + `"}`, nil, []int{415}},
		{"text to a page", "POST", client + "/notater", "text/plain", "text=" + v, nil, []int{415}},
		{"nothing's type to a page", "POST", client + "/notater", "", "text=" + v, nil, []int{415}},
		{"a type that is none", "POST", client + "/notater", "//" + v, "text=" + v, nil, []int{415}},
		{"a form to the API", "PATCH", operation, form, "phone=" + v, []string{"If-Match", `"1"`}, []int{415}},
		{"XML to the API", "PATCH", operation, "application/xml", "<a>" + v + "</a>", []string{"If-Match", `"1"`}, []int{415}},
		{"two types", "PATCH", operation, "", `{}`, []string{"Content-Type", asJSON, "Content-Type", form, "If-Match", `"1"`}, []int{400}},
		{"a body on a read", "GET", operation, asJSON, `{"a":"` + v + `"}`, nil, []int{400}},
		{"a field that is not there", "PATCH", operation, asJSON, `{"` + v + `":"x"}`, []string{"If-Match", `"1"`}, []int{400}},
		{"a field of a row that is not of the form", "PATCH", operation, asJSON, `{"municipality_id":2,"phone":"` + v + `"}`, []string{"If-Match", `"1"`}, []int{400}},
		{"a field twice in a form", "POST", client + "/notater", form, "text=x&text=" + v, nil, []int{422}},
		{"a parameter twice in an address", "GET", "/klienter?sok=x&sok=" + v, "", "", nil, []int{422}},
		{"a parameter twice in the API", "GET", "/api/v1/clients?limit=1&limit=2", "", "", nil, []int{400}},
		{"a parameter of nobody's in the API", "GET", "/api/v1/clients?" + v + "=1", "", "", nil, []int{400}},
		{"a limit that is no number", "GET", "/api/v1/clients?limit=" + v, "", "", nil, []int{400}},
		{"a limit beyond", "GET", "/api/v1/clients?limit=100000", "", "", nil, []int{400}},
		{"a broken escape in an address", "GET", "/klienter?sok=%zz" + v, "", "", nil, []int{422}},
		{"a broken escape in a form", "POST", client + "/notater", form, "text=%zz" + v, nil, []int{422}},
		{"a broken escape in the API's address", "GET", "/api/v1/clients?limit=%zz", "", "", nil, []int{400}},
		{"a zero byte in a form", "POST", client + "/notater", form, "text=%00" + v, nil, []int{422}},
		{"a zero byte in a field's name", "POST", client + "/notater", form, "%00=" + v, nil, []int{422}},
		{"a zero byte in JSON", "PATCH", operation, asJSON, `{"phone":"\u0000` + v + `"}`, []string{"If-Match", `"1"`}, []int{400}},
		{"a zero byte in an address", "GET", "/runder/%00" + v, "", "", nil, []int{404}},
		{"a zero byte in the API's address", "GET", "/api/v1/rounds/%00" + v, "", "", nil, []int{404}},
		{"no UTF-8 in a form", "POST", client + "/notater", form, "text=%ff%fe" + v, nil, []int{422}},
		{"no UTF-8 in an address", "GET", "/runder/%ff" + v, "", "", nil, []int{404}},
		{"no UTF-8 in JSON", "PATCH", operation, asJSON, "{\"phone\":\"\xff" + v + "\"}", []string{"If-Match", `"1"`}, []int{400}},
		{"two slashes within", "GET", "/klienter//" + id.String(), "", "", nil, []int{404}},
		{"a slash that is escaped", "GET", "/klienter%2f" + id.String(), "", "", nil, []int{404}},
		{"dots", "GET", "/klienter/../innsyn", "", "", nil, []int{404}},
		{"dots that are escaped", "GET", "/static/x/%2e%2e%2f%2e%2e%2fgo.mod", "", "", nil, []int{404}},
		{"a backslash", "GET", `/klienter\` + id.String(), "", "", nil, []int{404}},
		{"a slash at the end", "GET", "/klienter/", "", "", nil, []int{404}},
		{"capitals", "GET", "/KLIENTER", "", "", nil, []int{404}},
		{"a semicolon", "GET", "/klienter;a=" + v, "", "", nil, []int{404}},
		{"a page under the API", "GET", "/api/klienter", "", "", nil, []int{404}},
		{"a version that is not there", "GET", "/api/v2/clients", "", "", nil, []int{404}},
		{"a key on a page", "GET", client, "", "", []string{"Authorization", "Bearer " + g.keys[access.Caseworker], "Cookie", "frist=" + v}, []int{303}},
		{"a cookie in the API", "GET", operation, "", "", []string{"Authorization", "Bearer x", "Cookie", "frist=" + g.cookies[access.Caseworker]}, []int{401}},
		{"two keys", "GET", operation, "", "", []string{"Authorization", "Bearer " + v}, []int{401}},
		{"two cookies", "GET", client, "", "", []string{"Cookie", "frist=" + v}, []int{303}},
		{"two versions", "PATCH", operation, asJSON, `{"phone":"1"}`, []string{"If-Match", `"1"`, "If-Match", `"2"`}, []int{400}},
		{"two keys for one act", "POST", "/api/v1/clients", asJSON, `{"given_name":"A","family_name":"B","status":"active"}`, []string{"Idempotency-Key", "a", "Idempotency-Key", v}, []int{400}},
		{"a form from elsewhere", "POST", client + "/notater", form, "text=" + v, []string{"Sec-Fetch-Site", "cross-site"}, []int{403}},
		{"a form from a neighbour", "POST", client + "/notater", form, "text=" + v, []string{"Sec-Fetch-Site", "same-site"}, []int{403}},
		{"a form of another origin", "POST", client + "/notater", form, "text=" + v, []string{"Origin", "https://" + v + ".example"}, []int{403}},
		{"a form of no origin", "POST", client + "/notater", form, "text=" + v, []string{"Origin", "null"}, []int{403}},
		{"a recording from elsewhere", "GET", client + "/opptak/1", "", "", []string{"Sec-Fetch-Site", "cross-site"}, []int{403}},
		{"a recording from a neighbour", "GET", client + "/opptak/1", "", "", []string{"Sec-Fetch-Site", "same-site"}, []int{403}},
		{"a header that is not followed", "GET", client, "", "", []string{"X-Original-URL", "/innsyn", "X-Rewrite-URL", "/innsyn", "X-Forwarded-Host", v}, []int{200}},
	}
	look := newScanner([]token{k})
	for _, one := range cases {
		before := g.counted()
		header := one.header
		if one.contentType != "" {
			header = append([]string{"Content-Type", one.contentType}, header...)
		}
		var body io.Reader
		if one.body != "" {
			body = strings.NewReader(one.body)
		}
		response, raw := g.ask(access.Caseworker, one.method, one.path, body, header...)
		if !slices.Contains(one.status, response.StatusCode) {
			t.Errorf("%s: answered %d, want %v: %.200s", one.name, response.StatusCode, one.status, raw)
		}
		if response.StatusCode >= 400 {
			if g.counted() <= before {
				t.Errorf("%s: nobody counted it", one.name)
			}
			if one.method != http.MethodHead && len(raw) < 20 {
				t.Errorf("%s: refused without a word", one.name)
			}
			if response.StatusCode == http.StatusMethodNotAllowed && response.Header.Get("Allow") == "" {
				t.Errorf("%s: 405 without Allow", one.name)
			}
		}
		var head bytes.Buffer
		_ = response.Header.Write(&head)
		look.look("header of "+one.name, head.Bytes())
		if !strings.Contains(one.path, v) { // its own address leads back to it, for its reader only
			look.look("body of "+one.name, raw)
		}
	}
	look.look("log", g.log.Bytes())
	if n := g.Count(t, `SELECT count(*) FROM note WHERE text LIKE '%Zq7%'`); n > 0 {
		t.Errorf("%d notes were written", n)
	}
	for _, h := range look.hits {
		t.Errorf("%s in the %s as %s", h.token, h.where, h.encoding)
	}
	t.Logf("%d requests", len(cases))
}

// Where the names of the site are told, requests for others are refused before anything is looked at; probes may come by
// address.
func TestOnlyTheSitesOwnNames(t *testing.T) {
	g := newGate(t, func(s *edge.Site) { s.Hosts = []string{"frist.example", "frist.example:8443"} })
	for _, c := range []struct {
		host, path string
		status     int
	}{
		{"frist.example", "/klienter", 200},
		{"FRIST.example", "/klienter", 200},
		{"frist.example:8443", "/klienter", 200},
		{"evil.example", "/klienter", 421},
		{"frist.example.evil.example", "/klienter", 421},
		{"frist.example:80", "/klienter", 421},
		{"evil.example", "/api/v1/clients", 421},
		{"evil.example", "/login", 421},
		{"10.1.2.3", "/healthz", 200},
		{"10.1.2.3", "/readyz", 200},
	} {
		if response, body := g.ask(access.Caseworker, http.MethodGet, c.path, nil, "Host", c.host); response.StatusCode != c.status || strings.Contains(string(body), "evil.example") {
			t.Errorf("%s of %s: %d", c.path, c.host, response.StatusCode)
		}
	}
}

// endless gives n bytes and counts those that were taken.
type endless struct {
	left  int64
	taken atomic.Int64
	begin *strings.Reader
}

func (e *endless) Read(p []byte) (int, error) {
	if n, _ := e.begin.Read(p); n > 0 {
		e.taken.Add(int64(n))
		return n, nil
	}
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.left -= int64(n)
	e.taken.Add(int64(n))
	return n, nil
}

// A hundred megabytes, with and without saying so: refused at the limit, read no further than it, and kept in no memory.
func TestAHundredMegabytes(t *testing.T) {
	g := newGate(t)
	const size = 100 << 20
	const part = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nNavn;Nummer\n"
	slack := int64(16 << 20) // what lies in the buffers of two sockets
	for _, c := range []struct {
		path, contentType, begin string
		limit                    int64
		status                   []int
	}{
		{"/login", "application/x-www-form-urlencoded", "login=", edge.BodyLimit, []int{413}},
		{"/klienter/ny", "application/x-www-form-urlencoded", "given_name=", edge.BodyLimit, []int{413}},
		{"/klienter/ny", "multipart/form-data; boundary=x", part, edge.BodyLimit, []int{413, 422}},
		{"/import", "multipart/form-data; boundary=x", part, exchange.MaxBytes + 2<<20, []int{413, 422}},
		{"/api/v1/clients", "application/json", `{"given_name":"`, edge.BodyLimit, []int{413}},
		{"/api/v1/imports", "multipart/form-data; boundary=x", part, exchange.MaxBytes + 2<<20, []int{413, 422}},
		{"/api/v1/nowhere", "application/json", "{", edge.BodyLimit, []int{404}},
		{"/csp-rapport", "application/csp-report", `{"csp-report":`, 16 << 10, []int{413}},
	} {
		for _, said := range []bool{true, false} {
			runtime.GC()
			var before, peak runtime.MemStats
			runtime.ReadMemStats(&before)
			body := &endless{left: size, begin: strings.NewReader(c.begin)}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.server.URL+c.path, io.NopCloser(body))
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = -1
			if said {
				r.ContentLength = size + int64(len(c.begin))
			}
			r.Header.Set("Content-Type", c.contentType)
			r.Header.Set("Authorization", "Bearer "+g.keys[access.Caseworker])
			r.AddCookie(&http.Cookie{Name: "frist", Value: g.cookies[access.Caseworker]})
			status := 0
			if response, err := noRedirect.Do(r); err == nil {
				status = response.StatusCode
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			} else if !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "connection reset") {
				t.Errorf("%s: %v", c.path, err)
			}
			runtime.ReadMemStats(&peak)
			if status != 0 && !slices.Contains(c.status, status) { // 0: the server hung up while we were still talking
				t.Errorf("%s (said: %t): %d", c.path, said, status)
			}
			if n := body.taken.Load(); n > c.limit+slack {
				t.Errorf("%s (said: %t): %d bytes were taken, the limit is %d", c.path, said, n, c.limit)
			}
			if grown := int64(peak.TotalAlloc - before.TotalAlloc); grown > 6*c.limit+32<<20 {
				t.Errorf("%s (said: %t): %d bytes were allocated for a limit of %d", c.path, said, grown, c.limit)
			}
		}
	}
	if response, _ := g.ask(access.Caseworker, http.MethodGet, "/klienter", nil); response.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d", response.StatusCode)
	}
}

// Every route of every kind, whoever asks and whatever it answers, has the headers that keep a page to itself, and none of
// them may be kept by a browser or a proxy but what is the same for everybody.
func TestEveryAnswerHasTheHeaders(t *testing.T) {
	g := newGate(t)
	id := g.Add(t, pgtest.Person{})
	values := map[string]string{"client": id.String(), "address": g.AddressOf(t, id).String(), "device": g.AddDevice(t, g.A, id, uuid.Nil).String(), "number": "3218-231001", "format:html|pdf|json|fhir|zip": "json"}
	var routes []string
	err := chi.Walk(g.mux, func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		pattern = strings.ReplaceAll(pattern, "/*/", "/")
		for strings.Contains(pattern, "{") {
			from, to := strings.Index(pattern, "{"), strings.Index(pattern, "}")
			value, ok := values[pattern[from+1:to]]
			if !ok {
				value = "00000000-0000-4000-8000-000000000000"
			}
			pattern = pattern[:from] + value + pattern[to+1:]
		}
		if !strings.Contains(pattern, "logout") {
			routes = append(routes, method+" "+pattern)
		}
		return nil
	})
	if err != nil || len(routes) < 200 {
		t.Fatalf("%d routes, %v", len(routes), err)
	}
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
	}
	answers := map[int]int{}
	check := func(route string, role access.Role, h http.Header, status int) {
		for name, value := range want {
			if got := h.Values(name); len(got) != 1 || name != "Permissions-Policy" && got[0] != value || got[0] == "" {
				t.Errorf("%s as %s (%d): %s is %q", route, role, status, name, got)
			}
		}
		policy := h.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action"} {
			if !strings.Contains(policy, directive) {
				t.Errorf("%s as %s (%d): no %s in %q", route, role, status, directive, policy)
			}
		}
		if !strings.HasSuffix(route, "/api/docs") && !strings.Contains(policy, "require-trusted-types-for 'script'") && !strings.Contains(policy, "sandbox") {
			t.Errorf("%s as %s (%d): no trusted types: %s", route, role, status, policy)
		}
		if strings.Contains(policy, "unsafe-eval") || strings.Contains(policy, "*") || strings.Contains(policy, "http:") || strings.Contains(policy, "script-src 'self' 'unsafe-inline'") {
			t.Errorf("%s: %s", route, policy)
		}
		cache := h.Get("Cache-Control")
		// The same for everybody, with nobody's name on it.
		open := strings.Contains(route, "/static/") || strings.Contains(route, "security.txt") || strings.Contains(route, "/personvernerklaring")
		if !open && cache != "no-store" {
			t.Errorf("%s as %s (%d) may be kept: %q", route, role, status, cache)
		}
		for _, name := range []string{"Server", "X-Powered-By", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"} {
			if h.Get(name) != "" {
				t.Errorf("%s: %s is %q", route, name, h.Get(name))
			}
		}
		for _, c := range (&http.Response{Header: h}).Cookies() {
			if !c.HttpOnly || c.SameSite == http.SameSiteDefaultMode || c.SameSite == http.SameSiteNoneMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("%s: a cookie that others reach: %s", route, c.Name)
			}
		}
		answers[status/100]++
	}
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		for _, role := range []access.Role{access.Caseworker, access.PrivacyOfficer, access.Operator, ""} {
			var body io.Reader
			header := []string{}
			if method != http.MethodGet {
				body, header = strings.NewReader("x=1"), []string{"Content-Type", "application/x-www-form-urlencoded"}
			}
			response, raw := g.ask(role, method, strings.TrimSuffix(path, "*"), body, header...)
			if strings.Contains(response.Header.Get("Cache-Control"), "public") && bytes.Contains(raw, []byte("Ansatt ")) {
				t.Errorf("%s as %s: a page that may be kept has a name on it", route, role)
			}
			check(route, role, response.Header, response.StatusCode)
		}
	}
	for _, extra := range []string{"GET /nowhere", "TRACE /klienter", "GET /static/nothing/nowhere", "GET /klienter?%zz"} {
		method, path, _ := strings.Cut(extra, " ")
		response, _ := g.ask(access.Caseworker, method, path, nil)
		check(extra, access.Caseworker, response.Header, response.StatusCode)
	}
	if answers[2] < 100 || answers[4] < 200 {
		t.Errorf("answers by class: %v: the test would prove little", answers)
	}
	t.Logf("%d routes, answers by class %v", len(routes), answers)
}
