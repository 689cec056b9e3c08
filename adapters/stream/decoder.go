package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxMessage bounds a client's message, all its fragments together.
const maxMessage = 64 << 10

// A protocolError is a violation that ends the connection with the close code.
type protocolError struct {
	code   ws.StatusCode
	reason string
}

func (e *protocolError) Error() string { return e.reason }

func violation(code ws.StatusCode, reason string) error { return &protocolError{code, reason} }

// errHold is what a handler returns that has taken a message but cannot take more for now.
var errHold = errors.New("stream: the next message has to wait")

// decoder takes a client's bytes as they come and gives its messages and control frames as they are complete. It does no
// I/O and holds no memory between frames.
type decoder struct {
	pending  []byte // the start of a frame that is not complete yet, or what has to wait
	message  []byte // fragments so far
	valid    int    // how much of message is known to be UTF-8
	fragment bool   // within a fragmented message
}

// push calls handle for every frame or message that the bytes complete: OpText with a whole message, OpPing, OpPong and
// OpClose with their payload, which is only valid during the call. It writes to p. After errHold, push goes on where it
// stopped. Any other error is the last one, a *protocolError when the client is to blame, and the decoder must not be used
// again.
func (d *decoder) push(p []byte, handle func(op ws.OpCode, payload []byte) error) error {
	buffered := len(d.pending) > 0
	if buffered {
		d.pending = append(d.pending, p...)
		p = d.pending
	}
	var held error
	for rest := p; ; p = rest {
		h, size, err := parseHeader(rest)
		if err != nil {
			return err
		}
		if size == 0 || held != nil {
			break
		}
		if err := d.admit(h); err != nil {
			return err
		}
		end := size + int(h.Length)
		if len(rest) < end {
			break
		}
		payload := rest[size:end]
		ws.Cipher(payload, h.Mask, 0)
		if held = d.frame(h, payload, handle); held != nil && !errors.Is(held, errHold) {
			return held
		}
		rest = rest[end:]
	}
	switch {
	case len(p) == 0:
		d.pending = nil
	case !buffered:
		d.pending = bytes.Clone(p)
	case len(p) < len(d.pending): // else nothing was complete; moving it over itself for every piece would be quadratic
		d.pending = append(d.pending[:0], p...)
	}
	return held
}

// parseHeader reads a frame header (RFC 6455 section 5.2). size is 0 while it is incomplete.
func parseHeader(b []byte) (h ws.Header, size int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h = ws.Header{Fin: b[0]&0x80 != 0, Rsv: b[0] >> 4 & 7, OpCode: ws.OpCode(b[0] & 15), Masked: b[1]&0x80 != 0, Length: int64(b[1] & 127)}
	switch size = 2; h.Length {
	case 126:
		if len(b) < 4 {
			return h, 0, nil
		}
		if h.Length = int64(binary.BigEndian.Uint16(b[2:])); h.Length < 126 {
			return h, 0, violation(ws.StatusProtocolError, "length not in its shortest form")
		}
		size = 4
	case 127:
		if len(b) < 10 {
			return h, 0, nil
		}
		n := binary.BigEndian.Uint64(b[2:])
		if n>>63 != 0 || n < 1<<16 {
			return h, 0, violation(ws.StatusProtocolError, "length not in its shortest form")
		}
		h.Length, size = int64(n), 10
	}
	if !h.Masked {
		return h, 0, violation(ws.StatusProtocolError, "frame is not masked")
	}
	if len(b) < size+4 {
		return h, 0, nil
	}
	copy(h.Mask[:], b[size:])
	return h, size + 4, nil
}

// admit checks a header before its payload is waited for.
func (d *decoder) admit(h ws.Header) error {
	switch {
	case h.Rsv != 0:
		return violation(ws.StatusProtocolError, "reserved bits are set")
	case h.OpCode.IsReserved():
		return violation(ws.StatusProtocolError, "reserved opcode")
	case h.OpCode.IsControl() && !h.Fin:
		return violation(ws.StatusProtocolError, "fragmented control frame")
	case h.OpCode.IsControl() && h.Length > ws.MaxControlFramePayloadSize:
		return violation(ws.StatusProtocolError, "control frame longer than 125 bytes")
	case h.OpCode == ws.OpContinuation && !d.fragment:
		return violation(ws.StatusProtocolError, "continuation of nothing")
	case (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary) && d.fragment:
		return violation(ws.StatusProtocolError, "message within a fragmented message")
	case h.OpCode == ws.OpBinary:
		return violation(ws.StatusUnsupportedData, "binary messages are not supported")
	case !h.OpCode.IsControl() && h.Length > maxMessage-int64(len(d.message)):
		return violation(ws.StatusMessageTooBig, "message longer than 64 KiB")
	}
	return nil
}

func (d *decoder) frame(h ws.Header, payload []byte, handle func(ws.OpCode, []byte) error) error {
	if h.OpCode.IsControl() {
		return handle(h.OpCode, payload)
	}
	if h.Fin && !d.fragment { // nearly always
		if !utf8.Valid(payload) {
			return violation(ws.StatusInvalidFramePayloadData, "text is not UTF-8")
		}
		return handle(ws.OpText, payload)
	}
	d.message, d.fragment = append(d.message, payload...), !h.Fin
	if !d.validate() {
		return violation(ws.StatusInvalidFramePayloadData, "text is not UTF-8")
	}
	if d.fragment {
		return nil
	}
	message := d.message
	d.message, d.valid = nil, 0
	return handle(ws.OpText, message)
}

// validate reports whether the message is UTF-8 so far, apart from a last character that later fragments may complete.
// It looks at each byte about once, however small the fragments are.
func (d *decoder) validate() bool {
	text := d.message[d.valid:]
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			return d.fragment && !utf8.FullRune(text)
		}
		text, d.valid = text[n:], d.valid+n
	}
	return true
}

// peerClose checks the payload of a close frame and returns the code to answer with (RFC 6455 sections 5.5.1 and 7.4).
func peerClose(payload []byte) (ws.StatusCode, error) {
	switch {
	case len(payload) == 0:
		return ws.StatusNoStatusRcvd, nil
	case len(payload) == 1:
		return 0, violation(ws.StatusProtocolError, "close frame with half a code")
	case !utf8.Valid(payload[2:]):
		return 0, violation(ws.StatusInvalidFramePayloadData, "close reason is not UTF-8")
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(payload))
	// 1004 to 1006 and 1015 never stand on the wire; 1012 to 1014 are registered with IANA since.
	if valid := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999; !valid {
		return 0, violation(ws.StatusProtocolError, "invalid close code")
	}
	return code, nil
}
