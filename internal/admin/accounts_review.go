package admin

import (
	"net/http"
	"slices"
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
	Lines   []reviewLine
	Overdue int
	Last    *time.Time // when anybody was gone through last
}

type reviewLine struct {
	account.Person
	May, Late bool
	By        string
}

func init() {
	at := time.Date(2023, 9, 1, 0, 0, 0, 0, time.UTC)
	edge.Pages["reviews"] = reviewsPage{Tab: "reviews", Overdue: 1, Last: &at, Lines: []reviewLine{
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
	var people []account.Person
	for after := int64(0); ; {
		some, err := account.People(r.Context(), s.DB, page.Caller, after)
		if err != nil {
			return page, err
		}
		if people = append(people, some...); len(some) < account.PageSize {
			break
		}
		after = some[len(some)-1].ID
	}
	names := map[int64]string{}
	for _, p := range people {
		names[p.ID] = p.Name
	}
	for _, p := range people {
		if p.ReviewedAt != nil && (page.Last == nil || p.ReviewedAt.After(*page.Last)) {
			page.Last = p.ReviewedAt
		}
		if p.DisabledAt != nil || !page.Manages() && !p.MayReview(page.Caller) {
			continue
		}
		l := reviewLine{Person: p, May: p.MayReview(page.Caller), Late: p.Overdue(page.Clock)}
		if p.ReviewedBy != nil {
			l.By = names[*p.ReviewedBy]
		}
		if l.Late {
			page.Overdue++
		}
		page.Lines = append(page.Lines, l)
	}
	slices.SortStableFunc(page.Lines, func(a, b reviewLine) int { return a.ReviewDue().Compare(b.ReviewDue()) })
	return page, nil
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
