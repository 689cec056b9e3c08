package mcp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/matric/matric-events/adapters/internal/web"
	"github.com/matric/matric-events/domain"
)

// Where agents get identifiers from.
const noteSource = "search_notes finds notes and their ids"

// jobView is a job as agents see it. Cursor is of before it was made.
type jobView struct {
	web.Job
	Cursor domain.UUID `json:"cursor,omitzero"`
}

func viewJob(j *domain.Job) jobView { return jobView{Job: web.ViewJob(j)} }

// noteView is a note without what users wrote in it. Cursor is of before a change.
type noteView struct {
	ID        domain.UUID `json:"id"`
	Title     string      `json:"title"`
	Tags      []string    `json:"tags"`
	CreatedAt string      `json:"created_at"`
	UpdatedAt string      `json:"updated_at"`
	Cursor    domain.UUID `json:"cursor,omitzero"`
}

func viewNote(n *domain.Note) noteView {
	return noteView{ID: n.ID, Title: n.Title, Tags: web.OrEmpty(n.Tags), CreatedAt: web.Stamp(n.CreatedAt), UpdatedAt: web.Stamp(n.UpdatedAt)}
}

// fullNote is a note with its content, for those who ask for it.
type fullNote struct {
	noteView
	Content       string   `json:"content"`
	UserID        string   `json:"user_id,omitempty"`
	HasAIContent  bool     `json:"has_ai_content"`
	HasLinks      bool     `json:"has_links"`
	SuggestedTags []string `json:"suggested_tags"`
}

func viewFull(n *domain.Note) fullNote {
	return fullNote{viewNote(n), n.Content, n.UserID, n.HasAIContent, n.HasLinks, web.OrEmpty(n.SuggestedTags)}
}

type jobInput struct {
	JobType     *string `json:"job_type"`
	NoteID      *string `json:"note_id"`
	Priority    *int    `json:"priority"`
	MaxAttempts *int    `json:"max_attempts"`
}

func (in *jobInput) spec() (spec domain.JobSpec, err error) {
	if in.JobType == nil {
		return spec, domain.Invalid("job_type", "is required, such as %s", domain.JobNoteAnalysis)
	}
	if spec.Type, err = domain.ParseJobType("job_type", *in.JobType); err != nil {
		return spec, err
	}
	if spec.NoteID, err = readID("note_id", in.NoteID, noteSource); err != nil {
		return spec, err
	}
	if spec.Priority, err = number("priority", in.Priority, domain.DefaultPriority, 1, domain.MaxPriority); err != nil {
		return spec, err
	}
	spec.MaxAttempts, err = number("max_attempts", in.MaxAttempts, domain.DefaultJobAttempts, 1, domain.MaxJobAttempts)
	return spec, err
}

func (s *Server) enqueueJob(ctx context.Context, _ toolCall, in *jobInput) (any, error) {
	spec, err := in.spec()
	if err != nil {
		return nil, err
	}
	before := s.now()
	job, err := s.Jobs.Enqueue(ctx, spec)
	if err != nil {
		return nil, err
	}
	v := viewJob(&job)
	v.Cursor = before
	return v, nil
}

type noteInput struct {
	Title   *string   `json:"title"`
	Content *string   `json:"content"`
	Tags    *[]string `json:"tags"`
	UserID  *string   `json:"user_id"`
}

func (s *Server) createNote(ctx context.Context, _ toolCall, in *noteInput) (any, error) {
	before := s.now()
	note, err := s.Notes.Create(ctx, domain.NotePatch(*in))
	return saved(&note, before, err)
}

type updateInput struct {
	ID      *string   `json:"id"`
	Title   *string   `json:"title"`
	Content *string   `json:"content"`
	Tags    *[]string `json:"tags"`
	UserID  *string   `json:"user_id"`
}

func (s *Server) updateNote(ctx context.Context, _ toolCall, in *updateInput) (any, error) {
	id, err := readID("id", in.ID, noteSource)
	if err != nil {
		return nil, err
	}
	before := s.now()
	note, err := s.Notes.Update(ctx, id, domain.NotePatch{Title: in.Title, Content: in.Content, Tags: in.Tags, UserID: in.UserID})
	return saved(&note, before, missing(err, "note", id, noteSource))
}

func saved(note *domain.Note, before domain.UUID, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	v := viewNote(note)
	v.Cursor = before
	return v, nil
}

type idInput struct {
	ID *string `json:"id"`
}

func (s *Server) getNote(ctx context.Context, _ toolCall, in *idInput) (any, error) {
	id, err := readID("id", in.ID, noteSource)
	if err != nil {
		return nil, err
	}
	note, err := s.Notes.Note(ctx, id)
	return viewFull(&note), missing(err, "note", id, noteSource)
}

type searchInput struct {
	Query  string  `json:"query"`
	Tag    string  `json:"tag"`
	Limit  *int    `json:"limit"`
	Cursor *string `json:"cursor"`
}

type foundView struct {
	Notes []noteView  `json:"notes"`
	Next  domain.UUID `json:"next_cursor,omitzero"`
}

func (s *Server) searchNotes(ctx context.Context, _ toolCall, in *searchInput) (any, error) {
	for field, text := range map[string]string{"query": in.Query, "tag": in.Tag} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return nil, domain.Invalid(field, "must be text without the NUL character")
		}
	}
	limit, err := number("limit", in.Limit, 20, 1, 50)
	if err != nil {
		return nil, err
	}
	before, err := optionalID("cursor", in.Cursor, "hand on the next_cursor of an earlier answer")
	if err != nil {
		return nil, err
	}
	notes, more, err := s.Notes.Notes(ctx, domain.NoteQuery{Search: in.Query, Tag: in.Tag, Before: before, Limit: limit})
	if errors.Is(err, domain.ErrNotFound) {
		err = domain.Invalid("cursor", "there is no such note; start again without a cursor")
	}
	if err != nil {
		return nil, err
	}
	v := foundView{Notes: make([]noteView, len(notes))}
	for i := range notes {
		v.Notes[i] = viewNote(&notes[i])
	}
	if more {
		v.Next = notes[len(notes)-1].ID
	}
	return v, nil
}

// missing says what was not found, and where to look.
func missing(err error, kind string, id domain.UUID, source string) error {
	if errors.Is(err, domain.ErrNotFound) {
		return &web.StatusError{Status: http.StatusNotFound, Detail: "there is no " + kind + " " + id.String() + ": " + source}
	}
	return err
}
