// Package access says who asks and what they may: the caller, the roles and the one table that joins roles to
// permissions and to the database role that serves them (DOMAIN.md section 1, D13). It knows neither SQL nor HTTP.
package access

import (
	"slices"
	"time"
)

// Role is what a person is there to do, in the words of the field.
type Role string

// The roles of people, and System for the product's own scheduled work.
const (
	Caseworker            Role = "caseworker"
	Approver              Role = "approver"
	PrivacyOfficer        Role = "privacy_officer"
	Administrator         Role = "administrator"
	Support               Role = "support"
	Operator              Role = "operator"
	PlatformAdministrator Role = "platform_administrator"
	System                Role = "system"
)

// Permission is one thing that somebody may do. Every exported function of the domain asks for one in its first line.
type Permission string

// The permissions. Names are those of the things, then the act.
const (
	ClientRead     Permission = "client.read"
	ClientWrite    Permission = "client.write"
	ClientStatus   Permission = "client.status"   // disconnect, cancel, re-activate
	StatusBackdate Permission = "status.backdate" // more than 31 days back (D3)
	DeviceWrite    Permission = "device.write"
	HoldPlace      Permission = "hold.place" // at once, by one person; also asking for the release (D24)
	HoldRelease    Permission = "hold.release"
	GroupPlace     Permission = "group.place" // move within the deletion groups (D10)
	ImportRun      Permission = "import.run"
	AccessLogRead  Permission = "accesslog.read" // audit, client changes and who looked

	RoundRead      Permission = "round.read"
	RoundControl   Permission = "round.control" // order the pre-run control, enter spot-check findings (D27)
	RoundApprove   Permission = "round.approve" // approve, reject, cancel, lift a brake
	RoundOperate   Permission = "round.operate" // start, pause, resume
	ProtocolRead   Permission = "protocol.read"
	OrderAsk       Permission = "order.ask"   // the municipality asks for an extra run (D17)
	OrderPlace     Permission = "order.place" // support orders it on that request
	JobRead        Permission = "job.read"
	AccountManage  Permission = "account.manage"
	PlatformManage Permission = "platform.manage"
	RoundSweep     Permission = "round.sweep" // the product's own scheduled steps
	RoundPurge     Permission = "round.purge" // the erasing transaction

	ProposalMake     Permission = "proposal.make"   // roles, address ranges, rules, policies: one proposes,
	ProposalDecide   Permission = "proposal.decide" // another decides
	VisitAsk         Permission = "visit.ask"       // support's timed access on a written request (T21)
	VisitGrant       Permission = "visit.grant"     // also cutting it
	VisitRead        Permission = "visit.read"
	InstructionRead  Permission = "instruction.read" // what the processor may do without asking (I13)
	InstructionWrite Permission = "instruction.write"
	RightsRead       Permission = "rights.read"    // requests of the person (T8, T9)
	RightsPrepare    Permission = "rights.prepare" // a caseworker prepares,
	RightsRelease    Permission = "rights.release" // an approver releases
	PrivacyRead      Permission = "privacy.read"   // subprocessors, records of processing, privacy statement
	PrivacyWrite     Permission = "privacy.write"
	DeviationReport  Permission = "deviation.report" // anybody who notices (T25)
	DeviationRead    Permission = "deviation.read"
	DeviationHandle  Permission = "deviation.handle"
	FindingAssess    Permission = "finding.assess" // unusual access: explained, or reported
)

// Grant is one line of the role table.
type Grant struct {
	Role        Role
	Database    string // the group role in PostgreSQL that serves this role's transactions
	Permissions []Permission
}

// Table is the one role table. A page hides a button, a handler refuses a call and the database role limits the
// damage by the same line.
var Table = []Grant{
	{Caseworker, "frist_municipality", []Permission{
		ClientRead, ClientWrite, ClientStatus, DeviceWrite, HoldPlace, GroupPlace, ImportRun, RoundRead, ProtocolRead, OrderAsk,
		VisitAsk, VisitRead, RightsRead, RightsPrepare, PrivacyRead, DeviationReport, DeviationRead,
	}},
	{Approver, "frist_municipality", []Permission{
		ClientRead, StatusBackdate, ClientStatus, HoldPlace, HoldRelease, RoundRead, RoundApprove, ProtocolRead, OrderAsk,
		ProposalDecide, VisitAsk, VisitGrant, VisitRead, InstructionRead, RightsRead, RightsRelease, PrivacyRead, DeviationReport, DeviationRead, DeviationHandle,
	}},
	{PrivacyOfficer, "frist_municipality", []Permission{
		AccessLogRead, RoundRead, ProtocolRead, VisitRead, InstructionRead, RightsRead, PrivacyRead, DeviationReport, DeviationRead, FindingAssess,
	}},
	{Administrator, "frist_municipality", []Permission{
		RoundRead, ProtocolRead, AccountManage, ProposalMake, ProposalDecide, VisitAsk, VisitRead, InstructionRead, InstructionWrite,
		PrivacyRead, PrivacyWrite, DeviationReport, DeviationRead, DeviationHandle,
	}},
	{Support, "frist_support", []Permission{RoundRead, RoundControl, ProtocolRead, OrderPlace, VisitAsk, VisitRead, InstructionRead, DeviationReport}},
	{Operator, "frist_supplier", []Permission{RoundRead, RoundOperate, ProtocolRead, DeviationReport}},
	{PlatformAdministrator, "frist_platform", []Permission{JobRead, PlatformManage, ProposalMake, ProposalDecide, DeviationReport}},
	{System, "frist_purger", []Permission{RoundSweep, RoundPurge, RoundRead, ClientRead, ProtocolRead}},
}

// decisions are what a machine key never does unless it is personal, has the scope `decide` and is at most
// 12 hours old (the role table's last line).
var decisions = []Permission{RoundApprove, RoundControl, RoundOperate, OrderPlace, HoldRelease, ProposalDecide, VisitGrant, RightsRelease}

// Decision reports whether p is one of those acts.
func Decision(p Permission) bool { return slices.Contains(decisions, p) }

// Permissions are all that somebody with these roles may, in the table's order.
func Permissions(roles ...Role) []Permission {
	var all []Permission
	for _, g := range Table {
		if !slices.Contains(roles, g.Role) {
			continue
		}
		for _, p := range g.Permissions {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// Caller is whoever asks: a person, a person's key, or the system. The zero Caller may do nothing.
type Caller struct {
	Account      int64  // 0 for the system
	StaffNumber  string // opaque, the only name that a protocol knows (D26)
	Name         string // shown to the person; never logged
	Roles        []Role
	Municipality int // internal id (D23); 0 for people who work for all municipalities
	Key          bool
	KeyDecides   bool         // the key has the scope `decide` and is young enough
	Scopes       []Permission // what the key is narrowed to; none: whatever its holder may
	Session      []byte
	FreshUntil   time.Time // until when a proof of identity counts for acts that ask for a fresh one; zero: none
	Language     string
	Visit        Visit // where support stands at the moment; zero: nowhere
}

// Visit is a granted, timed look of one account of support into one municipality (T21). It is filled from the grant as
// the database has it, on every request, and says less than the database does: policies there decide what is seen.
type Visit struct {
	ID    string // of the grant
	Scope string // client, page, municipality
	Page  string // the one kind of page; empty: every kind
	Until time.Time
}

// Shows reports whether the visit goes as far as this kind of page.
func (v Visit) Shows(page string) bool { return v.Page == "" || v.Page == page }

// Visiting reports whether the caller stands in a visit.
func (c Caller) Visiting() bool { return c.Visit.ID != "" }

// Outside is the same caller as if they had left the visit: who works for all municipalities, and sees nobody.
func (c Caller) Outside() Caller {
	if c.Visiting() {
		c.Visit, c.Municipality = Visit{}, 0
	}
	return c
}

// inVisit is all that a visitor may: read. Everything else that support does waits outside.
var inVisit = []Permission{ClientRead, RoundRead}

// Fresh reports whether the caller has proved who they are a moment ago, at now: what approving, starting, ordering,
// exporting and changes of rights ask for (ASVS 7.5.3). A key that may decide is young enough by itself; the system has no
// hands to prove with.
func (c Caller) Fresh(now time.Time) bool {
	return c.Has(System) || c.Key && c.KeyDecides || now.Before(c.FreshUntil)
}

// SystemFor is the product itself, working in one municipality under an approval that somebody gave.
func SystemFor(municipality int) Caller {
	return Caller{StaffNumber: "system", Roles: []Role{System}, Municipality: municipality}
}

// In is the same caller standing in one municipality: how support, operator and the system turn to one tenant.
// People of a municipality stay where they are.
func (c Caller) In(municipality int) Caller {
	if (c.Blind() && !c.Visiting()) || c.Has(System) {
		c.Municipality = municipality
	}
	return c
}

// Has reports whether the caller holds the role.
func (c Caller) Has(r Role) bool { return slices.Contains(c.Roles, r) }

// Can reports whether one of the caller's roles carries the permission, and the caller's key, if any, is allowed it.
func (c Caller) Can(p Permission) bool {
	if c.Key && !c.KeyDecides && slices.Contains(decisions, p) || len(c.Scopes) > 0 && !slices.Contains(c.Scopes, p) {
		return false
	}
	return c.RoleFor(p) != ""
}

// RoleFor is the role under which the caller does p: the one that audit and protocol name. Empty when none allows it.
func (c Caller) RoleFor(p Permission) Role {
	if c.Visiting() {
		if c.Has(Support) && slices.Contains(inVisit, p) {
			return Support
		}
		return ""
	}
	for _, g := range Table {
		if c.Has(g.Role) && slices.Contains(g.Permissions, p) {
			return g.Role
		}
	}
	return ""
}

// Blind reports whether the caller works for processor or supplier and may never see a personal datum.
func (c Caller) Blind() bool {
	return c.Has(Support) || c.Has(Operator) || c.Has(PlatformAdministrator)
}

// Main is the role that a page heading shows: the first one held in the table's order.
func (c Caller) Main() Role {
	for _, g := range Table {
		if c.Has(g.Role) {
			return g.Role
		}
	}
	return ""
}

// Database is the group role that serves the caller's transactions; empty for somebody without a role.
// People of a municipality may hold several roles, all of them served by one.
func (c Caller) Database() string {
	if c.Visiting() {
		return "frist_visitor"
	}
	for _, g := range Table {
		if c.Has(g.Role) {
			return g.Database
		}
	}
	return ""
}
