package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

var (
	inFlight  = describeMetric("matric_webhook_deliveries_in_flight", "Deliveries in flight, by what they wait for: a place, the receiver's answer, the store.", "stage")
	endpoints = describeMetric("matric_webhook_endpoints", "Endpoints that have deliveries pending, or whose last attempt failed.", "state")
	backlog   = describeMetric("matric_webhook_backlog_deliveries", "Deliveries in the store that were not delivered, by status.", "state")
	oldest    = describeMetric("matric_webhook_backlog_oldest_age_seconds", "Since the oldest of them was created; 0 when there is none.", "state")
)

func (r *reader) collectWebhooks(ctx context.Context, ch samples) {
	if r.Webhooks != nil {
		s := r.Webhooks.Stats()
		ch.gauge(inFlight, float64(s.Waiting), "place")
		ch.gauge(inFlight, float64(s.Sending), "answer")
		ch.gauge(inFlight, float64(s.Unsettled), "store")
		ch.gauge(endpoints, float64(s.Pending), "pending")
		ch.gauge(endpoints, float64(s.Failing), "failing")
	}
	if r.Backlog == nil {
		return
	}
	now, counts, err := r.backlog.get(ctx, r.Backlog)
	if err != nil {
		return // that the store fails is counted with the store
	}
	for _, status := range []webhook.Status{webhook.Pending, webhook.InFlight, webhook.Dead} {
		count, age := 0, 0.0
		for _, b := range counts {
			if b.Status == status {
				count, age = b.Count, max(0, now.Sub(b.Oldest).Seconds())
			}
		}
		ch.gauge(backlog, float64(count), status.String())
		ch.gauge(oldest, age, status.String())
	}
}

// maxBacklogAge is how long a count stands, however many scrape: what it costs grows with the backlog.
const maxBacklogAge = 10 * time.Second

// backlogCache keeps the last count.
type backlogCache struct {
	mu     sync.Mutex // guards all below; held while counting, so that many scrapers cost one count
	at     time.Time
	counts []webhook.Backlog
}

func (c *backlogCache) get(ctx context.Context, meter ports.DeliveryMeter) (now time.Time, counts []webhook.Backlog, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = time.Now()
	if !c.at.IsZero() && now.Sub(c.at) < maxBacklogAge {
		return now, c.counts, nil
	}
	if counts, err = meter.Backlog(ctx); err == nil {
		c.at, c.counts = now, counts
	}
	return now, counts, err
}
