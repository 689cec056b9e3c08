package mcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

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

	cursor    domain.Seq // what is before need not be looked at again
	truncated bool

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
func (s *Server) hold(a *answer, h *hold, again *http.Request) {
	raw, err := takeOver(a)
	if err != nil {
		h.leave("not held")
		a.by = &caller{ctx: a.by.ctx, remote: a.by.remote, user: a.by.user}
		s.serve(a, a.by.asks(again))
		return
	}
	h.conn = raw.conn
	by := &caller{ctx: context.Background(), remote: a.by.remote, user: a.by.user, ending: h}
	s.crew.Go(func() { s.keep(h, again, by, raw) })
}

// keep holds a call until there is something to answer, and answers. It keeps its stack shallow until then.
func (s *Server) keep(h *hold, again *http.Request, by *caller, raw *rawAnswer) {
	reason := "answered"
	defer func() {
		_ = h.conn.Close()
		h.leave(reason)
	}()
	defer context.AfterFunc(h.open, h.release)()
	waits := s.lot.Enter(h.cursor, &h.query.Filter, h.release)
	gone := h.sleep(raw)
	h.cursor, h.truncated = s.lot.Leave(waits)
	if gone {
		reason = "connection lost"
		return
	}
	s.resume(again, by, raw, s.opts.WriteTimeout)
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
