// Package localpg runs a private PostgreSQL for development and tests, from
// whatever programs the machine has, so that neither a container engine nor a
// database administrator stands between a newcomer and a running system. It
// listens on the loopback address only and dies with the process that started
// it, even when that process is killed.
package localpg

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser   = "postgres"
	oldestMajor = 15 // security_invoker views
	readyWithin = 30 * time.Second
	stopWithin  = 30 * time.Second
)

// ErrInUse says that another process has its server in the same folder.
var ErrInUse = errors.New("another Frist is using this folder; stop it, or choose another folder")

// Options says where the server lives and how it behaves.
type Options struct {
	// Dir holds the data folder, the password, the port and the lock.
	Dir string
	// Fsync keeps data through a power cut. Tests leave it off for speed; then
	// even Crash may lose the last commits.
	Fsync bool
	// Settings are added to the server's command line and win over ours.
	Settings map[string]string
	// Log gets the server's own log; nil throws it away.
	Log io.Writer
}

// Server is one running PostgreSQL. Its methods may be called from several
// goroutines.
type Server struct {
	options  Options
	bin      string
	identity identity
	data     string
	password string
	port     int
	lock     *os.File

	mu   sync.Mutex
	proc *process
}

// process is one life of the postmaster: a Server has several when a test
// crashes it.
type process struct {
	signal func(os.Signal) error
	done   chan struct{}
	stderr *tail
}

// Start finds the programs, makes the data folder if there is none, and returns
// when the server answers. The context bounds the starting only; the server
// runs until Stop, or until this process ends.
func Start(ctx context.Context, options Options) (*Server, error) {
	bin, how, err := Find()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(options.Dir)
	if err != nil {
		return nil, err
	}
	options.Dir = dir
	if options.Log == nil {
		options.Log = io.Discard
	}
	return start(ctx, options, bin, how, identities(dir))
}

func start(ctx context.Context, options Options, bin, how string, ways []identity) (_ *Server, err error) {
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFolder(options.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	id, version, err := choose(ways, bin)
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, bin: bin, identity: id, data: filepath.Join(id.base, "data"), lock: lock}
	if err := s.initialise(version); err != nil {
		return nil, err
	}
	fmt.Fprintf(options.Log, "%s from %s (%s), %s, data in %s\n", version, bin, how, id.name, s.data)
	if err := s.launch(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// lockFolder takes the folder for this process. The kernel gives the lock back
// however the process ends, so no stale lock has to be explained to anybody.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}

var majorOf = regexp.MustCompile(`PostgreSQL\) (\d+)`)

// initialise makes the data folder, or checks that these programs may use the
// one that is there. It is made beside its place and then moved, so that an
// interrupted attempt is never taken for a database.
func (s *Server) initialise(version string) error {
	match := majorOf.FindStringSubmatch(version)
	if match == nil {
		return fmt.Errorf("%s does not tell a PostgreSQL version: %q", s.bin, version)
	}
	if major, err := strconv.Atoi(match[1]); err != nil || major < oldestMajor {
		return fmt.Errorf("PostgreSQL %d or newer is needed, and %s has %s", oldestMajor, s.bin, match[1])
	}
	// The password outlives a change of identity, whose data is elsewhere.
	passwordFile := filepath.Join(s.options.Dir, "password")
	password, errPassword := os.ReadFile(passwordFile)
	s.password = string(password)

	made, err := os.ReadFile(filepath.Join(s.data, "PG_VERSION"))
	if err == nil {
		if had := strings.TrimSpace(string(made)); had != match[1] {
			return fmt.Errorf("the data in %s was made by PostgreSQL %s and %s has %s: set PGBIN to the programs of %s, or remove the folder to begin again",
				s.data, had, s.bin, match[1], had)
		}
		if errPassword != nil {
			return fmt.Errorf("the password to the data in %s is gone: remove the folder to begin again: %w", s.data, errPassword)
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}

	if errPassword != nil {
		s.password = rand.Text()
		if err := os.WriteFile(passwordFile, []byte(s.password), 0o600); err != nil {
			return err
		}
	}
	fresh, handover := s.data+".new", filepath.Join(s.identity.base, "password.new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.WriteFile(handover, []byte(s.password+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(handover)
	if err := s.identity.give(handover); err != nil {
		return err
	}
	args := []string{
		"-D", fresh, "-U", superuser, "--auth=scram-sha-256", "--pwfile=" + handover,
		"-E", "UTF8", "--locale=C.UTF-8", "--data-checksums",
	}
	if !s.options.Fsync {
		args = append(args, "--no-sync")
	}
	out, err := s.identity.command(s.bin, filepath.Join(s.bin, "initdb"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return os.Rename(fresh, s.data)
}

// launch starts the server on its old port if that is free, else on another. A
// port found free may be taken before the server has it, hence the few tries.
func (s *Server) launch(ctx context.Context) error {
	if err := s.outlive(ctx); err != nil {
		return err
	}
	portFile := filepath.Join(s.options.Dir, "port")
	wanted := 0
	if raw, err := os.ReadFile(portFile); err == nil {
		wanted, _ = strconv.Atoi(strings.TrimSpace(string(raw)))
	}
	var err error
	for range 3 {
		if s.port, err = freePort(wanted); err != nil {
			return err
		}
		if err = s.run(ctx); err == nil {
			return os.WriteFile(portFile, []byte(strconv.Itoa(s.port)), 0o600)
		}
		if !strings.Contains(err.Error(), "could not bind") {
			return err
		}
		wanted = 0
	}
	return err
}

func freePort(wanted int) (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(wanted)))
	if err != nil && wanted != 0 {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// outlive waits for a server whose parent was killed a moment ago: it is on its
// way down, but still has the data. A pid file that names anything else is left
// from a machine that stopped, and would make the server refuse to start.
func (s *Server) outlive(ctx context.Context) error {
	pidFile := filepath.Join(s.data, "postmaster.pid")
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		return nil // no server had it, or one we cannot judge: PostgreSQL will say
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return nil
	}
	deadline := time.Now().Add(stopWithin)
	for {
		cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		if err == nil && cwd != s.data || errors.Is(err, os.ErrNotExist) {
			if err := os.Remove(pidFile); !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		}
		if err != nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d still serves %s", pid, s.data)
		}
		_ = syscall.Kill(pid, syscall.SIGINT) // nobody owns it: we hold the lock
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// run starts one postmaster on s.port and returns when it answers.
func (s *Server) run(ctx context.Context) error {
	args := []string{
		"-D", s.data, "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
	}
	settings := s.settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	cmd := s.identity.command(s.bin, filepath.Join(s.bin, "postgres"), args...)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
	proc := &process{done: make(chan struct{}), stderr: &tail{next: s.options.Log}}
	cmd.Stderr = proc.stderr
	cmd.WaitDelay = 5 * time.Second

	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the starting thread ends, not
		// the process: this goroutine keeps its thread for as long as it waits.
		runtime.LockOSThread()
		defer close(proc.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log; that it ended is in done
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	proc.signal = cmd.Process.Signal

	if err := s.await(ctx, proc); err != nil {
		_ = proc.signal(syscall.SIGQUIT) // it may be gone already
		<-proc.done
		return err
	}
	s.proc = proc
	return nil
}

// settings keep personal data out of the server's log, and the server small.
func (s *Server) settings() map[string]string {
	settings := map[string]string{
		"log_min_messages":                    "log", // the text of an error repeats what it could not read; Frist logs its SQLSTATE
		"log_error_verbosity":                 "terse",
		"log_min_error_statement":             "panic",
		"log_parameter_max_length":            "0",
		"log_parameter_max_length_on_error":   "0",
		"shared_buffers":                      "256MB",
		"max_connections":                     "200",
		"jit":                                 "off",
		"idle_in_transaction_session_timeout": "60s",
	}
	if !s.options.Fsync {
		settings["fsync"] = "off"
		settings["synchronous_commit"] = "off"
		settings["full_page_writes"] = "off"
	}
	// Some builds lack lz4 and would refuse to start with it.
	probe := s.identity.command(s.bin, filepath.Join(s.bin, "postgres"), "-D", s.data, "-C", "wal_compression", "-c", "wal_compression=lz4")
	if probe.Run() == nil {
		settings["wal_compression"] = "lz4"
	}
	maps.Copy(settings, s.options.Settings)
	return settings
}

func (s *Server) await(ctx context.Context, proc *process) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-proc.done:
			return fmt.Errorf("PostgreSQL ended while starting: %s", proc.stderr)
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not answer: %w: %s", ctx.Err(), proc.stderr)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// DSN addresses a database of this server as its superuser. It holds the
// password: not for logs.
func (s *Server) DSN(database string) string {
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     net.JoinHostPort(s.Host(), strconv.Itoa(s.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return address.String()
}

// Host is the loopback address: the server is for this machine only.
func (s *Server) Host() string { return "127.0.0.1" }

// Port stays the same through Crash and Restart, so that pools find it again.
func (s *Server) Port() int { return s.port }

// Password is the superuser's, for callers that build their own addresses.
func (s *Server) Password() string { return s.password }

// Stop ends open sessions, writes everything to disk and gives the folder
// back. Stopping a stopped server does nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	err := s.end(syscall.SIGINT)
	s.lock.Close()
	s.lock = nil
	return err
}

// Crash ends the server as a fault would: no checkpoint, open transactions
// lost. The folder stays taken, for Restart or Stop.
func (s *Server) Crash() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(syscall.SIGQUIT)
}

// Restart starts the server again, on the same data and the same port, after
// Crash; a server that still runs is first stopped in an orderly way.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return errors.New("the server was stopped and gave its folder back: start a new one")
	}
	if err := s.end(syscall.SIGINT); err != nil {
		return err
	}
	return s.run(ctx)
}

func (s *Server) end(signal syscall.Signal) error {
	if s.proc == nil {
		return nil
	}
	proc := s.proc
	s.proc = nil
	if err := proc.signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-proc.done:
		return nil
	case <-time.After(stopWithin):
	}
	_ = proc.signal(syscall.SIGKILL)
	<-proc.done
	return fmt.Errorf("PostgreSQL did not stop within %s and was killed", stopWithin)
}

// tail passes the server's log on and keeps its end, because a server that does
// not start has said why in its last lines.
type tail struct {
	next io.Writer
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - 4096; over > 0 {
		t.last = t.last[over:]
	}
	return t.next.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.last))
}
