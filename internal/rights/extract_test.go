package rights

import (
	"slices"
	"testing"

	"github.com/frist-app/frist/internal/explain"
)

// leftOut are columns of told tables that say nothing of the person: keys of our own, and counters.
var leftOut = map[string]string{
	"client.version": "a counter", "address.version": "a counter",
	"rights_request.received_at": "the day stands there", "rights_request.prepared_at": "the decision's instant stands there",
	"rights_request.extension_reason": "the day that it gives stands there", "rights_request.extension_told_on": "the person was told then",
	"rights_request.corrected": "the history of changes has the values", "rights_request.outcome": "the section of retention tells it as it is now",
	"round_item.carried": "a counter", "round_item.frozen": "of the list, not of the person", "round_item.chunk": "of the list", "round_item.placed_how": "placement tells it",
	"hold.confidential": "such a one is withheld",
	"audit.subject":     "always the client", "audit.basis": "what the processor acted under; of the municipality, not of the person", "address.protected": "a mark that follows from the client's own",
	"audit.detail": "codes and counts of the product's own",
}

// What hangs on a client is told: every table of the catalogue, and every column of it that is not an opaque id.
func TestTheExtractIsWhole(t *testing.T) {
	tables := map[string]explain.Table{}
	for _, table := range explain.Catalogue() {
		tables[table.Name] = table
	}
	var hangs func(name string, seen []string) bool
	hangs = func(name string, seen []string) bool {
		if name == "client" {
			return true
		}
		if slices.Contains(seen, name) {
			return false
		}
		return slices.ContainsFunc(tables[name].Links, func(l explain.Link) bool { return hangs(l.Table, append(seen, name)) })
	}
	told, columns := map[string]bool{}, map[string]bool{}
	for _, s := range sources {
		for _, table := range s.covers {
			if told[table] {
				t.Errorf("%s is told twice", table)
			}
			told[table] = true
		}
		for _, f := range s.fields {
			from := f.From
			if from == "" {
				from = s.key + "." + f.Name
			}
			columns[from] = true
		}
	}
	n := 0
	for name, table := range tables {
		if !hangs(name, nil) {
			if told[name] {
				t.Errorf("%s is told and hangs on nobody", name)
			}
			continue
		}
		n++
		if (NotExtracted[name] != "") == told[name] {
			t.Errorf("%s hangs on a client: told %t, left out because %q", name, told[name], NotExtracted[name])
		}
		if !told[name] {
			continue
		}
		for _, c := range table.Columns {
			field := c.Table + "." + c.Name
			_, left := leftOut[field]
			if c.Kind == explain.Personal && !columns[field] {
				t.Errorf("%s is personal and is not told", field)
			} else if (c.Kind == explain.Fact || c.Kind == explain.Plain) && !columns[field] && !left {
				t.Errorf("%s is not told, and nobody says why", field)
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d tables hang on a client: this test sees nothing", n)
	}
}
