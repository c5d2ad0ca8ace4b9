// Package client is the service recipient (klient, tjenestemottaker): the record with everything under it, its lists, its
// search, its status and, in the end, its erasure. It owns every table that hangs under a client but devices and holds.
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
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ID is a client's random id: the only thing about a client that may stand in an address, a job or a log of ours.
type ID = uuid.UUID

// ParseID reads an id as it stands in an address. Nonsense is a client that does not exist: problem.NotFound.
func ParseID(s string) (ID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 { // uuid.Parse takes other forms too; one client has one address
		return ID{}, notFound
	}
	return id, nil
}

var notFound = problem.NotFound{What: "client"}

// Status is where a client stands (P19): Bestilt, Aktiv, Avbestilt, Frakoblet.
type Status string

// The four statuses.
const (
	Ordered      Status = "ordered"
	Active       Status = "active"
	Cancelled    Status = "cancelled"
	Disconnected Status = "disconnected"
)

// Statuses are all four, in the order of a client's life.
var Statuses = []Status{Ordered, Active, Cancelled, Disconnected}

// Inactive reports whether the client is shown in grey (P11) and the deletion clock runs: disconnected or cancelled (D4).
func (s Status) Inactive() bool { return s == Disconnected || s == Cancelled }

// Valid reports whether s is one of the four.
func (s Status) Valid() bool { return s == Ordered || s == Active || s.Inactive() }

// Address is a dwelling as people write it. All empty is no address.
type Address struct {
	Street   string
	Postcode string // four digits
	Town     string
}

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a == Address{} }

func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return a.Street + ", " + a.Postcode + " " + a.Town
}

// Client is the record's first page (P15-P21). Of a protected client address, its id, telephone and e-mail are empty for
// everybody but the named few (D21): Hidden says so. So are address and id of whoever lives with one: HomeHidden.
type Client struct {
	ID                   ID
	Number               string // Db nr. (P12)
	GivenName            string
	FamilyName           string
	NationalID           string
	BirthDate            calendar.Date // zero: missing
	Gender               string        // M, K, U
	Phone                string
	Email                string
	AddressID            *uuid.UUID
	Address              Address `db:"-"`
	Protected            bool
	Hidden               bool // protected, and the caller is not one of the named few
	HomeHidden           bool // has an address that the caller may not see
	Shown                bool // the caller sees what is hidden from others: the look is written down as such
	Pseudonymous         bool // of the municipality: the family name is a pseudonym, and there is nothing else (T10)
	Status               Status
	StatusSince          time.Time
	AgreementStart       calendar.Date
	AgreementEnd         *time.Time // set by the disconnection, to the second (P18)
	EndReason            string
	UnplacedReason       string // why an inactive client lies in no deletion group; a code (D10)
	ReviewedOn           calendar.Date
	NextReviewOn         calendar.Date
	DuplicateConfirmedAt *time.Time // D21: "this is the old registration"
	RestrictedAt         *time.Time // GDPR 18: kept and hidden; see Head
	Asked                string     // requests of the person, as Asks reads them
	Version              int
	CreatedBy            int64 // account; 0 is Frist itself
	CreatedByName        string
	CreatedAt            time.Time
	ChangedBy            int64
	ChangedByName        string
	ChangedAt            time.Time
}

// Name is "Solveig Hansen", or the pseudonym.
func (c Client) Name() string { return strings.TrimSpace(c.GivenName + " " + c.FamilyName) }

// Find gives the record for its page and writes the page's one row of access ("client"). problem.NotFound when there is
// none in this municipality, problem.Forbidden "restricted" when it may only be kept (GDPR 18).
func Find(ctx context.Context, tx *pg.Tx, id ID) (Client, error) { return FindTab(ctx, tx, id, "") }

// FindTab is Find for a tab of the record: the row of access names it ("client.notes"). A page calls one of the two once.
func FindTab(ctx context.Context, tx *pg.Tx, id ID, tab string) (Client, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Client{}, err
	}
	type record struct {
		Client
		Street, Postcode, Town string
	}
	rows, err := tx.Query(ctx, `SELECT c.id, c.number, c.given_name, c.family_name, coalesce(c.national_id, '') AS national_id, c.birth_date, c.gender,
			coalesce(pc.phone, c.phone) AS phone, coalesce(pc.email, c.email) AS email, a.id AS address_id,
			coalesce(a.street, '') AS street, coalesce(a.postcode, '') AS postcode, coalesce(a.town, '') AS town,
			c.protected, c.protected AND NOT sees.hidden AS hidden, c.address_id IS NOT NULL AND a.id IS NULL AS home_hidden, sees.hidden AS shown,
			coalesce((SELECT p.pseudonymous FROM municipality_policy p WHERE p.municipality_id = $1), false) AS pseudonymous, c.status, c.status_since, c.agreement_start, c.agreement_end, coalesce(c.end_reason, '') AS end_reason,
			coalesce(c.unplaced_reason, '') AS unplaced_reason, c.restricted_at, `+asked+`, c.reviewed_on, c.next_review_on, c.duplicate_confirmed_at, c.version,
			c.created_by, coalesce(cs.name, '') AS created_by_name, c.created_at, c.changed_by, coalesce(hs.name, '') AS changed_by_name, c.changed_at
		FROM client c
		LEFT JOIN address a ON a.municipality_id = c.municipality_id AND a.id = c.address_id
		CROSS JOIN LATERAL (SELECT CASE WHEN c.protected OR a.protected THEN frist_reads_protected() ELSE false END AS hidden) sees
		LEFT JOIN protected_contact pc ON c.protected AND pc.municipality_id = c.municipality_id AND pc.client_id = c.id
		LEFT JOIN staff() cs ON cs.id = c.created_by
		LEFT JOIN staff() hs ON hs.id = c.changed_by
		WHERE c.municipality_id = $1 AND c.id = $2`, tx.Municipality(), id)
	if err != nil {
		return Client{}, err
	}
	found, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[record])
	if errors.Is(err, pgx.ErrNoRows) {
		return Client{}, notFound
	}
	if err != nil {
		return Client{}, err
	}
	if found.RestrictedAt != nil && !found.mayOpen(tx.Caller) {
		return Client{}, errRestricted
	}
	found.Address = Address{found.Street, found.Postcode, found.Town}
	opened(tx, id, tab, found.Shown)
	return found.Client, nil
}

// Opened writes the row of access of a fragment that shows a tab without the record (D25).
func Opened(ctx context.Context, tx *pg.Tx, id ID, tab string) error {
	if err := tx.Require(access.ClientRead); err != nil {
		return err
	}
	var shown bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM client c WHERE c.municipality_id = $1 AND c.id = $2 AND c.protected) AND frist_reads_protected()`,
		tx.Municipality(), id).Scan(&shown)
	if err == nil {
		opened(tx, id, tab, shown)
	}
	return err
}

func opened(tx *pg.Tx, id ID, tab string, shown bool) {
	page, purpose := "client", "record"
	if tab != "" {
		page += "." + tab
	}
	if shown {
		purpose = LookProtected
	}
	audit.Looked(tx, page, purpose, id)
}

// LookProtected is the purpose of a look at what is hidden from all but the named few.
const LookProtected = "protected"

// Locked is what a writer needs to know of a client that it holds. Unlike Client it is complete for protected clients:
// it is for decisions, not for pages.
type Locked struct {
	ID          ID
	Status      Status
	StatusSince time.Time
	Version     int
	Number      string
	NationalID  string
	AddressID   *uuid.UUID
	Protected   bool
}

// Lock holds the client's row until the transaction ends (FOR NO KEY UPDATE): the first thing that every writer of a
// client's facts does. Several clients are locked in the order of their ids, before any address, device or hold.
// problem.NotFound when there is none in this municipality, problem.Forbidden "restricted" when it may only be kept (GDPR 18).
func Lock(ctx context.Context, tx *pg.Tx, id ID) (Locked, error) {
	l, c, err := lock(ctx, tx, id)
	if err == nil && c.RestrictedAt != nil && !c.mayOpen(tx.Caller) && !tx.Caller.Has(access.System) {
		return Locked{}, errRestricted
	}
	return l, err
}

// LockKept is Lock for those who work with what a person asked for: a restricted client is held too.
func LockKept(ctx context.Context, tx *pg.Tx, id ID) (Locked, error) {
	l, _, err := lock(ctx, tx, id)
	return l, err
}

func lock(ctx context.Context, tx *pg.Tx, id ID) (Locked, Client, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Locked{}, Client{}, err
	}
	l, c := Locked{ID: id}, Client{ID: id}
	err := tx.QueryRow(ctx, `SELECT c.status, c.status_since, c.version, c.number, coalesce(c.national_id, ''), c.address_id, c.protected, c.restricted_at, `+askedIfRestricted+`
		FROM client c WHERE c.municipality_id = $1 AND c.id = $2 FOR NO KEY UPDATE OF c`, tx.Municipality(), id).
		Scan(&l.Status, &l.StatusSince, &l.Version, &l.Number, &l.NationalID, &l.AddressID, &l.Protected, &c.RestrictedAt, &c.Asked)
	if errors.Is(err, pgx.ErrNoRows) {
		return Locked{}, Client{}, notFound
	}
	return l, c, err
}

// Changed leaves one line of the client's own history: a field with its value before and after, nil for none. It goes
// with the client (D25). The caller holds the client (Lock) and writes audit besides.
func Changed(ctx context.Context, tx *pg.Tx, id ID, field string, from, to *string) error {
	if err := tx.Require(access.ClientRead); err != nil {
		return err
	}
	changed(tx, id, field, from, to)
	return nil
}

func changed(tx *pg.Tx, id ID, field string, from, to *string) {
	tx.Later(`INSERT INTO client_change (municipality_id, client_id, at, field, from_value, to_value, account_id) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tx.Municipality(), id, tx.Now(), field, from, to, tx.Caller.Account)
}

// value is nil for nothing, so that the history tells "none" from a value.
func value(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// RememberNumbers notes the highest number there is before clients are purged, so that it is never given again (D22). For
// package deletion; needs RoundSweep.
func RememberNumbers(ctx context.Context, tx *pg.Tx) error {
	if err := tx.Require(access.RoundSweep); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO number_series AS s (municipality_id, last)
		SELECT $1, coalesce(max(number::bigint), 200000000) FROM client WHERE municipality_id = $1 AND number BETWEEN '200000000' AND '999999999' AND length(number) = 9
		ON CONFLICT (municipality_id) DO UPDATE SET last = greatest(s.last, excluded.last)`, tx.Municipality())
	return err
}
