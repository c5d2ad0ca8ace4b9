package edge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"image/png"
	"net/http"
	"slices"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/pquerna/otp"
)

func init() {
	factor := account.Factor{Kind: account.Passkey, Name: "PC"}
	kept := &Again{"/", []Kept{{"a", "b"}}}
	for name, sample := range map[string]any{
		"confirm":        ConfirmPage{Ways: Ways{true, true, true}, Again: kept, Next: "/", Password: true, Providers: []ProviderLink{{"idporten", "ID-porten"}}},
		"confirmed":      ConfirmedPage{Again: kept, File: "/a.pdf"},
		"onward":         OnwardPage{To: "https://idp.example", Label: "ID-porten"},
		"factor":         FactorPage{Ways: Ways{true, true, true}, Next: "/"},
		"factor-choose":  ChoosePage{Passkeys: true, Codes: true, Forced: true, Next: "/"},
		"factor-code":    CodePage{Code: account.NewCode{Secret: "ABCD EFGH", Ceremony: "x"}, Next: "/"},
		"factor-passkey": PasskeyPage{Next: "/"},
		"recovery-codes": RecoveryPage{Codes: []string{"abcd-efgh-2345-6777"}, Next: "/"},
		"forgotten":      ForgottenPage{Mail: true},
		"handed-link":    LinkPage{Link: account.HandedLink{Purpose: account.LinkInvite, Name: "Kari", Login: "kari"}, Providers: []ProviderLink{{"idporten", "ID-porten"}}},
		"konto": OwnPage{
			Self: account.Self{Login: "kari", Password: true}, Sessions: []account.Session{{Method: "password", Device: "Firefox, Windows", Current: true}, {Method: "oidc", Provider: "idporten"}},
			Factors: account.Factors{List: []account.Factor{factor, {Kind: account.Code}}, Codes: 3}, Passkeys: true, Linked: []ProviderLink{{"idporten", "ID-porten"}}, Linkable: []ProviderLink{{"b", "B"}},
		},
	} {
		Pages[name] = sample
	}
}

// ownRoutes are the pages about one's own account, and what stands before the door.
func (s *Site) ownRoutes(mux chi.Router) {
	mux.Group(func(r chi.Router) {
		r.Use(s.who)
		r.Get("/login/faktor", Handle(s.factorForm))
		r.Post("/login/faktor", Handle(s.factor))
		r.Get("/login/med/{provider}", Handle(s.toProvider))
		r.Get("/login/retur", Handle(s.fromProvider))
		r.Get("/glemt-passord", Handle(s.forgottenForm))
		r.Post("/glemt-passord", Handle(s.forgotten))
		r.Get("/konto/lenke/{link}", Handle(s.linkForm))
		r.Post("/konto/lenke/{link}", Handle(s.link))
		// For whoever holds a session, half open or whole: the functions behind decide.
		r.Get("/konto/faktor", Handle(s.chooseForm))
		r.Get("/konto/faktor/kode", Handle(s.codeForm))
		r.Post("/konto/faktor/kode", Handle(s.code))
		r.Get("/konto/faktor/passnokkel", Handle(s.passkeyForm))
		r.Post("/konto/faktor/passnokkel", Handle(s.passkey))
		r.Post("/konto/faktor/sporsmal", Handle(s.question))
	})
	mux.Group(func(r chi.Router) {
		r.Use(s.Signed)
		r.Get("/konto", Handle(s.own))
		r.Post("/konto/passord", Handle(s.changePassword))
		r.Post("/konto/okter", Handle(s.endOthers))
		r.Post("/konto/okter/{session}", Handle(s.endOne))
		r.Post("/konto/faktor/{factor}/fjern", Handle(s.removeFactor))
		r.Get("/konto/reservekoder", Handle(s.showRecovery))
		r.Post("/konto/reservekoder", Handle(s.makeRecovery))
		r.Post("/konto/tilknytning/{provider}", Handle(s.linkProvider))
		r.Post("/konto/tilknytning/{provider}/fjern", Handle(s.unlinkProvider))
		r.Get("/konto/bekreft", Handle(s.confirmForm))
		r.Post("/konto/bekreft", Handle(s.confirm))
	})
}

// onward is where somebody goes who has just shown a password.
func onward(pending, next string) string {
	next = local(next)
	if next == "/" {
		next = ""
	}
	switch pending {
	case account.PendingFactor:
		return Query("/login/faktor", "next", next)
	case account.PendingEnrol:
		return Query("/konto/faktor", "next", next)
	}
	return local(next)
}

// holder is whoever holds the session of r, half open or whole.
func (s *Site) holder(r *http.Request) (account.Self, error) {
	token := s.token(r)
	if token == "" {
		return account.Self{}, problem.Unauthenticated{}
	}
	return account.WhoseSession(r.Context(), s.DB, token)
}

// wrongProof reports whether err is about what the person has shown, so that the form is shown again.
func wrongProof(err error) bool {
	return Fixable(err) || errors.As(err, new(problem.TooMany)) || errors.As(err, new(problem.Forbidden))
}

// --- the second factor at the door ---

// FactorPage asks for the second factor after a right password.
type FactorPage struct {
	Page
	Ways
	Next string
}

func (s *Site) factorForm(w http.ResponseWriter, r *http.Request) error {
	return s.factorPage(w, r, nil)
}

func (s *Site) factorPage(w http.ResponseWriter, r *http.Request, wrong error) error {
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	if self.Pending != account.PendingFactor {
		http.Redirect(w, r, onward(self.Pending, r.FormValue("next")), http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
		return nil
	}
	f, err := account.FindFactors(r.Context(), s.DB, self)
	if err != nil {
		return err
	}
	page := FactorPage{Page: NewPage(r), Ways: ways(f, s.House), Next: local(r.FormValue("next"))}
	page.Undone = "login.failed"
	status := http.StatusOK
	if wrong != nil {
		status = page.Fail(wrong)
	}
	return Render(w, r, status, "factor", page)
}

func (s *Site) factor(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	if self.Pending != account.PendingFactor { // shown twice, or in two windows
		http.Redirect(w, r, onward(self.Pending, r.PostForm.Get("next")), http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
		return nil
	}
	err = once(r, "code", "recovery_code", "answer", "ceremony")
	var opened account.Opened
	if err == nil {
		opened, err = s.House.Confirm(r.Context(), s.DB, s.token(r), proof(r), visit(r))
	}
	if wrongProof(err) {
		return s.factorPage(w, r, err)
	}
	if err != nil {
		return err
	}
	s.setSession(w, opened.Token)
	if opened.Pending == "" {
		s.tellLast(w, r, opened)
	}
	http.Redirect(w, r, onward(opened.Pending, r.PostForm.Get("next")), http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
	return nil
}

// --- setting up a factor ---

// ChoosePage offers the kinds of second factors.
type ChoosePage struct {
	Page
	Passkeys, Codes bool
	Forced          bool // the role demands it
	Next            string
}

func (s *Site) chooseForm(w http.ResponseWriter, r *http.Request) error {
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	f, err := account.FindFactors(r.Context(), s.DB, self)
	if err != nil {
		return err
	}
	page := ChoosePage{Page: NewPage(r), Passkeys: s.House.Passkeys(), Codes: !f.Has(account.Code), Forced: self.Pending != "", Next: local(r.FormValue("next"))}
	if self.Pending == account.PendingEnrol { // a code that would not be enough is not offered
		page.Codes = page.Codes && !s.House.Lacks(self.Roles, account.Factors{List: []account.Factor{{Kind: account.Code}}})
	}
	return Render(w, r, http.StatusOK, "factor-choose", page)
}

// CodePage shows the secret for an authenticator, and asks for its first code.
type CodePage struct {
	Page
	Code    account.NewCode
	Picture template.URL
	Next    string
}

func (s *Site) codeForm(w http.ResponseWriter, r *http.Request) error {
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	code, err := s.House.BeginCode(r.Context(), s.DB, self)
	if err != nil {
		return err
	}
	return s.codePage(w, r, code, nil)
}

func (s *Site) codePage(w http.ResponseWriter, r *http.Request, code account.NewCode, wrong error) error {
	page := CodePage{Page: NewPage(r), Code: code, Next: local(r.FormValue("next"))}
	key, err := otp.NewKeyFromURL(code.URL)
	if err != nil {
		return err
	}
	picture, err := key.Image(220, 220)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		return err
	}
	page.Picture = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(out.Bytes())) //nolint:gosec // our own picture
	page.Undone = "factor.undone"
	status := http.StatusOK
	if wrong != nil {
		status = page.Fail(wrong)
	}
	return Render(w, r, status, "factor-code", page)
}

func (s *Site) code(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	token, again, err := s.House.EndCode(r.Context(), s.DB, self, r.PostForm.Get("ceremony"), r.PostForm.Get("code"))
	if errors.As(err, new(problem.Invalid)) {
		return s.codePage(w, r, again, err)
	}
	if err != nil {
		return err
	}
	return s.enrolled(w, r, self, token)
}

// PasskeyPage lets the browser make a passkey.
type PasskeyPage struct {
	Page
	Name string
	Next string
}

func (s *Site) passkeyForm(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.holder(r); err != nil {
		return err
	}
	if !s.House.Passkeys() {
		return problem.Conflict{Code: "no_passkeys"}
	}
	return Render(w, r, http.StatusOK, "factor-passkey", PasskeyPage{Page: NewPage(r), Next: local(r.FormValue("next"))})
}

func (s *Site) passkey(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	token, err := s.House.EndNewPasskey(r.Context(), s.DB, self, r.PostForm.Get("ceremony"), r.PostForm.Get("name"), []byte(r.PostForm.Get("answer")))
	if errors.As(err, new(problem.Invalid)) {
		page := PasskeyPage{Page: NewPage(r), Name: r.PostForm.Get("name"), Next: local(r.PostForm.Get("next"))}
		page.Undone = "factor.undone"
		return Render(w, r, page.Fail(err), "factor-passkey", page)
	}
	if err != nil {
		return err
	}
	return s.enrolled(w, r, self, token)
}

// question is what the page's script asks a passkey; the only answer here that is read by a script.
func (s *Site) question(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	ask := s.House.BeginPasskey
	if r.PostForm.Get("new") != "" {
		ask = s.House.BeginNewPasskey
	}
	q, err := ask(r.Context(), s.DB, self)
	if errors.As(err, new(problem.StepUp)) { // the script sends the person there
		return JSON(w, http.StatusForbidden, map[string]string{"confirm": "/konto/bekreft?next=%2Fkonto%2Ffaktor%2Fpassnokkel"})
	}
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, q)
}

// enrolled goes on after a factor was set up: to the recovery codes when there are none yet.
func (s *Site) enrolled(w http.ResponseWriter, r *http.Request, before account.Self, token string) error {
	if token != "" {
		s.setSession(w, token)
	} else {
		token = s.token(r)
	}
	self, err := account.WhoseSession(r.Context(), s.DB, token)
	if err != nil {
		return err
	}
	next := r.PostForm.Get("next")
	if before.Pending == "" {
		next = "/konto"
		SetFlash(w, r, Flash{Key: "factor.added"})
	}
	if self.Pending != "" {
		http.Redirect(w, r, onward(self.Pending, next), http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
		return nil
	}
	f, err := account.FindFactors(r.Context(), s.DB, self)
	if err != nil {
		return err
	}
	if f.Codes > 0 {
		http.Redirect(w, r, local(next), http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
		return nil
	}
	return s.newRecovery(w, r, self, next)
}

// --- recovery codes ---

// RecoveryPage shows them, once.
type RecoveryPage struct {
	Page
	Codes []string // none: they have been shown
	Next  string
}

const recoveryCookie = "-koder"

func (s *Site) newRecovery(w http.ResponseWriter, r *http.Request, self account.Self, next string) error {
	ceremony, err := s.House.NewRecoveryCodes(r.Context(), s.DB, self)
	if err != nil {
		return err
	}
	s.setCookie(w, s.cookieName()+recoveryCookie, ceremony, 600)
	next = local(next)
	if next == "/" {
		next = ""
	}
	http.Redirect(w, r, Query("/konto/reservekoder", "next", next), http.StatusSeeOther)
	return nil
}

func (s *Site) makeRecovery(w http.ResponseWriter, r *http.Request) error {
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	return s.newRecovery(w, r, self, "/konto")
}

func (s *Site) showRecovery(w http.ResponseWriter, r *http.Request) error {
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	page := RecoveryPage{Page: NewPage(r), Next: local(r.FormValue("next"))}
	page.Codes, err = s.House.ShowRecoveryCodes(r.Context(), s.DB, self, cookie(r, s.cookieName()+recoveryCookie))
	if err != nil && !errors.As(err, new(problem.NotFound)) {
		return err
	}
	s.setCookie(w, s.cookieName()+recoveryCookie, "", 0)
	return Render(w, r, http.StatusOK, "recovery-codes", page)
}

// --- my account ---

// OwnPage is about the reader's own account.
type OwnPage struct {
	Page
	Self             account.Self
	Sessions         []account.Session
	Factors          account.Factors
	Passkeys         bool
	NeedsOne         bool // the role demands a factor
	Linked, Linkable []ProviderLink
}

// Others is how many other sessions there are.
func (p OwnPage) Others() int { return len(p.Sessions) - 1 }

// HasCode reports whether there is an authenticator already.
func (p OwnPage) HasCode() bool { return p.Factors.Has(account.Code) }

// Way says how a session was opened.
func (p OwnPage) Way(s account.Session) string {
	words := p.Text.Say("konto.method."+s.Method, nil)
	if s.Method == "oidc" {
		words = s.Provider
		for _, link := range append(p.Linked, p.Linkable...) {
			if link.Name == s.Provider {
				words = link.Label
			}
		}
	}
	if s.Factor != "" {
		words += ", " + p.Text.Say("konto.factor."+s.Factor, nil)
	}
	return words
}

func (s *Site) own(w http.ResponseWriter, r *http.Request) error { return s.ownPage(w, r, nil) }

func (s *Site) ownPage(w http.ResponseWriter, r *http.Request, wrong error) error {
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	page := OwnPage{Page: NewPage(r), Self: self, Passkeys: s.House.Passkeys(), NeedsOne: account.Required(self.Roles)}
	if page.Sessions, err = account.Sessions(r.Context(), s.DB, self.Caller); err != nil {
		return err
	}
	if page.Factors, err = account.FindFactors(r.Context(), s.DB, self); err != nil {
		return err
	}
	names, err := account.Linked(r.Context(), s.DB, self)
	if err != nil {
		return err
	}
	for _, p := range s.providers() {
		if slices.Contains(names, p.Name) {
			page.Linked = append(page.Linked, p)
		} else {
			page.Linkable = append(page.Linkable, p)
		}
	}
	status := http.StatusOK
	if wrong != nil {
		status = page.Fail(wrong)
	}
	return Render(w, r, status, "konto", page)
}

func (s *Site) changePassword(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	ended, err := 0, once(r, "old_password", "password", "password_again")
	if err == nil {
		err = sameTwice(r)
	}
	if err == nil {
		ended, err = s.House.ChangePassword(r.Context(), s.DB, self, r.PostForm.Get("old_password"), r.PostForm.Get("password"), visit(r))
	}
	if wrongProof(err) {
		return s.ownPage(w, r, err)
	}
	if err != nil {
		return err
	}
	SetFlash(w, r, Flash{Key: "konto.password_changed", N: ended})
	http.Redirect(w, r, "/konto", http.StatusSeeOther)
	return nil
}

// sameTwice holds the repeated password against the first.
func sameTwice(r *http.Request) error {
	if r.PostForm.Get("password") != r.PostForm.Get("password_again") {
		return problem.InvalidField("password_again", "differs", nil)
	}
	return nil
}

func (s *Site) endOthers(w http.ResponseWriter, r *http.Request) error {
	ended, err := account.EndOtherSessions(r.Context(), s.DB, Caller(r))
	if err != nil {
		return err
	}
	SetFlash(w, r, Flash{Key: "konto.ended", N: ended})
	http.Redirect(w, r, "/konto", http.StatusSeeOther)
	return nil
}

func (s *Site) endOne(w http.ResponseWriter, r *http.Request) error {
	id, err := uuid.Parse(chi.URLParam(r, "session"))
	if err != nil {
		return problem.NotFound{What: "session"}
	}
	if err := account.EndSession(r.Context(), s.DB, Caller(r), id); err != nil {
		return err
	}
	SetFlash(w, r, Flash{Key: "konto.ended", N: 1})
	http.Redirect(w, r, "/konto", http.StatusSeeOther)
	return nil
}

func (s *Site) removeFactor(w http.ResponseWriter, r *http.Request) error {
	id, err := uuid.Parse(chi.URLParam(r, "factor"))
	if err != nil {
		return problem.NotFound{What: "factor"}
	}
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	err = s.House.RemoveFactor(r.Context(), s.DB, self, id)
	if errors.As(err, new(problem.Conflict)) {
		return s.ownPage(w, r, err)
	}
	if err != nil {
		return err
	}
	SetFlash(w, r, Flash{Key: "factor.removed"})
	http.Redirect(w, r, "/konto", http.StatusSeeOther)
	return nil
}

// --- a forgotten password, and links that were handed out ---

// ForgottenPage asks for the login, and says afterwards what may have happened.
type ForgottenPage struct {
	Page
	Mail  bool // this installation can send mail
	Asked bool
	Login string
}

func (s *Site) forgottenForm(w http.ResponseWriter, r *http.Request) error {
	return Render(w, r, http.StatusOK, "forgotten", ForgottenPage{Page: NewPage(r), Mail: s.House.Mail != nil && s.House.URL != "", Asked: r.FormValue("sendt") != ""})
}

func (s *Site) forgotten(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	err := s.House.AskReset(r.Context(), s.DB, r.PostForm.Get("login"), visit(r))
	if errors.As(err, new(problem.TooMany)) {
		page := ForgottenPage{Page: NewPage(r), Mail: true, Login: r.PostForm.Get("login")}
		page.Undone = "forgotten.undone"
		return Render(w, r, page.Fail(err), "forgotten", page)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/glemt-passord?sendt=1", http.StatusSeeOther)
	return nil
}

// LinkPage takes up an account, chooses a new password, or gives a lost factor up.
type LinkPage struct {
	Page
	Link      account.HandedLink
	Token     string
	Providers []ProviderLink // of an invitation
}

func (s *Site) linkForm(w http.ResponseWriter, r *http.Request) error { return s.linkPage(w, r, nil) }

func (s *Site) linkPage(w http.ResponseWriter, r *http.Request, wrong error) error {
	token := chi.URLParam(r, "link")
	link, err := account.LookAtLink(r.Context(), s.DB, token)
	if errors.As(err, new(problem.NotFound)) {
		return problem.Conflict{Code: "link_over"}
	}
	if err != nil {
		return err
	}
	page := LinkPage{Page: NewPage(r), Link: link, Token: token}
	page.Here = "/login" // the address is a secret: no form on the page brings it anywhere else
	if link.Purpose == account.LinkInvite {
		page.Providers = s.providers()
	}
	status := http.StatusOK
	if wrong != nil {
		status = page.Fail(wrong)
	}
	return Render(w, r, status, "handed-link", page)
}

func (s *Site) link(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	token := chi.URLParam(r, "link")
	link, err := account.LookAtLink(r.Context(), s.DB, token)
	if errors.As(err, new(problem.NotFound)) {
		return problem.Conflict{Code: "link_over"}
	}
	if err != nil {
		return err
	}
	if name := r.PostForm.Get("provider"); name != "" && link.Purpose == account.LinkInvite {
		return s.send(w, r, name, account.Errand{Purpose: account.ToTakeUp, Link: token, High: link.Highest}, nil)
	}
	err = once(r, "password", "password_again")
	key := "link.taken"
	switch {
	case err != nil:
	case link.Purpose == account.LinkFactor:
		err, key = s.House.TakeFactorsAway(r.Context(), s.DB, token, r.PostForm.Get("password"), visit(r)), "link.factors_gone"
	default:
		if err = sameTwice(r); err == nil {
			err = s.House.TakeUp(r.Context(), s.DB, token, r.PostForm.Get("password"))
		}
	}
	if errors.As(err, new(problem.NotFound)) {
		return problem.Conflict{Code: "link_over"}
	}
	if wrongProof(err) {
		return s.linkPage(w, r, err)
	}
	if err != nil {
		return err
	}
	s.setSession(w, "") // whoever was signed in here begins anew
	SetFlash(w, r, Flash{Key: key})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// --- providers ---

// OnwardPage leads to a provider. A form may lead only to this site (the policy's form-action), so the way goes over a page
// of its own that the browser leaves by itself.
type OnwardPage struct {
	Page
	To, Label string
}

const errandCookie = "-tur"

// send sends the browser to a provider, from a form.
func (s *Site) send(w http.ResponseWriter, r *http.Request, provider string, errand account.Errand, self *account.Self) error {
	address, cookie, err := s.House.BeginErrand(r.Context(), s.DB, provider, errand, self, visit(r))
	if err != nil {
		return err
	}
	s.setCookie(w, s.cookieName()+errandCookie, cookie, 600)
	w.Header().Set("Refresh", "0; url="+address)
	return Render(w, r, http.StatusOK, "onward", OnwardPage{Page: NewPage(r), To: address, Label: s.House.Provider(provider).Label})
}

// toProvider begins a sign-in. It is a link, so that the browser may be led on; another site's link only shows the sign-in page.
func (s *Site) toProvider(w http.ResponseWriter, r *http.Request) error {
	if from := r.Header.Get("Sec-Fetch-Site"); from != "" && from != "same-origin" && from != "none" {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return nil
	}
	errand := account.Errand{Purpose: account.ToSignIn, Next: local(r.FormValue("next")), High: r.FormValue("niva") == "hoy"}
	address, cookie, err := s.House.BeginErrand(r.Context(), s.DB, chi.URLParam(r, "provider"), errand, nil, visit(r))
	if err != nil {
		return err
	}
	s.setCookie(w, s.cookieName()+errandCookie, cookie, 600)
	http.Redirect(w, r, address, http.StatusSeeOther) //nolint:gosec // the address of a provider that the installation has chosen
	return nil
}

// fromProvider is where the provider sends people back.
func (s *Site) fromProvider(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	for _, name := range []string{"state", "code", "iss"} {
		if len(q[name]) > 1 {
			return problem.Forbidden{Code: "errand_refused"}
		}
	}
	a, err := s.House.EndErrand(r.Context(), s.DB, cookie(r, s.cookieName()+errandCookie), s.token(r), q.Get("state"), q.Get("code"), q.Get("iss"), visit(r))
	s.setCookie(w, s.cookieName()+errandCookie, "", 0)
	within := a.Errand.Purpose == account.ToConfirm || a.Errand.Purpose == account.ToLink
	if err != nil && !within && (errors.As(err, new(problem.Forbidden)) || errors.As(err, new(problem.Conflict))) {
		r.PostForm, r.Form = nil, map[string][]string{"next": {a.Errand.Next}}
		return s.loginAgain(w, r, err)
	}
	if err != nil {
		if err := s.resolve(r); err != nil { // the error page knows who reads it
			return err
		}
		return err
	}
	switch a.Errand.Purpose {
	case account.ToLink:
		SetFlash(w, r, Flash{Key: "konto.linked"})
		http.Redirect(w, r, "/konto", http.StatusSeeOther)
		return nil
	case account.ToConfirm:
		return s.confirmedAtProvider(w, r, a)
	}
	return s.enter(w, r, a.Opened, a.Errand.Next, true)
}

func (s *Site) confirmedAtProvider(w http.ResponseWriter, r *http.Request, a account.Arrival) error {
	s.setSession(w, a.Opened.Token)
	if len(a.Errand.Kept) == 0 && !isFile(a.Errand.Next) {
		SetFlash(w, r, Flash{Key: "confirm.done"})
		http.Redirect(w, r, local(a.Errand.Next), http.StatusSeeOther) //nolint:gosec // local lets only paths of this site through
		return nil
	}
	page := ConfirmedPage{}
	if len(a.Errand.Kept) > 0 {
		page.Again = new(Again)
		if err := json.Unmarshal(a.Errand.Kept, page.Again); err != nil {
			return err
		}
	} else {
		page.File = local(a.Errand.Next)
	}
	st := stateOf(r)
	caller, profile, err := account.Resolve(r.Context(), s.DB, a.Opened.Token)
	if err != nil {
		return err
	}
	st.caller, st.profile = caller, profile
	page.Page = NewPage(r)
	return Render(w, r, http.StatusOK, "confirmed", page)
}

func (s *Site) linkProvider(w http.ResponseWriter, r *http.Request) error {
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	return s.send(w, r, chi.URLParam(r, "provider"), account.Errand{Purpose: account.ToLink}, &self)
}

func (s *Site) unlinkProvider(w http.ResponseWriter, r *http.Request) error {
	self, err := s.holder(r)
	if err != nil {
		return err
	}
	err = account.Unlink(r.Context(), s.DB, self, chi.URLParam(r, "provider"))
	if errors.As(err, new(problem.Conflict)) {
		return s.ownPage(w, r, err)
	}
	if err != nil {
		return err
	}
	SetFlash(w, r, Flash{Key: "konto.unlinked"})
	http.Redirect(w, r, "/konto", http.StatusSeeOther)
	return nil
}

// Letters writes the mails that carry a link, in the reader's language. They hold no personal datum but the address they go to.
type Letters struct {
	Post interface {
		Later(to, subject, body string)
	}
}

// Link sends one, later.
func (l Letters) Link(to, language, purpose, address string) {
	text := T(language)
	l.Post.Later(to, text.Say("mail."+purpose+".subject", nil), text.Say("mail."+purpose+".body", map[string]any{"link": address})+"\n")
}
