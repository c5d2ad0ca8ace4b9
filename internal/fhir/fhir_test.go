package fhir_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/fhir"
	"github.com/frist-app/frist/internal/fhir/fhirtest"
)

var at = time.Date(2023, 9, 19, 9, 12, 0, 0, time.FixedZone("", 7200))

func event() fhir.AuditEvent {
	return fhir.AuditEvent{
		ResourceType: "AuditEvent", ID: "look-7", Type: fhir.PatientRecord, Subtype: []fhir.Coding{{System: fhir.LocalSystem + "page", Code: "client.notes"}},
		Action: "R", Recorded: fhir.Instant(at), Outcome: fhir.Done,
		PurposeOfEvent: []fhir.CodeableConcept{fhir.Concept(fhir.LocalSystem+"purpose", "record", "Arbeid med klienten")},
		Agent: []fhir.AuditAgent{
			{Role: []fhir.CodeableConcept{fhir.Concept(fhir.LocalSystem+"role", "caseworker", "")}, Who: fhir.Reference{Type: "Practitioner", Identifier: &fhir.Identifier{System: fhir.LocalSystem + "staff-number", Value: "S-10001"}}, AltID: "S-10001", Requestor: true},
			{Who: fhir.Reference{Type: "Organization", Identifier: &fhir.Identifier{System: fhir.MunicipalitySystem, Value: "3218"}}},
		},
		Source: fhir.FristSource(), Entity: []fhir.AuditEntity{fhir.PatientEntity("8c7d2f0e-0000-4000-8000-000000000001")},
	}
}

func TestAnAuditEventIsR4(t *testing.T) {
	raw, err := json.Marshal(event())
	if err != nil {
		t.Fatal(err)
	}
	fhirtest.Valid(t, raw)
	for name, spoil := range map[string]func(*fhir.AuditEvent){
		"an action that there is not": func(e *fhir.AuditEvent) { e.Action = "X" },
		"an outcome in words":         func(e *fhir.AuditEvent) { e.Outcome = "done" },
		"a Norwegian date":            func(e *fhir.AuditEvent) { e.Recorded = "19.09.23" },
		"an id with a colon":          func(e *fhir.AuditEvent) { e.ID = "look:7" },
		"another resource":            func(e *fhir.AuditEvent) { e.ResourceType = "Innsyn" },
	} {
		e := event()
		spoil(&e)
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if fhirtest.Check(raw) == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestABundleIsR4HoweverItIsWritten(t *testing.T) {
	for n := range 3 {
		var streamed bytes.Buffer
		w := fhir.NewBundleWriter(&streamed, at)
		var entries []fhir.Entry
		for range n {
			e := fhir.Entry{FullURL: "urn:uuid:8c7d2f0e-0000-4000-8000-000000000002", Resource: event()}
			entries = append(entries, e)
			if err := w.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		if json.Valid(streamed.Bytes()) {
			t.Error("half a bundle is JSON")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		whole, err := json.Marshal(fhir.NewBundle(at, entries...))
		if err != nil {
			t.Fatal(err)
		}
		if string(whole) != string(bytes.TrimSpace(streamed.Bytes())) {
			t.Errorf("%s is not %s", streamed.Bytes(), whole)
		}
		fhirtest.Valid(t, whole)
		if got := len(fhirtest.Resources(t, whole)["AuditEvent"]); got != n {
			t.Errorf("%d events of %d", got, n)
		}
	}
}
