package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the sidecar's metrics, in a registry of their own. It is safe for
// concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	inFlight  prometheus.Gauge

	logins       *prometheus.CounterVec
	logouts      *prometheus.CounterVec
	refreshes    *prometheus.CounterVec
	revocations  *prometheus.CounterVec
	created      prometheus.Counter
	refused      prometheus.Counter
	storeErrors  *prometheus.CounterVec
	reloads      *prometheus.CounterVec
	reloadGood   prometheus.Gauge
	reloadTime   prometheus.Gauge
	generation   prometheus.Gauge
	drainingFlag prometheus.Gauge
}

// NewMetrics makes the metrics of a sidecar of this version.
func NewMetrics(version string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "bff", Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "bff", Name: name, Help: help})
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("requests_total", "Requests by what answered them (a route's name, an endpoint, application, none) and class of status code.", "route", "code"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "bff", Name: "request_duration_seconds",
			Help:    "Time from a request's header to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}, []string{"route"}),
		inFlight:     gauge("requests_in_flight", "Requests that are being answered."),
		logins:       counter("logins_total", "Logins that have ended, by result (success, failure) and reason.", "result", "reason"),
		logouts:      counter("logouts_total", "Logouts by result (success, failure) and reason.", "result", "reason"),
		refreshes:    counter("token_refreshes_total", "Token refreshes by result (success, failure) and reason.", "result", "reason"),
		revocations:  counter("token_revocations_total", "Refresh tokens that the provider was told to forget, by result (success, failure) and reason.", "result", "reason"),
		created:      prometheus.NewCounter(prometheus.CounterOpts{Namespace: "bff", Name: "sessions_created_total", Help: "Sessions created."}),
		refused:      prometheus.NewCounter(prometheus.CounterOpts{Namespace: "bff", Name: "sessions_refused_total", Help: "Sessions that ended because the provider refused their refresh token."}),
		storeErrors:  counter("store_errors_total", "Calls of the session store that failed, by operation.", "operation"),
		reloads:      counter("config_reloads_total", "Readings of a changed configuration by result (success, failure).", "result"),
		reloadGood:   gauge("config_last_reload_successful", "Whether the configuration that is mounted is the one in force (1) or could not be used (0)."),
		reloadTime:   gauge("config_last_reload_success_timestamp_seconds", "When a configuration was last put in force."),
		generation:   gauge("policy_generation", "metadata.generation of the policy in force."),
		drainingFlag: gauge("draining", "Whether this sidecar is draining (1)."),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "bff", Name: "build_info", Help: "Always 1; its label is the version.",
		ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.durations, m.inFlight, m.logins, m.logouts, m.refreshes, m.revocations, m.created, m.refused,
		m.storeErrors, m.reloads, m.reloadGood, m.reloadTime, m.generation, m.drainingFlag, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics. At most four scrapes are served at once.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Login counts a login that has ended. reason is empty for a success, which is
// also a new session.
func (m *Metrics) Login(reason string) {
	m.logins.WithLabelValues(result(reason == ""), reason).Inc()
	if reason == "" {
		m.created.Inc()
	}
}

// Logout counts a logout. reason is empty for a success.
func (m *Metrics) Logout(reason string) {
	m.logouts.WithLabelValues(result(reason == ""), reason).Inc()
}

// Revocation counts a token revocation. reason is empty for a success.
func (m *Metrics) Revocation(reason string) {
	m.revocations.WithLabelValues(result(reason == ""), reason).Inc()
}

// Refresh counts a token refresh. reason is empty for a success.
func (m *Metrics) Refresh(reason string) {
	m.refreshes.WithLabelValues(result(reason == ""), reason).Inc()
}

// SessionRefused counts a session that ended since its refresh token is dead.
func (m *Metrics) SessionRefused() { m.refused.Inc() }

// StoreError counts a failed call of the session store.
func (m *Metrics) StoreError(operation string) { m.storeErrors.WithLabelValues(operation).Inc() }

// Reloaded notes a reading of the configuration.
func (m *Metrics) Reloaded(ok bool, now time.Time, generation int64) {
	m.reloads.WithLabelValues(result(ok)).Inc()
	m.reloadGood.Set(0)
	if ok {
		m.reloadGood.Set(1)
		m.reloadTime.Set(float64(now.Unix()))
		m.generation.Set(float64(generation))
	}
}

// Draining notes that the sidecar drains.
func (m *Metrics) Draining() { m.drainingFlag.Set(1) }

func result(ok bool) string {
	if ok {
		return "success"
	}
	return "failure"
}
