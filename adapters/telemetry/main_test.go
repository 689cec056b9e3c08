package telemetry

import (
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matric/matric-events/app/eventlog"
	"github.com/matric/matric-events/domain"
)

func id(n int) domain.UUID { return domain.UUID{6: 0x70, 14: byte(n >> 8), 15: byte(n)} }

// sink is a place to write to that a test can look at, make fail, and make wait.
type sink struct {
	mu    sync.Mutex
	text  strings.Builder
	stuck chan struct{} // writes wait until it is closed; nil for not at all
}

func (s *sink) Write(p []byte) (int, error) {
	if s.stuck != nil {
		<-s.stuck
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

var _ io.Writer = (*sink)(nil)

// lines decodes structured log output.
func (s *sink) lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(s.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, m)
	}
	return all
}

// flushed closes the logs and returns the lines.
func (s *sink) flushed(t *testing.T, l *Logs) []map[string]any {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return s.lines(t)
}

func publish(t *testing.T, log *eventlog.Log, events ...domain.Event) {
	t.Helper()
	if err := log.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func event(n int, p domain.Payload) domain.Event {
	return domain.Event{ID: id(n), OccurredAt: time.Now(), Payload: p}
}
