package admin

import (
	"net/http"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
)

// proposeRoles proposes other roles; a second person decides.
func (s *Server) proposeRoles(w http.ResponseWriter, r *http.Request) error {
	id, err := accountID(r)
	if err != nil {
		return err
	}
	f, err := parse(r)
	if err != nil {
		return err
	}
	chosen := f.Values["roles"]
	if err := account.ProposeRoles(r.Context(), s.DB, edge.Caller(r), id, asRoles(chosen)); err != nil {
		return s.accountAgain(w, r, err, "accounts.not_proposed", func(p *accountPage) { p.Chosen = chosen })
	}
	return to(w, r, accountPath(id), edge.Flash{Key: "accounts.flash.proposed"})
}

// newLink makes a link and shows it, once.
func (s *Server) newLink(w http.ResponseWriter, r *http.Request) error {
	id, err := accountID(r)
	if err != nil {
		return err
	}
	link, err := account.NewLink(r.Context(), s.DB, edge.Caller(r), id, r.PostFormValue("for") == account.LinkFactor)
	if err != nil {
		return s.accountAgain(w, r, err, "accounts.no_link", nil)
	}
	p, err := account.Find(r.Context(), s.DB, edge.Caller(r), id)
	if err != nil {
		return err
	}
	return s.showLink(w, r, link, p)
}

// disableAccount ends the account at once.
func (s *Server) disableAccount(w http.ResponseWriter, r *http.Request) error {
	id, err := accountID(r)
	if err != nil {
		return err
	}
	if err := account.Disable(r.Context(), s.DB, edge.Caller(r), id); err != nil {
		return s.accountAgain(w, r, err, "accounts.not_disabled", nil)
	}
	return to(w, r, accountPath(id), edge.Flash{Key: "accounts.flash.disabled"})
}

// enableAccount proposes to open it again.
func (s *Server) enableAccount(w http.ResponseWriter, r *http.Request) error {
	id, err := accountID(r)
	if err != nil {
		return err
	}
	if err := account.ProposeEnable(r.Context(), s.DB, edge.Caller(r), id); err != nil {
		return s.accountAgain(w, r, err, "accounts.not_proposed", nil)
	}
	return to(w, r, accountPath(id), edge.Flash{Key: "accounts.flash.proposed"})
}
