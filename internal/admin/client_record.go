package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
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

	Unshielding client.Unshielding // whether the mark shall go (D21)
	Asked       bool
	MayDecide   bool
}

// shielding reads whether somebody has asked for the mark to be taken away, and whether the caller may decide it.
func (p *recordPage) shielding(ctx context.Context, tx *pg.Tx) (err error) {
	if !p.Client.Protected {
		return nil
	}
	if p.Unshielding, p.Asked, err = client.UnshieldingOf(ctx, tx, p.Client.ID); err != nil || !p.Asked {
		return err
	}
	p.MayDecide = p.Unshielding.AskedBy != p.Caller.Account && (p.Caller.Has(access.Approver) || p.Client.Shown)
	return nil
}

// Genders are the choices of P12.
func genders(p edge.Page) []edge.Option {
	return []edge.Option{{Value: "K", Label: p.Say("client.gender.K")}, {Value: "M", Label: p.Say("client.gender.M")}, {Value: "U", Label: p.Say("client.gender.U")}}
}

// Genders are the choices of P12.
func (p recordPage) Genders() []edge.Option { return genders(p.Page) }

func (s *Server) clientRecord(w http.ResponseWriter, r *http.Request) error {
	return s.showRecord(w, r, http.StatusOK, &recordPage{})
}

// showRecord shows the form as the record is.
func (s *Server) showRecord(w http.ResponseWriter, r *http.Request, status int, page *recordPage) error {
	return s.showClient(w, r, status, "client-record", page, "record", func(ctx context.Context, tx *pg.Tx) error {
		page.Form = formOf(page.Client)
		return page.shielding(ctx, tx)
	})
}
