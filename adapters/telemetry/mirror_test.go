package telemetry

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

const canary = "c4n4ry"

// everyType returns one event of each type, with a canary in each text that is nobody's business.
func everyType() []domain.Event {
	ref := domain.JobRef{JobID: id(100), JobType: "Embedding", NoteID: id(101)}
	ms, priority := int64(42), 2
	return []domain.Event{
		event(1, domain.JobQueued{JobRef: ref, Priority: &priority}),
		event(2, domain.JobStarted{JobRef: ref}),
		event(3, domain.JobProgress{JobRef: domain.JobRef{JobID: id(100)}, Percent: 65, Message: canary}),
		event(4, domain.JobCompleted{JobRef: ref, DurationMS: &ms}),
		event(5, domain.JobFailed{JobRef: ref, Error: strings.Repeat("no luck ", 25) + canary, WillRetry: true}),
		event(6, domain.NoteUpdated{NoteID: id(101), Operation: domain.Created, UserID: "ada", Title: canary, Tags: []string{canary}}),
		event(7, domain.QueueStatus{Running: 1, Pending: 2}),
	}
}

// run runs the mirror within a bubble until stop is called.
func run(t *testing.T, m *Mirror) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
}

func three() int { return 3 }

func TestMirrorHasALineForEachEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, log := &sink{}, eventlog.New(id(0), eventlog.Options{})
		logs := OpenLogs(out, "debug", JSON)
		stop := run(t, NewMirror(logs, log, three, 1))
		events := everyType()
		synctest.Wait()
		publish(t, log, events...)
		stop()
		got := out.flushed(t, logs)
		at := events[0].OccurredAt.UTC().Format(time.RFC3339Nano)
		line := func(n int, level, kind string, more map[string]any) map[string]any {
			m := map[string]any{
				"level": level, "time": at, "message": "event", "event.type": kind, "event.id": id(n).String(), "event.occurred_at": at,
				"subscribers": 3.0, "latency_us": 0.0,
			}
			for k, v := range more {
				m[k] = v
			}
			return m
		}
		job := func(more map[string]any) map[string]any {
			m := map[string]any{"job_id": id(100).String(), "note_id": id(101).String(), "job_type": "Embedding"}
			for k, v := range more {
				m[k] = v
			}
			return m
		}
		want := []map[string]any{
			line(1, "info", "JobQueued", job(nil)),
			line(2, "info", "JobStarted", job(nil)),
			line(3, "debug", "JobProgress", map[string]any{"job_id": id(100).String(), "progress": 65.0}),
			line(4, "info", "JobCompleted", job(map[string]any{"duration_ms": 42.0})),
			line(5, "warn", "JobFailed", job(map[string]any{"error": strings.Repeat("no luck ", 25) + "…", "will_retry": true})),
			line(6, "info", "NoteUpdated", map[string]any{"note_id": id(101).String(), "operation": "created", "user_id": "ada"}),
			line(7, "debug", "QueueStatus", map[string]any{"running": 1.0, "pending": 2.0}),
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		if strings.Contains(out.String(), canary) {
			t.Errorf("a text that is nobody's business is in\n%s", out)
		}
	})
}

func TestMirrorForPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, log := &sink{}, eventlog.New(id(0), eventlog.Options{})
		logs := OpenLogs(out, "debug", Console)
		stop := run(t, NewMirror(logs, log, three, 1))
		publish(t, log, everyType()...)
		stop()
		if err := logs.Close(); err != nil {
			t.Fatal(err)
		}
		for kind := range domain.AllTypes.All() {
			if !strings.Contains(out.String(), "event.type="+kind.String()+" ") {
				t.Errorf("no line for %s in\n%s", kind, out)
			}
		}
	})
}

func TestMirrorKeepsToTheLevel(t *testing.T) {
	for level, want := range map[string]int{"trace": 7, "debug": 7, "info": 5, "warn": 1, "error": 0, "disabled": 0} {
		synctest.Test(t, func(t *testing.T) {
			out, log := &sink{}, eventlog.New(id(0), eventlog.Options{})
			logs := OpenLogs(out, level, JSON)
			m := NewMirror(logs, log, three, 1)
			stop := run(t, m)
			publish(t, log, everyType()...)
			stop()
			if got := out.flushed(t, logs); len(got) != want {
				t.Errorf("%s: %d lines; want %d", level, len(got), want)
			}
			if behind, missed := m.Lag(); behind != 0 || missed != 0 {
				t.Errorf("%s: %d behind, %d missed", level, behind, missed)
			}
		})
	}
}

// A place that takes nothing costs publishers nothing; the events that the log no longer has afterwards are counted, and
// told in a line.
func TestMirrorFallsBehindAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, log := &sink{stuck: make(chan struct{})}, eventlog.New(id(0), eventlog.Options{Capacity: 10})
		logs := OpenLogs(out, "info", JSON)
		m := NewMirror(logs, log, three, 1)
		stop := run(t, m)
		synctest.Wait()
		publish(t, log, event(1, domain.NoteUpdated{NoteID: id(1), Operation: domain.Created}))
		synctest.Wait() // the mirror waits for the place
		for n := range 30 {
			publish(t, log, event(2+n, domain.NoteUpdated{NoteID: id(1), Operation: domain.Updated}))
		}
		if behind, _ := m.Lag(); behind != 31 {
			t.Errorf("%d behind; want 31", behind)
		}
		close(out.stuck)
		stop()
		got := out.flushed(t, logs)
		if len(got) != 12 || got[1]["message"] != "events missed" || got[1]["missed"] != 20.0 || got[1]["level"] != "warn" {
			t.Errorf("%d lines; want one, a warning of 20 missed, and ten:\n%s", len(got), out)
		}
		if behind, missed := m.Lag(); behind != 0 || missed != 20 {
			t.Errorf("%d behind, %d missed; want 0 and 20", behind, missed)
		}
	})
}

func TestMirrorSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, log := &sink{}, eventlog.New(id(0), eventlog.Options{})
		logs := OpenLogs(out, "info", JSON)
		stop := run(t, NewMirror(logs, log, three, 10))
		ref := domain.JobRef{JobID: id(100), JobType: "Embedding"}
		for n := range 100 {
			publish(t, log, event(2*n+1, domain.JobStarted{JobRef: ref}), event(2*n+2, domain.JobFailed{JobRef: ref, Error: "no"}))
		}
		publish(t, log, event(1000, domain.NoteUpdated{NoteID: id(1), Operation: domain.Created}))
		stop()
		count := map[any]int{}
		for _, line := range out.flushed(t, logs) {
			count[line["event.type"]]++
			if sample, told := line["sample"]; told == (line["event.type"] == "JobFailed") || told && sample != 10.0 {
				t.Errorf("%v says sample %v", line["event.type"], sample)
			}
		}
		if d := cmp.Diff(map[any]int{"JobStarted": 10, "JobFailed": 100, "NoteUpdated": 1}, count); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

// What one delivery costs does not depend on the mirror: it shares nothing with readers but the log. What one line costs:
func BenchmarkMirror(b *testing.B) {
	log := eventlog.New(id(0), eventlog.Options{Capacity: mirrorBatch})
	m := NewMirror(OpenLogs(discard{}, "debug", JSON), log, three, 1)
	for n := range mirrorBatch {
		_ = log.Publish(b.Context(), event(n+1, everyType()[n%7].Payload))
	}
	batch := make([]domain.Entry, 0, mirrorBatch)
	b.ReportAllocs()
	for b.Loop() {
		m.cursor.Store(0)
		m.round(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/mirrorBatch, "ns/event")
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
