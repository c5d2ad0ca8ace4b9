package audit

import (
	"context"
	"strconv"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
)

// expireChunk is how many rows go in one transaction.
const expireChunk = 5000

// Expire removes rows of the two logs that are older than the municipality's rule for their class: some at a time; more
// says that there are others. How many went is on record, and nothing of what they were. The database refuses every other
// DELETE, and this one for a row that is younger (log_keeps). By the sweep.
func Expire(ctx context.Context, tx *pg.Tx) (more bool, err error) {
	if err := tx.Require(access.RoundSweep); err != nil {
		return false, err
	}
	if tx.Municipality() == 0 { // the installation's own trail; nobody of the system stands there otherwise
		if _, err := tx.Exec(ctx, `SELECT set_config('frist.municipality', '0', true)`); err != nil {
			return false, err
		}
	}
	for _, log := range []string{"audit", "access_log"} { // a class is called like its table
		gone, err := tx.Exec(ctx, `DELETE FROM `+log+` l USING (
				SELECT id FROM `+log+` WHERE municipality_id = $1 AND at < (SELECT log_cutoff($2)) ORDER BY at, id LIMIT $3) old
			WHERE l.municipality_id = $1 AND l.id = old.id`, tx.Municipality(), log, expireChunk)
		if err != nil {
			return false, err
		}
		if gone > 0 {
			Write(tx, access.RoundSweep, Record{Act: "log_expired", Subject: "municipality", SubjectID: strconv.Itoa(tx.Municipality()), Detail: map[string]any{"class": log, "count": gone}})
		}
		more = more || gone == expireChunk
	}
	// A finding speaks of rows of the access log and goes with them.
	_, err = tx.Exec(ctx, `DELETE FROM access_finding WHERE municipality_id = $1 AND last_at < (SELECT log_cutoff('access_log'))`, tx.Municipality())
	return more, err
}
