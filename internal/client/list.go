package client

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Row is one line of the list (P12). Of a protected client address and telephone are empty for everybody, the named few
// among them, whose looks are single ones (D21); so is the address of whoever lives with one.
type Row struct {
	ID          ID
	Number      string
	GivenName   string
	FamilyName  string
	Street      string
	Postcode    string
	Town        string
	Phone       string
	BirthDate   calendar.Date
	Gender      string
	Status      Status
	StatusSince time.Time
	Protected   bool
	HomeHidden  bool
	Restricted  bool // GDPR 18: the row tells nothing but who it is
}

// Name is "Hansen, Solveig", as the list sorts it, or the pseudonym.
func (r Row) Name() string {
	if r.GivenName == "" {
		return r.FamilyName
	}
	return r.FamilyName + ", " + r.GivenName
}

// Filter says which clients are listed (P34, P35); the zero Filter lists all. Conditions of different fields all hold.
type Filter struct {
	Statuses []Status      // any of them
	Groups   []int64       // deletion rounds; in any of them (P34)
	Unplaced bool          // inactive and in no group
	Search   *uuid.UUID    // a stored search of the same account (SaveSearch)
	Postcode string        // four digits; never finds a protected client
	ReviewBy calendar.Date // next review of the record on this day or before (P20)
	Period   Period        // P35
}

// Which date a Period is about (P35).
const (
	PeriodStatus         = "status"
	PeriodAgreementStart = "agreement_start"
	PeriodAgreementEnd   = "agreement_end"
)

// Period limits one of three dates to local days, both included; a zero day is open, an empty Of is no limit.
type Period struct {
	Of       string
	From, To calendar.Date
}

// Cursor is a place in the list: behind the client (or before it, with Back). It holds no name; the zero Cursor is the
// first page, and the zero one with Back the last.
type Cursor struct {
	ID   ID
	Back bool
}

// String is the form for an address; empty for the first page.
func (c Cursor) String() string {
	switch {
	case c.Back && c.ID == uuid.Nil:
		return "last"
	case c.ID == uuid.Nil:
		return ""
	case c.Back:
		return "b" + c.ID.String()
	}
	return "a" + c.ID.String()
}

// ParseCursor reads String's form. Anything else is problem.NotFound.
func ParseCursor(s string) (Cursor, error) {
	if s == "" || s == "last" {
		return Cursor{Back: s != ""}, nil
	}
	if s[0] != 'a' && s[0] != 'b' {
		return Cursor{}, problem.NotFound{What: "page"}
	}
	id, err := ParseID(s[1:])
	if err != nil {
		return Cursor{}, problem.NotFound{What: "page"}
	}
	return Cursor{ID: id, Back: s[0] == 'b'}, nil
}

// Page is one page of the list, in Norwegian order of family name, given name.
type Page struct {
	Rows             []Row
	Next, Prev       Cursor
	HasNext, HasPrev bool
	Anew             bool // the cursor's client is gone, so this is the first page (with Back the last one) and not the asked one
}

const most = 200 // rows of a page

// List gives one page of at most limit rows (1 to 200) and writes one row of access with the ids it shows. A cursor whose
// client is gone begins anew (Page.Anew); a program that turns pages must not take that for the next one. The search of a
// Filter that is not the caller's own is problem.NotFound.
func List(ctx context.Context, tx *pg.Tx, f Filter, at Cursor, limit int) (Page, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Page{}, err
	}
	where, err := f.where(ctx, tx)
	if err != nil {
		return Page{}, err
	}
	limit = min(max(limit, 1), most)
	page, err := where.page(ctx, tx, at, limit)
	if err != nil {
		return Page{}, err
	}
	purpose := "list"
	if f.Search != nil {
		purpose = "search"
	}
	ids := make([]ID, len(page.Rows))
	for i, r := range page.Rows {
		ids[i] = r.ID
	}
	audit.Looked(tx, "clients", purpose, ids...)
	return page, nil
}

func (w where) page(ctx context.Context, tx *pg.Tx, at Cursor, limit int) (Page, error) {
	order, than := "ASC", ">"
	if at.Back {
		order, than = "DESC", "<"
	}
	sought := w
	sought.args = slices.Clone(w.args)
	if at.ID != uuid.Nil {
		sought.and(`(c.family_name, c.given_name, c.id) `+than+` (SELECT p.family_name, p.given_name, p.id FROM client p WHERE p.municipality_id = $1 AND p.id = %s)`, at.ID)
	}
	rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT c.id, c.number, c.given_name, c.family_name,
			coalesce(a.street, '') AS street, coalesce(a.postcode, '') AS postcode, coalesce(a.town, '') AS town, c.phone,
			c.birth_date, c.gender, c.status, c.status_since, c.protected, c.address_id IS NOT NULL AND a.id IS NULL AS home_hidden, c.restricted_at IS NOT NULL AS restricted
		FROM client c LEFT JOIN address a ON a.municipality_id = c.municipality_id AND a.id = c.address_id AND NOT a.protected
		WHERE %[1]s ORDER BY c.family_name %[2]s, c.given_name %[2]s, c.id %[2]s LIMIT %[3]d`, sought.sql, order, limit+1), sought.args...)
	if err != nil {
		return Page{}, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Row])
	if err != nil {
		return Page{}, err
	}
	if len(list) == 0 && at.ID != uuid.Nil {
		var there bool
		err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM client WHERE municipality_id = $1 AND id = $2)`, tx.Municipality(), at.ID).Scan(&there)
		if err != nil {
			return Page{}, err
		}
		if !there {
			page, err := w.page(ctx, tx, Cursor{Back: at.Back}, limit)
			page.Anew = true
			return page, err
		}
	}
	veilRestricted(list)
	more := len(list) > limit
	if more {
		list = list[:limit]
	}
	page := Page{Rows: list, HasNext: more, HasPrev: at.ID != uuid.Nil}
	if at.Back {
		slices.Reverse(page.Rows)
		page.HasNext, page.HasPrev = page.HasPrev, page.HasNext
	}
	if len(list) > 0 {
		page.Prev, page.Next = Cursor{ID: list[0].ID, Back: true}, Cursor{ID: list[len(list)-1].ID}
	}
	return page, nil
}

// Count counts what List would give on all pages, up to Many; capped says that there are more.
func Count(ctx context.Context, tx *pg.Tx, f Filter) (n int, capped bool, err error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return 0, false, err
	}
	where, err := f.where(ctx, tx)
	if err != nil {
		return 0, false, err
	}
	err = tx.QueryRow(ctx, `SELECT count(*) FROM (SELECT FROM client c WHERE `+where.sql+` LIMIT `+strconv.Itoa(Many+1)+`) counted`, where.args...).Scan(&n)
	return min(n, Many), n > Many, err
}

// Many is where the figures of a list stop counting: a municipality of a million clients answers like one of a hundred.
const Many = 1000

// Totals are the figures on the views of the list, each at most Many + 1, which says that there are more.
type Totals struct {
	All          int
	Ordered      int
	Active       int
	Cancelled    int
	Disconnected int
	Unplaced     int // inactive and in no group (P36)
	ReviewDue    int // to be reviewed today or before (P20)
}

// Tally counts the municipality's clients by status, those without a group and those to be reviewed today, the
// municipality's own day. Needs ClientRead.
func Tally(ctx context.Context, tx *pg.Tx, today calendar.Date) (Totals, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Totals{}, err
	}
	var t Totals
	err := tx.QueryRow(ctx, `SELECT `+upToMany("true")+upToMany("status = 'ordered'")+upToMany("status = 'active'")+upToMany("status = 'cancelled'")+
		upToMany("status = 'disconnected'")+upToMany("unplaced_reason IS NOT NULL")+strings.TrimSuffix(upToMany("next_review_on <= $2"), ", "), tx.Municipality(), today).
		Scan(&t.All, &t.Ordered, &t.Active, &t.Cancelled, &t.Disconnected, &t.Unplaced, &t.ReviewDue)
	return t, err
}

func upToMany(condition string) string {
	return fmt.Sprintf("(SELECT count(*) FROM (SELECT FROM client WHERE municipality_id = $1 AND %s LIMIT %d) counted), ", condition, Many+1)
}

// where is a condition on client c with its arguments; $1 is always the municipality.
type where struct {
	sql  string
	args []any
}

// and adds a condition; each %s in it becomes the place of the next argument.
func (w *where) and(condition string, args ...any) {
	places := make([]any, len(args))
	for i, a := range args {
		w.args = append(w.args, a)
		places[i] = fmt.Sprintf("$%d", len(w.args))
	}
	w.sql += " AND " + fmt.Sprintf(condition, places...)
}

func (f Filter) where(ctx context.Context, tx *pg.Tx) (where, error) {
	w := where{sql: "c.municipality_id = $1", args: []any{tx.Municipality()}}
	switch len(f.Statuses) {
	case 0:
	case 1:
		w.and(`c.status = %s`, f.Statuses[0])
	default:
		w.and(`c.status = ANY (%s)`, f.Statuses)
	}
	if len(f.Groups) > 0 {
		// round_item belongs to deletion, which lies above; it is read here so that the list stays one statement.
		w.and(`EXISTS (SELECT FROM round_item i WHERE i.municipality_id = $1 AND i.client_id = c.id AND i.round_id = ANY (%s)
			AND i.state IN ('placed', 'ready', 'blocked'))`, f.Groups)
	}
	if f.Unplaced {
		w.and(`c.unplaced_reason IS NOT NULL`)
	}
	if f.Postcode != "" { // a hit would tell where a protected client lives
		w.and(`c.restricted_at IS NULL`)
		w.and(`NOT c.protected AND c.address_id IN (SELECT a.id FROM address a WHERE a.municipality_id = $1 AND a.postcode = %s AND NOT a.protected)`, f.Postcode)
	}
	if !f.ReviewBy.IsZero() {
		w.and(`c.next_review_on <= %s`, f.ReviewBy)
	}
	if err := f.Period.and(ctx, tx, &w); err != nil {
		return where{}, err
	}
	if f.Search != nil {
		text, err := FindSearch(ctx, tx, *f.Search)
		if err != nil {
			return where{}, err
		}
		w.match(text)
	}
	return w, nil
}

func (p Period) and(ctx context.Context, tx *pg.Tx, w *where) error {
	column, instants := "", true
	switch p.Of {
	case "":
		return nil
	case PeriodStatus:
		column = "c.status_since"
	case PeriodAgreementStart:
		column, instants = "c.agreement_start", false
	case PeriodAgreementEnd:
		column = "c.agreement_end"
	default:
		return problem.InvalidField("period", "unknown", nil)
	}
	zone := time.UTC
	if instants {
		var err error
		if zone, err = municipality.Zone(ctx, tx); err != nil {
			return err
		}
	}
	if !p.From.IsZero() {
		w.and(column+` >= %s`, p.From.In(zone))
	}
	if !p.To.IsZero() {
		w.and(column+` < %s`, p.To.AddDays(1).In(zone))
	}
	return nil
}

// match adds the words of a search. Three letters and more go to the trigram index by way of search_clients; fewer would
// read all of that index, so they are taken as the beginning of a name or number, by ranges, along the list's own order.
// A device's code is looked for when no word is that short. The long words and the code together give one set of ids:
// an OR beside other conditions would make the planner look at every client of the municipality.
func (w *where) match(text string) {
	var long []string
	short := false
	for _, term := range terms(text) {
		if len([]rune(term)) >= 3 {
			w.args = append(w.args, "%"+strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(term)+"%")
			long = append(long, fmt.Sprintf(`SELECT search_clients($%d, 100000)`, len(w.args)))
			continue
		}
		short = true
		// U+FFFF sorts behind every letter, and small letters before capitals: the range is the prefix in both.
		w.and(`(c.family_name BETWEEN %[1]s AND %[2]s OR c.given_name BETWEEN %[1]s AND %[2]s OR c.number COLLATE "C" BETWEEN %[1]s AND %[2]s)`,
			term, term+"\uffff")
	}
	if len(long) == 0 {
		return
	}
	ids := "(" + strings.Join(long, " INTERSECT ") + ")"
	if !short {
		w.args = append(w.args, deviceCode(text))
		// device and device_connection belong to device, which lies above; they are read here so that the list stays one
		// statement. A device of a dwelling finds its residents, but never a protected one.
		ids += fmt.Sprintf(` UNION SELECT o.id FROM device d
				JOIN device_connection k ON k.municipality_id = d.municipality_id AND k.device_id = d.id AND k.disconnected_at IS NULL
				JOIN client o ON o.municipality_id = k.municipality_id AND o.id = k.client_id
				WHERE d.municipality_id = $1 AND d.code = $%[1]d
			UNION SELECT o.id FROM device d
				JOIN device_connection k ON k.municipality_id = d.municipality_id AND k.device_id = d.id AND k.disconnected_at IS NULL
				JOIN client o ON o.municipality_id = k.municipality_id AND o.address_id = k.address_id AND NOT o.protected
				WHERE d.municipality_id = $1 AND d.code = $%[1]d`, len(w.args))
	}
	w.sql += ` AND c.id IN (` + ids + `)`
}
