package main

import (
	"context"
	"fmt"
)

// looks prints what the row of the access log costs a page: the same page with it and without it, in alternating blocks.
// Ratio is with / without.
func (b *bench) looks(ctx context.Context, ours, token string, pages map[string]string) error {
	const blocks = 5
	requests := b.n(1000)
	for name, path := range pages {
		var with, without, ratios []float64
		for range blocks {
			var times [2][]float64
			for i, swallow := range []bool{false, true} {
				if swallow {
					if err := b.exec(ctx, `CREATE RULE swallow AS ON INSERT TO access_log DO INSTEAD NOTHING`); err != nil {
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
			if err := b.exec(ctx, `DROP RULE swallow ON access_log`); err != nil {
				return err
			}
			with, without = append(with, times[0]...), append(without, times[1]...)
			ratios = append(ratios, median(times[0])/median(times[1]))
		}
		b.add("the access row of "+name+", with / without", median(ratios), 0, fmt.Sprintf("p50 %.2f ms / %.2f ms", median(with)*1000, median(without)*1000))
	}
	return nil
}
