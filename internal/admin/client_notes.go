package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

func init() {
	head := sampleHead("notes")
	edge.Pages["client-notes"] = notesPage{clientHead: head, Notes: []client.Note{{At: head.Client.StatusSince, Text: "Ring datteren først.", EnteredByName: "Jonas Lie"}}}
}

// notesPage is the tab Notater.
type notesPage struct {
	clientHead
	Notes []client.Note
	Text  string
}

func (s *Server) clientNotes(w http.ResponseWriter, r *http.Request) error {
	return s.showNotes(w, r, http.StatusOK, &notesPage{})
}

func (s *Server) showNotes(w http.ResponseWriter, r *http.Request, status int, page *notesPage) error {
	return s.showClient(w, r, status, "client-notes", page, "notes", func(ctx context.Context, tx *pg.Tx) (err error) {
		page.Notes, err = client.Notes(ctx, tx, page.Client.ID)
		return err
	})
}

func (s *Server) addNote(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		return client.AddNote(ctx, tx, id, f.Get("text"))
	})
	if err == nil {
		return to(w, r, clientPath(id, "notater"), edge.Flash{Key: "client.note_added"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := notesPage{Text: f.Get("text")}
	page.Page = edge.NewPage(r)
	return s.showNotes(w, r, page.Fail(err), &page)
}
