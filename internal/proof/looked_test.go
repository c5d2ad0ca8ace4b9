package proof

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/go-chi/chi/v5"
)

// shown is one answer that showed somebody.
type shown struct {
	v            *visitor
	method, path string
	kind, body   string
	typed        string // by the visitor: it may come back on the page
}

// pattern is the route that serves an address.
func (h *house) pattern(method, path string) string {
	path, _, _ = strings.Cut(path, "?")
	ctx := chi.NewRouteContext()
	if !h.mux.Match(ctx, method, path) {
		return path
	}
	return strings.TrimSuffix(strings.ReplaceAll(ctx.RoutePattern(), "/*/", "/"), "/")
}

// own lets somebody of municipality A in, with a cookie and a key.
func (h *house) own(role access.Role) *visitor {
	h.t.Helper()
	ctx := h.t.Context()
	caller := h.World.As(role, h.A)
	var login string
	if err := h.Admin.QueryRow(ctx, `SELECT login FROM account WHERE id = $1`, caller.Account).Scan(&login); err != nil {
		h.t.Fatal(err)
	}
	cookie, err := account.SignInDemo(ctx, h.DB, login)
	if err != nil {
		h.t.Fatal(err)
	}
	key, err := account.NewKey(ctx, h.DB, caller.Account, []string{account.ScopeDecide}, time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	return &visitor{house: h, role: role, cookie: cookie, key: key, look: newScanner(h.tokens), visited: map[string]int{}}
}

// Whatever answer shows a person, on whatever route - a page, a list, a fragment, a form shown again, a sound, the API - a
// row of the access log that names the person was written with it; and when it cannot be written, nobody is shown.
func TestEveryLookIsOnRecord(t *testing.T) {
	h := newHouse(t)
	var all []shown
	last := h.Count(t, `SELECT coalesce(max(id), 0) FROM access_log`)
	routes := map[string]bool{}
	// see asks, finds out who was shown, and holds that against the rows written since.
	see := func(s shown) page {
		pattern := h.pattern(s.method, s.path)
		s.v.look.hits = nil
		p := s.v.ask(s.method, s.path, s.kind, s.body)
		rows, err := h.Admin.Query(t.Context(), `SELECT DISTINCT c::text FROM access_log, unnest(client_ids) c WHERE id > $1 AND account_id = $2`, last, h.World.As(s.v.role, h.A).Account)
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{}
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			named[id] = true
		}
		last = h.Count(t, `SELECT coalesce(max(id), 0) FROM access_log`)
		missing := map[string]string{}
		some := false
		for _, hit := range s.v.look.hits {
			i := slices.IndexFunc(h.people, func(p *person) bool { return p.name == hit.token.who })
			if i < 0 || hit.token.value == s.typed { // nobody's, or what was typed
				continue
			}
			some = true
			if !named[h.people[i].id.String()] {
				missing[hit.token.who] = hit.token.field
			}
		}
		if some {
			all = append(all, s)
			routes[s.method+" "+pattern] = true
		}
		for who, field := range missing {
			t.Errorf("as %s: %s %s (%d) shows %s of %s, and no row of the access log says so", s.v.role, s.method, pattern, p.status, field, who)
		}
		return p
	}
	visitors := []*visitor{h.own(access.Caseworker), h.own(access.Approver), h.own(access.PrivacyOfficer), h.own(access.Administrator)}
	gets := h.routes()
	for _, v := range visitors {
		for _, r := range gets {
			if r.method != http.MethodGet || strings.HasPrefix(r.pattern, "/static") {
				continue
			}
			for _, path := range v.paths(r.pattern) {
				see(shown{v: v, method: r.method, path: path})
			}
		}
		seen, queue := map[string]bool{}, []string{"/"}
		for len(queue) > 0 {
			at := queue[0]
			queue = queue[1:]
			if seen[at] || strings.HasPrefix(at, "/static/") {
				continue
			}
			seen[at] = true
			links, _ := v.follow(at, see(shown{v: v, method: http.MethodGet, path: at}))
			queue = append(queue, links...)
		}
	}
	// Searches, by what stands in records; then every form of the pages, sent as it is and empty.
	p := h.people[0]
	for _, v := range visitors {
		for _, text := range []string{p.get("client.family_name"), p.get("client.number"), p.get("client.national_id"), "Zq7"} { // the last one finds several
			for action, body := range map[string]string{
				"/klienter/sok": "q=" + url.QueryEscape(text), "/innsyn/person": "person=" + url.QueryEscape(text), "/innsyn/sok": "hvilken_klient=" + url.QueryEscape(text) + "&hvem=" + url.QueryEscape("nobody of that name"),
			} {
				to := see(shown{v: v, method: http.MethodPost, path: action, kind: formType, body: body, typed: text}).header.Get("Location")
				for to != "" && !strings.HasPrefix(to, "/login") {
					to = see(shown{v: v, method: http.MethodGet, path: to, typed: text}).header.Get("Location")
				}
			}
		}
	}
	for _, v := range visitors[:2] {
		_, forms := v.crawl("/")
		done := map[string]bool{}
		for _, f := range forms {
			pattern := anID.ReplaceAllString(f.action, "…")
			if f.method != http.MethodPost || done[pattern] || strings.Contains(f.action, "log") || strings.Contains(f.action, "innstillinger") {
				continue
			}
			done[pattern] = true
			see(shown{v: v, method: f.method, path: f.action, kind: formType, body: url.Values{"once": {f.fields.Get("once")}, "version": {"0"}}.Encode()})
		}
	}
	for _, must := range []string{"GET /klienter", "GET /klienter/{client}", "GET /klienter/{client}/notater", "GET /adresser/{address}", "GET /klienter/{client}/opptak/{recording}", "GET /runder/{number}/klienter", "GET /innsyn/person", "GET /api/v1/clients", "GET /api/v1/clients/{client}", "GET /api/v1/addresses/{address}", "GET /api/v1/rounds/{number}/items"} {
		if !routes[must] {
			t.Errorf("nobody was shown on %s: the test proves little there; not among the routes", must)
		}
	}
	t.Logf("%d answers on %d routes showed somebody", len(all), len(routes))

	h.Exec(t, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$;
		CREATE TRIGGER full_disk BEFORE INSERT ON access_log FOR EACH ROW EXECUTE FUNCTION full_disk()`)
	for _, s := range all {
		if s.method != http.MethodGet {
			continue
		}
		s.v.look.hits = nil
		s.v.visited[s.method+" "+anID.ReplaceAllString(s.path, "…")] = 1 // here an answer with 500 is what is wanted
		p := s.v.ask(s.method, s.path, s.kind, s.body)
		if p.status < 500 {
			t.Errorf("as %s: %s answers %d although nobody could write the look down", s.v.role, s.path, p.status)
		}
		for _, hit := range s.v.look.hits {
			if hit.token.value == s.typed {
				continue
			}
			t.Errorf("as %s: %s shows %s although nobody could write the look down", s.v.role, s.path, hit.token)
		}
	}
}
