package contract

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

func jobsCompleted(t *testing.T, f JobsFixture) {
	seen := make(chan domain.Job, 1)
	f.Run(t, JobFunc(func(_ context.Context, job domain.Job, report func(int, string) error) (*domain.Analysis, error) {
		seen <- job
		if err := report(30, "a third"); err != nil {
			t.Error(err)
		}
		if got := f.job(t, job.ID); got.State != domain.JobStateRunning || got.Progress != 30 || got.Message != "a third" {
			t.Errorf("after its first report the job is %+v", got)
		}
		return nil, report(100, "")
	}))
	f.enqueue(t, spec(1))
	f.expect(t, "1 JobQueued priority 2", "1 JobStarted", "1 JobProgress 30% a third", "1 JobProgress 100% ", "1 JobCompleted")
	got := f.job(t, id(1))
	if got.StartedAt.Before(got.CreatedAt) || got.FinishedAt.Before(got.StartedAt) {
		t.Errorf("times do not follow each other: %+v", got)
	}
	want := domain.Job{
		ID: id(1), Type: domain.JobLinkExtraction, NoteID: id(1001), State: domain.JobStateRunning, Priority: 2, Attempt: 1,
		MaxAttempts: 3, CreatedAt: got.CreatedAt, StartedAt: got.StartedAt,
	}
	if d := cmp.Diff(want, <-seen); d != "" {
		t.Errorf("the handler saw (-want +got):\n%s", d)
	}
	want.State, want.Progress, want.FinishedAt = domain.JobStateCompleted, 100, got.FinishedAt
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Job (-want +got):\n%s", d)
	}
}

func jobsRunLater(t *testing.T, f JobsFixture) {
	f.enqueue(t, spec(1))
	f.Run(t, succeed)
	f.expect(t, "1 JobQueued priority 2", "1 JobStarted", "1 JobCompleted")
}

func jobsRetried(t *testing.T, f JobsFixture) {
	f.Run(t, JobFunc(func(_ context.Context, job domain.Job, report func(int, string) error) (*domain.Analysis, error) {
		if got := f.job(t, job.ID); got.Progress != 0 || got.Message != "" {
			t.Errorf("attempt %d begins with the progress of the last one: %+v", job.Attempt, got)
		}
		if job.Attempt == 1 {
			return nil, errors.Join(report(10, "trying"), errors.New(`the first "try"`))
		}
		return nil, report(20, "again")
	}))
	f.enqueue(t, spec(1))
	f.expect(t, "1 JobQueued priority 2",
		"1 JobStarted", "1 JobProgress 10% trying", `1 JobFailed the first "try", will retry`,
		"1 JobStarted", "1 JobProgress 20% again", "1 JobCompleted")
	got := f.job(t, id(1))
	if got.State != domain.JobStateCompleted || got.Attempt != 2 || got.Error != `the first "try"` || got.Progress != 20 {
		t.Errorf("the job is %+v", got)
	}
}

func jobsPanic(t *testing.T, f JobsFixture) {
	f.Run(t, JobFunc(func(_ context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
		if job.Attempt == 1 {
			panic("secret")
		}
		return nil, nil
	}))
	f.enqueue(t, spec(1))
	got := f.trace(t, "1 JobCompleted")
	if len(got) != 5 || !strings.HasPrefix(got[2], "1 JobFailed ") || !strings.HasSuffix(got[2], ", will retry") {
		t.Errorf("events: %q", got)
	} else if strings.Contains(got[2], "secret") {
		t.Errorf("the value of a panic is for logs: %q", got[2])
	}
}

func jobsFailed(t *testing.T, f JobsFixture) {
	f.Run(t, fail(errors.New("hopeless")))
	s := spec(1)
	s.MaxAttempts = 2
	f.enqueue(t, s)
	f.expect(t, "1 JobQueued priority 2", "1 JobStarted", "1 JobFailed hopeless, will retry", "1 JobStarted", "1 JobFailed hopeless")
	if got := f.job(t, id(1)); got.State != domain.JobStateFailed || got.Error != "hopeless" || got.Attempt != 2 || got.FinishedAt.IsZero() {
		t.Errorf("the job is %+v", got)
	}
}

func jobsHostileTexts(t *testing.T, f JobsFixture) {
	texts := []string{"\x00", "a\x00b", "\xff\xfe", "'; DROP TABLE outbox; --", `"\u0000"`, "{}", "null", strings.Repeat("é", 1<<16), "\u2028\n\t"}
	f.Run(t, JobFunc(func(_ context.Context, _ domain.Job, report func(int, string) error) (*domain.Analysis, error) {
		for _, s := range texts {
			if err := report(1, s); err != nil {
				return nil, err
			}
		}
		return nil, errors.New(strings.Join(texts, ""))
	}))
	s := spec(1)
	s.MaxAttempts = 1
	f.enqueue(t, s)
	for n := 0; n < 2+len(texts)+1; {
		records := pending(t, f.Outbox, 100)
		for _, r := range records {
			if r.Bad != nil {
				t.Error(r.Bad)
			}
			if err := f.Outbox.Remove(t.Context(), r.Position); err != nil {
				t.Fatal(err)
			}
		}
		if n += len(records); len(records) == 0 {
			if err := f.Outbox.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := f.job(t, id(1)); got.State != domain.JobStateFailed || !strings.Contains(got.Error, "DROP TABLE") {
		t.Errorf("the job is %+v", got)
	}
}

func jobsBadProgress(t *testing.T, f JobsFixture) {
	f.Run(t, JobFunc(func(_ context.Context, _ domain.Job, report func(int, string) error) (*domain.Analysis, error) {
		for _, percent := range []int{-1, 101} {
			if err := report(percent, ""); !errors.Is(err, domain.ErrInvalid) {
				t.Errorf("report(%d) = %v; want ErrInvalid", percent, err)
			}
		}
		return nil, nil
	}))
	f.enqueue(t, spec(1))
	f.expect(t, "1 JobQueued priority 2", "1 JobStarted", "1 JobCompleted")
}

func jobsLateProgress(t *testing.T, f JobsFixture) {
	reports := make(chan func(int, string) error, 2)
	f.Run(t, JobFunc(func(_ context.Context, job domain.Job, report func(int, string) error) (*domain.Analysis, error) {
		reports <- report
		if job.Attempt == 1 {
			return nil, errors.New("no")
		}
		if err := (<-reports)(50, "from the first attempt"); err == nil {
			t.Error("an attempt that is over can report progress of the next one")
		}
		return nil, nil
	}))
	f.enqueue(t, spec(1))
	f.trace(t, "1 JobCompleted")
	if err := (<-reports)(60, "from the second attempt"); err == nil {
		t.Error("an attempt that is over can report progress")
	}
	f.enqueue(t, spec(2)) // its events would come after
	if got := f.trace(t, "2 JobQueued priority 2"); len(got) != 1 {
		t.Errorf("events after the end: %q", got)
	}
	f.trace(t, "2 JobCompleted")
}

func jobsInterrupted(t *testing.T, f JobsFixture) {
	started := make(chan struct{})
	var first sync.Once
	stop := f.Run(t, JobFunc(func(ctx context.Context, _ domain.Job, report func(int, string) error) (*domain.Analysis, error) {
		first.Do(func() {
			if err := report(70, "nearly there"); err != nil {
				t.Error(err)
			}
			close(started)
		})
		<-ctx.Done()
		return nil, errors.New("told to stop")
	}))
	s := spec(1)
	s.MaxAttempts = 1 // an attempt that we cut short does not count
	f.enqueue(t, s)
	<-started
	stop()
	interrupted := []string{"1 JobStarted", "1 JobFailed interrupted, will retry"}
	want := []string{"1 JobQueued priority 2", interrupted[0], "1 JobProgress 70% nearly there", interrupted[1]}
	if d := cmp.Diff(want, f.trace(t, interrupted[1])); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	// A queue that was looking for work when it was told to stop may find this job once more, and put it back.
	late := len(pending(t, f.Outbox, 1)) > 0
	if got := f.job(t, id(1)); got.State != domain.JobStateQueued || got.Attempt != 0 || got.Progress != 70 && !late {
		t.Errorf("after the stop the job is %+v", got)
	}
	f.Run(t, JobFunc(func(_ context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
		if got := f.job(t, job.ID); got.Attempt != 1 || got.Progress != 0 || got.Message != "" {
			t.Errorf("the next attempt begins with the progress of the last one: %+v", got)
		}
		return nil, nil
	}))
	got := f.trace(t, "1 JobCompleted")
	for late && len(got) > 2 && slices.Equal(got[:2], interrupted) {
		got = got[2:]
	}
	if d := cmp.Diff([]string{"1 JobStarted", "1 JobCompleted"}, got); d != "" {
		t.Errorf("events of the next attempt (-want +got):\n%s", d)
	}
}

// endless returns a handler that goes on until it is told to stop, and a channel that tells of its beginning.
func endless(then func(ctx context.Context) error) (JobFunc, <-chan struct{}) {
	started := make(chan struct{}, 1)
	return func(ctx context.Context, _ domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
		started <- struct{}{}
		<-ctx.Done()
		return nil, then(ctx)
	}, started
}

func (f JobsFixture) expectCanceled(t *testing.T, got domain.Job) {
	t.Helper()
	if got.State != domain.JobStateCanceled || got.Error != domain.ErrorCanceled || got.FinishedAt.IsZero() {
		t.Errorf("the job is %+v", got)
	}
	if d := cmp.Diff(f.job(t, got.ID), got); d != "" {
		t.Errorf("Cancel differs from Job afterwards (-want +got):\n%s", d)
	}
}

func jobsCancelWaiting(t *testing.T, f JobsFixture) {
	f.enqueue(t, spec(1))
	f.expectCanceled(t, f.cancel(t, id(1)))
	f.expect(t, "1 JobQueued priority 2", "1 JobFailed canceled")
	f.Run(t, fail(errors.New("a canceled job runs")))
	f.enqueue(t, spec(2))
	if got := f.trace(t, "2 JobFailed a canceled job runs, will retry"); len(got) != 3 {
		t.Errorf("events: %q", got)
	}
}

func jobsCancelRunning(t *testing.T, f JobsFixture) {
	h, started := endless(context.Cause)
	f.Run(t, h)
	f.enqueue(t, spec(1))
	<-started
	f.expectCanceled(t, f.cancel(t, id(1)))
	f.expect(t, "1 JobQueued priority 2", "1 JobStarted", "1 JobFailed canceled")
}

func jobsCancelIgnored(t *testing.T, f JobsFixture) {
	for n, then := range []func(context.Context) error{
		func(context.Context) error { return nil },
		func(context.Context) error { return errors.New("its own error") },
		func(context.Context) error { panic("at the disco") },
	} {
		h, started := endless(then)
		stop := f.Run(t, h)
		f.enqueue(t, spec(n))
		<-started
		f.expectCanceled(t, f.cancel(t, id(n)))
		stop()
	}
	f.expect(t, "0 JobQueued priority 2", "0 JobStarted", "0 JobFailed canceled",
		"1 JobQueued priority 2", "1 JobStarted", "1 JobFailed canceled",
		"2 JobQueued priority 2", "2 JobStarted", "2 JobFailed canceled")
}

func jobsCancelRetrying(t *testing.T, f JobsFixture) {
	stop := f.Run(t, JobFunc(func(ctx context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
		if job.Attempt > 1 {
			<-ctx.Done()
		}
		return nil, errors.New("not yet")
	}))
	f.enqueue(t, spec(1))
	f.trace(t, "1 JobFailed not yet, will retry")
	stop() // it waits now, or was interrupted in its second attempt
	if got := f.job(t, id(1)); got.State != domain.JobStateRetrying || got.Error != "not yet" {
		t.Errorf("between two attempts the job is %+v", got)
	}
	if d := cmp.Diff([]int{1}, f.list(t, domain.JobQuery{State: domain.JobStateRetrying, Limit: 9})); d != "" {
		t.Errorf("jobs that wait for their next attempt (-want +got):\n%s", d)
	}
	if got := f.list(t, domain.JobQuery{State: domain.JobStateQueued, Limit: 9}); len(got) > 0 {
		t.Errorf("jobs that wait for their first attempt: %v", got)
	}
	f.count(t, 0, 1)
	f.expectCanceled(t, f.cancel(t, id(1)))
	f.trace(t, "1 JobFailed canceled")
}

func jobsCancelFinished(t *testing.T, f JobsFixture) {
	f.enqueue(t, spec(1), spec(2))
	f.cancel(t, id(1))
	f.Run(t, succeed)
	f.trace(t, "2 JobCompleted")
	for n := 1; n <= 2; n++ {
		before := f.job(t, id(n))
		if _, err := f.Queue.Cancel(t.Context(), id(n)); !errors.Is(err, domain.ErrConflict) {
			t.Errorf("Cancel(%s job) = %v; want ErrConflict", before.State, err)
		}
		if d := cmp.Diff(before, f.job(t, id(n))); d != "" {
			t.Errorf("the refused cancel changed the job (-want +got):\n%s", d)
		}
	}
}
