package exchange

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/frist-app/frist/internal/problem"
	"golang.org/x/text/unicode/norm"
)

// Field is what a column tells of a client.
type Field string

// The fields, in the order in which a form offers them.
const (
	Number       Field = "number" // Db nr. (P12)
	Name         Field = "name"   // "Hansen, Solveig" or "Solveig Hansen"
	GivenName    Field = "given_name"
	FamilyName   Field = "family_name"
	NationalID   Field = "national_id"
	BirthDate    Field = "birth_date"
	Gender       Field = "gender"
	Phone        Field = "phone"
	Email        Field = "email"
	Street       Field = "street"
	Postcode     Field = "postcode"
	Town         Field = "town"
	Status       Field = "status"
	StatusDate   Field = "status_date"
	AgreementEnd Field = "agreement_end"
	Group        Field = "group" // the source system's report group; where it names a deletion group it is compared, never followed
)

// Fields lists all of them.
var Fields = []Field{Number, Name, GivenName, FamilyName, NationalID, BirthDate, Gender, Phone, Email, Street, Postcode, Town, Status, StatusDate, AgreementEnd, Group}

// names are the columns' names as the source systems write them (P12, P16, P37) and as people do, in both languages.
var names = map[Field]string{
	Number: "db nr, db nummer, nummer, nr, klientnummer, klient nr, klient, tjenestemottakernummer, number, no, db no, db number, client number, client no, client id",
	Name:   "navn, fullt navn, klientnavn, name, full name, client name",

	GivenName:  "fornavn, given name, first name",
	FamilyName: "etternavn, family name, last name, surname",
	NationalID: "fødselsnummer, fødselsnr, personnummer, fnr, national id, national identity number, national id number",
	BirthDate:  "fødselsdato, født, fødselsdag, birth date, date of birth, born",
	Gender:     "kjønn, gender, sex",
	Phone:      "telefon, telefonnummer, telefonnr, tlf, tlf nr, mobil, phone, phone number, telephone, telephone number, mobile",
	Email:      "e-post, e-postadresse, email, email address, mail",
	Street:     "adresse, gateadresse, gate, address, street, street address",
	Postcode:   "postnumnr, postnummer, postnr, postcode, postal code, zip, zip code",
	Town:       "sted, poststed, region, town, city, postal town",
	Status:     "status, sen, klientstatus, type status, faktisk status, client status",
	StatusDate: "status dato, statusdato, dato frakoblet, frakoblet dato, frakoblet, status date, date disconnected, disconnected date, disconnected on, disconnected",

	AgreementEnd: "dato avtaleslutt, sluttdato for avtale, avtaleslutt, slutt avtale, sluttdato, agreement end, agreement end date, end date",
	Group:        "rapporteringsgruppe, rapportgruppe, slettegruppe, report group, reporting group, deletion group",
}

var byName = func() map[string]Field {
	m := map[string]Field{}
	for field, list := range names {
		for name := range strings.SplitSeq(list, ",") {
			m[fold(name)] = field
		}
	}
	return m
}()

// fold is a name without what writers differ in: case, spaces, dots, accents on the Norwegian letters.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == 'ø':
			return 'o'
		case r == 'å':
			return 'a'
		case unicode.IsLetter(r), unicode.IsDigit(r):
			return r
		}
		return -1
	}, strings.ToLower(norm.NFC.String(name)))
}

// Mapping says which column (its index, from 0) tells which field. Columns that are left out are not read.
type Mapping map[int]Field

// Guess suggests a mapping by the columns' names. The first column that tells a field wins.
func Guess(header []string) Mapping {
	m := Mapping{}
	taken := map[Field]bool{}
	for i, name := range header {
		if of, rest, ok := strings.Cut(name, ":"); ok { // "Klient: Dato avtaleslutt" (P37), but not "Pårørende: Navn"
			switch fold(of) {
			case "klient", "tjenestemottaker", "client", "servicerecipient":
				name = rest
			default:
				continue
			}
		}
		folded := fold(name)
		field, ok := byName[folded]
		if !ok {
			field, ok = byName[strings.TrimRight(folded, "0123456789")] // Rapporteringsgruppe1
		}
		if ok && !taken[field] {
			m[i], taken[field] = field, true
		}
	}
	return m
}

// Choose changes the mapping of the header by the columns' names: to a field, or to "", a column that is not read. A name
// that is not there answers problem.Invalid of "mapping": unknown_column (column).
func (m Mapping) Choose(header []string, columns map[string]string) error {
	for _, column := range slices.Sorted(maps.Keys(columns)) {
		i := slices.Index(header, tidy(column))
		switch field := columns[column]; {
		case i < 0:
			return problem.InvalidField("mapping", "unknown_column", problem.Params{"column": column})
		case field == "":
			delete(m, i)
		default:
			m[i] = Field(field)
		}
	}
	return nil
}

// Check answers problem.Invalid of "mapping" when the mapping cannot be used: missing_column (field; a number or a national
// id, and a name, must be told), column_twice (field), unknown_column, unknown_field.
func (m Mapping) Check(columns int) error {
	var wrong problem.Collector
	told := map[Field]int{}
	for _, i := range slices.Sorted(maps.Keys(m)) {
		field := m[i]
		switch {
		case i < 0 || i >= columns:
			wrong.Add("mapping", "unknown_column", nil)
		case !slices.Contains(Fields, field):
			wrong.Add("mapping", "unknown_field", nil)
		default:
			if told[field]++; told[field] == 2 {
				wrong.Add("mapping", "column_twice", problem.Params{"field": string(field)})
			}
		}
	}
	if told[Number] == 0 && told[NationalID] == 0 {
		wrong.Add("mapping", "missing_column", problem.Params{"field": string(Number)})
	}
	if told[Name] == 0 && (told[GivenName] == 0 || told[FamilyName] == 0) {
		wrong.Add("mapping", "missing_column", problem.Params{"field": string(Name)})
	}
	return wrong.Err()
}

// impersonal are the fields that a pseudonymous municipality takes (T10).
var impersonal = []Field{Number, Name, GivenName, FamilyName, Status, StatusDate, AgreementEnd, Group}

// pseudonymous is the mapping without what is not held there. A number tells who is meant, so problem.Invalid of "mapping"
// (missing_column) without one.
func (m Mapping) pseudonymous(columns int) (Mapping, error) {
	held := Mapping{}
	for i, field := range m {
		if slices.Contains(impersonal, field) {
			held[i] = field
		}
	}
	return held, held.Check(columns)
}
