package soak_test

import (
	"fmt"
	"slices"
	"sync"

	"github.com/matric/matric-events/domain"
)

// record is the log of one process, as a reader of everything had it from the first event on.
type record struct {
	life   int64
	lapped bool // it was too slow itself, and knows less than it should

	mu     sync.Mutex // guards events
	events []seen
}

// verdict is what can be said of the readers of one process.
type verdict struct {
	events   int // those that readers saw, all together
	resumes  int // of those: within the process, without a gap
	exact    int // notices of a gap whose count was checked to the event
	gaps     int // other notices of a gap
	tail     int // events that came in the last moment of the process, after the record's end
	unproved int // where the record cannot tell
	wrong    []string
}

func (v *verdict) blame(t *trail, format string, args ...any) {
	v.wrong = append(v.wrong, t.who+": "+fmt.Sprintf(format, args...))
}

// order is the one order of a process's events that all its readers must agree on: the record, and behind it the tail.
type order struct {
	events  []seen
	place   map[domain.UUID]int
	covered int // places below are the record's, of which nothing is missing
}

// judge holds what readers saw of a process against its record: that they agree on one order, and that each of them got
// exactly what its filter selects, each event once, with no gap that it was not told of.
func judge(r *record, trails []*trail) (v verdict) {
	o := newOrder(r, trails, &v)
	for _, t := range trails {
		w := walk{verdict: &v, order: o, trail: t, record: r}
		for _, s := range t.in(r.life) {
			w.stretch(s)
		}
	}
	return v
}

func newOrder(r *record, trails []*trail, v *verdict) *order {
	o := &order{events: slices.Clone(r.events), place: make(map[domain.UUID]int, len(r.events)), covered: len(r.events)}
	for i, e := range r.events {
		if _, twice := o.place[e.id]; twice {
			v.wrong = append(v.wrong, fmt.Sprintf("life %d: %s %s stands in the log twice", r.life, e.kind, e.id))
		}
		o.place[e.id] = i
	}
	if !r.lapped {
		o.addTail(r, trails, v)
	}
	return o
}

// addTail adds the events that readers had after the last one of the record, in an order in which no two readers contradict
// each other. When there is none, the rest is left out, and is blamed on whoever saw it.
func (o *order) addTail(r *record, trails []*trail, v *verdict) {
	next := map[domain.UUID]map[domain.UUID]bool{}
	before := map[domain.UUID]int{}
	kinds := map[domain.UUID]domain.Type{}
	var found []domain.UUID // in a stable order
	for _, t := range trails {
		var last domain.UUID
		for _, s := range t.in(r.life) {
			for _, e := range s.events {
				if _, known := o.place[e.id]; known {
					continue
				}
				if _, again := kinds[e.id]; !again {
					kinds[e.id], next[e.id] = e.kind, map[domain.UUID]bool{}
					found = append(found, e.id)
				}
				if !last.IsZero() && !next[last][e.id] {
					next[last][e.id] = true
					before[e.id]++
				}
				last = e.id
			}
		}
	}
	v.tail += len(found)
	ready := slices.DeleteFunc(slices.Clone(found), func(id domain.UUID) bool { return before[id] > 0 })
	for len(ready) > 0 {
		id := ready[0]
		ready = ready[1:]
		o.place[id] = len(o.events)
		o.events = append(o.events, seen{id, kinds[id]})
		for _, follower := range found {
			if next[id][follower] {
				if before[follower]--; before[follower] == 0 {
					ready = append(ready, follower)
				}
			}
		}
	}
}

// walk follows one reader through the order.
type walk struct {
	*verdict
	order  *order
	trail  *trail
	record *record

	next   int    // nothing before this place may come any more
	strict bool   // nothing from there on may be missing
	known  bool   // next is right behind what the reader had, not just somewhere behind
	owed   uint64 // events that notices said are missing, since the last event

	// asked is a resume that nothing has come of yet. It may still be answered by a notice that it cannot be: then the event
	// that it was to go on from was not there, although the process may have had it later, published again.
	asked *stretch
}

func (w *walk) stretch(s *stretch) {
	switch s.join {
	case fresh:
		w.strict, w.owed, w.known, w.asked = false, 0, false, nil
	case told:
		w.strict, w.owed, w.known, w.asked = false, 0, false, nil
		w.gaps++
	case counted:
		w.resume()
		w.owed += s.dropped
	case resumed:
		w.asked = s
	}
	for _, e := range s.events {
		w.resume()
		w.event(e)
	}
}

func (w *walk) resume() {
	s := w.asked
	if w.asked = nil; s == nil {
		return
	}
	w.owed, w.strict, w.known = 0, true, true
	at, ok := w.order.place[s.after]
	switch {
	case ok:
		w.next = at + 1
		w.resumes++
	case w.trail.poll && s.of == s.life: // the cursor of an empty log
		w.next = 0
		w.resumes++
	case w.record.lapped:
		w.strict, w.known = false, false
		w.unproved++
	default:
		w.blame(w.trail, "life %d: was resumed behind %s, which this process never had, and was not told", s.life, s.after)
		w.strict, w.known = false, false
	}
}

func (w *walk) event(e seen) {
	at, ok := w.order.place[e.id]
	if !ok {
		if w.record.lapped {
			w.unproved++
		} else {
			w.blame(w.trail, "life %d: %s %s is not in the order that others agree on", w.record.life, e.kind, e.id)
		}
		return
	}
	w.events++
	if !w.trail.types.Has(e.kind) {
		w.blame(w.trail, "%s %s is not what its filter selects", e.kind, e.id)
	}
	if at < w.next {
		w.blame(w.trail, "life %d: %s %s came twice or out of order (place %d, after %d)", w.record.life, e.kind, e.id, at, w.next-1)
		return
	}
	w.between(at)
	w.next, w.strict, w.known, w.owed = at+1, true, true, 0
}

// between looks at what lies between the last event and the one at a place.
func (w *walk) between(at int) {
	missing, first := uint64(0), seen{}
	for i := w.next; i < min(at, w.order.covered); i++ {
		if w.trail.types.Has(w.order.events[i].kind) {
			if missing++; missing == 1 {
				first = w.order.events[i]
			}
		}
	}
	passed := uint64(at - w.next)
	switch everything := w.trail.types.Len() == allTypes.Len(); {
	case w.record.lapped && (missing > 0 || w.owed > 0):
		w.unproved++
	case w.owed > 0 && !w.known, w.owed > 0 && at >= w.order.covered:
		w.gaps++
	case w.owed > 0 && (everything && w.owed != passed || w.owed > passed || w.owed < missing):
		w.blame(w.trail, "life %d: was told of %d missing events before %s; %d events, %d of them selected, were missing", w.record.life, w.owed, w.order.events[at].id, passed, missing)
	case w.owed > 0:
		w.exact++
	case w.strict && missing > 0:
		w.blame(w.trail, "life %d: %d events are missing before %s without a notice, the first is %s %s", w.record.life, missing, w.order.events[at].id, first.kind, first.id)
	}
}

var allTypes, _ = domain.ParseTypes("types", []string{"job", "note", "queue"})
