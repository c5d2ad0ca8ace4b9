package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/google/uuid"
)

func init() {
	at := time.Date(2023, 9, 19, 7, 12, 0, 0, time.UTC)
	id := uuid.New()
	rows := []audit.Row{
		{Kind: audit.Acts, ID: 4, At: at, Account: 1, Name: "Kari Nordmann", StaffNumber: "S-10001", Role: "caseworker", Organisation: "municipality", Act: "status_changed", Subject: "client", SubjectID: id.String(), Fields: []string{"status", "phone"}},
		{Kind: audit.Acts, ID: 3, At: at, Account: 9, StaffNumber: "S-10009", Role: "operator", Organisation: "supplier", Act: "refused", Subject: "account", SubjectID: "9", Detail: map[string]any{"permission": "client.read"}, Refused: true},
		{Kind: audit.Acts, ID: 2, At: at, Role: "nobody", Organisation: "unknown", Act: "sign_in_failed", Subject: "account", Refused: true},
		{Kind: audit.LooksAt, ID: 2, At: at, Account: 1, Name: "Kari Nordmann", Role: "caseworker", Organisation: "municipality", Page: "client.notes", Purpose: "record", Clients: []uuid.UUID{id}, Shown: 1},
		{Kind: audit.LooksAt, ID: 1, At: at, Role: "system", Organisation: "frist", Page: "x", Purpose: "x", Clients: []uuid.UUID{id, id}, Shown: 7},
	}
	page := logPage{logBase: logBase{Rows: rows, Older: "x", Begun: true}, Filter: logFilter{Query: audit.Query{Refused: true, Accounts: []int64{1}, Clients: []uuid.UUID{id}}, Who: "Kari", From: calendar.On(2023, 9, 1)}, Chips: []logChip{{"a", "/"}}}
	page.Findings = []audit.Finding{
		{ID: 1, Kind: audit.ManyInAnHour, Account: 1, Name: "Kari Nordmann", Role: "caseworker", OnDay: calendar.On(2023, 9, 18), Hour: 9, Count: 41, Usual: 40, LastAt: at},
		{ID: 2, Kind: audit.Namesake, Account: 1, StaffNumber: "S-1", Role: "support", OnDay: calendar.On(2023, 9, 18), Hour: -1, Clients: []uuid.UUID{id}, Count: 1, LastAt: at},
	}
	page.Waiting = 12
	edge.Pages["trail"] = page
}

const rowsPerPage = 50

// logPage is the privacy officer's front page: who looked at this person, what is unusual, and both logs. It holds ids and
// codes, and names of the municipality's own people; no personal data of a client.
type logPage struct {
	logBase
	Person   string // what was typed, when something was wrong with it
	Findings []audit.Finding
	Waiting  int // findings that nobody has assessed
	Filter   logFilter
	Chips    []logChip
}

// logBase is what every page of the logs has: some rows of both, for the partial "log-rows".
type logBase struct {
	edge.Page
	Rows  []audit.Row
	Older string // where the next page begins; empty at the end
	Begun bool   // this is not the first page
}

func (l *logBase) load(ctx context.Context, tx *pg.Tx, q audit.Query, eldre string) error {
	after, err := audit.ParseCursor(eldre)
	if err != nil {
		return err
	}
	l.Begun = eldre != ""
	if l.Rows, err = audit.Search(ctx, tx, q, after, rowsPerPage+1); err != nil {
		return err
	}
	if len(l.Rows) > rowsPerPage {
		l.Rows = l.Rows[:rowsPerPage]
		l.Older = l.Rows[rowsPerPage-1].Cursor().String()
	}
	return nil
}

// Who is who did it: a name of the own municipality's, the opaque number of anybody else, Frist, or nobody known.
func (l logBase) Who(organisation, name, number string) string {
	switch {
	case organisation == "unknown":
		return l.Say("organisation.unknown")
	case organisation == "frist":
		return l.Say("client.frist")
	case name != "":
		return name
	}
	return number
}

// For is the role, and the organisation where it is another.
func (l logBase) For(role, organisation string) string {
	switch organisation {
	case "municipality", "frist":
		return words(l.Page, "role.", role)
	case "unknown":
		return ""
	}
	return l.Say("trail.for", "role", words(l.Page, "role.", role), "organisation", words(l.Page, "organisation.", organisation))
}

// What is what was looked at or done.
func (l logBase) What(r audit.Row) string {
	if r.Kind == audit.LooksAt {
		return l.Say("client.trail.looked", "page", words(l.Page, "look.", r.Page))
	}
	return words(l.Page, "act.", r.Act)
}

// Why is the purpose of a look; of a refusal, what was asked for and not given.
func (l logBase) Why(r audit.Row) string {
	if r.Kind == audit.LooksAt {
		return words(l.Page, "purpose.", r.Purpose)
	}
	for _, key := range []string{"permission", "code", "why"} {
		if code, ok := r.Detail[key].(string); ok && r.Refused {
			return words(l.Page, "refusal.", code)
		}
	}
	return ""
}

// Subject is what kind of thing it was done to.
func (l logBase) Subject(kind string) string { return words(l.Page, "subject.", kind) }

// Look and Purpose are a page and a purpose in words.
func (l logBase) Look(page string) string { return words(l.Page, "look.", page) }

// Purpose is why somebody looked.
func (l logBase) Purpose(code string) string { return words(l.Page, "purpose.", code) }

// Fields are the changed fields, as people call them.
func (l logBase) Fields(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = l.Text.Field(name)
	}
	return strings.Join(list, ", ")
}

// logFilter is what the search form holds. In an address there are ids and codes only; names and numbers of people are
// posted and turned into ids.
type logFilter struct {
	Query    audit.Query
	Who      string // as it stands in the form
	Whom     string
	From, To calendar.Date
}

// Values are the filter for an address.
func (f logFilter) Values() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Add(name, value)
		}
	}
	for _, id := range f.Query.Clients {
		q.Add("klient", id.String())
	}
	for _, id := range f.Query.Accounts {
		q.Add("ansatt", strconv.FormatInt(id, 10))
	}
	set("logg", string(f.Query.Kind))
	set("rolle", f.Query.Role)
	set("organisasjon", f.Query.Organisation)
	set("side", f.Query.Page)
	set("formal", f.Query.Purpose)
	set("handling", f.Query.Act)
	set("gjelder", f.Query.SubjectID)
	if f.Query.Refused {
		q.Set("avvist", "1")
	}
	if !f.From.IsZero() {
		q.Set("fra", f.From.String())
	}
	if !f.To.IsZero() {
		q.Set("til", f.To.String())
	}
	return q
}

// parseLogFilter reads an address. What is no id or no day is left out: an address is not a form that somebody filled in.
func parseLogFilter(q url.Values, zone *time.Location) logFilter {
	f := logFilter{Query: audit.Query{
		Kind: audit.Kind(q.Get("logg")), Role: q.Get("rolle"), Organisation: q.Get("organisasjon"), Page: q.Get("side"), Purpose: q.Get("formal"), Act: q.Get("handling"),
		SubjectID: strings.TrimSpace(q.Get("gjelder")), Refused: q.Get("avvist") != "",
	}}
	if f.Query.Kind != audit.Acts && f.Query.Kind != audit.LooksAt {
		f.Query.Kind = ""
	}
	for _, text := range []*string{&f.Query.Role, &f.Query.Organisation, &f.Query.Page, &f.Query.Purpose, &f.Query.Act, &f.Query.SubjectID} {
		if len(*text) > 100 || strings.ContainsRune(*text, 0) {
			*text = ""
		}
		*text = strings.ToValidUTF8(*text, "")
	}
	for _, text := range q["klient"] {
		if id, err := client.ParseID(text); err == nil && len(f.Query.Clients) < 100 {
			f.Query.Clients = append(f.Query.Clients, id)
		}
	}
	for _, text := range q["ansatt"] {
		if id, err := strconv.ParseInt(text, 10, 64); err == nil && len(f.Query.Accounts) < 100 {
			f.Query.Accounts = append(f.Query.Accounts, id)
		}
	}
	f.From, _ = calendar.Parse(q.Get("fra"))
	f.To, _ = calendar.Parse(q.Get("til"))
	f.period(zone)
	return f
}

// period turns the days, both included, into instants.
func (f *logFilter) period(zone *time.Location) {
	f.Query.From, f.Query.Until = time.Time{}, time.Time{}
	if !f.From.IsZero() {
		f.Query.From = f.From.In(zone)
	}
	if !f.To.IsZero() {
		f.Query.Until = f.To.AddDays(1).In(zone)
	}
}

// logChip is one condition that can be taken away.
type logChip struct{ Words, Without string }

func logPath(q url.Values) string {
	if len(q) == 0 {
		return "/innsyn"
	}
	return "/innsyn?" + q.Encode()
}

// chips are the filter's conditions in words.
func (p *logPage) chips(staff map[int64]account.StaffMember) {
	values := p.Filter.Values()
	var who []string
	for _, id := range p.Filter.Query.Accounts {
		if member, ok := staff[id]; ok {
			who = append(who, member.Name)
		} else if number := p.numberOf(id); number != "" {
			who = append(who, number)
		} else {
			who = append(who, strconv.FormatInt(id, 10))
		}
	}
	for _, c := range []struct{ name, words string }{
		{"klient", p.SayN("trail.chip.clients", len(p.Filter.Query.Clients))},
		{"ansatt", p.Say("trail.chip", "label", p.Text.Field("hvem"), "value", strings.Join(who, ", "))},
		{"logg", words(p.Page, "log.kind.", string(p.Filter.Query.Kind))},
		{"rolle", words(p.Page, "role.", p.Filter.Query.Role)},
		{"organisasjon", words(p.Page, "organisation.", p.Filter.Query.Organisation)},
		{"side", words(p.Page, "look.", p.Filter.Query.Page)},
		{"formal", words(p.Page, "purpose.", p.Filter.Query.Purpose)},
		{"handling", words(p.Page, "act.", p.Filter.Query.Act)},
		{"gjelder", p.Say("trail.chip", "label", p.Text.Field("gjelder"), "value", p.Filter.Query.SubjectID)},
		{"avvist", p.Say("trail.refused_only")},
		{"fra", p.Say("trail.chip", "label", p.Text.Field("fra"), "value", p.Filter.From)},
		{"til", p.Say("trail.chip", "label", p.Text.Field("til"), "value", p.Filter.To)},
	} {
		if values.Has(c.name) {
			without := p.Filter.Values()
			without.Del(c.name)
			p.Chips = append(p.Chips, logChip{c.words, logPath(without)})
		}
	}
	p.Filter.Who = strings.Join(who, ", ")
}

// numberOf is the staff number of an account whose rows are shown.
func (p *logPage) numberOf(id int64) string {
	for _, r := range p.Rows {
		if r.Account == id {
			return r.StaffNumber
		}
	}
	return ""
}

// Hidden are the filter's values for the form of the export.
func (p logPage) Hidden() []edge.Option { return hiddenFields(p.Filter.Values()) }

func hiddenFields(q url.Values) (fields []edge.Option) {
	for name, values := range q {
		for _, v := range values {
			fields = append(fields, edge.Option{Value: v, Label: name})
		}
	}
	slices.SortFunc(fields, func(a, b edge.Option) int { return strings.Compare(a.Label+a.Value, b.Label+b.Value) })
	return fields
}

// OlderPath is the address of the next page of rows.
func (p logPage) OlderPath() string {
	q := p.Filter.Values()
	q.Set("eldre", p.Older)
	return logPath(q)
}

// NewestPath is the address of the first one.
func (p logPage) NewestPath() string { return logPath(p.Filter.Values()) }

func (p logPage) choices(none, prefix string, codes ...string) []edge.Option {
	list := []edge.Option{{Label: p.Say(none)}}
	for _, c := range codes {
		list = append(list, edge.Option{Value: c, Label: words(p.Page, prefix, c)})
	}
	return list
}

// Kinds, Roles, Organisations, Purposes and Acts are the choices of the form.
func (p logPage) Kinds() []edge.Option {
	return p.choices("trail.both", "log.kind.", string(audit.LooksAt), string(audit.Acts))
}

// LogKind is which of the two is chosen.
func (p logPage) LogKind() string { return string(p.Filter.Query.Kind) }

// Roles are those of the role table.
func (p logPage) Roles() []edge.Option {
	var codes []string
	for _, g := range access.Table {
		codes = append(codes, string(g.Role))
	}
	return p.choices("trail.any", "role.", codes...)
}

// Organisations are for whom somebody acted.
func (p logPage) Organisations() []edge.Option {
	return p.choices("trail.any", "organisation.", audit.Organisations...)
}

// Purposes are why somebody looked.
func (p logPage) Purposes() []edge.Option {
	return p.choices("trail.any", "purpose.", p.Text.Codes("purpose.")...)
}

// Acts are what somebody did.
func (p logPage) Acts() []edge.Option {
	return p.choices("trail.any", "act.", p.Text.Codes("act.")...)
}

func (s *Server) trail(w http.ResponseWriter, r *http.Request) error {
	page := logPage{logBase: logBase{Page: edge.NewPage(r)}}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error { return page.loadFront(r.Context(), tx, r.URL.Query()) })
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "trail", page)
}

const findingsShown = 10

// loadFront fills the page. The first page without a filter begins with the question and the worklist.
func (p *logPage) loadFront(ctx context.Context, tx *pg.Tx, q url.Values) error {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return err
	}
	p.Filter = parseLogFilter(q, p.Zone)
	var staff map[int64]account.StaffMember
	err := tx.Together(ctx,
		func() error { return p.load(ctx, tx, p.Filter.Query, q.Get("eldre")) },
		func() (err error) { p.Findings, err = audit.Findings(ctx, tx, false, 0, findingsShown); return err },
		func() (err error) { p.Waiting, err = audit.WaitingFindings(ctx, tx); return err },
		func() (err error) { staff, err = account.Staff(ctx, tx); return err },
	)
	if err != nil {
		return err
	}
	p.chips(staff)
	return nil
}
