package deletion

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/riverqueue/river"
)

// The jobs. Their arguments are ids and nothing else (D26). Every one of them may run any number of times.
type (
	// SweepArgs is the hourly tick.
	SweepArgs struct{}
	// FillArgs fills an ordered extra round.
	FillArgs struct {
		RoundID int64 `json:"round_id"`
	}
	// ControlArgs runs the pre-run control.
	ControlArgs struct {
		RoundID int64 `json:"round_id"`
	}
	// DeviationArgs draws the consequences of spot-check findings.
	DeviationArgs struct {
		RoundID int64 `json:"round_id"`
	}
	// BeginArgs verifies a started round and wakes its chunks.
	BeginArgs struct {
		RoundID int64 `json:"round_id"`
	}
	// ChunkArgs purges one chunk.
	ChunkArgs struct {
		RoundID int64 `json:"round_id"`
		Chunk   int   `json:"chunk"`
	}
	// BlobArgs deletes one batch of objects and verifies their absence.
	BlobArgs struct {
		RoundID int64 `json:"round_id"`
		Batch   int64 `json:"batch"`
	}
	// FinishArgs verifies and finishes a round.
	FinishArgs struct {
		RoundID int64 `json:"round_id"`
	}
)

// Kind names the job in River.
func (SweepArgs) Kind() string { return "sweep" }

// Kind names the job in River.
func (FillArgs) Kind() string { return "fill" }

// Kind names the job in River.
func (ControlArgs) Kind() string { return "control" }

// Kind names the job in River.
func (DeviationArgs) Kind() string { return "deviation" }

// Kind names the job in River.
func (BeginArgs) Kind() string { return "begin" }

// Kind names the job in River.
func (ChunkArgs) Kind() string { return "chunk" }

// Kind names the job in River.
func (BlobArgs) Kind() string { return "blob" }

// Kind names the job in River.
func (FinishArgs) Kind() string { return "finish" }

// Queues: chunks and blobs have their own, so that neither waits for the other.
const (
	PurgeQueue = "purge"
	BlobQueue  = "blob"
)

// InsertOpts puts chunks in their queue. Twenty-five attempts, then discarded and seen.
func (ChunkArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: PurgeQueue} }

// InsertOpts puts blobs in their queue.
func (BlobArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{Queue: BlobQueue} }

// Deps is what the workers work with.
type Deps struct {
	DB    *pg.DB
	Blobs *blob.Store
	Key   []byte // for the hashes of D22 and D25; lies outside the database
	Log   *slog.Logger
}

// AddWorkers registers the workers of this package.
func AddWorkers(workers *river.Workers, deps Deps) {
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[SweepArgs]) error { return Sweep(ctx, deps.DB) }))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[FillArgs]) error {
		return inRound(ctx, deps, job, job.Args.RoundID, fill)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[ControlArgs]) error {
		return inRound(ctx, deps, job, job.Args.RoundID, control)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[DeviationArgs]) error {
		return inRound(ctx, deps, job, job.Args.RoundID, deviation)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[BeginArgs]) error {
		return inRound(ctx, deps, job, job.Args.RoundID, begin)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[FinishArgs]) error {
		return inRound(ctx, deps, job, job.Args.RoundID, finish)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[ChunkArgs]) error { return workChunk(ctx, deps, job) }))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[BlobArgs]) error { return workBlobs(ctx, deps, job) }))
}

// systemOf is the system, standing in the municipality that the round belongs to.
func systemOf(ctx context.Context, db *pg.DB, round int64) (access.Caller, error) {
	caller := access.SystemFor(0)
	var m int
	err := db.InTx(ctx, caller, func(tx *pg.Tx) error {
		return tx.QueryRow(ctx, `SELECT municipality_id FROM round_directory WHERE round_id = $1`, round).Scan(&m)
	})
	return caller.In(m), err
}

// inRound does one step of a round and completes its job in the same transaction.
func inRound[T river.JobArgs](ctx context.Context, deps Deps, job *river.Job[T], round int64, step func(context.Context, *pg.Tx, int64) error) error {
	caller, err := systemOf(ctx, deps.DB, round)
	if err != nil {
		return err
	}
	return deps.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
		if err := step(ctx, tx, round); err != nil {
			return err
		}
		return pg.Complete(ctx, tx, job)
	})
}

// workChunk purges a chunk. When the whole chunk cannot go through, it is tried in halves, down to one client, so that
// one bad row neither stops nor hides the others; that one stays, with the reason "failed".
func workChunk(ctx context.Context, deps Deps, job *river.Job[ChunkArgs]) error {
	caller, err := systemOf(ctx, deps.DB, job.Args.RoundID)
	if err != nil {
		return err
	}
	part := 0
	complete := func(tx *pg.Tx) error { return pg.Complete(ctx, tx, job) }
	nothing := func(*pg.Tx) error { return nil }

	err = deps.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
		return purgeChunk(ctx, tx, deps.Key, job.Args.RoundID, job.Args.Chunk, part, nil, complete)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNotRunning):
		return deps.DB.InTx(ctx, caller, complete) // the resume wakes it again
	case errors.Is(err, errListChanged):
		return deps.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
			round, err := lockRound(ctx, tx, job.Args.RoundID)
			if err != nil {
				return err
			}
			if round.State == Running {
				if err := stop(ctx, tx, round, "incident", "list_changed"); err != nil {
					return err
				}
			}
			return complete(tx)
		})
	case passing(err):
		return err // River tries again later
	}
	var state pg.StateError
	errors.As(err, &state) // a code, never a value
	deps.Log.WarnContext(ctx, "a chunk is tried in smaller parts", "round", job.Args.RoundID, "chunk", job.Args.Chunk, "job", job.ID, "sqlstate", state.State)
	var ids []uuid.UUID
	err = deps.DB.InTx(ctx, caller, func(tx *pg.Tx) (err error) {
		_, _, ids, err = fence(ctx, tx, job.Args.RoundID, job.Args.Chunk, nil)
		return err
	})
	if err != nil {
		return err
	}
	var smaller func(ids []uuid.UUID) error
	smaller = func(ids []uuid.UUID) error {
		if len(ids) == 0 {
			return nil
		}
		part++
		n := part
		err := deps.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
			return purgeChunk(ctx, tx, deps.Key, job.Args.RoundID, job.Args.Chunk, n, ids, nothing)
		})
		switch {
		case err == nil || errors.Is(err, errNotRunning):
			return err
		case passing(err) || errors.Is(err, errListChanged):
			return err
		case len(ids) == 1:
			return deps.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
				return failed(ctx, tx, job.Args.RoundID, job.Args.Chunk, ids[0], nothing)
			})
		}
		if err := smaller(ids[:len(ids)/2]); err != nil {
			return err
		}
		return smaller(ids[len(ids)/2:])
	}
	if err := smaller(ids); err != nil && !errors.Is(err, errNotRunning) {
		return err
	}
	return deps.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
		if err := brakeOnErrors(ctx, tx, job.Args.RoundID); err != nil {
			return err
		}
		return complete(tx)
	})
}

// passing says that the trouble is not in the data: the database is away, somebody holds a lock, we are being stopped.
func passing(err error) bool {
	var conflict problem.Conflict
	var state pg.StateError
	if errors.As(err, &state) && (strings.HasPrefix(state.State, "53") || strings.HasPrefix(state.State, "58")) {
		return true // no room, no memory, a disk that fails
	}
	return errors.As(err, new(problem.Unavailable)) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		(errors.As(err, &conflict) && conflict.Code == "busy")
}

// brakeOnErrors stops a round whose error rate has passed the municipality's limit (D16).
func brakeOnErrors(ctx context.Context, tx *pg.Tx, id int64) error {
	round, err := lockRound(ctx, tx, id)
	if err != nil || round.State != Running {
		return err
	}
	policy, err := municipality.PolicyOf(ctx, tx)
	if err != nil {
		return err
	}
	brake, err := brakeOf(ctx, tx, round, policy)
	if err != nil || brake == "" {
		return err
	}
	return stop(ctx, tx, round, "brake", brake)
}

// workBlobs deletes one batch of objects. Each is verified absent by the store itself before its key leaves the row;
// deleting what is gone already succeeds, so a kill between the store and the database does no harm.
func workBlobs(ctx context.Context, deps Deps, job *river.Job[BlobArgs]) error {
	caller, err := systemOf(ctx, deps.DB, job.Args.RoundID)
	if err != nil {
		return err
	}
	var keys []string
	err = deps.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
		return tx.QueryRow(ctx, `SELECT pending FROM blob_deletion WHERE municipality_id = $1 AND round_id = $2 AND batch = $3`,
			tx.Municipality(), job.Args.RoundID, job.Args.Batch).Scan(&keys)
	})
	if err != nil {
		return err
	}
	left := []string{}
	var trouble error
	for _, key := range keys {
		if err := deps.Blobs.Remove(ctx, key); err != nil {
			trouble, left = err, append(left, key)
		}
	}
	err = deps.DB.InTx(ctx, caller, func(tx *pg.Tx) error {
		// Two workers may have had the batch: what either has found absent is gone.
		_, err := tx.Exec(ctx, `UPDATE blob_deletion SET pending = array(SELECT k FROM unnest(pending) k WHERE k = ANY ($4))
			WHERE municipality_id = $1 AND round_id = $2 AND batch = $3`,
			tx.Municipality(), job.Args.RoundID, job.Args.Batch, left)
		if err != nil || trouble != nil {
			return err // what went is written down; for the rest River brings the job again
		}
		if err := tx.Enqueue(ctx, FinishArgs{RoundID: job.Args.RoundID}); err != nil {
			return err
		}
		return pg.Complete(ctx, tx, job)
	})
	return errors.Join(err, trouble)
}
