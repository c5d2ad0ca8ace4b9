package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

func init() {
	head := sampleHead("trail")
	from, at := "active", head.Client.StatusSince
	edge.Pages["client-trail"] = trailPage{clientHead: head, Show: "changes", Older: "x", Lines: []trailLine{
		{At: at, Who: "Kari Nordmann", Role: "caseworker", Key: "field.status", Words: "Status", From: &from, To: &from, Field: "status"},
		{At: at, Who: "Frist", Words: "Note"},
		{At: at, Who: "Per Holm", Role: "approver", Words: "Looked", Refused: true},
		{At: at, Words: "x", Hidden: true},
	}}
}

const trailPerPage = 50

// What a trail can show.
const (
	trailAll     = ""
	trailChanges = "endringer"
	trailActs    = "handlinger"
	trailLooks   = "innsyn"
)

// trailPage is the client's trail (P22): who changed what from what to what, who did what, and who looked.
type trailPage struct {
	clientHead
	Show  string
	Lines []trailLine
	Older string // the cursor of the next page of this view; empty at the end
	Begun bool
}

// trailLine is one line of the trail.
type trailLine struct {
	At       time.Time
	Who      string
	Role     string
	Key      string
	Words    string
	Field    string
	From, To *string
	Hidden   bool // the values are those of a protected client (D21)
	Refused  bool
	account  int64
}

// Shows are the views of the trail that the caller may see.
func (p trailPage) Shows() []view {
	var views []view
	for _, show := range []string{trailAll, trailChanges, trailActs, trailLooks} {
		if show == trailLooks && !p.Caller.Can(access.AccessLogRead) || p.Caller.Visiting() && show != trailChanges {
			continue
		}
		key := show
		if show == trailAll {
			key = "alt"
		}
		views = append(views, view{Key: key, Path: edge.Query(p.Path("revisjonsspor"), "vis", show), Current: show == p.Show})
	}
	return views
}

// OlderPath is the address of the next page.
func (p trailPage) OlderPath() string {
	return edge.Query(p.Path("revisjonsspor"), "vis", p.Show, "eldre", p.Older)
}

func (s *Server) clientTrail(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := trailPage{Show: q.Get("vis"), Begun: q.Get("eldre") != ""}
	return s.showClient(w, r, http.StatusOK, "client-trail", &page, "trail", func(ctx context.Context, tx *pg.Tx) error { return page.load(ctx, tx, q.Get("eldre")) })
}

func (p *trailPage) load(ctx context.Context, tx *pg.Tx, older string) error {
	staff, err := account.Staff(ctx, tx)
	if err != nil {
		return err
	}
	if p.Caller.Visiting() { // what was changed, and nothing of who did what else or who looked
		p.Show = trailChanges
		return p.loadChanges(ctx, tx, staff, older)
	}
	switch p.Show {
	case trailChanges:
		return p.loadChanges(ctx, tx, staff, older)
	case trailActs:
		return p.loadActs(ctx, tx, staff, older)
	case trailLooks:
		return p.loadLooks(ctx, tx, staff, older)
	}
	p.Show = trailAll
	if err := p.loadChanges(ctx, tx, staff, ""); err != nil {
		return err
	}
	changes := len(p.Lines)
	if err := p.loadActs(ctx, tx, staff, ""); err != nil {
		return err
	}
	// What stands with its values among the changes is not repeated as an act without them.
	told := p.Lines[:changes]
	p.Lines = slices.DeleteFunc(p.Lines, func(l trailLine) bool {
		return l.Key == "act" && !l.Refused && slices.ContainsFunc(told, func(c trailLine) bool { return c.Key == "change" && c.At.Equal(l.At) && c.account == l.account })
	})
	if p.Caller.Can(access.AccessLogRead) {
		if err := p.loadLooks(ctx, tx, staff, ""); err != nil {
			return err
		}
	}
	newestFirst(p.Lines, func(l trailLine) time.Time { return l.At })
	if len(p.Lines) > trailPerPage {
		p.Lines = p.Lines[:trailPerPage]
	}
	p.Older = ""
	return nil
}

func (p *trailPage) loadChanges(ctx context.Context, tx *pg.Tx, staff map[int64]account.StaffMember, older string) error {
	before, err := client.ParseEventCursor(older)
	if err != nil {
		return err
	}
	changes, err := client.ChangeLog(ctx, tx, p.Client.ID, before, trailPerPage+1)
	if err != nil {
		return err
	}
	if len(changes) > trailPerPage {
		changes = changes[:trailPerPage]
		p.Older = changes[trailPerPage-1].Cursor().String()
	}
	for _, c := range changes {
		p.Lines = append(p.Lines, trailLine{
			At: c.At, Who: nameOf(p.Page, staff, c.AccountID), Role: roleOf(staff, c.AccountID), Key: "change", Words: p.Text.Field(c.Field), Field: c.Field,
			From: c.From, To: c.To, Hidden: c.Hidden, account: c.AccountID,
		})
	}
	return nil
}

func (p *trailPage) loadActs(ctx context.Context, tx *pg.Tx, staff map[int64]account.StaffMember, older string) error {
	before, _ := strconv.ParseInt(older, 10, 64)
	entries, err := audit.Trail(ctx, tx, p.Client.ID.String(), before, trailPerPage+1)
	if err != nil {
		return err
	}
	if len(entries) > trailPerPage {
		entries = entries[:trailPerPage]
		p.Older = strconv.FormatInt(entries[trailPerPage-1].ID, 10)
	}
	for _, e := range entries {
		p.Lines = append(p.Lines, trailLine{At: e.At, Who: nameOf(p.Page, staff, e.Account), Role: e.Role, Key: "act", Words: words(p.Page, "act.", e.Act), Refused: e.Refused, account: e.Account})
	}
	return nil
}

func (p *trailPage) loadLooks(ctx context.Context, tx *pg.Tx, staff map[int64]account.StaffMember, older string) error {
	before, _ := strconv.ParseInt(older, 10, 64)
	looks, err := audit.Looks(ctx, tx, p.Client.ID, before, trailPerPage+1)
	if err != nil {
		return err
	}
	if len(looks) > trailPerPage {
		looks = looks[:trailPerPage]
		p.Older = strconv.FormatInt(looks[trailPerPage-1].ID, 10)
	}
	for _, l := range looks {
		p.Lines = append(p.Lines, trailLine{At: l.At, Who: nameOf(p.Page, staff, l.Account), Role: l.Role, Key: "look", Words: p.Say("client.trail.looked", "page", words(p.Page, "look.", l.Page)), account: l.Account})
	}
	return nil
}

// words is the sentence for a code, or the code where nobody has written one.
func words(p edge.Page, prefix, code string) string {
	return p.Text.Word(prefix, code)
}

func roleOf(staff map[int64]account.StaffMember, id int64) string {
	if member, ok := staff[id]; ok && len(member.Roles) > 0 {
		return string(member.Roles[0])
	}
	return ""
}

// Value shows a value of the client's history as people read it: codes in words, days as dd.mm.yy.
func (p trailPage) Value(field string, value *string) string {
	if value == nil {
		return "–"
	}
	v := *value
	switch field {
	case "status":
		return p.Say("client.status." + v)
	case "end_reason":
		return p.Say("client.end_reason." + v)
	case "gender":
		return p.Say("client.gender." + v)
	case "protected":
		return p.Say("client.yes")
	case "duplicate_confirmed", "agreement_end":
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return p.Date(at).Short()
		}
	}
	if day, err := calendar.Parse(v); err == nil && len(v) == 10 {
		if field == "birth_date" {
			return day.Long()
		}
		return day.Short()
	}
	return v
}

func newestFirst[T any](list []T, at func(T) time.Time) {
	slices.SortStableFunc(list, func(a, b T) int { return at(b).Compare(at(a)) })
}
