package web

import "github.com/matric/matric-events/domain"

// Job is a job as clients see it.
type Job struct {
	ID          domain.UUID     `json:"id"`
	JobType     domain.JobType  `json:"job_type"`
	NoteID      domain.UUID     `json:"note_id,omitzero"`
	State       domain.JobState `json:"state"`
	Priority    int             `json:"priority"`
	Progress    int             `json:"progress"`
	Message     string          `json:"message,omitempty"`
	Attempt     int             `json:"attempt"`
	MaxAttempts int             `json:"max_attempts"`
	Error       string          `json:"error,omitempty"`
	CreatedAt   string          `json:"created_at"`
	StartedAt   string          `json:"started_at,omitempty"`
	FinishedAt  string          `json:"finished_at,omitempty"`
}

// ViewJob shows a job.
func ViewJob(j *domain.Job) Job {
	return Job{
		ID: j.ID, JobType: j.Type, NoteID: j.NoteID, State: j.State, Priority: j.Priority, Progress: j.Progress,
		Message: j.Message, Attempt: j.Attempt, MaxAttempts: j.MaxAttempts, Error: j.Error,
		CreatedAt: Stamp(j.CreatedAt), StartedAt: Stamp(j.StartedAt), FinishedAt: Stamp(j.FinishedAt),
	}
}
