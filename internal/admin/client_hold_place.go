package admin

import (
	"context"
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
)

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
	return s.showClient(w, r, status, "client-hold", page, "holds", func(_ context.Context, tx *pg.Tx) error { return tx.Require(access.HoldPlace) })
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
