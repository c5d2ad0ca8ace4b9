package admin

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pgtest"
)

// TestATelephoneOfNextOfKinIsRectified goes the way that a request for rectification asks for: from the tab to the form,
// back, and into the trail.
func TestATelephoneOfNextOfKinIsRectified(t *testing.T) {
	p := open(t, nil)
	id := p.Add(t, pgtest.Person{})
	p.Exec(t, `INSERT INTO next_of_kin (municipality_id, client_id, id, name, relation, phone) VALUES ($1, $2, 41, 'Anne', 'Datter', '900 00 001')`, p.A, id)
	at := "/klienter/" + id.String()
	b := p.as(t, access.Caseworker)
	link := regexp.MustCompile(`href="(/klienter/[^"]*/rett\?hva=kin&amp;rad=41)"`).FindStringSubmatch(b.do(http.MethodGet, at+"/parorende", nil).Body)
	if link == nil {
		t.Fatal("no way from the tab to the form")
	}
	p.as(t, access.Approver).do(http.MethodGet, at+"/parorende", nil).lacks(t, "the approver's tab", "/rett?")
	before := p.Count(t, `SELECT count(*) FROM access_log WHERE page = 'client.kin'`)
	form := b.do(http.MethodGet, at+"/rett?hva=kin&rad=41", nil)
	form.sees(t, http.StatusOK, "Rett: Pårørende", "Det som stod før, bevares i historikken")
	if n := p.Count(t, `SELECT count(*) FROM access_log WHERE page = 'client.kin'`); n != before+1 {
		t.Errorf("%d looks, not %d", n, before+1)
	}
	once := regexp.MustCompile(`name="once" value="([^"]*)"`).FindStringSubmatch(form.Body)[1]
	b.post(at+"/rett", "once", once, "hva", "kin", "rad", "41", "name", "", "relation", "Datter", "phone", "900 00 002").sees(t, http.StatusUnprocessableEntity, "Navn mangler.")
	b.post(at+"/rett", "once", once, "hva", "kin", "rad", "41", "name", "Anne", "relation", "Datter", "phone", "900 00 002").sees(t, http.StatusSeeOther)
	b.do(http.MethodGet, at+"/parorende", nil).sees(t, http.StatusOK, "Rettet.", "900 00 002")
	b.do(http.MethodGet, at+"/revisjonsspor?vis=endringer", nil).sees(t, http.StatusOK, "Pårørende", "Anne, Datter, 900 00 001", "Anne, Datter, 900 00 002")
	for _, wrong := range []string{"?hva=kin&rad=42", "?hva=kin", "?hva=kin&rad=x"} {
		b.do(http.MethodGet, at+"/rett"+wrong, nil).sees(t, http.StatusNotFound)
	}
	b.do(http.MethodGet, at+"/rett?hva=alarm&rad=41", nil).sees(t, http.StatusUnprocessableEntity)
	b.post(at+"/rett", "once", "z", "hva", "kin", "rad", "x", "name", "A").sees(t, http.StatusNotFound)

	// Medicines of a protected client are read by all, and rectified by the named few alone: no link leads to a refusal.
	p.Exec(t, `INSERT INTO medication (municipality_id, client_id, id, name, dose) VALUES ($1, $2, 43, 'Alendronat', '70 mg')`, p.A, id)
	open := b.do(http.MethodGet, at+"/medisinering", nil)
	if open.sees(t, http.StatusOK, "Alendronat"); !strings.Contains(open.Body, "/rett?hva=medication") {
		t.Error("no way from an open client's medicines to the form")
	}
	p.Exec(t, `UPDATE client SET protected = true WHERE id = $1`, id)
	shut := b.do(http.MethodGet, at+"/medisinering", nil)
	shut.sees(t, http.StatusOK, "Alendronat")
	shut.lacks(t, "a protected client's tab", "/rett?")
}
