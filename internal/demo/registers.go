package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/privacy"
)

// companies are the processor's processors (T23), each with its rule.
var companies = []privacy.Subprocessor{
	{Name: "Microsoft", Service: "hosting", Everywhere: true, Purpose: "Datasenter og sikkerhetskopi for tjenesten", Data: "Alle opplysninger, kryptert", AccessRule: "none", Place: code("NO"), StaffCountries: []string{"IE", "NO"}, Encryption: "no_keys", Copies: "backup", CopiesDays: days35()},
	{Name: "AWS", Service: "backup", Everywhere: true, Purpose: "Sikkerhetskopier på et annet sted", Data: "Alle opplysninger, kryptert", AccessRule: "none", Place: code("SE"), StaffCountries: []string{"IE", "SE"}, Encryption: "no_keys", Copies: "backup", CopiesDays: days35()},
	{Name: "Skyrespons", Service: "response_centre", Purpose: "Svarer på alarmer og henter opplysninger om innbyggeren mens hendelsen pågår", Data: "Navn, adresse, pårørende, alarm og det som trengs for å hjelpe", AccessRule: "role", Place: code("NO"), StaffCountries: []string{"NO"}, Encryption: "keys", Copies: "none"},
	{Name: "Legrand", Service: "gateway", Purpose: "Sentral i boligen som sender alarmene videre", Data: "Ingen personopplysninger, bare enhetens nummer", AccessRule: "none", StaffCountries: []string{"FR"}, Encryption: "not_needed", Copies: "none"},
	{Name: "Safemate", Service: "mobile_alarm", Purpose: "Mobil trygghetsalarm", Data: "Enhetens nummer og alarmer", AccessRule: "request", Place: code("NO"), StaffCountries: []string{"NO"}, Encryption: "keys", Copies: "copy", CopiesDays: thirty()},
	{Name: "Axis", Service: "camera", Purpose: "Kamera til planlagte tilsyn", Data: "Bilde i sanntid, ikke lagret", AccessRule: "request", StaffCountries: []string{"SE"}, Encryption: "not_needed", Copies: "none"},
	{Name: "Morphean", Service: "video", Purpose: "Videostrøm fra kamera til den som fører tilsyn", Data: "Bilde i sanntid, ikke lagret", AccessRule: "none", StaffCountries: []string{"CH"}, TransferBasis: code("adequacy"), Encryption: "not_needed", Copies: "none"},
	{Name: "Evondos", Service: "medicine_dispenser", Purpose: "Medisindispenser", Data: "Enhetens nummer, doser og avvik i dosering", AccessRule: "logged", Place: code("FI"), StaffCountries: []string{"FI"}, Encryption: "keys", Copies: "copy", CopiesDays: thirty()},
	{Name: "Dignio", Service: "medicine_dispenser", Purpose: "Medisindispenser og måling hjemme", Data: "Enhetens nummer, doser og målinger", AccessRule: "logged", Place: code("NO"), StaffCountries: []string{"NO"}, Encryption: "keys", Copies: "copy", CopiesDays: thirty()},
}

func code(s string) *string { return &s }
func days35() *int          { n := 35; return &n }
func thirty() *int          { n := 30; return &n }

// use is which of them each town uses, by name; the data centres are used by all.
var use = map[string][]string{
	"3218": {"Skyrespons", "Legrand", "Safemate", "Evondos"},
	"5501": {"Skyrespons", "Safemate", "Axis", "Morphean"},
	"4204": {"Skyrespons", "Legrand", "Dignio"},
}

// registers fills the controller's registers by the product's own functions: the list of companies, which of them are used,
// one change that waits for an answer, deviations in every state, and the privacy statements.
func (p *play) registers(ctx context.Context) error {
	start := p.days.start
	do := func(at time.Time, caller access.Caller, fn func(tx *pg.Tx) error) error {
		p.set(at)
		return p.db.InTx(ctx, caller, fn)
	}
	ids := map[string]int64{}
	announced := p.days.load.AddDate(0, -3, 0)
	err := do(announced, p.platform, func(tx *pg.Tx) error {
		for _, c := range companies {
			id, err := privacy.Announce(ctx, tx, c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			ids[c.Name] = id
		}
		return nil
	})
	if err != nil {
		return err
	}
	inForce := calendar.DateOf(announced.In(p.days.zone)).AddDays(privacy.ObjectionDays + 1)
	err = do(p.days.load, p.platform, func(tx *pg.Tx) error {
		for _, c := range companies {
			if c.Name == "Dignio" { // nobody has followed it up yet
				continue
			}
			next := inForce.AddDays(365)
			if c.Name == "Safemate" {
				next = p.days.today.AddDays(-20)
			}
			r := privacy.Review{ReviewedOn: inForce, NextDue: next, Outcome: "fine", Reference: "SIK-" + fmt.Sprint(100+ids[c.Name])}
			if err := privacy.FollowUp(ctx, tx, ids[c.Name], r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	// The response centre wants staff outside the EEA too: each municipality can object for three weeks more.
	err = do(start.AddDate(0, 0, -9), p.platform, func(tx *pg.Tx) error {
		next := companies[2]
		next.ID, next.StaffCountries, next.TransferBasis = ids[next.Name], []string{"GB", "NO"}, code("adequacy")
		_, err := privacy.Announce(ctx, tx, next)
		return err
	})
	if err != nil {
		return err
	}
	for i, s := range p.towns {
		if err := p.registersOf(ctx, s, i, ids, inForce, do); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) registersOf(ctx context.Context, s *stage, i int, ids map[string]int64, inForce calendar.Date, do func(time.Time, access.Caller, func(*pg.Tx) error) error) error {
	start, number := p.days.start, s.town.Number
	err := do(p.days.load, s.administrators[0], func(tx *pg.Tx) error {
		for _, name := range use[number] {
			if err := privacy.StartUse(ctx, tx, ids[name], inForce); err != nil {
				return err
			}
		}
		if number == "4204" { // has not written its statement yet
			return nil
		}
		err := privacy.SaveDraft(ctx, tx, privacy.StatementDraft{
			Controller: "Rådhuset\npost@" + s.town.Slug + ".example.no", Officer: "personvernombud@" + s.town.Slug + ".example.no", Sections: privacy.Texts{},
		})
		if err != nil {
			return err
		}
		_, err = privacy.Publish(ctx, tx, calendar.DateOf(p.days.load.In(p.days.zone)))
		return err
	})
	if err != nil || i > 0 {
		return err
	}
	// Only the first town has had deviations: one closed, one under way, one from support, for which the clocks run.
	count := func(n int) *int { return &n }
	found := start.AddDate(0, 0, -18)
	text := privacy.Account{What: "En liste med navn og alarmkoder lå igjen på skriveren i to timer.", Done: "Listen er makulert.", Consequences: "Ansatte uten tjenstlig behov kan ha sett navn."}
	var closed [16]byte
	err = do(found.Add(3*time.Hour), s.caseworkers[0], func(tx *pg.Tx) error {
		id, err := privacy.Report(ctx, tx, privacy.Facts{Kind: "confidentiality", DiscoveredAt: found, Affected: count(14), AffectedExact: true, Persons: []string{"clients"}, Categories: []string{"identity", "alarms"}}, text)
		closed = id
		return err
	})
	if err != nil {
		return err
	}
	err = do(found.Add(26*time.Hour), s.approvers[0], func(tx *pg.Tx) error {
		text.Cause, text.Measures = "Utskrift uten kode på felles skriver.", "Skriveren krever nå kode."
		f := privacy.Facts{Kind: "confidentiality", DiscoveredAt: found, Affected: count(14), AffectedExact: true, Persons: []string{"clients"}, Categories: []string{"identity", "alarms"}}
		return errors.Join(privacy.Describe(ctx, tx, closed, 1, f, text),
			privacy.Tell(ctx, tx, closed, privacy.Notice{Party: "datatilsynet", At: found.Add(25 * time.Hour), Reference: "23/02114"}),
			privacy.DecideNot(ctx, tx, closed, "nsm", "Hendelsen har ikke betydning for leveransen av tjenesten."))
	})
	if err != nil {
		return err
	}
	err = do(found.Add(80*time.Hour), s.approvers[1], func(tx *pg.Tx) error { return privacy.Close(ctx, tx, closed) })
	if err != nil {
		return err
	}
	found = start.Add(-20 * time.Hour)
	err = do(found.Add(time.Hour), s.caseworkers[1], func(tx *pg.Tx) error {
		_, err := privacy.Report(ctx, tx, privacy.Facts{Kind: "wrong_access", DiscoveredAt: found, Persons: []string{"clients"}, Categories: []string{"contact"}},
			privacy.Account{What: "Et brev om trygghetsalarm ble sendt til feil adresse."})
		return err
	})
	if err != nil {
		return err
	}
	found = start.Add(-5 * time.Hour)
	return do(found.Add(time.Hour), p.support.In(s.id), func(tx *pg.Tx) error {
		_, err := privacy.Report(ctx, tx, privacy.Facts{Kind: "availability", DiscoveredAt: found, Affected: count(40), Persons: []string{"clients"}, Categories: []string{"alarms"}}, privacy.Account{})
		return err
	})
}
