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
	err := e.checkHandshake(w, r)
	var o opening
	if err == nil {
		o, err = socketQuery(r.URL.Query())
	}
	if err != nil {
		e.edge.count(func(s *app.StreamStats) { s.WebSocket.Rejected++ })
		web.Problem(w, err)
		return
	}
	place, err := e.admit("websocket", web.RemoteIP(r))
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
	o.modern, o.remote, o.user = hs.Protocol == subprotocol, r.RemoteAddr, web.User(r.Context())
	var pipelined []byte // what the client sent right behind its handshake
	if n := rw.Reader.Buffered(); n > 0 {
		sent, _ := rw.Peek(n)
		pipelined = slices.Clone(sent)
	}
	e.connect(r.Context(), e.adopt(nc), place, head, &o, nil, pipelined)
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
		w.Header()["Sec-WebSocket-Version"] = []string{"13"} // spelled as in the RFC, for who compares bytes
		return &web.StatusError{Status: http.StatusUpgradeRequired, Detail: "WebSocket version 13 is required"}
	case len(h.Values("Origin")) > 1 || !e.opts.Origins.Allow(r):
		return &web.StatusError{Status: http.StatusForbidden, Detail: "pages of this origin may not connect; see --allowed-origins"}
	}
	if len(h.Values("Sec-WebSocket-Version")) > 1 { // RFC 6455 section 11.3.5
		return domain.Invalid("Sec-WebSocket-Version", "must be there once")
	}
	if keys := h.Values("Sec-WebSocket-Key"); len(keys) != 1 || !validKey(keys[0]) {
		return domain.Invalid("Sec-WebSocket-Key", "must be 16 bytes in base64, once")
	}
	return nil
}

// validKey reports whether a handshake's key is one (RFC 6455 section 4.1).
func validKey(s string) bool {
	key, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(key) == 16
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
