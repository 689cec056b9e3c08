package domain

import (
	"time"
)

// Event is one thing that happened. Its JSON form is the same bytes on every transport.
type Event struct {
	// ID is given once, when the event is born, and kept by a re-publish after a crash. It is the one cursor
	// everywhere. The zero ID marks a snapshot made for one client alone (the QueueStatus on connect), which is no
	// place to resume from.
	ID         UUID
	OccurredAt time.Time // sent as RFC 3339 UTC with milliseconds
	Payload    Payload
	Trace      *Trace // in which it happened, if a producer said so; not in the JSON
}

// Type returns the type of the payload.
func (e Event) Type() Type { return e.Payload.Type() }

// Payload is what an event of one type carries. The set of implementations is closed.
type Payload interface {
	// Type returns which of the seven types this is.
	Type() Type
	// Subject returns the job and the note that the event is about; zero when there is none.
	Subject() (job, note UUID)

	appendFields(dst []byte) []byte
}

// JobRef is the part that the five job payloads share.
type JobRef struct {
	JobID   UUID
	JobType JobType // required but in JobProgress
	NoteID  UUID    // zero when the job is about no note
}

// Subject implements Payload.
func (r JobRef) Subject() (job, note UUID) { return r.JobID, r.NoteID }

// JobQueued says that a job waits for a worker.
type JobQueued struct {
	JobRef
	Priority *int
}

// JobStarted says that a worker took a job up.
type JobStarted struct{ JobRef }

// JobProgress says how far a job is, in percent from 0 to 100.
type JobProgress struct {
	JobRef
	Percent int
	Message string
}

// JobCompleted says that a job ended well.
type JobCompleted struct {
	JobRef
	DurationMS *int64
}

// JobFailed says that an attempt ended badly; the job as a whole did when WillRetry is false.
type JobFailed struct {
	JobRef
	Error     string
	WillRetry bool
}

// NoteUpdated says that a note was created, updated or deleted.
type NoteUpdated struct {
	NoteID       UUID
	Operation    Operation
	UserID       string
	Title        string
	Tags         []string
	HasAIContent bool
	HasLinks     bool
}

// QueueStatus counts the jobs that are not finished. The total is their sum.
type QueueStatus struct {
	Running int
	Pending int
}

// Type implements Payload.
func (JobQueued) Type() Type { return TypeJobQueued }

// Type implements Payload.
func (JobStarted) Type() Type { return TypeJobStarted }

// Type implements Payload.
func (JobProgress) Type() Type { return TypeJobProgress }

// Type implements Payload.
func (JobCompleted) Type() Type { return TypeJobCompleted }

// Type implements Payload.
func (JobFailed) Type() Type { return TypeJobFailed }

// Type implements Payload.
func (NoteUpdated) Type() Type { return TypeNoteUpdated }

// Type implements Payload.
func (QueueStatus) Type() Type { return TypeQueueStatus }

// Subject implements Payload.
func (n NoteUpdated) Subject() (job, note UUID) { return UUID{}, n.NoteID }

// Subject implements Payload.
func (QueueStatus) Subject() (job, note UUID) { return UUID{}, UUID{} }

// Operation is what happened to a note.
type Operation string

// The three operations.
const (
	Created Operation = "created"
	Updated Operation = "updated"
	Deleted Operation = "deleted"
)

// ParseOperation accepts the three names.
func ParseOperation(s string) (Operation, bool) {
	op := Operation(s)
	return op, op == Created || op == Updated || op == Deleted
}
