package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/municipality"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// New is a client to be registered. In a pseudonymous municipality FamilyName is the pseudonym, and nothing else about the
// person is told (T10).
type New struct {
	Number         string // 1 to 12 digits; empty: the municipality's next one
	GivenName      string
	FamilyName     string
	NationalID     string        // may be empty
	BirthDate      calendar.Date // zero: from the national id, where it tells
	Gender         string        // M, K, U; empty is U
	Phone          string
	Email          string
	Address        Address // all empty: none
	Protected      bool
	Status         Status    // Ordered or Active
	StatusAt       time.Time // zero: now
	AgreementStart calendar.Date
	NextReviewOn   calendar.Date
}

// Changes are the fields of the record that a person changes; nil leaves a field as it is, as the page does with what it
// may not show (D21).
type Changes struct {
	GivenName      *string
	FamilyName     *string
	NationalID     *string
	BirthDate      *calendar.Date
	Gender         *string
	Phone          *string
	Email          *string
	Address        *Address // all empty: none any more
	Protected      *bool
	AgreementStart *calendar.Date
	ReviewedOn     *calendar.Date
	NextReviewOn   *calendar.Date
}

// facts are the editable fields, as they are or as they shall be.
type facts struct {
	GivenName, FamilyName, NationalID string
	BirthDate                         calendar.Date
	Gender, Phone, Email              string
	Address                           Address
	Protected                         bool
	AgreementStart                    calendar.Date
	ReviewedOn, NextReviewOn          calendar.Date
}

// Create registers a client, ordered or active. A postal code gets its lost zeros back and a town is completed; an
// address that others have already is shared with them (D19).
//
// problem.Invalid: "number" (bad_number, taken, none_left), "given_name", "family_name" (required, too_long), "national_id"
// (national_id_length, national_id_check_digits, national_id_date, person_exists: D21), "birth_date" (birth_date_mismatch,
// future), "gender" (unknown), "phone", "email" (too_long, bad_email), "street" (required, too_long), "postcode" (required,
// bad_postcode, unknown_postcode), "town" (town_mismatch with the right one), "status" (unknown), "at" (future); in a
// pseudonymous municipality "family_name" (required, bad_pseudonym) and all else about the person (pseudonym_only).
func Create(ctx context.Context, tx *pg.Tx, n New) (ID, error) {
	if err := tx.Require(access.ClientWrite); err != nil {
		return ID{}, err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return ID{}, err
	}
	pseudonymous, err := municipality.Pseudonymous(ctx, tx)
	if err != nil {
		return ID{}, err
	}
	var wrong problem.Collector
	if n.Gender == "" {
		n.Gender = "U"
	}
	if n.StatusAt.IsZero() {
		n.StatusAt = tx.Now()
	}
	f := facts{
		n.GivenName, n.FamilyName, n.NationalID, n.BirthDate, n.Gender, n.Phone, n.Email, n.Address, n.Protected, n.AgreementStart, calendar.Date{}, n.NextReviewOn,
	}.check(&wrong, today, true, true, pseudonymous)
	n.Number = clean(n.Number)
	if len(n.Number) > 12 || strings.Trim(n.Number, "0123456789") != "" {
		wrong.Add("number", "bad_number", nil)
	}
	if n.Status != Ordered && n.Status != Active {
		wrong.Add("status", "unknown", nil)
	}
	if n.StatusAt.After(tx.Now()) {
		wrong.Add("at", "future", nil)
	}
	if err := wrong.Err(); err != nil {
		return ID{}, err
	}

	var address uuid.NullUUID
	var number string
	var taken, exists bool
	batch := &pgx.Batch{}
	if n.Number == "" {
		// The row is locked until our commit, so nobody else takes this number; and a number that was purged is never given
		// again, because the series remembers the highest there has been (D22).
		batch.Queue(`INSERT INTO number_series AS s (municipality_id, last)
			SELECT $1, greatest(200000000, (SELECT number::bigint FROM client WHERE municipality_id = $1
				AND number BETWEEN '200000000' AND '999999999' AND length(number) = 9 ORDER BY number DESC LIMIT 1)) + 1
			ON CONFLICT (municipality_id) DO UPDATE SET last = greatest(s.last + 1, excluded.last) RETURNING last::text`,
			tx.Municipality()).QueryRow(func(row pgx.Row) error { return row.Scan(&number) })
	} else {
		number = n.Number
	}
	batch.Queue(`SELECT EXISTS (SELECT FROM client WHERE municipality_id = $1 AND number = $2),
			EXISTS (SELECT FROM client WHERE municipality_id = $1 AND national_id = $3 AND status IN ('ordered', 'active'))`,
		tx.Municipality(), n.Number, f.NationalID).QueryRow(func(row pgx.Row) error { return row.Scan(&taken, &exists) })
	if !f.Address.IsZero() {
		queueDwelling(batch, tx.Municipality(), f.Address, nil, &address.UUID)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return ID{}, err
	}
	if len(number) > 12 || n.Number == "" && len(number) > 9 {
		wrong.Add("number", "none_left", nil)
	}
	if taken {
		wrong.Add("number", "taken", nil)
	}
	if exists {
		wrong.Add("national_id", "person_exists", nil)
	}
	if err := wrong.Err(); err != nil {
		return ID{}, err
	}
	address.Valid = address.UUID != uuid.Nil
	if !f.Address.IsZero() && !address.Valid {
		return ID{}, problem.Conflict{Code: "busy"} // erased between the two statements
	}

	id := uuid.New()
	batch = &pgx.Batch{}
	batch.Queue(`INSERT INTO client (municipality_id, id, number, given_name, family_name, national_id, birth_date, gender, phone, email, address_id,
			protected, status, status_since, agreement_start, next_review_on, created_by, created_at, changed_by, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $17, $18)`,
		tx.Municipality(), id, number, f.GivenName, f.FamilyName, value(f.NationalID), f.BirthDate, f.Gender, f.Phone, f.Email, address,
		f.Protected, n.Status, n.StatusAt, f.AgreementStart, f.NextReviewOn, tx.Caller.Account, tx.Now())
	batch.Queue(`INSERT INTO client_search (municipality_id, client_id, text) VALUES ($1, $2, $3)`,
		tx.Municipality(), id, SearchText(f.GivenName, f.FamilyName, number, f.Phone, f.Protected))
	batch.Queue(`INSERT INTO status_entry (municipality_id, client_id, at, status, entered_by, entered_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		tx.Municipality(), id, n.StatusAt, n.Status, tx.Caller.Account, tx.Now())
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return ID{}, refused(err)
	}
	changed(tx, id, "status", nil, value(string(n.Status)))
	audit.Write(tx, access.ClientWrite, audit.Record{
		Act: "registered", Subject: "client", SubjectID: id.String(),
		Fields: (facts{Gender: "U"}).difference(f), Detail: map[string]any{"status": string(n.Status)},
	})
	return id, nil
}

// refused names what the unique indexes refuse when two people register at the same moment.
func refused(err error) error {
	switch constraint(err) {
	case "client_number":
		return problem.InvalidField("number", "taken", nil)
	case "client_person":
		return problem.InvalidField("national_id", "person_exists", nil)
	}
	return err
}

func constraint(err error) string {
	if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) {
		return pgErr.ConstraintName
	}
	return ""
}

// Change changes fields of the record. version is the one that the page was made from: problem.Conflict "stale" with "by"
// and "at" when somebody was first. Errors otherwise as Create's, and problem.NotFound. Changing nothing is no change.
// What is hidden from the caller is not the caller's to change: problem.Forbidden "shielded". A client is marked as
// protected by one person; the mark is taken away by two (AskUnshield), so here problem.Forbidden "second_person".
func Change(ctx context.Context, tx *pg.Tx, id ID, version int, ch Changes) error {
	if err := tx.Require(access.ClientWrite); err != nil {
		return err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	was, r, err := hold(ctx, tx, id)
	if err != nil {
		return err
	}
	if r.Version != version {
		return problem.Conflict{Code: "stale", Params: problem.Params{"by": r.changedBy, "at": r.changedAt}}
	}
	if r.hidden && (ch.Phone != nil || ch.Email != nil || ch.Address != nil) || r.homeHidden && ch.Address != nil {
		return problem.Forbidden{Code: "shielded"}
	}
	if was.Protected && ch.Protected != nil && !*ch.Protected {
		return problem.Forbidden{Code: "second_person"}
	}
	pseudonymous, err := municipality.Pseudonymous(ctx, tx)
	if err != nil {
		return err
	}
	is := was
	set(&is.GivenName, ch.GivenName)
	set(&is.FamilyName, ch.FamilyName)
	set(&is.NationalID, ch.NationalID)
	set(&is.BirthDate, ch.BirthDate)
	set(&is.Gender, ch.Gender)
	set(&is.Phone, ch.Phone)
	set(&is.Email, ch.Email)
	set(&is.Address, ch.Address)
	set(&is.Protected, ch.Protected)
	set(&is.AgreementStart, ch.AgreementStart)
	set(&is.ReviewedOn, ch.ReviewedOn)
	set(&is.NextReviewOn, ch.NextReviewOn)
	if ch.NationalID != nil && ch.BirthDate == nil && *ch.NationalID != "" {
		is.BirthDate = calendar.Date{} // the number tells it anew
	}
	var wrong problem.Collector
	is = is.check(&wrong, today, ch.Address != nil, ch.NationalID != nil || ch.BirthDate != nil, pseudonymous)
	if is.BirthDate.IsZero() && ch.BirthDate == nil {
		is.BirthDate = was.BirthDate
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	fields := was.difference(is)
	if len(fields) == 0 {
		return nil
	}

	address := uuid.NullUUID{}
	batch := &pgx.Batch{}
	var exists bool
	if was.NationalID != is.NationalID && !r.Status.Inactive() {
		batch.Queue(`SELECT EXISTS (SELECT FROM client WHERE municipality_id = $1 AND national_id = $2 AND status IN ('ordered', 'active') AND id <> $3)`,
			tx.Municipality(), is.NationalID, id).QueryRow(func(row pgx.Row) error { return row.Scan(&exists) })
	}
	if was.Address != is.Address {
		queueDwelling(batch, tx.Municipality(), is.Address, r.AddressID, &address.UUID)
	} else if r.AddressID != nil {
		address.UUID = *r.AddressID
	}
	if batch.Len() > 0 {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
	}
	if exists {
		return problem.InvalidField("national_id", "person_exists", nil)
	}
	address.Valid = address.UUID != uuid.Nil
	if !is.Address.IsZero() && !address.Valid {
		return problem.Conflict{Code: "busy"}
	}
	batch = &pgx.Batch{}
	phone, email := is.Phone, is.Email // of who is marked now the database moves them (client_shield)
	if was.Protected {
		if was.Phone != phone || was.Email != email {
			batch.Queue(`INSERT INTO protected_contact (municipality_id, client_id, phone, email) VALUES ($1, $2, $3, $4)
				ON CONFLICT (municipality_id, client_id) DO UPDATE SET phone = excluded.phone, email = excluded.email`, tx.Municipality(), id, phone, email)
		}
		phone, email = "", ""
	}
	batch.Queue(`UPDATE client SET given_name = $3, family_name = $4, national_id = $5, birth_date = $6, gender = $7, phone = $8, email = $9, address_id = $10,
			protected = $11, agreement_start = $12, reviewed_on = $13, next_review_on = $14, version = version + 1, changed_by = $15, changed_at = $16
		WHERE municipality_id = $1 AND id = $2`,
		tx.Municipality(), id, is.GivenName, is.FamilyName, value(is.NationalID), is.BirthDate, is.Gender, phone, email, address,
		is.Protected, is.AgreementStart, is.ReviewedOn, is.NextReviewOn, tx.Caller.Account, tx.Now())
	if text := SearchText(is.GivenName, is.FamilyName, r.Number, is.Phone, is.Protected || r.restricted); text != SearchText(was.GivenName, was.FamilyName, r.Number, was.Phone, was.Protected || r.restricted) {
		batch.Queue(`UPDATE client_search SET text = $3 WHERE municipality_id = $1 AND client_id = $2`, tx.Municipality(), id, text)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return refused(err)
	}
	record(tx, id, "changed", was, is)
	return nil
}

// MarkReviewed notes that the record was checked today (P20). The next review is on next, or in 12 months when that is
// zero; problem.Invalid of "next_review_on" (past), problem.NotFound.
func MarkReviewed(ctx context.Context, tx *pg.Tx, id ID, next calendar.Date) error {
	if err := tx.Require(access.ClientWrite); err != nil {
		return err
	}
	today, err := municipality.Today(ctx, tx)
	if err != nil {
		return err
	}
	if next.IsZero() {
		next = today.AddMonths(12)
	}
	if !next.After(today) {
		return problem.InvalidField("next_review_on", "past", nil)
	}
	was, _, err := hold(ctx, tx, id)
	if err != nil {
		return err
	}
	is := was
	is.ReviewedOn, is.NextReviewOn = today, next
	_, err = tx.Exec(ctx, `UPDATE client SET reviewed_on = $3, next_review_on = $4, version = version + 1, changed_by = $5, changed_at = $6
		WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, today, next, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	record(tx, id, "reviewed", was, is)
	return nil
}

// ConfirmOldRegistration says that this inactive record is the old one of a person who has another, so that it is not
// blocked for it (D21, duplicate_active). Said twice it stays said. problem.Conflict "not_inactive" or
// "no_other_registration", problem.NotFound.
func ConfirmOldRegistration(ctx context.Context, tx *pg.Tx, id ID) error {
	if err := tx.Require(access.ClientWrite); err != nil {
		return err
	}
	l, err := Lock(ctx, tx, id)
	if err != nil {
		return err
	}
	if !l.Status.Inactive() {
		return problem.Conflict{Code: "not_inactive"}
	}
	var other, confirmed bool
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM client WHERE municipality_id = $1 AND national_id = $3 AND id <> $2 AND status IN ('ordered', 'active')),
		(SELECT duplicate_confirmed_at IS NOT NULL FROM client WHERE municipality_id = $1 AND id = $2)`,
		tx.Municipality(), id, l.NationalID).Scan(&other, &confirmed)
	switch {
	case err != nil:
		return err
	case confirmed:
		return nil
	case !other:
		return problem.Conflict{Code: "no_other_registration"}
	}
	_, err = tx.Exec(ctx, `UPDATE client SET duplicate_confirmed_by = $3, duplicate_confirmed_at = $4, version = version + 1, changed_by = $3, changed_at = $4
		WHERE municipality_id = $1 AND id = $2`, tx.Municipality(), id, tx.Caller.Account, tx.Now())
	if err != nil {
		return err
	}
	changed(tx, id, "duplicate_confirmed", nil, value(tx.Now().UTC().Format(time.RFC3339)))
	audit.Write(tx, access.ClientWrite, audit.Record{Act: "old_registration_confirmed", Subject: "client", SubjectID: id.String(), Fields: []string{"duplicate_confirmed"}})
	return nil
}

type held struct {
	Locked
	restricted         bool
	changedBy          string
	changedAt          time.Time
	hidden, homeHidden bool // as Client's
}

// hold locks the client and gives its facts, as far as the caller may see them.
func hold(ctx context.Context, tx *pg.Tx, id ID) (facts, held, error) {
	f, r, c := facts{}, held{Locked: Locked{ID: id}}, Client{ID: id}
	err := tx.QueryRow(ctx, `SELECT c.given_name, c.family_name, coalesce(c.national_id, ''), c.birth_date, c.gender, coalesce(pc.phone, c.phone), coalesce(pc.email, c.email),
			coalesce(a.street, ''), coalesce(a.postcode, ''), coalesce(a.town, ''), c.protected, c.protected AND NOT frist_reads_protected(),
			c.address_id IS NOT NULL AND a.id IS NULL, c.agreement_start, c.reviewed_on, c.next_review_on,
			c.status, c.status_since, c.version, c.number, c.address_id, coalesce((SELECT s.name FROM staff() s WHERE s.id = c.changed_by), ''), c.changed_at,
			c.restricted_at, `+askedIfRestricted+`
		FROM client c LEFT JOIN address a ON a.municipality_id = c.municipality_id AND a.id = c.address_id
		LEFT JOIN protected_contact pc ON c.protected AND pc.municipality_id = c.municipality_id AND pc.client_id = c.id
		WHERE c.municipality_id = $1 AND c.id = $2 FOR NO KEY UPDATE OF c`, tx.Municipality(), id).
		Scan(&f.GivenName, &f.FamilyName, &f.NationalID, &f.BirthDate, &f.Gender, &f.Phone, &f.Email,
			&f.Address.Street, &f.Address.Postcode, &f.Address.Town, &f.Protected, &r.hidden, &r.homeHidden, &f.AgreementStart, &f.ReviewedOn, &f.NextReviewOn,
			&r.Status, &r.StatusSince, &r.Version, &r.Number, &r.AddressID, &r.changedBy, &r.changedAt, &c.RestrictedAt, &c.Asked)
	if errors.Is(err, pgx.ErrNoRows) {
		err = notFound
	}
	r.NationalID, r.Protected = f.NationalID, f.Protected
	if err == nil && c.RestrictedAt != nil && !c.mayOpen(tx.Caller) {
		err = errRestricted
	}
	r.restricted = c.RestrictedAt != nil
	return f, r, err
}

func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

var nationalIDCodes = map[error]string{
	ErrNationalIDLength: "national_id_length", ErrNationalIDCheckDigits: "national_id_check_digits", ErrNationalIDDate: "national_id_date",
}

// check completes what a person typed and says all that is wrong with it. What nobody touched is not judged: an old
// record may hold an address that the register no longer knows.
func (f facts) check(wrong *problem.Collector, today calendar.Date, address, birth, pseudonymous bool) facts {
	f.GivenName, f.FamilyName, f.Phone, f.Email = clean(f.GivenName), clean(f.FamilyName), clean(f.Phone), clean(f.Email)
	if pseudonymous {
		return f.pseudonym(wrong)
	}
	for name, v := range map[string]string{"given_name": f.GivenName, "family_name": f.FamilyName} {
		if v == "" {
			wrong.Add(name, "required", nil)
		}
	}
	tooLong(wrong, "given_name", f.GivenName)
	tooLong(wrong, "family_name", f.FamilyName)
	tooLong(wrong, "phone", f.Phone)
	tooLong(wrong, "email", f.Email)
	if f.Email != "" && (strings.Count(f.Email, "@") != 1 || strings.Contains(f.Email, " ")) {
		wrong.Add("email", "bad_email", nil)
	}
	if !slices.Contains([]string{"M", "K", "U"}, f.Gender) {
		wrong.Add("gender", "unknown", nil)
	}
	if address {
		f.Address = f.Address.check(wrong)
	}
	if !birth {
		return f
	}
	if f.NationalID = clean(f.NationalID); f.NationalID != "" {
		national, err := ParseNationalID(f.NationalID)
		if err != nil {
			wrong.Add("national_id", nationalIDCodes[err], nil)
			return f
		}
		f.NationalID = string(national)
		if y, m, d, ok := national.BirthDate(); ok {
			switch born := calendar.On(y, m, d); {
			case f.BirthDate.IsZero():
				f.BirthDate = born
			case f.BirthDate != born:
				wrong.Add("birth_date", "birth_date_mismatch", nil)
			}
		}
	}
	if f.BirthDate.After(today) {
		wrong.Add("birth_date", "future", nil)
	}
	return f
}

// Pseudonym makes a pseudonym of what was typed: capitals, digits and hyphens, 2 to 20 of them, with a digit among them, so
// that it is nobody's name. The database asks for the same (pseudonym_guard).
func Pseudonym(s string) (string, bool) {
	s = strings.ToUpper(clean(s))
	return s, len(s) >= 2 && len(s) <= 20 && s[0] != '-' && strings.ContainsAny(s, "0123456789") && strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}

// pseudonym is check where Frist holds nothing but a pseudonym (T10).
func (f facts) pseudonym(wrong *problem.Collector) facts {
	name, ok := Pseudonym(f.FamilyName)
	switch {
	case name == "":
		wrong.Add("family_name", "required", nil)
	case !ok:
		wrong.Add("family_name", "bad_pseudonym", nil)
	}
	f.FamilyName = name
	for _, told := range []struct {
		field string
		is    bool
	}{
		{"given_name", f.GivenName != ""},
		{"national_id", f.NationalID != ""},
		{"birth_date", !f.BirthDate.IsZero()},
		{"gender", f.Gender != "U"},
		{"phone", f.Phone != ""},
		{"email", f.Email != ""},
		{"street", !f.Address.IsZero()},
	} {
		if told.is {
			wrong.Add(told.field, "pseudonym_only", nil)
		}
	}
	return f
}

func tooLong(wrong *problem.Collector, field, s string) {
	if utf8.RuneCountInString(s) > 200 {
		wrong.Add(field, "too_long", problem.Params{"max": 200})
	}
}

// values are the facts as the history writes them, in the order of the page.
func (f facts) values() []struct{ field, value string } {
	protected := ""
	if f.Protected {
		protected = "true"
	}
	return []struct{ field, value string }{
		{"given_name", f.GivenName},
		{"family_name", f.FamilyName},
		{"national_id", f.NationalID},
		{"birth_date", f.BirthDate.String()},
		{"gender", f.Gender},
		{"phone", f.Phone},
		{"email", f.Email},
		{"address", f.Address.String()},
		{"protected", protected},
		{"agreement_start", f.AgreementStart.String()},
		{"reviewed_on", f.ReviewedOn.String()},
		{"next_review_on", f.NextReviewOn.String()},
	}
}

// difference names the fields in which the two are not the same.
func (f facts) difference(to facts) []string {
	fields := []string{}
	is := to.values()
	for i, v := range f.values() {
		if v.value != is[i].value {
			fields = append(fields, v.field)
		}
	}
	return fields
}

// record writes each changed field with its values under the client, and the fields without values to audit (D25).
func record(tx *pg.Tx, id ID, act string, was, is facts) {
	before, after := was.values(), is.values()
	for i := range before {
		if before[i].value != after[i].value {
			changed(tx, id, before[i].field, value(before[i].value), value(after[i].value))
		}
	}
	audit.Write(tx, access.ClientWrite, audit.Record{Act: act, Subject: "client", SubjectID: id.String(), Fields: was.difference(is)})
}
