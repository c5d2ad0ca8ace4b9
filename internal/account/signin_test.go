package account_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"pgregory.net/rapid"
)

func enter(t *testing.T, env *pgtest.Env, login, word, address string) error {
	t.Helper()
	_, err := account.SignIn(t.Context(), env.DB, login, word, account.Visit{Address: address})
	return err
}

// T16: a password opens the door from a network that the own municipality has approved, and from nowhere else, in the same
// words and with the same work as a wrong one.
func TestPasswordsWorkFromApprovedNetworksOnly(t *testing.T) {
	env := world(t)
	env.Exec(t, `DELETE FROM address_range`)
	env.Exec(t, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES
		(1, '10.1.0.0/16', 'a', 0, now()), (1, '2001:db8:1::/48', 'a', 0, now()), (2, '10.2.0.0/16', 'b', 0, now()), (0, '10.9.0.1/32', 'c', 0, now())`)
	add(t, env, 1, "kari", access.Caseworker)
	add(t, env, 2, "eva", access.Caseworker)
	add(t, env, 0, "ida", access.Support)
	for _, c := range []struct {
		login, address string
		in             bool
	}{
		{"kari", "10.1.0.0", true},
		{"kari", "10.1.255.255", true},
		{"kari", "::ffff:10.1.2.3", true},
		{"kari", "2001:db8:1::7", true},
		{"kari", "2001:db8:1::7%eth0", true},
		{"kari", "10.2.0.1", false},
		{"kari", "10.0.255.255", false},
		{"kari", "10.9.0.1", false},
		{"kari", "2001:db8:2::7", false},
		{"kari", "", false},
		{"kari", "10.1.0.1, 10.1.0.2", false},
		{"kari", "localhost", false},
		{"kari", "10.1.0.1:8080", false},
		{"eva", "10.2.0.1", true},
		{"eva", "10.1.0.1", false},
		{"ida", "10.9.0.1", true},
		{"ida", "10.9.0.2", false},
		{"ida", "10.1.0.1", false},
	} {
		before := account.Hashes()
		err := enter(t, env, c.login, password, c.address)
		if c.in != (err == nil) {
			t.Errorf("%s from %q: %v", c.login, c.address, err)
		}
		if !c.in && err.Error() != enter(t, env, "nobody", password, c.address).Error() {
			t.Errorf("%s from %q is told otherwise than nobody", c.login, c.address)
		}
		if n := account.Hashes() - before; c.in && n != 1 || !c.in && n != 2 {
			t.Errorf("%s from %q: %d hashes", c.login, c.address, n)
		}
	}
	if n := env.Count(t, `SELECT count(*) FROM audit WHERE act = 'sign_in_failed' AND refused AND detail->>'why' = 'network' AND subject_id <> ''`); n != 11 {
		t.Errorf("%d refusals name the network", n)
	}
	// The network comes before everything else: a wrong password from outside says nothing about the account either.
	if err := enter(t, env, "kari", "wrong", "192.0.2.77"); !errors.As(err, new(problem.Invalid)) {
		t.Error(err)
	}
	env.Exec(t, `DELETE FROM address_range WHERE municipality_id = 1`)
	if enter(t, env, "kari", password, "10.1.0.0") == nil {
		t.Error("a municipality without networks takes passwords")
	}
}

func TestTheHighestLevelTakesNoPassword(t *testing.T) {
	env := world(t)
	add(t, env, 1, "kari", access.Caseworker)
	add(t, env, 2, "eva", access.Caseworker)
	env.Exec(t, `INSERT INTO municipality_policy (municipality_id, cooling_off_seconds, spot_check_size, chunk_size, max_share_percent, highest_level) VALUES (1, 0, 3, 4, 100, true)`)
	var forbidden problem.Forbidden
	if err := enter(t, env, "kari", password, "192.0.2.1"); !errors.As(err, &forbidden) || forbidden.Code != "highest_level" {
		t.Errorf("right password: %v", err)
	}
	if err := enter(t, env, "kari", "wrong", "192.0.2.1"); !errors.As(err, new(problem.Invalid)) {
		t.Errorf("wrong password: %v", err)
	}
	if err := enter(t, env, "eva", password, "192.0.2.1"); err != nil {
		t.Errorf("the other municipality: %v", err)
	}
	if n := env.Count(t, `SELECT count(*) FROM session WHERE account_id = (SELECT id FROM account WHERE login = 'kari')`); n != 0 {
		t.Error("a session all the same")
	}
}

func TestAccountsOfProgramsNeverSignIn(t *testing.T) {
	env := world(t)
	id := add(t, env, 1, "robot", access.Caseworker)
	env.Exec(t, `UPDATE account SET password_hash = NULL, machine = true WHERE id = $1`, id)
	if enter(t, env, "robot", password, "192.0.2.1") == nil {
		t.Error("a program signed in")
	}
	if _, err := account.SignInDemo(t.Context(), env.DB, "robot"); err == nil {
		t.Error("a program was a persona")
	}
}

// Ten thousand wrong passwords over a day and many addresses: refused, counted, and the work is bounded by the delays, the
// same for a login that is there and one that is not.
func TestWrongPasswordsAreSlowedAndTheirWorkIsBounded(t *testing.T) {
	tries := 1500
	if os.Getenv("FRIST_PROOF") != "" {
		tries = 10_000
	}
	var work []int64
	for _, login := range []string{"kari", "nobody"} {
		env := world(t)
		add(t, env, 1, "kari", access.Caseworker)
		begin, before := env.Now(), account.Hashes()
		refused := 0
		for i := range tries {
			env.SetNow(begin.Add(time.Duration(i) * 24 * time.Hour / time.Duration(tries)))
			err := enter(t, env, login, "wrong", "192.0.2.1")
			if !errors.As(err, new(problem.Invalid)) && !errors.As(err, new(problem.TooMany)) {
				t.Fatal(err)
			}
			refused++
		}
		n := account.Hashes() - before
		work = append(work, n)
		if refused != tries || n > 110 {
			t.Errorf("%s: %d refused, %d hashes", login, refused, n)
		}
		if counted := env.Count(t, `SELECT count(*) FROM audit WHERE act = 'sign_in_failed' AND refused`); int64(counted) != n {
			t.Errorf("%s: %d of %d recorded", login, counted, n)
		}
		// The owner is not locked out: from another approved address the right password opens at once.
		if login == "kari" {
			if err := enter(t, env, "kari", password, "192.0.2.200"); err != nil {
				t.Errorf("the owner elsewhere: %v", err)
			}
		}
	}
	if work[0] != work[1] {
		t.Errorf("known and unknown cost %v", work)
	}
}

func TestOneAddressIsSlowedOverManyLogins(t *testing.T) {
	env := world(t)
	add(t, env, 1, "kari", access.Caseworker)
	for i := range 50 {
		if err := enter(t, env, fmt.Sprint("nobody", i), "wrong", "192.0.2.1"); !errors.As(err, new(problem.Invalid)) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	var many problem.TooMany
	if err := enter(t, env, "nobody50", "wrong", "192.0.2.1"); !errors.As(err, &many) || many.RetryAfterSeconds != 2 {
		t.Errorf("the 51st login: %v", err)
	}
	if err := enter(t, env, "kari", password, "192.0.2.2"); err != nil {
		t.Errorf("another address: %v", err)
	}
	env.SetNow(env.Now().Add(2 * time.Second))
	if err := enter(t, env, "kari", password, "192.0.2.1"); err != nil {
		t.Errorf("the same address after two seconds: %v", err)
	}
	for range 100 { // however many failures, never more than a minute
		env.Exec(t, `UPDATE sign_in_failure SET failures = 100000`)
	}
	if err := enter(t, env, "nobody77", "wrong", "192.0.2.1"); !errors.As(err, &many) || many.RetryAfterSeconds > 60 {
		t.Errorf("after very many: %v", err)
	}
}

func TestOneLoginIsSlowedOverManyAddressesAndNeverShut(t *testing.T) {
	env := world(t)
	add(t, env, 1, "kari", access.Caseworker)
	for i := range 100 {
		if err := enter(t, env, "kari", "wrong", fmt.Sprintf("192.0.2.%d", i)); !errors.As(err, new(problem.Invalid)) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	var many problem.TooMany
	if err := enter(t, env, "kari", password, "192.0.2.7"); !errors.As(err, &many) || many.RetryAfterSeconds != 60 {
		t.Errorf("an address that has failed: %v", err)
	}
	if err := enter(t, env, "kari", password, "192.0.2.250"); err != nil {
		t.Errorf("an address that has not: %v", err)
	}
	env.SetNow(env.Now().Add(time.Minute))
	if err := enter(t, env, "kari", password, "192.0.2.7"); err != nil {
		t.Errorf("after a minute: %v", err)
	}
}

// The counts lie in the database: what was tried at one process counts at the other.
func TestTheDelayHoldsOverProcessesAndAtOnce(t *testing.T) {
	env := world(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	before, worked := account.Hashes(), 0
	for i := range 30 {
		wg.Go(func() {
			err := enter(t, env, fmt.Sprint("nobody", i%3), "wrong", fmt.Sprint("192.0.2.", i%2))
			mu.Lock()
			defer mu.Unlock()
			if errors.As(err, new(problem.Invalid)) {
				worked++
			}
		})
	}
	wg.Wait()
	if n := account.Hashes() - before; worked != 18 || n != 18 { // three for each of six pairs
		t.Errorf("%d worked, %d hashes", worked, n)
	}
}

func TestWhatPeopleMustNotChoose(t *testing.T) {
	own := []string{"kari.nordmann", "Kari Nordmann", "Ås", "Nordre Follo", "trygghetsalarm"}
	for word, code := range map[string]string{
		"passordpassord":                "",
		"aaaaaaaaaaaaaaaa":              "repeated",
		"abababababababab":              "repeated",
		"hemmelighemmelig":              "repeated",
		"abcabcabcabcabcabc":            "repeated",
		"abcdefghijklmnop":              "sequence",
		"zyxwvutsrqponmlk":              "sequence",
		"1234567890123456":              "sequence",
		"qwertyuiopåasdfgh":             "sequence",
		"qwertyuiopasdfghjkl":           "sequence",
		"password1234567":               "common",
		"p@ssw0rd!!!!!!!":               "common",
		"!!!!!!!baseball":               "common",
		"karinordmann12345":             "own_word",
		"Kari.Nordmann!!!1":             "own_word",
		"Nordre Follo 2024":             "own_word",
		"trygghetsalarm24":              "own_word",
		"trygghetsalarmtrygghetsalarm1": "own_word",
		"fire ord som ikke henger":      "",
		"correct horse battery":         "",
		"kari liker grønn sjokolade":    "",
		"blå sykkel over Ås":            "",
	} {
		err := account.Guessable(word, own...)
		got := ""
		var invalid problem.Invalid
		if errors.As(err, &invalid) {
			got = invalid.Fields[0].Code
		}
		if code != "" && got != code {
			t.Errorf("%q: %q, want %q", word, got, code)
		}
		if code == "" && strings.Contains(word, " ") && strings.Count(word, " ") > 1 && got != "" {
			t.Errorf("%q is refused: %s", word, got)
		}
	}
	// Random words, as people are asked to choose, are never refused.
	letters := []rune("abcdefghijklmnoprstuvyæøå")
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom(letters), 4, 9, -1), 4, 6).Draw(t, "words")
		word := strings.Join(words, " ")
		different := map[rune]bool{}
		for _, r := range word {
			different[r] = true
		}
		if len(different) < 8 {
			t.Skip("no words")
		}
		if err := account.Guessable(word); err != nil {
			var invalid problem.Invalid
			if errors.As(err, &invalid) && invalid.Fields[0].Code == "sequence" {
				t.Skip("drawn out of order")
			}
			t.Fatalf("%q: %v", word, err)
		}
	})
}
