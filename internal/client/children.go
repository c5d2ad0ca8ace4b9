package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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

// The children of a client. Each read asks for access.ClientRead and gives nothing for a client of another municipality,
// as for one that does not exist; the page has asked Find before and with it written its row of access.

// StatusEntry is one line of the status log (P18).
type StatusEntry struct {
	ID            int64
	At            time.Time
	Status        Status
	Reason        string
	EnteredBy     int64
	EnteredByName string
	EnteredAt     time.Time
}

// History is the status log, newest first.
func History(ctx context.Context, tx *pg.Tx, id ID) ([]StatusEntry, error) {
	return children[StatusEntry](ctx, tx, `SELECT e.id, e.at, e.status, coalesce(e.reason, '') AS reason, e.entered_by, coalesce(s.name, '') AS entered_by_name, e.entered_at
		FROM status_entry e LEFT JOIN staff() s ON s.id = e.entered_by
		WHERE e.municipality_id = $1 AND e.client_id = $2 ORDER BY e.at DESC, e.id DESC`, id)
}

// Note is one note.
type Note struct {
	ID            int64
	At            time.Time
	Text          string
	EnteredBy     int64
	EnteredByName string
}

// Notes are the client's notes, newest first.
func Notes(ctx context.Context, tx *pg.Tx, id ID) ([]Note, error) {
	return children[Note](ctx, tx, `SELECT e.id, e.at, e.text, e.entered_by, coalesce(s.name, '') AS entered_by_name
		FROM note e LEFT JOIN staff() s ON s.id = e.entered_by
		WHERE e.municipality_id = $1 AND e.client_id = $2 ORDER BY e.at DESC, e.id DESC`, id)
}

// AddNote adds a note of at most 4000 letters. problem.Invalid of "text" (required, too_long), problem.NotFound,
// problem.Forbidden "shielded" (of a protected client only the named few read and write notes), problem.Conflict
// "pseudonym_only" (free words can hold a name, T10).
func AddNote(ctx context.Context, tx *pg.Tx, id ID, text string) error {
	if err := tx.Require(access.ClientWrite); err != nil {
		return err
	}
	var wrong problem.Collector
	if wrong.Words("text", &text, 4000, true); wrong.Err() != nil {
		return wrong.Err()
	}
	if err := lockForWords(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO note (municipality_id, client_id, at, text, entered_by) VALUES ($1, $2, $3, $4, $5)`,
		tx.Municipality(), id, tx.Now(), text, tx.Caller.Account)
	if err != nil {
		return err
	}
	changed(tx, id, "note", nil, &text)
	audit.Write(tx, access.ClientWrite, audit.Record{Act: "note_added", Subject: "client", SubjectID: id.String(), Fields: []string{"note"}})
	return nil
}

// Property is one named property (Egenskaper).
type Property struct {
	ID          int64 // a hash of its name, by which it is known
	Name, Value string
}

// Properties are the client's properties by name.
func Properties(ctx context.Context, tx *pg.Tx, id ID) ([]Property, error) {
	return children[Property](ctx, tx, `SELECT hashtextextended(name, 0) AS id, name, value FROM property WHERE municipality_id = $1 AND client_id = $2 ORDER BY name`, id)
}

// Relative is next of kin (Pårørende): another data subject, who goes with the client (D20).
type Relative struct {
	ID       int64
	Name     string
	Relation string
	Phone    string
	HasKey   bool
}

// NextOfKin are the client's next of kin.
func NextOfKin(ctx context.Context, tx *pg.Tx, id ID) ([]Relative, error) {
	return children[Relative](ctx, tx, `SELECT id, name, relation, phone, has_key FROM next_of_kin WHERE municipality_id = $1 AND client_id = $2 ORDER BY id`, id)
}

// Professional is a health professional, shared by clients (D20).
type Professional struct {
	ID         uuid.UUID
	Name       string
	Profession string
	Phone      string
}

// Professionals are those linked to the client.
func Professionals(ctx context.Context, tx *pg.Tx, id ID) ([]Professional, error) {
	return children[Professional](ctx, tx, `SELECT p.id, p.name, p.profession, p.phone
		FROM client_professional l JOIN professional p ON p.municipality_id = l.municipality_id AND p.id = l.professional_id
		WHERE l.municipality_id = $1 AND l.client_id = $2 ORDER BY p.name, p.id`, id)
}

// MedicalEntry is one entry of the tab Medisinsk.
type MedicalEntry struct {
	ID            int64
	At            time.Time
	Text          string
	EnteredBy     int64
	EnteredByName string
}

// Medical are the medical entries, newest first.
func Medical(ctx context.Context, tx *pg.Tx, id ID) ([]MedicalEntry, error) {
	return children[MedicalEntry](ctx, tx, `SELECT e.id, e.at, e.text, e.entered_by, coalesce(s.name, '') AS entered_by_name
		FROM medical_entry e LEFT JOIN staff() s ON s.id = e.entered_by
		WHERE e.municipality_id = $1 AND e.client_id = $2 ORDER BY e.at DESC, e.id DESC`, id)
}

// Medication is one line of the tab Medisinering.
type Medication struct {
	ID    int64
	Name  string
	Dose  string
	Since calendar.Date
	Until calendar.Date
}

// Medications are the client's medicines, the present ones first.
func Medications(ctx context.Context, tx *pg.Tx, id ID) ([]Medication, error) {
	return children[Medication](ctx, tx, `SELECT id, name, dose, since, until FROM medication
		WHERE municipality_id = $1 AND client_id = $2 ORDER BY until DESC NULLS FIRST, name, id`, id)
}

// CarePlan is a goal with its log.
type CarePlan struct {
	ID      int64
	Goal    string
	Since   calendar.Date
	Until   calendar.Date
	Entries []CarePlanEntry `db:"-"`
}

// CarePlanEntry is one line of a care plan's log.
type CarePlanEntry struct {
	ID            int64
	CarePlanID    int64
	At            time.Time
	Text          string
	EnteredBy     int64
	EnteredByName string
}

// CarePlans are the client's plans with their entries, newest first, in one round trip.
func CarePlans(ctx context.Context, tx *pg.Tx, id ID) ([]CarePlan, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return nil, err
	}
	var plans []CarePlan
	var entries []CarePlanEntry
	batch := &pgx.Batch{}
	queue(batch, &plans, `SELECT id, goal, since, until FROM care_plan WHERE municipality_id = $1 AND client_id = $2 ORDER BY since DESC, id DESC`, tx.Municipality(), id)
	queue(batch, &entries, `SELECT e.id, e.care_plan_id, e.at, e.text, e.entered_by, coalesce(s.name, '') AS entered_by_name
		FROM care_plan_entry e LEFT JOIN staff() s ON s.id = e.entered_by
		WHERE e.municipality_id = $1 AND e.client_id = $2 ORDER BY e.at DESC, e.id DESC`, tx.Municipality(), id)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	at := map[int64]int{}
	for i, p := range plans {
		at[p.ID] = i
	}
	for _, e := range entries {
		plans[at[e.CarePlanID]].Entries = append(plans[at[e.CarePlanID]].Entries, e)
	}
	return plans, nil
}

// Communication is one line of the communication log.
type Communication struct {
	ID            int64
	At            time.Time
	Channel       string
	Text          string
	EnteredBy     int64
	EnteredByName string
}

// Communications are the communication log, newest first.
func Communications(ctx context.Context, tx *pg.Tx, id ID) ([]Communication, error) {
	return children[Communication](ctx, tx, `SELECT e.id, e.at, e.channel, e.text, e.entered_by, coalesce(s.name, '') AS entered_by_name
		FROM communication e LEFT JOIN staff() s ON s.id = e.entered_by
		WHERE e.municipality_id = $1 AND e.client_id = $2 ORDER BY e.at DESC, e.id DESC`, id)
}

// EventCursor is a place in a log, newest first; the zero one is its beginning.
type EventCursor struct {
	At time.Time
	ID int64
}

// String is the form for an address; empty for the beginning.
func (c EventCursor) String() string {
	if c.At.IsZero() {
		return ""
	}
	return strconv.FormatInt(c.At.UnixMicro(), 10) + "-" + strconv.FormatInt(c.ID, 10)
}

// ParseEventCursor reads String's form. Anything else is problem.NotFound.
func ParseEventCursor(s string) (EventCursor, error) {
	if s == "" {
		return EventCursor{}, nil
	}
	at, id, _ := strings.Cut(s, "-")
	micro, err := strconv.ParseInt(at, 10, 64)
	n, err2 := strconv.ParseInt(id, 10, 64)
	if err != nil || err2 != nil || micro > 1<<53 || micro < 0 {
		return EventCursor{}, problem.NotFound{What: "page"}
	}
	return EventCursor{At: time.UnixMicro(micro).UTC(), ID: n}, nil
}

// Alarm is one line of the alarm log.
type Alarm struct {
	ID         int64
	At         time.Time
	Kind       string
	Text       string
	DeviceCode string
}

// Cursor is the place behind the alarm.
func (a Alarm) Cursor() EventCursor { return EventCursor{a.At, a.ID} }

// Alarms are at most limit alarms older than the cursor, newest first. Ask for one more than is shown to know whether
// there are more.
func Alarms(ctx context.Context, tx *pg.Tx, id ID, before EventCursor, limit int) ([]Alarm, error) {
	return children[Alarm](ctx, tx, `SELECT id, at, kind, text, device_code FROM alarm_event
		WHERE municipality_id = $1 AND client_id = $2 AND ($3::timestamptz IS NULL OR (at, id) < ($3, $4))
		ORDER BY at DESC, id DESC LIMIT $5`, id, before.at(), before.ID, min(max(limit, 1), most+1))
}

func (c EventCursor) at() *time.Time {
	if c.At.IsZero() {
		return nil
	}
	return &c.At
}

// Recording is one sound recording; the sound lies in the blob store under the key.
type Recording struct {
	ID      int64
	At      time.Time
	Seconds float64
	BlobKey string
}

// Recordings are the client's recordings, newest first.
func Recordings(ctx context.Context, tx *pg.Tx, id ID) ([]Recording, error) {
	return children[Recording](ctx, tx, `SELECT id, at, seconds::float8 AS seconds, blob_key FROM recording
		WHERE municipality_id = $1 AND client_id = $2 ORDER BY at DESC, id DESC`, id)
}

// FindRecording is one recording of the client, for playing it. problem.NotFound.
func FindRecording(ctx context.Context, tx *pg.Tx, id ID, recording int64) (Recording, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return Recording{}, err
	}
	if err := Openable(ctx, tx, id); err != nil {
		return Recording{}, err
	}
	rows, err := tx.Query(ctx, `SELECT id, at, seconds::float8 AS seconds, blob_key FROM recording
		WHERE municipality_id = $1 AND client_id = $2 AND id = $3`, tx.Municipality(), id, recording)
	if err != nil {
		return Recording{}, err
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Recording])
	if errors.Is(err, pgx.ErrNoRows) {
		return r, problem.NotFound{What: "recording"}
	}
	return r, err
}

// ChangeEntry is one change of the client's own history, with the values (D25). Hidden says that they are not shown to
// this caller: what tells where a protected client is (D21).
type ChangeEntry struct {
	ID          int64
	At          time.Time
	Field       string
	From        *string `db:"from_value"`
	To          *string `db:"to_value"`
	Hidden      bool
	AccountID   int64
	AccountName string
}

// Cursor is the place behind the change.
func (c ChangeEntry) Cursor() EventCursor { return EventCursor{c.At, c.ID} }

// ChangeLog gives at most limit changes older than the cursor, newest first. The database does not give the rows with
// hidden values; hidden_changes tells that there are such changes, but not a visitor, who sees no protected client.
func ChangeLog(ctx context.Context, tx *pg.Tx, id ID, before EventCursor, limit int) ([]ChangeEntry, error) {
	hidden := `UNION ALL SELECT id, at, field, true, NULL, NULL, account_id FROM hidden_changes($2)`
	if tx.Caller.Visiting() {
		hidden = ""
	}
	return children[ChangeEntry](ctx, tx, `SELECT h.id, h.at, h.field, h.hidden, h.from_value, h.to_value, h.account_id, coalesce(s.name, '') AS account_name
		FROM (SELECT id, at, field, false AS hidden, from_value, to_value, account_id FROM client_change WHERE municipality_id = $1 AND client_id = $2
			`+hidden+`) h
		LEFT JOIN staff() s ON s.id = h.account_id
		WHERE $3::timestamptz IS NULL OR (h.at, h.id) < ($3, $4)
		ORDER BY h.at DESC, h.id DESC LIMIT $5`, id, before.at(), before.ID, min(max(limit, 1), most+1))
}

// ChildCounts are the figures on a record's tabs.
type ChildCounts struct {
	StatusEntries  int
	Notes          int
	Properties     int
	NextOfKin      int
	Professionals  int
	Medical        int
	Medications    int
	CarePlans      int
	Communications int
	Alarms         int
	Recordings     int
	Changes        int
	Residents      int // who else lives at the address and may be shown; 0 for a protected client
}

// Counts gives the figures on the tabs, in one statement.
func Counts(ctx context.Context, tx *pg.Tx, id ID) (ChildCounts, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return ChildCounts{}, err
	}
	var c ChildCounts
	var list strings.Builder
	dest := []any{}
	for _, t := range []struct {
		table string
		n     *int
	}{
		{"status_entry", &c.StatusEntries},
		{"note", &c.Notes},
		{"property", &c.Properties},
		{"next_of_kin", &c.NextOfKin},
		{"client_professional", &c.Professionals},
		{"medical_entry", &c.Medical},
		{"medication", &c.Medications},
		{"care_plan", &c.CarePlans},
		{"communication", &c.Communications},
		{"alarm_event", &c.Alarms},
		{"recording", &c.Recordings},
		{"client_change", &c.Changes},
	} {
		fmt.Fprintf(&list, "(SELECT count(*) FROM %s WHERE municipality_id = $1 AND client_id = $2), ", t.table)
		dest = append(dest, t.n)
	}
	err := tx.QueryRow(ctx, `SELECT `+list.String()+`(SELECT count(*) FROM client c JOIN client o ON o.municipality_id = c.municipality_id
		AND o.address_id = c.address_id AND o.id <> c.id AND NOT o.protected WHERE c.municipality_id = $1 AND c.id = $2 AND NOT c.protected)`,
		tx.Municipality(), id).Scan(append(dest, &c.Residents)...)
	return c, err
}

// children reads rows of one client: $1 is the municipality, $2 the client.
func children[T any](ctx context.Context, tx *pg.Tx, sql string, id uuid.UUID, more ...any) ([]T, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, sql, append([]any{tx.Municipality(), id}, more...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}

// queue puts a read into a batch that fills into.
func queue[T any](batch *pgx.Batch, into *[]T, sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, pgx.RowToStructByName[T])
		return err
	})
}
