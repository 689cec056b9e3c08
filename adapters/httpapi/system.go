package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/docs"
)

var openAPI, asyncAPI = docs.OpenAPI, docs.AsyncAPI

func (a *api) queue(w http.ResponseWriter, r *http.Request) error {
	counts, err := a.Queue.CountJobs(r.Context())
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, map[string]int{
		"total_jobs": counts.Running + counts.Pending, "running": counts.Running, "pending": counts.Pending,
	})
	return nil
}

func (a *api) livez(w http.ResponseWriter, r *http.Request) error {
	if checked, err := a.life.get(); err != nil {
		if checked {
			a.opts.Fault(r, fmt.Errorf("wedged: %w", err))
		}
		web.JSON(w, http.StatusServiceUnavailable, map[string]string{"status": "wedged", "failed": part(err)})
		return nil
	}
	web.JSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}

func (a *api) readyz(w http.ResponseWriter, r *http.Request) error {
	checked, err := a.health.get()
	if err != nil {
		if checked {
			a.opts.Fault(r, fmt.Errorf("not ready: %w", err))
		}
		web.JSON(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "failed": part(err)})
		return nil
	}
	web.JSON(w, http.StatusOK, map[string]string{"status": "ready"})
	return nil
}

// part is the name of what failed, which errors of the canary begin with; what follows is for logs.
func part(err error) string {
	name, _, ok := strings.Cut(err.Error(), ":")
	if !ok || strings.ContainsFunc(name, func(c rune) bool { return c < 'a' || c > 'z' }) {
		return "unknown"
	}
	return name
}

func (a *api) version(w http.ResponseWriter, _ *http.Request) error {
	web.JSON(w, http.StatusOK, map[string]string{
		"name": "matric-events", "version": a.opts.Version, "commit": a.opts.Commit, "go": runtime.Version(),
	})
	return nil
}

func (a *api) index(w http.ResponseWriter, r *http.Request) error {
	endpoints := map[string]string{
		"websocket": "/api/v1/ws", "sse": "/api/v1/events", "poll": "/api/v1/events/poll",
		"worker_events": "/api/v1/worker-events", "note_events": "/api/v1/note-events", "webhooks": "/api/v1/webhooks", "mcp": PathMCP,
		"queue": "/api/v1/queue", "connections": "/api/v1/connections", "openapi": "/openapi.yaml",
		"asyncapi": "/asyncapi.yaml", "metrics": "/metrics", "live": "/livez", "ready": "/readyz", "version": "/version",
	}
	if a.Notes != nil {
		endpoints["notes"], endpoints["jobs"] = "/api/v1/notes", "/api/v1/jobs"
	}
	web.JSON(w, http.StatusOK, map[string]any{
		"name": "matric-events", "endpoints": endpoints, "try": "curl -N http://" + r.Host + "/api/v1/events",
	})
	return nil
}

// describe serves one of the API descriptions.
func describe(document []byte) action {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/yaml")
		_ = web.Send(w, document, web.AnswerTimeout) // the client has gone
		return nil
	}
}

// How long a check may take, and how long its result stands, so that probes cost next to nothing.
const (
	readyTimeout = 2 * time.Second
	readyAge     = time.Second
)

// checkup checks once for all who ask at the same time or soon after.
type checkup struct {
	check func(ctx context.Context) error

	turn chan struct{} // full while somebody checks; guards all below
	at   time.Time
	is   error
}

func newCheckup(check func(ctx context.Context) error) checkup {
	return checkup{check: check, turn: make(chan struct{}, 1)}
}

// get returns the result, and whether it was checked for this caller.
func (h *checkup) get() (checked bool, err error) {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	if h.at.IsZero() || time.Since(h.at) > readyAge {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		h.is = h.check(ctx)
		h.at = time.Now()
		checked = true
	}
	return checked, h.is
}
