package demo

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func oslo(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// startDays are days on which something could go wrong, and some by chance.
func startDays(t testing.TB, byChance int) []time.Time {
	zone := oslo(t)
	days := []time.Time{
		time.Date(2023, 10, 1, 0, 0, 0, 0, zone), // a quarter's first instant
		time.Date(2024, 2, 29, 12, 0, 0, 0, zone),
		time.Date(2024, 3, 31, 2, 30, 0, 0, zone), // an hour that does not exist
		time.Date(2025, 12, 31, 23, 59, 59, 0, zone),
		time.Date(2026, 1, 1, 8, 0, 0, 0, zone),
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range byChance {
		days = append(days, time.Date(2020+random.IntN(20), 1, 1+random.IntN(365), random.IntN(24), random.IntN(60), 0, 0, zone))
	}
	return days
}

// What the issue asks of the world, before any database: for every start day.
func TestTheWorldIsWhatTheIssueAsks(t *testing.T) {
	for _, start := range startDays(t, 100) {
		for i, town := range Towns {
			for _, size := range []int{48, town.Clients} {
				town.Clients = size
				p := build(i, town, staff{[]int64{1, 2}, []int64{3, 4}}, daysFor(start, oslo(t)))
				checkWorld(t, p, size)
			}
		}
	}
}

func checkWorld(t *testing.T, p *place, size int) {
	t.Helper()
	d := p.days
	name := fmt.Sprintf("%s of %d on %s", p.town.Number, size, d.start.Format(time.RFC3339))
	if len(p.people) != size {
		t.Errorf("%s: %d people", name, len(p.people))
	}
	active, numbers := map[string]bool{}, map[string]bool{}
	for i, c := range p.people {
		id, err := client.ParseNationalID(c.nationalID)
		if err != nil || !id.Synthetic() {
			t.Fatalf("%s: a national id that could be somebody's", name)
		}
		if !c.status.Inactive() && active[c.nationalID] {
			t.Errorf("%s: two active registrations of one person", name)
		}
		active[c.nationalID] = active[c.nationalID] || !c.status.Inactive()
		if numbers[c.number] {
			t.Errorf("%s: the number %s twice", name, c.number)
		}
		numbers[c.number] = true
		for j, e := range c.history {
			if e.at.After(d.load) || j > 0 && !e.at.After(c.history[j-1].at) {
				t.Errorf("%s: client %d of lot %d: entry %d at %s", name, i, c.lot, j, e.at)
			}
		}
		if c.until.After(d.start) || (c.lot == leaving && !c.until.After(d.load)) {
			t.Errorf("%s: client %d of lot %d lasts until %s", name, i, c.lot, c.until)
		}
		var group calendar.Date
		if c.end != nil {
			group = calendar.DateOf(c.end.In(d.zone)).AddMonths(6).QuarterOnOrAfter()
		}
		if want := map[lot]calendar.Date{previous: d.previous, due: d.current, later: d.current.AddMonths(3)}[c.lot]; !want.IsZero() && group != want {
			t.Errorf("%s: client %d of lot %d is due for %s, want %s", name, i, c.lot, group, want)
		}
	}
	codes, places := map[string]bool{}, map[string]bool{}
	for _, g := range p.devices {
		if codes[g.code] {
			t.Errorf("%s: the device code %s twice", name, g.code)
		}
		codes[g.code] = true
	}
	for _, a := range p.addresses {
		key := a.postcode + strings.ToLower(a.street)
		if places[key] {
			t.Errorf("%s: one address twice", name)
		}
		places[key] = true
	}
	for _, k := range p.links {
		if k.from.After(d.start) || k.to != nil && k.to.Before(k.from) {
			t.Errorf("%s: a device from %s to %v", name, k.from, k.to)
		}
		if k.from.After(d.load) && k.to == nil && (k.person < 0 || p.people[k.person].lot != steady) {
			t.Errorf("%s: a device connected at %s, after the load", name, k.from)
		}
	}
	// D19: one of a couple is gone, and the alarm is on the address.
	gone := p.people[p.of(due)[0]]
	stays := slices.ContainsFunc(p.people, func(c person) bool { return c.address == gone.address && c.lot == steady })
	alarm := slices.ContainsFunc(p.links, func(k connection) bool { return k.address == gone.address && k.person < 0 && k.to == nil })
	if !stays || !alarm {
		t.Errorf("%s: no couple with an alarm on the address", name)
	}
}

func TestTheSameDayGivesTheSameWorld(t *testing.T) {
	zone := oslo(t)
	world := func() (*place, []*table, records) {
		p := build(0, Towns[0], staff{[]int64{1, 2}, []int64{3, 4}}, daysFor(time.Date(2023, 10, 5, 8, 0, 0, 0, zone), zone))
		tables, sounds := p.children(1, 20)
		return p, tables, sounds
	}
	p1, t1, s1 := world()
	p2, t2, s2 := world()
	p1.random, p2.random = nil, nil
	if !reflect.DeepEqual(p1, p2) || !reflect.DeepEqual(t1, t2) || !reflect.DeepEqual(s1, s2) {
		t.Error("two worlds of one day differ")
	}
}

func load(t *testing.T, start time.Time, clients, events int) (*pgtest.Env, *blob.Store, time.Duration) {
	t.Helper()
	env := pgtest.New(t)
	blobs, err := blob.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = Load(t.Context(), Config{
		Admin: env.AdminDSN(), Web: env.DSN("frist_web", "web"), Operator: env.DSN("frist_operator", "operator"), Worker: env.DSN("frist_worker", "worker"),
		Blobs: blobs, Key: []byte("key"), Start: start, Password: func(login string) string { return "password of " + login },
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Clients: clients, Events: events,
	})
	if err != nil {
		t.Fatal(err)
	}
	env.SetNow(start)
	return env, blobs, time.Since(began)
}

// The world in the database, from its first day to the start of the clock, for days by chance.
func TestTheDemoOnAnyDay(t *testing.T) {
	byChance := 1
	if os.Getenv("FRIST_PROOF") == "long" {
		byChance = 100
	}
	for _, start := range startDays(t, byChance) {
		t.Run(start.Format(time.DateOnly), func(t *testing.T) {
			env, blobs, _ := load(t, start, 48, 8)
			checkLoaded(t, env, blobs, start)
		})
	}
}

func TestTheWholeDemo(t *testing.T) {
	start := time.Date(2026, 11, 22, 9, 0, 0, 0, oslo(t))
	env, blobs, took := load(t, start, 0, 0)
	t.Logf("loaded in %s", took)
	checkLoaded(t, env, blobs, start)
	for table, least := range map[string]int{
		"client": 820, "alarm_event": 150_000, "note": 1500, "next_of_kin": 900, "professional": 30, "medical_entry": 800, "medication": 1500, "care_plan": 600,
		"care_plan_entry": 2000, "communication": 3000, "recording": 100, "client_change": 800, "property": 1200, "address_event": 300, "address_event_client": 50,
	} {
		if n := env.Count(t, "SELECT count(*) FROM "+table); n < least {
			t.Errorf("%s: %d rows, want %d or more", table, n, least)
		}
	}
}

func checkLoaded(t *testing.T, env *pgtest.Env, blobs *blob.Store, start time.Time) {
	t.Helper()
	d := daysFor(start, oslo(t))
	state, latest, err := Find(t.Context(), env.AdminDSN())
	if err != nil || state != Loaded || latest.After(start) {
		t.Errorf("state %d, latest %s, start %s, error %v", state, latest, start, err)
	}
	count := func(want int, sql string, args ...any) {
		t.Helper()
		if n := env.Count(t, sql, args...); n != want {
			t.Errorf("%d, want %d: %s", n, want, sql)
		}
	}
	least := func(want int, sql string, args ...any) {
		t.Helper()
		if n := env.Count(t, sql, args...); n < want {
			t.Errorf("%d, want %d or more: %s", n, want, sql)
		}
	}
	for _, town := range Towns {
		id := env.Count(t, `SELECT municipality_id FROM municipality_name WHERE number = $1`, town.Number)
		in := func(sql string) string { return strings.ReplaceAll(sql, "$m", fmt.Sprint(id)) }
		finished := 1
		if town.ArchiveOpen {
			finished = 0
		}
		count(finished, in(`SELECT count(*) FROM deletion_round r JOIN protocol p USING (municipality_id) WHERE municipality_id = $m AND p.round_id = r.id AND r.state = 'finished' AND r.run_on = $1`), d.previous.UTC())
		count(1, in(`SELECT count(*) FROM deletion_round WHERE municipality_id = $m AND state = 'proposed' AND run_on = $1 AND control_asked_at IS NULL`), d.current.UTC())
		least(4, in(`SELECT count(*) FROM deletion_round WHERE municipality_id = $m AND state IN ('open', 'proposed') AND run_on > $1`), d.today.UTC())
		if town.ArchiveOpen {
			least(5, in(`SELECT count(*) FROM round_item i JOIN deletion_round r USING (municipality_id) WHERE municipality_id = $m AND i.round_id = r.id AND r.run_on = $1 AND i.state = 'blocked' AND 'archive_unanswered' = ANY (i.reasons)`), d.current.UTC())
		} else {
			least(2, in(`SELECT count(*) FROM round_item i JOIN deletion_round r USING (municipality_id) WHERE municipality_id = $m AND i.round_id = r.id AND r.run_on = $1 AND i.state = 'purged'`), d.previous.UTC())
			least(3, in(`SELECT count(*) FROM round_item i JOIN deletion_round r USING (municipality_id) WHERE municipality_id = $m AND i.round_id = r.id AND r.run_on = $1 AND i.state = 'ready'`), d.current.UTC())
			for _, reason := range []string{"device_on_client", "device_on_address", "duplicate_active"} {
				least(1, in(`SELECT count(*) FROM round_item i JOIN deletion_round r USING (municipality_id) WHERE municipality_id = $m AND i.round_id = r.id AND r.run_on = $1 AND i.state = 'blocked' AND $2 = ANY (i.reasons)`), d.current.UTC(), reason)
			}
			least(1, in(`SELECT count(*) FROM round_item WHERE municipality_id = $m AND carried > 0 AND state = 'blocked'`))
			least(1, in(`SELECT sum(ordered - cardinality(pending)) FROM blob_deletion WHERE municipality_id = $m`))
		}
		for _, status := range client.Statuses {
			if status != client.Cancelled || env.Count(t, in(`SELECT count(*) FROM client WHERE municipality_id = $m`)) > 100 {
				least(2, in(`SELECT count(*) FROM client WHERE municipality_id = $m AND status = $1`), string(status))
			}
		}
		least(3, in(`SELECT count(*) FROM client WHERE municipality_id = $m AND unplaced_reason = 'no_start_date'`))
		least(3, in(`SELECT count(*) FROM client WHERE municipality_id = $m AND unplaced_reason = 'held'`))
		least(1, in(`SELECT count(*) FROM client c WHERE municipality_id = $m AND status = 'active' AND EXISTS (SELECT FROM round_item i WHERE i.municipality_id = c.municipality_id AND i.client_id = c.id AND i.state = 'withdrawn')`))
		least(1, in(`SELECT count(*) FROM round_item WHERE municipality_id = $m AND placed_how = 'later'`))
		least(1, in(`SELECT count(*) FROM hold WHERE municipality_id = $m AND released_at IS NULL AND release_asked_at IS NOT NULL`))
		least(2, in(`SELECT count(*) FROM client WHERE municipality_id = $m AND protected`))
		least(5, in(`SELECT count(*) FROM device WHERE municipality_id = $m AND stock_state = 'in_stock' AND NOT EXISTS (SELECT FROM device_connection k WHERE k.device_id = device.id)`))
		least(1, in(`SELECT count(*) FROM (SELECT address_id FROM client WHERE municipality_id = $m AND status = 'active' GROUP BY 1 HAVING count(*) > 1) shared`))

		keys, err := blobs.Keys(t.Context(), fmt.Sprintf("%d/", id))
		if err != nil {
			t.Fatal(err)
		}
		count(len(keys), in(`SELECT count(*) FROM recording WHERE municipality_id = $m`))
		if len(keys) == 0 {
			t.Error("no recordings")
		}
	}
	count(0, `SELECT count(*) FROM river.river_job WHERE state NOT IN ('completed', 'available')`)
	count(0, `SELECT count(*) FROM status_entry WHERE at > $1`, start)
	count(0, `SELECT count(*) FROM deletion_round WHERE brake IS NOT NULL OR incident IS NOT NULL`)

	// Every persona's key works and decides.
	for _, p := range Personas()[:1] {
		if key, err := NewKey(t.Context(), env.DB, p.Login); err != nil || key == "" {
			t.Errorf("no key: %v", err)
		}
	}
	// The next control can be asked for at once: the world is not only looked at.
	support := access.Caller{Account: 1 << 40, Roles: []access.Role{access.Support}}.In(env.Count(t, `SELECT municipality_id FROM municipality_name WHERE number = $1`, Towns[0].Number))
	err = env.DB.InTx(t.Context(), support, func(tx *pg.Tx) error {
		_, round, err := deletion.Locate(t.Context(), tx, deletion.NumberOf(Towns[0].Number, d.current))
		if err != nil {
			return err
		}
		return deletion.RequestControl(t.Context(), tx, round)
	})
	if err != nil {
		t.Errorf("control: %v", err)
	}
}

func TestAHalfLoadedDemoIsNotTakenForOne(t *testing.T) {
	env := pgtest.New(t)
	if state, _, err := Find(t.Context(), env.AdminDSN()); err != nil || state != Empty {
		t.Fatalf("state %d, %v", state, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	blobs, err := blob.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Admin: env.AdminDSN(), Web: env.DSN("frist_web", "web"), Operator: env.DSN("frist_operator", "operator"), Worker: env.DSN("frist_worker", "worker"),
		Blobs: blobs, Key: []byte("key"), Start: pgtest.Start, Clients: 48, Events: 2,
		Password: func(login string) string {
			if login == "operator" {
				cancel()
			}
			return "password of " + login
		},
	}
	if err := Load(ctx, config); err == nil {
		t.Fatal("loading went on")
	}
	if state, _, err := Find(t.Context(), env.AdminDSN()); err != nil || state != Half {
		t.Fatalf("state %d, %v", state, err)
	}
	if err := Load(t.Context(), config); err == nil {
		t.Error("a half-loaded demo is loaded again over itself")
	}
}
