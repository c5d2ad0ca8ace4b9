package handout

import (
	"time"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
)

// A sheet's measures in millimetres.
const (
	Left  = 18.0
	Width = 210 - 2*Left
)

// Drawing adds to fpdf what every sheet of A4 consists of.
type Drawing struct{ *fpdf.Fpdf }

// NewDrawing is an empty one with its fonts embedded. The same sheet made at the same instant gives the same bytes, so that
// two copies can be compared by their check sums.
func NewDrawing(lang, title, author string, made time.Time) Drawing {
	d := Drawing{fpdf.New("P", "mm", "A4", "")}
	made = made.UTC().Truncate(time.Second)
	d.SetCreationDate(made)
	d.SetModificationDate(made)
	d.SetCatalogSort(true)
	d.SetTitle(title, true)
	d.SetAuthor(author, true)
	d.SetProducer("Frist", true)
	d.SetLang(map[string]string{"nb": "nb-NO", "en": "en-GB"}[lang])
	d.AddUTF8FontFromBytes("sheet", "", goregular.TTF)
	d.AddUTF8FontFromBytes("sheet", "B", gobold.TTF)
	d.AddUTF8FontFromBytes("mono", "", gomono.TTF)
	return d
}

// Ink is how what follows is written; grey is 0 for black.
func (d Drawing) Ink(style string, size float64, grey int) {
	d.SetFont("sheet", style, size)
	d.SetTextColor(grey, grey, grey)
}

// Heading is a line over a part of the sheet.
func (d Drawing) Heading(x float64, words string) {
	d.SetX(x)
	d.Ink("B", 10.5, 30)
	d.CellFormat(0, 7, words, "", 1, "L", false, 0, "")
}

// Paragraph is running text.
func (d Drawing) Paragraph(x, width float64, words string) {
	d.SetX(x)
	d.Ink("", 8, 90)
	d.MultiCell(width, 4, words, "", "L", false)
	d.SetY(d.GetY() + 1)
}
