package proof

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/admin"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/frist-app/frist/internal/rights"
	"github.com/frist-app/frist/internal/visit"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// The matrix: every actor at every page route and every operation of the contract, for what belongs to the own
// municipality, to another one, and to nobody. testdata/matrix.txt declares each cell; a new route without its rows, and a
// cell that has become another, fail. `go test ./internal/proof -run Matrix -update` writes it anew: read the difference
// like code. Beside the file hold rules that no update can write away (matrix.rules).

// An actor is somebody at the door, with a browser and with a key; in the clone of the world in which they try everything.
type actor struct {
	name        string
	like        string // whose cells are this one's, too, where the file says nothing else
	account     int64  // 0: nobody
	cookie, key string
	may         access.Caller // what the key may; without roles: nothing
	young       string        // of somebody whose proof is no longer fresh: the key that they have after a new one
	visit       string        // the visit that their programs name
	stands      bool          // their browser stands in it
}

// matrixWorld is a populated world and its actors, ready to be copied.
func matrixWorld(t *testing.T) (*stage, []*actor) {
	s := newStage(t)
	t.Run("world", func(t *testing.T) { // at its end the workers stop
		s.t = t
		s.populate(0)
	})
	s.t = t
	for _, m := range []int{s.A, s.B} {
		for _, extra := range matrixRows {
			s.Exec(t, extra, m)
		}
	}
	ctx := t.Context()
	now := s.Now()
	newKey := func(id int64, scopes ...string) string {
		key, err := account.NewKey(ctx, s.DB, id, scopes, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	newest := func(id int64, sql string, args ...any) { // changes an account's newest key
		s.Exec(t, `UPDATE api_key SET `+sql+` WHERE id = (SELECT max(id) FROM api_key WHERE account_id = $1)`, append([]any{id}, args...)...)
	}
	enter := func(name, like string, id int64, roles ...access.Role) *actor { // somebody who has just proved who they are
		a := &actor{name: name, like: like, account: id, key: newKey(id, account.ScopeDecide), may: access.Caller{Roles: roles, Key: true, KeyDecides: true}}
		login := s.names(t, fmt.Sprintf(`SELECT login FROM account WHERE id = %d`, id))[0]
		var err error
		if a.cookie, err = account.SignInDemo(ctx, s.DB, login); err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, m := range []int{s.A, s.B} {
		for _, network := range []string{"10.1.0.0/16", "10.2.0.0/16"} {
			if err := account.ProposeRange(ctx, s.DB, s.World.As(access.Administrator, m), network, "x"); err != nil {
				t.Fatal(err)
			}
		}
		newKey(s.World.As(access.Caseworker, m).Account)
		s.as(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) error {
			today, err := municipality.Today(ctx, tx)
			if err != nil {
				return err
			}
			_, err = rights.Receive(ctx, tx, s.matrixClient(t, m), rights.New{Kind: rights.Access, ReceivedOn: today, Channel: "letter", Reference: "matrix"})
			return err
		})
	}
	another := func(id int64, m int, machine bool, roles ...access.Role) int64 {
		s.Exec(t, `INSERT INTO account (id, municipality_id, login, name, staff_number, roles, password_hash, machine) VALUES ($1, nullif($2, 0), $3, $3, $4, $5, CASE WHEN $6 THEN NULL ELSE 'x' END, $6)`,
			id, m, fmt.Sprint("another.", id), fmt.Sprint("S-", id), roles, machine)
		return id
	}
	all := []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator}

	nobody := "anonymous"
	actors := []*actor{{name: nobody}}
	disabled := enter("disabled", nobody, another(7001, s.A, false, all...))
	s.Exec(t, `UPDATE account SET disabled_at = $2 WHERE id = $1`, disabled.account, now) // the session and the key are still there
	expired := enter("expired", nobody, another(7002, s.A, false, all...))
	s.Exec(t, `UPDATE session SET expires_at = $2 WHERE account_id = $1`, expired.account, now)
	newest(expired.account, `expires_at = $2`, now)
	actors = append(actors, disabled, expired)

	var fresh, stale []*actor
	person := func(role access.Role, id int64) {
		fresh = append(fresh, enter(string(role), "", id, role))
		old := enter(string(role)+"_stale", string(role), id, role)
		old.young, old.key = old.key, newKey(id, account.ScopeDecide)
		newest(id, `created_at = created_at - interval '12 hours'`)
		old.may.KeyDecides = false
		stale = append(stale, old)
	}
	for i, role := range all { // people without a hand in anything that is there
		person(role, another(7010+int64(i), s.A, false, role))
	}
	for _, role := range []access.Role{access.Support, access.Operator, access.PlatformAdministrator} {
		person(role, s.World.As(role, 0).Account)
	}
	actors = slices.Concat(actors, fresh, stale)

	// Programs: accounts of their own, with keys that an administrator made.
	program := func(name, like string, id int64, wish account.KeyWish, roles ...access.Role) *actor {
		by := s.World.As(access.Administrator, s.A)
		if slices.Contains(roles, access.Support) || slices.Contains(roles, access.Operator) {
			by = s.World.As(access.PlatformAdministrator, 0)
		}
		wish.Name, wish.Days = name, 365
		key, err := account.MakeKey(ctx, s.DB, by, id, wish)
		if err != nil {
			t.Fatal(err)
		}
		a := &actor{name: name, like: like, account: id, key: key, may: access.Caller{Roles: roles, Key: true}}
		for _, scope := range wish.Scopes {
			a.may.Scopes = append(a.may.Scopes, access.Permission(scope))
		}
		return a
	}
	id := another(7003, s.A, true, all...)
	newKey(another(7000, s.A, true, all...)) // nobody's: it is the one to be ended
	newKey(another(7007, s.B, true, all...))
	actors = append(actors, program("machine", nobody, id, account.KeyWish{}, all...),
		program("machine_narrow", "machine", id, account.KeyWish{Scopes: []string{string(access.ClientRead), string(access.RoundRead)}}, all...),
		program("machine_support", nobody, another(7004, 0, true, access.Support), account.KeyWish{}, access.Support),
		program("machine_operator", nobody, another(7005, 0, true, access.Operator), account.KeyWish{}, access.Operator))
	actors = append(actors, program("machine_elsewhere", nobody, id, account.KeyWish{Networks: []string{"10.0.0.0/8"}}))
	actors = append(actors, program("machine_expired", nobody, id, account.KeyWish{}))
	newest(id, `expires_at = $2`, now)
	gone := program("machine_disabled", nobody, another(7006, s.A, true, all...), account.KeyWish{})
	s.Exec(t, `UPDATE account SET disabled_at = $2 WHERE id = $1`, gone.account, now)
	actors = append(actors, gone)

	// Support before, during and after a visit. All of them are of one person; the one that is over lasted from 20 minutes ago for 15.
	visitor := func(name, like string, m int, granted *visit.Granting) *actor {
		support, approver := s.World.As(access.Support, m), s.World.As(access.Approver, m)
		a := enter(name, like, support.Account, access.Support)
		var id uuid.UUID
		do := func(by access.Caller, fn func(tx *pg.Tx) error) {
			t.Helper()
			if err := s.DB.InTx(ctx, by, fn); err != nil {
				t.Fatal(err)
			}
		}
		do(support, func(tx *pg.Tx) (err error) {
			id, err = visit.Ask(ctx, tx, visit.New{Reason: "other", Reference: "24/9", Scope: visit.Municipality, Minutes: visit.Longest})
			return err
		})
		if granted != nil {
			do(approver, func(tx *pg.Tx) error { return visit.Grant(ctx, tx, id, *granted) })
			a.stands = true
		}
		a.visit = id.String()
		return a
	}
	whole := visit.Granting{Scope: visit.Municipality, Minutes: visit.Longest}
	named := []string{s.matrixClient(t, s.A).String(), s.matrixValue(t, "{recording}", "client")[0]}
	number := func(where string) string {
		return s.names(t, fmt.Sprintf(`SELECT number FROM client WHERE municipality_id = %d AND `+where, s.A))[0]
	}
	asked := visitor("visit_asked", "support", s.A, nil)
	s.SetNow(now.Add(-20 * time.Minute))
	over := visitor("visit_over", "visit_asked", s.A, &visit.Granting{Scope: visit.Municipality, Minutes: visit.Shortest})
	s.SetNow(now)
	over.cookie = enter("", "", over.account).cookie // signed in anew since
	cut := visitor("visit_cut", "visit_asked", s.A, &whole)
	s.as(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) error { return visit.CutOff(ctx, tx, uuid.MustParse(cut.visit)) })
	visitor("", "", s.B, &whole) // so that there is one in both
	actors = append(actors, asked, over, cut, visitor("visit_granted", "support", s.A, &whole),
		visitor("visit_of_client", "visit_granted", s.A, &visit.Granting{Scope: visit.OneClient, Client: number("id = '" + named[0] + "'"), Minutes: visit.Longest}),
		visitor("visit_of_another", "visit_granted", s.A, &visit.Granting{Scope: visit.OneClient, Client: number("id NOT IN ('" + strings.Join(named, "', '") + "')"), Minutes: visit.Longest}),
		visitor("visit_of_notes", "visit_granted", s.A, &visit.Granting{Scope: visit.OnePage, Page: "notes", Minutes: visit.Longest}))
	for _, a := range actors {
		if a.stands && a != over && a != cut {
			a.may.Visit = access.Visit{ID: a.visit}
		}
	}
	return s, actors
}

// What nobody has.
const nobodysID, nobodysNumber = "00000000-0000-4000-8000-000000000000", "987654321"

// matrixClient is the client that the addresses of the matrix name.
func (s *stage) matrixClient(t *testing.T, m int) uuid.UUID {
	t.Helper()
	return uuid.MustParse(s.names(t, fmt.Sprintf(`SELECT id::text FROM client WHERE municipality_id = %d AND status = 'active' ORDER BY created_at`, m))[0])
}

// copy is the stage on a database of its own.
func (s *stage) copy(t *testing.T) *stage {
	t.Helper()
	another, world, places := *s, *s.World, *s.places
	world.Env = s.Env.Copy(t)
	places.env = world.Env
	another.World, another.places, another.t = &world, &places, t
	return &another
}

// matrixRows are what populate does not leave in each municipality, so that every address names something.
var matrixRows = []string{
	`INSERT INTO device (municipality_id, code, kind, stock_state) VALUES ($1, 'matrix 1', 'x', 'connected'), ($1, 'matrix 2', 'x', 'connected'), ($1, 'matrix 3', 'x', 'in_stock'), ($1, 'matrix 4', 'x', 'in_stock')`,
	`INSERT INTO device_connection (municipality_id, device_id, client_id, connected_at) SELECT $1, d.id, (SELECT id FROM client WHERE municipality_id = $1 AND status = 'active' ORDER BY created_at LIMIT 1), now()
		FROM device d WHERE d.municipality_id = $1 AND d.code IN ('matrix 1', 'matrix 2')`,
	`INSERT INTO access_finding (municipality_id, kind, account_id, role, on_day, client_ids, count, first_at, last_at, found_at) VALUES ($1, 'night', 0, 'caseworker', '2024-01-01', '{}', 1, now(), now(), now())`,
	`INSERT INTO device (municipality_id, code, kind, stock_state) VALUES ($1, 'matrix 5', 'x', 'connected')`,
	`INSERT INTO device_connection (municipality_id, device_id, address_id, connected_at) SELECT $1, d.id, (SELECT address_id FROM client WHERE municipality_id = $1 AND status = 'active' ORDER BY created_at LIMIT 1), now()
		FROM device d WHERE d.municipality_id = $1 AND d.code = 'matrix 5'`,
	`INSERT INTO deletion_order SELECT (jsonb_populate_record(o, jsonb_build_object('id', gen_random_uuid(), 'reference', 'matrix'))).* FROM deletion_order o WHERE municipality_id = $1 AND state = 'asked'`,
	`INSERT INTO hold (municipality_id, id, client_id, reason, authority, review_on, placed_by, placed_at)
		SELECT $1, gen_random_uuid(), id, 'police', 'matrix', '2030-01-01', 0, now() FROM client WHERE municipality_id = $1 AND status = 'active' ORDER BY created_at LIMIT 1`,
}

// site is the whole site on one database.
func (s *stage) site(t *testing.T) *chi.Mux {
	t.Helper()
	audit.RecordRefusals(s.DB)
	site, err := edge.New(edge.Site{DB: s.DB, Demo: true, Log: s.logger(), Unlimited: true})
	if err != nil {
		t.Fatal(err)
	}
	mux := site.Mux()
	(&rest.Server{DB: s.DB, Site: site, Blobs: s.blobs, Key: s.key}).Routes(mux)
	mux.Group(func(r chi.Router) {
		r.Use(site.Signed)
		(&admin.Server{Site: site, DB: s.DB, Blobs: s.blobs, Key: s.key}).Routes(r)
	})
	return mux
}

// doors are the routes that need nobody, and what they are for: the matrix is about the others.
var doors = []string{
	"GET /glemt-passord", "POST /glemt-passord", "GET /login/med/{provider}", "GET /login/retur", "GET /login/faktor", "POST /login/faktor", "GET /konto/lenke/{link}", "POST /konto/lenke/{link}",
	"GET /.well-known/security.txt", "GET /personvernerklaring", "GET /personvernerklaring/{municipality}",
	"GET /healthz", "GET /readyz", "GET /static/{hash}/*", "GET /login", "POST /login", "POST /logout", "GET /api/openapi.yaml", "GET /api/docs", "POST /csp-rapport",
}

// elsewhere are the operations for which this world has nothing that lets them go on; like those on one's own account they
// are tried where the thing is made.
var elsewhere = []string{
	"POST /personvern/underleverandorer/{subprocessor}/svar", "POST /tilgang/{visit}/trekk", // nothing waits for an answer, and the request is another's
	"GET /rettigheter/{request}/utlevering.{format:html|pdf|json|fhir|zip}", "GET /api/v1/rights-requests/{right}/extract", // after release
	"DELETE /api/v1/me/keys/{key}", "POST /api/v1/me/keys/{key}/rotation", "DELETE /api/v1/me/sessions/{session}", // on one's own account
}

// forms are what is sent where an act asks for its proof only when it has read its form.
var forms = map[string]string{
	"/innsyn/eksport": "format=csv", "/forslag/{proposal}/godta": "kind=ranges", "/skjermet": "account=102", "/brukere/{account}/nokler/{key}/bytt": "overlap=1", "/konto/nokler/{key}/bytt": "overlap=1",
}

// cell is what one actor got for one relation: the status, or what it was in place of an answer.
type cell string

const (
	login cell = "login" // sent to the sign-in
	prove cell = "prove" // asked for a fresh proof of who it is (403)
)

// ready puts the actor's session where it belongs: what was tried before may have moved it.
func (a *actor) ready(t *testing.T, s *stage) {
	t.Helper()
	if a.young != "" {
		s.Exec(t, `UPDATE session SET fresh_until = NULL WHERE account_id = $1`, a.account)
	}
	if a.stands {
		s.Exec(t, `UPDATE session SET visit_municipality = $2, visit = $3 WHERE account_id = $1`, a.account, s.A, a.visit)
	} else if a.may.Has(access.Support) {
		s.Exec(t, `UPDATE session SET visit_municipality = NULL, visit = NULL WHERE account_id = $1`, a.account)
	}
}

// try does one attempt and gives the cell, what it was answered with names of places taken out, and where to.
func (a *actor) try(t *testing.T, mux http.Handler, x attempt, path string) (got cell, answer, to string) {
	t.Helper()
	api, body := x.api(), x.body
	if everywhere := api && a.may.Blind() && !a.may.Visiting(); everywhere && x.wheres {
		path += "?municipality=" + pgtest.NumberA
	} else if everywhere && x.names {
		body = strings.Replace(body, "{", `{"municipality":"`+pgtest.NumberA+`",`, 1)
	}
	r := httptest.NewRequestWithContext(t.Context(), x.method, path, strings.NewReader(body))
	r.Header.Set("Accept-Language", "nb")
	if x.kind != "" {
		r.Header.Set("Content-Type", x.kind)
	}
	switch {
	case api && a.key != "":
		r.Header.Set("Authorization", "Bearer "+a.key)
		r.Header.Set("If-Match", `"1"`)
		r.Header.Set("Idempotency-Key", "matrix-"+randomHex(16))
		if a.visit != "" {
			r.Header.Set(edge.VisitHeader, a.visit)
		}
	case !api && a.cookie != "":
		r.AddCookie(&http.Cookie{Name: "frist", Value: a.cookie})
	case !api && a.key != "": // a program at a page
		r.Header.Set("Authorization", "Bearer "+a.key)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() { //nolint:bodyclose // a recorder's
		if c.Name == "frist" && c.Value != "" { // a proof of who they are gives a new one
			a.cookie = c.Value
		}
	}
	got, to = cell(fmt.Sprint(w.Code)), w.Header().Get("Location")
	switch body := w.Body.String(); {
	case strings.HasPrefix(to, "/login"):
		got = login
	case w.Code == http.StatusForbidden && (strings.Contains(body, `action="/konto/bekreft"`) || strings.Contains(body, `"urn:frist:problem:step_up"`)):
		got = prove
	}
	h := w.Header().Clone()
	h.Del("X-Request-Id")
	h.Del("Set-Cookie")
	h.Del("Content-Length")
	var headers bytes.Buffer
	_ = h.Write(&headers)
	replacements := []string{path, "PATH", url.QueryEscape(path), "PATH"}
	if named := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{4}-[0-9]{6}`).FindString(path); named != "" {
		replacements = append(replacements, named, "ID", named[:8], "ID")
	}
	return got, strings.NewReplacer(replacements...).Replace(headers.String() + "\n" + w.Body.String()), to
}

// places are the paths of one route: with what is the own municipality's, another's, and nobody's in the first blank that
// names something of a municipality; the rest is the own municipality's. One path when there is no such blank.
func (s *stage) matrixPaths(t *testing.T, pattern string) []string {
	t.Helper()
	pattern = strings.TrimSuffix(pattern, "*")
	if len(pattern) > 1 {
		pattern = strings.TrimSuffix(pattern, "/")
	}
	blanks := parameter.FindAllStringSubmatch(pattern, -1)
	fill := func(first []string) string {
		path := pattern
		for i, b := range blanks {
			v := s.matrixValue(t, pattern, b[1])
			value := v[0]
			if i == 0 && first != nil {
				value = first[0]
			}
			path = strings.Replace(path, b[0], value, 1)
		}
		return path
	}
	if len(blanks) == 0 {
		return []string{pattern}
	}
	v := s.matrixValue(t, pattern, blanks[0][1])
	var paths []string
	for _, value := range v {
		paths = append(paths, fill([]string{value}))
	}
	return paths
}

// matrixValue is what stands for a blank: own, other, none.
func (s *stage) matrixValue(t *testing.T, pattern, name string) []string {
	t.Helper()
	of := func(sql, none string) []string {
		t.Helper()
		var all []string
		for _, m := range []int{s.A, s.B} {
			found := s.names(t, fmt.Sprintf(sql, m))
			if len(found) == 0 {
				t.Fatalf("nothing of municipality %d stands for {%s}", m, name)
			}
			all = append(all, found[0])
		}
		return append(all, none)
	}
	switch strings.TrimSuffix(strings.ToLower(name), "id") {
	case "number":
		if strings.Contains(pattern, "proto") {
			return of(`SELECT number FROM deletion_round WHERE state = 'finished' AND municipality_id = %d ORDER BY id`, "3218-990101")
		}
		return of(`SELECT number FROM deletion_round WHERE state = 'controlled' AND municipality_id = %d ORDER BY id`, "3218-990101")
	case "client":
		if strings.Contains(pattern, "{recording}") {
			return of(`SELECT client_id::text FROM recording WHERE municipality_id = %d ORDER BY id`, nobodysID)
		}
		return of(`SELECT id::text FROM client WHERE municipality_id = %d AND status = 'active' ORDER BY created_at`, nobodysID)
	case "address":
		return of(`SELECT address_id::text FROM client WHERE municipality_id = %d AND status = 'active' ORDER BY created_at`, nobodysID)
	case "device":
		return of(`SELECT id::text FROM device WHERE municipality_id = %d AND code = 'matrix 1'`, nobodysID)
	case "at the address":
		return of(`SELECT id::text FROM device WHERE municipality_id = %d AND code = 'matrix 5'`, nobodysID)
	case "removed": // the device that is taken away
		return of(`SELECT id::text FROM device WHERE municipality_id = %d AND code = 'matrix 2'`, nobodysID)
	case "connected":
		return of(`SELECT id::text FROM device WHERE municipality_id = %d AND code = 'matrix 3'`, nobodysID)
	case "exchanged":
		return of(`SELECT id::text FROM device WHERE municipality_id = %d AND code = 'matrix 4'`, nobodysID)
	case "hold":
		return of(`SELECT id::text FROM hold WHERE municipality_id = %d AND authority = 'matrix'`, nobodysID)
	case "order":
		which := "<>"
		if strings.HasSuffix(pattern, "/refusal") || strings.HasSuffix(pattern, "/avslag") {
			which = "="
		}
		return of(`SELECT id::text FROM deletion_order WHERE municipality_id = %d AND state = 'asked' AND reference `+which+` 'matrix'`, nobodysID)
	case "run", "import":
		return of(`SELECT id::text FROM import_run WHERE municipality_id = %d ORDER BY started_at, id`, nobodysID)
	case "recording":
		return of(`SELECT id::text FROM recording WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "position":
		return []string{"1", "1", "99999"}
	case "account":
		if strings.Contains(pattern, "/nokler") || strings.Contains(pattern, "/keys") { // of programs only
			return of(`SELECT id::text FROM account WHERE municipality_id = %d AND machine AND disabled_at IS NULL ORDER BY id`, nobodysNumber)
		}
		return of(`SELECT id::text FROM account WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "key":
		if strings.Contains(pattern, "{account}") {
			return of(`SELECT k.id::text FROM api_key k JOIN account a ON a.id = k.account_id WHERE a.municipality_id = %d AND a.machine AND a.disabled_at IS NULL ORDER BY a.id, k.id`, nobodysNumber)
		}
		return of(`SELECT k.id::text FROM api_key k JOIN account a ON a.id = k.account_id WHERE a.municipality_id = %d AND a.id < 1000 ORDER BY k.id`, nobodysNumber)
	case "range":
		return of(`SELECT id::text FROM address_range WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "proposal":
		which := "10.1.0.0/16"
		if strings.HasSuffix(pattern, "/godta") || strings.HasSuffix(pattern, "/acceptance") {
			which = "10.2.0.0/16"
		}
		return of(`SELECT id::text FROM proposal WHERE municipality_id = %d AND outcome IS NULL AND subject = '`+which+`'`, nobodysNumber)
	case "reader":
		return of(`SELECT id::text FROM protected_reader WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "finding":
		return of(`SELECT id::text FROM access_finding WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "instruction":
		return of(`SELECT id::text FROM instruction WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "question":
		return of(`SELECT id::text FROM instruction_request WHERE municipality_id = %d AND state = 'asked' ORDER BY id`, nobodysNumber)
	case "visit":
		which := `state = 'asked'` // by the municipality
		switch action := path.Base(pattern); {
		case slices.Contains([]string{"inn", "taking", "avbryt", "cut"}, action):
			which = `state = 'granted' AND scope = 'municipality' AND ends_at > '` + s.Now().Format(time.RFC3339) + `'`
		case strings.HasPrefix(pattern, "/support"):
			which = `state = 'asked' AND asked_by = 901`
		}
		return of(`SELECT id::text FROM visit WHERE municipality_id = %d AND `+which+` ORDER BY asked_by, scope DESC, asked_at`, nobodysID)
	case "request", "right":
		return of(`SELECT id::text FROM rights_request WHERE municipality_id = %d AND reference = 'matrix'`, nobodysID)
	case "subprocessor":
		return []string{s.names(t, `SELECT DISTINCT id::text FROM subprocessor ORDER BY 1`)[0]} // the processor's list is everybody's
	case "deviation":
		return of(`SELECT id::text FROM deviation WHERE municipality_id = %d ORDER BY reported_at, id`, nobodysID)
	case "session", "factor":
		return []string{nobodysID}
	case "link", "provider":
		return []string{"x"}
	case "municipality":
		return []string{"3218", "5501", "9999"}
	case "class":
		return []string{"client_record", "client_record", "nonsense"}
	case "format":
		return []string{"json", "json", "exe"}
	}
	t.Fatalf("nobody says what stands for {%s} in the matrix", name)
	return nil
}

// op is one operation: a method and the pattern of a route.
type op struct{ method, pattern string }

func (o op) String() string { return o.method + " " + o.pattern }

func (o op) api() bool { return strings.HasPrefix(o.pattern, "/api/v1") }

// attempt is one operation, ready to be tried.
type attempt struct {
	op
	paths      []string // of what is the own municipality's, another's, nobody's
	kind, body string
	authz      []access.Permission // of which the contract says that one is enough; none: anybody may
	wheres     bool                // who works for all municipalities says in which,
	names      bool                // or does so in the body
}

// attempts are all operations in the order in which they are tried. They name the same in every copy of the world.
func (s *stage) attempts(t *testing.T) []attempt {
	t.Helper()
	spec, err := rest.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	var all []attempt
	err = chi.Walk(s.site(t), func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		pattern = strings.ReplaceAll(pattern, "/*/", "/")
		if slices.Contains(doors, method+" "+pattern) {
			return nil
		}
		x := attempt{op: op{method, pattern}, paths: s.matrixPaths(t, pattern)}
		for i := range x.paths {
			another := ""
			switch {
			case method == http.MethodDelete:
				another = "removed"
			case strings.HasSuffix(pattern, "/flytt"), strings.HasSuffix(pattern, "/hand-over"):
				another = "at the address"
			case strings.HasSuffix(pattern, "/{number}/klienter"):
				x.paths[i] += "?utfall=ready"
			}
			if another != "" {
				x.paths[i] = strings.Replace(x.paths[i], s.matrixValue(t, "", "device")[0], s.matrixValue(t, "", another)[0], 1)
			}
		}
		switch {
		case x.api():
			path := strings.TrimPrefix(pattern, "/api/v1")
			item := spec.Paths.Value(path)
			operation := item.GetOperation(method)
			x.authz = rest.Permitted(operation)
			for _, p := range slices.Concat(item.Parameters, operation.Parameters) {
				x.wheres = x.wheres || p.Value.In == openapi3.ParameterInQuery && p.Value.Name == "municipality"
				if p.Value.In == openapi3.ParameterInQuery && p.Value.Required {
					for i := range x.paths {
						x.paths[i] += fmt.Sprintf("?%s=%v", p.Value.Name, sample(t, path, p.Value.Schema.Value))
					}
				}
			}
			x.kind, x.body = sampleBody(t, spec, method, path)
			x.names = strings.HasSuffix(path, "/visits") && method == http.MethodPost
			for end, device := range map[string]string{"/devices": "connected", "/exchange": "exchanged"} {
				if strings.HasSuffix(pattern, end) {
					x.body = strings.Replace(x.body, nobodysID, s.matrixValue(t, "", device)[0], 1)
				}
			}
		case method != http.MethodGet:
			x.kind, x.body = formType, forms[pattern]
			if x.body == "" {
				x.body = "resident=" + s.matrixValue(t, "", "client")[0]
			}
		}
		all = append(all, x)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Looks come first. Then rounds, because whoever had a hand in a list decides nothing about it (D13); what takes away comes last.
	rank := func(x attempt) int {
		round := strings.Contains(x.pattern, "/rounds/") || strings.HasPrefix(x.pattern, "/runder/") || strings.HasSuffix(x.pattern, "/avslag")
		rank := 2
		switch {
		case strings.HasPrefix(x.pattern, "/konto"): // where one ends one's own session
			rank = 4
		case x.method == http.MethodDelete, strings.HasSuffix(x.pattern, "/cut"):
			rank = 3
		case round:
			rank = 1
		}
		if x.method == http.MethodGet {
			rank -= 10
		}
		return rank
	}
	slices.SortFunc(all, func(x, y attempt) int {
		return cmp.Or(cmp.Compare(rank(x), rank(y)), strings.Compare(x.pattern, y.pattern), strings.Compare(x.method, y.method))
	})
	return all
}

// matrix is what everybody got.
type matrix struct {
	mu    sync.Mutex
	cells map[op]map[string][]cell
	after map[op]map[string][]cell // a new proof of who they are; empty where none was asked for
}

// company is who tries things in one copy of the world: one actor, or all whom no door opens and who so change nothing.
// Browsers and programs have worlds of their own: what the one changes is no matter of the other.
type company struct {
	name   string
	api    bool
	actors []*actor
}

func companies(actors []*actor) []*company {
	var all []*company
	for _, api := range []bool{false, true} {
		for _, a := range actors {
			name := a.name
			if len(a.may.Roles) == 0 || !api && a.cookie == "" {
				name = "nobody"
			}
			if api {
				name += " by program"
			}
			i := slices.IndexFunc(all, func(c *company) bool { return c.name == name })
			if i < 0 {
				i = len(all)
				all = append(all, &company{name: name, api: api})
			}
			all[i].actors = append(all[i].actors, a)
		}
	}
	return all
}

// run lets an actor try everything that its company tries.
func (m *matrix) run(t *testing.T, s *stage, mux http.Handler, who *actor, attempts []attempt) {
	t.Helper()
	alone := *who // for its browser and for its programs at once
	a := &alone
	for _, x := range attempts {
		cells, answers, after := make([]cell, len(x.paths)), make([]string, len(x.paths)), make([]cell, len(x.paths))
		for _, i := range []int{2, 1, 0} { // what changes something comes last
			if i >= len(x.paths) {
				continue
			}
			a.ready(t, s)
			var to string
			cells[i], answers[i], to = a.try(t, mux, x, x.paths[i])
			switch {
			case a.stands && !a.may.Visiting() && !x.api():
				// Whose visit is over is told so once, whatever they asked for; then it is asked again.
				if cells[i] == "303" && to == edge.VisitsPath {
					cells[i], answers[i], _ = a.try(t, mux, x, x.paths[i])
				} else if !strings.HasPrefix(x.pattern, "/konto/faktor") { // which is there for half a session, too
					t.Errorf("%s by %s: %s, and not word that the visit is over", x.op, a.name, cells[i])
				}
			case a.young != "" && (cells[i] == prove || x.api() && cells[i] == "403"):
				s.Exec(t, `UPDATE session SET fresh_until = $2 WHERE account_id = $1`, a.account, s.Now().Add(time.Minute))
				proved := *a
				proved.key = a.young
				after[i], _, _ = proved.try(t, mux, x, x.paths[i])
				a.cookie = proved.cookie
			}
		}
		m.mu.Lock()
		if m.cells[x.op] == nil {
			m.cells[x.op], m.after[x.op] = map[string][]cell{}, map[string][]cell{}
		}
		m.cells[x.op][a.name], m.after[x.op][a.name] = cells, after
		m.mu.Unlock()
		alike(t, a, x, answers)
	}
}

func onClients(o op) bool {
	return strings.HasPrefix(o.pattern, "/klienter") || strings.HasPrefix(o.pattern, "/api/v1/clients")
}

// alike holds that what another municipality has is not told from what nobody has; support and operators work for both. A
// visitor does not, and tells no client whom the visit is not about from one that nobody has.
func alike(t *testing.T, a *actor, x attempt, answers []string) {
	t.Helper()
	if len(answers) < 3 {
		return
	}
	both := a.may.Blind() && (!a.may.Visiting() || strings.HasPrefix(x.pattern, edge.VisitsPath))
	if !strings.Contains(x.pattern, "{class}") && !both && answers[1] != answers[2] {
		t.Errorf("%s by %s tells what is another's from what is nobody's: %s", x.op, a.name, firstDifference(answers[1], answers[2]))
	}
	if a.name == "visit_of_another" && onClients(x.op) && answers[0] != answers[2] {
		t.Errorf("%s by %s tells whom the visit is not about from nobody: %s", x.op, a.name, firstDifference(answers[0], answers[2]))
	}
}

// rules are what holds of an actor at an operation, whatever the file says.
func (m *matrix) rules(t *testing.T, a *actor, x attempt) {
	t.Helper()
	cells, like, after := m.cells[x.op][a.name], m.cells[x.op][a.like], m.after[x.op][a.name]
	visiting, visits := a.may.Visiting(), strings.HasPrefix(x.pattern, edge.VisitsPath)
	own := strings.HasPrefix(x.pattern, "/konto") || x.pattern == "/innstillinger"
	for i, c := range cells {
		wrong := func(what string, args ...any) {
			t.Errorf("%s by %s %s: %v", x.op, a.name, fmt.Sprintf(what, args...), cells)
		}
		switch {
		case c >= "500" && c < "600":
			wrong("breaks")
		case len(a.may.Roles) == 0 && c != login && c != "401", !x.api() && a.cookie == "" && c != login:
			wrong("is let in")
		case c == prove && a.young == "" && (!a.may.Key || a.may.KeyDecides):
			wrong("is asked to prove what was proved just now")
		// Whose proof is old gets what others get, or is asked for a new one and gets it then. A key cannot be asked.
		case a.young != "" && c != like[i] && c != prove && !(x.api() && c == "403"):
			wrong("differs in more than the proof from %v", like)
		case after[i] != "" && after[i] != like[i]:
			wrong("gets %s after a new proof, and not %v", after[i], like)
		case a.name == "machine_narrow" && c != like[i] && c != "403":
			wrong("opens more than the key that is not narrowed, %v", like)
		// After a visit all is as it was before, and before it there is nothing but support's own pages.
		case (a.name == "visit_over" || a.name == "visit_cut" || a.name == "visit_asked" && !x.api()) && c != like[i]:
			wrong("differs from before the visit, %v", like)
		case a.visit != "" && !visiting && x.api() && c != "403":
			wrong("goes in where nothing is granted")
		// A visitor reads clients and does nothing; a narrower visit shows less and never more.
		case visiting && x.method != http.MethodGet && c != "403" && !visits && !own:
			wrong("lets a visitor act")
		case visiting && a.like != "support" && c != like[i] && (c != "404" || !onClients(x.op)):
			wrong("shows more than a visit to everything, %v", like)
		}
	}
	if x.api() && len(a.may.Roles) > 0 && len(x.authz) > 0 && !slices.ContainsFunc(x.authz, a.may.Can) && cells[0] != "403" {
		t.Errorf("%s asks for %v, which %s does not have, and answers %v", x.op, x.authz, a.name, cells)
	}
}

// sheet is the matrix as a file, in which whoever is like another is named only where they are not.
func (m *matrix) sheet(actors []*actor, attempts []attempt) string {
	var out strings.Builder
	out.WriteString("# Who gets what where, as it was tried: made by `go test ./internal/proof -run Matrix -update`. Read a difference like code.\n" +
		"# Columns: for what is the own municipality's, another's, nobody's; one where the address names nothing.\n" +
		"# login: sent to the sign-in. prove: asked for a fresh proof of who it is. The rest are statuses.\n" +
		"# Whoever is not named at an operation gets there what the one gets whom they are like:\n")
	for _, of := range actors {
		var like []string
		for _, a := range actors {
			if a.like == of.name {
				like = append(like, a.name)
			}
		}
		if like != nil {
			fmt.Fprintf(&out, "#   like %-22s %s\n", of.name, strings.Join(like, " "))
		}
	}
	for _, x := range attempts {
		fmt.Fprintf(&out, "\n%s\n", x.op)
		groups := map[string][]string{}
		var order []string
		for _, a := range actors {
			if a.like != "" && slices.Equal(m.cells[x.op][a.name], m.cells[x.op][a.like]) {
				continue
			}
			key := strings.Trim(fmt.Sprint(m.cells[x.op][a.name]), "[]")
			if groups[key] == nil {
				order = append(order, key)
			}
			groups[key] = append(groups[key], a.name)
		}
		for _, key := range order {
			fmt.Fprintf(&out, "  %-18s %s\n", key, strings.Join(groups[key], " "))
		}
	}
	return out.String()
}

func TestMatrix(t *testing.T) {
	whole, actors := matrixWorld(t)
	var attempts []attempt
	t.Run("attempts", func(t *testing.T) { attempts = whole.copy(t).attempts(t) })
	m := &matrix{cells: map[op]map[string][]cell{}, after: map[op]map[string][]cell{}}
	t.Run("everybody", func(t *testing.T) {
		for _, c := range companies(actors) {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s := whole.copy(t)
				mux := s.site(t)
				for _, a := range c.actors {
					m.run(t, s, mux, a, slices.DeleteFunc(slices.Clone(attempts), func(x attempt) bool { return x.api() != c.api }))
				}
			})
		}
	})
	for _, x := range attempts {
		for _, a := range actors {
			m.rules(t, a, x)
		}
	}
	cells := 0
	for o, by := range m.cells {
		open := false
		for _, c := range by {
			cells += len(c)
			open = open || !slices.Contains([]cell{"403", "404", "401", login, prove}, c[0])
		}
		if !open && !strings.HasPrefix(o.pattern, "/konto/") && !slices.Contains(elsewhere, o.String()) {
			t.Errorf("%s is open to nobody, or nothing stands at its address: %v", o, by)
		}
	}
	const file = "testdata/matrix.txt"
	sheet := m.sheet(actors, attempts)
	if *update {
		if err := os.WriteFile(file, []byte(sheet), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != sheet {
		t.Errorf("the matrix is not what %s declares: %s", file, firstDifference(string(want), sheet))
	}
	t.Logf("%d operations, %d actors, %d cells", len(attempts), len(actors), cells)
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(x), len(y)) {
		if at(x, i) != at(y, i) {
			return fmt.Sprintf("line %d: %.300q and %.300q", i+1, at(x, i), at(y, i))
		}
	}
	return "none"
}

// sampleBody is a body of the form that the contract asks for, made from its schema: what is in it may be refused, but not
// for its form.
func sampleBody(t *testing.T, spec *openapi3.T, method, path string) (kind, body string) {
	t.Helper()
	item := spec.Paths.Value(path)
	if item == nil || item.GetOperation(method) == nil {
		return "", ""
	}
	request := item.GetOperation(method).RequestBody
	if request == nil {
		return "", ""
	}
	for kind, media := range request.Value.Content {
		if kind != "application/json" {
			return kind + "; boundary=x", "--x--"
		}
		raw, err := json.Marshal(sample(t, path, media.Schema.Value))
		if err != nil {
			t.Fatal(err)
		}
		return kind, string(raw)
	}
	return "", ""
}

// patterned are values of the forms that schemas describe by a pattern.
var patterned = []string{"3218-240401", "0150", "3218", "1", "a", "x", "2024-04-01", "12894421183", nobodysID}

func sample(t *testing.T, path string, schema *openapi3.Schema) any {
	t.Helper()
	switch {
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case len(schema.OneOf) > 0:
		return sample(t, path, schema.OneOf[0].Value)
	case len(schema.AllOf) > 0:
		return sample(t, path, schema.AllOf[0].Value)
	case schema.Type.Is("object"):
		object := map[string]any{}
		for _, name := range schema.Required {
			object[name] = sample(t, path, schema.Properties[name].Value)
		}
		if len(object) == 0 && schema.MinProps > 0 {
			for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
				object[name] = sample(t, path, schema.Properties[name].Value)
				break
			}
		}
		return object
	case schema.Type.Is("array"):
		list := []any{}
		for range max(schema.MinItems, 0) {
			list = append(list, sample(t, path, schema.Items.Value))
		}
		return list
	case schema.Type.Is("integer"), schema.Type.Is("number"):
		if schema.Min != nil {
			return *schema.Min
		}
		return 1
	case schema.Type.Is("boolean"):
		return true
	case schema.Format == "uuid":
		return nobodysID
	case schema.Format == "date":
		return "2024-03-21"
	case schema.Format == "date-time":
		return "2024-03-21T08:00:00Z"
	case schema.Pattern != "":
		for _, value := range patterned {
			if regexp.MustCompile(schema.Pattern).MatchString(value) {
				return value
			}
		}
		t.Fatalf("%s: nobody says what has the form %s", path, schema.Pattern)
	}
	return strings.Repeat("a", int(max(schema.MinLength, 1)))
}
