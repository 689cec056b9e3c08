package e2e_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/tests/harness"
	"github.com/matric/matric-events/tests/pgtest"
)

// onEvery runs a test with the flags of a new database of each kind.
func onEvery(t *testing.T, test func(t *testing.T, database []string)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, []string{"--database-url", "sqlite:" + filepath.Join(t.TempDir(), "hub.db")})
	})
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t)) })
}

// postgres returns the flags of a new database.
func postgres(t *testing.T) []string {
	return []string{"--database-url", pgtest.Database(t), "--secret-key-file", filepath.Join(t.TempDir(), "key")}
}

// TestNoteToCompletion is the outcome that the whole program exists for.
func TestNoteToCompletion(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		s := harness.Serve(t, database...)
		stream := s.Events("?types=note,job", "")
		note := s.Call(201, "POST", "/api/v1/notes", `{"title":"Hello","content":"See [[World]]. Garden garden.","tags":["a"]}`)
		seen := stream.Until(harness.Named("JobCompleted"))
		last, _ := stream.Next()
		names := harness.Names(append(seen, last))
		progress := 0
		names = slices.DeleteFunc(names, func(n string) bool {
			if n == "JobProgress" {
				progress++
			}
			return n == "JobProgress"
		})
		if diff := cmp.Diff([]string{"NoteUpdated", "JobQueued", "JobStarted", "JobCompleted", "NoteUpdated"}, names); diff != "" || progress == 0 {
			t.Errorf("%d progress events, and %s", progress, diff)
		}
		if seen[0].Data["operation"] != "created" || last.Data["operation"] != "updated" || last.Data["has_links"] != true || last.Data["has_ai_content"] != false {
			t.Errorf("first %s\nlast %s", seen[0].Raw, last.Raw)
		}
		for _, e := range append(seen, last) {
			if e.Data["note_id"] != note["id"] {
				t.Errorf("%s is not about the note", e.Raw)
			}
			if e.ID == "" || e.Data["event_id"] != e.ID {
				t.Errorf("id %q is not the event's own: %s", e.ID, e.Raw)
			}
		}
		if got := s.Call(200, "GET", fmt.Sprintf("/api/v1/notes/%s", note["id"]), ""); got["has_links"] != true {
			t.Errorf("the note has not learned of its link: %v", got)
		}
		status, found := s.Do("GET", "/api/v1/notes?q=garden", "")
		if status != 200 || !strings.Contains(string(found), note["id"].(string)) {
			t.Errorf("search = %d %s; want the note", status, found)
		}
	})
}

func TestLongNoteTellsItsProgress(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		s := harness.Serve(t, database...)
		stream := s.Events("?types=job", "")
		s.Call(201, "POST", "/api/v1/notes", `{"title":"Long","content":"`+strings.Repeat("many words in a row ", 15000)+`"}`)
		last := 0.0
		count := 0
		for _, e := range stream.Until(harness.Named("JobCompleted")) {
			if e.Name != "JobProgress" {
				continue
			}
			count++
			if p := e.Data["progress"].(float64); p < last || p > 100 {
				t.Errorf("progress went from %v to %v", last, p)
			} else {
				last = p
			}
		}
		if count < 6 || last != 100 {
			t.Errorf("%d progress events up to %v; want several, up to 100", count, last)
		}
	})
}

// TestResumeAcrossStreams follows a run on one stream, breaks off in the middle, and wants the rest from another one and
// from poll, each event once.
func TestResumeAcrossStreams(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		s := harness.Serve(t, database...)
		whole := s.Events("?types=note,job", "")
		broken := s.Events("?types=note,job", "")
		for i := range 5 {
			s.Call(201, "POST", "/api/v1/notes", fmt.Sprintf(`{"title":"Note %d","content":"text"}`, i))
		}
		completed := 0
		want := ids(whole.Until(func(e harness.Event) bool {
			if e.Name == "JobCompleted" {
				completed++
			}
			return completed == 5
		}))
		var got []string
		for range 7 {
			e, _ := broken.Next()
			got = append(got, e.ID)
		}
		broken.Close()
		rest := s.Events("?types=note,job", got[6])
		for len(got) < len(want) {
			e, _ := rest.Next()
			got = append(got, e.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		poll := s.Call(200, "GET", "/api/v1/events/poll?types=note,job&after="+want[2], "")
		var polled []string
		for _, e := range poll["events"].([]any) {
			polled = append(polled, e.(map[string]any)["event_id"].(string))
		}
		if diff := cmp.Diff(want[3:], polled); diff != "" {
			t.Error(diff)
		}
	})
}

func ids(events []harness.Event) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestCancelAJob(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		s := harness.Serve(t, database...)
		note := s.Call(201, "POST", "/api/v1/notes", `{"title":"Long","content":"`+strings.Repeat("many words in a row ", 45000)+`"}`)["id"]
		order := func(priority int) string {
			body := fmt.Sprintf(`{"job_type":"NoteAnalysis","note_id":%q,"priority":%d}`, note, priority)
			return s.Call(201, "POST", "/api/v1/jobs", body)["id"].(string)
		}
		for range 20 { // work for a while, behind which the job to be canceled waits
			order(1)
		}
		job := order(4)
		stream := s.Events("?job_id="+job, "")
		canceled := s.Call(200, "POST", "/api/v1/jobs/"+job+"/cancel", "")
		seen := stream.Until(harness.Named("JobFailed"))
		last := seen[len(seen)-1]
		if last.Data["error"] != "canceled" || last.Data["will_retry"] != false {
			t.Errorf("after a cancel: %s", last.Raw)
		}
		if canceled["id"] != job || canceled["state"] != "canceled" {
			t.Errorf("cancel = %v; want the job, canceled", canceled)
		}
		if status, body := s.Do("POST", "/api/v1/jobs/"+job+"/cancel", ""); status != 409 {
			t.Errorf("cancel again = %d %s; want 409", status, body)
		}
	})
}

// TestShutdownIsOrderly: streams end cleanly and the program exits with 0.
func TestShutdownIsOrderly(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		s := harness.Serve(t, database...)
		stream := s.Events("?types=note", "")
		s.Call(201, "POST", "/api/v1/notes", `{"title":"One"}`)
		stream.Until(harness.Named("NoteUpdated"))
		if code := s.Stop(); code != 0 {
			t.Errorf("exit code %d\n%s", code, s.Stderr())
		}
		if e, ok := stream.Next(); ok {
			t.Errorf("after the shutdown: %s", e.Raw)
		}
	})
}

// TestEventsSurviveKill kills the server again and again while notes are written, and wants every write that was
// acknowledged to be there with its event, and every event to keep its ID.
func TestEventsSurviveKill(t *testing.T) {
	onEvery(t, func(t *testing.T, database []string) {
		notes := map[string]bool{}               // acknowledged
		events := map[string]string{}            // note → event ID of its creation, as seen on any stream
		repeated := map[string]map[string]bool{} // event ID → notes it was seen with
		for round := range 6 {
			s := harness.Serve(t, database...)
			stream := s.Events("?types=note", "")
			stop := make(chan struct{})
			go func() {
				defer close(stop)
				for i := range 40 {
					status, body := s.TryDo("POST", "/api/v1/notes", fmt.Sprintf(`{"title":"%d-%d","content":"text [[link]]"}`, round, i))
					if status != 201 {
						return
					}
					notes[field(body, "id")] = true
					if i == 10+3*round {
						s.Kill()
						return
					}
				}
			}()
			<-stop
			collect(t, stream, events, repeated)
		}
		s := harness.Serve(t, database...)
		stream := s.Events("?types=note", "")
		s.Call(201, "POST", "/api/v1/notes", `{"title":"last"}`)
		stream.Until(func(e harness.Event) bool { return e.Data["title"] == "last" })
		stream.Close()
		collect(t, stream, events, repeated)
		for id := range notes {
			if status, _ := s.Do("GET", "/api/v1/notes/"+id, ""); status != 200 {
				t.Errorf("note %s was acknowledged and is gone", id)
			}
		}
		for event, about := range repeated {
			if len(about) > 1 {
				t.Errorf("event %s stands for %d notes", event, len(about))
			}
		}
		if s.Call(200, "GET", "/readyz", "")["status"] != "ready" {
			t.Error("not ready after the last restart")
		}
	})
}

// collect takes what a stream that has ended still holds.
func collect(t *testing.T, stream *harness.Stream, events map[string]string, repeated map[string]map[string]bool) {
	t.Helper()
	for {
		e, ok := stream.Next()
		if !ok {
			return
		}
		note, _ := e.Data["note_id"].(string)
		if before, ok := events[note]; ok && e.Data["operation"] == "created" && before != e.ID {
			t.Errorf("note %s was created by event %s and by %s", note, before, e.ID)
		}
		if e.Data["operation"] == "created" {
			events[note] = e.ID
		}
		if repeated[e.ID] == nil {
			repeated[e.ID] = map[string]bool{}
		}
		repeated[e.ID][note] = true
	}
}

func field(body []byte, name string) string {
	_, rest, _ := strings.Cut(string(body), `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
