package rest

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/google/uuid"
)

// logQuery is what listLog and exportLog ask for. Somebody whom nobody knows has no rows.
func logQuery(ctx context.Context, tx *pg.Tx, p ExportLogParams) (audit.Query, error) {
	q := audit.Query{
		Kind: audit.Kind(or(p.Kind, "")), Clients: or(p.Client, nil), Role: or(p.Role, ""), Organisation: string(or(p.Organisation, "")), Page: or(p.Page, ""), Purpose: or(p.Purpose, ""),
		Act: or(p.Act, ""), SubjectID: or(p.Subject, ""), Refused: or(p.Refused, false),
	}
	zone, err := municipality.Zone(ctx, tx)
	if err != nil {
		return q, err
	}
	if from := day(p.From); !from.IsZero() {
		q.From = from.In(zone)
	}
	if until := day(p.Until); !until.IsZero() {
		q.Until = until.AddDays(1).In(zone)
	}
	if p.Staff != nil {
		q.Accounts = []int64{-1}
		if strings.HasPrefix(strings.ToUpper(*p.Staff), "S-") { // a number: names stand in no address
			found, err := account.FindStaff(ctx, tx, *p.Staff)
			if err != nil {
				return q, err
			}
			q.Accounts = append(q.Accounts, found...)
		}
	}
	return q, nil
}

// ListLog shows rows of both logs.
func (s *Server) ListLog(ctx context.Context, r ListLogRequestObject) (ListLogResponseObject, error) {
	p, limit := r.Params, or(r.Params.Limit, 50)
	var page LogPage
	err := s.in(ctx, func(tx *pg.Tx) error {
		if err := tx.Require(access.AccessLogRead); err != nil {
			return err
		}
		after, err := audit.ParseCursor(or(p.After, ""))
		if err != nil {
			return err
		}
		q, err := logQuery(ctx, tx, ExportLogParams{
			Kind: p.Kind, Client: p.Client, Staff: p.Staff, Role: p.Role, Organisation: p.Organisation, Page: p.Page, Purpose: p.Purpose, Act: p.Act, Subject: p.Subject,
			Refused: p.Refused, From: p.From, Until: p.Until,
		})
		if err != nil {
			return err
		}
		rows, err := audit.Search(ctx, tx, q, after, limit+1)
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows = rows[:limit]
			page.Next = set(rows[limit-1].Cursor().String())
		}
		page.Rows = list(rows, showLogRow)
		return nil
	})
	return ListLog200JSONResponse(page), err
}

func showLogRow(r audit.Row) LogRow {
	shown := LogRow{Kind: LogKind(r.Kind), Id: r.ID, At: r.At.UTC(), By: logBy(r.StaffNumber, r.Name, r.Role, r.Organisation), Refused: r.Refused}
	if r.Kind == audit.LooksAt {
		shown.Page, shown.Purpose, shown.Clients, shown.Shown = &r.Page, &r.Purpose, &r.Clients, &r.Shown
		return shown
	}
	shown.Act, shown.Subject, shown.SubjectId = &r.Act, &r.Subject, set(r.SubjectID)
	if len(r.Fields) > 0 {
		shown.Fields = &r.Fields
	}
	return shown
}

func logBy(number, name, role, organisation string) LogBy {
	return LogBy{StaffNumber: set(number), Name: set(name), Role: role, Organisation: Organisation(organisation)}
}

// logFile is an export under way: its rows are read while it is sent.
type logFile struct {
	s      *Server
	ctx    context.Context //nolint:containedctx // it answers this one request
	export audit.Export
	form   string
	text   exchange.LogText
}

// VisitExportLogResponse sends the file. What breaks off in the middle must not look whole.
func (f logFile) VisitExportLogResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", map[string]string{exchange.LogCSV: "text/csv", exchange.LogFHIR: "application/fhir+json"}[f.form])
	if err := exchange.WriteLog(f.ctx, f.s.DB, w, f.export, f.form, f.text); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// ExportLog hands out all rows that match.
func (s *Server) ExportLog(ctx context.Context, r ExportLogRequestObject) (ExportLogResponseObject, error) {
	text := textOf(ctx)
	file := logFile{s: s, ctx: ctx, form: string(r.Params.Format), text: exchange.LogText{Word: text.Word, Field: text.Field}}
	err := s.in(ctx, func(tx *pg.Tx) error {
		if err := tx.Require(access.AccessLogRead); err != nil {
			return err
		}
		q, err := logQuery(ctx, tx, r.Params)
		if err != nil {
			return err
		}
		m, err := municipality.Current(ctx, tx)
		if err != nil {
			return err
		}
		file.text.Municipality, file.text.Zone = m.Number, m.Zone
		file.export, err = audit.BeginExport(ctx, tx, q, file.form)
		return err
	})
	return file, err
}

// FindPersons shows whom a text may mean.
func (s *Server) FindPersons(ctx context.Context, r FindPersonsRequestObject) (FindPersonsResponseObject, error) {
	var shown Persons
	err := s.in(ctx, func(tx *pg.Tx) error {
		found, former, more, err := deletion.FindPersons(ctx, tx, s.Key, r.Body.Person)
		shown = Persons{More: more, Former: list(former, func(id uuid.UUID) uuid.UUID { return id }), Clients: list(found, func(p client.Person) FoundPerson {
			return FoundPerson{Id: p.ID, Number: p.Number, GivenName: p.GivenName, FamilyName: p.FamilyName, Status: ClientStatus(p.Status)}
		})}
		return err
	})
	return FindPersons200JSONResponse(shown), err
}

// ListLookers shows who looked at a client.
func (s *Server) ListLookers(ctx context.Context, r ListLookersRequestObject) (ListLookersResponseObject, error) {
	var found []audit.Looker
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		found, err = audit.Lookers(ctx, tx, []uuid.UUID{r.Client}, time.Time{}, time.Time{})
		return err
	})
	return ListLookers200JSONResponse{Lookers: list(found, func(l audit.Looker) Looker {
		return Looker{
			By: logBy(l.StaffNumber, l.Name, l.Role, l.Organisation), Opened: l.Opened, Listed: l.Listed, First: l.First.UTC(), Last: l.Last.UTC(), Pages: l.Pages, Purposes: l.Purposes,
		}
	})}, err
}

// ListFindings shows unusual access.
func (s *Server) ListFindings(ctx context.Context, r ListFindingsRequestObject) (ListFindingsResponseObject, error) {
	limit := or(r.Params.Limit, 50)
	var page Findings
	err := s.in(ctx, func(tx *pg.Tx) error {
		found, err := audit.Findings(ctx, tx, or(r.Params.Assessed, false), or(r.Params.Before, 0), limit+1)
		if err != nil {
			return err
		}
		if len(found) > limit {
			found = found[:limit]
			page.Next = &found[limit-1].ID
		}
		page.Findings = list(found, showFinding)
		return nil
	})
	return ListFindings200JSONResponse(page), err
}

func showFinding(f audit.Finding) AccessFinding {
	shown := AccessFinding{
		Id: f.ID, Kind: AccessFindingKind(f.Kind), By: logBy(f.StaffNumber, f.Name, f.Role, f.Organisation()), Day: date(f.OnDay), Count: f.Count, Usual: f.Usual,
		First: f.FirstAt.UTC(), Last: f.LastAt.UTC(), Outcome: set(FindingOutcome(f.Outcome)), AssessedAt: f.AssessedAt,
	}
	if f.Hour >= 0 {
		shown.Hour = &f.Hour
	}
	if len(f.Clients) > 0 {
		shown.Client = &f.Clients[0]
	}
	return shown
}

// AssessFinding notes what became of a finding.
func (s *Server) AssessFinding(ctx context.Context, r AssessFindingRequestObject) (AssessFindingResponseObject, error) {
	err := s.in(ctx, func(tx *pg.Tx) error { return audit.Assess(ctx, tx, r.Finding, string(r.Body.Outcome)) })
	return AssessFinding204Response{}, err
}
