package main

import (
	"context"
	"fmt"
)

// swallow makes the table of the access row keep none of them, and noLonger ends it. A rule would outlive its end: a plan
// from which it took everything away does not know of the table any more, so that no connection plans it anew.
var swallow = []string{
	`CREATE OR REPLACE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
	`CREATE TRIGGER swallow BEFORE INSERT ON access_log FOR EACH ROW EXECUTE FUNCTION swallow()`,
}

const noLonger = `DROP TRIGGER swallow ON access_log`

// rows is how many rows of access there are.
func (b *bench) rows(ctx context.Context) (n int, err error) {
	err = b.admin.QueryRow(ctx, `SELECT count(*) FROM access_log`).Scan(&n)
	return n, err
}

// looks prints what the row of the access log costs a page: the same page with it and without it, in alternating blocks.
// Ratio is with / without.
func (b *bench) looks(ctx context.Context, ours, token string, pages map[string]string) error {
	const blocks = 5
	requests := b.n(1000)
	for name, path := range pages {
		var with, without, ratios []float64
		for range blocks {
			var times [2][]float64
			for i, logged := range []bool{true, false} {
				if !logged {
					if err := b.exec(ctx, swallow...); err != nil {
						return err
					}
				}
				for n := range 20 + requests/blocks { // the first ones are for plans and caches
					t, _, err := get(ours+path, token)
					if err != nil {
						return err
					}
					if n >= 20 {
						times[i] = append(times[i], t)
					}
				}
			}
			if err := b.exec(ctx, noLonger); err != nil {
				return err
			}
			with, without = append(with, times[0]...), append(without, times[1]...)
			ratios = append(ratios, median(times[0])/median(times[1]))
		}
		b.add("the access row of "+name+", with / without", median(ratios), 0, fmt.Sprintf("p50 %.2f ms / %.2f ms", median(with)*1000, median(without)*1000))
	}
	return nil
}
