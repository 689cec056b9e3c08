package app

import (
	"context"
	"sync"

	"github.com/matric/matric-events/domain"
)

// Lot is where those stand who wait for their next event. One reader of the log looks at each event once for all of them,
// and wakes only whom it concerns. Use NewLot, then Run.
type Lot struct {
	feed   PollFeed
	filled chan struct{} // holds a token when somebody may be waiting

	mu     sync.Mutex // guards all below, and what is in each Wait
	waits  map[*Wait]struct{}
	cursor domain.Seq // up to here everything has been compared with every wait
	buf    []domain.Entry
}

// Wait is the place of one who waits.
type Wait struct {
	filter    domain.Filter
	release   func()
	cursor    domain.Seq // what is before need not be looked at again
	truncated bool
}

// NewLot returns a lot in front of a feed.
func NewLot(feed PollFeed) *Lot {
	return &Lot{feed: feed, filled: make(chan struct{}, 1), waits: map[*Wait]struct{}{}, buf: make([]domain.Entry, 0, 64)}
}

// Poll is the Poll of its feed for one who waits, until ctx ends, for the first event, or to hear that some are lost. Waiting
// costs little more than the query: room for the answer is made when there is one.
func (l *Lot) Poll(ctx context.Context, q PollQuery) PollAnswer {
	cursor, truncated := q.Start(l.feed)
	if truncated {
		return Poll(l.feed, q)
	}
	released := make(chan struct{})
	w := l.Enter(cursor, &q.Filter, func() { close(released) })
	select {
	case <-released:
	case <-ctx.Done():
	}
	cursor, missed := l.Leave(w)
	a := PollAt(l.feed, cursor, q)
	a.Truncated = a.Truncated || missed
	return a
}

// Enter begins to wait for the first event after a cursor that a filter selects. When there is one, or when events are lost
// that may have been, release is called, once; perhaps before Enter returns. It must not block, and not call the lot.
func (l *Lot) Enter(cursor domain.Seq, f *domain.Filter, release func()) *Wait {
	w := &Wait{filter: *f, release: release, cursor: cursor}
	l.mu.Lock()
	defer l.mu.Unlock()
	found, at, missed := l.feed.Read(cursor, f, make([]domain.Entry, 0, 1))
	if w.truncated = missed > 0; len(found) > 0 || w.truncated {
		release()
		return w
	}
	w.cursor = at // at least l.cursor, which was the head before
	if len(l.waits) == 0 {
		l.cursor = at
	}
	l.waits[w] = struct{}{}
	select {
	case l.filled <- struct{}{}:
	default:
	}
	return w
}

// Leave ends a wait, released or not. It returns where to read from, and whether events between there and the cursor of
// before are lost.
func (l *Lot) Leave(w *Wait) (cursor domain.Seq, truncated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.waits[w]; ok { // nothing was found
		delete(l.waits, w)
		w.cursor = max(w.cursor, l.cursor)
	}
	return w.cursor, w.truncated
}

// Run releases those who wait until ctx ends.
func (l *Lot) Run(ctx context.Context) {
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

func (l *Lot) place() (cursor domain.Seq, some bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cursor, len(l.waits) > 0
}

// compare looks at the next events, and releases those who wait for one of them, or have lost some.
func (l *Lot) compare() {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries, at, missed := l.feed.Read(l.cursor, &domain.Filter{}, l.buf)
	for w := range l.waits {
		if missed > 0 && w.cursor < at-domain.Seq(len(entries)) {
			w.truncated = true
			l.release(w, w.cursor)
			continue
		}
		for i := range entries {
			if e := &entries[i]; e.Seq > w.cursor && w.filter.Match(e) {
				l.release(w, e.Seq-1)
				break
			}
		}
	}
	l.cursor = at
}

func (l *Lot) release(w *Wait, cursor domain.Seq) {
	w.cursor = cursor
	delete(l.waits, w)
	w.release()
}
