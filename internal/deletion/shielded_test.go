package deletion_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
)

// TestARoundWithoutNames takes a pseudonymous municipality (T10) through a whole round: placed, held, blocked by a device,
// controlled, approved, purged and proved, with nothing but pseudonyms.
func TestARoundWithoutNames(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 10:00")
	turn := func(on bool) error {
		s.as(access.Administrator, func(ctx context.Context, tx *pg.Tx) error {
			terms, err := municipality.TermsOf(ctx, tx)
			if err != nil {
				return err
			}
			terms.Pseudonymous = on
			return municipality.ProposePolicy(ctx, tx, terms)
		})
		return s.try(access.Approver, func(ctx context.Context, tx *pg.Tx) error {
			open, _, err := proposal.List(ctx, tx)
			if err != nil || len(open) != 1 {
				return fmt.Errorf("%d wait: %w", len(open), err)
			}
			return municipality.AcceptPolicy(ctx, tx, open[0].ID)
		})
	}
	s.must(turn(true))
	create := func(n client.New) (id uuid.UUID, err error) {
		n.Status = client.Active
		err = s.try(access.Caseworker, func(ctx context.Context, tx *pg.Tx) (err error) {
			id, err = client.Create(ctx, tx, n)
			return err
		})
		return id, err
	}
	if _, err := create(client.New{GivenName: "Solveig", FamilyName: "Hansen", Phone: "1", Gender: "K", Address: client.Address{Street: "Storgata 1", Postcode: "1430"}}); !errors.As(err, new(problem.Invalid)) {
		t.Errorf("a name: %v", err)
	}
	var goes, held, blocked uuid.UUID
	for pseudonym, id := range map[string]*uuid.UUID{"tj-4711": &goes, "TJ-4712": &held, "X99": &blocked} {
		var err error
		if *id, err = create(client.New{FamilyName: pseudonym}); err != nil {
			t.Fatal(err)
		}
	}
	if err := turn(false); !conflict(err, "has_clients") {
		t.Errorf("turned with clients: %v", err)
	}
	if err := s.by(s.A, access.Caseworker, func(ctx context.Context, tx *pg.Tx) error { return client.AddNote(ctx, tx, goes, "Solveig") }); !conflict(err, "pseudonym_only") {
		t.Errorf("a note: %v", err)
	}
	for _, sql := range []string{
		`UPDATE client SET given_name = 'Solveig' WHERE municipality_id = 1 AND id = $1`,
		`UPDATE client SET family_name = 'HANSEN' WHERE municipality_id = 1 AND id = $1`,
		`UPDATE client SET national_id = '01010112345' WHERE municipality_id = 1 AND id = $1`,
		`UPDATE client SET email = 'a@b.no' WHERE municipality_id = 1 AND id = $1`,
		`INSERT INTO address (municipality_id, street, postcode, town) SELECT 1, 'x', '1430', 'Ås' WHERE $1::uuid IS NOT NULL`,
		`INSERT INTO note (municipality_id, client_id, at, text, entered_by) VALUES (1, $1, now(), 'x', 0)`,
		`INSERT INTO next_of_kin (municipality_id, client_id, name, relation) VALUES (1, $1, 'x', 'x')`,
		`INSERT INTO property VALUES (1, $1, 'x', 'x')`,
		`INSERT INTO client (municipality_id, number, given_name, family_name, status, status_since, created_by, created_at, changed_by, changed_at)
			SELECT 1, '77', 'Ola', 'Vik', 'active', now(), 0, now(), 0, now() WHERE $1::uuid IS NOT NULL`,
	} {
		err := s.try(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.Exec(ctx, sql, goes)
			return err
		})
		if !conflict(err, "pseudonym_only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		search, err := client.SaveSearch(ctx, tx, "TJ-47")
		if err != nil {
			return err
		}
		page, err := client.List(ctx, tx, client.Filter{Search: &search}, client.Cursor{}, 10)
		if err == nil && (len(page.Rows) != 2 || page.Rows[0].Name() != "TJ-4711" || page.Rows[1].Name() != "TJ-4712") {
			t.Errorf("found %+v", page.Rows)
		}
		return err
	})
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		code, err := device.Register(ctx, tx, "300412", "", "Trygghetsalarm")
		if err != nil {
			return err
		}
		return device.Connect(ctx, tx, code, device.Target{Client: blocked})
	})
	for _, id := range []uuid.UUID{goes, held, blocked} {
		s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.Disconnect(ctx, tx, id, deletion.StatusChange{To: client.Disconnected, Reason: "moved"})
			return err
		})
	}
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		_, err := deletion.PlaceHold(ctx, tx, retention.NewHold{ClientID: &held, Reason: "police", Authority: "Sak 1", ReviewOn: calendar.On(2024, 1, 1)})
		return err
	})
	round := s.running(s.A)[0]
	s.clean()
	if w := s.whereabouts(round, goes); w.There || w.ItemState != "purged" {
		t.Errorf("who was due: %+v", w)
	}
	if w := s.whereabouts(round, held); !w.There || w.Unplaced != "held" {
		t.Errorf("who is held: %+v", w)
	}
	if w := s.whereabouts(round, blocked); !w.There || w.Reasons != "device_on_client" {
		t.Errorf("who has a device: %+v", w)
	}
	if left := s.remains([]uuid.UUID{goes}); left != "" {
		t.Errorf("left: %s", left)
	}
	if n := s.Count(t, `SELECT count(*) FROM protocol WHERE municipality_id = $1`, s.A); n != 1 {
		t.Errorf("%d protocols", n)
	}
}

// TestARoundWithProtectedClients: the purge sees what people do not. A device at a hidden dwelling keeps its clients, a
// protected client goes with what was hidden, and the dwelling is shown again for whoever lives on there.
func TestARoundWithProtectedClients(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 10:00")
	home, elsewhere := client.Address{Street: "Skoleveien 4", Postcode: "1430"}, client.Address{Street: "Storgata 9", Postcode: "1430"}
	var gerd, arne, blocked uuid.UUID
	for _, p := range []struct {
		id *uuid.UUID
		n  client.New
	}{
		{&gerd, client.New{GivenName: "Gerd", FamilyName: "Fossum", Phone: "912 34 567", Address: home, Protected: true}},
		{&arne, client.New{GivenName: "Arne", FamilyName: "Fossum", Address: home}},
		{&blocked, client.New{GivenName: "Bo", FamilyName: "Vik", Address: elsewhere, Protected: true}},
	} {
		p.n.Status = client.Active
		s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) (err error) {
			*p.id, err = client.Create(ctx, tx, p.n)
			return err
		})
	}
	// Arne was registered at the open place beside the hidden one; he moves in with her.
	s.Exec(t, `UPDATE client SET address_id = (SELECT address_id FROM client WHERE id = $1) WHERE id = $2`, gerd, arne)
	code := s.AddDevice(t, s.A, uuid.Nil, s.AddressOf(t, blocked))
	for _, id := range []uuid.UUID{gerd, blocked} {
		s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.Disconnect(ctx, tx, id, deletion.StatusChange{To: client.Disconnected, Reason: "moved"})
			return err
		})
	}
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error { // who may not see the dwelling sees that something hangs on it
		p, err := deletion.PlacementOf(ctx, tx, blocked)
		if err == nil && (len(p.Assessment.Blockers) == 0 || p.Assessment.Blockers[len(p.Assessment.Blockers)-1].Code != retention.DeviceOnAddress) {
			t.Errorf("%+v", p.Assessment.Blockers)
		}
		return err
	})
	round := s.running(s.A)[0]
	s.clean()
	if w := s.whereabouts(round, gerd); w.There {
		t.Errorf("who was due: %+v", w)
	}
	if left := s.remains([]uuid.UUID{gerd}); left != "" {
		t.Errorf("left: %s", left)
	}
	if w := s.whereabouts(round, blocked); !w.There || w.Reasons != "device_on_address" {
		t.Errorf("whose dwelling has a device: %+v", w)
	}
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		a, err := client.Find(ctx, tx, arne)
		if err == nil && (a.HomeHidden || a.Address.Street != home.Street) {
			t.Errorf("who lives on there: %+v", a)
		}
		if err != nil {
			return err
		}
		return device.Disconnect(ctx, tx, code) // from a dwelling that the caseworker does not see
	})
}
