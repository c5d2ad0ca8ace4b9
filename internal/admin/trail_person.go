package admin

import (
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func init() {
	at := time.Date(2023, 9, 19, 7, 12, 0, 0, time.UTC)
	id := uuid.New()
	edge.Pages["trail-client"] = personLogPage{
		logBase: logBase{Rows: []audit.Row{{Kind: audit.LooksAt, ID: 1, At: at, Name: "Kari", Role: "caseworker", Organisation: "municipality", Page: "client", Purpose: "record", Clients: []uuid.UUID{id}, Shown: 1}}, Older: "x", Begun: true},
		IDs:     []client.ID{id, uuid.New()},
		Lookers: []audit.Looker{
			{Account: 1, Name: "Kari Nordmann", StaffNumber: "S-10001", Role: "caseworker", Organisation: "municipality", Opened: 3, Listed: 2, First: at, Last: at, Pages: []string{"client", "clients"}, Purposes: []string{"record", "list"}},
			{Account: 8, StaffNumber: "S-10008", Role: "support", Organisation: "processor", Opened: 1, First: at, Last: at, Pages: []string{"x"}, Purposes: []string{"x"}},
		},
		From: calendar.On(2023, 9, 1),
	}
	edge.Pages["trail-person"] = personFindPage{Typed: "Hansen", Found: []client.Person{{ID: id, Number: "200051466", GivenName: "Solveig", FamilyName: "Hansen", Status: client.Active}}, Purged: []client.ID{id}, All: "/innsyn", More: true}
}

// personLogPage answers "who looked at this person, and why" (T8): everybody who did, then each time.
type personLogPage struct {
	logBase
	IDs      []client.ID // the person's ids: one, or more when the same person was a client before
	Lookers  []audit.Looker
	From, To calendar.Date
}

// ID is the id in the page's address.
func (p personLogPage) ID() client.ID { return p.IDs[0] }

// Opened is how many times the client was opened, by everybody together.
func (p personLogPage) Opened() (n int) {
	for _, l := range p.Lookers {
		n += l.Opened
	}
	return n
}

func (p personLogPage) path(older string) string {
	f := logFilter{Query: audit.Query{Clients: p.IDs[1:]}, From: p.From, To: p.To}
	q := f.Values()
	if older != "" {
		q.Set("eldre", older)
	}
	if len(q) == 0 {
		return "/innsyn/" + p.ID().String()
	}
	return "/innsyn/" + p.ID().String() + "?" + q.Encode()
}

// OlderPath and NewestPath are the addresses of the next page of rows and of the first one.
func (p personLogPage) OlderPath() string { return p.path(p.Older) }

// NewestPath is the address of the newest rows.
func (p personLogPage) NewestPath() string { return p.path("") }

// Hidden is the filter of this page's export.
func (p personLogPage) Hidden() []edge.Option {
	return hiddenFields(logFilter{Query: audit.Query{Clients: p.IDs}, From: p.From, To: p.To}.Values())
}

// clientLog shows it by the client's id, also when the client is gone. Of an id that is nobody's it shows nothing, as of one
// of another municipality.
func (s *Server) clientLog(w http.ResponseWriter, r *http.Request) error {
	id, err := client.ParseID(chi.URLParam(r, "client"))
	if err != nil {
		return err
	}
	page := personLogPage{logBase: logBase{Page: edge.NewPage(r)}}
	filter := parseLogFilter(r.URL.Query(), page.Zone)
	page.IDs, page.From, page.To = append([]client.ID{id}, filter.Query.Clients...), filter.From, filter.To
	query := audit.Query{Clients: page.IDs, From: filter.Query.From, Until: filter.Query.Until}
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		return tx.Together(r.Context(),
			func() (err error) {
				page.Lookers, err = audit.Lookers(r.Context(), tx, page.IDs, query.From, query.Until)
				return err
			},
			func() error { return page.load(r.Context(), tx, query, r.URL.Query().Get("eldre")) },
		)
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "trail-client", page)
}

// personFindPage is who may be meant by what was typed.
type personFindPage struct {
	logBase
	Typed  string
	Found  []client.Person
	Purged []client.ID // ids that the person had and has no more
	All    string      // the address of all of them together, when they are one person's
	More   bool
}

// Hits is how many there are.
func (p personFindPage) Hits() int { return len(p.Found) + len(p.Purged) }

// findPerson keeps what was typed under an id, so that no name and no national id stands in an address.
func (s *Server) findPerson(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	var id uuid.UUID
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		id, err = client.SavePerson(r.Context(), tx, f.text("person"))
		return err
	})
	if !edge.Fixable(err) {
		if err != nil {
			return err
		}
		return to(w, r, "/innsyn/person?sok="+id.String(), edge.Flash{})
	}
	page := logPage{logBase: logBase{Page: edge.NewPage(r)}, Person: f.text("person")}
	if err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error { return page.loadFront(r.Context(), tx, nil) }); err != nil {
		return err
	}
	page.Undone = "trail.not_found_person"
	return edge.Render(w, r, page.Fail(err), "trail", page)
}

// person shows who may be meant. One alone is shown at once.
func (s *Server) person(w http.ResponseWriter, r *http.Request) error {
	page := personFindPage{logBase: logBase{Page: edge.NewPage(r)}}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.AccessLogRead); err != nil || !r.URL.Query().Has("sok") {
			return err
		}
		saved, err := uuid.Parse(r.URL.Query().Get("sok"))
		if err != nil {
			return problem.NotFound{What: "search"}
		}
		if page.Typed, err = client.SavedPerson(r.Context(), tx, saved); err != nil {
			return err
		}
		page.Found, page.Purged, page.More, err = deletion.FindPersons(r.Context(), tx, s.Key, page.Typed)
		return err
	})
	if err != nil {
		return err
	}
	if len(page.Found)+len(page.Purged) == 1 {
		id := append(page.Purged, personIDs(page.Found)...)[0]
		return to(w, r, "/innsyn/"+id.String(), edge.Flash{})
	}
	if len(page.Purged) > 0 { // a national id was typed, so all of them are one person
		ids := append(personIDs(page.Found), page.Purged...)
		page.All = personLogPage{IDs: ids}.path("")
	}
	return edge.Render(w, r, http.StatusOK, "trail-person", page)
}

func personIDs(found []client.Person) []client.ID {
	ids := make([]client.ID, len(found))
	for i, p := range found {
		ids[i] = p.ID
	}
	return ids
}
