package app

import (
	"slices"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// PollFeed is a log that knows which identifier resumes where.
type PollFeed interface {
	ports.Feed
	// CursorID returns the identifier that resumes behind the cursor.
	CursorID(at domain.Seq) domain.UUID
}

// PollQuery says which events are asked for.
type PollQuery struct {
	Filter domain.Filter
	After  domain.UUID // zero: from now on
	Limit  int         // at least 1
}

// PollAnswer is what a feed has for a query.
type PollAnswer struct {
	Entries   []domain.Entry // oldest first
	Cursor    domain.UUID    // always a valid After
	Truncated bool           // After is no longer kept: the entries start at the oldest kept one
	HasMore   bool
}

// Poll answers with what the feed holds after a cursor. Lot.Poll waits for it.
func Poll(feed PollFeed, q PollQuery) PollAnswer {
	cursor, truncated := q.Start(feed)
	a := PollAt(feed, cursor, q)
	a.Truncated = a.Truncated || truncated
	return a
}

// Start returns where in the log a query starts, and whether events between After and there are lost.
func (q *PollQuery) Start(feed PollFeed) (cursor domain.Seq, truncated bool) {
	if q.After.IsZero() {
		return feed.Head(), false
	}
	place := feed.Locate(q.After)
	return place.Seq, place.Standing != domain.StandingKept // of an unknown one zero: before everything that is kept
}

// PollAt is Poll at a place that Start returned, or a later one.
func PollAt(feed PollFeed, cursor domain.Seq, q PollQuery) (a PollAnswer) {
	entries := make([]domain.Entry, 0, q.Limit+1) // one more than asked for tells whether there are more
	entries, cursor, missed := feed.Read(cursor, &q.Filter, entries)
	a.Truncated = missed > 0
	if len(entries) > q.Limit {
		entries, a.HasMore = entries[:q.Limit], true
		cursor = entries[len(entries)-1].Seq
	}
	a.Entries, a.Cursor = entries, feed.CursorID(cursor)
	if n := len(entries); n > 0 && entries[n-1].Seq == cursor {
		a.Cursor = entries[n-1].ID // whether it is still kept or not
	}
	return a
}

// Recent answers with the newest n entries that a filter selects, as many as are kept. HasMore says that there are older
// ones; the cursor goes on from here.
func Recent(feed PollFeed, f domain.Filter, n int) (a PollAnswer) {
	chunk := make([]domain.Entry, 0, 256)
	for cursor := domain.Seq(0); ; {
		entries, at, _ := feed.Read(cursor, &f, chunk)
		a.Entries = append(a.Entries, entries...)
		if over := len(a.Entries) - n; over > 0 {
			a.Entries, a.HasMore = slices.Delete(a.Entries, 0, over), true
		}
		if cursor = at; len(entries) < cap(chunk) { // the head
			a.Cursor = feed.CursorID(cursor)
			return a
		}
	}
}
