package deletion

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// The purge of one chunk with its hook right before the commit, where a race test stands still.
var (
	PurgeChunk    = purgeChunk
	ErrNotRunning = errNotRunning
)

// Work does one job as River would, in the caller's goroutine: row is running and ctx carries a River client.
func Work(ctx context.Context, deps Deps, row *rivertype.JobRow) error {
	switch row.Kind {
	case "fill":
		return work(row, func(j *river.Job[FillArgs]) error { return inRound(ctx, deps, j, j.Args.RoundID, fill) })
	case "control":
		return work(row, func(j *river.Job[ControlArgs]) error { return inRound(ctx, deps, j, j.Args.RoundID, control) })
	case "deviation":
		return work(row, func(j *river.Job[DeviationArgs]) error { return inRound(ctx, deps, j, j.Args.RoundID, deviation) })
	case "begin":
		return work(row, func(j *river.Job[BeginArgs]) error { return inRound(ctx, deps, j, j.Args.RoundID, begin) })
	case "finish":
		return work(row, func(j *river.Job[FinishArgs]) error { return inRound(ctx, deps, j, j.Args.RoundID, finish) })
	case "chunk":
		return work(row, func(j *river.Job[ChunkArgs]) error { return workChunk(ctx, deps, j) })
	case "blob":
		return work(row, func(j *river.Job[BlobArgs]) error { return workBlobs(ctx, deps, j) })
	}
	return fmt.Errorf("no worker for %s", row.Kind)
}

func work[T river.JobArgs](row *rivertype.JobRow, do func(*river.Job[T]) error) error {
	job := &river.Job[T]{JobRow: row}
	if err := json.Unmarshal(row.EncodedArgs, &job.Args); err != nil {
		return err
	}
	return do(job)
}
