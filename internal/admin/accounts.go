package admin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/go-chi/chi/v5"
)

// accountRoutes hangs up the pages about who has access: people and programs, networks, the review, what waits for a
// second person, the municipality's rules, and everybody's own keys.
func (s *Server) accountRoutes(r chi.Router) {
	r.Get("/brukere", edge.Handle(s.accounts))
	r.Get("/brukere/ny", edge.Handle(s.accountNew))
	r.Post("/brukere/ny", edge.Handle(s.inviteAccount))
	r.Get("/brukere/gjennomgang", edge.Handle(s.reviews))
	r.Post("/brukere/gjennomgang/{account}", edge.Handle(s.confirmAccess))
	r.Get("/brukere/nett", edge.Handle(s.ranges))
	r.Post("/brukere/nett", edge.Handle(s.proposeRange))
	r.Post("/brukere/nett/{range}/fjern", edge.Handle(s.proposeRangeRemoval))
	r.Get("/brukere/{account}", edge.Handle(s.account))
	r.Post("/brukere/{account}/roller", edge.Handle(s.proposeRoles))
	r.Post("/brukere/{account}/lenke", edge.Handle(s.newLink))
	r.Post("/brukere/{account}/sperr", edge.Handle(s.disableAccount))
	r.Post("/brukere/{account}/apne", edge.Handle(s.enableAccount))
	r.Post("/brukere/{account}/nokler", edge.Handle(s.makeKey(programsKeys)))
	r.Post("/brukere/{account}/nokler/{key}/bytt", edge.Handle(s.rotateKey(programsKeys)))
	r.Post("/brukere/{account}/nokler/{key}/slett", edge.Handle(s.endKey(programsKeys)))

	r.Get("/konto/nokler", edge.Handle(s.keys))
	r.Post("/konto/nokler", edge.Handle(s.makeKey(ownKeys)))
	r.Post("/konto/nokler/{key}/bytt", edge.Handle(s.rotateKey(ownKeys)))
	r.Post("/konto/nokler/{key}/slett", edge.Handle(s.endKey(ownKeys)))

	r.Get("/forslag", edge.Handle(s.proposals))
	r.Post("/forslag/{proposal}/godta", edge.Handle(s.acceptProposal))
	r.Post("/forslag/{proposal}/avvis", edge.Handle(s.rejectProposal))
	r.Post("/forslag/{proposal}/trekk", edge.Handle(s.withdrawProposal))

	r.Get("/regler", edge.Handle(s.rules))
	r.Get("/regler/vilkar", edge.Handle(s.terms))
	r.Post("/regler/vilkar", edge.Handle(s.proposeTerms))
	r.Get("/regler/{class}", edge.Handle(s.rule))
	r.Post("/regler/{class}", edge.Handle(s.proposeRule))
}

// accountsPage is /brukere: who has access, for the administrator, and for the platform administrator those of processor
// and supplier.
type accountsPage struct {
	edge.Page
	Tab     string
	People  []account.Person
	Next    int64 // the account after which the list goes on; 0: it does not
	Overdue int
}

func init() {
	edge.Pages["accounts"] = accountsPage{Tab: "people", Overdue: 2, Next: 7, People: []account.Person{
		{ID: 1, Name: "Kari Nordmann", Login: "kari", Roles: []access.Role{access.Caseworker, access.Approver}, Opened: true},
		{ID: 2, Name: "Journal", Login: "journal", Roles: []access.Role{access.Caseworker}, Machine: true},
		{ID: 3, Name: "Ny", Login: "ny", Roles: []access.Role{access.Caseworker}, Unconfirmed: true},
	}}
}

func (s *Server) accounts(w http.ResponseWriter, r *http.Request) error {
	page := accountsPage{Page: edge.NewPage(r), Tab: "people"}
	if !page.Manages() {
		if page.Caller.Can(access.ProposalDecide) { // an approver sees administrators only, to go through them
			return to(w, r, "/brukere/gjennomgang", edge.Flash{})
		}
	}
	after, _ := strconv.ParseInt(r.URL.Query().Get("etter"), 10, 64)
	people, err := account.People(r.Context(), s.DB, page.Caller, max(0, after))
	if err != nil {
		return err
	}
	page.People = people
	if len(people) == account.PageSize {
		page.Next = people[len(people)-1].ID
	}
	for _, p := range people {
		if p.Overdue(page.Clock) {
			page.Overdue++
		}
	}
	return edge.Render(w, r, http.StatusOK, "accounts", page)
}

// Manages reports whether the caller looks after accounts.
func (p accountsPage) Manages() bool { return manages(p.Caller) }

func manages(c access.Caller) bool {
	return c.Can(access.AccountManage) || c.Can(access.PlatformManage)
}

// RoleWords is a list of roles as people say it.
func (p accountsPage) RoleWords(roles []access.Role) string { return roleWords(p.Page, roles) }

func roleWords(p edge.Page, roles []access.Role) string {
	words := make([]string, len(roles))
	for i, role := range roles {
		words[i] = p.RoleName(role)
	}
	return strings.Join(words, ", ")
}

// ownRoles are the roles that the caller's organisation has.
func ownRoles(c access.Caller) []access.Role {
	if c.Blind() {
		return []access.Role{access.Support, access.Operator, access.PlatformAdministrator}
	}
	return []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator}
}

// choice is one of several, for the partial "boxes".
type choice struct {
	ID, Value, Label, Help string
	Checked                bool
}

func roleBoxes(p edge.Page, chosen []string) []choice {
	var boxes []choice
	for _, role := range ownRoles(p.Caller) {
		boxes = append(boxes, choice{ID: "f-role-" + string(role), Value: string(role), Label: p.RoleName(role), Help: p.Say("role." + string(role) + ".does"), Checked: slices.Contains(chosen, string(role))})
	}
	return boxes
}

func texts[T ~string](list []T) []string {
	words := make([]string, len(list))
	for i, one := range list {
		words[i] = string(one)
	}
	return words
}

func asRoles(list []string) []access.Role {
	roles := make([]access.Role, len(list))
	for i, one := range list {
		roles[i] = access.Role(one)
	}
	return roles
}

func accountID(r *http.Request) (int64, error) { return account.ParseID(chi.URLParam(r, "account")) }

func accountPath(id int64) string { return "/brukere/" + strconv.FormatInt(id, 10) }
