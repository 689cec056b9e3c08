//go:build linux

package swarm

import (
	"time"

	"github.com/matric/matric-events/tests/load/streams/tally"
)

// Gather lets the kernel collect bytes for the clients that are not timed before it wakes their loop; 1 is its default.
// Reading one small message costs about as much as writing it does, and the two share the processors: without it the client
// would be half of what is measured.
func (s *Swarm) Gather(bytes int) { s.each(func(l *loop) { l.gather(bytes) }) }

// Time begins to take latencies.
func (s *Swarm) Time() {
	s.each(func(l *loop) {
		l.latency.Reset()
		l.timing = true
	})
}

// Timed ends what Time began and returns the latencies in between.
func (s *Swarm) Timed() tally.Latency {
	all := tally.NewLatency()
	s.each(func(l *loop) {
		l.timing = false
		all.Add(l.latency)
	})
	return all
}

// Live returns how many clients are subscribed.
func (s *Swarm) Live() (n int64) {
	for _, l := range s.loops {
		n += l.live.Load()
	}
	return n
}

// Arrived returns how many events the timed clients have had, in the mean of those connected; the others read late.
func (s *Swarm) Arrived() int64 {
	var events, clients int64
	for _, l := range s.loops {
		events += l.advanced.Load()
		clients += l.liveTimed.Load()
	}
	return events / max(clients, 1)
}

// Delivered returns how many events have been received by the timed clients, and the factor by which all clients are more.
func (s *Swarm) Delivered() (events int64, factor float64) {
	var live, timed int64
	for _, l := range s.loops {
		events += l.delivered.Load()
		live += l.live.Load()
		timed += l.liveTimed.Load()
	}
	return events, float64(live) / float64(max(timed, 1))
}

// Behind returns how many clients, of those connected, have not had all that was published, and how many events they miss.
func (s *Swarm) Behind(published []uint64) (clients int, events int64) {
	s.each(func(l *loop) {
		l.sweep()
		n, missing := l.behind(published)
		clients, events = clients+n, events+missing
	})
	return clients, events
}

// Silent returns how many clients, of those connected, have not had an event yet.
func (s *Swarm) Silent() (n int) {
	s.each(func(l *loop) {
		l.sweep()
		n += l.silent()
	})
	return n
}

// Ended is how connections ended that the swarm did not end itself, by reason.
type Ended map[string]int

// Total returns how many there are.
func (e Ended) Total() (n int) {
	for _, k := range e {
		n += k
	}
	return n
}

// Counts returns what has been received, and how connections have ended so far.
func (s *Swarm) Counts() (c tally.Counts, ended Ended) {
	ended = Ended{}
	s.each(func(l *loop) {
		c.Add(l.counts)
		for why, n := range l.ended {
			ended[why] += n
		}
	})
	return c, ended
}

// Await waits until all clients that are connected have had all that was published, and returns how many events are missing
// when it gives up.
func (s *Swarm) Await(published []uint64, patience time.Duration) int64 {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, missing := s.Behind(published); missing == 0 || time.Now().After(deadline) {
			return missing
		}
	}
}
