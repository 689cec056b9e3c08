package mcp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// FuzzArguments gives tools any JSON: each answers, and nothing is taken for a fault of the server's own.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `"x"`, `{"types":["job"],"limit":1}`, `{"job_id":"0193ab1f-0000-7000-8000-00000000dead"}`, `{"types":null,"cursor":null}`,
		`{"title":"a","content":"[[b]]","tags":["c"],"user_id":"d"}`, `{"id":"0193ab1f-0000-7000-8000-00000000dead","title":"\u0000"}`,
		`{"job_type":"NoteAnalysis","note_id":"0193ab1f-0000-7000-8000-00000000dead","priority":9}`, `{"query":"\" OR *","tag":"%","limit":50}`,
		`{"webhook_id":"0193ab1f-0000-7000-8000-00000000dead","since":"9999-12-31T23:59:60Z"}`, `{"limit":1e400}`, `{"title":"\ud800"}`,
	} {
		for i := range uint8(len(fuzzed)) {
			f.Add(i, seed)
		}
	}
	r := newRig(f, setup{})
	session := r.connect(withSessions, "", nil)
	f.Fuzz(func(t *testing.T, which uint8, arguments string) {
		if !json.Valid([]byte(arguments)) {
			t.Skip("refused before it comes to a tool")
		}
		name := fuzzed[int(which)%len(fuzzed)]
		result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: name, Arguments: json.RawMessage(arguments)})
		if err != nil || text(result) == "" {
			t.Errorf("%s %s: %+v, %v", name, arguments, result, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.faults) > 0 {
			t.Errorf("%s %s: %v", name, arguments, r.faults)
			r.faults = nil
		}
	})
}

// fuzzed are all tools but the one that waits, whose input is that of poll_events and a number.
var fuzzed = []string{
	"poll_events", "list_recent_events", "get_queue_status", "enqueue_job", "create_note", "update_note", "get_note", "search_notes",
	"list_webhooks", "list_dead_deliveries", "redeliver",
}

// FuzzMessages posts any body, with and without a session: each is answered, and nothing is taken for a fault of the server's own.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		initialize, ping, "[" + ping + "]", "[]", "{}", "null", "", "{", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","id":null,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":{},"method":"ping"}`, `{"jsonrpc":"2.0","id":1,"method":"nonsense"}`, `{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"poll_events","arguments":{"limit":1}}}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"event://recent"}}`, `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"job://x"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"events/poll","params":{"name":"x","limit":-1}}`, `{"jsonrpc":"2.0","id":1,"method":"events/list"}`, `{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"protocolVersion":"x"}}`,
	} {
		f.Add(seed, uint8(0))
		f.Add(seed, uint8(1))
		f.Add(seed, uint8(2))
	}
	r := newRig(f, setup{})
	ways := []string{"X-No: session", r.session(), "Mcp-Protocol-Version: " + withoutSessions}
	f.Fuzz(func(t *testing.T, body string, way uint8) {
		if strings.Contains(body, "wait_for_event") || strings.Contains(body, "listen") || strings.Contains(body, "initialize") && way%3 != 1 {
			return // which wait, or make sessions up to their limit
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Content-Type", "application/json")
		name, value, _ := strings.Cut(ways[int(way)%len(ways)], ": ")
		req.Header.Set(name, value)
		res, err := r.transport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		defer res.Body.Close()
		if res.StatusCode >= 500 {
			t.Errorf("%q: %s", body, res.Status)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.faults) > 0 {
			t.Errorf("%q: %v", body, r.faults)
			r.faults = nil
		}
	})
}

// FuzzResource reads what there is no resource of: an answer that says so, whatever the address.
func FuzzResource(f *testing.F) {
	for _, seed := range []string{
		"event://recent", "event://recent/", "job://0193ab1f-0000-7000-8000-00000000dead", "job://0193AB1F-0000-7000-8000-00000000DEAD", "note://x", "note://00000000-0000-0000-0000-000000000000", "job://%30", "://", "", "file:///etc/passwd", "job://0193ab1f-0000-7000-8000-00000000dead?x",
	} {
		f.Add(seed)
	}
	r := newRig(f, setup{})
	session := r.connect(withSessions, "", nil)
	f.Fuzz(func(t *testing.T, uri string) {
		if !utf8.ValidString(uri) {
			return // no JSON
		}
		result, err := session.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
		if (err == nil) != (uri == "event://recent") || err == nil && len(result.Contents) != 1 {
			t.Errorf("%q: %+v, %v", uri, result, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.faults) > 0 {
			t.Errorf("%q: %v", uri, r.faults)
			r.faults = nil
		}
	})
}
