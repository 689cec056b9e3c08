package telemetry

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

// told returns an observer, and what it has logged and counted once it has been told things.
func told(t *testing.T, tell func(o *Observer)) (lines []map[string]any, metrics string) {
	t.Helper()
	out := &sink{}
	logs := OpenLogs(out, "debug", JSON)
	o := NewObserver(logs.Logger(), NewRegistry("1.2.3"))
	tell(o)
	return out.flushed(t, logs), scrape(t, o, Sources{})
}

func scrape(t *testing.T, o *Observer, s Sources) string {
	t.Helper()
	w := httptest.NewRecorder()
	o.Metrics(s).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("GET /metrics = %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func contains(t *testing.T, metrics string, samples ...string) {
	t.Helper()
	for _, want := range samples {
		if !strings.Contains("\n"+metrics, "\n"+want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

var untimed = cmpopts.IgnoreMapEntries(func(key string, _ any) bool { return key == "time" || key == "duration_ms" })

func sameLines(t *testing.T, got []map[string]any, want ...map[string]any) {
	t.Helper()
	if d := cmp.Diff(want, got, untimed); d != "" {
		t.Errorf("lines -want +got:\n%s", d)
	}
}

func TestConnections(t *testing.T) {
	c := domain.Connection{ID: id(1), Transport: "sse", Remote: "127.0.0.1:9", User: "ada", Since: time.Now().Add(-time.Minute), Delivered: 7, Lag: 2}
	lines, metrics := told(t, func(o *Observer) {
		o.ConnectionOpened(c)
		for _, reason := range []string{"1012", "peer 3999", "peer 1001", "write: broken pipe", "connection lost", "ended", "a new reason: with\nlines"} {
			o.ConnectionClosed(c, reason)
		}
		o.Refused("websocket", "connections")
	})
	line := func(more map[string]any) map[string]any {
		m := map[string]any{"level": "info", "connection.id": id(1).String(), "transport": "sse", "remote": "127.0.0.1:9", "user": "ada"}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	closed := func(more map[string]any) map[string]any {
		more["message"], more["delivered"], more["lag"] = "connection closed", 7.0, 2.0
		return line(more)
	}
	sameLines(t, lines,
		line(map[string]any{"message": "connection opened"}),
		closed(map[string]any{"cause": "server", "close_code": 1012.0}),
		closed(map[string]any{"cause": "peer", "close_code": 3999.0}),
		closed(map[string]any{"cause": "peer", "close_code": 1001.0}),
		closed(map[string]any{"cause": "write", "reason": "write: broken pipe"}),
		closed(map[string]any{"cause": "connection lost"}),
		closed(map[string]any{"cause": "ended"}),
		closed(map[string]any{"cause": "other", "reason": "a new reason: with\nlines"}),
		map[string]any{"level": "debug", "message": "connection refused", "transport": "websocket", "limit": "connections"},
	)
	contains(t, metrics,
		`matric_connections_opened_total{transport="sse"} 1`,
		`matric_connections_closed_total{cause="server",code="1012",transport="sse"} 1`,
		`matric_connections_closed_total{cause="peer",code="other",transport="sse"} 1`,
		`matric_connections_closed_total{cause="peer",code="1001",transport="sse"} 1`,
		`matric_connections_closed_total{cause="write",code="",transport="sse"} 1`,
		`matric_connections_closed_total{cause="other",code="",transport="sse"} 1`,
		`matric_connection_duration_seconds_bucket{transport="sse",le="10"} 0`,
		`matric_connection_duration_seconds_bucket{transport="sse",le="600"} 7`,
		`matric_connections_refused_total{reason="connections",transport="websocket"} 1`,
		`matric_build_info{go="go`,
	)
}

func TestAnomaliesAndFaults(t *testing.T) {
	lines, metrics := told(t, func(o *Observer) {
		o.Anomaly("outbox", errors.New("disk on fire at postgres://u:hunter2@db"))
		o.Fault("GET", "/api/v1/notes", errors.New("no database"))
		o.Fault("GET", "/", errors.New("panic: oh\ngoroutine 1 [running]:\nmain.main()"))
	})
	sameLines(t, lines,
		map[string]any{"level": "warn", "message": "anomaly", "kind": "outbox", "error": "disk on fire at postgres://…"},
		map[string]any{"level": "error", "message": "request failed", "method": "GET", "path": "/api/v1/notes", "error": "no database"},
		map[string]any{"level": "error", "message": "request failed", "method": "GET", "path": "/", "error": "panic: oh", "stack": "goroutine 1 [running]:\nmain.main()"},
	)
	contains(t, metrics, `matric_anomalies_total{kind="outbox"} 1`)
}

func TestHealthIsToldWhenItChanges(t *testing.T) {
	lines, metrics := told(t, func(o *Observer) {
		o.Health("", nil)
		o.Health("store", errors.New("no disk"))
		o.Health("store", errors.New("no disk"))
		o.Health("hub", errors.New("hangs"))
		o.Health("", nil)
		o.Health("source", errors.New("hangs"))
	})
	sameLines(t, lines,
		map[string]any{"level": "error", "message": "unhealthy", "part": "store", "error": "no disk"},
		map[string]any{"level": "error", "message": "unhealthy", "part": "hub", "error": "hangs"},
		map[string]any{"level": "info", "message": "healthy again", "part": "hub"},
		map[string]any{"level": "error", "message": "unhealthy", "part": "source", "error": "hangs"},
	)
	contains(t, metrics, `matric_healthy{part="source"} 0`, `matric_healthy{part="store"} 1`)
}

type senderFunc func(webhook.Request) webhook.Outcome

func (f senderFunc) Send(_ context.Context, r webhook.Request) webhook.Outcome { return f(r) }

func TestAttempts(t *testing.T) {
	url, err := webhook.ParseURL("https://hooks.example/T0/secret?key="+canary, webhook.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	headers, err := webhook.NewHeaders(map[string]string{"Authorization": canary})
	if err != nil {
		t.Fatal(err)
	}
	outcomes := []webhook.Outcome{
		{StatusCode: 204},
		{StatusCode: 500, Body: canary},
		{Fault: webhook.ClassDNS, Detail: "lookup hooks.example: no such host"},
		{Fault: webhook.ClassBadResponse, Detail: "malformed HTTP response " + canary},
		{Fault: webhook.ClassInterrupted},
	}
	lines, metrics := told(t, func(o *Observer) {
		next := 0
		s := o.Sender(senderFunc(func(webhook.Request) webhook.Outcome { next++; return outcomes[next-1] }))
		for n := range outcomes {
			got := s.Send(t.Context(), webhook.Request{
				Delivery: id(1), Webhook: id(2), Event: id(3), Type: domain.TypeJobFailed, Attempt: n + 1, URL: url, Headers: headers, Body: []byte(canary),
			})
			if d := cmp.Diff(outcomes[n], got); d != "" {
				t.Errorf("the outcome has changed:\n%s", d)
			}
		}
	})
	line := func(n int, level, outcome string, more map[string]any) map[string]any {
		m := map[string]any{
			"level": level, "message": "webhook attempt", "delivery.id": id(1).String(), "webhook.id": id(2).String(), "event.id": id(3).String(),
			"event.type": "JobFailed", "attempt": float64(n), "endpoint": "https://hooks.example", "outcome": outcome,
		}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	sameLines(t, lines,
		line(1, "debug", "success", map[string]any{"status_code": 204.0}),
		line(2, "warn", "failure", map[string]any{"status_code": 500.0, "error_class": "bad_status"}),
		line(3, "warn", "failure", map[string]any{"error_class": "dns", "error": "lookup hooks.example: no such host"}),
		line(4, "warn", "failure", map[string]any{"error_class": "bad_response"}),
		line(5, "debug", "interrupted", map[string]any{"error_class": "interrupted"}),
	)
	contains(t, metrics,
		`matric_webhook_attempts_total{class="",outcome="success"} 1`, `matric_webhook_attempts_total{class="bad_status",outcome="failure"} 1`,
		`matric_webhook_attempts_total{class="timeout",outcome="failure"} 0`, `matric_webhook_attempt_duration_seconds_count{outcome="failure"} 3`,
	)
	if strings.Contains(metrics, canary) || strings.Contains(metrics, "hooks.example") {
		t.Error("the endpoint is in the metrics")
	}
}

type publisherFunc func() error

func (f publisherFunc) PublishWorkerEvents(context.Context, []domain.WorkerEvent) (ports.Receipt, error) {
	return ports.Receipt{Accepted: 1}, f()
}

func (f publisherFunc) PublishNoteEvents(context.Context, []domain.NoteEvent) (ports.Receipt, error) {
	return ports.Receipt{Accepted: 1}, f()
}

func TestPublishing(t *testing.T) {
	_, metrics := told(t, func(o *Observer) {
		results := []error{nil, domain.ErrConflict, domain.ErrUnavailable, errors.New("oh")}
		p := o.Publisher(publisherFunc(func() error { e := results[0]; results = append(results[1:], e); return e }))
		for range results {
			if r, _ := p.PublishWorkerEvents(t.Context(), nil); r.Accepted != 1 {
				t.Error("the receipt is lost")
			}
		}
		if _, err := p.PublishNoteEvents(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
	for _, result := range []string{"accepted", "refused", "unavailable", "failed"} {
		contains(t, metrics, `matric_publish_duration_seconds_count{call="worker_events",result="`+result+`"} 1`)
	}
	contains(t, metrics, `matric_publish_duration_seconds_count{call="note_events",result="accepted"} 1`)
}
