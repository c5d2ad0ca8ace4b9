package audit_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
)

func caller(municipality int, roles ...access.Role) access.Caller {
	return access.Caller{Account: 7, Roles: roles, Municipality: municipality}
}

func two(t *testing.T) *pgtest.Env {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1), (2)`)
	return env
}

func do(t *testing.T, env *pgtest.Env, c access.Caller, fn func(ctx context.Context, tx *pg.Tx) error) {
	t.Helper()
	if err := env.DB.InTx(t.Context(), c, func(tx *pg.Tx) error { return fn(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func TestTheTrailIsTheMunicipalitysOwn(t *testing.T) {
	env := two(t)
	client := uuid.New()
	for m := 1; m <= 2; m++ {
		do(t, env, caller(m, access.Caseworker), func(_ context.Context, tx *pg.Tx) error {
			audit.Write(tx, access.ClientStatus, audit.Record{Act: "status_changed", Subject: "client", SubjectID: client.String(), Fields: []string{"status"}, Detail: map[string]any{"count": 1}})
			audit.Write(tx, access.GroupPlace, audit.Record{Act: "moved", Subject: "client", SubjectID: client.String()})
			audit.Write(tx, access.DeviceWrite, audit.Record{Act: "moved", Subject: "device", SubjectID: "D1"})
			return nil
		})
	}
	do(t, env, caller(1, access.PrivacyOfficer), func(ctx context.Context, tx *pg.Tx) error {
		all, err := audit.Trail(ctx, tx, "", 0, 100)
		if err != nil || len(all) != 3 {
			t.Fatalf("%d entries, %v", len(all), err)
		}
		one, err := audit.Trail(ctx, tx, client.String(), 0, 100)
		if err != nil || len(one) != 2 || one[0].Act != "moved" || one[1].Fields[0] != "status" || one[1].Detail["count"] != 1.0 || one[1].Role != "caseworker" || one[1].Account != 7 {
			t.Errorf("%+v, %v", one, err)
		}
		older, err := audit.Trail(ctx, tx, client.String(), one[0].ID, 1)
		if err != nil || len(older) != 1 || older[0].ID != one[1].ID {
			t.Errorf("the next page: %+v, %v", older, err)
		}
		return nil
	})
	do(t, env, caller(1, access.Caseworker), func(ctx context.Context, tx *pg.Tx) error {
		if own, err := audit.Trail(ctx, tx, client.String(), 0, 100); err != nil || len(own) != 2 {
			t.Errorf("a caseworker reads a client's trail: %d, %v", len(own), err)
		}
		for _, id := range []string{"", "D1"} {
			if _, err := audit.Trail(ctx, tx, id, 0, 100); !errors.As(err, new(problem.Forbidden)) {
				t.Errorf("a caseworker read the trail of %q: %v", id, err)
			}
		}
		if _, err := audit.Looks(ctx, tx, client, 0, 1); !errors.As(err, new(problem.Forbidden)) {
			t.Errorf("a caseworker read who looked: %v", err)
		}
		return nil
	})
}

func TestALookIsOneRowAndNoRowWithoutClients(t *testing.T) {
	env := two(t)
	a, b := uuid.New(), uuid.New()
	do(t, env, caller(1, access.Caseworker), func(_ context.Context, tx *pg.Tx) error {
		audit.Looked(tx, "clients", "list", a, b)
		audit.Looked(tx, "clients", "list")
		return nil
	})
	do(t, env, caller(1, access.PrivacyOfficer), func(ctx context.Context, tx *pg.Tx) error {
		looks, err := audit.Looks(ctx, tx, b, 0, 10)
		if err != nil || len(looks) != 1 || looks[0].Shown != 2 || looks[0].Account != 7 {
			t.Errorf("%+v, %v", looks, err)
		}
		return nil
	})
	do(t, env, caller(2, access.PrivacyOfficer), func(ctx context.Context, tx *pg.Tx) error {
		if looks, err := audit.Looks(ctx, tx, b, 0, 10); err != nil || len(looks) != 0 {
			t.Errorf("another municipality saw %d looks, %v", len(looks), err)
		}
		return nil
	})
	if n := env.Count(t, `SELECT count(*) FROM access_log`); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestNeitherLogCanBeRewritten(t *testing.T) {
	env := two(t)
	do(t, env, caller(1, access.Caseworker), func(_ context.Context, tx *pg.Tx) error {
		audit.Write(tx, access.ClientWrite, audit.Record{Act: "a", Subject: "client", SubjectID: "x"})
		audit.Looked(tx, "client", "record", uuid.New())
		return nil
	})
	for _, sql := range []string{`DELETE FROM audit`, `UPDATE audit SET act = 'b'`, `DELETE FROM access_log`, `UPDATE access_log SET page = 'b'`} {
		if _, err := env.Admin.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "FR009") {
			t.Errorf("%s as administrator: %v", sql, err)
		}
		for _, c := range []access.Caller{caller(1, access.Caseworker), access.SystemFor(1)} {
			if err := env.DB.InTx(t.Context(), c, func(tx *pg.Tx) error { _, err := tx.Exec(t.Context(), sql); return err }); err == nil {
				t.Errorf("%s as %v went through", sql, c.Roles)
			}
		}
	}
}

func TestARefusalIsRecordedAfterTheRollback(t *testing.T) {
	env := two(t)
	audit.RecordRefusals(env.DB)
	for _, c := range []struct {
		caller access.Caller
		in     int
		role   string
	}{
		{caller(1, access.Caseworker), 1, "caseworker"},
		{caller(0, access.Caseworker), 0, "caseworker"}, // a broken caller is still recorded
		{caller(0, access.Operator), 0, "operator"},
		{caller(0, access.Support).In(2), 2, "support"},
		{access.SystemFor(2), 2, "system"},
	} {
		env.EmptyLogs(t)
		err := env.DB.InTx(t.Context(), c.caller, func(tx *pg.Tx) error {
			audit.Write(tx, access.RoundApprove, audit.Record{Act: "approved", Subject: "round", SubjectID: "1"})
			return tx.Require(access.RoundApprove)
		})
		if !errors.As(err, new(problem.Forbidden)) {
			t.Fatalf("%v", err)
		}
		if n := env.Count(t, `SELECT count(*) FROM audit`); n != 1 {
			t.Errorf("%s: %d rows", c.role, n)
		}
		if n := env.Count(t, `SELECT count(*) FROM audit WHERE municipality_id = $1 AND role = $2 AND refused AND act = 'refused'
			AND detail = '{"code": "permission", "permission": "round.approve"}'`, c.in, c.role); n != 1 {
			t.Errorf("%s: the refusal is not recorded in %d", c.role, c.in)
		}
	}
}
