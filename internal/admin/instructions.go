package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

func (s *Server) instructionRoutes(r chi.Router) {
	r.Get("/tilgang/instrukser", edge.Handle(s.instructions))
	r.Get("/tilgang/instrukser/ny", edge.Handle(s.instructionForm))
	r.Post("/tilgang/instrukser/ny", edge.Handle(s.enterInstruction))
	r.Post("/tilgang/instrukser/{instruction}/bekreft", edge.Handle(s.onInstruction("instructions.flash.confirmed", municipality.ConfirmInstruction)))
	r.Post("/tilgang/instrukser/{instruction}/avvis", edge.Handle(s.onInstruction("instructions.flash.declined", municipality.DeclineInstruction)))
	r.Post("/tilgang/instrukser/{instruction}/tilbakekall", edge.Handle(s.onInstruction("instructions.flash.revoked", municipality.RevokeInstruction)))
	r.Post("/tilgang/sporsmal/{question}", edge.Handle(s.answerInstructionRequest))
	r.Get("/support/instrukser", edge.Handle(s.supportInstructions))
}

// instructionTask is an act of the processor that nothing covered, with who answered.
type instructionTask struct {
	municipality.InstructionRequest
	Who string
}

func instructionTasks(ctx context.Context, tx *pg.Tx, staff map[int64]account.StaffMember) ([]instructionTask, error) {
	requests, err := municipality.InstructionRequests(ctx, tx, 0)
	if err != nil {
		return nil, err
	}
	var tasks []instructionTask
	for _, r := range requests {
		t := instructionTask{InstructionRequest: r}
		if r.AnsweredBy != nil {
			t.Who = staff[*r.AnsweredBy].Name
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// instructionsPage is /tilgang/instrukser: what the processor may do without asking, now and before (GDPR 28(3)(a)).
type instructionsPage struct {
	edge.Page
	Lines []instructionLine
	Towns []municipality.Municipality // for support, who reads one municipality's at a time
	Town  municipality.Municipality
}

// instructionLine is one instruction in words.
type instructionLine struct {
	municipality.Instruction
	State                          string
	EnteredName, ConfirmedName, By string
	Mine                           bool
}

// ReplacesNumber is the number of the instruction that it replaces; empty for none.
func (l instructionLine) ReplacesNumber() string {
	if l.Replaces == nil {
		return ""
	}
	return strconv.FormatInt(*l.Replaces, 10)
}

func init() {
	line := instructionLine{Instruction: municipality.Instruction{ID: 12, Action: municipality.PreRunControl, Scope: "Alle runder", ValidFrom: calendar.On(2023, 1, 1), ValidTo: calendar.On(2024, 1, 1), DocumentReference: "DPA-1", DecidedBy: "Rådmannen"}, State: "entered", EnteredName: "Per"}
	in := line
	in.State = "in_force"
	towns := []municipality.Municipality{{Number: "3218", Name: "Ås"}}
	edge.Pages["instructions"] = instructionsPage{Lines: []instructionLine{line, in}}
	edge.Pages["support-instructions"] = instructionsPage{Lines: []instructionLine{in}, Towns: towns, Town: towns[0]}
	edge.Pages["instruction-new"] = instructionPage{}
}

func (s *Server) instructions(w http.ResponseWriter, r *http.Request) error {
	page, err := s.instructionsPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "instructions", page)
}

func (s *Server) instructionsPage(r *http.Request) (instructionsPage, error) {
	page := instructionsPage{Page: edge.NewPage(r)}
	page.Path = "/tilgang"
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return page.fill(r.Context(), tx)
	})
	return page, err
}

func (p *instructionsPage) fill(ctx context.Context, tx *pg.Tx) error {
	all, err := municipality.Instructions(ctx, tx)
	if err != nil {
		return err
	}
	staff, err := account.Staff(ctx, tx)
	if err != nil {
		return err
	}
	today, err := municipality.Today(ctx, tx)
	for _, i := range all {
		line := instructionLine{Instruction: i, State: i.State(today), EnteredName: staff[i.EnteredBy].Name, Mine: i.EnteredBy == p.Caller.Account}
		if i.ConfirmedBy != nil {
			line.ConfirmedName = staff[*i.ConfirmedBy].Name
		}
		if i.RevokedBy != nil {
			line.By = staff[*i.RevokedBy].Name
		}
		p.Lines = append(p.Lines, line)
	}
	return err
}

// MayConfirm reports whether the reader may put an instruction in force: an approver who did not enter it.
func (p instructionsPage) MayConfirm(l instructionLine) bool {
	return l.State == "entered" && p.Caller.Has(access.Approver) && !l.Mine
}

// MayRevoke reports whether the reader may end an instruction.
func (p instructionsPage) MayRevoke(l instructionLine) bool {
	return (l.State == "in_force" || l.State == "coming") && (p.Caller.Has(access.Approver) || p.Can(string(access.InstructionWrite)))
}

// instructionPage is the form for a new instruction.
type instructionPage struct {
	edge.Page
	Once string
	Form instructionForm
}

type instructionForm struct{ Action, Scope, ValidFrom, ValidTo, Reference, DecidedBy, Replaces string }

// ActionField is the choice of what.
func (p instructionPage) ActionField() edge.Input {
	var choices []edge.Option
	for _, action := range municipality.Actions {
		choices = append(choices, edge.Option{Value: action, Label: p.Say("instructions.action." + action)})
	}
	return p.Select("action", p.Form.Action, choices, "label=instructions.what")
}

func (s *Server) instructionForm(w http.ResponseWriter, r *http.Request) error {
	page, err := s.instructionFormPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "instruction-new", page)
}

func (s *Server) instructionFormPage(r *http.Request) (instructionPage, error) {
	page := instructionPage{Page: edge.NewPage(r), Once: newOnce()}
	page.Path = "/tilgang"
	page.Form = instructionForm{Action: municipality.PreRunControl, ValidFrom: page.Today().Short()}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.InstructionWrite); err != nil {
			return err
		}
		id, err := strconv.ParseInt(r.URL.Query().Get("erstatter"), 10, 64)
		if err != nil {
			return nil //nolint:nilerr // it replaces none
		}
		old, err := municipality.FindInstruction(r.Context(), tx, id)
		page.Form = instructionForm{
			Action: old.Action, Scope: old.Scope, ValidFrom: page.Today().Short(), ValidTo: old.ValidTo.Short(), Reference: old.DocumentReference, DecidedBy: old.DecidedBy, Replaces: strconv.FormatInt(id, 10),
		}
		return err
	})
	return page, err
}

func readInstruction(f *form) instructionForm {
	return instructionForm{f.text("action"), f.text("scope"), f.text("valid_from"), f.text("valid_to"), f.text("document_reference"), f.text("decided_by"), f.text("replaces")}
}

// enterInstruction enters one; an approver confirms it.
func (s *Server) enterInstruction(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	typed := readInstruction(f)
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		_, err := f.once(r.Context(), tx, func() (string, error) {
			replaces, _ := strconv.ParseInt(typed.Replaces, 10, 64)
			id, err := municipality.EnterInstruction(r.Context(), tx, municipality.NewInstruction{
				Action: typed.Action, Scope: typed.Scope, ValidFrom: f.date("valid_from"), ValidTo: f.date("valid_to"), DocumentReference: typed.Reference, DecidedBy: typed.DecidedBy, Replaces: replaces,
			})
			return strconv.FormatInt(id, 10), err
		})
		return err
	})
	if err == nil {
		return to(w, r, "/tilgang/instrukser", edge.Flash{Key: "instructions.flash.entered"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.instructionFormPage(r)
	if again != nil {
		return again
	}
	page.Form = typed
	return edge.Render(w, r, page.Fail(err), "instruction-new", page)
}

// onInstruction does one act on an instruction.
func (s *Server) onInstruction(done string, act func(ctx context.Context, tx *pg.Tx, id int64) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := strconv.ParseInt(chi.URLParam(r, "instruction"), 10, 64)
		if err != nil {
			return problem.NotFound{What: "instruction"}
		}
		err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
			if err := ofMunicipality(tx); err != nil {
				return err
			}
			return act(r.Context(), tx, id)
		})
		if err == nil {
			return to(w, r, "/tilgang/instrukser", edge.Flash{Key: done})
		}
		if !edge.Fixable(err) {
			return err
		}
		page, again := s.instructionsPage(r)
		if again != nil {
			return again
		}
		return edge.Render(w, r, page.Fail(err), "instructions", page)
	}
}

// answerInstructionRequest says yes for this round alone, or no.
func (s *Server) answerInstructionRequest(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(chi.URLParam(r, "question"), 10, 64)
	if err != nil {
		return problem.NotFound{What: "instruction request"}
	}
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return municipality.AnswerInstructionRequest(r.Context(), tx, id, f.Get("answer_kind") == "once", f.Get("answer"))
	})
	if err == nil {
		return to(w, r, "/tilgang", edge.Flash{Key: "instructions.flash.answered"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.visitsPage(r)
	if again != nil {
		return again
	}
	page.Answering = id
	return edge.Render(w, r, page.Fail(err), "visits", page)
}

// supportInstructions is what support may do in one municipality without asking.
func (s *Server) supportInstructions(w http.ResponseWriter, r *http.Request) error {
	page := instructionsPage{Page: edge.NewPage(r)}
	page.Path = "/support"
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) (err error) {
		if err := ofSupport(tx); err != nil {
			return err
		}
		page.Towns, err = municipality.List(r.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	for _, m := range page.Towns {
		if m.Number == r.URL.Query().Get("kommune") {
			page.Town = m
		}
	}
	if page.Town.ID == 0 && len(page.Towns) > 0 {
		page.Town = page.Towns[0]
	}
	if page.Town.ID != 0 {
		page.Zone = page.Town.Zone
		err = s.DB.InTx(r.Context(), page.Caller.In(page.Town.ID), func(tx *pg.Tx) error { return page.fill(r.Context(), tx) })
	}
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "support-instructions", page)
}

// TownField is the choice of the municipality.
func (p instructionsPage) TownField() edge.Input {
	var choices []edge.Option
	for _, m := range p.Towns {
		choices = append(choices, edge.Option{Value: m.Number, Label: m.Number + " " + m.Name})
	}
	return p.Select("kommune", p.Town.Number, choices, "class=w-ref", "label=operator.municipality")
}
