//go:build linux

package swarm

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/matric/matric-events/tests/load/streams/tally"
	"github.com/matric/matric-events/tests/load/streams/wire"
)

const (
	handshakePatience = 30 * time.Second // for any of the handshakes under way to get on
	openPatience      = 2 * time.Minute  // for all of them
	maxHead           = 8 << 10
	// perSource is how many connections share a source address: fewer than it has ephemeral ports, and few enough that a
	// server's limit per address can be told from its limit in all.
	perSource = 10_000
)

// opening is the state of a loop that opens connections.
type opening struct {
	waiting    []int // indices of connections to open
	under      int   // handshakes under way
	began      time.Time
	moved      time.Time // when a handshake last ended
	ok         int
	failed     map[string]int
	handshakes tally.Latency
	openEnd    int64
	opened     chan struct{} // one value for each openAll
	busy       bool
}

func newOpening() opening { return opening{opened: make(chan struct{}, 1)} }

func (l *loop) openAll() {
	l.ok, l.failed, l.handshakes = 0, map[string]int{}, tally.NewLatency()
	l.busy, l.began, l.moved = true, time.Now(), time.Now()
	for i := range l.conns {
		if l.conns[i].state == closed {
			l.waiting = append(l.waiting, i)
		}
	}
	l.openMore()
}

// openMore keeps as many handshakes under way as is allowed, and reports when all are done.
func (l *loop) openMore() {
	if !l.busy {
		return
	}
	for l.under < max(1, l.o.Opening/l.o.Loops) && len(l.waiting) > 0 {
		i := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.under++
		if err := l.open(i); err != nil {
			l.fail(&l.conns[i], err.Error())
		}
	}
	if time.Since(l.moved) > handshakePatience || time.Since(l.began) > openPatience {
		l.giveUp()
	}
	if l.under == 0 && len(l.waiting) == 0 {
		l.busy, l.openEnd = false, tally.Now()
		l.opened <- struct{}{}
	}
}

// giveUp fails all handshakes that are under way or have not begun.
func (l *loop) giveUp() {
	for i := range l.conns {
		if c := &l.conns[i]; c.state != closed && c.state != live {
			l.fail(c, "handshake: not done in time")
		}
	}
	if n := len(l.waiting); n > 0 {
		l.failed["not begun, since others were not done in time"] += n
		l.waiting = nil
	}
}

func (l *loop) open(i int) error {
	c := &l.conns[i]
	c.begin = tally.Now()
	fd, err := dial(l.o.Server, source(c.number))
	if err != nil {
		return err
	}
	c.fd, c.state = fd, connecting
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edgeTriggered, Fd: int32(i),
	})
}

// source spreads clients over the addresses of loopback.
func source(number int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + number/perSource)})
}

func (l *loop) fail(c *conn, reason string) {
	l.failed[reason]++
	l.moved = time.Now()
	l.under--
	l.shut(c)
}

// connected sends the request, unless the connection was refused.
func (l *loop) connected(c *conn) {
	if errno, err := syscall.GetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_ERROR); err != nil || errno != 0 {
		l.fail(c, fmt.Sprintf("connect: %v", syscall.Errno(errno)))
		return
	}
	c.state = awaitingHead
	l.send(c, l.o.Target.Handshake(l.o.Server.String(), c.lastID))
}

// send writes a few bytes, for which a fresh socket always has room.
func (l *loop) send(c *conn, b []byte) {
	if n, errno := write(c.fd, b); errno != 0 || n != len(b) {
		l.lose(c, fmt.Sprintf("write: %v", errno))
	}
}

// head takes the response to the handshake, if it is complete, and returns what follows it.
func (l *loop) head(c *conn, b []byte) (rest []byte, fault string) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		if len(b) > maxHead {
			return nil, "handshake: no end of the response's head"
		}
		return b, ""
	}
	head := string(b[:end+2])
	if !strings.HasPrefix(head, l.o.Target.Accepted()) {
		line, _, _ := strings.Cut(head, "\r\n")
		return nil, "handshake: " + line
	}
	c.isChunked = strings.Contains(strings.ToLower(head), "\r\ntransfer-encoding: chunked\r\n")
	c.state = awaitingReady
	if l.o.Target.Hello != "" {
		l.send(c, wire.AppendText(nil, []byte(l.o.Target.Hello)))
	}
	if l.o.Target.Ready == "" && c.state == awaitingReady {
		l.subscribed(c)
	}
	return b[end+4:], ""
}

func (l *loop) subscribed(c *conn) {
	c.state = live
	l.handshakes.Record(tally.Now() - c.begin)
	l.ok++
	l.moved = time.Now()
	l.under--
	l.enter(c, 1)
}
