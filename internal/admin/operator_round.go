package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// operatorRoundPage is /drift/{number}: the round's facts, the typed confirmation, and how far it has come. It keeps no
// deletion.Round, so that no template can show what the operator does not get.
type operatorRoundPage struct {
	edge.Page
	Round string // its number
	Owner string // the municipality

	Extra    bool
	RunOn    calendar.Date
	Count    string
	State    deletion.State
	Words    string
	Stopped  bool
	Approved *edge.Instant
	Started  *edge.Instant
	Finished *edge.Instant
	Own      bool // started by the reader
	CheckSum string
	MayStart bool
	From     string // when it can be started, while it cannot
	Starting bool   // the form stands open
	Typed    string
	Headway  headway
	Done     string // when it is expected to end
	Events   []operatorEvent
}

// operatorEvent is a step in the round's story: what and when, by which role.
type operatorEvent struct {
	At   edge.Instant
	What string
	Who  string
}

func init() {
	at := edge.Instant{ISO: "2023-10-01T08:00:00+02:00", Words: "01.10.23 kl. 08.00"}
	edge.Pages["operator-round"] = operatorRoundPage{
		Round: "3218-231001", Owner: "3218 Ås", RunOn: calendar.On(2023, 10, 1), Count: "<5", State: deletion.Running, Approved: &at, Started: &at, Finished: &at,
		Own: true, CheckSum: "c41f", MayStart: true, Headway: headway{"197", "121", 62}, Done: "kl. 08.07", Events: []operatorEvent{{at, "a", "b"}},
	}
}

func (s *Server) operatorRound(starting bool) edge.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		page, err := s.operatorRoundPage(r)
		if err != nil {
			return err
		}
		page.Starting = starting && page.MayStart
		still(w, r, string(page.State))
		return edge.Render(w, r, http.StatusOK, "operator-round", page)
	}
}

// Live reports whether the round moves by itself.
func (p operatorRoundPage) Live() bool {
	return p.State == deletion.Running || p.State == deletion.Verifying
}

func (s *Server) operatorRoundPage(r *http.Request) (operatorRoundPage, error) {
	page := operatorRoundPage{Page: edge.NewPage(r)}
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		if err := tx.Require(access.RoundOperate); err != nil {
			return err
		}
		if round.State == deletion.Open {
			return problem.NotFound{What: "round"}
		}
		return page.fill(ctx, tx, round)
	})
	return page, err
}

func (p *operatorRoundPage) fill(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
	owner, err := municipality.Current(ctx, tx)
	if err != nil {
		return err
	}
	p.Zone = owner.Zone
	p.Round, p.Owner, p.Extra, p.RunOn, p.State = round.Number, owner.Number+" "+owner.Name, round.Kind == "extra", round.RunOn, round.State
	p.Words = operatorWords(p.Page, deletion.BoardLine{
		State: round.State, StateSince: round.StateSince, RunOn: round.RunOn, CoolingOffUntil: round.CoolingOffUntil,
		Brake: round.Brake, BrakeLifted: round.BrakeLiftedBy != nil, Incident: round.Incident,
	})
	p.Stopped = round.State == deletion.Paused && (round.Incident != nil || round.Braked())
	p.MayStart = round.State == deletion.Approved && !round.CoolingOff(p.Clock) && !p.Today().Before(round.RunOn)
	if round.State == deletion.Approved && !p.MayStart {
		p.From = round.RunOn.Short()
		if until := round.CoolingOffUntil; until != nil && !round.RunOn.After(p.Date(*until)) {
			p.From = p.Text.DateTime(*until, p.Zone)
		}
	}
	p.Approved, p.Started, p.Finished = p.instant(round.ApprovedAt), p.instant(round.StartedAt), p.instant(round.FinishedAt)
	p.Own = round.StartedBy != nil && *round.StartedBy == p.Caller.Account
	if len(round.ApprovedHash) > 0 {
		p.CheckSum = short(hexSum(round.ApprovedHash))
	}
	progress, err := deletion.ProgressOf(ctx, tx, round.ID)
	if err != nil {
		return err
	}
	switch round.State {
	case deletion.Approved:
		p.Count = few(p.Page, progress.Frozen)
	case deletion.Running, deletion.Paused:
		p.Headway = headwayOf(p.Page, progress.Settled, progress.Frozen)
		p.Done = p.expected(round, progress)
	case deletion.Finished:
		p.Count = few(p.Page, progress.Frozen)
	default:
	}
	events, err := deletion.Events(ctx, tx, round.ID)
	for _, e := range events {
		who := p.Say("operator.role." + e.Role)
		if e.Act == "started" && p.Own {
			who = p.Caller.Name
		}
		p.Events = append(p.Events, operatorEvent{p.Instant(e.At), p.Say("operator.event." + e.Act), who})
	}
	return err
}

func (p *operatorRoundPage) instant(at *time.Time) *edge.Instant {
	if at == nil {
		return nil
	}
	i := p.Instant(*at)
	return &i
}

// expected is when the round will be done at the speed it has had; empty when that would tell a hidden count.
func (p *operatorRoundPage) expected(round deletion.Round, progress deletion.Progress) string {
	left := progress.Frozen - progress.Settled
	if round.State != deletion.Running || round.StartedAt == nil || progress.Settled < 5 || left < 5 {
		return ""
	}
	took := p.Clock.Sub(*round.StartedAt)
	if took <= 0 {
		return ""
	}
	return p.Time(p.Clock.Add(took * time.Duration(left) / time.Duration(progress.Settled)))
}
