package app

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/domain"
)

// Under a crowd that never ceases, exactly as many get in each second as the limit says; after a rest, as many more at
// once as one second has.
func TestHandshakesPerSecondUnderPressure(t *testing.T) {
	const limit = 50
	for _, pressure := range []time.Duration{time.Millisecond, 7 * time.Millisecond, 50 * time.Microsecond} {
		t.Run(fmt.Sprintf("one every %v", pressure), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewRegistry(Limits{HandshakesPerSecond: limit}, newObserver())
				second := func() (in int) {
					for start := time.Now(); time.Since(start) < time.Second; time.Sleep(pressure) {
						place, err := r.Admit("websocket", "a")
						if err == nil {
							place.Leave("1000") // a place that is given back is no handshake that is
							in++
						} else if refusal, ok := errors.AsType[*Refusal](err); !ok || refusal.Reason != "handshakes_per_second" || refusal.RetryAfter != time.Second {
							t.Fatal(err)
						}
					}
					return in
				}
				total := 0
				for s := range 10 {
					in := second()
					total += in
					if s > 0 && (in < limit-1 || in > limit+1) { // where a second begins is no matter of the limiter's
						t.Errorf("second %d: %d got in, want %d", s, in, limit)
					}
				}
				if most := limit + 10*limit; total > most || total < most-limit {
					t.Errorf("%d got in within 10 s; want %d and at most a second's worth more", total, 10*limit)
				}
				time.Sleep(time.Hour) // saves up no more than a second does
				if in := second(); in > 2*limit {
					t.Errorf("%d got in within a second after a rest", in)
				}
			})
		})
	}
}

// Who is refused for another reason takes nothing from those who come after.
func TestARefusalIsNoHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Limits{Connections: 2, ConnectionsPerIP: 1, HandshakesPerSecond: 3}, newObserver())
		a := admit(t, r, "a")
		for range 100 {
			if _, refusal := r.Reserve("websocket", "a"); refusal == nil || refusal.Reason != "connections_per_ip" {
				t.Fatal(refusal)
			}
		}
		admit(t, r, "b")
		for range 100 {
			if _, refusal := r.Reserve("websocket", "c"); refusal == nil || refusal.Reason != "connections" {
				t.Fatal(refusal)
			}
		}
		a.place.Leave("1000")
		admit(t, r, "c") // the third handshake
		if _, refusal := r.Reserve("websocket", "d"); refusal == nil || refusal.Reason != "connections" {
			t.Error(refusal)
		}
	})
}

// drainStep is something that a drain does to a member.
type drainStep struct {
	member int
	hint   time.Duration // of an announcement; zero for a close
	at     time.Duration // since the drain began
}

// traced is a member that writes down what happens to it.
type traced struct {
	number int
	start  time.Time
	trace  *[]drainStep
	place  *Place
}

func (m *traced) Describe() domain.Connection {
	return domain.Connection{ID: domain.UUID{0: 1, 14: byte(m.number >> 8), 15: byte(m.number)}}
}

func (m *traced) Announce(in time.Duration) {
	*m.trace = append(*m.trace, drainStep{m.number, in, time.Since(m.start)})
}

func (m *traced) Close(CloseReason) {
	*m.trace = append(*m.trace, drainStep{m.number, 0, time.Since(m.start)})
	m.place.Leave("1012")
}

// Everybody is told before the first one has to go; then they go one by one, all through the window, and not in a crowd at
// any time; and they are told to come back spread over more time than their going takes.
func TestDrainInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 2, 10, 2000, 30000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewRegistry(Limits{}, newObserver())
				var trace []drainStep
				for i := range n {
					place, err := r.Admit("websocket", "a")
					if err != nil {
						t.Fatal(err)
					}
					place.Occupy(&traced{number: i, start: time.Now(), trace: &trace, place: place})
				}
				if err := r.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(trace) != 2*n {
					t.Fatalf("%d steps for %d members", len(trace), n)
				}
				told, closed := trace[:n], trace[n:]
				mustBeEverybody(t, told, true)
				mustBeEverybody(t, closed, false)
				if n < 1000 {
					return
				}
				window := min(time.Duration(n)*closePerConnection, maxCloseWindow)
				for tenth := range 10 {
					in := 0
					for _, s := range closed {
						if s.at >= window*time.Duration(tenth)/10 && s.at < window*time.Duration(tenth+1)/10 {
							in++
						}
					}
					if in < n/20 || in > n/5 {
						t.Errorf("%d of %d go in part %d of the window of %v", in, n, tenth, window)
					}
				}
				hints := make([]time.Duration, n)
				for i, s := range told {
					hints[i] = s.hint
				}
				slices.Sort(hints)
				if most := minReconnect + reconnectSpread + 2*window; hints[0] < minReconnect || hints[n-1] >= most {
					t.Errorf("clients are to come back after %v to %v; want %v to %v", hints[0], hints[n-1], minReconnect, most)
				}
				if middle := hints[n*9/10] - hints[n/10]; middle < window {
					t.Errorf("most are to come back within %v, while they go within %v", middle, window)
				}
				if different := len(slices.Compact(hints)); different < n*9/10 {
					t.Errorf("%d different hints for %d clients", different, n)
				}
			})
		})
	}
}

// mustBeEverybody fails unless the steps are of one kind and of each member once, in order of time.
func mustBeEverybody(t *testing.T, steps []drainStep, announcement bool) {
	t.Helper()
	seen := map[int]bool{}
	for i, s := range steps {
		if announcement != (s.hint > 0) || seen[s.member] || i > 0 && s.at < steps[i-1].at {
			t.Fatalf("step %d: %+v", i, s)
		}
		seen[s.member] = true
	}
}
