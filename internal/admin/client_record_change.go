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
	page.Page = edge.NewPage(r)
	status := page.Fail(err)
	var conflict problem.Conflict
	both := errors.As(err, &conflict) && conflict.Code == "stale"
	if both {
		page.Errors = nil
	}
	return s.showClient(w, r, status, "client-record", &page, "record", func(ctx context.Context, tx *pg.Tx) error {
		if both {
			page.keepBoth(conflict.Params)
		}
		return page.shielding(ctx, tx)
	})
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
	changes := client.Changes{AgreementStart: &start, NextReviewOn: &review}
	// The page leaves out what its reader may not see (D21), and what is not held at all (T10).
	for name, field := range map[string]struct {
		to   **string
		text *string
	}{
		"given_name": {&changes.GivenName, &typed.GivenName}, "family_name": {&changes.FamilyName, &typed.FamilyName}, "national_id": {&changes.NationalID, &typed.NationalID},
		"gender": {&changes.Gender, &typed.Gender}, "phone": {&changes.Phone, &typed.Phone}, "email": {&changes.Email, &typed.Email},
	} {
		if f.Has(name) {
			*field.to = field.text
		}
	}
	if f.Has("birth_date") {
		changes.BirthDate = &birth
	}
	if f.Has("street") {
		changes.Address = &client.Address{Street: typed.Street, Postcode: typed.Postcode, Town: typed.Town}
	}
	if typed.Protected { // it is taken away by two persons, and not here
		changes.Protected = &typed.Protected
	}
	return client.Change(ctx, tx, id, version, changes)
}
