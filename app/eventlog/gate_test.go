package eventlog_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

var statusOnly = domain.Set(domain.TypeQueueStatus)

// next takes what the gate has to hand out now, and fails when that is not want.
func next(t *testing.T, g *eventlog.Gate, room int, want ...domain.Seq) {
	t.Helper()
	synctest.Wait() // for publishers that are on their way
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := g.Next(ctx, make([]domain.Entry, 0, room))
	if !slices.Equal(seqs(got), want) || (err == nil) != (len(want) > 0) {
		t.Fatalf("Next = %v, %v; want %v", seqs(got), err, want)
	}
}

func TestPublishReturnsOnlyOnceStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		g := l.NewGate(statusOnly)
		p := publish(t.Context(), l, status(0))
		p.mustWait(t, "nobody has taken the event")
		if l.Head() != 1 {
			t.Error("live readers do not see the event while it waits for the gate")
		}
		next(t, g, 8, 1)
		p.mustWait(t, "taken is not stored")
		g.Store(1)
		p.mustSucceed(t, "the event is stored")
	})
}

func TestStoreOfMoreThanWasTakenCountsOnlyWhatWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		g := l.NewGate(statusOnly)
		p := publish(t.Context(), l, status(0), status(1))
		synctest.Wait()
		g.Store(2)
		p.mustWait(t, "the gate has not read what it claims to have stored")
		next(t, g, 1, 1)
		g.Store(2)
		p.mustWait(t, "the second event was never handed out")
		next(t, g, 8, 2)
		g.Store(2)
		p.mustSucceed(t, "both are stored")
	})
}

func TestAGateThatWantsNothingCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 2})
		none, other := l.NewGate(0), l.NewGate(domain.Set(domain.TypeJobCompleted))
		for n := range 5 {
			publish(t.Context(), l, status(n)).mustSucceed(t, "no gate wants the event")
		}
		next(t, none, 8)
		next(t, other, 8)
		if s := l.Stats(); s.Unstored != 0 {
			t.Errorf("%d entries count as unstored", s.Unstored)
		}
	})
}

func TestGateSeesEventsFromTheNextOneOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		fill(t, l, 0, 3)
		g := l.NewGate(statusOnly)
		next(t, g, 8)
		fill(t, l, 3, 4)
		next(t, g, 8, 4)
	})
}

func TestNextWaitsAndHandsOutEachEntryOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		g := l.NewGate(statusOnly)
		var got []domain.Entry
		waiting := start(func() (err error) {
			got, err = g.Next(t.Context(), append(make([]domain.Entry, 0, 9), domain.Entry{Seq: 77}))
			return err
		})
		waiting.mustWait(t, "there is nothing")
		if _, _, err := l.Append(t.Context(), completed(100)); err != nil {
			t.Fatal(err)
		}
		waiting.mustWait(t, "the gate does not want that type")
		fill(t, l, 0, 1)
		waiting.mustSucceed(t, "a wanted event came")
		if !slices.Equal(seqs(got), []domain.Seq{77, 2}) || string(got[1].JSON) != string(status(0).AppendJSON(nil)) {
			t.Errorf("Next = %v", seqs(got))
		}
		fill(t, l, 1, 6)
		next(t, g, 2, 3, 4)
		next(t, g, 2, 5, 6)
		next(t, g, 2, 7)
		next(t, g, 2)
		g.Store(4)
		next(t, g, 2) // what is stored does not shift what is still to hand out
		fill(t, l, 6, 7)
		next(t, g, 2, 8)
	})
}

func TestNextReturnsTheContextsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		g := l.NewGate(statusOnly)
		ctx, cancel := context.WithCancel(t.Context())
		waiting := start(func() error {
			_, err := g.Next(ctx, make([]domain.Entry, 0, 1))
			return err
		})
		waiting.mustWait(t, "there is nothing")
		cancel()
		if err := waiting.mustReturn(t, "the context ended"); !errors.Is(err, context.Canceled) {
			t.Errorf("Next: %v", err)
		}
	})
}

func TestAppendWaitsWhenTheRingIsFullOfUnstoredEntries(t *testing.T) {
	for name, tt := range map[string]struct {
		options eventlog.Options
		event   func(n int) domain.Event
	}{
		"by count": {eventlog.Options{Capacity: 2}, status},
		"by bytes": {eventlog.Options{Bytes: 2 * len(status(0).AppendJSON(nil))}, status},
		"by an event that would push out all": {
			eventlog.Options{Bytes: 2 * len(status(0).AppendJSON(nil))},
			func(n int) domain.Event { return progress(n, 5000) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := eventlog.New(origin, tt.options)
				g := l.NewGate(statusOnly)
				fill(t, l, 0, 2)
				blocked := publish(t.Context(), l, tt.event(2))
				blocked.mustWait(t, "the oldest entry is not stored")
				if s := l.Stats(); s.Head != 2 || s.Entries != 2 || s.Unstored != 2 {
					t.Fatalf("Stats = %+v, want the log as it was", s)
				}
				if l.Locate(id(2)).Standing != domain.StandingUnknown {
					t.Error("the event counts as known before it is in the log")
				}
				next(t, g, 8, 1, 2)
				g.Store(2)
				synctest.Wait()
				if l.Head() != 3 {
					t.Fatal("the writer still waits, though everything is stored")
				}
				g.Close()
				blocked.mustSucceed(t, "the gate is gone")
			})
		})
	}
}

func TestAppendGoesOnEntryByEntryAsTheGateStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 2})
		g := l.NewGate(statusOnly)
		fill(t, l, 0, 2)
		blocked := start(func() error {
			fill(t, l, 2, 4)
			return nil
		})
		next(t, g, 8, 1, 2)
		g.Store(1)
		blocked.mustWait(t, "the second entry is not stored")
		if l.Head() != 3 {
			t.Errorf("Head() = %d, want 3: one place was made", l.Head())
		}
		g.Store(2)
		blocked.mustSucceed(t, "both places were made")
		next(t, g, 8, 3, 4)
	})
}

func TestAppendGivesUpWithItsContextAndAppendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 1})
		g := l.NewGate(statusOnly)
		fill(t, l, 0, 1)
		before := l.Stats()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		blocked := publish(ctx, l, status(1))
		blocked.mustWait(t, "the log is full")
		time.Sleep(time.Second) // of the bubble
		if err := blocked.mustReturn(t, "the context ended"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish: %v", err)
		}
		if got := l.Stats(); got != before || l.Locate(id(1)).Standing != domain.StandingUnknown {
			t.Errorf("Stats = %+v, were %+v; want nothing appended", got, before)
		}
		next(t, g, 8, 1)
		g.Store(1)
		if seq, fresh, err := l.Append(t.Context(), status(1)); seq != 2 || !fresh || err != nil {
			t.Errorf("Append of what was given up = %d, %v, %v", seq, fresh, err)
		}
	})
}

func TestPublishGivesUpWithItsContextAndLeavesTheEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		g := l.NewGate(statusOnly)
		ctx, cancel := context.WithCancel(t.Context())
		p := publish(ctx, l, status(0))
		p.mustWait(t, "nothing is stored")
		cancel()
		if err := p.mustReturn(t, "the context ended"); !errors.Is(err, context.Canceled) {
			t.Errorf("Publish: %v", err)
		}
		again := publish(t.Context(), l, status(0))
		again.mustWait(t, "the event that is there already is not stored")
		if l.Head() != 1 {
			t.Errorf("Head() = %d, want the event there once", l.Head())
		}
		next(t, g, 8, 1)
		next(t, g, 8)
		g.Store(1)
		again.mustSucceed(t, "the event is stored")
		publish(t.Context(), l, status(0)).mustSucceed(t, "the event was stored before")
	})
}

func TestConcurrentPublishersOfOneEventAllWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 1})
		g := l.NewGate(statusOnly)
		fill(t, l, 0, 1)
		twins := []*call{publish(t.Context(), l, status(1)), publish(t.Context(), l, status(1))}
		for _, c := range twins {
			c.mustWait(t, "the log is full")
		}
		next(t, g, 8, 1)
		g.Store(1)
		for _, c := range twins {
			c.mustWait(t, "the event is not stored")
		}
		if l.Head() != 2 {
			t.Errorf("Head() = %d, want the event there once", l.Head())
		}
		next(t, g, 8, 2)
		g.Store(2)
		for _, c := range twins {
			c.mustSucceed(t, "the event is stored")
		}
	})
}

func TestWantSwitchesFromTheNextEventOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		g := l.NewGate(0)
		publish(t.Context(), l, status(0)).mustSucceed(t, "nothing is wanted")
		g.Want(statusOnly)
		wanted := publish(t.Context(), l, status(1))
		wanted.mustWait(t, "the type is wanted now")
		g.Want(domain.Set(domain.TypeJobCompleted))
		publish(t.Context(), l, status(2)).mustSucceed(t, "the type is wanted no more")
		wanted.mustWait(t, "it was wanted when it came")
		done := publish(t.Context(), l, completed(3))
		done.mustWait(t, "the other type is wanted instead")
		next(t, g, 8, 2, 4)
		g.Store(4)
		wanted.mustSucceed(t, "stored")
		done.mustSucceed(t, "stored")
	})
}

func TestCloseLetsEverybodyGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 1})
		g := l.NewGate(statusOnly)
		unstored := publish(t.Context(), l, status(0))
		unstored.mustWait(t, "the event is not stored")
		full := publish(t.Context(), l, status(1))
		full.mustWait(t, "the log is full")
		g.Close()
		unstored.mustSucceed(t, "the gate is closed")
		full.mustSucceed(t, "the gate is closed")
		g.Close() // again: nothing happens
		g.Want(domain.AllTypes)
		publish(t.Context(), l, status(2)).mustSucceed(t, "a closed gate wants nothing")
		if s := l.Stats(); s.Unstored != 0 {
			t.Errorf("%d entries count as unstored", s.Unstored)
		}
	})
}

// The ring goes on past a closed gate, so that what it had yet to hand out is no longer there.
func TestAClosedGateHandsOutNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 2})
		g := l.NewGate(statusOnly)
		fill(t, l, 0, 2)
		g.Close()
		fill(t, l, 2, 5)
		next(t, g, 8)
		g.Store(5)
	})
}
