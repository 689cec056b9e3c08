//go:build linux

package main

import (
	"context"
	"time"

	"github.com/matric/matric-events/tests/load/streams/report"
	"github.com/matric/matric-events/tests/load/streams/scenario"
)

// task is what all commands about one server have in common.
type task struct {
	one
	load
	output
}

// do runs a scenario with what a command's own flags add to the setup, and writes its result.
func (t task) do(ctx context.Context, run script, events string, add func(*scenario.Setup)) error {
	s, err := t.setup(t.load)
	if err != nil {
		return err
	}
	if s.Rate, err = rate(events); err != nil {
		return err
	}
	add(&s)
	r, err := several(ctx, run, s, t.Runs)
	if err != nil {
		return err
	}
	return t.write([]*report.Result{r})
}

type fanoutCmd struct {
	task
	Clients int    `help:"Subscribers." default:"1000"`
	Rate    string `help:"Events per second, or max." default:"max"`
}

func (c *fanoutCmd) Run(ctx context.Context) error {
	return c.do(ctx, scenario.Fanout, c.Rate, func(s *scenario.Setup) { s.Clients = c.Clients })
}

type connectCmd struct {
	task
	Clients int `help:"Connections." default:"10000"`
}

func (c *connectCmd) Run(ctx context.Context) error {
	return c.do(ctx, scenario.Connect, "max", func(s *scenario.Setup) { s.Clients = c.Clients })
}

type idleCmd struct {
	task
	Clients int           `help:"Connections." default:"19000"`
	Hold    time.Duration `help:"How long to hold them: the hub's heartbeat is 30 s." default:"95s"`
}

func (c *idleCmd) Run(ctx context.Context) error {
	return c.do(ctx, scenario.Idle, "max", func(s *scenario.Setup) { s.Clients, s.Duration = c.Clients, c.Hold })
}

type slowCmd struct {
	task
	Clients int           `help:"Clients that read." default:"1000"`
	Rate    string        `help:"Events per second." default:"100"`
	Each    time.Duration `help:"How long to measure without and with the slow one: longer than the hub waits for a write." default:"12s"`
}

func (c *slowCmd) Run(ctx context.Context) error {
	return c.do(ctx, scenario.Slow, c.Rate, func(s *scenario.Setup) { s.Clients, s.Duration = c.Clients, c.Each })
}

type resumeCmd struct {
	task
	Clients int           `help:"Subscribers." default:"10000"`
	Rate    string        `help:"Events per second." default:"5"`
	Away    time.Duration `help:"From the drop until they come back." default:"1s"`
}

func (c *resumeCmd) Run(ctx context.Context) error {
	return c.do(ctx, scenario.Resume, c.Rate, func(s *scenario.Setup) { s.Clients, s.Away = c.Clients, c.Away })
}
