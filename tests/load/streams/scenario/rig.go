//go:build linux

// Package scenario runs measurements: it starts a server, opens a swarm of subscribers, publishes, and reports. Each run has
// a fresh server, ends within a bounded time, and leaves nothing behind. Linux only.
package scenario

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/matric/matric-events/tests/load/streams/publish"
	"github.com/matric/matric-events/tests/load/streams/report"
	"github.com/matric/matric-events/tests/load/streams/server"
	"github.com/matric/matric-events/tests/load/streams/swarm"
	"github.com/matric/matric-events/tests/load/streams/target"
)

// Setup says what to measure and how hard. Server, Start, Target and Clients are required.
type Setup struct {
	Server string // its name in the report
	Start  func() (*server.Process, error)
	Target target.Target

	Clients    int
	Timed      int     // zero: all, but at most 1,000, and at max rate a tenth
	Rate       float64 // events per second; zero means as many as the window allows
	Window     int
	Size       int // bytes of an event
	Publishers int
	Opening    int // handshakes under way at the same time

	Settle   time.Duration // from the last handshake to the reading of idle memory
	Warmup   time.Duration // of publishing, before it is measured
	Duration time.Duration
	Away     time.Duration // from the drop of all clients to their return, at least

	// Say tells people how the run is getting on.
	Say func(format string, args ...any)
}

const (
	gatherBytes  = 8 << 10
	awaitArrival = 15 * time.Second
	mostTimed    = 1000 // unless asked for
)

// rig is a server with its subscribers.
type rig struct {
	Setup
	process *server.Process
	crowd   *swarm.Swarm
	result  *report.Result
	load    *publish.Load
	empty   float64 // bytes of the server's memory before there were connections
}

// open starts the server, and the clients that are opened at once.
func open(ctx context.Context, s Setup, name string, remember bool) (g *rig, err error) {
	s.Publishers = max(s.Publishers, 1)
	if s.Timed <= 0 {
		s.Timed = min(mostTimed, s.Clients)
		if s.Rate == 0 {
			s.Timed = min(mostTimed, max(s.Clients/10, 10))
		}
	}
	g = &rig{Setup: s, result: &report.Result{Server: s.Server, Scenario: name, Clients: s.Clients}}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.process, err = s.Start(); err != nil {
		return g, err
	}
	if err := sleep(ctx, s.Settle/4); err != nil { // for it to come to rest
		return g, err
	}
	g.crowd, err = swarm.New(swarm.Options{
		Server: g.process.Addr, Target: s.Target, Clients: s.Clients, Timed: s.Timed, Publishers: s.Publishers,
		Opening: s.Opening, Loops: max(1, runtime.NumCPU()/2), Remember: remember,
	})
	if err != nil {
		return g, err
	}
	return g, g.connect(ctx)
}

// connect opens all connections and reads what that and then they take.
func (g *rig) connect(ctx context.Context) error {
	g.Say("opening %d connections", g.Clients)
	g.empty, _ = g.process.Memory()
	before := g.process.Usage()
	opened := g.crowd.Open()
	after := g.process.Usage()
	_, _, other, _ := after.Sub(before)
	if opened.OK == 0 {
		return fmt.Errorf("no connection at all: %v\n%s", opened.Failed, g.process.Said())
	}
	if err := sleep(ctx, g.Settle); err != nil {
		return err
	}
	each := float64(opened.OK)
	g.result.Open = &report.Open{
		PerSecond:  each / opened.Elapsed.Seconds(),
		P50:        opened.Duration.Millis(50),
		P99:        opened.Duration.Millis(99),
		ServerCPU:  (after.Server - before.Server) / each * 10_000,
		OtherCores: other,
		KiBEach:    g.memoryEach(opened.OK),
		Failed:     counts(opened.Failed),
	}
	return nil
}

// memoryEach returns by how much the server's memory has grown for each of n connections, in KiB.
func (g *rig) memoryEach(n int) float64 {
	now, _ := g.process.Memory()
	return (now - g.empty) / float64(max(n, 1)) / 1024
}

func (g *rig) close() {
	if g.load != nil {
		g.load.Stop()
	}
	if g.crowd != nil {
		_ = g.crowd.Close() // the result stands already
	}
	if g.process != nil {
		g.process.Stop()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
