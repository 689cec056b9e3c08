package stream

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/adapters/internal/web"
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

// conn is one subscriber. What changes belongs to its shard's loop, which alone may touch it; what others may look at
// meanwhile is atomic. What a delivery touches stands first.
type conn struct {
	link      link
	view      *view                 // the events that it gets; nil if its filter looks at more than types, and before it has joined
	cursor    atomic.Uint64         // sequence number of the last entry that the client has, is being sent, or does not want
	delivered atomic.Uint64         // events
	last      domain.UUID           // the last event delivered
	replay    domain.Seq            // events up to here are replayed
	wrote     time.Duration         // when something was sent last
	filter    atomic.Pointer[scope] // what the client wants
	own       []byte                // for this client alone, to go out before further events
	rest      []byte                // of what the socket has taken a part of; goes out before anything else
	timer     timer

	format    format
	following atomic.Bool // gets events
	modern    bool        // may be told notices
	skip      bool        // goes on after having been lapped
	joined    bool        // among its shard's connections
	waiting   bool        // among those of its shard that are behind
	parked    bool        // the socket takes no more for now
	counting  bool        // what the client sends waits for a snapshot
	held      bool        // not read from until it is no longer choked
	deaf      bool        // what the client sends is dropped
	closing   bool        // nothing follows own
	answered  bool        // the peer has sent its close frame, or cannot
	lingers   bool        // all is sent; only the peer's close frame is waited for
	ended     bool

	slot     int // among the shard's connections
	queued   int // bytes in the kernel when it was parked, or looked at last
	decoder  decoder
	heard    time.Duration // when the peer sent something last
	pinged   time.Duration
	stalled  time.Duration // since when the socket has taken nothing
	deadline time.Duration // of the close grace
	reason   string        // why it closes, for operators

	id     domain.UUID
	remote string
	user   string
	since  time.Time
	place  *app.Place
	shard  *shard
}

// scope is a filter in force. It is replaced as a whole.
type scope struct{ domain.Filter }

// byType are the scopes that depend on types only, one for all who want the same.
var byType = func() (all [domain.AllTypes + 1]scope) {
	for types := range all {
		all[types].Types = domain.TypeSet(types)
	}
	return all
}()

func newScope(f domain.Filter) *scope {
	if f.ByTypeOnly() {
		return &byType[f.Types]
	}
	return &scope{f}
}

// opening is what a client asks for when it connects.
type opening struct {
	format       format
	filter       domain.Filter
	modern, skip bool
	lastEventID  string
	remote, user string
}

// wantsStatus reports whether the client is to get a QueueStatus first.
func (o *opening) wantsStatus() bool {
	return o.filter.Types == 0 || o.filter.Types.Has(domain.TypeQueueStatus)
}

// ip is the address that the limits of one address go by.
func (o *opening) ip() string { return web.Host(o.remote) }

// Describe implements app.Member.
func (c *conn) Describe() domain.Connection {
	d := domain.Connection{
		ID: c.id, Transport: c.format.transport(), Remote: c.remote, User: c.user, Since: c.since,
		Filter: c.filter.Load().Filter, Delivered: c.delivered.Load(),
	}
	if head, at := c.shard.engine.feed.Head(), c.at(); c.following.Load() && head > at {
		d.Lag = uint64(head - at)
	}
	return d
}

// Announce implements app.Member.
func (c *conn) Announce(in time.Duration) {
	c.shard.tell(c, func() {
		switch {
		case c.format&websocket == 0:
			c.send(c.format.chunk(retryField(in)))
		case c.modern:
			c.send(c.format.notice("draining", draining{Type: "Draining", Reconnect: in.Milliseconds()}))
		}
	})
}

// Close implements app.Member.
func (c *conn) Close(why app.CloseReason) {
	c.shard.tell(c, func() {
		if why == app.CloseShutdown {
			c.close(statusRestart, "server is restarting")
		} else {
			c.close(statusPolicy, "closed by an operator")
		}
	})
}

// All below is called by the loop.

// at is the place in the log that the connection has reached.
func (c *conn) at() domain.Seq         { return domain.Seq(c.cursor.Load()) }
func (c *conn) advance(seq domain.Seq) { c.cursor.Store(uint64(seq)) }

// send queues bytes for this client alone.
func (c *conn) send(b []byte) {
	if !c.closing {
		c.own = append(c.own, b...)
	}
}

// choked reports whether the client is not to be read from.
func (c *conn) choked() bool { return c.counting || c.parked && len(c.own)+len(c.rest) > maxOwn }

// close ends the connection in good order: a close frame or the end of the chunked body is the last thing sent.
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
	c.expireBy(c.shard.now + c.shard.engine.opts.WriteTimeout + closeGrace)
}

// expireBy sets the time at which a closing connection is cut.
func (c *conn) expireBy(deadline time.Duration) {
	c.deadline = deadline
	c.shard.wheel.set(c, deadline)
}

// settle ends a closing connection, all of whose bytes are sent, once the peer has nothing to add.
func (c *conn) settle() {
	switch {
	case c.answered:
		c.end(c.reason)
	case !c.lingers:
		c.lingers = true
		c.expireBy(c.shard.now + closeGrace)
	}
}

// lapped tells the client that it was too slow for the log.
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
		c.send(c.format.notice("events.lagged", eventsLagged{Type: "EventsLagged", Dropped: missed}))
	}
}

// lost ends a connection whose peer sends nothing any more.
func (c *conn) lost() {
	if c.deaf && c.closing { // it has said goodbye, or was told to go: what is left to send may still arrive
		c.answered = true
		return
	}
	c.end("connection lost")
}

// resume moves the cursor to behind the event that the client saw last. When that cannot be, the client goes on from where
// otherwise says, and is to be sent the notice of what happened.
func (c *conn) resume(lastEventID string, otherwise domain.Seq) (notice []byte) {
	feed := c.shard.engine.feed
	id, err := domain.ParseUUID(lastEventID)
	place := feed.Locate(id) // what is no identifier is as unknown as the zero one
	c.replay = feed.Head()
	c.countReplay(place, c.replay)
	if err == nil && place.Standing == domain.StandingKept {
		c.advance(place.Seq)
		c.last = id
		return nil
	}
	c.advance(otherwise)
	if !c.modern {
		return nil
	}
	const longest = 64 // of an identifier that is none
	required := resyncRequired{Type: "ResyncRequired", Reason: place.Standing.String(), Last: lastEventID[:min(len(lastEventID), longest)]}
	if !place.Oldest.IsZero() {
		required.Oldest = place.Oldest.String()
	}
	return c.format.notice("resync_required", required)
}

// refilter replaces what the client wants.
func (c *conn) refilter(f domain.Filter) {
	c.filter.Store(newScope(f))
	c.shard.assign(c)
}

// expire does what time calls for.
func (c *conn) expire() {
	now, o := c.shard.now, &c.shard.engine.opts
	switch {
	case c.closing:
		if now >= c.deadline {
			c.end(c.reason)
		}
	case c.parked && now-c.stalled >= o.WriteTimeout:
		left := c.link.queued()
		if left >= max(c.queued, 0) {
			c.end("write: the client takes nothing")
			return
		}
		c.queued, c.stalled = left, now // it takes something, however slowly; or somebody else watches it
	case c.format&websocket == 0:
		if !c.parked && now-c.wrote >= o.Keepalive {
			c.send(c.format.chunk([]byte(": keepalive\n\n")))
		}
	case now-c.heard >= o.IdleTimeout:
		c.close(statusIdle, "idle")
	case now-c.pinged >= o.Heartbeat:
		c.pinged = now
		c.send(controlFrame(ws.NewPingFrame(nil)))
	}
}

// due returns when expire is to be called next.
func (c *conn) due() time.Duration {
	o := &c.shard.engine.opts
	switch {
	case c.closing:
		return c.deadline
	case c.format&websocket != 0:
		at := min(c.pinged+o.Heartbeat, c.heard+o.IdleTimeout)
		if c.parked {
			at = min(at, c.stalled+o.WriteTimeout)
		}
		return at
	case c.parked:
		return c.stalled + o.WriteTimeout
	default:
		return c.wrote + o.Keepalive
	}
}

// end frees the connection.
func (c *conn) end(reason string) {
	if c.ended {
		return
	}
	c.ended = true
	if c.closing {
		reason = c.reason
	}
	c.shard.leave(c)
	c.own, c.rest, c.decoder = nil, nil, decoder{}
	c.link.close()
	c.place.Leave(reason)
	c.shard.engine.crew.Done()
}

func retryField(d time.Duration) []byte {
	return append(strconv.AppendInt([]byte("retry: "), d.Milliseconds(), 10), "\n\n"...)
}
