// Frist keeps the clients of municipal alarm-care services for as long as the law asks and not a day longer, and proves
// it. This is its one program: each command is one way of running it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/frist-app/frist/internal/problem"
)

type commands struct {
	Serve   serveCommand   `cmd:"" help:"Serve pages and API. Needs a worker beside it."`
	Worker  workerCommand  `cmd:"" help:"Do the work that is due: controls, purges, blobs, the hourly look at the calendar."`
	Migrate migrateCommand `cmd:"" help:"Bring the database up to this program's version."`
	Demo    demoCommand    `cmd:"" help:"Run everything with made-up people, on a private PostgreSQL."`
	Import  struct {
		Clients importCommand `cmd:"" help:"Bring clients in from a CSV file or an Excel workbook."`
	} `cmd:"" help:"Bring data in."`
	User struct {
		Add userCommand `cmd:"" help:"Make an account: the first one, or any other."`
	} `cmd:"" help:"Accounts."`
	Check checkCommand `cmd:"" help:"Say by what the database server is weaker than Frist counts on."`
	Range struct {
		Add rangeCommand `cmd:"" help:"Approve a network from which a password may be tried: for the first administrator."`
	} `cmd:"" help:"Networks for passwords."`
	Explain explainCommand `cmd:"" help:"Print every table and column with its path to the client, class and deletion action."`
}

const description = `Frist deletes what the law no longer lets you keep, and proves it.

Connection strings and secrets come from the environment, never from the command line, which others on the machine can
read. Each has a sibling ending in _FILE that names a file instead:
FRIST_WEB_DSN, FRIST_OPERATOR_DSN, FRIST_WORKER_DSN, FRIST_ADMIN_DSN, FRIST_KEY, FRIST_SMTP_URL (with FRIST_MAIL_FROM).

Providers of identities: FRIST_OIDC_<NAME>_ISSUER, _CLIENT_ID, _KEY_FILE, _LABEL, _KEY_ID, _LEVEL, _CLAIM.`

// console is where a command speaks. Everything that is not an answer goes to err.
type console struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	// A page lives for a millisecond and little else lives at all: the heap is some ten MiB, and collecting it at every
	// doubling took a quarter of the processor. GOGC still has the last word.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(run(os.Args[1:], console{os.Stdin, os.Stdout, os.Stderr}))
}

func run(args []string, c console) (code int) {
	var cli commands
	exit := -1
	parser, err := kong.New(&cli, kong.Name("frist"), kong.Description(description), kong.Writers(c.out, c.err), kong.Exit(func(n int) { exit = n }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Vars{"fields": importFields()})
	if err != nil {
		fmt.Fprintln(c.err, "frist:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 {
		return exit // --help has been answered
	}
	if err != nil {
		fmt.Fprintln(c.err, "frist:", err)
		return 2
	}
	// The first signal asks for an orderly end, the second one gets it at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(c); err != nil {
		fmt.Fprintln(c.err, "frist:", sentence(err))
		return 1
	}
	return 0
}

// sentence is what a person at the terminal is told.
func sentence(err error) string {
	if errors.Is(err, context.Canceled) {
		return "stopped before it was done"
	}
	if problem.Public(err) {
		return inWords(speech(), err)
	}
	return err.Error()
}

// logger writes JSON lines for machines. FRIST_LOG is debug, info, warn or error.
func logger(w io.Writer, otherwise slog.Level) *slog.Logger {
	level := otherwise
	if s := os.Getenv("FRIST_LOG"); s != "" {
		if err := level.UnmarshalText([]byte(s)); err != nil {
			level = otherwise
		}
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
