package deletion_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
)

func TestMain(m *testing.M) {
	playWorker()
	os.Exit(pgtest.Main(m))
}

// stage is a world with a blob store and workers.
type stage struct {
	*pgtest.World
	t     *testing.T
	blobs *blob.Store
	deps  deletion.Deps
}

var key = []byte("a key that lies outside the database")

func newStage(t *testing.T) *stage {
	t.Helper()
	w := pgtest.NewWorld(t)
	blobs, err := blob.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = blobs.Close() })
	s := &stage{World: w, t: t, blobs: blobs}
	s.deps = deletion.Deps{DB: w.DB, Blobs: blobs, Key: key, Log: slog.New(slog.DiscardHandler)}
	return s
}

func (s *stage) work() {
	s.t.Helper()
	runner, err := jobs.Start(s.t.Context(), jobs.Config{DSN: s.DSN("frist_worker", "worker"), Deps: s.deps})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = runner.Stop(context.Background()) })
}

func (s *stage) at(date string) { s.SetNow(oslo(s.t, date)) }

func oslo(t *testing.T, s string) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// as runs fn as the person with the role in municipality A and fails the test on an error.
func (s *stage) as(role access.Role, fn func(ctx context.Context, tx *pg.Tx) error) {
	s.t.Helper()
	if err := s.try(role, fn); err != nil {
		s.t.Fatalf("as %s: %v", role, err)
	}
}

func (s *stage) try(role access.Role, fn func(ctx context.Context, tx *pg.Tx) error) error {
	ctx := s.t.Context()
	return s.DB.InTx(ctx, s.As(role, s.A), func(tx *pg.Tx) error { return fn(ctx, tx) })
}

func (s *stage) sweep() {
	s.t.Helper()
	if err := deletion.Sweep(s.t.Context(), s.DB); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) round(runOn string) deletion.Round {
	s.t.Helper()
	var found deletion.Round
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		rounds, err := deletion.Rounds(ctx, tx)
		for _, r := range rounds {
			if r.RunOn.String() == runOn {
				found = r
			}
		}
		return err
	})
	if found.ID == 0 {
		s.t.Fatalf("no round on %s", runOn)
	}
	return found
}

// until waits for the workers to bring a round to a state.
func (s *stage) until(runOn string, ok func(deletion.Round) bool) deletion.Round {
	s.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		r := s.round(runOn)
		if ok(r) {
			return r
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the round stays %s (%+v); jobs: %s", r.State, r, s.jobErrors())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *stage) jobErrors() string {
	var text string
	_ = s.Admin.QueryRow(context.Background(), `SELECT coalesce(string_agg(kind || ' ' || state || ' ' || coalesce(errors[array_upper(errors, 1)]->>'error', ''), '; '), '') FROM river.river_job WHERE state <> 'completed'`).Scan(&text)
	return text
}

func (s *stage) exists(id uuid.UUID) bool {
	return s.Count(s.t, `SELECT count(*) FROM client WHERE id = $1`, id) == 1
}

// control takes a proposed round through the control with every device found in stock.
func (s *stage) control(runOn string) {
	s.t.Helper()
	id := s.round(runOn).ID
	s.as(access.Support, func(ctx context.Context, tx *pg.Tx) error { return deletion.RequestControl(ctx, tx, id) })
	s.until(runOn, func(r deletion.Round) bool { return r.ReadyCount != nil })
	s.as(access.Support, func(ctx context.Context, tx *pg.Tx) error {
		checks, err := deletion.SpotChecks(ctx, tx, id)
		for _, c := range checks {
			if c.Finding == nil {
				err = errors.Join(err, deletion.Find(ctx, tx, id, c.Position, deletion.FoundInStock))
			}
		}
		return err
	})
	s.as(access.Support, func(ctx context.Context, tx *pg.Tx) error { return deletion.FinishControl(ctx, tx, id) })
}

func (s *stage) approve(runOn string) {
	s.t.Helper()
	id := s.round(runOn).ID
	s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error { return deletion.Approve(ctx, tx, id, deletion.Approval{}) })
}

func (s *stage) start(runOn string) {
	s.t.Helper()
	r := s.round(runOn)
	s.as(access.Operator, func(ctx context.Context, tx *pg.Tx) error { return deletion.Start(ctx, tx, r.ID, r.Number) })
}

func TestTheWholeRound(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	s.sweep()

	var keys []string
	for range 3 {
		k := blob.NewKey(s.A)
		keys = append(keys, k)
		if err := s.blobs.Put(t.Context(), k, "audio/wav", []byte("sound")); err != nil {
			t.Fatal(err)
		}
	}
	other := blob.NewKey(s.B)
	if err := s.blobs.Put(t.Context(), other, "audio/wav", []byte("sound")); err != nil {
		t.Fatal(err)
	}

	goes := s.Add(t, pgtest.Person{Alarms: 20, Recordings: keys})
	var more []uuid.UUID
	for range 5 {
		more = append(more, s.Add(t, pgtest.Person{Alarms: 3}))
	}
	device, addressDevice, held, back, stays := s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{})
	twin := s.Add(t, pgtest.Person{Municipality: s.B, Recordings: []string{other}})
	stock := s.AddDevice(t, s.A, goes, uuid.Nil)
	s.AddDevice(t, s.A, device, uuid.Nil)
	s.AddDevice(t, s.A, uuid.Nil, s.AddressOf(t, addressDevice))

	// P24: disconnected 14.03.23 + 6 months = 14.09.23 -> 01.10.23, in the same transaction.
	for _, id := range append([]uuid.UUID{goes, device, addressDevice, held, back}, more...) {
		s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
			p, err := deletion.Disconnect(ctx, tx, id, deletion.StatusChange{To: client.Disconnected, Reason: "moved"})
			if err != nil {
				return err
			}
			if p.Round == nil || p.Round.RunOn != calendar.On(2023, 10, 1) || p.Assessment.DueOn != calendar.On(2023, 9, 14) || p.Assessment.StartOn != calendar.On(2023, 3, 14) {
				t.Errorf("placed in %+v with %+v", p.Round, p.Assessment)
			}
			return nil
		})
	}
	s.Exec(t, `UPDATE device_connection SET disconnected_at = $2 WHERE device_id = $1`, stock, s.Now())
	s.Exec(t, `UPDATE device SET stock_state = 'in_stock' WHERE id = $1`, stock)

	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		_, err := deletion.PlaceHold(ctx, tx, retention.NewHold{ClientID: &held, Reason: "police", Authority: "Øst politidistrikt 1", ReviewOn: calendar.On(2024, 1, 1)})
		return err
	})
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		return deletion.Reactivate(ctx, tx, back, deletion.StatusChange{To: client.Active})
	})

	s.at("2023-09-18 00:05")
	s.work()
	s.until("2023-10-01", func(r deletion.Round) bool { return r.State == deletion.Proposed })
	s.at("2023-09-19 08:00")
	s.control("2023-10-01")
	r := s.round("2023-10-01")
	if *r.ReadyCount != 6 || *r.SampleSize != 1 {
		t.Errorf("ready %d, sample %d", *r.ReadyCount, *r.SampleSize)
	}
	s.approve("2023-10-01")
	r = s.round("2023-10-01")
	if r.State != deletion.Approved || *r.ApprovedCount != 6 || *r.Chunks != 2 {
		t.Errorf("after approval: %+v", r)
	}
	if err := s.try(access.Operator, func(ctx context.Context, tx *pg.Tx) error { return deletion.Start(ctx, tx, r.ID, r.Number) }); !conflict(err, "before_run_date") {
		t.Errorf("started before its day: %v", err)
	}
	s.at("2023-10-01 07:00")
	if err := s.try(access.Operator, func(ctx context.Context, tx *pg.Tx) error { return deletion.Start(ctx, tx, r.ID, "5501-231001") }); err == nil {
		t.Error("started with another number")
	}
	s.start("2023-10-01")
	s.until("2023-10-01", func(r deletion.Round) bool { return r.State == deletion.Finished })

	for _, id := range append([]uuid.UUID{goes}, more...) {
		if s.exists(id) {
			t.Error("somebody is left")
		}
	}
	for name, id := range map[string]uuid.UUID{"device": device, "address device": addressDevice, "held": held, "re-activated": back, "active": stays, "another municipality": twin} {
		if !s.exists(id) {
			t.Errorf("wrongly deleted: %s", name)
		}
	}
	for _, k := range keys {
		if _, err := s.blobs.Open(t.Context(), k); err == nil {
			t.Error("a recording is left")
		}
	}
	if f, err := s.blobs.Open(t.Context(), other); err != nil {
		t.Error("another municipality's recording is gone")
	} else {
		_ = f.Close()
	}
	// Leftovers lie in the next run, counted.
	for _, id := range []uuid.UUID{device, addressDevice} {
		if n := s.Count(t, `SELECT count(*) FROM round_item i JOIN deletion_round r ON r.id = i.round_id WHERE i.client_id = $1 AND i.state = 'placed' AND i.carried = 1 AND r.run_on = '2024-01-01'`, id); n != 1 {
			t.Error("a leftover is not in the next run")
		}
	}
	s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error {
		p, err := deletion.FindProtocol(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		if p.Clients.Approved != 6 || p.Clients.Purged != 6 || p.Clients.CarriedBy["device_on_client"] != 1 || p.Clients.CarriedBy["device_on_address"] != 1 ||
			p.Clients.WithdrawnBy["held"] != 1 || p.Clients.WithdrawnBy["reactivated"] != 1 || p.Blobs.Ordered != 3 || p.Blobs.Verified != 3 {
			t.Errorf("protocol: %+v %+v", p.Clients, p.Blobs)
		}
		rows := map[string]int64{}
		for _, c := range p.Tables {
			rows[c.Table] = c.Rows
		}
		if rows["client"] != 6 || rows["alarm_event"] != 35 || rows["note"] != 6 || rows["recording"] != 3 {
			t.Errorf("counts: %v", rows)
		}
		acts := ""
		for _, a := range p.Acts {
			acts += a.Act + " " + a.Role + " " + a.Staff + "; "
		}
		if want := "proposed system system; controlled support S-00901; approved approver S-00102; started operator S-00902; "; acts != want {
			t.Errorf("acts: %s", acts)
		}
		return nil
	})
	s.as(access.Operator, func(ctx context.Context, tx *pg.Tx) error {
		p, err := deletion.FindProtocol(ctx, tx, r.ID)
		if err == nil && (p.Clients.Carried != deletion.Few || p.Clients.Approved != 6 || p.Clients.Purged != 0 || len(p.Clients.CarriedBy) != 0 || len(p.Tables) != 0) {
			t.Errorf("the supplier's copy: %+v", p.Clients)
		}
		return err
	})
}

func conflict(err error, code string) bool {
	var c problem.Conflict
	return errors.As(err, &c) && c.Code == code
}
