package sqlstore

import (
	"context"
	"sync"
)

// bell tells one waiter that it was rung since it was last silenced. It has a capacity of one.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default: // it rings already
	}
}

func (b bell) silence() {
	select {
	case <-b:
	default:
	}
}

// wait returns once the bell rings, and leaves it ringing.
func (b bell) wait(ctx context.Context) error {
	select {
	case <-b:
		b.ring()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitWatch knows who wants to hear of commits to which table.
type commitWatch struct {
	// mu guards fns, so that a table can get a listener while transactions run.
	mu  sync.RWMutex
	fns map[string][]func()
}

func newCommitWatch() *commitWatch { return &commitWatch{fns: map[string][]func(){}} }

func (w *commitWatch) add(table string, fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fns[table] = append(w.fns[table], fn)
}

func (w *commitWatch) watched(table string) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return len(w.fns[table]) > 0
}

// committed calls the listeners of a table; of every table if the name is empty.
func (w *commitWatch) committed(table string) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for t, fns := range w.fns {
		for _, fn := range fns {
			if table == "" || table == t {
				fn()
			}
		}
	}
}

// call calls the listeners of the tables.
func (w *commitWatch) call(tables map[string]bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for table := range tables {
		for _, fn := range w.fns[table] {
			fn()
		}
	}
}
