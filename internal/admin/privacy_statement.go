package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/go-chi/chi/v5"
)

// statementPage is where the administrator writes the privacy statement; everybody else of the municipality reads what is
// published.
type statementPage struct {
	privacyHead
	Draft     privacy.StatementDraft
	Published []privacy.Published
	Staff     people
	Form      typed
}

// sheetPage is a privacy statement as the public reads it.
type sheetPage struct {
	edge.Page
	Statement privacy.Statement
	Preview   bool
}

// statementsPage lists the municipalities that have one.
type statementsPage struct {
	edge.Page
	Municipalities []municipality.Municipality
}

func init() {
	on := calendar.On(2023, 9, 19)
	edge.Pages["privacy-statement"] = statementPage{Draft: privacy.StatementDraft{Controller: "c", Officer: "o"}, Published: []privacy.Published{{Version: 1, ValidFrom: on}}, Form: typed{}}
	edge.Pages["statement"] = sheetPage{Preview: true, Statement: privacy.Statement{
		Municipality: municipality.Municipality{Number: "3218", Name: "Ås"}, Published: privacy.Published{Version: 1, Controller: "c", Officer: "o", ValidFrom: on, Sections: privacy.Texts{"nb": {"about": "a\n\nb"}}},
		Rules: []retention.Rule{{Class: "client_record", PeriodMonths: 6, StartEvent: "disconnected"}}, Recipients: []privacy.Subprocessor{{Name: "N", Service: "camera", Purpose: "p"}},
	}}
	edge.Pages["statements"] = statementsPage{Municipalities: []municipality.Municipality{{Number: "3218", Name: "Ås"}}}
}

// By is who published a version.
func (p statementPage) By(id int64) string { return p.Staff.name(p.Page, id, "municipality") }

// Sections are the parts, Languages those that each is written in.
func (p statementPage) Sections() []string { return privacy.Sections }

// Languages are those that a statement is written in.
func (p statementPage) Languages() []string { return privacy.Languages }

// Value is what stands in a field: what was just typed, else what is kept.
func (p statementPage) value(name, kept string) string {
	if p.Form != nil {
		return p.Form.Of(name)
	}
	return kept
}

// Contact is one of the two fields about whom to ask.
func (p statementPage) Contact(name string) edge.Input {
	in := p.Field(name, p.value(name, map[string]string{"controller": p.Draft.Controller, "officer": p.Draft.Officer}[name]))
	in.Rows = 3
	return in
}

// Section is the field for a section in a language, with the product's own text as its help.
func (p statementPage) Section(lang, section string) edge.Input {
	name := lang + "." + section
	in := p.Field(name, p.value(name, p.Draft.Sections.In(lang, section)), "label=statement.head."+section, "help=", "id=f-"+lang+"-"+section)
	in.Rows, in.Help = 5, edge.T(lang).Say("statement."+section, map[string]any{"municipality": p.Municipality.Name})
	in.Label += " (" + p.Say("language."+lang) + ")"
	return in
}

// InForce is the version that the public reads today; 0 when there is none.
func (p statementPage) InForce() int {
	for _, v := range p.Published {
		if !v.ValidFrom.After(p.Today()) {
			return v.Version
		}
	}
	return 0
}

// ValidFrom is the field for the first day.
func (p statementPage) ValidFrom() edge.Input {
	value := p.Today().Short()
	if typed := p.Form.Of("in_force"); typed != "" {
		value = typed
	}
	return p.Field("in_force", value, "class=w-date", "autocomplete=off")
}

func (s *Server) fillStatement(r *http.Request, page *statementPage) error {
	return s.inPrivacy(r, access.PrivacyRead, func(ctx context.Context, tx *pg.Tx) (err error) {
		if page.Draft, err = privacy.DraftOf(ctx, tx); err != nil {
			return err
		}
		if page.Published, err = privacy.Statements(ctx, tx); err != nil {
			return err
		}
		page.Staff, err = account.Staff(ctx, tx)
		return err
	})
}

func (s *Server) statement(w http.ResponseWriter, r *http.Request) error {
	page := statementPage{privacyHead: newPrivacyHead(r, "statement")}
	if err := s.fillStatement(r, &page); err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "privacy-statement", page)
}

func (s *Server) saveStatement(w http.ResponseWriter, r *http.Request) error {
	return s.changeStatement(w, r, "statement.flash.saved", "", true, func(ctx context.Context, tx *pg.Tx, f *form) error {
		d := privacy.StatementDraft{Controller: f.Get("controller"), Officer: f.Get("officer"), Sections: privacy.Texts{}}
		for _, lang := range privacy.Languages {
			d.Sections[lang] = map[string]string{}
			for _, section := range privacy.Sections {
				d.Sections[lang][section] = f.Get(lang + "." + section)
			}
		}
		return privacy.SaveDraft(ctx, tx, d)
	})
}

func (s *Server) publishStatement(w http.ResponseWriter, r *http.Request) error {
	return s.changeStatement(w, r, "statement.flash.published", "statement.not_published", false, func(ctx context.Context, tx *pg.Tx, f *form) error {
		day := f.date("in_force")
		if f.wrong.Err() != nil {
			return nil
		}
		_, err := privacy.Publish(ctx, tx, day)
		return err
	})
}

func (s *Server) changeStatement(w http.ResponseWriter, r *http.Request, flash, undone string, keep bool, act func(ctx context.Context, tx *pg.Tx, f *form) error) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	err = s.inPrivacy(r, access.PrivacyWrite, func(ctx context.Context, tx *pg.Tx) error { return f.check(act(ctx, tx, f)) })
	if err == nil {
		return to(w, r, "/personvern/erklaering", edge.Flash{Key: flash})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := statementPage{privacyHead: newPrivacyHead(r, "statement")}
	if again := s.fillStatement(r, &page); again != nil {
		return again
	}
	if keep {
		page.Form = typed(f.Values)
	}
	page.Undone = undone
	status := page.Fail(err)
	var invalid problem.Invalid
	if errors.As(err, &invalid) {
		for i, field := range page.Errors { // a section is called by its heading
			if _, section, ok := strings.Cut(field.Field, "."); ok {
				page.Errors[i].Message = strings.Replace(field.Message, field.Field, page.Say("statement.head."+section), 1)
			}
		}
	}
	return edge.Render(w, r, status, "privacy-statement", page)
}

func (s *Server) previewStatement(w http.ResponseWriter, r *http.Request) error {
	page := sheetPage{Page: edge.NewPage(r), Preview: true}
	if lang := r.URL.Query().Get("sprak"); lang != "" { // as the reader of that language would see it
		page.Text, page.Lang = edge.T(lang), edge.T(lang).Lang
	}
	err := s.inPrivacy(r, access.PrivacyRead, func(ctx context.Context, tx *pg.Tx) (err error) {
		page.Statement, err = privacy.Preview(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "statement", page)
}

// Parts are the sections, in their order.
func (p sheetPage) Parts() []string { return privacy.Sections }

// Head is a section's heading.
func (p sheetPage) Head(section string) string { return p.Say("statement.head." + section) }

// Paragraphs are a section's text: the municipality's own, else the product's.
func (p sheetPage) Paragraphs(section string) (list []string) {
	text := p.Statement.Sections.In(p.Lang, section)
	if text == "" {
		text = p.Say("statement."+section, "municipality", p.Statement.Municipality.Name)
	}
	return paragraphs(text)
}

func paragraphs(text string) (list []string) {
	for part := range strings.SplitSeq(text, "\n\n") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// Lines are the lines of an address.
func (p sheetPage) Lines(text string) []string { return strings.Split(text, "\n") }

// Class is what the public calls a deletion class; empty for those that say nothing to it.
func (p sheetPage) Class(class retention.Class) string {
	if key := "statement.class." + string(class); p.Text.Has(key) {
		return p.Say(key)
	}
	return ""
}

// Period is how long, and from when.
func (p sheetPage) Period(r retention.Rule) string {
	return p.Say("processing.period", "period", p.Text.Period(r.PeriodMonths, r.PeriodDays, r.Inclusive), "start", p.Say("processing.start."+r.StartEvent))
}

// Other is the other language, and Here where it is.
func (p sheetPage) Other() string {
	if p.Lang == "en" {
		return "nb"
	}
	return "en"
}

// publicStatements shows statements to everybody. It makes the same page for everybody: no session, no name, nothing in it
// of whoever asks but the language.
type publicStatements struct {
	site *Server
	kept memory[privacy.Statement]
	list memory[[]municipality.Municipality]
}

// anybody is r without what tells who asks, in the language that the address or the browser asks for.
func anybody(w http.ResponseWriter, r *http.Request) *http.Request {
	plain := r.Clone(r.Context())
	plain.Header.Del("Cookie")
	if lang := r.URL.Query().Get("sprak"); lang != "" {
		plain.Header.Set("Accept-Language", lang)
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("Vary", "Accept-Language")
	return plain
}

func (s *publicStatements) show(w http.ResponseWriter, r *http.Request) error {
	number := chi.URLParam(r, "municipality")
	found, err := s.kept.get(number, s.site.DB.Now(), func() (st privacy.Statement, err error) {
		err = s.site.DB.SignIn(r.Context(), func(tx *pg.Tx) (err error) {
			st, err = privacy.Public(r.Context(), tx, number)
			return err
		})
		return st, err
	})
	if err != nil {
		return err
	}
	r = anybody(w, r)
	page := sheetPage{Page: edge.NewPage(r), Statement: found}
	page.Zone = found.Municipality.Zone
	return edge.Render(w, r, http.StatusOK, "statement", page)
}

func (s *publicStatements) index(w http.ResponseWriter, r *http.Request) error {
	list, err := s.list.get("", s.site.DB.Now(), func() (list []municipality.Municipality, err error) {
		err = s.site.DB.SignIn(r.Context(), func(tx *pg.Tx) (err error) {
			list, err = privacy.PublicStatements(r.Context(), tx)
			return err
		})
		return list, err
	})
	if err != nil {
		return err
	}
	r = anybody(w, r)
	return edge.Render(w, r, http.StatusOK, "statements", statementsPage{Page: edge.NewPage(r), Municipalities: list})
}
