package app

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/matric/matric-events/app/trace"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Jobs is the built-in host's jobs.
type Jobs struct {
	queue  ports.JobQueue
	notes  ports.Notes
	newID  func() domain.UUID
	watch  QueueWatcher
	traces *trace.Memory
}

// NewJobs returns the use cases on a queue and the notes that its jobs are about. traces are where the bridge looks up the
// trace of a job's events; nil for nowhere.
func NewJobs(queue ports.JobQueue, notes ports.Notes, newID func() domain.UUID, watch QueueWatcher, traces *trace.Memory) *Jobs {
	return &Jobs{queue: queue, notes: notes, newID: newID, watch: watch, traces: traces}
}

// Enqueue adds a job about a note. The spec's ID is given here.
func (j *Jobs) Enqueue(ctx context.Context, spec domain.JobSpec) (domain.Job, error) {
	if !slices.Contains(domain.BuiltinJobTypes(), spec.Type) {
		return domain.Job{}, domain.Invalid("job_type", "there is no worker for %s; valid are %s", spec.Type, builtinNames())
	}
	spec, err := spec.Validate()
	if err != nil {
		return domain.Job{}, err
	}
	if spec.NoteID.IsZero() {
		return domain.Job{}, domain.Invalid("note_id", "is required: %s works on a note", spec.Type)
	}
	if _, err := j.notes.Note(ctx, spec.NoteID); errors.Is(err, domain.ErrNotFound) {
		return domain.Job{}, domain.Invalid("note_id", "there is no note %s", spec.NoteID)
	} else if err != nil {
		return domain.Job{}, err
	}
	spec.ID = j.newID()
	j.traces.Remember(spec.ID, trace.From(ctx))
	defer j.watch.Changed()
	return j.queue.Enqueue(ctx, spec)
}

func builtinNames() string {
	types := domain.BuiltinJobTypes()
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// Cancel ends a job that has not finished; ErrConflict when it has.
func (j *Jobs) Cancel(ctx context.Context, id domain.UUID) (domain.Job, error) {
	defer j.watch.Changed()
	return j.queue.Cancel(ctx, id)
}

// Job returns one job, or ErrNotFound.
func (j *Jobs) Job(ctx context.Context, id domain.UUID) (domain.Job, error) {
	return j.queue.Job(ctx, id)
}

// Jobs returns the jobs that q selects, newest first, at most q.Limit, and whether there are more.
func (j *Jobs) Jobs(ctx context.Context, q domain.JobQuery) (jobs []domain.Job, more bool, err error) {
	return j.queue.Jobs(ctx, q)
}
