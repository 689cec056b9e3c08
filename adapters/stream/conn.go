package stream

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// Close codes of the contract beside those of RFC 6455.
const (
	statusIdle    ws.StatusCode = 1001
	statusPolicy  ws.StatusCode = 1008
	statusRestart ws.StatusCode = 1012 // IANA registry: service restart
	statusLagged  ws.StatusCode = 4008
)

const (
	closeGrace = 2 * time.Second // for the peer to answer a close frame
	maxOwn     = 64 << 10        // bytes of replies that wait for a client before its further requests wait too
)

// conn is one subscriber. A writer loop writes for it; for WebSocket a goroutine reads from it.
type conn struct {
	id     domain.UUID
	format format
	remote string
	user   string
	since  time.Time
	link   link
	place  *app.Place
	engine *Engine
	shard  *shard
	fresh  bool          // not among the shard's connections yet; the loop's own
	called bool          // among those that the loop will look at soon; guarded by the shard's mutex
	gone   chan struct{} // closed once the connection has ended
	heard  atomic.Int64  // when the peer last sent something, in Unix nanoseconds

	mu        sync.Mutex // guards all below; nobody blocks while holding it
	flushed   sync.Cond  // own was taken, a write is over, or the connection has ended
	filter    domain.Filter
	following bool       // gets events
	cursor    domain.Seq // the last entry that the client has seen or does not want
	last      domain.UUID
	delivered uint64
	own       []byte // bytes for this client alone, to go out before further events
	modern    bool   // may be told notices
	skip      bool   // goes on after having been lapped
	busy      bool   // parked: its own goroutine is writing
	closing   bool   // nothing follows own
	answered  bool   // the peer has sent its close frame, or cannot
	lingers   bool   // all is sent; only the peer's close frame is waited for
	ended     bool
	deadline  time.Time // of the close grace
	wrote     time.Time
	pinged    time.Time
	reason    string // why it closes, for operators
}

// Describe implements app.Member.
func (c *conn) Describe() domain.Connection {
	head := c.engine.feed.Head()
	c.mu.Lock()
	defer c.mu.Unlock()
	d := domain.Connection{
		ID: c.id, Transport: c.format.transport(), Remote: c.remote, User: c.user, Since: c.since,
		Filter: c.filter, Delivered: c.delivered,
	}
	if c.following && head > c.cursor {
		d.Lag = uint64(head - c.cursor)
	}
	return d
}

// Announce implements app.Member.
func (c *conn) Announce(in time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.format&websocket == 0:
		c.send(c.format.chunk(retryField(in)))
	case c.modern:
		c.send(c.format.notice("draining", draining{Type: "Draining", Reconnect: in.Milliseconds()}))
	}
}

// Close implements app.Member.
func (c *conn) Close(why app.CloseReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if why == app.CloseShutdown {
		c.close(statusRestart, "server is restarting")
	} else {
		c.close(statusPolicy, "closed by an operator")
	}
}

// start enters the connection and sends what comes first. Then it lets events follow, from behind the last one that the
// client has seen.
func (c *conn) start(ctx context.Context, lastEventID string) {
	c.place.Occupy(c)
	c.mu.Lock()
	c.shard.call(c) // what is queued already need not wait for the counts
	c.mu.Unlock()
	var status []byte
	if c.filter.Types == 0 || c.filter.Types.Has(domain.TypeQueueStatus) {
		status = c.format.snapshot(c.engine.snapshot(ctx))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.send(status)
	c.following = true
	if lastEventID != "" {
		c.resume(lastEventID)
	}
}

// send queues bytes for this client alone. The caller holds c.mu.
func (c *conn) send(b []byte) {
	if c.closing || c.ended {
		return
	}
	c.own = append(c.own, b...)
	c.shard.call(c)
}

// close ends the connection in good order: a close frame or the end of the chunked body is the last thing sent. The
// caller holds c.mu.
func (c *conn) close(code ws.StatusCode, reason string) {
	if c.closing || c.ended {
		return
	}
	switch {
	case c.format&websocket != 0:
		c.own = append(c.own, closeFrame(code, reason)...)
	case c.format&chunked != 0:
		c.own = append(c.own, "0\r\n\r\n"...)
	}
	c.closing = true
	c.reason = strconv.Itoa(int(code))
	c.answered = c.answered || c.format&websocket == 0
	c.deadline = time.Now().Add(c.engine.opts.WriteTimeout + closeGrace)
	c.shard.call(c)
}

// lapped tells the client that it was too slow for the log. The caller holds c.mu.
func (c *conn) lapped(missed uint64) {
	if c.format&websocket != 0 && !c.skip {
		var last string
		if !c.last.IsZero() {
			last = c.last.String()
		}
		c.close(statusLagged, last)
		return
	}
	if c.modern {
		c.own = append(c.own, c.format.notice("events.lagged", eventsLagged{Type: "EventsLagged", Dropped: missed})...)
	}
}

// push writes on for a connection whose socket was full, until it has taken everything.
func (c *conn) push(rest []byte) {
	const piece = 16 << 10 // what must get through within one write timeout
	var err error
	for len(rest) > 0 && err == nil {
		n := min(piece, len(rest))
		err = c.link.write(rest[:n], c.engine.opts.WriteTimeout)
		rest = rest[n:]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
	c.wrote = time.Now()
	if err != nil {
		c.end("write: " + err.Error())
	}
	c.flushed.Broadcast()
	c.shard.call(c)
}

// settle ends a closing connection once everything is sent and the peer has nothing to add. The caller holds c.mu.
func (c *conn) settle() {
	if !c.closing {
		return
	}
	if c.answered {
		c.end(c.reason)
		return
	}
	if !c.lingers {
		c.lingers, c.deadline = true, time.Now().Add(closeGrace)
	}
}

// end frees the connection. The caller holds c.mu.
func (c *conn) end(reason string) {
	if c.ended {
		return
	}
	c.ended = true
	if c.closing {
		reason = c.reason
	}
	c.reason = reason
	c.flushed.Broadcast()
	close(c.gone)
	go func() { // closing may block, leaving wants c.mu
		defer c.engine.crew.Done()
		c.link.close()
		c.place.Leave(reason)
	}()
}

// expire does what time calls for, and reports whether the connection is still there.
func (c *conn) expire(now time.Time, o *Options) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return false
	case c.closing:
		if now.After(c.deadline) {
			c.end(c.reason)
			return false
		}
	case c.format&websocket == 0:
		if !c.busy && now.Sub(c.wrote) >= o.Keepalive {
			c.send(c.format.chunk([]byte(": keepalive\n\n")))
		}
	case now.UnixNano()-c.heard.Load() >= int64(o.IdleTimeout):
		c.close(statusIdle, "idle")
	case now.Sub(c.pinged) >= o.Heartbeat:
		c.pinged = now
		c.send(controlFrame(ws.NewPingFrame(nil)))
	}
	return true
}

func retryField(d time.Duration) []byte {
	return append(strconv.AppendInt([]byte("retry: "), d.Milliseconds(), 10), "\n\n"...)
}
