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
)

// fakeCounter counts jobs, and how often it was asked.
type fakeCounter struct {
	running, asked atomic.Int64
	fail           atomic.Bool
}

func (c *fakeCounter) CountJobs(context.Context) (domain.QueueStatus, error) {
	c.asked.Add(1)
	if c.fail.Load() {
		return domain.QueueStatus{}, errDisk
	}
	return domain.QueueStatus{Running: int(c.running.Load())}, nil
}

type monitorRig struct {
	*QueueMonitor
	counter  *fakeCounter
	log      *eventlog.Log
	observer *quietObserver
	listened atomic.Bool
}

func startMonitor(t *testing.T) *monitorRig {
	r := &monitorRig{counter: &fakeCounter{}, log: eventlog.New(testID(), eventlog.Options{}), observer: newObserver()}
	r.QueueMonitor = NewQueueMonitor(r.log, testID, r.observer, 0)
	r.Listened(r.listened.Load)
	r.Count(r.counter)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return r
}

// running returns the counts published so far.
func (r *monitorRig) running(t *testing.T) (counts []int) {
	for _, e := range all(t, r.log) {
		counts = append(counts, e.Payload.(domain.QueueStatus).Running)
	}
	return counts
}

func TestQueueStatusAtMostOnePerIntervalAndOnlyOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startMonitor(t)
		step := func(when string, running int64, want ...int) {
			t.Helper()
			r.counter.running.Store(running)
			r.Changed()
			synctest.Wait()
			if diff := cmp.Diff(want, r.running(t)); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
		}
		step("the first change is told at once", 1, 1)
		step("a second one within the interval waits", 2, 1)
		step("and so does a third", 3, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		step("after it, the newest counts are told", 3, 1, 3)
		time.Sleep(2 * time.Second)
		step("no change, no event", 3, 1, 3)
	})
}

func TestQueueStatusHeartbeatOnlyWhileListenedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startMonitor(t)
		time.Sleep(65 * time.Second)
		if n := len(r.running(t)); n != 0 {
			t.Errorf("%d events though nobody listens", n)
		}
		r.listened.Store(true)
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if n := len(r.running(t)); n != 2 {
			t.Errorf("%d events in a minute; want 2", n)
		}
	})
}

// Progress changes no counts. However much of it there is, the queue is not counted more often than its status may be told,
// and the heartbeat comes all the same.
func TestQueueStatusBesideAFloodOfProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startMonitor(t)
		r.listened.Store(true)
		for range 600 {
			r.Changed()
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(r.running(t)); n != 2 {
			t.Errorf("%d events in a minute; want 2", n)
		}
		if n := r.counter.asked.Load(); n > 62 {
			t.Errorf("counted %d times in a minute", n)
		}
	})
}

func TestQueueStatusOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startMonitor(t)
		r.Demand()
		synctest.Wait()
		r.Demand()
		r.Demand()
		time.Sleep(2 * time.Second)
		if n := len(r.running(t)); n != 2 {
			t.Errorf("%d events for demands in two intervals; want 2", n)
		}
	})
}

func TestSnapshotCountsOnlyAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startMonitor(t)
		ask := func() domain.QueueStatus {
			t.Helper()
			e, err := r.Snapshot(t.Context())
			if err != nil || !e.ID.IsZero() {
				t.Fatalf("Snapshot = %+v, %v; want no ID, no error", e, err)
			}
			return e.Payload.(domain.QueueStatus)
		}
		ask()
		before := r.counter.asked.Load()
		ask()
		if n := r.counter.asked.Load(); n != before {
			t.Error("counted again though nothing has changed")
		}
		r.counter.running.Store(7)
		r.Changed()
		if got := ask(); got.Running != 7 {
			t.Errorf("Snapshot = %+v; want the new count", got)
		}
		r.counter.running.Store(8)
		time.Sleep(2 * maxCountAge)
		if got := ask(); got.Running != 8 {
			t.Errorf("Snapshot = %+v; want a new count after a while though nobody told of a change", got)
		}
	})
}

func TestCountFailureIsReportedAndOldCountsServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startMonitor(t)
		r.counter.running.Store(3)
		if _, err := r.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.counter.fail.Store(true)
		r.Changed()
		synctest.Wait()
		if r.observer.count(r.observer.anomalies, "queue_count") != 1 {
			t.Error("the failure was not reported")
		}
		e, err := r.Snapshot(t.Context())
		if !errors.Is(err, errDisk) || e.Payload.(domain.QueueStatus).Running != 3 {
			t.Errorf("Snapshot = %+v, %v; want the last counts and the error", e, err)
		}
	})
}

// hungCounter is a counter whose store does not answer.
type hungCounter struct{ asked, answer chan struct{} }

func (c *hungCounter) CountJobs(context.Context) (domain.QueueStatus, error) {
	c.asked <- struct{}{}
	<-c.answer // whatever the context says: drivers of databases are like that
	return domain.QueueStatus{}, nil
}

// A store that does not answer when it is asked for counts holds up neither who publishes, nor for longer than they want to
// wait those who ask, too.
func TestACountThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startMonitor(t)
		r.counter.running.Store(3)
		if _, err := r.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		hung := &hungCounter{make(chan struct{}, 100), make(chan struct{})}
		defer close(hung.answer)
		r.Count(hung)
		b := NewBridge(r.log, testID, r.QueueMonitor, BridgeOptions{})
		publish := func() {
			t.Helper()
			published := make(chan error, 1)
			go func() {
				_, err := b.PublishWorkerEvents(context.Background(), []domain.WorkerEvent{{Kind: kind(domain.TypeJobStarted), JobID: testID()}})
				published <- err
			}()
			synctest.Wait()
			select {
			case err := <-published:
				if err != nil {
					t.Error(err)
				}
			default:
				t.Fatal("the event is not published while the jobs are counted")
			}
		}
		publish()
		<-hung.asked // by Run
		publish()
		asked := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		e, err := r.Snapshot(ctx)
		if waited := time.Since(asked); !errors.Is(err, context.DeadlineExceeded) || waited > 500*time.Millisecond {
			t.Errorf("Snapshot: %v after %s", err, waited)
		}
		if e.Payload.(domain.QueueStatus).Running != 3 {
			t.Errorf("Snapshot = %+v; want the last counts", e)
		}
		time.Sleep(time.Minute)
		if r.observer.count(r.observer.anomalies, "queue_count") == 0 {
			t.Error("nobody is told that the store does not answer")
		}
	})
}

// What could not be counted is counted as soon as that is possible again, though nothing changes any more.
func TestAChangeThatCouldNotBeCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startMonitor(t)
		r.counter.fail.Store(true)
		r.counter.running.Store(3)
		r.Changed()
		time.Sleep(10 * time.Second)
		r.counter.fail.Store(false)
		time.Sleep(2 * time.Second)
		if diff := cmp.Diff([]int{3}, r.running(t)); diff != "" {
			t.Error(diff)
		}
	})
}
