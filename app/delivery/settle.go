package delivery

import (
	"context"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// settleBatch is how many results are stored in one transaction at most.
const settleBatch = 256

// settle stores results until ctx ends and none are left. While one batch is stored the next one gathers.
func (d *Dispatcher) settle(ctx context.Context) {
	for {
		batch := d.takeResults()
		if len(batch) > 0 {
			d.storeResults(ctx, batch)
			continue
		}
		select {
		case <-d.results:
		case <-ctx.Done():
			if batch = d.takeResults(); len(batch) == 0 {
				return
			}
			d.storeResults(ctx, batch)
		}
	}
}

func (d *Dispatcher) takeResults() []result {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(d.settled), settleBatch)
	batch := d.settled[:n:n]
	if d.settled = d.settled[n:]; len(d.settled) == 0 {
		d.settled = nil
	}
	return batch
}

// storeResults stores one batch. What cannot be stored, because the process stops while the store fails, is taken over by the
// next process, as after a crash.
func (d *Dispatcher) storeResults(ctx context.Context, batch []result) {
	now := time.Now()
	done := make([]webhook.Settled, 0, len(batch))
	states := map[domain.UUID]webhook.State{}
	for i := range batch {
		r := &batch[i]
		progress, err := d.next(r, now)
		if err != nil {
			d.observer.Anomaly("webhook_transition", err)
			continue
		}
		s := webhook.Settled{Delivery: r.delivery.ID, Webhook: r.delivery.Webhook, Progress: progress}
		if !r.released && r.outcome.Class() != webhook.ClassInterrupted {
			s.Attempt = webhook.Attempt{Number: r.delivery.Progress.Attempts(), Outcome: r.outcome}
			if state, ok := d.hooks.attempted(s.Webhook, r.outcome, now); ok {
				states[s.Webhook] = state
			}
		}
		done = append(done, s)
	}
	changed := make([]webhook.State, 0, len(states))
	for _, s := range states {
		changed = append(changed, s)
	}
	var fenced []domain.UUID
	if err := persist(ctx, d.observer, "settle", func(ctx context.Context) (err error) {
		fenced, err = d.store.Settle(ctx, d.lease, done, changed)
		return err
	}); err != nil {
		return
	}
	d.reschedule(done, fenced)
}

// reschedule notes when the deliveries that are pending again are due.
func (d *Dispatcher) reschedule(done []webhook.Settled, fenced []domain.UUID) {
	gone := make(map[domain.UUID]bool, len(fenced))
	for _, id := range fenced {
		gone[id] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range done {
		if r := done[i].Progress.Record(); r.Status == webhook.Pending && !gone[done[i].Delivery] {
			d.at(done[i].Webhook).expect(r.DueAt)
			ring(d.claims)
		}
	}
	ring(d.claims) // places have become free
}
