package admin

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
)

// protocolJSON is the document itself: the bytes whose SHA-256 the sheet shows (in the supplier's copy, which is another
// document, it is the check sum of the whole one). It holds roles and staff numbers, no names.
func (s *Server) protocolJSON(w http.ResponseWriter, r *http.Request) error {
	p, _, _, err := s.findProtocol(r, deletion.ExportProtocol)
	if err != nil {
		return err
	}
	document, err := json.Marshal(p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="protokoll-`+p.Number+`.json"`)
	_, _ = w.Write(document) // nobody is left to tell when the reader has gone
	return nil
}

// protocolPDF is the sheet as a file to keep.
func (s *Server) protocolPDF(w http.ResponseWriter, r *http.Request) error {
	p, owner, _, err := s.findProtocol(r, deletion.ExportProtocol)
	if err != nil {
		return err
	}
	page := edge.NewPage(r)
	page.Zone = owner.Zone
	file, err := pdfOf(page, sheetOf(page, p), p.Finished)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/pdf")
	w.Header().Set("Content-Length", strconv.Itoa(len(file)))
	w.Header().Set("Content-Disposition", `attachment; filename="protokoll-`+p.Number+`.pdf"`)
	_, _ = w.Write(file)
	return nil
}

// seedWords is the sample's seed as digits only: it is a name, not a count.
func seedWords(seed int64) string { return strconv.FormatInt(seed, 10) }
