package eventlog_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		wait := func(after domain.Seq) *call { return start(func() error { return l.Wait(t.Context(), after) }) }

		first, second, later := wait(0), wait(0), wait(1)
		first.mustWait(t, "the log is empty")
		fill(t, l, 0, 1)
		first.mustSucceed(t, "an event came")
		second.mustSucceed(t, "all who wait are woken")
		wait(0).mustSucceed(t, "there is an event after the cursor")

		// A reader at the head may be woken early by an event that it has passed, but never stays asleep for the next.
		fill(t, l, 1, 2)
		later.mustSucceed(t, "an event came after its cursor")
		atHead := wait(2)
		atHead.mustWait(t, "the reader is at the head")
		fill(t, l, 2, 3)
		atHead.mustSucceed(t, "an event came")
	})
}

func TestWaitReturnsTheContextsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		leaving := start(func() error { return l.Wait(ctx, 0) })
		staying := start(func() error { return l.Wait(t.Context(), 0) })
		leaving.mustWait(t, "the log is empty")
		cancel()
		if err := leaving.mustReturn(t, "the context ended"); !errors.Is(err, context.Canceled) {
			t.Errorf("Wait: %v", err)
		}
		staying.mustWait(t, "one reader's leaving is nothing to another")
		fill(t, l, 0, 1)
		staying.mustSucceed(t, "an event came")
		if err := l.Wait(ctx, 0); err != nil {
			t.Errorf("Wait under an ended context with an event there: %v", err)
		}
	})
}

// An event that is known wakes nobody, or idle readers would spin on a producer's retries.
func TestAKnownEventWakesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		fill(t, l, 0, 1)
		reader := start(func() error { return l.Wait(t.Context(), 1) })
		reader.mustWait(t, "the reader is at the head")
		if _, fresh, err := l.Append(t.Context(), status(0)); fresh || err != nil {
			t.Fatalf("Append = fresh %v, %v", fresh, err)
		}
		reader.mustWait(t, "nothing was appended")
		fill(t, l, 1, 2)
		reader.mustSucceed(t, "an event came")
	})
}

// race calls wait(n), which must return once event n is there, while event n is appended, many times and at shifting
// distances, to hit the moment between wait's look and its sleep. A wake-up that is missed leaves all goroutines of the
// bubble waiting, which fails the test.
func race(t *testing.T, l *eventlog.Log, wait func(n int) error) {
	rounds := 20_000
	if raceEnabled {
		rounds = 2_000 // ten times as slow
	}
	var begun atomic.Int64
	returned := make(chan error, 1)
	go func() {
		for n := range rounds {
			begun.Store(int64(n) + 1)
			for range n % 1000 {
				begun.Load() // about a nanosecond: the writer has to encode the event first
			}
			returned <- wait(n)
		}
	}()
	for n := range rounds {
		for begun.Load() <= int64(n) {
			runtime.Gosched()
		}
		fill(t, l, n, n+1)
		for range 100 { // stay awake for a while, so that the next round begins on two processors
			if len(returned) > 0 {
				break
			}
			runtime.Gosched()
		}
		if err := <-returned; err != nil {
			t.Errorf("round %d: %v", n, err)
		}
	}
}

func TestWaitLosesNoEventThatComesJustThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		race(t, l, func(n int) error { return l.Wait(t.Context(), domain.Seq(n)) })
	})
}

// Readers that read, wait and read again get to the last event whatever the timing: a wake-up that gets lost leaves all
// goroutines of the bubble waiting, which fails the test.
func TestWaitLosesNoWakeUp(t *testing.T) {
	const events = 300
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { follow(t, l, events) })
		}
		for n := range events {
			fill(t, l, n, n+1)
			if n%7 == 0 {
				synctest.Wait() // everybody is parked again
			}
		}
		wg.Wait()
	})
}

// follow reads until it has passed the number of events given, and checks that each was seen once or counted as missed.
func follow(t *testing.T, l *eventlog.Log, events int) {
	buf := make([]domain.Entry, 0, 16)
	var cursor, last domain.Seq
	var total uint64
	for int(cursor) < events {
		if err := l.Wait(t.Context(), cursor); err != nil {
			t.Errorf("Wait(%d): %v", cursor, err)
			return
		}
		got, next, missed := l.Read(cursor, all, buf)
		if next <= cursor {
			t.Errorf("Wait returned, but there is nothing after %d", cursor)
			return
		}
		for _, e := range got {
			if e.Seq <= last {
				t.Errorf("entry %d after %d", e.Seq, last)
			}
			last = e.Seq
		}
		total += uint64(len(got)) + missed
		cursor = next
	}
	if total != uint64(events) || last != domain.Seq(events) {
		t.Errorf("%d events seen or counted as missed, the last is %d; want %d", total, last, events)
	}
}

// Publishers, live readers, resuming readers and a gate at once: run it under -race.
func TestConcurrentUse(t *testing.T) {
	const publishers, each = 4, 250
	l := eventlog.New(origin, eventlog.Options{Capacity: 32, Bytes: 8 << 10})
	ctx, stop := context.WithCancel(t.Context())
	var readers, writers, recording sync.WaitGroup
	for range 4 {
		readers.Go(func() { follow(t, l, publishers*each) })
	}
	readers.Go(func() {
		for l.Head() < publishers*each {
			seq := l.Head()
			if place := l.Locate(l.CursorID(seq)); place.Standing == domain.StandingUnknown {
				t.Errorf("CursorID(%d) is unknown to Locate: %+v", seq, place)
			}
			if s := l.Stats(); s.Entries > 32 || s.Bytes > 8<<10 {
				t.Errorf("Stats = %+v beyond the bounds", s)
			}
		}
	})
	r := &recorder{gate: l.NewGate(statusOnly), wants: statusOnly, stored: map[domain.UUID]bool{}}
	recording.Go(func() { r.run(ctx, t, 8) })
	for p := range publishers {
		writers.Go(func() {
			for n := p * each; n < (p+1)*each; n++ {
				e := status(n)
				if n%2 == 1 {
					e = completed(n)
				}
				if err := l.Publish(ctx, e); err != nil {
					t.Errorf("Publish: %v", err)
				}
				r.mustHold(t, []domain.Event{e})
			}
		})
	}
	writers.Wait()
	readers.Wait()
	stop()
	recording.Wait()
	if len(r.stored) != publishers*each/2 {
		t.Errorf("the gate stored %d events, want %d", len(r.stored), publishers*each/2)
	}
}
