package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/demo"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/localpg"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/migrations"
	"github.com/jackc/pgx/v5"
)

type demoCommand struct {
	Addr string `env:"FRIST_ADDR" default:"localhost:8080" help:"Where to listen (${env})."`
	Home string `env:"FRIST_HOME" default:".frist" help:"Folder for the database, recordings, key and passwords (${env})."`
	Now  string `env:"FRIST_NOW" help:"The instant at which the clock starts, as 2023-10-05 or with a time; from there it runs on, also over restarts. It never goes behind what has happened in the demo (${env})."`
}

// Run makes the demo's world on the first start, and serves pages, API and worker in one process, each with its own login.
func (d *demoCommand) Run(ctx context.Context, c console) error {
	h := home(d.Home)
	lock, err := h.lock()
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // the kernel does it too
	listener, err := listen(ctx, d.Addr)
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:errcheck // the server closes it too
	secrets, err := h.secrets()
	if err != nil {
		return err
	}
	key, err := hashKey(d.Home)
	if err != nil {
		return err
	}
	r := &demoRun{demoCommand: d, console: c, home: h, logins: secrets, key: key, log: logger(c.err, slog.LevelWarn)}
	if err := r.database(ctx); err != nil {
		return err
	}
	err = r.serve(ctx, listener)
	return errors.Join(err, r.stop())
}

type demoRun struct {
	*demoCommand
	console
	home   home
	logins logins
	key    []byte
	log    *slog.Logger
	clock  clock
	server *localpg.Server // nil: DATABASE_URL tells another
	admin  string
}

func (r *demoRun) stop() error {
	if r.server == nil {
		return nil
	}
	return r.server.Stop()
}

// database finds or makes the demo's database, sets the clock and the passwords.
func (r *demoRun) database(ctx context.Context) error {
	began := time.Now()
	if theirs := os.Getenv("DATABASE_URL"); theirs != "" {
		if err := safe(theirs); err != nil {
			return fmt.Errorf("DATABASE_URL: %w", err)
		}
		r.admin = theirs
		return r.prepare(ctx, began)
	}
	log, err := os.OpenFile(r.home.file("postgres.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if r.server, err = localpg.Start(ctx, localpg.Options{Dir: r.home.file("pg"), Fsync: true, Log: log}); err != nil {
		return err
	}
	if err := r.own(ctx, began); err != nil {
		return errors.Join(err, r.stop())
	}
	return nil
}

// The private server's databases: a demo is loaded beside its place and moved there when it is whole, so that an
// interrupted loading is never taken for a demo.
const (
	database = "frist"
	loading  = "frist_loading"
)

func (r *demoRun) own(ctx context.Context, began time.Time) error {
	postgres, err := pgx.Connect(ctx, r.server.DSN("postgres"))
	if err != nil {
		return pg.Translate(err)
	}
	defer postgres.Close(ctx) //nolint:errcheck // nothing is pending on it
	var there bool
	if err := postgres.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&there); err != nil {
		return pg.Translate(err)
	}
	if !there {
		for _, sql := range []string{`DROP DATABASE IF EXISTS ` + loading + ` WITH (FORCE)`, `CREATE DATABASE ` + loading} {
			if _, err := postgres.Exec(ctx, sql); err != nil {
				return pg.Translate(err)
			}
		}
		if err := os.RemoveAll(r.home.file("blobs")); err != nil {
			return err
		}
		r.admin = r.server.DSN(loading)
		if err := r.prepare(ctx, began); err != nil {
			return err
		}
		if _, err := postgres.Exec(ctx, `ALTER DATABASE `+loading+` RENAME TO `+database); err != nil {
			return fmt.Errorf("the demo is loaded and cannot be moved to its place: %w", pg.Translate(err))
		}
	}
	r.admin = r.server.DSN(database)
	return r.prepare(ctx, began)
}

// prepare migrates, sets passwords and clock, and loads the demo where there is none.
func (r *demoRun) prepare(ctx context.Context, began time.Time) error {
	if err := pg.Migrate(ctx, r.admin, migrations.FS, true); err != nil {
		return err
	}
	if err := r.onlyDemo(ctx); err != nil {
		return err
	}
	if err := pg.SetPasswords(ctx, r.admin, map[string]string{"frist_web": r.logins.Web, "frist_operator": r.logins.Operator, "frist_worker": r.logins.Worker}); err != nil {
		return err
	}
	base, err := url.Parse(r.admin)
	if err != nil || base.Host == "" {
		return errors.New("DATABASE_URL is not of the form postgres://user:password@host:port/database")
	}
	base.User = nil
	r.logins.Base = base.String()
	if err := r.home.keep(r.logins); err != nil {
		return err
	}
	state, latest, err := demo.Find(ctx, r.admin)
	if err != nil {
		return err
	}
	if err := r.setClock(ctx, latest); err != nil {
		return err
	}
	if state == demo.Loaded {
		return nil
	}
	return r.load(ctx, began)
}

// onlyDemo keeps the demo's clock, passwords and people out of a database that somebody works with.
func (r *demoRun) onlyDemo(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, r.admin)
	if err != nil {
		return pg.Translate(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is pending on it
	var is bool
	if err := conn.QueryRow(ctx, `SELECT demo FROM installation`).Scan(&is); err != nil {
		return pg.Translate(err)
	}
	if !is {
		return errors.New("this database was made without a demo and stays so; take another one")
	}
	return nil
}

// setClock puts the clock where FRIST_NOW says, else where it was; never behind what has happened in the demo (D8).
func (r *demoRun) setClock(ctx context.Context, latest time.Time) error {
	before, err := r.home.offset()
	if err != nil {
		return err
	}
	offset := before
	if r.Now != "" {
		wanted, err := parseNow(r.Now)
		if err != nil {
			return err
		}
		offset = time.Until(wanted)
		r.Now = "" // from here it runs on, also through the loading, after which we are asked once more
	}
	asked := time.Now().Add(offset)
	if behind := latest.Sub(asked); !latest.IsZero() && behind > 0 {
		offset += behind + time.Second
		if starts := inNorway(latest.Add(time.Second)); starts != inNorway(asked) {
			fmt.Fprintf(r.err, "The clock starts at %s in Norway, because things have happened in this demo until then.\n", starts)
		}
	}
	r.clock.offset.Store(int64(offset))
	if err := r.home.write("clock", []byte(offset.String()+"\n")); err != nil {
		return err
	}
	if moved := offset - before; moved != 0 && !latest.IsZero() { // nobody is signed out by a quarter that passes in a second
		web, err := r.logins.dsn("frist_web", r.logins.Web)
		if err != nil {
			return err
		}
		db, err := pg.Open(ctx, pg.Config{Web: web, Clock: r.clock.Now})
		if err != nil {
			return err
		}
		defer db.Close()
		return account.Travel(ctx, db, moved)
	}
	return nil
}

func (r *demoRun) dsns() (web, operator, worker string, err error) {
	web, err = r.logins.dsn("frist_web", r.logins.Web)
	if err == nil {
		operator, err = r.logins.dsn("frist_operator", r.logins.Operator)
	}
	if err == nil {
		worker, err = r.logins.dsn("frist_worker", r.logins.Worker)
	}
	return web, operator, worker, err
}

func (r *demoRun) load(ctx context.Context, began time.Time) error {
	fmt.Fprintln(r.out, "The first start makes three municipalities with made-up people; that takes half a minute.")
	web, operator, worker, err := r.dsns()
	if err != nil {
		return err
	}
	blobs, err := openBlobs(r.Home, "")
	if err != nil {
		return err
	}
	defer blobs.Close() //nolint:errcheck // a folder
	err = demo.Load(ctx, demo.Config{
		Admin: r.admin, Web: web, Operator: operator, Worker: worker, Blobs: blobs, Key: r.key, Start: r.clock.Now(), Password: r.logins.password, Log: r.log,
	})
	if err == nil {
		fmt.Fprintf(r.out, "Made in %s.\n", time.Since(began).Round(100*time.Millisecond))
	}
	return err
}

// persona is one line of demo.json, for scripts and tests.
type persona struct {
	Role         string `json:"role"`
	Municipality string `json:"municipality"`
	Login        string `json:"login"`
	Password     string `json:"password"`
	APIKey       string `json:"api_key"`
}

func (r *demoRun) serve(ctx context.Context, listener net.Listener) error {
	web, operator, worker, err := r.dsns()
	if err != nil {
		return err
	}
	blobs, err := openBlobs(r.Home, "")
	if err != nil {
		return err
	}
	defer blobs.Close() //nolint:errcheck // a folder
	db, err := pg.Open(ctx, pg.Config{Web: web, Operator: operator, Clock: r.clock.Now})
	if err != nil {
		return err
	}
	defer db.Close()
	at := address(r.Addr, listener.Addr())
	people, err := r.introduce(ctx, db, at)
	if err != nil {
		return err
	}
	house, closeDoor, err := door(r.key, at, false, r.log)
	if err != nil {
		return err
	}
	defer closeDoor()
	stopProvider, err := r.introduceAtProvider(ctx, db, house)
	if err != nil {
		return err
	}
	defer stopProvider()
	metrics := edge.NewMetrics()
	handler, err := pages(edge.Site{DB: db, Demo: true, Personas: people, Log: r.log, Verbose: true, House: house, Metrics: metrics}, blobs, r.key)
	if err != nil {
		return err
	}
	unobserved, err := observe(ctx, os.Getenv("FRIST_METRICS_ADDR"), metrics, db, r.log)
	if err != nil {
		return err
	}
	defer unobserved()
	stop, err := work(ctx, worker, r.clock.Now, blobs, r.key, r.log)
	if err != nil {
		return err
	}
	welcome(r.out, at, r.home, r.clock.Now())
	return errors.Join(serve(ctx, listener, handler, db, r.log), stop())
}

// introduce gives every persona a new key for the API (they may decide for twelve hours only) and writes demo.json.
func (r *demoRun) introduce(ctx context.Context, db *pg.DB, at string) ([]edge.Persona, error) {
	document := struct {
		URL      string    `json:"url"`
		Personas []persona `json:"personas"`
	}{URL: at}
	var people []edge.Persona
	for _, p := range demo.Personas() {
		key, err := demo.NewKey(ctx, db, p.Login)
		if err != nil {
			return nil, fmt.Errorf("%s has no account in this demo: %w", p.Login, err)
		}
		document.Personas = append(document.Personas, persona{string(p.Role), p.Municipality, p.Login, r.logins.password(p.Login), key})
		people = append(people, edge.Persona{Login: p.Login, Name: p.Name, Role: p.Role, Number: p.Municipality, Municipality: p.Town})
	}
	raw, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return nil, err
	}
	return people, r.home.write("demo.json", append(raw, '\n'))
}

// inNorway is what a clock on a Norwegian wall shows.
func inNorway(t time.Time) string {
	if zone, err := time.LoadLocation("Europe/Oslo"); err == nil {
		t = t.In(zone)
	}
	return t.Format("02.01.2006 15:04")
}

func welcome(w io.Writer, at string, h home, now time.Time) {
	fmt.Fprintf(w, `
Frist runs at %s
Sign in there with one click as anybody of the demo, or with a login and password from %s.
The clock shows %s in Norway. Ctrl-C stops everything; the next start goes on where this one ended.
`, at, h.file("demo.json"), inNorway(now))
}
