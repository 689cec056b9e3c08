package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// claimBatch is how many deliveries are claimed in one transaction, give or take those of one endpoint.
const claimBatch = 1024

// claim takes pending deliveries from the store as they fall due and their endpoints have room, until ctx ends. It asks
// the store nothing while nothing is due.
func (d *Dispatcher) claim(ctx context.Context) {
	for ctx.Err() == nil {
		rooms, wait := d.rooms(time.Now())
		if len(rooms) > 0 {
			d.claimFor(ctx, rooms)
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-d.claims:
		case <-due:
		case <-ctx.Done():
		}
	}
}

// rooms reserves places at the endpoints that have something due and room for it. Where there is nothing to claim it
// returns how long until there is, zero for never: whatever else could change that rings, as attempts do once they are
// settled.
func (d *Dispatcher) rooms(now time.Time) (rooms []webhook.Room, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	places := 0
	for id, e := range d.endpoints {
		hook, known := d.hooks.activation(id)
		if !known && e.idle() {
			delete(d.endpoints, id)
			continue
		}
		if !known || hook != webhook.Active || !e.wanting(&d.opts) {
			continue
		}
		if until := e.due.Sub(now); until > 0 {
			if wait == 0 || until < wait {
				wait = until
			}
			continue
		}
		room := webhook.Room{Webhook: id, Places: e.room(&d.opts)}
		e.due = time.Time{} // what is stored from here on notes its own
		e.reserved += room.Places
		rooms = append(rooms, room)
		if places += room.Places; places >= claimBatch {
			break
		}
	}
	return rooms, wait
}

// claimFor claims for the endpoints, and hands over what comes. It is tried until it succeeds: what a try that failed has
// put in flight nevertheless, the store gives back in the next.
func (d *Dispatcher) claimFor(ctx context.Context, rooms []webhook.Room) {
	var claimed []webhook.Delivery
	var next map[domain.UUID]time.Time
	err := persist(ctx, ctx, d.observer, "claim", func(ctx context.Context) (err error) {
		select {
		case d.writing <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("waiting for outcomes to be settled: %w", ctx.Err())
		}
		defer func() { <-d.writing }()
		claimed, next, err = d.store.Claim(ctx, d.lease, time.Now(), rooms)
		return err
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range rooms {
		d.at(r.Webhook).reserved -= r.Places
	}
	if err != nil {
		return // stopping; the next process takes it all over
	}
	for i := range claimed {
		d.enqueue(d.at(claimed[i].Webhook), claimed[i])
	}
	for id, due := range next {
		d.at(id).expect(due)
	}
	d.pump()
}
