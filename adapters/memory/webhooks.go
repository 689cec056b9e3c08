package memory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

var (
	_ ports.Webhooks      = (*WebhookStore)(nil)
	_ ports.Deliveries    = (*WebhookStore)(nil)
	_ ports.DeliveryLog   = (*WebhookStore)(nil)
	_ ports.DeliveryMeter = (*WebhookStore)(nil)
)

// A Fault decides how a call of the store named, such as Settle, goes: whether it is done, and which error it returns.
// What a store that has lost its answer looks like is done and an error.
type Fault func(call string) (apply bool, err error)

// WebhookStore keeps webhooks and their deliveries, secrets in clear. Use NewWebhookStore. Safe for concurrent use.
type WebhookStore struct {
	mu         sync.Mutex // guards all below, so that each call is seen as a whole or not at all
	fault      Fault
	hooks      []*hookRow
	deliveries map[domain.UUID]*deliveryRow
	lost       []claim // by calls that returned an error
}

// hookRow is one webhook and its deliveries.
type hookRow struct {
	webhook.Webhook
	deliveries []*deliveryRow // in the order of their creation
	events     map[domain.UUID]bool
	due        dueHeap
}

// deliveryRow is one delivery as it is stored.
type deliveryRow struct {
	webhook.Delivery
	hook     *hookRow
	lease    domain.UUID // whose it is, while in flight
	endedAt  time.Time   // when it was delivered, died or was canceled
	attempts []webhook.Attempt
}

// NewWebhookStore returns an empty store.
func NewWebhookStore() *WebhookStore {
	return &WebhookStore{deliveries: map[domain.UUID]*deliveryRow{}}
}

// Break makes f decide over every call from now on; nil ends that.
func (s *WebhookStore) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// call does work as one transaction. When work fails, it must have changed nothing.
func (s *WebhookStore) call(ctx context.Context, name string, work func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.fault == nil {
		return work()
	}
	apply, fault := s.fault(name)
	if apply {
		if err := work(); err != nil {
			return err
		}
	}
	return fault
}

func (s *WebhookStore) hook(id domain.UUID) (place int, row *hookRow) {
	for i, h := range s.hooks {
		if h.ID == id {
			return i, h
		}
	}
	return -1, nil
}

// Webhooks implements ports.Webhooks.
func (s *WebhookStore) Webhooks(ctx context.Context) (all []webhook.Webhook, err error) {
	err = s.call(ctx, "Webhooks", func() error {
		all = make([]webhook.Webhook, 0, len(s.hooks))
		for _, h := range s.hooks {
			all = append(all, h.Webhook)
		}
		slices.SortFunc(all, func(a, b webhook.Webhook) int {
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), compareIDs(a.ID, b.ID))
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Change implements ports.Webhooks.
func (s *WebhookStore) Change(ctx context.Context, id domain.UUID, change func(current *webhook.Webhook) (*webhook.Webhook, error)) error {
	return s.call(ctx, "Change", func() error {
		place, row := s.hook(id)
		var current *webhook.Webhook
		if row != nil {
			cp := row.Webhook
			current = &cp
		}
		next, err := change(current)
		switch {
		case err != nil:
			return err
		case next == nil && row == nil:
		case next == nil:
			s.hooks = slices.Delete(s.hooks, place, place+1)
			for _, d := range row.deliveries {
				delete(s.deliveries, d.ID)
			}
		case row == nil:
			s.hooks = append(s.hooks, &hookRow{Webhook: *next, events: map[domain.UUID]bool{}})
		default:
			row.Webhook = *next
		}
		return nil
	})
}
