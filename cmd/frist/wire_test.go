package main

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pgtest"
)

// What stands on the wire in a way that two readers could read in two ways is refused by the server before anybody reads
// it, and a connection that gives its bytes one by one is ended.
func TestTheWireIsReadInOneWay(t *testing.T) {
	env := pgtest.New(t)
	site, err := edge.New(edge.Site{DB: env.DB, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var reached atomic.Int64
	mux := site.Mux()
	var log bytes.Buffer
	server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		mux.ServeHTTP(w, r)
	}), logger(&log, slog.LevelDebug))
	for name, limit := range map[string]time.Duration{"header": server.ReadHeaderTimeout, "read": server.ReadTimeout, "write": server.WriteTimeout, "idle": server.IdleTimeout} {
		if limit <= 0 || limit > 5*time.Minute {
			t.Errorf("the time for %s has no end: %s", name, limit)
		}
	}
	server.ReadHeaderTimeout, server.ReadTimeout = 300*time.Millisecond, time.Second // the same code, sooner
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	say := func(pieces ...string) string {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		for i, p := range pieces {
			if i > 0 {
				time.Sleep(200 * time.Millisecond)
			}
			if _, err := io.WriteString(conn, p); err != nil {
				break
			}
		}
		answer, _ := io.ReadAll(conn)
		return string(answer)
	}
	const secret = "hemmelig"
	for _, c := range []struct {
		name, raw string
		status    []string
	}{
		{"a plain one", "GET /healthz HTTP/1.1\r\nHost: frist\r\nConnection: close\r\n\r\n", []string{"200"}},
		{"no host", "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", []string{"400"}},
		{"two hosts", "GET /healthz HTTP/1.1\r\nHost: frist\r\nHost: " + secret + "\r\n\r\n", []string{"400"}},
		{"a host that is none", "GET /healthz HTTP/1.1\r\nHost: fr ist/" + secret + "\r\n\r\n", []string{"400"}},
		{"two lengths", "POST /login HTTP/1.1\r\nHost: frist\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nlogin", []string{"400"}},
		{"a length below nothing", "POST /login HTTP/1.1\r\nHost: frist\r\nContent-Length: -1\r\n\r\n", []string{"400"}},
		{"a length with a sign", "POST /login HTTP/1.1\r\nHost: frist\r\nContent-Length: +5\r\n\r\nlogin", []string{"400"}},
		{"another coding", "POST /login HTTP/1.1\r\nHost: frist\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", []string{"501", "400"}},
		{"a coding that is hidden", "POST /login HTTP/1.1\r\nHost: frist\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", []string{"400"}},
		{"a chunk that is none", "POST /login HTTP/1.1\r\nHost: frist\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n" + secret + "\r\n0\r\n\r\n", []string{"400", "422"}},
		{"a space in a header's name", "GET /healthz HTTP/1.1\r\nHost: frist\r\nX a: " + secret + "\r\n\r\n", []string{"400"}},
		{"a folded header", "GET /healthz HTTP/1.1\r\nHost: frist\r\n Folded: " + secret + "\r\n\r\n", []string{"400"}},
		{"a header of great size", "GET /healthz HTTP/1.1\r\nHost: frist\r\nX-A: " + strings.Repeat("a", 80<<10) + "\r\n\r\n", []string{"431"}},
		{"an address of great size", "GET /" + strings.Repeat("a", 80<<10) + " HTTP/1.1\r\nHost: frist\r\n\r\n", []string{"431", "414"}},
		{"many headers", "GET /healthz HTTP/1.1\r\nHost: frist\r\n" + strings.Repeat("X-A: b\r\n", 20000) + "\r\n", []string{"431"}},
		{"a version of the past", "GET /healthz\r\n\r\n", []string{"400"}},
		{"a version to come", "GET /healthz HTTP/3.7\r\nHost: frist\r\n\r\n", []string{"505", "400"}},
		{"another protocol", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", []string{"400", ""}},
		{"a tunnel", "CONNECT frist:443 HTTP/1.1\r\nHost: frist\r\nConnection: close\r\n\r\n", []string{"404", "405"}},
		{"a proxy's request", "GET http://" + secret + ".example/healthz HTTP/1.1\r\nHost: frist\r\nConnection: close\r\n\r\n", []string{"200", "404", "421"}},
		{"an upgrade", "GET /healthz HTTP/1.1\r\nHost: frist\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n", []string{"200"}},
		{"a zero byte in the address", "GET /\x00 HTTP/1.1\r\nHost: frist\r\n\r\n", []string{"400"}},
	} {
		answer := say(c.raw)
		_, status, _ := strings.Cut(answer, " ")
		if status = status[:min(3, len(status))]; !slices.Contains(c.status, status) {
			t.Errorf("%s: answered %q", c.name, answer[:min(200, len(answer))])
		}
		if strings.Contains(answer, secret) {
			t.Errorf("%s: comes back: %s", c.name, answer)
		}
		if n := strings.Count(answer, "HTTP/1."); n > 1 {
			t.Errorf("%s: %d answers to one request", c.name, n)
		}
	}
	// With both a length and chunks, a proxy may see one request and a server two: the second must never be answered.
	before := reached.Load()
	answer := say("POST /login HTTP/1.1\r\nHost: frist\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: frist\r\n\r\n")
	if strings.Contains(answer, "alive") || reached.Load() > before+1 {
		t.Errorf("a request was smuggled: %s", answer)
	}
	// Slowly: the header never comes to its end, or the body.
	started := time.Now()
	say("GET /healthz HTTP/1.1\r\n", "Host: frist\r\n", "X-A: b\r\n", "X-A: b\r\n", "X-A: b\r\n")
	say("POST /login HTTP/1.1\r\nHost: frist\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n", "l", "o", "g")
	if took := time.Since(started); took > 6*time.Second {
		t.Errorf("slow ones are waited for: %s", took)
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("the log: %s", log.String())
	}
}

// The counters are served on a listener of their own, and not where strangers come.
func TestMetricsAreServedApart(t *testing.T) {
	env := pgtest.New(t)
	var log bytes.Buffer
	metrics := edge.NewMetrics()
	stop, err := observe(t.Context(), "127.0.0.1:0", metrics, env.DB, logger(&log, slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	addr := regexp.MustCompile(`"addr":"([^"]+)"`).FindStringSubmatch(log.String())[1]
	code, body := get(t, "http://"+addr+"/metrics", "")
	for _, want := range []string{"frist_jobs_readable 1", "frist_jobs_oldest_waiting_seconds 0", "frist_jobs_given_up 0", "go_goroutines"} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d, no %s:\n%s", code, want, body)
		}
	}
	site, err := edge.New(edge.Site{DB: env.DB, Log: slog.New(slog.DiscardHandler), Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	site.Mux().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("the site itself tells: %d", w.Code)
	}
}

// looksSecret are shapes of what must not be in the repository.
var looksSecret = map[string]*regexp.Regexp{
	"a private key":         regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`),
	"a cloud key":           regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`),
	"a token of a forge":    regexp.MustCompile(`\b(gh[pousr]_[0-9A-Za-z]{30,}|glpat-[0-9A-Za-z_-]{18,}|xox[abpr]-[0-9A-Za-z-]{10,})`),
	"a key of Frist":        regexp.MustCompile(`\bfrist_[0-9A-Za-z_-]{43}\b`),
	"a token of JSON":       regexp.MustCompile(`\beyJ[0-9A-Za-z_-]{20,}\.eyJ[0-9A-Za-z_-]{20,}\.[0-9A-Za-z_-]{20,}`),
	"a password in a URL":   regexp.MustCompile(`\b(postgres|postgresql|smtp|smtps|https?)://[^\s:/@"'` + "`" + `<>{}$%]+:[^\s/@"'` + "`" + `<>{}$%]{8,}@`),
	"a long text of base64": regexp.MustCompile(`\b[0-9A-Za-z+/]{120,}={0,2}`),
}

// harmlessSecret are places where such a shape is none, with the reason.
var harmlessSecret = map[string]string{
	"cmd/frist/frist_test.go": "a certificate of a test's own authority, and connection strings of nobody",
	"cmd/frist/wire_test.go":  "the shapes themselves",
	"web/package-lock.json":   "checksums of packages",
	"web/static/vendor":       "programs of others, copied as they are",
	"go.sum":                  "checksums of packages",
}

// The repository holds no secret: no key, no token, no password that would open anything.
func TestTheRepositoryHoldsNoSecret(t *testing.T) {
	root := filepath.Join("..", "..")
	looked := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() && (rel != "." && strings.HasPrefix(d.Name(), ".") && d.Name() != ".github" || slices.Contains([]string{"node_modules", "bin"}, d.Name()) || harmlessSecret[rel] != "" || strings.HasSuffix(rel, "testdata/fuzz")) {
			return filepath.SkipDir
		}
		if d.IsDir() || harmlessSecret[rel] != "" || !d.Type().IsRegular() {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.IndexByte(raw[:min(len(raw), 8000)], 0) >= 0 { // pictures and sounds
			return nil
		}
		looked++
		for what, shape := range looksSecret {
			if what == "a long text of base64" && (strings.Contains(rel, "testdata/") || strings.HasSuffix(rel, "gen.go") || strings.HasSuffix(rel, ".svg")) {
				continue
			}
			if m := shape.Find(raw); m != nil && !bytes.HasSuffix(m, []byte(":password@")) {
				t.Errorf("%s looks like %s: %.12s…", rel, what, m)
			}
		}
		return nil
	})
	if err != nil || looked < 300 {
		t.Errorf("%d files were looked at, %v", looked, err)
	}
	for what, sample := range map[string]string{
		"a private key": "-----BEGIN EC PRIVATE KEY-----", "a cloud key": "AKIA" + "ABCDEFGHIJKLMNOP", "a key of Frist": "frist_" + strings.Repeat("a", 43), "a password in a URL": "postgres://u:" + "longpassword@db",
		"a token of a forge": "ghp_" + strings.Repeat("a", 36), "a long text of base64": strings.Repeat("aB3/", 40), "a token of JSON": "eyJ" + strings.Repeat("a", 30) + ".eyJ" + strings.Repeat("b", 30) + "." + strings.Repeat("c", 30),
	} {
		if !looksSecret[what].MatchString(sample) {
			t.Errorf("nobody would see %s", what)
		}
	}
}
