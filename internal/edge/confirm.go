package edge

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

// ConfirmPage asks the person to prove anew who they are, before an act that wants it (ASVS 7.5.3). It holds the form that
// waits, and posts it once the proof is there.
type ConfirmPage struct {
	Page
	Ways
	Again     *Again // the form that waits; nil: nothing was posted, or nothing that a page may hold
	Lost      bool   // something was posted that cannot be kept
	Next      string // where to go on, without a form
	Password  bool
	OneClick  bool // a session of the demo
	Providers []ProviderLink
}

// Ways are the second factors that somebody can show.
type Ways struct{ Passkey, Code, Recovery bool }

func ways(f account.Factors, h *account.House) Ways {
	return Ways{Passkey: f.Has(account.Passkey) && h.Passkeys(), Code: f.Has(account.Code), Recovery: len(f.List) > 0 && f.Codes > 0}
}

// ProviderLink is a provider of identities on a page.
type ProviderLink struct{ Name, Label string }

func (s *Site) providers() (links []ProviderLink) {
	for _, p := range s.House.Providers {
		links = append(links, ProviderLink{p.Name, p.Label})
	}
	return links
}

// toConfirm answers problem.StepUp on a page: it shows the page that asks for the proof, with what was posted.
func toConfirm(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("HX-Request") != "" { // a fragment cannot hold that page
		here, _ := url.Parse(r.Header.Get("HX-Current-URL"))
		next := "/"
		if here != nil {
			next = local(here.Path)
		}
		w.Header().Set("HX-Redirect", Query("/konto/bekreft", "next", next))
		w.WriteHeader(http.StatusForbidden)
		return
	}
	s, kept, next := stateOf(r).site, again(r), "/"
	if r.Method == http.MethodGet {
		next = local(r.URL.RequestURI())
	}
	err := s.confirmPage(w, r, http.StatusForbidden, kept, next, r.Method != http.MethodGet && kept == nil, nil)
	if err != nil {
		Fail(w, r, err)
	}
}

func (s *Site) confirmPage(w http.ResponseWriter, r *http.Request, status int, kept *Again, next string, lost bool, wrong error) error {
	self, err := account.WhoseSession(r.Context(), s.DB, s.token(r))
	if err != nil {
		return err
	}
	f, err := account.FindFactors(r.Context(), s.DB, self)
	if err != nil {
		return err
	}
	page := ConfirmPage{Page: NewPage(r), Ways: ways(f, s.House), Again: kept, Next: next, Lost: lost, Password: self.Password && !self.Demo, OneClick: self.Demo}
	if !self.Demo {
		names, err := account.Linked(r.Context(), s.DB, self)
		if err != nil {
			return err
		}
		for _, p := range s.providers() {
			if slices.Contains(names, p.Name) {
				page.Providers = append(page.Providers, p)
			}
		}
	}
	if !page.Password {
		page.Ways = Ways{}
	}
	page.Undone = "confirm.undone"
	if wrong != nil {
		status = page.Fail(wrong)
	}
	return Render(w, r, status, "confirm", page)
}

func (s *Site) confirmForm(w http.ResponseWriter, r *http.Request) error {
	return s.confirmPage(w, r, http.StatusOK, nil, local(r.FormValue("next")), false, nil)
}

const (
	againAction = "again-action"
	againField  = "again:" // before the names of the form that waits
)

// waiting takes the form that waits out of the confirmation's.
func waiting(form url.Values) *Again {
	if form.Get(againAction) == "" {
		return nil
	}
	a := &Again{Action: local(form.Get(againAction))}
	for name, values := range form {
		if name, ok := strings.CutPrefix(name, againField); ok {
			for _, value := range values {
				a.Fields = append(a.Fields, Kept{name, value})
			}
		}
	}
	slices.SortStableFunc(a.Fields, func(x, y Kept) int { return strings.Compare(x.Name, y.Name) })
	return a
}

func (s *Site) confirm(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	kept, next := waiting(r.PostForm), local(r.PostForm.Get("next"))
	if name := r.PostForm.Get("provider"); name != "" {
		return s.confirmAtProvider(w, r, name, kept, next)
	}
	err := once(r, "password", "code", "recovery_code", "answer", "ceremony")
	var opened account.Opened
	if err == nil {
		opened, err = s.House.Confirm(r.Context(), s.DB, s.token(r), proof(r), visit(r))
	}
	if Fixable(err) || errors.As(err, new(problem.Forbidden)) || errors.As(err, new(problem.TooMany)) {
		return s.confirmPage(w, r, http.StatusOK, kept, next, false, err)
	}
	if err != nil {
		return err
	}
	s.setSession(w, opened.Token)
	if kept == nil && isFile(next) {
		return Render(w, r, http.StatusOK, "confirmed", ConfirmedPage{Page: NewPage(r), File: next})
	}
	if kept == nil {
		SetFlash(w, r, Flash{Key: "confirm.done"})
		http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
		return nil
	}
	s.postAgain(w, r, kept, opened.Token)
	return nil
}

func proof(r *http.Request) account.Proof {
	return account.Proof{
		Password: r.PostForm.Get("password"), Code: r.PostForm.Get("code"), Recovery: r.PostForm.Get("recovery_code"),
		Ceremony: r.PostForm.Get("ceremony"), Assertion: []byte(r.PostForm.Get("answer")),
	}
}

// postAgain does what was asked for before the proof: the form goes through the site once more, as the same browser would
// send it, and its answer is this one's.
func (s *Site) postAgain(w http.ResponseWriter, r *http.Request, kept *Again, token string) {
	form := url.Values{}
	for _, f := range kept.Fields {
		form.Add(f.Name, f.Value)
	}
	// A router of its own request: chi would take it for a part of the present one.
	ctx := context.WithValue(r.Context(), chi.RouteCtxKey, nil)
	inner, err := http.NewRequestWithContext(ctx, http.MethodPost, kept.Action, strings.NewReader(form.Encode())) //nolint:gosec // nothing is sent anywhere: our own router takes it
	if err != nil {
		Fail(w, r, problem.InvalidField("form", "unreadable", nil))
		return
	}
	inner.Header = r.Header.Clone()
	inner.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	inner.Header.Del("Content-Length")
	inner.Header.Del("Cookie")
	for _, c := range r.Cookies() {
		if c.Name != s.cookieName() {
			inner.AddCookie(c)
		}
	}
	inner.AddCookie(&http.Cookie{Name: s.cookieName(), Value: token}) //nolint:gosec // on its way to ourselves
	inner.RemoteAddr, inner.Host, inner.RequestURI, inner.TLS = r.RemoteAddr, r.Host, kept.Action, r.TLS
	s.root.ServeHTTP(w, inner)
}

func (s *Site) confirmAtProvider(w http.ResponseWriter, r *http.Request, name string, kept *Again, next string) error {
	self, err := account.WhoseSession(r.Context(), s.DB, s.token(r))
	if err != nil {
		return err
	}
	errand := account.Errand{Purpose: account.ToConfirm, Next: next}
	if kept != nil {
		if errand.Kept, err = json.Marshal(kept); err != nil {
			return err
		}
	}
	return s.send(w, r, name, errand, &self)
}

// ConfirmedPage holds the form that waited while the person was at a provider.
type ConfirmedPage struct {
	Page
	Again *Again
	File  string // or the file that is waiting
}

// isFile reports whether an address gives a file, which leaves the page before it in the window.
func isFile(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch path.Ext(u.Path) {
	case ".pdf", ".json", ".csv", ".xlsx":
		return true
	}
	return false
}
