package edge

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// Limit is how often one account may do acts of one kind: Burst of them at once, and one more after each Every.
type Limit struct {
	Kind  string
	Burst int
	Every time.Duration
}

// The limits of what is costly or easily abused. They are wide for people at work and narrow for a program that was let
// loose; signing in has limits of its own (package account). Each costs one round trip more, so no list and no record has one.
var (
	searches  = Limit{"search", 60, time.Second}          // who looks for everybody, by name after name
	documents = Limit{"document", 60, 10 * time.Second}   // sheets and extracts, which are much work
	files     = Limit{"import", 30, time.Minute}          // the largest requests there are
	decisions = Limit{"decision", 60, 10 * time.Second}   // what a stolen session would do most harm with
	doors     = Limit{"door", 30, 30 * time.Second}       // accounts, links, keys
	programs  = Limit{"api", 3000, 50 * time.Millisecond} // any request of a program, by its key
	reports   = Limit{"csp_report", 30, 10 * time.Second} // what browsers tell of the content security policy, all together
)

// limits are those of the routes.
var limits = map[string]Limit{
	"POST /klienter/sok": searches, "POST /innsyn/sok": searches, "POST /innsyn/person": searches, "POST /rettigheter/tidligere": searches,
	"POST /api/v1/clients/searches": searches, "POST /api/v1/log/persons": searches, "POST /api/v1/rights-requests/former": searches,

	"GET /runder/{number}/protokoll.pdf": documents, "GET /drift/{number}/protokoll.pdf": documents, "GET /support/runder/{number}/protokoll.pdf": documents,
	"POST /innsyn/eksport": documents, "GET /api/v1/log/export": documents,
	"GET /rettigheter/{request}/forhandsvisning": documents, "GET /rettigheter/{request}/utlevering.{format:html|pdf|json|fhir|zip}": documents,
	"GET /api/v1/rights-requests/{right}/extract": documents, "GET /api/v1/rights-requests/{right}/extract/preview": documents,

	"POST /import": files, "POST /api/v1/imports": files,

	"POST /bestillinger": decisions, "POST /api/v1/orders": decisions, "POST /support/bestillinger/{order}": decisions, "POST /api/v1/orders/{order}/placement": decisions,
	"POST /drift/{number}/start": decisions, "POST /api/v1/rounds/{number}/start": decisions,
	"POST /runder/{number}/godkjenn": decisions, "POST /api/v1/rounds/{number}/approval": decisions,
	"POST /tilgang/{visit}/gi": decisions, "POST /api/v1/visits/{visit}/grant": decisions,

	"POST /brukere/ny": doors, "POST /brukere/{account}/lenke": doors, "POST /konto/nokler": doors, "POST /brukere/{account}/nokler": doors,
	"POST /api/v1/accounts": doors, "POST /api/v1/accounts/{account}/links": doors, "POST /api/v1/me/keys": doors, "POST /api/v1/accounts/{account}/keys": doors,
}

// Limited gives the limit of a route, by method and pattern; for tests and for the documentation.
func Limited(route string) (Limit, bool) {
	l, ok := limits[route]
	return l, ok
}

// LimitedRoutes are the routes that have a limit.
func LimitedRoutes() []string {
	all := make([]string, 0, len(limits))
	for route := range limits {
		all = append(all, route)
	}
	return all
}

// Spend takes from the caller's tokens for the route of r, when it has a limit: problem.TooMany when there is none left,
// with the seconds until there is.
func Spend(r *http.Request) error {
	st := stateOf(r)
	rctx := chi.RouteContext(r.Context())
	if rctx == nil || st.site.Unlimited || st.spent {
		return nil
	}
	limit, ok := limits[r.Method+" "+rctx.RoutePattern()]
	if !ok {
		return nil
	}
	st.spent = true // a route that is reached through two doors pays at the first
	return st.site.spend(r.Context(), limit, who(r, st), 1)
}

// who pays: the account, and before anybody is known the address.
func who(r *http.Request, st *state) string {
	if st.caller.Account != 0 {
		return strconv.FormatInt(st.caller.Account, 10)
	}
	return "from " + middleware.GetClientIP(r.Context())
}

// spend takes n tokens out of a bucket in the database.
func (s *Site) spend(ctx context.Context, limit Limit, who string, n int) error {
	key := sha256.Sum256([]byte(limit.Kind + "\x00" + who))
	every := limit.Every.Seconds()
	err := s.DB.SignIn(ctx, func(tx *pg.Tx) error {
		var left float64
		// One statement, so that two processes cannot both see the last token.
		return tx.OnlyRow(ctx, `INSERT INTO rate_bucket AS b (key_hash, tokens, at) VALUES ($1, $2::float8 - $4, clock_timestamp())
			ON CONFLICT (key_hash) DO UPDATE SET at = greatest(b.at, excluded.at),
				tokens = least($2, b.tokens + greatest(0, extract(epoch FROM excluded.at - b.at)) / $3::float8) - $4
			WHERE least($2, b.tokens + greatest(0, extract(epoch FROM excluded.at - b.at)) / $3) >= $4
			RETURNING tokens`, key[:], limit.Burst, every, n).Scan(&left)
	})
	if !errors.As(err, new(problem.NotFound)) { // no row: too few tokens
		return err
	}
	wait := float64(n) * every
	err = s.DB.SignIn(ctx, func(tx *pg.Tx) error {
		return tx.OnlyRow(ctx, `SELECT ($4 - tokens) * $3::float8 - extract(epoch FROM clock_timestamp() - at) FROM rate_bucket WHERE key_hash = $1 AND $2::int > 0`, key[:], limit.Burst, every, n).Scan(&wait)
	})
	if err != nil && !errors.As(err, new(problem.NotFound)) {
		return err
	}
	s.Metrics.limited(limit.Kind)
	return problem.TooMany{RetryAfterSeconds: max(1, int(math.Ceil(wait)))}
}

// lease is how many requests a process pays for at once where each comes often: one round trip for so many.
const lease = 60

// leases are what this process has paid for and not used.
type leases struct {
	mu   sync.Mutex
	left map[uint64]int
}

// use takes one of those that were paid for; it reports whether there was one.
func (l *leases) use(key uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left[key] == 0 {
		return false
	}
	l.left[key]--
	return true
}

func (l *leases) add(key uint64, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == nil || len(l.left) > 10_000 {
		l.left = map[uint64]int{}
	}
	l.left[key] += n
}

// often is spend for what comes often: the process pays for a lease and uses it up.
func (s *Site) often(ctx context.Context, limit Limit, who string) error {
	if s.Unlimited {
		return nil
	}
	sum := sha256.Sum256([]byte(limit.Kind + "\x00" + who))
	key := binary.LittleEndian.Uint64(sum[:])
	if s.leases.use(key) {
		return nil
	}
	n := min(lease, limit.Burst/2)
	if err := s.spend(ctx, limit, who, n); err != nil {
		return err
	}
	s.leases.add(key, n-1)
	return nil
}

// forget is how long a bucket is kept that nobody draws from: by then the slowest is full again.
const forgetBuckets = time.Hour

// SweepLimits removes buckets that are full again. For a timer in the serving process.
func SweepLimits(ctx context.Context, db *pg.DB) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM rate_bucket WHERE at < clock_timestamp() - $1::interval`, forgetBuckets)
		return err
	})
}
