package browsertest

// shields: what is hidden of a protected client is shown to whoever an administrator has named and an approver confirmed
// (D21); the mark is put by one and taken away by two.
func (s *tale) shields() {
	const per = "Per Øverland" // administrator in Ås
	hidden := s.w.clients(s.T, "3218", `c.status = 'active' AND c.protected`)[0]
	p := s.as(kari)
	s.look(p, hidden)
	p.sees("Skjermet", "Adresse, telefon, e-post, pårørende og det som er skrevet i fritekst, er skjermet.")
	p.press("Pårørende", ".tabs")
	p.sees("Dette vises bare for dem som er navngitt.")
	p.examine("a tab that is closed", true)
	p.press("Hvem får se dette?", "main .empty")
	p.sees("Skjermede opplysninger", jonas, "Gjelder", "Venter på godkjenner", "be en administrator om å foreslå deg")
	p.examine("/skjermet of a caseworker", false)

	// The naming of Kari is revoked, she is named anew, and an approver confirms it.
	admin := s.as(per)
	admin.open("/skjermet")
	admin.press("Tilbakekall "+kari, "main table")
	admin.sees("Tilbakekalt. Innsynet er slutt.")
	admin.press("Foreslå")
	admin.sees("Velg hvem det gjelder.")
	admin.examine("/skjermet with an error", false)
	admin.choose("Ansatt", kari)
	admin.press("Foreslå")
	admin.sees("Forslaget er lagret. En godkjenner må bekrefte det.")
	approver := s.as(ole)
	approver.open("/skjermet")
	approver.press("Bekreft "+kari, "main table")
	approver.sees("Bekreftet. Innsynet gjelder fra nå.")
	approver.examine("/skjermet", true)
	p.open(hidden.page())
	p.sees("Du ser skjermede opplysninger. Innsynet er ført i loggen.")
	s.count(1, `SELECT least(1, count(*)) FROM access_log WHERE purpose = 'protected' AND client_ids @> ARRAY[$1::uuid]`, hidden.id)

	// Jonas has asked for the mark to be taken away: an approver keeps it; then Kari asks, and it goes.
	approver.open(hidden.page() + "/opplysninger")
	approver.press("Behold skjermingen")
	approver.sees("Skjermingen står.")
	p.open(hidden.page() + "/opplysninger")
	p.press("Be om å oppheve skjermingen")
	p.sees("Du har bedt om at skjermingen oppheves. En annen må gjøre det.", kari+" ba om at skjermingen oppheves")
	p.examine("a record of which the mark shall go", false)
	approver.open("/skjermet")
	approver.press(hidden.listed(), "main table")
	approver.press("Opphev skjermingen")
	approver.sees("Skjermingen er opphevet. Adresse og telefon vises igjen.")
	s.count(1, `SELECT count(*) FROM client WHERE id = $1 AND NOT protected`, hidden.id)
	p.open(hidden.page() + "/opplysninger")
	p.tick("Skjermet: hvor klienten er, vises bare for noen få navngitte")
	p.press("Lagre")
	p.sees("Lagret.", "Skjerming")
	for _, q := range []*person{p, admin, approver} { // everybody goes back to where their work begins
		q.open("/")
	}
}
