package mcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

const (
	transport       = "mcp"
	versionHeader   = "Mcp-Protocol-Version"
	sessionHeader   = "Mcp-Session-Id"
	methodHeader    = "Mcp-Method"
	sessionless     = "2026-07-28" // the first revision without sessions
	listenMethod    = "subscriptions/listen"
	streamTimeout   = 2 * time.Second // a stream that takes no notification for so long holds up others' notifications
	clientSignature = "call"
)

// caller is the HTTP request that a message came with, as far as tools want to know of it.
type caller struct {
	ctx          context.Context // ends when the client has gone
	remote, user string
	ending       *hold // of a request that was held and is served once more, to be answered

	mu      sync.Mutex // guards the rest: the SDK gives up a request whose client has gone, and its tool goes on
	mayHold bool       // the request may be held: it is a single message on a connection of its own
	offered *hold      // by the tool that wants that
}

// offer has the request held, and the SDK's answer to it thrown away. It reports false when that cannot be, or no longer.
func (c *caller) offer(h *hold) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mayHold {
		c.offered = h
	}
	return c.mayHold
}

// take returns what was offered, and ends the offering.
func (c *caller) take() *hold {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mayHold = false
	return c.offered
}

// held reports whether the SDK's answer is to be thrown away.
func (c *caller) held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offered != nil
}

type callerKey struct{}

// identify hands the caller on through the SDK, which also holds each session to the user who opened it.
func identify(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
	c := ctx.Value(callerKey{}).(*caller)
	return &auth.TokenInfo{UserID: c.user, Extra: map[string]any{clientSignature: c}}, nil
}

// from returns the caller of a message.
func from(extra *sdk.RequestExtra) *caller {
	if extra != nil && extra.TokenInfo != nil {
		if c, ok := extra.TokenInfo.Extra[clientSignature].(*caller); ok {
			return c
		}
	}
	return &caller{ctx: context.Background()}
}

// ServeHTTP answers one request of a client.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		w.Header().Set("Accept-Encoding", "identity")
		web.Problem(w, &web.StatusError{Status: http.StatusUnsupportedMediaType, Detail: "the Content-Encoding must be identity"})
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		web.Problem(w, err)
		return
	}
	by := &caller{ctx: r.Context(), remote: r.RemoteAddr, user: web.User(r.Context())}
	a := &answer{ResponseWriter: w, control: http.NewResponseController(w), timeout: s.opts.WriteTimeout, by: by}
	again := replay(r, body)
	switch {
	case r.Method == http.MethodHead: // as GET, but ended before it has begun
		again.Method = http.MethodGet
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		by.ctx = ctx
	case isStream(r):
		s.stream(a, again, ownConnection(r))
		return
	}
	by.mayHold = ownConnection(r) && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{"))
	s.serve(a, by.asks(again))
	if h := by.take(); h != nil {
		s.hold(a, h, replay(r, body))
	}
}

// ownConnection reports whether the connection carries this request alone.
func ownConnection(r *http.Request) bool { return r.ProtoMajor == 1 && r.ProtoMinor >= 1 }

// asks returns the request as the caller's.
func (c *caller) asks(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(c.ctx, callerKey{}, c))
}

// replay returns a request for the SDK that can be served after the first one, and holds on to nothing of it.
func replay(r *http.Request, body []byte) *http.Request {
	again, _ := http.NewRequestWithContext(context.Background(), r.Method, "/", bytes.NewReader(body)) // nothing in it can be wrong
	again.Host, again.RemoteAddr = strings.Clone(r.Host), r.RemoteAddr
	again.Header.Set("Accept", "*/*") // RFC 9110, section 12.5.1: the same as none, which the SDK does not take
	for name, values := range r.Header {
		if name == "Accept" || name == "Content-Type" || name == "Last-Event-Id" || strings.HasPrefix(name, "Mcp-") {
			again.Header.Del(name)
			for _, v := range values {
				again.Header.Add(strings.Clone(name), strings.Clone(v))
			}
		}
	}
	again.Header.Set("Authorization", "Bearer known") // has been seen to; the SDK wants one to call identify
	return again
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, &web.StatusError{Status: http.StatusRequestEntityTooLarge, Detail: "the body must be at most 1 MiB"}
	}
	if err != nil {
		return nil, domain.Invalid("", "the body could not be read to its end")
	}
	return body, nil
}

// isStream reports whether the answer stays open to carry notifications.
func isStream(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get(sessionHeader) != "" || r.Header.Get(methodHeader) == listenMethod
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(sessionHeader)
	switch {
	case r.Header.Get(versionHeader) >= sessionless:
		s.requests.ServeHTTP(w, r)
	case r.Method == http.MethodPost && id == "":
		s.open(w, r)
	case r.Method == http.MethodGet:
		ctx, end := s.claim(r.Context(), id)
		defer end()
		s.sessions.ServeHTTP(w, r.WithContext(ctx))
	default:
		s.sessions.ServeHTTP(w, r)
	}
}

// open answers a request that makes a session. Sessions cost memory without a connection, so they have a limit of their own.
func (s *Server) open(w http.ResponseWriter, r *http.Request) {
	place, err := s.Registry.Admit(transport, web.RemoteIP(r))
	if err != nil {
		web.Problem(w, refused(err))
		return
	}
	defer place.Leave("")
	n := 0
	for session := range s.sdk.Sessions() {
		if session.ID() != "" { // not of a single request
			n++
		}
	}
	if n >= s.opts.MaxSessions {
		web.Problem(w, &web.StatusError{Status: http.StatusServiceUnavailable, Detail: "too many sessions; close some, or try again later", RetryAfter: time.Minute})
		return
	}
	from := r.Context().Value(callerKey{}).(*caller)
	by := &caller{ctx: context.Background(), remote: from.remote, user: from.user}
	s.sessions.ServeHTTP(w, by.asks(r)) // the session keeps the context, so that must not keep the connection
}

// attend enters a caller who waits, or has a stream, in the registry.
func (s *Server) attend(ctx context.Context, c *caller, f domain.Filter) (context.Context, func(string), error) {
	ctx, leave, err := s.Registry.Attend(ctx, web.Host(c.remote), domain.Connection{
		ID: s.opts.NewID(), Transport: transport, Remote: c.remote, User: c.user, Filter: f,
	})
	return ctx, leave, refused(err)
}

// refused puts a refusal in words for clients.
func refused(err error) error {
	if r, ok := err.(*app.Refusal); ok { //nolint:errorlint // what Admit returns
		return &web.StatusError{Status: http.StatusServiceUnavailable, Detail: "too many connections (limit " + r.Reason + "); try again soon", RetryAfter: r.RetryAfter}
	}
	return err
}
