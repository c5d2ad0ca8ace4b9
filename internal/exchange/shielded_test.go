package exchange_test

import (
	"slices"
	"testing"

	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/pg"
)

// TestAFileDoesNotTouchWhatIsHidden: nor does the report tell whether the file was right (D21).
func TestAFileDoesNotTouchWhatIsHidden(t *testing.T) {
	w := newWorld(t)
	const header = "Db nr.;Etternavn;Fornavn;Telefon;E-post;Adresse;Postnummer;Status\n"
	w.bring(w.here, table(t, header+"1;Fossum;Gerd;91234567;g@x.no;Skoleveien 4;1430;Aktiv\n2;Fossum;Arne;90000172;;Skoleveien 4;1430;Aktiv\n"))
	w.Exec(t, `UPDATE client SET protected = true WHERE number = '1'`)
	var reports [2]exchange.Report
	for i, csv := range []string{
		header + "1;Fossum;Gerd;91234567;g@x.no;Skoleveien 4;1430;Aktiv\n2;Fossum;Arne;90000172;;Skoleveien 4;1430;Aktiv\n",
		header + "1;Fossum;Gerd;99999999;h@x.no;Storgata 1;0953;Aktiv\n2;Fossum;Arne;90000172;;Storgata 1;0953;Aktiv\n",
	} {
		reports[i] = w.bring(w.here, table(t, csv))
	}
	if a, b := said(reports[0]), said(reports[1]); !slices.Equal(a, b) || reports[0].Unchanged != 2 || reports[1].Unchanged != 2 || reports[0].Flags != 4 {
		t.Errorf("the reports tell them apart:\n%v %+v\n%v %+v", a, reports[0], b, reports[1])
	}
	if n := w.Count(t, `SELECT count(*) FROM client c JOIN address a ON a.id = c.address_id LEFT JOIN protected_contact p ON p.client_id = c.id
		WHERE c.municipality_id = $1 AND a.street = 'Skoleveien 4' AND a.protected AND c.email = '' AND (c.number = '2' OR c.phone = '' AND p.phone = '91234567' AND p.email = 'g@x.no')`, w.here.Municipality); n != 2 {
		t.Errorf("%d are as they were", n)
	}
	// Somebody new at the same place gets a dwelling of their own.
	w.bring(w.here, table(t, header+"3;Moe;Bente;;;Skoleveien 4;1430;Aktiv\n"))
	if n := w.Count(t, `SELECT count(*) FROM client c JOIN address a ON a.id = c.address_id WHERE c.number = '3' AND NOT a.protected`); n != 1 {
		t.Error("who is new lives in the hidden dwelling")
	}
}

func TestAPseudonymousMunicipalityTakesNoNames(t *testing.T) { // T10
	w := newWorld(t)
	w.Exec(t, `UPDATE municipality_policy SET pseudonymous = true WHERE municipality_id = $1`, w.here.Municipality)
	const header = "Db nr.;Navn;Fødselsnummer;Telefon;Adresse;Postnummer;Status;Statusdato\n"
	r := w.bring(w.here, table(t, header+
		"1;TJ-4711;"+nationalID(t, "1938-05-12", 1)+";91234567;Skoleveien 4;1430;Frakoblet;14.03.2023\n2;Fossum, Gerd;;;;;Aktiv;01.01.2021\n3;;;;;;Aktiv;01.01.2021\n;X-1;"+nationalID(t, "1938-05-12", 2)+";;;;Aktiv;\n"))
	if got := said(r); r.Taken != 1 || !slices.Equal(got, []string{"3 name bad_pseudonym", "4 name required", "5 number required"}) {
		t.Errorf("%+v: %v", r, got)
	}
	if n := w.Count(t, `SELECT count(*) FROM client WHERE number = '1' AND family_name = 'TJ-4711' AND given_name = '' AND national_id IS NULL AND birth_date IS NULL AND phone = '' AND address_id IS NULL`); n != 1 {
		t.Error("more than a pseudonym is held")
	}
	if n := w.Count(t, `SELECT count(*) FROM address`); n != 0 {
		t.Errorf("%d addresses", n)
	}
	err := w.DB.InTx(t.Context(), w.here, func(tx *pg.Tx) error {
		search, err := client.SaveSearch(t.Context(), tx, "tj-4711")
		if err != nil {
			return err
		}
		page, err := client.List(t.Context(), tx, client.Filter{Search: &search}, client.Cursor{}, 10)
		if err == nil && (len(page.Rows) != 1 || page.Rows[0].Name() != "TJ-4711") {
			t.Errorf("found %+v", page.Rows)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
