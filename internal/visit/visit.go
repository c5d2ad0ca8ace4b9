// Package visit is support's timed access on a written request (T21): somebody asks, an approver of the municipality
// grants, row-level security lets the reads through as long as the grant lasts, and it ends by itself or is cut. It
// decides nothing about what is seen: the policies of the database do (ADR 9).
package visit

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Reasons are why somebody of support has to look.
var Reasons = []string{"error", "import", "device", "wrong_date", "other"}

// How far a visit goes.
const (
	OneClient    = "client"       // one client, all pages or one of them
	OnePage      = "page"         // one kind of page, of all clients
	Municipality = "municipality" // all of it
)

// Scopes are all three, the narrowest first.
var Scopes = []string{OneClient, OnePage, Municipality}

// Pages are the kinds of page that a visit can be limited to, in the order of a client's tabs.
var Pages = []string{"deletion", "record", "status", "devices", "notes", "properties", "kin", "professionals", "medical", "medication", "plans", "alarms", "recordings", "holds", "trail"}

// Shortest and longest visit, in minutes. The database holds the same limits.
const (
	Shortest = 15
	Longest  = 8 * 60
)

// answerWithin is how long a request waits for its answer.
const answerWithin = 7 * 24 * time.Hour

// State is where a visit stands.
type State string

// The states. Active, Ended and Unanswered are told by the clock, the others are steps that somebody took.
const (
	Asked      State = "asked"
	Active     State = "active"
	Ended      State = "ended"
	Cut        State = "cut"
	Refused    State = "refused"
	Withdrawn  State = "withdrawn"
	Unanswered State = "unanswered"
)

// Visit is one request and what became of it.
type Visit struct {
	ID             uuid.UUID
	MunicipalityID int
	Stored         string `db:"state"`
	Reason         string
	Words          string
	Reference      string // of the written request
	Scope          string
	Page           *string
	OnlyClient     *uuid.UUID // nil for support, who learns it when they stand in the visit
	Minutes        int
	AskedBy        int64
	AskedByNumber  string // staff numbers: names are resolved for the own municipality only (D26)
	AskedAt        time.Time
	ForSupport     bool // asked by support, else by the municipality
	AnswerBy       time.Time
	AnsweredBy     *int64
	AnsweredAt     *time.Time // of a grant: its start
	Answer         string
	EndsAt         *time.Time
	Visitor        *int64 // the one account of support that it is for; nil: nobody has taken it yet
	VisitorNumber  string
	TakenAt        *time.Time
	CutBy          *int64
	CutAt          *time.Time
	Looks          int // rows of the access log; 0 for support
}

// State is where the visit stands at an instant.
func (v Visit) State(now time.Time) State {
	switch {
	case v.Stored == "asked" && !now.Before(v.AnswerBy):
		return Unanswered
	case v.Stored == "granted" && now.Before(*v.EndsAt):
		return Active
	case v.Stored == "granted":
		return Ended
	}
	return State(v.Stored)
}

// OnlyPage is the one kind of page; empty: every kind.
func (v Visit) OnlyPage() string {
	if v.Page == nil {
		return ""
	}
	return *v.Page
}

// New is what somebody asks for. Client is a client's number, and only people who may read clients can give one.
type New struct {
	Reason, Words, Reference string
	Scope, Page, Client      string
	Minutes                  int
}

// nationalID is what must not stand in what support reads.
var nationalID = regexp.MustCompile(`(^|[^0-9])[0-9]{6} ?[0-9]{5}([^0-9]|$)`)

// Ask opens a request in the transaction's municipality. Support asks for itself and names no client, since it sees none: whoever
// grants picks one. A municipality asks for whoever of support takes it first. Needs VisitAsk; problem.Invalid of "reason",
// "words", "reference", "scope", "page", "client_number", "minutes".
func Ask(ctx context.Context, tx *pg.Tx, in New) (uuid.UUID, error) {
	if err := tx.Require(access.VisitAsk); err != nil {
		return uuid.Nil, err
	}
	var wrong problem.Collector
	if !slices.Contains(Reasons, in.Reason) {
		wrong.Add("reason", "required", nil)
	}
	free(&wrong, "words", &in.Words, 200, false)
	free(&wrong, "reference", &in.Reference, 60, true)
	client, page, err := reach(ctx, tx, &wrong, in.Scope, in.Page, in.Client, in.Minutes)
	if err != nil {
		return uuid.Nil, err
	}
	if err := wrong.Err(); err != nil {
		return uuid.Nil, err
	}
	id, support := uuid.New(), tx.Caller.Has(access.Support)
	columns, values := "", ""
	args := pgx.StrictNamedArgs{
		"m": tx.Municipality(), "id": id, "reason": in.Reason, "words": in.Words, "reference": in.Reference, "scope": in.Scope, "page": page, "minutes": in.Minutes,
		"by": tx.Caller.Account, "now": tx.Now(), "until": tx.Now().Add(answerWithin), "support": support,
	}
	if support { // its role cannot even write the column of the client
		columns, values = ", visitor", ", @by"
	} else {
		columns, values = ", only_client", ", @client"
		args["client"] = client
	}
	_, err = tx.Exec(ctx, `INSERT INTO visit (municipality_id, id, reason, words, reference, scope, page, minutes, asked_by, asked_at, for_support, answer_by`+columns+`)
		VALUES (@m, @id, @reason, @words, @reference, @scope, @page, @minutes, @by, @now, @support, @until`+values+`)`, args)
	if err != nil {
		return uuid.Nil, err
	}
	record(tx, access.VisitAsk, id, "asked", map[string]any{"scope": in.Scope, "minutes": in.Minutes, "reason": in.Reason})
	return id, nil
}

func free(wrong *problem.Collector, field string, text *string, most int, required bool) {
	if wrong.Words(field, text, most, required) && nationalID.MatchString(*text) {
		wrong.Add(field, "national_id_here", nil)
	}
}

// reach reads how far a visit shall go.
func reach(ctx context.Context, tx *pg.Tx, wrong *problem.Collector, scope, page, number string, minutes int) (client *uuid.UUID, only *string, err error) {
	if !slices.Contains(Scopes, scope) {
		wrong.Add("scope", "required", nil)
	}
	if minutes < Shortest || minutes > Longest {
		wrong.Add("minutes", "between", problem.Params{"low": Shortest, "high": Longest})
	}
	switch {
	case scope == Municipality:
	case page != "" && !slices.Contains(Pages, page), page == "" && scope == OnePage:
		wrong.Add("page", "required", nil)
	case page != "":
		only = &page
	}
	number = strings.ReplaceAll(strings.TrimSpace(number), " ", "")
	if scope != OneClient || number == "" {
		return nil, only, nil
	}
	// Nobody finds out by asking whether there is such a client.
	if !tx.Caller.Can(access.ClientRead) {
		wrong.Add("client_number", "not_yours", nil)
		return nil, only, nil
	}
	var id uuid.UUID
	err = tx.QueryRow(ctx, `SELECT id FROM client WHERE municipality_id = $1 AND number = $2`, tx.Municipality(), number).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		wrong.Add("client_number", "no_such_client", nil)
		return nil, only, nil
	}
	return &id, only, err
}

// record writes what happened to a visit. Of an act of support it is itself what covers it.
func record(tx *pg.Tx, p access.Permission, id uuid.UUID, act string, detail map[string]any) {
	r := audit.Record{Act: "visit." + act, Subject: "visit", SubjectID: id.String(), Detail: detail}
	if tx.Caller.Has(access.Support) {
		r.Basis = "visit:" + id.String()
	}
	audit.Write(tx, p, r)
}

const columns = `v.municipality_id, v.id, v.state, v.reason, v.words, v.reference, v.scope, v.page, v.minutes, v.asked_by, staff_number(v.asked_by) AS asked_by_number,
	v.asked_at, v.for_support, v.answer_by, v.answered_by, v.answered_at, v.answer, v.ends_at, v.visitor, coalesce(staff_number(v.visitor), '') AS visitor_number, v.taken_at, v.cut_by, v.cut_at`

// own is what only the municipality reads: whom it is about, and how often somebody looked.
const own = `, v.only_client, (SELECT count(*) FROM access_log l WHERE l.municipality_id = v.municipality_id AND l.purpose LIKE 'visit:%' AND l.purpose = 'visit:' || v.id) AS looks`

const blind = `, NULL::uuid AS only_client, 0::bigint AS looks`

// most is how many visits a list tells of, the newest ones.
const most = 200

// List gives the municipality's visits, newest first. Needs VisitRead, and a caller of the municipality.
func List(ctx context.Context, tx *pg.Tx) ([]Visit, error) {
	if err := tx.Require(access.VisitRead); err != nil {
		return nil, err
	}
	if tx.Caller.Blind() {
		return nil, problem.Forbidden{Code: "permission"}
	}
	rows, err := tx.Query(ctx, `SELECT `+columns+own+` FROM visit v WHERE v.municipality_id = $1 ORDER BY v.asked_at DESC, v.id LIMIT $2`, tx.Municipality(), most)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Visit])
}

// Find is one visit of the transaction's municipality; problem.NotFound for any other, and for support for one of a
// colleague. Needs VisitRead.
func Find(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Visit, error) {
	if err := tx.Require(access.VisitRead); err != nil {
		return Visit{}, err
	}
	return find(ctx, tx, id, "")
}

func find(ctx context.Context, tx *pg.Tx, id uuid.UUID, lock string) (Visit, error) {
	more := own
	if tx.Caller.Blind() {
		more = blind
	}
	rows, err := tx.Query(ctx, `SELECT `+columns+more+` FROM visit v WHERE v.municipality_id = $1 AND v.id = $2 `+lock, tx.Municipality(), id)
	if err != nil {
		return Visit{}, err
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Visit])
	if errors.Is(err, pgx.ErrNoRows) || err == nil && tx.Caller.Blind() && v.Visitor != nil && *v.Visitor != tx.Caller.Account {
		return Visit{}, problem.NotFound{What: "visit"}
	}
	return v, err
}

// Board gives the caller's visits in all municipalities, and those asked for by a municipality that nobody of support has
// taken; sought, when it is not nil, that one alone. Newest first. For support; needs VisitRead.
func Board(ctx context.Context, tx *pg.Tx, sought *uuid.UUID) ([]Visit, error) {
	if err := tx.Require(access.VisitRead); err != nil {
		return nil, err
	}
	if !tx.Caller.Blind() {
		return nil, problem.Forbidden{Code: "permission"}
	}
	rows, err := tx.Query(ctx, `SELECT `+columns+blind+` FROM visit_board($1) v ORDER BY v.asked_at DESC, v.id LIMIT $2`, sought, most)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Visit])
}

// Waiting counts the requests that wait for an approver's answer, for the menu. Needs VisitRead.
func Waiting(ctx context.Context, tx *pg.Tx) (n int, err error) {
	if err := tx.Require(access.VisitRead); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT count(*) FROM visit WHERE municipality_id = $1 AND state = 'asked' AND answer_by > $2`, tx.Municipality(), tx.Now()).Scan(&n)
	return n, err
}

// Granting is what an approver grants: at most what was asked for.
type Granting struct {
	Scope, Page, Client string
	Minutes             int
}

// Grant lets the visit begin at once. Needs VisitGrant, freshly proved; never who asked (problem.Forbidden
// "own_request"). It may be narrower and shorter than the request; what is wider is problem.Invalid "wider". A client that the request
// names need not be given again. problem.Conflict "visit_step", "visit_unanswered".
func Grant(ctx context.Context, tx *pg.Tx, id uuid.UUID, in Granting) error {
	if err := tx.RequireFresh(access.VisitGrant); err != nil {
		return err
	}
	v, err := open(ctx, tx, id)
	if err != nil {
		return err
	}
	if v.AskedBy == tx.Caller.Account {
		return problem.Forbidden{Code: "own_request"}
	}
	var wrong, beyond problem.Collector
	client, page, err := reach(ctx, tx, &wrong, in.Scope, in.Page, in.Client, in.Minutes)
	if err != nil {
		return err
	}
	if in.Scope == OneClient && client == nil && strings.TrimSpace(in.Client) == "" {
		client = v.OnlyClient
	}
	rank := func(scope string) int { return slices.Index(Scopes, scope) }
	switch {
	case rank(in.Scope) > rank(v.Scope), v.Scope == OneClient && in.Scope != OneClient:
		beyond.Add("scope", "wider", nil)
	case v.Page != nil && (page == nil || *page != *v.Page):
		beyond.Add("page", "wider", nil)
	case v.OnlyClient != nil && client != nil && *client != *v.OnlyClient:
		beyond.Add("client_number", "wider", nil)
	case in.Scope == OneClient && client == nil && in.Client == "":
		wrong.Add("client_number", "required", nil)
	}
	if in.Minutes > v.Minutes && in.Minutes <= Longest {
		beyond.Add("minutes", "longer", problem.Params{"max": v.Minutes})
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	if err := beyond.Err(); err != nil {
		return problem.Tried(err)
	}
	_, err = tx.Exec(ctx, `UPDATE visit SET state = 'granted', scope = $3, only_client = $4, page = $5, minutes = $6, answered_by = $7, answered_at = $8,
		ends_at = $8::timestamptz + make_interval(mins => $6) WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, in.Scope, client, page, in.Minutes, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	record(tx, access.VisitGrant, id, "granted", map[string]any{"scope": in.Scope, "minutes": in.Minutes})
	return nil
}

// open locks a request that waits for its answer.
func open(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Visit, error) {
	v, err := find(ctx, tx, id, "FOR NO KEY UPDATE OF v")
	if err != nil {
		return v, err
	}
	switch v.State(tx.Now()) {
	case Asked:
		return v, nil
	case Unanswered:
		return v, problem.Conflict{Code: "visit_unanswered"}
	}
	return v, problem.Conflict{Code: "visit_step"}
}

// Refuse says no to a request, with words for who asked. Needs VisitGrant; problem.Invalid of "answer".
func Refuse(ctx context.Context, tx *pg.Tx, id uuid.UUID, words string) error {
	if err := tx.Require(access.VisitGrant); err != nil {
		return err
	}
	v, err := open(ctx, tx, id)
	if err != nil {
		return err
	}
	if v.AskedBy == tx.Caller.Account {
		return problem.Forbidden{Code: "own_request"}
	}
	var wrong problem.Collector
	if free(&wrong, "answer", &words, 200, false); words == "" {
		wrong.Add("answer", "say_why", nil)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE visit SET state = 'refused', answered_by = $3, answered_at = $4, answer = $5 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, tx.Caller.Account, tx.Now(), words)
	if err != nil {
		return err
	}
	record(tx, access.VisitGrant, id, "refused", nil)
	return nil
}

// Withdraw takes one's own request back. Needs VisitAsk; problem.Forbidden "not_own_request".
func Withdraw(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if err := tx.Require(access.VisitAsk); err != nil {
		return err
	}
	v, err := open(ctx, tx, id)
	if err != nil {
		return err
	}
	if v.AskedBy != tx.Caller.Account {
		return problem.Forbidden{Code: "not_own_request"}
	}
	_, err = tx.Exec(ctx, `UPDATE visit SET state = 'withdrawn', answered_by = $3, answered_at = $4 WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	record(tx, access.VisitAsk, id, "withdrawn", nil)
	return nil
}

// MayCut reports whether the caller may cut a visit: an approver, an administrator, and support its own. It is the safe
// way out, so it asks for no fresh proof, and programs may, too.
func MayCut(c access.Caller) bool {
	return c.Can(access.VisitRead) && (c.Has(access.Approver) || c.Has(access.Administrator) || c.Has(access.Support))
}

// CutOff ends a visit before its time, at once: the next statement of a request that is under way sees nobody any more.
// problem.Forbidden unless MayCut; problem.Conflict "visit_step" when it does not last.
func CutOff(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if !MayCut(tx.Caller) {
		return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(access.VisitGrant)}}
	}
	v, err := find(ctx, tx, id, "FOR NO KEY UPDATE OF v")
	if err != nil {
		return err
	}
	if v.State(tx.Now()) != Active {
		return problem.Conflict{Code: "visit_step"}
	}
	if tx.Caller.Has(access.Support) && v.Visitor == nil {
		return problem.Forbidden{Code: "not_own_request"}
	}
	_, err = tx.Exec(ctx, `UPDATE visit SET state = 'cut', cut_by = $3, cut_at = $4 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	record(tx, access.VisitRead, id, "cut", nil)
	return nil
}

// Enter writes down that the caller of support goes into the visit, and takes it for their account when a municipality
// had asked for whoever comes first. The session is then put there by package account. Needs VisitAsk and a caller who
// stands in the visit's municipality; problem.NotFound, problem.Forbidden "visit_over".
func Enter(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if err := tx.Require(access.VisitAsk); err != nil {
		return err
	}
	if !tx.Caller.Has(access.Support) {
		return problem.Forbidden{Code: "permission"}
	}
	v, err := find(ctx, tx, id, "FOR NO KEY UPDATE OF v")
	if err != nil {
		return err
	}
	if v.State(tx.Now()) != Active {
		return problem.Forbidden{Code: "visit_over"}
	}
	if v.Visitor == nil {
		_, err := tx.Exec(ctx, `UPDATE visit SET visitor = $3, taken_at = $4 WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account, tx.Now())
		if err != nil {
			return err
		}
	}
	record(tx, access.VisitAsk, id, "entered", nil)
	return nil
}

// Leave writes down that the caller has gone out of the visit. Needs VisitAsk.
func Leave(ctx context.Context, tx *pg.Tx, id uuid.UUID) error {
	if err := tx.Require(access.VisitAsk); err != nil {
		return err
	}
	if _, err := find(ctx, tx, id, ""); err != nil {
		return err
	}
	record(tx, access.VisitAsk, id, "left", nil)
	return nil
}

// Step is one line of a visit's history.
type Step struct {
	At      time.Time
	Account int64 `db:"account_id"`
	Act     string
	Scope   string
	Page    *string
	Minutes int
}

// Steps tells a visit's history, oldest first. Needs VisitRead, and a caller of the municipality.
func Steps(ctx context.Context, tx *pg.Tx, id uuid.UUID) ([]Step, error) {
	if err := tx.Require(access.VisitRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT at, account_id, act, scope, page, minutes FROM visit_event WHERE municipality_id = $1 AND visit_id = $2 ORDER BY id`, tx.Municipality(), id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Step])
}

// Look is one page that was shown during a visit.
type Look struct {
	ID      int64
	At      time.Time
	Page    string
	Clients []uuid.UUID `db:"client_ids"`
}

// Looks gives what was looked at during a visit, newest first: at most limit rows older than row before (0: from the
// newest). Ids only. Needs VisitRead, and a caller of the municipality.
func Looks(ctx context.Context, tx *pg.Tx, id uuid.UUID, before int64, limit int) ([]Look, error) {
	if err := tx.Require(access.VisitRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT id, at, page, client_ids FROM access_log WHERE municipality_id = $1 AND purpose LIKE 'visit:%' AND purpose = 'visit:' || $2::uuid
		AND ($3 = 0 OR id < $3) ORDER BY id DESC LIMIT $4`, tx.Municipality(), id, before, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Look])
}

// expireChunk is how many visits go in one transaction.
const expireChunk = 1000

// Expire removes visits that are over for longer than the municipality keeps its access log, of which they are a part, with
// their steps: some at a time; more says that there are others. How many went is on record. By the sweep.
func Expire(ctx context.Context, tx *pg.Tx) (more bool, err error) {
	if err := tx.Require(access.RoundSweep); err != nil {
		return false, err
	}
	gone, err := tx.Exec(ctx, `DELETE FROM visit v USING (
			SELECT id FROM visit WHERE municipality_id = $1 AND greatest(asked_at, answered_at, ends_at) < (SELECT log_cutoff('access_log')) ORDER BY id LIMIT $2) old
		WHERE v.municipality_id = $1 AND v.id = old.id`, tx.Municipality(), expireChunk)
	if err != nil || gone == 0 {
		return false, err
	}
	audit.Write(tx, access.RoundSweep, audit.Record{Act: "log_expired", Subject: "municipality", SubjectID: strconv.Itoa(tx.Municipality()), Detail: map[string]any{"class": "visit", "count": gone}})
	return gone == expireChunk, nil
}
