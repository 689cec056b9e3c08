package mcp_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/matric/matric-events/app"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/domain/webhook"
)

// schemas compiles the schemas of all tools.
func schemas(t *testing.T, tools []*sdk.Tool) (in, out map[string]*jsonschema.Schema) {
	t.Helper()
	in, out = map[string]*jsonschema.Schema{}, map[string]*jsonschema.Schema{}
	compile := func(name string, schema any) *jsonschema.Schema {
		data, err := json.Marshal(schema)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource(name, doc); err != nil {
			t.Fatal(err)
		}
		compiled, err := c.Compile(name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return compiled
	}
	for _, tool := range tools {
		in[tool.Name], out[tool.Name] = compile(tool.Name+"-in", tool.InputSchema), compile(tool.Name+"-out", tool.OutputSchema)
	}
	return in, out
}

func tools(t *testing.T, session *sdk.ClientSession) (list []*sdk.Tool, names []string) {
	t.Helper()
	result, err := session.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range result.Tools {
		names = append(names, tool.Name)
	}
	return result.Tools, names
}

func TestToolsAreDescribed(t *testing.T) {
	r := newRig(t, setup{})
	list, names := tools(t, r.connect(withoutSessions, "", nil))
	want := strings.Fields("create_note enqueue_job get_note get_queue_status list_dead_deliveries list_recent_events list_webhooks poll_events redeliver search_notes update_note wait_for_event")
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	schemas(t, list)
	changing := strings.Fields("create_note enqueue_job redeliver update_note")
	for _, tool := range list {
		if len(tool.Description) < 40 || tool.Title == "" || tool.Annotations == nil || tool.Annotations.ReadOnlyHint == slices.Contains(changing, tool.Name) {
			t.Errorf("%s: %q, %+v", tool.Name, tool.Description, tool.Annotations)
		}
	}
	_, names = tools(t, newRig(t, setup{noHost: true}).connect(withoutSessions, "", nil))
	if d := cmp.Diff(strings.Fields("get_queue_status list_dead_deliveries list_recent_events list_webhooks poll_events redeliver wait_for_event"), names); d != "" {
		t.Errorf("without host: %s", d)
	}
}

// TestInvalidInput wants each error to name the field and to say what to do, and the schema to refuse the same where a
// schema can say it.
func TestInvalidInput(t *testing.T) {
	r := newRig(t, setup{})
	session := r.connect(withoutSessions, "", nil)
	list, _ := tools(t, session)
	in, _ := schemas(t, list)
	nobody := newID().String()
	for _, tc := range []struct {
		tool, arguments, want string
		sayable               bool // by a schema
	}{
		{"wait_for_event", `{"timeout_s":51}`, "timeout_s: must be a whole number from 0 to 50", true},
		{"wait_for_event", `{"timeout_s":-1}`, "timeout_s: must be a whole number from 0 to 50", true},
		{"wait_for_event", `{"timeout_s":1.5}`, "timeout_s: must be a whole number, not 1.5", true},
		{"wait_for_event", `{"timeout_s":"9"}`, "timeout_s: must be a whole number, not a string", true},
		{"wait_for_event", `{"timeout_s":1e99}`, "timeout_s: must be a whole number, not 1e99", true},
		{"wait_for_event", `{"timeout":9}`, "timeout: unknown field", true},
		{"wait_for_event", `{"types":"job"}`, "types: must be an array, not a string", true},
		{"wait_for_event", `{"types":["nonsense"]}`, "types: ", false},
		{"wait_for_event", `{"types":[1]}`, "types: must be a string, not a number", true},
		{"wait_for_event", `{"job_id":"x"}`, "job_id: is not a UUID: take it from enqueue_job or from an event", true},
		{"wait_for_event", `{"note_id":""}`, "note_id: is not a UUID: ", true},
		{"wait_for_event", `{"job_id":7}`, "job_id: must be a string, not a number", true},
		{"wait_for_event", `{"cursor":"last"}`, "cursor: is not a UUID: hand on the cursor", true},
		{"poll_events", `{"limit":0}`, "limit: must be a whole number from 1 to 200", true},
		{"poll_events", `{"timeout_s":1}`, "timeout_s: unknown field", true},
		{"list_recent_events", `{"limit":201}`, "limit: must be a whole number from 1 to 200", true},
		{"list_recent_events", `{"cursor":"` + nobody + `"}`, "cursor: unknown field", true},
		{"get_queue_status", `{"all":true}`, "all: unknown field", true},
		{"enqueue_job", `{}`, "job_type: is required, such as NoteAnalysis", true},
		{"enqueue_job", `{"job_type":"NoteAnalysis"}`, "note_id: is required: search_notes", true},
		{"enqueue_job", `{"job_type":"a.b","note_id":"` + nobody + `"}`, `job_type: "a.b" is no job type`, false},
		{"enqueue_job", `{"job_type":"Dance","note_id":"` + nobody + `"}`, "job_type: there is no worker for Dance; valid are NoteAnalysis", false},
		{"enqueue_job", `{"job_type":"note_analysis","note_id":"` + nobody + `"}`, "note_id: there is no note " + nobody, false},
		{"enqueue_job", `{"job_type":"note_analysis","note_id":"` + nobody + `","priority":0}`, "priority: must be a whole number from 1 to 4", true},
		{"enqueue_job", `{"job_type":"note_analysis","note_id":"` + nobody + `","max_attempts":26}`, "max_attempts: must be a whole number from 1 to 25", true},
		{"create_note", `{}`, "title: is required unless there is content", false},
		{"create_note", `{"title":"` + strings.Repeat("x", 1001) + `"}`, "title: must have at most 1000 characters", true},
		{"create_note", `{"title":"a\u0000"}`, "title: must not contain the NUL character", false},
		{"create_note", `{"title":"a","tags":"b"}`, "tags: must be an array, not a string", true},
		{"create_note", `{"title":"a","id":"` + nobody + `"}`, "id: unknown field", true},
		{"update_note", `{"title":"a"}`, "id: is required: search_notes", true},
		{"update_note", `{"id":"` + nobody + `"}`, "nothing to change: give at least one", false},
		{"update_note", `{"id":"` + nobody + `","title":"a"}`, "there is no note " + nobody + ": search_notes", false},
		{"get_note", `{"id":"1"}`, "id: is not a UUID: search_notes", true},
		{"get_note", `{"id":"` + nobody + `"}`, "there is no note " + nobody + ": search_notes", false},
		{"search_notes", `{"limit":51}`, "limit: must be a whole number from 1 to 50", true},
		{"search_notes", `{"cursor":"` + nobody + `"}`, "cursor: there is no such note; start again without a cursor", false},
		{"search_notes", `{"query":"a\u0000"}`, "query: must be text without the NUL character", false},
		{"list_webhooks", `[]`, "the body must be a JSON object", true},
		{"list_dead_deliveries", `{"webhook_id":"` + nobody + `"}`, "there is no webhook " + nobody + ": list_webhooks has the ids", false},
		{"list_dead_deliveries", `{"limit":101}`, "limit: must be a whole number from 1 to 100", true},
		{"redeliver", `{}`, "delivery_id: give either this", false},
		{"redeliver", `{"delivery_id":"` + nobody + `","webhook_id":"` + nobody + `"}`, "delivery_id: give either this", false},
		{"redeliver", `{"delivery_id":"` + nobody + `"}`, "there is no delivery " + nobody, false},
		{"redeliver", `{"delivery_id":"` + nobody + `","since":"2026-11-23T12:41:48Z"}`, "since: goes with webhook_id only", false},
		{"redeliver", `{"webhook_id":"` + nobody + `","since":"yesterday"}`, "since: must be a time such as", true},
		{"redeliver", `{"webhook_id":"` + nobody + `"}`, "there is no webhook " + nobody, false},
	} {
		t.Run(tc.tool+" "+tc.arguments[:min(60, len(tc.arguments))], func(t *testing.T) {
			result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: tc.tool, Arguments: json.RawMessage(tc.arguments)})
			if err != nil || !result.IsError || !strings.HasPrefix(text(result), tc.want) {
				t.Errorf("%+v, %v; want %s", result, err, tc.want)
			} else if strings.Contains(text(result), "internal") {
				t.Error("taken for a fault")
			}
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(tc.arguments))
			if err != nil {
				t.Fatal(err)
			}
			if allowed := in[tc.tool].Validate(doc) == nil; allowed == tc.sayable {
				t.Errorf("the schema allows it: %v", allowed)
			}
		})
	}
	if len(r.faults) != 0 {
		t.Errorf("faults: %v", r.faults)
	}
}

// TestResults uses every tool well, and wants what it answers to be what its schema says.
func TestResults(t *testing.T) {
	r := newRig(t, setup{})
	session := r.connect(withoutSessions, "", nil)
	list, _ := tools(t, session)
	in, out := schemas(t, list)
	use := func(name string, arguments object) object {
		t.Helper()
		if err := in[name].Validate(arguments); err != nil {
			t.Errorf("%s %v: the schema does not allow it: %v", name, arguments, err)
		}
		got := call[object](t, session, name, arguments)
		if err := out[name].Validate(got); err != nil {
			t.Errorf("%s answers %v: %v", name, got, err)
		}
		return got
	}
	note := use("create_note", object{"title": "Plan <b>", "content": "See [[World]].", "tags": []any{"a"}, "user_id": "ana"})
	if _, told := note["content"]; told {
		t.Errorf("content that nobody asked for: %v", note)
	}
	use("create_note", object{"title": "World"})
	got := use("get_note", object{"id": note["id"]})
	if got["content"] != "See [[World]]." || got["title"] != "Plan <b>" {
		t.Errorf("get_note: %v", got)
	}
	changed := use("update_note", object{"id": note["id"], "title": "Plan B", "tags": []any{}})
	if changed["title"] != "Plan B" {
		t.Errorf("update_note: %v", changed)
	}
	found := use("search_notes", object{"query": "plan", "limit": float64(1)})
	if hits := found["notes"].([]any); len(hits) != 1 || hits[0].(object)["id"] != note["id"] {
		t.Errorf("search_notes: %v", found)
	}
	page := use("search_notes", object{"limit": float64(1)})
	if next := use("search_notes", object{"limit": float64(1), "cursor": page["next_cursor"]}); len(next["notes"].([]any)) != 1 || next["next_cursor"] != nil {
		t.Errorf("the second page: %v", next)
	}
	job := use("enqueue_job", object{"job_type": "note_analysis", "note_id": note["id"], "priority": float64(1)})
	// The cursor is of before the job, so that nothing of it is missed.
	if e := use("wait_for_event", object{"cursor": job["cursor"], "job_id": job["id"]}); len(e["events"].([]any)) != 1 {
		t.Errorf("wait_for_event: %v", e)
	}
	use("poll_events", object{"cursor": note["cursor"], "types": []any{"note"}, "limit": float64(3)})
	use("list_recent_events", object{"note_id": note["id"]})
	if counts := use("get_queue_status", object{}); counts["pending"] == float64(0) {
		t.Errorf("get_queue_status: %v", counts)
	}
	if len(r.faults) != 0 {
		t.Errorf("faults: %v", r.faults)
	}
}

// TestDeadDeliveries finds a dead delivery and has it sent again.
func TestDeadDeliveries(t *testing.T) {
	r := newRig(t, setup{})
	session := r.connect(withoutSessions, "", nil)
	order, err := webhook.DecodeCreate([]byte(`{"url":"https://gone.example/hook?key=1","events":["job"]}`), webhook.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	hook, err := r.hooks.Create(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	type dead struct {
		Deliveries []struct {
			ID, EventID, ErrorClass string
			StatusCode              int `json:"status_code"`
		}
	}
	r.progress(newID(), 1)
	var got dead
	for deadline := time.Now().Add(patience); len(got.Deliveries) == 0; got = call[dead](t, session, "list_dead_deliveries", nil) {
		if time.Now().After(deadline) {
			t.Fatal("no delivery died")
		}
		time.Sleep(time.Millisecond) // a delivery's end is no event
	}
	if d := got.Deliveries[0]; d.StatusCode != 410 {
		t.Errorf("%+v", got)
	}
	all := call[object](t, session, "list_webhooks", nil)["webhooks"].([]any)
	if w := all[0].(object); len(all) != 1 || w["disabled_reason"] != "gone" || w["is_active"] != false || w["secret"] != nil {
		t.Errorf("webhooks: %v", all)
	}
	raw, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "list_dead_deliveries", Arguments: object{"webhook_id": hook.ID.String()}})
	if err != nil || strings.Contains(text(raw), "secret answer") {
		t.Errorf("%s, %v", text(raw), err)
	}
	if n := call[object](t, session, "redeliver", object{"delivery_id": got.Deliveries[0].ID}); n["redelivered"] != float64(1) {
		t.Errorf("redelivered %v", n)
	}
	if n := call[object](t, session, "redeliver", object{"webhook_id": hook.ID.String(), "since": time.Now().Add(-time.Hour).UTC().Format(domain.TimeLayout)}); fmt.Sprint(n["redelivered"]) == "" {
		t.Errorf("redelivered %v", n)
	}
}

// TestDeadDeliveriesOfAll lists dead deliveries with large payloads, of several webhooks, one of which is deleted meanwhile.
func TestDeadDeliveriesOfAll(t *testing.T) {
	r := newRig(t, setup{})
	session := r.connect(withoutSessions, "", nil)
	hooks := make([]domain.UUID, 3)
	for i := range hooks {
		order, err := webhook.DecodeCreate([]byte(`{"url":"https://receiver.example/"}`), webhook.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		hook, err := r.hooks.Create(t.Context(), order)
		if err != nil {
			t.Fatal(err)
		}
		hooks[i] = hook.ID
	}
	// Two deliveries of the first webhook fill a page, and each third delivery is the last webhook's.
	large := make([]byte, domain.MaxPage/2)
	progress, err := webhook.Restore(webhook.Record{Status: webhook.Dead, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	var all []string // the newest first
	for i := range 9 {
		d := webhook.Delivery{
			ID: newID(), Webhook: hooks[0], Event: newID(), Type: domain.TypeJobFailed, Payload: large, Progress: progress,
			CreatedAt: time.Unix(int64(i), 0),
		}
		if i%3 == 0 {
			d.Webhook, d.Payload = hooks[2], nil
		}
		if left, err := r.dead.Record(t.Context(), newID(), []webhook.Delivery{d}); err != nil || len(left) > 0 {
			t.Fatal(left, err)
		}
		all = append([]string{d.ID.String()}, all...)
	}
	type answer struct {
		Deliveries []struct{ ID string }
		HasMore    bool `json:"has_more"`
	}
	list := func(why string, arguments object, want []string, more bool) {
		t.Helper()
		answer := call[answer](t, session, "list_dead_deliveries", arguments)
		var got []string
		for _, d := range answer.Deliveries {
			got = append(got, d.ID)
		}
		if !slices.Equal(got, want) || answer.HasMore != more {
			t.Errorf("%s: %v, more: %t; want %v, more: %t", why, got, answer.HasMore, want, more)
		}
	}
	r.dead.listing = func(q webhook.Query) {
		r.dead.listing = nil
		if err := r.hooks.Delete(t.Context(), hooks[1]); err != nil {
			t.Error(err)
		}
	}
	list("one webhook is deleted after the list of them was read", nil, all, false)
	list("all but one", object{"limit": 8.0}, all[:8], true)
	list("as many as there are", object{"limit": 9.0}, all, false)
	first := []string{all[0], all[1], all[3], all[4], all[6], all[7]}
	list("more of one webhook than a page holds", object{"webhook_id": hooks[0].String(), "limit": 5.0}, first[:5], true)
	list("all of one webhook", object{"webhook_id": hooks[0].String(), "limit": 6.0}, first, false)
	r.dead.listing = func(q webhook.Query) {
		if q.Before.IsZero() {
			return
		}
		r.dead.listing = nil
		if err := r.hooks.Delete(t.Context(), hooks[0]); err != nil {
			t.Error(err)
		}
	}
	list("it is deleted after its first page was read", object{"webhook_id": hooks[0].String()}, first[:2], false)
}

// TestLargeNotes goes through notes of which not as many fit in a page as an agent asks for.
func TestLargeNotes(t *testing.T) {
	r := newRig(t, setup{})
	session := r.connect(withoutSessions, "", nil)
	notes := app.NewNotes(r.store.Notes(), newID, nil)
	content := strings.Repeat(".", 1<<20)
	var want []string // the newest first
	for range 9 {
		note, err := notes.Create(t.Context(), domain.NotePatch{Content: &content})
		if err != nil {
			t.Fatal(err)
		}
		want = append([]string{note.ID.String()}, want...)
	}
	type page struct {
		Notes []struct{ ID string }
		Next  string `json:"next_cursor"`
	}
	var got []string
	var sizes []int
	for arguments := (object{"limit": 50.0}); ; {
		p := call[page](t, session, "search_notes", arguments)
		for _, n := range p.Notes {
			got = append(got, n.ID)
		}
		if sizes = append(sizes, len(p.Notes)); p.Next == "" || len(sizes) > 9 {
			break
		}
		arguments["cursor"] = p.Next
	}
	if !slices.Equal(got, want) || !slices.Equal(sizes, []int{4, 4, 1}) {
		t.Errorf("pages of %v: %v; want %v", sizes, got, want)
	}
}
