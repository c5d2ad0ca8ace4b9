package proof

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/device"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/privacy"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/frist-app/frist/internal/retention"
	"github.com/frist-app/frist/internal/rights"
	"github.com/frist-app/frist/internal/visit"
	"github.com/google/uuid"
)

// What people and programs try that nobody may, from accounts to the logs; that about rounds, visits and the rights of a
// person stands in TestMisuse of packages deletion, visit and rights. Each is refused, on record, and changes nothing.
func TestMisuse(t *testing.T) {
	s := newStage(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var scripts []pgtest.Script
	script := func(name string, by access.Caller, code string, do func() error) {
		scripts = append(scripts, pgtest.Script{Name: name, By: by.Account, Code: code, Do: do})
	}
	in := func(by access.Caller, fn func(tx *pg.Tx) error) func() error {
		return func() error { return s.DB.InTx(ctx, by, fn) }
	}
	id := func(sql string, args ...any) (id int64) {
		t.Helper()
		must(s.Admin.QueryRow(ctx, sql, args...).Scan(&id))
		return id
	}
	mux := s.site(t) // from here on refusals are recorded

	caseworker, approver, officer, admin := s.World.As(access.Caseworker, s.A), s.World.As(access.Approver, s.A), s.World.As(access.PrivacyOfficer, s.A), s.World.As(access.Administrator, s.A)
	support, operator, platform := s.World.As(access.Support, s.A), s.World.As(access.Operator, s.A), s.World.As(access.PlatformAdministrator, 0)
	another := func(account int64, machine bool, roles ...access.Role) access.Caller {
		s.Exec(t, `INSERT INTO account (id, municipality_id, login, name, staff_number, roles, machine) VALUES ($1, $2, $3, $3, $4, $5, $6)`,
			account, s.A, fmt.Sprint("another.", account), fmt.Sprint("S-", account), roles, machine)
		c := admin
		c.Account, c.Roles = account, roles
		return c
	}
	second := another(7101, false, access.Administrator)
	everything := another(7102, false, access.Caseworker, access.Approver, access.Administrator, access.PrivacyOfficer)
	reader, newcomer, shut := another(7103, false, access.Caseworker), another(7104, false, access.Caseworker), another(7105, false, access.Caseworker)
	old := func(c access.Caller) access.Caller {
		c.FreshUntil = s.Now()
		return c
	}
	propose := func(by access.Caller, about int64, roles ...access.Role) func() error {
		return func() error { return account.ProposeRoles(ctx, s.DB, by, about, roles) }
	}
	invite := func(by access.Caller, login string, roles ...access.Role) func() error {
		return func() error {
			_, _, err := account.Invite(ctx, s.DB, by, account.New{Login: login, Name: "X", Roles: roles})
			return err
		}
	}
	waiting := func(kind proposal.Kind, by access.Caller) int64 {
		t.Helper()
		return id(`SELECT max(id) FROM proposal WHERE municipality_id = $1 AND kind = $2 AND proposed_by = $3 AND outcome IS NULL`, s.A, kind, by.Account)
	}
	accept := func(by access.Caller, proposed int64, kind proposal.Kind) func() error {
		return func() error { return account.Accept(ctx, s.DB, by, proposed, kind) }
	}
	reject := func(by access.Caller, proposed int64) func() error {
		return in(by, func(tx *pg.Tx) error { return proposal.Reject(ctx, tx, proposed) })
	}

	// Accounts, and what one person proposes and another decides.
	must(propose(admin, caseworker.Account, access.Caseworker, access.Approver)())
	raised := waiting(proposal.Roles, admin)
	must(propose(second, approver.Account, access.Approver, access.Administrator)())
	crowned := waiting(proposal.Roles, second)
	must(invite(admin, "newcomer", access.Approver)())
	invited := waiting(proposal.Roles, admin)
	must(account.ProposeRange(ctx, s.DB, admin, "10.0.0.0/8", "x"))
	network := waiting(proposal.Ranges, admin)
	must(account.Disable(ctx, s.DB, second, shut.Account))
	must(account.ProposeEnable(ctx, s.DB, admin, shut.Account))
	opened := waiting(proposal.Enable, admin)
	must(in(admin, func(tx *pg.Tx) error {
		return retention.ProposeRule(ctx, tx, retention.Change{Class: retention.AlarmLog, PeriodMonths: 12, Outcome: retention.Destroy, Authority: "Vedtak", ValidFrom: calendar.DateOf(s.Now())})
	})())
	rule := waiting(proposal.Rule, admin)
	must(in(admin, func(tx *pg.Tx) error {
		terms, err := municipality.TermsOf(ctx, tx)
		if err != nil {
			return err
		}
		terms.MaxSharePercent = 50
		return municipality.ProposePolicy(ctx, tx, terms)
	})())
	terms := waiting(proposal.Policy, admin)
	script("an administrator proposes other roles for themselves", admin, "about_yourself", propose(admin, admin.Account, access.Administrator, access.Approver))
	script("an administrator accepts the roles that they proposed", admin, "own_proposal", accept(admin, raised, proposal.Roles))
	script("an administrator rejects the roles that they proposed", admin, "own_proposal", reject(admin, raised))
	script("an approver accepts more roles for themselves", approver, "about_yourself", accept(approver, crowned, proposal.Roles))
	script("an approver rejects what is proposed for themselves", approver, "about_yourself", reject(approver, crowned))
	script("a caseworker accepts more roles for themselves", caseworker, "permission", accept(caseworker, raised, proposal.Roles))
	script("who invited somebody lets them in", admin, "own_proposal", accept(admin, invited, proposal.Roles))
	script("who proposed a network approves it", admin, "own_proposal", accept(admin, network, proposal.Ranges))
	script("who proposed to open an account opens it", admin, "own_proposal", accept(admin, opened, proposal.Enable))
	script("who proposed a retention period puts it in force", admin, "own_proposal", in(admin, func(tx *pg.Tx) error { return retention.AcceptRule(ctx, tx, rule) }))
	script("who proposed the terms of deletion puts them in force", admin, "own_proposal", in(admin, func(tx *pg.Tx) error { return municipality.AcceptPolicy(ctx, tx, terms) }))
	script("an administrator disables themselves", admin, "about_yourself", func() error { return account.Disable(ctx, s.DB, admin, admin.Account) })
	script("a caseworker disables themselves", caseworker, "about_yourself", func() error { return account.Disable(ctx, s.DB, caseworker, caseworker.Account) })
	script("an administrator confirms that they still need their access", admin, "about_yourself", func() error { return account.Review(ctx, s.DB, admin, admin.Account) })
	script("a caseworker confirms that a colleague still needs access", caseworker, "permission", func() error { return account.Review(ctx, s.DB, caseworker, reader.Account) })
	script("an administrator makes themselves a link for a new password", admin, "own_account", func() error {
		_, err := account.NewLink(ctx, s.DB, admin, admin.Account, false)
		return err
	})
	script("a caseworker makes a link for a colleague's password", caseworker, "permission", func() error {
		_, err := account.NewLink(ctx, s.DB, caseworker, reader.Account, false)
		return err
	})
	script("an administrator invites an operator", admin, "role_no_municipality", invite(admin, "x", access.Operator))
	script("an administrator invites the system itself", admin, "role_unknown", invite(admin, "x", access.System))
	script("an administrator gives a caseworker the role of support besides", admin, "role_mix", propose(admin, newcomer.Account, access.Caseworker, access.Support))
	script("a platform administrator invites an approver who belongs nowhere", platform, "role_municipality", invite(platform, "x", access.Approver))
	script("a platform administrator proposes a network in a municipality", platform, "permission", func() error {
		return account.ProposeRange(ctx, s.DB, platform.In(s.A), "10.0.0.0/8", "x")
	})
	script("a platform administrator decides in a municipality", platform, "permission", reject(platform.In(s.A), raised))
	script("a caseworker invites somebody", caseworker, "permission", invite(caseworker, "x", access.Caseworker))
	script("support invites somebody in a municipality", support, "permission", invite(support, "x", access.Caseworker))
	script("an administrator invites somebody on an old proof", admin, "step_up", invite(old(admin), "x", access.Caseworker))
	script("an approver accepts roles on an old proof", approver, "step_up", accept(old(approver), raised, proposal.Roles))

	// Keys and what comes with them.
	wish := account.KeyWish{Name: "x", Days: 30}
	makeKey := func(by access.Caller, of int64, change func(*account.KeyWish)) (string, error) {
		w := wish
		if change != nil {
			change(&w)
		}
		return account.MakeKey(ctx, s.DB, by, of, w)
	}
	makes := func(by access.Caller, of int64, change func(*account.KeyWish)) func() error {
		return func() error { _, err := makeKey(by, of, change); return err }
	}
	key := func(by access.Caller, of int64, change func(*account.KeyWish)) string {
		t.Helper()
		key, err := makeKey(by, of, change)
		must(err)
		return key
	}
	opens := func(key string) func() error {
		return func() error {
			_, err := account.ResolveKey(ctx, s.DB, key, netip.MustParseAddr("192.0.2.1"))
			return err
		}
	}
	program := another(7110, true, access.Caseworker, access.Approver, access.Administrator)
	stopped := another(7111, true, access.Caseworker)
	byKey := caseworker
	byKey.Key = true
	ended, kept := key(admin, program.Account, nil), key(admin, program.Account, nil)
	s.Exec(t, `UPDATE api_key SET expires_at = $1 WHERE id = (SELECT min(id) FROM api_key WHERE account_id = $2)`, s.Now(), program.Account)
	rotated := key(caseworker, caseworker.Account, nil)
	_, err := account.RotateKey(ctx, s.DB, caseworker, caseworker.Account, id(`SELECT max(id) FROM api_key WHERE account_id = $1`, caseworker.Account), 0)
	must(err)
	stray := key(admin, program.Account, func(w *account.KeyWish) { w.Networks = []string{"10.0.0.0/8"} })
	narrow := key(caseworker, caseworker.Account, func(w *account.KeyWish) { w.Scopes = []string{string(access.ClientRead)} })
	writes := key(caseworker, caseworker.Account, nil)
	tired := key(approver, approver.Account, func(w *account.KeyWish) { w.Scopes = []string{account.ScopeDecide} })
	s.Exec(t, `UPDATE api_key SET created_at = created_at - interval '12 hours' WHERE account_id = $1`, approver.Account)
	dead := key(admin, stopped.Account, nil)
	s.Exec(t, `UPDATE account SET disabled_at = $1 WHERE id = $2`, s.Now(), stopped.Account)
	script("a key makes another key", byKey, "key_makes_key", makes(byKey, byKey.Account, nil))
	narrowed := byKey
	narrowed.Scopes = []access.Permission{access.ClientRead}
	script("a key that may only read clients ends another key", narrowed, "key_narrowed", func() error { return account.EndKey(ctx, s.DB, narrowed, narrowed.Account, 1) })
	script("a caseworker makes a key that approves", caseworker, "scope_beyond", makes(caseworker, caseworker.Account, func(w *account.KeyWish) { w.Scopes = []string{string(access.RoundApprove)} }))
	script("an administrator makes a program's key that decides", admin, "machine_decides", makes(admin, program.Account, func(w *account.KeyWish) { w.Scopes = []string{account.ScopeDecide} }))
	script("a caseworker makes a key on an old proof", caseworker, "step_up", makes(old(caseworker), caseworker.Account, nil))
	script("a key is used after its end", program, "ended", opens(ended))
	script("a key is used after another has taken its place", caseworker, "ended", opens(rotated))
	script("a key of a disabled program is used", stopped, "disabled", opens(dead))
	script("a key is used from another network than its own", program, "network", opens(stray))

	// The same through the door for programs.
	call := func(key, method, path, body string, headers ...string) func() error {
		return func() error {
			r := httptest.NewRequestWithContext(ctx, method, "/api/v1"+path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+key)
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if w.Code >= 400 {
				return fmt.Errorf("answered %d: %s", w.Code, w.Body)
			}
			return nil
		}
	}
	const lamp, alarm = `{"code":"L-1","kind":"lamp"}`, `{"code":"A-1","kind":"alarm"}`
	must(call(writes, http.MethodPost, "/devices", lamp, "Idempotency-Key", "only once")())
	script("an idempotency key is used again with another body", caseworker, "key_reused", call(writes, http.MethodPost, "/devices", alarm, "Idempotency-Key", "only once"))
	script("an idempotency key is used again for another act", caseworker, "key_reused", call(writes, http.MethodPost, "/clients", `{"given_name":"A","family_name":"B","status":"active"}`, "Idempotency-Key", "only once"))
	script("a key for reading writes", caseworker, "permission", call(narrow, http.MethodPost, "/devices", alarm))
	script("a program with the role of an approver approves", program, "permission", call(kept, http.MethodPost, "/rounds/3218-231001/approval", `{}`))
	script("a program with the role of an approver grants a visit", program, "permission", call(kept, http.MethodPost, "/visits/"+nobodysID+"/grant", `{"scope":"municipality","minutes":60}`))
	script("a key that may decide approves after its twelve hours", approver, "permission", call(tired, http.MethodPost, "/rounds/3218-231001/approval", `{}`))

	// Passwords.
	login := func(login, password, from string) func() error {
		return func() error {
			_, err := account.SignIn(ctx, s.DB, login, password, account.Visit{Address: from})
			return err
		}
	}
	const right = "en lang og god setning 4711"
	person := func(login string) access.Caller {
		account, _, err := account.CreateFirst(ctx, s.DB, account.New{Municipality: s.A, Login: login, Name: "X", Password: right, Roles: []access.Role{access.Caseworker}})
		must(err)
		return access.Caller{Account: account}
	}
	outside, guessed, barred := person("outside"), person("guessed"), person("barred")
	s.Exec(t, `UPDATE account SET disabled_at = $1 WHERE id = $2`, s.Now(), barred.Account)
	script("the right password comes from a network that nobody approved", outside, "network", login("outside", right, "192.0.2.1"))
	script("a password is guessed", guessed, "password", login("guessed", "passord", "127.0.0.1"))
	script("a disabled person comes with the right password", barred, "disabled", login("barred", right, "127.0.0.1"))

	// Clients, and those whom only the named few see.
	kari, vera, kept18 := s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{}), s.Add(t, pgtest.Person{})
	yes, no, phone := true, false, "+4799999999"
	change := func(by access.Caller, who uuid.UUID, ch client.Changes) func() error {
		return in(by, func(tx *pg.Tx) error {
			var version int
			if err := s.Admin.QueryRow(ctx, `SELECT version FROM client WHERE id = $1`, who).Scan(&version); err != nil {
				return err
			}
			return client.Change(ctx, tx, who, version, ch)
		})
	}
	must(change(caseworker, vera, client.Changes{Protected: &yes})())
	must(in(everything, func(tx *pg.Tx) error { return client.AskUnshield(ctx, tx, vera) })())
	var named, naming int64
	must(in(admin, func(tx *pg.Tx) (err error) {
		named, err = client.NameReader(ctx, tx, everything.Account, calendar.Date{})
		return err
	})())
	must(in(everything, func(tx *pg.Tx) (err error) {
		naming, err = client.NameReader(ctx, tx, reader.Account, calendar.Date{})
		return err
	})())
	var restriction uuid.UUID
	must(in(caseworker, func(tx *pg.Tx) (err error) {
		restriction, err = rights.Receive(ctx, tx, kept18, rights.New{Kind: rights.Restriction, ReceivedOn: calendar.DateOf(s.Now()), Channel: "letter", Reference: "1", Wish: "x"})
		if err != nil {
			return err
		}
		return rights.Prepare(ctx, tx, restriction, rights.Preparation{Answer: "Ja", RestrictionGround: "contested"})
	})())
	must(in(approver, func(tx *pg.Tx) error { return rights.Release(ctx, tx, restriction, calendar.Date{}) })())
	find := func(by access.Caller, who uuid.UUID) func() error {
		return in(by, func(tx *pg.Tx) error { _, err := client.Find(ctx, tx, who); return err })
	}
	confirm := func(by access.Caller, id int64) func() error {
		return in(by, func(tx *pg.Tx) error { return client.ConfirmReader(ctx, tx, id) })
	}
	name := func(by access.Caller, whom int64) func() error {
		return in(by, func(tx *pg.Tx) error { _, err := client.NameReader(ctx, tx, whom, calendar.Date{}); return err })
	}
	note := func(by access.Caller, who uuid.UUID) func() error {
		return in(by, func(tx *pg.Tx) error { return client.AddNote(ctx, tx, who, "x") })
	}
	script("the privacy officer changes a client", officer, "permission", change(officer, kari, client.Changes{Phone: &phone}))
	script("the privacy officer opens a client's record", officer, "permission", find(officer, kari))
	script("an administrator opens a client's record", admin, "permission", find(admin, kari))
	script("support opens a client's record without a visit", support, "permission", find(support, kari))
	script("the operator opens a client's record", operator, "permission", find(operator, kari))
	script("a caseworker who is not named writes a protected client's telephone", caseworker, "shielded", change(caseworker, vera, client.Changes{Phone: &phone}))
	script("a caseworker who is not named writes a note on a protected client", caseworker, "shielded", note(caseworker, vera))
	script("one person alone takes a protection away", caseworker, "second_person", change(caseworker, vera, client.Changes{Protected: &no}))
	script("who asked for a protection to go takes it away", everything, "second_person", in(everything, func(tx *pg.Tx) error { return client.DecideUnshield(ctx, tx, vera, true) }))
	script("a caseworker who is not named takes a protection away", caseworker, "shielded", in(caseworker, func(tx *pg.Tx) error { return client.DecideUnshield(ctx, tx, vera, true) }))
	script("an approver takes a protection away on an old proof", approver, "step_up", in(old(approver), func(tx *pg.Tx) error { return client.DecideUnshield(ctx, tx, vera, true) }))
	script("somebody names themselves among those who see the protected", everything, "own_right", name(everything, everything.Account))
	script("a caseworker names somebody among those who see the protected", caseworker, "permission", name(caseworker, reader.Account))
	script("who is named among those who see the protected confirms it", everything, "own_right", confirm(everything, named))
	script("who named somebody among those who see the protected confirms it", everything, "second_person", confirm(everything, naming))
	script("an administrator confirms who sees the protected", second, "approver_only", confirm(second, named))
	script("a caseworker opens a record that is restricted", caseworker, "restricted", find(caseworker, kept18))
	script("a caseworker writes a note on a record that is restricted", caseworker, "restricted", note(caseworker, kept18))
	script("a caseworker disconnects a client who is restricted", caseworker, "restricted", in(caseworker, func(tx *pg.Tx) error {
		_, err := deletion.Disconnect(ctx, tx, kept18, deletion.StatusChange{To: client.Disconnected})
		return err
	}))
	script("a caseworker places a hold on a client who is restricted", caseworker, "restricted", in(caseworker, func(tx *pg.Tx) error {
		_, err := deletion.PlaceHold(ctx, tx, retention.NewHold{ClientID: &kept18, Reason: "police", Authority: "Sak 3", ReviewOn: calendar.On(2024, 1, 1)})
		return err
	}))
	file, err := exchange.Read(strings.NewReader(header+"9001;Ola;Berg;;;;;;;;;Aktiv;01.02.2021 10:00\n"), -1, "file.csv")
	must(err)
	script("an approver imports a file", approver, "permission", func() error {
		_, err := exchange.Import(ctx, s.DB, approver, file, exchange.Guess(file.Header), exchange.Options{Key: s.key})
		return err
	})

	// Devices.
	var stock device.ID
	must(in(caseworker, func(tx *pg.Tx) (err error) {
		stock, err = device.Register(ctx, tx, "D-1", "", "alarm")
		return err
	})())
	script("an approver registers a device", approver, "permission", in(approver, func(tx *pg.Tx) error {
		_, err := device.Register(ctx, tx, "D-2", "", "alarm")
		return err
	}))
	script("a caseworker connects a device to a client who is restricted", caseworker, "restricted", in(caseworker, func(tx *pg.Tx) error {
		return device.Connect(ctx, tx, stock, device.Target{Client: kept18})
	}))
	script("the privacy officer connects a device", officer, "permission", in(officer, func(tx *pg.Tx) error {
		return device.Connect(ctx, tx, stock, device.Target{Client: kari})
	}))
	script("support looks into the stock", support, "permission", in(support, func(tx *pg.Tx) error { _, _, err := device.Stock(ctx, tx, "", 10); return err }))

	// Deviations, the registers, instructions.
	facts := privacy.Facts{Kind: "wrong_access", DiscoveredAt: s.Now()}
	var deviation uuid.UUID
	must(in(approver, func(tx *pg.Tx) (err error) {
		deviation, err = privacy.Report(ctx, tx, facts, privacy.Account{What: "x", Cause: "x", Measures: "x"})
		return err
	})())
	var instruction int64
	must(in(everything, func(tx *pg.Tx) (err error) {
		instruction, err = municipality.EnterInstruction(ctx, tx, municipality.NewInstruction{Action: municipality.PreRunControl, Scope: "x", ValidFrom: calendar.DateOf(s.Now()), DocumentReference: "1", DecidedBy: "x"})
		return err
	})())
	closes := func(by access.Caller) func() error {
		return in(by, func(tx *pg.Tx) error { return privacy.Close(ctx, tx, deviation) })
	}
	script("who reported a deviation closes it", approver, "own_deviation", closes(approver))
	script("a caseworker closes a deviation", caseworker, "permission", closes(caseworker))
	script("the privacy officer closes a deviation", officer, "permission", closes(officer))
	script("support reports a deviation in its own words", support, "no_free_text", in(support, func(tx *pg.Tx) error {
		_, err := privacy.Report(ctx, tx, facts, privacy.Account{What: "Kari Nordmann"})
		return err
	}))
	script("a caseworker publishes the privacy statement", caseworker, "permission", in(caseworker, func(tx *pg.Tx) error {
		_, err := privacy.Publish(ctx, tx, calendar.DateOf(s.Now()))
		return err
	}))
	script("an administrator writes the processor's register of subprocessors", admin, "permission", in(admin, func(tx *pg.Tx) error {
		_, err := privacy.Announce(ctx, tx, privacy.Subprocessor{Name: "x"})
		return err
	}))
	script("the privacy officer lengthens the time for the first notice", officer, "permission", in(officer, func(tx *pg.Tx) error {
		return municipality.ProposePolicy(ctx, tx, municipality.Terms{FirstNoticeHours: 72})
	}))
	script("who entered an instruction confirms it", everything, "own_instruction", in(everything, func(tx *pg.Tx) error { return municipality.ConfirmInstruction(ctx, tx, instruction) }))
	script("who entered an instruction declines it", everything, "own_instruction", in(everything, func(tx *pg.Tx) error { return municipality.DeclineInstruction(ctx, tx, instruction) }))
	script("an administrator confirms an instruction", second, "permission", in(second, func(tx *pg.Tx) error { return municipality.ConfirmInstruction(ctx, tx, instruction) }))
	script("support instructs itself", support, "permission", in(support, func(tx *pg.Tx) error {
		_, err := municipality.EnterInstruction(ctx, tx, municipality.NewInstruction{Action: municipality.PreRunControl})
		return err
	}))
	s.Exec(t, `UPDATE instruction SET revoked_at = $1 WHERE municipality_id = $2 AND document_reference = 'DPA-1'`, s.Now(), s.A)
	script("support looks at a sample that no instruction covers", support, "no_instruction", in(support, func(tx *pg.Tx) error { _, err := deletion.SpotChecks(ctx, tx, 1); return err }))

	// The logs.
	s.Exec(t, `INSERT INTO access_finding (municipality_id, kind, account_id, role, on_day, count, first_at, last_at, found_at) VALUES ($1, 'night', $2, 'caseworker', '2023-09-01', 1, now(), now(), now())`, s.A, everything.Account)
	finding := id(`SELECT id FROM access_finding WHERE account_id = $1`, everything.Account)
	export := func(by access.Caller) func() error {
		return in(by, func(tx *pg.Tx) error { _, err := audit.BeginExport(ctx, tx, audit.Query{}, "csv"); return err })
	}
	looks := func(by access.Caller) func() error {
		return in(by, func(tx *pg.Tx) error { _, err := audit.Looks(ctx, tx, kari, 0, 10); return err })
	}
	script("a caseworker asks who looked at a client", caseworker, "permission", looks(caseworker))
	script("support asks who looked at a client", support, "permission", looks(support))
	script("an administrator takes the log home", admin, "permission", export(admin))
	script("the privacy officer takes the log home on an old proof", officer, "step_up", export(old(officer)))
	script("somebody explains what was found about themselves", everything, "own_finding", in(everything, func(tx *pg.Tx) error { return audit.Assess(ctx, tx, finding, "explained") }))
	script("an administrator explains what was found", admin, "permission", in(admin, func(tx *pg.Tx) error { return audit.Assess(ctx, tx, finding, "explained") }))

	// Visits, through the doors.
	granted := func(minutes int) string {
		var id uuid.UUID
		must(in(support, func(tx *pg.Tx) (err error) {
			id, err = visit.Ask(ctx, tx, visit.New{Reason: "other", Reference: "24/9", Scope: visit.Municipality, Minutes: minutes})
			return err
		})())
		must(in(approver, func(tx *pg.Tx) error {
			return visit.Grant(ctx, tx, id, visit.Granting{Scope: visit.Municipality, Minutes: minutes})
		})())
		return id.String()
	}
	over := granted(visit.Shortest)
	s.SetNow(s.Now().Add(visit.Shortest * time.Minute))
	live := granted(visit.Longest)
	supports, err := account.NewKey(ctx, s.DB, support.Account, []string{account.ScopeDecide}, time.Hour)
	must(err)
	cookie, err := account.SignInDemo(ctx, s.DB, s.names(t, fmt.Sprintf(`SELECT login FROM account WHERE id = %d`, support.Account))[0])
	must(err)
	s.Exec(t, `UPDATE session SET visit_municipality = $1, visit = $2 WHERE account_id = $3`, s.A, live, support.Account)
	browse := func(method, path string) func() error {
		return func() error {
			r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader("text=x"))
			r.Header.Set("Content-Type", formType)
			r.AddCookie(&http.Cookie{Name: "frist", Value: cookie})
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			if w.Code < 400 {
				return nil
			}
			return fmt.Errorf("answered %d", w.Code)
		}
	}
	must(browse(http.MethodGet, "/klienter/"+kari.String()+"/notater")())
	must(call(supports, http.MethodGet, "/clients/"+kari.String(), "", edge.VisitHeader, live)())
	script("a visitor's program reads on after the end", support, "visit_over", call(supports, http.MethodGet, "/clients/"+kari.String(), "", edge.VisitHeader, over))
	script("a program names a visit that never was", support, "visit_over", call(supports, http.MethodGet, "/clients", "", edge.VisitHeader, nobodysID))
	script("a caseworker's program names the visit of support", caseworker, "visit_over", call(writes, http.MethodGet, "/clients", "", edge.VisitHeader, live))
	script("a visitor writes a note", support, "visiting", browse(http.MethodPost, "/klienter/"+kari.String()+"/notater"))
	script("a visitor does the work of support", support, "visiting", browse(http.MethodGet, "/support"))
	script("a visitor's program writes", support, "visiting", call(supports, http.MethodPost, "/clients", `{"given_name":"A","family_name":"B","status":"active"}`, edge.VisitHeader, live))

	s.Misuse(t, scripts)
	if len(scripts) < 60 {
		t.Error("fewer than 60 scripts")
	}
}
