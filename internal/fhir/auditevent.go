package fhir

// AuditEvent is one row of a log (R4): who did or looked at what, when, where from and why.
type AuditEvent struct {
	ResourceType   string            `json:"resourceType"` // "AuditEvent"
	ID             string            `json:"id,omitempty"`
	Type           Coding            `json:"type"`
	Subtype        []Coding          `json:"subtype,omitempty"`
	Action         string            `json:"action,omitempty"`   // R: looked, E: did
	Recorded       string            `json:"recorded,omitempty"` // an instant
	Outcome        string            `json:"outcome,omitempty"`  // 0: it was done, 4: it was refused
	PurposeOfEvent []CodeableConcept `json:"purposeOfEvent,omitempty"`
	Agent          []AuditAgent      `json:"agent"`
	Source         AuditSource       `json:"source"`
	Entity         []AuditEntity     `json:"entity,omitempty"`
}

// AuditAgent is who did it, or for which organisation.
type AuditAgent struct {
	Role      []CodeableConcept `json:"role,omitempty"`
	Who       Reference         `json:"who"`
	AltID     string            `json:"altId,omitempty"` // the staff number
	Name      string            `json:"name,omitempty"`
	Requestor bool              `json:"requestor"`
}

// AuditSource is what wrote it down.
type AuditSource struct {
	Observer Reference `json:"observer"`
	Type     []Coding  `json:"type,omitempty"`
}

// AuditEntity is what it was done to.
type AuditEntity struct {
	What   *Reference    `json:"what,omitempty"`
	Type   *Coding       `json:"type,omitempty"`
	Role   *Coding       `json:"role,omitempty"`
	Name   string        `json:"name,omitempty"`
	Detail []AuditDetail `json:"detail,omitempty"`
}

// AuditDetail is a property of what it was done to.
type AuditDetail struct {
	Type        string `json:"type"`
	ValueString string `json:"valueString"`
}

// Outcomes of an AuditEvent.
const (
	Done    = "0"
	Refused = "4"
)

// Kinds of an AuditEvent (DICOM).
var (
	PatientRecord       = Coding{DCM, "110110", "Patient Record"}
	ApplicationActivity = Coding{DCM, "110100", "Application Activity"}
	UserAuthentication  = Coding{DCM, "110114", "User Authentication"}
	ExportEvent         = Coding{DCM, "110106", "Export"}
)

// PatientEntity is a person whose record it was, by id: an access log knows no names.
func PatientEntity(id string) AuditEntity {
	return AuditEntity{
		What: &Reference{Reference: "Patient/" + id},
		Type: &Coding{"http://terminology.hl7.org/CodeSystem/audit-entity-type", "1", "Person"},
		Role: &Coding{"http://terminology.hl7.org/CodeSystem/object-role", "1", "Patient"},
	}
}

// FristSource says that Frist wrote it down.
func FristSource() AuditSource {
	return AuditSource{
		Observer: Reference{Display: "Frist"},
		Type:     []Coding{{"http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server"}},
	}
}
