package edge

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts what happens at the door. Labels hold patterns, codes and kinds of our own: no path, no id, no account,
// no municipality, nothing that anybody sent.
type Metrics struct {
	Registry *prometheus.Registry

	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	tooMany  *prometheus.CounterVec
	signIns  *prometheus.CounterVec
	reports  *prometheus.CounterVec
}

// NewMetrics makes the counters, with those of the Go runtime.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "frist_requests_total", Help: "Requests by the route's pattern, method and class of status."}, []string{"route", "method", "class"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "frist_request_seconds", Help: "How long requests took, on pages and in the API.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30},
		}, []string{"side"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "frist_refusals_total", Help: "Requests that were not answered as asked, by code."}, []string{"code"}),
		tooMany:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "frist_rate_limited_total", Help: "Requests that came too often, by kind of act."}, []string{"kind"}),
		signIns:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "frist_sign_in_failures_total", Help: "Sign-ins that failed, by why."}, []string{"why"}),
		reports:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "frist_csp_reports_total", Help: "What browsers tell of the content security policy, by directive and kind of source."}, []string{"directive", "source"}),
	}
	m.Registry.MustRegister(m.requests, m.took, m.refusals, m.tooMany, m.signIns, m.reports, collectors.NewGoCollector())
	return m
}

// Handler answers what Prometheus asks. It belongs on a listener of its own that strangers do not reach.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{})
}

// methods are those that have a name of their own in the counters; whatever else somebody invents is "other".
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

func (m *Metrics) answered(route, method string, status int, api bool, took time.Duration) {
	if !slices.Contains(methods, method) {
		method = "other"
	}
	side := "page"
	if api {
		side = "api"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status/100)+"xx").Inc()
	m.took.WithLabelValues(side).Observe(took.Seconds())
}

// Refused counts a request of r that was answered otherwise than through Fail.
func Refused(r *http.Request, code string) { stateOf(r).site.Metrics.refused(code) }

func (m *Metrics) refused(code string) { m.refusals.WithLabelValues(code).Inc() }

func (m *Metrics) limited(kind string) { m.tooMany.WithLabelValues(kind).Inc() }

func (m *Metrics) signInFailed(why string) { m.signIns.WithLabelValues(why).Inc() }
