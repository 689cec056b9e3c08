package client

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/matric/matric-events/domain"
)

// Whatever a server that may be no hub answers, the refusal is an error of bounded length, and is tried again exactly when its
// status says that this may help.
func FuzzRefusal(f *testing.F) {
	for _, seed := range []struct {
		status             int
		media, body, after string
	}{
		{400, "application/problem+json", `{"title":"Bad Request","detail":"item 3: job_id: is not a UUID","field":"job_id","index":3}`, ""},
		{422, "application/json", `{"detail":7}`, ""},
		{503, "application/problem+json; charset=utf-8", `{"detail":"stopping"}`, "5"},
		{502, "text/html", "<html>", ""},
		{401, "application/problem+json", `{}`, ""},
		{404, "", "", ""},
		{409, "application/problem+json", `{"index":-1}`, ""},
		{429, "a/json", `null`, "Mon, 23 Nov 2026 12:05:00 GMT"},
		{599, "json", "[", "x"},
		{302, "application/json", `{"index":9223372036854775808}`, ""},
	} {
		f.Add(seed.status, seed.media, seed.body, seed.after)
	}
	f.Fuzz(func(t *testing.T, status int, media, body, after string) {
		if status < 100 || status > 999 || status/100 == 2 {
			return // what net/http takes for no status, and no refusal
		}
		resp := answer(status, body, "Content-Type", media, "Retry-After", after)
		err := refusal(resp)
		again, tryAgain := errors.AsType[*transient](err)
		if err == nil || err.Error() == "" || len(err.Error()) > 3*maxAnswer {
			t.Fatalf("%d: %v", status, err)
		}
		if want := status >= 500 || slices.Contains([]int{http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests}, status); tryAgain != want {
			t.Fatalf("%d: tried again: %v, want %v", status, tryAgain, want)
		}
		if tryAgain && again.after < 0 {
			t.Fatalf("Retry-After %q is %s", after, again.after)
		}
	})
}

// Whatever a stream carries becomes one message, which is an event or a notice but not both, or is passed over because its type
// is unknown.
func FuzzDecodeMessage(f *testing.F) {
	for _, seed := range [][2]string{
		{"JobStarted", `{"type":"JobStarted","event_id":"01930000-0000-7000-8000-000000000001","occurred_at":"2026-11-23T12:41:48.000Z","job_id":"01930000-0000-7000-8000-000000000002","job_type":"Embedding"}`},
		{"QueueStatus", `{"type":"QueueStatus","occurred_at":"2026-11-23T12:41:48.000Z","total_jobs":0,"running":0,"pending":0}`},
		{"events.lagged", `{"dropped_count":7}`},
		{"events.lagged", `{"dropped_count":-7}`},
		{"resync_required", `{"reason":"expired"}`},
		{"resync_required", `[]`},
		{"FromTheFuture", `{"type":"FromTheFuture"}`},
		{"message", `{`},
		{"", ``},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		m, known := decode(streamEvent{name: name, data: data})
		switch {
		case !known:
			var e struct{ Type any }
			_ = json.Unmarshal(data, &e)
			if typ, ok := e.Type.(string); ok && slices.Contains(domain.AllTypes.Names(), typ) {
				t.Fatalf("%s is passed over", data)
			}
		case m.Notice == nil && m.Event.Payload == nil, m.Notice != nil && m.Event.Payload != nil, string(m.JSON) != string(data):
			t.Fatalf("%s %q is %+v", name, data, m)
		case m.Notice != nil && !slices.Contains([]string{noticeResync, noticeLagged}, m.Notice.Type):
			t.Fatalf("%s %q is a notice of %+v", name, data, *m.Notice)
		}
	})
}
