package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// Every client is told when to come back, before it has to go, and hardly two at the same time.
func TestDrainTellsEachClientAnotherTime(t *testing.T) {
	const each = 30
	for shape, options := range shapes {
		t.Run(shape, func(t *testing.T) {
			r := newRig(t, setup{options: options})
			var sockets []*wsClient
			var streams []*sseClient
			for range each {
				sockets = append(sockets, r.joinModern("/ws"))
				streams = append(streams, r.events("/events"))
			}
			for range 2 * each {
				await(t, "connection", r.watcher.opened)
			}
			drained := make(chan error, 1)
			go func() { drained <- r.registry.Drain(context.Background()) }()
			hints := map[int64]bool{}
			for _, c := range sockets {
				var notice draining
				if text := c.text(); json.Unmarshal([]byte(text), &notice) != nil || notice.Type != "Draining" || notice.Reconnect < 500 {
					t.Errorf("got %s; want when to come back", text)
				}
				hints[notice.Reconnect] = true
				if code := c.closeAfterEvents(); code != "1012" {
					t.Errorf("close code %s", code)
				}
				// Between its close frame and its peer's, the server says nothing more, whatever happens.
				r.publish(progress(len(hints)))
				c.write(join(text(true, `{"type":"refresh"}`), clientFrame(ws.OpPing, true, "p"), closeWith(1012, "")))
				c.mustEnd()
			}
			for _, s := range streams {
				message := s.message()
				var ms int64
				if n, err := fmt.Sscanf(message, "retry: %d", &ms); n != 1 || err != nil || ms < 500 {
					t.Errorf("message %q, %v; want when to come back", message, err)
				}
				hints[ms] = true
				s.mustEndAfterEvents()
			}
			if len(hints) < each { // of 60 clients, over 2 s and more
				t.Errorf("%d different times for %d clients", len(hints), 2*each)
			}
			if err := await(t, "drain", drained); err != nil {
				t.Error(err)
			}
		})
	}
}

// progressLine reports whether a line may be one of a JobProgress.
func progressLine(line string) bool {
	return line == "\n" || strings.HasPrefix(line, "event: JobProgress") || strings.HasPrefix(line, "id: ") || strings.HasPrefix(line, `data: {"type":"JobProgress"`)
}

// mustEndAfterEvents fails unless the body ends in good order, with nothing but events in it.
func (c *sseClient) mustEndAfterEvents() {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err == io.EOF && line == "" { // a body that is cut ends otherwise
			return
		}
		if err != nil || !progressLine(line) {
			c.t.Fatalf("line %q, %v", line, err)
		}
	}
}

// closeAfterEvents returns the code of the close frame that comes, after nothing but events.
func (c *wsClient) closeAfterEvents() string {
	c.t.Helper()
	for {
		f := c.frame()
		if f.Header.OpCode == ws.OpClose {
			return closeCode(f.Payload)
		}
		if !bytes.HasPrefix(f.Payload, []byte(`{"type":"JobProgress"`)) {
			c.t.Fatalf("frame %x %q", f.Header.OpCode, f.Payload)
		}
	}
}
