package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
	changes  atomic.Uint64 // times that the counts may have changed
	// turn is full while somebody counts, so that many askers cost one count. A channel, because the store may not answer:
	// waiting for it must end with the caller's context, and who tells of a change must not wait at all.
	turn chan struct{}

	mu       sync.Mutex // guards all below
	listened []func() bool
	counters []ports.JobCounter
	last     count
}

// count is what was counted last.
type count struct {
	domain.QueueStatus
	at      time.Time
	changes uint64 // before it
}

var _ QueueWatcher = (*QueueMonitor)(nil)

const (
	heartbeatQueueStatus = 30 * time.Second
	maxCountAge          = time.Second // counts may change without our being told, in another process
	countTimeout         = 5 * time.Second
)

// NewQueueMonitor returns a monitor without counters. interval zero means 1 s.
func NewQueueMonitor(log *eventlog.Log, newID func() domain.UUID, observer ports.Observer, interval time.Duration) *QueueMonitor {
	if interval <= 0 {
		interval = time.Second
	}
	return &QueueMonitor{
		log: log, newID: newID, observer: observer, interval: interval,
		changed: make(chan struct{}, 1), demanded: make(chan struct{}, 1), turn: make(chan struct{}, 1),
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
	m.changes.Add(1)
	ring(m.changed)
}

// Demand implements QueueWatcher.
func (m *QueueMonitor) Demand() {
	m.changes.Add(1)
	ring(m.demanded)
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

// CountJobs implements ports.JobCounter: the sum of all counters. It counts anew only when something has changed. With an
// error it returns the counts known last. It returns when ctx ends, whatever the counters make of that.
func (m *QueueMonitor) CountJobs(ctx context.Context) (domain.QueueStatus, error) {
	if last, _ := m.known(); m.upToDate(&last) { // as it mostly is for those who connect
		return last.QueueStatus, nil
	}
	done := make(chan error, 1)
	select {
	case m.turn <- struct{}{}:
		go func() { // a counter that hangs must not hang us
			defer func() { <-m.turn }()
			done <- m.count(ctx)
		}()
	case <-ctx.Done():
	}
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = fmt.Errorf("the jobs are not counted yet: %w", ctx.Err())
	}
	last, _ := m.known()
	return last.QueueStatus, err
}

// count brings the counts up to date if they may not be. The caller has the turn.
func (m *QueueMonitor) count(ctx context.Context) error {
	last, counters := m.known()
	if m.upToDate(&last) { // somebody else had the turn
		return nil
	}
	next := count{changes: m.changes.Load()}
	for _, c := range counters {
		counts, err := c.CountJobs(ctx)
		if err != nil {
			return err
		}
		next.Running += counts.Running
		next.Pending += counts.Pending
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next.at = time.Now()
	m.last = next
	return nil
}

func (m *QueueMonitor) upToDate(c *count) bool {
	return c.changes == m.changes.Load() && time.Since(c.at) < maxCountAge
}

func (m *QueueMonitor) known() (count, []ports.JobCounter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last, m.counters
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
		if due && !now.Before(countedAt.Add(m.interval)) {
			told, err := m.publish(ctx, &published, forced)
			if told {
				beat = now.Add(heartbeatQueueStatus)
			}
			countedAt, due, forced = now, err != nil, forced && err != nil // what failed is tried again
		}
		next := beat
		if due {
			next = countedAt.Add(m.interval)
		}
		timer.Reset(next.Sub(now))
	}
}

// publish counts and publishes when the counts differ from those published last, or always when forced. Its error has been
// reported.
func (m *QueueMonitor) publish(ctx context.Context, last *domain.QueueStatus, forced bool) (told bool, err error) {
	counts, err := m.countWithin(ctx, countTimeout)
	if err != nil {
		m.observer.Anomaly("queue_count", err)
		return false, err
	}
	if counts == *last && !forced {
		return false, nil
	}
	e := domain.Event{ID: m.newID(), OccurredAt: time.Now(), Payload: counts}
	if err := m.log.Publish(ctx, e); err != nil {
		m.observer.Anomaly("queue_status", err)
		return false, err
	}
	*last = counts
	return true, nil
}

func (m *QueueMonitor) countWithin(ctx context.Context, d time.Duration) (domain.QueueStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return m.CountJobs(ctx)
}
