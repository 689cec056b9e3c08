package stream

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// link is what a connection is written to, by one goroutine at a time. close may come at any time, and ends a write.
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
	socket *socket // nil when there is none to write to directly
}

func newNetLink(nc net.Conn) *netLink { return &netLink{nc, newSocket(nc)} }

func (l *netLink) tryWrite(b []byte) (int, error) {
	if l.socket == nil {
		return 0, nil
	}
	return l.socket.tryWrite(b)
}

func (l *netLink) write(b []byte, timeout time.Duration) error {
	if err := l.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := l.Write(b); err != nil {
		if secured, ok := l.Conn.(*tls.Conn); ok {
			_ = secured.NetConn().Close() // or it would try for seconds to say goodbye to a peer that takes nothing
		}
		return err
	}
	return l.SetWriteDeadline(time.Time{}) // left set, it would fail later writes
}

func (l *netLink) close() { _ = l.Close() }

// httpLink is a response that cannot be hijacked, as in HTTP/2. Its handler waits until the connection has ended and
// nothing is being written any more.
type httpLink struct {
	w    http.ResponseWriter
	ctrl *http.ResponseController

	mu      sync.Mutex // guards all below, and makes close the last to set the deadline of a write
	writing bool
	closed  bool
}

func (*httpLink) tryWrite([]byte) (int, error) { return 0, nil }

func (l *httpLink) write(b []byte, timeout time.Duration) error {
	if err := l.begin(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := l.w.Write(b)
	if err == nil {
		err = l.ctrl.Flush()
	}
	return errors.Join(err, l.done())
}

func (l *httpLink) begin(deadline time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.writing = true
	return l.setDeadline(deadline)
}

func (l *httpLink) done() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = false
	if l.closed {
		return net.ErrClosed
	}
	return l.setDeadline(time.Time{}) // left set, it would fail later writes
}

// setDeadline sets the deadline of writes. Where that is not supported the server's own must do.
func (l *httpLink) setDeadline(t time.Time) error {
	if err := l.ctrl.SetWriteDeadline(t); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// close makes a write under way fail. With none it leaves the response alone, for the handler to end in good order.
func (l *httpLink) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.writing {
		_ = l.setDeadline(time.Unix(1, 0))
	}
}
