package main

import (
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// looked is a hub ten seconds after noon, in UTC, with some metrics more.
func looked(t *testing.T, after time.Duration, metrics string) *look {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(metrics))
	if err != nil {
		t.Fatal(err)
	}
	return &look{at: noon.Add(after), started: noon, metrics: families}
}

const earlierMetrics = `
# TYPE matric_events_published_total counter
matric_events_published_total{type="JobQueued",source="api"} 100
matric_events_published_total{type="JobQueued",source="outbox"} 10
matric_events_published_total{type="NoteUpdated",source="api"} 7
# TYPE matric_stream_latency_seconds histogram
matric_stream_latency_seconds_bucket{transport="sse",le="0.001"} 100
matric_stream_latency_seconds_bucket{transport="sse",le="0.01"} 100
matric_stream_latency_seconds_bucket{transport="sse",le="+Inf"} 100
`

const laterMetrics = `
# TYPE matric_events_published_total counter
matric_events_published_total{type="JobQueued",source="api"} 125
matric_events_published_total{type="JobQueued",source="outbox"} 35
matric_events_published_total{type="NoteUpdated",source="api"} 7
# TYPE matric_stream_events_total counter
matric_stream_events_total{transport="sse"} 123456
# TYPE matric_stream_latency_seconds histogram
matric_stream_latency_seconds_bucket{transport="sse",le="0.001"} 160
matric_stream_latency_seconds_bucket{transport="sse",le="0.01"} 199
matric_stream_latency_seconds_bucket{transport="sse",le="+Inf"} 200
# TYPE matric_connections gauge
matric_connections{transport="sse"} 3
matric_connections{transport="mcp"} 2
matric_connections{transport="websocket"} 1200
# TYPE matric_healthy gauge
matric_healthy{part="store"} 0
matric_healthy{part="hub"} 1
# TYPE matric_log_bytes gauge
matric_log_bytes 3145728
# TYPE matric_webhook_backlog_deliveries gauge
matric_webhook_backlog_deliveries{state="pending"} 12
matric_webhook_backlog_deliveries{state="dead"} 4
`

func TestTopLine(t *testing.T) {
	before, now := looked(t, 0, earlierMetrics), looked(t, 10*time.Second, laterMetrics)
	want := "time=2026-11-23T12:00:10Z healthy=no events_per_s=5.0 JobQueued=5.0 JobStarted=0.0 JobProgress=0.0 JobCompleted=0.0 " +
		"JobFailed=0.0 NoteUpdated=0.0 QueueStatus=0.0 connections=1205 lag=0 sent_per_s=12345.6 latency_p99=10ms " +
		"jobs_running=0 jobs_pending=0 attempts_per_s=0.0 failed_per_s=0.0 backlog=12 dead=4"
	if d := cmp.Diff(want, topLine(before, now)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestTopScreen(t *testing.T) {
	before, now := looked(t, 0, earlierMetrics), looked(t, 10*time.Second, laterMetrics)
	before.connections = []topConnection{{ID: "0198f3a0-0000-7000-8000-00000000000a", Delivered: 100}}
	now.connections = []topConnection{
		{ID: "0198f3a0-0000-7000-8000-00000000000a", Transport: "sse", Remote: "127.0.0.1:9", User: "ada\x1b[2J", Since: noon, Delivered: 150, Lag: 7},
		{ID: "0198f3a0-0000-7000-8000-00000000000b", Transport: "websocket", Remote: "[2001:db8::1]:55555", Since: noon.Add(9 * time.Second), Delivered: 1},
	}
	now.webhooks = []topWebhook{
		{ID: "0198f3a0-0000-7000-8000-00000000000c", URL: "https://hooks.example/T0/secret?key=secret", IsActive: true},
		{ID: "0198f3a0-0000-7000-8000-00000000000d", URL: "https://down.example", FailureCount: 5, LastTriggeredAt: noon},
	}
	want := []string{
		"matric-events at http://hub, up 10s, FAILING: store   12:00:10",
		"",
		"events/s  5.0   JobQueued 5.0",
		"log       0 events, 3.0 MiB, the oldest 0s   behind: connections 0, webhooks 0, mirror 0",
		"clients   websocket 1200, sse 3, poll 0, mcp 2   12.3k events/s, 0 B/s   50 % in 1ms, 99 % in 10ms",
		"jobs      running 0, pending 0",
		"webhooks  0 attempts/s, 0 fail   in flight 0   backlog 12, the oldest 0s   dead 4   99 % in -",
		"",
		"slowest    transport  remote                  user             since   delivered    each s  behind",
		"0000000a   sse        127.0.0.1:9             ada\uFFFD[2J            10s         150       5.0       7",
		"0000000b   websocket  [2001:db8::1]:55555                         1s           1         -       0",
		"",
		"webhook    host                                      state     failures  last attempt",
		"0000000d   down.example                              disabled         5  10s ago",
		"0000000c   hooks.example                             active           0  never",
	}
	if d := cmp.Diff(want, topScreen("http://hub", before, now)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// A screen begins with what it needs, is drawn over itself, and is given back in the end.
func TestScreenView(t *testing.T) {
	var out bytes.Buffer
	show := screenView(&out, "http://hub")
	now := looked(t, 10*time.Second, laterMetrics)
	show(now.dawn(), now)
	show(now, now)
	screenEnd(&out)
	if got := out.String(); !strings.HasPrefix(got, topBegin+topHome) || strings.Count(got, topBegin) != 1 || strings.Count(got, topHome) != 2 || !strings.HasSuffix(got, topBelow+topEnd) {
		t.Errorf("%q", got)
	}
}

func TestQuantile(t *testing.T) {
	before, now := looked(t, 0, earlierMetrics), looked(t, time.Second, laterMetrics)
	for share, want := range map[float64]time.Duration{.5: time.Millisecond, .6: time.Millisecond, .9: 10 * time.Millisecond, 1: math.MaxInt64} {
		if got := quantile(before, now, share, "matric_stream_latency_seconds"); got != want {
			t.Errorf("%v: %v; want %v", share, got, want)
		}
	}
	for name, got := range map[string]time.Duration{
		"no such metric": quantile(before, now, .5, "matric_nothing"), "nothing new": quantile(now, now, .5, "matric_stream_latency_seconds"),
		"of another label": quantile(before, now, .5, "matric_stream_latency_seconds", "transport", "poll"),
	} {
		if got >= 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A hub that is away is waited for; one that was never there is an error; what is refused is one, too.
func TestTopKeepsLooking(t *testing.T) {
	answers := 0
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0k3n" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch {
		case r.URL.Path == "/metrics":
			if answers++; answers == 2 {
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, _ = w.Write([]byte(laterMetrics))
		case r.URL.Path == "/api/v1/connections" && r.URL.RawQuery == "limit=10&sort=lag", r.URL.Path == "/api/v1/webhooks":
			_, _ = w.Write([]byte("[]"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer hub.Close()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"top", "--url", hub.URL, "--token", "t0k3n", "--count", "3", "--interval", "1ns"}, &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if strings.Count(out.String(), "\n") != 2 || errs.String() != "matric-events: GET /metrics: 500 Internal Server Error\n" {
		t.Errorf("%q, %q", out.String(), errs.String())
	}
	for name, args := range map[string][]string{
		"no token": {"--url", hub.URL}, "nobody there": {"--url", "http://127.0.0.1:1"}, "no URL": {"--url", "hub"},
	} {
		errs.Reset()
		if code := run(t.Context(), append([]string{"top", "--count", "1"}, args...), &out, &errs); code != 1 || errs.Len() == 0 {
			t.Errorf("%s: exit code %d, %q", name, code, errs.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := run(ctx, []string{"top", "--url", hub.URL}, &out, &errs); code != 0 {
		t.Errorf("exit code %d after an interrupt", code)
	}
}

func TestShortForms(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "-", 0: "0s", 1500 * time.Nanosecond: "2µs", 1234567 * time.Nanosecond: "1.2ms", 90 * time.Second: "1m30s", 3*time.Hour + 5*time.Minute: "3h05m",
		72 * time.Hour: "3d", math.MaxInt64: "more",
	} {
		if got := short(d); got != want {
			t.Errorf("short(%d) = %s; want %s", d, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.25: "0.2", 123.4: "123", 12345: "12.3k", 2.5e6: "2.5M"} {
		if got := short64(v); got != want {
			t.Errorf("short64(%v) = %s; want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{1023: "1023 B", 1536: "1.5 KiB", 3 << 20: "3.0 MiB", 5 << 30: "5.0 GiB"} {
		if got := size(v); got != want {
			t.Errorf("size(%v) = %s; want %s", v, got, want)
		}
	}
}

// A server that is no hub, or one that does not let us look, is told by what it did not answer.
func TestTopSaysWhatItCouldNotRead(t *testing.T) {
	for path, want := range map[string]string{"/metrics": "GET /metrics: ", "/api/v1/connections": "GET /api/v1/connections: ", "/api/v1/webhooks": "GET /api/v1/webhooks: "} {
		for answer, status := range map[string]int{"no metrics { and no JSON": http.StatusOK, "": http.StatusForbidden} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Header.Get("Authorization") != "Bearer letmein":
					w.WriteHeader(http.StatusUnauthorized)
				case r.URL.Path == path:
					w.WriteHeader(status)
					_, _ = io.WriteString(w, answer)
				case r.URL.Path != "/metrics":
					_, _ = io.WriteString(w, "[]")
				}
			}))
			var out, errs bytes.Buffer
			code := run(t.Context(), []string{"top", "--count", "1", "--url", server.URL, "--token", "letmein"}, &out, &errs)
			server.Close()
			if code != 1 || !strings.Contains(errs.String(), want) || status == http.StatusForbidden && !strings.Contains(errs.String(), "403 Forbidden") {
				t.Errorf("%s answers %d %q: %d %s", path, status, answer, code, errs.String())
			}
		}
	}
}
