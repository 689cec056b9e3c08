package stream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
)

// Every byte of a short stream over HTTP/1.1, but for the date and the jitter.
func TestEventStreamBytes(t *testing.T) {
	r := newRig(t, setup{options: Options{Loops: 1}})
	nc := r.dial()
	fmt.Fprintf(nc, "GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
	br := bufio.NewReader(nc)
	chunk := func(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }
	greeting := chunk("event: QueueStatus\ndata: " + snapshotJSON(1) + "\n\n")
	var got strings.Builder
	for !strings.HasSuffix(got.String(), greeting) {
		b, err := br.ReadByte()
		if err != nil {
			t.Fatalf("%v after %q", err, got.String())
		}
		got.WriteByte(b)
	}
	want := regexp.MustCompile("^" + regexp.QuoteMeta("HTTP/1.1 200 OK\r\nCache-Control: no-cache, no-transform\r\nConnection: close\r\n"+
		"Content-Type: text/event-stream; charset=utf-8\r\nDate: ") + "[^\r]+ GMT" +
		regexp.QuoteMeta("\r\nTransfer-Encoding: chunked\r\n") + "(Vary: Origin\r\n)?" + // which is httpapi's otherwise
		regexp.QuoteMeta("X-Accel-Buffering: no\r\n\r\n") +
		"1d\r\n: matric-events\nretry: [12][0-9]{3}\n\n\r\n" + regexp.QuoteMeta(greeting) + "$")
	if !want.MatchString(got.String()) {
		t.Fatalf("got %q, want %s", got.String(), want)
	}

	r.publish(progress(1), updated(2)) // in one chunk or two
	var body bytes.Buffer
	cr := io.TeeReader(br, &body)
	res, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), cr)), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &sseClient{t: t, nc: nc, r: bufio.NewReader(res.Body)}
	c.mustGet(sseMessage(progress(1)), sseMessage(updated(2)))
	if bytes.ContainsRune(bytes.ReplaceAll(body.Bytes(), []byte("\r\n"), nil), '\r') {
		t.Errorf("a carriage return outside of the chunks: %q", body.Bytes())
	}
	if err := r.registry.Kick(r.registry.List()[0].ID); err != nil {
		t.Fatal(err)
	}
	c.mustEnd()
	if !bytes.HasSuffix(body.Bytes(), []byte("\n\n\r\n0\r\n\r\n")) {
		t.Errorf("the body ends with %q", body.Bytes())
	}
	r.mustClose("1008")
}

func TestEventStreamOverHTTP10IsNotChunked(t *testing.T) {
	r := newRig(t, setup{})
	nc := r.dial()
	fmt.Fprintf(nc, "GET /events?types=job HTTP/1.0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.TransferEncoding) > 0 || !res.Close {
		t.Errorf("%+v", res)
	}
	c := (&sseClient{t: t, nc: nc}).take(res)
	c.mustGetHello()
	r.publish(progress(1))
	c.mustGetEvents(progress(1))
	go r.registry.Drain(t.Context())
	if got := c.message(); !strings.HasPrefix(got, "retry: ") {
		t.Errorf("got %q", got)
	}
	c.mustEnd()
}

// What can be sent at once does not wait for the counts.
func TestEventStreamFirstBytesAtOnce(t *testing.T) {
	r := newRig(t, setup{})
	release := make(chan struct{})
	r.counts.hold.Store(&release)
	c := r.stream("/events")
	c.mustGetHello()
	r.publish(progress(1))
	close(release)
	c.mustGet("event: QueueStatus\ndata: " + snapshotJSON(1))
	c.mustGetEvents(progress(1))
}

func TestEventStreamDottedNames(t *testing.T) {
	r := newRig(t, setup{})
	c := r.stream("/events?names=dotted")
	c.mustGetHello()
	c.mustGet("event: queue.status\ndata: " + snapshotJSON(1))
	r.publish(completed(1))
	c.mustGet("event: job.completed\nid: " + id(1).String() + "\ndata: " + jsonOf(completed(1)))

	d := mustBeProblem(t, r.request("GET /events?names=upper HTTP/1.1\r\nHost: h\r\n\r\n"), http.StatusBadRequest)
	if d.Field != "names" {
		t.Errorf("%+v", d)
	}
}

func TestEventStreamHead(t *testing.T) {
	r := newRig(t, setup{})
	res := r.request("HEAD /events HTTP/1.1\r\nHost: h\r\n\r\n")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" ||
		res.Header.Get("Cache-Control") != "no-cache, no-transform" || res.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	mustBe400 := r.request("HEAD /events?types=x HTTP/1.1\r\nHost: h\r\n\r\n")
	if mustBe400.StatusCode != http.StatusBadRequest {
		t.Errorf("%s", mustBe400.Status)
	}
}

// Headers that others have set, such as CORS, survive the hijacking.
func TestEventStreamKeepsTheHeadersOfOthers(t *testing.T) {
	r := newRig(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "https://notes.example")
			next.ServeHTTP(w, r)
		})
	}})
	c := r.stream("/events?types=job")
	if got := c.res.Header.Get("Access-Control-Allow-Origin"); got != "https://notes.example" {
		t.Errorf("Access-Control-Allow-Origin: %q", got)
	}
}

// TestEventStreamForAllowedPages is about streams that are answered ahead of the HTTP server, whose handler adds these headers
// to all others.
func TestEventStreamForAllowedPages(t *testing.T) {
	origins, err := web.ParseOrigins([]string{"https://notes.example"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, setup{options: Options{Origins: origins}})
	for page, want := range map[string]string{
		"https://notes.example": "https://notes.example", "http://hub.example": "http://hub.example", "https://evil.example": "", "null": "",
	} {
		h := r.stream("/events?types=job", "Origin: "+page).res.Header
		if got := h.Get("Access-Control-Allow-Origin"); got != want || h.Get("Vary") != "Origin" {
			t.Errorf("to %s: Access-Control-Allow-Origin %q, Vary %q", page, got, h.Get("Vary"))
		}
	}
}

func TestEventStreamResumes(t *testing.T) {
	r := newRig(t, setup{})
	for n := range 500 { // more than one batch
		r.publish(progress(n))
	}
	for name, open := range map[string]func() *sseClient{
		"header":     func() *sseClient { return r.events("/events", "Last-Event-ID: "+id(99).String()) },
		"query":      func() *sseClient { return r.events("/events?last_event_id=" + id(99).String()) },
		"alias":      func() *sseClient { return r.events("/events?lastEventId=" + id(99).String()) },
		"upper case": func() *sseClient { return r.events("/events", "Last-Event-ID: "+strings.ToUpper(id(99).String())) },
		"header beats all": func() *sseClient {
			return r.events("/events?last_event_id=garbage&lastEventId="+id(3).String(), "Last-Event-ID: "+id(99).String())
		},
	} {
		c := open()
		t.Log(name)
		for n := 100; n < 500; n++ {
			c.mustGetEvents(progress(n))
		}
	}
	live := r.events("/events?types=queue&last_event_id=" + id(99).String())
	live.message() // the QueueStatus
	r.publish(status(500))
	live.mustGetEvents(status(500))
}

func TestEventStreamResyncs(t *testing.T) {
	for name, tt := range map[string]struct{ last, reason string }{
		"unknown":      {id(77).String(), "unknown"},
		"expired":      {id(1).String(), "expired"},
		"no id at all": {"garbage", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{log: logOf(2)})
			r.publish(progress(1), progress(2), progress(3), progress(4), progress(5))
			c := r.events("/events", "Last-Event-ID: "+tt.last)
			c.mustGet("event: resync_required\ndata: " + resync(tt.reason, tt.last, 4))
			r.publish(progress(6))
			c.mustGetEvents(progress(6)) // from now on; no flood of old events
		})
	}
}

func TestEventStreamKeepsAlive(t *testing.T) {
	for name, s := range map[string]setup{
		"hijacked": {options: Options{Keepalive: 40 * time.Millisecond}},
		"streamed": {options: Options{Keepalive: 40 * time.Millisecond}, wrap: unhijackable},
	} {
		r := newRig(t, s)
		c := r.events("/events")
		t.Log(name)
		c.mustGet(": keepalive", ": keepalive", ": keepalive")
		r.publish(progress(1))
		for c.message() == ": keepalive" {
		}
		c.mustGet(": keepalive")
	}
}

// What the client sends behind its request is no reason to end the stream; that it goes away is.
func TestEventStreamWhoseClientGoesAway(t *testing.T) {
	r := newRig(t, setup{})
	c := r.events("/events")
	fmt.Fprint(c.nc, strings.Repeat("GET / HTTP/1.1\r\n\r\n", 100))
	r.publish(progress(1))
	c.mustGetEvents(progress(1))
	_ = c.nc.Close()
	r.mustClose("")
	if n := r.registry.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestEventStreamDescribesItself(t *testing.T) {
	r := newRig(t, setup{})
	c := r.events("/events?types=note&job_id=" + id(5).String())
	got := r.registry.List()[0]
	want := domain.Filter{Types: domain.Set(domain.TypeNoteUpdated), Jobs: []domain.UUID{id(5)}}
	if d := cmp.Diff(want, got.Filter); d != "" || got.Transport != "sse" || got.Remote != c.nc.LocalAddr().String() {
		t.Errorf("%+v (-want +got filter):\n%s", got, d)
	}
}

func TestEventStreamAtTheEndOfTheServer(t *testing.T) {
	r := newRig(t, setup{limits: app.Limits{}})
	c := r.events("/events")
	r.stop()
	if _, err := io.ReadAll(c.r); err == nil {
		t.Error("a stream that was cut looks complete")
	}
	r.mustClose("server stopped")
	mustBeProblem(t, r.request("GET /events HTTP/1.1\r\nHost: h\r\n\r\n"), http.StatusServiceUnavailable)
	mustBeProblem(t, r.request(handshake("/ws")), http.StatusServiceUnavailable)
}

// Clients that were thrown out together must not all come back together.
func TestEventStreamRetryDiffers(t *testing.T) {
	r := newRig(t, setup{})
	times := map[string]bool{}
	for range 10 { // of 2000 times
		times[r.stream("/events").message()] = true
	}
	if len(times) < 2 {
		t.Errorf("ten clients are told the same: %v", times)
	}
}
