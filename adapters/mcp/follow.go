package mcp

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// follower keeps the subscriptions of a proxy's client at the hub. It uses a session of a revision that has them, because
// only there the SDK tells when the stream is lost. After a loss it subscribes anew, and tells the client that everything
// may have changed.
type follower struct {
	proxy   *Proxy
	client  *sdk.Client
	changes chan subscription
	uris    map[string]bool // of run alone
}

// subscription is a wish to begin or to end one.
type subscription struct {
	uri  string
	on   bool
	done chan<- error
}

func newFollower(p *Proxy) *follower {
	f := &follower{proxy: p, changes: make(chan subscription), uris: map[string]bool{}}
	f.client = sdk.NewClient(&sdk.Implementation{Name: "matric-events", Version: p.opts.Version}, &sdk.ClientOptions{
		ResourceUpdatedHandler: func(ctx context.Context, req *sdk.ResourceUpdatedNotificationRequest) { f.tell(ctx, req.Params.URI) },
	})
	return f
}

// tell hands a notification on.
func (f *follower) tell(ctx context.Context, uri string) {
	_ = f.proxy.local.ResourceUpdated(ctx, &sdk.ResourceUpdatedNotificationParams{URI: uri}) // it only ever says nil
}

// change begins or ends a subscription, and returns once the hub has it so.
func (f *follower) change(ctx context.Context, uri string, on bool) error {
	done := make(chan error, 1)
	select {
	case f.changes <- subscription{uri, on, done}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run keeps the subscriptions until ctx ends.
func (f *follower) run(ctx context.Context) {
	pause := backoff.NewExponentialBackOff(backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		if len(f.uris) == 0 {
			f.first(ctx)
			continue
		}
		if session, err := f.connect(ctx); err == nil {
			f.again(ctx, session)
			pause.Reset()
			f.serve(ctx, session)
			continue
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case c := <-f.changes: // while the hub is away
			f.note(c, nil)
		case <-ctx.Done():
		}
	}
}

func (f *follower) connect(ctx context.Context) (*sdk.ClientSession, error) {
	return f.client.Connect(ctx, f.proxy.transport(true), &sdk.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
}

// note remembers what a change has led to, and answers who wants it.
func (f *follower) note(c subscription, err error) {
	switch {
	case !c.on:
		delete(f.uris, c.uri)
		err = nil
	case err == nil:
		f.uris[c.uri] = true
	}
	c.done <- err
}

// first waits for the first subscription, and serves it.
func (f *follower) first(ctx context.Context) {
	select {
	case c := <-f.changes:
		session, err := f.connect(ctx)
		if err == nil {
			err = apply(ctx, session, c)
		}
		if f.note(c, err); err == nil {
			f.serve(ctx, session)
		} else if session != nil {
			_ = session.Close() // of no use
		}
	case <-ctx.Done():
	}
}

// again subscribes to what was subscribed to before the hub was lost.
func (f *follower) again(ctx context.Context, session *sdk.ClientSession) {
	for uri := range f.uris {
		_ = session.Subscribe(ctx, &sdk.SubscribeParams{URI: uri}) // what is there no more does not change
		f.tell(ctx, uri)
	}
}

// serve applies changes until the session or ctx ends.
func (f *follower) serve(ctx context.Context, session *sdk.ClientSession) {
	ended := make(chan struct{})
	go func() { // ends when the session is closed below, at the latest
		_ = session.Wait()
		close(ended)
	}()
	defer func() {
		_ = session.Close()
		<-ended
	}()
	for len(f.uris) > 0 {
		select {
		case c := <-f.changes:
			f.note(c, apply(ctx, session, c))
		case <-ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

func apply(ctx context.Context, session *sdk.ClientSession, c subscription) error {
	if !c.on {
		return session.Unsubscribe(ctx, &sdk.UnsubscribeParams{URI: c.uri})
	}
	return session.Subscribe(ctx, &sdk.SubscribeParams{URI: c.uri})
}
