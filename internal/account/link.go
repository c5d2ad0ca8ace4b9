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
	LinkInvite = "invite" // take an account up: choose a password, or come from a provider
	LinkReset  = "reset"  // choose a new password
	LinkFactor = "factor" // a lost second factor is taken away; the password still has to be known
)

// How long a link works.
const (
	inviteFor = 7 * 24 * time.Hour
	resetFor  = 20 * time.Minute
)

// LinkPath is where a link leads, below the site's address, without its token.
const LinkPath = "/konto/lenke/"

// Link is one that works once, as its maker is shown it, once.
type Link struct {
	Token   string
	Purpose string
	Until   time.Time
}

// Path is the link's address on this site.
func (l Link) Path() string { return LinkPath + l.Token }

// NewLink makes a new link for a person of the own organisation, to be handed over or sent: an invitation for whoever has
// no password yet, else a way to a new password, or with factor to a new second factor. It asks for a fresh proof of who makes it (problem.StepUp). It answers
// problem.Conflict for a program (machine), a disabled account (account_disabled) and the maker's own (own_account: a stolen
// session would make itself at home); an account that waits for its second
// person gets one, which works when it is confirmed.
func NewLink(ctx context.Context, db *pg.DB, by access.Caller, account int64, factor bool) (link Link, err error) {
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := manageFresh(tx); err != nil {
			return err
		}
		p, err := find(ctx, tx, account)
		if err != nil {
			return err
		}
		if p.ID == by.Account {
			return problem.Tried(problem.Conflict{Code: "own_account"})
		}
		link, err = linkFor(ctx, tx, p, factor)
		return err
	})
	return link, err
}

func linkFor(ctx context.Context, tx *pg.Tx, p Person, factor bool) (Link, error) {
	link := Link{Purpose: LinkReset}
	if factor {
		link.Purpose = LinkFactor
	}
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
	link.Token, err = makeLink(ctx, tx, p.ID, link.Purpose, tx.Caller.Account, ttl)
	audit.Write(tx, access.AccountManage, audit.Record{Act: "link_made", Subject: "account", SubjectID: strconv.FormatInt(p.ID, 10), Detail: map[string]any{"purpose": link.Purpose}})
	return link, err
}
