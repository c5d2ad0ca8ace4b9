package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/retention"
)

// processingPage is the record of processing activities (GDPR 30), on screen and on paper.
type processingPage struct {
	privacyHead
	Record privacy.Processing
}

func init() {
	rule := retention.Rule{Class: "client_record", Version: 1, StartEvent: "disconnected", PeriodMonths: 6, Authority: "x", Outcome: retention.Destroy}
	abroad := "US"
	edge.Pages["privacy-processing"] = processingPage{Record: privacy.Processing{
		Municipality: "Ås", Classes: []privacy.ProcessingClass{
			{Class: "client_record", Rule: &rule, Tables: []privacy.ProcessingTable{{Table: "client", Personal: []string{"phone"}, Staff: []string{"login"}, Action: "along"}, {Table: "x", Action: "none"}}}, {Class: "none"},
		},
		Recipients: []privacy.Recipient{{Name: "N", Service: "camera", Place: &abroad, OutsideEEA: []string{"US"}, TransferBasis: &abroad}}, Measures: privacy.SecurityMeasures, NotHeld: privacy.NotHeld,
	}}
}

func (s *Server) processingOf(r *http.Request) (p privacy.Processing, err error) {
	err = s.inPrivacy(r, access.PrivacyRead, func(ctx context.Context, tx *pg.Tx) error {
		p, err = privacy.ProcessingOf(ctx, tx)
		return err
	})
	return p, err
}

func (s *Server) processing(w http.ResponseWriter, r *http.Request) (err error) {
	page := processingPage{privacyHead: newPrivacyHead(r, "processing")}
	if page.Record, err = s.processingOf(r); err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "privacy-processing", page)
}

// Class is what people call a deletion class, and what is done with it, for whom, and by which right; a class that nobody
// has found words for stands there by its code.
func (p processingPage) Class(part, class string) string {
	return words(p.Page, "processing."+part+".", class)
}

// About reports whether there are words for a part of a class.
func (p processingPage) About(part, class string) bool {
	return p.Text.Has("processing." + part + "." + class)
}

// Table is what people call a table.
func (p processingPage) Table(name string) string { return tableWords(p.Page, name) }

// Column is what people call a column.
func (p processingPage) Column(name string) string {
	words, _ := p.column(name)
	return words
}

func (p processingPage) column(name string) (words string, ok bool) {
	for _, key := range []string{"processing.column." + name, "field." + name} {
		if p.Text.Has(key) {
			return p.Say(key), true
		}
	}
	return name, false
}

// Period is how long, and from when.
func (p processingPage) Period(r *retention.Rule) string {
	return p.Say("processing.period", "period", p.Text.Period(r.PeriodMonths, r.PeriodDays, r.Inclusive), "start", p.Say("processing.start."+r.StartEvent))
}

// Basis is the basis for a transfer.
func (p processingPage) Basis(code *string) string { return basisOf(p.Page, code) }

// Country is a country by its name.
func (p processingPage) Country(code string) string { return countryOf(p.Page, code).Name }

func (s *Server) processingJSON(w http.ResponseWriter, r *http.Request) error {
	p, err := s.processingOf(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="behandlingsprotokoll-`+p.Number+`.json"`)
	return edge.JSON(w, http.StatusOK, p)
}

func (s *Server) processingCSV(w http.ResponseWriter, r *http.Request) error {
	p, err := s.processingOf(r)
	if err != nil {
		return err
	}
	attach(w, "text/csv; charset=utf-8", "behandlingsprotokoll-"+p.Number+".csv")
	return p.WriteCSV(w)
}
