package admin

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/fhir/fhirtest"
	"github.com/frist-app/frist/internal/handout"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/rights"
	"github.com/google/uuid"
)

// planted puts a token into every personal column that hangs on a client, and gives the tokens by table.column. What it
// forgets the test says.
func planted(t *testing.T, p *pages, id uuid.UUID) map[string]string {
	t.Helper()
	address := p.AddressOf(t, id)
	tokens := map[string]string{}
	token := func(field string) string {
		if tokens[field] == "" {
			tokens[field] = fmt.Sprintf("Zq%03dæ", len(tokens))
		}
		return tokens[field]
	}
	do := func(sql string, args ...any) { t.Helper(); p.Exec(t, sql, append([]any{p.A, id}, args...)...) }
	tokens["client.number"], tokens["client.national_id"], tokens["client.birth_date"], tokens["client.gender"], tokens["address.postcode"] = "777000111", "13097248022", "13.09.1972", "K", "1432"
	do(`UPDATE client SET number = '777000111', given_name = $3, family_name = $4, national_id = '13097248022', birth_date = '1972-09-13', gender = 'K', phone = $5, email = $6 WHERE municipality_id = $1 AND id = $2`,
		token("client.given_name"), token("client.family_name"), token("client.phone"), token("client.email"))
	do(`UPDATE client_search SET text = $3 WHERE municipality_id = $1 AND client_id = $2`, token("client_search.text"))
	p.Exec(t, `UPDATE address SET street = $2, postcode = '1432', town = $3, note = $4 WHERE id = $1`, address, token("address.street"), token("address.town"), token("address.note"))
	do(`UPDATE note SET text = $3 WHERE municipality_id = $1 AND client_id = $2`, token("note.text"))
	do(`INSERT INTO property (municipality_id, client_id, name, value) VALUES ($1, $2, $3, $4)`, token("property.name"), token("property.value"))
	do(`UPDATE next_of_kin SET name = $3, relation = $4, phone = $5 WHERE municipality_id = $1 AND client_id = $2`, token("next_of_kin.name"), token("next_of_kin.relation"), token("next_of_kin.phone"))
	professional := uuid.New()
	p.Exec(t, `INSERT INTO professional (municipality_id, id, name, profession, phone) VALUES ($1, $2, $3, $4, $5)`, p.A, professional, token("professional.name"), token("professional.profession"), token("professional.phone"))
	do(`INSERT INTO client_professional (municipality_id, client_id, professional_id) VALUES ($1, $2, $3)`, professional)
	do(`INSERT INTO medical_entry (municipality_id, client_id, at, text, entered_by) VALUES ($1, $2, now(), $3, 101)`, token("medical_entry.text"))
	do(`INSERT INTO medication (municipality_id, client_id, name, dose) VALUES ($1, $2, $3, $4)`, token("medication.name"), token("medication.dose"))
	do(`WITH plan AS (INSERT INTO care_plan (municipality_id, client_id, goal, since) VALUES ($1, $2, $3, '2022-01-01') RETURNING id)
		INSERT INTO care_plan_entry (municipality_id, client_id, care_plan_id, at, text, entered_by) SELECT $1, $2, id, now(), $4, 101 FROM plan`, token("care_plan.goal"), token("care_plan_entry.text"))
	do(`INSERT INTO communication (municipality_id, client_id, at, channel, text, entered_by) VALUES ($1, $2, now(), 'phone', $3, 101)`, token("communication.text"))
	do(`INSERT INTO alarm_event (municipality_id, client_id, at, kind, text, device_code) VALUES ($1, $2, now(), 'fall_detected', $3, '300412')`, token("alarm_event.text"))
	do(`INSERT INTO client_change (municipality_id, client_id, at, field, from_value, to_value, account_id) VALUES ($1, $2, now(), 'phone', $3, $4, 101)`, token("client_change.from_value"), token("client_change.to_value"))
	do(`WITH e AS (INSERT INTO address_event (municipality_id, address_id, at, kind, text, blob_key, names_clients) SELECT $1, address_id, now(), 'test_passed', $3, '1/aa/home', true FROM client WHERE id = $2 RETURNING id)
		INSERT INTO address_event_client (municipality_id, client_id, event_id) SELECT $1, $2, id FROM e`, token("address_event.text"))
	do(`INSERT INTO hold (municipality_id, client_id, reason, authority, review_on, placed_by, placed_at, release_asked_by, release_asked_at, release_reason) VALUES ($1, $2, 'complaint', $3, '2024-01-01', 101, now(), 101, now(), $4)`,
		token("hold.authority"), token("hold.release_reason"))
	do(`INSERT INTO hold (municipality_id, client_id, reason, authority, review_on, confidential, placed_by, placed_at) VALUES ($1, $2, 'police', 'Hemmelig politisak', '2024-01-01', true, 101, now())`)
	do(`INSERT INTO placement (municipality_id, client_id, act, reason, at, account_id) VALUES ($1, $2, 'withdrawn', $3, now(), 101)`, token("placement.reason"))
	device := uuid.New()
	p.Exec(t, `INSERT INTO device (municipality_id, id, code, serial, kind, stock_state) VALUES ($1, $2, '300412', 'SN-77', 'safety_alarm', 'connected')`, p.A, device)
	do(`INSERT INTO device_connection (municipality_id, client_id, device_id, connected_at) VALUES ($1, $2, $3, now())`, device)
	p.Exec(t, `ALTER TABLE rights_request DISABLE TRIGGER rights_guard`)
	do(`INSERT INTO rights_request (municipality_id, client_id, kind, state, received_on, due_on, channel, reference, wish, received_by, received_at, prepared_by, answer, recipients, statement, remark, restriction_ground, decided_by, decided_at, told_on, lift_reason, lifted_by, lifted_at)
		VALUES ($1, $2, 'restriction', 'released', '2023-01-02', '2023-02-02', 'letter', $3, $4, 101, now(), 101, $5, $6, $7, $8, 'unlawful', 102, now(), '2023-01-03', $9, 102, now())`,
		token("rights_request.reference"), token("rights_request.wish"), token("rights_request.answer"), token("rights_request.recipients"), token("rights_request.statement"), token("rights_request.remark"), token("rights_request.lift_reason"))
	do(`INSERT INTO rights_request (municipality_id, client_id, kind, state, received_on, due_on, channel, reference, received_by, received_at, prepared_by, refusal_ground, decision, decided_by, decided_at)
		VALUES ($1, $2, 'erasure', 'refused', '2023-01-02', '2023-02-02', 'letter', '1', 101, now(), 101, 'retention', $3, 102, now())`, token("rights_request.decision"))
	p.Exec(t, `ALTER TABLE rights_request ENABLE TRIGGER rights_guard`)
	return tokens
}

// released is a request for access with its answer.
func released(t *testing.T, p *pages, id uuid.UUID) uuid.UUID {
	t.Helper()
	var request uuid.UUID
	act := func(role access.Role, fn func(ctx context.Context, tx *pg.Tx) error) {
		t.Helper()
		if err := p.DB.InTx(t.Context(), p.As(role, p.A), func(tx *pg.Tx) error { return fn(t.Context(), tx) }); err != nil {
			t.Fatal(err)
		}
	}
	act(access.Caseworker, func(ctx context.Context, tx *pg.Tx) (err error) {
		request, err = rights.Receive(ctx, tx, id, rights.New{Kind: rights.Access, ReceivedOn: edge.SamplePage("nb").Today(), Channel: "letter", Reference: "23/1042"})
		return err
	})
	act(access.Caseworker, func(ctx context.Context, tx *pg.Tx) error {
		return rights.Prepare(ctx, tx, request, rights.Preparation{})
	})
	act(access.Approver, func(ctx context.Context, tx *pg.Tx) error { return rights.Release(ctx, tx, request, calendar.Date{}) })
	return request
}

var (
	streams = regexp.MustCompile(`(?s)stream\r?\n(.*?)endstream`)
	escaped = regexp.MustCompile(`(?s)\\(.)`)
)

// pdfText is what stands in a PDF: fpdf writes strings as UTF-16 in compressed streams.
func pdfText(t *testing.T, file []byte) string {
	t.Helper()
	var text strings.Builder
	for _, m := range streams.FindAllSubmatch(file, -1) {
		r, err := zlib.NewReader(bytes.NewReader(m[1]))
		if err != nil {
			continue
		}
		plain, _ := io.ReadAll(r)
		plain = escaped.ReplaceAll(plain, []byte("$1"))
		for _, at := range []int{0, 1} { // strings begin at even and at odd places
			units := make([]uint16, 0, len(plain)/2)
			for i := at; i+1 < len(plain); i += 2 {
				units = append(units, uint16(plain[i])<<8|uint16(plain[i+1]))
			}
			text.WriteString(string(utf16.Decode(units)))
		}
	}
	return text.String()
}

// Whatever is held stands in every format, what is confidential in none, and FHIR is what its schema says.
func TestTheExtractTellsEverythingInEveryFormat(t *testing.T) {
	p := open(t, nil)
	id := p.Add(t, pgtest.Person{Recordings: []string{"1/aa/x"}})
	wav := append([]byte("RIFF\x00\x00\x00\x00WAVE"), make([]byte, 600)...)
	for _, key := range []string{"1/aa/x", "1/aa/home"} {
		if err := p.blobs.Put(t.Context(), key, "audio/wav", wav); err != nil {
			t.Fatal(err)
		}
	}
	tokens := planted(t, p, id)
	request := released(t, p, id)
	var e rights.Extract
	before := p.Count(t, `SELECT count(*) FROM access_log WHERE page = 'client.extract'`)
	err := p.DB.InTx(t.Context(), p.As(access.Approver, p.A), func(tx *pg.Tx) (err error) {
		e, err = rights.Make(t.Context(), tx, request, "zip")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.Count(t, `SELECT count(*) FROM access_log WHERE page = 'client.extract'`) != before+1 || p.Count(t, `SELECT count(*) FROM audit WHERE act = 'rights.extract'`) != 1 {
		t.Error("that it was made is not written down")
	}
	if err := handout.Listen(t.Context(), p.blobs, &e); err != nil {
		t.Fatal(err)
	}
	if len(e.Sounds) != 2 || e.Sounds[0].Missing || e.Sounds[0].ContentType != "audio/wave" {
		t.Errorf("%+v", e.Sounds)
	}
	formats := map[string]string{}
	write := func(name string, fn func(w io.Writer) error) []byte {
		t.Helper()
		var out bytes.Buffer
		if err := fn(&out); err != nil {
			t.Fatal(err)
		}
		formats[name] = out.String()
		return out.Bytes()
	}
	write("json", e.WriteJSON)
	bundle := write("fhir", e.WriteFHIR)
	as := func(format string) string {
		t.Helper()
		file, err := handout.FileOf(t.Context(), p.blobs, edge.T("nb"), e, format)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		file.Send(w)
		return w.Body.String()
	}
	formats["html"] = as("html")
	file := []byte(as("pdf"))
	formats["pdf"] = pdfText(t, file)
	if dir := os.Getenv("FRIST_SHOW"); dir != "" { // to look at them
		for name, text := range map[string]string{"innsyn.pdf": string(file), "innsyn.html": formats["html"], "innsyn.json": formats["json"], "innsyn.fhir.json": formats["fhir"]} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := fhirtest.Check(bundle); err != nil {
		t.Error(err)
	}
	for _, c := range explain.PersonalColumns() {
		field := c.Table + "." + c.Name
		if _, not := rights.NotExtracted[c.Table]; not || c.Table == "stored_search" || strings.HasPrefix(c.Table, "deviation_") { // words about a deviation, which is nobody's; what somebody typed; it hangs on a sign-in
			continue
		}
		token, ok := tokens[field]
		if !ok {
			t.Errorf("nothing is planted in %s", field)
			continue
		}
		for name, text := range formats {
			want := token
			switch {
			case field == "client.gender":
				want = map[string]string{"json": `"gender": "K"`, "fhir": `"gender":"female"`, "html": "Kvinne", "pdf": "Kvinne"}[name]
			case field == "client.birth_date" && (name == "json" || name == "fhir"):
				want = "1972-09-13"
			}
			if !strings.Contains(text, want) {
				t.Errorf("%s (%s) is not in the %s", field, want, name)
			}
		}
	}
	for name, text := range formats {
		for _, want := range []string{"300412", "SN-77", "opptak/opptak-001.wav", "opptak/opptak-002.wav", "Ansatt 101"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s is not in the %s", want, name)
			}
		}
		for _, never := range []string{"Hemmelig politisak", "1/aa/x", "1/aa/home", "%!"} {
			if strings.Contains(text, never) {
				t.Errorf("%s is in the %s", never, name)
			}
		}
	}
	if !strings.Contains(formats["html"], "holdt tilbake") || !strings.Contains(formats["json"], `"confidential"`) || !strings.Contains(formats["fhir"], "confidential") || !strings.Contains(formats["pdf"], "holdt tilbake") {
		t.Error("that something is withheld is not told")
	}
	var document map[string]any
	if err := json.Unmarshal([]byte(formats["json"]), &document); err != nil || document["schema"] != rights.Schema {
		t.Errorf("%v %v", err, document["schema"])
	}
	// Of a protected person nobody is told where they live, in no format.
	p.Exec(t, `UPDATE client SET protected = true WHERE id = $1`, id)
	err = p.DB.InTx(t.Context(), p.As(access.Approver, p.A), func(tx *pg.Tx) (err error) {
		e, err = rights.Make(t.Context(), tx, request, "json")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text := string(write("json", e.WriteJSON))
	for _, field := range []string{"address.street", "address.town", "address.note", "client.phone", "client_change.from_value"} {
		if strings.Contains(text, tokens[field]) {
			t.Errorf("%s of a protected client is told", field)
		}
	}
}

// The number of statements does not grow with what is held.
func TestTheExtractAsksOnce(t *testing.T) {
	p := open(t, nil)
	few, many := p.Add(t, pgtest.Person{}), p.Add(t, pgtest.Person{Alarms: 500})
	count := func(id uuid.UUID) (rows int) {
		request := released(t, p, id)
		err := p.DB.InTx(t.Context(), p.As(access.Approver, p.A), func(tx *pg.Tx) error {
			e, err := rights.Make(t.Context(), tx, request, "json")
			rows = len(e.Section("alarm_event").Rows)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if count(few) != 0 || count(many) != 500 {
		t.Error("not every row is told")
	}
}

// The pages from the form to the answer, by those who may and those who may not.
func TestRequestsOnThePages(t *testing.T) {
	p := open(t, nil)
	id := p.Add(t, pgtest.Person{GivenName: "Solveig", FamilyName: "Hansen"})
	worker, approver, officer := p.as(t, access.Caseworker), p.as(t, access.Approver), p.as(t, access.PrivacyOfficer)
	form := url.Values{"once": {"1"}, "kind": {"rectification"}, "received_on": {"31.09.23"}, "channel": {""}, "reference": {""}, "wish": {"Feil nummer"}}
	path := "/klienter/" + id.String() + "/rettigheter"
	a := worker.do(http.MethodPost, path, form)
	if a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "31.09.23") || !strings.Contains(a.Body, "Feil nummer") || strings.Count(a.Body, "ds-validation-message") < 3 {
		t.Errorf("%d %s", a.Status, readable(a.Body))
	}
	form.Set("received_on", "18.09.23")
	form.Set("channel", "phone")
	form.Set("reference", "23/9")
	a = worker.do(http.MethodPost, path, form)
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Location, "/rettigheter/") || strings.Contains(a.Location, "Hansen") {
		t.Fatalf("%d %s %s", a.Status, a.Location, readable(a.Body))
	}
	request := a.Location
	if again := worker.do(http.MethodPost, path, form); again.Status != http.StatusSeeOther || p.Count(t, `SELECT count(*) FROM rights_request`) != 1 {
		t.Errorf("pressed twice: %d", again.Status)
	}
	see := func(b *browser, path string, wants ...string) {
		t.Helper()
		a := b.get(path)
		for _, want := range wants {
			if a.Status != http.StatusOK || !strings.Contains(a.Body, want) {
				t.Errorf("%s: %d without %s\n%s", path, a.Status, want, readable(a.Body))
			}
		}
		if !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s is stored on the way: %s", path, a.Header.Get("Cache-Control"))
		}
	}
	see(worker, "/rettigheter", "Solveig Hansen", "23/9", "18.10.23")
	see(approver, "/rettigheter", "Solveig Hansen")
	see(worker, request, "Forbered svaret", "Feil nummer", "Ingenting er endret")
	see(worker, "/klienter/"+id.String(), "Krav om retting", "18.10.23")
	if a := officer.get("/rettigheter"); a.Status != http.StatusOK || strings.Contains(a.Body, "Hansen") || !strings.Contains(a.Body, "23/9") {
		t.Errorf("the privacy officer's list: %d", a.Status)
	}
	if a := officer.get(request); a.Status != http.StatusOK || strings.Contains(a.Body, "Hansen") || strings.Contains(a.Body, "<form method=\"post\" action=\"/rettigheter") {
		t.Errorf("the privacy officer's page: %d", a.Status)
	}
	for _, act := range []string{"forbered", "frigi", "avsla", "trekk", "forleng", "send-tilbake", "opphev"} {
		if a := officer.do(http.MethodPost, request+"/"+act, url.Values{}); a.Status != http.StatusForbidden {
			t.Errorf("the privacy officer %s: %d", act, a.Status)
		}
	}
	if a := worker.do(http.MethodPost, request+"/forbered", url.Values{"answer": {""}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "Svaret mangler") {
		t.Errorf("%d %s", a.Status, readable(a.Body))
	}
	if a := worker.do(http.MethodPost, request+"/forbered", url.Values{"answer": {"Rettet"}, "recipients": {"Skyresponsen"}}); a.Status != http.StatusSeeOther {
		t.Errorf("%d %s", a.Status, readable(a.Body))
	}
	see(approver, request, "Avgjør kravet", "Skyresponsen", "Bekreft rettingen")
	if a := worker.get(request); strings.Contains(a.Body, "Bekreft rettingen") {
		t.Error("the caseworker is offered the decision")
	}
	if a := approver.do(http.MethodPost, request+"/send-tilbake", url.Values{"remark": {"Ring datteren"}}); a.Status != http.StatusSeeOther {
		t.Errorf("%d %s", a.Status, readable(a.Body))
	}
	see(worker, request, "Ring datteren")
	// Of another municipality the page is like one that never was.
	other := p.Add(t, pgtest.Person{Municipality: p.B})
	var foreign uuid.UUID
	err := p.DB.InTx(t.Context(), p.As(access.Caseworker, p.B), func(tx *pg.Tx) (err error) {
		foreign, err = rights.Receive(t.Context(), tx, other, rights.New{Kind: rights.Access, ReceivedOn: calendar.On(2023, 9, 1), Channel: "letter", Reference: "1"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	missing := worker.get("/rettigheter/" + uuid.NewString())
	if a := worker.get("/rettigheter/" + foreign.String()); a.Status != missing.Status || len(a.Body) != len(missing.Body) {
		t.Errorf("another municipality's request answers %d, a missing one %d", a.Status, missing.Status)
	}
	// Documents come as files without a name in them, after the release, to those who have just proved who they are.
	answered := released(t, p, p.Add(t, pgtest.Person{GivenName: "Arne", FamilyName: "Prøvesen"}))
	for _, format := range []string{"html", "pdf", "json", "fhir", "zip"} {
		a := worker.get("/rettigheter/" + answered.String() + "/utlevering." + format)
		switch a.Status {
		case http.StatusOK:
			if d := a.Header.Get("Content-Disposition"); !strings.HasPrefix(d, `attachment; filename="innsyn.`) || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %s, %s", format, d, a.Header.Get("Cache-Control"))
			}
		case http.StatusForbidden: // a fresh proof is asked for first
			if strings.Contains(a.Body, "Arne") {
				t.Errorf("%s: the refusal tells who it is", format)
			}
		default:
			t.Errorf("%s: %d", format, a.Status)
		}
		if a := officer.get("/rettigheter/" + answered.String() + "/utlevering." + format); a.Status != http.StatusForbidden {
			t.Errorf("the privacy officer takes the %s: %d", format, a.Status)
		}
	}
	if a := worker.get("/rettigheter/" + answered.String() + "/utlevering.exe"); a.Status != http.StatusNotFound {
		t.Errorf("%d", a.Status)
	}
	if a := worker.get("/rettigheter?eldre=x"); a.Status != http.StatusNotFound {
		t.Errorf("a broken cursor: %d", a.Status)
	}
}
