package rights

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/fhir"
)

// WriteFHIR writes the extract as a Bundle of FHIR R4: the person, who is around them, their equipment, what was written
// and what happened, the recordings, and who looked and changed. What the standard has no resource for is a Basic with
// its fields as extensions, so that nothing is left out.
func (e Extract) WriteFHIR(w io.Writer) error {
	b := bundle{fhir.NewBundleWriter(w, e.MadeAt), fhir.Reference{Reference: "urn:uuid:" + e.Request.ID.String()}, e}
	for _, s := range e.Sections {
		for i, row := range s.Rows {
			id := strings.ReplaceAll(s.Key, "_", "-") + "-" + itoa(i+1)
			for _, resource := range b.resources(s, row, id) {
				if err := b.Add(fhir.Entry{FullURL: resource.at, Resource: resource.is}); err != nil {
					return err
				}
			}
		}
	}
	for i, held := range e.Withheld {
		count := float64(held.Count)
		basic := fhir.Basic{
			ResourceType: "Basic", ID: "withheld-" + itoa(i+1), Code: fhir.Concept(fhir.LocalSystem+"section", "withheld", ""), Subject: &b.subject,
			Extension: []fhir.Extension{{URL: field("what"), ValueString: held.What}, {URL: field("ground"), ValueString: held.Ground}, {URL: field("count"), ValueDecimal: &count}},
		}
		if err := b.Add(fhir.Entry{FullURL: fhir.LocalSystem + "extract:" + basic.ID, Resource: basic}); err != nil {
			return err
		}
	}
	return b.Close()
}

type bundle struct {
	*fhir.BundleWriter
	subject fhir.Reference
	extract Extract
}

type resource struct {
	at string
	is any
}

func field(name string) string { return fhir.LocalSystem + "field:" + name }

// resources are those of one row. taken are the fields that have a place of their own; the others become extensions.
func (b bundle) resources(s Section, row []any, id string) []resource {
	is := func(r any) []resource { return []resource{{fhir.LocalSystem + "extract:" + id, r}} }
	get := func(name string) string { return s.Text(row, name) }
	at := func(name string) string { return instant(s.At(row, name)) }
	switch s.Key {
	case "client":
		return b.patient(s, row, id)
	case "next_of_kin":
		return is(fhir.RelatedPerson{
			ResourceType: "RelatedPerson", ID: id, Patient: b.subject, Relationship: said(get("relation")), Name: named(get("name")), Telecom: telecom("phone", get("phone")),
			Extension: rest(s, row, "name", "relation", "phone"),
		})
	case "professional":
		return is(fhir.Practitioner{ResourceType: "Practitioner", ID: id, Name: named(get("name")), Telecom: telecom("phone", get("phone")), Qualification: []fhir.Qualification{{Code: concept(get("profession"))}}})
	case "device_connection":
		kind := concept(get("kind"))
		device := fhir.LocalSystem + "extract:device-" + id
		use := fhir.DeviceUseStatement{
			ResourceType: "DeviceUseStatement", ID: id, Status: "active", Subject: b.subject, Device: fhir.Reference{Reference: device},
			TimingPeriod: &fhir.Period{Start: at("connected_at"), End: at("disconnected_at")}, Extension: rest(s, row, "kind", "code", "serial", "connected_at", "disconnected_at"),
		}
		if use.TimingPeriod.End != "" {
			use.Status = "completed"
		}
		return append([]resource{{device, fhir.Device{
			ResourceType: "Device", ID: "device-" + id, Identifier: []fhir.Identifier{{System: fhir.LocalSystem + "device-code", Value: get("code")}}, SerialNumber: get("serial"), Type: &kind,
		}}}, is(use)...)
	case "note", "medical_entry", "care_plan_entry", "communication":
		if get("text") == "" {
			break
		}
		c := fhir.Communication{
			ResourceType: "Communication", ID: id, Status: "completed", Category: []fhir.CodeableConcept{fhir.Concept(fhir.LocalSystem+"section", s.Key, "")}, Medium: said(get("channel")),
			Subject: b.subject, Sent: at("at"), Payload: []fhir.Payload{{ContentString: get("text")}}, Extension: rest(s, row, "text", "at", "channel", "entered_by"),
		}
		if who := get("entered_by"); who != "" {
			c.Sender = &fhir.Reference{Display: who}
		}
		return is(c)
	case "medication":
		m := fhir.MedicationStatement{
			ResourceType: "MedicationStatement", ID: id, Status: "active", MedicationCodeableConcept: concept(get("name")), Subject: b.subject,
			EffectivePeriod: period(s.On(row, "since"), s.On(row, "until")),
		}
		if dose := get("dose"); dose != "" {
			m.Dosage = []fhir.Dosage{{Text: dose}}
		}
		if !s.On(row, "until").IsZero() {
			m.Status = "completed"
		}
		return is(m)
	case "care_plan":
		p := fhir.CarePlan{ResourceType: "CarePlan", ID: id, Status: "active", Intent: "plan", Description: get("goal"), Subject: b.subject, Period: period(s.On(row, "since"), s.On(row, "until"))}
		if !s.On(row, "until").IsZero() {
			p.Status = "completed"
		}
		return is(p)
	case "alarm_event", "address_event":
		o := fhir.Observation{
			ResourceType: "Observation", ID: id, Status: "final", Code: fhir.Concept(fhir.LocalSystem+"event", code(get("kind")), get("kind")), Subject: b.subject,
			EffectiveDateTime: at("at"), ValueString: get("text"), Extension: rest(s, row, "kind", "text", "at", "device_code", "file"),
		}
		if device := get("device_code"); device != "" {
			o.Device = &fhir.Reference{Type: "Device", Identifier: &fhir.Identifier{System: fhir.LocalSystem + "device-code", Value: device}}
		}
		return append(is(o), b.media(get("file"), "sound-"+id)...)
	case "recording":
		if m := b.media(get("file"), id); m != nil {
			return m
		}
	case "access_log", "audit":
		return is(b.event(s, row, id))
	}
	return is(fhir.Basic{ResourceType: "Basic", ID: id, Code: fhir.Concept(fhir.LocalSystem+"section", s.Key, ""), Subject: &b.subject, Extension: rest(s, row)})
}

func (b bundle) patient(s Section, row []any, id string) []resource {
	get := func(name string) string { return s.Text(row, name) }
	p := fhir.Patient{
		ResourceType: "Patient", ID: b.extract.Request.ID.String(), Active: get("status") == "active" || get("status") == "ordered",
		Name: []fhir.HumanName{{Family: get("family_name"), Given: []string{get("given_name")}}}, Telecom: append(telecom("phone", get("phone")), telecom("email", get("email"))...),
		Gender: map[string]string{"M": "male", "K": "female"}[get("gender")], BirthDate: s.On(row, "birth_date").String(),
	}
	if p.Gender == "" {
		p.Gender = "unknown"
	}
	if number := get("national_id"); number != "" {
		p.Identifier = append(p.Identifier, fhir.Identifier{System: fhir.NationalIDSystem, Value: number})
	}
	p.Identifier = append(p.Identifier, fhir.Identifier{System: fhir.LocalSystem + "client-number:" + b.extract.Municipality.Number, Value: get("number")})
	if street := get("street"); street != "" {
		p.Address = []fhir.Address{{Line: []string{street}, PostalCode: get("postcode"), City: get("town"), Country: "NO"}}
	}
	return []resource{
		{b.subject.Reference, p},
		{fhir.LocalSystem + "extract:" + id, fhir.Basic{
			ResourceType: "Basic", ID: id, Code: fhir.Concept(fhir.LocalSystem+"section", "client", ""), Subject: &b.subject,
			Extension: rest(s, row, "number", "given_name", "family_name", "national_id", "birth_date", "gender", "phone", "email", "street", "postcode", "town"),
		}},
	}
}

func (b bundle) media(file, id string) []resource {
	i := slices.IndexFunc(b.extract.Sounds, func(s Sound) bool { return s.File == file && !s.Missing })
	if file == "" || i < 0 {
		return nil
	}
	s := b.extract.Sounds[i]
	return []resource{{fhir.LocalSystem + "extract:" + id, fhir.Media{
		ResourceType: "Media", ID: id, Status: "completed", Subject: b.subject, CreatedDateTime: instant(s.At), Duration: s.Seconds,
		Content: fhir.Attachment{ContentType: s.ContentType, URL: s.File, Size: s.Size, Title: s.File},
	}}}
}

// event is a look or an act, as the log of the municipality hands them out.
func (b bundle) event(s Section, row []any, id string) fhir.AuditEvent {
	get := func(name string) string { return s.Text(row, name) }
	e := fhir.AuditEvent{
		ResourceType: "AuditEvent", ID: id, Type: fhir.PatientRecord, Action: "R", Recorded: instant(s.At(row, "at")), Outcome: fhir.Done, Source: fhir.FristSource(),
		Agent:  []fhir.AuditAgent{{Role: []fhir.CodeableConcept{fhir.Concept(fhir.LocalSystem+"role", code(get("role")), get("organisation"))}, Who: fhir.Reference{Display: get("by")}, Name: get("by"), Requestor: true}},
		Entity: []fhir.AuditEntity{{What: &b.subject}},
	}
	if s.Key == "access_log" {
		e.Subtype = []fhir.Coding{{System: fhir.LocalSystem + "page", Code: code(get("page"))}}
		e.PurposeOfEvent = []fhir.CodeableConcept{fhir.Concept(fhir.LocalSystem+"purpose", code(get("purpose")), "")}
		return e
	}
	e.Type, e.Action = fhir.ApplicationActivity, "E"
	e.Subtype = []fhir.Coding{{System: fhir.LocalSystem + "act", Code: code(get("act"))}}
	for name := range strings.FieldsSeq(get("fields")) {
		e.Entity[0].Detail = append(e.Entity[0].Detail, fhir.AuditDetail{Type: "field", ValueString: name})
	}
	if refused, _ := s.Get(row, "refused").(bool); refused {
		e.Outcome = fhir.Refused
	}
	return e
}

// rest are the fields that have no place in the resource, as extensions.
func rest(s Section, row []any, taken ...string) []fhir.Extension {
	var list []fhir.Extension
	for i, f := range s.Fields {
		if slices.Contains(taken, f.Name) || row[i] == nil {
			continue
		}
		x := fhir.Extension{URL: field(f.Name)}
		switch v := row[i].(type) {
		case time.Time:
			x.ValueInstant = fhir.Instant(v)
		case calendar.Date:
			x.ValueDate = v.String()
		case bool:
			x.ValueBoolean = &v
		case float64:
			x.ValueDecimal = &v
		default:
			x.ValueString = fmt.Sprint(v)
		}
		list = append(list, x)
	}
	return list
}

func instant(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return fhir.Instant(at)
}

// code is a code as FHIR writes one: single blanks inside, none at the ends.
func code(s string) string { return strings.Join(strings.Fields(s), " ") }

func concept(words string) fhir.CodeableConcept { return fhir.CodeableConcept{Text: words} }

func said(words string) []fhir.CodeableConcept {
	if words == "" {
		return nil
	}
	return []fhir.CodeableConcept{concept(words)}
}

func named(words string) []fhir.HumanName {
	if words == "" {
		return nil
	}
	return []fhir.HumanName{{Text: words}}
}

func telecom(system, value string) []fhir.ContactPoint {
	if value == "" {
		return nil
	}
	return []fhir.ContactPoint{{System: system, Value: value}}
}

func period(from, to calendar.Date) *fhir.Period {
	if from.IsZero() && to.IsZero() {
		return nil
	}
	return &fhir.Period{Start: from.String(), End: to.String()}
}
