// Package exchange brings clients in from files that other systems wrote: CSV and Excel, with the column names of the
// source system (P12, P37). Right rows are taken in one transaction, wrong ones are listed by row, field and reason, never
// by value. What was purged does not come back this way (D22). It knows no HTTP.
package exchange

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/problem"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// What a file may be at most. A greater one is refused as a whole.
const (
	MaxBytes   = 50 << 20
	MaxRows    = 200_000
	MaxColumns = 200
	MaxCell    = 10_000 // characters
)

// The formats that Read tells apart.
const (
	CSV   = "csv"
	Excel = "xlsx"
)

// Table is a file that was understood as far as its header.
type Table struct {
	Format string
	Header []string
	// Rows gives the rows that are not blank, each time from the first one on. A row is valid until the next one. An error
	// is a problem.Invalid of "file" and the last thing that comes.
	Rows iter.Seq2[Row, error]

	moment func(serial float64) time.Time // what a number means as an instant, on no clock's zone; nil where numbers are no dates
}

// Row is one line of the file.
type Row struct {
	Number int      // as the reader's program counts: the header is usually 1
	Cells  []string // as they stand in the file; at most as many as the header has
	Broken string   // a code when the line could not be read (bad_quotes, too_many_cells); there are no cells then
}

// OfFile names the codes of what is wrong with a file apart from those of a form's fields, for whoever says it in words: an
// empty file is no empty search.
func OfFile(err error) error {
	var invalid problem.Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	var wrong problem.Collector
	for _, f := range invalid.Fields {
		if f.Name == "file" {
			f.Code = "file_" + f.Code
		}
		wrong.Add(f.Name, f.Code, f.Params)
	}
	return wrong.Err()
}

func fileProblem(code string, params problem.Params) error {
	return problem.InvalidField("file", code, params)
}

// Read understands a file by its content; the name that it came under proves nothing and is not looked at. size is what
// the sender declares, -1 when unknown. CSV is separated by semicolons, commas or tabs, in UTF-8, UTF-16 or else
// Windows-1252; of a workbook the first sheet with anything in it is read.
//
// Errors are problem.Invalid of "file": too_large, too_many_columns (most), cell_too_long (row, most), empty, not_a_table, bad_zip
// (a damaged workbook), encrypted, bad_encoding, mixed_encoding (row, the first that is not UTF-8), no_header,
// duplicate_column (column), no_rows, open_quote (row); reading on can also answer too_many_rows (most).
func Read(r io.Reader, size int64, _ string) (Table, error) {
	tooLarge := fileProblem("too_large", problem.Params{"most": MaxBytes})
	if size > MaxBytes {
		return Table{}, tooLarge
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return Table{}, err
	}
	if len(data) > MaxBytes {
		return Table{}, tooLarge
	}
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return Table{}, fileProblem("empty", nil)
	case bytes.HasPrefix(data, []byte("PK\x03\x04")), bytes.HasPrefix(data, []byte("PK\x05\x06")):
		return readWorkbook(data)
	case bytes.HasPrefix(data, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		// Excel wraps a workbook with a password in the container of its old format.
		if bytes.Contains(data, []byte("E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00")) {
			return Table{}, fileProblem("encrypted", nil)
		}
		return Table{}, fileProblem("not_a_table", nil)
	}
	text, err := decode(data)
	if err != nil {
		return Table{}, err
	}
	return readCSV(text)
}

// decode gives the file's text in UTF-8. Whoever writes neither a mark nor UTF-8 writes Windows-1252.
func decode(data []byte) (string, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
		if !utf8.Valid(data) {
			return "", fileProblem("bad_encoding", nil)
		}
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		var err error
		if data, err = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(data); err != nil {
			return "", fileProblem("bad_encoding", nil)
		}
	case !utf8.Valid(data):
		if bytes.IndexByte(data, 0) >= 0 {
			return "", fileProblem("not_a_table", nil)
		}
		if row, ok := mixed(data); ok {
			return "", fileProblem("mixed_encoding", problem.Params{"row": row})
		}
		var err error
		if data, err = charmap.Windows1252.NewDecoder().Bytes(data); err != nil {
			return "", fileProblem("bad_encoding", nil)
		}
	}
	start := bytes.TrimSpace(data)
	switch {
	case len(start) == 0:
		return "", fileProblem("empty", nil)
	case bytes.IndexByte(data, 0) >= 0, start[0] == '<', start[0] == '{', bytes.HasPrefix(start, []byte("%PDF")):
		return "", fileProblem("not_a_table", nil) // a page saved as .xls, a document, anything but cells
	}
	return string(data), nil
}

// closing is what Windows-1252 text has after a capital letter: ellipsis, quotation marks, dashes, a space that does not
// break. "BLÅ»" is Windows-1252 although its last two bytes would be a letter in UTF-8.
const closing = "\x85\x91\x92\x93\x94\x96\x97\xa0\xab\xad\xb4\xbb"

// mixed tells whether data, which is not UTF-8 as a whole, has characters in UTF-8 all the same, and its first row that is
// not. Read as Windows-1252 its "Åse" would become "Ã…se" and take the place of a good name.
func mixed(data []byte) (row int, ok bool) {
	for rest, line := data, 1; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == '\n':
			line++
		case r == utf8.RuneError && n == 1 && row == 0:
			row = line
		case n > 1 && (rest[0] == 0xc3 || slices.ContainsFunc(rest[1:n], func(b byte) bool { return strings.IndexByte(closing, b) < 0 })):
			ok = true // no Norwegian word has an Ã
		}
		rest = rest[n:]
	}
	return row, ok
}

// header judges the first row. A row of data in its place shows by numbers and dates, which no column is called.
func header(cells []string) ([]string, error) {
	names := make([]string, 0, len(cells))
	for _, c := range cells {
		names = append(names, tidy(c))
	}
	for len(names) > 0 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	if len(names) > MaxColumns {
		return nil, fileProblem("too_many_columns", problem.Params{"most": MaxColumns})
	}
	seen := map[string]bool{}
	for _, name := range names {
		if strings.Trim(name, "0123456789.:-/ ") == "" && name != "" {
			return nil, fileProblem("no_header", nil)
		}
		folded := fold(name)
		if folded != "" && seen[folded] {
			return nil, fileProblem("duplicate_column", problem.Params{"column": name})
		}
		seen[folded] = true
	}
	if len(names) == 0 {
		return nil, fileProblem("no_header", nil)
	}
	return names, nil
}

// fit makes a row of what was read: no cells beyond the header, none too long. It is not ok for a blank row.
func fit(number int, cells []string, columns int) (row Row, ok bool, err error) {
	for len(cells) > 0 && strings.TrimSpace(cells[len(cells)-1]) == "" {
		cells = cells[:len(cells)-1]
	}
	if len(cells) == 0 {
		return Row{}, false, nil
	}
	if len(cells) > MaxColumns {
		return Row{}, false, fileProblem("too_many_columns", problem.Params{"most": MaxColumns})
	}
	for _, c := range cells {
		if len(c) > MaxCell && utf8.RuneCountInString(c) > MaxCell {
			return Row{}, false, fileProblem("cell_too_long", problem.Params{"row": number, "most": MaxCell})
		}
	}
	if len(cells) > columns {
		// A separator inside a value has moved the rest of the row into the wrong columns.
		return Row{Number: number, Broken: "too_many_cells"}, true, nil
	}
	return Row{Number: number, Cells: cells}, true, nil
}

// counted ends the rows with a problem when there are too many.
func counted(rows iter.Seq2[Row, error]) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		n := 0
		for row, err := range rows {
			if n++; n > MaxRows && err == nil {
				row, err = Row{}, fileProblem("too_many_rows", problem.Params{"most": MaxRows})
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// begun checks that there is a row to read.
func begun(t Table) (Table, error) {
	t.Rows = counted(t.Rows)
	for _, err := range t.Rows {
		return t, err
	}
	return Table{}, fileProblem("no_rows", nil)
}
