package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

var updateTail = flag.Bool("update-tail", false, "rewrite testdata/tail_*.golden")

var (
	jobA  = mustUUID("019ab3f2-0000-7000-8000-0000000000aa")
	jobB  = mustUUID("019ab3f2-0000-7000-8000-0000000000bb")
	noteA = mustUUID("019ab3f2-0000-7000-8000-0000000001aa")
)

func eventAt(ms int64, p domain.Payload) domain.Event {
	return domain.Event{
		ID: mustUUID("019ab3f2-0000-7000-8000-000000000001"), Payload: p,
		OccurredAt: time.Date(2026, 11, 23, 12, 41, 48, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond),
	}
}

// story has every type, with everything that may be absent both there and not.
func story() []domain.Event {
	ref := domain.JobRef{JobID: jobA, JobType: "Embedding", NoteID: noteA}
	other := domain.JobRef{JobID: jobB, JobType: "FullTextIndexingOfEverything"}
	priority, duration := 1, int64(83_250)
	return []domain.Event{
		eventAt(0, domain.QueueStatus{Running: 1, Pending: 12}),
		eventAt(3, domain.JobQueued{JobRef: ref, Priority: &priority}),
		eventAt(4, domain.JobQueued{JobRef: other}),
		eventAt(100, domain.JobStarted{JobRef: ref}),
		eventAt(200, domain.JobProgress{JobRef: ref, Percent: 5, Message: "chunk 1 of 20"}),
		eventAt(900, domain.JobProgress{JobRef: domain.JobRef{JobID: jobB}, Percent: 100}),
		eventAt(1000, domain.JobFailed{JobRef: other, Error: "connection\nreset \x1b[2J", WillRetry: true}),
		eventAt(2000, domain.JobFailed{JobRef: other, Error: "out of memory"}),
		eventAt(83_350, domain.JobCompleted{JobRef: ref, DurationMS: &duration}),
		eventAt(83_351, domain.JobCompleted{JobRef: other}),
		eventAt(83_352, domain.NoteUpdated{NoteID: noteA, Operation: domain.Updated, Title: "Pläne", Tags: []string{"a", "b c"}}),
		eventAt(83_353, domain.NoteUpdated{NoteID: noteA, Operation: domain.Deleted}),
	}
}

func TestTailLines(t *testing.T) {
	for name, color := range map[string]bool{"tail_plain.golden": false, "tail_color.golden": true} {
		f := lineFormat{zone: time.FixedZone("east", 2*60*60), color: color}
		var got []byte
		for _, e := range story() {
			got = append(f.append(got, e), '\n')
		}
		file := filepath.Join("testdata", name)
		if *updateTail {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		part float64
		want string
	}{{-1, "░░░░"}, {0, "░░░░"}, {0.1, "░░░░"}, {0.5, "██░░"}, {0.9, "████"}, {1, "████"}, {7, "████"}} {
		if got := bar(tt.part, 4); got != tt.want {
			t.Errorf("bar(%v) = %s; want %s", tt.part, got, tt.want)
		}
	}
}

// played is a Subscriber that hands over what it holds and then waits for its context, as a quiet hub does.
type played []ports.Message

func (p played) Subscribe(ctx context.Context, _ ports.Subscription, handle func(ports.Message) error) error {
	for _, m := range p {
		if err := handle(m); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

func play(events ...domain.Event) (p played) {
	for _, e := range events {
		p = append(p, ports.Message{Event: e, JSON: e.AppendJSON(nil)})
	}
	return p
}

func TestTailUntil(t *testing.T) {
	ref := domain.JobRef{JobID: jobA, JobType: "Embedding"}
	queued, completed := eventAt(0, domain.JobQueued{JobRef: ref}), eventAt(1, domain.JobCompleted{JobRef: ref})
	retried, failed := eventAt(2, domain.JobFailed{JobRef: ref, Error: "x", WillRetry: true}), eventAt(3, domain.JobFailed{JobRef: ref, Error: "x"})
	note := eventAt(4, domain.NoteUpdated{NoteID: noteA, Operation: domain.Created})
	tests := []struct {
		reason string
		types  string
		until  string
		events []domain.Event
		code   int
		shown  string
		errors string
	}{
		{"the job completes", "", "job.completed", []domain.Event{queued, completed, note}, 0, "JobQueued JobCompleted", ""},
		{"the job fails for good", "", "job.completed", []domain.Event{retried, failed, note}, 2, "JobFailed JobFailed", "job " + jobA.String() + " failed: x"},
		{"a failed attempt is not the end", "", "job.completed", []domain.Event{retried, completed}, 0, "JobFailed JobCompleted", ""},
		{"waiting for a start that cannot come", "", "JobStarted", []domain.Event{queued, failed}, 2, "JobQueued JobFailed", "failed: x"},
		{"a failed attempt that was waited for", "", "job_failed", []domain.Event{retried}, 0, "JobFailed", ""},
		{"a failed job that was waited for", "", "job_failed", []domain.Event{failed}, 2, "JobFailed", "failed: x"},
		{"a family", "", "note,queue", []domain.Event{failed, completed, note}, 0, "JobFailed JobCompleted NoteUpdated", ""},
		{"the end is shown whatever the types", "JobQueued", "job.completed", []domain.Event{queued, retried, completed}, 0, "JobQueued JobCompleted", ""},
		{"time runs out", "", "job.completed", []domain.Event{queued, retried, note}, 3, "JobQueued JobFailed NoteUpdated", "no JobCompleted within 1m0s"},
		{"time runs out while watching", "", "", []domain.Event{queued, completed}, 0, "JobQueued JobCompleted", ""},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out, errs bytes.Buffer
				tail := &tailing{out: &out, err: &errs, timeout: time.Minute, format: func(dst []byte, m ports.Message) []byte {
					return append(dst, m.Event.Type().String()...)
				}}
				command := TailCmd{Types: []string{tt.types}, Until: []string{tt.until}}
				s, err := command.subscription(tail)
				if err != nil {
					t.Fatal(err)
				}
				err = tail.run(t.Context(), play(tt.events...), s)
				if got := exitCode(err); got != tt.code {
					t.Errorf("exit code = %d (%v); want %d", got, err, tt.code)
				}
				if got := strings.Join(strings.Fields(out.String()), " "); got != tt.shown {
					t.Errorf("shown = %s; want %s", got, tt.shown)
				}
				if tt.errors != "" && !strings.Contains(err.Error(), tt.errors) {
					t.Errorf("error = %v; want %s in it", err, tt.errors)
				}
			})
		})
	}
}

func TestTailAsksForWhatItWaitsFor(t *testing.T) {
	for reason, tt := range map[string]struct {
		types, until []string
		want         domain.TypeSet
	}{
		"everything":                          {nil, []string{"job.completed"}, 0},
		"only what is shown":                  {[]string{"note"}, nil, domain.Set(domain.TypeNoteUpdated)},
		"what is shown and what would end it": {[]string{"note"}, []string{"job.completed"}, domain.Set(domain.TypeNoteUpdated, domain.TypeJobCompleted, domain.TypeJobFailed)},
		"a wait that no failure ends":         {[]string{"job.started"}, []string{"note"}, domain.Set(domain.TypeJobStarted, domain.TypeNoteUpdated)},
	} {
		s, err := (&TailCmd{Types: tt.types, Until: tt.until}).subscription(&tailing{})
		if err != nil || s.Filter.Types != tt.want {
			t.Errorf("%s: types = %v, %v; want %v", reason, s.Filter.Types.Names(), err, tt.want.Names())
		}
	}
}

func TestTailInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for until, want := range map[domain.TypeSet]int{0: 0, domain.Set(domain.TypeNoteUpdated): 1} {
		tail := &tailing{out: io.Discard, err: io.Discard, until: until}
		if err := tail.run(ctx, played{}, ports.Subscription{}); exitCode(err) != want {
			t.Errorf("until %v: exit code = %d (%v); want %d", until.Names(), exitCode(err), err, want)
		}
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestTailOutputGoesAway(t *testing.T) {
	for reason, tt := range map[string]struct {
		err   error
		until domain.TypeSet
		want  int
	}{
		"a pipe's reader ended":         {syscall.EPIPE, 0, 0},
		"the same while a wait goes on": {syscall.EPIPE, domain.Set(domain.TypeNoteUpdated), 1},
		"the disk is full":              {syscall.ENOSPC, 0, 1},
	} {
		tail := &tailing{out: failingWriter{tt.err}, err: io.Discard, show: domain.AllTypes, until: tt.until, format: func(dst []byte, m ports.Message) []byte { return dst }}
		if err := tail.run(t.Context(), play(story()...), ports.Subscription{}); exitCode(err) != tt.want {
			t.Errorf("%s: exit code = %d (%v); want %d", reason, exitCode(err), err, tt.want)
		}
	}
}

func TestTailNotices(t *testing.T) {
	for _, tt := range []struct {
		notice ports.Notice
		want   string
	}{
		{ports.Notice{Type: "EventsLagged", Dropped: 12}, "12 events were missed"},
		{ports.Notice{Type: "ResyncRequired", Reason: "expired"}, "keeps them no longer"},
		{ports.Notice{Type: "ResyncRequired", Reason: "unknown"}, "does not know"},
	} {
		var out, errs bytes.Buffer
		tail := &tailing{out: &out, err: &errs}
		if err := tail.handle(ports.Message{Notice: &tt.notice}); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 0 || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%+v: standard output %q, error %q; want %q on the latter alone", tt.notice, out.String(), errs.String(), tt.want)
		}
	}
}

func TestTailCommand(t *testing.T) {
	completed := eventAt(0, domain.JobCompleted{JobRef: domain.JobRef{JobID: jobA, JobType: "Embedding"}})
	raw := string(completed.AppendJSON(nil))
	odd := strings.Replace(raw, `"job_type"`, `"new_member": 1.50, "job_type"`, 1) // from a newer hub
	h := &scriptedHub{token: "t0ken", stream: "retry: 5\n\nevent: JobCompleted\nid: " + completed.ID.String() + "\ndata: " + odd + "\n\n"}
	hubURL := h.serve(t)
	t.Setenv("MATRIC_URL", hubURL)
	t.Setenv("MATRIC_TOKEN", h.token)

	t.Run("raw lines", func(t *testing.T) {
		stdout, stderr, code := outcomeOf(t, t.Context(), "tail", "--jsonl", "--until", "job.completed",
			"--types", "job,note", "--job-id", jobA.String()+","+jobB.String(), "--note-id", noteA.String(), "--after", jobB.String())
		if code != 0 || stdout != odd+"\n" || stderr != "" {
			t.Errorf("tail = %q, %q, %d; want the hub's bytes", stdout, stderr, code)
		}
		raw, last, _ := strings.Cut(h.queries[0], " ")
		got, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{
			"types":  {"JobQueued", "JobStarted", "JobProgress", "JobCompleted", "JobFailed", "NoteUpdated"},
			"job_id": {jobA.String(), jobB.String()}, "note_id": {noteA.String()},
		}
		if diff := cmp.Diff(want, got); diff != "" || last != jobB.String() {
			t.Errorf("asked after %s for (-want +got):\n%s", last, diff)
		}
	})
	t.Run("lines for people", func(t *testing.T) {
		stdout, _, code := outcomeOf(t, t.Context(), "tail", "--until", "job.completed")
		if code != 0 || !strings.Contains(stdout, "JobCompleted  000000aa  Embedding\n") || strings.Contains(stdout, "\x1b") {
			t.Errorf("tail = %q, %d", stdout, code)
		}
	})
	t.Run("time runs out", func(t *testing.T) {
		_, stderr, code := outcomeOf(t, t.Context(), "tail", "--until", "note.updated", "--timeout", "1ms")
		if code != 3 || !strings.Contains(stderr, "no NoteUpdated within 1ms") {
			t.Errorf("tail = %q, %d; want exit code 3", stderr, code)
		}
	})
	t.Run("refused", func(t *testing.T) {
		stdout, stderr, code := outcomeOf(t, t.Context(), "tail", "--token", "wrong")
		if code != 1 || stdout != "" || !strings.Contains(stderr, "the token is not known") {
			t.Errorf("tail = %q, %q, %d; want what the hub said", stdout, stderr, code)
		}
	})
}

func TestTailReconnects(t *testing.T) {
	var out, errs bytes.Buffer
	f := HubFlags{URL: "http://127.0.0.1:1"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hub, err := f.connect(&errs, cancel) // the first message ends the test
	if err != nil {
		t.Fatal(err)
	}
	tail := &tailing{out: &out, err: &errs}
	if err := tail.run(ctx, hub, ports.Subscription{}); err != nil {
		t.Errorf("run() = %v; want nil when interrupted", err)
	}
	if got := errs.String(); !strings.Contains(got, "trying again in") || strings.Count(got, "\n") != 1 {
		t.Errorf("standard error = %q; want one line about the hub that is away", got)
	}
}

func TestTailRefusesFlags(t *testing.T) {
	for flag, value := range map[string]string{
		"--types": "nonsense", "--until": "nonsense", "--job-id": "1", "--note-id": "1", "--after": "yesterday", "--url": "localhost",
	} {
		stdout, stderr, code := outcomeOf(t, t.Context(), "tail", flag, value)
		if code != 1 || stdout != "" || !strings.Contains(stderr, strings.TrimPrefix(flag, "--")) {
			t.Errorf("tail %s %s = %q, %q, %d; want an error that names the flag", flag, value, stdout, stderr, code)
		}
	}
	if err := outcome(eventAt(0, domain.JobFailed{JobRef: domain.JobRef{JobID: jobA}})); errors.Unwrap(err) == nil {
		t.Error("a failed job's error says nothing")
	}
}
