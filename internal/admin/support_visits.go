package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/visit"
	"github.com/google/uuid"
)

// supportVisitsPage is /support/innsyn: what support has asked for and been granted, with the time that is left. It names no client.
type supportVisitsPage struct {
	edge.Page
	Live, Open, Past []visitLine
	In               string // the visit that the session stands in
}

func init() {
	line := sampleVisit()
	edge.Pages["support-visits"] = supportVisitsPage{Live: []visitLine{line}, Open: []visitLine{line}, Past: []visitLine{line}}
}

// StateWords is where the visit stands.
func (p supportVisitsPage) StateWords(s visit.State) string {
	return p.Say("visits.state." + string(s))
}

// Left is how long a visit lasts yet, in words.
func (p supportVisitsPage) Left(l visitLine) string {
	if l.EndsAt == nil {
		return ""
	}
	return span(p.Page, l.EndsAt.Sub(p.Clock).Truncate(time.Minute)+time.Minute)
}

func (s *Server) supportVisits(w http.ResponseWriter, r *http.Request) error {
	page, err := s.supportVisitsPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "support-visits", page)
}

func (s *Server) supportVisitsPage(r *http.Request) (supportVisitsPage, error) {
	page := supportVisitsPage{Page: edge.NewPage(r)}
	page.In = page.Caller.Visit.ID
	err := s.DB.InTx(r.Context(), page.Caller.Outside(), func(tx *pg.Tx) error {
		visits, err := visit.Board(r.Context(), tx, nil)
		if err != nil {
			return err
		}
		towns, err := townsByID(r.Context(), tx)
		for _, v := range visits {
			line := lineOf(page.Page, v)
			line.Town = towns[v.MunicipalityID]
			switch line.State {
			case visit.Active:
				page.Live = append(page.Live, line)
			case visit.Asked:
				page.Open = append(page.Open, line)
			default:
				page.Past = append(page.Past, line)
			}
		}
		return err
	})
	return page, err
}

func townsByID(ctx context.Context, tx *pg.Tx) (map[int]municipality.Municipality, error) {
	all, err := municipality.List(ctx, tx)
	towns := map[int]municipality.Municipality{}
	for _, m := range all {
		towns[m.ID] = m
	}
	return towns, err
}

func (s *Server) supportVisitForm(w http.ResponseWriter, r *http.Request) error {
	page, err := s.supportAskPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "visit-ask", page)
}

func (s *Server) supportAskPage(r *http.Request) (askVisitPage, error) {
	page := askVisitPage{Page: edge.NewPage(r), Support: true, Action: "/support/innsyn/ny", Back: "/support/innsyn", Once: newOnce(), Form: visitForm{Minutes: "60", Scope: visit.OneClient}}
	page.Path = "/support/innsyn"
	err := s.DB.InTx(r.Context(), page.Caller.Outside(), func(tx *pg.Tx) (err error) {
		if err := ofSupport(tx); err != nil {
			return err
		}
		page.Towns, err = municipality.List(r.Context(), tx)
		return err
	})
	return page, err
}

func ofSupport(tx *pg.Tx) error {
	if err := tx.Require(access.VisitAsk); err != nil {
		return err
	}
	if !tx.Caller.Has(access.Support) {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.VisitAsk)}}
	}
	return nil
}

// supportAskVisit is support's request, in the municipality that it chose.
func (s *Server) supportAskVisit(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	page, err := s.supportAskPage(r)
	if err != nil {
		return err
	}
	page.Form, page.Undone = readVisit(f), "visits.not_asked"
	town := 0
	for _, m := range page.Towns {
		if m.Number == page.Form.Town {
			town = m.ID
		}
	}
	if town == 0 {
		return edge.Render(w, r, page.Fail(problem.InvalidField("municipality", "required", nil)), "visit-ask", page)
	}
	err = s.DB.InTx(r.Context(), page.Caller.Outside().In(town), func(tx *pg.Tx) error {
		_, err := f.once(r.Context(), tx, func() (string, error) {
			id, err := visit.Ask(r.Context(), tx, page.Form.new())
			return id.String(), err
		})
		return err
	})
	if edge.Fixable(err) {
		return edge.Render(w, r, page.Fail(err), "visit-ask", page)
	}
	if err != nil {
		return err
	}
	return to(w, r, "/support/innsyn", edge.Flash{Key: "visits.flash.asked"})
}

// inVisitOf runs an act of support on a visit where it lies.
func (s *Server) inVisitOf(r *http.Request, act func(ctx context.Context, tx *pg.Tx, v visit.Visit) error) (visit.Visit, error) {
	var v visit.Visit
	caller := edge.Caller(r).Outside()
	err := s.DB.InTx(r.Context(), caller, func(tx *pg.Tx) error {
		if err := ofSupport(tx); err != nil {
			return err
		}
		id, err := visitID(r)
		if err != nil {
			return err
		}
		found, err := visit.Board(r.Context(), tx, &id)
		if err == nil && len(found) != 1 {
			err = problem.NotFound{What: "visit"}
		}
		if err == nil {
			v = found[0]
		}
		return err
	})
	if err != nil {
		return v, err
	}
	return v, s.DB.InTx(r.Context(), caller.In(v.MunicipalityID), func(tx *pg.Tx) error { return act(r.Context(), tx, v) })
}

// enterVisit goes in: from the next page on support sees what was granted.
func (s *Server) enterVisit(w http.ResponseWriter, r *http.Request) error {
	v, err := s.inVisitOf(r, func(ctx context.Context, tx *pg.Tx, v visit.Visit) error { return visit.Enter(ctx, tx, v.ID) })
	if err != nil {
		return s.visitsAgain(w, r, err)
	}
	if err := account.Enter(r.Context(), s.DB, edge.Caller(r), v.MunicipalityID, v.ID); err != nil {
		return err
	}
	return to(w, r, "/klienter", edge.Flash{})
}

// leaveVisit goes out. The visit lasts, and one may go in again.
func (s *Server) leaveVisit(w http.ResponseWriter, r *http.Request) error {
	caller := edge.Caller(r)
	if caller.Visiting() {
		id, err := uuid.Parse(caller.Visit.ID)
		if err != nil {
			return err
		}
		err = s.DB.InTx(r.Context(), caller.Outside().In(caller.Municipality), func(tx *pg.Tx) error { return visit.Leave(r.Context(), tx, id) })
		if err != nil {
			return err
		}
	} else if err := s.DB.InTx(r.Context(), caller, ofSupport); err != nil {
		return err
	}
	if err := account.Leave(r.Context(), s.DB, caller); err != nil {
		return err
	}
	return to(w, r, "/support/innsyn", edge.Flash{Key: "visits.flash.left"})
}

func (s *Server) supportWithdrawVisit(w http.ResponseWriter, r *http.Request) error {
	_, err := s.inVisitOf(r, func(ctx context.Context, tx *pg.Tx, v visit.Visit) error { return visit.Withdraw(ctx, tx, v.ID) })
	if err != nil {
		return s.visitsAgain(w, r, err)
	}
	return to(w, r, "/support/innsyn", edge.Flash{Key: "visits.flash.withdrawn"})
}

// supportEndVisit gives the access back before its time.
func (s *Server) supportEndVisit(w http.ResponseWriter, r *http.Request) error {
	_, err := s.inVisitOf(r, func(ctx context.Context, tx *pg.Tx, v visit.Visit) error { return visit.CutOff(ctx, tx, v.ID) })
	if err != nil {
		return s.visitsAgain(w, r, err)
	}
	if err := account.Leave(r.Context(), s.DB, edge.Caller(r)); err != nil {
		return err
	}
	return to(w, r, "/support/innsyn", edge.Flash{Key: "visits.flash.cut"})
}

func (s *Server) visitsAgain(w http.ResponseWriter, r *http.Request, err error) error {
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.supportVisitsPage(r)
	if again != nil {
		return again
	}
	page.Undone = "errors.not_saved"
	return edge.Render(w, r, page.Fail(err), "support-visits", page)
}
