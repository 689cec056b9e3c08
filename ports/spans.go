package ports

import (
	"time"

	"github.com/matric/matric-events/domain"
)

// Span is a piece of the hub's work in somebody's trace.
type Span struct {
	Trace      domain.Trace // where it is: the span's own place, and its parent
	Name       string       // of a closed set
	Client     bool         // asks another party, rather than being asked
	Start, End time.Time
	Failed     string            // what went wrong, in a word; empty when nothing did
	Attributes map[string]string // never a secret
}

// A SpanSink takes spans to where traces are looked at. It returns at once, and drops what it cannot take.
type SpanSink interface {
	Span(s Span)
}
