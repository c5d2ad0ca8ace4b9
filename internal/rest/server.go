// Package rest is the programs' interface under /api/v1: typed endpoints made from api/openapi.yaml, which is written
// first and reviewed as the agreement with suppliers. Handlers parse, ask the domain and show; the contract itself - who
// may, what form, which answers - is read from that file. It knows no SQL.
package rest

import (
	"context"
	"html/template"
	"net/http"

	"github.com/frist-app/frist/api"
	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/pg"
	"github.com/go-chi/chi/v5"
)

// Server answers the operations of api/openapi.yaml.
type Server struct {
	DB    *pg.DB
	Site  *edge.Site
	Blobs *blob.Store // where the sounds lie
	Key   []byte      // what imported registrations are hashed with (D22); lies outside the database

	contract *contract
}

var _ StrictServerInterface = (*Server)(nil)

// uploadLimit is the largest request: a file and the little that stands around it.
const uploadLimit = exchange.MaxBytes + 64<<10

// Routes mounts /api/v1, /api/openapi.yaml and /api/docs on a router of Site.Mux.
func (s *Server) Routes(r chi.Router) {
	s.contract = loadContract()
	r.Get("/api/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
		_, _ = w.Write(api.Spec) // nobody is left to tell when the reader has gone
	})
	r.Get("/api/docs", edge.Handle(s.docs))
	r.Route("/api/v1", func(r chi.Router) {
		r.Use(s.Site.Signed)
		strict := NewStrictHandlerWithOptions(s, nil, StrictHTTPServerOptions{RequestErrorHandlerFunc: failForm, ResponseErrorHandlerFunc: fail})
		HandlerWithOptions(strict, ChiServerOptions{BaseRouter: r.With(s.admit, s.read, s.contract.json, s.contract.upload), ErrorHandlerFunc: failForm})
	})
}

// The page of the reference builds its own style elements and a worker; its policy allows that on this page and nothing
// from elsewhere.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; worker-src blob:; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

var docsPage = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Frist API</title>
<style>body { margin: 0 }</style>
</head>
<body>
<redoc spec-url="/api/openapi.yaml" hide-download-button></redoc>
<script src="{{.}}"></script>
</body>
</html>
`))

func (s *Server) docs(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Security-Policy", docsPolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return docsPage.Execute(w, edge.Static(r, "vendor/redoc.standalone.js"))
}

type callerKey struct{}

// callerOf is who asks; admit has put it there, because strict handlers are given a context and no request.
func callerOf(ctx context.Context) access.Caller {
	caller, _ := ctx.Value(callerKey{}).(access.Caller)
	return caller
}

// textOf is the caller's language.
func textOf(ctx context.Context) edge.Text { return edge.T(callerOf(ctx).Language) }

func (s *Server) in(ctx context.Context, fn func(tx *pg.Tx) error) error {
	return s.DB.InTx(ctx, callerOf(ctx), fn)
}

// inRound runs fn where the round lies: people who see nobody turn to its municipality by the number (D9).
func (s *Server) inRound(ctx context.Context, number string, fn func(tx *pg.Tx, round int64) error) error {
	caller := callerOf(ctx)
	var municipality int
	var round int64
	err := s.DB.InTx(ctx, caller, func(tx *pg.Tx) (err error) {
		municipality, round, err = deletion.Locate(ctx, tx, number)
		if err != nil || caller.Blind() {
			return err
		}
		return fn(tx, round)
	})
	if err != nil || !caller.Blind() {
		return err
	}
	return s.DB.InTx(ctx, caller.In(municipality), func(tx *pg.Tx) error { return fn(tx, round) })
}
