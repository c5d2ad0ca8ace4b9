package rest_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/google/uuid"
)

type object = map[string]any

// A client's whole life as a caseworker's program lives it.
func TestClients(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	s.sweep()

	var me rest.Me
	s.ok(200, caseworker, "GET", "/me", nil).into(t, &me)
	if me.StaffNumber != "S-00101" || me.Municipality.Number != pgtest.NumberA || !me.KeyDecides || !strings.Contains(fmt.Sprint(me.Permissions), "client.write") {
		t.Errorf("%+v", me)
	}
	for _, w := range []who{approver, privacyOfficer, administrator, support, operator, platform} {
		s.ok(200, w, "GET", "/me", nil)
	}

	made := s.ok(201, caseworker, "POST", "/clients", object{
		"given_name": "Solveig", "family_name": "Hansen", "status": "active", "phone": "900 00 172",
		"address": object{"street": "Storgata 1", "postcode": "1430"},
	}, "Idempotency-Key", "client-0001")
	id := made.id(t)
	at := "/clients/" + id.String()
	if made.header.Get("Location") != "/api/v1"+at {
		t.Errorf("Location %s", made.header.Get("Location"))
	}
	again := s.ok(201, caseworker, "POST", "/clients", object{
		"given_name": "Solveig", "family_name": "Hansen", "status": "active", "phone": "900 00 172",
		"address": object{"street": "Storgata 1", "postcode": "1430"},
	}, "Idempotency-Key", "client-0001")
	if !bytes.Equal(made.body, again.body) || s.Count(t, `SELECT count(*) FROM client`) != 1 {
		t.Errorf("a repetition was taken for a new request: %s %s", made.body, again.body)
	}
	s.refused(422, "invalid", caseworker, "POST", "/clients", object{"given_name": "Other", "family_name": "Hansen", "status": "active"}, "Idempotency-Key", "client-0001")

	// Changing against the version that was read.
	var c rest.Client
	read := s.ok(200, caseworker, "GET", at, nil)
	read.into(t, &c)
	if c.Address == nil || c.Address.Town == "" || c.Status != "active" || len(c.History) != 1 || read.header.Get("ETag") != fmt.Sprintf(`"%d"`, c.Version) {
		t.Errorf("%s %s", read.body, read.header)
	}
	s.refused(428, "if_match_missing", caseworker, "PATCH", at, object{"phone": "1"})
	s.refused(400, "bad_request", caseworker, "PATCH", at, object{"phone": "1"}, "If-Match", "W/\"1\"")
	changed := s.ok(204, caseworker, "PATCH", at, object{"phone": "900 00 173"}, "If-Match", read.header.Get("ETag"))
	if changed.header.Get("ETag") == read.header.Get("ETag") {
		t.Error("the version stayed")
	}
	if a := s.refused(412, "stale", otherCaseworker, "PATCH", at, object{"phone": "1"}, "If-Match", read.header.Get("ETag")); !strings.Contains(string(a.body), `"detail":"`) {
		t.Errorf("%s", a.body)
	}
	s.ok(204, otherCaseworker, "PATCH", at, object{"email": "s@example.no"}, "If-Match", changed.header.Get("ETag"))
	s.refused(422, "invalid", caseworker, "POST", "/clients", object{"given_name": "A", "family_name": "B", "status": "active", "national_id": "01010112345"})

	// Searches stand in no address.
	search := s.ok(201, caseworker, "POST", "/clients/searches", object{"text": "hansen"}).id(t)
	var page rest.ClientPage
	s.ok(200, caseworker, "GET", "/clients?search="+search.String(), nil).into(t, &page)
	if len(page.Clients) != 1 || page.Clients[0].Id != id {
		t.Errorf("%+v", page)
	}
	s.refused(404, "not_found", otherCaseworker, "GET", "/clients?search="+search.String(), nil)

	// Telling beforehand changes nothing; doing it places the client in the same transaction (P24).
	leave := object{"status": "disconnected", "reason": "moved"}
	var told, placed rest.Placement
	s.ok(200, caseworker, "POST", at+"/status?preview=true", leave).into(t, &told)
	s.ok(200, caseworker, "GET", at+"/group", nil).into(t, &placed)
	if placed.Group != nil || told.Group == nil {
		t.Fatalf("told %+v, placed %+v", told, placed)
	}
	var later rest.Placement
	s.ok(200, caseworker, "POST", at+"/status?preview=true", object{"status": "cancelled", "reason": "moved", "at": "2023-03-12T12:00:00Z", "agreement_end": "2023-03-13T12:00:00Z"}).into(t, &later)
	if *later.Explanation != "Avtalen sluttet 13.03.23 + 6 måneder = 13.09.23 → slettes 01.10.23" {
		t.Error(*later.Explanation)
	}
	s.ok(200, caseworker, "POST", at+"/status", leave).into(t, &placed)
	if placed.Group == nil || placed.Group.Number != "3218-231001" || placed.Group.Number != told.Group.Number || placed.DueOn.String() != "2023-09-14" ||
		*told.Explanation != *placed.Explanation || *placed.Explanation != "Frakoblet 14.03.23 + 6 måneder = 14.09.23 → slettes 01.10.23" || !placed.MayGo {
		t.Errorf("%+v %s", placed, *placed.Explanation)
	}
	s.refused(409, "same_status", caseworker, "POST", at+"/status", leave) // the form was sent twice
	s.refused(422, "invalid", caseworker, "POST", at+"/status", object{"status": "active", "at": "2033-01-01T00:00:00Z"})
	s.refused(422, "invalid", caseworker, "POST", at+"/status?preview=true", object{"status": "active"})

	var groups rest.Groups
	s.ok(200, caseworker, "GET", "/groups", nil).into(t, &groups)
	if len(groups.Groups) < 4 || groups.Groups[0].Name != "Tjenestemottakere til sletting 01.04.23" {
		t.Errorf("%+v", groups)
	}
	if a := s.refused(422, "invalid", caseworker, "PUT", at+"/group", object{"group": "3218-230701"}); a.fields() != "group=too_early" || !strings.Contains(string(a.body), "14.09.23") {
		t.Errorf("%s", a.body)
	}
	if a := s.refused(422, "invalid", caseworker, "PUT", at+"/group", object{"group": "3218-240101"}); a.fields() != "reason=required" {
		t.Errorf("%s", a.body)
	}
	s.ok(200, caseworker, "PUT", at+"/group", object{"group": "3218-240101", "reason": "Oppfølgingssak"}).into(t, &placed)
	if placed.Group.Number != "3218-240101" || *placed.PlacedHow != "later" {
		t.Errorf("%+v", placed)
	}
	s.ok(200, caseworker, "GET", "/clients?group=3218-240101&status=disconnected&status=cancelled", nil).into(t, &page)
	if len(page.Clients) != 1 {
		t.Errorf("%+v", page)
	}
	var items rest.ItemPage
	s.ok(200, caseworker, "GET", "/rounds/3218-240101/items?state=placed", nil).into(t, &items)
	if len(items.Items) != 1 || items.Items[0].Client != id {
		t.Errorf("%+v", items)
	}

	// A hold takes it out, its release puts it back.
	hold := s.ok(201, caseworker, "POST", at+"/holds", object{"reason": "police", "authority": "Øst politidistrikt 1", "review_on": "2023-12-01", "confidential": true}).id(t)
	s.ok(200, caseworker, "GET", at+"/group", nil).into(t, &placed)
	if placed.Group != nil || *placed.Unplaced != "held" || len(placed.Blockers) == 0 || placed.Blockers[0].Message == "" {
		t.Errorf("%+v", placed)
	}
	var holds rest.Holds
	s.ok(200, otherCaseworker, "GET", at+"/holds", nil).into(t, &holds)
	if len(holds.Holds) != 1 || holds.Holds[0].Authority != nil || holds.Holds[0].Reason != nil {
		t.Errorf("a confidential hold shows: %+v", holds)
	}
	s.refused(409, "release_not_asked", approver, "POST", "/holds/"+hold.String()+"/release", nil)
	s.ok(204, caseworker, "POST", "/holds/"+hold.String()+"/release-request", object{"reason": "Henlagt"})
	s.refused(403, "permission", caseworker, "POST", "/holds/"+hold.String()+"/release", nil)
	s.ok(204, approver, "POST", "/holds/"+hold.String()+"/release", nil)
	s.ok(200, caseworker, "GET", at+"/group", nil).into(t, &placed)
	if placed.Group == nil {
		t.Error("not placed anew")
	}
	s.ok(200, caseworker, "POST", at+"/status", object{"status": "active"}).into(t, &placed)
	if placed.Group != nil {
		t.Error("active and in a group")
	}
}

func TestDevices(t *testing.T) {
	s := newStage(t)
	s.sweep()
	home := uuid.New()
	s.Exec(t, `INSERT INTO address (municipality_id, id, street, postcode, town) VALUES (1, $1, 'Storgata 2', '1430', 'Ås')`, home)
	he, she := s.person(pgtest.Person{Address: home}), s.person(pgtest.Person{Address: home})
	his, hers := "/clients/"+he.String()+"/devices", "/clients/"+she.String()+"/devices"

	first := s.ok(201, caseworker, "POST", "/devices", object{"code": "A 1", "kind": "Trygghetsalarm"}).id(t)
	second := s.ok(201, caseworker, "POST", "/devices", object{"code": "A2", "kind": "Trygghetsalarm", "serial": "9"}).id(t)
	if a := s.refused(422, "invalid", caseworker, "POST", "/devices", object{"code": "A1", "kind": "x"}); a.fields() != "code=taken" {
		t.Errorf("%s", a.body)
	}
	var stock rest.StockPage
	s.ok(200, caseworker, "GET", "/devices?limit=1", nil).into(t, &stock)
	if len(stock.Devices) != 1 || stock.Next == nil || *stock.Next != "A1" {
		t.Fatalf("%+v", stock)
	}
	s.ok(200, caseworker, "GET", "/devices?limit=1&after=A1", nil).into(t, &stock)
	if len(stock.Devices) != 1 || stock.Devices[0].Id != second || stock.Next != nil && *stock.Next != "" {
		t.Errorf("%+v", stock)
	}

	s.ok(204, caseworker, "POST", his, object{"device": first})
	s.refused(409, "device_connected", caseworker, "POST", hers, object{"device": first})
	s.refused(404, "not_found", caseworker, "DELETE", "/clients/"+s.person(pgtest.Person{}).String()+"/devices/"+first.String(), nil)
	s.ok(204, caseworker, "POST", his+"/"+first.String()+"/exchange", object{"device": second})
	var connected rest.ConnectedDevices
	s.ok(200, caseworker, "GET", his, nil).into(t, &connected)
	if len(connected.Devices) != 1 || connected.Devices[0].Device.Id != second || connected.Devices[0].ConnectedTo != "client" || !connected.Devices[0].Preferred {
		t.Errorf("%+v", connected)
	}
	s.ok(204, caseworker, "DELETE", his+"/"+second.String(), nil)
	s.refused(404, "not_found", caseworker, "DELETE", his+"/"+second.String(), nil)

	// An address's device is handed over to whoever stays (D19).
	s.ok(204, caseworker, "POST", "/addresses/"+home.String()+"/devices", object{"device": first})
	var dwelling rest.Dwelling
	s.ok(200, caseworker, "GET", "/addresses/"+home.String(), nil).into(t, &dwelling)
	if len(dwelling.Residents) != 2 || len(dwelling.Devices) != 1 || dwelling.Address.Street != "Storgata 2" {
		t.Errorf("%+v", dwelling)
	}
	s.ok(200, caseworker, "POST", "/clients/"+he.String()+"/status", object{"status": "disconnected", "reason": "deceased"})
	s.refused(409, "client_not_active", caseworker, "POST", his+"/"+first.String()+"/hand-over", nil)
	s.ok(204, caseworker, "POST", hers+"/"+first.String()+"/hand-over", nil)
	s.refused(409, "inactive_client", caseworker, "POST", his, object{"device": second})
	s.ok(201, caseworker, "POST", "/addresses/"+home.String()+"/holds", object{"reason": "complaint", "authority": "2023/1", "review_on": "2024-01-01"})
	if s.found == 0 {
		t.Error("the scanner has not even found its own planted values")
	}
}

func TestImports(t *testing.T) {
	s := newStage(t)
	s.sweep()
	file := "Db nr.;Navn;Status;Status dato;Telefonnummeret\n200051466;Hansen, Solveig;Frak;14.03.2023;90000172\n200051467;;Aktiv;14.03.2023;1\n"
	send := func(as who, query string, parts ...string) answer {
		t.Helper()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		for i := 0; i+1 < len(parts); i += 2 {
			part := form.CreateFormField
			if parts[i] == "file" {
				part = func(name string) (io.Writer, error) { return form.CreateFormFile(name, "clients.csv") }
			}
			w, err := part(parts[i])
			if err == nil {
				_, err = w.Write([]byte(parts[i+1]))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		_ = form.Close()
		r := httptest.NewRequest("POST", "/api/v1/imports"+query, &body).WithContext(t.Context())
		r.Header.Set("Authorization", "Bearer "+s.key(as))
		r.Header.Set("Content-Type", form.FormDataContentType())
		return s.send(as, r)
	}
	var report rest.ImportReport
	a := send(caseworker, "?dry_run=true", "file", file, "mapping", `{"Telefonnummeret": "phone"}`)
	a.into(t, &report)
	if a.status != 200 || report.Taken != 1 || report.Refused != 1 || report.Id != nil || len(report.Refusals) == 0 || report.Refusals[0].Message == "" || s.Count(t, `SELECT count(*) FROM client`) != 0 {
		t.Errorf("dry run: %s", a.body)
	}
	a = send(caseworker, "", "mapping", `{"Telefonnummeret": "phone"}`, "file", file)
	a.into(t, &report)
	if a.status != 200 || report.Taken != 1 || report.Id == nil || s.Count(t, `SELECT count(*) FROM client WHERE phone <> ''`) != 1 {
		t.Fatalf("import: %s", a.body)
	}
	send(caseworker, "", "file", file).into(t, &report)
	if report.Taken != 0 || report.Unchanged != 1 {
		t.Errorf("the same again: %+v", report)
	}
	var imports rest.Imports
	s.ok(200, caseworker, "GET", "/imports", nil).into(t, &imports)
	if len(imports.Imports) != 2 {
		t.Fatalf("%+v", imports)
	}
	var one rest.ImportWithRefusals
	s.ok(200, caseworker, "GET", "/imports/"+imports.Imports[0].Id.String(), nil).into(t, &one)
	if len(one.Refusals) == 0 || one.Refusals[0].Row != 3 {
		t.Errorf("%+v", one)
	}
	s.refused(404, "not_found", foreigner, "GET", "/imports/"+imports.Imports[0].Id.String(), nil)

	for name, a := range map[string]answer{
		"400 file=required":           send(caseworker, "", "mapping", `{}`),
		"400 body=unknown_field":      send(caseworker, "", "file", file, "other", "1"),
		"400 mapping=unreadable_json": send(caseworker, "", "mapping", `[`, "file", file),
		"422 mapping=unknown_column":  send(caseworker, "", "file", file, "mapping", `{"Nix": "phone"}`),
		"422 file=not_a_table":        send(caseworker, "", "file", "%PDF-1.4 nothing"),
		"422 file=mixed_encoding":     send(caseworker, "", "file", file+"200051468;\xc5se Å;Aktiv;;\n"),
		"422 file=empty":              send(caseworker, "", "file", " "),
		"403 ":                        send(approver, "", "file", file),
	} {
		if got := fmt.Sprintf("%d %s", a.status, a.fields()); got != name {
			t.Errorf("%s, not %s: %s", got, name, a.body)
		}
	}
	if a := send(caseworker, "", "file", file+"200051468;\xc5se Å;Aktiv;;\n"); !strings.Contains(string(a.body), "Rad 4 er ikke UTF-8") {
		t.Errorf("a file of two encodings: %s", a.body)
	}
	s.refused(415, "media_type", caseworker, "POST", "/imports", object{"file": "x"})
	broken := httptest.NewRequest("POST", "/api/v1/imports", strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc"))
	broken.Header.Set("Authorization", "Bearer "+s.key(caseworker))
	broken.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	if a := s.send(caseworker, broken.WithContext(t.Context())); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// The whole round through the API, by four kinds of people, none of whom does two of its acts.
func TestRounds(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	s.sweep()
	recording := blob.NewKey(s.A)
	if err := s.blobs.Put(t.Context(), recording, "audio/wav", []byte("sound")); err != nil {
		t.Fatal(err)
	}
	var goes []uuid.UUID
	for i := range 7 {
		p := pgtest.Person{Alarms: 3}
		if i == 0 {
			p.Recordings = []string{recording}
		}
		goes = append(goes, s.person(p))
	}
	blocked := s.person(pgtest.Person{})
	s.AddDevice(t, s.A, blocked, uuid.Nil)
	lent := s.AddDevice(t, s.A, goes[0], uuid.Nil)
	for _, id := range append([]uuid.UUID{blocked}, goes...) {
		s.ok(200, caseworker, "POST", "/clients/"+id.String()+"/status", object{"status": "disconnected", "reason": "moved"})
	}
	s.ok(204, caseworker, "DELETE", "/clients/"+goes[0].String()+"/devices/"+lent.String(), nil)

	s.at("2023-09-19 08:00")
	s.sweep()
	const number = "3218-231001"
	at := "/rounds/" + number
	see := func() {
		t.Helper()
		for _, w := range []who{caseworker, approver, privacyOfficer, administrator, support, operator} {
			for _, path := range []string{"/rounds", at, at + "/progress"} {
				s.ok(200, w, "GET", path, nil)
			}
		}
	}
	see()
	s.refused(404, "not_found", approver, "GET", at+"/protocol", nil)
	s.refused(409, "round_step", support, "POST", at+"/control/finish", nil)
	s.refused(409, "round_step", approver, "POST", at+"/approval", object{})

	s.ok(202, support, "POST", at+"/control", nil)
	checked := func() bool {
		return s.Count(t, `SELECT count(*) FROM deletion_round WHERE number = $1 AND ready_count IS NOT NULL`, number) == 1
	}
	s.work(checked)
	see()
	find := func(finding string) {
		t.Helper()
		var sample rest.SpotChecks
		s.ok(200, support, "GET", at+"/spot-checks", nil).into(t, &sample)
		if len(sample.SpotChecks) != 1 {
			t.Fatalf("%+v", sample)
		}
		s.refused(409, "spot_checks_missing", support, "POST", at+"/control/finish", nil)
		s.ok(204, support, "PUT", at+"/spot-checks/1", object{"finding": finding})
		s.refused(404, "not_found", support, "PUT", at+"/spot-checks/99", object{"finding": finding})
		s.ok(200, support, "POST", at+"/control/finish", nil)
	}
	find("in_stock")
	s.ok(200, approver, "GET", at+"/spot-checks", nil)
	var round rest.MunicipalityRound
	s.ok(200, approver, "GET", at, nil).into(t, &round)
	if !round.MayApprove || round.State != "controlled" || *round.Ready != 7 || len(round.Outcomes) != 2 {
		t.Errorf("%+v", round)
	}

	s.ok(200, approver, "POST", at+"/rejection", object{"code": "spot_checks", "remark": "Se en gang til"})
	s.ok(202, support, "POST", at+"/control", nil)
	s.work(checked)
	find("in_stock")
	s.ok(200, approver, "POST", at+"/approval", object{"remark": "Sett gjennom"})
	s.refused(409, "round_step", approver, "POST", at+"/approval", object{}) // sent twice
	s.refused(409, "no_brake", approver, "POST", at+"/brake-release", nil)
	see()

	// Somebody is held after the approval: the list shrinks, and no two figures of the operator's tell by how many.
	operatorSees := func(clients string) {
		t.Helper()
		for _, path := range []string{"/rounds", at, at + "/progress"} {
			if a := s.ok(200, operator, "GET", path, nil); !strings.Contains(string(a.body), `"clients":`+clients) {
				t.Errorf("%s: %s", path, a.body)
			}
		}
	}
	operatorSees("7")
	s.ok(201, caseworker, "POST", "/clients/"+goes[6].String()+"/holds", object{"reason": "police", "authority": "1", "review_on": "2024-01-01"})
	operatorSees("7")

	start := func(as who, key, typed string) answer {
		t.Helper()
		return s.do(as, "POST", at+"/start", object{"number": typed}, "Idempotency-Key", key)
	}
	if a := start(operator, "start-0001", number); a.status != 409 || a.code() != "before_run_date" {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.at("2023-10-01 07:00")
	if a := start(operator, "start-0001", "5501-231001"); a.status != 422 || a.fields() != "number=wrong_number" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := start(who{role: operator.role, machine: true}, "start-0001", number); a.status != 403 {
		t.Errorf("a machine starts: %d", a.status)
	}
	// The same request from many sides at once: one start, and everybody gets its answer.
	answers := make([]answer, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = start(operator, "start-0001", number) })
	}
	wg.Wait()
	for _, a := range append(answers, start(operator, "start-0001", number)) {
		if a.status != 202 || !bytes.Equal(a.body, answers[0].body) {
			t.Errorf("%d %s, not %s", a.status, a.body, answers[0].body)
		}
	}
	if n := s.Count(t, `SELECT count(*) FROM round_event WHERE act = 'started'`); n != 1 {
		t.Errorf("started %d times", n)
	}
	if n := s.Count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'begin'`); n != 1 {
		t.Errorf("%d jobs", n)
	}
	if a := start(operator, "start-0002", number); a.status != 409 || a.code() != "round_step" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := start(operator, "start-0001", "3218-231002"); a.status != 422 || a.fields() != "Idempotency-Key=key_reused" {
		t.Errorf("%d %s", a.status, a.body)
	}

	s.ok(200, operator, "POST", at+"/pause", nil)
	s.refused(409, "round_step", operator, "POST", at+"/pause", nil)
	s.Exec(t, `UPDATE deletion_round SET brake = 'errors' WHERE number = $1`, number)
	s.refused(409, "braked", operator, "POST", at+"/resume", nil)
	see()
	s.ok(200, approver, "POST", at+"/brake-release", nil)
	s.ok(202, operator, "POST", at+"/resume", nil)
	s.work(func() bool { return s.state(number) == "finished" })
	see()
	operatorSees("7") // the same as before the run: one that stayed would be told by the difference

	var whole rest.Protocol
	for _, w := range []who{caseworker, approver, privacyOfficer, administrator, support} {
		s.ok(200, w, "GET", at+"/protocol", nil).into(t, &whole)
	}
	if whole.Clients.Purged != 6 || len(whole.Clients.CarriedBy) != 1 || whole.Clients.CarriedBy[0].Reason != "device_on_client" || whole.Files.VerifiedAbsent != 1 || len(whole.Hash) != 64 {
		t.Errorf("%+v", whole)
	}
	seen := s.ok(200, operator, "GET", at+"/protocol", nil)
	var copied struct{ Handled, Left, Files_Ordered any } //nolint:revive // as it stands in the JSON
	seen.into(t, &copied)
	if copied.Handled != 7.0 || copied.Left != "<5" || copied.Files_Ordered != "<5" {
		t.Errorf("%s", seen.body)
	}
	var items rest.ItemPage
	s.ok(200, approver, "GET", at+"/items?limit=3", nil).into(t, &items)
	if len(items.Items) != 3 || items.Next == nil {
		t.Fatalf("%+v", items)
	}
	s.ok(200, approver, "GET", at+"/items?limit=100&after="+items.Next.String(), nil).into(t, &items)
	if len(items.Items) != 5 || items.Next != nil {
		t.Errorf("%d items left", len(items.Items))
	}
	if s.found == 0 {
		t.Error("the scanner has not even found its own planted values")
	}
}

// An extra run: asked for by the municipality, ordered by support, called off by the approver.
func TestOrders(t *testing.T) {
	s := newStage(t)
	s.at("2023-03-14 15:07")
	s.sweep()
	var clients []uuid.UUID
	for range 2 {
		id := s.person(pgtest.Person{})
		s.ok(200, caseworker, "POST", "/clients/"+id.String()+"/status", object{"status": "disconnected", "reason": "moved"})
		clients = append(clients, id)
	}
	s.at("2023-10-05 09:00")
	in := object{"scope": "selected", "clients": clients, "reason": "backlog", "reference": "2023/14", "run_on": "2023-10-09"}
	order := s.ok(201, caseworker, "POST", "/orders", in, "Idempotency-Key", "order-0001").id(t)
	if s.ok(201, caseworker, "POST", "/orders", in, "Idempotency-Key", "order-0001").id(t) != order {
		t.Error("asked twice")
	}
	group := s.ok(201, approver, "POST", "/orders", object{"scope": "group", "group": "3218-240101", "reason": "other", "reference": strings.Repeat("2", 60), "run_on": "2023-10-09"}).id(t)
	for fields, in := range map[string]object{
		"group=unknown":      {"scope": "group", "group": "5501-240101", "reason": "other", "reference": "2", "run_on": "2023-10-09"},
		"run_on=date_passed": {"scope": "group", "group": "3218-240101", "reason": "other", "reference": "2", "run_on": "2023-10-04"},
		"clients=required":   {"scope": "selected", "reason": "other", "reference": "2", "run_on": "2023-10-09"},
	} {
		if a := s.refused(422, "invalid", caseworker, "POST", "/orders", in); a.fields() != fields {
			t.Errorf("%s, not %s", a.fields(), fields)
		}
	}

	const there = "?municipality=3218"
	at := "/orders/" + order.String()
	var own rest.MunicipalityOrder
	s.ok(200, caseworker, "GET", at, nil).into(t, &own)
	if own.Clients != 2 || own.State != "asked" {
		t.Errorf("%+v", own)
	}
	s.ok(200, privacyOfficer, "GET", "/orders"+there, nil)
	s.refused(404, "not_found", caseworker, "GET", "/orders?municipality=5501", nil)
	var seen rest.SupportOrders
	s.ok(200, support, "GET", "/orders"+there, nil).into(t, &seen)
	if len(seen.Orders) != 2 {
		t.Errorf("%+v", seen)
	}
	if a := s.refused(400, "bad_request", support, "GET", "/orders", nil); a.fields() != "municipality=required" {
		t.Errorf("%s", a.body)
	}
	s.ok(200, support, "GET", at+there, nil)
	s.refused(404, "not_found", support, "GET", at+"?municipality=5501", nil)
	s.refused(404, "not_found", support, "GET", at+"?municipality=9999", nil)

	answers := make([]answer, 6)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i] = s.do(support, "POST", at+"/placement"+there, nil, "Idempotency-Key", "place-0001")
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a.status != 201 || !bytes.Equal(a.body, answers[0].body) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if n := s.Count(t, `SELECT count(*) FROM deletion_round WHERE kind = 'extra'`); n != 1 {
		t.Errorf("%d extra rounds", n)
	}
	s.refused(409, "order_ordered", support, "POST", at+"/placement"+there, nil, "Idempotency-Key", "place-0002")
	if a := s.refused(400, "bad_request", support, "POST", at+"/placement"+there, nil); a.fields() != "Idempotency-Key=required" {
		t.Errorf("%s", a.body)
	}
	s.ok(204, support, "POST", "/orders/"+group.String()+"/refusal"+there, nil)

	var placed rest.PlacedOrder
	answers[0].into(t, &placed)
	s.work(func() bool { return s.state(placed.Round) == "proposed" })
	s.refused(403, "permission", caseworker, "POST", "/rounds/"+placed.Round+"/cancellation", object{"code": "to_keep"})
	s.ok(200, approver, "POST", "/rounds/"+placed.Round+"/cancellation", object{"code": "to_keep"})
	s.ok(200, operator, "GET", "/rounds/"+placed.Round, nil)
}
