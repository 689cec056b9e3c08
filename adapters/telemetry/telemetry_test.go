package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

func id(n byte) domain.UUID { return domain.UUID{15: n, 6: 0x70} }

// lines decodes structured log output.
func lines(t *testing.T, out *bytes.Buffer) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, m)
	}
	return all
}

func TestObserverLogsAndCounts(t *testing.T) {
	var out bytes.Buffer
	reg := NewRegistry("1.2.3")
	o := NewObserver(NewLogger(&out, "debug", false), reg)
	c := domain.Connection{ID: id(1), Transport: "sse", Remote: "127.0.0.1:9", User: "ada", Since: time.Now(), Delivered: 7, Lag: 2}
	o.ConnectionOpened(c)
	o.ConnectionClosed(c, "write: broken pipe")
	o.ConnectionClosed(c, "peer 3999")
	o.Refused("websocket", "connections")
	o.Anomaly("outbox", errors.New("disk on fire"))

	got := lines(t, &out)
	if len(got) != 5 {
		t.Fatalf("%d lines; want 5: %s", len(got), out.String())
	}
	for key, want := range map[string]any{
		"message": "connection closed", "connection.id": id(1).String(), "transport": "sse", "remote": "127.0.0.1:9",
		"user": "ada", "reason": "write: broken pipe", "delivered": 7.0, "lag": 2.0, "level": "info",
	} {
		if got[1][key] != want {
			t.Errorf("%s = %v; want %v", key, got[1][key], want)
		}
	}
	if got[4]["level"] != "warn" || got[4]["error"] != "disk on fire" || got[4]["kind"] != "outbox" {
		t.Errorf("anomaly = %v", got[4])
	}
	metrics := scrape(t, reg, Sources{})
	for _, want := range []string{
		`matric_connections_opened_total{transport="sse"} 1`,
		`matric_connections_closed_total{cause="write",transport="sse"} 1`,
		`matric_connections_closed_total{cause="peer",transport="sse"} 1`,
		`matric_connections_refused_total{reason="connections",transport="websocket"} 1`,
		`matric_anomalies_total{kind="outbox"} 1`,
		`matric_build_info{go="go`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

type counter struct{ err error }

func (c counter) CountJobs(context.Context) (domain.QueueStatus, error) {
	return domain.QueueStatus{Running: 2, Pending: 3}, c.err
}

type member struct{ domain.Connection }

func (m member) Describe() domain.Connection { return m.Connection }
func (member) Announce(time.Duration)        {}
func (member) Close(app.CloseReason)         {}

type outbox struct{ err error }

func (o outbox) Stats(context.Context) (ports.OutboxStats, error) {
	return ports.OutboxStats{Records: 11, Oldest: 1500 * time.Millisecond}, o.err
}

type dispatcher struct{}

func (dispatcher) Stats() delivery.Stats {
	return delivery.Stats{Sending: 5, Waiting: 6, Unsettled: 7, Pending: 8, Failing: 9}
}

func TestMetricsReadTheirSources(t *testing.T) {
	reg := NewRegistry("dev")
	log := eventlog.New(id(1), eventlog.Options{})
	e := domain.Event{ID: id(2), OccurredAt: time.Now(), Payload: domain.QueueStatus{Running: 1}}
	if err := log.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	connections := app.NewRegistry(app.Limits{}, NewObserver(zerolog.Nop(), reg))
	place, err := connections.Admit("websocket", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	place.Occupy(member{domain.Connection{ID: id(3), Transport: "websocket", Lag: 4}})
	metrics := scrape(t, reg, Sources{Log: log, Registry: connections, Queue: counter{}, Webhooks: dispatcher{}, Outbox: outbox{}})
	for _, want := range []string{
		`matric_events_published_total{type="QueueStatus"} 1`, `matric_events_published_total{type="NoteUpdated"} 0`,
		"matric_log_events 1", "matric_log_oldest_age_seconds", "matric_log_unstored_events 0",
		`matric_connections{transport="websocket"} 1`, `matric_connections{transport="poll"} 0`, "matric_connection_lag_max_events 4",
		`matric_queue_jobs{state="running"} 2`, `matric_queue_jobs{state="pending"} 3`,
		`matric_webhook_deliveries_in_flight{stage="place"} 6`, `matric_webhook_deliveries_in_flight{stage="answer"} 5`,
		`matric_webhook_deliveries_in_flight{stage="store"} 7`, `matric_webhook_endpoints{state="pending"} 8`,
		`matric_webhook_endpoints{state="failing"} 9`, "matric_outbox_records 11", "matric_outbox_oldest_age_seconds 1.5",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics:\n%s", want, metrics)
		}
	}
}

func TestCountsThatFailAreLeftOut(t *testing.T) {
	if metrics := scrape(t, NewRegistry("dev"), Sources{
		Queue: counter{errors.New("no database")}, Outbox: outbox{errors.New("no database")},
	}); strings.Contains(metrics, "matric_queue_jobs{") || strings.Contains(metrics, "matric_outbox") {
		t.Error("counts in the metrics although counting failed")
	}
}

func scrape(t *testing.T, reg *prometheus.Registry, s Sources) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(reg, s).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("GET /metrics = %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestLogger(t *testing.T) {
	for _, tc := range []struct {
		name, level string
		console     bool
		want, not   string
	}{
		{"json", "info", false, `"message":"told"`, "whispered"},
		{"an unknown level is info", "loud", false, `"message":"told"`, "whispered"},
		{"debug", "debug", false, "whispered", "nothing of the kind"},
		{"for people", "info", true, "told", `"message"`},
	} {
		var out bytes.Buffer
		log := NewLogger(&out, tc.level, tc.console)
		log.Info().Msg("told")
		log.Debug().Msg("whispered")
		if !strings.Contains(out.String(), tc.want) || strings.Contains(out.String(), tc.not) {
			t.Errorf("%s: %q; want %q and not %q", tc.name, out.String(), tc.want, tc.not)
		}
	}
}

func TestStandardLogIsDebug(t *testing.T) {
	var out bytes.Buffer
	StandardLog(NewLogger(&out, "debug", false)).Print("http: TLS handshake error")
	if got := lines(t, &out); len(got) != 1 || got[0]["level"] != "debug" || !strings.HasPrefix(got[0]["line"].(string), "http: TLS") {
		t.Errorf("got %v", got)
	}
}
