// Package rights is what a person asks of the controller: access, rectification, erasure, objection and restriction
// (GDPR 15-18, 21; T8, T9). A caseworker takes the request and prepares the answer, an approver who did not prepare it
// releases or refuses it, the privacy officer reads. Each request has a clock of one month. While it is open, and while
// data are restricted, the assessment keeps the client (D24).
package rights

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Kind is what is asked for.
type Kind string

// Innsyn, retting, sletting, innvending, begrensning.
const (
	Access        Kind = "access"
	Rectification Kind = "rectification"
	Erasure       Kind = "erasure"
	Objection     Kind = "objection"
	Restriction   Kind = "restriction"
)

// Kinds are all five, in the order of the regulation.
var Kinds = []Kind{Access, Rectification, Erasure, Restriction, Objection}

// State is how far a request is.
type State string

// received -> prepared -> released | refused; prepared -> received when it is returned; withdrawn by the person.
const (
	Received  State = "received"
	Prepared  State = "prepared"
	Released  State = "released"
	Refused   State = "refused"
	Withdrawn State = "withdrawn"
)

// Channels are the ways on which a request comes.
var Channels = []string{"letter", "portal", "phone", "visit", "email"}

// ExtensionReasons are the two that the regulation knows (GDPR 12(3)).
var ExtensionReasons = []string{"complex", "many"}

// RestrictionGrounds are those of GDPR 18(1) a to d.
var RestrictionGrounds = []string{"contested", "unlawful", "legal_claim", "objection_pending"}

// refusals are the grounds that fit each kind.
var refusals = map[Kind][]string{
	Access:        {"others_rights", "unfounded", "not_identified"},
	Rectification: {"correct_as_is", "unfounded", "not_identified"},
	Erasure:       {"retention", "legal_claim", "unfounded", "not_identified"},
	Objection:     {"compelling_grounds", "legal_claim", "unfounded", "not_identified"},
	Restriction:   {"condition_missing", "unfounded", "not_identified"},
}

// RefusalGrounds are the grounds on which a request of the kind can be refused. Of somebody whose record is gone only
// access can be asked.
func RefusalGrounds(k Kind) []string { return slices.Clone(refusals[k]) }

// Request is one request with its story. Of a former client there is neither client nor words.
type Request struct {
	ID                uuid.UUID
	Former            bool // somebody whose record is gone asks who looked
	ClientID          *uuid.UUID
	Kind              Kind
	State             State
	ReceivedOn        calendar.Date
	DueOn             calendar.Date
	Channel           string
	Reference         string
	Wish              string
	ReceivedBy        int64
	ReceivedAt        time.Time
	ExtensionReason   string
	ExtensionToldOn   calendar.Date
	PreparedBy        *int64
	PreparedAt        *time.Time
	Answer            string
	Recipients        string
	Corrected         []string
	Statement         string
	Remark            string
	RestrictionGround string
	RefusalGround     string
	Decision          string
	Outcome           []ClassAnswer
	DecidedBy         *int64
	DecidedAt         *time.Time
	ToldOn            calendar.Date
	LiftReason        string
	LiftedBy          *int64
	LiftedAt          *time.Time
	Number            string // of the client, for those who may read clients
	GivenName         string
	FamilyName        string
}

// Name is "Solveig Hansen"; empty for those who may not read clients.
func (r Request) Name() string { return strings.TrimSpace(r.GivenName + " " + r.FamilyName) }

// Open reports whether the person has no answer yet.
func (r Request) Open() bool { return r.State == Received || r.State == Prepared }

// Restricts reports whether the request is a restriction that stands.
func (r Request) Restricts() bool {
	return r.Kind == Restriction && r.State == Released && r.LiftedAt == nil
}

// DaysLeft counts the days until the answer is due; negative when it should have been given.
func (r Request) DaysLeft(today calendar.Date) int { return r.DueOn.DaysSince(today) }

// Due is the last day for the answer: one calendar month after the request came, clamped to the end of the month (D1), or
// three when the person was told why (GDPR 12(3)).
func Due(received calendar.Date, extended bool) calendar.Date {
	if extended {
		return received.AddMonths(3)
	}
	return received.AddMonths(1)
}

// ClassAnswer is what becomes of one class of data when somebody asks for erasure (D18).
type ClassAnswer struct {
	Class     retention.Class `json:"class"`
	DueOn     calendar.Date   `json:"due_on,omitzero"` // the first lawful day; zero: none is known
	RunOn     calendar.Date   `json:"run_on,omitzero"` // when it goes; zero while something keeps it
	Months    int             `json:"months"`
	Days      int             `json:"days"`
	Authority string          `json:"authority"`
	Kept      []string        `json:"kept,omitempty"` // what keeps the person, as codes
}

var nationalID = regexp.MustCompile(`\d{6}\s?\d{5}`)

// New is a request as it came.
type New struct {
	Kind       Kind
	ReceivedOn calendar.Date
	Channel    string
	Reference  string // the municipality's case number
	Wish       string // what the person asks for; required but for access
}

func (n *New) check(today calendar.Date, former bool) error {
	var wrong problem.Collector
	if former {
		n.Kind, n.Wish = Access, ""
	}
	if !slices.Contains(Kinds, n.Kind) {
		wrong.Add("kind", "required", nil)
	}
	switch {
	case n.ReceivedOn.IsZero():
		wrong.Add("received_on", "required", nil)
	case n.ReceivedOn.After(today):
		wrong.Add("received_on", "future", nil)
	case n.ReceivedOn.Before(today.AddMonths(-12)):
		wrong.Add("received_on", "too_long_ago", problem.Params{"earliest": today.AddMonths(-12)})
	}
	if !slices.Contains(Channels, n.Channel) {
		wrong.Add("channel", "required", nil)
	}
	if wrong.Words("reference", &n.Reference, 60, true) && nationalID.MatchString(n.Reference) {
		wrong.Add("reference", "national_id_here", nil)
	}
	wrong.Words("wish", &n.Wish, most, n.Kind != Access && !former)
	return wrong.Err()
}

// most is how long words may be.
const most = 4000

// Receive notes a request of a client and keeps the client from being deleted until there is an answer, but for a request
// for erasure (D24). Needs RightsPrepare; problem.Invalid names the fields, problem.Conflict "request_open" when the
// person has an open one of the kind already.
func Receive(ctx context.Context, tx *pg.Tx, id client.ID, n New) (uuid.UUID, error) {
	if err := tx.Require(access.RightsPrepare); err != nil {
		return uuid.Nil, err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return uuid.Nil, err
	}
	if err := n.check(today, false); err != nil {
		return uuid.Nil, err
	}
	if _, err := client.LockKept(ctx, tx, id); err != nil {
		return uuid.Nil, err
	}
	var open bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM rights_request WHERE municipality_id = $1 AND client_id = $2 AND kind = $3 AND (state IN ('received', 'prepared')
		OR kind = 'restriction' AND state = 'released' AND lifted_at IS NULL))`, tx.Municipality(), id, n.Kind).Scan(&open)
	if err != nil {
		return uuid.Nil, err
	}
	if open {
		return uuid.Nil, problem.Conflict{Code: "request_open"}
	}
	request := uuid.New()
	_, err = tx.Exec(ctx, `INSERT INTO rights_request (municipality_id, client_id, id, kind, received_on, due_on, channel, reference, wish, received_by, received_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		tx.Municipality(), id, request, n.Kind, n.ReceivedOn, Due(n.ReceivedOn, false), n.Channel, n.Reference, n.Wish, tx.Caller.Account, tx.Now())
	if err != nil {
		return uuid.Nil, err
	}
	if n.Kind != Erasure {
		if err := deletion.Keep(ctx, tx, id, retention.OpenRequest); err != nil {
			return uuid.Nil, err
		}
	}
	r := Request{ID: request, ClientID: &id, Kind: n.Kind}
	r.audit(tx, access.RightsPrepare, "received", nil)
	return request, nil
}

// ReceiveFormer notes that somebody whose record is gone asks who looked at it (T8, D25). The national id is hashed at
// once with the key that lies outside the database; nothing else of the person is kept, and the answer does not tell
// whether there was a record. Needs RightsPrepare; problem.Invalid.
func ReceiveFormer(ctx context.Context, tx *pg.Tx, key []byte, number string, n New) (uuid.UUID, error) {
	if err := tx.Require(access.RightsPrepare); err != nil {
		return uuid.Nil, err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return uuid.Nil, err
	}
	var wrong problem.Collector
	wrong.Join("", n.check(today, true))
	national, err := client.ParseNationalID(strings.Join(strings.Fields(number), ""))
	switch {
	case strings.TrimSpace(number) == "":
		wrong.Add("national_id", "required", nil)
	case err != nil:
		wrong.Add("national_id", "national_id_length", nil)
	}
	if err := wrong.Err(); err != nil {
		return uuid.Nil, err
	}
	rules, err := retention.RulesOn(ctx, tx, today)
	if err != nil {
		return uuid.Nil, err
	}
	id := uuid.New()
	_, err = tx.Exec(ctx, `INSERT INTO rights_former (municipality_id, id, subject_hash, received_on, due_on, channel, reference, received_by, received_at, expires_on)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		tx.Municipality(), id, deletion.SubjectHash(key, tx.Municipality(), string(national)), n.ReceivedOn, Due(n.ReceivedOn, false), n.Channel, n.Reference,
		tx.Caller.Account, tx.Now(), rules[retention.AccessLog].KeepUntil(today))
	Request{ID: id, Former: true, Kind: Access}.audit(tx, access.RightsPrepare, "received", nil)
	return id, err
}

func (r Request) audit(tx *pg.Tx, p access.Permission, act string, more map[string]any) {
	record := audit.Record{Act: "rights." + act, Subject: "rights", SubjectID: r.ID.String(), Detail: map[string]any{"kind": string(r.Kind)}}
	if r.ClientID != nil { // it stands in the client's trail
		record.Subject, record.SubjectID = "client", r.ClientID.String()
		record.Detail["request"] = r.ID.String()
	}
	for k, v := range more {
		record.Detail[k] = v
	}
	audit.Write(tx, p, record)
}

// one reads both tables as one; %s is the condition on the outer row.
const one = `SELECT * FROM (
	SELECT r.municipality_id, r.id, false AS former, r.client_id, r.kind, r.state, r.received_on, r.due_on, r.channel, r.reference, r.wish, r.received_by, r.received_at,
		coalesce(r.extension_reason, '') AS extension_reason, r.extension_told_on, r.prepared_by, r.prepared_at, r.answer, r.recipients, r.corrected, r.statement, r.remark,
		coalesce(r.restriction_ground, '') AS restriction_ground, coalesce(r.refusal_ground, '') AS refusal_ground, r.decision, r.outcome, r.decided_by, r.decided_at,
		r.told_on, r.lift_reason, r.lifted_by, r.lifted_at,
		CASE WHEN $2 THEN c.number ELSE '' END AS number, CASE WHEN $2 THEN c.given_name ELSE '' END AS given_name, CASE WHEN $2 THEN c.family_name ELSE '' END AS family_name
	FROM rights_request r JOIN client c ON c.municipality_id = r.municipality_id AND c.id = r.client_id
	UNION ALL
	SELECT f.municipality_id, f.id, true, NULL, 'access', f.state, f.received_on, f.due_on, f.channel, f.reference, '', f.received_by, f.received_at,
		coalesce(f.extension_reason, ''), f.extension_told_on, f.prepared_by, f.prepared_at, '', '', '{}', '', '', '', coalesce(f.refusal_ground, ''), '', '[]', f.decided_by, f.decided_at,
		NULL, '', NULL, NULL, '', '', ''
	FROM rights_former f) r WHERE r.municipality_id = $1`

type row struct {
	MunicipalityID int
	Request
}

func read(ctx context.Context, tx *pg.Tx, condition string, args ...any) ([]Request, error) {
	rows, err := tx.Query(ctx, one+condition, append([]any{tx.Municipality(), tx.Caller.Can(access.ClientRead)}, args...)...)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	requests := make([]Request, len(list))
	for i, r := range list {
		requests[i] = r.Request
	}
	return requests, err
}

// mostOpen is far above what a municipality has open at once.
const mostOpen = 500

// OpenRequests are those without an answer, the most urgent first, and the restrictions that stand. It writes one row of
// access. Needs RightsRead.
func OpenRequests(ctx context.Context, tx *pg.Tx) (open, restrictions []Request, err error) {
	if err := tx.Require(access.RightsRead); err != nil {
		return nil, nil, err
	}
	err = tx.Together(ctx,
		func() (err error) {
			open, err = read(ctx, tx, ` AND r.state IN ('received', 'prepared') ORDER BY r.due_on, r.id LIMIT $3`, mostOpen)
			return err
		},
		func() (err error) {
			restrictions, err = read(ctx, tx, ` AND r.kind = 'restriction' AND r.state = 'released' AND r.lifted_at IS NULL ORDER BY r.decided_at, r.id LIMIT $3`, mostOpen)
			return err
		})
	if err == nil {
		looked(tx, "rights", open, restrictions)
	}
	return open, restrictions, err
}

func looked(tx *pg.Tx, page string, lists ...[]Request) {
	var ids []uuid.UUID
	for _, list := range lists {
		for _, r := range list {
			if r.ClientID != nil && !slices.Contains(ids, *r.ClientID) {
				ids = append(ids, *r.ClientID)
			}
		}
	}
	audit.Looked(tx, page, "rights", ids...) // without names too: a case number leads to somebody
}

// Cursor is a place in the list of answered requests; the zero one is its beginning.
type Cursor struct {
	On calendar.Date
	ID uuid.UUID
}

// String is the form for an address.
func (c Cursor) String() string {
	if c.ID == uuid.Nil {
		return ""
	}
	return c.On.String() + "_" + c.ID.String()
}

// ParseCursor reads String's form. Anything else is problem.NotFound.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	day, id, _ := strings.Cut(s, "_")
	c := Cursor{}
	var err error
	if c.ID, err = uuid.Parse(id); err != nil || len(id) != 36 || c.On.UnmarshalText([]byte(day)) != nil {
		return Cursor{}, problem.NotFound{What: "page"}
	}
	return c, nil
}

// Answered are at most limit (1 to 200) requests that have an answer or were withdrawn, the newest first, older than the
// cursor; without the restrictions that stand, which OpenRequests gives. It writes one row of access. Needs RightsRead.
func Answered(ctx context.Context, tx *pg.Tx, before Cursor, limit int) ([]Request, error) {
	if err := tx.Require(access.RightsRead); err != nil {
		return nil, err
	}
	var on *time.Time
	if before.ID != uuid.Nil {
		day := before.On.UTC()
		on = &day
	}
	list, err := read(ctx, tx, ` AND r.state NOT IN ('received', 'prepared') AND NOT (r.kind = 'restriction' AND r.state = 'released' AND r.lifted_at IS NULL) AND ($3::date IS NULL OR (r.received_on, r.id) < ($3, $4)) ORDER BY r.received_on DESC, r.id DESC LIMIT $5`,
		on, before.ID, min(max(limit, 1), 200))
	if err == nil {
		looked(tx, "rights", list)
	}
	return list, err
}

// OfClient are the client's requests, the newest first; the page of the client has written its row of access. Needs RightsRead.
func OfClient(ctx context.Context, tx *pg.Tx, id client.ID) ([]Request, error) {
	if err := tx.Require(access.RightsRead); err != nil {
		return nil, err
	}
	return read(ctx, tx, ` AND r.client_id = $3 ORDER BY r.received_on DESC, r.id LIMIT 100`, id)
}

// Tally counts the open requests and those of them whose day is over, for the menu. Needs RightsRead.
func Tally(ctx context.Context, tx *pg.Tx) (open, overdue int, err error) {
	if err := tx.Require(access.RightsRead); err != nil {
		return 0, 0, err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return 0, 0, err
	}
	err = tx.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE due_on < $2) FROM (
		SELECT due_on FROM rights_request WHERE municipality_id = $1 AND state IN ('received', 'prepared')
		UNION ALL SELECT due_on FROM rights_former WHERE municipality_id = $1 AND state IN ('received', 'prepared')) o`, tx.Municipality(), today).Scan(&open, &overdue)
	return open, overdue, err
}

var notFound = problem.NotFound{What: "request"}

// ParseID reads an id as it stands in an address. Nonsense is a request that does not exist: problem.NotFound.
func ParseID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return uuid.Nil, notFound
	}
	return id, nil
}

// Find is one request; it writes a row of access. Needs RightsRead; problem.NotFound.
func Find(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Request, error) {
	if err := tx.Require(access.RightsRead); err != nil {
		return Request{}, err
	}
	r, err := find(ctx, tx, id)
	if err == nil {
		looked(tx, "rights.request", []Request{r})
	}
	return r, err
}

func find(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Request, error) {
	list, err := read(ctx, tx, ` AND r.id = $3 ORDER BY r.id`, id)
	switch {
	case err != nil:
		return Request{}, err
	case len(list) != 1:
		return Request{}, notFound
	}
	return list[0], nil
}

// hold locks the client, then the request, and reads it: the order of locks is everybody's.
func hold(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Request, error) {
	r, err := find(ctx, tx, id)
	if err != nil {
		return r, err
	}
	lock := `SELECT FROM rights_former WHERE municipality_id = $1 AND id = $2 FOR UPDATE`
	if !r.Former {
		if _, err := client.LockKept(ctx, tx, *r.ClientID); errors.As(err, new(problem.NotFound)) {
			return r, notFound
		} else if err != nil {
			return r, err
		}
		lock = `SELECT FROM rights_request WHERE municipality_id = $1 AND id = $2 FOR UPDATE`
	}
	if _, err := tx.Exec(ctx, lock, tx.Municipality(), id); err != nil {
		return r, err
	}
	return find(ctx, tx, id) // as it is now that nobody else can change it
}

// set writes columns of the request. Of a former client there are no words to write.
func (r Request) set(ctx context.Context, tx *pg.Tx, columns map[string]any) error {
	table := "rights_request"
	if r.Former {
		table = "rights_former"
	}
	args, assignments := []any{tx.Municipality(), r.ID}, []string{}
	for _, name := range slices.Sorted(keys(columns)) {
		if r.Former && !slices.Contains(ofFormer, name) {
			continue
		}
		args = append(args, columns[name])
		assignments = append(assignments, name+" = $"+itoa(len(args)))
	}
	_, err := tx.Exec(ctx, `UPDATE `+table+` SET `+strings.Join(assignments, ", ")+` WHERE municipality_id = $1 AND id = $2`, args...)
	return err
}

var ofFormer = []string{"state", "due_on", "extension_reason", "extension_told_on", "prepared_by", "prepared_at", "refusal_ground", "decided_by", "decided_at"}
