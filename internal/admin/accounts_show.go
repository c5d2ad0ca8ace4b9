package admin

import (
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/proposal"
)

// accountPage is /brukere/{account}: one person or program, and what can be done about it.
type accountPage struct {
	edge.Page
	keyPart
	Person  account.Person
	Chosen  []string // roles, as they are or as somebody wants them
	Own     bool     // the caller's own account, which others change
	Waiting []account.ProposalLine
}

func init() {
	edge.Pages["account"] = accountPage{
		Person:  account.Person{ID: 1, Name: "Journal", Login: "journal", Email: "j@example.invalid", Roles: []access.Role{access.Caseworker}, Machine: true},
		Waiting: []account.ProposalLine{{Proposer: "Per", Roles: []access.Role{access.Approver}, Proposal: proposal.Proposal{Kind: proposal.Roles}}},
		keyPart: sampleKeys,
	}
}

func (s *Server) account(w http.ResponseWriter, r *http.Request) error {
	page, err := s.accountPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "account", page)
}

func (s *Server) accountPage(r *http.Request) (accountPage, error) {
	page := accountPage{Page: edge.NewPage(r)}
	id, err := accountID(r)
	if err != nil {
		return page, err
	}
	if page.Person, err = account.Find(r.Context(), s.DB, page.Caller, id); err != nil {
		return page, err
	}
	page.Own, page.Chosen = id == page.Caller.Account, texts(page.Person.Roles)
	waiting, _, err := account.Proposals(r.Context(), s.DB, page.Caller)
	if err != nil {
		return page, err
	}
	for _, l := range waiting {
		if l.About != nil && *l.About == id {
			page.Waiting = append(page.Waiting, l)
		}
	}
	if page.Person.State() == account.Machine {
		keys, err := account.Keys(r.Context(), s.DB, page.Caller, id)
		if err != nil {
			return page, err
		}
		page.keyPart = newKeyPart(page.Page, accountPath(id)+"/nokler", keys, page.Person.Roles, true)
	}
	return page, nil
}

// Boxes are the roles to choose from.
func (p accountPage) Boxes() []choice { return roleBoxes(p.Page, p.Chosen) }

// RoleWords is a list of roles as people say it.
func (p accountPage) RoleWords(roles []access.Role) string { return roleWords(p.Page, roles) }

// Open reports whether the account lets anybody in now, or will when its link is used.
func (p accountPage) Open() bool { return p.Person.DisabledAt == nil }

// again shows the account with what kept an act from being done.
func (s *Server) accountAgain(w http.ResponseWriter, r *http.Request, err error, undone string, change func(*accountPage)) error {
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.accountPage(r)
	if again != nil {
		return again
	}
	if change != nil {
		change(&page)
	}
	page.Undone = undone
	return edge.Render(w, r, page.Fail(err), "account", page)
}
