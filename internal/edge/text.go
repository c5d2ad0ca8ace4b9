package edge

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a small container has no zones of its own

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/web"
	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// DefaultLanguage is bokmål: every key exists in it.
const DefaultLanguage = "nb"

// Text says things in one language. Get one with T; the zero Text says nothing.
type Text struct {
	Lang string
	Zone *time.Location // of the instants in sentences; nil is Europe/Oslo
	l    *i18n.Localizer
	keys map[string]bool
	flat map[string]string   // the sentences without blanks and plurals, which need no work
	open map[string][]string // those with blanks alone: what stands before one, its name, and so on
}

type library struct {
	texts   map[string]Text
	langs   []string
	matcher language.Matcher
}

var locales = sync.OnceValue(func() *library {
	bundle := i18n.NewBundle(language.MustParse(DefaultLanguage))
	files, err := fs.Glob(web.Locales, "locales/*.json")
	if err != nil {
		panic(err)
	}
	lib := &library{texts: map[string]Text{}}
	for _, file := range files {
		lang := strings.TrimSuffix(path.Base(file), ".json") // nb, or clients.nb: a part of the product may have a file of its own
		lang = lang[strings.LastIndex(lang, ".")+1:]
		raw, err := web.Locales.ReadFile(file)
		if err != nil {
			panic(err)
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(raw, &keys); err != nil {
			panic(fmt.Sprintf("%s: %v", file, err))
		}
		if _, err := bundle.ParseMessageFileBytes(raw, file); err != nil {
			panic(fmt.Sprintf("%s: %v", file, err))
		}
		text, ok := lib.texts[lang]
		if !ok {
			text = Text{Lang: lang, l: i18n.NewLocalizer(bundle, lang), keys: map[string]bool{}, flat: map[string]string{}, open: map[string][]string{}}
			lib.texts[lang] = text
			lib.langs = append(lib.langs, lang)
		}
		for key, value := range keys {
			text.keys[key] = true
			var sentence string
			if json.Unmarshal(value, &sentence) != nil {
				continue
			}
			if parts := parted(sentence); len(parts) == 1 {
				text.flat[key] = sentence
			} else if parts != nil {
				text.open[key] = parts
			}
		}
	}
	slices.SortFunc(lib.langs, func(a, b string) int { // the default first: a matcher falls back on its first
		return cmp.Or(cmp.Compare(b2i(b == DefaultLanguage), b2i(a == DefaultLanguage)), cmp.Compare(a, b))
	})
	tags := make([]language.Tag, len(lib.langs))
	for i, lang := range lib.langs {
		tags[i] = language.MustParse(lang)
	}
	lib.matcher = language.NewMatcher(tags)
	return lib
})

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Languages are those that Frist speaks, the default first.
func Languages() []string { return slices.Clone(locales().langs) }

// T is the Text of a language, and of DefaultLanguage where Frist does not speak it.
func T(lang string) Text {
	if t, ok := locales().texts[lang]; ok {
		return t
	}
	return locales().texts[DefaultLanguage]
}

// matching is the Text that fits an Accept-Language header best.
func matching(header string) Text {
	wanted, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return T(DefaultLanguage)
	}
	_, i, _ := locales().matcher.Match(wanted...)
	return T(locales().langs[i])
}

// Has reports whether there is a sentence for key.
func (t Text) Has(key string) bool { return t.keys[key] }

// Say is the sentence for key, its blanks filled. Whole numbers get the language's separators (a year must come as
// text), dates become dd.mm.yy, instants "dd.mm.yy kl. hh.mm". A key that does not exist is said as it is.
func (t Text) Say(key string, params map[string]any) string {
	if sentence, ok := t.flat[key]; ok {
		return sentence
	}
	filled := t.fill(params)
	if parts, ok := t.open[key]; ok {
		if sentence, ok := join(parts, filled); ok {
			return sentence
		}
	}
	return t.say(&i18n.LocalizeConfig{MessageID: key, TemplateData: filled})
}

var blank = regexp.MustCompile(`\{\{\.([a-z_]+)\}\}`)

// parted is a sentence cut at its blanks: words and names in turn, words first and last. Nothing when there is more in it
// than blanks.
func parted(sentence string) []string {
	var parts []string
	end := 0
	for _, at := range blank.FindAllStringSubmatchIndex(sentence, -1) {
		parts = append(parts, sentence[end:at[0]], sentence[at[2]:at[3]])
		end = at[1]
	}
	parts = append(parts, sentence[end:])
	for i := 0; i < len(parts); i += 2 {
		if strings.Contains(parts[i], "{{") {
			return nil
		}
	}
	return parts
}

// join fills a parted sentence. It does not when one of its blanks is to stay empty.
func join(parts []string, filled map[string]any) (string, bool) {
	var b strings.Builder
	for i, part := range parts {
		if i%2 == 0 {
			b.WriteString(part)
			continue
		}
		switch v := filled[part].(type) {
		case nil:
			return "", false
		case string:
			b.WriteString(v)
		default:
			fmt.Fprint(&b, v)
		}
	}
	return b.String(), true
}

// SayN is Say in the form for n things; the sentence knows the number as {{.n}}.
func (t Text) SayN(key string, n int, params map[string]any) string {
	filled := t.fill(params)
	filled["n"] = t.Number(n)
	return t.say(&i18n.LocalizeConfig{MessageID: key, PluralCount: n, TemplateData: filled})
}

func (t Text) say(c *i18n.LocalizeConfig) string {
	if !t.keys[c.MessageID] {
		return c.MessageID
	}
	s, err := t.l.Localize(c)
	if err != nil && s == "" {
		return c.MessageID
	}
	return s
}

func (t Text) fill(params map[string]any) map[string]any {
	filled := make(map[string]any, len(params)+1)
	for name, value := range params {
		switch v := value.(type) {
		case int:
			value = t.Number(v)
		case int64:
			value = t.Number(int(v))
		case calendar.Date:
			value = v.Short()
		case time.Time:
			zone := t.Zone
			if zone == nil {
				zone = defaultZone
			}
			value = t.DateTime(v, zone)
		case []string:
			value = strings.Join(v, ", ")
		}
		filled[name] = value
	}
	return filled
}

// Number writes 1204 as "1 204" (with a space that does not break) or "1,204".
func (t Text) Number(n int) string {
	digits := strconv.Itoa(n)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	separator := "\u00a0"
	if t.Lang == "en" {
		separator = ","
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + separator + digits[i:]
	}
	return sign + digits
}

// Period is "6 måneder", and "mer enn 6 måneder" where a rule is exclusive (D2).
func (t Text) Period(months, days int, inclusive bool) string {
	var words string
	switch {
	case months >= 24 && months%12 == 0:
		words = t.SayN("client.years", months/12, nil)
	case months > 0:
		words = t.SayN("client.months", months, nil)
	default:
		words = t.SayN("client.days", days, nil)
	}
	if !inclusive {
		words = t.Say("client.more_than", map[string]any{"period": words})
	}
	return words
}

// Weekday is the day's name.
func (t Text) Weekday(d calendar.Date) string {
	return t.Say("weekday."+strconv.Itoa(int(d.UTC().Weekday())), nil)
}

// Time is "kl. 09.12" on the clocks of zone.
func (t Text) Time(at time.Time, zone *time.Location) string {
	return t.Say("time.at", map[string]any{"time": at.In(zone).Format("15.04")})
}

// DateTime is "19.09.23 kl. 09.12" on the clocks of zone.
func (t Text) DateTime(at time.Time, zone *time.Location) string {
	return calendar.DateOf(at.In(zone)).Short() + " " + t.Time(at, zone)
}

// Field is what people call a field of a form or a body.
func (t Text) Field(name string) string {
	if key := "field." + name; t.Has(key) {
		return t.Say(key, nil)
	}
	return name
}
