package account

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	freshFor = 5 * time.Minute  // a proof of identity, for acts that ask for one (ASVS 7.5.3)
	halfFor  = 15 * time.Minute // a session whose second factor is still missing
)

// What a half-open session waits for.
const (
	PendingFactor = "factor" // the second factor is to be shown
	PendingEnrol  = "enrol"  // the role demands one and there is none yet
)

// Opened is a session that has just been opened.
type Opened struct {
	Token    string    // the value for the cookie
	Pending  string    // empty, or why it opens nothing yet
	Previous time.Time // when the person was last here; zero: never
}

// method is how a session is opened.
type method struct {
	name     string // password, oidc or demo
	provider string
	level    string // what the provider vouched for
	fresh    bool   // of a provider: it has just asked the person
	visit    Visit
}

// Required reports whether people with these roles need a second factor beside a password.
func Required(roles []access.Role) bool {
	return slices.ContainsFunc(roles, func(r access.Role) bool {
		return r == access.Support || r == access.Operator || r == access.Administrator || r == access.PlatformAdministrator
	})
}

// SignInDemo is SignInPersona for programs.
func SignInDemo(ctx context.Context, db *pg.DB, login string) (token string, err error) {
	return SignInPersona(ctx, db, login, Visit{})
}

// SignInPersona opens a session without a password, for the one-click personas. The database refuses it
// (problem.NotFound) unless it was created as a demo.
func SignInPersona(ctx context.Context, db *pg.DB, login string, visit Visit) (token string, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		opened, err := open(ctx, tx, `login = $1 AND (SELECT demo FROM installation)`, normal(login), method{name: "demo", visit: visit})
		if errors.Is(err, pgx.ErrNoRows) {
			return problem.NotFound{What: "persona"}
		}
		token = opened.Token
		return err
	})
	return token, err
}

// open makes a session for the one account that matches where. After a password it is half open where a factor is due.
func open(ctx context.Context, tx *pg.Tx, where string, arg any, how method) (Opened, error) {
	var account int64
	var municipality int
	var roles []access.Role
	var previous *time.Time
	var factors bool
	err := tx.QueryRow(ctx, `SELECT id, coalesce(municipality_id, 0), roles, last_sign_in_at, EXISTS (SELECT FROM account_factor f WHERE f.account_id = account.id)
		FROM account WHERE disabled_at IS NULL AND NOT machine AND `+where+` FOR NO KEY UPDATE`, arg).
		Scan(&account, &municipality, &roles, &previous, &factors)
	if err != nil {
		return Opened{}, err
	}
	token, hash := newToken("")
	opened := Opened{Token: token}
	if previous != nil {
		opened.Previous = *previous
	}
	if how.name == "password" {
		switch {
		case factors:
			opened.Pending = PendingFactor
		case Required(roles):
			opened.Pending = PendingEnrol
		}
	}
	now := tx.Now()
	var fresh *time.Time
	if until := now.Add(freshFor); opened.Pending == "" && (how.name != "oidc" || how.fresh) {
		fresh = &until
	}
	tx.Later(`DELETE FROM session WHERE account_id = $1 AND (expires_at <= $2 OR seen_at <= $3 OR pending <> '' AND created_at <= $4)`, account, now, now.Add(-idle), now.Add(-halfFor))
	tx.Later(`INSERT INTO session (token_hash, account_id, created_at, seen_at, expires_at, method, provider, level, device, fresh_until, pending, previous_at)
		VALUES ($1, $2, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, hash, account, now, now.Add(absolute), how.name, how.provider, how.level, how.visit.Device, fresh, opened.Pending, previous)
	act := "password_accepted"
	if opened.Pending == "" {
		act = "signed_in"
		tx.Later(`UPDATE account SET last_sign_in_at = $2 WHERE id = $1`, account, now)
	}
	detail := map[string]any{"method": how.name}
	if how.level != "" {
		detail["level"] = how.level
	}
	audit.WriteDoor(tx, audit.Door{Municipality: municipality, Account: account, Role: access.Caller{Roles: roles}.Main()},
		audit.Record{Act: act, Subject: "account", SubjectID: strconv.FormatInt(account, 10), Detail: detail})
	return opened, nil
}

// Profile is how a person wants the pages to look.
type Profile struct {
	Language, Scheme string
	Visits           *Visits // nil: there is nothing to tell
}

// Resolve finds who holds the session with this cookie value; problem.Unauthenticated when it has run out, was ended, is
// only half open, or its account was disabled. Roles are read anew each time, so that a change is effective at once (ASVS
// 8.3.2).
func Resolve(ctx context.Context, db *pg.DB, token string) (access.Caller, Profile, error) {
	caller := access.Caller{Session: hashToken(token)}
	var profile Profile
	err := db.SignIn(ctx, func(tx *pg.Tx) error {
		now := tx.Now()
		var seen time.Time
		var fresh *time.Time
		var visits doorVisits
		var stood bool
		err := tx.OnlyRow(ctx, `SELECT a.id, a.staff_number, a.name, a.roles, coalesce(a.municipality_id, 0), a.language, a.scheme, s.seen_at, s.fresh_until,
				s.visit IS NOT NULL, visits_at_the_door(a.id, s.visit_municipality, s.visit, coalesce(a.municipality_id, 0))
			FROM session s JOIN account a ON a.id = s.account_id
			WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.seen_at > $3 AND s.pending = '' AND a.disabled_at IS NULL`, caller.Session, now, now.Add(-idle)).
			Scan(&caller.Account, &caller.StaffNumber, &caller.Name, &caller.Roles, &caller.Municipality, &profile.Language, &profile.Scheme, &seen, &fresh, &stood, &visits)
		if errors.Is(err, pgx.ErrNoRows) {
			return problem.Unauthenticated{}
		}
		if fresh != nil {
			caller.FreshUntil = *fresh
		}
		profile.Visits = visits.news(stood)
		visits.enter(&caller)
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

// Self is whoever holds a session, half open or whole, as the pages about one's own account need them.
type Self struct {
	Caller   access.Caller // of a half-open session without roles: it may do nothing
	Roles    []access.Role
	Login    string
	Pending  string
	Method   string
	Provider string
	Previous time.Time // when they were last here before this session; zero: never
	Password bool      // they have one
	Demo     bool      // a session that a click has opened: a click confirms it
}

// WhoseSession is Resolve for those pages: it finds half-open sessions too, for a quarter of an hour.
func WhoseSession(ctx context.Context, db *pg.DB, token string) (self Self, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		self, err = whose(ctx, tx, token)
		return err
	})
	return self, err
}

func whose(ctx context.Context, tx *pg.Tx, token string) (Self, error) {
	self := Self{Caller: access.Caller{Session: hashToken(token)}}
	var fresh, previous *time.Time
	now := tx.Now()
	err := tx.QueryRow(ctx, `SELECT a.id, a.staff_number, a.name, a.roles, coalesce(a.municipality_id, 0), a.language, a.login, coalesce(a.password_hash, '') <> '',
			s.pending, s.method, s.provider, s.previous_at, s.fresh_until, s.method = 'demo' AND (SELECT demo FROM installation)
		FROM session s JOIN account a ON a.id = s.account_id
		WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.seen_at > $3 AND (s.pending = '' OR s.created_at > $4) AND a.disabled_at IS NULL`,
		self.Caller.Session, now, now.Add(-idle), now.Add(-halfFor)).
		Scan(&self.Caller.Account, &self.Caller.StaffNumber, &self.Caller.Name, &self.Roles, &self.Caller.Municipality, &self.Caller.Language, &self.Login, &self.Password,
			&self.Pending, &self.Method, &self.Provider, &previous, &fresh, &self.Demo)
	if errors.Is(err, pgx.ErrNoRows) {
		return Self{}, problem.Unauthenticated{}
	}
	if previous != nil {
		self.Previous = *previous
	}
	if self.Pending == "" {
		self.Caller.Roles = self.Roles
		if fresh != nil {
			self.Caller.FreshUntil = *fresh
		}
	}
	return self, err
}

// door is whom an audit row about oneself names.
func (s Self) door() audit.Door {
	return audit.Door{Municipality: s.Caller.Municipality, Account: s.Caller.Account, Role: access.Caller{Roles: s.Roles}.Main()}
}

func (s Self) record(tx *pg.Tx, act string, detail map[string]any) {
	audit.WriteDoor(tx, s.door(), audit.Record{Act: act, Subject: "account", SubjectID: strconv.FormatInt(s.Caller.Account, 10), Detail: detail})
}

func (s Self) refused(ctx context.Context, db *pg.DB, act string, detail map[string]any) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		door := s.door()
		door.Refused = true
		audit.WriteDoor(tx, door, audit.Record{Act: act, Subject: "account", SubjectID: strconv.FormatInt(s.Caller.Account, 10), Detail: detail})
		return nil
	})
}

// whole makes the session whole and fresh, under a new token (ASVS 7.2.4): whoever knew the old one has nothing.
func (s *Self) whole(ctx context.Context, tx *pg.Tx, factor, level string) (token string, err error) {
	token, hash := newToken("")
	until := tx.Now().Add(freshFor)
	n, err := tx.Exec(ctx, `UPDATE session SET token_hash = $2, fresh_until = $3, pending = '', seen_at = $4,
			factor = CASE WHEN $5 <> '' THEN $5 ELSE factor END, level = CASE WHEN $6 <> '' THEN $6 ELSE level END
		WHERE token_hash = $1`, s.Caller.Session, hash, until, tx.Now(), factor, level)
	if err != nil {
		return "", err
	}
	if n == 0 {
		return "", problem.Unauthenticated{} // ended, or confirmed in another window, in between
	}
	if s.Pending != "" {
		tx.Later(`UPDATE account SET last_sign_in_at = $2 WHERE id = $1`, s.Caller.Account, tx.Now())
	}
	s.Caller.Session, s.Caller.FreshUntil, s.Caller.Roles, s.Pending = hash, until, s.Roles, ""
	return token, nil
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

// Session is one place where a person is signed in.
type Session struct {
	ID        uuid.UUID
	CreatedAt time.Time
	SeenAt    time.Time
	Method    string
	Provider  string
	Level     string
	Factor    string
	Device    string
	Current   bool
}

// ofHolder is db.SignIn for what is the caller's own; a narrowed key is refused (whole), which is recorded as theirs.
func ofHolder(ctx context.Context, db *pg.DB, caller access.Caller, fn func(tx *pg.Tx) error) error {
	if err := whole(caller); err != nil {
		return db.SignInAs(ctx, caller, func(*pg.Tx) error { return err })
	}
	return db.SignIn(ctx, fn)
}

// Sessions lists where the caller is signed in, the present one first, then by last use. For a key none is the present one.
func Sessions(ctx context.Context, db *pg.DB, caller access.Caller) (list []Session, err error) {
	err = ofHolder(ctx, db, caller, func(tx *pg.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, created_at, seen_at, method, provider, level, factor, device, token_hash IS NOT DISTINCT FROM $2 AS current FROM session
			WHERE account_id = $1 AND expires_at > $3 AND seen_at > $4 AND pending = '' ORDER BY current DESC, seen_at DESC, id`, caller.Account, caller.Session, tx.Now(), tx.Now().Add(-idle))
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[Session])
		return err
	})
	return list, err
}

// EndSession ends one of the caller's own sessions; anybody else's answers problem.NotFound like one that has ended.
func EndSession(ctx context.Context, db *pg.DB, caller access.Caller, id uuid.UUID) error {
	return ofHolder(ctx, db, caller, func(tx *pg.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM session WHERE id = $1 AND account_id = $2`, id, caller.Account)
		if err != nil {
			return err
		}
		if n == 0 {
			return problem.NotFound{What: "session"}
		}
		recordOwn(tx, caller, "sessions_ended", map[string]any{"count": n})
		return nil
	})
}

// EndOtherSessions signs the caller out everywhere else, and tells in how many places. For a key every place is another.
func EndOtherSessions(ctx context.Context, db *pg.DB, caller access.Caller) (ended int, err error) {
	err = ofHolder(ctx, db, caller, func(tx *pg.Tx) error {
		ended, err = endOthers(ctx, tx, caller)
		if err == nil {
			recordOwn(tx, caller, "sessions_ended", map[string]any{"count": ended})
		}
		return err
	})
	return ended, err
}

func endOthers(ctx context.Context, tx *pg.Tx, caller access.Caller) (int, error) {
	n, err := tx.Exec(ctx, `DELETE FROM session WHERE account_id = $1 AND token_hash IS DISTINCT FROM $2`, caller.Account, caller.Session)
	return int(n), err
}

func recordOwn(tx *pg.Tx, caller access.Caller, act string, detail map[string]any) {
	audit.WriteDoor(tx, audit.Door{Municipality: caller.Municipality, Account: caller.Account, Role: caller.Main()},
		audit.Record{Act: act, Subject: "account", SubjectID: strconv.FormatInt(caller.Account, 10), Detail: detail})
}

// Device is browser and system in two words, from what the browser says of itself: "Firefox, Windows". Nothing rests on it.
func Device(userAgent string) string {
	first := func(marks ...string) string {
		for i := 0; i+1 < len(marks); i += 2 {
			if strings.Contains(userAgent, marks[i]) {
				return marks[i+1]
			}
		}
		return ""
	}
	browser := first("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome/", "Chrome", "Chromium/", "Chrome", "Safari/", "Safari")
	system := first("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	return strings.Trim(browser+", "+system, ", ")
}
