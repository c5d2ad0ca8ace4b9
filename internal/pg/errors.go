package pg

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/frist-app/frist/internal/problem"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// guards are the refusals that our own triggers raise, and what they are called outside.
var guards = map[string]string{
	"FR001": "not_to_be_deleted",
	"FR003": "status_date",
	"FR009": "append_only",
	"FR010": "too_early",
	"FR011": "round_step",
	"FR012": "list_frozen",
	"FR013": "cooling_off",
	"FR014": "before_run_date",
	"FR015": "something_left",
	"FR016": "placement",
	"FR081": "second_person",
	"FR082": "key_decides",
	"FR030": "second_person",
	"FR031": "second_person",
	"FR032": "pseudonym_only",
	"FR033": "has_clients",
	"FR083": "rights_step",
	"FR084": "rights_open",
	"FR017": "visit_step",
	"FR018": "instruction_step",
	"FR041": "subprocessor_version",
	"FR042": "deviation_step",
	"FR043": "own_deviation",
	"FR044": "objection_late",
}

// Translate turns what the database says into the vocabulary of package problem. A database's own text can hold the
// values of a row, so none of it goes further than here: unknown errors keep the SQLSTATE and nothing else.
func Translate(err error) error {
	if err == nil || problem.Public(err) {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return problem.NotFound{What: "row"}
	}
	if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) {
		return translateState(pgErr.Code, pgErr.ConstraintName)
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if connect := (*pgconn.ConnectError)(nil); errors.As(err, &connect) || errors.As(err, new(net.Error)) ||
		pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "unexpected EOF") {
		return problem.Unavailable{What: "database"}
	}
	return err
}

// StateError is a database error with nothing but its SQLSTATE and the constraint's name.
type StateError struct{ State, Constraint string }

func (e StateError) Error() string {
	return strings.TrimSpace("database refused: " + e.State + " " + e.Constraint)
}

func translateState(state, constraint string) error {
	if code, ok := guards[state]; ok {
		return problem.Conflict{Code: code}
	}
	switch state {
	case "23505":
		return problem.Conflict{Code: "duplicate", Params: problem.Params{"constraint": constraint}}
	case "22021": // a zero byte: nothing in the database is called so
		return problem.NotFound{What: "row"}
	case "40001", "40P01", "55P03":
		return problem.Conflict{Code: "busy"}
	case "57P01", "57P02", "57P03", "53300":
		return problem.Unavailable{What: "database"}
	}
	if strings.HasPrefix(state, "08") {
		return problem.Unavailable{What: "database"}
	}
	return StateError{State: state, Constraint: constraint}
}
