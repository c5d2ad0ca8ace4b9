package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
)

// supportRoundPage is /support/runder/{number}: everything checked, as counts, and the sample by device code.
type supportRoundPage struct {
	edge.Page
	Round      deletion.Round
	Owner      municipality.Municipality
	State      string
	Controls   []controlLine
	Checked    int
	Stays      int
	Ready      int
	Left       int // have left the group
	Checks     []spotCheck
	Found      int
	Cover      municipality.Cover                // what covers the control today
	Asked      []municipality.InstructionRequest // of this round, the newest first
	Pending    bool                              // the control runs
	Editable   bool                              // findings can be entered
	Growing    bool                              // a deviation was found, and the sample is about to grow
	Deviations int
	Grown      int // spot checks that were drawn because of deviations
}

// controlLine is one kind of thing that was checked for every client.
type controlLine struct {
	Name  string
	Found int
}

// spotCheck is one drawn device and its form.
type spotCheck struct {
	deletion.SpotCheck
	Stock   string
	Error   string
	Choices []edge.Option
}

func init() {
	finding := deletion.FoundInStock
	edge.Pages["support-round"] = supportRoundPage{
		Round:    deletion.Round{Number: "1580-231001", RunOn: calendar.On(2023, 10, 1), SampleSeed: new(int64), SampleSize: new(int)},
		Controls: []controlLine{{"a", 0}, {"b", 2}}, Editable: true,
		Asked:  []municipality.InstructionRequest{{State: "asked"}, {State: "no", Answer: "x"}},
		Checks: []spotCheck{{SpotCheck: deletion.SpotCheck{Position: 1, Code: "158127", Kind: "GPS", Finding: &finding}, Error: "e", Choices: []edge.Option{{Value: "a", Label: "b", Chosen: true}}}},
	}
}

// findings are the choices at each device (D27).
var findings = []string{deletion.FoundInStock, deletion.FoundNot, deletion.FoundStillAnswers}

// controls are the checks that every client passes through, in the order of the page.
var controls = []retention.Code{
	retention.Reactivated, retention.TooEarly, retention.DeviceOnClient, retention.DeviceOnAddress, retention.Held, retention.DuplicateActive,
	retention.ArchiveUnanswered, retention.ToPreserve, retention.MissingRule, retention.NoStartDate, retention.OpenRequest, retention.Restricted,
}

func (s *Server) supportRound(w http.ResponseWriter, r *http.Request) error {
	page, err := s.supportRoundPage(r)
	if err != nil {
		return err
	}
	still(w, r, page.Phase())
	return edge.Render(w, r, http.StatusOK, "support-round", page)
}

// Phase is what the page waits for: when it changes, the page is loaded anew.
func (p supportRoundPage) Phase() string {
	switch {
	case p.Pending:
		return "pending"
	case p.Growing:
		return growing
	}
	return string(p.Round.State)
}

const growing = "growing"

// Seed is the sample's seed, as digits; empty before it is drawn.
func (p supportRoundPage) Seed() string {
	if p.Round.SampleSeed == nil {
		return ""
	}
	return seedWords(*p.Round.SampleSeed)
}

// InstructionNumber is the instruction that covers the control, as digits.
func (p supportRoundPage) InstructionNumber() string {
	if p.Cover.Instruction == nil {
		return ""
	}
	return strconv.FormatInt(*p.Cover.Instruction, 10)
}

// Waits reports whether the municipality has been asked and has not answered.
func (p supportRoundPage) Waits() bool {
	return slices.ContainsFunc(p.Asked, func(r municipality.InstructionRequest) bool { return r.State == "asked" })
}

// Open is how many spot checks wait for their finding.
func (p supportRoundPage) Open() int { return len(p.Checks) - p.Found }

func (s *Server) supportRoundPage(r *http.Request) (supportRoundPage, error) {
	page := supportRoundPage{Page: edge.NewPage(r)}
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := tx.Require(access.RoundControl); err != nil {
			return err
		}
		if round.State == deletion.Open {
			return problem.NotFound{What: "round"} // a group that nobody has proposed is the municipality's own
		}
		if page.take(round); page.Growing && r.URL.Query().Get("tilstand") == growing {
			return nil // only asks whether they are drawn: nothing is shown anew
		}
		return page.fill(ctx, tx, round)
	})
	return page, err
}

func (p *supportRoundPage) take(round deletion.Round) {
	p.Round, p.State = round, stateWords(p.Page, round)
	p.Pending = round.State == deletion.Proposed && round.ControlAskedAt != nil && round.ReadyCount == nil
	p.Editable = round.State == deletion.Proposed && round.ReadyCount != nil
	p.Growing = p.Editable && round.SampleSize == nil
}

func (p *supportRoundPage) fill(ctx context.Context, tx *pg.Tx, round deletion.Round) (err error) {
	if p.Owner, err = municipality.Current(ctx, tx); err != nil {
		return err
	}
	p.Zone = p.Owner.Zone
	if p.Cover, err = municipality.CoverFor(ctx, tx, municipality.PreRunControl, round.ID); err != nil {
		return err
	}
	if p.Asked, err = municipality.InstructionRequests(ctx, tx, round.ID); err != nil {
		return err
	}
	tally, err := deletion.Tally(ctx, tx, round.ID)
	if err != nil {
		return err
	}
	p.count(tally)
	var checks []deletion.SpotCheck
	if p.Cover.Basis() != "" { // without, nobody of support looks at a device
		if checks, err = deletion.SpotChecks(ctx, tx, round.ID); err != nil {
			return err
		}
	}
	for _, c := range checks {
		one := spotCheck{SpotCheck: c, Stock: p.Say("support.stock." + c.StockState)}
		if c.Finding != nil {
			p.Found++
			if *c.Finding != deletion.FoundInStock {
				p.Deviations++
			}
		}
		for _, f := range findings {
			one.Choices = append(one.Choices, edge.Option{Value: f, Label: p.Say("support.finding." + f), Chosen: c.Finding != nil && *c.Finding == f})
		}
		p.Checks = append(p.Checks, one)
	}
	policy, err := municipality.PolicyOf(ctx, tx)
	p.Grown = max(len(p.Checks)-policy.SpotCheckSize, 0)
	return err
}

// count tells how many each check holds back, each client once, under the first reason.
func (p *supportRoundPage) count(tally []deletion.Outcome) {
	held := map[string]int{}
	for _, o := range tally {
		switch o.State {
		case deletion.ItemReady, deletion.ItemPurged, deletion.ItemPlaced:
			p.Ready += o.Items
		case deletion.ItemBlocked, deletion.ItemCarried:
			held[o.Reason] += o.Items
			p.Stays += o.Items
		case deletion.ItemWithdrawn, deletion.ItemMoved: // re-activated, held or moved in time: not in this round
			p.Left += o.Items
			continue
		}
		p.Checked += o.Items
	}
	for _, code := range controls {
		p.Controls = append(p.Controls, controlLine{p.Say("support.control." + string(code)), held[string(code)]})
		delete(held, string(code))
	}
	for _, reason := range []string{"spot_check", "late", "failed", "not_run", "moved", "incident"} {
		if n := held[reason]; n > 0 {
			p.Controls = append(p.Controls, controlLine{p.Say("rounds.reason." + reason), n})
			delete(held, reason)
		}
	}
	other := 0
	for _, n := range held {
		other += n
	}
	if other > 0 {
		p.Controls = append(p.Controls, controlLine{p.Say("support.control.other"), other})
	}
}
