package app

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

var lastID atomic.Uint64

// testID makes identifiers that are unique within the test binary.
func testID() (u domain.UUID) {
	binary.BigEndian.PutUint64(u[8:], lastID.Add(1))
	u[6], u[8] = 0x70, 0x80
	return u
}

// quietObserver counts what it is told.
type quietObserver struct {
	mu        sync.Mutex
	anomalies map[string]int
	refused   map[string]int
	opened    int
	closed    []string
}

func newObserver() *quietObserver {
	return &quietObserver{anomalies: map[string]int{}, refused: map[string]int{}}
}

func (o *quietObserver) ConnectionOpened(domain.Connection) { o.with(func() { o.opened++ }) }
func (o *quietObserver) ConnectionClosed(_ domain.Connection, reason string) {
	o.with(func() { o.closed = append(o.closed, reason) })
}
func (o *quietObserver) Refused(_, reason string)     { o.with(func() { o.refused[reason]++ }) }
func (o *quietObserver) Anomaly(kind string, _ error) { o.with(func() { o.anomalies[kind]++ }) }
func (o *quietObserver) with(f func())                { o.mu.Lock(); defer o.mu.Unlock(); f() }
func (o *quietObserver) count(m map[string]int, k string) (n int) {
	o.with(func() { n = m[k] })
	return n
}

// watcher counts what the bridge says of the queue.
type watcher struct{ changed, demanded atomic.Int64 }

func (w *watcher) Changed() { w.changed.Add(1) }
func (w *watcher) Demand()  { w.demanded.Add(1) }

func newTestBridge(o BridgeOptions) (*Bridge, *eventlog.Log, *watcher) {
	log, w := eventlog.New(testID(), eventlog.Options{Capacity: 1024}), &watcher{}
	return NewBridge(log, testID, w, o), log, w
}

// all returns everything in the log, decoded.
func all(t *testing.T, log *eventlog.Log) []domain.Event {
	t.Helper()
	entries, _, missed := log.Read(0, &domain.Filter{}, make([]domain.Entry, 0, 1024))
	if missed > 0 {
		t.Fatalf("the log has dropped %d events", missed)
	}
	events := make([]domain.Event, len(entries))
	for i, e := range entries {
		var err error
		if events[i], err = domain.DecodeEvent(e.JSON); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

func types(events []domain.Event) (names []string) {
	for _, e := range events {
		names = append(names, e.Type().String())
	}
	return names
}

func kind(t domain.Type) domain.WorkerKind { return domain.JobKind(t) }

func ptr[T any](v T) *T { return &v }

// fakeOutbox is an outbox in memory whose next calls fail as told.
type fakeOutbox struct {
	mu      sync.Mutex
	records []ports.OutboxRecord
	last    int64
	fail    error // of the next Pending
	bell    chan struct{}
	removed int64
}

func newOutbox() *fakeOutbox { return &fakeOutbox{bell: make(chan struct{}, 1)} }

func (o *fakeOutbox) add(r ports.OutboxRecord) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	r.Position = o.last
	o.records = append(o.records, r)
	ring(o.bell)
}

func (o *fakeOutbox) Pending(_ context.Context, limit int) ([]ports.OutboxRecord, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.fail; err != nil {
		o.fail = nil
		return nil, err
	}
	return append([]ports.OutboxRecord(nil), o.records[:min(limit, len(o.records))]...), nil
}

func (o *fakeOutbox) Remove(_ context.Context, positions ...int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := len(o.records)
	o.records = slices.DeleteFunc(o.records, func(r ports.OutboxRecord) bool { return slices.Contains(positions, r.Position) })
	o.removed += int64(before - len(o.records))
	return nil
}

func (o *fakeOutbox) Wait(ctx context.Context) error {
	select {
	case <-o.bell:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *fakeOutbox) WriteCanary(_ context.Context, id domain.UUID) error {
	o.add(ports.OutboxRecord{Canary: id})
	return nil
}

var errDisk = errors.New("disk on fire")
