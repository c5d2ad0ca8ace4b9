package account_test

import (
	"errors"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const password = "correct horse battery"

var hereAddr = netip.MustParseAddr("192.0.2.1")

func world(t *testing.T) *pgtest.Env {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1), (2)`)
	env.Exec(t, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) SELECT m, '192.0.2.0/24', 'town hall', 0, now() FROM unnest('{0,1,2}'::int[]) m`)
	audit.RecordRefusals(env.DB)
	return env
}

func add(t *testing.T, env *pgtest.Env, municipality int, login string, roles ...access.Role) int64 {
	t.Helper()
	id, number, err := account.CreateFirst(t.Context(), env.DB, account.New{Municipality: municipality, Login: login, Name: "Name " + login, Password: password, Roles: roles})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^S-[0-9]{5}$`).MatchString(number) {
		t.Errorf("staff number %s", number)
	}
	return id
}

func signIn(t *testing.T, env *pgtest.Env, login string) string {
	t.Helper()
	opened, err := account.SignIn(t.Context(), env.DB, login, password, account.Visit{Address: "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	return opened.Token
}

func alive(t *testing.T, env *pgtest.Env, token string) bool {
	t.Helper()
	_, _, err := account.Resolve(t.Context(), env.DB, token)
	if err != nil && !errors.As(err, new(problem.Unauthenticated)) {
		t.Fatal(err)
	}
	return err == nil
}

func TestSignInAndOut(t *testing.T) {
	env := world(t)
	id := add(t, env, 1, "kari", access.Caseworker, access.Approver)
	token := signIn(t, env, " KARI ")
	caller, profile, err := account.Resolve(t.Context(), env.DB, token)
	if err != nil || caller.Account != id || caller.Municipality != 1 || !caller.Has(access.Approver) || caller.Name != "Name kari" ||
		len(caller.Session) != 32 || profile != (account.Profile{Language: "nb", Scheme: "auto"}) || caller.Key {
		t.Errorf("%+v %+v %v", caller, profile, err)
	}
	if env.Count(t, `SELECT count(*) FROM session WHERE encode(token_hash, 'escape') LIKE '%' || $1 || '%'`, token) != 0 {
		t.Error("the token itself is stored")
	}
	if err := account.SetLanguage(t.Context(), env.DB, caller, "en"); err != nil {
		t.Error(err)
	}
	if err := account.SetScheme(t.Context(), env.DB, caller, "dark"); err != nil {
		t.Error(err)
	}
	if err := account.SetScheme(t.Context(), env.DB, caller, "pink"); !errors.As(err, new(problem.Invalid)) {
		t.Errorf("pink: %v", err)
	}
	if _, profile, _ = account.Resolve(t.Context(), env.DB, token); profile != (account.Profile{Language: "en", Scheme: "dark"}) {
		t.Errorf("%+v", profile)
	}
	env.Exec(t, `INSERT INTO stored_search (municipality_id, account_id, session_hash, terms, created_at) VALUES (1, $1, $2, '{}', now())`, id, caller.Session)
	for range 2 {
		if err := account.SignOut(t.Context(), env.DB, token); err != nil {
			t.Error(err)
		}
	}
	if alive(t, env, token) || env.Count(t, `SELECT count(*) FROM stored_search`) != 0 {
		t.Error("the session or its searches outlived the sign-out")
	}
	for _, act := range []string{"signed_in", "signed_out"} {
		if n := env.Count(t, `SELECT count(*) FROM audit WHERE municipality_id = 1 AND act = $1 AND account_id = $2 AND role = 'caseworker'`, act, id); n != 1 {
			t.Errorf("%s: %d rows of audit", act, n)
		}
	}
}

func TestUnknownWrongAndDisabledAnswerAlike(t *testing.T) {
	env := world(t)
	add(t, env, 1, "kari", access.Caseworker)
	gone := add(t, env, 1, "gone", access.Caseworker)
	if err := account.Disable(t.Context(), env.DB, access.SystemFor(0), gone); err != nil {
		t.Fatal(err)
	}
	var answers []string
	for _, c := range []struct{ login, password string }{{"kari", "wrong"}, {"nobody", "wrong"}, {"nobody", password}, {"gone", password}, {"gone", ""}, {strings.Repeat("x", 1000), "x"}, {"kari", strings.Repeat("x", 10_000)}} {
		_, err := account.SignIn(t.Context(), env.DB, c.login, c.password, account.Visit{Address: "192.0.2.1"})
		if !errors.As(err, new(problem.Invalid)) {
			t.Fatal(err)
		}
		answers = append(answers, err.Error())
	}
	for _, a := range answers {
		if a != answers[0] {
			t.Errorf("%q differs from %q", a, answers[0])
		}
	}
	if n := env.Count(t, `SELECT count(*) FROM audit WHERE act = 'sign_in_failed' AND refused AND account_id = 0`); n != 5 {
		t.Errorf("%d failures recorded", n)
	}
	if n := env.Count(t, `SELECT count(*) FROM audit WHERE act = 'sign_in_failed' AND municipality_id = 1`); n != 3 {
		t.Errorf("%d failures recorded for the municipality", n)
	}
}

func TestTheDelayGrowsAndIsForOneAddress(t *testing.T) {
	env := world(t)
	add(t, env, 1, "kari", access.Caseworker)
	try := func(login, password, address string) error {
		_, err := account.SignIn(t.Context(), env.DB, login, password, account.Visit{Address: address})
		return err
	}
	for _, login := range []string{"kari", "nobody"} { // known and unknown behave alike
		for i, wait := range []int{0, 0, 0, 2, 4, 8} {
			if wait > 0 {
				var many problem.TooMany
				if err := try(login, password, "192.0.2.1"); !errors.As(err, &many) || many.RetryAfterSeconds != wait {
					t.Fatalf("%s: before try %d: %v", login, i+1, err)
				}
				env.SetNow(env.Now().Add(time.Duration(wait)*time.Second - time.Millisecond))
				if err := try(login, password, "192.0.2.1"); !errors.As(err, &many) {
					t.Fatalf("%s: a millisecond too early: %v", login, err)
				}
				env.SetNow(env.Now().Add(time.Millisecond))
			}
			if err := try(login, "wrong", "192.0.2.1"); !errors.As(err, new(problem.Invalid)) {
				t.Fatalf("%s: try %d: %v", login, i+1, err)
			}
		}
	}
	if err := try("kari", password, "192.0.2.2"); err != nil {
		t.Errorf("another address is shut out too: %v", err)
	}
	env.SetNow(env.Now().Add(16 * time.Second))
	if err := try("kari", password, "192.0.2.1"); err != nil {
		t.Error(err)
	}
	if err := try("kari", "wrong", "192.0.2.1"); !errors.As(err, new(problem.Invalid)) {
		t.Errorf("a success does not forget the failures: %v", err)
	}
}

func TestManyTriesAtOnceDoNotPassTheDelay(t *testing.T) {
	env := world(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	worked := 0
	for range 12 {
		wg.Go(func() {
			_, err := account.SignIn(t.Context(), env.DB, "nobody", "wrong", account.Visit{Address: "192.0.2.1"})
			mu.Lock()
			defer mu.Unlock()
			if errors.As(err, new(problem.Invalid)) {
				worked++
			}
		})
	}
	wg.Wait()
	if worked != 3 {
		t.Errorf("%d of 12 passwords were tried", worked)
	}
}

func TestASessionEnds(t *testing.T) {
	env := world(t)
	id := add(t, env, 1, "kari", access.Caseworker)
	start := env.Now()
	token := signIn(t, env, "kari")
	env.SetNow(start.Add(30*time.Minute - time.Second))
	if !alive(t, env, token) {
		t.Error("ended before half an hour")
	}
	env.SetNow(start.Add(60*time.Minute - 2*time.Second))
	if !alive(t, env, token) {
		t.Error("use did not keep it")
	}
	env.SetNow(start.Add(90*time.Minute - 2*time.Second))
	if alive(t, env, token) {
		t.Error("idle for half an hour, and alive")
	}
	token = signIn(t, env, "kari")
	opened := env.Now()
	for env.Now().Add(20 * time.Minute).Before(opened.Add(10 * time.Hour)) {
		env.SetNow(env.Now().Add(20 * time.Minute))
		if !alive(t, env, token) {
			t.Fatal("ended while in use")
		}
	}
	env.SetNow(opened.Add(10*time.Hour - time.Second))
	if !alive(t, env, token) {
		t.Error("ended before ten hours")
	}
	env.SetNow(opened.Add(10 * time.Hour))
	if alive(t, env, token) {
		t.Error("alive after ten hours")
	}

	token = signIn(t, env, "kari")
	if n := env.Count(t, `SELECT count(*) FROM session`); n != 1 {
		t.Errorf("%d sessions are kept", n)
	}
	if err := account.Travel(t.Context(), env.DB, 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	env.SetNow(env.Now().AddDate(0, 0, 90))
	if !alive(t, env, token) {
		t.Error("a turned clock signed out")
	}
	if err := account.Disable(t.Context(), env.DB, access.SystemFor(0), id); err != nil {
		t.Fatal(err)
	}
	if alive(t, env, token) {
		t.Error("a disabled account is signed in")
	}
	env.SetNow(env.Now().AddDate(0, 0, 2))
	if err := account.Sweep(t.Context(), env.DB); err != nil {
		t.Fatal(err)
	}
	if n := env.Count(t, `SELECT (SELECT count(*) FROM session) + (SELECT count(*) FROM sign_in_failure)`); n != 0 {
		t.Errorf("%d rows left", n)
	}
}

func TestSeenIsWrittenOnceAMinute(t *testing.T) {
	env := world(t)
	add(t, env, 1, "kari", access.Caseworker)
	token := signIn(t, env, "kari")
	start := env.Now()
	for _, c := range []struct {
		after time.Duration
		moved int
	}{{59 * time.Second, 0}, {time.Minute, 1}} {
		env.SetNow(start.Add(c.after))
		alive(t, env, token)
		if n := env.Count(t, `SELECT count(*) FROM session WHERE seen_at > created_at`); n != c.moved {
			t.Errorf("after %s: %d", c.after, n)
		}
	}
}

func TestKeys(t *testing.T) {
	env := world(t)
	id := add(t, env, 0, "ida", access.Support)
	plain, err := account.NewKey(t.Context(), env.DB, id, nil, 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	deciding, err := account.NewKey(t.Context(), env.DB, id, []string{account.ScopeDecide}, 48*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	start := env.Now()
	for _, c := range []struct {
		key     string
		after   time.Duration
		valid   bool
		decides bool
	}{
		{plain, 0, true, false},
		{deciding, 12*time.Hour - time.Second, true, true},
		{deciding, 12 * time.Hour, true, false},
		{deciding, 48*time.Hour - time.Second, true, false},
		{deciding, 48 * time.Hour, false, false},
		{"frist_x", 0, false, false},
	} {
		env.SetNow(start.Add(c.after))
		caller, err := account.ResolveKey(t.Context(), env.DB, c.key, hereAddr)
		if (err == nil) != c.valid || caller.Can(access.OrderPlace) != c.decides || (c.valid && !caller.Key) {
			t.Errorf("after %s: %+v %v", c.after, caller, err)
		}
	}
	env.SetNow(start)
	if alive(t, env, plain) {
		t.Error("a key opened a session")
	}
	if _, err := account.ResolveKey(t.Context(), env.DB, signIn(t, env, "ida"), hereAddr); !errors.As(err, new(problem.Unauthenticated)) {
		t.Errorf("a session's token is taken as key: %v", err)
	}
	for _, c := range []struct {
		scopes []string
		ttl    time.Duration
	}{{[]string{"all"}, time.Hour}, {nil, 0}, {nil, 366 * 24 * time.Hour}} {
		if _, err := account.NewKey(t.Context(), env.DB, id, c.scopes, c.ttl); !errors.As(err, new(problem.Invalid)) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if err := account.Disable(t.Context(), env.DB, access.SystemFor(0), id); err != nil {
		t.Fatal(err)
	}
	if _, err := account.ResolveKey(t.Context(), env.DB, plain, hereAddr); !errors.As(err, new(problem.Unauthenticated)) {
		t.Errorf("a disabled account's key: %v", err)
	}
}

func TestWhoMayEndAccounts(t *testing.T) {
	env := world(t)
	kari, eva := add(t, env, 1, "kari", access.Caseworker), add(t, env, 2, "eva", access.Caseworker)
	caller := func(id int64, municipality int, role access.Role) access.Caller {
		return access.Caller{Account: id, Municipality: municipality, Roles: []access.Role{role}}
	}
	admin, platform := caller(100, 1, access.Administrator), caller(101, 0, access.PlatformAdministrator)
	token := signIn(t, env, "eva")
	for _, by := range []access.Caller{admin, caller(kari, 1, access.Caseworker), platform} {
		for name, err := range map[string]error{"end": account.EndSessions(t.Context(), env.DB, by, eva), "disable": account.Disable(t.Context(), env.DB, by, eva)} {
			if !errors.As(err, new(problem.NotFound)) {
				t.Errorf("%s by %v: %v", name, by.Roles, err)
			}
		}
	}
	if !alive(t, env, token) {
		t.Error("ended by a stranger")
	}
	if err := account.EndSessions(t.Context(), env.DB, caller(eva, 2, access.Caseworker), eva); err != nil || alive(t, env, token) {
		t.Errorf("own sessions: %v", err)
	}
}

func TestNewIsChecked(t *testing.T) {
	env := world(t)
	good := account.New{Municipality: 1, Login: "a", Name: "A", Password: password, Roles: []access.Role{access.Caseworker}}
	add(t, env, 1, "taken", access.Caseworker)
	for field, change := range map[string]func(*account.New){
		"login=taken":        func(n *account.New) { n.Login = "TAKEN" },
		"login=required":     func(n *account.New) { n.Login = " " },
		"login=login_form":   func(n *account.New) { n.Login = "a b" },
		"name=required":      func(n *account.New) { n.Name = " " },
		"password=too_short": func(n *account.New) { n.Password = "14 runes: åååå" },
		"password=too_long":  func(n *account.New) { n.Password = strings.Repeat("å", 513) },
		"roles=required":     func(n *account.New) { n.Roles = nil },
		"roles=role_mix":     func(n *account.New) { n.Roles = []access.Role{access.Caseworker, access.Support} },
	} {
		n := good
		change(&n)
		if _, _, err := account.CreateFirst(t.Context(), env.DB, n); err == nil || err.Error() != "invalid: "+field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, c := range []struct {
		account.New
		want string
	}{
		{account.New{Municipality: 1, Roles: []access.Role{access.Operator}}, "role_no_municipality"},
		{account.New{Municipality: 0, Roles: []access.Role{access.Caseworker}}, "role_municipality"},
		{account.New{Municipality: 0, Roles: []access.Role{access.Operator, access.Support}}, "role_mix"},
		{account.New{Municipality: 1, Roles: []access.Role{access.System}}, "role_unknown"},
		{account.New{Municipality: 1, Roles: []access.Role{"king"}}, "role_unknown"},
	} {
		n := c.New
		n.Login, n.Name, n.Password = "b", "B", password
		if _, _, err := account.CreateFirst(t.Context(), env.DB, n); err == nil || err.Error() != "invalid: roles="+c.want {
			t.Errorf("%v in %d: %v", n.Roles, n.Municipality, err)
		}
	}
}

func TestStaffIsTheOwnMunicipalitys(t *testing.T) {
	env := world(t)
	kari := add(t, env, 1, "kari", access.Caseworker, access.Approver)
	add(t, env, 2, "eva", access.Caseworker)
	for _, c := range []struct {
		caller access.Caller
		want   int
	}{
		{access.Caller{Account: kari, Municipality: 1, Roles: []access.Role{access.Caseworker}}, 1},
		{access.Caller{Account: 9, Roles: []access.Role{access.Support}}.In(1), 0},
		{access.SystemFor(1), 0},
	} {
		err := env.DB.InTx(t.Context(), c.caller, func(tx *pg.Tx) error {
			staff, err := account.Staff(t.Context(), tx)
			if err != nil || len(staff) != c.want || (c.want == 1 && (staff[kari].Name != "Name kari" || len(staff[kari].Roles) != 2)) {
				t.Errorf("%v: %+v %v", c.caller.Roles, staff, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestPersonasNeedNoPasswordInADemoOnly(t *testing.T) {
	env := world(t)
	add(t, env, 1, "kari", access.Caseworker)
	if token, err := account.SignInDemo(t.Context(), env.DB, "kari"); err != nil || !alive(t, env, token) {
		t.Errorf("in a demo: %v", err)
	}
	if _, err := account.SignInDemo(t.Context(), env.DB, "nobody"); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("unknown: %v", err)
	}
	env.Exec(t, `ALTER TABLE installation DISABLE TRIGGER stamped_once`)
	env.Exec(t, `UPDATE installation SET demo = false`)
	if _, err := account.SignInDemo(t.Context(), env.DB, "kari"); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("outside a demo: %v", err)
	}
}
