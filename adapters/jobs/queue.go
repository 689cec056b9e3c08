package jobs

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Options tune Open. The zero value is what the server runs with.
type Options struct {
	// Workers bounds the jobs that run at the same time. Zero means 4.
	Workers int
	// JobTimeout is when a handler's context ends. Zero means 10 minutes.
	JobTimeout time.Duration
	// RetryInitial is the time before the first retry; it doubles with each attempt up to RetryMax. Zero means 1 s, and
	// 5 minutes.
	RetryInitial, RetryMax time.Duration
	// StopGrace is how long jobs may go on once Run is told to stop, before their context ends. Zero means 5 s.
	StopGrace time.Duration
	// Retention is how long finished jobs are kept. Zero means 7 days.
	Retention time.Duration
	// Logger gets what goes wrong in River and in handlers. Nil discards it.
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	if o == nil {
		o = &Options{}
	}
	return Options{
		Workers:      cmp.Or(o.Workers, 4),
		JobTimeout:   cmp.Or(o.JobTimeout, 10*time.Minute),
		RetryInitial: cmp.Or(o.RetryInitial, time.Second),
		RetryMax:     cmp.Or(o.RetryMax, 5*time.Minute),
		StopGrace:    cmp.Or(o.StopGrace, 5*time.Second),
		Retention:    cmp.Or(o.Retention, 7*24*time.Hour),
		Logger:       cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
	}
}

// Store is what the queue needs of the note store, within transactions of the writer.
type Store interface {
	// Dialect is sqlite or postgres: the kind of database that the queue is in.
	Dialect() string
	// Translate wraps what the database's driver reports in the error of the domain that callers branch on.
	Translate(err error) error
	// ApplyAnalysis stores the result of a job and returns the note if clients are to be told that it changed.
	ApplyAnalysis(ctx context.Context, tx *sql.Tx, a domain.Analysis) (changed *domain.Note, err error)
	// AppendOutbox adds a record of a kind of the outbox.
	AppendOutbox(ctx context.Context, tx *sql.Tx, kind, body string) error
}

// Kinds of outbox records.
const (
	kindWorker = "worker"
	kindNote   = "note"
)

// Queue is the job queue. Use Open. Safe for concurrent use.
type Queue struct {
	write, read *sql.DB
	store       Store
	newID       func() domain.UUID
	o           Options
	board       *switchboard
	sql         dialect
	driver      *localDriver
	writer      *river.Client[*sql.Tx] // does not run jobs
	reader      *river.Client[*sql.Tx] // uses the pool of the readers
	results     broadcast              // the state of a job that ran has changed
	attempts    attempts               // those that this process knows of
	running     atomic.Bool            // Run is being called
}

var (
	_ ports.JobQueue   = (*Queue)(nil)
	_ ports.JobCounter = (*Queue)(nil)
)

// Open prepares the database, which has an outbox, and returns the queue on it. write is the pool of the writers, read that
// of the readers; both remain the caller's. Jobs that a process left running when it died are interrupted by this,
// so a database must not be opened while another queue runs on it. newID makes UUIDv7 identifiers.
func Open(ctx context.Context, write, read *sql.DB, store Store, newID func() domain.UUID, o *Options) (*Queue, error) {
	q := &Queue{write: write, read: read, store: store, newID: newID, o: o.withDefaults(), board: newSwitchboard()}
	var err error
	if q.sql, err = dialectOf(store.Dialect()); err != nil {
		return nil, fmt.Errorf("jobs: open: %w", err)
	}
	q.driver = q.sql.local(write, q.board)
	err = q.prepare(ctx)
	if err == nil {
		q.writer, err = river.NewClient(q.driver, &river.Config{Logger: q.o.Logger})
	}
	if err == nil {
		q.reader, err = river.NewClient(q.sql.local(read, q.board), &river.Config{Logger: q.o.Logger})
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: open: %w", err)
	}
	return q, nil
}

// jobArgs is what River stores of a job for us.
type jobArgs struct {
	JobID  domain.UUID    `json:"job_id"`
	Type   domain.JobType `json:"job_type"`
	NoteID domain.UUID    `json:"note_id,omitzero"`
}

// Kind implements river.JobArgs. One kind serves all types of jobs, for they have one handler.
func (jobArgs) Kind() string { return "job" }

// Enqueue implements ports.JobQueue.
func (q *Queue) Enqueue(ctx context.Context, spec domain.JobSpec) (domain.Job, error) {
	job, err := q.enqueue(ctx, spec)
	if err != nil {
		return domain.Job{}, fmt.Errorf("jobs: enqueue %s: %w", spec.ID, q.store.Translate(err))
	}
	q.Wake()
	return job, nil
}

func (q *Queue) enqueue(ctx context.Context, spec domain.JobSpec) (domain.Job, error) {
	tx, err := q.write.BeginTx(ctx, nil)
	if err != nil {
		return domain.Job{}, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do, and otherwise the first error counts
	job, err := q.insert(ctx, tx, spec)
	if err != nil {
		return domain.Job{}, err
	}
	return job, tx.Commit()
}

func (q *Queue) insert(ctx context.Context, tx *sql.Tx, spec domain.JobSpec) (domain.Job, error) {
	spec, err := spec.Validate()
	if err != nil {
		return domain.Job{}, err
	}
	inserted, err := q.writer.InsertTx(ctx, tx, jobArgs{JobID: spec.ID, Type: spec.Type, NoteID: spec.NoteID},
		&river.InsertOpts{Priority: spec.Priority, MaxAttempts: spec.MaxAttempts})
	if err != nil {
		return domain.Job{}, err
	}
	return jobOf(inserted.Job)
}

// EnqueueTx adds a job within a transaction of the writer. Whoever commits it calls Wake afterwards.
func (q *Queue) EnqueueTx(ctx context.Context, tx *sql.Tx, spec domain.JobSpec) error {
	if _, err := q.insert(ctx, tx, spec); err != nil {
		return fmt.Errorf("jobs: enqueue %s: %w", spec.ID, q.store.Translate(err))
	}
	return nil
}

// Wake has Run look for jobs that are ready. It never waits, and may be called from a hook on the commit itself: Run looks
// through the writer's pool, which is free once the commit is done.
func (q *Queue) Wake() { q.board.inserted() }
