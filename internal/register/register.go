// Package register holds the public registers that Frist ships: Norway's municipalities and its postal codes.
// Both are read-only and the same for every tenant; README.md tells where they come from.
package register

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"slices"
	"strings"
	"sync"
)

// Municipality is one of Norway's 357 municipalities as they have been since 1 January 2024.
type Municipality struct {
	Number string // four digits; the first two are the county's
	Name   string
	County string
}

// PostalCode is four digits with the town that stands beside it on an envelope.
type PostalCode struct {
	Code         string // four digits
	Town         string
	Municipality string // number; 2100 Svalbard and 2211 Jan Mayen have codes but are no municipalities
}

//go:embed municipalities.csv
var municipalitiesCSV []byte

//go:embed postcodes.csv
var postcodesCSV []byte

// index is both registers, ordered by number and by code, with what finds a row in them.
type index struct {
	municipalities []Municipality
	byNumber       map[string]Municipality
	towns          map[string]string
	postcodesOf    map[string][]PostalCode
}

var load = sync.OnceValue(func() *index {
	x := &index{
		byNumber:    map[string]Municipality{},
		towns:       map[string]string{},
		postcodesOf: map[string][]PostalCode{},
	}
	for _, row := range rows(municipalitiesCSV) {
		m := Municipality{Number: row[0], Name: row[1], County: row[2]}
		x.municipalities = append(x.municipalities, m)
		x.byNumber[m.Number] = m
	}
	for _, row := range rows(postcodesCSV) {
		p := PostalCode{Code: row[0], Town: row[1], Municipality: row[2]}
		x.towns[p.Code] = p.Town
		x.postcodesOf[p.Municipality] = append(x.postcodesOf[p.Municipality], p)
	}
	return x
})

// rows reads an embedded file of three columns without its header line.
func rows(file []byte) [][]string {
	r := csv.NewReader(bytes.NewReader(file))
	r.Comma = ';'
	r.FieldsPerRecord = 3
	all, err := r.ReadAll()
	if err != nil {
		panic("register: " + err.Error()) // the file is compiled in and read by the tests
	}
	return all[1:]
}

// Municipalities lists all of them by number.
func Municipalities() []Municipality {
	return slices.Clone(load().municipalities)
}

// MunicipalityByNumber finds a municipality by its four digits.
func MunicipalityByNumber(number string) (Municipality, bool) {
	m, ok := load().byNumber[number]
	return m, ok
}

// PostcodesOf lists the postal codes of a municipality in order; none for a number that nobody has.
func PostcodesOf(municipalityNumber string) []PostalCode {
	return slices.Clone(load().postcodesOf[municipalityNumber])
}

// Postcode gives the town of a complete postal code that is in use.
func Postcode(code string) (town string, ok bool) {
	town, ok = load().towns[code]
	return town, ok
}

// CompletePostcode gives back the leading zeros that spreadsheets drop: "953" is "0953".
// It refuses what cannot be a postal code at all; whether the code is in use, Postcode tells.
func CompletePostcode(s string) (code string, restored, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 4 || strings.Trim(s, "0123456789") != "" {
		return "", false, false
	}
	return strings.Repeat("0", 4-len(s)) + s, len(s) < 4, true
}

// TownMatches tells whether a town, however it is capitalised and spaced, is the one of a complete postal code.
func TownMatches(code, town string) bool {
	want, ok := Postcode(strings.TrimSpace(code))
	return ok && strings.EqualFold(want, strings.Join(strings.Fields(town), " "))
}
