package main

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/matric/matric-events/domain"
)

// emitItem is an event to publish; exactly one member is set.
type emitItem struct {
	worker *domain.WorkerEvent
	note   *domain.NoteEvent
}

// decodeItem reads one event as the API takes it. Note events have no type, and so are known by their other members.
func decodeItem(raw []byte) (emitItem, error) {
	var shape struct {
		Type      json.RawMessage `json:"type"`
		JobID     json.RawMessage `json:"job_id"`
		NoteID    json.RawMessage `json:"note_id"`
		Operation json.RawMessage `json:"operation"`
	}
	_ = json.Unmarshal(raw, &shape) // what is wrong the real decoders say better
	if shape.Operation != nil || shape.NoteID != nil && shape.Type == nil && shape.JobID == nil {
		note, err := domain.DecodeNoteEvent(raw)
		return emitItem{note: &note}, err
	}
	worker, err := domain.DecodeWorkerEvent(raw)
	return emitItem{worker: &worker}, err
}

// EventFlags are the members of one event. Their JSON form is what the API takes, so that both are checked alike.
type EventFlags struct {
	Type *string `arg:"" optional:"" json:"type,omitempty" help:"job-queued, job-started, job-progress, job-completed, job-failed, worker-started, worker-stopped or note-updated; JobQueued and job_queued are the same."`

	EventID    *string `json:"event_id,omitempty" placeholder:"UUID" group:"Any event:" help:"Makes a repetition safe; made up when not given."`
	OccurredAt *string `json:"occurred_at,omitempty" placeholder:"TIME" group:"Any event:" help:"RFC 3339; the time of arrival when not given."`
	NoteID     *string `json:"note_id,omitempty" placeholder:"UUID" group:"Any event:" help:"The note that it is about."`

	JobID      *string `json:"job_id,omitempty" name:"job-id" placeholder:"UUID" group:"Job events:" help:"The job."`
	JobType    *string `json:"job_type,omitempty" placeholder:"NAME" group:"Job events:" help:"Kind of job; the hub remembers it."`
	Priority   *int    `json:"priority,omitempty" group:"Job events:" help:"Of job-queued."`
	Percent    *int    `json:"percent,omitempty" group:"Job events:" help:"Of job-progress, from 0 to 100."`
	Message    *string `json:"message,omitempty" group:"Job events:" help:"Of job-progress."`
	DurationMS *int64  `json:"duration_ms,omitempty" name:"duration-ms" placeholder:"MS" group:"Job events:" help:"Of job-completed; the hub measures it when not given."`
	Error      *string `json:"error,omitempty" group:"Job events:" help:"Of job-failed."`
	WillRetry  bool    `json:"will_retry,omitempty" group:"Job events:" help:"Of job-failed: another attempt follows."`

	Operation    *string  `json:"operation,omitempty" group:"Note events:" help:"created, updated or deleted."`
	Title        *string  `json:"title,omitempty" group:"Note events:" help:"The note's title."`
	Tags         []string `json:"tags,omitempty" name:"tag" sep:"none" placeholder:"TAG" group:"Note events:" help:"One of the note's tags. Repeatable."`
	UserID       *string  `json:"user_id,omitempty" name:"user-id" placeholder:"ID" group:"Note events:" help:"Who changed it."`
	HasAIContent bool     `json:"has_ai_content,omitempty" name:"has-ai-content" group:"Note events:" help:"The note holds generated content."`
	HasLinks     bool     `json:"has_links,omitempty" group:"Note events:" help:"The note holds links."`
}

var typeSeparators = strings.NewReplacer("-", "_", ".", "_")

// given reports whether any flag is.
func (f EventFlags) given() bool {
	raw, err := json.Marshal(f)
	return err != nil || string(raw) != "{}"
}

// item returns the event that the flags describe. Errors name the flag.
func (f EventFlags) item() (emitItem, error) {
	name := typeSeparators.Replace(*f.Type)
	isNote := strings.EqualFold(strings.ReplaceAll(name, "_", ""), domain.TypeNoteUpdated.String())
	f.Type = &name
	if isNote {
		f.Type = nil
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return emitItem{}, err
	}
	if isNote {
		note, err := domain.DecodeNoteEvent(raw)
		return emitItem{note: &note}, asFlag(err)
	}
	worker, err := domain.DecodeWorkerEvent(raw)
	return emitItem{worker: &worker}, asFlag(err)
}

// asFlag names the flag in place of the member of JSON.
func asFlag(err error) error {
	invalid, ok := errors.AsType[*domain.FieldError](err)
	if !ok {
		return err
	}
	flag := *invalid
	switch flag.Field {
	case "", "type":
	case "tags":
		flag.Field = "--tag"
	default:
		flag.Field = "--" + strings.ReplaceAll(flag.Field, "_", "-")
	}
	return &flag
}
