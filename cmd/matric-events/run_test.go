package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/adapters/telemetry"
	"github.com/matric/matric-events/app"
)

// A part that does not end, as one that waits for a database that is away, ends with the process and not after it.
func TestServeReturnsWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 10 * time.Second
		logs := telemetry.OpenLogs(io.Discard, "disabled", telemetry.JSON)
		h := &hub{
			settings: &Settings{ShutdownTimeout: limit}, logs: logs, log: logs.Logger(), overdue: make(chan struct{}),
			server: &http.Server{ReadHeaderTimeout: time.Second}, registry: app.NewRegistry(app.Limits{}, telemetry.NewObserver(logs.Logger(), telemetry.NewRegistry(""))),
		}
		release := make(chan struct{})
		h.intake = []runner{h.stopServer}
		h.recording = []runner{func(context.Context) error { <-release; return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		start := time.Now()
		err := h.serve(ctx)
		if err == nil || !strings.Contains(err.Error(), "--shutdown-timeout") {
			t.Errorf("serve = %v; want an error that names the setting", err)
		}
		if took := time.Since(start); took != time.Hour+limit { // of the bubble's clock
			t.Errorf("serve returned after %v; want %v", took, time.Hour+limit)
		}
		close(release)
	})
}
