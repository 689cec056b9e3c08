package telemetry

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/matric/matric-events/app/trace"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// publishBounds are buckets from what memory takes to what a database that fails takes.
var publishBounds = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}

// Publisher is a publisher that takes the time that another one needs. Use Observer.Publisher.
type Publisher struct {
	next  ports.Publisher
	took  *prometheus.HistogramVec
	spans ports.SpanSink
}

var _ ports.Publisher = (*Publisher)(nil)

// Publisher returns a publisher that observes what next does.
func (o *Observer) Publisher(next ports.Publisher) *Publisher {
	p := &Publisher{next: next, spans: o.spans, took: histograms(o.reg, "matric_publish_duration_seconds",
		"How long producers' calls took, from a valid body until every event was stored wherever it must not be lost.", publishBounds, "call", "result")}
	for _, call := range []string{"worker_events", "note_events"} {
		for _, result := range []string{"accepted", "refused", "unavailable", "failed"} {
			p.took.WithLabelValues(call, result)
		}
	}
	return p
}

// PublishWorkerEvents implements ports.Publisher.
func (p *Publisher) PublishWorkerEvents(ctx context.Context, batch []domain.WorkerEvent) (receipt ports.Receipt, err error) {
	err = p.observe(ctx, "worker_events", func(ctx context.Context) error {
		receipt, err = p.next.PublishWorkerEvents(ctx, batch)
		return err
	})
	return receipt, err
}

// PublishNoteEvents implements ports.Publisher.
func (p *Publisher) PublishNoteEvents(ctx context.Context, batch []domain.NoteEvent) (receipt ports.Receipt, err error) {
	err = p.observe(ctx, "note_events", func(ctx context.Context) error {
		receipt, err = p.next.PublishNoteEvents(ctx, batch)
		return err
	})
	return receipt, err
}

// observe times a call. When its spans go somewhere, its events happen below a span of the hub's own.
func (p *Publisher) observe(ctx context.Context, call string, publish func(ctx context.Context) error) error {
	var place *domain.Trace
	if p.spans != nil {
		if place = trace.Below(trace.From(ctx)); place != nil {
			ctx = trace.With(ctx, *place)
		}
	}
	start := time.Now()
	err := publish(ctx)
	end := time.Now()
	p.took.WithLabelValues(call, result(err)).Observe(end.Sub(start).Seconds())
	if place != nil {
		failed := ""
		if err != nil {
			failed = result(err)
		}
		p.spans.Span(ports.Span{Trace: *place, Name: "publish " + call, Start: start, End: end, Failed: failed})
	}
	return err
}

func result(err error) string {
	switch {
	case err == nil:
		return "accepted"
	case errors.Is(err, domain.ErrInvalid), errors.Is(err, domain.ErrConflict):
		return "refused"
	case errors.Is(err, domain.ErrUnavailable):
		return "unavailable"
	}
	return "failed"
}
