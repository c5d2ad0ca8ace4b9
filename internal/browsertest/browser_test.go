// Package browsertest walks through the whole product as people do: in a browser, with a real database, real workers and
// the demo's world, under a clock that the test turns. It fails when there is no browser; it never skips.
package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/frist-app/frist/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestBrowser is one world with the walks through it. They come after each other because the world is one.
func TestBrowser(t *testing.T) {
	w := newWorld(t)
	b := chromium(t, w)
	t.Run("pages", func(t *testing.T) { everyPage(t, w, b) })
	t.Run("story", func(t *testing.T) { story(t, w, b) })
	t.Run("visits", func(t *testing.T) { visits(t, w, b) })
	t.Run("without script", func(t *testing.T) { withoutScript(t, w, b) })
	t.Run("signing in", func(t *testing.T) { signingIn(t, w, b) })
	t.Run("nothing is left out", func(t *testing.T) {
		missing, err := w.unseen()
		if err != nil || len(missing) > 0 {
			t.Errorf("no walk has been through (%v)\n%s", err, strings.Join(missing, "\n"))
		}
	})
}

// chromiumPath is the browser that deploy/deps.sh finds: FRIST_CHROMIUM, else one on PATH, else the one it unpacked.
func chromiumPath(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("FRIST_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if path, err := filepath.Abs("../../.frist/chromium/chromium.sh"); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("no browser: set FRIST_CHROMIUM to one, or install the package chromium")
	return ""
}

// chromium starts the browser; every person gets a window of their own in it (person).
func chromium(t *testing.T, w *world) context.Context {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromiumPath(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "nb"), chromedp.Flag("accept-lang", "nb,no"),
		chromedp.Env("LANGUAGE=nb", "TZ=Europe/Oslo"), chromedp.WSURLReadTimeout(patience))
	ctx, closeAll := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(ctx)
	t.Cleanup(func() { closeBrowser(); closeAll() })
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("the browser does not start: %v", err)
	}
	return ctx
}

// person is somebody at a screen: one window with its own cookies.
type person struct {
	t      *testing.T
	ctx    context.Context
	w      *world
	who    string
	width  int64
	scheme string
	lang   string
	mute   bool            // scripts are switched off
	looked map[string]bool // what is the same on every page, at which width
	doubts bool            // does not prove anew who they are by themselves: the walk does it

	mu   sync.Mutex
	said []string // what the console said that it should not
}

// patience is for a machine that has much else to do. Only what never happens costs it.
const patience = time.Minute

// sit opens a window for somebody who is not signed in.
func sit(t *testing.T, w *world, browser context.Context, who string) *person {
	t.Helper()
	ctx, leave := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(leave)
	p := &person{t: t, ctx: ctx, w: w, who: who, scheme: "light", lang: "nb", looked: map[string]bool{}}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatal(err)
	}
	p.resize(1280)
	return p
}

// listen keeps what a page may not do: throw, warn, or run against its own security policy. That an answer had an error
// status is told by the tests themselves.
func (p *person) listen(ev any) {
	var what string
	switch ev := ev.(type) {
	case *runtime.EventExceptionThrown:
		what = "exception: " + ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			what += " " + e.Description
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type != "error" && ev.Type != "warning" && ev.Type != "assert" {
			return
		}
		what = "console: "
		for _, arg := range ev.Args {
			what += string(arg.Value) + arg.Description + " "
		}
	case *log.EventEntryAdded:
		if ev.Entry.Level != "error" && ev.Entry.Level != "warning" || refusal.MatchString(ev.Entry.Text) && !strings.Contains(ev.Entry.URL, "/static/") {
			return
		}
		what = fmt.Sprintf("%s: %s (%s)", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL)
	default:
		return
	}
	p.mu.Lock()
	p.said = append(p.said, what)
	p.mu.Unlock()
}

// refusal is the browser's own line for a form that is shown again with what is wrong in it.
var refusal = regexp.MustCompile(`status of (401|403|404|409|422)`)

// quiet fails the test with what the console said since the last time.
func (p *person) quiet(where string) {
	p.t.Helper()
	p.mu.Lock()
	said := p.said
	p.said = nil
	p.mu.Unlock()
	for _, what := range said {
		p.t.Errorf("%s, %s: %s", p.who, where, what)
	}
}

func (p *person) do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

func (p *person) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s at %s: %v", p.who, p.where(), err)
	}
}

func (p *person) where() string {
	at, err := chromedp.Run(p.ctx, chromedp.Location())
	if err != nil {
		return "?"
	}
	return strings.TrimPrefix(at, p.w.url)
}

// path is the address without what is asked of it.
func (p *person) path() string {
	path, _, _ := strings.Cut(p.where(), "?")
	return path
}

// ask is a value that a script in the page gives.
func ask[T any](p *person, js string) T {
	p.t.Helper()
	v, err := tell[T](p, js)
	p.must(err)
	return v
}

func tell[T any](p *person, js string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

func quote(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// resize makes the window so many pixels wide.
func (p *person) resize(width int64) {
	p.t.Helper()
	height := int64(900)
	if width < 768 {
		height = 844
	}
	p.width = width
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
	p.must(err)
	p.paint(p.scheme)
}

// paint chooses light or dark, as the person's system would. Nothing moves, so that nothing is measured half-way.
func (p *person) paint(scheme string) {
	p.t.Helper()
	p.scheme = scheme
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	p.must(err)
}

// script switches the page's own scripts on and off.
func (p *person) script(on bool) {
	p.t.Helper()
	p.mute = !on
	_, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
	p.must(err)
}

// open goes to an address of the site.
func (p *person) open(path string) {
	p.t.Helper()
	p.must(p.do(chromedp.Navigate(p.w.url + path)))
	p.settled()
}

// settled waits until the page, its scripts and its fonts are there.
func (p *person) settled() {
	p.t.Helper()
	p.until("the page is loaded", settled)
}

const settled = `document.readyState === 'complete' && document.fonts.status === 'loaded'`

// until waits for a condition of the page.
func (p *person) until(what, js string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok, err := tell[bool](p, "!!("+js+")")
		if err == nil && ok {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s at %s: it never happened that %s (%v); the page says:\n%s", p.who, p.where(), what, err, p.page())
		}
		time.Sleep(30 * time.Millisecond)
	}
}

// page is what a person can read in it.
func (p *person) page() string {
	text, err := tell[string](p, `document.body.innerText`)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return plain(text)
}

var spaces = regexp.MustCompile(`\s+`)

func plain(s string) string { return strings.TrimSpace(spaces.ReplaceAllString(s, " ")) }

// sees waits until the person can read every one of the texts.
func (p *person) sees(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		p.until("“"+text+"” can be read", `document.body.innerText.replace(/\s+/g, ' ').includes(`+quote(plain(text))+`)`)
	}
	p.quiet(p.where())
}

// seesNot fails when one of the texts can be read now.
func (p *person) seesNot(texts ...string) {
	p.t.Helper()
	all := p.page()
	for _, text := range texts {
		if text != "" && strings.Contains(all, plain(text)) {
			p.t.Errorf("%s at %s reads “%s”", p.who, p.where(), text)
		}
	}
}

// find is the script that finds what a person would press, or the field of a label: in the dialog that is open, else on
// the page; in the part that within names; with exactly these words, else with these words in it.
const find = `(kind, words, within) => {
  const flat = (s) => s.replace(/\s+/g, ' ').trim();
  const open = [...document.querySelectorAll('dialog[open]')].pop();
  const roots = within ? [...document.querySelectorAll(within)] : [open || document.body];
  if (!roots.length) throw new Error('nothing is ' + within);
  const seen = (e) => e.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true}) && e.getClientRects().length > 0;
  const all = roots.flatMap((r) => [...r.querySelectorAll(kind)]).filter(seen);
  let hits = all.filter((e) => flat(e.textContent) === words);
  if (!hits.length) hits = all.filter((e) => flat(e.textContent).startsWith(words));
  if (!hits.length) hits = all.filter((e) => flat(e.textContent).includes(words));
  if (hits.length !== 1) throw new Error(hits.length + ' of ' + kind + ' say ' + words + ': ' + all.map((e) => flat(e.textContent)).join(' | ').slice(0, 1500));
  return hits[0];
}`

const pressable = "button, a[href], summary"

// spot is where the element lies, after it was scrolled to and has come to rest; whatever lies over it is an error. It
// waits a moment for what is about to appear. The next click that lands on anything else does nothing.
func (p *person) spot(element string) (x, y float64) {
	p.t.Helper()
	rest := "await new Promise((done) => setTimeout(done, 40));"
	if p.mute { // nothing moves, and no time passes
		rest = ""
	}
	js := `(async () => { const e = ` + element + `, lies = () => { const r = e.getClientRects()[0]; return [r.x + Math.min(r.width / 2, 120), r.y + r.height / 2]; };
		e.scrollIntoView({block: 'center', behavior: 'instant'}); const before = String(lies()); ` + rest + `
		const at = lies(), top = document.elementFromPoint(...at);
		if (String(at) !== before) throw new Error('it moves');
		if (!e.contains(top)) throw new Error('something lies over it: ' + (top && top.outerHTML.slice(0, 200)));
		window.aimed = true;
		document.addEventListener('click', (ev) => {
			if (e.contains(ev.target)) window.aimed = false;
			else { ev.preventDefault(); ev.stopImmediatePropagation(); }
		}, {capture: true, once: true});
		return at; })()`
	for deadline := time.Now().Add(patience / 2); ; time.Sleep(50 * time.Millisecond) {
		at, err := tell[[]float64](p, js)
		if err == nil {
			return at[0], at[1]
		}
		if time.Now().After(deadline) {
			p.must(err)
		}
	}
}

// hit presses the mouse on an element, and once more when the page moved in between and the press went beside it.
func (p *person) hit(element string) {
	p.t.Helper()
	for try := 0; try < 5; try++ {
		x, y := p.spot(element)
		p.must(p.do(chromedp.MouseClickXY(x, y)))
		if p.mute { // nothing moves, and nobody listens
			return
		}
		if missed, err := tell[bool](p, `window.aimed === true`); err != nil || !missed { // an error: the page is being left
			return
		}
	}
	p.t.Fatalf("%s at %s cannot press %s", p.who, p.where(), element)
}

func (p *person) click(kind, words string, within ...string) {
	p.t.Helper()
	p.hit(`(` + find + `)(` + quote(kind) + `, ` + quote(words) + `, ` + quote(strings.Join(within, " ")) + `)`)
}

// press presses a button or link that leads to another page (or to this one anew), and waits for it.
func (p *person) press(words string, within ...string) {
	p.t.Helper()
	before := ask[float64](p, `performance.timeOrigin`)
	p.click(pressable, words, within...)
	p.until("“"+words+"” leads on", fmt.Sprintf(`performance.timeOrigin !== %v && %s`, before, settled))
	p.quiet(p.where() + " after " + words)
	if !p.doubts && ask[bool](p, `!!document.querySelector('form[action="/konto/bekreft"] [name=again-action]')`) { // five minutes have passed
		p.press("Bekreft og send")
	}
}

// tap presses something that changes the page in place: a dialog, a folded part, what htmx swaps.
func (p *person) tap(words string, within ...string) {
	p.t.Helper()
	p.click(pressable, words, within...)
}

// tick chooses a box or a radio button by its label.
func (p *person) tick(label string, within ...string) {
	p.t.Helper()
	p.click("label", label, within...)
}

// field is the script for the field of a label.
func field(label string, within []string) string {
	return `(` + find + `)('label', ` + quote(label) + `, ` + quote(strings.Join(within, " ")) + `).control`
}

// write types into the field of a label, in place of what stands there, and goes on to the next field.
func (p *person) write(label, text string, within ...string) {
	p.t.Helper()
	p.hit(field(label, within))
	ask[bool](p, `(document.activeElement.select(), true)`)
	if text == "" {
		p.must(p.do(chromedp.KeyEvent("\b")))
	} else {
		_, err := chromedp.Call(p.ctx, input.InsertText, input.InsertTextParams{Text: text})
		p.must(err)
	}
	p.must(p.do(chromedp.KeyEvent("\t")))
}

// choose picks an option of the list with the label.
func (p *person) choose(label, option string, within ...string) {
	p.t.Helper()
	ask[bool](p, `(() => { const s = `+field(label, within)+`, flat = (t) => t.replace(/\s+/g, ' ').trim();
		const o = [...s.options].filter((o) => flat(o.text) === `+quote(option)+`);
		if (o.length !== 1) throw new Error('no such choice in ' + [...s.options].map((o) => o.text).join(' | '));
		s.focus(); s.value = o[0].value;
		for (const e of ['input', 'change']) s.dispatchEvent(new Event(e, {bubbles: true}));
		return true; })()`)
}

// attach chooses a file in the file field.
func (p *person) attach(selector, path string) {
	p.t.Helper()
	p.must(p.do(chromedp.SetUploadFiles(chromedp.CSS(selector), []string{path})))
}

// signIn presses the button of a persona on the sign-in page.
func (p *person) signIn() {
	p.t.Helper()
	p.open("/login")
	p.sees("Prøv Frist som …")
	p.press(p.who)
	if strings.HasPrefix(p.where(), "/login") {
		p.t.Fatalf("%s is not signed in: %s", p.who, p.page())
	}
}

// speaks chooses a language in the person's own menu.
func (p *person) speaks(language, code string) {
	p.t.Helper()
	p.tap(p.who, ".me")
	p.press(language, "#meg")
	p.lang = code
	p.until("the page is in "+language, `document.documentElement.lang === `+quote(code))
}

// fetched is a file as the person's browser gets it.
type fetched struct {
	Status int    `json:"status"`
	Type   string `json:"type"`
	Body   string `json:"body"`
}

func (p *person) fetch(path string) fetched {
	p.t.Helper()
	return ask[fetched](p, `fetch(`+quote(path)+`).then(async (r) => ({status: r.status, type: r.headers.get('content-type'), body: await r.text()}))`)
}

// shots is where pictures of the pages are kept when somebody wants to look at them.
var shots = os.Getenv("FRIST_SHOTS")

// shot keeps a picture of the whole page as it is now.
func (p *person) shot(name string) {
	p.t.Helper()
	if shots == "" {
		return
	}
	height := ask[float64](p, `document.documentElement.scrollHeight`)
	p.picture(fmt.Sprintf("%s-%d-%s.png", name, p.width, p.scheme), min(height, 3000))
}

func (p *person) picture(file string, height float64) {
	p.t.Helper()
	beyond := true
	got, err := chromedp.Call(p.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &beyond, Clip: &page.Viewport{Width: float64(p.width), Height: height, Scale: 1},
	})
	p.must(err)
	p.must(errors.Join(os.MkdirAll(shots, 0o700), os.WriteFile(filepath.Join(shots, file), got.Data, 0o600)))
}
