package telemetry

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Sources are what the metrics are read from when they are scraped. A nil member has no metrics.
type Sources struct {
	Log      *eventlog.Log
	Registry *app.Registry
	Queue    ports.JobCounter
	Webhooks interface{ Stats() delivery.Stats }
	Outbox   ports.OutboxMeter
}

// NewRegistry returns a registry with the metrics of the Go runtime, the process and the build.
func NewRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "matric_build_info", Help: "Always 1; the labels say what runs."}, []string{"version", "go"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return reg
}

// Handler serves the registry's metrics and those read from the sources.
func Handler(reg *prometheus.Registry, s Sources) http.Handler {
	reg.MustRegister(&reader{s})
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

var (
	published   = prometheus.NewDesc("matric_events_published_total", "Events appended to the log.", []string{"type"}, nil)
	logEvents   = prometheus.NewDesc("matric_log_events", "Events kept for replay.", nil, nil)
	logBytes    = prometheus.NewDesc("matric_log_bytes", "Their size as JSON.", nil, nil)
	logAge      = prometheus.NewDesc("matric_log_oldest_age_seconds", "Age of the oldest kept event.", nil, nil)
	unstored    = prometheus.NewDesc("matric_log_unstored_events", "Events that a gating reader has yet to store.", nil, nil)
	connections = prometheus.NewDesc("matric_connections", "Open connections.", []string{"transport"}, nil)
	lag         = prometheus.NewDesc("matric_connection_lag_max_events", "Events that the slowest connection has yet to pass.", nil, nil)
	jobs        = prometheus.NewDesc("matric_queue_jobs", "Jobs that are not finished.", []string{"state"}, nil)
	outboxDepth = prometheus.NewDesc("matric_outbox_records", "Changes that are committed and not yet published.", nil, nil)
	outboxAge   = prometheus.NewDesc("matric_outbox_oldest_age_seconds", "Since the oldest of them was written.", nil, nil)
	deliveries  = prometheus.NewDesc("matric_webhook_deliveries_in_flight", "Deliveries in flight, by what they wait for.", []string{"stage"}, nil)
	endpoints   = prometheus.NewDesc("matric_webhook_endpoints", "Endpoints that have deliveries pending, or whose last attempt failed.", []string{"state"}, nil)
)

// reader reads the sources at each scrape.
type reader struct{ Sources }

// Describe implements prometheus.Collector.
func (r *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{published, logEvents, logBytes, logAge, unstored, connections, lag, jobs, outboxDepth, outboxAge, deliveries, endpoints} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *reader) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if r.Log != nil {
		s := r.Log.Stats()
		for t := range domain.AllTypes.All() {
			ch <- prometheus.MustNewConstMetric(published, prometheus.CounterValue, float64(s.Published[t]), t.String())
		}
		gauge(logEvents, float64(s.Entries))
		gauge(logBytes, float64(s.Bytes))
		gauge(unstored, float64(s.Unstored))
		if !s.Oldest.IsZero() {
			gauge(logAge, time.Since(s.Oldest).Seconds())
		}
	}
	if r.Registry != nil {
		count := map[string]float64{"websocket": 0, "sse": 0, "poll": 0}
		var slowest uint64
		for _, c := range r.Registry.List() {
			count[c.Transport]++
			slowest = max(slowest, c.Lag)
		}
		for transport, n := range count {
			gauge(connections, n, transport)
		}
		gauge(lag, float64(slowest))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if r.Outbox != nil {
		if s, err := r.Outbox.Stats(ctx); err == nil {
			gauge(outboxDepth, float64(s.Records))
			gauge(outboxAge, s.Oldest.Seconds())
		}
	}
	if r.Queue != nil {
		if q, err := r.Queue.CountJobs(ctx); err == nil {
			gauge(jobs, float64(q.Running), "running")
			gauge(jobs, float64(q.Pending), "pending")
		}
	}
	if r.Webhooks != nil {
		s := r.Webhooks.Stats()
		gauge(deliveries, float64(s.Waiting), "place")
		gauge(deliveries, float64(s.Sending), "answer")
		gauge(deliveries, float64(s.Unsettled), "store")
		gauge(endpoints, float64(s.Pending), "pending")
		gauge(endpoints, float64(s.Failing), "failing")
	}
}
