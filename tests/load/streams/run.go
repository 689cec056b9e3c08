//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/matric/matric-events/tests/load/streams/report"
	"github.com/matric/matric-events/tests/load/streams/scenario"
	"github.com/matric/matric-events/tests/load/streams/server"
	"github.com/matric/matric-events/tests/load/streams/target"
)

// longest bounds a run.
const longest = 5 * time.Minute

// one is a server to measure.
type one struct {
	programs
	Server string `help:"What to start and measure: hub, hub-sse, hub-logs, centrifuge, centrifuge-sse, gorilla, go-sse, limit1 or limit16." default:"hub"`
	URL    string `name:"url" help:"Measure a server that runs already, and speaks as --server does." placeholder:"URL"`
	PID    int    `name:"pid" help:"With --url: the process whose processor time and memory are read." placeholder:"PID"`
}

// load is how to load it.
type load struct {
	Timed      int           `help:"Clients that are read at every message. 0: all but at most 1,000, a tenth at max rate." default:"0"`
	Window     int           `help:"At max rate: events published but not yet received." default:"100"`
	Payload    int           `help:"Bytes of an event, as delivered; the hub's own are at least about 250." default:"200"`
	Publishers int           `help:"Connections that publish." default:"4"`
	Opening    int           `help:"Handshakes under way at the same time." default:"64"`
	Settle     time.Duration `help:"From the last handshake to the reading of idle memory." default:"2s"`
	Warmup     time.Duration `help:"Time of publishing that is not measured." default:"1s"`
	Duration   time.Duration `help:"Time measured." default:"4s"`
	Runs       int           `help:"Runs, each with a new server; medians are reported." default:"3"`
}

// setup puts the parts together.
func (o one) setup(l load) (scenario.Setup, error) {
	c, start, err := o.named(o.Server)
	if err != nil {
		return scenario.Setup{}, err
	}
	if o.URL != "" {
		if start, err = running(o.URL, o.PID); err != nil {
			return scenario.Setup{}, err
		}
	}
	return setup(c, start, l)
}

func setup(c contender, start func() (*server.Process, error), l load) (scenario.Setup, error) {
	tg, err := target.Named(c.target)
	return scenario.Setup{
		Server: c.label, Start: start, Target: tg,
		Timed: l.Timed, Window: l.Window, Size: l.Payload, Publishers: l.Publishers, Opening: l.Opening,
		Settle: l.Settle, Warmup: l.Warmup, Duration: l.Duration, Say: say,
	}, err
}

// rate reads a number of events per second, 0 for max.
func rate(text string) (float64, error) {
	if text == "max" {
		return 0, nil
	}
	r, err := strconv.ParseFloat(text, 64)
	if err != nil || r <= 0 {
		return 0, fmt.Errorf("rate %q: want a number of events per second, or max", text)
	}
	return r, nil
}

// script is one of package scenario's.
type script func(context.Context, scenario.Setup) (*report.Result, error)

// once runs a scenario once, within the bound.
func once(ctx context.Context, run script, s scenario.Setup) (*report.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("not done within %v", longest))
	defer cancel()
	r, err := run(ctx, s)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		r.Runs = 1
		say("%s", r.Line())
		for _, reason := range r.Reasons() {
			say("fault: %s", reason)
		}
	}
	return r, err
}

// several runs a scenario a number of times and merges the results.
func several(ctx context.Context, run script, s scenario.Setup, runs int) (*report.Result, error) {
	var all []*report.Result
	for i := range max(runs, 1) {
		say("%s, run %d of %d", s.Server, i+1, max(runs, 1))
		r, err := once(ctx, run, s)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return report.Merge(all), nil
}
