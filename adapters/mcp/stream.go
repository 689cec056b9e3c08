package mcp

import (
	"context"
	"net/http"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

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

// claim is a session's open stream.
type claim struct {
	user   string
	cancel context.CancelFunc
	ended  chan struct{}
}

// claim makes room for a session's stream, of which there is one: the stream before is on a connection that its client has
// given up, whether we know that or not. The context returned ends when the next one comes, or the client is silent.
func (s *Server) claim(ctx context.Context, id string) (context.Context, func()) {
	if ctx.Err() != nil { // HEAD
		return ctx, func() {}
	}
	user := ctx.Value(callerKey{}).(*caller).user
	ctx, cancel := context.WithCancel(ctx)
	mine := &claim{user, cancel, make(chan struct{})}
	s.mu.Lock()
	before := s.streams[id]
	if before != nil && before.user != user { // the SDK will refuse
		s.mu.Unlock()
		return ctx, cancel
	}
	s.streams[id] = mine
	s.mu.Unlock()
	if before != nil {
		before.cancel()
		<-before.ended
	}
	stop := s.ping(ctx, cancel, id)
	return ctx, func() {
		stop()
		s.mu.Lock()
		if s.streams[id] == mine {
			delete(s.streams, id)
		}
		s.mu.Unlock()
		close(mine.ended)
	}
}

// ping pings the session's client on its stream, and cuts the stream when there is no answer.
func (s *Server) ping(ctx context.Context, cut context.CancelFunc, id string) (stop func()) {
	for session := range s.sdk.Sessions() {
		if id != "" && session.ID() == id {
			p := &pinger{session: session, ctx: ctx, cut: cut}
			p.timer = time.AfterFunc(pingEvery, p.ping)
			break
		}
	}
	return cut
}

// pinger keeps a session with an open stream: the client's answers are requests of the session.
type pinger struct {
	session *sdk.ServerSession
	ctx     context.Context
	cut     context.CancelFunc
	timer   *time.Timer
}

func (p *pinger) ping() {
	if p.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, pingEvery)
	defer cancel()
	if p.session.Ping(ctx, nil) != nil {
		p.cut()
		return
	}
	p.timer.Reset(pingEvery)
}
