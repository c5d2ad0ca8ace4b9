package problem_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/problem"
	"pgregory.net/rapid"
)

// Whatever comes, what is kept is text that PostgreSQL takes, as long as it may be, in letters and not in bytes; and what
// was kept once is kept as it is.
func TestWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }), rapid.StringOf(rapid.SampledFrom([]rune("åÅ \x00\n")))).Draw(t, "text")
		most, required := rapid.IntRange(1, 20).Draw(t, "most"), rapid.Bool().Draw(t, "required")
		text := given
		var wrong problem.Collector
		ok := wrong.Words("field", &text, most, required)
		n := utf8.RuneCountInString(text)
		if !utf8.ValidString(text) || strings.Contains(text, "\x00") || text != strings.TrimSpace(text) {
			t.Errorf("kept as %q", text)
		}
		if want := n <= most && (n > 0 || !required); ok != want || (wrong.Err() == nil) != want {
			t.Errorf("%q of at most %d, required %v: %v, %v", text, most, required, ok, wrong.Err())
		}
		again := text
		if wrong.Words("field", &again, most, required); again != text {
			t.Errorf("%q becomes %q", text, again)
		}
	})
	long := strings.Repeat("å", 200)
	var wrong problem.Collector
	if !wrong.Words("field", &long, 200, true) {
		t.Errorf("200 letters are too long: %v", wrong.Err())
	}
}
