// Package eventstream reads server-sent events as the HTML standard says a browser does (section 9.2.6, "Interpreting an event
// stream"), for tests of servers. It depends on the standard library only, and on nothing else of this module.
//
//	r := eventstream.NewReader(resp.Body)
//	for {
//		e, err := r.Next()
//		…
//	}
//
// What it promises:
//
//   - Exactly the events that a browser would dispatch, with the name, the data and the last event ID that it would give to
//     them: lines end in CR, LF or CRLF; one byte order mark at the start is passed over; one space behind a colon belongs to
//     the colon; several data fields are lines of one text; an empty event field means "message"; an ID with a NUL is
//     ignored; a block without data dispatches nothing, but its ID counts; what the end cuts short is dropped; bytes that
//     are not UTF-8 become U+FFFD.
//   - An event is returned as soon as the byte that ends it is there. It never waits to see whether LF follows CR.
//   - Beside the events it keeps what a browser has for itself: the last event ID and the reconnection time.
//   - However the stream is cut into pieces on its way, the events are the same. The fuzz test holds it to a second reading of
//     the standard that sees the whole text at once.
//
// What it does not do: reconnect. A test that wants to see a resume opens the next stream itself, with LastEventID.
package eventstream

import (
	"bufio"
	"io"
	"strings"
	"time"
)

// Event is one event as it was dispatched.
type Event struct {
	Name string // "message" when the stream named none
	ID   string // the last event ID of the stream, whether this event or an earlier one set it
	Data string
}

// Reader reads events. Use NewReader. Not safe for concurrent use.
type Reader struct {
	in      *bufio.Reader
	started bool // the first line has been read
	afterCR bool // a LF that comes next belongs to the last line's end

	name, data, id string // the buffers of the standard
	hasData        bool

	lastID   string
	retry    time.Duration
	comments []string
}

// NewReader returns a reader of a stream.
func NewReader(in io.Reader) *Reader { return &Reader{in: bufio.NewReader(in)} }

// LastEventID is what a browser would send as Last-Event-ID if the stream ended now.
func (r *Reader) LastEventID() string { return r.lastID }

// Retry is the reconnection time that the stream has set, zero if it has not.
func (r *Reader) Retry() time.Duration { return r.retry }

// Comments returns the comments that have come since the last call, without their colons.
func (r *Reader) Comments() []string {
	c := r.comments
	r.comments = nil
	return c
}

// Next returns the next event. Its error is the stream's, io.EOF at its end.
func (r *Reader) Next() (Event, error) {
	for {
		line, err := r.line()
		if err != nil {
			return Event{}, err
		}
		if line != "" {
			r.field(line)
			continue
		}
		r.lastID = r.id
		e := Event{Name: r.name, ID: r.id, Data: r.data}
		dispatch := r.hasData
		r.name, r.data, r.hasData = "", "", false
		// The standard looks at whether the data buffer is empty; a data field, even an empty one, has put a LF into it.
		if dispatch {
			if e.Name == "" {
				e.Name = "message"
			}
			return e, nil
		}
	}
}

func (r *Reader) field(line string) {
	name, value, _ := strings.Cut(line, ":")
	if name == "" {
		r.comments = append(r.comments, value)
		return
	}
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		r.name = value
	case "data":
		if r.hasData {
			r.data += "\n"
		}
		r.data, r.hasData = r.data+value, true
	case "id":
		if !strings.ContainsRune(value, 0) {
			r.id = value
		}
	case "retry":
		if ms, ok := digits(value); ok {
			r.retry = ms
		}
	}
}

// digits reads milliseconds. More than a day is a day: no test waits longer, and no number overflows.
func digits(value string) (time.Duration, bool) {
	const most = 24 * time.Hour
	var d time.Duration
	for _, c := range []byte(value) {
		if c < '0' || c > '9' {
			return 0, false
		}
		d = min(10*d+time.Duration(c-'0')*time.Millisecond, most)
	}
	return d, value != ""
}

// line returns the next line without its end. A line that the stream's end cuts short is none.
func (r *Reader) line() (string, error) {
	var b []byte
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '\n' && r.afterCR {
			r.afterCR = false
			continue
		}
		r.afterCR = c == '\r'
		if c != '\n' && c != '\r' {
			b = append(b, c)
			continue
		}
		line := strings.ToValidUTF8(string(b), "\uFFFD")
		if !r.started {
			r.started = true
			line = strings.TrimPrefix(line, "\uFEFF")
		}
		return line, nil
	}
}
