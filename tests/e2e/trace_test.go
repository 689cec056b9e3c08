package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/matric/matric-events/tests/harness"
)

// A trace that a producer is in goes on in the webhook requests that its events lead to, retries included, over the
// database and through the jobs that a note causes; and is in no event.
func TestTraceGoesOnInWebhooks(t *testing.T) {
	s := harness.Serve(t, "--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8", "--webhook-retry-initial", "10ms", "--log-level", "debug")
	receiver := harness.NewReceiver(t, harness.Flaky(1, 503))
	s.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q}`, receiver.URL))
	const (
		job      = `{"type":"JobStarted","job_id":"0198f3a0-0000-7000-8000-00000000000%d","job_type":"Embedding"}`
		reported = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		written  = "00-11111111111111111111111111111111-b7ad6b7169203331-00"
	)
	post := func(path, body string, traceparents ...string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Traceparent"] = traceparents
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 300 {
			t.Fatalf("POST %s: %s", path, resp.Status)
		}
	}
	post("/api/v1/worker-events", fmt.Sprintf(job, 1), reported)
	receiver.Await(t, "a retry", func(ds []harness.Delivery) bool { return len(ds) == 2 })
	post("/api/v1/worker-events", `{"type":"JobCompleted","job_id":"0198f3a0-0000-7000-8000-000000000001"}`) // says nothing, and goes on in the job's
	post("/api/v1/worker-events", fmt.Sprintf(job, 2))
	post("/api/v1/worker-events", fmt.Sprintf(job, 3), "no trace")
	post("/api/v1/worker-events", fmt.Sprintf(job, 4), reported, written)
	post("/api/v1/notes", `{"title":"t","content":"See [[World]]"}`, written)
	// Both of the job's, one of each other one; and of the note: created, queued, started, progress, completed, updated.
	done := func(ds []harness.Delivery) bool {
		updated, completed := 0, 0
		for _, d := range ds {
			switch d.Header.Get("X-Matric-Event") {
			case "NoteUpdated":
				updated++
			case "JobCompleted":
				completed++
			}
		}
		return updated == 2 && completed == 2 && len(ds) >= 12
	}
	spans := map[string]bool{}
	for _, d := range receiver.Await(t, "all deliveries", done) {
		got, body := d.Header.Get("traceparent"), string(d.Body)
		want := written
		switch {
		case strings.Contains(body, "0198f3a0-0000-7000-8000-000000000001"):
			want = reported
		case strings.Contains(body, "0198f3a0"):
			want = ""
		}
		if (got == "") != (want == "") || want != "" && (got[:36] != want[:36] || got[52:] != want[52:] || got == want || spans[got]) {
			t.Errorf("traceparent %q; want one below %q, of its own: %s", got, want, body)
		}
		spans[got] = true
		if strings.Contains(body, "trace") || strings.Contains(body, want[min(3, len(want)):min(35, len(want))]) && want != "" {
			t.Errorf("the trace is in the event: %s", body)
		}
	}
	s.Stop()
	for _, line := range []string{`"event.type":"JobStarted"`, `"message":"webhook attempt"`} {
		found := false
		for l := range strings.Lines(s.Stderr()) {
			found = found || strings.Contains(l, line) && strings.Contains(l, `"trace_id":"0af7651916cd43dd8448eb211c80319c"`)
		}
		if !found {
			t.Errorf("no line of %s has its trace_id", line)
		}
	}
}

// With a collector, the hub's own work shows in the trace: the producer's call below the producer's span, the attempt below
// the call, under the identifier that the receiver saw.
func TestSpansGoToACollector(t *testing.T) {
	type span struct{ TraceID, SpanID, ParentSpanID, Name string }
	spans := make(chan span, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []span }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
			return
		}
		for _, s := range request.ResourceSpans[0].ScopeSpans[0].Spans {
			spans <- s
		}
	}))
	defer collector.Close()
	s := harness.Serve(t, "--webhook-allow-http", "--webhook-allow-cidr", "127.0.0.0/8", "--otlp-endpoint", collector.URL)
	receiver := harness.NewReceiver(t, nil)
	s.Call(201, "POST", "/api/v1/webhooks", fmt.Sprintf(`{"url":%q}`, receiver.URL))
	for _, flags := range []string{"00", "01"} { // one that is not sampled is not exported
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/api/v1/worker-events",
			strings.NewReader(`{"type":"JobQueued","job_id":"0198f3a0-0000-7000-8000-0000000000`+flags+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"+flags)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	var seen string
	for _, d := range receiver.Await(t, "two deliveries", func(ds []harness.Delivery) bool { return len(ds) == 2 }) {
		if p := d.Header.Get("traceparent"); strings.HasSuffix(p, "-01") {
			seen = p[36:52]
		}
	}
	if code := s.Stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	close(spans)
	got := map[string]span{}
	for s := range spans {
		got[s.Name] = s
	}
	call, attempt := got["publish worker_events"], got["webhook attempt"]
	const trace = "0af7651916cd43dd8448eb211c80319c"
	if len(got) != 2 || call.TraceID != trace || attempt.TraceID != trace || call.ParentSpanID != "b7ad6b7169203331" ||
		attempt.ParentSpanID != call.SpanID || attempt.SpanID != seen {
		t.Errorf("spans %+v; the receiver saw %s", got, seen)
	}
}
