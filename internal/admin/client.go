package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// clientHead is what every tab of a client shows: who it is, when it goes and what stands in the way.
type clientHead struct {
	edge.Page
	Once      string
	Client    client.Client
	Placement deletion.Placement
	Groups    []deletion.Round // open ones, by date
	Counts    client.ChildCounts
	Devices   int
	Tab       string
}

// openClient reads the head of a client's page and writes the look at it (D25). The number of statements does not depend
// on how much there is. A client of another municipality is problem.NotFound like one that never was.
func openClient(ctx context.Context, tx *pg.Tx, h *clientHead, id client.ID, tab string) error {
	h.Tab, h.Once = tab, newOnce()
	placement := func() (err error) { h.Placement, err = deletion.PlacementOf(ctx, tx, id); return err }
	groups := func() (err error) { h.Groups, err = deletion.OpenGroups(ctx, tx); return err }
	if !h.ShowsDeadline() { // what it is made of is not theirs to read: half of it would make another date
		placement, groups = func() error { return nil }, func() error { return nil }
	}
	return tx.Together(ctx,
		func() (err error) { h.Client, err = client.FindTab(ctx, tx, id, tab); return err },
		placement,
		groups,
		func() (err error) { h.Counts, err = client.Counts(ctx, tx, id); return err },
		func() (err error) { h.Devices, err = device.Count(ctx, tx, id); return err },
	)
}

// head is how a client's page gives its head away to be filled.
func (h *clientHead) head() *clientHead { return h }

// showClient is how a tab is shown: the head first, then what the tab holds. The page's errors, of a form that is shown
// again, stay in it.
func (s *Server) showClient(w http.ResponseWriter, r *http.Request, status int, name string, page interface{ head() *clientHead }, tab string, more func(ctx context.Context, tx *pg.Tx) error) error {
	h := page.head()
	id, err := h.begin(r)
	if err != nil {
		return err
	}
	return edge.Show(w, r, status, name, page, func(tx *pg.Tx) error {
		if err := openClient(r.Context(), tx, h, id, tab); err != nil {
			return err
		}
		return more(r.Context(), tx)
	})
}

// begin fills what the request says, and gives the client that it names.
func (h *clientHead) begin(r *http.Request) (client.ID, error) {
	wrong := h.Errors
	h.Page = edge.NewPage(r)
	h.Errors = wrong
	return client.ParseID(chi.URLParam(r, "client"))
}

// changeClient runs one act on a client, once for each form that was shown (form.once).
func (s *Server) changeClient(r *http.Request, act func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error) (client.ID, *form, error) {
	id, err := client.ParseID(chi.URLParam(r, "client"))
	if err != nil {
		return id, nil, err
	}
	f, err := parse(r)
	if err != nil {
		return id, nil, err
	}
	return id, f, s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		_, err := f.once(r.Context(), tx, func() (string, error) { return "", act(r.Context(), tx, id, f) })
		return err
	})
}

// ShowsDeadline reports whether the reader sees when the client goes: everybody but a visitor with another kind of page.
func (h clientHead) ShowsDeadline() bool {
	return !h.Caller.Visiting() || h.Caller.Visit.Shows("deletion")
}

// ShowsTrail reports whether the reader sees the client's trail.
func (h clientHead) ShowsTrail() bool { return !h.Caller.Visiting() || h.Caller.Visit.Shows("trail") }

// Path is the address of one of the client's pages.
func (h clientHead) Path(tab string) string { return clientPath(h.Client.ID, tab) }

func clientPath(id client.ID, tab string) string {
	if tab == "" {
		return "/klienter/" + id.String()
	}
	return "/klienter/" + id.String() + "/" + tab
}

// Heading is the client's name with the tab, for the title.
func (h clientHead) Heading() string { return h.Client.Name() }

// tab is one link of the tabs.
type tab struct {
	Key, Path, Words string
	N                int
	Current          bool
}

// Tabs are the pages of the client, with how much there is on each.
func (h clientHead) Tabs() []tab {
	tabs := []tab{
		{Key: "deletion"},
		{Key: "record", Path: "opplysninger"},
		{Key: "status", Path: "status"},
		{Key: "devices", Path: "enheter", N: h.Devices},
		{Key: "notes", Path: "notater", N: h.Counts.Notes},
		{Key: "properties", Path: "egenskaper", N: h.Counts.Properties},
		{Key: "kin", Path: "parorende", N: h.Counts.NextOfKin},
		{Key: "professionals", Path: "helsearbeidere", N: h.Counts.Professionals},
		{Key: "medical", Path: "medisinsk", N: h.Counts.Medical},
		{Key: "medication", Path: "medisinering", N: h.Counts.Medications},
		{Key: "plans", Path: "planer", N: h.Counts.CarePlans + h.Counts.Communications},
		{Key: "alarms", Path: "alarmlogg", N: h.Counts.Alarms},
		{Key: "recordings", Path: "opptak", N: h.Counts.Recordings},
		{Key: "holds", Path: "palegg", N: len(h.holds())},
	}
	if h.Caller.Visiting() {
		tabs = slices.DeleteFunc(tabs, func(t tab) bool { return !h.Caller.Visit.Shows(t.Key) })
	}
	for i := range tabs {
		tabs[i].Current = tabs[i].Key == h.Tab || h.Tab == "" && tabs[i].Key == "deletion"
		tabs[i].Path, tabs[i].Words = h.Path(tabs[i].Path), h.Say("client.tab."+tabs[i].Key)
	}
	return tabs
}

func (h clientHead) holds() []retention.Blocker {
	var held []retention.Blocker
	for _, b := range h.Placement.Assessment.Blockers {
		if b.Code == retention.Held {
			held = append(held, b)
		}
	}
	return held
}

// Hinders are the blockers (hinder) that a person must solve before the run, one of each type. That a client is active, or
// that the time is not up, is nothing to solve.
func (h clientHead) Hinders() []retention.Blocker { return hinders(h.Placement.Assessment) }

func hinders(a retention.Assessment) []retention.Blocker {
	var list []retention.Blocker
	for _, b := range a.Blockers {
		known := slices.ContainsFunc(list, func(o retention.Blocker) bool { return o.Code == b.Code })
		if b.Code == retention.Reactivated || b.Code == retention.TooEarly || known {
			continue
		}
		list = append(list, b)
	}
	return list
}

// Sum is the sentence "Frakoblet 14.03.23 + 6 måneder = 14.09.23 → slettes 01.10.23" in its parts.
type Sum struct {
	Event      string // Frakoblet, Avbestilt, Avtalen sluttet
	Start, Due calendar.Date
	Period     string
	Run        calendar.Date // zero: no group
	Late       bool          // the run's day is over
}

// Sum is the client's own; nil while no clock runs or nobody knows since when.
func (h clientHead) Sum() *Sum {
	return sumOf(h.Page, h.Placement, h.Client.Status, h.Client.StatusSince)
}

func sumOf(p edge.Page, place deletion.Placement, status client.Status, since time.Time) *Sum {
	a := place.Assessment
	if a.DueOn.IsZero() {
		return nil
	}
	s := &Sum{Event: p.Say("client.status." + string(status)), Start: a.StartOn, Due: a.DueOn, Period: periodOf(p, a.Decides.Rule)}
	if p.Date(since) != a.StartOn {
		s.Event = p.Say("client.agreement_ended")
	}
	if place.Round != nil {
		s.Run, s.Late = place.Round.RunOn, overdue(p, *place.Round)
	}
	return s
}

func periodOf(p edge.Page, rule retention.Rule) string {
	return p.Text.Period(rule.PeriodMonths, rule.PeriodDays, rule.Inclusive)
}

// Unplaced is the code of why an inactive client lies in no group; empty when it does, or is active.
func (h clientHead) Unplaced() string {
	switch {
	case h.Placement.Round != nil || !h.Client.Status.Inactive():
		return ""
	case h.Placement.Unplaced != "":
		return h.Placement.Unplaced
	case h.Client.UnplacedReason != "":
		return h.Client.UnplacedReason
	}
	return "taken_out"
}

// NextRun is where the client goes when its hinders are not solved: the first open group after its own.
func (h clientHead) NextRun() calendar.Date {
	if h.Placement.Round == nil {
		return calendar.Date{}
	}
	for _, g := range h.Groups {
		if g.RunOn.After(h.Placement.Round.RunOn) {
			return g.RunOn
		}
	}
	return calendar.Date{}
}

// Late tells whom the client's round waits for when its date is over; empty when it is not.
func (h clientHead) Late() string {
	if h.Placement.Round == nil || !overdue(h.Page, *h.Placement.Round) {
		return ""
	}
	return waitsFor(h.Page, *h.Placement.Round)
}

// StatusColor is the colour of the status tag: success for an active client, nothing special else.
func (h clientHead) StatusColor() string {
	if h.Client.Status == client.Active {
		return "success"
	}
	return "neutral"
}

// LivingHere is how many clients live at the address, as far as they may be shown.
func (h clientHead) LivingHere() int { return h.Counts.Residents + 1 }

// Seconds is the time of an instant to the second, as the status log shows it (P18).
func (h clientHead) Seconds(at time.Time) string {
	return h.Say("time.at", "time", at.In(h.Zone).Format("15.04.05"))
}

// sampleHead is a client with everything out of order, for the test that executes the templates.
func sampleHead(tab string) clientHead {
	id, address := uuid.New(), uuid.New()
	start, due, run := calendar.On(2023, 3, 14), calendar.On(2023, 9, 14), calendar.On(2023, 10, 1)
	rule := retention.Rule{Class: retention.ClientRecord, Version: 3, PeriodMonths: 6, Inclusive: true, Outcome: retention.Destroy, Authority: "GDPR art. 5"}
	round := deletion.Round{ID: 1, Kind: "scheduled", RunOn: run, Number: "3218-231001", State: deletion.Open}
	next := deletion.Round{ID: 2, Kind: "scheduled", RunOn: run.AddMonths(3), Number: "3218-240101", State: deletion.Open}
	at := time.Date(2023, 3, 14, 14, 7, 0, 0, time.UTC)
	classes := []retention.ClassDate{}
	for _, class := range retention.ClientClasses {
		rule.Class = class
		classes = append(classes, retention.ClassDate{Class: class, Rule: rule, StartOn: start, DueOn: due})
	}
	return clientHead{
		Once: "once", Tab: tab, Devices: 1, Groups: []deletion.Round{round, next}, Counts: client.ChildCounts{Notes: 14, Alarms: 212, Residents: 1},
		Client: client.Client{
			ID: id, Number: "200051466", GivenName: "Solveig", FamilyName: "Hansen", BirthDate: calendar.On(1938, 5, 12), Gender: "K", Phone: "900 00 172",
			AddressID: &address, Address: client.Address{Street: "Skoleveien 4 B", Postcode: "1430", Town: "Ås"}, Status: client.Disconnected, StatusSince: at,
			AgreementEnd: &at, EndReason: "institution", CreatedByName: "Kari Nordmann", CreatedAt: at, ChangedByName: "Kari Nordmann", ChangedAt: at, Version: 2,
			ReviewedOn: calendar.On(2023, 3, 11), NextReviewOn: calendar.On(2024, 3, 11),
		},
		Placement: deletion.Placement{
			Round: &round, PlacedHow: "system", PlacedAt: at, ItemState: deletion.ItemBlocked, Carried: 1,
			Assessment: retention.Assessment{StartOn: start, DueOn: due, Decides: classes[0], Classes: classes, Blockers: []retention.Blocker{
				{Code: retention.DeviceOnClient, Count: 1},
				{Code: retention.DeviceOnAddress, Count: 1},
				{Code: retention.DuplicateActive},
				{Code: retention.ArchiveUnanswered, Class: retention.AlarmLog},
				{Code: retention.Held, Earliest: run},
				{Code: retention.ToPreserve},
				{Code: retention.MissingRule},
				{Code: retention.NoStartDate},
			}},
		},
	}
}
