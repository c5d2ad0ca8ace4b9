package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-chi/chi/v5"
	validation "github.com/oapi-codegen/nethttp-middleware"
)

// contract is what openapi.yaml says about each operation, ready to be asked on every request.
type contract struct {
	doc          *openapi3.T
	terms        map[string]terms // by method and path: "GET /clients/{client}"
	json, upload func(http.Handler) http.Handler
}

// terms are one operation's.
type terms struct {
	permissions []access.Permission // x-authz, of which one is enough; empty: anybody who is signed in
	audience    []string            // x-for: the sides that have a representation of it; empty: all
	query       map[string]bool     // the parameters in the address; true: may be given several times
	body        string              // its media type; empty: none
}

const formData = "multipart/form-data"

func init() {
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewRegexpFormatValidator(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`))
	openapi3.DefineStringFormatValidator("date", openapi3.NewCallbackValidator(func(s string) error {
		_, err := time.Parse(time.DateOnly, s)
		return dated(s, err)
	}))
	openapi3.DefineStringFormatValidator("date-time", openapi3.NewCallbackValidator(func(s string) error {
		return dated(s, new(time.Time).UnmarshalText([]byte(s))) // as strict as the decoder after it
	}))
}

// noDay is a day of the right form that is in no calendar: 2023-02-30.
type noDay string

func (noDay) Error() string { return "no such day" }

// dated is err, or noDay when the day is why s, which begins with one, cannot be read.
func dated(s string, err error) error {
	day := s[:min(len(s), len(time.DateOnly))]
	if _, broken := calendar.Parse(day); err != nil && errors.Is(broken, calendar.ErrNoDay) {
		return noDay(day)
	}
	return err
}

// loadContract reads the embedded file. A fault in it is a fault in the program, found by the first test.
func loadContract() *contract {
	doc, err := GetSpec()
	if err != nil {
		panic(err)
	}
	c := &contract{doc: doc, terms: map[string]terms{}}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			t := terms{permissions: Permitted(op), query: map[string]bool{}}
			if sides, ok := op.Extensions["x-for"].([]any); ok {
				for _, side := range sides {
					t.audience = append(t.audience, side.(string))
				}
			}
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				if p.Value.In == openapi3.ParameterInQuery {
					t.query[p.Value.Name] = p.Value.Schema.Value.Type.Is(openapi3.TypeArray)
				}
			}
			if op.RequestBody != nil {
				for media := range op.RequestBody.Value.Content {
					t.body = media
				}
			}
			c.terms[method+" "+path] = t
		}
	}
	c.json, c.upload = c.validator(false), c.validator(true)
	return c
}

// Permitted are the permissions that an operation asks for, of which one is enough; none: anybody who is signed in may.
func Permitted(op *openapi3.Operation) []access.Permission {
	switch authz := op.Extensions["x-authz"].(type) {
	case []any:
		return list(authz, func(p any) access.Permission { return access.Permission(p.(string)) })
	case string:
		if authz != "anybody" {
			return []access.Permission{access.Permission(authz)}
		}
	}
	return nil
}

// validator holds requests against the schemas. A file is not read for that: it may be large, and its form is package
// exchange's to judge.
func (c *contract) validator(upload bool) func(http.Handler) http.Handler {
	return validation.OapiRequestValidatorWithOptions(c.doc, &validation.Options{
		SilenceServersWarning: true,
		Skipper:               func(r *http.Request) bool { return (c.of(r).body == formData) != upload },
		Options: openapi3filter.Options{
			MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, RejectWhenRequestBodyNotSpecified: true, ExcludeRequestBody: upload,
		},
		ErrorHandlerWithOpts: func(_ context.Context, err error, w http.ResponseWriter, r *http.Request, _ validation.ErrorHandlerOpts) {
			failForm(w, r, err)
		},
	})
}

// of finds the terms of a request that has been routed.
func (c *contract) of(r *http.Request) terms {
	return c.terms[r.Method+" "+strings.TrimPrefix(chi.RouteContext(r.Context()).RoutePattern(), "/api/v1")]
}

// side is for whom a caller works, as the representations are called.
func side(caller access.Caller) string {
	switch {
	case caller.Has(access.Operator):
		return "operator"
	case caller.Has(access.Support):
		return "support"
	}
	return "municipality"
}

// admit lets pass who may do this at all, before anything of the request is looked at: whoever may not learns nothing
// from the answer. The functions of the domain ask again.
func (s *Server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, t := edge.Caller(r), s.contract.of(r)
		if (len(t.permissions) > 0 && !slices.ContainsFunc(t.permissions, caller.Can)) || (t.audience != nil && !slices.Contains(t.audience, side(caller))) {
			fail(w, r, s.DB.InTx(r.Context(), caller, func(*pg.Tx) error { // in a transaction, so that the refusal is recorded
				asked := ""
				if len(t.permissions) > 0 {
					asked = string(t.permissions[0])
				}
				return problem.Forbidden{Code: "permission", Params: problem.Params{"permission": asked}}
			}))
			return
		}
		if err := edge.Spend(r); err != nil {
			fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// read takes in what the schemas do not see: parameters that nobody asked for or that stand twice, the media type, and
// bodies that are no text.
func (s *Server) read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := s.contract.of(r)
		if err := checkQuery(r.URL.RawQuery, t.query); err != nil {
			fail(w, r, err)
			return
		}
		for _, name := range []string{"Content-Type", "Idempotency-Key", "If-Match"} {
			if len(r.Header[name]) > 1 {
				fail(w, r, badRequest(problem.Field{Name: name, Code: "given_twice"}))
				return
			}
		}
		switch media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); {
		case t.body == "":
		case err != nil || media != t.body:
			fail(w, r, refusal{status: http.StatusUnsupportedMediaType, code: "media_type", params: problem.Params{"type": t.body}})
			return
		case media == formData:
			edge.MaxBody(uploadLimit)(next).ServeHTTP(w, r)
			return
		default:
			body, err := io.ReadAll(r.Body)
			if err != nil {
				failForm(w, r, err)
				return
			}
			// PostgreSQL takes no NUL in a text, and no field of ours means one.
			if !json.Valid(body) || !utf8.Valid(body) || bytes.Contains(body, []byte(`\u0000`)) {
				fail(w, r, badRequest(problem.Field{Name: "body", Code: "unreadable_json"}))
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		next.ServeHTTP(w, r)
	})
}

func checkQuery(raw string, known map[string]bool) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return badRequest(problem.Field{Name: "query", Code: "unreadable_query"})
	}
	var wrong []problem.Field
	for name, given := range values {
		several, ok := known[name]
		switch {
		case !ok: // its name is the caller's own text, so it is not repeated
			wrong = append(wrong, problem.Field{Name: "query", Code: "unknown_parameter"})
		case len(given) > 1 && !several:
			wrong = append(wrong, problem.Field{Name: name, Code: "given_twice"})
		case slices.ContainsFunc(given, func(v string) bool { return !utf8.ValidString(v) || strings.Contains(v, "\x00") }):
			wrong = append(wrong, problem.Field{Name: name, Code: "unreadable_query"})
		}
	}
	if wrong == nil {
		return nil
	}
	return badRequest(wrong...)
}

// refusal is an error that only HTTP knows: a status that no error of the domain has. err, when there is one, gives the
// sentence and the fields.
type refusal struct {
	status int
	code   string // empty: err's own
	params problem.Params
	err    error
}

func (e refusal) Error() string { return "request refused: " + strconv.Itoa(e.status) + " " + e.code }

// badRequest says that a request is not of the form that the contract describes.
func badRequest(fields ...problem.Field) error {
	slices.SortFunc(fields, func(a, b problem.Field) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Code, b.Code)) })
	fields = slices.CompactFunc(fields, func(a, b problem.Field) bool { return a.Name == b.Name && a.Code == b.Code })
	return refusal{status: http.StatusBadRequest, code: "bad_request", err: problem.Invalid{Fields: fields}}
}

// fail answers err. Whatever is not our own goes to the one place that answers errors.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	var ref refusal
	if !errors.As(err, &ref) {
		edge.Fail(w, r, err) // which counts it
		return
	}
	text := edge.T(edge.Caller(r).Language)
	var answer edge.Answer
	if ref.err != nil {
		answer = text.Answer(ref.err)
	}
	if ref.code != "" {
		answer.Code, answer.Detail = ref.code, text.Say("problem."+ref.code, ref.params)
	}
	edge.Refused(r, answer.Code)
	p := Problem{Type: "urn:frist:problem:" + answer.Code, Title: text.Say("error."+strconv.Itoa(ref.status), nil), Status: ref.status, Detail: answer.Detail}
	if len(answer.Fields) > 0 {
		fields := make([]FieldError, len(answer.Fields))
		for i, f := range answer.Fields {
			fields[i] = FieldError{Field: f.Field, Code: strings.TrimPrefix(f.Code, "file_"), Message: f.Message}
		}
		p.Errors = &fields
	}
	raw, err := json.Marshal(p)
	if err != nil {
		edge.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Language", text.Lang)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(ref.status)
	_, _ = w.Write(append(raw, '\n'))
}

// failForm answers a request that is not of the form of the contract. What validator and binder say holds schema and
// value; what leaves here is the place and the rule, and a day that does not exist.
func failForm(w http.ResponseWriter, r *http.Request, err error) { fail(w, r, formError(err)) }

var notHere = problem.NotFound{What: "path"}

func formError(err error) error {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return err
	}
	if bound := bindError(err); bound != nil {
		return bound
	}
	var wrong []problem.Field
	for _, one := range flatten(err) {
		var request *openapi3filter.RequestError
		if !errors.As(one, &request) {
			return badRequest(problem.Field{Name: "body", Code: "unreadable_json"})
		}
		p := request.Parameter
		switch {
		case p != nil && p.In == openapi3.ParameterInPath: // what cannot be an address of anything is an absence like any other
			return notHere
		case p != nil && p.Name == "If-Match" && errors.Is(request.Err, openapi3filter.ErrInvalidRequired):
			return refusal{status: http.StatusPreconditionRequired, code: "if_match_missing"}
		case p != nil:
			wrong = append(wrong, fieldOf(p.Name, request.Err))
		case request.RequestBody != nil:
			for _, inner := range flatten(request.Err) {
				wrong = append(wrong, fieldOf("", inner))
			}
			// The form is the contract's, the day is a mistake of whoever typed it, as at the page's field.
			if !slices.ContainsFunc(wrong, func(f problem.Field) bool { return f.Code != "no_such_day" }) {
				return problem.Invalid{Fields: wrong}
			}
		default:
			wrong = append(wrong, problem.Field{Name: "body", Code: "no_body"})
		}
	}
	return badRequest(wrong...)
}

// flatten takes lists of errors apart.
func flatten(err error) []error {
	if many, ok := err.(openapi3.MultiError); ok { //nolint:errorlint // a list inside a RequestError belongs to that one
		var all []error
		for _, one := range many {
			all = append(all, flatten(one)...)
		}
		return all
	}
	return []error{err}
}

var index = regexp.MustCompile(`^[0-9]+$`)

// fieldOf names the place in the body (or the parameter) and the rule.
func fieldOf(parameter string, err error) problem.Field {
	f := problem.Field{Name: parameter, Code: "form"}
	var schema *openapi3.SchemaError
	switch {
	case errors.Is(err, openapi3filter.ErrInvalidRequired):
		f.Code = "required"
	case errors.As(err, &schema):
		if parameter == "" {
			f.Name = strings.Join(known(schema.JSONPointer()), ".")
		}
		f.Code, f.Params = rule(schema)
	}
	if day := noDay(""); errors.As(err, &day) {
		f.Code, f.Params = "no_such_day", dayParams(string(day))
	}
	if f.Name == "" {
		f.Name = "body"
	}
	return f
}

// dayParams are the blanks of the sentence that the pages have for a day that does not exist. It repeats the day, which is
// digits only.
func dayParams(day string) problem.Params {
	params := problem.Params{"value": day}
	var short calendar.NoDayError
	if _, err := calendar.Parse(day); errors.As(err, &short) {
		params["year"], params["month"], params["days"] = strconv.Itoa(short.Year), short.Month, short.Days
	}
	return params
}

// known keeps of a path what the schemas name; positions in a list are theirs too.
func known(pointer []string) []string {
	names := []string{}
	for _, p := range pointer {
		if !index.MatchString(p) && !properties()[p] {
			break
		}
		names = append(names, p)
	}
	return names
}

// properties are all names of fields in the contract.
var properties = sync.OnceValue(func() map[string]bool {
	doc, err := GetSpec()
	if err != nil {
		panic(err)
	}
	names := map[string]bool{}
	for _, schema := range doc.Components.Schemas {
		for name := range schema.Value.Properties {
			names[name] = true
		}
	}
	return names
})

// inPath are the names of the blanks in addresses.
var inPath = sync.OnceValue(func() map[string]bool {
	doc, err := GetSpec()
	if err != nil {
		panic(err)
	}
	names := map[string]bool{}
	for _, item := range doc.Paths.Map() {
		for _, p := range item.Parameters {
			names[p.Value.Name] = p.Value.In == openapi3.ParameterInPath
		}
	}
	return names
})

// rule gives the broken rule the name under which there is a sentence.
func rule(e *openapi3.SchemaError) (string, problem.Params) {
	switch e.SchemaField {
	case "required":
		return "required", nil
	case "enum":
		return "choice", nil
	case "maxLength":
		return "too_long", problem.Params{"max": int(*e.Schema.MaxLength)}
	case "minLength":
		if e.Schema.MinLength > 1 {
			return "too_short", problem.Params{"min": int(e.Schema.MinLength)}
		}
		return "required", nil
	case "properties", "additionalProperties":
		return "unknown_field", nil
	case "minProperties":
		return "nothing_to_change", nil
	}
	return "form", nil
}

// bindError is what the generated code says of a parameter that it cannot read; nil when err is something else.
func bindError(err error) error {
	name := ""
	switch e := err.(type) { //nolint:errorlint // they come as they are
	case *InvalidParamFormatError:
		name = e.ParamName
	case *RequiredParamError:
		name = e.ParamName
	case *RequiredHeaderError:
		name = e.ParamName
	case *TooManyValuesForParamError:
		return badRequest(problem.Field{Name: e.ParamName, Code: "given_twice"})
	default:
		return nil
	}
	if inPath()[name] {
		return notHere
	}
	return badRequest(problem.Field{Name: name, Code: "form"})
}
