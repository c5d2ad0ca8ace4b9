package rest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/explain"
)

func TestTheRegistersForPrograms(t *testing.T) {
	s := newStage(t)
	s.Exec(t, `INSERT INTO subprocessor (id, version, change, name, service, everywhere, purpose, data, access_rule, place, staff_countries, transfer_basis, encryption, copies, copies_days, valid_from, object_by, changed_by, changed_at)
		VALUES (1, 1, 'new', 'Firma', 'hosting', true, 'Drift', 'Alt', 'none', 'NO', '{NO,US}', 'scc', 'no_keys', 'backup', 35, '2000-03-01', '2000-02-01', 1, '2000-01-01')`)
	list := s.ok(200, privacyOfficer, "GET", "/subprocessors", nil)
	for _, want := range []string{`"name":"Firma"`, `"used":true`, `"outside_eea":["US"]`, `"copies_days":35`, `"review_overdue":true`} {
		if !strings.Contains(string(list.body), want) {
			t.Errorf("%s is not in %s", want, list.body)
		}
	}
	record := s.ok(200, privacyOfficer, "GET", "/processing", nil)
	for _, c := range explain.PersonalColumns() {
		if !strings.Contains(string(record.body), `"`+c.Name+`"`) {
			t.Errorf("%s.%s is not in the record", c.Table, c.Name)
		}
	}
	found := s.Now().Add(-3600e9).UTC().Format("2006-01-02T15:04:05Z")
	in := object{"kind": "wrong_access", "discovered_at": found, "affected": 3, "persons": []string{"clients"}, "what": "Brev til feil adresse"}
	id := s.ok(201, caseworker, "POST", "/deviations", in, "Idempotency-Key", "deviation-1").id(t)
	if s.ok(201, caseworker, "POST", "/deviations", in, "Idempotency-Key", "deviation-1").id(t) != id {
		t.Error("sent twice, reported twice")
	}
	if a := s.refused(422, "invalid", caseworker, "POST", "/deviations", object{"kind": "integrity", "discovered_at": "2999-01-01T00:00:00Z"}); !strings.Contains(a.fields(), "discovered_at=not_yet") || !strings.Contains(a.fields(), "what=required") {
		t.Error(a.fields())
	}
	s.refused(400, "bad_request", caseworker, "POST", "/deviations", object{"kind": "x", "discovered_at": found})
	// Those who see nobody say where, and use no words.
	blind := object{"kind": "availability", "discovered_at": found, "affected": 40}
	s.ok(201, support, "POST", "/deviations?municipality=3218", blind)
	s.refused(400, "bad_request", support, "POST", "/deviations", blind)
	s.refused(403, "no_free_text", support, "POST", "/deviations?municipality=3218", object{"kind": "availability", "discovered_at": found, "what": "Kari"})
	s.refused(404, "not_found", caseworker, "POST", "/deviations?municipality=5501", in)

	rows := s.ok(200, privacyOfficer, "GET", "/deviations", nil)
	var page struct {
		Deviations []struct {
			Source string
			Clocks []struct{ Late bool }
		}
	}
	if err := json.Unmarshal(rows.body, &page); err != nil || len(page.Deviations) != 2 || len(page.Deviations[0].Clocks) != 2 {
		t.Errorf("%s: %v", rows.body, err)
	}
	one := s.ok(200, privacyOfficer, "GET", "/deviations/"+id.String(), nil)
	if !strings.Contains(string(one.body), "Brev til feil adresse") || !strings.Contains(string(one.body), `"breached":["confidentiality"]`) {
		t.Errorf("%s", one.body)
	}
}
