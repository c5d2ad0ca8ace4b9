package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func init() {
	report := exchange.Report{Format: exchange.CSV, Rows: 6, Taken: 2, Changed: 1, Unchanged: 1, Refused: 2, Flags: 1, Refusals: sampleRefusals}
	edge.Pages["import"] = importPage{
		Runs: []exchange.Run{{ID: uuid.New(), Rows: 6, Taken: 2, Refused: 2, ExpiresOn: calendar.On(2023, 10, 19)}}, Report: &report,
		Header: []string{"Db nr", "Navn", "Farge"}, Mapping: exchange.Mapping{0: exchange.Number, 1: exchange.Name},
	}
	edge.Pages["import-run"] = importRunPage{Run: exchange.Run{ID: uuid.New(), Format: exchange.Excel, Rows: 6, ExpiresOn: calendar.On(2023, 10, 19)}, Refusals: sampleRefusals, After: 7, Begun: true}
}

var sampleRefusals = []exchange.Refusal{{Row: 2, Field: "number", Code: "purged_before"}, {Row: 5, Field: "town", Code: "town_mismatch", Flag: true}}

func (s *Server) importRoutes(r chi.Router) {
	r.Get("/import", edge.Handle(s.importForm))
	r.With(edge.MaxBody(exchange.MaxBytes+1<<20)).Post("/import", edge.Handle(s.importFile))
	r.Get("/import/{run}", edge.Handle(s.importRun))
}

// importPage is where a file is brought in: tried first, so that everybody sees what it would do, and then for good. The
// file is in memory as long as the request lasts and nowhere else.
type importPage struct {
	edge.Page
	Runs    []exchange.Run
	Staff   map[int64]account.StaffMember
	Header  []string // of the file; empty before one was read
	Mapping exchange.Mapping
	Ask     bool             // the columns are to be looked through
	Report  *exchange.Report // of a try

	Pseudonymous bool // of the municipality: only number, pseudonym, status and days are read (T10)
}

// By is who did it.
func (p importPage) By(id int64) string { return nameOf(p.Page, p.Staff, id) }

// column is one column of the file with what it tells.
type column struct {
	ID, Name, Header string
	Choice           edge.Input
}

// Columns are the file's columns with a choice for each.
func (p importPage) Columns() []column {
	var columns []column
	for i, header := range p.Header {
		name := "column-" + strconv.Itoa(i)
		options := []edge.Option{{Label: p.Say("import.skip")}}
		for _, field := range exchange.Fields {
			options = append(options, edge.Option{Value: string(field), Label: p.Say("import.field." + string(field))})
		}
		choice := p.Select(name, string(p.Mapping[i]), options)
		choice.Label = header
		columns = append(columns, column{choice.ID, name, header, choice})
	}
	return columns
}

// Unread are the columns that tell nothing.
func (p importPage) Unread() (headers []string) {
	for i, header := range p.Header {
		if p.Mapping[i] == "" && header != "" {
			headers = append(headers, header)
		}
	}
	return headers
}

// Reasons are the refusals and flags of the try.
func (p importPage) Reasons() []reason { return reasons(p.Page, p.Report.Refusals) }

// reason is one refusal in words.
type reason struct {
	Row          int
	Field, Words string
	Flag         bool
}

func reasons(p edge.Page, refusals []exchange.Refusal) []reason {
	list := make([]reason, len(refusals))
	for i, refusal := range refusals {
		field := p.Text.Field(refusal.Field)
		if key := "import.field." + refusal.Field; p.Text.Has(key) {
			field = p.Say(key)
		}
		said := "import.code." + refusal.Code
		if !p.Text.Has(said) {
			said = "problem." + refusal.Code
		}
		list[i] = reason{refusal.Row, field, p.Say(said, "field", field), refusal.Flag}
	}
	return list
}

func (p *importPage) load(ctx context.Context, tx *pg.Tx) (err error) {
	if p.Runs, err = exchange.Runs(ctx, tx); err != nil {
		return err
	}
	if p.Pseudonymous, err = municipality.Pseudonymous(ctx, tx); err != nil {
		return err
	}
	p.Staff, err = account.Staff(ctx, tx)
	return err
}

func (s *Server) importForm(w http.ResponseWriter, r *http.Request) error {
	return s.showImport(w, r, http.StatusOK, importPage{Page: edge.NewPage(r)})
}

func (s *Server) showImport(w http.ResponseWriter, r *http.Request, status int, page importPage) error {
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error { return page.load(r.Context(), tx) })
	if err != nil {
		return err
	}
	return edge.Render(w, r, status, "import", page)
}

// importFile tries a file, or brings it in. Who may not import is told so before the file is read.
func (s *Server) importFile(w http.ResponseWriter, r *http.Request) error {
	page := importPage{Page: edge.NewPage(r)}
	if !page.Caller.Can(access.ImportRun) {
		return s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error { return tx.Require(access.ImportRun) })
	}
	table, err := uploaded(r)
	if err != nil {
		return s.importAgain(w, r, page, err)
	}
	page.Header = table.Header
	var told bool
	if page.Mapping, told = mappingOf(r, table.Header); !told {
		page.Mapping = exchange.Guess(table.Header)
	}
	if err := page.Mapping.Check(len(table.Header)); err != nil {
		page.Ask = true
		return s.importAgain(w, r, page, err)
	}
	try := r.PostForm.Get("step") != "import"
	report, err := exchange.Import(r.Context(), s.DB, page.Caller, table, page.Mapping, exchange.Options{Key: s.Key, DryRun: try})
	if err != nil {
		return s.importAgain(w, r, page, err)
	}
	if try {
		page.Report = &report
		return s.showImport(w, r, http.StatusOK, page)
	}
	path := "/import/" + report.ID.String()
	if r.Header.Get("HX-Request") != "" { // the page behind the button is left as a whole
		edge.SetFlash(w, r, edge.Flash{Key: "import.done", N: report.Taken})
		w.Header().Set("HX-Redirect", path)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return to(w, r, path, edge.Flash{Key: "import.done", N: report.Taken})
}

func (s *Server) importAgain(w http.ResponseWriter, r *http.Request, page importPage, err error) error {
	if !edge.Fixable(err) {
		return err
	}
	return s.showImport(w, r, page.Fail(exchange.OfFile(err)), page)
}

// uploaded reads the file of the form. It stays in memory: no copy of it lies on a disk.
func uploaded(r *http.Request) (exchange.Table, error) {
	switch err := edge.ReadForm(r, exchange.MaxBytes+1<<20); { // the route has its limit (edge.MaxBody)
	case errors.As(err, new(*http.MaxBytesError)):
		return exchange.Table{}, problem.InvalidField("file", "too_large", nil)
	case err != nil && r.MultipartForm == nil: // no form with a file at all
		return exchange.Table{}, problem.InvalidField("file", "required", nil)
	case err != nil:
		return exchange.Table{}, err
	}
	defer r.MultipartForm.RemoveAll() //nolint:errcheck // nothing was written
	file, head, err := r.FormFile("file")
	if err != nil {
		return exchange.Table{}, problem.InvalidField("file", "required", nil)
	}
	defer file.Close() //nolint:errcheck // it was only read
	return exchange.Read(file, head.Size, head.Filename)
}

// mappingOf is what the person chose for each column; not ok when the form did not ask.
func mappingOf(r *http.Request, header []string) (mapping exchange.Mapping, ok bool) {
	mapping = exchange.Mapping{}
	for i := range header {
		name := "column-" + strconv.Itoa(i)
		if !r.PostForm.Has(name) {
			return nil, false
		}
		if field := r.PostForm.Get(name); field != "" {
			mapping[i] = exchange.Field(field)
		}
	}
	return mapping, r.PostForm.Get("columns") == strconv.Itoa(len(header))
}
