//go:build linux

package scenario

import (
	"context"

	"github.com/matric/matric-events/tests/load/streams/report"
)

// Fanout publishes to all clients and measures throughput or latency, and what a delivery costs.
func Fanout(ctx context.Context, s Setup) (*report.Result, error) {
	g, err := open(ctx, s, "fanout", false)
	if err != nil {
		return nil, err
	}
	defer g.close()
	g.result.Rate = rateName(s.Rate)
	g.crowd.Gather(gatherBytes)
	g.publish(ctx, s.Rate)
	g.Say("publishing at %s events/s: %v to warm up, %v measured", g.result.Rate, s.Warmup, s.Duration)
	if err := sleep(ctx, s.Warmup); err != nil {
		return nil, err
	}
	load, err := g.measure(ctx, s.Duration)
	if err != nil {
		return nil, err
	}
	g.result.Load = &load
	g.settle()
	return g.result, nil
}

// Connect opens all connections and does no more.
func Connect(ctx context.Context, s Setup) (*report.Result, error) {
	g, err := open(ctx, s, "connect", false)
	if err != nil {
		return nil, err
	}
	g.close()
	return g.result, nil
}
