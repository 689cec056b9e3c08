package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/matric/matric-events/adapters/telemetry"
)

// ServeCmd runs the hub.
type ServeCmd struct{ Settings }

// Run implements the command: it serves until ctx ends, then ends in good order.
func (c *ServeCmd) Run(ctx context.Context, k *kong.Context, io console) error {
	signal.Ignore(syscall.SIGPIPE) // who reads the logs may go away
	h, err := open(ctx, &c.Settings, io)
	if c.Standby && errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // told to end before its turn came
	}
	if err != nil {
		return err
	}
	h.tellSettings(settingsOf(k))
	fmt.Fprint(io.out, h.welcome())
	fmt.Fprintf(io.err, "listening on http://%s\n", h.listener.Addr())
	return h.serve(ctx)
}

// tellSettings logs what runs, and how it was told to.
func (h *hub) tellSettings(all []setting) {
	release, commit := buildVersion()
	e := h.log.Info().Str("version", release).Str("commit", commit)
	for _, s := range all {
		e = e.Str("config."+strings.ReplaceAll(strings.TrimPrefix(s.Flag, "--"), "-", "_"), s.Value)
	}
	e.Msg("starting")
}

// welcome tells what there is and what to try.
func (h *hub) welcome() string {
	at := h.listener.Addr().String()
	text := fmt.Sprintf(`matric-events, database %s

  WebSocket  ws://%[2]s/api/v1/ws
  SSE        http://%[2]s/api/v1/events
  Poll       http://%[2]s/api/v1/events/poll
  Agents     http://%[2]s/mcp
  API        http://%[2]s/openapi.yaml
  Metrics    http://%[2]s/metrics

Watch events:   curl -N http://%[2]s/api/v1/events
`, redactURL(h.settings.DatabaseURL), at)
	if h.settings.NoHost {
		return text + fmt.Sprintf("Make one:       curl --json '{\"type\":\"JobQueued\",\"job_id\":\"%s\",\"job_type\":\"Embedding\"}' http://%s/api/v1/worker-events\n", newID(), at)
	}
	return text + fmt.Sprintf("Make some:      curl --json '{\"title\":\"Hello\",\"content\":\"See [[World]]\"}' http://%s/api/v1/notes\n", at)
}

// openLogs logs to standard error, for people when that is a terminal.
func openLogs(s *Settings, w io.Writer) *telemetry.Logs {
	format := telemetry.JSON
	switch console := s.LogFormat == "console" || s.LogFormat == "auto" && isTerminal(w); {
	case console && wantsColor(w):
		format = telemetry.Colored
	case console:
		format = telemetry.Console
	}
	return telemetry.OpenLogs(w, s.LogLevel, format)
}
