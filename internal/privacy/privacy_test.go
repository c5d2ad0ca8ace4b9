package privacy_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

type stage struct {
	*pgtest.World
	t *testing.T
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{pgtest.NewWorld(t), t}
	audit.RecordRefusals(s.DB)
	return s
}

type act = func(ctx context.Context, tx *pg.Tx) error

func (s *stage) try(role access.Role, m int, fn act) error {
	return s.tryAs(s.As(role, m), fn)
}

func (s *stage) tryAs(caller access.Caller, fn act) error {
	return s.DB.InTx(s.t.Context(), caller, func(tx *pg.Tx) error { return fn(s.t.Context(), tx) })
}

func (s *stage) do(role access.Role, m int, fn act) {
	s.t.Helper()
	if err := s.try(role, m, fn); err != nil {
		s.t.Fatalf("%s in %d: %v", role, m, err)
	}
}

func conflict(err error, code string) bool {
	var c problem.Conflict
	return errors.As(err, &c) && c.Code == code
}

func forbidden(err error, code string) bool {
	var f problem.Forbidden
	return errors.As(err, &f) && f.Code == code
}

func invalid(err error, field, code string) bool {
	var i problem.Invalid
	return errors.As(err, &i) && slices.ContainsFunc(i.Fields, func(f problem.Field) bool { return f.Name == field && f.Code == code })
}

func (s *stage) facts(ago time.Duration) privacy.Facts {
	return privacy.Facts{Kind: "wrong_access", DiscoveredAt: s.Now().Add(-ago), Persons: []string{"clients"}, Categories: []string{"identity", "health"}}
}

// report opens a deviation as a caseworker of municipality m, found a while ago.
func (s *stage) report(m int, ago time.Duration) (id uuid.UUID) {
	s.t.Helper()
	s.do(access.Caseworker, m, func(ctx context.Context, tx *pg.Tx) (err error) {
		id, err = privacy.Report(ctx, tx, s.facts(ago), privacy.Account{What: "En liste lå framme i gangen."})
		return err
	})
	return id
}

func (s *stage) find(m int, id uuid.UUID) (c privacy.Case) {
	s.t.Helper()
	s.do(access.PrivacyOfficer, m, func(ctx context.Context, tx *pg.Tx) (err error) {
		c, err = privacy.FindDeviation(ctx, tx, id)
		return err
	})
	return c
}

func tell(id uuid.UUID, n privacy.Notice) act {
	return func(ctx context.Context, tx *pg.Tx) error { return privacy.Tell(ctx, tx, id, n) }
}

func TestClocksStopAtTheirLastSecondAndNotAfter(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		hours int
		party string
		clock int
	}{{24, "nsm", 0}, {72, "datatilsynet", 1}} {
		limit := time.Duration(c.hours) * time.Hour
		for _, off := range []struct {
			by   time.Duration
			late bool
		}{{-time.Second, false}, {0, false}, {time.Second, true}} {
			id := s.report(s.A, 0)
			found := s.Now()
			s.SetNow(found.Add(limit + off.by))
			if clock := s.find(s.A, id).Clocks[c.clock]; clock.Late != off.late || clock.Stopped != nil || clock.Left != -off.by {
				t.Errorf("%s: running at %s: %+v", c.party, off.by, clock)
			}
			at := s.Now()
			s.do(access.Approver, s.A, tell(id, privacy.Notice{Party: c.party, At: at, Note: "Oppdaget i helgen."}))
			s.SetNow(at.Add(1000 * time.Hour)) // stopped is stopped
			if clock := s.find(s.A, id).Clocks[c.clock]; clock.Late != off.late || clock.Stopped == nil || !clock.Stopped.Equal(at) {
				t.Errorf("%s: told at %s: %+v", c.party, off.by, clock)
			}
		}
	}
	// The municipality sets the first clock, and each has its own.
	id, other := s.report(s.A, 0), s.report(s.B, 0)
	s.Exec(t, `UPDATE municipality_policy SET first_notice_hours = 12 WHERE municipality_id = $1`, s.A)
	s.SetNow(s.Now().Add(13 * time.Hour))
	if !s.find(s.A, id).Clocks[0].Late || s.find(s.B, other).Clocks[0].Late {
		t.Error("a clock of twelve hours is not late after thirteen, or another municipality's is")
	}
}

// Whatever is told and decided, in whatever order: a clock stands still from the earliest of it, and is late exactly when
// that lies past its end.
func TestClocksStopAtTheEarliest(t *testing.T) {
	s := newStage(t)
	rapid.Check(t, func(r *rapid.T) {
		id := s.report(s.A, 0)
		found := s.Now()
		minutes := rapid.SliceOfN(rapid.IntRange(0, 80*60), 1, 4).Draw(r, "told after minutes")
		s.SetNow(found.Add(81 * time.Hour))
		for _, m := range minutes {
			s.do(access.Approver, s.A, tell(id, privacy.Notice{Party: "datatilsynet", At: found.Add(time.Duration(m) * time.Minute), Note: "x"}))
		}
		c := s.find(s.A, id).Clocks[1]
		first := slices.Min(minutes)
		if c.Stopped == nil || !c.Stopped.Equal(found.Add(time.Duration(first)*time.Minute)) || c.Late != (first > 72*60) {
			r.Fatalf("%v: %+v", minutes, c)
		}
	})
}

func TestADeviationIsClosedByAnother(t *testing.T) {
	s := newStage(t)
	var id uuid.UUID
	s.do(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) (err error) {
		id, err = privacy.Report(ctx, tx, s.facts(time.Hour), privacy.Account{What: "Feil mottaker"})
		return err
	})
	closing := func(ctx context.Context, tx *pg.Tx) error { return privacy.Close(ctx, tx, id) }
	before := s.Count(t, `SELECT count(*) FROM audit WHERE refused`)
	if err := s.try(access.Approver, s.A, closing); !forbidden(err, "own_deviation") {
		t.Errorf("the reporter closes: %v", err)
	}
	if n := s.Count(t, `SELECT count(*) FROM audit WHERE refused`); n != before+1 {
		t.Errorf("%d refusals recorded, want one", n-before)
	}
	if err := s.try(access.Administrator, s.A, closing); !invalid(err, "cause", "required") || !invalid(err, "measures", "required") {
		t.Errorf("closed without cause and measures: %v", err)
	}
	describe := func(version int, text privacy.Account) act {
		return func(ctx context.Context, tx *pg.Tx) error {
			return privacy.Describe(ctx, tx, id, version, s.facts(time.Hour), text)
		}
	}
	text := privacy.Account{What: "Feil mottaker", Cause: "Autofyll", Measures: "Slått av"}
	s.do(access.Approver, s.A, describe(1, text))
	if err := s.try(access.Administrator, s.A, describe(1, text)); !conflict(err, "stale") {
		t.Errorf("two wrote on the same version: %v", err)
	}
	if err := s.try(access.Administrator, s.A, closing); !conflict(err, "deviation_undecided") {
		t.Errorf("closed without a decision about Datatilsynet: %v", err)
	}
	if err := s.try(access.Administrator, s.A, func(ctx context.Context, tx *pg.Tx) error { return privacy.DecideNot(ctx, tx, id, "datatilsynet", " ") }); !invalid(err, "note", "required") {
		t.Errorf("decided without a reason: %v", err)
	}
	s.do(access.Administrator, s.A, func(ctx context.Context, tx *pg.Tx) error {
		return privacy.DecideNot(ctx, tx, id, "datatilsynet", "Lite sannsynlig at det medfører en risiko.")
	})
	for _, role := range []access.Role{access.Caseworker, access.PrivacyOfficer} {
		if err := s.try(role, s.A, closing); !forbidden(err, "permission") {
			t.Errorf("%s closes: %v", role, err)
		}
	}
	// What the code forgot the database refuses: the same by SQL, as the reporter.
	err := s.try(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE deviation SET state = 'closed', settled_by = $2, settled_at = now() WHERE id = $1`, id, tx.Caller.Account)
		return err
	})
	if !conflict(err, "own_deviation") {
		t.Errorf("the reporter closes by SQL: %v", err)
	}
	s.do(access.Administrator, s.A, closing)
	for name, again := range map[string]act{
		"closed twice": closing, "described": describe(2, text), "told": tell(id, privacy.Notice{Party: "kin", At: s.Now()}),
		"confirmed": func(ctx context.Context, tx *pg.Tx) error { return privacy.Confirm(ctx, tx, id) },
	} {
		if err := s.try(access.Administrator, s.A, again); !conflict(err, "deviation_step") {
			t.Errorf("%s after it was closed: %v", name, err)
		}
	}
	s.do(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) error { return privacy.Reopen(ctx, tx, id, "Flere berørte.") })
	c := s.find(s.A, id)
	var acts []string
	for _, a := range c.Acts {
		acts = append(acts, a.Act)
	}
	if c.State != privacy.Open || !slices.Equal(acts, []string{"reported", "changed", "not_told", "closed", "reopened"}) || len(c.Accounts) != 2 {
		t.Errorf("%s, %v, %d accounts", c.State, acts, len(c.Accounts))
	}
}

func TestHistoryIsNotRewritten(t *testing.T) {
	s := newStage(t)
	id := s.report(s.A, time.Hour)
	s.do(access.Approver, s.A, tell(id, privacy.Notice{Party: "persons", At: s.Now()}))
	for _, sql := range []string{
		`UPDATE deviation_event SET act = 'changed'`, `DELETE FROM deviation_event`, `UPDATE deviation_text SET what = 'x'`, `DELETE FROM deviation_text`,
		`DELETE FROM deviation`, `UPDATE deviation SET reported_by = 0`, `UPDATE deviation SET reported_at = now()`,
		`UPDATE subprocessor_answer SET note = 'x'`, `UPDATE privacy_statement SET officer = 'x'`, `UPDATE subprocessor SET name = 'x'`, `INSERT INTO subprocessor_review VALUES (1)`,
	} {
		err := s.try(access.Administrator, s.A, func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
		if err == nil {
			t.Errorf("a person of the municipality may %s", sql)
		}
	}
	for _, sql := range []string{ // not even the owner of the tables
		`UPDATE deviation_event SET act = 'changed'`, `DELETE FROM deviation_event`, `UPDATE deviation_text SET what = 'x'`, `DELETE FROM deviation_text`, `DELETE FROM deviation`,
	} {
		if _, err := s.Admin.Exec(t.Context(), sql); err == nil {
			t.Errorf("the owner may %s", sql)
		}
	}
	// A clock is not put back, in Go or by SQL.
	f := s.facts(30 * time.Minute)
	err := s.try(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) error {
		return privacy.Describe(ctx, tx, id, 1, f, privacy.Account{What: "x"})
	})
	if !invalid(err, "discovered_at", "discovered_later") {
		t.Errorf("discovered later: %v", err)
	}
	err = s.try(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE deviation SET discovered_at = discovered_at + interval '1 second' WHERE id = $1`, id)
		return err
	})
	if !conflict(err, "deviation_step") {
		t.Errorf("discovered later by SQL: %v", err)
	}
}

func TestWhoeverSeesNobodyReportsNoWords(t *testing.T) {
	s := newStage(t)
	for role, source := range map[access.Role]string{access.Support: "support", access.Operator: "supplier"} {
		var id uuid.UUID
		s.do(role, s.A, func(ctx context.Context, tx *pg.Tx) (err error) {
			f := s.facts(time.Hour)
			f.Affected = new(int)
			*f.Affected = 12
			id, err = privacy.Report(ctx, tx, f, privacy.Account{})
			return err
		})
		before := s.Count(t, `SELECT count(*) FROM audit WHERE refused AND detail->>'code' = 'no_free_text'`)
		err := s.try(role, s.A, func(ctx context.Context, tx *pg.Tx) error {
			_, err := privacy.Report(ctx, tx, s.facts(time.Hour), privacy.Account{Measures: "Kari Nordmann"})
			return err
		})
		if !forbidden(err, "no_free_text") || s.Count(t, `SELECT count(*) FROM audit WHERE refused AND detail->>'code' = 'no_free_text'`) != before+1 {
			t.Errorf("%s writes words: %v", role, err)
		}
		for _, sql := range []string{
			`INSERT INTO deviation_text VALUES (1, $1, 1, 'x', '', '', '', '', 0, now())`, `INSERT INTO deviation_event (municipality_id, deviation_id, at, account_id, role, act, note) VALUES (1, $1, now(), 0, 'x', 'changed', 'x')`,
			`SELECT id FROM deviation WHERE id = $1`, `SELECT note FROM deviation_event WHERE deviation_id = $1`, `SELECT what FROM deviation_text WHERE deviation_id = $1`, `UPDATE deviation SET affected = 1 WHERE id = $1`,
		} {
			err := s.try(role, s.A, func(ctx context.Context, tx *pg.Tx) error {
				_, err := tx.Exec(ctx, sql, id)
				return err
			})
			if state := (pg.StateError{}); !errors.As(err, &state) || state.State != "42501" {
				t.Errorf("%s: %s: %v", role, sql, err)
			}
		}
		// In another's name, or as another's: refused.
		err = s.try(role, s.A, func(ctx context.Context, tx *pg.Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO deviation (municipality_id, id, kind, source, reported_by, reported_at, discovered_at) VALUES (1, gen_random_uuid(), 'integrity', 'municipality', 101, $1, $1)`, tx.Now())
			return err
		})
		if !conflict(err, "deviation_step") {
			t.Errorf("%s reports in another's name: %v", role, err)
		}
		// They see their own again, by number and state, wherever they stand; and the municipality sees it whole.
		var own []privacy.OwnReport
		s.do(role, s.B, func(ctx context.Context, tx *pg.Tx) (err error) {
			own, err = privacy.OwnReports(ctx, tx)
			return err
		})
		if len(own) != 1 || own[0].ID != id || own[0].MunicipalityID != s.A || own[0].State != privacy.Open {
			t.Errorf("%s sees %+v", role, own)
		}
		c := s.find(s.A, id)
		if c.Source != source || *c.Affected != 12 || c.ReportedBy != s.As(role, 0).Account {
			t.Errorf("%+v", c)
		}
		// The processor's duty is to tell the controller: that stops the first clock, which it does not for the municipality's own.
		s.do(access.Approver, s.A, tell(id, privacy.Notice{Party: "controller", At: s.Now()}))
		if c := s.find(s.A, id); c.Clocks[0].Stopped == nil {
			t.Error("the controller was told, and the first clock runs")
		}
		for name, fn := range map[string]act{
			"list": func(ctx context.Context, tx *pg.Tx) error {
				_, _, err := privacy.Deviations(ctx, tx, uuid.Nil)
				return err
			},
			"read":     func(ctx context.Context, tx *pg.Tx) error { _, err := privacy.FindDeviation(ctx, tx, id); return err },
			"register": func(ctx context.Context, tx *pg.Tx) error { _, err := privacy.Register(ctx, tx); return err },
			"close":    func(ctx context.Context, tx *pg.Tx) error { return privacy.Close(ctx, tx, id) },
			"export":   func(ctx context.Context, tx *pg.Tx) error { _, err := privacy.NoticeOf(ctx, tx, id); return err },
		} {
			if err := s.try(role, s.A, fn); !forbidden(err, "permission") {
				t.Errorf("%s may %s: %v", role, name, err)
			}
		}
	}
	own := s.report(s.A, time.Hour)
	s.do(access.Approver, s.A, tell(own, privacy.Notice{Party: "controller", At: s.Now()}))
	if s.find(s.A, own).Clocks[0].Stopped != nil {
		t.Error("the municipality told itself, and the first clock stands")
	}
}

func TestAnotherMunicipalityHasNoSuchDeviation(t *testing.T) {
	s := newStage(t)
	id := s.report(s.A, time.Hour)
	for name, fn := range map[string]func(id uuid.UUID) act{
		"find": func(id uuid.UUID) act {
			return func(ctx context.Context, tx *pg.Tx) error { _, err := privacy.FindDeviation(ctx, tx, id); return err }
		},
		"notice": func(id uuid.UUID) act {
			return func(ctx context.Context, tx *pg.Tx) error { _, err := privacy.NoticeOf(ctx, tx, id); return err }
		},
		"tell": func(id uuid.UUID) act { return tell(id, privacy.Notice{Party: "nsm", At: s.Now()}) },
		"decide": func(id uuid.UUID) act {
			return func(ctx context.Context, tx *pg.Tx) error { return privacy.DecideNot(ctx, tx, id, "nsm", "x") }
		},
		"close": func(id uuid.UUID) act {
			return func(ctx context.Context, tx *pg.Tx) error { return privacy.Close(ctx, tx, id) }
		},
		"confirm": func(id uuid.UUID) act {
			return func(ctx context.Context, tx *pg.Tx) error { return privacy.Confirm(ctx, tx, id) }
		},
		"dismiss": func(id uuid.UUID) act {
			return func(ctx context.Context, tx *pg.Tx) error { return privacy.Dismiss(ctx, tx, id, "x") }
		},
		"reopen": func(id uuid.UUID) act {
			return func(ctx context.Context, tx *pg.Tx) error { return privacy.Reopen(ctx, tx, id, "x") }
		},
		"describe": func(id uuid.UUID) act {
			return func(ctx context.Context, tx *pg.Tx) error {
				return privacy.Describe(ctx, tx, id, 1, s.facts(time.Hour), privacy.Account{What: "x"})
			}
		},
	} {
		foreign, missing := s.try(access.Approver, s.B, fn(id)), s.try(access.Approver, s.B, fn(uuid.New()))
		if !errors.As(foreign, new(problem.NotFound)) || foreign.Error() != missing.Error() {
			t.Errorf("%s: %v, and of nobody's: %v", name, foreign, missing)
		}
	}
	var list []privacy.Listed
	s.do(access.Approver, s.B, func(ctx context.Context, tx *pg.Tx) (err error) {
		list, _, err = privacy.Deviations(ctx, tx, uuid.Nil)
		return err
	})
	if len(list) != 0 {
		t.Errorf("the other municipality's list: %+v", list)
	}
}

func TestADeviationGoesByItsRule(t *testing.T) {
	s := newStage(t)
	open, id := s.report(s.A, time.Hour), s.report(s.A, time.Hour)
	s.do(access.Administrator, s.A, func(ctx context.Context, tx *pg.Tx) error {
		return errors.Join(privacy.Describe(ctx, tx, id, 1, s.facts(time.Hour), privacy.Account{What: "x", Cause: "y", Measures: "z"}), privacy.DecideNot(ctx, tx, id, "datatilsynet", "x"))
	})
	s.do(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) error { return privacy.Close(ctx, tx, id) })
	closed := s.Now()
	expire := func() error { return s.tryAs(access.SystemFor(s.A), privacy.Expire) }
	left := func() int { return s.Count(t, `SELECT count(*) FROM deviation WHERE municipality_id = 1`) }
	due := calendar.DateOf(closed).AddMonths(120)
	s.SetNow(due.AddDays(-1).UTC().Add(12 * time.Hour))
	if err := expire(); err != nil || left() != 2 {
		t.Fatalf("the day before: %d left, %v", left(), err)
	}
	err := s.tryAs(access.SystemFor(s.A), func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM deviation WHERE id = $1`, id)
		return err
	})
	if !conflict(err, "deviation_step") {
		t.Errorf("deleted a day early: %v", err)
	}
	s.SetNow(due.UTC().Add(12 * time.Hour))
	if err := expire(); err != nil || left() != 1 {
		t.Fatalf("on the day: %d left, %v", left(), err)
	}
	if n := s.Count(t, `SELECT count(*) FROM deviation_text WHERE deviation_id = $1`, id) + s.Count(t, `SELECT count(*) FROM deviation_event WHERE deviation_id = $1`, id); n != 0 {
		t.Errorf("%d rows of it are left", n)
	}
	if s.find(s.A, open).State != privacy.Open {
		t.Error("an open one is gone")
	}
}

func TestTheProductDraftsOnce(t *testing.T) {
	s := newStage(t)
	var round int64
	if err := s.Admin.QueryRow(t.Context(), `INSERT INTO deletion_round (municipality_id, kind, run_on, number, state, state_since) VALUES (1, 'scheduled', '2030-01-01', 'x', 'open', now()) RETURNING id`).Scan(&round); err != nil {
		t.Fatal(err)
	}
	found := func(ctx context.Context, tx *pg.Tx) error { return privacy.Found(ctx, tx, round, "list_changed") }
	for range 2 {
		if err := s.tryAs(access.SystemFor(s.A), found); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.try(access.Approver, s.A, found); !forbidden(err, "permission") {
		t.Errorf("an approver drafts as the product: %v", err)
	}
	var list []privacy.Listed
	s.do(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) (err error) {
		list, _, err = privacy.Deviations(ctx, tx, uuid.Nil)
		return err
	})
	if len(list) != 1 || list[0].State != privacy.Draft || list[0].Source != "system" || list[0].Clocks[1].Stopped != nil {
		t.Fatalf("%+v", list)
	}
	id := list[0].ID
	s.do(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) error { return privacy.Confirm(ctx, tx, id) })
	s.do(access.Approver, s.A, func(ctx context.Context, tx *pg.Tx) error {
		return errors.Join(privacy.Describe(ctx, tx, id, 0, list[0].Facts, privacy.Account{What: "x", Cause: "y", Measures: "z"}), privacy.DecideNot(ctx, tx, id, "datatilsynet", "x"))
	})
	closing := func(ctx context.Context, tx *pg.Tx) error { return privacy.Close(ctx, tx, id) }
	if err := s.try(access.Approver, s.A, closing); !forbidden(err, "own_deviation") {
		t.Errorf("whoever confirmed it closes it: %v", err)
	}
	s.do(access.Administrator, s.A, closing)
}

func company(name string) privacy.Subprocessor {
	return privacy.Subprocessor{
		Name: name, Service: "camera", Purpose: "Kamera", Data: "Bilde i sanntid", AccessRule: "request", StaffCountries: []string{"SE", "NO", "SE"},
		Encryption: "not_needed", Copies: "none",
	}
}

func (s *stage) announce(c privacy.Subprocessor) (id int64) {
	s.t.Helper()
	s.do(access.PlatformAdministrator, 0, func(ctx context.Context, tx *pg.Tx) (err error) {
		id, err = privacy.Announce(ctx, tx, c)
		return err
	})
	return id
}

func (s *stage) register(m int) (list []privacy.Entry) {
	s.t.Helper()
	s.do(access.PrivacyOfficer, m, func(ctx context.Context, tx *pg.Tx) (err error) {
		list, err = privacy.Register(ctx, tx)
		return err
	})
	return list
}

func TestANewSubprocessorGivesEveryMunicipalityItsTime(t *testing.T) {
	s := newStage(t)
	today := calendar.DateOf(s.Now())
	id := s.announce(company("Axis"))
	for _, m := range []int{s.A, s.B} {
		e := s.register(m)[0]
		if e.Current != nil || e.Used || e.Planned == nil || e.Open(today) == nil || *e.Planned.ObjectBy != today.AddDays(30) || e.Planned.ValidFrom != today.AddDays(31) || !slices.Equal(e.Planned.StaffCountries, []string{"NO", "SE"}) {
			t.Fatalf("%d: %+v", m, e)
		}
	}
	respond := func(answer, reference, note string) act {
		return func(ctx context.Context, tx *pg.Tx) error {
			return privacy.Respond(ctx, tx, id, 1, privacy.Answer{Answer: answer, Reference: reference, Note: note})
		}
	}
	if err := s.try(access.Administrator, s.A, respond("objected", "", "")); !invalid(err, "note", "required") || !invalid(err, "reference", "required") {
		t.Errorf("objected without reasons: %v", err)
	}
	if err := s.try(access.Caseworker, s.A, respond("noted", "", "")); !forbidden(err, "permission") {
		t.Errorf("a caseworker answers: %v", err)
	}
	s.do(access.Administrator, s.A, respond("objected", "23/17", "Vi vil ikke ha kamera hos Zq7."))
	if err := s.try(access.Administrator, s.A, respond("noted", "", "")); !conflict(err, "duplicate") {
		t.Errorf("answered twice: %v", err)
	}
	if s.register(s.A)[0].Open(today) != nil || s.register(s.B)[0].Open(today) == nil {
		t.Error("the one has answered, the other has not")
	}
	// The processor sees that, under which number, and not why.
	s.do(access.PlatformAdministrator, 0, func(ctx context.Context, tx *pg.Tx) error {
		_, answers, err := privacy.Shared(ctx, tx)
		if len(answers) != 1 || answers[0].Answer != "objected" || answers[0].Reference != "23/17" || answers[0].MunicipalityID != s.A {
			t.Errorf("%+v", answers)
		}
		return err
	})
	err := s.try(access.PlatformAdministrator, 0, func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `SELECT note FROM subprocessor_answer`)
		return err
	})
	if err == nil {
		t.Error("the processor reads why")
	}
	// The last day counts, the next does not, in Go and by SQL.
	s.SetNow(today.AddDays(30).UTC().Add(20 * time.Hour))
	s.do(access.PlatformAdministrator, 0, func(ctx context.Context, tx *pg.Tx) error {
		return privacy.FollowUp(ctx, tx, id, privacy.Review{ReviewedOn: today, NextDue: today.AddDays(365), Outcome: "fine", Reference: "R-1"})
	})
	if s.register(s.B)[0].Open(today.AddDays(30)) == nil {
		t.Error("closed on the last day")
	}
	s.SetNow(today.AddDays(31).UTC().Add(8 * time.Hour))
	if err := s.try(access.Administrator, s.B, respond("noted", "", "")); !conflict(err, "objection_late") {
		t.Errorf("answered late: %v", err)
	}
	err = s.try(access.Administrator, s.B, func(ctx context.Context, tx *pg.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO subprocessor_answer (municipality_id, subprocessor_id, version, answer, answered_by, answered_at) VALUES (2, $1, 1, 'noted', 1, now())`, id)
		return err
	})
	if !conflict(err, "objection_late") {
		t.Errorf("answered late by SQL: %v", err)
	}
	e := s.register(s.B)[0]
	if e.Current == nil || e.Used || e.Review == nil || e.Overdue {
		t.Errorf("in force: %+v", e)
	}
	// Use is the municipality's own.
	s.do(access.Administrator, s.B, func(ctx context.Context, tx *pg.Tx) error {
		return privacy.StartUse(ctx, tx, id, today.AddDays(31))
	})
	if !s.register(s.B)[0].Used || s.register(s.A)[0].Used {
		t.Error("the one uses it, the other does not")
	}
	if err := s.try(access.Administrator, s.B, func(ctx context.Context, tx *pg.Tx) error { return privacy.StartUse(ctx, tx, id, today.AddDays(31)) }); !conflict(err, "used_already") {
		t.Errorf("used twice: %v", err)
	}
	s.do(access.Administrator, s.B, func(ctx context.Context, tx *pg.Tx) error { return privacy.EndUse(ctx, tx, id, today.AddDays(31)) })
	s.SetNow(today.AddDays(32).UTC().Add(8 * time.Hour))
	if e := s.register(s.B)[0]; e.Used || len(e.Uses) != 1 {
		t.Errorf("ended: %+v", e.Uses)
	}
}

func TestSubprocessorsAreNotChangedBehindAnybodysBack(t *testing.T) {
	s := newStage(t)
	today := calendar.DateOf(s.Now())
	id := s.announce(company("Axis"))
	try := func(change func(*privacy.Subprocessor)) error {
		return s.try(access.PlatformAdministrator, 0, func(ctx context.Context, tx *pg.Tx) error {
			c := company("Axis")
			c.ID = id
			change(&c)
			_, err := privacy.Announce(ctx, tx, c)
			return err
		})
	}
	us, early := "US", today.AddDays(29)
	for _, c := range []struct {
		field, code string
		change      func(*privacy.Subprocessor)
	}{
		{"change", "needs_notice", func(c *privacy.Subprocessor) { c.Change, c.StaffCountries = "corrected", []string{"NO"} }},
		{"change", "needs_notice", func(c *privacy.Subprocessor) { c.Change, c.AccessRule = "corrected", "role" }},
		{"transfer_basis", "transfer_basis_due", func(c *privacy.Subprocessor) { c.StaffCountries = []string{"NO", "US"} }},
		{"transfer_basis", "transfer_basis_due", func(c *privacy.Subprocessor) { c.Place = &us }},
		{"transfer_basis", "not_adequate", func(c *privacy.Subprocessor) { c.Place, c.TransferBasis = &us, &privacy.TransferBases[0] }},
		{"object_by", "objection_short", func(c *privacy.Subprocessor) { c.ObjectBy = &early }},
		{"in_force", "before_objection", func(c *privacy.Subprocessor) { c.ValidFrom = today.AddDays(30) }},
		{"storage", "country", func(c *privacy.Subprocessor) { x := "XX"; c.Place = &x }},
		{"staff_countries", "country", func(c *privacy.Subprocessor) { c.StaffCountries = []string{"norge"} }},
		{"copies_days", "between", func(c *privacy.Subprocessor) { c.Copies = "backup" }},
		{"name", "required", func(c *privacy.Subprocessor) { c.Name = "  " }},
		{"purpose", "too_long", func(c *privacy.Subprocessor) { c.Purpose = strings.Repeat("å", 501) }},
		{"service", "choice", func(c *privacy.Subprocessor) { c.Service = "x" }},
	} {
		if err := try(c.change); !invalid(err, c.field, c.code) {
			t.Errorf("%s %s: %v", c.field, c.code, err)
		}
	}
	if err := try(func(c *privacy.Subprocessor) { c.Change, c.Purpose = "corrected", "Kameratilsyn" }); err != nil {
		t.Errorf("a correction: %v", err)
	}
	if err := try(func(c *privacy.Subprocessor) { c.Change, c.ValidFrom = "ended", today }); err != nil {
		t.Errorf("the end: %v", err)
	}
	if err := try(func(*privacy.Subprocessor) {}); !conflict(err, "subprocessor_ended") {
		t.Errorf("changed after its end: %v", err)
	}
	if v := s.register(s.A)[0].Versions; len(v) != 3 || v[0].Change != "ended" || v[2].Purpose != "Kamera" {
		t.Errorf("%+v", v)
	}
	for _, role := range []access.Role{access.Administrator, access.Support, access.Operator} {
		err := s.try(role, s.A, func(ctx context.Context, tx *pg.Tx) error {
			_, err := privacy.Announce(ctx, tx, company("Y"))
			return err
		})
		if !forbidden(err, "permission") {
			t.Errorf("%s announces: %v", role, err)
		}
	}
}

func TestCountries(t *testing.T) {
	if n := len(privacy.EEACountries()); n != 30 {
		t.Errorf("%d members of the EEA, want 27 of the EU, Iceland, Liechtenstein and Norway", n)
	}
	for code, want := range map[privacy.Country]bool{"NO": true, "IS": true, "LI": true, "IE": true, "DE": true, "GR": true, "CH": false, "GB": false, "US": false, "IN": false, "UA": false, "SJ": false, "GL": false} {
		if code.EEA() != want || !code.Known() {
			t.Errorf("%s: in the EEA %t, known %t", code, code.EEA(), code.Known())
		}
	}
	for _, c := range privacy.EEACountries() {
		if !c.Known() || c.Adequate() || c.Name("nb") == string(c) {
			t.Errorf("%s: %q", c, c.Name("nb"))
		}
	}
	for _, code := range []privacy.Country{"XX", "no", "NOR", "", "EU", "U1", "UK"} {
		if code.Known() {
			t.Errorf("%q is taken for a country", code)
		}
	}
	if nb, en := privacy.Country("NO").Name("nb"), privacy.Country("NO").Name("en"); nb != "Norge" || en != "Norway" {
		t.Errorf("%s, %s", nb, en)
	}
	sc := company("x")
	sc.Place = new(string)
	*sc.Place = "US"
	sc.StaffCountries = []string{"GB", "NO", "US"}
	if got := sc.Outside(); !slices.Equal(got, []privacy.Country{"US", "GB"}) {
		t.Errorf("%v", got)
	}
}

func TestTheRecordOfProcessingHoldsEveryClassAndColumn(t *testing.T) {
	s := newStage(t)
	var p privacy.Processing
	s.do(access.PrivacyOfficer, s.A, func(ctx context.Context, tx *pg.Tx) (err error) {
		p, err = privacy.ProcessingOf(ctx, tx)
		return err
	})
	there := map[string]bool{}
	for _, c := range p.Classes {
		for _, table := range c.Tables {
			for _, column := range slices.Concat(table.Personal, table.Staff) {
				there[c.Class+" "+table.Table+"."+column] = true
			}
		}
	}
	var csv strings.Builder
	if err := p.WriteCSV(&csv); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, table := range explain.Catalogue() {
		for _, c := range table.Columns {
			if c.Kind == explain.Personal || c.Kind == explain.Staff {
				n++
				if !there[table.Class+" "+table.Name+"."+c.Name] {
					t.Errorf("%s.%s of %s is not in the record", table.Name, c.Name, table.Class)
				}
				if !strings.Contains(csv.String(), table.Class+";"+table.Name+";"+c.Name+";") {
					t.Errorf("%s.%s is not in the file", table.Name, c.Name)
				}
			}
		}
		if !strings.Contains(csv.String(), table.Class+";"+table.Name+";") {
			t.Errorf("%s is not in the file", table.Name)
		}
	}
	if n < 40 || n != len(there) {
		t.Errorf("%d columns declared, %d in the record", n, len(there))
	}
	for _, c := range p.Classes {
		if c.Class == "client_record" && (c.Rule == nil || c.Rule.PeriodMonths != 6) || c.Class == "deviation" && (c.Rule == nil || c.Rule.PeriodMonths != 120) {
			t.Errorf("%s has the rule %+v", c.Class, c.Rule)
		}
	}
}

func (s *stage) public(number string) (st privacy.Statement, err error) {
	err = s.DB.SignIn(s.t.Context(), func(tx *pg.Tx) (err error) {
		st, err = privacy.Public(s.t.Context(), tx, number)
		return err
	})
	return st, err
}

func TestThePublicSeesWhatIsPublishedAndInForce(t *testing.T) {
	s := newStage(t)
	today := calendar.DateOf(s.Now())
	draft := func(m int, text string) {
		s.do(access.Administrator, m, func(ctx context.Context, tx *pg.Tx) error {
			return privacy.SaveDraft(ctx, tx, privacy.StatementDraft{Controller: "Rådhuset", Officer: "ombud@example.no", Sections: privacy.Texts{"nb": {"about": text}}})
		})
	}
	publish := func(m int, from calendar.Date) {
		s.do(access.Administrator, m, func(ctx context.Context, tx *pg.Tx) error { _, err := privacy.Publish(ctx, tx, from); return err })
	}
	if err := s.try(access.Administrator, s.A, func(ctx context.Context, tx *pg.Tx) error { _, err := privacy.Publish(ctx, tx, today); return err }); !conflict(err, "statement_empty") {
		t.Errorf("published nothing: %v", err)
	}
	draft(s.A, "Første")
	missing := func(number string) error { _, err := s.public(number); return err }
	unpublished, unknown := missing(pgtest.NumberA), missing("9999")
	if !errors.As(unpublished, new(problem.NotFound)) || unpublished.Error() != unknown.Error() {
		t.Errorf("a draft shows: %v, %v", unpublished, unknown)
	}
	publish(s.A, today)
	draft(s.A, "Andre")
	publish(s.A, today.AddDays(1))
	draft(s.A, "Kladd")
	draft(s.B, "Tromsø")
	if got, err := s.public(pgtest.NumberA); err != nil || got.Sections.In("nb", "about") != "Første" || got.Version != 1 || len(got.Rules) < 9 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := missing(pgtest.NumberB); !errors.As(err, new(problem.NotFound)) {
		t.Errorf("the other municipality's draft: %v", err)
	}
	// Neither does the role at the door see more, whatever it asks.
	err := s.DB.SignIn(t.Context(), func(tx *pg.Tx) error {
		var n int
		if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM privacy_statement WHERE sections::text LIKE '%Andre%' OR valid_from > $1`, today).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d statements that are not in force: %v", n, err)
		}
		_, err := tx.Exec(t.Context(), `SELECT FROM privacy_draft`)
		return err
	})
	if state := (pg.StateError{}); !errors.As(err, &state) || state.State != "42501" {
		t.Errorf("the draft at the door: %v", err)
	}
	s.SetNow(today.AddDays(1).UTC().Add(12 * time.Hour))
	if got, err := s.public(pgtest.NumberA); err != nil || got.Sections.In("nb", "about") != "Andre" {
		t.Errorf("the day after: %+v, %v", got, err)
	}
	err = s.DB.SignIn(t.Context(), func(tx *pg.Tx) error {
		list, err := privacy.PublicStatements(t.Context(), tx)
		if len(list) != 1 || list[0].Number != pgtest.NumberA {
			t.Errorf("%+v", list)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for field, d := range map[string]privacy.StatementDraft{
		"nb.about": {Controller: "x", Officer: "y", Sections: privacy.Texts{"nb": {"about": strings.Repeat("x", 3501)}}},
		"nb.no":    {Controller: "x", Officer: "y", Sections: privacy.Texts{"nb": {"no": "x"}}},
		"sv.about": {Controller: "x", Officer: "y", Sections: privacy.Texts{"sv": {"about": "x"}}},
		"officer":  {Controller: "x"},
	} {
		err := s.try(access.Administrator, s.A, func(ctx context.Context, tx *pg.Tx) error { return privacy.SaveDraft(ctx, tx, d) })
		if !errors.As(err, new(problem.Invalid)) || !strings.Contains(err.Error(), field+"=") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer} {
		if err := s.try(role, s.A, func(ctx context.Context, tx *pg.Tx) error {
			_, err := privacy.Publish(ctx, tx, today.AddDays(9))
			return err
		}); !forbidden(err, "permission") {
			t.Errorf("%s publishes: %v", role, err)
		}
	}
}

// The tables behind the names answer to "nb" in Danish.
func TestCountriesAreCalledAsInNorway(t *testing.T) {
	for code, want := range map[privacy.Country][2]string{"FR": {"Frankrike", "France"}, "CH": {"Sveits", "Switzerland"}, "GB": {"Storbritannia", "United Kingdom"}, "CZ": {"Tsjekkia", "Czechia"}} {
		for i, lang := range []string{"nb", "en"} {
			if got := code.Name(lang); got != want[i] {
				t.Errorf("%s in %s is %s", code, lang, got)
			}
		}
	}
}
