package visit_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/visit"
	"github.com/google/uuid"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

type stage struct {
	*pgtest.World
	t                    *testing.T
	kari, vera           uuid.UUID // clients of A, the second one protected
	over                 uuid.UUID // a client of B
	sara                 access.Caller
	approver, caseworker access.Caller
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{World: pgtest.NewWorld(t), t: t}
	audit.RecordRefusals(s.DB)
	s.kari, s.vera, s.over = s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{Municipality: s.B})
	s.Exec(t, `UPDATE client SET protected = true WHERE id = $1`, s.vera)
	s.Exec(t, `INSERT INTO account (id, login, name, staff_number, roles, password_hash) VALUES (904, 'support.904', 'Ansatt 904', 'S-00904', '{support}', 'x')`)
	s.Exec(t, `INSERT INTO account (id, municipality_id, login, name, staff_number, roles, password_hash) VALUES (142, 1, 'approver.142', 'Ansatt 142', 'S-00142', '{approver}', 'x')`)
	s.sara, s.approver, s.caseworker = s.As(access.Support, s.A), s.As(access.Approver, s.A), s.As(access.Caseworker, s.A)
	return s
}

func (s *stage) do(c access.Caller, fn func(ctx context.Context, tx *pg.Tx) error) error {
	return s.DB.InTx(s.t.Context(), c, func(tx *pg.Tx) error { return fn(s.t.Context(), tx) })
}

func (s *stage) must(c access.Caller, fn func(ctx context.Context, tx *pg.Tx) error) {
	s.t.Helper()
	if err := s.do(c, fn); err != nil {
		s.t.Fatal(err)
	}
}

var plain = visit.New{Reason: "error", Reference: "23/114", Scope: visit.Municipality, Minutes: 60}

func (s *stage) ask(c access.Caller, in visit.New) uuid.UUID {
	s.t.Helper()
	var id uuid.UUID
	s.must(c, func(ctx context.Context, tx *pg.Tx) (err error) { id, err = visit.Ask(ctx, tx, in); return err })
	return id
}

func (s *stage) grant(c access.Caller, id uuid.UUID, g visit.Granting) error {
	return s.do(c, func(ctx context.Context, tx *pg.Tx) error { return visit.Grant(ctx, tx, id, g) })
}

// number is a client's.
func (s *stage) number(id uuid.UUID) (n string) {
	s.t.Helper()
	if err := s.Admin.QueryRow(s.t.Context(), `SELECT number FROM client WHERE id = $1`, id).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// inside is the caller as the door makes them when their request names the visit.
func (s *stage) inside(c access.Caller, id uuid.UUID) (access.Caller, error) {
	return account.InVisit(s.t.Context(), s.DB, c.Outside(), id.String())
}

func (s *stage) reads(c access.Caller, id uuid.UUID) error {
	return s.do(c, func(ctx context.Context, tx *pg.Tx) error { _, err := client.Find(ctx, tx, id); return err })
}

func code(err error) string {
	var forbidden problem.Forbidden
	var conflict problem.Conflict
	var invalid problem.Invalid
	switch {
	case errors.As(err, &forbidden):
		return forbidden.Code
	case errors.As(err, &conflict):
		return conflict.Code
	case errors.As(err, &invalid):
		return invalid.Fields[0].Name + "=" + invalid.Fields[0].Code
	case errors.As(err, new(problem.NotFound)):
		return "not_found"
	case errors.As(err, new(problem.StepUp)):
		return "step_up"
	case err != nil:
		return err.Error()
	}
	return ""
}

// Support asks without knowing anybody, the approver picks the client and narrows, support goes in, sees that one, each
// look is written down with the visit, and it ends by itself.
func TestTheWayOfAVisit(t *testing.T) {
	s := newStage(t)
	in := plain
	in.Scope, in.Page, in.Minutes = visit.OneClient, "notes", 240
	id := s.ask(s.sara.Outside().In(s.A), in)
	if err := s.grant(s.approver, id, visit.Granting{Scope: visit.OneClient, Page: "notes", Minutes: 30}); code(err) != "client_number=required" {
		t.Errorf("a grant of nobody: %v", err)
	}
	if err := s.grant(s.approver, id, visit.Granting{Scope: visit.OneClient, Page: "notes", Client: s.number(s.kari), Minutes: 30}); err != nil {
		t.Fatal(err)
	}
	// The clock of the one transaction that entered is the clock of all.
	s.must(s.sara.Outside().In(s.A), func(ctx context.Context, tx *pg.Tx) error { return visit.Enter(ctx, tx, id) })
	in2, err := s.inside(s.sara, id)
	if err != nil {
		t.Fatal(err)
	}
	if in2.Municipality != s.A || in2.Database() != "frist_visitor" || !in2.Can(access.ClientRead) || in2.Can(access.RoundControl) || in2.Can(access.VisitAsk) || in2.Can(access.ClientWrite) || !in2.Blind() {
		t.Errorf("the visitor is %+v", in2)
	}
	if err := s.reads(in2, s.kari); err != nil {
		t.Error(err)
	}
	for name, other := range map[string]uuid.UUID{"a protected one": s.vera, "one elsewhere": s.over, "nobody": uuid.New()} {
		if err := s.reads(in2, other); code(err) != "not_found" {
			t.Errorf("%s: %v", name, err)
		}
	}
	var notes, kin int
	s.must(in2, func(ctx context.Context, tx *pg.Tx) error {
		list, err := client.Notes(ctx, tx, s.kari)
		notes = len(list)
		if err == nil {
			var relatives []client.Relative
			relatives, err = client.NextOfKin(ctx, tx, s.kari)
			kin = len(relatives)
		}
		return err
	})
	if notes != 1 || kin != 0 {
		t.Errorf("%d notes and %d next of kin on a visit to the notes", notes, kin)
	}
	if n := s.Count(t, `SELECT count(*) FROM access_log WHERE purpose = 'visit:' || $1::text AND role = 'support' AND account_id = 901`, id.String()); n != 1 {
		t.Errorf("%d looks are written down", n)
	}
	s.must(s.approver, func(ctx context.Context, tx *pg.Tx) error {
		v, err := visit.Find(ctx, tx, id)
		if err == nil && (v.Looks != 1 || v.State(tx.Now()) != visit.Active || v.Minutes != 30) {
			t.Errorf("the municipality reads %+v", v)
		}
		steps, err := visit.Steps(ctx, tx, id)
		if len(steps) != 2 || steps[1].Act != "granted" || steps[1].Account != s.approver.Account {
			t.Errorf("its history is %+v, %v", steps, err)
		}
		return err
	})
	s.SetNow(s.Now().Add(30 * time.Minute))
	if err := s.reads(in2, s.kari); code(err) != "not_found" {
		t.Errorf("after the end: %v", err)
	}
	if _, err := s.inside(s.sara, id); code(err) != "visit_over" {
		t.Errorf("the door after the end: %v", err)
	}
	if n := s.Count(t, `SELECT count(*) FROM audit WHERE municipality_id = $1 AND role = 'support' AND NOT refused AND basis IS DISTINCT FROM 'visit:' || $2::text`, s.A, id.String()); n != 0 {
		t.Errorf("%d acts of support do not name what covers them", n)
	}
}

// A municipality asks for whoever of support comes first; that one keeps it.
func TestAMunicipalityAsks(t *testing.T) {
	s := newStage(t)
	in := plain
	in.Scope, in.Client = visit.OneClient, s.number(s.vera)
	id := s.ask(s.caseworker, in)
	if err := s.grant(s.approver, id, visit.Granting{Scope: visit.OneClient, Minutes: 60}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.inside(s.sara, id); code(err) != "visit_over" {
		t.Errorf("nobody has taken it, and somebody is in: %v", err)
	}
	enter := func(c access.Caller) error {
		return s.do(c, func(ctx context.Context, tx *pg.Tx) error { return visit.Enter(ctx, tx, id) })
	}
	if err := enter(s.sara); err != nil {
		t.Fatal(err)
	}
	if err := enter(s.sara); err != nil {
		t.Errorf("going in again: %v", err)
	}
	other := s.sara
	other.Account, other.StaffNumber = 904, "S-00904"
	if err := enter(other); code(err) != "not_found" {
		t.Errorf("a colleague goes in too: %v", err)
	}
	visitor, err := s.inside(s.sara, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.reads(visitor, s.vera); err != nil { // exactly this protected one, whose address and telephone stay hidden
		t.Error(err)
	}
	s.must(visitor, func(ctx context.Context, tx *pg.Tx) error {
		c, err := client.Find(ctx, tx, s.vera)
		if c.Phone != "" || c.AddressID != nil || !c.Address.IsZero() || c.CreatedByName != "" {
			t.Errorf("a visitor reads %+v", c)
		}
		return err
	})
	administrator := s.As(access.Administrator, s.A)
	s.must(administrator, func(ctx context.Context, tx *pg.Tx) error { return visit.CutOff(ctx, tx, id) })
	if err := s.reads(visitor, s.vera); code(err) != "not_found" {
		t.Errorf("after the cut: %v", err)
	}
	if err := enter(s.sara); code(err) != "visit_over" {
		t.Errorf("going in after the cut: %v", err)
	}
}

// What nobody may, in Go; where it is not a mistake in a form or a step that comes too late, there is a row of the refusal.
func TestMisuse(t *testing.T) {
	s := newStage(t)
	whole := visit.Granting{Scope: visit.Municipality, Minutes: 60}
	asked, own := s.ask(s.sara, plain), s.ask(s.approver, plain)
	ended, cut, elsewhere := s.ask(s.sara, plain), s.ask(s.sara, plain), s.ask(s.As(access.Support, s.B), plain)
	one := plain
	one.Scope, one.Client = visit.OneClient, s.number(s.kari)
	forOne := s.ask(s.caseworker, one)
	page := plain
	page.Scope, page.Page = visit.OnePage, "notes"
	forPage := s.ask(s.sara, page)
	for _, id := range []uuid.UUID{ended, cut} {
		if err := s.grant(s.approver, id, visit.Granting{Scope: visit.Municipality, Minutes: 15}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.grant(s.As(access.Approver, s.B), elsewhere, whole); err != nil {
		t.Fatal(err)
	}
	s.must(s.approver, func(ctx context.Context, tx *pg.Tx) error { return visit.CutOff(ctx, tx, cut) })
	s.SetNow(s.Now().Add(15 * time.Minute))
	colleague := s.sara
	colleague.Account = 904
	stale := s.approver
	stale.FreshUntil = time.Time{}
	type attempt struct {
		by int64
		do func() error
	}
	try := func(in visit.New, by access.Caller) attempt {
		return attempt{by.Account, func() error {
			return s.do(by, func(ctx context.Context, tx *pg.Tx) error { _, err := visit.Ask(ctx, tx, in); return err })
		}}
	}
	grant := func(by access.Caller, id uuid.UUID, g visit.Granting) attempt {
		return attempt{by.Account, func() error { return s.grant(by, id, g) }}
	}
	door := func(by access.Caller, named string) attempt {
		return attempt{by.Account, func() error {
			_, err := account.InVisit(t.Context(), s.DB, by.Outside(), named)
			return err
		}}
	}
	step := func(by access.Caller, id uuid.UUID, act func(context.Context, *pg.Tx, uuid.UUID) error) attempt {
		return attempt{by.Account, func() error {
			return s.do(by, func(ctx context.Context, tx *pg.Tx) error { return act(ctx, tx, id) })
		}}
	}
	with := func(change func(*visit.New)) visit.New {
		in := plain
		change(&in)
		return in
	}
	type row struct {
		name string
		attempt
		want string
	}
	var scripts []pgtest.Script
	for _, c := range []row{
		{"support grants to itself", grant(s.sara, asked, whole), "permission"},
		{"a caseworker grants", grant(s.caseworker, asked, whole), "permission"},
		{"an administrator grants", grant(s.As(access.Administrator, s.A), asked, whole), "permission"},
		{"the privacy officer grants", grant(s.As(access.PrivacyOfficer, s.A), asked, whole), "permission"},
		{"an approver grants the own request", grant(s.approver, own, whole), "own_request"},
		{"an approver refuses the own request", step(s.approver, own, func(ctx context.Context, tx *pg.Tx, id uuid.UUID) error { return visit.Refuse(ctx, tx, id, "x") }), "own_request"},
		{"an approver without a fresh proof", grant(stale, asked, whole), "step_up"},
		{"longer than asked for", grant(s.approver, asked, visit.Granting{Scope: visit.Municipality, Minutes: 120}), "longer"},
		{"wider than one client", grant(s.approver, forOne, whole), "wider"},
		{"another client than the request's", grant(s.approver, forOne, visit.Granting{Scope: visit.OneClient, Client: s.number(s.vera), Minutes: 60}), "wider"},
		{"wider than one page", grant(s.approver, forPage, whole), "wider"},
		{"another page than the request's", grant(s.approver, forPage, visit.Granting{Scope: visit.OnePage, Page: "kin", Minutes: 60}), "wider"},
		{"every page of one client on a request for one page", grant(s.approver, forPage, visit.Granting{Scope: visit.OneClient, Client: s.number(s.kari), Minutes: 60}), "wider"},
		{"the operator asks", try(plain, s.As(access.Operator, s.A)), "permission"},
		{"the operator at the door", door(s.As(access.Operator, 0), ended.String()), "visit_over"},
		{"use after the end", door(s.sara, ended.String()), "visit_over"},
		{"use after the cut", door(s.sara, cut.String()), "visit_over"},
		{"use before the grant", door(s.sara, asked.String()), "visit_over"},
		{"use by a colleague", door(colleague, elsewhere.String()), "visit_over"},
		{"a forged name", door(s.sara, uuid.NewString()), "visit_over"},
		{"nonsense for a name", door(s.sara, "' OR 1=1"), "visit_over"},
		{"a caseworker names a visit", door(s.caseworker, elsewhere.String()), "visit_over"},
		{"going in after the end", step(s.sara, ended, visit.Enter), "visit_over"},
		{"going in before the grant", step(s.sara, asked, visit.Enter), "visit_over"},
		{"an approver goes in", step(s.approver, asked, visit.Enter), "permission"},
		{"the privacy officer cuts", step(s.As(access.PrivacyOfficer, s.A), asked, visit.CutOff), "permission"},
		{"a caseworker cuts", step(s.caseworker, asked, visit.CutOff), "permission"},
		{"withdrawing somebody's request", step(s.caseworker, asked, visit.Withdraw), "not_own_request"},
		{"a caseworker reads the board of support", step(s.caseworker, uuid.Nil, func(ctx context.Context, tx *pg.Tx, _ uuid.UUID) error {
			_, err := visit.Board(ctx, tx, nil)
			return err
		}), "permission"},
	} {
		scripts = append(scripts, pgtest.Script{Name: c.name, By: c.by, Code: c.want, Do: c.do})
	}
	s.Misuse(t, scripts)
	for _, c := range []row{
		{"an approver of another municipality", grant(s.As(access.Approver, s.B), asked, whole), "not_found"},
		{"longer than eight hours", try(with(func(n *visit.New) { n.Minutes = 481 }), s.sara), "minutes=between"},
		{"shorter than a quarter", try(with(func(n *visit.New) { n.Minutes = 14 }), s.sara), "minutes=between"},
		{"a client of another municipality", grant(s.approver, asked, visit.Granting{Scope: visit.OneClient, Client: s.number(s.over), Minutes: 60}), "client_number=no_such_client"},
		{"support names a client", try(with(func(n *visit.New) { n.Scope, n.Client = visit.OneClient, s.number(s.kari) }), s.sara), "client_number=not_yours"},
		{"an administrator names a client", try(with(func(n *visit.New) { n.Scope, n.Client = visit.OneClient, s.number(s.kari) }), s.As(access.Administrator, s.A)), "client_number=not_yours"},
		{"a number of a person in the reference", try(with(func(n *visit.New) { n.Reference = "01014112345" }), s.caseworker), "reference=national_id_here"},
		{"no reference of a written request", try(with(func(n *visit.New) { n.Reference = " " }), s.sara), "reference=required"},
		{"one page without saying which", try(with(func(n *visit.New) { n.Scope = visit.OnePage }), s.sara), "page=required"},
		{"no such page", try(with(func(n *visit.New) { n.Scope, n.Page = visit.OnePage, "everything" }), s.sara), "page=required"},
		{"a colleague goes in", step(colleague, asked, visit.Enter), "not_found"},
		{"cutting what has ended", step(s.approver, ended, visit.CutOff), "visit_step"},
		{"a colleague cuts", step(colleague, asked, visit.CutOff), "not_found"},
		{"granting twice", grant(s.approver, ended, whole), "visit_step"},
		{"withdrawing after the answer", step(s.sara, ended, visit.Withdraw), "visit_step"},
	} {
		refused := s.Count(t, `SELECT count(*) FROM audit WHERE refused`)
		if err := c.do(); code(err) != c.want {
			t.Errorf("%s: %q, want %s", c.name, code(err), c.want)
		}
		if s.Count(t, `SELECT count(*) FROM audit WHERE refused`) != refused {
			t.Errorf("%s: it is written down as a refusal", c.name)
		}
	}
	s.SetNow(s.Now().Add(8 * 24 * time.Hour))
	if err := s.grant(s.approver, asked, whole); code(err) != "visit_unanswered" {
		t.Errorf("granting after a week: %v", err)
	}
}

// What the code forgot the database refuses: every step that is none, by direct SQL as the roles that may write.
func TestTheDatabaseRefuses(t *testing.T) {
	s := newStage(t)
	asked, own, live := s.ask(s.sara, plain), s.ask(s.approver, plain), s.ask(s.sara, plain)
	if err := s.grant(s.approver, live, visit.Granting{Scope: visit.Municipality, Minutes: 60}); err != nil {
		t.Fatal(err)
	}
	const grant = `UPDATE visit SET state = 'granted', answered_by = %s, answered_at = frist_now(), ends_at = frist_now() + interval '60 min' WHERE id = $1`
	me := `current_setting('frist.account')::bigint`
	withMe := func(sql string) string { return strings.Replace(sql, "%s", me, 1) }
	for _, c := range []struct {
		name string
		by   access.Caller
		id   uuid.UUID
		sql  string
	}{
		{"support grants", s.sara, asked, `UPDATE visit SET state = 'granted', answered_by = ` + me + `, answered_at = frist_now() WHERE id = $1`},
		{"a caseworker grants", s.caseworker, asked, withMe(grant)},
		{"an approver grants in another's name", s.approver, asked, strings.Replace(grant, "%s", "142", 1)},
		{"who asked grants", s.approver, own, withMe(grant)},
		{"a later end", s.approver, asked, `UPDATE visit SET state = 'granted', answered_by = ` + me + `, answered_at = frist_now(), ends_at = frist_now() + interval '7 hours' WHERE id = $1`},
		{"more minutes than asked for", s.approver, asked, `UPDATE visit SET state = 'granted', minutes = 480, answered_by = ` + me + `, answered_at = frist_now(), ends_at = frist_now() + interval '480 min' WHERE id = $1`},
		{"nine hours", s.approver, asked, `UPDATE visit SET minutes = 540 WHERE id = $1`},
		{"widening a request", s.sara, asked, `UPDATE visit SET minutes = 480 WHERE id = $1`},
		{"lengthening a grant", s.approver, live, `UPDATE visit SET ends_at = ends_at + interval '1 hour' WHERE id = $1`},
		{"another scope afterwards", s.approver, live, `UPDATE visit SET scope = 'page', page = 'notes' WHERE id = $1`},
		{"another visitor", s.sara, live, `UPDATE visit SET visitor = 904 WHERE id = $1`},
		{"another visitor by the municipality", s.approver, live, `UPDATE visit SET visitor = 904 WHERE id = $1`},
		{"back to asked", s.approver, live, `UPDATE visit SET state = 'asked', answered_by = NULL, answered_at = NULL, ends_at = NULL WHERE id = $1`},
		{"another reason", s.approver, live, `UPDATE visit SET reference = 'other' WHERE id = $1`},
		{"away with it", s.approver, live, `DELETE FROM visit WHERE id = $1`},
		{"born granted", s.approver, asked, `INSERT INTO visit (municipality_id, state, reason, reference, scope, minutes, asked_by, asked_at, for_support, answer_by, answered_by, answered_at, ends_at)
			SELECT 1, 'granted', 'other', 'x', 'municipality', 60, 142, frist_now(), false, frist_now(), ` + me + `, frist_now(), frist_now() WHERE $1::uuid IS NOT NULL`},
		{"asked in another's name", s.sara, asked, `INSERT INTO visit (municipality_id, reason, reference, scope, minutes, asked_by, asked_at, for_support, answer_by, visitor)
			SELECT 1, 'other', 'x', 'municipality', 60, 904, frist_now(), true, frist_now(), 904 WHERE $1::uuid IS NOT NULL`},
		{"support asks as a municipality", s.sara, asked, `INSERT INTO visit (municipality_id, reason, reference, scope, minutes, asked_by, asked_at, for_support, answer_by)
			SELECT 1, 'other', 'x', 'municipality', 60, ` + me + `, frist_now(), false, frist_now() WHERE $1::uuid IS NOT NULL`},
		{"support reads whom it is about", s.sara, asked, `SELECT only_client FROM visit WHERE id = $1`},
		{"an event is rewritten", s.approver, live, `UPDATE visit_event SET act = 'x' WHERE visit_id = $1`},
	} {
		n := int64(0)
		err := s.do(c.by, func(ctx context.Context, tx *pg.Tx) (err error) { n, err = tx.Exec(ctx, c.sql, c.id); return err })
		if err == nil {
			t.Errorf("%s: %d rows", c.name, n)
		}
	}
	if n := s.Count(t, `SELECT count(*) FROM visit WHERE state = 'asked'`); n != 2 {
		t.Errorf("%d requests wait", n)
	}
}

// The database's clock is not the program's: outside a demo, where each tells its own, a grant that is written down some
// moments off is taken, and one that begins an hour from now or ago is not.
func TestTwoClocks(t *testing.T) {
	s := newStage(t)
	id := s.ask(s.sara, plain)
	for _, c := range []struct {
		off  time.Duration
		want string
	}{{time.Hour, "visit_step"}, {-time.Hour, "visit_step"}, {2 * time.Minute, ""}} {
		at := s.Now().Add(c.off)
		err := s.do(s.approver, func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE visit SET state = 'granted', answered_by = $2, answered_at = $3, ends_at = $3::timestamptz + interval '60 minutes' WHERE id = $1`, id, s.approver.Account, at)
			return err
		})
		if code(err) != c.want {
			t.Errorf("%s off: %q", c.off, code(err))
		}
	}
	if _, err := s.inside(s.sara, id); err != nil {
		t.Errorf("granted a moment ahead: %v", err)
	}
}

// A visit is a part of the access log: it goes when the municipality's rule for the log lets its last instant go, not a day
// before, by the sweep and by nobody else, and takes its steps along.
func TestAVisitGoesWithTheLog(t *testing.T) {
	s := newStage(t)
	var cutoff time.Time
	s.must(access.SystemFor(s.A), func(ctx context.Context, tx *pg.Tx) error {
		return tx.QueryRow(ctx, `SELECT log_cutoff('access_log')`).Scan(&cutoff)
	})
	s.Exec(t, `ALTER TABLE visit DISABLE TRIGGER visit_guard`) // which lets nobody ask five years ago
	old := func(m int, ends time.Time) (id uuid.UUID) {
		t.Helper()
		id = uuid.New()
		s.Exec(t, `INSERT INTO visit (municipality_id, id, state, reason, reference, scope, minutes, asked_by, asked_at, for_support, answer_by, answered_by, answered_at, ends_at)
			VALUES ($1, $2, 'granted', 'other', '1', 'municipality', 60, 7, $3::timestamptz - interval '2 days', false, $3, 8, $3::timestamptz - interval '1 hour', $3)`, m, id, ends)
		return id
	}
	gone, stays, over := old(s.A, cutoff.Add(-time.Second)), old(s.A, cutoff.Add(time.Second)), old(s.B, cutoff.Add(-time.Second))
	s.Exec(t, `ALTER TABLE visit ENABLE TRIGGER visit_guard`)
	for _, sql := range []string{`DELETE FROM visit`, `DELETE FROM visit_event`, `TRUNCATE visit, visit_event`, `TRUNCATE visit_event`} {
		if _, err := s.Admin.Exec(t.Context(), sql); err == nil {
			t.Errorf("the owner: %s", sql)
		}
	}
	if err := s.do(access.SystemFor(s.A), func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM visit WHERE id = $1`, stays)
		return err
	}); err == nil {
		t.Error("the sweep took one too early")
	}
	for range 2 { // the second time there is nothing to do and nothing to tell
		s.must(access.SystemFor(s.A), func(ctx context.Context, tx *pg.Tx) error {
			more, err := visit.Expire(ctx, tx)
			if more {
				t.Error("more")
			}
			return err
		})
	}
	for id, want := range map[uuid.UUID]int{gone: 0, stays: 1, over: 1} {
		if n := s.Count(t, `SELECT count(*) FROM visit WHERE id = $1`, id); n != want {
			t.Errorf("%d visits, want %d", n, want)
		}
		if n := s.Count(t, `SELECT count(*) FROM visit_event WHERE visit_id = $1`, id); n != want {
			t.Errorf("%d steps, want %d", n, want)
		}
	}
	if n := s.Count(t, `SELECT count(*) FROM audit WHERE act = 'log_expired' AND detail = '{"class": "visit", "count": 1}'`); n != 1 {
		t.Errorf("%d rows tell", n)
	}
	if err := s.do(s.approver, func(ctx context.Context, tx *pg.Tx) error { _, err := visit.Expire(ctx, tx); return err }); code(err) != "permission" {
		t.Errorf("an approver: %v", err)
	}
}
