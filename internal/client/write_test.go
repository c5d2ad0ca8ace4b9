package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/calendar"
	"github.com/frist-app/frist/internal/client"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/google/uuid"
)

func TestCreateRefuses(t *testing.T) {
	env := world(t)
	try := func(n client.New) error {
		if n.GivenName == "" {
			n.GivenName, n.FamilyName = "Solveig", "Hansen"
		}
		if n.Status == "" {
			n.Status = client.Ordered
		}
		return in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
			_, err := client.Create(ctx, tx, n)
			return err
		})
	}
	number, _ := person(t, 1)
	create(t, env, 1, client.New{GivenName: "A", FamilyName: "B", Number: "55", NationalID: number})
	other, _ := person(t, 2)
	create(t, env, 2, client.New{GivenName: "A", FamilyName: "B", Number: "66", NationalID: other})
	for _, c := range []struct {
		field, code string
		n           client.New
	}{
		{"given_name", "required", client.New{GivenName: " ", FamilyName: "x"}},
		{"family_name", "too_long", client.New{GivenName: "x", FamilyName: strings.Repeat("å", 201)}},
		{"number", "bad_number", client.New{Number: "12a"}},
		{"number", "bad_number", client.New{Number: "1234567890123"}},
		{"number", "taken", client.New{Number: "55"}},
		{"national_id", "national_id_length", client.New{NationalID: "123"}},
		{"national_id", "national_id_check_digits", client.New{NationalID: "12345678901"}},
		{"national_id", "person_exists", client.New{NationalID: number}},
		{"birth_date", "birth_date_mismatch", client.New{NationalID: other, BirthDate: calendar.On(1938, 5, 13)}},
		{"birth_date", "future", client.New{BirthDate: calendar.On(2023, 9, 20)}},
		{"gender", "unknown", client.New{Gender: "F"}},
		{"email", "bad_email", client.New{Email: "solveig"}},
		{"street", "required", client.New{Address: client.Address{Postcode: "1430"}}},
		{"postcode", "required", client.New{Address: client.Address{Street: "Storgata 1"}}},
		{"postcode", "bad_postcode", client.New{Address: client.Address{Street: "Storgata 1", Postcode: "14300"}}},
		{"postcode", "unknown_postcode", client.New{Address: client.Address{Street: "Storgata 1", Postcode: "2"}}},
		{"town", "town_mismatch", client.New{Address: client.Address{Street: "Storgata 1", Postcode: "1430", Town: "Oslo"}}},
		{"status", "unknown", client.New{Status: client.Disconnected}},
		{"at", "future", client.New{StatusAt: env.Now().Add(time.Second)}},
	} {
		err := try(c.n)
		wantField(t, err, c.field, c.code)
		if err != nil && (strings.Contains(err.Error(), number) || strings.Contains(err.Error(), other)) {
			t.Errorf("%s: the error carries the number", c.code)
		}
	}
	err := try(client.New{Gender: "F", Email: "x", Status: client.Cancelled, Number: "a"})
	if invalid := (problem.Invalid{}); !errors.As(err, &invalid) || len(invalid.Fields) != 4 {
		t.Errorf("not all errors at once: %v", err)
	}
	// What is taken elsewhere is free here.
	must(t, try(client.New{Number: "66", NationalID: other}))
	if n := env.Count(t, `SELECT count(*) FROM client`); n != 3 {
		t.Errorf("%d clients, want 3", n)
	}
}

func TestCreateCompletesAndShares(t *testing.T) {
	env := world(t)
	a := create(t, env, 1, client.New{GivenName: "A\u030ase", FamilyName: "Li  Moe", Address: client.Address{Street: "Storgata  1", Postcode: "953", Town: " OSLO "}, Status: client.Ordered})
	b := create(t, env, 1, client.New{GivenName: "Bo", FamilyName: "Li", Address: client.Address{Street: "storgata 1", Postcode: "0953"}})
	create(t, env, 2, client.New{GivenName: "Bo", FamilyName: "Li", Address: client.Address{Street: "storgata 1", Postcode: "0953"}})
	first, second := find(t, env, 1, a), find(t, env, 1, b)
	if first.Name() != "Åse Li Moe" || first.Address != (client.Address{Street: "Storgata 1", Postcode: "0953", Town: "Oslo"}) || first.Status != client.Ordered || first.Gender != "U" || !first.BirthDate.IsZero() {
		t.Errorf("%+v", first)
	}
	if *first.AddressID != *second.AddressID || env.Count(t, `SELECT count(*) FROM address`) != 2 {
		t.Errorf("the address is not shared, or shared with the neighbours")
	}
	if env.Count(t, `SELECT count(*) FROM client_search WHERE client_id = $1 AND text = 'åse li moe 200000001'`, a) != 1 {
		t.Error("the search text is another")
	}
	if env.Count(t, `SELECT count(*) FROM status_entry WHERE client_id = $1 AND status = 'ordered' AND entered_by = 7`, a) != 1 ||
		env.Count(t, `SELECT count(*) FROM client_change WHERE client_id = $1 AND field = 'status' AND to_value = 'ordered' AND account_id = 7`, a) != 1 ||
		env.Count(t, `SELECT count(*) FROM audit WHERE act = 'registered' AND role = 'caseworker' AND subject_id = $1 AND fields = '{given_name,family_name,address}'`, a.String()) != 1 {
		t.Error("the registration left another trail")
	}
}

func TestNumbersAreGivenOnce(t *testing.T) {
	env := world(t)
	create(t, env, 1, client.New{GivenName: "A", FamilyName: "B", Number: "999"})
	create(t, env, 2, client.New{GivenName: "A", FamilyName: "B", Number: "300000000"})
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			err := env.DB.InTx(t.Context(), caller(1), func(tx *pg.Tx) error {
				_, err := client.Create(t.Context(), tx, client.New{GivenName: fmt.Sprint(i), FamilyName: "B", Status: client.Active, Address: skole})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := env.Count(t, `SELECT count(DISTINCT number) FROM client WHERE municipality_id = 1 AND number BETWEEN '200000001' AND '200000008'`); n != 8 {
		t.Errorf("%d numbers", n)
	}
	if n := env.Count(t, `SELECT count(*) FROM address WHERE municipality_id = 1`); n != 1 {
		t.Errorf("%d addresses", n)
	}
	if c := find(t, env, 2, create(t, env, 2, client.New{GivenName: "A", FamilyName: "B"})); c.Number != "300000001" {
		t.Errorf("the next number is %s", c.Number)
	}
	create(t, env, 2, client.New{GivenName: "A", FamilyName: "B", Number: "999999999"})
	err := in(t, env, caller(2), func(ctx context.Context, tx *pg.Tx) error {
		_, err := client.Create(ctx, tx, client.New{GivenName: "A", FamilyName: "B", Status: client.Active})
		return err
	})
	wantField(t, err, "number", "none_left")
}

func TestChange(t *testing.T) {
	env := world(t)
	number, born := person(t, 1)
	id := create(t, env, 1, client.New{GivenName: "Solveig", FamilyName: "Hansen", Phone: "1", Address: skole})
	old := *find(t, env, 1, id).AddressID
	later := env.Now().Add(time.Hour)
	env.SetNow(later)

	must(t, change(t, env, 1, id, 1, client.Changes{GivenName: ptr(" Solveig")})) // nothing new
	if c := find(t, env, 1, id); c.Version != 1 {
		t.Errorf("version %d after no change", c.Version)
	}
	must(t, change(t, env, 1, id, 1, client.Changes{
		FamilyName: ptr("Åsen"), NationalID: ptr(number[:6] + " " + number[6:]), Gender: ptr("K"), Phone: ptr("900 00 172"), Email: ptr("s@example.org"),
		Address: &client.Address{Street: "Storgata 1", Postcode: "953"}, AgreementStart: ptr(calendar.On(2023, 9, 1)), NextReviewOn: ptr(calendar.On(2024, 9, 1)),
	}))
	c := find(t, env, 1, id)
	if c.FamilyName != "Åsen" || c.NationalID != number || c.BirthDate != born || c.Version != 2 || c.Address.Town != "Oslo" || *c.AddressID == old ||
		!c.ChangedAt.Equal(later) || c.AgreementStart != calendar.On(2023, 9, 1) || c.NextReviewOn != calendar.On(2024, 9, 1) {
		t.Errorf("%+v", c)
	}
	if env.Count(t, `SELECT count(*) FROM client_search WHERE client_id = $1 AND text = 'solveig åsen 200000001 90000172'`, id) != 1 {
		t.Error("the search text stayed behind")
	}
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		log, err := client.ChangeLog(ctx, tx, id, client.EventCursor{}, 50)
		got := map[string]string{}
		for _, h := range log {
			text := func(s *string) string {
				if s == nil {
					return "–"
				}
				return *s
			}
			got[h.Field] = text(h.From) + " > " + text(h.To)
			if h.AccountName != "Kari 1" {
				t.Errorf("by %q", h.AccountName)
			}
		}
		want := map[string]string{
			"status": "– > active", "family_name": "Hansen > Åsen", "national_id": "– > " + number, "birth_date": "– > 1938-05-12", "gender": "U > K",
			"phone": "1 > 900 00 172", "email": "– > s@example.org", "address": "Skoleveien 4 B, 1430 Ås > Storgata 1, 0953 Oslo",
			"agreement_start": "– > 2023-09-01", "next_review_on": "– > 2024-09-01",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the history is\n%v\nwant\n%v", got, want)
		}
		return err
	}))
	if env.Count(t, `SELECT cardinality(fields) FROM audit WHERE act = 'changed'`) != 9 {
		t.Error("audit names other fields")
	}
	var trail string
	must(t, env.Admin.QueryRow(t.Context(), `SELECT string_agg(a::text, ' ') FROM audit a`).Scan(&trail))
	for _, secret := range []string{"Hansen", "Åsen", number, "900 00", "Storgata"} {
		if strings.Contains(trail, secret) {
			t.Errorf("audit holds a value: %s", secret)
		}
	}

	err := change(t, env, 1, id, 1, client.Changes{Phone: ptr("2")})
	var conflict problem.Conflict
	if !errors.As(err, &conflict) || conflict.Code != "stale" || conflict.Params["by"] != "Kari 1" || !conflict.Params["at"].(time.Time).Equal(later) {
		t.Errorf("an old page: %+v", err)
	}
	wantField(t, change(t, env, 1, id, 2, client.Changes{BirthDate: ptr(calendar.On(1938, 5, 13))}), "birth_date", "birth_date_mismatch")
	wantField(t, change(t, env, 1, id, 2, client.Changes{GivenName: ptr("")}), "given_name", "required")
	wantField(t, change(t, env, 1, id, 2, client.Changes{Address: &client.Address{Street: "Storgata 1", Postcode: "0953", Town: "Ås"}}), "town", "town_mismatch")
	create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	taken, _ := person(t, 2)
	create(t, env, 1, client.New{GivenName: "A", FamilyName: "B", NationalID: taken})
	wantField(t, change(t, env, 1, id, 2, client.Changes{NationalID: &taken}), "national_id", "person_exists")
	must(t, change(t, env, 1, id, 2, client.Changes{NationalID: ptr(""), Address: &client.Address{}}))
	if c := find(t, env, 1, id); c.NationalID != "" || c.AddressID != nil || c.BirthDate != born {
		t.Errorf("%+v", c)
	}
}

func TestAnOldAddressIsNotJudgedAgain(t *testing.T) {
	env := world(t)
	id := create(t, env, 1, client.New{GivenName: "A", FamilyName: "B", Address: skole})
	env.Exec(t, `UPDATE address SET postcode = '0002'`) // a code that went out of use
	must(t, change(t, env, 1, id, 1, client.Changes{Phone: ptr("2")}))
}

func TestMarkReviewed(t *testing.T) {
	env := world(t)
	id := create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	review := func(next calendar.Date) error {
		return in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error { return client.MarkReviewed(ctx, tx, id, next) })
	}
	must(t, review(calendar.Date{}))
	if c := find(t, env, 1, id); c.ReviewedOn != calendar.On(2023, 9, 19) || c.NextReviewOn != calendar.On(2024, 9, 19) || c.Version != 2 {
		t.Errorf("%+v", c)
	}
	wantField(t, review(calendar.On(2023, 9, 19)), "next_review_on", "past")
	must(t, review(calendar.On(2023, 9, 20)))
	if n := env.Count(t, `SELECT count(*) FROM audit WHERE act = 'reviewed'`); n != 2 {
		t.Errorf("%d rows of audit", n)
	}
}

// setStatus disconnects or activates as package deletion does: lock, status, placement.
func setStatus(ctx context.Context, tx *pg.Tx, id client.ID, to client.Status, at time.Time, reason string) error {
	if _, err := client.Lock(ctx, tx, id); err != nil {
		return err
	}
	if err := client.SetStatus(ctx, tx, id, to, at, reason, nil); err != nil || !to.Inactive() {
		return err
	}
	return client.SetUnplaced(ctx, tx, id, ptr("held"))
}

func TestSetStatus(t *testing.T) { // D3, P18
	env := world(t)
	oslo := func(y int, m time.Month, d, h, min, s int) time.Time {
		return time.Date(y, m, d, h-2, min, s, 0, time.UTC)
	} // summer time
	env.SetNow(oslo(2023, 6, 1, 12, 0, 0))
	id := create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	env.SetNow(oslo(2023, 9, 19, 12, 0, 0))
	set := func(roles []access.Role, to client.Status, at time.Time, reason string) error {
		return in(t, env, caller(1, roles...), func(ctx context.Context, tx *pg.Tx) error { return setStatus(ctx, tx, id, to, at, reason) })
	}
	caseworker, approver := []access.Role{access.Caseworker}, []access.Role{access.Approver}
	wantField(t, set(caseworker, client.Disconnected, env.Now().Add(time.Second), ""), "at", "future")
	err := set(caseworker, client.Disconnected, oslo(2023, 6, 1, 11, 59, 59), "")
	wantField(t, err, "at", "before_previous")
	if invalid := (problem.Invalid{}); !errors.As(err, &invalid) || invalid.Fields[0].Params["date"] != calendar.On(2023, 6, 1) {
		t.Errorf("%+v", err)
	}
	wantField(t, set(caseworker, client.Disconnected, env.Now(), "sold"), "reason", "unknown")
	wantField(t, set(caseworker, "gone", env.Now(), ""), "status", "unknown")
	wantConflict(t, set(caseworker, client.Active, env.Now(), ""), "same_status")
	var forbidden problem.Forbidden
	if err := set(caseworker, client.Disconnected, oslo(2023, 8, 18, 23, 59, 59), ""); !errors.As(err, &forbidden) || forbidden.Code != "backdate" {
		t.Errorf("32 days back: %v", err)
	}
	if n := env.Count(t, `SELECT count(*) FROM status_entry`); n != 1 {
		t.Errorf("%d entries after refusals", n)
	}
	must(t, set(caseworker, client.Disconnected, oslo(2023, 8, 19, 0, 0, 0), "institution")) // 31 days
	c := find(t, env, 1, id)
	if c.Status != client.Disconnected || !c.StatusSince.Equal(oslo(2023, 8, 19, 0, 0, 0)) || c.AgreementEnd == nil || !c.AgreementEnd.Equal(c.StatusSince) ||
		c.EndReason != "institution" || c.UnplacedReason != "held" || c.Version != 2 {
		t.Errorf("%+v", c)
	}
	must(t, set(caseworker, client.Active, env.Now(), "")) // re-activated
	c = find(t, env, 1, id)
	if c.Status != client.Active || c.AgreementEnd != nil || c.EndReason+c.UnplacedReason != "" {
		t.Errorf("%+v", c)
	}
	env.SetNow(env.Now().AddDate(0, 2, 0))
	must(t, set(approver, client.Cancelled, env.Now().AddDate(0, 0, -40), "")) // the approver may
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		history, err := client.History(ctx, tx, id)
		got := ""
		for _, e := range history {
			got += string(e.Status) + e.Reason + " "
		}
		if got != "cancelled active disconnectedinstitution active " {
			t.Errorf("the log is %s", got)
		}
		return err
	}))
	if env.Count(t, `SELECT count(*) FROM client_change WHERE field IN ('status', 'agreement_end', 'end_reason')`) != 9 || // 1 registered, 3, 3, 2
		env.Count(t, `SELECT count(*) FROM audit WHERE act = 'status_changed'`) != 3 {
		t.Error("another trail")
	}
	// D10: without group or reason the database refuses at the end of the transaction.
	other := create(t, env, 1, client.New{GivenName: "A", FamilyName: "B"})
	wantConflict(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		return client.SetStatus(ctx, tx, other, client.Disconnected, tx.Now(), "", nil)
	}), "placement")
	for _, id := range []client.ID{uuid.New(), create(t, env, 2, client.New{GivenName: "A", FamilyName: "B"})} {
		if err := in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
			return client.SetStatus(ctx, tx, id, client.Disconnected, tx.Now(), "", nil)
		}); !errors.Is(err, problem.NotFound{What: "client"}) {
			t.Errorf("got %v", err)
		}
		if err := in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error { return client.SetUnplaced(ctx, tx, id, nil) }); !errors.Is(err, problem.NotFound{What: "client"}) {
			t.Errorf("got %v", err)
		}
	}
}

func TestOnePersonOneRegistration(t *testing.T) { // D21
	env := world(t)
	number, _ := person(t, 1)
	old := create(t, env, 1, client.New{GivenName: "Solveig", FamilyName: "Hansen", NationalID: number})
	confirm := func() error {
		return in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error { return client.ConfirmOldRegistration(ctx, tx, old) })
	}
	wantConflict(t, confirm(), "not_inactive")
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		return setStatus(ctx, tx, old, client.Disconnected, tx.Now(), "")
	}))
	wantConflict(t, confirm(), "no_other_registration")
	create(t, env, 2, client.New{GivenName: "Solveig", FamilyName: "Hansen", NationalID: number})
	wantConflict(t, confirm(), "no_other_registration") // the same person elsewhere is never linked
	again := create(t, env, 1, client.New{GivenName: "Solveig", FamilyName: "Hansen", NationalID: number})
	must(t, confirm())
	must(t, confirm())
	if c := find(t, env, 1, old); c.DuplicateConfirmedAt == nil || c.Version != 3 {
		t.Errorf("%+v", c)
	}
	reactivate := func() error {
		return in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
			return setStatus(ctx, tx, old, client.Active, tx.Now(), "")
		})
	}
	wantConflict(t, reactivate(), "person_exists")
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		return setStatus(ctx, tx, again, client.Cancelled, tx.Now(), "")
	}))
	must(t, reactivate())
	if c := find(t, env, 1, old); c.DuplicateConfirmedAt != nil {
		t.Error("still confirmed as old")
	}
}

func TestChildren(t *testing.T) {
	env := world(t)
	var ids [3]client.ID
	for m := 1; m <= 2; m++ {
		ids[m] = create(t, env, m, client.New{GivenName: "Solveig", FamilyName: "Hansen", Address: skole})
		create(t, env, m, client.New{GivenName: "Arne", FamilyName: "Hansen", Address: skole})
		must(t, in(t, env, caller(m), func(ctx context.Context, tx *pg.Tx) error {
			return client.AddNote(ctx, tx, ids[m], " Ringte.\nLa igjen beskjed. ")
		}))
		fill(t, env, m, ids[m])
	}
	must(t, in(t, env, caller(1), func(ctx context.Context, tx *pg.Tx) error {
		counts, err := client.Counts(ctx, tx, ids[1])
		must(t, err)
		if want := (client.ChildCounts{StatusEntries: 1, Notes: 2, Properties: 1, NextOfKin: 1, Professionals: 1, Medical: 1, Medications: 2, CarePlans: 1, Communications: 1, Alarms: 3, Recordings: 1, Changes: 2, Residents: 1}); counts != want {
			t.Errorf("%+v", counts)
		}
		notes, err := client.Notes(ctx, tx, ids[1])
		must(t, err)
		if len(notes) != 2 || notes[0].Text != "Ringte.\nLa igjen beskjed." || notes[0].EnteredByName != "Kari 1" {
			t.Errorf("%+v", notes)
		}
		properties, err := client.Properties(ctx, tx, ids[1])
		must(t, err)
		relatives, err := client.NextOfKin(ctx, tx, ids[1])
		must(t, err)
		professionals, err := client.Professionals(ctx, tx, ids[1])
		must(t, err)
		medical, err := client.Medical(ctx, tx, ids[1])
		must(t, err)
		medications, err := client.Medications(ctx, tx, ids[1])
		must(t, err)
		plans, err := client.CarePlans(ctx, tx, ids[1])
		must(t, err)
		communications, err := client.Communications(ctx, tx, ids[1])
		must(t, err)
		recordings, err := client.Recordings(ctx, tx, ids[1])
		must(t, err)
		if len(properties) != 1 || len(relatives) != 1 || !relatives[0].HasKey || len(professionals) != 1 || len(medical) != 1 || len(communications) != 1 {
			t.Errorf("%v %v %v %v %v", properties, relatives, professionals, medical, communications)
		}
		if len(medications) != 2 || !medications[0].Until.IsZero() || medications[1].Until != calendar.On(2022, 1, 1) {
			t.Errorf("%+v", medications)
		}
		if len(plans) != 1 || len(plans[0].Entries) != 1 || plans[0].Entries[0].Text != "ok" {
			t.Errorf("%+v", plans)
		}
		if len(recordings) != 1 || recordings[0].Seconds != 12.5 {
			t.Errorf("%+v", recordings)
		}
		if r, err := client.FindRecording(ctx, tx, ids[1], recordings[0].ID); err != nil || r.BlobKey != recordings[0].BlobKey {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := client.FindRecording(ctx, tx, ids[2], recordings[0].ID); !errors.Is(err, problem.NotFound{What: "recording"}) {
			t.Errorf("a recording of another client: %v", err)
		}
		var seen []int64
		for at := (client.EventCursor{}); ; {
			alarms, err := client.Alarms(ctx, tx, ids[1], at, 2)
			must(t, err)
			if len(alarms) == 0 {
				break
			}
			for _, a := range alarms {
				seen = append(seen, a.ID)
			}
			at, err = client.ParseEventCursor(alarms[len(alarms)-1].Cursor().String())
			must(t, err)
		}
		if len(seen) != 3 || seen[0] < seen[1] || seen[1] < seen[2] {
			t.Errorf("alarms %v", seen)
		}
		address := *find(t, env, 1, ids[1]).AddressID
		residents, err := client.Residents(ctx, tx, address)
		must(t, err)
		if len(residents) != 2 || residents[0].GivenName != "Arne" {
			t.Errorf("%+v", residents)
		}
		events, err := client.AddressEvents(ctx, tx, address)
		must(t, err)
		if len(events) != 2 {
			t.Errorf("%+v", events)
		}
		// Another municipality's client has nothing here.
		foreign := *find(t, env, 2, ids[2]).AddressID
		if c, err := client.Counts(ctx, tx, ids[2]); err != nil || c != (client.ChildCounts{}) {
			t.Errorf("%+v, %v", c, err)
		}
		if n, err := client.Notes(ctx, tx, ids[2]); err != nil || len(n) != 0 {
			t.Errorf("%+v, %v", n, err)
		}
		if n, err := client.ChangeLog(ctx, tx, ids[2], client.EventCursor{}, 9); err != nil || len(n) != 0 {
			t.Errorf("%+v, %v", n, err)
		}
		if n, err := client.Alarms(ctx, tx, ids[2], client.EventCursor{}, 9); err != nil || len(n) != 0 {
			t.Errorf("%+v, %v", n, err)
		}
		if n, err := client.Residents(ctx, tx, foreign); err != nil || len(n) != 0 {
			t.Errorf("%+v, %v", n, err)
		}
		if n, err := client.AddressEvents(ctx, tx, foreign); err != nil || len(n) != 0 {
			t.Errorf("%+v, %v", n, err)
		}
		for _, id := range []uuid.UUID{foreign, uuid.New()} {
			if _, err := client.FindAddress(ctx, tx, id); !errors.Is(err, problem.NotFound{What: "address"}) {
				t.Errorf("got %v", err)
			}
			if err := client.LockAddress(ctx, tx, id); !errors.Is(err, problem.NotFound{What: "address"}) {
				t.Errorf("got %v", err)
			}
		}
		wantField(t, client.AddNote(ctx, tx, ids[1], "  "), "text", "required")
		wantField(t, client.AddNote(ctx, tx, ids[1], strings.Repeat("å", 4001)), "text", "too_long")
		if err := client.AddNote(ctx, tx, ids[2], "x"); !errors.Is(err, problem.NotFound{What: "client"}) {
			t.Errorf("got %v", err)
		}
		return nil
	}))
	for _, s := range []string{"x", "1", "-1-1", "9999999999999999999-1"} {
		if _, err := client.ParseEventCursor(s); !errors.Is(err, problem.NotFound{What: "page"}) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
