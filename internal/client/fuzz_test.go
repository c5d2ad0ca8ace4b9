package client

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A cursor is read in one form only, the one that it is written in.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "last", "a6f9619ff-8b86-4011-b42d-00c04fc964ff", "b6F9619FF-8B86-4011-B42D-00C04FC964FF", "a{6f9619ff-8b86-4011-b42d-00c04fc964ff}", "aurn:uuid:6f9619ff-8b86-4011-b42d-00c04fc964ff", "a00000000-0000-0000-0000-000000000000", "c", "a\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCursor(s)
		if err != nil {
			return
		}
		again, err := ParseCursor(c.String())
		if err != nil || again != c {
			t.Fatalf("%q: %+v, %+v %v", s, c, again, err)
		}
	})
}

// A place in a log comes back as it was, and lies within what the database can hold.
func FuzzEventCursor(f *testing.F) {
	for _, seed := range []string{"", "1695107520000000-7", "-1-7", "0-0", "9007199254740993-1", "1-9223372036854775808", "1", "1-", "+1-+7", " 1-7"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseEventCursor(s)
		if err != nil {
			return
		}
		again, err := ParseEventCursor(c.String())
		if err != nil || !again.At.Equal(c.At) || again.ID != c.ID && !c.At.IsZero() {
			t.Fatalf("%q: %+v, %+v %v", s, c, again, err)
		}
		if y := c.At.Year(); !c.At.IsZero() && (y < 1970 || y > 2300) {
			t.Fatalf("%q: %v", s, c.At)
		}
	})
}

// What people look for is text that PostgreSQL takes, and the words of it hold no space.
func FuzzSearchTerms(f *testing.F) {
	for _, seed := range []string{"Hansen, Solveig", "900 00 172", "+47 900 00 172", "ås\x00", "\xff\xfe", "A\u030as", "%_\\", "  ", ",,,", "\u00a0x\u2003y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, text := range []string{clean(s), deviceCode(s), SearchText(s, s, "1", s, false)} {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				t.Fatalf("%q", text)
			}
		}
		for _, word := range terms(s) {
			if !utf8.ValidString(word) || strings.ContainsAny(word, "\x00 ") {
				t.Fatalf("%q of %q", word, s)
			}
		}
		if clean(clean(s)) != clean(s) {
			t.Fatalf("%q is cleaned twice", s)
		}
	})
}
