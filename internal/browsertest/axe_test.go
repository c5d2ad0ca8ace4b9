package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:embed testdata/axe.min.js
var axe string

// violation is one rule of WCAG that a page breaks, with where.
type violation struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// axe asks axe-core. What the debugger evaluates is not subject to the page's own policy, so that stays as strict as it is.
func (p *person) axe(within string) []violation {
	p.t.Helper()
	if !ask[bool](p, `typeof window.axe === 'object'`) {
		ask[bool](p, axe+";true")
	}
	raw := ask[string](p, `axe.run(`+within+`, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'], iframes: false})
		.then((r) => JSON.stringify(r.violations))`)
	var found []violation
	p.must(json.Unmarshal([]byte(raw), &found))
	return found
}

func (p *person) accessible(where, within string) {
	p.t.Helper()
	for _, v := range p.axe(within) {
		for i, n := range v.Nodes {
			if i == 3 {
				p.t.Errorf("%s, %s: %d more of %s", p.who, where, len(v.Nodes)-i, v.ID)
				break
			}
			p.t.Errorf("%s, %s at %d px, %s: %s (%s): %s: %.300s: %.300s", p.who, where, p.width, p.scheme, v.ID, v.Impact, v.Help, n.HTML, plain(n.Summary))
		}
	}
}

// common are the dialog and the menus that are the same on all pages of one person: they are looked at once.
var common = []string{"hurtigtaster", "meg", "meny"}

// planted proves that the instruments see what they are for, before they are believed.
func (p *person) planted() {
	p.t.Helper()
	sin := func(js string) { ask[bool](p, `(`+js+`, true)`) }
	sin(`document.querySelector('main').append(Object.assign(document.createElement('img'), {src: 'https://elsewhere.invalid/none.png', id: 'planted'}))`)
	if found := p.axe("document"); !slices.ContainsFunc(found, func(v violation) bool { return v.ID == "image-alt" }) {
		p.t.Error("axe does not see a picture without words")
	}
	sin(`document.getElementById('planted').width = 2000`)
	if p.beyond() == "" {
		p.t.Error("nobody sees that the page scrolls sideways")
	}
	sin(`document.getElementById('planted').remove()`)
	sin(`console.error('planted words')`)
	sin(`setTimeout(() => { throw new Error('planted error') })`)
	sin(`document.querySelector('main').append(Object.assign(document.createElement('img'), {src: '/static/planted.png', alt: ''}))`)
	for _, want := range []string{"planted words", "planted error", "Content Security Policy", "/static/planted.png"} {
		heard := func(what string) bool { return strings.Contains(what, want) }
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			p.mu.Lock()
			said := slices.ContainsFunc(p.said, heard)
			p.mu.Unlock()
			if said {
				break
			}
			if time.Now().After(deadline) {
				p.t.Errorf("nobody hears of %q", want)
				break
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = nil
}

// beyond is what makes the page wider than the screen.
func (p *person) beyond() string {
	p.t.Helper()
	return ask[string](p, `document.documentElement.scrollWidth <= innerWidth ? '' : document.documentElement.scrollWidth + ' px: ' + [...document.body.querySelectorAll('*')]
		.filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.tabs, .scroll')).slice(0, 3).map((e) => e.outerHTML.slice(0, 160)).join(' … ')`)
}

// facts are what every page must have.
type facts struct {
	Lang, Title, Heading string
	Headings             int
	IDs                  []string // that stand twice
	Dialogs, Popovers    []string
}

const readFacts = `(() => {
	for (const d of document.querySelectorAll('details:not([open])')) { d.open = true; d.dataset.closed = ''; }
	const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
	return {Lang: document.documentElement.lang, Title: document.title, Heading: [...document.querySelectorAll('h1, .ds-breadcrumbs')].map((e) => e.innerText).join(' '),
		Headings: document.querySelectorAll('h1').length, IDs: [...new Set(ids.filter((id, i) => ids.indexOf(id) !== i))],
		Dialogs: [...document.querySelectorAll('dialog[id]')].map((d) => d.id), Popovers: [...document.querySelectorAll('[popover][id]')].map((d) => d.id)};
})()`

// examine looks at the page that is open: its facts, axe on wide and narrow screens (and in the dark, where asked for),
// each of its dialogs and menus, and that nothing scrolls sideways. The window is 1280 wide and light before and after.
func (p *person) examine(where string, dark bool) facts {
	p.t.Helper()
	p.w.examined(p.path())
	if p.mute { // axe needs time to pass in the page; what was parsed without scripts stays as it is
		p.script(true)
		defer p.script(false)
	}
	f := ask[facts](p, readFacts)
	switch {
	case f.Lang != p.lang:
		p.t.Errorf("%s, %s: the language is %q", p.who, where, f.Lang)
	case f.Headings != 1:
		p.t.Errorf("%s, %s: %d first headings", p.who, where, f.Headings)
	case !strings.HasSuffix(f.Title, " – Frist") || len(f.Title) < len(" – Frist")+3:
		p.t.Errorf("%s, %s: the title is %q", p.who, where, f.Title)
	case !alike(f.Title, f.Heading):
		p.t.Errorf("%s, %s: the title %q has no word in common with the headings %q", p.who, where, f.Title, plain(f.Heading))
	}
	if key := ask[string](p, `(document.body.innerText.match(/(?<![\w.@\/-])[a-z]{3}[a-z_]*\.[a-z_]+\.[a-z0-9_]+/g) || []).filter((w) => !/\.(no|eu|com|invalid)$/.test(w)).join(' ')`); key != "" {
		p.t.Errorf("%s, %s: keys without words: %s", p.who, where, key)
	}
	if len(f.IDs) > 0 {
		p.t.Errorf("%s, %s: these ids stand twice: %v", p.who, where, f.IDs)
	}
	name := p.file(where)
	for _, width := range []int64{1280, 390} {
		p.resize(width)
		for _, scheme := range []string{"light", "dark"} {
			if scheme == "dark" && !dark && shots == "" {
				continue
			}
			p.paint(scheme)
			p.shot(name)
			if scheme == "light" || dark {
				p.accessible(where, "document")
			}
		}
		p.paint("light")
		if wide := p.beyond(); wide != "" {
			p.t.Errorf("%s, %s: too wide for %d px: %s", p.who, where, width, wide)
		}
		p.overlays(f, where, name)
	}
	p.resize(320)
	if wide := p.beyond(); wide != "" {
		p.t.Errorf("%s, %s: too wide for 320 px: %s", p.who, where, wide)
	}
	p.resize(1280)
	ask[bool](p, `(document.querySelectorAll('[data-closed]').forEach((d) => { d.open = false; }), true)`)
	p.quiet(where)
	return f
}

// overlays looks at what lies over the page when somebody opens it.
func (p *person) overlays(f facts, where, name string) {
	p.t.Helper()
	for _, id := range slices.Concat(f.Dialogs, f.Popovers) {
		if once := fmt.Sprint(id, p.width, p.lang); slices.Contains(common, id) {
			if p.looked[once] {
				continue
			}
			p.looked[once] = true
		}
		show, hide, rest := "showModal", "close", "visible"
		if slices.Contains(f.Popovers, id) {
			// axe does not know that a popover lies over everything, and takes what is under it for what covers it.
			show, hide, rest = "showPopover", "hidePopover", "hidden"
		}
		e := "document.getElementById(" + quote(id) + ")"
		ask[bool](p, `(`+e+`.`+show+`(), document.querySelector('main').style.visibility = '`+rest+`', true)`)
		p.accessible(where+" #"+id, e)
		if wide := p.beyond(); wide != "" {
			p.t.Errorf("%s, %s #%s: too wide for %d px: %s", p.who, where, id, p.width, wide)
		}
		if shots != "" {
			p.picture(fmt.Sprintf("%s-%s-%d.png", name, id, p.width), 900)
		}
		ask[bool](p, `(`+e+`.`+hide+`(), document.querySelector('main').style.visibility = '', true)`)
	}
}

var words = regexp.MustCompile(`[\p{L}\d]{3,}`)

// alike reports whether title and heading speak of the same thing.
func alike(title, heading string) bool {
	of := words.FindAllString(strings.ToLower(strings.TrimSuffix(title, " – Frist")), -1)
	return slices.ContainsFunc(words.FindAllString(strings.ToLower(heading), -1), func(w string) bool { return slices.Contains(of, w) })
}

var (
	uuids   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	numbers = regexp.MustCompile(`/\d+(/|$)`)
	rounds  = regexp.MustCompile(`\d{4}-\d{6}[-\w]*`)
	plainer = regexp.MustCompile(`[^\w-]+`)
)

// route is an address without what differs from one thing to the next of its kind.
func route(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	path := rounds.ReplaceAllString(uuids.ReplaceAllString(u.Path, "{id}"), "{round}")
	path = numbers.ReplaceAllString(path, "/{n}$1")
	var names []string
	for name := range u.Query() {
		names = append(names, name)
	}
	slices.Sort(names)
	if path == "/klienter" && len(names) > 0 {
		return path + "?" // the list with a filter, whichever
	}
	if len(names) > 0 {
		path += "?" + strings.Join(names, "&")
	}
	return path
}

func (p *person) file(where string) string {
	return strings.Trim(plainer.ReplaceAllString(strings.Fields(p.who)[0]+"-"+where, "-"), "-")
}

// inTheDark are the pages that are also looked at in the dark.
var inTheDark = []string{
	"/login", "/klienter", "/klienter/{id}", "/klienter/{id}/status", "/klienter/{id}/enheter", "/runder", "/runder/{round}", "/runder/{round}/protokoll",
	"/drift", "/drift/{round}", "/support", "/support/runder/{round}", "/bestillinger", "/plattform", "/innsyn",
}

// several are the routes of which more than one page is looked at, because their states differ.
var several = map[string]int{"/runder/{round}": 3, "/drift/{round}": 2, "/support/runder/{round}": 2, "/brukere/{n}": 3, "/runder/{round}/klienter?utfall": 2}

// everyPage goes through every page that each role can reach by links from where it begins, the pages of forms that
// stand behind dialogs among them.
func everyPage(t *testing.T, w *world, browser context.Context) {
	nobody := sit(t, w, browser, "nobody")
	nobody.open("/login")
	nobody.planted()
	nobody.examine("/login", true)
	nobody.write("Brukernavn", "nobody.at.all")
	nobody.write("Passord", "wrong password")
	nobody.press("Logg inn", "form:has([type=password])")
	nobody.sees("Ikke logget inn")
	nobody.examine("/login refused", false)

	// Clients that show everything that there is to show.
	in := func(condition string) string { return w.clients(t, "3218", condition)[0].page() }
	item := func(condition string) string {
		return `EXISTS (SELECT FROM round_item i WHERE i.municipality_id = c.municipality_id AND i.client_id = c.id AND i.state IN ('placed', 'ready', 'blocked') AND ` + condition + `)`
	}
	clients := []string{
		in(item(`'device_on_address' = ANY (i.reasons)`)), in(item(`'device_on_client' = ANY (i.reasons)`)), in(item(`'duplicate_active' = ANY (i.reasons)`)),
		in(`c.unplaced_reason = 'held'`), in(`c.unplaced_reason = 'no_start_date'`), in(`c.protected AND c.status = 'active'`), in(`c.status = 'ordered'`),
	}
	rich := in(`c.status = 'disconnected' AND ` + item(`i.state = 'ready'`) + ` AND EXISTS (SELECT FROM recording x WHERE x.municipality_id = c.municipality_id AND x.client_id = c.id)`)
	lent := in(`c.status = 'active' AND EXISTS (SELECT FROM device_connection k WHERE k.municipality_id = c.municipality_id AND k.client_id = c.id AND k.disconnected_at IS NULL)`)
	held := in(`c.unplaced_reason = 'held' AND EXISTS (SELECT FROM hold h WHERE h.municipality_id = c.municipality_id AND h.client_id = c.id AND h.release_asked_at IS NOT NULL)`)
	// In Tromsø, where the archive question is open, the caseworker reads English.
	abroad := w.clients(t, "5501", `c.status = 'disconnected' AND NOT c.protected AND EXISTS (SELECT FROM round_item i WHERE i.municipality_id = c.municipality_id AND i.client_id = c.id AND 'archive_unanswered' = ANY (i.reasons))`)[0].page()
	for _, walk := range []struct {
		who   string
		begin []string
		not   []string // kinds of pages that somebody else of the role looks at
	}{
		{"Kari Nordmann", slices.Concat([]string{rich, lent + "/enheter", lent + "/status", held + "/palegg"}, clients), []string{"/runder", "/bestillinger", "/import", "/klienter?", "/klienter/ny", "/personvern"}},
		{"Jonas Lie", []string{"/", "/klienter?status=ordered&gruppe=ingen", "/ingenting"}, []string{"/klienter/{id}", "/adresser", "/personvern"}},
		{"Astrid Sæther", []string{"/", "/runder/" + due + "/avlys", held + "/palegg", clients[0]}, []string{"/klienter/{id}/", "/personvern"}},
		{"Ingvild Aas", []string{"/"}, nil},
		{"Per Øverland", []string{"/", "/klienter"}, []string{"/regler/a", "/regler/ch", "/regler/i", "/regler/p", "/regler/r"}},
		{"Sara Support", []string{"/", "/klienter"}, nil},
		{"Odd Operatør", []string{"/"}, nil},
		{"Elle Márjá Gaup", []string{"/", abroad}, []string{"/personvernerklaring"}},
		{"Petra Plattform", []string{"/"}, nil},
	} {
		t.Run(walk.who, func(t *testing.T) {
			t.Parallel()
			p := sit(t, w, browser, walk.who)
			p.signIn()
			if walk.begin[len(walk.begin)-1] == abroad {
				p.speaks("English", "en")
			}
			p.crawl(walk.begin, walk.not)
		})
	}
	t.Run("the contract", func(t *testing.T) { apiDocs(t, w, browser) })
}

// crawl looks at the pages of begin, and at one of each route that they lead to.
func (p *person) crawl(begin, not []string) {
	p.t.Helper()
	queue, looked, done := slices.Clone(begin), map[string]int{}, map[string]bool{}
	titles := map[string]string{}
	for n := 0; len(queue) > 0; n++ {
		address := queue[0]
		queue = queue[1:]
		at := route(address)
		asked := n < len(begin)
		if done[address] || !asked && (looked[at] >= max(1, several[at]) || slices.ContainsFunc(not, func(kind string) bool { return strings.HasPrefix(at, kind) })) {
			continue
		}
		done[address] = true
		p.open(address)
		at = route(p.where())
		done[strings.TrimPrefix(p.where(), p.w.url)] = true
		looked[at]++
		f := p.examine(at+[]string{"", fmt.Sprintf(" %d", looked[at])}[min(1, looked[at]-1)], slices.Contains(inTheDark, at) && looked[at] == 1)
		if other, ok := titles[f.Title]; ok && other != at && !strings.Contains(f.Heading, "Vi finner ikke siden") && !strings.Contains(at, "?") && !strings.Contains(other, "?") {
			p.t.Errorf("%s: %s and %s have the same title %q", p.who, at, other, f.Title)
		}
		titles[f.Title] = at
		for _, href := range ask[[]string](p, `[...document.querySelectorAll('a[href]')].map((e) => e.getAttribute('href'))
			.concat([...document.querySelectorAll('noscript')].flatMap((e) => [...e.textContent.matchAll(/ href="([^"]+)"/g)].map((m) => m[1]))).filter((h) => h.startsWith('/'))`) {
			if !strings.Contains(href, "/utlevering.") && !strings.HasSuffix(href, ".pdf") && !strings.HasSuffix(href, ".json") && !strings.HasSuffix(href, ".csv") && !strings.HasPrefix(href, "/api/") && !regexp.MustCompile(`/opptak/.`).MatchString(href) {
				queue = append(queue, href)
			}
		}
	}
	p.t.Logf("%s: %d pages of %d kinds", p.who, len(done), len(looked))
}

// theirs are the rules that the page of the API's contract breaks: it is Redoc's, not ours. Its badge asks for a picture
// from its maker's network, which our policy refuses.
var theirs = []string{"target-size"}

const badge = "https://cdn.redoc.ly/"

func apiDocs(t *testing.T, w *world, browser context.Context) {
	t.Helper()
	p := sit(t, w, browser, "nobody")
	p.open("/api/docs")
	p.until("Redoc has built the page", `document.querySelectorAll('h1, h2').length > 3`)
	var broken []string
	for _, v := range p.axe("document") {
		t.Logf("/api/docs: %s (%s): %s, %d times", v.ID, v.Impact, v.Help, len(v.Nodes))
		broken = append(broken, v.ID)
	}
	slices.Sort(broken)
	if !slices.Equal(broken, theirs) {
		t.Errorf("/api/docs breaks %v; declared are %v", broken, theirs)
	}
	p.shot("api-docs")
	p.mu.Lock()
	p.said = slices.DeleteFunc(p.said, func(what string) bool { return strings.Contains(what, badge) })
	p.mu.Unlock()
	p.quiet("/api/docs")
}
