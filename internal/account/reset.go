package account

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

const (
	freeAsked = 3               // links asked for before the delay begins
	mailEvery = 2 * time.Minute // one account's mails
)

// HandedLink is a link that works, and for whom.
type HandedLink struct {
	Account      int64
	Purpose      string
	Name, Login  string
	Municipality int
	Roles        []access.Role
	Highest      bool // the municipality takes no passwords
}

const readLink = `SELECT l.account_id, l.purpose, a.name, a.login, coalesce(a.municipality_id, 0) AS municipality, a.roles,
	coalesce((SELECT p.highest_level FROM municipality_policy p WHERE p.municipality_id = a.municipality_id), false) AS highest
	FROM account_link l JOIN account a ON a.id = l.account_id
	WHERE l.token_hash = $1 AND l.expires_at > $2 AND a.disabled_at IS NULL AND NOT a.machine`

// LookAtLink tells what a link is for, without using it up. Used, run out and invented ones all answer problem.NotFound.
func LookAtLink(ctx context.Context, db *pg.DB, token string) (l HandedLink, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		l, err = scanLink(tx.QueryRow(ctx, readLink, hashToken(token), tx.Now()))
		return err
	})
	return l, err
}

func scanLink(row pgx.Row) (l HandedLink, err error) {
	err = row.Scan(&l.Account, &l.Purpose, &l.Name, &l.Login, &l.Municipality, &l.Roles, &l.Highest)
	if errors.Is(err, pgx.ErrNoRows) {
		err = problem.NotFound{What: "link"}
	}
	return l, err
}

// takeLink uses a link up, in the transaction of what it is for: two who come at once do not both get in.
func takeLink(ctx context.Context, tx *pg.Tx, token string, purposes ...string) (HandedLink, error) {
	l, err := scanLink(tx.QueryRow(ctx, readLink, hashToken(token), tx.Now()))
	if err != nil {
		return l, err
	}
	n, err := tx.Exec(ctx, `DELETE FROM account_link WHERE token_hash = $1 AND purpose = ANY ($2)`, hashToken(token), purposes)
	if err == nil && n == 0 { // of another purpose, or somebody was quicker
		return l, problem.NotFound{What: "link"}
	}
	// Whatever other links there are lead to the same account: none outlives this one.
	tx.Later(`DELETE FROM account_link WHERE account_id = $1`, l.Account)
	return l, err
}

// TakeUp chooses the password by an invitation or a reset, uses the link up and ends all sessions. It opens none: signing
// in with the new password comes next, from an approved network and with the second factor. problem.Invalid of password;
// problem.Forbidden highest_level where the municipality takes no passwords.
func (h *House) TakeUp(ctx context.Context, db *pg.DB, token, password string) error {
	l, err := LookAtLink(ctx, db, token)
	if err != nil {
		return err
	}
	if l.Highest {
		return problem.Forbidden{Code: "highest_level"}
	}
	if err := CheckNewPassword(ctx, db, l.Account, password); err != nil {
		return err
	}
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return err
	}
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		l, err := takeLink(ctx, tx, token, LinkInvite, LinkReset)
		if err != nil {
			return err
		}
		tx.Later(`UPDATE account SET password_hash = $2 WHERE id = $1`, l.Account, hash)
		tx.Later(`DELETE FROM session WHERE account_id = $1`, l.Account)
		act := "password_reset"
		if l.Purpose == LinkInvite {
			act = "invitation_taken_up"
		}
		door, id := doorOf(l.Account, l.Municipality, l.Roles)
		audit.WriteDoor(tx, door, audit.Record{Act: act, Subject: "account", SubjectID: id})
		return nil
	})
}

// TakeFactorsAway uses a link for a lost factor up: the password is asked for, from an approved network, all factors go
// and all sessions end. The next sign-in leads to setting up a new one. problem.Invalid of password (wrong_password).
func (h *House) TakeFactorsAway(ctx context.Context, db *pg.DB, token, password string, visit Visit) error {
	l, err := LookAtLink(ctx, db, token)
	if err != nil {
		return err
	}
	self := Self{Caller: access.Caller{Account: l.Account, Municipality: l.Municipality}, Roles: l.Roles, Login: l.Login}
	if err := h.passwordAgain(ctx, db, self, password, "password", visit); err != nil {
		return err
	}
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		if _, err := takeLink(ctx, tx, token, LinkFactor); err != nil {
			return err
		}
		dropFactors(tx, l.Account)
		tx.Later(`DELETE FROM session WHERE account_id = $1`, l.Account)
		self.record(tx, "factors_taken_away", nil)
		return nil
	})
}

// makeLink makes a link that works once; only its hash is kept. It takes the place of an earlier one of the same purpose.
func makeLink(ctx context.Context, tx *pg.Tx, account int64, purpose string, by int64, lasts time.Duration) (token string, err error) {
	token, hash := newToken("")
	if _, err := tx.Exec(ctx, `DELETE FROM account_link WHERE account_id = $1 AND purpose = $2`, account, purpose); err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, `INSERT INTO account_link (token_hash, account_id, purpose, made_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		hash, account, purpose, by, tx.Now(), tx.Now().Add(lasts))
	return token, err
}

// Address is where a link leads; empty when the installation does not know its own address.
func (h *House) Address(token string) string {
	if h.URL == "" {
		return ""
	}
	return strings.TrimSuffix(h.URL, "/") + LinkPath + token
}

// SendLink mails a link that was made for an account, and reports whether there is somebody to send it to and something to
// send it with. It does not wait for the mail.
func (h *House) SendLink(ctx context.Context, db *pg.DB, account int64, token, purpose string) (sent bool, err error) {
	if h.Mail == nil || h.URL == "" {
		return false, nil
	}
	var email *string
	var language string
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		return tx.QueryRow(ctx, `SELECT email, language FROM account WHERE id = $1 AND disabled_at IS NULL`, account).Scan(&email, &language)
	})
	if errors.As(err, new(problem.NotFound)) { // it waits for a second person, and its link with it
		return false, nil
	}
	if err != nil || email == nil {
		return false, err
	}
	h.Mail.Link(*email, language, purpose, h.Address(token))
	return true, nil
}

// asking bounds how many requests for a new password are worked on at once; beyond that they are dropped, as a lost mail
// would be.
var asking = make(chan struct{}, 32)

// AskReset is somebody at the door who has forgotten their password. Known and unknown logins cost the same and get the
// same answer: none. What there is to do is done afterwards, where nobody can measure it. Only accounts with a password
// and an address for mail get a link, one every two minutes.
func (h *House) AskReset(ctx context.Context, db *pg.DB, login string, visit Visit) error {
	login = normal(login)
	if len(login) > 100 {
		return nil
	}
	err := db.SignIn(ctx, func(tx *pg.Tx) error {
		return takeOne(ctx, tx, tryKey(login, "reset", visit.Address), freeAsked)
	})
	if err != nil {
		return err
	}
	select {
	case asking <- struct{}{}:
	default:
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer func() { <-asking }()
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_ = h.reset(ctx, db, login) // the person who asked is told nothing, whatever happens
	}()
	return nil
}

func (h *House) reset(ctx context.Context, db *pg.DB, login string) error {
	if h.Mail == nil || h.URL == "" {
		return nil
	}
	var account int64
	var token string
	err := db.SignIn(ctx, func(tx *pg.Tx) error {
		var municipality int
		err := tx.QueryRow(ctx, `SELECT id, coalesce(municipality_id, 0) FROM account a
			WHERE login = $1 AND disabled_at IS NULL AND NOT machine AND email IS NOT NULL AND password_hash IS NOT NULL
				AND NOT EXISTS (SELECT FROM municipality_policy p WHERE p.municipality_id = a.municipality_id AND p.highest_level)
				AND NOT EXISTS (SELECT FROM account_link l WHERE l.account_id = a.id AND l.purpose = 'reset' AND l.created_at > $2)
			FOR NO KEY UPDATE`, login, tx.Now().Add(-mailEvery)).Scan(&account, &municipality)
		if errors.Is(err, pgx.ErrNoRows) {
			account = 0
			return nil
		}
		if err != nil {
			return err
		}
		audit.WriteDoor(tx, audit.Door{Municipality: municipality}, audit.Record{Act: "reset_asked", Subject: "account", SubjectID: strconv.FormatInt(account, 10)})
		token, err = makeLink(ctx, tx, account, LinkReset, 0, resetFor)
		return err
	})
	if err != nil || account == 0 {
		return err
	}
	_, err = h.SendLink(ctx, db, account, token, LinkReset)
	return err
}
