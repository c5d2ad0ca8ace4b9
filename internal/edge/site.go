// Package edge is the boundary to HTTP: who asks (session or key), what every request must pass (limits, headers,
// cross-site protection), how pages are rendered, and the one place where errors become answers. It knows no table but
// its own, idempotency and rate_bucket.
package edge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// Site is one installation as the browser meets it. Fill the first fields, then call New.
type Site struct {
	DB             *pg.DB
	Demo           bool           // the banner with the clock, and the personas on the sign-in page
	TLS            bool           // a proxy speaks TLS in front: __Host- cookie and HSTS
	Personas       []Persona      // people of the demo, in the order of the page
	Nav            []NavItem      // nil is DefaultNav
	Hosts          []string       // names under which the site is reached, with the port where there is one; none: any
	TrustedProxies []string       // networks whose X-Forwarded-For is believed; none: the peer's own address
	Log            *slog.Logger   // nil is slog.Default
	Verbose        bool           // log what errors say; only where no real person is
	House          *account.House // second factors, providers, mail; nil: a House with a key of its own, for this process only
	Security       Security       // what security.txt says

	Metrics   *Metrics // nil: counters of its own
	Unlimited bool     // no limits on how often; for tests that try much

	leases *leases
	root   http.Handler
	static *static
	pages  map[string]map[string]*template.Template // by language and name
	names  *names
}

// New makes a Site ready to serve: it reads the templates and the static files. An error here is a fault in the program.
func New(s Site) (*Site, error) {
	if s.Log == nil {
		s.Log = slog.Default()
	}
	s.names = new(names)
	s.leases = new(leases)
	if s.Metrics == nil {
		s.Metrics = NewMetrics()
	}
	if s.House == nil {
		s.House = &account.House{Key: []byte(rand.Text() + rand.Text())}
	}
	if s.Nav == nil {
		s.Nav = DefaultNav
	}
	err := s.Security.Check()
	if err != nil {
		return nil, err
	}
	if s.static, err = newStatic(); err != nil {
		return nil, err
	}
	if s.pages, err = parsePages(s.static.address("")); err != nil {
		return nil, err
	}
	return &s, nil
}

// BodyLimit is how much a request may bring unless its route says otherwise (MaxBody).
const BodyLimit = 1 << 20

// Mux is a router with everything that a request must pass, and the pages that need nobody: sign-in, sign-out, settings,
// health, static files, errors. Mount the rest on it in groups that Use Signed.
func (s *Site) Mux() *chi.Mux {
	mux := chi.NewRouter()
	s.root = mux
	address := middleware.ClientIPFromRemoteAddr
	if len(s.TrustedProxies) > 0 {
		address = middleware.ClientIPFromXFF(s.TrustedProxies...)
	}
	csrf := http.NewCrossOriginProtection()
	csrf.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { Fail(w, r, crossSite{}) }))
	mux.Use(s.begin, s.headers, s.recoverer, address, MaxBody(BodyLimit), csrf.Handler, s.plainly)
	mux.NotFound(s.who(Handle(func(http.ResponseWriter, *http.Request) error { return problem.NotFound{What: "page"} })).ServeHTTP)
	mux.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		if rctx := chi.RouteContext(r.Context()); rctx != nil {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
				if mux.Match(chi.NewRouteContext(), method, r.URL.Path) {
					w.Header().Add("Allow", method)
				}
			}
		}
		Fail(w, r, methodNotAllowed{})
	})
	mux.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "alive") })
	mux.Get("/readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if s.DB.Ping(ctx) != nil {
			plain(w, http.StatusServiceUnavailable, "the database does not answer")
			return
		}
		if warning := s.security().Warning(s.DB.Now()); warning != "" {
			plain(w, http.StatusOK, "ready; "+warning)
			return
		}
		plain(w, http.StatusOK, "ready")
	})
	mux.Get("/.well-known/security.txt", Handle(s.securityTxt))
	mux.Method(http.MethodGet, "/static/{hash}/*", middleware.Compress(5)(http.HandlerFunc(s.static.serve)))
	mux.With(MaxBody(reportLimit)).Post(reportPath, Handle(s.cspReport))
	mux.Get("/login", Handle(s.loginForm))
	mux.Post("/login", Handle(s.login))
	mux.Post("/logout", Handle(s.logout))
	mux.With(s.Signed).Post("/innstillinger", Handle(s.settings))
	s.ownRoutes(mux)
	return mux
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

// state is what the edge knows about one request.
type state struct {
	site    *Site
	id      string
	caller  access.Caller
	profile account.Profile
	body    io.ReadCloser // before any limit
	nobody  bool          // asked, and nobody is signed in
	spent   bool          // has paid for its route
}

type stateKey struct{}

func stateOf(r *http.Request) *state {
	st, ok := r.Context().Value(stateKey{}).(*state)
	if !ok {
		panic("edge: the request did not come through Site.Mux")
	}
	return st
}

// text is the language of the answer: the person's own, else what the browser asks for.
func (st *state) text(r *http.Request) Text {
	t := matching(r.Header.Get("Accept-Language"))
	if st.caller.Language != "" {
		t = T(st.caller.Language)
	}
	if m, err := st.site.municipality(r, st.caller.Municipality); err == nil {
		t.Zone = m.Zone
	}
	return t
}

// isAPI reports whether programs are meant to read the answer. The path decides, so that requests which reach no route
// are answered in the right form too.
func isAPI(r *http.Request) bool {
	return r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/")
}

// Caller is who asks. Behind Signed it is always somebody.
func Caller(r *http.Request) access.Caller { return stateOf(r).caller }

// RequestID is the number under which the log knows this request; error pages show it.
func RequestID(r *http.Request) string { return stateOf(r).id }

// begin gives the request its number and writes its line in the log: the route's pattern, never the path or the query,
// which hold ids.
func (s *Site) begin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now() //nolint:forbidigo // how long it took is measured, not told by the clock of the domain
		var raw [6]byte
		rand.Read(raw[:]) //nolint:errcheck // never fails: the program ends instead
		st := &state{site: s, id: hex.EncodeToString(raw[:]), body: r.Body}
		r = r.WithContext(context.WithValue(r.Context(), stateKey{}, st))
		w.Header().Set("X-Request-Id", st.id)
		if len(r.TransferEncoding) > 0 { // a length beside the chunks is gone by now: what follows on the connection may be another's
			w.Header().Set("Connection", "close")
		}
		watched := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			route := "none"
			if rctx := chi.RouteContext(r.Context()); rctx != nil {
				if pattern := rctx.RoutePattern(); pattern != "" && pattern != "/*" {
					route = pattern
				}
			}
			level := slog.LevelInfo
			if watched.Status() >= 500 {
				level = slog.LevelError
			}
			took := time.Since(start) //nolint:forbidigo // see above
			s.Metrics.answered(route, r.Method, watched.Status(), isAPI(r), took)
			s.Log.LogAttrs(r.Context(), level, "request", slog.String("method", r.Method), slog.String("route", route), slog.Int("status", watched.Status()),
				slog.Duration("took", took), slog.String("request", st.id), slog.Int64("account", st.caller.Account))
		}()
		next.ServeHTTP(watched, r)
	})
}

// Policy is the content security policy of every page. htmx and the design system insert HTML through the two policies of
// web/static/app.js, and there is no other way to.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; media-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default frist; report-uri " + reportPath + "; report-to csp"

// headers go on every response. A handler may replace them before it writes.
func (s *Site) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", Policy)
		h.Set("Reporting-Endpoints", `csp="`+reportPath+`"`)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		if s.TLS {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		next.ServeHTTP(w, r)
	})
}

// recoverer answers a panic with 500. The log gets where it happened, not what it said.
func (s *Site) recoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
				panic(p)
			}
			s.Log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("request", stateOf(r).id), slog.String("kind", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
			if watched, ok := w.(middleware.WrapResponseWriter); ok && watched.Status() != 0 {
				return // the answer has begun; a second one would be pasted to it
			}
			Fail(w, r, errPanic)
		}()
		next.ServeHTTP(w, r)
	})
}

var errPanic = fmt.Errorf("edge: a handler panicked")

// MaxBody lets the routes behind it take n bytes, in place of BodyLimit.
func MaxBody(n int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, stateOf(r).body, n)
			next.ServeHTTP(w, r)
		})
	}
}
