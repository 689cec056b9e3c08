package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

var (
	_ ports.JobQueue   = (*Jobs)(nil)
	_ ports.JobCounter = (*Jobs)(nil)
)

// Jobs implements ports.JobQueue and ports.JobCounter. Use Store.Jobs; Run runs the jobs.
type Jobs struct {
	s *Store
	o JobOptions
}

// JobOptions tune Store.Jobs.
type JobOptions struct {
	Workers int           // jobs that run at the same time; zero means 4
	Retry   time.Duration // between a failed attempt and the next one; zero means 1 s
}

// Jobs returns the queue of the store.
func (s *Store) Jobs(o JobOptions) *Jobs {
	return &Jobs{s, JobOptions{Workers: cmp.Or(o.Workers, 4), Retry: cmp.Or(o.Retry, time.Second)}}
}

type jobRow struct {
	domain.Job
	due     time.Time // of the next attempt
	running *attempt  // nil unless the job runs
}

// newJob returns a job that is not in the queue yet. The caller holds s.mu.
func (s *Store) newJob(spec domain.JobSpec) (*jobRow, error) {
	if s.refusal != nil {
		return nil, s.refusal
	}
	spec, err := spec.Validate()
	if err != nil {
		return nil, err
	}
	return &jobRow{Job: domain.Job{
		ID: spec.ID, Type: spec.Type, NoteID: spec.NoteID, State: domain.JobStateQueued, Priority: spec.Priority,
		MaxAttempts: spec.MaxAttempts, CreatedAt: time.Now(),
	}}, nil
}

// addJob puts a job in the queue. The caller holds s.mu.
func (s *Store) addJob(r *jobRow) {
	s.jobs = append(s.jobs, r)
	s.tell(r, domain.TypeJobQueued, func(e *domain.WorkerEvent) { e.Priority = &r.Priority })
}

// tell adds an event of a job to the outbox. The caller holds s.mu.
func (s *Store) tell(r *jobRow, t domain.Type, details func(*domain.WorkerEvent)) {
	e := &domain.WorkerEvent{
		Kind: domain.JobKind(t), EventID: s.newID(), OccurredAt: time.Now(), JobID: r.ID, JobType: r.Type, NoteID: r.NoteID,
	}
	if details != nil {
		details(e)
	}
	s.append(ports.OutboxRecord{Worker: e})
}

// job returns a job, or ErrNotFound. The caller holds s.mu.
func (s *Store) job(id domain.UUID) (*jobRow, error) {
	for _, r := range s.jobs {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, fmt.Errorf("memory: job %s: %w", id, domain.ErrNotFound)
}

// Enqueue implements ports.JobQueue.
func (q *Jobs) Enqueue(_ context.Context, spec domain.JobSpec) (domain.Job, error) {
	if err := q.s.begin(); err != nil {
		return domain.Job{}, err
	}
	defer q.s.mu.Unlock()
	r, err := q.s.newJob(spec)
	if err != nil {
		return domain.Job{}, fmt.Errorf("memory: enqueue %s: %w", spec.ID, err)
	}
	q.s.addJob(r)
	return r.Job, nil
}

// Cancel implements ports.JobQueue. A running job is canceled at once; what its handler does afterwards counts for nothing.
func (q *Jobs) Cancel(_ context.Context, id domain.UUID) (domain.Job, error) {
	if err := q.s.begin(); err != nil {
		return domain.Job{}, err
	}
	defer q.s.mu.Unlock()
	r, err := q.s.job(id)
	if err != nil {
		return domain.Job{}, err
	}
	if r.State.Final() {
		return domain.Job{}, fmt.Errorf("memory: cancel %s: %w", id, domain.ErrConflict)
	}
	if r.running != nil {
		r.running.cancel(errCanceled)
	}
	q.s.end(r, domain.JobStateCanceled, domain.ErrorCanceled)
	return r.Job, nil
}

// Job implements ports.JobQueue.
func (q *Jobs) Job(_ context.Context, id domain.UUID) (domain.Job, error) {
	if err := q.s.begin(); err != nil {
		return domain.Job{}, err
	}
	defer q.s.mu.Unlock()
	r, err := q.s.job(id)
	if err != nil {
		return domain.Job{}, err
	}
	return r.Job, nil
}

// Jobs implements ports.JobQueue.
func (q *Jobs) Jobs(_ context.Context, query domain.JobQuery) (jobs []domain.Job, more bool, err error) {
	if err := q.s.begin(); err != nil {
		return nil, false, err
	}
	defer q.s.mu.Unlock()
	rows := q.s.jobs
	if !query.Before.IsZero() {
		before, err := q.s.job(query.Before)
		if err != nil {
			return nil, false, err
		}
		rows = rows[:slices.Index(rows, before)]
	}
	page := domain.Page[domain.Job]{Limit: query.Limit}
	for _, r := range slices.Backward(rows) {
		if (query.NoteID.IsZero() || r.NoteID == query.NoteID) && (query.Type == "" || r.Type == query.Type) &&
			(query.State == "" || r.State == query.State) && !page.Add(r.Job, 0) {
			break
		}
	}
	return page.Items, page.More, nil
}

// CountJobs implements ports.JobCounter.
func (q *Jobs) CountJobs(context.Context) (domain.QueueStatus, error) {
	var counts domain.QueueStatus
	if err := q.s.begin(); err != nil {
		return counts, err
	}
	defer q.s.mu.Unlock()
	for _, r := range q.s.jobs {
		switch {
		case r.State == domain.JobStateRunning:
			counts.Running++
		case !r.State.Final():
			counts.Pending++
		}
	}
	return counts, nil
}
