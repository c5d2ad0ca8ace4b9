package exchange

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/problem"
)

// A mapping that Check lets pass names each field once, and columns that there are.
func FuzzMapping(f *testing.F) {
	f.Add("Navn;Nummer;Fødselsnummer", "Navn=family_name;Nummer=number")
	f.Add("Klient: Navn;Pårørende: Navn;nr.", "nr.=;x=number")
	f.Add("Rapporteringsgruppe1;rapporteringsgruppe2", "=")
	f.Add("", "a")
	f.Fuzz(func(t *testing.T, names, chosen string) {
		header := strings.Split(names, ";")
		columns := map[string]string{}
		for pair := range strings.SplitSeq(chosen, ";") {
			column, field, _ := strings.Cut(pair, "=")
			columns[column] = field
		}
		m := Guess(header)
		if err := m.Choose(header, columns); err != nil {
			if !problem.Public(err) {
				t.Fatal(err)
			}
			return
		}
		if err := m.Check(len(header)); err != nil {
			if !problem.Public(err) {
				t.Fatal(err)
			}
			return
		}
		seen := map[Field]bool{}
		for column, field := range m {
			if column < 0 || column >= len(header) || seen[field] {
				t.Fatalf("%v", m)
			}
			seen[field] = true
		}
	})
}

// Whatever stands in the cells, a row is taken with values that the database takes, or refused with codes.
func FuzzValues(f *testing.F) {
	f.Add("200051466", "Hansen, Solveig", "01010112345", "31.02.2023", "Frakoblet", "19.09.23 09:12", "1430", "Gruppe 1.10.2023", "a@b")
	f.Add("2.00051466E8", "\u200bA", "+", "45000.5", "active", "2023-09-19T07:12:00Z", "0143", "x", "900 00 172")
	f.Add("\x00", "\xff", "\u202e", "00.00.0000", "?", "1e309", "-1", "31.12.9999", "\n")
	fields := []Field{Number, Name, NationalID, BirthDate, Status, StatusDate, Postcode, Group, Phone}
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		f.Fatal(err)
	}
	mapping := Mapping{}
	for i, field := range fields {
		mapping[i] = field
	}
	now := time.Date(2023, 9, 19, 7, 12, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h, i, j string) {
		cells := []string{a, b, c, d, e, g, h, i, j}
		for n := range cells {
			cells[n] = strings.ToValidUTF8(strings.ReplaceAll(cells[n], "\x00", ""), "") // decode lets nothing else through
		}
		r, notes, ok := newParser(Table{}, mapping, zone, now, false).parse(Row{Number: 2, Cells: cells})
		refused := false
		for _, n := range notes {
			refused = refused || !n.Flag
			if n.Code == "" || n.Row != 2 || strings.ContainsAny(n.Code, " .:") {
				t.Fatalf("%+v", n)
			}
		}
		if ok == refused {
			t.Fatalf("taken: %t, refused: %t: %+v", ok, refused, notes)
		}
		if !ok {
			return
		}
		for _, s := range []string{r.number, r.given, r.family, r.nationalID, r.phone, r.email, r.street, r.postcode, r.town} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
				t.Fatalf("%q", s)
			}
		}
		if r.statusAt != nil && (r.statusAt.Year() < 1800 || r.statusAt.After(now.AddDate(1, 0, 0))) {
			t.Fatalf("a status at %v", r.statusAt)
		}
	})
}
