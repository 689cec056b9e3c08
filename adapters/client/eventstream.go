package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"time"
)

// maxEvent bounds a line, and the data of an event. The hub takes bodies up to 1 MiB, and what it sends of one event is
// at most three times as long as what it took in.
const maxEvent = 4 << 20

var errTooLarge = errors.New("event larger than 4 MiB")

// streamEvent is one event as the stream frames it.
type streamEvent struct {
	name string // never empty: "message" when the stream named none
	id   string // the last event ID of the stream, also when this event did not set it
	data []byte // the reader's to keep
}

// eventStream parses text/event-stream as the HTML standard defines it, section 9.2.6 "Interpreting an event stream":
// lines end in CR, LF or CRLF, a byte order mark at the start is passed over, and an event that the stream's end cuts
// short is dropped. Bytes that are not UTF-8 are left as they are.
type eventStream struct {
	r       *bufio.Reader
	retry   time.Duration // what the last valid retry: said; zero before there was one
	lastID  string        // of the last event dispatched, or of an id: in a block without data
	line    []byte        // scratch
	started bool          // the first line has been read
	afterCR bool          // the last line ended in CR; a LF right behind it belongs to that ending

	name string // the event being assembled
	id   string
	data []byte
}

func newEventStream(r io.Reader) *eventStream { return &eventStream{r: bufio.NewReaderSize(r, 32<<10)} }

// next returns the next event that has data. Its error is io.EOF at the end of the stream, errTooLarge, or the reader's.
func (s *eventStream) next() (streamEvent, error) {
	for {
		line, err := s.readLine()
		if err != nil {
			return streamEvent{}, err
		}
		if len(line) > 0 {
			if err := s.field(line); err != nil {
				return streamEvent{}, err
			}
			continue
		}
		s.lastID = s.id
		name, data := s.name, s.data
		s.name, s.data = "", nil
		if len(data) == 0 {
			continue
		}
		if name == "" {
			name = "message"
		}
		return streamEvent{name: name, id: s.lastID, data: bytes.TrimSuffix(data, []byte("\n"))}, nil
	}
}

// field takes in one line that is not empty.
func (s *eventStream) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":")) // without a colon the whole line is the name
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		s.name = string(value)
	case "data":
		if len(s.data)+len(value) > maxEvent {
			return errTooLarge
		}
		s.data = append(append(s.data, value...), '\n')
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			s.id = string(value)
		}
	case "retry":
		if d, ok := parseRetry(value); ok {
			s.retry = d
		}
	}
	return nil // an unknown field, or a comment, whose name is empty
}

// parseRetry reads milliseconds, which must be ASCII digits and nothing else.
func parseRetry(value []byte) (time.Duration, bool) {
	if len(value) == 0 || bytes.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	ms, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || ms > math.MaxInt64/int64(time.Millisecond) {
		return maxPause, true
	}
	return min(time.Duration(ms)*time.Millisecond, maxPause), true
}

var byteOrderMark = []byte("\uFEFF")

// readLine returns the next line without its ending, valid until the next call. It returns as soon as the ending's first
// byte is there: whether LF follows CR is looked at later, because that byte may be long in coming.
func (s *eventStream) readLine() ([]byte, error) {
	s.line = s.line[:0]
	for {
		if _, err := s.r.Peek(1); err != nil {
			return nil, err
		}
		chunk, _ := s.r.Peek(s.r.Buffered()) // what is buffered can always be had
		if s.afterCR {
			s.afterCR = false
			if chunk[0] == '\n' {
				_, _ = s.r.Discard(1)
				continue
			}
		}
		end := bytes.IndexAny(chunk, "\r\n")
		text := chunk
		if end >= 0 {
			text = chunk[:end]
		}
		if len(s.line)+len(text) > maxEvent {
			return nil, errTooLarge
		}
		s.line = append(s.line, text...)
		if end < 0 {
			_, _ = s.r.Discard(len(chunk))
			continue
		}
		s.afterCR = chunk[end] == '\r'
		_, _ = s.r.Discard(end + 1)
		return s.firstWithoutMark(), nil
	}
}

func (s *eventStream) firstWithoutMark() []byte {
	if s.started {
		return s.line
	}
	s.started = true
	return bytes.TrimPrefix(s.line, byteOrderMark)
}
