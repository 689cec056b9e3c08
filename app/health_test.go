package app

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

// healthRig is a hub whose parts a test can block. All of them work until it does.
type healthRig struct {
	log    *wedgeableLog
	real   *eventlog.Log
	loops  loops
	bridge *Bridge
	outbox *wedgeableOutbox
	health *Health
	told   chan string // of Run: the part, and of each check
}

// wedge blocks as something does that has lost its way: whatever the context says.
type wedge struct{ at atomic.Pointer[chan struct{}] }

func (w *wedge) pass() {
	if ch := w.at.Load(); ch != nil {
		<-*ch
	}
}

func (w *wedge) drive() (release func()) {
	ch := make(chan struct{})
	w.at.Store(&ch)
	return func() { close(ch) }
}

type wedgeableLog struct {
	*eventlog.Log
	wedge wedge
}

func (l *wedgeableLog) Stats() eventlog.Stats {
	l.wedge.pass()
	return l.Log.Stats()
}

type loops struct{ wedge wedge }

func (l *loops) Alive(context.Context) error {
	l.wedge.pass()
	return nil
}

type wedgeableOutbox struct {
	*fakeOutbox
	wedge wedge
	fails atomic.Bool
}

func (o *wedgeableOutbox) WriteCanary(ctx context.Context, id domain.UUID) error {
	o.wedge.pass()
	if o.fails.Load() {
		return errDisk
	}
	return o.fakeOutbox.WriteCanary(ctx, id)
}

// startHealth runs a drain and the health's own checks within a synctest bubble.
func startHealth(t *testing.T, drained bool) *healthRig {
	bridge, log, _ := newTestBridge(BridgeOptions{})
	r := &healthRig{log: &wedgeableLog{Log: log}, real: log, bridge: bridge, outbox: &wedgeableOutbox{fakeOutbox: newOutbox()}, told: make(chan string, 100)}
	canaries := NewCanaries(r.outbox, testID)
	r.health = NewHealth(r.log, &r.loops, bridge, canaries, func(part string, err error) {
		if (part == "") != (err == nil) {
			t.Errorf("told of part %q and %v", part, err)
		}
		r.told <- part
	})
	ctx, cancel := context.WithCancel(t.Context())
	runs := []func(context.Context) error{r.health.Run}
	if drained {
		runs = append(runs, NewDrain(r.outbox, bridge, newObserver(), canaries).Run)
	}
	done := make(chan error, len(runs))
	for _, run := range runs {
		go func() { done <- run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range runs {
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		}
	})
	return r
}

// Each part is blocked on purpose. The hub says so by itself within ten seconds, to whoever asks within two, and that it
// is well again when it is.
func TestWedgedPartIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		part      string
		undrained bool
		block     func(r *healthRig) (release func())
	}{
		"the log holds its lock":    {part: "log", block: func(r *healthRig) func() { return r.log.wedge.drive() }},
		"a writer loop is stuck":    {part: "streams", block: func(r *healthRig) func() { return r.loops.wedge.drive() }},
		"the store does not return": {part: "store", block: func(r *healthRig) func() { return r.outbox.wedge.drive() }},
		"the store fails": {part: "store", block: func(r *healthRig) func() {
			r.outbox.fails.Store(true)
			return func() { r.outbox.fails.Store(false) }
		}},
		"the recorder of webhooks stores nothing": {part: "webhooks", block: func(r *healthRig) func() {
			gate := r.real.NewGate(domain.AllTypes)
			e := domain.Event{ID: testID(), OccurredAt: time.Now(), Payload: domain.QueueStatus{}}
			if _, _, err := r.real.Append(context.Background(), e); err != nil {
				panic(err)
			}
			return gate.Close
		}},
		"somebody keeps the bridge": {part: "hub", block: func(r *healthRig) func() {
			<-r.bridge.turn
			return func() { r.bridge.turn <- struct{}{} }
		}},
		"nobody reads the outbox": {part: "source", undrained: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startHealth(t, !c.undrained)
				release := func() {}
				if c.block != nil {
					if got := <-r.told; got != "" {
						t.Fatalf("%q is said to fail before it does", got)
					}
					release = c.block(r)
				}
				blocked := time.Now()
				if got := <-r.told; got != c.part || time.Since(blocked) >= 10*time.Second {
					t.Errorf("after %v the hub says that %q fails; want %q", time.Since(blocked), got, c.part)
				}
				for range 3 { // and goes on saying so
					asked := time.Now()
					err := r.health.checkWithin(t.Context(), healthTimeout)
					if failed, ok := errors.AsType[*PartError](err); !ok || failed.Part != c.part || time.Since(asked) > healthTimeout {
						t.Errorf("Check = %v after %v; want %s", err, time.Since(asked), c.part)
					}
					time.Sleep(time.Second)
				}
				if live := r.live(t); live == nil == (c.part == "log" || c.part == "streams") {
					t.Errorf("Live = %v", live)
				}
				release()
				if c.undrained {
					return
				}
				for got := range r.told { // those of checks under way come first
					if got == "" {
						break
					}
				}
				if err := r.live(t); err != nil {
					t.Errorf("Live = %v afterwards", err)
				}
			})
		})
	}
}

func (r *healthRig) live(t *testing.T) error {
	ctx, cancel := context.WithTimeout(t.Context(), healthTimeout)
	defer cancel()
	return r.health.Live(ctx)
}

// What hangs is not called again and again.
func TestHungPartIsNotCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startHealth(t, true)
		<-r.told
		defer r.outbox.wedge.drive()()
		for range 20 {
			<-r.told
		}
		err := r.health.checkWithin(t.Context(), healthTimeout)
		if err == nil || !strings.HasPrefix(err.Error(), "store: has not answered for ") {
			t.Errorf("Check = %v", err)
		}
	})
}

// Those who ask while a check hangs are told what the last one found, and in time.
func TestHealthWhileAnotherChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startHealth(t, true)
		<-r.told
		<-r.bridge.turn
		defer func() { r.bridge.turn <- struct{}{} }()
		errs := make(chan error, 5)
		start := time.Now()
		for range cap(errs) {
			go func() { errs <- r.health.checkWithin(t.Context(), healthTimeout) }()
		}
		failed := 0
		for range cap(errs) {
			if err := <-errs; err != nil {
				failed++
			}
		}
		if failed == 0 || time.Since(start) > healthTimeout {
			t.Errorf("%d of %d checks failed after %v", failed, cap(errs), time.Since(start))
		}
	})
}
