package domain

import (
	"strings"
	"time"
)

// JobType names a kind of work, in PascalCase.
type JobType string

// UnknownJobType stands in an event that must carry a type when no producer has said it.
const UnknownJobType JobType = "Unknown"

const maxJobType = 100

// ParseJobType accepts PascalCase, snake_case and kebab-case and returns PascalCase. Letters and digits only.
func ParseJobType(field, s string) (JobType, error) {
	shouting := s == strings.ToUpper(s) && strings.ContainsAny(s, "_-")
	out := make([]byte, 0, len(s))
	up := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case (c == '_' || c == '-') && !up && i+1 < len(s):
			up = true
			continue
		case c >= 'a' && c <= 'z':
			if up {
				c -= 'a' - 'A'
			}
		case c >= 'A' && c <= 'Z':
			if shouting && !up {
				c += 'a' - 'A'
			}
		case c >= '0' && c <= '9' && i > 0:
		default:
			return "", Invalid(field, "%q is no job type; want a name such as AiRevision or ai_revision", clip(s, 64))
		}
		out, up = append(out, c), false
	}
	if len(out) == 0 || len(s) > maxJobType {
		return "", Invalid(field, "must have 1 to %d characters", maxJobType)
	}
	return JobType(out), nil
}

// JobState is where a job of the built-in queue is in its life.
type JobState string

// The states. Retrying is waiting after a failed attempt; the last three are final.
const (
	JobStateQueued    JobState = "queued"
	JobStateRunning   JobState = "running"
	JobStateRetrying  JobState = "retrying"
	JobStateCompleted JobState = "completed"
	JobStateFailed    JobState = "failed"
	JobStateCanceled  JobState = "canceled"
)

// JobStates lists all states.
func JobStates() []JobState {
	return []JobState{JobStateQueued, JobStateRunning, JobStateRetrying, JobStateCompleted, JobStateFailed, JobStateCanceled}
}

// Final reports whether nothing happens to the job any more.
func (s JobState) Final() bool {
	return s == JobStateCompleted || s == JobStateFailed || s == JobStateCanceled
}

// ErrorCanceled is the error text of a job that was canceled.
const ErrorCanceled = "canceled"

// Job is a job of the built-in queue.
type Job struct {
	ID          UUID
	Type        JobType
	NoteID      UUID // zero for none
	State       JobState
	Priority    int // 1 (first) to 4
	Progress    int // percent of the current or last attempt
	Message     string
	Attempt     int // attempts begun
	MaxAttempts int
	Error       string // of the last failed attempt
	CreatedAt   time.Time
	StartedAt   time.Time // of the current or last attempt; zero before the first
	FinishedAt  time.Time // zero until the state is final
}

// JobSpec asks for a job.
type JobSpec struct {
	ID          UUID
	Type        JobType
	NoteID      UUID
	Priority    int // 1 to 4; 0 means DefaultPriority
	MaxAttempts int // 1 to MaxJobAttempts; 0 means DefaultJobAttempts
}

// Bounds of a JobSpec.
const (
	DefaultPriority    = 2
	MaxPriority        = 4
	DefaultJobAttempts = 5
	MaxJobAttempts     = 25
)

// Validate checks the numbers of a spec and fills in the defaults.
func (s JobSpec) Validate() (JobSpec, error) {
	if s.Priority == 0 {
		s.Priority = DefaultPriority
	}
	if s.MaxAttempts == 0 {
		s.MaxAttempts = DefaultJobAttempts
	}
	if s.Priority < 1 || s.Priority > MaxPriority {
		return s, Invalid("priority", "must be from 1 (first) to %d", MaxPriority)
	}
	if s.MaxAttempts < 1 || s.MaxAttempts > MaxJobAttempts {
		return s, Invalid("max_attempts", "must be from 1 to %d", MaxJobAttempts)
	}
	return s, nil
}

// JobQuery selects jobs for a list, newest first.
type JobQuery struct {
	NoteID UUID
	Type   JobType
	State  JobState
	Before UUID // jobs created before this one; zero for the newest
	Limit  int
}
