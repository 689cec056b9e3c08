package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/app/delivery"
	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
	"github.com/matric/matric-events/ports"
)

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

type streams struct{ app.StreamStats }

func (s streams) Stats() app.StreamStats { return s.StreamStats }

type lossy struct{}

func (lossy) Dropped() uint64 { return 12 }

type meter struct {
	asked *int
	err   error
}

func (m meter) Backlog(context.Context) ([]webhook.Backlog, error) {
	*m.asked++
	return []webhook.Backlog{{Status: webhook.Pending, Count: 3, Oldest: time.Now().Add(-time.Minute)}}, m.err
}

type quiet struct{}

func (quiet) Changed() {}
func (quiet) Demand()  {}

// everything returns an observer that counts all there is, and sources for all that is read.
func everything(t *testing.T) (*Observer, Sources) {
	t.Helper()
	logs := OpenLogs(&sink{}, "info", JSON)
	t.Cleanup(func() { _ = logs.Close() })
	o := NewObserver(logs.Logger(), NewRegistry("dev"))
	o.Stores()
	o.Sender(nil)
	bridge, log := newBridge()
	o.Publisher(bridge)
	if _, err := bridge.PublishNoteEvents(t.Context(), []domain.NoteEvent{{Note: domain.NoteUpdated{NoteID: id(1), Operation: domain.Created}}}); err != nil {
		t.Fatal(err)
	}
	publish(t, log, event(2, domain.QueueStatus{Running: 1}))
	registry := app.NewRegistry(app.Limits{}, o)
	place, err := registry.Admit("websocket", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	place.Occupy(member{domain.Connection{ID: id(3), Transport: "websocket", Lag: 4}})
	var s app.StreamStats
	s.WebSocket = app.TransportStats{Accepted: 1, Rejected: 2, Writes: 3, Bytes: 4, Events: 5, Lapped: 6, Missed: 7, Replays: [app.ReplayResults]uint64{8, 9, 10}}
	s.WebSocket.Latency.Observe(time.Millisecond, 2)
	s.WebSocket.Latency.Observe(time.Hour, 1)
	s.SSE.ReplaySize.Observe(11)
	return o, Sources{
		Log: log, Bridge: bridge, Registry: registry, Streams: streams{s}, Mirror: NewMirror(logs, log, three, 1), Logs: logs,
		Queue: counter{}, Webhooks: dispatcher{}, Outbox: outbox{}, Backlog: meter{asked: new(int)}, Spans: lossy{},
	}
}

func newBridge() (*app.Bridge, *eventlog.Log) {
	log := eventlog.New(id(0), eventlog.Options{})
	next := 100
	return app.NewBridge(log, func() domain.UUID { next++; return id(next) }, quiet{}, app.BridgeOptions{}), log
}

func TestMetricsReadTheirSources(t *testing.T) {
	o, s := everything(t)
	contains(t, scrape(t, o, s),
		`matric_events_published_total{source="hub",type="QueueStatus"} 1`, `matric_events_published_total{source="api",type="NoteUpdated"} 1`,
		`matric_events_published_total{source="outbox",type="NoteUpdated"} 0`,
		"matric_log_events 2", "matric_log_oldest_age_seconds ", `matric_reader_lag_events{reader="webhooks"} 0`,
		`matric_reader_lag_events{reader="connections"} 4`, `matric_reader_lag_events{reader="mirror"} 2`,
		`matric_reader_missed_events_total{reader="mirror"} 0`, `matric_reader_missed_events_total{reader="websocket"} 7`,
		`matric_connections{transport="websocket"} 1`, `matric_connections{transport="poll"} 0`, `matric_connections{transport="mcp"} 0`,
		`matric_queue_jobs{state="running"} 2`, `matric_queue_jobs{state="pending"} 3`,
		`matric_webhook_deliveries_in_flight{stage="place"} 6`, `matric_webhook_deliveries_in_flight{stage="answer"} 5`,
		`matric_webhook_deliveries_in_flight{stage="store"} 7`, `matric_webhook_endpoints{state="pending"} 8`,
		`matric_webhook_endpoints{state="failing"} 9`, "matric_logger_dropped_lines_total 0", "matric_spans_dropped_total 12",
		"matric_outbox_records 11", "matric_outbox_oldest_age_seconds 1.5",
		`matric_webhook_backlog_deliveries{state="pending"} 3`, `matric_webhook_backlog_deliveries{state="dead"} 0`,
		`matric_webhook_backlog_oldest_age_seconds{state="pending"} 59.9`,
		`matric_stream_handshakes_total{result="rejected",transport="websocket"} 2`, `matric_stream_bytes_total{transport="websocket"} 4`,
		`matric_stream_replays_total{result="unknown",transport="websocket"} 10`,
		`matric_stream_latency_seconds_bucket{transport="websocket",le="0.0005"} 0`,
		`matric_stream_latency_seconds_bucket{transport="websocket",le="0.001"} 2`,
		`matric_stream_latency_seconds_bucket{transport="websocket",le="10"} 2`,
		`matric_stream_latency_seconds_bucket{transport="websocket",le="+Inf"} 3`,
		`matric_stream_replay_events_bucket{transport="sse",le="10"} 0`, `matric_stream_replay_events_bucket{transport="sse",le="100"} 1`,
		`matric_stream_replay_events_sum{transport="sse"} 11`,
	)
}

func TestCountsThatFailAreLeftOut(t *testing.T) {
	o := NewObserver(OpenLogs(&sink{}, "info", JSON).Logger(), NewRegistry("dev"))
	metrics := scrape(t, o, Sources{Queue: counter{errors.New("no database")}, Backlog: meter{new(int), errors.New("no database")}, Outbox: outbox{errors.New("no database")}})
	for _, name := range []string{"matric_queue_jobs{", "matric_webhook_backlog", "matric_outbox_"} {
		if strings.Contains(metrics, name) {
			t.Errorf("%s in the metrics although counting failed", name)
		}
	}
}

func TestBacklogIsNotCountedForEachScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		var c backlogCache
		for range 25 {
			if _, counts, err := c.get(t.Context(), meter{asked: &asked}); err != nil || len(counts) != 1 {
				t.Fatal(counts, err)
			}
			time.Sleep(time.Second)
		}
		if asked != 3 {
			t.Errorf("counted %d times in 25 s; want 3", asked)
		}
	})
}

func TestStreamCountsNeverFall(t *testing.T) {
	var c streamCounts
	stats := func(events uint64) (s app.StreamStats) {
		s.SSE.Events = events
		return s
	}
	for _, step := range []struct{ counted, served uint64 }{{5, 5}, {3, 5}, {4, 5}, {6, 6}} {
		if got := c.risen(stats(step.counted)).SSE.Events; got != step.served {
			t.Errorf("%d events are served as %d; want %d", step.counted, got, step.served)
		}
	}
}

// The table for operators has every metric, with its type, labels and help, and no other.
func TestDocumentedMetrics(t *testing.T) {
	o, s := everything(t)
	o.Metrics(s)
	o.Anomaly("test", errors.New("so that it has a sample"))
	families, err := o.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "matric_") {
			continue // of the runtime and the process, which are not ours
		}
		var labels []string
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if name := "`" + l.GetName() + "`"; !slices.Contains(labels, name) {
					labels = append(labels, name)
				}
			}
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, " "), f.GetHelp()))
	}
	doc, err := os.ReadFile("../../docs/operations/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(doc)) {
		if strings.HasPrefix(line, "| `matric_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("docs/operations/metrics.md: -registry +table:\n%s\nwant:\n%s", d, strings.Join(want, "\n"))
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	o, s := everything(t)
	o.Metrics(s)
	families, err := o.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "matric_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// Labels are of closed sets: whatever happens, there are no more series than this.
func TestFewSeries(t *testing.T) {
	o, s := everything(t)
	o.Metrics(s)
	for n := range 5000 {
		c := domain.Connection{ID: id(n), Transport: "websocket", Since: time.Now(), Remote: fmt.Sprint("192.0.2.1:", n), User: fmt.Sprint("user", n)}
		o.ConnectionOpened(c)
		o.ConnectionClosed(c, fmt.Sprint("peer ", n))
		o.ConnectionClosed(c, fmt.Sprint("write: error ", n))
		o.ConnectionClosed(c, fmt.Sprint("reason ", n))
	}
	families, err := o.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for _, f := range families {
		series += len(f.GetMetric())
	}
	if series > 400 {
		t.Errorf("%d series", series)
	}
}
