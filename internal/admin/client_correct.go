package admin

import (
	"context"
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

func init() {
	edge.Pages["client-correct"] = correctPage{clientHead: sampleHead("kin"), Kind: "kin", Lines: []correctLine{{client.CorrectableField{Name: "name", Most: 200}, "Anne"}, {client.CorrectableField{Name: "entry", Most: 4000}, "x"}}}
}

// correctPage is the form in which one entry of a client is rectified (GDPR 16).
type correctPage struct {
	clientHead
	Kind  string
	Row   int64
	Lines []correctLine
}

// correctLine is one text of it.
type correctLine struct {
	client.CorrectableField
	Value string
}

// Long reports whether it is more than fits in a line.
func (l correctLine) Long() bool { return l.Most > 200 }

// Back is the tab where the entry stands.
func (p correctPage) Back() string {
	for _, t := range p.Tabs() {
		if t.Current {
			return t.Path
		}
	}
	return p.Path("")
}

// MayCorrect reports whether the reader may rectify what stands under the client: of a protected one only the named few (D21).
func (h clientHead) MayCorrect() bool {
	return h.Caller.Can(access.ClientWrite) && !h.Client.Pseudonymous && !h.Client.Hidden
}

func (s *Server) correctForm(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return s.showCorrect(w, r, http.StatusOK, &correctPage{}, q.Get("hva"), q.Get("rad"), nil)
}

// showCorrect shows the form with what stands there, or with what was typed.
func (s *Server) showCorrect(w http.ResponseWriter, r *http.Request, status int, page *correctPage, kind, row string, typed *form) error {
	page.Row = rowOf(row)
	return s.showClient(w, r, status, "client-correct", page, corrected[kind].tab, func(ctx context.Context, tx *pg.Tx) error {
		c, values, err := client.Entry(ctx, tx, page.Client.ID, kind, page.Row)
		if err != nil {
			return err
		}
		page.Kind = c.Kind
		for i, f := range c.Fields {
			line := correctLine{f, values[i]}
			if typed != nil {
				line.Value = typed.Get(f.Name)
			}
			page.Lines = append(page.Lines, line)
		}
		return nil
	})
}

func (s *Server) correct(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		return client.Correct(ctx, tx, id, f.Get("hva"), rowOf(f.Get("rad")), f.Get)
	})
	if err == nil {
		return to(w, r, clientPath(id, corrected[f.Get("hva")].path), edge.Flash{Key: "client.corrected"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := correctPage{}
	page.Page = edge.NewPage(r)
	return s.showCorrect(w, r, page.Fail(err), &page, f.Get("hva"), f.Get("rad"), f)
}

// rowOf is the number of an entry. What is none is 0, of which there is no entry: the domain says so when it has asked who
// this is.
func rowOf(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// corrected is where an entry of a kind stands: the tab, and the last part of its address.
var corrected = map[string]struct{ tab, path string }{
	"note": {"notes", "notater"}, "property": {"properties", "egenskaper"}, "kin": {"kin", "parorende"}, "medical": {"medical", "medisinsk"}, "medication": {"medication", "medisinering"},
	"plan": {"plans", "planer"}, "plan_entry": {"plans", "planer"}, "communication": {"plans", "planer"},
}
