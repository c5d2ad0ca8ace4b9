package rest_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/fhir/fhirtest"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/google/uuid"
)

// asked gives the world's client a request with the id that the addresses name; it was received by nobody who acts here.
func (s *stage) asked(municipality int, w world) {
	s.t.Helper()
	s.Exec(s.t, `ALTER TABLE rights_request DISABLE TRIGGER rights_guard`)
	s.Exec(s.t, `INSERT INTO rights_request (municipality_id, client_id, id, kind, received_on, due_on, channel, reference, received_by, received_at)
		VALUES ($1, $2, $3, 'objection', '2023-09-01', '2023-10-01', 'letter', '1', 0, $4)`, municipality, w.client, w.right, s.Now())
	s.Exec(s.t, `ALTER TABLE rights_request ENABLE TRIGGER rights_guard`)
}

// A request from its coming to the extract, as programs live it.
func TestRights(t *testing.T) {
	s := newStage(t)
	s.at("2023-09-19 09:00")
	s.sweep()
	id := s.person(pgtest.Person{Alarms: 3, Recordings: []string{"1/aa/x"}})
	if err := s.blobs.Put(t.Context(), "1/aa/x", "audio/wav", append([]byte("RIFF\x00\x00\x00\x00WAVE"), make([]byte, 600)...)); err != nil {
		t.Fatal(err)
	}
	at := "/clients/" + id.String() + "/rights-requests"
	s.refused(422, "invalid", caseworker, "POST", at, object{"kind": "access", "received_on": "2023-09-20", "channel": "letter", "reference": "1"})
	right := s.ok(201, caseworker, "POST", at, object{"kind": "access", "received_on": "2023-08-31", "channel": "letter", "reference": "23/7"}).id(t)
	s.refused(409, "request_open", caseworker, "POST", at, object{"kind": "access", "received_on": "2023-09-01", "channel": "letter", "reference": "23/8"})
	one := "/rights-requests/" + right.String()
	var r rest.RightsRequest
	s.ok(200, privacyOfficer, "GET", one, nil).into(t, &r)
	if r.State != "received" || r.DueOn.String() != "2023-09-30" || *r.Client != id {
		t.Errorf("%+v", r)
	}
	s.ok(204, caseworker, "POST", one+"/extension", object{"reason": "complex", "told_on": "2023-09-15"})
	s.refused(409, "extended_already", caseworker, "POST", one+"/extension", object{"reason": "complex", "told_on": "2023-09-15"})
	s.ok(204, caseworker, "POST", one+"/preparation", object{"answer": "Vedlagt"})
	for _, format := range []string{"", "?format=pdf"} {
		s.refused(409, "not_released", caseworker, "GET", one+"/extract"+format, nil)
	}
	s.refused(403, "permission", caseworker, "GET", one+"/extract/preview", nil)
	var before rest.Extract
	s.ok(200, approver, "GET", one+"/extract/preview", nil).into(t, &before)
	if len(before.Sections["client"]) != 1 || len(before.Files) != 1 {
		t.Errorf("%+v", before)
	}
	s.ok(204, approver, "POST", one+"/return", object{"remark": "Mer"})
	s.ok(204, caseworker, "POST", one+"/preparation", object{"answer": "Vedlagt"})
	s.ok(204, approver, "POST", one+"/release", object{})
	s.ok(200, caseworker, "GET", one, nil).into(t, &r)
	if r.State != "released" || r.DueOn.String() != "2023-11-30" {
		t.Errorf("%+v", r)
	}
	var e rest.Extract
	s.ok(200, caseworker, "GET", one+"/extract", nil).into(t, &e)
	if len(e.Sections["alarm_event"]) != 3 || len(e.Sections["client"]) != 1 || e.Municipality.Number != pgtest.NumberA {
		t.Errorf("%+v", e)
	}
	if len(e.Files) != 1 || e.Files[0].ContentType != "audio/wave" {
		t.Errorf("the sound is not among %+v", e.Files)
	}
	// The same in every format that the page hands out.
	for format, want := range map[string][2]string{
		"html": {"text/html; charset=utf-8", "<!doctype html>"}, "pdf": {"application/pdf", "%PDF-"}, "fhir": {"application/fhir+json", `{"resourceType":"Bundle"`}, "zip": {"application/zip", "PK"},
	} {
		a := s.ok(200, caseworker, "GET", one+"/extract?format="+format, nil)
		if a.header.Get("Content-Type") != want[0] || !strings.HasPrefix(string(a.body), want[1]) || !strings.HasPrefix(a.header.Get("Content-Disposition"), `attachment; filename="innsyn.`) || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %.60q", format, a.header, a.body)
		}
		if format == "html" && !strings.Contains(string(a.body), "Zqxfamily") {
			t.Errorf("nobody stands in the document: %.300s", a.body)
		}
		if format == "fhir" {
			if err := fhirtest.Check(a.body); err != nil {
				t.Error(err)
			}
		}
		if format == "zip" {
			z, err := zip.NewReader(bytes.NewReader(a.body), int64(len(a.body)))
			if err != nil || len(z.File) != 5 || z.File[4].Name != e.Files[0].Name {
				t.Errorf("%v %+v", err, z)
			}
		}
		if s.Count(t, `SELECT count(*) FROM audit WHERE act = 'rights.extract' AND detail->>'format' = $1`, format) != 1 {
			t.Errorf("that a %s was handed out is not on record", format)
		}
	}
	s.refused(400, "bad_request", caseworker, "GET", one+"/extract?format=exe", nil)
	var page rest.RightsRequestPage
	s.ok(200, approver, "GET", "/rights-requests?list=answered&limit=1", nil).into(t, &page)
	if len(page.Requests) != 1 || page.Next != nil {
		t.Errorf("%+v", page)
	}

	// What is restricted answers nobody who has no request of the person to answer.
	held := s.ok(201, caseworker, "POST", at, object{"kind": "restriction", "received_on": "2023-09-18", "channel": "visit", "reference": "23/9", "wish": "x"}).id(t)
	two := "/rights-requests/" + held.String()
	s.ok(204, caseworker, "POST", two+"/preparation", object{"answer": "Ja", "restriction_ground": "contested"})
	s.ok(204, approver, "POST", two+"/release", object{})
	for _, path := range []string{"", "/devices", "/holds", "/group"} {
		s.refused(403, "restricted", caseworker, "GET", "/clients/"+id.String()+path, nil)
	}
	s.refused(422, "invalid", approver, "POST", two+"/lift", object{"told_on": "2023-09-20", "reason": "x"})
	s.ok(204, approver, "POST", two+"/lift", object{"told_on": "2023-09-19", "reason": "Avklart"})
	s.ok(200, caseworker, "GET", "/clients/"+id.String(), nil)

	third := s.ok(201, caseworker, "POST", at, object{"kind": "erasure", "received_on": "2023-09-18", "channel": "visit", "reference": "23/10", "wish": "x"}).id(t)
	s.ok(204, caseworker, "POST", "/rights-requests/"+third.String()+"/withdrawal", nil)
	fourth := s.ok(201, caseworker, "POST", at, object{"kind": "erasure", "received_on": "2023-09-18", "channel": "visit", "reference": "23/10", "wish": "x"}).id(t)
	s.ok(204, caseworker, "POST", "/rights-requests/"+fourth.String()+"/preparation", object{"answer": "Nei"})
	s.refused(422, "invalid", approver, "POST", "/rights-requests/"+fourth.String()+"/refusal", object{"ground": "correct_as_is", "decision": "Nei"})
	s.ok(204, approver, "POST", "/rights-requests/"+fourth.String()+"/refusal", object{"ground": "retention", "decision": "Nei"})
	s.ok(200, caseworker, "GET", "/rights-requests/"+fourth.String(), nil).into(t, &r)
	if len(r.Outcome) != 4 || r.Outcome[0].Kept[0] != "reactivated" {
		t.Errorf("%+v", r.Outcome)
	}
	s.ok(201, caseworker, "POST", "/rights-requests/former", object{"national_id": "13097248022", "received_on": "2023-09-01", "channel": "letter", "reference": "1"})
	s.refused(404, "not_found", caseworker, "GET", "/rights-requests/"+uuid.NewString(), nil)
}
