package docs_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/tests/harness"
)

// Identifiers of the document's examples, and of nothing.
const (
	exampleNote = "019ab1f0-5d21-7b8e-b0a4-6c1f3e9d7a22"
	nobody      = "019ab1f0-0000-7000-8000-000000000000"
	traced      = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
)

// TestOperations calls every operation and wants every answer that the document has.
func TestOperations(t *testing.T) {
	c := newChecker(t)
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("correct-horse ana\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Serve(t, append([]string{"--auth-tokens-file", tokens}, webhooksOnLoopback...)...)
	for _, part := range []struct {
		name string
		run  func(*client)
	}{
		{"operations", callOperations},
		{"notes", callNotes},
		{"jobs", callJobs},
		{"producers", callProducers},
		{"streams", callStreams},
		{"agents", callAgents},
		{"webhooks", callWebhooks},
		{"deliveries", callDeliveries},
		{"refusals common to many", callAmiss},
		{"refusals of one field", callInvalid},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(c.client(t, s)) })
	}
	t.Run("limits", func(t *testing.T) { callFull(c.client(t, harness.Serve(t, "--max-connections", "1"))) })
	t.Run("standby", func(t *testing.T) { callStandby(c.within(t, httpapi.Standby())) })
	t.Run("faults", func(t *testing.T) { callFaulty(c.within(t, faulty())) })
	t.Run("without host", func(t *testing.T) { callWithoutHost(c.client(t, harness.Serve(t, "--no-host"))) })
	if !t.Failed() {
		c.seen.complete(t, c)
	}
}

func callOperations(c *client) {
	for _, path := range []string{"/", "/livez", "/readyz", "/version", "/metrics", "/openapi.yaml", "/asyncapi.yaml", "/api/v1/queue"} {
		c.call(200, "GET", path, "")
	}
	endpoints, _ := c.call(200, "GET", "/", "").object["endpoints"].(map[string]any)
	for name, path := range endpoints {
		if c.doc.Paths.Value(path.(string)) == nil {
			c.t.Errorf("GET / lists %s at %s, which the document does not have", name, path)
		}
	}
	for o := range c.operations() {
		if o.method == "GET" && o.OperationID != "openEventStream" { // which does not end
			c.sameForHead(o.at(nobody))
		}
	}
	c.closeConnection()
}

// sameForHead wants of HEAD what GET answers, without the body.
func (c *client) sameForHead(path string) {
	c.t.Helper()
	var got [2]string
	for i, method := range []string{"GET", "HEAD"} {
		res, err := http.DefaultTransport.RoundTrip(c.request(method, path, ""))
		if err != nil {
			c.t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // read to its end
		if err != nil || method == "HEAD" && len(body) > 0 {
			c.t.Errorf("%s %s: body %q, %v", method, path, body, err)
		}
		got[i] = res.Status + " " + res.Header.Get("Content-Type")
	}
	if got[0] != got[1] {
		c.t.Errorf("%s: GET gives %s, HEAD %s", path, got[0], got[1])
	}
}

func (c *client) closeConnection() {
	c.t.Helper()
	const path = "/api/v1/events?types=job&job_id=" + nobody + "&note_id=" + nobody
	c.send(200, c.request("GET", path, ""), "", upTo("retry"))
	res, err := http.DefaultTransport.RoundTrip(c.request("GET", path, "", "Authorization: Bearer correct-horse"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	listed := c.call(200, "GET", "/api/v1/connections?sort=lag&limit=9&user=ana&transport=sse", "")
	var id string
	for _, o := range listed.list(c.t) {
		if o["user"] != "ana" || o["transport"] != "sse" {
			c.t.Errorf("connection %v", o)
		}
		id, _ = o["id"].(string)
	}
	c.call(204, "DELETE", "/api/v1/connections/"+id, "")
	if _, err := io.ReadAll(res.Body); err != nil {
		c.t.Errorf("the stream did not end well: %v", err)
	}
}

func callNotes(c *client) {
	note := c.call(201, "POST", "/api/v1/notes", `{"title":"Plan","content":"See [[World]]. Garden garden.","tags":["a"],"user_id":"ana"}`, traced)
	c.call(201, "POST", "/api/v1/notes", `{"content":"no title"}`)
	c.call(201, "POST", "/api/v1/notes", `{"title":"Tagged","tags":["a"]}`, "Content-Type: application/json; charset=utf-8")
	c.call(200, "GET", note.header.Get("Location"), "")
	first := c.call(200, "GET", "/api/v1/notes?limit=1&tag=a", "")
	c.call(200, "GET", first.next(c.t), "")
	c.call(200, "GET", "/api/v1/notes?q=garden&links_to="+note.ID(), "")
	c.call(200, "PATCH", "/api/v1/notes/"+note.ID(), `{"content":"Other words.","tags":[]}`, traced)
	c.call(204, "DELETE", "/api/v1/notes/"+note.ID(), "", traced)
	c.call(404, "GET", "/api/v1/notes/"+note.ID(), "")
}

func callJobs(c *client) {
	from := c.call(200, "GET", "/api/v1/events/poll", "").object["cursor"].(string)
	note := c.call(201, "POST", "/api/v1/notes", `{"title":"Long","content":"`+strings.Repeat("many words in a row ", 45000)+`"}`)
	for range 20 { // work for a while, behind which the job to be canceled waits
		c.call(201, "POST", "/api/v1/jobs", `{"job_type":"NoteAnalysis","note_id":"`+note.ID()+`","priority":1}`)
	}
	last := c.call(201, "POST", "/api/v1/jobs", `{"job_type":"NoteAnalysis","note_id":"`+note.ID()+`","priority":4}`)
	job := last.ID()
	c.call(200, "GET", "/api/v1/jobs?note_id="+note.ID(), "")
	c.call(200, "POST", "/api/v1/jobs/"+job+"/cancel", "")
	c.call(409, "POST", "/api/v1/jobs/"+job+"/cancel", "")
	c.call(200, "GET", "/api/v1/jobs/"+job, "")
	for cursor, ended := from, []any(nil); ; { // what a job has to show for itself, it has at its end
		got := c.call(200, "GET", "/api/v1/events/poll?types=job.completed&wait=50&limit=1&after="+cursor, "").object
		if ended = got["events"].([]any); len(ended) > 0 {
			c.call(200, "GET", "/api/v1/jobs/"+ended[0].(map[string]any)["job_id"].(string), "")
			break
		}
		cursor = got["cursor"].(string)
	}
	created := c.call(201, "POST", "/api/v1/jobs", `{"job_type":"tag-suggestion","note_id":"`+note.ID()+`","priority":4,"max_attempts":1}`, traced)
	c.call(200, "GET", created.header.Get("Location"), "")
	c.call(200, "GET", "/api/v1/jobs?job_type=tag_suggestion&state=canceled", "")
	first := c.call(200, "GET", "/api/v1/jobs?limit=1", "")
	c.call(200, "GET", first.next(c.t), "")
}

// A job of which producers tell, and one note.
const (
	workersJob = "019ab1f0-6f00-7c3d-8a51-0d9a4b7c2e99"
	otherJob   = "019ab1f0-6f00-7c3d-8a51-0d9a4b7c2e98"
)

func callProducers(c *client) {
	const worker, note, poll = "/api/v1/worker-events", "/api/v1/note-events", "/api/v1/events/poll"
	from := c.call(200, "GET", poll, "").object["cursor"].(string)
	c.call(202, "POST", worker, `{"type":"JobQueued","job_id":"`+workersJob+`","job_type":"ai_revision","note_id":"`+exampleNote+`","priority":-1}`, traced)
	c.call(202, "POST", worker, `[{"type":"JobStarted","job_id":"`+workersJob+`"},{"type":"job_progress","job_id":"`+workersJob+`","progress":65,"message":"m"}]`)
	c.call(202, "POST", worker, `{"type":"JobFailed","job_id":"`+workersJob+`","error":"e","will_retry":true}`+"\n"+
		`{"type":"JobCompleted","job_id":"`+workersJob+`","occurred_at":"2026-11-23T12:41:48+01:00"}`, "Content-Type: application/x-ndjson")
	c.call(409, "POST", worker, `{"type":"JobStarted","job_id":"`+workersJob+`"}`)
	c.call(202, "POST", worker, `[{"type":"JobStarted","job_id":"`+workersJob+`"},{"type":"JobProgress","job_id":"`+otherJob+`","percent":0}]`)
	c.call(202, "POST", worker, `{"type":"JobCompleted","job_id":"`+otherJob+`","duration_ms":1840}`)
	c.call(202, "POST", worker, `{"type":"worker_stopped"}`)
	c.call(202, "POST", note, `{"operation":"created","note_id":"`+exampleNote+`","user_id":"ana","title":"t","tags":["x"],"has_ai_content":true}`, traced)
	c.call(202, "POST", note, `[]`)
	c.call(202, "POST", note, `{"operation":"deleted","note_id":"`+exampleNote+`"}`, "Content-Type: application/x-ndjson")

	c.call(200, "GET", poll+"?after="+nobody+"&job_id="+workersJob+","+otherJob, "") // all that can be in an event of a job
	c.call(200, "GET", poll+"?after="+nobody+"&types=note&note_id="+exampleNote, "")
	names := map[any]bool{}
	for cursor, types := from, ""; len(names) < 7; {
		got := c.call(200, "GET", poll+"?limit=2&wait=20&after="+cursor+types, "").object
		for _, e := range got["events"].([]any) {
			names[e.(map[string]any)["type"]] = true
		}
		cursor = got["cursor"].(string)
	}
	c.call(200, "GET", poll+"?after="+nobody+"&types=job.completed,note&job_id="+workersJob+","+otherJob+"&note_id="+exampleNote, "")
}

func callStreams(c *client) {
	hello := upTo(`"QueueStatus"`)
	c.send(200, c.request("GET", "/api/v1/events", ""), "", hello)
	c.send(200, c.request("GET", "/api/v1/events?names=dotted&types=queue,future&token=correct-horse", ""), "", upTo("queue.status"))
	c.send(200, c.request("GET", "/api/v1/events", "", "Last-Event-ID: "+nobody), "", upTo("resync_required"))
	c.send(200, c.request("GET", "/api/v1/events?lastEventId="+nobody+"&last_event_id=", ""), "", upTo("resync_required"))

	c.send(101, c.handshake("/api/v1/ws?types=job&on_lag=skip&job_id="+nobody+"&note_id="+nobody+"&last_event_id="+nobody), "", nil)
	c.send(101, c.handshake("/api/v1/ws", "Sec-WebSocket-Protocol: matric.events.v1"), "", nil)
	c.call(426, "GET", "/api/v1/ws", "")
	c.send(426, c.handshake("/api/v1/ws", "Sec-WebSocket-Version: 12"), "", readAll)
	c.send(403, c.handshake("/api/v1/ws", "Origin: https://elsewhere.example"), "", readAll)
	c.send(400, c.handshake("/api/v1/ws?on_lag=later"), "", readAll)
	c.send(400, c.handshake("/api/v1/ws", "Sec-WebSocket-Key: short"), "", readAll)
}

// handshake is a WebSocket's request (RFC 6455 section 4.1).
func (c *client) handshake(path string, headers ...string) *http.Request {
	return c.request("GET", path, "", append([]string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, headers...)...)
}

// callFull has one connection take the only place.
func callFull(c *client) {
	res, err := http.DefaultTransport.RoundTrip(c.request("GET", "/api/v1/events", ""))
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	c.call(503, "GET", "/api/v1/events", "")
	c.call(503, "GET", "/api/v1/events/poll?wait=1", "")
	c.send(503, c.handshake("/api/v1/ws"), "", readAll)
	c.agent(503, "POST", initialize)
	c.agent(503, "GET", "", "Mcp-Session-Id: any")
	if a := c.call(200, "GET", "/api/v1/events", "", "Accept: text/event-stream"); !strings.HasPrefix(string(a.body), "retry: ") {
		c.t.Errorf("a browser at the limit gets %q", a.body)
	}
}

// within is a client of a handler in this process, for states that a real program is in at bad times only.
func (c *checker) within(t *testing.T, h http.Handler) *client {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &client{c, t, s.URL}
}

func callStandby(c *client) {
	for o := range c.operations() {
		want := 503
		if o.OperationID == "livez" {
			want = 200
		}
		c.send(want, c.request(o.method, o.at(nobody), ""), "", readAll)
	}
}

func faulty() http.Handler {
	broken := func(context.Context) error { return errors.New("log: it does not answer") }
	return httpapi.New(httpapi.Services{Live: broken, Ready: broken}, httpapi.Options{Fault: func(*http.Request, error) {}})
}

func callFaulty(c *client) {
	for _, path := range []string{"/livez", "/readyz"} {
		if got := c.call(503, "GET", path, "").object["failed"]; got != "log" {
			c.t.Errorf("%s: failed = %v", path, got)
		}
	}
}

func callWithoutHost(c *client) {
	for o := range c.operations() {
		if !o.tagged("notes", "jobs") || o.OperationID == "getQueue" {
			continue
		}
		c.call(404, o.method, o.at(nobody), "")
	}
	c.call(200, "GET", "/api/v1/queue", "")
}
