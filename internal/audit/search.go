package audit

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Kind says which of the two logs a row stands in.
type Kind string

// A look is a row of the access log, an act one of the audit trail.
const (
	Acts    Kind = "act"
	LooksAt Kind = "look"
)

// shownIDs is how many of a list page's clients a row of a search names.
const shownIDs = 5

// Organisations are for whom somebody acted, as the database derives it from the role.
var Organisations = []string{"municipality", "processor", "supplier", "frist", "unknown"}

// Query says which rows of both logs are sought; the zero Query is all of them. Conditions of different fields all hold.
type Query struct {
	Kind         Kind        // empty: both
	Clients      []uuid.UUID // looks that showed one of them, acts on one of them
	Accounts     []int64     // done by one of them
	Role         string
	Organisation string
	Page         string    // of looks
	Purpose      string    // of looks
	Act          string    // of acts
	SubjectID    string    // of acts, as the number of a round
	Refused      bool      // only what was refused
	From, Until  time.Time // from (included) until (not included); zero: open
}

// looks and acts report whether the query can match rows of that log at all.
func (q Query) looks() bool {
	return q.Kind != Acts && q.Act == "" && q.SubjectID == "" && !q.Refused
}

func (q Query) acts() bool { return q.Kind != LooksAt && q.Page == "" && q.Purpose == "" }

// Row is one row of either log in one form. Name is that of the own municipality's people only; of processor and supplier
// there is the opaque staff number (D26).
type Row struct {
	Kind         Kind
	ID           int64
	At           time.Time
	Account      int64 `db:"account_id"` // 0 is Frist itself, or nobody at the door
	StaffNumber  string
	Name         string
	Role         string
	Organisation string
	Page         string
	Purpose      string
	Clients      []uuid.UUID // some of those that a look showed; all of them in an export, none in a person's extract
	Shown        int
	Act          string
	Subject      string
	SubjectID    string
	Fields       []string
	Detail       map[string]any
	Refused      bool
}

// Cursor is a place in the rows, behind one of them; the zero Cursor is the newest row.
type Cursor struct {
	At   time.Time
	Kind Kind
	ID   int64
}

// Cursor is the place behind the row.
func (r Row) Cursor() Cursor { return Cursor{r.At, r.Kind, r.ID} }

// String is the form for an address: an instant and a number, nothing about anybody. Empty for the zero Cursor.
func (c Cursor) String() string {
	if c.ID == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("%s-%d-%d", c.Kind, c.At.UnixMicro(), c.ID)))
}

// ParseCursor reads String's form. Anything else is problem.NotFound.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	parts := strings.Split(string(raw), "-")
	if err != nil || len(parts) != 3 || parts[0] != string(Acts) && parts[0] != string(LooksAt) {
		return Cursor{}, problem.NotFound{What: "page"}
	}
	at, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || at < 0 || at > 1<<52 { // beyond what a timestamp can be
		return Cursor{}, problem.NotFound{What: "page"}
	}
	id, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || id <= 0 {
		return Cursor{}, problem.NotFound{What: "page"}
	}
	return Cursor{time.UnixMicro(at).UTC(), Kind(parts[0]), id}, nil
}

// where gathers conditions and their arguments; what is not asked for stands in no statement, so that each one finds its
// index.
type where struct {
	sql  string
	args []any
}

func (w *where) and(sql string, arg any) {
	w.args = append(w.args, arg)
	w.sql += " AND " + fmt.Sprintf(sql, "$"+strconv.Itoa(len(w.args)))
}

func (w *where) limit(order string, n int) string {
	w.args = append(w.args, n)
	return order + " LIMIT $" + strconv.Itoa(len(w.args))
}

// behind limits to rows of a log that come after the cursor in the order at DESC, kind, id DESC.
func (w *where) behind(kind Kind, c Cursor) {
	if c.ID == 0 {
		return
	}
	id := c.ID
	switch {
	case kind < c.Kind:
		id = 0 // of that instant all acts stand before the looks
	case kind > c.Kind:
		id = math.MaxInt64
	}
	w.args = append(w.args, c.At, id)
	w.sql += fmt.Sprintf(" AND (at, id) < ($%d, $%d)", len(w.args)-1, len(w.args))
}

// common are the conditions that both logs have. The statement's arguments are shared.
func (w *where) common(q Query) {
	w.sql = `municipality_id = $1`
	if len(q.Accounts) > 0 {
		w.and(`account_id = ANY (%s)`, q.Accounts)
	}
	if q.Role != "" {
		w.and(`role = %s`, q.Role)
	}
	if q.Organisation != "" {
		w.and(`organisation = %s`, q.Organisation)
	}
	if !q.From.IsZero() {
		w.and(`at >= %s`, q.From)
	}
	if !q.Until.IsZero() {
		w.and(`at < %s`, q.Until)
	}
}

const newest = ` ORDER BY at DESC, id DESC`

// ofActs and ofLooks are the conditions on each of the logs.
func (w *where) ofActs(q Query) {
	w.common(q)
	if len(q.Clients) > 0 {
		ids := make([]string, len(q.Clients))
		for i, id := range q.Clients {
			ids[i] = id.String()
		}
		w.and(`subject = 'client' AND subject_id = ANY (%s)`, ids)
	}
	if q.Act != "" {
		w.and(`act = %s`, q.Act)
	}
	if q.SubjectID != "" {
		w.and(`subject_id = %s`, q.SubjectID)
	}
	if q.Refused {
		w.sql += ` AND refused`
	}
}

func (w *where) ofLooks(q Query) {
	w.common(q)
	if len(q.Clients) > 0 {
		w.and(`id = ANY (ARRAY(SELECT looks_at(%s)))`, q.Clients)
	}
	if q.Page != "" {
		w.and(`page = %s`, q.Page)
	}
	if q.Purpose != "" {
		w.and(`(purpose = %[1]s OR split_part(purpose, ':', 1) = %[1]s)`, q.Purpose) // a visit's has its id behind it
	}
}

// statement is the one question for a page of rows: each log by its own index, then the newest of both. clients says which
// ids of a look are wanted. Empty when no row can match.
func (q Query) statement(municipality int, after Cursor, limit int, clients string) (string, []any) {
	w := where{args: []any{municipality}}
	var logs []string
	if q.acts() {
		w.ofActs(q)
		w.behind(Acts, after)
		logs = append(logs, `(SELECT 'act' AS kind, id, at, account_id, role, organisation, '' AS page, '' AS purpose, '{}'::uuid[] AS clients, 0 AS shown,
			act, subject, subject_id, fields, detail, refused FROM audit WHERE `+w.sql+w.limit(newest, limit)+`)`)
	}
	if q.looks() {
		w.ofLooks(q)
		w.behind(LooksAt, after)
		logs = append(logs, `(SELECT 'look' AS kind, id, at, account_id, role, organisation, page, purpose, `+clients+` AS clients, cardinality(client_ids) AS shown,
			'' AS act, '' AS subject, '' AS subject_id, '{}'::text[] AS fields, '{}'::jsonb AS detail, false AS refused FROM access_log WHERE `+w.sql+w.limit(newest, limit)+`)`)
	}
	if len(logs) == 0 {
		return "", nil
	}
	return `SELECT r.kind, r.id, r.at, r.account_id, CASE r.organisation WHEN 'unknown' THEN '' ELSE coalesce(staff_number(r.account_id), '') END AS staff_number,
			coalesce(s.name, '') AS name, r.role, r.organisation, r.page, r.purpose, r.clients, r.shown, r.act, r.subject, r.subject_id, r.fields, r.detail, r.refused
		FROM (` + strings.Join(logs, " UNION ALL ") + `) r LEFT JOIN staff() s ON s.id = r.account_id` + w.limit(` ORDER BY r.at DESC, r.kind, r.id DESC`, limit), w.args
}

func (q Query) page(ctx context.Context, tx *pg.Tx, after Cursor, limit int, clients string) ([]Row, error) {
	sql, args := q.statement(tx.Municipality(), after, limit, clients)
	if sql == "" {
		return nil, nil
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Row])
}

// Search gives rows of both logs that match, newest first: at most limit of them, behind the cursor. It is one statement,
// whatever is asked. Needs AccessLogRead.
func Search(ctx context.Context, tx *pg.Tx, q Query, after Cursor, limit int) ([]Row, error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return nil, err
	}
	return q.page(ctx, tx, after, limit, `client_ids[1:`+strconv.Itoa(shownIDs)+`]`)
}

// LooksOf is what a person may be told of who looked at them (T8), for the extract: newest first, at most limit rows behind
// the cursor; a row's Cursor goes on. clients are all ids that the person has or had. No row holds another client's id.
// Needs RightsRead or AccessLogRead.
func LooksOf(ctx context.Context, tx *pg.Tx, clients []uuid.UUID, after Cursor, limit int) ([]Row, error) {
	if !tx.Caller.Can(access.AccessLogRead) {
		if err := tx.Require(access.RightsRead); err != nil {
			return nil, err
		}
	}
	if len(clients) == 0 {
		return nil, nil
	}
	return Query{Kind: LooksAt, Clients: clients}.page(ctx, tx, after, limit, `'{}'::uuid[]`)
}

// Looker is somebody who has looked at a person, in one role: how often, when, at what and why.
type Looker struct {
	Account      int64 `db:"account_id"`
	StaffNumber  string
	Name         string // of the own municipality's people
	Role         string
	Organisation string
	Opened       int // times that this person's own page was on the screen
	Listed       int // times in a list
	First, Last  time.Time
	Pages        []string
	Purposes     []string
}

const mostLookers = 500

// opened is a look at one client's own page, not at a list that happened to show one.
const opened = `cardinality(client_ids) = 1 AND purpose NOT IN ('list', 'search', 'round', 'control')`

// Lookers answers "who looked at this person, and why": everybody who did, whoever looked last first. clients are all ids
// that the person has or had; they need not exist any more. Needs AccessLogRead.
func Lookers(ctx context.Context, tx *pg.Tx, clients []uuid.UUID, from, until time.Time) ([]Looker, error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return nil, err
	}
	w := where{args: []any{tx.Municipality()}}
	w.common(Query{From: from, Until: until})
	w.and(`id = ANY (ARRAY(SELECT looks_at(%s)))`, clients)
	rows, err := tx.Query(ctx, `SELECT g.account_id, g.role, g.organisation, g.opened, g.listed, g.first, g.last, g.pages, g.purposes, CASE g.organisation WHEN 'unknown' THEN '' ELSE coalesce(staff_number(g.account_id), '') END AS staff_number, coalesce(s.name, '') AS name
		FROM (SELECT account_id, role, organisation, count(*) FILTER (WHERE `+opened+`) AS opened, count(*) FILTER (WHERE NOT (`+opened+`)) AS listed,
				min(at) AS first, max(at) AS last, array_agg(DISTINCT page ORDER BY page) AS pages, array_agg(DISTINCT purpose ORDER BY purpose) AS purposes
			FROM access_log WHERE `+w.sql+` GROUP BY account_id, role, organisation`+w.limit(` ORDER BY max(at) DESC, account_id`, mostLookers)+`) g
		LEFT JOIN staff() s ON s.id = g.account_id ORDER BY g.last DESC, g.account_id, g.role`, w.args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Looker])
}

// exportChunk is how many rows an export holds at a time.
const exportChunk = 1000

// Export is an export that has been written down. Make it with BeginExport.
type Export struct {
	Count  int // rows, when it began
	At     time.Time
	query  Query
	caller access.Caller
}

// BeginExport counts the rows that match and writes the export down (log_exported): when that cannot be written, there is
// none. form is "csv" or "fhir". Needs AccessLogRead and a fresh proof of identity.
func BeginExport(ctx context.Context, tx *pg.Tx, q Query, form string) (Export, error) {
	if err := tx.RequireFresh(access.AccessLogRead); err != nil {
		return Export{}, err
	}
	if q.Until.IsZero() || tx.Now().Before(q.Until) {
		q.Until = tx.Now() // what is written from now on is not part of it, this export's own row neither
	}
	e := Export{At: tx.Now(), query: q, caller: tx.Caller}
	w := where{args: []any{tx.Municipality()}}
	counts := []string{`0`}
	if q.acts() {
		w.ofActs(q)
		counts = append(counts, `(SELECT count(*) FROM audit WHERE `+w.sql+`)`)
	}
	if q.looks() {
		w.ofLooks(q)
		counts = append(counts, `(SELECT count(*) FROM access_log WHERE `+w.sql+`)`)
	}
	if len(counts) > 1 {
		if err := tx.QueryRow(ctx, `SELECT `+strings.Join(counts, " + "), w.args...).Scan(&e.Count); err != nil {
			return Export{}, err
		}
	}
	Write(tx, access.AccessLogRead, Record{Act: "log_exported", Subject: "municipality", SubjectID: strconv.Itoa(tx.Municipality()), Detail: map[string]any{"count": e.Count, "format": form}})
	return e, nil
}

// Each gives every row to fn, newest first, some at a time and each some in a transaction of their own: an export of a
// million rows holds no more memory than one of a thousand, and no transaction waits for somebody's slow browser.
func (e Export) Each(ctx context.Context, db *pg.DB, fn func(Row) error) error {
	after := Cursor{}
	for {
		var rows []Row
		err := db.InTx(ctx, e.caller, func(tx *pg.Tx) (err error) {
			if err := tx.Require(access.AccessLogRead); err != nil {
				return err
			}
			rows, err = e.query.page(ctx, tx, after, exportChunk, `client_ids`)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := fn(r); err != nil {
				return err
			}
		}
		if len(rows) < exportChunk {
			return nil
		}
		after = rows[len(rows)-1].Cursor()
	}
}
