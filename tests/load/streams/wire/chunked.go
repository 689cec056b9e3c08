package wire

import (
	"errors"
	"fmt"
)

// Errors that end a chunked response: a fault of the server's, and its regular end.
var (
	ErrChunk = errors.New("bad chunk")
	ErrEnd   = errors.New("end of the response")
)

// maxChunk bounds a chunk; no server of small events gathers as much in one.
const maxChunk = 1 << 24

// Chunked undoes the chunked transfer coding of one response. The zero value stands before the first chunk. What it
// remembers between two calls is where it stands, so a cut anywhere costs nothing.
type Chunked struct {
	state  chunkState
	left   int  // bytes of the chunk still to come; on the line before it, its size as far as read
	digits bool // that line has begun
}

type chunkState byte

const (
	onSize chunkState = iota
	onExtension
	inContent
	afterContent
)

// Decode takes coded bytes and returns the content in them, moved together at the start of b.
func (c *Chunked) Decode(b []byte) (content []byte, err error) {
	out := 0
	for in := 0; in < len(b); {
		if c.state != inContent {
			if err := c.between(b[in]); err != nil {
				return b[:out], err
			}
			in++
			continue
		}
		n := copy(b[out:], b[in:min(len(b), in+c.left)])
		in, out, c.left = in+n, out+n, c.left-n
		if c.left == 0 {
			c.state = afterContent
		}
	}
	return b[:out], nil
}

// between takes a byte that is not content: of the line with a chunk's size, or of the line end behind a chunk.
func (c *Chunked) between(ch byte) error {
	switch {
	case ch == '\r':
	case c.state == afterContent:
		if ch != '\n' {
			return fmt.Errorf("%w: %q behind the content", ErrChunk, ch)
		}
		*c = Chunked{}
	case ch == '\n':
		if !c.digits {
			return fmt.Errorf("%w: no size", ErrChunk)
		}
		if c.left == 0 {
			return ErrEnd
		}
		c.state = inContent
	case c.state == onExtension:
	case ch == ';':
		c.state = onExtension
	default:
		return c.digit(ch)
	}
	return nil
}

func (c *Chunked) digit(ch byte) error {
	var v byte
	switch {
	case ch >= '0' && ch <= '9':
		v = ch - '0'
	case ch|0x20 >= 'a' && ch|0x20 <= 'f':
		v = ch | 0x20 - 'a' + 10
	default:
		return fmt.Errorf("%w: size with %q", ErrChunk, ch)
	}
	if c.left, c.digits = c.left<<4|int(v), true; c.left > maxChunk {
		return fmt.Errorf("%w: more than %d bytes", ErrChunk, maxChunk)
	}
	return nil
}
