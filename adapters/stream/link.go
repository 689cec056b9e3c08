package stream

import (
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// link is what a connection is written to.
type link interface {
	// tryWrite writes what the socket takes at once, never blocks, and returns how much that was.
	tryWrite(b []byte) (int, error)
	// write writes all of b, or returns an error when it takes longer than the timeout.
	write(b []byte, timeout time.Duration) error
	close()
}

// netLink is a hijacked connection. Plain TCP is written to directly; anything else, such as TLS, only by write.
type netLink struct {
	net.Conn
	raw syscall.RawConn // nil when there is no socket to write to directly
}

func newNetLink(nc net.Conn) *netLink {
	l := &netLink{Conn: nc}
	if tcp, ok := nc.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			l.raw = raw
		}
	}
	return l
}

func (l *netLink) tryWrite(b []byte) (n int, err error) {
	if l.raw == nil {
		return 0, nil
	}
	if doErr := l.raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		return true // done, whatever came of it: do not wait for the socket
	}); doErr != nil {
		return 0, doErr
	}
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		err = nil
	}
	return max(n, 0), err
}

func (l *netLink) write(b []byte, timeout time.Duration) error {
	if err := l.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := l.Conn.Write(b); err != nil {
		return err
	}
	return l.SetWriteDeadline(time.Time{}) // left set, it would fail later writes
}

func (l *netLink) close() { _ = l.Conn.Close() }

// httpLink is a response that cannot be hijacked, as in HTTP/2. Its handler waits until the connection has ended.
type httpLink struct {
	w    http.ResponseWriter
	ctrl *http.ResponseController
}

func (httpLink) tryWrite([]byte) (int, error) { return 0, nil }

func (l httpLink) write(b []byte, timeout time.Duration) error {
	// Where deadlines are not supported the server's own must do.
	if err := l.ctrl.SetWriteDeadline(time.Now().Add(timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := l.w.Write(b); err != nil {
		return err
	}
	if err := l.ctrl.Flush(); err != nil {
		return err
	}
	if err := l.ctrl.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func (httpLink) close() {}
