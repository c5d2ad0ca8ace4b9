package rest

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
)

// ListClients gives one page of the list.
func (s *Server) ListClients(ctx context.Context, r ListClientsRequestObject) (ListClientsResponseObject, error) {
	at, err := client.ParseCursor(or(r.Params.Cursor, ""))
	if err != nil {
		return nil, err
	}
	var page client.Page
	err = s.in(ctx, func(tx *pg.Tx) error {
		filter, err := filterOf(ctx, tx, r.Params)
		if err != nil {
			return err
		}
		page, err = client.List(ctx, tx, filter, at, or(r.Params.Limit, 50))
		if err == nil && page.Anew { // a program would take the first page for the next, and begin again without end
			return problem.NotFound{What: "page"}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	shown := ClientPage{Clients: list(page.Rows, showRow)}
	if page.HasNext {
		shown.Next = set(page.Next.String())
	}
	if page.HasPrev {
		shown.Previous = set(page.Prev.String())
	}
	return ListClients200JSONResponse(shown), nil
}

func filterOf(ctx context.Context, tx *pg.Tx, p ListClientsParams) (client.Filter, error) {
	f := client.Filter{Unplaced: or(p.Unplaced, false), Search: p.Search, Postcode: or(p.Postcode, ""), ReviewBy: day(p.ReviewBy)}
	for _, status := range or(p.Status, nil) {
		f.Statuses = append(f.Statuses, client.Status(status))
	}
	for _, number := range or(p.Group, nil) {
		_, round, err := deletion.Locate(ctx, tx, number)
		if err != nil {
			return f, err
		}
		f.Groups = append(f.Groups, round)
	}
	if p.PeriodOf != nil {
		f.Period = client.Period{Of: string(*p.PeriodOf), From: day(p.PeriodFrom), To: day(p.PeriodTo)}
	}
	return f, nil
}

func showRow(r client.Row) ClientRow {
	return ClientRow{
		Id: r.ID, Number: r.Number, GivenName: r.GivenName, FamilyName: r.FamilyName, Address: showAddress(client.Address{Street: r.Street, Postcode: r.Postcode, Town: r.Town}),
		Phone: set(r.Phone), BirthDate: setDate(r.BirthDate), Gender: Gender(r.Gender), Status: ClientStatus(r.Status), StatusSince: r.StatusSince, Protected: r.Protected,
	}
}

func showAddress(a client.Address) *Address {
	if a.IsZero() {
		return nil
	}
	return &Address{Street: a.Street, Postcode: a.Postcode, Town: a.Town}
}

// SaveSearch keeps what to look for.
func (s *Server) SaveSearch(ctx context.Context, r SaveSearchRequestObject) (SaveSearchResponseObject, error) {
	var kept Created
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		kept.Id, err = client.SaveSearch(ctx, tx, r.Body.Text)
		return err
	})
	return SaveSearch201JSONResponse(kept), err
}

// CreateClient registers a client.
func (s *Server) CreateClient(ctx context.Context, r CreateClientRequestObject) (CreateClientResponseObject, error) {
	b := r.Body
	var made Created
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		made, err = once(ctx, tx, access.ClientWrite, r.Params.IdempotencyKey, "createClient", b, http.StatusCreated, func() (Created, error) {
			n := client.New{
				Number: or(b.Number, ""), GivenName: b.GivenName, FamilyName: b.FamilyName, NationalID: or(b.NationalId, ""), BirthDate: day(b.BirthDate),
				Gender: string(or(b.Gender, "")), Phone: or(b.Phone, ""), Email: or(b.Email, ""), Protected: or(b.Protected, false),
				Status: client.Status(b.Status), AgreementStart: day(b.AgreementStart), NextReviewOn: day(b.NextReviewOn),
			}
			if b.StatusAt != nil {
				n.StatusAt = *b.StatusAt
			}
			if a := newAddress(b.Address); a != nil {
				n.Address = *a
			}
			id, err := client.Create(ctx, tx, n)
			return Created{Id: id}, err
		})
		return err
	})
	return CreateClient201JSONResponse{Body: made, Headers: CreateClient201ResponseHeaders{Location: "/api/v1/clients/" + made.Id.String()}}, err
}

func newAddress(a *NewAddress) *client.Address {
	if a == nil {
		return nil
	}
	return &client.Address{Street: or(a.Street, ""), Postcode: or(a.Postcode, ""), Town: or(a.Town, "")}
}

// ReadClient shows one record.
func (s *Server) ReadClient(ctx context.Context, r ReadClientRequestObject) (ReadClientResponseObject, error) {
	var c client.Client
	var history []client.StatusEntry
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		if c, err = client.Find(ctx, tx, r.Client); err != nil {
			return err
		}
		history, err = client.History(ctx, tx, r.Client)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ReadClient200JSONResponse{Body: showClient(c, history), Headers: ReadClient200ResponseHeaders{ETag: etag(c.Version)}}, nil
}

func etag(version int) string { return `"` + strconv.Itoa(version) + `"` }

func showClient(c client.Client, history []client.StatusEntry) Client {
	return Client{
		Id: c.ID, Number: c.Number, GivenName: c.GivenName, FamilyName: c.FamilyName, NationalId: set(c.NationalID), BirthDate: setDate(c.BirthDate),
		Gender: Gender(c.Gender), Phone: set(c.Phone), Email: set(c.Email), AddressId: c.AddressID, Address: showAddress(c.Address), Protected: c.Protected, Hidden: c.Hidden, AddressHidden: c.HomeHidden,
		Status: ClientStatus(c.Status), StatusSince: c.StatusSince, AgreementStart: setDate(c.AgreementStart), AgreementEnd: c.AgreementEnd,
		EndReason: set(EndReason(c.EndReason)), UnplacedReason: set(c.UnplacedReason), ReviewedOn: setDate(c.ReviewedOn), NextReviewOn: setDate(c.NextReviewOn),
		OldRegistrationConfirmedAt: c.DuplicateConfirmedAt, Version: c.Version, Created: stamp(c.CreatedAt, c.CreatedByName), Changed: stamp(c.ChangedAt, c.ChangedByName),
		History: list(history, func(e client.StatusEntry) StatusEntry {
			return StatusEntry{At: e.At, Status: ClientStatus(e.Status), Reason: set(EndReason(e.Reason)), Entered: stamp(e.EnteredAt, e.EnteredByName)}
		}),
	}
}

// matched is the version that an If-Match names.
func matched(header string) (int, error) {
	version, err := strconv.Atoi(strings.Trim(header, `"`))
	if err != nil {
		return 0, badRequest(problem.Field{Name: "If-Match", Code: "form"})
	}
	return version, nil
}

// orStale answers that somebody else was first as HTTP has it.
func orStale(err error) error {
	if isConflict(err, "stale") {
		return refusal{status: http.StatusPreconditionFailed, err: err}
	}
	return err
}

// ChangeClient changes fields of the record against the version that was read.
func (s *Server) ChangeClient(ctx context.Context, r ChangeClientRequestObject) (ChangeClientResponseObject, error) {
	version, err := matched(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	b := r.Body
	changes := client.Changes{
		GivenName: b.GivenName, FamilyName: b.FamilyName, NationalID: b.NationalId, BirthDate: days(b.BirthDate), Gender: (*string)(b.Gender), Phone: b.Phone,
		Email: b.Email, Address: newAddress(b.Address), Protected: b.Protected, AgreementStart: days(b.AgreementStart), ReviewedOn: days(b.ReviewedOn), NextReviewOn: days(b.NextReviewOn),
	}
	err = s.in(ctx, func(tx *pg.Tx) error {
		if err := client.Change(ctx, tx, r.Client, version, changes); err != nil {
			return err
		}
		now, err := client.Lock(ctx, tx, r.Client)
		version = now.Version
		return err
	})
	err = orStale(err)
	return ChangeClient204Response{Headers: ChangeClient204ResponseHeaders{ETag: etag(version)}}, err
}

// SetClientStatus disconnects, cancels or re-activates; with preview it tells what a disconnection would come to.
func (s *Server) SetClientStatus(ctx context.Context, r SetClientStatusRequestObject) (SetClientStatusResponseObject, error) {
	b := r.Body
	change := deletion.StatusChange{To: client.Status(b.Status), Reason: string(or(b.Reason, "")), AgreementEnd: b.AgreementEnd}
	if b.At != nil {
		change.At = *b.At
	}
	var shown Placement
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		var p deletion.Placement
		preview := or(r.Params.Preview, false)
		switch {
		case preview && !change.To.Inactive():
			return problem.InvalidField("status", "not_an_end", nil)
		case preview:
			p, err = deletion.PreviewDisconnect(ctx, tx, r.Client, change)
		case change.To.Inactive():
			p, err = deletion.Disconnect(ctx, tx, r.Client, change)
		default:
			if err = deletion.Reactivate(ctx, tx, r.Client, change); err == nil {
				p, err = deletion.PlacementOf(ctx, tx, r.Client)
			}
		}
		if err != nil {
			return err
		}
		c, err := client.FindTab(ctx, tx, r.Client, "status")
		if err != nil {
			return err
		}
		if preview { // as it would be
			if c.Status, c.StatusSince = change.To, change.At; change.At.IsZero() {
				c.StatusSince = tx.Now()
			}
		}
		shown, err = showPlacement(ctx, tx, c, p)
		return err
	})
	return SetClientStatus200JSONResponse(shown), err
}

// ReadClientGroup tells where the client lies, and why.
func (s *Server) ReadClientGroup(ctx context.Context, r ReadClientGroupRequestObject) (ReadClientGroupResponseObject, error) {
	var shown Placement
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		shown, err = placementOf(ctx, tx, r.Client)
		return err
	})
	return ReadClientGroup200JSONResponse(shown), err
}

// MoveClient puts a client into another open group.
func (s *Server) MoveClient(ctx context.Context, r MoveClientRequestObject) (MoveClientResponseObject, error) {
	var shown Placement
	err := s.in(ctx, func(tx *pg.Tx) error {
		round, err := groupOf(ctx, tx, r.Body.Group)
		if err != nil {
			return err
		}
		if err := deletion.Move(ctx, tx, r.Client, round, or(r.Body.Reason, "")); err != nil {
			return err
		}
		shown, err = placementOf(ctx, tx, r.Client)
		return err
	})
	return MoveClient200JSONResponse(shown), err
}

// placementOf shows where a client lies, and writes that somebody has looked.
func placementOf(ctx context.Context, tx *pg.Tx, id client.ID) (Placement, error) {
	p, err := deletion.PlacementOf(ctx, tx, id)
	if err != nil {
		return Placement{}, err
	}
	c, err := client.FindTab(ctx, tx, id, "group")
	if err != nil {
		return Placement{}, err
	}
	return showPlacement(ctx, tx, c, p)
}

// groupOf finds a group that a body names. One that is not there is a group with id 0, which the domain refuses as the
// field's error, after it has looked for what the address names.
func groupOf(ctx context.Context, tx *pg.Tx, number string) (int64, error) {
	_, round, err := deletion.Locate(ctx, tx, number)
	if isNotFound(err) {
		return 0, nil
	}
	return round, err
}

func showPlacement(ctx context.Context, tx *pg.Tx, c client.Client, p deletion.Placement) (Placement, error) {
	zone, err := municipality.Zone(ctx, tx)
	if err != nil {
		return Placement{}, err
	}
	text, a := textOf(ctx), p.Assessment
	shown := Placement{
		StartOn: setDate(a.StartOn), DueOn: setDate(a.DueOn), Unplaced: set(PlacementUnplaced(p.Unplaced)), ItemState: set(ItemState(p.ItemState)),
		PlacedHow: set(p.PlacedHow), MayGo: a.MayGo(), Blockers: showBlockers(text, a.Blockers), Explanation: explain(text, c.Status, calendar.DateOf(c.StatusSince.In(zone)), p),
		Classes: list(a.Classes, func(c retention.ClassDate) ClassDate {
			return ClassDate{
				Class: string(c.Class), RuleVersion: c.Rule.Version, Months: c.Rule.PeriodMonths, Days: set(c.Rule.PeriodDays), Authority: c.Rule.Authority,
				StartOn: date(c.StartOn), DueOn: date(c.DueOn), Decides: c.Class == a.Decides.Class,
			}
		}),
	}
	if p.Round != nil {
		group := showGroup(text, *p.Round)
		shown.Group = &group
	}
	if !p.PlacedAt.IsZero() {
		shown.PlacedAt, shown.Carried = &p.PlacedAt, &p.Carried
	}
	return shown, nil
}

// showBlockers says every reason in words too.
func showBlockers(text edge.Text, blockers []retention.Blocker) []Blocker {
	fields := list(blockers, func(b retention.Blocker) problem.Field { return problem.Field{Code: string(b.Code)} })
	words := text.Answer(problem.Blocked{Reasons: fields}).Fields
	shown := make([]Blocker, len(blockers))
	for i, b := range blockers {
		shown[i] = Blocker{Code: BlockerCode(b.Code), Message: words[i].Message, Class: set(string(b.Class)), Count: set(b.Count), Earliest: setDate(b.Earliest)}
	}
	return shown
}

// explain is the sum in the words of the page: "Frakoblet 14.03.23 + 6 måneder = 14.09.23 → slettes 01.10.23", without
// the end for who lies in no group.
func explain(text edge.Text, status client.Status, since calendar.Date, p deletion.Placement) *string {
	a := p.Assessment
	if a.DueOn.IsZero() {
		return nil
	}
	event := text.Say("client.status."+string(status), nil)
	if since != a.StartOn {
		event = text.Say("client.agreement_ended", nil)
	}
	sum := event + " " + a.StartOn.Short() + " + " + text.Period(a.Decides.Rule.PeriodMonths, a.Decides.Rule.PeriodDays, a.Decides.Rule.Inclusive) + " = " + a.DueOn.Short()
	if p.Round != nil {
		sum += " → " + text.Say("client.deleted", nil) + " " + p.Round.RunOn.Short()
	}
	return &sum
}

func showGroup(text edge.Text, r deletion.Round) Group {
	return Group{Number: r.Number, Name: groupName(text, r.RunOn), RunOn: date(r.RunOn), State: RoundState(r.State)}
}

func groupName(text edge.Text, runOn calendar.Date) string {
	return text.Say("api.group_name", problem.Params{"run": runOn})
}
