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
	Bridge   *app.Bridge
	Registry *app.Registry
	Streams  Streams
	Mirror   *Mirror
	Logs     *Logs
	Queue    ports.JobCounter
	Webhooks interface{ Stats() delivery.Stats }
	Outbox   ports.OutboxMeter
	Backlog  ports.DeliveryMeter
	Spans    interface{ Dropped() uint64 } // nil without a collector: none are lost then
}

// NewRegistry returns a registry with the metrics of the Go runtime, the process and the build.
func NewRegistry(version string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "matric_build_info", Help: "Always 1; the labels say what runs."}, []string{"version", "go"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return reg
}

// Metrics serves what the observer and those that it has made count, and what is read from the sources. It may be called
// once.
func (o *Observer) Metrics(s Sources) http.Handler {
	o.reg.MustRegister(&reader{Sources: s})
	return promhttp.HandlerFor(o.reg, promhttp.HandlerOpts{})
}

// described are all descriptions that describe has made.
var described []*prometheus.Desc

func describeMetric(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc(name, help, labels, nil)
	described = append(described, d)
	return d
}

var (
	published    = describeMetric("matric_events_published_total", "Events appended to the log, by where they came from: producers' calls (api), the outbox, or the hub itself.", "type", "source")
	logEvents    = describeMetric("matric_log_events", "Events kept for replay.")
	logBytes     = describeMetric("matric_log_bytes", "Their size as JSON.")
	logAge       = describeMetric("matric_log_oldest_age_seconds", "Age of the oldest kept event.")
	readerLag    = describeMetric("matric_reader_lag_events", "Events that a reader of the log has yet to pass: the mirror, the slowest of the connections; those that the recorder of webhooks has yet to store.", "reader")
	readerMissed = describeMetric("matric_reader_missed_events_total", "Events that readers did not get because the log no longer had them.", "reader")
	connections  = describeMetric("matric_connections", "Open connections.", "transport")
	jobs         = describeMetric("matric_queue_jobs", "Jobs that are not finished.", "state")
	outboxDepth  = describeMetric("matric_outbox_records", "Changes that are committed and not yet published.")
	outboxAge    = describeMetric("matric_outbox_oldest_age_seconds", "Since the oldest of them was written.")
	droppedSpans = describeMetric("matric_spans_dropped_total", "Spans that the collector did not take in time.")
	droppedLines = describeMetric("matric_logger_dropped_lines_total", "Lines that could not be written in time.")
)

// reader reads the sources at each scrape.
type reader struct {
	Sources
	backlog backlogCache
	streams streamCounts
}

// Describe implements prometheus.Collector.
func (r *reader) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range described {
		ch <- d
	}
}

// samples sends metrics of one scrape.
type samples chan<- prometheus.Metric

func (ch samples) gauge(d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (ch samples) counter(d *prometheus.Desc, v uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// Collect implements prometheus.Collector.
func (r *reader) Collect(to chan<- prometheus.Metric) {
	ch := samples(to)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r.collectLog(ch)
	r.collectConnections(ch)
	if r.Streams != nil {
		collectStreams(ch, r.streams.risen(r.Streams.Stats()))
	}
	if r.Mirror != nil {
		behind, missed := r.Mirror.Lag()
		ch.gauge(readerLag, float64(behind), "mirror")
		ch.counter(readerMissed, missed, "mirror")
	}
	if r.Logs != nil {
		ch.counter(droppedLines, r.Logs.Dropped())
	}
	if r.Outbox != nil {
		if s, err := r.Outbox.Stats(ctx); err == nil {
			ch.gauge(outboxDepth, float64(s.Records))
			ch.gauge(outboxAge, s.Oldest.Seconds())
		}
	}
	lost := uint64(0)
	if r.Spans != nil {
		lost = r.Spans.Dropped()
	}
	ch.counter(droppedSpans, lost)
	if r.Queue != nil {
		if q, err := r.Queue.CountJobs(ctx); err == nil {
			ch.gauge(jobs, float64(q.Running), "running")
			ch.gauge(jobs, float64(q.Pending), "pending")
		}
	}
	r.collectWebhooks(ctx, ch)
}

func (r *reader) collectLog(ch samples) {
	if r.Bridge != nil {
		reported, drained := r.Bridge.Published()
		for t := range (domain.AllTypes &^ domain.Set(domain.TypeQueueStatus)).All() {
			ch.counter(published, reported[t], t.String(), "api")
			ch.counter(published, drained[t], t.String(), "outbox")
		}
	}
	if r.Log == nil {
		return
	}
	s := r.Log.Stats()
	ch.counter(published, s.Published[domain.TypeQueueStatus], domain.TypeQueueStatus.String(), "hub") // nobody else may
	ch.gauge(logEvents, float64(s.Entries))
	ch.gauge(logBytes, float64(s.Bytes))
	ch.gauge(readerLag, float64(s.Unstored), "webhooks")
	age := 0.0
	if !s.Oldest.IsZero() {
		age = max(0, time.Since(s.Oldest).Seconds())
	}
	ch.gauge(logAge, age)
}

func (r *reader) collectConnections(ch samples) {
	if r.Registry == nil {
		return
	}
	count := map[string]float64{}
	var slowest uint64
	for c := range r.Registry.Each() {
		count[c.Transport]++
		slowest = max(slowest, c.Lag)
	}
	for _, transport := range transports {
		ch.gauge(connections, count[transport], transport)
	}
	ch.gauge(readerLag, float64(slowest), "connections")
}
