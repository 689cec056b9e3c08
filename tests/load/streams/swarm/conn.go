//go:build linux

package swarm

import (
	"bytes"
	"syscall"

	"github.com/matric/matric-events/tests/load/streams/tally"
	"github.com/matric/matric-events/tests/load/streams/wire"
)

// state is how far a connection has come.
type state byte

const (
	closed state = iota
	connecting
	awaitingHead
	awaitingReady
	live
)

// conn is one client. Its zero value but for number, timed and fd is a client that is not connected.
type conn struct {
	number    int // among all of the swarm
	fd        int
	state     state
	timed     bool
	isChunked bool
	begin     int64  // of the handshake
	lastID    string // event_id of the last event seen, if that is to be remembered
	ws        wire.WebSocket
	chunks    wire.Chunked
	carry     []byte // the start of something that is not complete
}

// drain reads what has come on a connection. Edge-triggered epoll reports later bytes anew, so a read that leaves room in
// the buffer is the last one, unless the peer has hung up: that is reported only once.
func (l *loop) drain(c *conn, hangup bool) {
	for c.state > connecting {
		held := copy(l.buf, c.carry)
		n, errno := read(c.fd, l.buf[held:])
		switch {
		case errno == syscall.EAGAIN:
			return
		case errno == syscall.EINTR:
			continue
		case errno != 0:
			l.lose(c, "read: "+errno.Error())
			return
		case n == 0:
			l.lose(c, "closed without a word")
			return
		}
		rest, fault := l.take(c, l.buf[:held+n], held)
		if fault == "" && len(rest) == len(l.buf) {
			fault = "message larger than the buffer"
		}
		if fault != "" {
			l.lose(c, fault)
		}
		if c.state == closed { // which a failed answer does, too
			return
		}
		c.carry = append(c.carry[:0], rest...)
		if held+n < len(l.buf) && !hangup {
			return
		}
	}
}

// take handles bytes of which the first held were brought again, and returns those that are to be brought once more.
func (l *loop) take(c *conn, b []byte, held int) (rest []byte, fault string) {
	if c.state == awaitingHead {
		if b, fault = l.head(c, b); c.state == awaitingHead || fault != "" {
			return b, fault
		}
		held = 0
	}
	if !l.o.Target.SSE {
		return l.frames(c, b)
	}
	if c.isChunked {
		content, err := c.chunks.Decode(b[held:])
		if err != nil {
			return nil, err.Error()
		}
		b = b[:held+len(content)]
	}
	end := bytes.LastIndexByte(b, '\n') + 1
	l.text(c, b[:end])
	return b[end:], ""
}

func (l *loop) frames(c *conn, b []byte) (rest []byte, fault string) {
	for c.state != closed {
		m, size, err := c.ws.Next(b)
		if err != nil {
			return nil, err.Error()
		}
		if size == 0 {
			return b, ""
		}
		b = b[size:]
		switch m.Kind {
		case wire.Data:
			l.text(c, m.Payload)
			if ping := l.o.Target.Ping; ping != "" && hasLine(m.Payload, ping) {
				l.send(c, wire.AppendText(nil, []byte(ping)))
			}
		case wire.Ping:
			l.send(c, wire.AppendPong(nil, m.Payload))
		case wire.Close:
			return nil, wire.CloseReason(m.Payload)
		case wire.Pong, wire.Fragment:
		}
	}
	return nil, ""
}

// hasLine reports whether a line of text is the one given; servers may gather several messages in one, a line each.
func hasLine(text []byte, line string) bool {
	if !bytes.Contains(text, []byte(line)) {
		return false
	}
	for l := range bytes.Lines(text) {
		if string(bytes.TrimSuffix(l, []byte{'\n'})) == line {
			return true
		}
	}
	return false
}

// text enters the events in a message or in some lines of a stream.
func (l *loop) text(c *conn, text []byte) {
	if c.state == awaitingReady && bytes.Contains(text, []byte(l.o.Target.Ready)) {
		l.subscribed(c)
	}
	if l.o.Remember {
		if id := wire.LastEventID(text); id != nil {
			c.lastID = string(id)
		}
	}
	s, rest, ok := wire.NextStamp(text)
	if !ok {
		return
	}
	now, tracks := tally.Now(), l.tracksOf(c)
	var events, advance int64
	for ; ok; s, rest, ok = wire.NextStamp(rest) {
		if s.Publisher >= len(tracks) {
			continue // of another measurement on the same server
		}
		advance += int64(l.counts.Note(&tracks[s.Publisher], s.Seq))
		events++
		if c.timed && l.timing {
			l.latency.Record(now - s.Sent)
		}
	}
	if c.timed {
		l.delivered.Add(events)
		if c.state == live {
			l.advanced.Add(advance)
		}
	}
}
