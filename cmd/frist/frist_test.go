package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/pgtest"
)

// TestMain is also the program itself: a test that kills Frist starts this file again as frist.
func TestMain(m *testing.M) {
	if os.Getenv("FRIST_TEST_AS_PROGRAM") == "yes" {
		os.Exit(run(os.Args[1:], console{os.Stdin, os.Stdout, os.Stderr}))
	}
	os.Exit(pgtest.Main(m))
}

func ask(t *testing.T, in string, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(args, console{strings.NewReader(in), &o, &e})
	return code, o.String(), e.String()
}

func TestConnectionsThatLeaveTheMachineNeedTLS(t *testing.T) {
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, []byte(testAuthority), 0o600); err != nil {
		t.Fatal(err)
	}
	for dsn, ok := range map[string]bool{
		"postgres://u:p@127.0.0.1/d?sslmode=disable":                               true,
		"postgres://u:p@localhost/d":                                               true,
		"postgres://u:p@[::1]/d?sslmode=prefer":                                    true,
		"host=/var/run/postgresql user=u dbname=d":                                 true,
		"postgres://u:p@db.example/d":                                              false,
		"postgres://u:p@db.example/d?sslmode=disable":                              false,
		"postgres://u:p@db.example/d?sslmode=require":                              false,
		"postgres://u:p@10.0.0.7/d?sslmode=prefer":                                 false,
		"postgres://u:p@db.example/d?sslmode=verify-full":                          true,
		"postgres://u:p@db.example/d?sslmode=verify-full&sslrootcert=" + authority: true,
		"postgres://u:p@db.example/d?sslmode=verify-ca&sslrootcert=" + authority:   true,
		"host=127.0.0.1,db.example user=u dbname=d sslmode=disable":                false,
		"not a connection string":                                                  false,
	} {
		if err := safe(dsn); (err == nil) != ok {
			t.Errorf("%s: %v", dsn, err)
		} else if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("the password is repeated: %v", err)
		}
	}
}

// Plain connections are for a private network that somebody named, and for addresses in it only.
func TestAPrivateNetworkIsAllowedByConfigurationOnly(t *testing.T) {
	for _, c := range []struct {
		network, dsn string
		ok           bool
	}{
		{"10.20.0.0/16", "postgres://u:p@10.20.3.4/d?sslmode=disable", true},
		{"10.20.0.0/16, fd00:1::/32", "postgres://u:p@[fd00:1::7]/d?sslmode=disable", true},
		{"10.20.0.0/16", "postgres://u:p@10.21.3.4/d?sslmode=disable", false},
		{"10.20.0.0/16", "postgres://u:p@db.internal/d?sslmode=disable", false},
		{"10.20.0.0/16", "host=10.20.0.1,db.example user=u dbname=d sslmode=disable", false},
		{"", "postgres://u:p@10.20.3.4/d?sslmode=disable", false},
		{"0.0.0.0/0", "postgres://u:p@10.20.3.4/d?sslmode=disable", false},
		{"8.8.8.0/24", "postgres://u:p@8.8.8.8/d?sslmode=disable", false},
		{"10.0.0.0/7", "postgres://u:p@10.20.3.4/d?sslmode=disable", false},
		{"ten", "postgres://u:p@127.0.0.1/d", false},
	} {
		t.Setenv("FRIST_DB_PRIVATE_NETWORK", c.network)
		if err := safe(c.dsn); (err == nil) != c.ok {
			t.Errorf("%q, %s: %v", c.network, c.dsn, err)
		}
	}
}

// frist check names every weakness of a server, and nothing when there is none.
func TestCheckSaysWhatIsWeak(t *testing.T) {
	env := pgtest.New(t)
	for _, name := range []string{"FRIST_WEB_DSN", "FRIST_OPERATOR_DSN", "FRIST_WORKER_DSN"} {
		t.Setenv(name, "")
	}
	if code, _, text := ask(t, "", "check"); code == 0 || !strings.Contains(text, "no connection string") {
		t.Errorf("%d %s", code, text)
	}
	t.Setenv("FRIST_WEB_DSN", env.DSN("frist_web", "web"))
	t.Setenv("FRIST_WORKER_DSN", env.DSN("frist_worker", "worker"))
	if code, out, text := ask(t, "", "check"); code != 0 || !strings.Contains(out, "nothing found") {
		t.Errorf("%d %s%s", code, out, text)
	}
	env.Exec(t, `DO $do$ BEGIN EXECUTE format('ALTER DATABASE %I SET log_error_verbosity = verbose', current_database()); END $do$`)
	t.Setenv("FRIST_OPERATOR_DSN", env.AdminDSN())
	code, out, _ := ask(t, "", "check")
	for _, want := range []string{"FRIST_WEB_DSN: the server's log can hold personal values: log_error_verbosity is verbose; set it to terse", "FRIST_OPERATOR_DSN: the login postgres may look past the walls: it is superuser"} {
		if code == 0 || !strings.Contains(out, want) {
			t.Errorf("%d, not said: %s\n%s", code, want, out)
		}
	}
	t.Setenv("FRIST_OPERATOR_DSN", "postgres://u:p@db.example/d")
	if code, out, _ := ask(t, "", "check"); code == 0 || !strings.Contains(out, "FRIST_OPERATOR_DSN: the database on db.example is reached over a network") {
		t.Errorf("%d %s", code, out)
	}
}

// What is secret has no flag: others on the machine can read a command line.
func TestNoSecretHasAFlag(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"worker", "--help"}, {"migrate", "--help"}, {"demo", "--help"}, {"import", "clients", "--help"}, {"user", "add", "--help"}, {"check", "--help"}, {"explain", "--help"}} {
		_, out, _ := ask(t, "", args...)
		for line := range strings.Lines(out) {
			if flag := strings.ToLower(strings.Fields(line + " -")[0]); strings.HasPrefix(flag, "-") {
				for _, secret := range []string{"password", "secret", "dsn", "key", "token", "credential"} {
					if strings.Contains(flag, secret) {
						t.Errorf("frist %s: %s", strings.Join(args, " "), strings.TrimSpace(line))
					}
				}
			}
		}
		if !strings.Contains(out, "--help") {
			t.Errorf("frist %s prints no flags", strings.Join(args, " "))
		}
	}
}

func TestSecretsComeFromOnePlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte("postgres://u:p@127.0.0.1/d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FRIST_WORKER_DSN_FILE", file)
	if got, err := dsn("FRIST_WORKER_DSN", "x"); err != nil || got != "postgres://u:p@127.0.0.1/d" {
		t.Errorf("got %q, %v", got, err)
	}
	t.Setenv("FRIST_WORKER_DSN", "postgres://other@127.0.0.1/d")
	if _, err := dsn("FRIST_WORKER_DSN", "x"); err == nil {
		t.Error("two sources are taken")
	}
	t.Setenv("FRIST_WORKER_DSN", "")
	t.Setenv("FRIST_WORKER_DSN_FILE", file+".missing")
	if _, err := dsn("FRIST_WORKER_DSN", "x"); err == nil {
		t.Error("a missing file is taken")
	}
}

// What is missing is said in one sentence, and nothing is started.
func TestWhatIsMissingIsSaid(t *testing.T) {
	for _, name := range []string{"FRIST_WEB_DSN", "FRIST_OPERATOR_DSN", "FRIST_WORKER_DSN", "FRIST_ADMIN_DSN", "FRIST_HOME", "FRIST_KEY"} {
		t.Setenv(name, "")
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"serve"}, "FRIST_WEB_DSN is not set"},
		{[]string{"worker"}, "FRIST_WORKER_DSN is not set"},
		{[]string{"migrate"}, "FRIST_ADMIN_DSN is not set"},
		{[]string{"nonsense"}, "unexpected argument"},
		{[]string{"import", "clients", "/no/such/file", "--municipality", "3218"}, "/no/such/file"},
	} {
		if code, _, text := ask(t, "", c.args...); code == 0 || !strings.Contains(text, c.want) {
			t.Errorf("%v: %d, %s", c.args, code, text)
		}
	}
	env := pgtest.New(t)
	t.Setenv("FRIST_WORKER_DSN", env.DSN("frist_worker", "worker"))
	if code, _, text := ask(t, "", "worker"); code == 0 || !strings.Contains(text, "there is no key") {
		t.Errorf("%d, %s", code, text)
	}
	t.Setenv("FRIST_KEY", "short")
	if code, _, text := ask(t, "", "worker"); code == 0 || !strings.Contains(text, "needs 32") {
		t.Errorf("%d, %s", code, text)
	}
	if code, out, _ := ask(t, "", "--help"); code != 0 || !strings.Contains(out, "explain") {
		t.Errorf("help: %d, %s", code, out)
	}
}

// From an empty database to a first account and a first import, as an installation is set up.
func TestSettingUp(t *testing.T) {
	env := pgtest.New(t)
	env.Exec(t, `DROP SCHEMA public CASCADE; DROP SCHEMA river CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC`)
	t.Setenv("FRIST_ADMIN_DSN", env.AdminDSN())
	if code, out, text := ask(t, "", "migrate"); code != 0 || !strings.Contains(out, "up to date") {
		t.Fatalf("%d, %s%s", code, out, text)
	}
	if n := env.Count(t, `SELECT count(*) FROM installation WHERE NOT demo`); n != 1 {
		t.Error("an installation became a demo")
	}
	t.Setenv("FRIST_WEB_DSN", env.DSN("frist_web", "web"))
	t.Setenv("FRIST_KEY", strings.Repeat("k", 32))
	t.Setenv("LC_ALL", "en_GB.UTF-8")
	user := []string{"user", "add", "kari", "--name", "Kari Nordmann", "--role", "caseworker", "--municipality", "3218"}
	if code, _, text := ask(t, "short\n", append(user, "--new-municipality")...); code == 0 || !strings.Contains(text, "Password must have at least 15 characters.") {
		t.Errorf("%d, %s", code, text)
	}
	if n := env.Count(t, `SELECT count(*) FROM municipality_name WHERE number = '3218'`); n != 0 {
		t.Error("a municipality was made for nobody")
	}
	if code, _, text := ask(t, "a long enough password\n", append(user, "--new-municipality", "--network", "10.1")...); code == 0 || !strings.Contains(text, "10.1.0.0/16") {
		t.Errorf("%d, %s", code, text)
	}
	if code, out, text := ask(t, "a long enough password\n", append(user, "--new-municipality", "--network", "10.1.0.0/16")...); code != 0 || !strings.Contains(out, "kari can sign in") || strings.Contains(text, "No network") {
		t.Errorf("%d, %s%s", code, out, text)
	}
	for _, c := range []struct {
		args []string
		ok   bool
		want string
	}{
		{[]string{"10.0.0.0/8", "--municipality", "3218"}, true, "10.0.0.0/8 is approved for passwords."},
		{[]string{"192.0.2.7"}, true, "192.0.2.7 is approved for passwords."},
		{[]string{"0.0.0.0/0"}, false, "The network is too large."},
		{[]string{"10.0.0.0/8", "--municipality", "5501"}, false, "The municipality 5501 is not in this installation."},
	} {
		code, out, text := ask(t, "", append([]string{"range", "add", "--place", "Rådhuset"}, c.args...)...)
		if (code == 0) != c.ok || !strings.Contains(out+text, c.want) {
			t.Errorf("range add %v: %d, %s%s", c.args, code, out, text)
		}
	}
	if n := env.Count(t, `SELECT count(*) FROM address_range WHERE added_by = 0 AND place = 'Rådhuset'`); n != 2 {
		t.Errorf("%d networks", n)
	}
	// What is wrong is said before a password is asked for, in a sentence that says what to do.
	for _, c := range []struct{ args, nb, en string }{
		{"kari --role caseworker --municipality 3218", "Brukernavnet kari er i bruk. Velg et annet.", "The login kari is in use. Choose another one."},
		{"x --role king --municipality 3218", "Rollen king finnes ikke. Velg blant caseworker", "There is no role king."},
		{"x --role approver", "Rollen approver hører til en kommune.", "with --municipality and its four digits"},
		{"x --role operator --municipality 3218", "Ta bort --municipality.", "Leave --municipality out."},
		{"x --role caseworker,support --municipality 3218", "Lag en konto for hver.", "Make an account for each."},
		{"x --role caseworker --municipality 5501", "Legg til --new-municipality", "Add --new-municipality"},
		{"x --role caseworker --municipality 9999", "Ingen kommune i Norge har nummeret 9999.", "No municipality in Norway"},
		{"a\u00a0b --role support", "høyst 100 tegn og ingen mellomrom", "no blanks"},
	} {
		for lang, want := range map[string]string{"": c.nb, "en_US.UTF-8": c.en} {
			t.Setenv("LC_ALL", lang)
			t.Setenv("LANG", lang)
			args := append([]string{"user", "add", "--name", "X"}, strings.Split(c.args, " ")...)
			if code, _, text := ask(t, "a long enough password\n", args...); code == 0 || !strings.Contains(text, want) || strings.Contains(text, "assword") || strings.Contains(text, "assord") {
				t.Errorf("%v: %d, %s", args, code, text)
			}
		}
	}
	t.Setenv("LC_ALL", "en_GB.UTF-8")
	if code, _, text := ask(t, "a long enough password\n", "user", "add", "ida", "--name", "Ida", "--role", "caseworker", "--municipality", "5501", "--new-municipality"); code != 0 || !strings.Contains(text, "No network is approved") {
		t.Errorf("passwords work nowhere, and nobody says so: %d, %s", code, text)
	}
	if code, _, text := ask(t, "", "user", "add", "x", "--name", "X", "--role", "support"); code == 0 || !strings.Contains(text, "set FRIST_PASSWORD_FILE") || strings.Contains(text, "EOF") {
		t.Errorf("%d, %s", code, text)
	}
	if _, err := account.SignIn(t.Context(), env.DB, "kari", "a long enough password", account.Visit{Address: "10.1.2.3"}); err != nil {
		t.Errorf("sign-in: %v", err)
	}

	file := filepath.Join(t.TempDir(), "clients.csv")
	if err := os.WriteFile(file, []byte("Db nr.;Navn;Fødselsdato;Status\n900001;Nordmann, Ola;01.01.1940;Aktiv\n900002;Nordmann, Eva;31.02.1941;Aktiv\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, text := ask(t, "", "import", "clients", file, "--municipality", "3218", "--dry-run")
	if code == 0 || !strings.Contains(out, "a trial") || env.Count(t, `SELECT count(*) FROM client`) != 0 {
		t.Errorf("%d, %s%s", code, out, text)
	}
	code, out, text = ask(t, "", "import", "clients", file, "--municipality", "3218")
	if code == 0 || !strings.Contains(out, "Row 3, Date of birth: The date does not exist. (refused)") || !strings.Contains(out, "Rows: 2. New: 1. Changed: 0. As they were: 0. Refused: 1.") {
		t.Errorf("%d, %s%s", code, out, text)
	}
	if strings.Contains(out+text, "Nordmann") {
		t.Error("a name is printed")
	}
	if n := env.Count(t, `SELECT count(*) FROM client`); n != 1 {
		t.Errorf("%d clients", n)
	}
	importing(t, env)
}

// What the columns are can be told, and everything that is wrong is said in the sentences of the pages.
func importing(t *testing.T, env *pgtest.Env) {
	t.Setenv("LC_ALL", "")
	t.Setenv("LANG", "nb_NO.UTF-8")
	file := filepath.Join(t.TempDir(), "clients.csv")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(more ...string) (int, string, string) {
		t.Helper()
		return ask(t, "", append([]string{"import", "clients", file, "--municipality", "3218"}, more...)...)
	}
	write("Løpenr = vårt;Navn;Mobilen;Telefon\n900003;Lie, Nils;90000001;22000000\n")
	for _, c := range []struct {
		more []string
		want string
	}{
		{nil, `Velg kolonnen for Nummer. Si hva en kolonne er med --map "Kolonne=felt". Kolonnene i filen: Løpenr = vårt, Navn, Mobilen, Telefon.`},
		{[]string{"--map", "Nix=number"}, "Kolonnen Nix finnes ikke i filen."},
		{[]string{"--map", "Løpenr = vårt=shoes"}, "Feltet shoes finnes ikke. Velg et av: number, name,"},
		{[]string{"--map", "number"}, `Skriv --map som "Kolonne=felt"`},
		{[]string{"--map", "Løpenr = vårt=number", "--map", "Mobilen=phone"}, "Telefon er valgt for to kolonner."},
	} {
		if code, _, text := run(c.more...); code == 0 || !strings.Contains(text, c.want) {
			t.Errorf("%v: %d, %s", c.more, code, text)
		}
	}
	code, out, text := run("--map", "Løpenr = vårt=number", "--map", "Mobilen=phone", "--map", "Telefon=")
	if code != 0 || !strings.Contains(out, "Nye: 1.") || !strings.Contains(out, "Rad 2, Status: Status mangler. Aktiv ble brukt. (merknad)") ||
		env.Count(t, `SELECT count(*) FROM client WHERE number = '900003' AND phone = '90000001'`) != 1 {
		t.Errorf("%d, %s%s", code, out, text)
	}
	write("Nummer;Navn\n1;Åse\n2;P\xe5l\n")
	if code, _, text := run(); code == 0 || !strings.Contains(text, "Rad 3 er ikke UTF-8") {
		t.Errorf("%d, %s", code, text)
	}
	write(" ")
	if code, _, text := run(); code == 0 || !strings.Contains(text, "Filen er tom.") {
		t.Errorf("%d, %s", code, text)
	}
	if _, out, _ := ask(t, "", "import", "clients", "--help"); !strings.Contains(out, "--map") || !strings.Contains(strings.Join(strings.Fields(out), " "), "status_date, agreement_end, group") {
		t.Errorf("the help does not tell the fields: %s", out)
	}
}

func TestExplainPrintsAndFails(t *testing.T) {
	env := pgtest.New(t)
	t.Setenv("FRIST_ADMIN_DSN", env.AdminDSN())
	if code, out, text := ask(t, "", "explain"); code != 0 || !strings.Contains(out, "national_id") {
		t.Errorf("%d, %s", code, text)
	}
	env.Exec(t, `ALTER TABLE note ADD COLUMN telephone text`)
	if code, _, text := ask(t, "", "explain"); code == 0 || !strings.Contains(text, "note.telephone is not declared") {
		t.Errorf("%d, %s", code, text)
	}
}

func TestParseNow(t *testing.T) {
	for s, want := range map[string]string{
		"2023-10-05":                "2023-10-05T06:00:00Z",
		"2024-01-05":                "2024-01-05T07:00:00Z",
		"2023-10-05T08:30:00+02:00": "2023-10-05T06:30:00Z",
	} {
		if got, err := parseNow(s); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"tomorrow", "2023-02-30", "05.10.2023"} {
		if _, err := parseNow(s); err == nil {
			t.Errorf("%s is taken", s)
		}
	}
}

func TestAddress(t *testing.T) {
	on := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	for asked, want := range map[string]string{
		"localhost:8080": "http://localhost:4711", ":8080": "http://localhost:4711", "0.0.0.0:0": "http://localhost:4711", "192.0.2.7:80": "http://192.0.2.7:4711",
	} {
		if got := address(asked, on); got != want {
			t.Errorf("%s: %s", asked, got)
		}
	}
}

// program is Frist in a process of its own.
type program struct {
	cmd  *exec.Cmd
	out  syncBuffer
	done chan error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func startProgram(t *testing.T, folder string, env []string, args ...string) *program {
	t.Helper()
	p := &program{done: make(chan error, 1)}
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), append([]string{"FRIST_TEST_AS_PROGRAM=yes", "FRIST_HOME=" + folder, "FRIST_ADDR=localhost:0", "DATABASE_URL="}, env...)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *program) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for !strings.Contains(p.out.String(), text) {
		select {
		case err := <-p.done:
			t.Fatalf("it ended (%v) and said: %s", err, p.out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("after three minutes it has said: %s", p.out.String())
		}
	}
}

func (p *program) end(t *testing.T, signal os.Signal) error {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.done:
		return err
	case <-time.After(time.Minute):
		t.Fatalf("it does not end; it said: %s", p.out.String())
		return nil
	}
}

type introduction struct {
	URL      string
	Personas []map[string]string
}

func introduced(t *testing.T, folder string) introduction {
	t.Helper()
	file := filepath.Join(folder, "demo.json")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("demo.json may be read by others: %s", info.Mode())
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var i introduction
	if err := json.Unmarshal(raw, &i); err != nil {
		t.Fatal(err)
	}
	return i
}

func get(t *testing.T, address, key string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// The demo as a newcomer meets it: killed while it loads, started, killed, started again, stopped, moved in time.
func TestTheDemoFromNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "home")
	first := startProgram(t, folder, nil, "demo")
	first.await(t, "The first start makes")
	time.Sleep(time.Second)
	_ = first.end(t, syscall.SIGKILL)

	began := time.Now()
	second := startProgram(t, folder, []string{"FRIST_NOW=2023-09-19T09:00:00+02:00"}, "demo")
	second.await(t, "Frist runs at")
	if said := second.out.String(); strings.Contains(said, "things have happened") || !strings.Contains(said, "The clock shows 19.09.2023 09:0") {
		t.Errorf("the clock of a first start: %s", said)
	}
	t.Logf("loaded and ready after %s", time.Since(began).Round(100*time.Millisecond))
	i := introduced(t, folder)
	roles := map[string]int{}
	for _, p := range i.Personas {
		roles[p["role"]]++
		if len(p) != 5 || p["login"] == "" || len(p["password"]) < account.ShortestPassword || p["api_key"] == "" || (p["municipality"] == "") != (p["role"] == "operator" || p["role"] == "support" || p["role"] == "platform_administrator") {
			t.Errorf("persona %v", p)
		}
	}
	if fmt.Sprint(roles) != "map[administrator:3 approver:6 caseworker:6 operator:1 platform_administrator:2 privacy_officer:3 support:1]" {
		t.Errorf("roles %v", roles)
	}
	for _, path := range []string{"/healthz", "/readyz", "/login"} {
		if code, body := get(t, i.URL+path, ""); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	for _, p := range i.Personas {
		if code, body := get(t, i.URL+"/api/v1/me", p["api_key"]); code != http.StatusOK || !strings.Contains(body, p["role"]) {
			t.Errorf("the key of %s: %d %s", p["login"], code, body)
		}
	}
	if code, body := get(t, i.URL+"/api/v1/me", ""); code != http.StatusUnauthorized {
		t.Errorf("without a key: %d %s", code, body)
	}

	// The same home is taken, also for another address.
	other := startProgram(t, folder, nil, "demo")
	if err := <-other.done; err == nil || !strings.Contains(other.out.String(), "another Frist is running in") {
		t.Errorf("a second one in the same home: %v, %s", err, other.out.String())
	}

	_ = second.end(t, syscall.SIGKILL)
	began = time.Now()
	third := startProgram(t, folder, nil, "demo")
	third.await(t, "Frist runs at")
	t.Logf("after kill -9 ready after %s", time.Since(began).Round(100*time.Millisecond))
	if strings.Contains(third.out.String(), "The first start") {
		t.Error("it loaded again")
	}
	again := introduced(t, folder)
	if again.Personas[0]["password"] != i.Personas[0]["password"] || again.Personas[0]["api_key"] == i.Personas[0]["api_key"] {
		t.Error("passwords stay and keys are new, was expected")
	}
	if code, _ := get(t, again.URL+"/api/v1/me", again.Personas[0]["api_key"]); code != http.StatusOK {
		t.Errorf("the new key: %d", code)
	}
	signIn(t, folder, again.Personas[0])
	if err := third.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("an orderly end: %v, %s", err, third.out.String())
	}

	// The clock goes where it is told, and never back.
	later := startProgram(t, folder, []string{"FRIST_NOW=2090-01-04"}, "demo")
	later.await(t, "Frist runs at")
	if !strings.Contains(later.out.String(), "04.01.2090 08:0") {
		t.Errorf("the clock: %s", later.out.String())
	}
	if err := later.end(t, os.Interrupt); err != nil {
		t.Errorf("an orderly end: %v, %s", err, later.out.String())
	}
	for _, now := range []string{"", "FRIST_NOW=2089-01-01"} {
		kept := startProgram(t, folder, []string{now}, "demo")
		kept.await(t, "Frist runs at")
		if !strings.Contains(kept.out.String(), "04.01.2090 08:0") {
			t.Errorf("with %q the clock: %s", now, kept.out.String())
		}
		if later := strings.Contains(kept.out.String(), "The clock starts at 04.01.2090 08:0"); later != (now != "") {
			t.Errorf("with %q why the clock starts so: %s", now, kept.out.String())
		}
		if err := kept.end(t, os.Interrupt); err != nil {
			t.Errorf("an orderly end: %v", err)
		}
	}
}

func signIn(t *testing.T, folder string, persona map[string]string) {
	t.Helper()
	db, err := openWeb(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := account.SignIn(t.Context(), db, persona["login"], persona["password"], account.Visit{Address: "127.0.0.1"}); err != nil {
		t.Errorf("%s signs in with the password of demo.json: %v", persona["login"], err)
	}
	// The command line of a demo stands in its time.
	at := time.Time{}
	err = db.InTx(t.Context(), access.Caller{Roles: []access.Role{access.PlatformAdministrator}}, func(tx *pg.Tx) error {
		at = tx.Now()
		return nil
	})
	if err != nil || at.Sub(time.Date(2023, 9, 19, 7, 0, 0, 0, time.UTC)).Abs() > 5*time.Minute {
		t.Errorf("its clock shows %s, %v", at, err)
	}
}

// serve and worker side by side, as production runs: neither has the other's connection.
func TestServeAndWorker(t *testing.T) {
	env := pgtest.New(t)
	folder := t.TempDir()
	common := []string{"FRIST_KEY=" + strings.Repeat("k", 32), "FRIST_LOG=info"}
	site := startProgram(t, folder, append(common, "FRIST_WEB_DSN="+env.DSN("frist_web", "web"), "FRIST_OPERATOR_DSN="+env.DSN("frist_operator", "operator")), "serve")
	site.await(t, `"msg":"serving"`)
	worker := startProgram(t, folder, append(common, "FRIST_WORKER_DSN="+env.DSN("frist_worker", "worker")), "worker")
	worker.await(t, `"msg":"working"`)
	_, rest, _ := strings.Cut(site.out.String(), `"addr":"`)
	addr, _, _ := strings.Cut(rest, `"`)
	if code, body := get(t, "http://"+addr+"/readyz", ""); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	if code, body := get(t, "http://"+addr+"/login", ""); code != http.StatusOK || strings.Contains(body, "saksbehandler.as") {
		t.Errorf("a sign-in page with personas, or none: %d", code)
	}
	deadline := time.Now().Add(30 * time.Second)
	for env.Count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'sweep' AND state = 'completed'`) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the worker does not sweep")
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, p := range []*program{site, worker} {
		if err := p.end(t, syscall.SIGTERM); err != nil {
			t.Errorf("an orderly end: %v, %s", err, p.out.String())
		}
	}
}

// A request that has begun is answered although the server is told to stop.
func TestServeDrains(t *testing.T) {
	listener, err := listen(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "answered")
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, handler, nil, logger(io.Discard, 0)) }()
	answer := make(chan string, 1)
	go func() {
		response, err := http.Get((&url.URL{Scheme: "http", Host: listener.Addr().String()}).String()) //nolint:noctx // a test
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answer <- string(body)
	}()
	<-entered
	cancel()
	time.Sleep(100 * time.Millisecond)
	close(release)
	if got := <-answer; got != "answered" {
		t.Errorf("got %q", got)
	}
	if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("serve: %v", err)
	}
}

// A certificate authority for connection strings; nobody signs with it.
const testAuthority = `-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUT4aVm15RZdGBKXNme4uWHPIirxQwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKRnJpc3QgdGVzdDAgFw0yNjExMjIwMjU3MTdaGA8yMTI2MTAy
OTAyNTcxN1owFTETMBEGA1UEAwwKRnJpc3QgdGVzdDBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABPbKwFwNo9axe49lC2KGlBaOL6iup2aO/xqRQQWSHyzydS9OEcMC
iP1SqqMisFiq3h9lTTepC4Rrv9nNXgn4EVqjUzBRMB0GA1UdDgQWBBSYnUWTGJw6
r9jaz/0jbHIEaJFmDTAfBgNVHSMEGDAWgBSYnUWTGJw6r9jaz/0jbHIEaJFmDTAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIHsrig8+hDJ3/37RVI7p
aGHcBSxco2sTICHCqHFmn9n8AiEA4+zTU/Hc1/h+t7zT9ZIQ54OqKmoHdanzTRlp
jjjsSSY=
-----END CERTIFICATE-----
`
