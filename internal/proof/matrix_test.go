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
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/admin"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/rest"
	"github.com/frist-app/frist/internal/rights"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// The matrix: every actor at every page route and every operation of the contract, for what belongs to the own
// municipality, to another one, and to nobody. testdata/matrix.txt declares each cell; a new route without its rows, and a
// cell that has become another, fail. `go test ./internal/proof -run Matrix -update` writes it anew: read the difference
// like code. Beside the file hold rules that no update can write away.

// An actor is somebody at the door, with a browser and with a key; in the clone of the world in which they try everything.
type actor struct {
	name        string
	account     int64 // 0: nobody
	cookie, key string
}

// nobodies are the actors whom no door opens.
var nobodies = []string{"anonymous", "disabled", "expired"}

// matrixWorld is a populated world and its actors, ready to be copied.
func matrixWorld(t *testing.T) (*stage, []actor) {
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
	login := func(id int64) string {
		return s.names(t, fmt.Sprintf(`SELECT login FROM account WHERE id = %d`, id))[0]
	}
	enter := func(name string, id int64, scopes ...string) actor {
		a := actor{name: name, account: id}
		var err error
		if a.cookie, err = account.SignInDemo(ctx, s.DB, login(id)); err != nil {
			t.Fatal(err)
		}
		if a.key, err = account.NewKey(ctx, s.DB, id, scopes, time.Hour); err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, m := range []int{s.A, s.B} {
		if _, err := account.NewKey(ctx, s.DB, s.World.As(access.Caseworker, m).Account, nil, time.Hour); err != nil {
			t.Fatal(err)
		}
		s.as(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) error {
			today, err := municipality.Today(ctx, tx)
			if err != nil {
				return err
			}
			_, err = rights.Receive(ctx, tx, s.matrixClient(t, m), rights.New{Kind: rights.Access, ReceivedOn: today, Channel: "letter", Reference: "matrix"})
			return err
		})
	}
	another := func(id int64, roles ...access.Role) int64 { // of municipality A
		s.Exec(t, `INSERT INTO account (id, municipality_id, login, name, staff_number, roles, password_hash) VALUES ($1, $2, $3, $3, $4, $5, 'x')`,
			id, s.A, fmt.Sprint("another.", id), fmt.Sprint("S-", id), roles)
		return id
	}
	all := []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator}
	actors := []actor{{name: "anonymous"}}
	for i, role := range all { // people without a hand in anything that is there
		actors = append(actors, enter(string(role), another(7010+int64(i), role), account.ScopeDecide))
	}
	for _, role := range []access.Role{access.Support, access.Operator, access.PlatformAdministrator} {
		actors = append(actors, enter(string(role), s.World.As(role, 0).Account, account.ScopeDecide))
	}
	disabled := enter("disabled", another(7001, all...), account.ScopeDecide)
	expired := enter("expired", another(7002, all...), account.ScopeDecide)
	s.Exec(t, `UPDATE session SET expires_at = $2 WHERE account_id = $1`, expired.account, now)
	s.Exec(t, `UPDATE api_key SET expires_at = $2 WHERE account_id = $1`, expired.account, now)
	s.Exec(t, `UPDATE account SET disabled_at = $2 WHERE id = $1`, disabled.account, now) // the session and the key are still there
	machine := enter("machine", another(7003, all...))
	machine.cookie = ""
	s.Exec(t, `DELETE FROM session WHERE account_id = $1`, machine.account)
	actors = append(actors, disabled, expired, machine)
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
	"POST /forslag/{proposal}/godta", "POST /api/v1/proposals/{proposal}/acceptance", // what is proposed here is about nothing
	"POST /brukere/{account}/nokler", "POST /brukere/{account}/nokler/{key}/bytt", "POST /brukere/{account}/nokler/{key}/slett", // of programs only
	"POST /personvern/underleverandorer/{subprocessor}/svar", "POST /tilgang/{visit}/trekk", "POST /support/innsyn/{visit}/trekk", // nothing waits for an answer
	"POST /support/innsyn/{visit}/inn", "POST /api/v1/visits/{visit}/taking", // the visit here is another's
	"GET /rettigheter/{request}/utlevering.{format:html|pdf|json|fhir|zip}", "GET /api/v1/rights-requests/{right}/extract", // after release
	"DELETE /api/v1/me/keys/{key}", "POST /api/v1/me/keys/{key}/rotation", "DELETE /api/v1/me/sessions/{session}", // on one's own account
	"GET /api/v1/accounts/{account}/keys", "POST /api/v1/accounts/{account}/keys", "POST /api/v1/accounts/{account}/keys/{key}/rotation", "DELETE /api/v1/accounts/{account}/keys/{key}",
}

// cell is what one actor got for one relation: the status, or where a redirect leads that is about the person.
type cell string

func (a actor) try(t *testing.T, mux http.Handler, method, path, kind, body string) (cell, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Accept-Language", "nb")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	switch api := strings.HasPrefix(path, "/api/"); {
	case api && a.key != "":
		r.Header.Set("Authorization", "Bearer "+a.key)
		r.Header.Set("If-Match", `"1"`)
		r.Header.Set("Idempotency-Key", "matrix-"+randomHex(16))
	case !api && a.cookie != "":
		r.AddCookie(&http.Cookie{Name: "frist", Value: a.cookie})
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	got := cell(fmt.Sprint(w.Code))
	if to := w.Header().Get("Location"); strings.HasPrefix(to, "/login") {
		got = "login"
	}
	h := w.Header().Clone()
	h.Del("X-Request-Id")
	h.Del("Set-Cookie")
	h.Del("Content-Length")
	var headers bytes.Buffer
	_ = h.Write(&headers)
	return got, headers.String() + "\n" + w.Body.String()
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
		return of(`SELECT id::text FROM deletion_order WHERE municipality_id = %d AND state = 'asked' ORDER BY asked_at, id`, nobodysID)
	case "run", "import":
		return of(`SELECT id::text FROM import_run WHERE municipality_id = %d ORDER BY started_at, id`, nobodysID)
	case "recording":
		return of(`SELECT id::text FROM recording WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "position":
		return []string{"1", "1", "99999"}
	case "account":
		return of(`SELECT id::text FROM account WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "key":
		return of(`SELECT k.id::text FROM api_key k JOIN account a ON a.id = k.account_id WHERE a.municipality_id = %d AND a.id < 1000 ORDER BY k.id`, nobodysNumber)
	case "range":
		return of(`SELECT id::text FROM address_range WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "proposal":
		return of(`SELECT id::text FROM proposal WHERE municipality_id = %d AND outcome IS NULL ORDER BY id`, nobodysNumber)
	case "reader":
		return of(`SELECT id::text FROM protected_reader WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "finding":
		return of(`SELECT id::text FROM access_finding WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "instruction":
		return of(`SELECT id::text FROM instruction WHERE municipality_id = %d ORDER BY id`, nobodysNumber)
	case "question":
		return of(`SELECT id::text FROM instruction_request WHERE municipality_id = %d AND state = 'asked' ORDER BY id`, nobodysNumber)
	case "visit":
		return of(`SELECT id::text FROM visit WHERE municipality_id = %d ORDER BY state, asked_by, scope, asked_at`, nobodysID)
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

func TestMatrix(t *testing.T) {
	whole, actors := matrixWorld(t)
	spec, err := rest.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	type op struct{ method, pattern string }
	rows := map[op]map[string][]cell{}
	var ops []op
	for _, a := range actors {
		forPages, forPrograms := whole.copy(t), whole.copy(t) // what the one changes is no matter of the other
		pages, programs := forPages.site(t), forPrograms.site(t)
		type attempt struct {
			op
			paths []string
		}
		var looks, acts []attempt
		err := chi.Walk(pages, func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			pattern = strings.ReplaceAll(pattern, "/*/", "/")
			if slices.Contains(doors, method+" "+pattern) {
				return nil
			}
			one := attempt{op{method, pattern}, forPages.matrixPaths(t, pattern)}
			for i := range one.paths {
				another := ""
				switch {
				case method == http.MethodDelete:
					another = "removed"
				case strings.HasSuffix(pattern, "/flytt"), strings.HasSuffix(pattern, "/hand-over"):
					another = "at the address"
				case strings.HasSuffix(pattern, "/{number}/klienter"):
					one.paths[i] += "?utfall=ready"
				}
				if another != "" {
					one.paths[i] = strings.Replace(one.paths[i], forPages.matrixValue(t, "", "device")[0], forPages.matrixValue(t, "", another)[0], 1)
				}
			}
			if method == http.MethodGet {
				looks = append(looks, one)
			} else {
				acts = append(acts, one)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// Rounds come first, because whoever had a hand in a list decides nothing about it (D13); what takes away comes last.
		rank := func(x attempt) string {
			switch {
			case strings.HasPrefix(x.pattern, "/konto"): // where one ends one's own session
				return "3"
			case x.method == http.MethodDelete:
				return "2"
			case strings.Contains(x.pattern, "/rounds/"), strings.HasPrefix(x.pattern, "/runder/"), strings.HasSuffix(x.pattern, "/avslag"):
				return "0"
			}
			return "1"
		}
		byName := func(x, y attempt) int {
			return cmp.Or(strings.Compare(rank(x), rank(y)), strings.Compare(x.pattern, y.pattern), strings.Compare(x.method, y.method))
		}
		slices.SortFunc(looks, byName)
		slices.SortFunc(acts, byName)
		all := slices.Concat(looks, acts)
		if len(ops) == 0 {
			for _, one := range all {
				ops = append(ops, one.op)
			}
		}
		for _, one := range all {
			mux, kind, body := pages, "", ""
			if one.method != http.MethodGet {
				kind, body = formType, "resident="+forPages.matrixValue(t, "", "client")[0]
			}
			if strings.HasPrefix(one.pattern, "/api/v1") {
				mux = programs
				kind, body = sampleBody(t, spec, one.method, strings.TrimPrefix(one.pattern, "/api/v1"))
				for end, device := range map[string]string{"/devices": "connected", "/exchange": "exchanged"} {
					if strings.HasSuffix(one.pattern, end) {
						body = strings.Replace(body, nobodysID, forPrograms.matrixValue(t, "", device)[0], 1)
					}
				}
			}
			cells := make([]cell, len(one.paths))
			answers := make([]string, len(one.paths))
			for _, i := range []int{2, 1, 0} { // what changes something comes last
				if i < len(one.paths) {
					cells[i], answers[i] = a.try(t, mux, one.method, one.paths[i], kind, body)
					named := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]{4}-[0-9]{6}`).FindString(one.paths[i])
					replacements := []string{one.paths[i], "PATH", url.QueryEscape(one.paths[i]), "PATH"}
					if named != "" {
						replacements = append(replacements, named, "ID", named[:8], "ID")
					}
					answers[i] = strings.NewReplacer(replacements...).Replace(answers[i])
				}
			}
			if rows[one.op] == nil {
				rows[one.op] = map[string][]cell{}
			}
			rows[one.op][a.name] = cells
			name := one.method + " " + one.pattern
			for _, c := range cells {
				if c >= "500" && c < "600" {
					t.Errorf("%s by %s: %v", name, a.name, cells)
				}
			}
			// What another municipality has is not told from what nobody has; support and operators work for both.
			if len(cells) == 3 && !strings.Contains(one.pattern, "{class}") && !slices.Contains([]string{"support", "operator", "platform_administrator"}, a.name) && answers[1] != answers[2] {
				t.Errorf("%s by %s tells what is another's from what is nobody's: %s", name, a.name, firstDifference(answers[1], answers[2]))
			}
			if slices.Contains(nobodies, a.name) {
				for _, c := range cells {
					if c != "login" && c != "401" {
						t.Errorf("%s lets %s in: %v", name, a.name, cells)
					}
				}
			}
			if strings.HasPrefix(one.pattern, "/api/v1") && !slices.Contains(nobodies, a.name) {
				operation := spec.Paths.Value(strings.TrimPrefix(one.pattern, "/api/v1")).GetOperation(one.method)
				authz := rest.Permitted(operation)
				caller := access.Caller{Roles: []access.Role{access.Role(a.name)}, Key: true, KeyDecides: true}
				if a.name == "machine" {
					caller = access.Caller{Roles: []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator}, Key: true}
				}
				if may := len(authz) == 0 || slices.ContainsFunc(authz, caller.Can); !may && cells[0] != "403" {
					t.Errorf("%s asks for %v, which %s does not have, and answers %v", name, authz, a.name, cells)
				}
			}
		}
	}
	for o, by := range rows {
		if strings.HasPrefix(o.pattern, "/konto/") || slices.Contains(elsewhere, o.method+" "+o.pattern) {
			continue
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(by)), func(c []cell) bool {
			return !slices.Contains([]cell{"403", "404", "401", "login"}, c[0])
		}) {
			t.Errorf("%s %s is open to nobody, or nothing stands at its address: %v", o.method, o.pattern, by)
		}
	}

	var out strings.Builder
	out.WriteString("# Who gets what where, as it was tried: made by `go test ./internal/proof -run Matrix -update`. Read a difference like code.\n" +
		"# Columns: for what is the own municipality's, another's, nobody's; one where the address names nothing.\n")
	for _, o := range ops {
		fmt.Fprintf(&out, "\n%s %s\n", o.method, o.pattern)
		groups := map[string][]string{}
		var order []string
		for _, a := range actors {
			key := strings.Trim(fmt.Sprint(rows[o][a.name]), "[]")
			if groups[key] == nil {
				order = append(order, key)
			}
			groups[key] = append(groups[key], a.name)
		}
		for _, key := range order {
			fmt.Fprintf(&out, "  %-18s %s\n", key, strings.Join(groups[key], " "))
		}
	}
	const file = "testdata/matrix.txt"
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != out.String() {
		t.Errorf("the matrix is not what %s declares: %s", file, firstDifference(string(want), out.String()))
	}
	n := 0
	for _, by := range rows {
		for _, cells := range by {
			n += len(cells)
		}
	}
	t.Logf("%d operations, %d actors, %d cells", len(ops), len(actors), n)
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
