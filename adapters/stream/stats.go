package stream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// statsPatience is how long Stats waits for a loop, whose sweeps take less.
const statsPatience = time.Second

// Stats returns what the engine has done since it was made. A loop that does not answer in time is left out; the counts
// of a scrape during a very long sweep may be less than those of the one before.
func (e *Engine) Stats() app.StreamStats {
	sum := e.edge.read()
	answers := make(chan app.StreamStats, len(e.shards))
	asked := 0
	for _, s := range e.shards {
		if s.post(func() { answers <- s.stats }) {
			asked++
		}
	}
	timeout := time.After(statsPatience)
	for range asked {
		select {
		case stats := <-answers:
			sum.Add(stats)
		case <-timeout:
			return sum
		}
	}
	return sum
}

// Alive returns nil once every loop has answered, which those of an engine that runs do within a sweep; an error when ctx ends
// before, or when a loop has stopped.
func (e *Engine) Alive(ctx context.Context) error {
	answers := make(chan struct{}, len(e.shards))
	for i, s := range e.shards {
		if !s.post(func() { answers <- struct{}{} }) {
			return fmt.Errorf("loop %d has stopped", i)
		}
	}
	for n := range e.shards {
		select {
		case <-answers:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d loops answer: %w", n, len(e.shards), ctx.Err())
		}
	}
	return nil
}

// edge counts what happens outside of the loops.
type edge struct {
	mu    sync.Mutex // guards stats
	stats app.StreamStats
}

func (c *edge) read() app.StreamStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

func (c *edge) count(what func(*app.StreamStats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what(&c.stats)
}

// of returns the counts of a format's transport.
func (f format) of(s *app.StreamStats) *app.TransportStats {
	if f&websocket != 0 {
		return &s.WebSocket
	}
	return &s.SSE
}

// countWrite counts one write of n bytes.
func (s *shard) countWrite(c *conn, n int) {
	stats := c.format.of(&s.stats)
	stats.Writes++
	stats.Bytes += uint64(n)
}

// counted counts events that a connection has been given, by the first and the last of them.
func (s *shard) counted(c *conn, events int, first, last *mark) {
	c.delivered.Add(uint64(events))
	c.last = last.id
	stats := c.format.of(&s.stats)
	stats.Events += uint64(events)
	if first.seq > c.replay {
		stats.Latency.Observe(s.engine.wall(s.now).Sub(first.at), 1)
	}
}

// wall returns the time of day at a time of the engine's clock.
func (e *Engine) wall(at time.Duration) time.Time { return e.epoch.Add(at) }

// countReplay counts a request to resume.
func (c *conn) countReplay(place domain.Place, head domain.Seq) {
	c.shard.engine.edge.count(func(s *app.StreamStats) {
		stats := c.format.of(s)
		switch place.Standing {
		case domain.StandingKept:
			stats.Replays[app.ReplayResumed]++
			stats.ReplaySize.Observe(uint64(head - place.Seq))
		case domain.StandingExpired:
			stats.Replays[app.ReplayExpired]++
		default:
			stats.Replays[app.ReplayUnknown]++
		}
	})
}
