// Package problem is the vocabulary of what can go wrong for a person: every error that is meant to be
// read is one of these. They carry codes and parameters, never sentences and never personal values;
// the edge turns a code into a sentence in the reader's language, once.
package problem

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Params fill the blanks of the sentence that belongs to a code: dates, counts, names of months.
// Values that a person typed may stand here only to be shown back to that same person.
type Params map[string]any

// NotFound says that a thing does not exist for this caller. What belongs to another municipality
// answers exactly like what never existed.
type NotFound struct{ What string }

func (e NotFound) Error() string { return "not found: " + e.What }

// Forbidden says that the caller may not do this; Code names the rule (for example "own_placement", D13).
type Forbidden struct {
	Code   string
	Params Params
}

func (e Forbidden) Error() string { return "forbidden: " + e.Code }

// Field is one thing wrong with one field of a form, a body or a row.
type Field struct {
	Name   string
	Code   string
	Params Params
}

// Invalid says which fields are wrong and why; nothing was changed.
type Invalid struct{ Fields []Field }

func (e Invalid) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Name + "=" + f.Code
	}
	return "invalid: " + strings.Join(parts, " ")
}

// InvalidField makes an Invalid of one field.
func InvalidField(name, code string, params Params) error {
	return Invalid{Fields: []Field{{Name: name, Code: code, Params: params}}}
}

// Conflict says that the state of things does not allow this now: somebody else was first, the page was old,
// or the step does not follow from the present one.
type Conflict struct {
	Code   string
	Params Params
}

func (e Conflict) Error() string { return "conflict: " + e.Code }

// Blocked says that a person may not be deleted or placed, with every reason, not only the first.
type Blocked struct{ Reasons []Field }

func (e Blocked) Error() string {
	parts := make([]string, len(e.Reasons))
	for i, r := range e.Reasons {
		parts[i] = r.Code
	}
	return "blocked: " + strings.Join(parts, " ")
}

// Unavailable says that something Frist stands on is away for the moment (the database, the blob store).
type Unavailable struct{ What string }

func (e Unavailable) Error() string { return "unavailable: " + e.What }

// Unauthenticated says that nobody is signed in, or no longer.
type Unauthenticated struct{}

func (Unauthenticated) Error() string { return "not signed in" }

// StepUp says that the caller must first prove anew who they are (ASVS 7.5.3).
type StepUp struct{}

func (StepUp) Error() string { return "a fresh proof of identity is needed" }

// TooMany says that the caller must wait before trying again.
type TooMany struct{ RetryAfterSeconds int }

func (e TooMany) Error() string { return fmt.Sprintf("too many tries, wait %d s", e.RetryAfterSeconds) }

// Attempt is an error that goes on record like a refusal, whatever it answers: somebody tried what nobody may in this state
// of things, or wanted more than there is to give, and no page leads there.
type Attempt struct{ err error }

// Tried makes an Attempt of a Conflict or an Invalid.
func Tried(err error) error { return Attempt{err} }

func (e Attempt) Error() string { return e.err.Error() }

func (e Attempt) Unwrap() error { return e.err }

// Code is the one of the error in it; of the first field of several.
func (e Attempt) Code() string {
	var conflict Conflict
	var invalid Invalid
	switch {
	case errors.As(e.err, &conflict):
		return conflict.Code
	case errors.As(e.err, &invalid) && len(invalid.Fields) > 0:
		return invalid.Fields[0].Code
	}
	return "attempt"
}

// Collector gathers field errors so that a form answers with all of them at once.
type Collector struct{ fields []Field }

// Add notes one more field error.
func (c *Collector) Add(name, code string, params Params) {
	c.fields = append(c.fields, Field{Name: name, Code: code, Params: params})
}

// Words tidies free text where it stands (blanks at the ends, what is no text in UTF-8, and the zero letter, which PostgreSQL
// refuses) and notes when there is none though it is required (required) or when it has more than most letters (too_long,
// max). It reports whether the text is as it should be.
func (c *Collector) Words(name string, text *string, most int, required bool) bool {
	*text = strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(*text, ""), "\x00", ""))
	switch {
	case *text == "" && required:
		c.Add(name, "required", nil)
	case utf8.RuneCountInString(*text) > most:
		c.Add(name, "too_long", Params{"max": most})
	default:
		return true
	}
	return false
}

// Join takes the fields out of err when it is an Invalid (renaming them to name when name is not empty)
// and reports whether it was one.
func (c *Collector) Join(name string, err error) bool {
	var invalid Invalid
	if !errors.As(err, &invalid) {
		return false
	}
	for _, f := range invalid.Fields {
		if name != "" {
			f.Name = name
		}
		c.fields = append(c.fields, f)
	}
	return true
}

// Err is nil when nothing was added, else an Invalid with all fields.
func (c *Collector) Err() error {
	if len(c.fields) == 0 {
		return nil
	}
	return Invalid{Fields: c.fields}
}

// Public reports whether err is meant to be read by a person. Everything else is internal and stays silent.
func Public(err error) bool {
	switch {
	case errors.As(err, new(NotFound)), errors.As(err, new(Forbidden)), errors.As(err, new(Invalid)),
		errors.As(err, new(Conflict)), errors.As(err, new(Blocked)), errors.As(err, new(Unavailable)),
		errors.As(err, new(Unauthenticated)), errors.As(err, new(TooMany)), errors.As(err, new(StepUp)):
		return true
	}
	return false
}
