package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rest"
	"github.com/frist-app/frist/internal/visit"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

func TestRoutesAreTheOperations(t *testing.T) {
	var routes, described []string
	err := chi.Walk(newStage(t).handler, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if path, ok := strings.CutPrefix(route, "/api/v1"); ok {
			routes = append(routes, method+" "+path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range spec.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(described)
	if !slices.Equal(routes, described) {
		t.Errorf("routes\n%s\n\noperations\n%s", strings.Join(routes, "\n"), strings.Join(described, "\n"))
	}
}

func TestTheContractItself(t *testing.T) {
	if err := spec.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	permissions := map[access.Permission]bool{}
	for _, grant := range access.Table {
		for _, p := range grant.Permissions {
			permissions[p] = true
		}
	}
	for id, op := range operations {
		asked := rest.Permitted(op)
		if len(asked) == 0 && op.Extensions["x-authz"] != "anybody" {
			t.Errorf("%s asks for %v", id, op.Extensions["x-authz"])
		}
		for _, p := range asked {
			if !permissions[p] {
				t.Errorf("%s asks for %q", id, p)
			}
		}
		if op.Summary == "" {
			t.Errorf("%s has no summary", id)
		}
		for status, response := range op.Responses.Map() {
			if status < "4" {
				continue
			}
			problem := response.Value.Content["application/problem+json"]
			if len(response.Value.Content) != 1 || problem == nil || problem.Schema.Ref != "#/components/schemas/Problem" {
				t.Errorf("%s %s is no problem", id, status)
			}
		}
		if op.RequestBody != nil && (op.Responses.Value("413") == nil || op.Responses.Value("415") == nil) {
			t.Errorf("%s takes a body without telling of 413 and 415", id)
		}
	}
	for name, schema := range spec.Components.Schemas {
		if s := schema.Value; s.Type.Is("object") && (s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has) {
			t.Errorf("%s is open", name)
		}
	}
}

// What support and operators are shown has no place for a client: no field that could name one, no id but an order's, and
// no exact small number for the operator.
func TestBlindSchemasHaveNoPlaceForAClient(t *testing.T) {
	seen := map[string]bool{}
	var walk func(name string, ref *openapi3.SchemaRef)
	walk = func(name string, ref *openapi3.SchemaRef) {
		if ref == nil || ref.Ref != "" && seen[ref.Ref] {
			return
		}
		seen[ref.Ref] = ref.Ref != ""
		if ref.Value.Type.Is("object") && (ref.Value.AdditionalProperties.Has == nil || *ref.Value.AdditionalProperties.Has) {
			t.Errorf("%s is open", name)
		}
		for field, of := range ref.Value.Properties {
			at := name + "." + field
			if of.Value.Format == "uuid" && at != "SupportOrder.id" && at != "SupportOrders.orders.id" {
				t.Errorf("%s could hold a client's id", at)
			}
			for _, word := range []string{"given", "family", "national", "phone", "birth", "address", "remark", "client_id"} {
				if strings.Contains(field, word) {
					t.Errorf("%s could hold a client", at)
				}
			}
			if field == "clients" || field == "purged" || field == "left" {
				if isNumber := of.Value.Type.Is("integer"); !isNumber && !strings.HasSuffix(of.Ref, "CountOrFew") {
					t.Errorf("%s is no count", at)
				} else if isNumber && (strings.HasPrefix(name, "Operator") || strings.HasPrefix(name, "Supplier")) {
					t.Errorf("%s is exact", at)
				}
			}
			walk(at, of)
		}
		if ref.Value.Items != nil {
			walk(name, ref.Value.Items)
		}
	}
	n := 0
	for name, schema := range spec.Components.Schemas {
		if strings.HasPrefix(name, "Support") || strings.HasPrefix(name, "Operator") || strings.HasPrefix(name, "Supplier") {
			n++
			walk(name, schema)
		}
	}
	if n < 12 {
		t.Errorf("only %d schemas", n)
	}
}

func TestFew(t *testing.T) {
	for n, want := range map[rest.Few]string{-1: `"<5"`, 0: "0", 1: `"<5"`, 4: `"<5"`, 5: "5", 1204: "1204"} {
		got, err := json.Marshal(n)
		if err != nil || strings.ReplaceAll(string(got), `\u003c`, "<") != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

// world is everything that an address can name, in one municipality.
type world struct {
	client, device, hold, address, order, imported uuid.UUID
	deviation                                      uuid.UUID
	number                                         string
	right, visit                                   uuid.UUID
}

func (s *stage) fill(municipality int) world {
	s.t.Helper()
	w := world{number: map[int]string{1: "3218-240101", 2: "5501-240101"}[municipality], hold: uuid.New(), order: uuid.New(), imported: uuid.New(), right: uuid.New(), deviation: uuid.New()}
	w.client = s.person(pgtest.Person{Municipality: municipality})
	w.address = s.AddressOf(s.t, w.client)
	w.device = s.AddDevice(s.t, municipality, w.client, uuid.Nil)
	s.Exec(s.t, `INSERT INTO hold (municipality_id, id, client_id, reason, authority, review_on, placed_by, placed_at) VALUES ($1, $2, $3, 'police', 'x', '2030-01-01', 0, $4)`, municipality, w.hold, w.client, s.Now())
	s.Exec(s.t, `INSERT INTO deletion_order (municipality_id, id, scope, group_id, reason, reference, run_on, asked_by, asked_at)
		SELECT $1, $2, 'group', id, 'other', '1', '2024-01-01', 0, $3 FROM deletion_round WHERE number = $4`, municipality, w.order, s.Now(), w.number)
	s.Exec(s.t, `INSERT INTO deviation (municipality_id, id, kind, source, reported_by, reported_at, discovered_at) VALUES ($1, $2, 'integrity', 'municipality', 1, $3, $3)`, municipality, w.deviation, s.Now())
	s.Exec(s.t, `INSERT INTO import_run (municipality_id, id, started_by, started_at, format, rows, taken, changed, unchanged, refused, expires_on) VALUES ($1, $2, 0, $3, 'csv', 0, 0, 0, 0, 0, '2030-01-01')`, municipality, w.imported, s.Now())
	s.asked(municipality, w)
	if err := s.DB.InTx(s.t.Context(), s.As(access.Caseworker, municipality), func(tx *pg.Tx) (err error) {
		w.visit, err = visit.Ask(s.t.Context(), tx, visit.New{Reason: "other", Reference: "1", Scope: "municipality", Minutes: 60})
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	return w
}

// request is one well-formed request for each operation. Who may is written out here, and not read from the contract:
// c caseworker, a approver, p privacy officer, d administrator, s support, o operator, l platform administrator; an
// exclamation mark says that a machine's key may not, whosever it is, and a capital that one of this person's may not.
type request struct {
	id, method, path, body, may string
	headers                     []string
}

func (r request) allows(letter string, machine bool) bool {
	return strings.Contains(r.may, letter) && (!machine || !strings.HasSuffix(r.may, "!")) || !machine && strings.Contains(r.may, strings.ToUpper(letter))
}

// terms are those that nobody's municipality has.
const terms = `{"cooling_off_seconds":3600,"max_share_percent":7,"max_error_percent":2,"spot_check_size":10,"chunk_size":100,"highest_level":false,"password_words":["rådhus"],"looks_per_hour":40,"looks_per_day":100,"first_notice_hours":24,"pseudonymous":false}`

func requests(w world) []request {
	c, n := "/clients/"+w.client.String(), "/rounds/"+w.number
	dev := c + "/devices/" + w.device.String()
	right, deviation := "/rights-requests/"+w.right.String(), "/deviations/"+w.deviation.String()
	key := []string{"Idempotency-Key", "matrix-" + uuid.NewString()}
	there := "?municipality=" + w.number[:4]
	return []request{
		{"readMe", "GET", "/me", "", "capdsol", nil},
		{"listSessions", "GET", "/me/sessions", "", "capdsol", nil},
		{"endSessions", "DELETE", "/me/sessions", "", "capdsol", nil},
		{"endSession", "DELETE", "/me/sessions/" + uuid.NewString(), "", "capdsol", nil},
		{"listKeys", "GET", "/me/keys", "", "capdsol", nil},
		{"makeKey", "POST", "/me/keys", `{"name":"x","days":1}`, "capdsol!", nil},
		{"rotateKey", "POST", "/me/keys/999999/rotation", `{"overlap":1}`, "capdsol", nil},
		{"endKey", "DELETE", "/me/keys/999999", "", "capdsol", nil},
		{"listClients", "GET", "/clients", "", "ca", nil},
		{"createClient", "POST", "/clients", `{"given_name":"A","family_name":"B","status":"active"}`, "c", nil},
		{"saveSearch", "POST", "/clients/searches", `{"text":"a"}`, "ca", nil},
		{"readClient", "GET", c, "", "ca", nil},
		{"changeClient", "PATCH", c, `{"phone":"1"}`, "c", []string{"If-Match", `"1"`}},
		{"setClientStatus", "POST", c + "/status", `{"status":"active"}`, "ca", nil},
		{"readClientGroup", "GET", c + "/group", "", "ca", nil},
		{"moveClient", "PUT", c + "/group", `{"group":"` + w.number + `"}`, "c", nil},
		{"listClientDevices", "GET", c + "/devices", "", "ca", nil},
		{"connectDevice", "POST", c + "/devices", `{"device":"` + w.device.String() + `"}`, "c", nil},
		{"exchangeDevice", "POST", dev + "/exchange", `{"device":"` + w.device.String() + `"}`, "c", nil},
		{"handOverDevice", "POST", dev + "/hand-over", "", "c", nil},
		{"disconnectDevice", "DELETE", dev, "", "c", nil},
		{"listHolds", "GET", c + "/holds", "", "ca", nil},
		{"placeHold", "POST", c + "/holds", `{"reason":"other","authority":"x","review_on":"2020-01-01"}`, "ca", nil},
		{"askHoldRelease", "POST", "/holds/" + w.hold.String() + "/release-request", `{"reason":" "}`, "ca", nil},
		{"releaseHold", "POST", "/holds/" + w.hold.String() + "/release", "", "a!", nil},
		{"listProtectedReaders", "GET", "/protected-readers", "", "capd", nil},
		{"nameProtectedReader", "POST", "/protected-readers", `{"account":1}`, "d!", nil},
		{"confirmProtectedReader", "POST", "/protected-readers/1/confirm", "", "ad!", nil},
		{"revokeProtectedReader", "POST", "/protected-readers/1/revoke", "", "ad!", nil},
		{"askUnshield", "POST", c + "/protection/release-request", "", "c", nil},
		{"decideUnshield", "POST", c + "/protection/release", `{"remove":true}`, "ca!", nil},
		{"readAddress", "GET", "/addresses/" + w.address.String(), "", "ca", nil},
		{"connectAddressDevice", "POST", "/addresses/" + w.address.String() + "/devices", `{"device":"` + w.device.String() + `"}`, "c", nil},
		{"placeAddressHold", "POST", "/addresses/" + w.address.String() + "/holds", `{"reason":"other","authority":"x","review_on":"2020-01-01"}`, "ca", nil},
		{"listStock", "GET", "/devices", "", "ca", nil},
		{"registerDevice", "POST", "/devices", `{"code":"  ","kind":"x"}`, "c", nil},
		{"listGroups", "GET", "/groups", "", "capd", nil},
		{"listRounds", "GET", "/rounds", "", "capdso", nil},
		{"readRound", "GET", n, "", "capdso", nil},
		{"listItems", "GET", n + "/items", "", "ca", nil},
		{"requestControl", "POST", n + "/control", "", "s!", nil},
		{"finishControl", "POST", n + "/control/finish", "", "s!", nil},
		{"listSpotChecks", "GET", n + "/spot-checks", "", "capds", nil},
		{"recordFinding", "PUT", n + "/spot-checks/1", `{"finding":"in_stock"}`, "s!", nil},
		{"approveRound", "POST", n + "/approval", `{}`, "a!", nil},
		{"rejectRound", "POST", n + "/rejection", `{"code":"other"}`, "a!", nil},
		{"cancelRound", "POST", n + "/cancellation", `{"code":"other"}`, "a!", nil},
		{"liftBrake", "POST", n + "/brake-release", "", "a!", nil},
		{"startRound", "POST", n + "/start", `{"number":"` + w.number + `"}`, "o!", key},
		{"pauseRound", "POST", n + "/pause", "", "o!", nil},
		{"resumeRound", "POST", n + "/resume", "", "o!", nil},
		{"readProgress", "GET", n + "/progress", "", "capdso", nil},
		{"readProtocol", "GET", n + "/protocol", "", "capdso", nil},
		{"listSubprocessors", "GET", "/subprocessors", "", "capd", nil},
		{"readSubprocessor", "GET", "/subprocessors/987654", "", "capd", nil},
		{"startSubprocessorUse", "POST", "/subprocessors/987654/uses", `{"used_from":"2024-01-01"}`, "d", nil},
		{"endSubprocessorUse", "POST", "/subprocessors/987654/uses/end", `{"used_to":"2024-01-01"}`, "d", nil},
		{"answerSubprocessor", "POST", "/subprocessors/987654/answers", `{"version":1,"reply":"noted"}`, "d", nil},
		{"listSharedSubprocessors", "GET", "/platform/subprocessors", "", "l", nil},
		{"announceSubprocessor", "POST", "/platform/subprocessors", `{"name":"","service":"other","purpose":"x","data":"x","access_rule":"none","encryption":"keys","copies":"none"}`, "l", nil},
		{"announceSubprocessorVersion", "POST", "/platform/subprocessors/987654/versions", `{"change":"ended"}`, "l", nil},
		{"reviewSubprocessor", "POST", "/platform/subprocessors/987654/reviews", `{"reviewed_on":"2020-01-01","next_due":"2030-01-01","outcome":"fine","reference":"1"}`, "l", nil},
		{"readPrivacyStatement", "GET", "/privacy-statement", "", "capd", nil},
		{"savePrivacyStatement", "PUT", "/privacy-statement", `{"controller":"","officer":"","sections":{}}`, "d", nil},
		{"publishPrivacyStatement", "POST", "/privacy-statement/publications", `{"valid_from":"2020-01-01"}`, "d", nil},
		{"listOwnDeviations", "GET", "/deviations/own", "", "sol", nil},
		{"readDeviationClock", "GET", "/deviation-clock", "", "capd", nil},
		{"readDeviationHistory", "GET", deviation + "/history", "", "capd", nil},
		{"describeDeviation", "PUT", deviation, `{"kind":"integrity","discovered_at":"2020-01-01T00:00:00Z"}`, "ad", []string{"If-Match", `"1"`}},
		{"confirmDeviation", "POST", deviation + "/confirmation", "", "ad", nil},
		{"dismissDeviation", "POST", deviation + "/dismissal", `{"note":"x"}`, "ad", nil},
		{"tellDeviation", "POST", deviation + "/notices", `{"party":"nsm","told_at":"2020-01-01T00:00:00Z"}`, "ad", nil},
		{"exemptDeviation", "POST", deviation + "/exemptions", `{"party":"nsm","note":" "}`, "ad", nil},
		{"closeDeviation", "POST", deviation + "/closure", "", "ad", nil},
		{"reopenDeviation", "POST", deviation + "/reopening", `{"note":"x"}`, "ad", nil},
		{"readProcessing", "GET", "/processing", "", "capd", nil},
		{"listDeviations", "GET", "/deviations", "", "capd", nil},
		{"reportDeviation", "POST", "/deviations" + there, `{"kind":"integrity","discovered_at":"2020-01-01T00:00:00Z"}`, "capdsol", nil},
		{"readDeviation", "GET", deviation, "", "capd", nil},
		{"listOrders", "GET", "/orders" + there, "", "capds", nil},
		{"askOrder", "POST", "/orders" + there, `{"scope":"group","reason":"other","reference":"1","run_on":"2024-01-01"}`, "ca", nil},
		{"readOrder", "GET", "/orders/" + w.order.String() + there, "", "capds", nil},
		{"placeOrder", "POST", "/orders/" + uuid.NewString() + "/placement" + there, "", "s!", key},
		{"declineOrder", "POST", "/orders/" + uuid.NewString() + "/refusal" + there, "", "s!", nil},
		{"listVisits", "GET", "/visits", "", "capds", nil},
		{"askVisit", "POST", "/visits", `{"municipality":"` + w.number[:4] + `","reason":"other","reference":"1","scope":"municipality","minutes":60}`, "cads", nil},
		{"readVisit", "GET", "/visits/" + w.visit.String(), "", "capds", nil},
		{"listVisitLooks", "GET", "/visits/" + w.visit.String() + "/looks", "", "capd", nil},
		{"grantVisit", "POST", "/visits/" + uuid.NewString() + "/grant", `{"scope":"municipality","minutes":60}`, "a!", nil},
		{"refuseVisit", "POST", "/visits/" + uuid.NewString() + "/refusal", `{"answer":"x"}`, "a!", nil},
		{"withdrawVisit", "POST", "/visits/" + uuid.NewString() + "/withdrawal", "", "cads", nil},
		{"takeVisit", "POST", "/visits/" + uuid.NewString() + "/taking", "", "s", nil},
		{"cutVisit", "POST", "/visits/" + uuid.NewString() + "/cut", "", "ads", nil},
		{"listInstructions", "GET", "/instructions" + there, "", "apds", nil},
		{"enterInstruction", "POST", "/instructions", `{"action":"pre_run_control","scope":"x","valid_from":"2020-01-01","document_reference":"x","decided_by":"x"}`, "d", nil},
		{"confirmInstruction", "POST", "/instructions/987654/confirmation", "", "a!", nil},
		{"declineInstruction", "POST", "/instructions/987654/refusal", "", "a!", nil},
		{"revokeInstruction", "POST", "/instructions/987654/revocation", "", "ad", nil},
		{"listInstructionRequests", "GET", "/instruction-requests" + there, "", "apds", nil},
		{"answerInstructionRequest", "POST", "/instruction-requests/987654/answer", `{"once":true}`, "a!", nil},
		{"listLog", "GET", "/log", "", "p", nil},
		{"exportLog", "GET", "/log/export?format=csv", "", "p!", nil},
		{"findPersons", "POST", "/log/persons", `{"person":"a"}`, "p", nil},
		{"listLookers", "GET", "/log/clients/" + w.client.String(), "", "p", nil},
		{"listFindings", "GET", "/log/findings", "", "p", nil},
		{"assessFinding", "POST", "/log/findings/1000000/assessment", `{"outcome":"explained"}`, "p", nil},
		{"listImports", "GET", "/imports", "", "c", nil},
		{"importClients", "POST", "/imports", "--x--", "c", []string{"Content-Type", "multipart/form-data; boundary=x"}},
		{"readImport", "GET", "/imports/" + w.imported.String(), "", "c", nil},
		{"listAccounts", "GET", "/accounts", "", "dl", nil},
		{"inviteAccount", "POST", "/accounts", `{"name":"x","login":"x.` + w.number + `","roles":["caseworker"]}`, "dl!", nil},
		{"readAccount", "GET", "/accounts/999999", "", "dl", nil},
		{"proposeRoles", "POST", "/accounts/999999/roles", `{"roles":["caseworker"]}`, "dl!", nil},
		{"makeAccountLink", "POST", "/accounts/999999/links", `{}`, "dl!", nil},
		{"disableAccount", "POST", "/accounts/999999/disabling", "", "dl", nil},
		{"proposeOpening", "POST", "/accounts/999999/opening", "", "dl!", nil},
		{"confirmAccess", "POST", "/accounts/999999/review", "", "Adl", nil},
		{"listProgramKeys", "GET", "/accounts/999999/keys", "", "dl", nil},
		{"makeProgramKey", "POST", "/accounts/999999/keys", `{"name":"x","days":1}`, "dl", nil},
		{"rotateProgramKey", "POST", "/accounts/999999/keys/999999/rotation", `{"overlap":1}`, "dl", nil},
		{"endProgramKey", "DELETE", "/accounts/999999/keys/999999", "", "dl", nil},
		{"listAccessReviews", "GET", "/access-reviews", "", "Adl", nil},
		{"listAddressRanges", "GET", "/address-ranges", "", "Adl", nil},
		{"proposeAddressRange", "POST", "/address-ranges", `{"network":"x","place":"x"}`, "dl!", nil},
		{"proposeAddressRangeRemoval", "POST", "/address-ranges/999999/removal", "", "dl!", nil},
		{"listRules", "GET", "/rules", "", "capd", nil},
		{"proposeRule", "POST", "/rules/nonsense/proposals", `{"period_months":6,"outcome":"destroy","authority":"x","valid_from":"2020-01-01"}`, "d!", nil},
		{"readTerms", "GET", "/terms", "", "capd", nil},
		{"proposeTerms", "POST", "/terms/proposals", terms, "d!", nil},
		{"listProposals", "GET", "/proposals", "", "Adl", nil},
		{"withdrawProposal", "POST", "/proposals/999999/withdrawal", "", "dl", nil},
		{"acceptProposal", "POST", "/proposals/999999/acceptance", "", "adl!", nil},
		{"rejectProposal", "POST", "/proposals/999999/rejection", "", "adl!", nil},
		{"listRightsRequests", "GET", "/rights-requests", "", "cap", nil},
		{"receiveRightsRequest", "POST", c + "/rights-requests", `{"kind":"access","received_on":"2023-09-01","channel":"letter","reference":"1"}`, "c", nil},
		{"receiveFormerRequest", "POST", "/rights-requests/former", `{"national_id":"13097248022","received_on":"2023-09-01","channel":"letter","reference":"1"}`, "c", nil},
		{"readRightsRequest", "GET", right, "", "cap", nil},
		{"prepareRightsRequest", "POST", right + "/preparation", `{}`, "c", nil},
		{"returnRightsRequest", "POST", right + "/return", `{}`, "a!", nil},
		{"releaseRightsRequest", "POST", right + "/release", `{}`, "a!", nil},
		{"refuseRightsRequest", "POST", right + "/refusal", `{"ground":"unfounded"}`, "a!", nil},
		{"withdrawRightsRequest", "POST", right + "/withdrawal", "", "c", nil},
		{"extendRightsRequest", "POST", right + "/extension", `{"reason":"many","told_on":"2023-09-02"}`, "c", nil},
		{"liftRestriction", "POST", right + "/lift", `{"told_on":"2023-09-02","reason":"x"}`, "a!", nil},
		{"readExtract", "GET", right + "/extract", "", "ca!", nil},
		{"previewExtract", "GET", right + "/extract/preview", "", "a!", nil},
	}
}

func (s *stage) ask(as who, r request) answer {
	s.t.Helper()
	var body any
	if r.body != "" {
		body = r.body
	}
	return s.do(as, r.method, r.path, body, r.headers...)
}

var everybody = []struct {
	letter string
	who
}{
	{"c", caseworker}, {"c", otherCaseworker}, {"a", approver}, {"p", privacyOfficer}, {"d", administrator}, {"s", support}, {"o", operator}, {"l", platform},
}

func TestWhoMay(t *testing.T) {
	s := newStage(t)
	s.sweep()
	w := s.fill(s.A)
	leaver := who{role: access.Administrator, municipality: 2}
	s.key(leaver)
	if err := account.Disable(t.Context(), s.DB, access.SystemFor(0), s.As(leaver.role, leaver.municipality).Account); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, r := range requests(w) {
		asked[r.id] = true
		for _, e := range everybody {
			for _, machine := range []bool{false, true} {
				as := e.who
				as.machine = machine
				may := r.allows(e.letter, machine)
				a := s.ask(as, r)
				if may == (a.status == 403 || a.status == 401) {
					t.Errorf("%s by %s (machine %v): %d %s", r.id, as.role, machine, a.status, a.body)
				}
				if !may && a.code() != "permission" && (!machine || a.code() != "step_up" && a.code() != "key_makes_key") {
					t.Errorf("%s by %s is refused with %s", r.id, as.role, a.code())
				}
			}
		}
		for name, as := range map[string]who{"anonymous": nobody, "disabled": leaver} {
			if a := s.ask(as, r); a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s, %s: %d %s", r.id, name, a.status, a.body)
			}
		}
	}
	if missing := difference(operations, asked); len(missing) > 0 {
		t.Errorf("not asked: %s", missing)
	}
	if s.Count(t, `SELECT count(*) FROM audit WHERE refused AND act = 'refused'`) == 0 {
		t.Error("refusals are not recorded")
	}
}

// The contract refuses first; with that wall taken away, the domain refuses the same.
func TestWhoMayNotWithoutTheContract(t *testing.T) {
	s := newStage(t)
	s.sweep()
	w := s.fill(s.A)
	s.api.Disarm()
	for _, r := range requests(w) {
		if r.id == "importClients" { // its body is judged before
			continue
		}
		for _, e := range everybody {
			for _, machine := range []bool{false, true} {
				as := e.who
				as.machine = machine
				if r.allows(e.letter, machine) {
					continue
				}
				if a := s.ask(as, r); a.status != 403 && a.status != 404 {
					t.Errorf("%s by %s (machine %v): %d %s", r.id, as.role, machine, a.status, a.body)
				}
			}
		}
	}
}

func difference[V, W any](a map[string]V, b map[string]W) []string {
	var missing []string
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[k]; !ok {
			missing = append(missing, k)
		}
	}
	return missing
}

// What belongs to somebody else answers like what never was, to the byte.
func TestForeignIsMissing(t *testing.T) {
	s := newStage(t)
	s.sweep()
	s.fill(s.A)
	foreign := s.fill(s.B)
	missing := world{
		client: uuid.New(), device: uuid.New(), hold: uuid.New(), address: uuid.New(), order: uuid.New(), imported: uuid.New(), number: "3218-991001", right: uuid.New(), visit: uuid.New(), deviation: uuid.New(),
	}
	garbage := requests(missing)
	for i := range garbage {
		for _, id := range []uuid.UUID{missing.client, missing.device, missing.hold, missing.address, missing.order, missing.imported, missing.right, missing.deviation} {
			garbage[i].path = strings.ReplaceAll(garbage[i].path, id.String(), "nonsense")
		}
		garbage[i].path = strings.ReplaceAll(garbage[i].path, "/rounds/"+missing.number, "/rounds/nonsense")
	}
	theirs, none := requests(foreign), requests(missing)
	n := 0
	for i, r := range theirs {
		var as who
		switch r.may[0] {
		case 'c':
			as = caseworker
		case 'a':
			as = approver
		default:
			continue // support and operator work for all municipalities
		}
		if !strings.Contains(operationPath(r.id), "{") {
			continue
		}
		n++
		// A body that names something of the other municipality too must not make a difference.
		a, b, c := s.ask(as, r), s.ask(as, none[i]), s.ask(as, garbage[i])
		if strings.Contains(r.id, "Order") { // asked for in the other municipality, which is named in the address
			none[i].path = strings.Replace(none[i].path, "?municipality=3218", "", 1)
			b = s.ask(as, none[i])
		}
		for _, other := range []answer{b, c} {
			if a.status != 404 || other.status != 404 || !bytes.Equal(a.body, other.body) {
				t.Errorf("%s: %d %s, missing %d %s", r.id, a.status, a.body, other.status, other.body)
			}
		}
	}
	if n < 18 {
		t.Errorf("only %d operations", n)
	}
	mine := s.person(pgtest.Person{})
	at := "/clients/" + mine.String()
	for name, pair := range map[string][2]request{
		"device": {
			{method: "POST", path: at + "/devices", body: `{"device":"` + foreign.device.String() + `"}`},
			{method: "POST", path: at + "/devices", body: `{"device":"` + uuid.NewString() + `"}`},
		},
		"group":  {{method: "GET", path: "/clients?group=5501-240101"}, {method: "GET", path: "/clients?group=5501-990101"}},
		"search": {{method: "GET", path: "/clients?search=" + uuid.NewString()}, {method: "GET", path: "/clients?search=" + s.ok(201, foreigner, "POST", "/clients/searches", object{"text": "x"}).id(t).String()}},
	} {
		if a, b := s.ask(caseworker, pair[0]), s.ask(caseworker, pair[1]); a.status != 404 || b.status != 404 || !bytes.Equal(a.body, b.body) {
			t.Errorf("%s: %d %s, %d %s", name, a.status, a.body, b.status, b.body)
		}
	}
	s.ok(200, caseworker, "POST", at+"/status", object{"status": "disconnected"})
	a := s.do(caseworker, "PUT", at+"/group", object{"group": "5501-240401"})
	b := s.do(caseworker, "PUT", at+"/group", object{"group": "5501-990401"})
	if a.status != 422 || !bytes.Equal(a.body, b.body) {
		t.Errorf("%s %s", a.body, b.body)
	}
	var page rest.ClientPage
	s.ok(200, caseworker, "GET", "/clients", nil).into(t, &page)
	for _, c := range page.Clients {
		if c.Id == foreign.client {
			t.Error("a foreign client is listed")
		}
	}
}

func operationPath(id string) string {
	for path, item := range spec.Paths.Map() {
		for _, op := range item.Operations() {
			if op.OperationID == id {
				return path
			}
		}
	}
	return ""
}

func TestPaging(t *testing.T) {
	s := newStage(t)
	s.sweep()
	for range 7 {
		s.person(pgtest.Person{})
		s.person(pgtest.Person{Municipality: s.B})
	}
	var all, page rest.ClientPage
	s.ok(200, caseworker, "GET", "/clients?limit=200", nil).into(t, &all)
	if len(all.Clients) != 7 || all.Next != nil || all.Previous != nil {
		t.Fatalf("%d %v %v", len(all.Clients), all.Next, all.Previous)
	}
	names := func(p rest.ClientPage) (n []string) {
		for _, c := range p.Clients {
			n = append(n, c.Id.String())
		}
		return n
	}
	var forth, back []string
	cursor := ""
	for range 4 {
		s.ok(200, caseworker, "GET", "/clients?limit=2"+cursor, nil).into(t, &page)
		forth = append(forth, names(page)...)
		if page.Next == nil {
			break
		}
		cursor = "&cursor=" + *page.Next
	}
	cursor = "&cursor=last"
	for range 4 {
		s.ok(200, caseworker, "GET", "/clients?limit=2"+cursor, nil).into(t, &page)
		back = append(names(page), back...)
		if page.Previous == nil {
			break
		}
		cursor = "&cursor=" + *page.Previous
	}
	other := s.person(pgtest.Person{Municipality: 2})
	for _, gone := range []string{"a" + uuid.NewString(), "b" + uuid.NewString(), "a" + other.String()} {
		looked := s.Count(t, `SELECT count(*) FROM access_log`)
		s.refused(404, "not_found", caseworker, "GET", "/clients?limit=2&cursor="+gone, nil)
		if s.Count(t, `SELECT count(*) FROM access_log`) != looked {
			t.Error("a page that nobody got is written down as seen")
		}
	}
	if !slices.Equal(forth, names(all)) || !slices.Equal(back, names(all)) {
		t.Errorf("all %v\nforth %v\nback %v", names(all), forth, back)
	}
}

// Whatever is wrong with a request is told by place and rule; what was sent never comes back.
func TestBadInput(t *testing.T) {
	s := newStage(t)
	s.sweep()
	id := s.person(pgtest.Person{})
	at := "/clients/" + id.String()
	const secret = "Hemmelig42"
	for _, c := range []struct {
		status       int
		code, fields string
		as           who
		method, path string
		body         any
		headers      []string
	}{
		{400, "bad_request", "status=choice", caseworker, "POST", at + "/status", `{"status":"` + secret + `"}`, nil},
		{400, "bad_request", "reason=choice status=required", caseworker, "POST", at + "/status", `{"reason":"` + secret + `"}`, nil},
		{400, "bad_request", "body=unknown_field", caseworker, "POST", at + "/status", `{"status":"active","` + secret + `":1}`, nil},
		{400, "bad_request", "address=unknown_field", caseworker, "POST", "/clients", `{"given_name":"A","family_name":"B","status":"active","address":{"` + secret + `":1}}`, nil},
		{400, "bad_request", "address.postcode=too_long", caseworker, "POST", "/clients", `{"given_name":"A","family_name":"B","status":"active","address":{"postcode":"` + secret + `4242"}}`, nil},
		{400, "bad_request", "birth_date=form", caseworker, "POST", "/clients", `{"given_name":"A","family_name":"B","status":"active","birth_date":"` + secret + `"}`, nil},
		{400, "bad_request", "given_name=form", caseworker, "POST", "/clients", `{"given_name":42,"family_name":"B","status":"active"}`, nil},
		{400, "bad_request", "body=unreadable_json", caseworker, "POST", "/clients", `{"given_name":"` + secret, nil},
		{400, "bad_request", "body=unreadable_json", caseworker, "POST", "/clients", `{} {"given_name":"` + secret + `"}`, nil},
		{400, "bad_request", "body=unreadable_json", caseworker, "POST", "/clients", `{"given_name":"` + secret + `\u0000"}`, nil},
		{400, "bad_request", "body=unreadable_json", caseworker, "POST", "/clients", "{\"given_name\":\"" + secret + "\xff\"}", nil},
		{400, "bad_request", "body=unreadable_json", caseworker, "POST", "/clients", "", nil},
		{400, "bad_request", "body=form", caseworker, "POST", "/clients", "[]", nil},
		{400, "bad_request", "body=nothing_to_change", caseworker, "PATCH", at, "{}", []string{"If-Match", `"1"`}},
		{400, "bad_request", "body=no_body", operator, "POST", "/rounds/3218-240101/pause", `{"a":"` + secret + `"}`, nil},
		{415, "media_type", "", caseworker, "POST", "/clients", secret, []string{"Content-Type", "text/plain"}},
		{415, "media_type", "", caseworker, "POST", "/clients", secret, []string{"Content-Type", ";"}},
		{413, "too_large", "", caseworker, "POST", "/clients", `{"given_name":"` + secret + strings.Repeat("x", 1<<20) + `"}`, nil},
		{400, "bad_request", "query=unknown_parameter", caseworker, "GET", "/clients?" + secret + "=1", nil, nil},
		{400, "bad_request", "limit=given_twice", caseworker, "GET", "/clients?limit=1&limit=2", nil, nil},
		{400, "bad_request", "limit=form", caseworker, "GET", "/clients?limit=0", nil, nil},
		{400, "bad_request", "limit=form", caseworker, "GET", "/clients?limit=" + secret, nil, nil},
		{400, "bad_request", "status=choice", caseworker, "GET", "/clients?status=active&status=" + secret, nil, nil},
		{400, "bad_request", "search=form", caseworker, "GET", "/clients?search=" + secret, nil, nil},
		{400, "bad_request", "review_by=no_such_day", caseworker, "GET", "/clients?review_by=2023-02-31", nil, nil},
		{400, "bad_request", "cursor=form", caseworker, "GET", "/clients?cursor=" + secret, nil, nil},
		{400, "bad_request", "query=unreadable_query", caseworker, "GET", "/clients?limit=%zz" + secret, nil, nil},
		{400, "bad_request", "after=unreadable_query", caseworker, "GET", "/devices?after=" + secret + "%00", nil, nil},
		{400, "bad_request", "Idempotency-Key=required", operator, "POST", "/rounds/3218-240101/start", `{"number":"3218-240101"}`, nil},
		{400, "bad_request", "Idempotency-Key=too_short", operator, "POST", "/rounds/3218-240101/start", `{"number":"3218-240101"}`, []string{"Idempotency-Key", "7 chars"}},
		{400, "bad_request", "reference=too_long", caseworker, "POST", "/orders", `{"scope":"group","group":"3218-240101","reason":"other","reference":"` + strings.Repeat("1", 61) + `","run_on":"2024-01-02"}`, []string{"Idempotency-Key", "a long reference"}},
		{404, "not_found", "", caseworker, "GET", "/clients/" + secret, nil, nil},
		{404, "not_found", "", caseworker, "GET", "/clients/" + strings.ReplaceAll(id.String(), "-", ""), nil, nil},
		{404, "not_found", "", caseworker, "GET", "/rounds/" + secret, nil, nil},
		{404, "not_found", "", support, "PUT", "/rounds/3218-240101/spot-checks/" + secret, `{"finding":"in_stock"}`, nil},
		{404, "not_found", "", caseworker, "GET", "/" + secret, nil, nil},
		{404, "not_found", "", caseworker, "GET", at + "/" + secret, nil, nil},
		{405, "method", "", caseworker, "DELETE", at, nil, nil},
		{401, "unauthenticated", "", nobody, "GET", "/" + secret, nil, nil},
		{422, "invalid", "birth_date=no_such_day", caseworker, "POST", "/clients", `{"given_name":"A","family_name":"B","status":"active","birth_date":"2023-02-30"}`, nil},
		{422, "invalid", "birth_date=no_such_day", caseworker, "PATCH", at, `{"birth_date":"2023-02-29"}`, []string{"If-Match", `"1"`}},
		{422, "invalid", "at=no_such_day", caseworker, "POST", at + "/status", `{"status":"disconnected","at":"2023-09-31T10:00:00+02:00"}`, nil},
		{422, "invalid", "run_on=no_such_day", caseworker, "POST", "/orders", `{"scope":"group","group":"3218-240101","reason":"other","reference":"1","run_on":"2024-13-01"}`, []string{"Idempotency-Key", "a day that is none"}},
		{400, "bad_request", "birth_date=no_such_day given_name=required", caseworker, "POST", "/clients", `{"family_name":"B","status":"active","birth_date":"2023-02-30"}`, nil},
		{400, "bad_request", "at=form", caseworker, "POST", at + "/status", `{"status":"disconnected","at":"2023-09-30T25:00:00Z"}`, nil},
		{422, "invalid", "birth_date=no_such_day", caseworker, "POST", "/clients", `{"given_name":"A","family_name":"B","status":"active","birth_date":"2023-02-30` + secret + `"}`, nil},
		{422, "invalid", "at=future", caseworker, "POST", at + "/status", `{"status":"disconnected","at":"2033-01-01T00:00:00Z"}`, nil},
		{422, "invalid", "at=before_previous", caseworker, "POST", at + "/status", `{"status":"disconnected","at":"1999-01-01T00:00:00Z"}`, nil},
		{422, "invalid", "review_on=date_passed", caseworker, "POST", at + "/holds", `{"reason":"other","authority":"` + secret + `","review_on":"2001-01-01"}`, nil},
		{422, "invalid", "national_id=national_id_length", caseworker, "POST", "/clients", `{"given_name":"A","family_name":"B","status":"active","national_id":"` + secret + `"}`, nil},
		{422, "invalid", "email=bad_email", caseworker, "POST", "/clients", `{"given_name":"A","family_name":"B","status":"active","email":"` + secret + `"}`, nil},
	} {
		a := s.do(c.as, c.method, c.path, c.body, c.headers...)
		if a.status != c.status || a.code() != c.code || a.fields() != c.fields {
			t.Errorf("%s %s %v: %d %s %q, not %d %s %q: %s", c.method, c.path[:min(len(c.path), 80)], len(fmt.Sprint(c.body)), a.status, a.code(), a.fields(), c.status, c.code, c.fields, a.body)
		}
		if strings.Contains(string(a.body)+fmt.Sprint(a.header), secret) {
			t.Errorf("%s %s sends back what came: %s %s", c.method, c.path, a.body, a.header)
		}
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be kept", c.method, c.path)
		}
	}
	if a := s.do(caseworker, "DELETE", at, nil); !slices.Contains(a.header.Values("Allow"), "PATCH") {
		t.Errorf("Allow: %v", a.header)
	}
	english := s.do(nobody, "GET", "/me", nil, "Accept-Language", "en")
	if english.header.Get("Content-Language") != "en" {
		t.Errorf("%v", english.header)
	}
	if a := s.do(caseworker, "POST", at+"/status", object{"status": "disconnected", "at": "2023-02-29T10:00:00Z"}); !strings.Contains(string(a.body), "2023-02-29 finnes ikke. Februar 2023 har 28 dager.") {
		t.Errorf("the day is not said as on the page: %s", a.body)
	}
	if a := s.do(operator, "POST", "/rounds/3218-240101/start", object{"number": "3218-240101"}, "Idempotency-Key", "x"); !strings.Contains(string(a.body), "Idempotency-Key må ha minst 8 tegn.") {
		t.Errorf("a short key: %s", a.body)
	}
	if n := s.Count(t, `SELECT count(*) FROM client`); n != 1 {
		t.Errorf("%d clients", n)
	}
}

func TestDocs(t *testing.T) {
	s := newStage(t)
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil).WithContext(t.Context()))
		return w
	}
	file := get("/api/openapi.yaml")
	served, err := openapi3.NewLoader().LoadFromData(file.Body.Bytes())
	if err != nil || served.Info.Title != "Frist" || file.Header().Get("Content-Type") != "application/yaml; charset=utf-8" {
		t.Errorf("%v %v", err, file.Header())
	}
	page := get("/api/docs")
	_, rest, _ := strings.Cut(page.Body.String(), `<script src="`)
	src, _, _ := strings.Cut(rest, `"`)
	policy := page.Header().Get("Content-Security-Policy")
	if page.Code != 200 || !strings.Contains(policy, "style-src 'self' 'unsafe-inline'") || !strings.Contains(policy, "worker-src blob:") || strings.Contains(policy, "script-src 'self' ") {
		t.Errorf("%d %s", page.Code, policy)
	}
	script := get(src)
	if body, _ := io.ReadAll(script.Body); script.Code != 200 || len(body) < 500_000 {
		t.Errorf("%s: %d, %d bytes", src, script.Code, len(body))
	}
}
