package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/frist-app/frist/internal/account"
	"github.com/frist-app/frist/internal/admin"
	"github.com/frist-app/frist/internal/audit"
	"github.com/frist-app/frist/internal/blob"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/pg"
	"github.com/frist-app/frist/internal/problem"
	"github.com/frist-app/frist/internal/rest"
	"github.com/go-chi/chi/v5"
)

type serveCommand struct {
	Addr           string   `env:"FRIST_ADDR" default:"localhost:8080" help:"Where to listen (${env})."`
	Home           string   `env:"FRIST_HOME" help:"Folder with the key and the recordings (${env})."`
	Blobs          string   `env:"FRIST_BLOBS" help:"Folder of the recordings, when not in the home (${env})."`
	TLS            bool     `env:"FRIST_TLS" help:"A proxy in front speaks TLS: cookies and headers say so (${env})."`
	URL            string   `env:"FRIST_URL" help:"Where people reach the site, as https://frist.example.no: for passkeys, links in mails and providers of identities (${env})."`
	Codes          bool     `env:"FRIST_ALLOW_CODES" help:"Support and operator may have one-time codes in place of a passkey (${env})."`
	Hosts          []string `env:"FRIST_HOSTS" help:"Names under which the site is reached, with the port where there is one; requests for others are refused (${env})."`
	Metrics        string   `name:"metrics-addr" env:"FRIST_METRICS_ADDR" help:"Where Prometheus may ask for counters, as localhost:9090; nowhere unless it is set (${env})."`
	TrustedProxies []string `env:"FRIST_TRUSTED_PROXIES" help:"Networks whose X-Forwarded-For is believed (${env})."`

	SecurityContact string    `env:"FRIST_SECURITY_CONTACT" help:"Where somebody who found a hole writes to, as mailto:security@example.no: makes /.well-known/security.txt (${env})."`
	SecurityPolicy  string    `env:"FRIST_SECURITY_POLICY" help:"Address of the policy for those reports (${env})."`
	SecurityExpires time.Time `env:"FRIST_SECURITY_EXPIRES" format:"2006-01-02" help:"The day on which security.txt expires, at most a year ahead (${env})."`
}

// Run serves until it is told to stop. It has no worker's connection: what it decides, a worker does.
func (s *serveCommand) Run(ctx context.Context, c console) error {
	web, err := dsn("FRIST_WEB_DSN", "the login frist_web")
	if err != nil {
		return err
	}
	operator, err := dsn("FRIST_OPERATOR_DSN", "the login frist_operator")
	if err != nil {
		return err
	}
	key, err := hashKey(s.Home)
	if err != nil {
		return err
	}
	blobs, err := openBlobs(s.Home, s.Blobs)
	if err != nil {
		return err
	}
	defer blobs.Close() //nolint:errcheck // a folder
	log := logger(c.err, slog.LevelInfo)
	house, closeDoor, err := door(key, s.URL, s.Codes, log)
	if err != nil {
		return err
	}
	defer closeDoor()
	listener, err := listen(ctx, s.Addr)
	if err != nil {
		return err
	}
	defer listener.Close() //nolint:errcheck // the server closes it too
	db, err := pg.Open(ctx, pg.Config{Web: web, Operator: operator})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrated(ctx, db); err != nil {
		return err
	}
	warn(ctx, web, log)
	security := edge.Security{Contact: s.SecurityContact, Policy: s.SecurityPolicy, Expires: s.SecurityExpires}
	metrics := edge.NewMetrics()
	handler, err := pages(edge.Site{DB: db, TLS: s.TLS, Hosts: s.Hosts, TrustedProxies: s.TrustedProxies, Log: log, House: house, Security: security, Metrics: metrics}, blobs, key)
	if err != nil {
		return err
	}
	unobserved, err := observe(ctx, s.Metrics, metrics, db, log)
	if err != nil {
		return err
	}
	defer unobserved()
	if warning := security.Warning(db.Now()); warning != "" {
		log.WarnContext(ctx, warning) // also said by /readyz, which somebody watches
	}
	log.InfoContext(ctx, "serving", "addr", listener.Addr().String())
	return serve(ctx, listener, handler, db, log)
}

// warn logs by what the database server is weaker than Frist counts on; frist check prints the same. It keeps nothing from
// starting: an old setting of the log must not stop the alarm desk.
func warn(ctx context.Context, address string, log *slog.Logger) {
	weak, err := pg.Weaknesses(ctx, address)
	if err != nil {
		log.WarnContext(ctx, "the database server was not checked", "type", fmt.Sprintf("%T", err))
	}
	for _, w := range weak {
		log.WarnContext(ctx, "the database server is weaker than it should be", "weakness", w)
	}
}

// migrated tells a person what to do instead of letting every page fail.
func migrated(ctx context.Context, db *pg.DB) error {
	var demo bool
	err := db.SignIn(ctx, func(tx *pg.Tx) error { return tx.QueryRow(ctx, `SELECT demo FROM installation`).Scan(&demo) })
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(problem.Unavailable)):
		return err
	}
	return fmt.Errorf("the database is not ready for this program; run frist migrate first: %w", err)
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s; choose another address with FRIST_ADDR: %w", addr, err)
	}
	return listener, nil
}

// pages puts the whole site together: everything that a request must pass, then pages and API for those who are signed in.
func pages(site edge.Site, blobs *blob.Store, key []byte) (http.Handler, error) {
	audit.RecordRefusals(site.DB)
	s, err := edge.New(site)
	if err != nil {
		return nil, err
	}
	mux := s.Mux()
	(&rest.Server{DB: site.DB, Site: s, Blobs: blobs, Key: key}).Routes(mux)
	mux.Group(func(r chi.Router) {
		r.Use(s.Signed)
		(&admin.Server{Site: s, DB: site.DB, Blobs: blobs, Key: key}).Routes(r)
	})
	(&admin.Server{Site: s, DB: site.DB}).PublicRoutes(mux)
	return mux, nil
}

const (
	drain     = 10 * time.Second
	tidyEvery = time.Hour
)

// newServer bounds what one connection may cost: how long its header and its body may take, and how large the header may be.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, WriteTimeout: 5 * time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// serve answers until ctx ends, then lets requests that have begun come to their end.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, db *pg.DB, log *slog.Logger) error {
	server := newServer(handler, log)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tidy.C:
			if err := account.Sweep(ctx, db); err != nil {
				log.WarnContext(ctx, "old sessions stay for another hour", "type", fmt.Sprintf("%T", err))
			}
			if err := edge.SweepLimits(ctx, db); err != nil {
				log.WarnContext(ctx, "old limits stay for another hour", "type", fmt.Sprintf("%T", err))
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
			defer cancel()
			err := server.Shutdown(last)
			if errors.Is(err, context.DeadlineExceeded) {
				err = server.Close() // those who still hang have had their time
			}
			return err
		}
	}
}
