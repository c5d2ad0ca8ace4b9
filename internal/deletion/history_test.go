package deletion_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// history is one life of a municipality, told to the product and to the model.
type history struct {
	*stage
	*rapid.T
	m       *model
	ids     map[*mClient]uuid.UUID
	homes   []uuid.UUID
	devices []uuid.UUID
	holds   map[*mHold]uuid.UUID
}

// Random histories of caseworker, approver, support, operator, workers and the clock: after each step product and model
// say the same about every client, item and round, and at each round's end about its protocol.
func TestHistories(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]int{"rapid.checks": size(40, 300)} {
		before := flag.Lookup(name).Value.String()
		if err := flag.Set(name, strconv.Itoa(value)); err != nil {
			t.Fatal(err)
		}
		defer flag.Set(name, before) //nolint:errcheck // it was a value before
	}
	_ = flag.Set("rapid.nofailfile", "true")
	s := newStage(t)
	s.wipe(s.A)
	s.wipe(s.B)
	municipality, steps, ends := 10, 0, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		municipality++
		h := &history{stage: s, T: rt, m: &model{}, ids: map[*mClient]uuid.UUID{}, holds: map[*mHold]uuid.UUID{}}
		defer s.wipe(municipality)
		h.begin(municipality)
		actions := h.actions()
		names := make([]string, 0, len(actions))
		for name := range actions {
			names = append(names, name)
		}
		slices.Sort(names)
		// The way of a round is long: it goes on more often than not.
		often := slices.Concat(names, slices.Repeat([]string{"go on"}, 14), []string{"end", "end", "end", "take the device", "release", "release", "release"})
		for range size(40, 60) {
			h.SetNow(h.Now().Add(time.Minute))
			name := rapid.SampledFrom(often).Draw(rt, "act")
			if name == "go on" {
				name = h.onward()
			}
			actions[name]()
			steps++
			h.compare()
		}
		for _, r := range h.m.rounds {
			ends[r.state]++
		}
		for _, i := range h.m.items {
			ends[strings.TrimSpace(i.state+" "+strings.Join(i.reasons, " "))]++
		}
	})
	t.Logf("%d steps; rounds and items ended: %s", steps, counted(ends))
	musts := []string{"finished", "cancelled", "lapsed", "purged", "withdrawn held", "withdrawn reactivated", "carried not_run"}
	if size(0, 1) == 1 {
		musts = append(musts, "carried device_on_client", "carried device_on_address", "carried spot_check", "moved moved", "moved extra_run", "moved status", "withdrawn moved", "withdrawn status")
	}
	for _, must := range musts {
		if ends[must] == 0 {
			t.Errorf("nothing ever ended as %q: the histories prove too little", must)
		}
	}
}

// wipe takes a municipality out of the database, past every guard.
func (s *stage) wipe(m int) {
	ctx := context.WithoutCancel(s.t.Context())
	rows, err := s.Admin.Query(ctx, `SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'municipality_id'`)
	s.must(err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	// The logs' own guard is awake in replica mode too.
	const logs = `ALTER TABLE audit %[1]s TRIGGER log_keeps; ALTER TABLE access_log %[1]s TRIGGER log_keeps; `
	sql := fmt.Sprintf(logs, "DISABLE") + `SET session_replication_role = replica; DELETE FROM river.river_job; DELETE FROM municipality WHERE id = ` + strconv.Itoa(m) + `; `
	for _, table := range tables {
		sql += `DELETE FROM ` + table + ` WHERE municipality_id = ` + strconv.Itoa(m) + `; `
	}
	_, err = s.Admin.Exec(ctx, sql+fmt.Sprintf(logs, "ENABLE ALWAYS")+`SET session_replication_role = origin`)
	s.must(err)
}

func (h *history) begin(m int) {
	h.A = m
	for _, sql := range []string{
		`INSERT INTO municipality (id) VALUES ($1)`,
		`INSERT INTO municipality_name (municipality_id, valid_from, number, name) VALUES ($1, '2000-01-01', '3218', 'Ås')`,
		`INSERT INTO municipality_policy (municipality_id, cooling_off_seconds, spot_check_size, chunk_size, max_share_percent) VALUES ($1, 0, 1000, 2, 100)`,
		`INSERT INTO instruction (municipality_id, action, valid_from, document_reference, decided_by) VALUES ($1, 'pre_run_control', '2000-01-01', 'DPA-1', 'chief executive')`,
		`INSERT INTO retention_rule (municipality_id, class, version, start_event, period_months, outcome, authority, valid_from)
			SELECT $1, c, 1, 'disconnected', 6, 'destroy', 'test', '2000-01-01' FROM unnest('{client_record,alarm_log,recording,change_values}'::text[]) c`,
	} {
		h.stage.Exec(h.t, sql, m)
	}
	h.SetNow(oslo(h.t, "2023-01-10 12:00"))
	h.m.today = date(2023, 1, 10)
	h.tick()
	for home := range 3 {
		var address uuid.UUID
		caretaker := h.create(home)
		h.stage.must(h.Admin.QueryRow(h.t.Context(), `SELECT address_id FROM client WHERE id = $1`, caretaker).Scan(&address))
		h.homes = append(h.homes, address)
		h.say("", h.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
			id, err := device.Register(ctx, tx, fmt.Sprintf("D%d", home), "", "Trygghetsalarm")
			h.devices = append(h.devices, id)
			return err
		}))
		h.m.devices = append(h.m.devices, &mDevice{home: -1})
	}
	for i := range 6 {
		h.register()
		if i < 2 && rapid.Bool().Draw(h.T, "device") {
			h.connect(h.m.clients[i], i)
		}
		if c := h.m.clients[len(h.m.clients)-1]; rapid.IntRange(0, 3).Draw(h.T, "inactive") > 0 {
			h.say("", h.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
				_, err := deletion.Disconnect(ctx, tx, h.ids[c], deletion.StatusChange{To: client.Disconnected, Reason: "moved"})
				return err
			}))
			h.m.end(c, "disconnected")
		}
	}
	h.pass(250) // to 17.09.23: the group of 01.10.23 is proposed
}

// pass lets days go by.
func (h *history) pass(days int) {
	h.m.today = h.m.today.AddDate(0, 0, days)
	h.SetNow(oslo(h.t, h.m.today.Format(time.DateOnly)+" 12:00"))
	h.tick()
}

func (h *history) as(role access.Role, fn func(ctx context.Context, tx *pg.Tx) error) error {
	return h.by(h.A, role, fn)
}

// say wants the product to answer with the code that the model gives; "" is success.
func (h *history) say(want string, err error) {
	h.Helper()
	got := ""
	var conflict problem.Conflict
	var invalid problem.Invalid
	switch {
	case errors.As(err, &conflict):
		got = conflict.Code
	case errors.As(err, &invalid):
		got = invalid.Fields[0].Code
	case err != nil:
		got = err.Error()
	}
	if got != want {
		h.Fatalf("the product says %q and the model %q", got, want)
	}
}

func street(home int) *client.Address {
	return &client.Address{Street: fmt.Sprintf("Gate %d", home), Postcode: "1430", Town: "Ås"}
}

func (h *history) create(home int) (id uuid.UUID) {
	h.say("", h.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) (err error) {
		id, err = client.Create(ctx, tx, client.New{GivenName: "Fornavn", FamilyName: "Etternavn", Status: client.Active, Address: *street(home)})
		return err
	}))
	return id
}

func (h *history) register() {
	c := &mClient{name: fmt.Sprintf("c%d", len(h.m.clients)), status: "active", home: rapid.IntRange(0, 2).Draw(h.T, "home")}
	h.ids[c] = h.create(c.home)
	h.m.clients = append(h.m.clients, c)
}

// tick is the system's sweep, and the workers after it.
func (h *history) tick() {
	h.m.sweep()
	h.stage.sweep()
	h.work()
}

func (h *history) work() {
	h.stage.clean()
	for _, r := range h.m.work() {
		var p deletion.Protocol
		h.say("", h.as(access.PrivacyOfficer, func(ctx context.Context, tx *pg.Tx) (err error) {
			p, err = deletion.FindProtocol(ctx, tx, h.round(r))
			return err
		}))
		got := fmt.Sprintf("approved %d purged %d carried %v withdrawn %v", p.Clients.Approved, p.Clients.Purged, p.Clients.CarriedBy, p.Clients.WithdrawnBy)
		if want := h.m.protocol(r); got != want || rowsOf(p, "client") != p.Clients.Purged {
			h.Fatalf("the protocol of %s says %q and the model %q", r.number, got, want)
		}
	}
}

func (h *history) round(r *mRound) int64 {
	return int64(h.stage.Count(h.t, `SELECT id FROM deletion_round WHERE municipality_id = $1 AND number = $2`, h.A, r.number))
}

// one draws a living client.
func (h *history) one() *mClient {
	var live []*mClient
	for _, c := range h.m.clients {
		if !c.gone {
			live = append(live, c)
		}
	}
	if len(live) == 0 {
		h.register()
		return h.m.clients[len(h.m.clients)-1]
	}
	return live[rapid.IntRange(0, len(live)-1).Draw(h.T, "client")]
}

// some draws a round, more often than not one in the wanted state.
func (h *history) some(state string) *mRound {
	var fit []*mRound
	for _, r := range h.m.rounds {
		if r.state == state {
			fit = append(fit, r)
		}
	}
	if len(fit) == 0 || rapid.IntRange(0, 5).Draw(h.T, "any") == 0 {
		fit = h.m.rounds
	}
	return fit[rapid.IntRange(0, len(fit)-1).Draw(h.T, "round")]
}

func (h *history) connect(c *mClient, n int) {
	d, want := h.m.devices[n], ""
	switch {
	case c.inactive():
		want = "inactive_client"
	case d.client != nil || d.home >= 0:
		want = "device_connected"
	}
	h.say(want, h.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		return device.Connect(ctx, tx, h.devices[n], device.Target{Client: h.ids[c]})
	}))
	if want == "" {
		d.client, d.been = c, append(d.been, c)
	}
}

// onward is what takes a round nearer to its end.
func (h *history) onward() string {
	next := []string{"clock"}
	for _, r := range h.m.rounds {
		switch {
		case r.state == "proposed":
			next = append(next, "control")
		case r.state == "controlled":
			next = append(next, "approve")
		case r.state == "approved" && !h.m.today.Before(r.on):
			next = append(next, "start")
		case r.state == "running":
			next = append(next, "work")
		case r.state == "paused":
			next = append(next, "resume")
		}
	}
	if len(next) > 1 && rapid.IntRange(0, 4).Draw(h.T, "wait") > 0 {
		next = next[1:]
	}
	return rapid.SampledFrom(next).Draw(h.T, "next")
}

// step is an act on a round that is right in some states only.
func (h *history) step(role access.Role, r *mRound, states []string, do func(ctx context.Context, tx *pg.Tx, id int64) error) bool {
	id, want := h.round(r), ""
	if !slices.Contains(states, r.state) {
		want = "round_step"
	}
	h.say(want, h.as(role, func(ctx context.Context, tx *pg.Tx) error { return do(ctx, tx, id) }))
	return want == ""
}

func (h *history) actions() map[string]func() {
	caseworker := func(want string, fn func(ctx context.Context, tx *pg.Tx) error) bool {
		h.say(want, h.as(access.Caseworker, fn))
		return want == ""
	}
	gadget := func() (int, *mDevice) {
		n := rapid.IntRange(0, 2).Draw(h.T, "device")
		return n, h.m.devices[n]
	}
	return map[string]func(){
		"register": func() {
			if len(h.m.clients) < 9 {
				h.register()
			}
		},
		"end": func() {
			c, to, want := h.one(), rapid.SampledFrom([]string{"disconnected", "disconnected", "cancelled"}).Draw(h.T, "to"), ""
			if c.status == to {
				want = "same_status"
			}
			if caseworker(want, func(ctx context.Context, tx *pg.Tx) error {
				_, err := deletion.Disconnect(ctx, tx, h.ids[c], deletion.StatusChange{To: client.Status(to), Reason: "moved"})
				return err
			}) {
				h.m.end(c, to)
			}
		},
		"re-activate": func() {
			c, want := h.one(), ""
			if !c.inactive() {
				want = "same_status"
			}
			if caseworker(want, func(ctx context.Context, tx *pg.Tx) error {
				return deletion.Reactivate(ctx, tx, h.ids[c], deletion.StatusChange{To: client.Active})
			}) {
				h.m.reactivate(c)
			}
		},
		"connect": func() {
			n, _ := gadget()
			h.connect(h.one(), n)
		},
		"hang": func() {
			home, want := rapid.IntRange(0, 2).Draw(h.T, "home"), ""
			n, d := gadget()
			if d.client != nil || d.home >= 0 {
				want = "device_connected"
			}
			if caseworker(want, func(ctx context.Context, tx *pg.Tx) error {
				return device.Connect(ctx, tx, h.devices[n], device.Target{Address: h.homes[home]})
			}) {
				d.home, d.hung = home, append(d.hung, home)
			}
		},
		"take the device": func() {
			n, d := gadget()
			want := ""
			if d.client == nil && d.home < 0 {
				want = "device_not_connected"
			}
			if caseworker(want, func(ctx context.Context, tx *pg.Tx) error { return device.Disconnect(ctx, tx, h.devices[n]) }) {
				d.client, d.home = nil, -1
			}
		},
		"move house": func() {
			c := h.one()
			c.home = rapid.IntRange(0, 2).Draw(h.T, "home")
			version := h.stage.Count(h.t, `SELECT version FROM client WHERE id = $1`, h.ids[c])
			caseworker("", func(ctx context.Context, tx *pg.Tx) error {
				return client.Change(ctx, tx, h.ids[c], version, client.Changes{Address: street(c.home)})
			})
		},
		"hold": func() {
			on, in := &mHold{client: h.one()}, retention.NewHold{Reason: "police", Authority: "Sak 1", ReviewOn: calendar.On(2040, 1, 1)}
			if rapid.Bool().Draw(h.T, "address") {
				on = &mHold{home: rapid.IntRange(0, 2).Draw(h.T, "home")}
				in.AddressID = &h.homes[on.home]
			} else {
				id := h.ids[on.client]
				in.ClientID = &id
			}
			caseworker("", func(ctx context.Context, tx *pg.Tx) (err error) {
				h.holds[on], err = deletion.PlaceHold(ctx, tx, in)
				return err
			})
			h.m.hold(on)
		},
		"release": func() {
			for _, on := range h.m.holds {
				if on.stands && rapid.Bool().Draw(h.T, "this") {
					caseworker("", func(ctx context.Context, tx *pg.Tx) error {
						return retention.AskRelease(ctx, tx, h.holds[on], "avsluttet")
					})
					h.say("", h.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error { return deletion.ReleaseHold(ctx, tx, h.holds[on]) }))
					h.m.release(on)
					return
				}
			}
		},
		"move": func() {
			c, to := h.one(), h.some("open")
			id := h.round(to)
			h.say(h.m.move(c, to), h.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error { return deletion.Move(ctx, tx, h.ids[c], id, "avtalt") }))
		},
		"control": func() {
			r := h.some("proposed")
			if !h.step(access.Support, r, []string{"proposed"}, func(ctx context.Context, tx *pg.Tx, id int64) error { return deletion.RequestControl(ctx, tx, id) }) {
				return
			}
			h.m.judge(r)
			h.work()
			h.look(r)
			h.say("", h.as(access.Support, func(ctx context.Context, tx *pg.Tx) error { return deletion.FinishControl(ctx, tx, h.round(r)) }))
			r.state = "controlled"
		},
		"approve": func() {
			if r := h.some("controlled"); h.step(access.Approver, r, []string{"controlled"}, func(ctx context.Context, tx *pg.Tx, id int64) error {
				return deletion.Approve(ctx, tx, id, deletion.Approval{})
			}) {
				h.m.approve(r)
			}
		},
		"reject": func() {
			if r := h.some("controlled"); h.step(access.Approver, r, []string{"controlled"}, func(ctx context.Context, tx *pg.Tx, id int64) error {
				return deletion.Reject(ctx, tx, id, "other", "")
			}) {
				r.state = "proposed"
			}
		},
		"cancel": func() {
			if r := h.some(rapid.SampledFrom([]string{"approved", "open", "finished"}).Draw(h.T, "cancelled")); h.step(access.Approver, r, []string{"proposed", "controlled", "approved"}, func(ctx context.Context, tx *pg.Tx, id int64) error {
				return deletion.Cancel(ctx, tx, id, "other", "")
			}) {
				h.m.notRun(r, "cancelled")
			}
		},
		"start": func() {
			r := h.some("approved")
			if r.state == "approved" && h.m.today.Before(r.on) {
				h.say("before_run_date", h.started(h.A, h.round(r)))
			} else if h.step(access.Operator, r, []string{"approved"}, func(ctx context.Context, tx *pg.Tx, id int64) error { return deletion.Start(ctx, tx, id, r.number) }) {
				r.state = "running"
			}
		},
		"pause": func() {
			if r := h.some("running"); h.step(access.Operator, r, []string{"running"}, func(ctx context.Context, tx *pg.Tx, id int64) error { return deletion.Pause(ctx, tx, id) }) {
				r.state = "paused"
			}
		},
		"resume": func() {
			if r := h.some("paused"); h.step(access.Operator, r, []string{"paused"}, func(ctx context.Context, tx *pg.Tx, id int64) error { return deletion.Resume(ctx, tx, id) }) {
				r.state = "running"
			}
		},
		"work": h.work,
		"order": func() {
			clients := []*mClient{h.one(), h.one()}
			want := h.m.takable(clients)
			if clients[0] == clients[1] {
				clients = clients[:1]
			}
			slices.SortFunc(clients, func(a, b *mClient) int { return cmp.Compare(a.name, b.name) })
			var order uuid.UUID
			if !caseworker(want, func(ctx context.Context, tx *pg.Tx) (err error) {
				in := deletion.NewOrder{Scope: "selected", Reason: "backlog", Reference: "1", RunOn: calendar.DateOf(h.m.today)}
				for _, c := range clients {
					in.Clients = append(in.Clients, h.ids[c])
				}
				order, err = deletion.AskOrder(ctx, tx, in)
				return err
			}) {
				return
			}
			h.say("", h.as(access.Support, func(ctx context.Context, tx *pg.Tx) error {
				_, err := deletion.PlaceOrder(ctx, tx, order)
				return err
			}))
			h.m.order(clients)
			h.work()
		},
		"clock": func() {
			h.pass(rapid.SampledFrom([]int{1, 8, 8, 15, 15, 30, 92}).Draw(h.T, "days"))
		},
	}
}

// look looks for the devices of a round's sample: all of them, for the sample is larger than the stock. Now and then one is
// not where it should be.
func (h *history) look(r *mRound) {
	id := h.round(r)
	finding := func(wanted func(deletion.SpotCheck) bool, finding string) {
		h.say("", h.as(access.Support, func(ctx context.Context, tx *pg.Tx) error {
			checks, err := deletion.SpotChecks(ctx, tx, id)
			for _, c := range checks {
				if c.Finding == nil && wanted(c) {
					err = errors.Join(err, deletion.Find(ctx, tx, id, c.Position, finding))
				}
			}
			return err
		}))
	}
	if missing := rapid.IntRange(0, 8).Draw(h.T, "missing"); missing < len(h.m.devices) {
		code := fmt.Sprintf("D%d", missing)
		drawn := h.stage.Count(h.t, `SELECT count(*) FROM spot_check s JOIN device d ON d.municipality_id = s.municipality_id AND d.id = s.device_id
			WHERE s.round_id = $1 AND d.code = $2`, id, code) == 1
		finding(func(c deletion.SpotCheck) bool { return c.Code == code }, deletion.FoundStillAnswers)
		if drawn {
			h.m.deviate(r, h.m.devices[missing])
		}
		h.work()
	}
	finding(func(deletion.SpotCheck) bool { return true }, deletion.FoundInStock)
}

// compare reads what the product has and wants it to be what the model says.
func (h *history) compare() {
	h.Helper()
	names := map[uuid.UUID]string{}
	for c, id := range h.ids {
		names[id] = c.name
	}
	var got []string
	read := func(sql string, line func(row pgx.CollectableRow) (string, error)) {
		rows, err := h.Admin.Query(h.t.Context(), sql, h.A)
		h.stage.must(err)
		lines, err := pgx.CollectRows(rows, line)
		h.stage.must(err)
		got = append(got, lines...)
	}
	read(`SELECT id, status, coalesce(unplaced_reason, '') FROM client WHERE municipality_id = $1`, func(row pgx.CollectableRow) (string, error) {
		var id uuid.UUID
		var status, unplaced string
		err := row.Scan(&id, &status, &unplaced)
		return strings.TrimSpace("client " + names[id] + " " + status + " " + unplaced), err
	})
	got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "client  ") }) // caretakers
	read(`SELECT number, state FROM deletion_round WHERE municipality_id = $1`, func(row pgx.CollectableRow) (string, error) {
		var number, state string
		err := row.Scan(&number, &state)
		return "round " + number + " " + state, err
	})
	read(`SELECT i.client_id, r.number, i.state, i.reasons, i.carried, i.frozen FROM round_item i JOIN deletion_round r ON r.id = i.round_id WHERE i.municipality_id = $1`,
		func(row pgx.CollectableRow) (string, error) {
			var id uuid.UUID
			var number, state string
			var reasons []string
			var carried int
			var frozen bool
			err := row.Scan(&id, &number, &state, &reasons, &carried, &frozen)
			return fmt.Sprintf("item %s of %s %s %v carried %d frozen %t", names[id], number, state, reasons, carried, frozen), err
		})
	slices.Sort(got)
	want := h.m.tell()
	var difference []string
	for _, line := range got {
		if !slices.Contains(want, line) {
			difference = append(difference, "the product: "+line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			difference = append(difference, "the model:   "+line)
		}
	}
	if len(difference) > 0 || len(got) != len(want) {
		h.Fatalf("on %s\n%s", h.m.today.Format(time.DateOnly), strings.Join(difference, "\n"))
	}
}

// tell is the whole state as text, one line for each thing, in an order of its own.
func (m *model) tell() (lines []string) {
	for _, c := range m.clients {
		if !c.gone {
			lines = append(lines, strings.TrimSpace("client "+c.name+" "+c.status+" "+c.unplaced))
		}
	}
	for _, r := range m.rounds {
		lines = append(lines, "round "+r.number+" "+r.state)
	}
	for _, i := range m.items {
		lines = append(lines, fmt.Sprintf("item %s of %s %s %v carried %d frozen %t", i.client.name, i.round.number, i.state, i.reasons, i.carried, i.frozen))
	}
	slices.SortFunc(lines, cmp.Compare)
	return lines
}

// protocol is who went and who stayed, by the first reason.
func (m *model) protocol(r *mRound) string {
	purged, approved, carried, withdrawn := 0, 0, map[string]int{}, map[string]int{}
	for _, i := range m.items {
		if i.round != r {
			continue
		}
		if i.frozen {
			approved++
		}
		switch i.state {
		case "purged":
			purged++
		case "carried":
			carried[i.reasons[0]]++
		case "withdrawn", "moved":
			withdrawn[i.reasons[0]]++
		}
	}
	return fmt.Sprintf("approved %d purged %d carried %v withdrawn %v", approved, purged, carried, withdrawn)
}
