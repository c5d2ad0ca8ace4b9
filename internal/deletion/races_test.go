package deletion_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/retention"
	"github.com/frist-app/frist/internal/rights"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// A victim is a client of a running round, alone in its chunk, and what can happen to it.
type victim struct {
	id, address, device uuid.UUID // the device is in stock
	elsewhere           string    // the street of a dwelling where a device hangs
	chunk               int
}

// A mutation is what somebody does to a victim while it is being purged.
type mutation struct {
	name      string
	role      access.Role
	shared    bool // an active client lives at the address, too
	follows   bool // may rightly come after the purge: it touches something that stays
	refused   bool // refused in any case, for the client is inactive
	raw       bool // goes past the domain: the key of the row refuses it
	do        func(ctx context.Context, tx *pg.Tx, v victim) error
	kept      func(w wherever) bool // how a client lies that was kept by it
	undo      func(s *stage, round int64)
	inAnother bool // runs in municipality B, because it stops the whole round
}

var next = "2024-01-01"

func carriedFor(reason string) func(wherever) bool {
	return func(w wherever) bool {
		return w.ItemState == "carried" && w.Reasons == reason && w.NextOn == next && w.Carried == 1 && w.Unplaced == ""
	}
}

func withdrawnFor(reason, status, unplaced, nextOn string) func(wherever) bool {
	return func(w wherever) bool {
		return w.ItemState == "withdrawn" && w.Reasons == reason && w.Status == status && w.Unplaced == unplaced && w.NextOn == nextOn
	}
}

func connect(ctx context.Context, tx *pg.Tx, v victim) error {
	return device.Connect(ctx, tx, v.device, device.Target{Client: v.id})
}

func hold(onClient bool) func(ctx context.Context, tx *pg.Tx, v victim) error {
	return func(ctx context.Context, tx *pg.Tx, v victim) error {
		h := retention.NewHold{AddressID: &v.address, Reason: "police", Authority: "Sak 1", ReviewOn: calendar.On(2024, 1, 1)}
		if onClient {
			h.ClientID, h.AddressID = &v.id, nil
		}
		_, err := deletion.PlaceHold(ctx, tx, h)
		return err
	}
}

func mutations(later int64, roundB func() int64) []mutation {
	return []mutation{
		{
			name: "re-activate", role: access.Caseworker, kept: withdrawnFor("reactivated", "active", "", ""),
			do: func(ctx context.Context, tx *pg.Tx, v victim) error {
				return deletion.Reactivate(ctx, tx, v.id, deletion.StatusChange{To: client.Active})
			},
		},
		{name: "connect a device to the client", role: access.Caseworker, refused: true, do: connect},
		{
			name: "re-activate and connect a device", role: access.Caseworker, kept: withdrawnFor("reactivated", "active", "", ""),
			do: func(ctx context.Context, tx *pg.Tx, v victim) error {
				return errors.Join(deletion.Reactivate(ctx, tx, v.id, deletion.StatusChange{To: client.Active}), connect(ctx, tx, v))
			},
		},
		{
			name: "a connection written by somebody who forgot the lock", role: access.Caseworker, raw: true, kept: carriedFor("device_on_client"),
			do: func(ctx context.Context, tx *pg.Tx, v victim) error {
				_, err := tx.Exec(ctx, `INSERT INTO device_connection (municipality_id, device_id, client_id, connected_at) VALUES ($1, $2, $3, $4)`,
					tx.Municipality(), v.device, v.id, tx.Now())
				return pg.Translate(err)
			},
		},
		{
			name: "connect a device to the address", role: access.Caseworker, shared: true, follows: true, kept: carriedFor("device_on_address"),
			do: func(ctx context.Context, tx *pg.Tx, v victim) error {
				return device.Connect(ctx, tx, v.device, device.Target{Address: v.address})
			},
		},
		{
			name: "move to a dwelling with a device", role: access.Caseworker, kept: carriedFor("device_on_address"),
			do: func(ctx context.Context, tx *pg.Tx, v victim) error {
				return client.Change(ctx, tx, v.id, 1, client.Changes{Address: &client.Address{Street: v.elsewhere, Postcode: "1430", Town: "Ås"}})
			},
		},
		{
			name: "a request of the person", role: access.Caseworker, kept: withdrawnFor("open_request", "disconnected", "open_request", ""),
			do: func(ctx context.Context, tx *pg.Tx, v victim) error {
				_, err := rights.Receive(ctx, tx, v.id, rights.New{Kind: rights.Access, ReceivedOn: calendar.On(2023, 10, 1), Channel: "letter", Reference: "23/1"})
				return err
			},
		},
		{name: "hold on the client", role: access.Caseworker, kept: withdrawnFor("held", "disconnected", "held", ""), do: hold(true)},
		{name: "hold on the address", role: access.Caseworker, kept: withdrawnFor("held", "disconnected", "held", ""), do: hold(false)},
		{
			name: "hold on an address that others share", role: access.Caseworker, shared: true, follows: true,
			kept: withdrawnFor("held", "disconnected", "held", ""), do: hold(false),
		},
		{
			name: "withdraw by moving to a later group", role: access.Caseworker, kept: withdrawnFor("moved", "disconnected", "", next),
			do: func(ctx context.Context, tx *pg.Tx, v victim) error { return deletion.Move(ctx, tx, v.id, later, "") },
		},
		{
			name: "pause", role: access.Operator, follows: true, inAnother: true,
			do:   func(ctx context.Context, tx *pg.Tx, v victim) error { return deletion.Pause(ctx, tx, roundB()) },
			kept: func(w wherever) bool { return w.ItemState == "ready" && !w.Settled },
			undo: func(s *stage, round int64) {
				if s.state(round) == deletion.Paused {
					s.must(s.by(s.B, access.Operator, func(ctx context.Context, tx *pg.Tx) error { return deletion.Resume(ctx, tx, round) }))
				}
			},
		},
	}
}

// stamps make the order visible in which two transactions held the lock that they share: the trigger fires after the
// lock was taken, and the lock is given back at the commit.
const stamps = `
CREATE TABLE stamp (seq bigint GENERATED ALWAYS AS IDENTITY, what text, id uuid);
CREATE FUNCTION stamp_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN INSERT INTO stamp (what, id) SELECT 'gone', id FROM gone; INSERT INTO stamp (what, id) SELECT 'gone', address_id FROM gone; RETURN NULL; END $$;
CREATE TRIGGER stamp_gone AFTER DELETE ON client REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION stamp_gone();
CREATE FUNCTION stamp_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN INSERT INTO stamp (what, id) VALUES ('came', NEW.client_id), ('came', NEW.address_id); RETURN NULL; END $$;
CREATE TRIGGER stamp_row AFTER INSERT ON device_connection FOR EACH ROW EXECUTE FUNCTION stamp_row();
CREATE TRIGGER stamp_row AFTER INSERT ON hold FOR EACH ROW EXECUTE FUNCTION stamp_row();
CREATE FUNCTION stamp_pause() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN INSERT INTO stamp (what) VALUES ('paused'); RETURN NULL; END $$;
CREATE TRIGGER stamp_pause AFTER UPDATE OF state ON deletion_round FOR EACH ROW WHEN (NEW.state = 'paused') EXECUTE FUNCTION stamp_pause()`

// victims adds n clients to a municipality, with a device in stock and a dwelling with a device for each.
func (s *stage) victims(m, n int, shared bool) []victim {
	s.t.Helper()
	ids := s.crowd(m, n, "2023-03-14 15:07")
	s.Exec(s.t, `INSERT INTO device (municipality_id, id, code, kind, stock_state) SELECT $1, md5('stock' || id)::uuid, 'S' || id, 'Trygghetsalarm', 'in_stock' FROM unnest($2::uuid[]) id`, m, ids)
	s.Exec(s.t, `INSERT INTO device (municipality_id, id, code, kind, stock_state) SELECT $1, md5('there' || id)::uuid, 'T' || id, 'Trygghetsalarm', 'connected' FROM unnest($2::uuid[]) id`, m, ids)
	s.Exec(s.t, `INSERT INTO address (municipality_id, id, street, postcode, town) SELECT $1, md5('dwelling' || id)::uuid, 'Vei ' || id, '1430', 'Ås' FROM unnest($2::uuid[]) id`, m, ids)
	s.Exec(s.t, `INSERT INTO device_connection (municipality_id, device_id, address_id, connected_at) SELECT $1, md5('there' || id)::uuid, md5('dwelling' || id)::uuid, $3 FROM unnest($2::uuid[]) id`, m, ids, s.Now())
	if shared {
		s.Exec(s.t, `INSERT INTO client (municipality_id, id, number, given_name, family_name, address_id, status, status_since, created_by, created_at, changed_by, changed_at)
			SELECT municipality_id, gen_random_uuid(), (number::bigint + 100000000)::text, 'Enke', family_name, address_id, 'active', status_since, 0, status_since, 0, status_since
			FROM client WHERE id = ANY ($1)`, ids)
	}
	var all []victim
	rows, err := s.Admin.Query(s.t.Context(), `SELECT id, address_id, md5('stock' || id)::uuid FROM client WHERE id = ANY ($1) ORDER BY id`, ids)
	s.must(err)
	defer rows.Close()
	for rows.Next() {
		var v victim
		s.must(rows.Scan(&v.id, &v.address, &v.device))
		v.elsewhere = "Vei " + v.id.String()
		all = append(all, v)
	}
	s.must(rows.Err())
	return all
}

// held stands still inside a transaction until the other side has run into its locks, or is through.
func (s *stage) held(ctx context.Context, tx *pg.Tx, other <-chan struct{}) error {
	var pid int
	if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
		return err
	}
	for {
		var waiting bool
		err := s.Admin.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks l WHERE NOT l.granted AND $1 = ANY (pg_blocking_pids(l.pid)))`, pid).Scan(&waiting)
		if err != nil || waiting {
			return err
		}
		select {
		case <-other:
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

// Who forces, and in which order.
const (
	mutatorFirst = iota
	purgeFirst
	together
)

// force lets two transactions meet: the first stands still right before its commit until the second waits for it, or both
// start at the same moment. Each of the two gets a function to call right before its commit.
func force(order int, first, second func(standStill func()) error, still func(other <-chan struct{})) (firstErr, secondErr error) {
	did, secondDone := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var both sync.WaitGroup
	both.Go(func() {
		defer once.Do(func() { close(did) })
		if order == together {
			<-did
			time.Sleep(rand.N(10 * time.Millisecond)) // about as long as a purge needs to come to its locks
			firstErr = first(func() {})
			return
		}
		firstErr = first(func() {
			once.Do(func() { close(did) })
			still(secondDone)
		})
	})
	both.Go(func() {
		defer close(secondDone)
		if order != together {
			<-did
		}
		secondErr = second(func() {})
	})
	if order == together {
		once.Do(func() { close(did) })
	}
	both.Wait()
	return firstErr, secondErr
}

func TestRacesAgainstThePurge(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Exec(t, `UPDATE municipality_policy SET chunk_size = 1, spot_check_size = 1`)
	s.Exec(t, stamps)
	s.at("2023-03-14 15:07")
	s.sweep()
	n := size(150, 5000)
	var roundA, roundB int64
	kinds := mutations(s.roundOn(s.A, next), func() int64 { return roundB })
	all := map[string][]victim{}
	for _, k := range kinds {
		m := s.A
		if k.inAnother {
			m = s.B
		}
		all[k.name] = s.victims(m, n, k.shared)
	}
	rounds := s.running(s.A, s.B)
	roundA, roundB = rounds[0], rounds[1]

	var mu sync.Mutex
	outcomes := map[string]int{} // of the round in A, to be found again in its protocol
	gone := map[int][]uuid.UUID{}
	t.Run("force", func(t *testing.T) {
		for _, k := range kinds {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				m, round := s.A, roundA
				if k.inAnother {
					m, round = s.B, roundB
				}
				told := map[string]int{}
				for i, v := range all[k.name] {
					v.chunk = s.Count(t, `SELECT chunk FROM round_item WHERE client_id = $1 AND frozen`, v.id)
					told[s.race(k, m, round, v, i%3)]++
					w := s.whereabouts(round, v.id)
					mu.Lock()
					if !w.There {
						gone[m] = append(gone[m], v.id)
					}
					if m == s.A {
						outcomes[w.ItemState+" "+w.Reasons]++
					}
					mu.Unlock()
					if k.undo != nil {
						k.undo(s, round)
					}
					if t.Failed() {
						t.FailNow()
					}
				}
				t.Logf("%d forced: %s", n, counted(told))
			})
		}
	})

	// Every job is lost, and the sweep wakes the rounds all the same.
	s.Exec(t, `DELETE FROM river.river_job`)
	s.sweep()
	s.clean()
	for m, round := range map[int]int64{s.A: roundA, s.B: roundB} {
		if state := s.state(round); state != deletion.Finished {
			t.Errorf("the round of %d ends %s", m, state)
		}
		if left := s.remains(gone[m]); left != "" {
			t.Errorf("left of clients that are gone: %s", left)
		}
		if n := s.Count(t, `SELECT count(*) FROM round_event WHERE round_id = $1 AND act IN ('incident', 'brake')`, round); n != 0 {
			t.Errorf("%d incidents in %d, and everybody did what they may", n, m)
		}
	}
	s.must(s.by(s.A, access.Approver, func(ctx context.Context, tx *pg.Tx) error {
		p, err := deletion.FindProtocol(ctx, tx, roundA)
		if err != nil {
			return err
		}
		said := map[string]int{"purged ": p.Clients.Purged}
		for reason, n := range p.Clients.CarriedBy {
			said["carried "+reason] = n
		}
		for reason, n := range p.Clients.WithdrawnBy {
			said["withdrawn "+reason] = n
		}
		if !maps.Equal(said, outcomes) {
			t.Errorf("the protocol says %v, and it was %v", said, outcomes)
		}
		return nil
	}))
}

func counted(told map[string]int) string {
	var text string
	for _, k := range slices.Sorted(maps.Keys(told)) {
		text += fmt.Sprintf("%s %d; ", k, told[k])
	}
	return text
}

// race forces one mutation against the purge of one client and judges what came of it.
func (s *stage) race(k mutation, m int, round int64, v victim, order int) string {
	s.t.Helper()
	ctx := s.t.Context()
	var holding *pg.Tx // whose transaction stands still
	still := func(other <-chan struct{}) {
		if err := s.held(ctx, holding, other); err != nil {
			s.t.Error(err)
		}
	}
	mutate := func(standStill func()) error {
		return s.DB.InTx(ctx, s.As(k.role, m), func(tx *pg.Tx) error {
			if err := k.do(ctx, tx, v); err != nil {
				return err
			}
			if order == mutatorFirst {
				holding = tx
				standStill()
			}
			return nil
		})
	}
	purge := func(standStill func()) error {
		for try := 0; ; try++ {
			err := s.DB.InTx(ctx, access.SystemFor(m), func(tx *pg.Tx) error {
				return deletion.PurgeChunk(ctx, tx, key, round, v.chunk, 0, nil, func(tx *pg.Tx) error {
					if order == purgeFirst {
						holding = tx
						standStill()
					}
					return nil
				})
			})
			if !busy(err) || try == 10 {
				return err // busy: River brings the job again
			}
		}
	}
	var mutated, purged error
	if order == purgeFirst {
		purged, mutated = force(order, purge, mutate, still)
	} else {
		mutated, purged = force(order, mutate, purge, still)
	}

	w := s.whereabouts(round, v.id)
	what := fmt.Sprintf("%s, order %d: mutator %v, purge %v, then %+v", k.name, order, mutated, purged, w)
	if purged != nil && !(k.inAnother && errors.Is(purged, deletion.ErrNotRunning)) {
		s.t.Errorf("the purge failed: %s", what)
	}
	if mutated != nil && !lost(mutated) && !(k.raw && errors.As(mutated, &pg.StateError{}) && strings.Contains(mutated.Error(), "23503")) {
		s.t.Errorf("the mutator failed: %s", what)
	}
	switch {
	case k.refused:
		if mutated == nil || w.There {
			s.t.Errorf("not refused: %s", what)
		}
		return "refused, gone"
	case order == mutatorFirst && (mutated != nil || !w.There):
		s.t.Errorf("the mutator was first and lost: %s", what)
	case order == purgeFirst && w.There:
		s.t.Errorf("the purge was first and lost: %s", what)
	case w.There && (mutated != nil || !k.kept(w)):
		s.t.Errorf("kept, but not as it should lie: %s", what)
	case !w.There && w.ItemState != "purged":
		s.t.Errorf("gone without a line: %s", what)
	case !w.There && mutated == nil && !k.follows:
		s.t.Errorf("WRONG DELETION, both succeeded: %s", what)
	case !w.There && mutated == nil:
		before := `SELECT count(*) FROM stamp c, stamp g WHERE c.what = 'came' AND c.id = $1 AND g.what = 'gone' AND g.id = $2 AND c.seq < g.seq`
		if k.inAnother {
			before = `SELECT count(*) FROM stamp g WHERE g.what = 'gone' AND g.id = $2 AND $1::uuid IS NOT NULL AND g.seq > (SELECT max(seq) FROM stamp WHERE what = 'paused')`
		}
		if s.Count(s.t, before, v.address, v.id) != 0 {
			s.t.Errorf("WRONG DELETION, after the mutator: %s", what)
		}
		return "gone, the mutator came after it"
	}
	if w.There {
		return "kept"
	}
	return "gone, the mutator refused"
}

// extraRounds makes n rounds by SQL, controlled, each with one client that is ready and one that is blocked by a device.
func (s *stage) extraRounds(n int) (rounds []int64, ready, blocked []uuid.UUID) {
	s.t.Helper()
	ctx := s.t.Context()
	ready, blocked = s.crowd(s.A, n, "2023-03-14 15:07"), s.crowd(s.A, n, "2023-03-14 15:07")
	tx, err := s.Admin.Begin(ctx)
	s.must(err)
	defer tx.Rollback(ctx) //nolint:errcheck // after a commit there is nothing to roll back
	do := func(sql string, args ...any) {
		s.t.Helper()
		_, err := tx.Exec(ctx, sql, args...)
		s.must(err)
	}
	do(`SELECT set_config('frist.now', $1, true)`, s.Now().Format(time.RFC3339Nano))
	rows, err := tx.Query(ctx, `INSERT INTO deletion_round (municipality_id, kind, run_on, number, state_since)
		SELECT $1, 'extra', '2023-10-01', '3218-231001-E' || $3 + g, $4 FROM generate_series(1, $2::int) g RETURNING id`, s.A, n, people.Add(int64(n))-int64(n), s.Now())
	s.must(err)
	rounds, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	s.must(err)
	for _, ids := range [][]uuid.UUID{ready, blocked} {
		do(`INSERT INTO round_item (municipality_id, round_id, client_id, placed_by, placed_at, placed_how, due_on)
			SELECT $1, r, c, 0, $2, 'order', '2023-09-14' FROM unnest($3::bigint[], $4::uuid[]) AS t (r, c)`, s.A, s.Now(), rounds, ids)
		do(`UPDATE client SET unplaced_reason = NULL WHERE id = ANY ($1)`, ids)
	}
	do(`INSERT INTO device (municipality_id, id, code, kind, stock_state) SELECT $1, c, 'D' || c, 'Trygghetsalarm', 'connected' FROM unnest($2::uuid[]) c`, s.A, blocked)
	do(`INSERT INTO device_connection (municipality_id, device_id, client_id, connected_at) SELECT $1, c, c, $3 FROM unnest($2::uuid[]) c`, s.A, blocked, s.Now())
	do(`UPDATE deletion_round SET state = 'proposed', proposed_at = $2 WHERE id = ANY ($1)`, rounds, s.Now())
	do(`UPDATE round_item SET state = 'ready' WHERE client_id = ANY ($1)`, ready)
	do(`UPDATE round_item SET state = 'blocked', reasons = '{device_on_client}' WHERE client_id = ANY ($1)`, blocked)
	do(`UPDATE deletion_round SET state = 'controlled', controlled_by = 901, controlled_at = $2, ready_count = 1, population = 100000 WHERE id = ANY ($1)`, rounds, s.Now())
	s.must(tx.Commit(ctx))
	return rounds, ready, blocked
}

// What people do to a round that does not run yet: cancelling and starting it, approving it while somebody changes its
// clients. Nobody is told anything odd, and what was approved is what is purged.
func TestRacesOnTheWayToThePurge(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.Exec(t, `UPDATE municipality_policy SET spot_check_size = 1 WHERE municipality_id = 1`)
	s.at("2023-10-01 07:00")
	s.sweep()
	later := s.roundOn(s.A, next)

	type person struct {
		role access.Role
		do   func(ctx context.Context, tx *pg.Tx, round int64, ready, blocked uuid.UUID) error
	}
	approve := person{access.Approver, func(ctx context.Context, tx *pg.Tx, round int64, _, _ uuid.UUID) error {
		return deletion.Approve(ctx, tx, round, deletion.Approval{})
	}}
	cancel := person{access.Approver, func(ctx context.Context, tx *pg.Tx, round int64, _, _ uuid.UUID) error {
		return deletion.Cancel(ctx, tx, round, "other", "")
	}}
	start := person{access.Operator, func(ctx context.Context, tx *pg.Tx, round int64, _, _ uuid.UUID) error {
		r, err := deletion.FindRound(ctx, tx, round)
		if err != nil {
			return err
		}
		return deletion.Start(ctx, tx, round, r.Number)
	}}
	reactivate := func(first bool) person {
		return person{access.Caseworker, func(ctx context.Context, tx *pg.Tx, _ int64, ready, blocked uuid.UUID) error {
			if !first {
				ready = blocked
			}
			return deletion.Reactivate(ctx, tx, ready, deletion.StatusChange{To: client.Active})
		}}
	}
	toHold := person{access.Caseworker, func(ctx context.Context, tx *pg.Tx, _ int64, ready, _ uuid.UUID) error {
		return hold(true)(ctx, tx, victim{id: ready})
	}}
	move := person{access.Caseworker, func(ctx context.Context, tx *pg.Tx, _ int64, ready, _ uuid.UUID) error {
		return deletion.Move(ctx, tx, ready, later, "")
	}}
	const gone, away, moved, back = "gone", "held", "moved", "active"
	for _, k := range []struct {
		name          string
		n             int
		one, other    person
		approved      bool // beforehand
		ready         string
		blocked       string
		eitherRefused bool
	}{
		{name: "cancel and start", n: size(150, 5000), one: cancel, other: start, approved: true, eitherRefused: true},
		{name: "approve and re-activate", n: size(40, 2000), one: approve, other: reactivate(true), ready: back, blocked: moved},
		{name: "approve and re-activate one that is blocked", n: size(40, 2000), one: approve, other: reactivate(false), ready: gone, blocked: back},
		{name: "approve and hold", n: size(40, 2000), one: approve, other: toHold, ready: away, blocked: moved},
		{name: "approve and move", n: size(40, 2000), one: approve, other: move, ready: moved, blocked: moved},
		{name: "cancel and re-activate", n: size(40, 2000), one: cancel, other: reactivate(true), ready: back, blocked: moved},
	} {
		t.Run(k.name, func(t *testing.T) {
			s := s.in(t)
			rounds, ready, blocked := s.extraRounds(k.n)
			told := map[string]int{}
			for i, round := range rounds {
				do := func(p person) error {
					return s.by(s.A, p.role, func(ctx context.Context, tx *pg.Tx) error { return p.do(ctx, tx, round, ready[i], blocked[i]) })
				}
				if k.approved {
					s.must(do(approve))
				}
				var holding *pg.Tx
				side := func(p person) func(func()) error {
					return func(standStill func()) error {
						return s.by(s.A, p.role, func(ctx context.Context, tx *pg.Tx) error {
							if err := p.do(ctx, tx, round, ready[i], blocked[i]); err != nil {
								return err
							}
							holding = tx
							standStill()
							return nil
						})
					}
				}
				first, second := side(k.one), side(k.other)
				if i%2 == 1 {
					first, second = second, first
				}
				order := []int{mutatorFirst, mutatorFirst, together, together}[i%4]
				firstErr, secondErr := force(order, first, second, func(other <-chan struct{}) { _ = s.held(t.Context(), holding, other) })
				told[fmt.Sprintf("%v and %v", firstErr, secondErr)]++
				switch {
				case k.eitherRefused && (firstErr == nil) == (secondErr == nil), k.eitherRefused && firstErr != nil && !conflict(firstErr, "round_step"),
					k.eitherRefused && secondErr != nil && !conflict(secondErr, "round_step"), !k.eitherRefused && (firstErr != nil || secondErr != nil):
					t.Errorf("order %d of %d: %v, %v", order, i%2, firstErr, secondErr)
				case s.state(round) == deletion.Approved:
					s.must(do(start))
				}
			}
			s.clean()
			t.Logf("%d forced: %s", k.n, counted(told))
			for i, round := range rounds {
				state, a, b := s.state(round), s.whereabouts(round, ready[i]), s.whereabouts(round, blocked[i])
				wantReady, wantBlocked := k.ready, k.blocked
				if k.eitherRefused {
					wantReady, wantBlocked = map[deletion.State]string{deletion.Cancelled: moved, deletion.Finished: gone}[state], moved
				}
				if (state != deletion.Finished && state != deletion.Cancelled) || lies(a) != wantReady || lies(b) != wantBlocked {
					t.Errorf("%s: ready %+v, blocked %+v", state, a, b)
				}
				if state == deletion.Cancelled && a.There && a.NextOn != "" && (a.Reasons != "not_run" || a.Carried != 0) {
					t.Errorf("after the cancellation: %+v", a)
				}
				if n := s.Count(t, `SELECT count(*) FROM round_event WHERE round_id = $1 AND act = 'incident'`, round); n != 0 {
					t.Errorf("%d incidents", n)
				}
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}

// lies says in a word where a client is.
func lies(w wherever) string {
	switch {
	case !w.There && w.ItemState == "purged":
		return "gone"
	case w.Status == "active" && w.NextOn == "" && w.Unplaced == "":
		return "active"
	case w.NextOn == next && w.Unplaced == "":
		return "moved"
	}
	return w.Unplaced
}
