package delivery

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/signing"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// Webhooks is the use cases around webhooks themselves, and the copy of them in memory that events are matched against.
// Use Load. Safe for concurrent use.
type Webhooks struct {
	store ports.Webhooks
	newID func() domain.UUID

	mu      sync.RWMutex // guards all below
	hooks   []webhook.Webhook
	changed []func()
}

// Load reads all webhooks from the store.
func Load(ctx context.Context, store ports.Webhooks, newID func() domain.UUID) (*Webhooks, error) {
	hooks, err := store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	return &Webhooks{store: store, newID: newID, hooks: hooks}, nil
}

// OnChange has f called after each change of the webhooks. f must return at once.
func (w *Webhooks) OnChange(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed = append(w.changed, f)
}

// Wanted returns the types that any active webhook is sent.
func (w *Webhooks) Wanted() (set domain.TypeSet) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for i := range w.hooks {
		if w.hooks[i].Activation == webhook.Active {
			set |= w.hooks[i].Types()
		}
	}
	return set
}

// Match appends the IDs of the active webhooks that are sent events of this type.
func (w *Webhooks) Match(t domain.Type, dst []domain.UUID) []domain.UUID {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for i := range w.hooks {
		if h := &w.hooks[i]; h.Activation == webhook.Active && h.Wants(t) {
			dst = append(dst, h.ID)
		}
	}
	return dst
}

// List returns all webhooks, the oldest first.
func (w *Webhooks) List() []webhook.Webhook {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return slices.Clone(w.hooks)
}

// Webhook returns one webhook, or ErrNotFound.
func (w *Webhooks) Webhook(id domain.UUID) (webhook.Webhook, error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if i := w.find(id); i >= 0 {
		return w.hooks[i], nil
	}
	return webhook.Webhook{}, domain.ErrNotFound
}

func (w *Webhooks) find(id domain.UUID) int {
	return slices.IndexFunc(w.hooks, func(h webhook.Webhook) bool { return h.ID == id })
}

// Create makes a webhook. Events published from its return on are delivered to it.
func (w *Webhooks) Create(ctx context.Context, c webhook.Create) (webhook.Webhook, error) {
	id := w.newID()
	return w.change(ctx, id, func(*webhook.Webhook, time.Time) (webhook.Webhook, error) {
		return c.Webhook(id, entropy(), time.Now())
	})
}

// Update applies a patch, or returns ErrNotFound.
func (w *Webhooks) Update(ctx context.Context, id domain.UUID, p webhook.Patch) (webhook.Webhook, error) {
	return w.change(ctx, id, func(current *webhook.Webhook, now time.Time) (webhook.Webhook, error) {
		if current == nil {
			return webhook.Webhook{}, domain.ErrNotFound
		}
		return p.Apply(*current, now), nil
	})
}

// Rotate gives a webhook a new secret; the present one stays valid for the overlap.
func (w *Webhooks) Rotate(ctx context.Context, id domain.UUID, overlap time.Duration) (webhook.Webhook, error) {
	return w.change(ctx, id, func(current *webhook.Webhook, now time.Time) (webhook.Webhook, error) {
		if current == nil {
			return webhook.Webhook{}, domain.ErrNotFound
		}
		return current.Rotate(entropy(), now, overlap)
	})
}

// Delete removes a webhook and its deliveries, or returns ErrNotFound.
func (w *Webhooks) Delete(ctx context.Context, id domain.UUID) error {
	err := w.store.Change(ctx, id, func(current *webhook.Webhook) (*webhook.Webhook, error) {
		if current == nil {
			return nil, domain.ErrNotFound
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.hooks = slices.DeleteFunc(slices.Clone(w.hooks), func(h webhook.Webhook) bool { return h.ID == id })
	w.mu.Unlock()
	w.announce()
	return nil
}

// change stores what f makes of a webhook, then puts it in the copy in memory.
func (w *Webhooks) change(ctx context.Context, id domain.UUID, f func(current *webhook.Webhook, now time.Time) (webhook.Webhook, error)) (next webhook.Webhook, err error) {
	err = w.store.Change(ctx, id, func(current *webhook.Webhook) (*webhook.Webhook, error) {
		if current != nil {
			if known, err := w.Webhook(id); err == nil {
				current.Health = known.Health // what attempts have just found out may not be stored yet
			}
		}
		next, err = f(current, time.Now())
		return &next, err
	})
	if err != nil {
		return webhook.Webhook{}, err
	}
	w.put(next)
	w.announce()
	return next, nil
}

func (w *Webhooks) put(next webhook.Webhook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hooks := slices.Clone(w.hooks) // lists given out stay as they are
	if i := w.find(next.ID); i >= 0 {
		hooks[i] = next
	} else {
		hooks = append(hooks, next)
	}
	w.hooks = hooks
}

func (w *Webhooks) announce() {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for _, f := range w.changed {
		f()
	}
}

// attempted takes an attempt's outcome into account and returns the state to store. ok is false when the webhook is gone.
func (w *Webhooks) attempted(id domain.UUID, o webhook.Outcome, now time.Time) (s webhook.State, ok bool) {
	w.mu.Lock()
	i := w.find(id)
	if i < 0 {
		w.mu.Unlock()
		return s, false
	}
	before := w.hooks[i].Activation
	w.hooks[i] = w.hooks[i].After(o, now)
	s = w.hooks[i].State()
	w.mu.Unlock()
	if s.Activation != before {
		w.announce()
	}
	return s, true
}

// entropy returns random bytes for a secret.
func entropy() []byte {
	b := make([]byte, signing.MinEntropy)
	_, _ = rand.Read(b) // never fails
	return b
}
