package rights_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/rights"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var key = []byte("key of the tests")

// stage is the world with people who act.
type stage struct {
	*pgtest.World
	t testing.TB
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{pgtest.NewWorld(t), t}
	audit.RecordRefusals(s.DB)
	s.must(deletion.Sweep(t.Context(), s.DB))
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) by(caller access.Caller, fn func(ctx context.Context, tx *pg.Tx) error) error {
	ctx := s.t.Context()
	return s.DB.InTx(ctx, caller, func(tx *pg.Tx) error { return fn(ctx, tx) })
}

func (s *stage) caseworker() access.Caller { return s.As(access.Caseworker, s.A) }
func (s *stage) approver() access.Caller   { return s.As(access.Approver, s.A) }

// today is the day of the world's clock, in Oslo.
func (s *stage) today() calendar.Date {
	zone, err := time.LoadLocation("Europe/Oslo")
	s.must(err)
	return calendar.DateOf(s.Now().In(zone))
}

func (s *stage) receive(id uuid.UUID, kind rights.Kind) uuid.UUID {
	s.t.Helper()
	var request uuid.UUID
	s.must(s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) (err error) {
		request, err = rights.Receive(ctx, tx, id, rights.New{Kind: kind, ReceivedOn: s.today(), Channel: "letter", Reference: "23/1042", Wish: "Jeg vil vite"})
		return err
	}))
	return request
}

func (s *stage) prepare(request uuid.UUID, p rights.Preparation) {
	s.t.Helper()
	s.must(s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error { return rights.Prepare(ctx, tx, request, p) }))
}

func (s *stage) release(request uuid.UUID) error {
	return s.by(s.approver(), func(ctx context.Context, tx *pg.Tx) error {
		return rights.Release(ctx, tx, request, calendar.Date{})
	})
}

func (s *stage) find(request uuid.UUID) rights.Request {
	s.t.Helper()
	var r rights.Request
	s.must(s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) (err error) { r, err = rights.Find(ctx, tx, request); return err }))
	return r
}

func (s *stage) placement(id uuid.UUID) deletion.Placement {
	s.t.Helper()
	var p deletion.Placement
	s.must(s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) (err error) {
		p, err = deletion.PlacementOf(ctx, tx, id)
		return err
	}))
	return p
}

func (s *stage) leaver() uuid.UUID {
	s.t.Helper()
	id := s.Add(s.t, pgtest.Person{Status: "disconnected", Since: s.Now().AddDate(0, -7, 0), Recordings: []string{"1/aa/" + uuid.NewString()}})
	s.must(deletion.Sweep(s.t.Context(), s.DB))
	return id
}

func TestTheClock(t *testing.T) {
	for _, c := range []struct {
		received, due, extended calendar.Date
	}{
		{calendar.On(2023, 1, 31), calendar.On(2023, 2, 28), calendar.On(2023, 4, 30)},
		{calendar.On(2024, 1, 31), calendar.On(2024, 2, 29), calendar.On(2024, 4, 30)},
		{calendar.On(2023, 8, 31), calendar.On(2023, 9, 30), calendar.On(2023, 11, 30)},
		{calendar.On(2023, 11, 30), calendar.On(2023, 12, 30), calendar.On(2024, 2, 29)},
		{calendar.On(2023, 12, 31), calendar.On(2024, 1, 31), calendar.On(2024, 3, 31)},
		{calendar.On(2023, 2, 28), calendar.On(2023, 3, 28), calendar.On(2023, 5, 28)},
	} {
		if due, extended := rights.Due(c.received, false), rights.Due(c.received, true); due != c.due || extended != c.extended {
			t.Errorf("%s: %s and %s, want %s and %s", c.received, due, extended, c.due, c.extended)
		}
	}
	// The database counts the same way, on every day.
	w := pgtest.NewWorld(t)
	rows, err := w.Admin.Query(t.Context(), `SELECT d::date, add_months(d::date, 1), add_months(d::date, 3) FROM generate_series('2023-01-01'::date, '2028-12-31', '1 day') d`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var d, one, three calendar.Date
		if err := rows.Scan(&d, &one, &three); err != nil {
			t.Fatal(err)
		}
		if rights.Due(d, false) != one || rights.Due(d, true) != three {
			t.Errorf("%s: %s and %s, the database says %s and %s", d, rights.Due(d, false), rights.Due(d, true), one, three)
		}
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
}

// Whoever waits for an answer is kept, taken out of the group, and placed anew when the answer is given, refused or not
// wanted any more.
func TestAnOpenRequestKeeps(t *testing.T) {
	s := newStage(t)
	ends := map[string]func(request uuid.UUID) error{
		"released": s.release,
		"refused": func(request uuid.UUID) error {
			return s.by(s.approver(), func(ctx context.Context, tx *pg.Tx) error {
				return rights.Refuse(ctx, tx, request, rights.Refusal{Ground: "unfounded", Decision: "Fjerde gang denne måneden"})
			})
		},
		"withdrawn": func(request uuid.UUID) error {
			return s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error { return rights.Withdraw(ctx, tx, request) })
		},
	}
	for _, kind := range rights.Kinds {
		for how, end := range ends {
			t.Run(string(kind)+" "+how, func(t *testing.T) {
				s := &stage{s.World, t}
				id := s.leaver()
				before := s.placement(id)
				if before.Round == nil {
					t.Fatalf("it lies in no group: %+v", before)
				}
				request := s.receive(id, kind)
				p := s.placement(id)
				if kind == rights.Erasure {
					if p.Round == nil || p.Round.ID != before.Round.ID || p.Assessment.Has("open_request") {
						t.Errorf("asking for erasure keeps the client: %+v", p)
					}
				} else if p.Round != nil || p.Unplaced != "open_request" || !p.Assessment.Has("open_request") {
					t.Errorf("it is not kept: %+v", p)
				}
				if kind == rights.Rectification {
					s.must(s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error { return client.AddNote(ctx, tx, id, "rettet") }))
				}
				s.prepare(request, rights.Preparation{Answer: "Svar", RestrictionGround: "contested", Statement: "Det er feil"})
				s.must(end(request))
				p = s.placement(id)
				restricted := kind == rights.Restriction && how == "released"
				if restricted {
					if p.Round != nil || p.Unplaced != "restricted" {
						t.Errorf("a restricted client is not kept: %+v", p)
					}
					s.must(s.by(s.approver(), func(ctx context.Context, tx *pg.Tx) error {
						return rights.Lift(ctx, tx, request, s.today(), "Spørsmålet er avklart")
					}))
					p = s.placement(id)
				}
				if p.Round == nil || p.Unplaced != "" {
					t.Errorf("it is not let go: %+v", p)
				}
			})
		}
	}
}

// An active client is in no group and stays in none.
func TestAnActiveClientAsks(t *testing.T) {
	s := newStage(t)
	id := s.Add(t, pgtest.Person{})
	request := s.receive(id, rights.Access)
	s.prepare(request, rights.Preparation{})
	s.must(s.release(request))
	if r := s.find(request); r.State != rights.Released || r.DecidedBy == nil || *r.DecidedBy != s.approver().Account {
		t.Errorf("%+v", r)
	}
}

func TestRectification(t *testing.T) {
	s := newStage(t)
	id := s.Add(t, pgtest.Person{})
	request := s.receive(id, rights.Rectification)
	s.prepare(request, rights.Preparation{Answer: "Vi retter telefonnummeret", Recipients: "Skyresponsen"})
	if err := s.release(request); !errors.As(err, new(problem.Conflict)) {
		t.Errorf("nothing was corrected, and the answer is %v", err)
	}
	s.SetNow(s.Now().Add(time.Minute))
	phone := "+4790000172"
	s.must(s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
		return client.Change(ctx, tx, id, 1, client.Changes{Phone: &phone})
	}))
	s.must(s.release(request))
	if r := s.find(request); !slices.Equal(r.Corrected, []string{"phone"}) || r.Recipients != "Skyresponsen" {
		t.Errorf("%+v", r)
	}
	// What is refused stands beside the record in the person's own words.
	request = s.receive(id, rights.Rectification)
	s.prepare(request, rights.Preparation{Answer: "Legens vurdering rettes ikke", Statement: "Jeg har aldri falt"})
	s.must(s.by(s.approver(), func(ctx context.Context, tx *pg.Tx) error {
		return rights.Refuse(ctx, tx, request, rights.Refusal{Ground: "correct_as_is", Decision: "Opplysningen er riktig"})
	}))
	if n := s.Count(t, `SELECT count(*) FROM note WHERE client_id = $1 AND text = 'Jeg har aldri falt'`, id); n != 1 {
		t.Errorf("%d notes hold the statement", n)
	}
}

func TestErasureTellsEachClass(t *testing.T) {
	s := newStage(t)
	id := s.Add(t, pgtest.Person{Status: "disconnected", Since: s.Now().AddDate(0, -1, 0)})
	s.must(deletion.Sweep(t.Context(), s.DB))
	request := s.receive(id, rights.Erasure)
	s.prepare(request, rights.Preparation{Answer: "Slettes når fristen er ute"})
	s.must(s.release(request))
	r := s.find(request)
	if len(r.Outcome) != 4 {
		t.Fatalf("%+v", r.Outcome)
	}
	for _, o := range r.Outcome {
		if o.DueOn.IsZero() || o.RunOn.IsZero() || o.Months != 6 || o.Authority == "" || len(o.Kept) > 0 {
			t.Errorf("%+v", o)
		}
	}
	held := s.leaver()
	s.Exec(t, `INSERT INTO device (municipality_id, id, code, kind, stock_state) VALUES ($1, $2, 'X1', 'safety_alarm', 'connected')`, s.A, uuid.New())
	s.Exec(t, `INSERT INTO device_connection (municipality_id, device_id, client_id, connected_at) SELECT $1, id, $2, $3 FROM device WHERE code = 'X1'`, s.A, held, s.Now())
	request = s.receive(held, rights.Erasure)
	s.prepare(request, rights.Preparation{Answer: "Enheten må tilbake først"})
	s.must(s.by(s.approver(), func(ctx context.Context, tx *pg.Tx) error {
		return rights.Refuse(ctx, tx, request, rights.Refusal{Ground: "retention", Decision: "Se hinderet"})
	}))
	for _, o := range s.find(request).Outcome {
		if !slices.Equal(o.Kept, []string{"device_on_client"}) || !o.RunOn.IsZero() {
			t.Errorf("%+v", o)
		}
	}
	// An extra run is asked for with the release, and obeys its own rules.
	other := s.leaver()
	request = s.receive(other, rights.Erasure)
	s.prepare(request, rights.Preparation{Answer: "Slettes ekstra"})
	s.must(s.by(s.approver(), func(ctx context.Context, tx *pg.Tx) error {
		return rights.Release(ctx, tx, request, s.today().AddDays(14))
	}))
	if n := s.Count(t, `SELECT count(*) FROM order_client WHERE client_id = $1`, other); n != 1 {
		t.Errorf("%d orders", n)
	}
}

// A restricted client is a head for everybody, and a record only for those who answer an open request.
func TestRestriction(t *testing.T) {
	s := newStage(t)
	id := s.Add(t, pgtest.Person{GivenName: "Solveig", FamilyName: "Hansen"})
	s.Exec(t, `UPDATE client SET phone = '90000172' WHERE id = $1`, id)
	request := s.receive(id, rights.Restriction)
	s.prepare(request, rights.Preparation{Answer: "Begrenses", RestrictionGround: "contested"})
	s.must(s.release(request))
	refused := func(what string, err error) {
		t.Helper()
		if f := (problem.Forbidden{}); !errors.As(err, &f) || f.Code != "restricted" {
			t.Errorf("%s: %v", what, err)
		}
	}
	read := func(caller access.Caller) error {
		return s.by(caller, func(ctx context.Context, tx *pg.Tx) error { _, err := client.Find(ctx, tx, id); return err })
	}
	refused("a caseworker reads", read(s.caseworker()))
	refused("an approver reads", read(s.approver()))
	refused("a note is written", s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error { return client.AddNote(ctx, tx, id, "x") }))
	refused("the record is changed", s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
		return client.Change(ctx, tx, id, 2, client.Changes{Email: new(string)})
	}))
	refused("a recording is heard", s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
		_, err := client.FindRecording(ctx, tx, id, 1)
		return err
	}))
	s.must(s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
		head, err := client.Head(ctx, tx, id)
		if err == nil && (head.Name() != "Solveig Hansen" || head.Phone != "" || head.RestrictedAt == nil) {
			t.Errorf("%+v", head)
		}
		if err != nil {
			return err
		}
		search, err := client.SaveSearch(ctx, tx, "90000172")
		if err != nil {
			return err
		}
		byPhone, err := client.List(ctx, tx, client.Filter{Search: &search}, client.Cursor{}, 10)
		if err == nil && len(byPhone.Rows) > 0 {
			t.Error("the telephone finds a restricted client")
		}
		byPlace, err2 := client.List(ctx, tx, client.Filter{Postcode: "1430"}, client.Cursor{}, 10)
		if err2 == nil && len(byPlace.Rows) > 0 {
			t.Error("the postal code finds a restricted client")
		}
		all, err3 := client.List(ctx, tx, client.Filter{}, client.Cursor{}, 10)
		if err3 == nil && (len(all.Rows) != 1 || !all.Rows[0].Restricted || all.Rows[0].Phone+all.Rows[0].Street != "") {
			t.Errorf("%+v", all.Rows)
		}
		return errors.Join(err, err2, err3)
	}))
	// Whoever answers an open request of the person may read.
	access1 := s.receive(id, rights.Access)
	s.must(read(s.caseworker()))
	s.must(read(s.approver()))
	s.prepare(access1, rights.Preparation{})
	s.must(s.release(access1))
	refused("after the answer", read(s.caseworker()))
	// It is lifted by an approver, after the person was told.
	lift := func(caller access.Caller, told calendar.Date) error {
		return s.by(caller, func(ctx context.Context, tx *pg.Tx) error { return rights.Lift(ctx, tx, request, told, "Avklart") })
	}
	for _, told := range []calendar.Date{{}, s.today().AddDays(1), s.today().AddDays(-1)} {
		if err := lift(s.approver(), told); !errors.As(err, new(problem.Invalid)) {
			t.Errorf("told on %q: %v", told, err)
		}
	}
	s.must(lift(s.approver(), s.today()))
	s.must(read(s.caseworker()))
	if n := s.Count(t, `SELECT count(*) FROM client_search WHERE client_id = $1 AND text LIKE '%90000172%'`, id); n != 1 {
		t.Error("the telephone does not find the client again")
	}
}

func TestSomebodyWhoIsGoneAsks(t *testing.T) {
	s := newStage(t)
	number, ok := client.SyntheticNationalID(time.Date(1941, 3, 1, 0, 0, 0, 0, time.UTC), 3, false)
	if !ok {
		t.Fatal("no number")
	}
	gone, elsewhere := uuid.New(), uuid.New()
	for m, id := range map[int]uuid.UUID{s.A: gone, s.B: elsewhere} {
		s.Exec(t, `INSERT INTO access_subject (municipality_id, subject_hash, client_id, expires_on) VALUES ($1, $2, $3, '2030-01-01')`, m, deletion.SubjectHash(key, m, string(number)), id)
		s.Exec(t, `INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids) VALUES ($1, $2, $3, 'caseworker', 'client', 'record', $4)`, m, s.Now(), s.As(access.Caseworker, m).Account, []uuid.UUID{id})
	}
	ask := func(number string) (request uuid.UUID, err error) {
		err = s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) (err error) {
			request, err = rights.ReceiveFormer(ctx, tx, key, number, rights.New{ReceivedOn: s.today(), Channel: "letter", Reference: "23/7"})
			return err
		})
		return request, err
	}
	if _, err := ask("123"); !errors.As(err, new(problem.Invalid)) {
		t.Errorf("nonsense is taken: %v", err)
	}
	request, err := ask(string(number[:6]) + " " + string(number[6:]))
	s.must(err)
	if n := s.Count(t, `SELECT count(*) FROM rights_former WHERE to_jsonb(rights_former)::text LIKE '%' || $1 || '%'`, string(number)); n != 0 {
		t.Error("the number is kept")
	}
	s.prepare(request, rights.Preparation{})
	s.must(s.release(request))
	s.must(s.by(s.approver(), func(ctx context.Context, tx *pg.Tx) error {
		e, err := rights.Make(ctx, tx, request, "json")
		if err != nil {
			return err
		}
		looks := e.Section("access_log")
		if len(looks.Rows) != 1 || looks.Text(looks.Rows[0], "page") != "client" || looks.Text(looks.Rows[0], "by") != s.caseworker().Name {
			t.Errorf("%+v", e.Sections)
		}
		return nil
	}))
	// It goes when the log that it asked about goes.
	s.SetNow(s.Now().AddDate(6, 0, 0))
	s.must(deletion.Sweep(t.Context(), s.DB))
	if n := s.Count(t, `SELECT count(*) FROM rights_former`); n != 0 {
		t.Error("it outlives the log")
	}
}

// Everything that somebody may not do, each refused with the database unchanged. What is not a mistake in a form, or a step
// that comes too late, leaves a row.
func TestMisuse(t *testing.T) {
	s := newStage(t)
	id := s.Add(t, pgtest.Person{})
	received := s.receive(id, rights.Access)
	prepared := s.receive(s.Add(t, pgtest.Person{}), rights.Access)
	s.prepare(prepared, rights.Preparation{})
	released := s.receive(s.Add(t, pgtest.Person{}), rights.Access)
	s.prepare(released, rights.Preparation{})
	s.must(s.release(released))
	both := s.caseworker()
	both.Roles = []access.Role{access.Caseworker, access.Approver}
	stale := s.approver()
	stale.FreshUntil = time.Time{}
	machine := s.approver()
	machine.Key = true
	elsewhere := s.As(access.Approver, s.B)
	officer := s.As(access.PrivacyOfficer, s.A)
	type act = func(ctx context.Context, tx *pg.Tx) error
	release := func(id uuid.UUID) act {
		return func(ctx context.Context, tx *pg.Tx) error { return rights.Release(ctx, tx, id, calendar.Date{}) }
	}
	refuse := func(id uuid.UUID) act {
		return func(ctx context.Context, tx *pg.Tx) error {
			return rights.Refuse(ctx, tx, id, rights.Refusal{Ground: "unfounded", Decision: "Nei"})
		}
	}
	prepare := func(id uuid.UUID) act {
		return func(ctx context.Context, tx *pg.Tx) error { return rights.Prepare(ctx, tx, id, rights.Preparation{}) }
	}
	receive := func(ctx context.Context, tx *pg.Tx) error {
		_, err := rights.Receive(ctx, tx, id, rights.New{Kind: rights.Objection, ReceivedOn: s.today(), Channel: "letter", Reference: "1", Wish: "x"})
		return err
	}
	extract := func(id uuid.UUID) act {
		return func(ctx context.Context, tx *pg.Tx) error { _, err := rights.Make(ctx, tx, id, "json"); return err }
	}
	preview := func(id uuid.UUID) act {
		return func(ctx context.Context, tx *pg.Tx) error { _, err := rights.Preview(ctx, tx, id); return err }
	}
	list := func(ctx context.Context, tx *pg.Tx) error { _, _, err := rights.OpenRequests(ctx, tx); return err }
	lift := func(id uuid.UUID) act {
		return func(ctx context.Context, tx *pg.Tx) error { return rights.Lift(ctx, tx, id, s.today(), "x") }
	}
	var scripts []pgtest.Script
	for _, c := range []struct {
		name string
		who  access.Caller
		do   act
		code string
	}{
		{"who prepared releases", both, release(prepared), "own_preparation"},
		{"who prepared refuses", both, refuse(prepared), "own_preparation"},
		{"a caseworker releases", s.caseworker(), release(prepared), "permission"},
		{"a caseworker refuses", s.caseworker(), refuse(prepared), "permission"},
		{"a caseworker previews", s.caseworker(), preview(prepared), "permission"},
		{"a caseworker lifts", s.caseworker(), lift(released), "permission"},
		{"an approver prepares", s.approver(), prepare(received), "permission"},
		{"an approver receives", s.approver(), receive, "permission"},
		{"the privacy officer receives", officer, receive, "permission"},
		{"the privacy officer prepares", officer, prepare(received), "permission"},
		{"the privacy officer releases", officer, release(prepared), "permission"},
		{"the privacy officer takes an extract", officer, extract(released), "permission"},
		{"the privacy officer extends", officer, func(ctx context.Context, tx *pg.Tx) error { return rights.Extend(ctx, tx, received, "many", s.today()) }, "permission"},
		{"the administrator reads", s.As(access.Administrator, s.A), list, "permission"},
		{"support reads", s.As(access.Support, s.A), list, "permission"},
		{"the operator reads", s.As(access.Operator, s.A), list, "permission"},
		{"the platform administrator reads", s.As(access.PlatformAdministrator, 0), list, "permission"},
		{"support takes an extract", s.As(access.Support, s.A), extract(released), "permission"},
		{"a machine key releases", machine, release(prepared), "permission"},
		{"without a fresh proof", stale, release(prepared), "step_up"},
		{"an extract without a fresh proof", stale, extract(released), "step_up"},
		{"released twice", s.approver(), release(released), "rights_step"},
		{"refused after the release", s.approver(), refuse(released), "rights_step"},
		{"released before it is prepared", s.approver(), release(received), "rights_step"},
		{"an extract before the release", s.caseworker(), extract(prepared), "not_released"},
		{"an extract before it is prepared", s.approver(), extract(received), "not_released"},
		{"a preview after the release", s.approver(), preview(released), "not_released"},
	} {
		scripts = append(scripts, pgtest.Script{Name: c.name, By: c.who.Account, Code: c.code, Do: func() error { return s.by(c.who, c.do) }})
	}
	s.Misuse(t, scripts)
	for _, c := range []struct {
		name string
		who  access.Caller
		do   act
		want any
	}{
		{"another municipality releases", elsewhere, release(prepared), problem.NotFound{}},
		{"another municipality takes an extract", elsewhere, extract(released), problem.NotFound{}},
		{"another municipality finds", elsewhere, func(ctx context.Context, tx *pg.Tx) error { _, err := rights.Find(ctx, tx, received); return err }, problem.NotFound{}},
		{"another municipality's client asks", s.As(access.Caseworker, s.B), receive, problem.NotFound{}},
		{"withdrawn after the release", s.caseworker(), func(ctx context.Context, tx *pg.Tx) error { return rights.Withdraw(ctx, tx, released) }, problem.Conflict{}},
		{"prepared twice", s.caseworker(), prepare(prepared), problem.Conflict{}},
		{"lifted though nothing is restricted", s.approver(), lift(released), problem.Conflict{}},
		{"received twice", s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
			_, err := rights.Receive(ctx, tx, id, rights.New{Kind: rights.Access, ReceivedOn: s.today(), Channel: "letter", Reference: "1"})
			return err
		}, problem.Conflict{}},
		{"received tomorrow", s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
			_, err := rights.Receive(ctx, tx, id, rights.New{Kind: rights.Erasure, ReceivedOn: s.today().AddDays(1), Channel: "letter", Reference: "1", Wish: "x"})
			return err
		}, problem.Invalid{}},
		{"a national id for a case number", s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
			_, err := rights.Receive(ctx, tx, id, rights.New{Kind: rights.Erasure, ReceivedOn: s.today(), Channel: "letter", Reference: "010141 12345", Wish: "x"})
			return err
		}, problem.Invalid{}},
		{"extended for comfort", s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
			return rights.Extend(ctx, tx, received, "holiday", s.today())
		}, problem.Invalid{}},
		{"told before it came", s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
			return rights.Extend(ctx, tx, received, "many", s.today().AddDays(-1))
		}, problem.Invalid{}},
		{"a refusal without words", s.approver(), func(ctx context.Context, tx *pg.Tx) error {
			return rights.Refuse(ctx, tx, prepared, rights.Refusal{Ground: "unfounded"})
		}, problem.Invalid{}},
		{"a refusal on another kind's ground", s.approver(), func(ctx context.Context, tx *pg.Tx) error {
			return rights.Refuse(ctx, tx, prepared, rights.Refusal{Ground: "compelling_grounds", Decision: "Nei"})
		}, problem.Invalid{}},
		{"returned without a word", s.approver(), func(ctx context.Context, tx *pg.Tx) error { return rights.Return(ctx, tx, prepared, " ") }, problem.Invalid{}},
	} {
		rows := func() string {
			var all string
			s.must(s.Admin.QueryRow(t.Context(), `SELECT coalesce(string_agg(r::text, '|' ORDER BY id), '') FROM rights_request r`).Scan(&all))
			return all
		}
		before := rows()
		if err := s.by(c.who, c.do); fmt.Sprintf("%T", err) != fmt.Sprintf("%T", c.want) {
			t.Errorf("%s: got %T %v, want %T", c.name, err, err, c.want)
		}
		if rows() != before {
			t.Errorf("%s: it changed something", c.name)
		}
	}
}

// What the code might forget the database refuses.
func TestTheDatabaseRefuses(t *testing.T) {
	s := newStage(t)
	id := s.leaver()
	request := s.receive(id, rights.Access)
	for _, c := range []struct{ name, sql string }{
		{"a step that does not follow", `UPDATE rights_request SET state = 'released', prepared_by = 101, decided_by = 102 WHERE id = $1`},
		{"somebody else's signature", `UPDATE rights_request SET state = 'prepared', prepared_by = 999 WHERE id = $1`},
		{"a longer month", `UPDATE rights_request SET due_on = due_on + 1 WHERE id = $1`},
		{"an extension that nobody was told of", `UPDATE rights_request SET extension_reason = 'many', due_on = add_months(received_on, 3) WHERE id = $1`},
		{"a restriction of a request for access", `UPDATE rights_request SET lifted_at = now(), lifted_by = 102, told_on = received_on WHERE id = $1`},
		{"a mark without a decision", `UPDATE client SET restricted_at = now() WHERE id = (SELECT client_id FROM rights_request WHERE id = $1)`},
		{"another kind", `UPDATE rights_request SET kind = 'erasure' WHERE id = $1`},
		{"another day", `UPDATE rights_request SET received_on = received_on - 10, due_on = add_months(received_on - 10, 1) WHERE id = $1`},
		{"deleted by people", `DELETE FROM rights_request WHERE id = $1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error { _, err := tx.Exec(ctx, c.sql, request); return err })
			if err == nil {
				t.Error("it is taken")
			}
		})
	}
	s.prepare(request, rights.Preparation{})
	err := s.by(s.caseworker(), func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE rights_request SET state = 'released', decided_by = prepared_by, decided_at = now() WHERE id = $1`, request)
		return err
	})
	if err == nil {
		t.Error("who prepared decides, and the database takes it")
	}
	// The administrator, whom no grant stops, does not delete who waits for an answer.
	if _, err := s.Admin.Exec(t.Context(), `DELETE FROM rights_request WHERE id = $1`, request); err == nil || !strings.Contains(err.Error(), "FR084") {
		t.Errorf("an open request goes: %v", err)
	}
	s.must(s.release(request))
	s.Exec(t, `DELETE FROM rights_request WHERE id = $1`, request)
}

// A request goes only the ways that the model knows, whoever tries what in which order.
func TestModelOfStates(t *testing.T) {
	s := newStage(t)
	steps := map[string]map[rights.State]rights.State{
		"prepare":  {rights.Received: rights.Prepared},
		"return":   {rights.Prepared: rights.Received},
		"release":  {rights.Prepared: rights.Released},
		"refuse":   {rights.Prepared: rights.Refused},
		"withdraw": {rights.Received: rights.Withdrawn, rights.Prepared: rights.Withdrawn},
		"extend":   {rights.Received: rights.Received, rights.Prepared: rights.Prepared},
	}
	who := map[string]access.Role{
		"prepare": access.Caseworker, "return": access.Approver, "release": access.Approver, "refuse": access.Approver, "withdraw": access.Caseworker, "extend": access.Caseworker,
	}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]rights.Kind{rights.Access, rights.Objection, rights.Restriction, rights.Erasure}).Draw(t, "kind")
		id := s.Add(s.t, pgtest.Person{Status: "disconnected", Since: s.Now().AddDate(0, -7, 0)})
		if err := deletion.Sweep(s.t.Context(), s.DB); err != nil {
			t.Fatal(err)
		}
		request := s.receive(id, kind)
		state, extended := rights.Received, false
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			act := rapid.SampledFrom([]string{"prepare", "prepare", "return", "release", "refuse", "withdraw", "extend"}).Draw(t, "act")
			role := rapid.SampledFrom([]access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer}).Draw(t, "role")
			err := s.by(s.As(role, s.A), func(ctx context.Context, tx *pg.Tx) error {
				switch act {
				case "prepare":
					return rights.Prepare(ctx, tx, request, rights.Preparation{Answer: "Svar", RestrictionGround: "unlawful"})
				case "return":
					return rights.Return(ctx, tx, request, "Mer")
				case "release":
					return rights.Release(ctx, tx, request, calendar.Date{})
				case "refuse":
					return rights.Refuse(ctx, tx, request, rights.Refusal{Ground: "unfounded", Decision: "Nei"})
				case "withdraw":
					return rights.Withdraw(ctx, tx, request)
				}
				return rights.Extend(ctx, tx, request, "complex", s.today())
			})
			to, ok := steps[act][state]
			ok = ok && who[act] == role && (act != "extend" || !extended)
			if ok != (err == nil) {
				t.Fatalf("%s of a %s one by %s: %v", act, state, role, err)
			}
			if ok {
				state, extended = to, extended || act == "extend"
			}
			r, p := s.find(request), s.placement(id)
			kept := kind != rights.Erasure && (state == rights.Received || state == rights.Prepared) || kind == rights.Restriction && state == rights.Released
			switch {
			case r.State != state:
				t.Fatalf("it is %s, not %s", r.State, state)
			case r.DueOn != rights.Due(s.today(), extended):
				t.Fatalf("due on %s", r.DueOn)
			case kept == (p.Round != nil):
				t.Fatalf("%s and %s: kept %t, in a group %t", kind, state, kept, p.Round != nil)
			case state == rights.Released && (r.DecidedBy == nil || *r.DecidedBy == *r.PreparedBy):
				t.Fatal("who prepared decided")
			}
		}
	})
}
