package account_test

import (
	"errors"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
)

// A key that is somebody's and opens nothing any more leaves a row; a key that is nobody's leaves none.
func TestARefusedKeyIsOnRecord(t *testing.T) {
	w := pgtest.NewWorld(t)
	owner := w.As(access.Caseworker, w.A)
	key, err := account.NewKey(t.Context(), w.DB, owner.Account, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := account.ResolveKey(t.Context(), w.DB, key); err != nil {
		t.Fatal(err)
	}
	w.SetNow(w.Now().Add(2 * time.Hour))
	for _, k := range []string{key, "frist_nobodys", "nonsense"} {
		if _, err := account.ResolveKey(t.Context(), w.DB, k); !errors.As(err, new(problem.Unauthenticated)) {
			t.Errorf("%v", err)
		}
	}
	if n := w.Count(t, `SELECT count(*) FROM audit WHERE act = 'key_refused'`); n != 1 {
		t.Errorf("%d rows", n)
	}
	if n := w.Count(t, `SELECT count(*) FROM audit WHERE act = 'key_refused' AND refused AND municipality_id = $1 AND account_id = 0 AND subject_id = $2::text AND organisation = 'unknown'`, w.A, "101"); n != 1 {
		t.Error("the row does not say whose key it was")
	}
}
