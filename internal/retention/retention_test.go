package retention_test

import (
	"os"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/retention"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// Every day of 1990-2099, in every form of rule that there is: Go against SQL (D1, D2, D5).
func TestEveryDayGoAndSQLAgree(t *testing.T) {
	env := pgtest.New(t)
	for _, alignment := range []retention.Alignment{retention.NoAlignment, retention.QuarterAligned, retention.BusinessYearEnd} {
		for _, inclusive := range []bool{true, false} {
			for _, months := range []int{3, 6, 12, 24, 60, 120} {
				rule := retention.Rule{PeriodMonths: months, Inclusive: inclusive, Alignment: alignment}
				rows, err := env.Admin.Query(t.Context(), `SELECT d::date, due_on(d::date, $1, 0, $2, $3), quarter_on_or_after(d::date)
					FROM generate_series('1990-01-01'::timestamp, '2099-12-31', '1 day') d`, months, inclusive, alignment)
				if err != nil {
					t.Fatal(err)
				}
				var day, due, quarter calendar.Date
				days := 0
				_, err = pgx.ForEachRow(rows, []any{&day, &due, &quarter}, func() error {
					days++
					if got := rule.DueOn(day); got != due {
						t.Errorf("%s + %d months (%s, inclusive %v): Go %s, SQL %s", day, months, alignment, inclusive, got, due)
					}
					if got := day.QuarterOnOrAfter(); got != quarter {
						t.Errorf("quarter of %s: Go %s, SQL %s", day, got, quarter)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if days != 40177 {
					t.Errorf("%d days compared", days)
				}
			}
		}
	}
}

// D2: never earlier than lawful, never more than one quarter after the first lawful run date.
func TestThePropertyOfAutomaticPlacement(t *testing.T) {
	for day := calendar.On(1990, 1, 1); day.Year < 2100; day = day.AddDays(1) {
		for _, inclusive := range []bool{true, false} {
			due := retention.Rule{PeriodMonths: 6, Inclusive: inclusive, Alignment: retention.NoAlignment}.DueOn(day)
			run := due.QuarterOnOrAfter()
			if run.Before(due) || run.Before(day.AddMonths(6)) || !run.Before(due.AddMonths(3).AddDays(1)) {
				t.Fatalf("%s: due %s, run %s", day, due, run)
			}
			if !inclusive && !due.After(day.AddMonths(6)) {
				t.Fatalf("%s: exclusive, but due %s", day, due)
			}
		}
	}
}

var oslo = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		panic(err)
	}
	return zone
}()

func rules() retention.Rules {
	all := retention.Rules{}
	for _, c := range retention.ClientClasses {
		all[c] = retention.Rule{Class: c, Version: 1, PeriodMonths: 6, Inclusive: true, Alignment: retention.NoAlignment, Outcome: retention.Destroy}
	}
	return all
}

func at(s string) time.Time {
	d, err := time.ParseInLocation("02.01.06 15:04", s, oslo)
	if err != nil {
		panic(err)
	}
	return d
}

func inactive(day string) retention.Facts {
	return retention.Facts{Status: client.Disconnected, History: []retention.Entry{{At: at("01.01.20 09:00"), Status: client.Active}, {At: at(day + " 15:07"), Status: client.Disconnected}}}
}

func TestTheClockStartsWithTheNewestEnd(t *testing.T) { // D3
	late := at("20.03.23 10:00")
	early := at("01.03.23 10:00")
	for name, c := range map[string]struct {
		facts retention.Facts
		start calendar.Date
	}{
		"disconnected": {inactive("14.03.23"), calendar.On(2023, 3, 14)},
		"cancelled, then disconnected": {retention.Facts{Status: client.Disconnected, History: []retention.Entry{
			{At: at("01.02.23 10:00"), Status: client.Cancelled}, {At: at("14.03.23 10:00"), Status: client.Disconnected},
		}}, calendar.On(2023, 3, 14)},
		"re-activated and disconnected again": {retention.Facts{Status: client.Disconnected, History: []retention.Entry{
			{At: at("01.02.22 10:00"), Status: client.Disconnected}, {At: at("01.03.22 10:00"), Status: client.Active}, {At: at("14.03.23 10:00"), Status: client.Disconnected},
		}}, calendar.On(2023, 3, 14)},
		"the agreement ends later":         {func() retention.Facts { f := inactive("14.03.23"); f.AgreementEnd = &late; return f }(), calendar.On(2023, 3, 20)},
		"the agreement ended before":       {func() retention.Facts { f := inactive("14.03.23"); f.AgreementEnd = &early; return f }(), calendar.On(2023, 3, 14)},
		"only the agreement's end":         {retention.Facts{Status: client.Disconnected, AgreementEnd: &late}, calendar.On(2023, 3, 20)},
		"nothing":                          {retention.Facts{Status: client.Disconnected}, calendar.Date{}},
		"a minute before midnight in Oslo": {retention.Facts{Status: client.Disconnected, History: []retention.Entry{{At: at("14.03.23 23:59"), Status: client.Disconnected}}}, calendar.On(2023, 3, 14)},
		"a minute after midnight in Oslo":  {retention.Facts{Status: client.Disconnected, History: []retention.Entry{{At: at("15.03.23 00:01"), Status: client.Disconnected}}}, calendar.On(2023, 3, 15)},
	} {
		if got := retention.StartDay(c.facts, oslo); got != c.start {
			t.Errorf("%s: %s, want %s", name, got, c.start)
		}
	}
}

func TestOneDayBeforeAndTheDayItself(t *testing.T) {
	f := inactive("14.03.23")
	if a := retention.Assess(f, rules(), calendar.On(2023, 9, 13), oslo); a.MayGo() || !a.Has(retention.TooEarly) || a.Blockers[0].Earliest != calendar.On(2023, 9, 14) {
		t.Errorf("the day before: %+v", a.Blockers)
	}
	if a := retention.Assess(f, rules(), calendar.On(2023, 9, 14), oslo); !a.MayGo() || a.DueOn != calendar.On(2023, 9, 14) {
		t.Errorf("the day: %+v", a)
	}
}

func TestEveryReasonIsToldNotOnlyTheFirst(t *testing.T) {
	f := inactive("14.03.23")
	f.DevicesOnClient, f.DevicesOnAddress, f.ActiveTwin = 1, 2, true
	f.Holds = []retention.HoldFact{{Reason: "police", ReviewOn: calendar.On(2024, 1, 1)}}
	r := rules()
	delete(r, retention.Recording)
	log := r[retention.AlarmLog]
	log.Outcome = retention.Review
	r[retention.AlarmLog] = log
	a := retention.Assess(f, r, calendar.On(2023, 5, 1), oslo)
	for _, code := range []retention.Code{retention.ArchiveUnanswered, retention.MissingRule, retention.Held, retention.DeviceOnClient, retention.DeviceOnAddress, retention.DuplicateActive} {
		if !a.Has(code) {
			t.Errorf("%s is not told: %+v", code, a.Blockers)
		}
	}
	if !a.DueOn.IsZero() {
		t.Errorf("with a missing rule there is no day: %s", a.DueOn)
	}
}

// Whatever the facts: nobody who is active, has no date, no rule, a hold, a device or a twin may go, and nobody early.
func TestNobodyGoesWhoMustStay(t *testing.T) {
	statuses := []client.Status{client.Ordered, client.Active, client.Cancelled, client.Disconnected}
	rapid.Check(t, func(t *rapid.T) {
		f := retention.Facts{
			Status: rapid.SampledFrom(statuses).Draw(t, "status"), DevicesOnClient: rapid.IntRange(0, 1).Draw(t, "client"), DevicesOnAddress: rapid.IntRange(0, 1).Draw(t, "address"),
			ActiveTwin: rapid.Bool().Draw(t, "twin"), TwinConfirmed: rapid.Bool().Draw(t, "confirmed"),
		}
		when := at("01.01.20 12:00")
		for range rapid.IntRange(0, 5).Draw(t, "entries") {
			when = when.Add(time.Duration(rapid.IntRange(0, 300*24).Draw(t, "hours")) * time.Hour)
			f.History = append(f.History, retention.Entry{At: when, Status: rapid.SampledFrom(statuses).Draw(t, "entry")})
		}
		if rapid.Bool().Draw(t, "held") {
			f.Holds = []retention.HoldFact{{Reason: "other"}}
		}
		r := rules()
		if rapid.Bool().Draw(t, "rule missing") {
			delete(r, rapid.SampledFrom(retention.ClientClasses).Draw(t, "class"))
		}
		on := calendar.DateOf(when).AddDays(rapid.IntRange(0, 400).Draw(t, "days"))
		a := retention.Assess(f, r, on, oslo)
		start := retention.StartDay(f, oslo)
		stay := !f.Status.Inactive() || start.IsZero() || len(r) < 4 || len(f.Holds) > 0 || f.DevicesOnClient+f.DevicesOnAddress > 0 ||
			(f.ActiveTwin && !f.TwinConfirmed) || on.Before(start.AddMonths(6))
		if a.MayGo() == stay {
			t.Fatalf("may go %v, must stay %v: %+v", a.MayGo(), stay, a)
		}
	})
}
