package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func init() {
	head := sampleHead("holds")
	by, at, why := int64(1), head.Client.StatusSince, "Saken er henlagt"
	hold := retention.Hold{ID: uuid.New(), ClientID: &head.Client.ID, Reason: "police", Authority: "Øst politidistrikt, 15237844", ReviewOn: calendar.On(2023, 12, 31), PlacedBy: 1, PlacedAt: at}
	asked := hold
	asked.ReleaseAskedBy, asked.ReleaseAskedAt, asked.ReleaseReason = &by, &at, &why
	released := asked
	released.ReleasedBy, released.ReleasedAt, released.AddressID = &by, &at, head.Client.AddressID
	hidden := hold
	hidden.Confidential, hidden.Reason = true, ""
	edge.Pages["client-holds"] = holdsPage{clientHead: head, Holds: []retention.Hold{hold, asked, released, hidden}, Staff: map[int64]account.StaffMember{1: {Name: "Kari Nordmann"}}}
	edge.Pages["client-hold"] = holdPage{clientHead: head, holdForm: holdForm{Reason: "police"}}
}

// holdsPage is the tab Bevaringspålegg (D24).
type holdsPage struct {
	clientHead
	Holds  []retention.Hold
	Staff  map[int64]account.StaffMember
	Asked  string // the hold whose form is shown again
	Reason string
}

// By is who did it; Frist itself has no name here.
func (p holdsPage) By(id int64) string { return nameOf(p.Page, p.Staff, id) }

// Mine reports whether the caller asked for the release, and so may not confirm it (D13).
func (p holdsPage) Mine(h retention.Hold) bool {
	return h.ReleaseAskedBy != nil && *h.ReleaseAskedBy == p.Caller.Account
}

// Overdue reports whether the hold should have been looked at again.
func (p holdsPage) Overdue(h retention.Hold) bool {
	return h.ReleasedAt == nil && h.ReviewOn.Before(p.Today())
}

func nameOf(p edge.Page, staff map[int64]account.StaffMember, id int64) string {
	if member, ok := staff[id]; ok {
		return member.Name
	}
	return p.Say("client.frist")
}

func (s *Server) clientHolds(w http.ResponseWriter, r *http.Request) error {
	return s.showHolds(w, r, http.StatusOK, &holdsPage{})
}

func (s *Server) showHolds(w http.ResponseWriter, r *http.Request, status int, page *holdsPage) error {
	return s.showClient(w, r, status, "client-holds", page, "holds", func(ctx context.Context, tx *pg.Tx) (err error) {
		if page.Holds, err = retention.Holds(ctx, tx, page.Client.ID); err != nil {
			return err
		}
		page.Staff, err = account.Staff(ctx, tx)
		return err
	})
}

// ofClient is the hold of the address in the path, when it lies on the client or on the client's address.
func ofClient(ctx context.Context, tx *pg.Tx, r *http.Request, id client.ID) (uuid.UUID, error) {
	sought, err := uuid.Parse(chi.URLParam(r, "hold"))
	if err != nil {
		return sought, problem.NotFound{What: "hold"}
	}
	holds, err := retention.Holds(ctx, tx, id)
	if err != nil {
		return sought, err
	}
	for _, h := range holds {
		if h.ID == sought {
			return sought, nil
		}
	}
	return sought, problem.NotFound{What: "hold"}
}

func (s *Server) holdsAgain(w http.ResponseWriter, r *http.Request, f *form, err error) error {
	if !edge.Fixable(err) {
		return err
	}
	page := holdsPage{Asked: chi.URLParam(r, "hold"), Reason: f.Get("reason")}
	page.Page = edge.NewPage(r)
	return s.showHolds(w, r, page.Fail(err), &page)
}
