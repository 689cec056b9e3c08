package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// QueueMonitor counts jobs and publishes a QueueStatus when the counts have changed, at most one per interval; and one
// every 30 s while somebody listens. Use NewQueueMonitor, then Run.
type QueueMonitor struct {
	log      *eventlog.Log
	newID    func() domain.UUID
	observer ports.Observer
	interval time.Duration
	changed  chan struct{}
	demanded chan struct{}

	mu       sync.Mutex // guards all below; held while counting, so that many askers cost one count
	listened []func() bool
	counters []ports.JobCounter
	fresh    bool
	last     domain.QueueStatus
	lastAt   time.Time
}

var _ QueueWatcher = (*QueueMonitor)(nil)

const (
	heartbeatQueueStatus = 30 * time.Second
	maxCountAge          = time.Second // counts may change without our being told, in another process
)

// NewQueueMonitor returns a monitor without counters. interval zero means 1 s.
func NewQueueMonitor(log *eventlog.Log, newID func() domain.UUID, observer ports.Observer, interval time.Duration) *QueueMonitor {
	if interval <= 0 {
		interval = time.Second
	}
	return &QueueMonitor{
		log: log, newID: newID, observer: observer, interval: interval,
		changed: make(chan struct{}, 1), demanded: make(chan struct{}, 1),
	}
}

// Count adds a counter; the QueueStatus is the sum of all.
func (m *QueueMonitor) Count(c ports.JobCounter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counters = append(m.counters, c)
}

// Listened adds a reason to publish although nothing has changed: f reports whether somebody listens.
func (m *QueueMonitor) Listened(f func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listened = append(m.listened, f)
}

func (m *QueueMonitor) heard() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.listened, func(f func() bool) bool { return f() })
}

// Changed implements QueueWatcher.
func (m *QueueMonitor) Changed() {
	m.stale()
	ring(m.changed)
}

// Demand implements QueueWatcher.
func (m *QueueMonitor) Demand() {
	m.stale()
	ring(m.demanded)
}

func (m *QueueMonitor) stale() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh = false
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Snapshot returns the counts as they are now, as an event without an ID: it is for one client alone and no place to
// resume from.
func (m *QueueMonitor) Snapshot(ctx context.Context) (domain.Event, error) {
	counts, err := m.CountJobs(ctx)
	return domain.Event{OccurredAt: time.Now(), Payload: counts}, err
}

// CountJobs implements ports.JobCounter: the sum of all counters. It counts anew only when something has changed.
func (m *QueueMonitor) CountJobs(ctx context.Context) (domain.QueueStatus, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fresh && time.Since(m.lastAt) < maxCountAge {
		return m.last, nil
	}
	var sum domain.QueueStatus
	for _, c := range m.counters {
		counts, err := c.CountJobs(ctx)
		if err != nil {
			return m.last, err
		}
		sum.Running += counts.Running
		sum.Pending += counts.Pending
	}
	m.last, m.lastAt, m.fresh = sum, time.Now(), true
	return sum, nil
}

// Run publishes until ctx ends.
func (m *QueueMonitor) Run(ctx context.Context) error {
	var (
		published   domain.QueueStatus
		countedAt   time.Time // zero: a first change need not wait
		beat        = time.Now().Add(heartbeatQueueStatus)
		due, forced bool
		timer       = time.NewTimer(heartbeatQueueStatus)
	)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.changed:
			due = true
		case <-m.demanded:
			due, forced = true, true
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(beat) {
			beat = now.Add(heartbeatQueueStatus)
			forced = forced || m.heard()
			due = due || forced
		}
		// Also a count that finds nothing new is not soon repeated: events that change no counts are many.
		if ready := countedAt.Add(m.interval); due && !now.Before(ready) {
			if m.publish(ctx, &published, forced) {
				beat = now.Add(heartbeatQueueStatus)
			}
			countedAt, due, forced = now, false, false
		} else if due {
			timer.Reset(ready.Sub(now))
			continue
		}
		timer.Reset(beat.Sub(now))
	}
}

// publish counts and publishes when the counts differ from those published last, or always when forced.
func (m *QueueMonitor) publish(ctx context.Context, last *domain.QueueStatus, forced bool) bool {
	counts, err := m.CountJobs(ctx)
	if err != nil {
		m.observer.Anomaly("queue_count", err)
		return false
	}
	if counts == *last && !forced {
		return false
	}
	e := domain.Event{ID: m.newID(), OccurredAt: time.Now(), Payload: counts}
	if err := m.log.Publish(ctx, e); err != nil {
		m.observer.Anomaly("queue_status", err)
		return false
	}
	*last = counts
	return true
}
