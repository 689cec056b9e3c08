//go:build linux

package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/matric/matric-events/tests/load/streams/report"
)

// longestOutage bounds the time from the drop until everyone has everything.
const longestOutage = 60 * time.Second

// Resume drops all connections at once while events go on, and lets the clients come back, each to where it had been by its
// last event_id. Whatever is missing or comes twice is a fault.
func Resume(ctx context.Context, s Setup) (*report.Result, error) {
	if !s.Target.Resumes {
		return nil, fmt.Errorf("%s: knows no last_event_id", s.Server)
	}
	g, err := open(ctx, s, "storm-resume", true)
	if err != nil {
		return nil, err
	}
	defer g.close()
	g.result.Rate = rateName(s.Rate)
	g.publish(ctx, s.Rate)
	g.Say("publishing at %s events/s until each client has one", g.result.Rate)
	if err := sleep(ctx, s.Warmup); err != nil {
		return nil, err
	}
	for g.crowd.Silent() > 0 {
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
	r, err := g.storm(ctx)
	if err != nil {
		return nil, err
	}
	g.settle()
	if err := sleep(ctx, s.Settle); err != nil {
		return nil, err
	}
	now, _ := g.process.Memory()
	r.AfterMiB = now / (1 << 20)
	g.result.Resume = r
	return g.result, nil
}

// storm drops the connections and lets them come back.
func (g *rig) storm(ctx context.Context) (*report.Resume, error) {
	r := &report.Resume{}
	now, _ := g.process.Memory()
	r.BeforeMiB = now / (1 << 20)

	g.Say("dropping %d connections", g.crowd.Live())
	before, missed := g.process.Usage(), g.load.Acked()
	g.crowd.Drop()
	if err := g.away(ctx, missed); err != nil {
		return nil, err
	}
	begin := time.Now()
	again := g.crowd.Open()
	r.Missed = float64(g.load.Acked() - missed)
	r.BackSeconds = time.Since(begin).Seconds()
	for why, n := range again.Failed {
		g.Say("%d clients did not come back: %s", n, why)
		g.result.Open.Failed = counts(again.Failed)
	}
	g.Say("all are back; catching up")
	if err := g.level(ctx); err != nil {
		return nil, err
	}
	r.LevelSeconds = time.Since(begin).Seconds()
	_, peak := g.process.Memory()
	r.PeakMiB = peak / (1 << 20)
	r.ServerCPU = g.process.Usage().Server - before.Server
	return r, nil
}

// away waits as long as the clients stay away: until they have missed something, at least.
func (g *rig) away(ctx context.Context, acked int64) error {
	if err := sleep(ctx, g.Away); err != nil {
		return err
	}
	for g.load.Acked() == acked {
		if err := sleep(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// level waits until every client that is connected has had all that was published when they were back.
func (g *rig) level(ctx context.Context) error {
	published := g.load.Published()
	for deadline := time.Now().Add(longestOutage); ; {
		behind, _ := g.crowd.Behind(published)
		if behind == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			g.Say("%d clients are behind after %v", behind, longestOutage)
			return nil
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}
