package retention

import (
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/google/uuid"
)

// Code is the type of a blocker (hinder).
type Code string

// Everything that can keep a client.
const (
	Reactivated       Code = "reactivated"        // not inactive (P39)
	NoStartDate       Code = "no_start_date"      // nobody knows when the clock started (D3)
	MissingRule       Code = "missing_rule"       // D6
	ArchiveUnanswered Code = "archive_unanswered" // D6
	ToPreserve        Code = "to_preserve"        // D6
	TooEarly          Code = "too_early"          // P24
	Held              Code = "held"               // D24
	DeviceOnClient    Code = "device_on_client"   // P31
	DeviceOnAddress   Code = "device_on_address"  // P31, D19
	DuplicateActive   Code = "duplicate_active"   // D21
	OpenRequest       Code = "open_request"       // D24: the person has asked for something and has no answer yet
	Restricted        Code = "restricted"         // GDPR 18: kept and hidden
)

// Entry is one line of the status history.
type Entry struct {
	At     time.Time
	Status client.Status
}

// Facts is all that is known about a client that matters for the question. Instants are absolute; the municipality's
// zone turns them into days.
type Facts struct {
	Client           uuid.UUID
	Number           string // the source's number, for the registration's hash (D22); never shown from here
	NationalID       string
	Address          *uuid.UUID
	Status           client.Status
	History          []Entry // oldest first
	AgreementEnd     *time.Time
	DevicesOnClient  int
	DevicesOnAddress int
	Holds            []HoldFact
	ActiveTwin       bool // the same national id has another record that is not disconnected
	TwinConfirmed    bool // somebody confirmed that this is the old registration
	OpenRequests     int  // of the person, but for erasure: what asks to be deleted keeps nobody
	Restricted       bool
}

// HoldFact is one hold that stands, on the client or on its address.
type HoldFact struct {
	Reason   string
	ReviewOn calendar.Date
}

// Blocker is one reason why a client may not go now. Earliest is the first day on which this reason alone would no
// longer stand, zero when no date can be told.
type Blocker struct {
	Code     Code          `json:"code"`
	Class    Class         `json:"class,omitempty"`
	Count    int           `json:"count,omitempty"`
	Earliest calendar.Date `json:"earliest,omitzero"`
}

// ClassDate is one class's own sum: start + period = due.
type ClassDate struct {
	Class   Class
	Rule    Rule
	StartOn calendar.Date
	DueOn   calendar.Date
}

// Assessment is the answer, always with its explanation.
type Assessment struct {
	StartOn  calendar.Date // the day the clock started; zero when unknown
	DueOn    calendar.Date // the earliest lawful day, the latest of the classes (D18); zero means keep
	Decides  ClassDate     // the class whose date it is
	Classes  []ClassDate   // every class under the client that has a rule
	Blockers []Blocker     // all of them, not only the first
}

// MayGo reports whether nothing stands in the way on the day that was asked about.
func (a Assessment) MayGo() bool { return len(a.Blockers) == 0 && !a.DueOn.IsZero() }

// Has reports whether a blocker of that type stands.
func (a Assessment) Has(code Code) bool {
	for _, b := range a.Blockers {
		if b.Code == code {
			return true
		}
	}
	return false
}

// Codes lists the blockers' types in the order in which people should solve them.
func (a Assessment) Codes() []string {
	codes := make([]string, 0, len(a.Blockers))
	for _, b := range a.Blockers {
		if len(codes) == 0 || codes[len(codes)-1] != string(b.Code) {
			codes = append(codes, string(b.Code))
		}
	}
	return codes
}

// Assess decides whether the client may go on a day. It is pure: the same facts, rules and day give the same answer,
// in a page, in the pre-run control and inside the erasing transaction.
func Assess(f Facts, rules Rules, on calendar.Date, zone *time.Location) Assessment {
	var a Assessment
	block := func(b Blocker) { a.Blockers = append(a.Blockers, b) }

	if !f.Status.Inactive() {
		block(Blocker{Code: Reactivated})
	}
	a.StartOn = StartDay(f, zone)
	if a.StartOn.IsZero() && f.Status.Inactive() {
		block(Blocker{Code: NoStartDate})
	}
	complete := true
	for _, class := range ClientClasses {
		rule, ok := rules[class]
		if !ok {
			complete = false
			block(Blocker{Code: MissingRule, Class: class})
			continue
		}
		if !a.StartOn.IsZero() {
			date := ClassDate{Class: class, Rule: rule, StartOn: a.StartOn, DueOn: rule.DueOn(a.StartOn)}
			a.Classes = append(a.Classes, date)
			if date.DueOn.After(a.Decides.DueOn) {
				a.Decides = date
			}
		}
		switch rule.Outcome {
		case Destroy:
		case Preserve:
			block(Blocker{Code: ToPreserve, Class: class})
		default: // review, and whatever a newer version may write: keep
			block(Blocker{Code: ArchiveUnanswered, Class: class})
		}
	}
	if complete && f.Status.Inactive() {
		a.DueOn = a.Decides.DueOn
	}
	if !a.DueOn.IsZero() && on.Before(a.DueOn) {
		block(Blocker{Code: TooEarly, Earliest: a.DueOn})
	}
	for _, h := range f.Holds {
		block(Blocker{Code: Held, Earliest: h.ReviewOn})
	}
	if f.OpenRequests > 0 {
		block(Blocker{Code: OpenRequest, Count: f.OpenRequests})
	}
	if f.Restricted {
		block(Blocker{Code: Restricted})
	}
	if f.DevicesOnClient > 0 {
		block(Blocker{Code: DeviceOnClient, Count: f.DevicesOnClient})
	}
	if f.DevicesOnAddress > 0 {
		block(Blocker{Code: DeviceOnAddress, Count: f.DevicesOnAddress})
	}
	if f.ActiveTwin && !f.TwinConfirmed {
		block(Blocker{Code: DuplicateActive})
	}
	return a
}

// StartDay is the day on which the clock started (D3): the newest disconnected or cancelled entry since the client was
// last active or ordered; if the agreement's end is later, that; if only that is known, that; else no day.
func StartDay(f Facts, zone *time.Location) calendar.Date {
	var start calendar.Date
	for _, e := range f.History {
		if e.Status.Inactive() {
			start = calendar.DateOf(e.At.In(zone))
		} else {
			start = calendar.Date{}
		}
	}
	if f.AgreementEnd != nil {
		if end := calendar.DateOf(f.AgreementEnd.In(zone)); end.After(start) {
			start = end
		}
	}
	return start
}
