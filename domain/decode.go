package domain

import (
	"encoding/json"
	"fmt"
)

// wireEvent is the union of all events' members.
type wireEvent struct {
	Type       string `json:"type"`
	EventID    UUID   `json:"event_id"`
	OccurredAt string `json:"occurred_at"`

	JobID   UUID    `json:"job_id"`
	JobType JobType `json:"job_type"`
	NoteID  UUID    `json:"note_id"`

	Priority   *int   `json:"priority"`
	Progress   *int   `json:"progress"`
	Message    string `json:"message"`
	DurationMS *int64 `json:"duration_ms"`
	Error      string `json:"error"`
	WillRetry  bool   `json:"will_retry"`

	Operation    Operation `json:"operation"`
	UserID       string    `json:"user_id"`
	Title        string    `json:"title"`
	Tags         []string  `json:"tags"`
	HasAIContent bool      `json:"has_ai_content"`
	HasLinks     bool      `json:"has_links"`

	Running int `json:"running"`
	Pending int `json:"pending"`
}

// DecodeEvent reads the JSON form of an event. A type outside the seven, or a missing identifier, is a FieldError.
// Members that it does not know are ignored: a newer server may send more.
func DecodeEvent(data []byte) (Event, error) {
	var w wireEvent
	if err := json.Unmarshal(data, &w); err != nil {
		return Event{}, fmt.Errorf("decode event: %w", describeJSON(err))
	}
	t, ok := ParseType(w.Type)
	if !ok {
		return Event{}, Invalid("type", "%q is no event type", clip(w.Type, 64))
	}
	at, err := ParseTime(w.OccurredAt)
	if err != nil {
		return Event{}, Invalid("occurred_at", "not an RFC 3339 time")
	}
	p, err := w.payload(t)
	return Event{ID: w.EventID, OccurredAt: at.UTC(), Payload: p}, err
}

func (w *wireEvent) payload(t Type) (Payload, error) {
	job := JobRef{JobID: w.JobID, JobType: w.JobType, NoteID: w.NoteID}
	switch {
	case t == TypeNoteUpdated:
		if _, ok := ParseOperation(string(w.Operation)); !ok {
			return nil, Invalid("operation", "must be created, updated or deleted")
		}
		if w.NoteID.IsZero() {
			return nil, Invalid("note_id", "is required")
		}
		return NoteUpdated{
			NoteID: w.NoteID, Operation: w.Operation, UserID: w.UserID, Title: w.Title, Tags: w.Tags,
			HasAIContent: w.HasAIContent, HasLinks: w.HasLinks,
		}, nil
	case t == TypeQueueStatus:
		return QueueStatus{Running: w.Running, Pending: w.Pending}, nil
	case w.JobID.IsZero():
		return nil, Invalid("job_id", "is required")
	case w.JobType == "" && t != TypeJobProgress:
		return nil, Invalid("job_type", "is required")
	case t == TypeJobQueued:
		return JobQueued{JobRef: job, Priority: w.Priority}, nil
	case t == TypeJobStarted:
		return JobStarted{JobRef: job}, nil
	case t == TypeJobProgress:
		if w.Progress == nil {
			return nil, Invalid("progress", "is required")
		}
		return JobProgress{JobRef: job, Percent: *w.Progress, Message: w.Message}, nil
	case t == TypeJobCompleted:
		return JobCompleted{JobRef: job, DurationMS: w.DurationMS}, nil
	default:
		return JobFailed{JobRef: job, Error: w.Error, WillRetry: w.WillRetry}, nil
	}
}
