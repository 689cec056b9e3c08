package stream

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/app"
)

// request sends bytes on a new connection and returns the first response, its body read.
func (r *rig) request(raw string) *http.Response {
	r.t.Helper()
	nc := r.dial()
	if _, err := io.WriteString(nc, raw); err != nil {
		r.t.Fatal(err)
	}
	method, _, _ := strings.Cut(raw, " ")
	res, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, err := io.ReadAll(res.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		res.Body = io.NopCloser(bytes.NewReader(body))
	}
	return res
}

// mustBeProblem fails unless the response is a problem with the status.
func mustBeProblem(t *testing.T, res *http.Response, status int) web.Details {
	t.Helper()
	var d web.Details
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err := json.NewDecoder(res.Body).Decode(&d); err != nil || res.StatusCode != status || d.Status != status || media != "application/problem+json" || d.Detail == "" {
		t.Fatalf("%s, %s, %+v, %v; want a problem with %d", res.Status, media, d, err, status)
	}
	return d
}

func TestHandshake(t *testing.T) {
	origins, err := web.ParseOrigins([]string{"https://notes.example"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, setup{options: Options{Origins: origins}})
	without := func(prefix string, lines ...string) string {
		head := slices.DeleteFunc(strings.Split(handshake("/ws"), "\r\n"), func(l string) bool { return strings.HasPrefix(l, prefix) })
		return strings.Join(slices.Insert(head, 2, lines...), "\r\n")
	}
	const ok = http.StatusSwitchingProtocols
	for name, tt := range map[string]struct {
		request string
		status  int
		header  string // that the response must have, as "Name: value"
	}{
		"as browsers do it":             {handshake("/ws"), ok, "Sec-WebSocket-Accept: " + accept},
		"mixed case":                    {without("Upgrade", "uPGRADE: WebSocket"), ok, ""},
		"Connection is a list":          {without("Connection", "Connection: keep-alive, Upgrade"), ok, ""},
		"Connection in lower case":      {without("Connection", "connection: upgrade"), ok, ""},
		"two Connection lines":          {without("Connection", "Connection: keep-alive", "Connection: Upgrade"), ok, ""},
		"two Upgrade lines":             {without("Upgrade", "Upgrade: h2c", "Upgrade: websocket"), ok, ""},
		"our subprotocol":               {handshake("/ws", "Sec-WebSocket-Protocol: chat, "+subprotocol), ok, "Sec-WebSocket-Protocol: " + subprotocol},
		"our subprotocol, second line":  {handshake("/ws", "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: "+subprotocol), ok, "Sec-WebSocket-Protocol: " + subprotocol},
		"another subprotocol":           {handshake("/ws", "Sec-WebSocket-Protocol: chat"), ok, "Sec-WebSocket-Protocol: "},
		"compression is not negotiated": {handshake("/ws", "Sec-WebSocket-Extensions: permessage-deflate"), ok, "Sec-WebSocket-Extensions: "},
		"own host's page":               {handshake("/ws", "Origin: http://hub.example"), ok, ""},
		"own host's page, other case":   {handshake("/ws", "Origin: HTTPS://Hub.Example"), ok, ""},
		"allowed page":                  {handshake("/ws", "Origin: https://notes.example"), ok, ""},

		"plain GET":                   {"GET /ws HTTP/1.1\r\nHost: hub.example\r\n\r\n", http.StatusUpgradeRequired, "Upgrade: websocket"},
		"plain GET, Connection":       {"GET /ws HTTP/1.1\r\nHost: hub.example\r\n\r\n", http.StatusUpgradeRequired, "Connection: Upgrade"},
		"plain GET with a bad filter": {"GET /ws?types=x HTTP/1.1\r\nHost: hub.example\r\n\r\n", http.StatusUpgradeRequired, ""},
		"HTTP/1.0":                    {strings.Replace(handshake("/ws"), "HTTP/1.1", "HTTP/1.0", 1), http.StatusUpgradeRequired, ""},
		"POST":                        {strings.Replace(handshake("/ws", "Content-Length: 0"), "GET", "POST", 1), http.StatusUpgradeRequired, ""},
		"no Upgrade":                  {without("Upgrade"), http.StatusUpgradeRequired, ""},
		"Upgrade to something else":   {without("Upgrade", "Upgrade: h2c"), http.StatusUpgradeRequired, ""},
		"no Connection":               {without("Connection"), http.StatusUpgradeRequired, ""},
		"Connection: close":           {without("Connection", "Connection: close"), http.StatusUpgradeRequired, ""},
		"wrong version":               {without("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), http.StatusUpgradeRequired, "Sec-WebSocket-Version: 13"},
		"no version":                  {without("Sec-WebSocket-Version"), http.StatusUpgradeRequired, "Sec-WebSocket-Version: 13"},
		"foreign page":                {handshake("/ws", "Origin: https://evil.example"), http.StatusForbidden, ""},
		"own host, other port":        {handshake("/ws", "Origin: http://hub.example:81"), http.StatusForbidden, ""},
		"Origin null":                 {handshake("/ws", "Origin: null"), http.StatusForbidden, ""},
		"no key":                      {without("Sec-WebSocket-Key"), http.StatusBadRequest, ""},
		"key of another length":       {without("Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="), http.StatusBadRequest, ""},
		"key is not base64":           {without("Sec-WebSocket-Key", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="), http.StatusBadRequest, ""},
		"no known type":               {handshake("/ws?types=nonsense,x"), http.StatusBadRequest, ""},
		"job_id is no UUID":           {handshake("/ws?job_id=7"), http.StatusBadRequest, ""},
		"note_id is no UUID":          {handshake("/ws?note_id=7"), http.StatusBadRequest, ""},
		"on_lag unknown":              {handshake("/ws?on_lag=panic"), http.StatusBadRequest, ""},
		"malformed subprotocol list":  {handshake("/ws", "Sec-WebSocket-Protocol: a b (,"), http.StatusBadRequest, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res := r.request(tt.request)
			if res.StatusCode != tt.status {
				t.Fatalf("%s, want %d", res.Status, tt.status)
			}
			if name, value, found := strings.Cut(tt.header, ": "); found && strings.TrimSpace(res.Header.Get(name)) != value {
				t.Errorf("%s: %q, want %q", name, res.Header.Get(name), value)
			}
			if tt.status != ok && name != "malformed subprotocol list" { // which the library answers
				mustBeProblem(t, res, tt.status)
			}
		})
	}
}

func TestUnknownTypesNameTheValidOnes(t *testing.T) {
	r := newRig(t, setup{})
	for _, raw := range []string{
		handshake("/ws?types=nonsense"),
		"GET /events?types=nonsense HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /poll?types=nonsense HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		d := mustBeProblem(t, r.request(raw), http.StatusBadRequest)
		if d.Field != "types" || !strings.Contains(d.Detail, "JobQueued, JobStarted, JobProgress, JobCompleted, JobFailed, NoteUpdated, QueueStatus") {
			t.Errorf("%+v", d)
		}
	}
}

// A client need not wait for the answer before it sends: what stands right behind its handshake is not lost.
func TestFramePipelinedBehindTheHandshake(t *testing.T) {
	r := newRig(t, setup{})
	frame := string(clientFrame(1, true, `{"type":"ping","id":1}`))
	for _, cut := range []int{0, 1, 7, len(frame)} { // the rest comes later
		c := r.upgrade(r.dial(), handshake("/ws")+frame[:cut])
		c.write([]byte(frame[cut:]))
		c.text() // the QueueStatus
		c.mustGet(`{"type":"pong","id":1}`)
	}
}

func TestAtTheLimit(t *testing.T) {
	r := newRig(t, setup{limits: app.Limits{Connections: 2}})
	c := r.join("/ws")
	s := r.events("/events?types=note")
	for name, raw := range map[string]string{
		"websocket": handshake("/ws"),
		"sse":       "GET /events HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n",
		"poll":      "GET /poll?wait=1 HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		res := r.request(raw)
		mustBeProblem(t, res, http.StatusServiceUnavailable)
		if res.Header.Get("Retry-After") != "5" {
			t.Errorf("%s: Retry-After: %q", name, res.Header.Get("Retry-After"))
		}
		if res.Header.Get("X-Accel-Buffering") != "" {
			t.Errorf("%s: a refusal has the headers of a stream: %v", name, res.Header)
		}
		if reason := await(t, "refusal", r.watcher.refused); reason != "connections" {
			t.Errorf("%s: refused because of %s", name, reason)
		}
	}

	// A browser's EventSource gives up for good on anything but 200.
	res := r.request("GET /events HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
	body, err := io.ReadAll(res.Body)
	var ms int
	if _, scanErr := fmt.Sscanf(string(body), "retry: %d\n\n", &ms); scanErr != nil || err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %q %v", res.Status, body, err)
	}
	if media := res.Header.Get("Content-Type"); media != "text/event-stream; charset=utf-8" || ms < 1000 || !res.Close {
		t.Errorf("Content-Type %s, retry %d, closed: %v", media, ms, res.Close)
	}

	// A poll that does not wait, and HEAD, take no place; a place that is given back is there for the next one.
	if res := r.request("GET /poll HTTP/1.1\r\nHost: h\r\n\r\n"); res.StatusCode != http.StatusOK {
		t.Errorf("poll: %s", res.Status)
	}
	if res := r.request("HEAD /events HTTP/1.1\r\nHost: h\r\n\r\n"); res.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %s", res.Status)
	}
	_, _ = c.nc.Close(), s.nc.Close()
	r.mustClose("connection lost")
	r.mustClose("connection lost")
	r.join("/ws")
	r.join("/ws")
}

// A handshake that fails after it got a place gives it back, and does not leave the socket open.
func TestAHandshakeThatFailsLateLeavesNothing(t *testing.T) {
	r := newRig(t, setup{limits: app.Limits{Connections: 1}})
	for range 3 {
		c := &wsClient{t: t, nc: r.dial()}
		c.r = bufio.NewReader(c.nc.(io.Reader))
		c.write([]byte(handshake("/ws", "Sec-WebSocket-Protocol: a b (,")))
		res, err := http.ReadResponse(c.r, nil)
		if err != nil || res.StatusCode != http.StatusBadRequest {
			t.Fatalf("%v, %v", res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		c.mustEnd()
	}
	r.join("/ws")
}

// A response that cannot be hijacked cannot be upgraded.
func TestHandshakeWithoutASocket(t *testing.T) {
	r := newRig(t, setup{limits: app.Limits{Connections: 1}, wrap: unhijackable})
	for range 2 {
		if res := r.request(handshake("/ws")); res.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s", res.Status)
		}
	}
}

// unhijackable hides what a response can do besides being written, but keeps deadlines and flushing.
func unhijackable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(plain{w}, r) })
}

type plain struct{ w http.ResponseWriter }

func (p plain) Header() http.Header         { return p.w.Header() }
func (p plain) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p plain) WriteHeader(status int)      { p.w.WriteHeader(status) }
func (p plain) Flush()                      { p.w.(http.Flusher).Flush() }

func (p plain) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(p.w).SetWriteDeadline(t)
}

func (p plain) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(p.w).SetReadDeadline(t)
}
