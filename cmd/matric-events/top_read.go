package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// hubReader reads what there is to see of a hub.
type hubReader struct {
	base  *url.URL
	token string
}

func newHubReader(f HubFlags) (*hubReader, error) {
	if _, err := f.connect(io.Discard, func() {}); err != nil { // which checks both
		return nil, err
	}
	base, err := url.Parse(f.URL)
	return &hubReader{base: base, token: f.Token}, err
}

func (h *hubReader) address() string { return h.base.Redacted() }

// look is a hub at one moment.
type look struct {
	at, started time.Time
	metrics     map[string]*dto.MetricFamily
	connections []topConnection
	webhooks    []topWebhook
}

// topConnection and topWebhook are as much of the API's objects as is shown.
type topConnection struct {
	ID, Transport, Remote, User string
	Since                       time.Time
	Delivered, Lag              uint64
}

type topWebhook struct {
	ID, URL         string
	IsActive        bool      `json:"is_active"`
	FailureCount    int       `json:"failure_count"`
	LastTriggeredAt time.Time `json:"last_triggered_at"`
}

// topTimeout bounds one look.
const topTimeout = 10 * time.Second

func (h *hubReader) look(ctx context.Context) (*look, error) {
	ctx, cancel := context.WithTimeout(ctx, topTimeout)
	defer cancel()
	l := &look{at: time.Now()}
	body, err := h.get(ctx, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if l.metrics, err = parser.TextToMetricFamilies(body); err != nil {
		return nil, fmt.Errorf("GET /metrics: %w", err)
	}
	started := l.sum("process_start_time_seconds")
	l.started = time.UnixMilli(int64(started * 1000))
	if started == 0 { // not all systems tell
		l.started = l.at
	}
	if err := h.list(ctx, "/api/v1/connections", url.Values{"sort": {"lag"}, "limit": {"10"}}, &l.connections); err != nil {
		return nil, err
	}
	return l, h.list(ctx, "/api/v1/webhooks", nil, &l.webhooks)
}

func (h *hubReader) list(ctx context.Context, path string, query url.Values, into any) error {
	body, err := h.get(ctx, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

func (h *hubReader) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	u := h.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	if h.token != "" {
		req.Header.Set("Authorization", "Bearer "+h.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // its words would tell no more
		return nil, fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return resp.Body, nil
}

// dawn is the hub at its start, when all its counters were zero.
func (l *look) dawn() *look { return &look{at: l.started, started: l.started} }
