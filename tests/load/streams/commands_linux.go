package main

import (
	"context"

	"github.com/matric/matric-events/tests/load/streams/report"
	"github.com/matric/matric-events/tests/load/streams/scenario"
)

type fanoutCmd struct {
	One
	Load
	Output
	Clients int    `help:"Subscribers." default:"1000"`
	Rate    string `help:"Events per second, or max." default:"max"`
}

func (c *fanoutCmd) Run(ctx context.Context) error {
	s, err := c.setup(c.Load)
	if err != nil {
		return err
	}
	if s.Rate, err = rate(c.Rate); err != nil {
		return err
	}
	s.Clients = c.Clients
	return c.report(several(ctx, scenario.Fanout, s, c.Runs))
}

type connectCmd struct {
	One
	Load
	Output
	Clients int `help:"Connections." default:"10000"`
}

func (c *connectCmd) Run(ctx context.Context) error {
	s, err := c.setup(c.Load)
	if err != nil {
		return err
	}
	s.Clients = c.Clients
	return c.report(several(ctx, scenario.Connect, s, c.Runs))
}

// report writes the result of a command.
func (o Output) report(r *report.Result, err error) error {
	if err != nil {
		return err
	}
	return o.write([]*report.Result{r})
}
