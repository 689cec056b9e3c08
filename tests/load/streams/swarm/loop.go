//go:build linux

package swarm

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/matric/matric-events/tests/load/streams/tally"
)

const (
	bufferSize = 256 << 10
	tick       = 10 * time.Millisecond // how long an order waits at most
	// sweepEvery bounds how long a client that gathers leaves a Ping unanswered. Servers wait about ten seconds.
	sweepEvery = 5 * time.Second
)

// loop reads a share of the connections. All of its fields belong to the goroutine of run, but the atomic ones and orders.
type loop struct {
	o      *Options
	epoll  int
	buf    []byte
	orders chan func()
	done   chan struct{}

	conns  []conn
	tracks []tally.Track // Options.Publishers of them for each connection

	opening
	gathering bool
	swept     time.Time
	timing    bool
	latency   tally.Latency
	counts    tally.Counts
	ended     Ended

	live, liveTimed atomic.Int64
	advanced        atomic.Int64 // sum of what live timed clients' tracks have come to
	delivered       atomic.Int64 // events received by timed clients
}

func newLoop(o *Options) (*loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &loop{
		o: o, epoll: epoll, buf: make([]byte, bufferSize), orders: make(chan func()), done: make(chan struct{}),
		opening: newOpening(), latency: tally.NewLatency(), ended: Ended{},
	}, nil
}

// do runs f between two rounds of the loop and waits for its end.
func (l *loop) do(f func()) {
	ran := make(chan struct{})
	l.orders <- func() { f(); close(ran) }
	<-ran
}

func (l *loop) run() {
	defer close(l.done)
	events := make([]syscall.EpollEvent, 512)
	for {
		select {
		case order, ok := <-l.orders:
			if !ok {
				return
			}
			order()
		default:
		}
		n, err := syscall.EpollWait(l.epoll, events, int(tick.Milliseconds()))
		if err != nil && !errors.Is(err, syscall.EINTR) {
			panic(fmt.Sprintf("epoll_wait: %v", err)) // the descriptor is ours and open
		}
		for _, ev := range events[:max(n, 0)] {
			l.ready(&l.conns[ev.Fd], ev.Events)
		}
		l.openMore()
		if l.gathering && time.Since(l.swept) > sweepEvery {
			l.sweep()
		}
	}
}

func (l *loop) close() error {
	close(l.orders)
	<-l.done
	return syscall.Close(l.epoll)
}

// ready handles what epoll reports of a connection.
func (l *loop) ready(c *conn, events uint32) {
	if c.state == connecting && events&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		l.connected(c)
	}
	if c.state > connecting && events&^syscall.EPOLLOUT != 0 {
		l.drain(c, events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0)
	}
}

// sweep reads what has come on every connection, gathered or not.
func (l *loop) sweep() {
	l.swept = time.Now()
	for i := range l.conns {
		if c := &l.conns[i]; c.state > connecting {
			l.drain(c, false)
		}
	}
}

func (l *loop) gather(bytes int) {
	l.gathering, l.swept = bytes > 1, time.Now()
	for i := range l.conns {
		if c := &l.conns[i]; c.state == live && !c.timed {
			_ = syscall.SetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes) // then it only costs more
		}
	}
}

func (l *loop) dropAll() {
	for i := range l.conns {
		if c := &l.conns[i]; c.state != closed {
			l.shut(c)
		}
	}
}

// lose ends a connection that the server ended or spoiled.
func (l *loop) lose(c *conn, reason string) {
	if c.state != live {
		l.fail(c, reason)
		return
	}
	l.ended[reason]++
	l.shut(c)
}

// shut closes a connection. What its client has seen stays.
func (l *loop) shut(c *conn) {
	if c.state == live {
		l.enter(c, -1)
	}
	reset(c.fd)
	*c = conn{number: c.number, timed: c.timed, lastID: c.lastID, fd: -1}
}

// enter counts a client in (1) or out (-1).
func (l *loop) enter(c *conn, by int64) {
	l.live.Add(by)
	if c.timed {
		l.liveTimed.Add(by)
		for _, t := range l.tracksOf(c) {
			l.advanced.Add(by * int64(t.Last()))
		}
	}
}

func (l *loop) tracksOf(c *conn) []tally.Track {
	i := c.number / l.o.Loops * l.o.Publishers
	return l.tracks[i : i+l.o.Publishers]
}

func (l *loop) behind(published []uint64) (clients int, events int64) {
	for i := range l.conns {
		c := &l.conns[i]
		if c.state != live {
			continue
		}
		var missing int64
		for k, t := range l.tracksOf(c) {
			missing += t.Missing(published[k])
		}
		if missing > 0 {
			clients, events = clients+1, events+missing
		}
	}
	return clients, events
}

func (l *loop) silent() (n int) {
	for i := range l.conns {
		c := &l.conns[i]
		heard := slices.ContainsFunc(l.tracksOf(c), func(t tally.Track) bool { return t.Last() > 0 })
		if c.state == live && !heard {
			n++
		}
	}
	return n
}
