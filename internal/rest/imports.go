package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
)

// ImportClients brings in a file.
func (s *Server) ImportClients(ctx context.Context, r ImportClientsRequestObject) (ImportClientsResponseObject, error) {
	table, columns, err := upload(r.Body)
	if err != nil {
		return nil, err
	}
	mapping := exchange.Guess(table.Header)
	if err := mapping.Choose(table.Header, columns); err != nil {
		return nil, err
	}
	dry := or(r.Params.DryRun, false)
	report, err := exchange.Import(ctx, s.DB, callerOf(ctx), table, mapping, exchange.Options{Key: s.Key, DryRun: dry})
	if err != nil {
		return nil, ofFile(err)
	}
	shown := ImportReport{
		DryRun: dry, Format: ImportReportFormat(report.Format), Rows: report.Rows, Taken: report.Taken, Changed: report.Changed, Unchanged: report.Unchanged,
		Refused: report.Refused, Flags: report.Flags, Refusals: showRefusals(textOf(ctx), report.Refusals),
	}
	if report.ID != uuid.Nil {
		shown.Id = &report.ID
	}
	return ImportClients200JSONResponse(shown), nil
}

// upload reads the parts of the form: the file, and the columns that the caller names.
func upload(body *multipart.Reader) (table exchange.Table, columns map[string]string, err error) {
	read := false
	for {
		part, err := body.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return table, nil, uploadError(err)
		}
		switch name := part.FormName(); {
		case name == "file" && !read:
			read = true
			if table, err = exchange.Read(part, -1, ""); err != nil {
				return table, nil, uploadError(err)
			}
		case name == "mapping" && columns == nil:
			raw, err := io.ReadAll(io.LimitReader(part, 64<<10))
			if err != nil {
				return table, nil, uploadError(err)
			}
			if json.Unmarshal(raw, &columns) != nil || columns == nil {
				return table, nil, badRequest(problem.Field{Name: "mapping", Code: "unreadable_json"})
			}
		default:
			return table, nil, badRequest(problem.Field{Name: "body", Code: "unknown_field"})
		}
	}
	if !read {
		return table, nil, badRequest(problem.Field{Name: "file", Code: "required"})
	}
	return table, columns, nil
}

// ofFile says what is wrong with a file in the file's own sentences; its codes stay what they are.
func ofFile(err error) error {
	if !errors.As(err, new(problem.Invalid)) {
		return err
	}
	return refusal{status: http.StatusUnprocessableEntity, err: exchange.OfFile(err)}
}

// uploadError keeps what the domain and the limits say; anything else is a body that breaks off.
func uploadError(err error) error {
	if problem.Public(err) || errors.As(err, new(*http.MaxBytesError)) {
		return ofFile(err)
	}
	return badRequest(problem.Field{Name: "body", Code: "unreadable_form"})
}

// showRefusals says each one in words too.
func showRefusals(text edge.Text, refusals []exchange.Refusal) []RowRefusal {
	fields := list(refusals, func(r exchange.Refusal) problem.Field { return problem.Field{Name: r.Field, Code: r.Code} })
	words := text.Answer(problem.Invalid{Fields: fields}).Fields
	shown := make([]RowRefusal, len(refusals))
	for i, r := range refusals {
		shown[i] = RowRefusal{Row: r.Row, Field: r.Field, Code: r.Code, Message: words[i].Message, Flag: r.Flag}
	}
	return shown
}

// ListImports shows the imports whose reports are kept.
func (s *Server) ListImports(ctx context.Context, _ ListImportsRequestObject) (ListImportsResponseObject, error) {
	var runs []exchange.Run
	err := s.in(ctx, func(tx *pg.Tx) (err error) {
		runs, err = exchange.Runs(ctx, tx)
		return err
	})
	return ListImports200JSONResponse{Imports: list(runs, showRun)}, err
}

func showRun(r exchange.Run) Import {
	return Import{
		Id: r.ID, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt, Format: ImportFormat(r.Format), Rows: r.Rows, Taken: r.Taken, Changed: r.Changed,
		Unchanged: r.Unchanged, Refused: r.Refused, ReportUntil: date(r.ExpiresOn),
	}
}

// ReadImport shows one import with its refusals.
func (s *Server) ReadImport(ctx context.Context, r ReadImportRequestObject) (ReadImportResponseObject, error) {
	limit := or(r.Params.Limit, 50)
	var shown ImportWithRefusals
	err := s.in(ctx, func(tx *pg.Tx) error {
		run, err := exchange.FindRun(ctx, tx, r.Import)
		if err != nil {
			return err
		}
		refusals, err := exchange.Refusals(ctx, tx, r.Import, or(r.Params.After, 0), limit)
		if err != nil {
			return err
		}
		shown = ImportWithRefusals{Import: showRun(run), Refusals: showRefusals(textOf(ctx), refusals)}
		if len(refusals) >= limit {
			shown.Next = &refusals[len(refusals)-1].Row
		}
		return nil
	})
	return ReadImport200JSONResponse(shown), err
}
