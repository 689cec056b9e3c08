package telemetry

import (
	"context"
	"time"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Notes times notes.
func (s *Stores) Notes(next ports.Notes) ports.Notes { return timedNotes{next, s} }

type timedNotes struct {
	next ports.Notes
	s    *Stores
}

// Write implements ports.Notes.
func (t timedNotes) Write(ctx context.Context, id domain.UUID, change func(current *domain.Note) (ports.NoteWrite, error)) error {
	start := time.Now()
	err := t.next.Write(ctx, id, change)
	t.s.done("notes_write", start, err)
	return err
}

// Note implements ports.Notes.
func (t timedNotes) Note(ctx context.Context, id domain.UUID) (note domain.Note, err error) {
	start := time.Now()
	note, err = t.next.Note(ctx, id)
	t.s.done("notes_read", start, err)
	return note, err
}

// Notes implements ports.Notes.
func (t timedNotes) Notes(ctx context.Context, q domain.NoteQuery) (notes []domain.Note, more bool, err error) {
	start := time.Now()
	notes, more, err = t.next.Notes(ctx, q)
	t.s.done("notes_list", start, err)
	return notes, more, err
}

// Outbox times an outbox. Waiting is not work.
func (s *Stores) Outbox(next ports.Outbox) ports.Outbox { return timedOutbox{next, s} }

type timedOutbox struct {
	ports.Outbox
	s *Stores
}

// Pending implements ports.Outbox.
func (t timedOutbox) Pending(ctx context.Context, limit int) (records []ports.OutboxRecord, err error) {
	start := time.Now()
	records, err = t.Outbox.Pending(ctx, limit)
	t.s.done("outbox_read", start, err)
	return records, err
}

// Remove implements ports.Outbox.
func (t timedOutbox) Remove(ctx context.Context, positions ...int64) error {
	start := time.Now()
	err := t.Outbox.Remove(ctx, positions...)
	t.s.done("outbox_remove", start, err)
	return err
}

// Jobs times the making of jobs.
func (s *Stores) Jobs(next ports.JobQueue) ports.JobQueue { return timedJobs{next, s} }

type timedJobs struct {
	ports.JobQueue
	s *Stores
}

// Enqueue implements ports.JobQueue.
func (t timedJobs) Enqueue(ctx context.Context, spec domain.JobSpec) (job domain.Job, err error) {
	start := time.Now()
	job, err = t.JobQueue.Enqueue(ctx, spec)
	t.s.done("jobs_enqueue", start, err)
	return job, err
}

// Counter times the counting of jobs.
func (s *Stores) Counter(next ports.JobCounter) ports.JobCounter { return timedCounter{next, s} }

type timedCounter struct {
	next ports.JobCounter
	s    *Stores
}

// CountJobs implements ports.JobCounter.
func (t timedCounter) CountJobs(ctx context.Context) (counts domain.QueueStatus, err error) {
	start := time.Now()
	counts, err = t.next.CountJobs(ctx)
	t.s.done("jobs_count", start, err)
	return counts, err
}
