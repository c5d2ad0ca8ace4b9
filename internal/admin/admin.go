// Package admin is the pages: one page struct, one template and one action per file. A handler is a sentence: it parses
// what came, asks the domain, and shows the answer. There is no SQL here.
package admin

import (
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
	s.clientRoutes(r)
	s.importRoutes(r)
	s.roundRoutes(r)
}
