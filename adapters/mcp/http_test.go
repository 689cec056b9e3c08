package mcp_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/matric/matric-events/adapters/mcp"
	"github.com/matric/matric-events/app"
)

const (
	initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	ping       = `{"jsonrpc":"2.0","id":2,"method":"ping"}`
)

// send sends a request as a client would, with headers such as Origin: null on top.
func (r *rig) send(method, body string, headers ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.url, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := r.transport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.transport.CloseIdleConnections)
	return res, string(data)
}

// session opens a session and returns its header.
func (r *rig) session(headers ...string) string {
	r.t.Helper()
	res, body := r.send("POST", initialize, headers...)
	id := res.Header.Get("Mcp-Session-Id")
	if res.StatusCode != 200 || id == "" || res.Header.Get("X-Accel-Buffering") != "no" {
		r.t.Fatalf("%s %v %s", res.Status, res.Header, body)
	}
	return "Mcp-Session-Id: " + id
}

// TestRefusals wants refusals to be the problems that the rest of the interface answers.
func TestRefusals(t *testing.T) {
	r := newRig(t, setup{auth: true})
	mine := r.session("Authorization: Bearer for-ana")
	for _, tc := range []struct {
		why, method, body string
		headers           []string
		want              int
	}{
		{"a wrong token", "POST", ping, []string{"Authorization: Bearer nonsense"}, 401},
		{"a wrong token on the stream", "GET", "", []string{"Authorization: Bearer nonsense"}, 401},
		{"a foreign page", "POST", ping, []string{"Origin: https://evil.example"}, 403},
		{"a foreign page's stream", "GET", "", []string{"Origin: https://evil.example"}, 403},
		{"another's session", "POST", ping, []string{mine, "Authorization: Bearer for-bob"}, 403},
		{"another's session, without saying who", "POST", ping, []string{mine}, 403},
		{"another's stream", "GET", "", []string{mine, "Authorization: Bearer for-bob"}, 403},
		{"a session that is not", "POST", ping, []string{"Mcp-Session-Id: nonsense"}, 404},
		{"no session for a stream", "GET", "", nil, 400},
		{"no method", "PUT", ping, nil, 405},
		{"text", "POST", ping, []string{"Content-Type: text/plain"}, 415},
		{"compressed", "POST", ping, []string{"Content-Encoding: gzip"}, 415},
		{"too large", "POST", `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413},
		{"too large, without sessions", "POST", `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, []string{"Mcp-Protocol-Version: 2026-07-28"}, 413},
		{"half", "POST", `{"jsonrpc":`, nil, 400},
		{"no method of the protocol", "POST", `{"jsonrpc":"2.0","id":1,"method":"dance"}`, nil, 400},
		{"no protocol", "POST", `{"no_such_member":1}`, nil, 400},
		{"an old revision", "POST", ping, []string{"Mcp-Protocol-Version: 2020-01-01"}, 400},
	} {
		t.Run(tc.why, func(t *testing.T) {
			res, body := r.send(tc.method, tc.body, tc.headers...)
			var problem struct{ Status int }
			if err := json.Unmarshal([]byte(body), &problem); err != nil || res.StatusCode != tc.want || problem.Status != tc.want ||
				res.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %v %s", res.Status, res.Header, body)
			}
		})
	}
	if res, body := r.send("POST", ping, mine, "Authorization: Bearer for-ana"); res.StatusCode != 200 || !strings.Contains(body, `"id":2`) {
		t.Errorf("one's own session: %s %s", res.Status, body)
	}
	if res, _ := r.send("DELETE", "", mine, "Authorization: Bearer for-ana"); res.StatusCode != 204 {
		t.Errorf("the end of a session: %s", res.Status)
	}
	if res, _ := r.send("POST", ping, mine, "Authorization: Bearer for-ana"); res.StatusCode != 404 {
		t.Errorf("an ended session: %s", res.Status)
	}
}

func TestHead(t *testing.T) {
	r := newRig(t, setup{})
	if res, body := r.send("HEAD", "", r.session()); res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" || body != "" {
		t.Errorf("%s %v %s", res.Status, res.Header, body)
	}
}

// TestPagesOfOurs wants a web page of an allowed origin to be able to speak the protocol.
func TestPagesOfOurs(t *testing.T) {
	r := newRig(t, setup{})
	own := "Origin: " + strings.TrimSuffix(r.url, "/mcp")
	res, _ := r.send("OPTIONS", "", own, "Access-Control-Request-Method: POST")
	if h := res.Header; !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Mcp-Session-Id") || res.StatusCode != 204 {
		t.Errorf("%s %v", res.Status, h)
	}
	res, _ = r.send("POST", initialize, own)
	if h := res.Header; res.StatusCode != 200 || !strings.Contains(h.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id") {
		t.Errorf("%s %v", res.Status, h)
	}
}

func TestRequireAuth(t *testing.T) {
	r := newRig(t, setup{auth: true, require: true})
	if res, _ := r.send("POST", initialize); res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("without a token: %s", res.Status)
	}
	onBoth(t, func(t *testing.T, version string) {
		r := newRig(t, setup{auth: true, require: true})
		session := r.connect(version, "for-ana", nil)
		answer, about := r.waiting(t.Context(), session, nil)
		if about.User != "ana" {
			t.Errorf("listed as %+v", about)
		}
		r.progress(newID(), 1)
		await(t, "answer", answer)
	})
}

// TestSessionsAreLimited wants no more sessions than allowed, and clients without sessions unharmed.
func TestSessionsAreLimited(t *testing.T) {
	r := newRig(t, setup{options: mcp.Options{MaxSessions: 2}})
	first := r.session()
	r.session()
	if res, body := r.send("POST", initialize); res.StatusCode != 503 || res.Header.Get("Retry-After") != "60" || !strings.Contains(body, "too many sessions") {
		t.Errorf("a third session: %s %s", res.Status, body)
	}
	call[page](t, r.connect(withoutSessions, "", nil), "poll_events", nil)
	r.send("DELETE", "", first)
	r.session()
}

func TestHandshakesAreLimited(t *testing.T) {
	r := newRig(t, setup{limits: app.Limits{HandshakesPerSecond: 1}})
	r.session()
	if res, body := r.send("POST", initialize); res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || !strings.Contains(body, "handshakes_per_second") {
		t.Errorf("%s %s", res.Status, body)
	}
}

// TestStreamsAreConnections wants a session's stream to be listed, and to end when it is closed.
func TestStreamsAreConnections(t *testing.T) {
	r := newRig(t, setup{})
	id := r.session()
	ended := make(chan string, 1)
	go func() {
		_, body := r.send("GET", "", id)
		ended <- body
	}()
	about := await(t, "stream", r.watcher.opened)
	if about.Transport != "mcp" || about.Filter.Types != 0 {
		t.Errorf("listed as %+v", about)
	}
	if err := r.registry.Kick(about.ID); err != nil {
		t.Fatal(err)
	}
	await(t, "end of the stream", ended)
}

// TestStreamIsReplaced wants a client that has lost its connection to get a new stream at once, although the old one still
// stands here.
func TestStreamIsReplaced(t *testing.T) {
	r := newRig(t, setup{})
	name, value, _ := strings.Cut(r.session(), ": ")
	open := func() io.ReadCloser {
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(name, value)
		res, err := r.transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("a proxy may keep back what comes: %v", res.Header)
		}
		var hello [6]byte
		if _, err := io.ReadFull(res.Body, hello[:]); err != nil || string(hello[:]) != ": ok\n\n" {
			t.Fatalf("%s %q, %v", res.Status, hello, err)
		}
		return res.Body
	}
	stream := open()
	for range 3 {
		next := open()
		if rest, err := io.ReadAll(stream); err != nil || len(rest) > 0 {
			t.Errorf("the stream before ends with %q, %v", rest, err)
		}
		_ = stream.Close()
		stream = next
	}
	_ = stream.Close()
}

// TestRevisions wants every revision of the protocol that the SDK knows to be answered.
func TestRevisions(t *testing.T) {
	r := newRig(t, setup{})
	for _, version := range sdk.SupportedProtocolVersions() {
		t.Run(version, func(t *testing.T) {
			session := r.connect(version, "", nil)
			if got := session.InitializeResult(); got.Instructions == "" || got.Capabilities.Extensions["io.modelcontextprotocol/events"] == nil {
				t.Errorf("%+v", got)
			}
			id := r.progress(newID(), 1)
			if p := call[page](t, session, "list_recent_events", object{"limit": 1}); len(p.Events) != 1 || p.Cursor != id.String() {
				t.Errorf("%+v", p)
			}
		})
	}
}
