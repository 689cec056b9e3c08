package stream

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

const (
	key    = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 section 1.3, with the answer:
	accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// wsClient is the client's end of a WebSocket, on a bare socket.
type wsClient struct {
	t  testing.TB
	nc interface {
		Write(b []byte) (int, error)
		Close() error
	}
	r *bufio.Reader
}

// handshake is a request as a browser sends it, with more header lines.
func handshake(path string, lines ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: hub.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n" + strings.Join(append(lines, "\r\n"), "\r\n")
}

// open upgrades a connection; the first frame has not been read.
func (r *rig) open(path string, lines ...string) *wsClient {
	r.t.Helper()
	nc := r.dial()
	return r.upgrade(nc, handshake(path, lines...))
}

func (r *rig) upgrade(nc interface {
	Write(b []byte) (int, error)
	Read(b []byte) (int, error)
	Close() error
}, request string,
) *wsClient {
	r.t.Helper()
	c := &wsClient{t: r.t, nc: nc, r: bufio.NewReader(nc)}
	c.write([]byte(request))
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Accept") != accept {
		r.t.Fatalf("handshake: %s, %v", res.Status, res.Header)
	}
	return c
}

// join upgrades a connection and reads the QueueStatus that comes first.
func (r *rig) join(path string, lines ...string) *wsClient {
	r.t.Helper()
	c := r.open(path, lines...)
	if got := c.text(); !strings.HasPrefix(got, `{"type":"QueueStatus","occurred_at":`) {
		r.t.Fatalf("first frame: %s", got)
	}
	return c
}

// joinModern is join with the subprotocol.
func (r *rig) joinModern(path string) *wsClient {
	r.t.Helper()
	return r.join(path, "Sec-WebSocket-Protocol: "+subprotocol)
}

func (c *wsClient) write(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func clientFrame(op ws.OpCode, fin bool, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, fin, []byte(payload)), [4]byte{1, 2, 3, 4}))
}

func (c *wsClient) send(text string) { c.t.Helper(); c.write(clientFrame(ws.OpText, true, text)) }

func (c *wsClient) sendClose(code ws.StatusCode, reason string) {
	c.t.Helper()
	c.write(clientFrame(ws.OpClose, true, string(ws.NewCloseFrameBody(code, reason))))
}

func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// frame reads the next frame of any kind.
func (c *wsClient) frame() ws.Frame {
	c.t.Helper()
	f, err := readFrame(c.r)
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if f.Header.Masked || f.Header.Rsv != 0 || !f.Header.Fin {
		c.t.Fatalf("frame %+v", f.Header)
	}
	return f
}

// text reads the next frame, which must be text.
func (c *wsClient) text() string {
	c.t.Helper()
	f := c.frame()
	if f.Header.OpCode != ws.OpText {
		c.t.Fatalf("got opcode %x %q, want text", f.Header.OpCode, f.Payload)
	}
	return string(f.Payload)
}

// mustGet fails unless exactly these texts come next.
func (c *wsClient) mustGet(want ...string) {
	c.t.Helper()
	for _, w := range want {
		got := c.text()
		if got == w {
			continue
		}
		var gotValue, wantValue any
		if json.Unmarshal([]byte(got), &gotValue) != nil || json.Unmarshal([]byte(w), &wantValue) != nil || !reflect.DeepEqual(gotValue, wantValue) {
			c.t.Fatalf("text (-want +got):\n%s", cmp.Diff(w, got))
		}
	}
}

// mustGetEvents fails unless the bytes of exactly these events come next.
func (c *wsClient) mustGetEvents(events ...domain.Event) {
	c.t.Helper()
	for _, e := range events {
		if d := cmp.Diff(jsonOf(e), c.text()); d != "" {
			c.t.Fatalf("event (-want +got):\n%s", d)
		}
	}
}

// mustGetError fails unless an error reply comes next, and returns its message.
func (c *wsClient) mustGetError(code string, id any) string {
	c.t.Helper()
	var got struct {
		Type, Code, Message string
		ID                  any
	}
	text := c.text()
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Type != "error" || got.Code != code || got.ID != id || got.Message == "" {
		c.t.Fatalf("got %s, want an error %s for %v", text, code, id)
	}
	return got.Message
}

// mustGetClose fails unless a close frame comes next, and returns its reason.
func (c *wsClient) mustGetClose(code ws.StatusCode) string {
	c.t.Helper()
	f := c.frame()
	if f.Header.OpCode != ws.OpClose {
		c.t.Fatalf("got opcode %x %q, want a close frame", f.Header.OpCode, f.Payload)
	}
	got := ws.StatusNoStatusRcvd
	if len(f.Payload) >= 2 {
		got = ws.StatusCode(binary.BigEndian.Uint16(f.Payload))
	}
	if got != code {
		c.t.Fatalf("close code %d %q, want %d", got, f.Payload[min(2, len(f.Payload)):], code)
	}
	return string(f.Payload[min(2, len(f.Payload)):])
}

// mustEnd fails unless the server closes the connection without sending anything more.
func (c *wsClient) mustEnd() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err == nil {
		c.t.Fatalf("got %#x after the end", b)
	} else if isTimeout(err) {
		c.t.Fatal("the connection stays open")
	}
}
