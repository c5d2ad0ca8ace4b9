package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/frist-app/frist/internal/pgtest"
)

// TestProtectionByProgram: what is hidden of a protected client is left out for all but the named few, also in the API, and
// naming and unmarking take two there too (D21).
func TestProtectionByProgram(t *testing.T) {
	s := newStage(t)
	id := s.person(pgtest.Person{})
	s.Exec(t, `UPDATE client SET protected = true, phone = '91234567', email = 'gerd@hidden.example' WHERE id = $1`, id)
	at := "/clients/" + id.String()
	want := func(a answer, status int, words ...string) {
		t.Helper()
		if a.status != status {
			t.Fatalf("%d, not %d: %s", a.status, status, a.body)
		}
		for _, w := range words {
			if !strings.Contains(string(a.body), w) {
				t.Errorf("%s lacks %s", a.body, w)
			}
		}
	}
	hides := func(a answer) {
		t.Helper()
		for _, w := range []string{"91234567", "gerd@hidden", "Gate ", "1430"} {
			if strings.Contains(string(a.body), w) {
				t.Errorf("%s tells %s", a.body, w)
			}
		}
	}
	a := s.do(otherCaseworker, "GET", at, nil)
	want(a, 200, `"hidden":true`, `"address_hidden":true`)
	hides(a)
	hides(s.do(otherCaseworker, "GET", "/clients", nil))
	want(s.do(otherCaseworker, "GET", "/addresses/"+s.AddressOf(t, id).String(), nil), 404)
	want(s.do(administrator, "POST", "/protected-readers", `{"account":151}`), 201)
	var reader int
	if err := s.Admin.QueryRow(t.Context(), `SELECT id FROM protected_reader`).Scan(&reader); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/protected-readers/%d", reader)
	want(s.do(administrator, "POST", path+"/confirm", nil), 403, "approver_only")
	want(s.do(approver, "POST", path+"/confirm", nil), 204)
	want(s.do(privacyOfficer, "GET", "/protected-readers", nil), 200, `"account":151`, `"confirmed"`)
	want(s.do(otherCaseworker, "GET", at, nil), 200, "91234567", "gerd@hidden", "Gate ", `"hidden":false`)
	hides(s.do(caseworker, "GET", at, nil))
	want(s.do(caseworker, "PATCH", at, `{"protected":false}`, "If-Match", `"1"`), 403, "second_person")
	want(s.do(caseworker, "PATCH", at, `{"phone":"1"}`, "If-Match", `"1"`), 403, "shielded")
	want(s.do(caseworker, "POST", at+"/protection/release-request", nil), 204)
	want(s.do(caseworker, "POST", at+"/protection/release", `{"remove":true}`), 403)
	want(s.do(otherCaseworker, "POST", at+"/protection/release", `{"remove":true}`), 204)
	want(s.do(caseworker, "GET", at, nil), 200, "91234567", `"protected":false`)
	want(s.do(approver, "POST", path+"/revoke", nil), 204)
	want(s.do(privacyOfficer, "GET", "/protected-readers", nil), 200, `"readers":[]`)
}
