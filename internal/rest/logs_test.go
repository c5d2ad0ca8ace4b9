package rest_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/fhir/fhirtest"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

func init() { // a file is a file: its form is held against its own schema
	for _, kind := range []string{"text/csv", "application/fhir+json", "text/html", "application/pdf", "application/zip"} {
		openapi3filter.RegisterBodyDecoder(kind, func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			raw, err := io.ReadAll(body)
			return string(raw), err
		})
	}
}

func TestTheLogs(t *testing.T) {
	s := newStage(t)
	one, two := s.person(pgtest.Person{NationalID: "13097248022"}), s.person(pgtest.Person{})
	theirs := s.person(pgtest.Person{Municipality: s.B, NationalID: "13097248022"})
	s.ok(200, caseworker, "GET", "/clients/"+one.String(), nil)
	s.ok(200, caseworker, "GET", "/clients", nil)
	s.ok(200, foreigner, "GET", "/clients/"+theirs.String(), nil)
	s.refused(403, "permission", caseworker, "GET", "/log", nil)

	var persons rest.Persons
	s.ok(200, privacyOfficer, "POST", "/log/persons", object{"person": "130972 48022"}).into(t, &persons)
	if len(persons.Clients) != 1 || persons.Clients[0].Id != one || len(persons.Former) != 0 {
		t.Errorf("%+v", persons)
	}
	var lookers rest.Lookers
	s.ok(200, privacyOfficer, "GET", "/log/clients/"+one.String(), nil).into(t, &lookers)
	if len(lookers.Lookers) != 2 || lookers.Lookers[1].Opened+lookers.Lookers[0].Opened != 1 {
		t.Errorf("%+v", lookers)
	}
	s.ok(200, privacyOfficer, "GET", "/log/clients/"+theirs.String(), nil).into(t, &lookers)
	if len(lookers.Lookers) != 0 {
		t.Errorf("of the other municipality: %+v", lookers)
	}
	var page rest.LogPage
	number := s.As(access.Caseworker, s.A).StaffNumber
	seen := map[string]int{}
	for path := "/log?limit=1&kind=look&staff=" + number + "&client=" + one.String() + "&client=" + two.String(); ; {
		s.ok(200, privacyOfficer, "GET", path, nil).into(t, &page)
		for _, r := range page.Rows {
			seen[*r.Page]++
			if r.By.Name == nil || *r.By.StaffNumber != number || r.By.Organisation != "municipality" {
				t.Errorf("%+v", r)
			}
		}
		if page.Next == nil {
			break
		}
		path = path[:strings.LastIndex(path+"&after=", "&after=")]
		path = strings.Split(path, "&after=")[0] + "&after=" + *page.Next
	}
	if fmt.Sprint(seen) != "map[client:1 clients:1]" {
		t.Errorf("%v", seen)
	}
	s.ok(200, privacyOfficer, "GET", "/log?refused=true&act=refused&from=2023-09-19&until=2023-09-19", nil).into(t, &page)
	if len(page.Rows) != 1 || !page.Rows[0].Refused {
		t.Errorf("%+v", page.Rows)
	}
	for _, path := range []string{"/log?staff=S-99999", "/log?staff=Ansatt+101", "/log?until=2023-09-18", "/log?organisation=supplier"} {
		s.ok(200, privacyOfficer, "GET", path, nil).into(t, &page)
		if len(page.Rows) != 0 {
			t.Errorf("%s: %+v", path, page.Rows)
		}
	}
	s.refused(404, "not_found", privacyOfficer, "GET", "/log?after=x", nil)

	s.SetNow(s.Now().Add(time.Minute))
	file := s.ok(200, privacyOfficer, "GET", "/log/export?format=csv&kind=look", nil)
	if text := string(file.body); !strings.Contains(text, one.String()) || strings.Contains(text, theirs.String()) || strings.Contains(text, "Zqx") {
		t.Errorf("%s", text)
	}
	file = s.ok(200, privacyOfficer, "GET", "/log/export?format=fhir", nil)
	fhirtest.Valid(t, file.body)
	s.refused(403, "step_up", who{role: access.PrivacyOfficer, municipality: 1, machine: true}, "GET", "/log/export?format=csv", nil)
	if n := s.Count(t, `SELECT count(*) FROM audit WHERE act = 'log_exported'`); n != 2 {
		t.Errorf("%d exports are on record", n)
	}
}

func TestFindings(t *testing.T) {
	s := newStage(t)
	s.sweep()
	id := s.person(pgtest.Person{})
	s.Exec(t, `UPDATE client SET protected = true WHERE id = $1`, id)
	s.ok(200, caseworker, "GET", "/clients/"+id.String(), nil)
	s.SetNow(s.Now().Add(time.Hour))
	s.sweep()
	var page rest.Findings
	s.ok(200, privacyOfficer, "GET", "/log/findings?limit=1", nil).into(t, &page)
	if len(page.Findings) != 1 || page.Findings[0].Kind != "protected" || *page.Findings[0].Client != id {
		t.Fatalf("%+v", page)
	}
	at := fmt.Sprintf("/log/findings/%d/assessment", page.Findings[0].Id)
	s.refused(403, "permission", administrator, "POST", at, object{"outcome": "explained"})
	s.refused(404, "not_found", who{role: access.PrivacyOfficer, municipality: 2}, "POST", at, object{"outcome": "explained"})
	s.ok(204, privacyOfficer, "POST", at, object{"outcome": "deviation"})
	s.refused(409, "assessed", privacyOfficer, "POST", at, object{"outcome": "explained"})
	s.ok(200, privacyOfficer, "GET", "/log/findings?assessed=true", nil).into(t, &page)
	if len(page.Findings) != 1 || *page.Findings[0].Outcome != "deviation" {
		t.Errorf("%+v", page)
	}
}
