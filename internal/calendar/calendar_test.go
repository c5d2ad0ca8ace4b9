package calendar_test

import (
	"errors"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"pgregory.net/rapid"
)

func TestMonthsAreClampedToTheEndOfTheMonth(t *testing.T) { // P26, D1
	for _, v := range []struct{ from, due, run string }{
		{"14.03.23", "14.09.23", "01.10.23"},
		{"31.03.23", "30.09.23", "01.10.23"},
		{"01.04.23", "01.10.23", "01.10.23"},
		{"02.04.23", "02.10.23", "01.01.24"},
		{"31.08.23", "29.02.24", "01.04.24"},
		{"31.12.23", "30.06.24", "01.07.24"},
	} {
		from, err := calendar.Parse(v.from)
		if err != nil {
			t.Fatal(err)
		}
		if due := from.AddMonths(6); due.Short() != v.due || due.QuarterOnOrAfter().Short() != v.run {
			t.Errorf("%s + 6 months = %s -> %s, want %s -> %s", v.from, due.Short(), due.QuarterOnOrAfter().Short(), v.due, v.run)
		}
	}
}

func TestBusinessYears(t *testing.T) { // D5
	due := calendar.On(2023, 3, 15).BusinessYearEnd(time.December).AddMonths(120).AddDays(1)
	if due != calendar.On(2034, 1, 1) {
		t.Errorf("15.03.2023 + 10 years plus business year = %s", due)
	}
	if end := calendar.On(2023, 7, 1).BusinessYearEnd(time.June); end != calendar.On(2024, 6, 30) {
		t.Errorf("a business year that ends in June: %s", end)
	}
}

func date(t *rapid.T) calendar.Date {
	return calendar.On(1900, 1, 1).AddDays(rapid.IntRange(0, 80_000).Draw(t, "day"))
}

func TestAddMonthsNeverLeavesTheMonth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, n := date(t), rapid.IntRange(-600, 600).Draw(t, "months")
		got := d.AddMonths(n)
		months := (got.Year-d.Year)*12 + int(got.Month) - int(d.Month)
		if months != n || got.Day > d.Day {
			t.Fatalf("%s + %d months = %s", d, n, got)
		}
		if got.Day < d.Day && got.AddDays(1).Day != 1 {
			t.Fatalf("%s + %d months = %s is clamped before the month's end", d, n, got)
		}
	})
}

func TestQuarterOnOrAfterIsTheNextFirstOfAQuarter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := date(t)
		q := d.QuarterOnOrAfter()
		if q.Before(d) || q.DaysSince(d) > 92 || q.Day != 1 || (q.Month-1)%3 != 0 {
			t.Fatalf("%s -> %s", d, q)
		}
	})
}

func TestWhatIsShownIsUnderstood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := date(t)
		for _, text := range []string{d.Long(), d.String()} {
			if got, err := calendar.Parse(text); err != nil || got != d {
				t.Fatalf("%s is read as %s (%v)", text, got, err)
			}
		}
		if d.Year >= 1969 && d.Year <= 2068 {
			if got, err := calendar.Parse(d.Short()); err != nil || got != d {
				t.Fatalf("%s is read as %s (%v)", d.Short(), got, err)
			}
		}
	})
}

func TestParse(t *testing.T) {
	for text, want := range map[string]error{
		"1.4.24": nil, "01.04.2024": nil, "010424": nil, "01042024": nil, "2024-04-01": nil, " 1.4.24 ": nil,
		"": calendar.ErrNoDate, "31.09.23": calendar.ErrNoDay, "29.02.23": calendar.ErrNoDay, "00.01.23": calendar.ErrNoDay,
		"1.4": calendar.ErrForm, "april": calendar.ErrForm, "1.4.024": calendar.ErrForm, "1/4/24": calendar.ErrForm,
		"2024-4-1": calendar.ErrForm, "1.4.24.": calendar.ErrForm, "٠١٠٤٢٤": calendar.ErrForm, "-1.4.24": calendar.ErrForm,
	} {
		got, err := calendar.Parse(text)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
		if want == nil && got != calendar.On(2024, 4, 1) {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("31.08.23")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := calendar.Parse(text); err == nil && d.IsZero() {
			t.Errorf("%q is understood as no day", text)
		}
	})
}
