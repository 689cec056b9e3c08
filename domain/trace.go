package domain

import (
	"encoding/hex"
	"strings"
)

// Trace is the place in a distributed trace that something happened at, as W3C Trace Context knows it: what a
// traceparent header says. It travels beside an event, in memory, and is no part of its JSON.
type Trace struct {
	ID    [16]byte
	Span  [8]byte
	Flags byte
	// Parent is the span that this one is below, where both are known; it is in no traceparent.
	Parent [8]byte
}

// ParseTrace reads a traceparent (W3C Trace Context, section 3.2). Of a version that is not known yet, what version 00 has
// is read. What is not valid is no trace: whoever gets such a header goes on as if there was none.
func ParseTrace(traceparent string) (t Trace, ok bool) {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	s := strings.TrimSpace(traceparent)
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' || s[:2] == "ff" || strings.ToLower(s[:length]) != s[:length] {
		return Trace{}, false
	}
	var version, flags [1]byte
	for _, part := range []struct {
		into []byte
		text string
	}{{version[:], s[:2]}, {t.ID[:], s[3:35]}, {t.Span[:], s[36:52]}, {flags[:], s[53:55]}} {
		if _, err := hex.Decode(part.into, []byte(part.text)); err != nil {
			return Trace{}, false
		}
	}
	longer := len(s) > length && (version[0] == 0 || s[length] != '-')
	if longer || t.ID == [16]byte{} || t.Span == [8]byte{} {
		return Trace{}, false
	}
	t.Flags = flags[0]
	return t, true
}

// String returns the traceparent, in version 00.
func (t Trace) String() string {
	return "00-" + hex.EncodeToString(t.ID[:]) + "-" + hex.EncodeToString(t.Span[:]) + "-" + hex.EncodeToString([]byte{t.Flags})
}

// TraceID returns the trace's identifier, as logs show it.
func (t Trace) TraceID() string { return hex.EncodeToString(t.ID[:]) }

// Child returns the trace at a span below this one. Of the flags only those that version 00 knows go on: sampled.
func (t Trace) Child(span [8]byte) Trace {
	return Trace{ID: t.ID, Span: span, Flags: t.Flags & 1, Parent: t.Span}
}
