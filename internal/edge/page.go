package edge

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// Page is what every page has. Embed it in the page's struct and make it with NewPage.
type Page struct {
	Text         Text
	Caller       access.Caller
	Municipality municipality.Municipality // zero for people who see nobody, and before sign-in
	Lang, Scheme string
	Demo         bool
	Clock        time.Time      // what the one clock shows
	Zone         *time.Location // the municipality's
	Errors       FormErrors
	Undone       string         // the key of what the errors kept from being done; empty: it was not saved
	Waiting      map[string]int // the number beside an entry of the menu, by its key
	Here         string         // this page's address, to come back to after a setting
	Path         string
	nav          []NavItem
	flash        *Flash
	visits       []account.LiveVisit
}

// NewPage fills a page's base for the caller of r.
func NewPage(r *http.Request) Page {
	st := stateOf(r)
	p := Page{
		Text: st.text(r), Caller: st.caller, Scheme: st.profile.Scheme, Demo: st.site.Demo, Clock: st.site.DB.Now(), Zone: defaultZone,
		Path: r.URL.Path, Here: r.URL.RequestURI(), nav: st.site.Nav, flash: readFlash(r),
	}
	if r.Method != http.MethodGet {
		p.Here = "/"
	}
	if st.profile.Visits != nil {
		p.visits = st.profile.Visits.Here
	}
	p.Lang = p.Text.Lang
	if p.Scheme == "" {
		p.Scheme = "auto"
	}
	if m, err := st.site.municipality(r, st.caller.Municipality); err == nil {
		p.Municipality, p.Zone = m, m.Zone
	}
	return p
}

var defaultZone = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		panic(err)
	}
	return zone
}()

// names remembers what municipalities are called. Names change on municipal reforms, so a minute's memory is enough of
// both: few questions, and never wrong for long.
type names struct {
	mu   sync.Mutex
	from time.Time
	of   map[int]municipality.Municipality
}

// municipality finds the one in the head of the caller's pages; problem.NotFound for callers of none.
func (s *Site) municipality(r *http.Request, id int) (municipality.Municipality, error) {
	if id == 0 {
		return municipality.Municipality{}, problem.NotFound{What: "municipality"}
	}
	now := s.DB.Now()
	if m, ok := s.names.get(id, now); ok {
		return m, nil
	}
	var m municipality.Municipality
	err := s.DB.SignIn(r.Context(), func(tx *pg.Tx) (err error) {
		m, err = municipality.ByID(r.Context(), tx, id)
		return err
	})
	if err == nil {
		s.names.put(m, now)
	}
	return m, err
}

func (n *names) get(id int, now time.Time) (municipality.Municipality, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if age := now.Sub(n.from); age < 0 || age > time.Minute {
		n.of = nil
	}
	m, ok := n.of[id]
	return m, ok
}

func (n *names) put(m municipality.Municipality, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of == nil {
		n.of, n.from = map[int]municipality.Municipality{}, now
	}
	n.of[m.ID] = m
}

func (p Page) base() Page { return p }

// Say is Text.Say for templates: names and values of the blanks follow in pairs.
func (p Page) Say(key string, pairs ...any) string { return p.Text.Say(key, paired(pairs)) }

// SayN is Text.SayN for templates.
func (p Page) SayN(key string, n int, pairs ...any) string { return p.Text.SayN(key, n, paired(pairs)) }

func paired(pairs []any) map[string]any {
	params := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, ok := pairs[i].(string); ok {
			params[name] = pairs[i+1]
		}
	}
	return params
}

// Today is the day that the municipality's clocks show.
func (p Page) Today() calendar.Date { return calendar.DateOf(p.Clock.In(p.Zone)) }

// Date is the day of an instant on the municipality's clocks.
func (p Page) Date(at time.Time) calendar.Date { return calendar.DateOf(at.In(p.Zone)) }

// Time is "kl. 09.12" on the municipality's clocks.
func (p Page) Time(at time.Time) string { return p.Text.Time(at, p.Zone) }

// Instant is an instant for the partial "instant": for machines, and in words.
type Instant struct{ ISO, Words string }

// Instant is at on the municipality's clocks, as "19.09.23 kl. 09.12".
func (p Page) Instant(at time.Time) Instant {
	return Instant{at.In(p.Zone).Format(time.RFC3339), p.Text.DateTime(at, p.Zone)}
}

// Number writes a count with the language's separators.
func (p Page) Number(n int) string { return p.Text.Number(n) }

// Can is how templates hide what somebody may not do. It protects nothing: the functions of the domain do.
func (p Page) Can(permission string) bool { return p.Caller.Can(access.Permission(permission)) }

// LanguageOptions are the languages that the reader can choose.
func (p Page) LanguageOptions() []Option {
	return p.options("language.", p.Lang, locales().langs...)
}

// SchemeOptions are the colours that the reader can choose.
func (p Page) SchemeOptions() []Option {
	return p.options("scheme.", p.Scheme, "auto", "light", "dark")
}

func (p Page) options(prefix, chosen string, values ...string) []Option {
	all := make([]Option, len(values))
	for i, v := range values {
		all[i] = Option{Value: v, Label: p.Say(prefix + v), Chosen: v == chosen}
	}
	return all
}

// Role is the name of the caller's first role.
func (p Page) Role() string { return p.RoleName(p.Caller.Main()) }

// RoleName is what a role is called.
func (p Page) RoleName(role access.Role) string { return p.Text.Say("role."+string(role), nil) }

// Initials stand in the avatar: of the first and the last name, or a letter and the number of "Operatør 2".
func (p Page) Initials() string {
	words := strings.Fields(p.Caller.Name)
	if len(words) == 0 {
		return ""
	}
	initials := []rune{unicode.ToUpper([]rune(words[0])[0])}
	if len(words) > 1 {
		initials = append(initials, unicode.ToUpper([]rune(words[len(words)-1])[0]))
	}
	return string(initials)
}

// Static is the address of a file under web/static, for what is no page. In a page's template {{.Static "<name>"}} becomes it.
func Static(r *http.Request, name string) string { return stateOf(r).site.static.address(name) }

// ClockWords is what the demo's banner says.
func (p Page) ClockWords() string {
	return p.Say("demo.clock", "when", p.Text.Weekday(p.Today())+" "+p.Text.DateTime(p.Clock, p.Zone))
}

// Fail takes the field errors out of err to show them at the form again, and gives the answer's status. Errors that are
// about no field stand alone in the summary.
func (p *Page) Fail(err error) int {
	a := p.Text.Answer(err)
	p.Errors = a.Fields
	if len(p.Errors) == 0 {
		p.Errors = FormErrors{{Code: a.Code, Message: a.Detail}}
	}
	return a.Status
}

// ErrorHeading says what was not done and, when the form can be put right, how much there is to put right.
func (p Page) ErrorHeading() string {
	undone, n := p.Say(cmp.Or(p.Undone, "errors.not_saved")), 0
	for _, e := range p.Errors {
		if e.Field != "" {
			n++
		}
	}
	if n == 0 {
		return undone
	}
	return undone + ". " + p.SayN("errors.fix", n)
}

// Fixable reports whether err is one that a form should be shown again for: wrong fields, a conflict, a rule that says no.
func Fixable(err error) bool {
	return errors.As(err, new(problem.Invalid)) || errors.As(err, new(problem.Conflict)) || errors.As(err, new(problem.Blocked))
}

// NavItem is one entry of the menu. It shows for whoever has one of its permissions and none of its exceptions.
type NavItem struct {
	Key        string // the text is nav.<key>
	Path       string
	Permission access.Permission
	Only       []access.Role // empty: every role with the permission
}

// DefaultNav is the menu of all roles.
var DefaultNav = []NavItem{
	{"day", "/", access.ClientRead, nil},
	{"clients", "/klienter", access.ClientRead, nil},
	{"devices", "/enheter", access.DeviceWrite, nil},
	{"control", "/", access.RoundControl, nil},
	{"rounds_run", "/", access.RoundOperate, nil},
	{"rounds", "/runder", access.RoundRead, []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator}},
	{"orders", "/bestillinger", access.OrderPlace, nil},
	{"overview", "/oversikt", access.ClientRead, nil},
	{"import", "/import", access.ImportRun, nil},
	{"protocols", "/protokoller", access.ProtocolRead, []access.Role{access.Support, access.Operator, access.PrivacyOfficer}},
	{"trail", "/innsyn", access.AccessLogRead, nil},
	{"accounts", "/brukere", access.AccountManage, nil},
	{"municipalities", "/kommuner", access.PlatformManage, nil},
	{"jobs", "/jobber", access.JobRead, nil},
}

// NavEntry is a NavItem on one page.
type NavEntry struct {
	Path, Words, Shortcut string
	Current               bool
	Waiting               int
}

// Nav is the menu of this page for this caller.
func (p Page) Nav() []NavEntry {
	var entries []NavEntry
	for _, item := range p.nav {
		if !p.Caller.Can(item.Permission) || !p.hasOneOf(item.Only) {
			continue
		}
		current := p.Path == item.Path || (item.Path != "/" && strings.HasPrefix(p.Path, item.Path+"/"))
		entries = append(entries, NavEntry{Path: item.Path, Words: p.Say("nav." + item.Key), Shortcut: p.Say("nav." + item.Key + ".key"), Current: current, Waiting: p.Waiting[item.Key]})
	}
	return entries
}

func (p Page) hasOneOf(roles []access.Role) bool {
	for _, role := range roles {
		if p.Caller.Has(role) {
			return true
		}
	}
	return len(roles) == 0
}

// Input is one field of a form, for the partials "field", "area", "select" and "check".
type Input struct {
	ID, Name, Label, Help, Value, Error string
	Type, Class, Autocomplete           string
	Required, Checked, Autofocus        bool
	Rows                                int
	Options                             []Option
}

// Option is one choice of a select.
type Option struct {
	Value, Label string
	Chosen       bool
}

// FieldID is the id of the field that is called name, for the links of the error summary.
func (p Page) FieldID(name string) string { return "f-" + strings.ReplaceAll(name, "_", "-") }

// Field makes an Input with its label (field.<name>), its help text (help.<name>, when there is one) and its error.
// Options follow as "type=password", "class=w-date", "autocomplete=username", "label=" and "help=" with the key of another sentence,
// "id=", or one word: "required", "autofocus", "checked".
func (p Page) Field(name string, value any, options ...string) Input {
	in := Input{ID: p.FieldID(name), Name: name, Type: "text", Rows: 3, Error: p.Errors.For(name), Label: p.Text.Field(name)}
	if key := "help." + name; p.Text.Has(key) {
		in.Help = p.Text.Say(key, nil)
	}
	switch v := value.(type) {
	case string:
		in.Value = v
	case calendar.Date:
		in.Value = v.Short()
	case bool:
		in.Value, in.Checked = "1", v
	}
	for _, option := range options {
		key, word, _ := strings.Cut(option, "=")
		switch key {
		case "type":
			in.Type = word
		case "class":
			in.Class = word
		case "autocomplete":
			in.Autocomplete = word
		case "label":
			in.Label = p.Text.Say(word, nil)
		case "help":
			in.Help = ""
			if word != "" {
				in.Help = p.Text.Say(word, nil)
			}
		case "id":
			in.ID = word
		case "required":
			in.Required = true
		case "autofocus":
			in.Autofocus = true
		case "checked":
			in.Checked = true
		}
	}
	return in
}

// Select is a Field with choices; the one whose value is value is chosen.
func (p Page) Select(name, value string, choices []Option, options ...string) Input {
	in := p.Field(name, value, options...)
	for _, o := range choices {
		o.Chosen = o.Value == value
		in.Options = append(in.Options, o)
	}
	return in
}

// Modal is the head of a dialog, for the partials "dialog" and "dialog-end" that stand around its content.
type Modal struct{ ID, Title, Close string }

// Modal makes one; its title is the sentence for key.
func (p Page) Modal(id, key string, pairs ...any) Modal {
	return Modal{ID: id, Title: p.Say(key, pairs...), Close: p.Say("close")}
}

// Empty is a panel that says why there is nothing, for the partial "empty".
type Empty struct{ Icon, Title, Words, Link, LinkWords string }

// Empty makes one from the sentences <key>.title and <key>.words; link may be empty, else <key>.link says what it does.
func (p Page) Empty(icon, key, link string, pairs ...any) Empty {
	e := Empty{Icon: icon, Title: p.Say(key+".title", pairs...), Words: p.Say(key+".words", pairs...), Link: link}
	if link != "" {
		e.LinkWords = p.Say(key+".link", pairs...)
	}
	return e
}

// Flash is one line about an act that just went well, shown on the next page. It travels in a cookie: put counts and
// dates in it, no names.
type Flash struct {
	Key    string            `json:"k"`
	N      int               `json:"n,omitempty"`
	Params map[string]any    `json:"p,omitempty"`
	Undo   string            `json:"u,omitempty"` // where the button Undo posts to
	Fields map[string]string `json:"f,omitempty"` // what it posts
}

const flashCookie = "frist-flash"

// SetFlash keeps f for the next page. Call it before the redirect.
func SetFlash(w http.ResponseWriter, r *http.Request, f Flash) {
	for name, value := range f.Params {
		if d, ok := value.(calendar.Date); ok {
			f.Params[name] = d.Short()
		}
	}
	raw, err := json.Marshal(f)
	if err != nil || len(raw) > 2000 {
		return
	}
	//nolint:gosec // Secure wherever TLS is; the demo on localhost has none
	http.SetCookie(w, &http.Cookie{Name: flashCookie, Value: base64.RawURLEncoding.EncodeToString(raw), Path: "/", MaxAge: 60, HttpOnly: true, Secure: stateOf(r).site.TLS, SameSite: http.SameSiteLaxMode})
}

func readFlash(r *http.Request) *Flash {
	c, err := r.Cookie(flashCookie)
	if err != nil {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return nil
	}
	var f Flash
	if json.Unmarshal(raw, &f) != nil || !T(DefaultLanguage).Has(f.Key) || (f.Undo != "" && local(f.Undo) != f.Undo) {
		return nil
	}
	return &f
}

// Flash is the line from the page before, or nil.
func (p Page) Flash() *Flash { return p.flash }

// FlashWords is its sentence.
func (p Page) FlashWords() string {
	for name, value := range p.flash.Params {
		if n, ok := value.(float64); ok {
			p.flash.Params[name] = int(n)
		}
	}
	return p.Text.SayN(p.flash.Key, p.flash.N, p.flash.Params)
}

// ErrorPage tells what went wrong.
type ErrorPage struct {
	Page
	Answer Answer
	Again  *Again // what was posted, when it can be posted again
	Fault  string // the number under which the log knows the request; only for faults, so that all absences look alike
}

// Query builds an address from a path and pairs of names and values, without the empty ones.
func Query(path string, pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}
