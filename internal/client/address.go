package client

import (
	"context"
	"errors"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/register"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Dwelling is an address that several clients may share (P31, D19).
type Dwelling struct {
	ID        uuid.UUID
	Street    string
	Postcode  string
	Town      string
	Note      string
	Version   int
	Protected bool // a protected client lives here: only the named few get at it (D21)
}

// FindAddress is the dwelling with this id. problem.NotFound when there is none in this municipality, and the same for a
// hidden one when the caller is not one of the named few: the database does not give the row (D21).
func FindAddress(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Dwelling, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Dwelling{}, err
	}
	rows, err := tx.Query(ctx, `SELECT id, street, postcode, town, note, version, protected FROM address WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id)
	if err != nil {
		return Dwelling{}, err
	}
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Dwelling])
	if errors.Is(err, pgx.ErrNoRows) {
		return Dwelling{}, noAddress
	}
	return d, err
}

// LookedAt writes the row of access of a page that shows a dwelling with these residents.
func (d Dwelling) LookedAt(tx *pg.Tx, residents []Resident) {
	purpose := "record"
	if d.Protected {
		purpose = LookProtected
	}
	ids := make([]uuid.UUID, len(residents))
	for i, r := range residents {
		ids[i] = r.ID
	}
	audit.Looked(tx, "address", purpose, ids...)
}

var noAddress = problem.NotFound{What: "address"}

// Resident is a client who lives at an address.
type Resident struct {
	ID         ID
	Number     string
	GivenName  string
	FamilyName string
	Status     Status
}

// Residents are the clients of an address by name; the protected ones for the named few only (D21). The page writes their
// ids into its row of access.
func Residents(ctx context.Context, tx *pg.Tx, address uuid.UUID) ([]Resident, error) {
	return children[Resident](ctx, tx, `SELECT id, number, given_name, family_name, status FROM client
		WHERE municipality_id = $1 AND address_id = $2 AND (NOT protected OR (SELECT frist_reads_protected())) ORDER BY family_name, given_name, id`, address)
}

// AddressEvent is an event or recording of a dwelling (D19).
type AddressEvent struct {
	ID           int64
	At           time.Time
	Kind         string
	Text         string
	DeviceCode   string
	BlobKey      string // empty: no recording
	NamesClients bool
}

// AddressEvents are the events of a dwelling, newest first, at most 200.
func AddressEvents(ctx context.Context, tx *pg.Tx, address uuid.UUID) ([]AddressEvent, error) {
	return children[AddressEvent](ctx, tx, `SELECT id, at, kind, text, device_code, coalesce(blob_key, '') AS blob_key, names_clients FROM address_event
		WHERE municipality_id = $1 AND address_id = $2 ORDER BY at DESC, id DESC LIMIT 200`, address)
}

// LockDwelling is LockAddress for a place that came from what hangs on it and not from the caller: it holds a hidden one
// too, so that whoever takes a device back need not see where it was.
func LockDwelling(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if err := tx.Require(access.ClientRead); err != nil {
		return err
	}
	var there bool
	err := tx.QueryRow(ctx, `SELECT lock_dwelling($1)`, id).Scan(&there)
	if err == nil && !there {
		return noAddress
	}
	return err
}

// LockAddress holds an address until the transaction ends: what a writer of its devices or residents does, after the
// clients and before the devices. problem.NotFound.
func LockAddress(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if err := tx.Require(access.ClientRead); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `SELECT FROM address WHERE municipality_id = $1 AND id = $2 FOR NO KEY UPDATE`, tx.Municipality(), id)
	if err == nil && n == 0 {
		return noAddress
	}
	return err
}

// check completes and judges an address as a person typed it: a postal code that lost its zeros gets them back, an empty
// town is the register's, and a town that is not that of the code is refused with the register's (P16).
func (a Address) check(wrong *problem.Collector) Address {
	a = Address{clean(a.Street), clean(a.Postcode), clean(a.Town)}
	if a.IsZero() {
		return a
	}
	if a.Street == "" {
		wrong.Add("street", "required", nil)
	}
	tooLong(wrong, "street", a.Street)
	code, _, ok := register.CompletePostcode(a.Postcode)
	town, known := register.Postcode(code)
	switch {
	case a.Postcode == "":
		wrong.Add("postcode", "required", nil)
	case !ok:
		wrong.Add("postcode", "bad_postcode", nil)
	case !known:
		wrong.Add("postcode", "unknown_postcode", nil)
	case a.Town != "" && !register.TownMatches(code, a.Town):
		wrong.Add("town", "town_mismatch", problem.Params{"postcode": code, "town": town})
	}
	return Address{a.Street, code, town}
}

// queueDwelling finds or makes the address and holds it, together with the one that is left: both in the order of their
// ids. What was just made is held by being new; a new address is made before any other is held, so nobody waits in a circle.
// A hidden dwelling is never found: who is registered at the same place gets one of their own, so that nobody learns by
// trying where a protected client lives.
func queueDwelling(batch *pgx.Batch, municipality int, a Address, leave *uuid.UUID, found *uuid.UUID) {
	if !a.IsZero() {
		batch.Queue(`INSERT INTO address (municipality_id, street, postcode, town) VALUES ($1, $2, $3, $4)
			ON CONFLICT (municipality_id, postcode, lower(street)) WHERE NOT protected DO NOTHING`, municipality, a.Street, a.Postcode, a.Town)
	}
	batch.Queue(`SELECT id, postcode = $2 AND lower(street) = lower($3) AND NOT protected FROM address
		WHERE municipality_id = $1 AND (postcode = $2 AND lower(street) = lower($3) AND NOT protected OR id = $4) ORDER BY id FOR NO KEY UPDATE`,
		municipality, a.Postcode, a.Street, leave).Query(func(rows pgx.Rows) error {
		var id uuid.UUID
		var sought bool
		_, err := pgx.ForEachRow(rows, []any{&id, &sought}, func() error {
			if sought {
				*found = id
			}
			return nil
		})
		return err
	})
}
