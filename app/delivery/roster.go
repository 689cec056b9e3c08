package delivery

import (
	"slices"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// roster is all webhooks in memory. Matching and sending read it; whoever writes webhooks, here or in the store, holds
// writing, so that the two stay in step.
type roster struct {
	writing sync.Mutex // guards changed and stale, and comes before mu
	changed []func()
	stale   bool // a change may have been stored, or not

	mu    sync.RWMutex // guards all below
	hooks []webhook.Webhook
	place map[domain.UUID]int // in hooks
}

// Wanted returns the types that any active webhook is sent.
func (r *roster) Wanted() (set domain.TypeSet) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for i := range r.hooks {
		if r.hooks[i].Activation == webhook.Active {
			set |= r.hooks[i].Types()
		}
	}
	return set
}

// Match appends the IDs of the active webhooks that are sent events of this type.
func (r *roster) Match(t domain.Type, dst []domain.UUID) []domain.UUID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for i := range r.hooks {
		if h := &r.hooks[i]; h.Activation == webhook.Active && h.Wants(t) {
			dst = append(dst, h.ID)
		}
	}
	return dst
}

// List returns all webhooks, the oldest first.
func (r *roster) List() []webhook.Webhook {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.hooks)
}

// Webhook returns one webhook, or ErrNotFound.
func (r *roster) Webhook(id domain.UUID) (webhook.Webhook, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if i, ok := r.place[id]; ok {
		return r.hooks[i], nil
	}
	return webhook.Webhook{}, domain.ErrNotFound
}

func (r *roster) activation(id domain.UUID) (a webhook.Activation, known bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	i, known := r.place[id]
	if known {
		a = r.hooks[i].Activation
	}
	return a, known
}

// update gives a webhook as it is stored the state that it has in memory.
func (r *roster) update(w *webhook.Webhook) {
	if known, err := r.Webhook(w.ID); err == nil {
		w.Health, w.Activation, w.UpdatedAt = known.Health, known.Activation, known.UpdatedAt
	}
}

func (r *roster) replace(hooks []webhook.Webhook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hooks = hooks
	r.number()
}

func (r *roster) put(next webhook.Webhook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, ok := r.place[next.ID]; ok {
		r.hooks[i] = next
		return
	}
	r.place[next.ID] = len(r.hooks)
	r.hooks = append(r.hooks, next)
}

func (r *roster) remove(id domain.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hooks = slices.DeleteFunc(r.hooks, func(h webhook.Webhook) bool { return h.ID == id })
	r.number()
}

func (r *roster) number() {
	r.place = make(map[domain.UUID]int, len(r.hooks))
	for i := range r.hooks {
		r.place[r.hooks[i].ID] = i
	}
}

// attempt takes an outcome into account. It reports whether that has disabled the webhook.
func (r *roster) attempt(id domain.UUID, o webhook.Outcome, now time.Time) (disabled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.place[id]
	if !ok {
		return false
	}
	before := r.hooks[i].Activation
	r.hooks[i] = r.hooks[i].After(o, now)
	return r.hooks[i].Activation != before
}

// announce tells everybody that webhooks have changed. The caller holds writing.
func (r *roster) announce() {
	for _, f := range r.changed {
		f()
	}
}
