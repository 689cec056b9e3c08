package soak_test

import (
	"sync"

	"github.com/matric/matric-events/domain"
)

// join says how a stretch of events follows what its reader had before.
type join int

const (
	fresh   join = iota // from now on: nothing is promised of what was before
	resumed             // behind an event or a cursor: nothing may be missing
	told                // behind a notice that events are missing, which does not say how many
	counted             // behind a notice that says how many events, of any type, are missing
)

// seen is an event as a reader had it.
type seen struct {
	id   domain.UUID
	kind domain.Type
}

// stretch is what came over one connection, or between two notices on it.
type stretch struct {
	life    int64 // of the process that it came from
	join    join
	after   domain.UUID // where it was resumed
	of      int64       // the life that after is from
	dropped uint64      // by the notice
	events  []seen
}

// trail is all that one reader has seen, and how it came to see it.
type trail struct {
	who   string
	types domain.TypeSet
	poll  bool // its cursors may stand for the place before the first event of a process

	mu        sync.Mutex // guards all below
	stretches []*stretch
	cursor    domain.UUID // zero: from now on
	of        int64       // the life that cursor is from
	notices   int
}

// begin opens a stretch.
func (t *trail) begin(s *stretch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stretches = append(t.stretches, s)
}

// connect opens the stretch of a connection that was made with the cursor as it is.
func (t *trail) connect(life int64) {
	s := &stretch{life: life, after: t.cursor, of: t.of}
	if !t.cursor.IsZero() {
		s.join = resumed
	}
	t.begin(s)
}

// notice opens a stretch behind a notice.
func (t *trail) notice(j join, dropped uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.stretches[len(t.stretches)-1]
	t.stretches = append(t.stretches, &stretch{life: last.life, join: j, dropped: dropped})
	t.notices++
}

// add adds an event to the stretch that is open.
func (t *trail) add(e seen) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stretches[len(t.stretches)-1]
	s.events = append(s.events, e)
	t.cursor, t.of = e.id, s.life
}

// forget has the reader start anew, as a page does that is loaded again.
func (t *trail) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cursor = domain.UUID{}
}

// last returns the last event that came from a process.
func (t *trail) last(life int64) (id domain.UUID, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.stretches) - 1; i >= 0 && t.stretches[i].life == life; i-- {
		if n := len(t.stretches[i].events); n > 0 {
			return t.stretches[i].events[n-1].id, true
		}
	}
	return id, false
}

// in returns the stretches that came from a process.
func (t *trail) in(life int64) (list []*stretch) {
	for _, s := range t.stretches {
		if s.life == life {
			list = append(list, s)
		}
	}
	return list
}
