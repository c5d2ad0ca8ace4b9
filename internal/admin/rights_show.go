package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/frist-app/frist/internal/rights"
	"github.com/go-chi/chi/v5"
)

// rightPage is one request with its steps.
type rightPage struct {
	edge.Page
	Request   rights.Request
	Corrected []string             // of a rectification: fields changed since it came
	Classes   []rights.ClassAnswer // of an erasure: what would be answered today, or what was
	Documents bool                 // the extract can be made
	Staff     map[int64]account.StaffMember
	Open      string // the act whose form stands open because something was wrong with it
	Form      map[string]string
	Once      string
}

func (s *Server) right(w http.ResponseWriter, r *http.Request) error {
	return s.showRight(w, r, http.StatusOK, rightPage{Page: edge.NewPage(r)})
}

func (s *Server) showRight(w http.ResponseWriter, r *http.Request, status int, page rightPage) error {
	id, err := rights.ParseID(chi.URLParam(r, "request"))
	if err != nil {
		return err
	}
	page.Once = newOnce()
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error { return page.load(r.Context(), tx, id) })
	if err != nil {
		return err
	}
	return edge.Render(w, r, status, "right", page)
}

func (p *rightPage) load(ctx context.Context, tx *pg.Tx, id [16]byte) (err error) {
	if p.Request, err = rights.Find(ctx, tx, id); err != nil {
		return err
	}
	if p.Staff, err = account.Staff(ctx, tx); err != nil {
		return err
	}
	r := p.Request
	p.Corrected, p.Classes = r.Corrected, r.Outcome
	switch {
	case r.Kind == rights.Rectification && r.Open():
		p.Corrected, err = rights.Corrected(ctx, tx, r)
	case r.Kind == rights.Erasure && r.Open() && (p.Caller.Can(access.RightsPrepare) || p.Caller.Can(access.RightsRelease)):
		p.Classes, err = rights.ErasureAnswer(ctx, tx, *r.ClientID)
	}
	p.Documents = r.Kind == rights.Access && r.State == rights.Released && (p.Caller.Can(access.RightsPrepare) || p.Caller.Can(access.RightsRelease))
	return err
}

// Who is the person, for those who may read clients.
func (p rightPage) Who() string { return whoAsks(p.Page, p.Request) }

// Clock is how much time is left.
func (p rightPage) Clock() clock { return clockOf(p.Page, p.Request) }

// By is the name of somebody of the municipality.
func (p rightPage) By(id int64) string { return nameOf(p.Page, p.Staff, id) }

// Path is the address of one of the request's acts.
func (p rightPage) Path(act string) string {
	return "/rettigheter/" + p.Request.ID.String() + "/" + act
}

// MayPrepare reports whether the caller has the next step.
func (p rightPage) MayPrepare() bool {
	return p.Request.State == rights.Received && p.Caller.Can(access.RightsPrepare)
}

// MayDecide reports whether the caller has the decision: an approver who did not prepare it (D13).
func (p rightPage) MayDecide() bool {
	return p.Request.State == rights.Prepared && p.Caller.Can(access.RightsRelease) && !p.Own()
}

// Own reports whether the caller prepared it.
func (p rightPage) Own() bool {
	return p.Request.PreparedBy != nil && *p.Request.PreparedBy == p.Caller.Account
}

// MayLift reports whether the caller can end the restriction.
func (p rightPage) MayLift() bool {
	return p.Request.Restricts() && p.Caller.Can(access.RightsRelease)
}

// MayExtend reports whether the clock can be given two months more.
func (p rightPage) MayExtend() bool {
	return p.Request.Open() && p.Request.ExtensionReason == "" && p.Caller.Can(access.RightsPrepare)
}

// MayWithdraw reports whether the caller can note that the person does not ask any more.
func (p rightPage) MayWithdraw() bool { return p.Request.Open() && p.Caller.Can(access.RightsPrepare) }

// Extended is the last day when the clock is extended.
func (p rightPage) Extended() calendar.Date { return rights.Due(p.Request.ReceivedOn, true) }

// step is one of the steps on top of the page.
type rightStep struct {
	Name      string
	Lines     []string
	Done, Now bool
}

// Steps are received, prepared, answered.
func (p rightPage) Steps() []rightStep {
	r := p.Request
	when := func(id int64, at edge.Instant) []string { return []string{p.By(id), at.Words} }
	steps := []rightStep{
		{Name: p.Say("rights.step.received"), Lines: []string{p.Say("rights.channel." + r.Channel), p.Say("rights.on_day", "date", r.ReceivedOn)}, Done: true},
		{Name: p.Say("rights.step.prepared"), Now: r.State == rights.Received},
		{Name: p.Say("rights.step.answered"), Now: r.State == rights.Prepared},
	}
	if r.State == rights.Received {
		steps[1].Name = p.Say("rights.step.prepare")
	} else if r.PreparedBy != nil {
		steps[1].Done, steps[1].Lines = true, when(*r.PreparedBy, p.Instant(*r.PreparedAt))
	}
	if r.DecidedBy != nil {
		steps[2].Done, steps[2].Name = true, p.Say("rights.state."+string(r.State))
		steps[2].Lines = when(*r.DecidedBy, p.Instant(*r.DecidedAt))
	} else if r.Open() {
		steps[2].Lines = []string{p.Say("rights.by_day", "date", r.DueOn)}
	}
	if r.State == rights.Withdrawn {
		steps[2] = rightStep{Name: p.Say("rights.state.withdrawn"), Done: true}
	}
	if r.Kind == rights.Restriction && r.State == rights.Released {
		lifted := rightStep{Name: p.Say("rights.step.lifted"), Now: r.LiftedAt == nil}
		if r.LiftedAt != nil {
			lifted.Done, lifted.Lines = true, when(*r.LiftedBy, p.Instant(*r.LiftedAt))
		}
		steps = append(steps, lifted)
	}
	return steps
}

// Typed is what stood in a field of the form that is shown again.
func (p rightPage) Typed(act, name, otherwise string) string {
	if p.Open == act {
		return p.Form[name]
	}
	return otherwise
}

// Fields are the corrected fields as people call them.
func (p rightPage) Fields() (list []string) {
	for _, name := range p.Corrected {
		list = append(list, p.Text.Field(name))
	}
	return list
}

// Area is a field for words.
func (p rightPage) Area(act, name, otherwise, label string, rows int) edge.Input {
	in := p.Field(name, p.Typed(act, name, otherwise), "label="+label, "id=f-"+act+"-"+name)
	if p.Open == act || p.Open == "" {
		in.ID = p.FieldID(name)
		if p.Open == "" {
			in.ID = "f-" + act + "-" + name
		}
	}
	if p.Open != act {
		in.Error = ""
	}
	if help := label + ".help"; p.Text.Has(help) {
		in.Help = p.Say(help)
	}
	in.Rows = rows
	return in
}

// DayField is a field for a day.
func (p rightPage) DayField(act, name, label string) edge.Input {
	in := p.Area(act, name, "", label, 1)
	in.Class = "w-date"
	return in
}

func (p rightPage) choose(act, name, label, prefix string, codes []string) edge.Input {
	in := p.Area(act, name, "", label, 1)
	in.Options = []edge.Option{{Label: p.Say("client.choose")}}
	for _, code := range codes {
		in.Options = append(in.Options, edge.Option{Value: code, Label: p.Say(prefix + code), Chosen: p.Typed(act, name, "") == code})
	}
	return in
}

// Grounds are those on which a request of this kind can be refused.
func (p rightPage) Grounds() edge.Input {
	grounds := rights.RefusalGrounds(p.Request.Kind)
	return p.choose("avsla", "refusal_ground", "rights.refusal_ground", "rights.refused_for.", grounds)
}

// RestrictionGrounds are those of GDPR 18(1).
func (p rightPage) RestrictionGrounds() edge.Input {
	return p.choose("forbered", "restriction_ground", "rights.restriction_ground", "rights.restricted_for.", rights.RestrictionGrounds)
}

// ExtensionReasons are those of GDPR 12(3).
func (p rightPage) ExtensionReasons() edge.Input {
	return p.choose("forleng", "extension_reason", "rights.extension_reason", "rights.extended_for.", rights.ExtensionReasons)
}

// ClassWords tells in one sentence what becomes of a class (D18).
func (p rightPage) ClassWords(a rights.ClassAnswer) string {
	period := p.Text.Period(a.Months, a.Days, true)
	switch {
	case len(a.Kept) > 0:
		reasons := ""
		for i, code := range a.Kept {
			if i > 0 {
				reasons += ", "
			}
			reasons += words(p.Page, "rights.kept.", code)
		}
		return p.Say("rights.class.kept", "reasons", reasons)
	case !a.RunOn.IsZero():
		return p.Say("rights.class.goes", "due", a.DueOn, "run", a.RunOn, "period", period)
	case !a.DueOn.IsZero():
		return p.Say("rights.class.due", "due", a.DueOn, "period", period)
	}
	return p.Say("rights.class.unknown")
}

// ClassName is what a class is called.
func (p rightPage) ClassName(class retention.Class) string {
	return words(p.Page, "client.class.", string(class))
}

// actOnRight does one step of a request and shows the request again.
func (s *Server) actOnRight(act string) http.HandlerFunc {
	return edge.Handle(func(w http.ResponseWriter, r *http.Request) error {
		id, err := rights.ParseID(chi.URLParam(r, "request"))
		if err != nil {
			return err
		}
		f, err := parse(r)
		if err != nil {
			return err
		}
		err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
			_, err := f.once(r.Context(), tx, func() (string, error) { return "", f.right(r.Context(), tx, id, act) })
			return err
		})
		if err == nil {
			return to(w, r, "/rettigheter/"+id.String(), edge.Flash{Key: "rights.flash." + act})
		}
		if !edge.Fixable(err) {
			return err
		}
		page := rightPage{Page: edge.NewPage(r), Open: act, Form: map[string]string{}}
		for name := range f.Values {
			page.Form[name] = f.Get(name)
		}
		page.Undone = "rights.not_done"
		return s.showRight(w, r, page.Fail(err), page)
	})
}

func (f *form) right(ctx context.Context, tx *pg.Tx, id [16]byte, act string) error {
	switch act {
	case "forbered":
		return rights.Prepare(ctx, tx, id, rights.Preparation{
			Answer: f.text("answer"), Recipients: f.text("recipients"), Statement: f.text("statement"), RestrictionGround: f.Get("restriction_ground"),
		})
	case "send-tilbake":
		return rights.Return(ctx, tx, id, f.text("remark"))
	case "frigi":
		return rights.Release(ctx, tx, id, f.date("run_on"))
	case "avsla":
		return rights.Refuse(ctx, tx, id, rights.Refusal{Ground: f.Get("refusal_ground"), Decision: f.text("decision")})
	case "trekk":
		return rights.Withdraw(ctx, tx, id)
	case "forleng":
		return rights.Extend(ctx, tx, id, f.Get("extension_reason"), f.date("told_on"))
	case "opphev":
		return rights.Lift(ctx, tx, id, f.date("told_on"), f.text("lift_reason"))
	}
	return problem.NotFound{What: "page"}
}
