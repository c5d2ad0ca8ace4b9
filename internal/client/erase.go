package client

import (
	"context"
	"slices"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Erased is what one erasure took: rows by table (only tables of which rows went), the keys of sound that the blob store
// must lose too, and the addresses that went.
type Erased struct {
	Counts    map[string]int64
	BlobKeys  []string
	Addresses []uuid.UUID
}

// Dwellings locks (FOR UPDATE, by id) and gives the addresses that an erasure of these clients may empty: where they live,
// and where something happened that names them. Purge calls it after it has locked the clients and before devices and
// holds, so that all addresses are locked in one order. Needs RoundPurge.
func Dwellings(ctx context.Context, tx *pg.Tx, ids []ID) ([]uuid.UUID, error) {
	if err := tx.Require(access.RoundPurge); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT id FROM address WHERE municipality_id = $1 AND id IN (
			SELECT address_id FROM client WHERE municipality_id = $1 AND id = ANY ($2)
			UNION SELECT e.address_id FROM address_event_client l JOIN address_event e ON e.municipality_id = l.municipality_id AND e.id = l.event_id
			WHERE l.municipality_id = $1 AND l.client_id = ANY ($2))
		ORDER BY id FOR UPDATE`, tx.Municipality(), ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// Erase takes clients and everything that depends on them, irreversibly. It is for deletion.Purge only, which decides:
// the caller holds the clients FOR UPDATE, then their Dwellings (which it gives here), devices and holds, has checked
// them in a later statement, and has set their items to purged, without which the database refuses (FR001).
//
// What hangs under a client the database takes along (client_takes_along) and says how much; by name go first the rows
// that tell what else must go. Besides those go: events of a dwelling with the last client they name, or, naming none,
// with the dwelling's last client (D19); a professional with the last link (D20); and the dwelling itself when no client,
// no connected device, no event and no hold is left on it (D19).
//
// Two round trips, whatever the number of clients. problem.Conflict "busy" when a client is not there, which a caller that
// holds them does not see.
func Erase(ctx context.Context, tx *pg.Tx, ids []ID, addresses []uuid.UUID) (Erased, error) {
	if err := tx.Require(access.RoundPurge); err != nil {
		return Erased{}, err
	}
	erased := Erased{Counts: map[string]int64{}}
	if len(ids) == 0 {
		return erased, nil
	}
	m := tx.Municipality()
	var professionals []uuid.UUID
	var events []int64
	batch := &pgx.Batch{}
	taken(&erased, batch, "recording", &erased.BlobKeys, `DELETE FROM recording WHERE municipality_id = $1 AND client_id = ANY ($2) RETURNING blob_key`, m, ids)
	taken(&erased, batch, "client_professional", &professionals, `DELETE FROM client_professional WHERE municipality_id = $1 AND client_id = ANY ($2) RETURNING professional_id`, m, ids)
	taken(&erased, batch, "address_event_client", &events, `DELETE FROM address_event_client WHERE municipality_id = $1 AND client_id = ANY ($2) RETURNING event_id`, m, ids)
	erased.delete(batch, "device_connection", `DELETE FROM device_connection WHERE municipality_id = $1 AND client_id = ANY ($2)`, m, ids)
	erased.delete(batch, "hold", `DELETE FROM hold WHERE municipality_id = $1 AND client_id = ANY ($2)`, m, ids)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return Erased{}, err
	}

	batch = &pgx.Batch{}
	erased.delete(batch, "client", `DELETE FROM client WHERE municipality_id = $1 AND id = ANY ($2)`, m, ids)
	batch.Queue(`SELECT coalesce(nullif(current_setting('frist.took', true), ''), '{}')::jsonb`).QueryRow(func(row pgx.Row) error {
		var took map[string]int64
		err := row.Scan(&took)
		for table, n := range took {
			erased.count(table, n)
		}
		return err
	})
	if len(professionals)+len(events) > 0 {
		// What two clients share has no row that both of their purges hold. So the purges of a municipality pass here one
		// after another, and the later one, whose statements begin now, sees what the earlier one took.
		batch.Queue(`SELECT pg_advisory_xact_lock(hashtext('client.shared'), $1)`, m)
	}
	if len(professionals) > 0 {
		erased.delete(batch, "professional", `DELETE FROM professional p WHERE p.municipality_id = $1 AND p.id = ANY ($2)
			AND NOT EXISTS (SELECT FROM client_professional l WHERE l.municipality_id = $1 AND l.professional_id = p.id)`, m, professionals)
	}
	if len(events)+len(addresses) > 0 {
		// Whose links went in this statement's past is named by nobody any more.
		erased.deleteEvents(batch, `DELETE FROM address_event e WHERE e.municipality_id = $1 AND (
				e.id = ANY ($2) AND e.names_clients AND NOT EXISTS (SELECT FROM address_event_client l WHERE l.municipality_id = $1 AND l.event_id = e.id)
				OR e.address_id = ANY ($3) AND NOT EXISTS (SELECT FROM address_event_client l WHERE l.municipality_id = $1 AND l.event_id = e.id)
					AND NOT EXISTS (SELECT FROM client c WHERE c.municipality_id = $1 AND c.address_id = e.address_id))
			RETURNING coalesce(blob_key, '')`, m, events, addresses)
	}
	if len(addresses) > 0 {
		// Closed connections and released holds go with the dwelling: they are counted by the same statement, which still
		// sees them. hold is retention's, which lies above; one that is not released keeps the dwelling.
		batch.Queue(`WITH gone AS (
				DELETE FROM address a WHERE a.municipality_id = $1 AND a.id = ANY ($2)
					AND NOT EXISTS (SELECT FROM client c WHERE c.municipality_id = $1 AND c.address_id = a.id)
					AND NOT EXISTS (SELECT FROM device_connection k WHERE k.municipality_id = $1 AND k.address_id = a.id AND k.disconnected_at IS NULL)
					AND NOT EXISTS (SELECT FROM hold h WHERE h.municipality_id = $1 AND h.address_id = a.id AND h.released_at IS NULL)
					AND NOT EXISTS (SELECT FROM address_event e WHERE e.municipality_id = $1 AND e.address_id = a.id)
				RETURNING a.id)
			SELECT (SELECT array_agg(id ORDER BY id) FROM gone),
				(SELECT count(*) FROM device_connection k JOIN gone g ON k.address_id = g.id WHERE k.municipality_id = $1),
				(SELECT count(*) FROM hold h JOIN gone g ON h.address_id = g.id WHERE h.municipality_id = $1)`, m, addresses).
			QueryRow(func(row pgx.Row) error {
				var connections, holds int64
				if err := row.Scan(&erased.Addresses, &connections, &holds); err != nil {
					return err
				}
				erased.count("address", int64(len(erased.Addresses)))
				erased.count("device_connection", connections)
				erased.count("hold", holds)
				return nil
			})
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return Erased{}, err
	}
	if erased.Counts["client"] != int64(len(ids)) {
		return Erased{}, problem.Conflict{Code: "busy"}
	}
	slices.Sort(erased.BlobKeys)
	return erased, nil
}

func (e *Erased) count(table string, n int64) {
	if n > 0 {
		e.Counts[table] += n
	}
}

func (e *Erased) delete(batch *pgx.Batch, table, sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		rows.Close()
		e.count(table, rows.CommandTag().RowsAffected())
		return rows.Err()
	})
}

func (e *Erased) deleteEvents(batch *pgx.Batch, sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
		e.count("address_event", int64(len(keys)))
		for _, key := range keys {
			if key != "" {
				e.BlobKeys = append(e.BlobKeys, key)
			}
		}
		return err
	})
}

// taken deletes rows of a table, counts them, and keeps what each of them points at.
func taken[T any](e *Erased, batch *pgx.Batch, table string, into *[]T, sql string, args ...any) {
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, pgx.RowTo[T])
		e.count(table, int64(len(*into)))
		return err
	})
}

// DropEmptyDwellings drops addresses that the last resident has moved from, when no device, hold or event keeps them
// (D19). The sweep calls it; needs RoundSweep.
func DropEmptyDwellings(ctx context.Context, tx *pg.Tx) error {
	if err := tx.Require(access.RoundSweep); err != nil {
		return err
	}
	const empty = `NOT EXISTS (SELECT FROM client c WHERE c.municipality_id = a.municipality_id AND c.address_id = a.id)
		AND NOT EXISTS (SELECT FROM device_connection k WHERE k.municipality_id = a.municipality_id AND k.address_id = a.id AND k.disconnected_at IS NULL)
		AND NOT EXISTS (SELECT FROM hold h WHERE h.municipality_id = a.municipality_id AND h.address_id = a.id AND h.released_at IS NULL)
		AND NOT EXISTS (SELECT FROM address_event e WHERE e.municipality_id = a.municipality_id AND e.address_id = a.id)`
	// Somebody may be moving in: the rows are locked first and looked at again by the statement that deletes them.
	rows, err := tx.Query(ctx, `SELECT a.id FROM address a WHERE a.municipality_id = $1 AND `+empty+` ORDER BY a.id LIMIT 1000 FOR UPDATE SKIP LOCKED`, tx.Municipality())
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil || len(ids) == 0 {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM address a WHERE a.municipality_id = $1 AND a.id = ANY ($2) AND `+empty, tx.Municipality(), ids)
	return err
}
