// Package fhir is the little of HL7 FHIR R4 that Frist speaks: small structs of its own, for what is handed out to other
// systems. It knows no table and asks nobody; whoever fills a resource has been allowed to read what stands in it.
package fhir

import (
	"encoding/json"
	"errors"
	"io"
	"time"
)

// Systems of codes and identifiers.
const (
	NationalIDSystem   = "urn:oid:2.16.578.1.12.4.1.4.1"    // fødselsnummer
	MunicipalitySystem = "urn:oid:2.16.578.1.12.4.1.1.3402" // kommunenummer
	DCM                = "http://dicom.nema.org/resources/ontology/DCM"
	LocalSystem        = "urn:frist:" // what only Frist has a code for: urn:frist:role, urn:frist:staff-number, …
)

// Coding is a code in a system.
type Coding struct {
	System  string `json:"system,omitempty"`
	Code    string `json:"code,omitempty"`
	Display string `json:"display,omitempty"`
}

// CodeableConcept is a code, and what it means in words.
type CodeableConcept struct {
	Coding []Coding `json:"coding,omitempty"`
	Text   string   `json:"text,omitempty"`
}

// Concept is the concept of one code, said in words.
func Concept(system, code, text string) CodeableConcept {
	return CodeableConcept{Coding: []Coding{{System: system, Code: code}}, Text: text}
}

// Identifier is a number that somebody has given.
type Identifier struct {
	System string `json:"system,omitempty"`
	Value  string `json:"value,omitempty"`
}

// Reference points at another resource, by its address or by a number that it has.
type Reference struct {
	Reference  string      `json:"reference,omitempty"`
	Type       string      `json:"type,omitempty"`
	Identifier *Identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

// Period is from when until when.
type Period struct {
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`
}

// Instant writes an instant as FHIR wants it: with seconds and a zone.
func Instant(at time.Time) string { return at.Format("2006-01-02T15:04:05.000Z07:00") }

// Entry is one resource of a bundle.
type Entry struct {
	FullURL  string `json:"fullUrl,omitempty"` // "urn:uuid:" and the resource's id
	Resource any    `json:"resource"`
}

// Bundle is a collection that is small enough to be held at once; a large one goes through a BundleWriter.
type Bundle struct {
	ResourceType string  `json:"resourceType"` // "Bundle"
	Type         string  `json:"type"`         // "collection"
	Timestamp    string  `json:"timestamp,omitempty"`
	Entry        []Entry `json:"entry,omitempty"`
}

// NewBundle is a collection of these, made at that instant.
func NewBundle(at time.Time, entries ...Entry) Bundle {
	return Bundle{ResourceType: "Bundle", Type: "collection", Timestamp: Instant(at), Entry: entries}
}

// BundleWriter writes a collection entry by entry, so that its size does not matter. A bundle without Close is broken
// JSON: nobody takes half an export for a whole one.
type BundleWriter struct {
	w       io.Writer
	entries int
	err     error
}

// NewBundleWriter begins a collection made at that instant.
func NewBundleWriter(w io.Writer, at time.Time) *BundleWriter {
	b := &BundleWriter{w: w}
	b.write([]byte(`{"resourceType":"Bundle","type":"collection","timestamp":"` + Instant(at) + `"`))
	return b
}

// Add writes one entry.
func (b *BundleWriter) Add(e Entry) error {
	raw, err := json.Marshal(e)
	if err != nil {
		b.err = errors.Join(b.err, err)
		return b.err
	}
	if b.entries == 0 { // an empty list is not allowed in FHIR
		b.write([]byte(`,"entry":[`))
	} else {
		b.write([]byte(","))
	}
	b.entries++
	b.write(raw)
	return b.err
}

// Close ends the collection.
func (b *BundleWriter) Close() error {
	if b.entries > 0 {
		b.write([]byte("]"))
	}
	b.write([]byte("}\n"))
	return b.err
}

func (b *BundleWriter) write(raw []byte) {
	if b.err == nil {
		_, b.err = b.w.Write(raw)
	}
}
