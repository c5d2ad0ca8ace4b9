package admin

import (
	"net/http"
	"slices"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// roundsPage is /runder: what waits for the reader first, then what is under way, the groups ahead, and what is done.
type roundsPage struct {
	edge.Page
	Alarms   []deletion.Alarm
	Mine     []roundLine
	UnderWay []roundLine
	Ahead    []roundLine
	Done     []roundLine
	MayAsk   bool
}

// roundLine is a round in a list.
type roundLine struct {
	Number  string
	Extra   bool
	RunOn   calendar.Date
	Items   int
	Counted bool
	State   string
	Stands  deletion.State
	Act     string // what there is to do, in words; empty: only to look at
	Primary bool
	Proof   bool // there is a protocol
}

func init() {
	line := roundLine{Number: "3218-231001", RunOn: calendar.On(2023, 10, 1), Items: 51, Counted: true, State: "x", Act: "y", Primary: true, Proof: true}
	edge.Pages["rounds"] = roundsPage{
		Alarms: []deletion.Alarm{{Code: "overdue", Number: "3218-230701", RunOn: calendar.On(2023, 7, 1)}},
		Mine:   []roundLine{line}, UnderWay: []roundLine{line}, Ahead: []roundLine{line}, Done: []roundLine{line}, MayAsk: true,
	}
}

func (s *Server) rounds(w http.ResponseWriter, r *http.Request) error {
	page := roundsPage{Page: edge.NewPage(r)}
	page.MayAsk = page.Caller.Can(access.OrderAsk)
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := ofMunicipality(tx); err != nil {
			return err
		}
		var err error
		if page.Alarms, err = deletion.Alarms(r.Context(), tx); err != nil {
			return err
		}
		rounds, err := deletion.Rounds(r.Context(), tx)
		if err != nil {
			return err
		}
		for _, round := range rounds {
			line := roundLine{Number: round.Number, Extra: round.Kind == "extra", RunOn: round.RunOn, State: stateWords(page.Page, round), Stands: round.State}
			var tally []deletion.Outcome
			switch round.State {
			case deletion.Finished:
				line.Items, line.Counted, line.Proof = deref(round.ApprovedCount), true, true
			case deletion.Cancelled, deletion.Lapsed:
			default: // a few at most: the calendar's groups and what is under way
				if tally, err = deletion.Tally(r.Context(), tx, round.ID); err != nil {
					return err
				}
				line.Items = deletion.Count(tally, deletion.ItemPlaced, deletion.ItemReady, deletion.ItemBlocked, deletion.ItemPurged)
				line.Counted = true
			}
			page.sort(round, line, deletion.Count(tally, deletion.ItemBlocked))
		}
		slices.Reverse(page.Done)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range page.Mine {
		page.Mine[i].Primary = i == 0
	}
	return edge.Render(w, r, http.StatusOK, "rounds", page)
}

// sort puts the round where the reader looks for it.
func (p *roundsPage) sort(round deletion.Round, line roundLine, blocked int) {
	switch {
	case p.Caller.Can(access.RoundApprove) && round.State == deletion.Controlled:
		line.Act = p.Say("rounds.act.decide")
		p.Mine = append(p.Mine, line)
	case p.Caller.Can(access.RoundApprove) && round.State == deletion.Paused && round.Braked():
		line.Act = p.Say("rounds.act.brake")
		p.Mine = append(p.Mine, line)
	case p.Caller.Can(access.ClientWrite) && blocked > 0 && (round.State == deletion.Proposed || round.State == deletion.Controlled):
		line.Act = p.SayN("rounds.act.blockers", blocked)
		p.Mine = append(p.Mine, line)
	case round.State == deletion.Open:
		p.Ahead = append(p.Ahead, line)
	case round.State == deletion.Finished || round.State == deletion.Cancelled || round.State == deletion.Lapsed:
		p.Done = append(p.Done, line)
	default:
		p.UnderWay = append(p.UnderWay, line)
	}
}
