package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/go-chi/chi/v5"
)

func init() {
	d := device.Connection{Device: device.Device{Code: "300412", Kind: "safety_alarm"}}
	edge.Pages["client-deletion"] = deletionPage{
		clientHead: sampleHead(""), OnClient: []device.Connection{d}, OnDwelling: []device.Connection{d}, Neighbours: []client.Resident{{GivenName: "Arne", FamilyName: "Hansen", Status: client.Active}},
		AccessRule: retention.Rule{Version: 1, PeriodMonths: 60, Inclusive: true}, PlacedBy: "Kari Nordmann", Today: calendar.On(2023, 9, 19),
	}
}

// deletionPage is the client's first tab: what stands in the way, the group, and when each kind of data goes.
type deletionPage struct {
	clientHead
	OnClient   []device.Connection
	OnDwelling []device.Connection
	Neighbours []client.Resident // the others at the address, without protected ones (D21)
	AccessRule retention.Rule
	PlacedBy   string // empty: Frist itself
	Today      calendar.Date
	Group      string // what was chosen in the form
	Reason     string
}

func (s *Server) clientDeletion(w http.ResponseWriter, r *http.Request) error {
	page := deletionPage{}
	err := s.showDeletion(w, r, http.StatusOK, &page)
	if refusal := (problem.Forbidden{}); errors.As(err, &refusal) && refusal.Code == "restricted" {
		id, _ := client.ParseID(chi.URLParam(r, "client")) // it was read already
		return s.showRestricted(w, r, id)
	}
	return err
}

func (s *Server) showDeletion(w http.ResponseWriter, r *http.Request, status int, page *deletionPage) error {
	id, err := page.begin(r)
	if err != nil {
		return err
	}
	page.Today = page.Page.Today()
	return edge.Show(w, r, status, "client-deletion", page, func(tx *pg.Tx) error { return page.load(r.Context(), tx, id) })
}

// load asks for the tab together with the head: it is the page that is opened most.
func (p *deletionPage) load(ctx context.Context, tx *pg.Tx, id client.ID) error {
	var staff map[int64]account.StaffMember
	err := tx.Together(ctx,
		func() error { return openClient(ctx, tx, &p.clientHead, id, "") },
		func() (err error) { p.OnClient, err = device.OnClient(ctx, tx, id); return err },
		func() (err error) { p.OnDwelling, err = device.OnDwelling(ctx, tx, id); return err },
		func() error {
			rules, err := retention.RulesOn(ctx, tx, p.Date(tx.Now()))
			p.AccessRule = rules[retention.AccessLog]
			return err
		},
		func() (err error) { staff, err = account.Staff(ctx, tx); return err },
	)
	if err != nil {
		return err
	}
	p.PlacedBy = staff[p.Placement.PlacedBy].Name
	if len(p.OnDwelling) > 0 {
		p.Neighbours, err = neighbours(ctx, tx, p.Client)
	}
	return err
}

// neighbours are the others who live at the client's address; that they were shown is written down (D25).
func neighbours(ctx context.Context, tx *pg.Tx, c client.Client) ([]client.Resident, error) {
	if c.AddressID == nil {
		return nil, nil
	}
	residents, err := client.Residents(ctx, tx, *c.AddressID)
	if err != nil {
		return nil, err
	}
	var others []client.Resident
	var ids []client.ID
	for _, r := range residents {
		if r.ID != c.ID {
			others, ids = append(others, r), append(ids, r.ID)
		}
	}
	audit.Looked(tx, "client.neighbours", "record", ids...)
	return others, nil
}

// Active are the neighbours to whom a device of the address can be handed (D19).
func (p deletionPage) Active() []client.Resident { return activeOf(p.Neighbours) }

func activeOf(residents []client.Resident) []client.Resident {
	var active []client.Resident
	for _, r := range residents {
		if r.Status == client.Active {
			active = append(active, r)
		}
	}
	return active
}

// Checks are the controls that found nothing.
func (p deletionPage) Checks() []string {
	if !p.Client.Status.Inactive() {
		return nil
	}
	a := p.Placement.Assessment
	var passed []string
	for _, c := range []retention.Code{retention.DeviceOnClient, retention.DeviceOnAddress, retention.Held, retention.DuplicateActive, retention.ArchiveUnanswered, retention.TooEarly} {
		if !a.Has(c) && (c != retention.TooEarly || !a.DueOn.IsZero()) {
			passed = append(passed, p.Say("client.check."+string(c)))
		}
	}
	return passed
}

// Later is the group to which a person may put the client off: one run later than the first lawful one (D10). Nil when
// the client lies there already.
func (p deletionPage) Later() *deletion.Round {
	if p.Placement.Round == nil || !p.first().Before(p.Placement.Round.RunOn) && p.Placement.Round.RunOn != p.first() {
		return nil
	}
	for i, g := range p.Groups {
		if g.RunOn.After(p.Placement.Round.RunOn) && !g.RunOn.After(p.first().AddMonths(3)) {
			return &p.Groups[i]
		}
	}
	return nil
}

// first is the date of the first open group on or after the lawful day.
func (p deletionPage) first() calendar.Date {
	for _, g := range p.Groups {
		if !g.RunOn.Before(p.Placement.Assessment.DueOn) {
			return g.RunOn
		}
	}
	return calendar.Date{}
}

// GroupOptions are the open groups but the client's own. Those that are too early stand there too: whoever presses is told
// from when on, and why.
func (p deletionPage) GroupOptions() []edge.Option {
	var options []edge.Option
	if p.GroupChosen() == "" {
		options = append(options, edge.Option{Label: p.Say("client.choose")})
	}
	for _, g := range p.Groups {
		if p.Placement.Round != nil && p.Placement.Round.ID == g.ID {
			continue
		}
		label := g.RunOn.Short()
		switch {
		case g.RunOn.Before(p.Placement.Assessment.DueOn):
			label = p.Say("client.group.early", "date", label)
		case g.RunOn.After(p.first().AddMonths(3)):
			label = p.Say("client.group.late", "date", label)
		}
		options = append(options, edge.Option{Value: strconv.FormatInt(g.ID, 10), Label: label})
	}
	return options
}

// GroupChosen is what the person chose, else the first group that is neither too early nor too late; empty when there is
// no other than the client's own.
func (p deletionPage) GroupChosen() string {
	if p.Group != "" {
		return p.Group
	}
	for _, g := range p.Groups {
		if own := p.Placement.Round != nil && p.Placement.Round.ID == g.ID; !own && !g.RunOn.Before(p.Placement.Assessment.DueOn) && !g.RunOn.After(p.first().AddMonths(3)) {
			return strconv.FormatInt(g.ID, 10)
		}
	}
	return ""
}
