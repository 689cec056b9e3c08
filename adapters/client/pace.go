package client

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/matric/matric-events/domain"
)

// maxPause bounds the pauses that a server can ask for, so that a wrong header cannot silence a client for good.
const maxPause = time.Hour

// transient is a failure that may be over soon. It is an ErrUnavailable.
type transient struct {
	err   error
	after time.Duration // the pause that the server asked for; zero for none
}

func (t *transient) Error() string   { return t.err.Error() }
func (t *transient) Unwrap() []error { return []error{domain.ErrUnavailable, t.err} }

// pacer is a jittered exponential backoff that is never shorter than what the server asked for.
type pacer struct {
	*backoff.ExponentialBackOff
	floor time.Duration // of every pause, from a stream's retry: field
	next  time.Duration // of the next pause only, from Retry-After
}

// newPacer returns a pacer that gives up after the time given; zero is never.
func (c *Client) newPacer(giveUp time.Duration) *pacer {
	return &pacer{ExponentialBackOff: backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(c.opts.RetryInitial),
		backoff.WithMaxInterval(c.opts.RetryMax),
		backoff.WithMultiplier(2),
		backoff.WithMaxElapsedTime(max(0, giveUp)),
	)}
}

// NextBackOff implements backoff.BackOff.
func (p *pacer) NextBackOff() time.Duration {
	pause := p.ExponentialBackOff.NextBackOff()
	asked := max(p.floor, p.next)
	p.next = 0
	if pause == backoff.Stop || p.MaxElapsedTime > 0 && p.GetElapsedTime()+asked > p.MaxElapsedTime {
		return backoff.Stop
	}
	return max(pause, asked)
}

// rebase makes pauses start at d. A backoff under way goes on growing from where it is, unless this is the first time.
func (p *pacer) rebase(d time.Duration) {
	first := p.floor == 0
	p.floor, p.InitialInterval, p.MaxInterval = d, d, max(d, p.MaxInterval)
	if first {
		p.Reset()
	}
}

// retry calls attempt until it returns anything but a transient failure, with pauses between. It returns the last
// failure when the pacer gives up, and the context's error when that ends.
func (c *Client) retry(ctx context.Context, p *pacer, attempt func() error) error {
	return backoff.RetryNotify(func() error {
		err := attempt()
		if t, ok := errors.AsType[*transient](err); ok {
			p.next = t.after
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(p, ctx), c.opts.OnRetry)
}

// retryAfter reads the header of that name, which holds seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxPause)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, time.Until(at)), maxPause)
	}
	return 0
}
