package app

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/domain"
)

// fakeMember is a connection that leaves as soon as it is told to close.
type fakeMember struct {
	about     domain.Connection
	place     *Place
	mu        sync.Mutex
	announced []time.Duration
	closed    []CloseReason
	stubborn  bool
}

func (m *fakeMember) Describe() domain.Connection { return m.about }

func (m *fakeMember) Announce(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.announced = append(m.announced, d)
}

func (m *fakeMember) Close(r CloseReason) {
	m.mu.Lock()
	m.closed = append(m.closed, r)
	m.mu.Unlock()
	if !m.stubborn {
		go m.place.Leave("1012")
	}
}

func admit(t *testing.T, r *Registry, ip string) *fakeMember {
	t.Helper()
	place, err := r.Admit("sse", ip)
	if err != nil {
		t.Fatal(err)
	}
	m := &fakeMember{about: domain.Connection{ID: testID(), Since: time.Now()}, place: place}
	place.Occupy(m)
	return m
}

func TestRegistryLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			name   string
			limits Limits
			ips    []string // admitted
			ip     string   // refused
			reason string
		}{
			{"total", Limits{Connections: 2}, []string{"a", "b"}, "c", "connections"},
			{"one address", Limits{ConnectionsPerIP: 1}, []string{"a", "b"}, "a", "connections_per_ip"},
			{"handshakes in a second", Limits{HandshakesPerSecond: 3}, []string{"a", "b", "c"}, "d", "handshakes_per_second"},
		} {
			observer := newObserver()
			r := NewRegistry(tc.limits, observer)
			var last *fakeMember
			for _, ip := range tc.ips {
				last = admit(t, r, ip)
			}
			_, err := r.Admit("sse", tc.ip)
			refusal, ok := errors.AsType[*Refusal](err)
			if !ok || refusal.Reason != tc.reason || refusal.RetryAfter <= 0 || !errors.Is(err, domain.ErrUnavailable) {
				t.Errorf("%s: Admit = %v; want a refusal for %s", tc.name, err, tc.reason)
			}
			if observer.count(observer.refused, tc.reason) != 1 {
				t.Errorf("%s: the observer was not told", tc.name)
			}
			if tc.reason == "handshakes_per_second" {
				time.Sleep(time.Second)
			} else {
				last.place.Leave("1000")
			}
			admit(t, r, "new")
		}
	})
}

func TestRegistryReservedPlacesCount(t *testing.T) {
	r := NewRegistry(Limits{Connections: 1}, newObserver())
	place, err := r.Admit("websocket", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Admit("websocket", "b"); err == nil {
		t.Error("a place in the middle of its handshake was given away")
	}
	place.Leave("handshake")
	admit(t, r, "b")
}

func TestRegistryListAndKick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		observer := newObserver()
		r := NewRegistry(Limits{}, observer)
		first := admit(t, r, "a")
		time.Sleep(time.Second)
		second := admit(t, r, "a")
		if list := r.List(); len(list) != 2 || list[0].ID != first.about.ID || list[1].ID != second.about.ID {
			t.Errorf("List = %v; want both, the older first", list)
		}
		if err := r.Kick(second.about.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.Len() != 1 || len(second.closed) != 1 || second.closed[0] != CloseKicked {
			t.Errorf("after a kick: %d left, closed for %v", r.Len(), second.closed)
		}
		if err := r.Kick(second.about.ID); !errors.Is(err, domain.ErrNotFound) {
			t.Errorf("Kick again = %v; want ErrNotFound", err)
		}
		if observer.opened != 2 || len(observer.closed) != 1 {
			t.Errorf("observed %d opened, closed %v", observer.opened, observer.closed)
		}
	})
}

func TestDrainSpreadsReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Limits{}, newObserver())
		members := make([]*fakeMember, 3000)
		for i := range members {
			members[i] = admit(t, r, "a")
		}
		start := time.Now()
		if err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 2*time.Second || took > maxCloseWindow+time.Second {
			t.Errorf("3000 closes took %v; want them spread over about 3 s", took)
		}
		hints := map[time.Duration]bool{}
		for _, m := range members {
			if len(m.announced) != 1 || m.announced[0] < minReconnect || len(m.closed) != 1 || m.closed[0] != CloseShutdown {
				t.Fatalf("a member was announced %v and closed for %v", m.announced, m.closed)
			}
			hints[m.announced[0]] = true
		}
		if len(hints) < 1000 {
			t.Errorf("only %d different reconnect times for 3000 clients", len(hints))
		}
		if _, err := r.Admit("sse", "a"); err == nil {
			t.Error("a draining registry admits")
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Limits{}, newObserver())
		admit(t, r, "a").stubborn = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain = %v; want the deadline", err)
		}
	})
}

func TestOccupyWhileDrainingCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegistry(Limits{}, newObserver())
		place, err := r.Admit("sse", "a")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- r.Drain(t.Context()) }()
		synctest.Wait()
		m := &fakeMember{about: domain.Connection{ID: testID()}, place: place}
		place.Occupy(m)
		if err := <-done; err != nil || len(m.closed) != 1 {
			t.Errorf("Drain = %v, closed %v; want the late connection closed and waited for", err, m.closed)
		}
	})
}
