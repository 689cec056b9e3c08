package app

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// startDrain runs a drain within a synctest bubble.
func startDrain(t *testing.T, outbox *fakeOutbox) (*eventlog.Log, *quietObserver, *Canaries) {
	b, log, _ := newTestBridge(BridgeOptions{})
	observer := newObserver()
	canaries := NewCanaries(outbox, testID)
	d := NewDrain(outbox, b, observer, canaries)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return log, observer, canaries
}

func TestDrainPublishesInOrderAndRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox, job := newOutbox(), testID()
		log, observer, _ := startDrain(t, outbox)
		id := testID()
		outbox.add(ports.OutboxRecord{Worker: &domain.WorkerEvent{Kind: kind(domain.TypeJobQueued), JobID: job, EventID: id}})
		outbox.add(ports.OutboxRecord{Bad: errors.New("garbage")})
		outbox.add(ports.OutboxRecord{Worker: &domain.WorkerEvent{Kind: kind(domain.TypeJobCompleted), JobID: job}})
		outbox.add(ports.OutboxRecord{Worker: &domain.WorkerEvent{Kind: kind(domain.TypeJobProgress), JobID: job, Percent: ptr(9)}})
		outbox.add(ports.OutboxRecord{Note: &domain.NoteEvent{Note: domain.NoteUpdated{NoteID: testID(), Operation: domain.Updated}}})
		synctest.Wait()
		events := all(t, log)
		if diff := cmp.Diff([]string{"JobQueued", "JobCompleted", "NoteUpdated"}, types(events)); diff != "" {
			t.Error(diff)
		}
		if events[0].ID != id {
			t.Errorf("the event's ID is %s; want the stored one, %s", events[0].ID, id)
		}
		if outbox.removed != 5 {
			t.Errorf("removed %d records; want 5", outbox.removed)
		}
		if observer.count(observer.anomalies, "outbox_record") != 1 || observer.count(observer.anomalies, "late_event") != 1 {
			t.Errorf("anomalies = %v; want the bad record and the late event", observer.anomalies)
		}
	})
}

func TestDrainTriesAgainWhenTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		outbox.fail = errDisk
		outbox.add(ports.OutboxRecord{Note: &domain.NoteEvent{Note: domain.NoteUpdated{NoteID: testID(), Operation: domain.Created}}})
		log, observer, _ := startDrain(t, outbox)
		time.Sleep(time.Second)
		if got := types(all(t, log)); len(got) != 1 {
			t.Errorf("the log holds %v; want the event", got)
		}
		if observer.count(observer.anomalies, "outbox") != 1 {
			t.Errorf("anomalies = %v; want the failure", observer.anomalies)
		}
	})
}

func TestDrainDoesNotRemoveWhatIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := newOutbox()
		log, _, _ := startDrain(t, outbox)
		gate := log.NewGate(domain.AllTypes)
		outbox.add(ports.OutboxRecord{Note: &domain.NoteEvent{Note: domain.NoteUpdated{NoteID: testID(), Operation: domain.Created}}})
		synctest.Wait()
		if outbox.removed != 0 {
			t.Error("the record was removed before its event was stored")
		}
		if _, err := gate.Next(t.Context(), make([]domain.Entry, 0, 8)); err != nil {
			t.Fatal(err)
		}
		gate.Store(log.Head())
		synctest.Wait()
		if outbox.removed != 1 {
			t.Error("the record was not removed after its event was stored")
		}
	})
}

// stuckOutbox is one that cannot remove for a while.
type stuckOutbox struct {
	*fakeOutbox
	stuck atomic.Bool
}

func (o *stuckOutbox) Remove(ctx context.Context, positions ...int64) error {
	if o.stuck.Load() {
		return errDisk
	}
	return o.fakeOutbox.Remove(ctx, positions...)
}

// What is published and cannot be removed is not published again, however much the log has seen since.
func TestDrainPublishesOnceWhatItCannotRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outbox := &stuckOutbox{fakeOutbox: newOutbox()}
		outbox.stuck.Store(true)
		log := eventlog.New(testID(), eventlog.Options{Capacity: 16, Remember: 16})
		b, observer := NewBridge(log, testID, &watcher{}, BridgeOptions{}), newObserver()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- NewDrain(outbox, b, observer, NewCanaries(outbox, testID)).Run(ctx) }()
		job, note := testID(), testID()
		outbox.add(ports.OutboxRecord{Worker: &domain.WorkerEvent{Kind: kind(domain.TypeJobCompleted), JobID: job, EventID: testID()}})
		outbox.add(ports.OutboxRecord{Note: &domain.NoteEvent{EventID: testID(), Note: domain.NoteUpdated{NoteID: note, Operation: domain.Created}}})
		time.Sleep(time.Second)
		for range 100 {
			if _, err := b.PublishWorkerEvents(ctx, []domain.WorkerEvent{{Kind: kind(domain.TypeJobStarted), JobID: testID()}}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		outbox.add(ports.OutboxRecord{Note: &domain.NoteEvent{EventID: testID(), Note: domain.NoteUpdated{NoteID: testID(), Operation: domain.Created}}})
		outbox.stuck.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, drained := b.Published(); drained[domain.TypeJobCompleted] != 1 || drained[domain.TypeNoteUpdated] != 2 {
			t.Errorf("%d ends of one job and %d changes of two notes were published", drained[domain.TypeJobCompleted], drained[domain.TypeNoteUpdated])
		}
		if n := observer.count(observer.anomalies, "late_event"); n != 0 {
			t.Errorf("%d events are said to be late", n)
		}
		if outbox.removed != 3 {
			t.Errorf("%d records are removed; want 3", outbox.removed)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
