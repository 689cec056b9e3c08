package main

import (
	"context"
	"fmt"
	"io"
	"time"
)

// TopCmd shows what a hub does, live.
type TopCmd struct {
	HubFlags
	Interval time.Duration `default:"2s" help:"Between looks, at least 200ms."`
	Count    int           `placeholder:"N" help:"Exit after so many looks."`
	Plain    bool          `help:"One line each time, also on a terminal."`
}

// Help implements kong.HelpProvider.
func (*TopCmd) Help() string {
	return `Reads /metrics and the API. On a terminal it redraws one screen: rates by type, connections and the slowest of them, webhooks and
those that fail. Elsewhere it prints a line each time, name=value with spaces between. The first look shows averages since
the hub was started, the others what happened since the one before.`
}

// Run implements the command.
func (c *TopCmd) Run(ctx context.Context, con console) error {
	hub, err := newHubReader(c.HubFlags)
	if err != nil {
		return err
	}
	c.Interval = max(c.Interval, 200*time.Millisecond)
	show := plainView(con.out)
	if !c.Plain && isTerminal(con.out) {
		show = screenView(con.out, hub.address())
		defer screenEnd(con.out)
	}
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	var before *look
	for n := 1; ; n++ {
		now, err := hub.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && before == nil:
			return err
		case err != nil:
			fmt.Fprintf(con.err, "matric-events: %s\n", oneLine(err.Error(), maxText)) // and on: it may come back
		default:
			if before == nil || before.started.Before(now.started) && now.started.Sub(before.started) > time.Second {
				before = now.dawn() // the first look, or the hub was started anew
			}
			show(before, now)
			before = now
		}
		if n == c.Count {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// view shows what happened between two looks.
type view func(before, now *look)

func plainView(w io.Writer) view {
	return func(before, now *look) { fmt.Fprintln(w, topLine(before, now)) }
}

// Sequences of ECMA-48 and of xterm: lines that are too long are cut and not wrapped while the screen is ours.
const (
	topBegin = "\x1b[?25l\x1b[?7l\x1b[2J" // hide the cursor, do not wrap, clear
	topHome  = "\x1b[H"
	topClear = "\x1b[K\n" // the rest of a line
	topBelow = "\x1b[J"   // all below
	topEnd   = "\x1b[?7h\x1b[?25h"
)

func screenView(w io.Writer, address string) view {
	begun := false
	return func(before, now *look) {
		out := topHome
		if !begun {
			out, begun = topBegin+topHome, true
		}
		for _, line := range topScreen(address, before, now) {
			out += line + topClear
		}
		fmt.Fprint(w, out+topBelow) // with one write, so that nobody sees half a screen
	}
}

func screenEnd(w io.Writer) { fmt.Fprint(w, topEnd) }
