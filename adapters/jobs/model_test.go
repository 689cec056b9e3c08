package jobs_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/matric/matric-events/adapters/jobs"
	"github.com/matric/matric-events/adapters/sqlstore"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/tests/contract"
)

// life is what may happen to a job: it is queued; its attempts start, report and fail; it is completed, fails for good, or
// is canceled while it runs or waits.
var life = regexp.MustCompile(`^Q(SP*R)*(SP*[CF]|F)$`)

// Whatever handlers do, whenever jobs are canceled and however often the queue is stopped, every job's events tell one
// story, and its state is how that ends.
func TestAnyStory(t *testing.T) {
	onEvery(t, func(t *testing.T, url string) {
		db, q := openTest(t, url)
		const n = 100
		for i := range byte(n) {
			enqueue(t, q, spec(i))
		}
		var canceled sync.Map
		for range 4 {
			stop := run(t, q, contract.JobFunc(moody))
			var callers sync.WaitGroup
			for range 2 {
				callers.Go(func() {
					for range 8 {
						i := byte(rand.IntN(n))
						if job, err := q.Cancel(t.Context(), jobID(i)); err == nil {
							canceled.Store(i, job)
						} else if !errors.Is(err, domain.ErrConflict) {
							t.Error(err)
						}
					}
				})
			}
			callers.Wait()
			stop()
		}
		stop := run(t, q, contract.JobFunc(moody))
		finish(t, q, db)
		stop()
		for i := range byte(n) {
			job, told := get(t, q, i), events(t, db, i)
			letters := abbreviate(told)
			if !life.MatchString(letters) {
				t.Errorf("job %d: %q", i, told)
			}
			end := map[domain.JobState]string{domain.JobStateCompleted: "C", domain.JobStateFailed: "F", domain.JobStateCanceled: "F"}[job.State]
			if end == "" || !strings.HasSuffix(letters, end) {
				t.Errorf("job %d is %s after %q", i, job.State, told)
			}
			if _, ok := canceled.Load(i); ok && job.State == domain.JobStateCompleted {
				t.Errorf("job %d was canceled and then completed: %q", i, told)
			}
		}
	})
}

// moody is a handler that may do anything.
func moody(ctx context.Context, _ domain.Job, report func(int, string) error) (*domain.Analysis, error) {
	if err := report(rand.IntN(101), "still here"); err != nil {
		return nil, err
	}
	switch rand.IntN(6) {
	case 0:
		return nil, errors.New("a bad day")
	case 1:
		panic("a very bad day")
	case 2:
		return nil, context.Canceled // though it was not
	}
	return nil, ctx.Err()
}

// finish waits until no job is left.
func finish(t *testing.T, q *jobs.Queue, db *sqlstore.DB) {
	t.Helper()
	for {
		events(t, db, 0) // all have been looked at: the next one wakes us
		left, err := q.CountJobs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if left == (domain.QueueStatus{}) {
			return
		}
		if err := db.Outbox().Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func abbreviate(events []string) string {
	var b strings.Builder
	for _, e := range events {
		switch {
		case strings.HasSuffix(e, ", will retry"):
			b.WriteByte('R')
		default:
			b.WriteByte(e[len("Job")])
		}
	}
	return b.String()
}
