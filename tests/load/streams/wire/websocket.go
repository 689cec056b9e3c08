// Package wire reads what servers of event streams send, and writes the little that a subscriber says: WebSocket frames
// (RFC 6455), the chunked transfer coding (RFC 9112, section 7.1), lines of an event stream, and the stamp that every
// measured event carries.
//
// Parsers take bytes as they come from a socket, cut anywhere, and never block or copy more than a cut makes necessary.
// They keep no buffer of the socket's bytes: what is incomplete they leave to the caller to bring again with more behind it.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind says what a Message is.
type Kind byte

// What Next returns. Fragment is a part of a message whose end is still to come: there is nothing to do for it. The others
// are numbered by their opcodes, RFC 6455, section 5.2.
const (
	Fragment Kind = 0
	Data     Kind = 1
	Close    Kind = 8
	Ping     Kind = 9
	Pong     Kind = 10
)

// Message is a whole message or control frame. Its payload is valid until the bytes that it came from are overwritten, or
// Next is called again.
type Message struct {
	Kind    Kind
	Payload []byte
}

// maxMessage bounds a message; a length beyond it can only be a fault of the server's, or of this parser's.
const maxMessage = 1 << 17

// Opcodes of data frames.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
)

// ErrFrame is wrapped by what Next returns for bytes that no server may send.
var ErrFrame = errors.New("bad WebSocket frame")

// WebSocket puts the messages of one connection together. Servers that gather several events in one message may split it at
// any byte into fragments, so the parts are kept until the last has come.
type WebSocket struct {
	partial    []byte
	fragmented bool
}

// Next takes the first frame of b and returns how many bytes it was; none if the frame is incomplete.
func (w *WebSocket) Next(b []byte) (m Message, size int, err error) {
	if len(b) < 2 {
		return m, 0, nil
	}
	fin, opcode := b[0]&0x80 != 0, b[0]&0x0f
	if b[0]&0x70 != 0 || b[1]&0x80 != 0 {
		return m, 0, fmt.Errorf("%w: reserved bits or a mask in % x", ErrFrame, b[:2])
	}
	head, length := 2, uint64(b[1])
	switch {
	case length == 126 && len(b) >= 4:
		head, length = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case length == 127 && len(b) >= 10:
		head, length = 10, binary.BigEndian.Uint64(b[2:])
	case length >= 126:
		return m, 0, nil
	}
	if length > maxMessage || len(w.partial)+int(length) > maxMessage {
		return m, 0, fmt.Errorf("%w: message of more than %d bytes", ErrFrame, maxMessage)
	}
	if size = head + int(length); len(b) < size {
		return m, 0, nil
	}
	m, err = w.take(fin, opcode, b[head:size])
	return m, size, err
}

func (w *WebSocket) take(fin bool, opcode byte, payload []byte) (Message, error) {
	switch opcode {
	case byte(Ping), byte(Pong), byte(Close):
		if !fin || len(payload) > 125 {
			return Message{}, fmt.Errorf("%w: control frame in fragments or of %d bytes", ErrFrame, len(payload))
		}
		return Message{Kind(opcode), payload}, nil
	case opText, opBinary, opContinuation:
		if (opcode == opContinuation) != w.fragmented {
			return Message{}, fmt.Errorf("%w: opcode %d out of turn", ErrFrame, opcode)
		}
	default:
		return Message{}, fmt.Errorf("%w: opcode %d", ErrFrame, opcode)
	}
	if fin && !w.fragmented {
		return Message{Data, payload}, nil
	}
	w.partial = append(w.partial, payload...)
	w.fragmented = !fin
	if !fin {
		return Message{}, nil
	}
	whole := w.partial
	w.partial = w.partial[:0]
	return Message{Data, whole}, nil
}

// CloseReason tells people what a Close frame says.
func CloseReason(payload []byte) string {
	if len(payload) < 2 {
		return "close without a code"
	}
	return fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(payload), payload[2:])
}

// AppendText appends a text frame of a client. The mask is zero, which is a mask like any other and leaves the payload as
// it is.
func AppendText(dst, payload []byte) []byte { return appendMasked(dst, opText, payload) }

// AppendPong appends the answer of a client to a Ping.
func AppendPong(dst, payload []byte) []byte { return appendMasked(dst, byte(Pong), payload) }

func appendMasked(dst []byte, opcode byte, payload []byte) []byte {
	dst = appendHead(dst, opcode, len(payload), 0x80)
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}

// AppendServerText appends a text frame of a server, which is never masked.
func AppendServerText(dst, payload []byte) []byte {
	return append(appendHead(dst, opText, len(payload), 0), payload...)
}

func appendHead(dst []byte, opcode byte, length int, mask byte) []byte {
	dst = append(dst, 0x80|opcode)
	switch {
	case length < 126:
		return append(dst, mask|byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, mask|126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, mask|127), uint64(length))
	}
}
