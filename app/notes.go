package app

import (
	"context"
	"time"

	"github.com/matric/matric-events/app/trace"
	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Notes is the built-in host's notes. Each change stores the note, its event and the job that it calls for together.
type Notes struct {
	store  ports.Notes
	newID  func() domain.UUID
	traces *trace.Memory
}

// NewNotes returns the use cases on a store. traces are where the bridge looks up the trace of a note's events; nil for
// nowhere.
func NewNotes(store ports.Notes, newID func() domain.UUID, traces *trace.Memory) *Notes {
	return &Notes{store: store, newID: newID, traces: traces}
}

// write stores a change. Its events come out of the outbox, perhaps before this returns, and are in the trace of ctx.
func (n *Notes) write(ctx context.Context, id domain.UUID, change func(current *domain.Note) (ports.NoteWrite, error)) error {
	n.traces.Remember(id, trace.From(ctx))
	return n.store.Write(ctx, id, change)
}

// Create makes a note of what the patch holds. Content calls for an analysis.
func (n *Notes) Create(ctx context.Context, p domain.NotePatch) (note domain.Note, err error) {
	if p.Title == nil && p.Content == nil {
		return note, domain.Invalid("title", "is required unless there is content")
	}
	id := n.newID()
	err = n.write(ctx, id, func(*domain.Note) (ports.NoteWrite, error) {
		now := time.Now()
		w, err := n.change(domain.Note{ID: id, CreatedAt: now}, p, domain.Created, now)
		note = w.Note
		return w, err
	})
	return note, err
}

// Update applies the patch. Changed content calls for a new analysis.
func (n *Notes) Update(ctx context.Context, id domain.UUID, p domain.NotePatch) (note domain.Note, err error) {
	if p == (domain.NotePatch{}) {
		return note, domain.Invalid("", "nothing to change: give at least one of title, content, tags, user_id")
	}
	err = n.write(ctx, id, func(current *domain.Note) (ports.NoteWrite, error) {
		if current == nil {
			return ports.NoteWrite{}, domain.ErrNotFound
		}
		w, err := n.change(*current, p, domain.Updated, time.Now())
		note = w.Note
		return w, err
	})
	return note, err
}

func (n *Notes) change(note domain.Note, p domain.NotePatch, op domain.Operation, now time.Time) (ports.NoteWrite, error) {
	note, contentChanged, err := p.Apply(note)
	if err != nil {
		return ports.NoteWrite{}, err
	}
	note.UpdatedAt = now
	w := ports.NoteWrite{}
	if contentChanged {
		note.Revision++
		spec, err := domain.JobSpec{ID: n.newID(), Type: domain.JobNoteAnalysis, NoteID: note.ID}.Validate()
		if err != nil {
			return ports.NoteWrite{}, err
		}
		w.Job = &spec
	}
	w.Note, w.Event = note, n.event(&note, op, now)
	return w, nil
}

// Delete removes a note.
func (n *Notes) Delete(ctx context.Context, id domain.UUID) error {
	return n.write(ctx, id, func(current *domain.Note) (ports.NoteWrite, error) {
		if current == nil {
			return ports.NoteWrite{}, domain.ErrNotFound
		}
		return ports.NoteWrite{Note: *current, Event: n.event(current, domain.Deleted, time.Now())}, nil
	})
}

func (n *Notes) event(note *domain.Note, op domain.Operation, at time.Time) domain.NoteEvent {
	return domain.NoteEvent{EventID: n.newID(), OccurredAt: at, Note: note.Event(op)}
}

// Note returns one note, or ErrNotFound.
func (n *Notes) Note(ctx context.Context, id domain.UUID) (domain.Note, error) {
	return n.store.Note(ctx, id)
}

// Notes returns the notes that q selects, newest first, as many as fit in a domain.Page, and whether there are more.
func (n *Notes) Notes(ctx context.Context, q domain.NoteQuery) (notes []domain.Note, more bool, err error) {
	return n.store.Notes(ctx, q)
}
