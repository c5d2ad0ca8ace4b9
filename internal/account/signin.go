package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	decideFor   = 12 * time.Hour   // the scope decide of a key (DOMAIN.md, machine client)
	longestKey  = 365 * 24 * time.Hour
	freeTries   = 3
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
		hash, err = argon2id.CreateHash(password, &params)
		return err
	})
	return hash, err
}

// nobodys is what an unknown login's password is compared with, so that the answer takes as long as a known one's.
var nobodys = sync.OnceValues(func() (string, error) { return argon2id.CreateHash(rand.Text(), &params) })

// errSignIn is the one answer to everything that was wrong: unknown login, wrong password, disabled account.
func errSignIn() error { return problem.InvalidField("login", "sign_in", nil) }

// SignIn opens a session and gives the value for the cookie. Unknown login, wrong password and disabled account cost the
// same work and get the same answer (problem.Invalid, code sign_in). From the fourth failure on, each for one login from
// one address makes the next wait twice as long, up to a quarter of an hour (problem.TooMany); the tries of one address
// never shut the account for another.
func SignIn(ctx context.Context, db *pg.DB, login, password, remoteAddr string) (token string, err error) {
	login = normal(login)
	if len(login) > 100 || len(password) > 4*LongestPassword {
		return "", errSignIn()
	}
	failure := sha256.Sum256([]byte(login + "\x00" + remoteAddr))
	var found struct {
		id           int64
		municipality int
		hash         string
		disabled     bool
	}
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if err := take(ctx, tx, failure[:]); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT id, coalesce(municipality_id, 0), password_hash, disabled_at IS NOT NULL FROM account WHERE login = $1`, login).
			Scan(&found.id, &found.municipality, &found.hash, &found.disabled)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if found.id == 0 {
		if found.hash, err = nobodys(); err != nil {
			return "", err
		}
	}
	right := false
	// No transaction is open while the hash is worked out: that takes a while, and connections are few.
	err = withRoom(ctx, func() error {
		right, err = argon2id.ComparePasswordAndHash(password, found.hash)
		return err
	})
	if err != nil {
		return "", err
	}
	if !right || found.id == 0 || found.disabled {
		err = db.SignIn(ctx, func(tx *pg.Tx) error {
			r := audit.Record{Act: "sign_in_failed", Subject: "account"}
			if found.id != 0 {
				r.SubjectID = strconv.FormatInt(found.id, 10)
			}
			audit.WriteDoor(tx, audit.Door{Municipality: found.municipality, Refused: true}, r)
			return nil
		})
		if err != nil {
			return "", err
		}
		return "", errSignIn()
	}
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		tx.Later(`DELETE FROM sign_in_failure WHERE key_hash = $1`, failure[:])
		token, err = open(ctx, tx, `id = $1`, found.id)
		if errors.Is(err, pgx.ErrNoRows) {
			return errSignIn() // disabled in between
		}
		return err
	})
	return token, err
}

// take counts one try before its password is looked at, so that many tries at once cannot slip past the delay. A right
// password takes the count away again.
func take(ctx context.Context, tx *pg.Tx, key []byte) error {
	var failures int
	var last time.Time
	// The row is locked from here on; the next try of the same key waits for this one to be counted.
	err := tx.QueryRow(ctx, `INSERT INTO sign_in_failure AS f (key_hash, failures, last_at) VALUES ($1, 0, $2)
		ON CONFLICT (key_hash) DO UPDATE SET failures = CASE WHEN f.last_at <= $3 THEN 0 ELSE f.failures END
		RETURNING failures, last_at`, key, tx.Now(), tx.Now().Add(-forget)).Scan(&failures, &last)
	if err != nil {
		return err
	}
	if left := last.Add(delay(failures)).Sub(tx.Now()); left > 0 {
		return problem.TooMany{RetryAfterSeconds: int(math.Ceil(left.Seconds()))}
	}
	_, err = tx.Exec(ctx, `UPDATE sign_in_failure SET failures = failures + 1, last_at = $2 WHERE key_hash = $1`, key, tx.Now())
	return err
}

// delay is how long one waits after so many failures: nothing, nothing, nothing, 2 s, 4 s, 8 s and so on.
func delay(failures int) time.Duration {
	if failures < freeTries {
		return 0
	}
	return min(time.Second<<min(failures-freeTries+1, 20), longestWait)
}

// SignInDemo opens a session without a password, for the one-click personas. The database refuses it (problem.NotFound)
// unless it was created as a demo.
func SignInDemo(ctx context.Context, db *pg.DB, login string) (token string, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		token, err = open(ctx, tx, `login = $1 AND (SELECT demo FROM installation)`, normal(login))
		if errors.Is(err, pgx.ErrNoRows) {
			return problem.NotFound{What: "persona"}
		}
		return err
	})
	return token, err
}

// open makes a session for the one account that matches where.
func open(ctx context.Context, tx *pg.Tx, where string, arg any) (string, error) {
	var account int64
	var municipality int
	var roles []access.Role
	err := tx.QueryRow(ctx, `SELECT id, coalesce(municipality_id, 0), roles FROM account WHERE disabled_at IS NULL AND `+where+` FOR SHARE`, arg).
		Scan(&account, &municipality, &roles)
	if err != nil {
		return "", err
	}
	token, hash := newToken("")
	now := tx.Now()
	tx.Later(`DELETE FROM session WHERE account_id = $1 AND (expires_at <= $2 OR seen_at <= $3)`, account, now, now.Add(-idle))
	tx.Later(`INSERT INTO session (token_hash, account_id, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $3, $4)`, hash, account, now, now.Add(absolute))
	audit.WriteDoor(tx, audit.Door{Municipality: municipality, Account: account, Role: access.Caller{Roles: roles}.Main()},
		audit.Record{Act: "signed_in", Subject: "account", SubjectID: strconv.FormatInt(account, 10)})
	return token, nil
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

// Profile is how a person wants the pages to look.
type Profile struct{ Language, Scheme string }

// Resolve finds who holds the session with this cookie value; problem.Unauthenticated when it has run out, was ended, or
// its account was disabled. Roles are read anew each time, so that a change is effective at once (ASVS 8.3.2).
func Resolve(ctx context.Context, db *pg.DB, token string) (access.Caller, Profile, error) {
	caller := access.Caller{Session: hashToken(token)}
	var profile Profile
	err := db.SignIn(ctx, func(tx *pg.Tx) error {
		now := tx.Now()
		var seen time.Time
		err := tx.OnlyRow(ctx, `SELECT a.id, a.staff_number, a.name, a.roles, coalesce(a.municipality_id, 0), a.language, a.scheme, s.seen_at
			FROM session s JOIN account a ON a.id = s.account_id
			WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.seen_at > $3 AND a.disabled_at IS NULL`, caller.Session, now, now.Add(-idle)).
			Scan(&caller.Account, &caller.StaffNumber, &caller.Name, &caller.Roles, &caller.Municipality, &profile.Language, &profile.Scheme, &seen)
		if errors.Is(err, pgx.ErrNoRows) {
			return problem.Unauthenticated{}
		}
		if err == nil && now.Sub(seen) >= time.Minute {
			tx.Later(`UPDATE session SET seen_at = $2 WHERE token_hash = $1`, caller.Session, now)
		}
		return err
	})
	if err != nil {
		return access.Caller{}, Profile{}, err
	}
	caller.Language = profile.Language
	return caller, profile, nil
}

// SignOut ends the session with this cookie value, with the searches stored in it. Ending what has ended is no error.
func SignOut(ctx context.Context, db *pg.DB, token string) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		var account int64
		var municipality int
		var roles []access.Role
		err := tx.QueryRow(ctx, `DELETE FROM session s USING account a WHERE s.token_hash = $1 AND a.id = s.account_id
			RETURNING a.id, coalesce(a.municipality_id, 0), a.roles`, hashToken(token)).Scan(&account, &municipality, &roles)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err == nil {
			audit.WriteDoor(tx, audit.Door{Municipality: municipality, Account: account, Role: access.Caller{Roles: roles}.Main()},
				audit.Record{Act: "signed_out", Subject: "account", SubjectID: strconv.FormatInt(account, 10)})
		}
		return err
	})
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

// ScopeDecide lets a personal key approve, control, order and start, for its first 12 hours.
const ScopeDecide = "decide"

const keyPrefix = "frist_" // so that scanners for leaked secrets know one

// NewKey makes a personal key for the API and gives it, once. It does what its account does; decisions only with
// ScopeDecide. ttl is at most a year.
func NewKey(ctx context.Context, db *pg.DB, account int64, scopes []string, ttl time.Duration) (key string, err error) {
	var wrong problem.Collector
	if ttl <= 0 || ttl > longestKey {
		wrong.Add("ttl", "between", problem.Params{"low": 1, "high": int(longestKey / time.Hour / 24)})
	}
	if slices.ContainsFunc(scopes, func(s string) bool { return s != ScopeDecide }) {
		wrong.Add("scopes", "choice", nil)
	}
	if err := wrong.Err(); err != nil {
		return "", err
	}
	if scopes == nil {
		scopes = []string{}
	}
	key, hash := newToken(keyPrefix)
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		var municipality int
		var roles []access.Role
		err := tx.QueryRow(ctx, `SELECT coalesce(municipality_id, 0), roles FROM account WHERE id = $1 AND disabled_at IS NULL FOR SHARE`, account).Scan(&municipality, &roles)
		if err != nil {
			return err
		}
		tx.Later(`INSERT INTO api_key (key_hash, account_id, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)`, hash, account, scopes, tx.Now(), tx.Now().Add(ttl))
		audit.WriteDoor(tx, audit.Door{Municipality: municipality, Account: account, Role: access.Caller{Roles: roles}.Main()},
			audit.Record{Act: "key_created", Subject: "account", SubjectID: strconv.FormatInt(account, 10), Detail: map[string]any{"scopes": scopes}})
		return nil
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

// ResolveKey finds who holds the key; problem.Unauthenticated when it has run out or its account was disabled.
func ResolveKey(ctx context.Context, db *pg.DB, key string) (access.Caller, error) {
	caller := access.Caller{Key: true}
	if !strings.HasPrefix(key, keyPrefix) {
		return access.Caller{}, problem.Unauthenticated{}
	}
	err := db.SignIn(ctx, func(tx *pg.Tx) error {
		var scopes []string
		var created time.Time
		err := tx.OnlyRow(ctx, `SELECT a.id, a.staff_number, a.name, a.roles, coalesce(a.municipality_id, 0), a.language, k.scopes, k.created_at
			FROM api_key k JOIN account a ON a.id = k.account_id
			WHERE k.key_hash = $1 AND k.expires_at > $2 AND a.disabled_at IS NULL`, hashToken(key), tx.Now()).
			Scan(&caller.Account, &caller.StaffNumber, &caller.Name, &caller.Roles, &caller.Municipality, &caller.Language, &scopes, &created)
		if errors.Is(err, pgx.ErrNoRows) {
			return problem.Unauthenticated{}
		}
		caller.KeyDecides = slices.Contains(scopes, ScopeDecide) && tx.Now().Before(created.Add(decideFor))
		return err
	})
	if err != nil {
		return access.Caller{}, keyRefused(ctx, db, key, err)
	}
	return caller, nil
}
