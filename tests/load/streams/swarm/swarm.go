//go:build linux

// Package swarm is a crowd of subscribers in one process that costs much less than the server it listens to.
//
// Each loop owns its share of the connections and is the only goroutine that touches them: bare sockets in edge-triggered
// epoll, one large buffer for all reads, no goroutine, timer or JSON per connection. The handshakes run in the same loops.
// Every event on every connection is checked, for loss, order and repetition; latency is taken on the timed ones.
//
// Linux only.
package swarm

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/matric/matric-events/tests/load/streams/tally"
	"github.com/matric/matric-events/tests/load/streams/target"
)

// Options say what subscribes to what. Server, Target and Clients are required.
type Options struct {
	Server  netip.AddrPort // on loopback
	Target  target.Target
	Clients int
	// Timed is how many clients are read at every message, spread evenly. Zero means all.
	Timed int
	// Publishers is how many publishers' events are followed. Zero means 1.
	Publishers int
	// Opening bounds the handshakes under way. Zero means 64.
	Opening int
	// Loops is how many threads read. Zero means 1.
	Loops int
	// Remember keeps each client's last event_id, to resume from it.
	Remember bool
}

// Swarm is the subscribers. Its methods may be called from any one goroutine at a time; Arrived and Live from all.
type Swarm struct {
	o     Options
	loops []*loop
}

// spare is how many files a process needs besides its connections.
const spare = 100

// New makes a swarm of clients that are not connected yet.
func New(o Options) (*Swarm, error) {
	if !o.Server.Addr().Is4() || !o.Server.Addr().IsLoopback() {
		return nil, fmt.Errorf("server %v: want an address in 127.0.0.0/8", o.Server)
	}
	if err := enoughFiles(o.Clients); err != nil {
		return nil, err
	}
	if o.Timed <= 0 || o.Timed > o.Clients {
		o.Timed = o.Clients
	}
	o.Publishers, o.Opening, o.Loops = max(o.Publishers, 1), max(o.Opening, 64), max(o.Loops, 1)
	s := &Swarm{o: o}
	for range o.Loops {
		l, err := newLoop(&s.o)
		if err != nil {
			return nil, err
		}
		s.loops = append(s.loops, l)
	}
	for i := range o.Clients {
		l := s.loops[i%o.Loops]
		l.conns = append(l.conns, conn{number: i, fd: -1, timed: i*o.Timed/o.Clients != (i+1)*o.Timed/o.Clients})
	}
	for _, l := range s.loops {
		l.tracks = make([]tally.Track, len(l.conns)*o.Publishers)
		go l.run()
	}
	return s, nil
}

func enoughFiles(clients int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit on open files: %w", err)
	}
	if uint64(clients)+spare > limit.Cur {
		return fmt.Errorf("%d connections: a process may open %d files here, so at most %d (raise ulimit -n, for the server as well)",
			clients, limit.Cur, limit.Cur-spare)
	}
	return nil
}

// Opened is what it took to open connections.
type Opened struct {
	OK       int
	Failed   map[string]int // by reason
	Elapsed  time.Duration
	Duration tally.Latency // of each, from the SYN until the subscription was live
}

// Open connects all clients that are not connected, and returns when each has its subscription or has failed.
func (s *Swarm) Open() Opened {
	begin := tally.Now()
	for _, l := range s.loops {
		l.do(l.openAll)
	}
	all := Opened{Failed: map[string]int{}, Duration: tally.NewLatency()}
	for _, l := range s.loops {
		<-l.opened
		all.OK += l.ok
		all.Elapsed = max(all.Elapsed, time.Duration(l.openEnd-begin))
		all.Duration.Add(l.handshakes)
		for why, n := range l.failed {
			all.Failed[why] += n
		}
	}
	return all
}

// Drop resets all connections at once. The clients remember what they have seen and expect to go on from there.
func (s *Swarm) Drop() { s.each((*loop).dropAll) }

// Close resets all connections and ends the loops.
func (s *Swarm) Close() error {
	var errs []error
	for _, l := range s.loops {
		l.do(l.dropAll)
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// each runs f on every loop's goroutine, one after the other.
func (s *Swarm) each(f func(*loop)) {
	for _, l := range s.loops {
		l.do(func() { f(l) })
	}
}
