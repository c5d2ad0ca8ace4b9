package rights

import (
	"encoding/json"
	"io"
	"time"

	"github.com/frist-app/frist/internal/calendar"
)

// Schema names the form of Document. A field is never taken away or given another meaning under the same name; new
// sections and fields may come. docs/extract.md describes it.
const Schema = "frist-extract/1"

// Document is the extract for programs.
type Document struct {
	Schema       string                      `json:"schema"`
	MadeAt       time.Time                   `json:"made_at"`
	Municipality DocumentMunicipality        `json:"municipality"`
	Request      DocumentRequest             `json:"request"`
	Sections     map[string][]map[string]any `json:"sections"`
	Withheld     []Withheld                  `json:"withheld"`
	Files        []DocumentFile              `json:"files"`
}

// DocumentMunicipality is the controller.
type DocumentMunicipality struct {
	Number string `json:"number"`
	Name   string `json:"name"`
}

// DocumentRequest is what was answered.
type DocumentRequest struct {
	ID         string        `json:"id"`
	Reference  string        `json:"reference"`
	ReceivedOn calendar.Date `json:"received_on"`
}

// DocumentFile is a sound beside the document, in the archive.
type DocumentFile struct {
	Name        string  `json:"name"`
	ContentType string  `json:"content_type"`
	Bytes       int64   `json:"bytes"`
	Seconds     float64 `json:"seconds,omitempty"`
}

// Document writes the extract for programs: every section by its key, every row with all its fields, null where nothing is
// held.
func (e Extract) Document() Document {
	d := Document{
		Schema: Schema, MadeAt: e.MadeAt.UTC(), Municipality: DocumentMunicipality{e.Municipality.Number, e.Municipality.Name},
		Request:  DocumentRequest{e.Request.ID.String(), e.Request.Reference, e.Request.ReceivedOn},
		Sections: map[string][]map[string]any{}, Withheld: e.Withheld, Files: []DocumentFile{},
	}
	if d.Withheld == nil {
		d.Withheld = []Withheld{}
	}
	for _, s := range e.Sections {
		rows := make([]map[string]any, len(s.Rows))
		for i, row := range s.Rows {
			rows[i] = make(map[string]any, len(row))
			for j, f := range s.Fields {
				value := row[j]
				if at, ok := value.(time.Time); ok {
					value = at.UTC()
				}
				rows[i][f.Name] = value
			}
		}
		d.Sections[s.Key] = rows
	}
	for _, s := range e.Sounds {
		if !s.Missing {
			d.Files = append(d.Files, DocumentFile{s.File, s.ContentType, s.Size, s.Seconds})
		}
	}
	return d
}

// WriteJSON writes Document.
func (e Extract) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(e.Document())
}
