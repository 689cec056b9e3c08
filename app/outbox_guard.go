package app

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/matric/matric-events/ports"
)

// OutboxLimits tune an OutboxGuard. Zero members stand for the default.
type OutboxLimits struct {
	// HighWater is how many records may wait before room is made. Zero means 1,000,000.
	HighWater int
	// Interval is how often the outbox is measured. Zero means 10 s.
	Interval time.Duration
}

// restAfterSuperseding is how many intervals pass after the whole outbox was gone through: little may have come of it.
const restAfterSuperseding = 6

// OutboxGuard keeps the outbox from growing without bounds while it is filled faster than it is drained, or not drained at
// all: it warns, and gives up what newer reports make superfluous. It never gives up notes and ends of jobs, so it cannot
// promise a bound.
type OutboxGuard struct {
	outbox   ports.OutboxKeeper
	observer ports.Observer
	limits   OutboxLimits
}

// NewOutboxGuard returns a guard; Run does the work.
func NewOutboxGuard(outbox ports.OutboxKeeper, observer ports.Observer, limits OutboxLimits) *OutboxGuard {
	limits.HighWater = cmp.Or(limits.HighWater, 1_000_000)
	limits.Interval = cmp.Or(limits.Interval, 10*time.Second)
	return &OutboxGuard{outbox: outbox, observer: observer, limits: limits}
}

// Run watches until ctx ends.
func (g *OutboxGuard) Run(ctx context.Context) error {
	for pause := g.limits.Interval; ; {
		select {
		case <-time.After(pause):
			pause = g.look(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// look returns how long to wait for the next look.
func (g *OutboxGuard) look(ctx context.Context) time.Duration {
	stats, err := g.outbox.Stats(ctx)
	if err != nil || stats.Records <= g.limits.HighWater {
		return g.limits.Interval // a store that fails is reported by those who need it
	}
	removed, err := g.outbox.Supersede(ctx)
	if err != nil {
		g.observer.Anomaly("outbox", fmt.Errorf("supersede: %w", err))
	}
	g.observer.Anomaly("outbox_long", fmt.Errorf("%d changes wait to be published, the oldest for %s; %d were superfluous and are gone",
		stats.Records, stats.Oldest.Round(time.Second), removed))
	return restAfterSuperseding * g.limits.Interval
}
