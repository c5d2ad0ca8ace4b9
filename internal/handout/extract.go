// Package handout puts what is handed out to a person into a form that people read: everything that is held on them, as a
// document, a PDF and an archive with the sounds. It knows no SQL, and not who asks.
package handout

import (
	"archive/zip"
	"context"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/rights"
)

// Pair is a name and what stands beside it.
type Pair struct{ Name, Value string }

// Sheet is the extract in words: for the preview, the file to read and the PDF.
type Sheet struct {
	Title    string
	Owner    string // Ås kommune (3218)
	Made     string
	Facts    []Pair
	Withheld []string
	Parts    []Part
}

// Part is one kind of data: pairs for what there is one of, a table for what there are many of.
type Part struct {
	Title   string
	Pairs   [][]Pair
	Columns []string
	Forms   []rights.Form
	Rows    [][]string
}

// mostColumns is how wide a table can be and still be read on a sheet of paper.
const mostColumns = 7

// SheetOf writes an extract in words. What nobody wrote down says so.
func SheetOf(text edge.Text, e rights.Extract) Sheet {
	p := edge.Page{Text: text, Lang: text.Lang, Zone: e.Municipality.Zone}
	s := Sheet{
		Title: p.Say("rights.extract.title"),
		Owner: p.Say("rights.extract.owner", "name", p.Say("tenant", "name", e.Municipality.Name), "number", e.Municipality.Number),
		Made:  p.Say("rights.extract.made", "when", p.Text.DateTime(e.MadeAt, p.Zone)),
	}
	s.Facts = []Pair{
		{p.Say("rights.extract.controller"), s.Owner},
		{p.Say("field.reference"), e.Request.Reference},
		{p.Say("rights.came"), e.Request.ReceivedOn.Short()},
		{p.Say("rights.extract.when"), p.Text.DateTime(e.MadeAt, p.Zone)},
		{p.Say("rights.extract.purpose"), p.Say("rights.extract.purpose.words")},
		{p.Say("rights.extract.source"), p.Say("rights.extract.source.words")},
		{p.Say("rights.extract.recipients"), p.Say("rights.extract.recipients.words")},
		{p.Say("rights.extract.rights"), p.Say("rights.extract.rights.words")},
	}
	for _, w := range e.Withheld {
		s.Withheld = append(s.Withheld, p.SayN("rights.withheld."+w.What, w.Count))
	}
	for _, section := range e.Sections {
		s.Parts = append(s.Parts, partOf(p, section))
	}
	return s
}

func partOf(p edge.Page, section rights.Section) Part {
	part := Part{Title: p.Say("rights.section." + section.Key)}
	wide := section.Key == "client" || len(section.Fields) > mostColumns
	for _, f := range section.Fields {
		part.Columns, part.Forms = append(part.Columns, columnWords(p, f.Name)), append(part.Forms, f.Form)
	}
	for _, row := range section.Rows {
		var pairs []Pair
		cells := make([]string, len(row))
		for i, f := range section.Fields {
			cells[i] = valueWords(p, section.Key, f, row[i])
			if cells[i] != "" {
				pairs = append(pairs, Pair{part.Columns[i], cells[i]})
			}
		}
		if wide {
			part.Pairs = append(part.Pairs, pairs)
		} else {
			part.Rows = append(part.Rows, cells)
		}
	}
	return part
}

// columnWords is what a field is called: as on the record's own pages where it stands there too.
func columnWords(p edge.Page, name string) string {
	if key := "rights.col." + name; p.Text.Has(key) {
		return p.Say(key)
	}
	return p.Text.Field(name)
}

// codes are the beginnings of the sentences that a field's codes can have, by section and field or by field.
var codes = map[string][]string{
	"status": {"client.status."}, "gender": {"client.gender."}, "end_reason": {"client.end_reason."}, "status_entry.reason": {"client.end_reason."},
	"unplaced_reason": {"rights.kept.", "client.unplaced."}, "hold.reason": {"client.hold."}, "order_client.reason": {"orders.reason."}, "order_client.state": {"orders.state."},
	"kind": {"kind."}, "channel": {"rights.channel.", "kind."}, "role": {"role."}, "organisation": {"rights.organisation."}, "audit.act": {"act."}, "placement.act": {"rights.placement."},
	"page": {"look."}, "purpose": {"rights.purpose."}, "class": {"client.class.", "rights.outliving."}, "kept": {"rights.kept."}, "reasons": {"rights.kept.", "rounds.reason."},
	"round_item.state": {"rights.item."}, "rights_request.kind": {"rights.kind."}, "rights_request.state": {"rights.state."}, "restriction_ground": {"rights.restricted_for."},
	"refusal_ground": {"rights.refused_for."}, "on": {"client.hold.on_"},
}

// valueWords is a value as people read it; empty for nothing.
func valueWords(p edge.Page, section string, f rights.Field, value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case time.Time:
		return p.Text.DateTime(v, p.Zone)
	case calendar.Date:
		return v.Long()
	case bool:
		if v {
			return p.Say("client.yes")
		}
		return p.Say("rights.no")
	case float64:
		return strings.Replace(strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0"), ".", p.Say("rights.decimal"), 1)
	case string:
		switch {
		case section == "client_change" && f.Name == "field", f.Name == "fields":
			var names []string
			for name := range strings.FieldsSeq(v) {
				names = append(names, p.Text.Field(name))
			}
			return strings.Join(names, ", ")
		case f.Form == rights.Who && v == "system":
			return p.Say("client.frist")
		case f.Form == rights.Code:
			return codeWords(p, section, f.Name, v)
		case f.Form == rights.Codes:
			var all []string
			for code := range strings.FieldsSeq(v) {
				all = append(all, codeWords(p, section, f.Name, code))
			}
			return strings.Join(all, ", ")
		}
		return v
	}
	return fmt.Sprint(value)
}

func codeWords(p edge.Page, section, field, code string) string {
	prefixes := codes[section+"."+field]
	if prefixes == nil {
		prefixes = codes[field]
	}
	for _, prefix := range prefixes {
		if p.Text.Has(prefix + code) {
			return p.Say(prefix + code)
		}
	}
	return code
}

// Listen asks the store what the sounds of an extract are.
func Listen(ctx context.Context, store *blob.Store, e *rights.Extract) error {
	return e.Find(func(key string) (string, int64, error) {
		sound, err := store.Open(ctx, key)
		if err != nil {
			return "", 0, err
		}
		defer sound.Close() //nolint:errcheck // it was only read
		first := make([]byte, 512)
		n, err := io.ReadFull(sound, first)
		if n == 0 && err != nil {
			return "", 0, problem.NotFound{What: "object"}
		}
		size, err := sound.Seek(0, io.SeekEnd)
		if err != nil {
			return "", 0, problem.Unavailable{What: "blob store"}
		}
		return http.DetectContentType(first[:n]), size, nil
	})
}

// File is an extract in one format, about to be sent.
type File struct {
	kind, extension string
	write           func(io.Writer) error
}

// FileOf makes the file of an extract whose sounds were listened to: html, pdf, json, fhir, or zip with all of these and the
// sounds. Any other format is problem.NotFound.
func FileOf(ctx context.Context, store *blob.Store, text edge.Text, e rights.Extract, format string) (File, error) {
	switch format {
	case "html":
		return File{"text/html; charset=utf-8", format, func(w io.Writer) error { return writeHTML(w, text, e) }}, nil
	case "pdf":
		file, err := drawPDF(text, e)
		return File{"application/pdf", format, written(file)}, err
	case "json":
		return File{"application/json", format, e.WriteJSON}, nil
	case "fhir":
		return File{"application/fhir+json", "fhir.json", e.WriteFHIR}, nil
	case "zip":
		file, err := drawPDF(text, e)
		return File{"application/zip", format, func(w io.Writer) error { return archive(ctx, w, store, text, e, file) }}, err
	}
	return File{}, problem.NotFound{What: "page"}
}

func written(file []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(file)
		return err
	}
}

// Send answers with the file. It is made for this answer and kept nowhere: neither here nor, by no-store, on the way. Its
// name says nothing of the person.
func (f File) Send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", `attachment; filename="innsyn.`+f.extension+`"`)
	if err := f.write(w); err != nil {
		panic(http.ErrAbortHandler) // the answer has begun: whoever gets it must see that it is not whole
	}
}

// archive is everything in one file: to read, for programs, and the sounds.
func archive(ctx context.Context, w io.Writer, store *blob.Store, text edge.Text, e rights.Extract, pdf []byte) error {
	z := zip.NewWriter(w)
	for _, part := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"innsyn.pdf", written(pdf)},
		{"innsyn.html", func(w io.Writer) error { return writeHTML(w, text, e) }},
		{"innsyn.json", e.WriteJSON},
		{"innsyn.fhir.json", e.WriteFHIR},
	} {
		if err := zipped(z, part.name, e.MadeAt, part.write); err != nil {
			return err
		}
	}
	for _, sound := range e.Sounds {
		if sound.Missing {
			continue
		}
		if err := zipped(z, sound.File, e.MadeAt, func(w io.Writer) error { return copySound(ctx, w, store, sound.Key) }); err != nil {
			return err
		}
	}
	return z.Close()
}

func zipped(z *zip.Writer, name string, at time.Time, write func(io.Writer) error) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at.UTC()})
	if err != nil {
		return err
	}
	return write(w)
}

func copySound(ctx context.Context, w io.Writer, store *blob.Store, key string) error {
	sound, err := store.Open(ctx, key)
	if err != nil {
		return err
	}
	defer sound.Close() //nolint:errcheck // it was only read
	_, err = io.Copy(w, sound)
	return err
}

// writeHTML is a document of its own, that needs nothing from here: it lies with the person afterwards.
func writeHTML(w io.Writer, text edge.Text, e rights.Extract) error {
	return document.Execute(w, struct {
		Lang, Nothing string
		Sheet
	}{text.Lang, text.Say("rights.nothing", nil), SheetOf(text, e)})
}

var document = template.Must(template.New("extract").Parse(`<!doctype html>
<html lang="{{.Lang}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>{{.Title}}</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;color:#1e2b3c;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid #1e2b3c;break-after:avoid}
p{margin:.25rem 0}.quiet{color:#5a6675}.held{border-left:4px solid #b36200;padding-left:.75rem}
dl{display:grid;grid-template-columns:14rem 1fr;gap:.15rem 1rem;margin:.5rem 0 1rem;break-inside:avoid}dt{color:#5a6675}dd{margin:0;white-space:pre-line;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:13px}th,td{text-align:left;vertical-align:top;padding:.25rem .5rem .25rem 0;border-bottom:1px solid #cfd5dc;white-space:pre-line;overflow-wrap:anywhere}
thead{display:table-header-group}tr{break-inside:avoid}th{color:#5a6675;font-weight:600}
@media (max-width:40rem){dl{grid-template-columns:1fr}}
@page{size:A4;margin:16mm}@media print{body{margin:0;max-width:none;font-size:10pt}table{font-size:8.5pt}}
</style>
</head>
<body>
<header><p class="quiet">{{.Owner}}</p><h1>{{.Title}}</h1></header>
<dl>{{range .Facts}}<dt>{{.Name}}</dt><dd>{{.Value}}</dd>{{end}}</dl>
{{range .Withheld}}<p class="held">{{.}}</p>{{end}}
{{range .Parts}}<section><h2>{{.Title}}</h2>{{range .Pairs}}<dl>{{range .}}<dt>{{.Name}}</dt><dd>{{.Value}}</dd>{{end}}</dl>{{end}}
{{if .Rows}}<table><thead><tr>{{range .Columns}}<th scope="col">{{.}}</th>{{end}}</tr></thead><tbody>{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>{{end}}</tbody></table>{{end}}
{{if and (not .Pairs) (not .Rows)}}<p class="quiet">{{$.Nothing}}</p>{{end}}</section>
{{end}}<p class="quiet">{{.Made}}</p>
</body>
</html>
`))

// widths shares the sheet among the columns: what has a form of its own gets what it needs, words get the rest.
func widths(forms []rights.Form, whole float64) []float64 {
	need := map[rights.Form]float64{rights.Instant: 30, rights.Day: 20, rights.Flag: 22, rights.Figure: 16, rights.Code: 30, rights.Codes: 34, rights.Who: 30, rights.File: 36}
	list, rest, flexible := make([]float64, len(forms)), whole, 0
	for i, f := range forms {
		if f == rights.Words {
			flexible++
			continue
		}
		list[i] = need[f]
		rest -= need[f]
	}
	if flexible == 0 { // nothing takes the rest: all share it
		for i := range list {
			list[i] *= whole / (whole - rest)
		}
		return list
	}
	for i, f := range forms {
		if f == rights.Words {
			list[i] = max(rest/float64(flexible), 18)
		}
	}
	if sum := sumOfWidths(list); sum > whole {
		for i := range list {
			list[i] *= whole / sum
		}
	}
	return list
}

func sumOfWidths(list []float64) (sum float64) {
	for w := range slices.Values(list) {
		sum += w
	}
	return sum
}
