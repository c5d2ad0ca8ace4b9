package rest

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	openapi_types "github.com/oapi-codegen/runtime/types"
)

// Few is a number of people as an operator sees it: 1 to 4 are "<5" (D26).
type Few int

// MarshalJSON hides small numbers, and what is hidden already (deletion.Few).
func (n Few) MarshalJSON() ([]byte, error) {
	if n < 0 || (n > 0 && n < 5) {
		return []byte(`"<5"`), nil
	}
	return json.Marshal(int(n))
}

// UnmarshalJSON reads it back, for programs that use these types: "<5" is 1.
func (n *Few) UnmarshalJSON(raw []byte) error {
	if string(raw) == `"<5"` {
		*n = 1
		return nil
	}
	var exact int
	if err := json.Unmarshal(raw, &exact); err != nil {
		return err
	}
	if exact < 0 || (exact > 0 && exact < 5) {
		return errors.New("rest: a small number that is not hidden")
	}
	*n = Few(exact)
	return nil
}

// set leaves out what is empty.
func set[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

// or is what a pointer points at, or another value.
func or[T any](p *T, other T) T {
	if p == nil {
		return other
	}
	return *p
}

func date(d calendar.Date) openapi_types.Date { return openapi_types.Date{Time: d.UTC()} }

func setDate(d calendar.Date) *openapi_types.Date {
	if d.IsZero() {
		return nil
	}
	shown := date(d)
	return &shown
}

func day(d *openapi_types.Date) calendar.Date {
	if d == nil {
		return calendar.Date{}
	}
	return calendar.DateOf(d.Time)
}

// days is day for a change, where nil means that nothing was said.
func days(d *openapi_types.Date) *calendar.Date {
	if d == nil {
		return nil
	}
	on := day(d)
	return &on
}

// list shows each element; an empty list is [] and never null.
func list[A, B any](from []A, show func(A) B) []B {
	to := make([]B, len(from))
	for i, a := range from {
		to[i] = show(a)
	}
	return to
}

func stamp(at time.Time, by string) Stamp { return Stamp{At: at, By: set(by)} }

// once does work at most once for the caller's key (edge.Idempotent). What it answers is kept, so it holds ids, numbers
// and states only.
func once[T any](ctx context.Context, tx *pg.Tx, p access.Permission, key *string, act string, request any, status int, work func() (T, error)) (answer T, err error) {
	if err := tx.Require(p); err != nil { // before a key is claimed for it
		return answer, err
	}
	asked, err := json.Marshal(struct {
		Act     string
		Request any
	}{act, request})
	if err != nil {
		return answer, err
	}
	_, body, err := edge.Idempotent(ctx, tx, or(key, ""), asked, func() (int, []byte, error) {
		done, err := work()
		if err != nil {
			return 0, nil, err
		}
		body, err := json.Marshal(done)
		return status, body, err
	})
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal(body, &answer)
}
