package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
	"github.com/frist-app/frist/internal/problem"
	"github.com/go-chi/chi/v5"
)

// TestErrorsOfTheDatabaseLeakNothing provokes every kind of error with values that nobody may see, in the ways in which a
// handler can meet one: returned, wrapped, panicked with, and at the commit. Nothing comes back but what everybody gets,
// and the values are in no log, PostgreSQL's own included. What a job keeps is asked in package jobs, with the same list.
func TestErrorsOfTheDatabaseLeakNothing(t *testing.T) {
	p := newPlaces(t)
	p.env = pgtest.New(t)
	w := p.env
	w.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	w.Exec(t, `INSERT INTO municipality_name VALUES (1, '2020-01-01', '3218', 'Ås')`)
	id, _, err := account.CreateFirst(t.Context(), w.DB, account.New{Municipality: 1, Login: "kari", Name: "Kari Nordmann", Password: "correct horse battery", Roles: []access.Role{access.Caseworker}})
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := account.SignInDemo(t.Context(), w.DB, "kari")
	if err != nil {
		t.Fatal(err)
	}
	key, err := account.NewKey(t.Context(), w.DB, id, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	all := w.Provocations(t)
	if len(all) < 25 {
		t.Fatalf("only %d provocations", len(all))
	}
	site, err := edge.New(edge.Site{DB: w.DB, Log: p.logger()})
	if err != nil {
		t.Fatal(err)
	}
	var tokens []token
	var current token
	caller := access.Caller{Account: id, Roles: []access.Role{access.Caseworker}, Municipality: 1}
	provoke := func(w http.ResponseWriter, r *http.Request) error {
		n, _ := strconv.Atoi(chi.URLParam(r, "n"))
		how := chi.URLParam(r, "how")
		err := p.env.DB.InTx(r.Context(), caller, func(tx *pg.Tx) error {
			if how == "later" {
				tx.Later(`SELECT 1`)
				err := all[n].Run(r.Context(), tx, current.value)
				if err == nil {
					return nil
				}
				return errors.Join(err, fmt.Errorf("and %w", err))
			}
			err := all[n].Run(r.Context(), tx, current.value)
			switch how {
			case "wrapped":
				return fmt.Errorf("for %s: %w", current.value, err)
			case "panic":
				panic(err)
			}
			return err
		})
		if err == nil {
			return edge.JSON(w, http.StatusOK, "nothing happened")
		}
		if how == "rendered" { // as a page would that shows what went wrong beside a form
			page := edge.NewPage(r)
			page.Fail(err)
		}
		return err
	}
	mux := site.Mux()
	for _, at := range []string{"", "/api/v1"} {
		mux.With(site.Signed).Get(at+"/provoke/{n}/{how}", edge.Handle(provoke))
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	bodies := map[string]string{}
	for n, one := range all {
		current = token{"provoked", one.State, fmt.Sprintf("%09d%09d", 100000000+n, time.Now().UnixNano()%1e9), ""}
		current.core = current.value
		tokens = append(tokens, current)
		mine := newScanner([]token{current})
		err := w.DB.InTx(t.Context(), caller, func(tx *pg.Tx) error {
			err := one.Run(t.Context(), tx, current.value)
			if got := state(err); got != one.State {
				t.Errorf("%s: provoked %q: %v", one.State, got, err)
			}
			return err
		})
		for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
			mine.look("error of "+one.State, []byte(text))
		}
		for _, at := range []string{"/", "/api/v1/"} {
			for _, how := range []string{"plain", "wrapped", "panic", "later", "rendered"} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+at+"provoke/"+strconv.Itoa(n)+"/"+how, nil)
				if err != nil {
					t.Fatal(err)
				}
				if at == "/" {
					r.AddCookie(&http.Cookie{Name: "frist", Value: cookie})
				} else {
					r.Header.Set("Authorization", "Bearer "+key)
				}
				response, err := noRedirect.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				raw, _ := io.ReadAll(response.Body)
				response.Body.Close()
				var head bytes.Buffer
				_ = response.Header.Write(&head)
				where := one.State + " " + at + how
				mine.look("body of "+where, raw)
				mine.look("header of "+where, head.Bytes())
				if response.StatusCode < 400 {
					t.Errorf("%s answers %d", where, response.StatusCode)
				}
				if response.StatusCode == http.StatusInternalServerError && at == "/api/v1/" { // whatever it was: one answer
					if bodies["500"] == "" {
						bodies["500"] = string(raw)
					} else if bodies["500"] != string(raw) {
						t.Errorf("%s: another 500: %s", where, raw)
					}
				}
				if strings.Contains(string(raw), one.State) {
					t.Errorf("%s: the SQLSTATE is in the body", where)
				}
			}
		}
		for _, h := range mine.hits {
			t.Errorf("%s: %s as %s", h.where, h.token, h.encoding)
		}
	}
	look := newScanner(tokens)
	logged := p.log.Bytes()
	if !bytes.Contains(logged, []byte("database refused: 22P02")) || !bytes.Contains(logged, []byte(`"msg":"panic"`)) {
		t.Error("the log tells nothing of the errors: the test proves little")
	}
	look.look("log", logged)
	server1 := p.serverLog(t)
	look.look("PostgreSQL log", server1)
	if len(server1) == 0 {
		t.Error("PostgreSQL has no log: the test proves little")
	}
	for _, h := range look.hits {
		t.Errorf("%s: %s as %s", h.where, h.token, h.encoding)
	}
	t.Logf("%d errors in %d ways", len(all), 10)
}

// A commit can fail too: a deferred constraint is looked at there.
func TestErrorsAtTheCommitLeakNothing(t *testing.T) {
	p := newPlaces(t)
	p.env = pgtest.New(t)
	p.env.Exec(t, `INSERT INTO municipality (id) VALUES (1)`)
	p.env.Exec(t, `CREATE TABLE later (words text UNIQUE DEFERRABLE INITIALLY DEFERRED); GRANT INSERT, SELECT ON later TO frist_municipality`)
	k := newToken("later", "words")
	look := newScanner([]token{k})
	for _, left := range []bool{false, true} {
		err := p.env.DB.InTx(t.Context(), access.Caller{Account: 1, Roles: []access.Role{access.Caseworker}, Municipality: 1}, func(tx *pg.Tx) error {
			if left {
				tx.Later(`INSERT INTO later VALUES ($1), ($1)`, k.value)
				return nil
			}
			_, err := tx.Exec(t.Context(), `INSERT INTO later VALUES ($1), ($1)`, k.value)
			return err
		})
		var conflict problem.Conflict
		if !errors.As(err, &conflict) || conflict.Code != "duplicate" {
			t.Errorf("%v", err)
		}
		look.look("error", fmt.Appendf(nil, "%v %+v %#v", err, err, err))
	}
	look.look("log", p.log.Bytes())
	look.look("PostgreSQL log", p.serverLog(t))
	for _, h := range look.hits {
		t.Errorf("%s: %s as %s", h.where, h.token, h.encoding)
	}
}

// The private server is set so that its own log holds no value, and says so to whoever asks as the product does.
func TestThePrivateServerLogsNoValues(t *testing.T) {
	w := pgtest.New(t)
	var weak []pg.LogSetting
	err := w.DB.SignIn(context.Background(), func(tx *pg.Tx) (err error) {
		weak, err = pg.Talkative(t.Context(), tx)
		return err
	})
	if err != nil || len(weak) > 0 {
		t.Errorf("%v, %v", weak, err)
	}
	for name, value := range map[string]string{
		"log_min_messages": "error", "log_min_error_statement": "error", "log_error_verbosity": "default", "log_parameter_max_length": "-1", "log_parameter_max_length_on_error": "100",
		"log_statement": "all", "log_min_duration_statement": "0",
	} {
		tx, err := w.Admin.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SELECT set_config($1, $2, true)`, name, value); err != nil {
			t.Fatal(err)
		}
		weak, err := pg.Talkative(t.Context(), tx)
		if err != nil || !slices.ContainsFunc(weak, func(s pg.LogSetting) bool { return s.Name == name }) {
			t.Errorf("%s = %s is not seen: %v, %v", name, value, weak, err)
		}
		_ = tx.Rollback(t.Context())
	}
}
