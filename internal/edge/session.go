package edge

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5/middleware"
)

// cookieName binds the session to this host where TLS makes that possible.
func (s *Site) cookieName() string {
	if s.TLS {
		return "__Host-frist"
	}
	return "frist"
}

func (s *Site) setSession(w http.ResponseWriter, token string) {
	s.setCookie(w, s.cookieName(), token, 0)
}

// setCookie sets one that no script reads and no other site's form carries; an empty value takes it away. seconds is how
// long it lives; 0: as long as the browser is open.
func (s *Site) setCookie(w http.ResponseWriter, name, value string, seconds int) {
	//nolint:gosec // Secure wherever TLS is; the demo on localhost has none
	c := &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: s.TLS, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func (s *Site) token(r *http.Request) string { return cookie(r, s.cookieName()) }

// cookie is the value of the one cookie of that name. Two of them are none: somebody has planted the other.
func cookie(r *http.Request, name string) string {
	if all := r.CookiesNamed(name); len(all) == 1 {
		return all[0].Value
	}
	return ""
}

// visit is how the person of r comes to the door.
func visit(r *http.Request) account.Visit {
	return account.Visit{Address: middleware.GetClientIP(r.Context()), Device: account.Device(r.UserAgent())}
}

// resolve finds out who asks: the holder of the session on pages, of the key under /api/. Neither opens the other's door.
func (s *Site) resolve(r *http.Request) error {
	st := stateOf(r)
	if st.caller.Account != 0 || st.nobody {
		return nil
	}
	st.nobody = true
	var err error
	if isAPI(r) {
		if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && len(r.Header["Authorization"]) == 1 {
			st.caller, err = account.ResolveKey(r.Context(), s.DB, key, middleware.GetClientIPAddr(r.Context()))
			if visit := r.Header.Get(VisitHeader); err == nil && visit != "" {
				st.caller, err = account.InVisit(r.Context(), s.DB, st.caller, visit)
			}
		}
	} else if token := s.token(r); token != "" {
		st.caller, st.profile, err = account.Resolve(r.Context(), s.DB, token)
	}
	if errors.As(err, new(problem.Unauthenticated)) {
		why := "session"
		if isAPI(r) {
			why = "key"
		}
		s.Metrics.signInFailed(why)
		return nil
	}
	if err == nil && isAPI(r) && st.caller.Account != 0 {
		return s.often(r.Context(), programs, r.Header.Get("Authorization"))
	}
	return err
}

// who finds out who asks, and lets nobody pass too.
func (s *Site) who(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.resolve(r); err != nil {
			Fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Signed lets only people pass who are signed in. On pages others are sent to the sign-in page, with the way back; under
// /api/ they get 401.
func (s *Site) Signed(next http.Handler) http.Handler {
	return s.who(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stateOf(r).caller.Account == 0 {
			Fail(w, r, problem.Unauthenticated{})
			return
		}
		if s.visit(w, r) {
			next.ServeHTTP(w, r)
		}
	}))
}

// toLogin sends a page's reader to the sign-in. The way back holds the path only: a query may say what somebody looked for.
func toLogin(w http.ResponseWriter, r *http.Request) {
	to := "/login"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		to += "?" + url.Values{"next": {r.URL.Path}}.Encode()
	}
	if r.Header.Get("HX-Request") != "" { // a fragment cannot hold the sign-in page
		w.Header().Set("HX-Redirect", "/login")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// local is the address when it is one of ours, else the front page: nobody is sent elsewhere from here.
func local(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") || strings.ContainsAny(address, "\\\r\n\t") {
		return "/"
	}
	return address
}

// Persona is somebody in the demo whom one click signs in.
type Persona struct {
	Login        string
	Name         string
	Role         access.Role
	Number       string // of the municipality; empty for processor and supplier
	Municipality string // its name
}

// LoginPage is the sign-in form.
type LoginPage struct {
	Page
	Login string
	Next  string
	Rows  []PersonaRow // who works in a municipality, one row for each role
	Heads []Persona    // the municipalities of the columns
	Blind []Persona    // who works for all of them

	Providers []ProviderLink
	High      string // the provider at which to come again with the highest level; empty: that is not what was wrong
}

// PersonaRow is one role and who has it where; the second of the same role in a municipality gets a row of its own.
type PersonaRow struct {
	Role  access.Role
	Nth   int
	Cells []Persona // one for each of LoginPage.Heads; Login is empty where nobody is
}

func (s *Site) newLoginPage(r *http.Request) LoginPage {
	p := LoginPage{Page: NewPage(r), Next: local(r.FormValue("next")), Providers: s.providers()}
	if !s.Demo {
		return p
	}
	for _, persona := range s.Personas {
		if persona.Number == "" {
			p.Blind = append(p.Blind, persona)
			continue
		}
		column := slices.IndexFunc(p.Heads, func(h Persona) bool { return h.Number == persona.Number })
		if column < 0 {
			column = len(p.Heads)
			p.Heads = append(p.Heads, persona)
		}
		nth := 1
		for ; ; nth++ {
			row := slices.IndexFunc(p.Rows, func(row PersonaRow) bool { return row.Role == persona.Role && row.Nth == nth })
			if row < 0 {
				row = len(p.Rows)
				if nth > 1 { // beside its like, not at the end
					row = 1 + slices.IndexFunc(p.Rows, func(row PersonaRow) bool { return row.Role == persona.Role && row.Nth == nth-1 })
				}
				p.Rows = slices.Insert(p.Rows, row, PersonaRow{Role: persona.Role, Nth: nth})
			}
			if cells := p.Rows[row].Cells; column < len(cells) && cells[column].Login != "" {
				continue
			}
			for len(p.Rows[row].Cells) <= column {
				p.Rows[row].Cells = append(p.Rows[row].Cells, Persona{})
			}
			p.Rows[row].Cells[column] = persona
			break
		}
	}
	for i := range p.Rows {
		for len(p.Rows[i].Cells) < len(p.Heads) {
			p.Rows[i].Cells = append(p.Rows[i].Cells, Persona{})
		}
	}
	return p
}

func (s *Site) loginForm(w http.ResponseWriter, r *http.Request) error {
	if token := s.token(r); token != "" { // half way in: go on where the way goes
		self, err := account.WhoseSession(r.Context(), s.DB, token)
		if err == nil && self.Pending != "" {
			http.Redirect(w, r, onward(self.Pending, r.FormValue("next")), http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
			return nil
		}
		if err != nil && !errors.As(err, new(problem.Unauthenticated)) {
			return err
		}
	}
	return Render(w, r, http.StatusOK, "login", s.newLoginPage(r))
}

func (s *Site) login(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	var opened account.Opened
	var err error
	persona := r.PostForm.Get("persona")
	if persona != "" {
		if !s.Demo || !slices.ContainsFunc(s.Personas, func(p Persona) bool { return p.Login == persona }) {
			return problem.NotFound{What: "persona"}
		}
		opened.Token, err = account.SignInPersona(r.Context(), s.DB, persona, visit(r))
	} else if err = once(r, "login", "password"); err == nil {
		opened, err = account.SignIn(r.Context(), s.DB, r.PostForm.Get("login"), r.PostForm.Get("password"), visit(r))
	}
	if errors.As(err, new(problem.Invalid)) || errors.As(err, new(problem.TooMany)) || errors.As(err, new(problem.Forbidden)) {
		return s.loginAgain(w, r, err)
	}
	if err != nil {
		return err
	}
	return s.enter(w, r, opened, r.PostForm.Get("next"), persona == "")
}

// loginAgain shows the sign-in page with what kept the person out.
func (s *Site) loginAgain(w http.ResponseWriter, r *http.Request, err error) error {
	page := s.newLoginPage(r)
	page.Login = r.PostForm.Get("login")
	status := page.Fail(err)
	answer := page.Text.Answer(err)
	if answer.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(answer.RetryAfter))
	}
	s.Metrics.signInFailed(answer.Code)
	var forbidden problem.Forbidden
	if errors.As(err, &forbidden) && forbidden.Code == "highest_level" && len(s.House.Providers) > 0 {
		page.High = s.House.Providers[0].Name
	}
	return Render(w, r, status, "login", page)
}

// enter gives the browser its new session in place of the old one, and goes on: to what is missing, or to next.
func (s *Site) enter(w http.ResponseWriter, r *http.Request, opened account.Opened, next string, tell bool) error {
	if old := s.token(r); old != "" { // one browser, one session
		if err := account.SignOut(r.Context(), s.DB, old); err != nil {
			return err
		}
	}
	s.setSession(w, opened.Token)
	if opened.Pending == "" && tell {
		s.tellLast(w, r, opened)
	}
	http.Redirect(w, r, onward(opened.Pending, next), http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
	return nil
}

// tellLast says on the next page when the account was last used, so that its owner notices what somebody else has done.
func (s *Site) tellLast(w http.ResponseWriter, r *http.Request, opened account.Opened) {
	if opened.Previous.IsZero() {
		return
	}
	text := stateOf(r).text(r)
	SetFlash(w, r, Flash{Key: "konto.last_time", Params: map[string]any{"when": text.DateTime(opened.Previous, defaultZone)}})
}

// once refuses a form in which a field that must not be there twice is.
func once(r *http.Request, names ...string) error {
	for _, name := range names {
		if len(r.PostForm[name]) > 1 {
			return problem.InvalidField("form", "unreadable", nil)
		}
	}
	return nil
}

func (s *Site) logout(w http.ResponseWriter, r *http.Request) error {
	if token := s.token(r); token != "" {
		if err := account.SignOut(r.Context(), s.DB, token); err != nil {
			return err
		}
	}
	s.setSession(w, "")
	w.Header().Set("Clear-Site-Data", `"cache", "cookies", "storage"`)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// settings keeps language or colours and goes back to where the person was.
func (s *Site) settings(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	caller := Caller(r)
	if lang := r.PostForm.Get("language"); lang != "" {
		if !slices.Contains(Languages(), lang) {
			return problem.InvalidField("language", "choice", nil)
		}
		if err := account.SetLanguage(r.Context(), s.DB, caller, lang); err != nil {
			return err
		}
	}
	if scheme := r.PostForm.Get("scheme"); scheme != "" {
		if err := account.SetScheme(r.Context(), s.DB, caller, scheme); err != nil {
			return err
		}
	}
	http.Redirect(w, r, local(r.PostForm.Get("next")), http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
	return nil
}

// formError is what is wrong with a form that cannot be read at all: too large, or not a form.
func formError(err error) error {
	if errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	return problem.InvalidField("form", "unreadable", nil)
}
