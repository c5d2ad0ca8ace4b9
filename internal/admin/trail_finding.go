package admin

import (
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func init() {
	finding := audit.Finding{ID: 1, Kind: audit.AtNight, Account: 1, Name: "Kari Nordmann", Role: "caseworker", OnDay: calendar.On(2023, 9, 18), Hour: -1, Clients: []uuid.UUID{uuid.New()}, Count: 3, Outcome: "explained", AssessedBy: 2}
	finding.AssessedAt = &finding.LastAt
	edge.Pages["trail-findings"] = findingsPage{Findings: []audit.Finding{finding}, Assessed: true, Older: 1, Begun: true}
}

const findingsPerPage = 50

// findingsPage is the whole worklist: what nobody has assessed, or what somebody has.
type findingsPage struct {
	logBase
	Findings []audit.Finding
	Assessed bool
	Older    int64
	Begun    bool
}

// OlderPath is the address of the next page.
func (p findingsPage) OlderPath() string {
	return edge.Query("/innsyn/funn", "vis", p.view(), "eldre", strconv.FormatInt(p.Older, 10))
}

// NewestPath is the address of the first one.
func (p findingsPage) NewestPath() string { return edge.Query("/innsyn/funn", "vis", p.view()) }

func (p findingsPage) view() string {
	if p.Assessed {
		return "vurdert"
	}
	return ""
}

// Found is what was found, in words: how many, held against what, on which day or in which hour or night.
func (l logBase) Found(f audit.Finding) string {
	day, hour := f.OnDay, strconv.Itoa(f.Hour)
	return l.SayN("finding."+f.Kind, f.Count, "day", day, "next", day.AddDays(1), "hour", hour, "usual", f.Usual)
}

func (s *Server) findings(w http.ResponseWriter, r *http.Request) error {
	page := findingsPage{logBase: logBase{Page: edge.NewPage(r)}, Assessed: r.URL.Query().Get("vis") == "vurdert"}
	before, _ := strconv.ParseInt(r.URL.Query().Get("eldre"), 10, 64)
	page.Begun = before > 0
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) (err error) {
		page.Findings, err = audit.Findings(r.Context(), tx, page.Assessed, before, findingsPerPage+1)
		return err
	})
	if err != nil {
		return err
	}
	if len(page.Findings) > findingsPerPage {
		page.Findings = page.Findings[:findingsPerPage]
		page.Older = page.Findings[findingsPerPage-1].ID
	}
	return edge.Render(w, r, http.StatusOK, "trail-findings", page)
}

// assessFinding writes down what the privacy officer thinks of a finding.
func (s *Server) assessFinding(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	id, _ := strconv.ParseInt(chi.URLParam(r, "finding"), 10, 64) // nonsense is a finding that there is not
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error { return audit.Assess(r.Context(), tx, id, f.text("outcome")) })
	if err != nil {
		return err
	}
	back := "/innsyn"
	if f.Get("fra") == "funn" {
		back = "/innsyn/funn"
	}
	return to(w, r, back, edge.Flash{Key: "finding.flash." + f.text("outcome")})
}
