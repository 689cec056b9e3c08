package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

const (
	maxBody     = 1 << 20     // the largest body that the hub takes
	postTimeout = time.Minute // of one attempt; the hub answers once the events are stored
	workerPath  = "api/v1/worker-events"
	notePath    = "api/v1/note-events"
)

// PublishWorkerEvents implements ports.Publisher. A batch whose JSON is larger than 1 MiB is all or nothing only in what
// can be checked here; see the package comment.
func (c *Client) PublishWorkerEvents(ctx context.Context, batch []domain.WorkerEvent) (ports.Receipt, error) {
	return c.publish(ctx, workerPath, len(batch), func(i int) ([]byte, error) {
		event := batch[i]
		if event.EventID.IsZero() {
			event.EventID = NewEventID()
		}
		if err := event.Validate(); err != nil {
			return nil, err
		}
		return event.MarshalJSON()
	})
}

// PublishNoteEvents implements ports.Publisher, with the same limit as PublishWorkerEvents.
func (c *Client) PublishNoteEvents(ctx context.Context, batch []domain.NoteEvent) (ports.Receipt, error) {
	return c.publish(ctx, notePath, len(batch), func(i int) ([]byte, error) {
		event := batch[i]
		if event.EventID.IsZero() {
			event.EventID = NewEventID()
		}
		if err := event.Validate(); err != nil {
			return nil, err
		}
		return event.MarshalJSON()
	})
}

// publish sends n events in as few requests as their size allows.
func (c *Client) publish(ctx context.Context, path string, n int, encode func(i int) ([]byte, error)) (ports.Receipt, error) {
	parts, err := split(n, encode)
	if err != nil {
		return ports.Receipt{}, fmt.Errorf("client: publish: %w", err)
	}
	var total ports.Receipt
	for _, p := range parts {
		r, err := c.send(ctx, path, p)
		if len(parts) > 1 && p.count == 1 && errors.Is(err, domain.ErrConflict) {
			r, err = ports.Receipt{Skipped: 1}, nil // the hub took it for a single event, but it is one of a batch
		}
		total.Accepted += r.Accepted
		total.Skipped += r.Skipped
		if err != nil {
			return total, fmt.Errorf("client: publish: %w", p.place(err))
		}
	}
	return total, nil
}

// part is what one request carries: some successive events of a batch, one JSON object a line.
type part struct {
	first, count int
	body         []byte
}

// split encodes events 0 to n-1 into parts that are as large as a body may be.
func split(n int, encode func(i int) ([]byte, error)) ([]part, error) {
	var parts []part
	for i := range n {
		line, err := encode(i)
		if err == nil && len(line) > maxBody {
			err = domain.Invalid("", "the event is larger than 1 MiB")
		}
		if err != nil {
			return nil, domain.AtIndex(err, i)
		}
		if len(parts) > 0 {
			if p := &parts[len(parts)-1]; len(p.body)+1+len(line) <= maxBody {
				p.body = append(append(p.body, '\n'), line...)
				p.count++
				continue
			}
		}
		parts = append(parts, part{first: i, count: 1, body: line})
	}
	return parts, nil
}

// place counts the index in the hub's answer from the start of the whole batch.
func (p part) place(err error) error {
	invalid, ok := errors.AsType[*domain.FieldError](err)
	switch {
	case ok && invalid.Index != domain.NoIndex:
		return domain.AtIndex(err, p.first+invalid.Index)
	case ok && p.count == 1:
		return domain.AtIndex(err, p.first)
	}
	return err
}

// send makes one request until it is answered for good.
func (c *Client) send(ctx context.Context, path string, p part) (ports.Receipt, error) {
	var receipt ports.Receipt
	err := c.retry(ctx, c.newPacer(c.opts.RetryFor), func() (err error) {
		receipt, err = c.post(ctx, path, p)
		return err
	})
	if err != nil && ctx.Err() != nil {
		return ports.Receipt{}, fmt.Errorf("%w: %w", domain.ErrUnavailable, context.Cause(ctx))
	}
	return receipt, err
}

func (c *Client) post(ctx context.Context, path string, p part) (ports.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := c.newRequest(ctx, http.MethodPost, path, nil, p.body)
	if err != nil {
		return ports.Receipt{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if p.count > 1 {
		req.Header.Set("Content-Type", "application/x-ndjson")
	}
	resp, err := c.do(req)
	if err != nil {
		return ports.Receipt{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusAccepted {
		return ports.Receipt{}, refusal(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return ports.Receipt{}, &transient{err: err}
	}
	var answer struct{ Accepted, Skipped int }
	if err := json.Unmarshal(data, &answer); err != nil {
		return ports.Receipt{}, fmt.Errorf("the answer is not the hub's: %w", err)
	}
	return ports.Receipt(answer), nil
}
