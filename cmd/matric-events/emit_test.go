package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// recorder is a Publisher that writes down each batch as a line: w or n, and what tells its events apart.
type recorder struct {
	batches []string
	answer  func(n int) (ports.Receipt, error) // nil accepts everything
}

func (r *recorder) take(line string, n int) (ports.Receipt, error) {
	r.batches = append(r.batches, line)
	if r.answer != nil {
		return r.answer(n)
	}
	return ports.Receipt{Accepted: n}, nil
}

func (r *recorder) PublishWorkerEvents(_ context.Context, batch []domain.WorkerEvent) (ports.Receipt, error) {
	line := "w"
	for _, e := range batch {
		line += " " + e.Message
	}
	return r.take(line, len(batch))
}

func (r *recorder) PublishNoteEvents(_ context.Context, batch []domain.NoteEvent) (ports.Receipt, error) {
	line := "n"
	for _, e := range batch {
		line += " " + e.Note.Title
	}
	return r.take(line, len(batch))
}

func worker(message string) string {
	return fmt.Sprintf(`{"type":"JobStarted","job_id":%q,"message":%q}`, jobA, message)
}

func note(title string) string {
	return fmt.Sprintf(`{"operation":"updated","note_id":%q,"title":%q}`, noteA, title)
}

func TestEmitInput(t *testing.T) {
	tests := []struct {
		reason, in string
		batches    []string
		counts     string
		err        string
	}{
		{"nothing", "", nil, "0, skipped 0", ""},
		{"only white space", " \r\n\t\n", nil, "0, skipped 0", ""},
		{"lines", worker("a") + "\n" + worker("b") + "\n", []string{"w a b"}, "2, skipped 0", ""},
		{"a byte order mark, CRLF, empty lines, no last line feed", "\uFEFF" + worker("a") + "\r\n\r\n " + worker("b"), []string{"w a b"}, "2, skipped 0", ""},
		{"kinds keep their order", worker("a") + "\n" + note("b") + "\n" + note("c") + "\n" + worker("d") + "\n", []string{"w a", "n b c", "w d"}, "4, skipped 0", ""},
		{"an array", "\n [" + worker("a") + ",\n" + worker("b") + ", " + note("c") + "]\n", []string{"w a b", "n c"}, "3, skipped 0", ""},
		{"an empty array", "[ ]", nil, "0, skipped 0", ""},
		{"a wrong member", worker("a") + "\n\n" + `{"type":"JobProgress","job_id":"x"}` + "\n" + worker("b") + "\n", []string{"w a"}, "1, skipped 0", "line 3: job_id:"},
		{"a note's wrong member", `{"note_id":"` + noteA.String() + `"}`, nil, "0, skipped 0", "line 1: operation: is required"},
		{"neither kind", "{}\n", nil, "0, skipped 0", "line 1: type: is required"},
		{"not JSON", worker("a") + "\nJobStarted\n", []string{"w a"}, "1, skipped 0", "line 2: not valid JSON"},
		{"a cut line", worker("a") + "\n" + worker("b")[:20], []string{"w a"}, "1, skipped 0", "line 2: "},
		{"a line beyond all measure", worker("a") + "\n" + worker(strings.Repeat("x", 1<<20)) + "\n", []string{"w a"}, "1, skipped 0", "line 2: longer than 1 MiB"},
		{"a wrong member in an array", "\n[" + worker("a") + ",\n\n{\"type\":\"Nonsense\"}]", []string{"w a"}, "1, skipped 0", `item 2 in line 4: type: "Nonsense"`},
		{"an array that is cut", "[" + worker("a") + ",\n", []string{"w a"}, "1, skipped 0", "item 2 in line"},
		{"an array that is not closed", "[" + worker("a") + "\n", []string{"w a"}, "1, skipped 0", "not closed"},
		{"an array that is not JSON", "[" + worker("a") + ",\n\nx]", []string{"w a"}, "1, skipped 0", "item 2 in line 3: invalid character 'x'"},
		{"something behind an array", "[" + worker("a") + "]\n" + worker("b"), []string{"w a"}, "1, skipped 0", "unexpected data after the array"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			hub := &recorder{}
			var out bytes.Buffer
			err := emitAll(t.Context(), hub, strings.NewReader(tt.in), &out, &progressBar{})
			if diff := cmp.Diff(tt.batches, hub.batches); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
			if got, want := out.String(), "accepted "+tt.counts+"\n"; got != want {
				t.Errorf("standard output = %q; want %q", got, want)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error = %v; want %q in it", err, tt.err)
			}
		})
	}
}

func TestEmitBatchesAreBounded(t *testing.T) {
	for reason, tt := range map[string]struct {
		message string
		events  int
		batches int
	}{
		"by number": {"", 2500, 3},
		"by size":   {strings.Repeat("x", 200<<10), 5, 3},
	} {
		hub := &recorder{}
		in := "[" + strings.Repeat(worker(tt.message)+",", tt.events-1) + worker(tt.message) + "]"
		if err := emitAll(t.Context(), hub, strings.NewReader(in), io.Discard, &progressBar{}); err != nil {
			t.Fatal(err)
		}
		if len(hub.batches) != tt.batches {
			t.Errorf("%s: %d batches; want %d", reason, len(hub.batches), tt.batches)
		}
	}
}

// What a live producer writes must go out although its next line is long in coming.
func TestEmitDoesNotHoldALivePipeBack(t *testing.T) {
	for form, writes := range map[string][]string{
		"lines":    {worker("a") + "\n", note("b") + "\n", worker("c") + "\n", ""},
		"an array": {"[" + worker("a"), ",\n" + note("b"), "," + worker("c"), "]"},
	} {
		r, w := io.Pipe()
		published := make(chan struct{}, 10)
		hub := &recorder{answer: func(n int) (ports.Receipt, error) {
			published <- struct{}{}
			return ports.Receipt{Accepted: n}, nil
		}}
		done := make(chan error)
		go func() { done <- emitAll(t.Context(), hub, r, io.Discard, &progressBar{}) }()
		for i, text := range writes {
			if _, err := io.WriteString(w, text); err != nil {
				t.Fatal(err)
			}
			if i == len(writes)-1 {
				break // the end
			}
			select {
			case <-published:
			case <-time.After(patience):
				t.Fatalf("%s: an event is held back", form)
			}
		}
		w.Close()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", form, err)
		}
	}
}

func TestEmitRefused(t *testing.T) {
	conflict := fmt.Errorf("%w: finished", domain.ErrConflict)
	tests := []struct {
		reason, in string
		answer     func(n int) (ports.Receipt, error)
		counts     string
		err        string
	}{
		{"skipped in a batch", worker("a") + "\n" + worker("b") + "\n", func(int) (ports.Receipt, error) { return ports.Receipt{Accepted: 1, Skipped: 1}, nil }, "accepted 1, skipped 1\n", ""},
		{"a finished job that happens to come alone", worker("a"), func(int) (ports.Receipt, error) { return ports.Receipt{}, conflict }, "accepted 0, skipped 1\n", ""},
		{"an item that the hub refuses", "\n" + worker("a") + "\n" + worker("b") + "\n", func(int) (ports.Receipt, error) {
			return ports.Receipt{}, &domain.FieldError{Field: "job_type", Index: 1, Detail: "no"}
		}, "accepted 0, skipped 0\n", "line 3: job_type: no"},
		{"a hub that is away", "\n" + worker("a") + "\n", func(int) (ports.Receipt, error) { return ports.Receipt{}, errors.New("away") }, "accepted 0, skipped 0\n", "line 2 and what follows: away"},
		{"a batch that was published in part", worker("a") + "\n" + worker("b") + "\n", func(int) (ports.Receipt, error) { return ports.Receipt{Accepted: 1}, errors.New("away") }, "accepted 1, skipped 0\n", "away"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			var out bytes.Buffer
			err := emitAll(t.Context(), &recorder{answer: tt.answer}, strings.NewReader(tt.in), &out, &progressBar{})
			if out.String() != tt.counts {
				t.Errorf("standard output = %q; want %q", out.String(), tt.counts)
			}
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error = %v; want %q in it", err, tt.err)
			}
		})
	}
}

func TestEmitFlags(t *testing.T) {
	h := &scriptedHub{}
	t.Setenv("MATRIC_URL", h.serve(t))
	id, job, noteID := "019ab3f2-0000-7000-8000-00000000abcd", jobA.String(), noteA.String()
	tests := []struct {
		args string // separated by bars
		want string // route, content type and body
	}{
		{"job-queued|--job-id|" + job + "|--job-type|ai-revision|--priority|0|--note-id|" + noteID, `worker-events {"type":"JobQueued","event_id":"` + id + `","job_id":"` + job + `","job_type":"AiRevision","note_id":"` + noteID + `","priority":0}`},
		{"JobProgress|--job-id|" + job + "|--percent|40|--message|a, b", `worker-events {"type":"JobProgress","event_id":"` + id + `","job_id":"` + job + `","percent":40,"message":"a, b"}`},
		{"job.completed|--job-id|" + job + "|--duration-ms|12|--occurred-at|2026-11-23T13:41:48+01:00", `worker-events {"type":"JobCompleted","event_id":"` + id + `","occurred_at":"2026-11-23T12:41:48.000Z","job_id":"` + job + `","duration_ms":12}`},
		{"job_failed|--job-id|" + job + "|--error|no|--will-retry", `worker-events {"type":"JobFailed","event_id":"` + id + `","job_id":"` + job + `","error":"no","will_retry":true}`},
		{"worker-started", `worker-events {"type":"WorkerStarted","event_id":"` + id + `"}`},
		{"note-updated|--note-id|" + noteID + "|--operation|updated|--title|T|--tag|a|--tag|b, c|--user-id|u|--has-links|--has-ai-content", `note-events {"event_id":"` + id + `","operation":"updated","note_id":"` + noteID + `","user_id":"u","title":"T","tags":["a","b, c"],"has_ai_content":true,"has_links":true}`},
	}
	for _, tt := range tests {
		h.bodies = nil
		args := append([]string{"emit", "--event-id", id}, strings.Split(tt.args, "|")...)
		stdout, stderr, code := outcomeOf(t, t.Context(), args...)
		if code != 0 || stdout != "accepted 1, skipped 0\n" || stderr != "" {
			t.Errorf("%s = %q, %q, %d", tt.args, stdout, stderr, code)
			continue
		}
		route, body, _ := strings.Cut(tt.want, " ")
		if diff := cmp.Diff([]string{route + " application/json\n" + body}, h.bodies); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.args, diff)
		}
	}
}

func TestEmitRefusesFlags(t *testing.T) {
	h := &scriptedHub{}
	t.Setenv("MATRIC_URL", h.serve(t))
	for args, want := range map[string]string{
		"":                                       "name the type",
		"job-paused":                             "type:",
		"job-started":                            "--job-id: is required",
		"job-started --job-id 7":                 "--job-id:",
		"job-progress --job-id " + jobA.String(): "--percent: is required",
		"worker-started --title x":               "--title: unknown field",
		"note-updated --note-id " + noteA.String() + " --operation moved":          "--operation: must be",
		"note-updated --note-id " + noteA.String() + " --operation created --tag ": "--tag: must not",
		"note-updated --percent 3 --operation created":                             "--percent: unknown field",
		"job-started --file x":       "--file:",
		"--priority 1 --file x":      "--file:",
		"--file /nonexistent/events": "no such file",
	} {
		split := []string{"emit"}
		if args != "" {
			split = append(split, strings.Split(args, " ")...)
		}
		stdout, stderr, code := outcomeOf(t, t.Context(), split...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("emit %s = %q, %q, %d; want %q", args, stdout, stderr, code, want)
		}
	}
	if h.bodies != nil {
		t.Errorf("published %q", h.bodies)
	}
}

func TestEmitFile(t *testing.T) {
	h := &scriptedHub{}
	file := filepath.Join(t.TempDir(), "events.ndjson")
	if err := os.WriteFile(file, []byte(worker("a")+"\n"+worker("b")+"\n"+note("c")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := outcomeOf(t, t.Context(), "emit", "--url", h.serve(t), "--file", file)
	if code != 0 || stdout != "accepted 3, skipped 0\n" || stderr != "" {
		t.Errorf("emit = %q, %q, %d", stdout, stderr, code)
	}
	if len(h.bodies) != 2 || !strings.HasPrefix(h.bodies[0], "worker-events application/x-ndjson\n") || !strings.HasPrefix(h.bodies[1], "note-events application/json\n") {
		t.Errorf("requests = %q; want two worker events, then a note event", h.bodies)
	}
}

func TestEmitProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var screen bytes.Buffer
		drawn := func() string {
			defer screen.Reset()
			return strings.TrimPrefix(screen.String(), "\r\x1b[K")
		}
		b := &progressBar{w: &screen, total: 1000}
		b.update(0, 0)
		b.update(100, 10)
		b.clear()
		if got := drawn(); got != "" {
			t.Errorf("drew %q for what takes but a moment", got)
		}
		time.Sleep(2 * time.Second)
		b.update(250, 100)
		if got, want := drawn(), "█████░░░░░░░░░░░░░░░  25%  100 events, 50/s, 6s left"; got != want {
			t.Errorf("bar = %q; want %q", got, want)
		}
		b.update(260, 101)
		if got := drawn(); got != "" {
			t.Errorf("drew %q at once again", got)
		}
		b.clear()
		b.clear()
		if got := screen.String(); got != "\r\x1b[K" {
			t.Errorf("clear wrote %q; want the line emptied, once", got)
		}
		screen.Reset()
		b.total = 0
		time.Sleep(2 * time.Second)
		b.update(1<<40, 200)
		if got, want := drawn(), "200 events, 50/s"; got != want {
			t.Errorf("without a size: %q; want %q", got, want)
		}
		(&progressBar{}).update(1, 1) // the zero value shows nothing, and needs no writer
	})
}

func FuzzEmitInput(f *testing.F) {
	for _, seed := range []string{worker("a") + "\n" + note("b"), "[" + worker("a") + "]", "[", "[1,", "\uFEFF\n[]x", "{\"type\":"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		hub := &recorder{}
		var out bytes.Buffer
		err := emitAll(t.Context(), hub, bytes.NewReader(data), &out, &progressBar{})
		if out.Len() == 0 {
			t.Errorf("no counts at the end; error %v", err)
		}
		if err != nil && !strings.Contains(err.Error(), "line ") {
			t.Errorf("error = %v; want the line in it", err)
		}
	})
}
