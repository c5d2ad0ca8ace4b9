package account

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/jackc/pgx/v5"
)

// manage refuses unless the caller looks after the accounts of their organisation: an administrator in a municipality, a
// platform administrator for processor and supplier.
func manage(tx *pg.Tx) error {
	if tx.Municipality() == 0 {
		return tx.Require(access.PlatformManage)
	}
	return tx.Require(access.AccountManage)
}

// manageFresh is manage for acts that ask for a fresh proof of who acts.
func manageFresh(tx *pg.Tx) error {
	if err := manage(tx); err != nil {
		return err
	}
	if !tx.Caller.Fresh(tx.Now()) {
		return problem.StepUp{}
	}
	return nil
}

// decides is manage, or deciding on what those propose: an approver. Whoever works for processor or supplier looks after
// their own accounts only, wherever they stand.
func decides(tx *pg.Tx) error {
	err := manage(tx)
	if err == nil || tx.Caller.Blind() {
		return err
	}
	return tx.Require(access.ProposalDecide)
}

// State is where an account stands.
type State string

// The states. A program is never invited; a person is until there is a password or a first sign-in.
const (
	Waiting  State = "waiting" // for a second person to confirm its roles
	Invited  State = "invited"
	Active   State = "active"
	Machine  State = "machine"
	Disabled State = "disabled"
)

// Person is an account as those see it who look after it.
type Person struct {
	ID           int64
	Login        string
	Name         string
	Email        string
	StaffNumber  string
	Roles        []access.Role
	Machine      bool
	CreatedAt    time.Time
	DisabledAt   *time.Time
	LastSignInAt *time.Time // of a program: when one of its keys was last used
	Opened       bool       // has a password, or has signed in
	Unconfirmed  bool       // its first roles are proposed and not decided
	ReviewedAt   *time.Time
	ReviewedBy   *int64
}

// State is where the account stands.
func (p Person) State() State {
	switch {
	case p.Unconfirmed:
		return Waiting
	case p.DisabledAt != nil:
		return Disabled
	case p.Machine:
		return Machine
	case !p.Opened:
		return Invited
	}
	return Active
}

const person = `SELECT a.id, a.login, a.name, coalesce(a.email, '') AS email, a.staff_number, a.roles, a.machine, a.created_at, a.disabled_at,
		CASE WHEN a.machine THEN (SELECT max(k.last_used_at) FROM api_key k WHERE k.account_id = a.id) ELSE a.last_sign_in_at END AS last_sign_in_at,
		a.password_hash IS NOT NULL OR a.last_sign_in_at IS NOT NULL AS opened,
		EXISTS (SELECT FROM proposal p WHERE p.municipality_id = $1 AND p.kind = 'roles' AND p.subject = a.id::text AND p.outcome IS NULL
			AND p.expires_at > $2 AND p.payload @> '{"first": true}') AS unconfirmed,
		r.reviewed_at, r.reviewed_by
	FROM account a LEFT JOIN LATERAL (SELECT r.reviewed_at, r.reviewed_by FROM access_review r WHERE r.municipality_id = $1 AND r.account_id = a.id
		ORDER BY r.reviewed_at DESC, r.id DESC LIMIT 1) r ON true
	WHERE coalesce(a.municipality_id, 0) = $1`

// PageSize is how many accounts a page of People shows.
const PageSize = 100

// People lists the accounts of the caller's organisation by name: at most PageSize after the one with the id after (0: from
// the first). For whoever looks after them; an approver sees them too, because two people change them.
func People(ctx context.Context, db *pg.DB, by access.Caller, after int64) (people []Person, err error) {
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := decides(tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, person+` AND ($3 = 0 OR (lower(a.name), a.id) > (SELECT lower(b.name), b.id FROM account b WHERE b.id = $3 AND coalesce(b.municipality_id, 0) = $1))
			ORDER BY lower(a.name), a.id LIMIT $4`, tx.Municipality(), tx.Now(), after, PageSize)
		if err != nil {
			return err
		}
		people, err = pgx.CollectRows(rows, pgx.RowToStructByName[Person])
		return err
	})
	return people, err
}

// Find is one account of the caller's organisation; problem.NotFound for any other, whether it exists or not.
func Find(ctx context.Context, db *pg.DB, by access.Caller, account int64) (p Person, err error) {
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := manage(tx); err != nil {
			return err
		}
		p, err = find(ctx, tx, account)
		return err
	})
	return p, err
}

func find(ctx context.Context, tx *pg.Tx, account int64) (Person, error) {
	rows, err := tx.Query(ctx, person+` AND a.id = $3`, tx.Municipality(), tx.Now(), account)
	if err != nil {
		return Person{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Person])
}

// names are those of the organisation's people by account, for "proposed by".
func names(ctx context.Context, tx *pg.Tx) (map[int64]string, error) {
	rows, err := tx.Query(ctx, `SELECT id, name FROM account WHERE coalesce(municipality_id, 0) = $1`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	of := map[int64]string{}
	var id int64
	var name string
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		of[id] = name
		return nil
	})
	return of, err
}

// rolesPayload is what a proposal for roles says.
type rolesPayload struct {
	Roles []access.Role `json:"roles"`
	First bool          `json:"first,omitempty"` // of a new account, which opens with them
}

// Invite makes an account without a password, shut until a second person has confirmed its roles, and for a person the
// link with which they choose a password once it is. It answers problem.Invalid like New.Check, and login (taken).
func Invite(ctx context.Context, db *pg.DB, by access.Caller, n New) (id int64, link Link, err error) {
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := manageFresh(tx); err != nil {
			return err
		}
		n.Municipality = tx.Municipality()
		n.Roles = inOrder(n.Roles)
		if err := beyond(n.Check()); err != nil {
			return err
		}
		if id, _, err = insert(ctx, tx, n, nil); err != nil {
			return err
		}
		audit.Write(tx, access.AccountManage, audit.Record{
			Act: "account_created", Subject: "account", SubjectID: strconv.FormatInt(id, 10),
			Detail: map[string]any{"roles": n.Roles, "machine": n.Machine},
		})
		if _, err := proposal.Make(ctx, tx, proposal.Roles, strconv.FormatInt(id, 10), id, rolesPayload{n.Roles, true}); err != nil || n.Machine {
			return err
		}
		p, err := find(ctx, tx, id)
		if err != nil {
			return err
		}
		link, err = linkFor(ctx, tx, p, false)
		return err
	})
	if err != nil {
		return 0, Link{}, err
	}
	return id, link, nil
}

// beyond is err, written down when roles are wanted that the organisation has not to give: no page offers them.
func beyond(err error) error {
	var invalid problem.Invalid
	if errors.As(err, &invalid) && slices.ContainsFunc(invalid.Fields, func(f problem.Field) bool { return f.Name == "roles" && f.Code != "required" }) {
		return problem.Tried(err)
	}
	return err
}

// inOrder is the roles in the table's order, each once, so that the same set is always written the same.
func inOrder(roles []access.Role) []access.Role {
	place := func(r access.Role) int {
		return slices.IndexFunc(access.Table, func(g access.Grant) bool { return g.Role == r })
	}
	sorted := slices.Clone(roles)
	slices.SortStableFunc(sorted, func(a, b access.Role) int { return place(a) - place(b) })
	return slices.Compact(sorted)
}

// ProposeRoles proposes other roles for an account of the own organisation. Nobody proposes their own (problem.Forbidden,
// about_yourself). Proposing is having gone through the account: the review knows it.
func ProposeRoles(ctx context.Context, db *pg.DB, by access.Caller, account int64, roles []access.Role) error {
	return db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := manageFresh(tx); err != nil {
			return err
		}
		p, err := find(ctx, tx, account)
		if err != nil {
			return err
		}
		roles = inOrder(roles)
		if err := beyond(New{Municipality: tx.Municipality(), Login: p.Login, Name: p.Name, Roles: roles}.Check()); err != nil {
			return err
		}
		if slices.Equal(roles, inOrder(p.Roles)) {
			return problem.InvalidField("roles", "unchanged", nil)
		}
		if _, err := proposal.Make(ctx, tx, proposal.Roles, strconv.FormatInt(account, 10), account, rolesPayload{Roles: roles}); err != nil {
			return err
		}
		reviewed(tx, p, Changed)
		return nil
	})
}

// ProposeEnable proposes to open a disabled account again. Its keys, links and sessions stay ended.
func ProposeEnable(ctx context.Context, db *pg.DB, by access.Caller, account int64) error {
	return db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		if err := manageFresh(tx); err != nil {
			return err
		}
		p, err := find(ctx, tx, account)
		if err != nil {
			return err
		}
		if p.State() != Disabled {
			return problem.Conflict{Code: "account_open"}
		}
		_, err = proposal.Make(ctx, tx, proposal.Enable, strconv.FormatInt(account, 10), account, rolesPayload{Roles: p.Roles})
		return err
	})
}

// Accept decides for a proposal of the kinds that this package applies: roles, enable and ranges. What is accepted holds
// from the next request on.
func Accept(ctx context.Context, db *pg.DB, by access.Caller, id int64, kind proposal.Kind) error {
	return db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		return proposal.Accept(ctx, tx, id, kind, func(p proposal.Proposal) error {
			switch p.Kind {
			case proposal.Roles:
				return acceptRoles(ctx, tx, p)
			case proposal.Enable:
				_, err := tx.Exec(ctx, `UPDATE account SET disabled_at = NULL WHERE id = $1 AND coalesce(municipality_id, 0) = $2`, p.About, tx.Municipality())
				return err
			case proposal.Ranges:
				return acceptRange(ctx, tx, p)
			}
			return problem.NotFound{What: "row"}
		})
	})
}

func acceptRoles(ctx context.Context, tx *pg.Tx, p proposal.Proposal) error {
	var wanted rolesPayload
	if err := json.Unmarshal(p.Payload, &wanted); err != nil {
		return err
	}
	old, err := find(ctx, tx, *p.About)
	if err != nil {
		return err
	}
	// Asked again: what roles an organisation has may have changed with the program.
	if err := (New{Municipality: tx.Municipality(), Login: old.Login, Name: old.Name, Roles: wanted.Roles}).Check(); err != nil {
		return err
	}
	if administers(old.Roles) && !administers(wanted.Roles) {
		if err := notTheLast(ctx, tx, old.ID); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE account SET roles = $3, disabled_at = CASE WHEN $4 THEN NULL ELSE disabled_at END WHERE id = $1 AND coalesce(municipality_id, 0) = $2`,
		old.ID, tx.Municipality(), wanted.Roles, wanted.First); err != nil {
		return err
	}
	audit.Write(tx, access.ProposalDecide, audit.Record{
		Act: "roles_changed", Subject: "account", SubjectID: p.Subject, Fields: []string{"roles"},
		Detail: map[string]any{"from": old.Roles, "to": wanted.Roles},
	})
	return nil
}

func administers(roles []access.Role) bool {
	return slices.Contains(roles, access.Administrator) || slices.Contains(roles, access.PlatformAdministrator)
}

// notTheLast answers problem.Conflict (last_administrator) when nobody else could look after the organisation's accounts.
func notTheLast(ctx context.Context, tx *pg.Tx, account int64) error {
	var others bool
	// They are locked, so that two who go at once do not both count on the other.
	err := tx.QueryRow(ctx, `SELECT count(*) > 0 FROM (SELECT id FROM account WHERE coalesce(municipality_id, 0) = $1 AND id <> $2 AND disabled_at IS NULL AND NOT machine
		AND roles && ARRAY['administrator', 'platform_administrator'] ORDER BY id FOR UPDATE) o`, tx.Municipality(), account).Scan(&others)
	if err == nil && !others {
		err = problem.Conflict{Code: "last_administrator"}
	}
	return err
}

// Disable ends an account at once (ASVS 7.4.2): its sessions, keys and links, and the proposals that it made or that are
// about it. By whoever looks after it, or by the system; anybody else's account answers problem.NotFound, and one's own is
// somebody else's to disable (problem.Forbidden, about_yourself). One who can look after accounts always stays
// (problem.Conflict, last_administrator). The row stays, because protocols name its staff number.
func Disable(ctx context.Context, db *pg.DB, by access.Caller, account int64) error {
	return db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		municipality, err := may(ctx, tx, by, account)
		if err != nil {
			return err
		}
		if by.Account == account && !by.Has(access.System) {
			return problem.Forbidden{Code: "about_yourself"}
		}
		if by.Has(access.System) && municipality != tx.Municipality() { // the command line stands nowhere
			if _, err := tx.Exec(ctx, `SELECT set_config('frist.municipality', $1, true)`, strconv.Itoa(municipality)); err != nil {
				return err
			}
			tx.Caller.Municipality = municipality
		}
		p, err := find(ctx, tx, account)
		if err != nil {
			return err
		}
		if !by.Has(access.System) && administers(p.Roles) && !p.Machine {
			if err := notTheLast(ctx, tx, account); err != nil {
				return err
			}
		}
		batch := &pgx.Batch{}
		batch.Queue(`UPDATE account SET disabled_at = coalesce(disabled_at, $2) WHERE id = $1`, account, tx.Now())
		batch.Queue(`DELETE FROM session WHERE account_id = $1`, account)
		batch.Queue(`DELETE FROM account_link WHERE account_id = $1`, account)
		batch.Queue(`UPDATE api_key SET expires_at = least(expires_at, $2) WHERE account_id = $1`, account, tx.Now())
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		if err := proposal.CallOff(ctx, tx, account); err != nil {
			return err
		}
		audit.Write(tx, access.AccountManage, audit.Record{Act: "account_disabled", Subject: "account", SubjectID: strconv.FormatInt(account, 10)})
		if !by.Has(access.System) {
			reviewed(tx, p, Ended)
		}
		return nil
	})
}

// ProposalLine is a proposal with the names of those in it.
type ProposalLine struct {
	proposal.Proposal
	Proposer, Concerned, Decider string
	Roles                        []access.Role // what a proposal about an account says
	First                        bool
	Had                          []access.Role // what the account has now
	Range                        RangePayload  // what a proposal about a network says
}

// Proposals gives what waits in the caller's organisation and what was decided lately.
func Proposals(ctx context.Context, db *pg.DB, by access.Caller) (waiting, decided []ProposalLine, err error) {
	err = db.SignInAs(ctx, by, func(tx *pg.Tx) error {
		open, settled, err := proposal.List(ctx, tx)
		if err != nil {
			return err
		}
		of, err := names(ctx, tx)
		if err != nil {
			return err
		}
		roles, err := rolesOf(ctx, tx)
		if err != nil {
			return err
		}
		line := func(p proposal.Proposal) (ProposalLine, error) {
			l := ProposalLine{Proposal: p, Proposer: of[p.ProposedBy]}
			if p.DecidedBy != nil {
				l.Decider = of[*p.DecidedBy]
			}
			var err error
			switch p.Kind {
			case proposal.Roles, proposal.Enable:
				var said rolesPayload
				err = json.Unmarshal(p.Payload, &said)
				l.Roles, l.First = said.Roles, said.First
				l.Concerned, l.Had = of[*p.About], roles[*p.About]
			case proposal.Ranges:
				err = json.Unmarshal(p.Payload, &l.Range)
			}
			return l, err
		}
		for _, list := range []struct {
			from []proposal.Proposal
			to   *[]ProposalLine
		}{{open, &waiting}, {settled, &decided}} {
			for _, p := range list.from {
				l, err := line(p)
				if err != nil {
					return err
				}
				*list.to = append(*list.to, l)
			}
		}
		return nil
	})
	return waiting, decided, err
}

func rolesOf(ctx context.Context, tx *pg.Tx) (map[int64][]access.Role, error) {
	rows, err := tx.Query(ctx, `SELECT id, roles FROM account WHERE coalesce(municipality_id, 0) = $1`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	of := map[int64][]access.Role{}
	var id int64
	var roles []access.Role
	_, err = pgx.ForEachRow(rows, []any{&id, &roles}, func() error {
		of[id] = slices.Clone(roles)
		return nil
	})
	return of, err
}

// ParseID reads the id of an account, key, range or proposal out of an address. What cannot be one is not found.
func ParseID(text string) (int64, error) {
	id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || id < 1 {
		return 0, problem.NotFound{What: "row"}
	}
	return id, nil
}
