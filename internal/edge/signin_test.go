package edge_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/mail"
	"github.com/frist-app/frist/internal/mail/mailtest"
	"github.com/frist-app/frist/internal/oidc"
	"github.com/frist-app/frist/internal/oidc/demoprovider"
	"github.com/pquerna/otp/totp"
)

func withHouse(change func(*account.House)) func(*edge.Site) {
	return func(s *edge.Site) {
		s.House = &account.House{Key: []byte("0123456789abcdef0123456789abcdef"), URL: "http://localhost"}
		change(s.House)
	}
}

// login signs in with a password as from an address behind the proxy of this machine, and tells where it leads.
func (h *home) login(login, address string) (status int, to string) {
	h.t.Helper()
	header := []string{}
	if address != "" {
		header = []string{"X-Forwarded-For", address}
	}
	resp, _ := h.post("/login", url.Values{"login": {login}, "password": {password}}, header...)
	return resp.StatusCode, resp.Header.Get("Location")
}

// The address that decides is the peer's, or what a trusted proxy says of the one before it. Nothing else that stands in a
// header changes it.
func TestNobodySpoofsAnAddress(t *testing.T) {
	strangers := func(s *edge.Site) { s.TrustedProxies = []string{"10.0.0.0/8"} } // we come from 127.0.0.1: no proxy
	for name, c := range map[string]struct {
		change  []func(*edge.Site)
		network string
		header  []string
		in      bool
	}{
		"no proxies: the peer":                {nil, "127.0.0.0/8", nil, true},
		"no proxies: a header says approved":  {nil, "10.5.0.0/16", []string{"X-Forwarded-For", "10.5.0.1"}, false},
		"no proxies: a header says stranger":  {nil, "127.0.0.0/8", []string{"X-Forwarded-For", "203.0.113.9"}, true},
		"an untrusted peer says approved":     {[]func(*edge.Site){strangers}, "10.5.0.0/16", []string{"X-Forwarded-For", "10.5.0.1"}, false},
		"an untrusted peer says many":         {[]func(*edge.Site){strangers}, "10.5.0.0/16", []string{"X-Forwarded-For", "10.5.0.1, 10.0.0.1"}, false},
		"X-Real-IP":                           {nil, "10.5.0.0/16", []string{"X-Real-IP", "10.5.0.1"}, false},
		"Forwarded":                           {nil, "10.5.0.0/16", []string{"Forwarded", "for=10.5.0.1"}, false},
		"True-Client-IP":                      {nil, "10.5.0.0/16", []string{"True-Client-IP", "10.5.0.1"}, false},
		"CF-Connecting-IP":                    {nil, "10.5.0.0/16", []string{"CF-Connecting-IP", "10.5.0.1"}, false},
		"trusted: X-Real-IP":                  {[]func(*edge.Site){trusted}, "10.5.0.0/16", []string{"X-Real-IP", "10.5.0.1"}, false},
		"trusted: Forwarded":                  {[]func(*edge.Site){trusted}, "10.5.0.0/16", []string{"Forwarded", "for=10.5.0.1", "X-Forwarded-For", "203.0.113.9"}, false},
		"trusted: approved":                   {[]func(*edge.Site){trusted}, "10.5.0.0/16", []string{"X-Forwarded-For", "10.5.0.1"}, true},
		"trusted: stranger":                   {[]func(*edge.Site){trusted}, "10.5.0.0/16", []string{"X-Forwarded-For", "203.0.113.9"}, false},
		"trusted: the stranger adds approved": {[]func(*edge.Site){trusted}, "10.5.0.0/16", []string{"X-Forwarded-For", "10.5.0.1, 203.0.113.9"}, false},
		"trusted: garbage":                    {[]func(*edge.Site){trusted}, "0.0.0.0/0", []string{"X-Forwarded-For", "10.5.0.1, x"}, false},
		"trusted: no header":                  {[]func(*edge.Site){trusted}, "0.0.0.0/0", nil, false},
		"trusted: the proxy itself":           {[]func(*edge.Site){trusted}, "127.0.0.0/8", []string{"X-Forwarded-For", "127.0.0.1"}, false},
	} {
		h := newHome(t, c.change...)
		h.Exec(t, `DELETE FROM address_range`)
		h.Exec(t, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES (1, $1::cidr, 'x', 0, now())`, c.network)
		resp, _ := h.post("/login", url.Values{"login": {"kari"}, "password": {password}}, c.header...)
		if in := resp.StatusCode == http.StatusSeeOther; in != c.in {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

func trusted(s *edge.Site) { s.TrustedProxies = []string{"127.0.0.0/8", "::1/128"} }

// Somebody with a password only gets to the pages that set a second factor up, and nowhere else.
func TestAHalfOpenSessionOpensNothingElse(t *testing.T) {
	h := newHome(t, withHouse(func(*account.House) {}))
	if _, _, err := account.CreateFirst(t.Context(), h.DB, account.New{Municipality: 1, Login: "adm", Name: "A", Password: password, Roles: []access.Role{access.Administrator}}); err != nil {
		t.Fatal(err)
	}
	if status, to := h.login("adm", ""); status != http.StatusSeeOther || to != "/konto/faktor" {
		t.Fatalf("%d %s", status, to)
	}
	for _, path := range []string{"/", "/ting/x", "/konto", "/konto/reservekoder", "/konto/bekreft"} {
		if resp, _ := h.get(path); path != "/" && (resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), "/login")) {
			t.Errorf("GET %s: %d %s", path, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	for _, path := range []string{"/ting", "/innstillinger", "/konto/passord", "/konto/okter", "/konto/reservekoder", "/konto/bekreft", "/konto/faktor/3f0b4d1e-0000-4000-8000-000000000000/fjern", "/konto/tilknytning/x"} {
		if resp, _ := h.post(path, nil); resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(resp.Header.Get("Location"), "/login") {
			t.Errorf("POST %s: %d", path, resp.StatusCode)
		}
	}
	if resp, _ := h.get("/login"); resp.Header.Get("Location") != "/konto/faktor" {
		t.Errorf("the sign-in leads to %s", resp.Header.Get("Location"))
	}
	resp, page := h.get("/konto/faktor/kode")
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, "data:image/png;base64,") {
		t.Fatalf("%d", resp.StatusCode)
	}
	secret := strings.ReplaceAll(regexp.MustCompile(`<dd class="code">([A-Z2-7 ]+)</dd>`).FindStringSubmatch(page)[1], " ", "")
	code := func() string {
		c, err := totp.GenerateCode(secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	form := url.Values{"ceremony": {regexp.MustCompile(`name="ceremony" value="([^"]+)"`).FindStringSubmatch(page)[1]}, "code": {"000000"}, "next": {"/ting/x"}}
	resp, page = h.post("/konto/faktor/kode", form)
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, "Koden stemmer ikke") || !strings.Contains(page, "data:image/png;base64,") {
		t.Errorf("a wrong code: %d", resp.StatusCode)
	}
	form.Set("ceremony", regexp.MustCompile(`name="ceremony" value="([^"]+)"`).FindStringSubmatch(page)[1])
	form.Set("code", code())
	if resp, _ = h.post("/konto/faktor/kode", form); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/konto/reservekoder?next=%2Fting%2Fx" {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	if _, page = h.get("/konto/reservekoder"); len(regexp.MustCompile(`[a-z2-7]{4}(-[a-z2-7]{4}){3}`).FindAllString(page, -1)) != 10 {
		t.Errorf("the recovery codes are not there: %s", page)
	}
	if _, page = h.get("/konto/reservekoder"); regexp.MustCompile(`[a-z2-7]{4}(-[a-z2-7]{4}){3}`).MatchString(page) {
		t.Error("the recovery codes are shown twice")
	}
	if resp, _ := h.get("/ting/x"); resp.StatusCode != http.StatusOK {
		t.Errorf("whole, and %d", resp.StatusCode)
	}
	if strings.Contains(h.log.String(), secret) {
		t.Error("the secret is in the log")
	}
	h.post("/logout", nil)
	if status, to := h.login("adm", ""); status != http.StatusSeeOther || to != "/login/faktor" {
		t.Errorf("the next time: %d %s", status, to)
	}
	if resp, page = h.post("/login/faktor", url.Values{"code": {code()}}); resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, "eller er brukt") {
		t.Errorf("a replayed code: %d", resp.StatusCode)
	}
	if resp, _ = h.post("/login/faktor", url.Values{"code": {"123456", "654321"}}); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("two codes: %d", resp.StatusCode)
	}
}

// A form that needs a fresh proof is kept on the page that asks for it, and posted with the proof.
func TestAFormWaitsForTheProof(t *testing.T) {
	edge.Several["name"] = true
	h := newHome(t, withHouse(func(*account.House) {}))
	h.signIn()
	h.SetNow(h.Now().Add(6 * time.Minute))
	if resp, _ := h.get("/frisk/x"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a page: %d", resp.StatusCode)
	}
	form := url.Values{"name": {"Kari & Co", "to"}, "æ": {`"<b>"`}}
	resp, page := h.post("/frisk?x=1", form)
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "Bekreft at det er deg") || !strings.Contains(page, `value="Kari &amp; Co"`) || !strings.Contains(page, `name="again-action" value="/frisk?x=1"`) {
		t.Fatalf("%d %s", resp.StatusCode, page)
	}
	if resp, _ := h.post("/frisk", form, "HX-Request", "true", "HX-Current-URL", h.server.URL+"/ting/x?q=secret"); resp.StatusCode != http.StatusForbidden || resp.Header.Get("HX-Redirect") != "/konto/bekreft?next=%2Fting%2Fx" {
		t.Errorf("htmx: %d %s", resp.StatusCode, resp.Header.Get("HX-Redirect"))
	}
	if resp, page := h.post("/api/v1/frisk", nil, "Authorization", h.key()); resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "urn:frist:problem:step_up") {
		t.Errorf("a program: %d %s", resp.StatusCode, page)
	}
	proof := url.Values{"again-action": {"/frisk?x=1"}, "again:name": form["name"], "again:æ": form["æ"], "next": {"/"}, "password": {"wrong"}}
	resp, page = h.post("/konto/bekreft", proof)
	if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, "Passordet stemmer ikke") || !strings.Contains(page, `value="Kari &amp; Co"`) {
		t.Errorf("a wrong password: %d %s", resp.StatusCode, page)
	}
	if got := h.fresh.Load(); got != nil {
		t.Errorf("done without the proof: %v", got)
	}
	old := h.cookie("frist")
	proof.Set("password", password)
	resp, _ = h.post("/konto/bekreft", proof)
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/ting/x" {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	got := h.fresh.Load()
	if got == nil || got.Encode() != form.Encode() {
		t.Errorf("what was posted: %v", got)
	}
	if now := h.cookie("frist"); now == old || now == "" {
		t.Error("the token is the old one")
	}
	if resp, _ := h.get("/frisk/x"); resp.StatusCode != http.StatusOK {
		t.Errorf("fresh, and %d", resp.StatusCode)
	}
	// The form leads nowhere but to this site, and to nothing that is not a form.
	for _, action := range []string{"https://evil.example/", "//evil.example", "/nowhere", "\\evil"} {
		resp, _ := h.post("/konto/bekreft", url.Values{"again-action": {action}, "password": {password}})
		if to := resp.Header.Get("Location"); strings.Contains(to, "evil") || resp.StatusCode >= 500 {
			t.Errorf("%s: %d %s", action, resp.StatusCode, to)
		}
	}
	for _, next := range []string{"https://evil.example/", "//evil.example"} {
		if resp, _ := h.post("/konto/bekreft", url.Values{"next": {next}, "password": {password}}); resp.Header.Get("Location") != "/" {
			t.Errorf("next %s leads to %s", next, resp.Header.Get("Location"))
		}
	}
}

func (h *home) cookie(name string) string {
	u, _ := url.Parse(h.server.URL)
	for _, c := range h.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func TestMyAccount(t *testing.T) {
	h := newHome(t, withHouse(func(*account.House) {}))
	h.signIn()
	first := h.client.Jar
	jar, _ := cookiejar.New(nil)
	h.client.Jar = jar
	resp, _ := h.post("/login", url.Values{"login": {"kari"}, "password": {password}}, "User-Agent", "Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/150.0")
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatal(resp.StatusCode)
	}
	_, page := h.get("/konto")
	for _, want := range []string{"Firefox, Windows", "Denne nettleseren", "Logg ut det andre stedet", "Forrige gang du var her", "Forrige innlogging"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	other := regexp.MustCompile(`/konto/okter/([0-9a-f-]{36})`).FindStringSubmatch(page)[1]
	for path, status := range map[string]int{"/konto/okter/x": 404, "/konto/okter/3f0b4d1e-0000-4000-8000-000000000000": 404} {
		if resp, _ := h.post(path, nil); resp.StatusCode != status {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	// Eva cannot end kari's.
	evas, _ := cookiejar.New(nil)
	h.client.Jar = evas
	h.post("/login", url.Values{"login": {"eva"}, "password": {password}})
	if resp, _ := h.post("/konto/okter/"+other, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("somebody else's session: %d", resp.StatusCode)
	}
	h.client.Jar = jar
	if resp, _ := h.post("/konto/okter/"+other, nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", resp.StatusCode)
	}
	h.client.Jar = first
	if resp, _ := h.get("/ting/x"); resp.StatusCode != http.StatusSeeOther {
		t.Error("an ended session is alive")
	}
	h.signIn()
	h.client.Jar = jar
	change := url.Values{"old_password": {password}, "password": {"kari kari kari kari"}, "password_again": {"kari kari kari kari"}}
	for says, values := range map[string][2]string{
		"laget av navnet ditt": {"Kari Nordmann Ås 1", "Kari Nordmann Ås 1"},
		"minst 15 tegn":        {"kort", "kort"},
		"prøves først":         {"password1234567", "password1234567"},
		"er ikke like":         {"blå sykkel over fjorden", "blå sykkel over fjordem"},
		"gjentar seg":          {"heiheiheiheiheihei", "heiheiheiheiheihei"},
		"alfabetet eller":      {"abcdefghijklmnopqr", "abcdefghijklmnopqr"},
	} {
		change["password"], change["password_again"] = values[:1], values[1:]
		if resp, page := h.post("/konto/passord", change); resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, says) || strings.Contains(page, values[0]) {
			t.Errorf("%s: %d", says, resp.StatusCode)
		}
	}
	change.Set("password", "blå sykkel over fjorden")
	change.Set("password_again", "blå sykkel over fjorden")
	change.Set("old_password", "wrong")
	if resp, page := h.post("/konto/passord", change); resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, "Passordet stemmer ikke") {
		t.Errorf("a wrong old password: %d", resp.StatusCode)
	}
	change.Set("old_password", password)
	if resp, _ := h.post("/konto/passord", change); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp, _ := h.get("/ting/x"); resp.StatusCode != http.StatusOK {
		t.Error("the one who changed it was signed out")
	}
	h.client.Jar = first
	if resp, _ := h.get("/ting/x"); resp.StatusCode != http.StatusSeeOther {
		t.Error("another session outlived the change")
	}
	// Cookies that are none are answered like no cookie.
	u, _ := url.Parse(h.server.URL)
	var none string
	for i, value := range []string{"", "x", strings.Repeat("A", 3000), "../../etc", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "%00"} {
		jar, _ := cookiejar.New(nil)
		if value != "" {
			jar.SetCookies(u, []*http.Cookie{{Name: "frist", Value: value}})
		}
		h.client.Jar = jar
		resp, body := h.get("/ting/x")
		if got := fmt.Sprint(resp.StatusCode, resp.Header.Get("Location"), body, resp.Header.Get("Set-Cookie")); i == 0 {
			none = got
		} else if got != none {
			t.Errorf("%.20q is answered %s", value, got)
		}
	}
}

func TestAForgottenPassword(t *testing.T) {
	server := mailtest.Start(t)
	post, err := mail.Open(server.URL, "frist@example.no", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { post.Close(context.Background()) })
	h := newHome(t, withHouse(func(house *account.House) {
		house.URL, house.Mail = "https://frist.example.no", edge.Letters{Post: post}
	}))
	h.Exec(t, `UPDATE account SET email = login || '@example.no'`)
	h.signIn()
	old := h.client.Jar
	jar, _ := cookiejar.New(nil)
	h.client.Jar = jar
	var answers []string
	for _, login := range []string{"kari", "nobody", "", strings.Repeat("x", 5000)} {
		resp, body := h.post("/glemt-passord", url.Values{"login": {login}})
		answers = append(answers, fmt.Sprint(resp.StatusCode, resp.Header.Get("Location"), body))
	}
	for _, a := range answers {
		if a != answers[0] || !strings.Contains(a, "/glemt-passord?sendt=1") {
			t.Errorf("%q differs from %q", a, answers[0])
		}
	}
	got := server.Wait(t, 1)
	if len(got) != 1 || got[0].To != "kari@example.no" || strings.Contains(got[0].Data, "Nordmann") || strings.Contains(got[0].Data, "3218") {
		t.Fatalf("%+v", got)
	}
	link := regexp.MustCompile(`/konto/lenke/[A-Za-z0-9_=\r\n-]{43,}`).FindString(strings.ReplaceAll(strings.ReplaceAll(got[0].Data, "=\r\n", ""), "=3D", "="))
	link = strings.TrimSpace(strings.Split(link, "\r\n")[0])
	if resp, _ := h.get(link); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d", link, resp.StatusCode)
	}
	if h.Count(t, `SELECT count(*) FROM account_link WHERE encode(token_hash, 'escape') LIKE '%' || $1 || '%'`, link[len("/konto/lenke/"):]) != 0 {
		t.Error("the link itself is stored")
	}
	if resp, _ := h.post(link, url.Values{"password": {"kort"}, "password_again": {"kort"}}); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a bad password: %d", resp.StatusCode)
	}
	const fresh = "blå sykkel over fjorden"
	if resp, _ := h.post(link, url.Values{"password": {fresh, fresh}, "password_again": {fresh}}); resp.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("two passwords: %d", resp.StatusCode)
	}
	if resp, _ := h.post(link, url.Values{"password": {fresh}, "password_again": {fresh}}); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/login" {
		t.Errorf("%d", resp.StatusCode)
	}
	if resp, _ := h.get(link); resp.StatusCode != http.StatusConflict {
		t.Errorf("used, and %d", resp.StatusCode)
	}
	if resp, _ := h.post(link, url.Values{"password": {fresh}, "password_again": {fresh}}); resp.StatusCode != http.StatusConflict {
		t.Errorf("used twice: %d", resp.StatusCode)
	}
	h.client.Jar = old
	if resp, _ := h.get("/ting/x"); resp.StatusCode != http.StatusSeeOther {
		t.Error("a session outlived the reset")
	}
	if resp, _ := h.post("/login", url.Values{"login": {"kari"}, "password": {fresh}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("the new password: %d", resp.StatusCode)
	}
	// Twenty minutes, to the second.
	handed, err := account.NewLink(t.Context(), h.DB, access.Caller{Account: 99, Municipality: 1, Roles: []access.Role{access.Administrator}, FreshUntil: h.Now().Add(time.Minute)}, h.kari, false)
	if err != nil {
		t.Fatal(err)
	}
	h.SetNow(h.Now().Add(time.Hour))
	if resp, _ := h.get(handed.Path()); resp.StatusCode != http.StatusConflict {
		t.Errorf("an old link: %d", resp.StatusCode)
	}
	if strings.Contains(h.log.String(), handed.Token) || strings.Contains(h.log.String(), link) {
		t.Error("a link is in the log")
	}
	// Without mail the page says whom to ask.
	h = newHome(t)
	if _, page := h.get("/glemt-passord"); !strings.Contains(page, "sender ikke e-post") {
		t.Error(page)
	}
}

// --- a real provider ---

const pid, strange = "13897012345", "24897054321"

// provided is a home with a certified provider, at which kari is known.
func provided(t *testing.T) (*home, *account.House) {
	t.Helper()
	house := &account.House{Key: []byte("0123456789abcdef0123456789abcdef"), URL: "http://127.0.0.1"}
	h := newHome(t, func(s *edge.Site) { s.House = house })
	house.URL = h.server.URL
	running, err := demoprovider.Start(t.Context(), "../../web/oidc", filepath.Join(t.TempDir(), "key.pem"), h.server.URL+"/login/retur", "ID-porten (test)",
		[]demoprovider.Person{{PID: pid, Name: "Kari"}, {PID: strange, Name: "En annen"}}, nil)
	if err != nil {
		t.Fatalf("%v: run deploy/deps.sh provider", err)
	}
	t.Cleanup(func() { _ = running.Stop() })
	house.Providers = []*oidc.Provider{running.Provider}
	return h, house
}

// walk goes from the provider's address to our callback, as a browser would, and gives its address without going there.
func (h *home) walk(address, person, level string) string {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	ours, _ := url.Parse(h.server.URL)
	var back string
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == ours.Host {
			back = r.URL.RequestURI()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := browser.Get(address)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(body), "Demo av ID-porten") {
		h.t.Fatalf("the provider says %d %s", resp.StatusCode, body)
	}
	form := url.Values{"pid": {person}, "acr": {level}}
	if person == "" {
		form = url.Values{"cancel": {"1"}}
	}
	resp, err = browser.PostForm(resp.Request.URL.String(), form)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if back == "" {
		body, _ := io.ReadAll(resp.Body)
		h.t.Fatalf("the provider does not send back: %d %s", resp.StatusCode, body)
	}
	return back
}

var refresh = regexp.MustCompile(`^0; url=(http://127\.0\.0\.1:.*)$`)

func TestSigningInAtAProvider(t *testing.T) {
	h, house := provided(t)
	provider := house.Providers[0]
	begin := func(query string) string {
		t.Helper()
		resp, _ := h.get("/login/med/demo" + query)
		to := resp.Header.Get("Location")
		if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, provider.Issuer) {
			t.Fatalf("%d %s", resp.StatusCode, to)
		}
		if u, _ := url.Parse(to); len(u.Query()) != 2 || u.Query().Get("request_uri") == "" {
			t.Errorf("more than the pushed request is in the address: %s", to)
		}
		return to
	}
	if _, page := h.get("/login"); !strings.Contains(page, "Logg inn med ID-porten (test)") {
		t.Error("no button")
	}
	// Nobody is linked yet.
	resp, page := h.get(h.walk(begin(""), pid, oidc.High))
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "Ingen konto i Frist er knyttet") {
		t.Fatalf("not linked: %d %s", resp.StatusCode, page)
	}
	// Linked on the page of a person who has signed in.
	h.signIn()
	resp, _ = h.post("/konto/tilknytning/demo", nil)
	way := refresh.FindStringSubmatch(resp.Header.Get("Refresh"))
	if resp.StatusCode != http.StatusOK || way == nil {
		t.Fatalf("%d %q", resp.StatusCode, resp.Header.Get("Refresh"))
	}
	back := h.walk(way[1], pid, oidc.Substantial)
	if resp, _ = h.get(back); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/konto" {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	if resp, _ = h.get(back); resp.StatusCode != http.StatusForbidden {
		t.Errorf("an answer that comes twice: %d", resp.StatusCode)
	}
	h.post("/logout", nil)
	for _, level := range []string{oidc.Substantial, oidc.High} {
		resp, _ := h.get(h.walk(begin("?next=/ting/x"), pid, level))
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/ting/x" {
			t.Errorf("%s: %d %s", level, resp.StatusCode, resp.Header.Get("Location"))
		}
		if resp, _ := h.get("/frisk/x"); resp.StatusCode != http.StatusOK {
			t.Errorf("%s is not fresh: %d", level, resp.StatusCode)
		}
		h.post("/logout", nil)
	}
	if n := h.Count(t, `SELECT count(*) FROM account_provider WHERE subject_hash = $1::bytea OR encode(subject_hash, 'escape') LIKE '%'||$2||'%'`, []byte(pid), pid); n != 0 {
		t.Error("the national id is stored")
	}
	if n := h.Count(t, `SELECT count(*) FROM ceremony WHERE encode(sealed, 'escape') LIKE '%nonce%' OR encode(sealed, 'escape') LIKE '%Nonce%'`); n != 0 {
		t.Error("a ceremony lies open")
	}
	if strings.Contains(h.log.String(), pid) {
		t.Error("the national id is in the log")
	}

	// The answer belongs to the browser that asked, once.
	asked := h.walk(begin(""), pid, oidc.High)
	mine := h.client.Jar
	other, _ := cookiejar.New(nil)
	h.client.Jar = other
	if resp, page := h.get(asked); resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "Begynn på nytt") {
		t.Errorf("another browser: %d", resp.StatusCode)
	}
	begun := begin("")
	if resp, _ := h.get(asked); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another browser that has begun too: %d", resp.StatusCode)
	}
	u, _ := url.Parse(h.walk(begun, pid, oidc.High))
	q := u.Query()
	q.Set("code", "invented")
	if resp, page := h.get(u.Path + "?" + q.Encode()); resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "Begynn på nytt") {
		t.Errorf("an invented code: %d", resp.StatusCode)
	}
	h.client.Jar = mine
	for name, change := range map[string]func(q url.Values){
		"no state":      func(q url.Values) { q.Del("state") },
		"two states":    func(q url.Values) { q.Add("state", "x") },
		"two codes":     func(q url.Values) { q.Add("code", "x") },
		"no code":       func(q url.Values) { q.Del("code") },
		"another issue": func(q url.Values) { q.Set("iss", "https://evil.example") },
	} {
		u, _ := url.Parse(h.walk(begin(""), pid, oidc.High))
		q := u.Query()
		change(q)
		if resp, _ := h.get(u.Path + "?" + q.Encode()); resp.StatusCode != http.StatusForbidden && !(strings.HasPrefix(name, "two ") && resp.StatusCode == http.StatusUnprocessableEntity) {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	// The code of one errand does not fit another: its verifier and nonce are not the other's.
	a, _ := url.Parse(h.walk(begin(""), pid, oidc.High))
	b, _ := url.Parse(h.walk(begin(""), pid, oidc.High))
	q = b.Query()
	q.Set("code", a.Query().Get("code"))
	if resp, _ := h.get(b.Path + "?" + q.Encode()); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another errand's code: %d", resp.StatusCode)
	}
	if resp, page := h.get(h.walk(begin(""), "", "")); resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "avbrutt") {
		t.Errorf("cancelled: %d", resp.StatusCode)
	}
	// The way takes ten minutes at most; another site's link begins none.
	late := h.walk(begin(""), pid, oidc.High)
	h.SetNow(h.Now().Add(11 * time.Minute))
	if resp, _ := h.get(late); resp.StatusCode != http.StatusForbidden {
		t.Errorf("late: %d", resp.StatusCode)
	}
	if resp, _ := h.get("/login/med/demo", "Sec-Fetch-Site", "cross-site"); resp.Header.Get("Location") != "/login" {
		t.Errorf("from another site: %s", resp.Header.Get("Location"))
	}
	if resp, _ := h.get("/login/med/nobody"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("no such provider: %d", resp.StatusCode)
	}

	// The highest level, where it is demanded.
	h.Exec(t, `INSERT INTO municipality_policy (municipality_id, cooling_off_seconds, spot_check_size, chunk_size, max_share_percent, highest_level) VALUES (1, 0, 3, 4, 100, true)`)
	resp, page = h.get(h.walk(begin(""), pid, oidc.Substantial))
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "høyeste nivå") || !strings.Contains(page, "/login/med/demo?niva=hoy") {
		t.Errorf("substantial: %d %s", resp.StatusCode, page)
	}
	if resp, _ = h.get(h.walk(begin("?niva=hoy"), pid, oidc.High)); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("high: %d", resp.StatusCode)
	}
	h.post("/logout", nil)
	if resp, _ = h.get(h.walk(begin("?niva=hoy"), pid, oidc.Substantial)); resp.StatusCode != http.StatusForbidden {
		t.Errorf("asked for high, and got substantial: %d", resp.StatusCode)
	}
	if n := h.Count(t, `SELECT count(*) FROM audit WHERE act = 'sign_in_failed' AND refused AND detail->>'why' IN ('level', 'not_linked', 'provider')`); n < 4 {
		t.Errorf("%d refusals recorded", n)
	}
	// Away, and said so.
	h.Exec(t, `UPDATE account SET disabled_at = now() WHERE login = 'kari'`)
	if resp, page = h.get(h.walk(begin(""), pid, oidc.High)); resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "Ingen konto i Frist er knyttet") {
		t.Errorf("disabled: %d", resp.StatusCode)
	}
}

func TestConfirmingAndTakingUpAtAProvider(t *testing.T) {
	h, house := provided(t)
	// An invitation is taken up without a password ever being chosen.
	h.Exec(t, `UPDATE account SET password_hash = NULL WHERE login = 'kari'`)
	h.Exec(t, `INSERT INTO account_link (token_hash, account_id, purpose, made_by, created_at, expires_at) SELECT sha256('invitation'), id, 'invite', 9, $1::timestamptz, $1::timestamptz + interval '1 day' FROM account WHERE login = 'kari'`, h.Now())
	resp, page := h.get("/konto/lenke/invitation")
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, "Ta i bruk med ID-porten (test)") {
		t.Fatalf("%d %s", resp.StatusCode, page)
	}
	resp, _ = h.post("/konto/lenke/invitation", url.Values{"provider": {"demo"}})
	way := refresh.FindStringSubmatch(resp.Header.Get("Refresh"))
	if way == nil {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Refresh"))
	}
	if resp, _ = h.get(h.walk(way[1], pid, oidc.High)); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d", resp.StatusCode)
	}
	if resp, _ := h.get("/ting/x"); resp.StatusCode != http.StatusOK {
		t.Errorf("taken up, and %d", resp.StatusCode)
	}
	if resp, _ := h.get("/konto/lenke/invitation"); resp.StatusCode != http.StatusConflict {
		t.Errorf("an invitation works twice: %d", resp.StatusCode)
	}
	if err := house.LinkFirst(t.Context(), h.DB, house.Providers[0], strange, "eva"); err != nil {
		t.Fatal(err)
	}
	// Confirming there keeps the form, sealed, and asks anew.
	h.SetNow(h.Now().Add(6 * time.Minute))
	if resp, page = h.post("/frisk", url.Values{"name": {"Kari & Co"}}); resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "Bekreft hos ID-porten (test)") || strings.Contains(page, `type="password"`) {
		t.Fatalf("%d %s", resp.StatusCode, page)
	}
	confirm := func(person string) (*http.Response, string) {
		t.Helper()
		resp, _ := h.post("/konto/bekreft", url.Values{"again-action": {"/frisk"}, "again:name": {"Kari & Co"}, "provider": {"demo"}})
		way := refresh.FindStringSubmatch(resp.Header.Get("Refresh"))
		if way == nil {
			t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Refresh"))
		}
		return h.get(h.walk(way[1], person, oidc.High))
	}
	if resp, page = confirm(strange); resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "en annen person") {
		t.Errorf("somebody else: %d %s", resp.StatusCode, page)
	}
	if resp, _ := h.get("/frisk/x"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("fresh after somebody else's proof: %d", resp.StatusCode)
	}
	old := h.cookie("frist")
	if resp, page = confirm(pid); resp.StatusCode != http.StatusOK || !strings.Contains(page, `value="Kari &amp; Co"`) || !strings.Contains(page, "Send det nå") {
		t.Errorf("%d %s", resp.StatusCode, page)
	}
	if h.cookie("frist") == old {
		t.Error("the token is the old one")
	}
	if resp, _ = h.post("/frisk", url.Values{"name": {"Kari & Co"}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("fresh, and %d", resp.StatusCode)
	}
	if resp, page = h.post("/konto/tilknytning/demo/fjern", nil); resp.StatusCode != http.StatusConflict || !strings.Contains(page, "kommer du ikke inn") {
		t.Errorf("the only way in was taken away: %d", resp.StatusCode)
	}
}

func TestAProviderThatIsAwayKeepsNobodyElseOut(t *testing.T) {
	h, house := provided(t)
	house.Providers[0].Issuer = "http://127.0.0.1:1"
	if resp, _ := h.get("/login/med/demo"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d", resp.StatusCode)
	}
	h.signIn()
}
