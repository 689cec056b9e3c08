package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/adapters/httpapi"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// job returns a worker event as producers send it.
func job(kind string, n int, more ...string) string {
	return fmt.Sprintf(`{"type":%q,"job_id":"01930000-0000-7000-8000-%012d"%s}`, kind, n, strings.Join(more, ""))
}

func TestProducers(t *testing.T) {
	const note = `{"operation":"created",` + aNot + `}`
	ndjson := []string{"Content-Type", "application/x-ndjson"}
	for _, tc := range []struct {
		why, path, body string
		header          []string
		want            string
		types           []string
	}{
		{why: "one", path: workerPath, body: job("JobStarted", 2), want: `{"accepted":1}`, types: []string{"JobStarted"}},
		{why: "in snake case", path: workerPath, body: job("job_started", 2), want: `{"accepted":1}`, types: []string{"JobStarted"}},
		{why: "null is absent", path: workerPath, body: job("JobStarted", 2, `,"note_id":null,"priority":null`), want: `{"accepted":1}`, types: []string{"JobStarted"}},
		{why: "an array", path: workerPath, body: " [" + job("JobQueued", 2) + ", " + job("JobStarted", 2) + "]\n", want: `{"accepted":2}`, types: []string{"JobQueued", "JobStarted"}},
		{why: "an empty array", path: workerPath, body: `[]`, want: `{"accepted":0}`},
		{why: "an empty array of notes", path: notePath, body: ` [ ] `, want: `{"accepted":0}`},
		{
			why: "NDJSON with blank lines and carriage returns", path: workerPath, header: ndjson,
			body: "\n" + job("JobQueued", 2) + "\r\n\r\n  \n" + job("JobStarted", 2) + "\n\n", want: `{"accepted":2}`, types: []string{"JobQueued", "JobStarted"},
		},
		{why: "NDJSON without an end of line", path: notePath, header: ndjson, body: note, want: `{"accepted":1}`, types: []string{"NoteUpdated"}},
		{why: "NDJSON with a charset", path: notePath, header: []string{"Content-Type", "application/x-ndjson; charset=utf-8"}, body: note + "\n" + note, want: `{"accepted":2}`, types: []string{"NoteUpdated", "NoteUpdated"}},
		{why: "NDJSON of nothing", path: workerPath, header: ndjson, body: "\n\n", want: `{"accepted":0}`},
		{why: "a worker comes", path: workerPath, body: `{"type":"WorkerStarted"}`, want: `{"accepted":1}`},
		{why: "a note", path: notePath, body: note, want: `{"accepted":1}`, types: []string{"NoteUpdated"}},
		{why: "a batch of one that comes too late", path: workerPath, body: "[" + job("JobStarted", 1) + "]", want: `{"accepted":0,"skipped":1}`},
		{why: "the same as NDJSON", path: workerPath, header: ndjson, body: job("JobStarted", 1), want: `{"accepted":0,"skipped":1}`},
		{why: "some too late", path: workerPath, body: "[" + job("JobStarted", 1) + "," + job("JobStarted", 2) + "]", want: `{"accepted":1,"skipped":1}`, types: []string{"JobStarted"}},
		{why: "a repetition when the job has finished", path: workerPath, body: job("JobCompleted", 1, `,"event_id":"01930000-0000-7000-8000-00000000e000"`), want: `{"accepted":1}`},
	} {
		t.Run(tc.why, func(t *testing.T) {
			r := open(t, nil)
			r.call(t, "POST", workerPath, job("JobCompleted", 1, `,"event_id":"01930000-0000-7000-8000-00000000e000"`), http.StatusAccepted, nil)
			w := r.send(request("POST", tc.path, tc.body, tc.header...))
			if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusAccepted || got != tc.want {
				t.Errorf("%d %s, want %s", w.Code, got, tc.want)
			}
			if diff := cmp.Diff(tc.types, r.types()[1:], cmp.Transformer("", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProducersNameTheBadItem(t *testing.T) {
	good, bad := job("JobStarted", 2), `{"type":"JobStarted"}`
	ndjson := []string{"Content-Type", "application/x-ndjson"}
	for _, tc := range []struct {
		why, body string
		header    []string
		index     int // -1 for none
		field     string
	}{
		{"first of an array", "[" + bad + "," + good + "]", nil, 0, "job_id"},
		{"the only one of an array", "[" + bad + "]", nil, 0, "job_id"},
		{"last of an array", "[" + good + "," + good + "," + bad + "]", nil, 2, "job_id"},
		{"an unknown member", "[" + good + `,{"x":1}]`, nil, 1, "x"},
		{"a number in an array", "[" + good + ",5]", nil, 1, ""},
		{"null in an array", "[" + good + ",null]", nil, 1, ""},
		{"an array in an array", "[" + good + ",[" + good + "]]", nil, 1, ""},
		{"no JSON in an array", "[" + good + ",{nope}]", nil, 1, ""},
		{"invalid UTF-8 in an array", "[" + good + "," + strings.Replace(good, "JobStarted", "\xff", 1) + "]", nil, 1, ""},
		{"an array cut short within an item", "[" + good + `,{"type"`, nil, 1, ""},
		{"an array cut short between items", "[" + good, nil, -1, ""},
		{"trailing data", "[" + good + "]x", nil, -1, ""},
		{"by itself", bad, nil, -1, "job_id"},
		{"NDJSON counts items and no blank lines", good + "\n\n\n" + bad, ndjson, 1, "job_id"},
		{"NDJSON with a line that is no JSON", good + "\n" + good + "\n{", ndjson, 2, ""},
		{"NDJSON with an array", "\n[" + good + "]", ndjson, 0, ""},
		{"NDJSON with two on a line", good + good, ndjson, 0, ""},
		{"NDJSON with invalid UTF-8", good + "\n\xff", ndjson, 1, ""},
	} {
		t.Run(tc.why, func(t *testing.T) {
			r := open(t, nil)
			p := mustProblem(t, r.send(request("POST", workerPath, tc.body, tc.header...)), http.StatusBadRequest)
			if index := p.Index; p.Field != tc.field || (index == nil) != (tc.index < 0) || index != nil && *index != tc.index {
				t.Errorf("problem %+v, want field %q at %d", p, tc.field, tc.index)
			}
			if got := r.types(); len(got) > 0 {
				t.Errorf("published %v", got)
			}
		})
	}
}

func TestLateEventAloneIsAConflict(t *testing.T) {
	r := open(t, nil)
	r.call(t, "POST", workerPath, job("JobCompleted", 1), http.StatusAccepted, nil)
	p := mustProblem(t, r.send(request("POST", workerPath, job("JobStarted", 1))), http.StatusConflict)
	if !strings.Contains(p.Detail, "has finished") {
		t.Errorf("detail %q", p.Detail)
	}
	r.call(t, "POST", workerPath, job("JobQueued", 1), http.StatusAccepted, nil)
}

// failing is a publisher that fails.
type failing struct{ err error }

func (f failing) PublishWorkerEvents(context.Context, []domain.WorkerEvent) (ports.Receipt, error) {
	return ports.Receipt{}, f.err
}

func (f failing) PublishNoteEvents(context.Context, []domain.NoteEvent) (ports.Receipt, error) {
	return ports.Receipt{}, f.err
}

func TestFaultsAreToldAndNotShown(t *testing.T) {
	for _, tc := range []struct {
		why        string
		err        error
		status     int
		retryAfter string
	}{
		{"a fault of the inside", errSecret, http.StatusInternalServerError, ""},
		{"not available", fmt.Errorf("%w: %w", domain.ErrUnavailable, errSecret), http.StatusServiceUnavailable, "1"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			r := open(t, func(s *httpapi.Services, _ *httpapi.Options) { s.Publisher = failing{tc.err} })
			for i, call := range [][2]string{{workerPath, job("JobStarted", 1)}, {notePath, `{"operation":"created",` + aNot + `}`}} {
				w := r.send(request("POST", call[0], call[1]))
				if p := mustProblem(t, w, tc.status); strings.Contains(w.Body.String(), "SELECT") || p.Field != "" {
					t.Errorf("the text got out: %s", w.Body)
				}
				if got := w.Header().Get("Retry-After"); got != tc.retryAfter {
					t.Errorf("Retry-After = %q", got)
				}
				if told := r.told(); len(told) != i+1 || !errors.Is(told[i], tc.err) {
					t.Errorf("told %v", told)
				}
			}
		})
	}
}

// TestProducersLeaveOutWhatTheyMay is the wire form of an event whose producer has said as little as it may.
func TestProducersLeaveOutWhatTheyMay(t *testing.T) {
	r := open(t, nil)
	for _, body := range []string{job("JobQueued", 1, `,"job_type":"ai_revision",`+aNot), job("JobStarted", 1), job("JobProgress", 1, `,"percent":65`)} {
		r.call(t, "POST", workerPath, body, http.StatusAccepted, nil)
	}
	entries, _, _ := r.log.Read(2, &domain.Filter{}, make([]domain.Entry, 0, 1))
	var got object
	if err := json.Unmarshal(entries[0].JSON, &got); err != nil {
		t.Fatal(err)
	}
	want := object{
		"type": "JobProgress", "job_id": "01930000-0000-7000-8000-000000000001", "job_type": "AiRevision",
		"note_id": "01930000-0000-7000-8000-000000000002", "progress": 65.0, "progress_percent": 65.0,
	}
	if diff := cmp.Diff(want, without(t, got, "event_id", "occurred_at")); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func FuzzProducers(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `[{}]`, "{}\n{}", `null`, `[null,1]`, job("JobProgress", 1, `,"percent":1e0`), "[" + job("JobStarted", 1) + "]",
		`{"operation":"created",` + aNot + `,"tags":["\ud800"]}`, "\xff", "[" + strings.Repeat("[", 100), `{"type":"JobStarted","type":5}`,
	} {
		for _, ndjson := range []bool{true, false} {
			f.Add(seed, ndjson, true)
			f.Add(seed, ndjson, false)
		}
	}
	r := open(f, nil)
	f.Fuzz(func(t *testing.T, body string, ndjson, worker bool) {
		media, path := "application/json", notePath
		if ndjson {
			media = "application/x-ndjson"
		}
		if worker {
			path = workerPath
		}
		w := r.send(request("POST", path, body, "Content-Type", media))
		if w.Code >= 400 && w.Code < 500 {
			mustAnswerProblem(t, w.Body.Bytes(), w.Code)
			return
		}
		var receipt struct{ Accepted, Skipped int }
		if err := json.Unmarshal(w.Body.Bytes(), &receipt); w.Code != http.StatusAccepted || err != nil {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// mustAnswerProblem is mustProblem for details that may repeat what a fuzzer has sent.
func mustAnswerProblem(t *testing.T, body []byte, status int) {
	t.Helper()
	var p problem
	if err := json.Unmarshal(body, &p); err != nil || p.Status != status || p.Detail == "" {
		t.Errorf("%d %v: %s", status, err, body)
	}
}
