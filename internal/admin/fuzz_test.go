package admin

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/go-chi/chi/v5"
)

// A filter is the same after it has stood in an address, and holds codes, ids and days only.
func FuzzClientFilter(f *testing.F) {
	for _, seed := range []string{
		"status=active&status=active&gruppe=ingen&gruppe=7", "sok=6f9619ff-8b86-4011-b42d-00c04fc964ff", "postnr=1430&kontroll=1", "periode=status&fra=1.4.24&til=010524", "periode=x&fra=31.02.2023",
		"postnr=%00%00%00%00", "gruppe=-9223372036854775808", "postnr=%ff%ff%ff%ff", "sok=urn:uuid:6f9619ff-8b86-4011-b42d-00c04fc964ff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		first := parseClientFilter(q)
		again := parseClientFilter(first.Values())
		if !reflect.DeepEqual(first, again) {
			t.Fatalf("%q: %+v, then %+v", raw, first, again)
		}
		for _, s := range first.Statuses {
			if !s.Valid() {
				t.Fatalf("status %q", s)
			}
		}
	})
}

// doors are the pages with a world behind them, for requests straight into the router.
type doors struct {
	*pgtest.World
	handler  http.Handler
	patterns []string // method and pattern
	cookies  map[access.Role]string
	values   map[string]string // what exists, by parameter
	log      *logged
}

type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func newDoors(f *testing.F) *doors {
	f.Helper()
	w := pgtest.NewWorld(f)
	d := &doors{World: w, cookies: map[access.Role]string{}, values: map[string]string{}, log: new(logged)}
	id := w.Add(f, pgtest.Person{})
	other := w.Add(f, pgtest.Person{Municipality: w.B})
	d.values["client"], d.values["foreign"] = id.String(), other.String()
	d.values["address"] = w.AddressOf(f, id).String()
	d.values["device"] = w.AddDevice(f, w.A, id, [16]byte{}).String()
	if err := deletion.Sweep(f.Context(), w.DB); err != nil {
		f.Fatal(err)
	}
	if err := w.Admin.QueryRow(f.Context(), `SELECT number FROM deletion_round WHERE municipality_id = 1 ORDER BY id LIMIT 1`).Scan(new(string)); err != nil {
		f.Fatal(err)
	}
	d.values["number"] = "3218-231001"
	site, err := edge.New(edge.Site{DB: w.DB, Demo: true, Log: slog.New(slog.NewJSONHandler(d.log, nil)), Verbose: true, Unlimited: true})
	if err != nil {
		f.Fatal(err)
	}
	blobs, err := blob.OpenFolder(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	mux := site.Mux()
	mux.Group(func(r chi.Router) {
		r.Use(site.Signed)
		(&Server{Site: site, DB: w.DB, Blobs: blobs, Key: []byte("key of the tests")}).Routes(r)
	})
	d.handler = mux
	err = chi.Walk(mux, func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if !strings.Contains(pattern, "logout") && !strings.Contains(pattern, "static") {
			d.patterns = append(d.patterns, method+" "+strings.ReplaceAll(pattern, "/*/", "/"))
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	slices.Sort(d.patterns)
	for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator, access.Support, access.Operator, access.PlatformAdministrator} {
		m := w.A
		if (access.Caller{Roles: []access.Role{role}}).Blind() {
			m = 0
		}
		var login string
		if err := w.Admin.QueryRow(f.Context(), `SELECT login FROM account WHERE id = $1`, w.As(role, m).Account).Scan(&login); err != nil {
			f.Fatal(err)
		}
		if d.cookies[role], err = account.SignInDemo(f.Context(), w.DB, login); err != nil {
			f.Fatal(err)
		}
	}
	return d
}

func (d *doors) send(t *testing.T, role access.Role, method, target, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		bad := httptest.NewRecorder() // net/http answers such a line by itself
		bad.Code = http.StatusBadRequest
		return bad
	}
	r := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
	r.URL, r.RequestURI = u, target
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.AddCookie(&http.Cookie{Name: "frist", Value: d.cookies[role]})
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	if w.Code >= 500 || bytes.Contains(d.log.b.Bytes(), []byte(`"msg":"panic"`)) {
		t.Fatalf("%s %s as %s: %d: %s", method, target, role, w.Code, d.log.b.String())
	}
	return w
}

var seats = []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator, access.Support, access.Operator, access.PlatformAdministrator}

// Every page of everybody, with whatever stands in its address and its form: no answer is a fault of ours.
func FuzzPages(f *testing.F) {
	d := newDoors(f)
	for n := range d.patterns {
		f.Add(n, 0, "", "sok=x&after=1&fra-klient=a&eldre=1-1&etter=-1&til=x&utfall=ready", "text=x&number=1&code=other&once=1")
		f.Add(n, n, "x", "fra-klient=a6f9619ff-8b86-4011-b42d-00c04fc964ff", "status=disconnected&at=31.02.2023&reason=moved&version=1")
	}
	f.Add(0, 0, "\x00", "%00", "a=%00")
	f.Add(3, 0, "9223372036854775808", "eldre=9007199254740992-9223372036854775807", "version=99999999999999999999")
	f.Fuzz(func(t *testing.T, n, seat int, parameter, query, body string) {
		method, pattern, _ := strings.Cut(d.patterns[uint(n)%uint(len(d.patterns))], " ")
		for strings.Contains(pattern, "{") {
			from, to := strings.Index(pattern, "{"), strings.Index(pattern, "}")
			value, known := d.values[pattern[from+1:to]]
			if !known || parameter != "" {
				value = url.PathEscape(parameter)
			}
			pattern = pattern[:from] + value + pattern[to+1:]
		}
		contentType := ""
		if method == http.MethodPost {
			contentType = "application/x-www-form-urlencoded"
		}
		target := strings.TrimSuffix(pattern, "*")
		if query != "" {
			target += "?" + query
		}
		w := d.send(t, seats[uint(seat)%uint(len(seats))], method, target, contentType, body)
		if strings.Contains(w.Body.String(), d.values["foreign"]) && !strings.Contains(query+body+parameter, d.values["foreign"]) {
			t.Fatal("a client of the other municipality")
		}
	})
}

// A round's number leads to a round of the own municipality or to nothing.
func FuzzRoundNumber(f *testing.F) {
	d := newDoors(f)
	for _, seed := range []string{"3218-231001", "5501-231001", "3218-231001-E1", "", "%", "\x00", "3218-231001\x00", "../drift", "３２１８-231001", strings.Repeat("1", 4000), "' OR 1=1 --", "3218-231001 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, number string) {
		for at, role := range map[string]access.Role{"/runder/": access.Approver, "/drift/": access.Operator, "/support/runder/": access.Support} {
			w := d.send(t, role, http.MethodGet, at+url.PathEscape(number), "", "")
			if w.Code == http.StatusOK && role == access.Approver && number != "" && !strings.HasPrefix(number, "3218-") {
				t.Fatalf("%q answers %d", number, w.Code)
			}
		}
	})
}

// A form with a file, broken in any way.
func FuzzImportForm(f *testing.F) {
	d := newDoors(f)
	part := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nNavn;Nummer\nHansen, Solveig;200051466\n\r\n"
	f.Add(part + "--x--")
	f.Add(part + "--x\r\nContent-Disposition: form-data; name=\"step\"\r\n\r\ntry\r\n--x--")
	f.Add(part + part + "--x--")
	f.Add(part + "--x\r\nContent-Disposition: form-data; name=\"column-0\"\r\n\r\nfamily_name\r\n--x\r\nContent-Disposition: form-data; name=\"column-0\"\r\n\r\nnumber\r\n--x--")
	f.Add("--x\r\nContent-Disposition: form-data; name=\"\x00\"\r\n\r\n\xff\r\n--x--")
	f.Add("--x")
	f.Fuzz(func(t *testing.T, body string) {
		d.send(t, access.Caseworker, http.MethodPost, "/import", "multipart/form-data; boundary=x", body)
	})
}
