package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func init() {
	at, by := time.Date(2023, 9, 18, 9, 0, 0, 0, time.UTC), int64(2)
	edge.Pages["shielded"] = shieldedPage{
		Once: "once", May: true, Today: calendar.On(2023, 9, 19),
		Readers: []client.Reader{
			{ID: 1, AccountID: 1, Name: "Kari Nordmann", LastDay: calendar.On(2023, 9, 1), GrantedByName: "Ida Moe", GrantedAt: at, ConfirmedBy: &by, ConfirmedName: "Per Berg", ConfirmedAt: &at},
			{ID: 2, AccountID: 3, Name: "Jonas Lie", GrantedBy: 9, GrantedByName: "Ida Moe", GrantedAt: at},
		},
		Unshieldings: []client.Unshielding{{Client: uuid.New(), Number: "1", GivenName: "Gerd", FamilyName: "Fossum", AskedByName: "Jonas Lie", AskedAt: at}},
	}
}

// shieldedPage is /skjermet: who the named few are that see where protected clients are (D21), and what waits for somebody.
type shieldedPage struct {
	edge.Page
	Once         string
	Readers      []client.Reader
	Unshieldings []client.Unshielding // for those who may read clients
	Reads        bool                 // the caller is one of the named few
	May          bool                 // name somebody
	Staff        map[int64]account.StaffMember
	Today        calendar.Date
	Form         struct{ Account, LastDay string }
}

// Accounts are those who can be named: people of the municipality who read clients, and not oneself.
func (p shieldedPage) Accounts() edge.Input {
	var options []edge.Option
	for id, member := range p.Staff {
		roles := access.Caller{}
		for _, r := range member.Roles {
			roles.Roles = append(roles.Roles, access.Role(r))
		}
		named := slices.ContainsFunc(p.Readers, func(r client.Reader) bool { return r.AccountID == id && !r.Over(p.Today) })
		if roles.Can(access.ClientRead) && !named && id != p.Caller.Account {
			options = append(options, edge.Option{Value: strconv.FormatInt(id, 10), Label: member.Name})
		}
	}
	slices.SortFunc(options, func(a, b edge.Option) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Value, b.Value))
	})
	options = slices.Insert(options, 0, edge.Option{Label: p.Say("shielded.choose")})
	in := p.Select("account", p.Form.Account, options)
	in.Label = p.Say("shielded.account")
	return in
}

// MayConfirm reports whether the caller may let this naming hold.
func (p shieldedPage) MayConfirm(r client.Reader) bool {
	return r.Waiting() && p.Caller.Has(access.Approver) && r.GrantedBy != p.Caller.Account && r.AccountID != p.Caller.Account
}

func (s *Server) shieldedRoutes(r chi.Router) {
	r.Get("/skjermet", edge.Handle(s.shielded))
	r.Post("/skjermet", edge.Handle(s.nameReader))
	r.Post("/skjermet/{reader}/bekreft", edge.Handle(s.decideReader(client.ConfirmReader, "shielded.confirmed")))
	r.Post("/skjermet/{reader}/tilbakekall", edge.Handle(s.decideReader(client.RevokeReader, "shielded.revoked")))
	r.Post("/klienter/{client}/skjerming", edge.Handle(s.unshield(client.AskUnshield, "unshield.is_asked")))
	r.Post("/klienter/{client}/skjerming/opphev", edge.Handle(s.unshield(func(ctx context.Context, tx *pg.Tx, id client.ID) error {
		return client.DecideUnshield(ctx, tx, id, true)
	}, "unshield.removed")))
	r.Post("/klienter/{client}/skjerming/behold", edge.Handle(s.unshield(func(ctx context.Context, tx *pg.Tx, id client.ID) error {
		return client.DecideUnshield(ctx, tx, id, false)
	}, "unshield.kept")))
}

func (s *Server) shielded(w http.ResponseWriter, r *http.Request) error {
	return s.showShielded(w, r, http.StatusOK, shieldedPage{Page: edge.NewPage(r)})
}

func (s *Server) showShielded(w http.ResponseWriter, r *http.Request, status int, page shieldedPage) error {
	page.Once, page.May = newOnce(), page.Caller.Can(access.ProposalMake)
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) error { return page.load(r.Context(), tx) })
	if err != nil {
		return err
	}
	return edge.Render(w, r, status, "shielded", page)
}

func (p *shieldedPage) load(ctx context.Context, tx *pg.Tx) (err error) {
	if p.Readers, err = client.Readers(ctx, tx); err != nil {
		return err
	}
	if p.Today, err = municipality.Today(ctx, tx); err != nil {
		return err
	}
	if p.Staff, err = account.Staff(ctx, tx); err != nil || !p.Caller.Can(access.ClientRead) {
		return err
	}
	if p.Reads, err = client.ReadsProtected(ctx, tx); err != nil {
		return err
	}
	p.Unshieldings, err = client.Unshieldings(ctx, tx)
	return err
}

// nameReader proposes one of the named few; an approver confirms it.
func (s *Server) nameReader(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		_, err := f.once(r.Context(), tx, func() (string, error) {
			named, err := strconv.ParseInt(f.Get("account"), 10, 64)
			if err != nil {
				return "", problem.InvalidField("account", "required", nil)
			}
			id, err := client.NameReader(r.Context(), tx, named, f.date("last_day"))
			return strconv.FormatInt(id, 10), err
		})
		return err
	})
	if err == nil {
		return to(w, r, "/skjermet", edge.Flash{Key: "shielded.named"})
	}
	return s.shieldedAgain(w, r, f, err)
}

func (s *Server) shieldedAgain(w http.ResponseWriter, r *http.Request, f *form, err error) error {
	if !edge.Fixable(err) {
		return err
	}
	page := shieldedPage{Page: edge.NewPage(r)}
	page.Form.Account, page.Form.LastDay = f.Get("account"), f.text("last_day")
	return s.showShielded(w, r, page.Fail(err), page)
}

// decideReader confirms or revokes one of the named few.
func (s *Server) decideReader(act func(context.Context, *pg.Tx, int64) error, said string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := strconv.ParseInt(chi.URLParam(r, "reader"), 10, 64)
		if err != nil {
			return problem.NotFound{What: "protected_reader"}
		}
		f, err := parse(r)
		if err != nil {
			return err
		}
		err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
			_, err := f.once(r.Context(), tx, func() (string, error) { return "", act(r.Context(), tx, id) })
			return err
		})
		if err != nil {
			return s.shieldedAgain(w, r, f, err)
		}
		return to(w, r, "/skjermet", edge.Flash{Key: said})
	}
}

// unshield asks for the mark of a client to be taken away, takes it away or keeps it.
func (s *Server) unshield(act func(context.Context, *pg.Tx, client.ID) error, said string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, _, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, _ *form) error { return act(ctx, tx, id) })
		if err == nil {
			return to(w, r, clientPath(id, "opplysninger")+"#skjerming", edge.Flash{Key: said})
		}
		if !edge.Fixable(err) {
			return err
		}
		page := recordPage{}
		page.Page = edge.NewPage(r)
		return s.showRecord(w, r, page.Fail(err), &page)
	}
}
