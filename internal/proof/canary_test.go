package proof

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// withoutToken are the personal columns whose values are too few to be told apart from anything else.
var withoutToken = map[string]string{
	"client.birth_date": "a date",
	"client.gender":     "one of three letters",
	"address.postcode":  "four digits",
	// The municipality's own account of what went wrong outlives the client by its own rule: the tokens in it are the municipality's (populate).
	"deviation_text.what":         "of the municipality",
	"deviation_text.done":         "of the municipality",
	"deviation_text.consequences": "of the municipality",
	"deviation_text.cause":        "of the municipality",
	"deviation_text.measures":     "of the municipality",
	"deviation_event.note":        "of the municipality",
}

// stage is a world with everything that an installation keeps, its workers, and people full of tokens.
type stage struct {
	*pgtest.World
	*places
	t      *testing.T
	key    []byte
	people []*person
	tokens []token
	serial int
}

// person is a client in every personal column of whom a token stands.
type person struct {
	name   string // unlike every other's
	m      int
	id     uuid.UUID
	tokens map[string]token // by table.column
	blobs  []string
	silent bool // has no sounds
}

func newStage(t *testing.T) *stage {
	t.Helper()
	p := newPlaces(t)
	s := &stage{World: pgtest.NewWorld(t), places: p, t: t, key: []byte("a key that lies outside the database"), serial: rand.IntN(3000)}
	p.env = s.Env
	return s
}

func (s *stage) at(date string) {
	s.t.Helper()
	zone, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		s.t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", date, zone)
	if err != nil {
		s.t.Fatal(err)
	}
	s.SetNow(at)
}

func (s *stage) as(role access.Role, m int, fn func(ctx context.Context, tx *pg.Tx) error) {
	s.t.Helper()
	ctx := s.t.Context()
	if err := s.DB.InTx(ctx, s.World.As(role, m), func(tx *pg.Tx) error { return fn(ctx, tx) }); err != nil {
		s.t.Fatalf("as %s: %v", role, err)
	}
}

// work starts the workers; without the tick the test sweeps itself, and everything happens once.
func (s *stage) work(tick bool) {
	s.t.Helper()
	runner, err := jobs.Start(s.t.Context(), jobs.Config{
		DSN: s.DSN("frist_worker", "worker"), Log: s.logger(), NoTick: !tick,
		Deps: deletion.Deps{DB: s.DB, Blobs: s.blobs, Key: s.key, Log: s.logger()},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = runner.Stop(context.Background()) })
}

func (s *stage) round(m int, runOn string) deletion.Round {
	s.t.Helper()
	var found deletion.Round
	s.as(access.Approver, m, func(ctx context.Context, tx *pg.Tx) error {
		rounds, err := deletion.Rounds(ctx, tx)
		for _, r := range rounds {
			if r.RunOn.String() == runOn && r.Kind == "scheduled" {
				found = r
			}
		}
		return err
	})
	return found
}

func (s *stage) until(m int, runOn string, ok func(deletion.Round) bool) deletion.Round {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		if r := s.round(m, runOn); ok(r) {
			return r
		} else if time.Now().After(deadline) {
			s.t.Fatalf("the round stays %s: %s", r.State, bytes.TrimSpace(s.log.Bytes()))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *stage) token(who, field string) token {
	k := newToken(who, field)
	s.tokens = append(s.tokens, k)
	return k
}

// person makes tokens for every personal column; numbers where only numbers fit, of the synthetic series where they could
// be somebody's.
func (s *stage) person(name string, m int) *person {
	s.t.Helper()
	p := &person{name: name, m: m, tokens: map[string]token{}}
	for _, c := range explain.PersonalColumns() {
		field := c.Table + "." + c.Name
		if withoutToken[field] != "" {
			continue
		}
		k := newToken(name, field)
		switch field {
		case "client.number":
			k.core = fmt.Sprint(100000000000 + rand.Int64N(899999999999))
			k.value = k.core
		case "client.national_id":
			s.serial++
			id, ok := client.SyntheticNationalID(time.Date(1941, 3, 1+s.serial, 0, 0, 0, 0, time.UTC), rand.IntN(20), false)
			if !ok {
				s.t.Fatal("no number of the synthetic series is left on that day")
			}
			k.value, k.core = string(id), string(id)
		case "client.email", "protected_contact.email":
			k.value += "@example.no"
		case "client.phone", "next_of_kin.phone", "professional.phone", "protected_contact.phone":
			k.core = fmt.Sprint(100000000000 + rand.Int64N(899999999999))
			k.value = "+" + k.core
		}
		p.tokens[field] = k
		s.tokens = append(s.tokens, k)
	}
	s.people = append(s.people, p)
	return p
}

func (p *person) get(field string) string {
	k, ok := p.tokens[field]
	if !ok {
		panic("no token for " + field)
	}
	return k.value
}

const header = "Db nr.;Fornavn;Etternavn;Fødselsnummer;Fødselsdato;Kjønn;Telefon;E-post;Adresse;Postnummer;Sted;Status;Statusdato\n"

// bring imports people as clients of their municipality, with rows that are refused because of a token in each cell.
func (s *stage) bring(m int, people ...*person) {
	s.t.Helper()
	var csv strings.Builder
	csv.WriteString(header)
	for _, p := range people {
		born, err := client.ParseNationalID(p.get("client.national_id"))
		if err != nil {
			s.t.Fatal(err)
		}
		y, month, d, _ := born.BirthDate()
		fmt.Fprintf(&csv, "%s;%s;%s;%s;%02d.%02d.%d;K;%s;%s;%s;1430;Ås;Aktiv;01.02.2021 10:00\n", p.get("client.number"), p.get("client.given_name"), p.get("client.family_name"),
			p.get("client.national_id"), d, month, y, p.get("client.phone"), p.get("client.email"), p.get("address.street"))
	}
	fields := strings.Split(strings.TrimSpace(header), ";")
	bad := map[int]bool{3: true, 4: true, 5: true, 7: true, 9: true, 11: true, 12: true}
	for i, field := range fields { // in each cell once, and once more so that the row is refused by the next one
		cells := []string{fmt.Sprint(300000000 + i), "Kari", "Berg", "", "", "", "", "", "Gata 1", "1430", "Ås", "Aktiv", "01.02.2021"}
		who := fmt.Sprintf("refused-%d", m)
		cells[i] = s.token(who, "import."+fmt.Sprint(i)).value
		if !bad[i] {
			cells[12] = s.token(who, "import.date beside "+field).value
		}
		csv.WriteString(strings.Join(cells, ";") + "\n")
	}
	csv.WriteString(strings.Join([]string{"300000099", strings.Repeat(s.token("refused", "import.long").value, 100), "Berg", "", "", "", "", "", "", "", "", "Aktiv", ""}, ";") + "\n")
	table, err := exchange.Read(strings.NewReader(csv.String()), -1, s.token("file", "import.file name").value+".csv")
	if err != nil {
		s.t.Fatal(err)
	}
	report, err := exchange.Import(s.t.Context(), s.DB, s.World.As(access.Caseworker, m), table, exchange.Guess(table.Header), exchange.Options{Key: s.key})
	if err != nil {
		s.t.Fatal(err)
	}
	if report.Taken != len(people) || report.Refused == 0 {
		s.t.Fatalf("the import took %d and refused %d: %+v", report.Taken, report.Refused, report.Refusals)
	}
	s.as(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) error {
		run, err := exchange.FindRun(ctx, tx, report.ID)
		if err != nil {
			return err
		}
		refusals, err := exchange.Refusals(ctx, tx, report.ID, 0, 1000)
		raw, _ := json.Marshal([]any{report, run, refusals})
		scan := newScanner(s.tokens)
		scan.look("the import's report", raw)
		for _, h := range scan.hits {
			s.t.Errorf("%s is in %s as %s", h.token, h.where, h.encoding)
		}
		return err
	})
	for _, p := range people {
		if err := s.Admin.QueryRow(s.t.Context(), `SELECT id FROM client WHERE municipality_id = $1 AND number = $2`, m, p.get("client.number")).Scan(&p.id); err != nil {
			s.t.Fatal(err)
		}
	}
}

// wav is a small sound whose title is a token.
func wav(title string) []byte {
	chunk := func(id string, body []byte) []byte {
		if len(body)%2 == 1 {
			body = append(body, 0)
		}
		return append(binary.LittleEndian.AppendUint32([]byte(id), uint32(len(body))), body...)
	}
	info := chunk("LIST", append([]byte("INFO"), chunk("INAM", []byte(title))...))
	format := chunk("fmt ", []byte{1, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0})
	return chunk("RIFF", slices.Concat([]byte("WAVE"), format, info, chunk("data", bytes.Repeat([]byte{128}, 64))))
}

// furnish plants what the product has no page for yet, and walks the pages' functions with the rest.
func (s *stage) furnish(p *person) {
	s.t.Helper()
	ctx := s.t.Context()
	var address, event, professional any = s.AddressOf(s.t, p.id), nil, uuid.New()
	do := func(sql string, args ...any) {
		s.t.Helper()
		s.Exec(s.t, sql, append([]any{p.m, p.id}, args...)...)
	}
	get := p.get
	s.Exec(s.t, `UPDATE address SET town = $2, note = $3 WHERE id = $1`, address, get("address.town"), get("address.note"))
	do(`INSERT INTO protected_contact (municipality_id, client_id, phone, email) VALUES ($1, $2, $3, $4)`, get("protected_contact.phone"), get("protected_contact.email"))
	do(`INSERT INTO protected_release (municipality_id, client_id, asked_by, asked_at) VALUES ($1, $2, 0, now())`)
	s.Exec(s.t, `INSERT INTO protected_reader (municipality_id, account_id, granted_by, granted_at) VALUES ($1, $1 * 100 + 51, 0, now()) ON CONFLICT DO NOTHING`, p.m)
	do(`INSERT INTO property (municipality_id, client_id, name, value) VALUES ($1, $2, $3, $4)`, get("property.name"), get("property.value"))
	do(`INSERT INTO next_of_kin (municipality_id, client_id, name, relation, phone) VALUES ($1, $2, $3, $4, $5)`, get("next_of_kin.name"), get("next_of_kin.relation"), get("next_of_kin.phone"))
	s.Exec(s.t, `INSERT INTO professional (municipality_id, id, name, profession, phone) VALUES ($1, $2, $3, $4, $5)`, p.m, professional, get("professional.name"), get("professional.profession"), get("professional.phone"))
	do(`INSERT INTO client_professional (municipality_id, client_id, professional_id) VALUES ($1, $2, $3)`, professional)
	do(`INSERT INTO medical_entry (municipality_id, client_id, at, text, entered_by) VALUES ($1, $2, now(), $3, 0)`, get("medical_entry.text"))
	do(`INSERT INTO medication (municipality_id, client_id, name, dose) VALUES ($1, $2, $3, $4)`, get("medication.name"), get("medication.dose"))
	do(`WITH plan AS (INSERT INTO care_plan (municipality_id, client_id, goal, since) VALUES ($1, $2, $3, '2022-01-01') RETURNING id)
		INSERT INTO care_plan_entry (municipality_id, client_id, care_plan_id, at, text, entered_by) SELECT $1, $2, id, now(), $4, 0 FROM plan`, get("care_plan.goal"), get("care_plan_entry.text"))
	do(`INSERT INTO communication (municipality_id, client_id, at, channel, text, entered_by) VALUES ($1, $2, now(), 'phone', $3, 0)`, get("communication.text"))
	for range 3 {
		do(`INSERT INTO alarm_event (municipality_id, client_id, at, kind, text) VALUES ($1, $2, now(), 'test', $3)`, get("alarm_event.text"))
	}
	do(`INSERT INTO client_change (municipality_id, client_id, at, field, from_value, to_value, account_id) VALUES ($1, $2, now(), 'phone', $3, $4, 0)`, get("client_change.from_value"), get("client_change.to_value"))
	if err := s.Admin.QueryRow(ctx, `INSERT INTO address_event (municipality_id, address_id, at, kind, text, blob_key, names_clients) VALUES ($1, $2, now(), 'test', $3, $4, true) RETURNING id`,
		p.m, address, get("address_event.text"), s.sound(p, "the dwelling's sound")).Scan(&event); err != nil {
		s.t.Fatal(err)
	}
	do(`INSERT INTO address_event_client (municipality_id, client_id, event_id) VALUES ($1, $2, $3)`, event)
	do(`INSERT INTO recording (municipality_id, client_id, at, seconds, blob_key) SELECT $1, $2, now(), 2, $3::text WHERE $3 IS NOT NULL`, s.sound(p, "a recording's title"))

	worker, approver := access.Caseworker, access.Approver
	s.as(worker, p.m, func(ctx context.Context, tx *pg.Tx) error { return client.AddNote(ctx, tx, p.id, get("note.text")) })
	s.as(worker, p.m, func(ctx context.Context, tx *pg.Tx) error {
		for _, what := range []string{"stored_search.terms", "client.given_name", "client.number"} {
			id, err := client.SaveSearch(ctx, tx, get(what))
			if err != nil {
				return err
			}
			if _, err := client.List(ctx, tx, client.Filter{Search: &id}, client.Cursor{}, 20); err != nil {
				return err
			}
		}
		return nil
	})
	// Telephone and name change, so that the old values stand in the history.
	now, err := p.tokens["client.phone"], error(nil)
	was := now
	was.field, was.core = "client.phone before", fmt.Sprint(100000000000+rand.Int64N(899999999999))
	was.value = "+" + was.core
	s.tokens = append(s.tokens, was)
	for _, phone := range []string{was.value, now.value} {
		s.as(worker, p.m, func(ctx context.Context, tx *pg.Tx) error {
			found, err := client.Find(ctx, tx, p.id)
			if err != nil {
				return err
			}
			return client.Change(ctx, tx, p.id, found.Version, client.Changes{Phone: &phone})
		})
	}
	do(`UPDATE client_search SET text = text || ' ' || lower($3) WHERE municipality_id = $1 AND client_id = $2`, get("client_search.text"))
	// What is refused is refused without a word of it.
	for _, wrong := range []client.Changes{{Email: new(get("note.text"))}, {NationalID: new("1" + get("client.national_id"))}, {GivenName: new(strings.Repeat(get("client.given_name"), 20))}} {
		err = s.DB.InTx(ctx, s.World.As(worker, p.m), func(tx *pg.Tx) error { return client.Change(ctx, tx, p.id, 4, wrong) })
		if err == nil {
			s.t.Error("a wrong change was taken")
		} else {
			_, _ = s.log.Write([]byte(err.Error())) // as somebody might log it
		}
	}
	var code device.ID
	s.as(worker, p.m, func(ctx context.Context, tx *pg.Tx) (err error) {
		code, err = device.Register(ctx, tx, fmt.Sprint(rand.Int64N(1e9)), "", "Trygghetsalarm")
		return err
	})
	s.as(worker, p.m, func(ctx context.Context, tx *pg.Tx) error {
		return device.Connect(ctx, tx, code, device.Target{Client: p.id})
	})
	s.as(worker, p.m, func(ctx context.Context, tx *pg.Tx) error { return device.Disconnect(ctx, tx, code) })

	var hold uuid.UUID
	s.as(worker, p.m, func(ctx context.Context, tx *pg.Tx) (err error) {
		hold, err = deletion.PlaceHold(ctx, tx, retention.NewHold{ClientID: &p.id, Reason: "police", Authority: get("hold.authority"), ReviewOn: calendar.On(2024, 1, 1)})
		return err
	})
	s.as(worker, p.m, func(ctx context.Context, tx *pg.Tx) error {
		return retention.AskRelease(ctx, tx, hold, get("hold.release_reason"))
	})
	s.as(approver, p.m, func(ctx context.Context, tx *pg.Tx) error { return deletion.ReleaseHold(ctx, tx, hold) })
	s.asks(p)
}

func (s *stage) sound(p *person, field string) *string {
	s.t.Helper()
	if p.silent {
		return nil
	}
	key := blob.NewKey(p.m)
	if err := s.blobs.Put(s.t.Context(), key, "audio/wav", wav(s.token(p.name, field).value)); err != nil {
		s.t.Fatal(err)
	}
	p.blobs = append(p.blobs, key)
	return &key
}

func (s *stage) disconnect(p *person) {
	s.t.Helper()
	s.as(access.Caseworker, p.m, func(ctx context.Context, tx *pg.Tx) error {
		_, err := deletion.Disconnect(ctx, tx, p.id, deletion.StatusChange{To: client.Disconnected, Reason: "moved"})
		return err
	})
}

// later moves somebody a quarter on, with a reason in words, and back.
func (s *stage) later(p *person, run, next string) {
	s.t.Helper()
	for _, on := range []string{next, run} {
		id := s.round(p.m, on).ID
		s.as(access.Caseworker, p.m, func(ctx context.Context, tx *pg.Tx) error {
			return deletion.Move(ctx, tx, p.id, id, p.get("placement.reason"))
		})
	}
}

func (s *stage) control(m int, runOn string) {
	s.t.Helper()
	id := s.round(m, runOn).ID
	s.as(access.Support, m, func(ctx context.Context, tx *pg.Tx) error { return deletion.RequestControl(ctx, tx, id) })
	s.until(m, runOn, func(r deletion.Round) bool { return r.ReadyCount != nil })
	s.as(access.Support, m, func(ctx context.Context, tx *pg.Tx) error {
		checks, err := deletion.SpotChecks(ctx, tx, id)
		for _, c := range checks {
			err = errors.Join(err, deletion.Find(ctx, tx, id, c.Position, deletion.FoundInStock))
		}
		return err
	})
	s.as(access.Support, m, func(ctx context.Context, tx *pg.Tx) error { return deletion.FinishControl(ctx, tx, id) })
}

// fault makes the purge of somebody fail with an error whose text holds their name: always, or the first few times, the
// job's own way of giving up included, so that River gets to see it. What PostgreSQL logs of it is the fault's own and is
// kept out.
func (s *stage) fault(p *person, times int) (mend func()) {
	s.t.Helper()
	name := "fault_" + randomHex(8)
	s.Exec(s.t, fmt.Sprintf(`CREATE SEQUENCE %[1]s;
		CREATE FUNCTION %[1]s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public SET log_min_messages = panic AS $$
		BEGIN
			IF NEW.client_id = '%[2]s' AND (NEW.state = 'purged' OR %[3]d > 0 AND NEW.state = 'carried') AND (%[3]d = 0 OR nextval('%[1]s') <= %[3]d) THEN
				PERFORM (SELECT given_name FROM client WHERE id = NEW.client_id)::int;
			END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER %[1]s BEFORE UPDATE ON round_item FOR EACH ROW EXECUTE FUNCTION %[1]s()`, name, p.id, times))
	return func() { s.Exec(s.t, `DROP FUNCTION `+name+` CASCADE; DROP SEQUENCE `+name) }
}

func (s *stage) rowsOf(p *person) map[string]int {
	s.t.Helper()
	counts := map[string]int{}
	for _, table := range s.names(s.t, `SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'client_id' WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace`) {
		if n := s.Count(s.t, `SELECT count(*) FROM `+table+` WHERE client_id = $1`, p.id); n > 0 {
			counts[table] = n
		}
	}
	return counts
}

func TestNothingIsLeftOfWhoWent(t *testing.T) {
	s := newStage(t)
	s.Exec(t, `UPDATE municipality_policy SET max_error_percent = 100`)
	const run, next = "2023-10-01", "2024-01-01"
	s.at("2023-03-14 12:00")
	if err := deletion.Sweep(t.Context(), s.DB); err != nil {
		t.Fatal(err)
	}
	var gone, staying []*person
	var mend []func()
	for _, m := range []int{s.A, s.B} {
		name := map[int]string{s.A: "A", s.B: "B"}[m]
		goes, other, stubborn, stays := s.person("goes"+name, m), s.person("other"+name, m), s.person("stubborn"+name, m), s.person("stays"+name, m)
		s.bring(m, goes, other, stubborn, stays)
		for _, p := range []*person{goes, other, stubborn, stays} {
			s.furnish(p)
		}
		for _, p := range []*person{goes, other, stubborn} {
			s.disconnect(p)
			s.later(p, run, next)
		}
		s.disconnect(stays)
		s.later(stays, run, next)
		s.as(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) error {
			return deletion.Reactivate(ctx, tx, stays.id, deletion.StatusChange{To: client.Active})
		})
		mend = append(mend, s.fault(stubborn, 0))
		gone, staying = append(gone, goes, other), append(staying, stubborn, stays)
	}
	mend = append(mend, s.fault(gone[0], 5))
	had := map[*person]map[string]int{}
	for _, p := range gone {
		had[p] = s.rowsOf(p)
	}
	s.Exec(t, `ANALYZE`) // as autovacuum may at any time: the names come into the planner's statistics

	before := newScanner(s.tokens)
	s.scan(t, before)
	for _, p := range slices.Concat(gone, staying) {
		for field, k := range p.tokens {
			table, _, _ := strings.Cut(field, ".")
			if !slices.ContainsFunc(before.hits, func(h hit) bool { return h.token == k && h.where == table }) {
				t.Errorf("%s was never there: the test would prove nothing", k)
			}
		}
	}
	statistics := 0
	for _, h := range before.hits {
		statistics += map[bool]int{true: 1}[h.where == "pg_statistic" && strings.HasPrefix(h.token.who, "goes")]
		if strings.HasPrefix(h.token.who, "refused") || h.token.who == "file" {
			t.Errorf("of a row that was refused, %s is in %s as %s", h.token, h.where, h.encoding)
		}
	}
	if statistics < 20 {
		t.Errorf("only %d tokens were in the planner's statistics: the test would prove little", statistics)
	}

	s.at("2023-09-18 00:05")
	s.work(true)
	for _, m := range []int{s.A, s.B} {
		s.until(m, run, func(r deletion.Round) bool { return r.State == deletion.Proposed })
	}
	s.at("2023-09-19 08:00")
	for _, m := range []int{s.A, s.B} {
		s.control(m, run)
		s.as(access.Approver, m, func(ctx context.Context, tx *pg.Tx) error {
			return deletion.Approve(ctx, tx, s.roundIn(ctx, tx, run), deletion.Approval{})
		})
	}
	s.at("2023-10-01 07:00")
	for _, m := range []int{s.A, s.B} {
		r := s.round(m, run)
		s.as(access.Operator, m, func(ctx context.Context, tx *pg.Tx) error { return deletion.Start(ctx, tx, r.ID, r.Number) })
	}
	for _, m := range []int{s.A, s.B} {
		s.until(m, run, func(r deletion.Round) bool { return r.State == deletion.Finished })
	}
	if n := s.Count(t, `SELECT count(*) FROM river.river_job WHERE errors IS NOT NULL AND kind = 'chunk'`); n == 0 {
		t.Error("no job failed: the fault did nothing")
	}
	for _, p := range gone {
		if s.Count(t, `SELECT count(*) FROM client WHERE id = $1`, p.id) != 0 {
			t.Fatalf("%s did not go", p.name)
		}
	}

	for _, m := range mend {
		m()
	}
	after := newScanner(s.tokens)
	s.scan(t, after)
	for _, h := range after.hits {
		if !slices.ContainsFunc(staying, func(p *person) bool { return p.name == h.token.who }) {
			t.Errorf("%s is left in %s as %s", h.token, h.where, h.encoding)
		}
	}
	for _, p := range staying {
		for field, k := range p.tokens {
			table, _, _ := strings.Cut(field, ".")
			if table == "stored_search" {
				continue // every search goes when a round ends
			}
			if !slices.ContainsFunc(after.hits, func(h hit) bool { return h.token == k && h.where == table }) {
				t.Errorf("%s should be where it was", k)
			}
		}
		for _, h := range after.hits {
			if h.token.who == p.name && slices.Contains([]string{"log", "PostgreSQL log", "river.river_job", "pg_stat_activity", "audit", "protocol", "import_refusal", "blob key", "blob path"}, h.where) {
				t.Errorf("%s is in %s as %s, where nobody's words belong", h.token, h.where, h.encoding)
			}
		}
		for _, key := range p.blobs {
			if f, err := s.blobs.Open(t.Context(), key); err != nil {
				t.Errorf("a sound of %s is gone", p.name)
			} else {
				_ = f.Close()
			}
		}
	}

	// The opaque id is where it was declared to outlive, and nowhere else; every row that went stands in the protocol.
	outlives := []string{"pg_statistic", "pg_stats"} // by way of the tables below
	for _, table := range explain.Catalogue() {
		if table.Action == "outlives" {
			outlives = append(outlives, table.Name)
		}
	}
	var ids []token
	for _, p := range gone {
		ids = append(ids, token{p.name, "id", p.id.String(), p.id.String()})
	}
	byID := newScanner(ids)
	s.scan(t, byID)
	for _, h := range byID.hits {
		if !slices.Contains(outlives, h.where) {
			t.Errorf("%s is left in %s as %s", h.token, h.where, h.encoding)
		}
	}
	for _, m := range []int{s.A, s.B} {
		want := map[string]int{"client": 2, "address": 2, "address_event": 2, "professional": 2}
		for _, p := range gone {
			for table, n := range had[p] {
				if p.m == m && !slices.Contains(outlives, table) {
					want[table] += n
				}
			}
		}
		got := map[string]int{}
		rows, err := s.Admin.Query(t.Context(), `SELECT table_name, sum(rows)::int FROM round_count WHERE municipality_id = $1 GROUP BY 1`, m)
		if err != nil {
			t.Fatal(err)
		}
		var table string
		var n int
		if _, err := pgx.ForEachRow(rows, []any{&table, &n}, func() error { got[table] = n; return nil }); err != nil {
			t.Fatal(err)
		}
		for table := range want {
			if got[table] != want[table] {
				t.Errorf("municipality %d: %d rows of %s went, and the protocol counts %d", m, want[table], table, got[table])
			}
		}
		for table := range got {
			if want[table] == 0 {
				t.Errorf("municipality %d: the protocol counts %d rows of %s that were not there", m, got[table], table)
			}
		}
	}
	t.Logf("%d tokens, %d encodings, %d tables; before the round %d finds, after it %d", len(s.tokens), len(encodings), len(s.tables(t)), len(before.hits), len(after.hits))
}

func (s *stage) roundIn(ctx context.Context, tx *pg.Tx, runOn string) int64 {
	rounds, err := deletion.Rounds(ctx, tx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range rounds {
		if r.RunOn.String() == runOn {
			return r.ID
		}
	}
	return 0
}
