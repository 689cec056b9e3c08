package app

import (
	"context"
	"time"

	"github.com/matric/matric-events/domain"
)

// Attend admits somebody who waits for an answer, and lists them until leave is called. The context returned ends when the
// registry closes the connection. The error is a *Refusal.
func (r *Registry) Attend(ctx context.Context, ip string, about domain.Connection) (_ context.Context, leave func(reason string), err error) {
	place, err := r.Admit(about.Transport, ip)
	if err != nil {
		return ctx, nil, err
	}
	about.Since = time.Now()
	ctx, cancel := context.WithCancel(ctx)
	place.Occupy(&attendee{about: about, cancel: cancel})
	return ctx, func(reason string) {
		cancel()
		place.Leave(reason)
	}, nil
}

// attendee is one who waits, as the registry sees it.
type attendee struct {
	about  domain.Connection
	cancel context.CancelFunc
}

var _ Member = (*attendee)(nil)

// Describe implements Member.
func (a *attendee) Describe() domain.Connection { return a.about }

// Announce implements Member: the answer comes soon anyway.
func (a *attendee) Announce(time.Duration) {}

// Close implements Member: the wait ends and is answered.
func (a *attendee) Close(CloseReason) { a.cancel() }
