package soak_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/harness/eventstream"
	"github.com/matric/matric-events/tests/harness/socket"
)

// stream is a connection that brings messages: the JSON of events and of notices.
type stream interface {
	next(ctx context.Context) (string, error)
	abort() // with a RST
	close()
}

// stall is until when not to read: until it is closed.
type stall <-chan struct{}

// reader is a client that follows a hub, loses its connection now and then, and comes back with what it saw last.
type reader struct {
	*trail
	hub     *hub
	ledger  *ledger
	rng     *rand.Rand
	session func(ctx context.Context, life int64) // one connection, from its beginning to its end
	query   string                                // types=…, empty for everything
	proxied bool
	skips   bool // asks for on_lag=skip

	stalls chan stall // until when not to read
	mu     sync.Mutex // guards open
	open   stream
	cutoff atomic.Int64 // times that it was sent away because it lagged
}

// narrow is how much the kernel takes in for a client that does not read. The rest waits at the hub.
const narrow = 64 << 10

func newReaders(h *hub, l *ledger, rng *rand.Rand) (list []*reader) {
	add := func(kind, query string, proxied, skips bool) {
		r := &reader{
			hub: h, ledger: l, query: query, proxied: proxied, skips: skips, stalls: make(chan stall, 1),
			rng:   rand.New(rand.NewPCG(rng.Uint64(), 0)),
			trail: &trail{who: fmt.Sprintf("%s %d (%s)", kind, len(list), query), types: allTypes},
		}
		if query != "" {
			r.types, _ = domain.ParseTypes("types", strings.Split(query, ",")) // they are valid
		}
		switch kind {
		case "websocket":
			r.session = func(ctx context.Context, life int64) { r.follow(ctx, life, r.dialSocket) }
		case "sse":
			r.session = func(ctx context.Context, life int64) { r.follow(ctx, life, r.dialEvents) }
		case "poll":
			r.poll = true
			r.session = r.pollOn
		case "mcp":
			r.poll = true
			r.session = r.askOn
		}
		list = append(list, r)
	}
	add("websocket", "", false, false)
	add("websocket", "", false, true)
	add("websocket", "job", true, false)
	add("websocket", "note", true, true)
	add("sse", "", false, true)
	add("sse", "", true, true)
	add("sse", "note,job.completed,job.failed", true, true)
	add("poll", "", true, true)
	add("poll", "job.failed,note", false, true)
	add("mcp", "", false, true)
	return list
}

// run follows the hub until ctx ends.
func (r *reader) run(ctx context.Context) {
	for ctx.Err() == nil {
		if life, ok := r.hub.serving(); ok {
			r.session(ctx, life)
		}
		if r.rng.IntN(20) == 0 {
			r.forget()
		}
		pause(ctx, random(r.rng, 40*time.Millisecond))
	}
}

// parameters is the query of a stream or a poll.
func (r *reader) parameters(more ...string) string {
	q := url.Values{}
	if r.query != "" {
		q.Set("types", r.query)
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "?" + q.Encode()
}

func (r *reader) cursorText() string {
	if r.cursor.IsZero() {
		return ""
	}
	return r.cursor.String()
}

// follow reads one stream.
func (r *reader) follow(ctx context.Context, life int64, dial func(context.Context) (stream, error)) {
	asked := r.cursorText()
	s, err := dial(ctx)
	if err != nil {
		return
	}
	if r.hub.life.Load() != life {
		s.abort() // nobody knows which process that was
		return
	}
	r.mu.Lock()
	r.open = s
	r.mu.Unlock()
	r.connect(life)
	for got := 0; ; {
		r.heed(ctx)
		text, err := s.next(ctx)
		if err != nil {
			r.ended(err, asked, got)
			break
		}
		if r.take(text) {
			got++
		}
	}
	if ctx.Err() != nil {
		s.close()
	} else {
		s.abort()
	}
}

// take takes a message down and reports whether it was an event.
func (r *reader) take(text string) bool {
	var m struct {
		Type    string `json:"type"`
		EventID string `json:"event_id"`
		Dropped uint64 `json:"dropped_count"`
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		r.ledger.breach(pStream, "%s: %v in %s", r.who, err, text)
		return false
	}
	switch m.Type {
	case "ResyncRequired":
		r.notice(told, 0)
		return false
	case "EventsLagged":
		r.notice(counted, m.Dropped)
		return false
	case "Draining":
		return false
	}
	kind, known := domain.ParseType(m.Type)
	id, err := domain.ParseUUID(m.EventID)
	switch {
	case known && err == nil:
		r.add(seen{id, kind})
		return true
	case kind == domain.TypeQueueStatus && m.EventID == "" && r.types.Has(kind): // for this client alone
	default:
		r.ledger.breach(pStream, "%s: got %s", r.who, text)
	}
	return false
}

// ended looks at how a connection ended: whoever is sent away because it lagged is told where it was.
func (r *reader) ended(err error, asked string, got int) {
	e, ok := errors.AsType[*socket.CloseError](err)
	if !ok || e.Code != 4008 {
		return
	}
	r.cutoff.Add(1)
	want := r.cursorText()
	if got == 0 && e.Reason == "" && asked == want {
		return // resumed where nothing is kept, and had nothing since
	}
	if r.skips || e.Reason != want {
		r.ledger.breach(pStream, "%s: closed with %d %q; the last event was %s, skip is %v", r.who, e.Code, e.Reason, want, r.skips)
	}
}

// stall has the reader not read until the channel is closed.
func (r *reader) stall(until stall) {
	select {
	case r.stalls <- until:
	default:
	}
}

// heed does not return while the reader is to stall.
func (r *reader) heed(ctx context.Context) {
	select {
	case until := <-r.stalls:
		select {
		case <-until:
		case <-ctx.Done():
		}
	default:
	}
}

// abort ends the connection with a RST.
func (r *reader) abort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open != nil {
		r.open.abort()
	}
}

func (r *reader) dialSocket(ctx context.Context) (stream, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	more := []string{"last_event_id", r.cursorText()}
	if r.cursor.IsZero() {
		more = nil
	}
	if r.skips {
		more = append(more, "on_lag", "skip")
	}
	u := strings.Replace(r.hub.url(r.proxied), "http", "ws", 1) + "/api/v1/ws" + r.parameters(more...)
	c, err := socket.Dial(ctx, u, &socket.Options{Protocols: []string{"matric.events.v1"}, ReadBuffer: narrow})
	return webSocket{c}, err
}

type webSocket struct{ c *socket.Conn }

func (s webSocket) next(ctx context.Context) (string, error) { return s.c.Next(ctx) }
func (s webSocket) abort()                                   { s.c.Abort() }
func (s webSocket) close()                                   { _ = s.c.Close() } // it may be broken

// eventStream is an open event stream.
type eventStream struct {
	*eventstream.Reader
	nc   net.Conn
	resp *http.Response
}

// narrowed sets the read buffer before the handshake of TCP: the peer is to know from the beginning how much fits.
func narrowed(_, _ string, c syscall.RawConn) (err error) {
	return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, narrow) }), err)
}

func (r *reader) dialEvents(ctx context.Context) (stream, error) {
	s := &eventStream{}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (nc net.Conn, err error) {
		s.nc, err = (&net.Dialer{Control: narrowed}).DialContext(ctx, network, addr)
		return s.nc, err
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.hub.url(r.proxied)+"/api/v1/events"+r.parameters(), nil)
	if err != nil {
		return nil, err
	}
	if !r.cursor.IsZero() {
		req.Header.Set("Last-Event-ID", r.cursor.String())
	}
	s.resp, err = transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if s.resp.StatusCode != http.StatusOK {
		_ = s.resp.Body.Close()
		return nil, errors.New(s.resp.Status)
	}
	s.Reader = eventstream.NewReader(s.resp.Body)
	return s, nil
}

func (s *eventStream) next(context.Context) (string, error) { // the request's context ends it
	e, err := s.Next()
	return e.Data, err
}

func (s *eventStream) abort() {
	_ = s.nc.(*net.TCPConn).SetLinger(0) // it may be closed
	_ = s.nc.Close()
	_ = s.resp.Body.Close()
}

func (s *eventStream) close() { _ = s.resp.Body.Close() }
