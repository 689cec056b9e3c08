package ports

import (
	"context"
	"time"

	"github.com/matric/matric-events/domain"
)

// NoteWrite is everything that one change of a note stores, together or not at all.
type NoteWrite struct {
	Note  domain.Note      // as it is afterwards; its ID says which note, also when it is deleted
	Event domain.NoteEvent // complete, with ID and time; its operation says what to do with the row
	Job   *domain.JobSpec  // the job that the change calls for; nil for none
}

// Notes keeps the notes of the built-in host. Safe for concurrent use. Checked by contract.Notes.
type Notes interface {
	// Write calls change with the note as it is, nil when there is none, and stores what change returns in one
	// transaction: the row, the event in the outbox, and the job. change sees no concurrent write of the same note, may
	// be called more than once, and its error is returned as it is, with nothing stored.
	Write(ctx context.Context, id domain.UUID, change func(current *domain.Note) (NoteWrite, error)) error
	// Note returns one note, or ErrNotFound.
	Note(ctx context.Context, id domain.UUID) (domain.Note, error)
	// Notes returns the notes that q selects, newest first, as many as fit in a domain.Page, and whether there are more. A
	// q.Before that does not exist is ErrNotFound.
	Notes(ctx context.Context, q domain.NoteQuery) (notes []domain.Note, more bool, err error)
}

// JobQueue runs jobs in the background. Every change of a job's state writes its WorkerEvent to the outbox in the same
// transaction. Safe for concurrent use. Checked by contract.JobQueue.
type JobQueue interface {
	// Enqueue adds a job and returns it. The spec is valid.
	Enqueue(ctx context.Context, spec domain.JobSpec) (domain.Job, error)
	// Cancel ends a job that has not finished; a running one is told to stop. It returns the job as it is afterwards,
	// ErrNotFound, or ErrConflict when the job had finished.
	Cancel(ctx context.Context, id domain.UUID) (domain.Job, error)
	// Job returns one job, or ErrNotFound.
	Job(ctx context.Context, id domain.UUID) (domain.Job, error)
	// Jobs returns the jobs that q selects, newest first, at most q.Limit, and whether there are more. A q.Before that does
	// not exist is ErrNotFound.
	Jobs(ctx context.Context, q domain.JobQuery) (jobs []domain.Job, more bool, err error)
}

// A JobCounter counts the jobs that are running, and those that wait (for a worker, their time, or a retry). Cheap enough
// to be called once a second on a queue of any length.
type JobCounter interface {
	CountJobs(ctx context.Context) (domain.QueueStatus, error)
}

// A JobHandler does the work of jobs. It is called by a JobQueue, for several jobs at once, and again for a job whose
// attempt failed. It returns early when ctx ends.
type JobHandler interface {
	// Run does one attempt. report stores progress, from 0 to 100 percent, in order. The result is stored together with
	// the job's completion, or not at all.
	Run(ctx context.Context, job domain.Job, report func(percent int, message string) error) (*domain.Analysis, error)
}

// OutboxRecord is a change that is committed and not yet published. Exactly one of its last four members is set.
type OutboxRecord struct {
	Position int64 // given when it was written; see Outbox
	Worker   *domain.WorkerEvent
	Note     *domain.NoteEvent
	Canary   domain.UUID
	Bad      error // what stands there cannot be read; nothing can be done but to report and remove it
}

// An Outbox holds changes between their commit and their publication, across restarts. One process reads it.
//
// A record has its position from when it was written, not from when it was committed: where transactions run side by
// side, a record may appear after others of higher positions were read and removed. So nobody may conclude from a position
// that all below it were seen. But records of changes of the same row appear in the order of their positions and of the
// changes: whoever changes a row second waits for the first one's commit, and only then writes a record.
//
// Safe for concurrent use. Checked by contract.Outbox.
type Outbox interface {
	// Pending returns up to limit committed records by rising positions, with their event IDs and times.
	Pending(ctx context.Context, limit int) ([]OutboxRecord, error)
	// Remove deletes the records at these positions and no others. Those that are gone already are left out silently.
	Remove(ctx context.Context, positions ...int64) error
	// Wait returns nil when a record may have been added since the last call of Pending, without polling, or ctx's error.
	Wait(ctx context.Context) error
}

// OutboxStats tell how far publication is behind.
type OutboxStats struct {
	Records int
	Oldest  time.Duration // since the oldest record was written; 0 when there is none
}

// An OutboxMeter measures an outbox. Cheap enough to be called every few seconds. Checked by contract.Outbox.
type OutboxMeter interface {
	Stats(ctx context.Context) (OutboxStats, error)
}

// An OutboxKeeper makes room in an outbox that is read too slowly. Checked by contract.Outbox.
type OutboxKeeper interface {
	OutboxMeter
	// Supersede deletes the records that domain.Superseded names, and no others, and returns how many. Its cost grows with the
	// outbox. Reading may go on meanwhile.
	Supersede(ctx context.Context) (int, error)
}

// A Probe lets a health check see that what is written comes out of the outbox again.
type Probe interface {
	// WriteCanary commits a canary record to the outbox.
	WriteCanary(ctx context.Context, id domain.UUID) error
}

// An Authenticator knows who a bearer token belongs to. A token that it does not know is ErrUnauthorized. It does not
// reveal by its timing how much of a token was right.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (user string, err error)
}

// An Observer is told what operators want to see. It returns at once and may be called from anywhere.
type Observer interface {
	ConnectionOpened(c domain.Connection)
	ConnectionClosed(c domain.Connection, reason string)
	Refused(transport, reason string)
	Anomaly(kind string, err error)
}
