// Package account keeps the people who sign in: their roles, passwords, sessions and keys. Its tables are reached through
// the sign-in role only, so its functions take the database and not a transaction: no transaction of a municipality can
// read a password hash, and a sign-in can read nothing of a municipality.
package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// New is an account to be made.
type New struct {
	Municipality int    // 0 for support, operators and platform administrators
	Login        string // unique in the whole installation; lower case
	Name         string
	Email        string // where mail goes; may be empty
	Password     string // of CreateFirst only: who is invited chooses one
	Machine      bool   // a program: it has keys and never signs in
	Roles        []access.Role
	Language     string // "nb" when empty
}

// Limits of a password. No rules about kinds of characters, no expiry (OWASP ASVS 6.2).
const (
	ShortestPassword = 15 // runes
	LongestPassword  = 512
)

// CreateFirst makes an account with nobody's permission: for the command line and the demo, which have the database's
// own passwords anyway. It gives the id and the opaque staff number under which protocols know the person (D26). Everybody
// else is invited (Invite). Errors: problem.Invalid.
func CreateFirst(ctx context.Context, db *pg.DB, n New) (id int64, staffNumber string, err error) {
	var wrong problem.Collector
	for _, err := range []error{n.Check(), CheckPassword(n.Password)} {
		wrong.Join("", err)
	}
	if err := wrong.Err(); err != nil {
		return 0, "", err
	}
	hash, err := hashPassword(ctx, n.Password)
	if err != nil {
		return 0, "", err
	}
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if id, staffNumber, err = insert(ctx, tx, n, &hash); err != nil {
			return err
		}
		audit.WriteDoor(tx, audit.Door{Municipality: n.Municipality, Role: access.System},
			audit.Record{Act: "account_created", Subject: "account", SubjectID: strconv.FormatInt(id, 10), Detail: map[string]any{"roles": n.Roles}})
		return nil
	})
	if err != nil {
		return 0, "", err
	}
	return id, staffNumber, nil
}

// insert writes a checked account. Without a hash it is an invited person's or a program's, and shut until a second person
// has confirmed it.
func insert(ctx context.Context, tx *pg.Tx, n New, hash *string) (id int64, staffNumber string, err error) {
	n.Login, n.Name, n.Email = normal(n.Login), strings.TrimSpace(n.Name), strings.TrimSpace(n.Email)
	var municipality *int
	if n.Municipality != 0 {
		municipality = &n.Municipality
	}
	var email *string
	if n.Email != "" {
		email = &n.Email
	}
	var shut *time.Time
	if now := tx.Now(); hash == nil {
		shut = &now
	}
	if err := free(ctx, tx, n.Login); err != nil {
		return 0, "", err
	}
	for try := range 50 {
		staffNumber, err = newStaffNumber(try)
		if err != nil {
			return 0, "", err
		}
		err = tx.QueryRow(ctx, `INSERT INTO account (municipality_id, login, name, email, staff_number, roles, machine, password_hash, language, created_at, disabled_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (staff_number) DO NOTHING RETURNING id`,
			municipality, n.Login, n.Name, email, staffNumber, n.Roles, n.Machine, hash, cmp.Or(n.Language, "nb"), tx.Now(), shut).Scan(&id)
		if !errors.Is(err, pgx.ErrNoRows) {
			break
		}
	}
	return id, staffNumber, err
}

// Check answers problem.Invalid with everything that is wrong with the account but for its password and a login that is
// taken: login (required, login_form), name (required), email (email_form), roles (required; role_unknown (role); role_mix when duties of several organisations meet
// in one person, D13; role_municipality (role) when the municipality is missing; role_no_municipality (role) when there is one).
func (n New) Check() error {
	var wrong problem.Collector
	if login := normal(n.Login); login == "" {
		wrong.Add("login", "required", nil)
	} else if len(login) > 100 || strings.ContainsFunc(login, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		wrong.Add("login", "login_form", nil)
	}
	if name := strings.TrimSpace(n.Name); name == "" || len(name) > 200 {
		wrong.Add("name", "required", nil)
	}
	if email := strings.TrimSpace(n.Email); email != "" {
		if a, err := mail.ParseAddress(email); err != nil || a.Address != email || len(email) > 254 {
			wrong.Add("email", "email_form", nil)
		}
	}
	if len(n.Roles) == 0 {
		wrong.Add("roles", "required", nil)
	}
	blind := access.Caller{Roles: n.Roles}.Blind()
	for _, role := range n.Roles {
		code := ""
		switch known := slices.ContainsFunc(access.Table, func(g access.Grant) bool { return g.Role == role }); {
		case !known, role == access.System:
			code = "role_unknown"
		case blind && len(n.Roles) > 1:
			code = "role_mix"
		case !blind && n.Municipality == 0:
			code = "role_municipality"
		case blind && n.Municipality != 0:
			code = "role_no_municipality"
		default:
			continue
		}
		wrong.Add("roles", code, problem.Params{"role": string(role)})
		break
	}
	return wrong.Err()
}

// CheckPassword answers problem.Invalid of "password": too_short (min), too_long (max), and what guessable says.
func CheckPassword(password string) error {
	length := utf8.RuneCountInString(password)
	switch {
	case length < ShortestPassword:
		return problem.InvalidField("password", "too_short", problem.Params{"min": ShortestPassword})
	case length > LongestPassword:
		return problem.InvalidField("password", "too_long", problem.Params{"max": LongestPassword})
	}
	return guessable(password)
}

// Free answers problem.Invalid of "login", taken, when somebody has the login.
func Free(ctx context.Context, db *pg.DB, login string) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error { return free(ctx, tx, normal(login)) })
}

func free(ctx context.Context, tx *pg.Tx, login string) error {
	var taken bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM account WHERE login = $1)`, login).Scan(&taken); err != nil {
		return err
	}
	if taken {
		return problem.InvalidField("login", "taken", nil)
	}
	return nil
}

// normal is the one form of a login: people type capitals and blanks.
func normal(login string) string { return strings.ToLower(strings.TrimSpace(login)) }

// newStaffNumber is opaque: nothing about the person can be read from it, and it is never given twice.
func newStaffNumber(try int) (string, error) {
	low, span := int64(10_000), int64(90_000)
	for range try / 5 { // when five digits are getting full
		low, span = low*10, span*10
		if low >= 1e9 {
			break
		}
	}
	n, err := rand.Int(rand.Reader, big.NewInt(span))
	if err != nil {
		return "", err
	}
	return "S-" + strconv.FormatInt(low+n.Int64(), 10), nil
}

// may reports whether by may end what belongs to account: their own, an administrator's in the same municipality, a
// platform administrator's for people of no municipality, and the system's (the command line).
func may(ctx context.Context, tx *pg.Tx, by access.Caller, account int64) (municipality int, err error) {
	err = tx.QueryRow(ctx, `SELECT coalesce(municipality_id, 0) FROM account WHERE id = $1`, account).Scan(&municipality)
	if err != nil {
		return 0, err
	}
	switch {
	case by.Has(access.System), by.Account == account,
		by.Can(access.AccountManage) && municipality == by.Municipality,
		by.Can(access.PlatformManage) && municipality == 0:
		return municipality, nil
	}
	return 0, problem.NotFound{What: "row"}
}

// SetLanguage keeps the caller's choice of language; the edge has checked that it exists.
func SetLanguage(ctx context.Context, db *pg.DB, caller access.Caller, language string) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE account SET language = $2 WHERE id = $1`, caller.Account, language)
		return err
	})
}

// SetScheme keeps the caller's choice of colours: auto, light or dark.
func SetScheme(ctx context.Context, db *pg.DB, caller access.Caller, scheme string) error {
	if !slices.Contains([]string{"auto", "light", "dark"}, scheme) {
		return problem.InvalidField("scheme", "choice", nil)
	}
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE account SET scheme = $2 WHERE id = $1`, caller.Account, scheme)
		return err
	})
}

// StaffMember is somebody of the own municipality, for "changed by".
type StaffMember struct {
	Name        string
	StaffNumber string
	Roles       []access.Role
}

// Staff gives the people of the transaction's municipality by account. People who see nobody, and the system, get none.
func Staff(ctx context.Context, tx *pg.Tx) (map[int64]StaffMember, error) {
	if err := tx.Require(access.RoundRead); err != nil {
		return nil, err
	}
	staff := map[int64]StaffMember{}
	if database := tx.Caller.Database(); database != "frist_municipality" && database != "frist_visitor" { // a visitor reads numbers for names
		return staff, nil
	}
	rows, err := tx.Query(ctx, `SELECT id, name, staff_number, roles FROM staff()`)
	if err != nil {
		return nil, err
	}
	var id int64
	var m StaffMember
	_, err = pgx.ForEachRow(rows, []any{&id, &m.Name, &m.StaffNumber, &m.Roles}, func() error {
		staff[id] = StaffMember{m.Name, m.StaffNumber, slices.Clone(m.Roles)}
		return nil
	})
	return staff, err
}

// Sweep removes what has run out: sessions, links, keys that ended long ago and remembered failures. For a timer in the serving process, since no
// other role can reach these tables.
func Sweep(ctx context.Context, db *pg.DB) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		now := tx.Now()
		batch := &pgx.Batch{}
		batch.Queue(`DELETE FROM session WHERE expires_at <= $1 OR seen_at <= $2`, now, now.Add(-idle))
		batch.Queue(`DELETE FROM api_key WHERE expires_at <= $1`, now.Add(-keepEnded))
		batch.Queue(`DELETE FROM account_link WHERE expires_at <= $1`, now)
		batch.Queue(`DELETE FROM sign_in_failure WHERE last_at <= $1`, now.Add(-forget))
		batch.Queue(`DELETE FROM ceremony WHERE expires_at <= $1`, now)
		batch.Queue(`DELETE FROM account_link WHERE expires_at <= $1`, now)
		return tx.SendBatch(ctx, batch).Close()
	})
}

// Travel moves every session along when the clock of a demo is turned, so that nobody is signed out by a quarter that
// passes in a second. In an installation that is not a demo it does nothing.
func Travel(ctx context.Context, db *pg.DB, by time.Duration) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE session SET created_at = created_at + $1::interval, seen_at = seen_at + $1::interval, expires_at = expires_at + $1::interval,
			fresh_until = fresh_until + $1::interval WHERE (SELECT demo FROM installation)`, by)
		return err
	})
}
