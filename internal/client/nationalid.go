package client

import (
	"errors"
	"strings"
	"time"
)

// NationalID is a checked Norwegian identity number, eleven digits: fødselsnummer, D-number, H-number or a
// synthetic one. Make it with ParseNationalID; it is personal data and stays out of errors, logs and addresses.
type NationalID string

// What is wrong with a number; none of them says which number it was.
var (
	ErrNationalIDLength      = errors.New("national id: not eleven digits")
	ErrNationalIDCheckDigits = errors.New("national id: check digits do not fit")
	ErrNationalIDDate        = errors.New("national id: no such date")
)

var (
	firstWeights  = [...]int{3, 7, 6, 1, 8, 9, 4, 5, 2, 1}
	secondWeights = [...]int{5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1}
)

// ParseNationalID checks a number as people write it, spaces anywhere. A D-number has 40 added to its day; an
// H-number 40 to its month; synthetic ones 80 (the National Population Register's) or 40 (as H-numbers) to it.
func ParseNationalID(s string) (NationalID, error) {
	s = strings.Join(strings.Fields(s), "")
	if len(s) != 11 || strings.Trim(s, "0123456789") != "" {
		return "", ErrNationalIDLength
	}
	id := NationalID(s)
	// The first remainder is 0 in numbers issued until 2031, and 0 to 3 from 2032 on; the second is always 0.
	if id.remainder(firstWeights[:]) > 3 || id.remainder(secondWeights[:]) != 0 {
		return "", ErrNationalIDCheckDigits
	}
	day, month, yy, _ := id.parts()
	year := 1900 + yy
	if yy == 0 {
		year = 2000 // 29 February 2000 is a day, and the individual number does not always tell the century
	}
	if !exists(year, month, day) {
		return "", ErrNationalIDDate
	}
	return id, nil
}

// BirthDate reads the date of birth, the century from the individual number. It is not ok for the zero value, for
// individual numbers that no century has, and for 29 February 1900.
func (id NationalID) BirthDate() (year int, month time.Month, day int, ok bool) {
	if len(id) != 11 {
		return 0, 0, 0, false
	}
	day, month, yy, individual := id.parts()
	switch {
	case individual < 500:
		year = 1900 + yy
	case yy < 40:
		year = 2000 + yy
	case individual >= 900:
		year = 1900 + yy
	case individual < 750 && yy >= 54:
		year = 1800 + yy
	default:
		return 0, 0, 0, false
	}
	if !exists(year, month, day) {
		return 0, 0, 0, false
	}
	return year, month, day, true
}

// Synthetic tells whether the number is certain to be nobody's: 80 is added to its month. With 40 it may be
// synthetic too, but also the H-number that a hospital has given to a person.
func (id NationalID) Synthetic() bool {
	return len(id) == 11 && id[2] >= '8'
}

// SyntheticNationalID builds a number that is nobody's, for that date of birth. Serials 0, 1, 2, ... give different
// numbers; it is not ok when the date has no more of them (about two hundred for each sex) or lies outside
// 1854 to 2039.
func SyntheticNationalID(birth time.Time, serial int, female bool) (NationalID, bool) {
	year, month, day := birth.Date()
	if serial < 0 {
		return "", false
	}
	for _, series := range individualNumbers(year) {
		for n := series.from; n <= series.to; n++ {
			if n%2 == 0 != female {
				continue
			}
			id, ok := checked(day, int(month)+80, year%100, n)
			if !ok {
				continue
			}
			if serial == 0 {
				return id, true
			}
			serial--
		}
	}
	return "", false
}

type series struct{ from, to int }

// individualNumbers are the three digits after the date that a year of birth can have.
func individualNumbers(year int) []series {
	switch {
	case year < 1854:
		return nil
	case year < 1900:
		return []series{{500, 749}}
	case year < 1940:
		return []series{{0, 499}}
	case year < 2000:
		return []series{{0, 499}, {900, 999}}
	case year < 2040:
		return []series{{500, 999}}
	default:
		return nil
	}
}

// checked puts both check digits behind nine digits, by the rule until 2031, which other programs know too.
// About one in six such nine have none.
func checked(day, month, yy, individual int) (NationalID, bool) {
	b := []byte("00000000000")
	for i, n := range [...]int{
		day / 10, day % 10, month / 10, month % 10, yy / 10, yy % 10,
		individual / 100, individual / 10 % 10, individual % 10,
	} {
		b[i] += byte(n)
	}
	for i, weights := range [...][]int{firstWeights[:], secondWeights[:]} {
		digit := (11 - NationalID(b).remainder(weights)) % 11
		if digit == 10 {
			return "", false
		}
		b[9+i] += byte(digit)
	}
	return NationalID(b), true
}

// remainder is the weighted sum of the leading digits modulo 11.
func (id NationalID) remainder(weights []int) int {
	sum := 0
	for i, w := range weights {
		sum += w * int(id[i]-'0')
	}
	return sum % 11
}

// parts reads day and month without what is added to them, two digits of the year and the individual number.
func (id NationalID) parts() (day int, month time.Month, yy, individual int) {
	n := func(from, to int) (n int) {
		for _, c := range []byte(id[from:to]) {
			n = 10*n + int(c-'0')
		}
		return n
	}
	day, month, yy, individual = n(0, 2), time.Month(n(2, 4)), n(4, 6), n(6, 9)
	if day > 40 {
		day -= 40
	}
	switch {
	case month > 80:
		month -= 80
	case month > 40:
		month -= 40
	}
	return day, month, yy, individual
}

func exists(year int, month time.Month, day int) bool {
	y, m, d := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Date()
	return y == year && m == month && d == day
}
