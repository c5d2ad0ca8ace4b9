package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// How long things last.
const (
	idle        = 30 * time.Minute // a session that nobody uses
	absolute    = 10 * time.Hour   // any session: one working day
	forget      = 24 * time.Hour   // a failed sign-in
	longestWait = 15 * time.Minute
)

// Argon2id as OWASP's minimum asks: 19 MiB, two passes, one lane.
var params = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// hashing bounds how many passwords are worked on at once, so that a flood of sign-ins cannot take all memory.
var hashing = make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))

func withRoom(ctx context.Context, work func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
		return work()
	case <-ctx.Done():
		return problem.Unavailable{What: "sign_in"}
	}
}

func hashPassword(ctx context.Context, password string) (hash string, err error) {
	err = withRoom(ctx, func() error {
		hashes.Add(1)
		hash, err = argon2id.CreateHash(password, &params)
		return err
	})
	return hash, err
}

// nobodys is what an unknown login's password is compared with, so that the answer takes as long as a known one's.
var nobodys = sync.OnceValues(func() (string, error) { return argon2id.CreateHash(rand.Text(), &params) })

// errSignIn is the one answer to everything that was wrong: unknown login, wrong password, disabled account.
func errSignIn() error { return problem.InvalidField("login", "sign_in", nil) }

// Why a sign-in was refused, for the audit row; the person is told none of it.
const (
	refusedPassword = "password"
	refusedNetwork  = "network"
	refusedDisabled = "disabled"
	refusedLevel    = "level"
)

// SignIn opens a session and gives the value for the cookie. A password opens the door only from a network that the
// account's municipality has approved (T16). Unknown login, wrong password, disabled account and a strange network cost
// the same work and get the same answer (problem.Invalid, code sign_in); the audit row says which it was. Where the
// municipality demands the highest level, a right password is told so (problem.Forbidden, code highest_level). The
// session may be half open: see Opened. Tries are slowed as take describes (problem.TooMany).
func SignIn(ctx context.Context, db *pg.DB, login, password string, visit Visit) (Opened, error) {
	login = normal(login)
	if len(login) > 100 || len(password) > 4*LongestPassword {
		return Opened{}, errSignIn()
	}
	keys := keysOf(login, visit.Address)
	var found doorAccount
	err := db.SignIn(ctx, func(tx *pg.Tx) (err error) {
		if err := take(ctx, tx, keys); err != nil {
			return err
		}
		found, err = findAtDoor(ctx, tx, `login = $1`, login, visit)
		return err
	})
	if err != nil {
		return Opened{}, err
	}
	right, err := compare(ctx, password, found.hash)
	if err != nil {
		return Opened{}, err
	}
	why := found.refused(right)
	if why != "" {
		if err := refuseAtDoor(ctx, db, found, why); err != nil {
			return Opened{}, err
		}
		if why == refusedLevel {
			return Opened{}, problem.Forbidden{Code: "highest_level"}
		}
		return Opened{}, errSignIn()
	}
	var opened Opened
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		forgive(tx, keys)
		opened, err = open(ctx, tx, `id = $1`, found.id, method{name: "password", visit: visit})
		if errors.Is(err, pgx.ErrNoRows) {
			return errSignIn() // disabled in between
		}
		return err
	})
	return opened, err
}

// doorAccount is an account as a password meets it.
type doorAccount struct {
	id           int64
	municipality int
	hash         string
	disabled     bool
	approved     bool // the visit comes from a network of the municipality
	highest      bool // the municipality takes no passwords
}

// findAtDoor finds the account, with what its municipality demands; the zero doorAccount when there is none.
func findAtDoor(ctx context.Context, tx *pg.Tx, where string, arg any, visit Visit) (found doorAccount, err error) {
	err = tx.QueryRow(ctx, `SELECT a.id, coalesce(a.municipality_id, 0), coalesce(a.password_hash, ''), a.disabled_at IS NOT NULL OR a.machine,
			EXISTS (SELECT FROM address_range r WHERE r.municipality_id = coalesce(a.municipality_id, 0) AND r.network >>= $2::inet),
			coalesce((SELECT p.highest_level FROM municipality_policy p WHERE p.municipality_id = a.municipality_id), false)
		FROM account a WHERE a.`+where, arg, visit.ip()).
		Scan(&found.id, &found.municipality, &found.hash, &found.disabled, &found.approved, &found.highest)
	if errors.Is(err, pgx.ErrNoRows) {
		return doorAccount{}, nil
	}
	return found, err
}

// refused is why the account does not open, given whether the password was right; empty when it does. The network comes
// first: who stands outside learns nothing about anything else.
func (a doorAccount) refused(right bool) string {
	switch {
	case a.id != 0 && !a.approved:
		return refusedNetwork
	case a.id == 0 || !right:
		return refusedPassword
	case a.disabled:
		return refusedDisabled
	case a.highest:
		return refusedLevel
	}
	return ""
}

// hashes counts how many passwords were worked on, so that tests can count instead of measuring time.
var hashes atomic.Int64

// compare works as long for an account without a password, or for none, as for any other.
func compare(ctx context.Context, password, hash string) (right bool, err error) {
	known := hash != ""
	if !known {
		if hash, err = nobodys(); err != nil {
			return false, err
		}
	}
	// No transaction is open while the hash is worked out: that takes a while, and connections are few.
	err = withRoom(ctx, func() error {
		hashes.Add(1)
		right, err = argon2id.ComparePasswordAndHash(password, hash)
		return err
	})
	return right && known, err
}

// refuseAtDoor records a refusal: under the account that was named, when there is one.
func refuseAtDoor(ctx context.Context, db *pg.DB, found doorAccount, why string) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		r := audit.Record{Act: "sign_in_failed", Subject: "account", Detail: map[string]any{"why": why}}
		if found.id != 0 {
			r.SubjectID = strconv.FormatInt(found.id, 10)
		}
		audit.WriteDoor(tx, audit.Door{Municipality: found.municipality, Refused: true}, r)
		return nil
	})
}

// The three counts of failed tries. Each slows, none locks.
const (
	freeTries        = 3   // of one login from one address
	freeFromAddress  = 50  // from one address over all logins: a town hall of people who mistype in the morning
	dailyOfLogin     = 100 // of one login over all addresses, in a day: from then on
	floorBeyondDaily = time.Minute
	longestAtAddress = time.Minute
)

// tryKeys are the hashes under which the tries of a login from an address are counted.
type tryKeys struct{ pair, address, login []byte }

func keysOf(login, address string) tryKeys {
	return tryKeys{pair: tryKey(login, address), address: tryKey("", "address", address), login: tryKey("", "login", login)}
}

func tryKey(parts ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return sum[:]
}

// take counts one try before its password is looked at, so that many tries at once cannot slip past the delay. A right
// password takes the count away again. All of it lies in the database and holds over several processes.
//
// From the fourth failure on, each for one login from one address makes the next wait twice as long, up to a quarter of an
// hour. From the fifty-first on, those from one address make all of its tries wait, up to a minute. From the hundredth of
// one login in a day on, an address that has failed at it waits at least a minute. An address without a failure at
// the login never waits for the login's sake: nobody can shut an owner out from elsewhere.
func take(ctx context.Context, tx *pg.Tx, keys tryKeys) error {
	// The rows are locked from here on, always in this order; the next try of the same keys waits for this one to be counted.
	address, err := count(ctx, tx, keys.address)
	if err != nil {
		return err
	}
	login, err := count(ctx, tx, keys.login)
	if err != nil {
		return err
	}
	pair, err := count(ctx, tx, keys.pair)
	if err != nil {
		return err
	}
	wait := pair.left(tx.Now(), pair.delay(freeTries, longestWait))
	if pair.failures > 0 && login.failures >= dailyOfLogin {
		wait = max(wait, pair.left(tx.Now(), floorBeyondDaily))
	}
	wait = max(wait, address.left(tx.Now(), address.delay(freeFromAddress, longestAtAddress)))
	if wait > 0 {
		return problem.TooMany{RetryAfterSeconds: int(math.Ceil(wait.Seconds()))}
	}
	_, err = tx.Exec(ctx, `UPDATE sign_in_failure SET failures = failures + 1, last_at = $2 WHERE key_hash = ANY ($1)`, [][]byte{keys.address, keys.login, keys.pair}, tx.Now())
	return err
}

// takeOne is take for a count that has only one key.
func takeOne(ctx context.Context, tx *pg.Tx, key []byte, free int) error {
	c, err := count(ctx, tx, key)
	if err != nil {
		return err
	}
	if wait := c.left(tx.Now(), c.delay(free, longestWait)); wait > 0 {
		return problem.TooMany{RetryAfterSeconds: int(math.Ceil(wait.Seconds()))}
	}
	_, err = tx.Exec(ctx, `UPDATE sign_in_failure SET failures = failures + 1, last_at = $2 WHERE key_hash = $1`, key, tx.Now())
	return err
}

// forgive takes one try away that turned out right; the failures of that login from that address are forgotten.
func forgive(tx *pg.Tx, keys tryKeys) {
	tx.Later(`UPDATE sign_in_failure SET failures = greatest(failures - 1, 0) WHERE key_hash = $1`, keys.address)
	tx.Later(`UPDATE sign_in_failure SET failures = greatest(failures - 1, 0) WHERE key_hash = $1`, keys.login)
	tx.Later(`DELETE FROM sign_in_failure WHERE key_hash = $1`, keys.pair)
}

type failures struct {
	failures int
	last     time.Time
}

func count(ctx context.Context, tx *pg.Tx, key []byte) (f failures, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO sign_in_failure AS f (key_hash, failures, last_at) VALUES ($1, 0, $2)
		ON CONFLICT (key_hash) DO UPDATE SET failures = CASE WHEN f.last_at <= $3 THEN 0 ELSE f.failures END
		RETURNING failures, last_at`, key, tx.Now(), tx.Now().Add(-forget)).Scan(&f.failures, &f.last)
	return f, err
}

func (f failures) left(now time.Time, delay time.Duration) time.Duration {
	if delay == 0 {
		return 0
	}
	return f.last.Add(delay).Sub(now)
}

// delay is how long one waits after so many failures: nothing for the free ones, then 2 s, 4 s, 8 s and so on.
func (f failures) delay(free int, longest time.Duration) time.Duration {
	if f.failures < free {
		return 0
	}
	return min(time.Second<<min(f.failures-free+1, 20), longest)
}

// newToken is 256 random bits; only their hash is kept, so that a copy of the database opens no door.
func newToken(prefix string) (token string, hash []byte) {
	var raw [32]byte
	rand.Read(raw[:]) //nolint:errcheck // never fails: the program ends instead
	token = prefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return token, hashToken(token)
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// EndSessions signs an account out everywhere. People may end their own, administrators those of their municipality;
// anybody else's account answers problem.NotFound.
func EndSessions(ctx context.Context, db *pg.DB, by access.Caller, account int64) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		municipality, err := may(ctx, tx, by, account)
		if err != nil {
			return err
		}
		ended, err := tx.Exec(ctx, `DELETE FROM session WHERE account_id = $1`, account)
		if err != nil {
			return err
		}
		audit.WriteDoor(tx, audit.Door{Municipality: municipality, Account: by.Account, Role: by.Main()},
			audit.Record{Act: "sessions_ended", Subject: "account", SubjectID: strconv.FormatInt(account, 10), Detail: map[string]any{"count": ended}})
		return nil
	})
}
