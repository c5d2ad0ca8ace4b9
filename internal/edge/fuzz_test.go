package edge_test

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/go-chi/chi/v5/middleware"
)

// site is a small site for whatever a stranger sends; seen is the client's address as the site understood it.
type target struct {
	http.Handler
	log  *lines
	kari string // a cookie
	key  string
	seen string
}

func newTarget(f *testing.F, change ...func(*edge.Site)) *target {
	f.Helper()
	env := pgtest.New(f)
	env.Exec(f, `INSERT INTO municipality (id) VALUES (1)`)
	env.Exec(f, `INSERT INTO municipality_name VALUES (1, '2020-01-01', '3218', 'Ås')`)
	id, _, err := account.CreateFirst(f.Context(), env.DB, account.New{Municipality: 1, Login: "kari", Name: "Kari Nordmann", Password: password, Roles: []access.Role{access.Caseworker}})
	if err != nil {
		f.Fatal(err)
	}
	x := &target{log: new(lines)}
	if x.kari, err = account.SignInDemo(f.Context(), env.DB, "kari"); err != nil {
		f.Fatal(err)
	}
	if x.key, err = account.NewKey(f.Context(), env.DB, id, nil, time.Hour); err != nil {
		f.Fatal(err)
	}
	site := edge.Site{DB: env.DB, Log: slog.New(slog.NewJSONHandler(x.log, nil))}
	for _, c := range change {
		c(&site)
	}
	s, err := edge.New(site)
	if err != nil {
		f.Fatal(err)
	}
	mux := s.Mux()
	for _, at := range []string{"/hvem", "/api/v1/hvem"} {
		mux.With(s.Signed).Get(at, edge.Handle(func(w http.ResponseWriter, r *http.Request) error {
			return edge.JSON(w, http.StatusOK, edge.Caller(r).Account)
		}))
	}
	mux.Get("/adresse", func(_ http.ResponseWriter, r *http.Request) { x.seen = middleware.GetClientIP(r.Context()) })
	x.Handler = mux
	return x
}

// send gives the site a request as it stands on the wire. What is no request is skipped: net/http answers that.
func (x *target) send(t *testing.T, peer string, raw string) *httptest.ResponseRecorder {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		bad := httptest.NewRecorder() // net/http answers such a line by itself
		bad.Code = http.StatusBadRequest
		return bad
	}
	r.RemoteAddr = peer
	w := httptest.NewRecorder()
	x.ServeHTTP(w, r)
	if w.Code >= 500 {
		t.Fatalf("answered %d: %s", w.Code, x.log.String())
	}
	for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Cache-Control", "X-Request-Id"} {
		if len(w.Header()[name]) != 1 {
			t.Fatalf("%s stands %d times", name, len(w.Header()[name]))
		}
	}
	if strings.Contains(x.log.String(), `"msg":"panic"`) {
		t.Fatal(x.log.String())
	}
	return w
}

const stranger = "203.0.113.9:50123"

// No cookie but kari's own lets anybody in.
func FuzzSessionCookie(f *testing.F) {
	x := newTarget(f)
	for _, seed := range []string{"frist=" + x.kari, "frist=", "frist=" + x.kari + "; frist=" + x.kari, `frist="` + x.kari + `"`, "__Host-frist=" + x.kari, "frist=%00", "frist=" + strings.Repeat("a", 4096), "=;=;frist"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cookie string) {
		w := x.send(t, stranger, "GET /hvem HTTP/1.1\r\nHost: frist\r\nCookie: "+cookie+"\r\n\r\n")
		if own := strings.Contains(cookie, x.kari); w.Code == http.StatusOK && !own {
			t.Fatalf("%q lets in", cookie)
		}
	})
}

// No key but kari's own lets anybody in.
func FuzzKey(f *testing.F) {
	x := newTarget(f)
	for _, seed := range []string{"Bearer " + x.key, "Bearer frist_", "bearer " + x.key, "Basic a2FyaTprYXJp", "Bearer  " + x.key, "Bearer " + x.key + "\r\nAuthorization: Bearer x", "", "Bearer frist_\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		w := x.send(t, stranger, "GET /api/v1/hvem HTTP/1.1\r\nHost: frist\r\nAuthorization: "+header+"\r\n\r\n")
		if own := strings.Contains(header, x.key); w.Code == http.StatusOK && !own {
			t.Fatalf("%q lets in", header)
		}
	})
}

// The line about the act before comes from a cookie, which its bearer can write anew: it says one of our sentences, leads
// nowhere else, and its blanks are text.
func FuzzFlashCookie(f *testing.F) {
	x := newTarget(f)
	for _, seed := range []string{
		"eyJrIjoiZGVtby50aXRsZSJ9", "eyJrIjoiZXJyb3IuNDA0IiwibiI6LTF9", "eyJrIjoicHJvYmxlbS53YWl0IiwibiI6MiwicCI6eyJmaWVsZCI6IjxzY3JpcHQ-In0sInUiOiIvL2V2aWwuZXhhbXBsZSJ9", "e30", "x", "",
		"eyJrIjoiZGVtby50aXRsZSIsInAiOnsiYSI6eyJiIjpbMV19fX0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		w := x.send(t, stranger, "GET /login HTTP/1.1\r\nHost: frist\r\nCookie: frist-flash="+value+"\r\n\r\n")
		if body := w.Body.String(); strings.Contains(body, "<script>") || strings.Contains(body, `action="//`) || strings.Contains(body, `action="http`) {
			t.Fatal(body)
		}
	})
}

// The client's address is the peer's, unless the peer is a trusted proxy; then it is the last one in the header that is not
// a proxy of ours, and none at all when that cannot be read.
func FuzzForwardedFor(f *testing.F) {
	trusted := netip.MustParsePrefix("10.0.0.0/8")
	x := newTarget(f, func(s *edge.Site) { s.TrustedProxies = []string{trusted.String()} })
	for _, seed := range []string{"198.51.100.7", "1.2.3.4, 198.51.100.7, 10.1.1.1", "10.0.0.1", "::ffff:10.0.0.1, 198.51.100.7", "fe80::1%eth0", "unknown, 198.51.100.7", ",", "198.51.100.7:80", "198.51.100.7\r\nX-Forwarded-For: 9.9.9.9"} {
		f.Add(true, seed)
		f.Add(false, seed)
	}
	f.Fuzz(func(t *testing.T, throughProxy bool, header string) {
		peer := stranger
		if throughProxy {
			peer = "10.9.8.7:50123"
		}
		x.seen = "?"
		x.send(t, peer, "GET /adresse HTTP/1.1\r\nHost: frist\r\nX-Forwarded-For: "+header+"\r\nX-Real-IP: 8.8.8.8\r\nTrue-Client-IP: 8.8.8.8\r\nForwarded: for=8.8.8.8\r\n\r\n")
		if x.seen == "?" {
			return // another request than meant
		}
		if !throughProxy {
			if x.seen != "203.0.113.9" {
				t.Fatalf("a stranger is %q by %q", x.seen, header)
			}
			return
		}
		if x.seen == "" {
			return
		}
		ip, err := netip.ParseAddr(x.seen)
		if err != nil || trusted.Contains(ip) {
			t.Fatalf("%q by %q", x.seen, header)
		}
		// Everything behind the address that was taken must be proxies of ours.
		all := strings.FieldsFunc(strings.ReplaceAll(header, "\r\nX-Forwarded-For:", ","), func(r rune) bool { return r == ',' })
		for i := len(all) - 1; i >= 0; i-- {
			hop, err := netip.ParseAddr(strings.TrimSpace(all[i]))
			if err != nil {
				return // a form that only the middleware reads
			}
			if hop = hop.Unmap().WithZone(""); trusted.Contains(hop) {
				continue
			}
			if hop != ip {
				t.Fatalf("%q by %q, not %q", x.seen, header, hop)
			}
			return
		}
	})
}

// Whatever a browser prefers, the page is in a language that Frist speaks.
func FuzzAcceptLanguage(f *testing.F) {
	x := newTarget(f)
	for _, seed := range []string{"nb", "en-GB,en;q=0.9", "*", "nn;q=2", "x-" + strings.Repeat("a-", 500), "en;q=0,nb;q=0", "de-DE-u-co-phonebk", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		w := x.send(t, stranger, "GET /login HTTP/1.1\r\nHost: frist\r\nAccept-Language: "+header+"\r\n\r\n")
		if body := w.Body.String(); w.Code == http.StatusOK && !strings.Contains(body, `lang="nb"`) && !strings.Contains(body, `lang="en"`) {
			t.Fatalf("%.200s", body)
		}
	})
}

// Forms that nobody can sign in with, in whatever form they come.
func FuzzForm(f *testing.F) {
	x := newTarget(f)
	for _, seed := range []string{"login=kari&password=x", "login=kari&login=eva", "login=%00&password=%zz", "a;b=c", "next=//evil.example&login=kari", "login=\xff", "persona=kari", strings.Repeat("a=b&", 2000)} {
		f.Add("application/x-www-form-urlencoded", seed)
	}
	f.Add("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"login\"\r\n\r\nkari\r\n--x--")
	f.Add("application/json", `{"login":"kari"}`)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/innstillinger", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = stranger
		r.Header["Content-Type"] = []string{contentType}
		r.AddCookie(&http.Cookie{Name: "frist", Value: x.kari})
		w := httptest.NewRecorder()
		x.ServeHTTP(w, r)
		if w.Code >= 500 || strings.Contains(x.log.String(), `"msg":"panic"`) {
			t.Fatalf("%d %s", w.Code, x.log.String())
		}
		if to := w.Header().Get("Location"); to != "" {
			own, err := url.Parse("https://frist.example/innstillinger")
			if err != nil {
				t.Fatal(err)
			}
			if next, err := own.Parse(to); err != nil || next.Host != own.Host || next.Scheme != own.Scheme {
				t.Fatalf("leads to %q", to)
			}
		}
	})
}

// The first line of a request: method, path and query as nobody writes them.
func FuzzRequestLine(f *testing.F) {
	x := newTarget(f)
	for _, seed := range []string{"GET /", "TRACE /login", "CONNECT frist:443", "OPTIONS *", "GET http://evil.example/login", "GET //login", "GET /login/../hvem", "GET /%2e%2e/%2fhvem", "GET /LOGIN", "GET /hvem%00", "GET /\xff", "GET /login?a=1&a=2", "GET /login?%zz", "GET /api/v1/hvem;x=1", "get /login", "GET /static/x/%2e%2e%2fapp.js"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		w := x.send(t, stranger, line+" HTTP/1.1\r\nHost: frist\r\n\r\n")
		_, _ = io.Copy(io.Discard, w.Body)
		if to := w.Header().Get("Location"); strings.HasPrefix(to, "//") || strings.HasPrefix(to, "http") || strings.HasPrefix(to, `/\`) {
			t.Fatalf("leads to %q", to)
		}
	})
}
