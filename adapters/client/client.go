package client

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

var (
	_ ports.Publisher  = (*Client)(nil)
	_ ports.Subscriber = (*Client)(nil)
)

// Options tune New. The zero value, and nil, are what most programs want.
type Options struct {
	// Token is sent as bearer token. Empty means anonymous.
	Token string
	// HTTPClient sends the requests. Nil means http.DefaultClient. A Timeout in it would cut streams off, which are then
	// resumed.
	HTTPClient *http.Client
	// UserAgent names the program. Empty means "matric-events-client".
	UserAgent string

	// RetryInitial is the first pause after a failure; the next ones grow. A stream goes by the hub's own retry: once it
	// has heard it. Zero means 500 ms.
	RetryInitial time.Duration
	// RetryMax bounds the pauses, unless the hub asks for longer ones. Zero means 30 s.
	RetryMax time.Duration
	// RetryFor is for how long one request of a publish is repeated. Zero means 2 min, negative until the context ends.
	// Subscribe never gives up.
	RetryFor time.Duration
	// IdleTimeout is how long a stream may be silent. Zero means 45 s, which is three of the hub's keepalives.
	IdleTimeout time.Duration

	// OnRetry, when not nil, is called before each pause with what went wrong and how long the pause will be.
	OnRetry func(err error, pause time.Duration)
	// OnConnect, when not nil, is called whenever a stream has been opened.
	OnConnect func()
}

// Client speaks to one hub. Use New. Safe for concurrent use.
type Client struct {
	base *url.URL
	opts Options
}

// New returns a client of the hub at baseURL, such as https://hub.example.org; a path in it is a prefix. It connects to
// nothing yet.
func New(baseURL string, o *Options) (*Client, error) {
	base, err := url.Parse(baseURL)
	switch {
	case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("client: %w", domain.Invalid("url", "want a URL such as http://127.0.0.1:8080"))
	case base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("client: %w", domain.Invalid("url", "must have neither query nor fragment"))
	}
	if o == nil {
		o = &Options{}
	}
	opts := *o
	if strings.ContainsFunc(opts.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("client: %w", domain.Invalid("token", "holds a character that no token may have"))
	}
	if opts.HTTPClient == nil {
		opts.HTTPClient = http.DefaultClient
	}
	opts.UserAgent = cmp.Or(opts.UserAgent, "matric-events-client")
	opts.RetryInitial = cmp.Or(opts.RetryInitial, 500*time.Millisecond)
	opts.RetryMax = cmp.Or(opts.RetryMax, 30*time.Second)
	opts.RetryFor = cmp.Or(opts.RetryFor, 2*time.Minute)
	opts.IdleTimeout = cmp.Or(opts.IdleTimeout, 45*time.Second)
	return &Client{base: base, opts: opts}, nil
}

// NewEventID returns an identifier to give to an event before it is published.
func NewEventID() domain.UUID { return domain.UUID(uuid.Must(uuid.NewV7())) }

// newRequest builds a request below the base URL. The body is nil for GET.
func (c *Client) newRequest(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Request, error) {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	if c.opts.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.opts.Token)
	}
	return req, nil
}
