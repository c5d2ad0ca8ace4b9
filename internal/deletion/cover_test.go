package deletion_test

import (
	"context"
	"errors"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// Without a standing instruction an act of support is refused and becomes a task for the municipality; a yes for the one
// round covers that one and no other; a confirmed instruction covers all; a revoked one none, at once (I13, D27).
func TestWhatNothingCoversBecomesATask(t *testing.T) {
	s := newStage(t)
	s.at("2023-10-01 07:00")
	s.sweep()
	rounds, _, _ := s.extraRounds(2)
	first, second := rounds[0], rounds[1]
	s.Exec(t, `UPDATE deletion_round SET state = 'proposed' WHERE id = ANY ($1)`, rounds)
	s.Exec(t, `UPDATE instruction SET revoked_at = $1`, s.Now())
	control := func(round int64) error {
		return s.by(s.A, access.Support, func(ctx context.Context, tx *pg.Tx) error { return deletion.RequestControl(ctx, tx, round) })
	}
	asked := func(err error) bool {
		var conflict problem.Conflict
		return errors.As(err, &conflict) && conflict.Code == "instruction_asked"
	}
	open := func() []municipality.InstructionRequest {
		t.Helper()
		var waiting []municipality.InstructionRequest
		s.must(s.by(s.A, access.Approver, func(ctx context.Context, tx *pg.Tx) error {
			all, err := municipality.InstructionRequests(ctx, tx, 0)
			for _, r := range all {
				if r.State == "asked" {
					waiting = append(waiting, r)
				}
			}
			return err
		}))
		return waiting
	}
	before := s.Count(t, `SELECT count(*) FROM river.river_job`)
	for range 2 { // asking again asks once
		if err := control(first); !asked(err) {
			t.Fatalf("a control that nothing covers: %v", err)
		}
	}
	if n := s.Count(t, `SELECT count(*) FROM river.river_job`); n != before || s.Count(t, `SELECT count(*) FROM deletion_round WHERE control_asked_at IS NOT NULL`) != 0 {
		t.Error("the control was ordered all the same")
	}
	tasks := open()
	if len(tasks) != 1 || tasks[0].RoundID != first || tasks[0].Action != municipality.PreRunControl {
		t.Fatalf("the municipality's tasks are %+v", tasks)
	}
	for name, do := range map[string]func(ctx context.Context, tx *pg.Tx) error{
		"a finding":             func(ctx context.Context, tx *pg.Tx) error { return deletion.Covered(ctx, tx, first) },
		"a look at the devices": func(ctx context.Context, tx *pg.Tx) error { _, err := deletion.SpotChecks(ctx, tx, first); return err },
	} {
		if err := s.by(s.A, access.Support, do); err == nil {
			t.Errorf("%s is let through", name)
		}
	}
	answer := func(role access.Role, id int64, once bool, words string) error {
		return s.by(s.A, role, func(ctx context.Context, tx *pg.Tx) error {
			return municipality.AnswerInstructionRequest(ctx, tx, id, once, words)
		})
	}
	for _, role := range []access.Role{access.Support, access.Caseworker, access.Administrator, access.PrivacyOfficer} {
		if err := answer(role, tasks[0].ID, true, ""); !errors.As(err, new(problem.Forbidden)) {
			t.Errorf("%s answers: %v", role, err)
		}
	}
	if err := answer(access.Approver, tasks[0].ID, false, " "); !errors.As(err, new(problem.Invalid)) {
		t.Errorf("no without a word: %v", err)
	}
	s.must(answer(access.Approver, tasks[0].ID, true, ""))
	if err := answer(access.Approver, tasks[0].ID, false, "x"); !errors.As(err, new(problem.Conflict)) {
		t.Errorf("a second answer: %v", err)
	}
	s.must(control(first))
	if basis := s.Count(t, `SELECT count(*) FROM audit WHERE act = 'round.control_asked' AND basis = 'request:' || $1::bigint`, tasks[0].ID); basis != 1 {
		t.Error("the act does not name the answer that covers it")
	}
	if n := s.Count(t, `SELECT count(*) FROM deletion_round WHERE id = $1 AND request_id = $2 AND instruction_id IS NULL`, first, tasks[0].ID); n != 1 {
		t.Error("the round does not store what it runs under")
	}
	if err := control(second); !asked(err) {
		t.Fatalf("the yes for one round covers another: %v", err)
	}
	// The standing answer: entered by one, confirmed by another.
	var id int64
	s.must(s.by(s.A, access.Administrator, func(ctx context.Context, tx *pg.Tx) (err error) {
		id, err = municipality.EnterInstruction(ctx, tx, municipality.NewInstruction{
			Action: municipality.PreRunControl, Scope: "Alle runder", ValidFrom: calendar.On(2023, 10, 1), DocumentReference: "23/7", DecidedBy: "Kommunedirektøren",
		})
		return err
	}))
	if err := control(second); !asked(err) {
		t.Fatalf("an instruction that nobody confirmed covers: %v", err)
	}
	confirm := func(role access.Role) error {
		return s.by(s.A, role, func(ctx context.Context, tx *pg.Tx) error { return municipality.ConfirmInstruction(ctx, tx, id) })
	}
	for _, role := range []access.Role{access.Administrator, access.Caseworker, access.Support} {
		if err := confirm(role); !errors.As(err, new(problem.Forbidden)) {
			t.Errorf("%s confirms: %v", role, err)
		}
	}
	s.must(confirm(access.Approver))
	if left := open(); len(left) != 0 {
		t.Errorf("the instruction answers, and %+v still wait", left)
	}
	s.must(control(second))
	s.must(s.by(s.A, access.Administrator, func(ctx context.Context, tx *pg.Tx) error { return municipality.RevokeInstruction(ctx, tx, id) }))
	if err := control(second); !asked(err) {
		t.Fatalf("a revoked instruction covers: %v", err)
	}
	s.must(answer(access.Approver, open()[0].ID, false, "Vent til over jul"))
	if err := control(second); !asked(err) || len(open()) != 1 {
		t.Errorf("after a no support may ask anew: %v", err)
	}
}

// The register is never edited, whoever writes.
func TestAnInstructionIsNeverEdited(t *testing.T) {
	s := newStage(t)
	s.at("2023-10-01 07:00")
	var id int64
	s.must(s.by(s.A, access.Administrator, func(ctx context.Context, tx *pg.Tx) (err error) {
		id, err = municipality.EnterInstruction(ctx, tx, municipality.NewInstruction{
			Action: municipality.CorrectContactData, Scope: "x", ValidFrom: calendar.On(2023, 10, 1), DocumentReference: "23/7", DecidedBy: "x",
		})
		return err
	}))
	for name, c := range map[string]struct {
		role access.Role
		sql  string
	}{
		"another scope":               {access.Administrator, `UPDATE instruction SET scope = 'y' WHERE id = $1`},
		"who entered confirms":        {access.Administrator, `UPDATE instruction SET confirmed_by = current_setting('frist.account')::bigint, confirmed_at = frist_now() WHERE id = $1`},
		"a caseworker confirms":       {access.Caseworker, `UPDATE instruction SET confirmed_by = current_setting('frist.account')::bigint, confirmed_at = frist_now() WHERE id = $1`},
		"confirmed in another's name": {access.Caseworker, `UPDATE instruction SET confirmed_by = 102, confirmed_at = frist_now() WHERE id = $1`},
		"away":                        {access.Approver, `DELETE FROM instruction WHERE id = $1`},
		"came with the agreement":     {access.Administrator, `INSERT INTO instruction (municipality_id, action, valid_from, document_reference, decided_by, entered_by) SELECT 1, 'pre_run_control', '2000-01-01', 'x', 'x', 0 WHERE $1::bigint > 0`},
		"entered by an approver":      {access.Approver, `INSERT INTO instruction (municipality_id, action, valid_from, document_reference, decided_by, entered_by, entered_at) SELECT 1, 'pre_run_control', '2000-01-01', 'x', 'x', 102, frist_now() WHERE $1::bigint > 0`},
		"entered by support":          {access.Support, `INSERT INTO instruction (municipality_id, action, valid_from, document_reference, decided_by) SELECT 1, 'pre_run_control', '2000-01-01', 'x', 'x' WHERE $1::bigint > 0`},
		"support answers itself":      {access.Support, `UPDATE instruction_request SET state = 'once' WHERE id <> $1`},
	} {
		if err := s.by(s.A, c.role, func(ctx context.Context, tx *pg.Tx) error { _, err := tx.Exec(ctx, c.sql, id); return err }); err == nil {
			t.Errorf("%s is let through", name)
		}
	}
	if _, err := s.Admin.Exec(t.Context(), `UPDATE instruction SET document_reference = 'y' WHERE id = $1`, id); err == nil {
		t.Error("the owner edits it")
	}
}
