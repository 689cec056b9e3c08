package domain

import (
	"strings"
	"time"
)

// WorkerKind is the kind of a WorkerEvent: one of five event types about a job, or a worker coming or going.
type WorkerKind struct{ name string }

// The two kinds that are not event types. They cause a QueueStatus.
var (
	WorkerStarted = WorkerKind{"WorkerStarted"}
	WorkerStopped = WorkerKind{"WorkerStopped"}
)

// JobKind returns the kind that tells of a job event, or the zero kind for types that are not about jobs.
func JobKind(t Type) WorkerKind {
	if !families["job"].Has(t) {
		return WorkerKind{}
	}
	return WorkerKind{t.String()}
}

// String returns the PascalCase name.
func (k WorkerKind) String() string { return k.name }

// Type returns the event type that the kind stands for, or 0 for WorkerStarted and WorkerStopped.
func (k WorkerKind) Type() Type {
	t, _ := ParseType(k.name)
	return t
}

// workerKinds lists the valid names for messages.
const workerKinds = "JobQueued, JobStarted, JobProgress, JobCompleted, JobFailed, WorkerStarted, WorkerStopped"

// ParseWorkerKind accepts the PascalCase and the snake_case name.
func ParseWorkerKind(s string) (WorkerKind, error) {
	plain := strings.ReplaceAll(s, "_", "")
	for name := range strings.SplitSeq(workerKinds, ", ") {
		if strings.EqualFold(plain, name) {
			return WorkerKind{name}, nil
		}
	}
	return WorkerKind{}, Invalid("type", "%q is no worker event; valid are %s", clip(s, 64), workerKinds)
}

// WorkerEvent is what a job queue's worker reports. Everything but Kind, and JobID of a job kind, may be absent.
type WorkerEvent struct {
	Kind       WorkerKind
	EventID    UUID      // makes a retry safe; given by the hub when zero
	OccurredAt time.Time // when it is known better than by the time of arrival
	JobID      UUID
	JobType    JobType
	NoteID     UUID
	Percent    *int // 0 to 100
	Priority   *int
	Message    string
	DurationMS *int64
	Error      string
	WillRetry  bool
}

// Phase is what a job was last heard to do.
type Phase uint8

// The phases. Finished is after JobCompleted, or JobFailed without another attempt to come.
const (
	PhaseUnknown Phase = iota
	PhaseQueued
	PhaseRunning
	PhaseRetrying
	PhaseFinished
)

// JobMemory is what is known of a job from its events so far. The zero value is a job never heard of.
type JobMemory struct {
	Type      JobType
	Note      UUID
	StartedAt time.Time // of the current attempt; zero when no JobStarted was heard
	Phase     Phase
}

// Translate turns a job's WorkerEvent into the payload that clients see, filled in with what is remembered of the job,
// and returns the memory as it is afterwards. It is pure; at is when the event occurred.
//
// Any event may be the first one heard of a job. JobQueued opens a finished job again; any other event for a finished
// job is ErrConflict. WorkerStarted and WorkerStopped are about no job: their payload is nil.
func Translate(w WorkerEvent, m JobMemory, at time.Time) (Payload, JobMemory, error) {
	t := w.Kind.Type()
	if t == 0 {
		return nil, m, nil
	}
	if m.Phase == PhaseFinished && t != TypeJobQueued {
		return nil, m, conflict{w.JobID, t}
	}
	if w.JobType != "" {
		m.Type = w.JobType
	}
	if !w.NoteID.IsZero() {
		m.Note = w.NoteID
	}
	ref := JobRef{JobID: w.JobID, JobType: m.Type, NoteID: m.Note}
	if ref.JobType == "" && t != TypeJobProgress {
		ref.JobType = UnknownJobType
	}
	switch t {
	case TypeJobQueued:
		m.Phase, m.StartedAt = PhaseQueued, time.Time{}
		return JobQueued{JobRef: ref, Priority: w.Priority}, m, nil
	case TypeJobStarted:
		m.Phase, m.StartedAt = PhaseRunning, at
		return JobStarted{JobRef: ref}, m, nil
	case TypeJobProgress:
		m.Phase = PhaseRunning
		percent := 0
		if w.Percent != nil {
			percent = *w.Percent
		}
		return JobProgress{JobRef: ref, Percent: percent, Message: w.Message}, m, nil
	case TypeJobCompleted:
		duration := w.DurationMS
		if duration == nil && !m.StartedAt.IsZero() {
			ms := max(0, at.Sub(m.StartedAt).Milliseconds())
			duration = &ms
		}
		m.Phase = PhaseFinished
		return JobCompleted{JobRef: ref, DurationMS: duration}, m, nil
	default:
		m.Phase, m.StartedAt = PhaseFinished, time.Time{}
		if w.WillRetry {
			m.Phase = PhaseRetrying
		}
		return JobFailed{JobRef: ref, Error: w.Error, WillRetry: w.WillRetry}, m, nil
	}
}

// conflict is an event for a job that has finished.
type conflict struct {
	job UUID
	t   Type
}

func (c conflict) Error() string {
	return c.t.String() + " for job " + c.job.String() + ", which has finished; only JobQueued opens it again"
}

func (conflict) Unwrap() error { return ErrConflict }
