package stream

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

// memoryLink is a link to a client that takes as many bytes as it is told to: one of either kind, on a poller that never
// misses anything or with a goroutine that waits.
type memoryLink struct {
	polled bool
	conn   *conn // once attached

	mu     sync.Mutex
	change sync.Cond // room or closed
	room   int
	closed bool
	bytes  []byte
}

func newMemoryLink(room int, polled bool) *memoryLink {
	l := &memoryLink{room: room, polled: polled}
	l.change.L = &l.mu
	return l
}

// take is what the client's socket buffer takes at once. The caller holds l.mu.
func (l *memoryLink) take(b []byte) int {
	n := min(len(b), l.room)
	l.bytes = append(l.bytes, b[:n]...)
	l.room -= n
	return n
}

func (l *memoryLink) attach(c *conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = c
	return nil
}

func (l *memoryLink) tryWrite(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, net.ErrClosed
	}
	return l.take(b), nil
}

func (l *memoryLink) push(c *conn, rest []byte) bool {
	if !l.polled {
		c.shard.engine.crew.Go(func() { pushed(c, l.write(rest)) })
	}
	return !l.polled
}

func (l *memoryLink) write(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(b) > 0 {
		for l.room == 0 && !l.closed {
			l.change.Wait()
		}
		if l.closed {
			return net.ErrClosed
		}
		b = b[l.take(b):]
	}
	return nil
}

func (*memoryLink) queued() int  { return -1 }
func (*memoryLink) resume(*conn) {}

func (l *memoryLink) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.change.Broadcast()
}

func (l *memoryLink) limit(room int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.room = min(l.room, room)
}

func (l *memoryLink) admit(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.room += n
	l.change.Broadcast()
	if c := l.conn; l.polled && c != nil {
		c.shard.post(func() { c.shard.writable(c) })
	}
}

func (l *memoryLink) sent() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.bytes)
}

// parse returns the complete JSON texts at the start of what was sent, and how long that is.
func (p *peer) parse(t *rapid.T, sent []byte) (texts []string, used int) {
	if p.socket() {
		return parseFrames(t, sent)
	}
	var body []byte
	if p.conn.format&chunked != 0 {
		body, used = dechunk(sent)
	} else {
		used = bytes.LastIndex(sent, []byte("\n\n")) + 2
		if used == 1 {
			return nil, 0
		}
		body = sent[:used]
	}
	for message := range strings.SplitSeq(string(body), "\n\n") {
		if _, data, found := strings.Cut("\n"+message, "\ndata: "); found {
			texts = append(texts, data)
		}
	}
	return texts, used
}

func parseFrames(t *rapid.T, sent []byte) (texts []string, used int) {
	for r := bytes.NewReader(sent); ; used = len(sent) - r.Len() {
		f, err := readFrame(r)
		switch {
		case err != nil:
			return texts, used
		case f.Header.OpCode == ws.OpText:
			texts = append(texts, string(f.Payload))
		case f.Header.OpCode == ws.OpClose:
			code, last := ws.ParseCloseFrameData(f.Payload)
			if code != statusLagged {
				t.Fatalf("close code %d", code)
			}
			close := `{"type":"close"}`
			if last != "" {
				close = fmt.Sprintf(`{"type":"close","event_id":%q}`, last)
			}
			return append(texts, close), len(sent)
		}
	}
}

// dechunk returns the text of the complete chunks.
func dechunk(sent []byte) (body []byte, used int) {
	for {
		r := bufio.NewReader(bytes.NewReader(sent[used:]))
		var size int
		line, err := r.ReadString('\n')
		if _, scanErr := fmt.Sscanf(line, "%x\r\n", &size); err != nil || scanErr != nil || used+len(line)+size+2 > len(sent) {
			return body, used
		}
		used += len(line)
		body = append(body, sent[used:used+size]...)
		used += size + 2
	}
}
