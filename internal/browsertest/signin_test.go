package browsertest

import (
	"context"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/frist-app/frist/internal/demo"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/mail"
	"github.com/frist-app/frist/internal/mail/mailtest"
	"github.com/frist-app/frist/internal/oidc"
	"github.com/frist-app/frist/internal/oidc/demoprovider"
	"github.com/pquerna/otp/totp"
)

// door is what signing in needs beside the database: a certified provider at which everybody is known, a mail server, and a
// network that is approved.
func (w *world) door(t *testing.T) {
	t.Helper()
	w.house.URL = w.url
	people := demo.People()
	running, err := demoprovider.Start(t.Context(), "../../web/oidc", filepath.Join(t.TempDir(), "key.pem"), w.url+"/login/retur", "ID-porten (demo)", people, nil)
	if err != nil {
		t.Fatalf("%v: run deploy/deps.sh provider", err)
	}
	t.Cleanup(func() { _ = running.Stop() })
	w.house.Providers = []*oidc.Provider{running.Provider}
	for i, p := range demo.Personas() {
		if err := w.house.LinkFirst(t.Context(), w.db, running.Provider, people[i].PID, p.Login); err != nil {
			t.Fatal(err)
		}
	}
	w.post = mailtest.Start(t)
	post, err := mail.Open(w.post.URL, "frist@example.no", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { post.Close(context.Background()) })
	w.house.Mail = edge.Letters{Post: post}
	w.Exec(t, `INSERT INTO address_range (municipality_id, network, place, added_by, added_at) SELECT id, '10.20.0.0/16', 'Rådhuset', 0, now() FROM municipality`)
}

// proves says anew who one is, so that what comes next may be done.
func (p *person) proves() {
	p.t.Helper()
	at := p.where()
	p.open("/konto/bekreft")
	p.press("Bekreft")
	p.open(at)
}

// comes says from which address the person's requests come, as the proxy in front would.
func (p *person) comes(from string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"X-Forwarded-For": from}})
	p.must(err)
}

// enters signs in with a password.
func (p *person) enters(login, password string) {
	p.t.Helper()
	p.open("/login")
	p.write("Brukernavn", login)
	p.write("Passord", password)
	p.press("Logg inn", "form:has([type=password])")
}

// leaves signs out by the menu.
func (p *person) leaves() {
	p.t.Helper()
	p.tap(p.who, ".me")
	p.press("Logg ut", "#meg")
	p.sees("Logg inn i Frist")
}

// atProvider is what one does there.
func (p *person) atProvider(name, level string) {
	p.t.Helper()
	p.until("the provider has the word", `document.title === 'Demo av ID-porten' && `+settled)
	p.choose("Person", name)
	p.choose("Nivå", level)
	p.press("Logg inn")
}

const approved, strange = "10.20.0.7", "203.0.113.9"

// signingIn is every way in, and the pages about one's own account.
func signingIn(t *testing.T, w *world, browser context.Context) {
	t.Run("at a provider", func(t *testing.T) { signInAtProvider(t, w, browser) })
	t.Run("with a password", func(t *testing.T) { signInWithPassword(t, w, browser) })
	t.Run("with a passkey", func(t *testing.T) { signInWithPasskey(t, w, browser) })
	t.Run("forgotten", func(t *testing.T) { forgottenPassword(t, w, browser) })
}

func signInAtProvider(t *testing.T, w *world, browser context.Context) {
	p := sit(t, w, browser, "Jonas Lie")
	p.open("/login")
	p.press("Logg inn med ID-porten (demo)")
	p.atProvider("Jonas Lie", oidc.Substantial)
	p.until("one is in", `!!document.querySelector('.me')`)
	p.open("/konto")
	p.sees("Her er du logget inn", "ID-porten (demo)", "Kontoen er knyttet til deg hos ID-porten (demo).")
	p.press("Fjern tilknytningen til ID-porten (demo)")
	p.sees("Tilknytningen er fjernet.")
	p.press("Knytt til ID-porten (demo)")
	p.atProvider("Jonas Lie", oidc.Substantial) // asked anew, though one is signed in there
	p.sees("Kontoen er knyttet til deg. Nå kan du")
	// Where the municipality demands the highest level, less does not open; the page leads on.
	highest := func(on bool) {
		w.Exec(t, `UPDATE municipality_policy SET highest_level = $1 WHERE municipality_id = (SELECT municipality_id FROM municipality_name WHERE number = '3218')`, on)
	}
	highest(true)
	defer highest(false)
	p.leaves()
	p.press("Logg inn med ID-porten (demo)") // the provider still knows, and asks nothing
	p.sees("Kommunen krever innlogging på høyeste nivå.")
	p.examine("a level that is not enough", false)
	p.press("Logg inn på nytt med høyeste nivå")
	p.atProvider("Jonas Lie", oidc.High)
	p.until("one is in", `!!document.querySelector('.me')`)
	// After five minutes a proof is due; the provider gives it, and asks anew.
	w.clock.forward(6 * time.Minute)
	p.doubts = true
	p.open("/konto")
	p.press("Fjern tilknytningen til ID-porten (demo)")
	p.sees("Bekreft at det er deg", "er tatt vare på")
	p.press("Bekreft hos ID-porten (demo)")
	p.atProvider("Jonas Lie", oidc.High)
	p.sees("Det du fylte ut, er ikke sendt ennå.")
	p.examine("confirmed", false)
	p.press("Avbryt")
	p.leaves()
}

func signInWithPassword(t *testing.T, w *world, browser context.Context) {
	const login = "saksbehandler.as"
	password := "password of " + login
	w.Exec(t, `DELETE FROM session`) // what the other walks have left open
	p := sit(t, w, browser, "Kari Nordmann")
	for _, from := range []string{strange, "10.21.0.1", approved + ", " + strange} {
		p.comes(from)
		p.enters(login, password)
		p.sees("Ikke logget inn", "Brukernavn eller passord stemmer ikke.", "Passord virker bare fra kommunens egne nettverk.")
	}
	p.comes(approved)
	p.enters(login, password)
	p.until("one is in", `!!document.querySelector('.me')`)

	// Two places, and both are seen from either.
	other := sit(t, w, browser, "Kari Nordmann")
	other.comes(approved)
	other.enters(login, password)
	p.open("/konto")
	p.sees("Denne nettleseren", "Passord", "Chrome, Linux", "Logg ut det andre stedet")
	p.examine("/konto two places", true)
	p.press("Logg ut der")
	p.sees("Logget ut ett sted.")
	other.open("/klienter")
	other.sees("Logg inn i Frist")
	other.enters(login, password)

	// A one-time code beside the password.
	p.open("/konto")
	p.press("Sett opp totrinnsbekreftelse")
	p.press("Sett opp engangskode")
	p.sees("Skann bildet")
	p.examine("/konto/faktor/kode", true)
	secret := strings.ReplaceAll(ask[string](p, `document.querySelector('dd.code').textContent`), " ", "")
	p.write("Engangskode", "000000")
	p.press("Ta i bruk")
	p.sees("Koden stemmer ikke")
	code := func(later time.Duration) string {
		c, err := totp.GenerateCode(secret, time.Now().Add(later))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	p.write("Engangskode", code(-30*time.Second))
	p.press("Ta i bruk")
	p.sees("Reservekoder", "Totrinnsbekreftelsen er satt opp.")
	p.examine("/konto/reservekoder", false)
	codes := ask[[]string](p, `[...document.querySelectorAll('.recovery .code')].map((e) => e.textContent)`)
	if len(codes) != 10 {
		t.Errorf("%d recovery codes", len(codes))
	}
	p.press("Jeg har tatt vare på kodene")
	p.sees("10 reservekoder igjen.")
	p.press("Lag nye reservekoder") // and the first ones are worth nothing
	p.sees("Hver kode virker én gang")
	codes = ask[[]string](p, `[...document.querySelectorAll('.recovery .code')].map((e) => e.textContent)`)
	p.press("Jeg har tatt vare på kodene")

	other.leaves()
	other.enters(login, password)
	other.sees("Bekreft innloggingen")
	other.examine("/login/faktor", true)
	other.open("/klienter") // opens nothing yet
	other.sees("Bekreft innloggingen")
	other.write("Engangskode", code(0))
	other.press("Logg inn")
	other.until("one is in", `!!document.querySelector('.me')`)
	other.leaves()
	other.enters(login, password)
	other.tap("Har du ikke passnøkkelen eller telefonen her?")
	other.write("Reservekode", codes[0])
	other.press("Logg inn")
	other.sees("Forrige gang du var her")

	// Sensitive acts keep the form while they ask who one is.
	w.clock.forward(6 * time.Minute)
	p.doubts = true
	p.open("/konto")
	p.press("Lag nye reservekoder")
	p.sees("Bekreft at det er deg", "Det du fylte ut, er tatt vare på")
	p.examine("a form that waits", true)
	p.write("Passord", "wrong")
	p.press("Bekreft og send")
	p.sees("Passordet stemmer ikke.")
	p.write("Passord", password)
	p.write("Engangskode", code(30*time.Second))
	p.press("Bekreft og send")
	p.sees("Reservekoder", "Hver kode virker én gang")
	p.open("/konto")
	p.press("Fjern Engangskode")
	p.sees("Totrinnsbekreftelsen er fjernet.", "Ingen er satt opp.")
	p.open("/konto/bekreft")
	p.examine("/konto/bekreft", true)

	// A new password ends what was open elsewhere.
	p.open("/konto")
	p.press("Logg ut det andre stedet")
	p.sees("Logget ut ett sted.")
	other.enters(login, password)
	p.write("Passordet du har nå", password)
	p.write("Nytt passord", "qwertyuiopasdfgh")
	p.write("Nytt passord en gang til", "qwertyuiopasdfgh")
	p.press("Bytt passord")
	p.sees("Passordet følger alfabetet eller tastaturet.")
	p.examine("a password that is guessed", false)
	p.write("Passordet du har nå", password)
	p.write("Nytt passord", "blå sykkel over fjorden")
	p.write("Nytt passord en gang til", "blå sykkel over fjorden")
	p.press("Bytt passord")
	p.sees("Passordet er byttet. Du er logget ut ett annet sted.")
	other.open("/klienter")
	other.sees("Logg inn i Frist")
	p.leaves()
}

func signInWithPasskey(t *testing.T, w *world, browser context.Context) {
	p := sit(t, w, browser, "Odd Operatør")
	p.comes(approved)
	_, err := chromedp.Call(p.ctx, webauthn.Enable, webauthn.EnableParams{})
	p.must(err)
	_, err = chromedp.Call(p.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: "ctap2", Transport: "usb", HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	p.must(err)
	p.enters("operator", "password of operator")
	p.sees("Sett opp totrinnsbekreftelse", "Rollen din krever noe mer enn et passord.")
	p.seesNot("Sett opp engangskode")
	p.examine("/konto/faktor forced", true)
	p.open("/")
	p.sees("Sett opp totrinnsbekreftelse")
	p.press("Sett opp passnøkkel")
	p.examine("/konto/faktor/passnokkel", true)
	p.write("Navn på nøkkelen", "Blå nøkkel")
	p.press("Lag passnøkkel")
	p.sees("Reservekoder")
	p.press("Jeg har tatt vare på kodene")
	p.until("one is in", `!!document.querySelector('.me')`)
	p.leaves()
	p.enters("operator", "password of operator")
	p.sees("Bekreft innloggingen")
	p.press("Bruk passnøkkel")
	p.until("one is in", `!!document.querySelector('.me')`)
	p.open("/konto")
	p.sees("Passnøkkel: Blå nøkkel", "Rollen din krever minst én.")
	p.press("Fjern Passnøkkel")
	p.sees("Rollen din krever totrinnsbekreftelse.")
	w.clock.forward(6 * time.Minute)
	p.doubts = true
	p.open("/konto")
	p.press("Lag nye reservekoder")
	p.sees("Bekreft at det er deg")
	p.write("Passord", "password of operator")
	p.press("Bruk passnøkkel")
	p.sees("Reservekoder", "Hver kode virker én gang")
	p.leaves()
}

var mailed = regexp.MustCompile(`/konto/lenke/[A-Za-z0-9_-]{43}`)

func forgottenPassword(t *testing.T, w *world, browser context.Context) {
	const login = "personvernombud.as"
	w.Exec(t, `UPDATE account SET email = 'ombud@example.no' WHERE login = $1`, login)
	in := sit(t, w, browser, "Ingvild Aas")
	in.comes(approved)
	in.enters(login, "password of "+login)
	p := sit(t, w, browser, "Ingvild Aas")
	p.comes(approved)
	p.open("/login")
	p.press("Glemt passord?")
	p.examine("/glemt-passord", true)
	p.write("Brukernavn", login)
	p.press("Send lenke")
	p.sees("en lenke på vei")
	arrived := w.post.Wait(t, 1)
	link := mailed.FindString(strings.ReplaceAll(arrived[len(arrived)-1].Data, "=\r\n", ""))
	p.open(link)
	p.sees("Velg nytt passord", login)
	p.examine("/konto/lenke", true)
	p.write("Nytt passord", "grønn kopp uten hank")
	p.write("Nytt passord en gang til", "grønn kopp uten hankr")
	p.press("Lagre passordet")
	p.sees("De to passordene er ikke like.")
	p.write("Nytt passord", "grønn kopp uten hank")
	p.write("Nytt passord en gang til", "grønn kopp uten hank")
	p.press("Lagre passordet")
	p.sees("Passordet er lagret. Logg inn med det.")
	in.open("/konto")
	in.sees("Logg inn i Frist")
	p.enters(login, "grønn kopp uten hank")
	p.until("one is in", `!!document.querySelector('.me')`)
	p.open(link)
	p.sees("Lenken virker ikke: den er brukt")
}
