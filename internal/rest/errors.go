package rest

import (
	"errors"
	"slices"

	"github.com/frist-app/frist/internal/problem"
)

func isNotFound(err error) bool { return errors.As(err, new(problem.NotFound)) }

func isConflict(err error, code string) bool {
	var conflict problem.Conflict
	return errors.As(err, &conflict) && conflict.Code == code
}

// called gives the fields of err that have another name on the pages those that they have in the body.
func called(err error, names map[string]string) error {
	var invalid problem.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	fields := slices.Clone(invalid.Fields)
	for i, f := range fields {
		if name, ok := names[f.Name]; ok {
			fields[i].Name = name
		}
	}
	return problem.Invalid{Fields: fields}
}
