package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/matric/matric-events/tests/harness"
)

// TestHostileText sends what a database may choke on. The answer says what is wrong, with the field where it is in a body,
// and is never an internal error.
func TestHostileText(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		s := harness.Serve(t, database...)
		note := s.Call(201, "POST", "/api/v1/notes", `{"title":"\ud800 ' \" \\ \u2028 \ufffe","content":"$1 ? :id @x %s 👩‍👩‍👧","tags":["'; --"]}`)["id"]
		for _, c := range []struct{ method, path, body, field string }{
			{"POST", "/api/v1/notes", `{"title":"a\u0000b"}`, "title"},
			{"POST", "/api/v1/notes", `{"title":"a","content":"\u0000"}`, "content"},
			{"POST", "/api/v1/notes", `{"title":"a","tags":["x","\u0000"]}`, "tags"},
			{"POST", "/api/v1/notes", `{"title":"a","user_id":"\u0000"}`, "user_id"},
			{"PATCH", fmt.Sprintf("/api/v1/notes/%s", note), `{"title":"\u0000"}`, "title"},
			{"POST", "/api/v1/jobs", `{"job_type":"A\u0000"}`, "job_type"},
			{"POST", "/api/v1/worker-events", `{"type":"JobFailed","job_id":"0198f3a0-0000-7000-8000-000000000001","job_type":"A","error":"\u0000"}`, "error"},
			{"POST", "/api/v1/worker-events", `{"type":"JobProgress","job_id":"0198f3a0-0000-7000-8000-000000000001","job_type":"A","percent":1,"message":"\u0000"}`, "message"},
			{"POST", "/api/v1/note-events", `{"operation":"updated","note_id":"0198f3a0-0000-7000-8000-000000000001","title":"\u0000"}`, "title"},
			{"POST", "/api/v1/webhooks", `{"url":"https://example.com/","events":[],"description":"\u0000"}`, "description"},
		} {
			status, answer := s.Do(c.method, c.path, c.body)
			if status != 400 || !strings.Contains(string(answer), `"field":"`+c.field) {
				t.Errorf("%s %s %s = %d %s; want 400 that names %s", c.method, c.path, c.body, status, answer, c.field)
			}
		}
		for _, path := range []string{
			"notes?q=%s", "notes?tag=%s", "notes?links_to=%s", "notes?cursor=%s", "notes/%s", "jobs?job_type=%s", "jobs?type=%s",
			"jobs?state=%s", "jobs?note_id=%s", "jobs/%s", "webhooks/%s", "deliveries/%s", "events/poll?types=%s", "events/poll?after=%s",
		} {
			for _, text := range []string{"%00", "a%00b", "%ff", "%ed%a0%80", "%27%3B--", strings.Repeat("%F0%9F%92%A9", 200)} {
				if status, answer := s.Do("GET", "/api/v1/"+fmt.Sprintf(path, text), ""); status >= 500 {
					t.Errorf("GET "+path+" = %d %s", text, status, answer)
				}
			}
		}
	})
}
