package exchange

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/fhir/fhirtest"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/google/uuid"
)

var plainText = LogText{
	Municipality: "3218", Zone: time.UTC, Word: func(prefix, code string) string { return "=" + prefix + code }, Field: func(name string) string { return name },
}

func begin(t *testing.T, w *pgtest.World, q audit.Query) (e audit.Export) {
	t.Helper()
	err := w.DB.InTx(t.Context(), w.As(access.PrivacyOfficer, w.A), func(tx *pg.Tx) (err error) {
		e, err = audit.BeginExport(t.Context(), tx, q, "csv")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestALogAsAFile(t *testing.T) {
	w := pgtest.NewWorld(t)
	one, two := uuid.New(), uuid.New()
	w.Exec(t, `UPDATE account SET name = '@SUM(1)' WHERE id = $1`, w.As(access.Caseworker, w.A).Account)
	for m := w.A; m <= w.B; m++ {
		w.Exec(t, `INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids) VALUES ($1, $2, $3, 'caseworker', 'clients', 'list', $4), ($1, $2, 901, 'support', 'client', 'record', $5)`,
			m, w.Now().Add(-time.Hour), w.As(access.Caseworker, m).Account, []uuid.UUID{one, two}, []uuid.UUID{two})
		w.Exec(t, `INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id, fields, detail, refused) VALUES
			($1, $2, $3, 'caseworker', 'changed', 'client', $4, '{phone}', '{"count": 1}', false), ($1, $2, 902, 'operator', 'refused', 'round', '3218-231001', '{}', '{"code": "two_acts"}', true),
			($1, $2, 0, 'nobody', 'sign_in_failed', 'account', '', '{}', '{}', true), ($1, $2, 0, 'system', 'round.proposed', 'round', '3218-231001', '{}', '{}', false)`,
			m, w.Now().Add(-time.Hour), w.As(access.Caseworker, m).Account, one.String())
	}
	e := begin(t, w, audit.Query{})
	if e.Count != 6 {
		t.Errorf("%d rows are counted", e.Count)
	}
	if n := w.Count(t, `SELECT count(*) FROM audit WHERE act = 'log_exported' AND detail = '{"count": 6, "format": "csv"}' AND municipality_id = $1`, w.A); n != 1 {
		t.Error("the export is not on record")
	}
	var file bytes.Buffer
	if err := WriteLog(t.Context(), w.DB, &file, e, LogCSV, plainText); err != nil {
		t.Fatal(err)
	}
	text, marked := strings.CutPrefix(file.String(), "\ufeff")
	r := csv.NewReader(strings.NewReader(text))
	r.Comma = ';'
	lines, err := r.ReadAll()
	if err != nil || len(lines) != 7 || !marked {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	for _, line := range lines {
		for _, cell := range line {
			if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r") {
				t.Errorf("a spreadsheet would calculate %q", cell)
			}
		}
	}
	for _, want := range []string{"'@SUM(1)", "S-00101", "S-00901", "S-00902", one.String() + " " + two.String(), "'=look.clients", "'=purpose.list", "'=organisation.processor", "3218-231001", "phone", "'=log.refused"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	file.Reset()
	if err := WriteLog(t.Context(), w.DB, &file, e, LogFHIR, plainText); err != nil {
		t.Fatal(err)
	}
	fhirtest.Valid(t, file.Bytes())
	events := fhirtest.Resources(t, file.Bytes())["AuditEvent"]
	if len(events) != 6 {
		t.Errorf("%d events", len(events))
	}
	for _, want := range []string{`"Patient/` + two.String() + `"`, `"value":"3218"`, `"outcome":"4"`, `"value":"S-00902"`, `"code":"two_acts"`} {
		if has := strings.Contains(file.String(), want); has == strings.Contains(want, "two_acts") { // what was refused is told, its detail is not a field of FHIR
			t.Errorf("%s: %t in\n%s", want, has, file.String())
		}
	}
}

// weighed throws away what is written and notices the most memory that was in use meanwhile.
type weighed struct {
	bytes int
	most  uint64
}

func (c *weighed) Write(p []byte) (int, error) {
	c.bytes += len(p)
	runtime.GC() // so that what is in use is what is held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.most = max(c.most, m.HeapAlloc)
	return len(p), nil
}

func TestALargeLogNeedsNoMoreMemory(t *testing.T) {
	w := pgtest.NewWorld(t)
	use := func(rows int, form string) (weighed, int) {
		w.EmptyLogs(t)
		w.Exec(t, `INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids)
			SELECT $1, $2::timestamptz - n * interval '1 second', 101, 'caseworker', 'client', 'record', ARRAY[gen_random_uuid()] FROM generate_series(1, $3::int) n`, w.A, w.Now(), rows)
		e := begin(t, w, audit.Query{})
		runtime.GC()
		var out weighed
		if err := WriteLog(t.Context(), w.DB, &out, e, form, plainText); err != nil {
			t.Fatal(err)
		}
		return out, e.Count
	}
	for _, form := range LogForms {
		small, _ := use(1000, form)
		large, n := use(12_000, form)
		if n != 12_000 || large.bytes < 10*small.bytes {
			t.Errorf("%s: %d rows, %d and %d bytes", form, n, small.bytes, large.bytes)
		}
		if large.most > small.most+4<<20 {
			t.Errorf("%s: %d rows hold %d kB, and 1000 %d kB", form, n, large.most>>10, small.most>>10)
		}
	}
}

type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestHalfALogIsAnError(t *testing.T) {
	w := pgtest.NewWorld(t)
	w.Exec(t, `INSERT INTO access_log (municipality_id, at, account_id, role, page, purpose, client_ids)
		SELECT $1, $2::timestamptz - n * interval '1 second', 101, 'caseworker', 'client', 'record', ARRAY[gen_random_uuid()] FROM generate_series(1, 3000) n`, w.A, w.Now())
	e := begin(t, w, audit.Query{})
	for _, form := range LogForms {
		if err := WriteLog(t.Context(), w.DB, &broken{100_000}, e, form, plainText); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s to a broken pipe: %v", form, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var out bytes.Buffer
		if err := WriteLog(ctx, w.DB, &out, e, form, plainText); err == nil || form == LogFHIR && json.Valid(out.Bytes()) {
			t.Errorf("%s of a reader who has gone: %v, %s", form, err, fmt.Sprint(out.Len()))
		}
	}
}
