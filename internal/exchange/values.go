package exchange

import (
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/register"
	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// Refusal is what is wrong with one field of one row, as a code. A Flag was noticed only: the row was taken.
type Refusal struct {
	Row   int // as Row.Number
	Field string
	Code  string
	Flag  bool
}

// record is a row that was understood. Empty and nil mean that the file does not tell.
type record struct {
	row          int
	id           uuid.UUID // the client's, if it becomes one
	number       string
	given        string
	family       string
	nameGuessed  bool // the family name is the last word, for want of a comma
	nationalID   string
	birth        calendar.Date
	gender       string // never U: not knowing is not telling
	phone        string
	email        string
	street       string
	postcode     string
	town         string
	status       client.Status
	statusAt     *time.Time
	agreementEnd *time.Time
	groupNamed   bool // the report group is a deletion group
	groupOn      calendar.Date
}

// startDay is the day that the clock started (D3), as a purge writes it down in the registration's hash.
func (r record) startDay(zone *time.Location) calendar.Date {
	var day calendar.Date
	for _, at := range []*time.Time{r.statusAt, r.agreementEnd} {
		if at != nil && r.status.Inactive() {
			if d := calendar.DateOf(at.In(zone)); d.After(day) {
				day = d
			}
		}
	}
	return day
}

// parser reads rows of one table, at one instant.
type parser struct {
	column       map[Field]int
	zone         *time.Location
	now          time.Time
	today        calendar.Date
	moment       func(float64) time.Time
	pseudonymous bool // of the municipality: a name is a pseudonym
}

func newParser(t Table, m Mapping, zone *time.Location, now time.Time, pseudonymous bool) *parser {
	p := &parser{column: map[Field]int{}, zone: zone, now: now, today: calendar.DateOf(now.In(zone)), moment: t.moment, pseudonymous: pseudonymous}
	for i, field := range m {
		p.column[field] = i
	}
	return p
}

// longest is how many characters a field may have; others have a form that says it.
var longest = map[Field]int{
	Number: 40, Name: 200, GivenName: 200, FamilyName: 200, NationalID: 40, BirthDate: 40, Gender: 40, Phone: 200, Email: 200,
	Street: 200, Postcode: 40, Town: 200, Status: 200, StatusDate: 40, AgreementEnd: 40, Group: 200,
}

// parse understands one row, or says all that is wrong with it. Notes of a row that is ok are flags.
func (p *parser) parse(row Row) (r record, notes []Refusal, ok bool) {
	r = record{row: row.Number, id: uuid.New()}
	ok = true
	note := func(field Field, code string, flag bool) {
		if code == "required" && slices.ContainsFunc(notes, func(n Refusal) bool { return n.Field == string(field) }) {
			return // what is there could not be read
		}
		notes = append(notes, Refusal{row.Number, string(field), code, flag})
		ok = ok && flag
	}
	refuse := func(field Field, code string) { note(field, code, false) }
	flag := func(field Field, code string) { note(field, code, true) }
	if row.Broken != "" {
		refuse("row", row.Broken)
		return r, notes, ok
	}
	value := func(field Field) string {
		i, mapped := p.column[field]
		if !mapped || i >= len(row.Cells) {
			return ""
		}
		s := row.Cells[i]
		switch {
		case strings.ContainsFunc(s, unprintable):
			refuse(field, "control_characters")
			return ""
		case utf8.RuneCountInString(s) > longest[field]:
			refuse(field, "too_long")
			return ""
		case p.moment != nil && cellErrors[s]:
			refuse(field, "cell_error")
			return ""
		}
		return tidy(s)
	}

	r.number = p.digits(value(Number))
	if len(r.number) > 12 || strings.Trim(r.number, "0123456789") != "" {
		refuse(Number, "bad_number")
		r.number = ""
	}
	p.name(&r, value, refuse, flag)
	p.person(&r, value, refuse)
	if r.number == "" && r.nationalID == "" && ok {
		refuse(Number, "required")
	}
	p.address(&r, value, refuse, flag)
	r.phone = p.plain(value(Phone))
	if r.email = value(Email); r.email != "" && (strings.Count(r.email, "@") != 1 || strings.Contains(r.email, " ")) {
		refuse(Email, "bad_email")
	}
	p.dates(&r, value, refuse, flag)
	if group := value(Group); group != "" {
		r.groupOn, r.groupNamed = deletionGroup(group)
	}
	return r, notes, ok
}

func (p *parser) name(r *record, value func(Field) string, refuse, flag func(Field, string)) {
	r.given, r.family = value(GivenName), value(FamilyName)
	if p.pseudonymous {
		pseudonym, ok := client.Pseudonym(r.given + r.family + value(Name))
		switch {
		case pseudonym == "":
			refuse(Name, "required")
		case !ok:
			refuse(Name, "bad_pseudonym")
		}
		r.given, r.family = "", pseudonym
		return
	}
	if r.given == "" && r.family == "" {
		name := value(Name)
		family, given, comma := strings.Cut(name, ",")
		r.given, r.family = tidy(given), tidy(family)
		if !comma {
			r.nameGuessed = true
			last := strings.LastIndexByte(name, ' ')
			r.given, r.family = name[:max(last, 0)], name[last+1:]
		}
	}
	switch {
	case r.given == "" && r.family == "":
		refuse(Name, "required")
	case r.family == "":
		r.family, r.given = r.given, ""
		flag(Name, "one_name")
	case r.given == "":
		flag(Name, "one_name")
	}
}

var nationalIDCodes = map[error]string{
	client.ErrNationalIDLength: "national_id_length", client.ErrNationalIDCheckDigits: "national_id_check_digits", client.ErrNationalIDDate: "national_id_date",
}

// person reads birth date, gender and national id, which must agree.
func (p *parser) person(r *record, value func(Field) string, refuse func(Field, string)) {
	if s := value(BirthDate); s != "" {
		at, code := p.instant(s)
		born := calendar.DateOf(at.In(p.zone))
		if code == "" && born.After(p.today) && !strings.Contains(s, strconv.Itoa(born.Year)) {
			born = born.AddMonths(-1200) // "14.02.51" is 1951 here, whatever a year of two digits means elsewhere
		}
		switch {
		case code != "":
			refuse(BirthDate, code)
		case born.After(p.today):
			refuse(BirthDate, "future")
		default:
			r.birth = born
		}
	}
	if s := value(Gender); s != "" {
		var known bool
		if r.gender, known = genders[fold(s)]; !known {
			refuse(Gender, "unknown")
		}
	}
	s := p.digits(value(NationalID))
	if s == "" {
		return
	}
	if len(s) == 10 {
		s = "0" + s // spreadsheets drop it; the check digits say whether it was there
	}
	id, err := client.ParseNationalID(s)
	if err != nil {
		refuse(NationalID, nationalIDCodes[err])
		return
	}
	r.nationalID = string(id)
	if y, m, d, ok := id.BirthDate(); ok {
		switch born := calendar.On(y, m, d); {
		case r.birth.IsZero():
			r.birth = born
		case r.birth != born:
			refuse(BirthDate, "birth_date_mismatch")
		}
	}
}

// address reads the dwelling. A town that is not the postal code's is told and taken (P16): which of the two is wrong, only
// the people there know.
func (p *parser) address(r *record, value func(Field) string, refuse, flag func(Field, string)) {
	street, postcode, town := value(Street), p.digits(value(Postcode)), value(Town)
	if postcode != "" {
		code, _, ok := register.CompletePostcode(postcode)
		if !ok {
			refuse(Postcode, "bad_postcode")
			return
		}
		postcode = code
		registered, known := register.Postcode(code)
		switch {
		case !known:
			flag(Postcode, "unknown_postcode")
		case town == "":
			town = registered
		case !register.TownMatches(code, town):
			flag(Town, "town_mismatch")
		}
	}
	if street == "" || postcode == "" {
		if street != "" {
			flag(Postcode, "address_left_out")
		}
		return
	}
	r.street, r.postcode, r.town = street, postcode, town
}

func (p *parser) dates(r *record, value func(Field) string, refuse, flag func(Field, string)) {
	if s := value(Status); s != "" {
		var known bool
		if r.status, known = status(s); !known {
			refuse(Status, "unknown")
		}
	}
	if s := value(StatusDate); s != "" {
		at, code := p.instant(s)
		switch {
		case code != "":
			refuse(StatusDate, code)
		case at.After(p.now):
			refuse(StatusDate, "future")
		case r.status == "":
			flag(StatusDate, "status_unknown") // a date of what?
		default:
			r.statusAt = &at
		}
	}
	if s := value(AgreementEnd); s != "" {
		at, code := p.instant(s)
		switch {
		case code != "":
			refuse(AgreementEnd, code)
		case !r.status.Inactive():
			flag(AgreementEnd, "not_inactive") // it would start no clock, and end with the status that does
		default:
			r.agreementEnd = &at
			if at.After(p.now) {
				flag(AgreementEnd, "future")
			}
		}
	}
}

// status understands the field's words and their cut-off forms: "Frak…" (P12).
func status(s string) (client.Status, bool) {
	s = strings.TrimRight(strings.ToLower(s), ".… ")
	if len(s) < 3 {
		return "", false
	}
	for _, word := range statuses {
		if strings.HasPrefix(word.name, s) {
			return word.status, true
		}
	}
	return "", false
}

var statuses = []struct {
	name   string
	status client.Status
}{
	{"frakoblet", client.Disconnected},
	{"bestilt", client.Ordered},
	{"aktiv", client.Active},
	{"avbestilt", client.Cancelled},
	{"disconnected", client.Disconnected},
	{"ordered", client.Ordered},
	{"active", client.Active},
	{"cancelled", client.Cancelled},
	{"canceled", client.Cancelled},
}

var genders = map[string]string{
	"m": "M", "mann": "M", "man": "M", "male": "M",
	"k": "K", "f": "K", "kvinne": "K", "woman": "K", "female": "K",
	"u": "", "ukjent": "", "unknown": "",
}

var groupName = regexp.MustCompile(`(?i)til sletting\s*(\S*)`)

// deletionGroup reads the date in «Tjenestemottaker(e) til sletting DD.MM.YY»; zero when the name has none.
func deletionGroup(s string) (on calendar.Date, named bool) {
	match := groupName.FindStringSubmatch(s)
	if match == nil {
		return calendar.Date{}, false
	}
	on, err := calendar.Parse(match[1])
	if err != nil {
		return calendar.Date{}, true
	}
	return on, true
}

var clocks = []string{"15:04:05", "15:04", "15.04.05", "15.04"}

// instant reads a day, or a day with a clock, of the municipality's zone; in a workbook also the number that Excel keeps.
// A day alone is its first instant.
func (p *parser) instant(s string) (at time.Time, code string) {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at, ""
	}
	if p.moment != nil {
		// Six digits are 010424, as people type it; a day's number has five.
		if serial, err := strconv.ParseFloat(s, 64); err == nil && serial >= 1 && serial < 100_000 && s[0] != '0' {
			t := p.moment(serial)
			return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, p.zone), ""
		}
	}
	s = strings.Replace(s, "T", " ", 1)
	date, clock, timed := strings.Cut(s, " ")
	day, err := calendar.Parse(date)
	switch {
	case errors.Is(err, calendar.ErrNoDay):
		return time.Time{}, "no_such_date"
	case err != nil:
		return time.Time{}, "bad_date"
	}
	if !timed {
		return day.In(p.zone), ""
	}
	clock, _, _ = strings.Cut(strings.TrimPrefix(clock, "kl. "), ",")
	for _, form := range clocks {
		if c, err := time.Parse(form, clock); err == nil {
			return time.Date(day.Year, day.Month, day.Day, c.Hour(), c.Minute(), c.Second(), c.Nanosecond(), p.zone), ""
		}
	}
	return time.Time{}, "bad_date"
}

// digits is a number that people group with spaces.
func (p *parser) digits(s string) string {
	return strings.ReplaceAll(p.plain(s), " ", "")
}

// plain undoes the ways in which workbooks write whole numbers: 2.00051466E8, 953.0.
func (p *parser) plain(s string) string {
	if p.moment == nil || !strings.ContainsAny(s, ".eE") || strings.Trim(s, "0123456789.eE+-") != "" {
		return s
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1e15 {
		return s
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

var cellErrors = map[string]bool{"#N/A": true, "#REF!": true, "#NAME?": true, "#VALUE!": true, "#DIV/0!": true, "#NULL!": true, "#NUM!": true}

// unprintable are the characters that have no place in a cell: controls, line ends among them, and those that turn the
// direction of the text around them, so that a name reads as another.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// tidy is text as people mean it: composed letters, single spaces, none at the ends.
func tidy(s string) string {
	return strings.Join(strings.Fields(norm.NFC.String(s)), " ")
}
