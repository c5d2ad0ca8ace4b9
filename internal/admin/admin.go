// Package admin is the pages: one page struct, one template and one action per file. A handler is a sentence: it parses
// what came, asks the domain, and shows the answer. There is no SQL here.
package admin

import (
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/go-chi/chi/v5"
)

// Server is what the pages stand on.
type Server struct {
	Site  *edge.Site
	DB    *pg.DB
	Blobs *blob.Store
	Key   []byte // of the keyed hashes, from outside the database (D22)
}

// Routes hangs the pages on r, which is behind edge's Signed.
func (s *Server) Routes(r chi.Router) {
	r.Get("/", edge.Handle(s.home))
	s.clientRoutes(r)
	s.importRoutes(r)
	s.roundRoutes(r)
}

// home sends everybody to the page where their work begins.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	to := "/runder"
	switch caller := edge.Caller(r); {
	case caller.Can(access.RoundControl):
		to = "/support"
	case caller.Can(access.RoundOperate):
		to = "/drift"
	case caller.Can(access.PlatformManage):
		to = "/plattform"
	case caller.Can(access.ClientWrite):
		to = "/klienter"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}
