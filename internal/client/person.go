package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Person is a client as the privacy officer meets one: enough to tell two people of the same name apart, and no more.
type Person struct {
	ID         ID
	Number     string
	GivenName  string
	FamilyName string
	Status     Status
}

// Name is "Hansen, Solveig".
func (p Person) Name() string { return p.FamilyName + ", " + p.GivenName }

// mostPersons is how many are shown; whoever finds more writes more of the name.
const mostPersons = 20

// SavePerson keeps what the privacy officer typed to find somebody in the log - a number, a national id, a name - as
// SaveSearch does for lists, so that it stands in no address. Errors: problem.Invalid of "person" (required, too_long).
// Needs AccessLogRead.
func SavePerson(ctx context.Context, tx *pg.Tx, text string) (uuid.UUID, error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return uuid.Nil, err
	}
	text = clean(text)
	switch {
	case text == "":
		return uuid.Nil, problem.InvalidField("person", "required", nil)
	case utf8.RuneCountInString(text) > 100:
		return uuid.Nil, problem.InvalidField("person", "too_long", problem.Params{"max": 100})
	}
	id := uuid.New()
	_, err := tx.Exec(ctx, `INSERT INTO stored_search (municipality_id, id, account_id, session_hash, terms, created_at) VALUES ($1, $2, $3, $4, jsonb_build_object('person', $5::text), $6)`,
		tx.Municipality(), id, tx.Caller.Account, tx.Caller.Session, text, tx.Now())
	return id, err
}

// SavedPerson gives back what was typed. problem.NotFound when it is not the caller's own. Needs AccessLogRead.
func SavedPerson(ctx context.Context, tx *pg.Tx, id uuid.UUID) (string, error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return "", err
	}
	var text *string
	err := tx.QueryRow(ctx, `SELECT terms->>'person' FROM stored_search WHERE municipality_id = $1 AND id = $2 AND account_id = $3`,
		tx.Municipality(), id, tx.Caller.Account).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && text == nil {
		return "", problem.NotFound{What: "search"}
	}
	if err != nil {
		return "", err
	}
	return *text, nil
}

// Persons finds clients by their number, their national id (exactly) or words of their name, at most twenty; more says that
// there are others. That they were shown is on record like any other look. nationalID is what was typed, when it is one:
// the same person may have been another client before (deletion.PurgedAs). Needs AccessLogRead.
func Persons(ctx context.Context, tx *pg.Tx, text string) (found []Person, more bool, nationalID string, err error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return nil, false, "", err
	}
	text = clean(text)
	w := where{sql: `c.municipality_id = $1`, args: []any{tx.Municipality()}}
	digits := strings.ReplaceAll(text, " ", "")
	if id, err := ParseNationalID(text); err == nil {
		nationalID = string(id)
	}
	switch id, err := ParseID(text); {
	case err == nil:
		w.and(`c.id = %s`, id)
	case nationalID != "":
		w.and(`(c.national_id = %s OR c.number = %s)`, nationalID, digits)
	case digits != "" && strings.Trim(digits, "0123456789") == "":
		w.and(`c.number = %s`, digits)
	default:
		w.match(text)
	}
	rows, err := tx.Query(ctx, `SELECT c.id, c.number, c.given_name, c.family_name, c.status FROM client c WHERE `+w.sql+` ORDER BY c.family_name, c.given_name, c.id LIMIT 21`, w.args...)
	if err != nil {
		return nil, false, "", err
	}
	found, err = pgx.CollectRows(rows, pgx.RowToStructByName[Person])
	if err != nil {
		return nil, false, "", err
	}
	if more = len(found) > mostPersons; more {
		found = slices.Clip(found[:mostPersons])
	}
	ids := make([]ID, len(found))
	for i, p := range found {
		ids[i] = p.ID
	}
	audit.Looked(tx, "log.person", "control", ids...)
	return found, more, nationalID, nil
}
