package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
)

// EndReasons are why an agreement ends (P17). Death or moving is a reason, never a disconnection by itself (D3).
var EndReasons = []string{"moved", "institution", "deceased", "own_wish", "not_needed", "other"}

// SetStatus gives the client a new status at an instant and writes the status log (P18). It is for package deletion only:
// an inactive client needs a deletion group or a reason for having none in the same transaction (D10), which the database
// checks at the end of it. The caller holds the client (Lock).
//
// For an inactive status reason is one of EndReasons or empty, and the agreement ends at agreementEnd, or with the status
// when that is nil. An active one takes agreement's end, reason and confirmed duplicate away.
//
// D3: problem.Invalid of "at" (future, before_previous with the previous date) or "reason" (unknown), problem.Forbidden
// "backdate" for more than 31 days back without access.StatusBackdate, problem.Conflict "same_status" or "person_exists"
// (D21: the same person has another registration that is not inactive). A client who was brought in as inactive without a
// date may be given the same status once more, with the date that was missing.
func SetStatus(ctx context.Context, tx *pg.Tx, id ID, to Status, at time.Time, reason string, agreementEnd *time.Time) error {
	if err := tx.Require(access.ClientStatus); err != nil {
		return err
	}
	if !to.Valid() {
		return problem.InvalidField("status", "unknown", nil)
	}
	if reason != "" && (!to.Inactive() || !slices.Contains(EndReasons, reason)) {
		return problem.InvalidField("reason", "unknown", nil)
	}
	zone, err := municipality.Zone(ctx, tx)
	if err != nil {
		return err
	}
	var (
		from      Status
		previous  time.Time
		wasEnd    *time.Time
		wasReason *string
		taken     bool
		undated   bool // inactive since nobody knows when: status_since is the day it was brought in
	)
	err = tx.QueryRow(ctx, `SELECT c.status, CASE WHEN undated THEN coalesce(last.at, timestamptz '1900-01-01') ELSE greatest(c.status_since, last.at) END, undated,
			c.agreement_end, c.end_reason,
			EXISTS (SELECT FROM client o WHERE o.municipality_id = $1 AND o.national_id = c.national_id AND o.id <> c.id AND o.status IN ('ordered', 'active'))
		FROM client c CROSS JOIN LATERAL (SELECT max(e.at) AS at, count(*) FILTER (WHERE e.status IN ('disconnected', 'cancelled')) AS ends
			FROM status_entry e WHERE e.municipality_id = $1 AND e.client_id = $2) last
		CROSS JOIN LATERAL (SELECT c.status IN ('disconnected', 'cancelled') AND c.agreement_end IS NULL AND last.ends = 0 AS undated) u
		WHERE c.municipality_id = $1 AND c.id = $2`, tx.Municipality(), id).Scan(&from, &previous, &undated, &wasEnd, &wasReason, &taken)
	if errors.Is(err, pgx.ErrNoRows) {
		return notFound
	}
	if err != nil {
		return err
	}
	today := calendar.DateOf(tx.Now().In(zone))
	switch {
	case from == to && !undated:
		return problem.Conflict{Code: "same_status"}
	case at.After(tx.Now()):
		return problem.InvalidField("at", "future", nil)
	case at.Before(previous):
		return problem.InvalidField("at", "before_previous", problem.Params{"date": calendar.DateOf(previous.In(zone))})
	case today.DaysSince(calendar.DateOf(at.In(zone))) > 31 && !tx.Caller.Can(access.StatusBackdate):
		return problem.Forbidden{Code: "backdate", Params: problem.Params{"days": 31}}
	case !to.Inactive() && from.Inactive() && taken:
		return problem.Conflict{Code: "person_exists"}
	}
	var end *time.Time
	if to.Inactive() {
		end = agreementEnd
		if end == nil {
			end = &at
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO status_entry (municipality_id, client_id, at, status, reason, entered_by, entered_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tx.Municipality(), id, at, to, value(reason), tx.Caller.Account, tx.Now())
	batch.Queue(`UPDATE client SET status = $3, status_since = $4, agreement_end = $5, end_reason = $6,
			unplaced_reason = CASE WHEN $9 THEN unplaced_reason END,
			duplicate_confirmed_by = CASE WHEN $9 THEN duplicate_confirmed_by END, duplicate_confirmed_at = CASE WHEN $9 THEN duplicate_confirmed_at END,
			version = version + 1, changed_by = $7, changed_at = $8
		WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, to, at, end, value(reason), tx.Caller.Account, tx.Now(), to.Inactive())
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		if constraint(err) == "client_person" {
			return problem.Conflict{Code: "person_exists"}
		}
		return err
	}
	fields := []string{"status"}
	if from != to {
		changed(tx, id, "status", value(string(from)), value(string(to)))
	}
	if was, is := instant(wasEnd), instant(end); was != is {
		fields = append(fields, "agreement_end")
		changed(tx, id, "agreement_end", value(was), value(is))
	}
	if was := deref(wasReason); was != reason {
		fields = append(fields, "end_reason")
		changed(tx, id, "end_reason", value(was), value(reason))
	}
	audit.Write(tx, access.ClientStatus, audit.Record{
		Act: "status_changed", Subject: "client", SubjectID: id.String(), Fields: fields,
		Detail: map[string]any{"from": string(from), "to": string(to)},
	})
	return nil
}

// SetUnplaced says why an inactive client lies in no deletion group (D10): one of the codes of the table, or nil when it
// lies in one. For package deletion only, which also records the act; the caller holds the client (Lock). The version
// stays: it is not a fact of the record that a person edits.
func SetUnplaced(ctx context.Context, tx *pg.Tx, id ID, reason *string) error {
	if err := tx.Require(access.ClientRead); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE client SET unplaced_reason = $3 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, reason)
	if err == nil && n == 0 {
		return notFound
	}
	return err
}

func instant(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
