package delivery

import (
	"context"
	"crypto/rand"
	"fmt"
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
	roster
}

// Load reads all webhooks from the store.
func Load(ctx context.Context, store ports.Webhooks, newID func() domain.UUID) (*Webhooks, error) {
	hooks, err := store.Webhooks(ctx)
	if err != nil {
		return nil, fmt.Errorf("delivery: load webhooks: %w", err)
	}
	w := &Webhooks{store: store, newID: newID}
	w.replace(hooks)
	return w, nil
}

// OnChange has f called now, and after each change of the webhooks, one call at a time. f must return at once, and must
// not change webhooks.
func (w *Webhooks) OnChange(f func()) {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.changed = append(w.changed, f)
	f()
}

// Create makes a webhook. Events published from its return on are delivered to it.
func (w *Webhooks) Create(ctx context.Context, c webhook.Create) (webhook.Webhook, error) {
	id := w.newID()
	return w.change(ctx, id, func(*webhook.Webhook) (*webhook.Webhook, error) {
		next, err := c.Webhook(id, entropy(), time.Now())
		return &next, err
	})
}

// Update applies a patch, or returns ErrNotFound.
func (w *Webhooks) Update(ctx context.Context, id domain.UUID, p webhook.Patch) (webhook.Webhook, error) {
	return w.change(ctx, id, existing(func(current webhook.Webhook) (*webhook.Webhook, error) {
		next := p.Apply(current, time.Now())
		return &next, nil
	}))
}

// Rotate gives a webhook a new secret; the present one stays valid for the overlap. It returns ErrNotFound, or
// ErrConflict when too many overlap already.
func (w *Webhooks) Rotate(ctx context.Context, id domain.UUID, overlap time.Duration) (webhook.Webhook, error) {
	return w.change(ctx, id, existing(func(current webhook.Webhook) (*webhook.Webhook, error) {
		next, err := current.Rotate(entropy(), time.Now(), overlap)
		return &next, err
	}))
}

// Delete removes a webhook and its deliveries, or returns ErrNotFound.
func (w *Webhooks) Delete(ctx context.Context, id domain.UUID) error {
	_, err := w.change(ctx, id, existing(func(webhook.Webhook) (*webhook.Webhook, error) { return nil, nil }))
	return err
}

func existing(f func(current webhook.Webhook) (*webhook.Webhook, error)) func(*webhook.Webhook) (*webhook.Webhook, error) {
	return func(current *webhook.Webhook) (*webhook.Webhook, error) {
		if current == nil {
			return nil, domain.ErrNotFound
		}
		return f(*current)
	}
}

// change stores what f makes of a webhook, then does the same to the copy in memory.
func (w *Webhooks) change(ctx context.Context, id domain.UUID, f func(current *webhook.Webhook) (*webhook.Webhook, error)) (webhook.Webhook, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.refresh(ctx); err != nil {
		return webhook.Webhook{}, err
	}
	var next *webhook.Webhook
	var refused error
	err := w.store.Change(ctx, id, func(current *webhook.Webhook) (*webhook.Webhook, error) {
		if current != nil {
			w.update(current) // what attempts have just found out may not be stored yet
		}
		next, refused = f(current)
		return next, refused
	})
	switch {
	case refused != nil:
		return webhook.Webhook{}, refused
	case err != nil: // it may be stored nevertheless
		w.stale = true
		_ = try(context.WithoutCancel(ctx), w.refresh) // otherwise before the next write
		return webhook.Webhook{}, fmt.Errorf("delivery: change webhook %s: %w", id, err)
	case next == nil:
		w.remove(id)
		next = &webhook.Webhook{}
	default:
		w.put(*next)
	}
	w.announce()
	return *next, nil
}

// refresh reads the webhooks again, if a change has failed so that nobody knows what is stored. The caller holds
// w.writing.
func (w *Webhooks) refresh(ctx context.Context) error {
	if !w.stale {
		return nil
	}
	hooks, err := w.store.Webhooks(ctx)
	if err != nil {
		return fmt.Errorf("delivery: read webhooks: %w", err)
	}
	for i := range hooks {
		if known, err := w.Webhook(hooks[i].ID); err == nil {
			hooks[i].Health = known.Health
			if hooks[i].Activation == webhook.Active && known.Activation == webhook.Gone && known.UpdatedAt.After(hooks[i].UpdatedAt) {
				hooks[i].Activation, hooks[i].UpdatedAt = known.Activation, known.UpdatedAt // which is yet to be stored
			}
		}
	}
	w.replace(hooks)
	w.stale = false
	w.announce()
	return nil
}

// attempted takes the attempts that have been settled into account.
func (w *Webhooks) attempted(done []webhook.Settled) {
	w.writing.Lock()
	defer w.writing.Unlock()
	now := time.Now()
	changed := false
	for i := range done {
		if done[i].Attempt.Number > 0 {
			changed = w.attempt(done[i].Webhook, done[i].Attempt.Outcome, now) || changed
		}
	}
	if changed {
		w.announce()
	}
}

// withStates has store called with the states of the webhooks that were attempted. No change of a webhook comes in
// between: what is stored last is what is in memory.
func (w *Webhooks) withStates(ctx context.Context, done []webhook.Settled, store func([]webhook.State) error) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.refresh(ctx); err != nil {
		return err
	}
	seen := map[domain.UUID]bool{}
	var states []webhook.State
	for i := range done {
		if id := done[i].Webhook; done[i].Attempt.Number > 0 && !seen[id] {
			seen[id] = true
			if hook, err := w.Webhook(id); err == nil {
				states = append(states, hook.State())
			}
		}
	}
	return store(states)
}

// entropy returns random bytes for a secret.
func entropy() []byte {
	b := make([]byte, signing.MinEntropy)
	_, _ = rand.Read(b) // never fails
	return b
}
