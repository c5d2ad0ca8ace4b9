package explain_test

import (
	"os"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestEveryTableAndColumnIsDeclared(t *testing.T) {
	env := pgtest.New(t)
	var out strings.Builder
	if err := explain.Write(t.Context(), env.Admin, &out); err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"client_id ~> client", "client_id? -> client", "class client_record", "national_id", "by name: in chunks", "outlives: an opaque id", "job rows: ids only",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not printed: %s", want)
		}
	}
	if strings.Contains(out.String(), "UNDECLARED") {
		t.Error("something is printed as undeclared")
	}
}

// Every kind of gap is found, by its own words.
func TestGapsAreFound(t *testing.T) {
	for _, c := range []struct{ name, sql, want string }{
		{"column", `ALTER TABLE note ADD COLUMN telephone text`, "note.telephone is not declared"},
		{"table", `CREATE TABLE diary (municipality_id int, id bigint)`, "diary is not declared"},
		{"table of jobs", `CREATE TABLE river.more (id bigint)`, "river.more is not declared"},
		{"view that keeps rows", `CREATE MATERIALIZED VIEW kept AS SELECT given_name FROM client`, "kept is not declared"},
		{"lost column", `ALTER TABLE care_plan DROP COLUMN goal`, "care_plan.goal is declared and does not exist"},
		{"lost table", `DROP TABLE order_client`, "order_client is declared and does not exist"},
		{"path that can be empty", `ALTER TABLE alarm_event DROP CONSTRAINT alarm_event_pkey, ALTER COLUMN client_id DROP NOT NULL`, "alarm_event: the path goes by client_id"},
		{"key that does not cascade", `ALTER TABLE hold DROP CONSTRAINT hold_municipality_id_client_id_fkey, ADD FOREIGN KEY (municipality_id, client_id) REFERENCES client`, "hold: the key of client_id keeps client from going"},
		{"no key", `ALTER TABLE hold DROP CONSTRAINT hold_municipality_id_client_id_fkey`, "hold: the path by client_id to client has no key"},
		{"row that nobody takes along", `DO $do$ DECLARE f text := pg_get_functiondef('client_takes_along()'::regprocedure); BEGIN EXECUTE replace(f, 'DELETE FROM note ', 'DELETE FROM property '); END $do$`, "note: the client does not take it along"},
		{"row without a client", `DROP TRIGGER client_alive ON note`, "note: the client does not take it along"},
		{"row whose guard is off", `ALTER TABLE note DISABLE TRIGGER client_alive`, "note: the client does not take it along"},
		{"client who takes nothing along", `DROP TRIGGER client_takes_along ON client`, "recording: the client does not take it along"},
		{"row behind one's back", `CREATE TRIGGER client_alive AFTER INSERT ON access_subject REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION client_alive();
			DO $do$ DECLARE f text := pg_get_functiondef('client_takes_along()'::regprocedure); BEGIN EXECUTE replace(f, 'DELETE FROM note ', 'DELETE FROM access_subject '); END $do$`, "access_subject goes along with the client"},
		{"key behind one's back", `ALTER TABLE round_item ADD FOREIGN KEY (municipality_id, client_id) REFERENCES client`, "round_item: the path by client_id has a key"},
		{"second key", `ALTER TABLE audit ADD COLUMN client_id uuid, ADD FOREIGN KEY (municipality_id, client_id) REFERENCES client`, "audit.client_id points at client"},
		{"client by another way", `ALTER TABLE device ADD COLUMN owner uuid, ADD FOREIGN KEY (municipality_id, owner) REFERENCES client`, "device.owner points at client"},
		{"client without a key", `ALTER TABLE device ADD COLUMN client_id uuid`, "device.client_id is a client and the path does not say so"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := pgtest.New(t)
			env.Exec(t, c.sql)
			err := explain.Check(t.Context(), env.Admin)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want %s", err, c.want)
			}
		})
	}
}

func TestPersonalColumns(t *testing.T) {
	env := pgtest.New(t)
	columns := explain.PersonalColumns()
	has := map[string]bool{}
	for _, c := range columns {
		has[c.Table+"."+c.Name] = true
		env.Count(t, `SELECT count(`+c.Name+`) FROM `+c.Table) // it is there
	}
	for _, want := range []string{"client.national_id", "client.number", "next_of_kin.name", "client_change.from_value", "hold.authority", "stored_search.terms", "address.street"} {
		if !has[want] {
			t.Errorf("%s is not personal", want)
		}
	}
	for _, not := range []string{"account.name", "round_item.client_id", "municipality_name.name", "river.river_job.args"} {
		if has[not] {
			t.Errorf("%s is personal", not)
		}
	}
}
