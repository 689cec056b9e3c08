package ports

import (
	"context"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// Webhooks keeps webhooks, their secrets and header values encrypted. Safe for concurrent use. Checked by
// contract.Webhooks.
type Webhooks interface {
	// Webhooks returns all, the oldest first.
	Webhooks(ctx context.Context) ([]webhook.Webhook, error)
	// Change calls change with the webhook as it is, nil when there is none, and stores what change returns; nil deletes
	// it, and its deliveries with it. change sees no concurrent Change of the same webhook, may be called more than once,
	// and its error is returned as it is, with nothing stored.
	Change(ctx context.Context, id domain.UUID, change func(current *webhook.Webhook) (*webhook.Webhook, error)) error
}

// Deliveries is the sending side of the stored deliveries. A delivery in flight belongs to the lease under which it was
// recorded or claimed; one process holds one lease. Safe for concurrent use. Checked by contract.Deliveries.
type Deliveries interface {
	// Record stores new deliveries, pending or in flight under the lease, all or none, and durably before it returns. A
	// delivery of the same event to the same webhook, or to a webhook that is gone, is left out silently; it returns the
	// IDs of those that it left out. Recorded again under the same IDs, because an answer was lost, nothing is left out.
	Record(ctx context.Context, lease domain.UUID, ds []webhook.Delivery) (left []domain.UUID, err error)
	// Claim puts pending deliveries that are due in flight under the lease, the longest due first, for each webhook as many
	// as it has room for, and returns them as they are in flight. What a call that failed has put in flight nevertheless, the
	// next call gives back first. next holds, for each webhook asked for that has pending deliveries left, when the first of
	// them is due. Its cost does not grow with the number of deliveries that wait.
	Claim(ctx context.Context, lease domain.UUID, now time.Time, rooms []webhook.Room) (claimed []webhook.Delivery, next map[domain.UUID]time.Time, err error)
	// Settle stores what became of deliveries in flight, their attempts, and the webhooks' states, all or none; of a state the
	// health, and that an active webhook has become gone. Of a delivery that is not in flight under the lease any more
	// nothing is stored, and its ID is returned.
	Settle(ctx context.Context, lease domain.UUID, done []webhook.Settled, states []webhook.State) (fenced []domain.UUID, err error)
	// TakeOver puts deliveries that are in flight under any other lease back to pending, due at now, their attempts
	// uncounted, and returns for each webhook that has pending deliveries when the first is due.
	TakeOver(ctx context.Context, lease domain.UUID, now time.Time) (next map[domain.UUID]time.Time, err error)
}

// DeliveryLog is the side of the stored deliveries that people look at. Safe for concurrent use. Checked by
// contract.DeliveryLog.
type DeliveryLog interface {
	// Deliveries returns the deliveries that q selects, newest first, as many as fit in a domain.Page, and whether there are
	// more. A q.Before that does not exist is ErrNotFound.
	Deliveries(ctx context.Context, q webhook.Query) (list []webhook.Delivery, more bool, err error)
	// Delivery returns one delivery and its attempts that are kept, in order; or ErrNotFound.
	Delivery(ctx context.Context, id domain.UUID) (webhook.Delivery, []webhook.Attempt, error)
	// Redeliver applies change, in one transaction, to up to limit deliveries of the webhook with the status, created at or
	// after since, oldest first; and to one delivery alone when its ID is given. change's error on a single one is returned.
	// It returns how many were changed.
	Redeliver(ctx context.Context, s webhook.Selection, limit int, change func(webhook.Progress) (webhook.Progress, error)) (int, error)
	// Prune deletes up to limit deliveries that were delivered, or died or were canceled, before the times given, and
	// returns how many.
	Prune(ctx context.Context, delivered, dead time.Time, limit int) (int, error)
}

// A DeliveryMeter measures the stored deliveries. Its cost grows with what it counts: once in a while is often enough.
// Checked by contract.DeliveryMeter.
type DeliveryMeter interface {
	// Backlog returns the deliveries that are pending, in flight and dead, in this order; a status that none has is left out.
	Backlog(ctx context.Context) ([]webhook.Backlog, error)
}

// A Sender makes one delivery attempt and reports what happened. It does not retry, and it never blocks past its own
// timeout or the end of ctx, whatever the receiver does; an attempt cut off by ctx is ClassInterrupted. Safe for
// concurrent use. Checked by the tests of adapters/webhook, its one implementation.
type Sender interface {
	Send(ctx context.Context, r webhook.Request) webhook.Outcome
}
