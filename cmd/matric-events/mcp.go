package main

import (
	"context"
	"io"
	"os"

	"github.com/matric/matric-events/adapters/mcp"
)

// McpCmd serves an AI agent that starts it as a subprocess.
type McpCmd struct{ HubFlags }

// Help implements kong.HelpProvider.
func (*McpCmd) Help() string {
	return `For clients of the Model Context Protocol that start a server as a subprocess: it reads their messages on standard input, asks the
hub, and answers on standard output. Clients that speak HTTP need not start anything: they connect to /mcp of the hub.

In a client's settings:  {"command": "matric-events", "args": ["mcp", "--url", "http://127.0.0.1:8080"]}
and the token, if the hub wants one, in the environment as MATRIC_TOKEN.

It starts whether the hub runs or not, and outlives its restarts.`
}

// Run implements the command.
func (c *McpCmd) Run(ctx context.Context, con console) error {
	release, _ := buildVersion()
	proxy, err := mcp.NewProxy(c.URL, mcp.ProxyOptions{Token: c.Token, Version: release})
	if err != nil {
		return err
	}
	return proxy.Run(ctx, os.Stdin, output{con.out})
}

// output stays open: it is not ours to close.
type output struct{ io.Writer }

// Close implements io.Closer.
func (output) Close() error { return nil }
