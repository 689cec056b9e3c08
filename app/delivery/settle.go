package delivery

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/matric/matric-events/domain/webhook"
)

// settleBatch is how many outcomes are stored in one transaction at most.
const settleBatch = 256

// settle stores what became of deliveries until ctx ends and nothing is left. While one batch is stored the next one
// gathers.
func (d *Dispatcher) settle(ctx context.Context) {
	longer, end := outlive(ctx, stopPatience)
	defer end()
	for {
		stopping := ctx.Err() != nil
		switch batch := d.takeEnded(); {
		case len(batch) > 0:
			if !d.storeEnded(ctx, longer, batch) {
				return // the next process takes it over, as after a crash
			}
		case stopping:
			return
		default:
			select {
			case <-d.ends:
			case <-ctx.Done():
			}
		}
	}
}

func (d *Dispatcher) takeEnded() []*flight {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settling = min(len(d.ended), settleBatch)
	batch := slices.Clone(d.ended[:d.settling])
	d.ended = slices.Delete(d.ended, 0, d.settling)
	return batch
}

// storeEnded stores one batch, as persist does. It reports false when the dispatcher stops and the store fails.
func (d *Dispatcher) storeEnded(until, ctx context.Context, batch []*flight) bool {
	done := make([]webhook.Settled, 0, len(batch))
	for _, f := range batch {
		progress, err := d.after(f)
		if err != nil {
			d.observer.Anomaly("webhook_transition", err)
			continue
		}
		s := webhook.Settled{Delivery: f.ID, Webhook: f.Webhook, Progress: progress}
		if !f.released && f.outcome.Class() != webhook.ClassInterrupted {
			s.Attempt = webhook.Attempt{Number: f.Progress.Attempts(), Outcome: f.outcome}
		}
		done = append(done, s)
	}
	d.hooks.attempted(done)
	d.writing <- struct{}{}
	defer func() { <-d.writing }()
	// What is fenced off is of no interest: in a second try it may be what the first has stored after all.
	err := persist(until, ctx, d.observer, "settle", func(ctx context.Context) error {
		return d.hooks.withStates(ctx, done, func(states []webhook.State) error {
			_, err := d.store.Settle(ctx, d.lease, done, states)
			return err
		})
	})
	if err == nil {
		d.forget(batch, done)
	}
	return err == nil
}

// after returns where an outcome leaves its delivery.
func (d *Dispatcher) after(f *flight) (webhook.Progress, error) {
	switch {
	case f.released:
		return f.Progress.Release(f.ended)
	case f.sample && f.outcome.Class() == webhook.ClassInterrupted:
		return f.Progress.Cancel()
	case f.sample:
		return f.Progress.Settle(f.outcome, webhook.Plan{}, f.ended, 0)
	}
	plan := webhook.Plan{Policy: d.opts.Policy}
	if hook, err := d.hooks.Webhook(f.Webhook); err == nil {
		plan.Retries = hook.Retries
	}
	return f.Progress.Settle(f.outcome, plan, f.ended, rand.Float64())
}

// forget lets go of deliveries that are settled, but for when those that are pending again are due.
func (d *Dispatcher) forget(batch []*flight, done []webhook.Settled) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settling = 0
	for i := range done {
		if r := done[i].Progress.Record(); r.Status == webhook.Pending {
			d.at(done[i].Webhook).expect(r.DueAt)
		}
	}
	for _, f := range batch {
		if f.settled != nil {
			close(f.settled)
		}
		if e := d.endpoints[f.Webhook]; e != nil && f.outcome.Gone() {
			e.gone = false // the webhook knows
			d.list(e)
		}
	}
	d.pump()
	ring(d.claims) // places have become free
}
