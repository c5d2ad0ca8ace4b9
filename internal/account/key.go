package account

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// How long keys last.
const (
	decideFor      = 12 * time.Hour // the scope decide (DOMAIN.md, machine client)
	longestKey     = 365 * 24 * time.Hour
	longestOverlap = 7 * 24 * time.Hour  // of an old key with the one that takes its place
	keepEnded      = 90 * 24 * time.Hour // an ended key is remembered, so that its further use is seen
	mostKeys       = 20                  // living ones of an account
)

// ScopeDecide lets a personal key approve, control, order and start, for its first 12 hours. The other scopes are
// permissions; a key without any may what its holder may, but for the decisions.
const ScopeDecide = "decide"

const keyPrefix = "frist_" // so that scanners for leaked secrets know one

// NewKey makes a personal key for the API and gives it, once. It does what its account does; decisions only with
// ScopeDecide. ttl is at most a year. Nobody is asked: for the demo and for tests, which have the database's own passwords.
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

// Key is one as its holder sees it: everything but the key itself.
type Key struct {
	ID          int64
	Name        string
	Scopes      []string
	Networks    []netip.Prefix // none: from anywhere
	CreatedAt   time.Time
	ExpiresAt   time.Time
	LastUsedAt  *time.Time
	RotatedFrom *int64
	RefusedAt   *time.Time
	Refusals    int // how often it was tried in vain: ended, or from elsewhere
}

// Ended reports whether the key opens nothing any more.
func (k Key) Ended(now time.Time) bool { return !now.Before(k.ExpiresAt) }

const keyColumns = `id, name, scopes, networks, created_at, expires_at, last_used_at, rotated_from, refused_at, refusals`

// KeyWish is a key to be made.
type KeyWish struct {
	Name     string
	Scopes   []string // permissions of the holder, or ScopeDecide; none: whatever the holder may but decisions
	Networks []string // as "10.1.0.0/16"; none: from anywhere
	Days     int      // at most a year; with ScopeDecide it is 12 hours
}

// whole refuses a key that is narrowed to some permissions (problem.Forbidden, key_narrowed): what is its holder's own is
// none of them.
func whole(by access.Caller) error {
	if by.Key && len(by.Scopes) > 0 {
		return problem.Forbidden{Code: "key_narrowed"}
	}
	return nil
}

// holder is the account whose keys the caller may see, make and end: their own, or a program's of their organisation.
// Anybody else's answers problem.NotFound.
func holder(ctx context.Context, tx *pg.Tx, account int64) (roles []access.Role, machine bool, err error) {
	by := tx.Caller
	if by.Account == account {
		if err := whole(by); err != nil {
			return nil, false, err
		}
	}
	var municipality int
	err = tx.QueryRow(ctx, `SELECT coalesce(municipality_id, 0), roles, machine FROM account WHERE id = $1 AND disabled_at IS NULL FOR SHARE`, account).
		Scan(&municipality, &roles, &machine)
	if err != nil {
		return nil, false, err
	}
	if by.Account != account && (!machine || municipality != by.Municipality || manage(tx) != nil) {
		return nil, false, problem.NotFound{What: "row"}
	}
	return roles, machine, nil
}

// maker refuses whoever makes no key at the moment: without a fresh proof of who asks (problem.StepUp), and by a key unless
// it decides (problem.Forbidden, key_makes_key). One that decides is never made by a key, or it would renew itself for ever.
func maker(tx *pg.Tx, scopes []string) error {
	by := tx.Caller
	if by.Key && (!by.KeyDecides || slices.Contains(scopes, ScopeDecide)) {
		return problem.Forbidden{Code: "key_makes_key"}
	}
	if !by.Fresh(tx.Now()) {
		return problem.StepUp{}
	}
	return nil
}

// MakeKey makes a key and gives it, once; only its hash is kept. For oneself, or for a program of the own organisation, and
// always with a fresh proof of who asks (problem.StepUp); by a key only while it decides, and none that decides
// (problem.Forbidden, key_makes_key). It answers problem.Invalid of name (required), scopes (scope_beyond: more than the
// holder may; machine_decides), networks (network_form) and days (between), and problem.Conflict (too_many_keys).
func MakeKey(ctx context.Context, db *pg.DB, by access.Caller, account int64, wish KeyWish) (key string, err error) {
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		roles, machine, err := holder(ctx, tx, account)
		if err != nil {
			return err
		}
		if err := maker(tx, wish.Scopes); err != nil {
			return err
		}
		networks, err := wish.check(roles, machine)
		if err != nil {
			return err
		}
		var living int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM api_key WHERE account_id = $1 AND expires_at > $2`, account, tx.Now()).Scan(&living); err != nil {
			return err
		}
		if living >= mostKeys {
			return problem.Conflict{Code: "too_many_keys", Params: problem.Params{"most": mostKeys}}
		}
		until := tx.Now().AddDate(0, 0, wish.Days)
		if slices.Contains(wish.Scopes, ScopeDecide) {
			until = tx.Now().Add(decideFor)
		}
		key = writeKey(tx, account, strings.TrimSpace(wish.Name), wish.Scopes, networks, until, nil)
		return nil
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

func (wish KeyWish) check(roles []access.Role, machine bool) ([]netip.Prefix, error) {
	may := access.Permissions(roles...)
	for _, scope := range wish.Scopes { // before everything else: no page offers these
		if scope == ScopeDecide && machine {
			return nil, problem.Tried(problem.InvalidField("scopes", "machine_decides", nil))
		}
		if scope != ScopeDecide && !slices.Contains(may, access.Permission(scope)) {
			return nil, problem.Tried(problem.InvalidField("scopes", "scope_beyond", nil))
		}
	}
	var wrong problem.Collector
	if name := strings.TrimSpace(wish.Name); name == "" || len(name) > 100 {
		wrong.Add("key_name", "required", nil)
	}
	networks := []netip.Prefix{}
	for _, text := range wish.Networks {
		network, err := parseNetwork(text)
		if err != nil {
			wrong.Add("networks", "network_form", nil)
			break
		}
		networks = append(networks, network)
	}
	if !slices.Contains(wish.Scopes, ScopeDecide) && (wish.Days < 1 || wish.Days > 365) {
		wrong.Add("days", "between", problem.Params{"low": 1, "high": 365})
	}
	return networks, wrong.Err()
}

func writeKey(tx *pg.Tx, account int64, name string, scopes []string, networks []netip.Prefix, until time.Time, from *int64) string {
	if scopes == nil {
		scopes = []string{}
	}
	key, hash := newToken(keyPrefix)
	tx.Later(`INSERT INTO api_key (key_hash, account_id, name, scopes, networks, made_by, created_at, expires_at, rotated_from) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		hash, account, name, scopes, networks, tx.Caller.Account, tx.Now(), until, from)
	act := "key_created"
	if from != nil {
		act = "key_rotated"
	}
	audit.Write(tx, access.AccountManage, audit.Record{Act: act, Subject: "account", SubjectID: strconv.FormatInt(account, 10), Detail: map[string]any{"scopes": scopes}})
	return key
}

// Keys are an account's, newest first, those that ended among them: of oneself, or of a program of the own organisation.
func Keys(ctx context.Context, db *pg.DB, by access.Caller, account int64) (keys []Key, err error) {
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if _, _, err := holder(ctx, tx, account); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+keyColumns+` FROM api_key WHERE account_id = $1 ORDER BY id DESC LIMIT 100`, account)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, pgx.RowToStructByName[Key])
		return err
	})
	return keys, err
}

// ofKey locks a living key of an account whose keys the caller may end; whatever else answers problem.NotFound.
func ofKey(ctx context.Context, tx *pg.Tx, account, id int64) (Key, error) {
	if _, _, err := holder(ctx, tx, account); err != nil {
		return Key{}, err
	}
	rows, err := tx.Query(ctx, `SELECT `+keyColumns+` FROM api_key WHERE account_id = $1 AND id = $2 AND expires_at > $3 FOR UPDATE`, account, id, tx.Now())
	if err != nil {
		return Key{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Key])
}

// RotateKey makes a key that takes another's place, with its name, scopes, networks and length of life, and gives it, once.
// The old one lives on for overlap days, at most seven, so that the program can be told of the new one. Refused like MakeKey.
func RotateKey(ctx context.Context, db *pg.DB, by access.Caller, account, id int64, overlap int) (key string, err error) {
	if overlap < 0 || overlap > int(longestOverlap/time.Hour/24) {
		return "", problem.InvalidField("overlap", "between", problem.Params{"low": 0, "high": int(longestOverlap / time.Hour / 24)})
	}
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		old, err := ofKey(ctx, tx, account, id)
		if err != nil {
			return err
		}
		if err := maker(tx, old.Scopes); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE api_key SET expires_at = least(expires_at, $3) WHERE account_id = $1 AND id = $2`, account, id, tx.Now().AddDate(0, 0, overlap)); err != nil {
			return err
		}
		key = writeKey(tx, account, old.Name, old.Scopes, old.Networks, tx.Now().Add(old.ExpiresAt.Sub(old.CreatedAt)), &old.ID)
		return nil
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

// EndKey ends a key at once.
func EndKey(ctx context.Context, db *pg.DB, by access.Caller, account, id int64) error {
	return db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if _, err := ofKey(ctx, tx, account, id); err != nil {
			return err
		}
		tx.Later(`UPDATE api_key SET expires_at = $3 WHERE account_id = $1 AND id = $2`, account, id, tx.Now())
		audit.Write(tx, access.AccountManage, audit.Record{Act: "key_ended", Subject: "account", SubjectID: strconv.FormatInt(account, 10)})
		return nil
	})
}

// ResolveKey finds who holds the key that came from an address. problem.Unauthenticated when nobody does, when it has ended,
// when it comes from outside its networks, or when its account was disabled; those three are counted at the key and
// recorded, at most once a minute.
func ResolveKey(ctx context.Context, db *pg.DB, key string, from netip.Addr) (access.Caller, error) {
	caller := access.Caller{Key: true}
	if !strings.HasPrefix(key, keyPrefix) {
		return access.Caller{}, problem.Unauthenticated{}
	}
	why := ""
	err := db.SignIn(ctx, func(tx *pg.Tx) error {
		var address *netip.Addr // null lies in no network
		if from = from.Unmap().WithZone(""); from.IsValid() {
			address = &from
		}
		var id int64
		var scopes []string
		var created time.Time
		var used, refused *time.Time
		now := tx.Now()
		err := tx.OnlyRow(ctx, `SELECT a.id, a.staff_number, a.name, a.roles, coalesce(a.municipality_id, 0), a.language, k.id, k.scopes, k.created_at, k.last_used_at, k.refused_at,
				CASE WHEN a.disabled_at IS NOT NULL THEN 'disabled' WHEN k.expires_at <= $2 THEN 'ended'
					WHEN k.networks <> '{}' AND NOT coalesce($3::inet <<= ANY (k.networks), false) THEN 'network' ELSE '' END
			FROM api_key k JOIN account a ON a.id = k.account_id WHERE k.key_hash = $1`, hashToken(key), now, address).
			Scan(&caller.Account, &caller.StaffNumber, &caller.Name, &caller.Roles, &caller.Municipality, &caller.Language, &id, &scopes, &created, &used, &refused, &why)
		if errors.Is(err, pgx.ErrNoRows) {
			return problem.Unauthenticated{}
		}
		if err != nil {
			return err
		}
		if why != "" {
			tx.Later(`UPDATE api_key SET refusals = refusals + 1, refused_at = $2 WHERE id = $1`, id, now)
			if refused == nil || now.Sub(*refused) >= time.Minute {
				audit.WriteDoor(tx, audit.Door{Municipality: caller.Municipality, Refused: true},
					audit.Record{Act: "key_refused", Subject: "account", SubjectID: strconv.FormatInt(caller.Account, 10), Detail: map[string]any{"code": why, "key": strconv.FormatInt(id, 10)}})
			}
			return nil
		}
		if used == nil || now.Sub(*used) >= time.Minute {
			tx.Later(`UPDATE api_key SET last_used_at = $2 WHERE id = $1`, id, now)
		}
		for _, scope := range scopes {
			if scope == ScopeDecide {
				caller.KeyDecides = now.Before(created.Add(decideFor))
			} else {
				caller.Scopes = append(caller.Scopes, access.Permission(scope))
			}
		}
		return nil
	})
	if err != nil {
		return access.Caller{}, err
	}
	if why != "" {
		return access.Caller{}, problem.Unauthenticated{}
	}
	return caller, nil
}
