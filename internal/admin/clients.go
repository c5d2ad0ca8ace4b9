package admin

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func init() {
	edge.Pages["clients"] = sampleClients()
}

func (s *Server) clientRoutes(r chi.Router) {
	r.Get("/klienter", edge.Handle(s.clients))
	r.Post("/klienter/sok", edge.Handle(s.searchClients))
	r.Get("/klienter/ny", edge.Handle(s.newClient))
	r.Post("/klienter/ny", edge.Handle(s.createClient))
	r.Route("/klienter/{client}", func(r chi.Router) {
		r.Get("/", edge.Handle(s.clientDeletion))
		r.Post("/gruppe", edge.Handle(s.moveClient))
		r.Post("/gammel-registrering", edge.Handle(s.confirmOldRegistration))
		r.Get("/opplysninger", edge.Handle(s.clientRecord))
		r.Post("/opplysninger", edge.Handle(s.changeRecord))
		r.Post("/kontrollert", edge.Handle(s.markReviewed))
		r.Get("/status", edge.Handle(s.clientStatus))
		r.Post("/status", edge.Handle(s.changeStatus))
		r.Get("/enheter", edge.Handle(s.clientDevices))
		r.Post("/enheter", edge.Handle(s.connectDevice))
		r.Post("/enheter/{device}/koble-fra", edge.Handle(s.disconnectDevice))
		r.Post("/enheter/{device}/flytt", edge.Handle(s.handOverDevice))
		r.Post("/enheter/{device}/forhandsvalgt", edge.Handle(s.preferDevice))
		r.Get("/enheter/{device}/bytt", edge.Handle(s.exchangeForm))
		r.Post("/enheter/{device}/bytt", edge.Handle(s.exchangeDevice))
		r.Get("/rett", edge.Handle(s.correctForm))
		r.Post("/rett", edge.Handle(s.correct))
		r.Get("/notater", edge.Handle(s.clientNotes))
		r.Post("/notater", edge.Handle(s.addNote))
		r.Get("/egenskaper", edge.Handle(s.clientProperties))
		r.Get("/parorende", edge.Handle(s.clientKin))
		r.Get("/helsearbeidere", edge.Handle(s.clientProfessionals))
		r.Get("/medisinsk", edge.Handle(s.clientMedical))
		r.Get("/medisinering", edge.Handle(s.clientMedication))
		r.Get("/planer", edge.Handle(s.clientPlans))
		r.Get("/alarmlogg", edge.Handle(s.clientAlarms))
		r.Get("/opptak", edge.Handle(s.clientRecordings))
		r.Get("/opptak/{recording}", edge.Handle(edge.SameOrigin(s.playRecording)))
		r.Get("/palegg", edge.Handle(s.clientHolds))
		r.Get("/palegg/nytt", edge.Handle(s.holdForm))
		r.Post("/palegg/nytt", edge.Handle(s.placeHold))
		r.Post("/palegg/{hold}/be-om-oppheving", edge.Handle(s.askRelease))
		r.Post("/palegg/{hold}/opphev", edge.Handle(s.releaseHold))
		r.Get("/revisjonsspor", edge.Handle(s.clientTrail))
	})
	r.Get("/adresser/{address}", edge.Handle(s.address))
	r.Get("/adresser/{address}/palegg/nytt", edge.Handle(s.addressHoldForm))
	r.Post("/adresser/{address}/palegg/nytt", edge.Handle(s.placeAddressHold))
}

const clientsPerPage = 50

// clientsPage is the list of clients (P12, P34).
type clientsPage struct {
	edge.Page
	Filter   clientFilter
	Rows     []clientRow
	First    string // family name of the first row
	Last     string
	Next     string // cursors of the neighbouring pages; empty at the ends
	Prev     string
	Totals   client.Totals
	Found    int
	Capped   bool // Found is only the least
	Rounds   []deletion.Round
	Searched string // what the person typed, from the stored search
}

// Many writes a figure that stopped counting at client.Many as "1 000+".
func (p clientsPage) Many(n int) string {
	if n > client.Many {
		return p.Number(client.Many) + "+"
	}
	return p.Number(n)
}

// clientRow is one line of the list in words. It holds nothing else, has no methods and embeds nothing: a template finds
// its way through a plain struct at half the price, and this is done fifty times a page.
type clientRow struct {
	ID, Name, Street, Postcode, Town, Number, Phone, Status string
	GenderLetter, Gender                                    string
	Off, Protected, NoHome                                  bool // grey: not active (P11); telephone hidden, address hidden (D21)
	Born                                                    string
	Since, Run                                              day
	Tag                                                     string // what stands in the way; empty when nothing does
}

// day is a date for the partial "instant": for machines, and in words; empty when there is none.
type day struct{ ISO, Words string }

func dayOf(d calendar.Date) day {
	if d.IsZero() {
		return day{}
	}
	return day{d.String(), d.Short()}
}

// assessed is a client of the list with what is worked out about it.
type assessed struct {
	client.Row
	Run     calendar.Date       // its deletion group's date; zero without a group
	Hinders []retention.Blocker // one of each type
}

// lines says what the rows say, each word looked up once for the whole page.
func (p clientsPage) lines(list []assessed) []clientRow {
	words := map[string]string{}
	say := func(key string) string {
		if _, ok := words[key]; !ok {
			words[key] = p.Say(key)
		}
		return words[key]
	}
	or := func(s string) string { return cmp.Or(s, "–") }
	rows := make([]clientRow, len(list))
	for i, c := range list {
		rows[i] = clientRow{
			ID: c.ID.String(), Name: c.Name(), Street: or(c.Street), Postcode: or(c.Postcode), Town: or(c.Town), Number: c.Number, Phone: or(c.Phone),
			Status: say("client.status." + string(c.Status)), GenderLetter: say("clients.gender." + c.Gender), Gender: say("client.gender." + c.Gender),
			Off: c.Status.Inactive(), Protected: c.Protected, NoHome: c.Protected || c.HomeHidden, Run: dayOf(c.Run),
		}
		r := &rows[i]
		r.Born = say("client.missing")
		if !c.BirthDate.IsZero() {
			r.Born = c.BirthDate.Long()
		}
		undated := slices.ContainsFunc(c.Hinders, func(b retention.Blocker) bool { return b.Code == retention.NoStartDate })
		if r.Off && !undated { // without a date, what stands there is the day of the import
			r.Since = dayOf(p.Date(c.StatusSince))
		}
		switch n := len(c.Hinders); {
		case n == 1:
			r.Tag = say("client.hinder." + string(c.Hinders[0].Code) + ".tag")
		case n > 1:
			r.Tag = p.SayN("clients.hinders", n)
			if undated {
				r.Status = p.Say("clients.undated", "status", r.Status)
			}
		}
	}
	return rows
}

// clientFilter is the filter as it stands in the address: codes, ids and days, never a name or a number.
type clientFilter struct {
	client.Filter
	Review   bool   // to be reviewed today or before
	Searched string // the id of the stored search
}

// parseClientFilter reads an address. What cannot be there is ignored, so that old links still open.
func parseClientFilter(q url.Values) clientFilter {
	var f clientFilter
	for _, v := range q["status"] {
		if status := client.Status(v); status.Valid() && !slices.Contains(f.Statuses, status) {
			f.Statuses = append(f.Statuses, status)
		}
	}
	for _, v := range q["gruppe"] {
		id, err := strconv.ParseInt(v, 10, 64)
		switch {
		case v == "ingen":
			f.Unplaced = true
		case err == nil && !slices.Contains(f.Groups, id):
			f.Groups = append(f.Groups, id)
		}
	}
	if id, err := uuid.Parse(q.Get("sok")); err == nil {
		f.Search, f.Searched = &id, id.String()
	}
	if code := q.Get("postnr"); len(code) == 4 {
		f.Postcode = code
	}
	f.Review = q.Get("kontroll") != ""
	if of := q.Get("periode"); slices.Contains([]string{client.PeriodStatus, client.PeriodAgreementStart, client.PeriodAgreementEnd}, of) {
		from, _ := calendar.Parse(q.Get("fra"))
		until, _ := calendar.Parse(q.Get("til"))
		if !from.IsZero() || !until.IsZero() {
			f.Period = client.Period{Of: of, From: from, To: until}
		}
	}
	return f
}

// Values is the filter as an address holds it.
func (f clientFilter) Values() url.Values {
	q := url.Values{}
	for _, status := range f.Statuses {
		q.Add("status", string(status))
	}
	for _, id := range f.Groups {
		q.Add("gruppe", strconv.FormatInt(id, 10))
	}
	if f.Unplaced {
		q.Add("gruppe", "ingen")
	}
	if f.Searched != "" {
		q.Set("sok", f.Searched)
	}
	if f.Postcode != "" {
		q.Set("postnr", f.Postcode)
	}
	if f.Review {
		q.Set("kontroll", "1")
	}
	if f.Period.Of != "" {
		q.Set("periode", f.Period.Of)
		for name, day := range map[string]calendar.Date{"fra": f.Period.From, "til": f.Period.To} {
			if !day.IsZero() {
				q.Set(name, day.String())
			}
		}
	}
	return q
}

// IsZero reports whether all clients are listed.
func (f clientFilter) IsZero() bool { return len(f.Values()) == 0 }

func clientsPath(q url.Values) string {
	if len(q) == 0 {
		return "/klienter"
	}
	return "/klienter?" + q.Encode()
}

func (s *Server) clients(w http.ResponseWriter, r *http.Request) error {
	page := clientsPage{Page: edge.NewPage(r), Filter: parseClientFilter(r.URL.Query())}
	at, err := client.ParseCursor(r.URL.Query().Get("fra-klient"))
	if err != nil {
		return err
	}
	return edge.Show(w, r, http.StatusOK, "clients", &page, func(tx *pg.Tx) error { return page.load(r.Context(), tx, at) })
}

func (p *clientsPage) load(ctx context.Context, tx *pg.Tx, at client.Cursor) error {
	today := p.Date(tx.Now())
	filter := p.Filter.Filter
	if p.Filter.Review {
		filter.ReviewBy = today
	}
	var capped bool
	var found int
	err := tx.Together(ctx,
		func() error {
			page, err := client.List(ctx, tx, filter, at, clientsPerPage)
			if err != nil {
				return err
			}
			if page.HasNext {
				p.Next = page.Next.String()
			}
			if page.HasPrev {
				p.Prev = page.Prev.String()
			}
			list, err := assessRows(ctx, tx, page.Rows, today, p.Zone)
			if len(list) > 0 {
				p.First, p.Last = list[0].FamilyName, list[len(list)-1].FamilyName
			}
			p.Rows = p.lines(list)
			return err
		},
		func() (err error) { p.Totals, err = client.Tally(ctx, tx, today); return err },
		func() (err error) {
			if !p.Filter.IsZero() {
				found, capped, err = client.Count(ctx, tx, filter)
			}
			return err
		},
		func() (err error) {
			if p.Filter.Search != nil {
				p.Searched, err = client.FindSearch(ctx, tx, *p.Filter.Search)
			}
			return err
		},
		func() error {
			rounds, err := deletion.Rounds(ctx, tx)
			p.Rounds = slices.DeleteFunc(rounds, func(round deletion.Round) bool {
				return slices.Contains([]deletion.State{deletion.Finished, deletion.Cancelled, deletion.Lapsed}, round.State)
			})
			return err
		},
	)
	p.Found, p.Capped = found, capped
	if p.Filter.IsZero() {
		p.Found, p.Capped = min(p.Totals.All, client.Many), p.Totals.All > client.Many
	}
	return err
}

// assessRows works out the dates and hinders of all inactive rows together: three statements, however many there are.
func assessRows(ctx context.Context, tx *pg.Tx, list []client.Row, today calendar.Date, zone *time.Location) ([]assessed, error) {
	rows := make([]assessed, len(list))
	if tx.Caller.Visiting() && !tx.Caller.Visit.Shows("deletion") { // without all the facts the dates would be wrong
		for i, row := range list {
			rows[i].Row = row
		}
		return rows, nil
	}
	at := map[client.ID]int{}
	var ids []client.ID
	for i, row := range list {
		rows[i].Row = row
		if row.Status.Inactive() {
			at[row.ID] = i
			ids = append(ids, row.ID)
		}
	}
	var rules retention.Rules
	var facts []retention.Facts
	var runs map[client.ID]calendar.Date
	err := tx.Together(ctx,
		func() (err error) { rules, err = retention.RulesOn(ctx, tx, today); return err },
		func() (err error) { facts, err = retention.LoadFacts(ctx, tx, ids); return err },
		func() (err error) { runs, err = deletion.RunsOf(ctx, tx, ids); return err },
	)
	if err != nil {
		return nil, err
	}
	for _, f := range facts {
		row := &rows[at[f.Client]]
		row.Run, row.Hinders = runs[f.Client], hinders(retention.Assess(f, rules, today, zone))
	}
	return rows, nil
}

// view is one chip over the list: a filter that is used often, with its number.
type view struct {
	Key, Path string
	N         int
	Current   bool
}

// Views are the chips.
func (p clientsPage) Views() []view {
	views := []view{
		{Key: "all", N: p.Totals.All},
		{Key: "active", Path: "status=active", N: p.Totals.Active},
		{Key: "ordered", Path: "status=ordered", N: p.Totals.Ordered},
		{Key: "inactive", Path: "status=cancelled&status=disconnected", N: p.Totals.Cancelled + p.Totals.Disconnected},
		{Key: "unplaced", Path: "gruppe=ingen", N: p.Totals.Unplaced},
		{Key: "review", Path: "kontroll=1", N: p.Totals.ReviewDue},
	}
	here := p.Filter.Values().Encode()
	for i := range views {
		q, _ := url.ParseQuery(views[i].Path)
		views[i].Current = here == q.Encode()
		views[i].Path = clientsPath(q)
	}
	return views
}

// chip is one condition of the filter, with the way to the list without it.
type chip struct{ Words, Without string }

// Chips are the conditions that hold.
func (p clientsPage) Chips() []chip {
	var chips []chip
	all := p.Filter.Values()
	add := func(words string, names ...string) {
		without := url.Values{}
		for name, values := range all {
			if !slices.Contains(names, name) {
				without[name] = values
			}
		}
		chips = append(chips, chip{words, clientsPath(without)})
	}
	one := func(name, value, words string) {
		without := url.Values{}
		for n, values := range all {
			for _, v := range values {
				if n != name || v != value {
					without.Add(n, v)
				}
			}
		}
		chips = append(chips, chip{words, clientsPath(without)})
	}
	if p.Filter.Searched != "" {
		add(p.Say("clients.chip.search", "text", p.Searched), "sok")
	}
	for _, status := range p.Filter.Statuses {
		one("status", string(status), p.Say("client.status."+string(status)))
	}
	for _, round := range p.Rounds {
		if slices.Contains(p.Filter.Groups, round.ID) {
			one("gruppe", strconv.FormatInt(round.ID, 10), p.Say("clients.chip.group", "date", round.RunOn))
		}
	}
	if p.Filter.Unplaced {
		one("gruppe", "ingen", p.Say("clients.unplaced"))
	}
	if p.Filter.Postcode != "" {
		add(p.Say("clients.chip.postcode", "code", p.Filter.Postcode), "postnr")
	}
	if p.Filter.Review {
		add(p.Say("clients.view.review"), "kontroll")
	}
	if period := p.Filter.Period; period.Of != "" {
		add(p.Say("clients.period."+period.Of)+" "+period.From.Short()+"–"+period.To.Short(), "periode", "fra", "til")
	}
	return chips
}

// Turn is the address of a neighbouring page of the same list.
func (p clientsPage) Turn(cursor string) string {
	q := p.Filter.Values()
	q.Set("fra-klient", cursor)
	return clientsPath(q)
}

// FoundWords is how many there are on all pages.
func (p clientsPage) FoundWords() string {
	if p.Capped {
		return p.Say("clients.more_than", "n", p.Found)
	}
	return p.Number(p.Found)
}

// StatusOptions are the choices of the quick filter: all, or one.
func (p clientsPage) StatusOptions() []edge.Option {
	options := []edge.Option{{Label: p.everything(len(p.Filter.Statuses))}}
	for _, status := range client.Statuses {
		options = append(options, edge.Option{Value: string(status), Label: p.Say("client.status." + string(status)), Chosen: len(p.Filter.Statuses) == 1 && p.Filter.Statuses[0] == status})
	}
	return options
}

// GroupOptions are the choices of the other quick filter.
func (p clientsPage) GroupOptions() []edge.Option {
	n := len(p.Filter.Groups)
	if p.Filter.Unplaced {
		n++
	}
	options := []edge.Option{{Label: p.everything(n)}, {Value: "ingen", Label: p.Say("clients.unplaced"), Chosen: n == 1 && p.Filter.Unplaced}}
	for _, round := range p.Rounds {
		options = append(options, edge.Option{Value: strconv.FormatInt(round.ID, 10), Label: p.groupName(round), Chosen: n == 1 && slices.Contains(p.Filter.Groups, round.ID)})
	}
	return options
}

func (p clientsPage) groupName(round deletion.Round) string {
	if round.Kind == "extra" {
		return p.Say("clients.extra", "date", round.RunOn)
	}
	return round.RunOn.Short()
}

// everything is the first choice of a quick filter: all, or a hint that the boxes below hold more than one.
func (p clientsPage) everything(chosen int) string {
	if chosen > 1 {
		return p.SayN("clients.several", chosen)
	}
	return p.Say("clients.all")
}

// box is one checkbox of the filters.
type box struct {
	ID, Value, Label string
	N                int
	Counted, Checked bool
}

// StatusBoxes pick several statuses at once.
func (p clientsPage) StatusBoxes() []box {
	counts := map[client.Status]int{client.Ordered: p.Totals.Ordered, client.Active: p.Totals.Active, client.Cancelled: p.Totals.Cancelled, client.Disconnected: p.Totals.Disconnected}
	var boxes []box
	for _, status := range client.Statuses {
		boxes = append(boxes, box{"f-st-" + string(status), string(status), p.Say("client.status." + string(status)), counts[status], true, len(p.Filter.Statuses) > 1 && slices.Contains(p.Filter.Statuses, status)})
	}
	return boxes
}

// GroupBoxes pick several deletion groups at once (P34).
func (p clientsPage) GroupBoxes() []box {
	n := len(p.Filter.Groups)
	if p.Filter.Unplaced {
		n++
	}
	boxes := []box{{"f-gr-ingen", "ingen", p.Say("clients.unplaced"), p.Totals.Unplaced, true, n > 1 && p.Filter.Unplaced}}
	for _, round := range p.Rounds {
		id := strconv.FormatInt(round.ID, 10)
		boxes = append(boxes, box{ID: "f-gr-" + id, Value: id, Label: p.groupName(round), Checked: n > 1 && slices.Contains(p.Filter.Groups, round.ID)})
	}
	return boxes
}

// Periods are the dates that a period can be about (P35).
func (p clientsPage) Periods() []edge.Option {
	var options []edge.Option
	for _, of := range []string{client.PeriodStatus, client.PeriodAgreementStart, client.PeriodAgreementEnd} {
		options = append(options, edge.Option{Value: of, Label: p.Say("clients.period." + of), Chosen: p.Filter.Period.Of == of || of == client.PeriodStatus && p.Filter.Period.Of == ""})
	}
	return options
}

func sampleClients() clientsPage {
	row := client.Row{ID: uuid.New(), Number: "200051466", GivenName: "Solveig", FamilyName: "Hansen", Street: "Skoleveien 4 B", Postcode: "1430", Town: "Ås", Phone: "900 00 172", Gender: "K", Status: client.Disconnected}
	hidden := row
	hidden.Protected, hidden.Status, hidden.BirthDate = true, client.Active, calendar.On(1938, 5, 12)
	return clientsPage{
		Rows: clientsPage{Page: edge.SamplePage("nb")}.lines([]assessed{
			{Row: row, Run: calendar.On(2023, 10, 1), Hinders: []retention.Blocker{{Code: retention.DuplicateActive}}},
			{Row: hidden},
			{Row: row, Hinders: []retention.Blocker{{Code: retention.DeviceOnAddress}, {Code: retention.Held}}},
		}),
		First: "Hansen", Last: "Hansen",
		Rounds: []deletion.Round{{ID: 1, Kind: "scheduled", RunOn: calendar.On(2023, 10, 1)}, {ID: 2, Kind: "extra", RunOn: calendar.On(2023, 10, 1)}},
		Filter: clientFilter{Filter: client.Filter{Statuses: client.Statuses, Groups: []int64{1}, Unplaced: true, Postcode: "1430", Period: client.Period{Of: client.PeriodStatus}}, Review: true, Searched: "x"},
		Found:  1000, Capped: true, Next: "last", Prev: "last", Searched: "hansen",
	}
}
