package rest_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/rest"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
)

func TestProposalsAndAccountsThroughTheAPI(t *testing.T) {
	s := newStage(t)
	admin, worker := s.As(access.Administrator, s.A), s.As(access.Caseworker, s.A).Account
	propose := func() {
		t.Helper()
		if err := account.ProposeRoles(t.Context(), s.DB, admin, worker, []access.Role{access.Caseworker, access.Approver}); err != nil {
			t.Fatal(err)
		}
	}
	propose()
	if err := account.ProposeRange(t.Context(), s.DB, admin, "10.0.0.0/8", "Rådhuset"); err != nil {
		t.Fatal(err)
	}
	err := s.DB.InTx(t.Context(), admin, func(tx *pg.Tx) error {
		return retention.ProposeRule(t.Context(), tx, retention.Change{Class: retention.AlarmLog, PeriodMonths: 9, Outcome: retention.Destroy, Authority: "x", ValidFrom: calendar.DateOf(s.Now()).AddDays(1)})
	})
	if err != nil {
		t.Fatal(err)
	}
	open := s.do(approver, "GET", "/proposals", nil)
	for _, want := range []string{`"kind":"roles"`, `"roles":["caseworker","approver"]`, `"act":"add"`, `"subject":"10.0.0.0/8"`, `"period_months":9`, admin.Name} {
		if !strings.Contains(string(open.body), want) {
			t.Errorf("%s is not in %s", want, open.body)
		}
	}
	at := func(kind, act string) string {
		return fmt.Sprintf("/proposals/%d/%s", s.Count(t, `SELECT id FROM proposal WHERE kind = $1 AND outcome IS NULL`, kind), act)
	}
	if a := s.do(administrator, "POST", at("roles", "acceptance"), nil); a.status != 403 || a.code() != "own_proposal" {
		t.Errorf("one's own: %d %s", a.status, a.body)
	}
	for _, c := range []string{at("roles", "acceptance"), at("rule", "acceptance"), at("ranges", "rejection")} {
		if a := s.do(approver, "POST", c, nil); a.status != 204 {
			t.Errorf("%s: %d %s", c, a.status, a.body)
		}
	}
	if s.Count(t, `SELECT count(*) FROM account WHERE id = $1 AND roles = '{caseworker,approver}'`, worker) != 1 ||
		s.Count(t, `SELECT count(*) FROM retention_rule WHERE version = 2 AND period_months = 9`) != 1 || s.Count(t, `SELECT count(*) FROM address_range WHERE network = '10.0.0.0/8'`) != 0 {
		t.Error("what was decided did not happen, or what was rejected did")
	}
	people := s.do(administrator, "GET", "/accounts", nil)
	if people.status != 200 || strings.Count(string(people.body), `"staff_number"`) != 5 {
		t.Errorf("%d %s", people.status, people.body)
	}
	gone := s.As(access.PrivacyOfficer, s.A).Account
	if a := s.do(administrator, "POST", fmt.Sprintf("/accounts/%d/disabling", gone), nil); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.do(administrator, "POST", fmt.Sprintf("/accounts/%d/disabling", s.As(access.Caseworker, s.B).Account), nil); a.status != 404 {
		t.Errorf("another municipality's: %d %s", a.status, a.body)
	}
}

// A new person from the invitation to the end, as programs live it. The link stands in the answer that makes it and nowhere
// else.
func TestInvitingThroughTheAPI(t *testing.T) {
	s := newStage(t)
	var log bytes.Buffer
	site, err := edge.New(edge.Site{
		DB: s.DB, Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Verbose: true,
		House: &account.House{Key: bytes.Repeat([]byte("k"), 32), URL: "https://frist.example.no", Mail: letters{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := site.Mux()
	(&rest.Server{DB: s.DB, Site: site, Blobs: s.blobs, Key: hashKey}).Routes(mux)
	s.handler = mux

	wish := object{"name": "Nina Ny", "login": "Nina.Ny", "email": "nina@example.invalid", "roles": []string{"approver", "caseworker"}}
	s.refused(403, "permission", approver, "POST", "/accounts", wish)
	for body, fields := range map[string]string{
		`{"name":"x","login":"a b","roles":["caseworker"]}`:                "login=login_form",
		`{"name":"x","login":"y","email":"nobody","roles":["caseworker"]}`: "email=email_form",
		`{"name":"x","login":"y","roles":["support"]}`:                     "roles=role_no_municipality",
	} {
		if a := s.refused(422, "invalid", administrator, "POST", "/accounts", body); a.fields() != fields {
			t.Errorf("%s: %s", body, a.fields())
		}
	}
	s.refused(400, "bad_request", administrator, "POST", "/accounts", `{"name":"x","login":"y","roles":[]}`)
	var made rest.Invited
	s.ok(201, administrator, "POST", "/accounts", wish).into(t, &made)
	token, here := strings.CutPrefix(made.Link.Address, "https://frist.example.no/konto/lenke/")
	if made.Link.Purpose != "invite" || made.Link.Mailed || !here || len(token) < 20 {
		t.Fatalf("%+v", made.Link)
	}
	if a := s.refused(422, "invalid", administrator, "POST", "/accounts", wish); a.fields() != "login=taken" {
		t.Errorf("sent twice: %s", a.fields())
	}
	at := fmt.Sprintf("/accounts/%d", made.Id)
	var nina rest.Account
	s.ok(200, administrator, "GET", at, nil).into(t, &nina)
	if nina.State != "waiting" || nina.Login != "nina.ny" {
		t.Errorf("%+v", nina)
	}
	var open rest.Proposals
	s.ok(200, approver, "GET", "/proposals", nil).into(t, &open)
	p := open.Proposals[0]
	if len(open.Proposals) != 1 || !*p.First || *p.Concerns != "Nina Ny" || len(*p.Roles) != 2 {
		t.Errorf("%+v", open)
	}
	s.refused(403, "own_proposal", administrator, "POST", fmt.Sprintf("/proposals/%d/acceptance", p.Id), nil)
	s.ok(204, approver, "POST", fmt.Sprintf("/proposals/%d/acceptance", p.Id), nil)
	s.ok(200, approver, "GET", "/proposals?list=decided", nil).into(t, &open)
	if len(open.Proposals) != 1 || *open.Proposals[0].Outcome != "accepted" || *open.Proposals[0].DecidedBy != s.As(access.Approver, s.A).Name {
		t.Errorf("%+v", open)
	}
	var again rest.AccountLink
	s.ok(201, administrator, "POST", at+"/links", object{}).into(t, &again)
	second, _ := strings.CutPrefix(again.Address, "https://frist.example.no/konto/lenke/")
	if !again.Mailed || second == token {
		t.Errorf("%+v", again)
	}
	s.refused(409, "own_account", administrator, "POST", fmt.Sprintf("/accounts/%d/links", s.As(access.Administrator, s.A).Account), object{"factor": true})
	if _, err := account.LookAtLink(t.Context(), s.DB, second); err != nil {
		t.Errorf("the link opens nothing: %v", err)
	}
	for _, secret := range []string{token, second} {
		kept := s.Count(t, `SELECT (SELECT count(*) FROM audit a WHERE to_jsonb(a)::text LIKE '%' || $1 || '%') + (SELECT count(*) FROM idempotency i WHERE convert_from(coalesce(body, ''), 'UTF8') LIKE '%' || $1 || '%')
			+ (SELECT count(*) FROM account_link l WHERE to_jsonb(l)::text LIKE '%' || $1 || '%')`, secret)
		if kept != 0 || strings.Contains(log.String(), secret) {
			t.Error("a link is kept where others read")
		}
	}
	if !strings.Contains(log.String(), `"route":"/api/v1/accounts"`) {
		t.Errorf("the log was not looked at: %.300s", log.String())
	}

	// Roles, the end and the way back, each by two.
	if a := s.refused(422, "invalid", administrator, "POST", at+"/roles", object{"roles": []string{"caseworker", "approver"}}); a.fields() != "roles=unchanged" {
		t.Errorf("%s", a.fields())
	}
	s.ok(204, administrator, "POST", at+"/roles", object{"roles": []string{"caseworker"}})
	s.refused(409, "proposal_waits", administrator, "POST", at+"/roles", object{"roles": []string{"approver"}})
	s.refused(403, "about_yourself", administrator, "POST", fmt.Sprintf("/accounts/%d/roles", s.As(access.Administrator, s.A).Account), object{"roles": []string{"caseworker", "administrator"}})
	s.refused(409, "account_open", administrator, "POST", at+"/opening", nil)
	waits := fmt.Sprintf("/proposals/%d", s.Count(t, `SELECT id FROM proposal WHERE outcome IS NULL`))
	s.refused(403, "permission", approver, "POST", waits+"/withdrawal", nil)
	s.ok(204, administrator, "POST", waits+"/withdrawal", nil)
	s.refused(409, "proposal_settled", administrator, "POST", waits+"/withdrawal", nil)
	s.ok(204, administrator, "POST", at+"/disabling", nil)
	s.ok(204, administrator, "POST", at+"/opening", nil)
	s.ok(204, approver, "POST", fmt.Sprintf("/proposals/%d/acceptance", s.Count(t, `SELECT id FROM proposal WHERE outcome IS NULL`)), nil)

	// The review: an approver goes through the administrators, who do not go through themselves.
	var review rest.AccessReviews
	s.ok(200, administrator, "GET", "/access-reviews", nil).into(t, &review)
	if len(review.Accounts) != 6 {
		t.Errorf("%+v", review)
	}
	s.ok(204, administrator, "POST", at+"/review", nil)
	own := fmt.Sprintf("/accounts/%d/review", s.As(access.Administrator, s.A).Account)
	s.refused(403, "about_yourself", administrator, "POST", own, nil)
	s.refused(403, "permission", approver, "POST", at+"/review", nil)
	s.ok(200, approver, "GET", "/access-reviews", nil).into(t, &review)
	if len(review.Accounts) != 1 || !review.Accounts[0].MayConfirm || review.Accounts[0].Account.Id != s.As(access.Administrator, s.A).Account || review.LastAt == nil {
		t.Errorf("%+v", review)
	}
	s.ok(204, approver, "POST", own, nil)

	// The platform administrator has the processor's people, and no municipality's.
	var platforms rest.Accounts
	s.ok(200, platform, "GET", "/accounts", nil).into(t, &platforms)
	if len(platforms.Accounts) != 3 {
		t.Errorf("%+v", platforms)
	}
	s.refused(404, "not_found", platform, "GET", at, nil)
	s.ok(201, platform, "POST", "/accounts", object{"name": "Ola", "login": "ola.tellu", "roles": []string{"support"}, "language": "en"})
}

// letters is mail that always goes out.
type letters struct{}

func (letters) Link(_, _, _, _ string) {}

// What belongs to another organisation's accounts answers like what never was, to the byte.
func TestForeignAccountsAreMissing(t *testing.T) {
	s := newStage(t)
	other := s.As(access.Caseworker, s.B).Account
	theirs := s.As(access.Administrator, s.B)
	program, _, err := account.Invite(t.Context(), s.DB, theirs, account.New{Name: "Journal", Login: "journal.b", Machine: true, Roles: []access.Role{access.Caseworker}})
	if err != nil {
		t.Fatal(err)
	}
	if err := account.ProposeRange(t.Context(), s.DB, theirs, "10.2.0.0/16", "Trondheim"); err != nil {
		t.Fatal(err)
	}
	s.Exec(t, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES ($1, '10.3.0.0/16', 'x', 0, $2)`, s.B, s.Now())
	if _, err := account.NewKey(t.Context(), s.DB, other, nil, time.Hour); err != nil {
		t.Fatal(err)
	}
	key, proposed, network := s.Count(t, `SELECT id FROM api_key WHERE account_id = $1`, int(other)), s.Count(t, `SELECT id FROM proposal WHERE kind = 'ranges'`), s.Count(t, `SELECT id FROM address_range`)
	n := 0
	for _, r := range requests(world{number: "3218-240101"}) {
		path := operationPath(r.id)
		blank, _, _ := strings.Cut(path[strings.Index(path, "{")+1:], "}")
		id, ok := map[string]int{"account": int(other), "key": key, "proposal": proposed, "range": network}[blank]
		if !ok || !strings.Contains(path, "{") {
			continue
		}
		if strings.Contains(r.id, "Program") {
			id = int(program)
		}
		n++
		b := s.ask(administrator, r)
		r.path = strings.Replace(r.path, "999999", fmt.Sprint(id), 1)
		a := s.ask(administrator, r)
		if a.status != 404 || b.status != 404 || !bytes.Equal(a.body, b.body) {
			t.Errorf("%s: %d %s, missing %d %s", r.id, a.status, a.body, b.status, b.body)
		}
	}
	if n < 16 {
		t.Errorf("only %d operations", n)
	}
}

func TestKeysThroughTheAPI(t *testing.T) {
	s := newStage(t)
	machine := caseworker
	machine.machine = true
	// A key that does not decide sees and ends, and makes none.
	s.refused(403, "key_makes_key", machine, "POST", "/me/keys", object{"name": "x", "days": 1})
	for body, fields := range map[string]string{
		`{"name":" ","days":1}`:                             "name=required",
		`{"name":"x","days":1,"scopes":["account.manage"]}`: "scopes=scope_beyond",
		`{"name":"x","days":1,"networks":["10.1.2.3/8"]}`:   "networks=network_form",
	} {
		if a := s.refused(422, "invalid", caseworker, "POST", "/me/keys", body); a.fields() != fields {
			t.Errorf("%s: %s", body, a.fields())
		}
	}
	s.refused(403, "key_makes_key", caseworker, "POST", "/me/keys", object{"name": "x", "days": 1, "scopes": []string{"decide"}})
	var made rest.MadeKey
	s.ok(201, caseworker, "POST", "/me/keys", object{"name": "Journal", "days": 30, "scopes": []string{"client.read"}}).into(t, &made)
	var keys rest.Keys
	s.ok(200, machine, "GET", "/me/keys", nil).into(t, &keys)
	journal := keys.Keys[0]
	if journal.Name != "Journal" || journal.Ended || len(journal.Scopes) != 1 || !journal.ExpiresAt.Equal(s.Now().AddDate(0, 0, 30)) {
		t.Fatalf("%+v", keys)
	}
	// It does what it is narrowed to, and nothing of what is its holder's own.
	narrow := who{role: "narrow", municipality: 1}
	s.keys[fmt.Sprint(narrow)] = made.Key
	s.ok(200, narrow, "GET", "/clients", nil)
	for _, path := range []string{"/me/keys", "/me/sessions"} {
		s.refused(403, "key_narrowed", narrow, "GET", path, nil)
	}
	s.refused(403, "key_narrowed", narrow, "DELETE", "/me/sessions", nil)
	s.refused(403, "key_narrowed", narrow, "DELETE", fmt.Sprintf("/me/keys/%d", journal.Id), nil)
	if s.Count(t, `SELECT count(*) FROM audit WHERE refused AND detail->>'code' = 'key_narrowed'`) != 4 {
		t.Error("its refusals are not recorded")
	}

	one := fmt.Sprintf("/me/keys/%d", journal.Id)
	s.refused(403, "key_makes_key", machine, "POST", one+"/rotation", object{"overlap": 0})
	s.refused(400, "bad_request", caseworker, "POST", one+"/rotation", object{"overlap": 8})
	s.ok(201, caseworker, "POST", one+"/rotation", object{"overlap": 7}).into(t, &made)
	s.ok(200, caseworker, "GET", "/me/keys", nil).into(t, &keys)
	if keys.Keys[0].RotatedFrom == nil || *keys.Keys[0].RotatedFrom != journal.Id {
		t.Errorf("%+v", keys)
	}
	// The one that it is done with decides, and gets no successor by a key.
	deciding := s.Count(t, `SELECT id FROM api_key WHERE scopes = '{decide}' AND account_id = $1 ORDER BY id LIMIT 1`, int(s.As(access.Caseworker, s.A).Account))
	s.refused(403, "key_makes_key", caseworker, "POST", fmt.Sprintf("/me/keys/%d/rotation", deciding), object{"overlap": 0})
	s.ok(204, machine, "DELETE", one, nil)
	s.refused(404, "not_found", machine, "DELETE", one, nil)
	s.refused(404, "not_found", approver, "DELETE", fmt.Sprintf("/me/keys/%d", keys.Keys[0].Id), nil)

	// A program's, by whoever looks after accounts.
	program, _, err := account.Invite(t.Context(), s.DB, s.As(access.Administrator, s.A), account.New{Name: "Journal", Login: "journal", Machine: true, Roles: []access.Role{access.Caseworker}})
	if err != nil {
		t.Fatal(err)
	}
	s.ok(204, approver, "POST", fmt.Sprintf("/proposals/%d/acceptance", s.Count(t, `SELECT id FROM proposal WHERE outcome IS NULL`)), nil)
	at := fmt.Sprintf("/accounts/%d/keys", program)
	s.refused(403, "permission", approver, "GET", at, nil)
	admin := administrator
	admin.machine = true
	s.refused(403, "key_makes_key", admin, "POST", at, object{"name": "x", "days": 1})
	s.ok(201, administrator, "POST", at, object{"name": "Drift", "days": 365, "networks": []string{"10.1.0.0/16", "2001:db8::/32"}}).into(t, &made)
	if !strings.HasPrefix(made.Key, "frist_") {
		t.Errorf("%+v", made)
	}
	s.ok(200, admin, "GET", at, nil).into(t, &keys)
	if len(keys.Keys) != 1 || len(keys.Keys[0].Networks) != 2 {
		t.Fatalf("%+v", keys)
	}
	one = fmt.Sprintf("%s/%d", at, keys.Keys[0].Id)
	s.ok(201, administrator, "POST", one+"/rotation", object{"overlap": 0})
	s.refused(404, "not_found", administrator, "POST", one+"/rotation", object{"overlap": 0})
	s.ok(200, admin, "GET", at, nil).into(t, &keys)
	s.ok(204, admin, "DELETE", fmt.Sprintf("%s/%d", at, keys.Keys[0].Id), nil)
	// Nobody's own are a program's.
	s.refused(404, "not_found", administrator, "GET", fmt.Sprintf("/accounts/%d/keys", s.As(access.Caseworker, s.A).Account), nil)
}

func TestSessionsThroughTheAPI(t *testing.T) {
	s := newStage(t)
	login := func(role access.Role) {
		t.Helper()
		id := s.As(role, s.A).Account
		for range 2 {
			s.Exec(t, `INSERT INTO session (token_hash, account_id, created_at, seen_at, expires_at, method, device) VALUES (decode(md5(random()::text), 'hex'), $1, $2, $2, $3, 'password', 'Firefox, Linux')`, id, s.Now(), s.Now().Add(time.Hour))
		}
	}
	login(access.Caseworker)
	login(access.Approver)
	var mine, theirs rest.Sessions
	s.ok(200, caseworker, "GET", "/me/sessions", nil).into(t, &mine)
	s.ok(200, approver, "GET", "/me/sessions", nil).into(t, &theirs)
	if len(mine.Sessions) != 2 || mine.Sessions[0].Method != "password" || *mine.Sessions[0].Device != "Firefox, Linux" {
		t.Fatalf("%+v", mine)
	}
	foreign, missing := s.do(caseworker, "DELETE", "/me/sessions/"+theirs.Sessions[0].Id.String(), nil), s.do(caseworker, "DELETE", "/me/sessions/"+uuid.NewString(), nil)
	if foreign.status != 404 || missing.status != 404 || !bytes.Equal(foreign.body, missing.body) {
		t.Errorf("%s %s", foreign.body, missing.body)
	}
	s.ok(204, caseworker, "DELETE", "/me/sessions/"+mine.Sessions[0].Id.String(), nil)
	var ended rest.EndedSessions
	s.ok(200, caseworker, "DELETE", "/me/sessions", nil).into(t, &ended)
	s.ok(200, caseworker, "GET", "/me/sessions", nil).into(t, &mine)
	s.ok(200, approver, "GET", "/me/sessions", nil).into(t, &theirs)
	if ended.Ended != 1 || len(mine.Sessions) != 0 || len(theirs.Sessions) != 2 {
		t.Errorf("%+v %+v %+v", ended, mine, theirs)
	}
	if s.Count(t, `SELECT count(*) FROM audit WHERE act = 'sessions_ended'`) != 2 {
		t.Error("it is not on record")
	}
}

func TestRulesAndNetworksThroughTheAPI(t *testing.T) {
	s := newStage(t)
	today := s.Now().UTC().Format("2006-01-02")
	var rules rest.Rules
	s.ok(200, privacyOfficer, "GET", "/rules", nil).into(t, &rules)
	if len(rules.Rules) < 9 {
		t.Errorf("%+v", rules)
	}
	wish := object{"period_months": 12, "outcome": "preserve", "authority": "Arkivloven", "valid_from": today}
	s.refused(404, "not_found", administrator, "POST", "/rules/diary/proposals", wish)
	if a := s.refused(422, "invalid", administrator, "POST", "/rules/access_log/proposals", object{"period_months": 1, "outcome": "preserve", "authority": " ", "valid_from": "2000-01-01"}); a.fields() != "period_months=too_short_period outcome=choice authority=required valid_from=past" {
		t.Error(a.fields())
	}
	s.ok(204, administrator, "POST", "/rules/client_record/proposals", wish)
	s.refused(409, "proposal_waits", administrator, "POST", "/rules/client_record/proposals", wish)

	var now rest.Terms
	s.ok(200, caseworker, "GET", "/terms", nil).into(t, &now)
	s.refused(409, "unchanged", administrator, "POST", "/terms/proposals", now)
	now.SpotCheckSize += 3
	now.LooksPerHour, now.LooksPerDay, now.FirstNoticeHours = 15, 60, 12
	now.PasswordWords = []string{"ås"}
	if a := s.refused(422, "invalid", administrator, "POST", "/terms/proposals", now); a.fields() != "password_words=word_length" {
		t.Error(a.fields())
	}
	now.PasswordWords = []string{"rådhus"}
	s.ok(204, administrator, "POST", "/terms/proposals", now)

	for body, fields := range map[string]string{`{"network":"10.1.2.3/8","place":"x"}`: "network=network_form", `{"network":"0.0.0.0/0","place":" "}`: "network=too_wide place=required"} {
		if a := s.refused(422, "invalid", administrator, "POST", "/address-ranges", body); a.fields() != fields {
			t.Error(a.fields())
		}
	}
	s.ok(204, administrator, "POST", "/address-ranges", object{"network": "10.1.0.0/16", "place": "Rådhuset"})
	var open rest.Proposals
	s.ok(200, administrator, "GET", "/proposals", nil).into(t, &open)
	if len(open.Proposals) != 3 || open.Proposals[1].Terms == nil || open.Proposals[1].Terms.SpotCheckSize != now.SpotCheckSize {
		t.Fatalf("%+v", open)
	}
	for _, p := range open.Proposals {
		s.ok(204, approver, "POST", fmt.Sprintf("/proposals/%d/acceptance", p.Id), nil)
	}
	var after rest.Terms
	s.ok(200, caseworker, "GET", "/terms", nil).into(t, &after)
	s.ok(200, caseworker, "GET", "/rules", nil).into(t, &rules)
	if after.LooksPerHour != 15 || after.LooksPerDay != 60 || after.FirstNoticeHours != 12 || after.Pseudonymous || after.SpotCheckSize != now.SpotCheckSize || after.PasswordWords[0] != "rådhus" || !slices.ContainsFunc(rules.Rules, func(r rest.Rule) bool { return r.Class == "client_record" && r.Version == 2 && r.PeriodMonths == 12 }) {
		t.Errorf("%+v %+v", after, rules)
	}
	var ranges rest.AddressRanges
	s.ok(200, approver, "GET", "/address-ranges", nil).into(t, &ranges)
	if len(ranges.Ranges) != 3 || ranges.Ranges[0].Network != "10.1.0.0/16" {
		t.Fatalf("%+v", ranges)
	}
	if a := s.refused(422, "invalid", administrator, "POST", "/address-ranges", object{"network": "10.1.0.0/16", "place": "x"}); a.fields() != "network=taken" {
		t.Error(a.fields())
	}
	s.ok(204, administrator, "POST", fmt.Sprintf("/address-ranges/%d/removal", ranges.Ranges[0].Id), nil)
	s.refused(403, "permission", platform, "POST", "/rules/client_record/proposals", wish)
}
