package admin

import (
	"net/http"
	"slices"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// few is a count as the supplier sees it: under five it is "<5" (D26). None is none.
func few(p edge.Page, n int) string {
	if n > 0 && n < 5 || n == deletion.Few {
		return "<5"
	}
	return p.Number(n)
}

// headway is how far a round has come, for the supplier. Handled and left may stand together, but with the total that was
// seen before the start either tells the other: so when one of them is hidden, the other is not told, and the bar moves
// as if five were handled, or left.
type headway struct {
	Handled string // empty: not told
	Left    string
	Percent int
}

func headwayOf(p edge.Page, handled, total int) headway {
	left := total - handled
	switch {
	case left <= 0:
		return headway{Handled: few(p, handled), Left: p.Number(0), Percent: 100}
	case handled <= 0:
		return headway{Handled: p.Number(0), Left: few(p, left)}
	case total < 10: // one of the two is hidden at every moment
		return headway{Percent: 50}
	case handled < 5:
		return headway{Handled: "<5", Percent: 500 / total}
	case left < 5:
		return headway{Left: "<5", Percent: (total - 5) * 100 / total}
	}
	return headway{Handled: p.Number(handled), Left: p.Number(left), Percent: handled * 100 / total}
}

// operatorPage is /drift: rounds by number, municipality, date and count. Nothing on it, nor in its errors, is about a
// person.
type operatorPage struct {
	edge.Page
	Ready   []operatorLine
	Running []operatorLine
	Late    []operatorLine // their date is over, and others must act first
	Coming  []operatorLine
	Done    []operatorLine
	Checked int // of Running, those in the last check
}

// operatorLine is one round.
type operatorLine struct {
	Number       string
	Municipality string
	Extra        bool
	RunOn        calendar.Date
	Count        string // empty: there is none to tell yet
	State        string
	Stopped      bool
	Paused       bool
	Headway      *headway
	Primary      bool
	Proof        bool
}

func init() {
	line := operatorLine{Number: "3218-231001", Municipality: "3218 Ås", RunOn: calendar.On(2023, 10, 1), Count: "42", State: "x", Primary: true, Proof: true}
	running := line
	running.Headway = &headway{"197", "121", 62}
	edge.Pages["operator"] = operatorPage{Ready: []operatorLine{line}, Running: []operatorLine{running}, Late: []operatorLine{line}, Coming: []operatorLine{line}, Done: []operatorLine{line}, Checked: 1}
}

func (s *Server) operator(w http.ResponseWriter, r *http.Request) error {
	page := operatorPage{Page: edge.NewPage(r)}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.RoundOperate); err != nil {
			return err
		}
		board, err := deletion.Board(r.Context(), tx, deletion.Proposed, deletion.Controlled, deletion.Approved, deletion.Running, deletion.Paused,
			deletion.Verifying, deletion.Finished, deletion.Cancelled, deletion.Lapsed)
		for _, b := range board {
			page.sort(b)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(page.Done)
	page.Waiting = map[string]int{"rounds_run": len(page.Ready)}
	return edge.Render(w, r, http.StatusOK, "operator", page)
}

// sort puts a round where the operator looks for it. A count is told from the approval on: what was in the group before
// would, beside it, tell how many were taken out.
func (p *operatorPage) sort(b deletion.BoardLine) {
	line := operatorLine{Number: b.Number, Municipality: b.MunicipalityNumber + " " + b.MunicipalityName, Extra: b.Kind == "extra", RunOn: b.RunOn, State: operatorWords(p.Page, b)}
	switch b.State {
	case deletion.Approved:
		line.Count = few(p.Page, b.Frozen)
		cooling := b.CoolingOffUntil != nil && p.Clock.Before(*b.CoolingOffUntil)
		if cooling || p.Today().Before(b.RunOn) {
			p.wait(b, line)
			return
		}
		line.Primary = len(p.Ready) == 0
		p.Ready = append(p.Ready, line)
	case deletion.Running, deletion.Paused, deletion.Verifying:
		if b.State == deletion.Verifying {
			p.Checked++
		} else {
			h := headwayOf(p.Page, b.Settled, b.Frozen)
			line.Headway = &h
		}
		line.Paused = b.State == deletion.Paused
		line.Stopped = line.Paused && (b.Incident != nil || b.Brake != nil && !b.BrakeLifted)
		p.Running = append(p.Running, line)
	case deletion.Finished:
		line.Count, line.Proof = few(p.Page, b.Frozen), true
		p.Done = append(p.Done, line)
	case deletion.Cancelled, deletion.Lapsed:
		p.Done = append(p.Done, line)
	default:
		p.wait(b, line)
	}
}

func (p *operatorPage) wait(b deletion.BoardLine, line operatorLine) {
	if overdue(p.Page, roundOf(b)) {
		p.Late = append(p.Late, line)
		return
	}
	p.Coming = append(p.Coming, line)
}

// operatorWords is where a round stands, for the supplier, and whether it is late.
func operatorWords(p edge.Page, b deletion.BoardLine) string {
	words := operatorStanding(p, b)
	if overdue(p, roundOf(b)) {
		words = p.Say("rounds.late", "date", b.RunOn, "waits", words)
	}
	return words
}

func operatorStanding(p edge.Page, b deletion.BoardLine) string {
	switch b.State {
	case deletion.Proposed, deletion.Controlled, deletion.Cancelled, deletion.Lapsed:
		return p.Say("operator.state." + string(b.State))
	case deletion.Approved:
		if words := standing(p, roundOf(b)); !strings.EqualFold(words, p.Say("rounds.state.approved")) {
			return words
		}
		return p.Say("operator.state.ready")
	case deletion.Finished:
		return p.Say("rounds.state.finished_at", "when", p.Text.DateTime(b.StateSince, p.Zone))
	}
	return standing(p, roundOf(b))
}
