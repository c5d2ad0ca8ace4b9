package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/explain"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

// The round of these tests, and its twin in the other municipality.
const (
	theRound  = pgtest.NumberA + "-240101"
	twinRound = pgtest.NumberB + "-240101"
)

// rehearsal is a round that has been proposed, with workers behind it. Both municipalities hold the same people.
type rehearsal struct {
	*pages
	t      *testing.T
	goes   []uuid.UUID
	stays  uuid.UUID
	secret []string // what nobody without a role in the municipality may read
	codes  []string // of devices: support may, the operator may not
}

// rehearse proposes a round with so many clients that may go, one that has a device, and a device of each goer in stock.
func rehearse(t *testing.T, goers int) *rehearsal {
	t.Helper()
	r := &rehearsal{pages: open(t, nil), t: t}
	since := time.Date(2023, 6, 10, 10, 0, 0, 0, time.UTC)
	for _, m := range []int{r.A, r.B} {
		for i := range goers + 1 {
			family := fmt.Sprintf("Qvornamn%d%d", m, i)
			id := r.Add(t, pgtest.Person{Municipality: m, Status: "disconnected", Since: since, GivenName: "Xantippe", FamilyName: family, Alarms: 3})
			r.secret = append(r.secret, id.String(), family)
			device := r.AddDevice(t, m, id, uuid.Nil)
			code := fmt.Sprintf("77%d%03d1", m, i)
			r.codes = append(r.codes, code)
			r.Exec(t, `UPDATE device SET code = $2 WHERE id = $1`, device, code)
			if i == goers { // keeps its device
				if m == r.A {
					r.stays = id
				}
				continue
			}
			if m == r.A {
				r.goes = append(r.goes, id)
			}
			r.Exec(t, `UPDATE device_connection SET disconnected_at = $2 WHERE device_id = $1`, device, r.Now())
			r.Exec(t, `UPDATE device SET stock_state = 'in_stock' WHERE id = $1`, device)
		}
	}
	r.secret = append(r.secret, "Xantippe")
	for i, role := range []access.Role{access.Caseworker, access.Approver, access.Support} {
		name := fmt.Sprintf("Stavnamn%d Zephyr", i)
		r.Exec(t, `UPDATE account SET name = $2 WHERE $1 = ANY (roles)`, string(role), name)
		r.secret = append(r.secret, name)
	}
	r.sweep()
	r.SetNow(time.Date(2023, 12, 20, 7, 0, 0, 0, time.UTC))
	r.sweep()
	runner, err := jobs.Start(t.Context(), jobs.Config{DSN: r.DSN("frist_worker", "worker"), Deps: deletion.Deps{DB: r.DB, Blobs: r.blobs, Key: []byte("key of the tests"), Log: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runner.Stop(context.Background()) })
	return r
}

func (r *rehearsal) sweep() {
	r.t.Helper()
	if err := deletion.Sweep(r.t.Context(), r.DB); err != nil {
		r.t.Fatal(err)
	}
}

// until waits for the workers to make a condition on the round's row true.
func (r *rehearsal) until(condition string) {
	r.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for r.Count(r.t, `SELECT count(*) FROM deletion_round WHERE number = $1 AND `+condition, theRound) == 0 {
		if time.Now().After(deadline) {
			var state string
			_ = r.Admin.QueryRow(context.Background(), `SELECT state || ' ' || coalesce(brake, '') || ' ' || coalesce(incident, '') FROM deletion_round WHERE number = $1`, theRound).Scan(&state)
			r.t.Fatalf("never %s: %s", condition, state)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// control takes the round through the control on support's pages, with every device found in stock.
func (r *rehearsal) control() {
	r.t.Helper()
	support := r.as(r.t, access.Support)
	path := "/support/runder/" + theRound
	support.post(path+"/kontroll").sees(r.t, http.StatusSeeOther)
	r.until("ready_count IS NOT NULL")
	var found []string
	for i := range 10 {
		found = append(found, fmt.Sprintf("funn-%d", i+1), "in_stock")
	}
	support.post(path+"/avslutt", found...).sees(r.t, http.StatusSeeOther)
	r.until("state = 'controlled'")
}

func (r *rehearsal) approve() {
	r.t.Helper()
	r.as(r.t, access.Approver).post("/runder/"+theRound+"/godkjenn", "remark", "Merknad Qremark").sees(r.t, http.StatusSeeOther)
}

func (r *rehearsal) start() {
	r.t.Helper()
	r.as(r.t, access.Operator).post("/drift/"+theRound+"/start", "number", theRound).sees(r.t, http.StatusSeeOther)
}

func (r *rehearsal) runDay() { r.turn(time.Date(2024, 1, 1, 7, 0, 0, 0, time.UTC)) }

// turn turns the clock, and nobody is signed out by it.
func (r *rehearsal) turn(to time.Time) {
	r.t.Helper()
	by := to.Sub(r.Now())
	r.SetNow(to)
	if err := account.Travel(r.t.Context(), r.DB, by); err != nil {
		r.t.Fatal(err)
	}
}

// finish takes the round all the way.
func (r *rehearsal) finish() {
	r.t.Helper()
	r.control()
	r.approve()
	r.runDay()
	r.start()
	r.until("state = 'finished'")
}

// lacks fails when an answer - body, headers, address - holds one of the words.
func (a answer) lacks(t *testing.T, where string, words ...string) {
	t.Helper()
	all := a.Body + fmt.Sprint(a.Header) + a.Location
	for _, w := range words {
		if strings.Contains(all, w) {
			t.Errorf("%s holds %q", where, w)
		}
	}
}

var (
	townHall = []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator}
	readers  = append(slices.Clone(townHall), access.Support, access.Operator)
)

// Who may use which page of the rounds; everybody else gets 403.
var allowedRounds = map[string][]access.Role{
	"GET /runder":                                 townHall,
	"GET /runder/{number}":                        townHall,
	"GET /runder/{number}/klienter":               {access.Caseworker, access.Approver},
	"GET /runder/{number}/godkjenn":               townHall, // the form; the act is the approver's
	"POST /runder/{number}/godkjenn":              {access.Approver},
	"GET /runder/{number}/avvis":                  townHall,
	"POST /runder/{number}/avvis":                 {access.Approver},
	"GET /runder/{number}/avlys":                  townHall,
	"POST /runder/{number}/avlys":                 {access.Approver},
	"GET /runder/{number}/brems":                  townHall,
	"POST /runder/{number}/brems":                 {access.Approver},
	"GET /runder/{number}/protokoll":              readers,
	"GET /runder/{number}/protokoll.pdf":          readers,
	"GET /runder/{number}/protokoll.json":         readers,
	"GET /bestillinger":                           append(slices.Clone(townHall), access.Support), // support is sent to its own list
	"POST /bestillinger":                          {access.Caseworker, access.Approver},
	"GET /support":                                {access.Support},
	"GET /support/runder/{number}":                {access.Support},
	"POST /support/runder/{number}/kontroll":      {access.Support},
	"POST /support/runder/{number}/funn":          {access.Support},
	"POST /support/runder/{number}/avslutt":       {access.Support},
	"GET /support/bestillinger/{order}":           {access.Support},
	"POST /support/bestillinger/{order}":          {access.Support},
	"GET /support/bestillinger/{order}/avslag":    {access.Support},
	"POST /support/bestillinger/{order}/avslag":   {access.Support},
	"GET /support/runder/{number}/protokoll":      readers,
	"GET /support/runder/{number}/protokoll.pdf":  readers,
	"GET /support/runder/{number}/protokoll.json": readers,

	"GET /drift":                         {access.Operator},
	"GET /drift/{number}":                {access.Operator},
	"GET /drift/{number}/start":          {access.Operator},
	"POST /drift/{number}/start":         {access.Operator},
	"POST /drift/{number}/pause":         {access.Operator},
	"POST /drift/{number}/fortsett":      {access.Operator},
	"GET /drift/{number}/protokoll":      readers,
	"GET /drift/{number}/protokoll.pdf":  readers,
	"GET /drift/{number}/protokoll.json": readers,
	"GET /protokoller":                   readers,
	"GET /plattform":                     {access.PlatformAdministrator},
}

func TestEachRouteOfARoundAsksForItsPermission(t *testing.T) {
	r := rehearse(t, 2)
	r.finish()
	order := uuid.New()
	r.Exec(t, `INSERT INTO deletion_order (municipality_id, id, scope, reason, reference, run_on, asked_by, asked_at) VALUES ($1, $2, 'selected', 'other', 'x', '2024-02-01', 101, $3)`, r.A, order, r.Now())
	fill := strings.NewReplacer("{number}", theRound, "{order}", order.String())
	browsers := map[access.Role]*browser{}
	for _, role := range append(slices.Clone(readers), access.PlatformAdministrator) {
		browsers[role] = r.as(t, role)
	}
	seen := 0
	err := chi.Walk(r.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		name := method + " " + strings.ReplaceAll(route, "/*/", "/")
		path := strings.TrimPrefix(name, method+" ")
		if !slices.ContainsFunc([]string{"/runder", "/bestillinger", "/support", "/drift", "/protokoller", "/plattform"}, func(root string) bool { return strings.HasPrefix(path, root) }) || strings.HasPrefix(path, "/plattform/underleverandorer") {
			return nil
		}
		if strings.HasPrefix(path, "/support/innsyn") || strings.HasPrefix(path, "/support/instrukser") { // visits_test.go
			return nil
		}
		roles, ok := allowedRounds[name]
		if !ok {
			t.Errorf("%s is not in the table", name)
		}
		seen++
		path = fill.Replace(path)
		if strings.HasSuffix(path, "/klienter") {
			path += "?utfall=carried:device_on_client"
		}
		for role, b := range browsers {
			var form url.Values
			if method == http.MethodPost {
				form = url.Values{}
			}
			if method == http.MethodPost && strings.Contains(path, order.String()) && role == access.Support {
				continue // would settle it; told in a test of its own
			}
			a := b.do(method, path, form)
			switch {
			case !slices.Contains(roles, role) && a.Status != http.StatusForbidden:
				t.Errorf("%s %s as %s: %d, not 403", method, path, role, a.Status)
			case slices.Contains(roles, role) && (a.Status == http.StatusForbidden || a.Status >= 500):
				t.Errorf("%s %s as %s: %d\n%s", method, path, role, a.Status, readable(a.Body))
			case slices.Contains(roles, role) && method == http.MethodGet && a.Status != http.StatusOK && a.Location != "/support":
				t.Errorf("%s as %s: %d", path, role, a.Status)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != len(allowedRounds) {
		t.Errorf("%d routes, %d in the table", seen, len(allowedRounds))
	}
}

// The whole way on the pages, and at every step a look at what support and the operator can reach.
func TestTheRoundOnThePages(t *testing.T) {
	r := rehearse(t, 7)
	approver, operator, support := r.as(t, access.Approver), r.as(t, access.Operator), r.as(t, access.Support)
	own := "/runder/" + theRound
	blind := func(step string) {
		t.Helper()
		for _, path := range []string{
			"/drift", "/drift/" + theRound, "/drift/" + theRound + "/start", "/protokoller", "/drift/" + theRound + "/protokoll", "/drift/" + theRound + "/protokoll.pdf",
			"/drift/" + theRound + "/protokoll.json", "/drift/" + theRound + "x", own, own + "/klienter?utfall=ready",
		} {
			operator.get(path).lacks(t, step+": the operator's "+path, append(slices.Concat(r.secret, r.codes), "Qremark", "Qreject")...)
		}
		for _, path := range []string{"/support", "/support/runder/" + theRound, "/support/runder/" + theRound + "/protokoll", "/support/runder/" + theRound + "/protokoll.json", own, own + "/klienter?utfall=ready"} {
			words := append(slices.Clone(r.secret), "Qremark", "Qreject")
			words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "Stavnamn2") }) // support's own name
			support.get(path).lacks(t, step+": support's "+path, words...)
		}
	}
	blind("proposed")
	approver.get("/runder").sees(t, 200, "01.01.24", "Venter på kontroll hos support")
	approver.get(own).sees(t, 200, "Venter på kontroll", "Enhet på klienten", "I slettegruppen 8")
	support.get("/support").sees(t, 200, "4 runder venter på kontroll", theRound, twinRound)
	support.post("/support/runder/" + theRound + "/kontroll")
	r.until("ready_count IS NOT NULL")
	support.get("/support/runder/"+theRound).sees(t, 200, "Alle 8 er kontrollert", "1 hindret", "7 er klare til sletting", "Stikkprøver: 0 av 3", "instruks", "Hver visning loggføres")
	if n := r.Count(t, `SELECT count(*) FROM audit WHERE act = 'spotcheck.viewed' AND account_id = 901`); n == 0 {
		t.Error("support looked at the sample, and nobody wrote it down")
	}
	// Nothing is lost when a finding is missing.
	a := support.post("/support/runder/"+theRound+"/avslutt", "funn-1", "in_stock")
	a.sees(t, http.StatusConflict, "Kontrollen er ikke avsluttet 2 stikkprøver", "2 stikkprøver mangler funn", "Velg hva du fant.")
	if !strings.Contains(a.Body, `name="funn-1" value="in_stock" checked`) {
		t.Error("the finding that was chosen is lost")
	}
	blind("checked")
	support.post("/support/runder/"+theRound+"/funn", "funn-1", "in_stock").sees(t, http.StatusSeeOther)
	support.post("/support/runder/"+theRound+"/avslutt", "funn-1", "in_stock", "funn-2", "in_stock", "funn-3", "in_stock").sees(t, http.StatusSeeOther)
	blind("controlled")

	approver.post(own+"/avvis").sees(t, http.StatusUnprocessableEntity, "Avvise runden?", "Runden er ikke avvist. Rett 1 ting: Velg en grunn.")
	approver.post(own+"/avvis", "code", "other", "remark", "Qreject").sees(t, http.StatusSeeOther)
	approver.get(own).sees(t, 200, "Avvist", "Qreject")
	blind("rejected")
	r.control()
	approver.get("/runder").sees(t, 200, "1 runde venter på deg", "Avgjør")
	approver.get(own).sees(t, 200, "7 klienter slettes for godt 01.01.24", "derfor kan du godkjenne den")
	approver.get(own+"/klienter?utfall=ready").sees(t, 200, "Qvornamn10, Xantippe")
	if n := r.Count(t, `SELECT count(*) FROM access_log WHERE page = 'round.clients' AND $1 = ANY (client_ids) AND cardinality(client_ids) = 7`, r.goes[0]); n != 1 {
		t.Errorf("%d access rows for the list of clients", n)
	}
	approver.get(own+"/klienter?utfall=purged").sees(t, 404)
	approver.get(own+"/klienter?utfall=blocked:nonsense").sees(t, 404)
	approver.post(own+"/godkjenn", "seen", "9").sees(t, http.StatusConflict, "Lista har endret seg siden du så den. 7 er klare nå.")
	if n := r.Count(t, `SELECT count(*) FROM deletion_round WHERE number = $1 AND state = 'controlled'`, theRound); n != 1 {
		t.Error("a list that nobody saw was approved")
	}
	r.approve()
	approver.get(own).sees(t, 200, "Lista er fryst", "Qremark", "Stavnamn1 Zephyr, godkjenner")
	blind("approved")

	operator.post("/drift/"+theRound+"/start", "number", theRound).sees(t, http.StatusConflict, "Runden kan tidligst startes 01.01.24")
	operator.get("/drift").sees(t, 200, "Ingen runder kan startes nå", "Godkjent, starter tidligst 01.01.24")
	r.runDay()
	operator.get("/drift").sees(t, 200, "1 runde kan startes", theRound+" 3218 Ås 01.01.24 7 Kan startes")
	a = operator.post("/drift/"+theRound+"/start", "number", "3218-231010")
	a.sees(t, http.StatusUnprocessableEntity, "Nummeret stemmer ikke med runden. Skriv "+theRound+".")
	if !strings.Contains(a.Body, `value="3218-231010"`) {
		t.Error("what was typed is lost")
	}
	operator.post("/drift/"+theRound+"/fortsett").sees(t, http.StatusConflict, "Runden står i et annet steg nå")
	r.start()
	r.until("state = 'finished'")
	blind("finished")
	approver.get(own).sees(t, 200, "7 klienter er slettet for godt", "Ble stående, overført til neste runde")
	approver.get(own+"/klienter?utfall=carried:device_on_client").sees(t, 200, "Qvornamn17")
	approver.get(own+"/protokoll").sees(t, 200, "klienter slettet 7", "Stavnamn1 Zephyr", "S-00102")
	operator.get("/drift/"+theRound+"/protokoll").sees(t, 200, "klienter behandlet 7", "ikke slettet i runden &lt;5", "Leverandørens kopi")
	operator.get("/drift/"+theRound).sees(t, 200, "Ferdig 01.01.24", "Behandlet 7", "Startet Ansatt 902")
}

func TestTheCoolingOffPeriodIsToldAndCanBeUsed(t *testing.T) {
	r := rehearse(t, 5)
	r.Exec(t, `UPDATE municipality_policy SET cooling_off_seconds = 7200`)
	r.control()
	r.runDay()
	r.approve()
	operator, approver := r.as(t, access.Operator), r.as(t, access.Approver)
	a := operator.post("/drift/"+theRound+"/start", "number", theRound)
	a.sees(t, http.StatusConflict, "Runden er ikke startet Angrefristen varer til 01.01.24 kl. 10.00", "Runden kan startes tidligst 01.01.24 kl. 10.00.")
	if a = operator.get("/drift/" + theRound + "/start"); strings.Contains(a.Body, "Start sletting") {
		t.Error("the form of what cannot be done is shown")
	}
	a.sees(t, 200, "Runden kan startes tidligst 01.01.24 kl. 10.00.")
	r.turn(r.Now().Add(61 * time.Minute))
	approver.get("/runder/"+theRound).sees(t, 200, "Angrefrist: 59 minutter igjen", "Driften kan ikke starte før 01.01.24 kl. 10.00", "Avlys runden …")

	// Only the living part is sent again, and the whole page is asked for when it has become another.
	part := approver.do(http.MethodGet, "/runder/"+theRound+"?tilstand=cooling", nil, "HX-Request", "true", "HX-Request-Type", "partial", "HX-Target", "div#framdrift")
	if !strings.HasPrefix(part.Body, `<div class="stack s" id="framdrift" hx-get=`) || part.Header.Get("HX-Refresh") != "" {
		t.Errorf("the part is %.100q, refresh %q", part.Body, part.Header.Get("HX-Refresh"))
	}
	part = approver.do(http.MethodGet, "/runder/"+theRound+"?tilstand=running", nil, "HX-Request", "true", "HX-Request-Type", "partial", "HX-Target", "div#framdrift")
	if part.Header.Get("HX-Refresh") != "true" {
		t.Error("a page of another state is not loaded anew")
	}
	approver.get("/runder/"+theRound+"/avlys").sees(t, 200, "Avlyse runden?", "Ingen slettes 01.01.24")
	approver.post("/runder/"+theRound+"/avlys", "code", "to_keep").sees(t, http.StatusSeeOther)
	approver.get("/runder/"+theRound).sees(t, 200, "Avlyst, ingen ble slettet", "Noen i lista skal bevares")
	operator.get("/drift").sees(t, 200, "Avlyst av kommunen")
	if n := r.Count(t, `SELECT count(*) FROM client WHERE id = ANY ($1)`, r.goes); n != 5 {
		t.Errorf("%d of 5 are left", n)
	}
}

// D13: nobody approves what they had a hand in, and they are told what they did and who may.
func TestWhoHadAHandInTheListIsToldSo(t *testing.T) {
	r := rehearse(t, 3)
	r.control()
	r.Exec(t, `INSERT INTO round_hand (municipality_id, round_id, account_id, act, times, last_at)
		SELECT municipality_id, id, 102, 'moved', 2, '2023-12-11 12:00+01' FROM deletion_round WHERE number = $1`, theRound)
	approver := r.as(t, access.Approver)
	approver.get("/runder/"+theRound).sees(t, 200, "Du kan ikke godkjenne denne runden", "Du flyttet 2 klienter ut av den 11.12.23.", "Ingen andre godkjennere i kommunen kan godkjenne den.")
	r.Exec(t, `INSERT INTO account (id, municipality_id, login, name, staff_number, roles, password_hash) VALUES (160, $1, 'per', 'Per Holm', 'S-00160', '{approver}', 'x')`, r.A)
	approver.get("/runder/"+theRound).sees(t, 200, "Per Holm kan godkjenne.")
	for _, act := range []string{"godkjenn", "avvis"} {
		approver.post("/runder/"+theRound+"/"+act, "code", "other").sees(t, http.StatusForbidden, "Du kan ikke avgjøre denne runden")
	}
}

func TestABrakeMustBeAccepted(t *testing.T) {
	r := rehearse(t, 3)
	r.Exec(t, `UPDATE municipality_policy SET max_share_percent = 10`)
	r.control()
	approver := r.as(t, access.Approver)
	approver.get("/runder/"+theRound).sees(t, 200, "Den vil slette 3 av 4 klienter (75 %). Grensen er 10 %.", "godtar at så mange slettes")
	a := approver.post("/runder/"+theRound+"/godkjenn", "remark", "Beholdt tekst")
	a.sees(t, http.StatusConflict, "Runden ville slettet 3 av 4 klienter", "Beholdt tekst")
	approver.post("/runder/"+theRound+"/godkjenn", "accept_brake", "1").sees(t, http.StatusSeeOther)

	// A brake that falls while the round runs is the approver's to lift and the operator's to end.
	r.Exec(t, `UPDATE deletion_round SET brake_lifted_by = NULL WHERE number = $1`, theRound)
	r.runDay()
	r.start()
	r.until("state = 'paused'")
	operator := r.as(t, access.Operator)
	operator.get("/drift/"+theRound).sees(t, 200, "Stoppet: runden ville slettet for stor del av klientene", "Fortsett")
	operator.post("/drift/"+theRound+"/fortsett").sees(t, http.StatusConflict, "Frist stoppet runden. En godkjenner må løfte bremsen.")
	approver.get("/runder").sees(t, 200, "2 runder går ikke som de skal", "ble stoppet av en brems", "Se bremsen")
	approver.get("/runder/"+theRound).sees(t, 200, "Løft bremsen …")
	approver.post("/runder/"+theRound+"/brems").sees(t, http.StatusSeeOther)
	operator.post("/drift/"+theRound+"/fortsett").sees(t, http.StatusSeeOther)
	r.until("state = 'finished'")
}

func TestADeviationIsDealtWithBeforeTheControlEnds(t *testing.T) {
	r := rehearse(t, 5)
	support := r.as(t, access.Support)
	path := "/support/runder/" + theRound
	support.post(path + "/kontroll")
	r.until("ready_count = 5")
	support.post(path+"/avslutt", "funn-1", "in_stock", "funn-2", "still_answers", "funn-3", "in_stock").sees(t, http.StatusSeeOther)
	r.until("ready_count = 4 AND state = 'proposed'")
	support.get(path).sees(t, 200, "Avvik i stikkprøve", "2 stikkprøver gjenstår", "1 avvik ga 2 nye stikkprøver.")
	// Until they are drawn, the page asks by itself, and then loads anew.
	r.Exec(t, `UPDATE deletion_round SET sample_size = NULL WHERE number = '`+theRound+`'`)
	a := support.get(path)
	a.sees(t, 200, "Nye stikkprøver trekkes Siden oppdateres av seg selv")
	if !strings.Contains(a.Body, `hx-get="`+path+`?tilstand=growing"`) {
		t.Error("the page does not ask whether they are drawn")
	}
	r.Exec(t, `UPDATE deletion_round SET sample_size = 5 WHERE number = '`+theRound+`'`)
	part := support.do(http.MethodGet, path+"?tilstand=growing", nil, "HX-Request", "true", "HX-Request-Type", "partial", "HX-Target", "div#trekning")
	if part.Header.Get("HX-Refresh") != "true" {
		t.Error("the page with the new spot checks is not loaded")
	}
	support.post(path+"/avslutt", "funn-4", "in_stock", "funn-5", "in_stock").sees(t, http.StatusSeeOther)
	r.until("state = 'controlled'")
	r.as(t, access.Approver).get("/runder/"+theRound).sees(t, 200, "4 av 5 enheter er på lager", "1 avvik", "Svarer fortsatt")
}

// A round whose day is over says so to everybody around it, and whom it waits for.
func TestARoundThatShouldHaveBeenRunSaysSo(t *testing.T) {
	r := rehearse(t, 5)
	caseworker, approver, operator, support := r.as(t, access.Caseworker), r.as(t, access.Approver), r.as(t, access.Operator), r.as(t, access.Support)
	late := func(supportSees, operatorSees string) {
		t.Helper()
		const since = "Skulle vært kjørt 01.01.24. "
		approver.get("/runder/"+theRound).sees(t, 200, since+supportSees)
		support.get("/support").sees(t, 200, since+supportSees)
		operator.get("/drift").sees(t, 200, since+operatorSees)
		caseworker.get("/klienter/"+r.goes[0].String()).sees(t, 200, "Skulle vært slettet 01.01.24 "+supportSees+".", "→ skulle vært slettet 01.01.24")
	}
	caseworker.get("/klienter/"+r.goes[0].String()).sees(t, 200, "Slettes 01.01.24")
	r.runDay()
	if a := operator.get("/drift"); strings.Contains(a.Body, "Skulle vært kjørt 01.01.24") {
		t.Error("the day itself is not too late")
	}
	r.turn(r.Now().AddDate(0, 0, 1))
	late("Venter på kontroll hos support", "Venter på kontroll")
	r.control()
	late("Venter på godkjenning", "Venter på kommunens godkjenning")
	r.approve()
	late("Venter på driften", "Kan startes")
}

func TestAForeignRoundAnswersLikeAMissingOne(t *testing.T) {
	r := rehearse(t, 1)
	for _, role := range []access.Role{access.Caseworker, access.Approver, access.PrivacyOfficer} {
		b := r.as(t, role)
		for _, path := range []string{"", "/klienter?utfall=ready", "/godkjenn", "/protokoll", "/protokoll.pdf", "/protokoll.json"} {
			if role == access.PrivacyOfficer && strings.HasPrefix(path, "/klienter") {
				continue
			}
			foreign, missing := b.get("/runder/"+twinRound+path), b.get("/runder/9999-240101"+path)
			if foreign.Status != http.StatusNotFound || missing.Status != http.StatusNotFound || readable(foreign.Body) != readable(missing.Body) {
				t.Errorf("%s as %s: %d and %d", path, role, foreign.Status, missing.Status)
			}
		}
	}
	for _, act := range []string{"godkjenn", "avvis", "avlys", "brems"} {
		r.as(t, access.Approver).post("/runder/"+twinRound+"/"+act, "code", "other").sees(t, http.StatusNotFound)
	}
}

// D26: what the supplier reads never tells a count under five, nor lets two figures tell it together.
func TestTheSupplierCannotTellSmallCounts(t *testing.T) {
	p := edge.SamplePage("nb", access.Operator)
	for n, want := range map[int]string{0: "0", 1: "<5", 4: "<5", 5: "5", 1204: "1\u00a0204", deletion.Few: "<5"} {
		if got := few(p, n); got != want {
			t.Errorf("few(%d) = %q, not %q", n, got, want)
		}
	}
	for total := 5; total <= 60; total++ {
		hidden := map[headway]int{}
		for handled := 0; handled <= total; handled++ {
			h, left := headwayOf(p, handled, total), total-handled
			small := func(n int) bool { return n > 0 && n < 5 }
			if small(handled) || small(left) {
				if h.Handled != "" && h.Handled != "<5" || h.Left != "" && h.Left != "<5" || h.Handled != "" && h.Left != "" {
					t.Fatalf("%d of %d is told as %+v", handled, total, h)
				}
				hidden[h]++
			}
		}
		for h, n := range hidden { // each picture fits several truths
			if n < 4 {
				t.Errorf("of %d, %+v fits only %d counts", total, h, n)
			}
		}
	}
	// Of a total that is hidden itself, every picture fits every total.
	fits := map[headway]map[int]bool{}
	for total := 2; total < 5; total++ {
		for handled := 0; handled <= total; handled++ {
			h := headwayOf(p, handled, total)
			if fits[h] == nil {
				fits[h] = map[int]bool{}
			}
			fits[h][total] = true
		}
	}
	for h, totals := range fits {
		if len(totals) != 3 {
			t.Errorf("%+v tells the total: %v", h, totals)
		}
	}
}

func TestTheOperatorsRoundOfAFewTellsNoCount(t *testing.T) {
	r := rehearse(t, 3)
	r.control()
	r.approve()
	r.runDay()
	operator := r.as(t, access.Operator)
	operator.get("/drift").sees(t, 200, "01.01.24 &lt;5 Kan startes")
	operator.get("/drift/"+theRound).sees(t, 200, "Antall &lt;5")
	r.start()
	r.until("state = 'finished'")
	a := operator.get("/drift/" + theRound + "/protokoll")
	a.sees(t, 200, "klienter behandlet &lt;5", "Antall per type står bare i kommunens eksemplar.")
	var doc deletion.Protocol
	if err := json.Unmarshal([]byte(operator.get("/drift/"+theRound+"/protokoll.json").Body), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Clients.Approved != deletion.Few || doc.Clients.Purged != 0 || len(doc.Tables) != 0 || doc.Clients.CarriedBy != nil || doc.Rules[0].Authority != "" {
		t.Errorf("the supplier's document tells %+v", doc)
	}
}

func TestTheProtocolIsAFileThatProvesItself(t *testing.T) {
	r := rehearse(t, 6)
	r.finish()
	caseworker := r.as(t, access.Caseworker)
	path := "/runder/" + theRound + "/protokoll"

	document := caseworker.get(path + ".json")
	document.lacks(t, "the document", append(slices.Concat(r.secret, r.codes), "Qremark", "Ansatt")...)
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(document.Body)))
	caseworker.get(path).sees(t, 200, spaced(sum))

	first, second := caseworker.get(path+".pdf"), caseworker.get(path+".pdf")
	if first.Body != second.Body {
		t.Error("the same protocol gave two files")
	}
	first.lacks(t, "the file", append(slices.Concat(r.secret, r.codes), "Qremark", "Ansatt")...)
	if got := first.Header.Get("Content-Disposition"); got != `attachment; filename="protokoll-`+theRound+`.pdf"` {
		t.Errorf("the file is called %s", got)
	}
	checkPDF(t, []byte(first.Body), theRound)
	other := r.as(t, access.Operator).get("/drift/" + theRound + "/protokoll.pdf")
	if other.Body == first.Body {
		t.Error("the supplier got the municipality's copy")
	}
	checkPDF(t, []byte(other.Body), theRound)
}

// checkPDF follows a PDF's table of offsets, and finds what PDF/A asks for.
func checkPDF(t *testing.T, file []byte, number string) {
	t.Helper()
	if !bytes.HasPrefix(file, []byte("%PDF-1.")) || !bytes.HasSuffix(bytes.TrimSpace(file), []byte("%%EOF")) {
		t.Fatal("not a PDF")
	}
	start := regexp.MustCompile(`startxref\s+(\d+)\s+%%EOF`).FindSubmatch(file)
	if start == nil {
		t.Fatal("no startxref")
	}
	at, _ := strconv.Atoi(string(start[1]))
	if !bytes.HasPrefix(file[at:], []byte("xref\n")) {
		t.Fatalf("no table at %d", at)
	}
	entries := regexp.MustCompile(`(?m)^(\d{10}) \d{5} n`).FindAllSubmatch(file[at:], -1)
	if len(entries) < 10 {
		t.Fatalf("%d objects", len(entries))
	}
	for i, e := range entries {
		offset, _ := strconv.Atoi(string(e[1]))
		if !bytes.HasPrefix(file[offset:], []byte(strconv.Itoa(i+1)+" 0 obj")) {
			t.Errorf("object %d is not at %d", i+1, offset)
		}
	}
	info := regexp.MustCompile(`/Info (\d+) 0 R\n/ID \[<([0-9A-F]{32}|[0-9a-f]{32})><`).FindSubmatch(file[at:])
	if info == nil || !bytes.Contains(file, []byte(string(info[1])+" 0 obj\n<<\n/Producer")) {
		t.Error("the trailer does not name the document's information, or the file has no identifier")
	}
	for _, part := range []string{"<pdfaid:part>2</pdfaid:part>", "<pdfaid:conformance>B</pdfaid:conformance>", "Sletteprotokoll " + number, "/OutputIntents", "/Lang", "/FontFile2"} {
		if !bytes.Contains(file, []byte(part)) {
			t.Errorf("%s is missing", part)
		}
	}
	if n := len(regexp.MustCompile(`/Type /Page\b[^s]`).FindAll(file, -1)); n != 1 {
		t.Errorf("%d pages", n)
	}
}

func TestAskingForAnExtraRun(t *testing.T) {
	r := rehearse(t, 2)
	caseworker, support := r.as(t, access.Caseworker), r.as(t, access.Support)
	caseworker.post("/bestillinger").sees(t, http.StatusUnprocessableEntity, "Forespørselen er ikke sendt. Rett 4 ting", "Skriv kommunens saksnummer.", "Skriv ønsket dato.")
	a := caseworker.post("/bestillinger", "scope", "selected", "clients", "111222333\n444555666", "run_on", "31.09.23", "reason", "backlog")
	a.sees(t, http.StatusUnprocessableEntity, "Kommunen har ingen klient med nummer 111222333, 444555666.", "31.09.23 finnes ikke. September har 30 dager.", "Skriv kommunens saksnummer.")
	if !strings.Contains(a.Body, "111222333\n444555666</textarea>") || !strings.Contains(a.Body, `value="31.09.23"`) {
		t.Error("what was typed is lost")
	}
	caseworker.post("/bestillinger", "scope", "selected", "clients", "x", "run_on", "01.12.23", "reason", "backlog", "reference", "2023/14").
		sees(t, http.StatusUnprocessableEntity, "kan ikke ligge før i dag, 20.12.23")
	foreign, own := "", ""
	free := r.Add(t, pgtest.Person{Status: "disconnected", Since: r.Now().AddDate(-1, 0, 0)}) // in no round
	if err := r.Admin.QueryRow(t.Context(), `SELECT (SELECT number FROM client WHERE id = $2), (SELECT min(number) FROM client WHERE municipality_id = $1 AND status = 'disconnected')`, r.B, free).Scan(&own, &foreign); err != nil {
		t.Fatal(err)
	}
	caseworker.post("/bestillinger", "scope", "selected", "clients", foreign, "run_on", "27.12.23", "reason", "backlog", "reference", "2023/14").
		sees(t, http.StatusUnprocessableEntity, "Kommunen har ingen klient med nummer "+foreign)
	var active string
	if err := r.Admin.QueryRow(t.Context(), `SELECT number FROM client WHERE id = $1`, r.Add(t, pgtest.Person{Status: "active", Since: r.Now().AddDate(-1, 0, 0)})).Scan(&active); err != nil {
		t.Fatal(err)
	}
	caseworker.post("/bestillinger", "scope", "selected", "clients", own+"\n"+active, "run_on", "27.12.23", "reason", "backlog", "reference", "2023/14").
		sees(t, http.StatusUnprocessableEntity, "Disse er ikke frakoblet eller avbestilt: "+active+".")
	once := hidden(t, caseworker.get("/bestillinger").Body, "once")
	for range 2 {
		caseworker.post("/bestillinger", "once", once, "scope", "selected", "clients", own, "run_on", "27.12.23", "reason", "backlog", "reference", "2023/14").sees(t, http.StatusSeeOther)
	}
	if n := r.Count(t, `SELECT count(*) FROM deletion_order`); n != 1 {
		t.Fatalf("%d requests of one form", n)
	}
	caseworker.get("/bestillinger").sees(t, 200, "2023/14", "1 klient", "Venter på support", "Stavnamn0 Zephyr")

	var id string
	if err := r.Admin.QueryRow(t.Context(), `SELECT id::text FROM deletion_order`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	support.get("/support").sees(t, 200, "1 kommune ber om ekstra sletting", "2023/14")
	a = support.get("/support/bestillinger/" + id)
	a.sees(t, 200, "Hva Ås kommune ber om", "Du ser ikke hvem")
	a.lacks(t, "the request", append(slices.DeleteFunc(slices.Clone(r.secret), func(w string) bool { return strings.HasPrefix(w, "Stavnamn2") }), own)...)
	support.get("/support/bestillinger/"+uuid.NewString()).sees(t, 404)
	support.get("/support/bestillinger/nonsense").sees(t, 404)
	support.post("/support/bestillinger/"+id).sees(t, http.StatusSeeOther)
	support.post("/support/bestillinger/"+id).sees(t, http.StatusConflict, "Bestillingen er allerede sendt")
	caseworker.get("/bestillinger").sees(t, 200, "Bestilt", pgtest.NumberA+"-231227-E1")
	deadline := time.Now().Add(20 * time.Second)
	for r.Count(t, `SELECT count(*) FROM deletion_round WHERE kind = 'extra' AND state = 'proposed'`) == 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	r.as(t, access.Approver).get("/runder/"+pgtest.NumberA+"-231227-E1").sees(t, 200, "ekstra sletting", "Kommunen ba om ekstra sletting", "Etterslep som skal bort")
}

func TestADeclinedRequestIsSeen(t *testing.T) {
	r := rehearse(t, 1)
	id := uuid.NewString()
	r.Exec(t, `INSERT INTO deletion_order (municipality_id, id, scope, reason, reference, run_on, asked_by, asked_at) VALUES ($1, $2, 'selected', 'other', '2024/1', '2024-02-01', 101, $3)`, r.A, id, r.Now())
	support := r.as(t, access.Support)
	support.get("/support/bestillinger/"+id+"/avslag").sees(t, 200, "Avslå forespørselen?")
	support.post("/support/bestillinger/"+id+"/avslag").sees(t, http.StatusSeeOther)
	r.as(t, access.Caseworker).get("/bestillinger").sees(t, 200, "Avslått")
}

// The third time that somebody stays is marked (D15), on the round and in its list.
func TestTheThirdCarryOverIsMarked(t *testing.T) {
	r := rehearse(t, 2)
	r.Exec(t, `UPDATE round_item SET carried = 2 WHERE client_id = $1`, r.stays)
	approver := r.as(t, access.Approver)
	approver.get("/runder/"+theRound).sees(t, 200, "1 for tredje gang eller mer")
	approver.get("/runder/"+theRound+"/klienter?utfall=blocked:device_on_client").sees(t, 200, "Tredje gang")
	a := r.as(t, access.PrivacyOfficer).get("/runder/" + theRound)
	a.sees(t, 200, "Enhet på klienten")
	a.lacks(t, "the privacy officer's round", "/klienter?utfall")
}

func TestThePlatformAdministratorSeesTheJobs(t *testing.T) {
	r := rehearse(t, 1)
	r.Exec(t, `INSERT INTO river.river_job (kind, args, queue, state, attempt, max_attempts, attempted_at, finalized_at, errors)
		VALUES ('chunk', '{"round_id": 1, "chunk": 1}', 'purge', 'discarded', 25, 25, now(), now(), ARRAY['{"error": "internal", "at": "2023-12-20T00:00:00Z", "attempt": 25, "trace": ""}'::jsonb])`)
	a := r.as(t, access.PlatformAdministrator).get("/plattform")
	a.sees(t, 200, "1 jobb er gitt opp", "3218", "5501", "Tromsø", "Sletting")
	a.lacks(t, "the platform's page", slices.Concat(r.secret, r.codes)...)
}

// How many statements a page of a round needs does not depend on how many clients lie in it.
func TestARoundsPageAsksTheSameNumberOfTimes(t *testing.T) {
	var wire *counter
	p := open(t, func(w *pgtest.World) *pg.DB {
		u, err := url.Parse(w.DSN("frist_web", "web"))
		if err != nil {
			t.Fatal(err)
		}
		wire = newCounter(t, u.Host)
		u.Host = wire.Addr().String()
		db, err := pg.Open(t.Context(), pg.Config{Web: u.String(), Clock: w.Now, MaxConns: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db
	})
	b := p.as(t, access.Approver)
	fill := func(n int) {
		for range n {
			p.Add(t, pgtest.Person{Status: "disconnected", Since: time.Date(2023, 6, 10, 10, 0, 0, 0, time.UTC)})
		}
		if err := deletion.Sweep(t.Context(), p.DB); err != nil {
			t.Fatal(err)
		}
	}
	count := func(path string) int64 {
		b.get(path).sees(t, 200) // plans and names are remembered
		before := wire.statements.Load()
		b.get(path).sees(t, 200)
		return wire.statements.Load() - before
	}
	paths := []string{"/runder", "/runder/" + theRound, "/runder/" + theRound + "/klienter?utfall=placed", "/bestillinger"}
	fill(1)
	for i, one := range [4]int64{count(paths[0]), count(paths[1]), count(paths[2]), count(paths[3])} {
		if i == 0 {
			fill(40)
		}
		if many := count(paths[i]); many != one {
			t.Errorf("%s: %d statements for 1 client, %d for 41", paths[i], one, many)
		} else {
			t.Logf("%-45s %d", paths[i], one)
		}
	}
}

// Every code that the domain tells has its words, so that no page shows a key.
func TestEveryCodeHasItsWords(t *testing.T) {
	var keys []string
	add := func(prefix string, codes ...string) {
		for _, code := range codes {
			keys = append(keys, prefix+code)
		}
	}
	reasons := []string{"spot_check", "late", "failed", "not_run", "moved", "extra_run"}
	for _, code := range controls {
		reasons = append(reasons, string(code))
		add("support.control.", string(code))
	}
	for _, reason := range reasons {
		add("rounds.reason.", reason, reason+".does")
	}
	events := []string{"proposed", "asked", "ordered", "control_asked", "checked", "controlled", "approved", "rejected", "cancelled", "lapsed", "started", "paused", "resumed", "brake", "brake_lifted", "incident", "verifying", "finished"}
	add("rounds.event.", events...)
	add("operator.event.", events...)
	add("operator.role.", "municipality", "caseworker", "approver", "support", "operator", "system")
	add("protocol.role.", "municipality", "caseworker", "approver", "support", "operator", "system")
	add("protocol.act.", "asked", "ordered", "proposed", "controlled", "approved", "started")
	for _, act := range []string{"placed", "moved", "withdrew", "selected", "asked", "ordered", "controlled"} {
		add("rounds.own_hand.", act)
	}
	add("rounds.hand.", "placed", "moved", "withdrew", "selected")
	for _, s := range []deletion.State{deletion.Open, deletion.Proposed, deletion.Controlled, deletion.Approved, deletion.Running, deletion.Paused, deletion.Verifying, deletion.Finished, deletion.Cancelled, deletion.Lapsed} {
		add("rounds.state.", string(s))
	}
	add("rounds.alarm.", "overdue", "lapsed", "braked", "incident", "nothing_deleted", "verifying_long")
	add("rounds.brake.", "share", "more_than_approved", "errors")
	add("rounds.incident.", "list_changed", "reactivated_in_list")
	add("rounds.reject.", deletion.RejectCodes...)
	add("rounds.placed.", "system", "later", "by_hand", "import", "carried", "order")
	add("orders.reason.", deletion.OrderReasons...)
	add("support.finding.", findings...)
	add("support.stock.", "in_stock", "connected", "lost")
	for _, table := range explain.Catalogue() {
		if table.Class != "" {
			add("protocol.table.", table.Name)
		}
	}
	for _, lang := range edge.Languages() {
		for _, key := range keys {
			if !edge.T(lang).Has(key) {
				t.Errorf("%s has no %s", lang, key)
			}
		}
	}
}
