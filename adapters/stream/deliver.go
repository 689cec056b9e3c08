package stream

import (
	"bytes"
	"errors"

	"github.com/matric/matric-events/domain"
)

// serve writes what a connection is due: first what is addressed to it alone, then one run of events. A connection that is
// due more has its turn again after the others.
func (s *shard) serve(c *conn) {
	if c.parked || c.ended || !c.joined {
		return
	}
	if len(c.own) > 0 && !s.writeOwn(c) {
		return
	}
	if c.held && !c.choked() {
		c.held = false
		c.link.resume(c)
		if c.parked || c.ended { // with what the client had sent meanwhile
			return
		}
	}
	if c.closing {
		c.settle()
		return
	}
	if c.following.Load() && c.at() < s.head {
		s.writeEvents(c)
	}
}

// writeOwn reports whether all was written.
func (s *shard) writeOwn(c *conn) bool {
	own := c.own
	c.own = nil
	n, ok := s.write(c, own)
	if !ok || n == len(own) {
		return ok
	}
	if rest := own[n:]; !s.park(c, rest) {
		c.rest = rest
	}
	return false
}

func (s *shard) writeEvents(c *conn) {
	w := s.find(c)
	if w.missed > 0 {
		c.advance(c.at() + domain.Seq(w.missed))
		stats := c.format.of(&s.stats)
		stats.Lapped++
		stats.Missed += w.missed
		c.lapped(w.missed)
		s.serve(c) // what it is told comes before what follows
		return
	}
	if len(w.bytes) > 0 {
		n, ok := s.write(c, w.bytes)
		if !ok {
			return
		}
		if n < len(w.bytes) {
			s.parkWithin(c, w, n)
			return
		}
		s.counted(c, len(w.marks), &w.marks[0], w.through())
	}
	c.advance(w.cursor)
	if w.cursor < s.head && !c.waiting {
		c.waiting = true
		s.behind = append(s.behind, c)
		s.ring()
	}
}

// write writes what the socket takes at once. A connection whose socket fails has ended.
func (s *shard) write(c *conn, b []byte) (n int, ok bool) {
	n, err := c.link.tryWrite(b)
	if err != nil {
		c.end("write: " + err.Error())
		return 0, false
	}
	c.wrote = s.now
	if n > 0 {
		s.countWrite(c, n)
	}
	return n, true
}

// parkWithin parks a connection that has taken a part of a window.
func (s *shard) parkWithin(c *conn, w *window, n int) {
	rest := w.bytes[n:]
	if w.scratch {
		rest = bytes.Clone(rest)
	}
	if s.park(c, rest) {
		s.counted(c, len(w.marks), &w.marks[0], w.through())
		c.advance(w.cursor)
		return
	}
	if n == 0 {
		return
	}
	// Only the event that is cut in two is kept. The others stay where they are: nothing is held for a client that does
	// not read.
	events, end := w.cut(n)
	if rest := w.bytes[n:end]; len(rest) > 0 {
		c.rest = bytes.Clone(rest)
	}
	s.counted(c, events, &w.marks[0], &w.marks[events-1])
	c.advance(w.marks[events-1].seq)
}

// park leaves a connection alone until its socket takes more, and cuts it when that takes too long. It reports whether the
// link writes the rest meanwhile.
func (s *shard) park(c *conn, rest []byte) (pushed bool) {
	c.parked, c.stalled, c.queued = true, s.now, c.link.queued()
	s.wheel.set(c, c.due())
	if pushed = c.link.push(c, rest); pushed {
		s.countWrite(c, len(rest))
	}
	return pushed
}

// writable goes on with a connection whose socket takes more.
func (s *shard) writable(c *conn) {
	if !c.parked || c.ended {
		return
	}
	if len(c.rest) > 0 {
		n, ok := s.write(c, c.rest)
		if !ok {
			return
		}
		if c.rest = c.rest[n:]; n > 0 {
			c.stalled, c.queued = s.now, c.link.queued()
		}
		if len(c.rest) > 0 {
			return
		}
		c.rest = nil
	}
	c.parked = false
	s.wheel.set(c, c.due())
	s.serve(c)
}

// find returns the window after a connection's place: one that is shared, where that is possible.
func (s *shard) find(c *conn) *window {
	v, at := c.view, c.at()
	if v == nil {
		return s.renderFor(c, at)
	}
	if v.sweep != s.sweeps || v.after != at {
		v.sweep, v.after, v.found = s.sweeps, at, v.track.window(s.engine.feed, at)
	}
	return &v.found
}

// renderFor makes a window for one connection, in memory that the next one uses again.
func (s *shard) renderFor(c *conn, at domain.Seq) *window {
	filter := &c.filter.Load().Filter
	s.private, s.scratch = render(s.engine.feed, c.format, at, filter, s.entries, run{s.scratch.bytes[:0], s.scratch.marks[:0]})
	s.private.scratch = true
	return &s.private
}

// take takes in what a client has sent.
func (s *shard) take(c *conn, sent []byte) {
	if c.ended {
		return
	}
	c.heard = s.now
	if c.format&websocket != 0 && !c.deaf {
		err := c.decoder.push(sent, c.receive)
		if violation, ok := errors.AsType[*protocolError](err); ok {
			c.close(violation.code, violation.reason)
		}
		if err != nil && !errors.Is(err, errHold) {
			c.deaf, c.decoder = true, decoder{}
		}
	}
	s.serve(c)
	c.held = c.held || !c.ended && c.choked()
}

// cease notes that a client sends nothing more.
func (s *shard) cease(c *conn) {
	if !c.ended {
		c.lost()
		s.serve(c)
	}
}
