package edge

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/problem"
)

// Several are the names that a page's address or form may hold more than once: boxes of which several can be ticked. Any
// other name given twice is refused, because two readers of one request could take different ones. Pages add theirs in an
// init function.
var Several = map[string]bool{}

// multipartForm is the only other form than the plain one, for files.
const (
	plainForm     = "application/x-www-form-urlencoded"
	multipartForm = "multipart/form-data"
)

// Errors that only the edge knows, about requests that nobody declared.
type (
	mediaType struct{} // 415: pages take forms
	misplaced struct{} // 421: the request is for another host
)

func (mediaType) Error() string { return "media type not taken" }
func (misplaced) Error() string { return "no such host here" }

// plainly lets only requests through that can be read in one way: a path of readable text, an address and a form whose
// names stand once, a body of a form's type. Under /api/ the contract asks the same of address and body (package rest).
func (s *Site) plainly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.readable(r); err != nil {
			_ = s.resolve(r) // so that the answer speaks the person's language; whoever it is, it is refused
			Fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Site) readable(r *http.Request) error {
	if !s.hosts(r) {
		return misplaced{}
	}
	if !utf8.ValidString(r.URL.Path) || strings.ContainsFunc(r.URL.Path, unicode.IsControl) { // nothing is called so
		return problem.NotFound{What: "page"}
	}
	if isAPI(r) || r.URL.Path == reportPath {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.InvalidField("query", "unreadable_query", nil)
	}
	if err := onceEach(query, "query"); err != nil || r.Method != http.MethodPost || r.Body == nil || r.ContentLength == 0 {
		return err
	}
	switch media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case err != nil:
		return mediaType{}
	case media == multipartForm: // read where a file is wanted; elsewhere its fields are missing
		return nil
	case media != plainForm:
		return mediaType{}
	}
	if err := r.ParseForm(); err != nil {
		return formError(err)
	}
	return onceEach(r.PostForm, "form")
}

// onceEach refuses values that are no text, and names that stand twice. A name is the sender's own text and is not
// repeated; of a name that a page knows it would say nothing new.
func onceEach(values url.Values, where string) error {
	for name, given := range values {
		for _, text := range append(given, name) {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				return problem.InvalidField(where, "unreadable_query", nil)
			}
		}
		if len(given) > 1 && !Several[strings.TrimPrefix(name, againField)] {
			return problem.InvalidField(where, "given_twice", nil)
		}
	}
	return nil
}

// ReadForm reads a form with files as plainly reads one without: at most limit bytes of it in memory and none on a disk.
// What cannot be read is problem.Invalid of "form".
func ReadForm(r *http.Request, limit int64) error {
	if err := r.ParseMultipartForm(limit); err != nil { // #nosec G120 -- every body has its limit (MaxBody)
		if errors.As(err, new(*http.MaxBytesError)) {
			return err
		}
		return problem.InvalidField("form", "unreadable", nil)
	}
	for _, files := range r.MultipartForm.File {
		if len(files) > 1 {
			return problem.InvalidField("form", "given_twice", nil)
		}
	}
	return onceEach(r.MultipartForm.Value, "form")
}

// hosts reports whether the request is for one of the site's names. Probes come by address, and see nothing.
func (s *Site) hosts(r *http.Request) bool {
	if len(s.Hosts) == 0 || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(h string) bool { return strings.EqualFold(h, r.Host) })
}
