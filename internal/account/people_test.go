package account_test

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/proposal"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"
)

// house is the world of two municipalities, with the refusals recorded.
type house struct {
	*pgtest.World
	t *testing.T
}

func newHouse(t *testing.T) house {
	w := house{pgtest.NewWorld(t), t}
	audit.RecordRefusals(w.DB)
	return w
}

func (h house) invite(by access.Caller, login string, roles ...access.Role) (int64, account.Link) {
	h.t.Helper()
	id, link, err := account.Invite(h.t.Context(), h.DB, by, account.New{Login: login, Name: "Name " + login, Email: login + "@example.invalid", Roles: roles})
	if err != nil {
		h.t.Fatal(err)
	}
	return id, link
}

// waiting is the one proposal about something.
func (h house) waiting(by access.Caller, kind proposal.Kind) account.ProposalLine {
	h.t.Helper()
	waiting, _, err := account.Proposals(h.t.Context(), h.DB, by)
	if err != nil {
		h.t.Fatal(err)
	}
	waiting = slices.DeleteFunc(waiting, func(l account.ProposalLine) bool { return l.Kind != kind })
	if len(waiting) != 1 {
		h.t.Fatalf("%d proposals of %s wait", len(waiting), kind)
	}
	return waiting[0]
}

func (h house) accept(by access.Caller, kind proposal.Kind) {
	h.t.Helper()
	if err := account.Accept(h.t.Context(), h.DB, by, h.waiting(by, kind).ID, kind); err != nil {
		h.t.Fatal(err)
	}
}

func (h house) find(by access.Caller, id int64) account.Person {
	h.t.Helper()
	p, err := account.Find(h.t.Context(), h.DB, by, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func code(err error) string {
	var forbidden problem.Forbidden
	var conflict problem.Conflict
	var invalid problem.Invalid
	switch {
	case errors.As(err, &forbidden):
		return forbidden.Code
	case errors.As(err, &conflict):
		return conflict.Code
	case errors.As(err, &invalid):
		return err.Error()
	case errors.As(err, new(problem.NotFound)):
		return "not_found"
	case errors.As(err, new(problem.StepUp)):
		return "step_up"
	case errors.As(err, new(problem.Unauthenticated)):
		return "unauthenticated"
	case err == nil:
		return ""
	}
	return err.Error()
}

func (h house) want(what, want string, err error) {
	h.t.Helper()
	if got := code(err); got != want {
		h.t.Errorf("%s: %q, want %q (%v)", what, got, want, err)
	}
}

func TestAnInvitedPersonComesInWhenASecondPersonHasConfirmed(t *testing.T) {
	h := newHouse(t)
	admin, approver := h.As(access.Administrator, h.A), h.As(access.Approver, h.A)
	id, link := h.invite(admin, "New.Person", access.Approver, access.Caseworker, access.Approver)
	if link.Purpose != account.LinkInvite || !link.Until.Equal(h.Now().Add(7*24*time.Hour)) || len(link.Token) < 40 {
		t.Errorf("%+v", link)
	}
	if h.Count(t, `SELECT count(*) FROM account_link WHERE account_id = $1 AND token_hash = sha256($2::bytea)`, id, []byte(link.Token)) != 1 {
		t.Error("the link's hash is not kept")
	}
	p := h.find(admin, id)
	if p.State() != account.Waiting || p.Login != "new.person" || !slices.Equal(p.Roles, []access.Role{access.Caseworker, access.Approver}) {
		t.Errorf("%+v", p)
	}
	if _, err := account.SignInDemo(t.Context(), h.DB, "new.person"); err == nil {
		t.Error("somebody came in whom nobody has confirmed")
	}
	l := h.waiting(approver, proposal.Roles)
	if l.Proposer != admin.Name || l.Concerned != "Name New.Person" || !l.First || !slices.Equal(l.Roles, p.Roles) {
		t.Errorf("%+v", l)
	}
	h.want("the proposer decides", "own_proposal", account.Accept(t.Context(), h.DB, admin, l.ID, proposal.Roles))
	h.want("another kind", "not_found", account.Accept(t.Context(), h.DB, approver, l.ID, proposal.Enable))
	stale := approver
	stale.FreshUntil = time.Time{}
	h.want("without a fresh proof", "step_up", account.Accept(t.Context(), h.DB, stale, l.ID, proposal.Roles))
	h.want("a caseworker decides", "permission", account.Accept(t.Context(), h.DB, h.As(access.Caseworker, h.A), l.ID, proposal.Roles))
	h.want("the other municipality", "not_found", account.Accept(t.Context(), h.DB, h.As(access.Approver, h.B), l.ID, proposal.Roles))
	if h.find(admin, id).State() != account.Waiting {
		t.Error("one of them opened it")
	}
	h.accept(approver, proposal.Roles)
	if p := h.find(admin, id); p.State() != account.Invited {
		t.Errorf("%s", p.State())
	}
	token, err := account.SignInDemo(t.Context(), h.DB, "new.person")
	if err != nil || !alive(t, h.Env, token) {
		t.Errorf("confirmed and shut: %v", err)
	}
	h.want("the platform in a municipality", "permission", account.ProposeRange(t.Context(), h.DB, h.As(access.PlatformAdministrator, 0).In(h.A), "10.0.0.0/8", "x"))
	h.want("the platform decides in a municipality", "permission", h.DB.InTx(t.Context(), h.As(access.PlatformAdministrator, 0).In(h.A), func(tx *pg.Tx) error { return proposal.Reject(t.Context(), tx, l.ID) }))
	h.want("decided twice", "proposal_settled", account.Accept(t.Context(), h.DB, approver, l.ID, proposal.Roles))
	if n := h.Count(t, `SELECT count(*) FROM audit WHERE municipality_id = $1 AND refused AND detail->>'code' IN ('own_proposal', 'permission')`, h.A); n != 4 {
		t.Errorf("%d refusals recorded", n)
	}
	if n := h.Count(t, `SELECT count(*) FROM audit WHERE municipality_id = $1 AND subject_id = $2 AND act IN ('account_created', 'proposed', 'link_made', 'proposal_accepted', 'roles_changed')`, h.A, strconv.FormatInt(id, 10)); n != 5 {
		t.Errorf("%d acts recorded", n)
	}
}

func TestAnInvitationIsChecked(t *testing.T) {
	h := newHouse(t)
	admin, platform := h.As(access.Administrator, h.A), h.As(access.PlatformAdministrator, 0)
	good := account.New{Login: "x", Name: "X", Roles: []access.Role{access.Caseworker}}
	for what, c := range map[string]struct {
		by     access.Caller
		change func(*account.New)
		want   string
	}{
		"a caseworker invites":        {h.As(access.Caseworker, h.A), nil, "permission"},
		"support invites":             {h.As(access.Support, 0), nil, "permission"},
		"support in a municipality":   {h.As(access.Support, h.A), nil, "permission"},
		"the platform in one":         {platform.In(h.A), nil, "permission"},
		"the processor's in ours":     {admin, func(n *account.New) { n.Roles = []access.Role{access.Support} }, "invalid: roles=role_no_municipality"},
		"ours at the processor":       {platform, nil, "invalid: roles=role_municipality"},
		"the product itself":          {admin, func(n *account.New) { n.Roles = []access.Role{access.System} }, "invalid: roles=role_unknown"},
		"another municipality named":  {admin, func(n *account.New) { n.Municipality = h.B }, ""},
		"a login that others have":    {admin, func(n *account.New) { n.Login = "caseworker.2.201" }, "invalid: login=taken"},
		"no address":                  {admin, func(n *account.New) { n.Email = "kari" }, "invalid: email=email_form"},
		"an address with a name":      {admin, func(n *account.New) { n.Email = "Kari <k@example.invalid>" }, "invalid: email=email_form"},
		"nothing but a line":          {admin, func(n *account.New) { n.Login, n.Name, n.Roles = "", " ", nil }, "invalid: login=required name=required roles=required"},
		"an operator by the platform": {platform, func(n *account.New) { n.Login, n.Roles = "op", []access.Role{access.Operator} }, ""},
	} {
		n := good
		if c.change != nil {
			c.change(&n)
		}
		id, _, err := account.Invite(t.Context(), h.DB, c.by, n)
		h.want(what, c.want, err)
		if err == nil && h.Count(t, `SELECT coalesce(municipality_id, 0) FROM account WHERE id = $1`, id) != c.by.Municipality {
			t.Errorf("%s: it lies elsewhere", what)
		}
	}
}

func TestNobodyRaisesThemselves(t *testing.T) {
	h := newHouse(t)
	admin, approver := h.As(access.Administrator, h.A), h.As(access.Approver, h.A)
	second := admin
	second.Account, _ = h.second(access.Administrator)
	h.want("own roles", "about_yourself", account.ProposeRoles(t.Context(), h.DB, admin, admin.Account, []access.Role{access.Administrator, access.Approver}))
	if err := account.ProposeRoles(t.Context(), h.DB, admin, approver.Account, []access.Role{access.Approver, access.Administrator}); err != nil {
		t.Fatal(err)
	}
	h.want("twice", "proposal_waits", account.ProposeRoles(t.Context(), h.DB, second, approver.Account, []access.Role{access.Caseworker}))
	l := h.waiting(admin, proposal.Roles)
	h.want("one's own", "about_yourself", account.Accept(t.Context(), h.DB, approver, l.ID, proposal.Roles))
	h.want("rejecting one's own", "about_yourself", h.DB.InTx(t.Context(), approver, func(tx *pg.Tx) error { return proposal.Reject(t.Context(), tx, l.ID) }))
	h.want("another's taken back", "not_found", h.DB.InTx(t.Context(), second, func(tx *pg.Tx) error { return proposal.Withdraw(t.Context(), tx, l.ID) }))
	h.want("the same roles", "invalid: roles=unchanged", account.ProposeRoles(t.Context(), h.DB, admin, h.As(access.Caseworker, h.A).Account, []access.Role{access.Caseworker}))
	h.want("somebody else's person", "not_found", account.ProposeRoles(t.Context(), h.DB, admin, h.As(access.Caseworker, h.B).Account, []access.Role{access.Approver}))
	h.want("nobody", "not_found", account.ProposeRoles(t.Context(), h.DB, admin, 1<<40, []access.Role{access.Approver}))

	token, err := account.SignInDemo(t.Context(), h.DB, h.login(approver.Account))
	if err != nil {
		t.Fatal(err)
	}
	if c, _, _ := account.Resolve(t.Context(), h.DB, token); c.Can(access.AccountManage) {
		t.Error("a proposal is a right")
	}
	h.accept(second, proposal.Roles)
	if c, _, _ := account.Resolve(t.Context(), h.DB, token); !c.Can(access.AccountManage) {
		t.Error("the roles are not the next request's")
	}
	// It expires.
	if err := account.ProposeRoles(t.Context(), h.DB, admin, approver.Account, []access.Role{access.Approver}); err != nil {
		t.Fatal(err)
	}
	l = h.waiting(admin, proposal.Roles)
	h.SetNow(h.Now().AddDate(0, 0, 30))
	h.want("a month later", "proposal_settled", account.Accept(t.Context(), h.DB, second, l.ID, proposal.Roles))
	if err := account.ProposeRoles(t.Context(), h.DB, admin, approver.Account, []access.Role{access.Approver}); err != nil {
		t.Errorf("what expired is in the way: %v", err)
	}
}

// second makes another person with a role in A, open at once.
func (h house) second(role access.Role) (int64, string) {
	h.t.Helper()
	municipality := h.A
	if (access.Caller{Roles: []access.Role{role}}).Blind() {
		municipality = 0
	}
	login := fmt.Sprintf("second.%s.%d", role, time.Now().UnixNano())
	id, number, err := account.CreateFirst(h.t.Context(), h.DB, account.New{Municipality: municipality, Login: login, Name: "Second", Password: password, Roles: []access.Role{role}})
	if err != nil {
		h.t.Fatal(err)
	}
	return id, number
}

func (h house) login(id int64) (login string) {
	h.t.Helper()
	if err := h.Admin.QueryRow(h.t.Context(), `SELECT login FROM account WHERE id = $1`, id).Scan(&login); err != nil {
		h.t.Fatal(err)
	}
	return login
}

func TestDisabledAtOnce(t *testing.T) {
	h := newHouse(t)
	admin, approver, worker := h.As(access.Administrator, h.A), h.As(access.Approver, h.A), h.As(access.Caseworker, h.A)
	token, err := account.SignInDemo(t.Context(), h.DB, h.login(worker.Account))
	if err != nil {
		t.Fatal(err)
	}
	key, err := account.MakeKey(t.Context(), h.DB, worker, worker.Account, account.KeyWish{Name: "mine", Days: 30})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := account.NewLink(t.Context(), h.DB, admin, worker.Account, false); err != nil {
		t.Fatal(err)
	}
	if err := account.ProposeRoles(t.Context(), h.DB, admin, worker.Account, []access.Role{access.Approver}); err != nil {
		t.Fatal(err)
	}
	if c, err := account.ResolveKey(t.Context(), h.DB, key, hereAddr); err != nil || c.Account != worker.Account {
		t.Fatal(err)
	}
	if err := account.Disable(t.Context(), h.DB, admin, worker.Account); err != nil {
		t.Fatal(err)
	}
	if alive(t, h.Env, token) {
		t.Error("the session lives")
	}
	_, err = account.ResolveKey(t.Context(), h.DB, key, hereAddr)
	h.want("the key", "unauthenticated", err)
	if n := h.Count(t, `SELECT count(*) FROM account_link WHERE account_id = $1`, worker.Account); n != 0 {
		t.Error("the link lives")
	}
	if n := h.Count(t, `SELECT count(*) FROM proposal WHERE about = $1 AND outcome = 'withdrawn' AND decided_by = $2`, worker.Account, admin.Account); n != 1 {
		t.Error("the proposal waits on")
	}
	if n := h.Count(t, `SELECT count(*) FROM audit WHERE act = 'key_refused' AND refused AND detail->>'code' = 'disabled' AND municipality_id = $1`, h.A); n != 1 {
		t.Errorf("%d refusals of the key", n)
	}
	_, err = account.NewLink(t.Context(), h.DB, admin, worker.Account, false)
	h.want("a link for a disabled account", "account_disabled", err)
	if err := account.ProposeEnable(t.Context(), h.DB, admin, worker.Account); err != nil {
		t.Fatal(err)
	}
	h.want("opened by one", "own_proposal", account.Accept(t.Context(), h.DB, admin, h.waiting(admin, proposal.Enable).ID, proposal.Enable))
	h.accept(approver, proposal.Enable)
	if _, err := account.SignInDemo(t.Context(), h.DB, h.login(worker.Account)); err != nil {
		t.Errorf("opened again: %v", err)
	}
	_, err = account.ResolveKey(t.Context(), h.DB, key, hereAddr)
	h.want("the key rose from the dead", "unauthenticated", err)
	h.want("opened when open", "account_open", account.ProposeEnable(t.Context(), h.DB, admin, worker.Account))
	h.want("oneself", "about_yourself", account.Disable(t.Context(), h.DB, admin, admin.Account))
	h.want("oneself, a caseworker", "about_yourself", account.Disable(t.Context(), h.DB, worker, worker.Account))
	other := admin
	other.Account, _ = h.second(access.Administrator)
	if err := account.Disable(t.Context(), h.DB, other, admin.Account); err != nil {
		t.Errorf("one of two: %v", err)
	}
	h.want("the last one, by one who was just disabled", "last_administrator", account.Disable(t.Context(), h.DB, admin, other.Account))
}

func TestTheLastAdministratorKeepsTheRole(t *testing.T) {
	h := newHouse(t)
	admin, approver := h.As(access.Administrator, h.A), h.As(access.Approver, h.A)
	other, _ := h.second(access.Administrator)
	by := admin
	by.Account = other
	if err := account.ProposeRoles(t.Context(), h.DB, by, admin.Account, []access.Role{access.Caseworker}); err != nil {
		t.Fatal(err)
	}
	l := h.waiting(approver, proposal.Roles)
	h.Exec(t, `UPDATE account SET disabled_at = now() WHERE id = $1`, other)
	h.want("nobody would be left", "last_administrator", account.Accept(t.Context(), h.DB, approver, l.ID, proposal.Roles))
}

// What lies in another municipality answers exactly like what never was.
func TestForeignIsMissing(t *testing.T) {
	h := newHouse(t)
	admin := h.As(access.Administrator, h.A)
	foreign, processor := h.As(access.Caseworker, h.B).Account, h.As(access.Support, 0).Account
	for what, ask := range map[string]func(id int64) error{
		"find":    func(id int64) error { _, err := account.Find(t.Context(), h.DB, admin, id); return err },
		"disable": func(id int64) error { return account.Disable(t.Context(), h.DB, admin, id) },
		"link":    func(id int64) error { _, err := account.NewLink(t.Context(), h.DB, admin, id, false); return err },
		"enable":  func(id int64) error { return account.ProposeEnable(t.Context(), h.DB, admin, id) },
		"review":  func(id int64) error { return account.Review(t.Context(), h.DB, admin, id) },
		"keys":    func(id int64) error { _, err := account.Keys(t.Context(), h.DB, admin, id); return err },
		"end key": func(id int64) error { return account.EndKey(t.Context(), h.DB, admin, id, 1) },
		"roles": func(id int64) error {
			return account.ProposeRoles(t.Context(), h.DB, admin, id, []access.Role{access.Approver})
		},
		"end": func(id int64) error { return account.EndSessions(t.Context(), h.DB, admin, id) },
		"key": func(id int64) error {
			_, err := account.MakeKey(t.Context(), h.DB, admin, id, account.KeyWish{Name: "x", Days: 1})
			return err
		},
		"my worker": func(id int64) error {
			_, err := account.MakeKey(t.Context(), h.DB, admin, max(id, h.As(access.Caseworker, h.A).Account), account.KeyWish{Name: "x", Days: 1})
			return err
		},
	} {
		missing := ask(1 << 40)
		for _, id := range []int64{foreign, processor} {
			if err := ask(id); !errors.As(err, new(problem.NotFound)) || !reflect.DeepEqual(err, missing) {
				t.Errorf("%s of %d: %#v, missing %#v", what, id, err, missing)
			}
		}
	}
	people, err := account.People(t.Context(), h.DB, admin, 0)
	if err != nil || len(people) != 5 {
		t.Errorf("%d people: %v", len(people), err)
	}
	for _, p := range people {
		if h.Count(t, `SELECT count(*) FROM account WHERE id = $1 AND municipality_id = $2`, p.ID, h.A) != 1 {
			t.Errorf("%d is not ours", p.ID)
		}
	}
	if rest, err := account.People(t.Context(), h.DB, admin, people[1].ID); err != nil || len(rest) != 3 || rest[0].ID != people[2].ID {
		t.Errorf("after the second: %d %v", len(rest), err)
	}
	if all, err := account.People(t.Context(), h.DB, h.As(access.PlatformAdministrator, 0), 0); err != nil || len(all) != 3 {
		t.Errorf("processor and supplier: %d %v", len(all), err)
	}
	_, err = account.People(t.Context(), h.DB, h.As(access.PlatformAdministrator, 0).In(h.A), 0)
	h.want("the platform reads a municipality's list", "permission", err)
	_, err = account.People(t.Context(), h.DB, h.As(access.Caseworker, h.A), 0)
	h.want("a caseworker reads the list", "permission", err)
}

func TestRangesNeedTwo(t *testing.T) {
	h := newHouse(t)
	admin, approver := h.As(access.Administrator, h.A), h.As(access.Approver, h.A)
	for network, want := range map[string]string{
		"10.1.0.1/16": "invalid: network=network_form", "10.0.0.0/7": "invalid: network=too_wide", "0.0.0.0/0": "invalid: network=too_wide", "2001:db8::/31": "invalid: network=too_wide",
		"": "invalid: network=required", "town hall": "invalid: network=network_form", "::ffff:10.0.0.0/104": "invalid: network=network_form", "fe80::1%eth0": "invalid: network=network_form",
		"127.0.0.0/8": "invalid: network=taken",
	} {
		h.want(network, want, account.ProposeRange(t.Context(), h.DB, admin, network, "Rådhuset"))
	}
	for _, network := range []string{"10.1.0.0/16", "2001:DB8:0::/48", "192.0.2.7", "::ffff:192.0.2.8"} {
		if err := account.ProposeRange(t.Context(), h.DB, admin, network, " Rådhuset "); err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		l := h.waiting(admin, proposal.Ranges)
		h.want("alone", "own_proposal", account.Accept(t.Context(), h.DB, admin, l.ID, proposal.Ranges))
		h.accept(approver, proposal.Ranges)
	}
	ranges, err := account.Ranges(t.Context(), h.DB, admin)
	if err != nil || len(ranges) != 6 {
		t.Fatalf("%v %v", ranges, err)
	}
	if n := h.Count(t, `SELECT count(*) FROM address_range WHERE municipality_id = $1 AND place = 'Rådhuset' AND added_by = $2`, h.A, admin.Account); n != 4 {
		t.Errorf("%d came to be", n)
	}
	var id int64
	for _, r := range ranges {
		if r.Network == netip.MustParsePrefix("192.0.2.7/32") {
			id = r.ID
		}
	}
	h.want("another municipality's", "not_found", account.ProposeRangeRemoval(t.Context(), h.DB, h.As(access.Administrator, h.B), id))
	if err := account.ProposeRangeRemoval(t.Context(), h.DB, admin, id); err != nil {
		t.Fatal(err)
	}
	h.accept(approver, proposal.Ranges)
	if n := h.Count(t, `SELECT count(*) FROM address_range WHERE network = '192.0.2.7/32'`); n != 0 {
		t.Error("it was not taken away")
	}
	if err := account.AddRange(t.Context(), h.DB, h.B, "10.0.0.0/8", "Rådhuset"); err != nil {
		t.Errorf("the command line: %v", err)
	}
	if h.Count(t, `SELECT count(*) FROM address_range WHERE municipality_id = $1 AND network = '10.0.0.0/8' AND added_by = 0`, h.B) != 1 {
		t.Error("the command line's network is not there")
	}
	// The processor's own, by two platform administrators.
	one, two := h.As(access.PlatformAdministrator, 0), h.As(access.PlatformAdministrator, 0)
	two.Account, _ = h.second(access.PlatformAdministrator)
	if err := account.ProposeRange(t.Context(), h.DB, one, "198.51.100.0/24", "Driftssenteret"); err != nil {
		t.Fatal(err)
	}
	h.accept(two, proposal.Ranges)
	if h.Count(t, `SELECT count(*) FROM address_range WHERE municipality_id = 0 AND network = '198.51.100.0/24'`) != 1 {
		t.Error("the installation's network is not there")
	}
}

func TestReview(t *testing.T) {
	h := newHouse(t)
	admin, approver, worker := h.As(access.Administrator, h.A), h.As(access.Approver, h.A), h.As(access.Caseworker, h.A)
	h.Exec(t, `UPDATE account SET created_at = $1`, h.Now().AddDate(0, -6, 0))
	if p := h.find(admin, worker.Account); !p.Overdue(h.Now()) || p.Overdue(h.Now().Add(-time.Second)) {
		t.Errorf("due %s", p.ReviewDue())
	}
	if err := account.Review(t.Context(), h.DB, admin, worker.Account); err != nil {
		t.Fatal(err)
	}
	p := h.find(admin, worker.Account)
	if p.Overdue(h.Now().AddDate(0, 6, 0).Add(-time.Second)) || !p.Overdue(h.Now().AddDate(0, 6, 0)) || *p.ReviewedBy != admin.Account {
		t.Errorf("%+v", p)
	}
	h.want("one's own", "about_yourself", account.Review(t.Context(), h.DB, admin, admin.Account))
	h.want("an approver, of a caseworker", "permission", account.Review(t.Context(), h.DB, approver, worker.Account))
	if err := account.Review(t.Context(), h.DB, approver, admin.Account); err != nil {
		t.Errorf("an approver, of an administrator: %v", err)
	}
	if err := account.ProposeRoles(t.Context(), h.DB, admin, approver.Account, []access.Role{access.Caseworker}); err != nil {
		t.Fatal(err)
	}
	if err := account.Disable(t.Context(), h.DB, admin, worker.Account); err != nil {
		t.Fatal(err)
	}
	for outcome, want := range map[string]int{account.Confirmed: 2, account.Changed: 1, account.Ended: 1} {
		if n := h.Count(t, `SELECT count(*) FROM access_review WHERE municipality_id = $1 AND outcome = $2`, h.A, outcome); n != want {
			t.Errorf("%d times %s", n, outcome)
		}
	}
	h.want("a disabled one", "account_disabled", account.Review(t.Context(), h.DB, admin, worker.Account))
}

// as runs SQL as a role of the product, in A and in somebody's name, and rolls it back.
func (h house) as(role string, account int64, statements ...string) error {
	h.t.Helper()
	return pgx.BeginFunc(h.t.Context(), h.Admin, func(tx pgx.Tx) error {
		defer tx.Rollback(h.t.Context()) //nolint:errcheck // it is meant to
		if _, err := tx.Exec(h.t.Context(), `SELECT set_config('frist.municipality', '1', true), set_config('frist.account', $1, true), set_config('frist.now', $2, true)`,
			strconv.FormatInt(account, 10), h.Now().Format(time.RFC3339Nano)); err != nil {
			h.t.Fatal(err)
		}
		if _, err := tx.Exec(h.t.Context(), `SET LOCAL ROLE `+role); err != nil {
			h.t.Fatal(err)
		}
		for _, sql := range statements {
			if _, err := tx.Exec(h.t.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// The database asks for the second person by itself, whatever the program forgot.
func TestTheSecondPersonBySQL(t *testing.T) {
	h := newHouse(t)
	admin, approver, worker := h.As(access.Administrator, h.A), h.As(access.Approver, h.A), h.As(access.Caseworker, h.A)
	if err := account.ProposeRoles(t.Context(), h.DB, admin, worker.Account, []access.Role{access.Caseworker, access.Approver}); err != nil {
		t.Fatal(err)
	}
	id := h.waiting(admin, proposal.Roles).ID
	if err := account.ProposeRange(t.Context(), h.DB, admin, "10.9.0.0/16", "x"); err != nil {
		t.Fatal(err)
	}
	h.Exec(t, `UPDATE account SET disabled_at = now() WHERE id = 151`)
	decide := func(by int64) string {
		return fmt.Sprintf(`UPDATE proposal SET outcome = 'accepted', decided_by = %d, decided_at = now() WHERE id = %d`, by, id)
	}
	accepted := decide(approver.Account)
	insert := func(kind, subject, about, payload string, by int64) string {
		return fmt.Sprintf(`INSERT INTO proposal (municipality_id, kind, subject, about, payload, proposed_by, proposed_at, expires_at)
			VALUES (1, '%s', '%s', %s, '%s', %d, now(), now() + interval '1 day')`, kind, subject, about, payload, by)
	}
	roles := fmt.Sprintf(`UPDATE account SET roles = '{caseworker,approver}' WHERE id = %d`, worker.Account)
	rule := `INSERT INTO retention_rule (municipality_id, class, version, start_event, period_months, period_days, outcome, authority, valid_from)
		VALUES (1, 'alarm_log', 2, 'disconnected', 1, 0, 'destroy', 'x', '2023-01-01')`
	for what, c := range map[string]struct {
		role  string
		me    int64
		state string
		sql   []string
	}{
		"the proposer accepts":              {"frist_signin", admin.Account, "23514", []string{decide(admin.Account)}},
		"whom it is about accepts":          {"frist_signin", worker.Account, "23514", []string{decide(worker.Account)}},
		"in another's name":                 {"frist_signin", admin.Account, "FR081", []string{accepted}},
		"in nobody's name":                  {"frist_signin", admin.Account, "FR081", []string{fmt.Sprintf(`UPDATE proposal SET outcome = 'rejected', decided_at = now() WHERE id = %d`, id)}},
		"for oneself":                       {"frist_signin", admin.Account, "23514", []string{insert("roles", "x", fmt.Sprint(admin.Account), `{}`, admin.Account)}},
		"proposed in another's name":        {"frist_signin", admin.Account, "FR081", []string{insert("ranges", "x", "NULL", `{}`, approver.Account)}},
		"roles by the municipality's role":  {"frist_municipality", admin.Account, "FR081", []string{insert("roles", "x", "NULL", `{}`, admin.Account)}},
		"changed afterwards":                {"frist_signin", admin.Account, "42501", []string{fmt.Sprintf(`UPDATE proposal SET payload = '{}' WHERE id = %d`, id)}},
		"taken away":                        {"frist_signin", admin.Account, "42501", []string{fmt.Sprintf(`DELETE FROM proposal WHERE id = %d`, id)}},
		"decided twice":                     {"frist_signin", approver.Account, "FR009", []string{accepted, fmt.Sprintf(`UPDATE proposal SET outcome = 'rejected' WHERE id = %d`, id)}},
		"roles without a proposal":          {"frist_signin", approver.Account, "FR081", []string{roles}},
		"roles that were accepted":          {"frist_signin", approver.Account, "", []string{accepted, roles}},
		"other roles than accepted":         {"frist_signin", approver.Account, "FR081", []string{accepted, fmt.Sprintf(`UPDATE account SET roles = '{administrator}' WHERE id = %d`, worker.Account)}},
		"fewer than accepted":               {"frist_signin", approver.Account, "FR081", []string{accepted, fmt.Sprintf(`UPDATE account SET roles = '{approver}' WHERE id = %d`, worker.Account)}},
		"somebody else's roles":             {"frist_signin", approver.Account, "FR081", []string{accepted, `UPDATE account SET roles = '{caseworker,approver}' WHERE id = 151`}},
		"opened without a proposal":         {"frist_signin", approver.Account, "FR081", []string{`UPDATE account SET disabled_at = NULL WHERE id = 151`}},
		"an open account made":              {"frist_signin", admin.Account, "FR081", []string{`INSERT INTO account (municipality_id, login, name, staff_number, roles) VALUES (1, 'q', 'q', 'S-q', '{approver}')`}},
		"an account moved":                  {"frist_signin", approver.Account, "FR009", []string{fmt.Sprintf(`UPDATE account SET municipality_id = 2 WHERE id = %d`, worker.Account)}},
		"roles by the municipality itself":  {"frist_municipality", approver.Account, "42501", []string{roles}},
		"a network without a proposal":      {"frist_signin", approver.Account, "FR081", []string{`INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES (1, '10.9.0.0/16', 'x', 104, now())`}},
		"a network in nobody's name":        {"frist_signin", approver.Account, "FR081", []string{`INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES (1, '10.9.0.0/16', 'x', 0, now())`}},
		"a network of another municipality": {"frist_signin", 0, "42501", []string{`INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES (2, '10.9.0.0/16', 'x', 0, now())`}},
		"a network taken away":              {"frist_signin", approver.Account, "FR081", []string{`DELETE FROM address_range WHERE municipality_id = 1`}},
		"a network that was accepted":       {"frist_signin", approver.Account, "", []string{`UPDATE proposal SET outcome = 'accepted', decided_by = 102, decided_at = now() WHERE kind = 'ranges'`, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) VALUES (1, '10.9.0.0/16', 'x', 104, now())`}},
		"a rule without a proposal":         {"frist_municipality", approver.Account, "FR081", []string{rule}},
		"a rule by the platform":            {"frist_platform", 903, "FR081", []string{rule}},
		"terms without a proposal":          {"frist_municipality", approver.Account, "FR081", []string{`UPDATE municipality_policy SET cooling_off_seconds = 1`}},
		"a review of oneself":               {"frist_signin", admin.Account, "23514", []string{`INSERT INTO access_review (municipality_id, account_id, roles, outcome, reviewed_by, reviewed_at) VALUES (1, 104, '{}', 'confirmed', 104, now())`}},
		"a review rewritten":                {"frist_signin", admin.Account, "42501", []string{`UPDATE access_review SET outcome = 'confirmed'`}},
		"proposals by support":              {"frist_support", 901, "42501", []string{`SELECT FROM proposal`}},
		"proposals by the operator":         {"frist_supplier", 902, "42501", []string{`SELECT FROM proposal`}},
		"a program that decides":            {"frist_signin", admin.Account, "FR082", []string{`UPDATE account SET language = 'en' WHERE id = 151`, `INSERT INTO api_key (key_hash, account_id, scopes, created_at, expires_at) SELECT 'x', id, '{decide}', now(), now() FROM account WHERE machine`}},
		"a key for longer than a year":      {"frist_signin", admin.Account, "23514", []string{`INSERT INTO api_key (key_hash, account_id, created_at, expires_at) VALUES ('x', 101, now(), now() + interval '2 years')`}},
	} {
		if what == "a program that decides" {
			h.Exec(t, `INSERT INTO account (municipality_id, login, name, staff_number, roles, machine) VALUES (1, 'program', 'Program', 'S-p', '{caseworker}', true)`)
		}
		sql := slices.DeleteFunc(c.sql, func(s string) bool { return s == "" })
		err := h.as(c.role, c.me, sql...)
		var pgErr *pgconn.PgError
		got := ""
		if errors.As(err, &pgErr) {
			got = pgErr.Code
		} else if err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			t.Fatalf("%s: %v", what, err)
		}
		if got != c.state {
			t.Errorf("%s: %q, want %q (%v)", what, got, c.state, err)
		}
	}
}

func TestKeysOfAPerson(t *testing.T) {
	h := newHouse(t)
	worker, approver := h.As(access.Caseworker, h.A), h.As(access.Approver, h.A)
	make := func(by access.Caller, wish account.KeyWish) (string, error) {
		return account.MakeKey(t.Context(), h.DB, by, by.Account, wish)
	}
	for what, c := range map[string]struct {
		wish account.KeyWish
		want string
	}{
		"no name":           {account.KeyWish{Days: 1}, "invalid: key_name=required"},
		"too long":          {account.KeyWish{Name: "x", Days: 366}, "invalid: days=between"},
		"no time":           {account.KeyWish{Name: "x"}, "invalid: days=between"},
		"more than one may": {account.KeyWish{Name: "x", Days: 1, Scopes: []string{"client.read", "round.approve"}}, "invalid: scopes=scope_beyond"},
		"unknown":           {account.KeyWish{Name: "x", Days: 1, Scopes: []string{"everything"}}, "invalid: scopes=scope_beyond"},
		"no network":        {account.KeyWish{Name: "x", Days: 1, Networks: []string{"10.0.0.1/8"}}, "invalid: networks=network_form"},
	} {
		_, err := make(worker, c.wish)
		h.want(what, c.want, err)
	}
	stale := worker
	stale.FreshUntil = time.Time{}
	_, err := make(stale, account.KeyWish{Name: "x", Days: 1})
	h.want("without a fresh proof", "step_up", err)
	resolve := func(key, from string) (access.Caller, error) {
		var address netip.Addr
		if from != "" {
			address = netip.MustParseAddr(from)
		}
		return account.ResolveKey(t.Context(), h.DB, key, address)
	}

	narrow, err := make(worker, account.KeyWish{Name: "narrow", Days: 10, Scopes: []string{"client.read"}, Networks: []string{"10.1.0.0/16", "2001:db8::/32"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := resolve(narrow, "10.1.2.3")
	if err != nil || !c.Can(access.ClientRead) || c.Can(access.ClientWrite) || c.Can(access.RoundRead) {
		t.Errorf("%+v %v", c, err)
	}
	for from, want := range map[string]string{"::ffff:10.1.2.3": "", "2001:db8::7": "", "10.2.0.1": "unauthenticated", "": "unauthenticated", "2001:db9::7": "unauthenticated", "::ffff:10.2.0.1": "unauthenticated"} {
		_, err := resolve(narrow, from)
		h.want("from "+from, want, err)
	}
	if n := h.Count(t, `SELECT refusals FROM api_key WHERE name = 'narrow'`); n != 4 {
		t.Errorf("%d refusals counted", n)
	}
	if n := h.Count(t, `SELECT count(*) FROM audit WHERE act = 'key_refused' AND detail->>'code' = 'network' AND municipality_id = $1`, h.A); n != 1 {
		t.Errorf("%d refusals recorded in one minute", n)
	}
	// A key makes one only while it decides, none that decides, and when it is narrowed it has no say in what is its holder's.
	own := func(name, code string, by access.Caller, scopes ...string) {
		t.Helper()
		_, err := account.MakeKey(t.Context(), h.DB, by, worker.Account, account.KeyWish{Name: name, Days: 1, Scopes: scopes})
		h.want(name, code, err)
	}
	own("a narrowed key", "key_narrowed", c)
	c.KeyDecides = true
	own("a narrowed key that decides", "key_narrowed", c)
	c.Scopes = nil
	own("one that decides makes one that does", "key_makes_key", c, account.ScopeDecide)
	c.KeyDecides = false
	own("one that does not decide", "key_makes_key", c)
	c.FreshUntil = h.Now().Add(time.Hour) // which no key has
	own("one that does not decide, however fresh", "key_makes_key", c)

	keys, err := account.Keys(t.Context(), h.DB, worker, worker.Account)
	if err != nil || len(keys) != 1 || keys[0].Name != "narrow" || len(keys[0].Networks) != 2 || keys[0].LastUsedAt == nil || !keys[0].LastUsedAt.Equal(h.Now()) {
		t.Fatalf("%+v %v", keys, err)
	}
	// Used again within the minute, nothing is written.
	first := h.Now()
	h.SetNow(first.Add(59 * time.Second))
	_, _ = resolve(narrow, "10.1.2.3")
	if n := h.Count(t, `SELECT count(*) FROM api_key WHERE last_used_at = $1`, first); n != 1 {
		t.Error("the use was written twice in a minute")
	}
	h.SetNow(first.Add(time.Minute))
	_, _ = resolve(narrow, "10.1.2.3")
	if n := h.Count(t, `SELECT count(*) FROM api_key WHERE last_used_at = $1`, h.Now()); n != 1 {
		t.Error("the use was not written")
	}

	_, err = account.RotateKey(t.Context(), h.DB, worker, worker.Account, keys[0].ID, 8)
	h.want("eight days of overlap", "invalid: overlap=between", err)
	_, err = account.RotateKey(t.Context(), h.DB, approver, worker.Account, keys[0].ID, 1)
	h.want("another's", "not_found", err)
	next, err := account.RotateKey(t.Context(), h.DB, worker, worker.Account, keys[0].ID, 1)
	if err != nil {
		t.Fatal(err)
	}
	rotated := h.Now()
	h.SetNow(rotated.AddDate(0, 0, 1).Add(-time.Second))
	for _, key := range []string{narrow, next} {
		if c, err := resolve(key, "10.1.2.3"); err != nil || c.Can(access.ClientWrite) {
			t.Errorf("during the overlap: %+v %v", c, err)
		}
	}
	h.SetNow(rotated.AddDate(0, 0, 1))
	_, err = resolve(narrow, "10.1.2.3")
	h.want("after the overlap", "unauthenticated", err)
	if _, err := resolve(next, "10.1.2.3"); err != nil {
		t.Errorf("the new one: %v", err)
	}
	h.SetNow(rotated.AddDate(0, 0, 10))
	_, err = resolve(next, "10.1.2.3")
	h.want("after its days", "unauthenticated", err)

	deciding, err := make(approver, account.KeyWish{Name: "decides", Scopes: []string{account.ScopeDecide, "round.approve"}})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := resolve(deciding, ""); err != nil || !c.Can(access.RoundApprove) || c.Can(access.ClientRead) || !c.Fresh(h.Now()) {
		t.Errorf("%+v %v", c, err)
	}
	h.SetNow(h.Now().Add(12 * time.Hour))
	_, err = resolve(deciding, "")
	h.want("twelve hours later", "unauthenticated", err)

	last, err := make(worker, account.KeyWish{Name: "last", Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	keys, _ = account.Keys(t.Context(), h.DB, worker, worker.Account)
	if err := account.EndKey(t.Context(), h.DB, worker, worker.Account, keys[0].ID); err != nil {
		t.Error(err)
	}
	_, err = resolve(last, "")
	h.want("ended", "unauthenticated", err)
	h.want("ended twice", "not_found", account.EndKey(t.Context(), h.DB, worker, worker.Account, keys[0].ID))
	for n := range 20 {
		if _, err := make(worker, account.KeyWish{Name: fmt.Sprint(n), Days: 1}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = make(worker, account.KeyWish{Name: "x", Days: 1})
	h.want("one more", "too_many_keys", err)
	h.SetNow(h.Now().AddDate(1, 0, 0))
	if err := account.Sweep(t.Context(), h.DB); err != nil || h.Count(t, `SELECT count(*) FROM api_key`) != 0 {
		t.Errorf("ended keys stay for ever: %v", err)
	}
}

func TestKeysOfAProgram(t *testing.T) {
	h := newHouse(t)
	admin, approver := h.As(access.Administrator, h.A), h.As(access.Approver, h.A)
	id, link, err := account.Invite(t.Context(), h.DB, admin, account.New{Login: "journal", Name: "Journalsystemet", Machine: true, Roles: []access.Role{access.Caseworker}})
	if err != nil || link.Token != "" {
		t.Fatalf("%+v %v", link, err)
	}
	wish := account.KeyWish{Name: "daily", Days: 365}
	_, err = account.MakeKey(t.Context(), h.DB, admin, id, wish)
	h.want("before it is confirmed", "not_found", err)
	h.accept(approver, proposal.Roles)
	if p := h.find(admin, id); p.State() != account.Machine {
		t.Errorf("%+v", p)
	}
	_, err = account.NewLink(t.Context(), h.DB, admin, id, false)
	h.want("a link for a program", "machine", err)
	_, err = account.MakeKey(t.Context(), h.DB, approver, id, wish)
	h.want("by an approver", "not_found", err)
	_, err = account.MakeKey(t.Context(), h.DB, h.As(access.Administrator, h.B), id, wish)
	h.want("by another municipality", "not_found", err)
	decides := wish
	decides.Scopes = []string{account.ScopeDecide}
	_, err = account.MakeKey(t.Context(), h.DB, admin, id, decides)
	h.want("a program decides", "invalid: scopes=machine_decides", err)
	key, err := account.MakeKey(t.Context(), h.DB, admin, id, wish)
	if err != nil {
		t.Fatal(err)
	}
	c, err := account.ResolveKey(t.Context(), h.DB, key, hereAddr)
	if err != nil || c.Account != id || !c.Can(access.ClientRead) || c.KeyDecides {
		t.Errorf("%+v %v", c, err)
	}
	if p := h.find(admin, id); p.LastSignInAt == nil {
		t.Error("its last use is not known")
	}
}

// Whatever the roles and the scopes are, a key may no more than its holder, and decides nothing unless it says so.
func TestAKeyNeverHasMoreThanItsHolder(t *testing.T) {
	var all []access.Permission
	var roles []access.Role
	for _, g := range access.Table {
		all = append(all, g.Permissions...)
		roles = append(roles, g.Role)
	}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfDistinct(rapid.SampledFrom(roles), func(r access.Role) access.Role { return r })
		holder := access.Caller{Account: 1, Roles: some.Draw(t, "roles")}
		key := holder
		key.Key, key.KeyDecides = true, rapid.Bool().Draw(t, "decides")
		key.Scopes = rapid.SliceOf(rapid.SampledFrom(all)).Draw(t, "scopes")
		// The roles it was made with may be others than those of today.
		for _, p := range all {
			switch may := key.Can(p); {
			case may && !holder.Can(p):
				t.Fatalf("the key may %s and its holder %v may not", p, holder.Roles)
			case may && access.Decision(p) && !key.KeyDecides:
				t.Fatalf("a key without decide may %s", p)
			case may && len(key.Scopes) > 0 && !slices.Contains(key.Scopes, p):
				t.Fatalf("a key for %v may %s", key.Scopes, p)
			case !may && holder.Can(p) && len(key.Scopes) == 0 && (key.KeyDecides || !access.Decision(p)):
				t.Fatalf("a key for everything may not %s", p)
			}
		}
	})
}

// All pairs of role sets of an organisation: who may propose what is decided by the organisation alone.
func TestEveryPairOfRoleSets(t *testing.T) {
	sets := func(roles ...access.Role) (all [][]access.Role) {
		for bits := 1; bits < 1<<len(roles); bits++ {
			var set []access.Role
			for n, r := range roles {
				if bits&(1<<n) != 0 {
					set = append(set, r)
				}
			}
			all = append(all, set)
		}
		return all
	}
	of := sets(access.Caseworker, access.Approver, access.PrivacyOfficer, access.Administrator)
	for _, holder := range of {
		for _, made := range of {
			c := access.Caller{Account: 1, Roles: holder, Key: true}
			c.Scopes = append(c.Scopes, access.Permissions(made...)...)
			for _, p := range access.Permissions(append(slices.Clone(holder), made...)...) {
				want := slices.Contains(access.Permissions(holder...), p) && slices.Contains(c.Scopes, p) && !access.Decision(p)
				if c.Can(p) != want {
					t.Fatalf("a key made as %v and held as %v: %s is %t", made, holder, p, !want)
				}
			}
		}
	}
}
