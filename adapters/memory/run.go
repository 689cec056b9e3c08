package memory

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

var (
	errCanceled = errors.New(domain.ErrorCanceled)
	errOver     = errors.New("memory: the attempt is over")
	errPanic    = errors.New("the job's worker panicked")
)

const textInterrupted = "interrupted"

// attempt is one run of a job. It is over when its row no longer points to it.
type attempt struct {
	row    *jobRow
	job    domain.Job // as it was at the start
	cancel context.CancelCauseFunc
}

// Run has the handler do the jobs until ctx ends. Attempts are told to stop then, and run again another time.
func (q *Jobs) Run(ctx context.Context, handler ports.JobHandler) error {
	var workers sync.WaitGroup
	for range q.o.Workers {
		workers.Go(func() {
			for {
				a, actx := q.next(ctx)
				if a == nil {
					return
				}
				result, err := q.handle(actx, a, handler)
				q.finish(ctx, a, result, err)
				a.cancel(errOver)
			}
		})
	}
	workers.Wait()
	return nil
}

// next waits for a job to run, and returns nil when ctx has ended.
func (q *Jobs) next(ctx context.Context) (*attempt, context.Context) {
	for {
		q.s.mu.Lock()
		if ctx.Err() != nil { // looked at under the lock: a job that was cut short is put back under it, and must stay
			q.s.mu.Unlock()
			return nil, nil
		}
		r, due := q.pick(time.Now())
		if r != nil {
			actx, cancel := context.WithCancelCause(ctx)
			a := q.start(r, cancel)
			q.s.mu.Unlock()
			return a, actx
		}
		bell := q.s.bell
		q.s.mu.Unlock()
		timer := time.NewTimer(due)
		select {
		case <-bell:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pick returns the job to run now, the most urgent of those that have waited longest; when there is none, the time until
// there may be. The caller holds the lock.
func (q *Jobs) pick(now time.Time) (first *jobRow, due time.Duration) {
	due = time.Hour
	for _, r := range q.s.jobs {
		if r.State != domain.JobStateQueued && r.State != domain.JobStateRetrying {
			continue
		}
		if wait := r.due.Sub(now); wait > 0 {
			due = min(due, wait)
		} else if first == nil || r.Priority < first.Priority {
			first = r
		}
	}
	return first, due
}

// start begins an attempt. The caller holds the lock.
func (q *Jobs) start(r *jobRow, cancel context.CancelCauseFunc) *attempt {
	r.State, r.StartedAt = domain.JobStateRunning, time.Now()
	r.Attempt++
	r.Progress, r.Message = 0, ""
	r.running = &attempt{row: r, job: r.Job, cancel: cancel}
	q.s.tell(r, domain.TypeJobStarted, nil)
	return r.running
}

func (q *Jobs) handle(ctx context.Context, a *attempt, h ports.JobHandler) (result *domain.Analysis, err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return h.Run(ctx, a.job, func(percent int, message string) error { return q.report(a, percent, plain(message)) })
}

func (q *Jobs) report(a *attempt, percent int, message string) error {
	if percent < 0 || percent > 100 {
		return domain.Invalid("percent", "must be from 0 to 100")
	}
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	if a.row.running != a {
		return errOver
	}
	a.row.Progress, a.row.Message = percent, message
	q.s.tell(a.row, domain.TypeJobProgress, func(e *domain.WorkerEvent) { e.Percent, e.Message = &percent, message })
	return nil
}

// finish stores what became of an attempt, unless the job was canceled meanwhile.
func (q *Jobs) finish(ctx context.Context, a *attempt, result *domain.Analysis, err error) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	r := a.row
	if r.running != a {
		return
	}
	switch {
	case err == nil:
		q.s.complete(r, result)
	case ctx.Err() != nil: // we cut it short, so it does not count
		r.Attempt--
		q.s.again(r, textInterrupted)
	case r.Attempt >= r.MaxAttempts:
		q.s.end(r, domain.JobStateFailed, plain(err.Error()))
	default:
		r.Error, r.due = plain(err.Error()), time.Now().Add(q.o.Retry)
		q.s.again(r, r.Error)
	}
}

// complete stores a result together with the end of its job. The caller holds s.mu.
func (s *Store) complete(r *jobRow, result *domain.Analysis) {
	r.State, r.FinishedAt, r.running = domain.JobStateCompleted, time.Now(), nil
	ms := r.FinishedAt.Sub(r.StartedAt).Milliseconds()
	s.tell(r, domain.TypeJobCompleted, func(e *domain.WorkerEvent) { e.DurationMS = &ms })
	if result == nil {
		return
	}
	if note := s.analyze(*result); note != nil {
		s.append(ports.OutboxRecord{Note: &domain.NoteEvent{
			EventID: s.newID(), OccurredAt: r.FinishedAt, Note: note.Event(domain.Updated),
		}})
	}
}

// again has a job wait for another attempt. The caller holds s.mu.
func (s *Store) again(r *jobRow, why string) {
	r.State, r.running = domain.JobStateQueued, nil
	if r.Error != "" {
		r.State = domain.JobStateRetrying
	}
	s.tell(r, domain.TypeJobFailed, func(e *domain.WorkerEvent) { e.Error, e.WillRetry = why, true })
}

// end finishes a job for good. The caller holds s.mu.
func (s *Store) end(r *jobRow, state domain.JobState, why string) {
	r.State, r.Error, r.FinishedAt, r.running = state, why, time.Now(), nil
	s.tell(r, domain.TypeJobFailed, func(e *domain.WorkerEvent) { e.Error = why })
}

// plain returns a text as events may carry it.
func plain(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\ufffd") }
