package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/frist-app/frist/internal/access"
	"github.com/frist-app/frist/internal/edge"
	"github.com/frist-app/frist/internal/jobs"
	"github.com/frist-app/frist/internal/pg"
	"github.com/prometheus/client_golang/prometheus"
)

// observe serves the counters on a listener of their own, for Prometheus and nobody else; without an address it does
// nothing. The function that it gives ends it.
func observe(ctx context.Context, addr string, metrics *edge.Metrics, db *pg.DB, log *slog.Logger) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	listener, err := listen(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("FRIST_METRICS_ADDR: %w", err)
	}
	metrics.Registry.MustRegister(&queues{db: db})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler())
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	go func() { _ = server.Serve(listener) }() // it ends by stop
	log.InfoContext(ctx, "metrics", "addr", listener.Addr().String())
	return func() { _ = server.Close() }, nil
}

// queues tells how the jobs stand, as the platform administrator sees it: queues, states and counts.
type queues struct {
	db *pg.DB

	mu   sync.Mutex
	at   time.Time
	last jobs.Report
}

var (
	jobsInState   = prometheus.NewDesc("frist_jobs", "Jobs by queue and state.", []string{"queue", "state"}, nil)
	oldestWaiting = prometheus.NewDesc("frist_jobs_oldest_waiting_seconds", "How long the oldest job that could run has been waiting.", nil, nil)
	jobsGivenUp   = prometheus.NewDesc("frist_jobs_given_up", "Jobs that failed at every attempt, a hundred at the most: deletions that did not happen.", nil, nil)
	jobsReadable  = prometheus.NewDesc("frist_jobs_readable", "Whether the queues could be looked at.", nil, nil)
)

// Describe says what Collect gives.
func (q *queues) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{jobsInState, oldestWaiting, jobsGivenUp, jobsReadable} {
		out <- d
	}
}

// Collect asks the database, at most every ten seconds however often it is called.
func (q *queues) Collect(out chan<- prometheus.Metric) {
	q.mu.Lock()
	defer q.mu.Unlock()
	readable := 1.0
	now := time.Now() //nolint:forbidigo // how old a measurement is, not a time of the domain
	if now.Sub(q.at) > 10*time.Second {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := q.db.InTx(ctx, access.Caller{Roles: []access.Role{access.PlatformAdministrator}}, func(tx *pg.Tx) (err error) {
			q.last, err = jobs.Health(ctx, tx)
			return err
		})
		if err != nil {
			readable = 0
		} else {
			q.at = now
		}
	}
	out <- prometheus.MustNewConstMetric(jobsReadable, prometheus.GaugeValue, readable)
	if readable == 0 {
		return
	}
	for _, c := range q.last.Counts {
		out <- prometheus.MustNewConstMetric(jobsInState, prometheus.GaugeValue, float64(c.Jobs), c.Queue, c.State)
	}
	out <- prometheus.MustNewConstMetric(oldestWaiting, prometheus.GaugeValue, q.last.OldestWaiting.Seconds())
	out <- prometheus.MustNewConstMetric(jobsGivenUp, prometheus.GaugeValue, float64(len(q.last.GivenUp)))
}
