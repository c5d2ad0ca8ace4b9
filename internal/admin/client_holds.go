package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
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
	wrong := page.Errors
	err := s.showClient(r, &page.clientHead, "holds", func(ctx context.Context, tx *pg.Tx) (err error) {
		if page.Holds, err = retention.Holds(ctx, tx, page.Client.ID); err != nil {
			return err
		}
		page.Staff, err = account.Staff(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	page.Errors = wrong
	return edge.Render(w, r, status, "client-holds", *page)
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

// askRelease asks for the end of a hold; an approver confirms it (D13).
func (s *Server) askRelease(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		hold, err := ofClient(ctx, tx, r, id)
		if err != nil {
			return err
		}
		return retention.AskRelease(ctx, tx, hold, f.text("reason"))
	})
	if err != nil {
		return s.holdsAgain(w, r, f, err)
	}
	return to(w, r, clientPath(id, "palegg"), edge.Flash{Key: "client.holds.asked"})
}

// releaseHold confirms the release that somebody else asked for; the client is placed anew at once (D15).
func (s *Server) releaseHold(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, _ *form) error {
		hold, err := ofClient(ctx, tx, r, id)
		if err != nil {
			return err
		}
		return deletion.ReleaseHold(ctx, tx, hold)
	})
	if err != nil {
		return s.holdsAgain(w, r, f, err)
	}
	return to(w, r, clientPath(id, "palegg"), edge.Flash{Key: "client.holds.released"})
}

// holdForm is what a person fills in to place a hold.
type holdForm struct {
	Reason, Authority, ReviewOn string
	Confidential                bool
}

func typedHold(f *form) holdForm {
	return holdForm{f.Get("reason"), f.text("authority"), f.text("review_on"), f.Get("confidential") != ""}
}

func (h holdForm) hold(f *form) retention.NewHold {
	return retention.NewHold{Reason: h.Reason, Authority: h.Authority, ReviewOn: f.date("review_on"), Confidential: h.Confidential}
}

// holdReasons are the choices of D24.
func holdReasons(p edge.Page, chosen string) []edge.Option {
	var options []edge.Option
	for _, reason := range retention.HoldReasons {
		options = append(options, edge.Option{Value: reason, Label: p.Say("client.hold." + reason), Chosen: reason == chosen})
	}
	return options
}

// holdPage is the form for a hold on a client.
type holdPage struct {
	clientHead
	holdForm
}

// Reasons are the choices of D24.
func (p holdPage) Reasons() []edge.Option { return holdReasons(p.Page, p.Reason) }

func (s *Server) holdForm(w http.ResponseWriter, r *http.Request) error {
	return s.showHoldForm(w, r, http.StatusOK, &holdPage{})
}

func (s *Server) showHoldForm(w http.ResponseWriter, r *http.Request, status int, page *holdPage) error {
	wrong := page.Errors
	err := s.showClient(r, &page.clientHead, "holds", func(_ context.Context, tx *pg.Tx) error { return tx.Require(access.HoldPlace) })
	if err != nil {
		return err
	}
	page.Errors = wrong
	return edge.Render(w, r, status, "client-hold", *page)
}

func (s *Server) placeHold(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
		hold := typedHold(f).hold(f)
		hold.ClientID = &id
		_, err := deletion.PlaceHold(ctx, tx, hold)
		return err
	})
	if err == nil {
		return to(w, r, clientPath(id, "palegg"), edge.Flash{Key: "client.holds.placed"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := holdPage{holdForm: typedHold(f)}
	page.Page = edge.NewPage(r)
	return s.showHoldForm(w, r, page.Fail(err), &page)
}
