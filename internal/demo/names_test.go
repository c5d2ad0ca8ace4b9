package demo

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
)

func TestLists(t *testing.T) {
	name := regexp.MustCompile(`^\p{Lu}\p{Ll}+(-\p{Lu}\p{Ll}+)?$`)               // no titles, initials or suffixes
	street := regexp.MustCompile(`^\p{Lu}\p{Ll}+( \p{Lu}?\p{Ll}+)*$`)            // no house number
	sentence := regexp.MustCompile(`^\p{Lu}[\p{L}\d ,.]+\.$`)                    // nothing but words
	phrase := regexp.MustCompile(`^\p{Lu}[\p{Ll}\d ,]+$`)                        // no full stop
	withNumbers := regexp.MustCompile(`^\p{Lu}[\p{L}\d ,-]+: \d[\p{L}\d ,/-]*$`) // name and dose
	var medications, devices, events []string
	for _, m := range Medications {
		medications = append(medications, m.Name+": "+m.Dose)
	}
	for _, d := range DeviceKinds {
		devices = append(devices, d.Name)
	}
	for _, e := range AlarmEvents {
		events = append(events, e.Text)
	}
	for _, c := range []struct {
		list  string
		of    []string
		least int
		form  *regexp.Regexp
	}{
		{"FemaleNames", FemaleNames, 150, name},
		{"MaleNames", MaleNames, 150, name},
		{"LastNames", LastNames, 250, name},
		{"Streets", Streets, 80, street},
		{"Relations", Relations, 10, name},
		{"Notes", Notes, 30, sentence},
		{"Diagnoses", Diagnoses, 25, phrase},
		{"Medications", medications, 25, withNumbers},
		{"CarePlanGoals", CarePlanGoals, 15, nil},
		{"CareLog", CareLog, 20, sentence},
		{"CommunicationLog", CommunicationLog, 20, nil},
		{"DeviceKinds", devices, 7, nil},
		{"AlarmEvents", events, 12, phrase},
	} {
		if len(c.of) < c.least {
			t.Errorf("%s: %d entries, want %d or more", c.list, len(c.of), c.least)
		}
		seen := map[string]bool{}
		for _, s := range c.of {
			switch {
			case s == "" || s != strings.TrimSpace(s):
				t.Errorf("%s: %q is empty or has space around it", c.list, s)
			case seen[s]:
				t.Errorf("%s: %q stands there twice", c.list, s)
			case c.form != nil && !c.form.MatchString(s):
				t.Errorf("%s: %q has another form than the rest", c.list, s)
			case strings.ContainsFunc(s, unicode.IsControl):
				t.Errorf("%s: %q has a control character", c.list, s)
			}
			seen[s] = true
		}
	}
}

func TestCodes(t *testing.T) {
	code := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]bool{}
	check := func(c string) {
		if !code.MatchString(c) || seen[c] {
			t.Errorf("code %q is malformed or stands there twice", c)
		}
		seen[c] = true
	}
	for _, d := range DeviceKinds {
		check(d.Code)
	}
	for _, e := range AlarmEvents {
		check(e.Code)
	}
}

// Sorting, searching and encodings go wrong on these first, so the demo must always have them.
func TestNamesHaveTheHardLetters(t *testing.T) {
	all := strings.Join(LastNames, " ") + " "
	for _, s := range []string{" Å", " Aa", " Ø", " Æ", "Gaup ", "Hætta ", "Näkkäläjärvi "} {
		if !strings.Contains(" "+all, s) {
			t.Errorf("no last name with %q", s)
		}
	}
	first := " " + strings.Join(FemaleNames, " ") + " " + strings.Join(MaleNames, " ") + " "
	for _, s := range []string{" Å", " Aa", " Ø", "á", "-"} {
		if !strings.Contains(first, s) {
			t.Errorf("no first name with %q", s)
		}
	}
}
