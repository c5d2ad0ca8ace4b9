package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// deviationPage is one deviation: what is known, the clocks, who was told, and what may be done next.
type deviationPage struct {
	privacyHead
	Case  privacy.Case
	Staff people
	Form  typed
}

// Left is a clock in words.
func (p deviationPage) Left(c privacy.Clock) string { return clockWords(p.Page, c) }

// By is who did something.
func (p deviationPage) By(a privacy.Act) string { return p.Staff.name(p.Page, a.AccountID, a.Role) }

// Whom is the party of a line of the story.
func (p deviationPage) Whom(a privacy.Act) string {
	if a.Party == nil {
		return ""
	}
	return p.Say("deviation.party." + *a.Party)
}

// Found is what the product came upon.
func (p deviationPage) Found() string {
	if p.Case.Incident == nil {
		return ""
	}
	return p.Say("rounds.incident." + *p.Case.Incident)
}

// Writer is who wrote a version.
func (p deviationPage) Writer(id int64) string { return p.Staff.name(p.Page, id, "municipality") }

// Own is whether the reader reported it, or confirmed it, and so may not close it.
func (p deviationPage) Own() bool {
	return p.Case.ReportedBy == p.Caller.Account || p.Case.ConfirmedBy != nil && *p.Case.ConfirmedBy == p.Caller.Account
}

// Chosen are codes in words, by the sentences <prefix><code>.
func (p deviationPage) Chosen(prefix string, list []string) string {
	return strings.Join(inWordsOf(p.Page, prefix, list), ", ")
}

func inWordsOf(p edge.Page, prefix string, list []string) []string {
	words := make([]string, len(list))
	for i, code := range list {
		words[i] = p.Say(prefix + code)
	}
	return words
}

// Party is the choice of whom one told, or decided not to tell.
func (p deviationPage) Party(name string) edge.Input {
	parties := privacy.DeviationParties
	if name == "not_party" {
		parties = parties[1:] // one does not decide that the controller need not know
	}
	return p.Select(name, p.Form.Of(name), codeChoices(p.Page, "deviation.party.", parties), "class=w-ref")
}

// At is the day of an instant.
func (p deviationPage) At(name string) edge.Input {
	return deviationForm{p.Page, p.Form}.At(name)
}

// TimeOf is its time.
func (p deviationPage) TimeOf(name string) edge.Input {
	return deviationForm{p.Page, p.Form}.TimeOf(name)
}

// Area is a field for text.
func (p deviationPage) Area(name, label string) edge.Input {
	return p.Field(name, p.Form.Of(name), "label="+label)
}

func deviationID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(chi.URLParam(r, "deviation"))
	if err != nil {
		return uuid.Nil, problem.NotFound{What: "deviation"}
	}
	return id, nil
}

func (s *Server) fillDeviation(r *http.Request, page *deviationPage) error {
	id, err := deviationID(r)
	if err != nil {
		return err
	}
	return s.inPrivacy(r, access.DeviationRead, func(ctx context.Context, tx *pg.Tx) (err error) {
		if page.Case, err = privacy.FindDeviation(ctx, tx, id); err != nil {
			return err
		}
		page.Staff, err = account.Staff(ctx, tx)
		return err
	})
}

func (s *Server) deviation(w http.ResponseWriter, r *http.Request) error {
	page := deviationPage{privacyHead: newPrivacyHead(r, "deviations")}
	page.Form = typed{}
	page.toldNow()
	if err := s.fillDeviation(r, &page); err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "privacy-deviation", page)
}

// toldNow fills in that somebody is told now, which is when most people write it down, unless the form came with its own.
func (p *deviationPage) toldNow() {
	if _, ok := p.Form["told_at"]; !ok {
		p.Form["told_at"], p.Form["told_at_time"] = []string{p.Today().Short()}, []string{p.Clock.In(p.Zone).Format("15.04")}
	}
}

// deviationStep is one act on a deviation, and what is said after it.
type deviationStep struct {
	flash, undone string
	do            func(ctx context.Context, tx *pg.Tx, f *form, id uuid.UUID, zone *time.Location) error
}

// deviationActs are they, by the last word of their address.
var deviationActs = map[string]deviationStep{
	"bekreft": {"deviation.flash.confirmed", "", func(ctx context.Context, tx *pg.Tx, _ *form, id uuid.UUID, _ *time.Location) error {
		return privacy.Confirm(ctx, tx, id)
	}},
	"forkast": {"deviation.flash.dismissed", "deviation.not_dismissed", func(ctx context.Context, tx *pg.Tx, f *form, id uuid.UUID, _ *time.Location) error {
		return privacy.Dismiss(ctx, tx, id, f.Get("note"))
	}},
	"varsel": {"deviation.flash.told", "", func(ctx context.Context, tx *pg.Tx, f *form, id uuid.UUID, zone *time.Location) error {
		n := privacy.Notice{Party: f.Get("party"), Reference: f.Get("reference"), Note: f.Get("note")}
		if at := f.instant("told_at", zone); at != nil {
			n.At = *at
		}
		return privacy.Tell(ctx, tx, id, n)
	}},
	"beslutning": {"deviation.flash.decided", "", func(ctx context.Context, tx *pg.Tx, f *form, id uuid.UUID, _ *time.Location) error {
		err := privacy.DecideNot(ctx, tx, id, f.Get("not_party"), f.Get("reason"))
		var invalid problem.Invalid
		if errors.As(err, &invalid) { // the page has another form beside this one
			for i, field := range invalid.Fields {
				invalid.Fields[i].Name = map[string]string{"party": "not_party", "note": "reason"}[field.Name]
			}
		}
		return err
	}},
	"lukk": {"deviation.flash.closed", "deviation.not_closed", func(ctx context.Context, tx *pg.Tx, _ *form, id uuid.UUID, _ *time.Location) error {
		return privacy.Close(ctx, tx, id)
	}},
	"gjenapne": {"deviation.flash.reopened", "", func(ctx context.Context, tx *pg.Tx, f *form, id uuid.UUID, _ *time.Location) error {
		return privacy.Reopen(ctx, tx, id, f.Get("note"))
	}},
}

func (s *Server) deviationAct(step deviationStep) edge.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := deviationID(r)
		if err != nil {
			return err
		}
		f, err := parse(r)
		if err != nil {
			return err
		}
		page := deviationPage{privacyHead: newPrivacyHead(r, "deviations"), Form: typed(f.Values)}
		err = s.inPrivacy(r, access.DeviationHandle, func(ctx context.Context, tx *pg.Tx) error {
			return f.check(step.do(ctx, tx, f, id, page.Zone))
		})
		if err == nil {
			return to(w, r, "/personvern/avvik/"+id.String(), edge.Flash{Key: step.flash})
		}
		if !edge.Fixable(err) {
			return err
		}
		if again := s.fillDeviation(r, &page); again != nil {
			return again
		}
		page.Undone = step.undone
		page.toldNow()
		return edge.Render(w, r, page.Fail(err), "privacy-deviation", page)
	}
}

func (s *Server) describeForm(w http.ResponseWriter, r *http.Request) error {
	page := deviationFormPage{privacyHead: newPrivacyHead(r, "deviations")}
	one := deviationPage{privacyHead: page.privacyHead}
	if err := s.fillDeviation(r, &one); err != nil {
		return err
	}
	page.ID, page.Version = one.Case.ID, one.Case.Text().Version
	page.deviationForm = deviationForm{page.Page, valuesOf(page.Page, one.Case)}
	return edge.Render(w, r, http.StatusOK, "privacy-deviation-form", page)
}

func (s *Server) describe(w http.ResponseWriter, r *http.Request) error {
	id, err := deviationID(r)
	if err != nil {
		return err
	}
	f, err := parse(r)
	if err != nil {
		return err
	}
	page := deviationFormPage{privacyHead: newPrivacyHead(r, "deviations"), ID: id}
	page.Version, _ = strconv.Atoi(f.Get("version")) // what is none is nobody's, and the domain says so
	err = s.inPrivacy(r, access.DeviationHandle, func(ctx context.Context, tx *pg.Tx) error {
		return f.check(privacy.Describe(ctx, tx, id, page.Version, f.facts(page.Zone), f.account()))
	})
	if err == nil {
		return to(w, r, "/personvern/avvik/"+id.String(), edge.Flash{Key: "deviation.flash.described"})
	}
	if !edge.Fixable(err) {
		return err
	}
	status := page.Fail(inWords(page.Page, err))
	page.deviationForm = deviationForm{page.Page, typed(f.Values)}
	return edge.Render(w, r, status, "privacy-deviation-form", page)
}

// noticePage is what Datatilsynet's form asks for, on one sheet.
type noticePage struct {
	edge.Page
	Doc  privacy.NoticeDocument
	Back string
}

// Chosen are codes in words.
func (p noticePage) Chosen(prefix string, list []string) string {
	return strings.Join(inWordsOf(p.Page, prefix, list), ", ")
}

func (s *Server) noticeOf(r *http.Request) (doc privacy.NoticeDocument, err error) {
	id, err := deviationID(r)
	if err != nil {
		return doc, err
	}
	err = s.inPrivacy(r, access.DeviationRead, func(ctx context.Context, tx *pg.Tx) error {
		doc, err = privacy.NoticeOf(ctx, tx, id)
		return err
	})
	return doc, err
}

func (s *Server) notice(w http.ResponseWriter, r *http.Request) error {
	doc, err := s.noticeOf(r)
	if err != nil {
		return err
	}
	page := noticePage{Page: edge.NewPage(r), Doc: doc, Back: strings.TrimSuffix(r.URL.Path, "/melding")}
	return edge.Render(w, r, http.StatusOK, "privacy-notice", page)
}

func (s *Server) noticeJSON(w http.ResponseWriter, r *http.Request) error {
	doc, err := s.noticeOf(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="avvik-`+doc.Number+`.json"`)
	return edge.JSON(w, http.StatusOK, doc)
}
