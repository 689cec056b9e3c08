package main

import (
	"context"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"github.com/matric/matric-events/adapters/telemetry"
)

// ServeCmd runs the hub.
type ServeCmd struct{ Settings }

// Run implements the command: it serves until ctx ends, then ends in good order.
func (c *ServeCmd) Run(ctx context.Context, io console) error {
	h, err := open(ctx, &c.Settings, io)
	if err != nil {
		return err
	}
	defer h.close()
	fmt.Fprint(io.out, h.welcome())
	fmt.Fprintf(io.err, "listening on http://%s\n", h.listener.Addr())
	return h.run(ctx)
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

// newLogger logs to standard error, for people when that is a terminal.
func newLogger(s *Settings, w interface{ Write([]byte) (int, error) }) zerolog.Logger {
	format := s.LogFormat
	if format == "auto" {
		format = "json"
		if f, ok := w.(*os.File); ok && isTerminal(f) {
			format = "console"
		}
	}
	return telemetry.NewLogger(w, s.LogLevel, format == "console")
}
