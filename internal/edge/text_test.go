package edge

import (
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/web"
	"github.com/nicksnyder/go-i18n/v2/i18n"
)

// dynamic are the keys that programs put together; whatever begins so counts as used.
var dynamic = []string{"problem.", "field.", "help.", "error.", "role.", "weekday.", "nav.", "language.", "scheme."}

var (
	said  = regexp.MustCompile(`\.SayN? "([^"]+)"|\.Modal "[^"]+" "([^"]+)"|SayN?\("([^"]+)"|\.Modal\("[^"]+", "([^"]+)"|Flash\{Key: "([^"]+)"|"(?:label|help)=([^"]+)"`)
	begun = regexp.MustCompile(`"([a-z][a-z0-9_.]*\.)["%]`)
	made  = regexp.MustCompile(`\.Empty "[^"]+" "([^"]+)"`)
	// Codes of package problem as they are written in Go: a code without a sentence is a finding.
	code = regexp.MustCompile(`(?:Conflict|Forbidden)\{Code: "([a-z_]*[a-z])"|InvalidField\([^,()]+, "([a-z_]+)"|\.Add\([^,()]+, "([a-z_]+)",`)
)

func TestEveryLanguageSaysEverythingAndNothingElse(t *testing.T) {
	files, err := fs.Glob(web.Locales, "locales/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v %v", files, err)
	}
	keys := map[string]map[string]bool{}
	for _, file := range files {
		raw, err := web.Locales.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]any
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		keys[file] = map[string]bool{}
		for key, text := range all {
			keys[file][key] = true
			switch v := text.(type) {
			case string:
				if strings.TrimSpace(v) == "" {
					t.Errorf("%s: %s is empty", file, key)
				}
			case map[string]any:
				for _, form := range []string{"one", "other"} {
					if s, ok := v[form].(string); !ok || strings.TrimSpace(s) == "" {
						t.Errorf("%s: %s has no form %q", file, key, form)
					}
				}
			default:
				t.Errorf("%s: %s is a %T", file, key, text)
			}
		}
		if n := strings.Count(string(raw), "\n  \""); n != len(all) {
			t.Errorf("%s: %d lines for %d keys: one stands there twice", file, n, len(all))
		}
	}
	// A part of the product may have files of its own (clients.nb.json): the same part in the other language has the same keys.
	for _, a := range files {
		area := strings.Split(path.Base(a), ".")
		for _, lang := range Languages() {
			area[len(area)-2] = lang
			b := "locales/" + strings.Join(area, ".")
			for key := range keys[a] {
				if !keys[b][key] {
					t.Errorf("%s has %s, and %s has not", a, key, b)
				}
			}
		}
	}
	spoken := map[string]bool{}
	for file, own := range keys {
		if strings.HasSuffix(file, "nb.json") {
			for key := range own {
				if spoken[key] {
					t.Errorf("%s stands in two files", key)
				}
				spoken[key] = true
			}
		}
	}

	used := map[string][]string{}
	use := func(where string, found [][]string, suffixes ...string) {
		for _, m := range found {
			for _, key := range m[1:] {
				if key == "" || strings.HasSuffix(key, ".") { // the beginning of a dynamic one
					continue
				}
				if len(suffixes) == 0 {
					used[key] = append(used[key], where)
				}
				for _, s := range suffixes {
					used[key+s] = append(used[key+s], where)
				}
			}
		}
	}
	var sources strings.Builder
	err = filepath.WalkDir("../..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git" || entry.Name() == "static") {
			return fs.SkipDir
		}
		isGo := path.Ext(file) == ".go" && !strings.HasSuffix(file, "_test.go")
		if !isGo && path.Ext(file) != ".html" {
			return nil
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil //nolint:nilerr // somebody is just moving it
		}
		text := string(raw)
		sources.WriteString(text)
		use(file, said.FindAllStringSubmatch(text, -1))
		use(file, made.FindAllStringSubmatch(text, -1), ".title", ".words")
		if isGo {
			for _, m := range code.FindAllStringSubmatch(text, -1) {
				key := "problem." + m[1] + m[2] + m[3]
				used[key] = append(used[key], file)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, where := range used {
		if !spoken[key] {
			t.Errorf("no sentence for %s of %s", key, where[0])
		}
	}
	// A key that a program puts together begins with a literal that ends in a dot.
	prefixes := slices.Clone(dynamic)
	for _, m := range begun.FindAllStringSubmatch(sources.String(), -1) {
		prefixes = append(prefixes, m[1])
	}
	for key := range spoken {
		if base, ok := strings.CutSuffix(key, ".link"); ok && used[base+".title"] != nil {
			continue // an empty state may have a link
		}
		isDynamic := slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		if used[key] == nil && !isDynamic && !strings.Contains(sources.String(), `"`+key+`"`) {
			t.Errorf("%s is never said", key)
		}
	}
}

func TestSay(t *testing.T) {
	nb, en := T("nb"), T("en")
	at := time.Date(2023, 10, 4, 6, 2, 0, 0, time.UTC)
	for _, c := range []struct{ got, want string }{
		{nb.SayN("errors.fix", 1, nil), "Rett 1 ting:"},
		{nb.SayN("errors.fix", 1204, nil), "Rett 1\u00a0204 ting:"},
		{en.SayN("errors.fix", 1204, nil), "Put 1,204 things right:"},
		{nb.Number(-1234567), "-1\u00a0234\u00a0567"},
		{nb.Number(999), "999"},
		{nb.Say("no.such.key", nil), "no.such.key"},
		{T("xx").Lang, "nb"},
		{matching("no-NO,no;q=0.9").Lang, "nb"},
		{matching("en-GB,nb;q=0.9").Lang, "en"},
		{matching("fr").Lang, "nb"},
		{matching("%%").Lang, "nb"},
		{nb.Weekday(calendar.On(2023, 9, 19)), "tirsdag"},
		{nb.DateTime(at, defaultZone), "04.10.23 kl. 08.02"},
		{nb.Say("problem.cooling_off", map[string]any{"until": at}), "Angrefristen varer til 04.10.23 kl. 08.02."},
		{nb.Say("problem.cooling_off", nil), "Angrefristen varer."},
		{
			nb.Say("problem.too_early", map[string]any{"start": calendar.On(2023, 3, 14), "months": 6, "due": calendar.On(2023, 9, 14), "run": calendar.On(2023, 10, 1)}),
			"For tidlig. Frakoblet 14.03.23 + 6 måneder = 14.09.23, så tidligste gruppe er 01.10.23.",
		},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestOwnPagesExecute(t *testing.T) {
	pages, err := parsePages("/static/0/")
	if err != nil {
		t.Fatal(err)
	}
	if err := tryRegistered(pages); err != nil {
		t.Error(err)
	}
}

// Sentences that are always the same are written into the templates, escaped as text: they may stand in text and in quoted
// attributes, and nowhere else. What is written must be what would have been said.
func TestWrittenSentences(t *testing.T) {
	files, err := fs.Glob(web.Templates, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := regexp.MustCompile(`\b(href|src|action|formaction|style|srcset|on\w+)="[^"]*\{\{\$?\.Say|=\{\{\$?\.Say|<(script|style)[^>]*>[^<]*\{\{\$?\.Say|<!--[^>]*\{\{`)
	icon, err := icons()
	if err != nil {
		t.Fatal(err)
	}
	writes := writer{text: T("nb"), static: "/static/0/", icon: icon}
	n := 0
	for _, file := range files {
		source, err := fs.ReadFile(web.Templates, file)
		if err != nil {
			t.Fatal(err)
		}
		if bad := elsewhere.FindString(string(source)); bad != "" {
			t.Errorf("%s: a sentence stands where it would need another escaping: %s", file, bad)
		}
		for _, m := range fixed.FindAllStringSubmatch(string(source), -1) {
			if n++; strings.Contains(m[0], `"icon"`) && !strings.Contains(writes.icon(m[1]), "<path") {
				t.Errorf("%s: there is no icon %s", file, m[1])
			}
		}
	}
	if n < 100 {
		t.Fatalf("only %d sentences: this test sees nothing", n)
	}
	for source, want := range map[string]string{
		`<p title="{{.Say "nav.clients"}}">{{$.Say "nav.clients"}}</p>`: `<p title="Klienter">Klienter</p>`,
		`{{.Say "no.such.key"}}`:             `{{.Say "no.such.key"}}`,
		`{{.Say "demo.clock" "when" .When}}`: `{{.Say "demo.clock" "when" .When}}`,
		`{{.Say "problem.too_early"}}`:       `{{.Say "problem.too_early"}}`, // it has blanks
		`{{template "icon" "left"}}`:         `<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d="M15 6l-6 6 6 6"/></svg>`,
		`{{template "icon" .Icon}}`:          `{{template "icon" .Icon}}`,
		`<img src="{{.Static "icon.svg"}}">`: `<img src="/static/0/icon.svg">`,
	} {
		if got := writes.into(source); got != want {
			t.Errorf("%s became %s", source, got)
		}
	}
	sharp := writer{text: Text{Lang: "nb", flat: map[string]string{"x": `a <b> & "c"`}}}
	if got := sharp.into(`<i title="{{.Say "x"}}">`); got != `<i title="a &lt;b&gt; &amp; &#34;c&#34;">` {
		t.Errorf("not escaped: %s", got)
	}
}

// Sentences that only have blanks are filled without the library. What comes out must be what it would have said.
func TestBlanksAreFilledAsTheLibraryFillsThem(t *testing.T) {
	n := 0
	for _, lang := range Languages() {
		text := T(lang)
		for key, parts := range text.open {
			params := map[string]any{}
			for i := 1; i < len(parts); i += 2 {
				params[parts[i]] = `<a> & "` + parts[i] + `" {{.n}} 1 204`
			}
			if n++; n%3 == 0 {
				params[parts[1]] = 1204
			}
			if n%10 == 0 {
				delete(params, parts[1]) // a blank that nobody fills
			}
			want := text.say(&i18n.LocalizeConfig{MessageID: key, TemplateData: text.fill(params)})
			if got := text.Say(key, params); got != want {
				t.Errorf("%s in %s: %q, want %q", key, lang, got, want)
			}
		}
	}
	if n < 100 {
		t.Fatalf("only %d sentences: this test sees nothing", n)
	}
	for sentence, want := range map[string]int{"ord": 1, "{{.a}} ord": 3, "ord {{.a}}{{.b}}": 5, "{{if .a}}x{{end}}": 0, "{{ .a }}": 0} {
		if got := parted(sentence); len(got) != want {
			t.Errorf("%s has %d parts: %q", sentence, len(got), got)
		}
	}
}
