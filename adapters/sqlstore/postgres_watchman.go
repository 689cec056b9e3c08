package sqlstore

import (
	"context"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
)

const (
	// A reader that the bell wakes so often within a span stays awake, for the next record will come before it sleeps.
	busyRings = 10
	busySpan  = 100 * time.Millisecond

	awakePace = 3 * time.Millisecond  // between looks while awake
	awakeSpan = 50 * time.Millisecond // without a record, after which the reader goes to sleep

	// settleMost is between looks while a transaction is open that may have met an awake reader.
	settleMost = 250 * time.Millisecond
)

// watchman waits for records on PostgreSQL. Asleep, it waits for the bell, which the trigger on the outbox rings. But
// PostgreSQL has transactions that notify commit one after the other, and an application with many of them would feel that.
// So when there is much to do the watchman stays awake: it looks every few milliseconds, and holds a lock that tells the
// trigger not to ring.
//
// A transaction that met the lock, and commits when the watchman has gone to sleep, would not be noticed. Therefore, on the
// way to sleep, the watchman releases the lock, notes which transactions there may be, and goes on looking until these have
// ended: each got its number when it wrote to the outbox, before it met the lock. Those that come later ring.
type watchman struct {
	bell bell
	hold *sessionHold // on whose connection the lock is
	pool *sqlx.DB

	mu    sync.Mutex // guards all below, so that Wait can be called by anybody
	state watchState
	rings []time.Time // the last of them
	last  time.Time   // when there was a record
	until int64       // while it settles: the number of a transaction that came after those that may have met the lock
	pause time.Duration
}

type watchState int

const (
	asleep watchState = iota
	awake
	settling
)

// looked tells how many records there were at a look.
func (w *watchman) looked(records int) {
	if records == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
}

// wait implements outboxReader. While awake or settling it may return for nothing.
func (w *watchman) wait(ctx context.Context) error {
	w.mu.Lock()
	state, pause := w.state, w.pause
	quiet := time.Since(w.last) > awakeSpan
	w.mu.Unlock()
	switch {
	case state == awake && !quiet:
		return w.rest(ctx, awakePace, nil)
	case state == awake:
		return w.settle(ctx)
	case state == settling && w.settled(ctx):
		return ctx.Err() // after one more look it sleeps
	case state == settling:
		return w.rest(ctx, pause, w.bell)
	}
	if err := w.bell.wait(ctx); err != nil {
		return err
	}
	w.wake(ctx)
	return nil
}

// rest returns after a pause, or when the bell rings.
func (w *watchman) rest(ctx context.Context, pause time.Duration, b bell) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-b:
		b.ring() // until somebody looks
		w.wake(ctx)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake notes that the bell rang, and stays awake when it rings often. It does not if somebody tries the lock right now.
func (w *watchman) wake(ctx context.Context) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rings = append(w.rings, now)
	if len(w.rings) < busyRings {
		return
	}
	w.rings = w.rings[len(w.rings)-busyRings:]
	if now.Sub(w.rings[0]) > busySpan {
		return
	}
	w.rings = w.rings[:0]
	var locked bool
	if err := w.hold.ask(ctx, &locked, `SELECT pg_try_advisory_lock($1, 0)`, awakeLock); err == nil && locked {
		w.state, w.last = awake, now
	}
}

// settle begins to go to sleep.
func (w *watchman) settle(ctx context.Context) error {
	var released bool
	var until int64
	err := w.hold.ask(ctx, &released, `SELECT pg_advisory_unlock($1, 0)`, awakeLock)
	if err == nil {
		err = w.pool.GetContext(ctx, &until, currentXID)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state, w.until, w.pause = settling, until, awakePace
	if err != nil { // the lock goes with the connection; when that is there again, everybody looks
		w.state = asleep
	}
	return ctx.Err()
}

// settled reports whether the transactions that may have met an awake reader have ended.
func (w *watchman) settled(ctx context.Context) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var oldest int64
	err := w.pool.GetContext(ctx, &oldest, oldestXID)
	if err == nil && oldest < w.until {
		w.pause = min(2*w.pause, settleMost)
		return false
	}
	w.state = asleep
	return true
}
