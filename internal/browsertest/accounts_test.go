package browsertest

import "fmt"

const per = "Per Øverland" // administrator in Ås

// accesses is who may come in: one proposes, another decides, and what is secret is shown once.
func (s *tale) accesses() {
	p, other := s.as(per), s.as(astrid)
	fresh := func() { s.w.Exec(s.T, `UPDATE session SET fresh_until = '2100-01-01'`) }
	fresh()
	account := func(login string) string {
		return "/brukere/" + s.w.text(s.T, `SELECT id::text FROM account WHERE login = $1`, login)
	}
	waits := func(kind, subject string) string {
		return fmt.Sprintf("section:has(#h-%s)", s.w.text(s.T, `SELECT p.id::text FROM proposal p JOIN municipality_name n USING (municipality_id)
			WHERE n.number = '3218' AND p.kind = $1 AND p.subject = $2 AND p.outcome IS NULL`, kind, subject))
	}
	subject := func(login string) string {
		return s.w.text(s.T, `SELECT id::text FROM account WHERE login = $1`, login)
	}

	p.open("/brukere")
	p.press("Inviter en person")
	p.press("Inviter", "form.panel")
	p.sees("Ikke invitert", "Brukernavn mangler.", "Velg minst én rolle.")
	p.examine("an invitation with errors", false)
	p.write("Navn", "Berit Brannvakt")
	p.write("Brukernavn", "brannvakt.as")
	p.write("E-post", "brannvakt.as@example.invalid")
	p.tick("Saksbehandler")
	p.press("Inviter", "form.panel")
	p.sees("Invitasjon: Berit Brannvakt", "Vises bare nå", "Lenken virker først når en annen har bekreftet rollene.")
	p.examine("a link shown once", true)
	p.press("Jeg har tatt vare på den")
	p.sees("Berit Brannvakt Venter på bekreftelse")
	p.press("Lag ny lenke")
	p.press("Jeg har tatt vare på den")

	// Nobody decides on their own proposal; another does.
	p.open("/forslag")
	p.sees("Ny konto: Berit Brannvakt", "Du har foreslått dette. En annen avgjør.")
	other.open("/forslag")
	other.press("Godta", waits("roles", subject("brannvakt.as")))
	other.sees("Godtatt. Endringen gjelder nå.")
	s.count(1, `SELECT count(*) FROM account WHERE login = 'brannvakt.as' AND disabled_at IS NULL`)
	other.press("Avvis", waits("ranges", "10.20.0.0/16"))
	other.sees("Avvist. Ingenting er endret.")
	p.open("/forslag")
	p.press("Trekk forslaget", waits("rule", "access_log"))
	p.sees("Forslaget er trukket.")

	p.open(account("brannvakt.as"))
	p.press("Foreslå rollene")
	p.sees("Ikke foreslått", "Dette er slik det er nå.")
	p.examine("a person with an error", false)
	p.tick("Godkjenner")
	p.press("Foreslå rollene")
	p.sees("Forslaget er sendt.", "foreslår rollene Saksbehandler, Godkjenner")
	p.press("Sperr", "aside")
	p.sees("Kontoen er sperret.", "Berit Brannvakt Sperret")
	s.count(1, `SELECT count(*) FROM proposal WHERE kind = 'roles' AND subject = $1 AND outcome = 'withdrawn'`, subject("brannvakt.as"))
	p.press("Foreslå å åpne")
	p.sees("foreslår at kontoen åpnes igjen")
	other.open("/forslag")
	other.press("Godta", waits("enable", subject("brannvakt.as")))
	s.count(1, `SELECT count(*) FROM account WHERE login = 'brannvakt.as' AND disabled_at IS NULL`)

	p.open("/brukere/nett")
	p.write("Nett", "0.0.0.0/0")
	p.press("Foreslå nettet")
	p.sees("Nettet er for stort.", "Skriv hvor det er")
	p.examine("a network with errors", false)
	p.write("Nett", "10.30.0.0/16")
	p.write("Sted", "Rådhuset")
	p.press("Foreslå nettet")
	p.sees("Passord fra 10.30.0.0/16 (Rådhuset)")
	p.press("Foreslå å fjerne ::1/128")
	p.sees("Ikke lenger passord fra ::1/128")

	p.open("/brukere/gjennomgang")
	p.press("Bekreft Ingvild Aas")
	p.sees("Tilgangen er bekreftet.")
	p.examine("the review", true)
	other.open("/brukere/gjennomgang")
	other.press("Bekreft " + per)
	other.sees("Tilgangen er bekreftet.")

	p.open("/regler/recording")
	p.write("Måneder", "0")
	p.write("Gjelder fra", "31.09.23")
	p.press("Foreslå", "form.panel")
	p.sees("31.09.23 finnes ikke", "For kort.")
	p.examine("a rule with errors", false)
	p.write("Måneder", "9")
	p.write("Gjelder fra", "01.01.2030")
	p.press("Foreslå", "form.panel")
	p.sees("Et forslag venter")
	p.open("/regler/vilkar")
	p.write("Største andel", "0")
	p.write("Timer til første varsel om avvik", "73")
	p.press("Foreslå", "form.panel")
	p.sees("Største andel må være mellom 1 og 100.", "Timer til første varsel om avvik må være mellom 1 og 72.")
	p.examine("terms with an error", false)
	p.write("Største andel", "25")
	p.write("Timer til første varsel om avvik", "12")
	p.press("Foreslå", "form.panel")
	p.sees("Forslaget er sendt.")

	keys := func(at string) {
		p.open(at)
		p.press("Lag nøkkelen")
		p.sees("Nøkkelen ble ikke laget", "Gi nøkkelen et navn")
		p.examine(at[:7]+" with errors at the key", false)
		p.write("Navn på nøkkelen", "Prøve")
		p.press("Lag nøkkelen")
		p.sees("Ny nøkkel", "Vises bare nå")
		p.press("Jeg har tatt vare på den")
		p.press("Bytt", "tr:has(th):nth-child(1)")
		p.sees("Vises bare nå")
		p.press("Jeg har tatt vare på den")
		p.sees("Avløser en tidligere")
		p.press("Avslutt", "tr:has(th):nth-child(1)")
		p.sees("Nøkkelen er avsluttet.")
	}
	keys("/konto/nokler")
	p.examine("my keys", true)
	keys(account("journal.as"))
}
