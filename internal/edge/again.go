package edge

import (
	"net/http"
	"slices"
	"strings"
)

// Again is a form that could not be taken because something was away: the error page holds it and posts it once more, so
// that nothing a person wrote is lost.
type Again struct {
	Action string
	Fields []Kept
}

// Kept is one value of it.
type Kept struct{ Name, Value string }

// again is the form of r; nil for anything but a plain form, for files, which the browser gives once only, and where a
// password would stand in the page.
func again(r *http.Request) *Again {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") || r.ParseForm() != nil {
		return nil
	}
	a := &Again{Action: local(r.URL.RequestURI())}
	for name, values := range r.PostForm {
		if strings.Contains(name, "password") {
			return nil
		}
		for _, value := range values {
			a.Fields = append(a.Fields, Kept{name, value})
		}
	}
	slices.SortStableFunc(a.Fields, func(x, y Kept) int { return strings.Compare(x.Name, y.Name) })
	return a
}
