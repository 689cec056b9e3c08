package harness

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/tests/harness/eventstream"
)

// Do sends a request with a JSON body, none when it is empty, and returns the status and the body.
func (s *Server) Do(method, path, body string) (status int, answer []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// Call is Do for calls that must succeed with the status given; it returns the object in the answer.
func (s *Server) Call(want int, method, path, body string) map[string]any {
	s.t.Helper()
	status, answer := s.Do(method, path, body)
	if status != want {
		s.t.Fatalf("%s %s %s = %d %s; want %d", method, path, body, status, answer, want)
	}
	var object map[string]any
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &object); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
	return object
}

// Event is one event as it came over an event stream.
type Event struct {
	Name, ID string
	Raw      []byte
	Data     map[string]any
}

// Stream is an open event stream.
type Stream struct {
	t      testing.TB
	events chan Event // closed when the stream ends
	cancel context.CancelFunc
}

// Events opens the event stream, with a query such as ?types=job, resuming after an event unless lastEventID is empty. It
// returns once the server has answered.
func (s *Server) Events(query, lastEventID string) *Stream {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/events"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET /api/v1/events%s = %s", query, resp.Status)
	}
	st := Follow(s.t, resp.Body)
	st.cancel = cancel
	return st
}

// Follow reads an event stream from anywhere, such as curl's output, as a browser would.
func Follow(t testing.TB, body io.ReadCloser) *Stream {
	st := &Stream{t: t, events: make(chan Event, 4096), cancel: func() { _ = body.Close() }}
	go st.read(body)
	return st
}

func (st *Stream) read(body io.ReadCloser) {
	defer close(st.events)
	defer body.Close()
	for r := eventstream.NewReader(body); ; {
		got, err := r.Next()
		if err != nil {
			return
		}
		e := Event{Name: got.Name, ID: got.ID, Raw: []byte(got.Data)}
		_ = json.Unmarshal(e.Raw, &e.Data) // tests look at what is in it
		if _, has := e.Data["event_id"]; !has {
			e.ID = "" // the stream's last one, which a browser would give to this event as well
		}
		st.events <- e
	}
}

// Next returns the next event; the test fails when none comes in time. ok is false when the stream has ended.
func (st *Stream) Next() (e Event, ok bool) {
	st.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	select {
	case e, ok = <-st.events:
		return e, ok
	case <-ctx.Done():
		st.t.Fatalf("no event within %v", Patience)
		return e, false
	}
}

// Until returns the events up to and including the first that f accepts; the test fails when the stream ends before.
func (st *Stream) Until(f func(Event) bool) (seen []Event) {
	st.t.Helper()
	for {
		e, ok := st.Next()
		if !ok {
			st.t.Fatalf("the stream ended; seen: %v", Names(seen))
		}
		if seen = append(seen, e); f(e) {
			return seen
		}
	}
}

// Close ends the stream.
func (st *Stream) Close() { st.cancel() }

// Named accepts events of a name.
func Named(name string) func(Event) bool { return func(e Event) bool { return e.Name == name } }

// Names returns the names of events.
func Names(events []Event) (names []string) {
	for _, e := range events {
		names = append(names, e.Name)
	}
	return names
}

// TryDo is Do for requests that may fail, because the server is being killed: the status is then 0.
func (s *Server) TryDo(method, path, body string) (status int, answer []byte) {
	req, err := http.NewRequestWithContext(context.Background(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil
	}
	return resp.StatusCode, answer
}

// List gets an array of objects.
func (s *Server) List(path string) (list []map[string]any) {
	s.t.Helper()
	status, answer := s.Do("GET", path, "")
	if err := json.Unmarshal(answer, &list); status != 200 || err != nil {
		s.t.Fatalf("GET %s = %d %s", path, status, answer)
	}
	return list
}

// AwaitConnections waits until the server has n connections.
func (s *Server) AwaitConnections(n int) {
	s.t.Helper()
	for deadline := time.Now().Add(Patience); len(s.List("/api/v1/connections")) < n; {
		if time.Now().After(deadline) {
			s.t.Fatalf("no %d connections within %v", n, Patience)
		}
		time.Sleep(5 * time.Millisecond) // the server does not announce them
	}
}
