package client

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// Restriction (begrensning, GDPR 18): the data are kept and hidden. A restricted client is a head with its number and its
// name. The record is opened for nobody but those who work with an open request of the person, and by them for as long
// as it is open; the answer to everybody else is errRestricted, from the read that every page and every endpoint of a
// record begins with.
var errRestricted = problem.Forbidden{Code: "restricted"}

// asked reads the requests of the person in the read of the record, so that a page costs no round trip more.
// rights_request belongs to rights, which lies above.
const asked = askedWords + ` AS asked`

const askedWords = `coalesce((SELECT string_agg(r.kind || ' ' || r.state || ' ' || r.due_on || ' ' || r.id, ',' ORDER BY r.due_on, r.id) FROM rights_request r
		WHERE r.municipality_id = c.municipality_id AND r.client_id = c.id AND (r.state IN ('received', 'prepared')
			OR r.state = 'released' AND (r.kind = 'objection' OR r.kind = 'restriction' AND r.lifted_at IS NULL))), '')`

// askedIfRestricted is asked for those who need it only to judge a restricted client.
const askedIfRestricted = `CASE WHEN c.restricted_at IS NULL THEN '' ELSE ` + askedWords + ` END AS asked`

// Ask is a request of the person that the record's head tells of: an open one, an objection that was upheld, or the
// restriction that stands.
type Ask struct {
	ID    string
	Kind  string
	State string
	DueOn calendar.Date
}

// Open reports whether there is no answer yet.
func (a Ask) Open() bool { return a.State == "received" || a.State == "prepared" }

// Asks are the person's requests, the most urgent first.
func (c Client) Asks() []Ask {
	var asks []Ask
	for line := range strings.SplitSeq(c.Asked, ",") {
		part := strings.Fields(line)
		if len(part) != 4 {
			continue
		}
		a := Ask{Kind: part[0], State: part[1], ID: part[3]}
		if a.DueOn.UnmarshalText([]byte(part[2])) == nil {
			asks = append(asks, a)
		}
	}
	return asks
}

// mayOpen reports whether the caller works with an open request of the restricted person.
func (c Client) mayOpen(caller access.Caller) bool {
	if !caller.Can(access.RightsPrepare) && !caller.Can(access.RightsRelease) {
		return false
	}
	for _, a := range c.Asks() {
		if a.Open() {
			return true
		}
	}
	return false
}

// Openable answers problem.Forbidden "restricted" when the client's data may only be kept, and nil when they may be
// used, or when there is no such client. Needs ClientRead.
func Openable(ctx context.Context, tx *pg.Tx, id ID) error {
	if err := tx.Require(access.ClientRead); err != nil {
		return err
	}
	var c Client
	err := tx.QueryRow(ctx, `SELECT c.restricted_at, `+asked+` FROM client c WHERE c.municipality_id = $1 AND c.id = $2 AND c.restricted_at IS NOT NULL`,
		tx.Municipality(), id).Scan(&c.RestrictedAt, &c.Asked)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err == nil && !c.mayOpen(tx.Caller):
		return errRestricted
	}
	return err
}

// Head is all that is shown of a restricted client: who it is, that it is restricted, and what the person has asked. It
// writes the page's row of access ("client.head"). problem.NotFound when there is none, or it is not restricted.
func Head(ctx context.Context, tx *pg.Tx, id ID) (Client, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Client{}, err
	}
	c := Client{ID: id}
	err := tx.QueryRow(ctx, `SELECT c.number, c.given_name, c.family_name, c.restricted_at, `+asked+`
		FROM client c WHERE c.municipality_id = $1 AND c.id = $2 AND c.restricted_at IS NOT NULL`, tx.Municipality(), id).
		Scan(&c.Number, &c.GivenName, &c.FamilyName, &c.RestrictedAt, &c.Asked)
	if errors.Is(err, pgx.ErrNoRows) {
		return Client{}, notFound
	}
	if err == nil {
		audit.Looked(tx, "client.head", "record", id)
	}
	return c, err
}

// AnyHead is who a client is, restricted or not: for the form of a request, which everybody can make. It writes the page's
// row of access ("client.head"). Needs RightsPrepare; problem.NotFound.
func AnyHead(ctx context.Context, tx *pg.Tx, id ID) (Client, error) {
	if err := tx.Require(access.RightsPrepare); err != nil {
		return Client{}, err
	}
	c := Client{ID: id}
	err := tx.QueryRow(ctx, `SELECT number, given_name, family_name FROM client WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id).
		Scan(&c.Number, &c.GivenName, &c.FamilyName)
	if errors.Is(err, pgx.ErrNoRows) {
		return Client{}, notFound
	}
	if err == nil {
		audit.Looked(tx, "client.head", "record", id)
	}
	return c, err
}

// SetRestricted marks the client, or takes the mark away; its telephone leaves the search, or comes back. For package
// rights, which writes down why; needs RightsRelease. The caller holds the client (Lock).
func SetRestricted(ctx context.Context, tx *pg.Tx, id ID, on bool) error {
	if err := tx.Require(access.RightsRelease); err != nil {
		return err
	}
	var at *time.Time
	if on {
		now := tx.Now()
		at = &now
	}
	var given, family, number, phone string
	var protected bool
	var was *time.Time
	err := tx.QueryRow(ctx, `SELECT given_name, family_name, number, phone, protected, restricted_at FROM client WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id).
		Scan(&given, &family, &number, &phone, &protected, &was)
	if err != nil {
		return err
	}
	if (was != nil) == on {
		return nil
	}
	// At once, because the assessment that follows reads it.
	_, err = tx.Exec(ctx, `UPDATE client SET restricted_at = $3, version = version + 1, changed_by = $4, changed_at = $5 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, at, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	tx.Later(`UPDATE client_search SET text = $3 WHERE municipality_id = $1 AND client_id = $2`, tx.Municipality(), id, SearchText(given, family, number, phone, protected || on))
	from, to := value(""), value(tx.Now().UTC().Format(time.RFC3339))
	if !on {
		from, to = value(was.UTC().Format(time.RFC3339)), nil
	}
	changed(tx, id, "restricted", from, to)
	return nil
}

// Attach keeps the person's own words as a note on the record: what was not corrected stands beside what the person says
// of it (GDPR 16). For package rights; needs RightsRelease. The caller holds the client (LockKept).
func Attach(ctx context.Context, tx *pg.Tx, id ID, words string) error {
	if err := tx.Require(access.RightsRelease); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO note (municipality_id, client_id, at, text, entered_by) VALUES ($1, $2, $3, $4, $5)`,
		tx.Municipality(), id, tx.Now(), words, tx.Caller.Account)
	changed(tx, id, "note", nil, &words)
	return err
}

// veilRestricted leaves of restricted clients in a list what tells who they are.
func veilRestricted(rows []Row) {
	for i, r := range rows {
		if r.Restricted {
			rows[i] = Row{ID: r.ID, Number: r.Number, GivenName: r.GivenName, FamilyName: r.FamilyName, Status: r.Status, StatusSince: r.StatusSince, Restricted: true}
		}
	}
}
