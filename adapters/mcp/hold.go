package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// hold is a call that waits. A request that net/http and the SDK wait with costs four goroutines and their buffers, 60 KiB
// in all; most of an agent's life is waiting. So the tool says that it has nothing to answer yet, the SDK's answer is
// thrown away, and the connection is held by one shallow goroutine until there is something; then the request is served
// once more, to its end.
type hold struct {
	query    app.PollQuery
	seconds  int
	deadline time.Time
	every    time.Duration   // between reports of progress
	token    any             // of the client that wants to hear of progress; nil for none
	open     context.Context // ends when the registry closes it
	leave    func(reason string)

	cursor    domain.Seq // what is before need not be looked at again; guarded by lot.mu while it is in there
	truncated bool       // likewise

	mu       sync.Mutex // guards released, so that a release is not overwritten by a later deadline
	released bool
	conn     net.Conn
}

// answer is what there is to say now.
func (h *hold) answer(feed app.PollFeed) app.PollAnswer {
	a := app.PollAt(feed, h.cursor, h.query)
	a.Truncated = a.Truncated || h.truncated
	return a
}

// progress tells how long a call has waited.
func (h *hold) progress(waited time.Duration) *sdk.ProgressNotificationParams {
	return &sdk.ProgressNotificationParams{
		ProgressToken: h.token, Progress: waited.Seconds(), Total: float64(h.seconds),
		Message: fmt.Sprintf("no matching event yet; waiting for another %d s", h.seconds-int(waited.Seconds())),
	}
}

// hold takes the connection over from net/http. Where that cannot be, the request is served once more and waits in place.
func (s *Server) hold(a *answer, r *http.Request, body []byte) {
	h := a.by.hold
	conn, _, err := a.control.Hijack() // what a client sends before it has its answer is lost with the connection
	if err != nil {
		h.leave("not held")
		a.by.mayHold, a.by.hold = false, nil
		s.serve(a, replay(r, bytes.NewReader(body)).WithContext(r.Context()))
		return
	}
	h.conn = conn
	again := replay(r, bytes.NewReader(body))
	raw := &rawAnswer{conn: conn, header: http.Header{}}
	for name, values := range a.Header() { // of the layers before
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			raw.header[name] = values
		}
	}
	by := &caller{ctx: context.Background(), remote: a.by.remote, user: a.by.user, hold: h}
	s.crew.Go(func() { s.keep(h, again, by, raw) })
}

// replay returns a request to serve again that holds on to nothing of the first one.
func replay(r *http.Request, body io.Reader) *http.Request {
	again, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, "/", body) // nothing in it can be wrong
	again.Host, again.RemoteAddr = strings.Clone(r.Host), r.RemoteAddr
	for name, values := range r.Header {
		if name == "Accept" || name == "Content-Type" || name == "Authorization" || strings.HasPrefix(name, "Mcp-") {
			for _, v := range values {
				again.Header.Add(strings.Clone(name), strings.Clone(v))
			}
		}
	}
	return again
}

// keep holds a call until there is something to answer, and answers. It keeps its stack shallow until then.
func (s *Server) keep(h *hold, again *http.Request, by *caller, raw *rawAnswer) {
	reason := "answered"
	defer func() {
		_ = h.conn.Close()
		h.leave(reason)
	}()
	defer context.AfterFunc(h.open, h.release)()
	s.lot.add(h)
	gone := h.sleep(raw)
	s.lot.remove(h)
	if gone {
		reason = "client gone"
		return
	}
	s.resume(again, by, raw)
}

func (s *Server) resume(again *http.Request, by *caller, raw *rawAnswer) {
	defer func() {
		if v := recover(); v != nil {
			s.opts.Fault(fmt.Errorf("panic: %v", v))
		}
	}()
	a := &answer{ResponseWriter: raw, control: http.NewResponseController(raw), timeout: s.opts.WriteTimeout, by: by}
	s.serve(a, again.WithContext(context.WithValue(by.ctx, callerKey{}, by)))
}

// sleep returns when the call is released or its time is over, or when the client has gone.
func (h *hold) sleep(raw *rawAnswer) (gone bool) {
	var one [1]byte
	for waited := h.every; ; waited += h.every {
		tick := h.deadline.Add(waited - time.Duration(h.seconds)*time.Second)
		if h.token == nil || tick.After(h.deadline) {
			tick = h.deadline
		}
		if !h.until(tick) {
			return false
		}
		if _, err := h.conn.Read(one[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
			return true
		}
		switch {
		case h.isReleased() || !tick.Before(h.deadline):
			return false
		case raw.send("notifications/progress", h.progress(waited)) != nil:
			return true
		}
	}
}

// until lets the next read end at a time, unless the call has been released.
func (h *hold) until(t time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.released && h.conn.SetReadDeadline(t) == nil
}

func (h *hold) isReleased() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.released
}

// release wakes the call to be answered.
func (h *hold) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = true
	_ = h.conn.SetReadDeadline(time.Unix(1, 0)) // a closed one is awake
}

// rawAnswer is a response on a connection that is taken over. Its end is the connection's (RFC 9112, section 6.3).
type rawAnswer struct {
	conn   net.Conn
	header http.Header
	begun  bool
	broken bool // an error came after the answer had begun
}

// Header implements http.ResponseWriter.
func (a *rawAnswer) Header() http.Header { return a.header }

// SetWriteDeadline is for http.ResponseController.
func (a *rawAnswer) SetWriteDeadline(t time.Time) error { return a.conn.SetWriteDeadline(t) }

// WriteHeader implements http.ResponseWriter.
func (a *rawAnswer) WriteHeader(status int) {
	if a.begun {
		a.broken = a.broken || status >= 400
		return
	}
	a.begun = true
	a.header.Set("Connection", "close")
	a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = a.header.Write(&head) // to memory
	head.WriteString("\r\n")
	_, _ = a.conn.Write(head.Bytes()) // the next write tells
}

// Write implements http.ResponseWriter.
func (a *rawAnswer) Write(p []byte) (int, error) {
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
	if a.broken {
		return 0, net.ErrClosed
	}
	return a.conn.Write(p)
}

// send sends a notification ahead of the answer.
func (a *rawAnswer) send(method string, params any) error {
	data, err := marshal(params)
	if err == nil {
		data, err = jsonrpc.EncodeMessage(&jsonrpc.Request{Method: method, Params: data})
	}
	if err != nil {
		return err
	}
	a.header.Set("Content-Type", "text/event-stream")
	a.header.Set("Cache-Control", "no-cache, no-transform")
	if err := a.SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a, "event: message\ndata: %s\n\n", data)
	return err
}
