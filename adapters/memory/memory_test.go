package memory_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matric/matric-events/adapters/memory"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
	"github.com/matric/matric-events/tests/contract"
)

var lastID atomic.Uint64

func newID() (u domain.UUID) {
	binary.BigEndian.PutUint64(u[8:], lastID.Add(1))
	u[6], u[8] = 0x70, 0x80
	return u
}

func TestNotesContract(t *testing.T) {
	contract.Notes(t, func(*testing.T) contract.NotesFixture {
		s := memory.New(newID)
		return contract.NotesFixture{
			Notes: s.Notes(), Outbox: noteOutbox{s.Outbox()}, RefuseJobs: s.RefuseJobs,
			Jobs:    func(t *testing.T) []domain.JobSpec { return specs(t, s) },
			Analyze: func(_ *testing.T, a domain.Analysis) *domain.Note { return s.Analyze(a) },
		}
	})
}

// noteOutbox leaves out the events of the jobs, which the suite does not want to see.
type noteOutbox struct{ *memory.Outbox }

func (o noteOutbox) Pending(ctx context.Context, limit int) ([]ports.OutboxRecord, error) {
	all, err := o.Outbox.Pending(ctx, limit)
	var notes []ports.OutboxRecord
	for _, r := range all {
		if r.Worker == nil {
			notes = append(notes, r)
		}
	}
	return notes, err
}

// specs returns what the jobs in the queue were asked for, in order.
func specs(t *testing.T, s *memory.Store) []domain.JobSpec {
	t.Helper()
	jobs, _, err := s.Jobs(memory.JobOptions{}).Jobs(t.Context(), domain.JobQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]domain.JobSpec, len(jobs))
	for i, j := range jobs {
		all[len(jobs)-1-i] = domain.JobSpec{ID: j.ID, Type: j.Type, NoteID: j.NoteID, Priority: j.Priority, MaxAttempts: j.MaxAttempts}
	}
	return all
}

func TestOutboxContract(t *testing.T) {
	contract.Outbox(t, func(*testing.T) contract.OutboxFixture { return outboxFixture(memory.New(newID)) })
}

func outboxFixture(s *memory.Store) contract.OutboxFixture {
	o := s.Outbox()
	return contract.OutboxFixture{
		Outbox: o, Keeper: o, Probe: o,
		Append: func(_ *testing.T, kind, body string) { s.Append(kind, body) },
		Reopen: func(*testing.T) contract.OutboxFixture { return outboxFixture(s) },
	}
}

func TestJobsContract(t *testing.T) {
	contract.Jobs(t, func(*testing.T) contract.JobsFixture {
		s := memory.New(newID)
		q := s.Jobs(memory.JobOptions{Retry: 2 * time.Millisecond})
		return contract.JobsFixture{
			Queue: q, Counter: q, Outbox: s.Outbox(), Notes: s.Notes(),
			Run: func(t *testing.T, h ports.JobHandler) func() {
				ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
				done := make(chan error, 1)
				go func() { done <- q.Run(ctx, h) }()
				stop := sync.OnceFunc(func() {
					cancel()
					if err := <-done; err != nil {
						t.Errorf("Run = %v", err)
					}
				})
				t.Cleanup(stop)
				return stop
			},
		}
	})
}

func TestUrgentJobsRunFirst(t *testing.T) {
	s := memory.New(newID)
	q := s.Jobs(memory.JobOptions{Workers: 1})
	var want []domain.UUID
	for _, priority := range []int{3, 1, 1, 2} {
		job, err := q.Enqueue(t.Context(), domain.JobSpec{ID: newID(), Type: domain.JobTagSuggestion, Priority: priority})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, job.ID)
	}
	want = []domain.UUID{want[1], want[2], want[3], want[0]}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []domain.UUID
	err := q.Run(ctx, contract.JobFunc(func(_ context.Context, job domain.Job, _ func(int, string) error) (*domain.Analysis, error) {
		if got = append(got, job.ID); len(got) == len(want) {
			cancel()
		}
		return nil, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("job %d is %s; want %s", i, got[i], want[i])
		}
	}
}

// TestStoppedQueueStartsNothing stops the queue while its workers are busy looking for something to do.
func TestStoppedQueueStartsNothing(t *testing.T) {
	for range 50 {
		s := memory.New(newID)
		q := s.Jobs(memory.JobOptions{Workers: 16})
		if _, err := q.Enqueue(t.Context(), domain.JobSpec{ID: newID(), Type: domain.JobTagSuggestion}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var attempts atomic.Int64
		err := q.Run(ctx, contract.JobFunc(func(ctx context.Context, _ domain.Job, report func(int, string) error) (*domain.Analysis, error) {
			attempts.Add(1)
			for range 20 { // each wakes the other workers
				if err := report(1, ""); err != nil {
					return nil, err
				}
			}
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		cancel()
		if n := attempts.Load(); err != nil || n != 1 {
			t.Fatalf("Run = %v after %d attempts; want one", err, n)
		}
	}
}

func TestFailIsTheErrorOfEveryCall(t *testing.T) {
	s := memory.New(newID)
	disk := errors.New("disk on fire")
	s.Fail(disk)
	notes, jobs, ctx, id := s.Notes(), s.Jobs(memory.JobOptions{}), t.Context(), newID()
	calls := map[string]func() error{
		"Write": func() error {
			return notes.Write(ctx, id, func(*domain.Note) (ports.NoteWrite, error) { panic("not to be called") })
		},
		"Note":        func() error { _, err := notes.Note(ctx, id); return err },
		"Notes":       func() error { _, _, err := notes.Notes(ctx, domain.NoteQuery{}); return err },
		"Enqueue":     func() error { _, err := jobs.Enqueue(ctx, domain.JobSpec{}); return err },
		"Cancel":      func() error { _, err := jobs.Cancel(ctx, id); return err },
		"Job":         func() error { _, err := jobs.Job(ctx, id); return err },
		"Jobs":        func() error { _, _, err := jobs.Jobs(ctx, domain.JobQuery{}); return err },
		"CountJobs":   func() error { _, err := jobs.CountJobs(ctx); return err },
		"WriteCanary": func() error { return s.Outbox().WriteCanary(ctx, id) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, disk) {
			t.Errorf("%s = %v; want %v", name, err, disk)
		}
	}
	s.Fail(nil)
	if err := calls["Note"](); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("Note = %v once calls work again; want ErrNotFound", err)
	}
}
