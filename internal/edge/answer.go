package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// FieldError is one thing wrong with one field, in words.
type FieldError struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// FormErrors are all of them, in the order of the form.
type FormErrors []FieldError

// For is what is wrong with one field; empty when nothing is.
func (e FormErrors) For(field string) string {
	for _, f := range e {
		if f.Field == field {
			return f.Message
		}
	}
	return ""
}

// Answer is an error in words: what a person or a program is told.
type Answer struct {
	Status     int
	Code       string
	Title      string // the heading, by status
	Detail     string // the sentence, by code
	Fields     FormErrors
	RetryAfter int // seconds; 0 is not said
}

// Errors that only the edge knows.
type (
	crossSite        struct{}
	methodNotAllowed struct{}
)

func (crossSite) Error() string        { return "cross-site request" }
func (methodNotAllowed) Error() string { return "method not allowed" }

// Answer turns err into words. Whatever is not of package problem is internal: 500 and nothing about it.
func (t Text) Answer(err error) Answer {
	var (
		notFound    problem.NotFound
		forbidden   problem.Forbidden
		invalid     problem.Invalid
		conflict    problem.Conflict
		blocked     problem.Blocked
		unavailable problem.Unavailable
		unknown     problem.Unauthenticated
		tooMany     problem.TooMany
		tooLarge    *http.MaxBytesError
	)
	a := Answer{Status: http.StatusInternalServerError, Code: "internal"}
	var params problem.Params
	switch {
	case errors.As(err, &notFound): // What is for the reader of the code: every absence answers the same bytes
		a.Status, a.Code = http.StatusNotFound, "not_found"
	case errors.As(err, &forbidden):
		a.Status, a.Code, params = http.StatusForbidden, forbidden.Code, forbidden.Params
	case errors.As(err, &invalid):
		a.Status, a.Code, a.Fields = http.StatusUnprocessableEntity, "invalid", t.fields(invalid.Fields)
	case errors.As(err, &conflict):
		a.Status, a.Code, params = http.StatusConflict, conflict.Code, conflict.Params
	case errors.As(err, &blocked):
		a.Status, a.Code, a.Fields = http.StatusConflict, "blocked", t.fields(blocked.Reasons)
	case errors.As(err, &unavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		a.Status, a.Code, a.RetryAfter = http.StatusServiceUnavailable, "unavailable", 5
	case errors.As(err, &unknown):
		a.Status, a.Code = http.StatusUnauthorized, "unauthenticated"
	case errors.As(err, new(problem.StepUp)):
		a.Status, a.Code = http.StatusForbidden, "step_up"
	case errors.As(err, &tooMany):
		a.Status, a.Code, a.RetryAfter = http.StatusTooManyRequests, "wait", tooMany.RetryAfterSeconds
	case errors.As(err, &tooLarge):
		a.Status, a.Code = http.StatusRequestEntityTooLarge, "too_large"
	case errors.As(err, new(crossSite)):
		a.Status, a.Code = http.StatusForbidden, "cross_site"
	case errors.As(err, new(methodNotAllowed)):
		a.Status, a.Code = http.StatusMethodNotAllowed, "method"
	case errors.As(err, new(mediaType)):
		a.Status, a.Code = http.StatusUnsupportedMediaType, "form_type"
	case errors.As(err, new(misplaced)):
		a.Status, a.Code = http.StatusMisdirectedRequest, "host"
	}
	a.Title = t.Say("error."+strconv.Itoa(a.Status), nil)
	switch a.Code {
	case "invalid", "blocked":
		a.Detail = t.SayN("problem."+a.Code, len(a.Fields), nil)
	case "wait":
		a.Detail = t.SayN("problem.wait", a.RetryAfter, nil)
	default:
		a.Detail = t.sentence(a.Code, "problem.status_"+strconv.Itoa(a.Status), params)
	}
	return a
}

// sentence is the one for a code, or the general one when nobody has written it yet.
func (t Text) sentence(code, fallback string, params problem.Params) string {
	if key := "problem." + code; t.Has(key) {
		return t.Say(key, params)
	}
	return t.Say(fallback, params)
}

func (t Text) fields(fields []problem.Field) FormErrors {
	all := make(FormErrors, len(fields))
	for i, f := range fields {
		params := problem.Params{"field": t.Field(f.Name)}
		for k, v := range f.Params {
			if name, ok := v.(string); ok && k == "field" { // a field within the field, as a column of a mapping
				v = t.Field(name)
			}
			params[k] = v
		}
		said := f.Code
		if own := f.Code + "." + f.Name; t.Has("problem." + own) { // a field may have words of its own
			said = own
		}
		all[i] = FieldError{Field: f.Name, Code: f.Code, Message: t.sentence(said, "problem.field", params)}
	}
	return all
}

// Handler is how every page and endpoint is written: it asks, shows, and returns what went wrong.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Handle runs h; its error is answered by Fail.
func Handle(h Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := Spend(r)
		if err == nil {
			err = h(w, r)
		}
		if err != nil {
			Fail(w, r, err)
		}
	}
}

// Fail is the one place that answers errors: a page in the reader's language, a fragment for htmx, or
// application/problem+json (RFC 9457) under /api/.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	st := stateOf(r)
	a := st.text(r).Answer(err)
	st.site.Metrics.refused(a.Code)
	if a.Status >= 500 && !errors.Is(r.Context().Err(), context.Canceled) {
		st.site.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("request", st.id), slog.String("kind", kind(err, st.site.Verbose)))
	}
	if a.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(a.RetryAfter))
	}
	switch {
	case isAPI(r):
		failJSON(w, st.text(r), a)
	case a.Status == http.StatusUnauthorized:
		toLogin(w, r)
	case a.Code == "step_up":
		toConfirm(w, r)
	default:
		page := ErrorPage{Page: NewPage(r), Answer: a}
		if a.Status >= 500 {
			page.Fault = st.id
		}
		if a.Status == http.StatusServiceUnavailable {
			page.Again = again(r)
		}
		name := "error"
		if isFragment(r) {
			name = "_problem"
		}
		if err := Render(w, r, a.Status, name, page); err != nil {
			st.site.Log.LogAttrs(r.Context(), slog.LevelError, "the error page failed", slog.String("request", st.id), slog.String("kind", kind(err, st.site.Verbose)))
			http.Error(w, a.Title, a.Status)
		}
	}
}

// kind tells what sort of error it is without repeating what it says: messages of strange errors can hold what people
// typed (D26). Database errors are safe, package pg has emptied them. Verbose tells all, for demos and developers.
func kind(err error, verbose bool) string {
	if verbose {
		return err.Error()
	}
	var state pg.StateError
	if errors.As(err, &state) {
		return state.Error()
	}
	if failure := (renderError{}); errors.As(err, &failure) {
		return failure.Error()
	}
	var types []string
	for ; err != nil; err = errors.Unwrap(err) {
		types = append(types, fmt.Sprintf("%T", err))
	}
	return strings.Join(types, " > ")
}

// problemJSON is RFC 9457 with the fields that were wrong.
type problemJSON struct {
	Type   string     `json:"type"`
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Detail string     `json:"detail"`
	Errors FormErrors `json:"errors,omitempty"`
}

func failJSON(w http.ResponseWriter, t Text, a Answer) {
	if a.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="frist"`)
	}
	w.Header().Set("Content-Language", t.Lang)
	_ = write(w, a.Status, "application/problem+json", problemJSON{
		Type: "urn:frist:problem:" + a.Code, Title: a.Title, Status: a.Status, Detail: a.Detail, Errors: a.Fields,
	})
}

// JSON answers with a body for programs.
func JSON(w http.ResponseWriter, status int, body any) error {
	return write(w, status, "application/json", body)
}

func write(w http.ResponseWriter, status int, contentType string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n')) // nobody is left to tell when the reader has gone
	return nil
}
