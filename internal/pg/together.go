package pg

import (
	"context"
	"errors"
	"iter"

	"github.com/jackc/pgx/v5"
)

// Together answers several independent questions in as few round trips as their longest chain has statements. Each read
// is run until it asks; then what all of them ask is sent in one batch, and each goes on with its own rows until it asks
// again. They take turns, so they need no locks, and they share the transaction; but their order is nobody's promise: a
// read that needs another's answer belongs behind it in the same function. Reads may go Together again inside. They only
// read: no jobs, no COPY. The first error ends all and is returned.
func (tx *Tx) Together(ctx context.Context, reads ...func() error) error {
	if tx.turn != nil {
		return tx.turn.of.inside(tx.turn, reads)
	}
	t := &together{tx: tx}
	defer t.end()
	for _, read := range reads {
		t.start(nil, read)
	}
	for t.err == nil && len(t.waiting) > 0 {
		t.round(ctx)
	}
	return t.err
}

// together is one turn-taking. A reader is a coroutine: it yields what it asks, or nothing while it waits for readers that
// it started itself, and goes on when it has been answered.
type together struct {
	tx      *Tx
	readers []*reader
	waiting []*question
	err     error
}

type reader struct {
	of     *together
	parent *reader
	inside int  // readers that it started and that are not done
	parked bool // it waits for them
	next   func() (*question, bool)
	stop   func()
	yield  func(*question) bool
}

// question is a statement, or a batch of a reader's own, and its answer.
type question struct {
	from    *reader
	sql     string
	args    []any
	batch   *pgx.Batch
	rows    pgx.Rows
	results pgx.BatchResults
	err     error
}

var errEnded = errors.New("pg: another read of these has failed")

func (t *together) start(parent *reader, read func() error) {
	r := &reader{of: t, parent: parent}
	if parent != nil {
		parent.inside++
	}
	r.next, r.stop = iter.Pull(func(yield func(*question) bool) {
		r.yield = yield
		if err := read(); err != nil && t.err == nil {
			t.err = err
		}
	})
	t.readers = append(t.readers, r)
	t.resume(r)
}

// inside is Together called by a reader.
func (t *together) inside(r *reader, reads []func() error) error {
	for _, read := range reads {
		t.start(r, read)
	}
	if r.inside > 0 && t.err == nil {
		r.parked = true
		if !r.yield(nil) {
			return errEnded
		}
	}
	return t.err
}

// resume lets a reader go on until it asks again or is done; with the last one inside it, its parent goes on.
func (t *together) resume(r *reader) {
	before := t.tx.turn
	t.tx.turn = r
	q, more := r.next()
	t.tx.turn = before
	switch {
	case q != nil:
		q.from = r
		t.waiting = append(t.waiting, q)
	case !more && r.parent != nil:
		p := r.parent
		if p.inside--; p.inside == 0 && p.parked && t.err == nil {
			p.parked = false
			t.resume(p)
		}
	}
}

// ask gives a question to the others' round and comes back with its answer.
func (r *reader) ask(q *question) *question {
	if !r.yield(q) {
		q.rows, q.results, q.err = nil, failed{errEnded}, errEnded
	}
	return q
}

// round sends what is asked and hands out the answers in order: a reader reads its rows to the end before the next one's
// begin.
func (t *together) round(ctx context.Context) {
	asking := t.waiting
	t.waiting = nil
	batch := &pgx.Batch{}
	for _, q := range asking {
		if q.batch == nil {
			batch.Queue(q.sql, q.args...)
		}
	}
	if batch.Len() > 0 {
		results := t.tx.SendBatch(ctx, batch)
		for _, q := range asking {
			if q.batch == nil && t.err == nil {
				q.rows, q.err = results.Query()
				t.resume(q.from)
				if q.rows != nil {
					q.rows.Close()
				}
			}
		}
		if err := results.Close(); err != nil && t.err == nil {
			t.err = err
		}
	}
	for _, q := range asking {
		if q.batch != nil && t.err == nil {
			q.results = t.tx.SendBatch(ctx, q.batch)
			t.resume(q.from)
		}
	}
}

func (t *together) end() {
	for _, r := range t.readers {
		t.tx.turn = r
		r.stop()
	}
	t.tx.turn = nil
}
