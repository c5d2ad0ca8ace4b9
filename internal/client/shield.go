package client

import (
	"context"
	"errors"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// Protected identity (D21, ADR 12). One person marks a client (Create, Change); the mark is taken away by two.

// requireReader refuses whoever is not one of the named few.
func requireReader(ctx context.Context, tx *pg.Tx) error {
	reads, err := ReadsProtected(ctx, tx)
	if err == nil && !reads {
		err = problem.Forbidden{Code: "shielded"}
	}
	return err
}

// requireFresh is tx.RequireFresh for people of a municipality, and where a program has nothing to prove with: a key that
// may not decide is refused for good.
func requireFresh(tx *pg.Tx, p access.Permission) error {
	if err := tx.Require(access.PrivacyRead); err != nil { // everybody in a municipality has it, and nobody else
		return err
	}
	if tx.Caller.Key && !tx.Caller.KeyDecides {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(p)}}
	}
	return tx.RequireFresh(p)
}

// lockForWords is Lock for whoever writes free words about a client: of a protected one only its readers do (D21), and
// where Frist holds pseudonyms only nobody does (T10), because words can hold a name (problem.Conflict, pseudonym_only).
func lockForWords(ctx context.Context, tx *pg.Tx, id ID) error {
	l, err := Lock(ctx, tx, id)
	if err != nil {
		return err
	}
	if l.Protected {
		if err := requireReader(ctx, tx); err != nil {
			return err
		}
	}
	pseudonymous, err := municipality.Pseudonymous(ctx, tx)
	if err == nil && pseudonymous {
		err = problem.Conflict{Code: "pseudonym_only"}
	}
	return err
}

// Unshielding is a request to take the mark away, still to be decided.
type Unshielding struct {
	Client      ID
	Number      string
	GivenName   string
	FamilyName  string
	AskedBy     int64
	AskedByName string
	AskedAt     time.Time
}

// Name is the client's, as the list has it.
func (u Unshielding) Name() string {
	return Row{GivenName: u.GivenName, FamilyName: u.FamilyName}.Name()
}

const unshieldings = `SELECT c.id AS client, c.number, c.given_name, c.family_name, r.asked_by, coalesce(s.name, '') AS asked_by_name, r.asked_at
	FROM protected_release r JOIN client c ON c.municipality_id = r.municipality_id AND c.id = r.client_id LEFT JOIN staff() s ON s.id = r.asked_by
	WHERE r.municipality_id = $1 AND r.decided_at IS NULL`

// UnshieldingOf is the request for one client; ok is false when there is none.
func UnshieldingOf(ctx context.Context, tx *pg.Tx, id ID) (u Unshielding, ok bool, err error) {
	list, err := children[Unshielding](ctx, tx, unshieldings+` AND r.client_id = $2 ORDER BY r.id`, id)
	if err != nil || len(list) == 0 {
		return Unshielding{}, false, err
	}
	return list[0], true, nil
}

// Unshieldings are the municipality's open requests, the oldest first, at most 200; the look at the clients is written down.
func Unshieldings(ctx context.Context, tx *pg.Tx) ([]Unshielding, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, unshieldings+` ORDER BY r.asked_at, r.id LIMIT 200`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Unshielding])
	ids := make([]ID, len(list))
	for i, u := range list {
		ids[i] = u.Client
	}
	audit.Looked(tx, "shielded", "list", ids...)
	return list, err
}

// AskUnshield asks for the mark to be taken away. problem.Conflict "not_protected" or "already_asked", problem.NotFound.
func AskUnshield(ctx context.Context, tx *pg.Tx, id ID) error {
	if err := tx.Require(access.ClientWrite); err != nil {
		return err
	}
	l, err := Lock(ctx, tx, id)
	if err != nil {
		return err
	}
	if !l.Protected {
		return problem.Conflict{Code: "not_protected"}
	}
	n, err := tx.Exec(ctx, `INSERT INTO protected_release (municipality_id, client_id, asked_by, asked_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (municipality_id, client_id) WHERE decided_at IS NULL DO NOTHING`, tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	if n == 0 {
		return problem.Conflict{Code: "already_asked"}
	}
	audit.Write(tx, access.ClientWrite, audit.Record{Act: "unshield_asked", Subject: "client", SubjectID: id.String(), Fields: []string{"protected"}})
	return nil
}

// DecideUnshield takes the mark away, or keeps it: an approver or one of the named few, and not the one who asked
// (problem.Forbidden "second_person"). What was hidden is the record's again; the database moves it. problem.Conflict
// "not_asked", problem.NotFound.
func DecideUnshield(ctx context.Context, tx *pg.Tx, id ID, remove bool) error {
	if err := tx.Require(access.ClientRead); err != nil {
		return err
	}
	if _, err := Lock(ctx, tx, id); err != nil { // nobody is asked to prove anything for what is not there
		return err
	}
	if err := requireFresh(tx, access.ClientRead); err != nil {
		return err
	}
	var askedBy int64
	err := tx.QueryRow(ctx, `SELECT asked_by FROM protected_release WHERE municipality_id = $1 AND client_id = $2 AND decided_at IS NULL`, tx.Municipality(), id).Scan(&askedBy)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return problem.Conflict{Code: "not_asked"}
	case err != nil:
		return err
	case askedBy == tx.Caller.Account && remove:
		return problem.Forbidden{Code: "second_person"}
	}
	if !tx.Caller.Has(access.Approver) {
		if err := requireReader(ctx, tx); err != nil {
			return err
		}
	}
	act, outcome := "unshield_refused", "kept"
	if remove {
		act, outcome = "unshielded", "removed"
		if err := unshield(ctx, tx, id); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `UPDATE protected_release SET outcome = $3, decided_by = $4, decided_at = $5 WHERE municipality_id = $1 AND client_id = $2 AND decided_at IS NULL`,
		tx.Municipality(), id, outcome, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	audit.Write(tx, access.ClientRead, audit.Record{Act: act, Subject: "client", SubjectID: id.String(), Fields: []string{"protected"}})
	return nil
}

func unshield(ctx context.Context, tx *pg.Tx, id ID) error {
	_, err := tx.Exec(ctx, `UPDATE client SET protected = false, version = version + 1, changed_by = $3, changed_at = $4 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	var given, family, number, phone string
	err = tx.QueryRow(ctx, `SELECT given_name, family_name, number, phone FROM client WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id).
		Scan(&given, &family, &number, &phone)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE client_search SET text = $3 WHERE municipality_id = $1 AND client_id = $2`, tx.Municipality(), id, SearchText(given, family, number, phone, false))
	if err != nil {
		return err
	}
	changed(tx, id, "protected", value("true"), nil)
	return nil
}
