package browsertest

import (
	"context"
	"strings"
	"testing"
)

// visits is the walk of support's timed access (T21) and of the instructions: the municipality asks, an approver grants,
// support goes in and sees one client, both sides see the banner, the approver cuts, and support is out.
func visits(t *testing.T, w *world, browser context.Context) {
	sit := func(who string) *person {
		p := sit(t, w, browser, who)
		p.signIn()
		return p
	}
	kari, astrid, sara, per := sit(kari), sit(astrid), sit(sara), sit("Per Øverland")
	gunn, arild := sit("Gunn Kristiansen"), sit("Arild Skaar")
	// A walk of its own proves that a fresh proof of identity is asked for.
	w.Exec(t, `UPDATE session SET fresh_until = '9000-01-01'`)
	one := w.clients(t, "3218", `c.status = 'active' AND NOT c.protected`)[3]
	other := w.clients(t, "3218", `c.status = 'active' AND NOT c.protected`)[4]

	ask := func(p *person, path, reference, scope string) {
		p.open(path)
		p.tick("Noe virker ikke som det skal")
		p.write("Skriftlig forespørsel", reference)
		p.tick(scope)
	}
	newest := func() string {
		return w.text(t, `SELECT id::text FROM visit ORDER BY asked_at DESC LIMIT 1`)
	}
	// The municipality asks, and takes a second request back.
	ask(kari, "/tilgang/ny", "Sak 91", "Hele kommunen")
	kari.press("Be om innsyn", "form.panel")
	kari.sees("Forespørselen er sendt", "Venter på svar")
	kari.press("Trekk forespørselen")
	kari.sees("Forespørselen er trukket")
	ask(kari, "/tilgang/ny", "Sak 92", "Én klient")
	kari.press("Be om innsyn", "form.panel")
	kari.sees("Venter på svar", "Sak 92")
	visit := newest()

	// An approver says no to the one of the demo, and grants this one, narrower: the client is missing first.
	astrid.open("/tilgang")
	astrid.sees("2 forespørsler venter på svar", "Sak 4502")
	astrid.press("Se på Sak 4502")
	astrid.write("Hvorfor ikke", "Løst på telefon")
	astrid.press("Avslå", "aside form")
	astrid.sees("Forespørselen er avslått", "Løst på telefon")
	astrid.open("/tilgang/" + visit)
	astrid.press("Gi innsyn", "form.panel")
	astrid.sees("Innsynet er ikke gitt", "Skriv klientnummeret")
	astrid.examine("/tilgang/{id} refused", false)
	astrid.write("Klientnummer", one.number)
	astrid.choose("Bare denne siden", "Notater")
	astrid.choose("Varighet", "15 minutter")
	astrid.press("Gi innsyn", "form.panel")
	astrid.sees("Innsynet er gitt og har begynt", "Support kan gå inn nå")

	// Support goes in and sees that one client and that page; the banner stands on both sides.
	sara.open("/support/innsyn")
	sara.sees("Sak 92", "Én klient, siden Notater")
	sara.press("Gå inn Sak 92")
	sara.sees("Du er på innsyn hos Ås kommune", one.listed())
	sara.seesNot(other.listed())
	sara.examine("/klienter in a visit", true)
	sara.press(one.listed())
	sara.sees("Vi finner ikke siden", "Du er på innsyn")
	sara.open(one.page() + "/notater")
	sara.sees("Du er på innsyn hos Ås kommune", one.name(), "Notater")
	sara.seesNot("Ny notat", "Lagre")
	sara.examine("/klienter/{id}/notater in a visit", true)
	sara.open(other.page() + "/notater")
	sara.sees("Vi finner ikke siden")
	kari.open("/klienter")
	kari.sees("har innsyn her nå", "Se innsynet")
	kari.examine("/klienter with a banner", true)
	sara.open("/klienter")
	sara.press("Gå ut")
	sara.sees("Du har gått ut av innsynet", "Ingen personopplysninger i denne rollen")
	sara.press("Gå inn Sak 92")
	sara.sees("Du er på innsyn hos Ås kommune")
	astrid.open("/runder")
	astrid.sees("har innsyn her nå")
	astrid.press("Avbryt innsynet")
	astrid.sees("Innsynet er avbrutt", "Avbrutt", "oppslag")
	sara.open(one.page() + "/notater")
	sara.sees("Innsynet er over")
	sara.seesNot(one.name(), "Du er på innsyn")

	// Support asks, takes it back, asks again, goes in and gives it back.
	for _, reference := range []string{"Sak 93", "Sak 94"} {
		ask(sara, "/support/innsyn/ny", reference, "Hele kommunen")
		sara.choose("Kommune", "3218 Ås")
		sara.press("Be om innsyn", "form.panel")
		sara.sees("Forespørselen er sendt")
		if reference == "Sak 93" {
			sara.press("Trekk forespørselen Sak 93")
			sara.sees("Forespørselen er trukket")
		}
	}
	astrid.open("/tilgang/" + newest())
	astrid.press("Gi innsyn", "form.panel")
	astrid.sees("Innsynet er gitt og har begynt")
	sara.open("/support/innsyn")
	sara.press("Gå inn Sak 94")
	sara.sees("Du er på innsyn hos Ås kommune", "Hele kommunen")
	sara.open("/support/innsyn")
	sara.press("Avslutt innsynet Sak 94")
	sara.sees("Innsynet er avbrutt", "Ingen innsyn er gitt")

	// Instructions: entered by one, confirmed by another; one that waited is declined; one is revoked.
	per.open("/tilgang/instrukser/ny")
	per.press("Før inn instruksen")
	per.sees("Skriv hvilket dokument instruksen står i")
	per.examine("/tilgang/instrukser/ny refused", false)
	per.tick("Rette eller slette feil kontaktopplysninger utenfor Frist")
	per.write("Hva den omfatter", "Alt som innbyggeren selv melder")
	per.write("Dokument", "Sak 23/990")
	per.write("Besluttet av", "Kommunedirektøren")
	per.press("Før inn instruksen")
	per.sees("Instruksen er ført inn", "Sak 23/990", "Venter på bekreftelse")
	astrid.open("/tilgang/instrukser")
	astrid.press("Bekreft Sak 23/990")
	astrid.sees("Instruksen er bekreftet")
	astrid.press("Avvis Databehandleravtalen, vedlegg 2")
	astrid.sees("Instruksen er avvist")
	astrid.press("Tilbakekall Sak 23/990")
	astrid.sees("Instruksen er tilbakekalt")

	// Without an instruction the control becomes a question, and a yes for this round lets support go on.
	arild.open("/tilgang/instrukser")
	arild.press("Tilbakekall DPA-1")
	arild.sees("Instruksen er tilbakekalt")
	round := w.text(t, `SELECT number FROM deletion_round WHERE number LIKE '4204-%' AND state = 'proposed' ORDER BY run_on LIMIT 1`)
	sara.open("/support/runder/" + round)
	sara.sees("Kommunen må gi lov først")
	again := "Kontroller alle"
	if !strings.Contains(sara.page(), again) { // it has been controlled before
		again = "Kontroller alt på nytt"
	}
	sara.press(again)
	sara.sees("Kommunen er spurt")
	gunn.open("/tilgang")
	gunn.sees("Support vil kontrollere runde " + round)
	gunn.examine("/tilgang with a question", false)
	gunn.press("Gi lov for denne runden")
	gunn.sees("Svaret er sendt til support", "Ja, for denne runden")
	sara.open("/support/runder/" + round)
	sara.seesNot("Kommunen må gi lov først")
	sara.sees("har gitt lov for denne runden")
}
