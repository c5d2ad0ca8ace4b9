package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/problem"
)

// sharedPage is the list as the processor keeps it.
type sharedPage struct {
	edge.Page
	Entries []entryLine
}

// sharedOnePage is one company on it, with what the municipalities answered: that, not why.
type sharedOnePage struct {
	edge.Page
	Entry   entryLine
	Answers []sharedAnswer
	Form    typed
}

type sharedAnswer struct {
	privacy.SharedAnswer
	Municipality string
}

// Version shows one version of the history.
func (p sharedOnePage) Version(v privacy.Subprocessor) subprocessorWords {
	return subprocessorWords{v, p.Page}
}

// Outcome is what the review found.
func (p sharedOnePage) Outcome() edge.Input {
	return p.Select("review_outcome", p.Form.Of("review_outcome"), codeChoices(p.Page, "subprocessor.outcome.", privacy.ReviewOutcomes))
}

func (s *Server) sharedSubprocessors(w http.ResponseWriter, r *http.Request) error {
	page := sharedPage{Page: edge.NewPage(r)}
	page.Path = "/plattform"
	err := s.inPrivacy(r, access.PlatformManage, func(ctx context.Context, tx *pg.Tx) error {
		list, _, err := privacy.Shared(ctx, tx)
		for _, e := range list {
			page.Entries = append(page.Entries, entryOf(page.Page, e))
		}
		return err
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "platform-subprocessors", page)
}

func (s *Server) sharedSubprocessor(w http.ResponseWriter, r *http.Request) error {
	page := sharedOnePage{Page: edge.NewPage(r), Form: typed{}}
	if err := s.fillShared(r, &page); err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "platform-subprocessor", page)
}

func (s *Server) fillShared(r *http.Request, page *sharedOnePage) error {
	id, err := subprocessorID(r)
	if err != nil {
		return err
	}
	page.Path = "/plattform"
	return s.inPrivacy(r, access.PlatformManage, func(ctx context.Context, tx *pg.Tx) error {
		list, answers, err := privacy.Shared(ctx, tx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(list, func(e privacy.Entry) bool { return e.ID == id })
		if at < 0 {
			return problem.NotFound{What: "subprocessor"}
		}
		page.Entry = entryOf(page.Page, list[at])
		all, err := municipality.List(ctx, tx)
		names := map[int]string{}
		for _, m := range all {
			names[m.ID] = m.Number + " " + m.Name
		}
		for _, a := range answers {
			if a.SubprocessorID == id {
				page.Answers = append(page.Answers, sharedAnswer{a, names[a.MunicipalityID]})
			}
		}
		return err
	})
}

func (s *Server) followUp(w http.ResponseWriter, r *http.Request) error {
	id, err := subprocessorID(r)
	if err != nil {
		return err
	}
	f, err := parse(r)
	if err != nil {
		return err
	}
	err = s.inPrivacy(r, access.PlatformManage, func(ctx context.Context, tx *pg.Tx) error {
		return f.check(privacy.FollowUp(ctx, tx, id, privacy.Review{ReviewedOn: f.date("reviewed_on"), NextDue: f.date("next_due"), Outcome: f.Get("review_outcome"), Reference: f.Get("reference")}))
	})
	if err == nil {
		return to(w, r, "/plattform/underleverandorer/"+strconv.FormatInt(id, 10), edge.Flash{Key: "subprocessor.flash.reviewed"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := sharedOnePage{Page: edge.NewPage(r), Form: typed(f.Values)}
	if again := s.fillShared(r, &page); again != nil {
		return again
	}
	return edge.Render(w, r, page.Fail(err), "platform-subprocessor", page)
}

// announcePage is the form for a new company, or for the next version of one.
type announcePage struct {
	edge.Page
	ID   int64 // 0: a new one
	Name string
	Form typed
	Once string
}

// Action is where the form posts to.
func (p announcePage) Action() string {
	if p.ID == 0 {
		return "/plattform/underleverandorer"
	}
	return "/plattform/underleverandorer/" + strconv.FormatInt(p.ID, 10)
}

// Choice is a select of codes.
func (p announcePage) Choice(name string) edge.Input {
	all := map[string][]string{
		"service": privacy.Services, "access_rule": privacy.AccessRules, "encryption": privacy.Encryptions, "copies": privacy.CopyKinds,
		"change": {privacy.Changed, privacy.Correction, privacy.Ended}, "transfer_basis": privacy.TransferBases,
	}[name]
	options := codeChoices(p.Page, "subprocessor."+name+".", all)
	if name == "transfer_basis" {
		options = append([]edge.Option{{Label: p.Say("subprocessor.transfer_basis.unneeded")}}, options...)
	}
	return p.Select(name, p.Form.Of(name), options, "class=w-ref")
}

func (s *Server) announceForm(w http.ResponseWriter, r *http.Request) error {
	page := announcePage{Page: edge.NewPage(r), Form: typed{}, Once: newOnce()}
	page.Path = "/plattform"
	if strings.HasSuffix(r.URL.Path, "/endre") {
		one := sharedOnePage{Page: page.Page}
		if err := s.fillShared(r, &one); err != nil {
			return err
		}
		v := one.Entry.Latest()
		page.ID, page.Name = v.ID, v.Name
		page.Form = typed(url.Values{
			"change": {privacy.Changed}, "name": {v.Name}, "service": {v.Service}, "purpose": {v.Purpose}, "data": {v.Data}, "access_rule": {v.AccessRule},
			"staff_countries": {strings.Join(v.StaffCountries, " ")}, "encryption": {v.Encryption}, "copies": {v.Copies},
		})
		if v.Everywhere {
			page.Form["everywhere"] = []string{"1"}
		}
		if v.Place != nil {
			page.Form["storage"] = []string{*v.Place}
		}
		if v.TransferBasis != nil {
			page.Form["transfer_basis"] = []string{*v.TransferBasis}
		}
		if v.CopiesDays != nil {
			page.Form["copies_days"] = []string{strconv.Itoa(*v.CopiesDays)}
		}
	}
	return edge.Render(w, r, http.StatusOK, "platform-subprocessor-change", page)
}

func (s *Server) announce(w http.ResponseWriter, r *http.Request) error {
	page := announcePage{Page: edge.NewPage(r)}
	page.Path = "/plattform"
	if strings.Count(r.URL.Path, "/") > 2 {
		id, err := subprocessorID(r)
		if err != nil {
			return err
		}
		page.ID = id
	}
	f, err := parse(r)
	if err != nil {
		return err
	}
	var id string
	err = s.inPrivacy(r, access.PlatformManage, func(ctx context.Context, tx *pg.Tx) error {
		id, err = f.once(ctx, tx, func() (string, error) {
			made, err := privacy.Announce(ctx, tx, f.subprocessor(page.ID))
			return strconv.FormatInt(made, 10), err
		})
		return err
	})
	if err == nil {
		return to(w, r, "/plattform/underleverandorer/"+id, edge.Flash{Key: "subprocessor.flash.announced"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page.Form, page.Name, page.Once = typed(f.Values), f.text("name"), f.Get("once")
	return edge.Render(w, r, page.Fail(err), "platform-subprocessor-change", page)
}

// subprocessor reads the form.
func (f *form) subprocessor(id int64) privacy.Subprocessor {
	v := privacy.Subprocessor{
		ID: id, Change: f.Get("change"), Name: f.Get("name"), Service: f.Get("service"), Everywhere: f.Get("everywhere") != "", Purpose: f.Get("purpose"), Data: f.Get("data"),
		AccessRule: f.Get("access_rule"), Encryption: f.Get("encryption"), Copies: f.Get("copies"), ValidFrom: f.date("in_force"),
		StaffCountries: strings.Fields(strings.ToUpper(strings.NewReplacer(",", " ", ";", " ").Replace(f.Get("staff_countries")))),
	}
	if place := strings.ToUpper(f.text("storage")); place != "" {
		v.Place = &place
	}
	if basis := f.Get("transfer_basis"); basis != "" {
		v.TransferBasis = &basis
	}
	if text := f.text("copies_days"); text != "" {
		days, err := strconv.Atoi(text)
		if err != nil {
			days = -1 // the domain says what it may be
		}
		v.CopiesDays = &days
	}
	if by := f.date("object_by"); !by.IsZero() {
		v.ObjectBy = &by
	}
	return v
}
