package account

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/jackc/pgx/v5"
)

// FindStaff finds who is meant by a staff number, of any organisation, or by words of the name of the own municipality's
// people: their accounts, in the order of the ids. Needs AccessLogRead.
func FindStaff(ctx context.Context, tx *pg.Tx, text string) ([]int64, error) {
	if err := tx.Require(access.AccessLogRead); err != nil {
		return nil, err
	}
	text = strings.Join(strings.Fields(text), " ")
	var byNumber *int64
	if err := tx.QueryRow(ctx, `SELECT staff_account($1)`, strings.ToUpper(text)).Scan(&byNumber); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	if byNumber != nil {
		return []int64{*byNumber}, nil
	}
	staff, err := Staff(ctx, tx)
	if err != nil {
		return nil, err
	}
	var found []int64
	for id, member := range staff {
		name := strings.ToLower(member.Name)
		if !slices.ContainsFunc(strings.Fields(strings.ToLower(text)), func(word string) bool { return !strings.Contains(name, word) }) {
			found = append(found, id)
		}
	}
	slices.Sort(found)
	return found, nil
}
