package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

var _ ports.Notes = (*Notes)(nil)

// Notes implements ports.Notes. Use Store.Notes.
type Notes struct{ s *Store }

// Notes returns the notes of the store. The jobs that their changes call for go to its queue.
func (s *Store) Notes() *Notes { return &Notes{s} }

type noteRow struct {
	note  domain.Note
	links []domain.Link
	index index
}

// clone returns a copy that shares nothing with n.
func clone(n domain.Note) domain.Note {
	n.Tags, n.SuggestedTags = slices.Clone(n.Tags), slices.Clone(n.SuggestedTags)
	return n
}

// find returns the place of a note, or -1. The caller holds s.mu.
func (s *Store) find(id domain.UUID) int {
	return slices.IndexFunc(s.notes, func(r *noteRow) bool { return r.note.ID == id })
}

// Write implements ports.Notes.
func (n *Notes) Write(_ context.Context, id domain.UUID, change func(current *domain.Note) (ports.NoteWrite, error)) error {
	if err := n.s.begin(); err != nil {
		return err
	}
	defer n.s.mu.Unlock()
	var current *domain.Note
	at := n.s.find(id)
	if at >= 0 {
		note := clone(n.s.notes[at].note)
		current = &note
	}
	w, err := change(current)
	if err != nil {
		return err
	}
	var job *jobRow
	if w.Job != nil { // first, for it may be refused
		if job, err = n.s.newJob(*w.Job); err != nil {
			return fmt.Errorf("memory: write note %s: %w", id, err)
		}
	}
	n.s.put(at, &w)
	event := w.Event
	n.s.append(ports.OutboxRecord{Note: &event})
	if job != nil {
		n.s.addJob(job)
	}
	return nil
}

// put stores the note of a write at its place. The caller holds s.mu.
func (s *Store) put(at int, w *ports.NoteWrite) {
	if w.Event.Note.Operation == domain.Deleted {
		if at >= 0 {
			s.notes = slices.Delete(s.notes, at, at+1)
		}
		return
	}
	if at < 0 {
		at = len(s.notes)
		s.notes = append(s.notes, &noteRow{})
	}
	s.notes[at].note = clone(w.Note)
	if w.Job == nil { // otherwise it is the job's work
		s.notes[at].index = newIndex(&w.Note)
	}
}

// Note implements ports.Notes.
func (n *Notes) Note(_ context.Context, id domain.UUID) (domain.Note, error) {
	if err := n.s.begin(); err != nil {
		return domain.Note{}, err
	}
	defer n.s.mu.Unlock()
	at := n.s.find(id)
	if at < 0 {
		return domain.Note{}, fmt.Errorf("memory: note %s: %w", id, domain.ErrNotFound)
	}
	return clone(n.s.notes[at].note), nil
}

// Notes implements ports.Notes.
func (n *Notes) Notes(_ context.Context, q domain.NoteQuery) (notes []domain.Note, more bool, err error) {
	if err := n.s.begin(); err != nil {
		return nil, false, err
	}
	defer n.s.mu.Unlock()
	end := len(n.s.notes)
	if !q.Before.IsZero() {
		if end = n.s.find(q.Before); end < 0 {
			return nil, false, fmt.Errorf("memory: notes before %s: %w", q.Before, domain.ErrNotFound)
		}
	}
	search := newSearch(q.Search)
	page := domain.Page[domain.Note]{Limit: q.Limit}
	for _, r := range slices.Backward(n.s.notes[:end]) {
		if search.matches(r.index) && (q.Tag == "" || slices.Contains(r.note.Tags, q.Tag)) &&
			(q.Links.IsZero() || n.s.linksTo(r, q.Links)) && !page.Add(clone(r.note), len(r.note.Content)) {
			break
		}
	}
	return page.Items, page.More, nil
}

// linksTo reports whether a note links to another one by its title. The caller holds s.mu.
func (s *Store) linksTo(r *noteRow, target domain.UUID) bool {
	at := s.find(target)
	return at >= 0 && s.notes[at] != r && s.notes[at].note.Title != "" &&
		slices.Contains(r.links, domain.Link{Title: s.notes[at].note.Title})
}

// Analyze stores the result of a job and returns the note if clients are to be told that it changed.
func (s *Store) Analyze(a domain.Analysis) *domain.Note {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.analyze(a)
}

// analyze is Analyze for a caller that holds s.mu.
func (s *Store) analyze(a domain.Analysis) *domain.Note {
	at := s.find(a.NoteID)
	if at < 0 || s.notes[at].note.Revision != a.Revision {
		return nil
	}
	r, changed := s.notes[at], false
	if a.Index {
		r.index = newIndex(&r.note)
	}
	if a.Links != nil {
		has := len(*a.Links) > 0
		changed = has != r.note.HasLinks || !slices.Equal(r.links, *a.Links)
		r.links, r.note.HasLinks = slices.Clone(*a.Links), has
	}
	if a.SuggestedTags != nil {
		changed = changed || !slices.Equal(r.note.SuggestedTags, *a.SuggestedTags)
		r.note.SuggestedTags = slices.Clone(*a.SuggestedTags)
	}
	if !changed {
		return nil
	}
	note := clone(r.note)
	return &note
}
