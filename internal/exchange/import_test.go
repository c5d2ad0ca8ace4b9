package exchange_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/deletion"
	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/retention"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var key = []byte("a key that lies outside the database")

type world struct {
	*pgtest.Env
	t    testing.TB
	here access.Caller // a caseworker of Ås
	away access.Caller // one of Tromsø
}

func newWorld(t testing.TB) *world {
	w := &world{Env: pgtest.New(t), t: t}
	w.here, w.away = w.municipality("3218", "Ås"), w.municipality("5501", "Tromsø")
	return w
}

func (w *world) municipality(number, name string) access.Caller {
	w.t.Helper()
	var id int
	err := w.DB.InTx(w.t.Context(), access.Caller{Account: 1, Roles: []access.Role{access.PlatformAdministrator}}, func(tx *pg.Tx) (err error) {
		if id, err = municipality.Create(w.t.Context(), tx, number, name, municipality.Policy{}); err != nil {
			return err
		}
		return retention.Seed(w.t.Context(), tx, calendar.On(2020, 1, 1), true)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return access.Caller{Account: int64(100 + id), Roles: []access.Role{access.Caseworker}, Municipality: id}
}

func table(t testing.TB, csv string) exchange.Table {
	t.Helper()
	tab, err := exchange.Read(strings.NewReader(csv), -1, "clients.csv")
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func (w *world) bring(caller access.Caller, tab exchange.Table) exchange.Report {
	w.t.Helper()
	report, err := exchange.Import(w.t.Context(), w.DB, caller, tab, exchange.Guess(tab.Header), exchange.Options{Key: key})
	if err != nil {
		w.t.Fatal(err)
	}
	if report.Rows != report.Taken+report.Changed+report.Unchanged+report.Refused {
		w.t.Errorf("the sum is wrong: %+v", report)
	}
	return report
}

func (w *world) counts(r exchange.Report) [5]int {
	return [5]int{r.Rows, r.Taken, r.Changed, r.Unchanged, r.Refused}
}

// said is the refusals and flags as "row field code", flags with a question mark.
func said(r exchange.Report) []string {
	var list []string
	for _, n := range r.Refusals {
		mark := ""
		if n.Flag {
			mark = "?"
		}
		list = append(list, fmt.Sprintf("%d %s %s%s", n.Row, n.Field, n.Code, mark))
	}
	return list
}

const p12 = "Navn;Adresse;Postnumnr;Sted;Db nr.;Telefon;Fødselsdato;Kjønn;Sen…;Fødselsnummer;Status dato;Klient: Dato avtaleslutt;Klient: Rapporteringsgruppe1;E-post\n"

// nationalID is nobody's: born on the day, the n-th of them.
func nationalID(t testing.TB, day string, n int) string {
	t.Helper()
	born, err := time.Parse(time.DateOnly, day)
	if err != nil {
		t.Fatal(err)
	}
	id, ok := client.SyntheticNationalID(born, n, n%2 == 0)
	if !ok {
		t.Fatal("no such number")
	}
	return string(id)
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	solveig := nationalID(t, "1951-02-14", 0)
	csv := p12 +
		"Hansen, Solveig;Skoleveien 3;1430;Ås;200051466;+47 900 00 172;14.02.1951;K;Frak…;" + solveig + ";14.03.2023 15:07:30;14.03.2023 15:07:33;Tjenestemottaker til sletting 01.10.23;solveig@example.no\n" +
		"Åge Bjørn Ødegård;Skoleveien 3;1430;ÅS;200051467;;3.1.38;M;Aktiv;;11.03.2021;;;\n" +
		"Berg, Kari;Storgata 1;953;Oslo;200051468;=1+1;;;Best;;;;Økonomi;\n" + // lost zero; a cell that begins with =
		"Lie, Nils;Storgata 2;1430;Drøbak;200051469;;;U;Avbestilt;;;30.06.23;Tjenestemottakere til sletting 01.07.23;\n" + // end date only
		"Dahl, Eva;;;;200051470;;;F;Frakoblet;;;;;\n" + // no date at all
		"Moe, Per;Uten nummer 2;;;200051471;;;;;;;;;\n"
	report := w.bring(w.here, table(t, csv))
	if got := w.counts(report); got != [5]int{6, 6, 0, 0, 0} {
		t.Fatalf("%v %v", got, said(report))
	}
	want := []string{"2 group group_computed?", "5 group group_too_early?", "5 town town_mismatch?", "7 postcode address_left_out?", "7 status status_assumed?"}
	if !slices.Equal(said(report), want) {
		t.Errorf("said %q", said(report))
	}
	var name, phone, street, postcode, status, run, reason, gender, birth string
	row := func(number string) {
		t.Helper()
		err := w.Admin.QueryRow(t.Context(), `SELECT c.family_name || '|' || c.given_name, c.phone, coalesce(a.street, ''), coalesce(a.postcode, ''), c.status,
				coalesce(r.run_on::text, ''), coalesce(c.unplaced_reason, ''), c.gender, coalesce(c.birth_date::text, '')
			FROM client c LEFT JOIN address a ON a.municipality_id = c.municipality_id AND a.id = c.address_id
			LEFT JOIN round_item i ON i.municipality_id = c.municipality_id AND i.client_id = c.id
			LEFT JOIN deletion_round r ON r.municipality_id = c.municipality_id AND r.id = i.round_id
			WHERE c.municipality_id = $1 AND c.number = $2`, w.here.Municipality, number).
			Scan(&name, &phone, &street, &postcode, &status, &run, &reason, &gender, &birth)
		if err != nil {
			t.Fatal(err)
		}
	}
	is := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	row("200051466")
	is(name, "Hansen|Solveig")
	is(phone, "+47 900 00 172")
	is(run, "2023-10-01") // P26: 14.03.23 + 6 months
	is(status, "disconnected")
	is(birth, "1951-02-14")
	row("200051467")
	is(name, "Ødegård|Åge Bjørn")
	is(birth, "1938-01-03")
	is(status+run+reason, "active")
	row("200051468")
	is(postcode, "0953")
	is(phone, "=1+1")
	is(status, "ordered")
	row("200051469")
	is(run, "2024-01-01") // 30.06.23 + 6 months = 30.12.23
	row("200051470")
	is(run+reason, "no_start_date")
	is(gender, "K")
	row("200051471")
	is(street+status, "active")
	if n := w.Count(t, `SELECT count(*) FROM address WHERE municipality_id = $1`, w.here.Municipality); n != 3 {
		t.Errorf("%d addresses: the couple shares one", n)
	}
	if n := w.Count(t, `SELECT count(*) FROM status_entry WHERE municipality_id = $1`, w.here.Municipality); n != 2 {
		t.Errorf("%d entries in the history: only known days have one", n)
	}
	if n := w.Count(t, `SELECT count(*) FROM audit WHERE act = 'clients_imported' AND detail->>'taken' = '6' AND subject_id = $1`, report.ID.String()); n != 1 {
		t.Error("no audit")
	}

	// The same again changes nothing.
	before := w.Count(t, `SELECT sum(version) FROM client`)
	again := w.bring(w.here, table(t, csv))
	if got := w.counts(again); got != [5]int{6, 0, 0, 6, 0} {
		t.Errorf("%v %v", got, said(again))
	}
	if after := w.Count(t, `SELECT sum(version) FROM client`); after != before {
		t.Error("something changed")
	}

	// The other municipality has the same numbers and the same person, and sees none of this.
	if got := w.counts(w.bring(w.away, table(t, csv))); got != [5]int{6, 6, 0, 0, 0} {
		t.Error(got)
	}
	err := w.DB.InTx(t.Context(), w.away, func(tx *pg.Tx) error {
		runs, err := exchange.Runs(t.Context(), tx)
		if err != nil || len(runs) != 1 || runs[0].Taken != 6 || runs[0].ExpiresOn != calendar.On(2023, 10, 19) {
			t.Errorf("%+v, %v", runs, err)
		}
		_, err = exchange.FindRun(t.Context(), tx, report.ID)
		if !errors.As(err, new(problem.NotFound)) {
			t.Errorf("a foreign run: %v", err)
		}
		foreign, err := exchange.Refusals(t.Context(), tx, report.ID, 0, 10)
		if err != nil || len(foreign) != 0 {
			t.Errorf("%v, %v", foreign, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = w.DB.InTx(t.Context(), w.here, func(tx *pg.Tx) error {
		page, err := exchange.Refusals(t.Context(), tx, report.ID, 2, 1)
		if err != nil || len(page) != 2 || page[0].Row != 5 || page[1].Row != 5 { // a row's remarks stay together
			t.Errorf("%+v, %v", page, err)
		}
		page, err = exchange.Refusals(t.Context(), tx, report.ID, 5, 10)
		if err != nil || len(page) != 2 || page[1].Row != 7 {
			t.Errorf("%+v, %v", page, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKnownClients(t *testing.T) {
	w := newWorld(t)
	national := nationalID(t, "1940-05-06", 1)
	w.bring(w.here, table(t, p12+
		"Hansen, Solveig;Skoleveien 3;1430;Ås;100;1;06.05.1940;K;Aktiv;"+national+";01.01.2020;;;\n"+
		"Berg, Anne;Skoleveien 3;1430;Ås;200;2;;K;Frakoblet;;01.02.2023;;;\n"+
		"van der Lie, Nils;Storgata 1;1430;Ås;300;3;;M;Aktiv;;;;;\n"))
	report := w.bring(w.here, table(t, p12+
		"Hansen Moe, Solveig;Skoleveien 5;1430;Ås;100;91;06.05.1940;K;Frakoblet;"+national+";01.02.2023;;;\n"+ // status stays
		"Berg, Anne;;;;200;;;;Frakoblet;;02.02.2023;;;\n"+ // empty tells nothing
		"Nils van der Lie;;;;300;33;;;Aktiv;;;;;\n")) // the parts of the name stay
	if got := w.counts(report); got != [5]int{3, 0, 2, 1, 0} {
		t.Errorf("%v", got)
	}
	if want := []string{"2 status status_differs?", "3 status_date status_date_differs?"}; !slices.Equal(said(report), want) {
		t.Errorf("%q", said(report))
	}
	count := func(want int, sql string) {
		t.Helper()
		if n := w.Count(t, sql); n != want {
			t.Errorf("%d, want %d: %s", n, want, sql)
		}
	}
	count(1, `SELECT count(*) FROM client c JOIN address a ON a.municipality_id = c.municipality_id AND a.id = c.address_id
		WHERE number = '100' AND family_name = 'Hansen Moe' AND phone = '91' AND street = 'Skoleveien 5' AND status = 'active' AND c.version = 2`)
	count(1, `SELECT count(*) FROM client c JOIN address a ON a.municipality_id = c.municipality_id AND a.id = c.address_id
		WHERE number = '200' AND phone = '2' AND street = 'Skoleveien 3' AND c.version = 1`)
	count(1, `SELECT count(*) FROM client WHERE number = '300' AND family_name = 'van der Lie' AND given_name = 'Nils' AND phone = '33'`)
	count(3, `SELECT count(*) FROM client_change h JOIN client c ON c.municipality_id = h.municipality_id AND c.id = h.client_id WHERE number = '100' AND field <> 'status'`)
	count(1, `SELECT count(*) FROM client_change WHERE field = 'address' AND from_value = 'Skoleveien 3, 1430 Ås' AND to_value = 'Skoleveien 5, 1430 Ås'`)
	count(1, `SELECT count(*) FROM audit WHERE act = 'changed' AND fields = '{address,family_name,phone}'`)
	count(0, `SELECT count(*) FROM audit WHERE audit::text ILIKE '%hansen%'`)
	count(1, `SELECT count(*) FROM client_search WHERE text = 'solveig hansen moe 100 91'`)
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	ola, kari := nationalID(t, "1940-05-06", 1), nationalID(t, "1941-05-06", 2)
	w.bring(w.here, table(t, p12+
		"Dal, Ola;;;;700;;;;Aktiv;"+ola+";;;;\n"+
		"Dal, Kari;;;;701;;;;Frakoblet;"+kari+";01.01.2023;;;\n"))
	hash := deletion.RegistrationHash(key, w.here.Municipality, "800", "", calendar.Date{})
	w.Exec(t, `INSERT INTO purged_registration VALUES ($1, $2, '2023-01-01', '2025-01-01')`, w.here.Municipality, hash)
	hash = deletion.RegistrationHash(key, w.here.Municipality, "", nationalID(t, "1930-01-01", 0), calendar.On(2022, 2, 3))
	w.Exec(t, `INSERT INTO purged_registration VALUES ($1, $2, '2023-01-01', '2025-01-01')`, w.here.Municipality, hash)

	long := strings.Repeat("x", 201)
	for _, c := range []struct{ row, want string }{
		{"A, B;;;;12x;;;;Aktiv", "number bad_number"},
		{"A, B;;;;1234567890123;;;;Aktiv", "number bad_number"},
		{"A, B;;;;;;;;Aktiv", "number required"},
		{";;;;1;;;;Aktiv", "name required"},
		{"A, B;;;;1;;31.02.1950;;Aktiv", "birth_date no_such_date"},
		{"A, B;;;;1;;i går;;Aktiv", "birth_date bad_date"},
		{"A, B;;;;1;;20.09.2023;;Aktiv", "birth_date future"},
		{"A, B;;;;1;;;Q;Aktiv", "gender unknown"},
		{"A, B;;;;1;;;;Borte", "status unknown"},
		{"A, B;;;;1;;;;Aktiv;123", "national_id national_id_length"},
		{"A, B;;;;1;;;;Aktiv;12345678901", "national_id national_id_check_digits"},
		{"A, B;;;;1;;07.05.1940;;Aktiv;" + nationalID(t, "1940-05-06", 3), "birth_date birth_date_mismatch"},
		{"A, B;;;;1;;;;Frakoblet;;20.09.2023", "status_date future"},
		{"A, B;;;;1;;;;Frakoblet;;19.09.2023 09:12:01", "status_date future"},
		{"A, B;;;;1;;;;Frakoblet;;30.02.2023", "status_date no_such_date"},
		{"A, B;;;;1;;;;Frakoblet;;2023", "status_date bad_date"},
		{"A, B;;;;1;;;;Frakoblet;;01.02.2023 25:00", "status_date bad_date"},
		{"A, B;;;;1;;;;Frakoblet;;;31.09.23", "agreement_end no_such_date"},
		{"A, B;Gata 1;14300;Ås;1;;;;Aktiv", "postcode bad_postcode"},
		{"A, B;;;;1;;;;Aktiv;;;;;hei", "email bad_email"},
		{"A, " + long + ";;;;1;;;;Aktiv", "name too_long"},
		{"A, B;" + long + ";1430;Ås;1;;;;Aktiv", "street too_long"},
		{"A, B\x07;;;;1;;;;Aktiv", "name control_characters"},
		{"A, B;;;;1;\u202e123;;;Aktiv", "phone control_characters"},
		{"\"A\nB\";;;;1;;;;Aktiv", "name control_characters"},
		{"A, B;;;;1;;;;Aktiv;;;;;;more", "row too_many_cells"},
		{"A \"B\";;;;1;;;;Aktiv", "row bad_quotes"},
		{"Dal, Ola;;;;702;;;;Aktiv;" + ola, "national_id person_exists"},
		{"Dal, Ola;;;;702;;;;Bestilt;" + ola, "national_id person_exists"},
		{"Dal, Ola;;;;700;;;;Aktiv;" + kari, "national_id other_person"},
		{"Dal, Ola;;;;700;;07.05.1940;;Aktiv", "birth_date birth_date_mismatch"},
		{"Old, One;;;;800;;;;Frakoblet;;01.01.2022", "number purged_before"},
		{"Old, Two;;;;;;;;Frakoblet;" + nationalID(t, "1930-01-01", 0) + ";03.02.2022 12:00", "national_id purged_before"},
	} {
		report := w.bring(w.here, table(t, p12+c.row+"\n"))
		if got := said(report); report.Refused != 1 || !slices.Equal(got, []string{"2 " + c.want}) {
			t.Errorf("%q: %q %v", c.row, got, w.counts(report))
		}
	}
	if n := w.Count(t, `SELECT count(*) FROM client`); n != 2 {
		t.Errorf("%d clients", n)
	}

	// All that is wrong with a row, not only the first; and right rows among wrong ones are taken.
	report := w.bring(w.here, table(t, p12+
		"Ny, En;;;;900;;;;Aktiv;"+nationalID(t, "1950-01-01", 0)+"\n"+
		"Ny, To;;;;900;;;;Aktiv\n"+
		"Ny, Tre;;;;901;;;;Aktiv;"+nationalID(t, "1950-01-01", 0)+"\n"+ // D21 within the file
		"Ny, Fire;;;;902;;;X;Borte;;;99;;hei\n"+
		"Ny, Fem;;;;903;;;;Frak;"+nationalID(t, "1950-01-01", 0)+";01.01.2023\n"+ // an old registration of the same person
		"Ny, Seks;;;;;;;;Aktiv;"+nationalID(t, "1951-01-01", 0)+"\n"+
		"Ny, Seks;;;;;;;;Aktiv;"+nationalID(t, "1951-01-01", 0)+"\n"+
		"Dal, Ola;;;;700;;;;Aktiv;\n"+
		"Dal, Ola;;;;;;;;Aktiv;"+ola+"\n")) // the same client by another name
	want := []string{
		"3 number duplicate_in_file", "4 national_id person_exists", "5 agreement_end bad_date", "5 email bad_email", "5 gender unknown", "5 status unknown",
		"8 national_id duplicate_in_file", "10 national_id duplicate_in_file",
	}
	if !slices.Equal(said(report), want) || w.counts(report) != [5]int{9, 3, 0, 1, 5} {
		t.Errorf("%q %v", said(report), w.counts(report))
	}
	if n := w.Count(t, `SELECT count(*) FROM client WHERE number = '200000001' AND family_name = 'Ny'`); n != 1 {
		t.Error("the one without a number did not get the next")
	}
	if n := w.Count(t, `SELECT count(*) FROM client_search WHERE text = 'seks ny 200000001'`); n != 1 {
		t.Error("it is not found by its number")
	}
	again := w.bring(w.here, table(t, p12+"Ny, Seks;;;;;;;;Aktiv;"+nationalID(t, "1951-01-01", 0)+"\n"+"Dal, Kari;;;;;;;;Frakoblet;"+kari+";01.01.2023\n"))
	if w.counts(again) != [5]int{2, 0, 0, 2, 0} {
		t.Errorf("%v %q", w.counts(again), said(again))
	}
	// Nothing of a row's values is kept in the reports.
	if n := w.Count(t, `SELECT count(*) FROM import_refusal r WHERE r::text ~ 'Ny|Dal|hei'`); n != 0 {
		t.Error("a value in a report")
	}
}

func TestHostileText(t *testing.T) {
	w := newWorld(t)
	report := w.bring(w.here, table(t, "Navn;Nummer;Telefon;Status\n"+
		"=cmd|' /C calc'!A0, @SUM(1);1;+47 22 33 44 55;Aktiv\n"+
		"\"'; DROP TABLE client; --, <script>alert(1)</script>\";2;-1;Aktiv\n"+
		"\"O\"\"Hara; {{.}} $1 @now, %s\";3;\\x00 \\N \\.;Aktiv\n"))
	if report.Taken != 3 {
		t.Fatalf("%v %q", w.counts(report), said(report))
	}
	for number, want := range map[string]string{"1": "=cmd|' /C calc'!A0|@SUM(1)|+47 22 33 44 55", "2": "'; DROP TABLE client; --|<script>alert(1)</script>|-1", "3": `O"Hara; {{.}} $1 @now|%s|\x00 \N \.`} {
		var got string
		if err := w.Admin.QueryRow(t.Context(), `SELECT family_name || '|' || given_name || '|' || phone FROM client WHERE number = $1`, number).Scan(&got); err != nil || got != want {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// nothing checks that no table knows of an import.
func (w *world) nothing() {
	w.t.Helper()
	for _, table := range []string{"client", "client_search", "client_change", "status_entry", "address", "import_run", "import_refusal", "round_item"} {
		if n := w.Count(w.t, `SELECT count(*) FROM `+table); n != 0 {
			w.t.Errorf("%d rows of %s are left", n, table)
		}
	}
	if n := w.Count(w.t, `SELECT count(*) FROM pg_class WHERE relname LIKE 'import_row%' OR relname LIKE 'import_note%'`); n != 0 {
		w.t.Error("a temporary table is left")
	}
}

func TestKilled(t *testing.T) {
	w := newWorld(t)
	whole := table(t, many(2000))

	t.Run("while it reads", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		half := whole
		half.Rows = func(yield func(exchange.Row, error) bool) {
			n := 0
			for row, err := range whole.Rows {
				if n++; n == 1000 {
					cancel()
				}
				if !yield(row, err) {
					return
				}
			}
		}
		if _, err := exchange.Import(ctx, w.DB, w.here, half, exchange.Guess(half.Header), exchange.Options{Key: key}); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		w.nothing()
	})
	t.Run("while it writes", func(t *testing.T) {
		// client and address are written when the entries wait for this lock.
		lock, err := w.Admin.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = lock.Rollback(context.Background()) }()
		if _, err := lock.Exec(t.Context(), `LOCK TABLE status_entry IN EXCLUSIVE MODE`); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := exchange.Import(ctx, w.DB, w.here, whole, exchange.Guess(whole.Header), exchange.Options{Key: key})
			done <- err
		}()
		for w.Count(t, `SELECT count(*) FROM pg_locks WHERE relation = 'status_entry'::regclass AND NOT granted`) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		// Meanwhile nobody else imports into the same municipality.
		_, err = exchange.Import(t.Context(), w.DB, w.here, whole, exchange.Guess(whole.Header), exchange.Options{Key: key})
		if !reflect.DeepEqual(err, problem.Conflict{Code: "import_running"}) {
			t.Errorf("%v", err)
		}
		cancel()
		if err := <-done; err == nil {
			t.Error("no error")
		}
		if err := lock.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The server may take a moment to notice that nobody is there any more; until then the municipality is taken.
		for w.Count(t, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) > 0 {
			time.Sleep(5 * time.Millisecond)
		}
		w.nothing()
	})
	t.Run("by its file", func(t *testing.T) {
		broken := whole
		broken.Rows = func(yield func(exchange.Row, error) bool) {
			for row, err := range whole.Rows {
				if !yield(row, err) {
					return
				}
			}
			yield(exchange.Row{}, problem.InvalidField("file", "bad_zip", nil))
		}
		_, err := exchange.Import(t.Context(), w.DB, w.here, broken, exchange.Guess(broken.Header), exchange.Options{Key: key})
		if code(err) != "bad_zip" {
			t.Errorf("%v", err)
		}
		w.nothing()
	})
	t.Run("dry", func(t *testing.T) {
		report, err := exchange.Import(t.Context(), w.DB, w.here, whole, exchange.Guess(whole.Header), exchange.Options{Key: key, DryRun: true})
		if err != nil || report.Taken != 2000 {
			t.Errorf("%+v, %v", report, err)
		}
		w.nothing()
	})
	if report := w.bring(w.here, whole); report.Taken != 2000 {
		t.Errorf("%+v", report)
	}
}

func TestPermission(t *testing.T) {
	w := newWorld(t)
	for _, role := range []access.Role{access.Approver, access.PrivacyOfficer, access.Administrator, access.Support, access.Operator, access.PlatformAdministrator} {
		caller := w.here
		caller.Roles = []access.Role{role}
		tab := table(t, many(1))
		_, err := exchange.Import(t.Context(), w.DB, caller, tab, exchange.Guess(tab.Header), exchange.Options{Key: key})
		if !errors.As(err, new(problem.Forbidden)) {
			t.Errorf("%s: %v", role, err)
		}
	}
	w.nothing()
}

// many is a file of n clients, a third of them disconnected, five to an address.
func many(n int) string {
	var b bytes.Buffer
	b.WriteString(p12)
	for i := range n {
		status, at := "Aktiv", "01.02.2019"
		if i%3 == 0 {
			status, at = "Frakoblet", fmt.Sprintf("%02d.%02d.2023 12:00:00", i%28+1, i%8+1)
		}
		fmt.Fprintf(&b, "Etternavn%d, Fornavn;Veien %d;1430;Ås;%d;9%07d;01.01.%d;K;%s;;%s;;;\n", i, i/5, 200_100_000+i, i, 1920+i%60, status, at)
	}
	return b.String()
}

func TestFiftyThousand(t *testing.T) {
	w := newWorld(t)
	tab := table(t, many(50_000))
	if got := w.counts(w.bring(w.here, tab)); got != [5]int{50_000, 50_000, 0, 0, 0} {
		t.Error(got)
	}
	if got := w.counts(w.bring(w.here, tab)); got != [5]int{50_000, 0, 0, 50_000, 0} {
		t.Error(got)
	}
	if n := w.Count(t, `SELECT count(*) FROM round_item`); n != 16_667 {
		t.Errorf("%d are placed", n)
	}
}

func code(err error) string {
	var invalid problem.Invalid
	if errors.As(err, &invalid) {
		return invalid.Fields[0].Code
	}
	return fmt.Sprint(err)
}
