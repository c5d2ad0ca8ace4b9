package admin

import (
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
)

// reviewsPage is /brukere/gjennomgang: everybody who has access, the longest unseen first. An approver sees the
// administrators, whose own lines somebody else confirms.
type reviewsPage struct {
	edge.Page
	Tab     string
	Lines   []account.ReviewLine
	Overdue int
	Last    *time.Time // when anybody was gone through last
}

func init() {
	at := time.Date(2023, 9, 1, 0, 0, 0, 0, time.UTC)
	edge.Pages["reviews"] = reviewsPage{Tab: "reviews", Overdue: 1, Last: &at, Lines: []account.ReviewLine{
		{Person: account.Person{ID: 1, Name: "Kari", Roles: []access.Role{access.Caseworker}, ReviewedAt: &at, LastSignInAt: &at}, May: true, Late: true, By: "Per"},
		{Person: account.Person{ID: 2, Name: "Per", Roles: []access.Role{access.Administrator}}},
	}}
}

func (s *Server) reviews(w http.ResponseWriter, r *http.Request) error {
	page, err := s.reviewsPage(r)
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "reviews", page)
}

func (s *Server) reviewsPage(r *http.Request) (reviewsPage, error) {
	page := reviewsPage{Page: edge.NewPage(r), Tab: "reviews"}
	var err error
	page.Lines, page.Last, err = account.Reviews(r.Context(), s.DB, page.Caller)
	for _, l := range page.Lines {
		if l.Late {
			page.Overdue++
		}
	}
	return page, err
}

// Manages reports whether the caller looks after accounts.
func (p reviewsPage) Manages() bool { return manages(p.Caller) }

// RoleWords is a list of roles as people say it.
func (p reviewsPage) RoleWords(roles []access.Role) string { return roleWords(p.Page, roles) }

// confirmAccess says that the account still needs what it has.
func (s *Server) confirmAccess(w http.ResponseWriter, r *http.Request) error {
	id, err := accountID(r)
	if err != nil {
		return err
	}
	err = account.Review(r.Context(), s.DB, edge.Caller(r), id)
	if err == nil {
		return to(w, r, "/brukere/gjennomgang", edge.Flash{Key: "reviews.flash"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page, again := s.reviewsPage(r)
	if again != nil {
		return again
	}
	return edge.Render(w, r, page.Fail(err), "reviews", page)
}
