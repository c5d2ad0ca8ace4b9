package account_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/problem"
)

const another = "blå sykkel over fjorden"

func TestALinkForALostFactor(t *testing.T) {
	d := newDoor(t)
	id := add(t, d.Env, 1, "adm", access.Administrator)
	_, inside := d.code(d.enter("adm").Token)
	n := 0
	hand := func(purpose string) string {
		t.Helper()
		n++
		token := fmt.Sprint("handed out ", n)
		d.Exec(t, `INSERT INTO account_link (token_hash, account_id, purpose, made_by, created_at, expires_at) VALUES (sha256($1::bytea), $2, $3, 99, $4::timestamptz, $4::timestamptz + interval '1 hour')`,
			[]byte(token), id, purpose, d.Now())
		return token
	}
	reset := hand(account.LinkReset)
	token := hand(account.LinkFactor)
	if err := d.TakeUp(t.Context(), d.DB, token, another); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("a link for a factor gave a password: %v", err)
	}
	if err := d.TakeFactorsAway(t.Context(), d.DB, reset, password, here); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("a link for a password took the factor away: %v", err)
	}
	if err := d.TakeFactorsAway(t.Context(), d.DB, token, "wrong", here); !wrongField(err, "password") {
		t.Errorf("without the password: %v", err)
	}
	if err := d.TakeFactorsAway(t.Context(), d.DB, token, password, account.Visit{Address: "198.51.100.1"}); !errors.As(err, new(problem.Forbidden)) {
		t.Errorf("from a strange network: %v", err)
	}
	if err := d.TakeFactorsAway(t.Context(), d.DB, token, password, here); err != nil {
		t.Fatal(err)
	}
	if alive(t, d.Env, inside) {
		t.Error("a session outlived it")
	}
	if err := d.TakeFactorsAway(t.Context(), d.DB, token, password, here); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("twice: %v", err)
	}
	if _, err := account.LookAtLink(t.Context(), d.DB, reset); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("another link of the account is still good: %v", err)
	}
	if o := d.enter("adm"); o.Pending != account.PendingEnrol {
		t.Errorf("pending %q", o.Pending)
	}
	// A new password leaves the second factor where it is.
	secret, _ := d.code(d.enter("adm").Token)
	token = hand(account.LinkReset)
	if err := d.TakeUp(t.Context(), d.DB, token, another); err != nil {
		t.Fatal(err)
	}
	o, err := account.SignIn(t.Context(), d.DB, "adm", another, here)
	if err != nil || o.Pending != account.PendingFactor {
		t.Errorf("%q %v", o.Pending, err)
	}
	d.wall = d.wall.Add(time.Minute)
	if _, err := d.confirm(o.Token, account.Proof{Code: d.now(secret)}); err != nil {
		t.Error(err)
	}
	if err := enter(t, d.Env, "adm", password, here.Address); err == nil {
		t.Error("the old password works")
	}
	// Two who come with one link do not both get in.
	token = hand(account.LinkReset)
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 4 {
		wg.Go(func() {
			if err := d.TakeUp(t.Context(), d.DB, token, another); err == nil {
				mu.Lock()
				taken++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if taken != 1 {
		t.Errorf("%d took one link", taken)
	}
	for _, bad := range []string{"", "x", token + "x"} {
		if _, err := account.LookAtLink(t.Context(), d.DB, bad); !errors.As(err, new(problem.NotFound)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	token = hand(account.LinkReset)
	d.Exec(t, `UPDATE account SET disabled_at = now() WHERE id = $1`, id)
	if err := d.TakeUp(t.Context(), d.DB, token, another); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("a link of a disabled account: %v", err)
	}
}
