package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/matric/matric-events/domain"
	"github.com/matric/matric-events/ports"
)

// Analyst does the work of the built-in jobs: it finds a note's links, suggests tags by how often words occur, and has the
// full-text index brought up to date.
type Analyst struct {
	notes    ports.Notes
	observer ports.Observer
}

var _ ports.JobHandler = Analyst{}

// NewAnalyst returns an analyst that reads notes from the store.
func NewAnalyst(notes ports.Notes, observer ports.Observer) Analyst { return Analyst{notes, observer} }

// errUnread is what clients are told when a note cannot be read; the observer is told why.
var errUnread = errors.New("the note could not be read")

const (
	suggestedTags = 5
	// progressStep is how many percent lie between two reports at least, so that a very long note does not flood the log.
	progressStep = 5
)

// step is one part of an analysis: it takes the content in chunks and says what it found.
type step struct {
	chunk func(text string)
	found func() string
}

// Run implements ports.JobHandler.
func (a Analyst) Run(ctx context.Context, job domain.Job, report func(percent int, message string) error) (*domain.Analysis, error) {
	note, err := a.notes.Note(ctx, job.NoteID)
	if errors.Is(err, domain.ErrNotFound) {
		return nil, report(100, "the note is gone, nothing to do")
	}
	if err != nil {
		a.observer.Anomaly("job", err)
		return nil, errUnread
	}
	result := &domain.Analysis{NoteID: note.ID, Revision: note.Revision}
	steps := plan(job.Type, &note, result)
	if len(steps) == 0 {
		return nil, fmt.Errorf("no worker for %s", job.Type)
	}
	size, last := max(1, len(note.Content)), 0
	for i, s := range steps {
		seen := 0
		for text := range domain.Chunks(note.Content) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			s.chunk(text)
			seen += len(text)
			if percent := 100 * (i*size + seen) / (len(steps) * size); seen < size && percent >= last+progressStep {
				last = percent
				if err := report(percent, "analyzing"); err != nil {
					return nil, err
				}
			}
		}
		last = 100 * (i + 1) / len(steps)
		if err := report(last, s.found()); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// plan returns the steps of a type of job, which fill in the result.
func plan(t domain.JobType, note *domain.Note, result *domain.Analysis) []step {
	links := func() step {
		found := domain.AddLinks(nil, note.Title)
		result.Links = &found
		return step{
			chunk: func(text string) { *result.Links = domain.AddLinks(*result.Links, text) },
			found: func() string { return fmt.Sprintf("links found: %d", len(*result.Links)) },
		}
	}
	index := func() step {
		words := domain.TermCounts{}
		result.Index = true
		return step{chunk: words.Add, found: func() string { return fmt.Sprintf("words to index: %d", len(words)) }}
	}
	tags := func() step {
		words := domain.TermCounts{}
		words.Add(note.Title)
		return step{chunk: words.Add, found: func() string {
			suggested := words.Suggest(suggestedTags, note.Tags)
			result.SuggestedTags = &suggested
			return fmt.Sprintf("tags suggested: %d", len(suggested))
		}}
	}
	switch t {
	case domain.JobNoteAnalysis:
		return []step{links(), index(), tags()}
	case domain.JobLinkExtraction:
		return []step{links()}
	case domain.JobFullTextIndexing:
		return []step{index()}
	case domain.JobTagSuggestion:
		return []step{tags()}
	}
	return nil
}
