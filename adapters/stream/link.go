package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// link is a connection's way to its peer. There are two kinds: a socket on the poller, and, for everything else, one that
// goroutines of its own wait on. Its shard's loop calls it, and is called back by it: shard.take with what the peer sends,
// shard.cease when it sends no more, shard.writable.
type link interface {
	// attach begins to bring the loop what the peer sends, and when more can be written.
	attach(c *conn) error
	// tryWrite writes what the peer's side takes at once, never blocks, and returns how much that was. When that is not
	// all, the loop parks the connection until shard.writable.
	tryWrite(b []byte) (int, error)
	// push is told what tryWrite has left. True means that it goes on writing that, and shard.writable follows when it is
	// out; false, that it will call shard.writable when more can be written.
	push(c *conn, rest []byte) bool
	// queued returns how many bytes the kernel holds that the peer has yet to take, -1 if that is not known and push has a
	// deadline of its own.
	queued() int
	// resume goes on bringing what the peer sends, which stops when the connection is held.
	resume(c *conn)
	// close frees the connection, and may be the only call.
	close()
}

// patienceBytes is what must get through within one write timeout.
const patienceBytes = 16 << 10

// pieces writes all of b, or returns an error when a piece takes longer than the timeout.
func pieces(b []byte, write func(b []byte) error) (err error) {
	for len(b) > 0 && err == nil {
		n := min(patienceBytes, len(b))
		err = write(b[:n])
		b = b[n:]
	}
	return err
}

// pushed tells the loop that a goroutine has written what was left, or could not.
func pushed(c *conn, err error) {
	c.shard.post(func() {
		if err != nil && !c.ended {
			c.end("write: " + err.Error())
		}
		c.shard.writable(c)
	})
}

// netLink is a connection with a goroutine that reads, and another one while its socket is full. Plain TCP is written to
// directly; anything else, such as TLS, only by that goroutine.
type netLink struct {
	net.Conn
	direct direct // the zero value when there is no socket to be had

	conn    *conn          // set by attach, like all below
	sent    []byte         // what has been read; the loop's until it is taken
	taken   sync.WaitGroup // for the reader to wait until it is
	pending bool           // it is not; the loop's own
}

func newNetLink(nc net.Conn) *netLink { return &netLink{Conn: nc, direct: newDirect(nc)} }

func (l *netLink) attach(c *conn) error {
	l.conn = c
	c.shard.engine.crew.Go(l.read)
	return nil
}

// read brings the loop what the peer sends. Its stack is what an idle connection costs most: keep it shallow.
func (l *netLink) read() {
	var err error
	for err == nil {
		if l.direct.raw != nil {
			err = l.direct.read(l.hand)
		} else {
			err = l.readBuffered()
		}
	}
	l.conn.shard.post(func() { l.conn.shard.cease(l.conn) })
}

func (l *netLink) readBuffered() error {
	buf := make([]byte, 512)
	n, err := l.Read(buf)
	if n > 0 {
		l.hand(buf[:n])
	}
	return err
}

// hand waits until the loop has taken what was read.
func (l *netLink) hand(b []byte) {
	l.sent = b
	l.taken.Add(1)
	if !l.conn.shard.post(l.take) {
		l.taken.Done()
	}
	l.taken.Wait()
}

func (l *netLink) take() {
	c := l.conn
	l.pending = true
	c.shard.take(c, l.sent)
	if !c.held || c.ended {
		l.resume(c)
	}
}

func (l *netLink) resume(*conn) {
	if l.pending {
		l.pending = false
		l.taken.Done()
	}
}

func (l *netLink) tryWrite(b []byte) (int, error) {
	if l.direct.raw == nil {
		return 0, nil
	}
	return l.direct.write(b)
}

func (l *netLink) push(c *conn, rest []byte) bool {
	timeout := c.shard.engine.opts.WriteTimeout
	c.shard.engine.crew.Go(func() {
		pushed(c, pieces(rest, func(b []byte) error { return l.write(b, timeout) }))
	})
	return true
}

func (*netLink) queued() int { return -1 }

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

func (l *netLink) close() {
	l.resume(nil) // the reader may be waiting
	if _, ok := l.Conn.(*tls.Conn); ok {
		go func() { _ = l.Close() }() // it says goodbye first, which may block
		return
	}
	_ = l.Close()
}

// httpLink is a response that cannot be hijacked, as in HTTP/2. Its handler waits until the connection has ended and
// nothing is being written any more.
type httpLink struct {
	ctx  context.Context // of the request: ends when the client leaves
	w    http.ResponseWriter
	ctrl *http.ResponseController
	gone chan struct{} // closed by close
	rest sync.WaitGroup

	mu      sync.Mutex // guards all below, and makes close the last to set the deadline of a write
	writing bool
	closed  bool
}

func newHTTPLink(ctx context.Context, w http.ResponseWriter, ctrl *http.ResponseController) *httpLink {
	return &httpLink{ctx: ctx, w: w, ctrl: ctrl, gone: make(chan struct{})}
}

func (l *httpLink) attach(c *conn) error {
	context.AfterFunc(l.ctx, func() { c.shard.post(func() { c.shard.cease(c) }) })
	return nil
}

func (*httpLink) resume(*conn)                 {}
func (*httpLink) tryWrite([]byte) (int, error) { return 0, nil }
func (*httpLink) queued() int                  { return -1 }

func (l *httpLink) push(c *conn, rest []byte) bool {
	timeout := c.shard.engine.opts.WriteTimeout
	l.rest.Go(func() {
		err := pieces(rest, func(b []byte) error { return l.write(b, timeout) })
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) { // the client has left
			c.shard.post(func() { c.shard.cease(c) })
			return
		}
		pushed(c, err)
	})
	return true
}

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
	close(l.gone)
}

// wait returns when the connection has ended and nothing is being written any more.
func (l *httpLink) wait() {
	<-l.gone
	l.rest.Wait()
}
