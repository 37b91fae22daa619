package webhook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Values of the label "reason" beside those of package denial.
const (
	reasonInjected = "Injected"
	reasonError    = "Error"
)

var (
	admissions = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "bff_webhook_admissions_total",
		Help: "Pods that asked for the sidecar, by result (allowed, denied) and reason.",
	}, []string{"result", "reason"})
	duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "bff_webhook_duration_seconds",
		Help:    "Time to answer one admission request.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	})
)

func init() { metrics.Registry.MustRegister(admissions, duration) }

func observe(allowed bool, reason string, took time.Duration) {
	result := "denied"
	if allowed {
		result = "allowed"
	}
	admissions.WithLabelValues(result, reason).Inc()
	duration.Observe(took.Seconds())
}
