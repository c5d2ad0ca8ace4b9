package account

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/oidc"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// What somebody goes to a provider for.
const (
	ToSignIn  = "sign_in"
	ToConfirm = "confirm" // that it is still they, in a session that is open
	ToLink    = "link"    // the person to the account that they are signed in to
	ToTakeUp  = "take_up" // an account they were invited to
)

// Errand is one way to a provider and back.
type Errand struct {
	Purpose string
	Next    string          // the page afterwards
	Link    string          // the token of the invitation
	High    bool            // the highest level is asked for
	Kept    json.RawMessage // what the edge wants back: a form that waits
}

// underway is what is kept of it meanwhile, sealed.
type underway struct {
	Provider string
	Request  oidc.Request
	Errand   Errand
	Session  []byte
}

const (
	freeErrands    = 200 // begun from one address and not ended
	longestErrands = time.Minute
)

// Provider finds one by its name; nil when there is none.
func (h *House) Provider(name string) *oidc.Provider {
	for _, p := range h.Providers {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// BeginErrand gives the address to send the browser to, and the value for its cookie: only this browser can come back.
// self is whose session is open; nil where nobody's is needed. Errors: problem.NotFound for a provider that is not there,
// problem.Unavailable when it does not answer, problem.StepUp.
func (h *House) BeginErrand(ctx context.Context, db *pg.DB, provider string, errand Errand, self *Self, visit Visit) (address, cookie string, err error) {
	p := h.Provider(provider)
	if p == nil {
		return "", "", problem.NotFound{What: "provider"}
	}
	key := tryKey("", "errand", visit.Address)
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		if errand.Purpose == ToLink && (self == nil || self.Pending != "" || !self.Caller.Fresh(tx.Now())) {
			return problem.StepUp{}
		}
		c, err := count(ctx, tx, key)
		if err != nil {
			return err
		}
		if wait := c.left(tx.Now(), c.delay(freeErrands, longestErrands)); wait > 0 {
			return problem.TooMany{RetryAfterSeconds: int(wait.Seconds()) + 1}
		}
		_, err = tx.Exec(ctx, `UPDATE sign_in_failure SET failures = failures + 1, last_at = $2 WHERE key_hash = $1`, key, tx.Now())
		return err
	})
	if err != nil {
		return "", "", err
	}
	state, _ := newToken("")
	cookie, binding := newToken("")
	level := ""
	if errand.High {
		level = oidc.High
	}
	// No transaction is open while the provider is asked.
	// Somebody else may still be signed in there, in a browser that several use: only an ordinary sign-in takes their word.
	anew := errand.Purpose != ToSignIn || errand.High
	address, request, err := p.Begin(ctx, state, level, anew)
	if err != nil {
		return "", "", away(err)
	}
	u := underway{Provider: provider, Request: request, Errand: errand}
	if self != nil {
		u.Session = self.Caller.Session
	}
	err = db.SignIn(ctx, func(tx *pg.Tx) error { return h.keep(tx, state, "provider", binding, u) })
	return address, cookie, err
}

func away(err error) error {
	if errors.As(err, new(oidc.ErrAway)) {
		return problem.Unavailable{What: "provider"}
	}
	return err
}

// Arrival is somebody who came back from a provider.
type Arrival struct {
	Errand Errand
	Opened Opened // of ToSignIn, ToTakeUp and ToConfirm: the new session, or its new token
}

// EndErrand looks at who came back. cookie is what BeginErrand gave, session the session's cookie if there is one. An
// answer is taken once: a state or a code that comes again, or in another browser, is problem.Forbidden errand_over, as is
// whatever the provider did not vouch for (errand_refused). not_linked: nobody here is that person. highest_level: the municipality demands more.
// other_person: somebody else than the session's. problem.Conflict linked: the person is linked to an account already.
func (h *House) EndErrand(ctx context.Context, db *pg.DB, cookie, session, state, code, issuer string, visit Visit) (a Arrival, err error) {
	var u underway
	err = db.SignIn(ctx, func(tx *pg.Tx) error { return h.end(ctx, tx, "provider", state, hashToken(cookie), &u) })
	if errors.As(err, new(problem.NotFound)) {
		return a, problem.Forbidden{Code: "errand_over"}
	}
	if err != nil {
		return a, err
	}
	a.Errand = u.Errand
	p := h.Provider(u.Provider)
	if p == nil || code == "" { // the person pressed cancel there
		return a, problem.Forbidden{Code: "errand_over"}
	}
	person, err := p.Finish(ctx, u.Request, code, issuer)
	if refused := (oidc.ErrRefused{}); errors.As(err, &refused) {
		if err := refuseAtDoor(ctx, db, doorAccount{}, "provider"); err != nil {
			return a, err
		}
		if refused.Why == "level" {
			return a, problem.Forbidden{Code: "highest_level"}
		}
		return a, problem.Forbidden{Code: "errand_refused"}
	}
	if err != nil {
		return a, away(err)
	}
	how := method{name: "oidc", provider: p.Name, level: person.Level, fresh: person.Age >= 0 && person.Age <= freshFor, visit: visit}
	subject := h.mac("subject", p.Issuer, person.Subject)
	var refusal struct {
		account doorAccount
		why     string
		err     error
	}
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		tx.Later(`UPDATE sign_in_failure SET failures = greatest(failures - 1, 0) WHERE key_hash = $1`, tryKey("", "errand", visit.Address))
		if u.Errand.Purpose == ToConfirm || u.Errand.Purpose == ToLink {
			return h.endWithin(ctx, tx, &a, u, session, subject, p.Name, person.Level)
		}
		var account int64
		if u.Errand.Purpose == ToTakeUp {
			taken, err := takeLink(ctx, tx, u.Errand.Link, "invite")
			if err != nil {
				return err
			}
			account = taken.Account
			if err := link(ctx, tx, subject, account, p.Name); err != nil {
				return err
			}
		} else {
			err := tx.QueryRow(ctx, `SELECT account_id FROM account_provider WHERE subject_hash = $1`, subject).Scan(&account)
			if errors.Is(err, pgx.ErrNoRows) {
				refusal.why, refusal.err = "not_linked", problem.Forbidden{Code: "not_linked"}
				return nil
			}
			if err != nil {
				return err
			}
		}
		found, err := findAtDoor(ctx, tx, `id = $1`, account, visit)
		if err != nil {
			return err
		}
		switch {
		case found.disabled:
			refusal.why, refusal.err = refusedDisabled, problem.Forbidden{Code: "not_linked"}
		case found.highest && !oidc.Enough(person.Level, oidc.High):
			refusal.why, refusal.err = refusedLevel, problem.Forbidden{Code: "highest_level"}
		}
		if refusal.err != nil {
			refusal.account = found
			if u.Errand.Purpose == ToTakeUp { // the invitation is not used up by a refusal
				return refusal.err
			}
			return nil
		}
		a.Opened, err = open(ctx, tx, `id = $1`, account, how)
		return err
	})
	if refusal.err != nil {
		if err := refuseAtDoor(ctx, db, refusal.account, refusal.why); err != nil {
			return a, err
		}
		return a, refusal.err
	}
	return a, err
}

// endWithin is EndErrand in a session: it must still be the one that was open when the errand began.
func (h *House) endWithin(ctx context.Context, tx *pg.Tx, a *Arrival, u underway, session string, subject []byte, provider, level string) error {
	self, err := whose(ctx, tx, session)
	if err != nil {
		return err
	}
	if self.Pending != "" || string(self.Caller.Session) != string(u.Session) {
		return problem.Forbidden{Code: "errand_over"}
	}
	if u.Errand.Purpose == ToLink {
		if err := link(ctx, tx, subject, self.Caller.Account, provider); err != nil {
			return err
		}
		self.record(tx, "provider_linked", map[string]any{"provider": provider})
		return nil
	}
	var same bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM account_provider WHERE subject_hash = $1 AND account_id = $2)`, subject, self.Caller.Account).Scan(&same)
	if err != nil {
		return err
	}
	if !same {
		return problem.Forbidden{Code: "other_person"}
	}
	found, err := findAtDoor(ctx, tx, `id = $1`, self.Caller.Account, Visit{})
	if err != nil {
		return err
	}
	if found.highest && !oidc.Enough(level, oidc.High) {
		return problem.Forbidden{Code: "highest_level"}
	}
	a.Opened.Token, err = self.whole(ctx, tx, "", level)
	self.record(tx, "identity_confirmed", map[string]any{"provider": provider, "level": level})
	return err
}

// link ties a person at a provider to an account: one person, one account, and one person for each provider of an account.
func link(ctx context.Context, tx *pg.Tx, subject []byte, account int64, provider string) error {
	n, err := tx.Exec(ctx, `INSERT INTO account_provider (subject_hash, account_id, provider, linked_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, subject, account, provider, tx.Now())
	if err == nil && n == 0 {
		err = problem.Conflict{Code: "linked"}
	}
	return err
}

// LinkFirst ties an account to a person with nobody's permission, for the demo; the database refuses it elsewhere. What
// was tied at the provider before is untied: its address changes from start to start.
func (h *House) LinkFirst(ctx context.Context, db *pg.DB, provider *oidc.Provider, subject, login string) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		tx.Later(`DELETE FROM account_provider p USING account a WHERE a.id = p.account_id AND a.login = $1 AND p.provider = $2 AND (SELECT demo FROM installation)`, login, provider.Name)
		tx.Later(`INSERT INTO account_provider (subject_hash, account_id, provider, linked_at)
			SELECT $1, id, $3, $4 FROM account WHERE login = $2 AND (SELECT demo FROM installation) ON CONFLICT DO NOTHING`, h.mac("subject", provider.Issuer, subject), login, provider.Name, tx.Now())
		return nil
	})
}

// Linked are the providers at which the account is known.
func Linked(ctx context.Context, db *pg.DB, self Self) (names []string, err error) {
	err = db.SignIn(ctx, func(tx *pg.Tx) error {
		names, err = linked(ctx, tx, self.Caller.Account)
		return err
	})
	return names, err
}

func linked(ctx context.Context, tx *pg.Tx, account int64) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT provider FROM account_provider WHERE account_id = $1 ORDER BY provider`, account)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Unlink forgets who the account is at a provider. Errors: problem.StepUp; problem.NotFound; problem.Conflict last_way when
// there would be no other way in.
func Unlink(ctx context.Context, db *pg.DB, self Self, provider string) error {
	return db.SignIn(ctx, func(tx *pg.Tx) error {
		if self.Pending != "" || !self.Caller.Fresh(tx.Now()) {
			return problem.StepUp{}
		}
		if _, err := tx.Exec(ctx, `SELECT FROM account WHERE id = $1 FOR NO KEY UPDATE`, self.Caller.Account); err != nil {
			return err
		}
		names, err := linked(ctx, tx, self.Caller.Account)
		switch {
		case err != nil:
			return err
		case !slices.Contains(names, provider):
			return problem.NotFound{What: "provider"}
		case !self.Password && len(names) == 1:
			return problem.Conflict{Code: "last_way"}
		}
		tx.Later(`DELETE FROM account_provider WHERE account_id = $1 AND provider = $2`, self.Caller.Account, provider)
		self.record(tx, "provider_unlinked", map[string]any{"provider": provider})
		return nil
	})
}

// doorOf is the door of an audit row about an account that is not signed in.
func doorOf(account int64, municipality int, roles []access.Role) (audit.Door, string) {
	return audit.Door{Municipality: municipality, Account: account, Role: access.Caller{Roles: roles}.Main()}, strconv.FormatInt(account, 10)
}
