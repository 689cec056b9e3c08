package mcp

import (
	"context"
	"sync"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// lot is where held calls stand. One reader of the log looks at each event once for all of them.
type lot struct {
	feed   app.PollFeed
	filled chan struct{} // holds a token when there may be calls

	mu     sync.Mutex // guards all below, and the cursor of each call
	held   map[*hold]struct{}
	cursor domain.Seq // up to here every call has been compared
	buf    []domain.Entry
}

func newLot(feed app.PollFeed) *lot {
	return &lot{feed: feed, filled: make(chan struct{}, 1), held: map[*hold]struct{}{}, buf: make([]domain.Entry, 0, 64)}
}

// add enters a call. It is released at once when something has come since its cursor.
func (l *lot) add(h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, at, missed := l.feed.Read(h.cursor, &h.query.Filter, make([]domain.Entry, 0, 1))
	if h.truncated = missed > 0; len(found) > 0 || h.truncated {
		h.release()
		return
	}
	h.cursor = at // at least l.cursor, which was the head before
	if len(l.held) == 0 {
		l.cursor = at
	}
	l.held[h] = struct{}{}
	select {
	case l.filled <- struct{}{}:
	default:
	}
}

// remove takes a call out, and puts its cursor where it has been compared up to.
func (l *lot) remove(h *hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.held[h]; ok { // nothing was found
		delete(l.held, h)
		h.cursor = max(h.cursor, l.cursor)
	}
}

// run releases calls until ctx ends.
func (l *lot) run(ctx context.Context) {
	for {
		select {
		case <-l.filled:
		case <-ctx.Done():
			return
		}
		for cursor, some := l.place(); some && l.feed.Wait(ctx, cursor) == nil; cursor, some = l.place() {
			l.compare()
		}
	}
}

func (l *lot) place() (cursor domain.Seq, some bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor, len(l.held) > 0
}

// compare looks at the next events, and releases the calls that wait for one of them, or have lost some.
func (l *lot) compare() {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries, at, missed := l.feed.Read(l.cursor, &domain.Filter{}, l.buf)
	for h := range l.held {
		if missed > 0 && h.cursor < at-domain.Seq(len(entries)) {
			h.truncated = true
			l.release(h, h.cursor)
			continue
		}
		for i := range entries {
			if e := &entries[i]; e.Seq > h.cursor && h.query.Filter.Match(e) {
				l.release(h, e.Seq-1)
				break
			}
		}
	}
	l.cursor = at
}

func (l *lot) release(h *hold, cursor domain.Seq) {
	h.cursor = cursor
	delete(l.held, h)
	h.release()
}
