package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// Next that has found nothing and is about to wait must not miss what comes just then.
func TestNextLosesNoArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{})
		g := l.NewGate(statusOnly)
		race(t, l, func(n int) error {
			got, err := g.Next(t.Context(), make([]domain.Entry, 0, 1))
			g.Store(domain.Seq(n + len(got)))
			return err
		})
	})
}

// Several writers, several gates and a ring of three: no gate ever misses a wanted event or gets one twice, no Publish
// returns before its events are stored, and nobody is left waiting (a bubble whose goroutines all wait fails the test).
func TestGatesAreNeverLapped(t *testing.T) {
	const writers, each = 4, 100
	wants := []domain.TypeSet{statusOnly, domain.Set(domain.TypeJobCompleted), domain.AllTypes, 0}
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(origin, eventlog.Options{Capacity: 3})
		ctx, stop := context.WithCancel(t.Context())
		var recorders sync.WaitGroup
		recorded := make([]*recorder, len(wants))
		for i, types := range wants {
			recorded[i] = &recorder{gate: l.NewGate(types), wants: types, stored: map[domain.UUID]bool{}}
			recorders.Go(func() { recorded[i].run(ctx, t, 1+i) })
		}
		var publishers sync.WaitGroup
		for w := range writers {
			publishers.Go(func() {
				for n := w * each; n < (w+1)*each; n += 2 {
					batch := []domain.Event{status(n), completed(n + 1)}
					if err := l.Publish(ctx, batch...); err != nil {
						t.Errorf("Publish: %v", err)
					}
					for _, r := range recorded {
						r.mustHold(t, batch)
					}
				}
			})
		}
		publishers.Wait()
		stop()
		recorders.Wait()
		for i, r := range recorded {
			if want := writers * each / 2 * (r.wants & (statusOnly | domain.Set(domain.TypeJobCompleted))).Len(); len(r.stored) != want {
				t.Errorf("gate %d stored %d events, want %d", i, len(r.stored), want)
			}
		}
	})
}

// recorder stores what its gate hands out.
type recorder struct {
	gate  *eventlog.Gate
	wants domain.TypeSet

	mu     sync.Mutex // guards stored, which publishers look at
	stored map[domain.UUID]bool
}

func (r *recorder) run(ctx context.Context, t *testing.T, room int) {
	var last domain.Seq
	for {
		batch, err := r.gate.Next(ctx, make([]domain.Entry, 0, room))
		if err != nil {
			return
		}
		for _, e := range batch {
			if err := r.add(e, last); err != nil {
				t.Error(err)
			}
			last = e.Seq
		}
		r.gate.Store(last)
	}
}

func (r *recorder) add(e domain.Entry, last domain.Seq) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	event, err := domain.DecodeEvent(e.JSON)
	if err != nil || event.ID != e.ID || e.Seq <= last || !r.wants.Has(e.Type) || r.stored[e.ID] {
		return fmt.Errorf("gate for %v got entry %d after %d: %s, %w", r.wants.Names(), e.Seq, last, e.JSON, err)
	}
	r.stored[e.ID] = true
	return nil
}

func (r *recorder) mustHold(t *testing.T, batch []domain.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range batch {
		if r.wants.Has(e.Type()) && !r.stored[e.ID] {
			t.Errorf("Publish returned before event %v was stored", e.ID)
		}
	}
}
