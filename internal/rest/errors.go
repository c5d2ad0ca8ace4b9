package rest

import (
	"errors"

	"github.com/frist-app/frist/internal/problem"
)

func isNotFound(err error) bool { return errors.As(err, new(problem.NotFound)) }

func isConflict(err error, code string) bool {
	var conflict problem.Conflict
	return errors.As(err, &conflict) && conflict.Code == code
}
