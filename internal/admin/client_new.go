package admin

import (
	"net/http"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
)

// newClientPage is the form for a client to be registered.
type newClientPage struct {
	edge.Page
	Once string
	Form recordForm

	Pseudonymous bool // of the municipality: a pseudonym, and nothing else about the person (T10)
}

// Genders are the choices of P12.
func (p newClientPage) Genders() []edge.Option { return genders(p.Page) }

// Statuses are those in which a client can begin.
func (p newClientPage) Statuses() []edge.Option {
	return []edge.Option{
		{Value: string(client.Ordered), Label: p.Say("client.status.ordered")},
		{Value: string(client.Active), Label: p.Say("client.status.active")},
	}
}

func (s *Server) newClient(w http.ResponseWriter, r *http.Request) error {
	page := newClientPage{Page: edge.NewPage(r), Once: newOnce(), Form: recordForm{Gender: "U", Status: string(client.Ordered)}}
	err := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) (err error) {
		if err := tx.Require(access.ClientWrite); err != nil {
			return err
		}
		page.Pseudonymous, err = municipality.Pseudonymous(r.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	return edge.Render(w, r, http.StatusOK, "client-new", page)
}

func (s *Server) createClient(w http.ResponseWriter, r *http.Request) error {
	f, err := parse(r)
	if err != nil {
		return err
	}
	typed := typedRecord(f)
	var path string
	err = s.DB.InTx(r.Context(), edge.Caller(r), func(tx *pg.Tx) error {
		id, err := f.once(r.Context(), tx, func() (string, error) {
			id, err := client.Create(r.Context(), tx, client.New{
				Number: typed.Number, GivenName: typed.GivenName, FamilyName: typed.FamilyName, NationalID: typed.NationalID, BirthDate: f.date("birth_date"),
				Gender: typed.Gender, Phone: typed.Phone, Email: typed.Email, Protected: typed.Protected, Status: client.Status(typed.Status),
				Address:        client.Address{Street: typed.Street, Postcode: typed.Postcode, Town: typed.Town},
				AgreementStart: f.date("agreement_start"), NextReviewOn: f.date("next_review_on"),
			})
			return id.String(), err
		})
		path = "/klienter/" + id + "/opplysninger"
		return err
	})
	if err == nil {
		return to(w, r, path, edge.Flash{Key: "client.registered"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := newClientPage{Page: edge.NewPage(r), Once: newOnce(), Form: typed}
	e := s.DB.InTx(r.Context(), page.Caller, func(tx *pg.Tx) (err error) {
		page.Pseudonymous, err = municipality.Pseudonymous(r.Context(), tx)
		return err
	})
	if e != nil {
		return e
	}
	return edge.Render(w, r, page.Fail(err), "client-new", page)
}
