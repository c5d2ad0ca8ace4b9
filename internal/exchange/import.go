package exchange

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Options of an import.
type Options struct {
	Key    []byte // what registrations are hashed with (D22); lies outside the database and must not be empty
	DryRun bool   // do everything, then undo it: the report tells what would happen
}

// Report is what became of a file. Rows = Taken + Changed + Unchanged + Refused.
type Report struct {
	ID        uuid.UUID // of the run; zero for a dry run, which leaves none
	Format    string
	Rows      int // that are not blank
	Taken     int // new clients
	Changed   int // known ones that differed
	Unchanged int
	Refused   int
	Flags     int       // remarks on rows that were not refused
	Refusals  []Refusal // the first ReportRefusals, flags among them, by row; Refusals gives all of a run
}

// ReportRefusals is how many refusals and flags a Report brings along.
const ReportRefusals = 200

var errDryRun = errors.New("exchange: a dry run is undone")

// Import brings the table's clients in, all right rows in one transaction: a killed import leaves nothing. Wrong rows are
// listed by number, field and code. A client is known by its number or, in a row without one, by its national id; what the
// file tells of a known client's name, person, telephone and address replaces what was there, an empty cell tells nothing,
// and its status stays (flag status_differs). New inactive clients are assessed and placed in the same transaction (D10).
// The same file again changes nothing.
//
// Codes of refused rows: row (bad_quotes, too_many_cells), number (required, bad_number, duplicate_in_file, purged_before: D22,
// none_left), name (required), national_id (national_id_length, national_id_check_digits, national_id_date, duplicate_in_file,
// purged_before, other_person, person_exists: D21), birth_date (bad_date, no_such_date, future, birth_date_mismatch), gender,
// status (unknown), status_date (bad_date, no_such_date, future: D3), agreement_end (bad_date, no_such_date), postcode
// (bad_postcode), email (bad_email), any (control_characters, too_long, cell_error).
// Codes of flags: name (one_name), postcode (unknown_postcode, address_left_out), town (town_mismatch), status (status_assumed,
// status_differs), status_date (status_date_differs, status_unknown), agreement_end (not_inactive, future), group (group_too_early,
// group_computed), phone, email, street (shielded: of a protected client they stay as they are).
//
// In a pseudonymous municipality only number, pseudonym (from the column of the name), status, dates and group are read, and a
// row whose name is no pseudonym is refused (name: bad_pseudonym); a number is required (T10).
//
// Needs ImportRun. Errors: problem.Invalid of "mapping" (Mapping.Check) or "file" (Read), problem.Conflict "import_running"
// when another import of the municipality is under way, "busy" when somebody holds a client for too long.
func Import(ctx context.Context, db *pg.DB, caller access.Caller, table Table, mapping Mapping, options Options) (Report, error) {
	if err := mapping.Check(len(table.Header)); err != nil {
		return Report{}, err
	}
	if len(options.Key) == 0 {
		return Report{}, errors.New("exchange: no key to know purged registrations by")
	}
	var report Report
	err := db.InTx(ctx, caller, func(tx *pg.Tx) (err error) {
		report, err = run(ctx, tx, table, mapping, options)
		if err == nil && options.DryRun {
			report.ID = uuid.Nil
			err = errDryRun
		}
		return err
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return Report{}, err
	}
	return report, nil
}

func run(ctx context.Context, tx *pg.Tx, table Table, mapping Mapping, options Options) (Report, error) {
	if err := tx.Require(access.ImportRun); err != nil {
		return Report{}, err
	}
	zone, err := municipality.Zone(ctx, tx)
	if err != nil {
		return Report{}, err
	}
	rules, err := retention.LoadRules(ctx, tx)
	if err != nil {
		return Report{}, err
	}
	pseudonymous, err := municipality.Pseudonymous(ctx, tx)
	if err != nil {
		return Report{}, err
	}
	if pseudonymous {
		if mapping, err = mapping.pseudonymous(len(table.Header)); err != nil {
			return Report{}, err
		}
	}
	s := staging{tx: tx, run: uuid.New(), zone: zone.String()}
	if err := s.open(ctx); err != nil {
		return Report{}, err
	}
	source := &source{
		ctx: ctx, parser: newParser(table, mapping, zone, tx.Now(), pseudonymous), municipality: tx.Municipality(), key: options.Key,
		seen: map[string]bool{},
	}
	if err := source.copy(ctx, tx, table.Rows); err != nil {
		return Report{}, err
	}
	report := Report{ID: s.run, Format: table.Format, Rows: source.rows}
	if err := s.write(ctx, &report, source.numberless); err != nil {
		return Report{}, err
	}
	today := calendar.DateOf(tx.Now().In(zone))
	if err := s.report(ctx, &report, rules[retention.ImportReport].KeepUntil(today)); err != nil {
		return Report{}, err
	}
	audit.Write(tx, access.ImportRun, audit.Record{Act: "clients_imported", Subject: "import", SubjectID: s.run.String(), Detail: map[string]any{
		"rows": report.Rows, "taken": report.Taken, "changed": report.Changed, "unchanged": report.Unchanged, "refused": report.Refused,
	}})
	return report, nil
}

// source gives COPY the rows that are right, and keeps what is to be said of the others.
type source struct {
	ctx          context.Context
	parser       *parser
	municipality int
	key          []byte
	seen         map[string]bool // registrations of this file, as they are known
	notes        []Refusal
	rows         int
	numberless   bool
	next         func() (Row, error, bool)
	current      record
	err          error
}

var (
	columns = []string{
		"row", "id", "number", "given_name", "family_name", "name_guessed", "national_id", "birth_date", "gender", "phone", "email",
		"street", "postcode", "town", "status", "status_at", "agreement_end", "group_named", "group_on", "key_hash", "search",
	}
	noteColumns = []string{"row", "field", "code", "flag"}
)

func (s *source) copy(ctx context.Context, tx *pg.Tx, rows iter.Seq2[Row, error]) error {
	next, stop := iter.Pull2(rows)
	defer stop()
	s.next = next
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "import_row"}, columns, s); err != nil {
		if s.err != nil {
			return s.err // what the database says of it is that we gave up
		}
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "import_note"}, noteColumns, pgx.CopyFromSlice(len(s.notes), func(i int) ([]any, error) {
		n := s.notes[i]
		return []any{n.Row, n.Field, n.Code, n.Flag}, nil
	}))
	return err
}

// Next parses on to the next right row.
func (s *source) Next() bool {
	for {
		if s.err = s.ctx.Err(); s.err != nil {
			return false
		}
		row, err, more := s.next()
		if !more {
			return false
		}
		if err != nil {
			s.err = err
			return false
		}
		s.rows++
		r, notes, ok := s.parser.parse(row)
		if ok {
			field, known := Number, "number "+r.number
			if r.number == "" {
				field, known = NationalID, "person "+r.nationalID+" "+r.startDay(s.parser.zone).String()
				s.numberless = true
			}
			if s.seen[known] {
				ok, notes = false, []Refusal{{row.Number, string(field), "duplicate_in_file", false}}
			}
			s.seen[known] = true
		}
		for _, n := range notes {
			if ok || !n.Flag {
				s.notes = append(s.notes, n)
			}
		}
		if ok {
			s.current = r
			return true
		}
	}
}

// Values is the current row for COPY, in the order of columns.
func (s *source) Values() ([]any, error) {
	r := s.current
	hash := deletion.RegistrationHash(s.key, s.municipality, r.number, r.nationalID, r.startDay(s.parser.zone))
	return []any{
		int32(r.row), r.id, told(r.number), r.given, r.family, r.nameGuessed, told(r.nationalID), day(r.birth), told(r.gender), told(r.phone), told(r.email),
		told(r.street), told(r.postcode), told(r.town), told(string(r.status)), instant(r.statusAt), instant(r.agreementEnd), r.groupNamed, day(r.groupOn), hash, searchText(r),
	}, nil
}

// Err is why there are no more rows.
func (s *source) Err() error { return s.err }

func told(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func day(d calendar.Date) any {
	if d.IsZero() {
		return nil
	}
	return d.UTC()
}

func instant(t *time.Time) any {
	if t == nil {
		return nil
	}
	return *t
}

// Run is one import that was done.
type Run struct {
	ID         uuid.UUID
	StartedBy  int64
	StartedAt  time.Time
	FinishedAt *time.Time
	Format     string
	Rows       int
	Taken      int
	Changed    int
	Unchanged  int
	Refused    int
	ExpiresOn  calendar.Date // when the report goes (D4)
}

const runColumns = `id, started_by, started_at, finished_at, format, rows, taken, changed, unchanged, refused, expires_on`

// Runs lists the imports whose reports are still kept, newest first. Needs ImportRun.
func Runs(ctx context.Context, tx *pg.Tx) ([]Run, error) {
	if err := tx.Require(access.ImportRun); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT `+runColumns+` FROM import_run WHERE municipality_id = $1 ORDER BY started_at DESC, id`, tx.Municipality())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Run])
}

// FindRun gives one import; problem.NotFound when there is none, or when its report has gone. Needs ImportRun.
func FindRun(ctx context.Context, tx *pg.Tx, id uuid.UUID) (Run, error) {
	if err := tx.Require(access.ImportRun); err != nil {
		return Run{}, err
	}
	rows, err := tx.Query(ctx, `SELECT `+runColumns+` FROM import_run WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id)
	if err != nil {
		return Run{}, err
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Run])
	if errors.Is(err, pgx.ErrNoRows) {
		return Run{}, problem.NotFound{What: "import"}
	}
	return r, err
}

// Refusals lists what was refused and flagged in an import, by row: the rows after row number after (0: from the first),
// limit of them or a few more, because a row's remarks stay together. None for an import that there is not. Needs
// ImportRun.
func Refusals(ctx context.Context, tx *pg.Tx, importID uuid.UUID, after, limit int) ([]Refusal, error) {
	if err := tx.Require(access.ImportRun); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT row, field, code, flag FROM (
			SELECT row, field, code, flag FROM import_refusal WHERE municipality_id = $1 AND import_id = $2 AND row > $3
			ORDER BY row FETCH FIRST $4 ROWS WITH TIES) page
		ORDER BY row, flag, field, code`, tx.Municipality(), importID, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[Refusal])
}
