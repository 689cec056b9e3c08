package stream

import (
	"encoding/json"
	"math/bits"
	"strconv"

	"github.com/gobwas/ws"

	"github.com/matric/matric-events/domain"
)

// format says how events stand on a connection.
type format uint8

const (
	websocket format = 1 << iota // a text frame each; otherwise event-stream fields
	dotted                       // event: job.completed
	chunked                      // in a chunk of HTTP/1.1's transfer coding
)

func (f format) transport() string {
	if f&websocket != 0 {
		return "websocket"
	}
	return "sse"
}

// size returns how many bytes appendEntry appends.
func (f format) size(e *domain.Entry) int {
	n := len(e.JSON)
	if f&websocket != 0 {
		return textHeaderSize(n) + n
	}
	n = f.fieldsSize(e)
	if f&chunked != 0 {
		n += chunkFraming(n)
	}
	return n
}

// appendEntry appends one event of the log. In chunked formats it is a chunk of its own, so that any run of events is a run
// of chunks.
func (f format) appendEntry(dst []byte, e *domain.Entry) []byte {
	switch {
	case f&websocket != 0:
		return append(appendTextHeader(dst, len(e.JSON)), e.JSON...)
	case f&chunked != 0:
		dst = appendChunkSize(dst, f.fieldsSize(e))
		return append(f.appendFields(dst, e), "\r\n"...)
	}
	return f.appendFields(dst, e)
}

// appendFields appends an event as event-stream fields (WHATWG HTML section 9.2.5).
func (f format) appendFields(dst []byte, e *domain.Entry) []byte {
	dst = f.appendName(dst, e.Type)
	dst = append(dst, "id: "...)
	dst, _ = e.ID.AppendText(dst) // never fails
	dst = append(dst, "\ndata: "...)
	dst = append(dst, e.JSON...)
	return append(dst, "\n\n"...)
}

func (f format) fieldsSize(e *domain.Entry) int {
	const idLen = 36
	return len("event: \nid: \ndata: \n\n") + len(f.name(e.Type)) + idLen + len(e.JSON)
}

// snapshot returns the bytes of an event that is not in the log and no place to resume from.
func (f format) snapshot(e domain.Event) []byte {
	if f&websocket != 0 {
		return textFrame(e.AppendJSON(nil))
	}
	dst := append(f.appendName(nil, e.Type()), "data: "...)
	return f.chunk(append(e.AppendJSON(dst), "\n\n"...))
}

func (f format) appendName(dst []byte, t domain.Type) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, f.name(t)...)
	return append(dst, '\n')
}

func (f format) name(t domain.Type) string {
	if f&dotted != 0 {
		return t.Dotted()
	}
	return t.String()
}

// notice returns the bytes of an object that is no event.
func (f format) notice(name string, object any) []byte {
	body := marshal(object)
	if f&websocket != 0 {
		return textFrame(body)
	}
	return f.chunk([]byte("event: " + name + "\ndata: " + string(body) + "\n\n"))
}

// chunk wraps event-stream text for the connection.
func (f format) chunk(text []byte) []byte {
	if f&chunked == 0 {
		return text
	}
	dst := appendChunkSize(make([]byte, 0, len(text)+chunkFraming(len(text))), len(text))
	return append(append(dst, text...), "\r\n"...)
}

// appendChunkSize appends the first line of a chunk (RFC 9112 section 7.1).
func appendChunkSize(dst []byte, size int) []byte {
	return append(strconv.AppendUint(dst, uint64(size), 16), "\r\n"...)
}

// chunkFraming returns how many bytes a chunk of the size takes beside its text.
func chunkFraming(size int) int { return (bits.Len(uint(size))+3)/4 + len("\r\n\r\n") }

func textFrame(payload []byte) []byte {
	return append(appendTextHeader(make([]byte, 0, len(payload)+ws.MaxHeaderSize), len(payload)), payload...)
}

// textHeaderSize returns how many bytes appendTextHeader appends.
func textHeaderSize(size int) int {
	switch {
	case size < 126:
		return 2
	case size <= 0xFFFF:
		return 4
	default:
		return 10
	}
}

// appendTextHeader appends the header of an unmasked, unfragmented text frame (RFC 6455 section 5.2).
func appendTextHeader(dst []byte, size int) []byte {
	const finText = 0x80 | byte(ws.OpText)
	switch {
	case size < 126:
		return append(dst, finText, byte(size))
	case size <= 0xFFFF:
		return append(dst, finText, 126, byte(size>>8), byte(size))
	default:
		return append(dst, finText, 127, 0, 0, 0, 0, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	}
}

func controlFrame(f ws.Frame) []byte {
	b, err := ws.CompileFrame(f)
	if err != nil {
		panic("stream: compile control frame: " + err.Error()) // its payload is bounded by the callers
	}
	return b
}

// maxCloseReason is what a close frame has room for beside the code (RFC 6455 section 5.5).
const maxCloseReason = 123

func closeFrame(code ws.StatusCode, reason string) []byte {
	if code == ws.StatusNoStatusRcvd {
		return controlFrame(ws.NewCloseFrame(nil))
	}
	return controlFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason[:min(len(reason), maxCloseReason)])))
}

func marshal(object any) []byte {
	b, err := json.Marshal(object)
	if err != nil {
		panic("stream: marshal: " + err.Error()) // only our own types
	}
	return b
}

// resyncRequired tells a client that events between its last one and now are missing.
type resyncRequired struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
	Last   string `json:"last_event_id"`
	Oldest string `json:"oldest_event_id,omitempty"`
}

// eventsLagged tells a client how many events of any type it was too slow for.
type eventsLagged struct {
	Type    string `json:"type"`
	Dropped uint64 `json:"dropped_count"`
}

// draining tells a client that the server is about to close the connection.
type draining struct {
	Type      string `json:"type"`
	Reconnect int64  `json:"reconnect_in_ms"`
}
