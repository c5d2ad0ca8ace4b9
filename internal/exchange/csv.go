package exchange

import (
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"strings"

	"github.com/frist-app/frist/internal/problem"
)

func readCSV(text string) (Table, error) {
	first, rest, _ := strings.Cut(text, "\n")
	skipped := 0
	comma := separator(text)
	if mark := strings.TrimSpace(first); len(mark) == 5 && strings.HasPrefix(mark, "sep=") { // Excel's own hint
		text, comma, skipped = rest, rune(mark[4]), 1
	}
	if comma == 0 || !strings.ContainsRune(";,\t", comma) {
		return Table{}, fileProblem("not_a_table", nil)
	}
	r := reader(text, comma)
	cells, err := r.Read()
	if errors.Is(err, io.EOF) {
		return Table{}, fileProblem("no_header", nil)
	}
	if err != nil {
		if r.InputOffset() == int64(len(text)) && strings.Contains(strings.TrimSpace(text), "\n") {
			return Table{}, fileProblem("open_quote", problem.Params{"row": 1 + skipped})
		}
		return Table{}, fileProblem("not_a_table", nil)
	}
	names, err := header(cells)
	if err != nil {
		return Table{}, err
	}
	return begun(Table{Format: CSV, Header: names, Rows: csvRows(text, comma, len(names), skipped)})
}

func reader(text string, comma rune) *csv.Reader {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma = comma
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	return r
}

// separator is the one that stands most often in the first line that is not blank, outside quotation marks.
func separator(text string) rune {
	var counts [3]int
	quoted, any := false, false
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n' && any:
			return most(counts)
		case c == ';':
			counts[0]++
		case c == '\t':
			counts[1]++
		case c == ',':
			counts[2]++
		}
		any = any || c != '\n' && c != '\r'
	}
	return most(counts)
}

func most(counts [3]int) (best rune) {
	n := 0
	for i, c := range []rune{';', '\t', ','} {
		if counts[i] > n {
			best, n = c, counts[i]
		}
	}
	return best
}

// csvRows reads the rows below the header. A row with a stray quotation mark is broken, not the file; but a mark that is
// never closed has swallowed everything after it.
func csvRows(text string, comma rune, columns, skipped int) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		r := reader(text, comma)
		_, _ = r.Read() // the header
		for {
			cells, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			var broken *csv.ParseError
			switch {
			case errors.As(err, &broken):
				if broken.Line > broken.StartLine && r.InputOffset() == int64(len(text)) {
					yield(Row{}, fileProblem("open_quote", problem.Params{"row": broken.StartLine + skipped}))
					return
				}
				for line := broken.StartLine; line <= broken.Line; line++ {
					if !yield(Row{Number: line + skipped, Broken: "bad_quotes"}, nil) {
						return
					}
				}
				continue
			case err != nil:
				yield(Row{}, err)
				return
			}
			line, _ := r.FieldPos(0)
			row, ok, err := fit(line+skipped, cells, columns)
			if err != nil {
				yield(Row{}, err)
				return
			}
			if ok && !yield(row, nil) {
				return
			}
		}
	}
}
