package telemetry

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/matric/matric-events/app"
)

// Streams tells what the stream engine has done.
type Streams interface{ Stats() app.StreamStats }

var (
	handshakes = describeMetric("matric_stream_handshakes_total", "Requests to connect, by whether they were answered with a stream or an error of their own; those that a limit refused are counted apart.", "transport", "result")
	writes     = describeMetric("matric_stream_writes_total", "System calls that wrote to clients; of polls, answers.", "transport")
	sentBytes  = describeMetric("matric_stream_bytes_total", "Bytes that were written to clients.", "transport")
	sentEvents = describeMetric("matric_stream_events_total", "Events that were written to clients.", "transport")
	latency    = describeMetric("matric_stream_latency_seconds", "From when an event occurred until a write that it was in returned; of the events in one write the oldest counts.", "transport")
	lapped     = describeMetric("matric_stream_lapped_total", "Times that a client was overtaken by the log.", "transport")
	replays    = describeMetric("matric_stream_replays_total", "Requests to resume, by what came of them.", "transport", "result")
	replaySize = describeMetric("matric_stream_replay_events", "Events between the place of a client that resumed and the newest.", "transport")
)

// streamCounts are the last counts that were served.
type streamCounts struct {
	mu   sync.Mutex // guards last
	last app.StreamStats
}

// risen returns the counts, or the last ones if these are less, as they are while a loop is too busy to answer: a counter
// that falls looks like a new start, and would be taken for as many events again.
func (c *streamCounts) risen(s app.StreamStats) app.StreamStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fell(c.last.WebSocket, s.WebSocket) || fell(c.last.SSE, s.SSE) || fell(c.last.Poll, s.Poll) {
		return c.last
	}
	c.last = s
	return s
}

func fell(before, now app.TransportStats) bool {
	return now.Writes < before.Writes || now.Events < before.Events || now.Bytes < before.Bytes || now.Lapped < before.Lapped
}

func collectStreams(ch samples, s app.StreamStats) {
	for i, t := range []app.TransportStats{s.WebSocket, s.SSE, s.Poll} {
		transport := transports[i]
		ch.counter(handshakes, t.Accepted, transport, "accepted")
		ch.counter(handshakes, t.Rejected, transport, "rejected")
		ch.counter(writes, t.Writes, transport)
		ch.counter(sentBytes, t.Bytes, transport)
		ch.counter(sentEvents, t.Events, transport)
		ch.counter(lapped, t.Lapped, transport)
		ch.counter(readerMissed, t.Missed, transport)
		for r := range app.ReplayResults {
			ch.counter(replays, t.Replays[r], transport, r.String())
		}
		bounds := make([]float64, len(app.LatencyBounds))
		for i, b := range app.LatencyBounds {
			bounds[i] = b.Seconds()
		}
		ch.histogram(latency, bounds, t.Latency.Buckets[:], t.Latency.Sum.Seconds(), transport)
		sizes := make([]float64, len(app.SizeBounds))
		for i, b := range app.SizeBounds {
			sizes[i] = float64(b)
		}
		ch.histogram(replaySize, sizes, t.ReplaySize.Buckets[:], float64(t.ReplaySize.Sum), transport)
	}
}

// histogram sends a histogram of counts that are not cumulative; there is one more of them than bounds.
func (ch samples) histogram(d *prometheus.Desc, bounds []float64, counts []uint64, sum float64, labels ...string) {
	cumulative := make(map[float64]uint64, len(bounds))
	var total uint64
	for i, n := range counts {
		total += n
		if i < len(bounds) {
			cumulative[bounds[i]] = total
		}
	}
	ch <- prometheus.MustNewConstHistogram(d, total, sum, cumulative, labels...)
}
