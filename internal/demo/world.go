package demo

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/register"
	"github.com/google/uuid"
)

// seed decides everything that is drawn: the same start day gives the same world, but for keys and passwords.
const seed = 3218

// Town is a municipality of the demo.
type Town struct {
	Number      string
	Slug        string // in logins
	Clients     int
	CoolingOff  time.Duration
	ArchiveOpen bool // the archive question of D6 is not answered
}

// Towns are the three municipalities; names come from the register.
var Towns = []Town{
	{Number: "3218", Slug: "as", Clients: 320},
	{Number: "5501", Slug: "tromso", Clients: 280, ArchiveOpen: true},
	{Number: "4204", Slug: "kristiansand", Clients: 260, CoolingOff: 2 * time.Minute},
}

// lot is what a client is there to show.
type lot int

const (
	steady   lot = iota // active
	ordered             // not connected yet
	returned            // active again after a disconnection
	previous            // lies in the round that the product finishes before the demo starts
	due                 // lies in the round that waits for control
	later               // lies in a group further on
	leaving             // active when loaded, disconnected by a caseworker afterwards
	held                // a hold keeps it out of every group
	undated             // disconnected, and nobody knows when
)

// days are the dates that everything else is relative to.
type days struct {
	zone     *time.Location
	start    time.Time     // when the demo's clock begins
	today    calendar.Date // its day
	current  calendar.Date // the latest quarter's first day on or before it: this round waits for control
	previous calendar.Date // the quarter before: this round is finished
	first    time.Time     // when the municipalities were made
	load     time.Time     // when the clients came in, as from another system
}

func daysFor(start time.Time, zone *time.Location) days {
	d := days{zone: zone, start: start.Truncate(time.Microsecond), today: calendar.DateOf(start.In(zone))}
	d.current = d.today.QuarterStart()
	d.previous = d.current.AddMonths(-3)
	d.first = d.at(d.today.AddMonths(-12*9), 9, 0)
	d.load = d.at(d.previous.AddDays(-20), 9, 0)
	return d
}

func (d days) at(day calendar.Date, hour, minute int) time.Time {
	return time.Date(day.Year, day.Month, day.Day, hour, minute, 0, 0, d.zone)
}

type entry struct {
	at     time.Time
	status client.Status
	reason string
}

type person struct {
	id                               uuid.UUID
	lot                              lot
	number, given, family, gender    string
	nationalID, phone, email         string
	birth                            calendar.Date
	address                          int // in place.addresses; -1: none known
	protected                        bool
	history                          []entry
	status                           client.Status
	since                            time.Time
	agreementStart, reviewed, review calendar.Date
	end                              *time.Time
	endReason                        string
	until                            time.Time // the last instant at which anything happens
}

type dwelling struct {
	id                           uuid.UUID
	street, postcode, town, note string
}

type gadget struct {
	id                 uuid.UUID
	code, serial, kind string
	stock              string
}

type connection struct {
	id        uuid.UUID
	device    int
	person    int // -1: on the address
	address   int
	preferred bool
	from      time.Time
	to        *time.Time
}

type pledge struct { // a hold
	id                   uuid.UUID
	person, address      int // one of them is -1
	reason, authority    string
	review               calendar.Date
	confidential         bool
	placed               time.Time
	asked, released      *time.Time
	releaseReason        string
	placedBy, releasedBy int64
}

// place is one municipality's world, before it is in any database.
type place struct {
	town      Town
	staff     staff
	days      days
	people    []person
	addresses []dwelling
	devices   []gadget
	links     []connection
	holds     []pledge

	random    *rand.Rand
	postcodes []register.PostalCode
	streets   map[string]bool
	ids       map[string]bool
}

// staff are the accounts of a municipality that acts are put down to.
type staff struct{ caseworkers, approvers []int64 }

// of lists the people of a lot by their place in p.people.
func (p *place) of(l lot) []int {
	var list []int
	for i := range p.people {
		if p.people[i].lot == l {
			list = append(list, i)
		}
	}
	return list
}

// build makes one municipality up. It is pure: the same arguments give the same world.
func build(index int, town Town, staff staff, d days) *place {
	p := &place{
		town: town, staff: staff, days: d, postcodes: register.PostcodesOf(town.Number),
		random:  rand.New(rand.NewPCG(seed, uint64(index))), // #nosec G404 -- repeatable people, not a secret
		streets: map[string]bool{}, ids: map[string]bool{},
	}
	share := func(percent, least int) int { return max(least, town.Clients*percent/100) }
	for _, l := range []struct {
		lot
		n int
	}{
		{previous, share(7, 6)},
		{due, share(8, 10)},
		{later, share(6, 4)},
		{leaving, share(5, 4)},
		{held, 3},
		{undated, 3},
		{returned, share(4, 3)},
		{ordered, share(5, 3)},
	} {
		for n := range l.n {
			p.people = append(p.people, p.person(l.lot, n))
		}
	}
	for n := 0; len(p.people) < town.Clients; n++ {
		p.people = append(p.people, p.person(steady, n))
	}
	for i, number := range p.random.Perm(len(p.people)) { // no number tells a lot
		p.people[i].number = strconv.Itoa(200_051_000 + 1000*index + number)
	}
	p.settle()
	p.equip()
	p.hold()
	return p
}

func (p *place) person(l lot, n int) person {
	d := p.days
	c := person{id: p.uuid(), lot: l, address: -1, gender: "K"}
	names := FemaleNames
	if p.random.IntN(100) < 38 {
		c.gender, names = "M", MaleNames
	}
	c.given, c.family = pick(p, names), pick(p, LastNames)
	p.birth(&c)
	if p.random.IntN(100) < 85 {
		c.phone = fmt.Sprintf("900 00 %03d", p.random.IntN(1000))
	}
	if p.random.IntN(100) < 20 {
		c.email = ascii(c.given) + "." + ascii(c.family) + "@example.com"
	}
	c.protected = (l == steady && n == 3) || (l == due && n == 7)

	// Histories begin years ago and end, for those whose agreement ended, on a day that decides the group.
	begin := d.at(d.today.AddMonths(-12).AddDays(-p.random.IntN(7*365)), 8+p.random.IntN(8), p.random.IntN(60))
	wait := time.Duration(3+p.random.IntN(38)) * 24 * time.Hour
	connected := []entry{{at: begin.Add(-wait), status: client.Ordered}, {at: begin, status: client.Active}}
	ended := func(from, to calendar.Date) {
		day := from.AddDays(1 + p.random.IntN(to.DaysSince(from)))
		at := d.at(day, 8+p.random.IntN(8), p.random.IntN(60))
		reason := pick(p, client.EndReasons)
		if n > 8 && n%5 == 4 {
			c.history = []entry{{at: at.Add(-wait), status: client.Ordered}, {at: at, status: client.Cancelled, reason: reason}}
			return
		}
		// Nobody is connected after the end.
		for !connected[1].at.Before(at.AddDate(0, -1, 0)) {
			connected[0].at, connected[1].at = connected[0].at.AddDate(-1, 0, 0), connected[1].at.AddDate(-1, 0, 0)
		}
		c.history = append(connected, entry{at: at, status: client.Disconnected, reason: reason})
	}
	switch l {
	case steady, leaving:
		c.history = connected
	case ordered:
		c.history = []entry{{at: d.load.Add(-time.Duration(1+p.random.IntN(200)) * 24 * time.Hour), status: client.Ordered}}
	case returned:
		away := d.at(d.previous.AddDays(-200-p.random.IntN(90)), 10, 0)
		back := away.Add(time.Duration(10+p.random.IntN(110)) * 24 * time.Hour)
		for !connected[1].at.Before(away.AddDate(0, -1, 0)) {
			connected[0].at, connected[1].at = connected[0].at.AddDate(-1, 0, 0), connected[1].at.AddDate(-1, 0, 0)
		}
		c.history = append(connected, entry{away, client.Disconnected, "institution"}, entry{at: back, status: client.Active})
	case previous:
		ended(d.previous.AddMonths(-9), d.previous.AddMonths(-6))
	case due:
		ended(d.previous.AddMonths(-6), d.previous.AddMonths(-3))
	case later:
		ended(d.previous.AddMonths(-3), calendar.DateOf(d.load).AddDays(-2))
	case held:
		ended(d.previous.AddMonths(-30), d.previous.AddMonths(-14))
	case undated:
		c.status, c.since, c.until = client.Disconnected, d.load, d.load.AddDate(-1, 0, 0)
		c.agreementStart = calendar.DateOf(begin)
		return c
	}
	last := c.history[len(c.history)-1]
	c.status, c.since, c.until = last.status, last.at, d.start
	if last.status != client.Ordered {
		c.agreementStart = calendar.DateOf(c.history[0].at)
	}
	if last.status.Inactive() {
		c.end, c.endReason, c.until = &last.at, last.reason, last.at
	} else if p.random.IntN(100) < 70 {
		c.reviewed = calendar.DateOf(d.load).AddDays(-p.random.IntN(300))
		c.review = c.reviewed.AddMonths(12)
	}
	if l == leaving { // evenly over the time between the load and the start
		span := d.start.Add(-2 * time.Hour).Sub(d.load.Add(36 * time.Hour))
		of := max(4, p.town.Clients*5/100)
		c.until = d.load.Add(36*time.Hour + span*time.Duration(n)/time.Duration(of) + time.Duration(p.random.IntN(300))*time.Second).Truncate(time.Second)
	}
	return c
}

// birth gives a birthday and a national id that is certain to be nobody's (month + 80) and that nobody else has here.
func (p *place) birth(c *person) {
	for {
		age := 66 + p.random.IntN(31)
		if p.random.IntN(100) < 8 {
			age = 24 + p.random.IntN(42)
		}
		c.birth = p.days.today.AddMonths(-12 * age).AddDays(-p.random.IntN(365))
		id, ok := client.SyntheticNationalID(c.birth.UTC(), p.random.IntN(120), c.gender == "K")
		if ok && !p.ids[string(id)] {
			p.ids[string(id)] = true
			c.nationalID = string(id)
			return
		}
	}
}

// settle gives people a home. Those who are inactive live apart from the others, unless they are there to show something.
func (p *place) settle() {
	steadies := p.of(steady)
	for i := range p.people {
		c := &p.people[i]
		if c.lot != steady && p.random.IntN(100) >= 3 {
			c.address = p.home()
		}
	}
	for i := 0; i < len(steadies); i++ {
		if i > 6 && p.random.IntN(100) < 2 {
			continue
		}
		home := p.home()
		p.people[steadies[i]].address = home
		if i > 4 && i+1 < len(steadies) && (i == 5 || p.random.IntN(100) < 30) { // a couple
			i++
			p.people[steadies[i]].address, p.people[steadies[i]].family = home, p.people[steadies[i-1]].family
		}
	}
	// A couple of whom one is disconnected, with the alarm on the address (D19); a couple without one; and one and the same
	// person with an older registration.
	dues := p.of(due)
	for _, pair := range [][2]int{{dues[0], steadies[0]}, {dues[4], steadies[2]}} {
		gone, stays := &p.people[pair[0]], &p.people[pair[1]]
		gone.address, gone.family = stays.address, stays.family
	}
	old, now := &p.people[dues[3]], &p.people[steadies[1]]
	old.given, old.family, old.gender, old.birth, old.nationalID = now.given, now.family, now.gender, now.birth, now.nationalID
	for _, i := range append(p.of(previous)[:3:3], dues[:9]...) {
		if p.people[i].address < 0 {
			p.people[i].address = p.home()
		}
	}
}

func (p *place) home() int {
	for {
		code := p.postcodes[p.random.IntN(len(p.postcodes))]
		street := pick(p, Streets) + " " + strconv.Itoa(1+p.random.IntN(90))
		if p.random.IntN(100) < 25 {
			street += " " + string(rune('A'+p.random.IntN(5)))
		}
		if p.streets[code.Code+strings.ToLower(street)] {
			continue
		}
		p.streets[code.Code+strings.ToLower(street)] = true
		a := dwelling{id: p.uuid(), street: street, postcode: code.Code, town: code.Town}
		if p.random.IntN(100) < 30 {
			a.note = pick(p, addressNotes)
		}
		p.addresses = append(p.addresses, a)
		return len(p.addresses) - 1
	}
}

var addressNotes = []string{"Nøkkelboks ved inngangsdøren.", "Tredje etasje, heis.", "Bakgård, inngang fra gangvei.", "Hund i huset.", "Ringeklokken virker ikke."}

// equip lends devices out: to the active ones, to a few that should have given them back, and to addresses; what inactive
// ones had lies in stock again, for the spot checks.
func (p *place) equip() {
	d := p.days
	now := func(i int) time.Time { return p.people[i].history[max(0, len(p.people[i].history)-1)].at }
	for _, l := range []lot{steady, returned, leaving} {
		for _, i := range p.of(l) {
			if l == steady && i%7 == 0 {
				continue
			}
			p.lend(i, -1, "safety_alarm", now(i).Add(time.Hour), nil)
			if p.random.IntN(100) < 30 {
				p.lend(i, -1, pick(p, DeviceKinds[1:]).Code, now(i).Add(26*time.Hour), nil)
			}
		}
	}
	kept := map[int]bool{}
	for _, l := range []lot{previous, due, later} {
		for n, i := range p.of(l) {
			kept[i] = (l == previous && n < 2) || (l == due && (n == 1 || n == 2)) || (l == later && n == 1)
		}
	}
	for _, l := range []lot{previous, due, later, held} {
		for _, i := range p.of(l) {
			c := p.people[i]
			if c.status == client.Cancelled {
				continue
			}
			from := c.history[1].at.Add(time.Hour)
			to := c.end.Add(time.Duration(1+p.random.IntN(40)) * time.Hour)
			if to.After(d.load) {
				to = d.load.Add(-time.Hour)
			}
			if kept[i] {
				p.lend(i, -1, "safety_alarm", from, nil)
				continue
			}
			p.lend(i, -1, "safety_alarm", from, &to)
			if p.random.IntN(100) < 20 {
				p.lend(i, -1, pick(p, DeviceKinds[1:]).Code, from, &to)
			}
		}
	}
	// On addresses: at the widow's, at one whose only client left, and at homes where everybody is active.
	p.lend(-1, p.people[p.of(due)[0]].address, "safety_alarm", d.at(d.today.AddMonths(-30), 11, 20), nil)
	p.lend(-1, p.people[p.of(previous)[2]].address, "smoke_detector", d.at(d.today.AddMonths(-40), 11, 20), nil)
	for n, i := range p.of(steady) {
		if n > 4 && n%8 == 0 && p.people[i].address >= 0 {
			p.lend(-1, p.people[i].address, "smoke_detector", now(i).Add(3*time.Hour), nil)
		}
	}
	for range max(6, p.town.Clients/8) {
		g := p.device(pick(p, DeviceKinds).Code)
		p.devices[g].stock = "in_stock"
	}
	p.devices[p.device("gps_watch")].stock = "lost"
}

func (p *place) device(kind string) int {
	name := kind
	for _, k := range DeviceKinds {
		if k.Code == kind {
			name = k.Name
		}
	}
	n := len(p.devices)
	p.devices = append(p.devices, gadget{
		id: p.uuid(), code: strconv.Itoa(300_000 + n*3 + p.random.IntN(3)), kind: name,
		serial: fmt.Sprintf("TX%d-%04d-%04d", 2+p.random.IntN(5), n, p.random.IntN(10_000)),
	})
	return n
}

func (p *place) lend(person, address int, kind string, from time.Time, to *time.Time) {
	g := p.device(kind)
	p.devices[g].stock = "connected"
	if to != nil {
		p.devices[g].stock = "in_stock"
	}
	p.links = append(p.links, connection{id: p.uuid(), device: g, person: person, address: address, preferred: kind == "safety_alarm", from: from, to: to})
}

// hold places the holds that stand when the clients come in: an open one, one whose release waits for an approver, one on an
// address; and one that is over.
func (p *place) hold() {
	d := p.days
	helds := p.of(held)
	if p.people[helds[2]].address < 0 {
		p.people[helds[2]].address = p.home()
	}
	add := func(person, address int, reason, authority string, days int) *pledge {
		p.holds = append(p.holds, pledge{
			id: p.uuid(), person: person, address: address, reason: reason, authority: authority,
			review: d.today.AddDays(days), placed: d.load.AddDate(0, -2, -len(p.holds)), placedBy: p.staff.caseworkers[0],
		})
		return &p.holds[len(p.holds)-1]
	}
	add(helds[0], -1, "police", "Politiet, sak 4418", 40).confidential = true
	asked := d.load.AddDate(0, 0, -3)
	h := add(helds[1], -1, "complaint", "Statsforvalteren, sak 2107", 12)
	h.asked, h.releaseReason = &asked, "Klagesaken er avsluttet."
	add(-1, p.people[helds[2]].address, "damages", "Kommuneadvokaten, sak 90", 75)
	h = add(p.of(due)[8], -1, "own_request", "Eget ønske om innsyn", -30)
	freed := d.load.AddDate(0, 0, -5)
	h.asked, h.released, h.releaseReason, h.releasedBy = &freed, &freed, "Innsyn er gitt.", p.staff.approvers[1]
}

func (p *place) uuid() uuid.UUID {
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:8], p.random.Uint64())
	binary.BigEndian.PutUint64(u[8:], p.random.Uint64())
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}

func pick[T any](p *place, list []T) T { return list[p.random.IntN(len(list))] }

// some draws n different ones.
func some[T any](p *place, list []T, n int) []T {
	var drawn []T
	for _, i := range p.random.Perm(len(list))[:min(n, len(list))] {
		drawn = append(drawn, list[i])
	}
	return drawn
}

// between draws an instant, to the second.
func (p *place) between(from, to time.Time) time.Time {
	if !to.After(from) {
		return from
	}
	return from.Add(time.Duration(p.random.Int64N(int64(to.Sub(from))))).Truncate(time.Second)
}

var plain = strings.NewReplacer("æ", "ae", "ø", "o", "å", "a", " ", "", "-", "", "á", "a", "ä", "a", "ö", "o", "đ", "d", "ŋ", "n", "š", "s", "ŧ", "t", "ž", "z", "č", "c", "é", "e", "ü", "u")

func ascii(name string) string { return plain.Replace(strings.ToLower(name)) }

// begin is when the person came to the service.
func (c *person) begin() time.Time {
	if len(c.history) == 0 {
		return c.agreementStart.UTC()
	}
	return c.history[0].at
}

func (p *place) caseworker() int64 { return pick(p, p.staff.caseworkers) }

func sortTimes(times []time.Time) []time.Time {
	slices.SortFunc(times, time.Time.Compare)
	return times
}
