package register

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMunicipalities(t *testing.T) {
	all := Municipalities()
	if len(all) != 357 {
		t.Fatalf("%d municipalities, want 357", len(all))
	}
	if !slices.IsSortedFunc(all, func(a, b Municipality) int { return strings.Compare(a.Number, b.Number) }) {
		t.Error("not in order of number")
	}
	number := regexp.MustCompile(`^\d{4}$`)
	name := regexp.MustCompile(`^[A-ZÆØÅ][a-zæøå]+([ -][A-ZÆØÅa-zæøå][a-zæøå]*)*$|^Ås$|^Å[a-zæøå]$`)
	seen := map[string]bool{}
	county := map[string]string{}
	for _, m := range all {
		if !number.MatchString(m.Number) || !name.MatchString(m.Name) || m.County == "" {
			t.Errorf("malformed: %+v", m)
		}
		if seen[m.Number] {
			t.Errorf("%s twice", m.Number)
		}
		seen[m.Number] = true
		if strings.HasSuffix(strings.ToLower(m.Name), "kommune") || strings.HasSuffix(m.Name, "Municipality") {
			t.Errorf("%s carries its kind in its name", m.Name)
		}
		prefix := m.Number[:2]
		if county[prefix] == "" {
			county[prefix] = m.County
		}
		if county[prefix] != m.County {
			t.Errorf("%s %s lies in %s, its number says %s", m.Number, m.Name, m.County, county[prefix])
		}
	}
	if len(county) != 15 {
		t.Errorf("%d counties, want 15", len(county))
	}
}

func TestMunicipalityByNumber(t *testing.T) {
	for number, want := range map[string]Municipality{
		"3218": {"3218", "Ås", "Akershus"},
		"0301": {"0301", "Oslo", "Oslo"},
		"1580": {"1580", "Haram", "Møre og Romsdal"},
		"5041": {"5041", "Snåsa", "Trøndelag"},
		"5501": {"5501", "Tromsø", "Troms"},
		"5634": {"5634", "Vardø", "Finnmark"},
	} {
		if got, ok := MunicipalityByNumber(number); !ok || got != want {
			t.Errorf("%s is %+v, %t, want %+v", number, got, ok, want)
		}
	}
	if _, ok := MunicipalityByNumber("0214"); ok { // Ås until 2020
		t.Error("a number of an earlier structure is found")
	}
}

func TestPostcodes(t *testing.T) {
	code := regexp.MustCompile(`^\d{4}$`)
	outside := map[string]string{"2100": "Svalbard", "2211": "Jan Mayen"}
	codes := 0
	for municipality, list := range load().postcodesOf {
		codes += len(list)
		if _, ok := MunicipalityByNumber(municipality); !ok && outside[municipality] == "" {
			t.Errorf("codes of %s, which is no municipality", municipality)
		}
		for _, p := range list {
			if !code.MatchString(p.Code) || p.Municipality != municipality || p.Town == strings.ToUpper(p.Town) {
				t.Errorf("malformed: %+v", p)
			}
		}
	}
	if codes != 5146 || len(load().towns) != 5146 {
		t.Errorf("%d codes, %d different, want 5146", codes, len(load().towns))
	}
	for _, m := range Municipalities() {
		if len(PostcodesOf(m.Number)) == 0 {
			t.Errorf("%s %s has no postal code", m.Number, m.Name)
		}
	}
}

func TestPostcode(t *testing.T) {
	for code, want := range map[string]string{
		"1430": "Ås",
		"0953": "Oslo",
		"9008": "Tromsø",
		"3800": "Bø i Telemark",
		"2390": "Moelv",
		"9170": "Longyearbyen",
		"9173": "Ny-Ålesund",
		"2320": "Furnes",
	} {
		if got, ok := Postcode(code); !ok || got != want {
			t.Errorf("%s is %q, %t, want %q", code, got, ok, want)
		}
	}
	for _, code := range []string{"", "953", "0000", "9999", "14300"} {
		if town, ok := Postcode(code); ok {
			t.Errorf("%q is %q", code, town)
		}
	}
}

func TestPostcodesOf(t *testing.T) {
	list := PostcodesOf("3218")
	if !slices.Contains(list, PostalCode{"1430", "Ås", "3218"}) {
		t.Errorf("Ås lacks 1430: %v", list)
	}
	if !slices.IsSortedFunc(list, func(a, b PostalCode) int { return strings.Compare(a.Code, b.Code) }) {
		t.Error("not in order of code")
	}
	list[0].Town = "changed"
	if PostcodesOf("3218")[0].Town == "changed" {
		t.Error("a caller can change the register")
	}
	for _, number := range []string{"1515", "1818", "3114", "3419"} { // Herøy and Våler, twice each
		if len(PostcodesOf(number)) == 0 {
			t.Errorf("%s has no codes", number)
		}
	}
	if list := PostcodesOf("9999"); len(list) != 0 {
		t.Errorf("nobody's codes: %v", list)
	}
}

func TestCompletePostcode(t *testing.T) {
	for in, want := range map[string]struct {
		code     string
		restored bool
		ok       bool
	}{
		"953":   {"0953", true, true},
		"0953":  {"0953", false, true},
		"1953":  {"1953", false, true},
		"1":     {"0001", true, true},
		" 953 ": {"0953", true, true},
		"":      {},
		"  ":    {},
		"00953": {},
		"9 53":  {},
		"N-953": {},
		"-953":  {},
		"95.3":  {},
		"٩٥٣":   {}, // digits, but not ours
	} {
		code, restored, ok := CompletePostcode(in)
		if code != want.code || restored != want.restored || ok != want.ok {
			t.Errorf("%q becomes %q, %t, %t, want %+v", in, code, restored, ok, want)
		}
	}
}

func TestCompletePostcodeIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.StringMatching(`[0-9]{0,5}`), rapid.String()).Draw(t, "in")
		code, restored, ok := CompletePostcode(in)
		if !ok {
			if code != "" || restored {
				t.Fatalf("refused, and yet %q, %t", code, restored)
			}
			return
		}
		if len(code) != 4 || !strings.HasSuffix(code, strings.TrimSpace(in)) {
			t.Fatalf("%q is not %q with zeros in front", code, in)
		}
		again, restored, ok := CompletePostcode(code)
		if again != code || restored || !ok {
			t.Fatalf("second time: %q, %t, %t", again, restored, ok)
		}
	})
}

func TestCompletePostcodeRestoresEveryCode(t *testing.T) {
	for code := range load().towns {
		got, _, ok := CompletePostcode(strings.TrimLeft(code, "0"))
		if got != code || !ok {
			t.Errorf("%s does not come back: %q, %t", code, got, ok)
		}
	}
}

func TestTownMatches(t *testing.T) {
	for _, c := range []struct {
		code, town string
		want       bool
	}{
		{"1430", "Ås", true},
		{"1430", " ÅS ", true},
		{" 1430 ", "ås", true},
		{"3800", "BØ  I TELEMARK", true},
		{"1430", "As", false},
		{"1430", "Oslo", false},
		{"1430", "", false},
		{"953", "Oslo", false}, // complete it first
		{"0000", "", false},
	} {
		if got := TownMatches(c.code, c.town); got != c.want {
			t.Errorf("%q with %q: %t, want %t", c.code, c.town, got, c.want)
		}
	}
}
