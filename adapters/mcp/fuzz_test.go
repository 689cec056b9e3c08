package mcp_test

import (
	"encoding/json"
	"testing"

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
