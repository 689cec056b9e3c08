package delivery

import (
	"context"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// claim takes pending deliveries from the store as they fall due and their endpoints have room, until ctx ends. It asks
// the store nothing while nothing is due.
func (d *Dispatcher) claim(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		rooms, wait := d.rooms(time.Now())
		if len(rooms) > 0 {
			d.claimFor(ctx, rooms)
			continue
		}
		if wait < 0 {
			timer.Stop()
		} else {
			timer.Reset(wait)
		}
		select {
		case <-d.claims:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// rooms returns the endpoints that have something due and room for it; and otherwise how long until one has something due,
// negative for never.
func (d *Dispatcher) rooms(now time.Time) (rooms []webhook.Room, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait = -1
	for _, e := range d.order {
		if e.due.IsZero() {
			continue
		}
		// Half empty is soon enough, and makes for fewer claims of more deliveries each.
		if e.held() > d.opts.PerEndpoint {
			continue // a result rings again
		}
		if hook, err := d.hooks.Webhook(e.id); err != nil || hook.Activation != webhook.Active {
			continue // held; a change of the webhook rings again
		}
		if until := e.due.Sub(now); until > 0 {
			if wait < 0 || until < wait {
				wait = until
			}
			continue
		}
		free := 2*d.opts.PerEndpoint - e.held()
		if e.failing {
			free = 1
		}
		rooms = append(rooms, webhook.Room{Webhook: e.id, Places: free})
		e.due = time.Time{} // what is recorded from here on notes its own
	}
	return rooms, wait
}

// claimFor claims for the endpoints, and hands over what comes.
func (d *Dispatcher) claimFor(ctx context.Context, rooms []webhook.Room) {
	var claimed []webhook.Delivery
	var next map[domain.UUID]time.Time
	if err := persist(ctx, d.observer, "claim", func(ctx context.Context) (err error) {
		claimed, next, err = d.store.Claim(ctx, d.lease, time.Now(), rooms)
		return err
	}); err != nil {
		return // stopping
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range claimed {
		e := d.at(claimed[i].Webhook)
		e.queue = append(e.queue, claimed[i])
	}
	for id, due := range next {
		d.at(id).expect(due)
	}
	d.pump()
}
