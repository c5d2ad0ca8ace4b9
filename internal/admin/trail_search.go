package admin

import (
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// searchLog turns what was typed into ids and codes, and shows the logs by them.
func (s *Server) searchLog(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	page := logPage{logBase: logBase{Page: edge.NewPage(r)}}
	q := f.Values
	q.Del("ansatt")
	q.Del("klient")
	page.Filter = parseLogFilter(q, page.Zone)
	page.Filter.Who, page.Filter.Whom = r.PostForm.Get("hvem"), r.PostForm.Get("hvilken_klient")
	page.Filter.From, page.Filter.To = f.date("fra"), f.date("til")
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.AccessLogRead); err != nil {
			return err
		}
		if who := f.text("hvem"); who != "" {
			if page.Filter.Query.Accounts, err = account.FindStaff(r.Context(), tx, who); err != nil {
				return err
			}
			if len(page.Filter.Query.Accounts) == 0 {
				f.wrong.Add("hvem", "nobody_found", nil)
			}
		}
		if whom := f.text("hvilken_klient"); whom != "" {
			found, purged, _, err := deletion.FindPersons(r.Context(), tx, s.Key, whom)
			switch {
			case err != nil:
				return err
			case len(found)+len(purged) == 0:
				f.wrong.Add("hvilken_klient", "nobody_found", nil)
			case len(found) > 1 && len(purged) == 0:
				f.wrong.Add("hvilken_klient", "several_found", problem.Params{"n": len(found)})
			}
			page.Filter.Query.Clients = append(personIDs(found), purged...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if wrong := f.wrong.Err(); wrong != nil {
		filter := page.Filter
		if err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error { return page.loadFront(r.Context(), tx, nil) }); err != nil {
			return err
		}
		page.Filter = filter
		page.Undone = "trail.not_searched"
		return edge.Render(w, r, page.Fail(wrong), "trail", page)
	}
	return to(w, r, logPath(page.Filter.Values()), edge.Flash{})
}
