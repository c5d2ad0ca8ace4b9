package retention

import (
	"context"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// factsQuery reads every fact of D2-D6, D19, D21 and D24 for a set of clients in one statement, so that it can be asked
// again, as a new statement, once the rows are locked (PERFORMANCE 1.11). rights_request belongs to rights, which lies
// above; its writers hold the client, so its rows need no lock of their own.
const factsQuery = `
SELECT c.id, c.number, coalesce(c.national_id, '') AS national_id, c.address_id, c.status, c.agreement_end,
  (SELECT array_agg(e.at ORDER BY e.at, e.id) FROM status_entry e WHERE e.municipality_id = $1 AND e.client_id = c.id) AS ats,
  (SELECT array_agg(e.status ORDER BY e.at, e.id) FROM status_entry e WHERE e.municipality_id = $1 AND e.client_id = c.id) AS statuses,
  coalesce(own.n, 0) AS on_client, coalesce(shared.n, 0) AS on_address, held.reasons, held.reviews, home.reasons, home.reviews,
  c.national_id IS NOT NULL AND EXISTS (SELECT FROM client twin WHERE twin.municipality_id = $1 AND twin.national_id = c.national_id
    AND twin.status IN ('ordered', 'active') AND twin.id <> c.id) AS active_twin,
  c.duplicate_confirmed_at IS NOT NULL AS twin_confirmed, coalesce(asked.n, 0) AS open_requests, c.restricted_at IS NOT NULL AS restricted
FROM client c
LEFT JOIN (SELECT client_id, count(*) AS n FROM device_connection WHERE municipality_id = $1 AND client_id = ANY ($2) AND disconnected_at IS NULL
  GROUP BY client_id) own ON own.client_id = c.id
LEFT JOIN (SELECT k.address_id, count(*) AS n FROM device_connection k WHERE k.municipality_id = $1 AND k.disconnected_at IS NULL
    AND k.address_id IN (SELECT address_id FROM client WHERE municipality_id = $1 AND id = ANY ($2))
  GROUP BY k.address_id) shared ON shared.address_id = c.address_id
LEFT JOIN (SELECT client_id, array_agg(reason ORDER BY id) AS reasons, array_agg(review_on ORDER BY id) AS reviews FROM hold
  WHERE municipality_id = $1 AND client_id = ANY ($2) AND released_at IS NULL GROUP BY client_id) held ON held.client_id = c.id
LEFT JOIN (SELECT h.address_id, array_agg(h.reason ORDER BY h.id) AS reasons, array_agg(h.review_on ORDER BY h.id) AS reviews FROM hold h
  WHERE h.municipality_id = $1 AND h.released_at IS NULL
    AND h.address_id IN (SELECT address_id FROM client WHERE municipality_id = $1 AND id = ANY ($2)) GROUP BY h.address_id) home ON home.address_id = c.address_id
LEFT JOIN (SELECT client_id, count(*) AS n FROM rights_request WHERE municipality_id = $1 AND client_id = ANY ($2)
  AND state IN ('received', 'prepared') AND kind <> 'erasure' GROUP BY client_id) asked ON asked.client_id = c.id
WHERE c.municipality_id = $1 AND c.id = ANY ($2)
ORDER BY c.id`

// LoadFacts reads the facts of the given clients, ordered by id; clients that do not exist (any more) are left out. It
// takes no locks: the purge locks first and then asks here, in a new statement. Needs ClientRead.
func LoadFacts(ctx context.Context, tx *pg.Tx, ids []uuid.UUID) ([]Facts, error) {
	if err := tx.Require(access.ClientRead); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, factsQuery, tx.Municipality(), ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanFacts)
}

func scanFacts(row pgx.CollectableRow) (Facts, error) {
	var (
		f                           Facts
		ats                         []time.Time
		statuses                    []client.Status
		holdReasons, addressReasons []string
		holdReviews, addressReviews []time.Time
	)
	err := row.Scan(&f.Client, &f.Number, &f.NationalID, &f.Address, &f.Status, &f.AgreementEnd, &ats, &statuses,
		&f.DevicesOnClient, &f.DevicesOnAddress, &holdReasons, &holdReviews, &addressReasons, &addressReviews, &f.ActiveTwin, &f.TwinConfirmed, &f.OpenRequests, &f.Restricted)
	if err != nil {
		return f, err
	}
	for i, at := range ats {
		f.History = append(f.History, Entry{At: at, Status: statuses[i]})
	}
	for i, reason := range holdReasons {
		f.Holds = append(f.Holds, HoldFact{Reason: reason, ReviewOn: calendar.DateOf(holdReviews[i])})
	}
	for i, reason := range addressReasons {
		f.Holds = append(f.Holds, HoldFact{Reason: reason, ReviewOn: calendar.DateOf(addressReviews[i])})
	}
	return f, nil
}
