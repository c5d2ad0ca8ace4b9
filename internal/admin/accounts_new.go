package admin

import (
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/problem"
)

// accountNewPage is /brukere/ny: the invitation of a person, or a program to be made.
type accountNewPage struct {
	edge.Page
	Name, Login, Email string
	Machine            bool
	Chosen             []string
}

// secretPage shows a link or a key, once.
type secretPage struct {
	edge.Page
	Kind    string // invite, reset or key
	Name    string
	Value   string
	Until   time.Time
	Waits   bool // it works when a second person has confirmed
	Back    string
	MayMail bool // there is an address to send it to
	Sent    bool // it has been sent there
}

func init() {
	edge.Pages["account-new"] = accountNewPage{Chosen: []string{"caseworker"}}
	edge.Pages["secret"] = secretPage{Kind: "invite", Name: "Kari", Value: "https://frist.example/konto/lenke/x", Back: "/brukere/1", Waits: true}
}

func (s *Server) accountNew(w http.ResponseWriter, r *http.Request) error {
	page := accountNewPage{Page: edge.NewPage(r), Machine: r.URL.Query().Get("slag") == "program"}
	if !manages(page.Caller) {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.AccountManage)}}
	}
	return edge.Render(w, r, http.StatusOK, "account-new", page)
}

// Boxes are the roles to choose from.
func (p accountNewPage) Boxes() []choice { return roleBoxes(p.Page, p.Chosen) }

// inviteAccount makes the account and shows its link, once. A program has none: its keys are made when it is confirmed.
func (s *Server) inviteAccount(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	page := accountNewPage{Page: edge.NewPage(r), Name: f.text("name"), Login: f.text("login"), Email: f.text("email"), Machine: f.Get("machine") != "", Chosen: f.Values["roles"]}
	id, link, err := account.Invite(r.Context(), s.DB, page.Caller, account.New{
		Name: page.Name, Login: page.Login, Email: page.Email, Machine: page.Machine, Roles: asRoles(page.Chosen), Language: page.Lang,
	})
	switch {
	case err != nil && edge.Fixable(err):
		page.Undone = "accounts.not_invited"
		return edge.Render(w, r, page.Fail(err), "account-new", page)
	case err != nil:
		return err
	case page.Machine:
		return to(w, r, accountPath(id), edge.Flash{Key: "accounts.flash.machine"})
	}
	return s.showLink(w, r, link, account.Person{ID: id, Name: page.Name, Email: page.Email, Unconfirmed: true})
}

// showLink is the one page that has the link on it.
func (s *Server) showLink(w http.ResponseWriter, r *http.Request, link account.Link, p account.Person) error {
	scheme := "http://"
	if s.Site.TLS {
		scheme = "https://"
	}
	address, sent, err := s.Site.HandOver(r.Context(), link, p.ID, scheme+r.Host)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusCreated, "secret", secretPage{
		Page: edge.NewPage(r), Kind: link.Purpose, Name: p.Name, Value: address, Sent: sent, Until: link.Until, Waits: p.Unconfirmed, Back: accountPath(p.ID), MayMail: p.Email != "",
	})
}
