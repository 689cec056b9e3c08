package eventlog

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
)

// Options tune New. The zero value is what the server runs with by default.
type Options struct {
	Capacity int // entries kept; zero means 8192
	Bytes    int // JSON bytes kept; zero means 16 MiB
	Remember int // identifiers remembered, those of kept entries included; zero means 8 × Capacity, at least 65536
}

// Log is the broadcast log. Use New. Safe for concurrent use.
type Log struct {
	origin   domain.UUID
	maxBytes int

	// mu guards everything below, so that an entry, its identifier, its bytes and the gates that want it become visible
	// together.
	mu        sync.RWMutex
	ring      []domain.Entry // entry n stands at n mod len(ring)
	first     domain.Seq     // the oldest kept entry
	next      domain.Seq     // the number that the next entry gets
	bytes     int
	seen      recent
	gates     []*Gate
	bell      chan struct{} // closed by the next append; nil while nobody waits
	published [domain.TypeQueueStatus + 1]uint64
}

// New returns an empty log. origin is the identifier that stands for the place before its first event, unique to the
// process.
func New(origin domain.UUID, o Options) *Log {
	if o.Capacity <= 0 {
		o.Capacity = 8192
	}
	if o.Bytes <= 0 {
		o.Bytes = 16 << 20
	}
	if o.Remember <= 0 {
		o.Remember = max(8*o.Capacity, 1<<16)
	}
	return &Log{
		origin: origin, maxBytes: o.Bytes, ring: make([]domain.Entry, o.Capacity), first: 1, next: 1,
		seen: newRecent(max(o.Remember, o.Capacity)),
	}
}

// scratch holds buffers to encode into, so that an append allocates only the bytes that it keeps.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Append puts the event in the log and returns its sequence number; that of the earlier entry, and false, when its ID is
// known. It waits only while a gate has yet to store what the new entry would overwrite, and returns ctx's error if that
// takes too long; nothing was appended then. It does not wait for gates to store the event: see Stored.
func (l *Log) Append(ctx context.Context, e domain.Event) (seq domain.Seq, fresh bool, err error) {
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	*buf = e.AppendJSON((*buf)[:0])
	entry := domain.Entry{ID: e.ID, Type: e.Type(), OccurredAt: e.OccurredAt, JSON: slices.Clone(*buf), Trace: e.Trace}
	entry.Job, entry.Note = e.Payload.Subject()

	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if seq, ok := l.seen.find(e.ID); ok {
			return seq, false, nil
		}
		g := l.makeRoom(len(entry.JSON))
		if g == nil {
			return l.insert(entry), true, nil
		}
		bell := g.progress()
		l.mu.Unlock()
		select {
		case <-bell:
			l.mu.Lock()
		case <-ctx.Done():
			l.mu.Lock()
			return 0, false, fmt.Errorf("eventlog: append: the log is full of events that are not stored yet: %w", ctx.Err())
		}
	}
}

// makeRoom drops the oldest entries until one of the given size fits. It returns the gate that forbids that, if any.
func (l *Log) makeRoom(size int) *Gate {
	for l.first < l.next && (int(l.next-l.first) == len(l.ring) || l.bytes+size > l.maxBytes) {
		for _, g := range l.gates {
			if len(g.unstored) > 0 && g.unstored[0] <= l.first {
				return g
			}
		}
		e := l.at(l.first)
		l.bytes -= len(e.JSON)
		*e = domain.Entry{}
		l.first++
	}
	return nil
}

func (l *Log) insert(e domain.Entry) domain.Seq {
	e.Seq = l.next
	*l.at(e.Seq) = e
	l.next++
	l.bytes += len(e.JSON)
	l.seen.add(e.ID, e.Seq)
	l.published[e.Type]++
	for _, g := range l.gates {
		g.offer(&e)
	}
	if l.bell != nil {
		close(l.bell)
		l.bell = nil
	}
	return e.Seq
}

func (l *Log) at(s domain.Seq) *domain.Entry { return &l.ring[uint64(s)%uint64(len(l.ring))] }

// Stored returns nil once no gate has an unstored entry between from and through, both included.
func (l *Log) Stored(ctx context.Context, from, through domain.Seq) error {
	for {
		l.mu.Lock()
		var bell <-chan struct{}
		for _, g := range l.gates {
			if i, _ := slices.BinarySearch(g.unstored, from); i < len(g.unstored) && g.unstored[i] <= through {
				bell = g.progress()
				break
			}
		}
		l.mu.Unlock()
		if bell == nil {
			return nil
		}
		select {
		case <-bell:
		case <-ctx.Done():
			return fmt.Errorf("eventlog: waiting for an event to be stored: %w", ctx.Err())
		}
	}
}

// Publish appends the events in order and returns nil once every gate that wants them has stored them.
func (l *Log) Publish(ctx context.Context, events ...domain.Event) error {
	var from, through domain.Seq
	for i := range events {
		seq, _, err := l.Append(ctx, events[i])
		if err != nil {
			return err
		}
		if from == 0 || seq < from {
			from = seq
		}
		through = max(through, seq)
	}
	return l.Stored(ctx, from, through)
}

// Head returns the sequence number of the newest entry, zero before the first one.
func (l *Log) Head() domain.Seq {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.next - 1
}

// Read appends to dst the entries after the cursor that f selects, oldest first, until dst's capacity is used up or the
// head is reached. It returns dst, the cursor to read on from, and how many entries (of any kind) the reader has missed
// because they are no longer kept. It allocates nothing.
func (l *Log) Read(after domain.Seq, f *domain.Filter, dst []domain.Entry) (entries []domain.Entry, cursor domain.Seq, missed uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	cursor = min(after, l.next-1)
	if cursor+1 < l.first {
		missed = uint64(l.first - cursor - 1)
		cursor = l.first - 1
	}
	for cursor+1 < l.next && len(dst) < cap(dst) {
		cursor++
		if e := l.at(cursor); f.Match(e) {
			dst = append(dst, *e)
		}
	}
	return dst, cursor, missed
}

// Wait returns nil once there is an entry after the cursor, or ctx's error.
func (l *Log) Wait(ctx context.Context, after domain.Seq) error {
	if l.Head() > after {
		return nil
	}
	l.mu.Lock()
	if l.next-1 > after {
		l.mu.Unlock()
		return nil
	}
	if l.bell == nil {
		l.bell = make(chan struct{})
	}
	bell := l.bell
	l.mu.Unlock()
	select {
	case <-bell:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Locate says where a reader stands that saw the event with this ID last.
func (l *Log) Locate(id domain.UUID) domain.Place {
	l.mu.RLock()
	defer l.mu.RUnlock()
	p := domain.Place{Standing: domain.StandingUnknown}
	if seq, ok := l.seen.find(id); ok || id == l.origin {
		p = domain.Place{Seq: seq, Standing: domain.StandingKept}
		if seq+1 < l.first {
			p.Standing = domain.StandingExpired
		}
	}
	if l.first < l.next {
		p.Oldest = l.at(l.first).ID
	}
	return p
}

// CursorID returns the identifier to resume from for a reader at the cursor: that of the entry there, and otherwise the
// origin, which stands before the first entry, so that Locate reports a gap rather than hide one.
func (l *Log) CursorID(at domain.Seq) domain.UUID {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if at >= l.first && at < l.next {
		return l.at(at).ID
	}
	return l.origin
}

// Stats is what the log tells operators.
type Stats struct {
	Entries   int
	Bytes     int
	Oldest    time.Time // when the oldest kept event occurred; zero when none is kept
	Head      domain.Seq
	Published [domain.TypeQueueStatus + 1]uint64 // by type
	Unstored  int                                // entries that a gate has yet to store
}

// Stats returns a snapshot.
func (l *Log) Stats() Stats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := Stats{Entries: int(l.next - l.first), Bytes: l.bytes, Head: l.next - 1, Published: l.published}
	if s.Entries > 0 {
		s.Oldest = l.at(l.first).OccurredAt
	}
	for _, g := range l.gates {
		s.Unstored = max(s.Unstored, len(g.unstored))
	}
	return s
}
