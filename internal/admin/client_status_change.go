package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

// retold is saving what the person was not told: it is told first.
type retold struct{}

func (retold) Error() string { return "the date is another than the person was told" }

// changeStatus disconnects, cancels or re-activates - or, asked for a preview, only tells what that would mean.
func (s *Server) changeStatus(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	page := statusPage{Form: statusForm{To: client.Status(f.Get("status")), At: f.text("at"), Reason: f.Get("reason"), Ended: f.text("agreement_end"), Devices: f.Get("devices") != ""}}
	if f.Get("step") == "preview" {
		page.Page = edge.NewPage(r)
		return s.showStatus(w, r, http.StatusOK, &page, f)
	}
	id, err := client.ParseID(chi.URLParam(r, "client"))
	if err != nil {
		return err
	}
	page.Page = edge.NewPage(r)
	var run string // the group's date
	err = s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error {
		run, err = f.once(r.Context(), tx, func() (string, error) { return page.save(r.Context(), tx, id, f) })
		return err
	})
	switch {
	case err == nil && page.Form.To.Inactive() && run == "":
		return to(w, r, clientPath(id, ""), edge.Flash{Key: "client.status_saved.unplaced"})
	case err == nil:
		return to(w, r, clientPath(id, ""), edge.Flash{Key: "client.status_saved." + string(page.Form.To), Params: map[string]any{"date": run}})
	case errors.Is(err, retold{}):
		page.Retold = true
		f.wrong = problem.Collector{}
		return s.showStatus(w, r, http.StatusConflict, &page, f)
	case !edge.Fixable(err) && !backdated(err):
		return err
	}
	status := page.Fail(err)
	if backdated(err) {
		page.Fail(page.tooFarBack()) // said at the field
	}
	f.wrong = problem.Collector{}
	return s.showStatus(w, r, status, &page, f)
}

// backdated reports whether the date lies further back than the caller may enter (D3). It is refused and recorded like
// every refusal, but the form stays, so that another date can be tried.
func backdated(err error) bool {
	var refusal problem.Forbidden
	return errors.As(err, &refusal) && refusal.Code == "backdate"
}

// save does what the form says and gives the date of the group that the client then lies in.
func (p *statusPage) save(ctx context.Context, tx *pg.Tx, id client.ID, f *form) (run string, err error) {
	locked, err := client.Lock(ctx, tx, id)
	if err != nil {
		return "", err
	}
	p.Client.Status, p.Client.StatusSince = locked.Status, locked.StatusSince
	in, err := p.change(f)
	if err != nil {
		return "", err
	}
	if !in.To.Inactive() {
		return "", deletion.Reactivate(ctx, tx, id, in)
	}
	place, err := deletion.Disconnect(ctx, tx, id, in)
	if err != nil {
		return "", err
	}
	if f.Get("told") != toldOf(in.To, place) {
		return "", retold{}
	}
	if place.Round != nil {
		run = place.Round.RunOn.Short()
	}
	if p.Form.Devices {
		err = putInStock(ctx, tx, id)
	}
	return run, err
}

// putInStock takes the client's own devices and puts them in stock (P31).
func putInStock(ctx context.Context, tx *pg.Tx, id client.ID) error {
	own, err := device.OnClient(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, d := range own {
		if err := device.Disconnect(ctx, tx, d.ID); err != nil {
			return err
		}
	}
	return nil
}
