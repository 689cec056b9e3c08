package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

const (
	maxWaiting = 8192 // spans
	maxBatch   = 512
	maxDelay   = time.Second // for a batch to fill
	patience   = 10 * time.Second
	parting    = time.Second // instead of patience, once Run is to end
)

// Options tune New.
type Options struct {
	Version  string         // of the program, for the collector
	Observer ports.Observer // is told of batches that are lost. Required.
	// Client sends. Nil means http.DefaultClient.
	Client *http.Client
}

// Exporter sends spans. Use New, then Run. Safe for concurrent use.
type Exporter struct {
	endpoint string
	opts     Options
	spans    chan ports.Span
	dropped  atomic.Uint64
}

var _ ports.SpanSink = (*Exporter)(nil)

// New returns an exporter to the collector at the base URL, such as http://127.0.0.1:4318.
func New(base string, o Options) (*Exporter, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, domain.Invalid("--otlp-endpoint", "want a URL such as http://127.0.0.1:4318, without user and query")
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	return &Exporter{endpoint: u.JoinPath("v1/traces").String(), opts: o, spans: make(chan ports.Span, maxWaiting)}, nil
}

// Span implements ports.SpanSink. A span of a trace that is not sampled is nobody's interest.
func (e *Exporter) Span(s ports.Span) {
	if s.Trace.Flags&1 == 0 {
		return
	}
	select {
	case e.spans <- s:
	default:
		e.dropped.Add(1)
	}
}

// Dropped returns how many spans were lost.
func (e *Exporter) Dropped() uint64 { return e.dropped.Load() }

// Run sends until ctx ends, and then what waits, unless the collector does not take it at once.
func (e *Exporter) Run(ctx context.Context) error {
	for {
		batch := e.gather(ctx)
		if len(batch) == 0 {
			return nil
		}
		ending := ctx.Err() != nil
		if err := e.send(ctx, batch); err != nil {
			lost := len(batch)
			for ending && len(batch) > 0 { // the others would fare no better
				batch = e.gather(ctx)
				lost += len(batch)
			}
			e.dropped.Add(uint64(lost))
			e.opts.Observer.Anomaly("otlp", fmt.Errorf("%d spans are lost: %w", lost, err))
		}
	}
}

// gather waits for a span and those that follow soon. Once ctx has ended it returns what there is, and then nothing.
func (e *Exporter) gather(ctx context.Context) (batch []ports.Span) {
	var full <-chan time.Time
	for len(batch) < maxBatch {
		select {
		case s := <-e.spans:
			if batch = append(batch, s); full == nil {
				full = time.After(maxDelay)
			}
		case <-full:
			return batch
		case <-ctx.Done():
			for len(batch) < min(maxBatch, len(batch)+len(e.spans)) {
				batch = append(batch, <-e.spans) // nobody else takes any
			}
			return batch
		}
	}
	return batch
}

// send sends a batch. The end of Run does not cut it off right away.
func (e *Exporter) send(end context.Context, batch []ports.Span) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(end), patience)
	defer cancel()
	defer context.AfterFunc(end, func() { time.AfterFunc(parting, cancel) })()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.endpoint, bytes.NewReader(encode(batch, e.opts.Version)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.opts.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %s", resp.Status)
	}
	return nil
}
