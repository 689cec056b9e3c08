package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

const (
	streamPath = "api/v1/events"
	pollPath   = "api/v1/events/poll"
)

var (
	errSilent = errors.New("the connection went silent")
	errEnded  = errors.New("the connection was closed")
)

// Subscribe implements ports.Subscriber.
func (c *Client) Subscribe(ctx context.Context, s ports.Subscription, handle func(ports.Message) error) error {
	sub := &subscription{
		Client: c, query: query(s.Filter), cursor: s.After, handle: handle, pace: c.newPacer(0), seen: newRecent(recentIDs),
	}
	sub.seen.add(s.After)
	err := c.retry(ctx, sub.pace, func() error { return sub.attempt(ctx) })
	switch {
	case sub.failed != nil:
		return sub.failed
	case ctx.Err() != nil:
		return nil
	}
	return fmt.Errorf("client: subscribe: %w", err)
}

func query(f domain.Filter) url.Values {
	q := url.Values{}
	if f.Types != 0 {
		q["types"] = f.Types.Names()
	}
	for _, id := range f.Jobs {
		q.Add("job_id", id.String())
	}
	for _, id := range f.Notes {
		q.Add("note_id", id.String())
	}
	return q
}

// subscription is the state of one call of Subscribe across its connections.
type subscription struct {
	*Client
	query  url.Values
	handle func(ports.Message) error
	pace   *pacer
	seen   *recent
	cursor domain.UUID // of the last event handled, or the place before the first; zero when unknown
	asked  bool        // where the log stands
	opened bool        // a stream was open before
	failed error       // what handle returned
}

// attempt opens a stream and delivers what comes until that ends, which is an error always.
func (s *subscription) attempt(ctx context.Context) error {
	if err := s.locate(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(s.opts.IdleTimeout, func() { cancel(errSilent) })
	defer watchdog.Stop()

	resp, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	watchdog.Stop()
	if s.opts.OnConnect != nil {
		s.opts.OnConnect()
	}
	if err := s.reportGap(); err != nil {
		return err
	}
	return s.deliverAll(ctx, newEventStream(&watchedReader{resp.Body, watchdog, s.opts.IdleTimeout}))
}

// locate asks, before the first connection, for a cursor to resume from. A hub that does not say where its log stands
// can be subscribed to all the same, and what it refuses the stream's own request will learn.
func (s *subscription) locate(ctx context.Context) error {
	if s.asked || !s.cursor.IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.IdleTimeout)
	defer cancel()
	req, err := s.newRequest(ctx, http.MethodGet, pollPath, url.Values{"limit": {"1"}}, nil)
	if err != nil {
		return err
	}
	resp, err := s.do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusOK {
		var answer struct{ Cursor domain.UUID }
		if json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer) == nil {
			s.cursor = answer.Cursor
		}
	} else if t, ok := errors.AsType[*transient](refusal(resp)); ok {
		return t
	}
	s.asked = true
	return nil
}

// open asks for the stream. It sends no Accept: text/event-stream, which the hub takes for a browser's EventSource. A hub
// that is full answers those 200 and closes, because any other status would end them; everybody else it tells the truth.
func (s *subscription) open(ctx context.Context) (*http.Response, error) {
	req, err := s.newRequest(ctx, http.MethodGet, streamPath, s.query, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Cache-Control", "no-store")
	if !s.cursor.IsZero() {
		req.Header.Set("Last-Event-ID", s.cursor.String())
	}
	resp, err := s.do(req)
	if err != nil {
		return nil, err
	}
	if err := checkStream(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

func checkStream(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "text/event-stream" {
		return fmt.Errorf("the answer is %q, not an event stream", resp.Header.Get("Content-Type"))
	}
	return nil
}

// reportGap tells of events that may have been missed because there was nothing to resume from.
func (s *subscription) reportGap() error {
	lost := s.opened && s.cursor.IsZero()
	s.opened = true
	if !lost {
		return nil
	}
	return s.hand(ports.Message{
		JSON:   []byte(`{"type":"ResyncRequired","reason":"unknown"}`),
		Notice: &ports.Notice{Type: noticeResync, Reason: domain.StandingUnknown.String()},
	})
}

// deliverAll hands over every event of a stream until it ends or handle fails.
func (s *subscription) deliverAll(ctx context.Context, stream *eventStream) error {
	for {
		event, err := stream.next()
		if stream.retry > 0 && stream.retry != s.pace.floor {
			s.pace.rebase(stream.retry)
		}
		switch {
		case errors.Is(err, errTooLarge):
			return err // it would come again after a reconnect
		case context.Cause(ctx) != nil:
			return &transient{err: context.Cause(ctx)}
		case errors.Is(err, io.EOF):
			return &transient{err: errEnded}
		case err != nil:
			return &transient{err: err}
		}
		if err := s.deliver(event); err != nil {
			return err
		}
		s.pace.Reset() // this hub is well
	}
}

// deliver hands one event over unless it is unknown or was handled before, and moves the cursor behind it.
func (s *subscription) deliver(event streamEvent) error {
	if m, ok := decode(event); ok && (m.Notice != nil || s.seen.add(m.Event.ID)) {
		if err := s.hand(m); err != nil {
			return err
		}
	}
	if id, err := domain.ParseUUID(event.id); err == nil {
		s.cursor = id
	}
	return nil
}

func (s *subscription) hand(m ports.Message) error {
	s.failed = s.handle(m)
	return s.failed
}

// watchedReader arms the watchdog for as long as it waits for bytes, and only then: a slow handler is not a silent hub.
type watchedReader struct {
	r        io.Reader
	watchdog *time.Timer
	patience time.Duration
}

func (w *watchedReader) Read(p []byte) (int, error) {
	w.watchdog.Reset(w.patience)
	defer w.watchdog.Stop()
	return w.r.Read(p)
}
