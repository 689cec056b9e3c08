//go:build linux

package scenario

import (
	"context"
	"time"

	"github.com/matric/matric-events/tests/load/streams/report"
)

// sayEvery is how often a long wait tells that it goes on.
const sayEvery = 15 * time.Second

// Idle holds connections on which nothing happens but heartbeats, for the duration, and then sends one event to those that
// remain.
func Idle(ctx context.Context, s Setup) (*report.Result, error) {
	g, err := open(ctx, s, "idle", false)
	if err != nil {
		return nil, err
	}
	defer g.close()
	before := g.process.Usage()
	for begin := time.Now(); time.Since(begin) < s.Duration; {
		if err := sleep(ctx, min(sayEvery, s.Duration-time.Since(begin))); err != nil {
			return nil, err
		}
		g.Say("%v of %v: %d connections", time.Since(begin).Round(time.Second), s.Duration, g.crowd.Live())
	}
	after := g.process.Usage()
	idle := report.Idle{Seconds: after.At.Sub(before.At).Seconds(), Remain: float64(g.crowd.Live()), KiBEach: g.memoryEach(int(g.crowd.Live()))}
	idle.ServerCores, _, idle.OtherCores, _ = after.Sub(before)

	g.publish(ctx, 1)
	for g.load.Acked() == 0 {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
	g.settle()
	idle.Reached = float64(g.crowd.Live()) - float64(g.crowd.Silent())
	g.result.Idle = &idle
	return g.result, nil
}
