package domain

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// wireWorkerEvent is the JSON form of a WorkerEvent. occurred_at is what the outbox adds; producers may send it too.
type wireWorkerEvent struct {
	Type       *string `json:"type,omitempty"`
	EventID    *string `json:"event_id,omitempty"`
	OccurredAt *string `json:"occurred_at,omitempty"`
	JobID      *string `json:"job_id,omitempty"`
	JobType    *string `json:"job_type,omitempty"`
	NoteID     *string `json:"note_id,omitempty"`
	Percent    *int    `json:"percent,omitempty"`
	Progress   *int    `json:"progress,omitempty"`
	Priority   *int    `json:"priority,omitempty"`
	Message    string  `json:"message,omitempty"`
	DurationMS *int64  `json:"duration_ms,omitempty"`
	Error      string  `json:"error,omitempty"`
	WillRetry  bool    `json:"will_retry,omitempty"`
}

// DecodeWorkerEvent reads one worker event as producers send it. Errors are FieldErrors.
func DecodeWorkerEvent(data []byte) (WorkerEvent, error) {
	var w wireWorkerEvent
	if err := DecodeStrict(data, &w); err != nil {
		return WorkerEvent{}, err
	}
	if w.Type == nil {
		return WorkerEvent{}, Invalid("type", "is required")
	}
	kind, err := ParseWorkerKind(*w.Type)
	if err != nil {
		return WorkerEvent{}, err
	}
	e := WorkerEvent{
		Kind: kind, Percent: w.Percent, Priority: w.Priority, Message: w.Message, DurationMS: w.DurationMS,
		Error: w.Error, WillRetry: w.WillRetry,
	}
	if e.EventID, e.OccurredAt, err = origin(w.EventID, w.OccurredAt); err != nil {
		return WorkerEvent{}, err
	}
	if e.JobID, err = optionalUUID("job_id", w.JobID); err != nil {
		return WorkerEvent{}, err
	}
	if e.NoteID, err = optionalUUID("note_id", w.NoteID); err != nil {
		return WorkerEvent{}, err
	}
	if w.JobType != nil {
		if e.JobType, err = ParseJobType("job_type", *w.JobType); err != nil {
			return WorkerEvent{}, err
		}
	}
	if w.Progress != nil {
		if w.Percent != nil && *w.Percent != *w.Progress {
			return WorkerEvent{}, Invalid("progress", "is another name for percent, but the two differ")
		}
		e.Percent = w.Progress
	}
	err = e.Validate()
	if fe, ok := errors.AsType[*FieldError](err); ok && fe.Field == "percent" && w.Progress != nil {
		fe.Field = "progress" // the name that the client used
	}
	return e, err
}

// Validate checks what must hold between the members. Errors are FieldErrors.
func (w *WorkerEvent) Validate() error {
	t := w.Kind.Type()
	switch {
	case t != 0 && w.JobID.IsZero():
		return Invalid("job_id", "is required for %s", w.Kind)
	case t == TypeJobProgress && w.Percent == nil:
		return Invalid("percent", "is required for JobProgress")
	case w.Percent != nil && (*w.Percent < 0 || *w.Percent > 100):
		return Invalid("percent", "must be from 0 to 100, not %d", *w.Percent)
	case w.DurationMS != nil && *w.DurationMS < 0:
		return Invalid("duration_ms", "must not be negative")
	}
	if err := text("message", w.Message, 0); err != nil {
		return err
	}
	return text("error", w.Error, 0)
}

// MarshalJSON writes the form that DecodeWorkerEvent reads.
func (w WorkerEvent) MarshalJSON() ([]byte, error) {
	kind := w.Kind.String()
	return marshalPlain(wireWorkerEvent{
		Type: &kind, EventID: textOf(w.EventID), OccurredAt: stamp(w.OccurredAt), JobID: textOf(w.JobID),
		JobType: present(string(w.JobType)), NoteID: textOf(w.NoteID), Percent: w.Percent, Priority: w.Priority,
		Message: w.Message, DurationMS: w.DurationMS, Error: w.Error, WillRetry: w.WillRetry,
	})
}

// NoteEvent is what a note handler of another application reports.
type NoteEvent struct {
	EventID    UUID      // makes a retry safe; given by the hub when zero
	OccurredAt time.Time // when it is known better than by the time of arrival
	Note       NoteUpdated
}

type wireNoteEvent struct {
	EventID      *string  `json:"event_id,omitempty"`
	OccurredAt   *string  `json:"occurred_at,omitempty"`
	Operation    *string  `json:"operation,omitempty"`
	NoteID       *string  `json:"note_id,omitempty"`
	UserID       string   `json:"user_id,omitempty"`
	Title        string   `json:"title,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	HasAIContent bool     `json:"has_ai_content,omitempty"`
	HasLinks     bool     `json:"has_links,omitempty"`
}

// DecodeNoteEvent reads one note event as producers send it. Errors are FieldErrors.
func DecodeNoteEvent(data []byte) (NoteEvent, error) {
	var w wireNoteEvent
	if err := DecodeStrict(data, &w); err != nil {
		return NoteEvent{}, err
	}
	if w.Operation == nil {
		return NoteEvent{}, Invalid("operation", "is required")
	}
	op, ok := ParseOperation(*w.Operation)
	if !ok {
		return NoteEvent{}, Invalid("operation", "must be created, updated or deleted, not %q", clip(*w.Operation, 64))
	}
	if w.NoteID == nil {
		return NoteEvent{}, Invalid("note_id", "is required")
	}
	id, err := optionalUUID("note_id", w.NoteID)
	if err != nil {
		return NoteEvent{}, err
	}
	e := NoteEvent{Note: NoteUpdated{
		NoteID: id, Operation: op, UserID: w.UserID, Title: w.Title, Tags: w.Tags,
		HasAIContent: w.HasAIContent, HasLinks: w.HasLinks,
	}}
	if e.EventID, e.OccurredAt, err = origin(w.EventID, w.OccurredAt); err != nil {
		return NoteEvent{}, err
	}
	return e, e.Validate()
}

// Validate checks what must hold of and between the members. Errors are FieldErrors.
func (n *NoteEvent) Validate() error {
	if _, ok := ParseOperation(string(n.Note.Operation)); !ok {
		return Invalid("operation", "must be created, updated or deleted")
	}
	if n.Note.NoteID.IsZero() {
		return Invalid("note_id", "is required")
	}
	return checkLabels(n.Note.UserID, n.Note.Title, n.Note.Tags)
}

// MarshalJSON writes the form that DecodeNoteEvent reads.
func (n NoteEvent) MarshalJSON() ([]byte, error) {
	op := string(n.Note.Operation)
	return marshalPlain(wireNoteEvent{
		EventID: textOf(n.EventID), OccurredAt: stamp(n.OccurredAt), Operation: &op, NoteID: textOf(n.Note.NoteID),
		UserID: n.Note.UserID, Title: n.Note.Title, Tags: n.Note.Tags,
		HasAIContent: n.Note.HasAIContent, HasLinks: n.Note.HasLinks,
	})
}

func origin(id, occurred *string) (UUID, time.Time, error) {
	u, err := optionalUUID("event_id", id)
	if err != nil || occurred == nil {
		return u, time.Time{}, err
	}
	at, err := ParseTime(*occurred)
	if err != nil {
		return u, at, Invalid("occurred_at", "%q is not an RFC 3339 time", clip(*occurred, 64))
	}
	return u, at.UTC(), nil
}

func textOf(u UUID) *string {
	if u.IsZero() {
		return nil
	}
	return present(u.String())
}

func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return present(t.UTC().Format(TimeLayout))
}

func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func marshalPlain(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(buf.Bytes()), err
}
