package stream

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// How long an event-stream client is asked to wait before it reconnects, each somewhat differently.
const (
	retryBase   = time.Second
	retrySpread = 2 * time.Second
	retryFull   = 10 * time.Second // when there is no room
)

// ServeEvents serves server-sent events until the connection ends.
func (e *Engine) ServeEvents(w http.ResponseWriter, r *http.Request) {
	o, err := eventsRequest(r)
	if err != nil {
		e.edge.count(func(s *app.StreamStats) { s.SSE.Rejected++ })
		web.Problem(w, err)
		return
	}
	if r.Method == http.MethodHead {
		eventsHeader(w.Header())
		w.WriteHeader(http.StatusOK)
		return
	}
	place, err := e.admit("sse", o.ip())
	if err != nil {
		turnAway(w, r, err)
		return
	}
	defer e.crew.Done()
	h := w.Header()
	eventsHeader(h)
	at := e.feed.Head()
	if r.ProtoMajor == 1 {
		if nc, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = nc.SetDeadline(time.Time{}) // the server's own deadlines are over
			e.connect(r.Context(), e.adopt(nc), place, at, o, o.head(r, h), nil)
			return
		}
	}
	e.streamed(w, r, place, at, o)
}

// eventsRequest reads what a client asks for.
func eventsRequest(r *http.Request) (o *opening, err error) {
	q := r.URL.Query()
	o = &opening{modern: true, skip: true, lastEventID: lastEventID(r), remote: r.RemoteAddr, user: web.User(r.Context())}
	if o.filter, err = queryFilter(q); err != nil {
		return nil, err
	}
	switch q.Get("names") {
	case "":
	case "dotted":
		o.format = dotted
	default:
		return nil, domain.Invalid("names", "must be dotted, or left out")
	}
	return o, nil
}

func eventsHeader(h http.Header) {
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
}

// turnAway answers when there is no room. A browser's EventSource gives up for good on any status but 200, so it gets
// one, with nothing but the time to come back after. The connection is closed: where there is no room it is better gone.
func turnAway(w http.ResponseWriter, r *http.Request, err error) {
	if r.ProtoMajor == 1 { // later versions share the connection with other requests
		w.Header().Set("Connection", "close")
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		web.Problem(w, refused(err))
		return
	}
	eventsHeader(w.Header())
	_, _ = w.Write(retryField(retryFull + rand.N(retryFull)))
}

// head returns the head of the response on a bare connection, with no handler and no buffers, and what the stream begins
// with.
func (o *opening) head(r *http.Request, h http.Header) []byte {
	if r.ProtoAtLeast(1, 1) {
		o.format |= chunked
		h.Set("Transfer-Encoding", "chunked")
	}
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&head) // to memory
	head.WriteString("\r\n")
	return append(head.Bytes(), o.greeting()...)
}

// streamed serves through the response of the HTTP server, as HTTP/2 needs it.
func (e *Engine) streamed(w http.ResponseWriter, r *http.Request, place *app.Place, at domain.Seq, o *opening) {
	ctrl := http.NewResponseController(w)
	_ = ctrl.SetReadDeadline(time.Time{}) // the request has been read; its deadline would end the stream
	w.WriteHeader(http.StatusOK)
	l := newHTTPLink(r.Context(), w, ctrl)
	if err := l.write(o.greeting(), e.opts.WriteTimeout); err != nil {
		place.Leave("handshake")
		return
	}
	e.connect(r.Context(), l, place, at, o, nil, nil)
	l.wait() // the response must not be touched once this has returned
}

// greeting is what an event stream begins with.
func (o *opening) greeting() []byte {
	return o.format.chunk(append([]byte(": matric-events\n"), retryField(retryBase+rand.N(retrySpread))...))
}

// lastEventID returns where the client wants to resume. The header wins: a browser's reconnect repeats the first URL.
func lastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	q := r.URL.Query()
	if id := q.Get("last_event_id"); id != "" {
		return id
	}
	return q.Get("lastEventId")
}
