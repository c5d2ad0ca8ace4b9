package admin

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/visit"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func (s *Server) visitRoutes(r chi.Router) {
	r.Get("/tilgang", edge.Handle(s.visits))
	r.Get("/tilgang/ny", edge.Handle(s.askVisitForm))
	r.Post("/tilgang/ny", edge.Handle(s.askVisit))
	r.Get("/tilgang/{visit}", edge.Handle(s.visit))
	r.Post("/tilgang/{visit}/gi", edge.Handle(s.grantVisit))
	r.Post("/tilgang/{visit}/avslag", edge.Handle(s.refuseVisit))
	r.Post("/tilgang/{visit}/trekk", edge.Handle(s.withdrawVisit))
	r.Post("/tilgang/{visit}/avbryt", edge.Handle(s.cutVisit))
	s.instructionRoutes(r)

	r.Get("/support/innsyn", edge.Handle(s.supportVisits))
	r.Get("/support/innsyn/ny", edge.Handle(s.supportVisitForm))
	r.Post("/support/innsyn/ny", edge.Handle(s.supportAskVisit))
	r.Post("/support/innsyn/ut", edge.Handle(s.leaveVisit))
	r.Post("/support/innsyn/{visit}/inn", edge.Handle(s.enterVisit))
	r.Post("/support/innsyn/{visit}/trekk", edge.Handle(s.supportWithdrawVisit))
	r.Post("/support/innsyn/{visit}/avslutt", edge.Handle(s.supportEndVisit))
}

// visitsPage is /tilgang: what waits for an answer, who of support is in, and what was (T21).
type visitsPage struct {
	edge.Page
	Open, Live, Past []visitLine
	Requests         []instructionTask // acts of the processor that nothing covers
	Answering        int64             // the one whose form is shown again
}

// visitLine is one visit in words.
type visitLine struct {
	visit.Visit
	State     visit.State
	Reach     string
	AskedName string
	Town      municipality.Municipality // for support
	Mine      bool
}

func init() {
	line := sampleVisit()
	edge.Pages["visits"] = visitsPage{
		Open: []visitLine{line}, Live: []visitLine{line}, Past: []visitLine{line},
		Requests: []instructionTask{{InstructionRequest: municipality.InstructionRequest{ID: 1, Action: municipality.PreRunControl, RoundNumber: "3218-231001", State: "asked"}}, {InstructionRequest: municipality.InstructionRequest{ID: 2, Action: municipality.PreRunControl, State: "no", Answer: "x"}, Who: "y"}},
	}
}

func sampleVisit() visitLine {
	at, by, page := time.Date(2023, 9, 19, 7, 12, 0, 0, time.UTC), int64(1), "notes"
	return visitLine{
		Visit: visit.Visit{
			ID: uuid.New(), Stored: "cut", Reason: "error", Words: "Feilmelding", Reference: "23/114", Scope: visit.OneClient, Page: &page, OnlyClient: &uuid.UUID{1}, Minutes: 60, AskedAt: at,
			AskedBy: 1, AnswerBy: at, AnsweredBy: &by, AnsweredAt: &at, Answer: "x", EndsAt: &at, Visitor: &by, VisitorNumber: "S-90001", TakenAt: &at, CutBy: &by, CutAt: &at, Looks: 2,
		},
		State: visit.Active, Reach: "x", AskedName: "Kari Nordmann", Town: municipality.Municipality{Number: "3218", Name: "Ås"}, Mine: true,
	}
}

func lineOf(p edge.Page, v visit.Visit) visitLine {
	return visitLine{Visit: v, State: v.State(p.Clock), Reach: p.VisitWords(v.Scope, v.OnlyPage()), AskedName: v.AskedByNumber, Mine: v.AskedBy == p.Caller.Account}
}

// StateWords is where the visit stands.
func (p visitsPage) StateWords(s visit.State) string { return p.Say("visits.state." + string(s)) }

func (s *Server) visits(w http.ResponseWriter, r *http.Request) error {
	page, err := s.visitsPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "visits", page)
}

func (s *Server) visitsPage(r *http.Request) (visitsPage, error) {
	page := visitsPage{Page: edge.NewPage(r)}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := visitors(tx); err != nil {
			return err
		}
		return page.fill(r.Context(), tx)
	})
	page.Waiting = map[string]int{"access": len(page.Open)}
	for _, t := range page.Requests {
		if t.State == "asked" {
			page.Waiting["access"]++
		}
	}
	return page, err
}

// visitors refuses people who work for no municipality, and those who may not know of visits.
func visitors(tx *pg.Tx) error {
	if err := ofMunicipality(tx); err != nil {
		return err
	}
	return tx.Require(access.VisitRead)
}

func (p *visitsPage) fill(ctx context.Context, tx *pg.Tx) error {
	staff, err := account.Staff(ctx, tx)
	if err != nil {
		return err
	}
	all, err := visit.List(ctx, tx)
	if err != nil {
		return err
	}
	for _, v := range all {
		line := lineOf(p.Page, v)
		line.AskedName = whoAsked(staff, v)
		switch line.State {
		case visit.Asked:
			p.Open = append(p.Open, line)
		case visit.Active:
			p.Live = append(p.Live, line)
		default:
			p.Past = append(p.Past, line)
		}
	}
	if p.Can(string(access.InstructionRead)) {
		p.Requests, err = instructionTasks(ctx, tx, staff)
	}
	return err
}

// whoAsked is the name of somebody of the own municipality, and the staff number of anybody else (D26).
func whoAsked(staff map[int64]account.StaffMember, v visit.Visit) string {
	if m, ok := staff[v.AskedBy]; ok {
		return m.Name
	}
	return v.AskedByNumber
}

func visitID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(chi.URLParam(r, "visit"))
	if err != nil {
		return id, problem.NotFound{What: "visit"}
	}
	return id, nil
}

// visitForm is what somebody typed to ask for access, or to grant it.
type visitForm struct {
	Town, Reason, Words, Reference, Scope, Page, Client, Minutes, Answer string
}

func readVisit(f *form) visitForm {
	return visitForm{f.text("municipality"), f.text("reason"), f.text("words"), f.text("reference"), f.text("scope"), f.text("page"), f.text("client_number"), f.text("minutes"), f.text("answer")}
}

func (f visitForm) minutes() int {
	n, _ := strconv.Atoi(f.Minutes)
	return n
}

func (f visitForm) new() visit.New {
	return visit.New{Reason: f.Reason, Words: f.Words, Reference: f.Reference, Scope: f.Scope, Page: f.Page, Client: f.Client, Minutes: f.minutes()}
}

// askVisitPage is the form for a request: /tilgang/ny and /support/innsyn/ny.
type askVisitPage struct {
	edge.Page
	Support bool
	Action  string
	Back    string
	Once    string
	Form    visitForm
	Towns   []municipality.Municipality
}

func init() {
	edge.Pages["visit-ask"] = askVisitPage{Support: true, Action: "/", Back: "/", Towns: []municipality.Municipality{{Number: "3218", Name: "Ås"}}}
}

// Reasons are the choices of why.
func (p askVisitPage) Reasons() edge.Input {
	var choices []edge.Option
	for _, code := range visit.Reasons {
		choices = append(choices, edge.Option{Value: code, Label: p.Say("visits.reason." + code)})
	}
	return p.Select("reason", p.Form.Reason, choices, "label=visits.why")
}

// ScopeField is the choice of how far.
func (p askVisitPage) ScopeField() edge.Input { return scopeField(p.Page, p.Form.Scope, visit.Scopes) }

// PageField is the choice of a kind of page.
func (p askVisitPage) PageField() edge.Input { return pageField(p.Page, p.Form.Page) }

// MinutesField is the choice of how long.
func (p askVisitPage) MinutesField() edge.Input {
	return minutesField(p.Page, p.Form.Minutes, visit.Longest)
}

// TownField is the choice of the municipality, for support.
func (p askVisitPage) TownField() edge.Input {
	choices := []edge.Option{{Label: p.Say("visits.choose_town")}}
	for _, m := range p.Towns {
		choices = append(choices, edge.Option{Value: m.Number, Label: m.Number + " " + m.Name})
	}
	return p.Select("municipality", p.Form.Town, choices, "class=w-ref", "label=operator.municipality")
}

func scopeField(p edge.Page, chosen string, scopes []string) edge.Input {
	var choices []edge.Option
	for _, scope := range scopes {
		choices = append(choices, edge.Option{Value: scope, Label: p.Say("visits.scope." + scope)})
	}
	return p.Select("scope", chosen, choices, "label=visits.how_far")
}

func pageField(p edge.Page, chosen string) edge.Input {
	choices := []edge.Option{{Label: p.Say("visits.every_page")}}
	for _, kind := range visit.Pages {
		choices = append(choices, edge.Option{Value: kind, Label: p.Say("visits.page." + kind)})
	}
	return p.Select("page", chosen, choices, "class=w-ref", "label=visits.kind_of_page", "help=visits.help.page")
}

// spans are the lengths to choose from, in minutes.
var spans = []int{15, 30, 60, 120, 240, 480}

func minutesField(p edge.Page, chosen string, most int) edge.Input {
	var choices []edge.Option
	offer := func(n int) {
		choices = append(choices, edge.Option{Value: strconv.Itoa(n), Label: span(p, time.Duration(n)*time.Minute)})
	}
	for _, n := range spans {
		if n <= most {
			offer(n)
		}
	}
	if last := choices[len(choices)-1].Value; last != strconv.Itoa(most) {
		offer(most) // what was asked for by a program
	}
	return p.Select("minutes", chosen, choices, "class=w-ref", "label=visits.how_long")
}

func (s *Server) askVisitForm(w http.ResponseWriter, r *http.Request) error {
	page, err := s.askVisitPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "visit-ask", page)
}

func (s *Server) askVisitPage(r *http.Request) (askVisitPage, error) {
	page := askVisitPage{Page: edge.NewPage(r), Action: "/tilgang/ny", Back: "/tilgang", Once: newOnce(), Form: visitForm{Minutes: "60", Scope: visit.OneClient}}
	page.Path = "/tilgang"
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := visitors(tx); err != nil {
			return err
		}
		return tx.Require(access.VisitAsk)
	})
	return page, err
}

// askVisit is the municipality's own request for support's help.
func (s *Server) askVisit(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	var id string
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		if err := visitors(tx); err != nil {
			return err
		}
		id, err = f.once(r.Context(), tx, func() (string, error) {
			made, err := visit.Ask(r.Context(), tx, readVisit(f).new())
			return made.String(), err
		})
		return err
	})
	if err == nil {
		return to(w, r, "/tilgang/"+id, edge.Flash{Key: "visits.flash.asked"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.askVisitPage(r)
	if again != nil {
		return again
	}
	page.Form, page.Undone = readVisit(f), "visits.not_asked"
	return edge.Render(w, r, page.Fail(err), "visit-ask", page)
}

// visitPage is /tilgang/{visit}: the request, the answer, what was looked at.
type visitPage struct {
	edge.Page
	Line  visitLine
	Steps []visit.Step
	Looks []visit.Look
	Older int64
	Staff map[int64]account.StaffMember
	Form  visitForm
}

func init() {
	line := sampleVisit()
	line.State = visit.Asked
	edge.Pages["visit"] = visitPage{Line: line, Steps: []visit.Step{{At: line.AskedAt, Act: "asked", Scope: "client", Minutes: 60}}, Looks: []visit.Look{{ID: 1, At: line.AskedAt, Page: "client.notes", Clients: []uuid.UUID{{1}, {2}}}}, Older: 1}
}

// By is who did a step: a name of the own municipality, else that it was support.
func (p visitPage) By(id int64) string {
	if m, ok := p.Staff[id]; ok {
		return m.Name
	}
	if p.Line.Visitor != nil && *p.Line.Visitor == id {
		return p.Line.VisitorNumber
	}
	return p.Say("role.support")
}

// LookWords is what was looked at.
func (p visitPage) LookWords(page string) string { return words(p.Page, "look.", page) }

// StateWords is where the visit stands.
func (p visitPage) StateWords() string { return p.Say("visits.state." + string(p.Line.State)) }

// MayAnswer reports whether the reader may grant or refuse: an approver who did not ask.
func (p visitPage) MayAnswer() bool {
	return p.Line.State == visit.Asked && p.Can(string(access.VisitGrant)) && !p.Line.Mine
}

// ScopeField offers what is no wider than the request.
func (p visitPage) ScopeField() edge.Input {
	var scopes []string
	for _, scope := range visit.Scopes {
		scopes = append(scopes, scope)
		if scope == p.Line.Scope {
			break
		}
	}
	return scopeField(p.Page, p.Form.Scope, scopes)
}

// PageField is the choice of a kind of page; what the request names stays.
func (p visitPage) PageField() edge.Input {
	in := pageField(p.Page, p.Form.Page)
	if p.Line.OnlyPage() != "" {
		var left []edge.Option
		for _, o := range in.Options {
			if o.Value == p.Line.OnlyPage() {
				left = append(left, o)
			}
		}
		in.Options = left
	}
	return in
}

// MinutesField offers at most what was asked for.
func (p visitPage) MinutesField() edge.Input {
	return minutesField(p.Page, p.Form.Minutes, p.Line.Minutes)
}

func (s *Server) visit(w http.ResponseWriter, r *http.Request) error {
	page, err := s.visitPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "visit", page)
}

const looksPerPage = 100

func (s *Server) visitPage(r *http.Request) (visitPage, error) {
	page := visitPage{Page: edge.NewPage(r)}
	page.Path = "/tilgang"
	id, err := visitID(r)
	if err != nil {
		return page, err
	}
	before, _ := strconv.ParseInt(r.URL.Query().Get("eldre"), 10, 64)
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := visitors(tx); err != nil {
			return err
		}
		return page.fill(r.Context(), tx, id, before)
	})
	return page, err
}

func (p *visitPage) fill(ctx context.Context, tx *pg.Tx, id uuid.UUID, before int64) error {
	v, err := visit.Find(ctx, tx, id)
	if err != nil {
		return err
	}
	if p.Staff, err = account.Staff(ctx, tx); err != nil {
		return err
	}
	if p.Steps, err = visit.Steps(ctx, tx, id); err != nil {
		return err
	}
	if p.Looks, err = visit.Looks(ctx, tx, id, before, looksPerPage+1); err != nil {
		return err
	}
	if len(p.Looks) > looksPerPage {
		p.Looks = p.Looks[:looksPerPage]
		p.Older = p.Looks[looksPerPage-1].ID
	}
	p.Line = lineOf(p.Page, v)
	p.Line.AskedName = whoAsked(p.Staff, v)
	p.Form = visitForm{Scope: v.Scope, Page: v.OnlyPage(), Minutes: strconv.Itoa(v.Minutes)}
	return nil
}

// onVisit does one act on a visit and shows it again.
func (s *Server) onVisit(w http.ResponseWriter, r *http.Request, done, undone string, act func(ctx context.Context, tx *pg.Tx, id uuid.UUID, f visitForm) error) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	var id uuid.UUID
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		if err := visitors(tx); err != nil {
			return err
		}
		if id, err = visitID(r); err != nil {
			return err
		}
		return act(r.Context(), tx, id, readVisit(f))
	})
	if err == nil {
		return to(w, r, "/tilgang/"+id.String(), edge.Flash{Key: done})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.visitPage(r)
	if again != nil {
		return again
	}
	if strings.HasSuffix(r.URL.Path, "/gi") {
		page.Form = readVisit(f)
	}
	page.Form.Answer, page.Undone = readVisit(f).Answer, undone
	return edge.Render(w, r, page.Fail(err), "visit", page)
}

// grantVisit lets support in.
func (s *Server) grantVisit(w http.ResponseWriter, r *http.Request) error {
	return s.onVisit(w, r, "visits.flash.granted", "visits.not_granted", func(ctx context.Context, tx *pg.Tx, id uuid.UUID, f visitForm) error {
		return visit.Grant(ctx, tx, id, visit.Granting{Scope: f.Scope, Page: f.Page, Client: f.Client, Minutes: f.minutes()})
	})
}

// refuseVisit says no.
func (s *Server) refuseVisit(w http.ResponseWriter, r *http.Request) error {
	return s.onVisit(w, r, "visits.flash.refused", "visits.not_refused", func(ctx context.Context, tx *pg.Tx, id uuid.UUID, f visitForm) error {
		return visit.Refuse(ctx, tx, id, f.Answer)
	})
}

// withdrawVisit takes one's own request back.
func (s *Server) withdrawVisit(w http.ResponseWriter, r *http.Request) error {
	return s.onVisit(w, r, "visits.flash.withdrawn", "errors.not_saved", func(ctx context.Context, tx *pg.Tx, id uuid.UUID, _ visitForm) error {
		return visit.Withdraw(ctx, tx, id)
	})
}

// cutVisit ends support's visit at once.
func (s *Server) cutVisit(w http.ResponseWriter, r *http.Request) error {
	return s.onVisit(w, r, "visits.flash.cut", "errors.not_saved", func(ctx context.Context, tx *pg.Tx, id uuid.UUID, _ visitForm) error {
		return visit.CutOff(ctx, tx, id)
	})
}
