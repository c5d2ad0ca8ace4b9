package privacy

import (
	"slices"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// eea are the members of the European Economic Area by their ISO 3166 codes. Whether a place lies within is looked up here
// and typed by nobody (T20).
var eea = []string{
	"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO",
	"PL", "PT", "RO", "SE", "SI", "SK",
}

// adequate are countries for which the Commission has found the protection adequate in general (GDPR 45). The United States
// are not among them: there it depends on the company, and so on a basis that is written down.
var adequate = []string{"AD", "AR", "CH", "FO", "GB", "GG", "IL", "IM", "JE", "JP", "KR", "NZ", "UY"}

// Country is a country by its ISO 3166 code, in capitals.
type Country string

// EEA reports whether the country is a member of the EU or the EEA.
func (c Country) EEA() bool { return slices.Contains(eea, string(c)) }

// Adequate reports whether the Commission has found its protection adequate.
func (c Country) Adequate() bool { return slices.Contains(adequate, string(c)) }

// Known reports whether there is such a country.
func (c Country) Known() bool {
	if len(c) != 2 {
		return false
	}
	region, err := language.ParseRegion(string(c))
	return err == nil && region.IsCountry() && region.Canonicalize().String() == string(c) // UK is written GB
}

// Name is what the country is called in a language, "NO" being Norge in "nb".
func (c Country) Name(lang string) string {
	region, err := language.ParseRegion(string(c))
	if err != nil {
		return string(c)
	}
	tag := language.Make(lang)
	if base, _ := tag.Base(); base.String() == "nb" {
		tag = language.Norwegian // the package's tables have bokmål under "no", and answer in Danish to "nb"
	}
	if namer := display.Regions(tag); namer != nil {
		if name := namer.Name(region); name != "" {
			return name
		}
	}
	return string(c)
}

// EEACountries are all members, by code.
func EEACountries() []Country {
	list := make([]Country, len(eea))
	for i, code := range eea {
		list[i] = Country(code)
	}
	return list
}
