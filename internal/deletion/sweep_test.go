package deletion_test

import (
	"testing"

	"github.com/frist-app/frist/internal/pgtest"
	"github.com/google/uuid"
)

func TestTheSweepKeepsTheHouse(t *testing.T) {
	s := newStage(t)
	s.at("2023-04-10 09:00")

	// P44 a: on 10.04.23 the group of 01.01.24 must exist already.
	s.sweep()
	for _, m := range []int{s.A, s.B} {
		if n := s.Count(t, `SELECT count(*) FROM deletion_round WHERE municipality_id = $1 AND run_on IN ('2023-07-01', '2023-10-01', '2024-01-01', '2024-04-01', '2024-07-01') AND state = 'open'`, m); n != 5 {
			t.Errorf("municipality %d has %d groups ahead", m, n)
		}
	}
	groups := s.Count(t, `SELECT count(*) FROM deletion_round`)
	s.sweep()
	if again := s.Count(t, `SELECT count(*) FROM deletion_round`); again != groups {
		t.Errorf("a second sweep made %d groups more", again-groups)
	}

	// An address that the last resident has left goes; one with a device, a resident or a hold stays.
	moved, stays := s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{})
	empty, withDevice, held := s.AddressOf(t, moved), uuid.New(), uuid.New()
	for _, id := range []uuid.UUID{withDevice, held} {
		s.Exec(t, `INSERT INTO address (municipality_id, id, street, postcode, town) VALUES ($1, $2, $3, '1430', 'Ås')`, s.A, id, id.String())
	}
	s.AddDevice(t, s.A, uuid.Nil, withDevice)
	s.Exec(t, `INSERT INTO hold (municipality_id, address_id, reason, authority, review_on, placed_by, placed_at) VALUES ($1, $2, 'police', 'x', '2030-01-01', 1, now())`, s.A, held)
	s.Exec(t, `UPDATE client SET address_id = $2 WHERE id = $1`, moved, s.AddressOf(t, stays))
	s.sweep()
	for id, want := range map[uuid.UUID]int{empty: 0, withDevice: 1, held: 1, s.AddressOf(t, stays): 1} {
		if n := s.Count(t, `SELECT count(*) FROM address WHERE id = $1`, id); n != want {
			t.Errorf("address %s: %d, want %d", id, n, want)
		}
	}

	// What proves has a period of its own: the day before it is kept, on the day it goes (D4, D28).
	s.Exec(t, `INSERT INTO purged_registration (municipality_id, key_hash, purged_on, expires_on) VALUES ($1, '\x01', '2021-04-10', '2023-04-10'), ($1, '\x02', '2021-04-11', '2023-04-11')`, s.A)
	s.sweep()
	if n := s.Count(t, `SELECT count(*) FROM purged_registration WHERE key_hash = '\x02'`); n != 1 || s.Count(t, `SELECT count(*) FROM purged_registration`) != 1 {
		t.Error("the hash of a purged registration is dropped on its day, not before and not after")
	}
}
