// Package telemetry shows operators what happens: structured logs by zerolog and metrics for Prometheus. Neither ever
// holds a secret, a query string or a note's content.
package telemetry

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Observer logs and counts what it is told. Use NewObserver.
type Observer struct {
	log       zerolog.Logger
	opened    *prometheus.CounterVec
	closed    *prometheus.CounterVec
	refused   *prometheus.CounterVec
	anomalies *prometheus.CounterVec
}

var _ ports.Observer = (*Observer)(nil)

// NewObserver returns an observer that registers its counters.
func NewObserver(log zerolog.Logger, reg prometheus.Registerer) *Observer {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	return &Observer{
		log:       log,
		opened:    counter("matric_connections_opened_total", "Connections that were accepted.", "transport"),
		closed:    counter("matric_connections_closed_total", "Connections that ended, by close code or cause.", "transport", "cause"),
		refused:   counter("matric_connections_refused_total", "Connections that were refused, by the limit that was reached.", "transport", "reason"),
		anomalies: counter("matric_anomalies_total", "Things that should not happen, by kind; the log has the details.", "kind"),
	}
}

// ConnectionOpened implements ports.Observer.
func (o *Observer) ConnectionOpened(c domain.Connection) {
	o.opened.WithLabelValues(c.Transport).Inc()
	describe(o.log.Info(), c).Msg("connection opened")
}

// ConnectionClosed implements ports.Observer.
func (o *Observer) ConnectionClosed(c domain.Connection, reason string) {
	o.closed.WithLabelValues(c.Transport, cause(reason)).Inc()
	describe(o.log.Info(), c).Str("reason", reason).Uint64("delivered", c.Delivered).Uint64("lag", c.Lag).
		Int64("duration_ms", time.Since(c.Since).Milliseconds()).Msg("connection closed")
}

// cause is the bounded part of a reason: what comes before details.
func cause(reason string) string {
	word, _, _ := strings.Cut(reason, ":")
	if strings.HasPrefix(word, "peer ") {
		return "peer"
	}
	return word
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
	o.log.Warn().Str("kind", kind).Err(err).Msg("anomaly")
}
