package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/matric/matric-events/app/trace"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// redeliverBatch is how many deliveries are made due again in one transaction at most.
const redeliverBatch = 500

// Desk is where people ask about deliveries and have them sent. Safe for concurrent use.
type Desk struct {
	hooks      *Webhooks
	log        ports.DeliveryLog
	dispatcher *Dispatcher
	newID      func() domain.UUID
}

// NewDesk returns a desk.
func NewDesk(hooks *Webhooks, log ports.DeliveryLog, d *Dispatcher, newID func() domain.UUID) *Desk {
	return &Desk{hooks: hooks, log: log, dispatcher: d, newID: newID}
}

// Deliveries returns the deliveries of a webhook that q selects, newest first, as many as fit in a domain.Page, and
// whether there are more. A webhook or a q.Before that does not exist is ErrNotFound.
func (d *Desk) Deliveries(ctx context.Context, q webhook.Query) (list []webhook.Delivery, more bool, err error) {
	if _, err := d.hooks.Webhook(q.Webhook); err != nil {
		return nil, false, err
	}
	if list, more, err = d.log.Deliveries(ctx, q); err != nil {
		return nil, false, fmt.Errorf("delivery: list: %w", err)
	}
	return list, more, nil
}

// Delivery returns one delivery and its attempts that are kept, in order; or ErrNotFound.
func (d *Desk) Delivery(ctx context.Context, id domain.UUID) (webhook.Delivery, []webhook.Attempt, error) {
	delivery, attempts, err := d.log.Delivery(ctx, id)
	if err != nil {
		return webhook.Delivery{}, nil, fmt.Errorf("delivery: read: %w", err)
	}
	return delivery, attempts, nil
}

// Redeliver has one delivery sent again, with a fresh budget of retries; as soon as its webhook is enabled, if it is not.
// It returns the delivery, ErrNotFound, or ErrConflict when it is in flight.
func (d *Desk) Redeliver(ctx context.Context, id domain.UUID) (webhook.Delivery, error) {
	delivery, _, err := d.Delivery(ctx, id)
	if err != nil {
		return webhook.Delivery{}, err
	}
	defer d.dispatcher.due(delivery.Webhook) // whatever is returned: it may be stored nevertheless
	_, err = d.log.Redeliver(ctx, webhook.Selection{Delivery: id}, 1, func(p webhook.Progress) (next webhook.Progress, err error) {
		next, err = p.Redeliver(time.Now())
		if err == nil {
			delivery.Progress = next
		}
		return next, err
	})
	if err != nil {
		return webhook.Delivery{}, fmt.Errorf("delivery: redeliver: %w", err)
	}
	return delivery, nil
}

// RedeliverAll has those deliveries of a webhook sent again that r selects, and returns how many. Its own claims wait
// meanwhile, so that what dies again at once is not taken for something yet to be redelivered. On an error those counted
// are redelivered.
func (d *Desk) RedeliverAll(ctx context.Context, hook domain.UUID, r webhook.Redelivery) (count int, err error) {
	if _, err := d.hooks.Webhook(hook); err != nil {
		return 0, err
	}
	defer d.dispatcher.hold(hook)() // whatever is returned, as above
	for {
		n, err := d.log.Redeliver(ctx, webhook.Selection{Webhook: hook, Redelivery: r}, redeliverBatch, func(p webhook.Progress) (webhook.Progress, error) {
			return p.Redeliver(time.Now())
		})
		count += n
		if err != nil {
			return count, fmt.Errorf("delivery: redeliver: %w", err)
		}
		if n < redeliverBatch {
			return count, nil
		}
	}
}

// Test sends a webhook a signed sample now, whether it is enabled or not, and returns the delivery with what became of it:
// delivered, or dead, because it is not tried again. A test that the process's end interrupts is canceled.
func (d *Desk) Test(ctx context.Context, hook domain.UUID) (webhook.Delivery, error) {
	to, err := d.hooks.Webhook(hook)
	if err != nil {
		return webhook.Delivery{}, err
	}
	now := time.Now()
	e := domain.Event{ID: d.newID(), OccurredAt: now, Payload: sample(&to, d.newID())}
	test := webhook.Delivery{
		ID: d.newID(), Webhook: hook, Event: e.ID, Type: e.Type(), Payload: e.AppendJSON(nil), CreatedAt: now,
	}
	d.dispatcher.traces.Remember(e.ID, trace.From(ctx))
	test.Progress, _ = webhook.NewProgress(now).Begin() // a new one is always pending
	if err := d.dispatcher.test(ctx, &to, &test); err != nil {
		return webhook.Delivery{}, fmt.Errorf("delivery: test webhook %s: %w", hook, err)
	}
	test, _, err = d.Delivery(ctx, test.ID)
	return test, err
}
