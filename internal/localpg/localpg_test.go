package localpg

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestMain lets the test program play the parent that is killed: see
// TestServerDiesWithItsParent.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LOCALPG_TEST_PARENT"); dir != "" {
		s, err := Start(context.Background(), Options{Dir: dir})
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(strconv.Itoa(s.Port()) + "\n")
		select {}
	}
	os.Exit(m.Run())
}

func startIn(t *testing.T, options Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func query[T any](t *testing.T, s *Server, sql string) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var value T
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func exec1(t *testing.T, s *Server, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestServerIsPrivateAndSortsNorwegian(t *testing.T) {
	dir := t.TempDir()
	s := startIn(t, Options{Dir: dir, Settings: map[string]string{"max_connections": "20"}})

	for setting, want := range map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"data_checksums":          "on",
		"password_encryption":     "scram-sha-256",
		"fsync":                   "off",
		"max_connections":         "20",
		"log_error_verbosity":     "terse",
	} {
		if got := query[string](t, s, "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	sorted := query[string](t, s, `SELECT string_agg(x, ' ' ORDER BY x COLLATE "nb-NO-x-icu") FROM unnest(ARRAY['Åse','Ærlig','Øde','Zorro']) x`)
	if sorted != "Zorro Ærlig Øde Åse" {
		t.Errorf("sorted %q", sorted)
	}

	wrong := strings.Replace(s.DSN("postgres"), s.Password(), "wrong", 1)
	if conn, err := pgx.Connect(t.Context(), wrong); err == nil {
		conn.Close(t.Context())
		t.Error("the server let a wrong password in")
	}
	info, err := os.Stat(filepath.Join(dir, "password"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("password file has mode %v", info.Mode())
	}
}

func TestCommittedDataSurvivesCrash(t *testing.T) {
	s := startIn(t, Options{Dir: t.TempDir(), Fsync: true})
	exec1(t, s, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
	port := s.Port()

	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.Connect(t.Context(), s.DSN("postgres")); err == nil {
		conn.Close(t.Context())
		t.Fatal("the server answers after a crash")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query[int](t, s, "SELECT n FROM kept"); got != 7 {
		t.Errorf("got %d", got)
	}
	if s.Port() != port {
		t.Errorf("port %d became %d", port, s.Port())
	}
}

func TestFolderHasOneServerAtATime(t *testing.T) {
	dir := t.TempDir()
	s := startIn(t, Options{Dir: dir})
	exec1(t, s, "CREATE TABLE kept (n int)")
	if _, err := Start(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Fatalf("second server: %v", err)
	}
	port := s.Port()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err == nil {
		t.Error("a stopped server restarted without its lock")
	}

	again := startIn(t, Options{Dir: dir})
	if got := query[int](t, again, "SELECT count(*) FROM kept"); got != 0 {
		t.Errorf("got %d", got)
	}
	if again.Port() != port {
		t.Errorf("port %d became %d", port, again.Port())
	}
}

func TestOtherMajorIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := startIn(t, Options{Dir: dir}).Stop(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(identityInUse(t, dir).base, "data", "PG_VERSION"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.WriteFile(files[0], []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "PGBIN") {
		t.Fatalf("want advice, got %v", err)
	}
}

func identityInUse(t *testing.T, dir string) identity {
	t.Helper()
	bin, _, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := choose(identities(dir), bin)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestEveryIdentityThatCanBeTried runs a server each way this user has. As root
// in a container without user namespaces the first way is the kernel's to
// refuse, which is why there are others.
func TestEveryIdentityThatCanBeTried(t *testing.T) {
	bin, how, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	tried := 0
	defer func() {
		if tried == 0 {
			t.Error("no way works on this machine")
		}
	}()
	for _, way := range identities(dir) {
		if _, err := way.try(bin); err != nil {
			t.Logf("%s is not to be had on this machine: %v", way.name, err)
			continue
		}
		tried++
		t.Run(way.name, func(t *testing.T) {
			if way.base != dir {
				t.Cleanup(func() { os.RemoveAll(way.base) })
			}
			s, err := start(t.Context(), Options{Dir: dir, Log: t.Output()}, bin, how, []identity{way})
			if err != nil {
				t.Fatal(err)
			}
			if got := query[int](t, s, "SELECT 1"); got != 1 {
				t.Errorf("got %d", got)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestServerDiesWithItsParent(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(program)
	parent.Env = append(os.Environ(), "LOCALPG_TEST_PARENT="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 16)
	if _, err := out.Read(line); err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()

	// A new server at once: it must wait for the old one, not fail on it.
	s := startIn(t, Options{Dir: dir})
	if got := query[int](t, s, "SELECT 1"); got != 1 {
		t.Errorf("got %d", got)
	}
}

func TestStalePidFileDoesNotBlock(t *testing.T) {
	dir := t.TempDir()
	if err := startIn(t, Options{Dir: dir}).Stop(); err != nil {
		t.Fatal(err)
	}
	// This test's own pid: alive, the same user, and no PostgreSQL.
	stale := strconv.Itoa(os.Getpid()) + "\n"
	pidFile := filepath.Join(identityInUse(t, dir).base, "data", "postmaster.pid")
	if err := os.WriteFile(pidFile, []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	startIn(t, Options{Dir: dir})
}

func TestCancelledStartLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, Options{Dir: dir}); err == nil {
		t.Fatal("started under a context that had ended")
	}
	startIn(t, Options{Dir: dir}) // lock and data are free
}

func TestPGBINMustHoldThePrograms(t *testing.T) {
	t.Setenv("PGBIN", t.TempDir())
	if _, _, err := Find(); err == nil || !strings.Contains(err.Error(), "PGBIN") {
		t.Fatalf("got %v", err)
	}
}

func TestNewestDebianIsByNumber(t *testing.T) {
	root := t.TempDir()
	for _, major := range []string{"9", "15", "17"} {
		bin := filepath.Join(root, major, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, program := range []string{"initdb", "postgres"} {
			if major == "17" && program == "initdb" {
				continue // client packages leave half a folder
			}
			if err := os.WriteFile(filepath.Join(bin, program), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, want := newestDebian(root), filepath.Join(root, "15", "bin"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLibraryLinksStayInTheirPackage(t *testing.T) {
	pkg := t.TempDir()
	native := filepath.Join(pkg, "native", "lib")
	if err := os.MkdirAll(native, 0o755); err != nil {
		t.Fatal(err)
	}
	links := filepath.Join(pkg, "native", "pg-symlinks.json")
	write := func(content string) {
		if err := os.WriteFile(links, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`[{"source":"native/lib/libx.so.6.18","target":"native/lib/libx.so.6"}]`)
	for range 2 { // a second start finds the links made
		if err := linkLibraries(pkg); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.Readlink(filepath.Join(native, "libx.so.6")); err != nil || got != "libx.so.6.18" {
		t.Errorf("link to %q, %v", got, err)
	}
	write(`[{"source":"native/lib/libx.so.6.18","target":"../../escaped"}]`)
	if err := linkLibraries(pkg); err == nil {
		t.Error("a link outside the package was made")
	}
	if _, err := os.Lstat(filepath.Join(pkg, "../../escaped")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("escaped")
	}
}
