package eventlog_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

func TestPublishOfABatchWaitsForAllOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		g := l.NewGate(statusOnly)
		batch := publish(t.Context(), l, completed(10), status(0), status(1), completed(11), status(2))
		batch.mustWait(t, "nothing is stored")
		if l.Head() != 5 {
			t.Errorf("Head() = %d, want the whole batch in the log", l.Head())
		}
		next(t, g, 2, 2, 3)
		g.Store(3)
		batch.mustWait(t, "the last event is not stored")
		next(t, g, 2, 5)
		g.Store(5)
		batch.mustSucceed(t, "all are stored")
	})
}

func TestPublishOfABatchLargerThanTheRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 3})
		g := l.NewGate(statusOnly)
		var events []domain.Event
		for n := range 10 {
			events = append(events, status(n))
		}
		batch := publish(t.Context(), l, events...)
		for stored := 0; stored < len(events); {
			batch.mustWait(t, "not everything is stored")
			got, err := g.Next(t.Context(), make([]domain.Entry, 0, 2))
			if err != nil || len(got) == 0 || got[0].ID != id(stored) {
				t.Fatalf("Next = %v, %v after %d", seqs(got), err, stored)
			}
			stored += len(got)
			g.Store(got[len(got)-1].Seq)
		}
		batch.mustSucceed(t, "all are stored")
	})
}

func TestPublishOfABatchStopsAtTheFirstThatFindsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 2})
		l.NewGate(statusOnly)
		ctx, cancel := context.WithCancel(t.Context())
		batch := publish(ctx, l, status(0), status(1), status(2), status(3))
		batch.mustWait(t, "the third finds no room")
		cancel()
		if err := batch.mustReturn(t, "the context ended"); !errors.Is(err, context.Canceled) || l.Head() != 2 {
			t.Errorf("Publish: %v, Head() = %d", err, l.Head())
		}
	})
}

func TestPublishOfABatchWithKnownEventsWaitsForThemToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		g := l.NewGate(statusOnly)
		fill(t, l, 0, 1)
		batch := publish(t.Context(), l, completed(10), status(0)) // the later one stands earlier in the log
		batch.mustWait(t, "the known event is not stored")
		next(t, g, 8, 1)
		g.Store(1)
		batch.mustSucceed(t, "it is stored")

		again := publish(t.Context(), l, status(1), status(0)) // the last one is stored already
		again.mustWait(t, "the new event is not stored")
		next(t, g, 8, 3)
		g.Store(3)
		again.mustSucceed(t, "it is stored")
	})
}

func TestPublishWaitsForEveryGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 2})
		gates := []*eventlog.Gate{l.NewGate(statusOnly), l.NewGate(0), l.NewGate(domain.AllTypes)}
		fill(t, l, 0, 1)
		p := publish(t.Context(), l, status(1))
		next(t, gates[2], 8, 1, 2)
		gates[2].Store(2)
		p.mustWait(t, "one gate of two has stored the event")
		full := publish(t.Context(), l, completed(2))
		full.mustWait(t, "one gate of two holds the oldest entry")
		if s := l.Stats(); s.Unstored != 2 {
			t.Errorf("%d entries count as unstored, want those of the gate that is furthest behind", s.Unstored)
		}
		next(t, gates[0], 8, 1, 2)
		gates[0].Store(2)
		p.mustSucceed(t, "both have stored the event")
		full.mustWait(t, "its own event is wanted by one gate")
		next(t, gates[2], 8, 3)
		gates[2].Store(3)
		full.mustSucceed(t, "that gate has stored it")
	})
}
