// Package audit keeps two of the three logs of D25: audit (who did what, never a value) and access (who looked at whom,
// when and why). Both are append-only and outlive the client; the third, client_change, lies under the client.
package audit

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Record is one act. Detail holds codes and counts only: no names, no numbers of persons, no values of fields.
type Record struct {
	Act       string   // a code, as "status_changed"
	Subject   string   // what kind of thing, as "client"
	SubjectID string   // its id
	Fields    []string // the names of the fields that changed
	Detail    map[string]any
	Basis     string // what covers an act of processor or supplier: "instruction:12", "request:3", "order:<uuid>", "approval:<round>", "visit:<uuid>"
}

const insert = `INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id, fields, detail, refused, basis)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, nullif($11, ''))`

// Write records r in the transaction that does it; the row travels with the commit. p is the permission under which the
// caller acts and decides which role the row names.
func Write(tx *pg.Tx, p access.Permission, r Record) {
	role := tx.Caller.RoleFor(p)
	if role == "" {
		role = tx.Caller.Main()
	}
	write(tx, tx.Municipality(), tx.Caller.Account, role, r, false)
}

// Door is somebody at the door: during a sign-in the transaction has no caller yet, and the row belongs to the
// municipality of the account that was named (0 when there is none).
type Door struct {
	Municipality int
	Account      int64 // 0 as long as nobody has proved who they are
	Role         access.Role
	Refused      bool
}

// WriteDoor records r at the end of a sign-in transaction (pg.DB.SignIn), and nowhere else: it turns the transaction to the
// account's municipality, which is harmless only because the sign-in role can read nothing there.
func WriteDoor(tx *pg.Tx, d Door, r Record) {
	tx.Later(`SELECT set_config('frist.municipality', $1, true)`, strconv.Itoa(d.Municipality))
	if d.Role == "" {
		d.Role = "nobody"
	}
	write(tx, d.Municipality, d.Account, d.Role, r, d.Refused)
}

func write(tx *pg.Tx, municipality int, account int64, role access.Role, r Record, refused bool) {
	fields, detail := r.Fields, r.Detail
	if fields == nil {
		fields = []string{}
	}
	if detail == nil {
		detail = map[string]any{}
	}
	if tx.Caller.Visiting() {
		r.Basis = visit(tx.Caller)
	}
	tx.Later(insert, municipality, tx.Now(), account, string(role), r.Act, r.Subject, r.SubjectID, fields, detail, refused, r.Basis)
}

func visit(c access.Caller) string { return "visit:" + c.Visit.ID }

// Looked records that a page showed these clients, with the purpose for which they were looked at; it is committed with
// the read, so that there is no look without a row (T8). No clients, no row.
func Looked(tx *pg.Tx, page, purpose string, clients ...uuid.UUID) {
	if len(clients) == 0 {
		return
	}
	if tx.Caller.Visiting() { // a visitor has one purpose: what the visit was granted for
		purpose = visit(tx.Caller)
	}
	tx.Later(`INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tx.Municipality(), tx.Now(), tx.Caller.Account, string(tx.Caller.Main()), page, purpose, clients)
}

// RecordRefusals makes db record every refusal after the rollback, in a transaction of its own: in the caller's
// municipality, or in 0, the installation, when the caller has none. Call it once, before db is used.
func RecordRefusals(db *pg.DB) {
	db.Refused = func(ctx context.Context, caller access.Caller, refusal problem.Forbidden) {
		detail := map[string]any{"code": refusal.Code}
		if p, ok := refusal.Params["permission"]; ok {
			detail["permission"] = p
		}
		r := Record{Act: "refused", Subject: "account", SubjectID: strconv.FormatInt(caller.Account, 10), Detail: detail}
		record := func(tx *pg.Tx) error {
			write(tx, caller.Municipality, caller.Account, caller.Main(), r, true)
			return nil
		}
		var err error
		if caller.Database() == "" || (caller.Municipality == 0 && !caller.Blind()) {
			caller.Municipality = 0
			err = db.SignIn(ctx, record)
		} else {
			err = db.InTx(ctx, caller, record)
		}
		if err != nil {
			slog.ErrorContext(ctx, "a refusal could not be recorded", "account", caller.Account, "code", refusal.Code, "err", err)
		}
	}
}

// Entry is one row of the audit trail.
type Entry struct {
	ID        int64
	At        time.Time
	Account   int64 `db:"account_id"` // 0 is the system, or nobody at the door
	Role      string
	Act       string
	Subject   string
	SubjectID string
	Fields    []string
	Detail    map[string]any
	Refused   bool
}

// Trail gives what happened to the thing with this id, newest first: at most limit rows older than row before (0: from
// the newest). An empty id gives the whole municipality's trail. The privacy officer may read all of it; whoever may
// read clients may read one client's.
func Trail(ctx context.Context, tx *pg.Tx, subjectID string, before int64, limit int) ([]Entry, error) {
	clientOnly := false
	if !tx.Caller.Can(access.AccessLogRead) {
		if _, err := uuid.Parse(subjectID); err != nil || !tx.Caller.Can(access.ClientRead) {
			return nil, tx.Require(access.AccessLogRead)
		}
		clientOnly = true
	}
	w := where{args: []any{tx.Municipality()}, sql: `municipality_id = $1`}
	if subjectID != "" {
		w.and(`subject_id = %s`, subjectID)
	}
	if clientOnly {
		w.sql += ` AND subject = 'client'`
	}
	if before != 0 {
		w.and(`id < %s`, before)
	}
	rows, err := tx.Query(ctx, `SELECT id, at, account_id, role, act, subject, subject_id, fields, detail, refused FROM audit
		WHERE `+w.sql+w.limit(` ORDER BY id DESC`, limit), w.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Entry])
}

// Look is one time that somebody had the client on the screen.
type Look struct {
	ID      int64
	At      time.Time
	Account int64 `db:"account_id"`
	Role    string
	Page    string
	Purpose string
	Shown   int // how many clients the page showed
}

// Looks answers "who looked at me" (T8): newest first, at most limit rows older than row before (0: from the newest).
func Looks(ctx context.Context, tx *pg.Tx, client uuid.UUID, before int64, limit int) ([]Look, error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return nil, err
	}
	w := where{args: []any{tx.Municipality()}, sql: `municipality_id = $1`}
	w.and(`id = ANY (ARRAY(SELECT looks_at(%s)))`, []uuid.UUID{client})
	if before != 0 {
		w.and(`id < %s`, before)
	}
	rows, err := tx.Query(ctx, `SELECT id, at, account_id, role, page, purpose, cardinality(client_ids) AS shown FROM access_log
		WHERE `+w.sql+w.limit(` ORDER BY id DESC`, limit), w.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Look])
}
