package main

import (
	"context"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Serve   ServeCmd   `cmd:"" help:"Run the hub."`
	Tail    TailCmd    `cmd:"" help:"Show events as they happen."`
	Top     TopCmd     `cmd:"" help:"Show what a hub does, live: rates, connections, webhooks."`
	Emit    EmitCmd    `cmd:"" help:"Publish worker or note events."`
	Mcp     McpCmd     `cmd:"" help:"Serve AI agents over standard input and output (MCP)."`
	Webhook WebhookCmd `cmd:"" help:"Tools for those who write webhook receivers."`
	Config  ConfigCmd  `cmd:"" help:"Print the settings of serve as they are in effect."`
	Migrate MigrateCmd `cmd:"" help:"Show or change the database's schema version."`
	Capture CaptureCmd `cmd:"" help:"Make the tables of an application on PostgreSQL event sources, without a change to it."`
	Version VersionCmd `cmd:"" help:"Print the version."`
}

// console is where commands print.
type console struct{ out, err io.Writer }

// run is the program: it parses the arguments, runs the command and returns the exit code. Errors are one line on
// standard error.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		run(ctx, []string{"--help"}, stderr, stderr)
		return 1
	}
	exited := -1
	parser, err := kong.New(&cli{},
		kong.Name("matric-events"),
		kong.Description("An event hub: seven typed events from jobs and notes, live over WebSocket, SSE and poll."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }), // --help
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(console{stdout, stderr}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		panic("cli: " + err.Error()) // the struct tags are wrong
	}
	command, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err == nil {
		err = command.Run()
	}
	if err != nil {
		fmt.Fprintf(stderr, "matric-events: %s\n", lines(err.Error()))
	}
	return exitCode(err)
}
