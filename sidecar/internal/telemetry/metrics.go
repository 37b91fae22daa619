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
	eventStreams *prometheus.CounterVec
	created      prometheus.Counter
	ended        *prometheus.CounterVec
	finds        prometheus.Counter
	storeCalls   *prometheus.CounterVec
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
		logouts:      counter("logouts_total", "Logouts by flow (logout, logout_continue, backchannel_logout, frontchannel_logout), result (success, failure) and reason.", "flow", "result", "reason"),
		refreshes:    counter("token_refreshes_total", "Token refreshes by result (success, failure) and reason.", "result", "reason"),
		revocations:  counter("token_revocations_total", "Refresh tokens that the provider was told to forget, by result (success, failure) and reason.", "result", "reason"),
		eventStreams: counter("event_streams_total", "Streams of session events that have ended, by result (success, failure) and reason.", "result", "reason"),
		created:      prometheus.NewCounter(prometheus.CounterOpts{Namespace: "bff", Name: "sessions_created_total", Help: "Sessions created."}),
		ended:        counter("sessions_ended_total", "Sessions that this sidecar has ended, by reason. Those that ran out are not among them.", "reason"),
		finds:        prometheus.NewCounter(prometheus.CounterOpts{Namespace: "bff", Name: "session_finds_total", Help: "Sessions that requests asked for. Those that were not loaded from the store, see bff_store_calls_total, were in memory."}),
		storeCalls:   counter("store_calls_total", "Calls of the session store by operation.", "operation"),
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
	m.registry.MustRegister(m.requests, m.durations, m.inFlight, m.logins, m.logouts, m.refreshes, m.revocations, m.eventStreams, m.created, m.ended,
		m.finds, m.storeCalls, m.storeErrors, m.reloads, m.reloadGood, m.reloadTime, m.generation, m.drainingFlag, build,
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

// Logout counts a logout of a flow. reason is empty for a success.
func (m *Metrics) Logout(flow, reason string) {
	m.logouts.WithLabelValues(flow, result(reason == ""), reason).Inc()
}

// Revocation counts a token revocation. reason is empty for a success.
func (m *Metrics) Revocation(reason string) {
	m.revocations.WithLabelValues(result(reason == ""), reason).Inc()
}

// Refresh counts a token refresh. reason is empty for a success.
func (m *Metrics) Refresh(reason string) {
	m.refreshes.WithLabelValues(result(reason == ""), reason).Inc()
}

// EventStream counts a stream of session events that has ended. reason is empty
// for a success.
func (m *Metrics) EventStream(reason string) {
	m.eventStreams.WithLabelValues(result(reason == ""), reason).Inc()
}

// SessionsEnded counts sessions that were ended for a reason.
func (m *Metrics) SessionsEnded(n int, reason string) {
	m.ended.WithLabelValues(reason).Add(float64(n))
}

// SessionFind counts a session that a request asked for.
func (m *Metrics) SessionFind() { m.finds.Inc() }

// StoreCalls is the counter of an operation of the session store.
func (m *Metrics) StoreCalls(operation string) prometheus.Counter {
	return m.storeCalls.WithLabelValues(operation)
}

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

// ClockOffset exposes how far the provider's clock is ahead of this machine's, as
// long as offset knows. It may be called once.
func (m *Metrics) ClockOffset(offset func() (time.Duration, bool)) {
	m.registry.MustRegister(clockOffset(offset))
}

// clockOffset is a gauge that is not there while its value is not known.
type clockOffset func() (time.Duration, bool)

var clockOffsetDesc = prometheus.NewDesc("bff_provider_clock_offset_seconds",
	"How far the identity provider's clock is ahead of this machine's, by its latest answer.", nil, nil)

// Describe implements prometheus.Collector.
func (clockOffset) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- clockOffsetDesc }

// Collect implements prometheus.Collector.
func (c clockOffset) Collect(metrics chan<- prometheus.Metric) {
	if offset, ok := c(); ok {
		metrics <- prometheus.MustNewConstMetric(clockOffsetDesc, prometheus.GaugeValue, offset.Seconds())
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
