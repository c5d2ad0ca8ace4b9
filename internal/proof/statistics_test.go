package proof

import (
	"testing"

	"github.com/frist-app/frist/internal/pgtest"
)

// ANALYZE leaves the statistics of a table alone when it finds no row, so the last one's words would stay in them.
func TestStatisticsForgetATableThatWasEmptied(t *testing.T) {
	w := pgtest.NewWorld(t)
	for _, n := range []string{"a", "b", "c"} { // one of a kind stands in a histogram when there are several
		id := w.Add(t, pgtest.Person{GivenName: "Zq7-given-" + n, FamilyName: "Zq7-family-" + n})
		w.Exec(t, `UPDATE address SET street = $2 WHERE id = (SELECT address_id FROM client WHERE id = $1)`, id, "Zq7-street-"+n)
		w.Exec(t, `INSERT INTO medical_entry (municipality_id, client_id, at, text, entered_by) VALUES (1, $1, now(), 'Zq7-medical', 0)`, id)
	}
	w.Exec(t, `ANALYZE`)
	const kept = `SELECT count(*) FROM pg_statistic s WHERE s::text ILIKE '%zq7-%'`
	if n := w.Count(t, kept); n < 4 {
		t.Fatalf("the statistics hold only %d of the words before: the test proves nothing", n)
	}
	w.Exec(t, `ALTER TABLE client DISABLE TRIGGER client_gone_guard`)
	w.Exec(t, `DELETE FROM client`)
	w.Exec(t, `DELETE FROM address`)
	purger := session(t, w.Env, "frist_worker", "frist_purger", "1")
	if _, err := purger.Exec(t.Context(), `SELECT forget_in_statistics()`); err != nil {
		t.Fatal(err)
	}
	if n := w.Count(t, kept); n > 0 {
		var where string
		_ = w.Admin.QueryRow(t.Context(), `SELECT string_agg(DISTINCT starelid::regclass::text, ' ') FROM pg_statistic s WHERE s::text ILIKE '%zq7-%'`).Scan(&where)
		t.Errorf("words of those who went are left in the statistics of %s", where)
	}
}
