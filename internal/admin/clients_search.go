package admin

import (
	"net/http"
	"net/url"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// searchClients keeps what was typed under an id and shows the list by it: no name, number or telephone stands in an
// address.
func (s *Server) searchClients(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	q := url.Values{}
	for _, name := range []string{"status", "gruppe", "postnr", "kontroll", "periode"} {
		q[name] = f.Values[name]
	}
	from, until := f.date("fra"), f.date("til")
	if err := f.wrong.Err(); err != nil {
		return s.searchAgain(w, r, f, err)
	}
	for name, day := range map[string]calendar.Date{"fra": from, "til": until} {
		if !day.IsZero() {
			q.Set(name, day.String())
		}
	}
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		text := f.text("q")
		if text == "" {
			return tx.Require(access.ClientRead)
		}
		id, err := client.SaveSearch(r.Context(), tx, text)
		q.Set("sok", id.String())
		return err
	})
	if err != nil {
		return s.searchAgain(w, r, f, err)
	}
	return to(w, r, clientsPath(parseClientFilter(q).Values()), edge.Flash{})
}

// searchAgain shows the list with what was wrong with the search.
func (s *Server) searchAgain(w http.ResponseWriter, r *http.Request, f *form, wrong error) error {
	if !edge.Fixable(wrong) {
		return wrong
	}
	page := clientsPage{Page: edge.NewPage(r), Filter: parseClientFilter(f.Values)}
	page.Filter.Search, page.Filter.Searched = nil, ""
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error { return page.load(r.Context(), tx, client.Cursor{}) })
	if err != nil {
		return err
	}
	page.Undone = "clients.not_searched"
	status := page.Fail(wrong)
	page.Searched = f.text("q")
	return edge.Render(w, r, status, "clients", page)
}
