package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/handout"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/rights"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// rightsRoutes are what a person asks for: the list, one request, and the documents that answer it.
func (s *Server) rightsRoutes(r chi.Router) {
	r.Get("/klienter/{client}/rettigheter", edge.Handle(s.newRight))
	r.Post("/klienter/{client}/rettigheter", edge.Handle(s.receiveRight))
	r.Get("/rettigheter", edge.Handle(s.rights))
	r.Get("/rettigheter/tidligere", edge.Handle(s.formerRight))
	r.Post("/rettigheter/tidligere", edge.Handle(s.receiveFormer))
	r.Route("/rettigheter/{request}", func(r chi.Router) {
		r.Get("/", edge.Handle(s.right))
		r.Post("/forbered", s.actOnRight("forbered"))
		r.Post("/send-tilbake", s.actOnRight("send-tilbake"))
		r.Post("/frigi", s.actOnRight("frigi"))
		r.Post("/avsla", s.actOnRight("avsla"))
		r.Post("/trekk", s.actOnRight("trekk"))
		r.Post("/forleng", s.actOnRight("forleng"))
		r.Post("/opphev", s.actOnRight("opphev"))
		r.Get("/forhandsvisning", edge.Handle(s.previewRight))
		r.Get("/utlevering.{format:html|pdf|json|fhir|zip}", edge.Handle(s.extractRight))
	})
}

func init() {
	id, name := uuid.New(), uuid.New()
	at := sampleHead("").Client.StatusSince
	by, other := int64(1), int64(2)
	asked := rights.Request{
		ID: id, ClientID: &name, Kind: rights.Access, State: rights.Received, ReceivedOn: calendar.On(2023, 8, 20), DueOn: calendar.On(2023, 9, 20), Channel: "letter", Reference: "23/1042",
		ReceivedBy: 1, ReceivedAt: at, GivenName: "Solveig", FamilyName: "Hansen", Number: "200051466", Remark: "Ta med opptakene", ExtensionReason: "complex", ExtensionToldOn: calendar.On(2023, 9, 1),
	}
	former, late, restricted := asked, asked, asked
	former.Former, former.ClientID = true, nil
	late.DueOn, late.State, late.PreparedBy, late.PreparedAt = calendar.On(2023, 9, 1), rights.Prepared, &by, &at
	restricted.Kind, restricted.State, restricted.DecidedAt, restricted.DecidedBy, restricted.RestrictionGround = rights.Restriction, rights.Released, &at, &other, "contested"
	refused := asked
	refused.State, refused.Kind, refused.RefusalGround, refused.DecidedAt, refused.DecidedBy, refused.Decision = rights.Refused, rights.Erasure, "retention", &at, &other, "Nei"
	refused.Outcome = []rights.ClassAnswer{{Class: "client_record", DueOn: calendar.On(2024, 3, 14), RunOn: calendar.On(2024, 4, 1), Months: 6, Authority: "GDPR"}, {Class: "alarm_log", Kept: []string{"device_on_client"}}}
	edge.Pages["rights"] = rightsPage{Open: []rights.Request{late, asked, former}, Restrictions: []rights.Request{restricted}, Answered: []rights.Request{refused}, Older: "x"}
	edge.Pages["rights-new"] = newRightPage{Client: client.Client{ID: name, GivenName: "Solveig", FamilyName: "Hansen"}, Form: rightForm{Kind: "access"}, Once: "once"}
	edge.Pages["rights-former"] = newRightPage{Former: true, Once: "once"}
	for key, r := range map[string]rights.Request{"right": late, "client-restricted": restricted} {
		page := rightPage{Request: r, Corrected: []string{"phone"}, Classes: refused.Outcome, Documents: true, Open: "frigi"}
		if key == "right" {
			edge.Pages[key] = page
			continue
		}
		head := sampleHead("").Client
		head.RestrictedAt, head.Asked = &at, "restriction released 2023-09-20 "+id.String()+",access received 2023-09-20 "+id.String()
		edge.Pages[key] = restrictedPage{Client: head}
	}
	edge.Pages["rights-preview"] = previewPage{Request: late, Sheet: handout.Sheet{
		Title: "t", Facts: []handout.Pair{{Name: "a", Value: "b"}}, Withheld: []string{"w"},
		Parts: []handout.Part{{Title: "s", Pairs: [][]handout.Pair{{{Name: "a", Value: "b"}}}}, {Title: "s", Columns: []string{"a"}, Rows: [][]string{{"b"}}}, {Title: "none"}},
	}}
}

// rightsPage is /rettigheter: what waits for an answer, the most urgent first, the restrictions that stand, and what was
// answered.
type rightsPage struct {
	edge.Page
	Open         []rights.Request
	Restrictions []rights.Request
	Answered     []rights.Request
	Older        string // the cursor of the next page of answered ones; empty at the end
	Begun        bool
}

const answeredPerPage = 50

func (s *Server) rights(w http.ResponseWriter, r *http.Request) error {
	page := rightsPage{Page: edge.NewPage(r), Begun: r.URL.Query().Get("eldre") != ""}
	before, err := rights.ParseCursor(r.URL.Query().Get("eldre"))
	if err != nil {
		return err
	}
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		return tx.Together(r.Context(),
			func() (err error) {
				page.Open, page.Restrictions, err = rights.OpenRequests(r.Context(), tx)
				return err
			},
			func() (err error) {
				page.Answered, err = rights.Answered(r.Context(), tx, before, answeredPerPage+1)
				return err
			},
		)
	})
	if err != nil {
		return err
	}
	if len(page.Answered) > answeredPerPage {
		page.Answered = page.Answered[:answeredPerPage]
		last := page.Answered[answeredPerPage-1]
		page.Older = edge.Query("/rettigheter", "eldre", rights.Cursor{On: last.ReceivedOn, ID: last.ID}.String())
	}
	if page.Begun {
		page.Open, page.Restrictions = nil, nil
	} else {
		page.Waiting = map[string]int{"rights": len(page.Open)}
	}
	return edge.Render(w, r, http.StatusOK, "rights", page)
}

// Lead says how much waits, and how much of it too long.
func (p rightsPage) Lead() string {
	overdue := 0
	for _, r := range p.Open {
		if r.DaysLeft(p.Today()) < 0 {
			overdue++
		}
	}
	switch {
	case len(p.Open) == 0:
		return p.Say("rights.lead.none")
	case overdue > 0:
		return p.SayN("rights.lead", len(p.Open)) + " " + p.SayN("rights.lead.overdue", overdue)
	}
	return p.SayN("rights.lead", len(p.Open))
}

// clock is a request's last day in words, for lists and pages.
type clock struct {
	Words string
	Color string // of the tag; empty: none is needed
}

func clockOf(p edge.Page, r rights.Request) clock {
	switch left := r.DaysLeft(p.Today()); {
	case !r.Open():
		return clock{}
	case left < 0:
		return clock{p.SayN("rights.overdue", -left), "warning"}
	case left == 0:
		return clock{p.Say("rights.due_today"), "warning"}
	case left <= 7:
		return clock{p.SayN("rights.days_left", left), "warning"}
	default:
		return clock{p.SayN("rights.days_left", left), ""}
	}
}

// Clock is how much time is left.
func (p rightsPage) Clock(r rights.Request) clock { return clockOf(p.Page, r) }

// Who is the person of the request, for those who may read clients.
func (p rightsPage) Who(r rights.Request) string { return whoAsks(p.Page, r) }

func whoAsks(p edge.Page, r rights.Request) string {
	switch {
	case r.Former:
		return p.Say("rights.former")
	case r.Name() == "":
		return p.Say("rights.a_client")
	}
	return r.Name()
}

// rightForm is what somebody typed about a new request.
type rightForm struct{ Kind, ReceivedOn, Channel, Reference, Wish, NationalID string }

func typedRight(f *form) rightForm {
	return rightForm{f.Get("kind"), f.text("received_on"), f.Get("channel"), f.text("reference"), f.text("wish"), f.text("national_id")}
}

func (t rightForm) request(f *form) rights.New {
	return rights.New{Kind: rights.Kind(t.Kind), ReceivedOn: f.date("received_on"), Channel: t.Channel, Reference: t.Reference, Wish: t.Wish}
}

// newRightPage is the form for a request: of a client, or of somebody whose record is gone.
type newRightPage struct {
	edge.Page
	Client client.Client
	Former bool
	Form   rightForm
	Once   string
}

// Kinds are what can be asked for.
func (p newRightPage) Kinds() edge.Input {
	var choices []edge.Option
	for _, k := range rights.Kinds {
		choices = append(choices, edge.Option{Value: string(k), Label: p.Say("rights.kind." + string(k) + ".long")})
	}
	return p.Select("kind", p.Form.Kind, choices, "label=rights.what")
}

// Channels are how it came.
func (p newRightPage) Channels() edge.Input {
	choices := []edge.Option{{Label: p.Say("client.choose")}}
	for _, c := range rights.Channels {
		choices = append(choices, edge.Option{Value: c, Label: p.Say("rights.channel." + c)})
	}
	return p.Select("channel", p.Form.Channel, choices, "label=rights.came_by", "class=w-ref")
}

// Wish is the field for the person's own words.
func (p newRightPage) Wish() edge.Input {
	in := p.Field("wish", p.Form.Wish, "label=rights.wish", "help=rights.wish.help")
	in.Rows = 5
	return in
}

func (s *Server) newRight(w http.ResponseWriter, r *http.Request) error {
	return s.showNewRight(w, r, http.StatusOK, newRightPage{Page: edge.NewPage(r)})
}

// showNewRight shows the form. A restricted client asks too, so that the head is enough.
func (s *Server) showNewRight(w http.ResponseWriter, r *http.Request, status int, page newRightPage) error {
	page.Once = newOnce()
	if page.Former {
		if !page.Caller.Can(access.RightsPrepare) {
			return problem.Forbidden{Code: "permission"}
		}
		return edge.Render(w, r, status, "rights-former", page)
	}
	id, err := client.ParseID(chi.URLParam(r, "client"))
	if err != nil {
		return err
	}
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.RightsPrepare); err != nil {
			return err
		}
		page.Client, err = client.AnyHead(r.Context(), tx, id)
		return err
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, status, "rights-new", page)
}

func (s *Server) receiveRight(w http.ResponseWriter, r *http.Request) error {
	var request string
	_, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		made, err := rights.Receive(ctx, tx, id, typedRight(f).request(f))
		request = made.String()
		return err
	})
	if err == nil {
		if request == "" || request == uuid.Nil.String() { // pressed twice: it is done
			return to(w, r, "/rettigheter", edge.Flash{Key: "rights.flash.received"})
		}
		return to(w, r, "/rettigheter/"+request, edge.Flash{Key: "rights.flash.received"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := newRightPage{Page: edge.NewPage(r), Form: typedRight(f)}
	return s.showNewRight(w, r, page.Fail(err), page)
}

func (s *Server) formerRight(w http.ResponseWriter, r *http.Request) error {
	return s.showNewRight(w, r, http.StatusOK, newRightPage{Page: edge.NewPage(r), Former: true})
}

func (s *Server) receiveFormer(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	var request string
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		request, err = f.once(r.Context(), tx, func() (string, error) {
			typed := typedRight(f)
			id, err := rights.ReceiveFormer(r.Context(), tx, s.Key, typed.NationalID, typed.request(f))
			return id.String(), err
		})
		return err
	})
	if err == nil {
		return to(w, r, "/rettigheter/"+request, edge.Flash{Key: "rights.flash.received"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := newRightPage{Page: edge.NewPage(r), Former: true, Form: typedRight(f)}
	page.Form.NationalID = "" // not shown back
	return s.showNewRight(w, r, page.Fail(err), page)
}

// restrictedPage is all that is shown of a client whose data may only be kept (GDPR 18).
type restrictedPage struct {
	edge.Page
	Client client.Client
}

// Asks are the person's requests.
func (p restrictedPage) Asks() []client.Ask { return p.Client.Asks() }

// showRestricted answers a page of a restricted client.
func (s *Server) showRestricted(w http.ResponseWriter, r *http.Request, id client.ID) error {
	page := restrictedPage{Page: edge.NewPage(r)}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) (err error) {
		page.Client, err = client.Head(r.Context(), tx, id)
		return err
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "client-restricted", page)
}
