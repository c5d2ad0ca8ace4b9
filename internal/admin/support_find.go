package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
)

// saveFindings keeps what was found so far; the rest can wait.
func (s *Server) saveFindings(w http.ResponseWriter, r *http.Request) error {
	if _, err := parse(r); err != nil {
		return err
	}
	chosen := chosenFindings(r.PostForm)
	deviations, kept := 0, 0
	err := s.inRound(r, func(ctx context.Context, tx *pg.Tx, round deletion.Round) (err error) {
		kept, deviations, err = keepFindings(ctx, tx, round.ID, chosen)
		return err
	})
	done := edge.Flash{Key: "support.flash.saved", N: kept}
	if deviations > 0 {
		done = edge.Flash{Key: "support.flash.deviation", N: deviations}
	}
	return s.controlled(w, r, err, chosen, done)
}

// chosenFindings reads the finding at each position.
func chosenFindings(form url.Values) map[int]string {
	chosen := map[int]string{}
	for i := range 10_000 {
		field := "funn-" + strconv.Itoa(i)
		if form.Has(field) {
			chosen[i] = form.Get(field)
		}
	}
	return chosen
}

// keepFindings records what is new among the findings, and tells how many of those are not "in stock".
func keepFindings(ctx context.Context, tx *pg.Tx, round int64, chosen map[int]string) (kept, deviations int, err error) {
	if err := tx.Require(access.RoundControl); err != nil {
		return 0, 0, err
	}
	if err := deletion.Covered(ctx, tx, round); err != nil {
		return 0, 0, err
	}
	checks, err := deletion.SpotChecks(ctx, tx, round)
	if err != nil {
		return 0, 0, err
	}
	for _, c := range checks {
		finding, ok := chosen[c.Position]
		if !ok || (c.Finding != nil && *c.Finding == finding) {
			continue
		}
		if err := deletion.Find(ctx, tx, round, c.Position, finding); err != nil {
			return 0, 0, err
		}
		kept++
		if finding != deletion.FoundInStock {
			deviations++
		}
	}
	return kept, deviations, nil
}
