package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// stale is what somebody else saved while the form lay open.
type stale struct {
	By      string
	At      time.Time
	Differs []difference
}

// difference is one field of which the two are not the same.
type difference struct{ Field, Mine, Saved string }

func (s *Server) changeRecord(w http.ResponseWriter, r *http.Request) error {
	id, f, err := s.changeClient(r, changeRecord)
	if err == nil {
		return to(w, r, clientPath(id, "opplysninger"), edge.Flash{Key: "client.saved"})
	}
	if !edge.Fixable(err) {
		return err
	}
	page := recordPage{Form: typedRecord(f)}
	if e := s.showClient(r, &page.clientHead, "record", nil); e != nil {
		return e
	}
	status := page.Fail(err)
	var conflict problem.Conflict
	if errors.As(err, &conflict) && conflict.Code == "stale" {
		page.Errors = nil
		page.keepBoth(conflict.Params)
	}
	return edge.Render(w, r, status, "client-record", page)
}

// keepBoth shows who saved meanwhile and where the two differ. What this person typed stays in the form; saving it again
// is then a choice, so the form gets the present version.
func (p *recordPage) keepBoth(params problem.Params) {
	p.Stale = &stale{}
	p.Stale.By, _ = params["by"].(string)
	p.Stale.At, _ = params["at"].(time.Time)
	saved := formOf(p.Client)
	is := saved.fields()
	for i, mine := range p.Form.fields() {
		if mine.value != is[i].value {
			p.Stale.Differs = append(p.Stale.Differs, difference{mine.name, mine.value, is[i].value})
		}
	}
	p.Form.Version = saved.Version
}

func changeRecord(ctx context.Context, tx *pg.Tx, id client.ID, f *form) error {
	version, err := strconv.Atoi(f.Get("version"))
	if err != nil {
		return problem.InvalidField("form", "unreadable", nil)
	}
	typed := typedRecord(f)
	birth, start, review := f.date("birth_date"), f.date("agreement_start"), f.date("next_review_on")
	changes := client.Changes{
		GivenName: &typed.GivenName, FamilyName: &typed.FamilyName, NationalID: &typed.NationalID, BirthDate: &birth, Gender: &typed.Gender, Email: &typed.Email,
		Protected: &typed.Protected, AgreementStart: &start, NextReviewOn: &review,
	}
	if f.Has("phone") { // a protected client's page has neither telephone nor address (D21)
		changes.Phone = &typed.Phone
	}
	if f.Has("street") {
		changes.Address = &client.Address{Street: typed.Street, Postcode: typed.Postcode, Town: typed.Town}
	}
	return client.Change(ctx, tx, id, version, changes)
}
