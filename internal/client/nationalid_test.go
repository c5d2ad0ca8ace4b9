package client

import (
	"encoding/csv"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The verdicts are those of npm @navikt/fnrvalidator 2.2.1; testdata/nationalid.mjs writes them.
func TestParseNationalIDAgreesWithTheOracle(t *testing.T) {
	rows := oracle(t)
	if len(rows) < 2000 {
		t.Fatalf("%d lines, want 2000 or more", len(rows))
	}
	valid := 0
	for _, row := range rows {
		number, want := row[0], row[1] == "1"
		if want {
			valid++
		}
		id, err := ParseNationalID(number)
		if got := err == nil; got != want {
			t.Errorf("%s: valid %t, the oracle says %t (%v)", number, got, want, err)
		}
		if err == nil && string(id) != number {
			t.Errorf("%s became %s", number, id)
		}
	}
	if valid < 500 || len(rows)-valid < 500 {
		t.Errorf("%d of %d are valid: too few of one kind", valid, len(rows))
	}
}

func TestParseNationalIDErrors(t *testing.T) {
	good := synthetic(t, 1950, time.May, 17, 0)
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"empty":        {"", ErrNationalIDLength},
		"short":        {string(good[:10]), ErrNationalIDLength},
		"long":         {string(good) + "0", ErrNationalIDLength},
		"letters":      {"a" + string(good[1:]), ErrNationalIDLength},
		"punctuation":  {string(good[:6]) + "-" + string(good[6:]), ErrNationalIDLength},
		"other digits": {strings.Repeat("٣", 11), ErrNationalIDLength},
		"first digit":  {string(good[:9]) + next(good[9]) + string(good[10:]), ErrNationalIDCheckDigits},
		"second digit": {string(good[:10]) + next(good[10]), ErrNationalIDCheckDigits},
		"month 93":     {complete(t, 1, 93, 50), ErrNationalIDDate},
		"30 February":  {complete(t, 30, 82, 50), ErrNationalIDDate},
		"day 0":        {complete(t, 0, 81, 50), ErrNationalIDDate},
	} {
		id, err := ParseNationalID(c.in)
		if !errors.Is(err, c.want) || id != "" {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "0123456789") {
			t.Errorf("%s: the error carries digits: %v", name, err)
		}
	}
}

func TestParseNationalIDStripsSpaces(t *testing.T) {
	id := synthetic(t, 1950, time.May, 17, 0)
	for _, in := range []string{
		string(id[:6]) + " " + string(id[6:]),
		"  " + string(id) + "\t\r\n",
		strings.Join(strings.Split(string(id), ""), " "),
		string(id[:6]) + "\u00a0" + string(id[6:]), // what a spreadsheet or a web page puts in between
	} {
		if got, err := ParseNationalID(in); err != nil || got != id {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestBirthDate(t *testing.T) {
	for _, c := range []struct {
		yy, individual int
		want           int // year, 0 for none
	}{
		{54, 500, 1854},
		{99, 749, 1899},
		{53, 500, 0},
		{40, 749, 0}, // 1840-1853 were never given a number
		{0, 0, 1900},
		{99, 499, 1999},
		{39, 499, 1939},
		{40, 0, 1940},
		{0, 500, 2000},
		{39, 500, 2039},
		{39, 999, 2039},
		{0, 750, 2000},
		{0, 999, 2000},
		{40, 900, 1940},
		{99, 999, 1999},
		{40, 750, 0},
		{99, 899, 0},
	} {
		for _, dayPlus := range []int{0, 40} {
			for _, monthPlus := range []int{0, 40, 80} {
				id := NationalID(digits(17+dayPlus, 5+monthPlus, c.yy, c.individual) + "00")
				year, month, day, ok := id.BirthDate()
				if !ok && c.want == 0 {
					continue
				}
				if !ok || year != c.want || month != time.May || day != 17 {
					t.Errorf("year %02d, individual number %03d, day +%d, month +%d: %d-%d-%d, %t, want %d",
						c.yy, c.individual, dayPlus, monthPlus, year, month, day, ok, c.want)
				}
			}
		}
	}
}

func TestBirthDateOnLeapDays(t *testing.T) {
	for individual, want := range map[int]bool{0: false, 499: false, 500: true, 999: true} { // 1900 had none, 2000 had
		id := NationalID(digits(29, 82, 0, individual) + "00")
		if year, _, _, ok := id.BirthDate(); ok != want {
			t.Errorf("29 February %d: %t, want %t", year, ok, want)
		}
	}
	if _, _, _, ok := NationalID("").BirthDate(); ok {
		t.Error("the zero value has a date of birth")
	}
}

func TestSynthetic(t *testing.T) {
	for month, want := range map[int]bool{1: false, 12: false, 41: false, 52: false, 81: true, 92: true} {
		for _, day := range []int{1, 41} {
			if got := NationalID(digits(day, month, 50, 800) + "00").Synthetic(); got != want {
				t.Errorf("day %d, month %d: %t, want %t", day, month, got, want)
			}
		}
	}
	if NationalID("").Synthetic() {
		t.Error("the zero value is synthetic")
	}
}

func TestSyntheticNationalID(t *testing.T) {
	first := time.Date(1854, time.January, 1, 0, 0, 0, 0, time.UTC)
	last := time.Date(2039, time.December, 31, 0, 0, 0, 0, time.UTC)
	days := int(last.Sub(first).Hours()/24 + 0.5)
	rapid.Check(t, func(t *rapid.T) {
		birth := first.AddDate(0, 0, rapid.IntRange(0, days).Draw(t, "day"))
		serial := rapid.IntRange(0, 60).Draw(t, "serial")
		female := rapid.Bool().Draw(t, "female")
		id, ok := SyntheticNationalID(birth, serial, female)
		if !ok {
			t.Fatalf("no number for %s, serial %d", birth.Format(time.DateOnly), serial)
		}
		parsed, err := ParseNationalID(string(id))
		if err != nil || parsed != id || !id.Synthetic() {
			t.Fatalf("%s does not parse as synthetic: %v", id, err)
		}
		year, month, day, ok := id.BirthDate()
		if y, m, d := birth.Date(); !ok || year != y || month != m || day != d {
			t.Fatalf("%s is born %d-%d-%d, want %s", id, year, month, day, birth.Format(time.DateOnly))
		}
		if even := (id[8]-'0')%2 == 0; even != female {
			t.Fatalf("%s has the other sex", id)
		}
	})
}

func TestSyntheticNationalIDRunsOut(t *testing.T) {
	birth := time.Date(1944, time.March, 9, 0, 0, 0, 0, time.UTC)
	seen := map[NationalID]bool{}
	for _, female := range []bool{true, false} {
		before := len(seen)
		serial := 0
		for ; ; serial++ {
			id, ok := SyntheticNationalID(birth, serial, female)
			if !ok {
				break
			}
			if seen[id] {
				t.Fatalf("serial %d gives a number again", serial)
			}
			seen[id] = true
		}
		if n := len(seen) - before; n < 150 || n > 300 {
			t.Errorf("%d numbers for one date and sex", n)
		}
		if _, ok := SyntheticNationalID(birth, serial+1, female); ok {
			t.Error("a number after the last one")
		}
	}
	for _, c := range []struct{ year, serial int }{{1853, 0}, {2040, 0}, {1950, -1}} {
		if id, ok := SyntheticNationalID(time.Date(c.year, time.June, 1, 0, 0, 0, 0, time.UTC), c.serial, true); ok || id != "" {
			t.Errorf("year %d, serial %d has a number", c.year, c.serial)
		}
	}
}

func FuzzParseNationalID(f *testing.F) {
	for _, row := range oracle(f)[:200] {
		f.Add(row[0])
	}
	f.Add("  ")
	f.Add("\xff\xfe0000000000")
	f.Fuzz(func(t *testing.T, in string) {
		id, err := ParseNationalID(in)
		if err != nil {
			if id != "" {
				t.Fatal("refused, and yet a number")
			}
			if !errors.Is(err, ErrNationalIDLength) && !errors.Is(err, ErrNationalIDCheckDigits) && !errors.Is(err, ErrNationalIDDate) {
				t.Fatalf("an error of another kind: %T", err)
			}
			return
		}
		if len(id) != 11 || strings.Join(strings.Fields(in), "") != string(id) {
			t.Fatalf("%q became %q", in, id)
		}
		if again, err := ParseNationalID(string(id)); err != nil || again != id {
			t.Fatalf("second time: %v", err)
		}
		if year, month, day, ok := id.BirthDate(); ok && !exists(year, month, day) {
			t.Fatalf("born on no date: %d-%d-%d", year, month, day)
		}
	})
}

func oracle(tb testing.TB) [][]string {
	tb.Helper()
	file, err := os.Open("testdata/nationalid.csv")
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comma = ';'
	r.FieldsPerRecord = 2
	rows, err := r.ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	return rows[1:]
}

func synthetic(tb testing.TB, year int, month time.Month, day, serial int) NationalID {
	tb.Helper()
	id, ok := SyntheticNationalID(time.Date(year, month, day, 0, 0, 0, 0, time.UTC), serial, true)
	if !ok {
		tb.Fatal("no number")
	}
	return id
}

// complete gives nine digits of a year no individual number from 750 on belongs to, with fitting check digits.
func complete(tb testing.TB, day, month, yy int) string {
	tb.Helper()
	for n := 750; n < 900; n++ {
		if id, ok := checked(day, month, yy, n); ok {
			return string(id)
		}
	}
	tb.Fatal("no number")
	return ""
}

func digits(day, month, yy, individual int) string {
	two := func(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }
	return two(day) + two(month) + two(yy) + string(byte('0'+individual/100)) + two(individual%100)
}

// next is another digit, and for the first check digit one that the rule from 2032 does not take either.
func next(digit byte) string {
	return string('0' + (digit-'0'+9)%10)
}
