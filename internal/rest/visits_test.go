package rest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/google/uuid"
)

// A visit as programs of both sides live it: asked for, narrowed, granted, used with the header, looked after and cut.
func TestVisits(t *testing.T) {
	s := newStage(t)
	s.at("2023-10-01 08:00")
	s.sweep()
	one, other := s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{}) // the scanner knows no word of them: here support shall see
	var number string
	if err := s.Admin.QueryRow(t.Context(), `SELECT number FROM client WHERE id = $1`, one).Scan(&number); err != nil {
		t.Fatal(err)
	}
	asking := object{"municipality": pgtest.NumberA, "reason": "error", "reference": "23/114", "scope": "client", "minutes": 120}
	s.refused(403, "permission", support, "GET", "/clients", nil)
	id := s.ok(201, support, "POST", "/visits", asking).id(t).String()
	at := "/visits/" + id
	s.refused(403, "visit_over", support, "GET", "/clients", nil, "X-Frist-Visit", id)
	s.refused(422, "invalid", support, "POST", "/visits", object{"municipality": pgtest.NumberA, "reason": "error", "reference": "23/114", "scope": "municipality", "minutes": 481})
	s.refused(422, "invalid", approver, "POST", at+"/grant", object{"scope": "municipality", "minutes": 60})
	s.ok(204, approver, "POST", at+"/grant", object{"scope": "client", "client_number": number, "minutes": 60})
	s.refused(409, "visit_step", approver, "POST", at+"/grant", object{"scope": "client", "client_number": number, "minutes": 60})
	s.ok(204, support, "POST", at+"/taking", nil)
	var page rest.ClientPage
	s.ok(200, support, "GET", "/clients", nil, "X-Frist-Visit", id).into(t, &page)
	if len(page.Clients) != 1 || page.Clients[0].Id != one {
		t.Errorf("the visitor's list is %+v", page.Clients)
	}
	for _, path := range []string{"", "/group", "/devices", "/holds"} {
		s.ok(200, support, "GET", "/clients/"+one.String()+path, nil, "X-Frist-Visit", id)
	}
	s.refused(404, "not_found", support, "GET", "/clients/"+other.String(), nil, "X-Frist-Visit", id)
	s.refused(403, "visiting", support, "GET", "/rounds", nil, "X-Frist-Visit", id)
	s.refused(403, "visiting", support, "POST", "/clients/searches", object{"text": "x"}, "X-Frist-Visit", id)
	s.refused(403, "visiting", support, "PATCH", "/clients/"+one.String(), object{"phone": "1"}, "X-Frist-Visit", id, "If-Match", `"1"`)
	for _, forged := range []string{uuid.NewString(), "x", "00000000-0000-0000-0000-000000000000"} {
		s.refused(403, "visit_over", support, "GET", "/clients", nil, "X-Frist-Visit", forged)
	}
	s.refused(403, "visit_over", caseworker, "GET", "/clients", nil, "X-Frist-Visit", id)
	s.refused(403, "visit_over", operator, "GET", "/rounds", nil, "X-Frist-Visit", id)

	var shown rest.Visit
	s.ok(200, approver, "GET", at, nil).into(t, &shown)
	if shown.State != "active" || shown.Looks == nil || *shown.Looks < 5 || shown.Municipality != pgtest.NumberA || *shown.Visitor != "S-00901" {
		t.Errorf("%+v", shown)
	}
	var looks rest.VisitLooks
	s.ok(200, privacyOfficer, "GET", at+"/looks?limit=1", nil).into(t, &looks)
	if len(looks.Looks) != 1 || looks.Next == nil || looks.Looks[0].Clients[0] != one {
		t.Errorf("%+v", looks)
	}
	s.ok(200, privacyOfficer, "GET", fmt.Sprintf("%s/looks?after=%d", at, *looks.Next), nil)
	s.ok(200, support, "GET", "/visits", nil)
	s.ok(200, caseworker, "GET", "/visits", nil)
	s.ok(204, administrator, "POST", at+"/cut", nil)
	s.refused(403, "visit_over", support, "GET", "/clients", nil, "X-Frist-Visit", id)

	second := s.ok(201, caseworker, "POST", "/visits", object{"reason": "device", "reference": "1", "scope": "page", "page": "devices", "minutes": 15}).id(t).String()
	s.ok(204, approver, "POST", "/visits/"+second+"/grant", object{"scope": "page", "page": "devices", "minutes": 15})
	s.refused(403, "visit_over", support, "GET", "/clients", nil, "X-Frist-Visit", second) // nobody has taken it
	s.ok(204, support, "POST", "/visits/"+second+"/taking", nil)
	s.ok(200, support, "GET", "/clients/"+other.String()+"/devices", nil, "X-Frist-Visit", second)
	s.refused(404, "not_found", support, "GET", "/clients/"+other.String()+"/holds", nil, "X-Frist-Visit", second)
	s.SetNow(s.Now().Add(15 * time.Minute))
	s.refused(403, "visit_over", support, "GET", "/clients", nil, "X-Frist-Visit", second)
	third := s.ok(201, support, "POST", "/visits", asking).id(t).String()
	s.ok(204, approver, "POST", "/visits/"+third+"/refusal", object{"answer": "Ikke nødvendig"})
	fourth := s.ok(201, support, "POST", "/visits", asking).id(t).String()
	s.ok(204, support, "POST", "/visits/"+fourth+"/withdrawal", nil)
}

// The register of instructions, and a task that becomes an answer.
func TestInstructions(t *testing.T) {
	s := newStage(t)
	s.at("2023-12-20 08:00")
	s.sweep()
	var all rest.Instructions
	s.ok(200, administrator, "GET", "/instructions", nil).into(t, &all)
	if len(all.Instructions) != 1 || all.Instructions[0].State != "in_force" {
		t.Fatalf("%+v", all)
	}
	s.ok(204, approver, "POST", fmt.Sprintf("/instructions/%d/revocation", all.Instructions[0].Id), nil)
	round := "/rounds/" + pgtest.NumberA + "-240101"
	s.refused(409, "instruction_asked", support, "POST", round+"/control", nil)
	var asked rest.InstructionRequests
	s.ok(200, support, "GET", "/instruction-requests?municipality="+pgtest.NumberA, nil).into(t, &asked)
	if len(asked.Requests) != 1 || asked.Requests[0].State != "asked" {
		t.Fatalf("%+v", asked)
	}
	answer := fmt.Sprintf("/instruction-requests/%d/answer", asked.Requests[0].Id)
	s.refused(422, "invalid", approver, "POST", answer, object{"once": false})
	s.ok(204, approver, "POST", answer, object{"once": true})
	s.ok(202, support, "POST", round+"/control", nil)
	var made rest.EnteredInstruction
	for range 2 {
		s.ok(201, administrator, "POST", "/instructions", object{"action": "pre_run_control", "scope": "Alle runder", "valid_from": "2023-12-20", "document_reference": "23/7", "decided_by": "Kommunedirektøren"}).into(t, &made)
	}
	s.ok(204, approver, "POST", fmt.Sprintf("/instructions/%d/confirmation", made.Id), nil)
	s.ok(204, approver, "POST", fmt.Sprintf("/instructions/%d/refusal", made.Id-1), nil)
	s.ok(200, support, "GET", "/instructions?municipality="+pgtest.NumberA, nil).into(t, &all)
	if len(all.Instructions) != 3 || all.Instructions[0].State != "in_force" {
		t.Errorf("%+v", all)
	}
}
