package mcp

import (
	"context"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

const (
	updatePause = 500 * time.Millisecond // between two notifications about the same resource
	prunePause  = time.Minute            // between looking for subscribers that have gone
	maxWatched  = 10_000                 // resources with subscribers
)

// watch tells subscribers of resources that have changed. It reads the log as every lossy reader does, and only while there
// are subscribers.
//
// The SDK keeps who subscribed to what, but does not tell when a session ends, and tells sessions of a resource one after
// the other. So the list here is pruned by looking, and a session that does not take its notifications is cut by the
// deadline on its stream.
type watch struct {
	feed   app.PollFeed
	exists func(ctx context.Context, uri string) error
	server *sdk.Server
	wanted chan struct{} // holds a token when there may be subscribers

	mu   sync.Mutex // guards by and from
	by   map[string]map[*sdk.ServerSession]struct{}
	from domain.Seq     // where the log stood when the first subscriber came
	buf  []domain.Entry // of run alone
}

func newWatch(feed app.PollFeed, exists func(context.Context, string) error) *watch {
	return &watch{
		feed: feed, exists: exists, wanted: make(chan struct{}, 1),
		by: map[string]map[*sdk.ServerSession]struct{}{}, buf: make([]domain.Entry, 0, 256),
	}
}

func (w *watch) subscribe(ctx context.Context, req *sdk.SubscribeRequest) error {
	uri := req.Params.URI
	if err := w.exists(ctx, uri); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.by) == 0 {
		w.from = w.feed.Head()
	}
	sessions := w.by[uri]
	if sessions == nil {
		if len(w.by) >= maxWatched {
			return domain.Invalid("uri", "too many resources have subscribers; try again later, or use wait_for_event")
		}
		sessions = map[*sdk.ServerSession]struct{}{}
		w.by[uri] = sessions
	}
	sessions[req.Session] = struct{}{}
	select {
	case w.wanted <- struct{}{}:
	default:
	}
	return nil
}

func (w *watch) unsubscribe(_ context.Context, req *sdk.UnsubscribeRequest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(req.Params.URI, req.Session)
	return nil
}

// forget is called with w.mu held.
func (w *watch) forget(uri string, session *sdk.ServerSession) {
	delete(w.by[uri], session)
	if len(w.by[uri]) == 0 {
		delete(w.by, uri)
	}
}

// run tells until ctx ends.
func (w *watch) run(ctx context.Context) {
	for {
		select {
		case <-w.wanted:
			w.mu.Lock()
			from := w.from
			w.mu.Unlock()
			w.follow(ctx, from)
		case <-ctx.Done():
			return
		}
	}
}

// follow tells of what comes after the cursor while there are subscribers.
func (w *watch) follow(ctx context.Context, cursor domain.Seq) {
	pruned := time.Now()
	for w.feed.Wait(ctx, cursor) == nil {
		var changed []string
		changed, cursor = w.changed(cursor)
		for _, uri := range changed {
			_ = w.server.ResourceUpdated(ctx, &sdk.ResourceUpdatedNotificationParams{URI: uri}) // it only ever says nil
		}
		if time.Since(pruned) > prunePause {
			w.prune()
			pruned = time.Now()
		}
		w.mu.Lock()
		done := len(w.by) == 0
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-time.After(updatePause): // changes of a burst are told of once
		case <-ctx.Done():
		}
	}
}

// changed returns the resources with subscribers that events after the cursor are about.
func (w *watch) changed(cursor domain.Seq) (uris []string, head domain.Seq) {
	seen := map[string]bool{}
	w.mu.Lock()
	defer w.mu.Unlock()
	look := func(uri string) {
		if _, ok := w.by[uri]; ok && !seen[uri] {
			seen[uri] = true
			uris = append(uris, uri)
		}
	}
	for {
		entries, at, missed := w.feed.Read(cursor, &domain.Filter{}, w.buf)
		if missed > 0 { // any of them
			for uri := range w.by {
				look(uri)
			}
		}
		for i := range entries {
			e := &entries[i]
			look(recentURI)
			if !e.Job.IsZero() {
				look(jobURI + e.Job.String())
			}
			if !e.Note.IsZero() {
				look(noteURI + e.Note.String())
			}
		}
		if cursor = at; len(entries) < cap(w.buf) {
			return uris, cursor
		}
	}
}

// prune forgets subscribers whose sessions have ended.
func (w *watch) prune() {
	live := map[*sdk.ServerSession]bool{}
	for session := range w.server.Sessions() {
		live[session] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for uri, sessions := range w.by {
		for session := range sessions {
			if !live[session] {
				w.forget(uri, session)
			}
		}
	}
}
