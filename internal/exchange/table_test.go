package exchange_test

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/exchange"
	"github.com/frist-app/frist/internal/problem"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"
)

// cells reads all rows of a file.
func cells(data []byte) (header []string, rows [][]string, err error) {
	tab, err := exchange.Read(bytes.NewReader(data), int64(len(data)), "file")
	if err != nil {
		return nil, nil, err
	}
	for row, err := range tab.Rows {
		if err != nil {
			return nil, nil, err
		}
		if row.Broken != "" {
			return nil, nil, errors.New(row.Broken)
		}
		rows = append(rows, slices.Clone(row.Cells))
	}
	return tab.Header, rows, nil
}

func TestEncodings(t *testing.T) {
	text := "Navn;Kjønn;Postnummer\r\nØdegård, Åse;K;0953\r\n\r\n;;\r\n\"Æ; \"\"Ø\"\"\";M;1430\r\n"
	latin, err := charmap.Windows1252.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"UTF-8": text, "mark": "\ufeff" + text, "Windows-1252": latin, "UTF-16": wide, "hint": "sep=;\r\n" + text,
		"tabs": strings.ReplaceAll(strings.ReplaceAll(text, "Æ;", "Æ|"), ";", "\t"), "commas": strings.NewReplacer("Æ;", "Æ|", "Ødegård, Åse", `"Ødegård, Åse"`, ";", ",").Replace(text),
	} {
		header, rows, err := cells([]byte(file))
		if err != nil || len(header) != 3 || header[1] != "Kjønn" || len(rows) != 2 || rows[0][0] != "Ødegård, Åse" || rows[0][2] != "0953" ||
			!strings.HasPrefix(rows[1][0], "Æ") || !strings.HasSuffix(rows[1][0], ` "Ø"`) {
			t.Errorf("%s: %q %q %v", name, header, rows, err)
		}
	}
	// A capital before a quotation mark, a dash or a space that does not break is two bytes of UTF-8 to look at only.
	loud := "Navn;Sted\n«BLÅ»;Ø… – “ÅSÆ” RØ\u00a0Å\u00a0\n"
	if latin, err = charmap.Windows1252.NewEncoder().String(loud); err != nil {
		t.Fatal(err)
	}
	if _, rows, err := cells([]byte(latin)); err != nil || rows[0][0] != "«BLÅ»" || rows[0][1] != "Ø… – “ÅSÆ” RØ\u00a0Å\u00a0" {
		t.Errorf("capitals: %q %v", rows, err)
	}
	tab, err := exchange.Read(strings.NewReader("sep=;\n\nNavn;Nr\n\nA;1\n\"B\nC\";2\nD;3\n"), -1, "")
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	for range 2 { // from the first one on each time
		for row, err := range tab.Rows {
			if err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, row.Number)
		}
	}
	if !slices.Equal(numbers, []int{5, 6, 8, 5, 6, 8}) {
		t.Errorf("rows %v", numbers)
	}
}

func TestFileProblems(t *testing.T) {
	header := "Navn;Nummer\n"
	zipped := func(name, content string, times int) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		for range times {
			_, _ = w.Write([]byte(content))
		}
		_ = z.Close()
		return b.String()
	}
	good := string(workbook(t, [][]any{{"Navn", "Nummer"}, {"A", 1}}))
	locked := excelize.NewFile()
	var encrypted bytes.Buffer
	if err := locked.Write(&encrypted, excelize.Options{Password: "secret"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, want string }{
		"nothing":         {"", "empty"},
		"blank":           {"\ufeff \r\n\t\r\n", "empty"},
		"one column":      {"Navn\nHansen\n", "not_a_table"},
		"page":            {"<html><table><tr><td>Navn</td></tr></table></html>", "not_a_table"},
		"pdf":             {"%PDF-1.7 a;b\n1;2\n", "not_a_table"},
		"picture":         {"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR;;;", "not_a_table"},
		"old Excel":       {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 600), "not_a_table"},
		"password":        {encrypted.String(), "encrypted"},
		"bad mark":        {"\ufeffNavn;Nummer\nH\xe5;1\n", "bad_encoding"},
		"bad row":         {"Navn;Nummer\nÅse;1\nH\xe5kon;2\nLie;3\n", "mixed_encoding"},
		"bad byte":        {"Navn;Nummer\nNils’;1\nL\xffe;2\n", "mixed_encoding"},
		"Sami row":        {"Navn;Nummer\nL\xf8vland;1\nÁŋot;2\n", "mixed_encoding"},
		"no header":       {";;\n", "no_header"},
		"data first":      {"Hansen;200051466;14.02.1951\nLie;2;3\n", "no_header"},
		"no rows":         {header, "no_rows"},
		"blank rows":      {header + ";\n;\n", "no_rows"},
		"twice":           {"Navn;Nummer; NAVN \nA;1;2\n", "duplicate_column"},
		"columns":         {strings.Repeat("a;b;c;", 67) + "\n1;2\n", "too_many_columns"},
		"long cell":       {header + strings.Repeat("x", 10_001) + ";1\n", "cell_too_long"},
		"open":            {header + "A;1\n\"B;2\nC;3\n", "open_quote"},
		"open header":     {"\"Navn;Nummer\nA;1\n", "not_a_table"},
		"rows":            {header + strings.Repeat("A;1\n", exchange.MaxRows+1), "too_many_rows"},
		"bytes":           {strings.Repeat("x", exchange.MaxBytes+1), "too_large"},
		"cut":             {good[:len(good)/2], "bad_zip"},
		"other zip":       {zipped("word/document.xml", "<w/>", 1), "not_a_table"},
		"bomb":            {zipped("xl/worksheets/sheet1.xml", strings.Repeat("<b/>", 1<<18), 257), "too_large"},
		"great part":      {zipped("xl/styles.xml", strings.Repeat(" ", 1<<20), 17), "too_large"},
		"endless cell":    {zipped("xl/worksheets/sheet1.xml", strings.Repeat("x", 1<<20), 1), "cell_too_long"},
		"bad markup":      {zipped("xl/worksheets/sheet1.xml", "<a><row r=</a>", 1), "bad_zip"},
		"empty workbook":  {string(workbook(t, nil)), "empty"},
		"workbook header": {string(workbook(t, [][]any{{"Navn", "Nummer"}})), "no_rows"},
		"workbook wide":   {string(workbook(t, [][]any{slices.Repeat([]any{"a"}, 201), {1}})), "too_many_columns"},
	} {
		_, _, err := cells([]byte(c.file))
		if code(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, err := exchange.Read(strings.NewReader(header+"A;1\n"), exchange.MaxBytes+1, ""); code(err) != "too_large" {
		t.Errorf("declared size: %v", err)
	}
	// A changed byte anywhere in a workbook is noticed, or the cells are the same.
	for i := 0; i < len(good); i += 5 {
		bent := []byte(good)
		bent[i] ^= 0x55
		_, rows, err := cells(bent)
		if err == nil && (len(rows) != 1 || rows[0][0] != "A" || rows[0][1] != "1") {
			t.Errorf("byte %d of %d: %q", i, len(good), rows)
		}
	}
}

func workbook(t testing.TB, rows [][]any) []byte {
	t.Helper()
	f := excelize.NewFile()
	style, err := f.NewStyle(&excelize.Style{NumFmt: 14})
	if err != nil {
		t.Fatal(err)
	}
	for r, row := range rows {
		for c, value := range row {
			cell, _ := excelize.CoordinatesToCellName(c+1, r+1)
			if err := f.SetCellValue("Sheet1", cell, value); err != nil {
				t.Fatal(err)
			}
			if _, dated := value.(time.Time); dated {
				_ = f.SetCellStyle("Sheet1", cell, cell, style)
			}
		}
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWorkbook(t *testing.T) {
	w := newWorld(t)
	data := workbook(t, [][]any{
		{},
		{"Klientnummer", "Navn", "Fødselsdato", "Status", "Dato frakoblet", "Postnummer", "Sted", "Adresse", "Fødselsnummer", "Telefon"},
		{200051466, "Hansen, Solveig", time.Date(1951, 2, 14, 0, 0, 0, 0, time.UTC), "Frakoblet", time.Date(2023, 3, 14, 15, 7, 33, 0, time.UTC), 953, "Oslo", "Gata 1", nil, 90000172},
		{},
		{"2.00051467E8", "Ødegård, Åse", "010424", "Aktiv", "11.03.2021 15:07:33", "1430", "Ås", "Gata 2", nil, "+47 90"},
		{"3", "#N/A", "", "Aktiv"},
		{"4", "Lie, Nils", "", "Aktiv", "31.09.2021"},
	})
	tab, err := exchange.Read(bytes.NewReader(data), int64(len(data)), "clients.csv") // the name proves nothing
	if err != nil || tab.Format != exchange.Excel {
		t.Fatalf("%+v, %v", tab, err)
	}
	report := w.bring(w.here, tab)
	if report.Taken != 2 || !slices.Equal(said(report), []string{"6 name cell_error", "7 status_date no_such_date"}) {
		t.Errorf("%v %q", w.counts(report), said(report))
	}
	for _, sql := range []string{
		`SELECT count(*) FROM client c JOIN address a ON a.id = c.address_id WHERE number = '200051466' AND birth_date = '1951-02-14'
			AND status_since = '2023-03-14 15:07:33 Europe/Oslo' AND postcode = '0953' AND phone = '90000172'`,
		`SELECT count(*) FROM client WHERE number = '200051467' AND birth_date = '1924-04-01' AND status_since = '2021-03-11 15:07:33 Europe/Oslo'`,
	} {
		if w.Count(t, sql) != 1 {
			t.Errorf("not so: %s", sql)
		}
	}
}

func TestGuess(t *testing.T) {
	for header, want := range map[string]exchange.Mapping{
		"Navn;Adresse;Postnumnr;Sted;Db nr.;Telefon;Fødselsdato;Kjønn;Sen…": {
			0: exchange.Name, 1: exchange.Street, 2: exchange.Postcode, 3: exchange.Town, 4: exchange.Number, 5: exchange.Phone, 6: exchange.BirthDate, 7: exchange.Gender, 8: exchange.Status,
		},
		"Klient: Nummer;Klient: Dato avtaleslutt;Klient: Rapporteringsgruppe1;Pårørende: Navn": {0: exchange.Number, 1: exchange.AgreementEnd, 2: exchange.Group},
		"Nummer;NAVN;Region;Statusdato;E-POST;fodselsnummer;Klientnummer": {
			0: exchange.Number, 1: exchange.Name, 2: exchange.Town, 3: exchange.StatusDate, 4: exchange.Email, 5: exchange.NationalID,
		},
		"Client number;First name;Last name;Date of birth;Sex;Status;Date disconnected;Postal code;Phone": {
			0: exchange.Number, 1: exchange.GivenName, 2: exchange.FamilyName, 3: exchange.BirthDate, 4: exchange.Gender, 5: exchange.Status, 6: exchange.StatusDate, 7: exchange.Postcode, 8: exchange.Phone,
		},
		"Sluttdato for avtale;Rapportgruppe;Dato frakoblet;Fødselsnummer": {0: exchange.AgreementEnd, 1: exchange.Group, 2: exchange.StatusDate, 3: exchange.NationalID},
	} {
		if got := exchange.Guess(strings.Split(header, ";")); !maps.Equal(got, want) {
			t.Errorf("%s: %v", header, got)
		}
	}
	for name, c := range map[string]struct {
		mapping exchange.Mapping
		want    string
	}{
		"good":       {exchange.Mapping{0: exchange.Name, 2: exchange.NationalID}, ""},
		"parts":      {exchange.Mapping{0: exchange.GivenName, 1: exchange.FamilyName, 2: exchange.Number}, ""},
		"nothing":    {exchange.Mapping{}, "missing_column=number missing_column=name"},
		"half":       {exchange.Mapping{0: exchange.GivenName, 1: exchange.Number}, "missing_column=name"},
		"twice":      {exchange.Mapping{0: exchange.Name, 1: exchange.Name, 2: exchange.Number}, "column_twice=name"},
		"too far":    {exchange.Mapping{0: exchange.Name, 1: exchange.Number, 3: exchange.Town}, "unknown_column"},
		"not a name": {exchange.Mapping{0: exchange.Name, 1: exchange.Number, 2: "shoes"}, "unknown_field"},
	} {
		var got []string
		var invalid problem.Invalid
		if errors.As(c.mapping.Check(3), &invalid) {
			for _, f := range invalid.Fields {
				s := f.Code
				if field, ok := f.Params["field"]; ok {
					s += fmt.Sprint("=", field)
				}
				got = append(got, s)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What a CSV writer writes, Read gives back.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~æøåÆØÅ]{0,20}`), rapid.SampledFrom([]string{"", ";", "\"", "=1+1", "a\nb", "Ø; \"Å\"", "\t"}))
		row := rapid.SliceOfN(cell, 3, 3)
		want := rapid.SliceOfN(row, 1, 20).Draw(t, "rows")
		comma := rapid.SampledFrom([]rune{';', ',', '\t'}).Draw(t, "separator")
		var b bytes.Buffer
		if rapid.Bool().Draw(t, "mark") {
			b.WriteString("\ufeff")
		}
		w := csv.NewWriter(&b)
		w.Comma, w.UseCRLF = comma, rapid.Bool().Draw(t, "crlf")
		_ = w.Write([]string{"Navn", "Nummer", "Sted"})
		var kept [][]string
		for _, r := range want {
			for i := range r { // a line end is a line end to CSV, and text is text
				r[i] = strings.NewReplacer("\r", "", "\x00", "").Replace(r[i])
			}
			_ = w.Write(r)
			if r = trimmed(r); len(r) > 0 {
				kept = append(kept, r)
			}
		}
		w.Flush()
		_, got, err := cells(b.Bytes())
		if len(kept) == 0 && code(err) == "no_rows" {
			return
		}
		if err != nil || !slices.EqualFunc(got, kept, slices.Equal) {
			t.Fatalf("%q\nwant %q\nfrom %q, %v", got, kept, b.String(), err)
		}
	})
}

func trimmed(row []string) []string {
	for len(row) > 0 && strings.TrimSpace(row[len(row)-1]) == "" {
		row = row[:len(row)-1]
	}
	return row
}

// Whatever comes, Read answers with rows within the limits or with a problem that a person can read.
func FuzzRead(f *testing.F) {
	f.Add([]byte(p12 + "Hansen, Solveig;Skoleveien 3;1430;Ås;200051466\n"))
	f.Add([]byte("\ufeffNavn,Nummer\n\"A\"\"B\",1\n"))
	f.Add([]byte("\xff\xfeN\x00;\x00\n\x00"))
	f.Add([]byte("sep=;\nNavn;Nummer\nH\xe5;1\n\"x"))
	f.Add(workbook(f, [][]any{{"Navn", "Nummer"}, {"A", 1}, {}, {"B", 2.5}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		tab, err := exchange.Read(bytes.NewReader(data), -1, "x")
		if err != nil {
			if !problem.Public(err) {
				t.Fatal(err)
			}
			return
		}
		_ = exchange.Guess(tab.Header).Check(len(tab.Header))
		for row, err := range tab.Rows {
			if err != nil {
				if !problem.Public(err) {
					t.Fatal(err)
				}
				return
			}
			if row.Number < 1 || len(row.Cells) > len(tab.Header) || len(row.Cells) == 0 && row.Broken == "" {
				t.Fatalf("%+v", row)
			}
		}
	})
}

// A great workbook; as great as may be with `make proof`.
func TestGreatWorkbook(t *testing.T) {
	rows := 3000
	if os.Getenv("FRIST_PROOF") == "long" {
		rows = exchange.MaxRows
	}
	f := excelize.NewFile()
	stream, err := f.NewStreamWriter("Sheet1")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(many(rows)), "\n") {
		values := []any{}
		for cell := range strings.SplitSeq(line, ";") {
			values = append(values, cell)
		}
		if err := stream.SetRow(fmt.Sprintf("A%d", i+1), values); err != nil {
			t.Fatal(err)
		}
	}
	_ = stream.Flush()
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	tab, err := exchange.Read(&b, -1, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.counts(w.bring(w.here, tab)); got != [5]int{rows, rows, 0, 0, 0} {
		t.Error(got)
	}
}
