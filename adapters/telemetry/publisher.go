package telemetry

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// publishBounds are buckets from what memory takes to what a database that fails takes.
var publishBounds = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}

// Publisher is a publisher that takes the time that another one needs. Use Observer.Publisher.
type Publisher struct {
	next ports.Publisher
	took *prometheus.HistogramVec
}

var _ ports.Publisher = (*Publisher)(nil)

// Publisher returns a publisher that observes what next does.
func (o *Observer) Publisher(next ports.Publisher) *Publisher {
	p := &Publisher{next: next, took: histograms(o.reg, "matric_publish_duration_seconds",
		"How long producers' calls took, from a valid body until every event was stored wherever it must not be lost.", publishBounds, "call", "result")}
	for _, call := range []string{"worker_events", "note_events"} {
		for _, result := range []string{"accepted", "refused", "unavailable", "failed"} {
			p.took.WithLabelValues(call, result)
		}
	}
	return p
}

// PublishWorkerEvents implements ports.Publisher.
func (p *Publisher) PublishWorkerEvents(ctx context.Context, batch []domain.WorkerEvent) (ports.Receipt, error) {
	start := time.Now()
	receipt, err := p.next.PublishWorkerEvents(ctx, batch)
	p.took.WithLabelValues("worker_events", result(err)).Observe(time.Since(start).Seconds())
	return receipt, err
}

// PublishNoteEvents implements ports.Publisher.
func (p *Publisher) PublishNoteEvents(ctx context.Context, batch []domain.NoteEvent) (ports.Receipt, error) {
	start := time.Now()
	receipt, err := p.next.PublishNoteEvents(ctx, batch)
	p.took.WithLabelValues("note_events", result(err)).Observe(time.Since(start).Seconds())
	return receipt, err
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
