package client

import (
	"context"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/google/uuid"
)

// Erased is what one erasure took: rows by table (without tables of which none went), the keys of sound that the blob
// store must lose too, and the addresses that went.
type Erased struct {
	Counts    map[string]int64
	BlobKeys  []string
	Addresses []uuid.UUID
}

// Erase erases clients.
func Erase(ctx context.Context, tx *pg.Tx, ids []ID) (Erased, error) {
	if err := tx.Require(access.RoundPurge); err != nil {
		return Erased{}, err
	}
	panic("next commit")
}
