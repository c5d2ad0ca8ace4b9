package admin

import (
	"fmt"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/retention"
)

// timeline is one line of "when the data goes": a kind of data with its rule and its bar. The bar's figures are per cent
// of the chart, so that it needs no script and no inline style.
type timeline struct {
	Words   string
	Counts  []int
	Rule    retention.Rule
	Period  string
	Start   calendar.Date // zero: goes together with the client
	Due     calendar.Date
	Run     calendar.Date
	Latest  calendar.Date // of what goes on being kept after the run
	Keep    bar
	Late    bar
	Dot     string
	Forever bool // the bar goes on beyond the chart
	Held    bool // kept as long as the hold stands
}

type bar struct{ X, Width string }

// month is one line of the chart's grid.
type month struct {
	X, Words string
}

// chart is the scale of the time line: whole months from before the clock's start till after the run.
type chart struct{ from, until calendar.Date }

func (p deletionPage) chart() chart {
	start := p.Placement.Assessment.StartOn
	end := p.Placement.Assessment.DueOn
	if p.Placement.Round != nil && p.Placement.Round.RunOn.After(end) {
		end = p.Placement.Round.RunOn
	}
	if p.Today.After(end) {
		end = p.Today
	}
	return chart{calendar.On(start.Year, start.Month, 1), calendar.On(end.Year, end.Month, 1).AddMonths(4)}
}

// at is where a day lies, in per cent.
func (c chart) at(d calendar.Date) float64 {
	whole := float64(c.until.DaysSince(c.from))
	return min(max(float64(d.DaysSince(c.from))/whole*100, 0), 100)
}

func percent(x float64) string { return fmt.Sprintf("%.2f%%", x) }

func (c chart) bar(from, until calendar.Date) bar {
	a, b := c.at(from), c.at(until)
	return bar{percent(a), percent(max(b-a, 0))}
}

// Months are the grid; years apart they get fewer names, so that they stand free of each other.
func (p deletionPage) Months() []month {
	c := p.chart()
	n := (c.until.Year-c.from.Year)*12 + int(c.until.Month) - int(c.from.Month)
	step := max(1, (n+11)/12)
	var months []month
	for i := 0; i < n; i += step {
		day := c.from.AddMonths(i)
		words := p.Say(fmt.Sprintf("client.month.%d", day.Month))
		if step > 1 {
			words += " " + day.Short()[6:]
		}
		months = append(months, month{percent(c.at(day)), words})
	}
	return months
}

// TodayAt is where today lies in the chart.
func (p deletionPage) TodayAt() string { return percent(p.chart().at(p.Today)) }

// Lines are the kinds of data with their dates; none while no clock runs.
func (p deletionPage) Lines() []timeline {
	a := p.Placement.Assessment
	if a.DueOn.IsZero() {
		return nil
	}
	c := p.chart()
	var run calendar.Date
	if p.Placement.Round != nil {
		run = p.Placement.Round.RunOn
	}
	dates := map[retention.Class]retention.ClassDate{}
	for _, d := range a.Classes {
		dates[d.Class] = d
	}
	periods := map[retention.Class]string{}
	for class, d := range dates {
		periods[class] = p.Period(d.Rule)
	}
	n := p.Counts
	var lines []timeline
	for _, l := range []struct {
		key    string
		class  retention.Class
		with   bool // goes with the client
		counts []int
	}{
		{"client_record", retention.ClientRecord, false, nil},
		{"notes", retention.ClientRecord, false, []int{n.Notes}},
		{"alarm_log", retention.AlarmLog, false, []int{n.Alarms}},
		{"recording", retention.Recording, false, []int{n.Recordings}},
		{"medical", retention.ClientRecord, false, []int{n.Medical + n.Medications}},
		{"kin", retention.ClientRecord, true, []int{n.NextOfKin + n.Professionals}},
		{"change_values", retention.ChangeValues, true, []int{n.Changes}},
	} {
		d, ok := dates[l.class]
		if !ok {
			continue
		}
		line := timeline{Words: p.Say("client.class." + l.key), Counts: l.counts, Rule: d.Rule, Period: periods[l.class], Due: d.DueOn, Run: run, Keep: c.bar(d.StartOn, d.DueOn)}
		if !l.with {
			line.Start = d.StartOn
		}
		if a.Has(retention.Held) {
			line.Held, line.Keep = true, c.bar(d.StartOn, c.until)
		} else if !run.IsZero() {
			line.Late, line.Dot = c.bar(d.DueOn, run), percent(c.at(run))
		}
		lines = append(lines, line)
	}
	if p.AccessRule.Version > 0 && !run.IsZero() {
		lines = append(lines, timeline{Words: p.Say("client.class.access_log"), Rule: p.AccessRule, Period: p.Period(p.AccessRule), Latest: p.AccessRule.KeepUntil(run), Keep: c.bar(run, c.until), Forever: true})
	}
	return lines
}

// Period is the line's period in words.
func (p deletionPage) Period(rule retention.Rule) string { return periodOf(p.Page, rule) }
