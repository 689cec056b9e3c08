package stream

import (
	"context"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
)

// Bounds of one write.
const (
	maxBatchEntries = 256
	maxBatchBytes   = 64 << 10
	maxRounds       = 8       // writes for one connection before the others have their turn
	maxCached       = 4 << 20 // bytes that a sweep keeps to share, however many places its connections stand at
)

// shard is a writer loop and the connections that it writes for. Only the loop touches conns, batches and entries.
type shard struct {
	engine *Engine
	wake   chan struct{}

	mu      sync.Mutex // guards called, on the shard and on its connections, and stopped
	called  []*conn    // new connections, and those with something to send besides new events
	stopped bool       // nothing is written any more

	conns   []*conn
	head    domain.Seq // up to which the last sweep went
	batches map[batchKey]batch
	cached  int // bytes in batches
	entries [maxBatchEntries]domain.Entry
}

// batchKey says which connections can share bytes: those that stand at the same place, see the same types, in the same
// format.
type batchKey struct {
	format format
	types  domain.TypeSet
	after  domain.Seq
}

// batch is a run of events as bytes. It is never written to once it is made, for connections may still be sending it
// after the loop has gone on.
type batch struct {
	bytes  []byte
	cursor domain.Seq // to read on from
	events uint64
	last   domain.UUID // the last event; zero when there are none
	missed uint64
}

func (s *shard) ring() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// call makes the loop look at a connection soon; once the loop has stopped, the connection ends. The caller holds c.mu.
func (s *shard) call(c *conn) {
	s.mu.Lock()
	stopped := s.stopped
	if !stopped && !c.called {
		c.called = true
		s.called = append(s.called, c)
	}
	s.mu.Unlock()
	if stopped {
		c.end("server stopped")
		return
	}
	s.ring()
}

func (s *shard) run(ctx context.Context) {
	ticker := time.NewTicker(s.engine.opts.tick())
	defer ticker.Stop()
	for {
		select {
		case <-s.wake:
			s.sweep()
		case now := <-ticker.C:
			s.expire(now)
			s.sweep()
		case <-ctx.Done():
			s.cut()
			return
		}
	}
}

// sweep serves the connections that called, and all of them when the log has grown.
func (s *shard) sweep() {
	s.mu.Lock()
	called := s.called
	s.called = nil
	for _, c := range called {
		c.called = false
	}
	s.mu.Unlock()
	// The head is looked up before anything is read: a batch that is shared below reaches at least that far, and what
	// the log gets later rings again.
	head := s.engine.feed.Head()
	grown := head != s.head
	s.head = head
	for _, c := range called {
		if c.fresh {
			c.fresh = false
			s.conns = append(s.conns, c)
		}
		s.serve(c)
	}
	if grown {
		for _, c := range s.conns {
			s.serve(c)
		}
	}
	s.forget()
}

// forget lets go the shared batches: the log will have grown before they could be of use again.
func (s *shard) forget() {
	clear(s.batches)
	s.cached = 0
}

// serve writes what a connection is due, until there is nothing more or its socket is full.
func (s *shard) serve(c *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range maxRounds {
		if c.busy || c.ended {
			return
		}
		out := s.take(c)
		if len(out) == 0 {
			c.settle()
			return
		}
		n, err := c.link.tryWrite(out)
		if err != nil {
			c.end("write: " + err.Error())
			return
		}
		c.wrote = time.Now()
		if n < len(out) {
			c.busy = true
			s.engine.crew.Go(func() { c.push(out[n:]) })
			return
		}
	}
	s.call(c)
}

// take returns the next bytes for a connection and moves its cursor past them: first what is addressed to it alone, then
// events. The caller holds c.mu.
func (s *shard) take(c *conn) []byte {
	own := c.own
	c.own = nil
	c.flushed.Broadcast()
	if c.closing || !c.following || c.cursor >= s.head {
		return own
	}
	b := s.batch(c)
	if b.missed > 0 {
		c.lapped(b.missed)
		own, c.own = append(own, c.own...), nil
		if c.closing {
			return own
		}
	}
	c.cursor = b.cursor
	if b.events > 0 {
		c.delivered += b.events
		c.last = b.last
	}
	if len(own) == 0 {
		return b.bytes
	}
	return append(own, b.bytes...)
}

// batch returns the events after a connection's cursor, shared where that is possible.
func (s *shard) batch(c *conn) batch {
	if !c.filter.ByTypeOnly() {
		return s.render(c.format, c.cursor, &c.filter)
	}
	key := batchKey{c.format, c.filter.Types, c.cursor}
	b, ok := s.batches[key]
	if !ok {
		b = s.render(c.format, c.cursor, &c.filter)
		if s.cached += len(b.bytes); s.cached > maxCached {
			s.forget()
		}
		s.batches[key] = b
	}
	return b
}

// render frames the events after a cursor that a filter selects.
func (s *shard) render(f format, after domain.Seq, filter *domain.Filter) batch {
	entries, cursor, missed := s.engine.feed.Read(after, filter, s.entries[:0])
	defer clear(entries) // or they would outlive their place in the log
	b := batch{cursor: cursor, missed: missed}
	size := chunkHeadroom + 2
	for i := range entries {
		if size > chunkHeadroom+2 && size+len(entries[i].JSON) > maxBatchBytes {
			b.cursor = entries[i].Seq - 1
			entries = entries[:i]
			break
		}
		size += len(entries[i].JSON) + 96 // more than any framing takes
	}
	if len(entries) == 0 {
		return b
	}
	buf := make([]byte, chunkHeadroom, size)
	for i := range entries {
		buf = f.appendEntry(buf, &entries[i])
	}
	b.bytes = f.seal(buf)
	b.events, b.last = uint64(len(entries)), entries[len(entries)-1].ID
	return b
}

// expire looks at the deadlines of all connections and forgets those that have ended.
func (s *shard) expire(now time.Time) {
	kept := s.conns[:0]
	for _, c := range s.conns {
		if c.expire(now, &s.engine.opts) {
			kept = append(kept, c)
		}
	}
	clear(s.conns[len(kept):])
	s.conns = kept
}

// cut ends all connections at once.
func (s *shard) cut() {
	s.mu.Lock()
	s.stopped = true
	s.conns = append(s.conns, s.called...)
	s.mu.Unlock()
	for _, c := range s.conns {
		c.mu.Lock()
		c.end("server stopped")
		c.mu.Unlock()
	}
}
