package browsertest

import "strings"

// asksWhoLooked: who has looked at this person, and why; what one employee did; and what is unusual.
func (s *tale) asksWhoLooked() {
	p := s.as("Ingvild Aas")
	who := s.w.clients(s.T, "3218", `c.status = 'active' AND EXISTS (SELECT FROM access_log l WHERE l.client_ids = ARRAY[c.id])`)[0]
	p.open("/innsyn")
	p.press("Finn personen")
	p.sees("Skriv hvem det gjelder.")
	p.write("Klientnummer, fødselsnummer, navn eller klient-ID", who.given+" "+who.family)
	p.press("Finn personen")
	if strings.HasPrefix(p.path(), "/innsyn/person") { // others have the same name
		p.sees("Hvem mener du?")
		p.open("/innsyn/" + who.id)
	}
	p.sees("Hvem har sett på klienten", "Saksbehandler", "arbeid med klientens sak")
	p.examine("who looked", false)

	p.open("/innsyn")
	p.write("Klientnummer, fødselsnummer, navn eller klient-ID", "sen")
	p.press("Finn personen")
	p.sees("Hvem mener du?", "treff")
	p.examine("whom do you mean", false)

	p.open("/innsyn")
	p.tap("Søk i loggene")
	p.write("Ansatt: navn eller ansattnummer", "finnes ikke")
	p.press("Søk", "form:has(details)")
	p.sees("Ingen treff. Sjekk det du har skrevet i «Ansatt: navn eller ansattnummer».")
	p.write("Ansatt: navn eller ansattnummer", "jonas lie")
	p.press("Søk", "form:has(details)")
	p.sees("Ansatt: navn eller ansattnummer: Jonas Lie")

	p.open("/innsyn")
	p.press("Forklart", "tr:first-child form[action^='/innsyn/funn/']")
	p.sees("Funnet er ført som forklart.")
	s.count(1, `SELECT count(*) FROM access_finding WHERE outcome = 'explained'`)
}
