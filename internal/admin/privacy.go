package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/go-chi/chi/v5"
)

// privacyRoutes hangs up the controller's registers: what the municipality answers for (/personvern), the reports of those
// who see nobody (/avvik), and the list that the processor keeps (/plattform/underleverandorer).
func (s *Server) privacyRoutes(r chi.Router) {
	get := func(path string, p access.Permission, h edge.Handler) { r.Get(path, edge.Handle(s.may(p, h))) }
	post := func(path string, p access.Permission, h edge.Handler) { r.Post(path, edge.Handle(s.may(p, h))) }

	get("/personvern", access.PrivacyRead, s.subprocessors)
	get("/personvern/underleverandorer/{subprocessor}", access.PrivacyRead, s.subprocessor)
	post("/personvern/underleverandorer/{subprocessor}/bruk", access.PrivacyWrite, s.startUse)
	post("/personvern/underleverandorer/{subprocessor}/slutt", access.PrivacyWrite, s.endUse)
	post("/personvern/underleverandorer/{subprocessor}/svar", access.PrivacyWrite, s.answerNotice)

	get("/personvern/behandlinger", access.PrivacyRead, s.processing)
	get("/personvern/behandlinger.json", access.PrivacyRead, s.processingJSON)
	get("/personvern/behandlinger.csv", access.PrivacyRead, s.processingCSV)

	get("/personvern/avvik", access.DeviationRead, s.deviations)
	post("/personvern/avvik", access.DeviationReport, s.reportDeviation)
	get("/personvern/avvik/nytt", access.DeviationReport, s.newDeviation)
	get("/personvern/avvik/{deviation}", access.DeviationRead, s.deviation)
	get("/personvern/avvik/{deviation}/endre", access.DeviationHandle, s.describeForm)
	post("/personvern/avvik/{deviation}/endre", access.DeviationHandle, s.describe)
	for path, act := range deviationActs {
		post("/personvern/avvik/{deviation}/"+path, access.DeviationHandle, s.deviationAct(act))
	}
	get("/personvern/avvik/{deviation}/melding", access.DeviationRead, s.notice)
	get("/personvern/avvik/{deviation}/melding.json", access.DeviationRead, s.noticeJSON)

	get("/personvern/erklaering", access.PrivacyRead, s.statement)
	post("/personvern/erklaering", access.PrivacyWrite, s.saveStatement)
	post("/personvern/erklaering/publiser", access.PrivacyWrite, s.publishStatement)
	get("/personvern/erklaering/forhandsvis", access.PrivacyRead, s.previewStatement)

	get("/avvik", access.DeviationReport, s.ownDeviations)
	post("/avvik", access.DeviationReport, s.reportBlind)

	get("/plattform/underleverandorer", access.PlatformManage, s.sharedSubprocessors)
	post("/plattform/underleverandorer", access.PlatformManage, s.announce)
	get("/plattform/underleverandorer/ny", access.PlatformManage, s.announceForm)
	get("/plattform/underleverandorer/{subprocessor}", access.PlatformManage, s.sharedSubprocessor)
	get("/plattform/underleverandorer/{subprocessor}/endre", access.PlatformManage, s.announceForm)
	post("/plattform/underleverandorer/{subprocessor}", access.PlatformManage, s.announce)
	post("/plattform/underleverandorer/{subprocessor}/oppfolging", access.PlatformManage, s.followUp)
}

// may refuses whoever has not got the permission before anything of the request is read, so that an address that is wrong
// tells them nothing else than one that is right. The domain asks again.
func (s *Server) may(p access.Permission, h edge.Handler) edge.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !edge.Caller(r).Can(p) {
			return s.inPrivacy(r, p, func(context.Context, *pg.Tx) error { return nil }) // with its row in the audit
		}
		return h(w, r)
	}
}

// PublicRoutes hangs up what everybody may read who is not signed in: the privacy statements. Mount it outside Signed.
func (s *Server) PublicRoutes(r chi.Router) {
	public := &publicStatements{site: s}
	r.Get("/personvernerklaring", edge.Handle(public.index))
	r.Get("/personvernerklaring/{municipality}", edge.Handle(public.show))
}

// privacyHead is what the pages of the registers have in common: their tabs.
type privacyHead struct {
	edge.Page
	Tab string
}

func newPrivacyHead(r *http.Request, tab string) privacyHead {
	return privacyHead{Page: edge.NewPage(r), Tab: tab}
}

// privacyTab is one of them.
type privacyTab struct {
	Key, Path string
	Current   bool
}

// Tabs are those that the reader may open.
func (p privacyHead) Tabs() (tabs []privacyTab) {
	for _, t := range []struct {
		key, path  string
		permission access.Permission
	}{
		{"subprocessors", "/personvern", access.PrivacyRead},
		{"processing", "/personvern/behandlinger", access.PrivacyRead},
		{"deviations", "/personvern/avvik", access.DeviationRead},
		{"statement", "/personvern/erklaering", access.PrivacyRead},
	} {
		if p.Caller.Can(t.permission) {
			tabs = append(tabs, privacyTab{t.key, t.path, t.key == p.Tab})
		}
	}
	return tabs
}

// typed is what somebody wrote into a form, to show it again.
type typed url.Values

// Of is one field of it.
func (t typed) Of(name string) string { return url.Values(t).Get(name) }

// codeChoices are the choices of a select or of radio buttons, by the sentences <prefix><code>.
func codeChoices(p edge.Page, prefix string, all []string) []edge.Option {
	options := make([]edge.Option, len(all))
	for i, code := range all {
		options[i] = edge.Option{Value: code, Label: p.Say(prefix + code)}
	}
	return options
}

// boxes are choices of which several may be ticked.
func boxes(p edge.Page, name, prefix string, all, chosen []string) edge.Input {
	in := p.Field(name, "")
	for _, o := range codeChoices(p, prefix, all) {
		o.Chosen = slices.Contains(chosen, o.Value)
		in.Options = append(in.Options, o)
	}
	return in
}

// instant is a day and a time as people type them: "19.09.23" in name, "09.12" in name_time. Nil when there is no day.
func (f *form) instant(name string, zone *time.Location) *time.Time {
	before := f.wrong.Err()
	day := f.date(name)
	if day.IsZero() {
		if before == f.wrong.Err() && f.text(name+"_time") != "" { //nolint:errorlint // both nil: nothing is wrong with the day but that it is missing
			f.wrong.Add(name, "required", nil)
		}
		return nil
	}
	clock := strings.NewReplacer(".", ":", "kl", "", " ", "").Replace(strings.ToLower(f.text(name + "_time")))
	at, err := time.Parse("15:04", clock)
	if err != nil {
		f.wrong.Add(name+"_time", "time_form", nil)
		return nil
	}
	instant := time.Date(day.Year, day.Month, day.Day, at.Hour(), at.Minute(), 0, 0, zone)
	return &instant
}

// country is a country as pages show it: its name, and whether it lies within the EEA.
type country struct {
	Code, Name string
	EEA        bool
}

func countryOf(p edge.Page, code string) country {
	c := privacy.Country(code)
	return country{code, c.Name(p.Lang), c.EEA()}
}

// subprocessorWords shows one version to people.
type subprocessorWords struct {
	privacy.Subprocessor
	page edge.Page
}

// Where is the country of storage, or nil.
func (s subprocessorWords) Where() *country {
	if s.Place == nil {
		return nil
	}
	c := countryOf(s.page, *s.Place)
	return &c
}

// From are the countries from which its staff have access.
func (s subprocessorWords) From() (list []country) {
	for _, code := range s.StaffCountries {
		list = append(list, countryOf(s.page, code))
	}
	return list
}

// Abroad names the countries outside the EEA.
func (s subprocessorWords) Abroad() string {
	var names []string
	for _, c := range s.Outside() {
		names = append(names, c.Name(s.page.Lang))
	}
	return strings.Join(names, ", ")
}

// Basis is the basis for a transfer; empty when none is needed.
func (s subprocessorWords) Basis() string { return basisOf(s.page, s.TransferBasis) }

func basisOf(p edge.Page, code *string) string {
	if code == nil {
		return ""
	}
	return p.Say("subprocessor.transfer_basis." + *code)
}

// Copy is whether it holds copies, and for how long.
func (s subprocessorWords) Copy() string {
	if s.CopiesDays == nil {
		return s.page.Say("subprocessor.copies.none")
	}
	return s.page.SayN("subprocessor.copies_days."+s.Copies, *s.CopiesDays)
}

// inPrivacy runs fn for somebody of a municipality, in it.
func (s *Server) inPrivacy(r *http.Request, p access.Permission, fn func(ctx context.Context, tx *pg.Tx) error) error {
	return s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		if err := tx.Require(p); err != nil {
			return err
		}
		return fn(r.Context(), tx)
	})
}

// attach answers with a file.
func attach(w http.ResponseWriter, kind, name string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// memory keeps what the public reads for a little while, so that a crowd at the door costs the database nothing.
type memory[T any] struct {
	mu   sync.Mutex
	kept map[string]remembered[T]
}

type remembered[T any] struct {
	value T
	at    time.Time
}

const rememberFor = 30 * time.Second

func (m *memory[T]) get(key string, now time.Time, read func() (T, error)) (T, error) {
	m.mu.Lock()
	found, ok := m.kept[key]
	m.mu.Unlock()
	if age := now.Sub(found.at); ok && age >= 0 && age < rememberFor {
		return found.value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[string]remembered[T]{}
	}
	m.kept[key] = remembered[T]{value, now} // only what exists is kept: there are not more than municipalities
	return value, nil
}
