package deletion_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// undeletable makes the database refuse to delete these clients.
func (s *stage) undeletable(ids ...uuid.UUID) {
	s.t.Helper()
	s.Exec(s.t, `CREATE TABLE bad (id uuid PRIMARY KEY)`)
	s.Exec(s.t, `INSERT INTO bad SELECT unnest($1::uuid[])`, ids)
	s.Exec(s.t, `CREATE FUNCTION refuse_bad() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		IF EXISTS (SELECT FROM bad WHERE id = OLD.id) THEN RAISE EXCEPTION 'a bad row'; END IF; RETURN OLD; END $$`)
	s.Exec(s.t, `CREATE TRIGGER refuse_bad BEFORE DELETE ON client FOR EACH ROW EXECUTE FUNCTION refuse_bad()`)
}

func (s *stage) protocol(m int, round int64) (p deletion.Protocol) {
	s.t.Helper()
	s.must(s.by(m, access.Approver, func(ctx context.Context, tx *pg.Tx) (err error) {
		p, err = deletion.FindProtocol(ctx, tx, round)
		return err
	}))
	return p
}

func rowsOf(p deletion.Protocol, table string) int {
	for _, c := range p.Tables {
		if c.Table == table {
			return int(c.Rows)
		}
	}
	return 0
}

func (s *stage) alarms() string {
	s.t.Helper()
	var codes []string
	s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error {
		alarms, err := deletion.Alarms(ctx, tx)
		for _, a := range alarms {
			codes = append(codes, a.Code+" "+a.RunOn.Short())
		}
		return err
	})
	return strings.Join(codes, ", ")
}

func (s *stage) mustBe(round int64, want deletion.State) {
	s.t.Helper()
	if got := s.state(round); got != want {
		s.t.Fatalf("the round is %s, not %s; %s", got, want, s.jobErrors())
	}
}

// Two rows that cannot be deleted neither stop nor hide the others: they stay, with the reason, and are counted.
func TestABadRowStaysAlone(t *testing.T) {
	s := newStage(t)
	s.Exec(t, `UPDATE municipality_policy SET chunk_size = 8, max_error_percent = 100`)
	s.at("2023-03-14 15:07")
	ids := s.crowd(s.A, 20, "2023-03-14 15:07")
	s.undeletable(ids[2], ids[13])
	round := s.running(s.A)[0]
	s.clean()
	s.mustBe(round, deletion.Finished)
	for i, id := range ids {
		w := s.whereabouts(round, id)
		if i == 2 || i == 13 {
			if !w.There || w.ItemState != "carried" || w.Reasons != "failed" || w.NextOn != next || w.Carried != 1 {
				t.Errorf("the bad row %d: %+v", i, w)
			}
		} else if w.There || w.ItemState != "purged" {
			t.Errorf("row %d was held up: %+v", i, w)
		}
	}
	p := s.protocol(s.A, round)
	if p.Clients.Purged != 18 || p.Clients.CarriedBy["failed"] != 2 || rowsOf(p, "client") != 18 || rowsOf(p, "alarm_event") != 54 || rowsOf(p, "address") != 18 {
		t.Errorf("protocol %+v %v", p.Clients, p.Tables)
	}
	if n := s.Count(t, `SELECT sum(failed) FROM round_chunk WHERE round_id = $1`, round); n != 2 {
		t.Errorf("%d counted as failed", n)
	}
	if text := s.jobErrors(); text != "" {
		t.Errorf("jobs kept: %s", text)
	}
}

// A chunk with a bad row, stopped again and again among its smaller parts: what one try counted is not in the way of the
// next, and nobody but the bad row stays.
func TestABadRowAndAStopAmongTheParts(t *testing.T) {
	s := newStage(t)
	s.Exec(t, `UPDATE municipality_policy SET chunk_size = 8, max_error_percent = 100`)
	s.at("2023-03-14 15:07")
	ids := s.crowd(s.A, 8, "2023-03-14 15:07")
	s.undeletable(ids[7])
	s.Exec(t, `CREATE SEQUENCE trouble`)
	s.Exec(t, `CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		IF NEW.part = 4 AND NEW.table_name = 'client' AND nextval('trouble') <= 2 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '55P03'; END IF; RETURN NEW; END $$`)
	s.Exec(t, `CREATE TRIGGER trouble BEFORE INSERT ON round_count FOR EACH ROW EXECUTE FUNCTION trouble()`)
	round := s.running(s.A)[0]
	s.clean()
	s.mustBe(round, deletion.Finished)
	p := s.protocol(s.A, round)
	if p.Clients.Purged != 7 || p.Clients.CarriedBy["failed"] != 1 || rowsOf(p, "client") != 7 || rowsOf(p, "alarm_event") != 21 {
		t.Errorf("protocol %+v %v", p.Clients, p.Tables)
	}
}

// A database without room or memory says nothing about a client: nobody is left behind for it.
func TestAFullDiskIsNobodysFault(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	s.crowd(s.A, 4, "2023-03-14 15:07")
	s.Exec(t, `CREATE SEQUENCE full_disk`)
	s.Exec(t, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
		IF nextval('full_disk') <= 4 THEN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END IF; RETURN NULL; END $$`)
	s.Exec(t, `CREATE TRIGGER full_disk BEFORE DELETE ON client FOR EACH STATEMENT EXECUTE FUNCTION full_disk()`)
	round := s.running(s.A)[0]
	s.clean()
	s.mustBe(round, deletion.Finished)
	if p := s.protocol(s.A, round); p.Clients.Purged != 4 {
		t.Errorf("protocol %+v", p.Clients)
	}
}

// D16: a round whose error rate passes the limit stops and asks the approver, also when the approver has accepted before
// that it takes a large share.
func TestTheErrorBrake(t *testing.T) {
	for _, share := range []int{100, 1} {
		t.Run(fmt.Sprintf("share %d", share), func(t *testing.T) {
			s := newStage(t)
			s.Exec(t, `UPDATE municipality_policy SET chunk_size = 2, max_share_percent = $1`, share)
			s.at("2023-03-14 15:07")
			ids := s.crowd(s.A, 12, "2023-03-14 15:07")
			s.undeletable(ids[0])
			if share == 1 {
				s.at("2023-09-18 08:00")
				s.sweep()
				id := s.roundOn(s.A, "2023-10-01")
				s.controlled(s.A, id)
				if err := s.try(access.Approver, func(ctx context.Context, tx *pg.Tx) error {
					return deletion.Approve(ctx, tx, id, deletion.Approval{})
				}); !conflict(err, "brake_share") {
					t.Errorf("approved without a word: %v", err)
				}
				s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error { return deletion.Reject(ctx, tx, id, "other", "") })
			}
			round := s.running(s.A)[0]
			s.clean()
			s.mustBe(round, deletion.Paused)
			if n := s.Count(t, `SELECT count(*) FROM client WHERE municipality_id = $1`, s.A); n != 11 {
				t.Errorf("%d clients are left", n)
			}
			if got := s.alarms(); got != "braked 01.10.23" {
				t.Errorf("alarms: %s", got)
			}
			resume := func() error {
				return s.try(access.Operator, func(ctx context.Context, tx *pg.Tx) error { return deletion.Resume(ctx, tx, round) })
			}
			if err := resume(); !conflict(err, "braked") {
				t.Errorf("resumed in spite of the brake: %v", err)
			}
			s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error { return deletion.LiftBrake(ctx, tx, round) })
			s.must(resume())
			s.clean()
			s.mustBe(round, deletion.Finished)
			if p := s.protocol(s.A, round); p.Clients.Purged != 11 || p.Clients.CarriedBy["failed"] != 1 {
				t.Errorf("protocol %+v", p.Clients)
			}
		})
	}
}

// D12: nothing comes into an approved list, nothing in it is exchanged, and nobody who left comes back. The database
// refuses; and when somebody who may do anything has switched its guards off, the round stops before it deletes.
func TestAListChangedAfterTheApproval(t *testing.T) {
	s := newStage(t)
	s.Exec(t, `UPDATE municipality_policy SET spot_check_size = 1`)
	s.at("2023-10-01 07:00")
	s.sweep()
	const insert = `INSERT INTO round_item (municipality_id, round_id, client_id, state, placed_by, placed_at, placed_how, due_on, frozen, chunk)
		SELECT 1, $1, $2, 'ready', 0, now(), 'by_hand', '2023-09-14', `
	tamperings := []struct {
		name, sql string
		refused   bool // by the guards; what they let pass the hash finds
		withdrawn bool // the client has left the list by a hold, which was released by deleting it
		quiet     bool // while it runs, nobody looks at the whole list until the end, and then it never ends
	}{
		{name: "an item added", sql: insert + `true, 1 WHERE $3::uuid IS NOT NULL`, refused: true},
		{name: "an item added to no chunk", sql: insert + `true, NULL WHERE $3::uuid IS NOT NULL`, refused: true, quiet: true},
		{name: "an item added that is not frozen", sql: insert + `false, NULL WHERE $3::uuid IS NOT NULL`, refused: true, quiet: true},
		{name: "an item exchanged", sql: `UPDATE round_item SET client_id = $2 WHERE round_id = $1 AND client_id = $3`, refused: true},
		{name: "another day", sql: `UPDATE round_item SET due_on = due_on - 1 WHERE round_id = $1 AND client_id = $3 AND $2::uuid IS NOT NULL`},
		{name: "an item taken away", sql: `DELETE FROM round_item WHERE round_id = $1 AND client_id = $3 AND $2::uuid IS NOT NULL`},
		{name: "an item un-withdrawn", sql: `UPDATE round_item SET state = 'ready', reasons = '{}' WHERE round_id = $1 AND client_id = $3 AND $2::uuid IS NOT NULL`, refused: true, withdrawn: true},
	}
	rounds, ready, _ := s.extraRounds(2 * len(tamperings))
	strangers := s.crowd(s.A, len(rounds), "2023-03-14 15:07")
	for i, round := range rounds {
		c, id, stranger, begun := tamperings[i/2], ready[i], strangers[i], i%2 == 1
		name := c.name + " before the start"
		if begun {
			name = c.name + " while it runs"
		}
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error {
				return deletion.Approve(ctx, tx, round, deletion.Approval{})
			})
			if c.withdrawn {
				s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
					return hold(true)(ctx, tx, victim{id: id})
				})
			}
			if c.refused {
				var refusal *pgconn.PgError
				if _, err := s.Admin.Exec(t.Context(), c.sql, round, stranger, id); !errors.As(err, &refusal) || refusal.Code != "FR012" {
					t.Errorf("the database lets it pass: %v", err)
				}
			}
			if begun {
				s.must(s.started(s.A, round))
				s.drainSome(1) // begin
			}
			tx, err := s.Admin.Begin(t.Context())
			s.must(err)
			defer tx.Rollback(t.Context()) //nolint:errcheck // after a commit there is nothing to roll back
			_, err = tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica`)
			s.must(err)
			if c.withdrawn {
				_, err = tx.Exec(t.Context(), `DELETE FROM hold WHERE client_id = $1`, id)
				s.must(err)
				_, err = tx.Exec(t.Context(), `UPDATE client SET unplaced_reason = NULL WHERE id = $1`, id)
				s.must(err)
			}
			tag, err := tx.Exec(t.Context(), c.sql, round, stranger, id)
			s.must(err)
			if tag.RowsAffected() != 1 {
				t.Fatalf("%s changed %d items", c.name, tag.RowsAffected())
			}
			s.must(tx.Commit(t.Context()))
			if !begun {
				s.must(s.started(s.A, round))
			}
			s.clean()
			if begun && c.quiet {
				s.mustBe(round, deletion.Verifying)
				if !s.exists(stranger) {
					t.Error("the stranger was deleted")
				}
			} else {
				s.mustBe(round, deletion.Paused)
				if n := s.Count(t, `SELECT count(*) FROM deletion_round WHERE id = $1 AND incident = 'list_changed'`, round); n != 1 {
					t.Error("no incident")
				}
				if !s.exists(id) || !s.exists(stranger) {
					t.Error("somebody was deleted")
				}
				if err := s.try(access.Operator, func(ctx context.Context, tx *pg.Tx) error { return deletion.Resume(ctx, tx, round) }); !conflict(err, "incident") {
					t.Errorf("resumed after an incident: %v", err)
				}
			}
		})
	}
}

// folder gives the stage a store in a folder, where a test can lay something in the way.
func (s *stage) folder() (string, *blob.Store) {
	s.t.Helper()
	dir := s.t.TempDir()
	blobs, err := blob.OpenFolder(dir)
	s.must(err)
	s.t.Cleanup(func() { _ = blobs.Close() })
	s.blobs, s.deps.Blobs = blobs, blobs
	return dir, blobs
}

// The store does not let an object go: the round stays in verification and is seen, and ends when the store is well.
func TestABlobThatStays(t *testing.T) {
	s := newStage(t)
	dir, blobs := s.folder()
	s.at("2023-03-14 15:07")
	var keys []string
	for range 3 {
		k := blob.NewKey(s.A)
		keys = append(keys, k)
		s.must(blobs.Put(t.Context(), k, "audio/wav", []byte("sound")))
	}
	s.Add(t, personWith(keys...))
	s.crowd(s.A, 4, "2023-03-14 15:07")
	stuck := filepath.Join(dir, keys[1])
	s.must(os.Remove(stuck))
	s.must(os.MkdirAll(filepath.Join(stuck, "in the way"), 0o700))

	round := s.running(s.A)[0]
	if gaveUp := s.drain(); len(gaveUp) != 1 || !strings.Contains(gaveUp[0].Error(), "blob") {
		t.Fatalf("gave up: %v", gaveUp)
	}
	s.mustBe(round, deletion.Verifying)
	if n := s.Count(t, `SELECT count(*) FROM protocol`) + s.Count(t, `SELECT sum(ordered - cardinality(pending)) - 2 FROM blob_deletion`); n != 0 {
		t.Error("a protocol, or too many or too few objects gone")
	}
	if got := s.alarms(); got != "" {
		t.Errorf("alarms at once: %s", got)
	}
	s.at("2023-10-01 09:00")
	if got := s.alarms(); got != "verifying_long 01.10.23" {
		t.Errorf("alarms: %s", got)
	}
	s.must(s.DB.InTx(t.Context(), access.Caller{Account: 9, Roles: []access.Role{access.PlatformAdministrator}}, func(tx *pg.Tx) error {
		got, err := deletion.AlarmsEverywhere(t.Context(), tx)
		if len(got) != 1 || got[0].Code != "verifying_long" || got[0].Number == "" {
			t.Errorf("the platform administrator sees %+v", got)
		}
		return err
	}))
	s.must(os.RemoveAll(stuck))
	s.sweep()
	s.clean()
	s.mustBe(round, deletion.Finished)
	if p := s.protocol(s.A, round); p.Blobs.Ordered != 3 || p.Blobs.Verified != 3 || p.Clients.Purged != 5 {
		t.Errorf("protocol %+v %+v", p.Blobs, p.Clients)
	}
}

// Somebody who was brought in as disconnected, nobody knew since when, gets the date that was missing, and a group; with a
// date the same status once more is nothing new.
func TestTheMissingDate(t *testing.T) {
	s := newStage(t)
	s.at("2023-06-11 12:00")
	id := s.crowd(s.A, 1, "2023-06-11 12:00")[0]
	s.Exec(t, `UPDATE round_item SET state = 'withdrawn' WHERE client_id = $1`, id)
	s.Exec(t, `SET session_replication_role = replica; DELETE FROM status_entry WHERE client_id = '`+id.String()+`';
		UPDATE client SET agreement_end = NULL, unplaced_reason = 'no_start_date' WHERE id = '`+id.String()+`'; SET session_replication_role = DEFAULT`)
	s.at("2023-06-20 09:00")
	disconnected := func(role access.Role, at string) error {
		return s.by(s.A, role, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.Disconnect(ctx, tx, id, deletion.StatusChange{To: client.Disconnected, At: oslo(t, at), Reason: "moved"})
			return err
		})
	}
	if err := disconnected(access.Caseworker, "2023-03-14 00:00"); !refusedAs[problem.Forbidden](err) {
		t.Errorf("a caseworker goes back three months: %v", err)
	}
	s.must(disconnected(access.Approver, "2023-03-14 00:00"))
	if n := s.Count(t, `SELECT count(*) FROM client c JOIN status_entry e ON e.client_id = c.id AND e.status = 'disconnected' AND e.at = c.status_since
			JOIN round_item i ON i.client_id = c.id AND i.state = 'placed' JOIN deletion_round r ON r.id = i.round_id AND r.run_on = '2023-10-01'
		WHERE c.id = $1 AND c.unplaced_reason IS NULL AND c.agreement_end = '2023-03-14T00:00:00+01:00'`, id); n != 1 {
		t.Error("the client has no group of its date")
	}
	if err := disconnected(access.Approver, "2023-03-15 00:00"); !conflict(err, "same_status") {
		t.Errorf("disconnected twice: %v", err)
	}
}

// Whoever was asked for is active again, or in a proposed round by now: the extra run is called off by itself, and is not run
// as one that has deleted.
func TestAnExtraRunOfNobody(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	ids := s.crowd(s.A, 2, "2023-03-14 15:07")
	s.at("2023-09-15 09:00")
	var order uuid.UUID
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) (err error) {
		order, err = deletion.AskOrder(ctx, tx, deletion.NewOrder{Scope: "selected", Clients: ids, Reason: "other", Reference: "1", RunOn: calendar.On(2023, 9, 15)})
		return err
	})
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		return deletion.Reactivate(ctx, tx, ids[0], deletion.StatusChange{To: client.Active})
	})
	s.at("2023-09-18 09:00")
	s.sweep() // the other one's round has been proposed
	s.as(access.Support, func(ctx context.Context, tx *pg.Tx) error { _, err := deletion.PlaceOrder(ctx, tx, order); return err })
	s.clean()
	if n := s.Count(t, `SELECT count(*) FROM deletion_round WHERE kind = 'extra' AND state = 'cancelled'`) + s.Count(t, `SELECT count(*) FROM round_event WHERE act = 'cancelled' AND code = 'nobody_taken'`); n != 2 {
		t.Error("the run of nobody goes on")
	}
}

// Something of a purged client turned up again behind every guard: "finished" is not said while it is there.
func TestALeftover(t *testing.T) {
	s := newStage(t)
	dir, _ := s.folder()
	s.at("2023-03-14 15:07")
	key := blob.NewKey(s.A)
	s.must(os.MkdirAll(filepath.Join(dir, key, "in the way"), 0o700)) // holds the round in verification
	s.Add(t, personWith(key))
	s.crowd(s.A, 2, "2023-03-14 15:07")
	round := s.running(s.A)[0]
	s.drain()
	s.mustBe(round, deletion.Verifying)
	s.must(os.RemoveAll(filepath.Join(dir, key)))
	if _, err := s.Admin.Exec(t.Context(), `SELECT round_leftovers($1)`, round); err == nil {
		t.Error("a look from nowhere, which sees nobody, says that nothing is left")
	}

	for _, sql := range []string{
		`INSERT INTO note (municipality_id, client_id, at, text, entered_by) SELECT $m, id, now(), 'x', 0 FROM gone`,
		`INSERT INTO alarm_event (municipality_id, client_id, at, kind) SELECT $m, id, now(), 'alarm' FROM gone`,
		`INSERT INTO care_plan_entry (municipality_id, client_id, care_plan_id, at, text, entered_by) SELECT $m, id, 1, now(), 'x', 0 FROM gone`,
		`INSERT INTO client_search SELECT $m, id, 'x' FROM gone`,
		`INSERT INTO hold (municipality_id, client_id, reason, authority, review_on, placed_by, placed_at) SELECT $m, id, 'police', 'x', now(), 0, now() FROM gone`,
		`CREATE TABLE diary (municipality_id int, client_id uuid, words text); GRANT SELECT ON diary TO frist_purger; INSERT INTO diary SELECT $m, id, 'x' FROM gone`,
	} {
		table := strings.Fields(strings.TrimPrefix(strings.TrimPrefix(sql, "INSERT INTO "), "CREATE TABLE "))[0]
		m := fmt.Sprint(s.A)
		s.Exec(t, `SET session_replication_role = replica; CREATE TEMP TABLE gone AS SELECT client_id AS id FROM round_item WHERE state = 'purged' LIMIT 1; `+
			strings.ReplaceAll(sql, "$m", m)+`; DROP TABLE gone; SET session_replication_role = DEFAULT`)
		before := s.Count(t, `SELECT count(*) FROM audit WHERE act = 'round.alarm' AND detail ->> 'code' = 'something_left'`)
		s.sweep()
		s.clean()
		if got := s.state(round); got != deletion.Verifying {
			t.Fatalf("the round is %s, and a row is left in %s", got, table)
		}
		if n := s.Count(t, `SELECT count(*) FROM audit WHERE act = 'round.alarm' AND detail ->> 'code' = 'something_left'`); n <= before {
			t.Errorf("nobody was told of a row in %s", table)
		}
		s.Exec(t, `SET session_replication_role = replica; DELETE FROM `+table+` WHERE client_id IN (SELECT client_id FROM round_item WHERE state = 'purged'); SET session_replication_role = DEFAULT`)
	}
	s.sweep()
	s.clean()
	s.mustBe(round, deletion.Finished)
}

// stocked adds disconnected clients whose devices were taken off them and lie in stock.
func (s *stage) stocked(n int) []uuid.UUID {
	s.t.Helper()
	ids := s.crowd(s.A, n, "2023-03-14 15:07")
	s.Exec(s.t, `INSERT INTO device (municipality_id, id, code, kind, stock_state) SELECT $1, id, 'S' || id, 'Trygghetsalarm', 'in_stock' FROM unnest($2::uuid[]) id`, s.A, ids)
	s.Exec(s.t, `INSERT INTO device_connection (municipality_id, device_id, client_id, connected_at, disconnected_at) SELECT $1, id, id, $3, $3 FROM unnest($2::uuid[]) id`, s.A, ids, s.Now())
	return ids
}

// D27: a finding carries the client over and enlarges the sample; neither a hurry nor a second control makes it undone.
func TestAFindingCarriesOver(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	s.stocked(12)
	s.at("2023-09-18 08:00")
	s.sweep()
	round := s.roundOn(s.A, "2023-10-01")
	support := func(fn func(ctx context.Context, tx *pg.Tx, checks []deletion.SpotCheck) error) error {
		return s.by(s.A, access.Support, func(ctx context.Context, tx *pg.Tx) error {
			checks, err := deletion.SpotChecks(ctx, tx, round)
			return errors.Join(err, fn(ctx, tx, checks))
		})
	}
	finish := func(ctx context.Context, tx *pg.Tx, _ []deletion.SpotCheck) error {
		return deletion.FinishControl(ctx, tx, round)
	}
	inStock := func(ctx context.Context, tx *pg.Tx, checks []deletion.SpotCheck) (err error) {
		for _, c := range checks {
			if c.Finding == nil {
				err = errors.Join(err, deletion.Find(ctx, tx, round, c.Position, deletion.FoundInStock))
			}
		}
		return err
	}
	control := func() {
		t.Helper()
		s.must(s.by(s.A, access.Support, func(ctx context.Context, tx *pg.Tx) error { return deletion.RequestControl(ctx, tx, round) }))
		s.clean()
	}
	var answers uuid.UUID
	spotted := func() (n int) {
		return s.Count(t, `SELECT count(*) FROM round_item WHERE client_id = $1 AND round_id = $2 AND state = 'blocked' AND reasons = '{spot_check}'`, answers, round)
	}
	control()
	s.must(support(inStock))
	s.must(support(func(ctx context.Context, tx *pg.Tx, checks []deletion.SpotCheck) error {
		if len(checks) != 3 {
			t.Errorf("a sample of %d", len(checks))
		}
		answers = uuid.MustParse(checks[0].Code[1:])
		err := deletion.Find(ctx, tx, round, 1, deletion.FoundStillAnswers)
		// The deviation stands; saying it again is nothing new.
		if again := deletion.Find(ctx, tx, round, 1, deletion.FoundInStock); !conflict(again, "finding_stands") {
			t.Errorf("a deviation was taken back: %v", again)
		}
		return errors.Join(err, deletion.Find(ctx, tx, round, 1, deletion.FoundStillAnswers))
	}))
	if err := support(finish); !conflict(err, "spot_checks_growing") {
		t.Fatalf("the control ends before the finding counts: %v", err)
	}
	s.Exec(t, `DELETE FROM river.river_job`) // the sweep asks again
	s.sweep()
	s.clean()
	if err := support(finish); !conflict(err, "spot_checks_missing") {
		t.Errorf("the control ends before the larger sample was looked for: %v", err)
	}
	if n := s.Count(t, `SELECT count(*) FROM spot_check`); n != 8 || spotted() != 1 {
		t.Errorf("a sample of %d; carried %d", n, spotted())
	}
	control() // again
	if spotted() != 1 {
		t.Error("a second control forgets the finding")
	}
	s.must(support(inStock))
	s.must(support(finish))
	s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error {
		return deletion.Approve(ctx, tx, round, deletion.Approval{})
	})
	s.at("2023-10-01 07:00")
	s.must(s.started(s.A, round))
	s.clean()
	s.mustBe(round, deletion.Finished)
	if w := s.whereabouts(round, answers); w.ItemState != "carried" || w.Reasons != "spot_check" || w.Carried != 1 || w.NextOn != next {
		t.Errorf("%+v", w)
	}
	if p := s.protocol(s.A, round); p.Clients.Purged != 11 || p.SpotChecks.Findings["still_answers"] != 1 || p.SpotChecks.Findings["in_stock"] != 7 {
		t.Errorf("protocol %+v %+v", p.Clients, p.SpotChecks)
	}
}

// There is one device to look for, and it is not found: its client stays, and the control comes to an end.
func TestTheOnlyDeviceIsNotFound(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	s.stocked(1)
	s.crowd(s.A, 2, "2023-03-14 15:07")
	s.at("2023-09-18 08:00")
	s.sweep()
	round := s.roundOn(s.A, "2023-10-01")
	s.as(access.Support, func(ctx context.Context, tx *pg.Tx) error { return deletion.RequestControl(ctx, tx, round) })
	s.clean()
	s.as(access.Support, func(ctx context.Context, tx *pg.Tx) error { return deletion.Find(ctx, tx, round, 1, deletion.FoundNot) })
	s.clean()
	s.as(access.Support, func(ctx context.Context, tx *pg.Tx) error { return deletion.FinishControl(ctx, tx, round) })
	s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error {
		return deletion.Approve(ctx, tx, round, deletion.Approval{})
	})
	if n := s.Count(t, `SELECT approved_count FROM deletion_round WHERE id = $1`, round); n != 2 {
		t.Errorf("approved %d", n)
	}
}

// D11: a round that was not started by the next run date lapses, whatever its state; everybody moves on with the reason
// not_run, and nobody's counter grows by it.
func TestLapse(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	ids := append(s.crowd(s.A, 4, "2023-03-14 15:07"), s.Add(t, personWith()))
	s.AddDevice(t, s.A, ids[4], uuid.Nil)
	other := s.crowd(s.B, 3, "2023-03-14 15:07")
	s.at("2023-09-18 08:00")
	s.sweep()
	a, b := s.roundOn(s.A, "2023-10-01"), s.roundOn(s.B, "2023-10-01")
	s.approved(s.A, a)
	s.at("2023-12-31 23:59")
	s.sweep()
	s.mustBe(a, deletion.Approved)
	s.mustBe(b, deletion.Proposed)
	if got := s.alarms(); got != "overdue 01.10.23" {
		t.Errorf("alarms: %s", got)
	}
	s.at("2024-01-01 00:00")
	s.sweep()
	s.mustBe(a, deletion.Lapsed)
	s.mustBe(b, deletion.Lapsed)
	for i, id := range append(ids, other...) {
		round, carried := a, 0
		if i > 4 {
			round = b
		}
		if i == 4 {
			carried = 1 // by its device, at the approval
		}
		w := s.whereabouts(round, id)
		if !w.There || w.ItemState != "carried" || w.Carried != carried || w.NextOn != map[bool]string{true: next, false: "2024-04-01"}[i == 4] || (i != 4 && w.Reasons != "not_run") {
			t.Errorf("%d: %+v", i, w)
		}
	}
	if err := s.started(s.A, a); !conflict(err, "round_step") {
		t.Errorf("started: %v", err)
	}
	if got := s.alarms(); !strings.HasPrefix(got, "lapsed 01.10.23") {
		t.Errorf("alarms: %s", got)
	}
}

// A round that found clients ready and deleted none of them is an alarm.
func TestNothingDeleted(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	ids := s.crowd(s.A, 2, "2023-03-14 15:07")
	round := s.running(s.A)[0]
	for _, id := range ids {
		s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error { return hold(true)(ctx, tx, victim{id: id}) })
	}
	s.clean()
	s.mustBe(round, deletion.Finished)
	if got := s.alarms(); got != "nothing_deleted 01.10.23" {
		t.Errorf("alarms: %q", got)
	}
}

// D15: a leftover moves from run to run, its counter grows, and the third time is told.
func TestTheThirdCarryOver(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	id := s.Add(t, personWith())
	s.AddDevice(t, s.A, id, uuid.Nil)
	for i, runOn := range []string{"2023-10-01", "2024-01-01", "2024-04-01"} {
		day, err := time.Parse(time.DateOnly, runOn)
		s.must(err)
		s.at(day.AddDate(0, 0, -10).Format(time.DateOnly) + " 08:00")
		s.sweep()
		round := s.roundOn(s.A, runOn)
		s.approved(s.A, round)
		s.at(runOn + " 07:00")
		s.must(s.started(s.A, round))
		s.clean()
		s.mustBe(round, deletion.Finished)
		s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
			p, err := deletion.PlacementOf(ctx, tx, id)
			if p.Carried != i+1 || p.Carried >= deletion.CarryEscalates != (i == 2) || !p.Assessment.Has(retention.DeviceOnClient) {
				t.Errorf("after %s: %+v", runOn, p)
			}
			return err
		})
	}
}

// D14, D7: inside the cooling-off period, and before the day, neither the function nor the database starts a round.
func TestCoolingOff(t *testing.T) {
	s := newStage(t)
	s.Exec(t, `UPDATE municipality_policy SET cooling_off_seconds = 72 * 3600`)
	s.at("2023-03-14 15:07")
	s.crowd(s.A, 3, "2023-03-14 15:07")
	s.at("2023-09-29 07:00")
	s.sweep()
	round := s.roundOn(s.A, "2023-10-01")
	s.approved(s.A, round)
	bySQL := func() error {
		return s.try(access.Operator, func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE deletion_round SET state = 'running', started_by = 902, started_at = $2 WHERE id = $1`, round, tx.Now())
			return err
		})
	}
	for _, c := range []struct{ at, fn, sql string }{
		{"2023-09-29 07:01", "cooling_off", "cooling_off"},
		{"2023-09-30 23:59", "cooling_off", "cooling_off"},
		{"2023-10-02 06:59", "cooling_off", "cooling_off"},
	} {
		s.at(c.at)
		if err := s.started(s.A, round); !conflict(err, c.fn) {
			t.Errorf("at %s: %v", c.at, err)
		}
		if err := bySQL(); !conflict(err, c.sql) {
			t.Errorf("by SQL at %s: %v", c.at, err)
		}
	}
	s.at("2023-10-02 07:00")
	s.must(s.started(s.A, round))
	s.clean()
	s.mustBe(round, deletion.Finished)

	s.crowd(s.B, 1, "2023-03-14 15:07")
	s.Exec(t, `UPDATE municipality_policy SET cooling_off_seconds = 0`)
	s.at("2023-12-18 07:00")
	s.sweep()
	second := s.roundOn(s.A, next)
	s.approved(s.A, second)
	round = second
	s.at("2023-12-31 23:59")
	if err := s.started(s.A, round); !conflict(err, "before_run_date") {
		t.Errorf("before its day: %v", err)
	}
	if err := bySQL(); !conflict(err, "before_run_date") {
		t.Errorf("before its day, by SQL: %v", err)
	}
}

// A hold on an address is released while somebody lives there who lies in a group already.
func TestAReleaseLeavesThosePlacedAlone(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	held := s.Add(t, personWith())
	came := s.Add(t, personWith())
	address := s.AddressOf(t, held)
	s.sweep()
	var first, second uuid.UUID
	for _, id := range []*uuid.UUID{&first, &second} {
		s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) (err error) {
			*id, err = deletion.PlaceHold(ctx, tx, retention.NewHold{AddressID: &address, Reason: "damages", Authority: "Sak 2", ReviewOn: calendar.On(2024, 1, 1)})
			return err
		})
	}
	var street string
	s.must(s.Admin.QueryRow(t.Context(), `SELECT street FROM address WHERE id = $1`, address).Scan(&street))
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		return client.Change(ctx, tx, came, 1, client.Changes{Address: &client.Address{Street: street, Postcode: "1430", Town: "Ås"}})
	})
	for _, id := range []uuid.UUID{first, second} {
		s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error { return retention.AskRelease(ctx, tx, id, "avsluttet") })
		s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error { return deletion.ReleaseHold(ctx, tx, id) })
	}
	for _, id := range []uuid.UUID{held, came} {
		if w := s.whereabouts(0, id); w.NextOn != "2023-10-01" || w.Unplaced != "" {
			t.Errorf("%+v", w)
		}
	}
}

// Who was held with the dwelling and has moved out of it can be given a group at once, without waiting for the sweep.
func TestAMoveOutOfAHeldDwelling(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	id := s.Add(t, personWith())
	s.sweep()
	address := s.AddressOf(t, id)
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		_, err := deletion.PlaceHold(ctx, tx, retention.NewHold{AddressID: &address, Reason: "damages", Authority: "Sak 2", ReviewOn: calendar.On(2024, 1, 1)})
		return err
	})
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		return client.Change(ctx, tx, id, 1, client.Changes{Address: &client.Address{Street: "Ny gate 1", Postcode: "1430", Town: "Ås"}})
	})
	round := s.roundOn(s.A, "2023-10-01")
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error { return deletion.Move(ctx, tx, id, round, "") })
	if w := s.whereabouts(round, id); w.NextOn != "2023-10-01" || w.Unplaced != "" {
		t.Errorf("%+v", w)
	}
}

// The whole list of states and steps: what is not in the table the database refuses, whoever asks.
func TestNoOtherSteps(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	s.sweep()
	round := s.roundOn(s.A, "2023-10-01")
	states := []deletion.State{deletion.Open, deletion.Proposed, deletion.Controlled, deletion.Approved, deletion.Running, deletion.Paused, deletion.Verifying, deletion.Finished, deletion.Cancelled, deletion.Lapsed}
	allowed := []string{
		"open proposed", "open lapsed", "open cancelled", "proposed controlled", "proposed lapsed", "proposed cancelled", "controlled approved",
		"controlled proposed", "controlled lapsed", "controlled cancelled", "approved running", "approved lapsed", "approved cancelled",
		"running paused", "paused running", "running verifying", "verifying finished",
	}
	s.at("2023-10-01 07:00")
	for _, from := range states {
		for _, to := range states {
			if from == to {
				continue
			}
			tx, err := s.Admin.Begin(t.Context())
			s.must(err)
			_, err = tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica`)
			s.must(err)
			_, err = tx.Exec(t.Context(), `UPDATE deletion_round SET state = $2, approved_by = 1, approved_hash = '', cooling_off_until = $3, started_by = 2 WHERE id = $1`, round, from, s.Now())
			s.must(err)
			_, err = tx.Exec(t.Context(), `SET LOCAL session_replication_role = origin`)
			s.must(err)
			_, err = tx.Exec(t.Context(), `SELECT set_config('frist.now', $1, true)`, s.Now().Format(time.RFC3339Nano))
			s.must(err)
			_, err = tx.Exec(t.Context(), `UPDATE deletion_round SET state = $2 WHERE id = $1`, round, to)
			if (err == nil) != slices.Contains(allowed, string(from+" "+to)) {
				t.Errorf("from %s to %s: %v", from, to, err)
			}
			s.must(tx.Rollback(t.Context()))
		}
	}
}
