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
// again, as a new statement, once the rows are locked (PERFORMANCE 1.11).
const factsQuery = `
SELECT c.id, c.number, coalesce(c.national_id, '') AS national_id, c.address_id, c.status, c.agreement_end,
  coalesce(h.ats, '{}') AS ats, coalesce(h.statuses, '{}') AS statuses,
  (SELECT count(*) FROM device_connection d WHERE d.municipality_id = c.municipality_id AND d.client_id = c.id AND d.disconnected_at IS NULL) AS on_client,
  (SELECT count(*) FROM device_connection d WHERE d.municipality_id = c.municipality_id AND d.address_id = c.address_id AND d.disconnected_at IS NULL) AS on_address,
  (SELECT array_agg(b.reason ORDER BY b.id) FROM hold b WHERE b.municipality_id = c.municipality_id AND b.released_at IS NULL AND b.client_id = c.id) AS hold_reasons,
  (SELECT array_agg(b.review_on ORDER BY b.id) FROM hold b WHERE b.municipality_id = c.municipality_id AND b.released_at IS NULL AND b.client_id = c.id) AS hold_reviews,
  (SELECT array_agg(b.reason ORDER BY b.id) FROM hold b WHERE b.municipality_id = c.municipality_id AND b.released_at IS NULL AND b.address_id = c.address_id) AS address_reasons,
  (SELECT array_agg(b.review_on ORDER BY b.id) FROM hold b WHERE b.municipality_id = c.municipality_id AND b.released_at IS NULL AND b.address_id = c.address_id) AS address_reviews,
  EXISTS (SELECT FROM client twin WHERE twin.municipality_id = c.municipality_id AND twin.national_id = c.national_id
    AND twin.status IN ('ordered', 'active') AND twin.id <> c.id) AS active_twin,
  c.duplicate_confirmed_at IS NOT NULL AS twin_confirmed
FROM client c
LEFT JOIN LATERAL (SELECT array_agg(e.at ORDER BY e.at, e.id) AS ats, array_agg(e.status ORDER BY e.at, e.id) AS statuses
  FROM status_entry e WHERE e.municipality_id = c.municipality_id AND e.client_id = c.id) h ON true
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
		&f.DevicesOnClient, &f.DevicesOnAddress, &holdReasons, &holdReviews, &addressReasons, &addressReviews, &f.ActiveTwin, &f.TwinConfirmed)
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
