// Package socket is a WebSocket client for tests of servers. It depends on nothing else of this module.
//
//	c, err := socket.Dial(ctx, "ws://127.0.0.1:8080/api/v1/ws", nil)
//	defer c.Close()
//	text, err := c.Next(ctx)
//	err = c.Send(`{"type":"ping","id":1}`)
//
// What it promises:
//
//   - It is stricter than browsers: a frame that is masked, has reserved bits set, is fragmented, is neither text nor control,
//     or holds bytes that are not UTF-8, is an error that names it (RFC 6455, sections 5.1, 5.2 and 5.5).
//   - It answers pings with the same payload, as section 5.5.3 wants it, and counts them; unless it was told to be Deaf.
//   - A frame that came right behind the answer to the handshake is not lost.
//   - Once the server has closed, Next returns a *CloseError with its code and reason, and the close frame has been answered.
//   - Close sends 1000 and waits for the server's answer, Abort sends a RST and nothing else.
//   - It starts no goroutine: what is not read stays in the kernel, so that a test can be a client that does not read.
package socket

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxFrame bounds what a broken server can make a test allocate.
const maxFrame = 16 << 20

// patience is how long a write or the end of a connection may take.
const patience = 10 * time.Second

// Options tune Dial. The zero value is a browser's plain new WebSocket(url).
type Options struct {
	// Protocols are the subprotocols to ask for.
	Protocols []string
	// Header is sent with the handshake, such as Authorization or Origin.
	Header http.Header
	// Deaf clients do not answer pings.
	Deaf bool
	// ReadBuffer is how many bytes the kernel takes in for a client that does not read. Zero means the system's default.
	ReadBuffer int
}

// CloseError says how the server closed a connection.
type CloseError struct {
	Code   int // 1005 when the frame had none (RFC 6455, section 7.1.5)
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("socket: closed with %d %q", e.Code, e.Reason)
}

// Conn is an open connection. Use Dial. Next may be called by one goroutine at a time; so may the other methods.
type Conn struct {
	// Protocol is the subprotocol that the server chose.
	Protocol string

	nc    net.Conn
	r     *bufio.Reader
	deaf  bool
	pings int
}

// Dial opens a connection to a ws or wss URL. A refusal is a ws.StatusError with the HTTP status.
func Dial(ctx context.Context, url string, o *Options) (*Conn, error) {
	if o == nil {
		o = &Options{}
	}
	d := ws.Dialer{Protocols: o.Protocols, Header: ws.HandshakeHeaderHTTP(o.Header), NetDial: (&net.Dialer{Control: o.control}).DialContext}
	nc, early, hs, err := d.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if early == nil {
		early = bufio.NewReader(nc)
	}
	return &Conn{Protocol: hs.Protocol, nc: nc, r: early, deaf: o.Deaf}, nil
}

// control sets the read buffer before the handshake of TCP: the peer is to know from the beginning how much fits.
func (o *Options) control(_, _ string, c syscall.RawConn) (err error) {
	if o.ReadBuffer == 0 {
		return nil
	}
	return errors.Join(c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, o.ReadBuffer)
	}), err)
}

// Next returns the next message. Pings and pongs are dealt with on the way.
func (c *Conn) Next(ctx context.Context) (string, error) {
	_ = c.nc.SetReadDeadline(time.Time{}) // the last call's context may have left one
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		h, payload, err := c.frame()
		switch {
		case ctx.Err() != nil:
			return "", fmt.Errorf("socket: %w", ctx.Err())
		case err != nil:
			return "", fmt.Errorf("socket: %w", err)
		}
		switch h.OpCode {
		case ws.OpText:
			return string(payload), nil
		case ws.OpPing:
			if c.pings++; !c.deaf {
				err = c.write(ws.NewPongFrame(payload))
			}
		case ws.OpPong:
		case ws.OpClose:
			return "", c.closed(payload)
		}
		if err != nil {
			return "", fmt.Errorf("socket: %w", err)
		}
	}
}

// frame reads one frame, which must be as a server's frames must be.
func (c *Conn) frame() (h ws.Header, payload []byte, err error) {
	if h, err = ws.ReadHeader(c.r); err != nil {
		return h, nil, err
	}
	switch {
	case h.Masked:
		err = errors.New("a server's frame is masked")
	case h.Rsv != 0:
		err = fmt.Errorf("reserved bits %03b", h.Rsv)
	case !h.Fin || h.OpCode == ws.OpContinuation:
		err = errors.New("a fragment")
	case h.OpCode != ws.OpText && !h.OpCode.IsControl() || h.OpCode > ws.OpPong:
		err = fmt.Errorf("opcode %#x", h.OpCode)
	case h.OpCode.IsControl() && h.Length > ws.MaxControlFramePayloadSize, h.Length > maxFrame:
		err = fmt.Errorf("opcode %#x with %d bytes", h.OpCode, h.Length)
	}
	if err != nil {
		return h, nil, err
	}
	payload = make([]byte, h.Length)
	if _, err = io.ReadFull(c.r, payload); err == nil && h.OpCode == ws.OpText && !utf8.Valid(payload) {
		err = errors.New("text that is not UTF-8")
	}
	return h, payload, err
}

// closed answers a close frame and returns what was in it.
func (c *Conn) closed(payload []byte) error {
	e := &CloseError{Code: int(ws.StatusNoStatusRcvd)}
	if len(payload) == 1 || len(payload) > 2 && !utf8.Valid(payload[2:]) {
		return fmt.Errorf("socket: close frame with %q", payload)
	}
	if len(payload) >= 2 {
		e.Code, e.Reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
	}
	_ = c.write(ws.NewCloseFrame(payload[:min(2, len(payload))])) // the server may not wait for it
	_ = c.nc.Close()
	return e
}

// Send sends a text message.
func (c *Conn) Send(text string) error { return c.write(ws.NewTextFrame([]byte(text))) }

// SendFrame sends a frame as it is, for tests of what a server does with it. It is masked unless it is already.
func (c *Conn) SendFrame(f ws.Frame) error { return c.write(f) }

func (c *Conn) write(f ws.Frame) error {
	if !f.Header.Masked {
		f = ws.MaskFrame(f)
	}
	b, err := ws.CompileFrame(f)
	if err != nil {
		return err
	}
	_ = c.nc.SetWriteDeadline(time.Now().Add(patience))
	_, err = c.nc.Write(b)
	return err
}

// Pings returns how many pings have come.
func (c *Conn) Pings() int { return c.pings }

// LocalAddr is where the connection comes from, by which the server lists it.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// Close closes with 1000, reads on until the server has answered, and returns the code of its answer as a *CloseError unless it
// was 1000 too.
func (c *Conn) Close() error {
	defer c.nc.Close()
	if err := c.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		_, err := c.Next(ctx)
		if e, ok := errors.AsType[*CloseError](err); ok && e.Code == int(ws.StatusNormalClosure) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Abort ends the connection with a RST, as a peer's crash may.
func (c *Conn) Abort() {
	if tcp, ok := c.nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.nc.Close()
}
