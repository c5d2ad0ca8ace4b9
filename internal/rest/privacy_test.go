package rest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/rest"
	"github.com/google/uuid"
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

// A deviation from the draft to the end, as programs live it.
func TestADeviationThroughTheAPI(t *testing.T) {
	s := newStage(t)
	at := func(before time.Duration) string { return s.Now().Add(-before).UTC().Format(time.RFC3339) }
	in := object{"kind": "wrong_access", "discovered_at": at(80 * time.Hour), "what": "Brev til feil adresse"}
	one := "/deviations/" + s.ok(201, caseworker, "POST", "/deviations", in).id(t).String()
	s.refused(403, "permission", caseworker, "PUT", one, in, "If-Match", `"1"`)
	read := s.ok(200, approver, "GET", one, nil)
	if read.header.Get("ETag") != `"1"` {
		t.Fatalf("%v", read.header)
	}
	s.refused(428, "if_match_missing", approver, "PUT", one, in)
	in["what"], in["cause"], in["measures"] = "Brevet ble sendt til feil adresse", "Gammel adresse", "Adressen er rettet"
	s.ok(204, approver, "PUT", one, in, "If-Match", `"1"`)
	s.refused(412, "stale", approver, "PUT", one, in, "If-Match", `"1"`)
	later := maps.Clone(in)
	later["discovered_at"] = at(time.Hour)
	if a := s.refused(422, "invalid", approver, "PUT", one, later, "If-Match", `"2"`); a.fields() != "discovered_at=discovered_later" {
		t.Error(a.fields())
	}

	s.refused(409, "deviation_undecided", approver, "POST", one+"/closure", nil)
	tell := object{"party": "datatilsynet", "told_at": at(0), "reference": "24/1"}
	if a := s.refused(422, "invalid", approver, "POST", one+"/notices", tell); a.fields() != "note=why_late" {
		t.Error(a.fields())
	}
	tell["note"] = "Oppdaget i en helg"
	for range 2 {
		s.ok(204, approver, "POST", one+"/notices", tell, "Idempotency-Key", "told once")
	}
	tell["party"] = "nsm"
	if a := s.refused(422, "invalid", approver, "POST", one+"/notices", tell, "Idempotency-Key", "told once"); a.fields() != "Idempotency-Key=key_reused" {
		t.Error(a.fields())
	}
	s.refused(400, "bad_request", approver, "POST", one+"/exemptions", object{"party": "controller", "note": "x"})
	if a := s.refused(422, "invalid", approver, "POST", one+"/exemptions", object{"party": "persons", "note": " "}); a.fields() != "note=required" {
		t.Error(a.fields())
	}
	s.ok(204, approver, "POST", one+"/exemptions", object{"party": "persons", "note": "Lav risiko"})
	var story rest.DeviationHistory
	s.ok(200, privacyOfficer, "GET", one+"/history", nil).into(t, &story)
	var acts []string
	for _, a := range story.Acts {
		acts = append(acts, string(a.Act))
	}
	if strings.Join(acts, " ") != "reported changed told not_told" || len(story.Texts) != 2 || story.Texts[0].Version != 2 || *story.Texts[0].By != s.As(access.Approver, s.A).Name || len(story.Clocks) != 2 || !story.Clocks[1].Late {
		t.Errorf("%+v", story)
	}
	s.ok(204, approver, "POST", one+"/closure", nil)
	s.refused(409, "deviation_step", approver, "POST", one+"/notices", tell)
	s.ok(204, administrator, "POST", one+"/reopening", object{"note": "Flere brev"})

	// Whoever reported it does not close it.
	mine := "/deviations/" + s.ok(201, administrator, "POST", "/deviations", in).id(t).String()
	s.ok(204, administrator, "POST", mine+"/exemptions", object{"party": "datatilsynet", "note": "Ingen risiko"})
	s.refused(403, "own_deviation", administrator, "POST", mine+"/closure", nil)

	// What the product found is confirmed, or is none.
	for act, body := range map[string]any{"confirmation": nil, "dismissal": object{"note": "Prøvekjøring"}} {
		id := uuid.New()
		s.Exec(t, `INSERT INTO deviation (municipality_id, id, kind, source, state, reported_by, reported_at, discovered_at, persons, incident) VALUES ($1, $2, 'integrity', 'system', 'draft', 0, $3, $3, '{clients}', 'changed')`, s.A, id, s.Now())
		s.ok(204, approver, "POST", "/deviations/"+id.String()+"/"+act, body)
		s.refused(409, "deviation_step", approver, "POST", "/deviations/"+id.String()+"/"+act, body)
	}

	// Those who see nobody learn what became of theirs.
	s.ok(201, support, "POST", "/deviations?municipality=3218", object{"kind": "availability", "discovered_at": at(time.Hour)})
	var own rest.OwnDeviations
	s.ok(200, support, "GET", "/deviations/own", nil).into(t, &own)
	if len(own.Deviations) != 1 || own.Deviations[0].Municipality.Number != "3218" || own.Deviations[0].State != "open" {
		t.Errorf("%+v", own)
	}
	s.ok(200, operator, "GET", "/deviations/own", nil).into(t, &own)
	if len(own.Deviations) != 0 {
		t.Errorf("somebody else's: %+v", own)
	}
	s.refused(403, "permission", approver, "GET", "/deviations/own", nil)

	s.Exec(t, `UPDATE municipality_policy SET first_notice_hours = 12 WHERE municipality_id = $1`, s.A)
	var hours rest.DeviationHours
	s.ok(200, caseworker, "GET", "/deviation-clock", nil).into(t, &hours)
	if hours.Hours != 12 {
		t.Errorf("%+v", hours)
	}
}

func TestThePrivacyStatementThroughTheAPI(t *testing.T) {
	s := newStage(t)
	today := s.Now().UTC().Format("2006-01-02")
	s.refused(409, "statement_empty", administrator, "POST", "/privacy-statement/publications", object{"valid_from": today})
	draft := object{"controller": "Postboks 1, Ås", "officer": "personvernombud@example.invalid", "sections": object{"nb": object{"about": "Om oss\n\nMer"}}}
	if a := s.refused(422, "invalid", administrator, "PUT", "/privacy-statement", object{"controller": " ", "officer": "x", "sections": object{}}); a.fields() != "controller=required" {
		t.Error(a.fields())
	}
	s.refused(400, "bad_request", administrator, "PUT", "/privacy-statement", object{"controller": "x", "officer": "x", "sections": object{"nb": object{"diary": "x"}}})
	s.refused(403, "permission", approver, "PUT", "/privacy-statement", draft)
	s.ok(204, administrator, "PUT", "/privacy-statement", draft)
	if a := s.refused(422, "invalid", administrator, "POST", "/privacy-statement/publications", object{"valid_from": "2000-01-01"}); a.fields() != "valid_from=past" {
		t.Error(a.fields())
	}
	var version rest.PublishedVersion
	s.ok(201, administrator, "POST", "/privacy-statement/publications", object{"valid_from": today}).into(t, &version)
	var shown rest.PrivacyStatement
	s.ok(200, privacyOfficer, "GET", "/privacy-statement", nil).into(t, &shown)
	if version.Version != 1 || len(shown.Published) != 1 || *shown.Published[0].Sections.Nb.About != "Om oss\n\nMer" || shown.Draft.Sections.En != nil || *shown.Published[0].By != s.As(access.Administrator, s.A).Name {
		t.Errorf("%+v", shown)
	}
	// The other municipality has its own.
	s.ok(200, foreigner, "GET", "/privacy-statement", nil).into(t, &shown)
	if len(shown.Published) != 0 || shown.Draft.Controller != "" {
		t.Errorf("%+v", shown)
	}
}

// A company from the announcement to the end of its use.
func TestSubprocessorsThroughTheAPI(t *testing.T) {
	s := newStage(t)
	day := func(days int) string { return s.Now().AddDate(0, 0, days).UTC().Format("2006-01-02") }
	company := object{"name": "Firma", "service": "camera", "purpose": "Drift", "data": "Alt", "access_rule": "none", "staff_countries": []string{"NO"}, "place": "US", "encryption": "no_keys", "copies": "none"}
	if a := s.refused(422, "invalid", platform, "POST", "/platform/subprocessors", company); a.fields() != "transfer_basis=transfer_basis_due" {
		t.Error(a.fields())
	}
	company["place"], company["valid_from"] = "XX", day(1)
	if a := s.refused(422, "invalid", platform, "POST", "/platform/subprocessors", company); !strings.Contains(a.fields(), "place=country") || !strings.Contains(a.fields(), "valid_from=before_objection") {
		t.Error(a.fields())
	}
	company["place"] = "NO"
	delete(company, "valid_from")
	s.refused(403, "permission", administrator, "POST", "/platform/subprocessors", company)
	var made, again rest.Numbered
	s.ok(201, platform, "POST", "/platform/subprocessors", company, "Idempotency-Key", "company one").into(t, &made)
	s.ok(201, platform, "POST", "/platform/subprocessors", company, "Idempotency-Key", "company one").into(t, &again)
	if made != again {
		t.Errorf("sent twice, announced twice: %+v %+v", made, again)
	}
	one, shared := fmt.Sprintf("/subprocessors/%d", made.Id), fmt.Sprintf("/platform/subprocessors/%d", made.Id)
	var e rest.SubprocessorEntry
	s.ok(200, privacyOfficer, "GET", one, nil).into(t, &e)
	if e.Open == nil || *e.Open != 1 || e.Used || len(e.Versions) != 1 || e.Versions[0].ObjectBy == nil {
		t.Errorf("%+v", e)
	}
	if a := s.refused(422, "invalid", administrator, "POST", one+"/answers", object{"version": 1, "reply": "objected"}); a.fields() != "reference=required note=required" {
		t.Error(a.fields())
	}
	s.refused(404, "not_found", administrator, "POST", one+"/answers", object{"version": 7, "reply": "noted"})
	s.ok(204, administrator, "POST", one+"/answers", object{"version": 1, "reply": "objected", "reference": "24/1", "note": "Hemmelig grunn"})
	answers := s.ok(200, platform, "GET", "/platform/subprocessors", nil)
	if !strings.Contains(string(answers.body), `"reply":"objected"`) || !strings.Contains(string(answers.body), `"number":"3218"`) || strings.Contains(string(answers.body), "Hemmelig") {
		t.Errorf("%s", answers.body)
	}

	if a := s.refused(422, "invalid", administrator, "POST", one+"/uses", object{"used_from": day(1)}); a.fields() != "used_from=before_objection" {
		t.Error(a.fields())
	}
	s.ok(204, administrator, "POST", one+"/uses", object{"used_from": day(60)})
	s.refused(409, "used_already", administrator, "POST", one+"/uses", object{"used_from": day(70)})
	s.ok(204, administrator, "POST", one+"/uses/end", object{"used_to": day(90)})
	s.refused(409, "not_used", administrator, "POST", one+"/uses/end", object{"used_to": day(90)})
	s.ok(200, caseworker, "GET", one, nil).into(t, &e)
	if len(e.Uses) != 1 || e.Uses[0].UsedTo == nil || len(e.Answers) != 1 || *e.Answers[0].Note != "Hemmelig grunn" || e.Open != nil {
		t.Errorf("%+v", e)
	}
	s.ok(200, foreigner, "GET", one, nil).into(t, &e)
	if len(e.Uses) != 0 || len(e.Answers) != 0 {
		t.Errorf("the other municipality's: %+v", e)
	}

	if a := s.refused(422, "invalid", platform, "POST", shared+"/reviews", object{"reviewed_on": day(2), "next_due": day(-1), "outcome": "fine", "reference": "R"}); a.fields() != "reviewed_on=future next_due=past" {
		t.Error(a.fields())
	}
	s.ok(204, platform, "POST", shared+"/reviews", object{"reviewed_on": day(-1), "next_due": day(300), "outcome": "remarks", "reference": "R-1"})
	s.refused(404, "not_found", platform, "POST", "/platform/subprocessors/99/reviews", object{"reviewed_on": day(-1), "next_due": day(300), "outcome": "fine", "reference": "R"})
	company["change"], company["name"] = "corrected", "Et annet firma"
	if a := s.refused(422, "invalid", platform, "POST", shared+"/versions", company); a.fields() != "change=needs_notice" {
		t.Error(a.fields())
	}
	s.ok(204, platform, "POST", shared+"/versions", object{"change": "ended", "valid_from": day(100)})
	s.refused(409, "subprocessor_ended", platform, "POST", shared+"/versions", object{"change": "ended", "valid_from": day(100)})
	s.ok(200, caseworker, "GET", one, nil).into(t, &e)
	if len(e.Versions) != 2 || e.Versions[0].Change != "ended" || e.Review == nil || e.Review.Outcome != "remarks" {
		t.Errorf("%+v", e)
	}
}
