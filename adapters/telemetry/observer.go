package telemetry

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Observer logs and counts what it is told. Use NewObserver.
type Observer struct {
	reg       *prometheus.Registry
	log       zerolog.Logger
	opened    *prometheus.CounterVec
	closed    *prometheus.CounterVec
	lasted    *prometheus.HistogramVec
	refused   *prometheus.CounterVec
	anomalies *prometheus.CounterVec
	healthy   *prometheus.GaugeVec
	spans     ports.SpanSink // nil for nowhere

	mu     sync.Mutex // guards ailing: lines tell of changes, in order
	ailing string     // the part that was told to fail last
}

var _ ports.Observer = (*Observer)(nil)

// NewObserver returns an observer that registers its metrics.
func NewObserver(log zerolog.Logger, reg *prometheus.Registry) *Observer {
	o := &Observer{
		reg: reg, log: log,
		opened: counters(reg, "matric_connections_opened_total", "Connections that were accepted.", "transport"),
		closed: counters(reg, "matric_connections_closed_total",
			"Connections that ended: by whom or what, and the close code where there is one.", "transport", "cause", "code"),
		lasted: histograms(reg, "matric_connection_duration_seconds", "How long connections lasted.",
			[]float64{0.1, 1, 10, 60, 600, 3600, 6 * 3600, 86400}, "transport"),
		refused:   counters(reg, "matric_connections_refused_total", "Connections that were refused, by the limit that was reached.", "transport", "reason"),
		anomalies: counters(reg, "matric_anomalies_total", "Things that should not happen, by kind; the log has the details.", "kind"),
		healthy: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matric_healthy", Help: "0 for the part of the hub that failed its last check, by itself every 5 s; 1 for the others.",
		}, []string{"part"}),
	}
	reg.MustRegister(o.healthy)
	for _, part := range app.HealthParts {
		o.healthy.WithLabelValues(part).Set(1)
	}
	for _, transport := range transports {
		o.opened.WithLabelValues(transport)
		o.lasted.WithLabelValues(transport)
		o.closed.WithLabelValues(transport, "server", "")
		for _, reason := range []string{"connections", "connections_per_ip", "handshakes_per_second", "draining"} {
			o.refused.WithLabelValues(transport, reason)
		}
	}
	for _, kind := range []string{
		"late_event", "outbox", "outbox_record", "outbox_long", "queue_count", "queue_status", "job", "otlp", "capture", "capture_fault",
		"webhook_record", "webhook_claim", "webhook_settle", "webhook_take_over", "webhook_transition", "webhook_prune",
	} {
		o.anomalies.WithLabelValues(kind)
	}
	return o
}

// TraceTo has spans of what is observed go to the sink. It must come before Sender and Publisher.
func (o *Observer) TraceTo(sink ports.SpanSink) { o.spans = sink }

// transports are the ways to be connected; app.StreamStats has the first three.
var transports = []string{"websocket", "sse", "poll", "mcp"}

func counters(reg prometheus.Registerer, name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	reg.MustRegister(v)
	return v
}

func histograms(reg prometheus.Registerer, name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels)
	reg.MustRegister(v)
	return v
}

// ConnectionOpened implements ports.Observer.
func (o *Observer) ConnectionOpened(c domain.Connection) {
	o.opened.WithLabelValues(c.Transport).Inc()
	describe(o.log.Info(), c).Msg("connection opened")
}

// ConnectionClosed implements ports.Observer.
func (o *Observer) ConnectionClosed(c domain.Connection, reason string) {
	cause, code := ending(reason)
	lasted := time.Since(c.Since)
	o.closed.WithLabelValues(c.Transport, cause, label(code)).Inc()
	o.lasted.WithLabelValues(c.Transport).Observe(lasted.Seconds())
	e := describe(o.log.Info(), c).Str("cause", cause)
	if code != 0 {
		e = e.Int("close_code", code)
	}
	if cause != reason && code == 0 {
		e = e.Str("reason", excerpt(reason))
	}
	e.Uint64("delivered", c.Delivered).Uint64("lag", c.Lag).Int64("duration_ms", lasted.Milliseconds()).Msg("connection closed")
}

// causes are the first words of reasons that have no close code.
var causes = []string{"answered", "attach", "connection lost", "ended", "handshake", "peer", "server stopped", "write"}

// ending takes a reason apart: a close code of the server's, "peer" and the peer's, or words, then perhaps details.
func ending(reason string) (cause string, code int) {
	if n, err := strconv.Atoi(reason); err == nil {
		return "server", n
	}
	if rest, ok := strings.CutPrefix(reason, "peer "); ok {
		n, _ := strconv.Atoi(rest) // none is zero
		return "peer", n
	}
	cause, _, _ = strings.Cut(reason, ":")
	if !slices.Contains(causes, cause) {
		cause = "other"
	}
	return cause, 0
}

// label is a close code as a label: there are few.
func label(code int) string {
	switch {
	case code == 0:
		return ""
	case code >= 1000 && code <= 1015, code == 4008:
		return strconv.Itoa(code)
	}
	return "other"
}

func describe(e *zerolog.Event, c domain.Connection) *zerolog.Event {
	e = e.Stringer("connection.id", c.ID).Str("transport", c.Transport).Str("remote", c.Remote)
	if c.User != "" {
		e = e.Str("user", c.User)
	}
	return e
}

// Refused implements ports.Observer.
func (o *Observer) Refused(transport, reason string) {
	o.refused.WithLabelValues(transport, reason).Inc()
	o.log.Debug().Str("transport", transport).Str("limit", reason).Msg("connection refused")
}

// Anomaly implements ports.Observer.
func (o *Observer) Anomaly(kind string, err error) {
	o.anomalies.WithLabelValues(kind).Inc()
	o.log.Warn().Str("kind", kind).Str("error", excerpt(err.Error())).Msg("anomaly")
}

// Health is told which part of the hub has failed its check; none has when part is empty.
func (o *Observer) Health(part string, err error) {
	for _, p := range app.HealthParts {
		well := 1.0
		if p == part {
			well = 0
		}
		o.healthy.WithLabelValues(p).Set(well)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case part != "" && part != o.ailing:
		o.log.Error().Str("part", part).Str("error", excerpt(err.Error())).Msg("unhealthy")
	case part == "" && o.ailing != "":
		o.log.Info().Str("part", o.ailing).Msg("healthy again")
	}
	o.ailing = part
}

// Fault logs a request that failed for an internal reason. method and path are the request's; a query is never among them.
func (o *Observer) Fault(method, path string, err error) {
	text := err.Error()
	if cause, stack, ok := strings.Cut(text, "\n"); ok { // of a panic, where it was is worth more than its words
		o.log.Error().Str("method", method).Str("path", excerpt(path)).Str("error", excerpt(cause)).Str("stack", stack).Msg("request failed")
		return
	}
	o.log.Error().Str("method", method).Str("path", excerpt(path)).Str("error", excerpt(text)).Msg("request failed")
}
