// Package demo makes a municipality up: people who do not exist, with everything that hangs on a client, so that
// Frist can be tried and tested without anybody's data. The words are Norwegian bokmål, as on the service's screens.
package demo

import (
	"embed"
	"encoding/csv"
	"strings"
)

// DeviceKind is a kind of device that the service lends out.
type DeviceKind struct {
	Code string
	Name string
}

// Medication is a medicine by its generic name, with strength and use.
type Medication struct {
	Name string
	Dose string
}

// AlarmEvent is what an alarm log can say.
type AlarmEvent struct {
	Code string
	Text string
}

//go:embed data/*.txt data/*.csv
var files embed.FS

// What the made-up people are made of. Any first name goes with any last name; nobody is meant.
var (
	FemaleNames = lines("first_names_female.txt")
	MaleNames   = lines("first_names_male.txt")
	LastNames   = lines("last_names.txt")
	Streets     = lines("streets.txt")   // without house number
	Relations   = lines("relations.txt") // what a next of kin is to the client
)

// What stands in a client's record.
var (
	Notes            = lines("notes.txt")
	Diagnoses        = lines("diagnoses.txt") // entries of the tab «Medisinsk»
	Medications      = pairs("medications.csv", func(name, dose string) Medication { return Medication{name, dose} })
	CarePlanGoals    = lines("goals.txt")
	CareLog          = lines("care_log.txt")          // lines of the care plan's log
	CommunicationLog = lines("communication_log.txt") // calls, messages and letters
	DeviceKinds      = pairs("devices.csv", func(code, name string) DeviceKind { return DeviceKind{code, name} })
	AlarmEvents      = pairs("alarm_events.csv", func(code, text string) AlarmEvent { return AlarmEvent{code, text} })
)

// lines reads a list with an entry a line.
func lines(name string) []string {
	return strings.Split(strings.TrimSuffix(read(name), "\n"), "\n")
}

// pairs reads a table of two columns without its header line.
func pairs[T any](name string, entry func(a, b string) T) []T {
	r := csv.NewReader(strings.NewReader(read(name)))
	r.Comma = ';'
	r.FieldsPerRecord = 2
	rows, err := r.ReadAll()
	if err != nil {
		panic("demo: " + name + ": " + err.Error()) // the file is compiled in and read by the tests
	}
	list := make([]T, 0, len(rows))
	for _, row := range rows[1:] {
		list = append(list, entry(row[0], row[1]))
	}
	return list
}

func read(name string) string {
	b, err := files.ReadFile("data/" + name)
	if err != nil {
		panic("demo: " + err.Error())
	}
	return string(b)
}
