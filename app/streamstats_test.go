package app

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLatencyCounts(t *testing.T) {
	var c, more LatencyCounts
	c.Observe(-time.Second, 1) // clocks that differ
	c.Observe(LatencyBounds[0], 2)
	c.Observe(LatencyBounds[0]+1, 1)
	more.Observe(time.Hour, 3)
	c.Add(more)
	want := LatencyCounts{Sum: 3*LatencyBounds[0] + 1 + 3*time.Hour}
	want.Buckets[0], want.Buckets[1], want.Buckets[len(LatencyBounds)] = 3, 1, 3
	if d := cmp.Diff(want, c); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if n := testing.AllocsPerRun(100, func() { c.Observe(time.Millisecond, 1) }); n != 0 {
		t.Errorf("Observe allocates %v times", n)
	}
}

func TestStreamStatsAdd(t *testing.T) {
	loop := TransportStats{Accepted: 1, Rejected: 2, Writes: 3, Bytes: 4, Events: 5, Lapped: 6, Missed: 7, Replays: [ReplayResults]uint64{8, 9, 10}}
	loop.ReplaySize.Observe(0)
	loop.ReplaySize.Observe(11)
	loop.ReplaySize.Observe(1 << 40)
	var sum StreamStats
	for range 2 {
		sum.Add(StreamStats{WebSocket: loop, SSE: TransportStats{Events: 1}, Poll: TransportStats{Writes: 1}})
	}
	want := TransportStats{Accepted: 2, Rejected: 4, Writes: 6, Bytes: 8, Events: 10, Lapped: 12, Missed: 14, Replays: [ReplayResults]uint64{16, 18, 20}}
	want.ReplaySize = SizeCounts{Buckets: [len(SizeBounds) + 1]uint64{2, 0, 0, 2, 0, 0, 0, 2}, Sum: 22 + 1<<41}
	if d := cmp.Diff(StreamStats{WebSocket: want, SSE: TransportStats{Events: 2}, Poll: TransportStats{Writes: 2}}, sum); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// An event may claim to have occurred ages ago.
func TestLatencyOfOldEvents(t *testing.T) {
	var c LatencyCounts
	for range 2 {
		c.Observe(math.MaxInt64, 1)
	}
	if c.Sum <= 0 || c.Buckets[len(LatencyBounds)] != 2 {
		t.Errorf("sum %s, buckets %v", c.Sum, c.Buckets)
	}
}
