package rights

import (
	"context"
	"fmt"
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

// Form is what stands in a field of the extract, and so how each format writes it.
type Form string

// The forms of values.
const (
	Words   Form = "text"    // as people wrote it
	Code    Form = "code"    // a word of the product's own
	Codes   Form = "codes"   // several, with blanks between
	Instant Form = "instant" // time.Time
	Day     Form = "day"     // calendar.Date
	Flag    Form = "flag"    // bool
	Figure  Form = "number"  // float64
	Who     Form = "who"     // a name of the own municipality's staff, or an opaque staff number
	File    Form = "file"    // the name of a sound file of the same extract
)

// Field is a column of a section. From says where its values come from, "table.column"; by default it is the section's
// table and the field's name.
type Field struct {
	Name string
	Form Form
	From string
}

// Section is what is held of one kind, with one row for each thing. A value is nil when nothing is held.
type Section struct {
	Key    string
	Fields []Field
	Rows   [][]any
}

// Get is a row's value by the name of its field.
func (s Section) Get(row []any, name string) any {
	i := slices.IndexFunc(s.Fields, func(f Field) bool { return f.Name == name })
	if i < 0 || i >= len(row) {
		return nil
	}
	return row[i]
}

// Text is Get for words; empty when nothing is held.
func (s Section) Text(row []any, name string) string {
	words, _ := s.Get(row, name).(string)
	return words
}

// At is Get for instants.
func (s Section) At(row []any, name string) time.Time {
	at, _ := s.Get(row, name).(time.Time)
	return at
}

// On is Get for days.
func (s Section) On(row []any, name string) calendar.Date {
	day, _ := s.Get(row, name).(calendar.Date)
	return day
}

// Withheld is something that is held and not told, with the ground. What it is about would tell it.
type Withheld struct {
	What   string `json:"what"`   // holds, address
	Ground string `json:"ground"` // a code
	Count  int    `json:"count"`
}

// Sound is a recording of the extract: a file beside the document.
type Sound struct {
	File        string // its name in the archive
	Key         string // where it lies; never told
	ContentType string
	Size        int64
	Missing     bool // the row is there and the sound is not
	At          time.Time
	Seconds     float64
	section     int
	row, column int
}

// Extract is everything that is held on a person, at one instant (GDPR 15, T8). It is made anew each time and kept nowhere.
type Extract struct {
	MadeAt       time.Time
	Municipality municipality.Municipality
	Request      Request
	Sections     []Section
	Withheld     []Withheld
	Sounds       []Sound
}

// Section is the section with that key; its zero when the extract has none.
func (e Extract) Section(key string) Section {
	for _, s := range e.Sections {
		if s.Key == key {
			return s
		}
	}
	return Section{}
}

// Find puts what the store knows of each sound into the extract: look gives the media type and the size of the object
// with a key, and problem.NotFound when it is gone.
func (e *Extract) Find(look func(key string) (contentType string, size int64, err error)) error {
	for i := range e.Sounds {
		s := &e.Sounds[i]
		var err error
		s.ContentType, s.Size, err = look(s.Key)
		if _, gone := err.(problem.NotFound); gone { //nolint:errorlint // the store answers this very value
			s.Missing = true
			e.Sections[s.section].Rows[s.row][s.column] = nil
			continue
		}
		if err != nil {
			return err
		}
		extension := map[string]string{"audio/wave": ".wav", "audio/wav": ".wav", "audio/mpeg": ".mp3", "application/ogg": ".ogg", "audio/ogg": ".ogg"}[s.ContentType]
		if extension == "" {
			extension = ".bin"
		}
		s.File = fmt.Sprintf("opptak/opptak-%03d%s", i+1, extension)
		e.Sections[s.section].Rows[s.row][s.column] = s.File
	}
	return nil
}

// source is how a section is read: $1 is the municipality, $2 the client, $3 whether address and telephone are hidden.
type source struct {
	key    string
	covers []string // the tables that it tells
	fields []Field
	sql    string
}

const staffName = `coalesce((SELECT s.name FROM staff() s WHERE s.id = %[1]s), staff_number(%[1]s))`

func by(column string) string { return fmt.Sprintf(staffName, column) }

// Protected is not told by anybody but a named few, who tell it to the person by word of mouth.
const hideable = `CASE WHEN $3 THEN NULL ELSE %s END`

func unlessHidden(column string) string { return fmt.Sprintf(hideable, column) }

// sources are everything that hangs on a client. A test holds them equal to the catalogue of `frist explain`: a new table
// under the client, or a new personal column, that is not here fails it.
var sources = []source{
	{
		"client",
		[]string{"client", "client_search", "address"},
		[]Field{
			{"number", Words, ""},
			{"given_name", Words, ""},
			{"family_name", Words, ""},
			{"national_id", Words, ""},
			{"birth_date", Day, ""},
			{"gender", Code, ""},
			{"phone", Words, ""},
			{"email", Words, ""},
			{"street", Words, "address.street"},
			{"postcode", Words, "address.postcode"},
			{"town", Words, "address.town"},
			{"address_note", Words, "address.note"},
			{"protected", Flag, ""},
			{"status", Code, ""},
			{"status_since", Instant, ""},
			{"agreement_start", Day, ""},
			{"agreement_end", Instant, ""},
			{"end_reason", Code, ""},
			{"unplaced_reason", Code, ""},
			{"reviewed_on", Day, ""},
			{"next_review_on", Day, ""},
			{"duplicate_confirmed_at", Instant, ""},
			{"restricted_at", Instant, ""},
			{"search_words", Words, "client_search.text"},
			{"created_at", Instant, ""},
			{"created_by", Who, ""},
			{"changed_at", Instant, ""},
			{"changed_by", Who, ""},
		},
		`SELECT c.number, c.given_name, c.family_name, c.national_id, c.birth_date, c.gender, ` + unlessHidden("c.phone") + `, c.email, ` + unlessHidden("a.street") + `, ` +
			unlessHidden("a.postcode") + `, ` + unlessHidden("a.town") + `, ` + unlessHidden("a.note") + `, c.protected, c.status, c.status_since, c.agreement_start, c.agreement_end,
				c.end_reason, c.unplaced_reason, c.reviewed_on, c.next_review_on, c.duplicate_confirmed_at, c.restricted_at, s.text, c.created_at, ` + by("c.created_by") + `, c.changed_at, ` + by("c.changed_by") + `
			FROM client c LEFT JOIN address a ON a.municipality_id = c.municipality_id AND a.id = c.address_id
			LEFT JOIN client_search s ON s.municipality_id = c.municipality_id AND s.client_id = c.id
			WHERE c.municipality_id = $1 AND c.id = $2`,
	},
	{
		"status_entry",
		[]string{"status_entry"},
		[]Field{{"at", Instant, ""}, {"status", Code, ""}, {"reason", Code, ""}, {"entered_by", Who, ""}, {"entered_at", Instant, ""}},
		`SELECT e.at, e.status, e.reason, ` + by("e.entered_by") + `, e.entered_at FROM status_entry e WHERE e.municipality_id = $1 AND e.client_id = $2 AND $3::bool IS NOT NULL ORDER BY e.at, e.id`,
	},
	{
		"next_of_kin",
		[]string{"next_of_kin"},
		[]Field{{"name", Words, ""}, {"relation", Words, ""}, {"phone", Words, ""}, {"has_key", Flag, ""}},
		`SELECT name, relation, phone, has_key FROM next_of_kin WHERE municipality_id = $1 AND client_id = $2 AND $3::bool IS NOT NULL ORDER BY id`,
	},
	{
		"professional",
		[]string{"professional", "client_professional"},
		[]Field{{"name", Words, ""}, {"profession", Words, ""}, {"phone", Words, ""}},
		`SELECT p.name, p.profession, p.phone FROM client_professional l JOIN professional p ON p.municipality_id = l.municipality_id AND p.id = l.professional_id
			WHERE l.municipality_id = $1 AND l.client_id = $2 AND $3::bool IS NOT NULL ORDER BY p.name, p.id`,
	},
	{
		"property",
		[]string{"property"},
		[]Field{{"name", Words, ""}, {"value", Words, ""}},
		`SELECT name, value FROM property WHERE municipality_id = $1 AND client_id = $2 AND $3::bool IS NOT NULL ORDER BY name`,
	},
	{
		"device_connection",
		[]string{"device_connection"},
		[]Field{{"kind", Code, "device.kind"}, {"code", Words, "device.code"}, {"serial", Words, "device.serial"}, {"on", Code, "device_connection.client_id"}, {"preferred", Flag, ""}, {"connected_at", Instant, ""}, {"disconnected_at", Instant, ""}},
		`SELECT d.kind, d.code, d.serial, CASE WHEN k.client_id IS NULL THEN 'address' ELSE 'client' END, k.preferred, k.connected_at, k.disconnected_at
			FROM client c JOIN device_connection k ON k.municipality_id = c.municipality_id AND (k.client_id = c.id OR k.address_id = c.address_id)
			JOIN device d ON d.municipality_id = k.municipality_id AND d.id = k.device_id
			WHERE c.municipality_id = $1 AND c.id = $2 AND $3::bool IS NOT NULL ORDER BY k.connected_at, k.id`,
	},
	{
		"note",
		[]string{"note"},
		[]Field{{"at", Instant, ""}, {"text", Words, ""}, {"entered_by", Who, ""}},
		`SELECT e.at, e.text, ` + by("e.entered_by") + ` FROM note e WHERE e.municipality_id = $1 AND e.client_id = $2 AND $3::bool IS NOT NULL ORDER BY e.at, e.id`,
	},
	{
		"medical_entry",
		[]string{"medical_entry"},
		[]Field{{"at", Instant, ""}, {"text", Words, ""}, {"entered_by", Who, ""}},
		`SELECT e.at, e.text, ` + by("e.entered_by") + ` FROM medical_entry e WHERE e.municipality_id = $1 AND e.client_id = $2 AND $3::bool IS NOT NULL ORDER BY e.at, e.id`,
	},
	{
		"medication",
		[]string{"medication"},
		[]Field{{"name", Words, ""}, {"dose", Words, ""}, {"since", Day, ""}, {"until", Day, ""}},
		`SELECT name, dose, since, until FROM medication WHERE municipality_id = $1 AND client_id = $2 AND $3::bool IS NOT NULL ORDER BY since, name, id`,
	},
	{
		"care_plan",
		[]string{"care_plan"},
		[]Field{{"goal", Words, ""}, {"since", Day, ""}, {"until", Day, ""}},
		`SELECT goal, since, until FROM care_plan WHERE municipality_id = $1 AND client_id = $2 AND $3::bool IS NOT NULL ORDER BY since, id`,
	},
	{
		"care_plan_entry",
		[]string{"care_plan_entry"},
		[]Field{{"at", Instant, ""}, {"goal", Words, "care_plan.goal"}, {"text", Words, ""}, {"entered_by", Who, ""}},
		`SELECT e.at, p.goal, e.text, ` + by("e.entered_by") + ` FROM care_plan_entry e
			LEFT JOIN care_plan p ON p.municipality_id = e.municipality_id AND p.client_id = e.client_id AND p.id = e.care_plan_id
			WHERE e.municipality_id = $1 AND e.client_id = $2 AND $3::bool IS NOT NULL ORDER BY e.at, e.id`,
	},
	{
		"communication",
		[]string{"communication"},
		[]Field{{"at", Instant, ""}, {"channel", Code, ""}, {"text", Words, ""}, {"entered_by", Who, ""}},
		`SELECT e.at, e.channel, e.text, ` + by("e.entered_by") + ` FROM communication e WHERE e.municipality_id = $1 AND e.client_id = $2 AND $3::bool IS NOT NULL ORDER BY e.at, e.id`,
	},
	{
		"alarm_event",
		[]string{"alarm_event"},
		[]Field{{"at", Instant, ""}, {"kind", Code, ""}, {"text", Words, ""}, {"device_code", Words, ""}},
		`SELECT at, kind, text, device_code FROM alarm_event WHERE municipality_id = $1 AND client_id = $2 AND $3::bool IS NOT NULL ORDER BY at, id`,
	},
	{
		// An event of the dwelling that names others, and not this person, is theirs.
		"address_event",
		[]string{"address_event", "address_event_client"},
		[]Field{{"at", Instant, ""}, {"kind", Code, ""}, {"text", Words, ""}, {"device_code", Words, ""}, {"names_clients", Flag, ""}, {"file", File, "address_event.blob_key"}},
		`SELECT e.at, e.kind, e.text, e.device_code, e.names_clients, e.blob_key FROM address_event e
			WHERE e.municipality_id = $1 AND $3::bool IS NOT NULL AND (e.id IN (SELECT l.event_id FROM address_event_client l WHERE l.municipality_id = $1 AND l.client_id = $2)
				OR NOT e.names_clients AND e.address_id = (SELECT c.address_id FROM client c WHERE c.municipality_id = $1 AND c.id = $2)) ORDER BY e.at, e.id`,
	},
	{
		"recording",
		[]string{"recording"},
		[]Field{{"at", Instant, ""}, {"seconds", Figure, ""}, {"file", File, "recording.blob_key"}},
		`SELECT at, seconds::float8, blob_key FROM recording WHERE municipality_id = $1 AND client_id = $2 AND $3::bool IS NOT NULL ORDER BY at, id`,
	},
	{
		"hold",
		[]string{"hold"},
		[]Field{
			{"reason", Code, ""},
			{"authority", Words, ""},
			{"on", Code, "hold.client_id"},
			{"review_on", Day, ""},
			{"placed_at", Instant, ""},
			{"placed_by", Who, ""},
			{"release_asked_at", Instant, ""},
			{"release_reason", Words, ""},
			{"released_at", Instant, ""},
		},
		`SELECT h.reason, h.authority, CASE WHEN h.client_id IS NULL THEN 'address' ELSE 'client' END, h.review_on, h.placed_at, ` + by("h.placed_by") + `, h.release_asked_at, h.release_reason, h.released_at
			FROM client c JOIN hold h ON h.municipality_id = c.municipality_id AND (h.client_id = c.id OR h.address_id = c.address_id)
			WHERE c.municipality_id = $1 AND c.id = $2 AND $3::bool IS NOT NULL AND NOT h.confidential ORDER BY h.placed_at, h.id`,
	},
	{
		"placement",
		[]string{"placement"},
		[]Field{{"at", Instant, ""}, {"act", Code, ""}, {"run_on", Day, "deletion_round.run_on"}, {"reason", Words, ""}, {"by", Who, "placement.account_id"}},
		`SELECT p.at, p.act, r.run_on, p.reason, ` + by("p.account_id") + ` FROM placement p LEFT JOIN deletion_round r ON r.municipality_id = p.municipality_id AND r.id = p.round_id
			WHERE p.municipality_id = $1 AND p.client_id = $2 AND $3::bool IS NOT NULL ORDER BY p.at, p.id`,
	},
	{
		"round_item",
		[]string{"round_item"},
		[]Field{{"run_on", Day, "deletion_round.run_on"}, {"state", Code, ""}, {"placed_at", Instant, ""}, {"due_on", Day, ""}, {"settled_at", Instant, ""}, {"reasons", Codes, ""}},
		`SELECT r.run_on, i.state, i.placed_at, i.due_on, i.settled_at, array_to_string(i.reasons, ' ') FROM round_item i JOIN deletion_round r ON r.municipality_id = i.municipality_id AND r.id = i.round_id
			WHERE i.municipality_id = $1 AND i.client_id = $2 AND $3::bool IS NOT NULL ORDER BY i.placed_at, i.id`,
	},
	{
		"order_client",
		[]string{"order_client"},
		[]Field{{"asked_at", Instant, "deletion_order.asked_at"}, {"state", Code, "deletion_order.state"}, {"reason", Code, "deletion_order.reason"}, {"run_on", Day, "deletion_order.run_on"}, {"by", Who, "deletion_order.asked_by"}},
		`SELECT d.asked_at, d.state, d.reason, d.run_on, ` + by("d.asked_by") + ` FROM order_client o JOIN deletion_order d ON d.municipality_id = o.municipality_id AND d.id = o.order_id
			WHERE o.municipality_id = $1 AND o.client_id = $2 AND $3::bool IS NOT NULL ORDER BY d.asked_at, d.id`,
	},
	{
		"rights_request",
		[]string{"rights_request"},
		[]Field{
			{"received_on", Day, ""},
			{"kind", Code, ""},
			{"state", Code, ""},
			{"channel", Code, ""},
			{"reference", Words, ""},
			{"due_on", Day, ""},
			{"wish", Words, ""},
			{"answer", Words, ""},
			{"recipients", Words, ""},
			{"statement", Words, ""},
			{"remark", Words, ""},
			{"restriction_ground", Code, ""},
			{"refusal_ground", Code, ""},
			{"decision", Words, ""},
			{"decided_at", Instant, ""},
			{"decided_by", Who, ""},
			{"told_on", Day, ""},
			{"lift_reason", Words, ""},
			{"lifted_at", Instant, ""},
		},
		`SELECT r.received_on, r.kind, r.state, r.channel, r.reference, r.due_on, r.wish, r.answer, r.recipients, r.statement, r.remark, r.restriction_ground, r.refusal_ground, r.decision, r.decided_at,
				CASE WHEN r.decided_by IS NOT NULL THEN ` + by("r.decided_by") + ` END, r.told_on, r.lift_reason, r.lifted_at
			FROM rights_request r WHERE r.municipality_id = $1 AND r.client_id = $2 AND $3::bool IS NOT NULL ORDER BY r.received_at, r.id`,
	},
	{
		"client_change",
		[]string{"client_change"},
		[]Field{{"at", Instant, ""}, {"field", Code, ""}, {"from_value", Words, ""}, {"to_value", Words, ""}, {"by", Who, "client_change.account_id"}},
		`SELECT h.at, h.field, CASE WHEN NOT ($3 AND h.field IN ('address', 'phone')) THEN h.from_value END, CASE WHEN NOT ($3 AND h.field IN ('address', 'phone')) THEN h.to_value END, ` + by("h.account_id") + `
			FROM client_change h WHERE h.municipality_id = $1 AND h.client_id = $2 ORDER BY h.at, h.id`,
	},
	{
		"audit",
		[]string{"audit"},
		[]Field{{"at", Instant, ""}, {"act", Code, ""}, {"fields", Codes, ""}, {"role", Code, ""}, {"organisation", Code, "audit.organisation"}, {"by", Who, "audit.account_id"}, {"refused", Flag, ""}},
		`SELECT t.at, t.act, array_to_string(t.fields, ' '), t.role, ` + organisation("t.role") + `, ` + by("t.account_id") + `, t.refused FROM audit t
			WHERE t.municipality_id = $1 AND t.subject_id = $2::uuid::text AND $3::bool IS NOT NULL ORDER BY t.id`,
	},
	lookSource,
}

// lookSource is who looked (T8); also of somebody whose record is gone.
var lookSource = source{
	"access_log",
	[]string{"access_log"},
	[]Field{{"at", Instant, ""}, {"role", Code, ""}, {"organisation", Code, "access_log.organisation"}, {"by", Who, "access_log.account_id"}, {"page", Code, ""}, {"purpose", Code, ""}},
	`SELECT l.at, l.role, ` + organisation("l.role") + `, ` + by("l.account_id") + `, l.page, l.purpose FROM access_log l
		WHERE l.municipality_id = $1 AND l.client_ids @> ARRAY[$2::uuid] AND $3::bool IS NOT NULL ORDER BY l.id`,
}

func organisation(role string) string {
	return `CASE ` + role + ` WHEN 'support' THEN 'processor' WHEN 'platform_administrator' THEN 'processor' WHEN 'operator' THEN 'supplier' WHEN 'system' THEN 'system' ELSE 'municipality' END`
}

// NotExtracted are the tables that hang on a client and are not in the extract, each with its reason.
var NotExtracted = map[string]string{
	"access_subject":    "a keyed hash, by which the extract itself finds who looked at somebody whose record is gone",
	"access_finding":    "a question about a member of staff; the looks themselves are told",
	"protected_contact": "where a protected client is reached is withheld, and the extract says that something is",
	"protected_release": "whether the client is protected is told; who asked to end it stands among the acts",
	"visit":             "what support saw is told among the looks, with the visit as purpose",
	"visit_event":       "the steps of a visit, which are not about the person",
}

// read fills a section.
func (s source) read(ctx context.Context, tx *pg.Tx, id uuid.UUID, hidden bool) (Section, error) {
	section := Section{Key: s.key, Fields: s.fields}
	rows, err := tx.Query(ctx, s.sql, tx.Municipality(), id, hidden)
	if err != nil {
		return section, err
	}
	section.Rows, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) {
		values, err := row.Values()
		for i := range values {
			values[i] = s.fields[i].value(values[i])
		}
		return values, err
	})
	return section, err
}

func (f Field) value(v any) any {
	switch v := v.(type) {
	case string:
		if v == "" {
			return nil
		}
	case time.Time:
		if f.Form == Day {
			return calendar.DateOf(v)
		}
	}
	return v
}

// Make gathers everything that is held on the person of a released request for access, once for the format that is asked
// for, and notes that it was made: in the trail, and as a look. The client is held while it is read, so that all of it is
// of one moment, because whoever writes facts of a client holds it first. The number of statements does not depend on how
// much there is. Needs RightsRelease or RightsPrepare and a fresh proof of identity; problem.Conflict "not_released".
func Make(ctx context.Context, tx *pg.Tx, id uuid.UUID, format string) (Extract, error) {
	p := access.RightsPrepare
	if tx.Caller.Can(access.RightsRelease) {
		p = access.RightsRelease
	}
	if tx.Caller.Key && !tx.Caller.KeyDecides { // a machine has nothing to prove anew with
		return Extract{}, problem.Forbidden{Code: "permission", Params: problem.Params{"permission": string(p)}}
	}
	if err := tx.RequireFresh(p); err != nil {
		return Extract{}, err
	}
	return gather(ctx, tx, id, p, Released, "extract", format)
}

// Preview is Make before the release, for the approver who decides. Needs RightsRelease; problem.Conflict "rights_step".
func Preview(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Extract, error) {
	if err := tx.Require(access.RightsRelease); err != nil {
		return Extract{}, err
	}
	return gather(ctx, tx, id, access.RightsRelease, Prepared, "preview", "page")
}

func gather(ctx context.Context, tx *pg.Tx, id uuid.UUID, p access.Permission, state State, act, format string) (Extract, error) {
	r, err := find(ctx, tx, id)
	if err != nil {
		return Extract{}, err
	}
	if r.Kind != Access || r.State != state {
		return Extract{}, problem.Tried(problem.Conflict{Code: "not_released", Params: problem.Params{"state": string(r.State)}})
	}
	e := Extract{MadeAt: tx.Now(), Request: r}
	if r.Former {
		if err := e.former(ctx, tx, id); err != nil {
			return Extract{}, err
		}
	} else if err := e.present(ctx, tx, *r.ClientID); err != nil {
		return Extract{}, err
	}
	r.audit(tx, p, act, map[string]any{"format": format})
	e.hear()
	return e, nil
}

func (e *Extract) present(ctx context.Context, tx *pg.Tx, id client.ID) error {
	if _, err := client.LockKept(ctx, tx, id); err != nil {
		return err
	}
	var hidden bool
	var confidential int
	err := tx.QueryRow(ctx, `SELECT c.protected, (SELECT count(*) FROM hold h WHERE h.municipality_id = $1 AND (h.client_id = c.id OR h.address_id = c.address_id) AND h.confidential)
		FROM client c WHERE c.municipality_id = $1 AND c.id = $2`, tx.Municipality(), id).Scan(&hidden, &confidential)
	if err != nil {
		return err
	}
	if hidden {
		e.Withheld = append(e.Withheld, Withheld{"address", "protected", 1})
	}
	if confidential > 0 {
		e.Withheld = append(e.Withheld, Withheld{"holds", "confidential", confidential})
	}
	e.Sections = make([]Section, len(sources)+1)
	var reads []func() error
	for i, s := range sources {
		reads = append(reads, func() (err error) { e.Sections[i], err = s.read(ctx, tx, id, hidden); return err })
	}
	reads = append(reads,
		func() (err error) { e.Municipality, err = municipality.Current(ctx, tx); return err },
		func() (err error) { e.Sections[len(sources)], err = keeping(ctx, tx, id); return err },
	)
	if err := tx.Together(ctx, reads...); err != nil {
		return err
	}
	audit.Looked(tx, "client.extract", "rights", id)
	return nil
}

// former finds by the keyed hash which records there were of the person, and who looked at them. That there were none
// looks the same as a log that is over.
func (e *Extract) former(ctx context.Context, tx *pg.Tx, request uuid.UUID) error {
	rows, err := tx.Query(ctx, `SELECT s.id FROM rights_former f CROSS JOIN LATERAL subject_clients(f.subject_hash) AS s (id)
		WHERE f.municipality_id = $1 AND f.id = $2 ORDER BY s.id`, tx.Municipality(), request)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return err
	}
	if e.Municipality, err = municipality.Current(ctx, tx); err != nil {
		return err
	}
	looks := Section{Key: lookSource.key, Fields: lookSource.fields}
	for _, id := range ids { // as many as the person has had registrations
		s, err := lookSource.read(ctx, tx, id, true)
		if err != nil {
			return err
		}
		looks.Rows = append(looks.Rows, s.Rows...)
	}
	slices.SortStableFunc(looks.Rows, func(a, b []any) int { return looks.At(a, "at").Compare(looks.At(b, "at")) })
	e.Sections = []Section{looks}
	audit.Looked(tx, "client.extract", "rights", ids...)
	return nil
}

// hear takes the keys of sounds out of the rows and numbers them.
func (e *Extract) hear() {
	for i, s := range e.Sections {
		column := slices.IndexFunc(s.Fields, func(f Field) bool { return f.Form == File })
		if column < 0 {
			continue
		}
		for j, row := range s.Rows {
			key, ok := row[column].(string)
			if !ok {
				continue
			}
			seconds, _ := s.Get(row, "seconds").(float64)
			name := fmt.Sprintf("opptak/opptak-%03d", len(e.Sounds)+1)
			e.Sounds = append(e.Sounds, Sound{File: name, Key: key, At: s.At(row, "at"), Seconds: seconds, section: i, row: j, column: column})
			row[column] = name
		}
	}
}

// keepingFields are those of the section that tells how long what is kept.
var keepingFields = []Field{
	{"class", Code, ""}, {"months", Figure, ""}, {"days", Figure, ""}, {"authority", Words, ""}, {"due_on", Day, ""}, {"run_on", Day, ""}, {"kept", Codes, ""},
}

// keeping tells for each class when it goes and by which rule (GDPR 15(1) d).
func keeping(ctx context.Context, tx *pg.Tx, id client.ID) (Section, error) {
	section := Section{Key: "retention", Fields: keepingFields}
	var rules retention.Rules
	var place deletion.Placement
	err := tx.Together(ctx,
		func() (err error) { rules, err = retention.LoadRules(ctx, tx); return err },
		func() (err error) { place, err = deletion.PlacementOf(ctx, tx, id); return err },
	)
	if err != nil {
		return section, err
	}
	for _, a := range answersOf(place, rules) {
		section.Rows = append(section.Rows, []any{string(a.Class), float64(a.Months), float64(a.Days), a.Authority, day(a.DueOn), day(a.RunOn), words(strings.Join(a.Kept, " "))})
	}
	for _, class := range []retention.Class{retention.AccessLog, retention.AuditTrail, retention.RoundRecord} {
		rule, ok := rules[class]
		if ok {
			section.Rows = append(section.Rows, []any{string(class), float64(rule.PeriodMonths), float64(rule.PeriodDays), rule.Authority, nil, nil, nil})
		}
	}
	return section, nil
}

func day(d calendar.Date) any {
	if d.IsZero() {
		return nil
	}
	return d
}

func words(s string) any {
	if s == "" {
		return nil
	}
	return s
}
