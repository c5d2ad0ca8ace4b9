// Package calendar counts local dates the way the law does: whole days without a clock, months clamped to the
// end of the month, quarters and business years. It knows nothing else of Frist.
package calendar

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Date is a day in a municipality's own time zone, without a clock. The zero Date is no day at all.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// On is the day year-month-day; impossible days roll over as in time.Date (use Parse for what people type).
func On(year int, month time.Month, day int) Date {
	return DateOf(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
}

// DateOf is the day that the clock of t's own location shows. Convert with t.In(zone) first.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// IsZero reports whether d is no day.
func (d Date) IsZero() bool { return d == Date{} }

// UTC is midnight UTC of the day: for arithmetic and for the database, not an instant in anybody's life.
func (d Date) UTC() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// In is the first instant of the day in zone. Where a clock change skips midnight it is the first instant that exists.
func (d Date) In(zone *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone)
}

// Compare is -1, 0 or +1 as d is before, on or after e.
func (d Date) Compare(e Date) int { return d.UTC().Compare(e.UTC()) }

// Before reports whether d is an earlier day than e.
func (d Date) Before(e Date) bool { return d.Compare(e) < 0 }

// After reports whether d is a later day than e.
func (d Date) After(e Date) bool { return d.Compare(e) > 0 }

// AddDays moves n days.
func (d Date) AddDays(n int) Date { return DateOf(d.UTC().AddDate(0, 0, n)) }

// DaysSince counts the days from e to d.
func (d Date) DaysSince(e Date) int { return int(d.UTC().Sub(e.UTC()).Hours() / 24) }

// AddMonths moves n calendar months and clamps to the end of the month (D1): 31.08.23 + 6 months = 29.02.24.
// Go's own AddDate rolls over instead and must not be used for a retention period.
func (d Date) AddMonths(n int) Date {
	months := d.Year*12 + int(d.Month) - 1 + n
	year, month := months/12, time.Month(months%12+1)
	if months < 0 && months%12 != 0 {
		year, month = (months-11)/12, time.Month((months%12+12)%12+1)
	}
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return Date{year, month, min(d.Day, last)}
}

// QuarterOnOrAfter is the first day of a quarter on or after d (P42).
func (d Date) QuarterOnOrAfter() Date {
	first := d.QuarterStart()
	if first == d {
		return d
	}
	return first.AddMonths(3)
}

// QuarterStart is the first day of d's own quarter.
func (d Date) QuarterStart() Date {
	return Date{d.Year, (d.Month-1)/3*3 + 1, 1}
}

// BusinessYearEnd is the last day of the business year that d lies in, for a year whose last month is endMonth (D5).
func (d Date) BusinessYearEnd(endMonth time.Month) Date {
	year := d.Year
	if d.Month > endMonth {
		year++
	}
	return DateOf(time.Date(year, endMonth+1, 0, 0, 0, 0, 0, time.UTC))
}

// String is the ISO form 2023-10-01, for machines.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day)
}

// Short is the form 01.10.23 that people read (the sources write run dates so, P43).
func (d Date) Short() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%02d.%02d.%02d", d.Day, d.Month, d.Year%100)
}

// Long is the form 01.10.2023, used for dates of birth (P12).
func (d Date) Long() string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%02d.%02d.%04d", d.Day, d.Month, d.Year)
}

// Why a typed date is not one.
var (
	ErrForm   = errors.New("date: not a form that is understood")
	ErrNoDay  = errors.New("date: that day does not exist")
	ErrNoDate = errors.New("date: empty")
)

// Parse reads what people type: 1.4.24, 01.04.2024, 010424, 01042024 and 2024-04-01. Two-digit years lie in
// 2000-2068 or 1969-1999, as in the source systems. It answers ErrNoDate, ErrForm, or ErrNoDay for 31.09.23.
func Parse(s string) (Date, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return Date{}, ErrNoDate
	}
	var y, m, d int
	switch {
	case strings.Count(s, "-") == 2:
		if _, err := fmt.Sscanf(s, "%d-%d-%d", &y, &m, &d); err != nil || fmt.Sprintf("%04d-%02d-%02d", y, m, d) != s {
			return Date{}, ErrForm
		}
		return exact(y, m, d)
	case strings.Count(s, ".") == 2:
		parts := strings.Split(s, ".")
		var ok [3]bool
		d, ok[0] = digits(parts[0], 1, 2)
		m, ok[1] = digits(parts[1], 1, 2)
		y, ok[2] = digits(parts[2], 2, 4)
		if !ok[0] || !ok[1] || !ok[2] || len(parts[2]) == 3 {
			return Date{}, ErrForm
		}
		s = parts[2]
	case len(s) == 6 || len(s) == 8:
		n, ok := digits(s, 6, 8)
		if !ok {
			return Date{}, ErrForm
		}
		if len(s) == 6 {
			d, m, y = n/10000, n/100%100, n%100
		} else {
			d, m, y = n/1000000, n/10000%100, n%10000
		}
		s = s[4:]
	default:
		return Date{}, ErrForm
	}
	if len(s) == 2 {
		y += 1900
		if y < 1969 {
			y += 100
		}
	}
	return exact(y, m, d)
}

func digits(s string, shortest, longest int) (int, bool) {
	if len(s) < shortest || len(s) > longest {
		return 0, false
	}
	n := 0
	for _, r := range s {
		if r < '0' || r > '9' {
			return 0, false
		}
		n = n*10 + int(r-'0')
	}
	return n, true
}

// NoDayError is the ErrNoDay of a month that is shorter than what was typed: 31.09.23.
type NoDayError struct {
	Year, Month int
	Days        int // of the month
}

func (NoDayError) Error() string { return ErrNoDay.Error() }

// Is makes it an ErrNoDay.
func (NoDayError) Is(target error) bool { return target == ErrNoDay } //nolint:errorlint // this is what errors.Is asks

func exact(y, m, d int) (Date, error) {
	date := On(y, time.Month(m), d)
	switch {
	case y < 1800 || y > 2200 || m < 1 || m > 12:
		return Date{}, ErrNoDay
	case date.Day != d || int(date.Month) != m:
		return Date{}, NoDayError{y, m, On(y, time.Month(m)+1, 0).Day}
	}
	return date, nil
}

// MarshalText writes the ISO form, so that JSON bodies hold "2023-10-01".
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the ISO form only: machines do not type 1.4.24.
func (d *Date) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return ErrForm
	}
	*d = DateOf(t)
	return nil
}

// Value gives the database a date; the zero Date is NULL.
func (d Date) Value() (driver.Value, error) {
	if d.IsZero() {
		return nil, nil
	}
	return d.UTC(), nil
}

// Scan takes a date from the database; NULL becomes the zero Date.
func (d *Date) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d = Date{}
		return nil
	case time.Time:
		*d = DateOf(v)
		return nil
	case string:
		return d.UnmarshalText([]byte(v))
	}
	return fmt.Errorf("calendar: cannot take a date from %T", src)
}
