package stream

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// subprotocol is what a client asks for that understands notices.
const subprotocol = "matric.events.v1"

// ServeWebSocket upgrades the request (RFC 6455 section 4.2) and serves the two-way protocol until the connection ends.
func (e *Engine) ServeWebSocket(w http.ResponseWriter, r *http.Request) {
	if err := e.checkHandshake(w, r); err != nil {
		web.Problem(w, err)
		return
	}
	q := r.URL.Query()
	filter, err := queryFilter(q)
	lag := q.Get("on_lag")
	if err == nil && lag != "" && lag != "skip" && lag != "disconnect" {
		err = domain.Invalid("on_lag", "must be disconnect or skip")
	}
	if err != nil {
		web.Problem(w, err)
		return
	}
	place, err := e.admit("websocket", r)
	if err != nil {
		web.Problem(w, refused(err))
		return
	}
	defer e.crew.Done()
	// The library looks at the first of several header fields only; their lists have been checked above.
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	upgrader := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == subprotocol }, Timeout: e.opts.WriteTimeout}
	head := e.feed.Head() // from the client's view it is connected, and gets what comes, as soon as it has the answer
	nc, rw, hs, err := upgrader.Upgrade(r, w)
	if err != nil {
		place.Leave("handshake")
		if nc != nil {
			_ = nc.Close() // the library has answered, and leaves the rest to us
		}
		return
	}
	_ = nc.SetDeadline(time.Time{}) // the server's own deadlines are over

	c := e.newConn(r, place, newNetLink(nc), websocket, filter)
	c.cursor, c.modern, c.skip = head, hs.Protocol == subprotocol, lag == "skip"
	var pipelined []byte // what the client sent right behind its handshake
	if n := rw.Reader.Buffered(); n > 0 {
		sent, _ := rw.Peek(n)
		pipelined = slices.Clone(sent)
	}
	c.start(r.Context(), q.Get("last_event_id"))
	e.crew.Go(func() { c.read(nc, pipelined) }) // lets the handler's stack go
}

// checkHandshake refuses what is no proper handshake, before anything is hijacked.
func (e *Engine) checkHandshake(w http.ResponseWriter, r *http.Request) error {
	h := r.Header
	switch {
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || !hasToken(h.Values("Upgrade"), "websocket") || !hasToken(h.Values("Connection"), "upgrade"):
		if r.ProtoMajor == 1 { // later versions have no such fields
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Connection", "Upgrade")
		}
		return &web.StatusError{Status: http.StatusUpgradeRequired, Detail: "this is a WebSocket endpoint; use an Upgrade request, or GET /api/v1/events for server-sent events"}
	case h.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		return &web.StatusError{Status: http.StatusUpgradeRequired, Detail: "WebSocket version 13 is required"}
	case !e.opts.Origins.Allow(r):
		return &web.StatusError{Status: http.StatusForbidden, Detail: "pages of this origin may not connect; see --allowed-origins"}
	}
	if key, err := base64.StdEncoding.DecodeString(h.Get("Sec-WebSocket-Key")); err != nil || len(key) != 16 {
		return domain.Invalid("Sec-WebSocket-Key", "must be 16 bytes in base64")
	}
	return nil
}

// hasToken reports whether a header's comma-separated lists name a token, in any case (RFC 9110 section 5.6.1).
func hasToken(values []string, token string) (found bool) {
	for _, v := range values {
		httphead.ScanTokens([]byte(v), func(t []byte) bool {
			found = found || strings.EqualFold(string(t), token)
			return !found
		})
	}
	return found
}

// refused puts a registry's refusal in terms of HTTP.
func refused(err error) error {
	if r, ok := errors.AsType[*app.Refusal](err); ok {
		return &web.StatusError{
			Status: http.StatusServiceUnavailable, RetryAfter: r.RetryAfter,
			Detail: "no more connections at the moment (limit: " + r.Reason + "); retry later",
		}
	}
	return err
}

// read takes in what the client sends, until the connection ends.
func (c *conn) read(nc interface{ Read([]byte) (int, error) }, first []byte) {
	var d decoder
	err := d.push(first, c.handle)
	buf := make([]byte, 512)
	for err == nil {
		var n int
		if n, err = nc.Read(buf); n > 0 {
			c.heard.Store(time.Now().UnixNano())
			if pushErr := d.push(buf[:n], c.handle); pushErr != nil {
				err = pushErr
			}
		}
	}
	if violation, ok := errors.AsType[*protocolError](err); ok {
		c.fail(violation.code, violation.reason)
	} else if !errors.Is(err, errClosing) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end("connection lost")
		return
	}
	// What a closing peer still sends is read and dropped: unread data would turn our close into a reset, which can
	// overtake the close frame (RFC 6455 section 7.1.1).
	for err = nil; err == nil; {
		_, err = nc.Read(buf)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = true
	c.shard.call(c)
}

var errClosing = errors.New("stream: the peer closes")

// handle answers one message or control frame of the client.
func (c *conn) handle(op ws.OpCode, payload []byte) error {
	if c.awaitRoom() {
		return errClosing
	}
	switch op {
	case ws.OpText:
		c.command(payload)
	case ws.OpPing:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.send(controlFrame(ws.NewPongFrame(payload)))
	case ws.OpClose:
		code, err := peerClose(payload)
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answered = true
		if !c.closing {
			c.close(code, "")
			c.reason = "peer " + c.reason
		}
		c.shard.call(c)
		return errClosing
	}
	return nil
}
