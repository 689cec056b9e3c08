package mcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/domain"
)

// codeRejected is what the SDK gives to a request that did not get through.
const codeRejected = -32005

// ProxyOptions tune NewProxy.
type ProxyOptions struct {
	Token   string // bearer token; empty is anonymous
	Version string
}

// Proxy offers on a pair of streams what a hub elsewhere offers over HTTP, for clients that start a subprocess. It starts
// whether the hub is there or not, and outlives its restarts: what cannot be reached is said in the answer to each call.
// Use NewProxy, then Run.
type Proxy struct {
	endpoint *url.URL
	opts     ProxyOptions
	local    *sdk.Server
	remote   *sdk.Client
	follow   *follower
	client   atomic.Pointer[sdk.ServerSession] // of whom we have heard last; there is one on a pair of streams

	mu    sync.Mutex // guards calls
	calls *sdk.ClientSession
}

// NewProxy returns a proxy for the hub at an address such as http://127.0.0.1:8080.
func NewProxy(hub string, o ProxyOptions) (*Proxy, error) {
	base, err := url.Parse(hub)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, domain.Invalid("url", "want a URL such as http://127.0.0.1:8080")
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, domain.Invalid("token", "holds a character that no token may have")
	}
	p := &Proxy{endpoint: base.JoinPath("mcp"), opts: o}
	p.follow = newFollower(p)
	who := &sdk.Implementation{Name: "matric-events", Title: "matric-events", Version: o.Version}
	p.remote = sdk.NewClient(who, &sdk.ClientOptions{ProgressNotificationHandler: p.progress})
	p.local = sdk.NewServer(who, &sdk.ServerOptions{
		Instructions: instructions, Capabilities: capabilities(),
		SubscribeHandler: func(ctx context.Context, r *sdk.SubscribeRequest) error {
			return p.follow.change(ctx, r.Params.URI, true)
		},
		UnsubscribeHandler: func(ctx context.Context, r *sdk.UnsubscribeRequest) error {
			return p.follow.change(ctx, r.Params.URI, false)
		},
	})
	p.local.AddReceivingMiddleware(p.forward)
	forwardCustom[*ListParams, *ListResult](p, methodEventsList)
	forwardCustom[*PollParams, *PollResult](p, methodEventsPoll)
	return p, nil
}

// Run serves the client until it closes in, or ctx ends.
func (p *Proxy) Run(ctx context.Context, in io.ReadCloser, out io.WriteCloser) error {
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { p.follow.run(ctx) })
	defer func() {
		cancel()
		following.Wait()
		p.drop(nil)
	}()
	p.local.AddReceivingMiddleware(until(ctx))
	err := p.local.Run(ctx, &sdk.IOTransport{Reader: in, Writer: out})
	for _, end := range []error{io.EOF, io.ErrClosedPipe, syscall.EPIPE} { // the client has gone
		if errors.Is(err, end) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// until ends calls when ctx ends, which the SDK waits for.
func until(ctx context.Context) sdk.Middleware {
	return func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(call context.Context, method string, req sdk.Request) (sdk.Result, error) {
			call, cancel := context.WithCancel(call)
			defer cancel()
			defer context.AfterFunc(ctx, cancel)()
			return next(call, method, req)
		}
	}
}

// bearer sends the token with each request to the hub, and to nobody whom that redirects to.
type bearer struct{ token, host string }

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" && r.URL.Host == b.host {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (p *Proxy) transport(streams bool) *sdk.StreamableClientTransport {
	return &sdk.StreamableClientTransport{
		Endpoint: p.endpoint.String(), HTTPClient: &http.Client{Transport: bearer{p.opts.Token, p.endpoint.Host}}, DisableStandaloneSSE: !streams,
	}
}

// session returns the one that calls go through.
func (p *Proxy) session(ctx context.Context) (*sdk.ClientSession, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls != nil {
		return p.calls, nil
	}
	session, err := p.remote.Connect(ctx, p.transport(false), nil)
	p.calls = session
	return session, err
}

// drop has the next call open another session; unless somebody has done that already.
func (p *Proxy) drop(failed *sdk.ClientSession) {
	p.mu.Lock()
	session := p.calls
	if failed != nil && session != failed {
		session = nil
	} else {
		p.calls = nil
	}
	p.mu.Unlock()
	if session != nil {
		_ = session.Close() // it is of no use any more
	}
}

// through does one call. What the hub has answered is returned as it is.
func through[R any](ctx context.Context, p *Proxy, call func(*sdk.ClientSession) (R, error)) (result R, err error) {
	session, err := p.session(ctx)
	if err == nil {
		if result, err = call(session); err == nil {
			return result, nil
		}
	}
	if answered(err) || ctx.Err() != nil {
		return result, err
	}
	p.drop(session)
	return result, fmt.Errorf("the hub at %s did not answer: %w; see that matric-events serve runs there and the token is right, then try again", p.endpoint.Redacted(), err)
}

// answered reports whether an error is the hub's answer. What the SDK could not send has a code of its own.
func answered(err error) bool {
	wire, ok := errors.AsType[*jsonrpc.Error](err)
	return ok && wire.Code != codeRejected
}

// forward sends what clients ask for to the hub.
func (p *Proxy) forward(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, req sdk.Request) (sdk.Result, error) {
		if session, ok := req.GetSession().(*sdk.ServerSession); ok {
			p.client.Store(session)
		}
		switch params := req.GetParams().(type) {
		case *sdk.ListToolsParams:
			return through(ctx, p, func(s *sdk.ClientSession) (sdk.Result, error) { return s.ListTools(ctx, nil) })
		case *sdk.ListResourcesParams:
			return through(ctx, p, func(s *sdk.ClientSession) (sdk.Result, error) { return s.ListResources(ctx, nil) })
		case *sdk.ListResourceTemplatesParams:
			return through(ctx, p, func(s *sdk.ClientSession) (sdk.Result, error) { return s.ListResourceTemplates(ctx, nil) })
		case *sdk.ReadResourceParams:
			return through(ctx, p, func(s *sdk.ClientSession) (sdk.Result, error) {
				return s.ReadResource(ctx, &sdk.ReadResourceParams{URI: params.URI})
			})
		case *sdk.CallToolParamsRaw:
			return p.callTool(ctx, params)
		}
		return next(ctx, method, req)
	}
}

func (p *Proxy) callTool(ctx context.Context, params *sdk.CallToolParamsRaw) (sdk.Result, error) {
	ask := &sdk.CallToolParams{Name: params.Name}
	if len(params.Arguments) > 0 {
		ask.Arguments = params.Arguments
	}
	if token := params.GetProgressToken(); token != nil {
		ask.Meta = sdk.Meta{"progressToken": token} // the rest is between the client and us
	}
	result, err := through(ctx, p, func(s *sdk.ClientSession) (*sdk.CallToolResult, error) { return s.CallTool(ctx, ask) })
	if err != nil && !answered(err) {
		result = new(sdk.CallToolResult)
		result.SetError(err) // a model reads that
		return result, nil
	}
	return result, err
}

// progress hands on what the hub says of a call. The token is the client's own.
func (p *Proxy) progress(ctx context.Context, req *sdk.ProgressNotificationClientRequest) {
	if session := p.client.Load(); session != nil {
		_ = session.NotifyProgress(ctx, req.Params) // the client has gone
	}
}

// customParams are those of the extension's methods.
type customParams[T any] interface {
	*T
	sdk.Params
}

func forwardCustom[P customParams[PT], R sdk.Result, PT any](p *Proxy, method string) {
	err := sdk.AddSendingCustomMethod[P, R](p.remote, method)
	if err == nil {
		err = sdk.AddReceivingCustomMethod(p.local, method, func(ctx context.Context, _ *sdk.ServerSession, params P) (R, error) {
			if params == nil {
				params = new(PT)
			}
			params.SetMeta(nil)
			return through(ctx, p, func(s *sdk.ClientSession) (R, error) { return sdk.CallCustomMethod[P, R](ctx, s, method, params) })
		})
	}
	if err != nil { // the SDK has learnt these methods
		panic("mcp: " + err.Error())
	}
}
