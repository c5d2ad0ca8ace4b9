package pg_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"
)

// trips counts what goes to the server: a batch is one.
type trips struct{ n int }

func (c *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n++
	return ctx
}
func (c *trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (c *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.n++
	return ctx
}
func (c *trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// Whatever the reads ask, they get what they would have got one after another, in as many round trips as the longest has
// questions, and one for the commit.
func TestTogetherAnswersAsOneAfterAnother(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	count := &trips{}
	db, err := pg.Open(t.Context(), pg.Config{Web: env.DSN("frist_web", "web"), Tracer: count})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	caller := access.Caller{Account: 7, Roles: []access.Role{access.Caseworker}, Municipality: 1}
	rapid.Check(t, func(r *rapid.T) {
		chains := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 4), 0, 4), 1, 5).Draw(r, "chains") // each question: how many rows
		run := func(together bool) (got [][]int, n int) {
			got = make([][]int, len(chains))
			err := db.InTx(t.Context(), caller, func(tx *pg.Tx) error {
				var reads []func() error
				for i, chain := range chains {
					reads = append(reads, func() error {
						for q, rows := range chain {
							list, err := ask(t.Context(), tx, q, i, rows)
							if err != nil {
								return err
							}
							got[i] = append(got[i], list...)
						}
						return nil
					})
				}
				before := count.n
				if together {
					err := tx.Together(t.Context(), reads...)
					n = count.n - before
					return err
				}
				for _, read := range reads {
					if err := read(); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				r.Fatal(err)
			}
			return got, n
		}
		want, _ := run(false)
		got, n := run(true)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			r.Fatalf("together %v, one after another %v", got, want)
		}
		longest := 0
		for _, chain := range chains {
			longest = max(longest, len(chain))
		}
		if n > longest+batches(chains) {
			r.Fatalf("%d round trips for %v", n, chains)
		}
	})
}

// ask is one question: most times a query, at every third place a batch of its own.
func ask(ctx context.Context, tx *pg.Tx, place, chain, rows int) (list []int, err error) {
	if place%3 == 2 {
		b := &pgx.Batch{}
		b.Queue(`SELECT $1::int + n FROM generate_series(1, $2) n`, 100*chain, rows).Query(func(r pgx.Rows) (err error) {
			list, err = pgx.CollectRows(r, pgx.RowTo[int])
			return err
		})
		return list, tx.SendBatch(ctx, b).Close()
	}
	r, err := tx.Query(ctx, `SELECT $1::int + n FROM generate_series(1, $2) n`, 100*chain, rows)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(r, pgx.RowTo[int])
}

func batches(chains [][]int) (n int) {
	for _, chain := range chains {
		if len(chain) > 2 {
			n++
		}
	}
	return n
}

func TestTogetherEndsWithTheFirstError(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	caller := access.Caller{Account: 7, Roles: []access.Role{access.Caseworker}, Municipality: 1}
	boom := errors.New("boom")
	number := func(tx *pg.Tx, sql string) func() error {
		return func() error {
			var n int
			return tx.QueryRow(t.Context(), sql).Scan(&n)
		}
	}
	for name, c := range map[string]struct {
		reads func(tx *pg.Tx) []func() error
		state string
	}{
		"of the database": {func(tx *pg.Tx) []func() error {
			return []func() error{number(tx, `SELECT 1`), number(tx, `SELECT 1/0`), number(tx, `SELECT 2`)}
		}, "22012"},
		"of a reader": {func(tx *pg.Tx) []func() error {
			return []func() error{number(tx, `SELECT 1`), func() error { return boom }, number(tx, `SELECT 2`)}
		}, ""},
		"of one inside": {func(tx *pg.Tx) []func() error {
			return []func() error{number(tx, `SELECT 1`), func() error {
				return tx.Together(t.Context(), number(tx, `SELECT 1`), func() error { return errors.Join(number(tx, `SELECT 2`)(), boom) }, number(tx, `SELECT 3`))
			}}
		}, ""},
		"after an answer": {func(tx *pg.Tx) []func() error {
			return []func() error{func() error { return errors.Join(number(tx, `SELECT 1`)(), boom) }, func() error { _ = number(tx, `SELECT 2`)(); return number(tx, `SELECT 3`)() }}
		}, ""},
	} {
		err := env.DB.InTx(t.Context(), caller, func(tx *pg.Tx) error { return tx.Together(t.Context(), c.reads(tx)...) })
		var state pg.StateError
		if c.state == "" && !errors.Is(err, boom) || c.state != "" && (!errors.As(err, &state) || state.State != c.state) {
			t.Errorf("%s: %v", name, err)
		}
		// The connection is fit for the next one.
		if err := env.DB.InTx(t.Context(), caller, func(tx *pg.Tx) error { return number(tx, `SELECT 1`)() }); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// A read within a read, and one that leaves its rows half read.
func TestTogetherInside(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	caller := access.Caller{Account: 7, Roles: []access.Role{access.Caseworker}, Municipality: 1}
	count := &trips{}
	db, err := pg.Open(t.Context(), pg.Config{Web: env.DSN("frist_web", "web"), Tracer: count})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var got []int
	one := func(tx *pg.Tx, n int) func() error {
		return func() error {
			rows, err := tx.Query(t.Context(), `SELECT $1::int FROM generate_series(1, 3)`, n)
			if err != nil {
				return err
			}
			rows.Next()
			var k int
			if err := rows.Scan(&k); err != nil {
				return err
			}
			got = append(got, k)
			rows.Close()
			return rows.Err()
		}
	}
	before := count.n
	err = db.InTx(t.Context(), caller, func(tx *pg.Tx) error {
		return tx.Together(t.Context(), one(tx, 1), func() error {
			if err := tx.Together(t.Context(), one(tx, 2), func() error { return tx.Together(t.Context(), one(tx, 3)) }, func() error { return nil }); err != nil {
				return err
			}
			if err := one(tx, 5)(); err != nil {
				return err
			}
			return tx.Together(t.Context(), one(tx, 6))
		}, one(tx, 4))
	})
	if count.n-before != 4 { // 1, 2, 3 and 4; 5; 6; the commit
		t.Errorf("%d round trips", count.n-before)
	}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, []int{1, 2, 3, 4, 5, 6}) {
		t.Errorf("%v, %v", got, err)
	}
}
