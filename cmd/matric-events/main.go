// Command matric-events is the event hub: it turns what job workers and note handlers do into seven typed events and
// delivers them over WebSocket, server-sent events and poll, as signed webhooks, and to agents. See matric-events --help.
//
// This package wires and holds no policy of its own. serve is run.go, the composition root: parts are opened in the order of
// their dependencies, run until the first ends or a signal comes, and are closed in the opposite order within
// --shutdown-timeout. The other commands are clients of a running hub, or work on its database. A first
// SIGTERM or SIGINT ends in good order with exit code 0, a second one at once. Logs go to standard error, results to
// standard output.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
