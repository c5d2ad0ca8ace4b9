package admin

import (
	"bytes"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/rights"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
)

// extractPDF draws the extract on sheets of A4 with the municipality on top and the page's number below. It is a letter's
// enclosure, made to be read and kept by the person.
func extractPDF(p edge.Page, e rights.Extract) ([]byte, error) {
	s := sheetOfExtract(p, e)
	d := drawing{Fpdf: fpdf.New("P", "mm", "A4", "")}
	made := e.MadeAt.UTC().Truncate(time.Second)
	d.SetCreationDate(made)
	d.SetModificationDate(made)
	d.SetCatalogSort(true)
	d.SetTitle(s.Title, true)
	d.SetAuthor(s.Owner, true)
	d.SetProducer("Frist", true)
	d.SetLang(map[string]string{"nb": "nb-NO", "en": "en-GB"}[p.Lang])
	d.AddUTF8FontFromBytes("sheet", "", goregular.TTF)
	d.AddUTF8FontFromBytes("sheet", "B", gobold.TTF)
	d.AddUTF8FontFromBytes("mono", "", gomono.TTF)
	d.SetMargins(sheetLeft, 24, sheetLeft)
	d.SetAutoPageBreak(true, 20)
	d.AliasNbPages("{pages}")
	d.SetHeaderFunc(func() {
		d.SetY(10)
		d.text("", 8, 90)
		d.CellFormat(sheetWidth/2, 4, s.Owner, "", 0, "L", false, 0, "")
		d.CellFormat(sheetWidth/2, 4, e.Request.Reference, "", 1, "R", false, 0, "")
		d.SetDrawColor(30, 30, 30)
		d.SetLineWidth(0.3)
		d.Line(sheetLeft, 16, sheetLeft+sheetWidth, 16)
		d.SetY(24)
	})
	d.SetFooterFunc(func() {
		d.SetY(-14)
		d.text("", 8, 90)
		d.CellFormat(sheetWidth*0.7, 4, s.Made, "", 0, "L", false, 0, "")
		d.CellFormat(sheetWidth*0.3, 4, p.Say("rights.extract.page", "n", d.PageNo(), "of", "{pages}"), "", 0, "R", false, 0, "")
	})
	d.AddPage()
	d.text("B", 18, 30)
	d.MultiCell(sheetWidth, 8, s.Title, "", "L", false)
	d.SetY(d.GetY() + 2)
	d.facts(s.Facts)
	for _, w := range s.Withheld {
		d.text("B", 8.5, 30)
		d.SetX(sheetLeft)
		d.MultiCell(sheetWidth, 4.4, w, "L", "L", false)
		d.SetY(d.GetY() + 2)
	}
	for _, part := range s.Parts {
		d.part(p, part)
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

func (d drawing) facts(pairs []pair) {
	const name = 46.0
	for _, f := range pairs {
		d.text("", 8.5, 30)
		value := d.split(f.Value, sheetWidth-name)
		d.text("", 8.5, 90)
		title := d.split(f.Name, name-2)
		for i := range max(len(value), len(title)) {
			d.room(4.4)
			d.SetX(sheetLeft)
			d.text("", 8.5, 90)
			d.CellFormat(name, 4.4, line(title, i), "", 0, "L", false, 0, "")
			d.text("", 8.5, 30)
			d.CellFormat(sheetWidth-name, 4.4, line(value, i), "", 1, "L", false, 0, "")
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

func (d drawing) part(p edge.Page, part extractPart) {
	d.room(22)
	d.SetY(d.GetY() + 2)
	d.heading(sheetLeft, part.Title)
	if len(part.Pairs) == 0 && len(part.Rows) == 0 {
		d.paragraph(sheetLeft, sheetWidth, p.Say("rights.nothing"))
		return
	}
	for _, pairs := range part.Pairs {
		d.facts(pairs)
	}
	if len(part.Rows) == 0 {
		return
	}
	wide := widths(part.Forms, sheetWidth)
	d.cells(wide, part.Columns, 90)
	for _, row := range part.Rows {
		d.text("", 8, 30)
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
	d.text("", 8, grey)
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
		d.text("", 8, grey)
		d.SetX(sheetLeft)
		for i := range row {
			next := 0
			if i == len(row)-1 {
				next = 1
			}
			d.CellFormat(wide[i], 4, line(lines[i], n), border, next, "L", false, 0, "")
		}
	}
}
