package deletion_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/google/uuid"
)

// Whoever asks later "who looked at me" gets the answer (T8, D25): by the national id, with the key that lies outside the
// database, in the own municipality, until the log's own day.
func TestWhoLookedIsAnsweredWhenTheClientIsGone(t *testing.T) {
	s := newStage(t)
	const nationalID = "13097248022"
	var gone uuid.UUID
	for _, m := range []int{s.A, s.B} {
		ids := s.crowd(m, 3, "2023-02-01 12:00")
		s.Exec(t, `UPDATE client SET national_id = $2 WHERE id = $1`, ids[0], nationalID)
		s.must(s.by(m, access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
			_, err := client.FindTab(ctx, tx, ids[0], "notes")
			return err
		}))
		if m == s.A {
			gone = ids[0]
		}
	}
	s.running(s.A)
	if errs := s.drain(); len(errs) > 0 {
		t.Fatal(errs)
	}
	if s.exists(gone) {
		t.Fatal("the client is still there")
	}
	purgedAs := func(m int, role access.Role, key []byte) (ids []uuid.UUID, err error) {
		err = s.by(m, role, func(ctx context.Context, tx *pg.Tx) (err error) {
			ids, err = deletion.PurgedAs(ctx, tx, key, nationalID)
			return err
		})
		return ids, err
	}
	for _, c := range []struct {
		m    int
		role access.Role
		key  []byte
		want []uuid.UUID
	}{
		{s.A, access.PrivacyOfficer, s.deps.Key, []uuid.UUID{gone}},
		{s.A, access.Caseworker, s.deps.Key, []uuid.UUID{gone}},
		{s.B, access.PrivacyOfficer, s.deps.Key, nil},
		{s.A, access.PrivacyOfficer, []byte("another key"), nil},
	} {
		if got, err := purgedAs(c.m, c.role, c.key); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("as %s of %d: %v, %v", c.role, c.m, got, err)
		}
	}
	if _, err := purgedAs(s.A, access.Administrator, s.deps.Key); err == nil {
		t.Error("an administrator found who was a client")
	}
	s.must(s.by(s.A, access.PrivacyOfficer, func(ctx context.Context, tx *pg.Tx) error {
		found, err := audit.Lookers(ctx, tx, []uuid.UUID{gone}, time.Time{}, time.Time{})
		if err == nil && (len(found) != 1 || found[0].Opened != 1 || found[0].Role != "caseworker" || found[0].Purposes[0] != "record") {
			t.Errorf("%+v", found)
		}
		return err
	}))
	// The table of the hashes is nobody's to read.
	if err := s.by(s.A, access.PrivacyOfficer, func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `SELECT client_id FROM access_subject`)
		return err
	}); err == nil {
		t.Error("the hashes can be read")
	}
	s.at("2028-10-02 08:00")
	s.sweep()
	if got, err := purgedAs(s.A, access.PrivacyOfficer, s.deps.Key); err != nil || len(got) != 0 {
		t.Errorf("after five years: %v, %v", got, err)
	}
	if n := s.Count(t, `SELECT count(*) FROM access_log WHERE $1 = ANY (client_ids) AND page = 'client.notes'`, gone); n != 0 {
		t.Errorf("%d looks are left after five years", n)
	}
}
