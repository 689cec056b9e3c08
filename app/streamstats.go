package app

import "time"

// StreamStats is what the stream engine has done since it started, for operators. It is a value: whoever counts keeps the
// counts as suits him (one set for each writer loop, say) and adds them up with Add when asked.
type StreamStats struct {
	WebSocket, SSE, Poll TransportStats
}

// TransportStats are the counts of one transport. All of them only ever rise.
type TransportStats struct {
	// Accepted handshakes: connections that got their 101 or 200. Rejected: requests for one that were answered with an
	// error of the request's own (a bad header or filter, a foreign origin, a wrong token). What a limit refused is
	// counted by the Registry.
	Accepted, Rejected uint64

	Writes uint64 // system calls that wrote something; of polls, answers
	Bytes  uint64 // that the kernel took, framing included; of polls, bytes of events
	Events uint64 // that were handed to the kernel, whole

	// Latency is from an event's occurred_at until a write that it was in returned. Of the events in one write the oldest
	// counts. Replays are not in it, nor are polls.
	Latency LatencyCounts

	Lapped uint64 // times that a client was overtaken by the log
	Missed uint64 // events that these clients had yet to get

	Replays    [ReplayResults]uint64 // requests to resume, by what came of them
	ReplaySize SizeCounts            // entries of the log between place and head, of those that were resumed
}

// ReplayResult is what came of a client's request to resume behind an event.
type ReplayResult uint8

// The results.
const (
	ReplayResumed ReplayResult = iota // the place was kept, if only just
	ReplayExpired                     // the place is known, and what follows it no longer kept
	ReplayUnknown                     // no such place

	ReplayResults
)

// String returns the name that metrics use.
func (r ReplayResult) String() string {
	return [ReplayResults]string{"resumed", "expired", "unknown"}[r]
}

// LatencyBounds are the upper bounds of the buckets of LatencyCounts, ascending; what is above the last is in a bucket of
// its own.
var LatencyBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 10 * time.Second,
}

// LatencyCounts is a histogram of durations. The zero value is empty.
type LatencyCounts struct {
	Buckets [len(LatencyBounds) + 1]uint64 // not cumulative
	Sum     time.Duration
}

// LatencyBucket returns the bucket that a duration belongs to, for those who count atomically.
func LatencyBucket(d time.Duration) int {
	for i, bound := range LatencyBounds {
		if d <= bound {
			return i
		}
	}
	return len(LatencyBounds)
}

// maxLatency is what counts in a sum for longer durations. An event may have been reported years after it occurred, or by
// somebody whose clock is wrong; a few of these would be all that a sum tells, and more would overflow it.
const maxLatency = time.Hour

// Observe counts a duration n times. It allocates nothing. A negative one, of clocks that differ, counts as zero.
func (c *LatencyCounts) Observe(d time.Duration, n uint64) {
	d = min(max(d, 0), maxLatency)
	c.Buckets[LatencyBucket(d)] += n
	c.Sum += d * time.Duration(n)
}

// Add adds another histogram's counts.
func (c *LatencyCounts) Add(o LatencyCounts) {
	for i := range c.Buckets {
		c.Buckets[i] += o.Buckets[i]
	}
	c.Sum += o.Sum
}

// SizeBounds are the upper bounds of the buckets of SizeCounts, ascending.
var SizeBounds = [...]uint64{0, 1, 10, 100, 1000, 10_000, 100_000}

// SizeCounts is a histogram of numbers of events. The zero value is empty.
type SizeCounts struct {
	Buckets [len(SizeBounds) + 1]uint64 // not cumulative
	Sum     uint64
}

// Observe counts a size.
func (c *SizeCounts) Observe(size uint64) {
	i := 0
	for i < len(SizeBounds) && size > SizeBounds[i] {
		i++
	}
	c.Buckets[i]++
	c.Sum += size
}

// Add adds another histogram's counts.
func (c *SizeCounts) Add(o SizeCounts) {
	for i := range c.Buckets {
		c.Buckets[i] += o.Buckets[i]
	}
	c.Sum += o.Sum
}

// Add adds another engine's, or another loop's, counts.
func (s *StreamStats) Add(o StreamStats) {
	s.WebSocket.Add(o.WebSocket)
	s.SSE.Add(o.SSE)
	s.Poll.Add(o.Poll)
}

// Add adds the counts of another loop.
func (s *TransportStats) Add(o TransportStats) {
	s.Accepted += o.Accepted
	s.Rejected += o.Rejected
	s.Writes += o.Writes
	s.Bytes += o.Bytes
	s.Events += o.Events
	s.Lapped += o.Lapped
	s.Missed += o.Missed
	s.Latency.Add(o.Latency)
	s.ReplaySize.Add(o.ReplaySize)
	for i := range s.Replays {
		s.Replays[i] += o.Replays[i]
	}
}
