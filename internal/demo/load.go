package demo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// table is rows on their way into one table.
type table struct {
	name    string
	columns []string
	rows    [][]any
	insert  string // how they get there from the staging table; empty: as they are, in order
}

func (t *table) add(values ...any) { t.rows = append(t.rows, values) }

// mover is a transaction that can take rows: a municipality's own, or the administrator's.
type mover interface {
	exec(ctx context.Context, sql string) error
	copy(ctx context.Context, table string, columns []string, rows pgx.CopyFromSource) error
}

type domain struct{ tx *pg.Tx }

func (d domain) exec(ctx context.Context, sql string) error {
	_, err := d.tx.Exec(ctx, sql)
	return err
}

func (d domain) copy(ctx context.Context, table string, columns []string, rows pgx.CopyFromSource) error {
	_, err := d.tx.CopyFrom(ctx, pgx.Identifier{table}, columns, rows)
	return err
}

type admin struct{ tx pgx.Tx }

func (a admin) exec(ctx context.Context, sql string) error {
	_, err := a.tx.Exec(ctx, sql)
	return err
}

func (a admin) copy(ctx context.Context, table string, columns []string, rows pgx.CopyFromSource) error {
	_, err := a.tx.CopyFrom(ctx, pgx.Identifier{table}, columns, rows)
	return err
}

// move brings rows in by COPY into a typed staging table and INSERT from there: COPY into a table with row-level security
// is an error, and so the policies and triggers see every row.
func move(ctx context.Context, m mover, tables ...*table) error {
	for _, t := range tables {
		if len(t.rows) == 0 {
			continue
		}
		columns := strings.Join(t.columns, ", ")
		if t.insert == "" {
			t.insert = fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM staged_%s ORDER BY row`, t.name, columns, columns, t.name)
			if err := m.exec(ctx, fmt.Sprintf(`CREATE TEMP TABLE staged_%s ON COMMIT DROP AS SELECT %s FROM %s WITH NO DATA`, t.name, columns, t.name)); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		if err := m.exec(ctx, fmt.Sprintf(`ALTER TABLE staged_%s ADD COLUMN row bigint GENERATED ALWAYS AS IDENTITY`, t.name)); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if err := m.copy(ctx, "staged_"+t.name, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if err := m.exec(ctx, t.insert); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		t.rows = nil
	}
	return nil
}

func null[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

func date(d calendar.Date) any {
	if d.IsZero() {
		return nil
	}
	return d.UTC()
}

// register brings the people in as an import does: by the municipality's own role, assessed and placed in the same
// transaction.
func (p *place) register(ctx context.Context, db *pg.DB, caller access.Caller) error {
	m := caller.Municipality
	addresses := &table{name: "address", columns: []string{"municipality_id", "id", "street", "postcode", "town", "note"}}
	for _, a := range p.addresses {
		addresses.add(m, a.id, a.street, a.postcode, a.town, a.note)
	}
	people := &table{name: "client", columns: []string{
		"municipality_id", "id", "number", "given_name", "family_name", "national_id", "birth_date", "gender", "phone", "email",
		"address_id", "protected", "status", "status_since", "agreement_start", "agreement_end", "end_reason", "reviewed_on", "next_review_on",
		"created_by", "created_at", "changed_by", "changed_at",
	}}
	search := &table{name: "client_search", columns: []string{"municipality_id", "client_id", "text"}}
	history := &table{name: "status_entry", columns: []string{"municipality_id", "client_id", "at", "status", "reason", "entered_by", "entered_at"}}
	var inactive []uuid.UUID
	for i := range p.people {
		c := &p.people[i]
		by := p.caseworker()
		people.add(m, c.id, c.number, c.given, c.family, c.nationalID, date(c.birth), c.gender, c.phone, c.email, p.addressID(c.address), c.protected,
			string(c.status), c.since, date(c.agreementStart), c.end, null(c.endReason), date(c.reviewed), date(c.review), by, c.begin(), by, c.since)
		search.add(m, c.id, client.SearchText(c.given, c.family, c.number, c.phone, c.protected))
		for _, e := range c.history {
			history.add(m, c.id, e.at, string(e.status), null(e.reason), by, e.at)
		}
		if c.status.Inactive() {
			inactive = append(inactive, c.id)
		}
	}
	devices := &table{name: "device", columns: []string{"municipality_id", "id", "code", "serial", "kind", "stock_state"}}
	for _, g := range p.devices {
		devices.add(m, g.id, g.code, g.serial, g.kind, g.stock)
	}
	links := &table{name: "device_connection", columns: []string{"municipality_id", "id", "device_id", "client_id", "address_id", "preferred", "connected_at", "disconnected_at"}}
	for _, k := range p.links {
		links.add(m, k.id, p.devices[k.device].id, p.personID(k.person), p.addressID(k.address), k.preferred, k.from, k.to)
	}
	holds := &table{name: "hold", columns: []string{
		"municipality_id", "id", "client_id", "address_id", "reason", "authority", "review_on", "confidential", "placed_by", "placed_at",
		"release_asked_by", "release_asked_at", "release_reason", "released_by", "released_at",
	}}
	for _, h := range p.holds {
		var askedBy int64
		if h.asked != nil {
			askedBy = p.staff.caseworkers[1]
		}
		holds.add(m, h.id, p.personID(h.person), p.addressID(h.address), h.reason, h.authority, date(h.review), h.confidential, h.placedBy, h.placed,
			null(askedBy), h.asked, null(h.releaseReason), null(h.releasedBy), h.released)
	}
	return db.InTx(ctx, caller, func(tx *pg.Tx) error {
		if err := move(ctx, domain{tx}, addresses, people, search, history, devices, links, holds); err != nil {
			return err
		}
		return deletion.PlaceImported(ctx, tx, inactive)
	})
}

func (p *place) personID(i int) any {
	if i < 0 {
		return nil
	}
	return p.people[i].id
}

func (p *place) addressID(i int) any {
	if i < 0 {
		return nil
	}
	return p.addresses[i].id
}

// records are the sound files of one municipality, still to be stored.
type records struct {
	keys    []string
	seconds []float64
}

// fill gives everybody what hangs on a client: by the administrator, because these tables have no page that writes them
// yet, and so no role of people that may.
func (p *place) fill(ctx context.Context, dsn string, municipality, events int) (records, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return records{}, err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	tables, sounds := p.children(municipality, events)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Also an owner who is no superuser stands behind the policies.
		if _, err := tx.Exec(ctx, `SELECT set_config('frist.municipality', $1, true), set_config('frist.now', $2, true)`,
			strconv.Itoa(municipality), p.days.start.UTC().Format(time.RFC3339Nano)); err != nil {
			return err
		}
		for _, sql := range []string{
			`CREATE TEMP TABLE staged_care_plan_entry (municipality_id int, client_id uuid, goal text, at timestamptz, text text, entered_by bigint) ON COMMIT DROP`,
			`CREATE TEMP TABLE staged_address_event_client (municipality_id int, client_id uuid, address_id uuid, at timestamptz) ON COMMIT DROP`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return move(ctx, admin{tx}, tables...)
	})
	return sounds, err
}

func (p *place) children(m, events int) ([]*table, records) {
	t := func(name string, columns ...string) *table {
		return &table{name: name, columns: append([]string{"municipality_id"}, columns...)}
	}
	var (
		notes         = t("note", "client_id", "at", "text", "entered_by")
		properties    = t("property", "client_id", "name", "value")
		kin           = t("next_of_kin", "client_id", "name", "relation", "phone", "has_key")
		professionals = t("professional", "id", "name", "profession", "phone")
		care          = t("client_professional", "client_id", "professional_id")
		medical       = t("medical_entry", "client_id", "at", "text", "entered_by")
		medication    = t("medication", "client_id", "name", "dose", "since", "until")
		plans         = t("care_plan", "client_id", "goal", "since", "until")
		planLog       = t("care_plan_entry", "client_id", "goal", "at", "text", "entered_by")
		talks         = t("communication", "client_id", "at", "channel", "text", "entered_by")
		recordings    = t("recording", "client_id", "at", "seconds", "blob_key")
		alarms        = t("alarm_event", "client_id", "at", "kind", "text", "device_code")
		changes       = t("client_change", "client_id", "at", "field", "from_value", "to_value", "account_id")
		atHome        = t("address_event", "address_id", "at", "kind", "text", "device_code", "names_clients")
		atHomeNamed   = t("address_event_client", "client_id", "address_id", "at")
		sounds        records
	)
	planLog.insert = `INSERT INTO care_plan_entry (municipality_id, client_id, care_plan_id, at, text, entered_by)
		SELECT s.municipality_id, s.client_id, p.id, s.at, s.text, s.entered_by FROM staged_care_plan_entry s
		JOIN care_plan p ON p.municipality_id = s.municipality_id AND p.client_id = s.client_id AND p.goal = s.goal ORDER BY s.row`
	atHomeNamed.insert = `INSERT INTO address_event_client (municipality_id, client_id, event_id)
		SELECT s.municipality_id, s.client_id, e.id FROM staged_address_event_client s
		JOIN address_event e ON e.municipality_id = s.municipality_id AND e.address_id = s.address_id AND e.at = s.at ORDER BY s.row`

	var carers []uuid.UUID
	for i := range 14 {
		carers = append(carers, p.uuid())
		name := pick(p, FemaleNames)
		if i%3 == 0 {
			name = pick(p, MaleNames)
		}
		professionals.add(m, carers[i], name+" "+pick(p, LastNames), []string{"Fastlege", "Hjemmesykepleier", "Ergoterapeut"}[i%3], fmt.Sprintf("900 00 %03d", p.random.IntN(1000)))
	}
	code := map[int]string{}
	for _, k := range p.links {
		if k.person >= 0 {
			code[k.person] = p.devices[k.device].code
		}
	}
	for i := range p.people {
		c := &p.people[i]
		from, to := c.begin(), c.until
		n := func(most int) int { return p.random.IntN(most + 1) }
		when := func() time.Time { return p.between(from, to) }
		for _, text := range some(p, Notes, 1+n(3)) {
			notes.add(m, c.id, when(), text, p.caseworker())
		}
		for _, q := range some(p, clientProperties, 1+n(2)) {
			properties.add(m, c.id, q.name, pick(p, q.values))
		}
		for range n(3) {
			name := pick(p, FemaleNames)
			if n(1) == 1 {
				name = pick(p, MaleNames)
			}
			kin.add(m, c.id, name+" "+c.family, pick(p, Relations), fmt.Sprintf("900 00 %03d", p.random.IntN(1000)), n(2) == 0)
		}
		for _, carer := range some(p, carers, n(2)) {
			care.add(m, c.id, carer)
		}
		for _, text := range some(p, Diagnoses, n(3)) {
			medical.add(m, c.id, when(), text, p.caseworker())
		}
		for _, d := range some(p, Medications, n(5)) {
			since := calendar.DateOf(when().In(p.days.zone))
			medication.add(m, c.id, d.Name, d.Dose, date(since), nil)
		}
		for _, goal := range some(p, CarePlanGoals, n(2)) {
			plans.add(m, c.id, goal, date(calendar.DateOf(from.In(p.days.zone))), nil)
			for range 2 + n(5) {
				planLog.add(m, c.id, goal, when(), pick(p, CareLog), p.caseworker())
			}
		}
		for range 2 + n(5) {
			talks.add(m, c.id, when(), pick(p, []string{"phone", "sms", "letter", "visit"}), pick(p, CommunicationLog), p.caseworker())
		}
		for range n(3) {
			changes.add(m, c.id, when(), "phone", fmt.Sprintf("900 00 %03d", p.random.IntN(1000)), c.phone, p.caseworker())
		}
		if c.lot != ordered && len(c.history) > 0 {
			count := events*3/4 + p.random.IntN(max(1, events/2))
			times := make([]time.Time, count)
			for j := range times {
				times[j] = when()
			}
			for _, at := range sortTimes(times) {
				e := pick(p, AlarmEvents)
				alarms.add(m, c.id, at, e.Code, e.Text, code[i])
			}
			// Everybody in the round that is run has sound, so that its purging is seen; of the others every sixth.
			if c.lot == previous || i%6 == 0 {
				for range 1 + n(2) {
					key := p.uuid().String()
					key = fmt.Sprintf("%d/%s/%s", m, key[:2], key)
					length := float64(15+p.random.IntN(30)) / 10
					recordings.add(m, c.id, when(), length, key)
					sounds.keys, sounds.seconds = append(sounds.keys, key), append(sounds.seconds, length)
				}
			}
		}
	}
	for _, k := range p.links {
		if k.address < 0 {
			continue
		}
		var residents []uuid.UUID
		for i := range p.people {
			if p.people[i].address == k.address {
				residents = append(residents, p.people[i].id)
			}
		}
		at := k.from
		for j := 0; j < 20 && at.Before(p.days.start.AddDate(0, -1, 0)); j++ {
			e := pick(p, AlarmEvents)
			names := len(residents) > 0 && j%3 == 0
			atHome.add(m, p.addresses[k.address].id, at, e.Code, e.Text, p.devices[k.device].code, names)
			if names {
				atHomeNamed.add(m, residents[j%len(residents)], p.addresses[k.address].id, at)
			}
			at = at.Add(time.Duration(1+p.random.IntN(40*24)) * time.Hour)
		}
	}
	return []*table{
		notes, properties, kin, professionals, care, medical, medication, plans, planLog, talks, recordings, alarms, changes, atHome, atHomeNamed,
	}, sounds
}

type clientProperty struct {
	name   string
	values []string
}

var clientProperties = []clientProperty{
	{"Språk", []string{"Bokmål", "Nynorsk", "Nordsamisk", "Engelsk", "Polsk", "Arabisk"}},
	{"Tolk", []string{"Nei", "Ved legebesøk", "Alltid"}},
	{"Nøkkel", []string{"Nøkkelboks", "Hos nabo", "E-lås"}},
	{"Bolig", []string{"Enebolig", "Leilighet", "Omsorgsbolig"}},
	{"Forflytning", []string{"Uten hjelpemiddel", "Rullator", "Rullestol"}},
}

// store puts the sound files where recordings lie, four at a time.
func (r records) store(ctx context.Context, blobs *blob.Store) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, key := range r.keys {
		group.Go(func() error { return blobs.Put(ctx, key, "audio/wav", Recording(uint64(i), r.seconds[i])) })
	}
	return group.Wait()
}

var errHalf = errors.New("the database holds a demo that was not loaded to its end; take an empty database")
