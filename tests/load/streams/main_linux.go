package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/matric/matric-events/tests/load/streams/limit"
	"github.com/matric/matric-events/tests/load/streams/report"
)

type commands struct {
	Fanout      fanoutCmd      `cmd:"" help:"Publish to all clients: throughput or latency, and what a delivery costs."`
	Connect     connectCmd     `cmd:"" help:"Open all connections: how fast, and what one takes."`
	Idle        idleCmd        `cmd:"" help:"Hold connections through three heartbeats: what they cost, and how many remain."`
	Slow        slowCmd        `cmd:"" help:"One client that never reads: what the others and the server feel of it."`
	StormResume resumeCmd      `cmd:"" help:"Drop all clients at once; they come back and go on by their last event_id."`
	Compare     compareCmd     `cmd:"" help:"Measure several servers, in turn, and print one table."`
	LimitServer limitServerCmd `cmd:"" help:"Run the limit server by itself."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	k := kong.Parse(&c, kong.Name("streams"), kong.UsageOnError(),
		kong.Description("Measures the fan-out of event servers over WebSocket and server-sent events."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	k.FatalIfErrorf(k.Run())
}

// output is where results go.
type output struct {
	JSON string `name:"json" help:"Also write the results, and those of each run, to a file." type:"path" placeholder:"FILE"`
}

// write prints the table and writes the file.
func (o output) write(results []*report.Result) error {
	columns := report.Columns(results)
	if len(results) == 1 {
		if err := report.List(os.Stdout, columns, results[0]); err != nil {
			return err
		}
	} else if err := report.Table(os.Stdout, columns, results); err != nil {
		return err
	}
	if o.JSON == "" {
		return nil
	}
	b, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.JSON, append(b, '\n'), 0o644)
}

var started = time.Now()

// say prints a line of progress, with the time since the start.
func say(format string, args ...any) {
	d := time.Since(started).Truncate(time.Second)
	fmt.Fprintf(os.Stderr, "%02d:%02d  %s\n", int(d.Minutes()), int(d.Seconds())%60, fmt.Sprintf(format, args...))
}

type limitServerCmd struct {
	Listen string `help:"Address." default:"127.0.0.1:0"`
	Batch  int    `help:"How many waiting events may share a write." default:"1"`
}

func (c *limitServerCmd) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", l.Addr())
	if err := limit.New(c.Batch).Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
