package admin

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/handout"
)

// The sheet's measures in millimetres.
const (
	sheetLeft  = handout.Left
	sheetWidth = handout.Width
	rowHeight  = 4.6
	columnGap  = 10.0
)

// pdfOf draws the sheet on A4: one page as long as it fits. PDF/A-2b is intended (embedded fonts, output intent, metadata
// in both places) but not certified; the page is the accessible form of the same protocol.
func pdfOf(p edge.Page, s sheet, made time.Time) ([]byte, error) {
	d := drawing{handout.NewDrawing(p.Lang, s.Title+" "+s.Round, "Frist", made)}
	made = made.UTC().Truncate(time.Second)
	d.SetXmpMetadata(metadata(s.Title+" "+s.Round, made))
	d.AddOutputIntent(fpdf.OutputIntentType{SubtypeIdent: fpdf.OutputIntent_GTS_PDFA1, OutputConditionIdentifier: "sRGB", Info: "sRGB", ICCProfile: colourProfile()})
	d.SetMargins(sheetLeft, 16, sheetLeft)
	d.SetAutoPageBreak(true, 14)
	d.AddPage()
	d.head(p, s)
	d.body(p, s)
	var out bytes.Buffer
	if err := d.Output(&out); err != nil {
		return nil, err
	}
	return mendTrailer(out.Bytes())
}

// drawing adds what the protocol needs beyond any sheet.
type drawing struct{ handout.Drawing }

func (d drawing) head(p edge.Page, s sheet) {
	d.Ink("B", 18, 30)
	d.CellFormat(sheetWidth-50, 8, s.Title, "", 0, "L", false, 0, "")
	d.Ink("", 8, 90)
	d.CellFormat(50, 4, p.Say("protocol.round"), "", 2, "R", false, 0, "")
	d.SetFont("mono", "", 9.5)
	d.SetTextColor(30, 30, 30)
	d.CellFormat(50, 5, s.Round, "", 1, "R", false, 0, "")
	d.SetX(sheetLeft)
	d.Ink("", 10, 30)
	d.CellFormat(sheetWidth, 6, s.Owner, "", 1, "L", false, 0, "")
	d.SetDrawColor(30, 30, 30)
	d.SetLineWidth(0.4)
	y := d.GetY() + 1.5
	d.Line(sheetLeft, y, sheetLeft+sheetWidth, y)
	d.SetY(y + 3)
	width := sheetWidth / float64(max(len(s.Figures), 1))
	y = d.GetY()
	for i, f := range s.Figures {
		d.SetXY(sheetLeft+float64(i)*width, y)
		d.Ink("B", 15, 30)
		d.CellFormat(width, 7, f.Value, "", 2, "L", false, 0, "")
		d.Ink("", 8, 90)
		d.CellFormat(width, 4, f.Name, "", 0, "L", false, 0, "")
	}
	d.SetXY(sheetLeft, y+14)
}

func (d drawing) body(p edge.Page, s sheet) {
	half := (sheetWidth - columnGap) / 2
	top := d.GetY()
	d.Heading(sheetLeft, p.Say("protocol.tables"))
	if len(s.Tables) == 0 {
		d.Paragraph(sheetLeft, half, p.Say("protocol.no_tables"))
	} else {
		d.row(sheetLeft, []float64{half - 25, 25}, []string{p.Say("protocol.data"), p.Say("protocol.rows")}, "LR", false, 90)
	}
	for _, t := range s.Tables {
		d.row(sheetLeft, []float64{half - 25, 25}, []string{t.Name, t.Count}, "LR", false, 30)
	}
	if s.Rows != "" {
		d.row(sheetLeft, []float64{half - 25, 25}, []string{p.Say("protocol.sum"), s.Rows}, "LR", true, 30)
	}
	bottom := d.GetY()

	right := sheetLeft + half + columnGap
	d.SetY(top)
	d.counts(p, right, half, p.Say("protocol.stays"), s.Stays, s.Staying)
	if s.Missed != "" {
		d.Paragraph(right, half, s.Missed)
	}
	d.counts(p, right, half, p.Say("protocol.left"), s.Left, "")
	d.Heading(right, p.Say("protocol.outside"))
	for _, o := range s.Outside {
		d.row(right, []float64{half * 0.45, half * 0.55}, []string{o.Name, o.Value}, "LL", false, 30)
	}
	if s.Few != "" {
		d.Paragraph(right, half, s.Few)
	}
	d.SetY(max(bottom, d.GetY()) + 2)

	d.Heading(sheetLeft, p.Say("protocol.acts"))
	wide := []float64{62, 52, 24, sheetWidth - 138}
	d.row(sheetLeft, wide, []string{p.Say("protocol.step"), p.Say("protocol.role"), p.Say("protocol.staff"), p.Say("protocol.time")}, "LLLL", false, 90)
	for _, a := range s.Acts {
		d.row(sheetLeft, wide, []string{a.What, a.Role, dash(a.Staff), a.At.Words}, "LLLL", false, 30)
	}
	for _, n := range s.Notes {
		d.row(sheetLeft, wide, []string{n.What, n.Role, dash(n.Staff), n.At.Words}, "LLLL", false, 90)
	}
	d.SetY(d.GetY() + 2)
	d.Heading(sheetLeft, p.Say("protocol.rules"))
	ruled := []float64{46, 38, 18, sheetWidth - 102}
	authority := p.Say("protocol.authority")
	if s.Few != "" {
		authority = ""
	}
	d.row(sheetLeft, ruled, []string{p.Say("protocol.data"), p.Say("protocol.term"), p.Say("protocol.rule"), authority}, "LLLL", false, 90)
	for _, r := range s.Rules {
		d.row(sheetLeft, ruled, []string{r.Name, r.Period, r.Version, r.Authority}, "LLLL", false, 30)
	}
	d.SetY(d.GetY() + 2)
	d.Heading(sheetLeft, p.Say("protocol.sums"))
	d.Paragraph(sheetLeft, sheetWidth, p.Say("protocol.sums.words"))
	for _, sum := range []pair{{p.Say("protocol.sums.document"), s.Sum}, {p.Say("protocol.sums.list"), s.List}} {
		d.SetX(sheetLeft)
		d.Ink("", 8, 30)
		d.CellFormat(30, rowHeight, sum.Name, "", 0, "L", false, 0, "")
		d.SetFont("mono", "", 7.5)
		d.CellFormat(sheetWidth-30, rowHeight, spaced(sum.Value), "", 1, "L", false, 0, "")
	}
	d.SetY(d.GetY() + 2)
	if s.Sample != "" {
		d.Paragraph(sheetLeft, sheetWidth, s.Sample)
	}
	d.Paragraph(sheetLeft, sheetWidth, s.Made)
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// row draws one row of a table with a hairline under it; a text that is too long for its cell goes on below.
func (d drawing) row(x float64, widths []float64, cells []string, align string, bold bool, grey int) {
	style := ""
	if bold {
		style = "B"
	}
	d.Ink(style, 8.5, grey)
	d.SetDrawColor(205, 205, 205)
	d.SetLineWidth(0.15)
	lines, tall := make([][]string, len(cells)), 1
	for i, cell := range cells {
		lines[i] = d.SplitText(cell, widths[i])
		tall = max(tall, len(lines[i]))
	}
	for n := range tall {
		height, border := rowHeight-0.8, ""
		if n == tall-1 {
			height, border = rowHeight, "B"
		}
		d.SetX(x)
		for i := range cells {
			line, next := "", 0
			if n < len(lines[i]) {
				line = lines[i][n]
			}
			if i == len(cells)-1 {
				next = 1
			}
			d.CellFormat(widths[i], height, line, border, next, string(align[i]), false, 0, "")
		}
	}
}

func (d drawing) counts(p edge.Page, x, width float64, words string, lines []countLine, sum string) {
	if len(lines) == 0 {
		return
	}
	d.Heading(x, words)
	for _, l := range lines {
		d.row(x, []float64{width - 20, 20}, []string{l.Name, l.Count}, "LR", false, 30)
	}
	if sum != "" {
		d.row(x, []float64{width - 20, 20}, []string{p.Say("protocol.sum"), sum}, "LR", true, 30)
	}
	d.SetY(d.GetY() + 1)
}

// metadata is the XMP packet that PDF/A asks for; it must say what the information dictionary says.
func metadata(title string, made time.Time) []byte {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(title)) // a strings.Builder takes everything
	at := made.Format("2006-01-02T15:04:05+00:00")
	return []byte("<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" +
		`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
		`<rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/">` +
		`<pdfaid:part>2</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>` +
		`<dc:title><rdf:Alt><rdf:li xml:lang="x-default">` + escaped.String() + `</rdf:li></rdf:Alt></dc:title>` +
		`<dc:creator><rdf:Seq><rdf:li>Frist</rdf:li></rdf:Seq></dc:creator>` +
		`<xmp:CreateDate>` + at + `</xmp:CreateDate><xmp:ModifyDate>` + at + `</xmp:ModifyDate><pdf:Producer>Frist</pdf:Producer>` +
		`</rdf:Description></rdf:RDF></x:xmpmeta>` + "\n<?xpacket end=\"w\"?>")
}

var (
	producerObject = regexp.MustCompile(`(\d+) 0 obj\s*<<\s*/Producer`)
	infoReference  = regexp.MustCompile(`/Info \d+ 0 R`)
	errTrailer     = errors.New("protocol: the PDF has another form than expected")
)

// mendTrailer writes into the trailer what fpdf gets wrong when there is an output intent: which object the document's
// information is, and the file's identifier, which here is made of its content. The trailer comes after everything that
// the cross-reference table points at, so no offset changes.
func mendTrailer(file []byte) ([]byte, error) {
	at := bytes.LastIndex(file, []byte("\ntrailer"))
	info := producerObject.FindSubmatch(file)
	if at < 0 || info == nil || !infoReference.Match(file[at:]) {
		return nil, errTrailer
	}
	sum := sha256.Sum256(file[:at])
	trailer := infoReference.ReplaceAll(file[at:], fmt.Appendf(nil, "/Info %s 0 R\n/ID [<%x><%x>]", info[1], sum[:16], sum[:16]))
	return append(file[:at:at], trailer...), nil
}

// colourProfile builds the sRGB profile that the output intent needs (ICC version 2: three primaries and one gamma), so
// that no binary file lies in the tree.
func colourProfile() []byte {
	type element struct {
		name string
		data []byte
	}
	point := func(x, y, z float64) []byte {
		data := append([]byte("XYZ "), 0, 0, 0, 0)
		for _, v := range []float64{x, y, z} {
			data = binary.BigEndian.AppendUint32(data, uint32(v*65536+0.5))
		}
		return data
	}
	text := func(kind, words string) []byte {
		data := append([]byte(kind), 0, 0, 0, 0)
		if kind == "desc" {
			data = binary.BigEndian.AppendUint32(data, uint32(len(words)+1)) //nolint:gosec // a few letters
		}
		data = append(append(data, words...), 0)
		if kind == "desc" {
			data = append(data, make([]byte, 78)...) // no Unicode, no script code
		}
		return data
	}
	gamma := []byte{'c', 'u', 'r', 'v', 0, 0, 0, 0, 0, 0, 0, 1, 0x02, 0x33} // 2.2
	elements := []element{
		{"desc", text("desc", "sRGB")},
		{"cprt", text("text", "CC0")},
		{"wtpt", point(0.9642, 1, 0.8249)},
		{"rXYZ", point(0.4361, 0.2225, 0.0139)},
		{"gXYZ", point(0.3851, 0.7169, 0.0971)},
		{"bXYZ", point(0.1431, 0.0606, 0.7139)},
		{"rTRC", gamma},
		{"gTRC", gamma},
		{"bTRC", gamma},
	}
	const header = 128
	var table, data []byte
	table = binary.BigEndian.AppendUint32(table, uint32(len(elements))) //nolint:gosec // nine
	start := header + 4 + 12*len(elements)
	for _, e := range elements {
		table = append(table, e.name...)
		table = binary.BigEndian.AppendUint32(table, uint32(start+len(data))) //nolint:gosec // a small file
		table = binary.BigEndian.AppendUint32(table, uint32(len(e.data)))     //nolint:gosec // a small file
		data = append(data, e.data...)
		for len(data)%4 != 0 {
			data = append(data, 0)
		}
	}
	profile := make([]byte, header)
	binary.BigEndian.PutUint32(profile, uint32(start+len(data))) //nolint:gosec // a small file
	profile[8], profile[9] = 2, 0x10
	copy(profile[12:], "mntrRGB XYZ ")
	copy(profile[24:], []byte{0x07, 0xe8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0}) // made on 1 January 2024
	copy(profile[36:], "acsp")
	copy(profile[68:], point(0.9642, 1, 0.8249)[8:])
	return append(append(profile, table...), data...)
}
