package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
)

// roundClientsPage is /runder/{number}/klienter: the clients behind one line of the round's table.
type roundClientsPage struct {
	edge.Page
	Round   deletion.Round
	Outcome string // ready, or state:reason
	Name    string
	Items   []roundClient
	After   string // where the next page begins
	First   bool
}

// roundClient is one client of a round.
type roundClient struct {
	deletion.Item
	Why   string
	Third bool
}

func init() {
	name, number := "Hansen, Solveig", "200051466"
	edge.Pages["round-clients"] = roundClientsPage{
		Name: "a", Outcome: "ready", After: "x",
		Items: []roundClient{{Item: deletion.Item{Name: &name, Number: &number, Carried: 2}, Why: "b", Third: true}, {}},
	}
}

const clientsShown = 100

func (s *Server) roundClients(w http.ResponseWriter, r *http.Request) error {
	page := roundClientsPage{Page: edge.NewPage(r), Outcome: r.URL.Query().Get("utfall")}
	state, reason, _ := strings.Cut(page.Outcome, ":")
	var after *uuid.UUID
	if from := r.URL.Query().Get("etter"); from != "" {
		id, err := uuid.Parse(from)
		if err != nil {
			return problem.NotFound{What: "page"}
		}
		after = &id
	}
	page.First = after == nil
	switch deletion.ItemState(state) {
	case deletion.ItemPlaced, deletion.ItemReady:
		page.Name = page.Say("rounds.outcome." + state)
	case deletion.ItemBlocked, deletion.ItemCarried, deletion.ItemWithdrawn, deletion.ItemMoved:
		page.Name = page.Say("rounds.reason." + reason)
		if !page.Text.Has("rounds.reason." + reason) {
			return problem.NotFound{What: "outcome"}
		}
	default: // the purged are gone
		return problem.NotFound{What: "outcome"}
	}
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) error {
		page.Round = round
		items, more, err := itemsOf(ctx, tx, round.ID, deletion.ItemState(state), reason, after)
		if err != nil {
			return err
		}
		var shown []uuid.UUID
		for _, item := range items {
			if item.Name != nil {
				shown = append(shown, item.ClientID)
			}
			page.Items = append(page.Items, page.line(item))
		}
		if more {
			page.After = items[len(items)-1].ClientID.String()
		} else if page.First {
			slices.SortFunc(page.Items, func(a, b roundClient) int { return strings.Compare(deref(a.Name), deref(b.Name)) })
		}
		audit.Looked(tx, "round.clients", "round", shown...)
		return nil
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "round-clients", page)
}

// itemsOf reads one page of the items of a state whose first reason is reason (any, when empty).
func itemsOf(ctx context.Context, tx *pg.Tx, round int64, state deletion.ItemState, reason string, after *uuid.UUID) (items []deletion.Item, more bool, err error) {
	for {
		batch, err := deletion.Items(ctx, tx, round, []deletion.ItemState{state}, after, 1000)
		if err != nil {
			return nil, false, err
		}
		for _, item := range batch {
			if reason != "" && (len(item.Reasons) == 0 || item.Reasons[0] != reason) {
				continue
			}
			if len(items) == clientsShown {
				return items, true, nil
			}
			items = append(items, item)
		}
		if len(batch) < 1000 {
			return items, false, nil
		}
		after = &batch[len(batch)-1].ClientID
	}
}

func (p roundClientsPage) line(item deletion.Item) roundClient {
	var why []string
	for _, reason := range item.Reasons {
		why = append(why, p.Say("rounds.reason."+reason))
	}
	line := roundClient{Item: item, Why: strings.Join(why, ", ")}
	times := item.Carried
	if item.State == deletion.ItemBlocked || item.State == deletion.ItemCarried {
		times++ // this time counts
	}
	line.Third = times >= deletion.CarryEscalates
	return line
}
