package soak_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/harness/socket"
)

// fault is something that goes wrong.
type fault struct {
	name string
	does func(ctx context.Context)
}

// mild are the faults that the process must live through.
func (s *soak) mild() []fault {
	list := []fault{
		{"readers stall", s.stallReaders},
		{"readers that never read", s.deafReaders},
		{"readers reset", s.resetReaders},
		{"proxy resets", func(context.Context) { s.hub.proxy.Reset() }},
		{"proxy cut off", s.cutProxy},
		{"receivers misbehave", s.upsetReceivers},
		{"database away", s.databaseAway},
		{"out of descriptors", s.outOfDescriptors},
	}
	for _, name := range slices.Sorted(maps.Keys(s.db.blows)) {
		list = append(list, fault{name, func(context.Context) { s.db.blows[name]() }})
	}
	return list
}

// deadly are those that end it.
func (s *soak) deadly() []fault {
	graceful := func(code int) {
		s.stops++
		if code != 0 {
			s.ledger.breach(pGraceful, "exit code %d", code)
		}
	}
	return []fault{
		{"kill -9", func(context.Context) { s.hub.kill(); s.kills++ }},
		{"SIGTERM", func(context.Context) { graceful(s.hub.stop()) }},
		{"kill -9, standby takes over", func(context.Context) {
			s.hub.handOver(func(h *harness.Server) { h.Kill(); s.kills++ })
		}},
		{"SIGTERM, standby takes over", func(context.Context) {
			s.hub.handOver(func(h *harness.Server) { graceful(h.Stop()) })
		}},
	}
}

// stallReaders has some readers not read while more is published than the hub keeps.
func (s *soak) stallReaders(ctx context.Context) {
	read := make(chan struct{})
	for range 6 {
		s.readers[s.rng.IntN(len(s.readers))].stall(read)
	}
	s.herald.burst(ctx, 8+s.rng.IntN(4))
	pause(ctx, random(s.rng, time.Second))
	close(read)
}

// deafReaders connects clients that never read, nor answer pings. The hub has to get rid of them by itself.
func (s *soak) deafReaders(ctx context.Context) {
	const most = 200 // sockets of ours
	for range 8 {
		u := strings.Replace(s.hub.url(false), "http", "ws", 1) + "/api/v1/ws"
		c, err := socket.Dial(ctx, u, &socket.Options{Deaf: true, ReadBuffer: narrow})
		if err != nil {
			return // the hub is away
		}
		s.deaf = append(s.deaf, c)
	}
	for len(s.deaf) > most {
		s.deaf[0].Abort()
		s.deaf = s.deaf[1:]
	}
}

func (s *soak) resetReaders(context.Context) {
	for _, r := range s.readers {
		if s.rng.IntN(2) == 0 {
			r.abort()
			s.resets++
		}
	}
}

func (s *soak) cutProxy(ctx context.Context) {
	s.hub.proxy.Cut()
	pause(ctx, random(s.rng, 300*time.Millisecond)) // the fault itself
	s.hub.proxy.Restore()
}

// upsetReceivers gives the moody receiver other moods, and a good one in the end.
func (s *soak) upsetReceivers(ctx context.Context) {
	for range 2 {
		s.hooks[1].feel(moods[s.rng.IntN(len(moods))])
		pause(ctx, random(s.rng, 500*time.Millisecond))
	}
	s.hooks[1].feel(fine)
}

// readyz returns the status of readyz, 0 for no answer.
func (s *soak) readyz() int {
	status, _ := s.hub.call(&http.Client{Transport: passing}, http.MethodGet, "/readyz", "", "")
	return status
}

// databaseAway takes the database away until readyz says so, and gives it back until readyz says that.
func (s *soak) databaseAway(context.Context) {
	back := s.db.away()
	if !until(func() bool { return s.readyz() == http.StatusServiceUnavailable || s.hub.current().Ended() }) {
		s.ledger.breach(pReady, "the database was away, and readyz did not say so")
	}
	if status, _ := s.hub.call(&http.Client{Transport: passing}, http.MethodGet, "/livez", "", ""); status != http.StatusOK {
		s.ledger.breach(pReady, "livez is %d while the database is away", status)
	}
	back()
	if !until(func() bool { return s.readyz() == http.StatusOK || s.hub.current().Ended() }) {
		s.ledger.breach(pReady, "the database was back, and readyz did not say so")
	}
	s.outages++
}
