package exchange

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/fhir"
	"github.com/frist-app/frist/internal/pg"
)

// Forms of an exported log.
const (
	LogCSV  = "csv"
	LogFHIR = "fhir"
)

// LogForms are both.
var LogForms = []string{LogCSV, LogFHIR}

// LogText is how an exported log speaks, and whose it is.
type LogText struct {
	Municipality string // its number
	Zone         *time.Location
	Word         func(prefix, code string) string // what a code means; the code itself where nobody has said
	Field        func(name string) string
}

// WriteLog writes an export, row by row as they come from the database: CSV with semicolons for a spreadsheet, or a bundle
// of AuditEvent (FHIR R4). It holds ids of clients and no name of one. After an error what was written is not whole, and the
// caller breaks the connection off so that nobody takes it for that.
func WriteLog(ctx context.Context, db *pg.DB, w io.Writer, e audit.Export, form string, text LogText) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var err error
	if form == LogFHIR {
		err = writeLogFHIR(ctx, db, out, e, text)
	} else {
		err = writeLogCSV(ctx, db, out, e, text)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

var logColumns = []string{"at", "log", "name", "staff_number", "role", "organisation", "what", "why", "clients", "shown", "subject", "subject_id", "fields", "detail", "refused"}

func writeLogCSV(ctx context.Context, db *pg.DB, w io.Writer, e audit.Export, text LogText) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil { // so that a spreadsheet reads æ, ø and å
		return err
	}
	out := csv.NewWriter(w)
	out.Comma, out.UseCRLF = ';', true
	record := make([]string, len(logColumns))
	for i, c := range logColumns {
		record[i] = cell(text.Word("log.column.", c))
	}
	if err := out.Write(record); err != nil {
		return err
	}
	err := e.Each(ctx, db, func(r audit.Row) error {
		ids := make([]string, len(r.Clients))
		for i, id := range r.Clients {
			ids[i] = id.String()
		}
		fields := make([]string, len(r.Fields))
		for i, f := range r.Fields {
			fields[i] = text.Field(f)
		}
		what, why, shown, subject := text.Word("act.", r.Act), "", "", text.Word("subject.", r.Subject)
		if r.Kind == audit.LooksAt {
			what, why, shown, subject = text.Word("look.", r.Page), text.Word("purpose.", r.Purpose), strconv.Itoa(r.Shown), ""
		}
		detail := ""
		if len(r.Detail) > 0 {
			raw, err := json.Marshal(r.Detail)
			if err != nil {
				return err
			}
			detail = string(raw)
		}
		refused := ""
		if r.Refused {
			refused = text.Word("log.", "refused")
		}
		for i, v := range []string{
			r.At.In(text.Zone).Format(time.RFC3339), text.Word("log.kind.", string(r.Kind)), r.Name, r.StaffNumber, text.Word("role.", r.Role), text.Word("organisation.", r.Organisation),
			what, why, strings.Join(ids, " "), shown, subject, r.SubjectID, strings.Join(fields, ", "), detail, refused,
		} {
			record[i] = cell(v)
		}
		return out.Write(record)
	})
	out.Flush()
	if err != nil {
		return err
	}
	return out.Error()
}

// cell keeps a spreadsheet from taking a text for a formula (ASVS 1.2.10).
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n\x00", rune(s[0])) {
		return "'" + s
	}
	return s
}

func writeLogFHIR(ctx context.Context, db *pg.DB, w io.Writer, e audit.Export, text LogText) error {
	bundle := fhir.NewBundleWriter(w, e.At.In(text.Zone))
	err := e.Each(ctx, db, func(r audit.Row) error {
		event := AuditEvent(r, text)
		return bundle.Add(fhir.Entry{FullURL: "urn:frist:" + event.ID, Resource: event})
	})
	if err != nil {
		return err
	}
	return bundle.Close()
}

// AuditEvent is a row of either log as FHIR says it.
func AuditEvent(r audit.Row, text LogText) fhir.AuditEvent {
	event := fhir.AuditEvent{
		ResourceType: "AuditEvent", ID: string(r.Kind) + "-" + strconv.FormatInt(r.ID, 10), Type: fhir.ApplicationActivity, Action: "E", Outcome: fhir.Done,
		Recorded: fhir.Instant(r.At.In(text.Zone)), Source: fhir.FristSource(),
	}
	coding := func(system, prefix, code string) fhir.Coding {
		return fhir.Coding{System: fhir.LocalSystem + system, Code: code, Display: text.Word(prefix, code)}
	}
	agent := fhir.AuditAgent{
		Role: []fhir.CodeableConcept{{Coding: []fhir.Coding{coding("role", "role.", r.Role)}}}, Who: fhir.Reference{Type: "Practitioner", Display: r.Name}, AltID: r.StaffNumber, Requestor: true,
	}
	switch {
	case r.StaffNumber == "": // somebody at the door whom nobody knows
		agent.Who.Display = text.Word("organisation.", "unknown")
	case r.Account == 0:
		agent.Who = fhir.Reference{Type: "Device", Display: "Frist"}
	default:
		agent.Who.Identifier = &fhir.Identifier{System: fhir.LocalSystem + "staff-number", Value: r.StaffNumber}
	}
	organisation := fhir.AuditAgent{Who: fhir.Reference{Type: "Organization", Display: text.Word("organisation.", r.Organisation)}}
	if r.Organisation == "municipality" {
		organisation.Who.Identifier = &fhir.Identifier{System: fhir.MunicipalitySystem, Value: text.Municipality}
	}
	event.Agent = []fhir.AuditAgent{agent, organisation}
	if r.Refused {
		event.Outcome = fhir.Refused
	}
	if r.Kind == audit.LooksAt {
		event.Type, event.Action = fhir.PatientRecord, "R"
		event.Subtype = []fhir.Coding{coding("page", "look.", r.Page)}
		event.PurposeOfEvent = []fhir.CodeableConcept{{Coding: []fhir.Coding{coding("purpose", "purpose.", r.Purpose)}}}
		for _, id := range r.Clients {
			event.Entity = append(event.Entity, fhir.PatientEntity(id.String()))
		}
		return event
	}
	event.Subtype = []fhir.Coding{coding("act", "act.", r.Act)}
	switch r.Act {
	case "signed_in", "signed_out", "sign_in_failed", "key_refused", "sessions_ended":
		event.Type = fhir.UserAuthentication
	case "log_exported":
		event.Type = fhir.ExportEvent
	}
	entity := fhir.AuditEntity{What: &fhir.Reference{Identifier: &fhir.Identifier{System: fhir.LocalSystem + r.Subject, Value: r.SubjectID}}}
	if r.Subject == "client" {
		event.Type = fhir.PatientRecord
		entity = fhir.PatientEntity(r.SubjectID)
	}
	if r.SubjectID == "" {
		entity.What = &fhir.Reference{Display: text.Word("subject.", r.Subject)}
	}
	for _, f := range r.Fields {
		entity.Detail = append(entity.Detail, fhir.AuditDetail{Type: "field", ValueString: f})
	}
	event.Entity = []fhir.AuditEntity{entity}
	return event
}
