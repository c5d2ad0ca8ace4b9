package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// decision is which of a round's forms stands open on its page.
type decision string

const (
	decideNothing decision = ""
	decideApprove decision = "approve"
	decideReject  decision = "reject"
	decideCancel  decision = "cancel"
	decideBrake   decision = "brake"
)

// roundPage is /runder/{number}: where the round stands, what there is to decide, who goes and who stays.
type roundPage struct {
	edge.Page
	Round      deletion.Round
	State      string // in words
	Late       string // that it should have been run, and whom it waits for; empty when it is not late
	Steps      []roundStep
	Outcomes   []outcomeGroup
	Total      int
	Ready      int
	Stays      int
	Withdrawn  int
	NextRun    calendar.Date
	Checks     []checkLine
	InStock    int
	Missing    int // findings
	Log        []roundAct
	Policy     municipality.Policy
	Progress   deletion.Progress
	Changed    bool // the list is not what the control left
	Share      string
	Hash       string
	Open       decision
	MayDecide  bool
	Why        string // why the caller may not decide
	Others     string // who may
	Cooling    string // what is left of the cooling-off period
	CoolingMax int
	CoolingNow int
	Form       decisionForm
}

// checkLine is a spot check with its finding in words.
type checkLine struct {
	deletion.SpotCheck
	Found string
}

// roundStep is one of the five steps.
type roundStep struct {
	Name  string
	Done  bool
	Now   bool
	Lines []string
}

// outcomeGroup is a part of the table of who goes and who stays.
type outcomeGroup struct {
	Head string
	Sum  bool // the sum of the groups above stands before it
	Rows []outcomeRow
}

// outcomeRow is one line of it.
type outcomeRow struct {
	Key       string // names the list of clients; empty when there is none to see
	Name      string
	Does      string
	Items     int
	Escalated int // of them, carried over for the third time or more
}

// roundAct is one line of who did what.
type roundAct struct {
	What   string
	Who    string
	At     edge.Instant
	Detail string
	Remark string
	at     time.Time
}

// decisionForm is what somebody typed in one of the forms.
type decisionForm struct {
	Remark      string
	Code        string
	AcceptBrake bool
}

func init() {
	at := time.Date(2023, 9, 19, 6, 2, 0, 0, time.UTC)
	brake, n := "share", 42
	sample := roundPage{
		Round: deletion.Round{
			Number: "3218-231001", RunOn: calendar.On(2023, 10, 1), State: deletion.Controlled, Kind: "scheduled", Brake: &brake, ReadyCount: &n, Population: &n, SampleSize: &n,
			ControlledAt: &at, SampleSeed: new(int64), ControlAskedAt: &at, CoolingOffUntil: &at, ApprovedCount: &n,
		},
		Steps:    []roundStep{{Name: "a", Done: true, Lines: []string{"b"}}, {Name: "c", Now: true}},
		Outcomes: []outcomeGroup{{Rows: []outcomeRow{{Key: "ready", Name: "a", Does: "b", Items: 42}}}, {Head: "h", Rows: []outcomeRow{{Name: "c", Items: 2, Escalated: 1}}}},
		Total:    51, Ready: 42, Stays: 9, NextRun: calendar.On(2024, 1, 1), Checks: []checkLine{{deletion.SpotCheck{Position: 1, Code: "300127", Kind: "GPS"}, "x"}},
		Log:       []roundAct{{What: "a", Who: "b", Detail: "c", Remark: "d"}},
		MayDecide: true, Hash: "c41f", Policy: municipality.DefaultPolicy, Share: "3,5",
	}
	edge.Pages["round"] = sample
}

func (s *Server) round(open decision) edge.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		page, err := s.roundPage(r, open)
		if err != nil {
			return err
		}
		still(w, r, page.phase())
		return edge.Render(w, r, http.StatusOK, "round", page)
	}
}

// phase is what the page's living part looks like: when it changes, the whole page must.
func (p roundPage) phase() string {
	if p.Round.State == deletion.Approved && p.Round.CoolingOff(p.Clock) {
		return "cooling"
	}
	return string(p.Round.State)
}

// Phase is phase for the template.
func (p roundPage) Phase() string { return p.phase() }

// Live reports whether something on the page moves by itself.
func (p roundPage) Live() bool {
	return p.phase() == "cooling" || p.Round.State == deletion.Running || p.Round.State == deletion.Verifying
}

// Ended reports whether nothing more happens to the round.
func (p roundPage) Ended() bool {
	return slices.Contains([]deletion.State{deletion.Finished, deletion.Cancelled, deletion.Lapsed}, p.Round.State)
}

// AcceptBrake is the box of an approver who wants this many clients deleted.
func (p roundPage) AcceptBrake() edge.Input {
	return p.Field("accept_brake", p.Form.AcceptBrake)
}

// Reasons are the choices of reject and cancel.
func (p roundPage) Reasons(label string) edge.Input {
	var choices []edge.Option
	for _, code := range deletion.RejectCodes {
		choices = append(choices, edge.Option{Value: code, Label: p.Say("rounds.reject." + code)})
	}
	id := "f-code"
	if p.Open == decideNothing { // both forms are on the page, in dialogs: a label belongs to the field of its own form
		id = "f-" + strings.ReplaceAll(label, ".", "-")
	}
	return p.Select("code", p.Form.Code, choices, "label="+label, "id="+id)
}

// CoolingUntil is when the cooling-off period would end if the round were approved now.
func (p roundPage) CoolingUntil() time.Time { return p.Clock.Add(p.Policy.CoolingOff) }

// CoolingSpan is how long the municipality's cooling-off period is.
func (p roundPage) CoolingSpan() string { return span(p.Page, p.Policy.CoolingOff) }

// Seed is the sample's seed as it is said to others: digits only.
func (p roundPage) Seed() string { return seedWords(deref(p.Round.SampleSeed)) }

// Population and Controlled are how many clients the municipality had, and how many were ready at the control.
func (p roundPage) Population() int { return deref(p.Round.Population) }
func (p roundPage) Controlled() int { return deref(p.Round.ReadyCount) } // Controlled is the control's count.

// Deviations is how many findings are not "in stock".
func (p roundPage) Deviations() int { return len(p.Checks) - p.InStock - p.Missing }

// When is the day on which the round runs at the earliest; once that has come, it is whenever the operator starts it (D7).
func (p roundPage) When() string {
	if p.Today().Before(p.Round.RunOn) {
		return p.Say("rounds.when.on", "date", p.Round.RunOn)
	}
	return p.Say("rounds.when.run")
}

// PurgedPercent is how much of the approved list is settled.
func (p roundPage) PurgedPercent() int {
	if p.Progress.Frozen == 0 {
		return 100
	}
	return p.Progress.Settled * 100 / p.Progress.Frozen
}

// Left is how many approved clients have not been handled yet.
func (p roundPage) Left() int { return p.Progress.Frozen - p.Progress.Settled }

// Sum is the check sum in short, and in full.
func (p roundPage) Sum() string   { return short(p.Hash) }
func (p roundPage) Whole() string { return spaced(p.Hash) } // Whole is all of it.

func (s *Server) roundPage(r *http.Request, open decision) (roundPage, error) {
	page := roundPage{Page: edge.NewPage(r), Open: open}
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		return page.fill(ctx, tx, round)
	})
	return page, err
}

func (p *roundPage) fill(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
	p.Round, p.State, p.Hash = round, standing(p.Page, round), hexSum(round.ApprovedHash)
	if overdue(p.Page, round) {
		p.Late = stateWords(p.Page, round)
	}
	tally, err := deletion.Tally(ctx, tx, round.ID)
	if err != nil {
		return err
	}
	var groups []deletion.Round
	if p.Policy, groups, err = policyAndGroups(ctx, tx); err != nil {
		return err
	}
	p.NextRun = nextRun(groups, round, p.Today())
	checks, err := deletion.SpotChecks(ctx, tx, round.ID)
	if err != nil {
		return err
	}
	for _, c := range checks {
		line := checkLine{c, p.Say("rounds.spot.missing")}
		if c.Finding == nil {
			p.Missing++
		} else {
			line.Found = p.Say("support.finding." + *c.Finding)
		}
		if deref(c.Finding) == deletion.FoundInStock {
			p.InStock++
		}
		p.Checks = append(p.Checks, line)
	}
	escalated, err := p.escalated(ctx, tx)
	if err != nil {
		return err
	}
	p.count(tally, escalated)
	staff, err := account.Staff(ctx, tx)
	if err != nil {
		return err
	}
	hands, err := deletion.Hands(ctx, tx, round.ID)
	if err != nil {
		return err
	}
	events, err := deletion.Events(ctx, tx, round.ID)
	if err != nil {
		return err
	}
	if p.Progress, err = deletion.ProgressOf(ctx, tx, round.ID); err != nil {
		return err
	}
	p.step(staff)
	p.tell(staff, hands, events)
	p.cool()
	return p.may(deletion.MayApprove(ctx, tx, round), staff, hands)
}

// escalated counts, by first reason, the clients that stay for the third time or more (D15). Whoever may not read clients
// sees no such mark. Nobody is shown, so nobody is looked at.
func (p *roundPage) escalated(ctx context.Context, tx *pg.Tx) (map[string]int, error) {
	counts := map[string]int{}
	if !tx.Caller.Can(access.ClientRead) || p.Round.State == deletion.Open {
		return counts, nil
	}
	items, err := deletion.Items(ctx, tx, p.Round.ID, []deletion.ItemState{deletion.ItemBlocked, deletion.ItemCarried}, nil, 1000)
	for _, item := range items {
		if item.Carried+1 >= deletion.CarryEscalates && len(item.Reasons) > 0 {
			counts[item.Reasons[0]]++
		}
	}
	return counts, err
}

// count makes the table: first who goes, then who stays and why, then who has left the list.
func (p *roundPage) count(tally []deletion.Outcome, escalated map[string]int) {
	mayList := p.Caller.Can(access.ClientRead)
	var goes, stays, left outcomeGroup
	add := func(group *outcomeGroup, o deletion.Outcome, key, name, does string) {
		if !mayList {
			key = ""
		}
		for i := range group.Rows {
			if group.Rows[i].Name == name {
				group.Rows[i].Items += o.Items
				return
			}
		}
		group.Rows = append(group.Rows, outcomeRow{Key: key, Name: name, Does: does, Items: o.Items})
	}
	run := map[string]any{"when": p.When()}
	for _, o := range tally {
		reason, does := p.Say("rounds.reason."+o.Reason), p.Say("rounds.reason."+o.Reason+".does")
		switch o.State {
		case deletion.ItemPlaced:
			add(&goes, o, "placed", p.Say("rounds.outcome.placed"), p.Say("rounds.outcome.placed.does"))
		case deletion.ItemReady:
			p.Ready += o.Items
			add(&goes, o, "ready", p.Say("rounds.outcome.ready"), p.Text.Say("rounds.outcome.ready.does", run))
		case deletion.ItemPurged:
			add(&goes, o, "", p.Say("rounds.outcome.purged"), p.Say("rounds.outcome.purged.does"))
		case deletion.ItemBlocked, deletion.ItemCarried:
			p.Stays += o.Items
			add(&stays, o, string(o.State)+":"+o.Reason, reason, does)
		case deletion.ItemWithdrawn, deletion.ItemMoved:
			p.Withdrawn += o.Items
			add(&left, o, string(o.State)+":"+o.Reason, reason, does)
			continue
		}
		p.Total += o.Items
	}
	for i, row := range stays.Rows {
		for reason, n := range escalated {
			if row.Name == p.Say("rounds.reason."+reason) {
				stays.Rows[i].Escalated = n
			}
		}
	}
	byCount := func(a, b outcomeRow) int { return cmp.Or(b.Items-a.Items, cmp.Compare(a.Name, b.Name)) }
	slices.SortFunc(stays.Rows, byCount)
	slices.SortFunc(left.Rows, byCount)
	stays.Head = p.Say("rounds.outcome.stays")
	switch p.Round.State {
	case deletion.Open, deletion.Proposed, deletion.Controlled:
		if !p.NextRun.IsZero() {
			stays.Head = p.Say("rounds.outcome.stays_until", "date", p.NextRun)
		}
	default: // they have moved on already
		stays.Head = p.Say("rounds.outcome.stayed")
	}
	left.Head = p.Say("rounds.outcome.left")
	left.Sum = true
	for _, group := range []outcomeGroup{goes, stays, left} {
		if len(group.Rows) > 0 || group.Sum && p.Total > 0 {
			p.Outcomes = append(p.Outcomes, group)
		}
	}
	if len(left.Rows) == 0 && p.Total > 0 {
		p.Outcomes[len(p.Outcomes)-1].Head = ""
	}
	p.Changed = p.Round.ReadyCount != nil && p.Round.State == deletion.Controlled && *p.Round.ReadyCount != p.Ready
	if p.Round.Population != nil {
		part := p.Ready
		if p.Round.ApprovedCount != nil {
			part = *p.Round.ApprovedCount
		}
		p.Share = share(p.Page, part, *p.Round.Population)
	}
}

// step fills the five steps, each with who and when; the present one with its next deadline.
func (p *roundPage) step(staff people) {
	r := p.Round
	rank := map[deletion.State]int{deletion.Open: 0, deletion.Proposed: 1, deletion.Controlled: 2, deletion.Approved: 3, deletion.Running: 3, deletion.Paused: 3, deletion.Verifying: 3, deletion.Finished: 5}[r.State]
	ended := r.State == deletion.Cancelled || r.State == deletion.Lapsed
	if ended {
		switch {
		case r.ApprovedAt != nil:
			rank = 3
		case r.ControlledAt != nil:
			rank = 2
		case r.ProposedAt != nil:
			rank = 1
		}
	}
	when := func(at *time.Time) []string {
		if at == nil {
			return nil
		}
		return []string{p.Text.DateTime(*at, p.Zone)}
	}
	steps := []roundStep{
		{Name: p.Say("rounds.step.proposed"), Lines: append([]string{"Frist"}, when(r.ProposedAt)...)},
		{Name: p.Say("rounds.step.controlled")},
		{Name: p.Say("rounds.step.approved")},
		{Name: p.Say("rounds.step.running")},
		{Name: p.Say("rounds.step.finished")},
	}
	if r.ProposedAt == nil {
		steps[0].Lines = []string{p.Say("rounds.step.from", "date", r.RunOn.AddDays(-deletion.LeadDays))}
	}
	if r.ControlledAt != nil {
		steps[1].Lines = append([]string{p.Say("rounds.who.support")}, when(r.ControlledAt)...)
	} else if r.State == deletion.Proposed {
		steps[1].Lines = []string{p.Say("rounds.who.support"), p.Say("rounds.step.control_by")}
	}
	if r.ApprovedAt != nil {
		steps[2].Lines = append([]string{staff.name(p.Page, deref(r.ApprovedBy), "")}, when(r.ApprovedAt)...)
	} else if r.State == deletion.Controlled {
		who := p.Say("rounds.step.approver")
		if p.Caller.Can(access.RoundApprove) {
			who = p.Say("rounds.step.yours")
		}
		steps[2].Lines = []string{who}
		if by := r.RunOn.AddDays(-int((p.Policy.CoolingOff + 24*time.Hour - 1) / (24 * time.Hour))); !by.Before(p.Today()) {
			steps[2].Lines = append(steps[2].Lines, p.Say("rounds.step.by", "date", by))
		}
	}
	switch {
	case r.StartedAt != nil:
		steps[3].Lines = append([]string{p.Say("rounds.who.operator")}, when(r.StartedAt)...)
		if r.State == deletion.Verifying || r.State == deletion.Paused {
			steps[3].Lines = append(steps[3].Lines, p.Say("rounds.step."+string(r.State)))
		}
	default:
		if r.CoolingOff(p.Clock) {
			steps[3].Lines = []string{p.Say("rounds.step.cooling_off", "until", p.Text.DateTime(*r.CoolingOffUntil, p.Zone))}
		}
		steps[3].Lines = append(steps[3].Lines, p.Say("rounds.step.earliest", "date", r.RunOn))
	}
	steps[4].Lines = []string{p.Say("rounds.step.protocol")}
	if r.FinishedAt != nil {
		steps[4].Lines = when(r.FinishedAt)
	}
	for i := range steps {
		steps[i].Done = i < rank
		steps[i].Now = i == rank && !ended
	}
	p.Steps = steps
}

// tell lists who did what, newest first.
func (p *roundPage) tell(staff people, hands []deletion.Hand, events []deletion.Event) {
	for _, e := range events {
		act := roundAct{What: p.Say("rounds.event." + e.Act), Who: staff.name(p.Page, e.AccountID, e.Role), At: p.Instant(e.At), Remark: e.Remark, at: e.At}
		switch e.Act {
		case "rejected", "cancelled":
			act.Detail = p.Say("rounds.reject." + e.Code)
		case "brake", "brake_lifted":
			act.Detail = p.Say("rounds.brake." + e.Code)
		case "incident":
			act.Detail = p.Say("rounds.incident." + e.Code)
		case "ordered":
			act.Detail = p.Say("orders.reason." + e.Code)
		case "controlled":
			act.Detail = p.SayN("rounds.detail.controlled", len(p.Checks))
		case "approved":
			act.Detail = p.Say("rounds.detail.approved", "sum", short(p.Hash))
		}
		p.Log = append(p.Log, act)
	}
	for _, h := range hands {
		if h.Act == "controlled" || h.Act == "ordered" || h.Act == "asked" {
			continue // told by their events
		}
		p.Log = append(p.Log, roundAct{What: p.SayN("rounds.hand."+h.Act, h.Times), Who: staff.name(p.Page, h.AccountID, ""), At: p.Instant(h.LastAt), at: h.LastAt})
	}
	slices.SortStableFunc(p.Log, func(a, b roundAct) int { return b.at.Compare(a.at) })
}

// cool tells how far the cooling-off period has come.
func (p *roundPage) cool() {
	if !p.Round.CoolingOff(p.Clock) || p.Round.ApprovedAt == nil {
		return
	}
	p.Cooling = span(p.Page, p.Round.CoolingOffUntil.Sub(p.Clock))
	p.CoolingMax = int(p.Round.CoolingOffUntil.Sub(*p.Round.ApprovedAt) / time.Second)
	p.CoolingNow = int(p.Clock.Sub(*p.Round.ApprovedAt) / time.Second)
}

// may tells whether the reader may decide, and if not, what they did and who may (D13). Any other error comes back.
func (p *roundPage) may(verdict error, staff people, hands []deletion.Hand) error {
	var no problem.Forbidden
	if verdict == nil {
		p.MayDecide = true
		return nil
	}
	if !errors.As(verdict, &no) {
		return verdict
	}
	if no.Code != "own_hand" {
		return nil
	}
	var did []string
	for _, h := range hands {
		if h.AccountID == p.Caller.Account {
			did = append(did, p.SayN("rounds.own_hand."+h.Act, h.Times, "date", p.Date(h.LastAt)))
		}
	}
	p.Why = did[0]
	var can []string
	for id, m := range staff {
		touched := slices.ContainsFunc(hands, func(h deletion.Hand) bool { return h.AccountID == id })
		if id != p.Caller.Account && slices.Contains(m.Roles, access.Approver) && !touched {
			can = append(can, m.Name)
		}
	}
	slices.Sort(can)
	switch len(can) {
	case 0:
		p.Others = p.Say("rounds.others.none")
	case 1:
		p.Others = p.Say("rounds.others.one", "name", can[0])
	default:
		p.Others = p.SayN("rounds.others.more", len(can)-1, "name", can[0])
	}
	return nil
}
