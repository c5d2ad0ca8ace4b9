package edge

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/web"
)

// Pages is the registry of page structs: the name of the template and a sample of what it is executed with. Packages
// with pages add theirs in an init function; TryPages holds every template to it.
var Pages = map[string]any{
	"login": LoginPage{
		Login: "kari", Next: "/", Heads: []Persona{{Number: "3218", Municipality: "Ås"}},
		Rows:  []PersonaRow{{Role: access.Caseworker, Nth: 1, Cells: []Persona{{Login: "kari", Name: "Kari Nordmann", Number: "3218", Municipality: "Ås"}}}, {Role: access.Caseworker, Nth: 2, Cells: []Persona{{}}}},
		Blind: []Persona{{Login: "ida", Name: "Ida Berg", Role: access.Support}}, Providers: []ProviderLink{{"idporten", "ID-porten"}}, High: "idporten",
	},
	"error": ErrorPage{Answer: Answer{Status: 500, Title: "T", Detail: "D", Fields: FormErrors{{Field: "a", Code: "b", Message: "c"}}}, Fault: "7f3a19", Again: &Again{"/", []Kept{{"a", "b"}}}},
}

var functions = template.FuncMap{
	// dict makes the argument of a partial that needs several things.
	"dict": func(pairs ...any) (map[string]any, error) {
		if len(pairs)%2 != 0 {
			return nil, errors.New("dict: a name without a value")
		}
		return paired(pairs), nil
	},
	"list": func(items ...any) []any { return items },
}

// parsePages reads every page of web/templates together with the layout and the partials, once for each language: by
// language, then by name. They are the program's own and never change, so once is enough.
var parsePages = sync.OnceValues(func() (map[string]map[string]*template.Template, error) {
	all := map[string]map[string]*template.Template{}
	for _, lang := range Languages() {
		pages, err := parsePagesIn(T(lang))
		if err != nil {
			return nil, fmt.Errorf("edge: %w", err)
		}
		all[lang] = pages
	}
	return all, nil
})

func parsePagesIn(text Text) (map[string]*template.Template, error) {
	files, err := fs.Glob(web.Templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	common := template.New("layout.html").Funcs(functions).Option("missingkey=error")
	parse := func(t *template.Template, file string) error {
		source, err := fs.ReadFile(web.Templates, file)
		if err == nil {
			_, err = t.Parse(written(string(source), text))
		}
		return err
	}
	var names []string
	for _, file := range files {
		switch name := path.Base(file); {
		case name == "layout.html":
			err = parse(common, file)
		case strings.HasPrefix(name, "_"):
			err = parse(common.New(name), file)
		default:
			names = append(names, strings.TrimSuffix(name, ".html"))
		}
		if err != nil {
			return nil, err
		}
	}
	pages := map[string]*template.Template{"_problem": common}
	for _, name := range names {
		page := template.Must(common.Clone())
		if err := parse(page.New(name+".html"), "templates/"+name+".html"); err != nil {
			return nil, err
		}
		if page.Lookup("title") == nil || page.Lookup("main") == nil {
			return nil, fmt.Errorf("%s defines no title or no main", name)
		}
		pages[name] = page
	}
	return pages, nil
}

// fixed is where the page says the sentence of a key that stands there, and nothing more.
var fixed = regexp.MustCompile(`\{\{\$?\.Say[ ]"([^"]+)"\}\}`)

// written puts the sentences that are always the same into a template's source, so that no page looks them up: half of a
// list's work was saying the same words in every row. They stand in text and in quoted attributes only, where the same
// escaping is right; a template that has them in an address or a script fails the tests.
func written(source string, text Text) string {
	return fixed.ReplaceAllStringFunc(source, func(action string) string {
		if sentence, ok := text.flat[fixed.FindStringSubmatch(action)[1]]; ok {
			return template.HTMLEscapeString(sentence)
		}
		return action
	})
}

// based is every struct with a Page in it.
type based interface{ base() Page }

// renderError says which template failed, and nothing of what was in it.
type renderError struct {
	name string
	err  error
}

func (e renderError) Error() string { return "the template " + e.name + " failed" }
func (e renderError) Unwrap() error { return e.err }

// Render answers with the page web/templates/<name>.html, executed with page (a struct with an embedded Page). Nothing is
// sent before all of it is made, so an error is still answered as one. A request of htmx that swaps the element with id x
// gets only the block "x" of the page, when the page defines one.
func Render(w http.ResponseWriter, r *http.Request, status int, name string, page any) error {
	st := stateOf(r)
	lang := DefaultLanguage
	b, ok := page.(based)
	if ok {
		lang = b.base().Lang
	}
	t, ok := st.site.pages[lang][name]
	if !ok {
		return renderError{name, errors.New("there is no such template")}
	}
	block := "layout.html"
	if name == "_problem" {
		block = "problem"
	} else if isFragment(r) {
		if target := fragment(r); target != "" && slices.ContainsFunc(t.Templates(), func(t *template.Template) bool { return t.Name() == target }) {
			block = target
		}
	}
	out := buffers.Get().(*bytes.Buffer) //nolint:forcetypeassert // nothing else is put there
	defer buffers.Put(out)
	out.Reset()
	if err := t.ExecuteTemplate(out, block, pointed(page)); err != nil {
		return renderError{name, err}
	}
	if b != nil && b.base().flash != nil && block == "layout.html" {
		//nolint:gosec // Secure wherever TLS is; the demo on localhost has none
		http.SetCookie(w, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: st.site.TLS, SameSite: http.SameSiteLaxMode})
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // nobody is left to tell when the reader has gone
	return nil
}

// buffers keep their room from one page to the next.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// pointed is page behind a pointer: a template copies a struct for every method that it calls.
func pointed(page any) any {
	value := reflect.ValueOf(page)
	if value.Kind() != reflect.Struct {
		return page
	}
	p := reflect.New(value.Type())
	p.Elem().Set(value)
	return p.Interface()
}

// isFragment reports whether htmx asks for a part of a page.
func isFragment(r *http.Request) bool { return r.Header.Get("HX-Request-Type") == "partial" }

// fragment is the id of the element that htmx will swap: it sends "div#progress".
func fragment(r *http.Request) string {
	_, id, _ := strings.Cut(r.Header.Get("HX-Target"), "#")
	if id == "title" || id == "main" || strings.HasPrefix(id, "_") || strings.Contains(id, ".") {
		return ""
	}
	return id
}

// TryPages executes every registered page in every language, as everybody who could see it, and reports what fails, and
// which templates nobody has registered. For tests of packages that register pages.
func TryPages() error {
	pages, err := parsePages()
	if err != nil {
		return err
	}
	var failed []error
	for name := range pages[DefaultLanguage] {
		if _, ok := Pages[name]; !ok && name != "_problem" {
			failed = append(failed, fmt.Errorf("%s: no sample in edge.Pages", name))
		}
	}
	return errors.Join(append(failed, tryRegistered(pages))...)
}

// pointers are what a template prints that was given the address of a value.
var pointers = regexp.MustCompile(`[^\s"<>]*0x[0-9a-f]{8,}`)

func tryRegistered(pages map[string]map[string]*template.Template) error {
	var failed []error
	for name, sample := range Pages {
		for _, lang := range Languages() {
			t, ok := pages[lang][name]
			if !ok {
				failed = append(failed, fmt.Errorf("%s: no template", name))
				continue
			}
			for _, roles := range [][]access.Role{{}, {access.Caseworker}, {access.Approver}, {access.PrivacyOfficer}, {access.Administrator}, {access.Support}, {access.Operator}, {access.PlatformAdministrator}} {
				filled, err := withPage(sample, SamplePage(lang, roles...))
				if err != nil {
					failed = append(failed, fmt.Errorf("%s: %w", name, err))
					break
				}
				page := new(bytes.Buffer)
				if err := t.ExecuteTemplate(page, "layout.html", pointed(filled)); err != nil {
					failed = append(failed, fmt.Errorf("%s in %s as %v: %w", name, lang, roles, err))
				} else if at := pointers.Find(page.Bytes()); at != nil {
					failed = append(failed, fmt.Errorf("%s in %s shows a pointer: %s", name, lang, at))
				}
			}
		}
	}
	return errors.Join(failed...)
}

// SamplePage is a Page for tests, on the tests' own day.
func SamplePage(lang string, roles ...access.Role) Page {
	p := Page{
		Text: T(lang), Lang: lang, Scheme: "auto", Demo: true, Clock: time.Date(2023, 9, 19, 7, 12, 0, 0, time.UTC), Zone: defaultZone, Path: "/", Here: "/",
		Languages: Languages(), static: "0", nav: DefaultNav, Waiting: map[string]int{"day": 7}, flash: &Flash{Key: "demo.title", Undo: "/", Fields: map[string]string{"a": "b"}},
		Errors: FormErrors{{Field: "login", Code: "sign_in", Message: "m"}, {Code: "conflict", Message: "m"}},
	}
	if len(roles) > 0 {
		p.Caller = access.Caller{Account: 1, Name: "Kari Nordmann", Roles: roles, Language: lang}
		p.visits = []account.LiveVisit{{Scope: "client", Page: "notes", Until: p.Clock, Who: "S-10000"}, {Scope: "municipality", Until: p.Clock}}
		if !p.Caller.Blind() {
			p.Caller.Municipality = 1
			p.Municipality = municipality.Municipality{ID: 1, Number: "3218", Name: "Ås", Zone: defaultZone}
		}
	}
	return p
}

func withPage(sample any, page Page) (any, error) {
	value := reflect.ValueOf(sample)
	for value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	filled := reflect.New(value.Type()).Elem()
	filled.Set(value)
	field := filled.FieldByName("Page")
	if !field.IsValid() || field.Type() != reflect.TypeFor[Page]() {
		return nil, errors.New("the sample has no embedded edge.Page")
	}
	field.Set(reflect.ValueOf(page))
	return filled.Interface(), nil
}
