package edge_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/frist-app/frist/internal/edge"
	"github.com/go-chi/chi/v5"
)

var plainClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Two processes share one limit: what the one has spent the other has not, however they race.
func TestLimitsHoldOverSeveralProcesses(t *testing.T) {
	h := newHome(t)
	route := "POST /klienter/sok"
	limit, ok := edge.Limited(route)
	if !ok {
		t.Fatal("no limit")
	}
	var processes []*httptest.Server
	for range 2 {
		site, err := edge.New(edge.Site{DB: h.DB, Demo: true, Log: slog.New(slog.DiscardHandler), Personas: []edge.Persona{{Login: "kari"}, {Login: "eva"}}})
		if err != nil {
			t.Fatal(err)
		}
		mux := site.Mux()
		mux.Group(func(r chi.Router) {
			r.Use(site.Signed)
			r.Post("/klienter/sok", edge.Handle(func(w http.ResponseWriter, _ *http.Request) error { return edge.JSON(w, http.StatusOK, "found") }))
		})
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		processes = append(processes, server)
	}
	cookie := func(login string) *http.Cookie {
		// Without h's jar: who signs in again there ends the session before.
		response, err := plainClient.PostForm(processes[0].URL+"/login", url.Values{"persona": {login}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.Cookies()[0]
	}
	kari, eva := cookie("kari"), cookie("eva")
	ask := func(n int, who *http.Cookie) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, processes[n%2].URL+"/klienter/sok", strings.NewReader("sok=x"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(who)
		response, err := plainClient.Do(r)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		response.Body.Close()
		return response.StatusCode, response.Header.Get("Retry-After")
	}
	var taken, refused atomic.Int64
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for n := range limit.Burst / 2 {
				switch status, retry := ask(n+worker, kari); status {
				case http.StatusOK:
					taken.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
					if seconds, err := strconv.Atoi(retry); err != nil || seconds < 1 || seconds > 5 {
						t.Errorf("Retry-After: %q", retry)
					}
				default:
					t.Errorf("answered %d", status)
				}
			}
		})
	}
	wait.Wait()
	// Tokens come back by the second while the test runs; the race must give none beside those.
	if n := taken.Load(); n < int64(limit.Burst) || n > int64(limit.Burst)+20 || refused.Load() == 0 {
		t.Errorf("%d were taken and %d refused of %d, with a burst of %d", n, refused.Load(), 2*limit.Burst, limit.Burst)
	}
	if status, _ := ask(0, eva); status != http.StatusOK {
		t.Errorf("another one pays for it: %d", status)
	}
	h.Exec(t, `UPDATE rate_bucket SET at = at - interval '5 minutes'`)
	for n := range 2 {
		if status, _ := ask(n, kari); status != http.StatusOK {
			t.Errorf("five minutes later: %d", status)
		}
	}
	h.Exec(t, `UPDATE rate_bucket SET at = at - interval '2 hours'`)
	if err := edge.SweepLimits(t.Context(), h.DB); err != nil || h.Count(t, `SELECT count(*) FROM rate_bucket`) != 0 {
		t.Errorf("buckets are left: %v", err)
	}
}

// A program pays for many requests at once: the database is asked for its limit once in sixty.
func TestProgramsPayForManyAtOnce(t *testing.T) {
	h := newHome(t)
	key := h.key()
	for range 61 {
		if resp, _ := h.get("/api/v1/ting/x", "Authorization", key); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	var left float64
	if err := h.Admin.QueryRow(t.Context(), `SELECT sum(tokens) FROM rate_bucket`).Scan(&left); err != nil || left < 3000-120 || left > 3000-60 {
		t.Errorf("%f tokens left, %v", left, err)
	}
	h.Exec(t, `UPDATE rate_bucket SET tokens = 0, at = clock_timestamp()`)
	refused := false
	for range 100 {
		resp, body := h.get("/api/v1/ting/x", "Authorization", key)
		if resp.StatusCode == http.StatusTooManyRequests {
			refused = true
			if resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "urn:frist:problem:wait") {
				t.Errorf("%v %s", resp.Header, body)
			}
			break
		}
	}
	if !refused {
		t.Error("no end to it")
	}
}

// What browsers report is counted, and of it only our own words reach the log.
func TestReportsOfThePolicySayOnlyWhatKind(t *testing.T) {
	h := newHome(t)
	for _, c := range []struct{ contentType, body, want string }{
		{"application/csp-report", `{"csp-report":{"document-uri":"https://frist/klienter/hemmelig","violated-directive":"script-src-elem https://x","blocked-uri":"https://evil.example/hemmelig"}}`, `"directive":"script-src-elem","source":"elsewhere"`},
		{"application/reports+json", `[{"type":"csp-violation","body":{"documentURL":"https://frist/hemmelig","effectiveDirective":"style-src-attr","blockedURL":"inline","sample":"hemmelig"}}]`, `"directive":"style-src-attr","source":"inline"`},
		{"application/csp-report", `{"csp-report":{"effective-directive":"hemmelig","blocked-uri":"hemmelig"}}`, `"directive":"other","source":"other"`},
		{"application/csp-report", `{"csp-report":{"effective-directive":"img-src","blocked-uri":"data:hemmelig"}}`, `"directive":"img-src","source":"data"`},
	} {
		if resp, body := h.do(http.MethodPost, "/csp-rapport", strings.NewReader(c.body), "Content-Type", c.contentType, "Sec-Fetch-Site", "same-origin"); resp.StatusCode != http.StatusNoContent || !strings.Contains(h.log.String(), c.want) {
			t.Errorf("%d %s: %s", resp.StatusCode, body, h.log.String())
		}
	}
	for _, c := range []struct {
		body   string
		status int
	}{{"hemmelig", 422}, {"[]", 422}, {`{"csp-report":{}}`, 422}, {strings.Repeat("hemmelig", 4000), 413}} {
		if resp, _ := h.do(http.MethodPost, "/csp-rapport", strings.NewReader(c.body), "Content-Type", "application/csp-report"); resp.StatusCode != c.status {
			t.Errorf("%.20s: %d", c.body, resp.StatusCode)
		}
	}
	last := 0
	for range 200 {
		resp, _ := h.do(http.MethodPost, "/csp-rapport", strings.NewReader(`{"csp-report":{"effective-directive":"img-src"}}`), "Content-Type", "application/csp-report")
		if last = resp.StatusCode; last == http.StatusTooManyRequests {
			break
		}
	}
	if last != http.StatusTooManyRequests {
		t.Error("reports without end")
	}
	if strings.Contains(h.log.String(), "hemmelig") {
		t.Error("a report's own text is in the log")
	}
}

// The counters count, and hold nothing that anybody sent.
func TestMetricsHoldOnlyOurOwnWords(t *testing.T) {
	metrics := edge.NewMetrics()
	h := newHome(t, func(s *edge.Site) { s.Metrics = metrics })
	h.signIn()
	for _, path := range []string{"/ting/hemmelig?q=hemmelig", "/ting/conflict", "/ting/panic", "/hemmelig/sti", "/api/v1/ting/hemmelig", "/api/v1/hemmelig"} {
		h.get(path, "X-Hemmelig", "hemmelig", "User-Agent", "hemmelig")
	}
	h.get("/api/v1/ting/x", "Authorization", "Bearer frist_hemmelig")
	h.do("HEMMELIG", "/ting/x", nil)
	h.post("/login", url.Values{"login": {"hemmelig"}, "password": {"hemmelig"}})
	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		`frist_requests_total{class="2xx",method="GET",route="/ting/{id}"} 1`, `frist_requests_total{class="4xx",method="other",route="none"} 1`, `frist_refusals_total{code="before_run_date"} 1`,
		`frist_refusals_total{code="internal"} 1`, `frist_sign_in_failures_total{why="key"} 1`, `frist_sign_in_failures_total{why="invalid"} 1`, `frist_request_seconds_count{side="api"} 3`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the counters lack %s", want)
		}
	}
	for _, word := range []string{"hemmelig", "HEMMELIG", "kari", "3218"} {
		if strings.Contains(text, word) {
			t.Errorf("the counters say %q", word)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
