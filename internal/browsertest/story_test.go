package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// The round of Ås that waits for control when the story begins.
const due = "3218-231001"

// tale is the story under way: who sits at which screen, and what the chapters tell each other.
type tale struct {
	*testing.T            // of the chapter
	book       *testing.T // as long as which everybody stays at their screens
	w          *world
	browser    context.Context
	people     map[string]*person

	moved     someone // disconnected and put off
	returned  someone // taken out of the round by the approver who then may not approve it
	widower   someone // disconnected, with an alarm at home that is his wife's
	leftover  someone // stayed in the round because of a device, and goes in the extra run
	extra     string  // its number
	purged    []someone
	children  []string // tables that hang on a client
	blobs     []string // of those who are purged
	remaining []string // of everybody else
}

// as is the person at their screen, signed in.
func (s *tale) as(who string) *person {
	s.Helper()
	if p, ok := s.people[who]; ok {
		p.t = s.T
		return p
	}
	p := sit(s.book, s.w, s.browser, who)
	p.t = s.T
	p.signIn()
	s.people[who] = p
	return p
}

func (s *tale) count(want int, sql string, args ...any) {
	s.Helper()
	if n := s.w.Count(s.T, sql, args...); n != want {
		s.Errorf("%d, want %d: %s", n, want, sql)
	}
}

const (
	kari   = "Kari Nordmann"  // caseworker in Ås
	jonas  = "Jonas Lie"      // the other one
	astrid = "Astrid Sæther"  // approver in Ås
	ole    = "Ole Martin Vik" // the other one
	sara   = "Sara Support"
	odd    = "Odd Operatør"
)

// story is the one of the issue, steps 3 to 9, as the people in it would live it.
func story(t *testing.T, w *world, browser context.Context) {
	s := &tale{T: t, book: t, w: w, browser: browser, people: map[string]*person{}}
	for _, chapter := range []struct {
		name string
		tell func(*tale)
	}{
		{"the municipality answers for its data", (*tale).answersFor},
		{"the caseworker filters the list", (*tale).filters},
		{"registers a client and keeps the record", (*tale).registers},
		{"disconnects a client", (*tale).disconnects},
		{"moves it between groups", (*tale).moves},
		{"connects, exchanges and hands over devices", (*tale).devices},
		{"holds, and an approver confirms the release", (*tale).holds},
		{"holds everybody at an address", (*tale).holdsAddress},
		{"a person asks for their rights", (*tale).asksForRights},
		{"knows an old registration", (*tale).knows},
		{"shields a client", (*tale).shields},
		{"a client is active again", (*tale).reactivates},
		{"a file is imported", (*tale).imports},
		{"support controls", (*tale).controls},
		{"one approver may not, another does", (*tale).approves},
		{"the operator starts, pauses and resumes", (*tale).runs},
		{"the municipality reads the proof", (*tale).reads},
		{"an extra run", (*tale).ordersMore},
		{"the next group exists", (*tale).goesOn},
		{"the privacy officer asks who looked", (*tale).asksWhoLooked},
		{"what is gone is gone", (*tale).isGone},
		{"an open archive question blocks, and the round is called off", (*tale).callsOff},
		{"two people decide who has access", (*tale).accesses},
		{"somebody signs in by password, and settles", (*tale).settles},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { s.T = t; chapter.tell(s) }) {
			break // the next chapter needs what this one left
		}
	}
	for _, p := range s.people {
		p.t = t
	}
}

func (s *tale) filters() {
	p := s.as(kari)
	p.sees("Klienter", "Ny klient")
	p.choose("Status", "Frakoblet", "form:has(#f-search)")
	p.press("Søk", "form:has(#f-search)")
	p.sees(fmt.Sprintf("%d i alt", len(s.w.clients(s.T, "3218", `c.status = 'disconnected'`))))
	if other := ask[[]string](p, `[...document.querySelectorAll('td[data-l=Status]')].map((e) => e.innerText).filter((s) => !s.startsWith('Frakoblet'))`); len(other) > 0 {
		s.Errorf("the list of disconnected clients shows %v", other)
	}
	p.press("Nullstill")
	p.tap("Flere filtre")
	p.tick("01.10.23", "details")
	p.tick("01.01.24", "details")
	p.press("Vis klientene")
	p.sees("Slettegruppe 01.10.23", "Slettegruppe 01.01.24")
	in := s.w.clients(s.T, "3218", `EXISTS (SELECT FROM round_item i JOIN deletion_round r ON r.municipality_id = i.municipality_id AND r.id = i.round_id
		WHERE i.municipality_id = c.municipality_id AND i.client_id = c.id AND i.state IN ('placed', 'ready', 'blocked') AND r.number IN ('3218-231001', '3218-240101'))`)
	p.sees(fmt.Sprintf("%d i alt", len(in)))
	for _, c := range in {
		p.sees(c.number)
	}
	p.examine("the list filtered by two groups", false)
}

// look finds a client by its number, as a person who has it on a note.
func (s *tale) look(p *person, c someone) {
	s.Helper()
	p.open("/klienter")
	p.write("Navn, nummer, telefon eller enhetskode", c.number)
	p.press("Søk", "form:has(#f-search)")
	if at := p.where(); strings.Contains(at, c.number) {
		s.Errorf("the number stands in the address %s", at)
	}
	p.press(c.listed(), "table.clients")
	p.sees(c.name(), c.number)
}

const alone = `NOT EXISTS (SELECT FROM client o WHERE o.municipality_id = c.municipality_id AND o.id <> c.id AND (o.address_id = c.address_id OR o.national_id = c.national_id))
	AND NOT EXISTS (SELECT FROM device_connection k WHERE k.municipality_id = c.municipality_id AND k.address_id = c.address_id AND k.disconnected_at IS NULL) AND NOT c.protected`

const hasDevice = `EXISTS (SELECT FROM device_connection k WHERE k.municipality_id = c.municipality_id AND k.client_id = c.id AND k.disconnected_at IS NULL)`

func (s *tale) registers() {
	p := s.as(kari)
	p.open("/klienter")
	p.press("Ny klient")
	p.write("Fornavn", "Borghild")
	p.write("Etternavn", "Prøvesen")
	p.write("Fødselsdato", "31.02.1940")
	p.write("Adresse", "Skoleveien 8")
	p.write("Postnummer", "1430")
	p.write("Sted", "Ås")
	p.press("Registrer klienten")
	p.sees("31.02.1940 finnes ikke")
	p.examine("a new client with an error", false)
	p.write("Fødselsdato", "29.02.1940")
	p.press("Registrer klienten")
	p.sees("Klienten er registrert.", "Borghild Prøvesen", "29.02.1940", "Skoleveien 8")
	c := s.w.clients(s.T, "3218", `c.given_name = 'Borghild' AND c.family_name = 'Prøvesen'`)[0]

	// Two at one record: nothing of either is lost.
	other := s.as(jonas)
	p.press("Klient", ".tabs")
	other.open(c.page() + "/opplysninger")
	other.write("Telefon", "900 00 553")
	other.press("Lagre")
	other.sees("Lagret.")
	p.write("Telefon", "900 00 554")
	p.press("Lagre")
	p.sees(jonas+" lagret denne klienten", "Felt Ditt Lagret", "900 00 554", "900 00 553")
	p.examine("a record that somebody else has changed", false)
	p.press("Lagre")
	p.sees("Lagret.")
	s.count(1, `SELECT count(*) FROM client WHERE id = $1 AND replace(phone, ' ', '') LIKE '%90000554'`, c.id)
	p.press("Opplysningene er kontrollert i dag")
	p.sees("Notert: opplysningene er kontrollert i dag.")
	p.press("Notater", ".tabs")
	p.press("Legg til notat")
	p.sees("Skriv notatet.")
	p.write("Notat", "Ringte og ønsket velkommen.")
	p.press("Legg til notat")
	p.sees("Notatet er lagt til.", "Ringte og ønsket velkommen. "+kari)
	p.press("Rett", "table")
	p.examine("a note to be corrected", true)
	p.write("Tekst", "")
	p.press("Lagre rettingen")
	p.sees("Tekst mangler.")
	p.examine("a note without words", false)
	p.write("Tekst", "Skrev og ønsket velkommen.")
	p.press("Lagre rettingen")
	p.sees("Rettet.", "Skrev og ønsket velkommen. "+kari)
}

func (s *tale) disconnects() {
	s.moved = s.w.clients(s.T, "3218", `c.status = 'active' AND c.status_since < '2023-01-01' AND `+alone+` AND `+hasDevice)[0]
	p := s.as(kari)
	s.look(p, s.moved)
	p.sees("Ingen slettedato", "Klienten er ikke frakoblet")
	p.press("Endre status")
	p.write("Fra og med", "31.09.23")
	p.choose("Årsak til at avtalen heves", "Flyttet på sykehjem")
	p.press("Lagre ny status")
	p.sees("31.09.23 finnes ikke")
	p.examine("the status form with an error", false)
	p.write("Fra og med", "20.09.23")
	p.sees("Slettes 01.04.24 Frakoblet 20.09.23 + 6 måneder = 20.03.24 → slettes 01.04.24.", "Avtalens sluttdato settes til 20.09.23")
	p.examine("the preview of a disconnection", false)
	p.press("Lagre ny status")
	p.sees("Klienten er frakoblet. Slettes 01.04.24.", "Frakoblet 20.09.23 + 6 måneder = 20.03.24 → slettes 01.04.24", "Tjenestemottakere til sletting 01.04.24", "Ingen enhet på klienten")
	s.count(1, `SELECT count(*) FROM client WHERE id = $1 AND status = 'disconnected' AND agreement_end = '2023-09-20T00:00:00+02:00' AND end_reason = 'institution'`, s.moved.id)
	p.press("Status", ".tabs")
	p.sees("Frakoblet Flyttet på sykehjem " + kari)
}

func (s *tale) moves() {
	p := s.as(kari)
	p.open(s.moved.page())
	p.tap("Velg en annen gruppe")
	p.choose("Slettegruppe", "01.01.24 – for tidlig", "details")
	p.write("Grunn, når gruppen er senere", "Det haster", "details")
	p.press("Flytt til gruppen")
	p.sees("For tidlig. Frakoblet 20.09.23 + 6 måneder = 20.03.24, så tidligste gruppe er 01.04.24.")
	p.examine("a group that is too early", false)
	p.open(s.moved.page())
	p.press("Utsett til 01.07.24")
	p.sees("Oppgi grunnen.")
	p.examine("a later group without a reason", false)
	p.write("Hvorfor må det vente?", "Nøklene er ikke hentet.")
	p.press("Utsett til 01.07.24")
	p.sees("Klienten er flyttet til en annen slettegruppe.", "Tjenestemottakere til sletting 01.07.24", "Utsatt av "+kari)
}

func (s *tale) devices() {
	p := s.as(kari)
	stock := s.w.text(s.T, `SELECT string_agg(code, ' ' ORDER BY code) FROM device d JOIN municipality_name n USING (municipality_id)
		WHERE n.number = '3218' AND stock_state = 'in_stock' AND NOT EXISTS (SELECT FROM device_connection k WHERE k.municipality_id = d.municipality_id AND k.device_id = d.id)`)
	codes := strings.Fields(stock)
	c := s.w.clients(s.T, "3218", `c.status = 'active' AND c.address_id IS NOT NULL AND `+alone+` AND NOT `+hasDevice)[0]
	s.look(p, c)
	p.press("Enheter", ".tabs")
	p.write("Enhetskode", "000000")
	p.press("Koble til", "main form")
	p.sees("Ingen enhet i kommunen har denne koden.")
	p.examine("the devices with an error", false)
	p.write("Enhetskode", codes[0])
	p.press("Koble til", "main form")
	p.sees("Enheten er koblet til.", "Koblet til klienten")
	p.press("Bytt …")
	p.sees("Bytt enhet " + codes[0])
	p.write("Enhetskode", codes[1])
	p.press("Bytt enhet")
	p.sees("Enheten er byttet.", codes[1], codes[0]+" Koblet fra klienten, lagt på lager")
	p.press("Koble fra og legg på lager")
	p.sees("Enheten er koblet fra og lagt på lager.", "Ingen enheter på klienten.", codes[1]+" Koblet fra klienten, lagt på lager")
	s.count(2, `SELECT count(*) FROM device JOIN municipality_name n USING (municipality_id) WHERE n.number = '3218' AND code = ANY ($1) AND stock_state = 'in_stock'`, codes[:2])

	for _, code := range codes[:2] {
		p.write("Enhetskode", code)
		p.press("Koble til", "main form")
		p.sees("Enheten er koblet til.", code)
	}
	p.press("Gjør forhåndsvalgt")
	p.sees("Enheten er forhåndsvalgt.")
	for range codes[:2] {
		p.press("Koble fra og legg på lager", "[aria-labelledby=h-k] tbody tr:first-child")
		p.sees("Enheten er koblet fra og lagt på lager.")
	}
	p.write("Enhetskode", codes[2])
	p.tick("Adressen", "main form")
	p.press("Koble til", "main form")
	p.sees("Enheten er koblet til.", codes[2]+" Koblet til adressen")
	p.press("Bytt …", "[aria-labelledby=h-a]")
	p.write("Enhetskode", codes[3])
	p.press("Bytt enhet")
	p.sees("Enheten er byttet.", codes[3]+" Koblet til adressen")
	p.press("Koble fra og legg på lager", "[aria-labelledby=h-a]")
	p.sees("Enheten er koblet fra og lagt på lager.", "Ingen enheter på adressen.", "Ingen enheter på klienten.")
	s.count(4, `SELECT count(*) FROM device JOIN municipality_name n USING (municipality_id) WHERE n.number = '3218' AND code = ANY ($1) AND stock_state = 'in_stock'`, codes[:4])

	// D19: the alarm at home is the wife's, so it is connected to her.
	s.widower = s.w.clients(s.T, "3218", `c.status = 'disconnected' AND EXISTS (SELECT FROM client o WHERE o.municipality_id = c.municipality_id AND o.address_id = c.address_id AND o.status = 'active')
		AND EXISTS (SELECT FROM device_connection k WHERE k.municipality_id = c.municipality_id AND k.address_id = c.address_id AND k.disconnected_at IS NULL)
		AND EXISTS (SELECT FROM round_item i WHERE i.municipality_id = c.municipality_id AND i.client_id = c.id AND i.state = 'blocked' AND i.reasons = '{device_on_address}')`)[0]
	wife := s.w.clients(s.T, "3218", `c.status = 'active' AND c.address_id = (SELECT address_id FROM client WHERE id = $2)`, s.widower.id)[0]
	s.look(p, s.widower)
	p.sees("Skulle vært slettet 01.10.23 Venter på kontroll hos support.", "1 hinder", "Enhet på adressen er ikke på lager", wife.name())
	if shots != "" {
		p.picture("README-client.png", 1060)
	}
	p.press("Flytt til " + wife.name())
	p.sees("Enheten er flyttet til den som bor der.", "Ingen hinder", "Ingen enhet på adressen")
	s.count(1, `SELECT count(*) FROM device_connection WHERE client_id = $1 AND disconnected_at IS NULL AND connected_at > now() - interval '100 years'
		AND device_id IN (SELECT device_id FROM device_connection WHERE address_id = (SELECT address_id FROM client WHERE id = $1))`, wife.id)
}

func (s *tale) holds() {
	p := s.as(kari)
	s.look(p, s.moved)
	p.press("Bevar …")
	p.press("Lagre bevaringspålegget")
	p.sees("Skriv hvem som ber om det, og saksnummeret.")
	p.examine("the form of a hold with errors", false)
	p.tick("Klage")
	p.write("Hvem ber om det, og saksnummer", "Statsforvalteren, sak 5512")
	p.write("Når skal pålegget vurderes på nytt?", "01.12.23")
	p.press("Lagre bevaringspålegget")
	p.sees("Pålegget er lagt på.", "Ingen slettedato", "Klienten har et bevaringspålegg og ligger ikke i noen slettegruppe.", "Statsforvalteren, sak 5512")
	p.examine("a client under a hold", false)
	p.tap("Be om oppheving", "details")
	p.write("Hvorfor trengs pålegget ikke lenger?", "Klagen er trukket.")
	p.press("Be om oppheving", "details form")
	p.sees("Du har bedt om oppheving. En godkjenner bekrefter.", "Oppheving ventes")
	p.seesNot("Bekreft oppheving")

	a := s.as(astrid)
	s.look(a, s.moved)
	a.press("Bevaring", ".tabs")
	a.sees("Klagen er trukket.")
	a.resize(390)
	a.open(s.moved.page() + "/palegg")
	if !ask[bool](a, `(() => { const tab = document.querySelector('.tabs [aria-current]').getBoundingClientRect(); return tab.left >= 0 && tab.right <= innerWidth })()`) {
		a.t.Error("the tab that one stands on is out of sight")
	}
	a.resize(1280)
	a.press("Bekreft oppheving")
	a.sees("Pålegget er opphevet, og klienten er plassert på nytt.", "Slettes 01.04.24")
	s.count(1, `SELECT count(*) FROM hold WHERE client_id = $1 AND released_at IS NOT NULL AND released_by <> placed_by`, s.moved.id)
}

func (s *tale) holdsAddress() {
	c := s.w.clients(s.T, "3218", `c.status = 'disconnected' AND NOT c.protected AND c.address_id IS NOT NULL AND EXISTS (SELECT FROM round_item i JOIN deletion_round r
		ON r.municipality_id = i.municipality_id AND r.id = i.round_id WHERE i.municipality_id = c.municipality_id AND i.client_id = c.id AND i.state = 'placed' AND r.state = 'open') AND c.id <> $2`, s.moved.id)[0]
	street := s.w.text(s.T, `SELECT street FROM address WHERE id = (SELECT address_id FROM client WHERE id = $1)`, c.id)
	p := s.as(kari)
	s.look(p, c)
	p.press(street, ".facts")
	p.press("Bevar …")
	p.press("Lagre bevaringspålegget")
	p.sees("Skriv hvem som ber om det, og saksnummeret.")
	p.examine("the form of a hold on an address with errors", false)
	p.tick("Politiet etterforsker")
	p.write("Hvem ber om det, og saksnummer", "Politiet, sak 77")
	p.write("Når skal pålegget vurderes på nytt?", "01.12.23")
	p.press("Lagre bevaringspålegget")
	p.sees("Pålegget er lagt på.", "Adressen har et bevaringspålegg: Politiet etterforsker", "Politiet, sak 77")
	p.examine("an address under a hold", false)
	s.look(p, c)
	p.sees("Ingen slettedato", "Klienten har et bevaringspålegg og ligger ikke i noen slettegruppe.")
	s.count(0, `SELECT count(*) FROM round_item i JOIN client c ON c.municipality_id = i.municipality_id AND c.id = i.client_id
		WHERE c.address_id = (SELECT address_id FROM client WHERE id = $1) AND i.state IN ('placed', 'ready', 'blocked')`, c.id)
}

// knows is D21: who is registered twice stays until somebody says that this is the old registration.
func (s *tale) knows() {
	c := s.w.clients(s.T, "3218", `EXISTS (SELECT FROM round_item i WHERE i.municipality_id = c.municipality_id AND i.client_id = c.id AND i.state = 'blocked' AND i.reasons = '{duplicate_active}')`)[0]
	p := s.as(kari)
	s.look(p, c)
	p.sees("Dobbeltregistrert: samme person er aktiv")
	p.press("Bekreft gammel registrering")
	p.sees("Bekreftet: dette er den gamle registreringen.", "Ingen hinder", "Ikke dobbeltregistrert")
}

// inRound are the clients whose item in a round has a state.
func (s *tale) inRound(number string, state string) []someone {
	s.Helper()
	return s.w.clients(s.T, "3218", `EXISTS (SELECT FROM round_item i JOIN deletion_round r ON r.municipality_id = i.municipality_id AND r.id = i.round_id
		WHERE i.municipality_id = c.municipality_id AND i.client_id = c.id AND r.number = $2 AND i.state = $3)`, number, state)
}

func (s *tale) reactivates() {
	for _, c := range s.inRound(due, "ready") {
		if c != s.widower && s.w.Count(s.T, `SELECT count(*) FROM client c WHERE id = $1 AND `+alone, c.id) == 1 {
			s.returned = c
		}
	}
	p := s.as(astrid)
	s.look(p, s.returned)
	p.sees("Skulle vært slettet 01.10.23")
	p.press("Reaktiver …")
	p.sees("Klienten blir aktiv", "Klienten tas straks ut av slettegruppen 01.10.23")
	p.examine("the preview of a re-activation", false)
	p.press("Lagre ny status")
	p.sees("Klienten er aktiv og står ikke til sletting.", "Ingen slettedato")
	s.count(1, `SELECT count(*) FROM round_item i JOIN deletion_round r ON r.municipality_id = i.municipality_id AND r.id = i.round_id WHERE client_id = $1 AND number = $2 AND i.state = 'withdrawn'`, s.returned.id, due)
	k := s.as(kari)
	k.open("/klienter")
	k.choose("Slettegruppe", "01.10.23", "form:has(#f-search)")
	k.press("Søk", "form:has(#f-search)")
	k.sees("Slettegruppe 01.10.23")
	k.seesNot(s.returned.number)
}

func (s *tale) imports() {
	file := filepath.Join(s.TempDir(), "klienter.csv")
	rows := "Db nr;Fornavn;Etternavn;Adresse;Postnr;Poststed;Telefon;Født;Kjønn;Status;Statusdato\r\n" +
		"200099001;Åshild;Prøve-Importsen;Skoleveien 4 B;1430;Ås;900 00 551;12.05.1938;K;Frak;14.03.2023\r\n" +
		"200099002;Bjørn;Prøve-Feilsen;Skoleveien 6;1430;Ås;900 00 552;31.02.1940;M;Frak;31.02.2023\r\n"
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		s.Fatal(err)
	}
	p := s.as(kari)
	p.press("Import", ".site-nav")
	p.tap("Importer", "form[enctype]") // and no file
	p.sees("Velg en fil.")
	p.attach("input[type=file]", file)
	p.tap("Se hva som skjer")
	p.sees("1 ny klient ville blitt importert", "Ingenting er lagret ennå.", "3 Avvist")
	p.seesNot("Prøve-Feilsen")
	p.examine("what an import would do", false)
	s.count(0, `SELECT count(*) FROM client WHERE number = '200099001'`)
	p.attach("input[type=file]", file)
	p.press("Importer", "form[enctype]")
	p.sees("1 ny klient er importert", "3 Avvist", "Datoen finnes ikke.")
	p.seesNot("Prøve-Feilsen")
	p.examine("the report of an import", false)
	s.count(1, `SELECT count(*) FROM client WHERE number LIKE '20009900_'`)
	c := s.w.clients(s.T, "3218", `c.number = '200099001'`)[0]
	s.look(p, c)
	p.sees("Frakoblet 14.03.23 + 6 måneder = 14.09.23 → slettes 01.01.24", "Satt av Frist ved import")
}

// control is support's part of a round: everything is checked, every spot check gets its finding.
func (s *tale) control(p *person, number string) {
	s.Helper()
	p.open("/support")
	p.reload("/support", number) // an extra run is filled in the background
	p.press("Kontroller " + number)
	p.sees("Frist kontrollerer alle, ikke et utvalg.")
	p.press("Kontroller alle")
	p.until("the control is through", `document.querySelector('form[action$=avslutt] button') && document.readyState === 'complete'`)
	p.sees("Reaktivert siden de ble satt i gruppen", "Enhet på klienten", "Enhet på adressen", "Bevaringspålegg", "Slettefristen er nådd")
}

func (s *tale) find(p *person) {
	s.Helper()
	rows := ask[int](p, `document.querySelectorAll('table.sample tbody tr').length`)
	for row := 1; row <= rows; row++ {
		p.tick("På lager", fmt.Sprintf("table.sample tbody tr:nth-child(%d) fieldset", row))
	}
	p.press("Avslutt kontrollen")
	p.sees("Kontrollen er avsluttet. Kommunens godkjenner avgjør.")
}

func (s *tale) controls() {
	p := s.as(sara)
	p.sees("Alle kommuner", "Du ser antall, enhetskoder og lagerstatus.")
	s.control(p, due)
	p.sees("Stikkprøver: 0 av", "Trukket tilfeldig, frø")
	for _, c := range append(s.inRound(due, "ready"), s.inRound(due, "blocked")...) {
		p.seesNot(c.name(), c.number, c.id)
	}
	p.examine("the control with its spot checks", false)
	p.press("Avslutt kontrollen")
	p.sees("Velg hva du fant.")
	p.examine("the control without findings", false)
	p.tick("På lager", "table.sample tbody tr:nth-child(1) fieldset")
	p.press("Lagre og fortsett senere")
	p.sees("1 funn er lagret.", "Stikkprøver: 1 av")
	s.find(p)
	s.count(1, `SELECT count(*) FROM deletion_round WHERE number = $1 AND state = 'controlled' AND sample_seed IS NOT NULL`, due)
}

func (s *tale) approves() {
	ready := s.inRound(due, "ready")
	if slices.Contains(ready, s.returned) || !slices.Contains(ready, s.widower) {
		s.Fatal("the control left the wrong ones in the list")
	}
	a := s.as(astrid)
	a.press("Sletterunder", ".site-nav")
	a.press("01.10.23")
	a.sees("Du kan ikke godkjenne denne runden", "Du tok 1 klient ut av den 05.10.23.", ole+" kan godkjenne.")
	a.seesNot("Godkjenn …", "Avvis …")
	a.examine("a round that one may not approve", false)
	a.open("/runder/" + due + "/godkjenn") // by its address, the form is refused too
	if ask[bool](a, `!!document.querySelector('form[action$=godkjenn] button')`) {
		a.press("Godkjenn og frys lista")
		a.sees("har selv hatt hånd om")
		a.examine("a refused approval", false)
	}
	s.count(1, `SELECT count(*) FROM deletion_round WHERE number = $1 AND state = 'controlled'`, due)

	o := s.as(ole)
	o.open("/runder") // he has been elsewhere since
	o.sees("1 runde venter på deg.")
	o.press("Avgjør " + due)
	o.sees(fmt.Sprintf("%d klienter slettes for godt når runden kjøres", len(ready)), "Venter på deg", "Kommunen har ingen angrefrist.")
	if shots != "" {
		o.picture("README-round.png", 1120)
	}
	o.examine("a round that waits for approval", true)
	o.open("/runder/" + due + "/avvis")
	o.press("Avvis runden")
	o.sees("Velg en grunn.")
	o.examine("a rejection without a reason", false)
	o.open("/runder/" + due)
	o.press(fmt.Sprintf("Se %d: Klare til sletting", len(ready)))
	for _, c := range ready {
		o.sees(c.number)
	}
	o.press("Runde 01.10.23", ".ds-breadcrumbs")
	o.tap("Avlys runden …")
	o.tick("Annet")
	if !ask[bool](o, `document.querySelector('dialog[open] [value=other]').checked`) {
		s.Error("the label in the dialog chooses nothing in it")
	}
	o.tap("La den gå")
	o.until("the dialog is closed", `!document.querySelector('dialog[open]')`)
	o.tap("Godkjenn …")
	o.sees(fmt.Sprintf("Godkjenne sletting av %d klienter?", len(ready)))
	o.press("Godkjenn og frys lista")
	o.sees(fmt.Sprintf("Runden er godkjent. Lista med %d klienter er fryst.", len(ready)), "Lista er fryst", "Godkjent")
	o.examine("an approved round", false)
	s.count(1, `SELECT count(*) FROM deletion_round WHERE number = $1 AND state = 'approved' AND approved_hash IS NOT NULL`, due)
	s.purged = ready
	s.keep(ready)
}

// keep notes what hangs on those who will go, to look for it afterwards.
func (s *tale) keep(gone []someone) {
	s.Helper()
	var ids []string
	for _, c := range gone {
		ids = append(ids, c.id)
	}
	read := func(sql string, args ...any) (list []string) {
		all := s.w.text(s.T, `SELECT coalesce(string_agg(v, ' '), '') FROM (`+sql+`) AS x (v)`, args...)
		return strings.Fields(all)
	}
	s.blobs = append(s.blobs, read(`SELECT blob_key FROM recording WHERE client_id = ANY ($1::uuid[])`, ids)...)
	s.remaining = read(`SELECT blob_key FROM recording WHERE client_id <> ALL ($1::uuid[])`, ids)
	s.children = read(`SELECT table_name::text FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
		WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name = 'client_id' AND table_name NOT IN ('round_item', 'round_event', 'access_subject', 'access_log', 'audit')`)
}

func (s *tale) runs() {
	p := s.as(odd)
	p.open("/drift")
	p.sees("1 runde kan startes.", "Klare til start")
	p.press("Start … " + due)
	p.sees("Starte runde " + due + "?")
	p.write("Skriv rundenummeret for å starte", "3218-231002")
	p.press("Start sletting")
	p.sees("Nummeret stemmer ikke med runden. Skriv " + due + ".")
	p.examine("a start with the wrong number", false)
	s.w.rest() // the worker's machine is being restarted, so the round waits with nothing done
	p.write("Skriv rundenummeret for å starte", due)
	p.press("Start sletting")
	p.sees("Runden er startet.", "Kjører", "Sett på pause", "gjenstår")
	p.examine("a running round", true)
	p.press("Sett på pause")
	p.sees("Runden er satt på pause.", "På pause", "Det som er slettet, er borte.")
	p.examine("a paused round", false)
	const waiting = `SELECT count(*) FROM river.river_job WHERE kind IN ('begin', 'chunk') AND state <> 'completed'`
	s.count(1, waiting)
	s.w.work()
	for deadline := time.Now().Add(patience); s.w.Count(s.T, waiting) > 0; time.Sleep(50 * time.Millisecond) { // the worker does what it may not
		if time.Now().After(deadline) {
			s.Fatal("the worker does nothing")
		}
	}
	s.count(0, `SELECT count(*) FROM round_item i JOIN deletion_round r ON r.municipality_id = i.municipality_id AND r.id = i.round_id WHERE r.number = $1 AND i.state = 'purged'`, due)
	p.open("/drift/" + due)
	p.sees("På pause")
	p.press("Fortsett")
	s.ends(p, due)
	p.examine("a finished round, for the operator", false)
	p.press("Se protokollen")
	p.sees("Sletteprotokoll", due, "Drift hos underleverandør")
	for _, c := range s.purged {
		p.seesNot(c.name(), c.family+",", c.number, c.id)
	}
	p.seesNot(ole, kari, astrid)
	p.examine("the operator's protocol", false)
}

// ends waits for the round's end on the operator's page, which keeps itself fresh.
func (s *tale) ends(p *person, number string) {
	s.Helper()
	p.until("the round is finished", `document.body.innerText.includes('Se protokollen') && document.readyState === 'complete'`)
	p.sees("Protokollen er laget.", "Ferdig")
	s.count(1, `SELECT count(*) FROM deletion_round WHERE number = $1 AND state = 'finished'`, number)
}

func (s *tale) reads() {
	o := s.as(ole)
	o.press("Sletterunder", ".site-nav")
	o.press("01.10.23")
	o.sees(fmt.Sprintf("%d klienter er slettet for godt", len(s.purged)))
	o.examine("a finished round", false)
	o.press("Se protokollen")
	o.sees("Sletteprotokoll", "Ås kommune (3218), sletterunde 01.10.23", fmt.Sprintf("klienter slettet %d", len(s.purged)), fmt.Sprintf("bekreftet borte %d", len(s.blobs)), "Regler som gjaldt", "Godkjenner i kommunen", "Support hos databehandler", "Drift hos underleverandør", "bekreftet borte")
	o.printed()
	path := o.path()
	o.proves()
	pdf := o.fetch(path + ".pdf")
	if pdf.Status != 200 || pdf.Type != "application/pdf" || !strings.HasPrefix(pdf.Body, "%PDF-") {
		s.Errorf("the protocol as PDF: %d %s %.20q", pdf.Status, pdf.Type, pdf.Body)
	}
	got := o.fetch(path + ".json")
	var document map[string]any
	if err := json.Unmarshal([]byte(got.Body), &document); err != nil || got.Status != 200 || !strings.HasPrefix(got.Type, "application/json") {
		s.Fatalf("the protocol as JSON: %d %s %v", got.Status, got.Type, err)
	}
	raw := got.Body
	if !strings.Contains(raw, due) || !strings.Contains(raw, fmt.Sprintf(`"purged":%d`, len(s.purged))) && !strings.Contains(raw, fmt.Sprintf(`"purged": %d`, len(s.purged))) {
		s.Errorf("the protocol does not say what happened: %s", raw)
	}
	for _, c := range s.purged {
		for _, secret := range []string{c.id, c.number, c.given + " " + c.family} {
			if strings.Contains(raw, secret) {
				s.Errorf("the protocol holds %q", secret)
			}
		}
	}
	k := s.as(kari)
	k.open(s.purged[0].page())
	k.sees("Vi finner ikke siden")
}

func (s *tale) ordersMore() {
	s.leftover = s.w.clients(s.T, "3218", `NOT c.protected AND (SELECT count(*) FROM device_connection k WHERE k.client_id = c.id AND k.disconnected_at IS NULL) = 1 AND EXISTS (SELECT FROM round_item i JOIN deletion_round r
		ON r.municipality_id = i.municipality_id AND r.id = i.round_id WHERE i.municipality_id = c.municipality_id AND i.client_id = c.id AND r.number = $2 AND i.state = 'carried' AND i.reasons = '{device_on_client}')`, due)[0]
	k := s.as(kari)
	s.look(k, s.leftover)
	k.sees("Overført", "Slettes 01.01.24", "Enhet på klienten er ikke på lager")
	k.press("Koble fra og legg på lager")
	k.sees("Ingen hinder")
	k.press("Ekstra sletting", ".site-nav")
	k.press("Send til support")
	k.sees("Skriv ønsket dato.")
	k.examine("a request for an extra run with errors", false)
	k.tick("Annet")
	k.write("Kommunens saksnummer", "2023/4410")
	k.tick("En hel slettegruppe")
	k.choose("Slettegruppe", "Slettegruppen 01.01.24")
	k.write("Ønsket dato", "5.10.23")
	k.press("Send til support")
	k.sees("Forespørselen er sendt til support.", "2023/4410")
	k.tick("Etterslep som skal bort")
	k.write("Kommunens saksnummer", "2023/4411")
	k.tick("Klienter som kommunen velger selv")
	k.write("Klientnumre", s.leftover.number)
	k.write("Ønsket dato", "5.10.23")
	k.press("Send til support")
	k.sees("Forespørselen er sendt til support.", "2023/4411", "Venter på support")
	k.examine("a request for an extra run", false)

	p := s.as(sara)
	p.open("/support")
	p.press("Se forespørselen 2023/4410")
	p.tap("Avslå …")
	p.sees("Avslå forespørselen?")
	p.tap("Avbryt")
	p.open(p.path() + "/avslag")
	p.examine("support's page to decline a request", false)
	p.press("Avslå forespørselen")
	p.sees("Forespørselen er avslått. Kommunen ser det.")
	k.open("/bestillinger")
	k.sees("2023/4410", "Avslått")
	p.open("/support")
	p.sees("Ekstra sletting, bedt om av kommuner", "2023/4411")
	p.press("Se forespørselen 2023/4411")
	p.seesNot(s.leftover.name(), s.leftover.number)
	p.examine("support's page of a request", false)
	p.press("Bestill ekstra sletting", "form")
	p.sees("er bestilt.")
	s.extra = s.w.text(s.T, `SELECT r.number FROM deletion_round r JOIN deletion_order o ON o.municipality_id = r.municipality_id AND o.round_id = r.id WHERE o.reference = '2023/4411'`)
	s.control(p, s.extra)
	s.find(p)

	o := s.as(ole)
	o.open("/runder")
	o.press("Avgjør " + s.extra)
	o.sees("ekstra sletting", "1 klient slettes for godt")
	o.examine("an extra run that waits for approval", false)
	o.tap("Godkjenn …")
	o.press("Godkjenn og frys lista")
	o.sees("Runden er godkjent. Lista med 1 klient er fryst.")
	s.purged = append(s.purged, s.leftover)
	s.keep([]someone{s.leftover})

	d := s.as(odd)
	d.open("/drift")
	d.sees("<5")
	d.press(s.extra)
	d.tap("Start …")
	d.write("Skriv rundenummeret for å starte", s.extra)
	d.press("Start sletting")
	s.ends(d, s.extra)
	d.press("Se protokollen")
	d.sees("Sletteprotokoll", "<5")
	d.seesNot(s.leftover.name(), s.leftover.number)

	o.open("/runder/" + s.extra + "/protokoll")
	o.sees("Sletteprotokoll", s.extra, "klienter slettet 1", "Bedt om av kommunen", "Bestilt")
	k.press("Ekstra sletting", ".site-nav")
	k.sees("Bestilt", s.extra)
}

func (s *tale) goesOn() {
	o := s.as(ole)
	o.press("Sletterunder", ".site-nav")
	o.sees("Grupper framover", "01.01.24", "01.04.24", "01.07.24", "01.10.24")
	if open := s.w.Count(s.T, `SELECT count(*) FROM deletion_round r JOIN municipality_name n USING (municipality_id) WHERE n.number = '3218' AND state = 'open' AND kind = 'scheduled' AND run_on > '2023-10-05'`); open < 4 {
		s.Errorf("%d groups are open ahead", open)
	}
	o.press("01.01.24")
	o.sees("ligger i gruppen", "Åpen gruppe")
}

func (s *tale) isGone() {
	var ids []string
	for _, c := range s.purged {
		ids = append(ids, c.id)
	}
	s.count(0, `SELECT count(*) FROM client WHERE id = ANY ($1::uuid[])`, ids)
	if len(s.children) < 10 {
		s.Errorf("only %v hang on a client", s.children)
	}
	for _, table := range s.children {
		s.count(0, `SELECT count(*) FROM `+table+` WHERE client_id = ANY ($1::uuid[])`, ids)
	}
	s.count(1, `SELECT count(*) FROM client WHERE id = $1 AND status = 'active'`, s.returned.id)
	s.count(1, `SELECT count(*) FROM client WHERE id = $1`, s.moved.id)
	stored, err := s.w.blobs.Keys(s.Context(), "")
	if err != nil {
		s.Fatal(err)
	}
	if len(s.blobs) == 0 {
		s.Error("nobody of those who were deleted had a recording")
	}
	for _, key := range s.blobs {
		if slices.Contains(stored, key) {
			s.Error("a recording of somebody who was deleted is still stored")
		}
	}
	for _, key := range s.remaining {
		if !slices.Contains(stored, key) {
			s.Error("a recording of somebody who was not deleted is gone")
		}
	}
	s.count(0, `SELECT count(*) FROM deletion_round WHERE incident IS NOT NULL OR brake IS NOT NULL`)
	s.count(0, `SELECT count(*) FROM river.river_job WHERE state IN ('discarded', 'retryable')`)
}

// callsOff is Tromsø, where nobody has answered the archive question: nobody may go, and an approver calls the round off.
func (s *tale) callsOff() {
	const number = "5501-231001"
	p := s.as("Turid Nilsen")
	p.press("Sletterunder", ".site-nav")
	p.press("01.10.23")
	p.sees("Arkivspørsmål ubesvart", "Kommunen må avgjøre om opplysningene skal bevares")
	p.examine("a round that the open archive question blocks", true)
	p.tap("Avlys runden …")
	p.press("Avlys runden", "dialog[open]")
	p.sees("Velg en grunn.")
	p.examine("calling off without a reason", false)
	p.tick("Annet")
	p.write("Forklar", "Arkivspørsmålet må besvares først.")
	p.press("Avlys runden")
	p.sees("Runden er avlyst. Ingen er slettet.", "Alle i runden er flyttet videre.", "Arkivspørsmålet må besvares først.")
	p.examine("a round that was called off", false)
	s.count(1, `SELECT count(*) FROM deletion_round WHERE number = $1 AND state = 'cancelled'`, number)
	s.count(0, `SELECT count(*) FROM round_item i JOIN deletion_round r ON r.municipality_id = i.municipality_id AND r.id = i.round_id WHERE r.number = $1 AND i.state IN ('placed', 'ready', 'blocked', 'purged')`, number)
}

// settles is a person's own: signing in by password, the language, light or dark, signing out.
func (s *tale) settles() {
	p := sit(s.T, s.w, s.browser, "Terje Aanensen")
	p.comes(approved)
	p.open("/klienter")
	p.sees("Logg inn i Frist")
	p.write("Brukernavn", "saksbehandler2.kristiansand")
	p.write("Passord", "password of saksbehandler2.kristiansand")
	p.press("Logg inn", "form:has([type=password])")
	p.sees("Klienter", "Kristiansand kommune")
	p.speaks("English", "en")
	p.sees("Clients", "Caseworker")
	p.tap(p.who, ".me")
	p.press("Dark", "#meg")
	p.until("the page is dark", `document.documentElement.dataset.colorScheme === 'dark'`)
	if light := ask[bool](p, `getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).every((c) => c > 99)`); light {
		s.Error("the dark page is light")
	}
	p.examine("the list, dark by choice, in English", false)
	p.tap(p.who, ".me")
	p.press("Sign out", "#meg")
	if at := p.path(); at != "/login" {
		s.Errorf("after signing out one is at %s", at)
	}
	p.open("/klienter")
	p.sees("Logg inn i Frist")
}

// withoutScript is one flow of each kind with the page's scripts switched off, in the municipality with a cooling-off
// period: whose early start is refused.
func withoutScript(t *testing.T, w *world, browser context.Context) {
	const number = "4204-231001"
	s := &tale{T: t, book: t, w: w, browser: browser, people: map[string]*person{}}
	off := func(who string) *person {
		p := sit(t, w, browser, who)
		p.script(false)
		p.signIn()
		if ask[bool](p, `!!window.htmx`) {
			t.Fatal("scripts run")
		}
		s.people[who] = p
		return p
	}
	c := w.clients(t, "4204", `c.status = 'active' AND c.status_since < '2023-01-01' AND `+alone+` AND `+hasDevice)[0]
	k := off("Silje Tveit")
	s.look(k, c)
	k.press("Endre status")
	k.choose("Årsak til at avtalen heves", "Flyttet fra kommunen")
	k.sees("Frakoblet 05.10.23 + 6 måneder = 05.04.24 → slettes 01.07.24")
	k.write("Fra og med", "21.09.23")
	k.press("Lagre ny status") // what the person was not told is told first
	k.sees("Slettedatoen er en annen enn den du så.", "Frakoblet 21.09.23 + 6 måneder = 21.03.24 → slettes 01.04.24")
	k.press("Lagre ny status")
	k.sees("Klienten er frakoblet. Slettes 01.04.24.")

	// The limit of the brake (D16) is the municipality's own.
	limit := func(percent int) {
		w.Exec(t, `UPDATE municipality_policy SET max_share_percent = $1 WHERE municipality_id = (SELECT municipality_id FROM municipality_name WHERE number = '4204')`, percent)
	}
	limit(1)
	p := off(sara)
	s.controlPlainly(p, number)

	g := off("Gunn Kristiansen")
	g.open("/runder/" + number)
	g.press("Godkjenn …")
	g.sees("Godkjenne sletting av", "Grensen er 1 %")
	g.press("Godkjenn og frys lista")
	g.sees("Det er over grensen.")
	g.examine("an approval under the brake", false)
	g.open("/runder/" + number)
	g.press("Avvis …")
	g.tick("Stikkprøvene holder ikke")
	g.write("Forklar", "To av enhetene ligger på et annet lager.")
	g.press("Avvis runden")
	g.sees("Runden er avvist. Support kontrollerer den på nytt.", "To av enhetene ligger på et annet lager.")
	limit(20)
	s.controlPlainly(p, number)

	g.open("/runder/" + number)
	g.press("Godkjenn …")
	g.sees("Godkjenne sletting av", "Angrefristen varer til")
	g.press("Godkjenn og frys lista")
	g.sees("Runden er godkjent.", "Angrefrist:", "igjen")

	d := off(odd)
	d.open("/drift/" + number)
	d.sees("Angrefrist til")
	d.open("/drift/" + number + "/start")
	d.sees("Runden kan startes tidligst")
	d.seesNot("Start sletting")
	s.count(1, `SELECT count(*) FROM deletion_round WHERE number = $1 AND state = 'approved'`, number)
	w.clock.forward(3 * time.Minute)
	limit(1)
	d.open("/drift/" + number)
	d.press("Start …")
	d.write("Skriv rundenummeret for å starte", number)
	d.press("Start sletting")
	d.reload("/drift/"+number, "På pause")
	d.press("Fortsett")
	d.sees("Frist stoppet runden. En godkjenner må løfte bremsen.")
	g.open("/runder/" + number)
	g.sees("Stoppet: runden ville slettet for stor del av klientene")
	g.press("Løft bremsen …")
	g.examine("a brake to lift", false)
	g.press("Løft bremsen")
	g.sees("Bremsen er løftet. Driften kan fortsette runden.")
	d.open("/drift/" + number)
	d.press("Fortsett")
	d.reload("/drift/"+number, "Protokollen er laget.")
	d.press("Se protokollen")
	d.sees("Sletteprotokoll", number)

	k.tap(k.who, ".me")
	k.shot("the menu without scripts")
	if ask[bool](k, `document.getElementById('meg').getBoundingClientRect().right < innerWidth / 2`) {
		t.Error("the menu is not where its button is")
	}
	k.press("English", "#meg")
	k.sees("Clients")
	k.tap(k.who, ".me")
	k.press("Sign out", "#meg")
	k.sees("Logg inn i Frist")
}

// controlPlainly is support's part of a round without scripts.
func (s *tale) controlPlainly(p *person, number string) {
	s.Helper()
	p.open("/support/runder/" + number)
	p.press("Kontroller alle")
	p.reload("/support/runder/"+number, "Avslutt kontrollen")
	s.find(p)
}

// reload loads a page again until it says something.
func (p *person) reload(path, words string) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(p.page(), words); p.open(path) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s never reads “%s”: %s", p.who, words, p.page())
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// printed looks at the page as it comes on paper.
func (p *person) printed() {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	p.must(err)
	if seen := ask[[]string](p, `[...document.querySelectorAll('.site, .demo, .foot, .ds-button, .ds-breadcrumbs')].filter((e) => e.checkVisibility()).map((e) => e.className)`); len(seen) > 0 {
		p.t.Errorf("%s at %s: on paper there are %v", p.who, p.where(), seen)
	}
	p.sees("Sletteprotokoll")
	paper, err := chromedp.Call(p.ctx, page.PrintToPDF, page.PrintToPDFParams{})
	p.must(err)
	if !strings.HasPrefix(string(paper.Data), "%PDF-") {
		p.t.Errorf("%s at %s: it does not print", p.who, p.where())
	}
	_, err = chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{})
	p.must(err)
	p.paint(p.scheme)
}
