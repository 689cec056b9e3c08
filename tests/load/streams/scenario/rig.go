//go:build linux

// Package scenario runs measurements: it starts a server, opens a swarm of subscribers, publishes, and reports. Each run has
// a fresh server, ends within a bounded time, and leaves nothing behind. Linux only.
package scenario

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/matric/matric-events/tests/load/streams/publish"
	"github.com/matric/matric-events/tests/load/streams/report"
	"github.com/matric/matric-events/tests/load/streams/server"
	"github.com/matric/matric-events/tests/load/streams/swarm"
	"github.com/matric/matric-events/tests/load/streams/tally"
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
	most         = 1000 // timed clients, unless asked for
)

// rig is a server with its subscribers.
type rig struct {
	Setup
	process *server.Process
	crowd   *swarm.Swarm
	result  *report.Result
	load    *publish.Load
}

// open starts the server, and the clients that are opened at once.
func open(ctx context.Context, s Setup, name string, remember bool) (g *rig, err error) {
	s.Publishers = max(s.Publishers, 1)
	if s.Timed <= 0 {
		s.Timed = min(most, s.Clients)
		if s.Rate == 0 {
			s.Timed = min(most, max(s.Clients/10, 10))
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
	empty, _ := g.process.Memory()
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
	full, _ := g.process.Memory()
	each := float64(opened.OK)
	g.result.Open = &report.Open{
		PerSecond:  each / opened.Elapsed.Seconds(),
		P50:        opened.Duration.Millis(50),
		P99:        opened.Duration.Millis(99),
		ServerCPU:  (after.Server - before.Server) / each * 10_000,
		OtherCores: other,
		KiBEach:    (full - empty) / each / 1024,
		Failed:     counts(opened.Failed),
	}
	return nil
}

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
