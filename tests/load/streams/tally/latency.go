package tally

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var start = time.Now()

// Now is the tool's clock: nanoseconds of monotonic time, the same for publishers and subscribers, which live in one process.
func Now() int64 { return int64(time.Since(start)) }

// slowest bounds what is told apart; whatever takes longer counts as this.
const slowest = 2 * time.Minute

// Latency is a distribution of times, in microseconds to three digits.
type Latency struct{ h *hdrhistogram.Histogram }

// NewLatency returns an empty distribution.
func NewLatency() Latency {
	return Latency{hdrhistogram.New(1, slowest.Microseconds(), 3)}
}

// Record enters a time in nanoseconds.
func (l Latency) Record(nanos int64) {
	_ = l.h.RecordValue(min(max(nanos/1000, 0), slowest.Microseconds())) // in range by the line itself
}

// Add adds the times of another distribution.
func (l Latency) Add(other Latency) { l.h.Merge(other.h) }

// Reset forgets all times.
func (l Latency) Reset() { l.h.Reset() }

// Count returns the number of times.
func (l Latency) Count() int64 { return l.h.TotalCount() }

// Millis returns a percentile in milliseconds; 100 is the maximum.
func (l Latency) Millis(percentile float64) float64 {
	return float64(l.h.ValueAtPercentile(percentile)) / 1000
}
