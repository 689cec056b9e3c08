package app

import (
	"sync"

	"github.com/matric/matric-events/domain"
)

// waiters lets callers wait for something known by an identifier.
type waiters struct {
	mu *sync.Mutex // guards m
	m  map[domain.UUID]chan struct{}
}

func newWaiters() waiters { return waiters{mu: new(sync.Mutex), m: map[domain.UUID]chan struct{}{}} }

func (w waiters) add(id domain.UUID) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := make(chan struct{})
	w.m[id] = ch
	return ch
}

func (w waiters) remove(id domain.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.m, id)
}

func (w waiters) done(id domain.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch, ok := w.m[id]; ok {
		close(ch)
		delete(w.m, id)
	}
}
