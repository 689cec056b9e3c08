package stream

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
)

// Bounds of the bytes that are kept to share.
const (
	maxWindow   = 64 << 10  // of one write
	maxSegment  = 256 << 10 // the larger, the fewer writes are split where one ends
	minSegment  = 4 << 10
	trackBytes  = 1 << 20 // kept of one track, for those who are behind
	scarceBytes = 64 << 10
	manyTracks  = 16 // more than so many are kept to scarceBytes each
	trackRest   = time.Minute
	readEntries = 256 // entries read from the log at once
)

// mark says where an event ends in a run of bytes.
type mark struct {
	seq domain.Seq
	id  domain.UUID
	at  time.Time // when it occurred
	end int
}

// window is a contiguous run of events as bytes, for one write. Windows of a track are shared by all that stand at one
// place, across loops and for as long as anybody is writing them: nobody ever writes to their bytes.
type window struct {
	bytes   []byte
	marks   []mark     // of the events in bytes
	base    int        // what the marks' ends count from: bytes[0] is there
	cursor  domain.Seq // where a reader stands who has all of them
	missed  uint64     // entries behind the reader that the log no longer keeps; bytes begin after them
	scratch bool       // bytes are only good until the next window is made
}

// through returns the window's last event.
func (w *window) through() *mark { return &w.marks[len(w.marks)-1] }

// cut returns how many events are at least begun by the first n bytes, and where the last one of them ends.
func (w *window) cut(n int) (events, end int) {
	i, _ := slices.BinarySearchFunc(w.marks, w.base+n, func(m mark, at int) int { return cmp.Compare(m.end, at) })
	return i + 1, w.marks[i].end - w.base
}

// run is a run of events being made.
type run struct {
	bytes []byte
	marks []mark
}

func (r *run) add(f format, e *domain.Entry) {
	r.bytes = f.appendEntry(r.bytes, e)
	r.marks = append(r.marks, mark{e.Seq, e.ID, e.OccurredAt, len(r.bytes)})
}

// render reads the events after a cursor that a filter selects, for one write.
func render(feed Log, f format, after domain.Seq, filter *domain.Filter, entries []domain.Entry, r run) (w window, grown run) {
	entries, w.cursor, w.missed = feed.Read(after, filter, entries[:0])
	defer clear(entries) // or they would outlive their place in the log
	for i := range entries {
		if i > 0 && len(r.bytes)+f.size(&entries[i]) > maxWindow {
			w.cursor = entries[i-1].Seq
			break
		}
		r.add(f, &entries[i])
	}
	w.bytes, w.marks = r.bytes, r.marks
	return w, r
}

// trackKey says which connections see the same bytes.
type trackKey struct {
	format format
	types  domain.TypeSet
}

// track is the newest part of the log as bytes, for one format and one set of types: each event is framed once for all
// connections that see it so. It follows the log when somebody reads from it.
type track struct {
	key    trackKey
	filter domain.Filter
	users  int           // guarded by the library's mutex, like idle
	idle   time.Duration // since when there are none

	mu       sync.Mutex // guards all below: whichever loop comes first frames what is new
	limit    int        // bytes to keep
	kept     int
	segments []*segment // the oldest first; never empty
	entries  []domain.Entry
}

// segment is a contiguous part of a track, its bytes only ever appended to and never moved.
type segment struct {
	after, through domain.Seq // which entries of the log it spans
	run
}

func newTrack(key trackKey, head domain.Seq, limit int) *track {
	t := &track{key: key, filter: domain.Filter{Types: key.types}, limit: limit, entries: make([]domain.Entry, 0, readEntries)}
	t.begin(head)
	return t
}

// begin lets the track begin after a place in the log, with nothing.
func (t *track) begin(after domain.Seq) {
	t.segments = []*segment{newSegment(after, minSegment)}
	t.kept = minSegment
}

func newSegment(after domain.Seq, size int) *segment {
	return &segment{after: after, through: after, run: run{bytes: make([]byte, 0, size)}}
}

func (t *track) last() *segment { return t.segments[len(t.segments)-1] }

// window returns what stands after a cursor.
func (t *track) window(feed Log, after domain.Seq) (w window) {
	// What the log has dropped is gone for everybody, even where a track still has it: its bounds are the user's.
	if _, _, w.missed = feed.Read(after, &t.filter, nil); w.missed > 0 {
		after += domain.Seq(w.missed)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.follow(feed)
	if after < t.segments[0].after { // from before the track's time
		missed := w.missed
		w, _ = render(feed, t.key.format, after, &t.filter, t.entries, run{})
		w.missed += missed
		return w
	}
	t.fill(&w, after)
	return w
}

// fill looks up what stands after a cursor that the track spans.
func (t *track) fill(w *window, after domain.Seq) {
	at, _ := slices.BinarySearchFunc(t.segments, after, func(s *segment, seq domain.Seq) int { return cmp.Compare(s.through, seq+1) })
	if at == len(t.segments) {
		w.cursor = max(after, t.last().through)
		return
	}
	s := t.segments[at]
	w.cursor = s.through
	first, _ := slices.BinarySearchFunc(s.marks, after+1, func(m mark, seq domain.Seq) int { return cmp.Compare(m.seq, seq) })
	if first == len(s.marks) {
		return
	}
	if first > 0 {
		w.base = s.marks[first-1].end
	}
	end, _ := slices.BinarySearchFunc(s.marks, w.base+maxWindow+1, func(m mark, end int) int { return cmp.Compare(m.end, end) })
	w.marks = s.marks[first:max(end, first+1)]
	w.bytes = s.bytes[w.base:w.through().end]
	if end < len(s.marks) {
		w.cursor = w.through().seq
	}
}

// follow frames what the log has got since the last time.
func (t *track) follow(feed Log) {
	for {
		head := t.last().through
		entries, cursor, missed := feed.Read(head, &t.filter, t.entries)
		if missed > 0 { // nobody has read from it for long
			t.begin(head + domain.Seq(missed))
		}
		t.append(entries)
		t.last().through = cursor
		clear(entries) // or they would outlive their place in the log
		if len(entries) < cap(t.entries) {
			return
		}
	}
}

// append frames entries. They begin a new segment rather than be divided, so that who has read all before gets them in
// one write.
func (t *track) append(entries []domain.Entry) {
	total := 0
	for i := range entries {
		total += t.key.format.size(&entries[i])
	}
	room := min(total, maxWindow)
	for i := range entries {
		e := &entries[i]
		if s := t.last(); cap(s.bytes)-len(s.bytes) < max(room, t.key.format.size(e)) {
			size := max(room, t.key.format.size(e), min(2*cap(s.bytes), maxSegment, t.limit))
			s.through = e.Seq - 1
			t.segments = append(t.segments, newSegment(s.through, size))
			t.kept += size
		}
		t.last().add(t.key.format, e)
		room = 0
	}
	for len(t.segments) > 1 && t.kept > t.limit {
		t.kept -= cap(t.segments[0].bytes)
		t.segments = slices.Delete(t.segments, 0, 1)
	}
}

// library holds the tracks in use, and for a while those that are not: clients come back.
type library struct {
	mu     sync.Mutex // guards tracks, and users and idle of each
	tracks map[trackKey]*track
}

// borrow returns the track of a key. It begins at the head of the log if it is new.
func (l *library) borrow(key trackKey, feed Log, now time.Duration) *track {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, ok := l.tracks[key]
	if !ok {
		maps.DeleteFunc(l.tracks, func(_ trackKey, t *track) bool { return t.users == 0 && now-t.idle > trackRest })
		limit := trackBytes
		if len(l.tracks) >= manyTracks {
			limit = scarceBytes
		}
		t = newTrack(key, feed.Head(), limit)
		l.tracks[key] = t
	}
	t.users++
	return t
}

func (l *library) giveBack(t *track, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.users--
	t.idle = now
}
