package domain_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/matric/matric-events/domain"
)

// Symbols stand for identifiers in the traces.
var (
	spell   = strings.NewReplacer("$job", id(1).String(), "$note", id(2).String(), "$other", id(3).String())
	unspell = strings.NewReplacer(id(1).String(), "$job", id(2).String(), "$note", id(3).String(), "$other")
)

var phaseNames = map[domain.Phase]string{
	domain.PhaseUnknown: "unknown", domain.PhaseQueued: "queued", domain.PhaseRunning: "running",
	domain.PhaseRetrying: "retrying", domain.PhaseFinished: "finished",
}

// Each file is a protocol trace. A line "> time event" is what a worker reports at that time; what follows it is what
// Translate makes of it: "<" the event that clients see, "!" an error, "=" what is remembered of the job. A line that
// starts with # opens a new scenario. -update rewrites all lines but those of # and >.
func TestTranslateTraces(t *testing.T) {
	files, err := filepath.Glob("testdata/translate/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, file, replay(t, string(data)))
		})
	}
}

func replay(t *testing.T, trace string) string {
	var out strings.Builder
	var m domain.JobMemory
	for line := range strings.SplitSeq(strings.TrimSuffix(trace, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "#"):
			m = domain.JobMemory{}
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&out, line)
			after, input, _ := strings.Cut(line[len("> "):], " ")
			m = step(t, &out, m, after, spell.Replace(input))
			continue
		case line != "":
			continue
		}
		fmt.Fprintln(&out, line)
	}
	return out.String()
}

func step(t *testing.T, out *strings.Builder, m domain.JobMemory, after, input string) domain.JobMemory {
	offset, err := time.ParseDuration(after)
	if err != nil {
		t.Fatal(err)
	}
	w, err := domain.DecodeWorkerEvent([]byte(input))
	if err != nil {
		t.Fatalf("%s: %v", input, err)
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(offset)
	payload, next, err := domain.Translate(w, m, at)
	switch {
	case errors.Is(err, domain.ErrConflict):
		fmt.Fprintln(out, "! conflict:", unspell.Replace(err.Error()))
	case err != nil:
		t.Fatalf("Translate(%s): %v, want nil or ErrConflict", input, err)
	case payload == nil:
		fmt.Fprintln(out, "< nothing")
	default:
		event := domain.Event{OccurredAt: at, Payload: payload}
		fmt.Fprintln(out, "<", unspell.Replace(string(event.AppendJSON(nil))))
	}
	note := "none"
	if !next.Note.IsZero() {
		note = unspell.Replace(next.Note.String())
	}
	started := "unknown"
	if !next.StartedAt.IsZero() {
		started = next.StartedAt.Format(domain.TimeLayout)
	}
	fmt.Fprintf(out, "= %s, type %q, note %s, started %s\n", phaseNames[next.Phase], next.Type, note, started)
	return next
}

// Whatever a worker reports: after a finished phase nothing but JobQueued passes, what does not pass changes nothing,
// and every payload is about the job with a type where one is required.
func TestTranslateLetsNothingFollowAFinishedJob(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m domain.JobMemory
		finished := false
		at := noon
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			w := genWorkerEvent.Draw(t, "event")
			w.JobID = id(1)
			at = at.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "later")) * time.Millisecond)
			payload, next, err := domain.Translate(w, m, at)
			typ := w.Kind.Type()
			switch {
			case typ == 0:
				if payload != nil || err != nil || next != m {
					t.Fatalf("%v: payload %v, error %v, memory %+v after %+v", w.Kind, payload, err, next, m)
				}
				continue
			case finished && typ != domain.TypeJobQueued:
				if !errors.Is(err, domain.ErrConflict) || payload != nil || next != m {
					t.Fatalf("%v for a finished job: payload %v, error %v", w.Kind, payload, err)
				}
				continue
			case err != nil || payload.Type() != typ:
				t.Fatalf("%v for a job that goes on: payload %v, error %v", w.Kind, payload, err)
			}
			checkPayload(t, w, m, payload)
			finished = typ == domain.TypeJobCompleted || typ == domain.TypeJobFailed && !w.WillRetry
			if (next.Phase == domain.PhaseFinished) != finished {
				t.Fatalf("%+v leaves phase %s", w, phaseNames[next.Phase])
			}
			m = next
		}
	})
}

func checkPayload(t *rapid.T, w domain.WorkerEvent, m domain.JobMemory, payload domain.Payload) {
	job, note := payload.Subject()
	wantNote := w.NoteID
	if wantNote.IsZero() {
		wantNote = m.Note
	}
	if job != w.JobID || note != wantNote {
		t.Fatalf("payload about %v, %v; want %v, %v", job, note, w.JobID, wantNote)
	}
	data := domain.Event{OccurredAt: noon, Payload: payload}.AppendJSON(nil)
	if _, err := domain.DecodeEvent(data); err != nil {
		t.Fatalf("clients cannot read %s: %v", data, err)
	}
	if done, ok := payload.(domain.JobCompleted); ok && done.DurationMS != nil && *done.DurationMS < 0 {
		t.Fatalf("negative duration in %s", data)
	}
}

// The bridge may hand over a progress event that was not made by the decoder.
func TestTranslateTakesAMissingPercentForZero(t *testing.T) {
	payload, _, err := domain.Translate(worker(domain.TypeJobProgress), domain.JobMemory{}, noon)
	if p, ok := payload.(domain.JobProgress); err != nil || !ok || p.Percent != 0 {
		t.Errorf("Translate = %+v, %v", payload, err)
	}
}

func TestParseWorkerKind(t *testing.T) {
	for in, want := range map[string]domain.WorkerKind{
		"JobQueued":      domain.JobKind(domain.TypeJobQueued),
		"job_queued":     domain.JobKind(domain.TypeJobQueued),
		"JobStarted":     domain.JobKind(domain.TypeJobStarted),
		"job_progress":   domain.JobKind(domain.TypeJobProgress),
		"JobCompleted":   domain.JobKind(domain.TypeJobCompleted),
		"job_failed":     domain.JobKind(domain.TypeJobFailed),
		"WorkerStarted":  domain.WorkerStarted,
		"worker_stopped": domain.WorkerStopped,
	} {
		if got, err := domain.ParseWorkerKind(in); err != nil || got != want {
			t.Errorf("ParseWorkerKind(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "_", "Job", "NoteUpdated", "QueueStatus", "JobQueued, JobStarted", "JobQueued ", "job.queued"} {
		_, err := domain.ParseWorkerKind(in)
		refused(t, err, "type")
	}
}

func TestWorkerKindType(t *testing.T) {
	for typ := range domain.AllTypes.All() {
		kind := domain.JobKind(typ)
		if aboutJobs := strings.HasPrefix(typ.String(), "Job"); aboutJobs != (kind.Type() == typ) || aboutJobs != (kind.String() == typ.String()) {
			t.Errorf("JobKind(%v) = %v of type %v", typ, kind, kind.Type())
		}
	}
	if domain.WorkerStarted.Type() != 0 || domain.WorkerStopped.Type() != 0 {
		t.Error("a worker coming or going is no event type")
	}
}
