package stream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// echoServer answers every message with itself, on the engine's own frame core and nothing else of it: what tests of the
// protocol see here is the decoder's doing.
type echoServer struct {
	net.Listener
	piece int  // bytes to read at once
	hold  bool // have the decoder wait after each message
	rest  sync.WaitGroup
}

// newEchoServer returns a server that ends with the test.
func newEchoServer(t *testing.T, piece int, hold bool) *echoServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &echoServer{Listener: l, piece: piece, hold: hold}
	s.rest.Go(s.accept)
	t.Cleanup(func() {
		_ = l.Close()
		s.rest.Wait()
	})
	return s
}

func (s *echoServer) accept() {
	for {
		nc, err := s.Accept()
		if err != nil {
			return
		}
		s.rest.Go(func() {
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(patience))
			(&echoConn{server: s, nc: nc.(*net.TCPConn)}).run()
		})
	}
}

// echoConn is one connection.
type echoConn struct {
	server  *echoServer
	nc      *net.TCPConn
	decoder decoder
	out     []byte
	over    bool // a close frame has been sent; the peer's bytes are not looked at
}

func (e *echoConn) run() {
	in := make([]byte, e.server.piece)
	for {
		n, err := e.nc.Read(in)
		if err != nil {
			return
		}
		if e.over {
			continue // until the peer closes: closing now would reset the connection, and what is in it might get lost
		}
		e.take(in[:n])
		if _, err := e.nc.Write(e.out); err != nil {
			return
		}
		e.out = e.out[:0]
		if e.over {
			_ = e.nc.CloseWrite()
		}
	}
}

func (e *echoConn) take(p []byte) {
	err := e.decoder.push(p, e.handle)
	for errors.Is(err, errHold) {
		err = e.decoder.push(nil, e.handle)
	}
	if v, ok := errors.AsType[*protocolError](err); ok {
		e.out = append(e.out, closeFrame(v.code, v.reason)...)
	}
	e.over = err != nil
}

func (e *echoConn) handle(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpText:
		e.out = append(e.out, textFrame(payload)...)
		if e.server.hold {
			return errHold
		}
	case ws.OpPing:
		e.out = append(e.out, controlFrame(ws.NewPongFrame(payload))...)
	case ws.OpClose:
		code, err := peerClose(payload)
		if err != nil {
			return err
		}
		e.out = append(e.out, closeFrame(code, "")...)
		return errClosing
	}
	return nil
}

// converse sends bytes in pieces, and returns the frames that come until the server closes: "text …", "pong …", "close
// 1002", or "close" without a code. The client closes when it has got a close frame, or, if told to, when it has sent all.
func converse(t *testing.T, c *wsClient, send []byte, piece int, hangUp bool) (got []string) {
	t.Helper()
	nc := c.nc.(*net.TCPConn)
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		for len(send) > 0 {
			n, err := nc.Write(send[:min(piece, len(send))])
			if err != nil {
				return // the server has seen enough
			}
			send = send[n:]
		}
		if hangUp {
			_ = nc.CloseWrite()
		}
	})
	for {
		f, err := readFrame(c.r)
		switch {
		case isTimeout(err) || errors.Is(err, io.ErrUnexpectedEOF):
			t.Fatalf("%v after %.300q", err, got)
		case err != nil:
			return got
		case f.Header.Masked || f.Header.Rsv != 0 || !f.Header.Fin || f.Header.OpCode.IsControl() && f.Header.Length > ws.MaxControlFramePayloadSize:
			t.Fatalf("the server sent a frame %+v", f.Header)
		}
		switch f.Header.OpCode {
		case ws.OpText:
			got = append(got, "text "+string(f.Payload))
		case ws.OpPong:
			got = append(got, "pong "+string(f.Payload))
		case ws.OpClose:
			got = append(got, strings.TrimSpace("close "+closeCode(f.Payload)))
			_ = nc.CloseWrite()
		default:
			t.Fatalf("the server sent opcode %x %q", f.Header.OpCode, f.Payload)
		}
	}
}

func closeCode(payload []byte) string {
	if len(payload) == 0 {
		return ""
	}
	code, _ := ws.ParseCloseFrameData(payload)
	return fmt.Sprint(int(code))
}
