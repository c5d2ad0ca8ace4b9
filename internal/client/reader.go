package client

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// Reader is one of the named few who see where protected clients are (D21): named by an administrator, confirmed by an
// approver, neither of them oneself. The database holds to the same (protected_reader).
type Reader struct {
	ID            int64
	AccountID     int64
	Name          string
	LastDay       calendar.Date // zero: until it is revoked
	GrantedBy     int64
	GrantedByName string
	GrantedAt     time.Time
	ConfirmedBy   *int64
	ConfirmedName string
	ConfirmedAt   *time.Time
}

// Waiting reports whether somebody has been named and nobody has confirmed it yet.
func (r Reader) Waiting() bool { return r.ConfirmedAt == nil }

// Over reports whether the last day has passed on a day.
func (r Reader) Over(today calendar.Date) bool { return !r.LastDay.IsZero() && today.After(r.LastDay) }

// ReadsProtected reports whether the caller is one of the named few now, as the policies of the database see it.
func ReadsProtected(ctx context.Context, tx *pg.Tx) (reads bool, err error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return false, err
	}
	err = tx.QueryRow(ctx, `SELECT frist_reads_protected()`).Scan(&reads)
	return reads, err
}

// Readers are those who are named and not revoked, by name. Everybody in the municipality may know who they are.
func Readers(ctx context.Context, tx *pg.Tx) ([]Reader, error) {
	if err := tx.Require(access.PrivacyRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT r.id, r.account_id, coalesce(s.name, '') AS name, r.last_day, r.granted_by, coalesce(g.name, '') AS granted_by_name, r.granted_at,
			r.confirmed_by, coalesce(c.name, '') AS confirmed_name, r.confirmed_at
		FROM protected_reader r LEFT JOIN staff() s ON s.id = r.account_id LEFT JOIN staff() g ON g.id = r.granted_by LEFT JOIN staff() c ON c.id = r.confirmed_by
		WHERE r.municipality_id = $1 AND r.revoked_at IS NULL ORDER BY name, r.id`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Reader])
}

// NameReader proposes somebody of the municipality who may see clients, until the last day (zero: until it is revoked).
// problem.Forbidden "own_right" for oneself; problem.Invalid of "account" (unknown, no_client_role), "last_day" (past);
// problem.Conflict "already_named".
func NameReader(ctx context.Context, tx *pg.Tx, account int64, lastDay calendar.Date) (int64, error) {
	if err := requireFresh(tx, access.ProposalMake); err != nil {
		return 0, err
	}
	if account == tx.Caller.Account {
		return 0, problem.Forbidden{Code: "own_right"}
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return 0, err
	}
	var roles []string
	err = tx.QueryRow(ctx, `SELECT roles FROM staff() WHERE id = $1`, account).Scan(&roles)
	var named access.Caller
	for _, r := range roles {
		named.Roles = append(named.Roles, access.Role(r))
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, problem.InvalidField("account", "unknown", nil)
	case err != nil:
		return 0, err
	case !named.Can(access.ClientRead):
		return 0, problem.InvalidField("account", "no_client_role", nil)
	case !lastDay.IsZero() && today.After(lastDay):
		return 0, problem.InvalidField("last_day", "past", nil)
	}
	// One whose days are over is named anew.
	_, err = tx.Exec(ctx, `UPDATE protected_reader SET revoked_by = $3, revoked_at = $4 WHERE municipality_id = $1 AND account_id = $2 AND revoked_at IS NULL AND last_day < $5`,
		tx.Municipality(), account, tx.Caller.Account, tx.Now(), today)
	if err != nil {
		return 0, err
	}
	var id int64
	err = tx.QueryRow(ctx, `INSERT INTO protected_reader (municipality_id, account_id, last_day, granted_by, granted_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (municipality_id, account_id) WHERE revoked_at IS NULL DO NOTHING RETURNING id`,
		tx.Municipality(), account, lastDay, tx.Caller.Account, tx.Now()).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, problem.Conflict{Code: "already_named"}
	}
	if err != nil {
		return 0, err
	}
	wroteReader(tx, access.ProposalMake, "protected_reader_named", id, account)
	return id, nil
}

// ConfirmReader lets it hold: an approver, who is neither the one who named nor the one who is named (problem.Forbidden
// "second_person", "own_right"). Said twice it stays said; problem.NotFound.
func ConfirmReader(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := requireFresh(tx, access.ProposalDecide); err != nil {
		return err
	}
	r, err := lockReader(ctx, tx, id)
	switch {
	case err != nil:
		return err
	case !tx.Caller.Has(access.Approver):
		return problem.Forbidden{Code: "approver_only"}
	case r.AccountID == tx.Caller.Account:
		return problem.Forbidden{Code: "own_right"}
	case r.GrantedBy == tx.Caller.Account:
		return problem.Forbidden{Code: "second_person"}
	case !r.Waiting():
		return nil
	}
	_, err = tx.Exec(ctx, `UPDATE protected_reader SET confirmed_by = $3, confirmed_at = $4 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	wroteReader(tx, access.ProposalDecide, "protected_reader_confirmed", id, r.AccountID)
	return nil
}

// RevokeReader ends it at once, by one: an administrator or an approver. problem.NotFound.
func RevokeReader(ctx context.Context, tx *pg.Tx, id int64) error {
	if err := requireFresh(tx, access.ProposalDecide); err != nil {
		return err
	}
	r, err := lockReader(ctx, tx, id)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE protected_reader SET revoked_by = $3, revoked_at = $4 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	wroteReader(tx, access.ProposalDecide, "protected_reader_revoked", id, r.AccountID)
	return nil
}

func lockReader(ctx context.Context, tx *pg.Tx, id int64) (Reader, error) {
	r := Reader{ID: id}
	err := tx.QueryRow(ctx, `SELECT account_id, granted_by, confirmed_at FROM protected_reader WHERE municipality_id = $1 AND id = $2 AND revoked_at IS NULL FOR NO KEY UPDATE`,
		tx.Municipality(), id).Scan(&r.AccountID, &r.GrantedBy, &r.ConfirmedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		err = problem.NotFound{What: "protected_reader"}
	}
	return r, err
}

func wroteReader(tx *pg.Tx, p access.Permission, act string, id, account int64) {
	audit.Write(tx, p, audit.Record{Act: act, Subject: "protected_reader", SubjectID: strconv.FormatInt(id, 10), Detail: map[string]any{"account": account}})
}
