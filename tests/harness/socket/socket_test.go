package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// serve answers one handshake, sends the frames in the same breath, and then hands over what else the client sends.
func serve(t *testing.T, frames ...ws.Frame) (url string, rest <-chan []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got := make(chan []byte, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		var answer bytes.Buffer
		_, _ = ws.Upgrader{Protocol: func([]byte) bool { return true }}.Upgrade(struct {
			io.Reader
			io.Writer
		}{nc, &answer})
		for _, f := range frames {
			_ = ws.WriteFrame(&answer, f)
		}
		_, _ = answer.WriteTo(nc)
		all, _ := io.ReadAll(nc)
		got <- all
	}()
	return "ws://" + l.Addr().String() + "/", got
}

func dial(t *testing.T, url string, o *Options) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c
}

func TestConn(t *testing.T) {
	url, rest := serve(t, ws.NewTextFrame([]byte("early")), ws.NewPingFrame([]byte("p")), ws.NewTextFrame([]byte("später")),
		ws.NewCloseFrame(ws.NewCloseFrameBody(4008, "lagged")))
	c := dial(t, url, &Options{Protocols: []string{"x"}})
	for _, want := range []string{"early", "später"} {
		if got, err := c.Next(t.Context()); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	_, err := c.Next(t.Context())
	if e, ok := errors.AsType[*CloseError](err); !ok || e.Code != 4008 || e.Reason != "lagged" || c.Pings() != 1 || c.Protocol != "x" {
		t.Errorf("%v, %d pings, protocol %q", err, c.Pings(), c.Protocol)
	}
	in := bytes.NewReader(<-rest)
	for _, want := range []ws.OpCode{ws.OpPong, ws.OpClose} {
		h, err := ws.ReadHeader(in)
		if err != nil || h.OpCode != want || !h.Masked {
			t.Errorf("the client answered %+v, %v; want opcode %x", h, err, want)
		}
		_, _ = in.Seek(h.Length, io.SeekCurrent)
	}
}

func TestWhatAServerMayNotSend(t *testing.T) {
	fragment := ws.NewFrame(ws.OpText, false, []byte("a"))
	reserved := ws.NewTextFrame([]byte("a"))
	reserved.Header.Rsv = ws.Rsv(true, false, false)
	for what, f := range map[string]ws.Frame{
		"masked": ws.MaskFrame(ws.NewTextFrame([]byte("a"))), "a fragment": fragment, "reserved": reserved,
		"opcode 0x2": ws.NewBinaryFrame([]byte("a")), "opcode 0x3": ws.NewFrame(3, true, nil), "opcode 0xb": ws.NewFrame(0xb, true, nil),
		"not UTF-8": ws.NewTextFrame([]byte("\xff")), "126 bytes": ws.NewFrame(ws.OpPing, true, make([]byte, 126)), "close frame with": ws.NewCloseFrame([]byte{3}),
	} {
		url, _ := serve(t, f)
		if got, err := dial(t, url, nil).Next(t.Context()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	url, _ := serve(t)
	c := dial(t, url, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v; want the context's error", err)
	}
}

func TestRefusal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if nc, err := l.Accept(); err == nil {
			_, _ = nc.Read(make([]byte, 4096))
			_, _ = io.WriteString(nc, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
			_ = nc.Close()
		}
	}()
	_, err = Dial(t.Context(), "ws://"+l.Addr().String(), nil)
	if status, ok := errors.AsType[ws.StatusError](err); !ok || status != 503 {
		t.Errorf("%v; want 503", err)
	}
}
