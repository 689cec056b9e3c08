package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/matric/matric-events/domain"
)

// inState returns the condition on rows of river_job whose stateOf is this; false when there is no such state.
func (d *dialect) inState(s domain.JobState) (condition string, ok bool) {
	switch s {
	case domain.JobStateQueued:
		return `state IN ('available', 'pending', 'scheduled') AND NOT (` + d.failed + `)`, true
	case domain.JobStateRetrying:
		return `(state = 'retryable' OR state IN ('available', 'pending', 'scheduled') AND ` + d.failed + `)`, true
	case domain.JobStateRunning:
		return `state = 'running'`, true
	case domain.JobStateCompleted:
		return `state = 'completed'`, true
	case domain.JobStateFailed:
		return `state = 'discarded'`, true
	case domain.JobStateCanceled:
		return `state = 'cancelled'`, true
	}
	return "", false
}

func stateOf(row *rivertype.JobRow) domain.JobState {
	switch row.State {
	case rivertype.JobStateRunning:
		return domain.JobStateRunning
	case rivertype.JobStateCompleted:
		return domain.JobStateCompleted
	case rivertype.JobStateDiscarded:
		return domain.JobStateFailed
	case rivertype.JobStateCancelled:
		return domain.JobStateCanceled
	case rivertype.JobStateRetryable:
		return domain.JobStateRetrying
	}
	if len(row.Errors) > 0 { // River makes a job available ahead of a retry that is near
		return domain.JobStateRetrying
	}
	return domain.JobStateQueued
}

// progress is what a handler reported last, in the metadata of the job's row. It holds for the attempt that was started
// then; the number of an attempt would not do, for an interrupted one may have the number of the next.
type progress struct {
	StartedAt time.Time `json:"started_at"`
	Percent   int       `json:"percent"`
	Message   string    `json:"message"`
}

func jobOf(row *rivertype.JobRow) (domain.Job, error) {
	var args jobArgs
	if err := json.Unmarshal(row.EncodedArgs, &args); err != nil {
		return domain.Job{}, fmt.Errorf("decode arguments of River's job %d: %w", row.ID, err)
	}
	var metadata struct {
		Progress progress `json:"progress"`
	}
	if err := json.Unmarshal(row.Metadata, &metadata); err != nil {
		return domain.Job{}, fmt.Errorf("decode metadata of River's job %d: %w", row.ID, err)
	}
	job := domain.Job{
		ID: args.JobID, Type: args.Type, NoteID: args.NoteID, State: stateOf(row), Priority: row.Priority,
		Attempt: row.Attempt, MaxAttempts: row.MaxAttempts, CreatedAt: row.CreatedAt,
		StartedAt: orZero(row.AttemptedAt), FinishedAt: orZero(row.FinalizedAt),
	}
	if p := metadata.Progress; p.StartedAt.Equal(job.StartedAt) {
		job.Progress, job.Message = p.Percent, p.Message
	}
	if n := len(row.Errors); n > 0 {
		job.Error = row.Errors[n-1].Error
	}
	if job.State == domain.JobStateCanceled {
		job.Error = domain.ErrorCanceled
	}
	return job, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// Job implements ports.JobQueue.
func (q *Queue) Job(ctx context.Context, id domain.UUID) (domain.Job, error) {
	row, err := q.row(ctx, id)
	var job domain.Job
	if err == nil {
		job, err = jobOf(row)
	}
	if err != nil {
		return domain.Job{}, fmt.Errorf("jobs: read %s: %w", id, q.store.Translate(err))
	}
	return job, nil
}

func (q *Queue) row(ctx context.Context, id domain.UUID) (*rivertype.JobRow, error) {
	found, err := q.reader.JobList(ctx, selectAny().First(1).Where(q.sql.jobID+` = @job`, river.NamedArgs{"job": id.String()}))
	if err != nil {
		return nil, err
	}
	if len(found.Jobs) == 0 {
		return nil, domain.ErrNotFound
	}
	return found.Jobs[0], nil
}

// selectAny has no condition on the state, which River's default expresses as one that misleads the planner.
func selectAny() *river.JobListParams { return river.NewJobListParams().States() }

// maxList is how many rows River returns at most.
const maxList = 10_000

// Jobs implements ports.JobQueue.
func (q *Queue) Jobs(ctx context.Context, query domain.JobQuery) (jobs []domain.Job, more bool, err error) {
	if jobs, more, err = q.list(ctx, query); err != nil {
		return nil, false, fmt.Errorf("jobs: list: %w", q.store.Translate(err))
	}
	return jobs, more, nil
}

func (q *Queue) list(ctx context.Context, query domain.JobQuery) (jobs []domain.Job, more bool, err error) {
	page := domain.Page[domain.Job]{Limit: min(max(query.Limit, 0), maxList-1)}
	params := selectAny().First(page.Limit+1).OrderBy(river.JobListOrderByID, river.SortOrderDesc)
	if !query.Before.IsZero() {
		before, err := q.row(ctx, query.Before)
		if err != nil {
			return nil, false, err
		}
		params = params.Where(`id < @before`, river.NamedArgs{"before": before.ID})
	}
	if !query.NoteID.IsZero() {
		params = params.Where(q.sql.noteID+` = @note`, river.NamedArgs{"note": query.NoteID.String()})
	}
	if query.Type != "" {
		params = params.Where(q.sql.jobType+` = @type`, river.NamedArgs{"type": string(query.Type)})
	}
	if query.State != "" {
		condition, ok := q.sql.inState(query.State)
		if !ok {
			return nil, false, domain.Invalid("state", "there is no such state")
		}
		params = params.Where(condition)
	}
	found, err := q.reader.JobList(ctx, params)
	if err != nil {
		return nil, false, err
	}
	for _, row := range found.Jobs {
		job, err := jobOf(row)
		if err != nil {
			return nil, false, err
		}
		page.Add(job, 0)
	}
	return page.Items, page.More, nil
}

// CountJobs implements ports.JobCounter.
func (q *Queue) CountJobs(ctx context.Context) (domain.QueueStatus, error) {
	var counts domain.QueueStatus
	if err := q.read.QueryRowContext(ctx, q.sql.countJobs).Scan(&counts.Running, &counts.Pending); err != nil {
		return counts, fmt.Errorf("jobs: count: %w", q.store.Translate(err))
	}
	return counts, nil
}
