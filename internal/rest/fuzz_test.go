package rest_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/google/uuid"
)

// gate is the API in front of a small world, for requests straight into the router.
type gate struct {
	handler    http.Handler
	operations []string // method and path
	values     map[string]string
	keys       []string
	log        bytes.Buffer
}

func newGate(f *testing.F) *gate {
	f.Helper()
	w := pgtest.NewWorld(f)
	g := &gate{values: map[string]string{"number": "3218-231001"}}
	id := w.Add(f, pgtest.Person{})
	g.values["client"] = id.String()
	g.values["address"] = w.AddressOf(f, id).String()
	g.values["device"] = w.AddDevice(f, w.A, uuid.Nil, uuid.Nil).String()
	if err := deletion.Sweep(f.Context(), w.DB); err != nil {
		f.Fatal(err)
	}
	for _, c := range []access.Caller{w.As(access.Caseworker, w.A), w.As(access.Approver, w.A), w.As(access.Support, 0), w.As(access.Operator, 0), w.As(access.PrivacyOfficer, w.A), w.As(access.Administrator, w.A), w.As(access.PlatformAdministrator, 0)} {
		key, err := account.NewKey(f.Context(), w.DB, c.Account, []string{account.ScopeDecide}, time.Hour)
		if err != nil {
			f.Fatal(err)
		}
		g.keys = append(g.keys, key)
	}
	site, err := edge.New(edge.Site{DB: w.DB, Log: slog.New(slog.NewJSONHandler(&g.log, nil)), Verbose: true, Unlimited: true})
	if err != nil {
		f.Fatal(err)
	}
	mux := site.Mux()
	(&rest.Server{DB: w.DB, Site: site, Key: hashKey}).Routes(mux)
	g.handler = mux
	for path, item := range spec.Paths.Map() {
		for method := range item.Operations() {
			g.operations = append(g.operations, method+" "+path)
		}
	}
	slices.Sort(g.operations)
	return g
}

func (g *gate) send(t *testing.T, key int, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		bad := httptest.NewRecorder() // net/http answers such a line by itself
		bad.Code = http.StatusBadRequest
		return bad
	}
	r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
	r.URL, r.RequestURI = u, target
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			r.Header[header[i]] = []string{header[i+1]}
		}
	}
	r.Header.Set("Authorization", "Bearer "+g.keys[uint(key)%uint(len(g.keys))])
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	if w.Code >= 500 || bytes.Contains(g.log.Bytes(), []byte(`"msg":"panic"`)) {
		t.Fatalf("%s %s: %d: %s", method, target, w.Code, g.log.String())
	}
	if w.Code >= 400 {
		var p struct {
			Type, Title, Detail string
			Status              int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || !strings.HasPrefix(p.Type, "urn:frist:problem:") || p.Title == "" || p.Detail == "" {
			t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		if strings.Contains(p.Detail, "problem.") || strings.Contains(p.Title, "error.") {
			t.Fatalf("nobody wrote a sentence: %s", w.Body)
		}
	}
	return w
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// Every operation with whatever stands in path, query, headers and body: the contract's answer, and never a fault of ours.
func FuzzContract(f *testing.F) {
	g := newGate(f)
	bodies := []string{
		`{}`, `{"phone":"1"}`, `{"text":"x"}`, `{"status":"disconnected","reason":"moved","at":"2023-09-19T09:12:00+02:00"}`, `{"given_name":"A","family_name":"B","status":"active","number":"1"}`, `[1`, `{"a":"\u0000"}`, "\xff", `{"phone":1e309}`,
		`{"number":"3218-231001","code":"other","remark":"x"}`, `{"birth_date":"2023-02-30"}`, `{"phone":"1","phone":"2"}`, strings.Repeat("[", 20000),
	}
	for n := range g.operations {
		f.Add(n, n, "", "limit=1&cursor=last&status=active", `"1"`, "key", bodies[n%len(bodies)])
		f.Add(n, 0, "", "", `"1"`, "", bodies[(n+3)%len(bodies)])
	}
	f.Add(0, 0, "\x00", "%00=1", "W/\"1\"", "\x00", "")
	f.Add(1, 0, "x", "limit=99999999999999999999&limit=1", `""`, strings.Repeat("k", 300), `null`)
	f.Fuzz(func(t *testing.T, n, key int, value, query, ifMatch, idempotency, body string) {
		method, path, _ := strings.Cut(g.operations[uint(n)%uint(len(g.operations))], " ")
		path = parameter.ReplaceAllStringFunc(path, func(p string) string {
			if known, ok := g.values[p[1:len(p)-1]]; ok && value == "" {
				return known
			}
			return url.PathEscape(value)
		})
		target := "/api/v1" + path
		if query != "" {
			target += "?" + query
		}
		contentType := ""
		if body != "" {
			contentType = "application/json"
		}
		g.send(t, key, method, target, body, "Content-Type", contentType, "If-Match", ifMatch, "Idempotency-Key", idempotency)
	})
}

// The same version tag is read in one form only.
func FuzzIfMatch(f *testing.F) {
	g := newGate(f)
	for _, seed := range []string{`"1"`, `1`, `W/"1"`, `"1", "2"`, `*`, `""`, `"-1"`, `"99999999999999999999"`, `"1`, "\"1\"\r\n", `"+1"`, `"01"`, "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		w := g.send(t, 0, http.MethodPatch, "/api/v1/clients/"+g.values["client"], `{"phone":"`+time.Duration(len(header)).String()+`"}`, "Content-Type", "application/json", "If-Match", header)
		if w.Code < 300 && !regexp.MustCompile(`^"[1-9][0-9]*"$`).MatchString(header) {
			t.Fatalf("%q is taken", header)
		}
	})
}

// The same key with the same request is one act; whatever the key is.
func FuzzIdempotencyKey(f *testing.F) {
	g := newGate(f)
	for _, seed := range []string{"a", strings.Repeat("k", 255), strings.Repeat("k", 256), "\x00", "\xff", " ", "a,b", "€", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		do := func(body string) *httptest.ResponseRecorder {
			return g.send(t, 0, http.MethodPost, "/api/v1/clients", body, "Content-Type", "application/json", "Idempotency-Key", key)
		}
		const body = `{"given_name":"A","family_name":"B","status":"active"}`
		first, again := do(body), do(body)
		if first.Code != again.Code || first.Code < 300 && key != "" && first.Body.String() != again.Body.String() {
			t.Fatalf("%q: %d %s, then %d %s", key, first.Code, first.Body, again.Code, again.Body)
		}
		if other := do(`{"given_name":"A","family_name":"C","status":"active"}`); first.Code < 300 && key != "" && other.Code != http.StatusUnprocessableEntity {
			t.Fatalf("%q: another request is answered %d", key, other.Code)
		}
	})
}

// A file as a program sends it, broken in any way.
func FuzzUpload(f *testing.F) {
	g := newGate(f)
	part := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nNavn;Nummer\nHansen, Solveig;200051466\n\r\n"
	for _, seed := range []string{
		part + "--x--", part + "--x\r\nContent-Disposition: form-data; name=\"mapping\"\r\n\r\n{\"Navn\":\"name\",\"\\u0000\":\"x\"}\r\n--x--", part + part + "--x--", "--x", "", "--x--",
		"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\x00\xff\r\n--x--", "--x\r\n\r\n\r\n--x--",
	} {
		f.Add("multipart/form-data; boundary=x", seed)
	}
	f.Add("multipart/form-data", part)
	f.Add("application/json", "{}")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		g.send(t, 0, http.MethodPost, "/api/v1/imports?dry_run=true", body, "Content-Type", contentType)
	})
}
