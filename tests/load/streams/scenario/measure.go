//go:build linux

package scenario

import (
	"context"
	"strconv"
	"time"

	"github.com/matric/matric-events/tests/load/streams/publish"
	"github.com/matric/matric-events/tests/load/streams/report"
	"github.com/matric/matric-events/tests/load/streams/tally"
)

// publish begins to publish.
func (g *rig) publish(ctx context.Context, rate float64) {
	g.load = publish.Start(ctx, publish.Options{
		Server: g.process.Addr, Target: g.Target, Publishers: g.Publishers, Size: g.Size, Rate: rate, Window: g.Window,
		Arrived: g.crowd.Arrived,
	})
}

// measure reads what is delivered in the time given, and what it costs.
func (g *rig) measure(ctx context.Context, d time.Duration) (report.Load, error) {
	g.crowd.Time()
	before, acked := g.process.Usage(), g.load.Acked()
	events, _ := g.crowd.Delivered()
	err := sleep(ctx, d)
	after, acked2 := g.process.Usage(), g.load.Acked()
	events2, factor := g.crowd.Delivered()
	latency := g.crowd.Timed()
	now, _ := g.process.Memory()

	seconds := after.At.Sub(before.At).Seconds()
	// Each event goes to every client, so the timed ones stand for all; that the others lost none is checked at the end.
	deliveries := float64(events2-events) * factor
	m := report.Load{
		Seconds: seconds, Published: float64(acked2-acked) / seconds, Deliveries: deliveries / seconds, MemoryMiB: now / (1 << 20),
		ServerCPU: (after.Server - before.Server) / max(deliveries, 1) * 1e6,
		ClientCPU: (after.Client - before.Client) / max(deliveries, 1) * 1e6,
	}
	m.P50, m.P99, m.P999, m.Max = percentiles(latency)
	m.ServerCores, m.ClientCores, m.OtherCores, m.StolenCores = after.Sub(before)
	return m, err
}

func percentiles(l tally.Latency) (p50, p99, p999, top float64) {
	return l.Millis(50), l.Millis(99), l.Millis(99.9), l.Millis(100)
}

// settle ends publishing, waits until everything has arrived or gives up, and enters the faults.
func (g *rig) settle() {
	totals := g.load.Stop()
	missing := g.crowd.Await(totals.Published, awaitArrival)
	c, ended := g.crowd.Counts()
	g.result.Faults = &report.Faults{
		Lost: c.Lost + missing, Duplicated: c.Duplicated, Reordered: c.Reordered,
		Disconnected: counts(ended), Publish: counts(totals.Failed), Stalls: totals.Stalls,
	}
}

// rateName is the rate as the report shows it.
func rateName(rate float64) string {
	if rate == 0 {
		return "max"
	}
	return strconv.FormatFloat(rate, 'f', -1, 64)
}

func counts(m map[string]int) map[string]int64 {
	if len(m) == 0 {
		return nil
	}
	c := map[string]int64{}
	for why, n := range m {
		c[why] = int64(n)
	}
	return c
}
