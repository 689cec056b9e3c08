package stream

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller tells a shard which of its sockets can be read from or written to. It is an edge-triggered epoll instance that
// the Go runtime's own poller watches, so that waiting takes a parked goroutine and no thread.
type poller struct {
	fd     int
	file   *os.File
	events chan []unix.EpollEvent
	done   chan struct{} // events have been handled
	conns  []*conn       // by descriptor; the loop's own
}

const (
	pollBatch = 256
	interest  = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1)
	finished  = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR // the peer has ended, whatever it sent before
)

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("stream: epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // lets package os watch it
		return nil, errors.Join(fmt.Errorf("stream: epoll: %w", err), unix.Close(fd))
	}
	return &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), events: make(chan []unix.EpollEvent), done: make(chan struct{})}, nil
}

// watch passes events on until the poller is closed.
func (p *poller) watch() {
	defer close(p.events)
	raw, err := p.file.SyscallConn()
	if err != nil {
		return // closed
	}
	buf := make([]unix.EpollEvent, pollBatch)
	for {
		var n int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), buf, 0)
			return n > 0 || failed != nil
		})
		switch {
		case err != nil:
			return // closed
		case failed == nil:
			p.events <- buf[:n]
			<-p.done
		case !errors.Is(failed, unix.EINTR):
			panic("stream: epoll: " + failed.Error()) // nothing but a misuse fails otherwise
		}
	}
}

// ready returns where events come from.
func (p *poller) ready() <-chan []unix.EpollEvent {
	if p == nil {
		return nil
	}
	return p.events
}

// close ends watch. What it wants to pass on meanwhile is dropped.
func (p *poller) close() {
	if p == nil {
		return
	}
	_ = p.file.Close()
	for range p.events {
		p.done <- struct{}{}
	}
}

// handle tells connections what their sockets are ready for.
func (p *poller) handle(s *shard, events []unix.EpollEvent) {
	for i := range events {
		c := p.conns[events[i].Fd] // of a later connection, if the one that it was for has ended: that finds nothing to do
		if c == nil {
			continue
		}
		if events[i].Events&unix.EPOLLOUT != 0 {
			s.writable(c)
		}
		if flags := events[i].Events; flags&(unix.EPOLLIN|finished) != 0 {
			s.readable(c, flags&finished != 0)
		}
	}
	p.done <- struct{}{}
}

func (p *poller) add(fd int, c *conn) error {
	for fd >= len(p.conns) {
		p.conns = append(p.conns, make([]*conn, max(64, len(p.conns)))...)
	}
	p.conns[fd] = c
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: interest, Fd: int32(fd)})
}

// maxReads is how often a socket is read in a row before the others have their turn.
const maxReads = 16

// readable reads until the socket is empty; to its end, if there is one.
func (s *shard) readable(c *conn, toEnd bool) {
	socket, ok := c.link.(*socket)
	for reads := 0; ok && !c.ended && !c.held; reads++ {
		if reads == maxReads {
			s.tell(c, func() { s.readable(c, toEnd) })
			return
		}
		n, err := socket.read(s.input)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil || n == 0:
			s.cease(c)
			return
		}
		s.take(c, s.input[:n])
		if n < len(s.input) && !toEnd {
			return // what comes now is another edge
		}
	}
}

// socket is a link on the poller: nothing but a descriptor.
type socket struct {
	fd     int
	poller *poller // once attached
}

// unsentBytes is how much unsent makes a socket on the poller full: more would only make events old.
const unsentBytes = 128 << 10

// newSocket takes over the descriptor of a TCP connection. Nil means that it cannot, and nc is as it was.
func newSocket(nc *net.TCPConn, patience time.Duration) *socket {
	raw, err := nc.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	err = raw.Control(func(old uintptr) { fd, _ = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil || fd < 0 {
		return nil
	}
	_ = nc.Close()                                                                                    // of two descriptors; the connection stays
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(patience.Milliseconds())) // a peer that has vanished acknowledges nothing
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)                 // without it events pile up in the kernel
	return &socket{fd: fd}
}

func (l *socket) attach(c *conn) error {
	l.poller = c.shard.poller
	return l.poller.add(l.fd, c)
}

// shortWrite is up to where a write is over before the scheduler could make use of the processor.
const shortWrite = 8 << 10

func (l *socket) tryWrite(b []byte) (int, error) {
	for {
		n, err := l.write(b)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		case !errors.Is(err, syscall.EINTR):
			return 0, err
		}
	}
}

// write is one system call. The scheduler is not told of a short one: it does not block, and telling costs 5 % of a
// delivery.
func (l *socket) write(b []byte) (int, error) {
	if len(b) > shortWrite {
		return syscall.Write(l.fd, b)
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(l.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (l *socket) read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(l.fd, b)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// push has nothing to do: the socket is watched at all times.
func (*socket) push(*conn, []byte) bool { return false }

func (l *socket) queued() int {
	n, err := unix.IoctlGetInt(l.fd, unix.SIOCOUTQ)
	if err != nil {
		return -1
	}
	return n
}

func (*socket) resume(c *conn) { c.shard.readable(c, true) }

func (l *socket) close() {
	if l.poller != nil {
		l.poller.conns[l.fd] = nil
	}
	_ = unix.Close(l.fd)
	l.fd = -1 // the number may be another file's from now on
}
