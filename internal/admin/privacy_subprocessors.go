package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

// subprocessorsPage is the register as a municipality reads it: what is used here, by service.
type subprocessorsPage struct {
	privacyHead
	Used, Others []entryLine
	Notices      []entryLine // wait for the municipality's answer
	NotHeld      []string
}

// entryLine is one company; the page shows what is in force, else what comes.
type entryLine struct {
	privacy.Entry
	Words subprocessorWords
}

func init() {
	abroad, days, by, basis := "US", 90, calendar.On(2023, 10, 1), "scc"
	v := privacy.Subprocessor{
		ID: 1, Version: 1, Change: privacy.New, Name: "N", Service: "camera", AccessRule: "request", Place: &abroad, StaffCountries: []string{"NO", "US"}, TransferBasis: &basis,
		Encryption: "no_keys", Copies: "backup", CopiesDays: &days, ValidFrom: by, ObjectBy: &by,
	}
	e := privacy.Entry{
		ID: 1, Current: &v, Planned: &v, Versions: []privacy.Subprocessor{v}, Uses: []privacy.Use{{UsedFrom: by, UsedTo: &by}, {UsedFrom: by}}, Overdue: true,
		Review: &privacy.Review{ReviewedOn: by, NextDue: by, Outcome: "fine", Reference: "R"}, Answers: []privacy.Answer{{Version: 1, Answer: "objected", Note: "n", Reference: "r"}},
	}
	page := edge.SamplePage("nb")
	lines := []entryLine{{e, subprocessorWords{v, page}}}
	edge.Pages["privacy-subprocessors"] = subprocessorsPage{Used: lines, Others: lines, Notices: lines, NotHeld: privacy.NotHeld}
	edge.Pages["privacy-subprocessor"] = subprocessorPage{Entry: lines[0], Notice: &v, Form: typed{}}
	edge.Pages["platform-subprocessors"] = sharedPage{Entries: lines}
	edge.Pages["platform-subprocessor"] = sharedOnePage{Entry: lines[0], Answers: []sharedAnswer{{Municipality: "Ås", SharedAnswer: privacy.SharedAnswer{Answer: "noted"}}}, Form: typed{}}
	edge.Pages["platform-subprocessor-change"] = announcePage{Form: typed{}, ID: 1}
}

func entryOf(p edge.Page, e privacy.Entry) entryLine {
	v := e.Latest()
	if e.Current != nil {
		v = *e.Current
	}
	return entryLine{e, subprocessorWords{v, p}}
}

func (s *Server) subprocessors(w http.ResponseWriter, r *http.Request) error {
	page := subprocessorsPage{privacyHead: newPrivacyHead(r, "subprocessors"), NotHeld: privacy.NotHeld}
	err := s.inPrivacy(r, access.PrivacyRead, func(ctx context.Context, tx *pg.Tx) error {
		list, err := privacy.Register(ctx, tx)
		for _, e := range list {
			line := entryOf(page.Page, e)
			if e.Open(page.Today()) != nil {
				page.Notices = append(page.Notices, line)
			}
			if e.Used {
				page.Used = append(page.Used, line)
			} else if e.Latest().Change != privacy.Ended || len(e.Uses) > 0 {
				page.Others = append(page.Others, line)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "privacy-subprocessors", page)
}

// subprocessorPage is one company: how it is now, how it was, what the municipality said and whether it uses it.
type subprocessorPage struct {
	privacyHead
	Entry  entryLine
	Staff  people
	Notice *privacy.Subprocessor // waits for an answer
	Form   typed
}

// Version shows one version of the history.
func (p subprocessorPage) Version(v privacy.Subprocessor) subprocessorWords {
	return subprocessorWords{v, p.Page}
}

// By is who did something here.
func (p subprocessorPage) By(id int64) string { return p.Staff.name(p.Page, id, "municipality") }

// Since is the period of use that has not ended, or nil.
func (p subprocessorPage) Since() *privacy.Use {
	for i, u := range p.Entry.Uses {
		if u.UsedTo == nil {
			return &p.Entry.Uses[i]
		}
	}
	return nil
}

// Answer is the choice between taking note and objecting.
func (p subprocessorPage) Answer() edge.Input {
	return p.Select("reply", p.Form.Of("reply"), codeChoices(p.Page, "subprocessor.answer.", []string{"noted", "objected"}))
}

func subprocessorID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(chi.URLParam(r, "subprocessor"), 10, 64)
	if err != nil {
		return 0, problem.NotFound{What: "subprocessor"}
	}
	return id, nil
}

func (s *Server) subprocessor(w http.ResponseWriter, r *http.Request) error {
	page := subprocessorPage{privacyHead: newPrivacyHead(r, "subprocessors"), Form: typed{}}
	if err := s.fillSubprocessor(r, &page); err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "privacy-subprocessor", page)
}

func (s *Server) fillSubprocessor(r *http.Request, page *subprocessorPage) error {
	id, err := subprocessorID(r)
	if err != nil {
		return err
	}
	return s.inPrivacy(r, access.PrivacyRead, func(ctx context.Context, tx *pg.Tx) error {
		list, err := privacy.Register(ctx, tx)
		if err != nil {
			return err
		}
		for _, e := range list {
			if e.ID == id {
				page.Entry, page.Notice = entryOf(page.Page, e), e.Open(page.Today())
				page.Staff, err = account.Staff(ctx, tx)
				return err
			}
		}
		return problem.NotFound{What: "subprocessor"}
	})
}

// changeSubprocessor does one of the municipality's acts and shows the page again when it cannot be done.
func (s *Server) changeSubprocessor(w http.ResponseWriter, r *http.Request, flash, undone string, act func(ctx context.Context, tx *pg.Tx, f *form, id int64) error) error {
	id, err := subprocessorID(r)
	if err != nil {
		return err
	}
	f, err := parse(r)
	if err != nil {
		return err
	}
	err = s.inPrivacy(r, access.PrivacyWrite, func(ctx context.Context, tx *pg.Tx) error { return f.check(act(ctx, tx, f, id)) })
	if err == nil {
		return to(w, r, "/personvern/underleverandorer/"+strconv.FormatInt(id, 10), edge.Flash{Key: flash})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := subprocessorPage{privacyHead: newPrivacyHead(r, "subprocessors"), Form: typed(f.Values)}
	if again := s.fillSubprocessor(r, &page); again != nil {
		return again
	}
	page.Undone = undone
	return edge.Render(w, r, page.Fail(err), "privacy-subprocessor", page)
}

func (s *Server) startUse(w http.ResponseWriter, r *http.Request) error {
	return s.changeSubprocessor(w, r, "subprocessor.flash.used", "", func(ctx context.Context, tx *pg.Tx, f *form, id int64) error {
		return privacy.StartUse(ctx, tx, id, f.date("used_from"))
	})
}

func (s *Server) endUse(w http.ResponseWriter, r *http.Request) error {
	return s.changeSubprocessor(w, r, "subprocessor.flash.ended", "", func(ctx context.Context, tx *pg.Tx, f *form, id int64) error {
		return privacy.EndUse(ctx, tx, id, f.date("used_to"))
	})
}

func (s *Server) answerNotice(w http.ResponseWriter, r *http.Request) error {
	return s.changeSubprocessor(w, r, "subprocessor.flash.answered", "subprocessor.not_answered", func(ctx context.Context, tx *pg.Tx, f *form, id int64) error {
		version, err := strconv.Atoi(f.Get("version"))
		if err != nil {
			return problem.NotFound{What: "notice"}
		}
		return privacy.Respond(ctx, tx, id, version, privacy.Answer{Answer: f.Get("reply"), Reference: f.Get("reference"), Note: f.Get("note")})
	})
}
