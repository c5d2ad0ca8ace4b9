package fhir

// The resources that tell what is held on a person: just the elements that Frist fills.

// HumanName is a name.
type HumanName struct {
	Text   string   `json:"text,omitempty"`
	Family string   `json:"family,omitempty"`
	Given  []string `json:"given,omitempty"`
}

// ContactPoint is a telephone or a mail address.
type ContactPoint struct {
	System string `json:"system,omitempty"` // phone, email
	Value  string `json:"value,omitempty"`
}

// Address is where somebody lives.
type Address struct {
	Line       []string `json:"line,omitempty"`
	City       string   `json:"city,omitempty"`
	PostalCode string   `json:"postalCode,omitempty"`
	Country    string   `json:"country,omitempty"`
}

// Extension is something that the standard has no place for.
type Extension struct {
	URL          string   `json:"url"`
	ValueString  string   `json:"valueString,omitempty"`
	ValueInstant string   `json:"valueInstant,omitempty"`
	ValueDate    string   `json:"valueDate,omitempty"`
	ValueBoolean *bool    `json:"valueBoolean,omitempty"`
	ValueDecimal *float64 `json:"valueDecimal,omitempty"`
}

// Patient is the person whose record it is.
type Patient struct {
	ResourceType string         `json:"resourceType"` // "Patient"
	ID           string         `json:"id"`
	Identifier   []Identifier   `json:"identifier,omitempty"`
	Active       bool           `json:"active"`
	Name         []HumanName    `json:"name,omitempty"`
	Telecom      []ContactPoint `json:"telecom,omitempty"`
	Gender       string         `json:"gender,omitempty"`
	BirthDate    string         `json:"birthDate,omitempty"`
	Address      []Address      `json:"address,omitempty"`
}

// RelatedPerson is next of kin.
type RelatedPerson struct {
	ResourceType string            `json:"resourceType"` // "RelatedPerson"
	ID           string            `json:"id"`
	Patient      Reference         `json:"patient"`
	Relationship []CodeableConcept `json:"relationship,omitempty"`
	Name         []HumanName       `json:"name,omitempty"`
	Telecom      []ContactPoint    `json:"telecom,omitempty"`
	Extension    []Extension       `json:"extension,omitempty"`
}

// Qualification is what a professional is.
type Qualification struct {
	Code CodeableConcept `json:"code"`
}

// Practitioner is a health professional around the person.
type Practitioner struct {
	ResourceType  string          `json:"resourceType"` // "Practitioner"
	ID            string          `json:"id"`
	Name          []HumanName     `json:"name,omitempty"`
	Telecom       []ContactPoint  `json:"telecom,omitempty"`
	Qualification []Qualification `json:"qualification,omitempty"`
}

// Device is equipment.
type Device struct {
	ResourceType string           `json:"resourceType"` // "Device"
	ID           string           `json:"id"`
	Identifier   []Identifier     `json:"identifier,omitempty"`
	SerialNumber string           `json:"serialNumber,omitempty"`
	Type         *CodeableConcept `json:"type,omitempty"`
}

// DeviceUseStatement is that the person had the equipment.
type DeviceUseStatement struct {
	ResourceType string      `json:"resourceType"` // "DeviceUseStatement"
	ID           string      `json:"id"`
	Status       string      `json:"status"` // active, completed
	Subject      Reference   `json:"subject"`
	TimingPeriod *Period     `json:"timingPeriod,omitempty"`
	Device       Reference   `json:"device"`
	Extension    []Extension `json:"extension,omitempty"`
}

// Observation is an event that equipment reported.
type Observation struct {
	ResourceType      string          `json:"resourceType"` // "Observation"
	ID                string          `json:"id"`
	Status            string          `json:"status"` // final
	Code              CodeableConcept `json:"code"`
	Subject           Reference       `json:"subject"`
	EffectiveDateTime string          `json:"effectiveDateTime,omitempty"`
	ValueString       string          `json:"valueString,omitempty"`
	Device            *Reference      `json:"device,omitempty"`
	Extension         []Extension     `json:"extension,omitempty"`
}

// Payload is what was said.
type Payload struct {
	ContentString string `json:"contentString"`
}

// Communication is something that was said or written about or with the person.
type Communication struct {
	ResourceType string            `json:"resourceType"` // "Communication"
	ID           string            `json:"id"`
	Status       string            `json:"status"` // completed
	Category     []CodeableConcept `json:"category,omitempty"`
	Medium       []CodeableConcept `json:"medium,omitempty"`
	Subject      Reference         `json:"subject"`
	Sent         string            `json:"sent,omitempty"`
	Sender       *Reference        `json:"sender,omitempty"`
	Payload      []Payload         `json:"payload,omitempty"`
	Extension    []Extension       `json:"extension,omitempty"`
}

// Dosage is how a medicine is taken, in words.
type Dosage struct {
	Text string `json:"text"`
}

// MedicationStatement is a medicine that the person takes.
type MedicationStatement struct {
	ResourceType              string          `json:"resourceType"` // "MedicationStatement"
	ID                        string          `json:"id"`
	Status                    string          `json:"status"` // active, completed
	MedicationCodeableConcept CodeableConcept `json:"medicationCodeableConcept"`
	Subject                   Reference       `json:"subject"`
	EffectivePeriod           *Period         `json:"effectivePeriod,omitempty"`
	Dosage                    []Dosage        `json:"dosage,omitempty"`
}

// CarePlan is a goal.
type CarePlan struct {
	ResourceType string    `json:"resourceType"` // "CarePlan"
	ID           string    `json:"id"`
	Status       string    `json:"status"` // active, completed
	Intent       string    `json:"intent"` // plan
	Description  string    `json:"description,omitempty"`
	Subject      Reference `json:"subject"`
	Period       *Period   `json:"period,omitempty"`
}

// Attachment is a file beside the bundle.
type Attachment struct {
	ContentType string `json:"contentType,omitempty"`
	URL         string `json:"url,omitempty"`
	Size        int64  `json:"size,omitempty"`
	Title       string `json:"title,omitempty"`
}

// Media is a sound recording.
type Media struct {
	ResourceType    string     `json:"resourceType"` // "Media"
	ID              string     `json:"id"`
	Status          string     `json:"status"` // completed
	Subject         Reference  `json:"subject"`
	CreatedDateTime string     `json:"createdDateTime,omitempty"`
	Duration        float64    `json:"duration,omitempty"` // seconds
	Content         Attachment `json:"content"`
}

// Basic is what the standard has no resource for, with its fields as extensions.
type Basic struct {
	ResourceType string          `json:"resourceType"` // "Basic"
	ID           string          `json:"id"`
	Code         CodeableConcept `json:"code"`
	Subject      *Reference      `json:"subject,omitempty"`
	Created      string          `json:"created,omitempty"` // a date
	Extension    []Extension     `json:"extension,omitempty"`
}
