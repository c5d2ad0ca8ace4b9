package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
)

// deviationsPage is the municipality's list, those that want somebody first.
type deviationsPage struct {
	privacyHead
	Waiting, Settled []privacy.Listed
	Hours            int
	Older            string // the one to go on from; empty at the end
	Form             typed
}

// deviationFormPage is the form to report one, and to correct it.
type deviationFormPage struct {
	privacyHead
	deviationForm
	ID      uuid.UUID // zero: a new one
	Version int
	Once    string
}

// deviationForm is what can be filled in about one.
type deviationForm struct {
	page edge.Page
	Form typed
}

func init() {
	at := time.Date(2023, 9, 19, 7, 12, 0, 0, time.UTC)
	d := privacy.Deviation{ID: uuid.New(), Facts: privacy.Facts{Kind: "wrong_access", DiscoveredAt: at, HappenedFrom: &at, HappenedTo: &at}, State: privacy.Open, Source: "support", ReportedAt: at}
	clocks := []privacy.Clock{{Name: "first", Due: at, Late: true, Left: -time.Hour}, {Name: "authority", Due: at, Left: time.Hour}, {Name: "authority", Due: at, Stopped: &at}, {Name: "first", Due: at, Stopped: &at, Decided: true, Late: true}}
	list := []privacy.Listed{{Deviation: d, Clocks: clocks}}
	edge.Pages["privacy-deviations"] = deviationsPage{Waiting: list, Settled: list, Hours: 24, Older: "x", Form: typed{}}
	form := deviationForm{page: edge.SamplePage("nb"), Form: typed{}}
	edge.Pages["privacy-deviation-form"] = deviationFormPage{deviationForm: form, ID: d.ID}
	edge.Pages["own-deviations"] = ownDeviationsPage{deviationForm: form, Municipalities: []municipality.Municipality{{Number: "3218", Name: "Ås"}}, Own: []ownLine{{OwnReport: privacy.OwnReport{Kind: "integrity", State: privacy.Open}}}}
	affected, told := 12, "datatilsynet"
	c := privacy.Case{
		Deviation: d, Clocks: clocks, Acts: []privacy.Act{{At: at, Act: "reported"}, {At: at, Act: "told", Party: &told, ToldAt: &at, Reference: "r", Note: "n"}},
		Accounts: []privacy.Account{{Version: 2, What: "w", Done: "d", Consequences: "c", Cause: "c", Measures: "m", WrittenAt: at}, {Version: 1, What: "w", WrittenAt: at}},
	}
	c.Affected = &affected
	edge.Pages["privacy-deviation"] = deviationPage{Case: c, Form: typed{}}
	edge.Pages["privacy-notice"] = noticePage{Doc: privacy.NoticeDocument{Number: "A-1", Kind: "integrity", Principles: []string{"integrity"}, HappenedFrom: &at, HappenedTo: &at, Affected: &affected, Persons: []string{"kin"}, Categories: []string{"health"}, What: "w", WhyLate: "w", Told: []privacy.NoticeTold{{Party: "nsm", At: &at, Reference: "r", Reason: "r"}, {Party: "persons", Decided: true}}}}
}

// clockWords is a clock in words: how long is left, or how late it is, or when it stopped.
func clockWords(p edge.Page, c privacy.Clock) string {
	switch {
	case c.Stopped != nil && c.Decided:
		return p.Say("deviation.clock.decided", "when", p.Text.DateTime(*c.Stopped, p.Zone))
	case c.Stopped != nil && c.Late:
		return p.Say("deviation.clock.told_late", "when", p.Text.DateTime(*c.Stopped, p.Zone))
	case c.Stopped != nil:
		return p.Say("deviation.clock.told", "when", p.Text.DateTime(*c.Stopped, p.Zone))
	case c.Late:
		return p.Say("deviation.clock.late", "span", spanUp(p, -c.Left))
	}
	return p.Say("deviation.clock.left", "span", spanUp(p, c.Left), "due", p.Text.DateTime(c.Due, p.Zone))
}

// spanUp is a span in whole minutes, for clocks that are looked at and not raced against.
func spanUp(p edge.Page, d time.Duration) string {
	if d < time.Minute {
		return span(p, d.Truncate(time.Second))
	}
	return span(p, d.Truncate(time.Minute))
}

// Left is a clock in words.
func (p deviationsPage) Left(c privacy.Clock) string { return clockWords(p.Page, c) }

// MayReport is whether the reader may report one.
func (p deviationsPage) MayReport() bool { return p.Caller.Can(access.DeviationReport) }

func (s *Server) deviations(w http.ResponseWriter, r *http.Request) error {
	page := deviationsPage{privacyHead: newPrivacyHead(r, "deviations"), Form: typed{}}
	if err := s.fillDeviations(r, &page); err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "privacy-deviations", page)
}

func (s *Server) fillDeviations(r *http.Request, page *deviationsPage) error {
	before, _ := uuid.Parse(r.URL.Query().Get("eldre")) // what is none is the beginning
	return s.inPrivacy(r, access.DeviationRead, func(ctx context.Context, tx *pg.Tx) (err error) {
		if page.Hours, err = privacy.FirstHours(ctx, tx); err != nil {
			return err
		}
		list, more, err := privacy.Deviations(ctx, tx, before)
		for _, d := range list {
			if d.State == privacy.Draft || d.State == privacy.Open {
				page.Waiting = append(page.Waiting, d)
			} else {
				page.Settled = append(page.Settled, d)
			}
		}
		if more {
			page.Older = list[len(list)-1].ID.String()
		}
		return err
	})
}

// Fields are its fields that are about nobody, for the partial of that name.
func (d deviationForm) Fields() deviationForm { return d }

// Label is a sentence.
func (d deviationForm) Label(key string) string { return d.page.Say(key) }

// Action is where the form posts to, and Back where one goes who thinks better of it.
func (p deviationFormPage) Action() string {
	if p.ID == uuid.Nil {
		return p.Back()
	}
	return p.Back() + "/endre"
}

// Changing is whether there is one already.
func (p deviationFormPage) Changing() bool { return p.ID != uuid.Nil }

// Back is the page before.
func (p deviationFormPage) Back() string {
	if p.ID == uuid.Nil {
		return "/personvern/avvik"
	}
	return "/personvern/avvik/" + p.ID.String()
}

// Kind is the choice of what went wrong.
func (d deviationForm) Kind() edge.Input {
	return d.page.Select("kind", d.Form.Of("kind"), codeChoices(d.page, "deviation.kind.", privacy.DeviationKinds), "label=deviation.kind")
}

// Persons are whom it is about.
func (d deviationForm) Persons() edge.Input {
	return boxes(d.page, "persons", "deviation.persons.", privacy.PersonGroups, d.Form["persons"])
}

// Categories are which data it is about.
func (d deviationForm) Categories() edge.Input {
	return boxes(d.page, "categories", "deviation.categories.", privacy.DataCategories, d.Form["categories"])
}

// Exact is whether the count is no estimate.
func (d deviationForm) Exact() edge.Input {
	return d.page.Field("affected_exact", d.Form.Of("affected_exact") != "")
}

// At is the field for the day of an instant.
func (d deviationForm) At(name string) edge.Input {
	return d.page.Field(name, d.Form.Of(name), "class=w-date", "autocomplete=off")
}

// TimeOf is the field for the time of an instant.
func (d deviationForm) TimeOf(name string) edge.Input {
	return d.page.Field(name+"_time", d.Form.Of(name+"_time"), "class=w-date", "label=deviation.time", "autocomplete=off")
}

// Count is the field for how many.
func (d deviationForm) Count() edge.Input {
	return d.page.Field("affected", d.Form.Of("affected"), "class=w-date", "autocomplete=off")
}

// Words is a field for text.
func (d deviationForm) Words(name string) edge.Input {
	in := d.page.Field(name, d.Form.Of(name))
	in.Rows = 4
	return in
}

// facts reads the form.
func (f *form) facts(zone *time.Location) privacy.Facts {
	facts := privacy.Facts{
		Kind: f.Get("kind"), HappenedFrom: f.instant("happened_from", zone), HappenedTo: f.instant("happened_to", zone), AffectedExact: f.Get("affected_exact") != "",
		Persons: f.Values["persons"], Categories: f.Values["categories"],
	}
	if at := f.instant("discovered_at", zone); at != nil {
		facts.DiscoveredAt = *at
	}
	if text := strings.Join(strings.Fields(f.Get("affected")), ""); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			n = -1 // the domain says what it may be
		}
		facts.Affected = &n
	}
	return facts
}

func (f *form) account() privacy.Account {
	return privacy.Account{What: f.Get("what"), Done: f.Get("done"), Consequences: f.Get("consequences"), Cause: f.Get("cause"), Measures: f.Get("measures")}
}

// valuesOf is a deviation as the form shows it.
func valuesOf(p edge.Page, c privacy.Case) typed {
	v, text := url.Values{}, c.Text()
	day := func(name string, at *time.Time) {
		if at != nil {
			v.Set(name, calendar.DateOf(at.In(p.Zone)).Short())
			v.Set(name+"_time", at.In(p.Zone).Format("15.04"))
		}
	}
	day("discovered_at", &c.DiscoveredAt)
	day("happened_from", c.HappenedFrom)
	day("happened_to", c.HappenedTo)
	v.Set("kind", c.Kind)
	if c.Affected != nil {
		v.Set("affected", strconv.Itoa(*c.Affected))
	}
	if c.AffectedExact {
		v.Set("affected_exact", "1")
	}
	v["persons"], v["categories"] = c.Persons, c.Categories
	for name, words := range map[string]string{"what": text.What, "done": text.Done, "consequences": text.Consequences, "cause": text.Cause, "measures": text.Measures} {
		v.Set(name, words)
	}
	return typed(v)
}

// nowIn is a form in which the discovery is now, which is when most people write.
func nowIn(p edge.Page) typed {
	return typed(url.Values{"discovered_at": {p.Today().Short()}, "discovered_at_time": {p.Clock.In(p.Zone).Format("15.04")}})
}

func (s *Server) newDeviation(w http.ResponseWriter, r *http.Request) error {
	page := deviationFormPage{privacyHead: newPrivacyHead(r, "deviations"), Once: newOnce()}
	page.deviationForm = deviationForm{page.Page, nowIn(page.Page)}
	if err := s.inPrivacy(r, access.DeviationReport, func(_ context.Context, tx *pg.Tx) error { return ofMunicipality(tx) }); err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "privacy-deviation-form", page)
}

func (s *Server) reportDeviation(w http.ResponseWriter, r *http.Request) error {
	page := deviationFormPage{privacyHead: newPrivacyHead(r, "deviations")}
	f, err := parse(r)
	if err != nil {
		return err
	}
	var id string
	err = s.inPrivacy(r, access.DeviationReport, func(ctx context.Context, tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		id, err = f.once(ctx, tx, func() (string, error) {
			made, err := privacy.Report(ctx, tx, f.facts(page.Zone), f.account())
			return made.String(), err
		})
		return err
	})
	if err == nil {
		return to(w, r, "/personvern/avvik/"+id, edge.Flash{Key: "deviation.flash.reported"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page.Undone = "deviation.not_reported"
	status := page.Fail(err)
	page.deviationForm, page.Once = deviationForm{page.Page, typed(f.Values)}, f.Get("once")
	return edge.Render(w, r, status, "privacy-deviation-form", page)
}

// ownDeviationsPage is where somebody who sees nobody reports kinds and counts, and sees what became of it. It has no field
// for words: they could be about a person.
type ownDeviationsPage struct {
	edge.Page
	deviationForm
	Municipalities []municipality.Municipality
	Own            []ownLine
	Once           string
}

type ownLine struct {
	privacy.OwnReport
	Municipality string
}

// Number is what people call it by.
func (l ownLine) Number() string { return privacy.DeviationNumber(l.ID) }

// Where is the choice of the municipality that it is about.
func (p ownDeviationsPage) Where() edge.Input {
	options := []edge.Option{{Label: p.Say("deviation.choose_municipality")}}
	for _, m := range p.Municipalities {
		options = append(options, edge.Option{Value: m.Number, Label: m.Number + " " + m.Name})
	}
	return p.Select("for_municipality", p.Form.Of("for_municipality"), options, "class=w-ref")
}

func (s *Server) fillOwn(r *http.Request, page *ownDeviationsPage) error {
	return s.inPrivacy(r, access.DeviationReport, func(ctx context.Context, tx *pg.Tx) (err error) {
		own, err := privacy.OwnReports(ctx, tx)
		if err != nil {
			return err
		}
		page.Municipalities, err = municipality.List(ctx, tx)
		names := map[int]string{}
		for _, m := range page.Municipalities {
			names[m.ID] = m.Number + " " + m.Name
		}
		for _, o := range own {
			page.Own = append(page.Own, ownLine{o, names[o.MunicipalityID]})
		}
		return err
	})
}

func (s *Server) ownDeviations(w http.ResponseWriter, r *http.Request) error {
	page := ownDeviationsPage{Page: edge.NewPage(r), Once: newOnce()}
	if !page.Caller.Blind() && page.Caller.Can(access.DeviationRead) { // the municipality's list is another
		return to(w, r, "/personvern/avvik", edge.Flash{})
	}
	page.deviationForm = deviationForm{page.Page, nowIn(page.Page)}
	if err := s.fillOwn(r, &page); err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "own-deviations", page)
}

// reportBlind takes a report of somebody who sees nobody. Words, which their form has no field for, are refused by the
// domain when they are sent all the same.
func (s *Server) reportBlind(w http.ResponseWriter, r *http.Request) error {
	page := ownDeviationsPage{Page: edge.NewPage(r)}
	if !page.Caller.Blind() {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.DeviationReport)}}
	}
	f, err := parse(r)
	if err != nil {
		return err
	}
	if err := s.fillOwn(r, &page); err != nil {
		return err
	}
	caller := page.Caller
	for _, m := range page.Municipalities {
		if m.Number == f.Get("for_municipality") {
			caller = caller.In(m.ID)
		}
	}
	err = s.DB.InTx(r.Context(), caller, func(tx *pg.Tx) error {
		if tx.Municipality() == 0 {
			f.wrong.Add("for_municipality", "required", nil)
			return f.check(nil)
		}
		_, err := f.once(r.Context(), tx, func() (string, error) {
			made, err := privacy.Report(r.Context(), tx, f.facts(page.Zone), f.account())
			return made.String(), err
		})
		return err
	})
	if err == nil {
		return to(w, r, "/avvik", edge.Flash{Key: "deviation.flash.reported_blind"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page.Undone = "deviation.not_reported"
	status := page.Fail(err)
	page.deviationForm, page.Once = deviationForm{page.Page, typed(f.Values)}, f.Get("once")
	return edge.Render(w, r, status, "own-deviations", page)
}
