package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/matric/matric-events/domain/retry"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// What Options leave open.
const (
	DefaultTimeout         = 15 * time.Second
	DefaultIdlePerEndpoint = 16
	DefaultUserAgent       = "matric-events"

	idleTimeout = 30 * time.Second
	maxIdle     = 4096 // over all endpoints
	maxHead     = 64 << 10
)

// Options tune New. The zero value is what the server runs with.
type Options struct {
	// Timeout bounds one attempt from the look-up of the name to the last byte of the answer. Zero means DefaultTimeout.
	Timeout time.Duration
	// AllowCIDR opens address ranges that are not public. Metadata addresses stay closed.
	AllowCIDR []netip.Prefix
	// IdlePerEndpoint is how many connections to one host are kept for the next delivery. Zero means
	// DefaultIdlePerEndpoint; it should be what the dispatcher sends to one endpoint at a time.
	IdlePerEndpoint int
	// UserAgent goes with every request. Empty means DefaultUserAgent.
	UserAgent string
	// RootCAs are the authorities that receivers' certificates are checked against. Nil means those of the system.
	RootCAs *x509.CertPool
	// Resolver looks names up. Nil means the one of the system.
	Resolver *net.Resolver
}

var _ ports.Sender = (*Sender)(nil)

// A Sender makes delivery attempts. It is safe for concurrent use.
type Sender struct {
	transport *http.Transport
	guard     *Guard
	timeout   time.Duration
	userAgent string
}

// New returns a Sender. It is inert until used; Close lets go of what it holds then.
func New(opts *Options) *Sender {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := &Sender{
		guard:     NewGuard(o.AllowCIDR),
		timeout:   cmp.Or(o.Timeout, DefaultTimeout),
		userAgent: cmp.Or(o.UserAgent, DefaultUserAgent),
	}
	// The transport finishes a dial and a handshake for later use when the request that asked for it has given up, so
	// these need limits of their own.
	dialer := &net.Dialer{Timeout: s.timeout, Resolver: o.Resolver, ControlContext: s.guard.control}
	// HTTP/1.1 only: deliveries that share one HTTP/2 connection would all hang with it.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.transport = &http.Transport{
		Proxy:                  nil, // a proxy would connect where it likes, past the guard
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    s.timeout,
		DisableCompression:     true, // what is not asked for need not be inflated
		MaxIdleConnsPerHost:    cmp.Or(o.IdlePerEndpoint, DefaultIdlePerEndpoint),
		MaxIdleConns:           maxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHead,
		Protocols:              &protocols,
	}
	return s
}

// Guard returns what decides which addresses are connected to, for checking literal addresses ahead of time.
func (s *Sender) Guard() *Guard { return s.guard }

// Close closes idle connections. Attempts under way are not affected.
func (s *Sender) Close() { s.transport.CloseIdleConnections() }

// Send implements ports.Sender.
func (s *Sender) Send(ctx context.Context, r webhook.Request) webhook.Outcome {
	t := &trace{start: time.Now()}
	o := webhook.Outcome{StartedAt: t.start}
	attempt, cancel := context.WithTimeout(httptrace.WithClientTrace(ctx, t.hooks()), s.timeout)
	defer cancel()
	err := s.exchange(attempt, r, &o)
	var reached stage
	o.Timings, reached = t.result()
	if err != nil {
		o.Fault, o.Detail = classify(ctx, attempt, err, reached), describe(err)
	}
	return o
}

// exchange sends the request and reads the answer. It asks the transport and no http.Client, which has nothing to add but
// redirects and cookies.
func (s *Sender) exchange(ctx context.Context, r webhook.Request, o *webhook.Outcome) error {
	req, err := s.request(ctx, r, o.StartedAt)
	if err != nil {
		return err
	}
	res, err := s.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // tells nothing of the receiver that reading has not
	o.StatusCode = res.StatusCode
	o.RetryAfter, _ = retry.After(res.Header.Get("Retry-After"), time.Now())
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil // no body follows, but another protocol
	}
	o.Body, err = read(res.Body)
	return err
}

func (s *Sender) request(ctx context.Context, r webhook.Request, now time.Time) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL.Reveal(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	h := req.Header
	for name, value := range r.Headers.All() {
		h.Set(name, value)
	}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", s.userAgent)
	h.Set("X-Matric-Event", r.Type.String())
	h.Set("X-Matric-Delivery", r.Delivery.String())
	h.Set("X-Matric-Attempt", strconv.Itoa(r.Attempt))
	if r.Trace != nil {
		h.Set("traceparent", r.Trace.String())
	}
	return req, r.Keys.Sign(h.Set, r.Event.String(), now, r.Body)
}

// buffers serve read.
var buffers = sync.Pool{New: func() any { return new([webhook.MaxKept]byte) }}

// read reads a body to its end, or as much of it as matters, and returns what is kept.
func read(body io.Reader) (string, error) {
	buf := buffers.Get().(*[webhook.MaxKept]byte)
	defer buffers.Put(buf)
	var kept start
	_, err := io.CopyBuffer(&kept, io.LimitReader(body, webhook.MaxRead), buf[:])
	return webhook.KeepBody(kept), err
}

// start is a writer that keeps one byte more than is kept in the end, so that KeepBody sees whether there was more.
type start []byte

func (s *start) Write(p []byte) (int, error) {
	*s = append(*s, p[:min(len(p), webhook.MaxKept+1-len(*s))]...)
	return len(p), nil
}
