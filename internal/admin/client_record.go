package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

func init() {
	edge.Pages["client-record"] = recordPage{clientHead: sampleHead("record"), Form: recordForm{Version: "2"}, Stale: &stale{By: "Jonas Lie", At: time.Date(2023, 9, 19, 7, 10, 0, 0, time.UTC), Differs: []difference{{"phone", "1", "2"}}}}
	edge.Pages["client-new"] = newClientPage{Once: "once"}
}

// recordForm is the record as a form holds it: what was typed stands there again when something is wrong.
type recordForm struct {
	Number, GivenName, FamilyName, NationalID, BirthDate, Gender, Phone, Email string
	Street, Postcode, Town, AgreementStart, NextReviewOn, Status, Version      string
	Protected                                                                  bool
}

func formOf(c client.Client) recordForm {
	return recordForm{
		c.Number, c.GivenName, c.FamilyName, c.NationalID, c.BirthDate.Long(), c.Gender, c.Phone, c.Email,
		c.Address.Street, c.Address.Postcode, c.Address.Town, c.AgreementStart.Short(), c.NextReviewOn.Short(), string(c.Status), strconv.Itoa(c.Version), c.Protected,
	}
}

func typedRecord(f *form) recordForm {
	return recordForm{
		f.text("number"), f.text("given_name"), f.text("family_name"), f.text("national_id"), f.text("birth_date"), f.text("gender"), f.text("phone"), f.text("email"),
		f.text("street"), f.text("postcode"), f.text("town"), f.text("agreement_start"), f.text("next_review_on"), f.text("status"), f.text("version"), f.Get("protected") != "",
	}
}

// fields are the values by the name of the field, in the order of the page.
func (f recordForm) fields() []struct{ name, value string } {
	return []struct{ name, value string }{
		{"given_name", f.GivenName},
		{"family_name", f.FamilyName},
		{"national_id", f.NationalID},
		{"birth_date", f.BirthDate},
		{"gender", f.Gender},
		{"phone", f.Phone},
		{"email", f.Email},
		{"street", f.Street},
		{"postcode", f.Postcode},
		{"town", f.Town},
		{"agreement_start", f.AgreementStart},
		{"next_review_on", f.NextReviewOn},
	}
}

// recordPage is the tab Klient: the record as a form.
type recordPage struct {
	clientHead
	Form  recordForm
	Stale *stale
}

// stale is what somebody else saved while the form lay open.
type stale struct {
	By      string
	At      time.Time
	Differs []difference
}

// difference is one field of which the two are not the same.
type difference struct{ Field, Mine, Saved string }

// Genders are the choices of P12.
func genders(p edge.Page) []edge.Option {
	return []edge.Option{{Value: "K", Label: p.Say("client.gender.K")}, {Value: "M", Label: p.Say("client.gender.M")}, {Value: "U", Label: p.Say("client.gender.U")}}
}

// Genders are the choices of P12.
func (p recordPage) Genders() []edge.Option { return genders(p.Page) }

func (s *Server) clientRecord(w http.ResponseWriter, r *http.Request) error {
	page := recordPage{}
	if err := s.showClient(r, &page.clientHead, "record", nil); err != nil {
		return err
	}
	page.Form = formOf(page.Client)
	return edge.Render(w, r, http.StatusOK, "client-record", page)
}

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

// markReviewed notes that the record was checked today (P20).
func (s *Server) markReviewed(w http.ResponseWriter, r *http.Request) error {
	id, _, err := s.changeClient(r, func(ctx context.Context, tx *pg.Tx, id client.ID, _ *form) error {
		return client.MarkReviewed(ctx, tx, id, calendar.Date{})
	})
	if err != nil {
		return err
	}
	return to(w, r, clientPath(id, "opplysninger"), edge.Flash{Key: "client.reviewed"})
}
