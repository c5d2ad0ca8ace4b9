package admin

import (
	"net/http"

	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/handout"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/rights"
	"github.com/go-chi/chi/v5"
)

// previewPage shows the approver what will be handed out.
type previewPage struct {
	edge.Page
	Request rights.Request
	Sheet   handout.Sheet
}

func (s *Server) previewRight(w http.ResponseWriter, r *http.Request) error {
	id, err := rights.ParseID(chi.URLParam(r, "request"))
	if err != nil {
		return err
	}
	page := previewPage{Page: edge.NewPage(r)}
	var extract rights.Extract
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		extract, err = rights.Preview(r.Context(), tx, id)
		return err
	})
	if err != nil {
		return err
	}
	if err := handout.Listen(r.Context(), s.Blobs, &extract); err != nil {
		return err
	}
	page.Request, page.Sheet = extract.Request, handout.SheetOf(page.Text, extract)
	return edge.Render(w, r, http.StatusOK, "rights-preview", page)
}

// extractRight hands out everything that is held, in the format of the address.
func (s *Server) extractRight(w http.ResponseWriter, r *http.Request) error {
	id, err := rights.ParseID(chi.URLParam(r, "request"))
	if err != nil {
		return err
	}
	format := chi.URLParam(r, "format")
	page := edge.NewPage(r)
	var e rights.Extract
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		e, err = rights.Make(r.Context(), tx, id, format)
		return err
	})
	if err != nil {
		return err
	}
	if err := handout.Listen(r.Context(), s.Blobs, &e); err != nil {
		return err
	}
	file, err := handout.FileOf(r.Context(), s.Blobs, page.Text, e, format)
	if err != nil {
		return err
	}
	file.Send(w)
	return nil
}
