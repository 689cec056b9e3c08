package contract

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/matric/matric-events/domain"
)

// list returns the last bytes of the identifiers that q selects.
func (f JobsFixture) list(t *testing.T, q domain.JobQuery) []int {
	t.Helper()
	jobs, _, err := f.Queue.Jobs(t.Context(), q)
	if err != nil {
		t.Fatalf("Jobs(%+v): %v", q, err)
	}
	ids := []int{}
	for _, j := range jobs {
		ids = append(ids, int(j.ID[15]))
	}
	return ids
}

// specs returns the specs 0 … n-1.
func specs(n int) []domain.JobSpec {
	out := make([]domain.JobSpec, n)
	for i := range out {
		out[i] = spec(i)
	}
	return out
}

func jobsOrder(t *testing.T, f JobsFixture) {
	f.enqueue(t, specs(5)...)
	for limit, want := range map[int][]int{10: {4, 3, 2, 1, 0}, 5: {4, 3, 2, 1, 0}, 2: {4, 3}, 0: {}, 1e6: {4, 3, 2, 1, 0}} {
		if d := cmp.Diff(want, f.list(t, domain.JobQuery{Limit: limit})); d != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, d)
		}
	}
	jobs, _, err := f.Queue.Jobs(t.Context(), domain.JobQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f.job(t, id(4)), jobs[0]); d != "" {
		t.Errorf("the job in the list differs from the job alone (-want +got):\n%s", d)
	}
}

func jobsMore(t *testing.T, f JobsFixture) {
	f.enqueue(t, specs(3)...)
	for _, q := range []domain.JobQuery{{}, {State: domain.JobStateQueued}} {
		checkEnds(t, 3, func(limit int) ([]domain.UUID, bool) {
			q.Limit = limit
			jobs, more, err := f.Queue.Jobs(t.Context(), q)
			if err != nil {
				t.Fatalf("Jobs(%+v): %v", q, err)
			}
			return idsOf(jobs, func(j *domain.Job) domain.UUID { return j.ID }), more
		})
	}
}

func jobsPages(t *testing.T, f JobsFixture) {
	f.enqueue(t, specs(7)...)
	f.cancel(t, id(3)) // a change of state does not move it
	var got []int
	q := domain.JobQuery{Limit: 2}
	for page := f.list(t, q); len(page) > 0; page = f.list(t, q) {
		got = append(got, page...)
		q.Before = id(page[len(page)-1])
	}
	if d := cmp.Diff([]int{6, 5, 4, 3, 2, 1, 0}, got); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
}

func jobsSelect(t *testing.T, f JobsFixture) {
	all := specs(5)
	all[1].NoteID = all[0].NoteID
	all[1].Type, all[2].Type = domain.JobNoteAnalysis, domain.JobNoteAnalysis
	all[3].NoteID = domain.UUID{}
	f.enqueue(t, all...)
	f.cancel(t, id(0))
	for _, c := range []struct {
		why  string
		q    domain.JobQuery
		want []int
	}{
		{"the note's", domain.JobQuery{NoteID: all[0].NoteID, Limit: 9}, []int{1, 0}},
		{"no job of this note", domain.JobQuery{NoteID: id(77), Limit: 9}, []int{}},
		{"the type's", domain.JobQuery{Type: domain.JobNoteAnalysis, Limit: 9}, []int{2, 1}},
		{"no job of this type", domain.JobQuery{Type: "Other", Limit: 9}, []int{}},
		{"those in a state", domain.JobQuery{State: domain.JobStateQueued, Limit: 9}, []int{4, 3, 2, 1}},
		{"those in another state", domain.JobQuery{State: domain.JobStateCanceled, Limit: 9}, []int{0}},
		{"no job in this state", domain.JobQuery{State: domain.JobStateFailed, Limit: 9}, []int{}},
		{"all conditions together", domain.JobQuery{NoteID: all[0].NoteID, Type: domain.JobNoteAnalysis, State: domain.JobStateQueued, Limit: 9}, []int{1}},
		{"with a place to begin", domain.JobQuery{Type: domain.JobNoteAnalysis, Before: id(2), Limit: 9}, []int{1}},
	} {
		if d := cmp.Diff(c.want, f.list(t, c.q)); d != "" {
			t.Errorf("%s: Jobs(%+v) (-want +got):\n%s", c.why, c.q, d)
		}
	}
	for _, state := range domain.JobStates() { // every state is known
		f.list(t, domain.JobQuery{State: state, Limit: 9})
	}
}

func (f JobsFixture) count(t *testing.T, running, pending int) {
	t.Helper()
	got, err := f.Counter.CountJobs(t.Context())
	if want := (domain.QueueStatus{Running: running, Pending: pending}); err != nil || got != want {
		t.Errorf("CountJobs = %+v, %v; want %+v", got, err, want)
	}
}

func jobsCounted(t *testing.T, f JobsFixture) {
	f.count(t, 0, 0)
	once := spec(1)
	once.MaxAttempts = 1
	f.enqueue(t, once, spec(2), spec(3))
	f.count(t, 0, 3)
	f.cancel(t, id(3))
	f.count(t, 0, 2)
	running, release := make(chan struct{}, 2), make(chan struct{})
	f.Run(t, JobFunc(func(_ context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
		running <- struct{}{}
		<-release
		if job.ID == id(1) {
			return nil, errors.New("no")
		}
		return nil, nil
	}))
	<-running
	<-running
	f.count(t, 2, 0)
	close(release)
	if got := f.trace(t, "1 JobFailed no"); !slices.Contains(got, "2 JobCompleted") {
		f.trace(t, "2 JobCompleted")
	}
	f.count(t, 0, 0)
}

func jobsConcurrent(t *testing.T, f JobsFixture) {
	var together sync.WaitGroup
	together.Add(2)
	f.Run(t, JobFunc(func(context.Context, domain.Job, func(int, string) error) (*domain.Analysis, error) {
		together.Done()
		together.Wait()
		return nil, nil
	}))
	f.enqueue(t, spec(1))
	f.trace(t, "1 JobStarted")
	f.enqueue(t, spec(2))
	f.trace(t, "2 JobStarted")
	together.Wait()
}
