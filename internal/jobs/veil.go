package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// veil stands around every worker. River stores the text of an error in river_job, and the text of a database's error
// can hold the values of a row (PROOF 2.1): what goes past here is a code.
type veil struct {
	river.MiddlewareDefaults
	log *slog.Logger
}

func (v *veil) Work(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			// The stack names functions and addresses; the value, which could be anything, is left out.
			v.log.ErrorContext(ctx, "a job panicked", "job_id", job.ID, "kind", job.Kind, "attempt", job.Attempt,
				"type", fmt.Sprintf("%T", value), "stack", string(debug.Stack()))
			err = coded{code: "internal", kind: "panic"}
		}
	}()
	return conceal(work(ctx))
}

// coded is an error of which nothing is known but a code and the types that it was made of.
type coded struct {
	code, kind string
	cause      error // context.Canceled or context.DeadlineExceeded, by which River tells a stop from a failure
}

func (e coded) Error() string { return e.code }
func (e coded) Unwrap() error { return e.cause }

// conceal gives what River may keep of err: "problem: …" for what has a code, "database: SQLSTATE" for what the database
// refused, else "internal". Snoozes and cancellations stay what they are.
func conceal(err error) error {
	if err == nil {
		return nil
	}
	if snooze := (*rivertype.JobSnoozeError)(nil); errors.As(err, &snooze) {
		return snooze
	}
	if cancel := (*rivertype.JobCancelError)(nil); errors.As(err, &cancel) {
		inner := errors.Unwrap(cancel)
		if inner == nil {
			inner = errors.New("cancelled")
		}
		return river.JobCancel(conceal(inner))
	}
	e := coded{code: "internal", kind: types(err)}
	var (
		state  pg.StateError
		pgErr  *pgconn.PgError
		public = publicText(err)
	)
	switch {
	case public != "":
		e.code = "problem: " + public
	case errors.As(err, &state):
		e.code = "database: " + state.State
	case errors.As(err, &pgErr):
		e.code = "database: " + pgErr.Code
	case errors.Is(err, context.DeadlineExceeded):
		e.code, e.cause = "timeout", context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		e.code, e.cause = "stopped", context.Canceled
	}
	return e
}

// publicText is the text of the problem that is in err, without what was wrapped around it. Problems hold codes only.
func publicText(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		switch p := err.(type) { //nolint:errorlint // the loop unwraps; what is wanted is the one error without its wrapping
		case problem.NotFound, problem.Forbidden, problem.Invalid, problem.Conflict, problem.Blocked, problem.Unavailable:
			return p.Error()
		}
	}
	return ""
}

// types names the types of which err is made, outermost first: enough to find the place, and never a value.
func types(err error) string {
	var names []string
	for ; err != nil; err = errors.Unwrap(err) {
		names = append(names, fmt.Sprintf("%T", err))
	}
	return strings.Join(names, " < ")
}

// reporter logs every failed attempt, by ids, code and types.
type reporter struct{ log *slog.Logger }

func (r *reporter) HandleError(ctx context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	e := coded{code: "internal", kind: types(err)}
	_ = errors.As(err, &e) // everything that a worker returned is one
	level, text := slog.LevelWarn, "a job failed and is tried again"
	if job.Attempt >= job.MaxAttempts {
		level, text = slog.LevelError, "a job is given up"
	}
	r.log.Log(ctx, level, text, "job_id", job.ID, "kind", job.Kind, "attempt", job.Attempt, "of", job.MaxAttempts, "code", e.code, "type", e.kind)
	return nil
}

func (r *reporter) HandlePanic(ctx context.Context, job *rivertype.JobRow, value any, _ string) *river.ErrorHandlerResult {
	r.log.ErrorContext(ctx, "a job panicked", "job_id", job.ID, "kind", job.Kind, "attempt", job.Attempt, "type", fmt.Sprintf("%T", value))
	return nil
}

// quiet is River's own logger: ids, kinds, counts and times go through, texts of errors and arguments do not.
type quiet struct{ next slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.next.Enabled(ctx, level)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(bare(a))
		return true
	})
	return q.next.Handle(ctx, clean)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	kept := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		kept[i] = bare(a)
	}
	return quiet{q.next.WithAttrs(kept)}
}

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.next.WithGroup(name)} }

// words are the attributes whose text is known to be a name of River's or ours.
var words = map[string]bool{
	"kind": true, "job_kind": true, "queue": true, "client_id": true, "leader_id": true, "function_name": true, "topic": true,
	"schema": true, "name": true, "state": true,
}

var sqlState = regexp.MustCompile(`SQLSTATE ([0-9A-Z]{5})`)

// harmless are texts that a network or a context ends with, whoever was connected.
var harmless = []string{
	"connection refused", "connection reset by peer", "broken pipe", "unexpected EOF", "conn closed", "closed pool", "i/o timeout",
	"context canceled", "context deadline exceeded", "no such host",
}

func bare(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	switch value.Kind() {
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindUint64, slog.KindTime:
		return slog.Attr{Key: a.Key, Value: value}
	case slog.KindString:
		if words[a.Key] {
			return a
		}
		return slog.String(a.Key, outline(value.String()))
	case slog.KindAny:
		if err, ok := value.Any().(error); ok {
			text := outline(err.Error())
			if errors.As(err, new(net.Error)) && text == withheld {
				text = "network"
			}
			return slog.String(a.Key, text)
		}
	case slog.KindGroup, slog.KindLogValuer:
	}
	return slog.String(a.Key, withheld)
}

const withheld = "(withheld)"

// outline is what may be said of a text that nobody has checked.
func outline(text string) string {
	if state := sqlState.FindStringSubmatch(text); state != nil {
		return "SQLSTATE " + state[1]
	}
	for _, h := range harmless {
		if strings.HasSuffix(text, h) {
			return h
		}
	}
	if text == "internal" || text == "timeout" || text == "stopped" {
		return text
	}
	return withheld
}
