package deletion_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

type act func(ctx context.Context, tx *pg.Tx) error

// Who tries what they may not, or not yet, is refused, and each try leaves one row that says so; nothing else changes.
func TestMisuse(t *testing.T) {
	s := newStage(t)
	audit.RecordRefusals(s.DB)
	s.at("2023-10-01 07:00")
	s.sweep()
	rounds, clients, _ := s.extraRounds(10)
	controlled, approvable, braked, started, running, free := rounds[0], rounds[1], rounds[2], rounds[3], rounds[4], rounds[5]
	early, warm, listed := rounds[7], rounds[8], rounds[9]
	id := clients[0]
	number := func(round int64) (number string) {
		s.must(s.Admin.QueryRow(t.Context(), `SELECT number FROM deletion_round WHERE id = $1`, round).Scan(&number))
		return number
	}
	approve := func(round int64) act {
		return func(ctx context.Context, tx *pg.Tx) error {
			return deletion.Approve(ctx, tx, round, deletion.Approval{})
		}
	}
	start := func(round int64) act {
		typed := number(round)
		return func(ctx context.Context, tx *pg.Tx) error { return deletion.Start(ctx, tx, round, typed) }
	}
	reject := func(round int64) act {
		return func(ctx context.Context, tx *pg.Tx) error { return deletion.Reject(ctx, tx, round, "other", "") }
	}
	lift := func(ctx context.Context, tx *pg.Tx) error { return deletion.LiftBrake(ctx, tx, braked) }

	// Account 1001 controls a round anew, and comes in other roles later.
	s.as(access.Approver, reject(controlled))
	controller := access.Caller{Account: 1001, Roles: []access.Role{access.Support}, Municipality: s.A, FreshUntil: s.Now().AddDate(1, 0, 0)}
	for _, do := range []act{
		func(ctx context.Context, tx *pg.Tx) error { return deletion.RequestControl(ctx, tx, controlled) },
		func(ctx context.Context, tx *pg.Tx) error { return deletion.FinishControl(ctx, tx, controlled) },
	} {
		s.must(s.DB.InTx(t.Context(), controller, func(tx *pg.Tx) error { return do(t.Context(), tx) }))
		s.clean()
	}
	for _, round := range []int64{braked, started, running, early, warm} {
		s.as(access.Approver, approve(round))
	}
	s.must(s.started(s.A, braked))
	s.Exec(t, `UPDATE deletion_round SET state = 'paused', brake = 'errors' WHERE id = $1`, braked)
	s.must(s.started(s.A, running))
	s.Exec(t, `SET session_replication_role = replica; UPDATE deletion_round SET run_on = '2023-10-02' WHERE id = `+fmt.Sprint(early)+`;
		UPDATE deletion_round SET cooling_off_until = cooling_off_until + interval '1 minute' WHERE id = `+fmt.Sprint(warm)+`;
		UPDATE deletion_round SET state = 'proposed', controlled_by = NULL, controlled_at = NULL WHERE id = `+fmt.Sprint(listed)+`; RESET session_replication_role`)
	active := s.Add(t, pgtest.Person{})
	var hold uuid.UUID
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) (err error) {
		hold, err = deletion.PlaceHold(ctx, tx, retention.NewHold{ClientID: &clients[6], Reason: "police", Authority: "Sak 3", ReviewOn: calendar.On(2024, 1, 1)})
		return err
	})
	var order uuid.UUID
	s.as(access.Caseworker, func(ctx context.Context, tx *pg.Tx) (err error) {
		groups, err := deletion.OpenGroups(ctx, tx)
		if err != nil {
			return err
		}
		in := deletion.NewOrder{Scope: "selected", Clients: []uuid.UUID{id}, Reason: "other", Reference: "1", RunOn: calendar.On(2023, 10, 2)}
		if _, err := deletion.AskOrder(ctx, tx, in); err == nil || !strings.Contains(err.Error(), "clients_in_round") {
			t.Errorf("a client of a proposed round was asked for: %v", err)
		}
		in.Scope, in.GroupID = "group", &groups[0].ID
		for code, wrong := range map[string]func(in *deletion.NewOrder){
			"date_far":         func(in *deletion.NewOrder) { in.RunOn = in.RunOn.AddMonths(4) },
			"national_id_here": func(in *deletion.NewOrder) { in.Reference = "Sak 24/9, 128944 21183" },
		} {
			bad := in
			wrong(&bad)
			if _, err := deletion.AskOrder(ctx, tx, bad); err == nil || !strings.Contains(err.Error(), code) {
				t.Errorf("%s: %v", code, err)
			}
		}
		order, err = deletion.AskOrder(ctx, tx, in)
		return err
	})

	var scripts []pgtest.Script
	script := func(name string, caller access.Caller, code string, do act) {
		scripts = append(scripts, pgtest.Script{Name: name, By: caller.Account, Code: code, Do: func() error {
			return s.DB.InTx(t.Context(), caller, func(tx *pg.Tx) error { return do(t.Context(), tx) })
		}})
	}
	person := func(account int64, roles ...access.Role) access.Caller {
		return access.Caller{Account: account, StaffNumber: fmt.Sprint("S-", account), Roles: roles, Municipality: s.A, FreshUntil: s.Now().AddDate(1, 0, 0)}
	}

	// Acts that a role does not have. Who may is written down here once more.
	acts := []struct {
		name string
		may  []access.Role
		do   act
	}{
		{"disconnect", []access.Role{access.Caseworker, access.Approver}, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.Disconnect(ctx, tx, id, deletion.StatusChange{To: client.Disconnected})
			return err
		}},
		{"re-activate", []access.Role{access.Caseworker, access.Approver}, func(ctx context.Context, tx *pg.Tx) error {
			return deletion.Reactivate(ctx, tx, id, deletion.StatusChange{To: client.Active})
		}},
		{"move", []access.Role{access.Caseworker}, func(ctx context.Context, tx *pg.Tx) error { return deletion.Move(ctx, tx, id, free, "") }},
		{"place a hold", []access.Role{access.Caseworker, access.Approver}, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.PlaceHold(ctx, tx, retention.NewHold{ClientID: &id})
			return err
		}},
		{"release a hold", []access.Role{access.Approver}, func(ctx context.Context, tx *pg.Tx) error { return deletion.ReleaseHold(ctx, tx, hold) }},
		{"ask for an order", []access.Role{access.Caseworker, access.Approver}, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.AskOrder(ctx, tx, deletion.NewOrder{})
			return err
		}},
		{"order", []access.Role{access.Support}, func(ctx context.Context, tx *pg.Tx) error {
			_, err := deletion.PlaceOrder(ctx, tx, order)
			return err
		}},
		{"ask for the control", []access.Role{access.Support}, func(ctx context.Context, tx *pg.Tx) error { return deletion.RequestControl(ctx, tx, controlled) }},
		{"enter a finding", []access.Role{access.Support}, func(ctx context.Context, tx *pg.Tx) error {
			return deletion.Find(ctx, tx, controlled, 1, deletion.FoundInStock)
		}},
		{"finish the control", []access.Role{access.Support}, func(ctx context.Context, tx *pg.Tx) error { return deletion.FinishControl(ctx, tx, controlled) }},
		{"approve", []access.Role{access.Approver}, approve(controlled)},
		{"reject", []access.Role{access.Approver}, reject(controlled)},
		{"cancel", []access.Role{access.Approver}, func(ctx context.Context, tx *pg.Tx) error { return deletion.Cancel(ctx, tx, controlled, "other", "") }},
		{"lift a brake", []access.Role{access.Approver}, lift},
		{"start", []access.Role{access.Operator}, start(started)},
		{"pause", []access.Role{access.Operator}, func(ctx context.Context, tx *pg.Tx) error { return deletion.Pause(ctx, tx, running) }},
		{"resume", []access.Role{access.Operator}, func(ctx context.Context, tx *pg.Tx) error { return deletion.Resume(ctx, tx, braked) }},
		{"purge", nil, func(ctx context.Context, tx *pg.Tx) error {
			return deletion.PurgeChunk(ctx, tx, key, running, 1, 0, nil, func(*pg.Tx) error { return nil })
		}},
	}
	decisions := []string{"release a hold", "order", "ask for the control", "enter a finding", "finish the control", "approve", "reject", "cancel", "lift a brake", "start", "pause", "resume"}
	for _, a := range acts {
		for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator, access.Support, access.Operator, access.PlatformAdministrator} {
			if !slices.Contains(a.may, role) {
				script(string(role)+" tries to "+a.name, s.As(role, s.A), "permission", a.do)
			} else if slices.Contains(decisions, a.name) {
				machine := s.As(role, s.A)
				machine.Key = true
				script("a machine of "+string(role)+" tries to "+a.name, machine, "permission", a.do)
			}
		}
	}

	// D13: two acts of one account. The system proposes; nobody is the system.
	script("control, then approve", person(1001, access.Approver, access.Support), "own_hand", approve(controlled))
	script("control, then reject", person(1001, access.Approver, access.Support), "own_hand", reject(controlled))
	s.as(access.Approver, approve(approvable))
	approver, operator := s.As(access.Approver, s.A), s.As(access.Operator, s.A)
	script("approve, then start", person(approver.Account, access.Operator), "two_acts", start(approvable))
	script("control, then start", person(901, access.Operator), "two_acts", start(approvable)) // extraRounds: 901 controlled
	script("ask for a release and confirm it", approver, "own_release", func(ctx context.Context, tx *pg.Tx) error { return deletion.ReleaseHold(ctx, tx, hold) })
	script("date back by 40 days", s.As(access.Caseworker, s.A), "backdate", func(ctx context.Context, tx *pg.Tx) error {
		_, err := deletion.Disconnect(ctx, tx, active, deletion.StatusChange{To: client.Disconnected, At: tx.Now().AddDate(0, 0, -40)})
		return err
	})
	// Out of time and out of order.
	script("start on the day before", operator, "before_run_date", start(early))
	script("start a minute before the cooling-off period is over", operator, "cooling_off", start(warm))
	script("start what is listed", operator, "round_step", start(listed))
	script("start what is controlled", operator, "round_step", start(controlled))
	script("start what runs", operator, "round_step", start(running))
	script("approve what nobody has controlled", approver, "round_step", approve(listed))
	script("approve what is approved", approver, "round_step", approve(approvable))
	script("resume past a brake", operator, "braked", func(ctx context.Context, tx *pg.Tx) error { return deletion.Resume(ctx, tx, braked) })
	for name, stale := range map[string]act{"approve": approve(free), "lift a brake": lift, "release a hold": func(ctx context.Context, tx *pg.Tx) error { return deletion.ReleaseHold(ctx, tx, hold) }} {
		late := approver
		late.FreshUntil = s.Now()
		script(name+" on an old proof", late, "step_up", stale)
	}
	late := operator
	late.FreshUntil = s.Now()
	script("start on an old proof", late, "step_up", start(started))
	s.as(access.Approver, func(ctx context.Context, tx *pg.Tx) error { return retention.AskRelease(ctx, tx, hold, "avsluttet") })
	// Nobody decides about a list in which they had a hand.
	for i, hand := range []string{"placed", "moved", "withdrew", "selected", "asked", "ordered", "controlled"} {
		account := int64(1100 + i)
		for _, round := range []int64{free, braked} {
			s.Exec(t, `INSERT INTO round_hand (municipality_id, round_id, account_id, act, last_at) VALUES ($1, $2, $3, $4, $5)`, s.A, round, account, hand, s.Now())
		}
		for name, do := range map[string]act{"approves": approve(free), "rejects": reject(free), "lifts the brake of": lift} {
			script("who "+hand+" "+name+" the round", person(account, access.Approver), "own_hand", do)
		}
	}
	s.Misuse(t, scripts)

	// Behind the functions the database refuses two acts of one account, too.
	for _, sql := range []string{
		`UPDATE deletion_round SET approved_by = controlled_by WHERE id = $1`,
		`UPDATE deletion_round SET started_by = controlled_by WHERE id = $1`,
		`UPDATE deletion_round SET approved_by = 5, started_by = 5 WHERE id = $1`,
		`UPDATE deletion_round SET approved_by = NULL, approved_hash = NULL, state = 'approved' WHERE id = $1`,
	} {
		var refused *pgconn.PgError
		if _, err := s.Admin.Exec(t.Context(), sql, controlled); !errors.As(err, &refused) || refused.Code != "23514" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if _, err := s.Admin.Exec(t.Context(), `UPDATE hold SET released_by = release_asked_by, released_at = now() WHERE id = $1`, hold); err == nil {
		t.Error("one account asks for a release and confirms it, by SQL")
	}
}
