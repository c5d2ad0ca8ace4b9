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

// Menu is the menu of the pages that there are, for all roles.
var Menu = []edge.NavItem{
	{Key: "clients", Path: "/klienter", Permission: access.ClientRead},
	{Key: "control", Path: "/support", Permission: access.RoundControl},
	{Key: "rounds_run", Path: "/drift", Permission: access.RoundOperate},
	{Key: "rounds", Path: "/runder", Permission: access.RoundRead, Only: []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator}},
	{Key: "orders", Path: "/bestillinger", Permission: access.OrderAsk},
	{Key: "rights", Path: "/rettigheter", Permission: access.RightsRead},
	{Key: "import", Path: "/import", Permission: access.ImportRun},
	{Key: "protocols", Path: "/protokoller", Permission: access.ProtocolRead, Only: []access.Role{access.Support, access.Operator, access.PrivacyOfficer}},
	{Key: "trail", Path: "/innsyn", Permission: access.AccessLogRead},
	{Key: "accounts", Path: "/brukere", Permission: access.AccountManage},
	{Key: "accounts", Path: "/brukere", Permission: access.PlatformManage},
	{Key: "proposals", Path: "/forslag", Permission: access.ProposalDecide},
	{Key: "rules", Path: "/regler", Permission: access.RoundRead, Only: []access.Role{access.Approver, access.PrivacyOfficer, access.Administrator}},
	{Key: "shielded", Path: "/skjermet", Permission: access.PrivacyRead, Only: []access.Role{access.Approver, access.PrivacyOfficer, access.Administrator}},
	{Key: "visits", Path: "/support/innsyn", Permission: access.VisitAsk, Only: []access.Role{access.Support}},
	{Key: "access", Path: "/tilgang", Permission: access.VisitRead, Only: []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator}},
	{Key: "privacy", Path: "/personvern", Permission: access.PrivacyRead},
	{Key: "deviations", Path: "/avvik", Permission: access.DeviationReport, Only: []access.Role{access.Support, access.Operator, access.PlatformAdministrator}},
	{Key: "municipalities", Path: "/plattform", Permission: access.PlatformManage},
}

func init() {
	// Boxes of which several can be ticked; every other name stands once in an address and in a form.
	for _, name := range []string{"status", "gruppe", "klient", "ansatt", "roles", "scopes", "persons", "categories"} {
		edge.Several[name] = true
	}
}

// Routes hangs the pages on r, which is behind edge's Signed, and gives the site their menu.
func (s *Server) Routes(r chi.Router) {
	s.Site.Nav = Menu
	r.Get("/", edge.Handle(s.home))
	r.Get("/innsyn", edge.Handle(s.trail))
	r.Get("/innsyn/{client}", edge.Handle(s.clientLog))
	r.Get("/innsyn/person", edge.Handle(s.person))
	r.Get("/innsyn/funn", edge.Handle(s.findings))
	r.Post("/innsyn/person", edge.Handle(s.findPerson))
	r.Post("/innsyn/sok", edge.Handle(s.searchLog))
	r.Post("/innsyn/eksport", edge.Handle(s.exportLog))
	r.Post("/innsyn/funn/{finding}", edge.Handle(s.assessFinding))
	s.clientRoutes(r)
	s.importRoutes(r)
	s.roundRoutes(r)
	s.accountRoutes(r)
	s.shieldedRoutes(r)
	s.rightsRoutes(r)
	s.visitRoutes(r)
	s.privacyRoutes(r)
}

// home sends everybody to the page where their work begins.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	to := "/runder"
	switch caller := edge.Caller(r); {
	case caller.Visiting():
		to = "/klienter"
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
