package handout

import (
	"bytes"
	"strings"

	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/rights"
)

// drawing adds what the extract needs beyond any sheet.
type drawing struct{ Drawing }

// drawPDF draws the extract on sheets of A4 with the municipality on top and the page's number below. It is a letter's
// enclosure, made to be read and kept by the person.
func drawPDF(text edge.Text, e rights.Extract) ([]byte, error) {
	s := SheetOf(text, e)
	d := drawing{NewDrawing(text.Lang, s.Title, s.Owner, e.MadeAt)}
	d.SetMargins(Left, 24, Left)
	d.SetAutoPageBreak(true, 20)
	d.AliasNbPages("{pages}")
	d.SetHeaderFunc(func() {
		d.SetY(10)
		d.Ink("", 8, 90)
		d.CellFormat(Width/2, 4, s.Owner, "", 0, "L", false, 0, "")
		d.CellFormat(Width/2, 4, e.Request.Reference, "", 1, "R", false, 0, "")
		d.SetDrawColor(30, 30, 30)
		d.SetLineWidth(0.3)
		d.Line(Left, 16, Left+Width, 16)
		d.SetY(24)
	})
	d.SetFooterFunc(func() {
		d.SetY(-14)
		d.Ink("", 8, 90)
		d.CellFormat(Width*0.7, 4, s.Made, "", 0, "L", false, 0, "")
		d.CellFormat(Width*0.3, 4, text.Say("rights.extract.page", map[string]any{"n": d.PageNo(), "of": "{pages}"}), "", 0, "R", false, 0, "")
	})
	d.AddPage()
	d.Ink("B", 18, 30)
	d.MultiCell(Width, 8, s.Title, "", "L", false)
	d.SetY(d.GetY() + 2)
	d.facts(s.Facts)
	for _, w := range s.Withheld {
		d.Ink("B", 8.5, 30)
		d.SetX(Left)
		d.MultiCell(Width, 4.4, w, "L", "L", false)
		d.SetY(d.GetY() + 2)
	}
	for _, part := range s.Parts {
		d.part(text, part)
	}
	var out bytes.Buffer
	if err := d.Output(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// room begins a new page when less than height is left on this one.
func (d drawing) room(height float64) {
	_, page := d.GetPageSize()
	if d.GetY()+height > page-20 {
		d.AddPage()
	}
}

func (d drawing) facts(pairs []Pair) {
	const name = 46.0
	for _, f := range pairs {
		d.Ink("", 8.5, 30)
		value := d.split(f.Value, Width-name)
		d.Ink("", 8.5, 90)
		title := d.split(f.Name, name-2)
		for i := range max(len(value), len(title)) {
			d.room(4.4)
			d.SetX(Left)
			d.Ink("", 8.5, 90)
			d.CellFormat(name, 4.4, line(title, i), "", 0, "L", false, 0, "")
			d.Ink("", 8.5, 30)
			d.CellFormat(Width-name, 4.4, line(value, i), "", 1, "L", false, 0, "")
		}
	}
	d.SetY(d.GetY() + 2)
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// split breaks words into lines of a width, also a word that is longer than the line, and where the writer did.
func (d drawing) split(words string, width float64) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(words, "\n") {
		if paragraph = strings.TrimRight(paragraph, "\r "); paragraph == "" {
			lines = append(lines, "")
			continue
		}
		lines = append(lines, d.SplitText(paragraph, width)...)
	}
	return lines
}

func (d drawing) part(text edge.Text, part Part) {
	d.room(22)
	d.SetY(d.GetY() + 2)
	d.Heading(Left, part.Title)
	if len(part.Pairs) == 0 && len(part.Rows) == 0 {
		d.Paragraph(Left, Width, text.Say("rights.nothing", nil))
		return
	}
	for _, pairs := range part.Pairs {
		d.facts(pairs)
	}
	if len(part.Rows) == 0 {
		return
	}
	wide := widths(part.Forms, Width)
	d.cells(wide, part.Columns, 90)
	for _, row := range part.Rows {
		d.Ink("", 8, 30)
		tall := 1
		for i, cell := range row {
			tall = max(tall, len(d.split(cell, wide[i]-1)))
		}
		if _, page := d.GetPageSize(); d.GetY()+float64(min(tall, 40))*3.8+1 > page-20 {
			d.AddPage()
			d.cells(wide, part.Columns, 90)
		}
		d.cells(wide, row, 30)
	}
}

// cells draws one row; one that is longer than a page goes on on the next.
func (d drawing) cells(wide []float64, row []string, grey int) {
	d.Ink("", 8, grey)
	d.SetDrawColor(205, 205, 205)
	d.SetLineWidth(0.15)
	lines, tall := make([][]string, len(row)), 1
	for i, cell := range row {
		lines[i] = d.split(cell, wide[i]-1)
		tall = max(tall, len(lines[i]))
	}
	for n := range tall {
		border := ""
		if n == tall-1 {
			border = "B"
		}
		d.room(4.2)
		d.Ink("", 8, grey)
		d.SetX(Left)
		for i := range row {
			next := 0
			if i == len(row)-1 {
				next = 1
			}
			d.CellFormat(wide[i], 4, line(lines[i], n), border, next, "L", false, 0, "")
		}
	}
}
