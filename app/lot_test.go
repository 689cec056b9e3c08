package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// startLot runs a lot on a log of some events within a synctest bubble.
func startLot(t *testing.T, capacity int) (*eventlog.Log, *Lot) {
	log := eventlog.New(testID(), eventlog.Options{Capacity: capacity})
	l := NewLot(log)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); l.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return log, l
}

// about is a query for the events of a job.
func about(job domain.UUID) PollQuery {
	return PollQuery{Filter: domain.Filter{Jobs: []domain.UUID{job}}, Limit: 5}
}

// A wait passes over what it does not want, answers what it wants, and ends with its context.
func TestLotPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, l := startLot(t, 4)
		mine, ctx := testID(), t.Context()
		answered := make(chan PollAnswer, 1)
		go func() { answered <- l.Poll(ctx, about(mine)) }()
		synctest.Wait()
		publishJob(t, log, testID(), 1)
		synctest.Wait()
		if len(answered) > 0 {
			t.Fatal("answered with nobody's event")
		}
		want := publishJob(t, log, mine, 2)
		if got := <-answered; len(got.Entries) != 1 || got.Entries[0].ID != want || got.Cursor != want {
			t.Errorf("got %+v", got)
		}
		short, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		got := l.Poll(short, PollQuery{Limit: 5})
		if short.Err() == nil || got.Entries == nil || len(got.Entries) != 0 || got.Cursor != want || got.Truncated {
			t.Errorf("after the time: %+v", got)
		}
		other := publishJob(t, log, testID(), 3)
		short, cancel = context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if got := l.Poll(short, PollQuery{After: want, Limit: 5, Filter: about(mine).Filter}); got.Cursor != other {
			t.Errorf("the cursor is not behind what does not match: %+v", got)
		}
	})
}

// What is there already is not waited for; nor are events that can no longer come, because they are lost.
func TestLotNeedNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, l := startLot(t, 4)
		start, mine := Poll(log, PollQuery{Limit: 1}).Cursor, testID()
		first := publishJob(t, log, mine, 0)
		began := time.Now()
		if got := l.Poll(t.Context(), PollQuery{After: start, Limit: 1}); len(got.Entries) != 1 || got.Entries[0].ID != first {
			t.Errorf("got %+v", got)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got := l.Poll(short, PollQuery{After: testID(), Limit: 9, Filter: about(testID()).Filter}); !got.Truncated || got.Cursor != first {
			t.Errorf("behind an event of an earlier process: %+v", got)
		}
		for i := range 6 {
			publishJob(t, log, testID(), i)
		}
		if got := l.Poll(t.Context(), PollQuery{After: first, Limit: 9, Filter: about(mine).Filter}); !got.Truncated || len(got.Entries) != 0 {
			t.Errorf("behind what is kept: %+v", got)
		}
		if time.Since(began) > 0 {
			t.Errorf("waited %v", time.Since(began))
		}
	})
}

// The log runs away from the lot while that stands still. Whoever may have lost something is told; nobody else is.
func TestLotIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, l := startLot(t, 4)
		answered := make(chan PollAnswer, 1)
		go func() { answered <- l.Poll(t.Context(), about(testID())) }()
		synctest.Wait()
		l.mu.Lock() // the lot's reader will wait for this
		for i := range 9 {
			publishJob(t, log, testID(), i)
		}
		l.mu.Unlock()
		if got := <-answered; !got.Truncated || len(got.Entries) != 0 {
			t.Errorf("got %+v", got)
		}
		late, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got := l.Poll(late, about(testID())); got.Truncated || late.Err() == nil {
			t.Errorf("one who came later: %+v", got)
		}
	})
}

// Many wait, each for a few of the jobs, and go on from the cursor of each answer: together their answers are what was
// published about these jobs, each once and in order, whoever was waiting when.
func TestLotLosesNothing(t *testing.T) {
	const readers, events = 20, 2000
	log := eventlog.New(testID(), eventlog.Options{Capacity: events})
	l := NewLot(log)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go l.Run(ctx)
	start := log.CursorID(0)
	jobs := make([]domain.UUID, 10)
	for i := range jobs {
		jobs[i] = testID()
	}
	last := testID() // everybody's
	got := make([][]domain.UUID, readers)
	filters := make([]domain.Filter, readers)
	var reading sync.WaitGroup
	for i := range readers {
		filters[i].Jobs = []domain.UUID{jobs[i%len(jobs)], jobs[(i*7+3)%len(jobs)], last}
		reading.Go(func() {
			for q := (PollQuery{Filter: filters[i], After: start, Limit: 3}); ; {
				a := l.Poll(ctx, q)
				got[i] = append(got[i], ids(a.Entries)...)
				if n := len(a.Entries); a.Truncated || n > 0 && a.Entries[n-1].Job == last || ctx.Err() != nil {
					return
				}
				q.After = a.Cursor
			}
		})
	}
	for range events - 1 {
		publishJob(t, log, jobs[rand.N(len(jobs))], 1)
	}
	publishJob(t, log, last, 1)
	reading.Wait()
	for i := range readers {
		want := Recent(log, filters[i], events)
		if d := cmp.Diff(ids(want.Entries), got[i]); d != "" {
			t.Errorf("reader %d: %s", i, d)
		}
	}
}

// BenchmarkLot is what an event costs that is not for any of those who wait.
func BenchmarkLot(b *testing.B) {
	for _, waits := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("waits=%d", waits), func(b *testing.B) {
			log := eventlog.New(testID(), eventlog.Options{})
			l := NewLot(log)
			for range waits {
				q := about(testID())
				l.Enter(0, &q.Filter, func() {})
			}
			e := domain.Event{OccurredAt: time.Now(), Payload: domain.JobProgress{JobRef: domain.JobRef{JobID: testID()}, Percent: 1}}
			b.ReportAllocs()
			for b.Loop() {
				e.ID = testID()
				if err := log.Publish(b.Context(), e); err != nil {
					b.Fatal(err)
				}
				l.compare()
			}
		})
	}
}
