package jobs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/matric/matric-events/domain"
)

// cancelWait is how long Cancel waits for the handler of a running job to return, and for River to store that.
const cancelWait = time.Second

// Cancel implements ports.JobQueue. When the handler of a running job takes longer than a second to return, the job
// returned is still running; it will be canceled then.
func (q *Queue) Cancel(ctx context.Context, id domain.UUID) (domain.Job, error) {
	job, err := q.cancel(ctx, id)
	if err == nil && job.State == domain.JobStateRunning {
		job, err = q.awaitEnd(ctx, job)
	}
	if err != nil {
		return domain.Job{}, fmt.Errorf("jobs: cancel %s: %w", id, q.store.Translate(err))
	}
	return job, nil
}

// awaitEnd returns the job once it runs no more, or as it was seen last when that takes too long: the cancel is stored.
func (q *Queue) awaitEnd(ctx context.Context, job domain.Job) (domain.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, cancelWait)
	defer cancel()
	for {
		result := q.results.next() // before the look at the job, so that none is missed after it
		row, err := q.row(ctx, job.ID)
		if ctx.Err() != nil {
			return job, nil
		}
		if err != nil {
			return job, err
		}
		if job, err = jobOf(row); err != nil || job.State != domain.JobStateRunning {
			return job, err
		}
		select {
		case <-result:
		case <-ctx.Done():
			return job, nil
		}
	}
}

// cancel returns the job as it is after the transaction. If it runs, its handler is told to stop.
func (q *Queue) cancel(ctx context.Context, id domain.UUID) (domain.Job, error) {
	row, err := q.row(ctx, id)
	if err != nil {
		return domain.Job{}, err
	}
	tx, err := q.write.BeginTx(ctx, nil)
	if err != nil {
		return domain.Job{}, err
	}
	defer tx.Rollback()   //nolint:errcheck // after a commit it has nothing to do, and otherwise the first error counts
	if q.sql.lock != "" { // so that the job does not end between the look at it and the cancel
		if _, err := tx.ExecContext(ctx, q.sql.lock, row.ID); err != nil {
			return domain.Job{}, err
		}
	}
	if row, err = q.writer.JobGetTx(ctx, tx, row.ID); err != nil {
		return domain.Job{}, err
	}
	if stateOf(row).Final() {
		return domain.Job{}, domain.ErrConflict
	}
	if row, err = q.writer.JobCancelTx(ctx, tx, row.ID); err != nil {
		return domain.Job{}, err
	}
	if err := tx.Commit(); err != nil {
		return domain.Job{}, err
	}
	if row.State == rivertype.JobStateRunning {
		q.board.canceled(row.ID)
	}
	return jobOf(row)
}

// broadcast tells all who wait that something happened. The zero value is ready.
type broadcast struct {
	mu sync.Mutex // guards ch
	ch chan struct{}
}

// next returns a channel that the next call of ring closes.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
