package exchange

import (
	"context"
	"slices"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// staging is the typed temporary table that right rows pass through: COPY into a table with row-level security is an
// error. It and all that is decided in it ends with the transaction. Statements are the same for one row and for 200,000.
//
// What is written below into tables of packages client and audit follows client.Create and client.Change for sets: the
// same locks in the same order, the same trail.
type staging struct {
	tx   *pg.Tx
	run  uuid.UUID
	zone string
}

const createRow = `CREATE TEMP TABLE import_row (
	row int NOT NULL, id uuid NOT NULL, number text, given_name text NOT NULL, family_name text NOT NULL, name_guessed boolean NOT NULL,
	national_id text, birth_date date, gender text, phone text, email text, street text, postcode text, town text, status text,
	status_at timestamptz, agreement_end timestamptz, group_named boolean NOT NULL, group_on date, key_hash bytea NOT NULL, search text NOT NULL,
	client_id uuid,                       -- the known client that the row speaks of
	held boolean NOT NULL DEFAULT false,  -- it differs, and its row is locked
	refused boolean NOT NULL DEFAULT false,
	address_id uuid
) ON COMMIT DROP`

const createNote = `CREATE TEMP TABLE import_note (row int NOT NULL, field text NOT NULL, code text NOT NULL, flag boolean NOT NULL) ON COMMIT DROP`

// open makes the tables. One import at a time in a municipality; and where the web's statements may take half a minute,
// COPY of a great workbook may take longer.
func (s *staging) open(ctx context.Context) error {
	var mine bool
	err := s.tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtext('exchange.import'), $1) AND set_config('statement_timeout', '10min', true) <> ''`,
		s.tx.Municipality()).Scan(&mine)
	if err != nil {
		return err
	}
	if !mine {
		return problem.Conflict{Code: "import_running"}
	}
	batch := &pgx.Batch{}
	batch.Queue(createRow)
	batch.Queue(createNote)
	return s.tx.SendBatch(ctx, batch).Close()
}

// differs is true of a staged row s and its client c when the file tells something new. A national id is filled in, never
// exchanged (other_person).
const differs = `((s.given_name, s.family_name) <> (c.given_name, c.family_name)
	OR s.national_id IS NOT NULL AND c.national_id IS NULL
	OR s.birth_date IS NOT NULL AND s.birth_date IS DISTINCT FROM c.birth_date
	OR s.gender IS NOT NULL AND s.gender <> c.gender
	OR s.phone IS NOT NULL AND s.phone <> c.phone
	OR s.email IS NOT NULL AND s.email <> c.email
	OR s.street IS NOT NULL AND s.address_id IS DISTINCT FROM c.address_id)`

const (
	known  = `c.municipality_id = @municipality AND c.id = s.client_id`
	living = `('ordered', 'active')`
	gone   = `('disconnected', 'cancelled')`
	// moving is true of the staged rows whose address is about to get a resident.
	moving = `NOT s.refused AND s.street IS NOT NULL AND (s.client_id IS NULL OR s.held)`

	resolve = `UPDATE import_row s SET address_id = a.id FROM address a
		WHERE a.municipality_id = @municipality AND a.postcode = s.postcode AND lower(a.street) = lower(s.street) AND NOT a.protected AND NOT s.refused AND s.street IS NOT NULL`
	// settled is true of clients whose address is not a file's to change: it is hidden (D21).
	settled = `(c.protected OR c.address_id IS NOT NULL AND NOT EXISTS (SELECT FROM address a WHERE a.municipality_id = @municipality AND a.id = c.address_id AND NOT a.protected))`
)

// refusing marks the rows that a query selects, and notes why.
func refusing(selected string) string {
	return `WITH bad AS (UPDATE import_row s SET refused = true FROM (` + selected + `) b WHERE s.row = b.row AND NOT s.refused RETURNING s.row, b.field, b.code)
		INSERT INTO import_note (row, field, code, flag) SELECT row, field, code, false FROM bad`
}

// match finds the clients that the rows speak of and refuses the rows that may not be taken.
var match = []string{
	`ANALYZE import_row (row)`, // its size; never the columns with people in them, which the statistics would keep a while
	`UPDATE import_row s SET client_id = c.id FROM client c WHERE c.municipality_id = @municipality AND c.number = s.number`,
	// Without a number: the person's registration that is like the row, else the living one, else none.
	`UPDATE import_row s SET client_id = best.id FROM (
		SELECT DISTINCT ON (s.row) s.row, c.id FROM import_row s JOIN client c ON c.municipality_id = @municipality AND c.national_id = s.national_id
		WHERE s.number IS NULL AND (c.status IN ` + living + ` OR s.status IS NULL OR s.status IN ` + living + `
			OR s.status_at IS NULL OR (s.status_at AT TIME ZONE @zone)::date = (c.status_since AT TIME ZONE @zone)::date)
		ORDER BY s.row, (c.status IN ` + living + `) = (s.status IS NULL OR s.status IN ` + living + `) DESC, c.status_since DESC, c.id) best
		WHERE best.row = s.row`,
	refusing(`SELECT s.row, CASE WHEN s.number IS NULL THEN 'national_id' ELSE 'number' END AS field, 'duplicate_in_file' AS code FROM (
		SELECT row, number, row_number() OVER (PARTITION BY client_id ORDER BY row) AS nth FROM import_row WHERE client_id IS NOT NULL) s WHERE s.nth > 1`),
	refusing(`SELECT s.row, 'national_id' AS field, 'other_person' AS code FROM import_row s JOIN client c ON ` + known + `
		WHERE s.national_id <> c.national_id`),
	// The date of birth of a person whose national id stands here is not the file's to change.
	refusing(`SELECT s.row, 'birth_date' AS field, 'birth_date_mismatch' AS code FROM import_row s JOIN client c ON ` + known + `
		WHERE s.national_id IS NULL AND c.national_id IS NOT NULL AND s.birth_date <> c.birth_date`),
	// Where the file leaves the parts of a name to be guessed, those that are known stand.
	`UPDATE import_row s SET given_name = c.given_name, family_name = c.family_name FROM client c
		WHERE ` + known + ` AND s.name_guessed AND btrim(s.given_name || ' ' || s.family_name) = btrim(c.given_name || ' ' || c.family_name)`,
	// D22. A client that stands here is no registration coming back.
	refusing(`SELECT s.row, CASE WHEN s.number IS NULL THEN 'national_id' ELSE 'number' END AS field, 'purged_before' AS code FROM import_row s
		JOIN purged_registration p ON p.municipality_id = @municipality AND p.key_hash = s.key_hash WHERE s.client_id IS NULL`),
	// D21, against what is here and against the rows above.
	refusing(`SELECT t.row, 'national_id' AS field, 'person_exists' AS code FROM (
		SELECT s.row, row_number() OVER (PARTITION BY s.national_id ORDER BY s.row) > 1
			OR EXISTS (SELECT FROM client o WHERE o.municipality_id = @municipality AND o.national_id = s.national_id
				AND o.status IN ` + living + ` AND o.id IS DISTINCT FROM s.client_id) AS taken
		FROM import_row s LEFT JOIN client c ON ` + known + `
		WHERE NOT s.refused AND s.national_id IS NOT NULL AND CASE WHEN s.client_id IS NULL THEN coalesce(s.status, 'active') IN ` + living + `
			ELSE c.national_id IS NULL AND c.status IN ` + living + ` END) t
		WHERE t.taken`),
	// D21: what is hidden of a protected client is not taken from a file, whether it differs or not: comparing would tell.
	`INSERT INTO import_note (row, field, code, flag) SELECT s.row, told.field, 'shielded', true FROM import_row s JOIN client c ON ` + known + `
		CROSS JOIN LATERAL (VALUES ('phone', s.phone), ('email', s.email), ('street', s.street)) told (field, value)
		WHERE NOT s.refused AND told.value IS NOT NULL AND CASE told.field WHEN 'street' THEN ` + settled + ` ELSE c.protected END`,
	`UPDATE import_row s SET phone = NULL, email = NULL FROM client c WHERE ` + known + ` AND c.protected`,
	`UPDATE import_row s SET street = NULL, postcode = NULL, town = NULL FROM client c WHERE ` + known + ` AND ` + settled,
}

// number gives the rows without one the municipality's next ones, as client.Create does.
var number = []string{
	// The series' row is locked until our commit; it remembers numbers that were purged, so that none is given again (D22).
	`INSERT INTO number_series AS s (municipality_id, last) VALUES (@municipality, 200000000) ON CONFLICT (municipality_id) DO UPDATE SET last = s.last`,
	`UPDATE import_row s SET number = n.number FROM (
		SELECT s.row, (greatest((SELECT last FROM number_series WHERE municipality_id = @municipality),
			(SELECT number::bigint FROM client WHERE municipality_id = @municipality AND number BETWEEN '200000000' AND '999999999' AND length(number) = 9
				ORDER BY number DESC LIMIT 1),
			(SELECT max(number::bigint) FROM import_row WHERE number BETWEEN '200000000' AND '999999999' AND length(number) = 9))
			+ row_number() OVER (ORDER BY s.row))::text AS number
		FROM import_row s WHERE s.number IS NULL AND s.client_id IS NULL AND NOT s.refused) n
		WHERE n.row = s.row`,
	`UPDATE number_series SET last = greatest(last, (SELECT max(number::bigint) FROM import_row WHERE number BETWEEN '200000000' AND '999999999' AND length(number) = 9))
		WHERE municipality_id = @municipality`,
	refusing(`SELECT row, 'number' AS field, 'none_left' AS code FROM import_row WHERE length(number) > 12`),
}

// hold locks, in the one order, the clients that change and then the addresses that lose or get a resident; new
// addresses are made before any is held. After it nothing that was found can go.
var hold = []string{
	resolve,
	`WITH locked AS (SELECT c.id FROM client c JOIN import_row s ON ` + known + ` WHERE NOT s.refused AND ` + differs + `
			ORDER BY c.id FOR NO KEY UPDATE OF c)
		UPDATE import_row s SET held = true FROM locked WHERE locked.id = s.client_id`,
	`INSERT INTO address (municipality_id, street, postcode, town)
		SELECT DISTINCT ON (s.postcode, lower(s.street)) @municipality::int, s.street, s.postcode, coalesce(s.town, '') FROM import_row s
		WHERE ` + moving + ` AND s.address_id IS NULL ORDER BY s.postcode, lower(s.street), s.row
		ON CONFLICT (municipality_id, postcode, lower(street)) WHERE NOT protected DO NOTHING`,
	`SELECT count(*) FROM (SELECT a.id FROM address a WHERE a.municipality_id = @municipality AND a.id IN (
			SELECT x.id FROM address x JOIN import_row s ON x.postcode = s.postcode AND lower(x.street) = lower(s.street) AND NOT x.protected
			WHERE x.municipality_id = @municipality AND ` + moving + `
			UNION SELECT c.address_id FROM client c JOIN import_row s ON ` + known + ` WHERE s.held AND s.street IS NOT NULL)
		ORDER BY a.id FOR NO KEY UPDATE) held`,
	`UPDATE import_row SET address_id = NULL WHERE street IS NOT NULL`,
	resolve,
}

// take brings the new clients in.
var take = []string{
	// P18: the agreement of an inactive client ends with its status where nothing else is told.
	`INSERT INTO client (municipality_id, id, number, given_name, family_name, national_id, birth_date, gender, phone, email, address_id, status, status_since,
			agreement_end, created_by, created_at, changed_by, changed_at)
		SELECT @municipality, s.id, s.number, s.given_name, s.family_name, s.national_id, s.birth_date, coalesce(s.gender, 'U'), coalesce(s.phone, ''),
			coalesce(s.email, ''), s.address_id, coalesce(s.status, 'active'), coalesce(s.status_at, least(s.agreement_end, @now), @now),
			CASE WHEN s.status IN ` + gone + ` THEN coalesce(s.agreement_end, s.status_at) END, @account, @now, @account, @now
		FROM import_row s WHERE s.client_id IS NULL AND NOT s.refused`,
	`INSERT INTO client_search (municipality_id, client_id, text)
		SELECT @municipality, s.id, replace(s.search, E'\x01', s.number) FROM import_row s WHERE s.client_id IS NULL AND NOT s.refused`,
	// A status whose day nobody knows gets no entry (D3): an invented one would start a clock, or stand in the way of the true one.
	`INSERT INTO status_entry (municipality_id, client_id, at, status, entered_by, entered_at)
		SELECT @municipality, s.id, s.status_at, s.status, @account, @now FROM import_row s WHERE s.client_id IS NULL AND NOT s.refused AND s.status_at IS NOT NULL`,
	`INSERT INTO client_change (municipality_id, client_id, at, field, to_value, account_id)
		SELECT @municipality, s.id, @now, 'status', coalesce(s.status, 'active'), @account FROM import_row s WHERE s.client_id IS NULL AND NOT s.refused`,
	`INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id, detail)
		SELECT @municipality, @now, @account, @role, 'registered', 'client', s.id::text, jsonb_build_object('import', @run::text, 'status', coalesce(s.status, 'active'))
		FROM import_row s WHERE s.client_id IS NULL AND NOT s.refused`,
}

// change writes what differs about known clients: their own history and the trail first, while the old values stand.
var change = []string{
	`WITH written AS (INSERT INTO client_change (municipality_id, client_id, at, field, from_value, to_value, account_id)
			SELECT @municipality, c.id, @now, v.field, nullif(v.was, ''), nullif(v.becomes, ''), @account
			FROM import_row s JOIN client c ON ` + known + `
			LEFT JOIN address old ON old.municipality_id = @municipality AND old.id = c.address_id
			LEFT JOIN address new ON new.municipality_id = @municipality AND new.id = s.address_id
			CROSS JOIN LATERAL (VALUES
				('given_name', c.given_name::text, s.given_name), ('family_name', c.family_name::text, s.family_name),
				('national_id', c.national_id, s.national_id), ('birth_date', c.birth_date::text, s.birth_date::text), ('gender', c.gender, s.gender),
				('phone', c.phone, s.phone), ('email', c.email, s.email),
				('address', old.street || ', ' || old.postcode || ' ' || old.town, new.street || ', ' || new.postcode || ' ' || new.town)) v (field, was, becomes)
			WHERE s.held AND ` + differs + ` AND v.becomes IS NOT NULL AND v.becomes IS DISTINCT FROM v.was COLLATE "C"
				AND NOT (v.field = 'address' AND c.address_id IS NOT DISTINCT FROM s.address_id)
			RETURNING client_id, field)
		INSERT INTO audit (municipality_id, at, account_id, role, act, subject, subject_id, fields, detail)
		SELECT @municipality, @now, @account, @role, 'changed', 'client', client_id::text, array_agg(field ORDER BY field), jsonb_build_object('import', @run::text)
		FROM written GROUP BY client_id`,
}

const update = `UPDATE client c SET given_name = s.given_name, family_name = s.family_name, national_id = coalesce(c.national_id, s.national_id),
		birth_date = coalesce(s.birth_date, c.birth_date), gender = coalesce(s.gender, c.gender), phone = coalesce(s.phone, c.phone),
		email = coalesce(s.email, c.email), address_id = CASE WHEN s.street IS NULL THEN c.address_id ELSE s.address_id END,
		version = c.version + 1, changed_by = @account, changed_at = @now
	FROM import_row s WHERE ` + known + ` AND s.held AND ` + differs + `
	RETURNING c.id, c.number, c.given_name, c.family_name, c.phone, c.protected`

// flag notes what a person should look at in the rows that were taken.
var flag = []string{
	`INSERT INTO import_note (row, field, code, flag) SELECT s.row, 'status', 'status_assumed', true FROM import_row s
		WHERE NOT s.refused AND s.client_id IS NULL AND s.status IS NULL`,
	`INSERT INTO import_note (row, field, code, flag)
		SELECT s.row, CASE WHEN s.status = c.status THEN 'status_date' ELSE 'status' END, CASE WHEN s.status = c.status THEN 'status_date_differs' ELSE 'status_differs' END, true
		FROM import_row s JOIN client c ON ` + known + `
		WHERE NOT s.refused AND s.status IS NOT NULL AND (s.status <> c.status OR s.status_at <> c.status_since)`,
	// D10: the group is computed. One that would have been too early is worth a word to whoever keeps the source.
	`INSERT INTO import_note (row, field, code, flag) SELECT s.row, 'group', CASE WHEN s.group_on < i.due_on THEN 'group_too_early' ELSE 'group_computed' END, true
		FROM import_row s LEFT JOIN round_item i ON i.municipality_id = @municipality AND i.client_id = coalesce(s.client_id, s.id)
			AND i.state IN ('placed', 'ready', 'blocked')
		WHERE NOT s.refused AND s.group_named`,
}

func (s *staging) args() pgx.NamedArgs {
	return pgx.NamedArgs{
		"municipality": s.tx.Municipality(), "account": s.tx.Caller.Account, "now": s.tx.Now(), "run": s.run.String(), "zone": s.zone,
		"role": string(s.tx.Caller.RoleFor(access.ImportRun)),
	}
}

func (s *staging) exec(ctx context.Context, statements ...string) error {
	args := s.args()
	batch := &pgx.Batch{}
	for _, sql := range statements {
		batch.Queue(sql, args)
	}
	return s.tx.SendBatch(ctx, batch).Close()
}

// write takes, changes, places and flags, and counts it.
func (s *staging) write(ctx context.Context, report *Report, numberless bool) error {
	numbers := number
	if !numberless {
		numbers = nil
	}
	if err := s.exec(ctx, slices.Concat(match, numbers, hold)...); err != nil {
		return err
	}
	var homeless int
	if err := s.tx.QueryRow(ctx, `SELECT count(*) FROM import_row s WHERE `+moving+` AND s.address_id IS NULL`).Scan(&homeless); err != nil {
		return err
	}
	if homeless > 0 {
		return problem.Conflict{Code: "busy"} // an address was erased between two statements
	}
	if err := s.exec(ctx, slices.Concat(take, change)...); err != nil {
		return err
	}
	changed, err := s.update(ctx)
	if err != nil {
		return err
	}
	report.Changed = changed
	inactive, err := s.tx.Query(ctx, `SELECT id FROM import_row WHERE client_id IS NULL AND NOT refused AND status IN `+gone+` ORDER BY id`)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(inactive, pgx.RowTo[uuid.UUID])
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		if err := deletion.PlaceImported(ctx, s.tx, ids); err != nil {
			return err
		}
	}
	return s.exec(ctx, flag...)
}

// update changes the clients that are held, and what they are found by.
func (s *staging) update(ctx context.Context) (int, error) {
	rows, err := s.tx.Query(ctx, update, s.args())
	if err != nil {
		return 0, err
	}
	var (
		id                           uuid.UUID
		number, given, family, phone string
		protected                    bool
		ids                          []uuid.UUID
		texts                        []string
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &number, &given, &family, &phone, &protected}, func() error {
		ids, texts = append(ids, id), append(texts, client.SearchText(given, family, number, phone, protected))
		return nil
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	_, err = s.tx.Exec(ctx, `UPDATE client_search t SET text = n.text FROM unnest($2::uuid[], $3::text[]) AS n (id, text)
		WHERE t.municipality_id = $1 AND t.client_id = n.id AND t.text <> n.text`, s.tx.Municipality(), ids, texts)
	return len(ids), err
}

// report counts and keeps the run with its refusals until expires, and reads the first of them back.
func (s *staging) report(ctx context.Context, report *Report, expires calendar.Date) error {
	err := s.tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM import_row WHERE client_id IS NULL AND NOT refused), count(DISTINCT row) FILTER (WHERE NOT flag),
		count(*) FILTER (WHERE flag) FROM import_note`).Scan(&report.Taken, &report.Refused, &report.Flags)
	if err != nil {
		return err
	}
	report.Unchanged = report.Rows - report.Taken - report.Changed - report.Refused
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO import_run (municipality_id, id, started_by, started_at, finished_at, format, rows, taken, changed, unchanged, refused, expires_on)
		VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10, $11)`, s.tx.Municipality(), s.run, s.tx.Caller.Account, s.tx.Now(),
		report.Format, report.Rows, report.Taken, report.Changed, report.Unchanged, report.Refused, expires)
	batch.Queue(`INSERT INTO import_refusal (municipality_id, import_id, row, field, code, flag)
		SELECT DISTINCT ON (row, field, code) $1::int, $2::uuid, row, field, code, flag FROM import_note ORDER BY row, field, code`, s.tx.Municipality(), s.run)
	batch.Queue(`SELECT row, field, code, flag FROM import_refusal WHERE municipality_id = $1 AND import_id = $2
		ORDER BY row, flag, field, code LIMIT $3`, s.tx.Municipality(), s.run, ReportRefusals).Query(func(rows pgx.Rows) (err error) {
		report.Refusals, err = pgx.CollectRows(rows, pgx.RowToStructByName[Refusal])
		return err
	})
	return s.tx.SendBatch(ctx, batch).Close()
}

// unnumbered stands in a staged search text where the number will be; no cell can hold it.
const unnumbered = "\x01"

func searchText(r record) string {
	number := r.number
	if number == "" {
		number = unnumbered
	}
	return client.SearchText(r.given, r.family, number, r.phone, false)
}
