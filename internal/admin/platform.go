package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/jobs" //nolint:depguard // its health is read here; nothing is run
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
)

// platformPage is /plattform: which municipalities there are, and whether the work that is due gets done. Numbers, states
// and codes; nobody's name.
type platformPage struct {
	edge.Page
	Municipalities []municipality.Municipality
	Health         jobs.Report
	Alarms         []deletion.Alarm
	Queues         []queueLine
}

// queueLine is one queue with its jobs by state.
type queueLine struct {
	Name                               string
	Waiting, Running, Retried, GivenUp int
	Done                               int
}

func init() {
	edge.Pages["platform"] = platformPage{
		Municipalities: []municipality.Municipality{{Number: "3218", Name: "Ås"}}, Queues: []queueLine{{Name: "purge"}},
		Alarms: []deletion.Alarm{{Code: "overdue", Number: "3218-231001", RunOn: calendar.On(2023, 10, 1)}},
		Health: jobs.Report{GivenUp: []jobs.GivenUp{{ID: 1, Kind: "chunk", Code: "x"}}, OldestWaiting: time.Minute, StuckRunning: 1},
	}
}

func (s *Server) platform(w http.ResponseWriter, r *http.Request) error {
	page := platformPage{Page: edge.NewPage(r)}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) (err error) {
		if err := tx.Require(access.JobRead); err != nil {
			return err
		}
		if page.Health, err = jobs.Health(r.Context(), tx); err != nil {
			return err
		}
		if page.Alarms, err = deletion.AlarmsEverywhere(r.Context(), tx); err != nil {
			return err
		}
		page.Municipalities, err = municipality.List(r.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	page.count()
	return edge.Render(w, r, http.StatusOK, "platform", page)
}

// Oldest is how long the oldest job that could run has waited, in words; empty when it is not worth a word.
func (p platformPage) Oldest() string {
	if p.Health.OldestWaiting < time.Minute {
		return ""
	}
	return span(p.Page, p.Health.OldestWaiting.Truncate(time.Minute))
}

// Well reports whether nothing needs anybody.
func (p platformPage) Well() bool {
	return len(p.Alarms) == 0 && len(p.Health.GivenUp) == 0 && p.Health.StuckRunning == 0 && p.Oldest() == ""
}

// Code is what River kept of a job's last error, when it looks like a code.
func (p platformPage) Code(code string) string {
	if len(code) > 60 {
		return fmt.Sprintf("%.60s…", code)
	}
	return code
}

func (p *platformPage) count() {
	at := map[string]int{}
	for _, c := range p.Health.Counts {
		i, ok := at[c.Queue]
		if !ok {
			i = len(p.Queues)
			at[c.Queue] = i
			p.Queues = append(p.Queues, queueLine{Name: c.Queue})
		}
		q := &p.Queues[i]
		switch c.State {
		case "available", "scheduled", "pending":
			q.Waiting += c.Jobs
		case "running":
			q.Running += c.Jobs
		case "retryable":
			q.Retried += c.Jobs
		case "discarded":
			q.GivenUp += c.Jobs
		case "completed":
			q.Done += c.Jobs
		}
	}
}
