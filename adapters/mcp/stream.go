package mcp

import (
	"context"
	"net/http"
	"time"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// stream answers a request whose answer stays open for notifications. On a connection of its own it needs net/http no more.
func (s *Server) stream(a *answer, r *http.Request, own bool) {
	open, leave, err := s.attend(context.Background(), a.by, domain.Filter{})
	if err != nil {
		web.Problem(a.ResponseWriter, err)
		return
	}
	timeout := min(s.opts.WriteTimeout, streamTimeout)
	if own {
		if raw, err := takeOver(a); err == nil {
			by := &caller{ctx: open, remote: a.by.remote, user: a.by.user}
			s.crew.Go(func() {
				defer leave("ended")
				s.carry(r, by, raw, timeout)
			})
			return
		}
	}
	defer leave("ended")
	ctx, cancel := context.WithCancel(a.by.ctx)
	defer cancel()
	defer context.AfterFunc(open, cancel)()
	a.by.ctx, a.timeout = ctx, timeout
	_ = a.control.SetReadDeadline(time.Time{}) // the server's is for requests that come to an end; where there is none, all is well
	s.serve(a, a.by.asks(r))
}

// carry serves a stream until the client has gone or the registry closes it.
func (s *Server) carry(r *http.Request, by *caller, raw *rawAnswer, timeout time.Duration) {
	ctx, cancel := context.WithCancel(by.ctx)
	defer cancel()
	by.ctx = ctx
	s.crew.Go(func() {
		defer cancel()
		_, _ = raw.conn.Read(make([]byte, 1)) // all that is left to come is the end
	})
	defer func() { _ = raw.conn.Close() }()
	s.resume(r, by, raw, timeout)
}
