//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/matric/matric-events/tests/load/streams/report"
	"github.com/matric/matric-events/tests/load/streams/scenario"
)

type compareCmd struct {
	programs
	load
	output
	Servers []string `help:"Servers, in the order of the table." default:"hub,hub-sse,centrifuge,gorilla,go-sse,limit1,limit16"`
	Sizes   []int    `help:"Numbers of clients." default:"1000,10000"`
	Rates   []string `help:"Events per second, or max." default:"max,10"`
}

// cell is one line of the table.
type cell struct {
	setup scenario.Setup
	runs  []*report.Result
}

// Run measures each number of clients and rate in rounds over all servers, so that what else the machine does for a minute
// does not fall on all the runs of one server. A server that fails is told and left out, the others go on; when it is
// interrupted, it writes what it has.
func (c *compareCmd) Run(ctx context.Context) error {
	groups, err := c.groups()
	if err != nil {
		return err
	}
	var results []*report.Result
	var failed []error
	done, total := 0, len(groups)*len(c.Servers)*c.Runs
	for _, group := range groups {
		for range c.Runs {
			for i := range group {
				done++
				failed = append(failed, group[i].run(ctx, fmt.Sprintf("[%d/%d]", done, total)))
			}
		}
		for _, cell := range group {
			if cell.runs != nil {
				results = append(results, report.Merge(cell.runs))
			}
		}
	}
	return errors.Join(c.write(results), context.Cause(ctx), errors.Join(failed...))
}

// run measures once, unless it is too late for that.
func (c *cell) run(ctx context.Context, place string) error {
	if ctx.Err() != nil {
		return nil
	}
	s := c.setup
	s.Say = func(format string, args ...any) { say("%s %s: %s", place, s.Server, fmt.Sprintf(format, args...)) }
	r, err := once(ctx, scenario.Fanout, s)
	if err != nil {
		return fmt.Errorf("%s with %d clients: %w", s.Server, s.Clients, err)
	}
	c.runs = append(c.runs, r)
	return nil
}

// groups returns a cell for each server in each of the sizes and rates.
func (c *compareCmd) groups() (groups [][]cell, err error) {
	for _, size := range c.Sizes {
		for _, r := range c.Rates {
			var group []cell
			for _, name := range c.Servers {
				ct, start, err := c.named(name)
				if err != nil {
					return nil, err
				}
				s, err := setup(ct, start, c.load)
				if err != nil {
					return nil, err
				}
				if s.Rate, err = rate(r); err != nil {
					return nil, err
				}
				s.Clients = size
				group = append(group, cell{setup: s})
			}
			groups = append(groups, group)
		}
	}
	return groups, nil
}
