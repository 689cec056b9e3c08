package telemetry

import (
	"context"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// Sender is a sender that logs and counts the attempts that another one makes. Use Observer.Sender.
type Sender struct {
	next     ports.Sender
	spans    ports.SpanSink
	log      zerolog.Logger
	attempts *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

var _ ports.Sender = (*Sender)(nil)

// The outcomes of an attempt, as metrics name them.
const (
	succeeded   = "success"
	failed      = "failure"
	interrupted = "interrupted"
)

// Sender returns a sender that observes what next does.
func (o *Observer) Sender(next ports.Sender) *Sender {
	s := &Sender{
		next: next, log: o.log, spans: o.spans,
		attempts: counters(o.reg, "matric_webhook_attempts_total", "Delivery attempts, by outcome and by what kept them from succeeding.", "outcome", "class"),
		took: histograms(o.reg, "matric_webhook_attempt_duration_seconds", "How long attempts took, from the look-up of the name to the last byte.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15}, "outcome"),
	}
	for class := webhook.ClassNone; class <= webhook.ClassInterrupted; class++ {
		s.attempts.WithLabelValues(outcome(class), class.String())
	}
	for _, name := range []string{succeeded, failed, interrupted} {
		s.took.WithLabelValues(name)
	}
	return s
}

func outcome(class webhook.Class) string {
	switch class {
	case webhook.ClassNone:
		return succeeded
	case webhook.ClassInterrupted:
		return interrupted
	}
	return failed
}

// Send implements ports.Sender.
func (s *Sender) Send(ctx context.Context, r webhook.Request) webhook.Outcome {
	o := s.next.Send(ctx, r)
	class := o.Class()
	s.attempts.WithLabelValues(outcome(class), class.String()).Inc()
	s.took.WithLabelValues(outcome(class)).Observe(o.Timings.Total.Seconds())
	if r.Trace != nil && s.spans != nil {
		s.spans.Span(attemptSpan(&r, &o))
	}
	level := zerolog.DebugLevel
	if outcome(class) == failed {
		level = zerolog.WarnLevel
	}
	// Only the endpoint's origin: the path of its URL may be a secret, too.
	e := s.log.WithLevel(level).Stringer("delivery.id", r.Delivery).Stringer("webhook.id", r.Webhook).
		Stringer("event.type", r.Type).Stringer("event.id", r.Event).Int("attempt", r.Attempt).Stringer("endpoint", r.URL).
		Str("outcome", outcome(class)).Int64("duration_ms", o.Timings.Total.Milliseconds())
	if r.Trace != nil {
		e = e.Str("trace_id", r.Trace.TraceID())
	}
	if o.StatusCode != 0 {
		e = e.Int("status_code", o.StatusCode)
	}
	if class != webhook.ClassNone {
		e = e.Stringer("error_class", class)
	}
	if o.Detail != "" && tells(class) {
		e = e.Str("error", excerpt(o.Detail))
	}
	e.Msg("webhook attempt")
	return o
}

func attemptSpan(r *webhook.Request, o *webhook.Outcome) ports.Span {
	attributes := map[string]string{
		"event.id": r.Event.String(), "event.type": r.Type.String(), "webhook.id": r.Webhook.String(), "delivery.id": r.Delivery.String(),
		"attempt": strconv.Itoa(r.Attempt), "endpoint": r.URL.String(),
	}
	if o.StatusCode != 0 {
		attributes["http.response.status_code"] = strconv.Itoa(o.StatusCode)
	}
	return ports.Span{
		Trace: *r.Trace, Name: "webhook attempt", Client: true, Start: o.StartedAt, End: o.StartedAt.Add(o.Timings.Total),
		Failed: o.Class().String(), Attributes: attributes,
	}
}

// tells reports whether the detail of a failure comes from our side of the connection. What an answer that is no HTTP
// said could be anything, such as what it was sent.
func tells(class webhook.Class) bool {
	switch class {
	case webhook.ClassDNS, webhook.ClassBlockedAddress, webhook.ClassConnect, webhook.ClassTLS, webhook.ClassTimeout, webhook.ClassReset:
		return true
	}
	return false
}
