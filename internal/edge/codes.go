package edge

import (
	"cmp"
	"slices"
	"strings"
)

// Codes are the codes for which there are sentences with this prefix, in the order of the sentences: the choices of a form
// that must know every code that a log can hold.
func (t Text) Codes(prefix string) []string {
	var codes []string
	for key := range t.keys {
		if code, ok := strings.CutPrefix(key, prefix); ok {
			codes = append(codes, code)
		}
	}
	slices.SortFunc(codes, func(a, b string) int {
		return cmp.Or(strings.Compare(t.Say(prefix+a, nil), t.Say(prefix+b, nil)), strings.Compare(a, b))
	})
	return codes
}

// Word is what a code means: the sentence for prefix and code, or the code where nobody has written one. A code may name
// the one thing that it is about behind a colon, as visit:<id>.
func (t Text) Word(prefix, code string) string {
	if kind, _, _ := strings.Cut(code, ":"); t.Has(prefix + kind) {
		return t.Say(prefix+kind, nil)
	}
	return code
}
