package stream

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A wheel against a plain list: every timer fires at the first look at or after its time, once, however long the looks are
// apart, and one that was stopped or set anew does not fire at the old time.
func TestWheelAgainstAList(t *testing.T) {
	const tick = 10 * time.Millisecond
	r := rand.New(rand.NewPCG(1, 2))
	w := wheel{tick: tick}
	want := map[*conn]time.Duration{}
	conns := make([]*conn, 200)
	for i := range conns {
		conns[i] = &conn{}
	}
	now, fired := time.Duration(0), 0
	for range 5000 {
		for range r.IntN(4) {
			c := conns[r.IntN(len(conns))]
			if r.IntN(4) == 0 {
				w.stop(c)
				delete(want, c)
				continue
			}
			at := now + time.Duration(r.Int64N(int64(3*wheelSlots*tick)))
			w.set(c, at)
			want[c] = max(at, now+1)
		}
		step := time.Duration(r.Int64N(int64(3 * tick)))
		if r.IntN(100) == 0 {
			step *= wheelSlots // somebody slept
		}
		now += step
		w.advance(now, func(c *conn) {
			fired++
			at, ok := want[c]
			if !ok || at > now {
				t.Fatalf("fired at %v, wanted %v (%v)", now, at, ok)
			}
			delete(want, c)
			if r.IntN(3) == 0 { // as most do
				w.set(c, now+tick)
				want[c] = now + tick
			}
		})
		for _, at := range want {
			if at <= now-tick {
				t.Fatalf("a timer for %v has not fired at %v", at, now)
			}
		}
	}
	if fired < 1000 {
		t.Errorf("only %d timers fired", fired)
	}
}

func TestWheelTakesNoMemory(t *testing.T) {
	w := wheel{tick: time.Second}
	c := &conn{}
	now := time.Duration(0)
	if n := testing.AllocsPerRun(100, func() {
		now += time.Second
		w.set(c, now+time.Second)
		w.advance(now, func(*conn) {})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
