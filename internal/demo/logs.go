package demo

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/pg"
)

// looks lets people of a municipality look at clients, so that the privacy officer has something to read and to assess: an
// ordinary morning, and late one evening a protected client and a namesake, by somebody who does not work at night.
func (p *play) looks(s *stage) []step {
	d := p.days
	look := func(who int, at time.Time, of ...person) step {
		return step{at, "look", func(ctx context.Context) error {
			for _, c := range of {
				err := p.as(ctx, s.caseworkers[who], func(tx *pg.Tx) error {
					_, err := client.FindTab(ctx, tx, c.id, "record")
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		}}
	}
	active := s.people[:0:0]
	var odd []person
	surname := s.caseworkers[1].Name[strings.LastIndex(s.caseworkers[1].Name, " ")+1:]
	for _, c := range s.people {
		if c.status != client.Active || !c.until.Before(d.at(d.today.AddDays(-30), 0, 0)) {
			continue
		}
		switch {
		case c.protected, c.family == surname && len(odd) < 2:
			odd = append(odd, c)
		case len(active) < 8:
			active = append(active, c)
		}
	}
	evening := d.current.AddDays(-deletion.LeadDays - 2)
	if !d.at(evening, 23, 40).Before(d.start) { // a demo that begins at the beginning of its quarter
		return nil
	}
	return []step{look(0, d.at(evening, 9, 20), active...), look(1, d.at(evening, 23, 40), slices.Concat(odd, active[:min(2, len(active))])...)}
}
