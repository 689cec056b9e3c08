package telemetry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// Stores takes the times of what stores do. Its methods return stores that are timed. Use Observer.Stores.
type Stores struct {
	log    zerolog.Logger
	took   *prometheus.HistogramVec
	failed *prometheus.CounterVec
	dead   prometheus.Counter
}

// operations are what is timed, as metrics name it.
var operations = []string{
	"deliveries_record", "deliveries_claim", "deliveries_settle", "deliveries_take_over", "webhooks_read", "webhooks_change",
	"notes_write", "notes_read", "notes_list", "outbox_read", "outbox_remove", "jobs_enqueue", "jobs_count",
}

// Stores returns what times stores.
func (o *Observer) Stores() *Stores {
	s := &Stores{
		log:    o.log,
		took:   histograms(o.reg, "matric_store_duration_seconds", "How long operations of the store took, failed ones included.", publishBounds, "operation"),
		failed: counters(o.reg, "matric_store_errors_total", "Operations of the store that failed.", "operation"),
		dead:   prometheus.NewCounter(prometheus.CounterOpts{Name: "matric_webhook_dead_total", Help: "Deliveries that were given up."}),
	}
	o.reg.MustRegister(s.dead)
	for _, op := range operations {
		s.took.WithLabelValues(op)
		s.failed.WithLabelValues(op)
	}
	return s
}

// done notes that an operation has ended. What its caller asked wrongly for is no failure of the store.
func (s *Stores) done(operation string, start time.Time, err error) {
	s.took.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	if err != nil && !errors.Is(err, domain.ErrNotFound) && !errors.Is(err, domain.ErrConflict) && !errors.Is(err, domain.ErrInvalid) {
		s.failed.WithLabelValues(operation).Inc()
	}
}

// Deliveries times deliveries, and counts those that die.
func (s *Stores) Deliveries(next ports.Deliveries) ports.Deliveries { return timedDeliveries{next, s} }

type timedDeliveries struct {
	ports.Deliveries
	s *Stores
}

// Record implements ports.Deliveries.
func (t timedDeliveries) Record(ctx context.Context, lease domain.UUID, ds []webhook.Delivery) (left []domain.UUID, err error) {
	start := time.Now()
	left, err = t.Deliveries.Record(ctx, lease, ds)
	t.s.done("deliveries_record", start, err)
	return left, err
}

// Claim implements ports.Deliveries.
func (t timedDeliveries) Claim(ctx context.Context, lease domain.UUID, now time.Time, rooms []webhook.Room) (claimed []webhook.Delivery, next map[domain.UUID]time.Time, err error) {
	start := time.Now()
	claimed, next, err = t.Deliveries.Claim(ctx, lease, now, rooms)
	t.s.done("deliveries_claim", start, err)
	return claimed, next, err
}

// Settle implements ports.Deliveries.
func (t timedDeliveries) Settle(ctx context.Context, lease domain.UUID, done []webhook.Settled, states []webhook.State) (fenced []domain.UUID, err error) {
	start := time.Now()
	fenced, err = t.Deliveries.Settle(ctx, lease, done, states)
	t.s.done("deliveries_settle", start, err)
	if err == nil {
		t.s.bury(done, fenced)
	}
	return fenced, err
}

// TakeOver implements ports.Deliveries.
func (t timedDeliveries) TakeOver(ctx context.Context, lease domain.UUID, now time.Time) (next map[domain.UUID]time.Time, err error) {
	start := time.Now()
	next, err = t.Deliveries.TakeOver(ctx, lease, now)
	t.s.done("deliveries_take_over", start, err)
	return next, err
}

// bury counts and tells of deliveries that were given up; those that are fenced are another server's by now.
func (s *Stores) bury(done []webhook.Settled, fenced []domain.UUID) {
	for i := range done {
		if d := &done[i]; d.Progress.Status() == webhook.Dead && !slices.Contains(fenced, d.Delivery) {
			s.dead.Inc()
			s.log.Warn().Stringer("delivery.id", d.Delivery).Stringer("webhook.id", d.Webhook).
				Int("attempts", d.Progress.Attempts()).Msg("delivery given up")
		}
	}
}

// Webhooks times webhooks.
func (s *Stores) Webhooks(next ports.Webhooks) ports.Webhooks { return timedWebhooks{next, s} }

type timedWebhooks struct {
	next ports.Webhooks
	s    *Stores
}

// Webhooks implements ports.Webhooks.
func (t timedWebhooks) Webhooks(ctx context.Context) (hooks []webhook.Webhook, err error) {
	start := time.Now()
	hooks, err = t.next.Webhooks(ctx)
	t.s.done("webhooks_read", start, err)
	return hooks, err
}

// Change implements ports.Webhooks.
func (t timedWebhooks) Change(ctx context.Context, id domain.UUID, change func(current *webhook.Webhook) (*webhook.Webhook, error)) error {
	start := time.Now()
	err := t.next.Change(ctx, id, change)
	t.s.done("webhooks_change", start, err)
	return err
}
