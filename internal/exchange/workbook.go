package exchange

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/problem"
	"github.com/xuri/excelize/v2"
)

const (
	maxUnzipped = 256 << 20 // of all parts together
	maxPart     = 16 << 20  // of a part that is read as a whole and is neither sheet nor text of cells
	maxParts    = 2_000
	maxMarkup   = 16 * MaxCell // bytes from one "<" to the next: a cell of the longest kind, every letter written as a reference
)

var (
	errDamaged  = fileProblem("bad_zip", nil)
	errUnzipped = fileProblem("too_large", problem.Params{"most": MaxBytes})
)

func readWorkbook(data []byte) (t Table, err error) {
	if err := inspect(data); err != nil {
		return Table{}, err
	}
	f, err := open(data)
	if err != nil {
		return Table{}, errDamaged
	}
	props, err := f.GetWorkbookProps()
	if err != nil {
		return Table{}, errDamaged
	}
	since1904 := props.Date1904 != nil && *props.Date1904
	t = Table{Format: Excel, moment: func(serial float64) time.Time {
		at, err := excelize.ExcelDateToTime(serial, since1904)
		if err != nil {
			return time.Time{}
		}
		return at.Round(time.Second)
	}}
	for _, sheet := range f.GetSheetList() {
		for first, err := range sheetRows(f, sheet) {
			if err != nil {
				return Table{}, err
			}
			if t.Header, err = header(first.Cells); err != nil {
				return Table{}, err
			}
			t.Rows = func(yield func(Row, error) bool) {
				for row, err := range sheetRows(f, sheet) {
					if err == nil && row.Number <= first.Number {
						continue
					}
					ok := true
					if err == nil {
						row, ok, err = fit(row.Number, row.Cells, len(t.Header))
					}
					if ok || err != nil {
						if !yield(row, err) || err != nil {
							return
						}
					}
				}
			}
			return begun(t)
		}
	}
	return Table{}, fileProblem("empty", nil)
}

// inspect looks at a workbook before anything believes it: how great it is unpacked, whether every part is whole and
// every sheet well-formed. The reader of sheets would take a damaged one's end for the last row.
func inspect(data []byte) error {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return errDamaged
	}
	if len(archive.File) > maxParts {
		return errUnzipped
	}
	total := uint64(0)
	workbook := false
	for _, part := range archive.File {
		name := strings.ToLower(strings.ReplaceAll(part.Name, `\`, "/"))
		workbook = workbook || name == "xl/workbook.xml"
		if part.Flags&1 != 0 {
			return fileProblem("encrypted", nil)
		}
		cells := strings.HasPrefix(name, "xl/worksheets/sheet") || name == "xl/sharedstrings.xml"
		total += min(part.UncompressedSize64, maxUnzipped+1)
		if total > maxUnzipped || part.UncompressedSize64 > maxPart && !cells {
			return errUnzipped
		}
		if err := whole(part, cells); err != nil {
			return err
		}
	}
	if !workbook {
		return fileProblem("not_a_table", nil)
	}
	return nil
}

// whole reads a part to its end, which checks its sum, and its markup when it holds cells. Nothing is kept.
func whole(part *zip.File, markup bool) error {
	r, err := part.Open()
	if err != nil {
		return errDamaged
	}
	defer r.Close()
	limited := io.LimitReader(r, maxUnzipped+1)
	if !markup {
		if _, err := io.Copy(io.Discard, limited); err != nil {
			return errDamaged
		}
		return nil
	}
	d := xml.NewDecoder(&stride{r: limited})
	for {
		_, err := d.RawToken()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errStride):
			return fileProblem("cell_too_long", problem.Params{"row": 0, "most": MaxCell})
		case err != nil:
			return errDamaged
		}
	}
}

var errStride = errors.New("too much text between two tags")

// stride refuses text without a tag in it that is longer than any cell, so that no reader ever holds it as a whole.
type stride struct {
	r    io.Reader
	free int
}

func (s *stride) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	rest := p[:n]
	for {
		i := bytes.IndexByte(rest, '<')
		if i < 0 {
			s.free += len(rest)
			break
		}
		if s.free+i > maxMarkup {
			return 0, errStride
		}
		s.free, rest = 0, rest[i+1:]
	}
	if s.free > maxMarkup {
		return 0, errStride
	}
	return n, err
}

// open keeps all in memory: the library's other way is files in the machine's common folder, with names and numbers of
// people, which a killed process would leave there.
func open(data []byte) (f *excelize.File, err error) {
	defer rescue(&err)
	return excelize.OpenReader(bytes.NewReader(data), excelize.Options{UnzipSizeLimit: maxUnzipped, UnzipXMLSizeLimit: maxUnzipped})
}

// sheetRows gives what stands in a sheet, blank rows left out. Numbers and dates come raw: how the sheet shows them
// depends on the writer's country.
func sheetRows(f *excelize.File, sheet string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var rows *excelize.Rows
		next := func() (cells []string, more bool, err error) {
			defer rescue(&err)
			if !rows.Next() {
				return nil, false, rows.Error()
			}
			cells, err = rows.Columns(excelize.Options{RawCellValue: true})
			return cells, true, err
		}
		err := func() (err error) {
			defer rescue(&err)
			rows, err = f.Rows(sheet)
			return err
		}()
		if err != nil {
			return // a chart, a macro: no sheet with rows
		}
		defer rows.Close()
		for number := 1; ; number++ {
			cells, more, err := next()
			if err != nil {
				yield(Row{}, errDamaged)
				return
			}
			if !more {
				return
			}
			if blank(cells) {
				continue
			}
			if !yield(Row{Number: number, Cells: cells}, nil) {
				return
			}
		}
	}
}

func blank(cells []string) bool {
	for _, c := range cells {
		if strings.TrimSpace(c) != "" {
			return false
		}
	}
	return true
}

// rescue turns a panic of the library over a hostile file into an error.
func rescue(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("exchange: workbook: %T", p)
	}
}
