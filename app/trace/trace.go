// Package trace carries the W3C trace context of producers along with events: from a request by its context, over what a
// database lies between by the identifiers of notes, jobs and events, in memory. What is remembered is bounded; what is
// forgotten, or was before a restart, has no trace, and nothing else is amiss.
package trace

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"github.com/matric/matric-events/domain"
)

type contextKey struct{}

// With returns a context of something that happens in a trace.
func With(ctx context.Context, t domain.Trace) context.Context {
	return context.WithValue(ctx, contextKey{}, &t)
}

// From returns the trace of a context; nil when there is none.
func From(ctx context.Context) *domain.Trace {
	t, _ := ctx.Value(contextKey{}).(*domain.Trace)
	return t
}

// Below returns a new place below one in the same trace, for a piece of work of ours; nil below none.
func Below(t *domain.Trace) *domain.Trace {
	if t == nil {
		return nil
	}
	var span [8]byte
	binary.BigEndian.PutUint64(span[:], rand.Uint64()|1) // zero stands for none
	child := t.Child(span)
	return &child
}

// maxRemembered bounds a Memory: about 4 MiB once it is full, and nothing as long as nobody sends a trace.
const maxRemembered = 1 << 15

// Memory remembers in which trace something happened to what an identifier names, and forgets the oldest. A nil Memory
// remembers nothing. Safe for concurrent use.
type Memory struct {
	mu    sync.Mutex // guards all below
	byID  map[domain.UUID]*domain.Trace
	order []domain.UUID // a ring once it is full
	next  int
}

// NewMemory returns an empty memory.
func NewMemory() *Memory { return &Memory{byID: map[domain.UUID]*domain.Trace{}} }

// Remember notes the trace of an identifier; nil forgets what was noted before.
func (m *Memory) Remember(id domain.UUID, t *domain.Trace) {
	if m == nil || id.IsZero() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, known := m.byID[id]
	switch {
	case known:
		m.byID[id] = t // its place in the order stays, so that there is one
		return
	case t == nil:
		return
	case len(m.order) < maxRemembered:
		m.order = append(m.order, id)
	default:
		delete(m.byID, m.order[m.next])
		m.order[m.next] = id
		m.next = (m.next + 1) % maxRemembered
	}
	m.byID[id] = t
}

// Recall returns the trace of an identifier; nil when none is remembered.
func (m *Memory) Recall(id domain.UUID) *domain.Trace {
	if m == nil || id.IsZero() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byID[id]
}
