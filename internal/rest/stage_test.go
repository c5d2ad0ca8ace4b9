package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frist-app/frist/api"
	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// Every operation must have been answered with success somewhere in the suite, each answer held against the contract.
func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	filtered := slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.run=") || strings.HasPrefix(a, "-test.skip=") })
	if code == 0 && !filtered {
		for _, id := range slices.Sorted(maps.Keys(operations)) {
			if !done[id] {
				fmt.Fprintf(os.Stderr, "no test has seen operation %s succeed\n", id)
				code = 1
			}
		}
	}
	os.Exit(code)
}

var (
	spec = func() *openapi3.T {
		doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
		if err != nil {
			panic(err)
		}
		return doc
	}()
	router = func() routers.Router {
		r, err := gorillamux.NewRouter(spec)
		if err != nil {
			panic(err)
		}
		return r
	}()
	operations = func() map[string]*openapi3.Operation {
		all := map[string]*openapi3.Operation{}
		for _, item := range spec.Paths.Map() {
			for _, op := range item.Operations() {
				all[op.OperationID] = op
			}
		}
		return all
	}()

	doneMu sync.Mutex
	done   = map[string]bool{} // operations that answered with success, and the answer was as the contract says
)

var hashKey = []byte("a key that lies outside the database")

// stage is a world with the API in front of it.
type stage struct {
	*pgtest.World
	t       *testing.T
	api     *rest.Server
	handler chi.Router
	blobs   *blob.Store

	mu      sync.Mutex
	keys    map[string]string
	planted []string // what nobody who is blind may ever see
	found   int      // how often the scanner has found one of them, in answers to people of the municipality
}

func newStage(t *testing.T) *stage {
	t.Helper()
	w := pgtest.NewWorld(t)
	audit.RecordRefusals(w.DB)
	blobs, err := blob.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	site, err := edge.New(edge.Site{DB: w.DB, Log: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelError})), Verbose: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{World: w, t: t, blobs: blobs, api: &rest.Server{DB: w.DB, Site: site, Blobs: blobs, Key: hashKey}, keys: map[string]string{}}
	mux := site.Mux()
	s.api.Routes(mux)
	s.handler = mux
	return s
}

type testLog struct{ t *testing.T }

func (l testLog) Write(line []byte) (int, error) {
	l.t.Logf("%s", line)
	return len(line), nil
}

// at turns the clock. Keys grow old with it, so new ones are made.
func (s *stage) at(date string) {
	s.t.Helper()
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		s.t.Fatal(err)
	}
	now, err := time.ParseInLocation("2006-01-02 15:04", date, zone)
	if err != nil {
		s.t.Fatal(err)
	}
	s.SetNow(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = map[string]string{}
}

// who is somebody's key.
type who struct {
	role         access.Role
	municipality int
	second       bool // the other caseworker
	machine      bool // a key without the scope decide
}

func (s *stage) key(w who) string {
	s.t.Helper()
	if w.role == "" {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprint(w)
	if s.keys[name] == "" {
		id := s.As(w.role, w.municipality).Account
		if w.second {
			id += 50
		}
		scopes := []string{account.ScopeDecide}
		if w.machine {
			scopes = nil
		}
		key, err := account.NewKey(s.t.Context(), s.DB, id, scopes, time.Hour)
		if err != nil {
			s.t.Fatal(err)
		}
		s.keys[name] = key
	}
	return s.keys[name]
}

// The people of the story, in municipality A unless said otherwise.
var (
	caseworker      = who{role: access.Caseworker, municipality: 1}
	otherCaseworker = who{role: access.Caseworker, municipality: 1, second: true}
	approver        = who{role: access.Approver, municipality: 1}
	privacyOfficer  = who{role: access.PrivacyOfficer, municipality: 1}
	administrator   = who{role: access.Administrator, municipality: 1}
	support         = who{role: access.Support}
	operator        = who{role: access.Operator}
	platform        = who{role: access.PlatformAdministrator}
	foreigner       = who{role: access.Caseworker, municipality: 2}
	nobody          = who{}
)

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	reflect.ValueOf(v).Elem().SetZero() // what is left out of this answer must not stay from the last
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// id is the one that was made.
func (a answer) id(t *testing.T) uuid.UUID {
	t.Helper()
	var made struct{ ID uuid.UUID }
	a.into(t, &made)
	return made.ID
}

func (a answer) code() string {
	var p struct{ Type string }
	_ = json.Unmarshal(a.body, &p)
	return strings.TrimPrefix(p.Type, "urn:frist:problem:")
}

// fields are the names and codes of what was wrong: "status=choice reason=required".
func (a answer) fields() string {
	var p struct {
		Errors []struct{ Field, Code string }
	}
	_ = json.Unmarshal(a.body, &p)
	var all []string
	for _, e := range p.Errors {
		all = append(all, e.Field+"="+e.Code)
	}
	return strings.Join(all, " ")
}

// do sends a request and holds the answer against the contract. A body that is no string is sent as JSON; headers are
// pairs.
func (s *stage) do(as who, method, path string, body any, headers ...string) answer {
	s.t.Helper()
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	case []byte:
		raw = b
	default:
		var err error
		if raw, err = json.Marshal(b); err != nil {
			s.t.Fatal(err)
		}
	}
	r := httptest.NewRequest(method, "/api/v1"+path, bytes.NewReader(raw)).WithContext(s.t.Context())
	if key := s.key(as); key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return s.send(as, r)
}

func (s *stage) send(as who, r *http.Request) answer {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	a := answer{w.Code, w.Header(), w.Body.Bytes()}
	if a.status >= 500 {
		s.t.Errorf("%s %s: %d %s", r.Method, r.URL.Path, a.status, a.body)
	}
	s.scan(as, r, a)
	route, params, err := router.FindRoute(r)
	if err != nil { // no operation: the answer is a problem all the same
		if a.header.Get("Content-Type") != "application/problem+json" {
			s.t.Errorf("%s %s: %d is %s", r.Method, r.URL.Path, a.status, a.header.Get("Content-Type"))
		}
		return a
	}
	id := route.Operation.OperationID
	if route.Operation.Responses.Value(fmt.Sprint(a.status)) == nil {
		s.t.Errorf("%s answers %d, which the contract does not know: %s", id, a.status, a.body)
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		s.t.Errorf("%s %d is not as the contract says: %v\n%s", id, a.status, err, a.body)
	} else if a.status < 300 {
		doneMu.Lock()
		done[id] = true
		doneMu.Unlock()
	}
	return a
}

// scan looks for planted values and for every client id in what people who are blind are answered.
func (s *stage) scan(as who, r *http.Request, a answer) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(a.body) + fmt.Sprint(a.header)
	for _, secret := range s.planted {
		if !strings.Contains(text, secret) {
			continue
		}
		if as.municipality != 0 {
			s.found++
			continue
		}
		s.t.Errorf("%s %s tells %s a secret: %s", r.Method, r.URL.Path, as.role, text)
	}
}

// ok is do with the status that it must have.
func (s *stage) ok(status int, as who, method, path string, body any, headers ...string) answer {
	s.t.Helper()
	a := s.do(as, method, path, body, headers...)
	if a.status != status {
		s.t.Fatalf("%s %s by %s: %d, not %d: %s", method, path, as.role, a.status, status, a.body)
	}
	return a
}

// refused is do with a refusal of a status and a code.
func (s *stage) refused(status int, code string, as who, method, path string, body any, headers ...string) answer {
	s.t.Helper()
	a := s.do(as, method, path, body, headers...)
	if a.status != status || a.code() != code {
		s.t.Errorf("%s %s by %s: %d %s, not %d %s: %s", method, path, as.role, a.status, a.code(), status, code, a.body)
	}
	return a
}

// person makes a client with a name that nobody else has.
func (s *stage) person(p pgtest.Person) uuid.UUID {
	s.t.Helper()
	p.GivenName, p.FamilyName = "Zqxgiven"+uuid.NewString()[:8], "Zqxfamily"+uuid.NewString()[:8]
	id := s.Add(s.t, p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.planted = append(s.planted, id.String(), p.GivenName, p.FamilyName)
	return id
}

// work lets the workers work until something is so.
func (s *stage) work(until func() bool) {
	s.t.Helper()
	log := slog.New(slog.DiscardHandler)
	runner, err := jobs.Start(s.t.Context(), jobs.Config{
		DSN: s.DSN("frist_worker", "worker"), NoTick: true, Log: log, Deps: deletion.Deps{DB: s.DB, Blobs: s.blobs, Key: hashKey, Log: log},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = runner.Stop(context.Background()) }()
	for deadline := time.Now().Add(30 * time.Second); !until(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("the workers do not get there")
		}
	}
}

func (s *stage) sweep() {
	s.t.Helper()
	if err := deletion.Sweep(s.t.Context(), s.DB); err != nil {
		s.t.Fatal(err)
	}
}

// state is where a round stands.
func (s *stage) state(number string) string {
	s.t.Helper()
	var state string
	if err := s.Admin.QueryRow(s.t.Context(), `SELECT state FROM deletion_round WHERE number = $1`, number).Scan(&state); err != nil {
		s.t.Fatal(err)
	}
	return state
}
