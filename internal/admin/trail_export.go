package admin

import (
	"net/http"
	"slices"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// exportLog hands the rows of a filter out as a file. That it was done is on record before the first byte is sent; the rows
// then come as they are read, so a large log needs no more memory than a small one.
func (s *Server) exportLog(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	form := f.text("format")
	page := edge.NewPage(r)
	query := parseLogFilter(f.Values, page.Zone).Query
	var export audit.Export
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		if err := tx.Require(access.AccessLogRead); err != nil {
			return err
		}
		if !slices.Contains(exchange.LogForms, form) {
			return problem.InvalidField("format", "choice", nil)
		}
		export, err = audit.BeginExport(r.Context(), tx, query, form)
		return err
	})
	if err != nil {
		return err
	}
	name := page.Municipality.Number + "-logg-" + page.Date(export.At).String()
	if form == exchange.LogFHIR {
		w.Header().Set("Content-Type", "application/fhir+json; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.json"`)
	} else {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	}
	err = exchange.WriteLog(r.Context(), s.DB, w, export, form, exchange.LogText{
		Municipality: page.Municipality.Number, Zone: page.Zone, Word: page.Text.Word, Field: page.Text.Field,
	})
	if err != nil {
		s.Site.Log.ErrorContext(r.Context(), "an export broke off", "request", edge.RequestID(r))
		panic(http.ErrAbortHandler) // half a log must not look like a whole one
	}
	return nil
}
