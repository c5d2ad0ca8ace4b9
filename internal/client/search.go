package client

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/text/unicode/norm"
)

// SaveSearch keeps what a person typed - words of a name, a number, a telephone or a device's code - so that it stands in
// no address; the id does. It is readable by the same account only and ends with the sign-in. Errors: problem.Invalid
// of "search" (empty, too_long).
func SaveSearch(ctx context.Context, tx *pg.Tx, text string) (uuid.UUID, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return uuid.Nil, err
	}
	text = clean(text)
	switch {
	case text == "":
		return uuid.Nil, problem.InvalidField("search", "empty", nil)
	case utf8.RuneCountInString(text) > 100:
		return uuid.Nil, problem.InvalidField("search", "too_long", problem.Params{"max": 100})
	}
	id := uuid.New()
	_, err := tx.Exec(ctx, `INSERT INTO stored_search (municipality_id, id, account_id, session_hash, terms, created_at) VALUES ($1, $2, $3, $4, jsonb_build_object('text', $5::text), $6)`,
		tx.Municipality(), id, tx.Caller.Account, tx.Caller.Session, text, tx.Now())
	return id, err
}

// FindSearch gives back what was typed. problem.NotFound when it is not the caller's own.
func FindSearch(ctx context.Context, tx *pg.Tx, id uuid.UUID) (string, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return "", err
	}
	var text string
	err := tx.QueryRow(ctx, `SELECT terms->>'text' FROM stored_search WHERE municipality_id = $1 AND id = $2 AND account_id = $3`,
		tx.Municipality(), id, tx.Caller.Account).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", problem.NotFound{What: "search"}
	}
	return text, err
}

// SearchText is what client_search holds for a client: small letters, digits without spaces, and no telephone of a
// protected one (D21). Whoever writes client_search writes this.
func SearchText(givenName, familyName, number, phone string, protected bool) string {
	if protected {
		phone = ""
	}
	return strings.ToLower(strings.TrimSpace(clean(givenName) + " " + clean(familyName) + " " + clean(number) + " " + deviceCode(phone)))
}

// terms are the words of a search; digits in groups are one number ("900 00 172").
func terms(text string) []string {
	text = strings.ToLower(clean(text))
	if together := strings.ReplaceAll(text, " ", ""); strings.Trim(strings.TrimPrefix(together, "+"), "0123456789") == "" {
		return []string{together}
	}
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
}

func deviceCode(text string) string { return strings.ReplaceAll(clean(text), " ", "") }

// clean is text as people mean it: composed letters, single spaces, none at the ends.
func clean(s string) string {
	return strings.Join(strings.Fields(norm.NFC.String(strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), ""))), " ")
}
