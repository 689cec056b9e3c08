package docs_test

import (
	"strings"
	"testing"

	"github.com/matric/matric-events/tests/harness"
)

// callAmiss calls all operations with what each of them must refuse: a wrong token, identifiers that are none or nobody's,
// and bodies that no operation takes.
func callAmiss(c *client) {
	for o := range c.operations() {
		sample := ""
		for b := range o.bodies() {
			if b.media == "application/json" {
				sample = text(c.t, b.value)
			}
		}
		c.send(431, c.request(o.method, o.at(nobody), sample, "X-Filler: "+strings.Repeat("x", 16<<10)), sample, readAll)
		if !o.isOpen() {
			c.call(401, o.method, o.at(nobody), sample, "Authorization: Bearer wrong")
			if o.OperationID != "openWebSocket" { // looks at the handshake first
				c.call(400, o.method, o.at(nobody)+"?a=%zz", sample)
			}
		}
		if o.method != "GET" {
			c.call(403, o.method, o.at(nobody), sample, "Origin: https://elsewhere.example")
		}
		if o.hasID() {
			c.refused("id", o.method, o.at("no-uuid"), sample)
			c.call(404, o.method, o.at(nobody), sample)
		}
		if o.RequestBody == nil {
			continue
		}
		path := o.at(nobody)
		c.call(415, o.method, path, sample, "Content-Type: text/plain")
		c.call(415, o.method, path, sample, "Content-Encoding: gzip")
		c.call(413, o.method, path, `{"a":"`+strings.Repeat("x", 1<<20)+`"}`)
		c.call(400, o.method, path, `{"a":`)
		if o.tagged("agents") {
			continue // members of its messages are the protocol's
		}
		c.refused("no_such_member", o.method, path, `{"no_such_member":1}`)
	}
}

// refused calls for a 400 that names the field, to a request that the document refuses, too.
func (c *client) refused(field, method, path, body string) {
	c.t.Helper()
	a, allowed := c.exchange(400, c.request(method, path, body), body, readAll)
	if a.object["field"] != field {
		c.t.Errorf("%s %s %.200s: field = %v, want %s", method, path, body, a.object["field"], field)
	}
	if allowed == nil {
		c.t.Errorf("%s %s %.200s is refused, but the document allows it", method, path, body)
	}
}

// callInvalid calls with one part of the request beyond what the document allows.
func callInvalid(c *client) {
	const notes, jobs, hooks, worker, note = "/api/v1/notes", "/api/v1/jobs", "/api/v1/webhooks", "/api/v1/worker-events", "/api/v1/note-events"
	hook := c.subscribe(harness.NewReceiver(c.t, nil).URL)
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, tt := range map[string]struct{ field, method, path, body string }{
		"order of connections":      {"sort", "GET", "/api/v1/connections?sort=color", ""},
		"no connections":            {"limit", "GET", "/api/v1/connections?limit=0", ""},
		"transport":                 {"transport", "GET", "/api/v1/connections?transport=telex", ""},
		"limit of zero":             {"limit", "GET", notes + "?limit=0", ""},
		"limit too high":            {"limit", "GET", jobs + "?limit=501", ""},
		"limit that is no number":   {"limit", "GET", hook + "/deliveries?limit=all", ""},
		"cursor":                    {"cursor", "GET", notes + "?cursor=1", ""},
		"job's note":                {"note_id", "GET", jobs + "?note_id=1", ""},
		"job's type":                {"job_type", "GET", jobs + "?job_type=a.b", ""},
		"job's state":               {"state", "GET", jobs + "?state=lost", ""},
		"delivery's status":         {"status", "GET", hook + "/deliveries?status=dead,lost", ""},
		"poll's limit":              {"limit", "GET", "/api/v1/events/poll?limit=1001", ""},
		"poll's wait":               {"wait", "GET", "/api/v1/events/poll?wait=51", ""},
		"poll's after":              {"after", "GET", "/api/v1/events/poll?after=1", ""},
		"stream's job":              {"job_id", "GET", "/api/v1/events?job_id=1", ""},
		"stream's note":             {"note_id", "GET", "/api/v1/events?note_id=" + exampleNote + ",1", ""},
		"names":                     {"names", "GET", "/api/v1/events?names=short", ""},
		"note's title":              {"title", "POST", notes, `{"title":"` + long(1001) + `"}`},
		"note's user":               {"user_id", "POST", notes, `{"content":"c","user_id":"` + long(201) + `"}`},
		"note's tag":                {"tags", "POST", notes, `{"title":"t","tags":["` + long(101) + `"]}`},
		"empty tag":                 {"tags", "POST", notes, `{"title":"t","tags":[""]}`},
		"content of another type":   {"content", "POST", notes, `{"content":1}`},
		"job without type":          {"job_type", "POST", jobs, `{"note_id":"` + exampleNote + `"}`},
		"job's priority":            {"priority", "POST", jobs, `{"job_type":"tag_suggestion","note_id":"` + exampleNote + `","priority":5}`},
		"priority of zero":          {"priority", "POST", jobs, `{"job_type":"tag_suggestion","note_id":"` + exampleNote + `","priority":0}`},
		"job's attempts":            {"max_attempts", "POST", jobs, `{"job_type":"tag_suggestion","note_id":"` + exampleNote + `","max_attempts":26}`},
		"job without note":          {"note_id", "POST", jobs, `{"job_type":"tag_suggestion"}`},
		"worker event's type":       {"type", "POST", worker, `{"type":"JobLost"}`},
		"percent":                   {"percent", "POST", worker, `{"type":"JobProgress","job_id":"` + nobody + `","percent":101}`},
		"progress":                  {"progress", "POST", worker, `[{"type":"JobProgress","job_id":"` + nobody + `","progress":-1}]`},
		"duration":                  {"duration_ms", "POST", worker, `{"type":"JobCompleted","job_id":"` + nobody + `","duration_ms":-1}`},
		"event's identifier":        {"event_id", "POST", worker, `{"type":"JobQueued","job_id":"` + nobody + `","event_id":"1"}`},
		"time":                      {"occurred_at", "POST", worker, `{"type":"JobQueued","job_id":"` + nobody + `","occurred_at":"today"}`},
		"operation":                 {"operation", "POST", note, `{"operation":"moved","note_id":"` + nobody + `"}`},
		"note event without a note": {"note_id", "POST", note, `[{"operation":"created"}]`},
		"webhook without url":       {"url", "POST", hooks, `{}`},
		"url too long":              {"url", "POST", hooks, `{"url":"https://hooks.example.com/` + long(2048) + `"}`},
		"short secret":              {"secret", "POST", hooks, `{"url":"https://hooks.example.com","secret":"short"}`},
		"long secret":               {"secret", "POST", hooks, `{"url":"https://hooks.example.com","secret":"` + long(257) + `"}`},
		"secret in a patch":         {"secret", "PATCH", hook, `{"secret":"sixteen letters!"}`},
		"too many retries":          {"max_retries", "PATCH", hook, `{"max_retries":21}`},
		"long description":          {"description", "PATCH", hook, `{"description":"` + long(501) + `"}`},
		"header's name":             {"headers", "PATCH", hook, `{"headers":{"a b":"c"}}`},
		"header's value":            {"headers", "PATCH", hook, `{"headers":{"a":" c"}}`},
		"overlap":                   {"overlap_seconds", "POST", hook + "/rotate-secret", `{"overlap_seconds":2592001}`},
		"redeliver what waits":      {"status", "POST", hook + "/redeliver", `{"status":"pending"}`},
		"redeliver since":           {"since", "POST", hook + "/redeliver", `{"since":"today"}`},
	} {
		c.t.Run(name, func(t *testing.T) {
			(&client{c.checker, t, c.url}).refused(tt.field, tt.method, tt.path, tt.body)
		})
	}
	empty := c.call(201, "POST", notes, `{"title":"t"}`)
	if _, allowed := c.exchange(400, c.request("PATCH", notes+"/"+empty.ID(), `{}`), `{}`, readAll); allowed == nil {
		c.t.Error("a patch of nothing is refused, but the document allows it")
	}
	c.call(400, "POST", hooks, `{"url":"https://169.254.169.254/"}`)
	c.call(400, "GET", "/api/v1/events?types=nothing,known", "")
}
