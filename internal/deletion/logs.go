package deletion

import (
	"context"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/visit"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// tendLogs does the sweep's part for the logs of one municipality, some rows in each transaction: what has outlived its
// rule goes, and the access log is read on for what is unusual. The zero Municipality is the installation, which has a
// trail of its own and no clients.
func tendLogs(ctx context.Context, db *pg.DB, m municipality.Municipality) error {
	steps := []func(context.Context, *pg.Tx) (bool, error){audit.Expire}
	if m.ID != 0 {
		steps = append(steps, visit.Expire, func(ctx context.Context, tx *pg.Tx) (bool, error) { return audit.Watch(ctx, tx, m.Zone) })
	}
	for _, step := range steps {
		for more := true; more; {
			err := db.InTx(ctx, access.SystemFor(m.ID), func(tx *pg.Tx) (err error) {
				more, err = step(ctx, tx)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// PurgedAs gives the ids that a person had as a client and has no more (D25): by the hash that a purge leaves beside the id.
// key lies outside the database; without it nobody finds anything. Needs RightsRead or AccessLogRead.
func PurgedAs(ctx context.Context, tx *pg.Tx, key []byte, nationalID string) ([]uuid.UUID, error) {
	if !tx.Caller.Can(access.AccessLogRead) {
		if err := tx.Require(access.RightsRead); err != nil {
			return nil, err
		}
	}
	rows, err := tx.Query(ctx, `SELECT id FROM subject_clients($1) AS s (id) ORDER BY id`, SubjectHash(key, tx.Municipality(), nationalID))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// FindPersons gives the clients that a text may mean (client.Persons), and the ids that a person with this national id had
// before. The id of a client that is gone is found too: it is the one thing that is left. Needs AccessLogRead.
func FindPersons(ctx context.Context, tx *pg.Tx, key []byte, text string) (found []client.Person, purged []client.ID, more bool, err error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return nil, nil, false, err
	}
	found, more, nationalID, err := client.Persons(ctx, tx, text)
	if err != nil {
		return nil, nil, false, err
	}
	if nationalID != "" {
		purged, err = PurgedAs(ctx, tx, key, nationalID)
	} else if id, wrong := client.ParseID(text); wrong == nil && len(found) == 0 {
		purged = []client.ID{id}
	}
	return found, purged, more, err
}
