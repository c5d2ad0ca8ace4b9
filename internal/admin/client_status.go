package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
)

func init() {
	head := sampleHead("status")
	edge.Pages["client-status"] = statusPage{
		clientHead: head, History: []client.StatusEntry{{At: head.Client.StatusSince, Status: client.Disconnected, Reason: "moved", EnteredByName: "Jonas Lie"}},
		Form: statusForm{To: client.Disconnected, At: "19.09.23", Reason: "moved"}, Preview: &preview{To: client.Disconnected, Sum: &Sum{Event: "Frakoblet", Start: calendar.On(2023, 9, 19), Due: calendar.On(2024, 3, 19), Period: "6", Run: calendar.On(2024, 4, 1)}, End: head.Client.StatusSince, Told: "x", Out: calendar.On(2023, 10, 1)},
		Own: []device.Connection{{Device: device.Device{Code: "300455", Kind: "safety_alarm"}}}, Retold: true,
	}
}

// statusPage is the status log with the form for the next status. What the new status means is told before it is saved.
type statusPage struct {
	clientHead
	History []client.StatusEntry
	Own     []device.Connection // on the client, which can go into stock in the same act
	Form    statusForm
	Preview *preview // nil: the form cannot be understood yet
	Refused string   // why saving would be refused, when nothing has been saved yet
	Retold  bool     // the date was not the one that the person had been told
}

type statusForm struct {
	To                client.Status
	At, Reason, Ended string
	Devices           bool // put the client's own devices in stock too
}

// preview is what a new status would mean.
type preview struct {
	To   client.Status
	Sum  *Sum // nil: no deletion date
	End  time.Time
	Out  calendar.Date // of the group that the client leaves; zero: none
	Why  string        // the code of why there is no group
	Told string        // what was told, so that saving can compare
}

// Undated reports whether the client was brought in as inactive and nobody knows since when: then the present status can
// be given once more, with its date.
func (p statusPage) Undated() bool {
	return p.Client.Status.Inactive() && p.Placement.Assessment.Has(retention.NoStartDate)
}

// StatusOptions are the statuses that can follow the present one.
func (p statusPage) StatusOptions() []edge.Option {
	var options []edge.Option
	for _, status := range client.Statuses {
		if status != p.Client.Status || p.Undated() {
			options = append(options, edge.Option{Value: string(status), Label: p.Say("client.status." + string(status)), Chosen: p.Form.To == status})
		}
	}
	return options
}

// Reasons are why an agreement ends (P17).
func (p statusPage) Reasons() []edge.Option {
	options := []edge.Option{{Label: p.Say("client.choose")}}
	for _, reason := range client.EndReasons {
		options = append(options, edge.Option{Value: reason, Label: p.Say("client.end_reason." + reason)})
	}
	return options
}

func (s *Server) clientStatus(w http.ResponseWriter, r *http.Request) error {
	page := statusPage{Form: statusForm{To: client.Status(r.URL.Query().Get("til"))}}
	return s.showStatus(w, r, http.StatusOK, &page, nil)
}

// showStatus shows the form with the preview of what stands in it.
func (s *Server) showStatus(w http.ResponseWriter, r *http.Request, status int, page *statusPage, f *form) error {
	return s.showClient(w, r, status, "client-status", page, "status", func(ctx context.Context, tx *pg.Tx) (err error) {
		if page.History, err = client.History(ctx, tx, page.Client.ID); err != nil {
			return err
		}
		if page.Own, err = device.OnClient(ctx, tx, page.Client.ID); err != nil {
			return err
		}
		asked := f != nil && len(page.Errors) == 0
		if f == nil {
			page.suggest()
			f = &form{Values: map[string][]string{"at": {page.Form.At}}}
		}
		if !tx.Caller.Can(access.ClientStatus) {
			return nil
		}
		in, err := page.change(f)
		if err == nil {
			err = page.refusal(in)
		}
		if err != nil {
			if asked {
				page.Refused = page.inOneLine(err)
			}
			return nil //nolint:nilerr // the form says it; there is nothing to tell beforehand
		}
		page.Preview, err = page.previewOf(ctx, tx, in)
		return err
	})
}

// suggest fills the form that nobody has touched yet: the ordinary next status, from today.
func (p *statusPage) suggest() {
	p.Form.At, p.Form.Devices = p.Today().Short(), true
	if p.Undated() && !p.Form.To.Valid() {
		p.Form.To, p.Form.At = p.Client.Status, "" // the date is what is missing
		return
	}
	if !p.Form.To.Valid() || p.Form.To == p.Client.Status {
		p.Form.To = map[client.Status]client.Status{
			client.Ordered: client.Active, client.Active: client.Disconnected, client.Cancelled: client.Active, client.Disconnected: client.Active,
		}[p.Client.Status]
	}
}

// change turns the form into what the domain takes. A day means its beginning; today means now; on the day of the status
// before it means just after that one.
func (p *statusPage) change(f *form) (deletion.StatusChange, error) {
	in := deletion.StatusChange{To: p.Form.To, Reason: p.Form.Reason}
	day, ended := f.date("at"), f.date("agreement_end")
	if err := f.wrong.Err(); err != nil {
		return in, err
	}
	today := p.Today()
	switch {
	case day.IsZero():
		return in, problem.InvalidField("at", "required", nil)
	case day.After(today):
		return in, problem.InvalidField("at", "future", nil)
	case !in.To.Valid():
		return in, problem.InvalidField("status", "unknown", nil)
	case day == p.Date(p.Client.StatusSince) && day != today:
		in.At = p.Client.StatusSince.Add(time.Second)
	case day != today:
		in.At = day.In(p.Zone)
	}
	if !ended.IsZero() && in.To.Inactive() {
		end := ended.In(p.Zone)
		in.AgreementEnd = &end
	}
	return in, nil
}

// refusal is what saving would say about the date (D3), so that nobody is promised what is then refused.
func (p *statusPage) refusal(in deletion.StatusChange) error {
	previous := p.Client.StatusSince
	if p.Undated() {
		previous = time.Time{} // the day it was brought in says nothing
	}
	for _, entry := range p.History {
		if entry.At.After(previous) {
			previous = entry.At
		}
	}
	switch {
	case in.At.IsZero():
		return nil
	case in.At.Before(previous):
		return problem.InvalidField("at", "before_previous", problem.Params{"date": p.Date(previous)})
	case p.Date(in.At).Before(p.earliest()) && !p.Can(string(access.StatusBackdate)):
		return p.tooFarBack()
	}
	return nil
}

// backdateDays is how far back everybody who changes a status may date it (D3).
const backdateDays = 31

func (p *statusPage) earliest() calendar.Date { return p.Today().AddDays(-backdateDays) }

func (p *statusPage) tooFarBack() error {
	return problem.InvalidField("at", "backdate", problem.Params{"days": backdateDays, "earliest": p.earliest()})
}

func (p *statusPage) inOneLine(err error) string {
	var lines []string
	for _, wrong := range p.Text.Answer(err).Fields {
		lines = append(lines, wrong.Message)
	}
	return strings.Join(lines, " ")
}

func (p *statusPage) previewOf(ctx context.Context, tx *pg.Tx, in deletion.StatusChange) (*preview, error) {
	told := &preview{To: in.To, End: in.At}
	if in.At.IsZero() {
		told.End = tx.Now()
	}
	if in.AgreementEnd != nil {
		told.End = *in.AgreementEnd
	}
	if in.To.Inactive() {
		place, err := deletion.PreviewDisconnect(ctx, tx, p.Client.ID, in)
		if err != nil {
			return nil, err
		}
		told.take(p.Page, place, in, tx.Now())
	} else {
		told.Told = string(in.To)
	}
	if p.Placement.Round != nil {
		told.Out = p.Placement.Round.RunOn
	}
	return told, nil
}

// take writes down what a placement says, in words and as what saving compares with.
func (t *preview) take(page edge.Page, place deletion.Placement, in deletion.StatusChange, now time.Time) {
	at := in.At
	if at.IsZero() {
		at = now
	}
	t.Sum, t.Why = sumOf(page, place, in.To, at), place.Unplaced
	t.Told = toldOf(in.To, place)
}

func toldOf(status client.Status, place deletion.Placement) string {
	told := string(status) + " " + place.Assessment.DueOn.String()
	if place.Round != nil {
		told += " " + place.Round.RunOn.String()
	}
	return told
}
