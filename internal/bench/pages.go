package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/admin"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5"
)

const million = 1_000_000

// pages: the client list with a million clients, its first and a middle page, and one client's page: the median of 1,000
// requests against a bare handler that runs the same SELECTs, without row-level security, session, access row and
// template, and writes the same bytes.
func (b *bench) pages(ctx context.Context) error {
	if err := b.crowd(ctx); err != nil {
		return err
	}
	seen := &recorder{}
	db, err := pg.Open(ctx, pg.Config{Web: b.dsn("frist_web"), Tracer: seen})
	if err != nil {
		return err
	}
	defer db.Close()
	site, err := edge.New(edge.Site{DB: db, Demo: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	token, err := signedIn(ctx, db)
	if err != nil {
		return err
	}
	mux := site.Mux()
	mux.Group(func(r chi.Router) {
		r.Use(site.Signed)
		(&admin.Server{Site: site, DB: db, Key: []byte("bench")}).Routes(r)
	})
	bare := &bare{bench: b}
	ours, err := serve(mux)
	if err != nil {
		return err
	}
	defer ours.Close() //nolint:errcheck // the process ends
	peer, err := serve(bare)
	if err != nil {
		return err
	}
	defer peer.Close() //nolint:errcheck // the process ends

	var middle, one string
	err = b.admin.QueryRow(ctx, `SELECT id FROM client WHERE municipality_id = 1 ORDER BY family_name, given_name, id OFFSET $1 LIMIT 1`, b.n(million)/2).Scan(&middle)
	if err != nil {
		return err
	}
	if err := b.admin.QueryRow(ctx, `SELECT id FROM client WHERE municipality_id = 1 AND status = 'disconnected' LIMIT 1`).Scan(&one); err != nil {
		return err
	}
	for _, page := range []struct{ name, path string }{
		{"client list of 1,000,000, first page", "/klienter"},
		{"client list of 1,000,000, middle page", "/klienter?fra-klient=a" + middle},
		{"one client's page", "/klienter/" + one},
	} {
		for _, logged := range []bool{true, false} {
			name, limit := page.name, 2.0
			if !logged {
				name, limit = name+", without the access row", 0
			}
			ratio, note, err := b.page(ctx, seen, bare, "http://"+ours.Addr().String(), "http://"+peer.Addr().String(), page.path, token, logged)
			if err != nil {
				return err
			}
			b.add(name, ratio, limit, note)
		}
	}
	return b.looks(ctx, "http://"+ours.Addr().String(), token, map[string]string{"one client's page": "/klienter/" + one, "the client list": "/klienter"})
}

func (b *bench) page(ctx context.Context, seen *recorder, bare *bare, ours, peer, path, token string, logged bool) (float64, string, error) {
	// The access row is a page's own write; to show what it costs, the table is made to swallow it.
	if !logged {
		if err := b.exec(ctx, swallow...); err != nil {
			return 0, "", err
		}
		defer b.exec(ctx, noLonger) //nolint:errcheck // the database goes anyway
	}
	before, err := b.rows(ctx)
	if err != nil {
		return 0, "", err
	}
	for range 20 { // connections, plans, caches
		if _, _, err := get(ours+path, token); err != nil {
			return 0, "", err
		}
	}
	seen.begin()
	_, body, err := get(ours+path, token)
	if err != nil {
		return 0, "", err
	}
	bare.answer(seen.end(), body)
	const blocks = 5
	requests := b.n(1000)
	var mine, theirs []float64
	var ratios []float64
	for range blocks {
		var a, z []float64
		for range requests / blocks {
			t, _, err := get(ours+path, token)
			if err != nil {
				return 0, "", err
			}
			a = append(a, t)
			if t, _, err = get(peer+path, ""); err != nil {
				return 0, "", err
			}
			z = append(z, t)
		}
		mine, theirs = append(mine, a...), append(theirs, z...)
		ratios = append(ratios, median(a)/median(z))
	}
	after, err := b.rows(ctx)
	if err == nil && (after > before) != logged {
		err = fmt.Errorf("%s: %d rows of access were written", path, after-before)
	}
	if err != nil {
		return 0, "", err
	}
	return median(ratios), fmt.Sprintf("p50 %.2f ms / %.2f ms, %d SELECTs, %d kB", median(mine)*1000, median(theirs)*1000, len(bare.statements), len(body)/1000), nil
}

// crowd loads a million clients in one municipality.
func (b *bench) crowd(ctx context.Context) error {
	statements := []string{
		`SET session_replication_role = replica`,
		`INSERT INTO municipality (id) VALUES (1)`,
		`INSERT INTO municipality_name VALUES (1, '2000-01-01', '3218', 'Ås')`,
		`INSERT INTO municipality_policy (municipality_id) VALUES (1)`,
		`INSERT INTO retention_rule (municipality_id, class, version, start_event, period_months, outcome, authority, valid_from)
			SELECT 1, c, 1, 'disconnected', 6, 'destroy', 'bench', '2000-01-01' FROM unnest(ARRAY['client_record', 'alarm_log', 'recording', 'change_values']) c`,
		`CREATE TEMP TABLE p AS SELECT n, md5('c' || n)::uuid AS id, md5('a' || n / 2)::uuid AS address, md5('n' || n) AS h FROM generate_series(1, ` + fmt.Sprint(b.n(million)) + `) n`,
		`INSERT INTO address (municipality_id, id, street, postcode, town) SELECT DISTINCT ON (address) 1, address, 'Gate ' || n, '1430', 'Ås' FROM p ORDER BY address`,
		`INSERT INTO client (municipality_id, id, number, given_name, family_name, phone, birth_date, gender, address_id, status, status_since, agreement_end, created_by, created_at, changed_by, changed_at)
			SELECT 1, id, (200000000 + n)::text, initcap(substr(h, 1, 6)), initcap(substr(h, 7, 8)), '900' || n % 100000, date '1930-01-01' + n % 9000, 'K', address,
				CASE WHEN n % 5 = 0 THEN 'disconnected' ELSE 'active' END, timestamptz '2025-01-01' + n % 400 * interval '1 day',
				CASE WHEN n % 5 = 0 THEN timestamptz '2025-01-01' + n % 400 * interval '1 day' END, 0, '2020-01-01', 0, '2022-01-01' FROM p`,
		`INSERT INTO status_entry (municipality_id, client_id, at, status, entered_by, entered_at)
			SELECT 1, id, timestamptz '2025-01-01' + n % 400 * interval '1 day', CASE WHEN n % 5 = 0 THEN 'disconnected' ELSE 'active' END, 0, now() FROM p`,
		`SET session_replication_role = DEFAULT`,
		`DROP TABLE p`,
		`VACUUM ANALYZE`,
	}
	conn, err := b.admin.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return fmt.Errorf("%w in %.100s", err, s)
		}
	}
	return nil
}

func signedIn(ctx context.Context, db *pg.DB) (string, error) {
	const password = "a long password for the bench"
	_, _, err := account.CreateFirst(ctx, db, account.New{Municipality: 1, Login: "bench", Name: "Bench", Password: password, Roles: []access.Role{access.Caseworker}, Language: "nb"})
	if err != nil {
		return "", err
	}
	return account.SignInDemo(ctx, db, "bench")
}

func serve(h http.Handler) (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go server.Serve(listener) //nolint:errcheck // ends with the listener
	return listener, nil
}

func get(url, token string) (float64, []byte, error) {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		r.AddCookie(&http.Cookie{Name: "frist", Value: token}) //nolint:gosec // a request, on loopback
	}
	start := time.Now()
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the answer is %s", answer.Status)
	}
	return time.Since(start).Seconds(), body, err
}

type statement struct {
	sql  string
	args []any
}

// recorder notes the SELECTs of one request.
type recorder struct {
	mu         sync.Mutex
	on         bool
	statements []statement
}

func (r *recorder) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on, r.statements = true, nil
}

func (r *recorder) end() []statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = false
	return r.statements
}

func (r *recorder) note(sql string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The session and the settings are what ours does besides; the pages' own reads are the peer's task too.
	text := strings.TrimSpace(sql)
	if r.on && (strings.HasPrefix(text, "SELECT") || strings.HasPrefix(text, "WITH")) && !strings.Contains(text, "set_config") && !strings.Contains(text, "session") {
		r.statements = append(r.statements, statement{sql, args})
	}
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.note(data.SQL, data.Args)
	return ctx
}
func (r *recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (r *recorder) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	r.note(data.SQL, data.Args)
}
func (r *recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// bare is the peer: the same SELECTs, the same bytes, nothing else.
type bare struct {
	bench      *bench
	mu         sync.Mutex
	statements []statement
	body       []byte
}

func (p *bare) answer(statements []statement, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.statements, p.body = statements, body
}

func (p *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, s := range p.statements {
		rows, err := p.bench.admin.Query(r.Context(), s.sql, s.args...)
		if err != nil {
			http.Error(w, "query", http.StatusInternalServerError)
			return
		}
		for rows.Next() {
			if _, err := rows.Values(); err != nil {
				http.Error(w, "row", http.StatusInternalServerError)
				return
			}
		}
		rows.Close()
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(p.body)
}
