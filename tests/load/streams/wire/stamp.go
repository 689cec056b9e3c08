package wire

import (
	"bytes"
	"strconv"
)

// Stamp is what a measured event carries, in any text field of it: which publisher's, the how-manieth of that publisher,
// counted from 1, and when it was sent. It is written without a character that any server would escape.
type Stamp struct {
	Publisher int
	Seq       uint64
	Sent      int64 // nanoseconds of the tool's own clock
}

var (
	stampMark = []byte("stamp=")
	eventID   = []byte(`"event_id":"`)
)

// AppendStamp appends the stamp as text.
func AppendStamp(dst []byte, s Stamp) []byte {
	dst = append(dst, stampMark...)
	dst = append(strconv.AppendInt(dst, int64(s.Publisher), 10), '-')
	dst = append(strconv.AppendUint(dst, s.Seq, 10), '-')
	return append(strconv.AppendInt(dst, s.Sent, 10), ';')
}

// NextStamp finds the first whole stamp in text and returns what follows it. No JSON is parsed: a subscriber must cost much
// less than the server that it measures.
func NextStamp(text []byte) (s Stamp, rest []byte, ok bool) {
	for {
		i := bytes.Index(text, stampMark)
		if i < 0 {
			return Stamp{}, nil, false
		}
		text = text[i+len(stampMark):]
		publisher, rest, ok1 := number(text, '-')
		seq, rest, ok2 := number(rest, '-')
		sent, rest, ok3 := number(rest, ';')
		if ok1 && ok2 && ok3 {
			return Stamp{int(publisher), seq, int64(sent)}, rest, true
		}
	}
}

// number reads digits up to the byte that ends them.
func number(b []byte, end byte) (v uint64, rest []byte, ok bool) {
	for i, ch := range b {
		if ch == end {
			return v, b[i+1:], i > 0
		}
		if ch < '0' || ch > '9' || i == 19 {
			break
		}
		v = v*10 + uint64(ch-'0')
	}
	return 0, b, false
}

// LastEventID returns the event_id of the last event in text that has one, nil if there is none.
func LastEventID(text []byte) []byte {
	i := bytes.LastIndex(text, eventID)
	if i < 0 {
		return nil
	}
	id, _, ok := bytes.Cut(text[i+len(eventID):], []byte{'"'})
	if !ok {
		return nil
	}
	return id
}
