package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
)

// form is what a person sent, and what is wrong with it.
type form struct {
	url.Values
	path  string
	wrong problem.Collector
}

// parse reads a posted form. What cannot be read at all is problem.Invalid of "form", or too large.
func parse(r *http.Request) (*form, error) {
	if err := r.ParseForm(); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return &form{Values: url.Values{}, path: r.URL.Path}, err
		}
		return &form{Values: url.Values{}, path: r.URL.Path}, problem.InvalidField("form", "unreadable", nil)
	}
	return &form{Values: r.PostForm, path: r.URL.Path}, nil
}

// text is one field without spaces at its ends.
func (f *form) text(name string) string { return strings.TrimSpace(f.Get(name)) }

// date is a day as people type it: 1.4.24, 01.04.2024 and 010424; zero for none. A day that does not exist is repeated
// as it was written.
func (f *form) date(name string) calendar.Date {
	day, err := calendar.Parse(f.Get(name))
	switch {
	case errors.Is(err, calendar.ErrNoDay):
		params := problem.Params{"value": f.text(name)}
		var short calendar.NoDayError
		if errors.As(err, &short) {
			params["year"], params["month"], params["days"] = strconv.Itoa(short.Year), short.Month, short.Days
		}
		f.wrong.Add(name, "no_such_day", params)
	case errors.Is(err, calendar.ErrForm):
		f.wrong.Add(name, "date_form", nil)
	}
	return day
}

// check joins what the domain found wrong with what could not even be read, so that the person sees all of it at once.
// The domain takes an unreadable field for an empty one; of each field the first message counts.
func (f *form) check(err error) error {
	if f.wrong.Err() == nil {
		return err
	}
	if err != nil && !f.wrong.Join("", err) {
		return err
	}
	var all problem.Invalid
	errors.As(f.wrong.Err(), &all)
	seen := map[string]bool{}
	var first problem.Collector
	for _, field := range all.Fields {
		if !seen[field.Name] {
			first.Add(field.Name, field.Code, field.Params)
		}
		seen[field.Name] = true
	}
	return first.Err()
}

// once does work one time for one form as it was shown: the button pressed twice finds it done, and is answered alike.
// work gives an id to go on with; it holds no personal data.
func (f *form) once(ctx context.Context, tx *pg.Tx, work func() (string, error)) (string, error) {
	request := sha256.Sum256([]byte(f.path + "?" + f.Encode()))
	key := f.Get("once")
	if key != "" { // other values are another act, not a repetition: people go back, change their mind and press again
		key += hex.EncodeToString(request[:])
	}
	_, body, err := edge.Idempotent(ctx, tx, key, request[:], func() (int, []byte, error) {
		id, err := work()
		if err := f.check(err); err != nil {
			return 0, nil, err
		}
		return http.StatusSeeOther, []byte(id), nil
	})
	return string(body), err
}

// newOnce is the token of one showing of a form.
func newOnce() string { return rand.Text() }

// to redirects after an act that went well, and leaves a line for the next page.
func to(w http.ResponseWriter, r *http.Request, address string, f edge.Flash) error {
	if f.Key != "" {
		edge.SetFlash(w, r, f)
	}
	http.Redirect(w, r, address, http.StatusSeeOther) // #nosec G710 -- made of our own words and parsed ids, never of what was sent
	return nil
}
