package deletion

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// RegistrationHash is how a purged registration is remembered (D22): an HMAC of municipality and source number or, without
// a number, of national id and disconnection day. key lies outside the database.
func RegistrationHash(key []byte, municipality int, number, nationalID string, disconnected calendar.Date) []byte {
	if number != "" {
		return keyed(key, "registration", strconv.Itoa(municipality), number)
	}
	return keyed(key, "registration", strconv.Itoa(municipality), nationalID, disconnected.String())
}

// SubjectHash is how the access log of a purged person is found again by the citizen's own extract (D25).
func SubjectHash(key []byte, municipality int, nationalID string) []byte {
	return keyed(key, "subject", strconv.Itoa(municipality), nationalID)
}

func keyed(key []byte, parts ...string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, p := range parts {
		mac.Write([]byte(strconv.Itoa(len(p)) + ":" + p)) // lengths, so that no two lists of parts read the same
	}
	return mac.Sum(nil)
}

var (
	errListChanged = errors.New("the frozen list is not the approved one")
	errNotRunning  = errors.New("the round does not run")
)

// purgeChunk erases one chunk of a running round: the one purge path for scheduled and extra rounds. In one transaction:
// the round is fenced (pause and cancel wait for us, we wait for them), the clients are locked by id, then their addresses
// and the evidence rows; every client is assessed again by a new statement; whoever passes is written down as purged and
// deleted with all that hangs on them, whoever fails is carried over with the typed reasons; hashes, counts and blob
// deletions are recorded; done says that the job is complete. only limits the work to some of the chunk's clients: a
// chunk that failed is retried smaller (see retrySmaller).
func purgeChunk(ctx context.Context, tx *pg.Tx, key []byte, id int64, chunk, part int, only []uuid.UUID, done func(tx *pg.Tx) error) error {
	if err := tx.Require(access.RoundPurge); err != nil {
		return err
	}
	round, finished, ids, err := fence(ctx, tx, id, chunk, only)
	if err != nil {
		return err
	}
	if finished {
		return done(tx)
	}
	facts, dwellings, err := lockAndLook(ctx, tx, ids)
	if err != nil {
		return err
	}
	rules, err := retention.LoadRules(ctx, tx)
	if err != nil {
		return err
	}
	zone, err := municipality.Zone(ctx, tx)
	if err != nil {
		return err
	}
	day := calendar.DateOf(tx.Now().In(zone))

	var gone []retention.Facts
	var kept []uuid.UUID
	var starts []calendar.Date
	reasons := map[uuid.UUID][]string{}
	for _, f := range facts {
		a := retention.Assess(f, rules, day, zone)
		if a.MayGo() {
			gone, starts = append(gone, f), append(starts, a.StartOn)
		} else {
			kept = append(kept, f.Client)
			reasons[f.Client] = a.Codes()
		}
	}
	if len(gone) > 0 {
		if err := erase(ctx, tx, key, round, chunk, part, gone, dwellings, starts, rules, day); err != nil {
			return err
		}
	}
	if len(kept) > 0 {
		if err := carryClients(ctx, tx, round, kept, reasons, carry{counts: true, reason: "late"}); err != nil {
			return err
		}
	}
	if err := settle(ctx, tx, round, chunk); err != nil {
		return err
	}
	audit.Write(tx, access.RoundPurge, audit.Record{
		Act: "clients.purged", Subject: "round", SubjectID: round.Number,
		Detail: map[string]any{"chunk": chunk, "purged": len(gone), "kept": len(kept)},
	})
	return done(tx)
}

// fence holds the round as it is while this transaction lasts and reads what is left of the chunk. It answers
// errNotRunning when the round is paused or over, and errListChanged when the chunk's frozen items are not those that
// were approved (D12).
func fence(ctx context.Context, tx *pg.Tx, id int64, chunk int, only []uuid.UUID) (round Round, finished bool, ids []uuid.UUID, err error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock_shared($1)`, id); err != nil {
		return round, false, nil, err
	}
	round, err = findRound(ctx, tx, id, "FOR SHARE")
	if err != nil {
		return round, false, nil, err
	}
	if round.State != Running {
		return round, false, nil, errNotRunning
	}
	var hash []byte
	var doneAt *time.Time
	err = tx.QueryRow(ctx, `SELECT hash, done_at FROM round_chunk WHERE municipality_id = $1 AND round_id = $2 AND chunk = $3 FOR UPDATE`,
		tx.Municipality(), id, chunk).Scan(&hash, &doneAt)
	if err != nil || doneAt != nil {
		return round, true, nil, err // a second job for the same chunk finds it done
	}
	_, hashes, _, err := hashFrozen(ctx, tx, round, &chunk)
	if err != nil {
		return round, false, nil, err
	}
	if len(hashes) != 1 || !bytes.Equal(hashes[0], hash) {
		return round, false, nil, errListChanged
	}
	rows, err := tx.Query(ctx, `SELECT client_id FROM round_item WHERE municipality_id = $1 AND round_id = $2 AND chunk = $3 AND frozen AND state = 'ready'
		AND ($4::uuid[] IS NULL OR client_id = ANY ($4)) ORDER BY client_id`, tx.Municipality(), id, chunk, only)
	if err != nil {
		return round, false, nil, err
	}
	ids, err = pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	return round, false, ids, err
}

// lockAndLook locks the clients (FOR UPDATE: a key lock of a row that points at them waits), their addresses, and the
// rows that are evidence, in the one order, and only then reads the facts, in a statement of its own whose snapshot is
// younger than the locks (PERFORMANCE 1.11).
func lockAndLook(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) (facts []retention.Facts, dwellings []uuid.UUID, err error) {
	m := tx.Municipality()
	if _, err := tx.Exec(ctx, `SELECT 1 FROM client WHERE municipality_id = $1 AND id = ANY ($2) ORDER BY id FOR UPDATE`, m, ids); err != nil {
		return nil, nil, err
	}
	dwellings, err = client.Dwellings(ctx, tx, ids)
	if err != nil {
		return nil, nil, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`SELECT 1 FROM device_connection k WHERE k.municipality_id = $1 AND k.disconnected_at IS NULL
		AND (k.client_id = ANY ($2) OR k.address_id = ANY ($3)) ORDER BY k.id FOR UPDATE`, m, ids, dwellings)
	batch.Queue(`SELECT 1 FROM hold h WHERE h.municipality_id = $1 AND h.released_at IS NULL
		AND (h.client_id = ANY ($2) OR h.address_id = ANY ($3)) ORDER BY h.id FOR UPDATE`, m, ids, dwellings)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, err
	}
	facts, err = retention.LoadFacts(ctx, tx, ids)
	return facts, dwellings, err
}

// erase writes down, then deletes. The database's last guard compares the two.
func erase(ctx context.Context, tx *pg.Tx, key []byte, round Round, chunk, part int, gone []retention.Facts, dwellings []uuid.UUID, starts []calendar.Date, rules retention.Rules, day calendar.Date) error {
	m := tx.Municipality()
	ids := make([]uuid.UUID, len(gone))
	registrations := make([][]byte, 0, 2*len(gone))
	var subjects [][]byte
	var subjectIDs []uuid.UUID
	for i, f := range gone {
		ids[i] = f.Client
		registrations = append(registrations, RegistrationHash(key, m, f.Number, f.NationalID, starts[i]))
		if f.NationalID != "" {
			// A file without numbers must find the registration too.
			registrations = append(registrations, RegistrationHash(key, m, "", f.NationalID, starts[i]))
			subjects, subjectIDs = append(subjects, SubjectHash(key, m, f.NationalID)), append(subjectIDs, f.Client)
		}
	}
	marked, err := tx.Exec(ctx, `UPDATE round_item SET state = 'purged', settled_at = $4, settled_by = 0
		WHERE municipality_id = $1 AND round_id = $2 AND client_id = ANY ($3) AND frozen AND state = 'ready'`, m, round.ID, ids, tx.Now())
	if err != nil {
		return err
	}
	if marked != int64(len(ids)) {
		return problem.Conflict{Code: "busy"} // somebody settled an item meanwhile: look again
	}
	erased, err := client.Erase(ctx, tx, ids, dwellings)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(`INSERT INTO purged_registration (municipality_id, key_hash, purged_on, expires_on) SELECT DISTINCT $1::int, h, $3::date, $4::date FROM unnest($2::bytea[]) h
		ON CONFLICT (municipality_id, key_hash) DO UPDATE SET purged_on = excluded.purged_on, expires_on = excluded.expires_on`,
		m, registrations, day, rules[retention.PurgedRegistration].KeepUntil(day))
	if len(subjects) > 0 {
		batch.Queue(`INSERT INTO access_subject (municipality_id, subject_hash, client_id, expires_on)
			SELECT $1, s.hash, s.client, $4 FROM unnest($2::bytea[], $3::uuid[]) AS s (hash, client) ON CONFLICT DO NOTHING`,
			m, subjects, subjectIDs, rules[retention.AccessLog].KeepUntil(day))
	}
	tables, counts := make([]string, 0, len(erased.Counts)), make([]int64, 0, len(erased.Counts))
	for table, n := range erased.Counts {
		tables, counts = append(tables, table), append(counts, n)
	}
	// A try that was stopped among its smaller parts may have counted under this number: both are what went.
	batch.Queue(`INSERT INTO round_count (municipality_id, round_id, chunk, part, table_name, rows)
		SELECT $1, $2, $3, $4, t, n FROM unnest($5::text[], $6::bigint[]) AS c (t, n)
		ON CONFLICT (municipality_id, round_id, chunk, part, table_name) DO UPDATE SET rows = round_count.rows + excluded.rows`, m, round.ID, chunk, part, tables, counts)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return orderBlobs(ctx, tx, round.ID, erased.BlobKeys)
}

// blobsPerJob is how many objects one job deletes: what one request of an object store takes.
const blobsPerJob = 1000

// orderBlobs writes down the objects that must go, and wakes a worker for each thousand. The objects themselves are
// deleted after the commit: what is outside the database is never touched by a transaction that may still roll back.
func orderBlobs(ctx context.Context, tx *pg.Tx, round int64, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	var jobs []river.JobArgs
	batch := &pgx.Batch{}
	for some := range slices.Chunk(keys, blobsPerJob) {
		batch.Queue(`INSERT INTO blob_deletion (municipality_id, round_id, batch, pending, ordered)
			VALUES ($1, $2, nextval('blob_batch'), $3::text[], cardinality($3::text[])) RETURNING batch`, tx.Municipality(), round, some).
			QueryRow(func(row pgx.Row) error {
				job := BlobArgs{RoundID: round}
				err := row.Scan(&job.Batch)
				jobs = append(jobs, job)
				return err
			})
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return tx.Enqueue(ctx, jobs...)
}

// settle closes the chunk when none of its items is left, with counts computed from the items, and wakes the finisher when
// this may have been the last chunk: several may come to their end at once, so the last eight all ask.
func settle(ctx context.Context, tx *pg.Tx, round Round, chunk int) error {
	var closed bool
	var others int
	err := tx.QueryRow(ctx, `WITH items AS (
			SELECT count(*) FILTER (WHERE state = 'ready') AS left, count(*) FILTER (WHERE state = 'purged') AS purged,
				count(*) FILTER (WHERE state = 'carried') AS carried, count(*) FILTER (WHERE state IN ('withdrawn', 'moved')) AS withdrawn,
				count(*) FILTER (WHERE state = 'carried' AND reasons = ARRAY['failed']) AS failed
			FROM round_item WHERE municipality_id = $1 AND round_id = $2 AND chunk = $3 AND frozen),
		closed AS (
			UPDATE round_chunk c SET done_at = $4, purged = i.purged, carried = i.carried, withdrawn = i.withdrawn, failed = i.failed
			FROM items i WHERE c.municipality_id = $1 AND c.round_id = $2 AND c.chunk = $3 AND i.left = 0 RETURNING 1)
		SELECT EXISTS (SELECT FROM closed), (SELECT count(*) FROM round_chunk o WHERE o.municipality_id = $1 AND o.round_id = $2 AND o.chunk <> $3 AND o.done_at IS NULL)`,
		tx.Municipality(), round.ID, chunk, tx.Now()).Scan(&closed, &others)
	if err != nil {
		return err
	}
	if closed && others < 8 {
		return tx.Enqueue(ctx, FinishArgs{RoundID: round.ID})
	}
	return nil
}

// failed gives up on one client that could not be deleted even alone: it stays, with the reason, and moves on like any
// other leftover. Nothing else of the chunk is hidden or held up by it.
func failed(ctx context.Context, tx *pg.Tx, id int64, chunk int, one uuid.UUID, done func(tx *pg.Tx) error) error {
	if err := tx.Require(access.RoundPurge); err != nil {
		return err
	}
	round, finished, ids, err := fence(ctx, tx, id, chunk, []uuid.UUID{one})
	if err != nil {
		return err
	}
	if !finished && len(ids) == 1 {
		if err := carryClients(ctx, tx, round, ids, map[uuid.UUID][]string{one: {"failed"}}, carry{counts: true, reason: "failed"}); err != nil {
			return err
		}
		if err := settle(ctx, tx, round, chunk); err != nil {
			return err
		}
	}
	return done(tx)
}
