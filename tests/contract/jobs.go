package contract

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// JobsFixture is an adapter of ports.JobQueue and ports.JobCounter with nothing stored, and the other sides of what it
// stores. It runs two jobs at least at the same time, and tries a failed one again within a few milliseconds.
type JobsFixture struct {
	Queue   ports.JobQueue
	Counter ports.JobCounter
	Outbox  ports.Outbox // where the events of the jobs appear
	Notes   ports.Notes  // whose jobs go to the queue

	// Run runs the jobs until the test ends or stop is called. stop tells those that run to stop at once, and returns
	// when they have.
	Run func(t *testing.T, h ports.JobHandler) (stop func())
}

// Jobs checks ports.JobQueue, ports.JobCounter, and what ports.JobHandler says of its caller.
func Jobs(t *testing.T, open func(t *testing.T) JobsFixture) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, f JobsFixture)
	}{
		{"a job comes back as it was asked for", jobsRoundTrip},
		{"a job that does not exist is not found", jobsNotFound},
		{"lists are newest first and at most as long as asked", jobsOrder},
		{"a list says whether there are more", jobsMore},
		{"a page begins after the job named", jobsPages},
		{"note, type and state select", jobsSelect},
		{"a job is queued, started, reports and is completed", jobsCompleted},
		{"a job that waits is run once there is somebody to do it", jobsRunLater},
		{"a failed attempt is followed by another", jobsRetried},
		{"a panic is a failed attempt", jobsPanic},
		{"a job that fails as often as it may has failed", jobsFailed},
		{"any text may be reported", jobsHostileTexts},
		{"progress that is none is refused", jobsBadProgress},
		{"progress ends with the attempt", jobsLateProgress},
		{"a job that waits is canceled at once", jobsCancelWaiting},
		{"a job that runs is told to stop and canceled", jobsCancelRunning},
		{"a canceled job does not complete whatever its handler does", jobsCancelIgnored},
		{"a job that waits for its next attempt can be canceled", jobsCancelRetrying},
		{"a job that has finished cannot be canceled", jobsCancelFinished},
		{"the result is stored with the completion, and told after it", jobsResult},
		{"a result that changes nothing is not told", jobsResultUnchanged},
		{"a write of a note that fails enqueues nothing", jobsTogether},
		{"jobs are counted while they wait or run", jobsCounted},
		{"several jobs run at once", jobsConcurrent},
		{"stopping interrupts, and the job runs again", jobsInterrupted},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// JobFunc is a ports.JobHandler.
type JobFunc func(ctx context.Context, job domain.Job, report func(percent int, message string) error) (*domain.Analysis, error)

// Run implements ports.JobHandler.
func (f JobFunc) Run(ctx context.Context, job domain.Job, report func(int, string) error) (*domain.Analysis, error) {
	return f(ctx, job, report)
}

// succeed does nothing, well.
var succeed = JobFunc(func(context.Context, domain.Job, func(int, string) error) (*domain.Analysis, error) { return nil, nil })

// fail returns a handler that always fails.
func fail(err error) JobFunc {
	return func(context.Context, domain.Job, func(int, string) error) (*domain.Analysis, error) { return nil, err }
}

// spec returns a spec that depends on n.
func spec(n int) domain.JobSpec {
	return domain.JobSpec{ID: id(n), Type: domain.JobLinkExtraction, NoteID: id(n + 1000), Priority: 2, MaxAttempts: 3}
}

func (f JobsFixture) enqueue(t *testing.T, specs ...domain.JobSpec) {
	t.Helper()
	for _, s := range specs {
		if _, err := f.Queue.Enqueue(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func (f JobsFixture) job(t *testing.T, id domain.UUID) domain.Job {
	t.Helper()
	job, err := f.Queue.Job(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

func (f JobsFixture) cancel(t *testing.T, id domain.UUID) domain.Job {
	t.Helper()
	job, err := f.Queue.Cancel(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// trace removes records from the outbox until one satisfies last, and returns them in words.
func (f JobsFixture) trace(t *testing.T, last string) []string {
	t.Helper()
	var lines []string
	for {
		records := pending(t, f.Outbox, 1)
		if len(records) == 0 {
			if err := f.Outbox.Wait(t.Context()); err != nil {
				t.Fatalf("%v; so far:\n%q", err, lines)
			}
			continue
		}
		if err := f.Outbox.Remove(t.Context(), records[0].Position); err != nil {
			t.Fatal(err)
		}
		line := inWords(t, records[0])
		lines = append(lines, line)
		if line == last {
			return lines
		}
	}
}

// expect compares all records in the outbox, up to the last one that is wanted, with those wanted. Nothing more may come.
func (f JobsFixture) expect(t *testing.T, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, f.trace(t, want[len(want)-1])); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if more := pending(t, f.Outbox, 1); len(more) > 0 {
		t.Errorf("an event follows: %s", inWords(t, more[0]))
	}
}

func inWords(t *testing.T, r ports.OutboxRecord) string {
	t.Helper()
	if r.Note != nil {
		return fmt.Sprintf("NoteUpdated %d %s", r.Note.Note.NoteID[15], r.Note.Note.Operation)
	}
	w := r.Worker
	if w == nil {
		t.Fatalf("no record of a worker event: %+v", r)
	}
	if w.EventID[6]>>4 != 7 || w.EventID[8]>>6 != 2 {
		t.Errorf("%s is no UUIDv7", w.EventID)
	}
	if d := time.Since(w.OccurredAt).Abs(); d > time.Minute {
		t.Errorf("%s occurred at %s, %s from now", w.Kind, w.OccurredAt, d)
	}
	if w.JobType != domain.JobLinkExtraction && w.JobType != domain.JobNoteAnalysis || w.NoteID.IsZero() != (w.JobID == noNote) {
		t.Errorf("type or note of the job is wrong: %+v", w)
	}
	line := fmt.Sprintf("%d %s", w.JobID[15], w.Kind)
	if w.Priority != nil {
		line += fmt.Sprintf(" priority %d", *w.Priority)
	}
	if w.Percent != nil {
		line += fmt.Sprintf(" %d%% %s", *w.Percent, w.Message)
	}
	if w.Kind.Type() == domain.TypeJobCompleted && w.DurationMS == nil {
		line += " without duration"
	}
	if w.Kind.Type() == domain.TypeJobFailed {
		line += " " + w.Error
	}
	if w.WillRetry {
		line += ", will retry"
	}
	return line
}

// noNote is the job that has no note.
var noNote = id(99)

func jobsRoundTrip(t *testing.T, f JobsFixture) {
	plain := domain.JobSpec{ID: noNote, Type: domain.JobLinkExtraction}
	for _, s := range []domain.JobSpec{spec(1), plain} {
		got, err := f.Queue.Enqueue(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(got, f.job(t, s.ID)); d != "" {
			t.Errorf("Job differs from what Enqueue returned (-want +got):\n%s", d)
		}
		if d := time.Since(got.CreatedAt).Abs(); d > time.Minute {
			t.Errorf("created %s from now", d)
		}
		if s, err = s.Validate(); err != nil {
			t.Fatal(err)
		}
		want := domain.Job{
			ID: s.ID, Type: s.Type, NoteID: s.NoteID, State: domain.JobStateQueued, Priority: s.Priority,
			MaxAttempts: s.MaxAttempts, CreatedAt: got.CreatedAt,
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("Enqueue (-want +got):\n%s", d)
		}
	}
	f.expect(t, "1 JobQueued priority 2", "99 JobQueued priority 2")
}

func jobsNotFound(t *testing.T, f JobsFixture) {
	f.enqueue(t, spec(1))
	if _, err := f.Queue.Job(t.Context(), id(2)); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Job = %v; want ErrNotFound", err)
	}
	if _, err := f.Queue.Cancel(t.Context(), id(2)); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Cancel = %v; want ErrNotFound", err)
	}
	if _, _, err := f.Queue.Jobs(t.Context(), domain.JobQuery{Before: id(2), Limit: 1}); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Jobs = %v; want ErrNotFound", err)
	}
}

func jobsTogether(t *testing.T, f JobsFixture) {
	refusal := errors.New("no")
	w := put(sample(1), domain.Created)
	w.Job = &domain.JobSpec{ID: id(9), Type: domain.JobNoteAnalysis, NoteID: id(1)}
	err := f.Notes.Write(t.Context(), id(1), func(*domain.Note) (ports.NoteWrite, error) { return w, refusal })
	if !errors.Is(err, refusal) {
		t.Fatalf("Write = %v", err)
	}
	if _, err := f.Queue.Job(t.Context(), id(9)); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Job = %v; want ErrNotFound", err)
	}
	w.Job.ID = id(8)
	f.create(t, w)
	f.expect(t, "NoteUpdated 1 created", "8 JobQueued priority 2")
}

// create stores a note and its job.
func (f JobsFixture) create(t *testing.T, w ports.NoteWrite) {
	t.Helper()
	if err := f.Notes.Write(t.Context(), w.Note.ID, func(*domain.Note) (ports.NoteWrite, error) { return w, nil }); err != nil {
		t.Fatal(err)
	}
}

func jobsResult(t *testing.T, f JobsFixture) {
	f.analyze(t, 1)
	f.expect(t, "NoteUpdated 1 created", "9 JobQueued priority 2", "9 JobStarted", "9 JobProgress 50% reading",
		"9 JobCompleted", "NoteUpdated 1 updated")
	n, err := f.Notes.Note(t.Context(), id(1))
	if d := diff([]string{"found"}, n.SuggestedTags); err != nil || d != "" {
		t.Errorf("suggested tags of the note, %v (-want +got):\n%s", err, d)
	}
}

func jobsResultUnchanged(t *testing.T, f JobsFixture) {
	f.analyze(t, 2) // the note has moved on
	f.expect(t, "NoteUpdated 1 created", "9 JobQueued priority 2", "9 JobStarted", "9 JobProgress 50% reading", "9 JobCompleted")
}

// analyze stores a note of revision 1 with a job whose result is about the given revision.
func (f JobsFixture) analyze(t *testing.T, revision int64) {
	t.Helper()
	f.Run(t, JobFunc(func(_ context.Context, job domain.Job, report func(int, string) error) (*domain.Analysis, error) {
		return &domain.Analysis{NoteID: job.NoteID, Revision: revision, SuggestedTags: &[]string{"found"}}, report(50, "reading")
	}))
	w := put(sample(1), domain.Created)
	w.Job = &domain.JobSpec{ID: id(9), Type: domain.JobNoteAnalysis, NoteID: id(1)}
	f.create(t, w)
}
