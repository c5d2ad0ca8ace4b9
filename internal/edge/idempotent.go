package edge

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// keepAnswers is how long a repeated request is answered with the first one's answer.
const keepAnswers = 24 * time.Hour

// IdempotencyKey is the header of that name; empty when the caller sent none.
func IdempotencyKey(r *http.Request) string { return r.Header.Get("Idempotency-Key") }

// Idempotent does work at most once for the caller's key, and answers a repetition with the first answer. The key is
// claimed in the transaction of the work, so either both stand or neither: a second request with the same key waits for
// the first one's end (problem.Conflict "busy" after the lock timeout), and is done itself when that was rolled back.
// request is what was asked, with the act's name; the same key for something else is problem.Invalid. Without a key the
// work is simply done. What work answers is kept for 24 hours: identifiers, states and counts only.
func Idempotent(ctx context.Context, tx *pg.Tx, key string, request []byte, work func() (status int, body []byte, err error)) (status int, body []byte, err error) {
	if key == "" {
		return work()
	}
	if len(key) > 255 {
		return 0, nil, problem.InvalidField("Idempotency-Key", "too_long", problem.Params{"max": 255})
	}
	keyHash, requestHash := sha256.Sum256([]byte(key)), sha256.Sum256(request)
	var claimed bool
	err = tx.QueryRow(ctx, `INSERT INTO idempotency AS i (account_id, key_hash, request_hash, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account_id, key_hash) DO UPDATE SET request_hash = excluded.request_hash, status = NULL, body = NULL, created_at = excluded.created_at
			WHERE i.created_at <= $5
		RETURNING true`, tx.Caller.Account, keyHash[:], requestHash[:], tx.Now(), tx.Now().Add(-keepAnswers)).Scan(&claimed)
	if errors.As(pg.Translate(err), new(problem.NotFound)) {
		var first []byte
		err = tx.QueryRow(ctx, `SELECT request_hash, status, body FROM idempotency WHERE account_id = $1 AND key_hash = $2`, tx.Caller.Account, keyHash[:]).
			Scan(&first, &status, &body)
		if err == nil && string(first) != string(requestHash[:]) {
			err = problem.Tried(problem.InvalidField("Idempotency-Key", "key_reused", nil))
		}
		return status, body, err
	}
	if err != nil {
		return 0, nil, err
	}
	if status, body, err = work(); err != nil {
		return 0, nil, err
	}
	_, err = tx.Exec(ctx, `UPDATE idempotency SET status = $3, body = $4 WHERE account_id = $1 AND key_hash = $2`, tx.Caller.Account, keyHash[:], status, body)
	return status, body, err
}
