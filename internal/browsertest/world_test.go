package browsertest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/admin"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/demo"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/mail/mailtest"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// world is the product as `frist demo` runs it: pages, API and worker in one process, each with its own login.
type world struct {
	*pgtest.Env
	t     *testing.T
	db    *pg.DB
	blobs *blob.Store
	clock clock
	url   string
	house *account.House
	post  *mailtest.Server
	mux   chi.Routes
	seen  seen
	stop  func() // the worker
}

// seen is what the walks have been through, by route: pages that were examined, actions that were done.
type seen struct {
	mu           sync.Mutex
	pages, deeds map[string]bool
}

// unseen are the routes for people that no walk has been through: every page must be examined, every action done.
func (w *world) unseen() (missing []string, err error) {
	w.seen.mu.Lock()
	defer w.seen.mu.Unlock()
	err = chi.Walk(w.mux, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		route = strings.TrimSuffix(route, "/")
		switch {
		case machines.MatchString(route), method == http.MethodGet && w.seen.pages[route], method == http.MethodPost && w.seen.deeds[route]:
		default:
			missing = append(missing, method+" "+route)
		}
		return nil
	})
	return missing, err
}

// machines are routes without a page for people: the API (whose documentation has a test of its own), files, the ways to a
// provider and back, and what a script asks.
var machines = regexp.MustCompile(`^/(api/|static/|healthz$|readyz$|login/(med/|retur$)|konto/faktor/sporsmal$|csp-rapport$)|^$|\.(pdf|json|csv|txt)$|/eksport$|/opptak/\{|/utlevering\.`)

// route is the pattern behind an address.
func (w *world) route(method, path string) string {
	c := chi.NewRouteContext()
	w.mux.Match(c, method, path)
	return strings.TrimSuffix(c.RoutePattern(), "/")
}

func (w *world) examined(path string) {
	w.seen.mu.Lock()
	defer w.seen.mu.Unlock()
	w.seen.pages[w.route(http.MethodGet, path)] = true
}

// watch notes every action that leads on, or shows what is shown once; one that is refused shows its form again instead.
func (w *world) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		answer := middleware.NewWrapResponseWriter(rw, r.ProtoMajor)
		next.ServeHTTP(answer, r)
		if r.Method == http.MethodPost && (answer.Status() == http.StatusSeeOther || answer.Status() == http.StatusCreated || answer.Header().Get("HX-Redirect") != "" || answer.Header().Get("Refresh") != "") {
			w.seen.mu.Lock()
			defer w.seen.mu.Unlock()
			w.seen.deeds[w.route(http.MethodPost, r.URL.Path)] = true
		}
	})
}

// clock is the demo's: it runs, and it can be moved.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time           { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) forward(by time.Duration) { c.offset.Add(int64(by)) }

// start is the instant at which the demo begins: Thursday 05.10.23, 08.00 in Oslo, four days after a run date.
var start = time.Date(2023, 10, 5, 6, 0, 0, 0, time.UTC)

var key = []byte("0123456789abcdef0123456789abcdef")

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Env: pgtest.New(t), t: t, seen: seen{pages: map[string]bool{}, deeds: map[string]bool{}}}
	began := time.Now()
	var err error
	if w.blobs, err = blob.OpenFolder(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	web, operator := w.DSN("frist_web", "web"), w.DSN("frist_operator", "operator")
	err = demo.Load(t.Context(), demo.Config{
		Admin: w.AdminDSN(), Web: web, Operator: operator, Worker: w.DSN("frist_worker", "worker"),
		Blobs: w.blobs, Key: key, Start: start, Password: func(login string) string { return "password of " + login }, Log: logger(), Clients: 160, Events: 12,
	})
	if err != nil {
		t.Fatal(err)
	}
	// A chunk for every client, so that a round can be stopped in its middle.
	w.Exec(t, `UPDATE municipality_policy SET chunk_size = 1`)
	w.clock.offset.Store(int64(time.Until(start)))
	if w.db, err = pg.Open(t.Context(), pg.Config{Web: web, Operator: operator, Clock: w.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.db.Close)
	w.house = &account.House{Key: key}
	server := httptest.NewServer(w.handler())
	t.Cleanup(server.Close)
	w.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // browsers give no passkeys to an address without a name
	w.door(t)
	w.work()
	t.Cleanup(func() { w.rest() })
	t.Logf("the world was made in %s", time.Since(began).Round(time.Millisecond))
	return w
}

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// handler puts the site together as cmd/frist does.
func (w *world) handler() http.Handler {
	audit.RecordRefusals(w.db)
	var people []edge.Persona
	for _, p := range demo.Personas() {
		people = append(people, edge.Persona{Login: p.Login, Name: p.Name, Role: p.Role, Number: p.Municipality, Municipality: p.Town})
	}
	site, err := edge.New(edge.Site{DB: w.db, Demo: true, Personas: people, Log: logger(), Verbose: true, House: w.house, TrustedProxies: []string{"127.0.0.0/8", "::1/128"}})
	if err != nil {
		w.t.Fatal(err)
	}
	mux := site.Mux()
	(&rest.Server{DB: w.db, Site: site, Blobs: w.blobs, Key: key}).Routes(mux)
	mux.Group(func(r chi.Router) {
		r.Use(site.Signed)
		(&admin.Server{Site: site, DB: w.db, Blobs: w.blobs, Key: key}).Routes(r)
	})
	(&admin.Server{Site: site, DB: w.db}).PublicRoutes(mux)
	w.mux = mux
	return w.watch(mux)
}

// work starts the worker, and rest stops it: a round that was started then waits, as when a machine is restarted.
func (w *world) work() {
	w.t.Helper()
	address := w.DSN("frist_worker", "worker")
	db, err := pg.Open(context.Background(), pg.Config{Worker: address, Clock: w.clock.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	runner, err := jobs.Start(context.Background(), jobs.Config{DSN: address, Log: logger(), Deps: deletion.Deps{DB: db, Blobs: w.blobs, Key: key, Log: logger()}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := runner.Stop(ctx); err != nil {
			w.t.Error(err)
		}
		db.Close()
	}
}

func (w *world) rest() {
	if w.stop != nil {
		w.stop()
	}
	w.stop = nil
}

// someone is a client as the test knows it, to compare with what the pages show.
type someone struct{ id, number, given, family string }

func (s someone) name() string   { return s.given + " " + s.family }
func (s someone) listed() string { return s.family + ", " + s.given }
func (s someone) page() string   { return "/klienter/" + s.id }

// clients finds clients of a municipality; the condition is about client c, $1 is the municipality's number.
func (w *world) clients(t *testing.T, municipality, condition string, args ...any) []someone {
	t.Helper()
	rows, err := w.Admin.Query(t.Context(), `SELECT c.id, c.number, c.given_name, c.family_name FROM client c JOIN municipality_name n USING (municipality_id)
		WHERE n.number = $1 AND (`+condition+`) ORDER BY c.number`, append([]any{municipality}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var found []someone
	for rows.Next() {
		var s someone
		if err := rows.Scan(&s.id, &s.number, &s.given, &s.family); err != nil {
			t.Fatal(err)
		}
		found = append(found, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("nobody in %s is %s", municipality, condition)
	}
	return found
}

// text is one value as the administrator reads it.
func (w *world) text(t *testing.T, sql string, args ...any) string {
	t.Helper()
	var s string
	if err := w.Admin.QueryRow(t.Context(), sql, args...).Scan(&s); err != nil {
		t.Fatalf("%v in %s", err, strings.TrimSpace(sql))
	}
	return s
}
