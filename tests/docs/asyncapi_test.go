package docs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/harness/socket"
)

// wsClient is a WebSocket client whose messages must be the document's.
type wsClient struct {
	*messages
	t *testing.T
	*socket.Conn
}

// dial opens a WebSocket that may be told notices.
func (m *messages) dial(t *testing.T, s *harness.Server, query string) *wsClient {
	t.Helper()
	c, err := socket.Dial(t.Context(), strings.Replace(s.URL, "http", "ws", 1)+"/api/v1/ws"+query, &socket.Options{Protocols: []string{"matric.events.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Protocol != "matric.events.v1" {
		t.Errorf("subprotocol %q", c.Protocol)
	}
	t.Cleanup(c.Abort)
	return &wsClient{m, t, c}
}

// send sends a command, which must be one of the document's.
func (c *wsClient) send(message, text string) {
	c.t.Helper()
	var payload any = text
	if strings.HasPrefix(text, "{") {
		payload = json.RawMessage(text)
	}
	c.match(c.t, "websocket", message, payload)
	c.sendRaw(text)
}

func (c *wsClient) sendRaw(text string) {
	c.t.Helper()
	if err := c.Send(text); err != nil {
		c.t.Fatal(err)
	}
}

// until reads messages up to one of the name, and returns it.
func (c *wsClient) until(name string) (payload []byte) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), harness.Patience)
	defer cancel()
	for {
		text, err := c.Next(ctx)
		if err != nil {
			c.t.Fatalf("no %s: %v", name, err)
		}
		if c.received(c.t, "websocket", []byte(text)) == name {
			return []byte(text)
		}
	}
}

// tellAll has producers cause an event of every type, QueueStatus included, for a job of its own.
func tellAll(s *harness.Server, nth int) {
	job := fmt.Sprintf("019ab1f0-6f00-7c3d-8a51-%012d", nth)
	s.Call(202, "POST", "/api/v1/worker-events", strings.ReplaceAll(`[
		{"type":"JobQueued","job_id":"J","job_type":"ai_revision","note_id":"`+exampleNote+`","priority":1},{"type":"JobStarted","job_id":"J"},
		{"type":"JobProgress","job_id":"J","percent":50,"message":"half"},{"type":"JobFailed","job_id":"J","error":"e","will_retry":true},
		{"type":"JobStarted","job_id":"J"},{"type":"JobCompleted","job_id":"J"},{"type":"WorkerStopped"}]`, `"J"`, `"`+job+`"`))
	s.Call(202, "POST", "/api/v1/note-events",
		`{"operation":"updated","note_id":"`+exampleNote+`","user_id":"ana","title":"t","tags":["x"],"has_ai_content":true,"has_links":true}`)
}

// TestWebSocketMessages speaks every command, and wants every message that the document has.
func TestWebSocketMessages(t *testing.T) {
	m := newMessages(t)
	s := harness.Serve(t)
	c := m.dial(t, s, "")
	c.until("QueueStatus")
	tellAll(s, 1)
	c.until("NoteUpdated")
	for !m.seen["websocket/QueueStatus"]["event_id"] { // the one for everybody, before or after
		c.until("QueueStatus")
	}

	for _, id := range []string{`7`, `"seven"`, `-7.5e2`} {
		c.send("Ping", `{"type":"ping","id":`+id+`}`)
		if got := c.until("Pong"); string(got) != `{"type":"pong","id":`+id+`}` {
			t.Errorf("ping %s: %s", id, got)
		}
	}
	c.send("Ping", `{"type":"ping"}`)
	c.until("Pong")
	c.send("Refresh", `{"type":"refresh"}`)
	c.until("QueueStatus")
	c.send("RefreshWord", `refresh`)
	c.until("QueueStatus")

	c.send("Unsubscribe", `{"type":"unsubscribe","id":1}`)
	c.until("Unsubscribed")
	c.send("Subscribe", `{"type":"subscribe","id":"s","types":["job","queue.status","future"],"job_ids":["`+workersJob+`"],"note_ids":["`+exampleNote+`"]}`)
	c.until("Subscribed")
	c.send("Subscribe", `{"type":"subscribe","last_event_id":"`+nobody+`"}`)
	c.until("Subscribed")
	c.until("ResyncRequired")

	for code, command := range map[string]string{
		"bad_json":       `{"type":`,
		"unknown_type":   `{"type":"publish","id":1}`,
		"invalid_filter": `{"type":"subscribe","id":2,"types":["nothing"]}`,
		"too_large":      `{"type":"subscribe","job_ids":["` + strings.Repeat(nobody+`","`, 1000) + nobody + `"]}`,
	} {
		c.sendRaw(command)
		if got := c.until("Error"); !strings.Contains(string(got), `"code":"`+code+`"`) {
			t.Errorf("%.80s: %s; want %s", command, got, code)
		}
	}

	m.lag(t)
	done := make(chan int, 1)
	go func() { done <- s.Stop() }()
	c.until("Draining")
	c.Abort() // or the server waits for our answer to its close frame
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
	m.complete(t, "websocket")
}

// lag has a client that does not read fall behind a small log.
func (m *messages) lag(t *testing.T) {
	t.Helper()
	s := harness.Serve(t, "--bus-capacity", "8")
	slow := m.dial(t, s, "?on_lag=skip&types=job")
	flood(s)
	slow.until("EventsLagged")
}

// flood publishes more than the buffers of a connection hold: 24 MB in 32 events.
func flood(s *harness.Server) {
	for i := range 32 {
		s.Call(202, "POST", "/api/v1/worker-events", fmt.Sprintf(`{"type":"JobProgress","job_id":"%s","percent":%d,"message":"%s"}`,
			workersJob, i, strings.Repeat("x", 750_000)))
	}
}

// TestEventStreamMessages wants every message that the document has on server-sent events.
func TestEventStreamMessages(t *testing.T) {
	m := newMessages(t)
	s := harness.Serve(t)
	for _, query := range []string{"", "?names=dotted"} {
		stream := s.Events(query, nobody)
		tellAll(s, len(query))
		missing := map[string]bool{"NoteUpdated": true, "QueueStatus": true} // the one for everybody, which has an id
		for _, e := range stream.Until(func(e harness.Event) bool {
			if e.ID != "" {
				delete(missing, e.Data["type"].(string))
			}
			return len(missing) == 0
		}) {
			m.streamed(t, e, query != "")
		}
		stream.Close()
	}

	small := harness.Serve(t, "--bus-capacity", "8")
	body := unread(t, small)
	flood(small)
	for e, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: 2 << 20}) {
		if err != nil {
			t.Fatal(err)
		}
		got := harness.Event{Name: e.Type, Raw: []byte(e.Data)}
		if err := json.Unmarshal(got.Raw, &got.Data); err != nil {
			t.Fatal(err)
		}
		if got.Data["event_id"] != nil { // e.LastEventID is kept over events that have none
			got.ID = e.LastEventID
		}
		m.streamed(t, got, false)
		if e.Type == "events.lagged" {
			break
		}
	}
	m.complete(t, "events")
}

// unread opens an event stream of which nothing is read yet but the head.
func unread(t *testing.T, s *harness.Server) io.Reader {
	t.Helper()
	dialer := net.Dialer{Timeout: harness.Patience}
	nc, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() }) // the server may have closed it
	if err := nc.SetDeadline(time.Now().Add(harness.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(nc, "GET /api/v1/events HTTP/1.1\r\nHost: hub.example\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res.Body
}

// noticeNames are the names of notices on server-sent events.
var noticeNames = map[string]string{"ResyncRequired": "resync_required", "EventsLagged": "events.lagged"}

// streamed checks a server-sent event, its name and its identifier.
func (m *messages) streamed(t *testing.T, e harness.Event, dotted bool) {
	t.Helper()
	typ := m.received(t, "events", e.Raw)
	id, _ := e.Data["event_id"].(string)
	want := typ
	if dotted {
		want = strings.ToLower(typ[:1]) + typ[1:]
		i := strings.IndexFunc(want, func(r rune) bool { return r < 'a' })
		want = want[:i] + "." + strings.ToLower(want[i:])
	}
	if notice, ok := noticeNames[typ]; ok {
		want = notice
	}
	if e.Name != want || e.ID != id {
		t.Errorf("event %q with id %q: %s; want %q", e.Name, e.ID, e.Raw, want)
	}
}

// TestDeliveries wants every type delivered as the document says, during a rotation of secrets, too.
func TestDeliveries(t *testing.T) {
	m := newMessages(t)
	s := harness.Serve(t, webhooksOnLoopback...)
	to := harness.NewReceiver(t, nil)
	hook := s.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q,"events":["job","note","queue"]}`, to.URL))
	s.Call(200, "POST", fmt.Sprintf("/api/v1/webhooks/%s/rotate-secret", hook["id"]), "")
	newChecker(t).client(t, s).call(202, "POST", "/api/v1/note-events", `{"operation":"deleted","note_id":"`+nobody+`"}`, traced)
	tellAll(s, 1)
	got := to.Await(t, "event of each type", func(got []harness.Delivery) bool {
		types := map[string]bool{}
		for _, d := range got {
			types[d.Header.Get("X-Matric-Event")] = true
		}
		return len(types) == 7
	})
	for _, d := range got {
		m.delivered(t, d.Header, d.Body)
		if n := len(strings.Fields(d.Header.Get("webhook-signature"))); n != 2 {
			t.Errorf("%d signatures during the overlap, want 2", n)
		}
	}
	m.complete(t, "deliveries")
}
