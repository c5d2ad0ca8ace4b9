package account

import (
	"context"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// What a link is for.
const (
	LinkInvite = "invite" // choose a first password
	LinkReset  = "reset"  // choose a new one
)

// How long a link works.
const (
	inviteFor = 7 * 24 * time.Hour
	resetFor  = 20 * time.Minute
)

// LinkPath is the address of a link without its token.
const LinkPath = "/konto/lenke/"

// Link is one that works once, as its maker is shown it, once.
type Link struct {
	Token   string
	Purpose string
	Until   time.Time
}

// Path is the link's address on this site.
func (l Link) Path() string { return LinkPath + l.Token }

// newLink makes a link that works once; only its hash is kept. It takes the place of the account's earlier ones.
func newLink(ctx context.Context, tx *pg.Tx, account int64, purpose string, madeBy int64, ttl time.Duration) (token string, err error) {
	if _, err := tx.Exec(ctx, `DELETE FROM account_link WHERE account_id = $1`, account); err != nil {
		return "", err
	}
	token, hash := newToken("")
	_, err = tx.Exec(ctx, `INSERT INTO account_link (token_hash, account_id, purpose, made_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		hash, account, purpose, madeBy, tx.Now(), tx.Now().Add(ttl))
	return token, err
}

// NewLink makes a new link for a person of the own organisation, to be handed over or sent: an invitation for whoever has
// no password yet, else a way to a new password. It asks for a fresh proof of who makes it (problem.StepUp). It answers
// problem.Conflict for a program (machine) and a disabled account (account_disabled); an account that waits for its second
// person gets one, which works when it is confirmed.
func NewLink(ctx context.Context, db *pg.DB, by access.Caller, account int64) (link Link, err error) {
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := manageFresh(tx); err != nil {
			return err
		}
		p, err := find(ctx, tx, account)
		if err != nil {
			return err
		}
		link, err = linkFor(ctx, tx, p)
		return err
	})
	return link, err
}

func linkFor(ctx context.Context, tx *pg.Tx, p Person) (Link, error) {
	link := Link{Purpose: LinkReset}
	ttl := resetFor
	switch p.State() {
	case Machine:
		return link, problem.Conflict{Code: "machine"}
	case Disabled:
		return link, problem.Conflict{Code: "account_disabled"}
	case Waiting, Invited:
		link.Purpose, ttl = LinkInvite, inviteFor
	}
	var err error
	link.Until = tx.Now().Add(ttl)
	link.Token, err = newLink(ctx, tx, p.ID, link.Purpose, tx.Caller.Account, ttl)
	audit.Write(tx, access.AccountManage, audit.Record{Act: "link_made", Subject: "account", SubjectID: strconv.FormatInt(p.ID, 10), Detail: map[string]any{"purpose": link.Purpose}})
	return link, err
}
